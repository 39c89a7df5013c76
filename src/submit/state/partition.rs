//! One source partition while it is ours: where each of its records is, and what is reserved.
//!
//! Pure bookkeeping without a clock, a socket or Kafka, so that every interleaving can be
//! tried in a unit test. All methods are called under the pipeline's lock.
//!
//! Every unfinished record that was fetched has exactly one [`Slot`], which each transaction asserts
//! in a debug build:
//!
//! ```text
//!  take_in ──► Waiting ──make_ready──► Ready ──pick──► InFlight ──► Ended ──► (finish)
//!     │          ▲ ▲                     ▲              │
//!     │          │ └────── take_back ────┤── not sent ──┤
//!     ▼          │                                      ▼
//!  Rejected,  Delayed ◄──────────────── retry, in doubt, throttled
//!    Gap
//! ```
//!
//! # What may be sent
//!
//! A record is picked only when it is *ready*, and when a transaction that says so is committed
//! (`Outgoing::requires` names the version of the partition that is): its offset lies below the
//! reservation, and it is not among the records that are held. So after a crash those that may
//! have been sent are the ready ones and those in flight; all others, whatever the reservation covers,
//! are known not to be under way. How many are ready at once is the callers' to say: a window
//! for each bind, less where a rate lets less through.
//!
//! When a session is lost, what was ready for it waits again, and the reservation falls to what
//! other sessions may still write. A transaction that was under way then carries the higher one
//! of before, which only makes a successor more careful: what waits again becomes ready by a
//! later version.
//!
//! A record whose doubt was counted waits too, and so goes out again only after that count is
//! committed: otherwise a crash loop would forget attempts.
//!
//! # What is reserved ahead
//!
//! A record that comes to a partition in which nothing waits would be sent one commit later, for no
//! other reason than that nobody knew its offset before. So a part of what may be ready is given to
//! records that are not there yet (`PartitionState::wanted_ahead`): a commit says that the next few
//! may be sent as soon as they are read ([`Progress::ahead`]), and while it counts they are ready when they
//! come. The price is that after a crash those are in doubt that come before the partition is taken
//! over.
//!
//! What counts is the commit that Kafka has, and that is the last one or, while it is under way, the
//! one before: so the end of what is reserved ahead falls when a transaction takes a lower one, and
//! rises when that is committed (`PartitionState::granted`). It is said only where nothing that was read waits at
//! or above the reservation: an earlier record would be overtaken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::kafka::Partition;
use crate::kafka::progress::{Limits, Progress};
use crate::kafka::start::Start;
use crate::status;

use crate::submit::message::outgoing::{Outgoing, Rejection};

/// Names a bind within the process.
pub type BindId = u32;

/// How much a partition may hold in memory.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Records that wait to be made ready: neither with a session, nor ready for one, nor delayed. More where
    /// more go within [`BRIDGE`].
    pub ahead: usize,
    /// Records, wherever they are.
    pub records: usize,
    /// Octets of records.
    pub octets: usize,
}

/// What goes in so long is read ahead in any case. Half of it is there when fetching goes on, and a fetch of
/// a partition may have to wait until one of others on the broker is answered (`fetch.wait.max.ms`).
const BRIDGE: Duration = Duration::from_millis(500);

/// For so long it is counted how many are handed to sessions, and longer where no transaction begins.
const COUNTED: Duration = Duration::from_millis(100);

/// Why fetching stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// Enough wait for their turn.
    Ahead,
    /// No more may be held.
    Held,
}

/// So many records are reserved ahead where few come: messages that come together are sent together.
const LEAST_AHEAD: usize = 4;

/// Where an unfinished record is.
enum Slot {
    /// Due, and held: it is handed to nobody before a commit says that it may be.
    Waiting(Box<Outgoing>),
    /// Held until its time comes.
    Delayed(Instant, Box<Outgoing>),
    /// Handed to a session as soon as the version it requires is committed.
    Ready(Box<Outgoing>),
    /// With a session.
    InFlight(BindId),
    /// It ends without being sent, with the next commit that has room for it.
    Rejected(Box<Rejection>),
    /// Offsets up to here do not exist in the log.
    Gap(i64),
    /// What became of it is on its way into a transaction.
    Ended,
}

impl Slot {
    fn outgoing(&self) -> Option<&Outgoing> {
        match self {
            Slot::Waiting(outgoing) | Slot::Delayed(_, outgoing) | Slot::Ready(outgoing) => {
                Some(outgoing)
            }
            Slot::InFlight(_) | Slot::Rejected(_) | Slot::Gap(_) | Slot::Ended => None,
        }
    }

