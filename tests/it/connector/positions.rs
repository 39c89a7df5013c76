//! Where a partition starts, whatever became of its offsets.

use std::time::Duration;

use nix::sys::signal::Signal::SIGTERM;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;

use super::{Deployment, PATIENCE, message};
use crate::harness::{Connector, FakeSmsc, Reply, command};

fn stop(mut connector: Connector) {
    connector.signal(SIGTERM);
    connector.wait(Duration::from_secs(20));
}

/// The group that consumes the outbound topics.
fn group(it: &Deployment) -> String {
    let id = it.config["kafka"]["application_id"].as_str().unwrap();
    format!("{id}.submit")
}

/// Runs `offsets reset`: whether it did it, and what it said.
fn reset(it: &Deployment, args: &[&str]) -> (bool, String) {
    let done = command(&it.toml(), &[&["offsets", "reset"], args].concat());
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    (done.status.success(), said)
}

/// A transaction on the outbound topic that has written a record and is open.
fn open_transaction(it: &Deployment, log_id: &str) -> BaseProducer {
    let producer: BaseProducer = (it.kafka.config())
        .set("transactional.id", crate::harness::unique("producer"))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let (topic, value) = (it.topic("outbound"), message(log_id).to_string());
    let record = BaseRecord::<[u8], str>::to(&topic)
        .partition(0)
        .payload(&value);
    producer.send(record).map_err(|(e, _)| e).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer
}

fn commit(it: &Deployment, offset: i64, metadata: &str) {
    let operator: BaseConsumer = it.kafka.member(&group(it)).create().unwrap();
    let mut list = TopicPartitionList::new();
    let topic = it.topic("outbound");
    let mut element = list.add_partition(&topic, 0);
    element.set_offset(Offset::Offset(offset)).unwrap();
    element.set_metadata(metadata);
    operator.commit(&list, CommitMode::Sync).unwrap();
}

#[test]
fn an_operators_reset_sends_again_and_flags_it() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let connector = it.start();
    it.send_numbered(0, 0..10);
    it.results(10);
    stop(connector);
    commit(&it, 6, "");
    let _successor = it.start();
    smsc.wait_submits(14);
    let flagged = |e: &serde_json::Value| e["possible_duplicate"] == true && e["terminal"] == true;
    let done = || it.events().iter().filter(|e| flagged(e)).count() == 4;
    crate::harness::eventually("four are sent again", PATIENCE, done);
    it.send_numbered(0, 10..11);
    smsc.wait_submits(15);
}

#[test]
fn foreign_metadata_stops_the_partition_and_says_what_to_do() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 2);
    commit(&it, 0, "copied by hand");
    it.send_numbered(0, 0..5);
    it.send_numbered(1, 5..10);
    let mut connector = it.start();
    connector.wait_for_log("offsets reset", PATIENCE);
    let results = it.results(5);
    assert!(
        (5..10).all(|n| results.contains_key(&format!("m{n}"))),
        "the other goes on"
    );
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(smsc.submits().len(), 5);
}

#[test]
fn lost_offsets_stop_the_topic_once_something_was_submitted() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    let connector = it.start();
    it.send_numbered(0, 0..5);
    it.results(5);
    stop(connector);
    // As if the group's offsets had expired.
    it.config["kafka"]["application_id"] = serde_json::json!(crate::harness::unique("other"));
    let mut successor = it.start();
    successor.wait_for_log("offsets reset", PATIENCE);
    assert_eq!(smsc.submits().len(), 5);
}

/// What an operator does after offsets were lost concerns all of them: nothing is sent again
/// that nobody decided on.
#[test]
fn after_lost_offsets_no_topic_is_sent_again_because_another_was_set() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    let (outbound, campaign) = (it.topic("outbound"), it.topic("campaign"));
    it.kafka.topic(&campaign, 1, &[]);
    it.esme()["outbound"] = json!([outbound, campaign]);
    let connector = it.start();
    it.send_numbered(0, 0..5);
    let values: Vec<_> = (5..10).map(|n| message(&format!("m{n}"))).collect();
    it.kafka.produce_json(&campaign, 0, &values);
    it.results(10);
    stop(connector);

    it.config["kafka"]["application_id"] = json!(crate::harness::unique("other"));
    let (done, said) = reset(&it, &["--topic", &outbound, "--to", "latest"]);
    assert!(!done, "{said}");
    assert!(said.contains(&format!("{campaign}-0")), "{said}");
    assert!(said.contains("--missing"), "{said}");
    assert_eq!(it.kafka.committed(&group(&it), &outbound, 0), None);

    // Another tool does not refuse.
    commit(&it, 5, "");
    let mut connector = it.start();
    connector.wait_for_log("has no committed offset in this group", PATIENCE);
    connector.wait_for_log("offsets reset --missing", PATIENCE);
    it.send_numbered(0, 10..11);
    it.results(11);
    stop(connector);
    assert_eq!(smsc.submits().len(), 11);

    let (done, said) = reset(&it, &["--missing", "--to", "latest"]);
    assert!(done, "{said}");
    assert!(!said.contains(&outbound), "{said}");
    let (done, said) = reset(&it, &["--missing", "--to", "latest"]);
    assert!(done && said.contains("has an offset"), "{said}");
    let (done, said) = reset(&it, &["--topic", &outbound, "--to", "latest"]);
    assert!(done, "{said}");
    let _successor = it.start();
    it.kafka.produce_json(&campaign, 0, &[message("m11")]);
    it.results(12);
    assert_eq!(smsc.submits().len(), 12);
}

