//! Records that ended as errors go back onto their topic: each once, unless somebody asks for
//! more.
//!
//! What was put back is remembered where the error stands. The record, again at the end of the
//! partition it came from, and a marker, an event of kind `REPLAYED` behind the error in its
//! partition, are one transaction. So nothing else is kept, whoever is killed leaves both or
//! neither, and a marker outlives its error, because Kafka deletes from the oldest on.
//!
//! Two at a time would both see what neither has marked yet. All use one transactional.id, and
//! each initialises it before it reads: whoever began earlier cannot commit any more, and what it
//! had committed is read by the later one, which waits until every transaction that began before
//! has ended.
//!
//! One record may have several results: an operator sets offsets back, and what was refused once
//! is sent the second time. So an error that says its record was not sent is not believed alone.
//! A response of the record that says it was taken, or another error of it that leaves that open,
//! counts as well, whenever it was written since the record was.
//!
//! Which errors came before a record was put back, and which after, is told by their order in the
//! partition: its marker stands behind the error it names, and what the record came to then
//! stands behind the marker. Only errors of one record in several partitions (it has no key, or
//! partitions were added) are compared by when they ended, with the error that the marker names.
//!
//! An error holds the record's value only if that could not be read. So the record is read again
//! from where it stood; if it is there no more, the error's copy has to do, and if there is none,
//! it is said.

pub(crate) mod notices;
mod originals;
mod scan;
mod send;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

use crate::codes::{self, ErrorCode};
use crate::kafka::{ErrorClass, Partition, whole_topic};
use crate::record::codec::{Codec, SchemaAway};
use crate::record::failed::ReadSendError;

pub use originals::Original;

/// What replaying works with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Properties of a consumer of committed records.
    pub reader: ClientConfig,
    /// Properties of the transactional producer.
    pub producer: ClientConfig,
    /// Its transactional.id, the same wherever it runs.
    pub transactional_id: String,
    /// When Kafka ends a transaction that its process left open.
    pub transaction_timeout: Duration,
    /// The topic of errors.
    pub errors: Arc<str>,
    /// The topic of responses.
    pub responses: Arc<str>,
    /// How errors are written.
    pub codec: Codec,
    /// How responses are written.
    pub responses_codec: Codec,
    /// How outbound records are written.
    pub outbound_codec: Codec,
    /// The outbound topics.
    pub outbound: Vec<Arc<str>>,
}

/// Which errors are meant. What is not given does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Their kinds.
    pub kinds: Vec<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// The record's key.
    pub key: Option<String>,
    /// The message's log id.
    pub log_id: Option<String>,
    /// The record's topic.
    pub topic: Option<String>,
    /// The ESME.
    pub esme: Option<String>,
    /// Also what may have been sent.
    pub may_duplicate: bool,
    /// Also what was put back before.
    pub replayed: bool,
    /// At most so many.
    pub limit: usize,
}

/// An error that the filter lets through.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its partition on the topic of errors.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key: the record's, if that could not be read.
    key: Option<Vec<u8>>,
    /// Its headers.
    headers: Option<rdkafka::message::OwnedHeaders>,
    /// What it says.
    pub failed: ReadSendError,
    /// Whether its record was put back before.
    pub before: bool,
    /// Whether its record may have been sent, as this or another error of it says.
    pub may_have_been_sent: bool,
    /// What becomes of it.
    pub decision: Decision,
}

/// What becomes of an error that the filter lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its record is put back.
    Send,
    /// It was put back before.
    Before,
    /// A later error is about the same record.
    Superseded,
    /// It may have been sent, and nobody consented to a duplicate.
    Doubtful,
    /// A response says that the SMSC took it: one that came late, was too large for its topic, or
    /// belongs to another time that the record was read.
    Taken,
    /// No ESME sends from its topic.
    Foreign,
    /// The record is there no more, or what stands there is another.
    Gone(&'static str),
    /// The record had no value.
    Tombstone,
}

impl Decision {
    /// In a few words.
    pub const fn words(&self) -> &'static str {
        match self {
            Decision::Send => "send",
            Decision::Before => "was put back before",
            Decision::Superseded => "a later error is about the same record",
            Decision::Doubtful => "may have been sent",
            Decision::Taken => "a response says it was sent",
            Decision::Foreign => "no ESME sends from its topic",
            Decision::Gone(why) => why,
            Decision::Tombstone => "had no value",
        }
    }

    /// Whether the record is lost to a replay.
    pub const fn is_lost(&self) -> bool {
        matches!(
            self,
            Decision::Gone(_) | Decision::Tombstone | Decision::Foreign
        )
    }
}