    fn into_job(self) -> Option<Box<Outgoing>> {
        match self {
            Slot::Waiting(outgoing) | Slot::Delayed(_, outgoing) | Slot::Ready(outgoing) => {
                Some(outgoing)
            }
            Slot::InFlight(_) | Slot::Rejected(_) | Slot::Gap(_) | Slot::Ended => None,
        }
    }

    /// Whether no session has it, and none can be handed it before the next commit.
    fn is_held(&self) -> bool {
        matches!(
            self,
            Slot::Waiting(_) | Slot::Delayed(..) | Slot::Rejected(_)
        )
    }
}

/// The slots by offset, and the indexes that follow from them. Nothing but [`put`](Self::put)
/// and [`take`](Self::take) edits either.
#[derive(Default)]
struct Slots {
    /// Each unfinished record, once; a gap under its first offset.
    by_offset: BTreeMap<i64, Slot>,
    /// Those that wait to be made ready.
    waiting: BTreeSet<i64>,
    /// Those that are delayed, by when they are due.
    delayed: BTreeSet<(Instant, i64)>,
    /// Those that a session may be handed.
    ready: BTreeSet<i64>,
    /// Those that a session has, and which bind it is of.
    in_flight: BTreeMap<i64, BindId>,
    /// Those that need no sending.
    asides: BTreeSet<i64>,
    /// When those that wait, are delayed or ready may not be sent any more.
    expiries: BTreeSet<(Instant, i64)>,
}

impl Slots {
    fn put(&mut self, offset: i64, slot: Slot) {
        self.take(offset);
        match &slot {
            Slot::Waiting(_) => drop(self.waiting.insert(offset)),
            Slot::Delayed(due, _) => drop(self.delayed.insert((*due, offset))),
            Slot::Ready(_) => drop(self.ready.insert(offset)),
            Slot::InFlight(bind) => drop(self.in_flight.insert(offset, *bind)),
            Slot::Rejected(_) | Slot::Gap(_) => drop(self.asides.insert(offset)),
            Slot::Ended => {}
        }
        if let Some(at) = slot.outgoing().and_then(|outgoing| outgoing.expires) {
            self.expiries.insert((at, offset));
        }
        self.by_offset.insert(offset, slot);
    }

    fn take(&mut self, offset: i64) -> Option<Slot> {
        let slot = self.by_offset.remove(&offset)?;
        match &slot {
            Slot::Waiting(_) => drop(self.waiting.remove(&offset)),
            Slot::Delayed(due, _) => drop(self.delayed.remove(&(*due, offset))),
            Slot::Ready(_) => drop(self.ready.remove(&offset)),
            Slot::InFlight(_) => drop(self.in_flight.remove(&offset)),
            Slot::Rejected(_) | Slot::Gap(_) => drop(self.asides.remove(&offset)),
            Slot::Ended => {}
        }
        if let Some(at) = slot.outgoing().and_then(|outgoing| outgoing.expires) {
            self.expiries.remove(&(at, offset));
        }
        Some(slot)
    }

    fn take_job(&mut self, offset: i64) -> Option<Box<Outgoing>> {
        self.outgoing(offset)?;
        self.take(offset)?.into_job()
    }

    fn outgoing(&self, offset: i64) -> Option<&Outgoing> {
        self.by_offset.get(&offset)?.outgoing()
    }

    /// Whether each slot is in the index of its kind, and nothing else is in any.
    fn are_indexed(&self) -> bool {
        let is_indexed = |(offset, slot): (&i64, &Slot)| match slot {
            Slot::Waiting(_) => self.waiting.contains(offset),
            Slot::Delayed(due, _) => self.delayed.contains(&(*due, *offset)),
            Slot::Ready(_) => self.ready.contains(offset),
            Slot::InFlight(bind) => self.in_flight.get(offset) == Some(bind),
            Slot::Rejected(_) | Slot::Gap(_) => self.asides.contains(offset),
            Slot::Ended => true,
        };
        let ended = (self.by_offset.values()).filter(|slot| matches!(slot, Slot::Ended));
        self.by_offset.len() == self.indexed() + ended.count()
            && self.by_offset.iter().all(is_indexed)
    }

    /// How many are in an index: all but those that have ended.
    fn indexed(&self) -> usize {
        self.waiting.len()
            + self.delayed.len()
            + self.ready.len()
            + self.in_flight.len()
            + self.asides.len()
    }

    /// The ready ones, in order.
    fn ready(&self) -> impl Iterator<Item = &Outgoing> {
        self.ready
            .iter()
            .filter_map(|offset| self.outgoing(*offset))
    }
}

/// What a commit of this partition contained, to be handed back when it is settled.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    version: u64,
    /// Exclusive end of what is reserved ahead.
    ahead: i64,
    /// What was leaving, in octets: it is gone when this is committed.
    leaving: usize,
}

/// What happens to a partition in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Taken over; its first commit is under way. Nothing is fetched or sent.
    Opening,
    /// At work.
    Open,
    /// Being given up: nothing is picked any more.
    Draining,
}

