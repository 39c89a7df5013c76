//! Processes that die at random while records go through.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::Deployment;
use super::order::{Kind, Order, feed, number, produce};
use super::{WINDOW, ledger, seed, size};
use crate::harness::{Broker, Connector, FakeSmsc, Reply};

const PARTITIONS: i32 = 4;
/// Parts of the messages that an urgent one must not wait for.
const CAMPAIGN: u8 = 40;

/// Two processes, records of every kind, every trouble.
#[test]
fn the_crash_audit() {
    let (records, during) = size();
    let mut rng = fastrand::Rng::with_seed(seed("chaos"));
    eprintln!("audit: {records} records, {during:?} of chaos");
    let orders = Order::many(0..records, "outbound", PARTITIONS, &mut rng, Kind::any);

    let smsc = FakeSmsc::start();
    smsc.send_receipts();
    let mut broker = Broker::start_private();
    let mut it = Deployment::on(broker.kafka(), smsc.port(), PARTITIONS);
    it.esme()["window"] = json!(WINDOW);
    it.esme()["max_tps"] = json!(records as f64 / during.as_secs_f64() * 2.0);
    // A message that is refused for now goes back onto its topic soon.
    it.config["submit"] = json!({ "retry_delay": "400ms", "max_hold": "1s" });
    // A process may be frozen for 10 s with a response that it has not committed, and Kafka be away after that.
    it.config["correlate"]["early_receipt_grace"] = json!("30s");
    let lenient = it.toml();
    it.esme()["segmentation"] = json!({ "max_parts": 2 });
    let strict = it.toml();
    let troubled = Arc::new(AtomicBool::new(true));
    script(&smsc, &orders, rng.fork(), troubled.clone());
    let start = |strictly: bool| Connector::start(if strictly { &strict } else { &lenient });
    let mut processes = [start(false), start(false)];
    smsc.wait_bound(PARTITIONS as usize);

    std::thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&it, &orders, during));
        let end = Instant::now() + during;
        let mut broker_restarts = 0;
        while Instant::now() < end || !feeding.is_finished() {
            std::thread::sleep(Duration::from_millis(rng.u64(1000..4000)));
            let victim = rng.usize(..2);
            match rng.u8(..10) {
                0..4 => {
                    processes[victim].kill9();
                    std::thread::sleep(Duration::from_millis(rng.u64(0..1500)));
                    processes[victim] = start(rng.u8(..3) == 0);
                }
                4..6 => {
                    processes[victim].freeze();
                    std::thread::sleep(Duration::from_secs(rng.u64(1..10)));
                    processes[victim].thaw();
                }
                6 if broker_restarts < 3 => {
                    broker_restarts += 1;
                    broker.kill9();
                    std::thread::sleep(Duration::from_millis(rng.u64(0..2000)));
                    broker.restart();
                }
                _ => smsc.drop_connections(),
            }
        }
        feeding.join().expect("all are produced");
    });
    troubled.store(false, SeqCst);
    for process in &mut processes {
        assert!(
            process.ended().is_none(),
            "a process ended by itself: {}",
            process.log()
        );
    }
    eprintln!("audit: chaos is over, {} PDUs so far", smsc.submitted());
    // What the chaos held up comes through at some hundreds a second.
    let patience = Duration::from_secs(180 + records as u64 / 100);
    let mark = judge(&it, &smsc, &orders, patience);
    let most = WINDOW as usize * smsc.connections();
    assert!(
        mark.needless <= most,
        "in doubt without reason: {}, more than a window of each of {} sessions",
        mark.needless,
        smsc.connections()
    );
}

/// Several partitions share the binds of a process; none waits for the others.
#[test]
fn audit_of_shared_binds() {
    let mut rng = fastrand::Rng::with_seed(seed("shared binds"));
    let orders = Order::many(0..600, "outbound", PARTITIONS, &mut rng, Kind::any);
    let smsc = FakeSmsc::start();
    smsc.send_receipts();
    let mut it = Deployment::new(smsc.port(), PARTITIONS);
    it.esme()["window"] = json!(WINDOW);
    it.esme()["max_tps"] = json!(60);
    it.esme()["binds"] = json!({ "per_instance": 1 });
    it.config["kafka"]["session_timeout"] = json!("3s");
    it.config["submit"]["revoke_drain"] = json!("1s");
    script(&smsc, &orders, rng.fork(), Arc::default());
    produce(&it, &orders);
    let mut processes = [it.start(), it.start()];
    smsc.wait_bound(2);
    std::thread::sleep(Duration::from_millis(rng.u64(3000..5000)));
    processes[0].kill9();
    processes[0] = it.start();
    judge(&it, &smsc, &orders, super::super::PATIENCE);

    let submits = smsc.submits();
    let mut came: HashMap<i32, usize> = HashMap::new();
    for submit in &submits[..submits.len() / 2] {
        let n = number(&submit.destination).expect("a recipient of ours");
        *came.entry(orders[n].partition).or_default() += 1;
    }
    for partition in 0..PARTITIONS {
        let count = came.get(&partition).copied().unwrap_or(0);
        let fair = submits.len() / 2 / PARTITIONS as usize;
        assert!(
            count >= fair / 4,
            "partition {partition} had {count} of the first half, its share is {fair}: {came:?}"
        );
    }
}

