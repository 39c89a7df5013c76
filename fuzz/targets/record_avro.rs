//! Any octets on a topic in Avro: every kind of record, and what stands before a single object.

#![no_main]

use kafka_smpp::record::avro::{self, Plan};
use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;
use kafka_smpp::record::internal::{Correlation, Delivery, Owner, Parked, Piece};
use kafka_smpp::record::kind::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (which, octets) = input;
    let codec = Codec::new(Format::AvroSingleObject);
    let _ = codec.outbound(octets);
    let kind = Kind::ALL[usize::from(which) % Kind::ALL.len()];
    let Some(published) = avro::published().iter().find(|p| p.kind == kind) else {
        return;
    };
    let plan: &Plan = &published.plan;
    let _ = avro::shown(plan, octets);
    match kind {
        Kind::SubmitSm => {
            if let Ok(record) = avro::submit_sm(plan, octets)
                && let Ok(datum) = avro::submit_sm_datum(&record)
            {
                let again = avro::submit_sm(plan, &datum).expect("what we wrote");
                assert_eq!(format!("{again:?}"), format!("{record:?}"));
            }
        }
        _ => {
            let _ = avro::record::<Correlation>(plan, octets);
            let _ = avro::record::<Delivery>(plan, octets);
            let _ = avro::record::<Parked>(plan, octets);
            let _ = avro::record::<Piece>(plan, octets);
            let _ = avro::record::<Owner>(plan, octets);
        }
    }
});