/// See the [module](self).
pub struct PartitionState {
    /// Which partition it is.
    name: Partition,
    /// Where it is in its life: it only goes forward.
    phase: Phase,
    /// What is finished, reserved, held and in doubt: what a commit carries beside the offset.
    progress: Progress,
    /// How far what is not finished may reach, so that it has room beside an offset.
    limits: Limits,
    /// How much may be in the slots before fetching stops.
    capacity: Capacity,
    /// Offset of the next record to be fetched. Every unfinished one below it has a slot.
    next: i64,
    /// Where each unfinished record is.
    slots: Slots,
    /// A record that is out and may have been the end of two sessions: nothing goes beside it.
    exclusive: Option<i64>,
    /// Unfinished records of which segments were taken since their last doubt was counted.
    partial: BTreeSet<i64>,
    /// What the records in the slots take, in octets, and what is [`leaving`](Self::leaving).
    octets: usize,
    /// What rejections take whose commit is still to come: while no transaction succeeds they stay in
    /// memory, and so they count until one does.
    leaving: usize,
    /// Raised by every change that a commit must carry.
    version: u64,
    /// The version at which the reservation was lowered last: what was ready by an earlier one is
    /// not covered by the commits since.
    lowered: u64,
    /// The highest version that is committed.
    committed: u64,
    /// The version in the transaction under way, or the last committed.
    snapshotted: u64,
    /// How many records may be sent as soon as they are read: what the next transaction says.
    wanted_ahead: usize,
    /// Exclusive end of what is ready as soon as it is read: whatever commit counts covers it.
    granted: i64,
    /// The version of the commit that covers it.
    granted_by: u64,
    /// How many records came since the last transaction was begun with it.
    came: usize,
    /// How many come from one transaction to the next: the most of late.
    flow: usize,
    /// Since when it is counted how many are handed to sessions, and how many were.
    counted: Option<Instant>,
    picked: usize,
    /// How many are handed to sessions in a second, of late.
    pace: f64,
    /// When a transaction was last begun with it.
    touched: Option<Instant>,
    /// Why fetching has stopped, if it has.
    full: Option<Full>,
    /// Operators do not want anything of it to be sent. Nothing is ready then.
    stopped: bool,
}

impl PartitionState {
    /// A partition that begins where `start` says.
    pub fn new(name: Partition, start: Start, limits: Limits, capacity: Capacity) -> Self {
        let base = start.progress.base();
        PartitionState {
            name,
            phase: Phase::Opening,
            progress: start.progress,
            limits,
            capacity,
            next: base,
            slots: Slots::default(),
            exclusive: None,
            partial: BTreeSet::new(),
            octets: 0,
            leaving: 0,
            version: 1,
            lowered: 0,
            committed: 0,
            snapshotted: 0,
            wanted_ahead: 0,
            granted: base,
            granted_by: 0,
            came: 0,
            flow: 0,
            counted: None,
            picked: 0,
            pace: 0.0,
            touched: None,
            full: None,
            stopped: false,
        }
    }

    /// Which partition it is.
    pub fn name(&self) -> &Partition {
        &self.name
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is finished and reserved.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What can be seen of it.
    pub fn status(&self) -> status::Partition {
        let phase = match self.phase {
            Phase::Opening => "opening",
            Phase::Open => "open",
            Phase::Draining => "draining",
        };
        let (slots, natural) = (&self.slots, |n: usize| n as u64);
        // A gap stands for offsets at which there is no record.
        let rejected =
            |offset: &&i64| matches!(slots.by_offset.get(offset), Some(Slot::Rejected(_)));
        let ended = slots.by_offset.len() - slots.indexed();
        let sent = slots.waiting.len() + slots.delayed.len() + slots.ready.len();
        let unfinished =
            sent + slots.in_flight.len() + ended + slots.asides.iter().filter(rejected).count();
        status::Partition {
            topic: self.name.topic.to_string(),
            partition: self.name.partition,
            phase: phase.to_owned(),
            paused: self.stopped,
            committed: self.progress.base(),
            position: self.next,
            reserved: self.progress.reserved(),
            in_doubt: natural(self.progress.doubtful()),
            unfinished: natural(unfinished),
            waiting: natural(slots.waiting.len()),
            delayed: natural(slots.delayed.len()),
            ready: natural(slots.ready.len()),
            in_flight: natural(slots.in_flight.len()),
            octets: natural(self.octets),
            ..status::Partition::default()
        }
    }

    /// Records handed to a session.
    pub fn outstanding(&self) -> usize {
        self.slots.in_flight.len()
    }

    /// Their offsets.
    pub fn in_flight(&self) -> impl Iterator<Item = i64> + '_ {
        self.slots.in_flight.keys().copied()
    }

