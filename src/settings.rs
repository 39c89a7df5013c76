//! Values as people write them in a configuration: durations and sizes with units.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod dialect;
mod segmentation;

pub use dialect::{Digits, IdForm, MessageIds, Number, Receipts, Vendor};
pub use segmentation::{Method as SegmentMethod, OnTooLong, Segmentation};

/// Writes a secret so that only its presence shows.
pub(crate) fn masked<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match secret.expose_secret() {
        "" => "",
        _ => "***",
    })
}

/// A length of time, written with its unit: `"500ms"`, `"30s"`, `"5m"`, `"12h"`, `"7d"`, or
/// several together, `"1h30m"`. `"0s"` is allowed; what zero means stands at each setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub Duration);

impl Time {
    /// A time of `s` seconds.
    pub const fn seconds(s: u64) -> Self {
        Time(Duration::from_secs(s))
    }

    /// A time of `ms` milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Time(Duration::from_millis(ms))
    }

    /// The time as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{text:?} is not a time: write a number and its unit, such as \"500ms\", \"30s\", \"5m\", \"12h\" or \"7d\""
            )
        };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let (_, millis) = UNITS
                .iter()
                .find(|(name, _)| *name == &rest[..letters])
                .ok_or_else(bad)?;
            rest = &rest[letters..];
            total = number
                .checked_mul(*millis)
                .and_then(|n| total.checked_add(n))
                .ok_or_else(bad)?;
        }
        Ok(Time(Duration::from_millis(total)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (name, millis) in UNITS.iter().rev() {
            if left >= *millis {
                write!(f, "{}{name}", left / millis)?;
                left %= millis;
            }
        }
        Ok(())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(ms|s|m|h|d))+$",
            "description": "A length of time with its unit, such as 500ms, 30s, 5m, 12h, 7d"
        })
    }
}

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

impl JsonSchema for Octets {
    fn schema_name() -> Cow<'static, str> {
        "Octets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^[0-9]+ *(KiB|MiB|GiB)?$",
            "description": "A size in octets, or with its unit, such as 64KiB, 16MiB, 1GiB"
        })
    }
}

/// What becomes of a message that may have been sent and got no answer (crash, connection
/// lost, response timeout).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InDoubt {
    /// It is sent again: it arrives at least once, perhaps twice, and its result says
    /// `possible_duplicate`. For alerts.
    Resend,
    /// It is reported as a `SendError` of kind `OUTCOME_UNKNOWN`: it arrives at most once.
    /// For one-time passwords.
    #[default]
    Report,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_and_print_with_units() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.get().as_millis(), millis);
            assert_eq!(time.to_string(), text);
        }
    }

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

    #[test]
    fn a_number_without_unit_is_refused_with_an_example() {
        for text in ["", "30", "s", "5 m", "1y", "99999999999999999999d"] {
            assert!(
                text.parse::<Time>().unwrap_err().contains("\"30s\""),
                "{text}"
            );
        }
    }
}
