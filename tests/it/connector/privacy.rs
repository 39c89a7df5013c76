//! Numbers in events are hashed where that is configured, and nothing else changes.

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, command};

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
