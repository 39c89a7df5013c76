//! One session, from bound to over: all of its state, driven by one task.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use plain_telemetry::ErrorCode;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::debug;

use super::backoff::{Caution, Life, length};
use super::channel::{Channel, Recall, Request, Response, SPARE};
use super::client::{Client, Doubt, Inbound, Outcome};
use super::clock::Clock;
use super::codes;
use super::connect::{Io, Opened};
use super::flow::Flow;
use super::handle::Shared;
use super::input::Input;
use super::lease::{LOOK_AGAIN, Lease, Over};
use super::options::{Options, Timers};
use super::outbox::Outbox;
use super::trust::{FEW, Trust};
use super::window::Window;
use super::wire::Wire;
use smpp_protocol::{Command, ImpossibleLength, Status};

/// The outbox holds about this many octets of requests at most, so that an answer never waits
/// behind more. Answers do not count: however many there are, requests get their share.
const BATCH: usize = 65_536;
/// Above this many octets unwritten nothing is read: the SMSC asks without reading our answers.
const FULL: usize = 262_144;
/// What the buffers of a session hold at most, in octets: what was read, what is to be written, and
/// answers to what was read last. What waits for its fate is held by others.
pub const SESSION_OCTETS: usize = 2 * super::input::BATCH + BATCH + FULL;
/// How long a farewell may take: the answer to our unbind, or the last octets of our own.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("closed by us")]
    Closed,
    #[error("{0}")]
    LeaseOver(Over),
    #[error("the first of its hosts accepts connections again")]
    Moved,
    #[error("no message went either way within timers.inactivity")]
    Inactive,
    #[error("the SMSC unbound the session")]
    PeerUnbound,
    #[error("the SMSC closed the connection")]
    PeerClosed,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error(transparent)]
    Impossible(#[from] ImpossibleLength),
    #[error("enquire_link was not answered within timers.response")]
    Silent,
    #[error("a PDU was begun and not finished within timers.read")]
    Incomplete,
    #[error("the SMSC reads nothing: a write made no progress within timers.response")]
    Stalled,
    #[error(
        "the SMSC answers no message: none was answered for {}, although the connection stands. What takes its messages may be down, or this account may not send: ask its operator. If it is only slow, raise timers.response",
        length(*.0)
    )]
    Deaf(Duration),
}

impl End {
    /// Whether it ended by our own wish.
    pub fn is_ours(&self) -> bool {
        matches!(
            self,
            End::Closed | End::LeaseOver(_) | End::Inactive | End::Moved
        )
    }

    /// By which it is explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            End::Closed
            | End::LeaseOver(_)
            | End::Moved
            | End::PeerUnbound
            | End::PeerClosed
            | End::Broken(_) => codes::SESSION_LOST,
            End::Impossible(_) => codes::NOT_SMPP,
            End::Silent | End::Incomplete | End::Stalled => codes::SILENT,
            End::Inactive | End::Deaf(_) => codes::DEAF,
        }
    }

    /// Whether this side wanted a session of this life to end, and could have gone on with it.
    pub fn is_wanted(&self, life: &Life) -> bool {
        match self {
            End::LeaseOver(over) => !over.ran_out(),
            End::Inactive => life.answers(),
            other => other.is_ours(),
        }
    }

    fn doubt(&self) -> Doubt {
        match self {
            End::Closed | End::Moved => Doubt::Closed,
            End::LeaseOver(_) => Doubt::LeaseOver,
            End::Inactive => Doubt::Inactive,
            End::Deaf(_) => Doubt::Deaf,
            _ => Doubt::ConnectionLost,
        }
    }
}

/// What the session still does. The SMSC or a lost connection can end it from anywhere; else
///
/// ```text
/// Open ──freeze──► Frozen ──stop───► Draining ──answered, or time──► Settling ──► Unbinding ──► Leaving
///   └─────────────────────stop──────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everything.
    Open,
    /// Everything but requests.
    Frozen,
    /// Waits for answers to our requests.
    Draining { by: Instant },
    /// Waits for our answers to the SMSC's requests; new ones get none.
    Settling { by: Instant },
    /// Our unbind is on its way.
    Unbinding { by: Instant },
    /// Writes what is left, reads nothing.
    Leaving { by: Instant },
}

