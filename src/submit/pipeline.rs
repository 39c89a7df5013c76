//! The books of the submit pipeline: one lock over the assignment, every lane's progress and
//! what goes into the next transaction.
//!
//! Whoever holds the lock sees a whole state: a lane is either ours or not there, a record
//! is waiting, out with a bind, or on its way into a transaction. The transactor's side of
//! it is in [`ledger`](super::ledger), what sessions say of records in [`outcome`](super::outcome).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashMap;
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;
use tracing::warn;

use crate::kafka::progress::Limits;
use crate::kafka::set_aside::SetAside;
use crate::kafka::start::Start;
use crate::kafka::{Partition, poll, transactor};
use crate::record::event::SendErrorKind;

use crate::submit::binds::doubts::Doubts;
use crate::submit::message::intake::Incoming;
use crate::submit::message::outgoing::{Job, Refusal, instant};
use crate::submit::options::Settings;
use crate::submit::results::late_producer::Side;
use crate::submit::state::history::History;
use crate::submit::state::kept::Kept;
use crate::submit::state::late::LateAnswers;
use crate::submit::state::lost::Memory;
use crate::submit::state::partition::{BindId, Capacity, Lane, Phase};
use crate::submit::state::pending::{Entry, Fate, LaneId};
use crate::submit::state::retry;
use crate::submit::state::segmented::Flights;

/// Names a group of binds that share lanes.
pub type StationId = u64;

/// A record handed to a session.
pub struct Picked {
    /// Names it towards the session.
    pub token: u64,
    /// Its submit_sm.
    pub pdu: Bytes,
}

/// A bind as the books know it.
#[derive(Clone)]
pub struct BindRef {
    /// Its number within the process.
    pub id: BindId,
    /// Its name in events.
    pub name: Arc<str>,
    /// The station it serves.
    pub station: StationId,
    /// Wakes its sender.
    pub wake: Arc<Notify>,
}

pub(super) struct BindState {
    /// Its name in events.
    pub name: Arc<str>,
    /// Whether it has a session that submits.
    pub bound: bool,
    pub submits: bool,
    /// What it lets through now.
    pub pace: Told,
    pub wake: Arc<Notify>,
}

/// What the books are told of a bind's pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// How many requests it may have unanswered.
    pub window: usize,
    /// PDUs per second that it lets through; infinite without a limit of its own.
    pub rate: f64,
    /// Answers per second of its SMSC, when the window is what limits.
    pub answered: f64,
}

impl Default for Told {
    /// Nothing is known yet.
    fn default() -> Self {
        Told {
            window: usize::MAX,
            rate: f64::INFINITY,
            answered: 0.0,
        }
    }
}

impl Told {
    /// Whether that is far from what was told `before`.
    pub fn differs(&self, before: &Told) -> bool {
        let far = |a: f64, b: f64| {
            a != b && ((a - b).abs() >= b / 10.0 || a.is_infinite() || b.is_infinite())
        };
        self.window != before.window
            || far(self.rate, before.rate)
            || far(self.answered, before.answered)
    }
}

pub(super) struct StationState {
    /// In order of priority.
    pub lanes: Vec<(usize, LaneId)>,
    pub binds: HashMap<BindId, BindState>,
    /// The most that one bind may have unanswered.
    pub window: usize,
    /// Share of the account's rate, PDUs per second; infinite without a limit.
    pub rate: f64,
    /// The lane of each priority that was served last: the next one's turn has come.
    served: HashMap<usize, LaneId>,
    /// The lane of each priority that was given room last.
    given: HashMap<usize, LaneId>,
    /// Told when the first lane is open.
    pub opened: Arc<Notify>,
}

/// So many are ready for a bind at least: a window that grows would wait for commits.
const FEWEST: usize = 8;

