//! Deleting what the connector keeps of a person, and saying what else holds their number.
//!
//! What is ours is the topic of correlation: the entry of each message that waits for receipts, receipts
//! that wait for their message, and segments of messages from phones, with what is remembered of
//! them. A tombstone takes each of these away. All other topics are logs whose records somebody else
//! reads; Kafka deletes them by their age, and never one alone, so of those it is only said where
//! records are and until when.
//!
//! # While connectors run
//!
//! After its creation only the owner of a partition writes to a key. A tombstone is the one thing that
//! may come from outside, because an owner that reads it forgets what stood there: the message's
//! waits end without an event, and a receipt that comes later finds no message. So nobody has to
//! stop, and nothing has to be ordered.
//!
//! One thing can come in between: an owner that has not read the tombstone yet publishes a receipt, and
//! writes what it remembers of the message behind it. The key is there again, and the owner
//! remembers it again. So the topic is read on until nothing of the person has come for a while
//! ([`QUIET`], twice), and what has come is deleted again. A message that is submitted while this goes
//! on is deleted as well; one that is submitted later is new.
//!
//! The process may be killed at any moment: what it has deleted is deleted, and the next run finds
//! the rest.

mod log;
mod person;
mod survey;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::codes::{self, ErrorCode};
use crate::kafka::Partition;
use crate::kafka::ear::Plain;
use crate::kafka::token::producer_begins;
use crate::kafka::whole_topic::{self, Isolation};
use crate::record::cbor::Internal;
use crate::record::codec::{Codec, SchemaAway, Unread, patiently};
use crate::record::internal::{CorrelationEntry, Parked, SegmentEntry};
use crate::record::keys::Key;
use crate::record::kind::Record;

use log::Log;
pub use person::Person;
pub use survey::{Place, survey};

/// How long Kafka, or the schema registry, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So long nothing of the person may come, twice, until all counts as deleted.
const QUIET: Duration = Duration::from_secs(2);
/// So often is deleted what has come meanwhile.
const ROUNDS: u32 = 20;
/// So many records are deleted in one go, which bounds the memory. What is left comes next.
const MOST: usize = 200_000;

/// What it works with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Properties of a consumer.
    pub reader: ClientConfig,
    /// Properties of the producer.
    pub producer: ClientConfig,
    /// When Kafka ends a transaction that its process left open.
    pub transaction_timeout: Duration,
    /// The topic of correlation.
    pub correlation: Arc<str>,
    /// How its values are written.
    pub codec: Codec,
    /// Whose records.
    pub person: Person,
    /// Whether entries of messages to several recipients go, too.
    pub several: bool,
}

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka failed.
    #[error("{what}: {error}")]
    Kafka {
        /// What was tried.
        what: String,
        /// What Kafka said.
        error: KafkaError,
    },
    /// Transactions do not end.
    #[error("transactions on {0} do not end: run it again when their processes have")]
    Open(Partition),
    /// A schema is not here.
    #[error(transparent)]
    Schema(#[from] SchemaAway),
    /// More comes than is deleted.
    #[error(
        "{0} records of that number have come again each time: run it again when less is submitted to it"
    )]
    Incomplete(usize),
}

impl From<whole_topic::Error> for Error {
    fn from(error: whole_topic::Error) -> Self {
        match error {
            whole_topic::Error::Kafka { what, error } => Error::Kafka { what, error },
            whole_topic::Error::Open(partition) => Error::Open(partition),
        }
    }
}

impl Error {
    /// By which it is explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Kafka { .. } => codes::KAFKA_FAILED,
            Error::Open(_) | Error::Incomplete(_) => codes::ERASE_INCOMPLETE,
            Error::Schema(_) => codes::REGISTRY_AWAY,
        }
    }

    /// Whether trying again helps.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Error::Kafka { .. })
    }

    fn at(what: impl std::fmt::Display) -> impl FnOnce(KafkaError) -> Error {
        move |error| Error::Kafka {
            what: what.to_string(),
            error,
        }
    }
}

