//! Reading a PDU allocates nothing; writing one allocates nothing beyond its buffer.

#![allow(clippy::unwrap_used, clippy::panic)]

use allocation_counter::measure;
use proptest::collection::vec;
use proptest::prelude::*;
use smpp_protocol::pdu::{Sm, SmResp};
use smpp_protocol::text::{self, Encoding};
use smpp_protocol::{Address, Command, Frame, Header, Pdu, Receipt, Status, Tag, Tlvs, frame, tlv};

const RECEIPT: &[u8] = b"id:4F2A01 sub:001 dlvrd:001 submit date:2601311200 \
                         done date:2601311203 stat:DELIVRD err:000 text:Hello";

fn deliver_sm(region: &[u8]) -> Vec<u8> {
    let sm = Sm {
        source: Address::parse("+4915112345678"),
        destination: Address::parse("12345"),
        esm_class: 0x04,
        short_message: RECEIPT,
        tlvs: Tlvs::new(region),
        ..Sm::default()
    };
    let mut wire = Vec::new();
    sm.encode(Command::DELIVER_SM, Status::ROK, 1, &mut wire)
        .unwrap();
    wire
}

fn tlvs() -> Vec<u8> {
    let mut region = Vec::new();
    tlv::push_tlv(&mut region, Tag::RECEIPTED_MESSAGE_ID, b"4F2A01\0").unwrap();
    tlv::push_tlv(&mut region, Tag::MESSAGE_STATE, &[2]).unwrap();
    region
}

#[test]
fn reading_a_pdu_allocates_nothing() {
    let wire = deliver_sm(&tlvs());
    let counted = measure(|| {
        let frame = frame::split(&wire, 65_536).unwrap().unwrap();
        let Ok(Pdu::DeliverSm(sm)) = Pdu::read(frame) else {
            panic!("not a deliver_sm")
        };
        assert_eq!(sm.tlvs.get(Tag::MESSAGE_STATE), Some(&[2][..]));
        let receipt = Receipt::of(&sm, &Default::default());
        assert_eq!(receipt.id.as_deref(), Some("4F2A01"));
        assert!(receipt.done().is_some());
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn writing_into_a_buffer_with_room_allocates_nothing() {
    let wire = deliver_sm(&tlvs());
    let pdu = Pdu::decode(&wire).unwrap();
    let mut out = Vec::with_capacity(1024);
    let counted = measure(|| {
        pdu.encode(Status::ROK, 1, &mut out).unwrap();
        let answer = SmResp {
            message_id: b"4F2A01",
            ..SmResp::default()
        };
        answer
            .encode(Command::SUBMIT_SM_RESP, Status::ROK, 2, &mut out)
            .unwrap();
    });
    assert_eq!(counted.count_total, 0);
    assert_eq!(out[..wire.len()], wire);
}

proptest! {
    #[test]
    fn whatever_octets_a_pdu_has_reading_it_allocates_nothing(
        command in prop::sample::select(Command::ALL),
        body in vec(prop_oneof![2 => 0u8..8, 1 => any::<u8>()], 0..300),
    ) {
        let length = (frame::HEADER + body.len()) as u32;
        let header = Header { length, command, status: Status::ROK, sequence: 1 };
        let counted = measure(|| {
            if let Ok(Pdu::SubmitMulti(multi)) = Pdu::read(Frame { header, body: &body }) {
                assert!(multi.destinations.iter().count() < 256);
            }
        });
        prop_assert_eq!(counted.count_total, 0);
    }

    /// A text is not larger in memory than the longest character makes it.
    #[test]
    fn reading_a_text_allocates_in_proportion_to_it(
        encoding in prop::sample::select(Encoding::ALL),
        octets in vec(any::<u8>(), 0..300),
    ) {
        let counted = measure(|| drop(text::decode_as(&octets, encoding)));
        prop_assert!(counted.bytes_max <= 64 + 16 * octets.len() as u64, "{counted:?}");
    }
}
