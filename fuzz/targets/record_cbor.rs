//! Any octets on an internal topic in CBOR.

#![no_main]

use kafka_smpp::record::cbor;
use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;
use kafka_smpp::record::internal::{
    Barrier, CorrelationEntry, Delivery, EntryView, Parked, SegmentEntry,
};
use kafka_smpp::record::kind::{Kind, Record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((kind, fields)) = cbor::value(octets) else {
        return;
    };
    let _ = Codec::new(Format::Cbor).reduced(octets, "too large");
    match kind {
        Kind::Correlation => {
            let read = reads_back::<CorrelationEntry>(octets);
            let view = cbor::read::<EntryView<'_>>(kind, fields);
            // The view skips what it does not need.
            if let Some(entry) = read {
                let view = view.expect("what is read as a whole");
                assert_eq!((view.submitted_at, view.seen), (entry.submitted_at, entry.seen));
                assert_eq!(view.destination, entry.destination.as_deref());
            }
        }
        Kind::Parked => drop(reads_back::<Parked>(octets)),
        Kind::Piece => drop(reads_back::<SegmentEntry>(octets)),
        Kind::Owner => drop(reads_back::<Barrier>(octets)),
        _ => drop(reads_back::<Delivery>(octets)),
    }
});

/// What was read is read again when it is written, and shown.
fn reads_back<T: Record + cbor::Internal>(octets: &[u8]) -> Option<T> {
    let codec = Codec::new(Format::Cbor);
    let record: T = codec.read_internal(octets).ok()?;
    let written = codec.must_write(&record);
    let again: T = codec.read_internal(&written).expect("what we wrote");
    assert_eq!(codec.must_write(&again), written);
    assert!(codec.shown(octets).is_ok());
    Some(record)
}
