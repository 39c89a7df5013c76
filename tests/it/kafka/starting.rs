//! Where a partition starts, read from real offsets.

use std::time::{Duration, Instant};

use kafka_smpp::kafka::progress::{Identity, Progress, metadata};
use kafka_smpp::kafka::start::{Elsewhere, Facts, Reading, Start, Stop, committed_stable, decide};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;

use super::transactions::transactional;
use super::{Member, PATIENCE, partition};
use crate::harness::{Kafka, kafka, unique};

fn line(topic: &str, progress: &Progress, writer: &str) -> String {
    let identity = Identity {
        cluster: "cluster",
        topic,
        partition: 0,
    };
    metadata::encode(progress, &identity, writer, 1)
}

fn offsets(topic: &str, offset: i64, metadata: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(topic, 0);
    element.set_offset(Offset::Offset(offset)).unwrap();
    element.set_metadata(metadata);
    list
}

fn reading(kafka: &Kafka) -> Reading {
    Reading {
        producer: kafka.config(),
        suspicion: Duration::from_millis(500),
        patience: Duration::from_secs(25),
        own: "another".into(),
    }
}

#[test]
fn a_dead_predecessors_transaction_is_ended_at_once() {
    let (kafka, topic, group, writer) = (kafka(), unique("source"), unique("group"), unique("w"));
    kafka.topic(&topic, 1, &[]);
    kafka.produce_json(&topic, 0, &vec![json!(1); 20]);
    let member = Member::alone(&kafka, &group, &topic, 1);
    let producer: BaseProducer = transactional(&kafka, &writer).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let membership = || member.group.metadata().unwrap();
    let mut progress = Progress::new(4);
    progress.reserve(9);
    let commit = |at: i64, line: &str| {
        producer.begin_transaction().unwrap();
        producer
            .send(BaseRecord::<str, str>::to(&topic).payload("x"))
            .unwrap();
        producer
            .send_offsets_to_transaction(&offsets(&topic, at, line), &membership(), PATIENCE)
            .unwrap();
    };
    commit(4, &line(&topic, &progress, &writer));
    producer.commit_transaction(PATIENCE).unwrap();
    // The next one is never finished: its producer is gone, its time-out a minute away.
    commit(11, &line(&topic, &Progress::new(11), &writer));
    drop(producer);

    let (begun, wanted) = (Instant::now(), [partition(&topic, 0)]);
    let found = committed_stable(&member.group, &wanted, &reading(&kafka)).unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(found[0].offset, 4);
    let (low, high) = member.group.watermarks(&wanted[0], PATIENCE).unwrap();
    let start = decide(&Facts {
        partition: &wanted[0],
        cluster: "cluster",
        committed: Some((found[0].offset, &found[0].metadata)),
        committed_elsewhere: Elsewhere::Nowhere,
        untouched: false,
        low,
        high,
    })
    .unwrap();
    let doubtful = (0..20).filter(|o| start.progress.attempts(*o) > 0);
    assert_eq!(doubtful.collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
}

/// What is decided for partition 0 of `topic`, whatever is committed now.
fn decided(kafka: &Kafka, group: &str, topic: &str) -> Result<Start, Stop> {
    let member = Member::alone(kafka, group, topic, 2);
    let both = [partition(topic, 0), partition(topic, 1)];
    let found = committed_stable(&member.group, &both, &reading(kafka)).unwrap();
    let (low, high) = member.group.watermarks(&both[0], PATIENCE).unwrap();
    let of = |n: i32| found.iter().find(|c| c.partition == n);
    decide(&Facts {
        partition: &both[0],
        cluster: "cluster",
        committed: of(0).map(|c| (c.offset, c.metadata.as_str())),
        committed_elsewhere: match of(1) {
            Some(_) => Elsewhere::SameTopic,
            None => Elsewhere::Nowhere,
        },
        untouched: false,
        low,
        high,
    })
}

#[test]
fn absent_reset_foreign_and_impossible_offsets_are_told_apart() {
    let (kafka, topic, group) = (kafka(), unique("source"), unique("group"));
    kafka.topic(&topic, 2, &[]);
    kafka.produce_json(&topic, 0, &vec![json!(1); 20]);
    let operator: BaseConsumer = kafka.member(&group).create().unwrap();
    let commit = |offset, metadata: &str| {
        operator
            .commit(&offsets(&topic, offset, metadata), CommitMode::Sync)
            .unwrap();
    };
    let decided = || decided(&kafka, &group, &topic);
    assert_eq!(
        decided(),
        Err(Stop::Expired {
            topic: topic.clone()
        })
    );
    commit(7, "");
    let reset = decided().unwrap();
    assert_eq!((reset.progress.base(), reset.suspect_until), (7, 20));
    commit(7, "\u{e9} by hand");
    assert!(matches!(decided(), Err(Stop::Metadata { offset: 7, .. })));
    // Copied from another topic: the checksum tells.
    commit(7, &line("elsewhere", &Progress::new(7), "w"));
    assert!(matches!(decided(), Err(Stop::Metadata { offset: 7, .. })));
    commit(5000, &line(&topic, &Progress::new(5000), "w"));
    assert_eq!(decided().unwrap().progress, Progress::new(0));
}
