//! One source partition while it is ours: what is waiting, what is out, what is reserved.
//!
//! Pure bookkeeping without a clock, a socket or Kafka, so that every interleaving can be
//! tried in a unit test. All methods are called under the ledger's lock.
//!
//! ```text
//!  take_in ──► ready ──pick──► out ──► (answered) finish
//!     │          ▲              │
//!     │          ├── not sent ──┤
//!     ▼          │              ▼
//!   asides     delayed ◄── retry, in doubt (after the doubt is committed)
//!  (gaps, records that need no sending)
//! ```
//!
//! # What may be sent
//!
//! A record is picked only when its offset lies below `granted`: the reservation as it was
//! *committed last*. `progress.reserved()` runs ahead of it while a transaction is under
//! way. When a session is lost the reservation is lowered to what other sessions may still
//! write; the `generation` then makes commits that were already under way count for nothing,
//! because they carry the higher reservation of before and a later commit lowers it again.
//!
//! A record whose doubt was counted is picked again only after that count is committed
//! (`requires`): otherwise a crash loop would forget attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::kafka::Partition;
use crate::kafka::progress::{Limits, Progress};
use crate::kafka::start::Start;

use super::job::{Job, Refusal};

/// Names a bind within the process.
pub type BindId = u32;

/// How much a lane may hold in memory.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Records.
    pub records: usize,
    /// Octets of records.
    pub octets: usize,
}

/// How far ahead to reserve.
#[derive(Clone, Copy, Debug)]
pub struct Horizon {
    /// At least this many PDUs (about two windows).
    pub least: usize,
    /// At most this many (what a rate limit lets through within the time).
    pub most: usize,
    /// And as many as were sent within this time.
    pub time: Duration,
}

/// Something that finishes without being sent.
enum Aside {
    /// Offsets up to here do not exist in the log.
    Gap(i64),
    /// The record is refused.
    Refused(Box<Refusal>),
}

/// What a commit of this lane contained, to be handed back when it is settled.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    reserved: i64,
    generation: u64,
    version: u64,
}

/// What happens to a lane in its life.
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
pub struct Lane {
    source: Partition,
    phase: Phase,
    progress: Progress,
    limits: Limits,
    capacity: Capacity,
    suspect_until: i64,
    next: i64,
    ready: BTreeMap<i64, Box<Job>>,
    delayed: BTreeMap<(Instant, i64), Box<Job>>,
    asides: BTreeMap<i64, Aside>,
    out: BTreeMap<i64, BindId>,
    /// A record that is out and may have been the end of two sessions.
    alone: Option<i64>,
    /// Unfinished records of which parts were taken since their last doubt was counted.
    partial: BTreeSet<i64>,
    octets: usize,
    granted: i64,
    generation: u64,
    version: u64,
    committed: u64,
    taken: u64,
    touched: Option<Instant>,
    sent: u64,
    rate: f64,
    measured: Option<Instant>,
    paused: bool,
}

impl Lane {
    /// A lane that begins where `start` says.
    pub fn new(source: Partition, start: Start, limits: Limits, capacity: Capacity) -> Self {
        let base = start.progress.base();
        Lane {
            source,
            phase: Phase::Opening,
            progress: start.progress,
            limits,
            capacity,
            suspect_until: start.suspect_until,
            next: base,
            ready: BTreeMap::new(),
            delayed: BTreeMap::new(),
            asides: BTreeMap::new(),
            out: BTreeMap::new(),
            alone: None,
            partial: BTreeSet::new(),
            octets: 0,
            granted: base,
            generation: 0,
            version: 1,
            committed: 0,
            taken: 0,
            touched: None,
            sent: 0,
            rate: 0.0,
            measured: None,
            paused: false,
        }
    }

    /// The partition.
    pub fn source(&self) -> &Partition {
        &self.source
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is finished and reserved.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Records waiting to be sent, now or later.
    pub fn waiting(&self) -> usize {
        self.ready.len() + self.delayed.len()
    }

    /// Records handed to a session.
    pub fn outstanding(&self) -> usize {
        self.out.len()
    }

    /// Their offsets.
    pub fn out(&self) -> impl Iterator<Item = i64> + '_ {
        self.out.keys().copied()
    }

