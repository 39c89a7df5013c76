//! Characters in the place of those that an encoding lacks.

use std::borrow::Cow;
use std::iter::once;

use any_ascii::any_ascii_char;
use unicode_normalization::char::{canonical_combining_class, compose, decompose_canonical};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// What happens to characters that an encoding lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Handling {
    /// The text is refused.
    #[default]
    Strict,
    /// They are left out.
    Ignore,
    /// A question mark stands for each.
    Replace,
    /// What is closest to them in the encoding: `'` for `’`, `e` for `ē`, `Moskva` for `Москва`; a
    /// question mark where nothing is.
    Transliterate,
}

impl Handling {
    /// The handling of a name.
    pub fn from_name(name: &str) -> Option<Handling> {
        Some(match name {
            "strict" => Handling::Strict,
            "ignore" => Handling::Ignore,
            "replace" => Handling::Replace,
            "transliterate" => Handling::Transliterate,
            _ => return None,
        })
    }
}

/// A character that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substituted {
    /// How many characters of the original text precede it.
    pub index: usize,
    /// The character; of a letter with its marks the one that they are together.
    pub character: char,
    /// What stands for it.
    pub by: Cow<'static, str>,
}

/// What typographic signs, and spaces of special widths, look like on a typewriter: they say the
/// same and cost less.
pub const fn look_alike(character: char) -> Option<&'static str> {
    Some(match character {
        '‘' | '’' | '‚' | '‛' | '′' | '‵' | 'ʼ' | '`' | '´' | '＇' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' | '＂' => "\"",
        '‹' => "<",
        '›' => ">",
        '‐'..='―' | '−' | '⁃' => "-",
        '…' => "...",
        '⁄' | '∕' => "/",
        '•' | '·' => "*",
        '∆' => "Δ",
        '∑' => "Σ",
        '∏' => "Π",
        '\t' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "\n",
        '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => "",
        _ => return None,
    })
}

/// What is closest to a character among those for which `has` holds; empty for marks that can be
/// left out.
///
/// A letter with several marks keeps those that it can keep (`ü` for `ǘ`, `Ω` for `Ώ`), and what
/// is a character in another form is that character (`Ω` for the mathematical `𝛀`).
pub fn closest(character: char, has: impl Fn(char) -> bool) -> Cow<'static, str> {
    let good = |by: &&str| by.chars().all(&has);
    if let Some(by) = look_alike(character).filter(good) {
        return by.into();
    }
    if let Some(by) = with_fewer_marks(character, &has) {
        return by.to_string().into();
    }
    let other_form: String = once(character).nfkc().collect();
    if !character.is_ascii() && good(&&*other_form) {
        return other_form.into();
    }
    match any_ascii_char(character) {
        "" if !character.is_alphanumeric() => "".into(),
        "" => question_mark(has).into(),
        by if good(&by) => by.into(),
        _ => question_mark(has).into(),
    }
}

/// The letter of a character with as many of its marks as it can keep.
fn with_fewer_marks(character: char, has: impl Fn(char) -> bool) -> Option<char> {
    let mut parts = Vec::new();
    decompose_canonical(character, |part| parts.push(part));
    let (letter, marks) = parts.split_first()?;
    let mut marked = vec![*letter];
    for mark in marks {
        let more = marked.last().and_then(|one| compose(*one, *mark));
        marked.extend(more);
    }
    let each_alone = marks.iter().filter_map(|mark| compose(*letter, *mark));
    let mut candidates = marked.iter().skip(1).rev().copied().chain(each_alone);
    candidates
        .find(|one| has(*one))
        .or_else(|| has(*letter).then_some(*letter))
}

fn question_mark(has: impl Fn(char) -> bool) -> &'static str {
    if has('?') { "?" } else { "" }
}

/// A text without the characters for which `has` does not hold; says in `substituted` what was
/// replaced. [`Handling::Strict`] replaces nothing.
pub fn all(
    text: &str,
    has: impl Fn(char) -> bool,
    handling: Handling,
    substituted: &mut Vec<Substituted>,
) -> String {
    let instead = |character| match handling {
        Handling::Strict => None,
        Handling::Ignore => Some("".into()),
        Handling::Replace => Some(question_mark(&has).into()),
        Handling::Transliterate => Some(closest(character, &has)),
    };
    replace(text, &has, instead, substituted)
}

/// A text with its typographic signs replaced for which `has` does not hold, and nothing else.
pub fn look_alikes(
    text: &str,
    has: impl Fn(char) -> bool,
    substituted: &mut Vec<Substituted>,
) -> String {
    replace(text, has, |c| look_alike(c).map(Cow::from), substituted)
}

/// The same text with letters and their marks as one character each where there is one, which
/// encodings have more often (Unicode Standard Annex 15, form C); `None` if it is so already.
///
/// ```
/// use smpp_protocol::text::substitute::composed;
///
/// assert_eq!(composed("u\u{308}ber").as_deref(), Some("über"));
/// assert_eq!(composed("über"), None);
/// ```
pub fn composed(text: &str) -> Option<String> {
    let maybe = !text.is_ascii() && is_nfc_quick(text.chars()) != IsNormalized::Yes;
    let composed = maybe.then(|| text.nfc().collect::<String>());
    composed.filter(|composed| composed != text)
}

