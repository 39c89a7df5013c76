//! What this process knows of a lane it has lost, in case the partition comes back.
//!
//! A partition is lost without having gone anywhere when Kafka is away for longer than the
//! session time-out. Everything reserved would then be in doubt at the takeover, as after a
//! crash; but the process that takes over is the one that knows what it wrote and what was
//! answered since. If no other process has committed in between (the metadata still names
//! this one as its writer), that knowledge counts: fates that found no transaction become
//! results after all, what never left is sent as new, and only what was out and was never
//! answered is in doubt.
//!
//! If another process has the partition, answers are published as late, as always
//! ([`side`](super::side)); the owner finds that out by asking Kafka.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::kafka::progress::{Identity, Progress, metadata};
use crate::kafka::start::Start;
use crate::kafka::{Group, Partition, Pause};
use smpp_esme::Answer;

use crate::submit::options::OnStatus;
use crate::submit::pipeline::{Books, State};
use crate::submit::state::partition::Lane;
use crate::submit::state::pending::{Entry, Fate, LaneId, Sent, accepted};

/// How long a partition that nobody else has is expected back, once Kafka answers again.
const EXPECTED_BACK: Duration = Duration::from_secs(30);

/// Pauses before Kafka is asked again who has a partition that was lost.
const LOOK: Pause = Pause::new(Duration::from_millis(500), Duration::from_secs(5));

/// See the [module](self).
#[derive(Debug)]
pub struct Memory {
    /// The lane it was.
    pub lane: LaneId,
    /// The transaction that was under way then, if one was: what it carried comes back only
    /// when it has ended.
    pub cycle: Option<u64>,
    progress: Progress,
    out: BTreeSet<i64>,
    fates: Vec<Entry>,
}

impl Memory {
    /// What is known of `lane` at the moment it is lost.
    pub fn of(id: LaneId, lane: &Lane, cycle: Option<u64>) -> Self {
        Memory {
            lane: id,
            cycle,
            progress: lane.progress().clone(),
            // A part that was taken cannot be sent as if it were new.
            out: lane.out().chain(lane.partial()).collect(),
            fates: Vec::new(),
        }
    }

    /// A fate that is in no transaction yet.
    pub fn remember(&mut self, entry: Entry) {
        if let Some((offset, _)) = entry.finishes() {
            self.out.remove(&offset);
        }
        self.fates.push(entry);
    }

    /// A record that was out has certainly not been taken.
    pub fn not_taken(&mut self, offset: i64) {
        self.out.remove(&offset);
    }

    /// The fates, which nobody will take over.
    pub fn forget(self) -> Vec<Entry> {
        self.fates
    }

    /// The lane comes back as `lane`, with what was `committed` last by this process: its
    /// progress, and the fates that are not in it yet.
    pub fn recall(self, committed: Progress, lane: LaneId) -> (Progress, Vec<Entry>) {
        let mut progress = committed;
        if let Some(newest) = self.progress.newest() {
            progress.read(newest);
        }
        let mut fates = self.fates;
        for entry in &mut fates {
            entry.lane = lane;
            entry.applied = false;
        }
        let mut known = BTreeSet::new();
        fates.retain(|entry| match entry.finishes() {
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
            // Finished here, and its fate is not at hand: nothing to rely on.
            let mislaid = self.progress.is_finished(offset) && !known.contains(&offset);
            if self.out.contains(&offset) || mislaid {
                progress.doubt(offset);
            }
        }
        progress.settle();
        (progress, fates)
    }
}

impl State {
    /// What is remembered of a lane that was lost.
    pub(in crate::submit) fn memory_of(&mut self, lane: LaneId) -> Option<&mut Memory> {
        self.memories.values_mut().find(|m| m.lane == lane)
    }

    /// Keeps the fates of lanes that are remembered; returns those that are not.
    pub(in crate::submit) fn remember(&mut self, fates: Vec<Entry>) -> Vec<Entry> {
        let mut orphans = Vec::new();
        for entry in fates {
            match self.memory_of(entry.lane) {
                Some(memory) => memory.remember(entry),
                None => orphans.push(entry),
            }
        }
        orphans
    }
}

impl Books {
    /// Takes these lanes out of the books, but remembers what is known of them.
    pub fn lose(&self, lanes: &[LaneId]) {
        let mut state = self.state.lock();
        for id in lanes {
            if let Some(held) = state.take_out(*id) {
                let memory = Memory::of(*id, &held.lane, state.under_way);
                state.memories.insert(held.lane.source().clone(), memory);
            }
        }
        state.forget_flights(lanes);
        let fates = state.extract_fates(lanes);
        // Each of these lanes has just been remembered.
        let _ = state.remember(fates);
    }

    /// The answer to a record of a lane that is lost: kept, if that is remembered.
    pub(in crate::submit) fn remember_answer(
        &self,
        state: &mut State,
        lane: LaneId,
        sent: Sent,
        answer: Answer,
    ) -> Option<(Sent, Answer)> {
        let is_final =
            accepted(&answer) || self.settings.status.get(answer.status.0) == OnStatus::Reject;
        let Some(memory) = state.memory_of(lane) else {
            return Some((sent, answer));
        };
        match is_final {
            true => memory.remember(Entry::new(lane, Fate::Answered(Box::new(sent), answer))),
            false => memory.not_taken(sent.offset),
        }
        None
    }

