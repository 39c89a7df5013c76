//! Times.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(ms|s|m|h|d))+$",
            "description": "A length of time with its unit, such as 500ms, 30s, 5m, 12h, 7d"
        })
    }
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
    fn a_number_without_unit_is_refused_with_an_example() {
        for text in ["", "30", "s", "5 m", "1y", "99999999999999999999d"] {
            assert!(
                text.parse::<Time>().unwrap_err().contains("\"30s\""),
                "{text}"
            );
        }
    }
}
