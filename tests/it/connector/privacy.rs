//! Numbers in events are hashed where that is configured, and no text is kept for longer than it is
//! needed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, command, eventually};

const PHONE: &str = "41791234567";

#[test]
fn numbers_in_results_are_hashes_and_receipts_find_their_messages() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["privacy"] = json!({ "numbers": "hash", "numbers_key": "a key of the tests" });
    let _connector = it.start();
    it.send(
        0,
        &[
            with(message("sent"), json!({ "destination": "+41791234567" })),
            with(
                message("failed"),
                json!({ "expires_at": "2020-01-01T00:00:00Z" }),
            ),
        ],
    );
    let results = it.results(2);
    let hash = results["sent"]["destination"].as_str().unwrap();
    assert_eq!((hash.len(), &hash[..1]), (19, "#"), "{hash}");
    assert_eq!(results["sent"]["source"], "1000", "a service");
    assert_eq!(results["failed"]["destination"], hash);
    assert_eq!(results["failed"]["type"], "SendError");
    assert_eq!(smsc.wait_submits(1)[0].destination, PHONE);

    assert_eq!(smsc.receipt("M1"), 0);
    assert_eq!(smsc.deliver(0, PHONE, "1000", b"hello"), 0);
    let receipt = it.receipts(1).remove(0);
    let of = |field: &str| receipt[field].clone();
    assert_eq!(
        (of("correlated"), of("log_id"), of("destination")),
        (json!(true), json!("sent"), json!(hash))
    );
    let inbound = it.kafka.wait_records(&it.topic("inbound"), 1, PATIENCE);
    assert_eq!(inbound[0].key.as_deref(), Some(PHONE));
    assert_eq!(inbound[0].value["source"]["number"], PHONE);
    for topic in ["responses", "errors", "receipts"] {
        for record in it.kafka.records(&it.topic(topic)) {
            let text = String::from_utf8_lossy(&record.octets);
            assert!(!text.contains(&PHONE[2..]), "{topic}: {text}");
        }
    }
    let entry = it.kafka.records(&it.topic("correlation"));
    let entry = entry.iter().find(|record| record.value["log_id"] == "sent");
    assert_eq!(entry.unwrap().value["destination"], "+41791234567");

    // What failed can be put back all the same.
    let replay = command(&it.toml(), &["replay", "--json"]);
    let line: Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert_eq!(line["log_id"], "failed", "{line}");
}

/// What the log of correlation says last under each key, PDUs decoded.
fn kept(it: &Deployment) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for record in it.kafka.records(&it.topic("correlation")) {
        let key = record.key.clone().unwrap_or_default();
        let pdu = record.value["delivery"]["pdu"].as_str();
        let pdu = pdu
            .map(|pdu| STANDARD.decode(pdu).unwrap())
            .unwrap_or_default();
        let text = format!("{}{}", record.value, String::from_utf8_lossy(&pdu));
        if record.value.is_null() {
            kept.remove(&key);
        } else {
            kept.insert(key, text);
        }
    }
    kept
}

#[test]
fn no_text_is_kept_longer_than_it_is_needed() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    it.send(
        0,
        &[with(message("m"), json!({ "short_message": "a canary" }))],
    );
    it.results(1);
    let parts = [(1, &b"canary one, "[..]), (2, b"canary two")];
    for (part, text) in parts {
        let udh = [5, 0, 3, 9, 2, part];
        assert_eq!(smsc.deliver(0x40, PHONE, "1000", &[&udh, text].concat()), 0);
    }
    let inbound = it.kafka.wait_records(&it.topic("inbound"), 1, PATIENCE);
    assert_eq!(inbound[0].value["text"], "canary one, canary two");
    // Its text repeats the beginning of the message.
    assert_eq!(smsc.receipt_from("STRANGER", "canary"), 0);
    let receipt = it.receipts(1).remove(0);
    assert_eq!(
        (&receipt["correlated"], &receipt["text"]),
        (&json!(false), &json!("canary"))
    );
    eventually("it is kept as published", PATIENCE, || {
        let kept = kept(&it);
        let alone = kept
            .iter()
            .find(|(key, _)| key.starts_with("acme/STRANGER/@"));
        alone.is_some_and(|(_, value)| value.contains("published_at"))
    });
    for (key, value) in kept(&it) {
        let value = value.replace("\"destination\":\"canary\"", "");
        assert!(
            !value.contains("canary one") && !value.contains("a canary"),
            "{key}: {value}"
        );
        assert!(!value.contains("text:canary"), "{key}: {value}");
    }

    // A successor knows the repeat all the same.
    connector.kill9();
    let _successor = it.start();
    smsc.wait_bound(1);
    assert_eq!(smsc.receipt_from("STRANGER", "canary"), 0);
    assert_eq!(smsc.receipt("M1"), 0);
    let receipts = it.receipts(2);
    assert_eq!(receipts.len(), 2, "{receipts:#?}");
    assert_eq!(receipts[1]["log_id"], "m");
}
