//! How often something took how long.

use plain_telemetry::Observed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often something took how long, since the start of the process. A process that starts begins
/// with nothing; the difference of two of them is what happened in between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Histogram {
    /// The upper bounds of the buckets, in seconds, ascending; a last bucket has none.
    pub le: Vec<f64>,
    /// How many took as long as their bucket says and longer than the one before it: one more than
    /// there are bounds.
    pub counts: Vec<u64>,
    /// All of them together, in seconds.
    pub sum: f64,
}

impl From<Observed> for Histogram {
    fn from(observed: Observed) -> Self {
        Histogram {
            le: observed.bounds.to_vec(),
            counts: observed.counts,
            sum: observed.sum,
        }
    }
}

impl Histogram {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().copied().fold(0, u64::saturating_add)
    }

    /// What happened since `before`; all of it if that is of another process.
    pub fn since(&self, before: &Histogram) -> Histogram {
        let is_later = self.le == before.le
            && self.counts.len() == before.counts.len()
            && self.counts.iter().zip(&before.counts).all(|(a, b)| a >= b);
        if !is_later {
            return self.clone();
        }
        Histogram {
            le: self.le.clone(),
            counts: (self.counts.iter().zip(&before.counts))
                .map(|(after, before)| after - before)
                .collect(),
            sum: self.sum - before.sum,
        }
    }

    /// Adds what another process measured by the same bounds.
    pub fn add(&mut self, other: &Histogram) {
        if self.le.is_empty() {
            *self = other.clone();
        } else if self.le == other.le && self.counts.len() == other.counts.len() {
            for (own, other) in self.counts.iter_mut().zip(&other.counts) {
                *own = own.saturating_add(*other);
            }
            self.sum += other.sum;
        }
    }

    /// In how many seconds `share` of them (0 to 1) were over, reckoned evenly within a bucket; of the
    /// last bucket, its lower bound. `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count() as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (index, count) in self.counts.iter().enumerate() {
            let count = *count as f64;
            let upper = self.le.get(index).copied();
            if count > 0.0 && below + count >= wanted {
                let part = (wanted - below) / count;
                return Some(upper.map_or(lower, |upper| lower + (upper - lower) * part));
            }
            below += count;
            lower = upper.unwrap_or(lower);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: [u64; 4], sum: f64) -> Histogram {
        Histogram {
            le: vec![0.1, 1.0, 10.0],
            counts: counts.into(),
            sum,
        }
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let histogram = of([50, 40, 0, 10], 70.0);
        assert_eq!(histogram.quantile(0.25), Some(0.05));
        assert_eq!(histogram.quantile(0.5), Some(0.1));
        assert_eq!(histogram.quantile(0.9), Some(1.0));
        assert_eq!(histogram.quantile(0.99), Some(10.0), "the last has no end");
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(of([0; 4], 0.0).quantile(0.5), None);
    }

    #[test]
    fn a_process_that_began_anew_has_no_before() {
        let (before, after) = (of([1, 2, 3, 0], 5.0), of([2, 2, 3, 0], 5.5));
        assert_eq!(after.since(&before), of([1, 0, 0, 0], 0.5));
        assert_eq!(before.since(&after), before);
        let mut sum = Histogram::default();
        sum.add(&before);
        sum.add(&after);
        assert_eq!(sum, of([3, 4, 6, 0], 10.5));
    }
}