impl StationState {
    /// How many PDUs may be ready to be handed out, beyond those that are: for each bind that is
    /// bound the window in force, or what its SMSC answers until the next commit if that is more,
    /// up to a whole window; less where a rate lets less through within `time`.
    fn room(&self, time: Duration) -> usize {
        // What goes out between two commits, and a little for the timer's resolution. A float
        // beyond the range becomes its end.
        let within = |rate: f64| match rate.is_finite() {
            true => 2 + (rate * time.as_secs_f64()) as usize,
            false => usize::MAX,
        };
        let bound = self.binds.values().filter(|bind| bind.bound);
        let windows: usize = bound
            .map(|bind| {
                let pace = &bind.pace;
                let room = pace.window.max(FEWEST).max(within(pace.answered));
                room.min(self.window.max(1)).min(within(pace.rate))
            })
            .sum();
        windows.min(within(self.rate))
    }

    /// Lets the lanes make records ready: the urgent ones first, those of one priority in equal
    /// shares. What is ready of less urgent ones waits again where the urgent need the room.
    /// Nothing more of lanes that have no `part` in the transaction becomes ready: it would take
    /// room, and no commit would let it go.
    pub fn share(
        &mut self,
        lanes: &mut HashMap<LaneId, Held>,
        time: Duration,
        part: impl Fn(&LaneId) -> bool,
    ) {
        let mut room = self.room(time);
        for equals in self.lanes.chunk_by(|a, b| a.0 == b.0) {
            let priority = equals.first().map_or(0, |(priority, _)| *priority);
            let ids = in_turn(equals, self.given.get(&priority));
            for id in ids.clone() {
                if let Some(held) = lanes.get_mut(&id) {
                    held.lane.take_back(room);
                    room -= held.lane.ready_pdus().min(room);
                }
            }
            let waits =
                |id: &LaneId| part(id) && lanes.get(id).is_some_and(|h| h.lane.has_waiting());
            let mut waiting: Vec<LaneId> = ids.filter(waits).collect();
            // Who has least ready comes first, of those who have as much the one whose turn it is.
            waiting.sort_by_key(|id| lanes.get(id).map_or(0, |h| h.lane.ready_pdus()));
            while room > 0 && !waiting.is_empty() {
                let each = room.div_ceil(waiting.len());
                waiting.retain(|id| {
                    let made = lanes
                        .get_mut(id)
                        .map_or(0, |h| h.lane.make_ready(each.min(room)));
                    room -= made.min(room);
                    if made > 0 {
                        self.given.insert(priority, *id);
                    }
                    made > 0
                });
            }
        }
    }

    pub fn wake(&self) {
        for bind in self.binds.values() {
            bind.wake.notify_one();
        }
    }
}

/// Lanes of one priority, beginning behind the one that came last.
fn in_turn<'a>(
    equals: &'a [(usize, LaneId)],
    last: Option<&LaneId>,
) -> impl Iterator<Item = LaneId> + Clone + 'a {
    let last = equals.iter().position(|(_, id)| Some(id) == last);
    let (before, from) = equals.split_at(last.map_or(0, |last| last + 1));
    from.iter().chain(before).map(|(_, id)| *id)
}

pub(super) struct Held {
    pub lane: Lane,
    pub station: StationId,
}

/// A record out with a session.
pub(super) struct Out {
    pub lane: LaneId,
    pub job: Box<Job>,
}

#[derive(Default)]
pub(super) struct State {
    pub lanes: HashMap<LaneId, Held>,
    by_partition: HashMap<Partition, LaneId>,
    pub stations: HashMap<StationId, StationState>,
    pub gathered: Vec<Entry>,
    pub out: HashMap<u64, Out>,
    pub flights: Flights,
    /// Sendings whose answers are not waited for any more, but may still come.
    pub late: LateAnswers,
    next_id: u64,
    pub cycle: u64,
    /// The transaction under way.
    pub under_way: Option<u64>,
    /// Lanes whose results their topics refuse.
    pub aside: SetAside<LaneId>,
    /// What is known of lanes that were lost.
    pub memories: HashMap<Partition, Memory>,
    /// What is committed for partitions that stand still.
    pub kept: Kept,
    /// How long a transaction takes of late.
    pub cycle_time: Duration,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in Unix milliseconds, if it has one.
    pub timestamp: Option<i64>,
}

