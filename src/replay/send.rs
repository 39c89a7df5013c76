//! Putting records back, each in one transaction with its marker.

use std::time::Duration;

use jiff::Timestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Error, Found, Options, Original};
use crate::kafka::ear::Plain;
use crate::kafka::transactor;
use crate::record::codec::Codec;
use crate::record::event::{About, SendError, SendErrorKind};
use crate::record::headers;
use crate::record::keys::Position;

/// How long Kafka may take for a step of a transaction.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Records of one transaction, and octets.
const RECORDS: usize = 100;
const OCTETS: usize = 4 << 20;

/// What goes into the next transaction.
#[derive(Default)]
pub(super) struct Batch {
    records: Vec<(Found, Original)>,
    octets: usize,
}

impl Batch {
    pub fn add(&mut self, found: Found, original: Original) {
        self.octets += original.value.len();
        self.records.push((found, original));
    }

    pub fn is_full(&self) -> bool {
        self.records.len() >= RECORDS || self.octets >= OCTETS
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn drain(&mut self) -> impl Iterator<Item = Found> {
        self.octets = 0;
        self.records.drain(..).map(|(found, _)| found)
    }
}

/// The one transactional producer of all replays.
pub(super) struct Sender {
    producer: BaseProducer<Plain>,
    errors: std::sync::Arc<str>,
    codec: Codec,
}

impl Sender {
    /// Ends what another replay has begun, and takes its place.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let producer = transactor::for_command(
            &options.producer,
            &options.transactional_id,
            options.transaction_timeout,
            TIMEOUT,
        );
        Ok(Sender {
            producer: producer.map_err(Error::at("no replay can begin"))?,
            errors: options.errors.clone(),
            codec: options.codec.clone(),
        })
    }

    /// Puts back a batch: all of it, or nothing.
    pub fn send(&self, batch: &Batch) -> Result<(), Error> {
        let failed = || Error::at("records cannot be put back");
        self.producer.begin_transaction().map_err(failed())?;
        for (found, original) in &batch.records {
            let error = Position {
                topic: self.errors.to_string(),
                partition: found.partition,
                offset: found.offset,
            };
            if let Err(why) = self.put(found, original, &error) {
                let _ = self.producer.abort_transaction(TIMEOUT);
                return Err(why);
            }
        }
        // Whether a commit without an answer happened is what the next run reads.
        self.producer.commit_transaction(TIMEOUT).map_err(|why| {
            let _ = self.producer.abort_transaction(TIMEOUT);
            failed()(why)
        })
    }

    fn put(&self, found: &Found, original: &Original, error: &Position) -> Result<(), Error> {
        let record = &found.failed.record;
        self.produce(
            BaseRecord::<[u8], [u8]>::to(&record.topic)
                .partition(record.partition)
                .payload(&original.value)
                .headers(again(found, original, error)),
            original.key.as_deref(),
        )?;
        let marker = self.codec.write(&marker(found, &Timestamp::now()))?;
        let told = [
            (headers::VERSION, headers::VERSION_1.to_owned()),
            (headers::REPLAYED, error.to_string()),
            (headers::ORIGIN, record.to_string()),
        ];
        self.produce(
            BaseRecord::<[u8], [u8]>::to(&self.errors)
                .partition(found.partition)
                .payload(&marker)
                .headers(told.iter().fold(OwnedHeaders::new(), insert)),
            found.key.as_deref(),
        )
    }

    fn produce<'r>(
        &self,
        mut record: BaseRecord<'r, [u8], [u8]>,
        key: Option<&'r [u8]>,
    ) -> Result<(), Error> {
        record.key = key;
        loop {
            let full = RDKafkaErrorCode::QueueFull;
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(code), back)) if code == full => {
                    self.producer.poll(Duration::from_millis(50));
                    record = back;
                }
                Err((why, back)) => {
                    return Err(Error::at(format!("{} takes no record", back.topic))(why));
                }
            }
        }
    }
}

fn insert(all: OwnedHeaders, (key, value): &(&str, String)) -> OwnedHeaders {
    all.insert(Header {
        key,
        value: Some(value),
    })
}

/// The record's headers, and ours: its events will be about where it stood first.
fn again(found: &Found, original: &Original, error: &Position) -> OwnedHeaders {
    let failed = &found.failed;
    let mut ours = vec![
        (headers::VERSION, headers::VERSION_1.to_owned()),
        (headers::ORIGIN, failed.record.to_string()),
        (headers::ATTEMPTS, failed.attempt.to_string()),
        (headers::REPLAY_OF, error.to_string()),
    ];
    if found.may_have_been_sent || found.before {
        ours.push((headers::POSSIBLE_DUPLICATE, "1".to_owned()));
    }
    ours.iter().fold(original.headers.clone(), insert)
}

/// What tells that the record of an error was put back.
fn marker<'a>(found: &'a Found, at: &Timestamp) -> SendError<'a> {
    let failed = &found.failed;
    SendError {
        name: "SendError",
        about: About {
            log_id: &failed.log_id,
            extra_data: None,
            terminal: false,
            attempt: failed.attempt,
            possible_duplicate: failed.possible_duplicate,
            late: false,
            record: &failed.record,
            esme: &failed.esme,
            bind: None,
            source: None,
            destination: None,
        },
        kind: SendErrorKind::Replayed,
        error: "put back onto its topic: another result follows",
        field: None,
        command_status: None,
        command_status_name: None,
        original: None,
        at: *at,
        parts: Vec::new(),
    }
}
