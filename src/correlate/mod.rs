//! Deliveries joined with what was submitted: receipts; and with each other: long messages
//! from phones ([`assembly`]).
//!
//! Whoever owns partition *p* of the deliveries reads partition *p* of the correlation topic
//! into memory, from its beginning and then on as it grows, and joins the two ([`join`]).
//! The state of a deployment is so divided among its processes, and moves with the
//! partitions.
//!
//! # Taking a partition over
//!
//! 1. The committed offset is read, once it is stable: nothing of a predecessor is still
//!    open then ([`start`](crate::kafka::start)).
//! 2. The new owner's first transaction writes a barrier into the correlation partition,
//!    with that offset unchanged: from now on the group refuses whatever a predecessor would
//!    still commit.
//! 3. When the barrier is read back, everything committed before it is in memory.
//! 4. Only now deliveries are consumed, strictly in order.
//!
//! # Exactly once
//!
//! Events, what is remembered of them, tombstones and the deliveries' offset go in one
//! transaction. One lock guards the assignment, the state and what is gathered for the next
//! transaction; a revoke removes the partition under it. A transaction that is aborted is
//! written again with the same records, because the state in memory is the state after them.

pub mod assembly;
mod clock;
mod decode;
mod dialects;
mod entry;
mod forms;
mod hint;
mod inbound_events;
pub(crate) mod join;
pub(crate) mod notices;
mod options;
mod parsed_receipt;
mod partition;
mod pipeline;
mod receipt_events;
mod restored;
mod service;
mod silence;
mod status;
mod tail;
mod takeover;

pub use crate::record::notification::Notify;
pub use dialects::Dialects;
pub use options::{Inbound, Settings};
pub use partition::GATHERED_OCTETS;
pub use receipt_events::Topics;
#[doc(hidden)]
pub use restored::RestoredPartition;
pub use service::{Correlator, Error, Handle, Options};
pub use status::{Counts, PartitionStatus, Status};

use status::Counters;

/// A delivery with this text for a PDU.
#[cfg(test)]
fn delivery_of(text: impl Into<Vec<u8>>) -> std::sync::Arc<crate::record::internal::Delivery> {
    std::sync::Arc::new(crate::record::internal::Delivery {
        esme: "acme".to_owned(),
        bind: "acme-0".to_owned(),
        received_at: jiff::Timestamp::UNIX_EPOCH,
        pdu: text.into(),
        bound_at: None,
        home: None,
        tries: 0,
    })
}
