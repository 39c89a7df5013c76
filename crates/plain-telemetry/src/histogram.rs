//! How long things took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So many bounds at most.
const MOST: usize = 16;

/// How often something took how long, in buckets. Observing is two additions without a lock.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds of all buckets but the last, in seconds, ascending.
    bounds: &'static [f64],
    /// One for each bound, and one for what is longer.
    counts: [AtomicU64; MOST + 1],
    /// All together, in nanoseconds.
    sum: AtomicU64,
}

/// What a [`Histogram`] has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The upper bounds of all buckets but the last, in seconds.
    pub bounds: &'static [f64],
    /// How many fell into each bucket: one more than there are bounds.
    pub counts: Vec<u64>,
    /// All together, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Nothing is seen yet. Bounds are in seconds and ascend; of more than 16 the first 16 count.
    pub const fn new(bounds: &'static [f64]) -> Self {
        let (bounds, _) = bounds.split_at(if bounds.len() < MOST {
            bounds.len()
        } else {
            MOST
        });
        Histogram {
            bounds,
            counts: [const { AtomicU64::new(0) }; MOST + 1],
            sum: AtomicU64::new(0),
        }
    }

    /// It took so long once.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What is seen by now. What is observed at the same time may be missing in a part of it.
    pub fn get(&self) -> Observed {
        let counts = self.counts.iter().take(self.bounds.len() + 1);
        Observed {
            bounds: self.bounds,
            counts: counts.map(|c| c.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_as_long_as_a_bound_is_within_it() {
        static TOOK: Histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [1, 100, 101, 1000, 2000] {
            TOOK.observe(Duration::from_millis(millis));
        }
        let seen = TOOK.get();
        assert_eq!(seen.counts, [2, 2, 1]);
        assert!((seen.sum - 3.202).abs() < 1e-9, "{seen:?}");
    }
}
