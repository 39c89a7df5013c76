//! Any octets on an outbound topic in JSON: refused with a reason, or sent as PDUs that a strict
//! reading finds nothing wrong with.

#![no_main]

use jiff::Timestamp;
use kafka_smpp::record::json;
use kafka_smpp::record::keys::Position;
use smpp_protocol::frame;
use smpp_protocol::pdu::anatomy::Anatomy;
use smpp_protocol::text::national::Language;
use kafka_smpp::submit::message::{Defaults, prepare};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let record = match json::outbound(octets) {
        Ok(record) => record,
        Err(error) => {
            assert!(!error.text.is_empty());
            return;
        }
    };
    let defaults = Defaults {
        languages: Language::ALL[1..].to_vec(),
        ..Defaults::default()
    };
    let position = Position {
        topic: "sms.outbound".into(),
        partition: 0,
        offset: 7,
    };
    let message = match prepare(&record, &defaults, &position, Timestamp::UNIX_EPOCH) {
        Ok(message) => message,
        Err(refused) => {
            assert!(!refused.text.is_empty());
            return;
        }
    };
    let (mut rest, mut parts) = (&message.pdu[..], 0);
    while let Some(frame) = frame::split(rest, usize::MAX).expect("a PDU of ours") {
        let (whole, after) = rest.split_at(frame.header.length as usize);
        let anatomy = Anatomy::of(whole);
        assert!(!anatomy.is_malformed(), "{:?}", anatomy.flaws);
        (rest, parts) = (after, parts + 1);
    }
    assert!(rest.is_empty());
    assert_eq!(parts, message.parts);
});
