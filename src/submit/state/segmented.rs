//! Long messages under way: their parts go out one after another over one bind.
//!
//! A record of several parts is one entry of its [`lane`](super::lane): it is picked, out and
//! finished as a whole. Between picking and the fate it is a *flight* here.
//!
//! - A bind goes on with its flight before it picks anything else of that priority, so the parts
//!   are consecutive whatever window, rate and throttle leave between them. Only what is more
//!   urgent goes in between: 255 parts at a throttled pace would hold up one-time passwords for
//!   minutes.
//! - Each part has its own place in the window, its own response timer, and a correlation entry
//!   of its own as soon as it is answered ([`Fate::Taken`]).
//! - As soon as a part is not taken, no further part goes out; when none is with the session any
//!   more, the flight ends and [`Parts::standing`](crate::submit::state::segments::Parts::standing) decides: the
//!   result, or another flight for the parts that are missing.
//! - A part is taken before the message has its result. If the message is given up then, its
//!   successor would know nothing of that; so the lane counts it as in doubt when its
//!   reservation falls below it (`Lane::part_taken`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use jiff::Timestamp;

use smpp_esme::{Answer, Outcome};

use crate::submit::message::outgoing::Job;
use crate::submit::options::OnStatus;
use crate::submit::pipeline::{BindRef, Books, Picked, State};
use crate::submit::state::partition::BindId;
use crate::submit::state::pending::{Entry, Fate, LaneId, Sent, accepted};
use crate::submit::state::segments::{End, Standing};

/// A message of several parts that a bind is sending.
pub(in crate::submit) struct Flight {
    lane: LaneId,
    /// That of its lane.
    priority: usize,
    bind: BindRef,
    job: Box<Job>,
    /// Parts that are with the session.
    out: usize,
    /// No further part goes out.
    stopped: bool,
}

impl Flight {
    fn has_ended(&self) -> bool {
        let parts = self.job.parts.as_ref();
        self.out == 0 && (self.stopped || parts.is_none_or(|p| p.waiting() == 0))
    }
}

/// All flights, by the token of their first part; the others follow it.
#[derive(Default)]
pub(in crate::submit) struct Flights {
    by_token: BTreeMap<u64, Flight>,
    /// What each bind is in the middle of, one message for each priority.
    current: HashMap<(BindId, usize), u64>,
}

impl Flights {
    /// A bind picked a record of several parts; `first` and the tokens after it are theirs.
    pub fn start(
        &mut self,
        first: u64,
        lane: LaneId,
        priority: usize,
        bind: &BindRef,
        job: Box<Job>,
    ) {
        let flight = Flight {
            lane,
            priority,
            bind: bind.clone(),
            job,
            out: 0,
            stopped: false,
        };
        self.by_token.insert(first, flight);
        self.current.insert((bind.id, priority), first);
    }

    /// Hands out the next parts of what the bind is in the middle of at this priority. If its time
    /// has ended none goes out any more, and it may have to be concluded: returns it.
    pub fn go_on(
        &mut self,
        bind: BindId,
        priority: usize,
        most: usize,
        picked: &mut Vec<Picked>,
        now: Instant,
        wall: Timestamp,
    ) -> Option<u64> {
        let key = (bind, priority);
        let first = *self.current.get(&key)?;
        let Some(flight) = self.by_token.get_mut(&first).filter(|f| !f.stopped) else {
            self.current.remove(&key);
            return None;
        };
        if flight.job.expires.is_some_and(|at| at <= now) {
            // It ends when those that are out are answered.
            flight.stopped = true;
            self.current.remove(&key);
            return Some(first);
        }
        let parts = flight.job.parts.as_mut()?;
        while picked.len() < most {
            let Some((index, pdu)) = parts.take_next() else {
                self.current.remove(&key);
                return None;
            };
            flight.job.submitted_at = wall;
            flight.out += 1;
            let token = first + index as u64;
            picked.push(Picked { token, pdu });
        }
        None
    }

    /// How many parts the bind would hand out now.
    pub fn waiting(&self, bind: BindId) -> usize {
        let current = self.current.iter().filter(|((b, _), _)| *b == bind);
        let flights = current.filter_map(|(_, first)| self.by_token.get(first));
        let parts = flights
            .filter(|f| !f.stopped)
            .filter_map(|f| f.job.parts.as_ref());
        parts.map(|parts| parts.waiting()).sum()
    }

    /// The record that a part belongs to.
    #[cfg(test)]
    pub fn record_of(&mut self, token: u64) -> Option<(LaneId, i64)> {
        self.find(token)
            .map(|(_, flight)| (flight.lane, flight.job.offset))
    }