/// What is told while it goes on: of which topic, how much was read, and of how much.
pub type Progress<'a> = &'a dyn Fn(&str, u64, u64);

/// What a record of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A message that was submitted.
    Entry,
    /// One to several recipients.
    Several,
    /// A receipt that waits for its message, or is remembered.
    Receipt,
    /// A segment of a message from a phone, or what is remembered of one.
    Segment,
}

/// Records of ours in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub records: u64,
    /// When the oldest was written, in Unix milliseconds.
    pub oldest: i64,
    /// When the newest was.
    pub newest: i64,
}

impl Count {
    fn add(&mut self, at: i64) {
        if self.records == 0 {
            (self.oldest, self.newest) = (at, at);
        }
        self.records += 1;
        (self.oldest, self.newest) = (self.oldest.min(at), self.newest.max(at));
    }
}

/// What is known of the topic of correlation.
pub struct Erasure {
    options: Options,
    log: Log,
    /// The person's records: the last state of each key.
    found: HashMap<(i32, Vec<u8>), (What, i64)>,
    /// Values that this version cannot read.
    unreadable: u64,
    /// Records of others, or that cannot be read, in which the number stands.
    mentions: HashSet<(i32, Vec<u8>)>,
    /// Whether there were more than [`MOST`].
    more: bool,
}

impl Erasure {
    /// One that knows nothing yet.
    pub fn new(options: Options) -> Self {
        Erasure {
            log: Log::new(&options.correlation, Isolation::Committed),
            options,
            found: HashMap::new(),
            unreadable: 0,
            mentions: HashSet::new(),
            more: false,
        }
    }

    /// Reads the topic, or what has come to it since.
    ///
    /// # Errors
    ///
    /// When Kafka or the schema registry fails.
    pub fn look(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        if self.more {
            self.log.rewind();
            self.found.clear();
            self.mentions.clear();
            (self.more, self.unreadable) = (false, 0);
        }
        let mut log = std::mem::replace(
            &mut self.log,
            Log::new(&self.options.correlation, Isolation::Committed),
        );
        let options = self.options.clone();
        let read = log.read(&options, progress, |message| self.record(message));
        self.log = log;
        read
    }

    fn record(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let Some(octets) = message.key() else {
            return Ok(());
        };
        let place = (message.partition(), octets.to_vec());
        let (Some(key), Some(value)) = (Key::parse(octets), message.payload()) else {
            self.found.remove(&place);
            self.mentions.remove(&place);
            return Ok(());
        };
        let person = self.options.person;
        let what = match patiently(|| what(&key, value, &self.options))? {
            Ok(what) => what,
            Err(_) => {
                self.unreadable += 1;
                None
            }
        };
        match what {
            Some(what) if self.found.len() < MOST || self.found.contains_key(&place) => {
                let at = message.timestamp().to_millis().unwrap_or_default();
                self.found.insert(place, (what, at));
            }
            Some(_) => self.more = true,
            None => {
                self.found.remove(&place);
                let is_mentioned = person.is_in_octets(octets) || person.is_in_octets(value);
                if is_mentioned && self.mentions.len() < MOST {
                    self.mentions.insert(place);
                }
            }
        }
        Ok(())
    }

    /// What there is of the person, by partition.
    pub fn counts(&self) -> Vec<(What, i32, Count)> {
        let mut counts: HashMap<(What, i32), Count> = HashMap::new();
        for ((partition, _), (what, at)) in &self.found {
            counts.entry((*what, *partition)).or_default().add(*at);
        }
        let mut counts: Vec<_> = counts.into_iter().map(|((w, p), c)| (w, p, c)).collect();
        counts.sort_unstable_by_key(|(what, partition, _)| (*what, *partition));
        counts
    }

    /// Values that this version cannot read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Records that are not the person's, or cannot be read, and hold the number somewhere.
    pub fn mentions(&self) -> usize {
        self.mentions.len()
    }

