//! What is kept of a person is deleted while the connector runs, and nothing of others.

use std::collections::BTreeMap;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, Record, Reply, Send, command, eventually, started};

/// Whose records are deleted, and who keeps theirs.
const PERSON: &str = "41791234567";
const OTHER: &str = "41791234568";

/// What the log of correlation says last under each key.
fn kept(it: &Deployment) -> BTreeMap<String, Record> {
    let mut kept = BTreeMap::new();
    for record in it.kafka.records(&it.topic("correlation")) {
        let key = record.key.clone().unwrap_or_default();
        if record.value.is_null() {
            kept.remove(&key);
        } else {
            kept.insert(key, record);
        }
    }
    kept
}

/// The keys under which the number stands, in whatever form.
fn of_person(kept: &BTreeMap<String, Record>) -> Vec<&str> {
    let national = &PERSON[2..];
    let in_pdu = |delivery: &Value| {
        let pdu = delivery["pdu"]
            .as_str()
            .map(|pdu| STANDARD.decode(pdu).unwrap());
        pdu.is_some_and(|pdu| String::from_utf8_lossy(&pdu).contains(national))
    };
    let holds = |key: &str, record: &Record| {
        key.contains(national)
            || String::from_utf8_lossy(&record.octets).contains(national)
            // Where numbers are no text.
            || record.value.to_string().contains(national)
            || in_pdu(&record.value["delivery"])
    };
    let kept = kept.iter().filter(|(key, record)| holds(key, record));
    kept.map(|(key, _)| key.as_str()).collect()
}

