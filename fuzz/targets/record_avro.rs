//! Any octets on a topic in Avro: every kind of record, and what stands before a single object.

#![no_main]

use kafka_smpp::record::avro::{self, Plan};
use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;
use kafka_smpp::record::internal::{Barrier, CorrelationEntry, Delivery, Parked, SegmentEntry};
use kafka_smpp::record::kind::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (which, octets) = input;
    let codec = Codec::new(Format::AvroSingleObject);
    let _ = codec.outbound(octets);
    let kind = Kind::ALL[usize::from(which) % Kind::ALL.len()];
    // The newest of its schemas, which is the one that is written.
    let Some(published) = avro::published().iter().rfind(|p| p.kind == kind) else {
        return;
    };
    let plan: &Plan = &published.plan;
    let _ = avro::shown(plan, octets);
    match kind.operation() {
        Some(operation) => {
            if let Ok(record) = avro::outbound(operation, plan, octets)
                && let Ok(datum) = avro::outbound_datum(&record)
            {
                let again = avro::outbound(operation, plan, &datum).expect("what we wrote");
                assert_eq!(format!("{again:?}"), format!("{record:?}"));
            }
        }
        None => {
            let _ = avro::record::<CorrelationEntry>(plan, octets);
            let _ = avro::record::<Delivery>(plan, octets);
            let _ = avro::record::<Parked>(plan, octets);
            let _ = avro::record::<SegmentEntry>(plan, octets);
            let _ = avro::record::<Barrier>(plan, octets);
        }
    }
});
