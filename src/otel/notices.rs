//! What is said of spans: every line of this part at `info` and above.

use crate::codes;
use crate::repeated::Within;

plain_telemetry::notices! {
    /// What is said of spans.
    pub(crate) static NOTICES;

    /// The collector did not get spans. Messages are not concerned.
    warn[codes::SPANS_LOST] SpansLost<'a> "spans are lost: the collector does not take them" {
        /// How many since the last such line.
        value spans: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// Where the collector is.
        value endpoint: &'a str,
        /// Why, the latest.
        value error: &'a str,
    }
}
