//! Encodings of one octet a character: ASCII, some of ISO 8859, and raw octets.

use super::{Encoding, Stopped};

/// The character of an octet; `None` where the encoding has none.
pub(super) fn character(encoding: Encoding, octet: u8) -> Option<char> {
    let same = char::from(octet);
    let at = |first: u32, from: u8| char::from_u32(first + u32::from(octet - from));
    match (encoding, octet) {
        (Encoding::Ascii, 0x80..) => None,
        (Encoding::Latin9, _) => Some(match octet {
            0xA4 => '€',
            0xA6 => 'Š',
            0xA8 => 'š',
            0xB4 => 'Ž',
            0xB8 => 'ž',
            0xBC => 'Œ',
            0xBD => 'œ',
            0xBE => 'Ÿ',
            _ => same,
        }),
        (Encoding::Cyrillic, 0xA0 | 0xAD) => Some(same),
        (Encoding::Cyrillic, 0xF0) => Some('№'),
        (Encoding::Cyrillic, 0xFD) => Some('§'),
        (Encoding::Cyrillic, 0xA1..) => at(0x401, 0xA1),
        (Encoding::Hebrew, 0xAA) => Some('×'),
        (Encoding::Hebrew, 0xBA) => Some('÷'),
        (Encoding::Hebrew, 0xDF) => Some('\u{2017}'),
        (Encoding::Hebrew, 0xE0..=0xFA) => at(0x5D0, 0xE0),
        (Encoding::Hebrew, 0xFD | 0xFE) => at(0x200E, 0xFD),
        (Encoding::Hebrew, 0xA1 | 0xBF..) => None,
        _ => Some(same),
    }
}

/// The octet of a character; `None` when the encoding lacks it.
pub(super) fn octet(encoding: Encoding, wanted: char) -> Option<u8> {
    let has = |octet: &u8| character(encoding, *octet) == Some(wanted);
    u8::try_from(wanted)
        .ok()
        .filter(has)
        .or_else(|| (0x80..=0xFF).find(has))
}

/// Appends the octets of a text; fails at the first character the encoding lacks.
pub(super) fn encode(text: &str, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), Stopped> {
    for (index, character) in text.chars().enumerate() {
        out.push(octet(encoding, character).ok_or((index, character))?);
    }
    Ok(())
}

/// Octets as text; what is no character becomes U+FFFD.
pub(super) fn decode(octets: &[u8], encoding: Encoding) -> String {
    octets
        .iter()
        .map(|octet| character(encoding, *octet).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
