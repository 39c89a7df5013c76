//! The two clients, while they work.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel as Level};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::others::Others;
use super::{EVERY, FORGOTTEN, Options, POLL, Trouble, word};
use crate::kafka::cause::{Cause, Doing, Who, of_error};
use crate::kafka::ear::{Ear, Plain};
use crate::kafka::group::partition_count;
use crate::kafka::token::{consumer_begins, producer_begins};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How often partitions are counted.
const COUNT: Duration = Duration::from_secs(60);
/// How long the tombstone may take.
const FAREWELL: Duration = Duration::from_millis(1500);

/// The producer's: it says what became of the last record.
struct Writing {
    ear: Ear,
    outcome: Mutex<Option<Result<(), KafkaError>>>,
}

impl ClientContext for Writing {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: Level, kind: &str, text: &str) {
        self.ear.log(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
    }
}

impl ProducerContext for Writing {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let outcome = result.as_ref().map(drop).map_err(|(e, _)| e.clone());
        *self.outcome.lock() = Some(outcome);
    }
}

/// The topic, read and written.
pub(super) struct Link {
    reader: BaseConsumer<Plain>,
    writer: BaseProducer<Writing>,
    partitions: i32,
    /// Where each partition ended when it was opened: what lies behind was written since.
    ends: HashMap<i32, i64>,
    next_word: Instant,
    next_count: Instant,
}

impl Link {
    /// Opens it, if the topic is there.
    pub fn open(options: &Options) -> Result<Link, Cause> {
        let reading = |error| of_error(&Who::of(&options.reader), &error, &reads(options));
        let reader = reader(&options.reader).map_err(reading)?;
        // Asked as a consumer: a producer that asks for a topic may make it.
        let describing = Doing::Describing(&options.topic);
        let partitions = partition_count(&reader, &options.topic, ANSWER)
            .map_err(|error| of_error(&Who::of(&options.reader), &error, &describing))?;
        let ends = begin(&reader, &options.topic, partitions).map_err(reading)?;
        let writer = writer(&options.writer);
        let writer = writer.map_err(|error| unwritten(options, &error))?;
        let now = Instant::now();
        Ok(Link {
            reader,
            writer,
            partitions,
            ends,
            next_word: now,
            next_count: now + COUNT,
        })
    }

    /// Reads and writes what there is to read and write. Waits for up to [`POLL`].
    pub fn turn(
        &mut self,
        options: &Options,
        others: &Mutex<Others>,
        trouble: &mut Trouble,
    ) -> Result<(), Cause> {
        let refused = |error| of_error(&Who::of(&options.reader), &error, &reads(options));
        match self.reader.poll(POLL) {
            Some(Ok(message)) => self.hear(&message, others),
            Some(Err(error)) => unless_silent(refused(error))?,
            None => {}
        }
        self.writer.poll(Duration::ZERO);
        let outcome = self.writer.context().outcome.lock().take();
        match outcome {
            Some(Ok(())) => trouble.is_over(),
            // The others can be read all the same.
            Some(Err(error)) => trouble.says(&unwritten(options, &error)),
            None => {}
        }
        let now = Instant::now();
        if now >= self.next_word {
            self.next_word = now + EVERY;
            self.say(options, trouble);
        }
        if now >= self.next_count {
            self.next_count = now + COUNT;
            match partition_count(&self.reader, &options.topic, ANSWER) {
                Ok(count) if count == self.partitions => {}
                Ok(count) => {
                    self.ends = begin(&self.reader, &options.topic, count).map_err(refused)?;
                    self.partitions = count;
                }
                Err(error) => unless_silent(refused(error))?,
            }
        }
        Ok(())
    }

