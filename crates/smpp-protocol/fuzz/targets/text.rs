//! Any octets are some text in any encoding, national tables and packed septets included; and the
//! text that was read is read again when it is written again.

#![no_main]

use smpp_protocol::Udh;
use smpp_protocol::text::national::{self, Language, Shift};
use smpp_protocol::text::{self, Alphabet, Encoding, Part};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u8, bool, &[u8])| {
    let (data_coding, choice, has_udh, octets) = input;
    let default = Encoding::ALL[usize::from(choice) % Encoding::ALL.len()];
    let alphabet = Alphabet::from(default);
    let part = Part {
        user_data: octets,
        has_udh,
        data_coding,
    };
    let alone = text::decode_user_data(octets, has_udh, data_coding, &alphabet);
    match text::decode_parts(&[part], &alphabet) {
        Some(text) => assert_eq!(text, alone),
        None => assert_eq!(Encoding::of(data_coding, alphabet), Encoding::Binary),
    }
    let (half, other) = octets.split_at(octets.len() / 2);
    let halves = [half, other].map(|user_data| Part { user_data, ..part });
    let _ = text::decode_parts(&halves, &alphabet);
    comes_back(octets, default);
    shifted(octets, choice);
    let _ = Udh::split(octets).map(|(udh, _)| Shift::of(&udh));
});

fn comes_back(octets: &[u8], encoding: Encoding) {
    let text = text::decode_as(octets, encoding);
    let mut again = Vec::new();
    // A last carriage return of packed septets may be fill.
    let ambiguous = encoding == Encoding::GsmPacked && text.ends_with('\r');
    match text::encode(&text, encoding, &mut again) {
        Ok(()) if !ambiguous => assert_eq!(text::decode_as(&again, encoding), text),
        Ok(()) => {}
        Err(error) => {
            assert!(again.is_empty());
            assert_eq!(text.chars().nth(error.index), Some(error.character));
            assert!(!encoding.has(error.character));
        }
    }
}

fn shifted(octets: &[u8], choice: u8) {
    let language = |n: u8| Language::ALL[usize::from(n) % Language::ALL.len()];
    let shift = Shift {
        locking: language(choice >> 4),
        single: language(choice & 0xF),
    };
    let text = national::decode(octets, shift);
    assert!(text.chars().count() <= octets.len());
    let mut again = Vec::new();
    if national::encode(&text, shift, &mut again).is_ok() {
        assert_eq!(national::decode(&again, shift), text);
    }
}
