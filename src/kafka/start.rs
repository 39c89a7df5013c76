//! Where a partition starts when it is taken over.
//!
//! librdkafka's `auto.offset.reset` would answer that silently; here every case is decided
//! on its own (`auto.offset.reset=error`):
//!
//! | committed offset | metadata | start |
//! |---|---|---|
//! | inside the log | ours | there; what was reserved is in doubt |
//! | inside the log | empty | there: an operator's reset; flagged `possible_duplicate` up to the end seen now |
//! | inside the log | unreadable | none: stop and say |
//! | above the end | any | the topic was recreated: from its beginning, flagged up to the end seen now |
//! | below the beginning | any | none: stop and say |
//! | none, other partitions of the topic have one | | a new partition: from its beginning |
//! | none, other topics have one | | a new topic: from its beginning, flagged `possible_duplicate` up to the end seen now |
//! | none anywhere, nothing was ever submitted | | a new deployment: from the beginning |
//! | none anywhere, but something was submitted | | offsets expired or were deleted: stop and say |

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use thiserror::Error;
use tracing::{info, warn};

use super::group::{Group, Partition};
use super::progress::{Identity, MetadataError, Progress, Restored, metadata};
use super::transactor::{Commit, end_hanging};

/// What is known about a partition when it is taken over.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The partition.
    pub partition: &'a Partition,
    /// The cluster's id.
    pub cluster: &'a str,
    /// Its committed offset and metadata.
    pub committed: Option<(i64, &'a str)>,
    /// Where else the group has committed an offset; only asked if there is none here.
    pub committed_elsewhere: Elsewhere,
    /// Whether nothing was ever submitted (the correlation topic is empty).
    pub untouched: bool,
    /// First offset of the log.
    pub low: i64,
    /// End of the log, exclusive.
    pub high: i64,
}

/// Where a group has committed offsets besides the partition in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// For another partition of the same topic.
    SameTopic,
    /// For partitions of other topics only.
    OtherTopic,
    /// For none.
    Nowhere,
}

/// A decision to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What is known of the partition; sending begins at its base.
    pub progress: Progress,
    /// Records below this offset are sent as new but flagged `possible_duplicate`.
    pub suspect_until: i64,
    /// What was committed, before the takeover put anything in doubt; `None` where nothing
    /// of it counts.
    pub committed: Option<Box<Restored>>,
}

impl Start {
    /// At `base`, where nothing is known to have been sent.
    pub fn fresh(base: i64, suspect_until: i64) -> Self {
        Start {
            progress: Progress::new(base),
            suspect_until,
            committed: None,
        }
    }
}

/// Why a partition does not start. Its text names the remedy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Stop {
    /// The committed offset's metadata cannot be believed.
    #[error(
        "the metadata of the committed offset {offset} cannot be used: {reason}. Nothing of this partition is sent, because it is not known what was sent already. Decide where it continues and run: kafka-smpp offsets reset --topic {topic} --partition {partition} --to <earliest|latest|OFFSET>"
    )]
    Metadata {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The committed offset.
        offset: i64,
        /// What is wrong with the metadata.
        reason: MetadataError,
    },
    /// Unfinished records were deleted from the log.
    #[error(
        "the committed offset {offset} lies below the beginning of the log ({low}): records were deleted before they were sent (topic retention). To go on with what is left run: kafka-smpp offsets reset --topic {topic} --partition {partition} --to earliest"
    )]
    BelowLog {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The committed offset.
        offset: i64,
        /// The first offset of the log.
        low: i64,
    },
    /// There was progress once, and it is gone.
    #[error(
        "topic {topic} has no committed offset in this group, yet messages have been submitted: the offsets expired or were deleted (or application_id was changed). Decide where to continue and run: kafka-smpp offsets reset --topic {topic} --to <earliest|latest>"
    )]
    Expired {
        /// The topic.
        topic: String,
    },
    /// Kafka did not answer.
    #[error("where this partition stands could not be read: {0}")]
    Unreadable(String),
}

/// Decides where a partition starts.
pub fn decide(facts: &Facts<'_>) -> Result<Start, Stop> {
    let topic = || facts.partition.topic.to_string();
    let Some((offset, line)) = facts.committed else {
        let suspect_until = match facts.committed_elsewhere {
            Elsewhere::SameTopic => facts.low,
            Elsewhere::Nowhere if facts.untouched => facts.low,
            // A topic that came to the group later, or one that was away for so long that its
            // offsets expired.
            Elsewhere::OtherTopic => facts.high,
            Elsewhere::Nowhere => return Err(Stop::Expired { topic: topic() }),
        };
        return Ok(Start::fresh(facts.low, suspect_until));
    };
    // Created anew; after an unclean leader election it would look the same, so what is there
    // now is flagged.
    let recreated = || Start::fresh(facts.low, facts.high);
    if offset > facts.high {
        return Ok(recreated());
    }
    let below = || Stop::BelowLog {
        topic: topic(),
        partition: facts.partition.partition,
        offset,
        low: facts.low,
    };
    if line.is_empty() {
        return match offset < facts.low {
            true => Err(below()),
            false => Ok(Start::fresh(offset, facts.high)),
        };
    }
    let identity = Identity {
        cluster: facts.cluster,
        topic: &facts.partition.topic,
        partition: facts.partition.partition,
    };
    let restored = metadata::decode(offset, line, &identity).map_err(|reason| Stop::Metadata {
        topic: topic(),
        partition: facts.partition.partition,
        offset,
        reason,
    })?;
    let mut progress = restored.progress.clone();
    if progress.known_end() > facts.high || progress.reserved() > facts.high {
        return Ok(recreated());
    }
    // Even where the log is empty: what retention took may have been records nobody read.
    if offset < facts.low {
        return Err(below());
    }
    progress.take_over();
    Ok(Start {
        progress,
        suspect_until: offset,
        committed: Some(Box::new(restored)),
    })
}

