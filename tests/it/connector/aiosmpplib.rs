//! aiosmpplib itself writes the records and reads what becomes of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Deployment, PATIENCE};
use crate::harness::{FakeSmsc, Program, Record, Reply, Send, source};

#[test]
fn aiosmpplib_0_6_4_on_both_sides() {
    both_sides("0.6.4");
}

#[test]
fn aiosmpplib_0_7_4_on_both_sides() {
    both_sides("0.7.4");
}

/// Runs `tests/peers/aiosmpplib/messages.py`.
struct Aiosmpplib(Program);

impl Aiosmpplib {
    fn run(&self, what: &str, lines: &[String]) -> Vec<Value> {
        let program = source("aiosmpplib").join("messages.py");
        self.0.run(&program, &[what], lines)
    }

    /// What `json_decode` makes of records, by their log_id.
    fn decode(&self, records: &[Record]) -> BTreeMap<String, Value> {
        let text = |r: &Record| String::from_utf8(r.octets.clone()).expect("text");
        let read = self.run("decode", &records.iter().map(text).collect::<Vec<_>>());
        let id = |r: &Record| r.value["log_id"].as_str().expect("a log_id").to_owned();
        records.iter().map(id).zip(read).collect()
    }
}

fn both_sides(version: &str) {
    let aiosmpplib = Aiosmpplib(Program::python(&[&format!("aiosmpplib=={version}")]));
    let smsc = FakeSmsc::start();
    smsc.script(|submit| match submit.text().as_str() {
        "refuse me" => Reply::Status(0x0B),
        "refuse me in your own way" => Reply::Status(0x45B),
        "say nothing" => Reply::Silence,
        _ => Reply::Accept,
    });
    let mut it = Deployment::new(smsc.port(), 1);
    let topics = ["outbound", "responses", "errors", "receipts", "inbound"];
    it.config["formats"] = topics
        .iter()
        .map(|t| (t.to_string(), json!("aiosmpplib")))
        .collect();
    // As the guide to migrating has it.
    it.esme()["segmentation"] = json!({ "method": "payload" });
    let _connector = it.start();

    let made = aiosmpplib.run("encode", &[]);
    assert!(made.len() > 70, "{} messages", made.len());
    let records: Vec<Send<'_>> = made
        .iter()
        .map(|message| Send {
            partition: Some(0),
            value: message["record"].as_str().map(str::as_bytes),
            ..Send::default()
        })
        .collect();
    it.kafka.produce(&it.topic("outbound"), &records);

    // What could not be written, and what got no answer.
    let errors = it.kafka.wait_records(&it.topic("errors"), 2, PATIENCE);
    let accepted = made.len() - errors.len();
    let responses = it
        .kafka
        .wait_records(&it.topic("responses"), accepted, PATIENCE);
    let said: Vec<&Value> = errors.iter().map(|r| &r.value["event"]["error"]).collect();
    assert_eq!(
        (errors.len(), responses.len()),
        (2, made.len() - 2),
        "{said:?}"
    );

    // Long texts go as the messages ask for it.
    let submits = smsc.submits();
    let parts = |is: fn(&[u8]) -> bool| submits.iter().filter(|s| is(&s.octets)).count();
    assert_eq!(
        parts(|o| o.len() > 100 && o.iter().all(|c| *c == b'y')),
        2,
        "sar_*"
    );
    assert_eq!(
        parts(|o| o.starts_with(b"\x05\0\x03") && o.ends_with(b"zz")),
        2
    );

    // Each went out as aiosmpplib would have sent it.
    let bodies: Vec<String> = smsc.submits().iter().map(|s| hex(&s.body)).collect();
    for message in &made {
        if let Some(body) = message["body"].as_str() {
            assert!(
                bodies.iter().any(|b| b == body),
                "{}: {body}",
                message["name"]
            );
        }
    }

    let read = aiosmpplib.decode(&responses);
    let plain = &read["plain"];
    assert_eq!(plain["class"], "SubmitSmResp");
    assert_eq!(plain["status"], "ESME_ROK");
    assert_eq!(plain["message_id"], "M1");
    assert_eq!(read["refused"]["status"], "ESME_RINVDSTADR");
    assert_eq!(read["vendor"]["status"], "ESME_RUNKNOWNERR");
    let of = |id: &str| {
        responses
            .iter()
            .find(|r| r.value["log_id"] == id)
            .expect("a response")
    };
    assert_eq!(of("extra").value["extra_data"], "any \"text\" – ü");
    assert_eq!(of("vendor").value["event"]["command_status"], 0x45B);
    assert!(
        read.keys().any(|id| id.contains("outbound-0-2")),
        "the nameless one goes by its position"
    );
    let read = aiosmpplib.decode(&errors);
    for (id, status) in [
        ("strict", "ESME_RSUBMITFAIL"),
        ("silent", "ESME_RUNKNOWNERR"),
    ] {
        assert_eq!(read[id]["class"], "GenericNack", "{id}");
        assert_eq!(read[id]["status"], status, "{id}");
    }

    receipts_and_messages(&aiosmpplib, &it, &smsc);
}

fn receipts_and_messages(aiosmpplib: &Aiosmpplib, it: &Deployment, smsc: &FakeSmsc) {
    smsc.receipt("M1");
    let dates = "id:M2 submit date:260102030405 done date:260102030506 stat:UNDELIV err:0AB";
    smsc.deliver(4, "41791234567", "ACME", dates.as_bytes());
    let receipts = it.kafka.wait_records(&it.topic("receipts"), 2, PATIENCE);
    let read = aiosmpplib.decode(&receipts);
    let plain = &read["plain"];
    assert_eq!(
        (&plain["class"], &plain["is_receipt"]),
        (&json!("DeliverSm"), &json!(true))
    );
    assert_eq!(plain["receipt"]["id"], "M1");
    assert_eq!(plain["receipt"]["stat"], "DELIVRD");
    assert_eq!(plain["receipt"]["done date"], "2026-01-02 03:05:00");
    let extra = &read["extra"];
    assert_eq!(extra["receipt"]["stat"], "UNDELIV");
    assert_eq!(
        extra["receipt"]["done date"], "2026-01-02 03:05:00",
        "without its seconds"
    );
    assert_eq!(
        (&extra["source"], &extra["destination"]),
        (&json!("41791234567"), &json!("ACME"))
    );
    let extra = receipts
        .iter()
        .find(|r| r.value["log_id"] == "extra")
        .unwrap();
    assert_eq!(extra.value["extra_data"], "any \"text\" – ü");
    assert_eq!(extra.value["event"]["err"], "0AB");

    smsc.deliver(0, "41791234567", "1000", b"Hi");
    smsc.deliver(0, "41791234567", "1000", b"");
    let inbound = it.kafka.wait_records(&it.topic("inbound"), 2, PATIENCE);
    let text = |r: &Record| String::from_utf8(r.octets.clone()).unwrap();
    let read = aiosmpplib.run("decode", &inbound.iter().map(text).collect::<Vec<_>>());
    let said = |text: &str| read.iter().find(|m| m["text"] == text).expect(text);
    assert_eq!(said("Hi")["source"], "41791234567");
    assert_eq!(said("Hi")["is_receipt"], false);
    assert_eq!(
        said(" ")["class"],
        "DeliverSm",
        "one without text cannot be made"
    );
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
