//! The books of the join: which partitions are owned, their state, and what is gathered for
//! the next transaction. One lock guards all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tracing::{debug, error, info, warn};

use super::assembly::{self, AssemblyLimits, Segment};
use super::clock::{Clock, plausible};
use super::forms::Habits;
use super::hint::{Hints, Notify};
use super::join::{Effect, Join, JoinLimits, Millis, Receipt, ReceiptOutcome};
use super::owned::{Owned, Stage};
use super::read::{self, Delivered, Record, Said};
use super::render::{self, Topics};
use super::takeover::{Asked, Request};
use super::whole::{self, Dialects};
use super::{Counters, PartitionStatus, tail, takeover};
use crate::kafka::poll::{self, Assignments, Flow};
use crate::kafka::progress::Progress;
use crate::kafka::set_aside::{self, SetAside, Why};
use crate::kafka::transaction::{Abort, Cycle, Settled};
use crate::kafka::transactor::{self, TransactionSource};
use crate::kafka::{Group, Partition, ear};
use crate::record::codec::Unread;
use crate::record::json::Invalid;
use crate::record::keys::Key;

/// How long a revoked partition may take to commit what it has gathered.
const FAREWELL: Duration = Duration::from_secs(2);
/// Longest pause before a topic that refuses results is tried again.
const REFUSED: Duration = Duration::from_secs(5);

/// For how long nothing may be reported of a transaction's records.
const STALL: Duration = Duration::from_secs(4);

/// The other parts, which the books call.
pub(super) struct Parts {
    pub(super) poller: poll::Handle,
    pub(super) tail: tail::Handle,
    pub(super) takeover: takeover::Handle,
    pub(super) transactor: OnceLock<transactor::Handle>,
}

/// What the books go by.
pub(super) struct Rules {
    pub(super) topics: Topics,
    pub(super) patience: JoinLimits,
    pub(super) limits: AssemblyLimits,
    pub(super) dialects: Dialects,
    /// How many partitions the deliveries have.
    pub(super) partitions: i32,
    pub(super) notify: Notify,
}

#[derive(Default)]
struct State {
    owned: BTreeMap<i32, Owned>,
    /// The transaction under way: partitions, their takeovers and numbers of records.
    under_way: Vec<(i32, u64, usize)>,
    cycles: u64,
    takeovers: u64,
    /// The clock's steps that the partitions know of.
    steps: u64,
    /// Partitions whose results their topics refuse.
    aside: SetAside<i32>,
    /// Questions about partitions that the transaction under way holds: its offsets may be
    /// committed after the answer.
    put_off: Vec<Request>,
    /// What the client said last of reading the correlation topic.
    trouble: Option<KafkaError>,
}

pub(super) struct Books {
    state: Mutex<State>,
    settled: Condvar,
    group: Arc<Group>,
    rules: Rules,
    writer: String,
    clock: Clock,
    habits: Arc<Habits>,
    hints: Hints,
    pub(super) parts: Parts,
    pub(super) counters: Counters,
}

impl Books {
    pub(super) fn new(group: Arc<Group>, rules: Rules, writer: String, parts: Parts) -> Self {
        Books {
            state: Mutex::default(),
            settled: Condvar::new(),
            group,
            habits: Arc::default(),
            hints: Hints::new(rules.notify.clone()),
            rules,
            writer,
            clock: Clock::default(),
            parts,
            counters: Counters::default(),
        }
    }

    /// What is owned, for the status.
    pub(super) fn status(&self) -> Vec<PartitionStatus> {
        let state = self.state.lock();
        state
            .owned
            .iter()
            .map(|(partition, owned)| {
                let (size, segments) = (owned.join.size(), owned.assembly.size());
                PartitionStatus {
                    partition: *partition,
                    live: owned.stage == Stage::Live,
                    next: owned.next,
                    entries: size.entries,
                    parked: size.parked,
                    parts: segments.segments,
                    octets: size.octets + segments.octets,
                    gathered: owned.gathered(),
                }
            })
            .collect()
    }

