use proptest::prelude::*;

use super::*;
use crate::record::json;
use crate::settings::{OnTooLong, SegmentMethod};
use smpp_protocol::Pdu;
use smpp_protocol::text::Alphabet;

mod dialect;
mod segments;
mod version;

const NOW: &str = "2026-01-02T03:04:05Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn defaults() -> Defaults {
    Defaults {
        registered_delivery: 1,
        ..Defaults::default()
    }
}

fn try_with(json: &str, defaults: &Defaults) -> Result<Message, Refused> {
    let record = json::outbound(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"));
    prepare(&record, defaults, &position(), now())
}

fn position() -> Position {
    Position {
        topic: "sms.outbound".into(),
        partition: 3,
        offset: 1042,
    }
}

/// The submit_sm of each part.
fn parts(message: &Message) -> Vec<Sm<'_>> {
    let mut rest = &message.pdu[..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let frame = smpp_protocol::Frame::decode(rest).unwrap();
        let length = frame.header.length as usize;
        parts.push(Sm::decode(frame.body).unwrap());
        rest = &rest[length..];
    }
    assert_eq!(parts.len(), message.parts);
    parts
}

fn text_of(message: &Message) -> String {
    let parts = parts(message);
    parts
        .iter()
        .map(|sm| sm.text(&Alphabet::default()))
        .collect()
}

/// The message of a record to +41791234567 with these other fields.
fn message(fields: &str) -> Message {
    try_with(&to(fields), &defaults()).unwrap_or_else(|e| panic!("{fields}: {e}"))
}

fn refused(fields: &str) -> (SendErrorKind, String, String) {
    let error = try_with(&to(fields), &defaults()).expect_err(fields);
    (error.kind, error.field.unwrap_or_default(), error.text)
}

