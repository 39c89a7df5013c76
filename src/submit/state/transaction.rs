//! What a transaction takes from the state, and what it leaves.
//!
//! A transaction takes *everything* that is known at the moment it begins: the outboxes of all
//! partitions that have part in it (those whose topic refuses their results have none), and their
//! progress. Taking only part of it would be wrong: a
//! lowered reservation must never be committed without the outcomes of the records above it, or a
//! successor would send them again.
//!
//! When a transaction is aborted, its results are still in the progress of their partitions, and go
//! back to the head of their outboxes: the next transaction carries both. What belongs to a
//! partition that has been given up meanwhile is published as late, outside any transaction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::kafka::Pause;
use crate::kafka::set_aside::Refusal;
use crate::kafka::transaction::{Commit, Trial};
use crate::submit::message::outgoing::instant;
use crate::submit::state::effects::{Effect, News};
use crate::submit::state::partition::{PartitionState, Snapshot};
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome};
use crate::submit::state::pipeline::{Now, PipelineState};

/// Reservations never reach further than this, however slow Kafka is.
const LONGEST_HORIZON: Duration = Duration::from_secs(2);

/// While so many results wait for a transaction, no record is rejected: Kafka is in trouble, and
/// what cannot be read waits where its memory is counted.
const MOST_GATHERED: usize = 10_000;

/// Whether this process is a member of its group, as far as it is known when a transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::submit) enum Standing {
    /// It is none.
    None,
    /// There was a callback in between: what it changed counts.
    Outdated,
    /// It is one.
    Member,
}

/// On what terms a transaction begins.
pub(in crate::submit) struct Terms<'a> {
    pub now: Instant,
    /// A partition whose last commit is older than this is committed again.
    pub recommit: Duration,
    /// Asked when it is known what would be taken.
    pub standing: &'a dyn Fn() -> Standing,
    /// What is committed for a partition, by the transaction of this number.
    pub commit: &'a dyn Fn(&PartitionState, u64) -> Commit,
}

/// What a transaction has taken.
#[derive(Default)]
pub(in crate::submit) struct Begun {
    pub number: u64,
    pub results: Vec<PendingResult>,
    pub snapshots: Vec<(AssignmentId, Snapshot)>,
    pub offsets: Vec<Commit>,
    /// It is the trial of partitions whose results were refused.
    pub trial: Option<Trial>,
}

impl PipelineState {
    /// A transaction may begin: what it takes, unless there is nothing to commit.
    pub fn begin(&mut self, terms: &Terms<'_>) -> Option<Begun> {
        let now = terms.now;
        self.aside.begin(now);
        let mut results = Vec::new();
        for (id, held) in &mut self.assignments {
            if self.aside.takes_part(id) {
                results.append(&mut held.outbox);
            }
        }
        self.plan(&mut results, now);
        self.apply(&mut results);
        let touched = self.touched(&results, terms);
        if touched.is_empty() && self.aside.nothing(now) {
            // What was refused is not to be told any more, or it is a trial's turn.
            self.effects.commit();
        }
        let standing = (terms.standing)();
        if standing == Standing::Outdated {
            // Once more, with what the callback changed.
            self.effects.commit();
        }
        let member = standing == Standing::Member;
        let mut offsets = if member {
            self.kept.due(now)
        } else {
            Vec::new()
        };
        if !member || touched.is_empty() && offsets.is_empty() {
            let _ = self.put_back(results);
            return None;
        }
        self.cycle += 1;
        let number = self.cycle;
        self.under_way = Some(number);
        let mut snapshots = Vec::with_capacity(touched.len());
        for id in touched {
            if let Some(held) = self.assignments.get_mut(&id) {
                snapshots.push((id, held.partition.snapshot(now)));
                offsets.push((terms.commit)(&held.partition, number));
            }
        }
        Some(Begun {
            number,
            results,
            snapshots,
            offsets,
            trial: self.aside.trial(terms.recommit),
        })
    }

