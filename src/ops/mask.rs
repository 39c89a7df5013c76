//! Phone numbers in the log, masked where that is asked for.
//!
//! A number reaches a line by many ways: a record's key, a log id, an error that quotes what it could
//! not read, a library's text. So it is not masked where a line is made, of which one would be
//! forgotten, but in every text that is written: seven digits or more, of any script, with blanks,
//! dashes and the like between them or without, are a number. What the program itself writes as a number
//! (an offset, a count) is no text, and some fields hold names that an operator chose. Not taken for
//! numbers are IPv4 addresses, days, lengths of time, and names of 16 hexadecimal digits and more.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use regex::{Captures, Match, Regex};
use ring::hmac;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// How phone numbers stand in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// As they are.
    #[default]
    Full,
    /// Their last four digits.
    Last4,
    /// A keyed hash of them.
    Hash,
}

/// What people, and escapes, put between the digits of a number.
const BETWEEN: &str =
    r#"\\x[0-9a-fA-F]{2}|\\u\{[0-9a-fA-F]+\}|[^\p{Alphabetic}\p{Nd}/…,:;=\\"'\[\]{}]"#;

/// A number. Slashes may part its digits, and they part one number from the next in keys: so what is
/// a number without what follows the slash ends before it.
fn pattern() -> String {
    let number = |between: &str, more: usize| {
        format!(r"\p{{Nd}}(?:(?:{between}){{0,3}}\p{{Nd}}){{{more},}}")
    };
    let slashes = format!("/|{BETWEEN}");
    format!("{}|{}", number(BETWEEN, 6), number(&slashes, 8))
}

/// Fields of lines that hold names of topics, hosts and processes, or lengths of time and of memory.
const NAMES: &[&str] = &[
    "timestamp",
    "level",
    "target",
    "bind",
    "broker",
    "cluster",
    "elapsed",
    "esme",
    "host",
    "octets",
    "one",
    "partition",
    "partitions",
    "peer",
    "process",
    "rounded",
    "topic",
    "topics",
    "transactional_id",
    "wait",
    "within",
    "writer",
];

/// So many digits of a hash are written: enough that no two numbers of a day are alike.
const HASH: usize = 6;

/// Masks numbers in texts.
pub struct Mask {
    number: Regex,
    /// None where the last digits are left.
    key: Option<hmac::Key>,
}

impl Mask {
    /// What masks numbers as configured; `None` if they are to be as they are. Without a key of
    /// theirs, hashes have one that ends with the process.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn new(numbers: Numbers, key: &SecretString) -> Result<Option<Self>, getrandom::Error> {
        let key = match numbers {
            Numbers::Full => return Ok(None),
            Numbers::Last4 => None,
            Numbers::Hash => Some(hash_key(key.expose_secret())?),
        };
        // It never varies, and a test makes it.
        let number = Regex::new(&pattern()).ok();
        Ok(number.map(|number| Mask { number, key }))
    }

    /// The text of a field of this name, without numbers.
    pub fn field<'t>(&self, name: &str, text: &'t str) -> Cow<'t, str> {
        if NAMES.contains(&name) {
            Cow::Borrowed(text)
        } else {
            self.text(text)
        }
    }

    /// The text, without numbers.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.number.replace_all(text, |found: &Captures<'_>| {
            let whole = found.get(0);
            whole.map_or_else(String::new, |found| {
                if is_other(text, &found) {
                    found.as_str().to_owned()
                } else {
                    self.number(found.as_str())
                }
            })
        })
    }

    fn number(&self, number: &str) -> String {
        let digits = digits(number);
        let Some(key) = &self.key else {
            let last = digits.len().saturating_sub(4);
            return format!("…{}", digits.get(last..).unwrap_or_default());
        };
        // The same number, however it is written.
        let digits = digits.strip_prefix("00").unwrap_or(&digits);
        let hash = hmac::sign(key, digits.as_bytes());
        let hash = hash.as_ref().get(..HASH).unwrap_or_default();
        format!("#{}", data_encoding::HEXLOWER.encode(hash))
    }
}

fn hash_key(key: &str) -> Result<hmac::Key, getrandom::Error> {
    if key.is_empty() {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        return Ok(hmac::Key::new(hmac::HMAC_SHA256, &random));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))
}

/// The digits of a number as ASCII has them; escapes between them are none of it.
fn digits(number: &str) -> String {
    let mut digits = String::new();
    let mut rest = number.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\\' {
            let braces = rest.next() == Some('u');
            if braces {
                rest.by_ref().find(|c| *c == '}');
            } else {
                rest.by_ref().take(2).for_each(drop);
            }
        } else if let Some(digit) = digit(c) {
            digits.push(digit);
        }
    }
    digits
}

/// The zeros of scripts whose digits people type: Arabic, Persian, Devanagari, Bengali, Thai, wide
/// ones. The ten of each follow each other.
const ZEROS: [u32; 6] = [0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0xFF10];

