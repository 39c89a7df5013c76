//! The steps on a message's way that are counted.

use std::hint::black_box;

use jiff::Timestamp;
use kafka_smpp::correlate::RestoredPartition;
use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::event::{About, Details, SubmitSmResp};
use kafka_smpp::record::format::Format;
use kafka_smpp::record::internal::{Delivery, NewCorrelationEntry};
use kafka_smpp::record::json;
use kafka_smpp::record::keys::{self, Position};
use kafka_smpp::submit::message::{Defaults, prepare};
use smpp_protocol::pdu::{Sm, SmResp};
use smpp_protocol::{Address, Command, Frame, Pdu, Receipt, Status};

/// A step.
pub struct Work {
    /// What it is called.
    pub name: &'static str,
    /// Makes what it needs, and then what does so many rounds of it.
    pub make: fn() -> Box<dyn FnMut(u64)>,
}

/// All of them, in the order in which a message meets them.
pub const WORK: [Work; 9] = [
    Work {
        name: "record in JSON to PDU",
        make: || record_to_pdu(Format::Json),
    },
    Work {
        name: "record in Avro to PDU",
        make: || record_to_pdu(Format::AvroSingleObject),
    },
    Work {
        name: "submit_sm written",
        make: submit_sm_written,
    },
    Work {
        name: "submit_sm_resp read",
        make: submit_sm_resp_read,
    },
    Work {
        name: "response to event",
        make: response_to_event,
    },
    Work {
        name: "entry written",
        make: entry_written,
    },
    Work {
        name: "entry restored",
        make: entry_restored,
    },
    Work {
        name: "deliver_sm read",
        make: deliver_sm_read,
    },
    Work {
        name: "receipt joined, to event",
        make: receipt_to_event,
    },
];

/// 160 characters, with what a campaign usually says of a message.
const RECORD: &str = r#"{"log_id":"campaign-17/000123456","extra_data":{"customer":4711,"tags":["a","b"]},"source":"ACME","destination":"+41791234567","short_message":"Dear customer, your parcel will arrive today between 14:00 and 15:00. Please have your identity card at hand. Track it on our site, or answer STOP to opt out.","registered_delivery":1}"#;

/// A moment: the same in each run.
fn now() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("a time")
}

fn position(n: u64) -> Position {
    Position {
        topic: "sms.outbound".into(),
        partition: 3,
        offset: 1_000_000 + n as i64,
    }
}

fn record_to_pdu(format: Format) -> Box<dyn FnMut(u64)> {
    let codec = Codec::new(format);
    let value = codec.from_json(RECORD.as_bytes()).expect("a record");
    let defaults = Defaults {
        registered_delivery: 1,
        ..Defaults::default()
    };
    let position = position(0);
    Box::new(move |rounds| {
        for _ in 0..rounds {
            let record = codec.outbound(black_box(&value)).expect("a record");
            black_box(prepare(&record, &defaults, &position, now()).expect("a message"));
        }
    })
}

fn submit_sm_written() -> Box<dyn FnMut(u64)> {
    let text = [b'x'; 160];
    let mut wire = Vec::with_capacity(1024);
    Box::new(move |rounds| {
        for n in 0..rounds {
            let sm = Sm {
                source: Address::parse("ACME"),
                destination: Address::parse("+41791234567"),
                registered_delivery: 1,
                short_message: black_box(&text[..]),
                ..Sm::default()
            };
            wire.clear();
            let written = sm.encode(Command::SUBMIT_SM, Status::ROK, n as u32 + 1, &mut wire);
            written.expect("a PDU");
            black_box(&wire);
        }
    })
}

fn submit_sm_resp_read() -> Box<dyn FnMut(u64)> {
    let answer = SmResp {
        message_id: b"4F2A001734",
        ..SmResp::default()
    };
    let mut wire = Vec::new();
    let written = answer.encode(Command::SUBMIT_SM_RESP, Status::ROK, 2, &mut wire);
    written.expect("a PDU");
    Box::new(move |rounds| {
        for _ in 0..rounds {
            black_box(Pdu::decode(black_box(&wire)).expect("a PDU"));
        }
    })
}

