//! The reference: a bare transactional consume-produce pipe on librdkafka, nothing else.

use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;

use super::harness::{Kafka, unique};
use super::outside::{Quantiles, reader};

/// Most messages of one transaction: about what the connector has in one.
const BATCH: usize = 5000;

const PATIENCE: Timeout = Timeout::After(Duration::from_secs(30));

/// Moves `messages` through, `outputs` records for each; how long that took.
pub fn run(kafka: &Kafka, from: &str, to: &str, messages: usize, outputs: usize) -> Duration {
    let consumer: BaseConsumer = reader(kafka, from, Offset::Beginning);
    let producer = producer(kafka);
    let group = consumer.group_metadata().expect("a group");
    let mut moved = 0;
    let began = Instant::now();
    while moved < messages {
        producer.begin_transaction().unwrap();
        let mut offsets = TopicPartitionList::new();
        let mut batch = 0;
        let until = Instant::now() + Duration::from_millis(100);
        while batch < BATCH && Instant::now() < until {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) else {
                continue;
            };
            batch += 1;
            for _ in 0..outputs {
                let payload = message.payload().unwrap_or_default();
                let mut record = BaseRecord::<[u8], [u8]>::to(to).payload(payload);
                while let Err((_, back)) = producer.send(record) {
                    producer.poll(Duration::from_millis(5));
                    record = back;
                }
            }
            let next = Offset::Offset(message.offset() + 1);
            match offsets.find_partition(from, message.partition()) {
                Some(mut known) => known.set_offset(next).unwrap(),
                None => {
                    offsets
                        .add_partition_offset(from, message.partition(), next)
                        .unwrap();
                }
            }
        }
        until_delivered(&producer);
        producer
            .send_offsets_to_transaction(&offsets, &group, PATIENCE)
            .unwrap();
        producer.commit_transaction(PATIENCE).unwrap();
        moved += batch;
    }
    began.elapsed()
}

fn producer(kafka: &Kafka) -> BaseProducer {
    let producer: BaseProducer = kafka
        .config()
        .set("transactional.id", unique("pipe"))
        .set("queue.buffering.max.messages", "1000000")
        .set("linger.ms", "5")
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

/// A poll of rdkafka returns at the end of its time, not with a report, and asks without pause for the last
/// millisecond: either would be counted as Kafka's.
fn until_delivered(producer: &BaseProducer) {
    let mut left = producer.in_flight_count();
    while left > 0 {
        producer.poll(Duration::ZERO);
        let now = producer.in_flight_count();
        // Only once all is read that is reported: a poll takes the reports of one batch.
        if now == left {
            std::thread::sleep(Duration::from_micros(100));
        }
        left = now;
    }
}

/// Transactions of one record and one offset, one after the other for so long.
pub fn cycles(kafka: &Kafka, from: &str, to: &str, time: Duration) -> Quantiles {
    let consumer: BaseConsumer = reader(kafka, from, Offset::Beginning);
    let group = consumer.group_metadata().expect("a group");
    let producer = producer(kafka);
    let (mut micros, began) = (Vec::new(), Instant::now());
    while began.elapsed() < time {
        let cycle = Instant::now();
        producer.begin_transaction().unwrap();
        let record = BaseRecord::<[u8], [u8]>::to(to).payload(b"a record");
        producer.send(record).map_err(|(e, _)| e).unwrap();
        until_delivered(&producer);
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(from, 0, Offset::Offset(micros.len() as i64))
            .unwrap();
        producer
            .send_offsets_to_transaction(&offsets, &group, PATIENCE)
            .unwrap();
        producer.commit_transaction(PATIENCE).unwrap();
        micros.push(cycle.elapsed().as_micros() as u64);
    }
    Quantiles::of(micros)
}
