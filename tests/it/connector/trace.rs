//! PDUs on the topic of the trace.

use serde_json::{Value, json};

use super::{Deployment, PATIENCE};
use crate::harness::{FakeSmsc, command, eventually};

/// What `decode --topic --json` shows.
fn decoded(it: &Deployment) -> Vec<Value> {
    let config = it.toml();
    let shown = command(
        &config,
        &["decode", "--config", "connector.toml", "--topic", "--json"],
    );
    let errors = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success(), "{errors}");
    let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
    let read = |line| serde_json::from_str(line).expect("JSON");
    lines.lines().map(read).collect()
}

fn traced(settings: Value) -> (FakeSmsc, Deployment) {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    let topic = it.topic("trace");
    it.config["topics"]["trace"] = json!(topic);
    it.config["trace"] = settings;
    let created = command(
        &it.toml(),
        &["topics", "create", "--config", "connector.toml"],
    );
    let said = String::from_utf8_lossy(&created.stdout);
    assert!(said.contains(&format!("{topic}\tcreated")), "{said}");
    (smsc, it)
}

#[test]
fn an_exchange_is_traced_whole_and_decode_reads_it() {
    let (smsc, it) = traced(json!({ "sample": 1.0 }));
    let _connector = it.start();
    it.send_numbered(0, 0..3);
    it.results(3);
    assert_eq!(smsc.receipt("STRANGE"), 0);
    let of = |pdus: &[Value], command: &str| -> Vec<Value> {
        let named = pdus.iter().filter(|pdu| pdu["command"] == command);
        named.cloned().collect()
    };
    let mut pdus = Vec::new();
    eventually("the answer to the receipt is traced", PATIENCE, || {
        pdus = decoded(&it);
        !of(&pdus, "deliver_sm_resp").is_empty()
    });
    for (command, count, direction) in [
        ("bind_transceiver", 1, "sent"),
        ("bind_transceiver_resp", 1, "received"),
        ("submit_sm", 3, "sent"),
        ("submit_sm_resp", 3, "received"),
        ("deliver_sm", 1, "received"),
        ("deliver_sm_resp", 1, "sent"),
    ] {
        let found = of(&pdus, command);
        assert_eq!(found.len(), count, "{command}: {pdus:#?}");
        for pdu in found {
            assert_eq!(pdu["direction"], direction, "{pdu}");
            assert_eq!(pdu["esme"], "acme", "{pdu}");
            assert_eq!(pdu["bind"], "acme-0.0", "{pdu}");
            assert_eq!(pdu["masked"], "texts,numbers", "{pdu}");
            assert_eq!(pdu["peer"], format!("127.0.0.1:{}", smsc.port()), "{pdu}");
            assert_eq!(pdu["malformed"], false, "{pdu}");
        }
    }
    let bind = &of(&pdus, "bind_transceiver")[0];
    assert_eq!(bind["fields"]["password"], "******", "{bind}");
    let submit_sm = &of(&pdus, "submit_sm")[0]["fields"];
    assert_eq!(submit_sm["destination_addr"], "*******4567", "{submit_sm}");
    assert_eq!(submit_sm["short_message_hex"], "7878", "{submit_sm}");
}

#[test]
fn only_what_is_asked_for_is_traced_and_a_topic_that_is_gone_holds_up_nothing() {
    let (_smsc, it) = traced(json!({ "sample": 1.0, "commands": ["submit_sm"] }));
    let mut connector = it.start();
    it.send_numbered(0, 0..1);
    it.results(1);
    eventually("the message is traced", PATIENCE, || {
        decoded(&it).len() == 2
    });
    it.kafka.delete_topic(&it.topic("trace"));
    it.send_numbered(0, 1..200);
    it.results(200);
    connector.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(connector.wait(PATIENCE).code(), Some(0));
    let log = connector.log();
    let missing = log
        .lines()
        .filter(|line| line.contains("PDUs are missing in the trace"));
    assert!((1..=3).contains(&missing.count()), "{log}");
}

#[test]
fn decode_says_that_no_topic_is_set() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let shown = command(
        &it.toml(),
        &["decode", "--config", "connector.toml", "--topic"],
    );
    assert_eq!(shown.status.code(), Some(64));
    let said = String::from_utf8_lossy(&shown.stderr);
    assert!(said.contains("topics.trace is not set"), "{said}");
}
