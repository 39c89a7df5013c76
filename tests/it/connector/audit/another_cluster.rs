//! Another cluster takes over: MirrorMaker 2 mirrors one Kafka to another, the first one is lost with
//! its connectors, `offsets rebuild` on the second, and everything is counted at the SMSC.
//!
//! ```text
//! AUDIT_SEEDS=20 AUDIT_RECORDS=50000 cargo test --test it -- --ignored --nocapture another_cluster
//! ```
//!
//! A seed decides when the first cluster is killed, in which order its broker and its connectors go,
//! and for how long MirrorMaker had been standing still. `AUDIT_SEED` is the first one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::Deployment;
use super::super::rebuilt::rebuild;
use super::order::{Kind, Order, number};
use super::{WINDOW, seed, setting};
use crate::harness::{Broker, Connector, FakeSmsc, Kafka, MirrorMaker, Reply, Send, eventually};

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(600);
/// So many records wait to be sent at most while the first cluster lives.
const AHEAD: usize = 100;

#[test]
#[ignore = "minutes for each seed: the command is above"]
fn another_cluster_takes_over() {
    let records = setting("AUDIT_RECORDS", 50_000) as usize;
    let first = seed("another cluster");
    let second = Broker::start_another();
    for seed in first..first + setting("AUDIT_SEEDS", 20) {
        let begun = Instant::now();
        let told = take_over(seed, records, &second.kafka());
        let took = begun.elapsed().as_secs();
        eprintln!("audit: AUDIT_SEED={seed}, {records} records in {took} s: {told}");
    }
}

/// What was counted.
#[derive(Default)]
struct Told {
    killed_at: usize,
    mirrored: usize,
    results: usize,
    unknown: usize,
    flagged: usize,
    /// Of these, the ones that the first cluster had not sent.
    needless: usize,
    twice: usize,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "killed after {} were sent; {} records and {} results were mirrored; unknown {}, flagged {}, of both never sent before {}; accepted twice and flagged {}",
            self.killed_at,
            self.mirrored,
            self.results,
            self.unknown,
            self.flagged,
            self.needless,
            self.twice
        )
    }
}