/// A character with what joins it to become one: where it begins, in characters, and octets.
fn clusters(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    let mut index = 0;
    std::iter::from_fn(move || {
        let mut characters = rest.char_indices();
        let (_, mut last) = characters.next()?;
        let joins = |last: &mut char, next: char| match compose(*last, next) {
            Some(both) => {
                *last = both;
                true
            }
            None => canonical_combining_class(next) != 0,
        };
        let end = characters.find(|(_, next)| !joins(&mut last, *next));
        let (cluster, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        let start = index;
        (rest, index) = (after, index + cluster.chars().count());
        Some((start, cluster))
    })
}

/// Leaves what `has`, composes what it has then, and takes something else `instead` of the rest.
fn replace(
    text: &str,
    has: impl Fn(char) -> bool,
    instead: impl Fn(char) -> Option<Cow<'static, str>>,
    substituted: &mut Vec<Substituted>,
) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, cluster) in clusters(text) {
        if cluster.chars().all(&has) {
            out.push_str(cluster);
            continue;
        }
        let composed: String = cluster.nfc().collect();
        for (offset, character) in composed.chars().enumerate() {
            match instead(character).filter(|_| !has(character)) {
                None => out.push(character),
                Some(by) => {
                    out.push_str(&by);
                    substituted.push(Substituted {
                        index: index + offset,
                        character,
                        by,
                    });
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::Encoding;

    fn gsm(text: &str, handling: Handling) -> String {
        all(text, |c| Encoding::Gsm.has(c), handling, &mut Vec::new())
    }

    #[test]
    fn what_the_encoding_has_stays() {
        for handling in [Handling::Ignore, Handling::Replace, Handling::Transliterate] {
            assert_eq!(gsm("Grüße [5 €]", handling), "Grüße [5 €]");
        }
    }

    #[test]
    fn each_handling_has_its_way() {
        let text = "“Zoë’s café” – naïve…";
        assert_eq!(gsm(text, Handling::Strict), text);
        assert_eq!(gsm(text, Handling::Ignore), "Zos café  nave");
        assert_eq!(gsm(text, Handling::Replace), "?Zo??s café? ? na?ve?");
        assert_eq!(
            gsm(text, Handling::Transliterate),
            "\"Zoe's café\" - naive..."
        );
    }

    #[test]
    fn other_scripts_are_written_in_latin() {
        assert_eq!(gsm("Київ", Handling::Transliterate), "Kiiv");
        assert_eq!(gsm("e\u{301}t\u{200B}é", Handling::Transliterate), "été");
        assert_eq!(gsm("ς", Handling::Transliterate), "s");
    }

    #[test]
    fn what_was_replaced_is_told() {
        let mut substituted = Vec::new();
        let plain = look_alikes("Ж’s", |c| Encoding::Gsm.has(c), &mut substituted);
        assert_eq!(plain, "Ж's");
        let expected = Substituted {
            index: 1,
            character: '’',
            by: "'".into(),
        };
        assert_eq!(substituted, [expected]);
    }

    #[test]
    fn letters_that_the_encoding_has_are_kept_however_they_are_written() {
        let latin = |text| gsm(text, Handling::Transliterate);
        for (text, kept) in [
            ("fu\u{308}r", "für"),
            ("man\u{303}ana", "mañana"),
            ("Cafe\u{301}", "Café"),
            ("A\u{30A}rhus", "Århus"),
            ("\u{212B}ngstr\u{F6}m", "Ångström"),
            ("10 \u{2126}", "10 Ω"),
            ("20 \u{212A}", "20 K"),
            ("C\u{327}a", "Ça"),
            // More marks than there is a letter for: those that can be kept are.
            ("lǘ", "lü"),
            ("l\u{FC}\u{301}", "lü"),
            ("ṏ", "ö"),
            ("Ǻ Ǿ Ώ", "Å Ø Ω"),
            ("ẽ", "e"),
            ("и\u{306}", "y"),
            ("x\u{304}", "x"),
            // Another form of the same character.
            ("𝛀 ＠ ﬁ ½ ②", "Ω @ fi 1/2 2"),
            ("∆x ∑", "Δx Σ"),
        ] {
            assert_eq!(latin(text), kept, "{text}");
        }
        assert_eq!(gsm("u\u{308}Ж", Handling::Ignore), "ü");
        assert_eq!(gsm("u\u{308}Ж", Handling::Replace), "ü?");
    }

    #[test]
    fn what_was_replaced_is_told_with_its_place_in_the_original() {
        let mut substituted = Vec::new();
        let has = |c| Encoding::Gsm.has(c);
        let text = "u\u{308}ber e\u{304}’";
        let plain = all(text, has, Handling::Transliterate, &mut substituted);
        assert_eq!(plain, "über e'");
        let told: Vec<_> = substituted
            .iter()
            .map(|one| (one.index, one.character, &*one.by))
            .collect();
        assert_eq!(told, [(6, 'ē', "e"), (8, '’', "'")]);
    }

    #[test]
    fn what_the_encoding_has_is_not_composed() {
        let text = "u\u{308} क\u{93C} \u{958}";
        let all = |handling| all(text, |_| true, handling, &mut Vec::new());
        assert_eq!(all(Handling::Transliterate), text);
    }

    proptest! {
        #[test]
        fn clusters_can_be_composed_one_by_one(text in "[uoAax\u{300}-\u{330}\u{1100}-\u{1112}\u{1161}-\u{1175}\u{11A8}-\u{11C2}\u{AC00}\u{915}\u{93C}\u{9C7}\u{9BE}\u{D7}]{0,20}") {
            let one_by_one: String = clusters(&text).flat_map(|(_, cluster)| cluster.nfc()).collect();
            prop_assert_eq!(one_by_one, text.nfc().collect::<String>());
            let places = clusters(&text).map(|(index, _)| index);
            prop_assert!(places.is_sorted());
        }

        #[test]
        fn any_text_becomes_one_that_the_encoding_has(text: String) {
            let plain = gsm(&text, Handling::Transliterate);
            prop_assert!(plain.chars().all(|c| Encoding::Gsm.has(c)), "{plain:?}");
        }
    }
}
