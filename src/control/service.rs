//! The thread that reads orders, and what others hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::command::{Command, stranger};
use super::notices::{ControlNotReadable, NoControlTopic, OrderIgnored, OrderTaken};
use super::orders::{About, Order, Orders, Record};
use crate::kafka::Partition;
use crate::kafka::ear::{LASTS, Plain};
use crate::kafka::group::{list, partition_count};
use crate::kafka::token::consumer_begins;
use crate::repeated::{Line, Times};

const POLL: Duration = Duration::from_millis(100);
/// How often the partitions of the topic are counted, and a topic that is missing is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long Kafka may take to say how many partitions there are.
const METADATA: Duration = Duration::from_secs(5);
/// How long the end of a partition is asked for. Without an answer it is found by reading.
const WATERMARKS: Duration = Duration::from_millis(500);
/// How many octets of what is wrong with a record are said.
const LONGEST_WHY: usize = 1000;
/// How long Kafka may take to have an order.
const WRITE: Duration = Duration::from_secs(10);

/// How orders are read and written.
#[derive(Clone)]
pub struct Options {
    /// Properties of the consumer.
    pub reader: ClientConfig,
    /// Properties of the producer.
    pub producer: ClientConfig,
    /// The topic.
    pub topic: String,
    /// The name and the topics of each ESME.
    pub esmes: Vec<(String, Vec<String>)>,
}

/// Why an order was not given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be carried out as it is written.
    #[error("{0}")]
    Invalid(String),
    /// Kafka does not have it, as far as is known.
    #[error(
        "Kafka does not take it: {0}. Is there topic {1} (kafka-smpp topics create), and may this user write to it?"
    )]
    NotWritten(KafkaError, String),
}

/// What is known of orders.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Those in force.
    pub orders: Arc<Orders>,
    /// Whether the topic was read to where it ended when this process began, or there is none.
    pub is_complete: bool,
}

/// Gives orders, and tells of them. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    options: Arc<Options>,
    known: watch::Receiver<Known>,
    stopping: CancellationToken,
    /// Made by the first order that is given here.
    producer: Arc<Mutex<Option<FutureProducer<Plain>>>>,
}

impl Handle {
    /// Ends [`Control::run`]. Returns at once.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// The orders, to read and to wait for.
    pub fn known(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    /// Writes to the topic what is asked for: all processes read it there. Says in words what was done.
    ///
    /// # Errors
    ///
    /// When it cannot be understood, or Kafka does not take it.
    pub async fn steer(&self, command: &Command) -> Result<String, Error> {
        let records = (command.records(&self.options.esmes)).map_err(Error::Invalid)?;
        let not_written = |error| Error::NotWritten(error, self.options.topic.clone());
        let producer = self.producer().map_err(not_written)?;
        for (about, order) in &records {
            let key = about.key();
            let value = order.as_ref().map(serde_json::to_vec).transpose();
            let value = value.map_err(|error| Error::Invalid(error.to_string()))?;
            let mut record: FutureRecord<'_, str, [u8]> =
                FutureRecord::to(&self.options.topic).key(&key);
            if let Some(value) = &value {
                record = record.payload(value);
            }
            let written = producer.send(record, WRITE).await;
            written.map_err(|(error, _)| not_written(error))?;
        }
        let keys: Vec<String> = records.iter().map(|(about, _)| about.key()).collect();
        Ok(format!(
            "written to {}: {}",
            self.options.topic,
            keys.join(", ")
        ))
    }

    fn producer(&self) -> Result<FutureProducer<Plain>, KafkaError> {
        let mut made = self.producer.lock();
        if let Some(producer) = &*made {
            return Ok(producer.clone());
        }
        let config = &self.options.producer;
        let producer: FutureProducer<Plain> = config
            .clone()
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", WRITE.as_millis().to_string())
            .create_with_context(Plain::of(config))?;
        Ok(made.insert(producer).clone())
    }
}

/// The service: see the [module](super).
pub struct Control {
    options: Arc<Options>,
    known: watch::Sender<Known>,
    stopping: CancellationToken,
}

impl Control {
    /// A reader that has not begun.
    pub fn new(options: Options) -> (Self, Handle) {
        let options = Arc::new(options);
        let known = watch::Sender::default();
        let stopping = CancellationToken::new();
        let handle = Handle {
            options: options.clone(),
            known: known.subscribe(),
            stopping: stopping.clone(),
            producer: Arc::default(),
        };
        let control = Control {
            options,
            known,
            stopping,
        };
        (control, handle)
    }

