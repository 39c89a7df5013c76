//! Starting and stopping.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGHUP, SIGTERM};
use serde_json::json;

use super::{Deployment, PATIENCE};
use crate::harness::{Broker, FakeSmsc, Reply, command, eventually, scratch};

#[test]
fn the_first_signal_waits_for_answers_commits_and_unbinds() {
    let smsc = FakeSmsc::start();
    smsc.script(|submit| {
        if submit.text() == "m7" {
            Reply::Silence
        } else {
            Reply::Accept
        }
    });
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    it.send_numbered(0, 0..20);
    let submits = smsc.wait_submits(20);
    it.results(19);
    // A shell that ends may send SIGHUP twice, a service manager SIGTERM besides.
    for signal in [SIGHUP, SIGHUP, SIGTERM] {
        connector.signal(signal);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(
        connector.ended().is_none(),
        "it waits for the outstanding answer"
    );
    let seventh = submits.iter().find(|s| s.text() == "m7").unwrap();
    smsc.answer(seventh, "M7");
    assert!(connector.wait(Duration::from_secs(15)).success());
    assert_eq!(smsc.unbound(), 1);
    let results = it.exactly_one_each();
    assert_eq!(results["m7"]["accepted"], true);
    assert_eq!(it.committed(0), Some(20));
}

#[test]
fn a_drain_ends_in_time_and_the_successor_knows_what_was_out() {
    let smsc = FakeSmsc::start();
    smsc.script(|submit| {
        if submit.text() == "m3" {
            Reply::Silence
        } else {
            Reply::Accept
        }
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["shutdown_timeout"] = json!("3s");
    it.esme()["timers"]["response"] = json!("60s");
    let mut connector = it.start();
    it.send_numbered(0, 0..10);
    smsc.wait_submits(10);
    it.results(9);
    connector.signal(SIGTERM);
    connector.wait(Duration::from_secs(12));
    let _successor = it.start();
    let results = it.results(10);
    assert_eq!(results["m3"]["kind"], "OUTCOME_UNKNOWN");
    assert_eq!(smsc.submits().len(), 10);
}

#[test]
fn a_second_signal_ends_at_once_and_loses_nothing() {
    let smsc = FakeSmsc::start();
    smsc.script(|submit| {
        if submit.text() == "m3" {
            Reply::Silence
        } else {
            Reply::Accept
        }
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["timers"]["response"] = json!("60s");
    let mut connector = it.start();
    it.send_numbered(0, 0..10);
    smsc.wait_submits(10);
    it.results(9);
    connector.signal(SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    connector.signal(SIGTERM);
    connector.wait(Duration::from_secs(5));
    assert!(begun.elapsed() < Duration::from_secs(3));
    let _successor = it.start();
    assert_eq!(it.results(10)["m3"]["kind"], "OUTCOME_UNKNOWN");
}

#[test]
fn a_refused_bind_is_loud_and_slow() {
    let smsc = FakeSmsc::start();
    smsc.refuse_binds(0x0E);
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    connector.wait_for_log("ESME_RINVPASWD", PATIENCE);
    std::thread::sleep(Duration::from_secs(3));
    assert!(smsc.connections() <= 4, "{} attempts", smsc.connections());
    smsc.refuse_binds(0);
    it.send_numbered(0, 0..1);
    assert_eq!(it.results(1).len(), 1, "it binds once it may");
}

#[test]
fn the_memory_bound_is_printed_at_start() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    smsc.wait_bound(1);
    // The parts of it and their sum.
    for part in ["(inbound.buffer)", "(esme.window)", "\"together\""] {
        connector.wait_for_log(part, PATIENCE);
    }
}

#[test]
fn another_host_is_tried_when_the_first_is_gone() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    let gone = crate::harness::free_port();
    it.esme()["hosts"] = json!([
        format!("127.0.0.1:{gone}"),
        format!("127.0.0.1:{}", smsc.port())
    ]);
    let _connector = it.start();
    it.send_numbered(0, 0..3);
    assert_eq!(it.results(3).len(), 3);
    smsc.drop_connections();
    eventually("it binds again", PATIENCE, || {
        smsc.connections() > 1 && smsc.bound() == 1
    });
}

/// What `check --connect` says, and whether it is content.
fn check(it: &Deployment) -> (String, bool) {
    let dir = scratch("check");
    let file = dir.join("connector.toml");
    std::fs::write(&file, toml::to_string(&it.config).expect("TOML")).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_kafka-smpp"))
        .args(["check", "--connect", "--config"])
        .arg(&file)
        .output()
        .expect("the program");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (said, output.status.success())
}

/// Partitions are added to one topic after the other: what the connector serves meanwhile is not
/// wrong.
#[test]
fn topics_that_differ_in_partitions_are_a_warning_and_more_binds_than_allowed_an_error() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 2);
    let (outbound, fewer) = (it.topic("outbound"), it.topic("fewer"));
    it.kafka.topic(&fewer, 1, &[]);
    it.esme()["outbound"] = json!([outbound, fewer]);
    let says = format!("go without {fewer} until");
    let (said, content) = check(&it);
    assert!(said.contains(&says), "{said}");
    assert!(content, "{said}");
    for args in [&["topics", "describe"][..], &["topics", "create"]] {
        let done = command(&it.toml(), args);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(0), "{said}");
        assert!(said.contains("warning"), "{said}");
        assert!(said.contains(&says), "{said}");
    }

    let create = ["topics", "create", "--partitions", "3"];
    let done = command(&it.toml(), &create);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(69), "{said}");
    let says = format!("topic {fewer} exists and has 1 partition, not 3");
    assert!(said.contains(&says), "{said}");

    it.esme()["max_binds"] = json!(1);
    let done = command(&it.toml(), &["topics", "describe"]);
    assert_eq!(done.status.code(), Some(69));
}

