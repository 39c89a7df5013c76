//! Long texts: parts, message_payload, headers.

use super::*;

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
        let (udh, _) = smpp_protocol::udh::Udh::split(part.short_message).unwrap();
        assert_eq!(
            udh.get(smpp_protocol::udh::PORTS_16),
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
