//! What can be seen of the deliveries from outside.

use serde::Serialize;

plain_telemetry::counters! {
    /// What happened since the start.
    #[derive(Serialize)]
    pub struct Counts, counted by pub(super) Counters {
        /// Receipts that Kafka has.
        receipts,
        /// Segments of messages from phones that Kafka has.
        parts,
        /// Messages from phones that Kafka has.
        inbound,
        /// PDUs that could not be read, which Kafka has as they came.
        unreadable,
        /// Notifications that Kafka has.
        notifications,
        /// Notifications that Kafka did not take.
        notifications_lost,
        /// Answered with a temporary error because Kafka did not take them in time: they may come
        /// again.
        postponed,
        /// Answered with a temporary error at once, because what waits for Kafka fills the buffer.
        no_room,
        /// Answered with a permanent error: Kafka does not take them.
        refused,
        /// Producers made anew after an error that ended them.
        renewed,
    }
}
