//! Records for which the metadata has no room go back onto their topic.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Error, Options, Rebuilt, Telling};
use crate::kafka::Partition;
use crate::kafka::ear::Plain;
use crate::kafka::transactor;
use crate::kafka::whole_topic::{Client, reader};
use crate::record::keys::Position;
use crate::submit::Returned;

/// How long Kafka may take for a step of a transaction.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Records of one transaction.
const RECORDS: usize = 500;

pub(super) fn put_back(
    options: &Options,
    rebuilt: &[Rebuilt],
    telling: Telling<'_>,
) -> Result<(), Error> {
    let all: u64 = rebuilt.iter().map(|one| one.back.len() as u64).sum();
    if all == 0 {
        return Ok(());
    }
    let producer = producer(options)?;
    let consumer = reader(&options.reader)?;
    let mut done = 0;
    for one in rebuilt.iter().filter(|one| !one.back.is_empty()) {
        seek(&consumer, &one.partition, one.back[0].0)?;
        for batch in one.back.chunks(RECORDS) {
            producer.begin_transaction().map_err(failed())?;
            let sent = send(&producer, &consumer, &one.partition, batch);
            let ended = sent.and_then(|()| {
                let committed = producer.commit_transaction(TIMEOUT);
                committed.map_err(failed())
            });
            if let Err(error) = ended {
                let _ = producer.abort_transaction(TIMEOUT);
                return Err(error);
            }
            done += batch.len() as u64;
            telling("records put back", done, all);
        }
    }
    Ok(())
}

fn failed() -> impl FnOnce(KafkaError) -> Error {
    Error::at("records cannot be put back")
}

fn producer(options: &Options) -> Result<BaseProducer<Plain>, Error> {
    transactor::for_command(
        &options.producer,
        &options.transactional_id,
        options.transaction_timeout,
        TIMEOUT,
    )
    .map_err(failed())
}

fn seek(consumer: &Client, partition: &Partition, offset: i64) -> Result<(), Error> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(
        &partition.topic,
        partition.partition,
        Offset::Offset(offset),
    )
    .and_then(|()| consumer.assign(&list))
    .map_err(Error::at(format!("{partition} cannot be read")))
}

/// Reads the records of a batch, in their order, and produces each again.
fn send(
    producer: &BaseProducer<Plain>,
    consumer: &Client,
    partition: &Partition,
    batch: &[(i64, bool)],
) -> Result<(), Error> {
    let mut wanted = batch.iter().peekable();
    let deadline = Instant::now() + TIMEOUT;
    while let Some((offset, doubtful)) = wanted.peek().copied() {
        let gone = || Error::Gone {
            partition: partition.clone(),
            offset: *offset,
        };
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) if message.offset() == *offset => {
                again(producer, &message, *doubtful, gone)?;
                wanted.next();
            }
            Some(Ok(message)) if message.offset() > *offset => return Err(gone()),
            _ if Instant::now() >= deadline => {
                return Err(Error::at(format!("{partition} cannot be read"))(
                    KafkaError::Canceled,
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn again(
    producer: &BaseProducer<Plain>,
    message: &BorrowedMessage<'_>,
    doubtful: bool,
    gone: impl FnOnce() -> Error,
) -> Result<(), Error> {
    let read = Returned::read(message.headers());
    let (mut returned, travelling) = read.ok_or_else(gone)?;
    returned.doubts = returned.doubts.saturating_add(u8::from(doubtful));
    returned.origin.get_or_insert_with(|| Position {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
    });
    let mut record = BaseRecord::<[u8], [u8]>::to(message.topic())
        .partition(message.partition())
        .headers(returned.write(travelling.as_ref()));
    record.key = message.key();
    record.payload = message.payload();
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(50));
                record = back;
            }
            Err((error, _)) => return Err(failed()(error)),
        }
    }
}
