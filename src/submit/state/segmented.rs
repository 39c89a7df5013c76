//! Long messages under way: their segments go out one after another over one bind.
//!
//! A record of several segments is one entry of its [`partition`](super::partition): it is picked, out and
//! finished as a whole. Between picking and the outcome it is a *segmented submission* here.
//!
//! - A bind goes on with its segmented submission before it picks anything else of that priority, so the segments
//!   are consecutive whatever window, rate and throttle leave between them. Only what is more
//!   urgent goes in between: 255 segments at a throttled pace would hold up one-time passwords for
//!   minutes.
//! - Each segment has its own place in the window, its own response timer, and a correlation entry
//!   of its own as soon as it is answered ([`RecordOutcome::Taken`]).
//! - As soon as a segment is not taken, no further part goes out; when none is with the session any
//!   more, the segmented submission ends and [`Segments::standing`](crate::submit::state::segments::Segments::standing) decides: the
//!   result, or another segmented submission for the segments that are missing.
//! - A part is taken before the message has its result. If the message is given up then, its
//!   successor would know nothing of that; so the partition counts it as in doubt when its
//!   reservation falls below it (`PartitionState::segment_taken`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;

use smpp_esme::{Answer, Outcome};

use crate::submit::message::outgoing::Outgoing;
use crate::submit::state::groups::BindRef;
use crate::submit::state::partition::BindId;
use crate::submit::state::pending::{AssignmentId, RecordOutcome, Sent, accepted};
use crate::submit::state::pipeline::{Now, Picked, PipelineState};
use crate::submit::state::retry::{Meaning, Policy};
use crate::submit::state::segments::{SegmentOutcome, Standing};

/// A message of several segments that a bind is sending.
pub(in crate::submit) struct SegmentedSubmission {
    assignment: AssignmentId,
    /// That of its partition.
    priority: usize,
    bind: BindRef,
    outgoing: Box<Outgoing>,
    /// No further segment goes out.
    stopped: bool,
}

impl SegmentedSubmission {
    /// No further segment goes out after this one, of which that is known.
    fn stop_at(&mut self, index: usize, outcome: SegmentOutcome) {
        self.stopped = true;
        if let Some(segments) = &mut self.outgoing.segments {
            segments.note(index, outcome);
        }
    }

    fn has_ended(&self) -> bool {
        let Some(segments) = &self.outgoing.segments else {
            return true;
        };
        segments.out().next().is_none() && (self.stopped || segments.waiting() == 0)
    }

    /// Whether a session has that segment, and somebody waits for its answer.
    fn is_out(&self, index: usize) -> bool {
        let segments = self.outgoing.segments.as_ref();
        segments.is_some_and(|segments| segments.out().any(|out| out == index))
    }
}

/// All segmented submissions, by the token of their first part; the others follow it.
#[derive(Default)]
pub(in crate::submit) struct SegmentedSubmissions {
    by_token: BTreeMap<u64, SegmentedSubmission>,
    /// What each bind is in the middle of, one message for each priority.
    current: HashMap<(BindId, usize), u64>,
}

impl SegmentedSubmissions {
    /// A bind picked a record of several segments; `first` and the tokens after it are theirs.
    pub fn start(
        &mut self,
        first: u64,
        assignment: AssignmentId,
        priority: usize,
        bind: &BindRef,
        outgoing: Box<Outgoing>,
    ) {
        let submission = SegmentedSubmission {
            assignment,
            priority,
            bind: bind.clone(),
            outgoing,
            stopped: false,
        };
        self.by_token.insert(first, submission);
        self.current.insert((bind.id, priority), first);
    }

