//! The offsets of partitions that are not started.
//!
//! A partition stands still when it is not known what of it was sent, until somebody decides
//! where it continues. What is committed for it is the only thing there is to decide from, and
//! Kafka lets it expire: the offsets of a topic that the group is not subscribed to (priority
//! topics are assigned by hand) after `offsets.retention.minutes`, a week, even while the group
//! is at work. Without it the partition would begin anew. So it is committed again as it is, in
//! the transactions of the others, for as long as the lease is ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kafka::Partition;
use crate::kafka::transaction::Commit;

use crate::submit::state::pipeline::PipelineState;

/// How often. One of them may fail: then the next one is early enough.
const RECOMMIT: Duration = Duration::from_secs(6 * 3600);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Kept(BTreeMap<Partition, (Commit, Option<Instant>)>);

impl Kept {
    /// The commits that are due.
    pub fn due(&mut self, now: Instant) -> Vec<Commit> {
        let mut due = Vec::new();
        for (commit, last) in self.0.values_mut() {
            if last.is_none_or(|last| now.saturating_duration_since(last) >= RECOMMIT) {
                *last = Some(now);
                due.push(commit.clone());
            }
        }
        due
    }
}

impl PipelineState {
    /// The partition stands still: what is committed for it is kept alive.
    pub fn stands_still(&mut self, partition: Partition, commit: Commit) {
        self.kept.0.insert(partition, (commit, None));
        self.effects.commit();
    }

    /// Partitions that stand still no longer, or are not ours any more.
    pub fn unkeep(&mut self, partitions: &[Partition]) {
        self.kept.0.retain(|p, _| !partitions.contains(p));
    }

    /// The partitions that stand still.
    pub fn kept(&self) -> Vec<Partition> {
        self.kept.0.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_still_is_committed_again_as_it_is() {
        let partition = Partition {
            topic: "sms.otp".into(),
            partition: 3,
        };
        let commit = Commit {
            topic: "sms.otp".into(),
            partition: 3,
            offset: 17,
            metadata: "by hand".into(),
        };
        let mut kept = Kept::default();
        kept.0.insert(partition, (commit, None));
        let now = Instant::now();
        let due: Vec<_> = kept
            .due(now)
            .into_iter()
            .map(|c| (c.offset, c.metadata))
            .collect();
        assert_eq!(due, [(17, "by hand".to_owned())], "at once: it may be old");
        assert!(kept.due(now + Duration::from_secs(3600)).is_empty());
        assert_eq!(kept.due(now + RECOMMIT).len(), 1);
    }
}
