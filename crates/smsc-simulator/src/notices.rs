//! What the simulator says in the log: every line of this crate at `info` and above.
//!
//! The codes are those of kafka-smpp, which has a page for each (`docs/errors`).

use std::fmt;

use plain_telemetry::ErrorCode;

plain_telemetry::notices! {
    /// What the simulator says in the log.
    pub static NOTICES;

    /// No connection can be accepted, most likely because a limit of the system is reached.
    warn[ErrorCode::new("KS-9005")] NotAccepted "cannot accept a connection" {
        /// Why.
        display error: std::io::Error,
    }

    /// The text of an inbound message cannot be encoded.
    warn[ErrorCode::new("KS-9004")] InboundNotMade<'a> "cannot make up an inbound message" {
        /// Why.
        display error: &'a dyn fmt::Display,
        /// The text.
        value text: &'a str,
    }

    /// The source of an alert_notification is no address.
    warn[ErrorCode::new("KS-9004")] AlertNotMade<'a> "cannot make up an alert_notification" {
        /// Why.
        display error: &'a dyn fmt::Display,
    }

    /// The journal is not complete.
    error[ErrorCode::new("KS-9002")] JournalNotWritten "cannot write the journal" {
        /// Why.
        display error: std::io::Error,
    }

    /// A receipt has no place in a PDU and is not sent.
    warn[ErrorCode::new("KS-9004")] ReceiptNotMade<'a> "cannot write a receipt" {
        /// Why.
        display error: &'a dyn fmt::Display,
        /// The message's id.
        value id: &'a str,
    }
}
