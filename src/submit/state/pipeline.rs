//! The state of the submit pipeline: which partitions are ours, where each record of them is, and
//! what goes into the next transaction.
//!
//! One method for each thing that happens. What follows besides is left in [`Effects`], for whoever
//! holds the lock to do when it is free. So every interleaving can be tried without a thread, a
//! socket or Kafka, and the state is whole whenever somebody looks: a partition is either ours or
//! not there, a record is waiting, in flight, or on its way into a transaction.
//!
//! What sessions say of records is in [`outcome`](super::outcome), segments of long messages are in
//! [`segmented`](super::segmented), partitions that were lost in [`lost`](super::lost), and what a
//! transaction takes and leaves in [`transaction`](super::transaction).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;

use crate::kafka::group::names;
use crate::kafka::progress::Limits;
use crate::kafka::set_aside::SetAside;
use crate::kafka::start::Start;
use crate::kafka::{Partition, poll};
use crate::record::event::SendErrorKind;
use crate::status;
use crate::submit::message::intake::Incoming;
use crate::submit::message::outgoing::{Outgoing, Rejection};
use crate::submit::options::Settings;
use crate::submit::state::effects::{Effect, Effects};
use crate::submit::state::groups::{BindRef, BindState, GroupId, GroupState, KnownPace, in_turn};
use crate::submit::state::history::History;
use crate::submit::state::kept::Kept;
use crate::submit::state::late::LateAnswers;
use crate::submit::state::lost::LostPartition;
use crate::submit::state::partition::{BindId, Capacity, PartitionState, Phase};
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome};
use crate::submit::state::retry;
use crate::submit::state::segmented::SegmentedSubmissions;

/// The moment at which something happens, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the clock of timers.
    pub instant: Instant,
    /// By the clock on the wall.
    pub wall: Timestamp,
}

impl Now {
    /// This moment.
    pub fn read() -> Now {
        Now {
            instant: Instant::now(),
            wall: Timestamp::now(),
        }
    }
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

/// A record handed to a session.
pub struct Picked {
    /// Names it towards the session.
    pub token: u64,
    /// Its submit_sm.
    pub pdu: Bytes,
}

/// A partition that is ours.
pub(in crate::submit) struct AssignedPartition {
    /// Names it in its outbox.
    id: AssignmentId,
    pub partition: PartitionState,
    /// The binds that send its records.
    pub group: GroupId,
    /// What is to be published with its next transaction, in the order in which it became known.
    /// It goes where the partition goes: a transaction takes it, a partition that is lost keeps it.
    pub outbox: Vec<PendingResult>,
}

impl AssignedPartition {
    /// This became of a record of it, if anything did.
    pub fn gather(&mut self, outcome: Option<RecordOutcome>) {
        let result = outcome.map(|outcome| PendingResult::new(self.id, outcome));
        self.outbox.extend(result);
    }

