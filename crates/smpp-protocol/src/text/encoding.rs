//! Which encodings there are, what people call them, and the data_coding of each
//! (SMPP 3.4 §5.2.19, SMPP 5.0 §4.7.7, 3GPP TS 23.038 §4).

use std::fmt;

use super::table::Table;
use super::{east_asian, gsm, single};

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
    /// JIS X 0208 as the field writes it: Shift_JIS.
    ShiftJis,
    /// ISO-2022-JP: JIS X 0208 between escape sequences.
    Iso2022Jp,
    /// EUC-JP, which can be read with the extended kanji of JIS X 0212.
    EucJp,
    /// KS C 5601 as EUC-KR.
    EucKr,
    /// UCS-2, here UTF-16 big-endian: characters outside the basic plane are surrogate pairs.
    Ucs2,
    /// The same little-endian, for SMSCs that have the order wrong.
    Utf16Le,
    /// UTF-8, which some SMSCs have as their default alphabet.
    Utf8,
    /// Octets that are not text; as characters they are U+0000 to U+00FF.
    Binary,
    /// A table of one's own, read from a file.
    Table(&'static Table),
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

    /// The data_coding with which to submit text of an encoding: 0 if it is this alphabet, else
    /// that of SMPP; `None` if that is 0, which the SMSC would take for its own alphabet.
    pub fn data_coding(self, encoding: Encoding) -> Option<u8> {
        match encoding.data_coding() {
            _ if encoding == self.0 => Some(0),
            0 if self.0.is_gsm() => Some(0),
            0 => None,
            other => Some(other),
        }
    }

    /// The data_coding of a message of this class: the group 0xF0 for this alphabet and for
    /// octets (SMPP 3.4 §5.2.19), the general group 0x10 for UCS-2, which the former does not
    /// have (TS 23.038 §4); `None` where a class cannot be told.
    pub fn data_coding_of_class(self, encoding: Encoding, class: Class) -> Option<u8> {
        match encoding {
            _ if self.data_coding(encoding) == Some(0) => Some(0xF0 | class as u8),
            Encoding::Binary => Some(0xF4 | class as u8),
            Encoding::Ucs2 | Encoding::Utf16Le => Some(0x18 | class as u8),
            _ => None,
        }
    }
}

/// A message class (TS 23.038 §4): where a phone is to put the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// Class 0, a flash message: shown at once and not stored.
    Flash = 0,
    /// Class 1: the phone's memory.
    Phone = 1,
    /// Class 2: the SIM.
    Sim = 2,
    /// Class 3: equipment beside the phone.
    Equipment = 3,
}

impl Class {
    /// Every class with the name by which records call it.
    pub const ALL: [(Class, &'static str); 4] = [
        (Class::Flash, "flash"),
        (Class::Phone, "phone"),
        (Class::Sim, "sim"),
        (Class::Equipment, "equipment"),
    ];

    /// The class of a name.
    pub fn from_name(name: &str) -> Option<Class> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, known)| *known == name)
            .map(|(class, _)| class)
    }

    /// The class of a number from 0 to 3.
    pub const fn from_number(number: u8) -> Option<Class> {
        Some(match number {
            0 => Class::Flash,
            1 => Class::Phone,
            2 => Class::Sim,
            3 => Class::Equipment,
            _ => return None,
        })
    }

    /// The class that a data_coding announces, if any.
    pub const fn of(data_coding: u8) -> Option<Class> {
        match data_coding {
            0x10..=0x1F | 0x50..=0x5F | 0xF0..=0xFF => Class::from_number(data_coding & 3),
            _ => None,
        }
    }
}

