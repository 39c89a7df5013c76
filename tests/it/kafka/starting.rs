//! Where a partition starts, read from real offsets.

use std::time::{Duration, Instant};

use kafka_smpp::kafka::Waiting;
use kafka_smpp::kafka::progress::{CommitScope, Progress, metadata};
use kafka_smpp::kafka::start::{Facts, Reading, Start, Stop, committed_stable, decide};
use kafka_smpp::submit::ownership::surroundings::Surroundings;
use kafka_smpp::submit::ownership::takeover::Takeover;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;

use super::proxy::Proxy;
use super::transactions::transactional;
use super::{Member, PATIENCE, partition};
use crate::harness::{Kafka, kafka, unique};

fn line(topic: &str, progress: &Progress, transactional_id: &str) -> String {
    let scope = CommitScope {
        cluster: "cluster",
        topic,
        partition: 0,
    };
    metadata::encode(progress, &scope, transactional_id, 1)
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
        timeout: Duration::from_secs(25),
        own: "another".into(),
    }
}

#[test]
fn a_dead_predecessors_transaction_is_ended_at_once() {
    let (kafka, topic, group, transactional_id) =
        (kafka(), unique("source"), unique("group"), unique("w"));
    kafka.topic(&topic, 1, &[]);
    kafka.produce_json(&topic, 0, &vec![json!(1); 20]);
    let member = Member::alone(&kafka, &group, &topic, 1);
    let producer: BaseProducer = transactional(&kafka, &transactional_id).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let membership = || member.group.membership().unwrap().metadata();
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
    commit(4, &line(&topic, &progress, &transactional_id));
    producer.commit_transaction(PATIENCE).unwrap();
    // The next one is never finished: its producer is gone, its time-out a minute away.
    commit(11, &line(&topic, &Progress::new(11), &transactional_id));
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
        committed_elsewhere: false,
        untouched: false,
        young: false,
        unread_from: None,
        low,
        high,
    })
    .unwrap();
    let doubtful = (0..20).filter(|o| start.progress.attempts(*o) > 0);
    assert_eq!(doubtful.collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
}

/// What is decided for partition 0 of `topic`, whatever is committed now; `results` shows
/// whether anything was ever sent.
fn decided(kafka: &Kafka, group: &str, topic: &str, results: &str) -> Result<Start, Stop> {
    let member = Member::alone(kafka, group, topic, 2);
    let takeover = Takeover {
        group: &member.group,
        reading: &reading(kafka),
        surroundings: &Surroundings::new(vec![topic.to_owned()], vec![results.to_owned()]),
        waiting: &Waiting::default(),
    };
    let mut starts = takeover.starts(&[partition(topic, 0)]).unwrap();
    starts.remove(0).start
}

/// Unix milliseconds so long ago.
fn ago(past: Duration) -> i64 {
    let then = std::time::SystemTime::now() - past;
    let since = then.duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

const HOUR: Duration = Duration::from_secs(3600);

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
    let decided = || decided(&kafka, &group, &topic, &topic);
    assert_eq!(
        decided(),
        Err(Stop::Expired {
            topic: topic.clone()
        })
    );
    commit(7, "");
    let reset = decided().unwrap();
    assert_eq!(
        (reset.progress.base(), reset.progress.suspect_until()),
        (7, 20)
    );
    commit(7, "\u{e9} by hand");
    assert!(matches!(decided(), Err(Stop::Metadata { offset: 7, .. })));
    // Copied from another topic: the checksum tells.
    commit(7, &line("elsewhere", &Progress::new(7), "w"));
    assert!(matches!(decided(), Err(Stop::Metadata { offset: 7, .. })));
    // Nobody knows whether the log is another.
    commit(5000, &line(&topic, &Progress::new(5000), "w"));
    assert!(matches!(decided(), Err(Stop::AboveLog { high: 20, .. })));
}

