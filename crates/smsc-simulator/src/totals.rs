//! Counts of what a simulator has done.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! totals {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// What a simulator has done since its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$about])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(super) fn totals(&self) -> Totals {
                Totals { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

totals! {
    /// Binds granted.
    binds,
    /// submit_sm (and data_sm) accepted.
    accepted,
    /// submit_sm answered with ESME_RTHROTTLED, or because of a limit with another status.
    throttled,
    /// submit_sm refused for another reason.
    refused,
    /// submit_sm neither accepted nor answered.
    ignored,
    /// Receipts written to a session, repeats included.
    receipts_sent,
    /// Receipts acknowledged with ESME_ROK.
    receipts,
    /// Inbound messages written to a session, repeats included.
    inbound_sent,
    /// Inbound messages acknowledged with ESME_ROK.
    inbound,
    /// deliver_sm answered with an error.
    deliveries_refused,
    /// Those of them that are inbound messages, and no receipts.
    inbound_refused,
    /// deliver_sm not answered in time.
    unanswered,
    /// deliver_sm refused or not answered in time, and never offered again.
    lost,
}

/// One count.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
