//! Damage is found where it is, and what is before it is kept.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::pdu::{Destination, Destinations, Sm, SmResp, SubmitMulti};
use crate::{Address, Tag, tlv};

fn submit_sm() -> Vec<u8> {
    let mut region = Vec::new();
    tlv::push_tlv(&mut region, Tag::USER_MESSAGE_REFERENCE, &[0, 7]).unwrap();
    let sm = Sm {
        source: Address::parse("ACME"),
        destination: Address::parse("4915112345678"),
        short_message: b"hello",
        tlvs: Tlvs::new(&region),
        ..Sm::default()
    };
    let mut wire = Vec::new();
    sm.encode(Command::SUBMIT_SM, Status::ROK, 1, &mut wire)
        .unwrap();
    wire
}

fn with_length(mut pdu: Vec<u8>) -> Vec<u8> {
    let length = pdu.len() as u32;
    pdu[..4].copy_from_slice(&length.to_be_bytes());
    pdu
}

fn codes(octets: &[u8]) -> Vec<String> {
    let flaws = Anatomy::of(octets).flaws;
    flaws.iter().map(|flaw| flaw.code().into_owned()).collect()
}

#[test]
fn every_octet_has_its_name() {
    let wire = submit_sm();
    let anatomy = Anatomy::of(&wire);
    assert_eq!(anatomy.flaws, []);
    let names: Vec<_> = anatomy.parts.iter().map(|part| part.name).collect();
    assert_eq!(
        &names[..6],
        [
            "command_length",
            "command_id",
            "command_status",
            "sequence_number",
            "service_type",
            "source_addr_ton",
        ]
    );
    let last = ["sm_length", "short_message", "user_message_reference"];
    assert_eq!(names[names.len() - 3..], last);
    let joined: Vec<u8> = anatomy
        .parts
        .iter()
        .flat_map(|part| part.octets)
        .copied()
        .collect();
    assert_eq!(joined, wire);
}

#[test]
fn a_time_of_16_characters_must_be_one() {
    let flaws = |time: &'static [u8]| {
        let sm = Sm {
            validity_period: time,
            ..Sm::default()
        };
        let mut wire = Vec::new();
        sm.encode(Command::SUBMIT_SM, Status::ROK, 1, &mut wire)
            .unwrap();
        let anatomy = Anatomy::of(&wire);
        assert!(!anatomy.is_malformed(), "an SMSC may take it");
        codes(&wire)
    };
    assert!(flaws(b"").is_empty());
    assert!(flaws(b"000001000000000R").is_empty());
    assert_eq!(flaws(b"991231235959949+"), ["not_a_time"]);
    assert_eq!(flaws(b"26013112000000\xE9+"), ["not_a_time"]);
}

#[test]
fn entries_of_a_list_are_numbered() {
    let to = [
        Destination::Sme(Address::parse("12345")),
        Destination::List(b"staff"),
    ];
    let mut wire = Vec::new();
    let multi = SubmitMulti {
        destinations: Destinations::Slice(&to),
        ..SubmitMulti::default()
    };
    multi
        .encode(Command::SUBMIT_MULTI, Status::ROK, 1, &mut wire)
        .unwrap();
    let anatomy = Anatomy::of(&wire);
    let entries: Vec<_> = anatomy
        .parts
        .iter()
        .filter_map(|part| Some((part.entry?.1, part.name)))
        .collect();
    assert_eq!(
        entries,
        [
            (0, "dest_flag"),
            (0, "dest_addr_ton"),
            (0, "dest_addr_npi"),
            (0, "destination_addr"),
            (1, "dest_flag"),
            (1, "dl_name"),
        ]
    );
}