    /// Where a partition that comes back starts, if it is remembered and nobody else has
    /// worked on it since. Its fates go into the first transaction of `lane`.
    pub(in crate::submit) fn recall(
        &self,
        state: &mut State,
        partition: &Partition,
        start: Start,
        lane: LaneId,
    ) -> Start {
        let Some(memory) = state.memories.remove(partition) else {
            return start;
        };
        match start.committed {
            Some(committed) if committed.writer == self.writer => {
                let (progress, fates) = memory.recall(committed.progress, lane);
                let (in_doubt, fates_kept) = (progress.doubtful(), fates.len());
                if in_doubt > 0 {
                    warn!(
                        %partition, in_doubt, fates = fates_kept,
                        "this partition was lost and is back, and nobody had it meanwhile; records that were with a bind are in doubt: each is sent again, and its result says possible_duplicate, or is reported as OUTCOME_UNKNOWN (submit.in_doubt, or in_doubt in a record, decides that). It was lost because Kafka was away for longer than kafka.session_timeout"
                    );
                } else {
                    info!(%partition, fates = fates_kept, "this partition was lost and is back, and nobody had it meanwhile");
                }
                state.gathered.extend(fates);
                Start {
                    progress,
                    committed: None,
                }
            }
            committed => {
                self.side.publish_orphans(memory.forget());
                Start { committed, ..start }
            }
        }
    }

    /// Waits until the transaction that was under way when these partitions were lost has
    /// ended. `false` at the deadline.
    pub fn await_fates(&self, partitions: &[Partition], deadline: Instant) -> bool {
        let mut state = self.state.lock();
        loop {
            let mut memories = partitions.iter().filter_map(|p| state.memories.get(p));
            if !memories.any(|m| m.cycle.is_some() && m.cycle == state.under_way) {
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
        let known = partitions
            .iter()
            .filter(|p| state.memories.contains_key(*p));
        known.cloned().collect()
    }

    /// Publishes what is remembered of these partitions as late.
    fn forget(&self, partitions: &[Partition]) {
        let mut state = self.state.lock();
        let memories = partitions.iter().filter_map(|p| state.memories.remove(p));
        let fates: Vec<Entry> = memories.flat_map(Memory::forget).collect();
        drop(state);
        self.side.publish_orphans(fates);
    }

    /// Publishes all that is remembered as late: this process will not get it back.
    pub fn forget_all(&self) {
        let partitions: Vec<Partition> = self.state.lock().memories.keys().cloned().collect();
        self.forget(&partitions);
    }
}

/// Watches partitions that were lost until they come back, somebody else has them, or nobody
/// seems to get them. Blocks: give it a thread of its own.
pub fn watch(books: &Arc<Books>, group: &Group, partitions: &[Partition]) {
    let mut reached: Option<Instant> = None;
    let mut pause = LOOK;
    loop {
        std::thread::sleep(pause.grow());
        let left = books.remembered(partitions);
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
            (last.writer != books.writer).then(|| Partition {
                topic: commit.topic.clone(),
                partition: commit.partition,
            })
        });
        books.forget(&elsewhere.collect::<Vec<_>>());
        if reached.get_or_insert_with(Instant::now).elapsed() > EXPECTED_BACK {
            books.forget(&left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::event::SendErrorKind;
    use crate::submit::message::outgoing::Refusal;
    use crate::submit::state::partition::tests::job;

    /// Records 0 to 9 are reserved; 0 was answered and 1 refused in transactions that did not
    /// happen, 2 and 3 were out, 4 had been in doubt once before, the rest waited.
    fn memory() -> Memory {
        let mut progress = Progress::new(0);
        progress.reserve(10);
        progress.doubt(4);
        let mut memory = Memory {
            lane: 7,
            cycle: None,
            progress,
            out: [0, 2, 3].into(),
            fates: Vec::new(),
        };
        for offset in [0, 1] {
            let refusal = Refusal::of(&job(offset), SendErrorKind::Expired, String::new());
            memory.remember(Entry::new(7, Fate::Refused(Box::new(refusal))));
        }
        memory
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
        let mut memory = memory();
        memory.not_taken(3);
        let (progress, fates) = memory.recall(committed(), 9);
        assert_eq!(doubts(&progress), [(2, 1), (4, 1)]);
        let fates: Vec<_> = fates.iter().map(|e| (e.lane, e.finishes())).collect();
        assert_eq!(fates.iter().filter(|(lane, _)| *lane == 9).count(), 2);
        assert_eq!(progress.reserved(), 0, "nothing is granted yet");
    }

    #[test]
    fn a_fate_that_was_committed_after_all_is_not_told_again() {
        let mut committed = committed();
        committed.finish(0);
        let (progress, fates) = memory().recall(committed, 9);
        let offsets: Vec<_> = fates.iter().filter_map(Entry::finishes).collect();
        assert_eq!(offsets.len(), 1);
        assert_eq!(offsets[0].0, 1);
        assert_eq!(doubts(&progress), [(2, 1), (3, 1), (4, 1)]);
    }

    #[test]
    fn a_record_has_one_fate() {
        let mut memory = memory();
        let again = Refusal::of(&job(0), SendErrorKind::Expired, String::new());
        memory.remember(Entry::new(7, Fate::Refused(Box::new(again))));
        let (_, fates) = memory.recall(committed(), 9);
        assert_eq!(fates.len(), 2);
    }

    #[test]
    fn what_is_finished_and_cannot_be_told_is_in_doubt() {
        let mut memory = memory();
        memory.progress.finish(6);
        let (progress, _) = memory.recall(committed(), 9);
        assert!(doubts(&progress).contains(&(6, 1)));
    }
}
