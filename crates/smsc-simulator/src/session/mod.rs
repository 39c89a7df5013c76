//! One connection: a task that reads, answers and delivers in batches.

mod answer;
mod manage;
mod submit;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use hashbrown::HashMap;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::Shared;
use super::account::{Account, Delivery, Mode, What};
use super::fault::Faults;
use super::journal::{Entry, Page};
use smpp_protocol::frame::{self, next_sequence, set_sequence};
use smpp_protocol::{Command, Status};

/// Octets read at once.
const READ: usize = 64 * 1024;

/// The longest PDU that is read; a longer command_length ends the session.
const LONGEST: usize = 128 * 1024;

/// Between the two pieces of a response that a fault splits.
const PIECES: Duration = Duration::from_millis(5);

pub(super) struct Session {
    shared: Arc<Shared>,
    id: u64,
    peer: SocketAddr,
    bound: Option<BoundAccount>,
    /// The lower of both sides' versions of SMPP.
    version: u8,
    wake: Arc<Notify>,
    rng: fastrand::Rng,
    faults: Arc<Faults>,
    /// The time of this batch.
    now: Instant,
    clock: Timestamp,
    /// What this batch writes.
    out: Vec<u8>,
    page: Page,
    /// Responses not yet due, by their time and order.
    held: BTreeMap<(Instant, u64), Vec<u8>>,
    order: u64,
    /// Until when one answer after the other keeps this side busy.
    busy: Instant,
    /// When the last response of a serial server goes out.
    last_due: Instant,
    /// When the response at hand is due; none: never.
    response_due: Option<Instant>,
    /// deliver_sm not yet answered, by sequence_number.
    unanswered: HashMap<u32, Delivery>,
    /// When they were sent, if somebody looks.
    sent: VecDeque<(Instant, u32)>,
    answered: usize,
    sequence: u32,
    /// Receipts this batch gave rise to.
    receipts: Vec<(Instant, Delivery)>,
    inbox: Vec<Delivery>,
    /// The message_id at hand, in submit_sm_resp and in receipts.
    message_id: String,
    receipt_id: String,
    heard: Instant,
    asked: bool,
    /// Where to split this batch.
    split: Option<usize>,
    stalled: Option<Instant>,
    silent: bool,
    /// When the connection ends on demand.
    dies: Option<Instant>,
    unbinds: u64,
    end: Option<End>,
}

