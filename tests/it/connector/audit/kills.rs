//! How much a crash puts in doubt: one process with a backlog is killed while the SMSC is in this
//! mood or that, and its successor settles everything before the next one is killed. So it is known
//! which crash a doubt comes from.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Deployment, PATIENCE};
use super::order::{Kind, Order, number, produce};
use super::{WINDOW, ledger, seed, size};
use crate::harness::{FakeSmsc, Reply};

const PARTITIONS: i32 = 2;

/// What the SMSC does until the process is killed.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// It takes whatever comes, some hundreds a second.
    Fast,
    /// It takes whatever comes; the account's rate is 50 a second.
    Limited,
    /// It answers nothing.
    Silent,
    /// ESME_RTHROTTLED to nine of ten.
    Throttling,
    /// ESME_RSYSERR to all but each tenth, which comes again much later.
    Refusing,
}

const MOODS: [Mood; 5] = [
    Mood::Fast,
    Mood::Limited,
    Mood::Silent,
    Mood::Throttling,
    Mood::Refusing,
];

#[test]
fn audit_of_what_a_crash_puts_in_doubt() {
    let mut rng = fastrand::Rng::with_seed(seed("kills"));
    let (records, during) = size();
    let backlog = (records / 10).clamp(600, 6000);
    let rounds = (during.as_secs() / 120).max(1);
    let most = WINDOW as usize * PARTITIONS as usize;
    let mut above = Vec::new();
    for round in 0..rounds {
        for mood in MOODS {
            let mark = kill(mood, backlog, &mut rng);
            eprintln!("audit: killed, round {round}, {mood:?} SMSC, {backlog} records: {mark}");
            if mark.needless > most {
                let count = mark.needless;
                above.push(format!("{mood:?}: the SMSC had never had {count}: {mark}"));
            }
            // What was out or ready at the last commit, and refused since: a window each.
            if mark.refused > 2 * most {
                let count = mark.refused;
                above.push(format!("{mood:?}: the SMSC had refused {count}: {mark}"));
            }
        }
    }
    assert!(
        above.is_empty(),
        "more in doubt than a window of each bind ({most}), or two that were refused:\n{}",
        above.join("\n")
    );
}

/// One life and its end.
fn kill(mood: Mood, backlog: usize, rng: &mut fastrand::Rng) -> ledger::Mark {
    let orders = Order::many(0..backlog, "outbound", PARTITIONS, rng, |_| Kind::Plain);
    let smsc = FakeSmsc::start();
    behave(&smsc, mood, rng.fork());
    let mut it = Deployment::new(smsc.port(), PARTITIONS);
    it.config["kafka"]["session_timeout"] = json!("3s");
    it.esme()["window"] = json!(WINDOW);
    it.esme()["slow_start"] = json!(WINDOW);
    it.esme()["timers"]["response"] = json!("60s");
    it.config["submit"]["revoke_drain"] = json!("1s");
    it.config["submit"]["retry_delay"] = match mood {
        Mood::Refusing => json!("20s"),
        _ => Value::from("100ms"),
    };
    if let Mood::Limited = mood {
        it.esme()["max_tps"] = json!(50);
    }
    produce(&it, &orders);
    let mut process = it.start();
    smsc.wait_bound(PARTITIONS as usize);
    smsc.wait_submits(2 * WINDOW as usize);
    std::thread::sleep(Duration::from_millis(rng.u64(300..1500)));
    process.kill9();
    let sessions = smsc.connections() as u32;

    smsc.script(|_| Reply::Accept);
    it.esme()["max_tps"] = json!(0);
    let mut successor = it.start();
    let results = ledger::results(&it, &smsc, &orders, PATIENCE);
    assert!(successor.ended().is_none());
    let truths = ledger::truths(&smsc);
    let none = ledger::Truth::default();
    let mut mark = ledger::Mark::default();
    for order in &orders {
        let truth = truths.get(&order.n).unwrap_or(&none);
        let result = &results[&order.log_id()];
        mark.note(order, result, truth, |session| session <= sessions);
    }
    mark
}

fn behave(smsc: &FakeSmsc, mood: Mood, mut rng: fastrand::Rng) {
    let mut seen = HashSet::new();
    smsc.script(move |submit| match mood {
        Mood::Fast => {
            std::thread::sleep(Duration::from_millis(3));
            Reply::Accept
        }
        Mood::Limited => Reply::Accept,
        Mood::Silent => Reply::Silence,
        Mood::Throttling if rng.u8(..10) > 0 => Reply::Status(0x58),
        Mood::Refusing if seen.insert(number(&submit.destination)) && rng.u8(..10) > 0 => {
            Reply::Status(0x08)
        }
        Mood::Throttling | Mood::Refusing => Reply::Accept,
    });
}
