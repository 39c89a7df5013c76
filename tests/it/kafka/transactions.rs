//! What goes into one transaction becomes visible together, exactly once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_smpp::kafka::Group;
use kafka_smpp::kafka::progress::{CommitScope, Progress, metadata};
use kafka_smpp::kafka::transaction::{Abort, Commit, Cycle, Output, Settled};
use kafka_smpp::kafka::transactor::{
    Handle, Options, Rest, TransactionSource, Transactor, end_hanging,
};
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::types::RDKafkaErrorCode;
use serde_json::{Value, json};

use super::proxy::Proxy;
use super::{Member, Owner, PATIENCE, kip_848};
use crate::harness::{Broker, Kafka, eventually, free_port, has_kip_848, kafka, unique};

/// Results that wait for a transaction, and how their transactions ended. What was aborted
/// for a passing reason is offered again.
struct Books {
    group: Arc<Group>,
    source: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Batch>,
    under_way: Option<Batch>,
    number: u64,
    ends: Vec<String>,
    refused: Vec<(usize, RDKafkaErrorCode)>,
    /// Used instead of the current membership.
    stale: Option<Arc<ConsumerGroupMetadata>>,
}

#[derive(Clone)]
struct Batch {
    records: Vec<(String, Option<&'static str>, Vec<u8>)>,
    offset: i64,
}

impl TransactionSource for Books {
    fn begin(&self, transactional_id: &str) -> Option<Cycle> {
        let mut state = self.state.lock();
        let batch = state.waiting.pop_front()?;
        state.under_way = Some(batch.clone());
        state.number += 1;
        let scope = CommitScope {
            cluster: self.group.cluster_id(),
            topic: &self.source,
            partition: 0,
        };
        let progress = Progress::new(batch.offset);
        let output = |(topic, key, value): &(String, Option<&str>, Vec<u8>)| Output {
            topic: topic.as_str().into(),
            partition: None,
            key: key.map(|k| k.as_bytes().to_vec()),
            value: Some(value.clone()),
            headers: None,
        };
        Some(Cycle {
            number: state.number,
            records: batch.records.iter().map(output).collect(),
            offsets: vec![Commit {
                topic: self.source.clone(),
                partition: 0,
                offset: batch.offset,
                metadata: metadata::encode(&progress, &scope, transactional_id, state.number),
            }],
            group: (state.stale.take()).or_else(|| Some(self.group.membership()?.metadata()))?,
            report_timeout: Duration::from_secs(4),
            trial: None,
        })
    }

    fn settled(&self, outcome: Settled) {
        let mut state = self.state.lock();
        let batch = state.under_way.take().expect("a cycle was under way");
        let end = match outcome {
            Settled::Committed { .. } => "committed",
            Settled::Unknown => "unknown",
            Settled::Aborted(abort) => {
                let end = match abort {
                    Abort::Fenced(_) => "fenced",
                    Abort::Topic { .. } => "topic",
                    Abort::Unavailable(_) => "unavailable",
                    Abort::Gone(_) => "gone",
                    Abort::Trouble(_) => "trouble",
                    Abort::Refused | Abort::Impossible(_) => "denied",
                    Abort::Record { index, code, .. } => {
                        state.refused.push((index, code));
                        state.ends.push("refused".into());
                        return;
                    }
                };
                state.waiting.push_front(batch);
                end
            }
        };
        state.ends.push(end.into());
    }
}

/// A running transactor, the only member of its group, with a source topic.
struct Scene {
    kafka: Kafka,
    books: Arc<Books>,
    handle: Handle,
    thread: Option<std::thread::JoinHandle<()>>,
    id: String,
    group: String,
    member: Member,
}

impl Scene {
    fn new(kafka: Kafka) -> Scene {
        Scene::with(kafka, Duration::from_secs(10))
    }

