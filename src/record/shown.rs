//! Phone numbers in events, as they are or as a keyed hash.

use std::borrow::Cow;

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use super::internal::{comparable, is_short};
use smpp_protocol::address::recipient;

/// So many octets of a hash are written: enough for all numbers there are, and no longer than a number
/// may be.
const HASH: usize = 9;

/// How numbers stand in events; as they are by default.
#[derive(Clone, Debug, Default)]
pub struct ShownNumbers(Option<hmac::Key>);

impl ShownNumbers {
    /// Hashes with this key: the same for one number in all processes, and whether it is written with
    /// `+`, `00` or neither.
    pub fn hashed(key: &SecretString) -> Self {
        let key = key.expose_secret().as_bytes();
        ShownNumbers(Some(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// What an event says of an address. Names, and numbers of fewer than seven digits, are those of
    /// services and stay.
    pub fn of<'a>(&self, address: &'a str) -> Cow<'a, str> {
        let Some(key) = &self.0 else {
            return Cow::Borrowed(address);
        };
        let Some(number) = persons(address) else {
            return Cow::Borrowed(address);
        };
        let hash = hmac::sign(key, number.as_bytes());
        let hash = hash.as_ref().get(..HASH).unwrap_or_default();
        Cow::Owned(format!("#{}", data_encoding::HEXLOWER.encode(hash)))
    }

    /// The same of an address that may be missing.
    pub fn of_option<'a>(&self, address: Option<&'a str>) -> Option<Cow<'a, str>> {
        address.map(|address| self.of(address))
    }
}

/// What is hashed of an address that is a person's: its digits without zeros in front; of one that is
/// masked or cut by words its text.
fn persons(address: &str) -> Option<String> {
    let sent = recipient(address);
    let number = match &sent {
        Ok(sent) => comparable(sent.number.as_bytes()),
        Err(_) => comparable(address.as_bytes()),
    };
    match number {
        Some(number) => (!is_short(Some(number)) && number != 0).then(|| number.to_string()),
        None => {
            let digits = address.bytes().filter(u8::is_ascii_digit).count();
            (digits >= 5).then(|| address.trim().to_ascii_lowercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_hash_however_it_is_written() {
        let hashed = ShownNumbers::hashed(&"0123456789abcdef".to_owned().into());
        let whole = hashed.of("+41791234567");
        assert_eq!((whole.len(), whole.starts_with('#')), (19, true));
        for same in ["41791234567", "0041 79 123-45-67", "tel:+41791234567"] {
            assert_eq!(hashed.of(same), whole, "{same}");
        }
        let other = ShownNumbers::hashed(&"0123456789abcdeg".to_owned().into());
        assert_ne!(other.of("+41791234567"), whole);
        assert_ne!(hashed.of("+41791234568"), whole);
        assert!(
            hashed.of("4179123XXXX").starts_with('#'),
            "most of a number"
        );
        for service in ["ACME", "12345", "Shop24", "", "0"] {
            assert_eq!(hashed.of(service), service);
        }
        let full = ShownNumbers::default();
        assert_eq!(full.of("+41791234567"), "+41791234567");
        assert_eq!(full.of_option(None), None);
        assert!(!format!("{hashed:?}").contains("0123456789abcdef"));
    }
}
