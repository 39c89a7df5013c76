//! Binds of every mode, several accounts, and messages that take another way.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, Reply, eventually};

#[test]
fn a_pair_submits_on_one_session_and_receives_on_the_other() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["bind"] = json!("pair");
    let _connector = it.start();
    smsc.wait_bound(2);
    smsc.script(|_| Reply::As("ID".into()));
    it.send(0, &[message("m")]);
    it.results(1);
    assert_eq!(smsc.receipt("ID"), 0);
    assert_eq!(it.receipts(1)[0]["log_id"], "m");
}

#[test]
fn a_number_of_binds_for_each_process() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 5);
    it.esme()["binds"] = json!({ "per_instance": 2 });
    let _one = it.start();
    smsc.wait_bound(2);
    let _two = it.start();
    smsc.wait_bound(4);
    for p in 0..5 {
        it.send_numbered(p, p as usize * 100..p as usize * 100 + 100);
    }
    let results = it.results(500);
    assert!(results.values().all(|r| r["accepted"] == true));
    assert_eq!(smsc.submits().len(), 500);
}

#[test]
fn a_receive_only_esme_leases_an_empty_topic() {
    let (smsc, inbound) = (FakeSmsc::start(), FakeSmsc::start());
    let mut it = Deployment::new(smsc.port(), 1);
    let lease = it.topic("lease");
    it.kafka.topic(&lease, 2, &[]);
    let mut receiver = it.esme().clone();
    receiver.as_object_mut().unwrap().remove("outbound");
    receiver = with(
        receiver,
        json!({
            "name": "receiver",
            "lease_topic": lease,
            "bind": "receiver",
            "hosts": [format!("127.0.0.1:{}", inbound.port())],
        }),
    );
    it.config["esme"].as_array_mut().unwrap().push(receiver);
    let (_one, _two) = (it.start(), it.start());
    inbound.wait_bound(2);
    assert_eq!(inbound.deliver(0, "41791234567", "1000", b"hello"), 0);
    let records = it.kafka.wait_records(&it.topic("inbound"), 1, PATIENCE);
    assert_eq!(records[0].value["esme"], "receiver");
    assert_eq!(records[0].value["text"], "hello");
    // However many processes: two leases, wherever they end up.
    std::thread::sleep(Duration::from_secs(5));
    inbound.wait_bound(2);
}

#[test]
fn accounts_do_not_disturb_each_other() {
    let (one, other) = (FakeSmsc::start(), FakeSmsc::start());
    other.refuse_binds(0x0E);
    let mut it = Deployment::new(one.port(), 1);
    let topic = it.topic("other");
    it.kafka.topic(&topic, 1, &[]);
    let second = with(
        it.esme().clone(),
        json!({
            "name": "other",
            "outbound": [topic],
            "hosts": [format!("127.0.0.1:{}", other.port())],
        }),
    );
    it.config["esme"].as_array_mut().unwrap().push(second);
    let _connector = it.start();
    it.kafka.produce_json(&topic, 0, &[message("x")]);
    it.send_numbered(0, 0..200);
    assert_eq!(it.results(200).len(), 200);
    other.refuse_binds(0);
    let results = it.results(201);
    assert_eq!(results["x"]["esme"], "other");
}

#[test]
fn a_long_wait_is_spent_in_the_topic() {
    let smsc = FakeSmsc::start();
    smsc.script({
        let mut tries = 0;
        move |submit| {
            tries += usize::from(submit.text() == "later");
            match submit.text() == "later" && tries < 5 {
                true => Reply::Status(0x08),
                false => Reply::Accept,
            }
        }
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["retry_delay"] = json!("400ms");
    it.config["submit"]["max_hold"] = json!("1s");
    let _connector = it.start();
    it.send(
        0,
        &[
            with(message("later"), json!({ "extra_data": { "a": 1 } })),
            message("good"),
        ],
    );
    let results = it.results(2);
    let later = &results["later"];
    assert_eq!(
        (&later["accepted"], &later["attempt"]),
        (&json!(true), &json!(5))
    );
    assert_eq!(later["record"]["offset"], 0, "its first position");
    assert_eq!(later["extra_data"], json!({ "a": 1 }));
    let end = it.kafka.watermarks(&it.topic("outbound"), 0).1;
    assert!(end > 2, "it was appended again");
}

#[test]
fn an_event_too_large_for_its_topic_is_replaced() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let small = it.topic("small");
    it.kafka.topic(&small, 1, &[("max.message.bytes", "2500")]);
    let mut it = it;
    it.config["topics"]["responses"] = json!(small);
    let _connector = it.start();
    it.send(
        0,
        &[
            with(message("huge"), json!({ "extra_data": "x".repeat(5000) })),
            message("good"),
        ],
    );
    let of = |stem: &str| it.kafka.records(stem).into_iter().map(|r| r.value);
    let errors = it.topic("errors");
    eventually("both have their result", PATIENCE, || {
        of(&small).count() == 1 && of(&errors).count() == 1
    });
    let error: Value = of(&errors).next().unwrap();
    assert_eq!(
        (&error["log_id"], &error["kind"]),
        (&json!("huge"), &json!("EVENT_TOO_LARGE"))
    );
}

#[test]
fn attempts_survive_a_crash_loop() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["in_doubt"] = json!("resend");
    it.config["submit"]["max_resends"] = json!(2);
    it.esme()["timers"]["response"] = json!("60s");
    it.send(0, &[message("m")]);
    for n in 1..=3 {
        let mut connector = it.start();
        smsc.wait_submits(n);
        connector.kill9();
    }
    let _last = it.start();
    let results = it.results(1);
    assert_eq!(results["m"]["kind"], "OUTCOME_UNKNOWN");
    assert_eq!(smsc.submits().len(), 3, "once, and two resends");
}