    fn with(kafka: Kafka, transaction_timeout: Duration) -> Scene {
        let (source, group, id) = (unique("source"), unique("group"), unique("writer"));
        kafka.topic(&source, 2, &[]);
        kafka.produce_json(&source, 0, &vec![json!("a record"); 50]);
        let member = Member::alone(&kafka, &group, &source, 2);
        let books = Arc::new(Books {
            group: member.group.clone(),
            source: source.as_str().into(),
            state: Mutex::default(),
        });
        let options = Options {
            client: kafka.config(),
            transactional_id: id.clone(),
            transaction_timeout,
            thread: "writer",
            tick: Duration::from_millis(100),
            rest: Rest::Short,
        };
        let (transactor, handle) = Transactor::new(options, books.clone(), member.group.clone());
        let thread = std::thread::spawn(move || transactor.run().expect("transactions"));
        Scene {
            kafka,
            books,
            handle,
            thread: Some(thread),
            id,
            group,
            member,
        }
    }

    fn topic(&self, configs: &[(&str, &str)]) -> String {
        let topic = unique("results");
        self.kafka.topic(&topic, 1, configs);
        topic
    }

    /// Hands over results to be committed with `offset`.
    fn offer(&self, offset: i64, records: Vec<(String, Option<&'static str>, Vec<u8>)>) {
        let mut state = self.books.state.lock();
        state.waiting.push_back(Batch { records, offset });
        drop(state);
        self.handle.wake();
    }

    /// How the transactions ended, once there are `n` of them.
    fn ends(&self, n: usize) -> Vec<String> {
        eventually("transactions end", PATIENCE, || {
            self.books.state.lock().ends.len() >= n
        });
        self.books.state.lock().ends.clone()
    }

    fn values(&self, topic: &str) -> Vec<Value> {
        self.kafka
            .records(topic)
            .into_iter()
            .map(|r| r.value)
            .collect()
    }

    fn committed(&self) -> Option<i64> {
        let found = self.kafka.committed(&self.group, &self.books.source, 0);
        found.map(|(offset, _)| offset)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.handle.stop();
            let thread = self.thread.take();
            thread.map(std::thread::JoinHandle::join);
        }
    }
}

fn text(octets: usize) -> Vec<u8> {
    json!("x".repeat(octets)).to_string().into_bytes()
}

#[test]
fn records_offset_and_metadata_are_committed_together() {
    let scene = Scene::new(kafka());
    let (results, errors) = (scene.topic(&[]), scene.topic(&[]));
    scene.offer(
        7,
        vec![
            (results.clone(), Some("k"), b"1".into()),
            (errors.clone(), None, b"2".into()),
        ],
    );
    assert_eq!(scene.ends(1), ["committed"]);
    assert_eq!(scene.values(&results), [json!(1)]);
    assert_eq!(scene.values(&errors), [json!(2)]);
    let (offset, line) = scene
        .kafka
        .committed(&scene.group, &scene.books.source, 0)
        .unwrap();
    let scope = CommitScope {
        cluster: "cluster",
        topic: &scene.books.source,
        partition: 0,
    };
    let read = metadata::decode(offset, &line, &scope).unwrap();
    assert_eq!(
        (offset, read.transactional_id, read.cycle),
        (7, scene.id.clone(), 1)
    );
}

#[test]
fn a_record_too_large_for_its_topic_is_named() {
    let scene = Scene::new(kafka());
    let small = scene.topic(&[("max.message.bytes", "3000")]);
    let one = |octets| (small.clone(), None, text(octets));
    scene.offer(3, vec![one(10), one(20), one(5000), one(30)]);
    assert_eq!(scene.ends(1), ["refused"]);
    let refused = scene.books.state.lock().refused.clone();
    assert_eq!(refused, [(2, RDKafkaErrorCode::MessageSizeTooLarge)]);
    assert_eq!(scene.committed(), None);
    scene.offer(3, vec![one(10), one(20), one(30)]);
    assert_eq!(scene.ends(2)[1], "committed");
    assert_eq!(scene.values(&small).len(), 3);
}

#[test]
fn many_records_that_are_each_small_enough_are_committed() {
    let scene = Scene::new(kafka());
    let small = scene.topic(&[("max.message.bytes", "3000")]);
    scene.offer(3, vec![(small.clone(), None, text(1000)); 200]);
    assert_eq!(scene.ends(1), ["committed"]);
    assert_eq!(scene.values(&small).len(), 200);
}

#[test]
fn a_record_too_large_for_the_client_is_named() {
    let scene = Scene::new(kafka());
    let topic = scene.topic(&[]);
    scene.offer(
        3,
        vec![
            (topic.clone(), None, text(10)),
            (topic.clone(), None, text(2_000_000)),
        ],
    );
    assert_eq!(scene.ends(1), ["refused"]);
    assert_eq!(scene.books.state.lock().refused[0].0, 1);
    scene.offer(3, vec![(topic.clone(), None, text(10))]);
    assert_eq!(scene.ends(2)[1], "committed");
    assert_eq!(scene.values(&topic).len(), 1);
}

#[test]
fn a_refused_record_behind_many_others_costs_no_timeout() {
    let scene = Scene::with(kafka(), Duration::from_secs(20));
    let topic = scene.topic(&[]);
    let one = |octets| (topic.clone(), None, text(octets));
    let mut records = vec![one(600_000); 12];
    records.push(one(2_000_000));
    let begun = Instant::now();
    scene.offer(3, records);
    assert_eq!(scene.ends(1), ["refused"]);
    scene.offer(3, vec![one(10)]);
    eventually(
        "a transaction is committed",
        Duration::from_secs(60),
        || {
            scene
                .books
                .state
                .lock()
                .ends
                .iter()
                .any(|end| end == "committed")
        },
    );
    assert_eq!(scene.values(&topic).len(), 1);
    // The abort must not wait for reports that nobody polls for.
    let elapsed = begun.elapsed();
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
}

#[test]
fn a_record_the_broker_finds_invalid_is_named() {
    let scene = Scene::new(kafka());
    let compacted = scene.topic(&[("cleanup.policy", "compact")]);
    let one = |key| (compacted.clone(), key, text(10));
    // A compacted topic takes no record without a key.
    scene.offer(3, vec![one(Some("a")), one(None), one(Some("b"))]);
    assert_eq!(scene.ends(1), ["refused"]);
    assert_eq!(scene.books.state.lock().refused[0].0, 1);
    scene.offer(3, vec![one(Some("a")), one(Some("b"))]);
    assert_eq!(scene.ends(2)[1], "committed");
}

#[test]
fn a_topic_that_does_not_exist_yet_is_waited_for() {
    let scene = Scene::with(kafka(), Duration::from_secs(4));
    let (topic, later) = (scene.topic(&[]), unique("later"));
    let one = |topic: &str| (topic.to_owned(), None, text(1));
    scene.offer(3, vec![one(&topic), one(&later)]);
    assert_eq!(scene.ends(1)[0], "topic");
    scene.kafka.topic(&later, 1, &[]);
    let done = || {
        scene
            .books
            .state
            .lock()
            .ends
            .contains(&"committed".to_owned())
    };
    eventually("the topic is there and all is committed", PATIENCE, done);
    assert_eq!(scene.values(&topic).len(), 1);
    assert_eq!(scene.values(&later).len(), 1);
}

#[test]
fn a_fenced_producer_is_made_anew_and_repeats_what_was_not_committed() {
    let scene = Scene::new(kafka());
    let topic = scene.topic(&[]);
    scene.offer(1, vec![(topic.clone(), None, b"1".into())]);
    assert_eq!(scene.ends(1), ["committed"]);
    end_hanging(&scene.kafka.config(), &scene.id, PATIENCE).unwrap();
    scene.offer(2, vec![(topic.clone(), None, b"2".into())]);
    assert_eq!(scene.ends(3), ["committed", "fenced", "committed"]);
    assert_eq!(scene.values(&topic), [json!(1), json!(2)]);
    assert_eq!(scene.committed(), Some(2));
}

#[test]
fn a_membership_from_before_a_rebalance_commits_nothing() {
    let scene = Scene::new(kafka());
    let topic = scene.topic(&[]);
    let before = scene.books.group.membership().map(|m| m.metadata());
    let other = Member::join(
        scene.kafka.member(&scene.group),
        &scene.books.source,
        Default::default(),
    );
    other.wait_held(1);
    scene.member.wait_held(1);
    scene.books.state.lock().stale = before;
    scene.offer(2, vec![(topic.clone(), None, b"1".into())]);
    assert_eq!(scene.ends(2), ["fenced", "committed"]);
    assert_eq!(scene.values(&topic), [json!(1)]);
}

/// Kafka takes a transaction's offsets from a client that names no membership at all, whoever
/// holds the partition, and that is what librdkafka hands out until it has joined.
#[test]
fn whoever_has_not_joined_its_group_has_no_membership_to_commit_with() {
    for client in [Kafka::member, kip_848] {
        let mut client = client(&kafka(), &unique("group"));
        client.set("bootstrap.servers", format!("127.0.0.1:{}", free_port()));
        let member = Member::join(client, "a topic", Owner::default());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            assert!(member.group.membership().is_none());
        }
    }
}

