//! National languages in the GSM 7-bit alphabet (3GPP TS 23.038 Annex A).
//!
//! A user data header names the tables of a text: a locking shift replaces the default alphabet, a
//! single shift replaces the extension table. Decode what comes in; send it only to networks and
//! handsets that are known to understand it.

mod tables;

use super::gsm::{self, ESCAPE};
use super::{Encoding, Unencodable};
use crate::udh::{self, Udh};

/// Characters by septet: runs of the first one's septet and the characters, one after another.
type Runs = &'static [(u8, &'static str)];

/// A language with tables of its own (§6.2.1.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Language {
    /// None: the default alphabet and its extension table.
    #[default]
    Default = 0,
    /// Turkish.
    Turkish = 1,
    /// Spanish; only a single shift.
    Spanish = 2,
    /// Portuguese.
    Portuguese = 3,
    /// Bengali and Assamese.
    Bengali = 4,
    /// Gujarati.
    Gujarati = 5,
    /// Hindi.
    Hindi = 6,
    /// Kannada.
    Kannada = 7,
    /// Malayalam.
    Malayalam = 8,
    /// Oriya.
    Oriya = 9,
    /// Punjabi.
    Punjabi = 10,
    /// Tamil.
    Tamil = 11,
    /// Telugu.
    Telugu = 12,
    /// Urdu.
    Urdu = 13,
}

impl Language {
    /// Every language, by its identifier.
    pub const ALL: [Language; 14] = [
        Language::Default,
        Language::Turkish,
        Language::Spanish,
        Language::Portuguese,
        Language::Bengali,
        Language::Gujarati,
        Language::Hindi,
        Language::Kannada,
        Language::Malayalam,
        Language::Oriya,
        Language::Punjabi,
        Language::Tamil,
        Language::Telugu,
        Language::Urdu,
    ];

    /// The name by which configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Language::Default => "default",
            Language::Turkish => "turkish",
            Language::Spanish => "spanish",
            Language::Portuguese => "portuguese",
            Language::Bengali => "bengali",
            Language::Gujarati => "gujarati",
            Language::Hindi => "hindi",
            Language::Kannada => "kannada",
            Language::Malayalam => "malayalam",
            Language::Oriya => "oriya",
            Language::Punjabi => "punjabi",
            Language::Tamil => "tamil",
            Language::Telugu => "telugu",
            Language::Urdu => "urdu",
        }
    }

    /// The language of a name.
    pub fn from_name(name: &str) -> Option<Language> {
        Self::ALL
            .into_iter()
            .find(|language| language.name() == name)
    }

    /// The National Language Identifier, 0 to 13.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The language of a National Language Identifier.
    pub fn from_id(id: u8) -> Option<Language> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Whether it has a locking shift table.
    pub const fn has_locking(self) -> bool {
        !matches!(self, Language::Default | Language::Spanish)
    }

    const fn locking(self) -> Runs {
        match self {
            Language::Default | Language::Spanish => &[],
            Language::Turkish => tables::TURKISH_LOCKING,
            Language::Portuguese => tables::PORTUGUESE_LOCKING,
            Language::Bengali => tables::BENGALI_LOCKING,
            Language::Gujarati => tables::GUJARATI_LOCKING,
            Language::Hindi => tables::HINDI_LOCKING,
            Language::Kannada => tables::KANNADA_LOCKING,
            Language::Malayalam => tables::MALAYALAM_LOCKING,
            Language::Oriya => tables::ORIYA_LOCKING,
            Language::Punjabi => tables::PUNJABI_LOCKING,
            Language::Tamil => tables::TAMIL_LOCKING,
            Language::Telugu => tables::TELUGU_LOCKING,
            Language::Urdu => tables::URDU_LOCKING,
        }
    }

    const fn single(self) -> Runs {
        match self {
            Language::Default => &[],
            Language::Turkish => tables::TURKISH_SINGLE,
            Language::Spanish => tables::SPANISH_SINGLE,
            Language::Portuguese => tables::PORTUGUESE_SINGLE,
            Language::Bengali => tables::BENGALI_SINGLE,
            Language::Gujarati => tables::GUJARATI_SINGLE,
            Language::Hindi => tables::HINDI_SINGLE,
            Language::Kannada => tables::KANNADA_SINGLE,
            Language::Malayalam => tables::MALAYALAM_SINGLE,
            Language::Oriya => tables::ORIYA_SINGLE,
            Language::Punjabi => tables::PUNJABI_SINGLE,
            Language::Tamil => tables::TAMIL_SINGLE,
            Language::Telugu => tables::TELUGU_SINGLE,
            Language::Urdu => tables::URDU_SINGLE,
        }
    }

    /// Whether its tables belong to those that share signs, digits and Latin letters.
    const fn is_south_asian(self) -> bool {
        self.id() >= Language::Bengali.id()
    }
}

fn at(runs: Runs, septet: u8) -> Option<char> {
    runs.iter().find_map(|(first, text)| {
        septet
            .checked_sub(*first)
            .and_then(|index| text.chars().nth(index.into()))
    })
}

fn septet_in(runs: Runs, character: char) -> Option<u8> {
    runs.iter().find_map(|(first, text)| {
        text.chars()
            .position(|c| c == character)
            .map(|index| first + index as u8)
    })
}

