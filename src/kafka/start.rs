//! Where a partition starts when it is taken over.
//!
//! librdkafka's `auto.offset.reset` would answer that silently; here every case is decided
//! on its own (`auto.offset.reset=error`):
//!
//! | committed offset | metadata | start |
//! |---|---|---|
//! | inside the log | ours | there; what was reserved is in doubt |
//! | inside the log | empty | there: an operator's reset; flagged `possible_duplicate` up to the end seen now |
//! | anywhere | unreadable | none: stop and say |
//! | above the end | any; the log is empty | at its end: nothing in it was sent, because nothing is in it |
//! | above the end | ours; the log is younger than what was read | another log: from its beginning, flagged up to the end seen now |
//! | above the end | any other | none: stop and say |
//! | below the beginning | any | none: stop and say |
//! | none, other partitions or topics have one of ours | | a new partition or topic, or an offset that was lost: from its beginning, flagged up to the end seen now |
//! | the same, in a young deployment | | the first start of all: from its beginning |
//! | none of ours anywhere, nothing was ever submitted | | a new deployment: from the beginning |
//! | none of ours anywhere, but something was submitted | | offsets expired or were deleted: stop and say |
//!
//! A flag lasts until the record is finished, whoever owns the partition then: it is committed
//! ([`Progress::suspect_until`]).
//!
//! # Above the end
//!
//! "Above the end" is what the offset, the reservation or a finished record is: a log that ends
//! below what is known of it. Two things look like that. The topic was deleted and created
//! anew; or the log lost its tail (an unclean leader election, a machine that lost power, a
//! restored backup). In the second case all that is there was sent already, and beginning anew
//! would send a week of messages twice. So it is done only where it is proven that none of
//! what is there was ever read: the oldest record is younger than every record read so far, by
//! their own timestamps. Those read are all that lie below the committed offset, and their
//! youngest timestamp is committed with it ([`Progress::newest`]); in a log that merely lost
//! its tail the oldest record is one of them. No clock of this process takes part. Only where
//! records were skipped unread (the group began in the middle of a log) does the time of that
//! start stand for theirs.
//!
//! The topic's id would say the same at once, but the client does not give it out.
//!
//! What cannot be seen: a log that lost its tail, or was created anew, *and* has grown past our
//! position since. What lies between its new beginning and our position is then taken for what
//! was there before. Whoever deletes a topic, or elects a leader that is not in sync, stops the
//! connector first and sets the offset.
//!
//! # No offset
//!
//! That a partition has no offset while others have one says nothing of its age: one that was
//! added has none, and so has one whose offset was deleted or expired. They cannot be told
//! apart, so what is there is flagged, which costs a truly new partition a few flags too many:
//! those of the records written before the group noticed it. At the first start of a
//! deployment, too, some partitions commit before others. Then nothing was submitted
//! until a few minutes ago ([`Facts::young`]).
//!
//! Only an offset with metadata of ours says that the group has not lost all it had. One that
//! an operator has set says nothing of the others: whoever sets one after all were lost would
//! have the others sent again from their beginning. That the operator's becomes ours with the
//! first commit would bring that back with the next start, so the command that sets offsets
//! leaves none missing (`kafka-smpp offsets reset --missing`).
//!
//! # Below the beginning
//!
//! What stood between the committed offset and the beginning of the log is gone, and nothing
//! says what it was. Most likely it was records that nobody read. But a committed offset
//! stands behind the last record, and the mark that ends a producer's transaction stands
//! behind that: where a topic is written in transactions (a replay does it) and then is idle
//! until retention empties it, only marks lay there. Afterwards one deleted record looks like
//! one deleted mark. So whoever owns a partition that rests reads on to its end, and commits
//! that (see [`end`](super::end)). Where nobody did, because no process was there to do it, the
//! partition stops in both cases, and the text names both.
//!
//! # Open transactions
//!
//! The end of a log is its last stable offset: what lies behind it belongs to a transaction
//! that may still be aborted. An offset may stand between the two, because tools that set one to
//! the "end" mean the high watermark. Such a log lost nothing, so the partition waits until the
//! transaction has ended.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use thiserror::Error;

use super::group::{Group, Partition};
use super::notices::OpenTransactionEnded;
use super::progress::{CommitScope, MetadataError, Progress, Restored, metadata};
use super::transaction::Commit;
use super::transactor::end_predecessors;
use crate::codes::{self, ErrorCode};