    fn wake(&self) {
        if let Some(transactor) = self.parts.transactor.get() {
            transactor.wake();
        }
    }

    /// The time here.
    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Takes `partition` over, or over again. What is committed for it is read after the transaction
    /// under way, if that holds the partition: it may commit a newer offset, and the barrier would
    /// take that back, so that all in between were published once more.
    fn adopt(&self, state: &mut State, partition: &Partition) {
        state.takeovers += 1;
        let takeover = state.takeovers;
        let nonce = format!("{}.{takeover}", self.writer);
        let join = Join::new(self.rules.patience).sharing(self.habits.clone());
        let limits = self.rules.limits;
        let owned = Owned::new(partition.clone(), takeover, nonce, join, limits);
        state.aside.forget(&partition.partition);
        state.owned.insert(partition.partition, owned);
        self.parts.tail.follow(partition.partition, takeover);
        let request = Request {
            partition: partition.clone(),
            takeover,
            asked: Asked::Position,
        };
        let mut under_way = state.under_way.iter();
        if under_way.any(|(held, ..)| *held == partition.partition) {
            state.put_off.push(request);
        } else {
            self.parts.takeover.request(request);
        }
    }

    /// Begins anew with a partition that is ours: what is gathered is decided again.
    fn again(&self, state: &mut State, partition: &Partition) {
        self.parts.poller.hold(partition.clone());
        self.adopt(state, partition);
    }

    /// The log of the correlation partition begins anew: it was created anew, or lost its tail.
    /// So does everything that was read of it.
    pub(super) fn begin_anew(&self, partition: i32, takeover: u64) {
        let mut state = self.state.lock();
        if let Some(partition) = find(&mut state, partition, takeover).map(|o| o.partition.clone())
        {
            warn!(
                %partition,
                "the correlation topic ends below what was read of it: it lost its tail, or was created anew; taken over anew with what is there"
            );
            self.again(&mut state, &partition);
        }
    }

    /// Whether the answer is still waited for.
    pub(super) fn wants(&self, request: &Request) -> bool {
        let mut state = self.state.lock();
        find(&mut state, request.partition.partition, request.takeover).is_some_and(|owned| {
            match request.asked {
                Asked::Position => owned.stage == Stage::Positioning,
                Asked::End => owned.wants_end(),
            }
        })
    }

    /// The log of a partition ends there: see [`owned`](super::owned).
    pub(super) fn ends_at(&self, partition: i32, takeover: u64, end: i64) {
        if let Some(owned) = find(&mut self.state.lock(), partition, takeover)
            && owned.wants_end()
        {
            owned.seen_until(end);
        }
        self.wake();
    }

    /// Consuming begins or goes on after it stood still.
    fn goes_on(&self, owned: &mut Owned) {
        owned.goes_on();
        self.parts.takeover.request(Request {
            partition: owned.partition.clone(),
            takeover: owned.takeover,
            asked: Asked::End,
        });
    }

    /// The client has trouble reading the correlation topic.
    pub(super) fn tail_trouble(&self, error: KafkaError) {
        debug!(%error, "reading the correlation topic");
        self.state.lock().trouble = Some(error);
    }

    /// Says which restores make no progress.
    pub(super) fn complain(&self) {
        let state = &mut *self.state.lock();
        for owned in state.owned.values_mut() {
            let Some(still) = owned.complaint() else {
                continue;
            };
            let trouble = state.trouble.as_ref().map(KafkaError::to_string);
            warn!(
                topic = &*self.rules.topics.correlation,
                partition = owned.partition.partition,
                seconds = still.as_secs(),
                trouble = trouble
                    .as_deref()
                    .unwrap_or("none that the client tells of"),
                "reading what is remembered of messages makes no progress, and their receipts wait for it. May this user read the topic (READ), and write to it (WRITE)? Has its partition a leader?"
            );
        }
    }

