//! What is known of the group besides a partition's own offset.
//!
//! A partition without an offset needs it: see [`start`](crate::kafka::start). It is the same for
//! all of them, and a first start has hundreds; their questions go over the connections that
//! carry the heartbeats of the membership. So one asks for all that wait meanwhile, or come within
//! [`FRESH`].
//!
//! # An answer that is some seconds old
//!
//! It may be from before the partition was found to have no offset. Its owner commits an
//! offset for it before it sends anything of it, so nothing of it had been sent when it was
//! found to have none.
//!
//! - *Nothing was ever sent, and nothing is committed.* Nothing of this partition was sent
//!   before the answer, and nothing after it: it would have an offset.
//! - *Something is committed.* An offset of ours does not vanish within seconds; and if all
//!   did, what is there is flagged, unless the deployment is young.
//! - *Something was sent, and nothing is committed.* Then offsets were lost, provided that what
//!   is committed was asked after what was sent, by a read that waits for open transactions: such a
//!   read sees the first commit of a group if its results are seen. It stops a partition, so it
//!   is told to nobody who comes later ([`Known::lasts`]).
//! - *Young.* It is counted from the answer, which is a few seconds of [`YOUTH`].

use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::error::KafkaError;

use crate::kafka::start::is_ours;
use crate::kafka::transaction::Commit;
use crate::kafka::{ErrorClass, Group, Partition};

/// How long one question to Kafka may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A deployment that submitted nothing until so long ago is young: see
/// [`Facts::young`](crate::kafka::start::Facts::young).
const YOUTH: Duration = Duration::from_secs(600);

/// An answer that was asked for no longer ago than this serves whoever needs one.
const FRESH: Duration = Duration::from_secs(10);

/// The group and its topics, and what was last found out about them.
#[derive(Debug)]
pub struct Surroundings {
    consumed: Vec<String>,
    results: Vec<String>,
    last: Shared<Known>,
}

/// What is known of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whether it has made a commit, over all topics it consumes. What an operator has set is
    /// none.
    pub committed: bool,
    /// Whether nothing was ever sent.
    pub untouched: bool,
    /// Whether it has made a commit, and nothing was sent until a few minutes ago.
    pub young: bool,
}

impl Known {
    /// Whether it may be told to who asks later. That offsets were lost stops a partition until
    /// the next rebalance, so it is asked about again.
    fn lasts(&self) -> bool {
        self.committed || self.untouched
    }
}

impl Surroundings {
    /// Of a group that consumes the topics `consumed`; `results` are those that hold something
    /// as soon as anything was ever sent.
    pub fn new(consumed: Vec<String>, results: Vec<String>) -> Self {
        Surroundings {
            consumed,
            results,
            last: Shared::default(),
        }
    }

    /// What is known of the group, as one found out who asked within [`FRESH`], or while this
    /// one waited.
    pub fn known(&self, group: &Group) -> Result<Known, KafkaError> {
        self.last.get(FRESH, Known::lasts, || self.ask(group))
    }

    fn ask(&self, group: &Group) -> Result<Known, KafkaError> {
        // What is committed by a transaction that is still open does not count, and need not
        // be waited for: other processes commit all the time.
        // One client asks about all topics: one for each took a process with 64 of them nine seconds.
        let undecided = group.undecided()?;
        let before = self.committed(group, |all| undecided.committed_of(all, PATIENCE))?;
        drop(undecided);
        let untouched = !before && self.nothing_sent(group)?;
        // Another process may have made the group's first commit since it was asked: its
        // results are visible, and so is that commit, made with them.
        let stable = |all: &[Partition]| group.committed_of(all, PATIENCE);
        let committed = before || (!untouched && self.committed(group, stable)?);
        Ok(Known {
            committed,
            untouched,
            young: committed && self.is_young(group)?,
        })
    }

