//! What headers say of events, and which of a record's headers travel with them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, Record, Send};

const TRACE: [(&str, &str); 2] = [
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("tracestate", "vendor=1"),
];

/// Sends two messages, one of them unreadable, with headers; their events on each topic.
fn events(config: &Value) -> [Vec<Record>; 4] {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["cloud_events"] = config.clone();
    let _connector = it.start();
    let good = message("good").to_string();
    let headers = [
        TRACE[0],
        TRACE[1],
        ("ce_id", "theirs"),
        ("kafka-smpp-mine", "no"),
    ];
    let send = |value| Send {
        partition: Some(0),
        value: Some(value),
        headers: &headers,
        ..Send::default()
    };
    let records = [send(good.as_bytes()), send(b"not JSON")];
    it.kafka.produce(&it.topic("outbound"), &records);
    smsc.wait_submits(1);
    let read = |topic: &str| it.kafka.wait_records(&it.topic(topic), 1, PATIENCE);
    let (responses, errors) = (read("responses"), read("errors"));
    smsc.receipt("M1");
    smsc.deliver(0, "41791234567", "1000", b"Hi");
    [responses, errors, read("receipts"), read("inbound")]
}

#[test]
fn the_trace_of_a_record_is_in_each_of_its_events() {
    let [responses, errors, receipts, _] = events(&json!({}));
    for event in [&responses[0], &errors[0], &receipts[0]] {
        for (name, value) in TRACE {
            assert_eq!(event.header(name), Some(value), "{event:#?}");
        }
        assert_eq!(event.header("kafka-smpp-mine"), None, "ours do not travel");
        assert_eq!(event.header("ce_type"), None, "unless it is asked for");
    }
    assert_eq!(
        errors[0].header("kafka-smpp-without"),
        Some("key"),
        "the key is its log id"
    );
}

#[test]
fn events_are_cloud_events_if_they_are_to_be() {
    let all = events(&json!({ "enabled": true, "source": "/sms/test" }));
    let names = ["SubmitSmResp", "SendError", "DeliveryReceipt", "InboundSms"];
    let mut ids = HashSet::new();
    for (events, name) in all.iter().zip(names) {
        let event = &events[0];
        let said = |attribute: &str| event.header(attribute).unwrap_or_default().to_owned();
        assert_eq!(said("ce_specversion"), "1.0");
        assert_eq!(said("ce_type"), format!("kafka-smpp.{name}"));
        assert_eq!(said("ce_source"), "/sms/test");
        assert_eq!(said("content-type"), "application/json");
        let time: Result<jiff::Timestamp, _> = said("ce_time").parse();
        assert!(time.is_ok(), "{}", said("ce_time"));
        assert!(ids.insert(said("ce_id")), "{ids:?}");
        assert_ne!(said("ce_id"), "theirs");
    }
    let subject = |n: usize| all[n][0].header("ce_subject").unwrap();
    assert_eq!((subject(0), subject(2)), ("good", "good"));
    assert_eq!(subject(3), "41791234567");
    assert_eq!(all[2][0].header("traceparent"), Some(TRACE[0].1));
}

#[test]
fn a_source_that_is_no_uri_reference_is_refused() {
    let mut it = Deployment::new(1, 1);
    it.config = with(
        it.config.clone(),
        json!({ "cloud_events": { "source": "my source" } }),
    );
    let done = crate::harness::command(&it.toml(), &["check"]);
    assert_eq!(done.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&done.stderr).contains("cloud_events.source"));
}
