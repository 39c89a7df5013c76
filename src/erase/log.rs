//! Reading a topic from its beginning, or from where it was read before, to where it ends now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Error, Options, Progress, TIMEOUT};
use crate::kafka::Partition;
use crate::kafka::ear::Plain;
use crate::kafka::group::partition_count;

type Client = rdkafka::consumer::BaseConsumer<Plain>;

/// Whether records of transactions count that are not committed, or never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    /// All octets that are there.
    Uncommitted,
    /// What was committed; and all of it that stood before the end now, however long its transactions
    /// take.
    Committed,
}

/// A topic, and how far it was read.
pub(super) struct Log {
    topic: Arc<str>,
    isolation: Isolation,
    /// Where each partition goes on.
    next: BTreeMap<i32, i64>,
}

impl Log {
    pub(super) fn new(topic: &Arc<str>, isolation: Isolation) -> Self {
        Log {
            topic: topic.clone(),
            isolation,
            next: BTreeMap::new(),
        }
    }

    /// Begins anew with the first records.
    pub(super) fn rewind(&mut self) {
        self.next.clear();
    }

    /// Shows `see` every record up to the end that each partition has now.
    pub(super) fn read(
        &mut self,
        options: &Options,
        progress: Progress<'_>,
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = || Error::at(format!("topic {}", self.topic));
        let consumer = client(options, self.isolation)?;
        let ends = self.ends(options, &consumer)?;
        let mut starts = TopicPartitionList::new();
        let (mut open, mut all) = (BTreeSet::new(), 0);
        for (partition, (low, end)) in &ends {
            let start = self.next.get(partition).copied().unwrap_or(*low).max(*low);
            if start < *end {
                all += u64::try_from(end - start).unwrap_or_default();
                open.insert(*partition);
                starts
                    .add_partition_offset(&self.topic, *partition, Offset::Offset(start))
                    .map_err(failed())?;
            }
        }
        consumer.assign(&starts).map_err(failed())?;
        let (mut seen, mut last) = (0, Instant::now());
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    seen += 1;
                    progress(&self.topic, seen, all);
                    see(&message)?;
                    let end = ends.get(&message.partition()).map_or(0, |(_, end)| *end);
                    // What comes behind is for the next time; a log that grows has no end.
                    if message.offset() + 1 >= end {
                        open.remove(&message.partition());
                    }
                    last = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                    last = Instant::now();
                }
                Some(Err(error)) if last.elapsed() > TIMEOUT => return Err(failed()(error)),
                // It may pass.
                Some(Err(error)) => tracing::debug!(%error, "reading goes on"),
                None if last.elapsed() > 3 * TIMEOUT => {
                    return Err(failed()(KafkaError::Canceled));
                }
                None => {}
            }
        }
        (self.next).extend(ends.iter().map(|(partition, (_, end))| (*partition, *end)));
        Ok(())
    }

    /// First offset and end of each partition.
    fn ends(
        &self,
        options: &Options,
        consumer: &Client,
    ) -> Result<BTreeMap<i32, (i64, i64)>, Error> {
        let failed = || Error::at(format!("topic {}", self.topic));
        let count = partition_count(consumer, &self.topic, TIMEOUT).map_err(failed())?;
        let uncommitted = client(options, Isolation::Uncommitted)?;
        let mut ends = BTreeMap::new();
        for partition in 0..count {
            let watermarks = uncommitted.fetch_watermarks(&self.topic, partition, TIMEOUT);
            let (low, end) = watermarks.map_err(failed())?;
            if self.isolation == Isolation::Committed {
                self.settle(options, consumer, partition, end)?;
            }
            ends.insert(partition, (low, end));
        }
        Ok(ends)
    }

    /// Waits until everything below `end` is committed or aborted.
    fn settle(
        &self,
        options: &Options,
        consumer: &Client,
        partition: i32,
        end: i64,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + options.transaction_timeout + TIMEOUT;
        loop {
            let watermarks = consumer.fetch_watermarks(&self.topic, partition, TIMEOUT);
            let (_, stable) = watermarks.map_err(Error::at(format!("topic {}", self.topic)))?;
            if stable >= end {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Open(Partition {
                    topic: self.topic.clone(),
                    partition,
                }));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn client(options: &Options, isolation: Isolation) -> Result<Client, Error> {
    let mut client = options.reader.clone();
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
        .map_err(Error::at("no Kafka client can be made"))
}
