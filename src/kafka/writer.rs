//! The transactional producer of a [`Transactor`](super::transactor::Transactor): one
//! transaction from begin to a known end.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig,
};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientContext, Message};
use tracing::{debug, error, info, trace, warn};

use super::group::{Group, is_about_topic};
use super::pause::Pause;
use super::progress::{Identity, metadata};
use super::transactor::{Abort, Commit, Cycle, Options, Output, Settled};

/// One offsets call carries at most this much metadata: a TxnOffsetCommit of 1 MB fails.
const OFFSETS_CALL_OCTETS: usize = 200_000;

/// Pause before delivery reports are looked for again.
const PAUSE: Duration = Duration::from_micros(500);

/// Pauses before a call is made again that librdkafka says may succeed.
const CALL: Pause = Pause::new(Duration::from_millis(10), Duration::from_millis(200));

/// Pauses before a commit of unknown outcome is looked for again.
const READ_BACK: Pause = Pause::new(Duration::from_millis(100), Duration::from_secs(1));

/// Collects the delivery reports of the transaction under way.
#[derive(Default)]
struct Reports(Mutex<ReportState>);

#[derive(Default)]
struct ReportState {
    outstanding: usize,
    reported: bool,
    failure: Option<(usize, RDKafkaErrorCode)>,
}

impl ReportState {
    /// Everything is delivered, or something never will be: librdkafka holds back the rest
    /// of a transaction it can only abort, so their reports do not come.
    fn is_decided(&self) -> bool {
        self.outstanding == 0 || self.failure.is_some_and(|(_, code)| names_cause(code))
    }

    /// The first produce request has been answered.
    fn may_abort(&self) -> bool {
        self.outstanding == 0 || self.reported
    }

    /// One cause brings down the other records of the transaction, which then only say
    /// that they were purged or that another one was invalid, and may say so first.
    fn fail(&mut self, index: usize, code: RDKafkaErrorCode) {
        match self.failure {
            Some((_, known)) if names_cause(known) || !names_cause(code) => {}
            _ => self.failure = Some((index, code)),
        }
    }
}

fn names_cause(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        code,
        Code::PurgeQueue
            | Code::PurgeInflight
            | Code::InvalidDifferentRecord
            | Code::MessageTimedOut
            | Code::Fatal
    )
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
        // A report can come after its transaction was given up.
        state.outstanding = state.outstanding.saturating_sub(1);
        state.reported = true;
        if let Err((error, message)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            debug!(topic = message.topic(), ?code, "record not delivered");
            state.fail(index, code);
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
    Offsets(String),
    /// The producer is lost before the commit was asked for: certainly not committed.
    Lost(Abort),
    /// The producer is lost and the transaction may have been committed.
    InDoubt(String),
}

/// The producer, made anew when it is lost.
pub(super) struct Writer {
    config: ClientConfig,
    transactional_id: String,
    patience: Duration,
    producer: Option<BaseProducer<Reports>>,
    /// Every record goes in a batch of its own, so that the broker's verdict on a batch is
    /// one on a record.
    singly: bool,
    batching: Batching,
}

/// When records go singly. After a refused batch they do for a while, in which further records
/// that are refused are named at once; then in batches again. If that is refused again before
/// long, the while is longer: a topic whose limit is below the size of a batch refuses one after
/// another, and each costs a transaction and two new producers.
struct Batching {
    /// Until when records go singly.
    until: Option<Instant>,
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
        let hold = self.hold.next();
        self.until = Some(now + hold);
        hold
    }
}

