//! The transactional producer of a [`Transactor`](super::transactor::Transactor): one
//! transaction from begin to a known end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::TopicPartitionList;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientContext, Message};
use tracing::{debug, trace};

use super::abilities;
use super::cause::{self, Doing, Who, Why};
use super::ear::{self, Ear};
use super::error_class::ErrorClass;
use super::group::Group;
use super::notices::{BatchRefused, HadBeenCommitted, HadNotBeenCommitted, ProducerReady};
use super::pause::Pause;
use super::progress::{CommitScope, metadata};
use super::served::Served;
use super::transaction::{Abort, Commit, Cycle, Records, Settled};
use super::transactor::Options;

/// One offsets call carries at most this much metadata: a TxnOffsetCommit of 1 MB fails.
const OFFSETS_CALL_OCTETS: usize = 200_000;

/// How often it is looked whether reports stay away.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Pause before it is looked whether the client counts the last report as taken.
const TAKEN: Duration = Duration::from_micros(20);

/// Pause before a record is handed over again for which the client's queue had no room.
const NO_ROOM: Duration = Duration::from_millis(2);

/// Pauses before a call is made again that librdkafka says may succeed.
const CALL: Pause = Pause::new(Duration::from_millis(10), Duration::from_millis(200));

/// A topic that is not known after so long does not exist.
const MISSING: Duration = Duration::from_millis(800);

/// Nothing is said to stall that may only be missing, or slow.
const LEAST_STALL: Duration = Duration::from_secs(1);

/// How long it may take to see whether a topic is there: the others wait meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// Time for what was purged to be reported, and how often it is purged.
const PURGE: Duration = Duration::from_millis(100);
const PURGES: usize = 50;

/// Pauses before a commit of unknown outcome is looked for again.
const READ_BACK: Pause = Pause::new(Duration::from_millis(100), Duration::from_secs(1));

/// Collects the delivery reports of the transaction under way, which a thread brings.
struct Reports {
    state: Mutex<ReportState>,
    /// Notified with the first report of a transaction, and when there is nothing more to wait for.
    told: Condvar,
    ear: Ear,
}

impl Reports {
    fn new(ear: Ear) -> Self {
        Reports {
            state: Mutex::default(),
            told: Condvar::new(),
            ear,
        }
    }
}

/// What is known of the records of one transaction; it is made anew for the next.
#[derive(Default)]
struct ReportState {
    /// How many records were handed over whose report has not come.
    outstanding: usize,
    /// Which of the records that were handed over are settled: delivered, or refused.
    settled: Vec<bool>,
    /// When something was reported last.
    reported: Option<Instant>,
    /// The record and the code that the transaction fails for. One that names a cause is not
    /// replaced by one that only passes it on.
    failure: Option<(usize, RDKafkaErrorCode)>,
    /// A topic that the user may not write to: that is all that librdkafka says of it, and the
    /// reports of its records are only that they were purged.
    denied: Option<String>,
}

impl ReportState {
    /// Everything is delivered, or something never will be: librdkafka holds back the rest
    /// of a transaction it can only abort, so their reports do not come.
    fn is_decided(&self) -> bool {
        self.outstanding == 0
            || self
                .failure
                .is_some_and(|(_, code)| ErrorClass::of(code).names_cause())
    }

    /// The first produce request has been answered.
    fn may_abort(&self) -> bool {
        self.outstanding == 0 || self.reported.is_some()
    }

    fn handed_over(&mut self) {
        self.outstanding += 1;
        self.settled.push(false);
    }

    /// The last one was not handed over after all.
    fn taken_back(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.settled.pop();
    }

    /// The records of which nothing is known.
    fn unsettled(&self) -> Vec<usize> {
        let places = self.settled.iter().enumerate();
        let open = places.filter(|(_, settled)| !**settled);
        open.map(|(index, _)| index).collect()
    }

    /// One cause brings down the other records of the transaction, which then only say
    /// that they were purged or that another one was invalid, and may say so first.
    fn fail(&mut self, index: usize, code: RDKafkaErrorCode) {
        match self.failure {
            Some((_, known))
                if ErrorClass::of(known).names_cause() || !ErrorClass::of(code).names_cause() => {}
            _ => self.failure = Some((index, code)),
        }
    }
}

