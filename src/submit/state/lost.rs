//! What this process knows of a partition it has lost, in case the partition comes back.
//!
//! A partition is lost without having gone anywhere when Kafka is away for longer than the
//! session time-out. Everything reserved would then be in doubt at the takeover, as after a
//! crash; but the process that takes over is the one that knows what it wrote and what was
//! answered since. If no other process has committed in between (the metadata still names
//! this one as its writer), that knowledge counts: outcomes that found no transaction become
//! results after all, what never left is sent as new, and only what was out and was never
//! answered is in doubt.
//!
//! If another process has the partition, answers are published as late, as always
//! ([`late_producer`](crate::submit::results::late_producer)); the owner finds that out by asking Kafka.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::kafka::progress::{Identity, Progress, metadata};
use crate::kafka::start::Start;
use crate::kafka::{Group, Partition, Pause};
use smpp_esme::Answer;

use crate::submit::pipeline::{Pipeline, PipelineState};
use crate::submit::state::partition::PartitionState;
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome, Sent, accepted};
use crate::submit::state::retry::Meaning;

/// How long a partition that nobody else has is expected back, once Kafka answers again.
const EXPECTED_BACK: Duration = Duration::from_secs(30);

/// Pauses before Kafka is asked again who has a partition that was lost.
const LOOK: Pause = Pause::new(Duration::from_millis(500), Duration::from_secs(5));

/// See the [module](self).
#[derive(Debug)]
pub struct LostPartition {
    /// The partition it was.
    pub assignment: AssignmentId,
    /// The transaction that was under way then, if one was: what it carried comes back only
    /// when it has ended.
    pub cycle: Option<u64>,
    progress: Progress,
    in_flight: BTreeSet<i64>,
    outcomes: Vec<PendingResult>,
}

impl LostPartition {
    /// What is known of `partition` at the moment it is lost.
    pub fn of(id: AssignmentId, partition: &PartitionState, cycle: Option<u64>) -> Self {
        LostPartition {
            assignment: id,
            cycle,
            progress: partition.progress().clone(),
            // A part that was taken cannot be sent as if it were new.
            in_flight: partition.in_flight().chain(partition.partial()).collect(),
            outcomes: Vec::new(),
        }
    }

    /// A outcome that is in no transaction yet.
    pub fn remember(&mut self, result: PendingResult) {
        if let Some((offset, _)) = result.finishes() {
            self.in_flight.remove(&offset);
        }
        self.outcomes.push(result);
    }

    /// A record that was out has certainly not been taken.
    pub fn not_taken(&mut self, offset: i64) {
        self.in_flight.remove(&offset);
    }

    /// The outcomes, which nobody will take over.
    pub fn forget(self) -> Vec<PendingResult> {
        self.outcomes
    }

    /// The partition comes back as `partition`, with what was `committed` last by this process: its
    /// progress, and the outcomes that are not in it yet.
    pub fn recall(
        self,
        committed: Progress,
        assignment: AssignmentId,
    ) -> (Progress, Vec<PendingResult>) {
        let mut progress = committed;
        if let Some(newest) = self.progress.newest() {
            progress.read(newest);
        }
        let mut outcomes = self.outcomes;
        for result in &mut outcomes {
            result.assignment = assignment;
            result.applied = false;
        }
        let mut known = BTreeSet::new();
        outcomes.retain(|result| match result.finishes() {
            Some((offset, _)) => !progress.is_finished(offset) && known.insert(offset),
            None => true,
        });
        let unfinished: Vec<i64> = progress.unfinished().collect();
        for offset in unfinished {
            let before = self
                .progress
                .attempts(offset)
                .max(progress.attempts(offset));
            progress.set_attempts(offset, before);
            // Finished here, and its outcome is not at hand: nothing to rely on.
            let mislaid = self.progress.is_finished(offset) && !known.contains(&offset);
            if self.in_flight.contains(&offset) || mislaid {
                progress.doubt(offset);
            }
        }
        progress.settle();
        (progress, outcomes)
    }
}

impl PipelineState {
    /// What is remembered of a partition that was lost.
    pub(in crate::submit) fn lost_of(
        &mut self,
        assignment: AssignmentId,
    ) -> Option<&mut LostPartition> {
        self.lost.values_mut().find(|m| m.assignment == assignment)
    }

