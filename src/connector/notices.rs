//! What is said of the connector as a whole: every line of this part at `info` and above.

use std::fmt;

use crate::codes::{self, ErrorCode};

plain_telemetry::notices! {
    /// What is said of the connector as a whole.
    pub(crate) static NOTICES;

    /// Something in the configuration or of the cluster can do harm, and does not keep the connector
    /// from running. `kafka-smpp check --connect` says the same.
    warn Caution<'a> "{words}" {
        /// What it is, and what to do.
        inline words: &'a dyn fmt::Display,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// An order names what cannot be logged; what was logged before still is.
    warn[codes::ORDER_MALFORMED] LogLevelRefused<'a> "the log's level cannot be changed: {why}" {
        /// What is wrong, and what to write.
        inline why: &'a str,
    }

    /// The connector begins.
    info Starting<'a> "starting" {
        /// The Kafka cluster.
        value cluster: &'a str,
        /// The name of this process, in its transactional ids and results.
        value process: &'a str,
        /// How many ESMEs are configured.
        value esmes: usize,
    }

    /// The connector was asked to stop.
    info Stopping "stopping" {}

    /// What SMSCs have delivered to this process since its start.
    info Delivered "what SMSCs delivered to this process" {
        /// Receipts that Kafka has.
        value receipts: u64,
        /// Segments of inbound messages that Kafka has.
        value parts: u64,
        /// Inbound messages that Kafka has.
        value inbound: u64,
        /// Refused for now, because Kafka did not take them in time.
        value refused_late: u64,
        /// Refused for now, because `inbound.buffer` was full.
        value refused_full: u64,
        /// Refused for good: Kafka takes no such record.
        value refused_for_good: u64,
    }

    /// The connector has ended, with everything written that it had.
    info Stopped "stopped" {}

    /// Kafka could not be asked for its topics at the start, because of an error of this machine. It is
    /// asked again.
    warn[codes::MACHINE] SurveyFailed<'a> "looking at the cluster failed; trying again" {
        /// Why.
        display error: &'a dyn fmt::Display,
    }
}
