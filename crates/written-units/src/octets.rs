//! Sizes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A size in octets, written as a plain number or with its unit: `65536`, `"64KiB"`,
/// `"16MiB"`, `"1GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Octets(pub u64);

impl Octets {
    /// A size of `n` KiB (1024 octets).
    pub const fn kib(n: u64) -> Self {
        Octets(n << 10)
    }

    /// A size of `n` MiB (1024 KiB).
    pub const fn mib(n: u64) -> Self {
        Octets(n << 20)
    }

    /// The number of octets.
    pub const fn get(self) -> u64 {
        self.0
    }
}

const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for Octets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{text:?} is not a size: write a number of octets, or one with its unit, such as \"64KiB\" or \"16MiB\""
            )
        };
        let text = text.trim();
        let (digits, unit) = SIZES
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
            .unwrap_or((text, 1));
        let number: u64 = digits.trim_end().parse().map_err(|_| bad())?;
        number.checked_mul(unit).map(Octets).ok_or_else(bad)
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZES
            .iter()
            .find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit))
        {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Octets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of octets, or a string such as \"16MiB\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Octets, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E>(self, n: u64) -> Result<Octets, E> {
                Ok(Octets(n))
            }

            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Octets, E> {
                u64::try_from(n)
                    .map(Octets)
                    .map_err(|_| E::custom(format!("a size cannot be negative: {n}")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Octets {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Octets".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^[0-9]+ *(KiB|MiB|GiB)?$",
            "description": "A size in octets, or with its unit, such as 64KiB, 16MiB, 1GiB"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print_with_units() {
        for (text, octets) in [
            ("0", 0),
            ("1000", 1000),
            ("64KiB", 65_536),
            ("1GiB", 1 << 30),
        ] {
            let size: Octets = text.parse().unwrap();
            assert_eq!(size.get(), octets);
            assert_eq!(size.to_string(), text);
        }
        for text in ["", "-1", "16MB", "MiB", "99999999999GiB"] {
            assert!(
                text.parse::<Octets>().unwrap_err().contains("16MiB"),
                "{text}"
            );
        }
    }
}
