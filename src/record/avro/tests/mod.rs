//! Structs and schemas are equal, what is written reads back (here and by apache-avro's own
//! reader), and what others write with other schemas is read as far as Avro allows.

mod outbound;
mod privacy;
mod schemas;

use std::collections::BTreeMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::event::{self, About, SegmentResult, SendError, SendErrorKind, SubmitSmResp};
use super::super::inbound::{
    ConcatenationInfo, DeliveryReceipt, InboundSegment, InboundSms, NetworkError, Party, Tlv,
};
use super::super::internal::{
    Barrier, CorrelationEntry, Delivery, Header, Parked, Seen, SegmentDigest, SegmentEntry,
};
use super::super::keys::Position;
use super::super::notification::{
    BindChange, MessageIdHint, Notification, ProcessLife, ReceiptsGap, Steering, Takeover,
    Throttling,
};
use super::*;
use smpp_protocol::receipt::When;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + micros).unwrap()
}

fn position() -> Position {
    Position {
        topic: "sms.outbound".into(),
        partition: 3,
        offset: 1042,
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// As apache-avro reads it.
fn foreign(kind: Kind, datum: &[u8]) -> BTreeMap<String, Avro> {
    let reader = GenericDatumReader::builder(kind.ours().unwrap().schema);
    let value = reader.build().unwrap().read_value(&mut &*datum).unwrap();
    let Avro::Record(fields) = value else {
        panic!("no record")
    };
    fields.into_iter().collect()
}

/// A record in which everything is set: each of its fields is in the schema, and the other way
/// round; and both of its forms say the same.
fn everything<T: Record>(record: &T) {
    let mut datum = Vec::new();
    write(record, &mut datum).unwrap();
    for (name, value) in foreign(T::KIND, &datum) {
        let unset = matches!(&value, Avro::Union(0, null) if **null == Avro::Null)
            || value == Avro::Array(Vec::new());
        // What an event says of its own mutilation is not of the struct.
        assert!(
            !unset || name == "error",
            "{}: nothing sets {name}",
            T::KIND.name()
        );
    }
    same(record, &datum);
}

/// What JSON says, and nothing else, stands in the datum.
fn same<T: Record>(record: &T, datum: &[u8]) {
    let plan = Plan::as_written(T::KIND.ours().unwrap().schema).unwrap();
    let written = serde_json::to_value(record).unwrap();
    crate::record::json_schema::tests::must_be(T::KIND, &written);
    let mut shown = shown(&plan, datum).unwrap();
    let Value::Object(fields) = &mut shown else {
        panic!("no record")
    };
    for (name, value) in written.as_object().unwrap() {
        let avro = fields.remove(name.trim_end_matches("_hex"));
        let avro = avro.unwrap_or_else(|| panic!("{name} is lost"));
        alike(name, value, &avro);
    }
    let defaults = |v: &Value| v.is_null() || *v == json!(false) || *v == json!([]);
    fields.retain(|name, value| !(defaults(value) || name == "service_type" && *value == ""));
    assert!(fields.is_empty(), "JSON does not say {fields:?}");
}

fn alike(name: &str, json: &Value, avro: &Value) {
    match (json, avro) {
        (Value::Object(json), Value::Object(avro)) => {
            for (name, value) in json {
                let name = match &**name {
                    "hex" => "value",
                    name => name.trim_end_matches("_hex"),
                };
                alike(name, value, &avro[name]);
            }
        }
        (Value::Array(json), Value::Array(avro)) => {
            assert_eq!(json.len(), avro.len(), "{name}");
            json.iter().zip(avro).for_each(|(j, a)| alike(name, j, a));
        }
        (Value::String(json), Value::String(avro)) if json != avro => {
            let time = |text: &str| text.parse::<Timestamp>().ok();
            let octets = || {
                use ::base64::Engine as _;
                let octets = ::base64::engine::general_purpose::STANDARD.decode(json);
                octets.map(|o| data_encoding::HEXLOWER.encode(&o))
            };
            let equal = time(json).is_some_and(|t| Some(t) == time(avro))
                || octets().is_ok_and(|hex| hex == *avro);
            assert!(equal, "{name}: {json} is not {avro}");
        }
        (json, Value::String(text)) if name == "extra_data" => {
            assert_eq!(&json.to_string(), text);
        }
        _ => assert_eq!(json, avro, "{name}"),
    }
}

fn about<'a>(record: &'a Position, extra: Option<&'a RawValue>) -> About<'a> {
    let full = extra.is_some();
    About {
        log_id: "order-7",
        extra_data: extra,
        terminal: true,
        attempt: 2,
        possible_duplicate: full,
        late: full,
        record,
        esme: "acme",
        bind: full.then_some("acme-3.0"),
        source: full.then_some("ACME"),
        destination: full.then_some("+41791234567"),
    }
}

fn parts<'a>(full: bool) -> Vec<event::Segment<'a>> {
    let outcomes = [SegmentResult::Accepted, SegmentResult::NotSent];
    let parts = outcomes.iter().map(|outcome| event::Segment {
        part: 1,
        outcome: *outcome,
        message_id: (*outcome == SegmentResult::Accepted).then_some("7F"),
        command_status: Some(0),
        command_status_name: Some("ESME_ROK".to_owned()),
    });
    parts.filter(|_| full).collect()
}

fn details<'a>(full: bool) -> event::Details<'a> {
    if !full {
        return event::Details::default();
    }
    event::Details {
        state: Some("DELIVERED".into()),
        final_date: Some("2026-01-02T03:04:05Z".to_owned()),
        error_code: Some(5),
        unsuccess: vec![event::Unsuccess {
            destination: event::Address {
                number: "123".into(),
                ton: 1,
                npi: 1,
            },
            command_status: 11,
            command_status_name: "ESME_RINVDSTADR".to_owned(),
        }],
        tlvs: vec![Tlv {
            tag: 0x0427,
            name: Some("message_state"),
            value: &[2],
        }],
    }
}

#[test]
fn results_are_the_same_in_both_forms() {
    let (record, extra) = (position(), raw(r#"{"b":1.5}"#));
    for extra in [Some(&*extra), None] {
        let response = SubmitSmResp {
            kind: "GenericNack",
            about: about(&record, extra),
            accepted: false,
            command_status: 0x401,
            command_status_name: "0x00000401",
            message_id: "4F2A",
            submitted_at: at(1),
            responded_at: at(2),
            truncated: extra.is_some(),
            part: extra.map(|_| 2),
            parts: parts(extra.is_some()),
            details: details(extra.is_some()),
        };
        let full = extra.is_some();
        let error = SendError {
            name: "SendError",
            about: about(&record, extra),
            kind: SendErrorKind::OutcomeUnknown,
            error: "no answer",
            field: full.then_some("destination"),
            command_status: full.then_some(8),
            command_status_name: full.then_some("ESME_RSYSERR"),
            original: full.then_some(b"\x00\xff"),
            at: at(3),
            parts: parts(full),
        };
        if full {
            everything(&response);
            everything(&error);
        }
        same(&response, &written(&response));
        same(&error, &written(&error));
    }
}

fn written<T: Record>(record: &T) -> Vec<u8> {
    let mut datum = Vec::new();
    write(record, &mut datum).unwrap();
    datum
}

#[test]
fn receipts_and_inbound_messages_are_the_same_in_both_forms() {
    let (record, extra) = (position(), raw("17"));
    let tlvs = vec![Tlv {
        tag: 0x0427,
        name: Some("message_state"),
        value: &[2],
    }];
    everything(&DeliveryReceipt {
        kind: "DeliveryReceipt",
        log_id: Some("order-7"),
        extra_data: Some(&extra),
        correlated: true,
        ambiguous: true,
        candidates: vec!["a", "b"],
        terminal: false,
        attempt: Some(1),
        record: Some(&record),
        part: Some(2),
        esme: "acme",
        bind: Some("acme-0.0"),
        message_id: "7F",
        state: "UNDELIVERABLE",
        is_final: true,
        message_type: Some("delivery_receipt"),
        overdue: true,
        missing: Some(2),
        stat: Some("UNDELIV"),
        err: Some("0A7"),
        network_error_code: Some(NetworkError {
            network: 3,
            code: 27,
        }),
        submit_date: When::parse("2601020304"),
        done_date: When::parse("2601020305"),
        text: Some("Dear"),
        source: Some("ACME"),
        destination: Some("4179"),
        receipt_source: Some("079"),
        receipt_destination: Some("ACME"),
        submitted_at: Some(at(1)),
        received_at: Some(at(2)),
        short_message_hex: Some(b"id:7F"),
        tlvs: tlvs.clone(),
    });
    let least = DeliveryReceipt {
        kind: "DeliveryReceipt",
        state: "OVERDUE",
        ..DeliveryReceipt::default()
    };
    same(&least, &written(&least));
    let whole = InboundSms {
        kind: "InboundSms",
        esme: "acme",
        bind: "acme-0.0",
        command: "deliver_sm",
        source: Party {
            number: "4179".into(),
            ton: 1,
            npi: 1,
        },
        destination: Party::default(),
        message_type: Some("user_acknowledgement"),
        text: Some("Ж".into()),
        octets: [4, 0x16][..].into(),
        udh: Some([4, 9, 2, 42, 3][..].into()),
        data_coding: 8,
        esm_class: 0x40,
        protocol_id: 1,
        priority_flag: 2,
        service_type: "CMT".into(),
        tlvs: tlvs.clone(),
        concatenation: Some(ConcatenationInfo {
            reference: 42,
            total: 3,
            part: Some(2),
        }),
        complete: false,
        missing: vec![1, 3],
        parts: vec![InboundSegment {
            part: 2,
            octets: &[4, 0x16],
            udh: Some(&[5, 0, 3, 42, 3, 2]),
            data_coding: 8,
            tlvs,
            bind: "acme-0.1",
            received_at: at(4),
        }],
        error: Some("wrong"),
        pdu: Some(&[0, 0, 0, 16]),
        possible_duplicate: true,
        received_at: at(5),
    };
    everything(&whole);
    let least = InboundSms {
        text: None,
        udh: None,
        service_type: "".into(),
        tlvs: Vec::new(),
        concatenation: None,
        complete: true,
        missing: Vec::new(),
        parts: Vec::new(),
        error: None,
        pdu: None,
        possible_duplicate: false,
        ..whole
    };
    same(&least, &written(&least));
}

#[test]
fn notifications_are_the_same_in_both_forms() {
    let whole = Notification {
        kind: "AlertNotification",
        esme: "acme",
        bind: "acme-0.0",
        source: Some(Party::default()),
        destination: Some(Party::default()),
        availability: Some("denied"),
        system_id: Some("SMSC".into()),
        peer: Some("127.0.0.1:1".into()),
        message_id: Some(MessageIdHint {
            response: "hex",
            receipt: "decimal",
            matched: u32::MAX,
            of: 200,
            response_id: "7f",
            receipt_id: "127",
        }),
        process: Some("5f"),
        lifecycle: Some(ProcessLife {
            version: "1.0.0",
            cluster_id: "c",
            esmes: vec!["acme", "other"],
            started_at: Some(at(4)),
            reason: Some("the poll thread ended"),
        }),
        session: Some(BindChange {
            mode: "transceiver",
            host: "smsc:2775",
            system_id: Some("SMSC".into()),
            changes: 3,
            session: Some(i64::MAX),
            reason: Some("the SMSC closed the connection"),
            wanted: Some(true),
            bound_ms: Some(1),
            unanswered: Some(2),
        }),
        throttling: Some(Throttling {
            refused: 7,
            command_status: Some(0x58),
            command_status_name: Some("ESME_RTHROTTLED".into()),
            window: 4,
            rate: Some(12.5),
        }),
        takeover: Some(Takeover {
            topic: "sms.outbound",
            partition: 3,
            offset: 70,
            in_doubt: 2,
            took_ms: 900,
            from: Some("6a"),
        }),
        receipts: Some(ReceiptsGap {
            messages: 20,
            last_receipt_at: Some(at(3)),
            usual_ms: Some(4000),
            limit_ms: 600_000,
        }),
        pause: Some(Steering {
            what: "esme",
            name: "acme",
            by: Some("ops"),
            reason: Some("maintenance"),
            paused_at: Some(at(2)),
        }),
        tlvs: vec![Tlv {
            tag: 0x0422,
            name: Some("ms_availability_status"),
            value: &[1],
        }],
        error: Some("wrong".into()),
        pdu: Some(&[0, 0, 0, 16]),
        received_at: at(5),
    };
    everything(&whole);
    let least = Notification {
        kind: "Outbind",
        ..Notification::default()
    };
    same(&least, &written(&least));
}

fn correlation() -> CorrelationEntry {
    CorrelationEntry {
        esme: "acme".into(),
        message_id: "7F".into(),
        log_id: "a".into(),
        extra_data: Some(raw(r#""a string \u0031""#)),
        record: position(),
        part: Some(2),
        attempt: 1,
        submitted_at: at(6),
        source: Some("ACME".into()),
        destination: Some("+4179".into()),
        recipients: Some(254),
        numbers: vec![41_791_234_567, -1],
        lists: true,
        reference: Some(u16::MAX),
        headers: vec![
            Header {
                key: "traceparent".into(),
                value: Some(b"00".to_vec()),
            },
            Header {
                key: "empty".into(),
                value: None,
            },
        ],
        seen: vec![Seen {
            state: 1,
            digest: u32::MAX,
            recipient: Some(999_999_999_999_999_999),
            report: Some(u32::MAX),
            ambiguous: true,
            session: Some(u32::MAX),
        }],
        final_at: Some(at(7)),
    }
}

#[test]
fn internal_records_read_back() {
    let delivery = Delivery {
        esme: "acme".into(),
        bind: "acme-0".into(),
        received_at: at(0),
        pdu: vec![0, 255],
        bound_at: Some(at(2)),
        home: Some("acme/7F".into()),
        tries: 1,
    };
    let parked = Parked {
        delivery: delivery.clone(),
        published_at: Some(at(1)),
        seen: Some(Seen {
            state: 2,
            digest: 7,
            recipient: Some(41),
            report: Some(8),
            ambiguous: true,
            session: Some(9),
        }),
    };
    let barrier = Barrier {
        nonce: "n".into(),
        transactional_id: "w".into(),
    };
    everything(&delivery);
    everything(&barrier);
    fn back<T: Record + DeserializeOwned>(record: &T) -> T {
        let json = serde_json::to_value(record).unwrap();
        crate::record::json_schema::tests::must_be(T::KIND, &json);
        let schema = T::KIND.ours().unwrap().schema;
        let plan = Plan::new(schema, schema).unwrap();
        super::record(&plan, &written(record)).unwrap()
    }
    assert_eq!(back(&delivery), delivery);
    assert_eq!(back(&parked), parked);
    let waiting = SegmentEntry {
        delivery: Some(delivery.clone()),
        ..SegmentEntry::default()
    };
    let published = SegmentEntry {
        delivery: None,
        published_at: Some(at(2)),
        parts: vec![SegmentDigest {
            part: 255,
            digest: u32::MAX,
        }],
    };
    assert_eq!(back(&waiting), waiting);
    assert_eq!(back(&published), published);
    assert_eq!(back(&barrier), barrier);
    let mut memory = correlation();
    let forms = |c: &CorrelationEntry| serde_json::to_string(c).unwrap();
    assert_eq!(forms(&back(&memory)), forms(&memory));
    let set = foreign(Kind::Correlation, &written(&memory));
    assert!(
        set.values()
            .filter(|v| matches!(v, Avro::Union(0, _)))
            .count()
            == 1
    );
    memory = CorrelationEntry {
        extra_data: None,
        part: None,
        source: None,
        destination: None,
        recipients: None,
        lists: false,
        headers: Vec::new(),
        seen: Vec::new(),
        final_at: None,
        ..memory
    };
    assert_eq!(forms(&back(&memory)), forms(&memory));
}

#[test]
fn what_is_too_large_goes_without_extra_data_and_says_so_once() {
    let datum = written(&correlation());
    let less = reduced(Kind::Correlation, &datum, "too large").unwrap();
    let fields = foreign(Kind::Correlation, &less);
    assert_eq!(fields["extra_data"], Avro::Union(0, Box::new(Avro::Null)));
    assert_eq!(fields["headers"], Avro::Array(Vec::new()));
    assert_eq!(fields["log_id"], Avro::String("a".into()));
    assert_eq!(reduced(Kind::Correlation, &less, "too large"), None);
    let part = written(&SegmentEntry::default());
    assert_eq!(reduced(Kind::Piece, &part, "too large"), None);
}
