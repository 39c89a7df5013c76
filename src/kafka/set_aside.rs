//! Partitions whose results a topic refuses.
//!
//! One transaction carries the results of all partitions, so one record that its topic does not
//! take would hold up everybody. A partition that it belongs to, and whose results cannot be
//! replaced by others, is therefore *set aside*: it has no part in transactions, and the others
//! go on. After a pause that grows each time it is tried in a transaction of its own; once that
//! is committed, it has part again.
//!
//! What refuses is either a topic, whatever the record (it is missing, or closed to us): then all
//! partitions with results for it wait together, and one trial answers for all. Or it is about
//! the record: then its partition waits alone.
//!
//! All results of a partition stay together, with its offset: a transaction has everything known
//! of a partition in it, or nothing. So a partition that is set aside is only late.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pause::Pause;

/// The partitions that are set aside, each by a key of its own: see the [module](self).
#[derive(Debug)]
pub struct SetAside<K> {
    groups: Vec<Refused<K>>,
    /// Which of them the transaction under way is about; the others' if none.
    trial: Option<usize>,
}

/// Partitions that wait for the same reason.
#[derive(Debug)]
struct Refused<K> {
    topic: Arc<str>,
    /// Whether it is about a record, not about the topic.
    record: bool,
    partitions: BTreeSet<K>,
    pause: Pause,
    /// When it was tried last.
    tried: Instant,
    due: Instant,
}

/// What is refused, and what is to happen then.
#[derive(Debug)]
pub struct Refusal<K> {
    /// The topic that refuses.
    pub topic: Arc<str>,
    /// Whether it is about one record; otherwise about whatever goes to the topic.
    pub record: bool,
    /// The partitions concerned.
    pub partitions: BTreeSet<K>,
}

impl<K> Default for SetAside<K> {
    fn default() -> Self {
        SetAside {
            groups: Vec::new(),
            trial: None,
        }
    }
}

impl<K: Ord + Clone> SetAside<K> {
    /// Decides which partitions the transaction about to begin is for: those of a group whose
    /// time has come, or all that are not set aside.
    pub fn begin(&mut self, now: Instant) {
        let due = self.groups.iter().enumerate().filter(|(_, g)| g.due <= now);
        self.trial = due.min_by_key(|(_, group)| group.due).map(|(at, _)| at);
    }

    /// Whether the partition has part in that transaction.
    pub fn takes_part(&self, partition: &K) -> bool {
        match self.trial {
            Some(at) => self.groups[at].partitions.contains(partition),
            None => !self.is_held(partition),
        }
    }

    /// Whether that transaction is only for partitions that are set aside.
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether the partition is set aside.
    pub fn is_held(&self, partition: &K) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.partitions.contains(partition))
    }

    /// The transaction was committed. Returns the topic and the partitions that have part again,
    /// if it was about such.
    pub fn committed(&mut self) -> Option<(Arc<str>, BTreeSet<K>)> {
        let group = self.groups.remove(self.trial.take()?);
        Some((group.topic, group.partitions))
    }

    /// The transaction was aborted: what it was about, if it was about partitions that are set
    /// aside, waits for longer.
    pub fn aborted(&mut self, now: Instant) {
        if let Some(group) = self.trial.take().map(|at| &mut self.groups[at]) {
            group.tried = now;
            group.due = now + group.pause.next();
        }
    }

    /// The transaction was aborted because of this. Pauses are `pause` at first. `true` if a
    /// partition was not set aside before.
    pub fn refused(&mut self, refusal: Refusal<K>, pause: Pause, now: Instant) -> bool {
        self.aborted(now);
        let Refusal {
            topic,
            record,
            partitions,
        } = refusal;
        let news = !partitions.iter().all(|p| self.is_held(p));
        let same = |group: &Refused<K>| {
            let those = !record || group.partitions == partitions;
            group.topic == topic && group.record == record && those
        };
        for group in self.groups.iter_mut().filter(|group| !same(group)) {
            group.partitions.retain(|p| !partitions.contains(p));
        }
        match self.groups.iter_mut().find(|group| same(group)) {
            Some(group) => group.partitions.extend(partitions),
            None => {
                let mut pause = pause;
                let due = now + pause.next();
                self.groups.push(Refused {
                    topic,
                    record,
                    partitions,
                    pause,
                    tried: now,
                    due,
                });
            }
        }
        self.groups.retain(|group| !group.partitions.is_empty());
        news
    }

    /// The partition is ours no longer.
    pub fn forget(&mut self, partition: &K) {
        for group in &mut self.groups {
            group.partitions.remove(partition);
        }
        if self.groups.iter().any(|group| group.partitions.is_empty()) {
            self.groups.retain(|group| !group.partitions.is_empty());
            // Which group it was about is not known any more: it is tried again soon enough.
            self.trial = None;
        }
    }

    /// Somebody waits for these: they are tried at once.
    pub fn hurry(&mut self, partitions: &[K], now: Instant) {
        for group in &mut self.groups {
            if partitions.iter().any(|p| group.partitions.contains(p)) {
                group.due = now;
            }
        }
    }

    /// Whether the partition was refused since `at`.
    pub fn is_refused_since(&self, partition: &K, at: Instant) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.tried > at && group.partitions.contains(partition))
    }
}

