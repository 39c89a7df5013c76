//! The state of the submit pipeline under its one lock.
//!
//! Each function tells the [state](PipelineState) what has happened, and does what follows from it
//! ([`Effect`]) when the lock is free: nothing is sent, written or logged under it. Only what the
//! poll thread is to do is noted before, because it asks under the lock whether a record was fetched
//! for the present start of its partition (see [`poll::Handle::is_current`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use parking_lot::{Condvar, Mutex, MutexGuard};
use smpp_esme::Outcome;
use tokio::sync::Notify;

use crate::kafka::start::Start;
use crate::kafka::transaction::Commit;
use crate::kafka::{Partition, poll, transactor};
use crate::status;
use crate::submit::binds::doubts::Doubts;
use crate::submit::message::intake::Incoming;
use crate::submit::options::Settings;
use crate::submit::results::late_producer::LateProducer;
use crate::submit::state::effects::{Effect, Effects};
use crate::submit::state::groups::{BindRef, BindState, GroupId, KnownPace};
use crate::submit::state::partition::{PartitionState, Phase};
use crate::submit::state::pending::AssignmentId;
use crate::submit::state::pipeline::{At, Now, Picked, PipelineState};

/// See the [module](self).
pub struct Pipeline {
    /// As configured; the state has the same.
    pub(super) settings: Settings,
    /// Everything that is known of records and binds. Nobody waits, writes or logs while they hold it.
    pub(super) state: Mutex<PipelineState>,
    /// Told with the lock when a transaction has ended.
    settled: Condvar,
    /// Whom to wake. Asked when the state's lock is free.
    wakers: Mutex<HashMap<GroupId, Wakers>>,
    /// Publishes answers that came after their results.
    late_producer: LateProducer,
    /// Counts messages in doubt for the log.
    doubts: Doubts,
    /// Fetches, pauses and goes on; asked under the lock.
    poll: poll::Handle,
    /// Woken when something is to be committed; there is none before its thread runs.
    transactor: Mutex<Option<transactor::Handle>>,
    /// Named in every commit, so that a successor knows whose it is.
    transactional_id: String,
}

/// Those of a bind group who wait for something.
#[derive(Default)]
struct Wakers {
    /// Whoever opens its binds, with the first partition.
    opened: Arc<Notify>,
    /// The senders of its binds.
    senders: Vec<Arc<Notify>>,
}

impl Pipeline {
    /// An empty pipeline, whose commits name `transactional_id`.
    pub fn new(
        settings: Settings,
        late_producer: LateProducer,
        poll: poll::Handle,
        transactional_id: &str,
    ) -> Self {
        Pipeline {
            state: Mutex::new(PipelineState::new(settings.clone(), transactional_id)),
            settings,
            settled: Condvar::new(),
            wakers: Mutex::default(),
            late_producer,
            doubts: Doubts::default(),
            poll,
            transactor: Mutex::new(None),
            transactional_id: transactional_id.into(),
        }
    }

    /// The transactor, once it runs.
    pub fn transactor(&self) -> Option<transactor::Handle> {
        self.transactor.lock().clone()
    }

    /// What librdkafka says of the producer of late answers.
    pub fn late_figures(&self) -> status::Client {
        self.late_producer.figures()
    }

    /// Tells whom to wake when there is something to commit.
    pub fn attach(&self, transactor: transactor::Handle) {
        *self.transactor.lock() = Some(transactor);
    }

    /// The transactional.id by which metadata names this process.
    pub fn transactional_id(&self) -> &str {
        &self.transactional_id
    }