    /// The position of a takeover is known: its first transaction writes the barrier.
    pub(super) fn begin_at(
        &self,
        partition: i32,
        takeover: u64,
        progress: Progress,
        predecessor: Option<String>,
    ) {
        if let Some(owned) = find(&mut self.state.lock(), partition, takeover)
            && owned.stage == Stage::Positioning
        {
            let barrier =
                render::barrier(&owned.nonce, &self.writer, &self.rules.topics, partition);
            owned.begin_at(&progress, barrier);
            owned.predecessor = predecessor.filter(|writer| *writer != self.writer);
            debug!(partition, offset = progress.base(), "barrier written");
        }
        self.wake();
    }

    /// Predecessors whose open transactions may hold restores up.
    pub(super) fn suspects(&self, patience: Duration) -> Vec<String> {
        let mut state = self.state.lock();
        let mut writers: Vec<String> = state
            .owned
            .values_mut()
            .filter_map(|owned| owned.suspect(patience))
            .collect();
        writers.sort_unstable();
        writers.dedup();
        writers
    }

    /// A record of the correlation topic was read for `takeover`. The error says why it
    /// cannot be understood yet: then it is to be given again.
    pub(super) fn read(
        &self,
        partition: i32,
        takeover: u64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), String> {
        let Some(key) = Key::parse(key) else {
            warn!(
                partition,
                key = %String::from_utf8_lossy(key),
                "a foreign record in the correlation topic is skipped"
            );
            return Ok(());
        };
        let record = read::record(
            &key,
            value,
            &self.rules.topics.codecs.correlation,
            &self.rules.dialects,
        );
        let mut state = self.state.lock();
        let Some(owned) = find(&mut state, partition, takeover) else {
            return Ok(());
        };
        owned.progressed(Instant::now());
        let now = self.clock.now();
        let mut effects = Vec::new();
        match record {
            Ok(Record::Tombstone) => {
                owned.join.tombstone(&key);
                owned.assembly.tombstone(&key);
            }
            Ok(Record::Part(value)) => owned.assembly.record(&key, value, now),
            Ok(Record::Value(value)) => owned.join.record(&key, value, now, &mut effects),
            Ok(Record::Barrier(nonce)) => {
                if owned.stage == Stage::Restoring && nonce == owned.nonce {
                    owned.join.live(now, &mut effects);
                    owned.assembly.live(now);
                    self.restored(owned);
                }
            }
            Err(Unread::Wait(why)) => return Err(why),
            Err(Unread::Invalid(error)) => {
                warn!(partition, ?key, %error, "a correlation record cannot be read, it is skipped");
                owned.join.skipped(&key, now, &mut effects);
            }
        }
        self.gather(owned, &effects);
        Ok(())
    }

    fn receipt(&self, owned: &mut Owned, id: &str, offset: i64, raw: Bytes, receipt: Receipt) {
        let mut effects = Vec::new();
        let (join, now) = (&mut owned.join, self.clock.now());
        match join.delivery(id, offset, raw, receipt, now, &mut effects) {
            ReceiptOutcome::Joined | ReceiptOutcome::Moved | ReceiptOutcome::PublishedAlone => {}
            ReceiptOutcome::Parked => self.counters.count_parked(),
            ReceiptOutcome::Repeat => self.counters.count_repeated(),
        }
        self.gather(owned, &effects);
    }

    /// A receipt comes from its home, under another form of its id.
    fn visit(
        &self,
        owned: &mut Owned,
        to_from: (&str, &str),
        offset: i64,
        raw: Bytes,
        receipt: Receipt,
    ) {
        let mut effects = Vec::new();
        let (join, now) = (&mut owned.join, self.clock.now());
        match join.visit(to_from, offset, raw, receipt, now, &mut effects) {
            ReceiptOutcome::Repeat => self.counters.count_repeated(),
            ReceiptOutcome::Joined
            | ReceiptOutcome::Moved
            | ReceiptOutcome::Parked
            | ReceiptOutcome::PublishedAlone => {}
        }
        self.gather(owned, &effects);
    }