/// Whom a session deals with besides the SMSC.
#[derive(Clone)]
pub(super) struct Parties {
    /// Hears what became of requests.
    pub client: Arc<dyn Client>,
    /// Takes what the SMSC delivers.
    pub inbound: Arc<dyn Inbound>,
    /// The right to write submit_sm.
    pub lease: Lease,
    /// What the bind's handles see.
    pub shared: Arc<Shared>,
}

/// A bound session. Dropping it delivers the outcomes that are missing.
pub(super) struct Session {
    /// The connection, TLS included.
    io: Box<dyn Io>,
    /// Who watches it.
    pub(super) wire: Wire,
    /// The address of the SMSC.
    pub(super) peer: SocketAddr,
    /// A failed write took nothing. Not so with TLS, which may have sent a part.
    exact: bool,
    /// Something was written since the connection was flushed last.
    unflushed: bool,
    /// What was read and makes no whole PDU yet.
    pub(super) input: Input,
    /// What is to be written, in order, and how far each request of it is written.
    pub(super) outbox: Outbox,
    /// Requests that were written and not answered, by sequence_number. Whoever is in it has an
    /// outcome coming: an answer, its response timer, or the end of the session.
    pub(super) window: Window,
    /// How many requests may be unanswered, and how fast they may go.
    pub(super) flow: Flow,
    /// What [`Self::trusted`] said when the channel was told last.
    trusted: usize,
    /// The window that was looked at last; 0 before any was set.
    most: usize,
    /// Requests that were taken from the channel and not put into the window. Nothing of them is
    /// written, so they go back if the session ends.
    queue: VecDeque<Request>,
    /// Responses that were taken from the channel, to requests of the SMSC.
    responses: Vec<Response>,
    /// Where requests come from. It never holds more than may be unanswered, so that no request
    /// waits here that another session could send.
    pub(super) channel: Arc<Channel>,
    /// Hears what became of each request, exactly once.
    pub(super) client: Arc<dyn Client>,
    /// The how-manyth session of its bind it is.
    generation: u64,
    /// The client knows that it is over.
    told: bool,
    /// Requests without answer when it was over.
    in_doubt: usize,
    /// How many requests the SMSC is trusted with.
    pub(super) trust: Trust,
    /// When requests were given up last, whose answers may still come.
    timed_out: Option<Instant>,
    /// Nothing more is sent until then at most, so that the session can be left for another host as
    /// soon as nothing is unanswered: see [`Self::stays_at`].
    leaving_by: Option<Instant>,
    /// Takes what the SMSC delivers.
    pub(super) inbound: Arc<dyn Inbound>,
    /// The right to write submit_sm: nothing is written after its end, and the session ends with it.
    lease: Lease,
    /// What the handles of the bind see.
    pub(super) shared: Arc<Shared>,
    /// As configured.
    timers: Timers,
    /// What those are answered with that cannot be taken now.
    pub(super) refusal: Status,
    /// Requests of the SMSC that were let in and not answered yet.
    pub(super) unanswered: usize,
    /// What it still does. It goes down the list of [`Phase`], and only down.
    pub(super) phase: Phase,
    /// Why it is unbinding or leaving.
    ending: Option<End>,
    /// When the SMSC was heard last, and when it is asked whether it is there.
    pub(super) clock: Clock,
    /// The next time at which something is due, if nothing happens before.
    timer: Pin<Box<Sleep>>,
}

