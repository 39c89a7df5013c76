//! What can be seen of the join from outside.

use serde::Serialize;

/// One partition that is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: i32,
    /// Whether its state is restored and deliveries are consumed.
    pub live: bool,
    /// The deliveries below this offset are consumed.
    pub next: i64,
    /// Messages and segments remembered.
    pub entries: usize,
    /// Receipts that wait for their message, or were published without.
    pub parked: usize,
    /// Segments of messages from phones that wait for the others.
    pub parts: usize,
    /// About how many octets of memory all of them take.
    pub octets: usize,
    /// About how many of those octets are of receipts without a message.
    pub parked_octets: usize,
    /// Records that wait for the next transactions.
    pub gathered: usize,
}

/// How the join is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The partitions that are ours.
    pub partitions: Vec<PartitionStatus>,
    /// What happened since the start.
    pub counts: Counts,
}

plain_telemetry::counters! {
    /// What happened since the start; things are counted when they are decided, before
    /// their transaction.
    #[derive(Serialize)]
    pub struct Counts, counted by pub(super) Counters {
        /// Receipts published with their message.
        correlated,
        /// Those of them that may belong to other messages too.
        ambiguous,
        /// Those of them that were found by another form of their id.
        other_form,
        /// How often a receipt was moved to where another form of its id belongs, or back.
        moved,
        /// Receipts published without.
        uncorrelated,
        /// Receipts that came before their message.
        parked,
        /// Receipts and segments that came again and were dropped.
        repeated,
        /// Messages whose final receipt did not come.
        overdue,
        /// Messages from phones that were put together.
        assembled,
        /// Messages from phones of which segments did not come in time.
        incomplete,
        /// Records on the deliveries topic that are not ours.
        unreadable,
        /// Records that a topic refused for good.
        refused,
    }
}