impl Encoding {
    /// Every encoding but those of tables.
    pub const ALL: &'static [Encoding] = &[
        Encoding::Gsm,
        Encoding::GsmPacked,
        Encoding::Ascii,
        Encoding::Latin1,
        Encoding::Latin9,
        Encoding::Cyrillic,
        Encoding::Hebrew,
        Encoding::ShiftJis,
        Encoding::Iso2022Jp,
        Encoding::EucJp,
        Encoding::EucKr,
        Encoding::Ucs2,
        Encoding::Utf16Le,
        Encoding::Utf8,
        Encoding::Binary,
    ];

    /// The name by which people and configuration call it.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Gsm => "gsm7",
            Encoding::GsmPacked => "gsm7_packed",
            Encoding::Ascii => "ascii",
            Encoding::Latin1 => "latin1",
            Encoding::Latin9 => "latin9",
            Encoding::Cyrillic => "cyrillic",
            Encoding::Hebrew => "hebrew",
            Encoding::ShiftJis => "shift_jis",
            Encoding::Iso2022Jp => "iso2022_jp",
            Encoding::EucJp => "euc_jp",
            Encoding::EucKr => "euc_kr",
            Encoding::Ucs2 => "ucs2",
            Encoding::Utf16Le => "utf16le",
            Encoding::Utf8 => "utf8",
            Encoding::Binary => "binary",
            Encoding::Table(table) => table.name(),
        }
    }

    /// The encoding that people call `name`: our names, those of Python's codecs, of standards
    /// and of aiosmpplib, in any case and with or without hyphens.
    ///
    /// ```
    /// use smpp_protocol::text::Encoding;
    ///
    /// assert_eq!(Encoding::from_name("gsm0338"), Some(Encoding::Gsm));
    /// assert_eq!(Encoding::from_name("ISO-8859-1"), Some(Encoding::Latin1));
    /// assert_eq!(Encoding::from_name("ebcdic"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Encoding> {
        let plain: String = name
            .chars()
            .filter(|c| !matches!(c, '-' | '_' | ' ' | '.'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        Some(match &*plain {
            "gsm" | "gsm7" | "gsm0338" | "gsm7bit" => Encoding::Gsm,
            "gsmpacked" | "gsm7packed" | "gsm0338packed" => Encoding::GsmPacked,
            "ascii" | "usascii" | "ia5" => Encoding::Ascii,
            "latin1" | "iso88591" | "l1" => Encoding::Latin1,
            "latin9" | "iso885915" => Encoding::Latin9,
            "cyrillic" | "iso88595" => Encoding::Cyrillic,
            "hebrew" | "iso88598" => Encoding::Hebrew,
            "jis" | "shiftjis" | "sjis" => Encoding::ShiftJis,
            "iso2022jp" => Encoding::Iso2022Jp,
            "eucjp" => Encoding::EucJp,
            "euckr" | "ksc5601" => Encoding::EucKr,
            "ucs2" | "utf16be" | "utf16" => Encoding::Ucs2,
            "ucs2le" | "utf16le" => Encoding::Utf16Le,
            "utf8" => Encoding::Utf8,
            "binary" | "8bit" | "octetunspecifiedi" | "octetunspecifiedii" => Encoding::Binary,
            _ => return None,
        })
    }

    /// The data_coding with which to submit. It is 0, the SMSC's default alphabet, for encodings
    /// that have none of their own: submit these only to an SMSC that has them as default.
    pub const fn data_coding(self) -> u8 {
        match self {
            Encoding::Gsm
            | Encoding::GsmPacked
            | Encoding::Latin9
            | Encoding::Utf8
            | Encoding::Table(_) => 0,
            Encoding::Ascii => 1,
            Encoding::Latin1 => 3,
            Encoding::Binary => 4,
            Encoding::ShiftJis => 5,
            Encoding::Cyrillic => 6,
            Encoding::Hebrew => 7,
            Encoding::Ucs2 | Encoding::Utf16Le => 8,
            Encoding::Iso2022Jp => 10,
            Encoding::EucJp => 13,
            Encoding::EucKr => 14,
        }
    }

    /// The encoding that a data_coding announces: the values of SMPP below 0x10, above them the
    /// coding groups of TS 23.038 §4 (message classes, message waiting). Compressed text,
    /// pictograms and reserved values are left as octets.
    pub const fn of(data_coding: u8, default: Alphabet) -> Encoding {
        match data_coding {
            1 => Encoding::Ascii,
            3 => Encoding::Latin1,
            2 | 4 => Encoding::Binary,
            5 => Encoding::ShiftJis,
            6 => Encoding::Cyrillic,
            7 => Encoding::Hebrew,
            8 => Encoding::Ucs2,
            10 => Encoding::Iso2022Jp,
            13 => Encoding::EucJp,
            14 => Encoding::EucKr,
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
            Encoding::Ucs2 | Encoding::Utf16Le | Encoding::Utf8 => true,
            Encoding::Table(table) => table.code(character).is_some(),
            _ => match east_asian::of(self) {
                Some(encoding) => east_asian::has(encoding, character),
                None => single::octet(self, character).is_some(),
            },
        }
    }

    /// Octets of the unit that is counted for people: two in UTF-16, else one (a septet, if they
    /// will be packed).
    pub const fn unit(self) -> usize {
        match self {
            Encoding::Ucs2 | Encoding::Utf16Le => 2,
            _ => 1,
        }
    }

    /// Whether its units are septets, 160 of which fit into 140 octets.
    pub const fn is_seven_bit(self) -> bool {
        match self {
            Encoding::Gsm | Encoding::GsmPacked => true,
            Encoding::Table(table) => table.is_seven_bit(),
            _ => false,
        }
    }

    /// Whether it is the GSM alphabet, whose tables a user data header can shift.
    pub const fn is_gsm(self) -> bool {
        matches!(self, Encoding::Gsm | Encoding::GsmPacked)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
