//! Receipts: any octets under any data_coding with any TLVs beside them, and any text.

#![no_main]

use smpp_protocol::message_id::Pairing;
use smpp_protocol::receipt::When;
use smpp_protocol::text::{Alphabet, Encoding};
use smpp_protocol::{Receipt, Tlvs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    let (data_coding, alphabet, tlvs, octets) = input;
    let encodings = Encoding::ALL;
    let alphabet = Alphabet::from(encodings[usize::from(alphabet) % encodings.len()]);
    let (region, text) = octets.split_at(usize::from(tlvs).min(octets.len()));
    let receipt = Receipt::read(text, data_coding, Tlvs::new(region), &alphabet.into());
    look(&receipt);
    let _ = Receipt::characters(text, Encoding::of(data_coding, alphabet));
    assert_eq!(receipt.clone().into_owned(), receipt);
    if let Ok(text) = str::from_utf8(text) {
        let receipt = Receipt::parse(text);
        look(&receipt);
        for flaw in receipt.flaws(text, &Pairing::default()) {
            let place = flaw.offset.map(|offset| text.get(offset..).is_some());
            assert_ne!(place, Some(false), "{flaw:?}");
            assert!(!flaw.to_string().is_empty());
        }
        let _ = When::parse(text);
    }
});

fn look(receipt: &Receipt<'_>) {
    let _ = (receipt.submitted(), receipt.done(), receipt.is_empty());
    if let (Some(id), Some(text_id)) = (&receipt.id, &receipt.text_id) {
        assert!(!id.is_empty() || text_id.is_empty());
    }
}
