//! Addresses: type of number, numbering plan, digits or letters (SMPP 3.4 §5.2.5 to §5.2.9).

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
        return match number {
            "" => (Ton::UNKNOWN, Npi::UNKNOWN),
            _ => (Ton::ALPHANUMERIC, Npi::UNKNOWN),
        };
    }
    match (prefixed, digits.len()) {
        (Some(_), 7..=15) => (Ton::INTERNATIONAL, Npi::ISDN),
        (None, 1..=8) => (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN),
        (None, 9..=15) if !digits.starts_with('0') => (Ton::INTERNATIONAL, Npi::ISDN),
        _ => (Ton::UNKNOWN, Npi::ISDN),
    }
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
    }

    #[test]
    fn the_international_prefix_is_not_part_of_the_number() {
        assert_eq!(Address::parse("+4915112345678").number, b"4915112345678");
        assert_eq!(Address::parse("004915112345678").number, b"4915112345678");
        assert_eq!(Address::parse("0012").number, b"0012");
        assert_eq!(Address::parse("ACME").number, b"ACME");
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