fn response_to_event() -> Box<dyn FnMut(u64)> {
    let codec = Codec::new(Format::Json);
    let position = position(0);
    Box::new(move |rounds| {
        let record = json::submit_sm(RECORD.as_bytes()).expect("a record");
        for _ in 0..rounds {
            let event = SubmitSmResp {
                kind: "SubmitSmResp",
                about: About {
                    log_id: record.log_id.as_deref().unwrap_or_default(),
                    extra_data: record.extra_data.as_deref(),
                    terminal: true,
                    attempt: 1,
                    possible_duplicate: false,
                    late: false,
                    record: &position,
                    esme: "acme",
                    bind: Some("acme-3.0"),
                    source: Some("ACME"),
                    destination: Some("+41791234567"),
                },
                accepted: true,
                command_status: 0,
                command_status_name: "ESME_ROK",
                message_id: "4F2A001734",
                submitted_at: now(),
                responded_at: now(),
                truncated: false,
                part: None,
                parts: Vec::new(),
                details: Details::default(),
            };
            let _ = black_box(codec.write(black_box(&event)));
        }
    })
}

/// The entry of the n-th message: its key and its value.
fn entry(codec: &Codec, n: u64) -> (Vec<u8>, Vec<u8>) {
    let record = position(n);
    let message_id = format!("{:016X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let log_id = format!("00000000-0000-4000-8000-{n:012x}");
    let entry = NewCorrelationEntry {
        esme: "acme",
        message_id: &message_id,
        log_id: &log_id,
        extra_data: None,
        record: &record,
        part: None,
        attempt: 1,
        submitted_at: now(),
        source: Some("ACME"),
        destination: Some("+41791234567"),
        recipients: None,
        numbers: &[],
        lists: false,
        reference: None,
        headers: Vec::new(),
    };
    let key = keys::entry("acme", &message_id, &record, None);
    (key.into_bytes(), codec.must_write(&entry))
}

fn entry_written() -> Box<dyn FnMut(u64)> {
    let codec = Codec::new(Format::Cbor);
    Box::new(move |rounds| {
        for n in 0..rounds {
            black_box(entry(&codec, n));
        }
    })
}

/// As many entries as there can be rounds.
const ENTRIES: u64 = 1000;

fn entry_restored() -> Box<dyn FnMut(u64)> {
    let codec = Codec::new(Format::Cbor);
    let entries: Vec<_> = (0..ENTRIES).map(|n| entry(&codec, n)).collect();
    let mut partition = RestoredPartition::new(codec);
    Box::new(move |rounds| {
        for (key, value) in entries.iter().take(rounds as usize) {
            partition.read(key, Some(value)).expect("an entry");
        }
    })
}

/// A receipt for a message id.
fn receipt(id: &str) -> Vec<u8> {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 text:Dear customer, your"
    );
    let sm = Sm {
        source: Address::parse("+41791234567"),
        destination: Address::parse("ACME"),
        esm_class: 0x04,
        short_message: text.as_bytes(),
        ..Sm::default()
    };
    let mut wire = Vec::new();
    let written = sm.encode(Command::DELIVER_SM, Status::ROK, 7, &mut wire);
    written.expect("a PDU");
    wire
}

fn deliver_sm_read() -> Box<dyn FnMut(u64)> {
    let wire = receipt("4F2A001734");
    Box::new(move |rounds| {
        for _ in 0..rounds {
            let frame = Frame::decode(black_box(&wire)).expect("a frame");
            let Ok(Pdu::DeliverSm(sm)) = Pdu::read(frame) else {
                panic!("not a deliver_sm")
            };
            black_box(Receipt::of(&sm, &Default::default()));
        }
    })
}

fn receipt_to_event() -> Box<dyn FnMut(u64)> {
    let codec = Codec::new(Format::Cbor);
    let mut partition = RestoredPartition::new(codec.clone());
    let mut deliveries = Vec::new();
    for n in 0..ENTRIES {
        let (key, value) = entry(&codec, n);
        partition.read(&key, Some(&value)).expect("an entry");
        let id = format!("{:016X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let delivery = Delivery {
            esme: "acme".into(),
            bind: "acme-3.0".into(),
            received_at: now(),
            pdu: receipt(&id),
            bound_at: Some(now()),
            home: None,
            tries: 0,
        };
        deliveries.push((format!("acme/{id}"), codec.must_write(&delivery)));
    }
    partition.live();
    Box::new(move |rounds| {
        let deliveries = deliveries.iter().take(rounds as usize).enumerate();
        for (offset, (key, value)) in deliveries {
            let made = partition.receipt(key.as_bytes(), value, offset as i64);
            assert_eq!(
                made.expect("a receipt"),
                2,
                "its event, and its entry with the state"
            );
        }
    })
}
