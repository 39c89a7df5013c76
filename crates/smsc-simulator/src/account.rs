//! Accounts: who is bound, and what waits to be delivered to them.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Mo;
use smpp_protocol::{Command, EncodeError, MessageState, Status};

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Submits.
    Transmitter,
    /// Is delivered to.
    Receiver,
    /// Both.
    Transceiver,
}

impl Mode {
    pub(super) fn of(bind: Command) -> Option<Mode> {
        match bind {
            Command::BIND_TRANSMITTER => Some(Mode::Transmitter),
            Command::BIND_RECEIVER => Some(Mode::Receiver),
            Command::BIND_TRANSCEIVER => Some(Mode::Transceiver),
            _ => None,
        }
    }

    /// Whether it may submit.
    pub const fn transmits(self) -> bool {
        !matches!(self, Mode::Receiver)
    }

    /// Whether it is delivered to.
    pub const fn receives(self) -> bool {
        !matches!(self, Mode::Transmitter)
    }
}

/// A bound session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Number of the session, from 1, never used again.
    pub session: u64,
    /// system_id.
    pub account: String,
    /// What it may do.
    pub mode: Mode,
    /// Address of the ESME.
    pub peer: SocketAddr,
}

/// A deliver_sm on its way to an account.
pub(super) struct Delivery {
    /// The whole PDU; the session that sends it sets its sequence_number.
    pub pdu: Vec<u8>,
    pub what: What,
    /// How often it was sent.
    pub tries: u32,
}

impl Delivery {
    /// The inbound message of this number.
    pub(super) fn of(mo: &Mo, number: u64) -> Result<Self, EncodeError> {
        Ok(Delivery {
            pdu: mo.encode()?,
            what: What::Inbound { number },
            tries: 0,
        })
    }
}

pub(super) enum What {
    /// The receipt for the message of this number.
    Receipt { number: u64, state: MessageState },
    /// The inbound message of this number.
    Inbound { number: u64 },
}

/// One account.
pub(super) struct Account {
    pub name: String,
    pace: Pace,
    /// Woken when something is due before the clock would look again.
    clock: Arc<Notify>,
    state: Mutex<State>,
}

/// What is bound, what waits. "Due" waits for its time or for room in a window; "parked" was refused
/// by the ESME and waits for a new bind.
#[derive(Default)]
struct State {
    sessions: Vec<BoundSession>,
    /// Until when the binds of lost connections count.
    expired_binds: Vec<Instant>,
    due: BinaryHeap<Reverse<Due>>,
    parked: Vec<Delivery>,
    /// Orders deliveries of the same instant.
    order: u64,
    /// The session served last.
    served: usize,
    /// When the clock looks again.
    armed: Option<Instant>,
    /// When inbound messages come all at once, from the first receiving bind on.
    burst: NextBurst,
}

#[derive(Clone, Copy, Default)]
enum NextBurst {
    #[default]
    AtOnce,
    At(Instant),
    Never,
}

struct BoundSession {
    bound: Bound,
    /// How many more deliver_sm its window takes.
    room: usize,
    inbox: Vec<Delivery>,
    wake: Arc<Notify>,
}

struct Due {
    at: Instant,
    order: u64,
    delivery: Delivery,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl Account {
    pub(super) fn new(name: &str, max_tps: u32, clock: Arc<Notify>) -> Self {
        let (pace, state) = (Pace::new(max_tps), Mutex::default());
        Account {
            name: name.to_owned(),
            pace,
            clock,
            state,
        }
    }

    /// Whether the account's rate allows a submit_sm now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.pace.admits(now)
    }