/// What is known about a partition when it is taken over.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The partition.
    pub partition: &'a Partition,
    /// The cluster's id.
    pub cluster: &'a str,
    /// Its committed offset and metadata.
    pub committed: Option<(i64, &'a str)>,
    /// Whether the group has committed an offset with metadata of ours, for any partition; only
    /// asked if there is none here.
    pub committed_elsewhere: bool,
    /// Whether nothing was ever submitted (the topics of results are empty).
    pub untouched: bool,
    /// Whether nothing was submitted until a few minutes ago: offsets that are missing were
    /// never there.
    pub young: bool,
    /// The first offset whose record is younger than all records read so far, if there is
    /// one and it was asked for; see [`question`].
    pub unread_from: Option<i64>,
    /// First offset of the log.
    pub low: i64,
    /// End of the log, exclusive.
    pub high: i64,
}

/// A decision to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What is known of the partition; sending begins at its base.
    pub progress: Progress,
    /// What was committed, before the takeover put anything in doubt; `None` where nothing
    /// of it counts.
    pub committed: Option<Box<Restored>>,
}

impl Start {
    /// At `base`, where nothing is known to have been sent; records below `suspect_until` are
    /// flagged `possible_duplicate`.
    pub fn fresh(base: i64, suspect_until: i64) -> Self {
        let mut progress = Progress::new(base);
        progress.suspect(suspect_until);
        Start {
            progress,
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
        "the committed offset {offset} lies below the beginning of the log ({low}): records were deleted before they were sent (topic retention); or, if the topic is written in transactions and had nothing left to send, only the marks that end transactions were. To go on with what is left run: kafka-smpp offsets reset --topic {topic} --partition {partition} --to earliest"
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
    /// The log ends below what was read of it.
    #[error(
        "this partition is known up to offset {known} and its log ends at {high}: the log lost its tail (an unclean leader election, a restored backup), or the topic was created anew. Nothing of this partition is sent, because what is there may have been sent already. Decide where it continues and run: kafka-smpp offsets reset --topic {topic} --partition {partition} --to <earliest|latest|OFFSET> (earliest only if the topic was created anew)"
    )]
    AboveLog {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Exclusive end of what is known of the log.
        known: i64,
        /// The end of the log.
        high: i64,
    },
    /// There was progress once, and it is gone.
    #[error(
        "a partition of topic {topic} has no committed offset in this group, yet messages have been submitted: the offsets expired or were deleted (or application_id was changed). Decide where everything that has no offset continues, stop every connector and run: kafka-smpp offsets reset --missing --to <earliest|latest>"
    )]
    Expired {
        /// The topic.
        topic: String,
    },
    /// Kafka did not answer.
    #[error("where this partition stands could not be read: {0}")]
    Unreadable(String),
}

impl Stop {
    /// By which it is explained.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Stop::Metadata { .. } => codes::OFFSET_METADATA,
            Stop::BelowLog { .. } => codes::DELETED_BEFORE_SENT,
            Stop::AboveLog { .. } => codes::LOG_LOST_TAIL,
            Stop::Expired { .. } => codes::OFFSETS_GONE,
            Stop::Unreadable(_) => codes::TAKEOVER_WAITS,
        }
    }
}

/// What must be asked of a log that ends at `high` before it can be decided: from which time on
/// its records are younger than all that were read. `None` if the answer would not matter.
pub fn question(commit: &Commit, cluster: &str, high: i64) -> Option<i64> {
    let scope = CommitScope {
        cluster,
        topic: &commit.topic,
        partition: commit.partition,
    };
    let restored = metadata::decode(commit.offset, &commit.metadata, &scope).ok()?;
    if known(&restored.progress) > high {
        restored.progress.newest()?.checked_add(1)
    } else {
        None
    }
}

/// Whether the group itself has made this commit: nobody else writes its metadata.
pub fn is_ours(commit: &Commit, cluster: &str) -> bool {
    let scope = CommitScope {
        cluster,
        topic: &commit.topic,
        partition: commit.partition,
    };
    metadata::decode(commit.offset, &commit.metadata, &scope).is_ok()
}

/// Exclusive end of what is known of the log.
fn known(progress: &Progress) -> i64 {
    progress.known_end().max(progress.reserved())
}