impl Session {
    /// A session that has just been bound, the `generation`-th of its bind, which begins with
    /// `caution`.
    pub fn new(
        opened: Opened,
        options: &Options,
        parties: Parties,
        generation: u64,
        caution: Caution,
    ) -> Self {
        let most = if options.mode.submits() {
            options.window.max(1)
        } else {
            0
        };
        let now = Instant::now();
        let Parties {
            client,
            inbound,
            lease,
            shared,
        } = parties;
        let known = shared.flow.lock().take();
        let mut flow = known.unwrap_or_else(|| Flow::of(options, now.into_std()));
        flow.began(now.into_std());
        let pace = flow.pace(now.into_std());
        let (trial, response) = (options.reconnect.trial(), options.timers.response.get());
        let few = options.start.max(FEW);
        let trust = Trust::new(most, few, caution, trial, response, now);
        let trusted = trust.limit();
        let places = flow.allowed().min(trusted);
        *shared.pace.lock() = pace;
        shared.limited.store(pace.rate.is_some(), Relaxed);
        client.paced(pace);
        client.bound(generation);
        inbound.bound();
        Session {
            io: opened.io,
            wire: Wire::new(options, opened.peer),
            peer: opened.peer,
            exact: opened.exact,
            unflushed: false,
            input: opened.input,
            outbox: Outbox::default(),
            window: Window::new(most),
            flow,
            trusted,
            most: 0,
            queue: VecDeque::new(),
            responses: Vec::new(),
            channel: Channel::new(places),
            client,
            generation,
            told: false,
            in_doubt: 0,
            trust,
            timed_out: None,
            leaving_by: None,
            inbound,
            lease,
            shared,
            timers: options.timers.clone(),
            refusal: options.refusal,
            unanswered: 0,
            phase: Phase::Open,
            ending: None,
            clock: Clock::new(now),
            timer: Box::pin(sleep_until(now)),
        }
    }

    /// What is to be said of it, and how many requests it left in doubt.
    pub fn life(&self) -> (Life, usize) {
        (self.trust.life(Instant::now()), self.in_doubt)
    }

    pub fn channel(&self) -> Arc<Channel> {
        Arc::clone(&self.channel)
    }

