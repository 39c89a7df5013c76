//! One transactional producer and the cycles it goes round in.
//!
//! A pipeline keeps its results in a [`Ledger`]. The transactor asks it for what belongs
//! into the next transaction ([`Ledger::begin`]), writes it, and tells it how the
//! transaction ended ([`Ledger::settled`]). While one transaction commits, the next one's
//! results gather in the ledger.
//!
//! # What a transaction promises
//!
//! - Its records, and the offsets and metadata of every partition it touches, become visible
//!   together or not at all. A cycle without offsets would not be fenced by the group, so
//!   there is none: [`Cycle::offsets`] is never empty.
//! - The group metadata is taken by the ledger when it fills the cycle, under the same lock
//!   that guards the assignment, and is not refreshed: if a rebalance comes in between, the
//!   coordinator refuses the offsets and the transaction is aborted as a whole.
//! - All delivery reports are awaited before the commit; an abort is never sent while the
//!   first produce request of the transaction is in flight (librdkafka can turn that into a
//!   fatal error).
//! - An outcome that is not known (time-out, fenced, fatal error inside the commit) is not
//!   guessed. A new producer initialises under the same transactional.id, which settles the
//!   transaction one way or the other, and the metadata committed last says which: it names
//!   the writer and the number of its transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientContext, Message};
use tracing::{debug, error, info, warn};

use super::group::Group;
use super::progress::{Identity, metadata};

/// One offsets call carries at most this much metadata: a TxnOffsetCommit of 1 MB fails.
const OFFSETS_CALL_OCTETS: usize = 200_000;