fn take_over(seed: u64, records: usize, second: &Kafka) -> Told {
    let mut rng = fastrand::Rng::with_seed(seed);
    let orders = Order::many(0..records, "outbound", PARTITIONS, &mut rng, |_| {
        Kind::Plain
    });
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Accept);
    let mut lost = Broker::start_private();
    let mut it = Deployment::on(lost.kafka(), smsc.port(), PARTITIONS);
    it.esme()["window"] = json!(WINDOW);
    it.esme()["slow_start"] = json!(WINDOW);
    let mut mirror = MirrorMaker::start(&lost.kafka(), second, &it.name);
    let mut connectors = vec![it.start(), it.start()];
    let topics: Vec<String> = ["outbound", "responses", "errors"]
        .map(|stem| it.topic(stem))
        .into();
    let kill_at = rng.usize(records / 10..records * 9 / 10);
    let sent = feed(&it, &orders, kill_at, &smsc);
    // MirrorMaker is found standing still, for a while or not at all.
    if rng.bool() {
        mirror.freeze();
        let more = rng.usize(0..2000);
        feed_more(&it, &orders, sent, sent + more, &smsc);
    }
    let killed_at = smsc.submitted();
    let lost_at = Timestamp::now();
    kill(&mut lost, &mut connectors, &mut rng);
    mirror.thaw();
    std::thread::sleep(Duration::from_millis(rng.u64(0..4000)));
    mirror.kill9();
    drop(connectors);
    let before: HashSet<usize> = submitted(&smsc);

    it.kafka = second.clone();
    it.config["kafka"]["bootstrap_servers"] = json!(second.bootstrap);
    eventually("the topics are there", PATIENCE, || {
        topics.iter().all(|topic| second.has(topic))
    });
    let mirrored: HashSet<usize> = numbers(second, &topics[0]);
    let results: HashSet<usize> = it.exactly_one_each().keys().map(|id| of(id)).collect();
    // Producers send what did not arrive, once they know of no result, and go on.
    let rest = orders
        .iter()
        .filter(|order| !mirrored.contains(&order.n) && !results.contains(&order.n));
    produce(&it, &rest.collect::<Vec<_>>(), &before);
    let (code, said) = rebuild(&it, &["--lost-at", &lost_at.to_string(), "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    eprintln!("{said}");
    let _successor = it.start();
    let wanted = records;
    let all = it.results_within(wanted, PATIENCE);
    let mut told = count(&orders, &all, &smsc, &before, &results);
    (told.killed_at, told.mirrored, told.results) = (killed_at, mirrored.len(), results.len());
    let backlog = mirrored.difference(&before).count();
    assert!(told.needless <= backlog, "{told}, backlog {backlog}");
    told
}

/// Appends records, never many more than were sent, until so many were.
fn feed(it: &Deployment, orders: &[Order], until: usize, smsc: &FakeSmsc) -> usize {
    feed_more(it, orders, 0, until, smsc)
}

fn feed_more(
    it: &Deployment,
    orders: &[Order],
    from: usize,
    until: usize,
    smsc: &FakeSmsc,
) -> usize {
    let mut next = from;
    let until = until.min(orders.len());
    while next < until {
        let end = (next + AHEAD / 2).min(until);
        produce(
            it,
            &orders[next..end].iter().collect::<Vec<_>>(),
            &HashSet::new(),
        );
        next = end;
        eventually("the first cluster sends", PATIENCE, || {
            smsc.submitted() + AHEAD >= next
        });
    }
    next
}

/// Those that were sent already say so.
fn produce(it: &Deployment, orders: &[&Order], sent: &HashSet<usize>) {
    let values: Vec<String> = orders.iter().map(|o| o.value().to_string()).collect();
    let again = [("kafka-smpp-possible-duplicate", "1")];
    let sends = orders.iter().zip(&values).map(|(order, value)| Send {
        partition: Some(order.partition),
        value: Some(value.as_bytes()),
        headers: if sent.contains(&order.n) { &again } else { &[] },
        ..Send::default()
    });
    it.kafka
        .produce(&it.topic("outbound"), &sends.collect::<Vec<_>>());
}

fn kill(lost: &mut Broker, connectors: &mut [Connector], rng: &mut fastrand::Rng) {
    let pause = |rng: &mut fastrand::Rng| {
        std::thread::sleep(Duration::from_millis(rng.u64(0..1500)));
    };
    if rng.bool() {
        lost.kill9();
        pause(rng);
        connectors.iter_mut().for_each(|one| one.kill9());
    } else {
        connectors.iter_mut().for_each(|one| one.kill9());
        pause(rng);
        lost.kill9();
    }
}

fn of(log_id: &str) -> usize {
    log_id[1..].parse().expect("a number")
}

fn submitted(smsc: &FakeSmsc) -> HashSet<usize> {
    let all = smsc.submits();
    all.iter().filter_map(|s| number(&s.destination)).collect()
}

/// The numbers of the records of a topic.
fn numbers(kafka: &Kafka, topic: &str) -> HashSet<usize> {
    let records = kafka.records(topic);
    let id = |value: &Value| value["log_id"].as_str().map(of);
    records.iter().filter_map(|r| id(&r.value)).collect()
}

/// Holds every result against what the SMSC accepted.
fn count(
    orders: &[Order],
    results: &BTreeMap<String, Value>,
    smsc: &FakeSmsc,
    before: &HashSet<usize>,
    mirrored: &HashSet<usize>,
) -> Told {
    let mut accepted: HashMap<usize, usize> = HashMap::new();
    for one in smsc.accepted() {
        let n = number(&one.destinations[0]).expect("a recipient of ours");
        *accepted.entry(n).or_default() += 1;
    }
    let mut told = Told::default();
    let mut wrong = Vec::new();
    for order in orders {
        let result = &results[&order.log_id()];
        let times = accepted.get(&order.n).copied().unwrap_or(0);
        let unknown = result["kind"] == "OUTCOME_UNKNOWN";
        let flagged = result["possible_duplicate"] == true && !unknown;
        told.unknown += usize::from(unknown);
        told.flagged += usize::from(flagged);
        told.twice += usize::from(times > 1 && flagged);
        // What the first cluster itself had in doubt stands in a result that was mirrored.
        let ours = (unknown || flagged) && !mirrored.contains(&order.n);
        told.needless += usize::from(ours && !before.contains(&order.n));
        let right = match (unknown, flagged) {
            (true, _) => true,
            (false, true) => times >= 1,
            (false, false) => times == 1 && result["accepted"] == true,
        };
        if !right {
            wrong.push(format!("{} accepted {times} times: {result}", order.n));
        }
    }
    let shown = &wrong[..wrong.len().min(10)];
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), shown.join("\n"));
    told
}