    /// Takes no more requests, and gives back those of which nothing was written.
    pub fn freeze(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Frozen;
        }
        let waiting = self.channel.freeze();
        self.give_back(waiting);
    }

    /// Freezes, and unbinds when everything is answered, at the latest at `by`.
    pub fn stop(&mut self, by: Instant) {
        self.freeze();
        self.phase = match self.phase {
            Phase::Open | Phase::Frozen => Phase::Draining { by },
            Phase::Draining { by: earlier } => Phase::Draining {
                by: by.min(earlier),
            },
            Phase::Settling { by: earlier } => Phase::Settling {
                by: by.min(earlier),
            },
            going @ (Phase::Unbinding { .. } | Phase::Leaving { .. }) => going,
        };
    }

    /// Sends nothing more for now, and unbinds when nothing is unanswered in either direction, so
    /// that nothing is in doubt by that. If that takes longer than `patience` or an answer seems to
    /// be lost, the session goes on.
    pub fn leave_when_idle(&mut self, patience: Duration) {
        if self.phase == Phase::Open {
            let now = Instant::now();
            self.leaving_by = Some(now + patience);
            self.leave_or_stay(now);
            self.regulate(now);
        }
    }

    /// How long [`Self::leave_when_idle`] may take.
    pub fn patience(timers: &Timers) -> Duration {
        timers.response.get() / 2
    }

    /// When a session that is to be left stays after all. An answer that is not there for so long
    /// has most probably been lost, and the bind would do nothing until the response timer ends.
    fn stays_at(&self) -> Option<Instant> {
        let by = self.leaving_by?;
        let oldest = self.window.oldest();
        let lost = oldest.map(|sent| sent + Self::patience(&self.timers));
        Some(lost.map_or(by, |lost| lost.min(by)))
    }

    /// How many requests may be unanswered, whatever congestion allows.
    fn trusted(&self) -> usize {
        match self.leaving_by {
            Some(_) => 0,
            None => self.trust.limit(),
        }
    }

    /// Whether [`Self::regulate`] would find that the SMSC is trusted with more or less.
    pub(super) fn trust_has_changed(&self) -> bool {
        self.trusted() != self.trusted
    }

    /// Works until there is nothing to do; ready when the session is over. The caller then
    /// settles it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.work(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(self.ending.take().unwrap_or(end)),
        }
    }

    /// Delivers all outcomes that are missing, and says goodbye to the connection.
    pub async fn settle(&mut self, end: &End) {
        self.deliver_rest(end.doubt());
        if !matches!(end, End::Broken(_)) {
            // A FIN; with TLS also close_notify. Whether it arrives changes nothing.
            let _ = timeout(FAREWELL / 10, self.io.shutdown()).await;
        }
    }

    fn work(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let recalls = (self.channel).take(&mut self.queue, &mut self.responses, cx);
            recalls.into_iter().for_each(|recall| self.recall(recall));
            let now = Instant::now();
            self.take_window(now);
            let read = self.read(cx, now)?;
            let wrote = match self.write(cx, now) {
                Ok(wrote) => wrote,
                Err(end) => {
                    // Answers that arrived before the connection broke can still be read.
                    while self.read(cx, now).is_ok_and(|more| more) {}
                    return Err(end);
                }
            };
            // What has arrived is looked at before any timer is believed.
            if !read && !wrote && !self.tend(now)? && self.rest(cx).is_pending() {
                return Ok(());
            }
        }
    }

    /// Another window holds at once, and not only when the SMSC answers.
    fn take_window(&mut self, now: Instant) {
        if self.shared.most.load(Relaxed) != self.most {
            self.regulate(now);
        }
    }

    /// Reads a batch and serves it; false when there is nothing to read.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        if matches!(self.phase, Phase::Leaving { .. }) || self.outbox.unwritten().len() > FULL {
            return Ok(false);
        }
        match self.input.poll_read(&mut self.io, cx) {
            Poll::Pending if !self.clock.unread => Ok(false),
            Poll::Pending => {
                self.clock.unread = false; // what came together with the answer to the bind
                self.serve(now)?;
                Ok(true)
            }
            Poll::Ready(Ok(0)) => Err(End::PeerClosed),
            Poll::Ready(Ok(count)) => {
                self.clock.unread = false;
                self.shared.counters.octets_in.add(count);
                self.serve(now)?;
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(End::Broken(error)),
        }
    }

    /// Writes a batch; false when there is nothing to write or no room for it.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        self.fill();
        if self.outbox.has_unsent() && !self.lease.valid() {
            self.unbind(End::LeaseOver(self.lease.over()), now);
        }
        let octets = self.outbox.unwritten();
        if octets.is_empty() {
            return self.flush(cx, now);
        }
        let offered = octets.len();
        match Pin::new(&mut self.io).poll_write(cx, octets) {
            Poll::Pending => {
                self.clock.stalled.get_or_insert(now);
                Ok(false)
            }
            Poll::Ready(Ok(0)) => Err(End::Broken(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => {
                self.written(count, now);
                self.unflushed = !self.exact;
                Ok(true)
            }
            Poll::Ready(Err(error)) => {
                if !self.exact {
                    self.written(offered, now);
                }
                Err(End::Broken(error))
            }
        }
    }

    /// With everything written: sees to it that TLS keeps nothing back.
    fn flush(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Pending => {
                    self.clock.stalled.get_or_insert(now);
                    return Ok(false);
                }
                Poll::Ready(done) => done?,
            }
            self.unflushed = false;
            self.clock.stalled = None;
        }
        match self.phase {
            Phase::Leaving { .. } => Err(End::Closed), // `ending` knows better
            _ => Ok(false),
        }
    }

    /// Moves what waits into the outbox: answers first, then requests up to a batch.
    fn fill(&mut self) {
        self.unanswered -= self.responses.len().min(self.unanswered);
        for response in self.responses.drain(..) {
            self.wire.sent(self.outbox.push_response(response));
        }
        self.responses.shrink_to(SPARE);
        while self.outbox.unsent_octets() < BATCH {
            let Some(request) = self.queue.pop_front() else {
                return;
            };
            self.outbox
                .push_request(self.window.next_sequence(), &request);
        }
    }

    /// Gives the channel as many places as the SMSC copes with, and tells who wants to know.
    pub(super) fn regulate(&mut self, now: Instant) {
        let now = now.into_std();
        self.flow.tick(self.window.len(), now);
        let most = self.shared.most.load(Relaxed);
        let less = most != self.most && (1..self.channel.limit()).contains(&most);
        self.most = most;
        if !self.trust.submits() {
            return;
        }
        if most > 0 {
            self.flow.set_most(most);
        }
        let trusted = self.trusted();
        self.channel.set_limit(self.flow.allowed().min(trusted));
        if trusted < self.trusted || less {
            // What is not trusted any more does not count on slots of before either; nor does what
            // operators do not want any more.
            self.channel.void_slots();
        }
        self.trusted = trusted;
        let pace = self.flow.pace(now);
        let mut told = self.shared.pace.lock();
        if pace.differs(&told) {
            *told = pace;
            drop(told);
            let (window, rate) = (pace.window, pace.rate);
            debug!(bind = self.wire.bind(), window, rate, "another pace");
            self.shared.limited.store(pace.rate.is_some(), Relaxed);
            self.client.paced(pace);
        }
    }

    fn written(&mut self, count: usize, now: Instant) {
        let Session {
            outbox,
            window,
            flow,
            trust,
            client,
            shared,
            clock,
            wire,
            ..
        } = self;
        let mut sent = 0;
        outbox.advance(count, |unsent, pdu| {
            wire.sent(pdu);
            window.insert(&unsent, now);
            client.sent(unsent.token);
            sent += 1;
        });
        clock.stalled = None;
        if sent > 0 {
            clock.traffic = now;
            flow.sent(sent, window.len(), now.into_std());
            trust.sent(sent);
        }
        shared.counters.sent.add(sent);
        shared.counters.octets_out.add(count);
    }

    /// Looks at the timers; true when there is something to write.
    fn tend(&mut self, now: Instant) -> Result<bool, End> {
        self.clock.check(&self.timers, now)?;
        let expired = self.expire(now);
        self.trust.look(now);
        self.leave_or_stay(now);
        // First the places, then those that are free.
        self.regulate(now);
        self.channel.release(expired);
        match self.phase {
            Phase::Open if !self.lease.valid() => {
                self.unbind(End::LeaseOver(self.lease.over()), now);
            }
            Phase::Open if self.trust.deaf_at().is_some_and(|at| at <= now) => {
                self.unbind(End::Deaf(self.trust.unheard(now)), now);
            }
            Phase::Open | Phase::Frozen if self.inactive_at().is_some_and(|at| at <= now) => {
                self.unbind(End::Inactive, now);
            }
            Phase::Draining { by } if now < by && self.window.len() == 0 => {
                self.phase = Phase::Settling { by };
                return self.tend(now);
            }
            Phase::Settling { by } if now < by && self.unanswered > 0 => {}
            Phase::Draining { by } if now < by => {}
            Phase::Draining { .. } | Phase::Settling { .. } => self.unbind(End::Closed, now),
            Phase::Unbinding { by } | Phase::Leaving { by } if by <= now => {
                return Err(End::Closed); // `ending` knows better
            }
            _ => {}
        }
        if !self.is_going() && self.clock.wants_enquire_link(&self.timers, now) {
            let sequence = self.window.next_sequence();
            self.push_empty(Command::ENQUIRE_LINK, Status::ROK, sequence);
            self.clock.enquired = Some(now);
            self.clock.asked = Some(now);
        }
        Ok(self.clock.stalled.is_none() && !self.outbox.unwritten().is_empty())
    }

    /// Gives up the requests whose response timer has run out: how many.
    fn expire(&mut self, now: Instant) -> usize {
        let Session {
            window,
            client,
            flow,
            ..
        } = self;
        if window.next_expiry().is_none_or(|at| now < at) {
            return 0;
        }
        let mut expired = 0;
        window.expire(now, |token| {
            client.outcome(token, Outcome::InDoubt(Doubt::Timeout));
            expired += 1;
        });
        flow.expired(now.into_std());
        if expired > 0 {
            debug!(
                bind = self.wire.bind(),
                expired, "requests without answer are given up"
            );
            client.all_told();
            self.timed_out = Some(now);
        }
        self.trust.timed_out(expired, now);
        self.shared.counters.timeouts.add(expired);
        expired
    }

    /// A session that is to be left is left as soon as nothing is unanswered. It stays if that
    /// takes too long, or if an answer may come late, which another session would never hear.
    fn leave_or_stay(&mut self, now: Instant) {
        let Some(by) = self.stays_at().filter(|_| self.phase == Phase::Open) else {
            return;
        };
        let ours = self.window.len() + self.queue.len();
        let response = self.timers.response.get();
        let awaits_late = (self.timed_out).is_some_and(|at| now < at + response);
        if awaits_late || by <= now {
            self.leaving_by = None;
            self.shared.counters.returns_given_up.add(1);
        } else if ours == 0 && self.unanswered == 0 && !self.outbox.has_unsent() {
            self.unbind(End::Moved, now);
        }
    }

    /// Sleeps until the next timer; ready when it has come.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let phase = match self.phase {
            Phase::Open => {
                let left = self.lease.left();
                let lease = left.map(|left| Instant::now() + left.min(LOOK_AGAIN));
                let timers = [lease, self.trust.next(), self.stays_at()];
                timers.into_iter().flatten().min()
            }
            Phase::Frozen => None,
            Phase::Draining { by }
            | Phase::Settling { by }
            | Phase::Unbinding { by }
            | Phase::Leaving { by } => Some(by),
        };
        let timers = self.clock.next(&self.timers).filter(|_| !self.is_going());
        let expiry = self.window.next_expiry();
        let flow = self
            .flow
            .next_tick(self.window.len())
            .map(Instant::from_std);
        let Some(next) = [phase, timers, expiry, flow, self.inactive_at()]
            .into_iter()
            .flatten()
            .min()
        else {
            return Poll::Pending;
        };
        // A timer that fires too early costs one look at the clock; moving it costs more.
        if self.timer.is_elapsed() || next < self.timer.deadline() {
            self.timer.as_mut().reset(next);
        }
        self.timer.as_mut().poll(cx)
    }

    /// Whether the farewell has begun, whose limit is its own.
    fn is_going(&self) -> bool {
        matches!(self.phase, Phase::Unbinding { .. } | Phase::Leaving { .. })
    }

    /// When a session without traffic is over: one that is closing has its own limit.
    fn inactive_at(&self) -> Option<Instant> {
        let wanted = matches!(self.phase, Phase::Open | Phase::Frozen);
        self.clock.inactive_at(&self.timers).filter(|_| wanted)
    }

    /// Sends a PDU without body.
    pub(super) fn push_empty(&mut self, command: Command, status: Status, sequence: u32) {
        let pdu = self.outbox.push_empty(command, status, sequence);
        self.wire.sent(pdu);
    }

    /// Freezes and sends our unbind.
    fn unbind(&mut self, end: End, now: Instant) {
        self.freeze();
        let sequence = self.window.next_sequence();
        self.push_empty(Command::UNBIND, Status::ROK, sequence);
        self.phase = Phase::Unbinding { by: now + FAREWELL };
        self.ending = Some(end);
    }

    /// Freezes and ends the session as soon as the outbox is written.
    pub(super) fn leave(&mut self, end: End, now: Instant) {
        self.freeze();
        self.phase = Phase::Leaving { by: now + FAREWELL };
        self.ending.get_or_insert(end);
    }

    /// Gives back those of the requests of which nothing was written.
    fn recall(&mut self, recall: Recall) {
        let mut unsent = self.outbox.withdraw(|token| recall.tokens.contains(&token));
        let theirs = |request: &Request| recall.tokens.contains(&request.token);
        let (queued, kept) = self.queue.drain(..).partition(theirs);
        self.queue = kept;
        let queued: VecDeque<Request> = queued;
        unsent.extend(queued.into_iter().map(|request| request.token));
        for token in &unsent {
            self.client.outcome(*token, Outcome::NotSent);
        }
        self.channel.release(unsent.len());
    }

    fn give_back(&mut self, waiting: VecDeque<Request>) {
        let unsent = self.outbox.withdraw(|_| true);
        let queued = self
            .queue
            .drain(..)
            .chain(waiting)
            .map(|request| request.token);
        for token in unsent.into_iter().chain(queued) {
            self.client.outcome(token, Outcome::NotSent);
        }
    }

    fn deliver_rest(&mut self, doubt: Doubt) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let waiting = self.channel.close();
        let open = self.window.drain();
        self.in_doubt = open.len();
        self.shared.counters.in_doubt.add(open.len());
        self.flow.ended(open.len(), Instant::now().into_std());
        *self.shared.flow.lock() = Some(self.flow.clone());
        for token in open {
            self.client.outcome(token, Outcome::InDoubt(doubt));
        }
        self.give_back(waiting);
        self.client.unbound(self.generation);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.deliver_rest(Doubt::Closed);
    }
}
