use serde_json::{Value, json};

use super::*;

fn written(event: &Value) -> Value {
    let mut octets = Vec::new();
    write(event.to_string().as_bytes(), &mut octets).unwrap();
    assert_eq!(
        super::event(&octets).unwrap(),
        event.to_string().as_bytes(),
        "the event stands in it as it is"
    );
    serde_json::from_slice(&octets).unwrap()
}

#[test]
fn a_response_keeps_what_its_class_knows() {
    let event = json!({
        "type": "SubmitSmResp", "log_id": "a", "extra_data": {"n": 1.50}, "command_status": 0,
        "message_id": "4F2A", "accepted": true,
    });
    let object = written(&event);
    assert_eq!(object["__smpp_command__"], "SUBMIT_SM_RESP");
    assert_eq!(object["message_id"], "4F2A");
    assert_eq!(object["command_status"], 0);
    assert_eq!(object["log_id"], "a");
    assert_eq!(object["extra_data"], r#"{"n":1.5}"#, "always text");
    assert_eq!(object["sequence_num"], 0);
}

#[test]
fn a_status_that_has_no_name_there_is_unknown() {
    let status = |n: u32| {
        let event = json!({ "type": "SubmitSmResp", "command_status": n });
        written(&event)["command_status"].clone()
    };
    assert_eq!(status(0x58), 0x58);
    assert_eq!(status(0x45B), 0xFF);
    assert_eq!(status(0x09), 0xFF);
}

#[test]
fn an_id_longer_than_the_class_takes_is_cut() {
    let event =
        json!({ "type": "SubmitSmResp", "command_status": 0, "message_id": "é".repeat(70) });
    assert_eq!(written(&event)["message_id"], "é".repeat(64));
}

#[test]
fn an_error_is_a_generic_nack_that_says_whether_it_may_have_been_sent() {
    let status = |more: Value| {
        let mut event = json!({ "type": "SendError", "log_id": "a" });
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let object = written(&event);
        assert_eq!(object["__smpp_command__"], "GENERIC_NACK");
        object["command_status"].clone()
    };
    assert_eq!(status(json!({ "kind": "ENCODING" })), 0x45);
    assert_eq!(
        status(json!({ "kind": "EXPIRED", "command_status": 0x58 })),
        0x58
    );
    assert_eq!(
        status(json!({ "kind": "OUTCOME_UNKNOWN", "command_status": 0x58 })),
        0xFF
    );
    for sent in [
        json!({ "kind": "EXPIRED", "possible_duplicate": true }),
        json!({ "kind": "EXPIRED", "parts": [{ "part": 1, "outcome": "accepted" }] }),
        json!({ "kind": "EVENT_TOO_LARGE", "command_status": 0 }),
    ] {
        assert_eq!(status(sent.clone()), 0xFF, "{sent}");
    }
    let rejected = json!({ "kind": "EVENT_TOO_LARGE", "command_status": 0x0B });
    assert_eq!(status(rejected), 0x0B);
}

#[test]
fn what_is_no_event_is_not_taken_for_one() {
    for text in [
        r#"{"__smpp_command__":"SUBMIT_SM","event":{"type":"x"}}"#,
        r#"{"event":{"type":"x"}}"#,
        "",
        "[]",
    ] {
        assert_eq!(event(text.as_bytes()), None, "{text}");
    }
    assert!(write(b"{}", &mut Vec::new()).is_err(), "no type");
}
