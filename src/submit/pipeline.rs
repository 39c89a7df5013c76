//! The state of the submit pipeline under one lock: the assignment, every partition's progress and
//! what goes into the next transaction.
//!
//! Whoever holds the lock sees a whole state: a partition is either ours or not there, a record
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
use crate::submit::message::outgoing::{Outgoing, Rejection, instant};
use crate::submit::options::Settings;
use crate::submit::results::late_producer::LateProducer;
use crate::submit::state::history::History;
use crate::submit::state::kept::Kept;
use crate::submit::state::late::LateAnswers;
use crate::submit::state::lost::LostPartition;
use crate::submit::state::partition::{BindId, Capacity, PartitionState, Phase};
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome};
use crate::submit::state::retry;
use crate::submit::state::segmented::SegmentedSubmissions;

/// Names a group of binds that share partitions.
pub type GroupId = u64;

/// A record handed to a session.
pub struct Picked {
    /// Names it towards the session.
    pub token: u64,
    /// Its submit_sm.
    pub pdu: Bytes,
}

/// A bind as the pipeline knows it.
#[derive(Clone)]
pub struct BindRef {
    /// Its number within the process.
    pub id: BindId,
    /// Its name in events.
    pub name: Arc<str>,
    /// The bind group it serves.
    pub group: GroupId,
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
    pub pace: KnownPace,
    pub wake: Arc<Notify>,
}

/// What the pipeline is told of a bind's pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownPace {
    /// How many requests it may have unanswered.
    pub window: usize,
    /// PDUs per second that it lets through; infinite without a limit of its own.
    pub rate: f64,
    /// Answers per second of its SMSC, when the window is what limits.
    pub answered: f64,
}

impl Default for KnownPace {
    /// Nothing is known yet.
    fn default() -> Self {
        KnownPace {
            window: usize::MAX,
            rate: f64::INFINITY,
            answered: 0.0,
        }
    }
}

impl KnownPace {
    /// Whether that is far from what was told `before`.
    pub fn differs(&self, before: &KnownPace) -> bool {
        let far = |a: f64, b: f64| {
            a != b && ((a - b).abs() >= b / 10.0 || a.is_infinite() || b.is_infinite())
        };
        self.window != before.window
            || far(self.rate, before.rate)
            || far(self.answered, before.answered)
    }
}

pub(super) struct GroupState {
    /// In order of priority.
    pub assignments: Vec<(usize, AssignmentId)>,
    pub binds: HashMap<BindId, BindState>,
    /// The most that one bind may have unanswered.
    pub window: usize,
    /// Share of the account's rate, PDUs per second; infinite without a limit.
    pub rate: f64,
    /// The partition of each priority that was served last: the next one's turn has come.
    served: HashMap<usize, AssignmentId>,
    /// The partition of each priority that was given room last.
    given: HashMap<usize, AssignmentId>,
    /// Told when the first partition is open.
    pub opened: Arc<Notify>,
}

/// So many are ready for a bind at least: a window that grows would wait for commits.
const FEWEST: usize = 8;

impl GroupState {
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