/// An urgent message waits neither for the campaign nor for the rest of a very long message.
#[test]
fn audit_of_priorities() {
    const URGENT: usize = 40;
    let mut rng = fastrand::Rng::with_seed(seed("priorities"));
    let urgent = Order::many(0..URGENT, "urgent", 2, &mut rng, |_| Kind::Plain);
    let long = |_: &mut fastrand::Rng| Kind::Long(CAMPAIGN);
    let campaign = Order::many(URGENT..URGENT + 16, "outbound", 2, &mut rng, long);
    let smsc = FakeSmsc::start();
    smsc.send_receipts();
    let mut it = Deployment::new(smsc.port(), 2);
    it.kafka.topic(&it.topic("urgent"), 2, &[]);
    it.config["kafka"]["session_timeout"] = json!("3s");
    it.config["submit"]["revoke_drain"] = json!("1s");
    let topics = json!([it.topic("urgent"), it.topic("outbound")]);
    it.esme()["outbound"] = topics;
    it.esme()["window"] = json!(WINDOW);
    it.esme()["max_tps"] = json!(40);
    produce(&it, &campaign);
    let mut processes = [it.start(), it.start()];
    smsc.wait_bound(2);
    let mut appended = Vec::new();
    let mut killed = None;
    for order in &urgent {
        std::thread::sleep(Duration::from_millis(rng.u64(200..600)));
        if order.n == URGENT / 2 {
            processes[0].kill9();
            killed = Some(Instant::now());
            processes[0] = it.start();
        }
        produce(&it, std::slice::from_ref(order));
        appended.push(Instant::now());
    }
    let orders: Vec<Order> = urgent.into_iter().chain(campaign).collect();
    judge(&it, &smsc, &orders, super::super::PATIENCE);

    // Around a crash they wait for the successor, not for each other.
    let killed = killed.expect("one was killed");
    let calm =
        |at: Instant| at + Duration::from_secs(3) < killed || at > killed + Duration::from_secs(10);
    let submits = smsc.submits();
    let mut all = Vec::new();
    for (n, &at) in appended.iter().enumerate().filter(|(_, at)| calm(**at)) {
        let mine = |destination: &str| number(destination) == Some(n);
        let place = submits
            .iter()
            .position(|s| mine(&s.destination))
            .expect("it was sent");
        let waited = submits[..place]
            .iter()
            .filter(|s| s.at > at && s.session == submits[place].session);
        all.push(waited.count());
    }
    // One of them may wait because the machine does something else.
    all.sort_unstable();
    let middle = all[all.len() / 2];
    assert!(
        middle < usize::from(CAMPAIGN) / 2 + WINDOW as usize,
        "urgent messages waited for so many PDUs after they were appended: {all:?}"
    );
}

/// Waits for the end and counts everything.
fn judge(it: &Deployment, smsc: &FakeSmsc, orders: &[Order], patience: Duration) -> ledger::Mark {
    let results = ledger::results(it, smsc, orders, patience);
    let mark = ledger::mark(smsc, orders, &results);
    eprintln!("audit: {} results; {mark}", results.len());
    ledger::receipts(it, smsc, patience);
    ledger::positions(it, orders);
    mark
}

/// Throttles, refuses, swallows and hangs up now and then, while there is trouble, and refuses
/// the first tries of some.
fn script(smsc: &FakeSmsc, orders: &[Order], mut rng: fastrand::Rng, troubled: Arc<AtomicBool>) {
    let delayed = orders.iter().filter(|o| o.kind == Kind::Delayed);
    let delayed: HashSet<usize> = delayed.map(|o| o.n).collect();
    let mut tries: HashMap<usize, u8> = HashMap::new();
    smsc.script(move |submit| {
        let n = number(&submit.destination).expect("a recipient of ours");
        if delayed.contains(&n) {
            let tries = tries.entry(n).or_insert(rng.u8(1..4));
            if *tries > 0 {
                *tries -= 1;
                return Reply::Status(0x08);
            }
        }
        match rng.u16(..1000) {
            _ if !troubled.load(SeqCst) => Reply::Accept,
            0..10 => Reply::Silence,
            10..20 => Reply::Swallow,
            20..22 => Reply::Drop,
            22..50 => Reply::Status(0x58),
            50..60 => Reply::Status(0x0B),
            _ => Reply::Accept,
        }
    });
}
