//! Long texts in parts (3GPP TS 23.040 §9.2.3.24.1, SMPP 3.4 §5.3.2.22).
//!
//! A short message carries 140 octets, which are 160 septets; what ties the parts together takes
//! some of them. No part ends inside an escape sequence or a surrogate pair.

use super::EncodeError;
use super::text::{self, Encoding, packed};
use super::udh::{self, Concatenation};

/// Octets of user data in a short message (TS 23.040 §9.2.3.16).
const USER_DATA: usize = 140;

/// The most parts a message can have.
pub const MAX_PARTS: usize = 255;

/// What ties the parts of a message together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// A user data header with a reference of 8 bits: understood everywhere.
    #[default]
    Udh8,
    /// A user data header with a reference of 16 bits: fewer mix-ups, one septet less.
    Udh16,
    /// The sar_* TLVs; the SMSC writes the header.
    Sar,
    /// One PDU with message_payload; the SMSC splits.
    Payload,
}

impl Method {
    /// Octets of user data its information element takes; none with [`Method::Payload`]. With
    /// TLVs the SMSC needs room for the shorter element.
    const fn element_length(self) -> usize {
        match self {
            Method::Udh8 | Method::Sar => Concatenation::element_length(false),
            Method::Udh16 => Concatenation::element_length(true),
            Method::Payload => 0,
        }
    }

    /// Whether the parts begin with a user data header that names them.
    pub const fn writes_header(self) -> bool {
        matches!(self, Method::Udh8 | Method::Udh16)
    }
}

/// How many octets of an encoded text fit beside so many octets of information elements. With
/// alphabets of 7 bits these are septets, also when they will be packed.
pub const fn capacity(encoding: Encoding, elements: usize) -> usize {
    let header = if elements == 0 { 0 } else { 1 + elements };
    let octets = USER_DATA.saturating_sub(header);
    match encoding.is_seven_bit() {
        true => octets * 8 / 7,
        false => octets / encoding.unit() * encoding.unit(),
    }
}

/// How many octets of an encoded text fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Into a message of one part.
    pub single: usize,
    /// Into one part of several.
    pub part: usize,
}

impl Room {
    /// What `method` leaves, beside so many octets of information elements that every part carries
    /// anyway.
    pub const fn of(encoding: Encoding, method: Method, elements: usize) -> Room {
        match method {
            Method::Payload => Room {
                single: usize::MAX,
                part: usize::MAX,
            },
            _ => Room {
                single: capacity(encoding, elements),
                part: capacity(encoding, elements + method.element_length()),
            },
        }
    }
}

/// The parts of an encoded text: one if it fits, else as many as `method` makes of it, which may
/// be more than [`MAX_PARTS`]. `elements` counts the octets of information elements that every
/// part carries anyway. Text that is to be packed is given as septets.
///
/// It is for octets that are there already; a text is best cut by [`text::choose`], which can
/// begin and end parts where octets alone cannot (ISO-2022-JP).
pub fn parts(text: &[u8], encoding: Encoding, method: Method, elements: usize) -> Vec<&[u8]> {
    let room = Room::of(encoding, method, elements);
    match text.len() <= room.single {
        true => vec![text],
        false => split(text, encoding, room.part).collect(),
    }
}

/// Appends where each part ends: that of the whole text, if it fits, else those of several.
pub(super) fn cut_into(text: &[u8], encoding: Encoding, room: Room, ends: &mut Vec<usize>) {
    if text.len() <= room.single {
        ends.push(text.len());
        return;
    }
    let mut end = 0;
    for piece in split(text, encoding, room.part) {
        end += piece.len();
        ends.push(end);
    }
}

/// Cuts an encoded text into pieces of at most `most` octets, without cutting a character. A piece
/// is longer only where a single character is.
pub fn split(
    text: &[u8],
    encoding: Encoding,
    most: usize,
) -> impl Iterator<Item = &[u8]> + use<'_> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(cut(rest, encoding, most));
        rest = after;
        Some(piece)
    })
}

/// Where the first piece of a text that is not empty ends.
fn cut(text: &[u8], encoding: Encoding, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let mut end = 0;
    while let Some(rest @ [_, ..]) = text.get(end..) {
        let next = end + text::length(rest, encoding);
        if next > most && end > 0 {
            break;
        }
        end = next;
    }
    end
}

