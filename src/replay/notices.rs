//! What is said of replaying: every line of this part at `info` and above.

use std::fmt;

use crate::codes;

plain_telemetry::notices! {
    /// What is said of replaying.
    pub(crate) static NOTICES;

    /// A record on the topic of errors is none of ours, or of a later version; it is skipped.
    warn[codes::REPLAY_SKIPS] EventUnreadable<'a> "an event on the topic of errors cannot be read" {
        /// Why.
        display error: &'a dyn fmt::Display,
        /// Its partition.
        value partition: i32,
        /// Its offset.
        value offset: i64,
    }
}
