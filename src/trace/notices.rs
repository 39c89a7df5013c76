//! What is said of the trace: every line of this part at `info` and above.

use crate::codes;
use crate::repeated::Within;

plain_telemetry::notices! {
    /// What is said of the trace.
    pub(crate) static NOTICES;

    /// PDUs that were to be traced are not on `topics.trace`: sessions do not wait for it. Messages are
    /// not concerned. Lower `trace.sample` if there are too many of them; otherwise see why Kafka does
    /// not take them.
    warn[codes::TRACE_INCOMPLETE] TraceDropped<'a> "PDUs are missing in the trace: Kafka does not take them, or not fast enough" {
        /// How many since the last such line.
        value pdus: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The topic.
        value topic: &'a str,
        /// What Kafka or the client says, the latest.
        value error: &'a str,
    }
}
