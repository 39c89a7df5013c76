//! Partitions whose results a topic refuses.
//!
//! One transaction carries the results of all partitions, so one record that its topic does not
//! take would hold up everybody. A partition that it belongs to is therefore *set aside*: it has
//! no part in transactions, and the others go on. It is tried in a transaction of its own, a
//! *trial*; once that is committed, it has part again.
//!
//! What refuses is ([`Why`]):
//!
//! - a topic, whatever the record (it is missing, or closed to us): then all partitions with
//!   results for it wait together, and one trial answers for all;
//! - a partition of a topic (it has no leader, or too few replicas): those wait together whose
//!   results were not delivered. Which of them go there Kafka says in each trial, and who was
//!   not held up there has part again;
//! - it is about the record: then its partition waits alone. If the record was replaced by
//!   another there is nothing to wait for, but more of the kind may come, one with each
//!   transaction: that happens in trials too, so that it is no matter of the others.
//!
//! Pauses between trials grow. Trials never follow one another without a transaction of the
//! others between them, nor take more than about half of the time: one that waits for a partition
//! lasts long, and there may be many groups. It waits for a short time because of the others, and
//! now and then for longer, because Kafka may only be slow.
//!
//! All results of a partition stay together, with its offset: a transaction has everything known
//! of a partition in it, or nothing. So a partition that is set aside is only late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pause::Pause;
use super::transaction::Trial;

/// The partitions that are set aside, each by a key of its own: see the [module](self).
#[derive(Debug)]
pub struct SetAside<K> {
    /// A partition is in one of them at most, and none is empty.
    groups: Vec<TrialGroup<K>>,
    /// Which of them the transaction under way is about; the others' if none. Where groups are
    /// taken out it becomes none, so that it never points at another.
    trial: Option<usize>,
    /// When that transaction began.
    began: Option<Instant>,
    /// The last transaction was a trial: now the others have their turn.
    others: bool,
    /// Until then the others have theirs, if nobody waits for a trial.
    rest: Option<Instant>,
    /// Somebody waits for these.
    waited: BTreeSet<K>,
}

/// Partitions that wait for the same reason.
#[derive(Debug)]
struct TrialGroup<K> {
    /// The topic that refuses.
    topic: Arc<str>,
    /// What it refuses: with the topic it says who waits together.
    why: Why,
    /// When each was refused last, if what was refused is still there.
    partitions: BTreeMap<K, Option<Instant>>,
    /// The pauses between its trials, which grow.
    pause: Pause,
    /// How often it was tried in vain.
    trials: u32,
    /// From when on it is tried again.
    due: Instant,
}

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Whatever goes to the topic.
    Topic,
    /// What goes to some partition of the topic, which is not available.
    Unavailable,
    /// A record, for what it is.
    Record,
}

/// What is refused, and what is to happen then.
#[derive(Debug)]
pub struct Refusal<K> {
    /// The topic that refuses.
    pub topic: Arc<str>,
    /// What it refuses.
    pub why: Why,
    /// Another record took the place of the one that was refused: it is tried at once.
    pub replaced: bool,
    /// The partitions concerned.
    pub partitions: BTreeSet<K>,
}

