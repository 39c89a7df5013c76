//! The steps on a message's way that are counted.

use std::hint::black_box;

use jiff::Timestamp;
use kafka_smpp::correlate::RestoredPartition;
use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;
use kafka_smpp::record::internal::Delivery;
use kafka_smpp::record::json;
use kafka_smpp::submit::message::{Defaults, prepare};
use smpp_protocol::pdu::{Sm, SmResp};
use smpp_protocol::{Address, Command, Frame, Pdu, Receipt, Status};

use super::sample::{RECORD, destination, entry, event, message_id, position};

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

/// A moment: the same in each run.
fn now() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("a time")
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
            let event = event(&record, &position, now());
            let _ = black_box(codec.write(black_box(&event)));
        }
    })
}

fn entry_written() -> Box<dyn FnMut(u64)> {
    let codec = Codec::new(Format::Cbor);
    Box::new(move |rounds| {
        for n in 0..rounds {
            black_box(entry(&codec, n, now()));
        }
    })
}

/// As many entries as there can be rounds.
const ENTRIES: u64 = 1000;

fn entry_restored() -> Box<dyn FnMut(u64)> {
    let codec = Codec::new(Format::Cbor);
    let entries: Vec<_> = (0..ENTRIES).map(|n| entry(&codec, n, now())).collect();
    let mut partition = RestoredPartition::new(codec);
    Box::new(move |rounds| {
        for (key, value) in entries.iter().take(rounds as usize) {
            partition.read(key, Some(value)).expect("an entry");
        }
    })
}

/// A receipt for a message id, from its recipient.
fn receipt(id: &str, recipient: &str) -> Vec<u8> {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 text:Dear customer, your"
    );
    let sm = Sm {
        source: Address::parse(recipient),
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
    let wire = receipt("4F2A001734", "+41791234567");
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
        let (key, value) = entry(&codec, n, now());
        partition.read(&key, Some(&value)).expect("an entry");
        let id = message_id(n);
        let delivery = Delivery {
            esme: "acme".into(),
            bind: "acme-3.0".into(),
            received_at: now(),
            pdu: receipt(&id, &destination(n)),
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