    /// Whether all that is known of it is committed.
    fn is_clean(&self) -> bool {
        self.partition.is_clean() && self.outbox.is_empty()
    }
}

/// A record out with a session.
pub(in crate::submit) struct InFlight {
    pub assignment: AssignmentId,
    pub outgoing: Box<Outgoing>,
}

/// See the [module](self).
pub(in crate::submit) struct PipelineState {
    pub settings: Settings,
    /// The transactional.id by which metadata names this process.
    pub transactional_id: String,
    /// The partitions that are ours. An assignment that is not here any more has no part in
    /// transactions, whatever still names it.
    pub assignments: HashMap<AssignmentId, AssignedPartition>,
    /// The assignments by name: always those of `assignments`.
    by_partition: HashMap<Partition, AssignmentId>,
    pub groups: HashMap<GroupId, GroupState>,
    /// Records of one PDU that a session has, by token. Those of several are in `segmented`.
    pub in_flight: HashMap<u64, InFlight>,
    pub segmented: SegmentedSubmissions,
    /// Sendings whose answers are not waited for any more, but may still come.
    pub late: LateAnswers,
    /// The newest of all ids and tokens: each is given once in the life of the process.
    last_id: u64,
    /// The newest bind.
    last_bind: BindId,
    /// The number of the newest transaction.
    pub cycle: u64,
    /// The transaction under way.
    pub under_way: Option<u64>,
    /// Assignments whose results their topics refuse.
    pub aside: SetAside<AssignmentId>,
    /// What is known of partitions that were lost, should they come back.
    pub lost: HashMap<Partition, LostPartition>,
    /// What is committed for partitions that stand still.
    pub kept: Kept,
    /// Topics of which operators want nothing to be sent.
    stopped: HashSet<Arc<str>>,
    /// The same of binds, by their names.
    stopped_binds: HashSet<Arc<str>>,
    /// How long a transaction takes, over the last of them.
    pub cycle_time: Duration,
    /// What follows from what happened since they were taken last.
    pub effects: Effects,
}

impl PipelineState {
    /// Nothing is known yet. Commits name `transactional_id`.
    pub fn new(settings: Settings, transactional_id: &str) -> Self {
        PipelineState {
            settings,
            transactional_id: transactional_id.into(),
            assignments: HashMap::new(),
            by_partition: HashMap::new(),
            groups: HashMap::new(),
            in_flight: HashMap::new(),
            segmented: SegmentedSubmissions::default(),
            late: LateAnswers::default(),
            last_id: 0,
            last_bind: 0,
            cycle: 0,
            under_way: None,
            aside: SetAside::default(),
            lost: HashMap::new(),
            kept: Kept::default(),
            stopped: HashSet::new(),
            stopped_binds: HashSet::new(),
            cycle_time: Duration::ZERO,
            effects: Effects::default(),
        }
    }

    /// What is to be done since this was asked last.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a bind group with nothing in it.
    pub fn add_group(&mut self, window: usize, rate: f64) -> GroupId {
        let id = self.new_id();
        self.groups.insert(id, GroupState::new(window, rate));
        id
    }

    /// Adds a bind to a group.
    pub fn add_bind(&mut self, group: GroupId, mut bind: BindState) -> BindRef {
        bind.stopped = self.stopped_binds.contains(&bind.name);
        self.last_bind += 1;
        let id = self.last_bind;
        let name = bind.name.clone();
        if let Some(group) = self.groups.get_mut(&group) {
            group.binds.insert(id, bind);
        }
        BindRef { id, name, group }
    }

    fn bind_mut(&mut self, bind: &BindRef) -> Option<&mut BindState> {
        let group = self.groups.get_mut(&bind.group)?;
        group.binds.get_mut(&bind.id)
    }

    /// The bind lets this much through.
    pub fn paced(&mut self, bind: &BindRef, pace: KnownPace) {
        if let Some(bind) = self.bind_mut(bind) {
            bind.pace = pace;
        }
    }

    /// A bind has its session, and its partitions may reserve.
    pub fn bound(&mut self, bind: &BindRef) {
        if let Some(b) = self.bind_mut(bind) {
            b.bound = b.submits;
        }
        self.effects.commit();
    }

    /// A bind lost its session; all its outcomes have been told. What was reserved for it
    /// and not sent is given back.
    pub fn unbound(&mut self, bind: &BindRef, now: Now) {
        match self.bind_mut(bind) {
            Some(b) if b.bound => b.bound = false,
            _ => return,
        }
        self.abort_on_unbind(bind.id, now);
        let group = self.groups.get(&bind.group);
        for (_, id) in group.map_or(&[][..], |s| &s.assignments) {
            if let Some(held) = self.assignments.get_mut(id) {
                held.partition.session_lost(bind.id);
            }
        }
        // What was sent over a session that is gone is never answered.
        self.late.forget_bind(bind.id);
        self.effects.all_told = true;
        self.effects.commit();
    }