    /// The partitions that have something to commit.
    fn touched(&self, results: &[PendingResult], terms: &Terms<'_>) -> Vec<AssignmentId> {
        let mut touched: Vec<AssignmentId> = results.iter().map(|e| e.assignment).collect();
        let due = self.assignments.iter().filter(|(id, held)| {
            let due = held.partition.needs_commit(terms.now, terms.recommit);
            due && self.aside.takes_part(id)
        });
        touched.extend(due.map(|(id, _)| *id));
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// How far ahead to reserve: a reservation is granted one transaction after it was made and
    /// has to last until the next one is, so slow transactions need a longer one.
    fn horizon(&self) -> Duration {
        let configured = self.settings.reserve_horizon.get();
        configured.max((self.cycle_time * 3).min(LONGEST_HORIZON))
    }

    /// Lets every partition finish what needs no sending and make ready what comes next.
    fn plan(&mut self, results: &mut Vec<PendingResult>, now: Instant) {
        let time = self.horizon();
        for (id, held) in &mut self.assignments {
            if !self.aside.takes_part(id) {
                if self.aside.is_held(id) {
                    held.partition.hold_uncommitted();
                }
                continue;
            }
            for rejection in held.partition.plan(now, results.len() < MOST_GATHERED) {
                results.push(PendingResult {
                    assignment: *id,
                    applied: true,
                    outcome: RecordOutcome::Rejected(Box::new(rejection)),
                });
            }
        }
        let ahead = self.settings.reserve_ahead as usize;
        for group in self.groups.values_mut() {
            let part = |id: &AssignmentId| self.aside.takes_part(id);
            group.share(&mut self.assignments, time, ahead, part);
        }
    }

    /// Brings the outcomes into the progress of their partitions.
    fn apply(&mut self, results: &mut [PendingResult]) {
        for result in results.iter_mut().filter(|result| !result.applied) {
            if let Some((offset, octets)) = result.finishes()
                && let Some(held) = self.assignments.get_mut(&result.assignment)
            {
                held.partition.finish(offset, octets);
            }
            result.applied = true;
        }
    }

    /// What a transaction did not publish goes back into the outboxes, before what came since.
    /// Returns what belongs to partitions that are not ours any more.
    fn put_back(&mut self, mut results: Vec<PendingResult>) -> Vec<PendingResult> {
        let gone = |e: &mut PendingResult| !self.assignments.contains_key(&e.assignment);
        let orphans = results.extract_if(.., gone).collect();
        let mut outboxes: HashMap<AssignmentId, Vec<PendingResult>> = HashMap::new();
        for result in results {
            outboxes.entry(result.assignment).or_default().push(result);
        }
        for (id, mut outbox) in outboxes {
            if let Some(held) = self.assignments.get_mut(&id) {
                outbox.append(&mut held.outbox);
                held.outbox = outbox;
            }
        }
        orphans
    }

    /// The transaction under way was committed, `took` so long.
    pub fn committed(&mut self, snapshots: Vec<(AssignmentId, Snapshot)>, took: Duration) {
        self.under_way = None;
        self.effects.settled = true;
        if let Some((topic, ids)) = self.aside.committed() {
            let partitions = self.names(&ids);
            let news = News::TakenAgain { topic, partitions };
            self.effects.push(Effect::Say(news));
            self.effects.commit();
        }
        self.cycle_time = (self.cycle_time * 7 + took) / 8;
        for (id, snapshot) in snapshots {
            let Some(held) = self.assignments.get_mut(&id) else {
                continue;
            };
            let name = held.partition.name().clone();
            if held.partition.committed(snapshot) {
                let from = held.partition.next_offset();
                self.effects.push(Effect::Fetch(name, from));
                self.effects.push(Effect::Open(held.group));
            } else if held.partition.may_resume() {
                self.effects.push(Effect::Resume(name));
            }
            self.effects.push(Effect::Wake(held.group));
        }
        if self.assignments.values().any(|h| h.partition.has_more()) {
            self.effects.commit();
        }
    }

    /// The transaction under way was aborted: what it carried goes back to where the next one
    /// finds it.
    pub fn aborted(
        &mut self,
        snapshots: &[(AssignmentId, Snapshot)],
        results: Vec<PendingResult>,
        now: Instant,
    ) {
        self.not_committed(snapshots, now);
        let orphans = self.put_back(results);
        let orphans = self.remember(orphans);
        self.effects.publish_orphans(orphans);
    }

    /// Nobody knows what became of the transaction under way. Other processes have its partitions
    /// already and find out; or it carried only first commits, and had no results; or this process stops
    /// before Kafka says it, and whoever has its partitions next finds out.
    pub fn forgotten(
        &mut self,
        snapshots: &[(AssignmentId, Snapshot)],
        results: Vec<PendingResult>,
        now: Instant,
    ) {
        self.not_committed(snapshots, now);
        self.effects.publish_orphans(results);
    }

    fn not_committed(&mut self, snapshots: &[(AssignmentId, Snapshot)], now: Instant) {
        self.under_way = None;
        self.effects.settled = true;
        self.aside.aborted(now);
        for (id, _) in snapshots {
            if let Some(held) = self.assignments.get_mut(id) {
                held.partition.not_committed();
            }
        }
    }

    /// A topic does not take results of these partitions: they have no part in transactions until
    /// it does. The names of the partitions, and whether that is news.
    pub fn set_aside(
        &mut self,
        refusal: Refusal<AssignmentId>,
        pause: Pause,
        now: Instant,
    ) -> (String, bool) {
        let partitions = self.names(&refusal.partitions);
        let news = self.aside.refused(refusal, pause, now);
        (partitions, news)
    }

    /// The records among `results` that were put back onto `topic`, which is not there, wait in
    /// their partitions until the SMSC wants them again. Where that is too far behind what finished
    /// since, they stay results; returns the partitions of these.
    pub fn reopen(
        &mut self,
        results: &mut Vec<PendingResult>,
        topic: &str,
        now: Now,
    ) -> BTreeSet<AssignmentId> {
        let theirs = |result: &mut PendingResult| match &result.outcome {
            RecordOutcome::PutBack(outgoing, _) => {
                *outgoing.context.topic == *topic
                    && self.assignments.contains_key(&result.assignment)
            }
            _ => false,
        };
        // The youngest first: each that is reopened leaves the older ones less room, not more.
        let mut back: Vec<PendingResult> = results.extract_if(.., theirs).collect();
        back.sort_by_key(|result| std::cmp::Reverse(result.finishes().map(|(offset, _)| offset)));
        let mut left = BTreeSet::new();
        for result in back {
            let offset = result.finishes().map(|(offset, _)| offset);
            let held = self.assignments.get_mut(&result.assignment);
            let fits = |held: &PartitionState| offset.is_some_and(|o| held.may_reopen(o));
            match (held, result.outcome) {
                (Some(held), RecordOutcome::PutBack(outgoing, returned))
                    if fits(&held.partition) =>
                {
                    let due = returned.not_before;
                    let due = due.and_then(|at| instant(at, now.instant, now.wall));
                    let context = Arc::clone(&outgoing.context);
                    self.effects.push(Effect::Say(News::WaitsHere(context)));
                    held.partition.reopen(outgoing, due.unwrap_or(now.instant));
                }
                (_, outcome) => {
                    left.insert(result.assignment);
                    results.push(PendingResult { outcome, ..result });
                }
            }
        }
        left
    }
}