    /// Something happens: the state changes, and what follows is done when the lock is free.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut PipelineState) -> T) -> T {
        let mut state = self.state.lock();
        let value = change(&mut state);
        let effects = state.take_effects();
        self.tell_the_poller(&effects);
        drop(state);
        self.perform(effects);
        value
    }

    /// Looks at the state, which does not change.
    fn look<T>(&self, look: impl FnOnce(&PipelineState) -> T) -> T {
        look(&self.state.lock())
    }

    fn tell_the_poller(&self, effects: &Effects) {
        for effect in effects.for_the_poller() {
            match effect {
                Effect::Fetch(partition, offset) => self.poll.start(partition.clone(), *offset),
                Effect::Resume(partition) => self.poll.resume(partition.clone()),
                _ => {}
            }
        }
    }

    fn perform(&self, effects: Effects) {
        let Effects {
            commit,
            all_told,
            settled,
            ..
        } = effects;
        for effect in effects {
            match effect {
                Effect::Fetch(..) | Effect::Resume(_) => {} // told with the lock
                Effect::Open(group) => self.wake(group, |wakers| wakers.opened.notify_one()),
                Effect::Wake(group) => self.wake(group, |wakers| {
                    wakers.senders.iter().for_each(|s| s.notify_one());
                }),
                Effect::PublishLate(sent, answer) => self.late_producer.publish_late(*sent, answer),
                Effect::PublishOrphans(results) => self.late_producer.publish_orphans(results),
                Effect::Doubt {
                    account,
                    bind,
                    partition,
                    doubt,
                    resent,
                } => {
                    let counters = &account.meters.counters;
                    let counter = if resent {
                        &counters.resent
                    } else {
                        &counters.not_resent
                    };
                    counter.add(1);
                    self.doubts.note(&bind, &partition, doubt, resent);
                }
                Effect::Say(news) => news.say(),
            }
        }
        if all_told {
            self.doubts.say();
        }
        if settled {
            self.settled.notify_all();
        }
        if commit {
            self.wake_transactor();
        }
    }

    fn wake(&self, group: GroupId, wake: impl FnOnce(&Wakers)) {
        if let Some(wakers) = self.wakers.lock().get(&group) {
            wake(wakers);
        }
    }

    fn wake_transactor(&self) {
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

    /// Operators want nothing of these topics to be sent, and nothing over these binds.
    pub fn stop(&self, topics: HashSet<Arc<str>>, binds: HashSet<Arc<str>>) {
        self.change(|state| state.stop(topics, binds));
    }

    /// Adds a bind group with nothing in it. Told when its first partition is open.
    pub fn add_group(&self, window: usize, rate: f64) -> (GroupId, Arc<Notify>) {
        let id = self.change(|state| state.add_group(window, rate));
        let wakers = Wakers::default();
        let opened = wakers.opened.clone();
        self.wakers.lock().insert(id, wakers);
        (id, opened)
    }

    /// Forgets a bind group whose binds are closed.
    pub fn remove_group(&self, id: GroupId) {
        self.change(|state| state.groups.remove(&id));
        self.wakers.lock().remove(&id);
    }

    /// Adds a bind to a group. Told when its sender has to look.
    pub fn add_bind(
        &self,
        group: GroupId,
        name: Arc<str>,
        submits: bool,
    ) -> (BindRef, Arc<Notify>) {
        let bind = BindState::new(name, submits);
        let bind = self.change(|state| state.add_bind(group, bind));
        let sender = Arc::new(Notify::new());
        if let Some(wakers) = self.wakers.lock().get_mut(&group) {
            wakers.senders.push(sender.clone());
        }
        (bind, sender)
    }

    /// Changes the share of the account's rate.
    pub fn set_rate(&self, group: GroupId, rate: f64) {
        self.change(|state| {
            if let Some(group) = state.groups.get_mut(&group) {
                group.rate = rate;
            }
        });
    }

    /// The bind lets this much through.
    pub fn paced(&self, bind: &BindRef, pace: KnownPace) {
        self.change(|state| state.paced(bind, pace));
    }

    /// A partition is ours. Its first commit is due; when that is made it is fetched from where
    /// `start` says.
    pub fn assigned(
        &self,
        partition: Partition,
        start: Start,
        group: GroupId,
        priority: usize,
    ) -> AssignmentId {
        self.change(|state| state.assigned(partition, start, group, priority))
    }

    /// A record was fetched `at` a place. Says whether more of its partition is wanted.
    pub fn fetched(
        &self,
        partition: &Partition,
        at: impl Into<At>,
        incoming: Incoming,
    ) -> poll::Flow {
        self.change(|state| {
            // Not one that was fetched before the partition was started anew.
            let is_current = self.poll.is_current(partition);
            state.fetched(partition, at.into(), incoming, is_current)
        })
    }

    /// Hands up to `most` PDUs to a bind, which must submit them in this order. Says when more
    /// will be due.
    pub fn pick(&self, bind: &BindRef, most: usize, picked: &mut Vec<Picked>) -> Option<Instant> {
        // The clock is read when the lock is held: of a record that came while the lock was waited for,
        // `submitted_at` would be before it was appended.
        self.change(|state| state.pick(bind, most, picked, Now::read()))
    }

    /// How many PDUs a bind could be handed now, up to `most`; and when more will be due.
    pub fn peek(&self, bind: &BindRef, most: usize) -> (usize, Option<Instant>) {
        let now = Now::read();
        self.change(|state| state.peek(bind, most, now))
    }

    /// A bind has its session, and its partitions may reserve.
    pub fn bound(&self, bind: &BindRef) {
        self.change(|state| state.bound(bind));
    }

    /// A bind lost its session; all its outcomes have been told.
    pub fn unbound(&self, bind: &BindRef) {
        let now = Now::read();
        self.change(|state| state.unbound(bind, now));
    }

    /// A session said what became of a record. `true` if the sender has to look at what is due.
    pub fn outcome(&self, bind: &BindRef, token: u64, outcome: Outcome) -> bool {
        let now = Now::read();
        self.change(|state| state.outcome(bind, token, outcome, now))
    }

    /// A session has told all that there is to tell for now.
    pub fn all_told(&self) {
        self.doubts.say();
    }

    /// The assignments of these partitions, as far as they are ours.
    pub fn assignments_of(&self, partitions: &[Partition]) -> Vec<AssignmentId> {
        self.look(|state| state.assignments_of(partitions))
    }

    /// All assignments.
    pub fn all_assignments(&self) -> Vec<AssignmentId> {
        self.look(|state| state.assignments.keys().copied().collect())
    }

    /// The next offset of a partition that is at work.
    pub fn position(&self, partition: &Partition) -> Option<i64> {
        self.last_read(partition).map(|(next, _)| next)
    }

    /// The next offset of a partition that is at work, and the youngest timestamp read of it.
    pub fn last_read(&self, partition: &Partition) -> Option<(i64, Option<i64>)> {
        self.look(|state| {
            let partition = state.partition(partition)?;
            let open = partition.phase() == Phase::Open;
            open.then(|| (partition.next_offset(), partition.progress().newest()))
        })
    }

    /// The partitions that are ours, and the next offset of each.
    pub fn positions(&self) -> Vec<(Partition, i64)> {
        let place = |p: &PartitionState| (p.name().clone(), p.next_offset());
        self.look(|state| state.partitions().map(place).collect())
    }

    /// What can be seen of the partitions that are ours.
    pub fn partitions(&self) -> Vec<(Partition, status::Partition)> {
        self.look(PipelineState::seen)
    }

    /// The partitions that are open and hold nothing, and the next offset of each.
    pub fn idle(&self) -> HashMap<Partition, i64> {
        let place = |p: &PartitionState| (p.name().clone(), p.next_offset());
        self.look(|state| {
            let idle = state.partitions().filter(|p| p.is_idle());
            idle.map(place).collect()
        })
    }

    /// The partitions of which nothing is fetched, because enough of them is here.
    pub fn full(&self) -> Vec<Partition> {
        self.look(|state| {
            let full = (state.partitions()).filter(|p| p.has_stopped_fetching());
            full.map(|p| p.name().clone()).collect()
        })
    }

    /// A partition is known to have no record from `next` up to `to`: that is committed, if
    /// `next` is still what comes next.
    pub fn skipped(&self, partition: &Partition, next: i64, to: i64) {
        self.change(|state| state.skipped(partition, next, to));
    }

    /// Whether a bind group serves partitions besides these.
    pub fn serves_others(&self, group: GroupId, besides: &[AssignmentId]) -> bool {
        self.look(|state| {
            let group = state.groups.get(&group);
            let theirs = group.map_or(&[][..], |group| &group.assignments);
            theirs.iter().any(|(_, id)| !besides.contains(id))
        })
    }

    /// From now on nothing of these partitions is handed to a session.
    pub fn drain(&self, assignments: &[AssignmentId]) {
        self.change(|state| state.drain(assignments));
    }

    /// No further segment of these partitions goes out.
    pub fn stop_segmented(&self, assignments: &[AssignmentId]) {
        let now = Now::read();
        self.change(|state| state.stop_segmented(assignments, now));
    }

    /// Records of these partitions that are with a session.
    pub fn outstanding(&self, assignments: &[AssignmentId]) -> usize {
        self.look(|state| {
            let held = state.held(assignments);
            held.map(PartitionState::outstanding).sum()
        })
    }

    /// What the sessions have of these partitions: their tokens.
    pub fn tokens_of(&self, assignments: &[AssignmentId]) -> Vec<u64> {
        self.look(|state| state.tokens_of(assignments))
    }

    /// Nobody waits for answers to what the sessions still have of these partitions: it is in
    /// doubt, and an answer that comes is published as late.
    pub fn abandon(&self, assignments: &[AssignmentId]) {
        let now = Now::read();
        // One at a time: sessions need the lock, too.
        for token in self.tokens_of(assignments) {
            self.change(|state| state.abandoned(token, now));
        }
        self.doubts.say();
    }

    /// No session can write anything of these partitions any more: commits exactly what is in
    /// doubt, and waits for that. `false` if it could not be committed in time.
    pub fn settle(&self, assignments: &[AssignmentId], timeout: Duration) -> bool {
        let began = Instant::now();
        let deadline = began + timeout;
        self.hurry_transactor();
        self.change(|state| state.revoked(assignments, began));
        let mut state = self.state.lock();
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
            if (assignments.iter()).all(|id| state.is_clean(&[*id]) || refused(id)) {
                return false;
            }
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                return state.is_clean(assignments);
            }
        }
    }

    /// These partitions are not ours any more: nothing of them enters a later transaction.
    pub fn removed(&self, assignments: &[AssignmentId]) {
        self.change(|state| state.removed(assignments));
    }

    /// These partitions are not ours any more, but what is known of them is remembered.
    pub fn lost(&self, assignments: &[AssignmentId]) {
        self.change(|state| state.partitions_lost(assignments));
    }

    /// Waits until the transaction that was under way when these partitions were lost has
    /// ended. `false` at the deadline.
    pub fn await_results(&self, partitions: &[Partition], deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while !state.are_results_known(partitions) {
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
        true
    }

    /// Those of `partitions` that were lost and are remembered.
    pub(super) fn remembered(&self, partitions: &[Partition]) -> Vec<Partition> {
        self.look(|state| {
            let known = partitions.iter().filter(|p| state.lost.contains_key(*p));
            known.cloned().collect()
        })
    }

    /// What is remembered of these partitions is published as late: they do not come back.
    pub(super) fn forget_lost(&self, partitions: &[Partition]) {
        self.change(|state| state.forget_lost(partitions));
    }

    /// All that is remembered is published as late: this process will not get it back.
    pub fn forget_all(&self) {
        let partitions: Vec<Partition> = self.look(|state| state.lost.keys().cloned().collect());
        self.forget_lost(&partitions);
    }

    /// The partition stands still: what is committed for it is kept alive.
    pub fn stands_still(&self, partition: Partition, commit: Commit) {
        self.change(|state| state.stands_still(partition, commit));
    }

    /// Partitions that stand still no longer, or are not ours any more.
    pub fn unkeep(&self, partitions: &[Partition]) {
        self.change(|state| state.unkeep(partitions));
    }

    /// The partitions that stand still.
    pub fn kept(&self) -> Vec<Partition> {
        self.look(PipelineState::kept)
    }

    /// Waits until late answers are delivered.
    pub fn flush(&self, timeout: Duration) {
        self.late_producer.flush(timeout);
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "crash_tests.rs"]
mod crashes;
