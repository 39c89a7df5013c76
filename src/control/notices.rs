//! What is said of orders: every line of this part at `info` and above.

use jiff::Timestamp;

use crate::codes;
use crate::repeated::Within;

plain_telemetry::notices! {
    /// What is said of orders.
    pub(crate) static NOTICES;

    /// An operator wants something else than before, or takes it back. Said by every process; of orders
    /// that were there when it began, of those that are still in force.
    info OrderTaken<'a> "an order of an operator is in force" {
        /// What it is about: its key on the control topic.
        value order: &'a str,
        /// What is wanted, or that it is taken back.
        value value: &'a str,
        /// Who wants it, as they say; empty if they do not.
        value by: &'a str,
        /// Why, in their words.
        value reason: &'a str,
        /// When it was written.
        display given: Timestamp,
    }

    /// A record of the control topic cannot be understood, or is about an ESME, a topic or a bind that is
    /// not in the configuration. It changes nothing. The text says what is wrong and what to write; if
    /// the topic is shared with another deployment, and the order is for that one, nothing is wrong.
    warn[codes::ORDER_MALFORMED] OrderIgnored<'a> "an order of an operator cannot be understood, and is ignored" {
        /// Where the last of them stands.
        value partition: i32,
        /// Where the last of them stands.
        value offset: i64,
        /// What is wrong with it, and what to write.
        value why: &'a str,
        /// How many there were since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
    }

    /// There is no control topic: nothing can be paused or changed while the connector runs. Messages
    /// are not affected. `kafka-smpp topics create` creates it, and it is read within half a minute.
    warn[codes::NO_CONTROL_TOPIC] NoControlTopic<'a> "there is no topic of orders: the connector cannot be steered" {
        /// How it should be called.
        value topic: &'a str,
    }

    /// The control topic cannot be read now; it is tried again. At the start nothing is sent until it
    /// could be read, because something may be paused.
    warn[codes::CONTROL_UNREADABLE] ControlNotReadable<'a> "orders of operators cannot be read; it is tried again" {
        /// The topic.
        value topic: &'a str,
        /// What Kafka says.
        value error: &'a str,
        /// How often since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
    }
}