impl ClientContext for Reports {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        self.ear.log(level, kind, text);
        if let Some(topic) = cause::closed_topic(kind, text) {
            self.state.lock().denied = Some(topic.to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut state = self.state.lock();
        let first = state.reported.is_none();
        // A report can come after its transaction was given up.
        state.outstanding = state.outstanding.saturating_sub(1);
        state.reported = Some(Instant::now());
        let code =
            |error: &KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let is_late = |error| ErrorClass::of(code(error)) == ErrorClass::Unavailable;
        let late = matches!(result, Err((error, _)) if is_late(error));
        if let Some(settled) = state.settled.get_mut(index) {
            *settled = !late;
        }
        if let Err((error, message)) = result {
            let code = code(error);
            debug!(topic = message.topic(), ?code, "record not delivered");
            state.fail(index, code);
        }
        if first || state.is_decided() {
            self.told.notify_all();
        }
    }
}

enum Failure {
    /// The transaction can be aborted and the producer stays.
    Abort(Abort),
    /// The broker refused a batch because of one of its records, perhaps not this one.
    Batch {
        index: usize,
        code: RDKafkaErrorCode,
    },
    /// Some partition does not take its offset, and the transaction can be aborted.
    Offsets(KafkaError),
    /// Everything was purged, and no record's report says why.
    Purged,
    /// The producer is lost before the commit was asked for: certainly not committed.
    Lost(Abort),
    /// The producer is lost and the transaction may have been committed.
    InDoubt(String),
}

/// By what an error is explained: who writes, and under which transactional.id.
#[derive(Clone)]
struct ErrorContext {
    who: Who,
    transactional_id: String,
}

impl ErrorContext {
    /// Why a transaction that this error ends is aborted.
    fn abort_cause(&self, error: &KafkaError, group: &Group) -> Abort {
        match ErrorClass::of_error(error) {
            ErrorClass::Membership | ErrorClass::Fenced => Abort::Fenced(error.to_string()),
            _ => self.trouble(error, group),
        }
    }

    /// Why offsets are not taken of topics that are there.
    fn not_taken(&self, error: &KafkaError, cycle: &Cycle, group: &Group) -> Abort {
        let topics = cycle.offsets.iter().map(|commit| commit.topic.to_string());
        let topics: Vec<String> = topics.collect::<BTreeSet<_>>().into_iter().collect();
        self.explain(error, &Doing::member(group.client(), &topics))
    }

    /// The same of an error that says nothing of a fence. What somebody must mend is said.
    fn trouble(&self, error: &KafkaError, group: &Group) -> Abort {
        let doing = Doing::Transaction {
            id: &self.transactional_id,
            group: group.client().get("group.id"),
        };
        self.explain(error, &doing)
    }

    fn explain(&self, error: &KafkaError, doing: &Doing<'_>) -> Abort {
        let cause = cause::of_error(&self.who, error, doing);
        match cause.why {
            Why::Denied { .. } => {
                ear::refused(&cause);
                Abort::Refused
            }
            _ => Abort::Trouble(error.to_string()),
        }
    }
}

/// The producer, made anew when it is lost.
pub(super) struct TransactionalProducer {
    /// Its properties, but for the size of batches.
    config: ClientConfig,
    error_context: ErrorContext,
    /// The transaction's own time-out: no call waits for longer.
    timeout: Duration,
    /// None from its loss until it is needed again. One that is there has no transaction open
    /// between two calls of [`transact`](Self::transact).
    producer: Option<Served<Reports>>,
    /// Every record goes in a batch of its own, so that the broker's verdict on a batch is
    /// one on a record.
    singly: bool,
    /// For how long that lasts.
    batching: Batching,
    /// Whether there ever was a producer: then the brokers do transactions.
    was_ready: bool,
}

/// What helps where a topic refuses a batch of records each of which it takes.
fn batch_remedy(code: RDKafkaErrorCode) -> &'static str {
    match ErrorClass::of(code) {
        ErrorClass::TooLarge => {
            "raise the topic's max.message.bytes or lower batch.size in [kafka.properties]"
        }
        ErrorClass::Timestamp => {
            "see the topic's message.timestamp.before.max.ms and .after.max.ms, and the clocks"
        }
        _ => "the broker's log says why",
    }
}

/// When records go singly. After a refused batch they do for a while, in which further records
/// that are refused are named at once; then in batches again. If that is refused again before
/// long, the while is longer: a topic whose limit is below the size of a batch refuses one after
/// another, and each costs a transaction and two new producers.
struct Batching {
    /// Until when records go singly.
    until: Option<Instant>,
    /// The whiles, which grow.
    hold: Pause,
}