/// Decides where a partition starts.
pub fn decide(facts: &Facts<'_>) -> Result<Start, Stop> {
    let topic = || facts.partition.topic.to_string();
    let partition = facts.partition.partition;
    let Some((offset, line)) = facts.committed else {
        return without_offset(facts);
    };
    let restored = if line.is_empty() {
        None
    } else {
        Some(restore(facts, offset, line)?)
    };
    let known = restored.as_ref().map_or(offset, |r| known(&r.progress));
    if known > facts.high {
        return if facts.low == facts.high {
            Ok(Start::fresh(facts.low, facts.low))
        } else if facts.unread_from == Some(facts.low) {
            Ok(Start::fresh(facts.low, facts.high))
        } else {
            Err(Stop::AboveLog {
                topic: topic(),
                partition,
                known,
                high: facts.high,
            })
        };
    }
    // Even where the log is empty: what retention took may have been records nobody read.
    if offset < facts.low {
        return Err(Stop::BelowLog {
            topic: topic(),
            partition,
            offset,
            low: facts.low,
        });
    }
    Ok(match restored {
        None => Start::fresh(offset, facts.high),
        Some(restored) => {
            let mut progress = restored.progress.clone();
            progress.take_over(facts.high);
            Start {
                progress,
                committed: Some(Box::new(restored)),
            }
        }
    })
}

/// Where a partition starts of which nothing is committed.
fn without_offset(facts: &Facts<'_>) -> Result<Start, Stop> {
    let suspect_until = if facts.committed_elsewhere {
        // One that came to the group later, or whose offset was lost.
        if facts.young { facts.low } else { facts.high }
    } else if facts.untouched {
        facts.low
    } else {
        return Err(Stop::Expired {
            topic: facts.partition.topic.to_string(),
        });
    };
    Ok(Start::fresh(facts.low, suspect_until))
}