impl Writer {
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
            // A missing topic is to be named before its records merely time out.
            let half = (timeout / 2).as_millis().to_string();
            config.set("topic.metadata.propagation.max.ms", half);
        }
        Writer {
            config,
            transactional_id: options.transactional_id.clone(),
            patience: timeout,
            producer: None,
            singly: false,
            batching: Batching {
                until: None,
                hold: SINGLY,
            },
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
        self.go(self.batching.is_singly(begun));
        let mut end = self.attempt(cycle);
        if let Err(Failure::Batch { index, code }) = end
            && !self.singly
        {
            let topic = cycle.records.get(index).map_or("", |r| &r.topic);
            debug!(topic, ?code, "batch refused; its records are tried singly");
            self.abort();
            let hold = self.batching.refused(Instant::now());
            self.go(true);
            end = self.attempt(cycle);
            if end.is_ok() {
                warn!(
                    topic,
                    ?hold,
                    "the topic takes each record but not a batch of them, so records go singly \
                     for a while, which is slow: raise the topic's max.message.bytes or lower \
                     batch.size in [kafka.properties]"
                );
            }
        }
        match end {
            Ok(()) => Settled::Committed { begun },
            Err(Failure::Abort(abort)) => {
                debug!(?abort, "transaction aborted");
                self.abort();
                Settled::Aborted(abort)
            }
            Err(Failure::Offsets(reason)) => {
                self.abort();
                let gone = group.missing(&cycle.offsets, self.patience);
                Settled::Aborted(match gone.is_empty() {
                    true => Abort::Trouble(reason),
                    false => Abort::Gone(gone),
                })
            }
            Err(Failure::Batch { index, code }) => {
                debug!(index, ?code, "record refused");
                self.abort();
                Settled::Aborted(Abort::Record { index, code })
            }
            Err(Failure::Lost(abort)) => {
                warn!(?abort, "transactional producer lost; it is made anew");
                self.producer = None;
                Settled::Aborted(abort)
            }
            Err(Failure::InDoubt(reason)) => {
                warn!(reason, "commit with unknown outcome; it is read back");
                self.producer = None;
                self.read_back(cycle, group, stopping, begun)
            }
        }
    }

    fn attempt(&mut self, cycle: &Cycle) -> Result<(), Failure> {
        let patience = self.patience;
        let producer = self.producer()?;
        write(producer, cycle, patience).map_err(|failure| {
            match (producer.client().fatal_error(), failure) {
                (_, Failure::InDoubt(reason)) => Failure::InDoubt(reason),
                (Some((_, reason)), _) => Failure::Lost(Abort::Fenced(reason)),
                (None, failure) => failure,
            }
        })
    }

    fn go(&mut self, singly: bool) {
        if self.singly != singly {
            self.singly = singly;
            self.producer = None;
        }
    }

    fn producer(&mut self) -> Result<&BaseProducer<Reports>, Failure> {
        if self.producer.is_none() {
            let lost = |e: KafkaError| Failure::Lost(Abort::Trouble(e.to_string()));
            let mut config = self.config.clone();
            if self.singly {
                config.set("batch.num.messages", "1");
            }
            let producer: BaseProducer<Reports> = config
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
        await_reports(producer, Duration::from_secs(5), ReportState::may_abort);
        // The flush within the abort waits for reports that only our polling takes: without
        // this it lasts as long as it may, and then the producer is lost.
        producer.purge(PurgeConfig::default().queue());
        let drained = |state: &ReportState| state.outstanding == 0;
        await_reports(producer, Duration::from_secs(5), drained);
        if let Err(error) = producer.abort_transaction(self.patience) {
            warn!(%error, "abort failed; the producer is made anew");
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
            if self.producer().is_ok() {
                match group.committed(&cycle.offsets, self.patience) {
                    Ok(found) => return self.judge(cycle, group, &found, begun),
                    Err(error) => warn!(%error, "committed offsets cannot be read"),
                }
            }
            if stopping() {
                return Settled::Unknown;
            }
            std::thread::sleep(pause.next());
        }
    }

    fn judge(&self, cycle: &Cycle, group: &Group, found: &[Commit], begun: Instant) -> Settled {
        // Nothing committed at all for a partition: our offset for it was not either.
        let mut aborted = found.len() < cycle.offsets.len();
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

fn write(
    producer: &BaseProducer<Reports>,
    cycle: &Cycle,
    patience: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    producer
        .begin_transaction()
        .map_err(|e| classify(&e, Abort::Trouble(e.to_string())))?;
    // Offsets first. Until the markers of the transaction before are written, the coordinator
    // refuses the first request of this one; librdkafka asks again for offsets after
    // `retry.backoff.ms`, but for partitions of records after 20 ms, whatever is configured.
    for call in offset_calls(&cycle.offsets) {
        retry(patience, || {
            producer.send_offsets_to_transaction(&call, &cycle.group, patience)
        })
        .map_err(|e| match classify(&e, abort_cause(&e)) {
            Failure::Abort(Abort::Trouble(why)) if is_about_topic(&e) => Failure::Offsets(why),
            failure => failure,
        })?;
    }
    let offsets = began.elapsed();
    produce(producer, &cycle.records, patience)?;
    let produced = began.elapsed() - offsets;
    let done = retry(patience, || producer.commit_transaction(patience)).map_err(|e| match &e {
        KafkaError::Transaction(t) if t.txn_requires_abort() && !t.is_fatal() => {
            Failure::Abort(abort_cause(&e))
        }
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
                    return Err(unacceptable(index, code.unwrap_or(RDKafkaErrorCode::Fail)));
                }
            }
        }
        if index % 1024 == 1023 {
            producer.poll(Duration::ZERO);
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    if !await_reports(producer, left, ReportState::is_decided) {
        return Err(Failure::Abort(Abort::Trouble(
            "no delivery reports in time".into(),
        )));
    }
    let failure = producer.context().0.lock().failure;
    failure.map_or(Ok(()), |(index, code)| {
        Err(undeliverable(index, code, &records[index].topic))
    })
}

/// Serves delivery reports until `enough`; `false` at the deadline.
fn await_reports(
    producer: &BaseProducer<Reports>,
    patience: Duration,
    enough: impl Fn(&ReportState) -> bool,
) -> bool {
    let deadline = Instant::now() + patience;
    let mut before = usize::MAX;
    loop {
        let outstanding = {
            let state = producer.context().0.lock();
            if enough(&state) {
                return true;
            }
            state.outstanding
        };
        if Instant::now() >= deadline {
            return false;
        }
        // Nothing came: a pause of our own. A poll with a time always lasts that long, and
        // spends the last millisecond of it asking again and again.
        if outstanding == before {
            std::thread::sleep(PAUSE);
        }
        before = outstanding;
        producer.poll(Duration::ZERO);
    }
}

/// What the client itself refuses, it refuses record by record.
fn unacceptable(index: usize, code: RDKafkaErrorCode) -> Failure {
    match undeliverable(index, code, "") {
        Failure::Batch { index, code } => Failure::Abort(Abort::Record { index, code }),
        other => other,
    }
}

fn undeliverable(index: usize, code: RDKafkaErrorCode, topic: &str) -> Failure {
    use RDKafkaErrorCode as Code;
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessageSize
        | Code::MessageBatchTooLarge
        | Code::InvalidTimestamp
        | Code::InvalidRecord
        | Code::InvalidMessage => Failure::Batch { index, code },
        Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fenced | Code::Fatal => {
            Failure::Lost(Abort::Fenced(code.to_string()))
        }
        // A topic may be created or opened to us, a rule of the broker's may change; it says
        // nothing against the record.
        Code::TopicAuthorizationFailed
        | Code::InvalidTopic
        | Code::PolicyViolation
        | Code::Unknown
        | Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition => Failure::Abort(Abort::Topic { index, code }),
        other => Failure::Abort(Abort::Trouble(format!("topic {topic}: {other}"))),
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
    let mut pause = CALL;
    loop {
        match call() {
            Err(KafkaError::Transaction(e)) if e.is_retriable() && Instant::now() < deadline => {
                debug!(error = %e, "transaction call retried");
                std::thread::sleep(pause.next());
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

#[cfg(test)]
mod tests {
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
}