#[test]
fn damage_is_named_and_placed() {
    let whole = submit_sm();
    let end = whole.len();
    let anatomy = Anatomy::of(&whole[..end - 7]);
    let found: Vec<_> = anatomy
        .flaws
        .iter()
        .map(|flaw| (flaw.code(), flaw.range.clone()))
        .collect();
    assert_eq!(
        found,
        [
            ("command_length_exceeds_data".into(), 0..end - 7),
            ("truncated_short_message".into(), end - 11..end - 7),
        ]
    );
    assert_eq!(
        anatomy.parts.last().unwrap().octets,
        b"hell",
        "unread, but there"
    );

    let cut = |octets: usize| with_length(whole[..end - octets].to_vec());
    assert_eq!(codes(&cut(1)), ["truncated_tlv_value"]);
    assert_eq!(codes(&cut(4)), ["truncated_tlv_header"]);
    assert_eq!(codes(&cut(12)), ["truncated_sm_length"]);
    assert_eq!(
        codes(&with_length(whole[..20].to_vec())),
        ["unterminated_c_octet_string"]
    );
    assert_eq!(codes(&whole[..15]), ["truncated_header"]);
    assert_eq!(
        codes(&[whole.clone(), vec![0]].concat()),
        ["trailing_bytes_after_pdu"]
    );
    assert_eq!(
        codes(b"\0\0\0\x0F\0\0\0\x15\0\0\0\0\0\0\0\x01"),
        ["command_length_below_16"]
    );
    assert_eq!(
        codes(b"\0\0\0\x10\0\0\xFF\xFF\0\0\0\0\0\0\0\x01"),
        ["unknown_command_id"]
    );
}

#[test]
fn a_response_lacks_its_body_only_when_the_request_failed() {
    let mut wire = Vec::new();
    for (status, expected) in [
        (Status::RTHROTTLED, &[][..]),
        (Status::ROK, &["body_omitted_status_0"]),
    ] {
        wire.clear();
        crate::frame::push_empty(Command::SUBMIT_SM_RESP, status, 1, &mut wire);
        assert_eq!(codes(&wire), expected);
    }
    wire.clear();
    let answer = SmResp {
        message_id: b"7",
        ..SmResp::default()
    };
    answer
        .encode(Command::SUBMIT_SM_RESP, Status::ROK, 1, &mut wire)
        .unwrap();
    wire.pop();
    assert_eq!(codes(&with_length(wire)), ["unterminated_c_octet_string"]);
}

#[test]
fn what_must_not_be_sent_is_a_warning() {
    let mut wire = submit_sm();
    wire[15] = 0;
    wire[11] = 8;
    let anatomy = Anatomy::of(&wire);
    assert!(!anatomy.is_malformed());
    assert_eq!(
        codes(&wire),
        ["sequence_number_range", "command_status_in_request"]
    );
    let unbind = b"\0\0\0\x15\0\0\0\x06\0\0\0\0\0\0\0\x01\x14\0\0\x01\0";
    assert_eq!(codes(unbind), ["unexpected_tlvs"]);
    let outbind = b"\0\0\0\x1C\0\0\0\x0B\0\0\0\0\0\0\0\x01a\0ninechars\0";
    let anatomy = Anatomy::of(outbind);
    let told = anatomy.flaws[0].to_string();
    assert_eq!(told, "password has 9 octets, at most 8 are allowed");
    assert_eq!(
        (anatomy.flaws.len(), anatomy.flaws[0].range.clone()),
        (1, 18..28)
    );
    let state = b"\0\0\0\x16\x80\0\0\x09\0\0\0\0\0\0\0\x01\0\x02\x10\0\x01\x34";
    assert_eq!(codes(state), [""; 0]);
    let mut state = state.to_vec();
    state.push(0x34);
    state[20] = 2;
    assert_eq!(codes(&with_length(state)), ["tlv_length"]);
}

#[test]
fn a_user_data_header_longer_than_the_text_is_noticed() {
    let mut wire = submit_sm();
    let anatomy = Anatomy::of(&wire);
    let at = |name| {
        anatomy
            .parts
            .iter()
            .find(|part| part.name == name)
            .unwrap()
            .range
            .clone()
    };
    let (esm_class, text) = (at("esm_class").start, at("short_message"));
    wire[esm_class] = 0x40;
    let flaws = Anatomy::of(&wire).flaws;
    assert_eq!(
        (flaws[0].kind, flaws[0].range.clone()),
        (FlawKind::DamagedUdh, text)
    );
}