    /// Operators want nothing of these topics to be sent, and nothing over these binds; all others
    /// may go on.
    pub fn stop(&mut self, topics: HashSet<Arc<str>>, binds: HashSet<Arc<str>>) {
        for held in self.assignments.values_mut() {
            let topic = &held.partition.name().topic;
            held.partition.stop(topics.contains(topic));
        }
        self.stopped = topics;
        for (id, group) in &mut self.groups {
            for bind in group.binds.values_mut() {
                bind.stopped = binds.contains(&bind.name);
            }
            self.effects.push(Effect::Wake(*id));
        }
        self.stopped_binds = binds;
        self.effects.commit();
    }

    /// What can be seen of the partitions that are ours.
    pub fn seen(&self) -> Vec<(Partition, status::Partition)> {
        let seen = |held: &AssignedPartition| {
            let group = self.groups.get(&held.group);
            let mut seen = held.partition.status();
            seen.paused |= group.is_some_and(GroupState::is_paused);
            (held.partition.name().clone(), seen)
        };
        self.assignments.values().map(seen).collect()
    }

    /// A partition is ours. Its first commit is due; when that is made it is fetched from where
    /// `start` says.
    pub fn assigned(
        &mut self,
        partition: Partition,
        start: Start,
        group: GroupId,
        priority: usize,
    ) -> AssignmentId {
        let capacity = Capacity {
            ahead: self.settings.read_ahead as usize,
            records: self.settings.fetch_records as usize,
            octets: usize::try_from(self.settings.fetch_octets.get()).unwrap_or(usize::MAX),
        };
        let id = self.new_id();
        let (start, outbox) = self.returned(&partition, start, id);
        let mut held = AssignedPartition {
            id,
            outbox,
            partition: PartitionState::new(partition.clone(), start, Limits::default(), capacity),
            group,
        };
        (held.partition).stop(self.stopped.contains(&partition.topic));
        self.assignments.insert(id, held);
        self.by_partition.insert(partition, id);
        if let Some(group) = self.groups.get_mut(&group) {
            group.assignments.push((priority, id));
            group.assignments.sort_unstable();
        }
        self.effects.commit();
        id
    }