    /// Keeps the outcomes of partitions that are remembered; returns those that are not.
    pub(in crate::submit) fn remember(
        &mut self,
        outcomes: Vec<PendingResult>,
    ) -> Vec<PendingResult> {
        let mut orphans = Vec::new();
        for result in outcomes {
            match self.lost_of(result.assignment) {
                Some(lost) => lost.remember(result),
                None => orphans.push(result),
            }
        }
        orphans
    }
}

impl Pipeline {
    /// Takes these partitions out of the pipeline, but remembers what is known of them.
    pub fn lose(&self, assignments: &[AssignmentId]) {
        let mut state = self.state.lock();
        for id in assignments {
            if let Some(held) = state.take_out(*id) {
                let lost = LostPartition::of(*id, &held.partition, state.under_way);
                state.lost.insert(held.partition.name().clone(), lost);
            }
        }
        state.forget_segmented(assignments);
        let outcomes = state.extract_results(assignments);
        // Each of these partitions has just been remembered.
        let _ = state.remember(outcomes);
    }

    /// The answer to a record of a partition that is lost: kept, if that is remembered.
    pub(in crate::submit) fn remember_answer(
        &self,
        state: &mut PipelineState,
        assignment: AssignmentId,
        sent: Sent,
        answer: Answer,
    ) -> Option<(Sent, Answer)> {
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        let Some(lost) = state.lost_of(assignment) else {
            return Some((sent, answer));
        };
        match is_final {
            true => lost.remember(PendingResult::new(
                assignment,
                RecordOutcome::Answered(Box::new(sent), answer),
            )),
            false => lost.not_taken(sent.offset),
        }
        None
    }

    /// Where a partition that comes back starts, if it is remembered and nobody else has
    /// worked on it since. Its outcomes go into the first transaction of `partition`.
    pub(in crate::submit) fn recall(
        &self,
        state: &mut PipelineState,
        partition: &Partition,
        start: Start,
        assignment: AssignmentId,
    ) -> Start {
        let Some(lost) = state.lost.remove(partition) else {
            return start;
        };
        match start.committed {
            Some(committed) if committed.writer == self.transactional_id => {
                let (progress, outcomes) = lost.recall(committed.progress, assignment);
                let (in_doubt, fates_kept) = (progress.doubtful(), outcomes.len());
                if in_doubt > 0 {
                    warn!(
                        %partition, in_doubt, outcomes = fates_kept,
                        "this partition was lost and is back, and nobody had it meanwhile; records that were with a bind are in doubt: each is sent again, and its result says possible_duplicate, or is reported as OUTCOME_UNKNOWN (submit.in_doubt, or in_doubt in a record, decides that). It was lost because Kafka was away for longer than kafka.session_timeout"
                    );
                } else {
                    info!(%partition, outcomes = fates_kept, "this partition was lost and is back, and nobody had it meanwhile");
                }
                state.gathered.extend(outcomes);
                Start {
                    progress,
                    committed: None,
                }
            }
            committed => {
                self.late_producer.publish_orphans(lost.forget());
                Start { committed, ..start }
            }
        }
    }

