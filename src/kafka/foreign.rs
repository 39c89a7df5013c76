//! What others wrote, where the client panics over it.
//!
//! rdkafka reads the names of headers and the metadata of commits as UTF-8 and panics if they
//! are not, although Kafka takes any octets there and anybody may have written them. A panic
//! is a bug of ours and ends the process, so that one such record would end every process
//! that ever reads it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// What `read` returns; `None` if the client panics over it.
pub fn read<T>(read: impl FnOnce() -> T) -> Option<T> {
    READING.set(true);
    let value = catch_unwind(AssertUnwindSafe(read)).ok();
    READING.set(false);
    value
}

/// Whether a panic on this thread, now, comes from reading what others wrote: it is caught, and
/// no bug of ours.
pub fn is_being_read() -> bool {
    READING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_over_what_others_wrote_is_an_answer() {
        assert_eq!(read(|| 5), Some(5));
        assert!(!is_being_read());
        assert_eq!(read(|| assert!(!is_being_read())), None);
        assert!(!is_being_read(), "the next panic is a bug again");
    }
}