struct BoundAccount {
    account: Arc<Account>,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unbound,
    Lost,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, id: u64, peer: SocketAddr) -> Self {
        let rng = match shared.options.seed {
            Some(seed) => fastrand::Rng::with_seed(seed ^ id),
            None => fastrand::Rng::new(),
        };
        let now = Instant::now();
        let faults = shared.faults.lock().clone();
        Session {
            faults,
            unbinds: shared.unbinds.load(Relaxed),
            wake: shared.join(id),
            shared,
            id,
            peer,
            bound: None,
            version: 0x34,
            rng,
            now,
            clock: Timestamp::now(),
            out: Vec::with_capacity(READ),
            page: Page::default(),
            held: BTreeMap::new(),
            order: 0,
            busy: now,
            last_due: now,
            response_due: None,
            unanswered: HashMap::new(),
            sent: VecDeque::new(),
            answered: 0,
            sequence: 0,
            receipts: Vec::new(),
            inbox: Vec::new(),
            message_id: String::new(),
            receipt_id: String::new(),
            heard: now,
            asked: false,
            split: None,
            stalled: None,
            silent: false,
            dies: None,
            end: None,
        }
    }

    /// Writes this before anything else.
    pub(super) fn greets_with(mut self, octets: &[u8]) -> Self {
        self.out.extend_from_slice(octets);
        self
    }

    /// Serves the connection until it ends or is dropped from this side.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut stream: S) {
        let cut = self.shared.cut.lock().clone();
        tokio::select! {
            () = cut.cancelled() => {}
            served = self.serve(&mut stream) => if let Err(error) = served {
                tracing::debug!(session = self.id, peer = %self.peer, %error, "session lost");
            },
        }
        self.leave();
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let mut input = BytesMut::with_capacity(READ);
        self.write(stream).await?;
        let wake = self.wake.clone();
        while self.end.is_none() {
            let timer = self.timer();
            input.reserve(READ);
            tokio::select! {
                read = stream.read_buf(&mut input), if self.stalled.is_none() => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.heard = Instant::now();
                    self.asked = false;
                }
                () = wake.notified() => {}
                () = until(timer) => {}
            }
            self.now = Instant::now();
            self.clock = Timestamp::now();
            self.stalled = self.stalled.filter(|until| *until > self.now);
            self.obey();
            self.take(&mut input)?;
            self.tick();
            // Before anything of this batch is visible to the ESME, on whatever session.
            self.shared.journal.write(&mut self.page)?;
            self.exchange();
            self.write(stream).await?;
        }
        Ok(())
    }

    /// Takes orders of the [`Handle`](super::Handle).
    fn obey(&mut self) {
        self.faults = self.shared.faults.lock().clone();
        let unbinds = self.shared.unbinds.load(Relaxed);
        if std::mem::replace(&mut self.unbinds, unbinds) != unbinds && self.bound.is_some() {
            self.ask(Command::UNBIND);
        }
        let mut raw = self.shared.raw.lock();
        if let Some(octets) = raw.remove(&self.id) {
            self.out.extend_from_slice(&octets);
        }
    }

    /// Answers every PDU that is complete.
    fn take(&mut self, input: &mut BytesMut) -> io::Result<()> {
        let mut taken = 0;
        while self.end.is_none() && self.stalled.is_none() {
            let frame = frame::split(&input[taken..], LONGEST)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let Some(frame) = frame else { break };
            taken += frame.header.length as usize;
            self.answer(frame);
        }
        input.advance(taken);
        Ok(())
    }

    /// Does what is due by time.
    fn tick(&mut self) {
        if !self.shared.paused.load(Relaxed) {
            while let Some(first) = self.held.first_entry().filter(|e| e.key().0 <= self.now) {
                self.out.append(&mut first.remove());
            }
        }
        let patience = self.shared.options.deliver_timeout.get();
        while let Some((at, sequence)) = self.sent.front().copied()
            && at + patience <= self.now
        {
            self.sent.pop_front();
            self.delivered(sequence, None);
        }
        if self.dies.is_some_and(|at| at <= self.now) {
            self.end = Some(End::Lost);
        }
        let patience = self.shared.options.enquire_link.get();
        if patience > Duration::ZERO && self.now >= self.link_check(patience) {
            if self.asked {
                self.end = Some(End::Lost);
            } else {
                self.asked = true;
                self.ask(Command::ENQUIRE_LINK);
            }
        }
    }

    fn link_check(&self, patience: Duration) -> Instant {
        self.heard + if self.asked { patience * 2 } else { patience }
    }

    /// When the session has something to do next, if nothing comes in.
    fn timer(&self) -> Option<Instant> {
        let held = match self.shared.paused.load(Relaxed) {
            true => None,
            false => self.held.first_key_value().map(|(key, _)| key.0),
        };
        let patience = self.shared.options.enquire_link.get();
        let link = (patience > Duration::ZERO).then(|| self.link_check(patience));
        let patience = self.shared.options.deliver_timeout.get();
        let sent = self.sent.front().map(|(at, _)| *at + patience);
        [held, link, sent, self.stalled, self.dies]
            .into_iter()
            .flatten()
            .min()
    }

    /// Hands over the receipts of this batch and takes what is to be delivered here.
    fn exchange(&mut self) {
        let Some(bound) = &self.bound else { return };
        if !self.receipts.is_empty() {
            bound.account.deliver(&mut self.receipts);
        }
        let answered = std::mem::take(&mut self.answered);
        bound.account.collect(self.id, answered, &mut self.inbox);
        let counters = &self.shared.counters;
        for mut delivery in self.inbox.drain(..) {
            self.sequence = next_sequence(self.sequence);
            set_sequence(&mut delivery.pdu, self.sequence);
            self.out.extend_from_slice(&delivery.pdu);
            delivery.tries += 1;
            match delivery.what {
                What::Receipt { .. } => counters.receipts_sent.add(1),
                What::Inbound { .. } => counters.inbound_sent.add(1),
            }
            self.unanswered.insert(self.sequence, delivery);
            if !self.shared.options.deliver_timeout.get().is_zero() {
                self.sent.push_back((self.now, self.sequence));
            }
        }
    }

    async fn write<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if let Some(at) = self.split.take() {
            stream.write_all(&self.out[..at]).await?;
            stream.flush().await?;
            sleep(PIECES).await;
            self.out.drain(..at);
        }
        if !self.out.is_empty() {
            stream.write_all(&self.out).await?;
            stream.flush().await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Sends a request without body.
    fn ask(&mut self, command: Command) {
        self.sequence = next_sequence(self.sequence);
        frame::push_empty(command, Status::ROK, self.sequence, &mut self.out);
    }

    fn leave(mut self) {
        self.shared.part(self.id);
        self.faults.forget(self.id);
        let Some(bound) = self.bound.take() else {
            return;
        };
        let unbound = self.end == Some(End::Unbound);
        let closed = Entry::Closed {
            at: Timestamp::now(),
            session: self.id,
            account: &bound.account.name,
            unbound,
        };
        self.shared.journal.note(&mut self.page, &closed);
        if let Err(error) = self.shared.journal.write(&mut self.page) {
            crate::notices::JournalNotWritten { error }.emit();
        }
        let mut left: Vec<(u32, Delivery)> = self.unanswered.drain().collect();
        left.sort_unstable_by_key(|(sequence, _)| *sequence);
        let left = left
            .into_iter()
            .map(|(_, delivery)| delivery)
            .chain(self.inbox.drain(..));
        let linger = self.shared.options.bind_linger.get();
        let linger = if unbound { Duration::ZERO } else { linger };
        bound.account.deliver(&mut self.receipts);
        bound.account.unbind(self.id, left.collect(), linger);
    }
}

async fn until(timer: Option<Instant>) {
    match timer {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
