//! Octets as people and logs write them: hexadecimal in its many forms, and base64.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::lines::Fault;

/// Reads hexadecimal digits in either case. Between octets there may be spaces, colons, commas,
/// dashes, `0x` and `\x`.
pub(super) fn from_hex(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut octets = Vec::with_capacity(text.len() / 2);
    let mut at = 0;
    let digit = |at: usize| text.get(at).and_then(|c| char::from(*c).to_digit(16));
    while let Some(character) = text.get(at) {
        let marked = matches!(text.get(at..at + 2), Some(b"0x" | b"0X" | b"\\x"));
        if marked {
            at += 2;
        } else if character.is_ascii_whitespace() || b":,-".contains(character) {
            at += 1;
        } else if let Some(high) = digit(at) {
            let low = digit(at + 1).ok_or_else(|| match text.get(at + 1) {
                None => fault("odd_hex", at, "the last octet has one digit only".into()),
                Some(_) => not_hex(text, at + 1),
            })?;
            octets.push((high << 4 | low) as u8);
            at += 2;
        } else {
            return Err(not_hex(text, at));
        }
    }
    Ok(octets)
}

/// Reads base64, standard or for URLs, with or without padding.
pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(&text).ok())
}

fn not_hex(text: &[u8], at: usize) -> Fault {
    let there = String::from_utf8_lossy(text.get(at..).unwrap_or_default());
    let character = there.chars().next().unwrap_or_default();
    let says = format!(
        "{character:?} at character {} is no hexadecimal digit",
        at + 1
    );
    fault("not_hex", at, says)
}

fn fault(code: &'static str, at: usize, text: String) -> Fault {
    Fault {
        code: code.into(),
        offset: Some(at),
        text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hexadecimal_comes_in_many_forms() {
        for text in [
            "00ff7A",
            "00 FF 7a",
            "00:ff:7a",
            "0x00, 0xFF, 0x7A",
            "0x00ff7a",
            "\\x00\\xff\\x7a",
            "00-ff-7a\t",
        ] {
            assert_eq!(
                from_hex(text.as_bytes()).unwrap(),
                [0, 0xFF, 0x7A],
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_hexadecimal_is_pointed_at() {
        let error = |text: &[u8]| from_hex(text).unwrap_err();
        assert_eq!(
            (error(b"00 zz").code, error(b"00 zz").offset),
            ("not_hex".into(), Some(3))
        );
        assert_eq!(
            (error(b"000").code, error(b"000").offset),
            ("odd_hex".into(), Some(2))
        );
        assert_eq!(error(b"0\xFF").code, "not_hex");
    }

    #[test]
    fn base64_comes_with_both_alphabets() {
        for text in ["AP/+", "AP_-", " AP/\n+ "] {
            assert_eq!(
                from_base64(text.as_bytes()).unwrap(),
                [0, 0xFF, 0xFE],
                "{text}"
            );
        }
        assert_eq!(from_base64(b"AP8").unwrap(), from_base64(b"AP8=").unwrap());
        assert_eq!(from_base64(b"!"), None);
    }

    proptest! {
        #[test]
        fn octets_come_back(octets: Vec<u8>) {
            prop_assert_eq!(from_hex(data_encoding::HEXLOWER.encode(&octets).as_bytes()).unwrap(), octets);
        }

        #[test]
        fn any_text_is_octets_or_a_fault(text: Vec<u8>) {
            let _ = (from_hex(&text), from_base64(&text));
        }
    }
}