    /// Lets the partitions make records ready: the urgent ones first, those of one priority in equal
    /// shares. What is ready of less urgent ones waits again where the urgent need the room.
    /// Nothing more of partitions that have no `part` in the transaction becomes ready: it would take
    /// room, and no commit would let it go.
    pub fn share(
        &mut self,
        assignments: &mut HashMap<AssignmentId, AssignedPartition>,
        time: Duration,
        part: impl Fn(&AssignmentId) -> bool,
    ) {
        let mut room = self.room(time);
        for equals in self.assignments.chunk_by(|a, b| a.0 == b.0) {
            let priority = equals.first().map_or(0, |(priority, _)| *priority);
            let ids = in_turn(equals, self.given.get(&priority));
            for id in ids.clone() {
                if let Some(held) = assignments.get_mut(&id) {
                    held.partition.take_back(room);
                    room -= held.partition.ready_pdus().min(room);
                }
            }
            let waits = |id: &AssignmentId| {
                part(id)
                    && assignments
                        .get(id)
                        .is_some_and(|h| h.partition.has_waiting())
            };
            let mut waiting: Vec<AssignmentId> = ids.filter(waits).collect();
            // Who has least ready comes first, of those who have as much the one whose turn it is.
            waiting.sort_by_key(|id| assignments.get(id).map_or(0, |h| h.partition.ready_pdus()));
            while room > 0 && !waiting.is_empty() {
                let each = room.div_ceil(waiting.len());
                waiting.retain(|id| {
                    let made = assignments
                        .get_mut(id)
                        .map_or(0, |h| h.partition.make_ready(each.min(room)));
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
    equals: &'a [(usize, AssignmentId)],
    last: Option<&AssignmentId>,
) -> impl Iterator<Item = AssignmentId> + Clone + 'a {
    let last = equals.iter().position(|(_, id)| Some(id) == last);
    let (before, from) = equals.split_at(last.map_or(0, |last| last + 1));
    from.iter().chain(before).map(|(_, id)| *id)
}

pub(super) struct AssignedPartition {
    pub partition: PartitionState,
    pub group: GroupId,
}

/// A record out with a session.
pub(super) struct InFlight {
    pub assignment: AssignmentId,
    pub outgoing: Box<Outgoing>,
}

#[derive(Default)]
pub(super) struct PipelineState {
    pub assignments: HashMap<AssignmentId, AssignedPartition>,
    by_partition: HashMap<Partition, AssignmentId>,
    pub groups: HashMap<GroupId, GroupState>,
    pub gathered: Vec<PendingResult>,
    pub in_flight: HashMap<u64, InFlight>,
    pub segmented: SegmentedSubmissions,
    /// Sendings whose answers are not waited for any more, but may still come.
    pub late: LateAnswers,
    next_id: u64,
    pub cycle: u64,
    /// The transaction under way.
    pub under_way: Option<u64>,
    /// Lanes whose results their topics refuse.
    pub aside: SetAside<AssignmentId>,
    /// What is known of partitions that were lost.
    pub lost: HashMap<Partition, LostPartition>,
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
pub struct Pipeline {
    pub(super) settings: Settings,
    pub(super) state: Mutex<PipelineState>,
    pub(super) settled: Condvar,
    pub(super) late_producer: LateProducer,
    pub(super) doubts: Doubts,
    pub(super) poll: poll::Handle,
    transactor: Mutex<Option<transactor::Handle>>,
    /// The transactional.id by which metadata names this process.
    pub(super) transactional_id: String,
}

impl Pipeline {
    /// Empty pipeline, whose commits name `transactional_id`.
    pub fn new(
        settings: Settings,
        late_producer: LateProducer,
        poll: poll::Handle,
        transactional_id: &str,
    ) -> Self {
        Pipeline {
            settings,
            state: Mutex::default(),
            settled: Condvar::new(),
            late_producer,
            doubts: Doubts::default(),
            poll,
            transactor: Mutex::new(None),
            transactional_id: transactional_id.into(),
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

    /// Adds a bind group with nothing in it.
    pub fn add_group(&self, window: usize, rate: f64) -> (GroupId, Arc<Notify>) {
        let mut state = self.state.lock();
        let id = state.new_id();
        let opened = Arc::new(Notify::new());
        let group = GroupState {
            assignments: Vec::new(),
            binds: HashMap::new(),
            window,
            rate,
            served: HashMap::new(),
            given: HashMap::new(),
            opened: opened.clone(),
        };
        state.groups.insert(id, group);
        (id, opened)
    }

    /// Forgets a bind group whose binds are closed.
    pub fn remove_group(&self, id: GroupId) {
        self.state.lock().groups.remove(&id);
    }

    /// Adds a bind to a bind group.
    pub fn add_bind(&self, group: GroupId, name: Arc<str>, submits: bool) -> BindRef {
        let mut state = self.state.lock();
        // Few binds are ever opened in the life of a process.
        let id = state.new_id() as BindId;
        let wake = Arc::new(Notify::new());
        if let Some(group) = state.groups.get_mut(&group) {
            let bind = BindState {
                name: name.clone(),
                bound: false,
                submits,
                pace: KnownPace::default(),
                wake: wake.clone(),
            };
            group.binds.insert(id, bind);
        }
        BindRef {
            id,
            name,
            group,
            wake,
        }
    }

    /// Changes the share of the account's rate.
    pub fn set_rate(&self, group: GroupId, rate: f64) {
        if let Some(group) = self.state.lock().groups.get_mut(&group) {
            group.rate = rate;
        }
    }

    /// Changes how much a bind lets through.
    pub fn set_pace(&self, bind: &BindRef, pace: KnownPace) {
        if let Some(bind) = self.state.lock().bind_mut(bind) {
            bind.pace = pace;
        }
    }

    /// Takes a partition into the pipeline. Its first commit is due; when that is made it is
    /// fetched from where `start` says.
    pub fn open(
        &self,
        partition: Partition,
        start: Start,
        group: GroupId,
        priority: usize,
    ) -> AssignmentId {
        let capacity = Capacity {
            records: self.settings.fetch_records as usize,
            octets: usize::try_from(self.settings.fetch_octets.get()).unwrap_or(usize::MAX),
        };
        let mut state = self.state.lock();
        let id = state.new_id();
        let start = self.recall(&mut state, &partition, start, id);
        let held = AssignedPartition {
            partition: PartitionState::new(partition.clone(), start, Limits::default(), capacity),
            group,
        };
        state.assignments.insert(id, held);
        state.by_partition.insert(partition, id);
        if let Some(group) = state.groups.get_mut(&group) {
            group.assignments.push((priority, id));
            group.assignments.sort_unstable();
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
        let held = id.and_then(|id| state.assignments.get_mut(id));
        let Some(held) = held.filter(|_| self.poll.is_current(partition)) else {
            return poll::Flow::Continue;
        };
        match held.partition.phase() {
            Phase::Open => {}
            Phase::Opening => return poll::Flow::Continue,
            // It is given up: what is fetched until then is read for nothing.
            Phase::Draining => return poll::Flow::Pause,
        }
        if let Some(timestamp) = timestamp {
            held.partition.read(timestamp);
        }
        if held.partition.wants(offset) {
            admit(&mut held.partition, offset, incoming);
        }
        let full = held.partition.is_full();
        let group = state.groups.get(&held.group);
        let bound = group.is_some_and(|s| s.binds.values().any(|b| b.bound));
        let wake = held.partition.wants_commit() && (bound || held.partition.has_asides());
        drop(guard);
        if wake {
            self.wake_transactor();
        }
        match full {
            true => poll::Flow::Pause,
            false => poll::Flow::Continue,
        }
    }

    /// Hands up to `most` PDUs to a bind, which must submit them in this order: the urgent partitions
    /// first, also before what is left of a less urgent long message, and those of one priority in
    /// turn. Says when more will be due.
    pub fn pick(&self, bind: &BindRef, most: usize, picked: &mut Vec<Picked>) -> Option<Instant> {
        let (now, wall) = (Instant::now(), Timestamp::now());
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let group = state.groups.get_mut(&bind.group)?;
        let mut stopped = Vec::new();
        for equals in group.assignments.chunk_by(|a, b| a.0 == b.0) {
            let priority = equals.first().map_or(0, |(priority, _)| *priority);
            let segmented = &mut state.segmented;
            stopped.extend(segmented.go_on(bind.id, priority, most, picked, now, wall));
            let mut passed = 0;
            let last = group.served.get(&priority).copied();
            for id in in_turn(equals, last.as_ref()).cycle() {
                if picked.len() >= most || passed == equals.len() {
                    break;
                }
                let partition = state
                    .assignments
                    .get_mut(&id)
                    .map(|held| &mut held.partition);
                let Some(mut outgoing) =
                    partition.and_then(|partition| partition.pick(bind.id, now))
                else {
                    passed += 1;
                    continue;
                };
                passed = 0;
                group.served.insert(priority, id);
                outgoing.submitted_at = wall;
                let first = state.next_id + 1;
                if let Some(segments) = &outgoing.segments {
                    state.next_id += segments.count() as u64;
                    state.segmented.start(first, id, priority, bind, outgoing);
                    let segmented = &mut state.segmented;
                    stopped.extend(segmented.go_on(bind.id, priority, most, picked, now, wall));
                    continue;
                }
                state.next_id = first;
                picked.push(Picked {
                    token: first,
                    pdu: outgoing.pdu.clone(),
                });
                state.in_flight.insert(
                    first,
                    InFlight {
                        assignment: id,
                        outgoing,
                    },
                );
            }
        }
        for submission in stopped {
            self.conclude_finished(state, submission);
        }
        let (due, more) = state.look_ahead(bind.group, now);
        let wake = more || !picked.is_empty() && state.has_waiting(bind.group);
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
        let (next, more) = state.look_ahead(bind.group, Instant::now());
        *due = next;
        let Some(group) = state.groups.get(&bind.group) else {
            return 0;
        };
        let mut count = state.segmented.waiting(bind.id).min(most);
        for (_, id) in &group.assignments {
            if let Some(held) = state.assignments.get(id) {
                count += held.partition.peek(most - count);
            }
        }
        drop(guard);
        if more {
            self.wake_transactor();
        }
        count
    }

    /// A bind has its session, and its partitions may reserve.
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
        self.abort_on_unbind(state, bind.id);
        let group = state.groups.get(&bind.group);
        for (_, id) in group.map_or(&[][..], |s| &s.assignments) {
            if let Some(held) = state.assignments.get_mut(id) {
                held.partition.session_lost(bind.id);
            }
        }
        // What was sent over a session that is gone is never answered.
        state.late.forget_bind(bind.id);
        drop(guard);
        self.doubts.say();
        self.wake_transactor();
    }

    /// The partitions of these partitions.
    pub fn assignments_of(&self, partitions: &[Partition]) -> Vec<AssignmentId> {
        let state = self.state.lock();
        let ids = partitions.iter().filter_map(|p| state.by_partition.get(p));
        ids.copied().collect()
    }

    /// All partitions.
    pub fn all_assignments(&self) -> Vec<AssignmentId> {
        self.state.lock().assignments.keys().copied().collect()
    }

    /// Waits until late answers are delivered.
    pub fn flush(&self, timeout: Duration) {
        self.late_producer.flush(timeout);
    }

    /// The next offset of a partition that is at work.
    pub fn position(&self, partition: &Partition) -> Option<i64> {
        let state = self.state.lock();
        let held = state.assignments.get(state.by_partition.get(partition)?)?;
        (held.partition.phase() == Phase::Open).then(|| held.partition.next_offset())
    }

    /// The next offset of a partition that is at work, and the youngest timestamp read of it.
    pub fn last_read(&self, partition: &Partition) -> Option<(i64, Option<i64>)> {
        let state = self.state.lock();
        let partition = &state
            .assignments
            .get(state.by_partition.get(partition)?)?
            .partition;
        let open = partition.phase() == Phase::Open;
        open.then(|| (partition.next_offset(), partition.progress().newest()))
    }

    /// The partitions that are open, and the next offset of each.
    pub fn positions(&self) -> Vec<(Partition, i64)> {
        let state = self.state.lock();
        let assignments = state.assignments.values().map(|h| &h.partition);
        assignments
            .map(|l| (l.name().clone(), l.next_offset()))
            .collect()
    }

    /// The partitions that are open and hold nothing, and the next offset of each.
    pub fn idle(&self) -> HashMap<Partition, i64> {
        let state = self.state.lock();
        let assignments = state.assignments.values().map(|h| &h.partition);
        assignments
            .filter(|l| l.is_idle())
            .map(|l| (l.name().clone(), l.next_offset()))
            .collect()
    }

    /// A partition is known to have no record from `next` up to `to`: that is committed, if
    /// `next` is still what comes next.
    pub fn skip(&self, partition: &Partition, next: i64, to: i64) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let partition = (state.by_partition.get(partition))
            .and_then(|id| state.assignments.get_mut(id))
            .map(|held| &mut held.partition)
            .filter(|partition| partition.is_idle() && partition.next_offset() == next);
        if let Some(partition) = partition {
            partition.skip_to(to);
            drop(guard);
            self.wake_transactor();
        }
    }

    /// Whether a bind group serves partitions besides these.
    pub fn serves_others(&self, group: GroupId, besides: &[AssignmentId]) -> bool {
        let state = self.state.lock();
        let assignments = state.groups.get(&group).map_or(&[][..], |s| &s.assignments);
        assignments.iter().any(|(_, id)| !besides.contains(id))
    }

    /// From now on nothing of these partitions is handed to a session.
    pub fn drain(&self, assignments: &[AssignmentId]) {
        let mut state = self.state.lock();
        for id in assignments {
            if let Some(held) = state.assignments.get_mut(id) {
                held.partition.drain();
            }
        }
    }

    /// Records of these partitions that are with a session.
    pub fn outstanding(&self, assignments: &[AssignmentId]) -> usize {
        let state = self.state.lock();
        let held = assignments
            .iter()
            .filter_map(|id| state.assignments.get(id));
        held.map(|h| h.partition.outstanding()).sum()
    }

    /// No session can write anything of these partitions any more: commits exactly what is in
    /// doubt, and waits for that. `false` if it could not be committed in time.
    pub fn settle(&self, assignments: &[AssignmentId], timeout: Duration) -> bool {
        let began = Instant::now();
        let deadline = began + timeout;
        self.hurry_transactor();
        let mut state = self.state.lock();
        state.aside.hurry(assignments, began);
        for id in assignments {
            if let Some(held) = state.assignments.get_mut(id) {
                held.partition.settle();
            }
        }
        loop {
            if state.is_clean(assignments) {
                return true;
            }
            MutexGuard::unlocked(&mut state, || self.wake_transactor());
            if state.is_clean(assignments) {
                return true;
            }
            // Those that are left have been tried once more, and are refused.
            let refused = |id: &AssignmentId| state.aside.is_refused_since(id, began);
            if assignments
                .iter()
                .all(|id| state.is_clean(&[*id]) || refused(id))
            {
                return false;
            }
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                return state.is_clean(assignments);
            }
        }
    }

    /// Takes these partitions out of the pipeline: nothing of them enters a later transaction.
    pub fn remove(&self, assignments: &[AssignmentId]) {
        let mut state = self.state.lock();
        for id in assignments {
            state.take_out(*id);
        }
        state.forget_segmented(assignments);
        let orphans = state.extract_results(assignments);
        drop(state);
        self.late_producer.publish_orphans(orphans);
    }
}

impl PipelineState {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn take_out(&mut self, id: AssignmentId) -> Option<AssignedPartition> {
        let held = self.assignments.remove(&id)?;
        self.aside.forget(&id);
        self.by_partition.remove(held.partition.name());
        if let Some(group) = self.groups.get_mut(&held.group) {
            group.assignments.retain(|(_, l)| *l != id);
        }
        Some(held)
    }

    pub(super) fn extract_results(&mut self, assignments: &[AssignmentId]) -> Vec<PendingResult> {
        let theirs = |e: &mut PendingResult| assignments.contains(&e.assignment);
        self.gathered.extract_if(.., theirs).collect()
    }

    /// Lets what has become due wait to be made ready: when more will be due, and whether a
    /// transaction would find something to do.
    fn look_ahead(&mut self, group: GroupId, now: Instant) -> (Option<Instant>, bool) {
        let (mut due, mut more) = (None::<Instant>, false);
        let group = self.groups.get(&group);
        for (_, id) in group.map_or(&[][..], |group| &group.assignments) {
            if let Some(held) = self.assignments.get_mut(id) {
                more |= held.partition.promote(now) | held.partition.has_asides();
                due = [due, held.partition.next_due()].into_iter().flatten().min();
            }
        }
        (due, more)
    }

    fn has_waiting(&self, group: GroupId) -> bool {
        let group = self.groups.get(&group);
        let mut assignments = group.iter().flat_map(|group| &group.assignments);
        assignments.any(|(_, id)| {
            self.assignments
                .get(id)
                .is_some_and(|h| h.partition.has_waiting())
        })
    }

    /// The bind that a record, or a segment of one, is out with.
    pub(super) fn bind_of(&mut self, token: u64) -> Option<BindRef> {
        if let Some(bind) = self.segmented.bind_of(token) {
            return Some(bind);
        }
        let out = self.in_flight.get(&token)?;
        let held = self.assignments.get(&out.assignment)?;
        let id = held.partition.bind_of(out.outgoing.offset)?;
        let bind = self.groups.get(&held.group)?.binds.get(&id)?;
        Some(BindRef {
            id,
            name: bind.name.clone(),
            group: held.group,
            wake: bind.wake.clone(),
        })
    }

    /// The partitions of these partitions, for people.
    pub(super) fn names<'a>(
        &self,
        assignments: impl IntoIterator<Item = &'a AssignmentId>,
    ) -> String {
        let held = assignments
            .into_iter()
            .filter_map(|id| self.assignments.get(id));
        let names: Vec<String> = held.map(|h| h.partition.name().to_string()).collect();
        names.join(", ")
    }

    /// The records among `results` that were put back onto `topic`, which is not there, wait in
    /// their partitions until the SMSC wants them again. Where that is too far behind what finished
    /// since, they stay entries; returns the partitions of these.
    pub(super) fn reopen(
        &mut self,
        results: &mut Vec<PendingResult>,
        topic: &str,
        now: Instant,
    ) -> BTreeSet<AssignmentId> {
        let wall = Timestamp::now();
        let theirs = |result: &mut PendingResult| match &result.outcome {
            RecordOutcome::PutBack(outgoing, _) => {
                *outgoing.context.topic == *topic
                    && self.assignments.contains_key(&result.assignment)
            }
            _ => false,
        };
        // The youngest first: each that is reopened leaves the older ones less room, not more.
        let mut back: Vec<PendingResult> = results.extract_if(.., theirs).collect();
        back.sort_by_key(|result| std::cmp::Reverse(result.finishes().map(|(offset, _)| offset)));
        let mut left = BTreeSet::new();
        for result in back {
            let fits = |partition: &PartitionState| {
                (result.finishes()).is_some_and(|(o, _)| partition.may_reopen(o))
            };
            let partition = self
                .assignments
                .get(&result.assignment)
                .map(|held| &held.partition);
            if !partition.is_some_and(fits) {
                left.insert(result.assignment);
                results.push(result);
                continue;
            }
            if let RecordOutcome::PutBack(outgoing, returned) = result.outcome
                && let Some(held) = self.assignments.get_mut(&result.assignment)
            {
                let due = returned.not_before.and_then(|at| instant(at, now, wall));
                warn!(
                    log_id = outgoing.context.log_id,
                    topic,
                    "it cannot be put back onto its topic, which is not there; it waits here"
                );
                held.partition.reopen(outgoing, due.unwrap_or(now));
            }
        }
        left
    }

    fn bind_mut(&mut self, bind: &BindRef) -> Option<&mut BindState> {
        let group = self.groups.get_mut(&bind.group)?;
        group.binds.get_mut(&bind.id)
    }

    fn is_clean(&self, assignments: &[AssignmentId]) -> bool {
        let held = assignments.iter().filter_map(|id| self.assignments.get(id));
        let clean = held.into_iter().all(|h| h.partition.is_clean());
        clean
            && !self
                .gathered
                .iter()
                .any(|e| assignments.contains(&e.assignment))
    }
}

/// Takes a wanted record into its partition, with what is known of it from earlier lives.
fn admit(partition: &mut PartitionState, offset: i64, incoming: Incoming) {
    let known = History::of_partition(partition.history(offset));
    match incoming {
        Incoming::Rejected(rejection) => partition.reject(offset, rejection.after(&known)),
        Incoming::Message(mut outgoing, due) => {
            // Those from before it was put back onto its topic count on.
            outgoing.doubts = outgoing.doubts.saturating_add(known.doubts);
            outgoing.possible_duplicate |= known.suspected;
            if let Some(segments) = outgoing.segments.as_mut().filter(|_| outgoing.doubts > 0) {
                segments.doubt_all();
            }
            if known.doubts > 0
                && !retry::resends(outgoing.in_doubt, outgoing.max_resends, outgoing.doubts)
            {
                let text = "it may have been sent before the connector's last end, and no answer is known; in_doubt or max_resends forbids sending it again";
                let rejection =
                    Rejection::of(&outgoing, SendErrorKind::OutcomeUnknown, text.into());
                partition.reject(offset, rejection);
            } else {
                partition.take_in(outgoing, due);
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