    /// Offset of the next record to come.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// Whether a record at `offset` is wanted at all: not one that came before.
    pub fn wants(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        if offset > self.next {
            self.asides.insert(self.next, Aside::Gap(offset));
        }
        self.next = offset + 1;
        !self.progress.is_finished(offset)
    }

    /// How often the record at `offset` may have been sent already, and whether its result
    /// must say that it may be a duplicate.
    pub fn history(&self, offset: i64) -> (u8, bool) {
        let attempts = self.progress.attempts(offset);
        (attempts, attempts > 0 || offset < self.suspect_until)
    }

    /// Takes in a record to be sent, at once or at `due`.
    pub fn take_in(&mut self, job: Box<Job>, due: Option<Instant>) {
        self.octets += job.octets();
        self.wait(job, due);
    }

    /// Takes in a record that cannot be sent.
    pub fn refuse(&mut self, offset: i64, mut refusal: Refusal) {
        refusal.held = refusal.octets();
        self.octets += refusal.held;
        self.asides
            .insert(offset, Aside::Refused(Box::new(refusal)));
    }

    /// Whether no more records should be fetched for now. Notes that the fetching stops.
    pub fn is_full(&mut self) -> bool {
        self.paused = self.held() >= self.capacity.records || self.octets >= self.capacity.octets;
        self.paused
    }

    /// Whether fetching was stopped and may go on (half of the capacity is free again).
    pub fn may_resume(&mut self) -> bool {
        let resume = self.paused
            && self.phase == Phase::Open
            && self.held() <= self.capacity.records / 2
            && self.octets <= self.capacity.octets / 2;
        if resume {
            self.paused = false;
        }
        resume
    }

    fn held(&self) -> usize {
        self.waiting() + self.asides.len() + self.out.len()
    }

    fn wait(&mut self, job: Box<Job>, due: Option<Instant>) {
        match due {
            Some(due) => drop(self.delayed.insert((due, job.offset), job)),
            None => drop(self.ready.insert(job.offset, job)),
        }
    }

    /// The next record to hand to `bind`, which must do so at once.
    pub fn pick(&mut self, bind: BindId, now: Instant) -> Option<Box<Job>> {
        if self.phase != Phase::Open || self.alone.is_some() {
            return None;
        }
        self.promote(now);
        let ready = self.ready.range(..self.granted);
        let mut eligible = ready.filter(|(_, job)| job.requires <= self.committed);
        let (&offset, job) = eligible.next()?;
        // A record that may have been the end of two sessions goes alone.
        if job.is_suspicious() && !self.out.is_empty() {
            return None;
        }
        let job = self.ready.remove(&offset)?;
        self.alone = job.is_suspicious().then_some(offset);
        self.out.insert(offset, bind);
        self.sent += job.pieces() as u64;
        Some(job)
    }

    /// How many PDUs could be picked now, up to `most`.
    pub fn peek(&mut self, most: usize, now: Instant) -> usize {
        if self.phase != Phase::Open || self.alone.is_some() {
            return 0;
        }
        self.promote(now);
        let ready = self.ready.range(..self.granted);
        let eligible = ready.filter(|(_, job)| job.requires <= self.committed);
        let alone = |job: &Job| job.is_suspicious() && !self.out.is_empty();
        let mut count = 0;
        for (_, job) in eligible.take_while(|(_, job)| !alone(job)) {
            count += job.pieces();
            if count >= most {
                return most;
            }
        }
        count
    }