/// For how long records go singly.
const SINGLY: Pause = Pause::new(Duration::from_millis(500), Duration::from_secs(300));

/// When batches were taken for so long, another refusal has nothing to do with the last.
const SETTLED: Duration = Duration::from_secs(600);

impl Batching {
    fn is_singly(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// A batch was refused: for how long records go singly.
    fn refused(&mut self, now: Instant) -> Duration {
        let long_ago = |until: Instant| now.saturating_duration_since(until) >= SETTLED;
        if self.until.is_some_and(long_ago) {
            self.hold.reset();
        }
        let hold = self.hold.grow();
        self.until = Some(now + hold);
        hold
    }
}

impl TransactionalProducer {
    pub(super) fn new(options: &Options) -> Self {
        let mut config = options.client.clone();
        let timeout = options.transaction_timeout;
        let millis = timeout.as_millis().to_string();
        config
            .set("transactional.id", &options.transactional_id)
            .set("transaction.timeout.ms", &millis)
            .set("message.timeout.ms", &millis)
            .set("enable.idempotence", "true");
        if config.get("linger.ms").is_none() && config.get("queue.buffering.max.ms").is_none() {
            // A cycle's records are handed over at once; lingering only delays the commit.
            config.set("linger.ms", "1");
        }
        if config.get("topic.metadata.propagation.max.ms").is_none() {
            // A missing topic is to be named before its records merely stall.
            let time = MISSING.min(timeout / 2).as_millis().to_string();
            config.set("topic.metadata.propagation.max.ms", time);
        }
        TransactionalProducer {
            error_context: ErrorContext {
                who: Who::of(&config),
                transactional_id: options.transactional_id.clone(),
            },
            config,
            timeout,
            producer: None,
            singly: false,
            batching: Batching {
                until: None,
                hold: SINGLY,
            },
            was_ready: false,
        }
    }

    /// Writes one transaction. `stopping` cuts short the wait for a broker that would tell
    /// an unknown outcome.
    pub(super) fn transact(
        &mut self,
        cycle: &Cycle,
        group: &Group,
        stopping: impl Fn() -> bool,
    ) -> Settled {
        let begun = Instant::now();
        let singly = cycle.trial.is_some_and(|trial| trial.singly);
        self.set_batching(!singly && !self.batching.is_singly(begun));
        let mut end = self.attempt(cycle, group);
        if let Err(Failure::Batch { index, code }) = end
            && !self.singly
        {
            let topic = cycle.records.get(index).map_or("", |r| &r.topic);
            debug!(topic, ?code, "batch refused; its records are tried singly");
            self.abort(false);
            self.set_batching(false);
            end = self.attempt(cycle, group);
            if end.is_ok() {
                let hold = self.batching.refused(Instant::now());
                let remedy = batch_remedy(code);
                BatchRefused {
                    remedy,
                    topic,
                    code: &code,
                    hold,
                }
                .emit();
            }
        }
        match end {
            Ok(()) => Settled::Committed { begun },
            Err(Failure::Abort(Abort::Unavailable(late))) => {
                debug!(
                    ?late,
                    "transaction aborted: nothing is reported of these records"
                );
                self.abort(true);
                // Of a topic that was deleted the client says nothing either, for long.
                let gone = absent(cycle, late.iter().copied(), group, LOOK);
                Settled::Aborted(gone.unwrap_or(Abort::Unavailable(late)))
            }
            Err(Failure::Abort(abort)) => {
                debug!(?abort, "transaction aborted");
                self.abort(false);
                Settled::Aborted(abort)
            }
            Err(Failure::Offsets(error)) => {
                self.abort(false);
                let gone = group.missing(&cycle.offsets, self.timeout);
                Settled::Aborted(if gone.is_empty() {
                    self.error_context.not_taken(&error, cycle, group)
                } else {
                    Abort::Gone(gone)
                })
            }
            Err(Failure::Purged) => {
                let denied = self.denied(cycle);
                self.abort(false);
                let absent = || absent(cycle, 0..cycle.records.len(), group, self.timeout);
                Settled::Aborted(denied.or_else(absent).unwrap_or_else(|| {
                    Abort::Trouble("the client has given up its records".to_owned())
                }))
            }
            Err(Failure::Batch { index, code }) => {
                debug!(index, ?code, "record refused");
                self.abort(false);
                let is_size = ErrorClass::of(code) == ErrorClass::TooLarge;
                let larger = is_size && !self.compresses();
                Settled::Aborted(Abort::Record {
                    index,
                    code,
                    larger,
                })
            }
            Err(Failure::Lost(abort)) => {
                debug!(?abort, "transactional producer lost; it is made anew");
                self.producer = None;
                Settled::Aborted(abort)
            }
            Err(Failure::InDoubt(reason)) => {
                ear::failed("commit with unknown outcome; it is read back", reason);
                self.producer = None;
                self.read_back(cycle, group, stopping, begun)
            }
        }
    }