impl<K> Default for SetAside<K> {
    fn default() -> Self {
        SetAside {
            groups: Vec::new(),
            trial: None,
            began: None,
            others: false,
            rest: None,
            waited: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> SetAside<K> {
    /// Decides which partitions the transaction about to begin is for: those of a group whose
    /// time has come, or all that are not set aside.
    pub fn begin(&mut self, now: Instant) {
        self.trial = if std::mem::take(&mut self.others) {
            None
        } else {
            self.next(now)
        };
        self.others = self.trial.is_some();
        self.began = Some(now);
    }

    /// The group that is to be tried now.
    fn next(&self, now: Instant) -> Option<usize> {
        let rests = self.rest.is_some_and(|until| now < until);
        let waited = |g: &TrialGroup<K>| g.partitions.keys().any(|p| self.waited.contains(p));
        let groups = self.groups.iter().enumerate();
        let due = groups.filter(|(_, g)| g.due <= now && (!rests || waited(g)));
        due.min_by_key(|(_, group)| group.due).map(|(at, _)| at)
    }

    /// Whether the partition has part in that transaction.
    pub fn takes_part(&self, partition: &K) -> bool {
        match self.trial {
            Some(at) => self.groups[at].partitions.contains_key(partition),
            None => !self.is_held(partition),
        }
    }

    /// How that transaction goes if it is only for partitions that are set aside. `timeout` is
    /// how long the first one waits for a partition that does not answer.
    pub fn trial(&self, timeout: Duration) -> Option<Trial> {
        let group = &self.groups[self.trial?];
        Some(Trial {
            singly: group.why == Why::Record,
            // A topic that takes nothing is not slow.
            report_timeout: match group.trials % 8 {
                7 if group.why != Why::Topic => timeout * 4,
                3 if group.why != Why::Topic => timeout * 2,
                _ => timeout,
            },
        })
    }

    /// Whether the partition is set aside.
    pub fn is_held(&self, partition: &K) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.partitions.contains_key(partition))
    }

    /// There is nothing for the transaction that was to begin. `true` if another is to begin at
    /// once: the partitions it was about have part again, or now a trial has its turn.
    pub fn nothing(&mut self, now: Instant) -> bool {
        self.committed().is_some() || self.next(now).is_some()
    }

    /// The transaction was committed. Returns the topic and the partitions that have part again,
    /// if it was about such.
    pub fn committed(&mut self) -> Option<(Arc<str>, BTreeSet<K>)> {
        let group = self.groups.remove(self.trial.take()?);
        let partitions: BTreeSet<K> = group.partitions.into_keys().collect();
        self.waited.retain(|p| !partitions.contains(p));
        Some((group.topic, partitions))
    }

    /// The transaction was aborted: what it was about, if it was about partitions that are set
    /// aside, waits for longer. Nothing was refused: if somebody waits it is tried soon.
    pub fn aborted(&mut self, now: Instant) {
        if let Some(at) = self.end_trial(now) {
            let group = &mut self.groups[at];
            let waited = group.partitions.keys().any(|p| self.waited.contains(p));
            let pause = group.pause.grow();
            group.due = if waited { now } else { now + pause };
        }
    }

    /// A trial ended in vain: for as long as it took the others have the time.
    fn end_trial(&mut self, now: Instant) -> Option<usize> {
        let at = self.trial.take()?;
        let took = self.began.map(|at| now.saturating_duration_since(at));
        self.rest = Some(now + took.unwrap_or_default());
        Some(at)
    }

    /// The transaction was aborted because of this. Pauses are `pause` at first. `true` if a
    /// partition was not refused before.
    pub fn refused(&mut self, refusal: Refusal<K>, pause: Pause, now: Instant) -> bool {
        let trial = self.end_trial(now);
        let Refusal {
            topic,
            why,
            replaced,
            partitions,
        } = refusal;
        // One that is tried alone after a replacement has not been refused so far.
        let is_refused = |p: &K| {
            let mut groups = self.groups.iter();
            groups.any(|group| group.partitions.get(p).is_some_and(Option::is_some))
        };
        let news = !partitions.iter().all(is_refused);
        if let Some(group) = trial.map(|at| &mut self.groups[at]) {
            group.due = now + group.pause.grow();
            group.trials += 1;
            if why == Why::Unavailable && group.why == why {
                // The results of the others were delivered.
                group.partitions.retain(|p, _| partitions.contains(p));
            }
        }
        let same = |group: &TrialGroup<K>| {
            let those = why != Why::Record || group.partitions.keys().eq(partitions.iter());
            group.topic == topic && group.why == why && those
        };
        let place = self.groups.iter().position(same);
        for (at, group) in self.groups.iter_mut().enumerate() {
            if place != Some(at) {
                group.partitions.retain(|p, _| !partitions.contains(p));
            }
        }
        let place = place.unwrap_or_else(|| {
            let mut pause = pause;
            let due = now + pause.grow();
            self.groups.push(TrialGroup {
                topic,
                why,
                partitions: BTreeMap::new(),
                pause,
                trials: 0,
                due,
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        if replaced {
            group.pause.reset();
            group.trials = 0;
            group.due = now;
        }
        let tried = (!replaced).then_some(now);
        group
            .partitions
            .extend(partitions.into_iter().map(|p| (p, tried)));
        self.groups.retain(|group| !group.partitions.is_empty());
        news
    }

    /// The partition is ours no longer.
    pub fn forget(&mut self, partition: &K) {
        self.waited.remove(partition);
        for group in &mut self.groups {
            group.partitions.remove(partition);
        }
        if self.groups.iter().any(|group| group.partitions.is_empty()) {
            self.groups.retain(|group| !group.partitions.is_empty());
            // Which group it was about is not known any more: it is tried again soon enough.
            self.trial = None;
        }
    }

    /// Somebody waits for these: they are tried at once, also if they are set aside later.
    pub fn hurry(&mut self, partitions: &[K], now: Instant) {
        self.waited.extend(partitions.iter().cloned());
        for group in &mut self.groups {
            if partitions.iter().any(|p| group.partitions.contains_key(p)) {
                group.due = now;
            }
        }
    }

    /// Whether results of the partition were refused since `at`, and cannot be replaced.
    pub fn is_refused_since(&self, partition: &K, at: Instant) -> bool {
        let mut tried = (self.groups.iter()).filter_map(|g| *g.partitions.get(partition)?);
        tried.any(|tried| tried > at)
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
            why: if record { Why::Record } else { Why::Topic },
            replaced: false,
            partitions: partitions.iter().copied().collect(),
        }
    }

    /// The same, of partitions that are not available.
    fn stalled(topic: &str, partitions: &[i32]) -> Refusal<i32> {
        Refusal {
            why: Why::Unavailable,
            ..refusal(topic, false, partitions)
        }
    }

    /// A transaction of the others, if it is their turn.
    fn others(aside: &mut SetAside<i32>) {
        if std::mem::take(&mut aside.others) {
            aside.committed();
        }
    }

    /// Who has part in a transaction begun now, after one of the others.
    fn parts(aside: &mut SetAside<i32>, now: Instant) -> Vec<i32> {
        others(aside);
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
        aside.refused(refusal("errors", false, &[2]), pauses(SECOND), now + SECOND);
        assert!(aside.is_refused_since(&2, now));
        aside.forget(&2);
        assert_eq!(parts(&mut aside, now), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn trials_alternate_with_transactions_of_the_others() {
        let (mut aside, mut now) = (SetAside::default(), Instant::now());
        for partition in 1..6 {
            aside.refused(refusal("errors", true, &[partition]), pauses(SECOND), now);
        }
        let (mut trials, mut took) = (0, Duration::ZERO);
        let begun = now;
        for _ in 0..200 {
            aside.begin(now);
            if aside.takes_part(&0) {
                aside.committed();
                now += Duration::from_millis(10);
                continue;
            }
            let partition = (1..6).find(|p| aside.takes_part(p)).unwrap();
            assert!(!aside.takes_part(&0));
            now += SECOND;
            took += SECOND;
            trials += 1;
            aside.refused(refusal("errors", true, &[partition]), pauses(SECOND), now);
            aside.begin(now);
            assert!(aside.takes_part(&0), "two trials in a row");
            aside.committed();
        }
        assert!(trials > 0);
        let all = now.duration_since(begun);
        assert!(took <= all.mul_f64(0.6) + SECOND, "{took:?} of {all:?}");
    }

    #[test]
    fn a_trial_has_its_turn_when_the_others_have_nothing() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        aside.refused(refusal("errors", true, &[1]), pauses(SECOND), now);
        aside.refused(refusal("errors", true, &[2]), pauses(SECOND), now);
        let later = now + SECOND;
        aside.begin(later);
        aside.aborted(later);
        aside.begin(later);
        assert!(aside.takes_part(&0));
        assert!(aside.nothing(later), "the other one is due");
        aside.begin(later);
        assert!(!aside.takes_part(&0));
    }

    #[test]
    fn what_was_replaced_is_tried_at_once_and_alone() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        let replaced = || Refusal {
            replaced: true,
            ..refusal("responses", true, &[1])
        };
        for _ in 0..20 {
            aside.refused(replaced(), pauses(SECOND), now);
            assert!(!aside.is_refused_since(&1, now - SECOND), "it goes on");
            assert_eq!(parts(&mut aside, now), [1], "no pause");
            assert!(aside.trial(SECOND).unwrap().singly);
        }
        aside.committed();
        assert_eq!(parts(&mut aside, now), [0, 1, 2, 3, 4, 5]);
        assert_eq!(aside.trial(SECOND), None);
    }

    #[test]
    fn who_was_delivered_beside_those_that_wait_has_part_again() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        aside.refused(stalled("responses", &[1, 2]), pauses(SECOND), now);
        aside.refused(stalled("responses", &[4]), pauses(SECOND), now);
        let later = now + SECOND;
        assert_eq!(parts(&mut aside, later), [1, 2, 4], "one trial for all");
        assert!(!aside.trial(SECOND).unwrap().singly);
        assert!(!aside.refused(stalled("responses", &[4]), pauses(SECOND), later));
        assert_eq!(parts(&mut aside, later), [0, 1, 2, 3, 5]);
    }

    #[test]
    fn only_what_was_refused_counts_as_refused() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        aside.refused(refusal("errors", false, &[1]), pauses(SECOND), now);
        let begun = now + SECOND;
        aside.hurry(&[1, 2], begun);
        let after = begun + Duration::from_millis(1);
        assert_eq!(parts(&mut aside, after), [1]);
        aside.aborted(after);
        assert!(!aside.is_refused_since(&1, begun), "fenced, not refused");
        assert_eq!(parts(&mut aside, after), [1], "somebody waits for it");
        aside.committed();
        // One that joins those that wait already has just been refused; the others were not.
        aside.refused(refusal("errors", false, &[3]), pauses(SECOND), now);
        aside.refused(refusal("errors", false, &[2]), pauses(SECOND), after);
        assert!(aside.is_refused_since(&2, begun));
        assert!(!aside.is_refused_since(&3, begun));
    }
}