    fn committed(
        &self,
        group: &Group,
        read: impl Fn(&[Partition]) -> Result<Vec<Commit>, KafkaError>,
    ) -> Result<bool, KafkaError> {
        let cluster = group.cluster_id();
        let mut failed = None;
        // One topic that cannot be asked about says nothing of the others.
        for topic in &self.consumed {
            let found = match partitions_of(group, topic) {
                // A topic that is not there has nothing committed either.
                Err(error) if ErrorClass::of_error(&error).is_absent() => continue,
                all => all.and_then(|all| read(&all)),
            };
            match found {
                Ok(found) if found.iter().any(|commit| is_ours(commit, cluster)) => {
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    fn nothing_sent(&self, group: &Group) -> Result<bool, KafkaError> {
        self.all_results(group, |_, end| Ok(end == 0))
    }

    /// Whether the topics of results begin with records of the last minutes.
    fn is_young(&self, group: &Group) -> Result<bool, KafkaError> {
        let born = (Timestamp::now() - YOUTH).as_millisecond();
        self.all_results(group, |p, end| {
            Ok(end == 0 || group.first_since(p, born, PATIENCE)? == Some(0))
        })
    }

    /// Whether `holds` of every partition of results, by its end.
    fn all_results(
        &self,
        group: &Group,
        holds: impl Fn(&Partition, i64) -> Result<bool, KafkaError>,
    ) -> Result<bool, KafkaError> {
        for topic in &self.results {
            for p in partitions_of(group, topic)? {
                let (_, end) = group.watermarks(&p, PATIENCE)?;
                if !holds(&p, end)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn partitions_of(group: &Group, topic: &str) -> Result<Vec<Partition>, KafkaError> {
    let all = (0..group.partitions(topic, PATIENCE)?).map(|partition| Partition {
        topic: topic.into(),
        partition,
    });
    Ok(all.collect())
}

/// An answer that several share who ask at about the same time.
#[derive(Debug)]
struct Shared<T>(Mutex<Option<Answer<T>>>);

#[derive(Debug)]
struct Answer<T> {
    /// When it was asked for.
    asked: Instant,
    /// When it came.
    came: Instant,
    result: Result<T, KafkaError>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared(Mutex::new(None))
    }
}

impl<T: Clone> Shared<T> {
    /// What was asked for within `fresh`, if it is one that `lasts`, or what `ask` says now.
    /// While one asks the others wait for it and have what it has, however long that took, and
    /// its error, too: not each the next time-out.
    fn get(
        &self,
        fresh: Duration,
        lasts: impl Fn(&T) -> bool,
        ask: impl FnOnce() -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let entered = Instant::now();
        let mut last = self.0.lock();
        if let Some(answer) = &*last {
            let lasts = answer.result.as_ref().is_ok_and(&lasts);
            if answer.came >= entered || (lasts && answer.asked.elapsed() <= fresh) {
                return answer.result.clone();
            }
        }
        let asked = Instant::now();
        let result = ask();
        *last = Some(Answer {
            asked,
            came: Instant::now(),
            result: result.clone(),
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Barrier};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// How often it is asked when so many want an answer at the same time.
    fn asked_by(many: usize, result: Result<u8, KafkaError>) -> usize {
        let (shared, times) = (Shared::default(), AtomicUsize::new(0));
        let (all, began) = (Barrier::new(many), Arc::new(Barrier::new(2)));
        let ask = || {
            if times.fetch_add(1, SeqCst) == 0 {
                began.wait();
            }
            result.clone()
        };
        std::thread::scope(|scope| {
            let get = || {
                all.wait();
                assert_eq!(shared.get(LONG, |_| true, ask), result);
            };
            for _ in 0..many {
                scope.spawn(get);
            }
            // The first is answered when the others have had time to come.
            std::thread::sleep(Duration::from_millis(200));
            began.wait();
        });
        times.load(SeqCst)
    }

    #[test]
    fn one_asks_for_all_that_wait() {
        assert_eq!(asked_by(40, Ok(7)), 1);
    }

    #[test]
    fn those_that_wait_have_the_error_of_the_one_that_asks() {
        assert_eq!(asked_by(40, Err(KafkaError::Canceled)), 1);
    }

    #[test]
    fn an_answer_serves_while_it_is_fresh_and_an_error_nobody_who_comes_later() {
        let shared = Shared::default();
        let answer = |n| move || Ok::<i32, KafkaError>(n);
        assert_eq!(shared.get(LONG, |_| true, answer(1)), Ok(1));
        assert_eq!(shared.get(LONG, |_| true, answer(2)), Ok(1));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(
            shared.get(Duration::from_millis(1), |_| true, answer(3)),
            Ok(3)
        );
        std::thread::sleep(Duration::from_millis(2));
        let fails = || Err(KafkaError::Canceled);
        assert_eq!(
            shared.get(Duration::from_millis(1), |_| true, fails),
            Err(KafkaError::Canceled)
        );
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(shared.get(LONG, |_| true, answer(4)), Ok(4));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(
            shared.get(LONG, |n| *n != 4, answer(5)),
            Ok(5),
            "does not last"
        );
    }
}