    fn attempt(&mut self, cycle: &Cycle, group: &Group) -> Result<(), Failure> {
        let timeout = self.timeout;
        let error_context = self.error_context.clone();
        let producer = self.producer(group)?;
        write(producer, cycle, timeout, |error| {
            error_context.abort_cause(error, group)
        })
        .map_err(|failure| match (producer.client().fatal_error(), failure) {
            (_, Failure::InDoubt(reason)) => Failure::InDoubt(reason),
            (Some((_, _)), Failure::Lost(Abort::Refused)) => Failure::Lost(Abort::Refused),
            (Some((_, reason)), _) => Failure::Lost(Abort::Fenced(reason)),
            (None, failure) => failure,
        })
    }

    /// Whether the client compresses: then the larger one of two records may be taken.
    fn compresses(&self) -> bool {
        let set = |key| self.config.get(key).is_some_and(|codec| codec != "none");
        set("compression.type") || set("compression.codec")
    }

    /// Whether records go in batches from now on, or each in one of its own: another producer.
    fn set_batching(&mut self, batching: bool) {
        if self.singly == batching {
            self.singly = !batching;
            self.producer = None;
        }
    }

    /// Which topic of the cycle is closed to us, as far as the client said.
    fn denied(&self, cycle: &Cycle) -> Option<Abort> {
        let producer = self.producer.as_ref()?;
        let denied = producer.context().state.lock().denied.clone()?;
        let index = cycle.records.iter().position(|r| *r.topic == *denied)?;
        Some(Abort::Topic {
            index,
            code: RDKafkaErrorCode::TopicAuthorizationFailed,
        })
    }

    fn producer(&mut self, group: &Group) -> Result<&Served<Reports>, Failure> {
        if self.producer.is_none() {
            let error_context = &self.error_context;
            let lost = |e: KafkaError| Failure::Lost(error_context.trouble(&e, group));
            let is_first = !self.was_ready;
            let mut config = self.config.clone();
            if self.singly {
                config.set("batch.num.messages", "1");
            }
            let reports = Reports::new(Ear::of(&self.config));
            let producer = Served::new(&config, reports).map_err(lost)?;
            let begun = producer.init_transactions(self.timeout);
            if let Err(error) = &begun
                && is_first
                && let Some(cause) =
                    abilities::no_transactions(&self.config, &error_context.transactional_id, error)
            {
                return Err(Failure::Lost(Abort::Impossible(cause)));
            }
            begun.map_err(lost)?;
            self.was_ready = true;
            let transactional_id = &*self.error_context.transactional_id;
            ProducerReady { transactional_id }.emit();
            self.producer = Some(producer);
        }
        self.producer
            .as_ref()
            .ok_or_else(|| Failure::Lost(Abort::Trouble("no producer".into())))
    }

    /// Aborts the transaction. If it is `stalled`, no answer is waited for that did not come.
    fn abort(&mut self, stalled: bool) {
        let Some(producer) = &self.producer else {
            return;
        };
        if !stalled {
            await_reports(producer, Duration::from_secs(5), ReportState::may_abort);
        }
        // The flush within the abort waits for all reports: without this it lasts as long as it may,
        // and then the producer is lost.
        let drained = |state: &ReportState| state.outstanding == 0;
        for _ in 0..PURGES {
            // Again, because what was in flight may have come back into the queue.
            producer.purge(PurgeConfig::default().queue());
            if await_reports(producer, PURGE, drained) {
                break;
            }
        }
        if let Err(error) = producer.abort_transaction(self.timeout) {
            ear::failed("abort failed; the producer is made anew", error.to_string());
            self.producer = None;
            return;
        }
        // The reports of what was purged must not be taken for the next transaction's.
        if !await_reports(producer, Duration::from_secs(1), drained) {
            self.producer = None;
        }
    }