impl From<i64> for At {
    fn from(offset: i64) -> Self {
        At {
            offset,
            timestamp: None,
        }
    }
}

/// See the [module](self).
pub struct Books {
    pub(super) settings: Settings,
    pub(super) state: Mutex<State>,
    pub(super) settled: Condvar,
    pub(super) side: Side,
    pub(super) doubts: Doubts,
    pub(super) poll: poll::Handle,
    transactor: Mutex<Option<transactor::Handle>>,
    /// The transactional.id by which metadata names this process.
    pub(super) writer: String,
}

impl Books {
    /// Empty books, whose commits name `writer`.
    pub fn new(settings: Settings, side: Side, poll: poll::Handle, writer: &str) -> Self {
        Books {
            settings,
            state: Mutex::default(),
            settled: Condvar::new(),
            side,
            doubts: Doubts::default(),
            poll,
            transactor: Mutex::new(None),
            writer: writer.into(),
        }
    }

    /// Tells whom to wake when there is something to commit.
    pub fn attach(&self, transactor: transactor::Handle) {
        *self.transactor.lock() = Some(transactor);
    }

    pub(super) fn wake_transactor(&self) {
        if let Some(transactor) = &*self.transactor.lock() {
            transactor.wake();
        }
    }

    /// Somebody waits for the next transaction.
    fn hurry_transactor(&self) {
        if let Some(transactor) = &*self.transactor.lock() {
            transactor.hurry();
        }
    }

    /// Adds a station with nothing in it.
    pub fn add_station(&self, window: usize, rate: f64) -> (StationId, Arc<Notify>) {
        let mut state = self.state.lock();
        let id = state.new_id();
        let opened = Arc::new(Notify::new());
        let station = StationState {
            lanes: Vec::new(),
            binds: HashMap::new(),
            window,
            rate,
            served: HashMap::new(),
            given: HashMap::new(),
            opened: opened.clone(),
        };
        state.stations.insert(id, station);
        (id, opened)
    }

    /// Forgets a station whose binds are closed.
    pub fn remove_station(&self, id: StationId) {
        self.state.lock().stations.remove(&id);
    }

    /// Adds a bind to a station.
    pub fn add_bind(&self, station: StationId, name: Arc<str>, submits: bool) -> BindRef {
        let mut state = self.state.lock();
        // Few binds are ever opened in the life of a process.
        let id = state.new_id() as BindId;
        let wake = Arc::new(Notify::new());
        if let Some(station) = state.stations.get_mut(&station) {
            let bind = BindState {
                name: name.clone(),
                bound: false,
                submits,
                pace: Told::default(),
                wake: wake.clone(),
            };
            station.binds.insert(id, bind);
        }
        BindRef {
            id,
            name,
            station,
            wake,
        }
    }

    /// Changes the share of the account's rate.
    pub fn set_rate(&self, station: StationId, rate: f64) {
        if let Some(station) = self.state.lock().stations.get_mut(&station) {
            station.rate = rate;
        }
    }

    /// Changes how much a bind lets through.
    pub fn set_pace(&self, bind: &BindRef, pace: Told) {
        if let Some(bind) = self.state.lock().bind_mut(bind) {
            bind.pace = pace;
        }
    }

    /// Takes a partition into the books. Its first commit is due; when that is made it is
    /// fetched from where `start` says.
    pub fn open(
        &self,
        partition: Partition,
        start: Start,
        station: StationId,
        priority: usize,
    ) -> LaneId {
        let capacity = Capacity {
            records: self.settings.fetch_records as usize,
            octets: usize::try_from(self.settings.fetch_octets.get()).unwrap_or(usize::MAX),
        };
        let mut state = self.state.lock();
        let id = state.new_id();
        let start = self.recall(&mut state, &partition, start, id);
        let lane = Lane::new(partition.clone(), start, Limits::default(), capacity);
        state.lanes.insert(id, Held { lane, station });
        state.by_partition.insert(partition, id);
        if let Some(station) = state.stations.get_mut(&station) {
            station.lanes.push((priority, id));
            station.lanes.sort_unstable();
        }
        drop(state);
        self.wake_transactor();
        id
    }

