//! Reading a topic from its beginning, or from a time on, to its end: for commands that look for
//! what was written, and for what was not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Partition;
use super::group::partition_count;

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

/// A topic, from a time on if one is given.
pub(crate) struct WholeTopic<'a> {
    /// Properties of a consumer.
    pub client: &'a ClientConfig,
    /// When Kafka ends a transaction that its process left open.
    pub transaction_timeout: Duration,
    /// The topic.
    pub topic: &'a Arc<str>,
    /// In Unix milliseconds.
    pub since: Option<i64>,
}

/// A client that reads what is committed, from where it is told to.
pub(crate) fn reader(client: &ClientConfig) -> Result<BaseConsumer, Error> {
    let mut client = client.clone();
    client
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    client
        .create()
        .map_err(Error::at("no Kafka client can be made"))
}

impl WholeTopic<'_> {
    /// Shows every committed record to `see`, up to those that are there now; `see` ends it by
    /// saying no. `progress` is told how many were read, and of about how many.
    pub(crate) fn read<E: From<Error>>(
        &self,
        progress: &dyn Fn(u64, u64),
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let failed = || Error::at(format!("{} cannot be read", self.topic));
        let consumer = reader(self.client)?;
        let logs = self.begin(&consumer)?;
        let starts = logs.iter().map(|(_, (from, to))| to - from);
        let all = u64::try_from(starts.sum::<i64>()).unwrap_or_default();
        let mut open = logs;
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
        Ok(())
    }

    /// Lets `consumer` begin. The partitions in which there is something: from where, up to where.
    fn begin(&self, consumer: &BaseConsumer) -> Result<HashMap<i32, (i64, i64)>, Error> {
        let topic = self.topic;
        let failed = || Error::at(format!("{topic} cannot be read"));
        let count = partition_count(consumer, topic, TIMEOUT).map_err(failed())?;
        let mut list = TopicPartitionList::new();
        for partition in 0..count {
            let offset = self.since.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(topic, partition, offset)
                .map_err(failed())?;
        }
        if self.since.is_some() {
            list = consumer
                .offsets_for_times(list, TIMEOUT)
                .map_err(failed())?;
        }
        let mut uncommitted = self.client.clone();
        uncommitted.set("isolation.level", "read_uncommitted");
        let uncommitted: BaseConsumer = uncommitted.create().map_err(failed())?;
        let mut open = HashMap::new();
        let mut starts = TopicPartitionList::new();
        for element in list.elements() {
            let partition = Partition {
                topic: topic.clone(),
                partition: element.partition(),
            };
            let (low, end) = self.settled(consumer, &uncommitted, &partition)?;
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
        Ok(open)
    }

    /// First offset and end of a partition, when everything that stands before its end now is
    /// decided: nothing hides behind a transaction that began before it.
    fn settled(
        &self,
        consumer: &BaseConsumer,
        uncommitted: &BaseConsumer,
        p: &Partition,
    ) -> Result<(i64, i64), Error> {
        let failed = || Error::at(format!("offsets of {p}"));
        let (_, end) = uncommitted
            .fetch_watermarks(&p.topic, p.partition, TIMEOUT)
            .map_err(failed())?;
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