#[test]
fn check_says_whether_the_brokers_take_the_metadata_of_commits() {
    let smsc = FakeSmsc::start();
    let (said, content) = check(&Deployment::new(smsc.port(), 1));
    assert!(
        said.contains("an offset with long metadata is committed"),
        "{said}"
    );
    assert!(said.contains("takes no deliveries"), "{said}");
    assert!(content, "{said}");

    let broker = Broker::start_with("offset.metadata.max.bytes=1000\n");
    let (said, content) = check(&Deployment::on(broker.kafka(), smsc.port(), 1));
    assert!(said.contains("set offset.metadata.max.bytes"), "{said}");
    assert!(said.contains("take 1000 characters"), "{said}");
    assert!(!content);
}

/// What runs, against the table of ARCHITECTURE.md.
#[test]
fn every_thread_has_a_name_that_the_architecture_tells() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    it.send_numbered(0, 0..1);
    let connector = it.start();
    it.results(1);
    let text = include_str!("../../../ARCHITECTURE.md");
    let table = text.split("\n## Threads\n").nth(1).expect("a section");
    let table = table.split("\n\n").next().expect("a table");
    let names: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
    // The kernel keeps fifteen octets of a name.
    fn kept(name: &str) -> &str {
        name.get(..15).unwrap_or(name)
    }
    let told = |comm: &str| {
        let is = |name: &&str| match name.strip_suffix('*') {
            Some(stem) => comm.starts_with(kept(stem)),
            None => comm == kept(name),
        };
        comm == "kafka-smpp" || names.iter().any(is)
    };
    let tasks = format!("/proc/{}/task", connector.pid());
    let running: Vec<String> = std::fs::read_dir(tasks)
        .expect("a running process")
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|comm| comm.trim().to_owned())
        .collect();
    let untold: Vec<&String> = running.iter().filter(|comm| !told(comm)).collect();
    assert!(untold.is_empty(), "{untold:?} of {running:?}");
    for name in [
        "poll",
        "transactor",
        "correlate-poll",
        "correlate-commi",
        "correlate-tail",
    ] {
        assert!(
            running.iter().any(|comm| comm == name),
            "{name}: {running:?}"
        );
    }
}
