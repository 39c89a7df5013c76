//! There and back.

use super::*;

fn way(encoding: Encoding) -> Way {
    Way {
        name: encoding.name().to_owned(),
        encoding,
        shift: Shift::default(),
        fill: Fill::CarriageReturn,
        pad_bits: 0,
        septets: None,
    }
}

#[test]
fn packed_text_shows_its_septets_and_its_fill() {
    let report = way(Encoding::GsmPacked).encode("message");
    assert_eq!(report.hex.as_deref(), Some("edf27c1e3e971b"));
    assert_eq!(report.unpacked_hex.as_deref(), Some("6d657373616765"));
    assert_eq!((report.septets, report.fill), (Some(7), Some("cr")));
    let zero = Way {
        fill: Fill::Zero,
        ..way(Encoding::GsmPacked)
    };
    let report = zero.encode("message");
    assert_eq!(report.hex.as_deref(), Some("edf27c1e3e9701"));
    let read = |septets| {
        let way = Way {
            septets,
            ..zero.clone()
        };
        way.decode("edf27c1e3e9701").unwrap().text.unwrap()
    };
    assert_eq!(read(Some(7)), "message");
    assert_eq!(read(None), "message@");
}

#[test]
fn octets_that_are_no_text_are_an_error_and_unusual_ones_a_warning() {
    let code = |faults: &[Fault]| {
        faults
            .iter()
            .map(|f| f.code.to_string())
            .collect::<Vec<_>>()
    };
    for (encoding, hex) in [
        (Encoding::Gsm, "80"),
        (Encoding::Ucs2, "0048d83d"),
        (Encoding::EucKr, "ff"),
    ] {
        let report = way(encoding).decode(hex).unwrap();
        assert_eq!(code(&report.errors), ["undecodable"], "{hex}");
    }
    let report = way(Encoding::Gsm).decode("611b").unwrap();
    assert_eq!(
        (report.text.as_deref(), report.errors.len()),
        (Some("a "), 0)
    );
    assert_eq!(code(&report.warnings), ["unusual"]);
    assert!(way(Encoding::Gsm).decode("6").is_err());
}

#[test]
fn tables_are_those_of_the_language() {
    let turkish = Way {
        shift: Shift {
            locking: Language::Turkish,
            single: Language::Default,
        },
        ..way(Encoding::Gsm)
    };
    assert_eq!(turkish.encode("Teşt").hex.as_deref(), Some("54651d74"));
    assert_eq!(
        turkish.decode("54651d74").unwrap().text.as_deref(),
        Some("Teşt")
    );
    assert_eq!(turkish.encode("ą").errors[0].offset, Some(0));
}