#[test]
fn a_membership_is_current_until_the_next_callback() {
    membership_is_current(Kafka::member);
}

#[test]
fn a_membership_is_current_until_the_next_callback_kip_848() {
    if has_kip_848() {
        membership_is_current(kip_848);
    }
}

fn membership_is_current(client: fn(&Kafka, &str) -> ClientConfig) {
    let kafka = kafka();
    let (topic, name) = (unique("source"), unique("group"));
    kafka.topic(&topic, 2, &[]);
    let first = Member::join(client(&kafka, &name), &topic, Owner::default());
    first.wait_held(2);
    let before = first.group.membership().expect("it is a member");
    assert!(first.group.is_current(&before));
    let second = Member::join(client(&kafka, &name), &topic, Owner::default());
    second.wait_held(1);
    assert!(!first.group.is_current(&before), "one has been taken away");
    let after = first.group.membership().expect("it still is a member");
    assert!(first.group.is_current(&after));
}

#[test]
fn a_commit_whose_answer_is_lost_counts_as_the_commit_it_was() {
    unknown_outcome(true, 1);
}

#[test]
fn a_commit_that_never_arrived_is_repeated() {
    unknown_outcome(false, 1);
}

#[test]
fn a_first_commit_that_never_arrived_is_repeated() {
    unknown_outcome(false, 0);
}