#[test]
fn a_log_without_its_tail_is_told_from_another_log() {
    let (kafka, topic, group) = (kafka(), unique("source"), unique("group"));
    kafka.topic(&topic, 2, &[]);
    kafka.produce_json_at(&topic, 0, &vec![json!(1); 20], Some(ago(HOUR)));
    let operator: BaseConsumer = kafka.member(&group).create().unwrap();
    let begins = |mut progress: Progress, newest: Duration| {
        progress.read(ago(newest));
        let line = line(&topic, &progress, "w");
        operator
            .commit(&offsets(&topic, progress.base(), &line), CommitMode::Sync)
            .unwrap();
        let start = decided(&kafka, &group, &topic, &topic);
        start.map(|start| (start.progress.base(), start.progress.suspect_until()))
    };
    let lost = |begins| matches!(begins, Err(Stop::AboveLog { high: 20, .. }));
    // What was read is older than anything there.
    assert_eq!(begins(Progress::new(21), HOUR * 2), Ok((0, 20)));
    // What is there may be what was read.
    assert!(lost(begins(Progress::new(21), HOUR / 2)));
    let mut reserved = Progress::new(15);
    reserved.reserve(21);
    assert!(lost(begins(reserved, HOUR / 2)));
    kafka.delete_records(&topic, 0, 20);
    assert_eq!(begins(Progress::new(21), HOUR / 2), Ok((20, 20)), "empty");
}

#[test]
fn an_offset_that_was_lost_is_told_from_the_first_start_of_all() {
    let (kafka, topic, group) = (kafka(), unique("source"), unique("group"));
    let (old, new) = (unique("results"), unique("results"));
    kafka.topic(&topic, 2, &[]);
    for (results, first) in [(&old, HOUR), (&new, Duration::from_secs(60))] {
        kafka.topic(results, 2, &[]);
        kafka.produce_json_at(results, 1, &[json!(1)], Some(ago(first)));
        kafka.produce_json(results, 1, &[json!(2)]);
    }
    kafka.produce_json(&topic, 0, &vec![json!(1); 20]);
    let operator: BaseConsumer = kafka.member(&group).create().unwrap();
    // A commit of ours for the other partition: one of an operator's would say nothing.
    let scope = CommitScope {
        cluster: "cluster",
        topic: &topic,
        partition: 1,
    };
    let ours = metadata::encode(&Progress::new(0), &scope, "w", 1);
    let mut other = TopicPartitionList::new();
    let mut element = other.add_partition(&topic, 1);
    element.set_offset(Offset::Offset(0)).unwrap();
    element.set_metadata(ours);
    operator.commit(&other, CommitMode::Sync).unwrap();
    let flagged = |results: &str| {
        let start = decided(&kafka, &group, &topic, results).unwrap();
        (start.progress.base(), start.progress.suspect_until())
    };
    assert_eq!(flagged(&old), (0, 20));
    assert_eq!(flagged(&new), (0, 0));
}

/// Each partition for itself would ask 40 times for what the topic of results holds; behind that the
/// heartbeats of the membership would wait.
#[test]
fn a_first_start_of_many_partitions_asks_once_what_was_ever_sent() {
    const EACH: i32 = 40;
    let (proxy, broker) = Proxy::before_a_broker();
    let kafka = broker.kafka();
    let (topic, results) = (unique("source"), unique("results"));
    kafka.topic(&topic, EACH, &[]);
    kafka.topic(&results, EACH, &[]);
    let member = Member::alone(&kafka, &unique("group"), &topic, EACH as usize);
    let surroundings = Surroundings::new(vec![topic.clone()], vec![results]);
    let (reading, waiting) = (reading(&kafka), Waiting::default());
    let before = proxy.asked_for_offsets();
    std::thread::scope(|scope| {
        for p in 0..EACH {
            let takeover = Takeover {
                group: &member.group,
                reading: &reading,
                surroundings: &surroundings,
                waiting: &waiting,
            };
            let one = [partition(&topic, p)];
            scope.spawn(move || {
                let start = takeover.starts(&one).unwrap().remove(0).start.unwrap();
                assert_eq!(start.progress.base(), 0);
            });
        }
    });
    // Beginning and end are asked for apart: of each partition once, and of each one of results.
    let asked = proxy.asked_for_offsets() - before;
    assert_eq!(asked, 2 * 2 * EACH as usize);
}

#[test]
fn a_first_start_of_many_topics_asks_with_one_client() {
    const TOPICS: usize = 40;
    let (proxy, broker) = Proxy::before_a_broker();
    let kafka = broker.kafka();
    let topics: Vec<String> = (0..TOPICS).map(|_| unique("source")).collect();
    let results = unique("results");
    for topic in topics.iter().chain([&results]) {
        kafka.topic(topic, 1, &[]);
    }
    let member = Member::alone(&kafka, &unique("group"), &topics[0], 1);
    let before = proxy.asked_for_coordinators();
    let known = Surroundings::new(topics, vec![results]).known(&member.group);
    assert!(known.unwrap().untouched);
    // A client asks once more when a connection is new.
    let asked = proxy.asked_for_coordinators() - before;
    assert!(asked <= 3, "{asked} times for {TOPICS} topics");
}