    /// Hands out the next segments of what the bind is in the middle of at this priority. If its time
    /// has ended none goes out any more, and it may have to be concluded: returns it.
    pub fn go_on(
        &mut self,
        bind: BindId,
        priority: usize,
        most: usize,
        picked: &mut Vec<Picked>,
        now: Now,
    ) -> Option<u64> {
        let key = (bind, priority);
        let first = *self.current.get(&key)?;
        let Some(submission) = self.by_token.get_mut(&first).filter(|f| !f.stopped) else {
            self.current.remove(&key);
            return None;
        };
        if submission
            .outgoing
            .expires
            .is_some_and(|at| at <= now.instant)
        {
            // It ends when those that are out are answered.
            submission.stopped = true;
            self.current.remove(&key);
            return Some(first);
        }
        let segments = submission.outgoing.segments.as_mut()?;
        while picked.len() < most {
            let Some((index, pdu)) = segments.take_next() else {
                self.current.remove(&key);
                return None;
            };
            submission.outgoing.submitted_at = now.wall;
            let token = first + index as u64;
            picked.push(Picked { token, pdu });
        }
        None
    }

    /// How many segments the bind would hand out now.
    pub fn waiting(&self, bind: BindId) -> usize {
        let current = self.current.iter().filter(|((b, _), _)| *b == bind);
        let segmented = current.filter_map(|(_, first)| self.by_token.get(first));
        let segments = segmented
            .filter(|f| !f.stopped)
            .filter_map(|f| f.outgoing.segments.as_ref());
        segments.map(|segments| segments.waiting()).sum()
    }

    /// The record that a segment belongs to, and which of its segments it is.
    #[cfg(test)]
    pub fn segment_of(&mut self, token: u64) -> Option<(AssignmentId, i64, usize)> {
        let (first, submission) = self.find(token)?;
        let index = (token - first) as usize;
        Some((submission.assignment, submission.outgoing.offset, index))
    }

    /// Whether no bind is in the middle of anything.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_token.is_empty() && self.current.is_empty()
    }

    /// The time of all messages ends at `at`.
    #[cfg(test)]
    pub fn expire_all(&mut self, at: Instant) {
        for submission in self.by_token.values_mut() {
            submission.outgoing.expires = Some(at);
        }
    }

    /// Tokens of the parts of these partitions that are with a session.
    pub fn tokens_of(&self, assignments: &[AssignmentId]) -> Vec<u64> {
        let theirs = self
            .by_token
            .iter()
            .filter(|(_, f)| assignments.contains(&f.assignment));
        let out = theirs.flat_map(|(first, submission)| {
            let segments = submission
                .outgoing
                .segments
                .iter()
                .flat_map(|segments| segments.out());
            segments.map(move |index| first + index as u64)
        });
        out.collect()
    }

    /// The bind that a segment is out with.
    pub fn bind_of(&mut self, token: u64) -> Option<BindRef> {
        self.find(token)
            .map(|(_, submission)| submission.bind.clone())
    }

    fn find(&mut self, token: u64) -> Option<(u64, &mut SegmentedSubmission)> {
        let (first, submission) = self.by_token.range_mut(..=token).next_back()?;
        let count = submission
            .outgoing
            .segments
            .as_ref()
            .map_or(0, |p| p.count() as u64);
        (token < first + count).then_some((*first, submission))
    }

    fn find_record(
        &mut self,
        assignment: AssignmentId,
        offset: i64,
    ) -> Option<(u64, &mut SegmentedSubmission)> {
        let mut segmented = self.by_token.iter_mut();
        let found =
            segmented.find(|(_, f)| f.assignment == assignment && f.outgoing.offset == offset);
        found.map(|(first, submission)| (*first, submission))
    }

    /// The segmented submission, if it has ended.
    fn take_finished(&mut self, first: u64) -> Option<SegmentedSubmission> {
        let submission = self.by_token.get(&first).filter(|f| f.has_ended())?;
        let key = (submission.bind.id, submission.priority);
        if self.current.get(&key) == Some(&first) {
            self.current.remove(&key);
        }
        self.by_token.remove(&first)
    }

    /// No further part of these segmented submissions goes out. Returns those that have ended by that.
    fn stop(&mut self, which: impl Fn(&SegmentedSubmission) -> bool) -> Vec<SegmentedSubmission> {
        let mut ended = Vec::new();
        for (first, submission) in &mut self.by_token {
            if which(submission) {
                submission.stopped = true;
                ended.push(*first);
            }
        }
        ended
            .into_iter()
            .filter_map(|f| self.take_finished(f))
            .collect()
    }
}