    fn part(&self, owned: &mut Owned, id: &str, offset: i64, raw: Bytes, segment: Segment) {
        let mut effects = Vec::new();
        let (assembly, now) = (&mut owned.assembly, self.clock.now());
        match assembly.delivery(id, offset, raw, segment, now, &mut effects) {
            assembly::SegmentState::Waiting | assembly::SegmentState::Completed => {}
            assembly::SegmentState::Repeat => self.counters.count_repeated(),
        }
        self.gather_parts(owned, &effects);
    }

    fn restored(&self, owned: &mut Owned) {
        owned.stage = Stage::Live;
        let size = owned.join.size();
        info!(
            partition = %owned.partition,
            offset = owned.next,
            entries = size.entries,
            parked = size.parked,
            octets = size.octets,
            parts = owned.assembly.size().segments,
            "correlation restored"
        );
        self.parts.poller.start(owned.partition.clone(), owned.next);
        self.goes_on(owned);
    }

    fn gather(&self, owned: &mut Owned, effects: &[Effect]) {
        if effects.is_empty() {
            return;
        }
        let mut unread = 0;
        for effect in effects {
            match effect {
                Effect::Publish {
                    entry: None,
                    identity,
                    ..
                } => {
                    self.counters.count_uncorrelated();
                    self.hints.lost(identity, &self.habits);
                }
                Effect::Move { unanswered, .. } => {
                    self.counters.count_moved();
                    unread += u64::from(*unanswered);
                }
                Effect::Publish {
                    identity,
                    delivery,
                    entry: Some(entry),
                    candidates,
                    other_form,
                } => {
                    self.counters.count_correlated();
                    if !candidates.is_empty() {
                        self.counters.count_ambiguous();
                    }
                    if *other_form {
                        self.counters.count_other_form();
                        let both = (&**entry, &**delivery);
                        (self.hints).found(identity, both, &self.habits, &self.rules.dialects);
                    }
                }
                Effect::Overdue { .. } => self.counters.count_overdue(),
                _ => {}
            }
        }
        let (rules, partition) = (&self.rules, owned.partition.partition);
        self.hints
            .unread(unread, &rules.topics.correlation, partition);
        let of = (partition, rules.partitions);
        let output = |effect| render::output(effect, &rules.topics, &rules.dialects, of);
        owned.gather(effects.iter().map(output));
        self.wake();
    }

