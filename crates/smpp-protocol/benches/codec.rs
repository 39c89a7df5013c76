//! How fast PDUs and texts are read and written: a submit_sm of 160 octets with three TLVs, beside
//! two codecs that others wrote.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smpp_protocol::pdu::Sm;
use smpp_protocol::text::{self, Encoding, Policy};
use smpp_protocol::{Address, Command, Pdu, Receipt, Status, Tag, Tlvs, frame, tlv};

const RECEIPT: &str = "id:4F2A01 sub:001 dlvrd:001 submit date:2601311200 \
                       done date:2601311203 stat:DELIVRD err:000 text:Hello there";

fn region() -> Vec<u8> {
    let mut region = Vec::new();
    for (tag, value) in [
        (Tag::USER_MESSAGE_REFERENCE, &[0x12, 0x34][..]),
        (Tag::SOURCE_PORT, &[0x23, 0xF0]),
        (Tag::DEST_PORT, &[0x23, 0xF1]),
    ] {
        let pushed = tlv::push_tlv(&mut region, tag, value);
        assert!(pushed.is_ok());
    }
    region
}

fn submit_sm<'a>(text: &'a [u8], region: &'a [u8]) -> Sm<'a> {
    Sm {
        source: Address::parse("ACME"),
        destination: Address::parse("+4915112345678"),
        registered_delivery: 1,
        short_message: text,
        tlvs: Tlvs::new(region),
        ..Sm::default()
    }
}

fn pdus(criterion: &mut Criterion) {
    let (text, region) = ([b'x'; 160], region());
    let sm = submit_sm(&text, &region);
    let mut wire = Vec::new();
    assert!(
        sm.encode(Command::SUBMIT_SM, Status::ROK, 1, &mut wire)
            .is_ok()
    );

    let mut group = criterion.benchmark_group("submit_sm");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let frame = frame::split(black_box(&wire), 65_536).ok().flatten()?;
            Some(Pdu::read(frame))
        });
    });
    group.bench_function("decode by rusmpp-core, borrowing", |bencher| {
        use rusmpp_core::command::borrowed::Command;
        use rusmpp_core::decode::borrowed::DecodeWithLength;
        bencher.iter(|| Command::<'_, 4>::decode(&black_box(&wire)[4..], wire.len() - 4));
    });
    group.bench_function("decode by smpp34", |bencher| {
        bencher.iter(|| {
            let header = smpp34::CommandHeader::decode(black_box(&wire)).ok()?;
            Some(smpp34::submit_sm::decode(header, &wire))
        });
    });
    group.bench_function("decode, every TLV visited", |bencher| {
        bencher.iter(|| {
            let Ok(Pdu::SubmitSm(sm)) = Pdu::decode(black_box(&wire)) else {
                return 0;
            };
            sm.tlvs.iter().map(|tlv| tlv.value.len()).sum::<usize>()
        });
    });
    let mut out = Vec::with_capacity(1024);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&sm).encode(Command::SUBMIT_SM, Status::ROK, 1, &mut out)
        });
    });
    group.finish();
}

fn texts(criterion: &mut Criterion) {
    let text = "Hello there, this is a text of a hundred and sixty characters. ".repeat(3);
    let text = &text[..160];
    let mut group = criterion.benchmark_group("text");
    group.bench_function("choose and encode", |bencher| {
        let policy = Policy::default();
        bencher.iter(|| text::choose(black_box(text), &policy));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| text::decode_as(black_box(text.as_bytes()), Encoding::Gsm));
    });
    group.bench_function("receipt", |bencher| {
        bencher.iter(|| Receipt::parse(black_box(RECEIPT)).done());
    });
    group.finish();
}

criterion_group!(benches, pdus, texts);
criterion_main!(benches);
