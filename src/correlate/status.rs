//! What can be seen of the join from outside.

use std::sync::atomic::{AtomicU64, Ordering};

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

macro_rules! counters {
    ($($(#[$about:meta])* $name:ident, $add:ident;)*) => {
        /// What happened since the start; things are counted when they are decided, before
        /// their transaction.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$about])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(super) struct Counters {
            $($name: AtomicU64,)*
        }

        impl Counters {
            $(pub(super) fn $add(&self) {
                self.$name.fetch_add(1, Ordering::Relaxed);
            })*

            pub(super) fn get(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Receipts published with their message.
    correlated, count_correlated;
    /// Those of them that may belong to other messages too.
    ambiguous, count_ambiguous;
    /// Those of them that were found by another form of their id.
    other_form, count_other_form;
    /// How often a receipt was moved to where another form of its id belongs, or back.
    moved, count_moved;
    /// Receipts published without.
    uncorrelated, count_uncorrelated;
    /// Receipts that came before their message.
    parked, count_parked;
    /// Receipts and segments that came again and were dropped.
    repeated, count_repeated;
    /// Messages whose final receipt did not come.
    overdue, count_overdue;
    /// Messages from phones that were put together.
    assembled, count_assembled;
    /// Messages from phones of which segments did not come in time.
    incomplete, count_incomplete;
    /// Records on the deliveries topic that are not ours.
    unreadable, count_unreadable;
    /// Records that a topic refused for good.
    refused, count_refused;
}