    fn gather_parts(&self, owned: &mut Owned, effects: &[assembly::Effect]) {
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            match effect {
                assembly::Effect::Publish {
                    incomplete: true, ..
                } => self.counters.count_incomplete(),
                assembly::Effect::Publish { .. } => self.counters.count_assembled(),
                _ => {}
            }
        }
        let (rules, partition) = (&self.rules, owned.partition.partition);
        let output = |effect| whole::output(effect, &rules.topics, &rules.dialects, partition);
        owned.gather(effects.iter().filter_map(output));
        self.wake();
    }

    /// Gives partitions up: at once when they are another's already, otherwise after what is
    /// gathered has been committed, if that does not take long.
    fn release(&self, partitions: &[Partition], lost: bool) {
        let mut state = self.state.lock();
        for p in partitions {
            if let Some(owned) = state.owned.get_mut(&p.partition) {
                owned.leaving = true;
            }
        }
        let leaving: Vec<i32> = partitions.iter().map(|p| p.partition).collect();
        state.aside.hurry(&leaving, Instant::now());
        if let Some(transactor) = self.parts.transactor.get() {
            transactor.hurry();
        }
        let deadline = Instant::now() + FAREWELL;
        while !lost && partitions.iter().any(|p| unsettled(&state, p)) {
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                debug!(
                    "partitions are given up before all was committed; their next owner does it"
                );
                break;
            }
        }
        for p in partitions {
            state.owned.remove(&p.partition);
            state.aside.forget(&p.partition);
            self.parts.tail.leave(p.partition);
        }
    }

    /// The transaction under way of every partition still ours, by its takeover.
    fn each_under_way(&self, state: &mut State, mut act: impl FnMut(&mut Owned, Range<usize>)) {
        let mut first = 0;
        for (partition, takeover, records) in std::mem::take(&mut state.under_way) {
            if let Some(owned) = find(state, partition, takeover) {
                act(owned, first..first + records);
            }
            first += records;
        }
    }

    fn committed(&self, state: &mut State, begun: Instant) {
        if let Some((topic, partitions)) = state.aside.committed() {
            info!(
                topic = &*topic,
                ?partitions,
                "the topic takes their results again"
            );
            self.wake();
        }
        self.each_under_way(state, |owned, _| {
            owned.arrived(begun);
            if owned.paused && owned.has_room() {
                self.parts.poller.resume(owned.partition.clone());
                self.goes_on(owned);
            }
        });
    }

    fn aborted(&self, state: &mut State, abort: &Abort) {
        match abort {
            Abort::Record {
                index,
                code,
                larger,
            } => return self.record_refused(state, *index, *code, *larger),
            Abort::Topic { index, code } => return self.topic_refused(state, *index, *code),
            Abort::Unavailable(indexes) => return self.unavailable(state, indexes),
            Abort::Fenced(reason) => info!(reason, "transaction aborted, its results go again"),
            Abort::Refused => {}
            Abort::Trouble(reason) => {
                ear::failed("transaction aborted, its results go again", reason.clone());
            }
            Abort::Gone(topics) => {
                warn!(
                    ?topics,
                    "a topic is missing; correlation waits until it is back"
                );
            }
        }
        state.aside.aborted(Instant::now());
        self.each_under_way(state, |owned, _| owned.take_back());
    }

    /// Takes everything back. For each record of the transaction, in order: its partition, and its
    /// place and topic there.
    fn take_back(&self, state: &mut State) -> Vec<(i32, usize, Arc<str>)> {
        let mut origins = Vec::new();
        self.each_under_way(state, |owned, places| {
            // What was taken over anew meanwhile is nobody's.
            origins.resize(places.start, (-1, 0, Arc::default()));
            let partition = owned.partition.partition;
            let theirs = owned.departed().enumerate();
            origins.extend(theirs.map(|(place, o)| (partition, place, o.topic.clone())));
            owned.take_back();
        });
        origins
    }

    /// The record at `index` was refused for what it is; with `larger` for its size, and so is
    /// what is larger. A smaller one says so in its place, or what it would have kept goes out at
    /// once. Its partition is tried alone from now on.
    fn record_refused(
        &self,
        state: &mut State,
        index: usize,
        code: RDKafkaErrorCode,
        larger: bool,
    ) {
        let origins = self.take_back(state);
        let Some((partition, place, topic)) = origins.get(index).cloned() else {
            return state.aside.aborted(Instant::now());
        };
        let Some(owned) = state.owned.get_mut(&partition) else {
            return state.aside.aborted(Instant::now());
        };
        let places = match larger {
            true => owned.as_large(place),
            false => vec![place],
        };
        let mut replaced = false;
        // One that is left out moves those behind it.
        for other in places.into_iter().rev() {
            replaced |= self.replaced(owned, other, code) && other == place;
        }
        let refusal = set_aside::Refusal {
            topic,
            why: Why::Record,
            replaced,
            partitions: [partition].into(),
        };
        self.set_aside(state, refusal, code);
    }

    /// The topic of the record at `index` takes none, whatever they are: all partitions with
    /// results for it wait.
    fn topic_refused(&self, state: &mut State, index: usize, code: RDKafkaErrorCode) {
        let origins = self.take_back(state);
        let ours = |(partition, ..): &&(i32, usize, Arc<str>)| state.owned.contains_key(partition);
        let Some((_, _, topic)) = origins.get(index).filter(ours).cloned() else {
            return state.aside.aborted(Instant::now());
        };
        let theirs = origins.iter().filter(|(_, _, t)| *t == topic);
        let refusal = set_aside::Refusal {
            why: Why::Topic,
            replaced: false,
            partitions: theirs.map(|(partition, ..)| *partition).collect(),
            topic: topic.clone(),
        };
        self.set_aside(state, refusal, code);
    }

    /// Partitions that these records go to are not available.
    fn unavailable(&self, state: &mut State, indexes: &[usize]) {
        let origins = self.take_back(state);
        let mut topics: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
        for (partition, _, topic) in indexes.iter().filter_map(|i| origins.get(*i)) {
            let partitions = topics.entry(topic.clone()).or_default();
            partitions.insert(*partition);
        }
        for (topic, mut partitions) in topics {
            partitions.retain(|partition| state.owned.contains_key(partition));
            let refusal = set_aside::Refusal {
                topic,
                why: Why::Unavailable,
                replaced: false,
                partitions,
            };
            if !refusal.partitions.is_empty() {
                self.set_aside(state, refusal, RDKafkaErrorCode::MessageTimedOut);
            }
        }
        state.aside.aborted(Instant::now());
    }

    /// A record that its topic does not take for what it is: a smaller one says so in its place,
    /// or what it would have kept goes out at once. `false` if nothing can replace it.
    fn replaced(&self, owned: &mut Owned, index: usize, code: RDKafkaErrorCode) -> bool {
        let Some(output) = owned.output(index).cloned() else {
            return false;
        };
        let topic = &output.topic;
        let key = output.key.as_deref().unwrap_or_default();
        let kept = *topic == self.rules.topics.correlation && output.value.is_some();
        let (mut receipts, mut parts) = (Vec::new(), Vec::new());
        let now = self.clock.now();
        let (with, instead) = match Key::parse(key).filter(|_| kept) {
            // A takeover begins with it: it waits until the topic takes it.
            Some(Key::Barrier { .. }) => return false,
            Some(Key::Parked { identity, offset }) => {
                owned.join.unkept(identity, offset, now, &mut receipts);
                (None, "what it would have kept is published at once")
            }
            Some(Key::Segment { identity, offset }) => {
                owned.assembly.unkept(identity, offset, now, &mut parts);
                (None, "what it would have kept is published at once")
            }
            _ if *topic == self.rules.topics.deliveries => {
                let (topics, dialects) = (&self.rules.topics, &self.rules.dialects);
                match render::moved_alone(&output, topics, dialects) {
                    Some(alone) => (Some(alone), "it is published without its message"),
                    None => return false,
                }
            }
            _ => match render::reduced(&output, code, &self.rules.topics) {
                Some(smaller) => (Some(smaller), "a smaller one goes in its place"),
                None => return false,
            },
        };
        let (partition, key) = (&owned.partition, String::from_utf8_lossy(key));
        error!(%partition, ?code, %topic, %key, instead, "Kafka refuses a record for good");
        self.counters.count_refused();
        owned.replace(index, with);
        self.gather(owned, &receipts);
        self.gather_parts(owned, &parts);
        true
    }

    /// These partitions have no part in transactions until a trial of theirs is committed.
    fn set_aside(
        &self,
        state: &mut State,
        refusal: set_aside::Refusal<i32>,
        code: RDKafkaErrorCode,
    ) {
        let (topic, partitions) = (refusal.topic.clone(), refusal.partitions.clone());
        let (why, replaced) = (refusal.why, refusal.replaced);
        let pause = set_aside::pauses(REFUSED);
        let news = state.aside.refused(refusal, pause, Instant::now());
        if replaced {
            debug!(
                topic = &*topic,
                ?partitions,
                "tried in a transaction of their own"
            );
        } else if news && why == Why::Unavailable {
            error!(
                topic = &*topic,
                ?partitions,
                "results of these partitions of the deliveries are not delivered; they stand still until they are, and the others go on. Has each partition of the topic a leader, and are as many replicas in sync as min.insync.replicas says?"
            );
        } else if news {
            let cause = ear::not_written(self.group.client(), &topic, code);
            error!(
                topic = &*topic,
                ?partitions,
                cause,
                "a topic refuses results of these partitions of the deliveries; they stand still until it takes them, and the others go on"
            );
        } else {
            debug!(
                topic = &*topic,
                ?partitions,
                ?code,
                "results are still refused"
            );
        }
    }

    /// After a step of the clock, times of before mean nothing: the partitions are read anew.
    fn follow_clock(&self, state: &mut State) {
        let steps = self.clock.steps();
        if std::mem::replace(&mut state.steps, steps) == steps {
            return;
        }
        warn!(
            "the clock was more than a day off and has been put right; correlation reads its partitions anew"
        );
        self.all_again(state);
    }

    /// Begins anew with every partition that stays ours.
    fn all_again(&self, state: &mut State) {
        let ours: Vec<Partition> = state
            .owned
            .values()
            .filter(|owned| !owned.leaving)
            .map(|owned| owned.partition.clone())
            .collect();
        for partition in &ours {
            self.again(state, partition);
        }
    }
}

