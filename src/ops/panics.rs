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

/// From now on a panic on any thread is logged and ends the process.
pub fn end_the_process() {
    panic::set_hook(Box::new(|info| {
        if foreign::is_being_read() {
            return;
        }
        Panicked { info }.emit();
        std::process::exit(SOFTWARE);
    }));
}
