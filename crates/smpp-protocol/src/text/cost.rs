//! Which characters need extra segments: without them the text would have fewer.

use std::borrow::Cow;

use super::national::{self, Shift};
use super::substitute::{self, closest};
use super::{Chosen, Encoding, Policy, choose, gsm};

/// A character that costs more than others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// The character.
    pub character: char,
    /// Where it stands, in characters from 0.
    pub indexes: Vec<usize>,
    /// What could stand for it, if the cheapest encoding lacks it.
    pub replacement: Option<Cow<'static, str>>,
    /// How many units it takes beyond one, all in all, in the encoding chosen.
    pub extra_units: usize,
    /// What the text would be with the replacement, or if the character took one unit.
    pub without: Cost,
    /// How many parts fewer that is.
    pub saves: usize,
}

/// What a text takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// In which encoding.
    pub encoding: Encoding,
    /// How many units it has.
    pub units: usize,
    /// How many parts.
    pub parts: usize,
}

impl From<&Chosen> for Cost {
    fn from(chosen: &Chosen) -> Self {
        Cost {
            encoding: chosen.encoding,
            units: chosen.units(),
            parts: chosen.count(),
        }
    }
}

/// The characters that need extra segments, the most expensive first: those that the first encoding of the
/// policy lacks, and those that take more than one unit in the encoding chosen.
///
/// ```
/// use smpp_protocol::text::{Policy, choose, cost::culprits};
///
/// let text = format!("it’s {}", "x".repeat(80));
/// let policy = Policy::default();
/// let culprits = culprits(&text, &policy, &choose(&text, &policy)?);
/// assert_eq!((culprits[0].character, culprits[0].saves), ('’', 1));
/// assert_eq!(culprits[0].replacement.as_deref(), Some("'"));
/// # Ok::<(), smpp_protocol::text::Unencodable>(())
/// ```
pub fn culprits(text: &str, policy: &Policy<'_>, chosen: &Chosen) -> Vec<Culprit> {
    let first = policy.encodings.first().copied().unwrap_or_default();
    let mut found: Vec<Culprit> = Vec::new();
    for (index, character) in text.chars().enumerate() {
        if let Some(known) = found.iter_mut().find(|known| known.character == character) {
            known.indexes.push(index);
            continue;
        }
        let lacking = !first.has(character) && chosen.encoding != first;
        let extra_units = units(character, chosen).saturating_sub(1);
        if lacking || extra_units > 0 {
            found.push(Culprit {
                character,
                indexes: vec![index],
                replacement: lacking.then(|| closest(character, |c| first.has(c))),
                extra_units,
                without: chosen.into(),
                saves: 0,
            });
        }
    }
    for culprit in &mut found {
        culprit.extra_units *= culprit.indexes.len();
        culprit.price(text, policy, chosen);
    }
    found.sort_by_key(|culprit| std::cmp::Reverse(culprit.saves));
    found
}

/// What the text would be if every character that the first encoding lacks were replaced by what
/// is closest to it; `None` if it lacks none, or that saves no part.
pub fn replaced(text: &str, policy: &Policy<'_>, chosen: &Chosen) -> Option<(String, Cost)> {
    let first = policy.encodings.first().copied().unwrap_or_default();
    let mut substituted = Vec::new();
    let handling = substitute::Handling::Transliterate;
    let plain = substitute::all(text, |c| first.has(c), handling, &mut substituted);
    let other = choose(&plain, policy).ok()?;
    let saves = other.count() < chosen.count() && !substituted.is_empty();
    saves.then_some((plain, (&other).into()))
}

impl Culprit {
    fn price(&mut self, text: &str, policy: &Policy<'_>, chosen: &Chosen) {
        let instead = self.replacement.as_deref().unwrap_or("x");
        let other = text.replace(self.character, instead);
        if let Ok(other) = choose(&other, policy) {
            self.without = (&other).into();
            self.saves = chosen.count().saturating_sub(other.count());
        }
    }
}

/// How many units a character takes in a text.
fn units(character: char, chosen: &Chosen) -> usize {
    if chosen.encoding.is_gsm() && chosen.shift == Shift::default() {
        return gsm::units(character).unwrap_or(1);
    }
    let mut octets = Vec::new();
    let text = character.encode_utf8(&mut [0; 4]).to_owned();
    let written = match chosen.encoding.is_gsm() {
        true => national::encode(&text, chosen.shift, &mut octets),
        false => super::encode(&text, chosen.encoding, &mut octets),
    };
    match (written, chosen.encoding) {
        // Its escape sequences are shared by neighbours.
        (_, Encoding::Iso2022Jp) | (Err(_), _) => 1,
        (Ok(()), encoding) => octets.len() / encoding.unit(),
    }
}

/// What people call a character, if it is one that slips in unseen.
pub fn describe(character: char) -> &'static str {
    match character {
        '‘' | '’' | '‚' | '‛' | '“' | '”' | '„' | '‟' => "curly quote",
        '«' | '»' | '‹' | '›' => "angle quote",
        '–' | '—' | '‐'..='―' | '−' => "long dash",
        '…' => "ellipsis",
        '\t' => "tab",
        '`' | '´' => "accent",
        '\u{A0}' | '\u{202F}' => "no-break space",
        '\u{2000}'..='\u{200A}' | '\u{205F}' | '\u{3000}' => "wide space",
        '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}' => "invisible character",
        '\u{FE00}'..='\u{FE0F}' => "variation selector",
        '\u{2600}'..='\u{27BF}' | '\u{1F000}'..='\u{1FAFF}' => "emoji",
        _ if character.is_alphabetic() => "letter",
        _ => "sign",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Culprit> {
        let policy = Policy::default();
        culprits(text, &policy, &choose(text, &policy).unwrap())
    }

    #[test]
    fn a_plain_text_has_no_culprit() {
        assert_eq!(found("hello"), []);
        assert_eq!(found("é".repeat(200).as_str()), []);
    }

    #[test]
    fn one_quote_can_cost_parts() {
        let text = format!("{}’{}", "x".repeat(16), "x".repeat(143));
        let culprits = found(&text);
        assert_eq!(culprits.len(), 1);
        let quote = &culprits[0];
        assert_eq!((quote.indexes.as_slice(), quote.saves), (&[16][..], 2));
        assert_eq!(quote.replacement.as_deref(), Some("'"));
        let plain = Cost {
            encoding: Encoding::Gsm,
            units: 160,
            parts: 1,
        };
        assert_eq!(quote.without, plain);
    }

    #[test]
    fn two_characters_cost_together_what_neither_costs_alone() {
        let text = format!("“x” — {}", "x".repeat(80));
        let culprits = found(&text);
        assert_eq!(culprits.len(), 3);
        assert!(culprits.iter().all(|culprit| culprit.saves == 0));
        let policy = Policy::default();
        let chosen = choose(&text, &policy).unwrap();
        let (plain, cost) = replaced(&text, &policy, &chosen).unwrap();
        assert!(plain.starts_with("\"x\" - xx"));
        assert_eq!((cost.encoding, cost.parts), (Encoding::Gsm, 1));
    }

    #[test]
    fn escaped_characters_take_two() {
        let text = format!("[{}]", "x".repeat(158));
        let culprits = found(&text);
        assert_eq!(culprits.len(), 2);
        assert_eq!((culprits[0].character, culprits[0].extra_units), ('[', 1));
        assert_eq!((&culprits[0].replacement, culprits[0].saves), (&None, 0));
    }
}