    /// Waits until the transaction that was under way when these partitions were lost has
    /// ended. `false` at the deadline.
    pub fn await_results(&self, partitions: &[Partition], deadline: Instant) -> bool {
        let mut state = self.state.lock();
        loop {
            let mut lost = partitions.iter().filter_map(|p| state.lost.get(p));
            if !lost.any(|m| m.cycle.is_some() && m.cycle == state.under_way) {
                return true;
            }
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
    }

    /// Those of `partitions` that are remembered.
    fn remembered(&self, partitions: &[Partition]) -> Vec<Partition> {
        let state = self.state.lock();
        let known = partitions.iter().filter(|p| state.lost.contains_key(*p));
        known.cloned().collect()
    }

    /// Publishes what is remembered of these partitions as late.
    fn forget(&self, partitions: &[Partition]) {
        let mut state = self.state.lock();
        let lost = partitions.iter().filter_map(|p| state.lost.remove(p));
        let outcomes: Vec<PendingResult> = lost.flat_map(LostPartition::forget).collect();
        drop(state);
        self.late_producer.publish_orphans(outcomes);
    }

    /// Publishes all that is remembered as late: this process will not get it back.
    pub fn forget_all(&self) {
        let partitions: Vec<Partition> = self.state.lock().lost.keys().cloned().collect();
        self.forget(&partitions);
    }
}

/// Watches partitions that were lost until they come back, somebody else has them, or nobody
/// seems to get them. Blocks: give it a thread of its own.
pub fn watch(pipeline: &Arc<Pipeline>, group: &Group, partitions: &[Partition]) {
    let mut reached: Option<Instant> = None;
    let mut pause = LOOK;
    loop {
        std::thread::sleep(pause.grow());
        let left = pipeline.remembered(partitions);
        if left.is_empty() {
            return;
        }
        let Ok(found) = group.committed_of(&left, Duration::from_secs(2)) else {
            reached = None;
            continue;
        };
        pause.reset();
        let elsewhere = found.iter().filter_map(|commit| {
            let identity = Identity {
                cluster: group.cluster_id(),
                topic: &commit.topic,
                partition: commit.partition,
            };
            let last = metadata::decode(commit.offset, &commit.metadata, &identity).ok()?;
            (last.writer != pipeline.transactional_id).then(|| Partition {
                topic: commit.topic.clone(),
                partition: commit.partition,
            })
        });
        pipeline.forget(&elsewhere.collect::<Vec<_>>());
        if reached.get_or_insert_with(Instant::now).elapsed() > EXPECTED_BACK {
            pipeline.forget(&left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::event::SendErrorKind;
    use crate::submit::message::outgoing::Rejection;
    use crate::submit::state::partition::tests::outgoing;

    /// Records 0 to 9 are reserved; 0 was answered and 1 refused in transactions that did not
    /// happen, 2 and 3 were out, 4 had been in doubt once before, the rest waited.
    fn lost() -> LostPartition {
        let mut progress = Progress::new(0);
        progress.reserve(10);
        progress.doubt(4);
        let mut lost = LostPartition {
            assignment: 7,
            cycle: None,
            progress,
            in_flight: [0, 2, 3].into(),
            outcomes: Vec::new(),
        };
        for offset in [0, 1] {
            let rejection = Rejection::of(&outgoing(offset), SendErrorKind::Expired, String::new());
            lost.remember(PendingResult::new(
                7,
                RecordOutcome::Rejected(Box::new(rejection)),
            ));
        }
        lost
    }

    fn committed() -> Progress {
        let mut progress = Progress::new(0);
        progress.reserve(8);
        progress
    }

    fn doubts(progress: &Progress) -> Vec<(i64, u8)> {
        let doubtful = (0..10).map(|o| (o, progress.attempts(o)));
        doubtful.filter(|(_, n)| *n > 0).collect()
    }

    #[test]
    fn only_what_was_out_without_an_answer_is_in_doubt() {
        let mut lost = lost();
        lost.not_taken(3);
        let (progress, outcomes) = lost.recall(committed(), 9);
        assert_eq!(doubts(&progress), [(2, 1), (4, 1)]);
        let outcomes: Vec<_> = outcomes
            .iter()
            .map(|e| (e.assignment, e.finishes()))
            .collect();
        assert_eq!(
            outcomes
                .iter()
                .filter(|(partition, _)| *partition == 9)
                .count(),
            2
        );
        assert_eq!(progress.reserved(), 0, "nothing is granted yet");
    }

    #[test]
    fn a_fate_that_was_committed_after_all_is_not_told_again() {
        let mut committed = committed();
        committed.finish(0);
        let (progress, outcomes) = lost().recall(committed, 9);
        let offsets: Vec<_> = outcomes
            .iter()
            .filter_map(PendingResult::finishes)
            .collect();
        assert_eq!(offsets.len(), 1);
        assert_eq!(offsets[0].0, 1);
        assert_eq!(doubts(&progress), [(2, 1), (3, 1), (4, 1)]);
    }

    #[test]
    fn a_record_has_one_fate() {
        let mut lost = lost();
        let again = Rejection::of(&outgoing(0), SendErrorKind::Expired, String::new());
        lost.remember(PendingResult::new(
            7,
            RecordOutcome::Rejected(Box::new(again)),
        ));
        let (_, outcomes) = lost.recall(committed(), 9);
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn what_is_finished_and_cannot_be_told_is_in_doubt() {
        let mut lost = lost();
        lost.progress.finish(6);
        let (progress, _) = lost.recall(committed(), 9);
        assert!(doubts(&progress).contains(&(6, 1)));
    }
}