    /// Reads until [`Handle::stop`]. Blocks: give it a thread.
    ///
    /// # Errors
    ///
    /// When the client cannot be made.
    pub fn run(self) -> Result<(), KafkaError> {
        let reader = &self.options.reader;
        let consumer: BaseConsumer<Plain> = reader
            .clone()
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .create_with_context(Plain::of(reader))
            .map(consumer_begins)?;
        let mut reading = Reading {
            control: &self,
            orders: Orders::default(),
            partitions: BTreeSet::new(),
            unread: BTreeMap::new(),
            look: Instant::now(),
            is_missing: false,
            is_complete: false,
            since: None,
            unreadable: unreadable(&self.options.topic),
            ignored: ignored(),
        };
        while !self.stopping.is_cancelled() {
            if reading.look <= Instant::now() {
                reading.look_for_partitions(&consumer);
            }
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    reading.take(&message);
                    reading.may_be_at_end(&message);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => reading.at_end(partition),
                // Nothing is asked of a group here.
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::GroupAuthorizationFailed,
                ))) => {}
                Some(Err(error)) => reading.trouble(&error),
                None => {}
            }
        }
        Ok(())
    }
}

/// What the thread knows.
struct Reading<'a> {
    control: &'a Control,
    orders: Orders,
    /// The partitions that are read.
    partitions: BTreeSet<i32>,
    /// Those of them of which the end is not reached yet, with what that was when they were assigned.
    unread: BTreeMap<i32, i64>,
    /// When the partitions are counted next.
    look: Instant,
    /// Whether it is said that there is no such topic.
    is_missing: bool,
    /// Whether all that was there at the start is read.
    is_complete: bool,
    /// Since when something is in the way.
    since: Option<Instant>,
    /// Why it cannot be read, for the log.
    unreadable: Line<String>,
    /// What means nothing: where it stands, and why. A topic may be full of it.
    ignored: Line<(i32, i64, String)>,
}

fn ignored() -> Line<(i32, i64, String)> {
    Line::new(
        |times: Times, (partition, offset, why): (i32, i64, String)| {
            OrderIgnored {
                partition,
                offset,
                why: &why,
                times: times.count,
                within: times.within,
            }
            .emit();
        },
    )
}

fn unreadable(topic: &str) -> Line<String> {
    let topic = topic.to_owned();
    Line::new(move |times: Times, error: String| {
        ControlNotReadable {
            topic: &topic,
            error: &error,
            times: times.count,
            within: times.within,
        }
        .emit();
    })
}

