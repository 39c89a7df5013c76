//! What is said of the processes that show each other: every line of this part at `info` and above.

use std::fmt;

use crate::codes::ErrorCode;

plain_telemetry::notices! {
    /// What is said of the processes that show each other.
    pub(crate) static NOTICES;

    /// `topics.status` is missing or cannot be used, or no thread could be started. `/processes` and the
    /// page show this process alone, and those of others do not show it. Messages and receipts need
    /// nothing of it. It is tried again twice a minute, and said again when it has worked in between.
    warn OthersNotShown<'a> "the processes of this deployment do not show each other; everything else works" {
        /// Why, and what to do.
        display cause: &'a dyn fmt::Display,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }
}
