//! The East Asian encodings, through encoding_rs.
//!
//! What SMPP calls JIS (data_coding 5), ISO-2022-JP (10), extended kanji JIS (13) and KS C 5601
//! (14) is written in the field as Shift_JIS, ISO-2022-JP, EUC-JP and EUC-KR.

use encoding_rs::{EUC_JP, EUC_KR, ISO_2022_JP, SHIFT_JIS};

use super::{Encoding, Stopped};

/// Back to ASCII, which every text and every part of one begins and ends in.
const TO_ASCII: &[u8; 3] = b"\x1B(B";

/// What encoding_rs calls it.
pub(super) const fn of(encoding: Encoding) -> Option<&'static encoding_rs::Encoding> {
    match encoding {
        Encoding::ShiftJis => Some(SHIFT_JIS),
        Encoding::Iso2022Jp => Some(ISO_2022_JP),
        Encoding::EucJp => Some(EUC_JP),
        Encoding::EucKr => Some(EUC_KR),
        _ => None,
    }
}

/// The octets of a character by itself: at most an escape sequence, two octets and the way back.
struct Alone {
    octets: [u8; 16],
    length: usize,
}

impl Alone {
    fn of(encoding: &'static encoding_rs::Encoding, character: char) -> Option<Alone> {
        if is_changed(encoding, character) {
            return None;
        }
        let mut octets = [0; 16];
        let mut utf8 = [0; 4];
        let text = character.encode_utf8(&mut utf8);
        let mut encoder = encoding.new_encoder();
        let (result, _, length) =
            encoder.encode_from_utf8_without_replacement(text, &mut octets, true);
        let whole = result == encoding_rs::EncoderResult::InputEmpty;
        whole.then_some(Alone { octets, length })
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// The escape sequence of ISO-2022-JP that leads to the character's set, and its octets
    /// there.
    fn shifted(&self) -> (&[u8], &[u8]) {
        let octets = self.octets();
        match octets.strip_suffix(TO_ASCII) {
            Some(shifted) if shifted.len() > 3 => shifted.split_at(3),
            _ => (TO_ASCII, octets),
        }
    }
}

/// Whether encoding_rs, as its standard has it, writes another character that looks the same.
fn is_changed(encoding: &'static encoding_rs::Encoding, character: char) -> bool {
    match character {
        '−' => encoding != EUC_KR,
        '¥' | '‾' => encoding == SHIFT_JIS || encoding == EUC_JP,
        '｡'..='ﾟ' => encoding == ISO_2022_JP,
        _ => false,
    }
}

/// Whether the encoding has the character.
pub(super) fn has(encoding: &'static encoding_rs::Encoding, character: char) -> bool {
    Alone::of(encoding, character).is_some()
}

/// Appends the octets of a text, in parts: all of it, if it takes `single` octets, else parts of
/// at most `part`; `ends` says where each ends. Every part begins and ends in ASCII, so that it
/// can be read by itself. A part is longer only where a single character is.
pub(super) fn encode_shifting(
    text: &str,
    single: usize,
    part: usize,
    out: &mut Vec<u8>,
    ends: &mut Vec<usize>,
) -> Result<(), Stopped> {
    let (start, first_end) = (out.len(), ends.len());
    write(text, single, out, ends)?;
    if ends.len() - first_end > 1 {
        out.truncate(start);
        ends.truncate(first_end);
        write(text, part, out, ends)?;
    }
    Ok(())
}

fn write(text: &str, most: usize, out: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<(), Stopped> {
    let mut begin = out.len();
    let mut set = *TO_ASCII;
    for (index, character) in text.chars().enumerate() {
        let alone = Alone::of(ISO_2022_JP, character).ok_or((index, character))?;
        let (escape, octets) = alone.shifted();
        let shift = if escape == set { 0 } else { escape.len() };
        let back = if escape == TO_ASCII {
            0
        } else {
            TO_ASCII.len()
        };
        let full = out.len() - begin + shift + octets.len() + back > most;
        if full && out.len() > begin {
            leave(&mut set, out);
            ends.push(out.len());
            begin = out.len();
        }
        if escape != set {
            out.extend_from_slice(escape);
            set.copy_from_slice(escape);
        }
        out.extend_from_slice(octets);
    }
    leave(&mut set, out);
    ends.push(out.len());
    Ok(())
}

/// Returns to ASCII.
fn leave(set: &mut [u8; 3], out: &mut Vec<u8>) {
    if set != TO_ASCII {
        out.extend_from_slice(TO_ASCII);
        *set = *TO_ASCII;
    }
}

/// Appends the octets of a text; fails at the first character the encoding lacks.
pub(super) fn encode(
    text: &str,
    encoding: &'static encoding_rs::Encoding,
    out: &mut Vec<u8>,
) -> Result<(), Stopped> {
    if encoding == ISO_2022_JP {
        return encode_shifting(text, usize::MAX, usize::MAX, out, &mut Vec::new());
    }
    for (index, character) in text.chars().enumerate() {
        let alone = Alone::of(encoding, character).ok_or((index, character))?;
        out.extend_from_slice(alone.octets());
    }
    Ok(())
}

/// Octets as text; what is no character becomes U+FFFD.
pub(super) fn decode(octets: &[u8], encoding: &'static encoding_rs::Encoding) -> String {
    encoding.decode_without_bom_handling(octets).0.into_owned()
}

/// How many octets the character at the beginning has, as far as they are there. In ISO-2022-JP
/// it is everything up to the way back to ASCII, because what stands between can be read
/// together only.
pub(super) fn length(octets: &[u8], encoding: Encoding) -> usize {
    let length = match (encoding, octets) {
        (Encoding::Iso2022Jp, [0x1B, ..]) => {
            let back = octets.windows(3).skip(3).position(|w| w == TO_ASCII);
            back.map_or(octets.len(), |at| at + 6)
        }
        (Encoding::ShiftJis, [0x81..=0x9F | 0xE0..=0xFC, ..]) => 2,
        (Encoding::EucJp, [0x8F, ..]) => 3,
        (Encoding::EucJp, [0x8E | 0xA1..=0xFE, ..]) => 2,
        (Encoding::EucKr, [0x81..=0xFE, ..]) => 2,
        _ => 1,
    };
    length.min(octets.len())
}
