//! The main job, against SMSCs that others wrote: submit, response, receipt, inbound.

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, complaints_of_kafka, message, with};
use crate::harness::{Send, Smsc};

#[test]
fn the_main_job_with_jsmpp() {
    // Its receipts carry the decimal of the hexadecimal message id.
    main_job(
        &Smsc::jsmpp(),
        json!({ "response": "hex", "receipt": "decimal" }),
    );
}

#[test]
fn the_main_job_with_node_smpp() {
    main_job(&Smsc::node(), json!({}));
}

fn main_job(smsc: &Smsc, message_id: Value) {
    let mut it = Deployment::new(smsc.port(), 2);
    it.esme()["message_id"] = message_id;
    let connector = it.start();
    let extra = r#"{"order" : 7.50,"a":[ ]}"#;
    let echoed = format!(
        r#"{{"log_id":"echo","source":"41","destination":"1000","short_message":"Hello","extra_data":{extra}}}"#
    );
    let one = Send {
        partition: Some(0),
        key: Some("k"),
        value: Some(echoed.as_bytes()),
        headers: &[("traceparent", "00-1-2-01")],
    };
    it.kafka.produce(&it.topic("outbound"), &[one]);
    it.send(
        1,
        &[
            with(message("rejected"), json!({ "destination": "3000" })),
            with(message("throttled"), json!({ "destination": "2000" })),
            with(
                message("cyrillic"),
                json!({ "short_message": "Привет", "registered_delivery": 0 }),
            ),
        ],
    );

    let results = it.results(4);
    let echo = &results["echo"];
    assert_eq!(echo["type"], "SubmitSmResp");
    assert_eq!(
        (&echo["accepted"], &echo["attempt"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(echo["extra_data"], json!({ "order": 7.5, "a": [] }));
    assert_eq!(
        echo["record"],
        json!({ "topic": it.topic("outbound"), "partition": 0, "offset": 0 })
    );
    assert_eq!(results["rejected"]["accepted"], false);
    assert_eq!(
        results["rejected"]["command_status_name"],
        "ESME_RINVDSTADR"
    );
    assert_eq!(
        results["throttled"]["accepted"], true,
        "after three refusals"
    );
    assert_eq!(results["cyrillic"]["accepted"], true);
    let response = &it.kafka.records(&it.topic("responses"));
    let response = response
        .iter()
        .find(|r| r.value["log_id"] == "echo")
        .unwrap();
    assert_eq!(response.key.as_deref(), Some("echo"));
    assert!(
        response
            .headers
            .contains(&("traceparent".into(), "00-1-2-01".into()))
    );

    let receipts = it.receipts(2);
    let receipt = receipts
        .iter()
        .find(|r| r["log_id"] == "echo")
        .expect("of echo");
    assert_eq!(
        (&receipt["correlated"], &receipt["terminal"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(receipt["state"], "DELIVERED");
    assert_eq!(receipt["extra_data"], echo["extra_data"]);
    assert_eq!(receipt["record"], echo["record"]);
    assert!(receipts.iter().any(|r| r["log_id"] == "throttled"));

    let inbound = it.kafka.wait_records(&it.topic("inbound"), 1, PATIENCE);
    assert_eq!(inbound[0].value["source"]["number"], "1000");
    assert_eq!(inbound[0].value["text"], "Hello");

    // The SMSC was told that Kafka has them.
    assert!(
        smsc.wait_for("receipt", 2)
            .iter()
            .all(|r| r["outcome"] == "acknowledged")
    );
    assert!(
        smsc.wait_for("inbound", 1)
            .iter()
            .all(|r| r["outcome"] == "acknowledged")
    );
    let cyrillic = smsc
        .of("submit")
        .into_iter()
        .find(|s| s["data_coding"] == 8);
    assert!(cyrillic.is_some(), "UCS-2 for what GSM 03.38 cannot write");
    let log = connector.log();
    assert!(complaints_of_kafka(&log).is_empty(), "{log}");
    assert!(
        !log.contains("librdkafka"),
        "below the level of info: {log}"
    );
    drop(connector);
}

#[test]
fn outbound_and_internal_topics_in_avro() {
    use kafka_smpp::record::codec::Codec;
    use kafka_smpp::record::format::Format;

    let smsc = Smsc::jsmpp();
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["message_id"] = json!({ "response": "hex", "receipt": "decimal" });
    let format = "avro_single_object";
    it.config["formats"] =
        json!({ "outbound": format, "correlation": format, "deliveries": format });
    let _connector = it.start();
    let text = br#"{"log_id":"a","source":"41","destination":"1000","short_message":"Hello",
        "registered_delivery":1,"extra_data":{"order" : 7.50}}"#;
    let value = Codec::new(Format::AvroSingleObject)
        .from_json(text)
        .unwrap();
    let send = |value| Send {
        partition: Some(0),
        key: Some("k"),
        value: Some(value),
        headers: &[],
    };
    it.kafka
        .produce(&it.topic("outbound"), &[send(&value), send(&text[..])]);
    let results = it.results(2);
    assert_eq!(results["a"]["accepted"], true);
    assert_eq!(results["a"]["extra_data"], json!({ "order": 7.5 }));
    let wrong = results.values().find(|r| r["type"] == "SendError").unwrap();
    assert_eq!(wrong["kind"], "INVALID_RECORD");
    let receipts = it.receipts(1);
    assert_eq!(receipts[0]["log_id"], "a");
    assert_eq!(receipts[0]["correlated"], true);
    assert_eq!(receipts[0]["extra_data"], json!({ "order": 7.5 }));
}