fn erase(it: &Deployment, args: &[&str]) -> Vec<Value> {
    let Output {
        status,
        stdout,
        stderr,
    } = command(&it.toml(), &[&["erase", "--json"], args].concat());
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let lines = String::from_utf8(stdout).unwrap();
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How many records of ours are of each kind.
fn ours(rows: &[Value]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for row in rows.iter().filter(|row| row["ours"] == true) {
        let what = row["what"].as_str().unwrap();
        *counts.entry(what).or_default() += row["records"].as_u64().unwrap();
    }
    counts
}

/// A deployment whose connector keeps a message of each, one to both, and a segment of the person's.
fn with_both(smsc: &FakeSmsc) -> Deployment {
    smsc.script(|submit| Reply::As(format!("TO-{}-{}", submit.destination, submit.command)));
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["correlate"]["early_receipt_grace"] = json!("20s");
    it
}

fn fill(it: &Deployment, smsc: &FakeSmsc) {
    it.send(
        0,
        &[
            with(
                message("theirs"),
                json!({ "destination": "+41 79 123 45 67", "extra_data": { "name": "canary" } }),
            ),
            with(message("others"), json!({ "destination": OTHER })),
            json!({ "type": "SubmitMulti", "log_id": "both", "source": "1000",
                "destinations": [OTHER, "0791234567"], "short_message": "both" }),
        ],
    );
    it.results(3);
    let udh = [5, 0, 3, 9, 2, 1];
    let text = [&udh[..], b"secret"].concat();
    assert_eq!(smsc.deliver(0x40, PERSON, "1000", &text), 0);
    eventually("a segment waits", PATIENCE, || {
        kept(it).keys().any(|key| key.starts_with("@part/"))
    });
}

#[test]
fn nothing_of_a_person_is_left_and_everything_of_others_is() {
    let smsc = FakeSmsc::start();
    let it = with_both(&smsc);
    let _connector = it.start();
    fill(&it, &smsc);
    let before = kept(&it);
    assert_eq!(of_person(&before).len(), 3, "{:?}", before.keys());

    let rows = erase(&it, &["+41791234567"]);
    let found = [("message", 1), ("message to several", 1), ("segment", 1)];
    assert_eq!(ours(&rows), found.into());
    let outbound = rows
        .iter()
        .find(|row| row["topic"] == it.topic("outbound").as_str());
    let outbound = outbound.expect("a row of the outbound topic");
    assert_eq!(outbound["records"], 2, "{outbound}");
    assert!(outbound["gone_by"].is_string(), "{outbound}");
    let deliveries = it.topic("deliveries");
    let deliveries = rows.iter().any(|row| row["topic"] == deliveries.as_str());
    assert!(deliveries, "in Base64: {rows:#?}");
    let same = |a: &BTreeMap<String, Record>, b: &BTreeMap<String, Record>| a.keys().eq(b.keys());
    assert!(same(&kept(&it), &before), "it only looked");

    assert_eq!(smsc.receipt_from("STRANGER", PERSON), 0);
    eventually("a receipt waits", PATIENCE, || {
        kept(&it)
            .keys()
            .any(|key| key.starts_with("acme/STRANGER/@"))
    });
    let rows = erase(&it, &["+41791234567", "--execute"]);
    assert_eq!(ours(&rows)["receipt"], 1);
    assert_eq!(rows.last().unwrap()["summary"]["deleted"], 3);
    let after = kept(&it);
    let left = of_person(&after);
    assert!(
        left.len() == 1 && left[0].starts_with("acme/TO-"),
        "to several: {left:?}"
    );
    for key in before
        .keys()
        .filter(|key| !of_person(&before).contains(&key.as_str()))
    {
        assert_eq!(after[key].octets, before[key].octets, "{key} is untouched");
    }

    // What comes now is new.
    assert_eq!(smsc.receipt_from(&format!("TO-{PERSON}-4"), PERSON), 0);
    assert_eq!(smsc.receipt_from(&format!("TO-{OTHER}-4"), OTHER), 0);
    let udh = [5, 0, 3, 9, 2, 2];
    assert_eq!(
        smsc.deliver(0x40, PERSON, "1000", &[&udh[..], b"end"].concat()),
        0
    );
    let receipts = it.receipts(2);
    let of = |number: &str| {
        receipts
            .iter()
            .find(|r| r["message_id"] == format!("TO-{number}-4"))
    };
    let others = of(OTHER).expect("a receipt of the other");
    assert_eq!(
        (&others["correlated"], &others["log_id"]),
        (&json!(true), &json!("others"))
    );
    let theirs = of(PERSON).expect("a receipt of the person");
    assert_eq!(theirs["correlated"], false, "{theirs:#}");
    assert_eq!(theirs["destination"], PERSON, "as the SMSC has it");
    for field in ["log_id", "extra_data", "record", "submitted_at"] {
        assert!(theirs.get(field).is_none(), "{field}: {theirs:#}");
    }
    assert!(!theirs.to_string().contains("canary"), "{theirs:#}");
    let inbound = it.kafka.records(&it.topic("inbound"));
    assert!(inbound.is_empty(), "a segment was deleted: {inbound:?}");

    let rows = erase(&it, &["+41791234567", "--execute", "--several", "--ours"]);
    assert!(rows.iter().all(|row| row["ours"] != false), "{rows:#?}");
    assert_eq!(of_person(&kept(&it)), [""; 0]);
}

#[test]
fn what_an_owner_writes_behind_the_tombstone_is_deleted_again() {
    let smsc = FakeSmsc::start();
    let it = with_both(&smsc);
    let mut connector = it.start();
    fill(&it, &smsc);
    connector.kill9();
    let before = kept(&it);
    let key = of_person(&before)
        .into_iter()
        .find(|key| key.contains(&format!("TO-{PERSON}")));
    let key = key.expect("an entry");
    let entry = &before[key];
    let mut erasing = started(&it.toml(), &["erase", PERSON, "--execute", "--ours"]);
    eventually("a tombstone", PATIENCE, || !kept(&it).contains_key(key));
    it.kafka.produce(
        &it.topic("correlation"),
        &[Send {
            partition: Some(entry.partition),
            key: Some(key),
            value: Some(&entry.octets),
            ..Send::default()
        }],
    );
    assert!(erasing.wait(PATIENCE).success(), "{}", erasing.log());
    assert!(!kept(&it).contains_key(key));

    // A successor has nothing of it.
    let _successor = it.start();
    smsc.wait_bound(1);
    assert_eq!(smsc.receipt_from(&format!("TO-{PERSON}-4"), PERSON), 0);
    assert_eq!(it.receipts(1)[0]["correlated"], false);
}
