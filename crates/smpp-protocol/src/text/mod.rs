//! Text as octets: which encoding, and there and back (SMPP 3.4 §5.2.19, 3GPP TS 23.038).
//!
//! [`choose()`] finds the encoding that needs the fewest parts and makes them; [`encode`] and
//! [`decode`] are the single steps.

mod choose;
pub mod cost;
mod east_asian;
mod encoding;
pub mod gsm;
mod joined;
pub mod national;
pub mod packed;
mod single;
pub mod substitute;
pub mod table;

pub use choose::{Chosen, Policy, Room, choose};
pub use encoding::{Alphabet, Class, Encoding};
pub use joined::{Part, decode_parts};

use super::udh::Udh;

/// A character that an encoding does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{character:?} (U+{:04X}), character {index}, is not in {}", *character as u32, encoding.name())]
pub struct Unencodable {
    /// The character.
    pub character: char,
    /// How many characters precede it.
    pub index: usize,
    /// The encoding that lacks it.
    pub encoding: Encoding,
}

/// Appends the text's octets. At the first character that the encoding lacks, `out` is left as it
/// was.
pub fn encode(text: &str, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), Unencodable> {
    let start = out.len();
    let result = match encoding {
        Encoding::Utf8 => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        Encoding::Ucs2 => {
            out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            Ok(())
        }
        Encoding::Utf16Le => {
            out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
            Ok(())
        }
        Encoding::Gsm => gsm::encode(text, out),
        Encoding::GsmPacked => {
            let mut septets = Vec::with_capacity(text.len());
            gsm::encode(text, &mut septets)
                .map(|()| packed::pack(&septets, 0, packed::Fill::CarriageReturn, out))
        }
        Encoding::Table(table) => table.encode(text, out),
        _ => match east_asian::of(encoding) {
            Some(encoding) => east_asian::encode(text, encoding, out),
            None => single::encode(text, encoding, out),
        },
    };
    result.map_err(|(index, character)| {
        out.truncate(start);
        Unencodable {
            character,
            index,
            encoding,
        }
    })
}

/// The octets as text, as far as they can be read: what is not a character becomes U+FFFD.
pub fn decode(octets: &[u8], data_coding: u8, default: &Alphabet) -> String {
    decode_as(octets, Encoding::of(data_coding, *default))
}

/// The octets as text of a known encoding; see [`decode`].
pub fn decode_as(octets: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Utf8 => String::from_utf8_lossy(octets).into_owned(),
        Encoding::Ucs2 => utf16(octets, u16::from_be_bytes),
        Encoding::Utf16Le => utf16(octets, u16::from_le_bytes),
        Encoding::Gsm => gsm::decode(octets),
        Encoding::GsmPacked => {
            let mut septets = Vec::with_capacity(octets.len() * 8 / 7);
            packed::unpack(octets, 0, packed::count(octets, 0), &mut septets);
            gsm::decode(&septets)
        }
        Encoding::Table(table) => table.decode(octets),
        _ => match east_asian::of(encoding) {
            Some(encoding) => east_asian::decode(octets, encoding),
            None => single::decode(octets, encoding),
        },
    }
}

fn utf16(octets: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, odd) = octets.as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
    let odd = odd.first().map(|_| char::REPLACEMENT_CHARACTER);
    text.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .chain(odd)
        .collect()
}

/// User data as text: after its header if it `has_udh`, with the national language tables that the
/// header names, and packed septets aligned behind it.
pub fn decode_user_data(
    user_data: &[u8],
    has_udh: bool,
    data_coding: u8,
    default: &Alphabet,
) -> String {
    let encoding = Encoding::of(data_coding, *default);
    let header = Udh::split(user_data).filter(|_| has_udh);
    let Some((header, text)) = header else {
        return decode_as(user_data, encoding);
    };
    let shift = national::Shift::of(&header);
    match encoding {
        Encoding::GsmPacked => {
            let before = (user_data.len() - text.len()) * 8;
            let pad_bits = (before.next_multiple_of(7) - before) as u32;
            let mut septets = Vec::with_capacity(text.len() * 8 / 7);
            let count = packed::count(text, pad_bits);
            packed::unpack(text, pad_bits, count, &mut septets);
            national::decode(&septets, shift)
        }
        Encoding::Gsm if shift != national::Shift::default() => national::decode(text, shift),
        _ => decode_as(text, encoding),
    }
}

/// How many octets the character at the beginning of an encoded text has; at least 1 and at most
/// what is there. Text that is to be packed is given as septets.
pub(super) fn length(octets: &[u8], encoding: Encoding) -> usize {
    let escapes = match encoding {
        Encoding::Gsm | Encoding::GsmPacked => true,
        Encoding::Table(table) => table.escapes(),
        _ => false,
    };
    let length = match (encoding, octets) {
        (_, [gsm::ESCAPE, _, ..]) if escapes => 2,
        (Encoding::Ucs2, [0xD8..=0xDB, _, 0xDC..=0xDF, _, ..]) => 4,
        (Encoding::Utf16Le, [_, 0xD8..=0xDB, _, 0xDC..=0xDF, ..]) => 4,
        (Encoding::Ucs2 | Encoding::Utf16Le, _) => 2,
        (Encoding::Utf8, [_, rest @ ..]) => {
            1 + rest.iter().take_while(|o| **o & 0xC0 == 0x80).count()
        }
        _ => east_asian::length(octets, encoding),
    };
    length.min(octets.len())
}

/// What every fallible encoder here reports: how many characters went well, and the next one.
type Stopped = (usize, char);

#[cfg(test)]
mod tests;