    /// Takes in a record fetched `at` a place. Says whether more of its partition is wanted.
    pub fn take(&self, partition: &Partition, at: impl Into<At>, incoming: Incoming) -> poll::Flow {
        let At { offset, timestamp } = at.into();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        // Not one that was fetched before the partition was started anew.
        let id = state.by_partition.get(partition);
        let held = id.and_then(|id| state.lanes.get_mut(id));
        let Some(held) = held.filter(|_| self.poll.is_current(partition)) else {
            return poll::Flow::Continue;
        };
        match held.lane.phase() {
            Phase::Open => {}
            Phase::Opening => return poll::Flow::Continue,
            // It is given up: what is fetched until then is read for nothing.
            Phase::Draining => return poll::Flow::Pause,
        }
        if let Some(timestamp) = timestamp {
            held.lane.read(timestamp);
        }
        if held.lane.wants(offset) {
            admit(&mut held.lane, offset, incoming);
        }
        let full = held.lane.is_full();
        let station = state.stations.get(&held.station);
        let bound = station.is_some_and(|s| s.binds.values().any(|b| b.bound));
        let wake = held.lane.wants_commit() && (bound || held.lane.has_asides());
        drop(guard);
        if wake {
            self.wake_transactor();
        }
        match full {
            true => poll::Flow::Pause,
            false => poll::Flow::Continue,
        }
    }

    /// Hands up to `most` PDUs to a bind, which must submit them in this order: the urgent lanes
    /// first, also before what is left of a less urgent long message, and those of one priority in
    /// turn. Says when more will be due.
    pub fn pick(&self, bind: &BindRef, most: usize, picked: &mut Vec<Picked>) -> Option<Instant> {
        let (now, wall) = (Instant::now(), Timestamp::now());
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let station = state.stations.get_mut(&bind.station)?;
        let mut stopped = Vec::new();
        for equals in station.lanes.chunk_by(|a, b| a.0 == b.0) {
            let priority = equals.first().map_or(0, |(priority, _)| *priority);
            let flights = &mut state.flights;
            stopped.extend(flights.go_on(bind.id, priority, most, picked, now, wall));
            let mut passed = 0;
            let last = station.served.get(&priority).copied();
            for id in in_turn(equals, last.as_ref()).cycle() {
                if picked.len() >= most || passed == equals.len() {
                    break;
                }
                let lane = state.lanes.get_mut(&id).map(|held| &mut held.lane);
                let Some(mut job) = lane.and_then(|lane| lane.pick(bind.id, now)) else {
                    passed += 1;
                    continue;
                };
                passed = 0;
                station.served.insert(priority, id);
                job.submitted_at = wall;
                let first = state.next_id + 1;
                if let Some(parts) = &job.parts {
                    state.next_id += parts.count() as u64;
                    state.flights.start(first, id, priority, bind, job);
                    let flights = &mut state.flights;
                    stopped.extend(flights.go_on(bind.id, priority, most, picked, now, wall));
                    continue;
                }
                state.next_id = first;
                picked.push(Picked {
                    token: first,
                    pdu: job.pdu.clone(),
                });
                state.out.insert(first, Out { lane: id, job });
            }
        }
        for flight in stopped {
            self.conclude_landed(state, flight);
        }
        let (due, more) = state.look_ahead(bind.station, now);
        let wake = more || !picked.is_empty() && state.has_waiting(bind.station);
        drop(guard);
        if wake {
            self.wake_transactor();
        }
        due
    }

