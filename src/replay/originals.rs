//! The records that errors are about, read again from where they stood.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message, OwnedHeaders};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::scan::reader;
use super::{Decision, Error, Found, Options, TIMEOUT};
use crate::kafka::whole_topic::Client;
use crate::kafka::{cloud_events, foreign};
use crate::record::codec::{Codec, patiently};
use crate::record::headers;
use crate::record::keys::Position;
use crate::record::submit_sm::derived_log_id;

/// Records further on than this are sought, nearer ones are read up to.
const NEAR: i64 = 1000;
/// A record that is younger than its error by more than clocks differ is another record.
const SLACK: i64 = 300_000;

const DELETED: &str = "the record is deleted";
const OTHER: &str = "another record stands in its place";
const HEADER: &str = "a header's name is not UTF-8";
const UNREAD: &str = "the record cannot be read now";

/// A record as its producer wrote it.
#[derive(Clone, Debug)]
pub struct Original {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
    /// The headers that travel.
    pub headers: OwnedHeaders,
}

/// Reads records by their position; fastest in the order of their positions.
pub(super) struct Originals {
    consumer: Client,
    codec: Codec,
    /// Where it reads, and what comes next there.
    at: Option<(String, i32, i64)>,
    ends: HashMap<(String, i32), (i64, i64)>,
}

impl Originals {
    pub fn new(options: &Options) -> Result<Self, Error> {
        Ok(Originals {
            consumer: reader(options)?,
            codec: options.outbound_codec.clone(),
            at: None,
            ends: HashMap::new(),
        })
    }

    /// The record of an error, or why there is none.
    pub fn read(&mut self, found: &Found) -> Result<Original, Decision> {
        let record = &found.failed.record;
        match self.stored(record, |message, codec| original(message, found, codec)) {
            Ok(original) => Ok(original),
            Err(Decision::Gone(why)) => copy(found).ok_or(Decision::Gone(why)),
            Err(decision) => Err(decision),
        }
    }

    /// When a record was written, by its timestamp; `None` if it is there no more, or has none.
    pub fn written(&mut self, record: &Position) -> Option<i64> {
        let written = self.stored(record, |message, _| Ok(message.timestamp().to_millis()));
        written.ok().flatten()
    }

    /// Whether a record lies in its log; an error if Kafka does not say.
    pub fn is_there(&mut self, record: &Position) -> Result<bool, KafkaError> {
        let (low, end) = self.ends(record)?;
        Ok((low..end).contains(&record.offset))
    }

    fn stored<T>(
        &mut self,
        record: &Position,
        read: impl FnOnce(&BorrowedMessage<'_>, &Codec) -> Result<T, Decision>,
    ) -> Result<T, Decision> {
        let (low, end) = self.ends(record).map_err(|_| Decision::Gone(DELETED))?;
        if !(low..end).contains(&record.offset) {
            return Err(Decision::Gone(DELETED));
        }
        self.seek(record).map_err(|_| Decision::Gone(UNREAD))?;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) if message.partition() != record.partition => {}
                Some(Ok(message)) if message.offset() < record.offset => {}
                Some(Ok(message)) => {
                    let next = message.offset() + 1;
                    self.at = Some((record.topic.clone(), record.partition, next));
                    return if message.offset() == record.offset {
                        read(&message, &self.codec)
                    } else {
                        Err(Decision::Gone(DELETED))
                    };
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.at = None;
                    return Err(Decision::Gone(DELETED));
                }
                _ if Instant::now() >= deadline => {
                    self.at = None;
                    return Err(Decision::Gone(UNREAD));
                }
                _ => {}
            }
        }
    }

    fn ends(&mut self, record: &Position) -> Result<(i64, i64), KafkaError> {
        let place = (record.topic.clone(), record.partition);
        if let Some(ends) = self.ends.get(&place) {
            return Ok(*ends);
        }
        let ends = (self.consumer).fetch_watermarks(&record.topic, record.partition, TIMEOUT)?;
        self.ends.insert(place, ends);
        Ok(ends)
    }

    /// Goes to where the record is read next, or soon.
    fn seek(&mut self, record: &Position) -> Result<(), KafkaError> {
        if let Some((topic, partition, next)) = &self.at
            && (topic, *partition) == (&record.topic, record.partition)
            && (*next..*next + NEAR).contains(&record.offset)
        {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(record.offset);
        list.add_partition_offset(&record.topic, record.partition, offset)?;
        self.consumer.assign(&list)
    }
}

/// What was found in a record's place, if it is the record.
fn original(
    message: &BorrowedMessage<'_>,
    found: &Found,
    codec: &Codec,
) -> Result<Original, Decision> {
    let failed = &found.failed;
    let ended = failed.at.as_millisecond();
    let written = message.timestamp().to_millis();
    if written.is_some_and(|written| written > ended + SLACK) {
        return Err(Decision::Gone(OTHER));
    }
    let Some(value) = message.payload() else {
        return Err(match failed.original {
            Some(_) => Decision::Gone(OTHER),
            None => Decision::Tombstone,
        });
    };
    let same = match &failed.original {
        Some(original) => original == value,
        None => {
            let derived = derived_log_id(&failed.record);
            let named = match patiently(|| codec.outbound(value)) {
                Ok(Ok(record)) => record.sm.log_id.map(String::from),
                Ok(Err(invalid)) => invalid.log_id,
                Err(_) => return Err(Decision::Gone(UNREAD)),
            };
            // What was too long for an event gave way to the derived one.
            failed.log_id == derived || named.as_ref() == Some(&failed.log_id)
        }
    };
    if !same {
        return Err(Decision::Gone(OTHER));
    }
    let all = message.headers().map(BorrowedHeaders::detach);
    let travelling = foreign::read(|| travelling(&all.unwrap_or_default()));
    Ok(Original {
        key: message.key().map(<[u8]>::to_vec),
        value: value.to_vec(),
        headers: travelling.ok_or(Decision::Gone(HEADER))?,
    })
}

/// The copy that the error holds.
fn copy(found: &Found) -> Option<Original> {
    let value = found.failed.original.clone()?;
    let all = found.headers.clone().unwrap_or_default();
    let keyless = all
        .iter()
        .any(|h| h.key == headers::WITHOUT && h.value == Some(headers::KEY.as_bytes()));
    Some(Original {
        key: found.key.clone().filter(|_| !keyless),
        value,
        headers: cloud_events::without(&travelling(&all)),
    })
}

/// All headers but ours.
fn travelling(all: &OwnedHeaders) -> OwnedHeaders {
    all.iter()
        .filter(|header| !headers::is_ours(header.key))
        .fold(OwnedHeaders::new(), OwnedHeaders::insert)
}
