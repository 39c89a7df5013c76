//! Another cluster takes over: MirrorMaker 2 mirrors one Kafka to another, the first one is lost with
//! its connectors, `offsets rebuild` on the second, and everything is counted at the SMSC.
//!
//! ```text
//! AUDIT_SEEDS=20 AUDIT_RECORDS=50000 cargo test --test it -- --ignored --nocapture another_cluster
//! ```
//!
//! A seed decides when the first cluster is killed, in which order its broker and its connectors go,
//! and for how long MirrorMaker had been standing still. With an odd one producers do not wait for the
//! first cluster: most of the records are mirrored and not sent when it is lost. With every other pair
//! `--lag` is what was just enough. `AUDIT_SEED` is the first one.

mod receipts;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::Deployment;
use super::super::rebuilt::rebuild;
use super::order::{Kind, Order, number};
use super::{WINDOW, seed};
use crate::harness::{
    Broker, Connector, FakeSmsc, Kafka, MirrorMaker, Reply, Send, eventually, setting,
};
use receipts::Site;

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(600);
/// So many records wait to be sent at most while the first cluster lives, where producers wait for it.
const AHEAD: usize = 400;
/// So many are produced at once where they do not.
const BATCH: usize = 2000;

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
    /// Mirrored and not sent.
    backlog: usize,
    unknown: usize,
    flagged: usize,
    /// Of these, the ones that the first cluster had not sent.
    needless: usize,
    twice: usize,
    receipts: receipts::Told,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "killed after {} were sent; {} records and {} results were mirrored, {} records not sent; unknown {}, flagged {}, of both never sent before {}; accepted twice and flagged {}; {}",
            self.killed_at,
            self.mirrored,
            self.results,
            self.backlog,
            self.unknown,
            self.flagged,
            self.needless,
            self.twice,
            self.receipts
        )
    }
}

fn take_over(seed: u64, records: usize, second: &Kafka) -> Told {
    let mut rng = fastrand::Rng::with_seed(seed);
    let orders = Order::many(0..records, "outbound", PARTITIONS, &mut rng, |_| {
        Kind::Plain
    });
    let waits = seed.is_multiple_of(2);
    let (latest, ahead) = match waits {
        true => (records * 9 / 10, AHEAD),
        false => (records / 2, rng.usize(records * 4 / 10..records)),
    };
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Accept);
    smsc.send_receipts();
    // What is open when its connectors are killed ends soon: it is read again when all is over.
    let mut lost =
        Broker::start_with("transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n");
    let mut it = Deployment::on(lost.kafka(), smsc.port(), PARTITIONS);
    it.esme()["window"] = json!(WINDOW);
    it.esme()["slow_start"] = json!(WINDOW);
    // However busy the machine is, nothing is in doubt because of that.
    it.esme()["timers"]["response"] = json!("60s");
    let mut mirror = MirrorMaker::start(&lost.kafka(), second, &it.name);
    let topics: Vec<String> = [
        "outbound",
        "responses",
        "errors",
        "deliveries",
        "correlation",
        "receipts",
    ]
    .map(|stem| it.topic(stem))
    .into();
    eventually("MirrorMaker has made the topics", PATIENCE, || {
        topics.iter().all(|topic| second.has(topic))
    });
    let mut connectors = vec![it.start(), it.start()];
    let kill_at = rng.usize(records / 10..latest);
    let produced = feed(&it, &orders, 0, (kill_at, ahead), &smsc);
    // MirrorMaker is found standing still, for a while or not at all.
    if rng.bool() {
        mirror.freeze();
        let later = (kill_at + rng.usize(0..2000)).min(records);
        feed(&it, &orders, produced, (later, ahead), &smsc);
    }
    let killed_at = smsc.submitted();
    let lost_at = Timestamp::now();
    kill(&mut lost, &mut connectors, &mut rng);
    mirror.thaw();
    std::thread::sleep(Duration::from_millis(rng.u64(0..4000)));
    mirror.kill9();
    drop(connectors);
    let before = submitted(&smsc);
    let sessions = smsc.connections() as u32;
    lost.restart();

    it.kafka = second.clone();
    it.config["kafka"]["bootstrap_servers"] = json!(second.bootstrap);
    let mirrored: HashSet<usize> = numbers(second, &topics[0]);
    let results: HashSet<usize> = it.exactly_one_each().keys().map(|id| of(id)).collect();
    // Producers send what did not arrive, once they know of no result, and go on.
    let rest: Vec<&Order> = orders
        .iter()
        .filter(|order| !mirrored.contains(&order.n) && !results.contains(&order.n))
        .collect();
    produce(&it, &rest, &before);
    for topic in &topics {
        lost.kafka().wait_closed(topic);
    }
    let (first, there) = (Site::read(&it, &lost.kafka()), Site::read(&it, second));
    drop(lost);
    let mut args = vec![
        "--lost-at".to_owned(),
        lost_at.to_string(),
        "--yes".to_owned(),
    ];
    if (seed / 2).is_multiple_of(2) {
        args.push(format!("--lag={}ms", first.lag(&there).as_millis()));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, said) = rebuild(&it, &args);
    assert_eq!(code, Some(0), "{said}");
    eprintln!("{args:?}\n{said}");
    let _successor = it.start();
    finished(&it);
    let all = it.results_within(records, PATIENCE);
    let known = Known {
        before: &before,
        mirrored: &mirrored,
        results: &results,
        sessions,
    };
    let mut told = count(&orders, &all, &smsc, &known);
    told.killed_at = killed_at;
    let lost_at = lost_at.as_millisecond();
    told.receipts = receipts::judge(&it, &smsc, &first, &there, lost_at);
    told
}

