//! Whether a partition's log has anything to read between a position and its end.
//!
//! Offsets are also taken by what no consumer is shown: the marks that end transactions, and the
//! records of those that were aborted. So a position behind the last record may lie before the
//! end for good, and after retention has emptied the log it lies below its beginning, where it
//! looks as if records had been deleted that nobody read.
//!
//! To know that there is nothing it must be read. A client of its own reads the partition from
//! the position. librdkafka notes in its statistics where it has come to the end
//! (`eof_offset`), and it does so after it has put all that lies before into the queue that is
//! polled. So when such an end is known, and the queue is empty after that, and no record
//! came, there is none before that end, whatever has been appended behind it since.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ear::Ear;
use super::group::{Partition, list};
use super::token::consumer_begins;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::Offset;

/// How long a queue is polled until it is empty.
const POLL: Duration = Duration::from_millis(100);

/// Notes where the client has come to the end of its partition.
struct Context {
    partition: Partition,
    end: Arc<Mutex<Option<i64>>>,
    ear: Ear,
}

impl ClientContext for Context {
    crate::kafka::token::tokens_of_ours!();

    fn stats(&self, statistics: Statistics) {
        let topic = statistics.topics.get(&*self.partition.topic);
        let found = topic.and_then(|topic| topic.partitions.get(&self.partition.partition));
        if let Some(end) = found.map(|p| p.eof_offset).filter(|end| *end >= 0) {
            *self.end.lock() = Some(end);
        }
    }

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        self.ear.log(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
    }
}

impl ConsumerContext for Context {}

/// An offset up to which there is no committed record from `from` on; `None` if there is one, or
/// if it is not known after `timeout`.
///
/// # Errors
///
/// When Kafka says that the position is none of its log, or does not answer.
pub fn empty_until(
    client: &ClientConfig,
    partition: &Partition,
    from: i64,
    timeout: Duration,
) -> Result<Option<i64>, KafkaError> {
    let end = Arc::new(Mutex::new(None));
    let context = Context {
        partition: partition.clone(),
        end: end.clone(),
        ear: Ear::of(client),
    };
    let mut client = client.clone();
    // It is no member, and commits nothing.
    client.remove("group.instance.id");
    let consumer: BaseConsumer<Context> = client
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("statistics.interval.ms", "200")
        .create_with_context(context)
        .map(consumer_begins)?;
    consumer.assign(&list(std::slice::from_ref(partition), Offset::Offset(from)))?;
    let deadline = Instant::now() + timeout;
    while Instant::now() < deadline {
        // Known before the queue is looked at.
        let known = *end.lock();
        match consumer.poll(POLL) {
            Some(Ok(_)) => return Ok(None),
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(error),
            None if known.is_some() => return Ok(known),
            None => {}
        }
    }
    Ok(None)
}