    /// The bind that has the record at `offset`.
    pub fn bind_of(&self, offset: i64) -> Option<BindId> {
        self.slots.in_flight.get(&offset).copied()
    }

    /// Offset of the next record to come.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// A record with this timestamp was read.
    pub fn read(&mut self, timestamp: i64) {
        self.progress.read(timestamp);
    }

    /// Whether a record at `offset` is wanted at all: not one that came before.
    pub fn wants(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        self.skip_to(offset);
        self.next = offset + 1;
        !self.progress.is_finished(offset)
    }

    /// There is no record between the next offset and this one.
    pub fn skip_to(&mut self, offset: i64) {
        if offset > self.next {
            self.slots.put(self.next, Slot::Gap(offset));
            self.next = offset;
        }
    }

    /// Whether it is open and holds nothing.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Open && self.slots.by_offset.is_empty()
    }

    /// How often the record at `offset` may have been sent already, and whether its result
    /// must say that it may be a duplicate.
    pub fn history(&self, offset: i64) -> (u8, bool) {
        let attempts = self.progress.attempts(offset);
        (
            attempts,
            attempts > 0 || offset < self.progress.suspect_until(),
        )
    }

    /// Takes in a record to be sent, at once or at `due`. `true` if it is ready: a commit has
    /// reserved it before it was there. It is so only if it `may` be ready for all else.
    pub fn take_in(&mut self, outgoing: Box<Outgoing>, due: Option<Instant>, may: bool) -> bool {
        self.octets += outgoing.octets();
        self.came += 1;
        let offset = outgoing.offset;
        self.wait(outgoing, due);
        may && self.sends() && self.take_granted(offset)
    }

    /// Makes the record at `offset` ready, if that is reserved ahead and it is its turn.
    fn take_granted(&mut self, offset: i64) -> bool {
        let is_next = self.slots.waiting.first() == Some(&offset);
        if !is_next || offset >= self.granted || !self.progress.admits(offset, self.limits) {
            return false;
        }
        if self
            .slots
            .outgoing(offset)
            .is_some_and(Outgoing::is_suspicious)
        {
            return false;
        }
        let Some(outgoing) = self.slots.take_job(offset) else {
            return false; // what is in the index has its slot
        };
        self.put_ready(outgoing, self.granted_by);
        true
    }

    /// The record is reserved, and handed out when the version that it `requires` is committed.
    fn put_ready(&mut self, mut outgoing: Box<Outgoing>, requires: u64) {
        let offset = outgoing.offset;
        outgoing.requires = requires;
        self.progress.reserve(offset + 1);
        self.slots.put(offset, Slot::Ready(outgoing));
    }

    /// How many records may still come that are ready as soon as they are read.
    pub fn is_ahead(&self) -> usize {
        usize::try_from(self.progress.ahead() - self.next).unwrap_or(0)
    }

    /// How many it wants to be reserved before they are there: what comes until two transactions are
    /// committed, and a few. None if something that was read waits, or nothing may be sent.
    pub fn wants_ahead(&self, most: usize) -> usize {
        let flow = self.flow.max(self.came);
        if self.may_reserve_ahead(most) {
            (2 * flow).max(LEAST_AHEAD).min(most)
        } else {
            0
        }
    }

    fn may_reserve_ahead(&self, count: usize) -> bool {
        let reserved = self.progress.reserved();
        self.phase == Phase::Open
            && !self.stopped
            && self.exclusive.is_none()
            && self.slots.by_offset.range(reserved..).next().is_none()
            && (self.progress).admits(self.next.max(reserved) + count as i64, self.limits)
    }

    /// So many records may be sent as soon as they are read, once the next transaction is committed.
    /// That is due if none may be now, or if `too_many` may.
    pub fn plan_ahead(&mut self, count: usize, too_many: bool) {
        self.wanted_ahead = count;
        let none = count > 0 && self.is_ahead() == 0 && self.may_reserve_ahead(count);
        if (none || too_many) && !self.is_dirty() {
            self.mark();
        }
    }

    /// Takes in a record that cannot be sent.
    pub fn reject(&mut self, offset: i64, mut rejection: Rejection) {
        rejection.held = rejection.octets();
        self.octets += rejection.held;
        self.slots.put(offset, Slot::Rejected(Box::new(rejection)));
    }

    /// Whether no more records should be fetched for now. Notes that the fetching stops.
    pub fn is_full(&mut self) -> bool {
        self.full = if self.held() >= self.capacity.records || self.octets >= self.capacity.octets {
            Some(Full::Held)
        } else if self.slots.waiting.len() >= self.most_ahead() {
            Some(Full::Ahead)
        } else {
            None
        };
        self.full.is_some()
    }

    /// Whether fetching was stopped and may go on: half of what was full is free again, and nothing
    /// else is full.
    pub fn may_resume(&mut self) -> bool {
        let is_half_free = match self.full {
            None => false,
            Some(Full::Ahead) => self.slots.waiting.len() <= self.most_ahead() / 2,
            Some(Full::Held) => {
                self.held() <= self.capacity.records / 2 && self.octets <= self.capacity.octets / 2
            }
        };
        is_half_free && self.phase == Phase::Open && !self.is_full()
    }

    /// Whether fetching has stopped.
    pub fn has_stopped_fetching(&self) -> bool {
        self.full.is_some()
    }

    fn most_ahead(&self) -> usize {
        let soon = self.pace * BRIDGE.as_secs_f64();
        self.capacity.ahead.max(soon as usize)
    }

    fn held(&self) -> usize {
        self.slots.by_offset.len()
    }

    fn wait(&mut self, outgoing: Box<Outgoing>, due: Option<Instant>) {
        let offset = outgoing.offset;
        let slot = match due {
            Some(due) => Slot::Delayed(due, outgoing),
            None => Slot::Waiting(outgoing),
        };
        self.slots.put(offset, slot);
    }

    /// The next record to hand to `bind`, which must do so at once. One whose time has ended is
    /// not handed out, however long the transaction under way takes.
    pub fn pick(&mut self, bind: BindId, now: Instant) -> Option<Box<Outgoing>> {
        if !self.sends() || self.exclusive.is_some() {
            return None;
        }
        loop {
            let committed = self.committed;
            let outgoing = self
                .slots
                .ready()
                .find(|outgoing| outgoing.requires <= committed)?;
            let offset = outgoing.offset;
            // A record that may have been the end of two sessions goes alone.
            if outgoing.is_suspicious() && !self.slots.in_flight.is_empty() {
                return None;
            }
            if outgoing.expires.is_some_and(|at| at <= now) {
                self.expire_one(offset);
                continue;
            }
            let outgoing = self.slots.take_job(offset)?;
            self.exclusive = outgoing.is_suspicious().then_some(offset);
            self.picked += 1;
            self.slots.put(offset, Slot::InFlight(bind));
            return Some(outgoing);
        }
    }

    /// How many PDUs could be picked now, up to `most`.
    pub fn peek(&self, most: usize) -> usize {
        if !self.sends() || self.exclusive.is_some() {
            return 0;
        }
        let eligible = self
            .slots
            .ready()
            .filter(|outgoing| outgoing.requires <= self.committed);
        let exclusive =
            |outgoing: &Outgoing| outgoing.is_suspicious() && !self.slots.in_flight.is_empty();
        let mut count = 0;
        for outgoing in eligible.take_while(|outgoing| !exclusive(outgoing)) {
            count += outgoing.pdus();
            if count >= most {
                return most;
            }
        }
        count
    }

    /// When the next record that is not due yet will be.
    pub fn next_due(&self) -> Option<Instant> {
        self.slots.delayed.first().map(|(due, _)| *due)
    }

    /// What has become due waits. `true` if anything has.
    pub fn promote(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(&(due, offset)) = self.slots.delayed.first() {
            if due > now {
                break;
            }
            match self.slots.take_job(offset) {
                Some(outgoing) => self.wait(outgoing, None),
                None => break, // what is in the index has its slot
            }
            any = true;
        }
        any
    }

    /// A session gave the record back, whatever became of it.
    pub fn returned(&mut self, offset: i64) {
        if matches!(self.slots.by_offset.get(&offset), Some(Slot::InFlight(_))) {
            self.slots.put(offset, Slot::Ended);
        }
        self.exclusive.take_if(|exclusive| *exclusive == offset);
    }

    /// A session gave the record back, and nothing of it was written: it keeps its place, unless
    /// the reservation it was handed out by was lowered meanwhile.
    pub fn not_sent(&mut self, outgoing: Box<Outgoing>) {
        let offset = outgoing.offset;
        if self.progress.is_finished(offset) {
            return;
        }
        let covered = offset < self.progress.reserved() && outgoing.requires > self.lowered;
        let slot = if covered && self.sends() {
            Slot::Ready(outgoing)
        } else {
            Slot::Waiting(outgoing)
        };
        self.slots.put(offset, slot);
    }

    /// Sends a record again, at once or at `due`: after the next commit, which says that until
    /// then it is with nobody. That commit is due although nothing else has changed: a successor
    /// would take the record for sent.
    pub fn retry(&mut self, outgoing: Box<Outgoing>, due: Option<Instant>) {
        if !self.progress.is_finished(outgoing.offset) {
            self.wait(outgoing, due);
            self.mark();
        }
    }

    /// Whether the record at `offset` can be [reopened](Self::reopen). What finished since may
    /// have gone so far ahead of it that no metadata tells of both: then every transaction of
    /// the partition would fail.
    pub fn may_reopen(&self, offset: i64) -> bool {
        self.progress.may_reopen(offset, self.limits)
    }

    /// A record that was finished by being put back onto its topic waits again, until `due`: the
    /// topic did not take it, and no commit says that it was finished.
    pub fn reopen(&mut self, mut outgoing: Box<Outgoing>, due: Instant) {
        // Doubts from before an earlier return are counted among these: more careful, no less.
        self.progress.reopen(outgoing.offset, outgoing.doubts);
        let segments = outgoing.segments.as_ref();
        if segments.is_some_and(|segments| segments.to_header().is_some()) {
            self.partial.insert(outgoing.offset);
        }
        self.octets += outgoing.octets();
        self.mark();
        outgoing.rearm();
        self.wait(outgoing, Some(due));
    }

    /// Counts a sending without known outcome and returns how often that has happened.
    pub fn doubt(&mut self, offset: i64) -> u8 {
        self.progress.doubt(offset);
        self.partial.remove(&offset);
        self.mark();
        self.progress.attempts(offset)
    }

    /// A part of the record was taken. That is known here and nowhere else: whoever finds the
    /// record unfinished must not take it for one that was never sent.
    pub fn segment_taken(&mut self, offset: i64) {
        if !self.progress.is_finished(offset) {
            self.partial.insert(offset);
        }
    }

    /// Records that the SMSC has a segment of, and that are not finished.
    pub fn partial(&self) -> impl Iterator<Item = i64> + '_ {
        self.partial.iter().copied()
    }

    /// Takes a waiting record out, because its answer came after all.
    pub fn withdraw(&mut self, offset: i64) -> Option<Box<Outgoing>> {
        let outgoing = self.slots.take_job(offset)?;
        self.slots.put(offset, Slot::Ended);
        Some(outgoing)
    }

    /// When the record at `offset` will be due, if it is not yet.
    pub fn due(&self, offset: i64) -> Option<Instant> {
        match self.slots.by_offset.get(&offset)? {
            Slot::Delayed(due, _) => Some(*due),
            _ => None,
        }
    }

    /// Whether the record is waiting, so that [`withdraw`](Self::withdraw) will find it.
    pub fn is_waiting(&self, offset: i64) -> bool {
        self.slots.outgoing(offset).is_some()
    }

    /// The record has its result; `octets` of it are forgotten.
    pub fn finish(&mut self, offset: i64, octets: usize) -> bool {
        self.octets = self.octets.saturating_sub(octets);
        self.slots.take(offset);
        self.partial.remove(&offset);
        let first = self.progress.finish(offset);
        if first {
            self.mark();
        }
        first
    }

    /// `bind` lost its session (its outcomes are all known): nothing above what other binds
    /// hold may have been sent.
    pub fn session_lost(&mut self, bind: BindId) {
        let others = self.slots.in_flight.iter().filter(|(_, b)| **b != bind);
        let until = others.map(|(o, _)| o + 1).max();
        self.lower(until.unwrap_or(self.progress.base()));
    }

    fn lower(&mut self, until: i64) {
        // What the reservation covers no longer is in doubt by its count or not at all.
        for offset in self.partial.split_off(&until) {
            self.progress.doubt(offset);
            self.mark();
        }
        let ahead = self.granted.max(self.progress.ahead());
        if until < self.progress.reserved() || until < ahead {
            self.progress.lower(until);
            self.granted = self.granted.min(until);
            self.mark();
            self.lowered = self.version;
        }
        let ready: Vec<i64> = self.slots.ready.range(until..).copied().collect();
        for offset in ready {
            self.hold(offset);
        }
    }

    /// A ready record waits again.
    fn hold(&mut self, offset: i64) {
        if let Some(outgoing) = self.slots.take_job(offset) {
            self.wait(outgoing, None);
        }
    }

    /// Whether its records may go out.
    fn sends(&self) -> bool {
        self.phase == Phase::Open && !self.stopped
    }

    /// Whether operators want nothing of it to be sent. What was ready waits again, and that is
    /// committed: a successor then knows that it was not sent.
    pub fn stop(&mut self, stopped: bool) {
        if std::mem::replace(&mut self.stopped, stopped) == stopped {
            return;
        }
        while let Some(&offset) = self.slots.ready.first() {
            self.hold(offset);
        }
        self.mark();
    }

    /// Nothing is picked from now on, so nothing is ready.
    pub fn drain(&mut self) {
        self.phase = Phase::Draining;
        while let Some(&offset) = self.slots.ready.first() {
            self.hold(offset);
        }
    }

    /// No session can write anything of this partition any more: the attempts alone say what is
    /// in doubt.
    pub fn settle(&mut self) {
        self.phase = Phase::Draining;
        self.lower(self.progress.base());
    }

    /// Before a transaction: finishes what needs no sending. Returns the rejections to be
    /// published with it; without `has_room` for them, none is made.
    pub fn plan(&mut self, now: Instant, has_room: bool) -> Vec<Rejection> {
        self.promote(now);
        if has_room {
            self.expire(now);
            self.finish_asides()
        } else {
            Vec::new()
        }
    }

    /// Finishes gaps and refused records, as far as the metadata has room for them.
    fn finish_asides(&mut self) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        while let Some(&offset) = self.slots.asides.first() {
            let fits = match self.slots.by_offset.get(&offset) {
                Some(Slot::Gap(to)) => self.progress.admits_gap(offset, *to, self.limits),
                _ => self.progress.admits(offset, self.limits),
            };
            if !fits {
                break;
            }
            match self.slots.take(offset) {
                Some(Slot::Gap(to)) => {
                    if self.progress.finish_range(offset, to) {
                        self.mark();
                    }
                }
                Some(Slot::Rejected(rejection)) => {
                    if self.finish(offset, 0) {
                        self.leaving += rejection.held;
                        rejections.push(*rejection);
                    } else {
                        self.octets = self.octets.saturating_sub(rejection.held);
                    }
                }
                _ => break, // what is in the index has its slot
            }
        }
        rejections
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(at, offset)) = self.slots.expiries.first() {
            if at > now {
                break;
            }
            self.expire_one(offset);
        }
    }

    fn expire_one(&mut self, offset: i64) {
        if let Some(outgoing) = self.slots.take_job(offset) {
            self.slots
                .put(offset, Slot::Rejected(Box::new(outgoing.expired())));
        }
    }

    /// PDUs of the records that are ready.
    pub fn ready_pdus(&self) -> usize {
        self.slots.ready().map(Outgoing::pdus).sum()
    }

    /// Whether records wait to become ready.
    pub fn has_waiting(&self) -> bool {
        self.sends() && !self.slots.waiting.is_empty()
    }

    /// Makes records ready, in order, until they come to `room` PDUs, and reserves them. They are
    /// handed out when that is committed. Returns their PDUs.
    pub fn make_ready(&mut self, room: usize) -> usize {
        let mut made = 0;
        if !self.sends() || self.exclusive.is_some() {
            return made;
        }
        // Suspicious records become ready one at a time, when nothing else is or is out.
        let first_ready = self.slots.ready().next();
        if first_ready.is_some_and(Outgoing::is_suspicious) {
            return made;
        }
        let mut apart = first_ready.is_none() && self.slots.in_flight.is_empty();
        while made < room
            && let Some(&offset) = self.slots.waiting.first()
            && self.progress.admits(offset, self.limits)
        {
            let suspicious = self
                .slots
                .outgoing(offset)
                .is_some_and(Outgoing::is_suspicious);
            if suspicious && !apart {
                break;
            }
            let Some(outgoing) = self.slots.take_job(offset) else {
                break; // what is in the index has its slot
            };
            made += outgoing.pdus();
            self.put_ready(outgoing, self.version + 1);
            apart = false;
            if suspicious {
                break;
            }
        }
        if made > 0 {
            self.mark();
        }
        made
    }

    /// Lets the last of the ready records wait again, as long as those left fill `room` PDUs. A
    /// long message that is larger than the room stays: it would be made ready again at once, by
    /// a later version each time, and never be picked.
    pub fn take_back(&mut self, room: usize) {
        let mut left = self.ready_pdus();
        while let Some(&offset) = self.slots.ready.last() {
            let pdus = self.slots.outgoing(offset).map_or(0, Outgoing::pdus);
            if left < room + pdus.max(1) {
                return;
            }
            left -= pdus;
            self.hold(offset);
        }
    }

    /// What is ready by a version that is not committed waits again: the partition has no part in
    /// transactions for now, so nothing of it would be handed out.
    pub fn hold_uncommitted(&mut self) {
        let committed = self.committed;
        let ready = self
            .slots
            .ready()
            .filter(|outgoing| outgoing.requires > committed);
        let ready: Vec<i64> = ready.map(|outgoing| outgoing.offset).collect();
        for offset in ready {
            self.hold(offset);
        }
    }

    /// Whether the partition has something to commit, or its last commit is older than `idle`.
    pub fn needs_commit(&self, now: Instant, idle: Duration) -> bool {
        let old = |at: Instant| now.saturating_duration_since(at) >= idle;
        self.is_dirty() || self.touched.is_none_or(old)
    }

    /// Whether a wake-up would find something to make ready or to finish aside.
    pub fn wants_commit(&self) -> bool {
        self.has_more() || self.has_waiting()
    }

    /// Whether records wait that need no sending.
    pub fn has_asides(&self) -> bool {
        !self.slots.asides.is_empty()
    }

    /// Whether another transaction is due at once: something changed while the last one was
    /// under way.
    pub fn has_more(&self) -> bool {
        self.is_dirty() || self.has_asides()
    }

    fn count_picked(&mut self, now: Instant) {
        let since = *self.counted.get_or_insert(now);
        let time = now.saturating_duration_since(since);
        if time >= COUNTED {
            let picked = std::mem::take(&mut self.picked) as f64;
            // It rises at once, or what is read would be what limits it.
            self.pace = (picked / time.as_secs_f64()).max(self.pace - self.pace / 8.0);
            self.counted = Some(now);
        }
    }

    /// What the transaction about to begin commits.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        debug_assert!(
            self.is_whole(),
            "{}: a record has no slot, or two",
            self.name
        );
        let reserved = self.slots.by_offset.range(..self.progress.reserved());
        let held = reserved.filter(|(offset, slot)| {
            // Of one that has a segment, the SMSC has something.
            slot.is_held() && !self.partial.contains(offset)
        });
        self.progress.hold(held.map(|(offset, _)| *offset));
        self.flow = self.came.max(self.flow - self.flow.div_ceil(8));
        self.came = 0;
        self.count_picked(now);
        let count = std::mem::take(&mut self.wanted_ahead);
        let ahead = if count > 0 && self.may_reserve_ahead(count) {
            self.next + count as i64
        } else {
            self.progress.reserved()
        };
        self.progress.reserve_ahead(ahead);
        self.granted = self.granted.min(self.progress.ahead());
        self.snapshotted = self.version;
        self.touched = Some(now);
        Snapshot {
            version: self.version,
            ahead: self.progress.ahead(),
            leaving: self.leaving,
        }
    }

    /// Whether every unfinished record that was fetched has exactly one slot and every finished one
    /// none, and each index has what the slots say.
    fn is_whole(&self) -> bool {
        let mut at = self.progress.base();
        for (offset, slot) in &self.slots.by_offset {
            let is_owed = |offset| !self.progress.is_finished(offset);
            // An earlier life may have finished a part of a gap.
            let is_gap = matches!(slot, Slot::Gap(_));
            if (at..*offset).any(is_owed) || !is_gap && !is_owed(*offset) {
                return false;
            }
            at = match slot {
                Slot::Gap(end) => *end,
                _ => offset + 1,
            };
        }
        let rest_is_finished = (at..self.next).all(|offset| self.progress.is_finished(offset));
        at <= self.next.max(self.progress.base()) && rest_is_finished && self.slots.are_indexed()
    }

    /// The transaction with `snapshot` was committed. `true` if this was the first.
    pub fn committed(&mut self, snapshot: Snapshot) -> bool {
        self.committed = self.committed.max(snapshot.version);
        if snapshot.version >= self.lowered {
            self.granted = snapshot.ahead;
            self.granted_by = snapshot.version;
        }
        self.leaving = self.leaving.saturating_sub(snapshot.leaving);
        self.octets = self.octets.saturating_sub(snapshot.leaving);
        let first = self.phase == Phase::Opening;
        if first {
            self.phase = Phase::Open;
        }
        first
    }

    /// The transaction was not committed: what it carried has to be carried again.
    pub fn not_committed(&mut self) {
        self.snapshotted = self.committed;
    }

    /// Whether everything known of the partition is committed.
    pub fn is_clean(&self) -> bool {
        self.committed == self.version
    }

    /// An unfinished record that was fetched and has no slot: there is none, ever.
    #[cfg(test)]
    pub fn missing(&self) -> Option<i64> {
        let mut at = self.progress.base();
        while at < self.next {
            let slot = self.slots.by_offset.get(&at);
            match slot {
                None if !self.progress.is_finished(at) => return Some(at),
                Some(Slot::Gap(to)) => at = *to,
                _ => at += 1,
            }
        }
        None
    }

    /// The version that the first of the ready records requires.
    #[cfg(test)]
    pub fn first_ready_requires(&self) -> Option<u64> {
        self.slots.ready().next().map(|outgoing| outgoing.requires)
    }

    /// How many slots and indexes there are, and the octets of what they hold.
    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        let Slots {
            by_offset,
            waiting,
            delayed,
            ready,
            in_flight,
            asides,
            expiries,
        } = &self.slots;
        let indexes = waiting.len() + delayed.len() + ready.len() + in_flight.len() + asides.len();
        let rest = expiries.len() + self.partial.len() + usize::from(self.exclusive.is_some());
        (by_offset.len() + indexes + rest, self.octets)
    }

    fn is_dirty(&self) -> bool {
        self.snapshotted < self.version
    }

    /// Something changed that a commit must carry.
    fn mark(&mut self) {
        self.version += 1;
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
pub(in crate::submit) mod tests;