/// Pauses between trials. They are kept short, because each trial also proves that the process
/// is a member of its group still (its offsets are taken before its records are refused), and
/// without such a proof its leases end.
pub fn pauses(longest: Duration) -> Pause {
    Pause::new(Duration::from_millis(250).min(longest), longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refusal(topic: &str, record: bool, partitions: &[i32]) -> Refusal<i32> {
        Refusal {
            topic: topic.into(),
            record,
            partitions: partitions.iter().copied().collect(),
        }
    }

    /// Who has part in a transaction begun now.
    fn parts(aside: &mut SetAside<i32>, now: Instant) -> Vec<i32> {
        aside.begin(now);
        (0..6).filter(|p| aside.takes_part(p)).collect()
    }

    #[test]
    fn those_a_topic_refuses_wait_together_and_the_others_go_on() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        assert_eq!(parts(&mut aside, now), [0, 1, 2, 3, 4, 5]);
        assert!(aside.refused(refusal("errors", false, &[1, 4]), pauses(SECOND), now));
        assert_eq!(parts(&mut aside, now), [0, 2, 3, 5]);
        assert!(aside.committed().is_none(), "that was about the others");
        assert!(aside.refused(refusal("errors", false, &[2]), pauses(SECOND), now));
        let later = now + SECOND;
        assert_eq!(
            parts(&mut aside, later),
            [1, 2, 4],
            "in a transaction of their own"
        );
        assert!(!aside.refused(refusal("errors", false, &[2]), pauses(SECOND), later));
        assert_eq!(parts(&mut aside, later), [0, 3, 5]);
        aside.committed();
        assert_eq!(parts(&mut aside, later + 3 * SECOND), [1, 2, 4]);
        let (topic, back) = aside.committed().unwrap();
        assert_eq!((&*topic, back), ("errors", [1, 2, 4].into()));
        assert_eq!(parts(&mut aside, later), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn pauses_grow_while_it_is_refused() {
        let (mut aside, mut now) = (SetAside::default(), Instant::now());
        let begun = now;
        let mut trials = 0;
        aside.refused(refusal("errors", true, &[1]), pauses(4 * SECOND), now);
        while now < begun + 60 * SECOND {
            if !parts(&mut aside, now).contains(&0) {
                aside.refused(refusal("errors", true, &[1]), pauses(4 * SECOND), now);
                trials += 1;
            }
            now += Duration::from_millis(10);
        }
        assert!((8..=18).contains(&trials), "{trials} trials in a minute");
    }

    #[test]
    fn records_wait_each_for_itself() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        aside.refused(refusal("errors", true, &[1]), pauses(SECOND), now);
        aside.refused(refusal("errors", true, &[2]), pauses(SECOND), now);
        let later = now + SECOND;
        let first = parts(&mut aside, later);
        assert_eq!(first.len(), 1);
        aside.committed();
        let second = parts(&mut aside, later);
        assert_eq!(second.len(), 1);
        assert_ne!(first, second);
    }

    #[test]
    fn who_is_refused_for_another_reason_waits_for_that() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        aside.refused(refusal("errors", false, &[1, 2]), pauses(SECOND), now);
        aside.begin(now + SECOND);
        aside.refused(
            refusal("responses", false, &[1]),
            pauses(SECOND),
            now + SECOND,
        );
        let both = now + 10 * SECOND;
        let one = parts(&mut aside, both);
        aside.committed();
        let other = parts(&mut aside, both);
        aside.committed();
        let mut all = [one, other].concat();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        assert!(!aside.is_held(&1) && !aside.is_held(&2));
    }

    #[test]
    fn who_leaves_is_forgotten_and_who_is_waited_for_is_tried_at_once() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        aside.refused(refusal("errors", false, &[1, 2]), pauses(SECOND), now);
        aside.forget(&1);
        aside.hurry(&[2], now);
        assert_eq!(parts(&mut aside, now), [2]);
        assert!(!aside.is_refused_since(&2, now));
        aside.aborted(now + SECOND);
        assert!(aside.is_refused_since(&2, now));
        aside.forget(&2);
        assert_eq!(parts(&mut aside, now), [0, 1, 2, 3, 4, 5]);
    }
}
