//! Long messages from phones come out whole, wherever their parts arrive.

use serde_json::{Value, json};

use super::{Deployment, PATIENCE};
use crate::harness::{FakeSmsc, tlv};

const PHONE: &str = "41791234567";
const DATA_SM: u32 = 0x103;
const SAR_MSG_REF_NUM: u16 = 0x020C;
const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
const MESSAGE_PAYLOAD: u16 = 0x0424;

/// Delivers part `part` of `total` under `reference`, and expects that it is acknowledged.
fn deliver(smsc: &FakeSmsc, reference: u8, total: u8, part: u8, text: &[u8]) {
    let udh = [5, 0, 3, reference, total, part];
    assert_eq!(smsc.deliver(0x40, PHONE, "1000", &[&udh, text].concat()), 0);
}

fn inbound(it: &Deployment, n: usize) -> Vec<Value> {
    let records = it.kafka.wait_records(&it.topic("inbound"), n, PATIENCE);
    assert!(records.iter().all(|r| r.key.as_deref() == Some(PHONE)));
    records.into_iter().map(|r| r.value).collect()
}

#[test]
fn parts_over_the_binds_of_two_processes_come_out_as_one() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 2);
    let (_one, _two) = (it.start(), it.start());
    smsc.wait_bound(2);
    // Each goes over the next bind; an escape sequence is divided between the last two.
    deliver(&smsc, 7, 3, 3, b"e!");
    deliver(&smsc, 7, 3, 1, b"It costs ");
    deliver(&smsc, 7, 3, 1, b"It costs ");
    deliver(&smsc, 7, 3, 2, b"5 \x1B");
    deliver(&smsc, 7, 3, 2, b"5 \x1B");
    let event = inbound(&it, 1).remove(0);
    assert_eq!(event["text"], "It costs 5 €!");
    assert_eq!(event["complete"], true);
    assert_eq!(
        event["concatenation"],
        json!({ "reference": 7, "total": 3 })
    );
    let parts = event["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[1]["octets_hex"], "35201b");
    assert_ne!(
        parts[0]["bind"], parts[2]["bind"],
        "they came over two binds"
    );
    // Behind the repeats, in the same partition.
    for (part, text) in [(1, &b"n"[..]), (2, b"e"), (3, b"xt")] {
        deliver(&smsc, 7, 3, part, text);
    }
    let texts: Vec<Value> = inbound(&it, 2).iter().map(|e| e["text"].clone()).collect();
    assert_eq!(texts, ["It costs 5 €!", "next"], "no repeat came between");
}

#[test]
fn a_process_killed_between_parts_loses_none() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let mut first = it.start();
    smsc.wait_bound(1);
    deliver(&smsc, 9, 3, 2, b"after ");
    deliver(&smsc, 9, 3, 1, b"Life ");
    first.kill9();
    let _second = it.start();
    deliver(&smsc, 9, 3, 3, b"death");
    let event = inbound(&it, 1).remove(0);
    assert_eq!(event["text"], "Life after death");
    // And what was published is known to whoever comes next.
    deliver(&smsc, 9, 3, 3, b"death");
    deliver(&smsc, 10, 2, 1, b"Next ");
    deliver(&smsc, 10, 2, 2, b"one");
    let texts: Vec<Value> = inbound(&it, 2).iter().map(|e| e["text"].clone()).collect();
    assert_eq!(texts, ["Life after death", "Next one"]);
}

#[test]
fn what_does_not_come_in_time_is_named() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["inbound"] = json!({ "reassembly_ttl": "3s" });
    let _connector = it.start();
    deliver(&smsc, 1, 3, 3, b"end");
    deliver(&smsc, 1, 3, 1, b"start ");
    let event = inbound(&it, 1).remove(0);
    assert_eq!(
        (&event["complete"], &event["missing"]),
        (&json!(false), &json!([2]))
    );
    assert_eq!(event["text"], "start end");
    // The reference is used again: nothing of the old message is in the new one.
    for (part, text) in [(1, &b"a"[..]), (2, b"b"), (3, b"c")] {
        deliver(&smsc, 1, 3, part, text);
    }
    assert_eq!(inbound(&it, 2)[1]["text"], "abc");
}

#[test]
fn parts_may_be_numbered_by_tlvs_and_come_as_data_sm() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    for (part, text) in [(2, &b"world"[..]), (1, b"Hello, ")] {
        let mut body = format!("\0\x01\x01{PHONE}\0\x01\x011000\0").into_bytes();
        body.extend([0, 0, 0]);
        body.extend(tlv(SAR_MSG_REF_NUM, &[1, 2]));
        body.extend(tlv(SAR_TOTAL_SEGMENTS, &[2]));
        body.extend(tlv(SAR_SEGMENT_SEQNUM, &[part]));
        body.extend(tlv(MESSAGE_PAYLOAD, text));
        assert_eq!(smsc.request(DATA_SM, &body), 0);
    }
    let event = inbound(&it, 1).remove(0);
    assert_eq!(
        (&event["text"], &event["command"]),
        (&json!("Hello, world"), &json!("data_sm"))
    );
    assert_eq!(event["concatenation"]["reference"], 0x0102);
}