/// Waits until all records have their results. Reading these again and again would take as long as
/// making them.
fn finished(it: &Deployment) {
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for record in it.kafka.records(&it.topic("outbound")) {
        last.insert(record.partition, record.offset);
    }
    eventually("all have their results", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        last.iter()
            .all(|(partition, last)| it.committed(*partition).is_some_and(|at| at > *last))
    });
}

/// Appends records until so many were sent, and so many more than these, but never more than that.
/// Returns how many there are then.
fn feed(
    it: &Deployment,
    orders: &[Order],
    from: usize,
    (until, ahead): (usize, usize),
    smsc: &FakeSmsc,
) -> usize {
    let batch = (ahead / 2).min(BATCH);
    let wanted = (until + ahead).min(orders.len());
    let mut next = from;
    eventually("the first cluster sends", PATIENCE, || {
        let most = (smsc.submitted() + ahead).min(wanted);
        while next < most && (next + batch <= most || most == wanted) {
            let end = (next + batch).min(most);
            let some: Vec<&Order> = orders[next..end].iter().collect();
            produce(it, &some, &HashMap::new());
            next = end;
        }
        smsc.submitted() >= until && next == wanted
    });
    next
}

/// Those that were sent already say so.
fn produce(it: &Deployment, orders: &[&Order], sent: &HashMap<usize, usize>) {
    let values: Vec<String> = orders.iter().map(|o| o.value().to_string()).collect();
    let again = [("kafka-smpp-possible-duplicate", "1")];
    let sends = orders.iter().zip(&values).map(|(order, value)| Send {
        partition: Some(order.partition),
        value: Some(value.as_bytes()),
        headers: if sent.contains_key(&order.n) {
            &again
        } else {
            &[]
        },
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

/// How often each record was sent.
fn submitted(smsc: &FakeSmsc) -> HashMap<usize, usize> {
    let mut times = HashMap::new();
    for submit in smsc.submits() {
        let n = number(&submit.destination).expect("a recipient of ours");
        *times.entry(n).or_default() += 1;
    }
    times
}

/// The numbers of the records of a topic.
fn numbers(kafka: &Kafka, topic: &str) -> HashSet<usize> {
    let records = kafka.records(topic);
    let id = |value: &Value| value["log_id"].as_str().map(of);
    records.iter().filter_map(|r| id(&r.value)).collect()
}

/// What the first cluster had done, and what of it arrived.
struct Known<'a> {
    /// Records that it had sent, and how often.
    before: &'a HashMap<usize, usize>,
    /// Those that were mirrored.
    mirrored: &'a HashSet<usize>,
    /// Those whose results were.
    results: &'a HashSet<usize>,
    /// Its sessions were those up to this one.
    sessions: u32,
}

/// Holds every result against what the SMSC accepted.
fn count(
    orders: &[Order],
    results: &BTreeMap<String, Value>,
    smsc: &FakeSmsc,
    known: &Known<'_>,
) -> Told {
    let mut accepted: HashMap<usize, usize> = HashMap::new();
    for one in smsc.accepted() {
        let n = number(&one.destinations[0]).expect("a recipient of ours");
        *accepted.entry(n).or_default() += 1;
    }
    let mut told = Told {
        mirrored: known.mirrored.len(),
        results: known.results.len(),
        ..Told::default()
    };
    let mut wrong = Vec::new();
    for order in orders {
        let result = &results[&order.log_id()];
        let times = accepted.get(&order.n).copied().unwrap_or(0);
        let unknown = result["kind"] == "OUTCOME_UNKNOWN";
        let flagged = result["possible_duplicate"] == true && !unknown;
        told.unknown += usize::from(unknown);
        told.flagged += usize::from(flagged);
        told.twice += usize::from(times > 1 && flagged);
        let before = known.before.get(&order.n).copied().unwrap_or(0);
        let sent = before > 0;
        let arrived = known.mirrored.contains(&order.n);
        let had = known.results.contains(&order.n);
        told.backlog += usize::from(arrived && !sent);
        // What the first cluster itself had in doubt stands in a result that was mirrored.
        told.needless += usize::from((unknown || flagged) && !had && !sent);
        let right = match (arrived, had) {
            // Nothing tells it from what was sent.
            (true, false) if order.in_doubt == "resend" => flagged && times == before + 1,
            (true, false) => unknown && times == before,
            // Written after the loss; its producer says whether it was sent before.
            (false, false) => flagged == sent && !unknown && times == before + 1,
            (_, true) => unknown || flagged || times == 1 && result["accepted"] == true,
        };
        if !right {
            wrong.push(format!(
                "{order:?}, sent before {before} times, mirrored: {arrived}, its result: {had}, accepted {times} times: {result}"
            ));
        }
    }
    for submit in smsc.submits() {
        let n = number(&submit.destination).expect("a recipient of ours");
        if submit.session > known.sessions && known.results.contains(&n) {
            wrong.push(format!("m{n} has its result and is sent again"));
        }
    }
    let shown = &wrong[..wrong.len().min(10)];
    assert!(
        wrong.is_empty(),
        "{told}, wrong {}: {}",
        wrong.len(),
        shown.join("\n")
    );
    told
}