/// The mark of a transaction behind the last record is nothing that could be lost.
#[test]
fn retention_may_empty_a_topic_that_is_written_in_transactions() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let connector = it.start();
    let producer = open_transaction(&it, "m0");
    producer.commit_transaction(PATIENCE).unwrap();
    it.results(1);
    let (topic, end) = (it.topic("outbound"), 2);
    assert_eq!(it.kafka.watermarks(&topic, 0).1, end);
    crate::harness::eventually("the mark is behind us", PATIENCE, || {
        it.committed(0) == Some(end)
    });
    // What comes next is not skipped.
    it.send_numbered(0, 1..2);
    it.results(2);
    stop(connector);
    it.kafka.delete_records(&topic, 0, end + 1);
    let _successor = it.start();
    it.send_numbered(0, 2..3);
    it.results(3);
}

/// What an open transaction holds is not the end of the log, and not a lost one.
#[test]
fn an_offset_in_an_open_transaction_is_waited_for() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let connector = it.start();
    it.send_numbered(0, 0..5);
    it.results(5);
    stop(connector);

    let producer = open_transaction(&it, "m5");
    let (done, said) = reset(&it, &["--topic", &it.topic("outbound"), "--to", "latest"]);
    assert!(done, "{said}");
    assert_eq!(it.committed(0), Some(5), "{said}");
    let connector = it.start();
    smsc.wait_bound(1);
    producer.commit_transaction(PATIENCE).unwrap();
    it.results(6);
    stop(connector);

    // Other tools take the high watermark for the end.
    let stable = it.kafka.watermarks(&it.topic("outbound"), 0).1;
    let producer = open_transaction(&it, "m6");
    commit(&it, stable + 1, "");
    let mut connector = it.start();
    connector.wait_for_log("a producer that is still open", PATIENCE);
    producer.commit_transaction(PATIENCE).unwrap();
    it.send_numbered(0, 7..8);
    let results = it.results(7);
    assert!(results.contains_key("m7") && !results.contains_key("m6"));
}

/// In Unix milliseconds.
fn an_hour_ago() -> i64 {
    jiff::Timestamp::now().as_millisecond() - 3_600_000
}

/// Ten messages are sent; then the topic is another while nobody looks, with three records of
/// this timestamp, but what was committed is left.
fn another_log(it: &Deployment, timestamp: Option<i64>) {
    let connector = it.start();
    it.send_numbered(0, 0..10);
    it.results(10);
    stop(connector);
    let (topic, group) = (it.topic("outbound"), format!("{}.submit", it.name));
    let (offset, metadata) = it.kafka.committed(&group, &topic, 0).unwrap();
    it.kafka.delete_topic(&topic);
    std::thread::sleep(Duration::from_secs(2));
    it.kafka.topic(&topic, 1, &[]);
    commit(it, offset, &metadata);
    let values: Vec<_> = (10..13).map(|n| message(&format!("m{n}"))).collect();
    it.kafka.produce_json_at(&topic, 0, &values, timestamp);
}

#[test]
fn a_recreated_topic_begins_anew() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    another_log(&it, None);
    let _successor = it.start();
    assert_eq!(it.results(13).len(), 13);
}

#[test]
fn a_log_that_lost_its_tail_is_not_sent_again() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    // They could be the first of those that were sent.
    another_log(&it, Some(an_hour_ago()));
    let mut successor = it.start();
    successor.wait_for_log("the log lost its tail", PATIENCE);
    successor.wait_for_log("offsets reset --topic", PATIENCE);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(smsc.submits().len(), 10);
}

