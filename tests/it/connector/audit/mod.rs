//! The crash audit: two processes are killed, frozen and cut off at random while records go
//! through; then everything is counted from outside.
//!
//! Small here. A large one:
//!
//! ```text
//! AUDIT_RECORDS=200000 AUDIT_SECONDS=600 cargo test --release --test it -- --nocapture audit
//! ```
//!
//! `AUDIT_SEED` repeats the same decisions (not the same timing).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Deployment, message, with};
use crate::harness::{Broker, FakeSmsc, Reply, Send, eventually};

const PARTITIONS: i32 = 4;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |v| v.parse().expect("a number"))
}

#[test]
fn the_crash_audit() {
    let records = setting("AUDIT_RECORDS", 3000) as usize;
    let chaos = Duration::from_secs(setting("AUDIT_SECONDS", 45));
    let seed = setting("AUDIT_SEED", fastrand::u64(..1 << 32));
    eprintln!("audit: {records} records, {chaos:?} of chaos, AUDIT_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);

    let smsc = FakeSmsc::start();
    smsc.send_receipts();
    let mut broker = Broker::start_private();
    let mut it = Deployment::on(broker.kafka(), smsc.port(), PARTITIONS);
    it.esme()["max_tps"] = json!(records as f64 / chaos.as_secs_f64() * 1.5);
    let troubled = std::sync::Arc::new(AtomicBool::new(true));
    script(&smsc, rng.fork(), troubled.clone());
    let mut processes = [it.start(), it.start()];
    smsc.wait_bound(PARTITIONS as usize);

    std::thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&it, records, chaos));
        let end = Instant::now() + chaos;
        let mut broker_restarts = 0;
        while Instant::now() < end || !feeding.is_finished() {
            std::thread::sleep(Duration::from_millis(rng.u64(1000..4000)));
            let victim = rng.usize(..2);
            match rng.u8(..10) {
                0..4 => {
                    processes[victim].kill9();
                    std::thread::sleep(Duration::from_millis(rng.u64(0..1500)));
                    processes[victim] = it.start();
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
    eprintln!(
        "audit: chaos is over, {} submit_sm so far",
        smsc.submits().len()
    );
    // What the chaos held up comes through at some hundreds a second.
    let patience = Duration::from_secs(180 + records as u64 / 100);
    let results = it.results_within(records, patience);
    assert_eq!(results.len(), records, "exactly one result each");
    eventually("all receipts are acknowledged", patience, || {
        smsc.receipts_due() == 0
    });
    eprintln!("audit: all results are there and all receipts acknowledged");
    count(&it, &smsc, &results, patience);
}

/// Throttles, refuses, swallows and hangs up now and then, while there is trouble.
fn script(smsc: &FakeSmsc, mut rng: fastrand::Rng, troubled: std::sync::Arc<AtomicBool>) {
    smsc.script(move |_| match rng.u16(..1000) {
        _ if !troubled.load(SeqCst) => Reply::Accept,
        0..10 => Reply::Silence,
        10..20 => Reply::Swallow,
        20..22 => Reply::Drop,
        22..50 => Reply::Status(0x58),
        50..60 => Reply::Status(0x0B),
        _ => Reply::Accept,
    });
}

/// Appends the records little by little; half of them are resent when in doubt.
fn feed(it: &Deployment, records: usize, during: Duration) {
    let batch = (records / 60).max(1);
    let pause = during * batch as u32 / records as u32;
    for begin in (0..records).step_by(batch) {
        let batch: Vec<(i32, String)> = (begin..(begin + batch).min(records))
            .map(|n| {
                let policy = if n / 4 % 2 == 0 { "resend" } else { "report" };
                let value = with(message(&format!("m{n}")), json!({ "in_doubt": policy }));
                (n as i32 % PARTITIONS, value.to_string())
            })
            .collect();
        let records: Vec<Send<'_>> = batch
            .iter()
            .map(|(partition, value)| Send {
                partition: Some(*partition),
                value: Some(value.as_bytes()),
                ..Send::default()
            })
            .collect();
        it.kafka.produce(&it.topic("outbound"), &records);
        std::thread::sleep(pause);
    }
}

fn count(it: &Deployment, smsc: &FakeSmsc, results: &BTreeMap<String, Value>, patience: Duration) {
    let mut accepted: HashMap<String, usize> = HashMap::new();
    for (text, _) in smsc.accepted() {
        *accepted.entry(text).or_default() += 1;
    }
    let (mut twice, mut unknown) = (0, 0);
    for (log_id, result) in results {
        let times = accepted.remove(log_id).unwrap_or(0);
        let flagged = result["possible_duplicate"] == true || result["kind"] == "OUTCOME_UNKNOWN";
        unknown += usize::from(result["kind"] == "OUTCOME_UNKNOWN");
        twice += usize::from(times > 1);
        let expected = usize::from(result["accepted"] == true);
        assert!(
            flagged || times == expected,
            "the SMSC accepted it {times} times, and nothing says so: {result:#}"
        );
        assert!(times >= expected, "nobody accepted it: {result:#}");
    }
    assert!(
        accepted.is_empty(),
        "accepted, but never asked for: {accepted:?}"
    );

    let answered: HashSet<String> = it
        .events()
        .iter()
        .filter(|e| e["accepted"] == true)
        .map(|e| e["message_id"].as_str().expect("an id").to_owned())
        .collect();
    let ids: Vec<String> = smsc.accepted().into_iter().map(|(_, id)| id).collect();
    let give_up = Instant::now() + patience;
    let receipts = it
        .kafka
        .records_until(&it.topic("receipts"), patience * 2, |all| {
            let seen: HashSet<&str> = all
                .iter()
                .filter_map(|r| r.value["message_id"].as_str())
                .collect();
            seen.len() >= ids.len() || Instant::now() >= give_up
        });
    let mut by_id: HashMap<&str, Vec<&Value>> = HashMap::new();
    for receipt in &receipts {
        let id = receipt.value["message_id"].as_str().expect("an id");
        by_id.entry(id).or_default().push(&receipt.value);
    }
    let missing: Vec<(&String, bool)> = ids
        .iter()
        .filter(|id| !by_id.contains_key(id.as_str()))
        .map(|id| (id, answered.contains(id)))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} receipts were acknowledged and never published (id, answered): {:?}",
        missing.len(),
        ids.len(),
        &missing[..missing.len().min(100)]
    );
    for id in &ids {
        let of = &by_id[id.as_str()];
        if answered.contains(id) {
            assert_eq!(of.len(), 1, "{of:#?}");
            assert_eq!(
                of[0]["correlated"], true,
                "its response was committed: {:#}",
                of[0]
            );
        } else {
            assert!(of.iter().all(|r| r["correlated"] == false), "{of:#?}");
        }
    }
    for p in 0..PARTITIONS {
        let end = it.kafka.watermarks(&it.topic("outbound"), p).1;
        eventually("everything is committed", Duration::from_secs(20), || {
            it.committed(p) == Some(end)
        });
    }
    eprintln!(
        "audit: {} results, {} accepted ({twice} of them more than once and flagged), {unknown} unknown, {} receipts",
        results.len(),
        ids.len(),
        receipts.len()
    );
}
