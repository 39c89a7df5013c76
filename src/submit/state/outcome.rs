//! What a session says became of a record, entered into the pipeline: a result, a retry, a
//! resend, a report, or news about a message whose result is known.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tracing::debug;

use crate::record::event::SendErrorKind;
use smpp_esme::{Answer, Doubt, Outcome};
use smpp_protocol::Status;

use crate::submit::message::outgoing::{Outgoing, Rejection, Returned, timestamp};
use crate::submit::pipeline::{BindRef, InFlight, Pipeline, PipelineState};
use crate::submit::state::late::Expected;
use crate::submit::state::partition::{BindId, PartitionState};
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome, Sent, accepted};
use crate::submit::state::retry::{self, Meaning, RetryState, Verdict};

impl Pipeline {
    /// A session said what became of a record. `true` if the sender has to look at what is due.
    pub fn outcome(&self, bind: &BindRef, token: u64, outcome: Outcome) -> bool {
        let mut state = self.state.lock();
        if let Some(look) = self.segment_outcome(&mut state, bind, token, &outcome) {
            drop(state);
            if !matches!(outcome, Outcome::InDoubt(_)) {
                // The last of a message's segments came, of which others are in doubt.
                self.doubts.say();
            }
            self.wake_transactor();
            return look;
        }
        let look = match outcome {
            Outcome::Answered(answer) => self.answered(&mut state, bind, token, answer),
            Outcome::Late(answer) => {
                self.late(&mut state, token, answer);
                true
            }
            Outcome::NotSent => {
                state.not_sent(token);
                true
            }
            Outcome::InDoubt(doubt) => {
                self.in_doubt(&mut state, bind, token, doubt);
                true
            }
        };
        drop(state);
        self.wake_transactor();
        look
    }

    /// A session has told all that there is to tell for now.
    pub fn all_told(&self) {
        self.doubts.say();
    }

    fn answered(
        &self,
        state: &mut PipelineState,
        bind: &BindRef,
        token: u64,
        answer: Answer,
    ) -> bool {
        let Some(out) = state.in_flight.remove(&token) else {
            // Its partition was given up before this answer came.
            self.late(state, token, answer);
            return true;
        };
        let InFlight {
            assignment: id,
            outgoing,
        } = out;
        let sent = Sent::of(&outgoing, &bind.name);
        let Some(held) = state.assignments.get_mut(&id) else {
            if let Some((sent, answer)) = self.remember_answer(state, id, sent, answer) {
                self.late_producer.publish_late(sent, answer);
            }
            return true;
        };
        held.partition.returned(outgoing.offset);
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        let outcome = if is_final {
            Some(RecordOutcome::Answered(Box::new(sent), answer))
        } else {
            self.after_refusal(&mut held.partition, outgoing, answer.status)
        };
        if let Some(outcome) = outcome {
            state.gathered.push(PendingResult::new(id, outcome));
        }
        // What goes out again wakes the sender, which has to know when it is due.
        !is_final
    }

    /// What the sessions have of these partitions: their tokens.
    pub fn tokens_of(&self, assignments: &[AssignmentId]) -> Vec<u64> {
        let state = self.state.lock();
        let out = state
            .in_flight
            .iter()
            .filter(|(_, out)| assignments.contains(&out.assignment));
        let mut tokens: Vec<u64> = out.map(|(token, _)| *token).collect();
        tokens.extend(state.segmented.tokens_of(assignments));
        tokens
    }

    /// Nobody waits for answers to what the sessions still have of these partitions: it is in doubt,
    /// and an answer that comes is published as late.
    pub fn abandon(&self, assignments: &[AssignmentId]) {
        for token in self.tokens_of(assignments) {
            let mut state = self.state.lock();
            if let Some(bind) = state.bind_of(token) {
                let doubt = Doubt::GivenUp;
                let outcome = Outcome::InDoubt(doubt);
                if self
                    .segment_outcome(&mut state, &bind, token, &outcome)
                    .is_none()
                {
                    self.in_doubt(&mut state, &bind, token, doubt);
                }
            }
        }
        self.doubts.say();
    }

    fn in_doubt(&self, state: &mut PipelineState, bind: &BindRef, token: u64, doubt: Doubt) {
        let Some(InFlight {
            assignment: id,
            outgoing,
        }) = state.in_flight.remove(&token)
        else {
            return;
        };
        if doubt.may_be_answered() {
            state.expect_late(token, id, bind.id, Sent::of(&outgoing, &bind.name));
        }
        let Some(held) = state.assignments.get_mut(&id) else {
            return;
        };
        held.partition.returned(outgoing.offset);
        if let Some(outcome) = self.after_doubt(&mut held.partition, outgoing, doubt, &bind.name) {
            state.gathered.push(PendingResult::new(id, outcome));
        }
    }

