//! A panic ends the process.
//!
//! A task or thread that panics would leave the rest running without it: a bind that nobody
//! feeds, a partition that nobody commits. Every guarantee holds when the process dies at any
//! moment, and whoever started it starts it again, so that is the better end.

use std::panic::{self, PanicHookInfo};

use tracing::error;

/// The exit code, `EX_SOFTWARE` of sysexits.
const SOFTWARE: i32 = 70;

/// From now on a panic on any thread is logged and ends the process.
pub fn end_the_process() {
    panic::set_hook(Box::new(|info| {
        if is_expected(info) {
            return;
        }
        error!(%info, "a part of the connector panicked, which is a bug; the process ends");
        std::process::exit(SOFTWARE);
    }));
}

/// The Kafka client panics on commit metadata that is not UTF-8, which anybody can write and
/// which is caught where it is read.
fn is_expected(info: &PanicHookInfo<'_>) -> bool {
    info.location()
        .is_some_and(|at| at.file().ends_with("topic_partition_list.rs"))
}
