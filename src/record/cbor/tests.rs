use std::borrow::Cow;

use jiff::Timestamp;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::codec::Codec;
use super::super::format::Format;
use super::super::internal::{BorrowedEntry, EntryView, Header, NewDelivery, Seen, SegmentDigest};
use super::super::keys::Position;
use super::super::kind::Record;
use super::*;

/// The formats without a registry that internal topics may have.
const FORMATS: [Format; 3] = [Format::Json, Format::AvroSingleObject, Format::Cbor];

fn moment() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_000i64).prop_map(|at| Timestamp::from_microsecond(at).unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    let make = |(topic, partition, offset)| Position {
        topic,
        partition,
        offset,
    };
    ("[a-z.]{1,12}", 0..1000i32, 0..i64::MAX).prop_map(make)
}

prop_compose! {
    fn seen()(
        state in any::<u8>(),
        digest in any::<u32>(),
        recipient in of(any::<i64>()),
        report in of(any::<u32>()),
        ambiguous in any::<bool>(),
        session in of(any::<u32>()),
    ) -> Seen {
        Seen { state, digest, recipient, report, ambiguous, session }
    }
}

prop_compose! {
    fn header()(key in any::<String>(), value in of(any::<Vec<u8>>())) -> Header {
        Header { key, value }
    }
}

fn some<T: Strategy>(one: T) -> impl Strategy<Value = Vec<T::Value>> {
    proptest::collection::vec(one, 0..3)
}

prop_compose! {
    fn entry()(
        (esme, message_id, log_id) in ("[a-z]{1,8}", any::<String>(), any::<String>()),
        data in of("[a-z ]{0,9}"),
        record in position(),
        (part, attempt) in (of(any::<u16>()), any::<u32>()),
        submitted_at in moment(),
        (source, destination) in (of(any::<String>()), of(any::<String>())),
        (recipients, numbers, lists) in (of(any::<u32>()), some(any::<i64>()), any::<bool>()),
        reference in of(any::<u16>()),
        (headers, seen) in (some(header()), some(seen())),
        final_at in of(moment()),
    ) -> CorrelationEntry {
        let raw = |text| RawValue::from_string(format!(r#"{{"b" : 1.50, "a":"{text}"}}"#)).unwrap();
        CorrelationEntry {
            esme, message_id, log_id, extra_data: data.map(raw), record, part, attempt, submitted_at,
            source, destination, recipients, numbers, lists, reference, headers, seen, final_at,
        }
    }
}

prop_compose! {
    fn delivery()(
        (esme, bind) in (any::<String>(), any::<String>()),
        received_at in moment(),
        pdu in any::<Vec<u8>>(),
        bound_at in of(moment()),
        home in of(any::<String>()),
        tries in any::<u8>(),
    ) -> Delivery {
        Delivery { esme, bind, received_at, pdu, bound_at, home, tries }
    }
}

prop_compose! {
    fn segments()(
        delivery in of(delivery()),
        published_at in of(moment()),
        digests in some((any::<u8>(), any::<u32>())),
    ) -> SegmentEntry {
        let parts = digests.into_iter().map(|(part, digest)| SegmentDigest { part, digest });
        SegmentEntry { delivery, published_at, parts: parts.collect() }
    }
}

fn text<T: Record>(record: &T) -> String {
    serde_json::to_string(record).unwrap()
}

/// It reads back the same from every format, whichever format its topic is to have.
fn reads_back<T: Record + Internal>(record: &T) {
    let codecs = FORMATS.map(Codec::new);
    for writer in &codecs {
        let octets = writer.write(record).unwrap();
        for reader in &codecs {
            let read: T = reader.read_internal(&octets).unwrap();
            assert_eq!(text(&read), text(record), "{writer:?} to {reader:?}");
        }
        let kept = Codec::kept(&octets, record);
        assert_eq!(*kept, codecs[2].write(record).unwrap());
        let shown = Codec::new(writer.format()).shown(&octets).unwrap();
        if writer.format() == Format::Cbor {
            assert_eq!(shown, serde_json::to_value(record).unwrap());
        }
    }
}

/// What is read of an entry without copies is what it says.
fn is_viewed(entry: &CorrelationEntry) {
    let octets = Codec::new(Format::Cbor).write(entry).unwrap();
    let (kind, fields) = value(&octets).unwrap();
    let view: EntryView<'_> = read(kind, fields).unwrap();
    assert_eq!(view.submitted_at, entry.submitted_at);
    assert_eq!(view.source, entry.source.as_deref());
    assert_eq!(view.destination, entry.destination.as_deref());
    assert_eq!(
        (view.recipients, view.lists),
        (entry.recipients, entry.lists)
    );
    assert_eq!(
        (&view.numbers, view.reference),
        (&entry.numbers, entry.reference)
    );
    assert_eq!((&view.seen, view.final_at), (&entry.seen, entry.final_at));

    let message: BorrowedEntry<'_> = read(kind, fields).unwrap();
    assert_eq!(
        (message.esme, message.message_id, message.log_id),
        (&*entry.esme, &*entry.message_id, &*entry.log_id)
    );
    assert_eq!(
        (&*message.record, message.part, message.attempt),
        (&entry.record, entry.part, entry.attempt)
    );
    assert_eq!(message.submitted_at, entry.submitted_at);
    assert_eq!(message.source, entry.source.as_deref());
    assert_eq!(message.destination, entry.destination.as_deref());
    let text = |data: &RawValue| data.get().to_owned();
    assert_eq!(
        message.extra_data.map(text),
        entry.extra_data.as_deref().map(text)
    );
    assert_eq!(
        (&*message.numbers, &message.headers),
        (&*entry.numbers, &entry.headers)
    );
}

/// A borrowed delivery is written as an owned one is, octet for octet.
fn is_written_alike(delivery: &Delivery) {
    let new = NewDelivery {
        esme: &delivery.esme,
        bind: &delivery.bind,
        received_at: delivery.received_at,
        pdu: &delivery.pdu,
        bound_at: delivery.bound_at,
        home: delivery.home.as_deref(),
        tries: delivery.tries,
    };
    for codec in FORMATS.map(Codec::new) {
        let alike = codec.write(&new).unwrap() == codec.write(delivery).unwrap();
        assert!(alike, "{codec:?}: {delivery:?}");
    }
}

/// What was published is written behind an entry as if all of it were written anew.
fn takes_what_was_published(entry: &CorrelationEntry) {
    let codec = Codec::new(Format::Cbor);
    let bare = CorrelationEntry {
        seen: Vec::new(),
        final_at: None,
        ..entry.clone()
    };
    let (bare, whole) = (codec.write(&bare).unwrap(), codec.write(entry).unwrap());
    assert_eq!(has_receipts(&bare), Some(false));
    assert_eq!(has_receipts(&whole), Some(entry.has_receipts()));
    if !entry.seen.is_empty() {
        let with = |octets: &[u8]| entry_with(octets, &entry.seen, entry.final_at);
        assert_eq!((with(&bare), with(&whole)), (Some(whole), None));
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        entry in entry(),
        delivery in delivery(),
        published_at in of(moment()),
        seen in of(seen()),
        segments in segments(),
        (nonce, transactional_id) in (any::<String>(), any::<String>()),
    ) {
        reads_back(&entry);
        is_viewed(&entry);
        takes_what_was_published(&entry);
        reads_back(&delivery);
        is_written_alike(&delivery);
        reads_back(&Parked { delivery, published_at, seen });
        reads_back(&segments);
        reads_back(&Barrier { nonce, transactional_id });
    }

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), tag in 6..11u8) {
        let octets = [&[TAG | tag], &*octets].concat();
        let (kind, fields) = value(&octets).unwrap();
        let _ = has_receipts(&octets);
        let _ = read::<BorrowedEntry<'_>>(kind, fields);
        let _ = read::<EntryView<'_>>(kind, fields);
        let _ = shown(kind, fields);
        let _ = reduced(kind, fields);
    }
}

