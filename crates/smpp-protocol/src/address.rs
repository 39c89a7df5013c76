//! Addresses: type of number, numbering plan, digits or letters (SMPP 3.4 §5.2.5 to §5.2.9).

use std::borrow::Cow;
use std::fmt;

macro_rules! octet {
    ($(#[$about:meta])* $type:ident { $($constant:ident = $value:literal, $name:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $type(pub u8);

        impl $type {
            $(
                #[doc = concat!("`", $name, "`, ", stringify!($value))]
                pub const $constant: $type = $type($value);
            )*

            /// The name of a value that the specification defines.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)*
                    _ => None,
                }
            }

            /// The value of a name, in any case.
            pub fn from_name(name: &str) -> Option<$type> {
                $(if name.eq_ignore_ascii_case($name) {
                    return Some($type($value));
                })*
                None
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

octet! {
    /// Type of number (SMPP 3.4 §5.2.5).
    Ton {
        UNKNOWN = 0, "unknown";
        INTERNATIONAL = 1, "international";
        NATIONAL = 2, "national";
        NETWORK_SPECIFIC = 3, "network_specific";
        SUBSCRIBER_NUMBER = 4, "subscriber_number";
        ALPHANUMERIC = 5, "alphanumeric";
        ABBREVIATED = 6, "abbreviated";
    }
}

octet! {
    /// Numbering plan indicator (SMPP 3.4 §5.2.6).
    Npi {
        UNKNOWN = 0, "unknown";
        ISDN = 1, "isdn";
        DATA = 3, "data";
        TELEX = 4, "telex";
        LAND_MOBILE = 6, "land_mobile";
        NATIONAL = 8, "national";
        PRIVATE = 9, "private";
        ERMES = 10, "ermes";
        INTERNET = 14, "internet";
        WAP_CLIENT_ID = 18, "wap_client_id";
    }
}

/// Who sends or receives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Address<'a> {
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan indicator.
    pub npi: Npi,
    /// Digits or letters, at most 20 octets (64 in data_sm).
    pub number: &'a [u8],
}

impl<'a> Address<'a> {
    /// An address from how people write it: TON and NPI by [`infer`], without the `+` or `00` of
    /// an international number.
    pub fn parse(number: &'a str) -> Self {
        let (ton, npi) = infer(number);
        let prefixes = if ton == Ton::INTERNATIONAL {
            &["+", "00"][..]
        } else {
            &[]
        };
        let bare = prefixes
            .iter()
            .find_map(|prefix| number.strip_prefix(prefix));
        Address {
            ton,
            npi,
            number: bare.unwrap_or(number).as_bytes(),
        }
    }
}

impl fmt::Debug for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.ton.0,
            self.npi.0,
            self.number.escape_ascii()
        )
    }
}

/// TON and NPI for a number that comes without them.
///
/// - digits with `*` or `#` among them: a USSD string or another code, whose type is unknown;
/// - `+` or `00` and 7 to 15 digits, or 9 to 15 digits that do not begin with 0: an international
///   ISDN number (ITU-T E.164);
/// - up to 8 digits: a short code, which only the network can interpret;
/// - other digits: an ISDN number whose type the SMSC must work out;
/// - anything else: a name.
pub fn infer(number: &str) -> (Ton, Npi) {
    let prefixed = number
        .strip_prefix('+')
        .or_else(|| number.strip_prefix("00"));
    let digits = prefixed.unwrap_or(number);
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return match number.is_empty() || is_code(number) {
            true => (Ton::UNKNOWN, Npi::UNKNOWN),
            false => (Ton::ALPHANUMERIC, Npi::UNKNOWN),
        };
    }
    match (prefixed, digits.len()) {
        (Some(_), 7..=15) => (Ton::INTERNATIONAL, Npi::ISDN),
        (None, 1..=8) => (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN),
        (None, 9..=15) if !digits.starts_with('0') => (Ton::INTERNATIONAL, Npi::ISDN),
        _ => (Ton::UNKNOWN, Npi::ISDN),
    }
}

