//! What is said of records: every line of this part at `info` and above.

use std::fmt;

use crate::codes;

plain_telemetry::notices! {
    /// What is said of records.
    pub(crate) static NOTICES;

    /// A record could not be written in the format of its topic, and goes without a value, which is a
    /// bug.
    error[codes::BUG] RecordEmpty<'a> "a record is empty" {
        /// Why.
        display error: &'a dyn fmt::Display,
    }
}