fn to(fields: &str) -> String {
    format!(r#"{{"destination":"+41791234567",{fields}}}"#)
}

fn sm(message: &Message) -> Sm<'_> {
    match Pdu::decode(&message.pdu) {
        Ok(Pdu::SubmitSm(sm)) => sm,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_text_needs_nothing_but_a_number() {
    let message = message(r#""short_message":"Grüezi [5 €]""#);
    let sm = sm(&message);
    assert_eq!(format!("{:?}", sm.destination), "1/1/41791234567");
    assert_eq!(format!("{:?}", sm.source), "0/0/");
    assert_eq!(sm.short_message, b"Gr\x7Eezi \x1B\x3C5 \x1B\x65\x1B\x3E");
    assert_eq!((sm.data_coding, sm.registered_delivery), (0, 1));
    assert!(message.registered);
    assert_eq!((message.deadline, message.in_doubt), (None, None));
}

#[test]
fn every_field_reaches_the_pdu() {
    let message = message(
        r#""short_message":"hi","source":{"number":"ACME","ton":5,"npi":9},"service_type":"CMT",
           "esm_class":3,"protocol_id":64,"priority_flag":2,"registered_delivery":0,
           "schedule_delivery_time":"2026-03-01T09:00:00Z","validity_period":"PT36H",
           "replace_if_present_flag":1,"sm_default_msg_id":7,"in_doubt":"resend","max_resends":2,
           "tlvs":{"source_port":5000,"0x1401":{"hex":"0102"}}"#,
    );
    let sm = sm(&message);
    assert_eq!(format!("{:?}", sm.source), "5/9/ACME");
    assert_eq!(sm.service_type, b"CMT");
    assert_eq!((sm.esm_class, sm.protocol_id, sm.priority_flag), (3, 64, 2));
    assert_eq!(sm.schedule_delivery_time, b"260301090000000+");
    assert_eq!(sm.validity_period, b"000001120000000R");
    assert_eq!((sm.replace_if_present_flag, sm.sm_default_msg_id), (1, 7));
    assert_eq!(sm.tlvs.get(Tag::SOURCE_PORT), Some(&[0x13, 0x88][..]));
    assert_eq!(sm.tlvs.get(Tag(0x1401)), Some(&[1, 2][..]));
    assert!(!message.registered);
    assert_eq!(message.in_doubt, Some(InDoubt::Resend));
    assert_eq!(message.max_resends, Some(2));
    let end = now() + jiff::SignedDuration::from_hours(36);
    assert_eq!(message.deadline, Some(end));
}

#[test]
fn an_esme_fills_in_what_records_leave_out() {
    let record = r#"{"destination":"1","source":"","short_message":"Я"}"#;
    let defaults = Defaults {
        source: Some(submit_sm::Address {
            number: "12345".into(),
            ..submit_sm::Address::default()
        }),
        service_type: "VMA".into(),
        registered_delivery: 2,
        encoding: Encoding::Cyrillic,
        ..Defaults::default()
    };
    let message = try_with(record, &defaults).unwrap();
    let sm = sm(&message);
    assert_eq!(format!("{:?}", sm.source), "3/0/12345");
    assert_eq!(sm.service_type, b"VMA");
    assert_eq!(sm.registered_delivery, 2);
    assert_eq!((sm.data_coding, sm.short_message), (6, &[0xCF][..]));
}

#[test]
fn the_encoding_follows_from_the_text_unless_it_is_named() {
    for (fields, data_coding, octets) in [
        (r#""short_message":"é""#, 0, &b"\x05"[..]),
        (r#""short_message":"Ж""#, 8, b"\x04\x16"),
        (r#""short_message":"😁""#, 8, b"\xD8\x3D\xDE\x01"),
        (r#""short_message":"é","encoding":"latin_1""#, 3, b"\xE9"),
        (r#""short_message":"é","data_coding":3"#, 3, b"\xE9"),
        (r#""short_message":"é","data_coding":8"#, 8, b"\0\xE9"),
        (r#""short_message":"é","data_coding":16"#, 16, b"\x05"),
        (
            r#""short_message":"é","encoding":"ucs2","data_coding":24"#,
            24,
            b"\0\xE9",
        ),
        (
            r#""short_message":"aЖb","encoding":"gsm0338","error_handling":"replace""#,
            0,
            b"a?b",
        ),
        (
            r#""short_message":"aЖb","encoding":"gsm0338","error_handling":"ignore""#,
            0,
            b"ab",
        ),
        (r#""short_message":{"hex":"00ff"}"#, 4, b"\0\xFF"),
        (
            r#""short_message":{"hex":"00ff"},"data_coding":245"#,
            245,
            b"\0\xFF",
        ),
        (
            r#""short_message":{"hex":"050003010201ab"},"esm_class":64,"encoding":"ucs2""#,
            8,
            b"\x05\0\x03\x01\x02\x01\xAB",
        ),
    ] {
        let message = message(fields);
        let sm = sm(&message);
        assert_eq!(
            (sm.data_coding, sm.short_message),
            (data_coding, octets),
            "{fields}"
        );
    }
}

#[test]
fn what_an_encoding_lacks_is_an_encoding_error() {
    for (fields, field, hint) in [
        (
            r#""short_message":"aЖ","encoding":"gsm0338""#,
            "short_message",
            "'Ж' (U+0416), character 1, is not in gsm",
        ),
        (
            r#""message_payload":"Ж","data_coding":1"#,
            "message_payload",
            "not in ascii",
        ),
        (
            r#""short_message":"a","encoding":"klingon""#,
            "encoding",
            "\"klingon\" is no encoding; known are gsm",
        ),
        (
            r#""short_message":"a","data_coding":4"#,
            "data_coding",
            "name an encoding too",
        ),
    ] {
        let (kind, blamed, text) = refused(fields);
        assert_eq!((kind, &*blamed), (SendErrorKind::Encoding, field), "{text}");
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn what_smpp_cannot_carry_is_refused_in_the_records_words() {
    for (fields, field, hint) in [
        (r#""log_id":"x""#, "short_message", "missing"),
        (
            r#""short_message":"a","message_payload":"b""#,
            "message_payload",
            "exclude each other",
        ),
        (
            r#""short_message":"a","source":"012345678901234567890""#,
            "source",
            "21 octets, SMPP has room for 20: shorten it",
        ),
        (
            r#""short_message":"a","source":"Zürich""#,
            "source",
            "contains \"ü\"",
        ),
        (
            r#""short_message":"a","source":"a\u0000b""#,
            "source",
            "NUL",
        ),
        (
            r#""short_message":"a","service_type":"TOOLONG""#,
            "service_type",
            "room for 5",
        ),
        (
            r#""short_message":"a","esm_class":64"#,
            "short_message",
            "{\"hex\"",
        ),
        (
            r#""short_message":"a","priority_flag":5"#,
            "priority_flag",
            "no meaning for 5: use 0 to 4",
        ),
        (
            r#""short_message":"a","registered_delivery":32"#,
            "registered_delivery",
            "use 0 to 31",
        ),
        (
            r#""short_message":"a","replace_if_present_flag":2"#,
            "replace_if_present_flag",
            "use 0 to 1",
        ),
        (
            r#""short_message":"a","validity_period":"P100Y""#,
            "validity_period",
            "use 0 to 99 years",
        ),
        (
            r#""short_message":"a","tlvs":{"source_prt":1}"#,
            "tlvs.source_prt",
            "did you mean \"source_port\"?",
        ),
        (
            r#""short_message":"a","tlvs":{"source_port":65536}"#,
            "tlvs.source_port",
            "65536 is too large",
        ),
        (
            r#""short_message":"a","tlvs":{"source_port":"x"}"#,
            "tlvs.source_port",
            "is a number",
        ),
        (
            r#""short_message":"a","tlvs":{"source_port":{"hex":"01"}}"#,
            "tlvs.source_port",
            "1 octet, not 2",
        ),
        (
            r#""short_message":"a","tlvs":{"0x1401":7}"#,
            "tlvs.0x1401",
            "write {\"hex\"",
        ),
        (
            r#""short_message":"a","tlvs":{"message_payload":"b"}"#,
            "tlvs.message_payload",
            "the field of that name",
        ),
    ] {
        let (kind, blamed, text) = refused(fields);
        assert_eq!(
            (kind, &*blamed),
            (SendErrorKind::InvalidRecord, field),
            "{text}"
        );
        assert!(text.contains(hint), "{text}");
    }
    let error = try_with(r#"{"short_message":"a"}"#, &defaults()).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("destination"));
}

#[test]
fn parameters_take_the_form_their_tag_asks_for() {
    let message = message(
        r#""short_message":"a","optional_params":[
            {"tag":516,"value":258},{"tag":4876,"value":true},{"tag":1062,"value":1},
            {"tag":"receipted_message_id","value":"7F"},{"tag":5121,"value":"vendor"},
            {"tag":"alert_on_message_delivery","value":false},{"tag":1057,"value":1}]"#,
    );
    let tlvs: Vec<_> = sm(&message)
        .tlvs
        .iter()
        .map(|tlv| (tlv.tag.0, tlv.value.to_vec()))
        .collect();
    assert_eq!(
        tlvs,
        [
            (516, vec![1, 2]),
            (4876, vec![]),
            (1062, vec![1]),
            (30, b"7F\0".to_vec()),
            (5121, b"vendor".to_vec()),
            (1057, vec![1]),
        ]
    );
}

#[test]
fn an_expired_message_is_not_prepared() {
    let (kind, field, _) = refused(&format!(r#""short_message":"a","expires_at":"{NOW}""#));
    assert_eq!((kind, &*field), (SendErrorKind::Expired, "expires_at"));
    let message = message(
        r#""short_message":"a","expires_at":"2026-01-02T03:04:06Z","validity_period":"P1D""#,
    );
    assert_eq!(message.expires_at, message.deadline);
    assert!(message.deadline.is_some());
}

#[test]
fn every_example_can_be_sent() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/records");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let text = std::fs::read_to_string(&path).unwrap();
            let message = try_with(&text, &defaults()).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            match Pdu::decode(&message.pdu) {
                Ok(Pdu::SubmitSm(_)) => assert!(!text_of(&message).is_empty(), "{path:?}"),
                other => assert!(other.is_ok(), "{path:?}: {other:?}"),
            }
            count += 1;
        }
    }
    assert!(count >= 18, "{count} examples");
}

proptest! {
    #[test]
    fn any_text_arrives_whole(text in any::<String>()) {
        let json = serde_json::json!({"destination": "1", "short_message": text}).to_string();
        let message = try_with(&json, &defaults()).unwrap();
        prop_assert_eq!(text_of(&message), text);
    }

    #[test]
    fn any_numbers_are_carried_or_refused(source in any::<String>(), destination in "[ -~]{0,24}", ton: Option<u8>) {
        let json = serde_json::json!({
            "destination": {"number": destination, "ton": ton}, "source": source, "short_message": ""
        }).to_string();
        if let Ok(message) = try_with(&json, &defaults()) {
            prop_assert!(destination.contains(std::str::from_utf8(sm(&message).destination.number).unwrap()));
        }
    }
}
