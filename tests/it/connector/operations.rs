//! Records that are no SubmitSm: each goes the same way and has its response.

use serde_json::json;

use super::Deployment;
use crate::harness::FakeSmsc;

const QUERY_SM: u32 = 3;
const REPLACE_SM: u32 = 7;
const CANCEL_SM: u32 = 8;
const SUBMIT_MULTI: u32 = 0x21;
const DATA_SM: u32 = 0x103;
const BROADCAST_SM: u32 = 0x111;
const QUERY_BROADCAST_SM: u32 = 0x112;
const CANCEL_BROADCAST_SM: u32 = 0x113;

#[test]
fn every_operation_has_its_pdu_and_one_result() {
    let smsc = FakeSmsc::start();
    smsc.answers(QUERY_SM, 0, b"7F\x00260102030405000+\0\x02\0");
    smsc.answers(REPLACE_SM, 0, b"");
    smsc.answers(CANCEL_SM, 0x11, b"");
    smsc.answers(SUBMIT_MULTI, 0, b"MULTI\0\x01\x01\x01123\0\0\0\0\x0B");
    smsc.answers(DATA_SM, 0, b"DATA\0");
    smsc.answers(BROADCAST_SM, 0, b"CAST\0");
    smsc.answers(QUERY_BROADCAST_SM, 0, b"CAST\0\x04\x27\0\x01\x01");
    smsc.answers(CANCEL_BROADCAST_SM, 0, b"");
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send(
        0,
        &[
            json!({ "type": "QuerySm", "log_id": "query", "message_id": "7F", "source": "1000" }),
            json!({ "type": "ReplaceSm", "log_id": "replace", "message_id": "7F", "short_message": "new" }),
            json!({ "type": "CancelSm", "log_id": "cancel", "message_id": "7F" }),
            json!({ "type": "SubmitMulti", "log_id": "multi", "destinations": ["+123", { "list": "staff" }],
                "short_message": "hi", "extra_data": { "a": 1 } }),
            json!({ "type": "DataSm", "log_id": "data", "destination": "+123", "short_message": "hi" }),
            json!({ "type": "BroadcastSm", "log_id": "cast", "short_message": "hi", "tlvs": {
                "broadcast_area_identifier": { "hex": "0041" },
                "broadcast_content_type": { "hex": "000010" },
                "broadcast_rep_num": 1,
                "broadcast_frequency_interval": { "hex": "09001e" } } }),
            json!({ "type": "QueryBroadcastSm", "log_id": "how far", "message_id": "CAST" }),
            json!({ "type": "CancelBroadcastSm", "log_id": "stop", "message_id": "CAST" }),
            json!({ "type": "QuerySm", "log_id": "wrong", "message_id": "7F", "destination": "1" }),
        ],
    );
    let results = it.results(9);
    let commands: Vec<u32> = smsc
        .requests()
        .iter()
        .map(|(command, _)| *command)
        .collect();
    assert_eq!(
        commands,
        [
            QUERY_SM,
            REPLACE_SM,
            CANCEL_SM,
            SUBMIT_MULTI,
            DATA_SM,
            BROADCAST_SM,
            QUERY_BROADCAST_SM,
            CANCEL_BROADCAST_SM
        ],
        "in the order of their records"
    );
    for (id, kind, message_id, accepted) in [
        ("query", "QuerySmResp", "7F", true),
        ("replace", "ReplaceSmResp", "7F", true),
        ("cancel", "CancelSmResp", "7F", false),
        ("multi", "SubmitMultiResp", "MULTI", true),
        ("data", "DataSmResp", "DATA", true),
        ("cast", "BroadcastSmResp", "CAST", true),
        ("how far", "QueryBroadcastSmResp", "CAST", true),
        ("stop", "CancelBroadcastSmResp", "CAST", true),
    ] {
        let result = &results[id];
        assert_eq!(result["type"], kind, "{result}");
        assert_eq!(result["message_id"], message_id, "{result}");
        assert_eq!(result["accepted"], accepted, "{result}");
    }
    assert_eq!(results["query"]["state"], "DELIVERED");
    assert_eq!(results["query"]["final_date"], "2026-01-02T03:04:05Z");
    assert_eq!(results["cancel"]["command_status_name"], "ESME_RCANCELFAIL");
    assert_eq!(
        results["multi"]["unsuccess"][0]["destination"]["number"],
        "123"
    );
    assert_eq!(results["how far"]["state"], "ENROUTE");
    assert_eq!(results["wrong"]["field"], "destination");
    for id in ["DATA", "MULTI"] {
        assert_eq!(smsc.receipt(id), 0);
    }
    let receipts = it.receipts(2);
    let of = |id: &str| {
        receipts
            .iter()
            .find(|r| r["log_id"] == id)
            .expect("a receipt")
    };
    assert_eq!(of("data")["correlated"], true);
    assert_eq!(of("multi")["extra_data"], json!({ "a": 1 }));
}