    /// Binds a session, unless the account has its most already. What was parked is due again.
    pub(super) fn bind(
        &self,
        bound: Bound,
        window: usize,
        max_binds: usize,
        wake: Arc<Notify>,
    ) -> Result<(), Status> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.expired_binds.retain(|until| *until > now);
        if max_binds > 0 && state.sessions.len() + state.expired_binds.len() >= max_binds {
            return Err(Status::RALYBND);
        }
        if bound.mode.receives() {
            self.clock.notify_one();
            let parked = std::mem::take(&mut state.parked);
            parked
                .into_iter()
                .for_each(|delivery| state.push(now, delivery));
        }
        state.sessions.push(BoundSession {
            bound,
            room: if window == 0 { usize::MAX } else { window },
            inbox: Vec::new(),
            wake,
        });
        self.deal(&mut state, now);
        Ok(())
    }

    /// A session is over; what it left unacknowledged is due again, for whoever is bound or binds
    /// next. Its bind goes on counting for `linger`.
    pub(super) fn unbind(&self, session: u64, unacknowledged: Vec<Delivery>, linger: Duration) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let session = state
            .sessions
            .iter()
            .position(|bound| bound.bound.session == session);
        let unsent = session
            .map(|at| state.sessions.remove(at).inbox)
            .unwrap_or_default();
        unacknowledged
            .into_iter()
            .chain(unsent)
            .for_each(|delivery| state.push(now, delivery));
        if linger > Duration::ZERO {
            state.expired_binds.push(now + linger);
        }
        self.deal(&mut state, now);
    }

    /// Whether a burst of inbound messages is due, and when the next one is.
    pub(super) fn burst(&self, now: Instant, every: Option<Duration>) -> (bool, Option<Instant>) {
        if !self.receives() {
            return (false, None);
        }
        let mut state = self.state.lock();
        let due = match state.burst {
            NextBurst::AtOnce => true,
            NextBurst::At(at) => at <= now,
            NextBurst::Never => false,
        };
        if due {
            state.burst = every.map_or(NextBurst::Never, |every| NextBurst::At(now + every));
        }
        match state.burst {
            NextBurst::At(at) => (due, Some(at)),
            _ => (due, None),
        }
    }

    /// How much of the burst that the account's rate allows is used, 0 to 1.
    pub(super) fn load(&self, now: Instant) -> f64 {
        self.pace.load(now)
    }

    /// Puts deliveries in line.
    pub(super) fn deliver(&self, deliveries: &mut Vec<(Instant, Delivery)>) {
        let mut state = self.state.lock();
        deliveries
            .drain(..)
            .for_each(|(at, delivery)| state.push(at, delivery));
        self.deal(&mut state, Instant::now());
    }

    /// Deals what is due, and sees to it that the clock wakes for the rest.
    fn deal(&self, state: &mut State, now: Instant) {
        if let Some(next) = state.dispatch(now)
            && state.armed.is_none_or(|armed| next < armed)
        {
            state.armed = Some(next);
            self.clock.notify_one();
        }
    }

    /// Keeps a delivery for the next bind.
    pub(super) fn park(&self, delivery: Delivery) {
        self.state.lock().parked.push(delivery);
    }

    /// Takes the receipts of a message that nobody has been sent back; whether there were any.
    pub(super) fn revoke(&self, number: u64) -> bool {
        let mut state = self.state.lock();
        let before = state.due.len() + state.parked.len();
        let other =
            |what: &What| !matches!(what, What::Receipt { number: of, .. } if *of == number);
        state.due.retain(|due| other(&due.0.delivery.what));
        state.parked.retain(|delivery| other(&delivery.what));
        state.due.len() + state.parked.len() < before
    }

    /// A session says how many of its deliveries were answered and takes its next ones.
    pub(super) fn collect(&self, session: u64, answered: usize, into: &mut Vec<Delivery>) {
        let mut state = self.state.lock();
        if let Some(session) = state.session(session) {
            session.room = session.room.saturating_add(answered);
        }
        if answered > 0 {
            self.deal(&mut state, Instant::now());
        }
        if let Some(session) = state.session(session) {
            into.append(&mut session.inbox);
        }
    }

    /// For the clock: hands out what is due and tells when to look again, if by time.
    pub(super) fn dispatch(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.armed = state.dispatch(Instant::now());
        state.armed
    }

    /// How many deliveries have not been acknowledged, those on their way not counted.
    pub(super) fn waiting(&self) -> usize {
        let state = self.state.lock();
        let inboxes: usize = state
            .sessions
            .iter()
            .map(|session| session.inbox.len())
            .sum();
        state.due.len() + state.parked.len() + inboxes
    }

    pub(super) fn binds(&self) -> Vec<Bound> {
        self.state
            .lock()
            .sessions
            .iter()
            .map(|session| session.bound.clone())
            .collect()
    }

    pub(super) fn receives(&self) -> bool {
        self.state
            .lock()
            .sessions
            .iter()
            .any(|session| session.bound.mode.receives())
    }
}

