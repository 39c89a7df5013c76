//! Characters in the place of those that an encoding lacks.

use any_ascii::any_ascii_char;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Substituted {
    /// How many characters of the original text precede it.
    pub index: usize,
    /// The character.
    pub character: char,
    /// What stands for it.
    pub by: &'static str,
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
        '\t' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "\n",
        '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => "",
        _ => return None,
    })
}

/// What is closest to a character among those for which `has` holds; empty for marks that can be
/// left out.
pub fn closest(character: char, has: impl Fn(char) -> bool) -> &'static str {
    let good = |by: &&str| by.chars().all(&has);
    if let Some(by) = look_alike(character).filter(good) {
        return by;
    }
    match any_ascii_char(character) {
        "" if !character.is_alphanumeric() => "",
        "" => question_mark(has),
        by if good(&by) => by,
        _ => question_mark(has),
    }
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
        _ if has(character) => None,
        Handling::Ignore => Some(""),
        Handling::Replace => Some(question_mark(&has)),
        Handling::Transliterate => Some(closest(character, &has)),
    };
    replace(text, instead, substituted)
}

/// A text with its typographic signs replaced for which `has` does not hold, and nothing else.
pub fn look_alikes(
    text: &str,
    has: impl Fn(char) -> bool,
    substituted: &mut Vec<Substituted>,
) -> String {
    let instead = |character| look_alike(character).filter(|_| !has(character));
    replace(text, instead, substituted)
}

fn replace(
    text: &str,
    instead: impl Fn(char) -> Option<&'static str>,
    substituted: &mut Vec<Substituted>,
) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        match instead(character) {
            None => out.push(character),
            Some(by) => {
                out.push_str(by);
                substituted.push(Substituted {
                    index,
                    character,
                    by,
                });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::text::Encoding;

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
        assert_eq!(gsm("e\u{301}t\u{200B}é", Handling::Transliterate), "eté");
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
            by: "'",
        };
        assert_eq!(substituted, [expected]);
    }
}