/// Whether it is what people dial to reach a service (3GPP TS 22.030 §6.5.2).
fn is_code(number: &str) -> bool {
    let is_sign = |octet: u8| matches!(octet, b'*' | b'#');
    let has_digit = number.bytes().any(|octet| octet.is_ascii_digit());
    let mut octets = number.bytes();
    let is_dialled = octets.all(|octet| octet.is_ascii_digit() || is_sign(octet));
    is_dialled && has_digit && number.bytes().any(is_sign)
}

/// The longest alphanumeric sender: 11 septets in 10 octets (3GPP TS 23.040 §9.1.2.5).
const LONGEST_NAME: usize = 11;

/// An address that people wrote, in the form in which SMPP has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written<'a> {
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan indicator.
    pub npi: Npi,
    /// Digits or letters.
    pub number: Cow<'a, str>,
}

/// Why nothing can be sent to or from what people wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// A recipient that is no number.
    #[error(
        "is no number: write its digits, with + and the country code such as \"+41791234567\", or a \
         code such as \"*100#\". Anything else needs its type too, such as {{\"number\": \"ACME\", \
         \"ton\": 5, \"npi\": 0}}"
    )]
    NoNumber,
    /// A zero that is dialled in some countries only when the country code is not.
    #[error(
        "has a (0) behind the country code, which only some countries dial: write the number as it is \
         dialled from abroad"
    )]
    TrunkZero,
    /// A number that a program took for one to reckon with.
    #[error(
        "ends in a fraction, {0:?}, as spreadsheets and programs write what they take for an amount: \
         write the number without it, as a text such as \"+41791234567\""
    )]
    Fraction(String),
    /// A sign behind which another number may stand.
    #[error(
        "may be two numbers, because of {}: write one number, with nothing but blanks, dashes or \
         dots between its digits",
        between(*.0)
    )]
    Several(char),
    /// A sender with a character that nobody can see.
    #[error("has a control character, {}: remove it", control(*.0))]
    Control(char),
    /// A sender of nothing but spaces.
    #[error("is blank: write a number or a name, or leave it out")]
    Blank,
    /// A sender that phones cannot show.
    #[error(
        "is a name of {0} characters, GSM has room for 11: shorten it; or give its type too, such as \
         {{\"number\": \"...\", \"ton\": 5, \"npi\": 0}}, if this SMSC takes longer ones"
    )]
    LongName(usize),
}

/// What a character is that nobody can see.
fn control(character: char) -> String {
    match character {
        '\0' => "NUL".into(),
        '\r' | '\n' => "a line end".into(),
        '\t' => "a tab".into(),
        other => format!("U+{:04X}", u32::from(other)),
    }
}

/// What stands between two numbers.
fn between(character: char) -> String {
    match character {
        '\u{2028}' | '\u{2029}' => "a line end in it".into(),
        c if c.is_control() => format!("{} in it", control(c)),
        c => format!("the {c:?} in it"),
    }
}

impl Written<'_> {
    /// The same for a PDU.
    pub fn address(&self) -> Address<'_> {
        Address {
            ton: self.ton,
            npi: self.npi,
            number: self.number.as_bytes(),
        }
    }
}

