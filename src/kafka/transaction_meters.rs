//! What is counted and timed of the transactions of one pipeline.

use std::time::Duration;

use plain_telemetry::Histogram;

use super::transaction::{Abort, Settled};
use crate::status;

/// Bounds in seconds.
const BOUNDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

plain_telemetry::counters! {
    /// What became of transactions.
    pub struct Counts, counted by Counters {
        /// Those that were committed.
        committed,
        /// The records of those.
        records,
        /// Aborted because the group moved on, or another process took the producer's name.
        fenced,
        /// Aborted because of a record that its topic refuses.
        record,
        /// Aborted because of a topic that takes no records.
        topic,
        /// Aborted because a partition of a topic is not available.
        unavailable,
        /// Aborted because a topic is gone.
        gone,
        /// Aborted because a right is missing.
        refused,
        /// Aborted because of something that may pass.
        trouble,
        /// Those of which nobody can tell any more whether they were committed.
        unknown,
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct TransactionMeters {
    /// What became of them.
    counters: Counters,
    /// How long those took that were committed.
    took: Histogram,
}

impl Default for TransactionMeters {
    fn default() -> Self {
        TransactionMeters {
            counters: Counters::default(),
            took: Histogram::new(BOUNDS),
        }
    }
}

impl TransactionMeters {
    /// One with so many records ended after so long.
    pub(super) fn settled(&self, settled: &Settled, records: usize, took: Duration) {
        let counters = &self.counters;
        let counter = match settled {
            Settled::Committed { .. } => {
                counters.records.add(records);
                self.took.observe(took);
                &counters.committed
            }
            Settled::Aborted(abort) => match abort {
                Abort::Fenced(_) => &counters.fenced,
                Abort::Record { .. } => &counters.record,
                Abort::Topic { .. } => &counters.topic,
                Abort::Unavailable(_) => &counters.unavailable,
                Abort::Gone(_) => &counters.gone,
                Abort::Refused | Abort::Impossible(_) => &counters.refused,
                Abort::Trouble(_) => &counters.trouble,
            },
            Settled::Unknown => &counters.unknown,
        };
        counter.add(1);
    }

    /// What can be seen of them.
    pub fn status(&self, pipeline: &str) -> status::Transactions {
        let counts = self.counters.get();
        let all = Counts::TABLE.iter().zip(counts.values());
        let aborted = all.filter(|(count, _)| !matches!(count.name, "committed" | "records"));
        status::Transactions {
            pipeline: pipeline.to_owned(),
            committed: counts.committed,
            aborted: aborted.map(|(c, n)| (c.name.to_owned(), n)).collect(),
            records: counts.records,
            took: self.took.get().into(),
        }
    }
}
