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
use kafka_smpp::record::format::Format;
use kafka_smpp::record::json;
use kafka_smpp::record::kind::Kind;
use kafka_smpp::record::writers::{Answer, WriterSchema, WriterSchemas};
use kafka_smpp::submit::message::{Defaults, prepare};

// Not all of it is needed here.
#[allow(dead_code)]
#[path = "../tests/cost/sample.rs"]
mod sample;

use sample::{RECORD, event, position};

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
    let position = position(3);
    for (name, text) in [
        ("plain", RECORD),
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
    let position = position(3);
    let Ok(record) = json::submit_sm(RECORD.as_bytes()) else {
        return;
    };
    let event = event(&record, &position, Timestamp::now());
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
