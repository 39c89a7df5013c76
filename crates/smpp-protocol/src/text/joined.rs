//! One text that came in several parts.
//!
//! A sender may divide a text anywhere: inside an escape sequence, a surrogate pair or a
//! multi-octet character. So the parts are put together first and read as one.

use super::national::{self, Shift};
use super::{Alphabet, Encoding, decode_as, packed};
use crate::udh::Udh;

/// One part of a text, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part<'a> {
    /// Its octets, user data header included.
    pub user_data: &'a [u8],
    /// Whether they begin with a user data header.
    pub has_udh: bool,
    /// data_coding (SMPP 3.4 §5.2.19).
    pub data_coding: u8,
}

impl<'a> Part<'a> {
    /// The octets after the user data header.
    pub fn octets(&self) -> &'a [u8] {
        self.split().map_or(self.user_data, |(_, text)| text)
    }

    fn split(&self) -> Option<(Udh<'a>, &'a [u8])> {
        Udh::split(self.user_data).filter(|_| self.has_udh)
    }

    fn shift(&self) -> Shift {
        self.split()
            .map(|(header, _)| Shift::of(&header))
            .unwrap_or_default()
    }

    fn push_units(&self, encoding: Encoding, out: &mut Vec<u8>) {
        let text = self.octets();
        if encoding != Encoding::GsmPacked {
            return out.extend_from_slice(text);
        }
        // Septets begin at a septet boundary of the user data, header included.
        let before = (self.user_data.len() - text.len()) * 8;
        let pad_bits = (before.next_multiple_of(7) - before) as u32;
        packed::unpack(text, pad_bits, packed::count(text, pad_bits), out);
    }
}

/// Parts that follow each other, as one text; `None` if any of them is not text.
///
/// ```
/// use smpp_protocol::text::{Alphabet, Part, decode_parts};
///
/// // U+1F600 is a surrogate pair in UCS-2; here its halves came apart.
/// let part = |user_data| Part { user_data, data_coding: 8, ..Part::default() };
/// let parts = [part(&[0xD8, 0x3D]), part(&[0xDE, 0x00])];
/// assert_eq!(decode_parts(&parts, &Alphabet::default()).as_deref(), Some("😀"));
/// ```
pub fn decode_parts(parts: &[Part<'_>], default: &Alphabet) -> Option<String> {
    let how = |part: &Part<'_>| (Encoding::of(part.data_coding, *default), part.shift());
    let mut text = String::new();
    let mut units = Vec::new();
    for run in parts.chunk_by(|one, next| how(one) == how(next)) {
        let (encoding, shift) = run.first().map(how)?;
        units.clear();
        for part in run {
            part.push_units(encoding, &mut units);
        }
        text += &match encoding {
            Encoding::Binary => return None,
            Encoding::Gsm | Encoding::GsmPacked => national::decode(&units, shift),
            _ => decode_as(&units, encoding),
        };
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{decode_user_data, encode};

    #[test]
    fn an_escape_sequence_that_was_divided_is_one_character() {
        let part = |user_data| Part {
            user_data,
            ..Part::default()
        };
        let parts = [part(b"5 \x1B"), part(b"e")];
        let text = decode_parts(&parts, &Alphabet::default());
        assert_eq!(text.as_deref(), Some("5 €"));
    }

    #[test]
    fn parts_of_different_encodings_are_read_each_in_its_own() {
        let (latin, ucs2) = (
            Part {
                user_data: b"\xE9t\xE9 ",
                data_coding: 3,
                ..Part::default()
            },
            Part {
                user_data: &[0x04, 0x16],
                data_coding: 8,
                ..Part::default()
            },
        );
        let default = Alphabet::default();
        assert_eq!(
            decode_parts(&[latin, ucs2], &default).as_deref(),
            Some("été Ж")
        );
        let binary = Part {
            data_coding: 4,
            ..latin
        };
        assert_eq!(decode_parts(&[ucs2, binary], &default), None);
    }

    proptest! {
        #[test]
        fn wherever_a_text_is_divided_it_reads_the_same(
            text in "[a-z€{}Жé😀 ]{0,40}",
            cuts in prop::collection::vec(0usize..200, 0..6),
            coding in prop::sample::select(vec![0u8, 8]),
        ) {
            let encoding = Encoding::of(coding, Alphabet::default());
            let text: String = text.chars().filter(|c| encoding.has(*c)).collect();
            let mut octets = Vec::new();
            encode(&text, encoding, &mut octets).unwrap();
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (octets.len() + 1)).collect();
            cuts.extend([0, octets.len()]);
            cuts.sort_unstable();
            let parts: Vec<Part<'_>> = cuts
                .windows(2)
                .map(|w| Part { user_data: &octets[w[0]..w[1]], data_coding: coding, ..Part::default() })
                .collect();
            prop_assert_eq!(decode_parts(&parts, &Alphabet::default()), Some(text));
        }

        #[test]
        fn one_part_reads_as_a_message_of_its_own(
            user_data in prop::collection::vec(any::<u8>(), 0..60),
            has_udh: bool,
            data_coding: u8,
        ) {
            let default = Alphabet::default();
            let whole = decode_user_data(&user_data, has_udh, data_coding, &default);
            let part = Part { user_data: &user_data, has_udh, data_coding };
            if let Some(text) = decode_parts(&[part], &default) {
                prop_assert_eq!(text, whole);
            }
        }
    }
}
