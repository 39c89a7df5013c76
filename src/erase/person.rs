//! Whose records are meant: a phone number, however it is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::record::inbound_message::Message;
use crate::record::internal::{
    CorrelationEntry, Delivery, Likeness, comparable, compare, is_short, number,
};
use smpp_protocol::address::recipient;

/// The longest number of a phone (ITU-T E.164), with some room for prefixes.
const MOST_DIGITS: usize = 18;

/// The code of a country has so many digits at most (ITU-T E.164), and so has what is dialled before it.
const COUNTRY: u32 = 3;

/// A word in quotes with fewer characters holds no number, however it is encoded.
const ENCODED: usize = 10;

/// A phone number, as receipts and messages are compared by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    digits: i64,
    /// Whether only the same digits are the same number.
    exact: bool,
}

impl Person {
    /// Reads a number as people write it.
    ///
    /// # Errors
    ///
    /// What to write instead.
    pub fn parse(text: &str, exact: bool) -> Result<Person, String> {
        let written = text.bytes().filter(u8::is_ascii_digit).count();
        let digits = comparable(text.as_bytes()).filter(|digits| *digits > 0);
        let digits = digits.filter(|_| written <= MOST_DIGITS).ok_or_else(|| {
            format!("{text:?} is no phone number: write it with its country, such as +41791234567")
        })?;
        if !exact && is_short(Some(digits)) {
            return Err(format!(
                "{text:?} has fewer than seven digits, with which many numbers end: write it with its country, such as +41791234567, or use --exact"
            ));
        }
        Ok(Person { digits, exact })
    }

    /// Whether this is their [`number`]: as receipts are compared, but with no more missing than
    /// the code of a country. A shorter end is that of many.
    fn is(&self, other: Option<i64>) -> bool {
        let Some(other) = other else {
            return false;
        };
        if self.exact || other <= 0 {
            return other == self.digits;
        }
        let missing = self.digits.ilog10().abs_diff(other.ilog10());
        missing <= COUNTRY && compare(Some(self.digits), Some(other)) == Likeness::Same
    }

    fn is_address(&self, address: &[u8]) -> bool {
        self.is(number(address))
    }

    /// An address as an application wrote it: `tel:+41...` is one, too.
    fn is_written(&self, address: &str) -> bool {
        match recipient(address) {
            Ok(sent) => self.is_address(sent.number.as_bytes()),
            Err(_) => self.is_address(address.as_bytes()),
        }
    }

    /// Whether a submitted message is theirs: they are its recipient, one of its recipients, its
    /// sender, or one of whom a receipt came.
    pub fn is_in_entry(&self, entry: &CorrelationEntry) -> bool {
        let addresses = [&entry.source, &entry.destination];
        let mut addresses = addresses.into_iter().flatten();
        addresses.any(|address| self.is_written(address))
            || entry.numbers.iter().any(|number| self.is(Some(*number)))
            || entry.seen.iter().any(|seen| self.is(seen.recipient))
    }

    /// Whether a receipt, or a segment of a message, is from them or to them.
    pub fn is_in_delivery(&self, delivery: &Delivery) -> bool {
        match Message::read(&delivery.pdu) {
            Ok(Message { sm, .. }) => {
                self.is_address(sm.source.number) || self.is_address(sm.destination.number)
            }
            Err(_) => self.is_in_octets(&delivery.pdu),
        }
    }

    /// Whether an address stands in a key of what segments have in common.
    pub fn is_in_identity(&self, identity: &str) -> bool {
        identity
            .split('/')
            .any(|word| self.is_address(word.as_bytes()))
    }

    /// Whether octets hold the number: in plain digits, with blanks, dashes and the like between them,
    /// or in Base64 or hexadecimal, as JSON has octets.
    pub fn is_in_octets(&self, octets: &[u8]) -> bool {
        self.is_in_digits(octets)
            || (octets.split(|octet| *octet == b'"'))
                .filter(|word| word.len() >= ENCODED)
                .any(|word| self.is_encoded(word))
    }

    fn is_encoded(&self, word: &[u8]) -> bool {
        let is_hex = word.len().is_multiple_of(2) && word.iter().all(u8::is_ascii_hexdigit);
        if is_hex && self.is_in_digits(&from_hex(word)) {
            return true;
        }
        let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/=".contains(octet);
        word.len().is_multiple_of(4)
            && word.iter().all(is_base64)
            && STANDARD
                .decode(word)
                .is_ok_and(|octets| self.is_in_digits(&octets))
    }

    fn is_in_digits(&self, octets: &[u8]) -> bool {
        let is_digit = |octet: &u8| octet.is_ascii_digit();
        let plain = octets.split(|octet| !is_digit(octet));
        let parted = octets.split(|octet| !is_digit(octet) && !b"+-. ()/".contains(octet));
        let enough = |run: &&[u8]| run.iter().filter(|octet| is_digit(octet)).count() > 1;
        plain
            .chain(parted)
            .filter(enough)
            .any(|run| self.is(comparable(run)))
    }
}

fn from_hex(word: &[u8]) -> Vec<u8> {
    let nibble = |octet: u8| char::from(octet).to_digit(16).unwrap_or_default() as u8;
    let octets = word.chunks_exact(2);
    octets
        .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        Person::parse("+41 79 123 45 67", false).unwrap()
    }

    #[test]
    fn a_number_is_found_however_it_is_written() {
        for text in [
            "41791234567",
            r#"{"destination":"+41791234567"}"#,
            r#"{"destination":"0041 79 123-45-67"}"#,
            r#"{"destination":"0791234567","offset":7}"#,
            "call 0791234567 5 times",
            // The number in Base64 and in hexadecimal, among other octets.
            r#"{"pdu":"AAABNDE3OTEyMzQ1NjcA"}"#,
            r#"{"pdu_hex":"000134313739313233343536370001"}"#,
        ] {
            assert!(person().is_in_octets(text.as_bytes()), "{text}");
        }
        for text in [
            "41791234568",
            "43791234567",
            r#"{"at":"2026-01-02T03:04:05.000006Z","offset":1234567}"#,
            "1234567890123",
            "1234567",
            r#"{"pdu":"AAABNDE3OTEyMzQ1NjgA"}"#,
        ] {
            assert!(!person().is_in_octets(text.as_bytes()), "{text}");
        }
        let exact = Person::parse("41791234567", true).unwrap();
        assert!(!exact.is_in_octets(b"0791234567") && exact.is_in_octets(b"+41 791234567"));
    }

    #[test]
    fn what_is_no_number_is_refused_with_what_to_write() {
        for (text, exact, why) in [
            ("ACME", false, "no phone number"),
            ("", false, "no phone number"),
            ("000", true, "no phone number"),
            ("4179123XXXX", false, "no phone number"),
            ("1234567890123456789", false, "no phone number"),
            ("12345", false, "fewer than seven digits"),
        ] {
            let told = Person::parse(text, exact).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
        assert!(Person::parse("12345", true).is_ok());
    }
}