/// Appends the octets of one part as user data: a header of `elements` if there are any, and the
/// text, which is packed if the encoding says so.
pub fn push_user_data(
    elements: &[u8],
    text: &[u8],
    encoding: Encoding,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    udh::push(elements, out)?;
    if encoding == Encoding::GsmPacked {
        let header = (out.len() - start) * 8;
        let pad_bits = (header.next_multiple_of(7) - header) as u32;
        packed::pack(text, pad_bits, packed::Fill::CarriageReturn, out);
    } else {
        out.extend_from_slice(text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text;

    fn lengths(text: &str, encoding: Encoding, method: Method) -> Vec<usize> {
        let mut octets = Vec::new();
        text::encode(text, encoding, &mut octets).unwrap();
        parts(&octets, encoding, method, 0)
            .iter()
            .map(|part| part.len())
            .collect()
    }

    #[test]
    fn what_fits_stays_whole() {
        for (encoding, length) in [
            (Encoding::Gsm, 160),
            (Encoding::Latin1, 140),
            (Encoding::Ucs2, 70),
        ] {
            let text = "a".repeat(length);
            assert_eq!(lengths(&text, encoding, Method::Udh8).len(), 1);
            assert_eq!(lengths(&(text + "a"), encoding, Method::Udh8).len(), 2);
        }
    }

    #[test]
    fn each_method_leaves_its_room() {
        let text = "a".repeat(161);
        assert_eq!(lengths(&text, Encoding::Gsm, Method::Udh8), [153, 8]);
        assert_eq!(lengths(&text, Encoding::Gsm, Method::Udh16), [152, 9]);
        assert_eq!(lengths(&text, Encoding::Gsm, Method::Sar), [153, 8]);
        assert_eq!(lengths(&text, Encoding::Gsm, Method::Payload), [161]);
        assert_eq!(lengths(&text, Encoding::Latin1, Method::Udh8), [134, 27]);
        assert_eq!(
            lengths(&text, Encoding::Ucs2, Method::Udh16),
            [132, 132, 58]
        );
    }

    #[test]
    fn no_escape_and_no_surrogate_pair_is_cut() {
        let euros = "€".repeat(81);
        assert_eq!(lengths(&euros, Encoding::Gsm, Method::Udh8), [152, 10]);
        let faces = "😎".repeat(36);
        assert_eq!(lengths(&faces, Encoding::Ucs2, Method::Udh8), [132, 12]);
        let narrow: Vec<_> = split(b"\x1B\x65\x1B\x65", Encoding::Gsm, 1).collect();
        assert_eq!(narrow, [b"\x1B\x65", b"\x1B\x65"]);
    }

    #[test]
    fn elements_of_the_producers_take_their_room() {
        let text = [b'a'; 160];
        assert_eq!(parts(&text, Encoding::Gsm, Method::Udh8, 6).len(), 2);
        assert_eq!(parts(&text[..152], Encoding::Gsm, Method::Udh8, 6).len(), 1);
        assert_eq!(parts(&text, Encoding::Gsm, Method::Udh8, 6)[0].len(), 146);
    }

    #[test]
    fn packed_septets_begin_on_a_septet_boundary_after_the_header() {
        let mut out = Vec::new();
        let elements = [0, 3, 0x42, 2, 1];
        push_user_data(&elements, b"\x7F", Encoding::GsmPacked, &mut out).unwrap();
        assert_eq!(
            out,
            [5, 0, 3, 0x42, 2, 1, 0xFE],
            "one bit of padding after 48"
        );
        out.clear();
        push_user_data(b"", b"hi", Encoding::Gsm, &mut out).unwrap();
        assert_eq!(out, b"hi");
    }

    proptest! {
        #[test]
        fn parts_are_the_text_and_each_is_whole(
            text in "[a-z€{}]{0,700}|\\PC{0,300}",
            most in 4usize..160,
        ) {
            for encoding in [Encoding::Gsm, Encoding::Ucs2, Encoding::Utf8] {
                let mut octets = Vec::new();
                if text::encode(&text, encoding, &mut octets).is_err() {
                    continue;
                }
                let pieces: Vec<_> = split(&octets, encoding, most).collect();
                prop_assert_eq!(&pieces.concat(), &octets);
                prop_assert!(pieces.iter().all(|piece| (1..=most).contains(&piece.len())));
                let read = pieces.iter().map(|piece| text::decode_as(piece, encoding));
                prop_assert_eq!(read.collect::<String>(), text.clone());
            }
        }
    }
}
