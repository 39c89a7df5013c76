//! Whatever stands on the outbound topic gets exactly one result, and stops nothing.

use serde_json::{Value, json};

use super::{Deployment, message, with};
use crate::harness::{FakeSmsc, Reply, Send};

#[test]
fn poison_and_tombstones_get_a_result_and_stop_nothing() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    let good = message("good").to_string();
    let unknown = with(message("unknown"), json!({ "destinatoin": "1" })).to_string();
    let values: [Option<&[u8]>; 5] = [
        None,
        Some(b"\xff\x00 not JSON"),
        Some(unknown.as_bytes()),
        Some(br#"{"log_id":"nowhere","short_message":"x"}"#),
        Some(good.as_bytes()),
    ];
    let records = values.map(|value| Send {
        partition: Some(0),
        key: Some("key"),
        value,
        ..Send::default()
    });
    it.kafka.produce(&it.topic("outbound"), &records);

    let results = it.results(5);
    assert_eq!(results["good"]["accepted"], true);
    let error = |id: &str| {
        assert_eq!(results[id]["type"], "SendError", "{id}");
        assert_eq!(results[id]["kind"], "INVALID_RECORD", "{id}");
        results[id]["error"].as_str().unwrap().to_owned()
    };
    assert!(
        error("unknown").contains("destination"),
        "the field and a suggestion"
    );
    error("nowhere");
    let at = |offset: i64| {
        results
            .values()
            .find(|r| r["record"]["offset"] == offset)
            .unwrap()
    };
    for offset in [0, 1] {
        assert_eq!(at(offset)["kind"], "INVALID_RECORD");
    }
    assert_eq!(
        at(1)["original"],
        "/wAgbm90IEpTT04=",
        "what could not be read, in Base64"
    );
    assert_eq!(smsc.texts(), ["good"]);
}

#[test]
fn a_header_whose_name_is_not_utf8_ends_its_record_and_not_the_process() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    let value = message("poison").to_string();
    let headers: [(&[u8], Option<&[u8]>); 3] = [
        (b"trace", Some(b"\xff")),
        (b"caf\xe9", Some(b"1")),
        (b"none", None),
    ];
    let topic = it.topic("outbound");
    it.kafka
        .produce_raw(&topic, 0, value.as_bytes(), &headers[1..]);
    it.send(0, &[message("good")]);
    let odd = message("odd").to_string();
    it.kafka.produce_raw(
        &topic,
        0,
        odd.as_bytes(),
        &[headers[0], headers[2], headers[0]],
    );

    let results = it.results(3);
    let refused = results.values().find(|r| r["record"]["offset"] == 0);
    let refused = refused.unwrap();
    assert_eq!(refused["kind"], "INVALID_RECORD");
    assert_eq!(refused["field"], "headers");
    assert_eq!(results["good"]["accepted"], true);
    assert_eq!(
        results["odd"]["accepted"], true,
        "any octets may be a value"
    );
    assert!(connector.ended().is_none());
}

#[test]
fn what_has_expired_is_not_sent() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send(
        0,
        &[
            with(
                message("over"),
                json!({ "expires_at": "2026-01-01T00:00:00Z" }),
            ),
            with(
                message("good"),
                json!({ "expires_at": "2099-01-01T00:00:00Z" }),
            ),
        ],
    );
    let results = it.results(2);
    assert_eq!(results["over"]["kind"], "EXPIRED");
    assert_eq!(results["good"]["accepted"], true);
    assert_eq!(smsc.texts(), ["good"]);
}

#[test]
fn the_derived_log_id_and_the_order_are_kept() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let nameless = |n: usize| json!({ "source": "1", "destination": "41791234567", "short_message": format!("t{n}") });
    it.send(0, &(0..300).map(nameless).collect::<Vec<Value>>());
    let _connector = it.start();
    let results = it.results(300);
    let mut offsets: Vec<i64> = results
        .values()
        .map(|r| r["record"]["offset"].as_i64().unwrap())
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..300).collect::<Vec<_>>());
    assert!(
        results.keys().all(|id| id.contains("outbound")),
        "derived from the position"
    );
    let sent: Vec<String> = (0..300).map(|n| format!("t{n}")).collect();
    assert_eq!(
        smsc.texts(),
        sent,
        "first submissions keep the order of the log"
    );
}

#[test]
fn a_refused_message_is_a_result_and_the_table_of_statuses_rules() {
    let smsc = FakeSmsc::start();
    smsc.script({
        let mut tries = 0;
        move |submit| match submit.text().as_str() {
            "refused" => Reply::Status(0x0B),
            "vendor" => Reply::Status(0x45B),
            "ours" => {
                tries += 1;
                if tries < 3 {
                    Reply::Status(0x401)
                } else {
                    Reply::Accept
                }
            }
            _ => Reply::Accept,
        }
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["status"] = json!({ "0x401": "retry" });
    let _connector = it.start();
    it.send(0, &["refused", "vendor", "ours"].map(message));
    let results = it.results(3);
    assert_eq!(results["refused"]["command_status_name"], "ESME_RINVDSTADR");
    assert_eq!(results["vendor"]["command_status"], 0x45B);
    assert_eq!(
        (&results["ours"]["accepted"], &results["ours"]["attempt"]),
        (&json!(true), &json!(3))
    );
}

#[test]
fn a_retried_message_expires_at_its_deadline() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Status(0x08));
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["message_deadline"] = json!("2s");
    let _connector = it.start();
    it.send(0, &[message("m")]);
    let results = it.results(1);
    assert_eq!(results["m"]["kind"], "EXPIRED");
    assert_eq!(
        results["m"]["command_status_name"], "ESME_RSYSERR",
        "the last answer is told"
    );
    assert!(smsc.submits().len() > 1);
}
