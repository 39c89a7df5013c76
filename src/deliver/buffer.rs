//! How much may wait for Kafka, in octets: one buffer for the whole process, shared by all binds.
//!
//! A bind may hold eight times what is free. So one bind alone can fill eight ninths of the
//! buffer; of several that all want more, each gets the same; and however full it is, a bind that
//! holds nothing yet finds some room: no SMSC can take all of it from the others. (Switches share
//! the memory of their ports like this, as *dynamic thresholds*.)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many times what is free one bind may hold.
const SHARE: u64 = 8;

/// The room of all binds.
#[derive(Debug)]
pub(super) struct Buffer {
    /// So many octets at most.
    bound: u64,
    held: AtomicU64,
}

/// What one bind holds of it.
#[derive(Debug)]
pub(super) struct Share {
    buffer: Arc<Buffer>,
    held: AtomicU64,
}

/// The right to hold so many octets, until this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    share: Arc<Share>,
    octets: u64,
}

impl Buffer {
    pub(super) fn new(bound: u64) -> Arc<Self> {
        Arc::new(Buffer {
            bound,
            held: AtomicU64::new(0),
        })
    }

    /// The share of another bind.
    pub(super) fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share {
            buffer: self.clone(),
            held: AtomicU64::new(0),
        })
    }

    /// How many may be held.
    pub(super) fn bound(&self) -> u64 {
        self.bound
    }

    /// How many octets are held.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Whether so many octets more could be held.
    pub(super) fn has_room(&self, octets: u64) -> bool {
        self.allows(octets, self.buffer.held())
    }

    /// Holds so many octets, if there is room for them.
    pub(super) fn acquire(self: &Arc<Self>, octets: u64) -> Option<Permit> {
        let more = |held: u64| self.allows(octets, held).then_some(held + octets);
        let order = Ordering::Relaxed;
        let held = &self.buffer.held;
        held.fetch_update(order, order, more).ok()?;
        self.held.fetch_add(octets, order);
        Some(Permit {
            share: self.clone(),
            octets,
        })
    }

    fn allows(&self, octets: u64, held: u64) -> bool {
        let own = self.held.load(Ordering::Relaxed).saturating_add(octets);
        let free = (self.buffer.bound).checked_sub(held.saturating_add(octets));
        free.is_some_and(|free| own <= free.saturating_mul(SHARE))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.share.held.fetch_sub(self.octets, Ordering::Relaxed);
        let buffer = &self.share.buffer;
        buffer.held.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Holds pieces of `octets` until there is no room.
    fn fill(share: &Arc<Share>, octets: u64) -> Vec<Permit> {
        std::iter::from_fn(|| share.acquire(octets)).collect()
    }

    fn octets(held: &[Permit]) -> u64 {
        held.iter().map(|held| held.octets).sum()
    }

    #[test]
    fn one_bind_fills_eight_ninths_and_another_still_finds_room() {
        let buffer = Buffer::new(9_000);
        let (first, second) = (buffer.share(), buffer.share());
        let mut held = fill(&first, 10);
        assert_eq!(octets(&held), 8_000);
        assert!(!first.has_room(10) && second.has_room(10));
        let newcomer = fill(&second, 10);
        assert!(octets(&newcomer) > 800, "{}", octets(&newcomer));
        // As the first one's goes to Kafka the other gets as much as that.
        held.truncate(200);
        let more = fill(&second, 10);
        assert!(octets(&newcomer) + octets(&more) > octets(&held));
    }

    #[test]
    fn binds_that_all_want_more_get_the_same() {
        let buffer = Buffer::new(1_000_000);
        let shares: Vec<_> = (0..10).map(|_| buffer.share()).collect();
        let mut held: Vec<Vec<Permit>> = shares.iter().map(|_| Vec::new()).collect();
        while shares.iter().any(|share| share.has_room(100)) {
            for (share, held) in shares.iter().zip(&mut held) {
                held.extend(share.acquire(100));
            }
        }
        let each: Vec<u64> = held.iter().map(|held| octets(held)).collect();
        let (least, most) = (each.iter().min().unwrap(), each.iter().max().unwrap());
        assert!(most - least <= 100, "{each:?}");
        assert!(each.iter().sum::<u64>() > 980_000, "{each:?}");
    }

    #[test]
    fn a_bind_that_wants_ten_times_as_much_takes_nothing_from_the_others() {
        const BINDS: usize = 10;
        let buffer = Buffer::new(100_000);
        let shares: Vec<_> = (0..BINDS).map(|_| buffer.share()).collect();
        // Kafka takes half of what comes, what waits longest first.
        let mut waiting = std::collections::VecDeque::new();
        let mut taken = [0; BINDS];
        for _ in 0..20_000 {
            for (bind, share) in shares.iter().enumerate() {
                let wanted = if bind == 0 { BINDS } else { 1 };
                for _ in 0..wanted {
                    let held = share.acquire(100);
                    taken[bind] += usize::from(held.is_some());
                    waiting.extend(held);
                }
            }
            waiting.drain(..waiting.len().min(BINDS));
        }
        let least = taken[1..].iter().min().unwrap();
        assert!(*least > 15_000, "{taken:?}");
    }

    #[test]
    fn what_is_larger_than_the_buffer_has_no_room_and_does_no_harm() {
        let buffer = Buffer::new(1_000);
        let share = buffer.share();
        assert!(share.acquire(1_001).is_none() && share.acquire(u64::MAX).is_none());
        assert!(share.acquire(500).is_some());
        assert_eq!(buffer.held(), 0);
    }

    proptest! {
        /// Whatever is held and released: never more than the bound, nothing is forgotten, and
        /// who holds nothing finds room for what is small.
        #[test]
        fn the_bound_holds_and_everything_is_released(
            steps in prop::collection::vec((0usize..5, 1u64..3_000, any::<bool>()), 1..300),
        ) {
            const BOUND: u64 = 20_000;
            let buffer = Buffer::new(BOUND);
            let shares: Vec<_> = (0..5).map(|_| buffer.share()).collect();
            let mut held: Vec<Vec<Permit>> = (0..5).map(|_| Vec::new()).collect();
            for (bind, octets, release) in steps {
                if release {
                    held[bind].pop();
                } else {
                    held[bind].extend(shares[bind].acquire(octets));
                }
                let all: u64 = held.iter().flatten().map(|held| held.octets).sum();
                prop_assert_eq!(buffer.held(), all);
                prop_assert!(all <= BOUND);
                if held[bind].is_empty() && all < BOUND {
                    let free = BOUND - all;
                    prop_assert!(shares[bind].has_room(free * SHARE / (SHARE + 1)));
                }
            }
            drop(held);
            prop_assert_eq!(buffer.held(), 0);
            prop_assert!(shares.iter().all(|share| share.held.load(Ordering::Relaxed) == 0));
        }
    }
}
