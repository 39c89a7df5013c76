//! What a session says became of a record: a result, a retry, a resend, a report, or news about a
//! message whose result is known.

use smpp_esme::{Answer, Doubt, Outcome};

use crate::submit::state::groups::BindRef;
use crate::submit::state::late::Expected;
use crate::submit::state::partition::BindId;
use crate::submit::state::pending::{AssignmentId, RecordOutcome, Sent};
use crate::submit::state::pipeline::{InFlight, Now, PipelineState};
use crate::submit::state::retry::{Meaning, Policy};

impl PipelineState {
    /// A session said what became of a record. `true` if the sender has to look at what is due.
    pub fn outcome(&mut self, bind: &BindRef, token: u64, outcome: Outcome, now: Now) -> bool {
        self.effects.commit();
        if let Some(look) = self.segment_outcome(bind, token, &outcome, now) {
            // The last of a message's segments may have come, of which others are in doubt. Those
            // in doubt are told together.
            self.effects.all_told |= !matches!(outcome, Outcome::InDoubt(_));
            return look;
        }
        match outcome {
            Outcome::Answered(answer) => self.answered(bind, token, answer, now),
            Outcome::Late(answer) => {
                self.late_answer(token, answer, now);
                true
            }
            Outcome::NotSent => {
                self.not_sent(token);
                true
            }
            Outcome::InDoubt(doubt) => {
                self.in_doubt(bind, token, doubt, now);
                true
            }
        }
    }

    fn answered(&mut self, bind: &BindRef, token: u64, answer: Answer, now: Now) -> bool {
        let Some(record) = self.in_flight.remove(&token) else {
            // Its partition was given up before this answer came.
            self.late_answer(token, answer, now);
            return true;
        };
        let InFlight {
            assignment: id,
            outgoing,
        } = record;
        let sent = Sent::of(&outgoing, &bind.name);
        let Some(held) = self.assignments.get_mut(&id) else {
            if let Some((sent, answer)) = self.remember_answer(id, sent, answer) {
                self.effects.publish_late(sent, answer);
            }
            return true;
        };
        held.partition.returned(outgoing.offset);
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        let outcome = if is_final {
            Some(RecordOutcome::Answered(Box::new(sent), answer))
        } else {
            let mut policy = Policy {
                settings: &self.settings,
                effects: &mut self.effects,
                now,
            };
            policy.refused(&mut held.partition, outgoing, answer.status)
        };
        held.gather(outcome);
        // What goes out again wakes the sender, which has to know when it is due.
        !is_final
    }

    /// What the sessions have of these partitions: their tokens.
    pub fn tokens_of(&self, assignments: &[AssignmentId]) -> Vec<u64> {
        let theirs = self
            .in_flight
            .iter()
            .filter(|(_, record)| assignments.contains(&record.assignment));
        let mut tokens: Vec<u64> = theirs.map(|(token, _)| *token).collect();
        tokens.extend(self.segmented.tokens_of(assignments));
        tokens
    }

    /// Nobody waits for the answer to a token any more: it is in doubt, and an answer that comes is
    /// published as late.
    pub fn abandoned(&mut self, token: u64, now: Now) {
        if let Some(bind) = self.bind_of(token) {
            let doubt = Doubt::GivenUp;
            let outcome = Outcome::InDoubt(doubt);
            if self.segment_outcome(&bind, token, &outcome, now).is_none() {
                self.in_doubt(&bind, token, doubt, now);
            }
        }
    }

    fn in_doubt(&mut self, bind: &BindRef, token: u64, doubt: Doubt, now: Now) {
        let Some(record) = self.in_flight.remove(&token) else {
            return;
        };
        let InFlight {
            assignment: id,
            outgoing,
        } = record;
        if doubt.may_be_answered() {
            self.expect_late(token, id, bind.id, Sent::of(&outgoing, &bind.name));
        }
        let Some(held) = self.assignments.get_mut(&id) else {
            return;
        };
        held.partition.returned(outgoing.offset);
        let mut policy = Policy {
            settings: &self.settings,
            effects: &mut self.effects,
            now,
        };
        let outcome = policy.doubted(&mut held.partition, outgoing, doubt, &bind.name);
        held.gather(outcome);
    }

    /// An answer after its time-out: the result if there is none yet and the record is not
    /// out again, otherwise news about a message whose result is known.
    fn late_answer(&mut self, token: u64, answer: Answer, now: Now) {
        let Some(expected) = self.late.take(token) else {
            return;
        };
        let Expected {
            assignment: id,
            sent,
            ..
        } = expected;
        if sent.segment.is_some() {
            return self.segment_late(id, sent, answer, now);
        }
        let Some(held) = self.assignments.get_mut(&id) else {
            return self.effects.publish_late(sent, answer);
        };
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        let unfinished = !held.partition.progress().is_finished(sent.offset);
        let outcome = if !unfinished || !held.partition.is_waiting(sent.offset) {
            RecordOutcome::Late(Box::new(sent), answer)
        } else if is_final && let Some(outgoing) = held.partition.withdraw(sent.offset) {
            // This answer settles one doubt; of later attempts nothing is known.
            let possible_duplicate = sent.possible_duplicate || outgoing.doubts > 1;
            let sent = Sent {
                possible_duplicate,
                ..sent
            };
            RecordOutcome::Answered(Box::new(sent), answer)
        } else {
            return;
        };
        held.gather(Some(outcome));
    }

    fn not_sent(&mut self, token: u64) {
        let Some(record) = self.in_flight.remove(&token) else {
            return;
        };
        let InFlight {
            assignment: id,
            outgoing,
        } = record;
        if let Some(held) = self.assignments.get_mut(&id) {
            held.partition.returned(outgoing.offset);
            held.partition.not_sent(outgoing);
        } else if let Some(lost) = self.lost_of(id) {
            lost.not_taken(outgoing.offset);
        }
    }

    pub fn expect_late(&mut self, token: u64, id: AssignmentId, bind: BindId, sent: Sent) {
        let expected = Expected {
            assignment: id,
            bind,
            sent,
        };
        self.late.expect(token, expected);
    }
}
