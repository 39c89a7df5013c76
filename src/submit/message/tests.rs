use proptest::prelude::*;

use super::*;
use crate::record::json;
use crate::settings::{OnTooLong, SegmentMethod};
use crate::smpp::Pdu;
use crate::smpp::text::Alphabet;

mod dialect;
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
        let frame = crate::smpp::Frame::decode(rest).unwrap();
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
            "tlvs",
            "did you mean \"source_port\"?",
        ),
        (
            r#""short_message":"a","tlvs":{"source_port":65536}"#,
            "tlvs",
            "65536 is too large",
        ),
        (
            r#""short_message":"a","tlvs":{"source_port":"x"}"#,
            "tlvs",
            "is a number",
        ),
        (
            r#""short_message":"a","tlvs":{"source_port":{"hex":"01"}}"#,
            "tlvs",
            "1 octets, not 2",
        ),
        (
            r#""short_message":"a","tlvs":{"0x1401":7}"#,
            "tlvs",
            "write {\"hex\"",
        ),
        (
            r#""short_message":"a","tlvs":{"message_payload":"b"}"#,
            "tlvs",
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
fn long_text_goes_in_parts_each_with_all_that_the_record_says() {
    let long = "x".repeat(300);
    let whole = message(&format!(
        r#""short_message":"{long}","registered_delivery":1,"tlvs":{{"source_port":5000}},"service_type":"VMA""#
    ));
    let parts = parts(&whole);
    assert_eq!(parts.len(), 2);
    let reference = reference(&position(), b"41791234567") as u8;
    for (number, part) in (1..).zip(&parts) {
        assert_eq!(part.esm_class, UDH_INDICATOR);
        assert_eq!(part.short_message[..6], [5, 0, 3, reference, 2, number]);
        assert_eq!(part.service_type, b"VMA");
        assert_eq!(part.registered_delivery, 1);
        assert_eq!(part.tlvs.get(Tag::SOURCE_PORT), Some(&[0x13, 0x88][..]));
    }
    assert_eq!(text_of(&whole), long);
    let fits = message(&format!(r#""short_message":"{}""#, "x".repeat(160)));
    assert_eq!((fits.parts, sm(&fits).esm_class), (1, 0));
}

#[test]
fn each_method_ties_the_parts_in_its_way() {
    let long = "x".repeat(300);
    let by = |how: &str| message(&format!(r#""short_message":"{long}","segmentation":{how}"#));
    let reference = reference(&position(), b"41791234567").to_be_bytes();
    let wide = by(r#""udh16""#);
    assert_eq!(
        parts(&wide)[1].short_message[..7],
        [6, 8, 4, reference[0], reference[1], 2, 2]
    );
    let sar = by(r#"{"method":"sar"}"#);
    let second = parts(&sar)[1];
    assert_eq!((second.esm_class, second.short_message.len()), (0, 147));
    let number = |tag| second.tlvs.get(tag).unwrap().to_vec();
    assert_eq!(number(Tag::SAR_MSG_REF_NUM), reference);
    assert_eq!(number(Tag::SAR_TOTAL_SEGMENTS), [2]);
    assert_eq!(number(Tag::SAR_SEGMENT_SEQNUM), [2]);
    let payload = by(r#""payload""#);
    assert_eq!(
        sm(&payload).tlvs.get(Tag::MESSAGE_PAYLOAD),
        Some(long.as_bytes())
    );
    assert_eq!([&wide, &sar, &payload].map(text_of), [&*long; 3]);
}

#[test]
fn a_text_with_too_many_parts_is_refused_or_cut_off() {
    let long = "x".repeat(400);
    let mut defaults = defaults();
    defaults.segmentation.max_parts = 2;
    let record = to(&format!(r#""short_message":"{long}""#));
    let error = try_with(&record, &defaults).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("short_message"));
    assert!(
        error.text.contains("needs 3 parts, at most 2"),
        "{}",
        error.text
    );
    defaults.segmentation.on_too_long = OnTooLong::Truncate;
    let message = try_with(&record, &defaults).unwrap();
    assert!(message.truncated);
    assert_eq!(text_of(&message), long[..306]);
    // A single part has no header to leave room for.
    defaults.segmentation.max_parts = 1;
    for (text, left) in [(&*long, 160), (&"Ы".repeat(71), 70)] {
        let message = try_with(&to(&format!(r#""short_message":"{text}""#)), &defaults).unwrap();
        assert_eq!((message.parts, message.truncated), (1, true));
        assert_eq!(text_of(&message).chars().count(), left);
    }
    defaults.segmentation.max_parts = 2;
    let record = to(&format!(
        r#""short_message":"{long}","segmentation":{{"max_parts":3}}"#
    ));
    let message = try_with(&record, &defaults).unwrap();
    assert_eq!((message.parts, message.truncated), (3, false));
    defaults.segmentation.method = SegmentMethod::Payload;
    assert_eq!(try_with(&record, &defaults).unwrap().parts, 1);
}

#[test]
fn a_header_of_the_producers_stands_in_every_part() {
    let ports = "0605040B8423F0";
    let long = "x".repeat(160);
    let message = message(&format!(
        r#""short_message":"{long}","udh":{{"hex":"{ports}"}}"#
    ));
    let both = parts(&message);
    assert_eq!(both.len(), 2);
    for part in &both {
        let (udh, _) = crate::smpp::udh::Udh::split(part.short_message).unwrap();
        assert_eq!(
            udh.get(crate::smpp::udh::PORTS_16),
            Some(&b"\x0B\x84\x23\xF0"[..])
        );
        assert_eq!(udh.concatenation().unwrap().total, 2);
    }
    assert_eq!(text_of(&message), long);
    // The same in octets, as before there was `udh`.
    let octets = "ab".repeat(150);
    let message = self::message(&format!(
        r#""short_message":{{"hex":"{ports}{octets}"}},"esm_class":64"#
    ));
    assert_eq!(parts(&message).len(), 2);
    let short = self::message(&format!(
        r#""short_message":"hi","udh":{{"hex":"{ports}"}}"#
    ));
    assert_eq!(sm(&short).short_message, b"\x06\x05\x04\x0B\x84\x23\xF0hi");
}

#[test]
fn what_the_producer_cut_is_not_cut_again() {
    let octets = "ab".repeat(200);
    for fields in [
        format!(r#""short_message":{{"hex":"050003070201{octets}"}},"esm_class":64"#),
        format!(
            r#""short_message":{{"hex":"{octets}"}},"tlvs":{{"sar_msg_ref_num":7,"sar_total_segments":2,"sar_segment_seqnum":1}}"#
        ),
    ] {
        assert_eq!(message(&fields).parts, 1, "{fields}");
    }
}

#[test]
fn parts_that_would_replace_each_other_are_not_made() {
    let long = "x".repeat(300);
    let fields = format!(r#""short_message":"{long}","replace_if_present_flag":1"#);
    assert!(
        sm(&message(&fields))
            .tlvs
            .get(Tag::MESSAGE_PAYLOAD)
            .is_some()
    );
    let (_, field, _) = refused(&format!(r#"{fields},"segmentation":"udh8""#));
    assert_eq!(field, "replace_if_present_flag");
}

#[test]
fn a_header_that_is_none_is_refused() {
    for udh in [
        r#""text""#,
        r#"{"hex":"0605040B"}"#,
        r#"{"hex":"00"}"#,
        r#"{"hex":"020105"}"#,
    ] {
        let (_, field, text) = refused(&format!(r#""short_message":"a","udh":{udh}"#));
        assert_eq!(field, "udh", "{text}");
    }
}

#[test]
fn a_national_table_is_used_where_it_is_allowed_and_cheaper() {
    let mut defaults = defaults();
    let turkish = "ş".repeat(100);
    let record = to(&format!(r#""short_message":"{turkish}""#));
    assert_eq!(try_with(&record, &defaults).unwrap().parts, 2, "UCS-2");
    defaults.languages = vec![Language::Turkish];
    let message = try_with(&record, &defaults).unwrap();
    assert_eq!((message.parts, sm(&message).data_coding), (1, 0));
    assert_eq!(text_of(&message), turkish);
    let long = to(&format!(r#""short_message":"{}""#, turkish.repeat(3)));
    let message = try_with(&long, &defaults).unwrap();
    assert!(message.parts > 1);
    assert_eq!(text_of(&message), turkish.repeat(3));
}

#[test]
fn what_an_encoding_lacks_may_be_transliterated() {
    let message =
        message(r#""short_message":"Москва","encoding":"gsm","error_handling":"transliterate""#);
    assert_eq!(text_of(&message), "Moskva");
}

#[test]
fn references_of_a_partition_differ_for_256_records_and_stay_the_same() {
    let at = |partition, offset| Position {
        partition,
        offset,
        ..position()
    };
    let to = b"41791234567";
    let narrow: std::collections::BTreeSet<u8> = (5000..5256)
        .map(|offset| reference(&at(0, offset), to) as u8)
        .collect();
    assert_eq!(narrow.len(), 256);
    assert_ne!(reference(&at(0, 7), to), reference(&at(1, 7), to));
    // Fixed for ever: after an update, parts sent again must complete those the phone has.
    assert_eq!(reference(&position(), to), 52_812);
}

#[test]
fn message_payload_is_not_cut() {
    let message_of = |fields: &str| message(fields);
    for (length, in_payload) in [(160, false), (161, true), (254, true)] {
        let text = "x".repeat(length);
        let message = message_of(&format!(
            r#""short_message":"{text}","segmentation":"payload""#
        ));
        assert_eq!(
            sm(&message).short_message.is_empty(),
            in_payload,
            "{length}"
        );
        assert_eq!(text_of(&message), text);
    }
    let long = "x".repeat(255);
    let message = message_of(&format!(
        r#""short_message":"{long}","segmentation":"payload""#
    ));
    assert!(sm(&message).short_message.is_empty());
    assert_eq!(
        sm(&message).tlvs.get(Tag::MESSAGE_PAYLOAD),
        Some(long.as_bytes())
    );
    let message = message_of(r#""short_message":"","message_payload":"short""#);
    assert_eq!(
        sm(&message).tlvs.get(Tag::MESSAGE_PAYLOAD),
        Some(&b"short"[..])
    );
    let (_, field, text) = refused(&format!(
        r#""short_message":"{long}","auto_message_payload":false,"segmentation":"payload""#
    ));
    assert_eq!(field, "short_message");
    assert!(text.contains("255 octets, at most 254"), "{text}");
    let huge = "x".repeat(65_536);
    let (_, _, text) = refused(&format!(r#""message_payload":"{huge}""#));
    assert!(text.contains("at most 65535"), "{text}");
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
