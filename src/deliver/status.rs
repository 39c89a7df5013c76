//! What can be seen of the deliveries from outside.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$about:meta])* $name:ident;)*) => {
        /// What happened since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$about])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(super) fn get(&self) -> Counts {
                Counts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

counters! {
    /// Receipts that Kafka has.
    receipts;
    /// Segments of messages from phones that Kafka has.
    parts;
    /// Messages from phones that Kafka has.
    inbound;
    /// PDUs that could not be read, which Kafka has as they came.
    unreadable;
    /// Notifications that Kafka has.
    notifications;
    /// Notifications that Kafka did not take.
    notifications_lost;
    /// Answered with a temporary error because Kafka did not take them in time: they may come
    /// again.
    postponed;
    /// Answered with a temporary error at once, because what waits for Kafka fills the buffer.
    no_room;
    /// Answered with a permanent error: Kafka does not take them.
    refused;
    /// Producers made anew after an error that ended them.
    renewed;
}
