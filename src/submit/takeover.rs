//! Taking over a partition: what its predecessor left, and where it starts.
//!
//! Runs on a thread of its own, because reading what is committed may have to wait for a
//! dead predecessor's transaction.

use std::time::Duration;

use rdkafka::error::KafkaError;
use tracing::{info, warn};

use crate::kafka::start::{Elsewhere, Facts, Reading, Start, Stop, committed_stable, decide};
use crate::kafka::transactor::Commit;
use crate::kafka::{Group, Partition};

/// How long one question to Kafka may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A partition, and where it starts or why it does not.
pub type Decided = (Partition, Result<Start, Stop>);

/// What is needed to take partitions over.
pub struct Takeover<'a> {
    /// The membership.
    pub group: &'a Group,
    /// How a stable read goes about open transactions.
    pub reading: &'a Reading,
    /// All topics this group consumes.
    pub consumed: &'a [String],
    /// The topics that hold something as soon as anything was ever sent.
    pub results: &'a [String],
}

impl Takeover<'_> {
    /// Decides where each of `partitions` starts; an error means that Kafka could not be
    /// asked, and that it should be tried again.
    pub fn starts(&self, partitions: &[Partition]) -> Result<Vec<Decided>, KafkaError> {
        let committed = committed_stable(self.group, partitions, self.reading)?;
        let mut starts = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let own = committed
                .iter()
                .find(|c| c.partition == partition.partition && c.topic == partition.topic);
            let (committed_elsewhere, untouched) = match own {
                Some(_) => (Elsewhere::SameTopic, true),
                None => self.surroundings(&partition.topic)?,
            };
            let (low, high) = self.group.watermarks(partition, PATIENCE)?;
            let decided = decide(&Facts {
                partition,
                cluster: self.group.cluster_id(),
                committed: own.map(|c| (c.offset, c.metadata.as_str())),
                committed_elsewhere,
                untouched,
                low,
                high,
            });
            report(partition, own, &decided);
            starts.push((partition.clone(), decided));
        }
        Ok(starts)
    }

    /// Where the group has committed offsets, and whether nothing was ever sent.
    fn surroundings(&self, topic: &str) -> Result<(Elsewhere, bool), KafkaError> {
        let before = self.committed_elsewhere(topic)?;
        if before != Elsewhere::Nowhere {
            return Ok((before, true));
        }
        let untouched = self.nothing_sent()?;
        // Another process may have made the group's first commit since it was asked: its
        // results are visible, and so is that commit, made with them.
        match untouched {
            true => Ok((before, true)),
            false => Ok((self.committed_elsewhere(topic)?, false)),
        }
    }

    /// Where the group has a committed offset, over all topics it consumes.
    fn committed_elsewhere(&self, topic: &str) -> Result<Elsewhere, KafkaError> {
        if self.is_committed(topic)? {
            return Ok(Elsewhere::SameTopic);
        }
        for other in self.consumed.iter().filter(|other| *other != topic) {
            if self.is_committed(other)? {
                return Ok(Elsewhere::OtherTopic);
            }
        }
        Ok(Elsewhere::Nowhere)
    }

    fn is_committed(&self, topic: &str) -> Result<bool, KafkaError> {
        let all: Vec<Partition> = (0..self.group.partitions(topic, PATIENCE)?)
            .map(|partition| Partition {
                topic: topic.into(),
                partition,
            })
            .collect();
        Ok(!self.group.committed_of(&all, PATIENCE)?.is_empty())
    }

    fn nothing_sent(&self) -> Result<bool, KafkaError> {
        for topic in self.results {
            for partition in 0..self.group.partitions(topic, PATIENCE)? {
                let p = Partition {
                    topic: topic.as_str().into(),
                    partition,
                };
                if self.group.watermarks(&p, PATIENCE)?.1 > 0 {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn report(partition: &Partition, committed: Option<&Commit>, decided: &Result<Start, Stop>) {
    match decided {
        Ok(start) => {
            let base = start.progress.base();
            let in_doubt = start.progress.doubtful();
            if committed.is_some_and(|c| c.offset > base) {
                warn!(%partition, base, "the topic was created anew: what was known of it is dropped");
            } else {
                info!(%partition, base, in_doubt, "taken over");
            }
        }
        Err(stop) => tracing::error!(%partition, "this partition is not started: {stop}"),
    }
}