impl PipelineState {
    /// A session said what became of a segment: whether the sender has to look at what is due;
    /// `None` if the token is not a segment's, or nobody waits for its answer any more: a segment
    /// that was given up ([`Self::abandoned`]) is still answered by its session, and what is known of
    /// it by then counts.
    pub fn segment_outcome(
        &mut self,
        bind: &BindRef,
        token: u64,
        outcome: &Outcome,
        now: Now,
    ) -> Option<bool> {
        if matches!(outcome, Outcome::Late(_)) {
            return None; // those are known among the time-outs
        }
        let (first, submission) = self.segmented.find(token)?;
        // The count of segments fits.
        let index = (token - first) as usize;
        if !submission.is_out(index) {
            return None;
        }
        let sent = Sent::segment_of(&submission.outgoing, &bind.name, index);
        let id = submission.assignment;
        let look = match outcome {
            Outcome::NotSent => {
                submission.stop_at(index, SegmentOutcome::Waiting);
                true
            }
            Outcome::InDoubt(doubt) => {
                submission.stop_at(index, SegmentOutcome::Doubt(*doubt));
                if doubt.may_be_answered() {
                    self.expect_late(token, id, bind.id, sent);
                }
                true
            }
            Outcome::Answered(answer) | Outcome::Late(answer) => {
                self.segment_answered(first, index, sent, answer)
            }
        };
        self.conclude_finished(first, now);
        Some(look)
    }

    fn segment_answered(&mut self, first: u64, index: usize, sent: Sent, answer: &Answer) -> bool {
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        let Some(submission) = self.segmented.by_token.get_mut(&first) else {
            return true;
        };
        if let Some(segments) = &mut submission.outgoing.segments {
            segments.answered(index, answer, is_final);
        }
        submission.stopped |= !accepted(answer);
        let id = submission.assignment;
        let Some(held) = self.assignments.get_mut(&id) else {
            self.effects.publish_late(sent, answer.clone());
            return true;
        };
        if accepted(answer) {
            held.partition.segment_taken(sent.offset);
            let outcome = RecordOutcome::Taken(Box::new(sent), answer.clone(), true);
            held.gather(Some(outcome));
            return false;
        }
        !is_final
    }

    /// An answer to a segment after its time-out: it counts as long as the segment is not out
    /// again, and its message has no result.
    pub fn segment_late(&mut self, id: AssignmentId, sent: Sent, answer: Answer, now: Now) {
        let Some(held) = self.assignments.get_mut(&id) else {
            return self.effects.publish_late(sent, answer);
        };
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        let late = Late {
            index: sent.segment.map_or(0, |n| usize::from(n).saturating_sub(1)),
            is_final,
            answer: &answer,
        };
        let offset = sent.offset;
        let due = held.partition.due(offset);
        let mut outgoing = None;
        let mut submission = None;
        let counts = if let Some((first, known)) = self.segmented.find_record(id, offset) {
            submission = Some(first);
            if !is_final && late.is_open(&known.outgoing) {
                // As of a record that waits: the SMSC has not taken it, and it goes out again.
                return;
            }
            let counts = late.note(&mut known.outgoing);
            known.stopped |= counts && !accepted(&answer);
            counts
        } else if held.partition.is_waiting(offset) {
            if !is_final {
                return;
            }
            outgoing = held.partition.withdraw(offset);
            outgoing.as_mut().is_some_and(|message| late.note(message))
        } else {
            false
        };
        let bind = sent.bind.clone();
        match (counts, accepted(&answer)) {
            (true, false) => {}
            (true, true) => {
                held.partition.segment_taken(offset);
                let outcome = RecordOutcome::Taken(Box::new(sent), answer, true);
                held.gather(Some(outcome));
            }
            (false, _) => {
                let outcome = RecordOutcome::Late(Box::new(sent), answer);
                held.gather(Some(outcome));
            }
        }
        if let Some(outgoing) = outgoing {
            self.conclude_withdrawn(id, outgoing, &bind, due, now);
        }
        if let Some(submission) = submission {
            self.conclude_finished(submission, now);
        }
    }

