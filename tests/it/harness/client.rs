//! What tests do with Kafka from outside: topics, records in, records and offsets out.

use std::collections::HashSet;
use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, config::RDKafkaLogLevel};
use serde_json::Value;

use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;

use super::PATIENCE;

/// The format of the internal topics if it is not to be the default: `INTERNAL_FORMAT=json` runs the tests
/// with that.
pub fn internal_format() -> Option<Format> {
    let name = std::env::var("INTERNAL_FORMAT").ok()?;
    Some(serde_json::from_value(name.into()).expect("INTERNAL_FORMAT is the name of a format"))
}

/// A codec of that format.
pub fn internal_codec() -> Codec {
    Codec::new(internal_format().unwrap_or(Format::Cbor))
}

/// A name no other test uses, beginning with `stem`.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{stem}-{:x}-{n}", now.as_millis())
}

/// A Kafka cluster as seen by a test.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `bootstrap.servers`.
    pub bootstrap: String,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When its producer made it, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Its key, as text.
    pub key: Option<String>,
    /// Its value as JSON; a text if it is not JSON, null if it is a tombstone.
    pub value: Value,
    /// Its value as it is; empty if it is a tombstone.
    pub octets: Vec<u8>,
    /// Its headers, as text.
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// The value of the only header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut of = self.headers.iter().filter(|(key, _)| key == name);
        let (_, value) = of.next()?;
        assert_eq!(of.next(), None, "{name} stands twice");
        Some(value)
    }
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Record {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let value = message.payload().map_or(Value::Null, |octets| {
            // Those of internal topics are in CBOR.
            let shown = Codec::new(Format::Cbor).shown(octets);
            shown.unwrap_or_else(|_| Value::String(text(octets)))
        });
        let headers = message.headers().map_or(Vec::new(), |headers| {
            let header = |h: Header<'_, &[u8]>| (h.key.to_owned(), text(h.value.unwrap_or(b"")));
            headers.iter().map(header).collect()
        });
        Record {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(text),
            octets: message.payload().unwrap_or_default().to_vec(),
            value,
            headers,
        }
    }
}

/// A record to be produced.
#[derive(Clone, Debug, Default)]
pub struct Send<'a> {
    /// Its partition, if not by key.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<&'a str>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [(&'a str, &'a str)],
}

struct Delivered;

impl ClientContext for Delivered {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            panic!("a test's record was not delivered: {error}");
        }
    }
}

impl Kafka {
    pub(super) fn at(bootstrap: String) -> Kafka {
        Kafka { bootstrap }
    }