impl State {
    fn session(&mut self, session: u64) -> Option<&mut BoundSession> {
        self.sessions
            .iter_mut()
            .find(|bound| bound.bound.session == session)
    }

    fn push(&mut self, at: Instant, delivery: Delivery) {
        self.order += 1;
        self.due.push(Reverse(Due {
            at,
            order: self.order,
            delivery,
        }));
    }

    /// Deals what is due to the receiving sessions in turn, as far as their windows go. An account
    /// whose windows are full is not woken by time: the next answer makes room.
    fn dispatch(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let head = self.due.peek()?.0.at;
            if head > now {
                return Some(head);
            }
            let at = self.next_seat()?;
            let Reverse(due) = self.due.pop()?;
            let session = &mut self.sessions[at];
            session.room -= 1;
            session.inbox.push(due.delivery);
            session.wake.notify_one();
            self.served = at;
        }
    }

    fn next_seat(&self) -> Option<usize> {
        let count = self.sessions.len();
        (1..=count)
            .map(|step| (self.served + step) % count)
            .find(|at| {
                let session = &self.sessions[*at];
                session.bound.mode.receives() && session.room > 0
            })
    }
}

/// The generic cell rate algorithm over one atomic: sessions of an account share it.
struct Pace {
    start: Instant,
    /// Nanoseconds between two messages; 0: no limit.
    gap: u64,
    /// Nanoseconds after the start at which the bucket is empty again.
    empty: AtomicU64,
}

/// A quarter of a second of messages may come at once: senders that keep the rate on average, but
/// write in batches, are not throttled.
const BURST: u64 = 250_000_000;

impl Pace {
    fn new(max_tps: u32) -> Self {
        let gap = 1_000_000_000u64.checked_div(max_tps.into()).unwrap_or(0);
        Pace {
            start: Instant::now(),
            gap,
            empty: AtomicU64::new(0),
        }
    }

    fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX / 2)
    }

    fn load(&self, now: Instant) -> f64 {
        let ahead = self.empty.load(Relaxed).saturating_sub(self.nanos(now));
        ahead as f64 / BURST.max(self.gap) as f64
    }

    fn admits(&self, now: Instant) -> bool {
        if self.gap == 0 {
            return true;
        }
        let now = self.nanos(now);
        let next = |empty: u64| {
            let after = empty.max(now) + self.gap;
            (after <= now + BURST.max(self.gap)).then_some(after)
        };
        self.empty.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(session: u64, mode: Mode) -> Bound {
        Bound {
            session,
            account: "a".into(),
            mode,
            peer: ([127, 0, 0, 1], 1).into(),
        }
    }

    fn bind(account: &Account, session: u64, mode: Mode, window: usize) -> Result<(), Status> {
        account.bind(bound(session, mode), window, 2, Arc::default())
    }

    fn delivery(number: u64) -> Delivery {
        Delivery {
            pdu: Vec::new(),
            what: What::Inbound { number },
            tries: 0,
        }
    }

    fn deliver(account: &Account, numbers: impl IntoIterator<Item = u64>) {
        let now = Instant::now();
        account.deliver(&mut numbers.into_iter().map(|n| (now, delivery(n))).collect());
    }

    fn take(account: &Account, session: u64, answered: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        account.collect(session, answered, &mut taken);
        taken
    }

    fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
        let number = |delivery: &Delivery| match delivery.what {
            What::Inbound { number } | What::Receipt { number, .. } => number,
        };
        deliveries.iter().map(number).collect()
    }

    #[test]
    fn receiving_sessions_are_served_in_turn_within_their_windows() {
        let account = Account::new("a", 0, Arc::default());
        bind(&account, 1, Mode::Receiver, 2).unwrap();
        bind(&account, 2, Mode::Transceiver, 3).unwrap();
        deliver(&account, 1..=7);
        let (first, second) = (take(&account, 1, 0), take(&account, 2, 0));
        assert_eq!(
            (numbers(&first), numbers(&second)),
            (vec![2, 4], vec![1, 3, 5])
        );
        assert_eq!(
            numbers(&take(&account, 1, 1)),
            [6],
            "an answer makes room for one"
        );
        assert_eq!(account.waiting(), 1);
    }

    #[test]
    fn a_burst_waits_for_a_receiver_and_comes_again_if_asked() {
        let account = Account::new("a", 0, Arc::default());
        let (now, minute) = (Instant::now(), Duration::from_secs(60));
        bind(&account, 1, Mode::Transmitter, 0).unwrap();
        assert_eq!(account.burst(now, Some(minute)), (false, None));
        bind(&account, 2, Mode::Receiver, 0).unwrap();
        let next = now + minute;
        assert_eq!(account.burst(now, Some(minute)), (true, Some(next)));
        assert_eq!(account.burst(now, Some(minute)), (false, Some(next)));
        assert_eq!(account.burst(next, None), (true, None));
        assert_eq!(account.burst(next + minute, None), (false, None));
        deliver(&account, 1..=300);
        assert_eq!(take(&account, 2, 1).len(), 300, "a window without limit");
    }

    #[test]
    fn transmitters_are_not_delivered_to() {
        let account = Account::new("a", 0, Arc::default());
        bind(&account, 1, Mode::Transmitter, 5).unwrap();
        deliver(&account, [1]);
        assert!(take(&account, 1, 0).is_empty());
        bind(&account, 2, Mode::Receiver, 5).unwrap();
        assert_eq!(numbers(&take(&account, 2, 0)), [1]);
    }

    #[test]
    fn what_was_not_acknowledged_waits_for_the_next_receiving_bind() {
        let account = Account::new("a", 0, Arc::default());
        bind(&account, 1, Mode::Receiver, 2).unwrap();
        deliver(&account, [1, 2, 3]);
        let sent = take(&account, 1, 0);
        account.unbind(1, sent, Duration::ZERO);
        assert_eq!(account.waiting(), 3);
        bind(&account, 2, Mode::Transmitter, 2).unwrap();
        assert!(take(&account, 2, 0).is_empty());
        bind(&account, 3, Mode::Transceiver, 9).unwrap();
        let mut again = numbers(&take(&account, 3, 0));
        again.sort_unstable();
        assert_eq!(again, [1, 2, 3]);
    }

    #[test]
    fn an_account_has_so_many_binds_and_lost_ones_count_for_a_while() {
        let account = Account::new("a", 0, Arc::default());
        bind(&account, 1, Mode::Receiver, 1).unwrap();
        bind(&account, 2, Mode::Receiver, 1).unwrap();
        assert_eq!(bind(&account, 3, Mode::Receiver, 1), Err(Status::RALYBND));
        account.unbind(1, Vec::new(), Duration::from_secs(60));
        assert_eq!(bind(&account, 3, Mode::Receiver, 1), Err(Status::RALYBND));
        account.unbind(2, Vec::new(), Duration::ZERO);
        assert_eq!(bind(&account, 4, Mode::Receiver, 1), Ok(()));
    }

    #[test]
    fn what_is_due_later_waits_for_its_time() {
        let account = Account::new("a", 0, Arc::default());
        bind(&account, 1, Mode::Receiver, 9).unwrap();
        let soon = Instant::now() + Duration::from_secs(60);
        account.deliver(&mut vec![(soon, delivery(1))]);
        assert!(take(&account, 1, 0).is_empty());
        deliver(&account, [2]);
        assert_eq!(numbers(&take(&account, 1, 0)), [2]);
        assert_eq!(account.dispatch(), Some(soon));
    }

    #[test]
    fn a_rate_admits_its_burst_and_then_its_pace() {
        let pace = Pace::new(100);
        let at = |millis| pace.start + Duration::from_millis(millis);
        let admitted = |from, to| (from..to).filter(|ms| pace.admits(at(*ms))).count();
        assert_eq!((0..100).filter(|_| pace.admits(at(0))).count(), 25);
        assert_eq!(admitted(1, 1001), 100);
        assert!(Pace::new(0).admits(Instant::now()));
    }
}
