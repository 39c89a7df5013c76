//! A panic ends the process.
//!
//! A task or thread that panics would leave the rest running without it: a bind that nobody
//! feeds, a partition that nobody commits. Every guarantee holds when the process dies at any
//! moment, and whoever started it starts it again, so that is the better end.

use std::panic;

use crate::kafka::foreign;
use crate::ops::notices::Panicked;

/// The exit code, `EX_SOFTWARE` of sysexits.
const SOFTWARE: i32 = 70;

/// What a panic says, without what it repeats: a string that is cut in a wrong place is repeated between
/// backticks, and may be the text of a message.
fn without_text(info: &str) -> String {
    match (info.find('`'), info.rfind('`')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}`...{}", &info[..first], &info[last..])
        }
        _ => info.to_owned(),
    }
}

/// From now on a panic on any thread is logged and ends the process.
pub fn end_the_process() {
    panic::set_hook(Box::new(|info| {
        if foreign::is_being_read() {
            return;
        }
        let info = without_text(&info.to_string());
        Panicked { info: &info }.emit();
        std::process::exit(SOFTWARE);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_does_not_repeat_a_text() {
        let caught = panic::catch_unwind(|| {
            let text = std::hint::black_box("caf\u{e9}: my `secret` plan");
            text[..4].len()
        });
        let payload = caught.unwrap_err();
        let said = payload.downcast_ref::<String>().unwrap();
        assert!(
            said.contains("secret"),
            "there is something to hide: {said}"
        );
        let told = without_text(said);
        assert!(
            told.contains("byte index 4") && told.ends_with("`...`"),
            "{told}"
        );
        assert_eq!(without_text("at a.rs:7: a ` alone"), "at a.rs:7: a ` alone");
    }
}
