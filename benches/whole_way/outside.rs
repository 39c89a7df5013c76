//! What is seen from outside: records in, committed events out.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Message, Timestamp};

use kafka_smpp::record::codec::Codec;

use super::harness::Kafka;

/// How records are appended.
pub enum Feed {
    /// As fast as possible.
    AtOnce(usize),
    /// At a steady rate.
    Paced {
        /// How many.
        n: usize,
        /// How many a second.
        per_second: u64,
    },
}

/// Microseconds since 1970.
pub fn now_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_micros() as u64
}

/// A message of 160 characters that says when it was given to the client that appends it.
fn message() -> String {
    let text = "0123456789abcdef".repeat(10);
    let now = now_micros();
    format!(
        r#"{{"source":"12345","destination":"+41791234567","short_message":"{text}","registered_delivery":1,"extra_data":{now}}}"#
    )
}

/// Appends messages to all partitions in turn; returns when it began.
pub fn feed(kafka: &Kafka, topic: &str, partitions: i32, codec: &Codec, how: Feed) -> u64 {
    let appender = Appender {
        kafka,
        topic,
        partitions,
        // What Kafka's clients do by default: without it each record would be a request, and the broker
        // would be measured.
        linger: match how {
            Feed::AtOnce(_) => "20",
            Feed::Paced { .. } => "5",
        },
    };
    let value = |_| codec.from_json(message().as_bytes()).unwrap();
    appender.append(how, &Arc::default(), value)
}

/// What was appended.
#[derive(Default)]
pub struct Appended {
    sent: AtomicU64,
    delivered: AtomicU64,
}

impl Appended {
    /// Records given to the producer.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Of these, those that Kafka has.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }
}

struct Delivered(Arc<Appended>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            panic!("a record was not delivered: {error}");
        }
        self.0.delivered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Appends records to a topic.
pub struct Appender<'a> {
    /// The broker.
    pub kafka: &'a Kafka,
    /// The topic.
    pub topic: &'a str,
    /// How many partitions it has: each gets as much.
    pub partitions: i32,
    /// `linger.ms`: how long the client gathers what it sends.
    pub linger: &'a str,
}

impl Appender<'_> {
    /// Appends records, `value` makes each by its number; returns when it began.
    pub fn append(
        &self,
        how: Feed,
        appended: &Arc<Appended>,
        mut value: impl FnMut(usize) -> Vec<u8>,
    ) -> u64 {
        let (n, per_second) = match how {
            Feed::AtOnce(n) => (n, None),
            Feed::Paced { n, per_second } => (n, Some(per_second)),
        };
        let producer: BaseProducer<Delivered> = self
            .kafka
            .config()
            .set("linger.ms", self.linger)
            .set("queue.buffering.max.messages", "100000")
            .create_with_context(Delivered(Arc::clone(appended)))
            .unwrap();
        let (began, clock) = (now_micros(), Instant::now());
        for i in 0..n {
            if let Some(per_second) = per_second {
                let due = Duration::from_micros(i as u64 * 1_000_000 / per_second);
                // A poll of rdkafka that waits asks without pause for the last millisecond, which is all
                // there is between two of a thousand a second: that took more of a core than the connector.
                std::thread::sleep(due.saturating_sub(clock.elapsed()));
                producer.poll(Duration::ZERO);
            }
            let value = value(i);
            let partition = i as i32 % self.partitions;
            let mut record = BaseRecord::<(), [u8]>::to(self.topic)
                .payload(&value)
                .partition(partition);
            while let Err((_, back)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            appended.sent.fetch_add(1, Ordering::Relaxed);
        }
        producer.flush(Duration::from_secs(60)).unwrap();
        began
    }
}

/// A reader of all of a topic, of what is committed. The broker answers its fetches as soon as there is
/// something: to ask more often would be work of the broker's that is counted as the connector's.
pub fn reader(kafka: &Kafka, topic: &str, from: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = kafka
        .config()
        .set("group.id", "bench-reader")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let metadata = consumer
        .fetch_metadata(Some(topic), Duration::from_secs(10))
        .unwrap();
    let mut all = TopicPartitionList::new();
    for p in metadata.topics()[0].partitions() {
        all.add_partition_offset(topic, p.id(), from).unwrap();
    }
    consumer.assign(&all).unwrap();
    consumer
}

/// Counts the committed records of a topic, as they come.
pub struct Counter {
    consumer: BaseConsumer,
    /// Those written before are left out. This and the next two are milliseconds since 1970.
    since: i64,
    first: i64,
    last: i64,
    seen: usize,
}

impl Counter {
    /// Of all of a topic.
    pub fn of(kafka: &Kafka, topic: &str) -> Self {
        Counter::since(kafka, topic, Duration::ZERO)
    }

    /// Of what was written after `since`, from 1970.
    pub fn since(kafka: &Kafka, topic: &str, since: Duration) -> Self {
        Counter {
            consumer: reader(kafka, topic, Offset::Beginning),
            since: since.as_millis() as i64,
            first: i64::MAX,
            last: 0,
            seen: 0,
        }
    }

