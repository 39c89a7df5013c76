//! Taking over a partition: what its predecessor left, and where it starts.
//!
//! Runs on a thread of its own, because reading what is committed may have to wait for a
//! dead predecessor's transaction.

use std::time::Duration;

use jiff::Timestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::codes;
use crate::kafka::start::{Facts, Reading, Start, Stop, committed_stable, decide, question};
use crate::kafka::transaction::Commit;
use crate::kafka::{For, Group, Partition, Waiting};
use crate::record::notification::{self, Notification, count, millis};
use crate::submit::notices::{TakenOver, TakenOverInDoubt, TopicCreatedAnew};
use crate::submit::ownership::surroundings::{Known, Surroundings};

/// How long one question to Kafka may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log that ends too early is looked at so often, with pauses, before it is believed: a new
/// leader may need a moment to know how far it has come.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// A partition, where it starts or why it does not, and what is committed for it.
pub struct Decided {
    /// The partition.
    pub partition: Partition,
    /// Where it starts.
    pub start: Result<Start, Stop>,
    /// Its commit, as it was found.
    pub committed: Option<Commit>,
}

impl Decided {
    /// What is told of it when it begins, by the process whose transactional.id is `own`.
    pub fn beginning(&self, own: &str) -> Option<Beginning> {
        let start = self.start.as_ref().ok()?;
        let last = start.committed.as_ref().map(|last| &*last.transactional_id);
        let other = last.filter(|last| *last != own);
        Some(Beginning {
            partition: self.partition.clone(),
            offset: start.progress.base(),
            in_doubt: start.progress.doubtful(),
            // The process's name has no dot.
            from: other.and_then(|other| Some(other.rsplit_once('.')?.1.to_owned())),
        })
    }
}

/// A partition that was taken over, as it is told.
pub struct Beginning {
    partition: Partition,
    offset: i64,
    in_doubt: usize,
    from: Option<String>,
}

impl Beginning {
    /// The event about it, of an ESME's partition that was assigned so long ago.
    pub fn event<'a>(&'a self, esme: &'a str, took: Duration) -> Notification<'a> {
        Notification {
            esme,
            takeover: Some(notification::Takeover {
                topic: &self.partition.topic,
                partition: self.partition.partition,
                offset: self.offset,
                in_doubt: count(self.in_doubt),
                took_ms: millis(took),
                from: self.from.as_deref(),
            }),
            ..Notification::now("Takeover")
        }
    }
}

/// What is needed to take partitions over.
pub struct Takeover<'a> {
    /// The membership.
    pub group: &'a Group,
    /// How a stable read goes about open transactions.
    pub reading: &'a Reading,
    /// What is known of it besides a partition's own offset.
    pub surroundings: &'a Surroundings,
    /// What is said of partitions that wait.
    pub waiting: &'a Waiting,
}

impl Takeover<'_> {
    /// Decides where each of `partitions` starts; an error means that Kafka could not be
    /// asked, and that it should be tried again.
    pub fn starts(&self, partitions: &[Partition]) -> Result<Vec<Decided>, KafkaError> {
        let mut committed = committed_stable(self.group, partitions, self.reading)?;
        let mut starts = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let own = committed
                .iter()
                .position(|c| c.partition == partition.partition && c.topic == partition.topic)
                .map(|at| committed.swap_remove(at));
            let start = self.start(partition, own.as_ref())?;
            self.report(partition, own.as_ref(), &start);
            starts.push(Decided {
                partition: partition.clone(),
                start,
                committed: own,
            });
        }
        Ok(starts)
    }

    fn start(
        &self,
        partition: &Partition,
        own: Option<&Commit>,
    ) -> Result<Result<Start, Stop>, KafkaError> {
        let known = match own {
            Some(_) => Known {
                committed: true,
                untouched: false,
                young: false,
            },
            None => self.surroundings.known(self.group)?,
        };
        let mut decided = self.look(partition, own, known)?;
        for _ in 1..LOOKS {
            if !matches!(decided, Err(Stop::AboveLog { .. })) {
                break;
            }
            std::thread::sleep(PAUSE);
            decided = self.look(partition, own, known)?;
        }
        if let Err(Stop::AboveLog { known, .. }) = decided
            && known <= self.group.unstable_end(partition, PATIENCE)?
        {
            self.waiting.note(
                partition,
                For {
                    code: codes::PRODUCERS_TRANSACTION,
                    what: "the offset to start from lies in a transaction of a producer that is still open; its end is waited for, at the latest that of the producer's transaction.timeout.ms",
                },
                format!("offset {known}"),
            );
            return Err(KafkaError::OffsetFetch(
                RDKafkaErrorCode::UnstableOffsetCommit,
            ));
        }
        Ok(decided)
    }

    /// One look at the log.
    fn look(
        &self,
        partition: &Partition,
        own: Option<&Commit>,
        known: Known,
    ) -> Result<Result<Start, Stop>, KafkaError> {
        let (low, high) = self.group.watermarks(partition, PATIENCE)?;
        let question = own.and_then(|own| question(own, self.group.cluster_id(), high));
        let unread_from = match question {
            Some(since) => self.group.first_since(partition, since, PATIENCE)?,
            None => None,
        };
        let mut decided = decide(&Facts {
            partition,
            cluster: self.group.cluster_id(),
            committed: own.map(|c| (c.offset, c.metadata.as_str())),
            committed_elsewhere: known.committed,
            untouched: known.untouched,
            young: known.young,
            unread_from,
            low,
            high,
        });
        if let Ok(start) = &mut decided
            && start.progress.newest().is_none()
            && start.progress.base() > low
        {
            // What lies below was read by nobody who told, but not after now.
            start.progress.read(Timestamp::now().as_millisecond());
        }
        Ok(decided)
    }

    fn report(
        &self,
        partition: &Partition,
        committed: Option<&Commit>,
        decided: &Result<Start, Stop>,
    ) {
        match decided {
            Ok(start) => {
                let base = start.progress.base();
                let in_doubt = start.progress.doubtful();
                if committed.is_some_and(|c| c.offset > base) {
                    let base = Some(base);
                    TopicCreatedAnew {
                        partition,
                        base,
                        next: None,
                        high: None,
                    }
                    .emit();
                } else if in_doubt > 0 {
                    TakenOverInDoubt {
                        partition,
                        base,
                        in_doubt,
                    }
                    .emit();
                } else {
                    TakenOver { partition, base }.emit();
                }
            }
            Err(stop) => {
                let what = format!("this partition is not started: {stop}");
                let (code, what) = (stop.code(), &*what);
                self.waiting.stand(partition, For { code, what });
            }
        }
    }
}
