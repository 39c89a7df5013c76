//! Texts, octets and what stands between them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::segment;

fn octets(text: &str, encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    encode(text, encoding, &mut out).unwrap();
    assert_eq!(decode_as(&out, encoding), text);
    out
}

#[test]
fn texts_become_octets_and_texts_again() {
    assert_eq!(
        octets("@ £5 {€}", Encoding::Gsm),
        b"\x00 \x015 \x1B\x28\x1B\x65\x1B\x29"
    );
    assert_eq!(octets("ΔΩ", Encoding::Gsm), [0x10, 0x15]);
    assert_eq!(
        octets("é😁", Encoding::Ucs2),
        [0, 0xE9, 0xD8, 0x3D, 0xDE, 0x01]
    );
    assert_eq!(octets("é", Encoding::Latin1), [0xE9]);
    assert_eq!(octets("5 €", Encoding::Latin9), b"5 \xA4");
    assert_eq!(octets("Жё№", Encoding::Cyrillic), [0xB6, 0xF1, 0xF0]);
    assert_eq!(octets("שלום", Encoding::Hebrew), [0xF9, 0xEC, 0xE5, 0xED]);
}

#[test]
fn a_missing_character_is_named_with_its_place() {
    let mut out = b"before".to_vec();
    let error = encode("it’s", Encoding::Gsm, &mut out).unwrap_err();
    assert_eq!((error.character, error.index), ('’', 2));
    assert_eq!(
        error.to_string(),
        "'’' (U+2019), character 2, is not in gsm7"
    );
    assert_eq!(out, b"before");
    assert!(encode("é", Encoding::Ascii, &mut out).is_err());
    assert!(
        encode("\u{1B}", Encoding::Gsm, &mut out).is_err(),
        "no way to send an escape"
    );
}

#[test]
fn damaged_octets_are_read_as_far_as_they_go() {
    assert_eq!(
        decode_as(b"ab\x1B", Encoding::Gsm),
        "ab ",
        "an escape at the end is a space"
    );
    assert_eq!(decode_as(b"\x1Ba\x80", Encoding::Gsm), "a\u{FFFD}");
    assert_eq!(
        decode_as(&[0, b'a', 0xD8, 0x3D, 0], Encoding::Ucs2),
        "a\u{FFFD}\u{FFFD}"
    );
}

#[test]
fn septets_pack_as_the_specification_shows() {
    assert_eq!(
        octets("hellohello", Encoding::GsmPacked),
        b"\xE8\x32\x9B\xFD\x46\x97\xD9\xEC\x37"
    );
    assert_eq!(
        octets("message", Encoding::GsmPacked),
        b"\xED\xF2\x7C\x1E\x3E\x97\x1B"
    );
    let mut padded = Vec::new();
    packed::pack(&[0x7F], 3, packed::Fill::Zero, &mut padded);
    assert_eq!(padded, [0xF8, 0x03]);
}

#[test]
fn user_data_is_read_as_its_header_says() {
    let gsm = Alphabet::default();
    let turkish = b"\x03\x25\x01\x01Te\x1Dt";
    assert_eq!(decode_user_data(turkish, true, 0, &gsm), "Teşt");
    let part = b"\x05\x00\x03\x42\x02\x01hello";
    assert_eq!(decode_user_data(part, true, 0, &gsm), "hello");
    assert_eq!(
        decode_user_data(b"\xFFhello", true, 3, &gsm),
        "ÿhello",
        "no such header"
    );
    let mut packed = Vec::new();
    let elements = [0, 3, 0x42, 2, 1];
    segment::push_user_data(&elements, b"hello", Encoding::GsmPacked, &mut packed).unwrap();
    let packed = decode_user_data(&packed, true, 0, &Encoding::GsmPacked.into());
    assert_eq!(packed, "hello");
}