/// Whom to send to, from how people write numbers: what they put between digits is left out, as are
/// `tel:` before them and invisible marks that come along when a number is copied. What then is no
/// number is refused: no network delivers to a name.
///
/// Leaving signs out must not make another number of what is none, or of two, because somebody
/// else would get the message. So three kinds of numbers are refused, although their digits could
/// be read:
///
/// - with a fraction at their end (`491713920001.0`): a dot and one or two digits, or a dot and
///   nothing but zeros, behind a single run of digits. Numbers in groups have other dots, blanks or
///   dashes too (`0171.392.0001`), or longer groups;
/// - with a `(0)` or `[0]` behind other digits, with or without `+`: it is not dialled from abroad;
/// - with a line end or a tab inside, which stands between two numbers, or with a `/` that does so
///   in ITU-T E.123 (`0660123456/78`). A `/` is left out only behind a trunk or country code with
///   an area code that is too short to be a number itself: `089/123456`, `0660/1234567`,
///   `+49 171/3920001`.
///
/// ```
/// use smpp_protocol::address::{Ton, recipient};
///
/// assert_eq!(recipient("+49 (171) 392-00.01")?.number, "491713920001");
/// assert_eq!(recipient("*100#")?.ton, Ton::UNKNOWN);
/// assert!(recipient("ACME").is_err());
/// # Ok::<(), smpp_protocol::address::BadAddress>(())
/// ```
///
/// # Errors
///
/// What is no number.
pub fn recipient(text: &str) -> Result<Written<'_>, BadAddress> {
    let number = without_separators(text);
    let (ton, npi) = infer(&number);
    if number.is_empty() || ton == Ton::ALPHANUMERIC {
        return Err(BadAddress::NoNumber);
    }
    check_meaning(text)?;
    Ok(dialled(number, ton, npi))
}

/// Who sends, from how people write it: a number, or a name that is sent as it is.
///
/// # Errors
///
/// What phones cannot show.
pub fn sender(text: &str) -> Result<Written<'_>, BadAddress> {
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(BadAddress::Control(control));
    }
    let text = text.trim_matches(' ');
    if text.is_empty() {
        return Err(BadAddress::Blank);
    }
    if text.starts_with('+') || without_scheme(text) != text {
        let number = without_separators(text);
        let (ton, npi) = infer(&number);
        if ton == Ton::INTERNATIONAL {
            check_meaning(text)?;
            return Ok(dialled(number, ton, npi));
        }
    }
    // Names may have figures and dots, but this is what becomes of a number in a spreadsheet.
    if let Some(fraction) = fraction(text).filter(|fraction| is_zero(fraction)) {
        return Err(BadAddress::Fraction(fraction.into()));
    }
    let (ton, npi) = infer(text);
    let length = text.chars().count();
    match ton == Ton::ALPHANUMERIC && length > LONGEST_NAME {
        true => Err(BadAddress::LongName(length)),
        false => Ok(dialled(text.into(), ton, npi)),
    }
}

/// Without the `+` or `00` of an international number.
fn dialled(number: Cow<'_, str>, ton: Ton, npi: Npi) -> Written<'_> {
    let prefix = match ton {
        Ton::INTERNATIONAL if number.starts_with('+') => 1,
        Ton::INTERNATIONAL if number.starts_with("00") => 2,
        _ => 0,
    };
    let number = match number {
        Cow::Borrowed(number) => Cow::Borrowed(&number[prefix..]),
        Cow::Owned(mut number) => Cow::Owned(number.split_off(prefix)),
    };
    Written { ton, npi, number }
}

/// Without the `tel:` of a URI (RFC 3966).
fn without_scheme(text: &str) -> &str {
    match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &text[4..],
        _ => text,
    }
}

/// Without what people put between the digits of a number (ITU-T E.123, RFC 3966 §5.1.1).
fn without_separators(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let text = without_scheme(text.trim_matches(is_separator));
    without(text, is_separator)
}

/// Whether nothing in it is to be left out or has a meaning of its own.
fn is_plain(text: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_digit() || matches!(octet, b'+' | b'*' | b'#');
    text.bytes().all(is_plain)
}

/// A text without some of its characters. Most have none of them, and stay where they are.
fn without(text: &str, left_out: fn(char) -> bool) -> Cow<'_, str> {
    match text.contains(left_out) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.chars().filter(|c| !left_out(*c)).collect()),
    }
}