    /// Client properties for this cluster.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("log_level", "0")
            .set("retry.backoff.ms", "20")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        config
    }

    /// Properties of a member of `group`.
    pub fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config
            .set("group.id", group)
            // Long, because a test machine can be slow.
            .set("session.timeout.ms", "30000")
            .set("heartbeat.interval.ms", "300")
            .set("fetch.wait.max.ms", "50");
        config
    }

    /// Creates a topic.
    pub fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        self.topics(&[Topic {
            name,
            partitions,
            configs,
        }]);
    }

    /// Creates topics.
    pub fn topics(&self, topics: &[Topic<'_>]) {
        let admin = self.admin();
        let mut missing: Vec<_> = topics.iter().collect();
        eventually("the topics are created", PATIENCE, || {
            let new: Vec<NewTopic<'_>> = missing.iter().map(|topic| topic.request()).collect();
            let results = wait(admin.create_topics(&new, &options()));
            let mut results = results.expect("topics can be created").into_iter();
            missing.retain(|_| match results.next().expect("one for each") {
                Ok(_) => false,
                // The broker was too busy for its heartbeats and is not counted just now.
                Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) => true,
                Err((name, code)) => panic!("{name}: {code}"),
            });
            missing.is_empty()
        });
        // Clients ask any time later: the topics must be known by then.
        let probe: BaseConsumer = self.config().create().expect("a client");
        for topic in topics {
            eventually("the topic is known", PATIENCE, || {
                let metadata = probe.fetch_metadata(Some(topic.name), PATIENCE);
                let metadata = metadata.expect("metadata");
                metadata.topics()[0].partitions().len() == topic.partitions as usize
            });
        }
    }

    /// Deletes the records of a partition below an offset, as retention would.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        let mut element = offsets.add_partition(topic, partition);
        element
            .set_offset(Offset::Offset(before))
            .expect("an offset");
        wait(self.admin().delete_records(&offsets, &options())).expect("records can be deleted");
    }

    /// Gives a topic so many partitions.
    pub fn grow(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        let grown = wait(self.admin().create_partitions([&new], &options()));
        grown.expect("topics can grow").remove(0).expect("grown");
    }

    /// Changes a setting of a topic.
    pub fn alter_topic(&self, name: &str, key: &str, value: &str) {
        let topic = AlterConfig::new(ResourceSpecifier::Topic(name)).set(key, value);
        wait(self.admin().alter_configs([&topic], &options())).expect("topics can be altered");
    }

    /// Whether a topic is there.
    pub fn has(&self, name: &str) -> bool {
        let probe: BaseConsumer = self.config().create().expect("a client");
        let metadata = probe.fetch_metadata(Some(name), PATIENCE);
        metadata.is_ok_and(|all| !all.topics()[0].partitions().is_empty())
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) {
        wait(self.admin().delete_topics(&[name], &options())).expect("topics can be deleted");
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    /// Produces records in order, each acknowledged before this returns.
    pub fn produce(&self, topic: &str, records: &[Send<'_>]) {
        self.produce_at(topic, records, None);
    }

    /// The same, all with one timestamp in Unix milliseconds.
    pub fn produce_at(&self, topic: &str, records: &[Send<'_>], timestamp: Option<i64>) {
        // Nothing of it comes twice as long as the broker is up.
        let mut config = self.config();
        config.set("max.in.flight.requests.per.connection", "1");
        Appender::new(&config).append(topic, records, timestamp);
    }

    /// One producer for several calls, while the broker may come and go. It is idempotent, which
    /// takes half a second to begin.
    pub fn appender(&self) -> Appender {
        Appender::new(self.config().set("enable.idempotence", "true"))
    }

    /// Produces JSON values without keys, to one partition.
    pub fn produce_json(&self, topic: &str, partition: i32, values: &[Value]) {
        self.produce_json_at(topic, partition, values, None);
    }

    /// The same, with a timestamp in Unix milliseconds.
    pub fn produce_json_at(
        &self,
        topic: &str,
        partition: i32,
        values: &[Value],
        timestamp: Option<i64>,
    ) {
        let texts: Vec<String> = values.iter().map(Value::to_string).collect();
        let record = |text: &String| text.clone().into_bytes();
        let octets: Vec<Vec<u8>> = texts.iter().map(record).collect();
        let records: Vec<Send<'_>> = octets
            .iter()
            .map(|v| Send {
                partition: Some(partition),
                value: Some(v),
                ..Send::default()
            })
            .collect();
        self.produce_at(topic, &records, timestamp);
    }

    /// Every committed record of a topic up to its last stable offset now.
    pub fn records(&self, topic: &str) -> Vec<Record> {
        self.read(topic, Record::of)
    }

    /// The values of all of them, as they are.
    pub fn octets(&self, topic: &str) -> Vec<Vec<u8>> {
        self.read(topic, |message| {
            message.payload().unwrap_or_default().to_vec()
        })
    }

    fn read<T>(&self, topic: &str, take: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let reader = Reader::new(self, &[topic]);
        let mut open: HashSet<i32> = (0..reader.partitions).collect();
        let mut records = Vec::new();
        // A large topic may take its time, as long as it goes on.
        let mut deadline = Instant::now() + PATIENCE;
        while !open.is_empty() {
            assert!(Instant::now() < deadline, "{topic} is not read to its end");
            match reader.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    records.push(take(&message));
                    deadline = Instant::now() + PATIENCE;
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => panic!("{topic}: {error}"),
                None => {}
            }
        }
        records
    }

    /// Committed records of a topic, read until `enough` says so, which is asked whenever there
    /// is nothing more to read just now.
    pub fn records_until(
        &self,
        topic: &str,
        patience: Duration,
        enough: impl Fn(&[Record]) -> bool,
    ) -> Vec<Record> {
        self.records_of_all_until(&[topic], patience, enough)
    }

    /// The same of several topics, each in its order.
    pub fn records_of_all_until(
        &self,
        topics: &[&str],
        patience: Duration,
        enough: impl Fn(&[Record]) -> bool,
    ) -> Vec<Record> {
        let reader = Reader::new(self, topics);
        let mut records = Vec::new();
        let deadline = Instant::now() + patience;
        loop {
            if let Some(Ok(message)) = reader.consumer.poll(Duration::from_millis(20)) {
                records.push(Record::of(&message));
            } else if enough(&records) {
                return records;
            }
            if Instant::now() >= deadline {
                let last = &records[records.len().saturating_sub(5)..];
                panic!(
                    "{}: after {patience:?} {} records, last {last:#?}",
                    topics.join(" and "),
                    records.len()
                );
            }
        }
    }

    /// Waits for at least `n` committed records of a topic.
    pub fn wait_records(&self, topic: &str, n: usize, patience: Duration) -> Vec<Record> {
        self.records_until(topic, patience, |records| records.len() >= n)
    }

    /// Offset and metadata a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<(i64, String)> {
        let consumer: BaseConsumer = self.member(group).create().expect("a client");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        // A broker that was started a moment ago may not coordinate the group yet.
        let mut found = None;
        eventually("committed offsets", PATIENCE, || {
            found = consumer.committed_offsets(list.clone(), PATIENCE).ok();
            found.is_some()
        });
        let found = found.expect("just found");
        let element = found.find_partition(topic, partition).expect("asked for");
        match element.offset() {
            Offset::Offset(offset) => Some((offset, element.metadata().to_owned())),
            _ => None,
        }
    }

    /// First offset and last stable offset of a partition.
    pub fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.ends(topic, partition, "read_committed")
    }

    /// Waits until no transaction is open in a topic: all that is ever committed of it can be read.
    pub fn wait_closed(&self, topic: &str) {
        for partition in 0..Reader::new(self, &[topic]).partitions {
            let end = |isolation| self.ends(topic, partition, isolation).1;
            eventually("no transaction is open", PATIENCE, || {
                end("read_committed") == end("read_uncommitted")
            });
        }
    }

    fn ends(&self, topic: &str, partition: i32, isolation: &str) -> (i64, i64) {
        let mut config = self.config();
        let consumer: BaseConsumer = config
            .set("isolation.level", isolation)
            .create()
            .expect("a client");
        // A broker that was started a moment ago may not lead the partition yet.
        let mut found = None;
        eventually("watermarks", PATIENCE, || {
            found = consumer.fetch_watermarks(topic, partition, PATIENCE).ok();
            found.is_some()
        });
        found.expect("just found")
    }
}

