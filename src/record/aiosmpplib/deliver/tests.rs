use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::write;
use super::*;

fn written(event: Json) -> Json {
    let mut octets = Vec::new();
    write(event.to_string().as_bytes(), &mut octets).unwrap();
    serde_json::from_slice(&octets).unwrap()
}

fn with(mut base: Json, more: Json) -> Json {
    let more = more.as_object().unwrap().clone();
    base.as_object_mut().unwrap().extend(more);
    base
}

fn hexed(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02x}")).collect()
}

/// The text of a receipt that came as `text`.
fn receipt(text: &str, more: Json) -> String {
    let event = json!({
        "type": "DeliveryReceipt", "message_id": "7F", "state": "DELIVERED", "stat": "DELIVRD",
        "short_message_hex": hexed(text),
    });
    let object = written(with(event, more));
    assert_eq!(object["esm_class"], 4);
    object["short_message"].as_str().unwrap().to_owned()
}

#[test]
fn a_receipt_that_parse_receipt_reads_stays_as_it_came() {
    for text in [
        "id:7F sub:001 dlvrd:001 submit date:2601020304 done date:2601020305 stat:DELIVRD err:000 Text:Hi: you",
        "id:7F stat:DELIVRD",
    ] {
        assert_eq!(receipt(text, json!({})), text);
    }
}

#[test]
fn a_receipt_that_parse_receipt_stumbles_over_is_rewritten() {
    let dates = json!({ "submit_date": "2026-01-02T03:04:05", "done_date": "2026-01-02T03:05:00+02:00" });
    for text in [
        "id:7F submit date:260102030405 done date:260102030500 stat:DELIVRD",
        "id:7F sub: stat:DELIVRD",
        "ID=7F;STAT=DELIVRD",
        "id:8F stat:DELIVRD",
        "",
    ] {
        assert_eq!(
            receipt(text, dates.clone()),
            "id:7F sub:001 dlvrd:001 submit date:2601020304 done date:2601020305 stat:DELIVRD text:"
        );
    }
    let undelivered = json!({ "stat": "UNDELIV", "state": "UNDELIVERABLE", "err": "1A", "text": "Hi" });
    assert_eq!(
        receipt("id:7F stat:UNDELIV err:1A text:Hi", undelivered),
        "id:7F sub:001 dlvrd:000 stat:UNDELIV text:Hi",
        "an error that is no number stands in the event alone"
    );
    let overdue = json!({ "state": "OVERDUE", "stat": null, "short_message_hex": null });
    assert_eq!(receipt("", overdue), "id:7F sub:001 dlvrd:000 stat:UNKNOWN text:");
}

#[test]
fn a_receipt_goes_the_other_way_round() {
    let object = written(json!({
        "type": "DeliveryReceipt", "message_id": "7F", "state": "DELIVERED", "log_id": "a",
        "source": "ACME", "destination": "+41791234567",
        "tlvs": [
            {"tag": 0x0427, "hex": "02"}, {"tag": 0x001E, "hex": "374600"},
            {"tag": 0x1401, "hex": "00"}, {"tag": 0x130C, "hex": ""},
        ],
    }));
    assert_eq!(object["source"], json!({ "number": "41791234567", "ton": 1, "npi": 1 }));
    assert_eq!(object["destination"], json!({ "number": "ACME", "ton": 5, "npi": 0 }));
    assert_eq!(object["log_id"], "a");
    assert_eq!(
        object["optional_params"],
        json!([
            {"tag": 0x0427, "value": 2}, {"tag": 0x001E, "value": "7F"},
            {"tag": 0x130C, "value": true},
        ]),
        "a vendor's parameter stands in the event alone: 0.6.4 fails on it"
    );
}

#[test]
fn a_receipt_has_its_own_addresses_where_they_differ_from_the_messages() {
    let event = json!({
        "type": "DeliveryReceipt", "message_id": "7F", "state": "DELIVERED",
        "source": "1000", "destination": "+41 79 123-45-67",
    });
    let object = written(event.clone());
    assert_eq!(object["source"]["number"], "41791234567");
    assert_eq!(object["destination"]["number"], "1000");
    let own = json!({ "receipt_source": "ACME", "receipt_destination": "0791234567" });
    let object = written(with(event, own));
    assert_eq!(object["source"]["number"], "ACME");
    assert_eq!(object["destination"]["number"], "0791234567");
}

#[test]
fn a_message_from_a_phone_fits_the_class_whatever_it_holds() {
    let event = json!({
        "type": "InboundSms", "text": "Ж", "octets_hex": "0416", "data_coding": 8, "esm_class": 64,
        "source": {"number": "1234567890123456789012", "ton": 7, "npi": 2},
        "destination": {"number": "1000", "ton": 3, "npi": 18}, "service_type": "LONGER",
    });
    let object = written(event.clone());
    assert_eq!(object["short_message"], "Ж");
    assert_eq!(object["encoding"], "ucs2");
    assert_eq!(object["esm_class"], 64);
    assert_eq!(object["source"], json!({ "number": "12345678901234567890", "ton": 0, "npi": 0 }));
    assert_eq!(object["destination"], json!({ "number": "1000", "ton": 3, "npi": 18 }));
    assert_eq!(object["service_type"], "LONGE");
    let binary = json!({ "text": null, "octets_hex": "00ff", "data_coding": 4 });
    let object = written(with(event.clone(), binary));
    assert_eq!(object["short_message"], "\u{0}\u{ff}");
    assert_eq!(object["encoding"], "octet_unspecified_II");
    let empty = written(with(event, json!({ "text": "", "octets_hex": "" })));
    assert_eq!(empty["short_message"], " ", "it refuses one without text");
}

proptest! {
    #[test]
    fn whatever_a_receipt_said_parse_receipt_reads_what_is_written(
        text in "(id:7F |sub:[0-9a]{0,3} |dlvrd:001 |done date:[0-9]{8,12} |stat:[A-Z]{5,7} |err:[0-9A]{0,3} |: |x)*",
    ) {
        let stat = text.split("stat:").nth(1).and_then(|t| t.split(' ').next()).unwrap_or("DELIVRD");
        let out = receipt(&text, json!({ "stat": stat }));
        let read: Receipt<'_> = serde_json::from_value(json!({
            "message_id": "7F", "state": "DELIVERED", "stat": stat,
        })).unwrap();
        prop_assert!(read.is_readable(&out), "{}", out);
    }
}
