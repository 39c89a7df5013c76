//! Kafka headers that mean something to us: the contract of `docs/headers.md`, in its version 1.
//!
//! All of them begin with `kafka-smpp-`. Other headers are their producer's and travel on from
//! a record to its events; ours do not.

/// What our headers begin with.
pub const PREFIX: &str = "kafka-smpp-";

/// Of which version of the contract the others are: [`VERSION_1`].
pub const VERSION: &str = "kafka-smpp-version";
/// The version that this program writes and understands.
pub const VERSION_1: &str = "1";

/// Where a record stood when it was first seen, `topic:partition:offset`: its events are about
/// that position.
pub const ORIGIN: &str = "kafka-smpp-origin";
/// Attempts made before, besides those in [`DOUBTS`].
pub const ATTEMPTS: &str = "kafka-smpp-attempts";
/// How many of them may have arrived.
pub const DOUBTS: &str = "kafka-smpp-doubts";
/// Not to be sent before, in milliseconds since 1970.
pub const NOT_BEFORE: &str = "kafka-smpp-not-before";
/// Not to be tried after, in milliseconds since 1970.
pub const DEADLINE: &str = "kafka-smpp-deadline";
/// There if an earlier attempt may have arrived.
pub const POSSIBLE_DUPLICATE: &str = "kafka-smpp-possible-duplicate";
/// Which parts of a long message the SMSC has taken.
pub const PARTS: &str = "kafka-smpp-parts";
/// How many parts that message had.
pub const PARTS_TOTAL: &str = "kafka-smpp-parts-total";
/// On a record that was put back: the error it ended as, `topic:partition:offset`.
pub const REPLAY_OF: &str = "kafka-smpp-replay-of";

/// On an error: what the record lacked that stands in the error all the same, [`KEY`].
pub const WITHOUT: &str = "kafka-smpp-without";
/// The record had no key.
pub const KEY: &str = "key";

/// On an event of kind `REPLAYED`: the error whose record was put back,
/// `topic:partition:offset`.
pub const REPLAYED: &str = "kafka-smpp-replayed";

/// Whether a header is one of ours.
pub fn is_ours(key: &str) -> bool {
    key.starts_with(PREFIX)
}
