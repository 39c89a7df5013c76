//! What happens seldom, each by itself: an operator, a configuration copied once too often, a log
//! that lost its end, an SMSC that uses its message ids again.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use nix::sys::signal::Signal::SIGTERM;
use serde_json::{Value, json};

use super::super::{Deployment, PATIENCE, message, with};
use super::order::number;
use super::seed;
use crate::harness::{Broker, FakeSmsc, Reply, command, eventually};

/// How long nothing may happen until it is believed that nothing does.
const QUIET: Duration = Duration::from_secs(8);
/// How many message ids the SMSC has.
const IDS: usize = 10;

/// An operator sets the offsets back. While all is sent again, a process joins, and the first one
/// is killed: every second result still says that it may be a duplicate.
#[test]
fn audit_of_a_reset_with_a_process_joining() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 2);
    let mut process = it.start();
    it.send_numbered(0, 0..60);
    it.send_numbered(1, 60..120);
    it.results(120);
    process.signal(SIGTERM);
    process.wait(PATIENCE);
    let topic = it.topic("outbound");
    let reset = ["offsets", "reset", "--topic", &topic, "--to", "earliest"];
    let reset = command(&it.toml(), &reset);
    assert!(
        reset.status.success(),
        "{}",
        String::from_utf8_lossy(&reset.stderr)
    );

    it.esme()["max_tps"] = json!(10);
    let mut first = it.start();
    smsc.wait_submits(125);
    let mut processes = vec![it.start()];
    eventually("a partition moves", PATIENCE, || {
        first.log().contains("partitions given up")
    });
    let before = smsc.submitted();
    eventually("it goes on", PATIENCE, || smsc.submitted() >= before + 5);
    first.kill9();
    it.esme()["max_tps"] = json!(0);
    processes.push(it.start());
    let results = || -> Vec<Value> {
        let terminal = |e: &Value| e["terminal"] == true;
        it.events().into_iter().filter(terminal).collect()
    };
    eventually("all have a second result", PATIENCE, || {
        results().len() >= 240
    });

    let mut of: HashMap<String, Vec<Value>> = HashMap::new();
    for result in results() {
        let log_id = result["log_id"].as_str().expect("a log id").to_owned();
        of.entry(log_id).or_default().push(result);
    }
    let flagged = |r: &Value| r["possible_duplicate"] == true || r["kind"] == "OUTCOME_UNKNOWN";
    let silent: Vec<&String> = of
        .iter()
        .filter(|(_, results)| {
            results.len() != 2 || results.iter().filter(|r| flagged(r)).count() != 1
        })
        .map(|(log_id, _)| log_id)
        .collect();
    assert!(
        silent.is_empty(),
        "sent again, and their results do not say so: {silent:?}"
    );
}

/// Two processes with one `instance_id`: one of them ends and says why, the other works on.
#[test]
fn audit_of_an_instance_id_used_twice() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 2);
    it.config["kafka"]["instance_id"] = json!("pod-0");
    let mut first = it.start();
    smsc.wait_bound(2);
    it.send_numbered(0, 0..50);
    it.results(50);
    let mut second = it.start();
    it.send_numbered(1, 50..100);
    eventually("one of them ends", PATIENCE, || {
        first.ended().is_some() || second.ended().is_some()
    });
    let (mut gone, mut left) = match first.ended() {
        Some(_) => (first, second),
        None => (second, first),
    };
    let code = gone.ended().and_then(|status| status.code());
    assert!(
        code.is_some_and(|code| code != 0),
        "{code:?}: {}",
        gone.log()
    );
    assert!(
        gone.log().contains("instance_id"),
        "it says why: {}",
        gone.log()
    );
    it.send_numbered(0, 100..150);
    it.results(150);

    // When the other one dies too, whoever takes its place goes on.
    left.kill9();
    let _successor = it.start();
    it.send_numbered(1, 150..200);
    let results = it.results(200);
    for (log_id, result) in &results {
        let unknown = result["kind"] == "OUTCOME_UNKNOWN";
        assert!(
            unknown || result["accepted"] == true,
            "{log_id}: {result:#}"
        );
    }
    let mut sent: HashMap<String, usize> = HashMap::new();
    for text in smsc.texts() {
        *sent.entry(text).or_default() += 1;
    }
    let twice: Vec<&String> = sent
        .iter()
        .filter(|(_, n)| **n > 1)
        .map(|(t, _)| t)
        .collect();
    assert!(twice.is_empty(), "sent twice: {twice:?}");
}