/// Why replaying ended.
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
    /// Somebody else began after us.
    #[error("another replay has begun: it goes on where this one ends")]
    Fenced,
    /// Transactions do not end.
    #[error("transactions on {0} do not end: try again when their processes have")]
    Open(Partition),
    /// A schema is not here.
    #[error(transparent)]
    Schema(#[from] SchemaAway),
    /// A record of ours that its format cannot express.
    #[error(transparent)]
    Unwritable(#[from] crate::record::codec::Unwritable),
}

impl From<whole_topic::Error> for Error {
    fn from(error: whole_topic::Error) -> Self {
        match error {
            whole_topic::Error::Kafka { what, error } => Error::at(what)(error),
            whole_topic::Error::Open(partition) => Error::Open(partition),
        }
    }
}

impl Error {
    /// By which it is explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Kafka { .. } => codes::KAFKA_FAILED,
            Error::Fenced => codes::REPLAY_DISPLACED,
            Error::Open(_) => codes::REPLAY_WAITS,
            Error::Schema(_) => codes::REGISTRY_AWAY,
            Error::Unwritable(_) => codes::BUG,
        }
    }

    /// Whether trying again helps.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Fenced | Error::Open(_) | Error::Schema(_))
    }

    fn at(what: impl std::fmt::Display) -> impl FnOnce(KafkaError) -> Error {
        move |error| match ErrorClass::of_error(&error) {
            ErrorClass::Fenced => Error::Fenced,
            _ => Error::Kafka {
                what: what.to_string(),
                error,
            },
        }
    }
}

/// What else there is to say when a replay is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Errors whose records are gone, so that nobody knows whether they had the filter's key.
    pub nameless: usize,
    /// Whether more records have the filter's key than its limit allows.
    pub more: bool,
}

/// What is told while it goes on: how far it has come, and of how many.
pub type Progress<'a> = &'a dyn Fn(&'static str, u64, u64);

/// A replay under way.
pub struct Replay {
    options: Options,
    filter: Filter,
    /// None if it only looks.
    sender: Option<send::Sender>,
}

impl Replay {
    /// One that only looks.
    pub fn survey(options: Options, filter: Filter) -> Self {
        Replay {
            options,
            filter,
            sender: None,
        }
    }

    /// One that sends. Whoever replays already is stopped.
    ///
    /// # Errors
    ///
    /// When Kafka does not let it.
    pub fn begin(options: Options, filter: Filter) -> Result<Self, Error> {
        let sender = Some(send::Sender::new(&options)?);
        Ok(Replay {
            options,
            filter,
            sender,
        })
    }

    /// Finds what the filter lets through, in the order in which the records stood. The flag says whether
    /// there is more than the filter's limit.
    ///
    /// # Errors
    ///
    /// When Kafka fails.
    pub fn find(&self, progress: Progress<'_>) -> Result<(Vec<Found>, bool), Error> {
        let (mut found, more) = scan::find(&self.options, &self.filter, progress)?;
        found.sort_by(|a, b| place(a).cmp(&place(b)));
        Ok((found, more))
    }

    /// Reads the record of each of `found` that is to be sent, and sends them if this replay
    /// does. `told` gets each of them with its decision, after that is settled. With a key in the
    /// filter all records are read, and only those that have it matter.
    ///
    /// # Errors
    ///
    /// When Kafka fails. What was told before has happened; of the rest, nothing or what another
    /// run will find.
    pub fn settle(
        &self,
        found: Vec<Found>,
        mut told: impl FnMut(&Found),
        progress: Progress<'_>,
    ) -> Result<Settled, Error> {
        let mut originals = originals::Originals::new(&self.options)?;
        let all = found.len() as u64;
        let mut batch = send::Batch::default();
        let (mut settled, mut chosen) = (Settled::default(), 0);
        for (n, mut one) in (0u64..).zip(found) {
            progress("records read", n, all);
            let original = match (&one.decision, &self.filter.key) {
                (Decision::Send, _) | (_, Some(_)) => originals.read(&one),
                (decision, None) => Err(decision.clone()),
            };
            match (original, &self.filter.key) {
                (Ok(original), Some(key)) if !is_key(&original.key, key) => continue,
                // The error of a record that could not be read has its key.
                (Err(Decision::Gone(_) | Decision::Tombstone), Some(key))
                    if !is_key(&one.key, key) =>
                {
                    settled.nameless += 1;
                    continue;
                }
                (Ok(original), _) if one.decision == Decision::Send => {
                    if chosen == self.filter.limit {
                        settled.more = true;
                        break;
                    }
                    chosen += 1;
                    batch.add(one, original);
                }
                (Err(decision), _) if one.decision == Decision::Send => {
                    one.decision = decision;
                    told(&one);
                }
                _ => told(&one),
            }
            if batch.is_full() {
                self.finish(&mut batch, &mut told)?;
            }
        }
        self.finish(&mut batch, &mut told)?;
        Ok(settled)
    }

    fn finish(&self, batch: &mut send::Batch, told: &mut impl FnMut(&Found)) -> Result<(), Error> {
        if let Some(sender) = &self.sender
            && !batch.is_empty()
        {
            sender.send(batch)?;
        }
        batch.drain().for_each(|one| told(&one));
        Ok(())
    }
}

fn is_key(key: &Option<Vec<u8>>, wanted: &str) -> bool {
    key.as_deref() == Some(wanted.as_bytes())
}

/// How long Kafka, or the schema registry, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

fn place(found: &Found) -> (&str, i32, i64) {
    let record = &found.failed.record;
    (&record.topic, record.partition, record.offset)
}