    /// Waits until it has seen `n`, those of earlier calls included; when the first and the last of them
    /// were written, since 1970.
    pub fn until(&mut self, n: usize, patience: Duration) -> Option<(Duration, Duration)> {
        let end = Instant::now() + patience;
        while self.seen < n {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let at = message.timestamp().to_millis().unwrap_or(0);
                    if at >= self.since {
                        self.seen += 1;
                        (self.first, self.last) = (self.first.min(at), self.last.max(at));
                    }
                }
                _ if Instant::now() > end => return None,
                _ => {}
            }
        }
        let at = |millis: i64| Duration::from_millis(millis as u64);
        Some((at(self.first), at(self.last)))
    }
}

/// Waits until `n` committed records are in the topic; when the last of them was written.
pub fn count(kafka: &Kafka, topic: &str, n: usize, patience: Duration) -> Option<Duration> {
    let span = Counter::of(kafka, topic).until(n, patience);
    span.map(|(_, last)| last)
}

/// Half and nearly all of a set of durations.
#[derive(Clone, Copy)]
pub struct Quantiles {
    /// Half of them are no longer.
    pub p50: Duration,
    /// All but one in a hundred are no longer.
    pub p99: Duration,
}

impl Quantiles {
    /// Of microseconds, one at least.
    pub fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let at = |q: f64| micros[((micros.len() - 1) as f64 * q) as usize];
        Quantiles {
            p50: Duration::from_micros(at(0.5)),
            p99: Duration::from_micros(at(0.99)),
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1?}, p99 {:.1?}", self.p50, self.p99)
    }
}

/// From when a record was appended, or given to the client that appends it.
pub struct Latencies {
    /// To when it was handed to the session.
    pub socket: Quantiles,
    /// To when a reader of committed records saw its result.
    pub result: Quantiles,
}

/// A message that has its result. Times are microseconds since 1970.
pub struct Passed {
    log_id: String,
    given: u64,
    socket: u64,
    seen: u64,
}

impl Latencies {
    /// From when each was given to the client that appends, which gathers records for a while.
    pub fn since_given(passed: &[Passed]) -> Self {
        Latencies::since(passed, |one| one.given)
    }

    /// From when Kafka had each, by `appended`.
    pub fn since_appended(passed: &[Passed], appended: &HashMap<String, u64>) -> Self {
        Latencies::since(passed, |one| appended[&one.log_id])
    }

    fn since(passed: &[Passed], begin: impl Fn(&Passed) -> u64) -> Self {
        let took = |begin: u64, end: u64| {
            let took = end.checked_sub(begin);
            took.expect("the broker has the clock of this machine")
        };
        let to = |end: fn(&Passed) -> u64| {
            let each = passed.iter().map(|one| took(begin(one), end(one)));
            Quantiles::of(each.collect())
        };
        Latencies {
            socket: to(|one| one.socket),
            result: to(|one| one.seen),
        }
    }
}

/// Reads on to the results of `n` messages given to the client since `since`.
pub fn passed(
    results: &BaseConsumer,
    codec: &Codec,
    since: u64,
    n: usize,
    end: Instant,
) -> Vec<Passed> {
    let mut all = Vec::with_capacity(n);
    while all.len() < n {
        assert!(Instant::now() < end, "{} of {n} results", all.len());
        let Some(Ok(message)) = results.poll(Duration::from_millis(100)) else {
            continue;
        };
        let seen = now_micros();
        let event = codec.shown(message.payload().unwrap()).unwrap();
        // In Avro it is text.
        let given = &event["extra_data"];
        let given = given.as_u64().or_else(|| given.as_str()?.parse().ok());
        let given = given.unwrap();
        if given < since {
            continue;
        }
        let sent: jiff::Timestamp = event["submitted_at"].as_str().unwrap().parse().unwrap();
        all.push(Passed {
            log_id: event["log_id"].as_str().unwrap().to_owned(),
            given,
            socket: sent.as_microsecond() as u64,
            seen,
        });
    }
    all
}

/// When Kafka had each of the records of these messages, by the log_id they have by default. The topic notes
/// when it appends (`message.timestamp.type`), in whole milliseconds: up to one too early.
pub fn append_times(
    kafka: &Kafka,
    topic: &str,
    passed: &[Passed],
    end: Instant,
) -> HashMap<String, u64> {
    let consumer = reader(kafka, topic, Offset::Beginning);
    let mut missing: HashSet<&str> = passed.iter().map(|one| &*one.log_id).collect();
    let mut times = HashMap::with_capacity(missing.len());
    while !missing.is_empty() {
        assert!(Instant::now() < end, "{} have no time", missing.len());
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let log_id = format!("{topic}-{}-{}", message.partition(), message.offset());
        if missing.remove(&*log_id) {
            let Timestamp::LogAppendTime(millis) = message.timestamp() else {
                panic!("{topic} does not note when it appends");
            };
            times.insert(log_id, millis as u64 * 1000);
        }
    }
    times
}
