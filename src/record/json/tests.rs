use jiff::SignedDuration;
use proptest::prelude::*;

use super::super::outbound::Destination;
use super::super::submit_sm::{Address, Content, ErrorHandling, TagName, TlvValue, When};
use super::*;
use crate::settings::InDoubt;
use smpp_protocol::text::Class;

fn read(text: &str) -> SubmitSm<'_> {
    submit_sm(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Which field is to blame, and what is said.
fn refused(text: &str) -> (String, String) {
    let error = submit_sm(text.as_bytes()).expect_err(text);
    (error.field.unwrap_or_default(), error.text)
}

#[test]
fn every_field_is_read() {
    let record = read(
        r#"{
            "log_id": "order-7", "extra_data": {"b" : 1.50, "a":[ ]},
            "short_message": "Grüezi \"du\"",
            "source": {"number": "ACME", "ton": 5, "npi": 0}, "destination": "+41791234567",
            "service_type": "CMT", "esm_class": 3, "protocol_id": 64, "priority_flag": 1,
            "schedule_delivery_time": "2026-03-01T09:00:00+01:00", "validity_period": "P1DT30M",
            "registered_delivery": 1, "replace_if_present_flag": 0, "data_coding": 8,
            "message_class": "flash", "encoding": "ucs2", "sm_default_msg_id": 0,
            "tlvs": {"source_port": 5000, "0x1401": {"hex": "00fF"}, "5122": "abc"},
            "auto_message_payload": false, "error_handling": "replace",
            "in_doubt": "resend", "max_resends": 3, "expires_at": "2026-03-02T00:00:00Z"
        }"#,
    );
    assert_eq!(record.log_id.as_deref(), Some("order-7"));
    assert_eq!(record.extra_data.unwrap().get(), r#"{"b" : 1.50, "a":[ ]}"#);
    assert_eq!(
        record.short_message,
        Some(Content::Text("Grüezi \"du\"".into()))
    );
    let sender = Address {
        number: "ACME".into(),
        ton: Some(5),
        npi: Some(0),
    };
    assert_eq!(record.source, Some(sender));
    assert_eq!(record.destination.number, "+41791234567");
    assert_eq!(record.destination.ton, None);
    assert_eq!(record.service_type.as_deref(), Some("CMT"));
    assert_eq!(
        (record.esm_class, record.protocol_id, record.priority_flag),
        (Some(3), Some(64), Some(1))
    );
    assert_eq!(
        record.schedule_delivery_time,
        Some(When::At("2026-03-01T08:00:00Z".parse().unwrap()))
    );
    assert_eq!(
        record.validity_period,
        Some(When::After(SignedDuration::from_mins(24 * 60 + 30)))
    );
    assert_eq!(record.data_coding, Some(8));
    assert_eq!(record.message_class, Some(Class::Flash));
    assert_eq!(record.encoding.as_deref(), Some("ucs2"));
    assert_eq!(
        record
            .tlvs
            .iter()
            .map(|tlv| tlv.tag.to_string())
            .collect::<Vec<_>>(),
        ["source_port", "0x1401", "0x1402"]
    );
    assert_eq!(record.tlvs[0].value, TlvValue::Number(5000));
    assert_eq!(
        record.tlvs[1].value,
        TlvValue::Content(Content::Octets(vec![0, 255]))
    );
    assert_eq!(record.auto_message_payload, Some(false));
    assert_eq!(record.error_handling, Some(ErrorHandling::Replace));
    assert_eq!(record.in_doubt, Some(InDoubt::Resend));
    assert_eq!(record.max_resends, Some(3));
    assert_eq!(
        record.expires_at,
        Some("2026-03-02T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn null_and_absent_are_the_same() {
    for field in &Reader::names(Operation::SubmitSm) {
        if !["type", "__smpp_command__", "destination"].contains(field) {
            let text = format!(r#"{{"destination":"1","{field}":null}}"#);
            let record = read(&text);
            assert_eq!(
                format!("{record:?}"),
                format!("{:?}", read(r#"{"destination":"1"}"#))
            );
        }
    }
    assert_eq!(
        read(r#"{"log_id":""}"#).log_id,
        None,
        "as aiosmpplib has it"
    );
}

#[test]
fn octets_come_in_hexadecimal_or_base64() {
    for text in [
        r#"{"short_message": {"hex": "00FFab"}}"#,
        r#"{"short_message": {"base64": "AP+r"}}"#,
    ] {
        let record = read(text);
        assert_eq!(
            record.short_message,
            Some(Content::Octets(vec![0, 255, 0xAB]))
        );
    }
    for (text, hint) in [
        (r#"{"hex": "0"}"#, "write two for each"),
        (r#"{"hex": "0g"}"#, "0 to 9 and a to f"),
        (r#"{"hex": "+1"}"#, "0 to 9 and a to f"),
        (r#"{"hex": "éé"}"#, "0 to 9 and a to f"),
        (r#"{"base64": "!"}"#, "Base64"),
        (r#"{"hex": "00", "base64": "AA=="}"#, "is enough"),
        (r#"{"hexx": "00"}"#, "did you mean `hex`?"),
        ("{}", "expected a string, {\"hex\""),
        ("5", "integer `5`, expected a string"),
    ] {
        let (field, said) = refused(&format!(r#"{{"short_message": {text}}}"#));
        assert_eq!(field, "short_message");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn what_is_wrong_is_said_with_field_value_and_remedy() {
    for (text, field, hint) in [
        ("", "", "empty"),
        ("\0\0\0\0\x01abc", "", "schema registry"),
        ("[]", "", "expected a JSON object"),
        ("{", "", "EOF"),
        (r#"{"destination":"1"} x"#, "", "trailing characters"),
        (
            r#"{"short_mesage":"a"}"#,
            "short_mesage",
            "did you mean `short_message`?",
        ),
        (r#"{"colour":"red"}"#, "colour", "belongs into extra_data"),
        (r#"{"log_id":"a","log_id":"b"}"#, "log_id", "stands twice"),
        (
            r#"{"protocol_id":300}"#,
            "protocol_id",
            "`300`, expected a whole number from 0 to 255",
        ),
        (r#"{"protocol_id":-1}"#, "protocol_id", "`-1`"),
        (r#"{"protocol_id":"1"}"#, "protocol_id", "string \"1\""),
        (
            r#"{"destination":41791234567}"#,
            "destination",
            "expected a string such as",
        ),
        (
            r#"{"destination":{"numbr":"1"}}"#,
            "destination",
            "did you mean `number`?",
        ),
        (
            r#"{"destination":{"ton":1}}"#,
            "destination",
            "`number` is missing",
        ),
        (
            r#"{"source":{"number":"1","number":"2"}}"#,
            "source",
            "stands twice",
        ),
        (
            r#"{"in_doubt":"maybe"}"#,
            "in_doubt",
            "expected `resend` or `report`",
        ),
        (
            r#"{"expires_at":"tomorrow"}"#,
            "expires_at",
            "\"tomorrow\" is not an RFC 3339 time",
        ),
        (
            r#"{"validity_period":"-PT1H"}"#,
            "validity_period",
            "ISO 8601",
        ),
        (r#"{"validity_period":-5}"#, "validity_period", "`-5`"),
        (r#"{"validity_period":-5.5}"#, "validity_period", "`-5.5`"),
        (
            r#"{"validity_period":"2026-01-01T00:00:00"}"#,
            "validity_period",
            "with its offset",
        ),
        (r#"{"tlvs":{"0x10000":1}}"#, "tlvs", "at most 0xFFFF"),
        (
            r#"{"tlvs":{"7":1,"0x0007":2}}"#,
            "tlvs",
            "tag 0x0007 stands twice",
        ),
        (r#"{"tlvs":[{"tag":1}]}"#, "tlvs", "`value` is missing"),
        (
            r#"{"tlvs":{"source_port":-1}}"#,
            "tlvs",
            "expected a number",
        ),
        (r#"{"type":"DeliverSm"}"#, "type", "write one of SubmitSm"),
        (
            r#"{"error_handling":"xmlcharrefreplace"}"#,
            "error_handling",
            "\"strict\", \"ignore\", \"replace\" or \"transliterate\"",
        ),
    ] {
        let (blamed, said) = refused(text);
        assert_eq!(blamed, field, "{said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn an_unreadable_record_still_says_whose_it_is() {
    let error =
        submit_sm(br#"{"colour":"red","log_id":"order-7","extra_data": [1, 2]}"#).unwrap_err();
    assert_eq!(error.log_id.as_deref(), Some("order-7"));
    assert_eq!(error.extra_data.unwrap().get(), "[1, 2]");
    assert_eq!(submit_sm(br#"{"log_id":5}"#).unwrap_err().log_id, None);
}

#[test]
fn a_record_of_aiosmpplib_is_read_as_it_is() {
    // The members, in their order, of json_encode(SubmitSm(...)) of aiosmpplib 0.7.
    let record = read(
        r#"{"__smpp_command__":"SUBMIT_SM","sequence_num":0,"command_status":0,"log_id":"log-1","extra_data":"","short_message":"Hi","source":{"number":"","ton":0,"npi":0},"destination":{"number":"385911234567","ton":1,"npi":1},"service_type":"","esm_class":0,"protocol_id":0,"priority_flag":0,"schedule_delivery_time":"2026-03-01T09:00:00","validity_period":3600.0,"registered_delivery":1,"replace_if_present_flag":0,"encoding":null,"sm_default_msg_id":0,"message_payload":"","optional_params":[{"tag":523,"value":5000},{"tag":4876,"value":true}],"auto_message_payload":true,"error_handling":"strict"}"#,
    );
    assert_eq!(record.destination.ton, Some(1));
    assert_eq!(
        record.schedule_delivery_time,
        Some(When::At("2026-03-01T09:00:00Z".parse().unwrap()))
    );
    assert_eq!(
        record.validity_period,
        Some(When::After(SignedDuration::from_hours(1)))
    );
    assert_eq!(record.tlvs[0].tag, TagName::Number(523));
    assert_eq!(record.tlvs[1].value, TlvValue::Flag(true));
    assert_eq!(record.extra_data.unwrap().get(), r#""""#);

    let older = read(
        r#"{"__smpp_command__":"SUBMIT_SM","_default_encoding":"gsm0338","_custom_codecs":null,"destination":"1"}"#,
    );
    assert_eq!(older.destination.number, "1");
    let (field, said) = refused(r#"{"__smpp_command__":"BIND_TRANSMITTER"}"#);
    assert_eq!(field, "__smpp_command__");
    assert!(said.contains("write \"SUBMIT_SM\""), "{said}");
}

#[test]
fn durations_count_years_of_365_and_months_of_30_days() {
    for (text, hours) in [("P1Y", 365 * 24), ("P1M", 720), ("P2W", 336), ("PT36H", 36)] {
        let json = format!(r#"{{"validity_period":"{text}"}}"#);
        let expected = When::After(SignedDuration::from_hours(hours));
        assert_eq!(read(&json).validity_period, Some(expected), "{text}");
    }
}

#[test]
fn every_operation_has_its_fields_and_no_others() {
    for (json, field) in [
        (
            r#"{"type":"QuerySm","message_id":"7","destination":"1"}"#,
            "destination",
        ),
        (
            r#"{"destination":"1","type":"CancelSm","short_message":""}"#,
            "short_message",
        ),
        (
            r#"{"type":"ReplaceSm","message_id":"7","data_coding":8}"#,
            "data_coding",
        ),
        (
            r#"{"type":"DataSm","validity_period":60}"#,
            "validity_period",
        ),
        (r#"{"type":"SubmitMulti","destination":"1"}"#, "destination"),
        (
            r#"{"type":"BroadcastSm","registered_delivery":1}"#,
            "registered_delivery",
        ),
        (r#"{"message_id":"7"}"#, "message_id"),
        (r#"{"type":"QuerySm","mesage_id":"7"}"#, "mesage_id"),
        (r#"{"type":"QuerySm","type":"QuerySm"}"#, "type"),
        (r#"{"type":"DeliverSm"}"#, "type"),
        (
            r#"{"type":"SubmitMulti","destinations":[{"lst":"a"}]}"#,
            "destinations",
        ),
    ] {
        let error = outbound(json.as_bytes()).expect_err(json);
        assert_eq!(error.field.as_deref(), Some(field), "{}", error.text);
    }
    let error = outbound(br#"{"type":"QuerySm","mesage_id":"7"}"#).unwrap_err();
    assert!(
        error.text.contains("did you mean `message_id`?"),
        "{}",
        error.text
    );
}

#[test]
fn destinations_are_numbers_and_lists() {
    let record = outbound(
        br#"{"short_message":"hi","destinations":["+41791234567",{"number":"1","ton":2},{"list":"staff"}],"type":"SubmitMulti"}"#,
    )
    .unwrap();
    let number = |number: &'static str, ton| {
        Destination::Number(Address {
            number: number.into(),
            ton,
            npi: None,
        })
    };
    assert_eq!(
        record.destinations,
        [
            number("+41791234567", None),
            number("1", Some(2)),
            Destination::List("staff".into())
        ]
    );
}

#[test]
fn the_documentation_names_every_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/records.md");
    let text = std::fs::read_to_string(path).unwrap();
    for field in Reader::all_names() {
        assert!(text.contains(&format!("`{field}`")), "{field}");
    }
}

/// Any JSON value, as text with white space inside.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("1.50".to_owned()),
        Just("-0".to_owned()),
        Just("1e400".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        ".*".prop_map(|s: String| serde_json::to_string(&s).unwrap()),
        "[ -~&&[^\"\\\\]]{0,5}".prop_map(|s: String| format!("\"\\u00e9{s}\\/\"")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[ {} ]", list.join(" ,\t"))),
            prop::collection::vec(("[a-z]{0,3}", inner), 0..4).prop_map(|list| {
                let members = list.iter().map(|(k, v)| format!("\"{k}\" : {v}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(",\n"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in any::<Vec<u8>>()) {
        if let Err(error) = submit_sm(&octets) {
            prop_assert!(!error.text.is_empty());
        }
    }

    #[test]
    fn any_value_of_any_field_is_read_or_blamed(
        field in prop::sample::select(Reader::names(Operation::SubmitSm)),
        value in any_json(),
    ) {
        let text = format!(r#"{{"{field}":{value}}}"#);
        if let Err(error) = submit_sm(text.as_bytes()) {
            prop_assert_eq!(error.field.as_deref(), Some(field));
        }
    }

    #[test]
    fn extra_data_comes_back_byte_for_byte(extra in any_json()) {
        let text = format!("{{\"extra_data\" :\n{extra} ,\"destination\":\"1\"}}");
        let record = read(&text);
        prop_assert_eq!(record.extra_data.as_ref().unwrap().get(), &extra);
        #[derive(serde::Serialize)]
        struct Event<'a> {
            extra_data: Option<&'a RawValue>,
        }
        let event = to_vec(&Event { extra_data: record.extra_data.as_deref() }).unwrap();
        prop_assert_eq!(event, format!(r#"{{"extra_data":{extra}}}"#).into_bytes());
    }
}

#[test]
fn an_encoding_of_aiosmpplib_has_the_data_coding_it_has_there() {
    for (name, data_coding) in [
        ("octet_unspecified_I", Some(2)),
        ("octet_unspecified_II", None),
        ("iso2022_jp", Some(5)),
        ("iso2022jp", None),
        ("shift_jis", Some(9)),
        ("latin_1", None),
    ] {
        let text = format!(
            r#"{{"encoding":"{name}","__smpp_command__":"SUBMIT_SM","destination":"4179"}}"#
        );
        assert_eq!(submit_sm(text.as_bytes()).unwrap().data_coding, data_coding);
        let ours = text.replace(r#""__smpp_command__":"SUBMIT_SM","#, "");
        assert_eq!(submit_sm(ours.as_bytes()).unwrap().data_coding, None);
    }
}

#[test]
fn what_is_wrong_with_an_internal_record_quotes_no_text() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Record {
        #[expect(dead_code)]
        at: jiff::Timestamp,
        #[expect(dead_code)]
        number: u8,
    }
    for (octets, said) in [
        (
            r#"{"number": "a \"text\""}"#,
            r#"invalid type: string "…", expected u8"#,
        ),
        (
            r#"{"a text": 1}"#,
            "unknown field `…`, expected `at` or `number`",
        ),
        ("{}", "missing field `at`"),
        (r#"{"number": 417}"#, "invalid value: integer `417`"),
    ] {
        let error = super::read::<Record>(octets.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(said) && !error.contains("text"), "{error}");
    }
}
