//! The state of the correlate pipeline under one lock: which partitions are ours, their state, and
//! what is gathered for the next transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tracing::debug;

use super::assembly::{self, AssemblyLimits, Segment};
use super::clock::{Clock, plausible};
use super::decode::{self, DeliveryKind, Record};
use super::forms::Habits;
use super::hint::Hints;
use super::join::{Effect, Join, JoinLimits, Millis, Receipt, ReceiptOutcome, Value};
use super::notices::{
    ClockPutRight, CorrelationLogBeginsAnew, CorrelationRecordSkipped, DeliveriesDeleted,
    DeliverySkipped, ForeignRecord, ReceiptsAgain, ReceiptsStopped, RecordRefused,
    RestoreMakesNoProgress, Restored, TopicMissing, TransactionEndUnknown, TransactionFenced,
};
use super::parsed_receipt::Arrived;
use super::partition::{PartitionState, Stage};
use super::receipt_events::{self, Topics};
use super::silence::ReceiptWatch;
use super::takeover::{Asked, Request};
use super::{Counters, PartitionStatus, tail, takeover};
use super::{Dialects, Notify, inbound_events};
use crate::kafka::group::names;
use crate::kafka::notices::{ResultsNotDelivered, TopicRefusesResults, TopicTakesResults};
use crate::kafka::poll::{self, Assignments, Flow};
use crate::kafka::progress::Progress;
use crate::kafka::set_aside::{self, SetAside, Why};
use crate::kafka::transaction::{Abort, Cycle, Records, Settled};
use crate::kafka::transactor::{self, TransactionSource};
use crate::kafka::{Group, Partition, ear};
use crate::record::codec::Unread;
use crate::record::internal::Delivery;
use crate::record::json::Invalid;
use crate::record::keys::{self, Key};
use crate::record::notification::{Notification, ReceiptsGap};

/// How long a revoked partition may take to commit what it has gathered.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest pause before a topic that refuses results is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// For how long nothing may be reported of a transaction's records.
const REPORT_TIMEOUT: Duration = Duration::from_secs(4);

/// Those that the pipeline calls.
pub(super) struct Handles {
    pub(super) poller: poll::Handle,
    pub(super) tail: tail::Handle,
    pub(super) takeover: takeover::Handle,
    /// Set once, when the transactor is made, which needs the pipeline.
    pub(super) transactor: OnceLock<transactor::Handle>,
}

/// What the pipeline goes by.
pub(super) struct Config {
    /// Where events go, and how they are written.
    pub(super) topics: Topics,
    /// How long messages and receipts are remembered, and how much.
    pub(super) join: JoinLimits,
    /// The same of segments from phones.
    pub(super) assembly: AssemblyLimits,
    /// How each ESME writes receipts and ids.
    pub(super) dialects: Dialects,
    /// How many partitions the deliveries have.
    pub(super) partitions: i32,
    /// Takes what operators are told by the topic of notifications.
    pub(super) notify: Notify,
}

/// What the lock guards.
#[derive(Default)]
struct PipelineState {
    /// The partitions that are ours. One that is not in here has no part in any later transaction.
    partitions: BTreeMap<i32, PartitionState>,
    /// The transaction under way: partitions, their takeovers and numbers of records, in the order of
    /// its records. A partition that was taken over anew since has another takeover, and is not
    /// touched by the outcome.
    under_way: Vec<(i32, u64, usize)>,
    /// How many transactions have begun: the metadata of each commit says which one it is.
    cycles: u64,
    /// How many takeovers there have been: the number of the last one.
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

/// See the [module](self).
pub(super) struct Pipeline {
    /// A revoke lets it go while it waits for `settled`; nothing else waits under it.
    state: Mutex<PipelineState>,
    /// Told after the outcome of every transaction, for a revoke that waits for the last one.
    settled: Condvar,
    /// Whose membership fences our transactions.
    group: Arc<Group>,
    config: Config,
    /// By which a successor knows, and ends, our last transaction; barriers and metadata say it.
    transactional_id: String,
    /// The time of all waits, never that of the day itself.
    clock: Clock,
    /// What all partitions know of how SMSCs go about their ids.
    habits: Arc<Habits>,
    /// What operators are told of receipts that do not find their messages.
    hints: Hints,
    /// Which ESMEs wait for receipts that do not come.
    watch: Mutex<ReceiptWatch>,
    /// Those that the pipeline calls.
    pub(super) handles: Handles,
    /// What happened since the start, counted when it is decided.
    pub(super) counters: Counters,
}

impl Pipeline {
    pub(super) fn new(
        group: Arc<Group>,
        config: Config,
        transactional_id: String,
        handles: Handles,
    ) -> Self {
        Pipeline {
            state: Mutex::default(),
            settled: Condvar::new(),
            group,
            habits: Arc::default(),
            hints: Hints::new(config.notify.clone()),
            watch: Mutex::default(),
            config,
            transactional_id,
            clock: Clock::default(),
            handles,
            counters: Counters::default(),
        }
    }