#[test]
fn data_coding_tells_the_encoding() {
    let default = Alphabet::from(Encoding::Latin1);
    for (data_coding, encoding) in [
        (0, Encoding::Latin1),
        (1, Encoding::Ascii),
        (8, Encoding::Ucs2),
        (0x10, Encoding::Latin1),
        (0x18, Encoding::Ucs2),
        (0xE0, Encoding::Ucs2),
        (0xF0, Encoding::Latin1),
        (0xF5, Encoding::Binary),
        (5, Encoding::ShiftJis),
        (10, Encoding::Iso2022Jp),
        (13, Encoding::EucJp),
        (14, Encoding::EucKr),
        (9, Encoding::Binary),
        (0x20, Encoding::Binary),
    ] {
        assert_eq!(
            Encoding::of(data_coding, default),
            encoding,
            "data_coding {data_coding:#x}"
        );
    }
    for encoding in Encoding::ALL {
        assert_eq!(Encoding::from_name(encoding.name()), Some(*encoding));
        if encoding.data_coding() != 0 && *encoding != Encoding::Utf16Le {
            assert_eq!(Encoding::of(encoding.data_coding(), default), *encoding);
        }
    }
}

proptest! {
    #[test]
    fn any_text_that_can_be_encoded_comes_back(text in any::<String>()) {
        for encoding in Encoding::ALL {
            let mut out = Vec::new();
            // A text of 8n septets that ends in a carriage return cannot be told from fill.
            let ambiguous = *encoding == Encoding::GsmPacked && text.ends_with('\r');
            if encode(&text, *encoding, &mut out).is_ok() && !ambiguous {
                prop_assert_eq!(&decode_as(&out, *encoding), &text);
            }
        }
    }

    #[test]
    fn gsm_texts_come_back(text in "[A-Za-z0-9@£$¥èéΔΩ_{}€\\[\\]|^~ ]{0,200}") {
        octets(&text, Encoding::Gsm);
        octets(&text, Encoding::GsmPacked);
    }

    #[test]
    fn any_octets_are_some_text(octets in vec(any::<u8>(), 0..200), data_coding: u8) {
        let text = decode(&octets, data_coding, &Alphabet::default());
        prop_assert!(text.chars().count() <= octets.len() * 8 / 7);
    }

    #[test]
    fn packing_keeps_every_septet(septets in vec(0u8..128, 0..180), pad_bits in 0u32..7) {
        let mut octets = Vec::new();
        packed::pack(&septets, pad_bits, packed::Fill::Zero, &mut octets);
        prop_assert_eq!(octets.len(), (septets.len() * 7 + pad_bits as usize).div_ceil(8));
        let mut again = Vec::new();
        packed::unpack(&octets, pad_bits, septets.len(), &mut again);
        prop_assert_eq!(again, septets);
    }
}

#[test]
fn a_message_class_has_its_data_coding() {
    let alphabet = Alphabet::default();
    let flash = |encoding| alphabet.data_coding_of_class(encoding, Class::Flash);
    assert_eq!(flash(Encoding::Gsm), Some(0xF0));
    assert_eq!(flash(Encoding::Ucs2), Some(0x18));
    assert_eq!(flash(Encoding::Binary), Some(0xF4));
    assert_eq!(flash(Encoding::Latin1), None);
    for data_coding in [0x10, 0x18, 0xF0, 0xF4, 0x50] {
        assert_eq!(Class::of(data_coding), Some(Class::Flash));
    }
    assert_eq!(Class::of(0x40), None);
    for (class, name) in Class::ALL {
        assert_eq!(Class::from_name(name), Some(class));
        assert_eq!(Class::from_number(class as u8), Some(class));
    }
}

#[test]
fn what_an_smsc_takes_for_its_default_alphabet_goes_with_data_coding_0() {
    let latin = Alphabet::from(Encoding::Latin1);
    assert_eq!(latin.data_coding(Encoding::Latin1), Some(0));
    assert_eq!(latin.data_coding(Encoding::Ucs2), Some(8));
    assert_eq!(
        latin.data_coding(Encoding::Gsm),
        None,
        "it would be read as Latin-1"
    );
    assert_eq!(
        latin.data_coding_of_class(Encoding::Latin1, Class::Sim),
        Some(0xF2)
    );
    assert_eq!(Alphabet::default().data_coding(Encoding::Latin1), Some(3));
    assert_eq!(
        Alphabet::default().data_coding(Encoding::GsmPacked),
        Some(0)
    );
}