/// Refuses what would be another number without its separators, or may be several.
fn check_meaning(text: &str) -> Result<(), BadAddress> {
    if is_plain(text) {
        return Ok(());
    }
    let visible = without(text, is_mark);
    let inside = without_scheme(visible.trim_matches(is_separator));
    if let Some(fraction) = fraction(inside) {
        return Err(BadAddress::Fraction(fraction.into()));
    }
    let is_line_end = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if let Some(end) = inside.chars().find(|c| is_line_end(*c)) {
        return Err(BadAddress::Several(end));
    }
    let dense = without(&visible, char::is_whitespace);
    for zero in ["(0)", "[0]"] {
        if let Some((before, _)) = dense.split_once(zero)
            && before.contains(|c: char| c.is_ascii_digit() || c == '+')
        {
            return Err(BadAddress::TrunkZero);
        }
    }
    let mut slashes = inside.match_indices('/');
    let is_left_out = |(at, _)| is_area_code(&inside[..at], &inside[at + 1..]);
    if slashes.all(is_left_out) {
        Ok(())
    } else {
        Err(BadAddress::Several('/'))
    }
}

/// The end of a number that was written as one to reckon with: `.0`.
fn fraction(text: &str) -> Option<&str> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let at = text.rfind('.')?;
    let (whole, end) = text.split_at(at);
    let whole = whole.strip_prefix('+').unwrap_or(whole);
    let is_end = is_digits(&end[1..]) && (end.len() <= 3 || is_zero(end));
    (is_digits(whole) && is_end).then_some(end)
}

/// Whether a fraction is none.
fn is_zero(fraction: &str) -> bool {
    fraction.bytes().all(|octet| matches!(octet, b'.' | b'0'))
}

/// The digits that no number has that is dialled with a trunk or country code: [`infer`] takes
/// what has more for a number.
const AREA_CODE: usize = 6;
/// The least digits behind an area code; the other ending of a number has fewer.
const SUBSCRIBER: usize = 4;

/// Whether what stands before a `/` is no number without what stands behind it, and what stands
/// behind it none without what stands before.
fn is_area_code(before: &str, behind: &str) -> bool {
    let plain = without_separators(before);
    let abroad = plain.strip_prefix('+').or_else(|| plain.strip_prefix("00"));
    let code = abroad.unwrap_or(&plain);
    let is_prefixed = abroad.is_some() || plain.starts_with('0');
    let is_digits = !code.is_empty() && code.bytes().all(|octet| octet.is_ascii_digit());
    let subscriber = without_separators(behind);
    is_prefixed
        && is_digits
        && code.len() <= AREA_CODE
        && subscriber.len() >= SUBSCRIBER
        && !subscriber.starts_with(['0', '+'])
}

fn is_separator(character: char) -> bool {
    let visible = matches!(
        character,
        '-' | '.' | '(' | ')' | '[' | ']' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}'
    );
    visible || is_mark(character) || character.is_whitespace()
}