    /// Whether there is more than was counted.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Deletes what there is, and what comes meanwhile. How many tombstones were written.
    ///
    /// # Errors
    ///
    /// When Kafka fails, or more comes than is deleted; what was deleted before is deleted.
    pub fn erase(&mut self, progress: Progress<'_>) -> Result<usize, Error> {
        let mut graves = Graves::new(&self.options)?;
        let (mut written, mut quiet) = (0, 0);
        for _ in 0..ROUNDS {
            let due = self.due();
            written += due.len();
            graves.bury(&self.options.correlation, &due)?;
            quiet = if due.is_empty() { quiet + 1 } else { 0 };
            if quiet == 2 {
                return Ok(written);
            }
            if !self.more {
                std::thread::sleep(QUIET);
            }
            self.look(progress)?;
        }
        Err(Error::Incomplete(self.due().len()))
    }

    fn due(&self) -> Vec<(i32, Vec<u8>)> {
        let wanted = |what: What| what != What::Several || self.options.several;
        let found = self.found.iter();
        let due = found.filter(|(_, (what, _))| wanted(*what));
        due.map(|(place, _)| place.clone()).collect()
    }
}

/// What of the person stands under a key, if anything does.
fn what(key: &Key<'_>, value: &[u8], options: &Options) -> Result<Option<What>, Unread> {
    fn read<T: Record + Internal>(options: &Options, value: &[u8]) -> Result<T, Unread> {
        options.codec.read_internal(value)
    }
    let person = options.person;
    Ok(match key {
        Key::Entry { .. } => {
            let entry: CorrelationEntry = read(options, value)?;
            let several = entry.lists || !entry.numbers.is_empty() || entry.recipients.is_some();
            let what = if several { What::Several } else { What::Entry };
            person.is_in_entry(&entry).then_some(what)
        }
        Key::Parked { .. } => {
            let parked: Parked = read(options, value)?;
            let theirs = person.is_in_delivery(&parked.delivery);
            theirs.then_some(What::Receipt)
        }
        Key::Segment { identity, .. } => {
            let entry: SegmentEntry = read(options, value)?;
            let delivery = entry.delivery.as_ref();
            let theirs = person.is_in_identity(identity)
                || delivery.is_some_and(|delivery| person.is_in_delivery(delivery));
            theirs.then_some(What::Segment)
        }
        Key::Barrier { .. } => None,
    })
}

/// Writes tombstones.
struct Graves {
    producer: BaseProducer<Reports>,
}

/// What became of tombstones.
struct Reports {
    plain: Plain,
    /// Why Kafka did not take one.
    refused: Mutex<Option<KafkaError>>,
}

impl ClientContext for Reports {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        self.plain.log(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.plain.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.refused.lock().get_or_insert_with(|| error.clone());
        }
    }
}

impl Graves {
    fn new(options: &Options) -> Result<Self, Error> {
        let producer = options.producer.create_with_context(Reports {
            plain: Plain::of(&options.producer),
            refused: Mutex::default(),
        });
        let producer = producer
            .map(producer_begins)
            .map_err(Error::at("no Kafka client can be made"))?;
        Ok(Graves { producer })
    }

    /// Writes them, and waits until Kafka has them.
    fn bury(&mut self, topic: &str, places: &[(i32, Vec<u8>)]) -> Result<(), Error> {
        let failed = || Error::at(format!("writing to topic {topic}"));
        for (partition, key) in places {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic)
                .partition(*partition)
                .key(key.as_slice());
            while let Err((error, back)) = self.producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(failed()(error));
                }
                self.producer.poll(Duration::from_millis(100));
                record = back;
            }
        }
        self.producer.flush(3 * TIMEOUT).map_err(failed())?;
        match self.producer.context().refused.lock().take() {
            Some(error) => Err(failed()(error)),
            None => Ok(()),
        }
    }
}
