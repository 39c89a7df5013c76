//! What is said of what SMSCs deliver: every line of this part at `info` and above.

use crate::codes::{self, ErrorCode};
use crate::repeated::Within;

plain_telemetry::notices! {
    /// What is said of what SMSCs deliver.
    pub(crate) static NOTICES;

    /// More deliver_sm wait for Kafka than memory is meant for, so the SMSC is told to offer further
    /// ones later. Some SMSCs never do.
    warn[codes::INBOUND_BUFFER_FULL] BufferFull<'a> "deliver_sm are refused for now: those that wait for Kafka fill inbound.buffer. Some SMSCs do not deliver them again (esme.refusal_status): see why Kafka is slow, or raise inbound.buffer" {
        /// The ESME.
        value esme: &'a str,
        /// The bind, the latest.
        display bind: &'a str,
        /// How many since the last such line.
        value refused: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// How many octets wait for Kafka, of all binds.
        value held: u64,
    }

    /// deliver_sm are refused with a temporary error, and what hinders passes by itself.
    warn[codes::DELIVERIES_LATE] RefusedForNow<'a> "{words}" {
        /// Why, and what to look at.
        inline words: &'a str,
        /// The ESME.
        value esme: &'a str,
        /// The bind, the latest.
        display bind: &'a str,
        /// How many since the last such line.
        value refused: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The topic that they are for.
        display topic: &'a str,
        /// What Kafka or the client says.
        value error: &'a str,
    }

    /// deliver_sm are refused, or lost, until somebody mends what hinders.
    error RefusedUntilMended<'a> "{words}" {
        /// Why, and what helps.
        inline words: &'a str,
        /// The ESME.
        value esme: &'a str,
        /// The bind, the latest.
        display bind: &'a str,
        /// How many since the last such line.
        value refused: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The topic that they are for.
        display topic: &'a str,
        /// What Kafka or the client says.
        value error: &'a str,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// What is meant for `topics.notifications` is lost, because Kafka does not take it: what an SMSC told
    /// and does not repeat (alert_notification), or an event about a bind, a partition or the process.
    error[codes::NOTIFICATIONS_LOST] NotificationsLost<'a> "notifications are lost: Kafka does not take them" {
        /// The ESME; empty if they are about the process.
        value esme: &'a str,
        /// The bind, the latest; empty if it is about none.
        display bind: &'a str,
        /// How many since the last such line.
        value lost: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The topic that they are for.
        display topic: &'a str,
        /// What Kafka or the client says.
        value error: &'a str,
    }
}