/// Whether it is a mark of direction or of no width, which address books put around numbers.
fn is_mark(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_number_looks_like_decides_ton_and_npi() {
        let international = (Ton::INTERNATIONAL, Npi::ISDN);
        assert_eq!(infer("+4915112345678"), international);
        assert_eq!(infer("004915112345678"), international);
        assert_eq!(infer("4915112345678"), international);
        assert_eq!(infer("72345"), (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN));
        assert_eq!(infer("015112345678"), (Ton::UNKNOWN, Npi::ISDN));
        assert_eq!(infer("1234567890123456"), (Ton::UNKNOWN, Npi::ISDN));
        assert_eq!(infer("ACME"), (Ton::ALPHANUMERIC, Npi::UNKNOWN));
        assert_eq!(infer("3 Store"), (Ton::ALPHANUMERIC, Npi::UNKNOWN));
        assert_eq!(infer(""), (Ton::UNKNOWN, Npi::UNKNOWN));
        for code in ["*123#", "#31#4366012345", "*#06#", "5#"] {
            assert_eq!(infer(code), (Ton::UNKNOWN, Npi::UNKNOWN), "{code}");
        }
        for name in ["#", "**", "*A#", "+*5#"] {
            assert_eq!(infer(name), (Ton::ALPHANUMERIC, Npi::UNKNOWN), "{name}");
        }
    }

    #[test]
    fn the_international_prefix_is_not_part_of_the_number() {
        assert_eq!(Address::parse("+4915112345678").number, b"4915112345678");
        assert_eq!(Address::parse("004915112345678").number, b"4915112345678");
        assert_eq!(Address::parse("0012").number, b"0012");
        assert_eq!(Address::parse("ACME").number, b"ACME");
    }

    #[test]
    fn a_recipient_is_a_number_however_it_is_written() {
        for (text, ton, number) in [
            ("+4366012345678", 1, "4366012345678"),
            ("004366012345678", 1, "4366012345678"),
            ("+43 660 1234 5678", 1, "4366012345678"),
            ("+43-660-1234.5678", 1, "4366012345678"),
            ("+43 (660) 1234-5678", 1, "4366012345678"),
            ("+43 660/12345678", 1, "4366012345678"),
            ("+49/171/3920001", 1, "491713920001"),
            ("0049 (171) / 392-0001", 1, "491713920001"),
            ("+49 (89) 123-456", 1, "4989123456"),
            ("089/123456", 0, "089123456"),
            ("0660 / 123 45 67", 0, "06601234567"),
            ("(0660)/1234567", 0, "06601234567"),
            ("033056/123456", 0, "033056123456"),
            ("0171.392.0001", 0, "01713920001"),
            ("01.23.45.67.89", 0, "0123456789"),
            ("0171 39 20 0.01", 0, "01713920001"),
            ("491.713.920.001", 1, "491713920001"),
            ("0171.3920001", 0, "01713920001"),
            ("(0)660 1234567", 0, "06601234567"),
            (" +4366012345678\r\n", 1, "4366012345678"),
            ("tel:+43-660-12345678", 1, "4366012345678"),
            ("TEL:+4366012345678", 1, "4366012345678"),
            (
                "\u{202A}+43\u{A0}660\u{2011}12345678\u{202C}",
                1,
                "4366012345678",
            ),
            ("0660 1234567", 0, "06601234567"),
            ("(0660) 1234567", 0, "06601234567"),
            ("80 900", 3, "80900"),
            // Too short or too long for an international number: whoever knows may have it so.
            ("+4366", 0, "+4366"),
            ("+4366012345678901", 0, "+4366012345678901"),
            ("*123#", 0, "*123#"),
            ("#31#06601234567", 0, "#31#06601234567"),
        ] {
            let written = recipient(text).unwrap();
            assert_eq!(
                (written.ton, &*written.number),
                (Ton(ton), number),
                "{text}"
            );
        }
        for (text, error) in [
            ("", BadAddress::NoNumber),
            (" - ", BadAddress::NoNumber),
            ("+", BadAddress::NoNumber),
            ("00", BadAddress::NoNumber),
            ("++4366012345678", BadAddress::NoNumber),
            ("43+66012345678", BadAddress::NoNumber),
            ("ACME", BadAddress::NoNumber),
            ("someone@example.org", BadAddress::NoNumber),
            ("tel:7042;phone-context=example.org", BadAddress::NoNumber),
            ("+43660CALLME", BadAddress::NoNumber),
            ("+4366012\x00345678", BadAddress::NoNumber),
            ("#", BadAddress::NoNumber),
        ] {
            assert_eq!(recipient(text), Err(error), "{text}");
        }
    }

    #[test]
    fn no_other_number_is_made_of_what_was_written() {
        let fraction = |text: &str| BadAddress::Fraction(text.into());
        for (text, error) in [
            ("491713920001.0", fraction(".0")),
            ("+491713920001.0", fraction(".0")),
            ("tel:491713920001.00", fraction(".00")),
            (" 491713920001.0\n", fraction(".0")),
            ("491713920001.5", fraction(".5")),
            ("491713920001.0000", fraction(".0000")),
            ("80900.0", fraction(".0")),
            ("491713920001\u{200B}.0", fraction(".0")),
            ("+43 660 12345678 (0)", BadAddress::TrunkZero),
            ("+43 (0)660 12345678", BadAddress::TrunkZero),
            ("+43(0)66012345678", BadAddress::TrunkZero),
            ("0043 (0)660 12345678", BadAddress::TrunkZero),
            ("(0043) (0)660 12345678", BadAddress::TrunkZero),
            ("43 (0) 660 12345678", BadAddress::TrunkZero),
            ("+43 [0] 660 12345678", BadAddress::TrunkZero),
            ("+43 ( 0 ) 660 12345678", BadAddress::TrunkZero),
            ("+43\u{A0}(\u{200B}0)660 12345678", BadAddress::TrunkZero),
            ("0660123456/78", BadAddress::Several('/')),
            ("0660123456/0660123478", BadAddress::Several('/')),
            ("+43 660 123456/78", BadAddress::Several('/')),
            ("+43 (660) 1234/5678", BadAddress::Several('/')),
            ("80900/80901", BadAddress::Several('/')),
            ("0171/392/0001", BadAddress::Several('/')),
            ("0660/12", BadAddress::Several('/')),
            ("+49/0171 3920001", BadAddress::Several('/')),
            ("*100#/1234", BadAddress::Several('/')),
            ("80900\n80901", BadAddress::Several('\n')),
            ("0660123456\t78", BadAddress::Several('\t')),
            ("0660123456\u{2028}78", BadAddress::Several('\u{2028}')),
        ] {
            assert_eq!(recipient(text), Err(error), "{text}");
        }
        assert_eq!(
            sender("+43 (0) 660 12345678"),
            Err(BadAddress::TrunkZero),
            "a sender is cleaned in the same way"
        );
        assert_eq!(sender("80900.0"), Err(fraction(".0")));
        assert_eq!(sender("3.14").unwrap().number, "3.14", "a name");
        assert_eq!(sender("+AC/24 (0)").unwrap().ton, Ton::ALPHANUMERIC);
        let told = BadAddress::Several('\n').to_string();
        assert!(told.contains("because of a line end in it"), "{told}");
        let told = BadAddress::Several('/').to_string();
        assert!(told.contains("because of the '/' in it"), "{told}");
    }

    #[test]
    fn a_sender_is_a_number_or_a_name_that_phones_can_show() {
        for (text, ton, number) in [
            ("+43 660 12345678", 1, "4366012345678"),
            ("+4366012345678", 1, "4366012345678"),
            ("tel:+43-660-12345678", 1, "4366012345678"),
            (" 80900 ", 3, "80900"),
            ("24/7", 5, "24/7"),
            ("12-34", 5, "12-34"),
            ("3 Brothers", 5, "3 Brothers"),
            ("ABCDEFGHIJK", 5, "ABCDEFGHIJK"),
            ("+ACME", 5, "+ACME"),
        ] {
            let written = sender(text).unwrap();
            assert_eq!(
                (written.ton, &*written.number),
                (Ton(ton), number),
                "{text}"
            );
        }
        for (text, error) in [
            ("ACME\n", BadAddress::Control('\n')),
            ("AC\tME", BadAddress::Control('\t')),
            ("AC\0ME", BadAddress::Control('\0')),
            ("80900\r\n", BadAddress::Control('\r')),
            ("  ", BadAddress::Blank),
            ("ABCDEFGHIJKL", BadAddress::LongName(12)),
        ] {
            assert_eq!(sender(text), Err(error), "{text}");
        }
    }

    #[test]
    fn values_have_names_both_ways() {
        assert_eq!(Ton::from_name("Alphanumeric"), Some(Ton::ALPHANUMERIC));
        assert_eq!(Npi::from_name("isdn"), Some(Npi::ISDN));
        assert_eq!(
            (Ton(9).to_string(), Npi::WAP_CLIENT_ID.to_string()),
            ("9".into(), "wap_client_id".into())
        );
    }
}
