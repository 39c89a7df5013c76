//! A stream of octets as PDUs: none makes reading panic, none is read beyond its command_length,
//! and what a strict reading finds nothing wrong with is written again as it was read.

#![no_main]

use smpp_protocol::pdu::anatomy::Anatomy;
use smpp_protocol::pdu::Sm;
use smpp_protocol::text::Alphabet;
use smpp_protocol::{Frame, Pdu, Receipt, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let mut rest = stream;
    while let Ok(Some(frame)) = frame::split(rest, 65_536) {
        let (whole, after) = rest.split_at(frame.header.length as usize);
        one(whole, frame);
        rest = after;
    }
    taken_apart(rest);
});

fn one(whole: &[u8], frame: Frame<'_>) {
    let anatomy = taken_apart(whole);
    let read = Pdu::read(frame);
    assert_eq!(read, Pdu::decode(whole));
    let Ok(pdu) = read else {
        assert!(
            anatomy.is_malformed(),
            "what a lenient reader refuses, a strict one does too"
        );
        return;
    };
    match pdu {
        Pdu::SubmitSm(sm) | Pdu::DeliverSm(sm) => message(&sm, whole.len()),
        Pdu::DataSm(sm) => message(&sm.into(), whole.len()),
        _ => {}
    }
    let mut again = Vec::new();
    let written = pdu.encode(frame.header.status, frame.header.sequence, &mut again);
    if written.is_ok() {
        let read = Frame::decode(&again).and_then(Pdu::read);
        match (read, pdu) {
            // Where it lies is part of it.
            (Ok(Pdu::Unknown(again)), Pdu::Unknown(first)) => assert_eq!(again.body, first.body),
            (read, pdu) => assert_eq!(read, Ok(pdu)),
        }
        assert!(!Anatomy::of(&again).is_malformed() || anatomy.is_malformed());
    } else {
        assert!(again.is_empty());
        assert!(!anatomy.flaws.is_empty(), "written strictly: {written:?}");
    }
}

fn taken_apart(octets: &[u8]) -> Anatomy<'_> {
    let anatomy = Anatomy::of(octets);
    let mut at = 0;
    for part in &anatomy.parts {
        assert_eq!(part.range.start, at, "no gap");
        assert_eq!(part.octets, &octets[part.range.clone()]);
        at = part.range.end;
    }
    for flaw in &anatomy.flaws {
        assert!(flaw.range.end <= octets.len());
        assert!(!flaw.to_string().is_empty() && !flaw.code().is_empty());
    }
    anatomy
}

fn message(sm: &Sm<'_>, length: usize) {
    assert!(sm.text_octets().len() <= length);
    assert!(sm.text_octets().ends_with(sm.text_octets_without_udh()));
    let alphabet = Alphabet::default();
    let _ = sm.text(&alphabet);
    let _ = sm.concatenation();
    let receipt = Receipt::of(sm, &alphabet.into());
    let _ = (receipt.submitted(), receipt.done());
}