fn unsettled(state: &State, partition: &Partition) -> bool {
    let owned = state.owned.get(&partition.partition);
    owned.is_some_and(|o| o.stage == Stage::Live && !o.is_settled())
}

fn find(state: &mut State, partition: i32, takeover: u64) -> Option<&mut Owned> {
    let owned = state.owned.get_mut(&partition)?;
    (owned.takeover == takeover).then_some(owned)
}

impl Assignments for Books {
    fn assigned(&self, partitions: &[Partition]) -> Vec<Partition> {
        let mut state = self.state.lock();
        for partition in partitions {
            self.adopt(&mut state, partition);
        }
        Vec::new()
    }

    fn revoked(&self, partitions: &[Partition], lost: bool) -> Vec<Partition> {
        self.release(partitions, lost);
        Vec::new()
    }

    fn message(&self, partition: &Partition, message: &BorrowedMessage<'_>) -> Flow {
        let delivery = match (message.key(), message.payload()) {
            (Some(key), Some(value)) => read::delivery(
                key,
                value,
                &self.rules.topics.codecs.deliveries,
                &self.rules.dialects,
            ),
            _ => Err(Invalid::because("no key or no value").into()),
        };
        let mut state = self.state.lock();
        let Some(owned) = state.owned.get_mut(&partition.partition) else {
            return Flow::Continue;
        };
        let offset = message.offset();
        let is_wanted = owned.stage == Stage::Live && !owned.leaving && offset >= owned.next;
        // Nor one that was fetched before the partition was taken over anew.
        if !is_wanted || !self.parts.poller.is_current(partition) {
            return Flow::Continue;
        }
        if let Err(Unread::Wait(why)) = delivery {
            owned.waits = true;
            return Flow::Again(why);
        }
        if owned.waits {
            self.goes_on(owned);
        }
        match delivery {
            Ok(Delivered {
                identity,
                said,
                kept,
                home,
            }) => match said {
                Said::Receipt(receipt) => match home {
                    Some(home) => self.visit(owned, (identity, &home), offset, kept, receipt),
                    None => self.receipt(owned, identity, offset, kept, receipt),
                },
                Said::Part(segment) => self.part(owned, identity, offset, kept, segment),
            },
            Err(error) => {
                self.counters.count_unreadable();
                error!(%partition, offset, %error, "a delivery that is not ours is skipped");
            }
        }
        owned.taken(offset);
        // Of one far ahead nothing could be younger: the way back into a log that lost its tail
        // would lead to its end.
        let timestamp = message.timestamp().to_millis();
        let timestamp = timestamp.map(|at| plausible(at, self.clock.now()));
        owned.newest = owned.newest.max(timestamp);
        self.wake();
        owned.paused = owned.is_full();
        match owned.paused {
            true => Flow::Pause,
            false => Flow::Continue,
        }
    }