fn restore(facts: &Facts<'_>, offset: i64, line: &str) -> Result<Restored, Stop> {
    let scope = CommitScope {
        cluster: facts.cluster,
        topic: &facts.partition.topic,
        partition: facts.partition.partition,
    };
    metadata::decode(offset, line, &scope).map_err(|reason| Stop::Metadata {
        topic: facts.partition.topic.to_string(),
        partition: facts.partition.partition,
        offset,
        reason,
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
    pub timeout: Duration,
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
    let deadline = Instant::now() + reading.timeout;
    if let Ok(found) = group.committed_of(partitions, reading.suspicion) {
        return Ok(found);
    }
    for transactional_id in transactional_ids(group, partitions)? {
        if transactional_id == reading.own {
            continue;
        }
        let writer = &*transactional_id;
        if end_predecessors(&reading.producer, writer, Duration::from_secs(10)) {
            OpenTransactionEnded { writer }.emit();
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

fn transactional_ids(group: &Group, partitions: &[Partition]) -> Result<Vec<String>, KafkaError> {
    let mut transactional_ids = Vec::new();
    let undecided = group.undecided()?;
    for commit in undecided.committed_of(partitions, Duration::from_secs(5))? {
        let scope = CommitScope {
            cluster: group.cluster_id(),
            topic: &commit.topic,
            partition: commit.partition,
        };
        if let Ok(last) = metadata::decode(commit.offset, &commit.metadata, &scope)
            && !transactional_ids.contains(&last.transactional_id)
        {
            transactional_ids.push(last.transactional_id);
        }
    }
    Ok(transactional_ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(p: &'a Partition, committed: Option<(i64, &'a str)>) -> Facts<'a> {
        Facts {
            partition: p,
            cluster: "c",
            committed,
            committed_elsewhere: false,
            untouched: false,
            young: false,
            unread_from: None,
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
            &CommitScope {
                cluster: "c",
                topic: "sms.outbound",
                partition: 0,
            },
            "w",
            1,
        )
    }

    /// Where it begins, and up to where it is flagged.
    fn flagged(start: &Start) -> (i64, i64) {
        (start.progress.base(), start.progress.suspect_until())
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
        assert_eq!(flagged(&start), (120, 200));
    }

    #[test]
    fn a_flag_is_not_forgotten_with_the_first_commit() {
        let p = partition();
        let mut progress = decide(&facts(&p, Some((120, "")))).unwrap().progress;
        // The first owner's commits; then the partition moves.
        let next = decide(&facts(&p, Some((120, &written(&progress))))).unwrap();
        assert_eq!(flagged(&next), (120, 200));
        progress.finish_range(120, 150);
        let next = decide(&facts(&p, Some((150, &written(&progress))))).unwrap();
        assert_eq!(flagged(&next), (150, 200));
        // What came since the reset is not what it was about.
        let grown = Facts {
            high: 300,
            ..facts(&p, None)
        };
        progress.finish_range(150, 230);
        let line = written(&progress);
        let next = decide(&Facts {
            committed: Some((230, &line)),
            ..grown
        });
        assert_eq!(flagged(&next.unwrap()), (230, 230));
    }

    /// What is decided when the log ends at 3 although more was read of it.
    fn shrunk(
        line: &str,
        committed: i64,
        low: i64,
        unread_from: Option<i64>,
    ) -> Result<Start, Stop> {
        decide(&Facts {
            low,
            high: 3,
            unread_from,
            ..facts(&partition(), Some((committed, line)))
        })
    }

    #[test]
    fn a_log_is_another_if_all_of_it_is_younger_than_what_was_read() {
        let line = written(&Progress::new(5000));
        let start = shrunk(&line, 5000, 0, Some(0)).unwrap();
        assert_eq!(flagged(&start), (0, 3));
        let start = shrunk(&line, 5000, 1, Some(1)).unwrap();
        assert_eq!(flagged(&start), (1, 3));
        // Nothing is there that could be sent a second time.
        for line in [&*line, ""] {
            assert_eq!(flagged(&shrunk(line, 5000, 3, None).unwrap()), (3, 3));
        }
    }

    #[test]
    fn a_log_that_lost_its_tail_is_not_sent_again() {
        let (mut reserved, mut finished) = (Progress::new(2), Progress::new(2));
        reserved.reserve(4);
        finished.finish(3);
        for (committed, progress) in [(4, Progress::new(4)), (2, reserved), (2, finished)] {
            let line = written(&progress);
            for unread_from in [None, Some(1), Some(2)] {
                let stop = shrunk(&line, committed, 0, unread_from).unwrap_err();
                let text = stop.to_string();
                assert!(text.contains("offsets reset --topic sms.outbound --partition 0"));
                assert!(matches!(
                    stop,
                    Stop::AboveLog {
                        known: 4,
                        high: 3,
                        ..
                    }
                ));
            }
        }
        assert!(matches!(shrunk("", 4, 0, None), Err(Stop::AboveLog { .. })));
        // An offset of another cluster, whose records are still to be copied here.
        let foreign = written(&Progress::new(9));
        assert!(matches!(
            shrunk(&foreign, 8, 3, None),
            Err(Stop::Metadata { .. })
        ));
    }

    #[test]
    fn the_log_is_asked_only_if_it_ends_too_early() {
        let mut progress = Progress::new(150);
        let commit = |progress: &Progress| Commit {
            topic: "sms.outbound".into(),
            partition: 0,
            offset: 150,
            metadata: written(progress),
        };
        assert_eq!(
            question(&commit(&progress), "c", 149),
            None,
            "nothing was read"
        );
        progress.read(1000);
        progress.read(900);
        assert_eq!(question(&commit(&progress), "c", 150), None);
        assert_eq!(question(&commit(&progress), "c", 149), Some(1001));
        progress.reserve(155);
        assert_eq!(question(&commit(&progress), "c", 154), Some(1001));
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
    fn an_offset_that_is_missing_may_have_been_lost() {
        let p = partition();
        let begun = |committed_elsewhere, untouched, young| {
            let start = decide(&Facts {
                committed_elsewhere,
                untouched,
                young,
                ..facts(&p, None)
            });
            start.map(|start| flagged(&start))
        };
        assert_eq!(begun(true, false, false), Ok((100, 200)));
        assert_eq!(begun(true, false, true), Ok((100, 100)), "first start");
        assert_eq!(begun(false, true, true), Ok((100, 100)));
        let expired = Stop::Expired {
            topic: "sms.outbound".into(),
        };
        assert_eq!(begun(false, false, true), Err(expired));
    }

    #[test]
    fn only_a_commit_of_ours_tells_that_not_all_offsets_were_lost() {
        let commit = |metadata: &str| Commit {
            topic: "sms.outbound".into(),
            partition: 0,
            offset: 150,
            metadata: metadata.into(),
        };
        let ours = commit(&written(&Progress::new(150)));
        assert!(is_ours(&ours, "c"));
        assert!(!is_ours(&ours, "another cluster"));
        assert!(!is_ours(&commit(""), "c"), "an operator has set it");
        assert!(!is_ours(&commit("moved by hand"), "c"));
    }

    #[test]
    fn foreign_metadata_stops_the_partition() {
        let p = partition();
        let stop = decide(&facts(&p, Some((150, "moved by hand")))).unwrap_err();
        assert!(matches!(stop, Stop::Metadata { offset: 150, .. }));
    }
}