    /// The SMSC asked to try a record again: its outcome, if it does not go back into its partition.
    pub(in crate::submit) fn after_refusal(
        &self,
        partition: &mut PartitionState,
        mut outgoing: Box<Outgoing>,
        status: Status,
    ) -> Option<RecordOutcome> {
        let (now, wall) = (Instant::now(), Timestamp::now());
        let case = RetryState {
            retries: outgoing.retries,
            deadline: outgoing.settle_deadline(now, self.settings.message_deadline.get()),
            held_since: outgoing.held_since.unwrap_or(now),
        };
        let verdict = retry::on_answer(status, &case, &self.settings, now);
        debug!(log_id = outgoing.context.log_id, %status, ?verdict, "not accepted for now");
        if verdict != Verdict::Throttled {
            outgoing.retries += 1; // being too much for the SMSC is no failure of the message
        }
        match verdict {
            // It is asked only about what is no rejection.
            Verdict::Throttled | Verdict::Final => {
                outgoing.rearm();
                partition.retry(outgoing, None);
                None
            }
            Verdict::Retry(delay) => {
                outgoing.rearm();
                partition.retry(outgoing, Some(now + delay));
                None
            }
            Verdict::PutBack(delay) => {
                let returned = Returned {
                    origin: Some(outgoing.context.position.clone()),
                    earlier: outgoing.earlier + outgoing.retries,
                    doubts: outgoing.doubts,
                    not_before: Some(timestamp(now + delay, now, wall)),
                    deadline: Some(timestamp(case.deadline, now, wall)),
                    possible_duplicate: outgoing.possible_duplicate,
                    taken: outgoing
                        .segments
                        .as_ref()
                        .and_then(|segments| segments.to_header()),
                    total: (outgoing.segments.as_ref())
                        .filter(|segments| segments.any_taken())
                        .and_then(|segments| u8::try_from(segments.count()).ok()),
                };
                Some(RecordOutcome::PutBack(outgoing, returned))
            }
            Verdict::Overdue => {
                let text = format!("the SMSC answered {status} until the message's time ended");
                let rejection = Rejection {
                    status: Some(status),
                    ..Rejection::of(&outgoing, SendErrorKind::Expired, text)
                };
                Some(RecordOutcome::Rejected(Box::new(rejection)))
            }
        }
    }

    /// A record may have been sent: its outcome, if it does not go back into its partition.
    pub(in crate::submit) fn after_doubt(
        &self,
        partition: &mut PartitionState,
        mut outgoing: Box<Outgoing>,
        doubt: Doubt,
        bind: &Arc<str>,
    ) -> Option<RecordOutcome> {
        partition.doubt(outgoing.offset);
        let doubts = outgoing.doubts.saturating_add(1);
        let resends = retry::resends(outgoing.in_doubt, outgoing.max_resends, doubts);
        self.doubts.note(bind, partition.name(), doubt, resends);
        if resends {
            outgoing.doubts = doubts;
            outgoing.possible_duplicate = true;
            outgoing.rearm();
            partition.retry(outgoing, None);
            return None;
        }
        let rejection = Rejection {
            // The one whose outcome is not known is the last of them.
            attempt: outgoing.attempt(),
            ..Rejection::of(
                &outgoing,
                SendErrorKind::OutcomeUnknown,
                doubt_text(doubt).into(),
            )
        };
        Some(RecordOutcome::Rejected(Box::new(rejection)))
    }

    /// An answer after its time-out: the result if there is none yet and the record is not
    /// out again, otherwise news about a message whose result is known.
    fn late(&self, state: &mut PipelineState, token: u64, answer: Answer) {
        let Some(Expected {
            assignment: id,
            sent,
            ..
        }) = state.late.take(token)
        else {
            return;
        };
        if sent.part.is_some() {
            return self.segment_late(state, id, sent, answer);
        }
        let Some(held) = state.assignments.get_mut(&id) else {
            return self.late_producer.publish_late(sent, answer);
        };
        let is_final = Meaning::of(answer.status, &self.settings).is_final();
        if !held.partition.progress().is_finished(sent.offset)
            && held.partition.is_waiting(sent.offset)
        {
            if is_final && let Some(outgoing) = held.partition.withdraw(sent.offset) {
                // This answer settles one doubt; of later attempts nothing is known.
                let possible_duplicate = sent.possible_duplicate || outgoing.doubts > 1;
                let sent = Sent {
                    possible_duplicate,
                    ..sent
                };
                let outcome = RecordOutcome::Answered(Box::new(sent), answer);
                state.gathered.push(PendingResult::new(id, outcome));
            }
        } else {
            let outcome = RecordOutcome::Late(Box::new(sent), answer);
            state.gathered.push(PendingResult::new(id, outcome));
        }
    }
}

impl PipelineState {
    fn not_sent(&mut self, token: u64) {
        let Some(InFlight {
            assignment,
            outgoing,
        }) = self.in_flight.remove(&token)
        else {
            return;
        };
        if let Some(held) = self.assignments.get_mut(&assignment) {
            held.partition.returned(outgoing.offset);
            held.partition.not_sent(outgoing);
        } else if let Some(lost) = self.lost_of(assignment) {
            lost.not_taken(outgoing.offset);
        }
    }

    pub(in crate::submit) fn expect_late(
        &mut self,
        token: u64,
        assignment: AssignmentId,
        bind: BindId,
        sent: Sent,
    ) {
        self.late.expect(
            token,
            Expected {
                assignment,
                bind,
                sent,
            },
        );
    }
}

fn doubt_text(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Timeout => {
            "the SMSC did not answer in time; it may or may not have taken the message"
        }
        Doubt::ConnectionLost => {
            "the connection was lost after the message was written; the SMSC may or may not have taken it"
        }
        Doubt::GivenUp => {
            "the partition was given up before the SMSC answered; it may or may not have taken the message"
        }
        Doubt::Closed => {
            "the bind was closed before the SMSC answered; it may or may not have taken the message"
        }
        Doubt::LeaseOver => {
            "the session ended with the lease before the SMSC answered; it may or may not have taken the message"
        }
        Doubt::Inactive => {
            "no message went either way within timers.inactivity; the SMSC may or may not have taken the message"
        }
        Doubt::Deaf => {
            "the SMSC answered no message, so the session was given up; it may or may not have taken the message"
        }
    }
}
