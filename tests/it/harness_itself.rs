//! The harness does what the other tests rely on.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::json;

use crate::harness::{Broker, Send, eventually, kafka, scratch, unique};

#[test]
fn records_come_back_as_they_were_sent() {
    let (kafka, topic) = (kafka(), unique("echo"));
    kafka.topic(&topic, 2, &[]);
    let one = Send {
        partition: Some(1),
        key: Some("k"),
        value: Some(br#"{"a":1}"#),
        headers: &[("h", "v")],
    };
    kafka.produce(
        &topic,
        &[
            one,
            Send {
                partition: Some(0),
                ..Send::default()
            },
        ],
    );
    let mut records = kafka.records(&topic);
    records.sort_by_key(|r| -r.partition);
    assert_eq!(records[0].value, json!({"a": 1}));
    assert_eq!(records[0].key.as_deref(), Some("k"));
    assert_eq!(records[0].headers, [("h".to_owned(), "v".to_owned())]);
    assert!(records[1].value.is_null());
}

#[test]
fn a_broker_killed_with_its_data_comes_back_with_it() {
    let mut broker = Broker::start_private();
    let (kafka, topic) = (broker.kafka(), unique("kept"));
    kafka.topic(&topic, 1, &[("flush.messages", "1")]);
    kafka.produce_json(&topic, 0, &[json!(1), json!(2)]);
    broker.kill9();
    broker.restart();
    assert_eq!(kafka.records(&topic).len(), 2);
    broker.freeze();
    broker.thaw();
    kafka.produce_json(&topic, 0, &[json!(3)]);
    assert_eq!(
        kafka.wait_records(&topic, 3, Duration::from_secs(20)).len(),
        3
    );
}

/// Run by the next test in a process of its own.
#[test]
#[ignore = "a part of nothing_is_left_when_the_tests_are_killed"]
fn start_a_broker_and_wait_to_be_killed() {
    let broker = Broker::start_private();
    println!("BROKER {} {}", broker.pid(), scratch("here").display());
    std::thread::sleep(Duration::from_secs(120));
}

#[test]
fn nothing_is_left_when_the_tests_are_killed() {
    let mut tests = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--nocapture",
            "start_a_broker_and_wait_to_be_killed",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tests.stdout.take().unwrap()).lines();
    let line = lines.find_map(|l| {
        let l = l.unwrap();
        l.split_once("BROKER ").map(|(_, rest)| rest.to_owned())
    });
    let line = line.expect("the broker has started");
    let (pid, dir) = line.split_once(' ').unwrap();
    let broker = Pid::from_raw(pid.parse().unwrap());
    assert!(kill(broker, None).is_ok(), "the broker runs");
    tests.kill().unwrap();
    tests.wait().unwrap();
    eventually("the broker is killed", Duration::from_secs(5), || {
        kill(broker, None).is_err()
    });
    eventually("its data is removed", Duration::from_secs(5), || {
        !std::path::Path::new(dir).parent().unwrap().exists()
    });
}