/// A topic to create.
pub struct Topic<'a> {
    pub name: &'a str,
    pub partitions: i32,
    pub configs: &'a [(&'a str, &'a str)],
}

impl<'a> Topic<'a> {
    fn request(&self) -> NewTopic<'a> {
        let topic = NewTopic::new(self.name, self.partitions, TopicReplication::Fixed(1));
        (self.configs.iter()).fold(topic, |topic, (key, value)| topic.set(key, value))
    }
}

/// Appends records in order.
pub struct Appender(BaseProducer<Delivered>);

impl Appender {
    fn new(config: &ClientConfig) -> Appender {
        let mut config = config.clone();
        config.set("linger.ms", "1");
        let producer = config.create_with_context(Delivered);
        Appender(producer.expect("a producer"))
    }

    /// Each is acknowledged before this returns. The timestamp is in Unix milliseconds.
    pub fn append(&self, topic: &str, records: &[Send<'_>], timestamp: Option<i64>) {
        let Appender(producer) = self;
        for one in records {
            let mut headers = OwnedHeaders::new();
            for (key, value) in one.headers {
                headers = headers.insert(Header {
                    key,
                    value: Some(*value),
                });
            }
            let mut record = BaseRecord::<str, [u8]>::to(topic).headers(headers);
            record.partition = one.partition;
            record.key = one.key;
            record.payload = one.value;
            record.timestamp = timestamp;
            while let Err((error, back)) = producer.send(record) {
                assert!(
                    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull),
                    "{error}"
                );
                producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        // It would be flushed in steps of a tenth of a second.
        eventually("all are delivered", PATIENCE, || {
            producer.poll(Duration::from_millis(1));
            producer.in_flight_count() == 0
        });
    }
}

struct Reader {
    consumer: BaseConsumer,
    /// Of all its topics.
    partitions: i32,
}

impl Reader {
    fn new(kafka: &Kafka, topics: &[&str]) -> Reader {
        let consumer: BaseConsumer = kafka
            .config()
            .set("group.id", unique("reader"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .create()
            .expect("a reader");
        let mut list = TopicPartitionList::new();
        for topic in topics {
            let metadata = consumer
                .fetch_metadata(Some(topic), PATIENCE)
                .expect("metadata");
            for partition in 0..metadata.topics()[0].partitions().len() {
                list.add_partition_offset(topic, partition as i32, Offset::Beginning)
                    .expect("an offset");
            }
        }
        consumer.assign(&list).expect("assigned");
        Reader {
            consumer,
            partitions: list.count() as i32,
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Timeout::After(PATIENCE)))
}

/// Runs a future to its end.
pub fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not in {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `value` equals `expected`.
pub fn becomes<T: PartialEq + Debug>(
    expected: T,
    patience: Duration,
    mut value: impl FnMut() -> T,
) {
    let deadline = Instant::now() + patience;
    loop {
        let now = value();
        if now == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{now:?} did not become {expected:?} in {patience:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