/// The process is frozen while its topic becomes another, so it learns of it only from its
/// position.
fn replaced_while_frozen(it: &Deployment, timestamp: Option<i64>) -> Connector {
    let connector = it.start();
    it.send_numbered(0, 0..10);
    it.results(10);
    connector.freeze();
    let topic = it.topic("outbound");
    it.kafka.delete_topic(&topic);
    std::thread::sleep(Duration::from_secs(1));
    it.kafka.topic(&topic, 1, &[]);
    let values: Vec<_> = (10..13).map(|n| message(&format!("m{n}"))).collect();
    it.kafka.produce_json_at(&topic, 0, &values, timestamp);
    connector.thaw();
    connector
}

#[test]
fn a_topic_that_is_recreated_behind_our_back_begins_anew() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["kafka"]["session_timeout"] = json!("20s");
    let _connector = replaced_while_frozen(&it, None);
    assert_eq!(it.results(13).len(), 13);
    assert_eq!(smsc.submits().len(), 13);
}

#[test]
fn a_log_that_loses_its_tail_behind_our_back_is_not_sent_again() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["kafka"]["session_timeout"] = json!("20s");
    let mut connector = replaced_while_frozen(&it, Some(an_hour_ago()));
    connector.wait_for_log("the log ends below what was read of it", PATIENCE);
    connector.wait_for_log("offsets reset --topic", PATIENCE);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(smsc.submits().len(), 10);
}

#[test]
fn the_flags_of_a_reset_outlast_commits_and_moves() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    let connector = it.start();
    it.send_numbered(0, 0..60);
    it.results(60);
    stop(connector);
    commit(&it, 0, "");
    it.esme()["max_tps"] = json!(10.0);
    let first = it.start();
    smsc.wait_submits(70);
    stop(first);
    let mut second = it.start();
    smsc.wait_submits(80);
    second.kill9();
    it.esme()["max_tps"] = json!(1000.0);
    let _third = it.start();
    let again = || {
        let events = it.events();
        let terminal: Vec<_> = events.iter().filter(|e| e["terminal"] == true).collect();
        let flagged = |e: &&&serde_json::Value| e["possible_duplicate"] == true;
        (terminal.len(), terminal.iter().filter(flagged).count())
    };
    crate::harness::becomes((120, 60), PATIENCE, again);
}

#[test]
fn a_topic_that_is_deleted_holds_up_no_other_and_is_served_again_when_it_is_back() {
    let (smsc, other_smsc) = (FakeSmsc::start(), FakeSmsc::start());
    let mut it = Deployment::new(smsc.port(), 1);
    let other = it.topic("other");
    it.kafka.topic(&other, 1, &[]);
    let mut second = it.config["esme"][0].clone();
    second["name"] = json!("second");
    second["outbound"] = json!([other]);
    second["hosts"] = json!([format!("127.0.0.1:{}", other_smsc.port())]);
    it.config["esme"].as_array_mut().unwrap().push(second);
    let mut connector = it.start();
    it.send_numbered(0, 0..5);
    it.kafka.produce_json(&other, 0, &[message("before")]);
    it.results(6);

    it.kafka.delete_topic(&other);
    connector.wait_for_log("these topics are gone", PATIENCE);
    it.send_numbered(0, 5..10);
    it.results(11);

    it.kafka.topic(&other, 1, &[]);
    it.kafka.produce_json(&other, 0, &[message("after")]);
    let results = it.results(12);
    assert_eq!(results["after"]["accepted"], true);
    assert_eq!(other_smsc.texts(), ["before", "after"]);
}

#[test]
fn records_deleted_before_they_were_read_stop_their_partition_and_no_other() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let mut it = Deployment::new(smsc.port(), 2);
    it.config["submit"]["fetch_records"] = json!(5);
    it.esme()["slow_start"] = json!(5);
    let mut connector = it.start();
    it.send_numbered(0, 0..20);
    smsc.wait_submits(5);
    it.kafka.delete_records(&it.topic("outbound"), 0, 20);
    // Those out time out, and there is room for more.
    it.results(5);
    connector.wait_for_log("records were deleted before they were sent", PATIENCE);
    connector.wait_for_log("--partition 0 --to earliest", PATIENCE);

    smsc.script(|_| Reply::Accept);
    it.send_numbered(0, 20..21);
    it.send_numbered(1, 21..23);
    let results = it.results(7);
    assert!(results.contains_key("m21") && results.contains_key("m22"));

    // Neither goes a successor on by itself.
    stop(connector);
    let mut successor = it.start();
    successor.wait_for_log("lies below the beginning of the log", PATIENCE);
    assert_eq!(smsc.submits().len(), 7);
}
