//! Reading a topic from its beginning, from a time on, or from where it was read before, to its end: for
//! commands that look for what was written, and for what was not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Partition;
use super::ear::Plain;
use super::group::partition_count;
use super::token::consumer_begins;

/// From where to where partitions are read that are not read to their end yet.
type Open = HashMap<i32, (i64, i64)>;

/// How long Kafka may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a topic was not read to its end.
#[derive(Debug)]
pub(crate) enum Error {
    /// Kafka failed.
    Kafka {
        /// What was tried.
        what: String,
        /// What Kafka said.
        error: KafkaError,
    },
    /// Transactions do not end.
    Open(Partition),
}

impl Error {
    pub(crate) fn at(what: impl std::fmt::Display) -> impl FnOnce(KafkaError) -> Error {
        move |error| Error::Kafka {
            what: what.to_string(),
            error,
        }
    }
}

/// Where each partition begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin<'a> {
    /// With its first record.
    First,
    /// With the first since a time, in Unix milliseconds.
    Since(i64),
    /// Where it was read to before; the others with their first.
    At(&'a BTreeMap<i32, i64>),
}

/// Whether records of transactions count that are not committed, or never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// All octets that are there.
    Uncommitted,
    /// What was committed; and all of it that stood before the end now, however long its transactions
    /// take.
    Committed,
}

/// What a topic has now.
pub(crate) struct WholeTopic<'a> {
    /// Properties of a consumer.
    pub client: &'a ClientConfig,
    /// When Kafka ends a transaction that its process left open.
    pub transaction_timeout: Duration,
    /// The topic.
    pub topic: &'a Arc<str>,
    /// From where.
    pub begin: Begin<'a>,
    /// Which records.
    pub isolation: Isolation,
}

/// A client that reads topics as they are.
pub(crate) type Client = BaseConsumer<Plain>;

/// A client that reads what is committed, from where it is told to.
pub(crate) fn reader(client: &ClientConfig) -> Result<Client, Error> {
    let mut client = client.clone();
    client
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    client
        .create_with_context(Plain::of(&client))
        .map(consumer_begins)
        .map_err(Error::at("no Kafka client can be made"))
}

impl WholeTopic<'_> {
    /// Shows every record to `see`, up to those that are there now; `see` ends it by saying no.
    /// `progress` is told how many were read, and of about how many. Where each partition ended when it
    /// began.
    pub(crate) fn read<E: From<Error>>(
        &self,
        progress: &dyn Fn(u64, u64),
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<bool, E>,
    ) -> Result<BTreeMap<i32, i64>, E> {
        let failed = || Error::at(format!("{} cannot be read", self.topic));
        let consumer = self.client(self.isolation)?;
        let (mut open, ends) = self.begin(&consumer)?;
        let lengths = open.values().map(|(from, to)| to - from);
        let all = u64::try_from(lengths.sum::<i64>()).unwrap_or_default();
        let mut seen = 0;
        let mut last = Instant::now();
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    seen += 1;
                    progress(seen, all);
                    if !see(&message)? {
                        break;
                    }
                    let (partition, next) = (message.partition(), message.offset() + 1);
                    // What comes behind is for the next time: a log that grows has no end.
                    if open.get(&partition).is_some_and(|(_, to)| next >= *to) {
                        open.remove(&partition);
                    }
                    last = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                    last = Instant::now();
                }
                Some(Err(error)) if last.elapsed() > TIMEOUT => return Err(failed()(error).into()),
                // It may pass.
                Some(Err(error)) => tracing::debug!(%error, "reading goes on"),
                None if last.elapsed() > 3 * TIMEOUT => {
                    return Err(failed()(KafkaError::Canceled).into());
                }
                None => {}
            }
        }
        Ok(ends)
    }

    fn client(&self, isolation: Isolation) -> Result<Client, Error> {
        let mut client = self.client.clone();
        client.set("enable.partition.eof", "true").set(
            "isolation.level",
            match isolation {
                Isolation::Uncommitted => "read_uncommitted",
                Isolation::Committed => "read_committed",
            },
        );
        let context = Plain::of(&client);
        client
            .create_with_context(context)
            .map(consumer_begins)
            .map_err(Error::at("no Kafka client can be made"))
    }

    /// Lets `consumer` begin. The partitions in which there is something: from where, up to where; and
    /// where each ends.
    fn begin(&self, consumer: &Client) -> Result<(Open, BTreeMap<i32, i64>), Error> {
        let topic = self.topic;
        let failed = || Error::at(format!("{topic} cannot be read"));
        let count = partition_count(consumer, topic, TIMEOUT).map_err(failed())?;
        let mut list = TopicPartitionList::new();
        for partition in 0..count {
            let offset = match self.begin {
                Begin::First => Offset::Beginning,
                Begin::Since(time) => Offset::Offset(time),
                Begin::At(before) => {
                    (before.get(&partition)).map_or(Offset::Beginning, |next| Offset::Offset(*next))
                }
            };
            list.add_partition_offset(topic, partition, offset)
                .map_err(failed())?;
        }
        if matches!(self.begin, Begin::Since(_)) {
            list = consumer
                .offsets_for_times(list, TIMEOUT)
                .map_err(failed())?;
        }
        let uncommitted = self.client(Isolation::Uncommitted)?;
        let (mut open, mut ends) = (Open::new(), BTreeMap::new());
        let mut starts = TopicPartitionList::new();
        for element in list.elements() {
            let partition = Partition {
                topic: topic.clone(),
                partition: element.partition(),
            };
            let (low, end) = self.settled(consumer, &uncommitted, &partition)?;
            ends.insert(partition.partition, end);
            let start = match element.offset() {
                Offset::Offset(offset) => offset.max(low),
                Offset::End => end,
                _ => low,
            };
            if start < end {
                open.insert(partition.partition, (start, end));
                starts
                    .add_partition_offset(topic, partition.partition, Offset::Offset(start))
                    .map_err(failed())?;
            }
        }
        consumer.assign(&starts).map_err(failed())?;
        Ok((open, ends))
    }

    /// First offset and end of a partition. Of what is committed when everything that stands before its
    /// end now is decided: nothing hides behind a transaction that began before it.
    fn settled(
        &self,
        consumer: &Client,
        uncommitted: &Client,
        p: &Partition,
    ) -> Result<(i64, i64), Error> {
        let failed = || Error::at(format!("offsets of {p}"));
        let (low, end) = uncommitted
            .fetch_watermarks(&p.topic, p.partition, TIMEOUT)
            .map_err(failed())?;
        if self.isolation == Isolation::Uncommitted {
            return Ok((low, end));
        }
        let deadline = Instant::now() + self.transaction_timeout + TIMEOUT;
        loop {
            let (low, stable) = consumer
                .fetch_watermarks(&p.topic, p.partition, TIMEOUT)
                .map_err(failed())?;
            if stable >= end {
                return Ok((low, stable));
            }
            if Instant::now() >= deadline {
                return Err(Error::Open(p.clone()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