    /// A record was fetched `at` a place; `is_current` unless that was before the partition was
    /// started anew. Says whether more of its partition is wanted.
    pub fn fetched(
        &mut self,
        partition: &Partition,
        at: At,
        incoming: Incoming,
        is_current: bool,
    ) -> poll::Flow {
        let At { offset, timestamp } = at;
        let id = self.by_partition.get(partition);
        let held = id.and_then(|id| self.assignments.get_mut(id));
        let Some(held) = held.filter(|_| is_current) else {
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
        let group = self.groups.get(&held.group);
        let bound = group.is_some_and(|s| s.binds.values().any(|b| b.bound));
        if held.partition.wants(offset) {
            let may = bound && self.aside.takes_part(&held.id);
            if admit(&mut held.partition, offset, incoming, may) {
                self.effects.push(Effect::Wake(held.group));
            }
        }
        let full = held.partition.is_full();
        if held.partition.wants_commit() && (bound || held.partition.has_asides()) {
            self.effects.commit();
        }
        if full {
            poll::Flow::Pause
        } else {
            poll::Flow::Continue
        }
    }

    /// Hands up to `most` PDUs to a bind, which must submit them in this order: the urgent
    /// partitions first, also before what is left of a less urgent long message, and those of one
    /// priority in turn. Says when more will be due.
    pub fn pick(
        &mut self,
        bind: &BindRef,
        most: usize,
        picked: &mut Vec<Picked>,
        now: Now,
    ) -> Option<Instant> {
        let group = self.groups.get_mut(&bind.group)?;
        let mut stopped = Vec::new();
        let is_stopped = group.is_stopped(bind.id);
        for equals in group.assignments.chunk_by(|a, b| a.0 == b.0) {
            let priority = equals.first().map_or(0, |(priority, _)| *priority);
            let segmented = &mut self.segmented;
            stopped.extend(segmented.go_on(bind.id, priority, most, picked, now));
            let mut passed = 0;
            let last = group.served.get(&priority).copied();
            for id in in_turn(equals, last.as_ref()).cycle() {
                if picked.len() >= most || passed == equals.len() || is_stopped {
                    break;
                }
                let partition = self
                    .assignments
                    .get_mut(&id)
                    .map(|held| &mut held.partition);
                let Some(mut outgoing) = partition.and_then(|p| p.pick(bind.id, now.instant))
                else {
                    passed += 1;
                    continue;
                };
                passed = 0;
                group.served.insert(priority, id);
                outgoing.submitted_at = now.wall;
                let first = self.last_id + 1;
                if let Some(segments) = &outgoing.segments {
                    self.last_id += segments.count() as u64;
                    self.segmented.start(first, id, priority, bind, outgoing);
                    let segmented = &mut self.segmented;
                    stopped.extend(segmented.go_on(bind.id, priority, most, picked, now));
                    continue;
                }
                self.last_id = first;
                picked.push(Picked {
                    token: first,
                    pdu: outgoing.pdu.clone(),
                });
                let record = InFlight {
                    assignment: id,
                    outgoing,
                };
                self.in_flight.insert(first, record);
            }
        }
        for submission in stopped {
            self.conclude_finished(submission, now);
        }
        let (due, more) = self.look_ahead(bind.group, now.instant);
        if more || !picked.is_empty() && self.has_waiting(bind.group) {
            self.effects.commit();
        }
        due
    }

    /// How many PDUs a bind could be handed now, up to `most`; and when more will be due.
    pub fn peek(&mut self, bind: &BindRef, most: usize, now: Now) -> (usize, Option<Instant>) {
        let (due, more) = self.look_ahead(bind.group, now.instant);
        if more {
            self.effects.commit();
        }
        let Some(group) = self.groups.get(&bind.group) else {
            return (0, due);
        };
        // What has begun goes on: half a message helps nobody.
        let mut count = self.segmented.waiting(bind.id).min(most);
        if group.is_stopped(bind.id) {
            return (count, due);
        }
        for (_, id) in &group.assignments {
            if let Some(held) = self.assignments.get(id) {
                count += held.partition.peek(most - count);
            }
        }
        (count, due)
    }

    /// Lets what has become due wait to be made ready, and goes on fetching where enough of what was read
    /// was handed out: when more will be due, and whether a transaction would find something to do.
    fn look_ahead(&mut self, group: GroupId, now: Instant) -> (Option<Instant>, bool) {
        let (mut due, mut more) = (None::<Instant>, false);
        let group = self.groups.get(&group);
        for (_, id) in group.map_or(&[][..], |group| &group.assignments) {
            if let Some(held) = self.assignments.get_mut(id) {
                more |= held.partition.promote(now) | held.partition.has_asides();
                due = [due, held.partition.next_due()].into_iter().flatten().min();
                if held.partition.may_resume() {
                    let name = held.partition.name().clone();
                    self.effects.push(Effect::Resume(name));
                }
            }
        }
        (due, more)
    }

    fn has_waiting(&self, group: GroupId) -> bool {
        let group = self.groups.get(&group);
        let mut assignments = group.iter().flat_map(|group| &group.assignments);
        let waits = |id| {
            self.assignments
                .get(id)
                .is_some_and(|h| h.partition.has_waiting())
        };
        assignments.any(|(_, id)| waits(id))
    }

    /// The state of a partition that is ours.
    pub fn partition(&self, partition: &Partition) -> Option<&PartitionState> {
        let id = self.by_partition.get(partition)?;
        self.assignments.get(id).map(|held| &held.partition)
    }

    /// All partitions that are ours.
    pub fn partitions(&self) -> impl Iterator<Item = &PartitionState> {
        self.assignments.values().map(|held| &held.partition)
    }

    /// The assignments of these partitions, as far as they are ours.
    pub fn assignments_of(&self, partitions: &[Partition]) -> Vec<AssignmentId> {
        let ids = partitions.iter().filter_map(|p| self.by_partition.get(p));
        ids.copied().collect()
    }

    /// These assignments, as far as they are still ours.
    pub fn held<'a>(
        &'a self,
        assignments: &'a [AssignmentId],
    ) -> impl Iterator<Item = &'a PartitionState> {
        let held = assignments.iter().filter_map(|id| self.assignments.get(id));
        held.map(|held| &held.partition)
    }