#[test]
fn what_ties_parts_together_must_name_one() {
    let told = |esm_class, text: &'static [u8], parameters: &[(Tag, &[u8])]| {
        let mut region = Vec::new();
        for (tag, value) in parameters {
            tlv::push_tlv(&mut region, *tag, value).unwrap();
        }
        let sm = Sm {
            esm_class,
            short_message: text,
            tlvs: Tlvs::new(&region),
            ..Sm::default()
        };
        let mut wire = Vec::new();
        sm.encode(Command::SUBMIT_SM, Status::ROK, 1, &mut wire)
            .unwrap();
        codes(&wire)
    };
    assert_eq!(told(0x40, b"\x05\0\x03\x01\x02\x02a", &[]), [""; 0]);
    assert_eq!(
        told(0x40, b"\x05\0\x03\x01\x02\x03a", &[]),
        ["concatenation"]
    );
    assert_eq!(told(0x40, b"\x03\x05\x04\x0Ba", &[]), ["damaged_udh"]);
    assert_eq!(told(0x40, b"", &[]), ["damaged_udh"]);
    let [reference, total, part] = [
        (Tag::SAR_MSG_REF_NUM, &b"\0\x07"[..]),
        (Tag::SAR_TOTAL_SEGMENTS, b"\x02"),
        (Tag::SAR_SEGMENT_SEQNUM, b"\x01"),
    ];
    assert_eq!(told(0, b"a", &[reference, total, part]), [""; 0]);
    assert_eq!(told(0, b"a", &[reference, part]), ["concatenation"]);
    let payload = (Tag::MESSAGE_PAYLOAD, &b"b"[..]);
    assert_eq!(told(0, b"a", &[payload]), ["short_message_and_payload"]);
    assert_eq!(told(0, b"", &[payload]), [""; 0]);
}

#[test]
fn values_without_a_meaning_are_pointed_at() {
    let sm = Sm {
        priority_flag: 5,
        registered_delivery: 0x20,
        replace_if_present_flag: 2,
        ..Sm::default()
    };
    let mut wire = Vec::new();
    sm.encode(Command::SUBMIT_SM, Status::ROK, 1, &mut wire)
        .unwrap();
    let anatomy = Anatomy::of(&wire);
    let told: Vec<_> = anatomy.flaws.iter().map(Flaw::to_string).collect();
    assert_eq!(
        told,
        [
            "priority_flag: SMPP has no meaning for 5",
            "registered_delivery: SMPP has no meaning for 32",
            "replace_if_present_flag: SMPP has no meaning for 2",
        ]
    );
    assert!(!anatomy.is_malformed());
}

#[test]
fn any_response_may_say_how_busy_the_smsc_is() {
    let busy = b"\0\0\0\x15\x80\0\0\x15\0\0\0\0\0\0\0\x01\x04\x28\0\x01\x50";
    assert_eq!(codes(busy), [""; 0]);
}

fn is_whole(octets: &[u8]) -> bool {
    let anatomy = Anatomy::of(octets);
    let mut at = 0;
    for part in &anatomy.parts {
        assert_eq!(
            (part.range.start, part.octets),
            (at, &octets[part.range.clone()])
        );
        at = part.range.end;
    }
    at == octets.len()
        && anatomy
            .flaws
            .iter()
            .all(|flaw| flaw.range.end <= octets.len())
}

proptest! {
    #[test]
    fn any_octets_are_taken_apart_without_a_gap(octets in vec(any::<u8>(), 0..80)) {
        prop_assert!(is_whole(&octets));
    }

    #[test]
    fn damaged_pdus_are_taken_apart_without_a_gap(
        command in prop::sample::select(Command::ALL),
        body in vec(prop_oneof![3 => 0u8..6, 1 => any::<u8>()], 0..80),
        extra in 0u32..4,
    ) {
        let mut octets = Vec::new();
        let length = (16 + body.len()) as u32 + extra - 1;
        Header { length, command, status: Status::ROK, sequence: 1 }.encode(&mut octets);
        octets.extend(&body);
        prop_assert!(is_whole(&octets));
        // What a lenient reader refuses, a strict one does too.
        if Pdu::decode(&octets).is_err() {
            prop_assert!(Anatomy::of(&octets).is_malformed());
        }
    }
}