    /// The bind has no session any more, and all its outcomes are told: what it was in the
    /// middle of ends here.
    pub fn abort_on_unbind(&mut self, bind: BindId, now: Now) {
        let theirs = |submission: &SegmentedSubmission| submission.bind.id == bind;
        for submission in self.segmented.stop(theirs) {
            self.conclude(submission, now);
        }
    }

    /// No further segment of these partitions goes out.
    pub fn stop_segmented(&mut self, assignments: &[AssignmentId], now: Now) {
        let theirs =
            |submission: &SegmentedSubmission| assignments.contains(&submission.assignment);
        for submission in self.segmented.stop(theirs) {
            self.conclude(submission, now);
        }
    }

    /// These partitions are given up: nothing more of them goes out, and what no session has is
    /// forgotten.
    pub fn forget_segmented(&mut self, assignments: &[AssignmentId]) {
        let gone = |submission: &SegmentedSubmission| assignments.contains(&submission.assignment);
        drop(self.segmented.stop(gone));
    }

    /// A late answer came while the message waited to go out again. If segments of it still have to,
    /// it waits on, and for as long as before: no commit says that it is ready.
    fn conclude_withdrawn(
        &mut self,
        id: AssignmentId,
        mut outgoing: Box<Outgoing>,
        bind: &Arc<str>,
        due: Option<Instant>,
        now: Now,
    ) {
        let segments = outgoing.segments.as_ref();
        let standing = segments.map(|segments| segments.standing());
        match self.assignments.get_mut(&id) {
            Some(held) if standing == Some(Standing::Waiting) => {
                outgoing.rearm();
                held.partition.retry(outgoing, due);
            }
            _ => self.conclude_message(id, outgoing, bind, now),
        }
    }

    pub fn conclude_finished(&mut self, first: u64, now: Now) {
        if let Some(submission) = self.segmented.take_finished(first) {
            self.conclude(submission, now);
        }
    }

    fn conclude(&mut self, submission: SegmentedSubmission, now: Now) {
        let (id, bind) = (submission.assignment, submission.bind.name);
        self.conclude_message(id, submission.outgoing, &bind, now);
    }

    /// None of the message's segments is with a session: its outcome, or the way back into its
    /// partition.
    fn conclude_message(
        &mut self,
        id: AssignmentId,
        mut outgoing: Box<Outgoing>,
        bind: &Arc<str>,
        now: Now,
    ) {
        let Some(held) = self.assignments.get_mut(&id) else {
            return;
        };
        let partition = &mut held.partition;
        partition.returned(outgoing.offset);
        let Some(segments) = &outgoing.segments else {
            return;
        };
        let mut policy = Policy {
            settings: &self.settings,
            effects: &mut self.effects,
            now,
        };
        let outcome = match segments.standing() {
            Standing::Taken | Standing::Rejected => {
                let answer = segments.answer();
                let sent = Sent::of(&outgoing, bind);
                answer.map(|answer| RecordOutcome::Answered(Box::new(sent), answer))
            }
            Standing::Doubt(doubt) => policy.doubted(partition, outgoing, doubt, bind),
            Standing::Later(status) => policy.refused(partition, outgoing, status),
            Standing::Waiting => {
                outgoing.rearm();
                partition.not_sent(outgoing);
                None
            }
        };
        held.gather(outcome);
    }
}

/// A late answer to a segment.
struct Late<'a> {
    index: usize,
    is_final: bool,
    answer: &'a Answer,
}

impl Late<'_> {
    /// Whether nothing better is known of the segment, and it is not out again.
    fn is_open(&self, outgoing: &Outgoing) -> bool {
        let segments = outgoing.segments.as_ref();
        segments.is_some_and(|segments| segments.is_open(self.index))
    }

    /// Notes it if it still says something new.
    fn note(&self, outgoing: &mut Outgoing) -> bool {
        let segments = outgoing.segments.as_mut();
        let Some(segments) = segments.filter(|p| self.is_final && p.is_open(self.index)) else {
            return false;
        };
        segments.answered(self.index, self.answer, self.is_final);
        true
    }
}

#[cfg(test)]
#[path = "segmented_tests.rs"]
mod tests;