/// How a stable read goes about open transactions.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Properties for a producer that ends a hanging transaction.
    pub producer: ClientConfig,
    /// How long to wait before ending a hanging transaction (2 s).
    pub suspicion: Duration,
    /// How long to wait in all (25 s: a transaction time-out and more).
    pub patience: Duration,
    /// Our own transactional.id, never to be ended.
    pub own: String,
}

/// Reads what is committed for `partitions`, waiting until it is stable. When a dead
/// predecessor's transaction holds it up, that transaction is ended: the metadata names its
/// producer.
pub fn committed_stable(
    group: &Group,
    partitions: &[Partition],
    reading: &Reading,
) -> Result<Vec<Commit>, KafkaError> {
    let deadline = Instant::now() + reading.patience;
    if let Ok(found) = group.committed_of(partitions, reading.suspicion) {
        return Ok(found);
    }
    for writer in writers(group, partitions)? {
        if writer == reading.own {
            continue;
        }
        warn!(
            writer,
            "a predecessor's transaction is still open; ending it"
        );
        match end_hanging(&reading.producer, &writer, Duration::from_secs(10)) {
            Ok(()) => info!(writer, "ended"),
            Err(error) => warn!(writer, %error, "not ended; waiting for its time-out"),
        }
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match group.committed_of(partitions, left.min(Duration::from_secs(5))) {
            Ok(found) => return Ok(found),
            Err(error) if left.is_zero() => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn writers(group: &Group, partitions: &[Partition]) -> Result<Vec<String>, KafkaError> {
    let mut writers = Vec::new();
    for commit in group.committed_unstable(partitions, Duration::from_secs(5))? {
        let identity = Identity {
            cluster: group.cluster_id(),
            topic: &commit.topic,
            partition: commit.partition,
        };
        if let Ok(last) = metadata::decode(commit.offset, &commit.metadata, &identity)
            && !writers.contains(&last.writer)
        {
            writers.push(last.writer);
        }
    }
    Ok(writers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(p: &'a Partition, committed: Option<(i64, &'a str)>) -> Facts<'a> {
        Facts {
            partition: p,
            cluster: "c",
            committed,
            committed_elsewhere: Elsewhere::Nowhere,
            untouched: false,
            low: 100,
            high: 200,
        }
    }

    fn partition() -> Partition {
        Partition {
            topic: "sms.outbound".into(),
            partition: 0,
        }
    }

    fn written(progress: &Progress) -> String {
        metadata::encode(
            progress,
            &Identity {
                cluster: "c",
                topic: "sms.outbound",
                partition: 0,
            },
            "w",
            1,
        )
    }

    #[test]
    fn our_own_metadata_puts_what_was_reserved_in_doubt() {
        let mut before = Progress::new(150);
        before.reserve(153);
        before.finish(151);
        let p = partition();
        let start = decide(&facts(&p, Some((150, &written(&before))))).unwrap();
        assert_eq!(
            (150..154)
                .map(|o| start.progress.attempts(o))
                .collect::<Vec<_>>(),
            [1, 0, 1, 0]
        );
        assert!(start.progress.is_finished(151));
    }

    #[test]
    fn an_operators_reset_flags_what_is_there_now() {
        let p = partition();
        let start = decide(&facts(&p, Some((120, "")))).unwrap();
        assert_eq!((start.progress.base(), start.suspect_until), (120, 200));
    }

    #[test]
    fn a_recreated_topic_begins_anew() {
        let p = partition();
        let line = written(&Progress::new(5000));
        let start = decide(&Facts {
            low: 0,
            high: 3,
            ..facts(&p, Some((5000, &line)))
        })
        .unwrap();
        assert_eq!((start.progress, start.suspect_until), (Progress::new(0), 3));
    }

    #[test]
    fn deleted_records_stop_the_partition() {
        let p = partition();
        let line = written(&Progress::new(50));
        let stop = decide(&facts(&p, Some((50, &line)))).unwrap_err();
        assert!(
            stop.to_string()
                .contains("offsets reset --topic sms.outbound --partition 0")
        );
    }

    #[test]
    fn missing_offsets_are_new_partitions_or_expired_ones() {
        let p = partition();
        let new = decide(&Facts {
            committed_elsewhere: Elsewhere::SameTopic,
            ..facts(&p, None)
        })
        .unwrap();
        assert_eq!((new.progress.base(), new.suspect_until), (100, 100));
        let added = decide(&Facts {
            committed_elsewhere: Elsewhere::OtherTopic,
            ..facts(&p, None)
        })
        .unwrap();
        assert_eq!((added.progress.base(), added.suspect_until), (100, 200));
        let fresh = decide(&Facts {
            untouched: true,
            ..facts(&p, None)
        })
        .unwrap();
        assert_eq!(fresh.progress.base(), 100);
        assert_eq!(
            decide(&facts(&p, None)),
            Err(Stop::Expired {
                topic: "sms.outbound".into()
            })
        );
    }

    #[test]
    fn foreign_metadata_stops_the_partition() {
        let p = partition();
        let stop = decide(&facts(&p, Some((150, "moved by hand")))).unwrap_err();
        assert!(matches!(stop, Stop::Metadata { offset: 150, .. }));
    }
}