    /// How many PDUs a bind could be handed now, up to `most`; sets when more will be due.
    pub fn peek(&self, bind: &BindRef, most: usize, due: &mut Option<Instant>) -> usize {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (next, more) = state.look_ahead(bind.station, Instant::now());
        *due = next;
        let Some(station) = state.stations.get(&bind.station) else {
            return 0;
        };
        let mut count = state.flights.waiting(bind.id).min(most);
        for (_, id) in &station.lanes {
            if let Some(held) = state.lanes.get(id) {
                count += held.lane.peek(most - count);
            }
        }
        drop(guard);
        if more {
            self.wake_transactor();
        }
        count
    }

    /// A bind has its session, and its lanes may reserve.
    pub fn bound(&self, bind: &BindRef) {
        let mut state = self.state.lock();
        if let Some(b) = state.bind_mut(bind) {
            b.bound = b.submits;
        }
        drop(state);
        self.wake_transactor();
    }

    /// A bind lost its session; all its outcomes have been told. What was reserved for it
    /// and not sent is given back.
    pub fn unbound(&self, bind: &BindRef) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        match state.bind_mut(bind) {
            Some(b) if b.bound => b.bound = false,
            _ => return,
        }
        self.ground(state, bind.id);
        let station = state.stations.get(&bind.station);
        for (_, id) in station.map_or(&[][..], |s| &s.lanes) {
            if let Some(held) = state.lanes.get_mut(id) {
                held.lane.session_lost(bind.id);
            }
        }
        // What was sent over a session that is gone is never answered.
        state.late.forget_bind(bind.id);
        drop(guard);
        self.doubts.say();
        self.wake_transactor();
    }

    /// The lanes of these partitions.
    pub fn lanes_of(&self, partitions: &[Partition]) -> Vec<LaneId> {
        let state = self.state.lock();
        let ids = partitions.iter().filter_map(|p| state.by_partition.get(p));
        ids.copied().collect()
    }

    /// All lanes.
    pub fn all_lanes(&self) -> Vec<LaneId> {
        self.state.lock().lanes.keys().copied().collect()
    }

    /// Waits until late answers are delivered.
    pub fn flush(&self, patience: Duration) {
        self.side.flush(patience);
    }

    /// The next offset of a partition that is at work.
    pub fn position(&self, partition: &Partition) -> Option<i64> {
        let state = self.state.lock();
        let held = state.lanes.get(state.by_partition.get(partition)?)?;
        (held.lane.phase() == Phase::Open).then(|| held.lane.next_offset())
    }

    /// The next offset of a partition that is at work, and the youngest timestamp read of it.
    pub fn last_read(&self, partition: &Partition) -> Option<(i64, Option<i64>)> {
        let state = self.state.lock();
        let lane = &state.lanes.get(state.by_partition.get(partition)?)?.lane;
        let open = lane.phase() == Phase::Open;
        open.then(|| (lane.next_offset(), lane.progress().newest()))
    }

    /// The partitions that are open, and the next offset of each.
    pub fn positions(&self) -> Vec<(Partition, i64)> {
        let state = self.state.lock();
        let lanes = state.lanes.values().map(|h| &h.lane);
        lanes
            .map(|l| (l.source().clone(), l.next_offset()))
            .collect()
    }

    /// The partitions that are open and hold nothing, and the next offset of each.
    pub fn idle(&self) -> HashMap<Partition, i64> {
        let state = self.state.lock();
        let lanes = state.lanes.values().map(|h| &h.lane);
        lanes
            .filter(|l| l.is_idle())
            .map(|l| (l.source().clone(), l.next_offset()))
            .collect()
    }

    /// A partition is known to have no record from `next` up to `to`: that is committed, if
    /// `next` is still what comes next.
    pub fn skip(&self, partition: &Partition, next: i64, to: i64) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let lane = (state.by_partition.get(partition))
            .and_then(|id| state.lanes.get_mut(id))
            .map(|held| &mut held.lane)
            .filter(|lane| lane.is_idle() && lane.next_offset() == next);
        if let Some(lane) = lane {
            lane.skip_to(to);
            drop(guard);
            self.wake_transactor();
        }
    }

    /// Whether a station serves lanes besides these.
    pub fn serves_others(&self, station: StationId, besides: &[LaneId]) -> bool {
        let state = self.state.lock();
        let lanes = state.stations.get(&station).map_or(&[][..], |s| &s.lanes);
        lanes.iter().any(|(_, id)| !besides.contains(id))
    }

    /// From now on nothing of these lanes is handed to a session.
    pub fn drain(&self, lanes: &[LaneId]) {
        let mut state = self.state.lock();
        for id in lanes {
            if let Some(held) = state.lanes.get_mut(id) {
                held.lane.drain();
            }
        }
    }

    /// Records of these lanes that are with a session.
    pub fn outstanding(&self, lanes: &[LaneId]) -> usize {
        let state = self.state.lock();
        let held = lanes.iter().filter_map(|id| state.lanes.get(id));
        held.map(|h| h.lane.outstanding()).sum()
    }

    /// No session can write anything of these lanes any more: commits exactly what is in
    /// doubt, and waits for that. `false` if it could not be committed in time.
    pub fn settle(&self, lanes: &[LaneId], patience: Duration) -> bool {
        let began = Instant::now();
        let deadline = began + patience;
        self.hurry_transactor();
        let mut state = self.state.lock();
        state.aside.hurry(lanes, began);
        for id in lanes {
            if let Some(held) = state.lanes.get_mut(id) {
                held.lane.settle();
            }
        }
        loop {
            if state.is_clean(lanes) {
                return true;
            }
            MutexGuard::unlocked(&mut state, || self.wake_transactor());
            if state.is_clean(lanes) {
                return true;
            }
            // Those that are left have been tried once more, and are refused.
            let refused = |id: &LaneId| state.aside.is_refused_since(id, began);
            if lanes.iter().all(|id| state.is_clean(&[*id]) || refused(id)) {
                return false;
            }
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                return state.is_clean(lanes);
            }
        }
    }

    /// Takes these lanes out of the books: nothing of them enters a later transaction.
    pub fn remove(&self, lanes: &[LaneId]) {
        let mut state = self.state.lock();
        for id in lanes {
            state.take_out(*id);
        }
        state.forget_flights(lanes);
        let orphans = state.extract_fates(lanes);
        drop(state);
        self.side.publish_orphans(orphans);
    }
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn take_out(&mut self, id: LaneId) -> Option<Held> {
        let held = self.lanes.remove(&id)?;
        self.aside.forget(&id);
        self.by_partition.remove(held.lane.source());
        if let Some(station) = self.stations.get_mut(&held.station) {
            station.lanes.retain(|(_, l)| *l != id);
        }
        Some(held)
    }

    pub(super) fn extract_fates(&mut self, lanes: &[LaneId]) -> Vec<Entry> {
        let theirs = |e: &mut Entry| lanes.contains(&e.lane);
        self.gathered.extract_if(.., theirs).collect()
    }

    /// Lets what has become due wait to be made ready: when more will be due, and whether a
    /// transaction would find something to do.
    fn look_ahead(&mut self, station: StationId, now: Instant) -> (Option<Instant>, bool) {
        let (mut due, mut more) = (None::<Instant>, false);
        let station = self.stations.get(&station);
        for (_, id) in station.map_or(&[][..], |station| &station.lanes) {
            if let Some(held) = self.lanes.get_mut(id) {
                more |= held.lane.promote(now) | held.lane.has_asides();
                due = [due, held.lane.next_due()].into_iter().flatten().min();
            }
        }
        (due, more)
    }

    fn has_waiting(&self, station: StationId) -> bool {
        let station = self.stations.get(&station);
        let mut lanes = station.iter().flat_map(|station| &station.lanes);
        lanes.any(|(_, id)| self.lanes.get(id).is_some_and(|h| h.lane.has_waiting()))
    }

    /// The bind that a record, or a part of one, is out with.
    pub(super) fn bind_of(&mut self, token: u64) -> Option<BindRef> {
        if let Some(bind) = self.flights.bind_of(token) {
            return Some(bind);
        }
        let out = self.out.get(&token)?;
        let held = self.lanes.get(&out.lane)?;
        let id = held.lane.bind_of(out.job.offset)?;
        let bind = self.stations.get(&held.station)?.binds.get(&id)?;
        Some(BindRef {
            id,
            name: bind.name.clone(),
            station: held.station,
            wake: bind.wake.clone(),
        })
    }

    /// The partitions of these lanes, for people.
    pub(super) fn names<'a>(&self, lanes: impl IntoIterator<Item = &'a LaneId>) -> String {
        let held = lanes.into_iter().filter_map(|id| self.lanes.get(id));
        let names: Vec<String> = held.map(|h| h.lane.source().to_string()).collect();
        names.join(", ")
    }

    /// The records among `entries` that were put back onto `topic`, which is not there, wait in
    /// their lanes until the SMSC wants them again. Where that is too far behind what finished
    /// since, they stay entries; returns the lanes of these.
    pub(super) fn reopen(
        &mut self,
        entries: &mut Vec<Entry>,
        topic: &str,
        now: Instant,
    ) -> BTreeSet<LaneId> {
        let wall = Timestamp::now();
        let theirs = |entry: &mut Entry| match &entry.fate {
            Fate::PutBack(job, _) => {
                *job.letter.topic == *topic && self.lanes.contains_key(&entry.lane)
            }
            _ => false,
        };
        // The youngest first: each that is reopened leaves the older ones less room, not more.
        let mut back: Vec<Entry> = entries.extract_if(.., theirs).collect();
        back.sort_by_key(|entry| std::cmp::Reverse(entry.finishes().map(|(offset, _)| offset)));
        let mut left = BTreeSet::new();
        for entry in back {
            let fits = |lane: &Lane| (entry.finishes()).is_some_and(|(o, _)| lane.may_reopen(o));
            let lane = self.lanes.get(&entry.lane).map(|held| &held.lane);
            if !lane.is_some_and(fits) {
                left.insert(entry.lane);
                entries.push(entry);
                continue;
            }
            if let Fate::PutBack(job, returned) = entry.fate
                && let Some(held) = self.lanes.get_mut(&entry.lane)
            {
                let due = returned.not_before.and_then(|at| instant(at, now, wall));
                warn!(
                    log_id = job.letter.log_id,
                    topic,
                    "it cannot be put back onto its topic, which is not there; it waits here"
                );
                held.lane.reopen(job, due.unwrap_or(now));
            }
        }
        left
    }

    fn bind_mut(&mut self, bind: &BindRef) -> Option<&mut BindState> {
        let station = self.stations.get_mut(&bind.station)?;
        station.binds.get_mut(&bind.id)
    }

    fn is_clean(&self, lanes: &[LaneId]) -> bool {
        let held = lanes.iter().filter_map(|id| self.lanes.get(id));
        let clean = held.into_iter().all(|h| h.lane.is_clean());
        clean && !self.gathered.iter().any(|e| lanes.contains(&e.lane))
    }
}

/// Takes a wanted record into its lane, with what is known of it from earlier lives.
fn admit(lane: &mut Lane, offset: i64, incoming: Incoming) {
    let known = History::of_lane(lane.history(offset));
    match incoming {
        Incoming::Refused(refusal) => lane.refuse(offset, refusal.after(&known)),
        Incoming::Job(mut job, due) => {
            // Those from before it was put back onto its topic count on.
            job.doubts = job.doubts.saturating_add(known.doubts);
            job.possible_duplicate |= known.suspected;
            if let Some(parts) = job.parts.as_mut().filter(|_| job.doubts > 0) {
                parts.doubt_all();
            }
            if known.doubts > 0 && !retry::resends(job.in_doubt, job.max_resends, job.doubts) {
                let text = "it may have been sent before the connector's last end, and no answer is known; in_doubt or max_resends forbids sending it again";
                let refusal = Refusal::of(&job, SendErrorKind::OutcomeUnknown, text.into());
                lane.refuse(offset, refusal);
            } else {
                lane.take_in(job, due);
            }
        }
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "crash_tests.rs"]
mod crashes;