    fn hear(&self, message: &BorrowedMessage<'_>, others: &Mutex<Others>) {
        let end = self.ends.get(&message.partition()).copied().unwrap_or(0);
        let ago = if message.offset() < end {
            let written = message.timestamp().to_millis().unwrap_or(0);
            let ago = Timestamp::now().as_millisecond().saturating_sub(written);
            Duration::from_millis(u64::try_from(ago).unwrap_or(0))
        } else {
            Duration::ZERO
        };
        let key = message.key().unwrap_or_default();
        (others.lock()).hear(key, message.payload(), ago, Instant::now());
    }

    fn say(&self, options: &Options, trouble: &mut Trouble) {
        let Some(value) = word::of((options.own)()) else {
            return;
        };
        let key = key(options);
        let record = BaseRecord::to(&options.topic).key(&key).payload(&value);
        match self.writer.send(record) {
            // Kafka is away.
            Err((KafkaError::MessageProduction(Code::QueueFull), _)) | Ok(()) => {}
            Err((error, _)) => trouble.says(&unwritten(options, &error)),
        }
    }

    /// This process is no more.
    pub fn farewell(self, options: &Options) {
        let key = key(options);
        let tombstone: BaseRecord<'_, String, [u8]> = BaseRecord::to(&options.topic).key(&key);
        if self.writer.send(tombstone).is_ok() {
            // The others forget it later all the same.
            let _ = self.writer.flush(FAREWELL);
        }
    }
}

/// What passes when Kafka is there again needs no other clients.
fn unless_silent(cause: Cause) -> Result<(), Cause> {
    if cause.is_silence() {
        Ok(())
    } else {
        Err(cause)
    }
}

fn key(options: &Options) -> String {
    format!("{}/{}", options.deployment, options.process)
}

fn reads(options: &Options) -> Doing<'_> {
    Doing::Reading(&options.topic)
}

fn unwritten(options: &Options, error: &KafkaError) -> Cause {
    let who = Who::of(&options.writer);
    of_error(&who, error, &Doing::Writing(&options.topic))
}

fn reader(client: &ClientConfig) -> Result<BaseConsumer<Plain>, KafkaError> {
    let mut client = client.clone();
    client
        .set("auto.offset.reset", "earliest")
        // There are no transactions, and nothing to wait for.
        .set("isolation.level", "read_uncommitted")
        .set("queued.min.messages", "100")
        .set("queued.max.messages.kbytes", "4096");
    // Others say that Kafka is away.
    client
        .create_with_context(Plain(Ear::asked(&client)))
        .map(consumer_begins)
}

fn writer(client: &ClientConfig) -> Result<BaseProducer<Writing>, KafkaError> {
    let mut client = client.clone();
    // Other names of the same.
    client.remove("delivery.timeout.ms");
    client.remove("max.in.flight");
    client.remove("compression.codec");
    client
        // What is older is said anew; and a tombstone must not be overtaken.
        .set("message.timeout.ms", "4000")
        .set("max.in.flight.requests.per.connection", "1")
        .set("enable.idempotence", "false")
        .set("queue.buffering.max.messages", "8")
        .set("compression.type", "lz4");
    let context = Writing {
        ear: Ear::asked(&client),
        outcome: Mutex::default(),
    };
    client.create_with_context(context).map(producer_begins)
}

/// Reads from what was written lately on; where each partition ends now.
fn begin(
    reader: &BaseConsumer<Plain>,
    topic: &str,
    partitions: i32,
) -> Result<HashMap<i32, i64>, KafkaError> {
    let lately = i64::try_from(FORGOTTEN.as_millis()).unwrap_or_default();
    let from = Timestamp::now().as_millisecond() - lately;
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        asked.add_partition_offset(topic, partition, Offset::Offset(from))?;
    }
    let found = reader.offsets_for_times(asked, ANSWER)?;
    for element in found.elements() {
        element.error()?;
    }
    let mut ends = HashMap::new();
    for partition in 0..partitions {
        let (_, end) = reader.fetch_watermarks(topic, partition, ANSWER)?;
        ends.insert(partition, end);
    }
    reader.assign(&found)?;
    Ok(ends)
}