/// A record to be produced within a transaction.
#[derive(Debug)]
pub struct Output {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None` lets the partitioner choose by key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Option<OwnedHeaders>,
}

impl Output {
    /// About how much memory and transaction space the record takes, in octets.
    pub fn size(&self) -> usize {
        128 + self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// An offset to be committed within a transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The source topic.
    pub topic: Arc<str>,
    /// The source partition.
    pub partition: i32,
    /// The lowest unfinished offset.
    pub offset: i64,
    /// The progress metadata, see [`super::progress::metadata`].
    pub metadata: String,
}

/// The contents of one transaction.
pub struct Cycle {
    /// Number of the transaction within this process, as it stands in the metadata.
    pub number: u64,
    /// The records, in order.
    pub records: Vec<Output>,
    /// The offset of every partition whose state or events the transaction touches.
    pub offsets: Vec<Commit>,
    /// The membership under which the offsets are committed.
    pub group: ConsumerGroupMetadata,
}

/// How a transaction ended.
#[derive(Debug)]
pub enum Settled {
    /// Committed; the membership was valid at some time after `begun`.
    Committed {
        /// When the transaction was begun.
        begun: Instant,
    },
    /// Not committed, for certain.
    Aborted(Abort),
    /// Whether it was committed cannot be told any more, because every partition it touched
    /// has moved on to another owner.
    Unknown,
}

/// Why a transaction was aborted.
#[derive(Debug)]
pub enum Abort {
    /// The group has moved on (rebalance) or the producer was fenced.
    Fenced(String),
    /// The record with this index in [`Cycle::records`] cannot be produced, however often.
    Record {
        /// Index into the cycle's records.
        index: usize,
        /// What the broker or the client said.
        code: RDKafkaErrorCode,
    },
    /// Something that may pass.
    Trouble(String),
}

/// The books of a pipeline, as its transactor sees them.
pub trait Ledger: Send + Sync + 'static {
    /// What goes into the next transaction, or `None` if there is nothing to do. `writer` is
    /// the transactional.id to name in the metadata. Called on the transactor's thread, at
    /// least every [`Options::tick`].
    fn begin(&self, writer: &str) -> Option<Cycle>;

    /// How the transaction that [`begin`](Self::begin) filled last ended.
    fn settled(&self, outcome: Settled);
}

/// How a transactor works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Client properties (brokers, security, what the user set).
    pub client: ClientConfig,
    /// The producer's transactional.id: unique to this process.
    pub transactional_id: String,
    /// `transaction.timeout.ms`: after this the broker aborts what a dead process left open.
    pub transaction_timeout: Duration,
    /// Longest time between two calls of [`Ledger::begin`].
    pub tick: Duration,
}

#[derive(Default)]
struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    woken: bool,
    stopping: bool,
    stopped: bool,
}

/// Wakes and stops a [`Transactor`]. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Signal>);

impl Handle {
    /// There is something for the next transaction.
    pub fn wake(&self) {
        let mut state = self.0.state.lock();
        if !state.woken {
            state.woken = true;
            self.0.changed.notify_all();
        }
    }

    /// Ends the transactor after the cycle under way and waits until it has ended.
    pub fn stop(&self) {
        let mut state = self.0.state.lock();
        state.stopping = true;
        self.0.changed.notify_all();
        while !state.stopped {
            self.0.changed.wait(&mut state);
        }
    }
}

/// The service: see the [module](self).
pub struct Transactor<L> {
    options: Options,
    ledger: Arc<L>,
    group: Arc<Group>,
    signal: Arc<Signal>,
}

impl<L: Ledger> Transactor<L> {
    /// A transactor that commits the offsets of `group`.
    pub fn new(options: Options, ledger: Arc<L>, group: Arc<Group>) -> (Self, Handle) {
        let signal = Arc::new(Signal::default());
        let handle = Handle(signal.clone());
        (
            Transactor {
                options,
                ledger,
                group,
                signal,
            },
            handle,
        )
    }

    /// Runs until [`Handle::stop`]. Blocks: give it a thread of its own.
    pub fn run(self) {
        let mut writer = Writer::new(&self.options);
        while self.wait() {
            let Some(cycle) = self.ledger.begin(&self.options.transactional_id) else {
                continue;
            };
            debug_assert!(
                !cycle.offsets.is_empty(),
                "a transaction without offsets is not fenced"
            );
            let settled = writer.transact(&cycle, &self.group, &self.signal);
            let pause = match &settled {
                Settled::Committed { .. } => Duration::ZERO,
                Settled::Aborted(Abort::Trouble(_)) => Duration::from_millis(250),
                _ => Duration::from_millis(20),
            };
            self.ledger.settled(settled);
            if !pause.is_zero() {
                std::thread::sleep(pause);
                Handle(self.signal.clone()).wake();
            }
        }
        drop(writer);
        self.signal.state.lock().stopped = true;
        self.signal.changed.notify_all();
    }

    /// Waits for work or the tick; `false` when it is time to end.
    fn wait(&self) -> bool {
        let mut state = self.signal.state.lock();
        if !state.woken && !state.stopping {
            self.signal.changed.wait_for(&mut state, self.options.tick);
        }
        state.woken = false;
        !state.stopping
    }
}

/// Collects the delivery reports of the transaction under way.
#[derive(Default)]
struct Reports(Mutex<ReportState>);

#[derive(Default)]
struct ReportState {
    outstanding: usize,
    failure: Option<(usize, RDKafkaErrorCode)>,
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "transactional producer");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut state = self.0.lock();
        state.outstanding -= 1;
        if let Err((error, message)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            debug!(topic = message.topic(), ?code, "record not delivered");
            // The first cause explains the others, which only say that they were purged.
            state.failure.get_or_insert((index, code));
        }
    }
}

/// The producer, made anew when it is lost.
struct Writer {
    config: ClientConfig,
    transactional_id: String,
    patience: Duration,
    producer: Option<BaseProducer<Reports>>,
}

enum Failure {
    /// The transaction can be aborted and the producer stays.
    Abort(Abort),
    /// The producer is lost before the commit was asked for: certainly not committed.
    Lost(Abort),
    /// The producer is lost and the transaction may have been committed.
    InDoubt(String),
}

impl Writer {
    fn new(options: &Options) -> Self {
        let mut config = options.client.clone();
        let timeout = options.transaction_timeout.as_millis().to_string();
        config
            .set("transactional.id", &options.transactional_id)
            .set("transaction.timeout.ms", &timeout)
            .set("message.timeout.ms", &timeout)
            .set("enable.idempotence", "true");
        Writer {
            config,
            transactional_id: options.transactional_id.clone(),
            patience: options.transaction_timeout,
            producer: None,
        }
    }

    fn transact(&mut self, cycle: &Cycle, group: &Group, signal: &Signal) -> Settled {
        let begun = Instant::now();
        let patience = self.patience;
        let failure = match self.producer().and_then(|p| attempt(p, cycle, patience)) {
            Ok(()) => return Settled::Committed { begun },
            Err(failure) => failure,
        };
        match failure {
            Failure::Abort(abort) => {
                debug!(?abort, "transaction aborted");
                self.abort();
                Settled::Aborted(abort)
            }
            Failure::Lost(abort) => {
                warn!(?abort, "transactional producer lost; it is made anew");
                self.producer = None;
                Settled::Aborted(abort)
            }
            Failure::InDoubt(reason) => {
                warn!(reason, "commit with unknown outcome; it is read back");
                self.producer = None;
                self.read_back(cycle, group, signal, begun)
            }
        }
    }

    fn producer(&mut self) -> Result<&BaseProducer<Reports>, Failure> {
        if self.producer.is_none() {
            let lost = |e: KafkaError| Failure::Lost(Abort::Trouble(e.to_string()));
            let producer: BaseProducer<Reports> = self
                .config
                .create_with_context(Reports::default())
                .map_err(lost)?;
            producer.init_transactions(self.patience).map_err(lost)?;
            info!(
                transactional_id = self.transactional_id,
                "transactional producer ready"
            );
            self.producer = Some(producer);
        }
        self.producer
            .as_ref()
            .ok_or_else(|| Failure::Lost(Abort::Trouble("no producer".into())))
    }

    fn abort(&mut self) {
        let Some(producer) = &self.producer else {
            return;
        };
        await_reports(producer, Duration::from_secs(5));
        if let Err(error) = producer.abort_transaction(self.patience) {
            warn!(%error, "abort failed; the producer is made anew");
            self.producer = None;
        }
    }

    /// Settles a transaction of unknown outcome: initialising under its transactional.id
    /// commits or aborts it for good, then what was committed last is read.
    fn read_back(
        &mut self,
        cycle: &Cycle,
        group: &Group,
        signal: &Signal,
        begun: Instant,
    ) -> Settled {
        loop {
            if self.producer().is_ok() {
                match group.committed(&cycle.offsets, self.patience) {
                    Ok(found) => return self.judge(cycle, group, &found, begun),
                    Err(error) => warn!(%error, "committed offsets cannot be read"),
                }
            }
            if signal.state.lock().stopping {
                return Settled::Unknown;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn judge(&self, cycle: &Cycle, group: &Group, found: &[Commit], begun: Instant) -> Settled {
        let mut aborted = false;
        for commit in found {
            let identity = Identity {
                cluster: group.cluster_id(),
                topic: &commit.topic,
                partition: commit.partition,
            };
            match metadata::decode(commit.offset, &commit.metadata, &identity) {
                Ok(last) if last.writer == self.transactional_id && last.cycle == cycle.number => {
                    info!(cycle = cycle.number, "the transaction had been committed");
                    return Settled::Committed { begun };
                }
                // Another writer: the partition has moved, which says nothing about us.
                Ok(last) if last.writer != self.transactional_id => {}
                _ => aborted = true,
            }
        }
        if aborted {
            info!(
                cycle = cycle.number,
                "the transaction had not been committed"
            );
            Settled::Aborted(Abort::Trouble("read back as not committed".into()))
        } else {
            Settled::Unknown
        }
    }
}

fn attempt(
    producer: &BaseProducer<Reports>,
    cycle: &Cycle,
    patience: Duration,
) -> Result<(), Failure> {
    producer
        .begin_transaction()
        .map_err(|e| classify(&e, Abort::Trouble(e.to_string())))?;
    produce(producer, &cycle.records, patience)?;
    for call in offset_calls(&cycle.offsets) {
        retry(patience, || {
            producer.send_offsets_to_transaction(&call, &cycle.group, patience)
        })
        .map_err(|e| classify(&e, abort_cause(&e)))?;
    }
    retry(patience, || producer.commit_transaction(patience)).map_err(|e| match &e {
        KafkaError::Transaction(t) if t.txn_requires_abort() && !t.is_fatal() => {
            Failure::Abort(abort_cause(&e))
        }
        _ => Failure::InDoubt(e.to_string()),
    })
}

fn produce(
    producer: &BaseProducer<Reports>,
    records: &[Output],
    patience: Duration,
) -> Result<(), Failure> {
    *producer.context().0.lock() = ReportState::default();
    let deadline = Instant::now() + patience;
    for (index, output) in records.iter().enumerate() {
        let mut record = BaseRecord::with_opaque_to(&output.topic, index);
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.partition = output.partition;
        record.headers = output.headers.clone();
        producer.context().0.lock().outstanding += 1;
        while let Err((error, back)) = producer.send(record) {
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if Instant::now() < deadline => {
                    producer.poll(Duration::from_millis(5));
                    record = back;
                }
                code => {
                    producer.context().0.lock().outstanding -= 1;
                    return Err(undeliverable(index, code.unwrap_or(RDKafkaErrorCode::Fail)));
                }
            }
        }
        if index % 1024 == 1023 {
            producer.poll(Duration::ZERO);
        }
    }
    if !await_reports(producer, deadline.saturating_duration_since(Instant::now())) {
        return Err(Failure::Abort(Abort::Trouble(
            "no delivery reports in time".into(),
        )));
    }
    let failure = producer.context().0.lock().failure;
    failure.map_or(Ok(()), |(index, code)| Err(undeliverable(index, code)))
}

/// Serves delivery reports until none is outstanding; `false` at the deadline.
fn await_reports(producer: &BaseProducer<Reports>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while producer.context().0.lock().outstanding > 0 {
        if Instant::now() >= deadline {
            return false;
        }
        producer.poll(Duration::from_millis(10));
    }
    true
}

fn undeliverable(index: usize, code: RDKafkaErrorCode) -> Failure {
    use RDKafkaErrorCode as Code;
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::InvalidMessage
        | Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::TopicAuthorizationFailed => Failure::Abort(Abort::Record { index, code }),
        Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fenced | Code::Fatal => {
            Failure::Lost(Abort::Fenced(code.to_string()))
        }
        other => Failure::Abort(Abort::Trouble(other.to_string())),
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
    patience: Duration,
    mut call: impl FnMut() -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    let deadline = Instant::now() + patience;
    loop {
        match call() {
            Err(KafkaError::Transaction(e)) if e.is_retriable() && Instant::now() < deadline => {
                debug!(error = %e, "transaction call retried");
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

fn abort_cause(error: &KafkaError) -> Abort {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::RebalanceInProgress
            | Code::StaleMemberEpoch
            | Code::FencedMemberEpoch
            | Code::ProducerFenced
            | Code::Fenced,
        ) => Abort::Fenced(error.to_string()),
        _ => Abort::Trouble(error.to_string()),
    }
}

fn classify(error: &KafkaError, abort: Abort) -> Failure {
    match error {
        KafkaError::Transaction(t) if t.is_fatal() => Failure::Lost(abort),
        KafkaError::Transaction(t) if t.txn_requires_abort() => Failure::Abort(abort),
        // Neither fatal nor abortable: the state of this producer is not understood.
        _ => {
            error!(%error, "transaction call failed");
            Failure::Lost(abort)
        }
    }
}

/// Ends whatever transaction a dead process left open under `transactional_id`, by
/// initialising a producer under that name. A process that is alive after all is fenced and
/// makes its producer anew.
pub fn end_hanging(
    client: &ClientConfig,
    transactional_id: &str,
    patience: Duration,
) -> Result<(), KafkaError> {
    let producer: BaseProducer = client
        .clone()
        .set("transactional.id", transactional_id)
        .set("enable.idempotence", "true")
        .create()?;
    producer.init_transactions(patience)
}