    /// Whether no bind is in the middle of anything.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_token.is_empty() && self.current.is_empty()
    }

    /// The time of all messages ends at `at`.
    #[cfg(test)]
    pub fn expire_all(&mut self, at: Instant) {
        for flight in self.by_token.values_mut() {
            flight.job.expires = Some(at);
        }
    }

    /// Tokens of the parts of these lanes that are with a session.
    pub fn tokens_of(&self, lanes: &[LaneId]) -> Vec<u64> {
        let theirs = self
            .by_token
            .iter()
            .filter(|(_, f)| lanes.contains(&f.lane));
        let out = theirs.flat_map(|(first, flight)| {
            let parts = flight.job.parts.iter().flat_map(|parts| parts.out());
            parts.map(move |index| first + index as u64)
        });
        out.collect()
    }

    /// The bind that a part is out with.
    pub fn bind_of(&mut self, token: u64) -> Option<BindRef> {
        self.find(token).map(|(_, flight)| flight.bind.clone())
    }

    fn find(&mut self, token: u64) -> Option<(u64, &mut Flight)> {
        let (first, flight) = self.by_token.range_mut(..=token).next_back()?;
        let count = flight.job.parts.as_ref().map_or(0, |p| p.count() as u64);
        (token < first + count).then_some((*first, flight))
    }

    fn find_record(&mut self, lane: LaneId, offset: i64) -> Option<(u64, &mut Flight)> {
        let mut flights = self.by_token.iter_mut();
        let found = flights.find(|(_, f)| f.lane == lane && f.job.offset == offset);
        found.map(|(first, flight)| (*first, flight))
    }

    /// The flight, if it has ended.
    fn land(&mut self, first: u64) -> Option<Flight> {
        let flight = self.by_token.get(&first).filter(|f| f.has_ended())?;
        let key = (flight.bind.id, flight.priority);
        if self.current.get(&key) == Some(&first) {
            self.current.remove(&key);
        }
        self.by_token.remove(&first)
    }

    /// No further part of these flights goes out. Returns those that have ended by that.
    fn stop(&mut self, which: impl Fn(&Flight) -> bool) -> Vec<Flight> {
        let mut ended = Vec::new();
        for (first, flight) in &mut self.by_token {
            if which(flight) {
                flight.stopped = true;
                ended.push(*first);
            }
        }
        ended.into_iter().filter_map(|f| self.land(f)).collect()
    }
}

impl Books {
    /// A session said what became of a part: whether the sender has to look at what is due; `None`
    /// if the token is not a part's.
    pub(in crate::submit) fn part_outcome(
        &self,
        state: &mut State,
        bind: &BindRef,
        token: u64,
        outcome: &Outcome,
    ) -> Option<bool> {
        if matches!(outcome, Outcome::Late(_)) {
            return None; // those are known among the time-outs
        }
        let (first, flight) = state.flights.find(token)?;
        // The count of parts fits.
        let index = (token - first) as usize;
        flight.out = flight.out.saturating_sub(1);
        let sent = Sent::part_of(&flight.job, &bind.name, index);
        let lane = flight.lane;
        let mut note = |end: End| {
            flight.stopped = true;
            if let Some(parts) = &mut flight.job.parts {
                parts.note(index, end);
            }
        };
        let look = match outcome {
            Outcome::NotSent => {
                note(End::Waiting);
                true
            }
            Outcome::InDoubt(doubt) => {
                note(End::Doubt(*doubt));
                if doubt.may_be_answered() {
                    state.expect_late(token, lane, bind.id, sent);
                }
                true
            }
            Outcome::Answered(answer) | Outcome::Late(answer) => {
                self.part_answered(state, first, index, sent, answer)
            }
        };
        self.conclude_landed(state, first);
        Some(look)
    }

    fn part_answered(
        &self,
        state: &mut State,
        first: u64,
        index: usize,
        sent: Sent,
        answer: &Answer,
    ) -> bool {
        let on = self.settings.status.get(answer.status.0);
        let Some(flight) = state.flights.by_token.get_mut(&first) else {
            return true;
        };
        if let Some(parts) = &mut flight.job.parts {
            parts.answered(index, answer, on == OnStatus::Reject);
        }
        flight.stopped |= !accepted(answer);
        let Some(held) = state.lanes.get_mut(&flight.lane) else {
            self.side.publish_late(sent, answer.clone());
            return true;
        };
        if accepted(answer) {
            held.lane.part_taken(sent.offset);
            let fate = Fate::Taken(Box::new(sent), answer.clone(), true);
            state.gathered.push(Entry::new(flight.lane, fate));
            return false;
        }
        on != OnStatus::Reject
    }