fn example() -> (CorrelationEntry, Vec<u8>) {
    let record = Position {
        topic: "t".into(),
        partition: 3,
        offset: 1042,
    };
    let new = BorrowedEntry {
        esme: "acme",
        message_id: "7F",
        log_id: "a",
        extra_data: None,
        record: Cow::Borrowed(&record),
        part: None,
        attempt: 1,
        submitted_at: Timestamp::from_microsecond(1).unwrap(),
        source: None,
        destination: Some("+4179"),
        recipients: None,
        numbers: Cow::default(),
        lists: false,
        reference: None,
        headers: Vec::new(),
    };
    let octets = Codec::new(Format::Cbor).write(&new).unwrap();
    (Codec::default().read_internal(&octets).unwrap(), octets)
}

/// Later versions read these octets.
#[test]
fn fields_keep_their_numbers() {
    let (entry, octets) = example();
    let expected = b"\xC6\x89\x64acme\x627F\x83\x61t\x03\x19\x04\x12\xF6\x61a\x01\x01\xF6\x65+4179";
    assert_eq!(octets, expected);
    let text = r#"{"esme":"acme","message_id":"7F","log_id":"a","record":{"topic":"t","partition":3,"offset":1042},"attempt":1,"submitted_at":"1970-01-01T00:00:00.000001Z","destination":"+4179"}"#;
    assert_eq!(serde_json::to_string(&entry).unwrap(), text);
}

#[test]
fn fields_of_a_newer_version_are_skipped_and_those_that_are_missing_have_defaults() {
    let codec = Codec::new(Format::Cbor);
    let newer = b"\xC9\x83\x61n\x61w\xA1\x01\x82\x02\x03";
    let barrier: Barrier = codec.read_internal(newer).unwrap();
    assert_eq!((&*barrier.nonce, &*barrier.transactional_id), ("n", "w"));
    let delivery: Delivery = codec
        .read_internal(b"\xCA\x84\x61e\x61b\x07\x42\x00\xFF")
        .unwrap();
    assert_eq!(
        (delivery.pdu, delivery.bound_at, delivery.tries),
        (vec![0, 255], None, 0)
    );
}

#[test]
fn what_is_no_value_says_why() {
    let codec = Codec::new(Format::Cbor);
    let (_, octets) = example();
    for (octets, why) in [
        (&octets[..octets.len() - 1], "not a Correlation in CBOR"),
        (&[&*octets, b"\0"].concat(), "something stands behind it"),
        (b"\xCA\x80", "a Delivery stands where a Correlation belongs"),
        (b"{}", "missing field"),
        (b"", "EOF"),
    ] {
        let error = codec.read_internal::<CorrelationEntry>(octets).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(
        codec
            .read::<super::super::failed::ReadSendError>(&octets)
            .is_err()
    );
    assert!(Codec::default().outbound(&octets).is_err());
}

#[test]
fn what_is_too_large_goes_without_extra_data_and_headers() {
    let codec = Codec::new(Format::Cbor);
    let (mut entry, octets) = example();
    assert_eq!(codec.reduced(&octets, "too large"), None);
    entry.extra_data = Some(RawValue::from_string("[1]".to_owned()).unwrap());
    entry.headers = vec![Header {
        key: "k".into(),
        value: None,
    }];
    let large = codec.write(&entry).unwrap();
    assert_eq!(codec.reduced(&large, "too large"), Some(octets));
}
