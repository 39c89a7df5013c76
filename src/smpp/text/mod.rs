//! Text as octets: which encoding, and there and back (SMPP 3.4 §5.2.19, 3GPP TS 23.038).

pub mod gsm;
pub mod national;
pub mod packed;
mod single;

use super::udh::Udh;

/// How the octets of a message stand for characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// GSM 7-bit default alphabet with its extension table, one septet an octet (TS 23.038 §6.2.1).
    #[default]
    Gsm,
    /// The same, eight septets in seven octets (TS 23.038 §6.1.2.1).
    GsmPacked,
    /// IA5, which is ASCII.
    Ascii,
    /// ISO 8859-1.
    Latin1,
    /// ISO 8859-15, Latin-1 with the euro sign.
    Latin9,
    /// ISO 8859-5, Latin and Cyrillic.
    Cyrillic,
    /// ISO 8859-8, Latin and Hebrew.
    Hebrew,
    /// UCS-2, here UTF-16 big-endian: characters outside the basic plane are surrogate pairs.
    Ucs2,
    /// UTF-8, which some SMSCs have as their default alphabet.
    Utf8,
    /// Octets that are not text; as characters they are U+0000 to U+00FF.
    Binary,
}

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

/// What data_coding 0 means to an SMSC: its default alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Alphabet(Encoding);

impl From<Encoding> for Alphabet {
    fn from(encoding: Encoding) -> Self {
        Alphabet(encoding)
    }
}

impl Alphabet {
    /// The encoding of texts in this alphabet.
    pub const fn encoding(self) -> Encoding {
        self.0
    }
}

impl Encoding {
    /// Every encoding.
    pub const ALL: &'static [Encoding] = &[
        Encoding::Gsm,
        Encoding::GsmPacked,
        Encoding::Ascii,
        Encoding::Latin1,
        Encoding::Latin9,
        Encoding::Cyrillic,
        Encoding::Hebrew,
        Encoding::Ucs2,
        Encoding::Utf8,
        Encoding::Binary,
    ];

    /// The name by which people and configuration call it.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Gsm => "gsm",
            Encoding::GsmPacked => "gsm_packed",
            Encoding::Ascii => "ascii",
            Encoding::Latin1 => "latin1",
            Encoding::Latin9 => "latin9",
            Encoding::Cyrillic => "cyrillic",
            Encoding::Hebrew => "hebrew",
            Encoding::Ucs2 => "ucs2",
            Encoding::Utf8 => "utf8",
            Encoding::Binary => "binary",
        }
    }

    /// The encoding of a name.
    pub fn from_name(name: &str) -> Option<Encoding> {
        Self::ALL
            .iter()
            .copied()
            .find(|encoding| encoding.name() == name)
    }

    /// The data_coding with which to submit. It is 0, the SMSC's default alphabet, for encodings
    /// that have none of their own: submit these only to an SMSC that has them as default.
    pub const fn data_coding(self) -> u8 {
        match self {
            Encoding::Gsm | Encoding::GsmPacked | Encoding::Latin9 | Encoding::Utf8 => 0,
            Encoding::Ascii => 1,
            Encoding::Latin1 => 3,
            Encoding::Binary => 4,
            Encoding::Cyrillic => 6,
            Encoding::Hebrew => 7,
            Encoding::Ucs2 => 8,
        }
    }

    /// The encoding that a data_coding announces: the values of SMPP below 0x10, above them the
    /// coding groups of TS 23.038 §4 (message classes, message waiting). Compressed text and the
    /// East Asian character sets are left as octets.
    pub const fn of(data_coding: u8, default: Alphabet) -> Encoding {
        match data_coding {
            1 => Encoding::Ascii,
            3 => Encoding::Latin1,
            2 | 4 => Encoding::Binary,
            6 => Encoding::Cyrillic,
            7 => Encoding::Hebrew,
            8 => Encoding::Ucs2,
            0x10..=0x1F | 0x40..=0x5F => match data_coding >> 2 & 3 {
                0 => default.0,
                2 => Encoding::Ucs2,
                _ => Encoding::Binary,
            },
            0xE0..=0xEF => Encoding::Ucs2,
            0xF0..=0xFF if data_coding & 4 != 0 => Encoding::Binary,
            0 | 0x80..=0xDF | 0xF0..=0xFF => default.0,
            _ => Encoding::Binary,
        }
    }

    /// Whether the encoding has the character.
    pub fn has(self, character: char) -> bool {
        match self {
            Encoding::Gsm | Encoding::GsmPacked => gsm::units(character).is_some(),
            Encoding::Ucs2 | Encoding::Utf8 => true,
            _ => single::octet(self, character).is_some(),
        }
    }
}

/// The encoding that needs least room: GSM when it has every character, else UCS-2.
pub fn choose(text: &str) -> Encoding {
    if text.chars().all(|character| Encoding::Gsm.has(character)) {
        Encoding::Gsm
    } else {
        Encoding::Ucs2
    }
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
        Encoding::Gsm => gsm::encode(text, out),
        Encoding::GsmPacked => {
            let mut septets = Vec::with_capacity(text.len());
            gsm::encode(text, &mut septets)
                .map(|()| packed::pack(&septets, 0, packed::Fill::CarriageReturn, out))
        }
        _ => single::encode(text, encoding, out),
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
        Encoding::Ucs2 => {
            let (pairs, odd) = octets.as_chunks::<2>();
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            let text = char::decode_utf16(units);
            let odd = odd.first().map(|_| char::REPLACEMENT_CHARACTER);
            text.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .chain(odd)
                .collect()
        }
        Encoding::Gsm => gsm::decode(octets),
        Encoding::GsmPacked => {
            let mut septets = Vec::with_capacity(octets.len() * 8 / 7);
            packed::unpack(octets, 0, packed::count(octets), &mut septets);
            gsm::decode(&septets)
        }
        _ => octets
            .iter()
            .map(|octet| single::character(encoding, *octet).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
    }
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
            packed::unpack(text, pad_bits, usize::MAX, &mut septets);
            national::decode(&septets, shift)
        }
        Encoding::Gsm if shift != national::Shift::default() => national::decode(text, shift),
        _ => decode_as(text, encoding),
    }
}

/// What every fallible encoder here reports: how many characters went well, and the next one.
type Stopped = (usize, char);

#[cfg(test)]
mod tests;
