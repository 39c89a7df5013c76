//! Which encoding a text is to be written in, and its parts.

use super::national::{self, Language, Shift};
use super::substitute::{self, Handling, Substituted};
use super::{Encoding, Unencodable, east_asian, encode, gsm};
use crate::segment::{self, Method};

pub use crate::segment::Room;

/// What may be done to write a text.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The encodings to choose from. The one that makes the fewest parts wins, of equals the
    /// first. If none has every character, the first is used and `handling` says how.
    pub encodings: &'a [Encoding],
    /// National languages whose tables the GSM alphabet may be shifted to, when that makes fewer
    /// parts: phones must know them.
    pub languages: &'a [Language],
    /// What ties the parts together.
    pub method: Method,
    /// Octets of information elements that every part carries anyway.
    pub elements: usize,
    /// What happens to characters that no encoding has. With [`Handling::Transliterate`],
    /// typographic signs are also replaced where that makes fewer parts.
    pub handling: Handling,
    /// How much fits, if that does not follow from the rest.
    pub room: Option<Room>,
}

impl Default for Policy<'_> {
    fn default() -> Self {
        Policy {
            encodings: &[Encoding::Gsm, Encoding::Ucs2],
            languages: &[],
            method: Method::Udh8,
            elements: 0,
            handling: Handling::Strict,
            room: None,
        }
    }
}

impl Policy<'_> {
    /// How many octets of text fit.
    pub fn room(&self, encoding: Encoding, shift: Shift) -> Room {
        let elements = self.elements + shift.elements_length();
        let usual = || Room::of(encoding, self.method, elements);
        self.room.unwrap_or_else(usual)
    }
}

/// A text in its encoding, cut into parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The encoding.
    pub encoding: Encoding,
    /// The national tables, which the parts' headers must name: [`Shift::push_elements`].
    pub shift: Shift,
    /// The octets of all parts; septets if they are still to be packed
    /// ([`segment::push_user_data`] does that).
    pub octets: Vec<u8>,
    /// Where each part ends.
    ends: Vec<usize>,
    /// The characters that were replaced.
    pub substituted: Vec<Substituted>,
}

impl Chosen {
    /// The octets of each part, without a header; there is at least one part.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ends.iter().enumerate().map(|(index, end)| {
            let before = index.checked_sub(1).and_then(|index| self.ends.get(index));
            let begin = before.copied().unwrap_or(0);
            self.octets.get(begin..*end).unwrap_or_default()
        })
    }

    /// How many parts there are, at least 1; it may be more than [`segment::MAX_PARTS`].
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// How many units all parts have: septets, 16-bit units or octets.
    pub fn units(&self) -> usize {
        self.octets.len() / self.encoding.unit()
    }

    /// Writes the text instead of what was here, strictly.
    fn write(
        &mut self,
        text: &str,
        encoding: Encoding,
        shift: Shift,
        policy: &Policy<'_>,
    ) -> Result<(), Unencodable> {
        self.octets.clear();
        self.ends.clear();
        self.substituted.clear();
        (self.encoding, self.shift) = (encoding, shift);
        let (octets, ends) = (&mut self.octets, &mut self.ends);
        let room = policy.room(encoding, shift);
        if encoding == Encoding::Iso2022Jp {
            return east_asian::encode_shifting(text, room.single, room.part, octets, ends)
                .map_err(|(index, character)| Unencodable {
                    character,
                    index,
                    encoding,
                });
        }
        match shift == Shift::default() {
            true if encoding.is_gsm() => encode(text, Encoding::Gsm, octets)?,
            true => encode(text, encoding, octets)?,
            false => national::encode(text, shift, octets)?,
        }
        segment::cut_into(octets, encoding, room, ends);
        Ok(())
    }
}