    /// An answer to a part after its time-out: it counts as long as the part is not out again,
    /// and its message has no result.
    pub(in crate::submit) fn part_late(
        &self,
        state: &mut State,
        id: LaneId,
        sent: Sent,
        answer: Answer,
    ) {
        let Some(held) = state.lanes.get_mut(&id) else {
            return self.side.publish_late(sent, answer);
        };
        let on = self.settings.status.get(answer.status.0);
        let late = Late {
            index: sent
                .part
                .map_or(0, |part| usize::from(part).saturating_sub(1)),
            rejects: on == OnStatus::Reject,
            answer: &answer,
        };
        let offset = sent.offset;
        let due = held.lane.due(offset);
        let mut job = None;
        let mut flight = None;
        let counts = if let Some((first, known)) = state.flights.find_record(id, offset) {
            flight = Some(first);
            let counts = late.note(&mut known.job);
            known.stopped |= counts && !accepted(&answer);
            counts
        } else if held.lane.is_waiting(offset) {
            if !late.is_final() {
                return;
            }
            job = held.lane.withdraw(offset);
            job.as_mut().is_some_and(|job| late.note(job))
        } else {
            false
        };
        let bind = sent.bind.clone();
        match (counts, accepted(&answer)) {
            (true, false) => {}
            (true, true) => {
                held.lane.part_taken(offset);
                let fate = Fate::Taken(Box::new(sent), answer, true);
                state.gathered.push(Entry::new(id, fate));
            }
            (false, _) => {
                let fate = Fate::Late(Box::new(sent), answer);
                state.gathered.push(Entry::new(id, fate));
            }
        }
        if let Some(job) = job {
            self.conclude_withdrawn(state, id, job, &bind, due);
        }
        if let Some(flight) = flight {
            self.conclude_landed(state, flight);
        }
    }

    /// The bind has no session any more, and all its outcomes are told: what it was in the
    /// middle of ends here.
    pub(in crate::submit) fn ground(&self, state: &mut State, bind: BindId) {
        for flight in state.flights.stop(|flight| flight.bind.id == bind) {
            self.conclude(state, flight.lane, flight.job, &flight.bind.name);
        }
    }

    /// No further part of these lanes goes out.
    pub fn stop_flights(&self, lanes: &[LaneId]) {
        let mut state = self.state.lock();
        for flight in state.flights.stop(|flight| lanes.contains(&flight.lane)) {
            self.conclude(&mut state, flight.lane, flight.job, &flight.bind.name);
        }
    }

    /// A late answer came while the message waited to go out again. If parts of it still have to,
    /// it waits on, and for as long as before: no commit says that it is ready.
    fn conclude_withdrawn(
        &self,
        state: &mut State,
        id: LaneId,
        mut job: Box<Job>,
        bind: &Arc<str>,
        due: Option<Instant>,
    ) {
        let standing = job.parts.as_ref().map(|parts| parts.standing());
        match state.lanes.get_mut(&id) {
            Some(held) if standing == Some(Standing::Waiting) => {
                job.rearm();
                held.lane.again(job, due);
            }
            _ => self.conclude(state, id, job, bind),
        }
    }

    pub(in crate::submit) fn conclude_landed(&self, state: &mut State, first: u64) {
        if let Some(flight) = state.flights.land(first) {
            self.conclude(state, flight.lane, flight.job, &flight.bind.name);
        }
    }

    /// None of the message's parts is with a session: its fate, or the way back into its lane.
    fn conclude(&self, state: &mut State, id: LaneId, mut job: Box<Job>, bind: &Arc<str>) {
        let Some(held) = state.lanes.get_mut(&id) else {
            return;
        };
        held.lane.returned(job.offset);
        let Some(parts) = &job.parts else { return };
        let fate = match parts.standing() {
            Standing::Taken | Standing::Rejected => {
                let answer = parts.answer();
                let sent = Sent::of(&job, bind);
                answer.map(|answer| Fate::Answered(Box::new(sent), answer))
            }
            Standing::Doubt(doubt) => self.after_doubt(&mut held.lane, job, doubt, bind),
            Standing::Later(status) => self.after_refusal(&mut held.lane, job, status),
            Standing::Waiting => {
                job.rearm();
                held.lane.not_sent(job);
                None
            }
        };
        if let Some(fate) = fate {
            state.gathered.push(Entry::new(id, fate));
        }
    }
}

impl State {
    /// Lanes are given up: nothing more of them goes out, and what no session has is forgotten.
    pub(in crate::submit) fn forget_flights(&mut self, lanes: &[LaneId]) {
        let gone = |flight: &Flight| lanes.contains(&flight.lane);
        drop(self.flights.stop(gone));
    }
}

/// A late answer to a part.
struct Late<'a> {
    index: usize,
    rejects: bool,
    answer: &'a Answer,
}

impl Late<'_> {
    fn is_final(&self) -> bool {
        accepted(self.answer) || self.rejects
    }

    /// Notes it if it still says something new.
    fn note(&self, job: &mut Job) -> bool {
        let parts = job.parts.as_mut();
        let Some(parts) = parts.filter(|p| self.is_final() && p.is_open(self.index)) else {
            return false;
        };
        parts.answered(self.index, self.answer, self.rejects);
        true
    }
}

#[cfg(test)]
#[path = "segmented_tests.rs"]
mod tests;
