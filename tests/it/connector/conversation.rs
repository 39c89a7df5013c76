//! Everything that an application says to an SMSC and hears from it, from topic to topic, with
//! SMSCs of three other authors: long texts both ways, receipts, query, replace, cancel.

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::Smsc;

#[test]
fn a_conversation_with_jsmpp() {
    // Its receipts carry the decimal of the hexadecimal message id.
    let message_id = json!({ "response": "hex", "receipt": "decimal" });
    conversation(&Smsc::jsmpp(), message_id);
}

#[test]
fn a_conversation_with_cloudhopper() {
    // Its receipts leave out leading zeros.
    let message_id = json!({ "response": "decimal", "receipt": "decimal" });
    conversation(&Smsc::cloudhopper(), message_id);
}

#[test]
fn a_conversation_with_node_smpp() {
    conversation(&Smsc::node(), json!({}));
}

fn conversation(smsc: &Smsc, message_id: Value) {
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["message_id"] = message_id;
    let _connector = it.start();
    a_long_text_goes_and_comes_back(&it, smsc);
    a_waiting_message_is_queried_replaced_and_cancelled(&it, smsc);
    assert!(it.exactly_one_each().len() == 9);
}

fn a_long_text_goes_and_comes_back(it: &Deployment, smsc: &Smsc) {
    let text: String = ('a'..='z').cycle().take(400).collect();
    let long = json!({ "destination": "1000", "short_message": text, "extra_data": { "n": 1 } });
    it.send(0, &[with(message("long"), long)]);
    let result = &it.results(1)["long"];
    assert_eq!(result["accepted"], true, "{result}");
    let parts = result["parts"].as_array().expect("parts");
    assert_eq!(parts.len(), 3);
    let receipts = it.receipts(3);
    for receipt in &receipts {
        assert_eq!(receipt["log_id"], "long", "{receipt}");
        assert_eq!(receipt["correlated"], true, "{receipt}");
        assert_eq!(receipt["state"], "DELIVERED", "{receipt}");
        assert_eq!(receipt["extra_data"], json!({ "n": 1 }), "{receipt}");
    }
    let inbound = it.kafka.wait_records(&it.topic("inbound"), 1, PATIENCE);
    let inbound = &inbound[0].value;
    assert_eq!(inbound["text"], text.as_str(), "{inbound}");
    assert_eq!(inbound["complete"], true, "{inbound}");
    assert_eq!(inbound["source"]["number"], "1000", "{inbound}");
    for kind in ["receipt", "inbound"] {
        let said = smsc.wait_for(kind, 3);
        assert!(said.iter().all(|s| s["outcome"] == "acknowledged"));
    }
}

fn a_waiting_message_is_queried_replaced_and_cancelled(it: &Deployment, smsc: &Smsc) {
    it.send(
        0,
        &[with(message("waits"), json!({ "destination": "6000" }))],
    );
    let id = it.results(2)["waits"]["message_id"].clone();
    let ask = |log_id: &str, kind: &str, message_id: &Value| json!({ "type": kind, "log_id": log_id, "message_id": message_id, "source": "1000" });
    let with_text = |record, text: &str| with(record, json!({ "short_message": text }));
    // One after the other: an SMSC may work on what is out together in any order.
    for (n, (record, kind, status)) in [
        (ask("first", "QuerySm", &id), "QuerySmResp", "ESME_ROK"),
        (
            with_text(ask("other words", "ReplaceSm", &id), "new"),
            "ReplaceSmResp",
            "ESME_ROK",
        ),
        (ask("stop", "CancelSm", &id), "CancelSmResp", "ESME_ROK"),
        (ask("then", "QuerySm", &id), "QuerySmResp", "ESME_ROK"),
        (
            ask("stop again", "CancelSm", &id),
            "CancelSmResp",
            "ESME_RCANCELFAIL",
        ),
        (
            with_text(ask("too late", "ReplaceSm", &id), "newer"),
            "ReplaceSmResp",
            "ESME_RREPLACEFAIL",
        ),
        (
            ask("who?", "QuerySm", &json!("0")),
            "QuerySmResp",
            "ESME_RQUERYFAIL",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let log_id = record["log_id"].as_str().expect("log_id").to_owned();
        it.send(0, &[record]);
        let result = &it.results(3 + n)[&log_id];
        assert_eq!(result["type"], kind, "{result}");
        assert_eq!(result["accepted"], status == "ESME_ROK", "{result}");
        assert_eq!(result["command_status_name"], status, "{result}");
    }
    let results = it.results(9);
    assert_eq!(results["first"]["state"], "ENROUTE");
    assert_eq!(results["first"].get("final_date"), None);
    assert_eq!(results["then"]["state"], "DELETED");
    assert_eq!(results["then"]["final_date"], "2026-01-02T03:04:05Z");
    let replaced = smsc.of("replace");
    let octets = |text: &[u8]| text.iter().map(|o| format!("{o:02x}")).collect::<String>();
    assert_eq!(replaced[0]["octets"], octets(b"new"));
    assert_eq!(
        (&replaced[0]["message_id"], &replaced[0]["source"]),
        (&id, &json!("1000"))
    );
    assert_eq!(smsc.of("cancel")[0]["message_id"], id);
}