    /// Settles a transaction of unknown outcome: initialising under its transactional.id
    /// commits or aborts it for good, then what was committed last is read.
    fn read_back(
        &mut self,
        cycle: &Cycle,
        group: &Group,
        stopping: impl Fn() -> bool,
        begun: Instant,
    ) -> Settled {
        let mut pause = READ_BACK;
        loop {
            if self.producer(group).is_ok() {
                match group.committed(&cycle.offsets, self.timeout) {
                    Ok(found) => return self.judge(cycle, group, &found, begun),
                    Err(error) => {
                        ear::failed("committed offsets cannot be read", error.to_string());
                    }
                }
            }
            if stopping() {
                return Settled::Unknown;
            }
            std::thread::sleep(pause.grow());
        }
    }

    fn judge(&self, cycle: &Cycle, group: &Group, found: &[Commit], begun: Instant) -> Settled {
        // Nothing committed at all for a partition: our offset for it was not either.
        let mut aborted = found.len() < cycle.offsets.len();
        for commit in found {
            let scope = CommitScope {
                cluster: group.cluster_id(),
                topic: &commit.topic,
                partition: commit.partition,
            };
            match metadata::decode(commit.offset, &commit.metadata, &scope) {
                Ok(last)
                    if last.transactional_id == self.error_context.transactional_id
                        && last.cycle == cycle.number =>
                {
                    HadBeenCommitted {
                        cycle: cycle.number,
                    }
                    .emit();
                    return Settled::Committed { begun };
                }
                // Another producer: the partition has moved, which says nothing about us.
                Ok(last) if last.transactional_id != self.error_context.transactional_id => {}
                _ => aborted = true,
            }
        }
        if aborted {
            HadNotBeenCommitted {
                cycle: cycle.number,
            }
            .emit();
            Settled::Aborted(Abort::Trouble("read back as not committed".into()))
        } else {
            Settled::Unknown
        }
    }
}

fn write(
    producer: &Served<Reports>,
    cycle: &Cycle,
    timeout: Duration,
    abort_cause: impl Fn(&KafkaError) -> Abort,
) -> Result<(), Failure> {
    let began = Instant::now();
    producer
        .begin_transaction()
        .map_err(|e| classify(&e, Abort::Trouble(e.to_string())))?;
    // Offsets first. Until the markers of the transaction before are written, the coordinator
    // refuses the first request of this one; librdkafka asks again for offsets after
    // `retry.backoff.ms`, but for partitions of records after 20 ms, whatever is configured.
    for call in offset_calls(&cycle.offsets) {
        retry(timeout, || {
            producer.send_offsets_to_transaction(&call, &cycle.group, timeout)
        })
        .map_err(|e| {
            if ErrorClass::of_error(&e).is_about_topic() && is_abortable(&e) {
                return Failure::Offsets(e);
            }
            classify(&e, abort_cause(&e))
        })?;
    }
    let offsets = began.elapsed();
    produce(producer, cycle, timeout)?;
    let produced = began.elapsed() - offsets;
    let done = retry(timeout, || producer.commit_transaction(timeout)).map_err(|e| match &e {
        _ if is_abortable(&e) => Failure::Abort(abort_cause(&e)),
        _ => Failure::InDoubt(e.to_string()),
    });
    trace!(
        cycle = cycle.number,
        records = cycle.records.len(),
        ?offsets,
        ?produced,
        committed = ?(began.elapsed() - produced - offsets),
        "transaction"
    );
    done
}

fn produce(producer: &Served<Reports>, cycle: &Cycle, timeout: Duration) -> Result<(), Failure> {
    let records = &cycle.records;
    *producer.context().state.lock() = ReportState::default();
    let stall = Stall::new(cycle, timeout);
    let stalled = |state: &ReportState| stall.is_reached(state.reported);
    let deadline = Instant::now() + timeout;
    for (index, output) in records.iter().enumerate() {
        let mut record = BaseRecord::with_opaque_to(&output.topic, index);
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.partition = output.partition;
        record.headers = output.headers.clone();
        producer.context().state.lock().handed_over();
        while let Err((error, back)) = producer.send(record) {
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if Instant::now() < deadline => {
                    std::thread::sleep(NO_ROOM);
                    record = back;
                    let mut state = producer.context().state.lock();
                    if state.is_decided() || stalled(&state) {
                        state.taken_back();
                        drop(state);
                        // All reports may have come since: this record was not written all the same.
                        end(producer, records)?;
                        return Err(Failure::Abort(Abort::Unavailable(vec![index])));
                    }
                }
                code => {
                    producer.context().state.lock().taken_back();
                    return Err(unacceptable(index, code.unwrap_or(RDKafkaErrorCode::Fail)));
                }
            }
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    await_reports(producer, left, |s| s.is_decided() || stalled(s));
    end(producer, records)
}

/// What became of the records handed over, now that they are reported, or something stalls them.
fn end(producer: &Served<Reports>, records: &Records) -> Result<(), Failure> {
    let state = producer.context().state.lock();
    let topic = |index| records.get(index).map_or("", |record| &*record.topic);
    let late = state.unsettled();
    match state.failure {
        Some((index, code)) if ErrorClass::of(code).names_cause() => {
            Err(undeliverable(index, code, topic(index)))
        }
        Some((_, code)) if late.is_empty() && ErrorClass::of(code) == ErrorClass::Purged => {
            Err(Failure::Purged)
        }
        Some((index, code)) if late.is_empty() => Err(undeliverable(index, code, topic(index))),
        None if late.is_empty() => Ok(()),
        _ => Err(Failure::Abort(Abort::Unavailable(late))),
    }
}

/// For how long nothing may be reported of what a transaction produced.
struct Stall {
    since: Instant,
    /// While no record was reported at all.
    first: Duration,
    /// After the last report.
    next: Duration,
}

impl Stall {
    /// That of `cycle`, begun now. It ends before `timeout`, when the brokers abort it.
    fn new(cycle: &Cycle, timeout: Duration) -> Stall {
        let (first, next) = match cycle.trial {
            Some(trial) => (trial.report_timeout, trial.report_timeout),
            None => (cycle.report_timeout * 2, cycle.report_timeout),
        };
        let most = timeout.mul_f64(0.7);
        Stall {
            since: Instant::now(),
            first: first.max(LEAST_STALL).min(most),
            next: next.max(LEAST_STALL).min(most),
        }
    }

    fn is_reached(&self, reported: Option<Instant>) -> bool {
        match reported {
            Some(at) => at.max(self.since).elapsed() >= self.next,
            None => self.since.elapsed() >= self.first,
        }
    }
}

/// Waits for delivery reports until `enough`; `false` at the deadline.
fn await_reports(
    producer: &Served<Reports>,
    timeout: Duration,
    enough: impl Fn(&ReportState) -> bool,
) -> bool {
    let deadline = Instant::now() + timeout;
    let reports = producer.context();
    let mut state = reports.state.lock();
    while !enough(&state) {
        let now = Instant::now();
        if now >= deadline {
            return false;
        }
        // That nothing is reported for long may be enough, too.
        let until = deadline.min(now + LOOK_AGAIN);
        reports.told.wait_until(&mut state, until);
    }
    let all = state.outstanding == 0;
    drop(state);
    // The last report is said before the client counts it as taken, and its flush would wait 100 ms for
    // what does not come.
    while all && producer.in_flight_count() > 0 && Instant::now() < deadline {
        std::thread::sleep(TAKEN);
    }
    true
}

/// What the client itself refuses, it refuses record by record.
fn unacceptable(index: usize, code: RDKafkaErrorCode) -> Failure {
    match undeliverable(index, code, "") {
        Failure::Batch { index, code } => Failure::Abort(Abort::Record {
            index,
            code,
            larger: ErrorClass::of(code) == ErrorClass::TooLarge,
        }),
        other => other,
    }
}

fn undeliverable(index: usize, code: RDKafkaErrorCode, topic: &str) -> Failure {
    match ErrorClass::of(code) {
        ErrorClass::TooLarge | ErrorClass::Invalid | ErrorClass::Timestamp => {
            Failure::Batch { index, code }
        }
        ErrorClass::Fenced | ErrorClass::Fatal => Failure::Lost(Abort::Fenced(code.to_string())),
        // A topic may be created or opened to us, a rule of the broker's may change; it says
        // nothing against the record.
        ErrorClass::TopicDenied
        | ErrorClass::TopicName
        | ErrorClass::Rule
        | ErrorClass::NoTopic
        | ErrorClass::NoPartition => Failure::Abort(Abort::Topic { index, code }),
        _ => Failure::Abort(Abort::Trouble(format!("topic {topic}: {code}"))),
    }
}

/// Splits the offsets into calls the coordinator accepts.
fn offset_calls(offsets: &[Commit]) -> Vec<TopicPartitionList> {
    let mut calls = Vec::new();
    let mut octets = usize::MAX;
    for commit in offsets {
        octets = octets.saturating_add(commit.metadata.len() + commit.topic.len() + 32);
        if octets > OFFSETS_CALL_OCTETS {
            calls.push(TopicPartitionList::new());
            octets = commit.metadata.len();
        }
        if let Some(call) = calls.last_mut() {
            let mut element = call.add_partition(&commit.topic, commit.partition);
            // An offset that is not negative is always accepted.
            let _ = element.set_offset(Offset::Offset(commit.offset));
            element.set_metadata(&commit.metadata);
        }
    }
    calls
}

fn retry(
    timeout: Duration,
    mut call: impl FnMut() -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    let deadline = Instant::now() + timeout;
    let mut pause = CALL;
    loop {
        match call() {
            Err(KafkaError::Transaction(e)) if e.is_retriable() && Instant::now() < deadline => {
                debug!(error = %e, "transaction call retried");
                std::thread::sleep(pause.grow());
            }
            result => return result,
        }
    }
}

/// The transaction can be aborted, and the producer goes on.
fn is_abortable(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(t) if t.txn_requires_abort() && !t.is_fatal())
}

/// A topic that does not exist, of those the cycle's records with the indexes `among` go to. A
/// coordinator that finds one takes none of the others either, and the client only says that it has
/// given up all records.
fn absent(
    cycle: &Cycle,
    among: impl Iterator<Item = usize>,
    group: &Group,
    timeout: Duration,
) -> Option<Abort> {
    let mut asked: Vec<&str> = Vec::new();
    for (index, record) in among.filter_map(|i| Some((i, cycle.records.get(i)?))) {
        if asked.contains(&&*record.topic) {
            continue;
        }
        asked.push(&record.topic);
        if let Err(error) = group.partitions(&record.topic, timeout)
            && ErrorClass::of_error(&error).is_about_topic()
        {
            let code = error.rdkafka_error_code()?;
            return Some(Abort::Topic { index, code });
        }
    }
    None
}

fn classify(error: &KafkaError, abort: Abort) -> Failure {
    match error {
        KafkaError::Transaction(t) if t.is_fatal() => Failure::Lost(abort),
        KafkaError::Transaction(t) if t.txn_requires_abort() => Failure::Abort(abort),
        // Neither fatal nor abortable: the state of this producer is not understood.
        _ => {
            ear::failed("transaction call failed", error.to_string());
            Failure::Lost(abort)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
    use rdkafka::mocking::{MockCluster, MockCoordinator};
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::super::transaction::{Output, Trial};
    use super::super::transactor::Rest;
    use super::*;

    #[test]
    fn after_a_refused_batch_records_go_singly_for_a_while_and_in_batches_again() {
        let mut batching = Batching {
            until: None,
            hold: SINGLY,
        };
        let mut now = Instant::now();
        assert!(!batching.is_singly(now));
        let mut holds = Vec::new();
        for _ in 0..5 {
            let hold = batching.refused(now);
            assert!(batching.is_singly(now));
            now += hold;
            assert!(!batching.is_singly(now));
            holds.push(hold);
        }
        assert!(holds[0] <= Duration::from_secs(1), "{holds:?}");
        assert!(holds[4] >= Duration::from_secs(8), "{holds:?}");
        let another = batching.refused(now + SETTLED);
        assert!(another <= Duration::from_secs(1), "{another:?}");
    }

    /// A producer whose Kafka has a topic with two partitions, each on a broker of its own.
    struct Scene {
        kafka: MockCluster<'static, DefaultProducerContext>,
        producer: TransactionalProducer,
        group: Arc<Group>,
        membership: Arc<ConsumerGroupMetadata>,
        number: u64,
    }

    impl Scene {
        fn new() -> Scene {
            let kafka = MockCluster::new(2).unwrap();
            kafka.create_topic("results", 2, 1).unwrap();
            kafka.create_topic("source", 1, 1).unwrap();
            for (partition, broker) in [(0, 1), (1, 2)] {
                let leader = Some(broker);
                kafka
                    .partition_leader("results", partition, leader)
                    .unwrap();
            }
            for coordinator in [
                MockCoordinator::Transaction("writer".into()),
                MockCoordinator::Group("group".into()),
            ] {
                kafka.coordinator(coordinator, 1).unwrap();
            }
            let mut client = ClientConfig::new();
            client.set("bootstrap.servers", kafka.bootstrap_servers());
            let consumer: BaseConsumer = client.clone().set("group.id", "group").create().unwrap();
            Scene {
                kafka,
                producer: TransactionalProducer::new(&Options {
                    client: client.clone(),
                    transactional_id: "writer".into(),
                    transaction_timeout: Duration::from_secs(30),
                    tick: Duration::from_millis(100),
                    thread: "writer",
                    rest: Rest::Short,
                }),
                group: Group::new("group", client, "cluster".into()),
                membership: Arc::new(consumer.group_metadata().unwrap()),
                number: 0,
            }
        }

        /// A transaction with a record for each of these partitions.
        fn transact(&mut self, partitions: &[i32], trial: Option<Trial>) -> Settled {
            self.number += 1;
            let output = |partition: &i32| Output {
                topic: "results".into(),
                partition: Some(*partition),
                key: None,
                value: Some(b"1".into()),
                headers: None,
            };
            let cycle = Cycle {
                number: self.number,
                records: partitions.iter().map(output).collect(),
                offsets: vec![Commit {
                    topic: "source".into(),
                    partition: 0,
                    offset: self.number as i64,
                    metadata: String::new(),
                }],
                group: self.membership.clone(),
                report_timeout: Duration::from_secs(2),
                trial,
            };
            self.producer.transact(&cycle, &self.group, || false)
        }
    }

    #[test]
    fn a_partition_that_is_not_available_is_blamed_for_its_records_and_no_others() {
        let mut scene = Scene::new();
        assert!(matches!(
            scene.transact(&[0, 1], None),
            Settled::Committed { .. }
        ));
        scene.kafka.broker_down(2).unwrap();
        let trial = Some(Trial {
            singly: false,
            report_timeout: Duration::from_secs(1),
        });
        for (partitions, trial, late) in [
            (&[0, 1, 0, 1][..], None, &[1, 3][..]),
            (&[1, 1], trial, &[0, 1]),
            (&[1], None, &[0]),
        ] {
            let begun = Instant::now();
            let end = scene.transact(partitions, trial);
            let Settled::Aborted(Abort::Unavailable(indexes)) = end else {
                panic!("{end:?}")
            };
            assert_eq!(indexes, late);
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "{:?}",
                begun.elapsed()
            );
            assert!(
                scene.producer.producer.is_some(),
                "the producer is not lost"
            );
            let others = scene.transact(&[0, 0], None);
            assert!(matches!(others, Settled::Committed { .. }), "{others:?}");
        }
        scene.kafka.broker_up(2).unwrap();
        let mut ends = (0..10).map(|_| scene.transact(&[1, 1], trial));
        assert!(ends.any(|end| matches!(end, Settled::Committed { .. })));
    }

    #[test]
    fn records_go_singly_only_where_batches_are_refused_and_records_are_not() {
        let mut scene = Scene::new();
        let large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        scene
            .kafka
            .request_errors(RDKafkaApiKey::Produce, &[large; 2]);
        let end = scene.transact(&[0], None);
        let named = Abort::Record {
            index: 0,
            code: RDKafkaErrorCode::MessageSizeTooLarge,
            larger: true,
        };
        assert_eq!(format!("{end:?}"), format!("{:?}", Settled::Aborted(named)));
        assert!(scene.producer.singly);
        assert!(matches!(
            scene.transact(&[0], None),
            Settled::Committed { .. }
        ));
        assert!(!scene.producer.singly, "the others have done nothing");
        let trial = Trial {
            singly: true,
            report_timeout: Duration::from_secs(5),
        };
        let end = scene.transact(&[0], Some(trial));
        assert!(matches!(end, Settled::Committed { .. }) && scene.producer.singly);
        scene.kafka.request_errors(RDKafkaApiKey::Produce, &[large]);
        scene.transact(&[0], None);
        scene.transact(&[0], None);
        assert!(scene.producer.singly, "batches are what is refused");
    }
}