impl Reading<'_> {
    /// Reads partitions that were not there before, from their beginning.
    fn look_for_partitions(&mut self, consumer: &BaseConsumer<Plain>) {
        self.look = Instant::now() + LOOK_AGAIN;
        let topic = &self.control.options.topic;
        let new = match partition_count(consumer, topic, METADATA) {
            Ok(count) => (0..count)
                .filter(|p| !self.partitions.contains(p))
                .collect(),
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed,
            )) => {
                if !std::mem::replace(&mut self.is_missing, true) {
                    NoControlTopic { topic }.emit();
                }
                self.let_go(consumer);
                return self.complete();
            }
            Err(error) => {
                self.trouble(&error);
                self.look = Instant::now() + Duration::from_secs(1);
                return;
            }
        };
        let new: Vec<i32> = new;
        self.since = None;
        if new.is_empty() {
            return;
        }
        let name: Arc<str> = topic.as_str().into();
        let named = |partition: &i32| Partition {
            topic: name.clone(),
            partition: *partition,
        };
        let named: Vec<Partition> = new.iter().map(named).collect();
        if let Err(error) = consumer.incremental_assign(&list(&named, Offset::Beginning)) {
            return self.trouble(&error);
        }
        self.is_missing = false;
        self.partitions.extend(&new);
        self.unread.extend(unread(consumer, topic, &new));
        if self.unread.is_empty() {
            self.complete();
        }
    }

    /// The topic is gone: if it comes back, its records have other offsets, and are read from the
    /// first. What is known of orders stays in force, because what was paused is better left so.
    fn let_go(&mut self, consumer: &BaseConsumer<Plain>) {
        if !self.partitions.is_empty() {
            if let Err(error) = consumer.unassign() {
                debug!(%error, "the topic of orders is still assigned");
            }
            self.partitions.clear();
            self.unread.clear();
        }
    }

    /// Something is in the way. A broker that restarts is nothing to be said of.
    fn trouble(&mut self, error: &KafkaError) {
        debug!(%error, "orders cannot be read");
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= LASTS {
            self.unreadable.note(error.to_string());
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let given = message.timestamp().to_millis();
        let given = given.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let record = Record {
            key: message.key().unwrap_or_default(),
            value: message.payload(),
            partition: message.partition(),
            given: given.unwrap_or_default(),
            is_new: self.is_complete && !self.unread.contains_key(&message.partition()),
        };
        let taken = match strange(&record, &self.control.options.esmes) {
            Some(why) => Err(why),
            None => self.orders.record(&record),
        };
        match taken {
            // What is in force when all is read is said then.
            Ok(Some((about, order))) if self.is_complete => {
                say(&about, order.as_ref(), record.given);
                self.tell();
            }
            Ok(_) => {}
            Err(mut why) => {
                why.truncate(why.floor_char_boundary(LONGEST_WHY));
                (self.ignored).note((message.partition(), message.offset(), why));
            }
        }
    }

    /// The client says where a partition ends only when a fetch has waited in vain. Most end with a record
    /// that was there at the start.
    fn may_be_at_end(&mut self, taken: &BorrowedMessage<'_>) {
        let end = self.unread.get(&taken.partition());
        if end.is_some_and(|end| taken.offset() + 1 >= *end) {
            self.at_end(taken.partition());
        }
    }

    fn at_end(&mut self, partition: i32) {
        self.unread.remove(&partition);
        if self.unread.is_empty() {
            self.complete();
        }
    }

    fn complete(&mut self) {
        if !std::mem::replace(&mut self.is_complete, true) {
            for (about, order, given) in self.orders.in_force() {
                say(about, Some(order), given);
            }
            self.tell();
        }
    }

    fn tell(&self) {
        self.control.known.send_replace(Known {
            orders: Arc::new(self.orders.clone()),
            is_complete: true,
        });
    }
}

/// Those of the partitions that have something, each with where it ends; beyond all records where that is not
/// known at once.
fn unread(consumer: &BaseConsumer<Plain>, topic: &str, new: &[i32]) -> BTreeMap<i32, i64> {
    let mut answered = true;
    let mut end = |partition: i32| {
        // Who has not answered once is not waited for again and again.
        let found = answered.then(|| consumer.fetch_watermarks(topic, partition, WATERMARKS));
        answered = matches!(found, Some(Ok(_)));
        match found {
            Some(Ok((low, high))) => (low < high).then_some(high),
            _ => Some(i64::MAX),
        }
    };
    new.iter().filter_map(|p| Some((*p, end(*p)?))).collect()
}

/// Why an order is about nothing that is here.
fn strange(record: &Record<'_>, esmes: &[(String, Vec<String>)]) -> Option<String> {
    record.value?;
    let key = std::str::from_utf8(record.key).ok()?;
    let why = stranger(&About::of(key)?, esmes)?;
    Some(format!("{key}: {why}"))
}

fn say(about: &About, order: Option<&Order>, given: Timestamp) {
    let text = |field: fn(&Order) -> Option<&String>| {
        order.and_then(field).map_or("", |text| text.as_str())
    };
    let value = order.map(|order| {
        let plain = Order {
            by: None,
            reason: None,
            ..order.clone()
        };
        serde_json::to_string(&plain).unwrap_or_default()
    });
    OrderTaken {
        order: &about.key(),
        value: value.as_deref().unwrap_or("taken back"),
        by: text(|order| order.by.as_ref()),
        reason: text(|order| order.reason.as_ref()),
        given,
    }
    .emit();
}