    /// A partition is known to have no record from `next` up to `to`: that is committed, if
    /// `next` is still what comes next.
    pub fn skipped(&mut self, partition: &Partition, next: i64, to: i64) {
        let idle = (self.by_partition.get(partition))
            .and_then(|id| self.assignments.get_mut(id))
            .map(|held| &mut held.partition)
            .filter(|partition| partition.is_idle() && partition.next_offset() == next);
        if let Some(partition) = idle {
            partition.skip_to(to);
            self.effects.commit();
        }
    }

    /// From now on nothing of these partitions is handed to a session.
    pub fn drain(&mut self, assignments: &[AssignmentId]) {
        for id in assignments {
            if let Some(held) = self.assignments.get_mut(id) {
                held.partition.drain();
            }
        }
    }

    /// No session can write anything of these partitions any more: exactly what is in doubt is to
    /// be committed.
    pub fn revoked(&mut self, assignments: &[AssignmentId], now: Instant) {
        self.aside.hurry(assignments, now);
        for id in assignments {
            if let Some(held) = self.assignments.get_mut(id) {
                held.partition.settle();
            }
        }
    }

    /// Whether all that is known of these partitions is committed.
    pub fn is_clean(&self, assignments: &[AssignmentId]) -> bool {
        let held = assignments.iter().filter_map(|id| self.assignments.get(id));
        held.into_iter().all(AssignedPartition::is_clean)
    }

    /// These partitions are not ours any more: nothing of them enters a later transaction.
    pub fn removed(&mut self, assignments: &[AssignmentId]) {
        let mut orphans = Vec::new();
        for id in assignments {
            let held = self.take_out(*id);
            orphans.extend(held.into_iter().flat_map(|held| held.outbox));
        }
        self.forget_segmented(assignments);
        self.effects.publish_orphans(orphans);
    }

    pub fn take_out(&mut self, id: AssignmentId) -> Option<AssignedPartition> {
        let held = self.assignments.remove(&id)?;
        self.aside.forget(&id);
        self.by_partition.remove(held.partition.name());
        if let Some(group) = self.groups.get_mut(&held.group) {
            group.assignments.retain(|(_, l)| *l != id);
        }
        Some(held)
    }

    /// What is in the outboxes of all partitions.
    #[cfg(test)]
    pub fn take_outboxes(&mut self) -> Vec<PendingResult> {
        let outboxes = self.assignments.values_mut().map(|held| &mut held.outbox);
        outboxes.flat_map(std::mem::take).collect()
    }

    /// The bind that a record, or a segment of one, is out with.
    pub fn bind_of(&mut self, token: u64) -> Option<BindRef> {
        if let Some(bind) = self.segmented.bind_of(token) {
            return Some(bind);
        }
        let record = self.in_flight.get(&token)?;
        let held = self.assignments.get(&record.assignment)?;
        let id = held.partition.bind_of(record.outgoing.offset)?;
        let bind = self.groups.get(&held.group)?.binds.get(&id)?;
        Some(BindRef {
            id,
            name: bind.name.clone(),
            group: held.group,
        })
    }

    /// The names of these partitions, for people.
    pub fn names<'a>(&self, assignments: impl IntoIterator<Item = &'a AssignmentId>) -> String {
        let held = assignments
            .into_iter()
            .filter_map(|id| self.assignments.get(id));
        names(held.map(|held| held.partition.name()))
    }
}

/// Takes a wanted record into its partition, with what is known of it from earlier lives. `true` if it
/// is ready, as it can be if it `may`.
fn admit(partition: &mut PartitionState, offset: i64, incoming: Incoming, may: bool) -> bool {
    let known = History::of_partition(partition.history(offset));
    match incoming {
        Incoming::Rejected(rejection) => {
            partition.reject(offset, rejection.after(&known));
            false
        }
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
                false
            } else {
                partition.take_in(outgoing, due, may)
            }
        }
    }
}
