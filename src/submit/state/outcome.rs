//! What a session says became of a record, entered into the books: a result, a retry, a
//! resend, a report, or news about a message whose result is known.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tracing::debug;

use crate::record::event::SendErrorKind;
use smpp_esme::{Answer, Doubt, Outcome};
use smpp_protocol::Status;

use crate::submit::message::outgoing::{Job, Refusal, Returned, timestamp};
use crate::submit::options::OnStatus;
use crate::submit::pipeline::{BindRef, Books, Out, State};
use crate::submit::state::late::Expected;
use crate::submit::state::partition::{BindId, Lane};
use crate::submit::state::pending::{Entry, Fate, LaneId, Sent, accepted};
use crate::submit::state::retry::{self, Case, Verdict};

impl Books {
    /// A session said what became of a record. `true` if the sender has to look at what is due.
    pub fn outcome(&self, bind: &BindRef, token: u64, outcome: Outcome) -> bool {
        let mut state = self.state.lock();
        if let Some(look) = self.part_outcome(&mut state, bind, token, &outcome) {
            drop(state);
            if !matches!(outcome, Outcome::InDoubt(_)) {
                // The last of a message's parts came, of which others are in doubt.
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

    fn answered(&self, state: &mut State, bind: &BindRef, token: u64, answer: Answer) -> bool {
        let Some(out) = state.out.remove(&token) else {
            // Its partition was given up before this answer came.
            self.late(state, token, answer);
            return true;
        };
        let Out { lane: id, job } = out;
        let sent = Sent::of(&job, &bind.name);
        let Some(held) = state.lanes.get_mut(&id) else {
            if let Some((sent, answer)) = self.remember_answer(state, id, sent, answer) {
                self.side.publish_late(sent, answer);
            }
            return true;
        };
        held.lane.returned(job.offset);
        let on = match answer.status {
            Status::ROK => OnStatus::Reject,
            other => self.settings.status.get(other.0),
        };
        let fate = match on {
            OnStatus::Reject => Some(Fate::Answered(Box::new(sent), answer)),
            _ => self.after_refusal(&mut held.lane, job, answer.status),
        };
        if let Some(fate) = fate {
            state.gathered.push(Entry::new(id, fate));
        }
        // What goes out again wakes the sender, which has to know when it is due.
        on != OnStatus::Reject
    }

    /// What the sessions have of these lanes: their tokens.
    pub fn tokens_of(&self, lanes: &[LaneId]) -> Vec<u64> {
        let state = self.state.lock();
        let out = state
            .out
            .iter()
            .filter(|(_, out)| lanes.contains(&out.lane));
        let mut tokens: Vec<u64> = out.map(|(token, _)| *token).collect();
        tokens.extend(state.flights.tokens_of(lanes));
        tokens
    }

    /// Nobody waits for answers to what the sessions still have of these lanes: it is in doubt,
    /// and an answer that comes is published as late.
    pub fn abandon(&self, lanes: &[LaneId]) {
        for token in self.tokens_of(lanes) {
            let mut state = self.state.lock();
            if let Some(bind) = state.bind_of(token) {
                let doubt = Doubt::GivenUp;
                let outcome = Outcome::InDoubt(doubt);
                if self
                    .part_outcome(&mut state, &bind, token, &outcome)
                    .is_none()
                {
                    self.in_doubt(&mut state, &bind, token, doubt);
                }
            }
        }
        self.doubts.say();
    }

    fn in_doubt(&self, state: &mut State, bind: &BindRef, token: u64, doubt: Doubt) {
        let Some(Out { lane: id, job }) = state.out.remove(&token) else {
            return;
        };
        if doubt.may_be_answered() {
            state.expect_late(token, id, bind.id, Sent::of(&job, &bind.name));
        }
        let Some(held) = state.lanes.get_mut(&id) else {
            return;
        };
        held.lane.returned(job.offset);
        if let Some(fate) = self.after_doubt(&mut held.lane, job, doubt, &bind.name) {
            state.gathered.push(Entry::new(id, fate));
        }
    }

    /// The SMSC asked to try a record again: its fate, if it does not go back into its lane.
    pub(in crate::submit) fn after_refusal(
        &self,
        lane: &mut Lane,
        mut job: Box<Job>,
        status: Status,
    ) -> Option<Fate> {
        let (now, wall) = (Instant::now(), Timestamp::now());
        let case = Case {
            retries: job.retries,
            deadline: job.settle_deadline(now, self.settings.message_deadline.get()),
            held_since: job.held_since.unwrap_or(now),
        };
        let verdict = retry::on_answer(status, &case, &self.settings, now);
        debug!(log_id = job.letter.log_id, %status, ?verdict, "not accepted for now");
        if verdict != Verdict::Throttled {
            job.retries += 1; // being too much for the SMSC is no failure of the message
        }
        match verdict {
            // It is asked only about what is no rejection.
            Verdict::Throttled | Verdict::Final => {
                job.rearm();
                lane.again(job, None);
                None
            }
            Verdict::Retry(delay) => {
                job.rearm();
                lane.again(job, Some(now + delay));
                None
            }
            Verdict::PutBack(delay) => {
                let returned = Returned {
                    origin: Some(job.letter.position.clone()),
                    earlier: job.earlier + job.retries,
                    doubts: job.doubts,
                    not_before: Some(timestamp(now + delay, now, wall)),
                    deadline: Some(timestamp(case.deadline, now, wall)),
                    possible_duplicate: job.possible_duplicate,
                    taken: job.parts.as_ref().and_then(|parts| parts.to_header()),
                    total: (job.parts.as_ref())
                        .filter(|parts| parts.any_taken())
                        .and_then(|parts| u8::try_from(parts.count()).ok()),
                };
                Some(Fate::PutBack(job, returned))
            }
            Verdict::Overdue => {
                let text = format!("the SMSC answered {status} until the message's time ended");
                let refusal = Refusal {
                    status: Some(status),
                    ..Refusal::of(&job, SendErrorKind::Expired, text)
                };
                Some(Fate::Refused(Box::new(refusal)))
            }
        }
    }

    /// A record may have been sent: its fate, if it does not go back into its lane.
    pub(in crate::submit) fn after_doubt(
        &self,
        lane: &mut Lane,
        mut job: Box<Job>,
        doubt: Doubt,
        bind: &Arc<str>,
    ) -> Option<Fate> {
        lane.doubt(job.offset);
        let doubts = job.doubts.saturating_add(1);
        let resends = retry::resends(job.in_doubt, job.max_resends, doubts);
        self.doubts.note(bind, lane.source(), doubt, resends);
        if resends {
            job.doubts = doubts;
            job.possible_duplicate = true;
            job.rearm();
            lane.again(job, None);
            return None;
        }
        let refusal = Refusal {
            // The one whose outcome is not known is the last of them.
            attempt: job.attempt(),
            ..Refusal::of(
                &job,
                SendErrorKind::OutcomeUnknown,
                doubt_text(doubt).into(),
            )
        };
        Some(Fate::Refused(Box::new(refusal)))
    }

    /// An answer after its time-out: the result if there is none yet and the record is not
    /// out again, otherwise news about a message whose result is known.
    fn late(&self, state: &mut State, token: u64, answer: Answer) {
        let Some(Expected { lane: id, sent, .. }) = state.late.take(token) else {
            return;
        };
        if sent.part.is_some() {
            return self.part_late(state, id, sent, answer);
        }
        let Some(held) = state.lanes.get_mut(&id) else {
            return self.side.publish_late(sent, answer);
        };
        let is_final =
            accepted(&answer) || self.settings.status.get(answer.status.0) == OnStatus::Reject;
        if !held.lane.progress().is_finished(sent.offset) && held.lane.is_waiting(sent.offset) {
            if is_final && let Some(job) = held.lane.withdraw(sent.offset) {
                // This answer settles one doubt; of later attempts nothing is known.
                let possible_duplicate = sent.possible_duplicate || job.doubts > 1;
                let sent = Sent {
                    possible_duplicate,
                    ..sent
                };
                let fate = Fate::Answered(Box::new(sent), answer);
                state.gathered.push(Entry::new(id, fate));
            }
        } else {
            let fate = Fate::Late(Box::new(sent), answer);
            state.gathered.push(Entry::new(id, fate));
        }
    }
}

impl State {
    fn not_sent(&mut self, token: u64) {
        let Some(Out { lane, job }) = self.out.remove(&token) else {
            return;
        };
        if let Some(held) = self.lanes.get_mut(&lane) {
            held.lane.returned(job.offset);
            held.lane.not_sent(job);
        } else if let Some(memory) = self.memory_of(lane) {
            memory.not_taken(job.offset);
        }
    }

    pub(in crate::submit) fn expect_late(
        &mut self,
        token: u64,
        lane: LaneId,
        bind: BindId,
        sent: Sent,
    ) {
        self.late.expect(token, Expected { lane, bind, sent });
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