/// A digit as ASCII has it; one of another script as it is.
fn digit(c: char) -> Option<char> {
    if !c.is_numeric() {
        return None;
    }
    let value = |zero: &u32| {
        let value = u32::from(c).checked_sub(*zero)?;
        char::from_digit(value, 10)
    };
    Some(ZEROS.iter().find_map(value).unwrap_or(c))
}

/// Whether what looks like a number is something else.
fn is_other(text: &str, found: &Match<'_>) -> bool {
    let (number, before, after) = (
        found.as_str(),
        text.get(..found.start()).unwrap_or_default(),
        text.get(found.end()..).unwrap_or_default(),
    );
    let ends = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric());
    let alone = ends(before.chars().next_back()) && ends(after.chars().next());
    if alone {
        return number.parse::<Ipv4Addr>().is_ok() || is_day(number);
    }
    is_length(number, before, after) || is_name(number, before, after)
}

/// `2026-01-02`.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts[0].starts_with("20")
}

/// `1.234567891s`.
fn is_length(number: &str, before: &str, after: &str) -> bool {
    let unit = ["s", "ms", "µs", "ns"].iter().any(|unit| {
        let rest = after.strip_prefix(unit);
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    });
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    unit && plain && number.matches('.').count() == 1 && !before.ends_with(char::is_alphanumeric)
}

/// The name of a process, or another one of many hexadecimal digits.
fn is_name(number: &str, before: &str, after: &str) -> bool {
    let hex = |c: &char| c.is_ascii_hexdigit();
    let left = before.chars().rev().take_while(hex).count();
    let right = after.chars().take_while(hex).count();
    let before = before.get(..before.len() - left).unwrap_or_default();
    let after = after.get(right..).unwrap_or_default();
    let ends =
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
    let plain = number.chars().all(|c| c.is_ascii_digit());
    ends && plain && left + right > 0 && left + number.len() + right >= 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(numbers: Numbers, key: &str) -> Mask {
        Mask::new(numbers, &key.to_owned().into()).unwrap().unwrap()
    }

    #[test]
    fn a_number_is_masked_however_it_is_written_and_nothing_else() {
        let mask = mask(Numbers::Last4, "");
        for (text, masked) in [
            ("41791234567", "…4567"),
            ("to +41791234567, refused", "to +…4567, refused"),
            ("\"0041 79 123 45 67\"", "\"…4567\""),
            ("(079) 123-45-67 is none", "(…4567 is none"),
            ("41.79.123.45.67", "…4567"),
            ("acme/41791234567/1000/7.8.2", "acme/…4567/1000/7.8.2"),
            ("acme/4179\\xff1234567/1", "acme/…4567/1"),
            ("41 79/123 45/67", "…4567"),
            ("079/123 45 67", "…4567"),
            ("acme/41791234567/10001234/7.8.2", "acme/…4567/…1234/7.8.2"),
            ("4179\\u{202f}123\\u{a0}4567", "…4567"),
            ("٤١٧٩١٢٣٤٥٦٧", "…4567"),
            ("４１７９１２３４５６７", "…4567"),
            ("४१७९१२३४५६७", "…4567"),
            ("A41791234567B", "A…4567B"),
            ("417912345678", "…5678"),
            ("12345678 and 7654321", "…5678 and …4321"),
            // What is none.
            ("123456", "123456"),
            ("ports 2775, 2776, 2777", "ports 2775, 2776, 2777"),
            ("127.0.0.1:46543", "127.0.0.1:46543"),
            ("192.168.100.200:2775", "192.168.100.200:2775"),
            ("since 2026-01-02", "since 2026-01-02"),
            ("after 1.234567891s", "after 1.234567891s"),
            ("sms.submit.5f01234567890abc", "sms.submit.5f01234567890abc"),
            ("sms.outbound-12", "sms.outbound-12"),
        ] {
            assert_eq!(mask.text(text), masked, "{text}");
        }
        assert_eq!(mask.field("topic", "sms-20260102"), "sms-20260102");
        assert_eq!(mask.field("key", "sms-20260102"), "sms-…0102");
    }

    #[test]
    fn a_hash_is_the_same_for_one_number_and_one_key_only() {
        let one = mask(Numbers::Hash, "a key of sixteen");
        let plain = one.text("41791234567").into_owned();
        assert_eq!((plain.len(), &plain[..1]), (13, "#"));
        for text in ["+41 79 123 45 67", "0041791234567", "٤١٧٩١٢٣٤٥٦٧"] {
            assert!(one.text(text).ends_with(&plain), "{text}");
        }
        assert_ne!(one.text("41791234568"), plain);
        assert_ne!(
            mask(Numbers::Hash, "b key of sixteen").text("41791234567"),
            plain
        );
        let (first, second) = (mask(Numbers::Hash, ""), mask(Numbers::Hash, ""));
        assert_ne!(first.text("41791234567"), second.text("41791234567"));
        assert_eq!(first.text("41791234567"), first.text("41791234567"));
    }

    #[test]
    fn numbers_that_are_to_be_whole_are_not_looked_for() {
        let none = Mask::new(Numbers::Full, &SecretString::default());
        assert!(none.unwrap().is_none());
    }
}