    /// The partitions that are ours, for the status.
    pub(super) fn status(&self) -> Vec<PartitionStatus> {
        let state = self.state.lock();
        state
            .partitions
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
                    parked_octets: size.receipt_octets,
                    gathered: owned.gathered(),
                }
            })
            .collect()
    }

    /// The membership in the group of deliveries.
    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    fn wake(&self) {
        if let Some(transactor) = self.handles.transactor.get() {
            transactor.wake();
        }
    }

    /// As [`wake`](Self::wake), and the next transaction is not put off.
    fn hurry(&self) {
        if let Some(transactor) = self.handles.transactor.get() {
            transactor.hurry();
        }
    }

    /// The time here.
    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Takes `partition` over, or over again. What is committed for it is read after the transaction
    /// under way, if that holds the partition: it may commit a newer offset, and the barrier would
    /// take that back, so that all in between were published once more.
    fn take_over(&self, state: &mut PipelineState, partition: &Partition) {
        self.watch.lock().begin_anew();
        state.takeovers += 1;
        let takeover = state.takeovers;
        let nonce = format!("{}.{takeover}", self.transactional_id);
        let join = Join::new(self.config.join).sharing(self.habits.clone());
        let limits = self.config.assembly;
        let owned = PartitionState::new(partition.clone(), takeover, nonce, join, limits);
        state.aside.forget(&partition.partition);
        state.partitions.insert(partition.partition, owned);
        self.handles.tail.follow(partition.partition, takeover);
        let request = Request {
            partition: partition.clone(),
            takeover,
            asked: Asked::Position,
        };
        let mut under_way = state.under_way.iter();
        if under_way.any(|(held, ..)| *held == partition.partition) {
            state.put_off.push(request);
        } else {
            self.handles.takeover.request(request);
        }
    }

    /// Begins anew with a partition that is ours: what is gathered is decided again.
    fn take_over_anew(&self, state: &mut PipelineState, partition: &Partition) {
        self.handles.poller.hold(partition.clone());
        self.take_over(state, partition);
    }

    /// The log of the correlation partition begins anew: it was created anew, or lost its tail.
    /// So does everything that was read of it.
    pub(super) fn begin_anew(&self, partition: i32, takeover: u64) {
        let mut state = self.state.lock();
        if let Some(partition) = find(&mut state, partition, takeover).map(|o| o.partition.clone())
        {
            CorrelationLogBeginsAnew {
                partition: &partition,
            }
            .emit();
            self.take_over_anew(&mut state, &partition);
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

    /// The log of a partition ends there: see [`partition`](super::partition).
    pub(super) fn ends_at(&self, partition: i32, takeover: u64, end: i64) {
        if let Some(owned) = find(&mut self.state.lock(), partition, takeover)
            && owned.wants_end()
        {
            owned.seen_until(end);
        }
        self.wake();
    }

    /// Consuming begins or goes on after it stood still.
    fn resumed(&self, owned: &mut PartitionState) {
        owned.resumed();
        self.handles.takeover.request(Request {
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

    /// Whether any ESME's receipts have stopped, if all is read that Kafka has.
    pub(super) fn receipts_due(&self) -> bool {
        self.watch.lock().is_due(self.clock.now())
    }

    /// How far the deliveries are read; `None` while they are not read, of any partition.
    pub(super) fn positions(&self) -> Option<Vec<(Partition, i64)>> {
        let state = self.state.lock();
        let all = state.partitions.values();
        all.map(|owned| {
            let reads = owned.stage == Stage::Live && !owned.waits;
            reads.then(|| (owned.partition.clone(), owned.next))
        })
        .collect()
    }

    /// Says whose receipts have stopped: all is read that Kafka has.
    pub(super) fn tell_receipts_stopped(&self) {
        let stopped = self.watch.lock().stopped(self.clock.now());
        for (esme, gap) in stopped {
            ReceiptsStopped {
                esme: &esme,
                messages: gap.messages,
                usual_ms: gap.usual_ms,
                limit_ms: gap.limit_ms,
            }
            .emit();
            self.tell_receipts("ReceiptsStopped", &esme, gap);
        }
    }

    /// Says whose receipts come again.
    pub(super) fn tell_receipts_again(&self) {
        let again = self.watch.lock().again();
        for (esme, gap) in again {
            let messages = gap.messages;
            let esme = &*esme;
            ReceiptsAgain { esme, messages }.emit();
            self.tell_receipts("ReceiptsAgain", esme, gap);
        }
    }

    fn tell_receipts(&self, kind: &'static str, esme: &str, gap: ReceiptsGap) {
        self.config.notify.send(&Notification {
            esme,
            receipts: Some(gap),
            ..Notification::now(kind)
        });
    }

    /// A message that asks for a receipt was accepted, if that is what a new record says. Of one in
    /// segments the first stands for all.
    fn accepted(&self, key: &Key<'_>, value: &Value, now: Millis) {
        if let Key::Entry {
            identity,
            submission,
        } = key
            && let Value::Entry { seen, .. } = value
            && seen.is_empty()
            && keys::is_first_part(submission)
        {
            let (esme, _) = keys::esme_and_id(identity);
            if self.config.dialects.knows(esme) {
                self.watch.lock().accepted(esme, now);
            }
        }
    }

    /// Of a receipt that found its message, how long it took, if that is to be known.
    fn learn_delay(&self, entry: &[u8], delivery: &Delivery, now: Millis) {
        let esme = &*delivery.esme;
        if !self.config.dialects.knows(esme) || !self.watch.lock().wants_delay(esme, now) {
            return;
        }
        if let Some(submitted_at) = receipt_events::submitted_at(entry) {
            let came = delivery.received_at.as_millisecond();
            let delay = came.saturating_sub(submitted_at.as_millisecond());
            self.watch.lock().learn(esme, delay);
        }
    }

    /// Says which restores make no progress.
    pub(super) fn report_slow_restores(&self) {
        let state = &mut *self.state.lock();
        for owned in state.partitions.values_mut() {
            let Some(still) = owned.slow_restore() else {
                continue;
            };
            let trouble = state.trouble.as_ref().map(KafkaError::to_string);
            RestoreMakesNoProgress {
                topic: &self.config.topics.correlation,
                partition: owned.partition.partition,
                seconds: still.as_secs(),
                trouble: trouble
                    .as_deref()
                    .unwrap_or("none that the client tells of"),
            }
            .emit();
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
            let barrier = receipt_events::barrier(
                &owned.nonce,
                &self.transactional_id,
                &self.config.topics,
                partition,
            );
            owned.begin_at(&progress, barrier);
            owned.predecessor = predecessor.filter(|id| *id != self.transactional_id);
            debug!(partition, offset = progress.base(), "barrier written");
        }
        // Nothing of the partition is served before its barrier is read back.
        self.hurry();
    }

    /// Predecessors whose open transactions may hold restores up.
    pub(super) fn suspects(&self, timeout: Duration) -> Vec<String> {
        let mut state = self.state.lock();
        let mut predecessors: Vec<String> = state
            .partitions
            .values_mut()
            .filter_map(|owned| owned.suspect(timeout))
            .collect();
        predecessors.sort_unstable();
        predecessors.dedup();
        predecessors
    }

    /// A record of the correlation topic was read for `takeover`, which was `live` after the record before
    /// it. Says whether it is now. The error says why it cannot be understood yet: then it is to be given
    /// again.
    pub(super) fn read(
        &self,
        partition: i32,
        (takeover, live): (u64, bool),
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        let Some(key) = Key::parse(key) else {
            let key = &String::from_utf8_lossy(key);
            ForeignRecord { partition, key }.emit();
            return Ok(live);
        };
        let (topics, dialects) = (&self.config.topics, &self.config.dialects);
        let record = decode::record(&key, value, live, &topics.codecs.correlation, dialects);
        // Nothing is to be done, and each receipt brings one.
        if let (Key::Entry { .. }, Ok(Record::Echo)) = (&key, &record) {
            return Ok(live);
        }
        let mut state = self.state.lock();
        let Some(owned) = find(&mut state, partition, takeover) else {
            return Ok(live);
        };
        owned.progressed();
        let now = self.clock.now();
        let mut effects = Vec::new();
        match record {
            Ok(Record::Tombstone) => {
                owned.join.tombstone(&key);
                owned.assembly.tombstone(&key);
            }
            Ok(Record::Echo) => owned.join.skipped(&key, now, &mut effects),
            Ok(Record::Segment(value)) => owned.assembly.record(&key, value, now),
            Ok(Record::Value(value)) => {
                if owned.stage == Stage::Live {
                    self.accepted(&key, &value, now);
                }
                owned.join.record(&key, value, now, &mut effects);
            }
            Ok(Record::Barrier(nonce)) => {
                if owned.stage == Stage::Restoring && nonce == owned.nonce {
                    owned.join.live(now, &mut effects);
                    owned.assembly.live(now);
                    self.restored(owned);
                }
            }
            Err(Unread::Wait(why)) => return Err(why),
            Err(Unread::Invalid(error)) => {
                CorrelationRecordSkipped {
                    partition,
                    key: &key,
                    error: &error,
                }
                .emit();
                owned.join.skipped(&key, now, &mut effects);
            }
        }
        self.gather(owned, &effects, None, now);
        Ok(owned.stage == Stage::Live)
    }

    /// A delivery is consumed.
    fn delivered(
        &self,
        owned: &mut PartitionState,
        (identity, offset): (&str, i64),
        delivery: &Arc<Delivery>,
        kind: DeliveryKind<'_>,
    ) {
        let now = self.clock.now();
        match kind {
            DeliveryKind::Receipt(parsed, receipt) => {
                let arrived = Arrived {
                    delivery,
                    parsed: &parsed,
                };
                if self.config.dialects.knows(&delivery.esme) {
                    (self.watch.lock()).received(&delivery.esme, now);
                }
                match &delivery.home {
                    Some(home) => {
                        self.visit(owned, (identity, home), offset, arrived, receipt, now);
                    }
                    None => self.receipt(owned, (identity, offset), arrived, receipt, now),
                }
            }
            DeliveryKind::Segment(segment) => {
                self.segment(owned, (identity, offset), delivery.clone(), segment, now);
            }
        }
    }

    fn receipt(
        &self,
        owned: &mut PartitionState,
        (id, offset): (&str, i64),
        arrived: Arrived<'_>,
        receipt: Receipt,
        now: Millis,
    ) {
        let mut effects = Vec::new();
        let join = &mut owned.join;
        let delivery = arrived.delivery.clone();
        match join.delivery(id, offset, delivery, receipt, now, &mut effects) {
            ReceiptOutcome::Joined | ReceiptOutcome::Moved | ReceiptOutcome::PublishedAlone => {}
            ReceiptOutcome::Parked => {
                self.counters.parked.add(1);
                let meters = self.config.dialects.meters(&arrived.delivery.esme);
                meters.counters.receipts_early.add(1);
            }
            ReceiptOutcome::Repeat => self.counters.repeated.add(1),
        }
        self.gather(owned, &effects, Some(arrived), now);
    }

    /// A receipt comes from its home, under another form of its id.
    fn visit(
        &self,
        owned: &mut PartitionState,
        to_from: (&str, &str),
        offset: i64,
        arrived: Arrived<'_>,
        receipt: Receipt,
        now: Millis,
    ) {
        let mut effects = Vec::new();
        let join = &mut owned.join;
        let delivery = arrived.delivery.clone();
        match join.visit(to_from, offset, delivery, receipt, now, &mut effects) {
            ReceiptOutcome::Repeat => self.counters.repeated.add(1),
            ReceiptOutcome::Joined
            | ReceiptOutcome::Moved
            | ReceiptOutcome::Parked
            | ReceiptOutcome::PublishedAlone => {}
        }
        self.gather(owned, &effects, Some(arrived), now);
    }

    fn segment(
        &self,
        owned: &mut PartitionState,
        (id, offset): (&str, i64),
        delivery: Arc<Delivery>,
        segment: Segment,
        now: Millis,
    ) {
        let mut effects = Vec::new();
        let assembly = &mut owned.assembly;
        match assembly.delivery(id, offset, delivery, segment, now, &mut effects) {
            assembly::SegmentState::Waiting | assembly::SegmentState::Completed => {}
            assembly::SegmentState::Repeat => self.counters.repeated.add(1),
        }
        self.gather_segments(owned, &effects);
    }

    fn restored(&self, owned: &mut PartitionState) {
        owned.stage = Stage::Live;
        let size = owned.join.size();
        Restored {
            partition: &owned.partition,
            offset: owned.next,
            entries: size.entries,
            parked: size.parked,
            octets: size.octets,
            parts: owned.assembly.size().segments,
        }
        .emit();
        self.handles
            .poller
            .start(owned.partition.clone(), owned.next);
        self.resumed(owned);
    }

    /// Gathers what is to be written; `arrived` if a receipt that has just come is the cause.
    fn gather(
        &self,
        owned: &mut PartitionState,
        effects: &[Effect],
        arrived: Option<Arrived<'_>>,
        now: Millis,
    ) {
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
                    self.counters.uncorrelated.add(1);
                    self.hints.unmatched(identity, &self.habits);
                }
                Effect::Move { unanswered, .. } => {
                    self.counters.moved.add(1);
                    unread += u64::from(*unanswered);
                }
                Effect::Publish {
                    identity,
                    delivery,
                    entry: Some(entry),
                    candidates,
                    other_form,
                } => {
                    self.counters.correlated.add(1);
                    self.learn_delay(entry, delivery, now);
                    if !candidates.is_empty() {
                        self.counters.ambiguous.add(1);
                    }
                    if *other_form {
                        self.counters.other_form.add(1);
                        let both = (&**entry, &**delivery);
                        let parsed = Arrived::parsed(arrived, delivery, &self.config.dialects);
                        (self.hints).found(
                            identity,
                            both,
                            &parsed,
                            &self.habits,
                            &self.config.dialects,
                        );
                    }
                }
                Effect::Overdue { .. } => self.counters.overdue.add(1),
                _ => {}
            }
        }
        let (config, partition) = (&self.config, owned.partition.partition);
        self.hints
            .unread(unread, &config.topics.correlation, partition);
        let of = (partition, config.partitions);
        let output =
            |effect| receipt_events::output(effect, arrived, &config.topics, &config.dialects, of);
        owned.gather(effects.iter().map(output));
        self.wake();
    }

    fn gather_segments(&self, owned: &mut PartitionState, effects: &[assembly::Effect]) {
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            match effect {
                assembly::Effect::Publish {
                    incomplete: true, ..
                } => self.counters.incomplete.add(1),
                assembly::Effect::Publish { segments, .. } => {
                    self.counters.assembled.add(1);
                    if let Some(first) = segments.first() {
                        let meters = self.config.dialects.meters(&first.esme);
                        meters.counters.inbound.add(1);
                    }
                }
                _ => {}
            }
        }
        let (config, partition) = (&self.config, owned.partition.partition);
        let output =
            |effect| inbound_events::output(effect, &config.topics, &config.dialects, partition);
        owned.gather(effects.iter().filter_map(output));
        self.wake();
    }

    /// Gives partitions up: at once when they are another's already, otherwise after what is
    /// gathered has been committed, if that does not take long.
    fn revoke(&self, partitions: &[Partition], lost: bool) {
        let mut state = self.state.lock();
        for p in partitions {
            if let Some(owned) = state.partitions.get_mut(&p.partition) {
                owned.leaving = true;
            }
        }
        let leaving: Vec<i32> = partitions.iter().map(|p| p.partition).collect();
        state.aside.hurry(&leaving, Instant::now());
        self.hurry();
        let deadline = Instant::now() + REVOKE_TIMEOUT;
        while !lost && partitions.iter().any(|p| unsettled(&state, p)) {
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                debug!(
                    "partitions are given up before all was committed; their next owner does it"
                );
                break;
            }
        }
        self.watch.lock().begin_anew();
        for p in partitions {
            state.partitions.remove(&p.partition);
            state.aside.forget(&p.partition);
            self.handles.tail.leave(p.partition);
        }
    }

    /// The transaction under way of every partition still ours, by its takeover.
    fn each_under_way(
        &self,
        state: &mut PipelineState,
        mut act: impl FnMut(&mut PartitionState, Range<usize>),
    ) {
        let mut first = 0;
        for (partition, takeover, records) in std::mem::take(&mut state.under_way) {
            if let Some(owned) = find(state, partition, takeover) {
                act(owned, first..first + records);
            }
            first += records;
        }
    }

    fn committed(&self, state: &mut PipelineState, begun: Instant) {
        if let Some((topic, partitions)) = state.aside.committed() {
            let partitions = &self.names(&partitions);
            TopicTakesResults {
                topic: &topic,
                partitions,
            }
            .emit();
            self.wake();
        }
        self.each_under_way(state, |owned, _| {
            owned.committed(begun);
            if owned.paused && owned.has_room() {
                self.handles.poller.resume(owned.partition.clone());
                self.resumed(owned);
            }
        });
    }

    fn aborted(&self, state: &mut PipelineState, abort: &Abort) {
        match abort {
            Abort::Record {
                index,
                code,
                larger,
            } => return self.record_refused(state, *index, *code, *larger),
            Abort::Topic { index, code } => return self.topic_refused(state, *index, *code),
            Abort::Unavailable(indexes) => return self.unavailable(state, indexes),
            Abort::Fenced(reason) => TransactionFenced { reason }.emit(),
            // The second ends the process.
            Abort::Refused | Abort::Impossible(_) => {}
            Abort::Trouble(reason) => {
                ear::failed("transaction aborted, its results go again", reason.clone());
            }
            Abort::Gone(topics) => {
                TopicMissing { topics }.emit();
            }
        }
        state.aside.aborted(Instant::now());
        self.each_under_way(state, |owned, _| owned.not_committed());
    }

    /// Takes everything back. For each record of the transaction, in order: its partition, and its
    /// place and topic there.
    fn not_committed(&self, state: &mut PipelineState) -> Vec<(i32, usize, Arc<str>)> {
        let mut origins = Vec::new();
        self.each_under_way(state, |owned, places| {
            // What was taken over anew meanwhile is nobody's.
            origins.resize(places.start, (-1, 0, Arc::default()));
            let partition = owned.partition.partition;
            let theirs = owned.in_transaction().enumerate();
            origins.extend(theirs.map(|(place, o)| (partition, place, o.topic.clone())));
            owned.not_committed();
        });
        origins
    }

    /// The record at `index` was refused for what it is; with `larger` for its size, and so is
    /// what is larger. A smaller one says so in its place, or what it would have kept goes out at
    /// once. Its partition is tried alone from now on.
    fn record_refused(
        &self,
        state: &mut PipelineState,
        index: usize,
        code: RDKafkaErrorCode,
        larger: bool,
    ) {
        let origins = self.not_committed(state);
        let Some((partition, place, topic)) = origins.get(index).cloned() else {
            return state.aside.aborted(Instant::now());
        };
        let Some(owned) = state.partitions.get_mut(&partition) else {
            return state.aside.aborted(Instant::now());
        };
        let places = if larger {
            owned.as_large(place)
        } else {
            vec![place]
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
    fn topic_refused(&self, state: &mut PipelineState, index: usize, code: RDKafkaErrorCode) {
        let origins = self.not_committed(state);
        let ours =
            |(partition, ..): &&(i32, usize, Arc<str>)| state.partitions.contains_key(partition);
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
    fn unavailable(&self, state: &mut PipelineState, indexes: &[usize]) {
        let origins = self.not_committed(state);
        let mut topics: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
        for (partition, _, topic) in indexes.iter().filter_map(|i| origins.get(*i)) {
            let partitions = topics.entry(topic.clone()).or_default();
            partitions.insert(*partition);
        }
        for (topic, mut partitions) in topics {
            partitions.retain(|partition| state.partitions.contains_key(partition));
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
    fn replaced(&self, owned: &mut PartitionState, index: usize, code: RDKafkaErrorCode) -> bool {
        let Some(output) = owned.output(index).cloned() else {
            return false;
        };
        let topic = &output.topic;
        let key = output.key.as_deref().unwrap_or_default();
        let kept = *topic == self.config.topics.correlation && output.value.is_some();
        let (mut receipts, mut segments) = (Vec::new(), Vec::new());
        let now = self.clock.now();
        let (with, instead) = match Key::parse(key).filter(|_| kept) {
            // A takeover begins with it: it waits until the topic takes it.
            Some(Key::Barrier { .. }) => return false,
            Some(Key::Parked { identity, offset }) => {
                owned.join.unkept(identity, offset, now, &mut receipts);
                (None, "what it would have kept is published at once")
            }
            Some(Key::Segment { identity, offset }) => {
                owned.assembly.unkept(identity, offset, now, &mut segments);
                (None, "what it would have kept is published at once")
            }
            _ if *topic == self.config.topics.deliveries => {
                let (topics, dialects) = (&self.config.topics, &self.config.dialects);
                match receipt_events::moved_alone(&output, topics, dialects) {
                    Some(alone) => (Some(alone), "it is published without its message"),
                    None => return false,
                }
            }
            _ => match receipt_events::reduced(&output, code, &self.config.topics) {
                Some(smaller) => (Some(smaller), "a smaller one goes in its place"),
                None => return false,
            },
        };
        let (partition, key) = (&owned.partition, &String::from_utf8_lossy(key));
        RecordRefused {
            partition,
            code: &code,
            topic,
            key,
            instead,
        }
        .emit();
        self.counters.refused.add(1);
        owned.replace(index, with);
        self.gather(owned, &receipts, None, now);
        self.gather_segments(owned, &segments);
        true
    }

    /// These partitions have no part in transactions until a trial of theirs is committed.
    fn set_aside(
        &self,
        state: &mut PipelineState,
        refusal: set_aside::Refusal<i32>,
        code: RDKafkaErrorCode,
    ) {
        let (topic, partitions) = (refusal.topic.clone(), refusal.partitions.clone());
        let (why, replaced) = (refusal.why, refusal.replaced);
        let pause = set_aside::pauses(LONGEST_PAUSE);
        let news = state.aside.refused(refusal, pause, Instant::now());
        if replaced {
            debug!(
                topic = &*topic,
                ?partitions,
                "tried in a transaction of their own"
            );
        } else if news && why == Why::Unavailable {
            let partitions = &self.names(&partitions);
            ResultsNotDelivered {
                topic: &topic,
                partitions,
            }
            .emit();
        } else if news {
            let cause = &ear::not_written(self.group.client(), &topic, code);
            let partitions = &self.names(&partitions);
            TopicRefusesResults {
                topic: &topic,
                partitions,
                cause,
            }
            .emit();
        } else {
            debug!(
                topic = &*topic,
                ?partitions,
                ?code,
                "results are still refused"
            );
        }
    }

    /// These partitions of the deliveries, as lines name them.
    fn names<'a>(&self, partitions: impl IntoIterator<Item = &'a i32>) -> String {
        let topic = &self.config.topics.deliveries;
        names(partitions.into_iter().map(|number| Partition {
            topic: topic.clone(),
            partition: *number,
        }))
    }

    /// After a step of the clock, times of before mean nothing: the partitions are read anew.
    fn follow_clock(&self, state: &mut PipelineState) {
        let steps = self.clock.steps();
        if std::mem::replace(&mut state.steps, steps) == steps {
            return;
        }
        ClockPutRight {}.emit();
        self.take_all_over_anew(state);
    }

    /// Begins anew with every partition that stays ours.
    fn take_all_over_anew(&self, state: &mut PipelineState) {
        let ours: Vec<Partition> = state
            .partitions
            .values()
            .filter(|owned| !owned.leaving)
            .map(|owned| owned.partition.clone())
            .collect();
        for partition in &ours {
            self.take_over_anew(state, partition);
        }
    }
}

fn unsettled(state: &PipelineState, partition: &Partition) -> bool {
    let owned = state.partitions.get(&partition.partition);
    owned.is_some_and(|o| o.stage == Stage::Live && !o.is_settled())
}

fn find(state: &mut PipelineState, partition: i32, takeover: u64) -> Option<&mut PartitionState> {
    let owned = state.partitions.get_mut(&partition)?;
    (owned.takeover == takeover).then_some(owned)
}

impl Assignments for Pipeline {
    fn assigned(&self, partitions: &[Partition]) -> Vec<Partition> {
        let mut state = self.state.lock();
        for partition in partitions {
            self.take_over(&mut state, partition);
        }
        Vec::new()
    }

    fn revoked(&self, partitions: &[Partition], lost: bool) -> Vec<Partition> {
        self.revoke(partitions, lost);
        Vec::new()
    }

    fn message(&self, partition: &Partition, message: &BorrowedMessage<'_>) -> Flow {
        let decoded = match (message.key(), message.payload()) {
            (Some(key), Some(value)) => {
                decode::delivery(key, value, &self.config.topics.codecs.deliveries)
            }
            _ => Err(Invalid::because("no key or no value").into()),
        };
        // Once, and not under the lock.
        let parsed = decoded.as_ref().map(|(identity, delivery)| {
            let kind = decode::parse(identity, delivery, &self.config.dialects);
            kind.map(|kind| (*identity, delivery, kind))
        });
        let mut state = self.state.lock();
        let Some(owned) = state.partitions.get_mut(&partition.partition) else {
            return Flow::Continue;
        };
        let offset = message.offset();
        let is_wanted = owned.stage == Stage::Live && !owned.leaving && offset >= owned.next;
        // Nor one that was fetched before the partition was taken over anew.
        if !is_wanted || !self.handles.poller.is_current(partition) {
            return Flow::Continue;
        }
        if let Err(Unread::Wait(why)) = parsed {
            owned.waits = true;
            return Flow::Again(why.clone());
        }
        if owned.waits {
            self.resumed(owned);
        }
        let unreadable = |error: &dyn Display| {
            self.counters.unreadable.add(1);
            DeliverySkipped {
                partition,
                offset,
                error,
            }
            .emit();
        };
        match parsed {
            Ok(Ok((identity, delivery, kind))) => {
                self.delivered(owned, (identity, offset), delivery, kind);
            }
            Ok(Err(error)) => unreadable(&error),
            Err(error) => unreadable(error),
        }
        owned.consumed(offset);
        // Of one far ahead nothing could be younger: the way back into a log that lost its tail
        // would lead to its end.
        let timestamp = message.timestamp().to_millis();
        let timestamp = timestamp.map(|at| plausible(at, self.clock.now()));
        owned.newest = owned.newest.max(timestamp);
        self.wake();
        owned.paused = owned.is_full();
        if owned.paused {
            // Nothing more comes before the next transaction.
            self.hurry();
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    fn at_end(&self, partition: &Partition) {
        let mut state = self.state.lock();
        if let Some(owned) = state.partitions.get_mut(&partition.partition)
            && owned.stage == Stage::Live
            && self.handles.poller.is_current(partition)
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
        DeliveriesDeleted { error }.emit();
        self.take_all_over_anew(&mut self.state.lock());
    }
}

impl TransactionSource for Pipeline {
    fn begin(&self, transactional_id: &str) -> Option<Cycle> {
        let membership = self.group.membership()?;
        let mut state: MutexGuard<'_, PipelineState> = self.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        state.aside.begin(now);
        let wall = self.clock.now();
        self.follow_clock(state);
        for owned in state.partitions.values_mut() {
            let takes_part = state.aside.takes_part(&owned.partition.partition);
            if takes_part && owned.lets_time_pass() {
                let mut effects = Vec::new();
                let more = owned.join.tick(wall, owned.room(), &mut effects);
                self.gather(owned, &effects, None, wall);
                let mut effects = Vec::new();
                let still = owned.assembly.tick(wall, owned.room(), &mut effects);
                self.gather_segments(owned, &effects);
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
        let (mut records, mut offsets) = (Records::default(), Vec::new());
        for (partition, owned) in &mut state.partitions {
            if !state.aside.takes_part(partition) {
                continue;
            }
            let Some((outputs, offset)) = owned.begin_transaction(now) else {
                continue;
            };
            (state.under_way).push((*partition, owned.takeover, outputs.len()));
            records.add(outputs);
            offsets.push(owned.commit(offset, self.group.cluster_id(), transactional_id, number));
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
            report_timeout: REPORT_TIMEOUT,
            trial: state.aside.trial(REPORT_TIMEOUT / 2),
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
                    TransactionEndUnknown {
                        partition: &partition,
                    }
                    .emit();
                    self.take_over_anew(&mut state, &partition);
                }
            }
        }
        // Now what is committed is what counts, whatever it is.
        for request in std::mem::take(&mut state.put_off) {
            self.handles.takeover.request(request);
        }
        self.settled.notify_all();
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
pub(super) mod tests;
