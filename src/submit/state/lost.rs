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

use crate::kafka::Partition;
use crate::kafka::progress::Progress;
use crate::kafka::start::Start;
use smpp_esme::Answer;

use crate::submit::state::effects::{Effect, News};
use crate::submit::state::partition::PartitionState;
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome, Sent};
use crate::submit::state::pipeline::PipelineState;
use crate::submit::state::retry::Meaning;

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
        // What was sent by what was reserved ahead is known here like the rest.
        progress.reserve(progress.ahead());
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

impl PipelineState {
    /// These partitions are not ours any more, but what is known of them is remembered.
    pub fn partitions_lost(&mut self, assignments: &[AssignmentId]) {
        for id in assignments {
            if let Some(held) = self.take_out(*id) {
                let mut lost = LostPartition::of(*id, &held.partition, self.under_way);
                for result in held.outbox {
                    lost.remember(result);
                }
                self.lost.insert(held.partition.name().clone(), lost);
            }
        }
        self.forget_segmented(assignments);
    }

    /// The answer to a record of a partition that is lost: kept, if that is remembered.
    pub fn remember_answer(
        &mut self,
        id: AssignmentId,
        sent: Sent,
        answer: Answer,
    ) -> Option<(Sent, Answer)> {
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        let Some(lost) = self.lost_of(id) else {
            return Some((sent, answer));
        };
        if is_final {
            let outcome = RecordOutcome::Answered(Box::new(sent), answer);
            lost.remember(PendingResult::new(id, outcome));
        } else {
            lost.not_taken(sent.offset);
        }
        None
    }

    /// Where a partition that comes back starts, if it is remembered and nobody else has
    /// worked on it since; and its results, which go into the outbox of the assignment `id`.
    pub fn returned(
        &mut self,
        partition: &Partition,
        start: Start,
        id: AssignmentId,
    ) -> (Start, Vec<PendingResult>) {
        let Some(lost) = self.lost.remove(partition) else {
            return (start, Vec::new());
        };
        match start.committed {
            Some(committed) if committed.transactional_id == self.transactional_id => {
                let (progress, results) = lost.recall(committed.progress, id);
                self.effects.push(Effect::Say(News::Back {
                    partition: partition.clone(),
                    in_doubt: progress.doubtful(),
                    results: results.len(),
                }));
                let start = Start {
                    progress,
                    committed: None,
                };
                (start, results)
            }
            committed => {
                self.effects.publish_orphans(lost.forget());
                (Start { committed, ..start }, Vec::new())
            }
        }
    }

    /// Whether the transaction that was under way when these partitions were lost has ended.
    pub fn are_results_known(&self, partitions: &[Partition]) -> bool {
        let mut lost = partitions.iter().filter_map(|p| self.lost.get(p));
        !lost.any(|m| m.cycle.is_some() && m.cycle == self.under_way)
    }

    /// What is remembered of these partitions is published as late: they do not come back.
    pub fn forget_lost(&mut self, partitions: &[Partition]) {
        let lost = partitions.iter().filter_map(|p| self.lost.remove(p));
        let results: Vec<PendingResult> = lost.flat_map(LostPartition::forget).collect();
        self.effects.publish_orphans(results);
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