/// Writes a text as cheaply as the policy allows: in the encoding, and if need be with the
/// national tables, that make the fewest parts.
///
/// A letter and its marks are written as one character in an encoding that has only that, if it
/// makes fewer parts than others: by Unicode's rules it is the same text, so that is no replacement.
///
/// ```
/// use smpp_protocol::text::{Encoding, Policy, choose};
///
/// let chosen = choose("Grüße für 5 €", &Policy::default())?;
/// assert_eq!((chosen.encoding, chosen.units(), chosen.count()), (Encoding::Gsm, 14, 1));
/// let chosen = choose("it’s", &Policy::default())?;
/// assert_eq!((chosen.encoding, chosen.units()), (Encoding::Ucs2, 4));
/// # Ok::<(), smpp_protocol::text::Unencodable>(())
/// ```
///
/// # Errors
///
/// No encoding has every character, and [`Handling::Strict`] allows no other.
pub fn choose(text: &str, policy: &Policy<'_>) -> Result<Chosen, Unencodable> {
    let mut search = Search::default();
    search.strictly(text, policy);
    if search.best_count() > 1
        && let Some(composed) = substitute::composed(text)
    {
        let lacks = |encoding: &Encoding| !text.chars().all(|c| encoding.has(c));
        let mut encodings = policy.encodings.to_vec();
        encodings.retain(lacks);
        let encodings = &encodings;
        search.strictly(
            &composed,
            &Policy {
                encodings,
                ..*policy
            },
        );
    }
    if policy.handling == Handling::Transliterate && search.best_count() > 1 {
        search.with_look_alikes(text, policy);
    }
    let error = match (search.best, search.error) {
        (Some(best), _) => return Ok(best),
        (None, error) => error,
    };
    let encoding = policy.encodings.first().copied().unwrap_or_default();
    if let Some(error) = error.filter(|_| policy.handling == Handling::Strict) {
        return Err(error);
    }
    let mut substituted = Vec::new();
    let has = |character| encoding.has(character);
    let text = substitute::all(text, has, policy.handling, &mut substituted);
    let mut chosen = Chosen::default();
    chosen.write(&text, encoding, Shift::default(), policy)?;
    chosen.substituted = substituted;
    Ok(chosen)
}

#[derive(Default)]
struct Search {
    best: Option<Chosen>,
    /// What is tried: it takes the place of the best, whose buffers then serve the next try.
    next: Chosen,
    /// Why the first encoding was none.
    error: Option<Unencodable>,
}

impl Search {
    fn best_count(&self) -> usize {
        self.best.as_ref().map_or(usize::MAX, Chosen::count)
    }

    /// Fewer parts win; of national tables also fewer octets.
    fn is_next_better(&self) -> bool {
        let cost = |chosen: &Chosen| {
            let octets = chosen.octets.len() + chosen.shift.elements_length();
            (chosen.count(), octets)
        };
        match &self.best {
            Some(best) if best.shift != Shift::default() => cost(&self.next) < cost(best),
            _ => self.next.count() < self.best_count(),
        }
    }

    fn try_with(&mut self, text: &str, encoding: Encoding, shift: Shift, policy: &Policy<'_>) {
        match self.next.write(text, encoding, shift, policy) {
            Err(error) => {
                self.error.get_or_insert(error);
            }
            Ok(()) if self.is_next_better() => {
                let worse = self.best.replace(std::mem::take(&mut self.next));
                self.next = worse.unwrap_or_default();
            }
            Ok(()) => {}
        }
    }

    fn strictly(&mut self, text: &str, policy: &Policy<'_>) {
        for encoding in policy.encodings {
            self.try_with(text, *encoding, Shift::default(), policy);
            if self.best_count() == 1 {
                return;
            }
        }
        let gsm = policy.encodings.iter().find(|encoding| encoding.is_gsm());
        if let Some(gsm) = gsm {
            for shift in national::shifts(text, policy.languages) {
                self.try_with(text, *gsm, shift, policy);
            }
        }
    }

    /// Without the typographic signs that the GSM alphabet lacks.
    fn with_look_alikes(&mut self, text: &str, policy: &Policy<'_>) {
        let mut substituted = Vec::new();
        let plain = substitute::look_alikes(text, |c| gsm::units(c).is_some(), &mut substituted);
        if substituted.is_empty() {
            return;
        }
        let before = self.best_count();
        self.strictly(&plain, policy);
        if self.best_count() < before
            && let Some(best) = &mut self.best
        {
            best.substituted = substituted;
        }
    }
}

#[cfg(test)]
mod tests;