/// After `before` transactions, one whose commit is not answered.
fn unknown_outcome(arrives: bool, before: usize) {
    let (proxy, broker) = Proxy::before_a_broker();
    let scene = Scene::with(broker.kafka(), Duration::from_secs(3));
    let topic = scene.topic(&[]);
    for n in 1..=before {
        scene.offer(
            n as i64,
            vec![(topic.clone(), None, json!(n).to_string().into())],
        );
        scene.ends(n);
    }
    proxy.silence_commits(arrives);
    scene.offer(50, vec![(topic.clone(), None, b"50".into())]);
    eventually("the commit is held up", PATIENCE, || proxy.silenced());
    let mut expected = vec!["committed"; before];
    expected.extend_from_slice(if arrives {
        &["committed"]
    } else {
        &["trouble", "committed"]
    });
    assert_eq!(scene.ends(expected.len()), expected);
    let mut values: Vec<Value> = (1..=before).map(|n| json!(n)).collect();
    values.push(json!(50));
    assert_eq!(scene.values(&topic), values);
    assert_eq!(scene.committed(), Some(50));
}

#[test]
fn a_broker_killed_and_frozen_again_and_again_doubles_nothing() {
    let mut broker = Broker::start_private();
    let scene = Scene::with(broker.kafka(), Duration::from_secs(4));
    let topic = scene.topic(&[]);
    let mut offset = 0;
    for round in 0..4 {
        for _ in 0..30 {
            offset += 1;
            let value = json!(offset).to_string().into_bytes();
            scene.offer(offset, vec![(topic.clone(), None, value)]);
        }
        std::thread::sleep(Duration::from_millis(50 + 37 * round));
        if round % 2 == 0 {
            broker.kill9();
            broker.restart();
        } else {
            broker.freeze();
            std::thread::sleep(Duration::from_secs(6));
            broker.thaw();
        }
    }
    let all: Vec<Value> = (1..=offset).map(|n| json!(n)).collect();
    eventually("all is committed", Duration::from_secs(60), || {
        let state = scene.books.state.lock();
        state.waiting.is_empty() && state.under_way.is_none()
    });
    assert!(
        !scene
            .books
            .state
            .lock()
            .ends
            .contains(&"unknown".to_owned())
    );
    assert_eq!(scene.values(&topic), all);
    assert_eq!(scene.committed(), Some(offset));
}

/// A client for a producer that is to die with a transaction open.
pub fn transactional(kafka: &Kafka, id: &str) -> ClientConfig {
    let mut client = kafka.config();
    client
        .set("transactional.id", id)
        .set("transaction.timeout.ms", "60000");
    client
}