    fn at_end(&self, partition: &Partition) {
        let mut state = self.state.lock();
        if let Some(owned) = state.owned.get_mut(&partition.partition)
            && owned.stage == Stage::Live
            && self.parts.poller.is_current(partition)
        {
            owned.at_end();
        }
    }

    fn trouble(&self, error: &KafkaError) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AutoOffsetReset) {
            ear::failed(
                "Kafka reports trouble with the deliveries",
                error.to_string(),
            );
            return;
        }
        // A position fell out of its log; the client does not say which.
        error!(%error, "deliveries were deleted before they were consumed, or their topic recreated");
        self.all_again(&mut self.state.lock());
    }
}

impl TransactionSource for Books {
    fn begin(&self, writer: &str) -> Option<Cycle> {
        let membership = self.group.membership()?;
        let mut state: MutexGuard<'_, State> = self.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        state.aside.begin(now);
        let wall = self.clock.now();
        self.follow_clock(state);
        for owned in state.owned.values_mut() {
            let part = state.aside.takes_part(&owned.partition.partition);
            if part && owned.lets_time_pass() {
                let mut effects = Vec::new();
                let more = owned.join.tick(wall, owned.room(), &mut effects);
                self.gather(owned, &effects);
                let mut effects = Vec::new();
                let still = owned.assembly.tick(wall, owned.room(), &mut effects);
                self.gather_parts(owned, &effects);
                if more || still {
                    self.wake();
                }
            }
        }
        // A membership of another assignment might not cover what is gathered here.
        if !self.group.is_current(&membership) {
            self.wake();
            return None;
        }
        let number = state.cycles + 1;
        let (mut records, mut offsets) = (Vec::new(), Vec::new());
        for (partition, owned) in &mut state.owned {
            if !state.aside.takes_part(partition) {
                continue;
            }
            let Some((outputs, offset)) = owned.depart(now) else {
                continue;
            };
            state.under_way.push((*partition, 0, outputs.len()));
            records.extend_from_slice(outputs);
            if let Some(entry) = state.under_way.last_mut() {
                entry.1 = owned.takeover;
            }
            offsets.push(owned.commit(offset, self.group.cluster_id(), writer, number));
        }
        if offsets.is_empty() {
            if state.aside.nothing(now) {
                self.wake();
            }
            return None;
        }
        state.cycles = number;
        Some(Cycle {
            number,
            records,
            offsets,
            group: membership.metadata(),
            report_timeout: STALL,
            trial: state.aside.trial(STALL / 2),
        })
    }

    fn settled(&self, outcome: Settled) {
        let mut state = self.state.lock();
        match outcome {
            Settled::Committed { begun } => self.committed(&mut state, begun),
            Settled::Aborted(abort) => self.aborted(&mut state, &abort),
            Settled::Unknown => {
                state.aside.aborted(Instant::now());
                let mut again = Vec::new();
                self.each_under_way(&mut state, |owned, _| again.push(owned.partition.clone()));
                for partition in again {
                    warn!(%partition, "its last transaction has an unknown end: taken over anew");
                    self.again(&mut state, &partition);
                }
            }
        }
        // Now what is committed is what counts, whatever it is.
        for request in std::mem::take(&mut state.put_off) {
            self.parts.takeover.request(request);
        }
        self.settled.notify_all();
    }
}

#[cfg(test)]
#[path = "books_tests.rs"]
pub(super) mod tests;
