//! What one message costs besides Kafka and the socket: its record read, its submit_sm made, its
//! events written.
//!
//! `cargo bench --bench record`

#![allow(missing_docs, reason = "criterion's macros document nothing")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use kafka_smpp::record::avro;
use kafka_smpp::record::codec::{Codec, Number};
use kafka_smpp::record::event::{About, Details, SubmitSmResp};
use kafka_smpp::record::format::Format;
use kafka_smpp::record::json;
use kafka_smpp::record::keys::Position;
use kafka_smpp::record::kind::Kind;
use kafka_smpp::record::writers::{Answer, WriterSchema, WriterSchemas};
use kafka_smpp::submit::message::{Defaults, prepare};

/// 160 characters, with what a campaign usually says of a message.
const PLAIN: &str = r#"{"log_id":"campaign-17/000123456","extra_data":{"customer":4711,"tags":["a","b"]},"source":"ACME","destination":"+41791234567","short_message":"Dear customer, your parcel will arrive today between 14:00 and 15:00. Please have your identity card at hand. Track it on our site, or answer STOP to opt out....","registered_delivery":1}"#;

/// Text that only UCS-2 can express.
const CYRILLIC: &str = r#"{"log_id":"campaign-17/000123457","source":"ACME","destination":"+381641234567","short_message":"Поштовани, ваша пошиљка стиже данас између 14 и 15 часова."}"#;

/// What aiosmpplib writes: every field, most of them with their default.
const AIOSMPPLIB: &str = include_str!("../examples/records/aiosmpplib.json");

const FORMATS: [Format; 4] = [
    Format::Json,
    Format::JsonSchema,
    Format::AvroSingleObject,
    Format::Avro,
];

/// A codec; of a format with a registry, as it is when the schema of `kind` has come.
fn codec(format: Format, kind: Kind) -> Codec {
    if !format.is_registered() {
        return Codec::new(format);
    }
    let (writers, text) = (Arc::new(WriterSchemas::default()), kind.schema_text());
    let writer = match format {
        Format::JsonSchema => Ok(WriterSchema::Json),
        _ => avro::writer(text, &[]),
    };
    if let Ok(writer) = writer {
        writers.learn(1, Answer::Schema(writer, text.into()));
    }
    let number = Number {
        kind,
        id: 1,
        branch: None,
    };
    Codec::registered(format, vec![number], writers)
}

fn records(criterion: &mut Criterion) {
    let now = Timestamp::now();
    let defaults = Defaults {
        registered_delivery: 1,
        ..Defaults::default()
    };
    let position = Position {
        topic: "sms.outbound".into(),
        partition: 3,
        offset: 1_234_567,
    };
    for (name, text) in [
        ("plain", PLAIN),
        ("cyrillic", CYRILLIC),
        ("aiosmpplib", AIOSMPPLIB),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        group.bench_function("read", |bencher| {
            bencher.iter(|| json::outbound(black_box(text.as_bytes())).is_ok());
        });
        group.bench_function("read and prepare", |bencher| {
            bencher.iter(|| {
                let record = json::outbound(black_box(text.as_bytes())).ok()?;
                prepare(&record, &defaults, &position, now).ok()
            });
        });
        for format in FORMATS {
            let codec = codec(format, Kind::SubmitSm);
            let Ok(value) = codec.from_json(text.as_bytes()) else {
                continue;
            };
            group.bench_function(format!("read {}", format.name()), |bencher| {
                bencher.iter(|| codec.outbound(black_box(&value)).is_ok());
            });
        }
        group.finish();
    }
}

fn events(criterion: &mut Criterion) {
    let position = Position {
        topic: "sms.outbound".into(),
        partition: 3,
        offset: 1_234_567,
    };
    let Ok(record) = json::submit_sm(PLAIN.as_bytes()) else {
        return;
    };
    let now = Timestamp::now();
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
        submitted_at: now,
        responded_at: now,
        truncated: false,
        part: None,
        parts: Vec::new(),
        details: Details::default(),
    };
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(1));
    for format in FORMATS {
        let codec = codec(format, Kind::SubmitSmResp);
        group.bench_function(format!("write {}", format.name()), |bencher| {
            bencher.iter(|| codec.write(black_box(&event)));
        });
    }
    group.finish();
}

criterion_group!(benches, records, events);
criterion_main!(benches);