/// The outbound log lost its last record with the broker's machine: it is not taken for a new one.
#[test]
fn audit_of_a_log_that_lost_its_last_record() {
    let smsc = FakeSmsc::start();
    let mut broker = Broker::start_private();
    let it = Deployment::on(broker.kafka(), smsc.port(), 2);
    let mut process = it.start();
    it.send_numbered(0, 0..100);
    it.send_numbered(1, 100..200);
    it.results(200);
    it.send_numbered(0, 200..201);
    it.results(201);
    process.signal(SIGTERM);
    process.wait(PATIENCE);
    let topic = it.topic("outbound");
    let end = it.kafka.watermarks(&topic, 0).1;
    assert_eq!(it.committed(0), Some(end));
    broker.kill9();
    broker.lose_last_batch(&topic, 0);
    broker.restart();
    assert_eq!(
        it.kafka.watermarks(&topic, 0).1,
        end - 1,
        "the log is shorter"
    );
    assert_eq!(it.committed(0), Some(end), "the group does not know");

    // The partition stands still, and its bind is not opened.
    let process = it.start();
    smsc.wait_bound(1);
    it.send_numbered(1, 201..211);
    it.results(211);
    std::thread::sleep(QUIET);
    let sent = smsc.submitted();
    assert_eq!(sent, 211, "{} messages were sent again", sent - 211);
    let log = process.log();
    let told = log
        .lines()
        .any(|line| line.contains("offsets reset") && line.contains(&topic));
    assert!(told, "an operator has to decide, and is told how: {log}");
}

/// The recipient of message `n`, and the only one to have it.
fn recipient(n: usize) -> String {
    format!("4179{n:08}")
}

/// Messages of these numbers, each to its own recipient.
fn numbered(numbers: Range<usize>) -> Vec<Value> {
    let one = |n| json!({ "destination": recipient(n) });
    let message = |n| with(message(&format!("m{n}")), one(n));
    numbers.map(message).collect()
}

/// The message id that the SMSC gives to message `n`.
fn reused(n: usize) -> String {
    format!("R{}", n % IDS)
}

/// The SMSC's message ids come again and again: each receipt goes to the message that has its id
/// now, whoever was killed in between.
#[test]
fn audit_of_message_ids_used_again() {
    let mut rng = fastrand::Rng::with_seed(seed("message ids used again"));
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    smsc.script(|submit| Reply::As(reused(submit.text()[1..].parse().expect("a number"))));
    let mut process = it.start();
    let all = 4 * IDS;
    for first in (0..all).step_by(IDS) {
        let numbers = first..first + IDS;
        it.send(0, &numbered(numbers.clone()));
        it.results(numbers.end);
        if rng.bool() {
            process.kill9();
            process = it.start();
        }
        for n in numbers.clone() {
            assert_eq!(smsc.receipt_from(&reused(n), &recipient(n)), 0);
        }
        it.receipts(numbers.end);
    }
    let receipts = it.receipts(all);
    assert_eq!(receipts.len(), all);
    for receipt in &receipts {
        let n = number(receipt["text"].as_str().expect("its recipient"));
        let whose = n.map(|n| format!("m{n}"));
        assert_eq!(receipt["log_id"].as_str(), whose.as_deref(), "{receipt:#}");
        assert_eq!(receipt["correlated"], true, "{receipt:#}");
    }
}

/// The answer to a message is lost, and the id in it was another's before: its receipt is not
/// taken for that one's, nor for a repeat.
#[test]
fn audit_of_a_receipt_whose_id_was_anothers() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    smsc.script(|_| Reply::As(reused(0)));
    let _process = it.start();
    it.send(0, &numbered(0..1));
    it.results(1);
    assert_eq!(smsc.receipt_from(&reused(0), &recipient(0)), 0);
    it.receipts(1);
    smsc.script(|_| Reply::Silence);
    it.send(0, &numbered(IDS..IDS + 1));
    it.results(2);
    assert_eq!(smsc.receipt_from(&reused(0), &recipient(IDS)), 0);
    let receipts = it
        .kafka
        .wait_records(&it.topic("receipts"), 2, Duration::from_secs(40));
    let lost = receipts.iter().find(|r| r.value["text"] == recipient(IDS));
    let lost = &lost.expect("it is published").value;
    assert_eq!(lost["correlated"], false, "it is nobody's: {lost:#}");
    assert_eq!(receipts.len(), 2);
}