/// The tables of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shift {
    /// Whose table replaces the default alphabet.
    pub locking: Language,
    /// Whose table replaces the extension table.
    pub single: Language,
}

impl Shift {
    /// The tables that a user data header names.
    pub fn of(header: &Udh<'_>) -> Shift {
        let language = |id| match header.get(id) {
            Some([language]) => Language::from_id(*language).unwrap_or_default(),
            _ => Language::Default,
        };
        let locking = language(udh::LOCKING_SHIFT);
        Shift {
            locking,
            single: language(udh::SINGLE_SHIFT),
        }
    }

    /// Appends the information elements that name the tables.
    pub fn push_elements(&self, out: &mut Vec<u8>) {
        for (id, language) in [
            (udh::LOCKING_SHIFT, self.locking),
            (udh::SINGLE_SHIFT, self.single),
        ] {
            if language != Language::Default {
                out.extend([id, 1, language.id()]);
            }
        }
    }

    /// Octets of those elements.
    pub const fn elements_length(&self) -> usize {
        3 * (self.locking.id() != 0) as usize + 3 * (self.single.id() != 0) as usize
    }

    /// A septet of the alphabet.
    fn plain(&self, septet: u8) -> Option<char> {
        let default = || gsm::DEFAULT.get(usize::from(septet)).copied();
        match self.locking {
            language if language.is_south_asian() => {
                at(language.locking(), septet).or_else(|| at(tables::SHARED_LOCKING, septet))
            }
            language => at(language.locking(), septet).or_else(default),
        }
    }

    /// A septet after an escape.
    fn extended(&self, septet: u8) -> Option<char> {
        let common = gsm::EXTENSION
            .iter()
            .find(|(s, _)| *s == septet)
            .map(|(_, c)| *c);
        let shared = || at(tables::SHARED_SINGLE, septet);
        let shared = || shared().filter(|_| self.single.is_south_asian());
        at(self.single.single(), septet).or(common).or_else(shared)
    }

    /// The septet of a character, and whether an escape precedes it.
    fn septet(&self, character: char) -> Option<(bool, u8)> {
        // What a table holds must also be what its septet is read as.
        let reads = |septet: &u8| *septet != ESCAPE && self.plain(*septet) == Some(character);
        let default = || {
            gsm::DEFAULT
                .iter()
                .position(|c| *c == character)
                .map(|s| s as u8)
        };
        let plain = septet_in(self.locking.locking(), character)
            .or_else(|| septet_in(tables::SHARED_LOCKING, character).filter(reads))
            .or_else(|| default().filter(reads));
        if let Some(septet) = plain {
            return Some((false, septet));
        }
        let reads = |septet: &u8| self.extended(*septet) == Some(character);
        let common = || {
            gsm::EXTENSION
                .iter()
                .find(|(_, c)| *c == character)
                .map(|(s, _)| *s)
        };
        septet_in(self.single.single(), character)
            .or_else(|| common().filter(reads))
            .or_else(|| septet_in(tables::SHARED_SINGLE, character).filter(reads))
            .map(|septet| (true, septet))
    }
}

/// Appends the septets of a text. At the first character that the tables lack, `out` is left as
/// it was.
pub fn encode(text: &str, shift: Shift, out: &mut Vec<u8>) -> Result<(), Unencodable> {
    let start = out.len();
    for (index, character) in text.chars().enumerate() {
        let Some((escaped, septet)) = shift.septet(character) else {
            out.truncate(start);
            return Err(Unencodable {
                character,
                index,
                encoding: Encoding::Gsm,
            });
        };
        if escaped {
            out.push(ESCAPE);
        }
        out.push(septet);
    }
    Ok(())
}

/// Septets as text. An escaped septet that the single shift lacks is read from the alphabet; what
/// is in no table becomes U+FFFD.
pub fn decode(septets: &[u8], shift: Shift) -> String {
    let mut septets = septets.iter().copied();
    let mut text = String::new();
    while let Some(septet) = septets.next() {
        let character = match septet {
            ESCAPE => match septets.next() {
                None | Some(ESCAPE) => Some(' '),
                Some(septet) => shift.extended(septet).or_else(|| shift.plain(septet)),
            },
            _ => shift.plain(septet),
        };
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text
}

/// The tables of `languages` that can make a text shorter than the default ones: every pair of a
/// locking and a single shift whose languages have a character that the default alphabet lacks or
/// must escape.
pub fn shifts(text: &str, languages: &[Language]) -> impl Iterator<Item = Shift> + use<> {
    let mut special: Vec<char> = text
        .chars()
        .filter(|character| gsm::units(*character) != Some(1))
        .collect();
    special.sort_unstable();
    special.dedup();
    let serves = |language: &Language| {
        let has = |runs| special.iter().any(|c| septet_in(runs, *c).is_some());
        has(language.locking()) || has(language.single())
    };
    let mut useful = vec![Language::Default];
    useful.extend(languages.iter().copied().filter(serves));
    let locking: Vec<_> = useful
        .iter()
        .copied()
        .filter(|language| *language == Language::Default || language.has_locking())
        .collect();
    locking
        .into_iter()
        .flat_map(move |locking| {
            let single = useful.clone();
            single
                .into_iter()
                .map(move |single| Shift { locking, single })
        })
        .filter(|shift| *shift != Shift::default())
}

#[cfg(test)]
mod tests;