    /// Whether [`pick`](Self::pick) would have to wait for the time `due`, not for a commit.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    fn promote(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            let job = first.remove();
            self.ready.insert(job.offset, job);
        }
    }

    /// A session gave the record back, whatever became of it.
    pub fn returned(&mut self, offset: i64) {
        self.out.remove(&offset);
        self.alone.take_if(|alone| *alone == offset);
    }

    /// Sends a record again, at once or at `due`.
    pub fn again(&mut self, job: Box<Job>, due: Option<Instant>) {
        if !self.progress.is_finished(job.offset) {
            self.wait(job, due);
        }
    }

    /// Counts a sending without known outcome and returns how often that has happened.
    /// The record may go out again only after this count is committed, which the returned
    /// version stands for.
    pub fn doubt(&mut self, offset: i64) -> (u8, u64) {
        self.progress.doubt(offset);
        self.partial.remove(&offset);
        self.mark();
        (self.progress.attempts(offset), self.version)
    }

    /// A part of the record was taken. That is known here and nowhere else: whoever finds the
    /// record unfinished must not take it for one that was never sent.
    pub fn part_taken(&mut self, offset: i64) {
        if !self.progress.is_finished(offset) {
            self.partial.insert(offset);
        }
    }

    /// Records that the SMSC has a part of, and that are not finished.
    pub fn partial(&self) -> impl Iterator<Item = i64> + '_ {
        self.partial.iter().copied()
    }

    /// Takes a waiting record out, because its answer came after all.
    pub fn withdraw(&mut self, offset: i64) -> Option<Box<Job>> {
        if let Some(job) = self.ready.remove(&offset) {
            return Some(job);
        }
        let key = *self.delayed.keys().find(|(_, o)| *o == offset)?;
        self.delayed.remove(&key)
    }

    /// Whether the record is waiting, so that [`withdraw`](Self::withdraw) will find it.
    pub fn is_waiting(&self, offset: i64) -> bool {
        self.ready.contains_key(&offset) || self.delayed.keys().any(|(_, o)| *o == offset)
    }

    /// The record has its result; `octets` of it are forgotten.
    pub fn finish(&mut self, offset: i64, octets: usize) -> bool {
        self.octets = self.octets.saturating_sub(octets);
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
        let others = self.out.iter().filter(|(_, b)| **b != bind);
        let until = others.map(|(o, _)| o + 1).max();
        self.lower(until.unwrap_or(self.progress.base()));
    }

    fn lower(&mut self, until: i64) {
        // What the reservation covers no longer is in doubt by its count or not at all.
        for offset in self.partial.split_off(&until) {
            self.progress.doubt(offset);
            self.mark();
        }
        if until < self.progress.reserved() {
            self.progress.lower(until);
            self.mark();
        }
        self.granted = self.granted.min(until).max(self.progress.base());
        self.generation += 1;
    }

    /// Nothing is picked from now on.
    pub fn drain(&mut self) {
        self.phase = Phase::Draining;
    }

    /// No session can write anything of this lane any more: the attempts alone say what is
    /// in doubt.
    pub fn settle(&mut self) {
        self.phase = Phase::Draining;
        self.lower(self.progress.base());
    }

    /// Before a transaction: finishes what needs no sending and raises the reservation.
    /// Returns the refusals to be published with it. `horizon` is `None` while no session of
    /// this lane is bound; without `has_room` for refusals, none is made.
    pub fn plan(&mut self, now: Instant, horizon: Option<Horizon>, has_room: bool) -> Vec<Refusal> {
        let refusals = match has_room {
            true => self.finish_asides(now),
            false => Vec::new(),
        };
        self.measure(now);
        if let Some(horizon) = horizon
            && self.phase == Phase::Open
        {
            self.promote(now);
            self.reserve(horizon);
        }
        refusals
    }

    /// Finishes gaps, refused and expired records, as far as the metadata has room for them.
    fn finish_asides(&mut self, now: Instant) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if self.phase == Phase::Opening {
            return refusals;
        }
        self.expire(now);
        while let Some(first) = self.asides.first_entry() {
            let fits = match first.get() {
                Aside::Gap(to) => self.progress.admits_gap(*first.key(), *to, self.limits),
                Aside::Refused(_) => self.progress.admits(*first.key(), self.limits),
            };
            if !fits {
                break;
            }
            let (offset, aside) = first.remove_entry();
            match aside {
                Aside::Gap(to) => {
                    if self.progress.finish_range(offset, to) {
                        self.mark();
                    }
                }
                Aside::Refused(refusal) => {
                    if self.finish(offset, refusal.held) {
                        refusals.push(*refusal);
                    }
                }
            }
        }
        refusals
    }

    fn expire(&mut self, now: Instant) {
        let expired = |job: &Job| job.expires.is_some_and(|at| at <= now);
        let ready = self.ready.extract_if(.., |_, job| expired(job));
        let mut jobs: Vec<Box<Job>> = ready.map(|(_, job)| job).collect();
        let delayed = self.delayed.extract_if(.., |_, job| expired(job));
        jobs.extend(delayed.map(|(_, job)| job));
        for job in jobs {
            let offset = job.offset;
            self.asides
                .insert(offset, Aside::Refused(Box::new(job.expired())));
        }
    }

    fn measure(&mut self, now: Instant) {
        let Some(since) = self.measured else {
            self.measured = Some(now);
            return;
        };
        let elapsed = now.saturating_duration_since(since).as_secs_f64();
        if elapsed >= 0.01 {
            let current = self.sent as f64 / elapsed;
            // Quick to rise, slow to fall.
            self.rate = current.max(self.rate * 0.8 + current * 0.2);
            self.sent = 0;
            self.measured = Some(now);
        }
    }

    fn reserve(&mut self, horizon: Horizon) {
        let by_rate = (self.rate * horizon.time.as_secs_f64()) as usize;
        let wanted = horizon.least.max(by_rate).min(horizon.most).max(1);
        let reserved = self.progress.reserved();
        let before = self.ready.range(..reserved);
        if self.alone.is_some() || before.clone().any(|(_, job)| job.is_suspicious()) {
            return;
        }
        let have = before.map(|(_, job)| job.pieces()).sum::<usize>() + self.out.len();
        let mut room = wanted.saturating_sub(have);
        let mut until = reserved;
        for (&offset, job) in self.ready.range(reserved..) {
            if room == 0 || !self.progress.admits(offset, self.limits) {
                break;
            }
            // Suspicious records are reserved one at a time, when nothing else is out.
            if job.is_suspicious() && (have > 0 || until > reserved) {
                break;
            }
            until = offset + 1;
            if job.is_suspicious() {
                break;
            }
            room = room.saturating_sub(job.pieces());
        }
        if until > reserved {
            self.progress.reserve(until);
            self.mark();
        }
    }

    /// Whether the lane has something to commit, or its last commit is older than `idle`.
    pub fn needs_commit(&self, now: Instant, idle: Duration) -> bool {
        let old = |at: Instant| now.saturating_duration_since(at) >= idle;
        self.is_dirty() || self.touched.is_none_or(old)
    }

    /// Whether a wake-up would find something to reserve or to finish aside.
    pub fn wants_commit(&self) -> bool {
        self.is_dirty()
            || !self.asides.is_empty()
            || self
                .ready
                .range(self.progress.reserved()..)
                .next()
                .is_some()
    }

    /// Whether records wait that need no sending.
    pub fn has_asides(&self) -> bool {
        !self.asides.is_empty()
    }

    /// Whether another transaction is due at once: something changed while the last one was
    /// under way.
    pub fn has_more(&self) -> bool {
        self.is_dirty() || self.has_asides()
    }

    /// What the transaction about to begin commits.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.taken = self.version;
        self.touched = Some(now);
        Snapshot {
            reserved: self.progress.reserved(),
            generation: self.generation,
            version: self.version,
        }
    }

    /// The transaction with `snapshot` was committed. `true` if this was the first.
    pub fn committed(&mut self, snapshot: Snapshot) -> bool {
        self.committed = self.committed.max(snapshot.version);
        if snapshot.generation == self.generation {
            self.granted = self.granted.max(snapshot.reserved);
        }
        let first = self.phase == Phase::Opening;
        if first {
            self.phase = Phase::Open;
        }
        first
    }

    /// The transaction was not committed: what it carried has to be carried again.
    pub fn not_committed(&mut self) {
        self.taken = self.committed;
    }

    /// Whether everything known of the lane is committed.
    pub fn is_clean(&self) -> bool {
        self.committed == self.version
    }

    fn is_dirty(&self) -> bool {
        self.taken < self.version
    }

    /// Something changed that a commit must carry.
    fn mark(&mut self) {
        self.version += 1;
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
pub(super) mod tests;
