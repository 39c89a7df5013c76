//! What an SMSC does in its own way, as people write it in a configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use smpp_protocol::message_id::{self, Form, Pairing, Rule};
use smpp_protocol::{Names, Status, Tag};

/// How an SMSC writes its message ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdForm {
    /// Opaque text: taken as it is, never as a number.
    #[default]
    Text,
    /// A decimal number; leading zeros do not count.
    Decimal,
    /// A hexadecimal number; leading zeros and case do not count.
    Hex,
    /// Text in which upper and lower case are the same.
    #[serde(rename = "case_insensitive")]
    CaseInsensitive,
}

impl From<IdForm> for Form {
    fn from(form: IdForm) -> Self {
        match form {
            IdForm::Text => Self::Text,
            IdForm::Decimal => Self::Decimal,
            IdForm::Hex => Self::Hex,
            IdForm::CaseInsensitive => Self::CaseInsensitive,
        }
    }
}

/// How an SMSC writes the same message id in several places. Many write it in hexadecimal in
/// submit_sm_resp and in decimal in the receipt: name both, and ids are compared by value.
/// Without that such receipts find their message by value and recipient, but some seconds later,
/// and a `MessageIdHint` says what to set here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageIds {
    /// In `message_id` of submit_sm_resp: `text`, `case_insensitive`, `decimal` or `hex`.
    pub response: IdForm,
    /// In the receipt: `id:` of its text, and the receipted_message_id parameter unless that is
    /// named too.
    pub receipt: IdForm,
    /// In the receipted_message_id parameter. By default as in the receipt's text, or as in the
    /// response where that makes it the message of the receipt's text.
    #[schemars(example = &"hex")]
    pub receipted_message_id: Option<IdForm>,
    /// What may stand before an id in one place and not in another; the first that fits is left
    /// out everywhere.
    #[schemars(example = &["GW1-"])]
    pub prefixes: Vec<String>,
    /// An id ends before this text, wherever it stands.
    #[schemars(example = "@")]
    pub until: Option<String>,
    /// Which characters of the id in a response count, as it is written, where the receipt has
    /// fewer: `first 8` or `last 8`, or another number.
    #[schemars(example = "last 8")]
    pub response_digits: Option<Digits>,
    /// Which characters of the id in a receipt count, where the response has fewer.
    #[schemars(example = "first 8")]
    pub receipt_digits: Option<Digits>,
}

impl From<&MessageIds> for Pairing {
    fn from(ids: &MessageIds) -> Self {
        let rule = |form: IdForm, digits: Option<Digits>| Rule {
            form: form.into(),
            prefixes: ids.prefixes.iter().map(|p| p.as_str().into()).collect(),
            until: ids.until.as_deref().map(Into::into),
            digits: digits.map(|digits| digits.0),
        };
        Pairing {
            response: rule(ids.response, ids.response_digits),
            receipt: rule(ids.receipt, ids.receipt_digits),
            receipted_message_id: (ids.receipted_message_id)
                .map(|form| rule(form, ids.receipt_digits)),
        }
    }
}

/// Which characters of an id count: `first 8`, `last 8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(pub message_id::Digits);

impl FromStr for Digits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (which, count) = text.trim().split_once(' ')?;
            let count = count.trim().parse().ok().filter(|n| (1..=64).contains(n))?;
            Some(Digits(match which {
                "first" => message_id::Digits::First(count),
                "last" => message_id::Digits::Last(count),
                _ => return None,
            }))
        };
        read().ok_or_else(|| {
            format!(
                "{text:?} is neither \"first 8\" nor \"last 8\", nor of another number from 1 to 64"
            )
        })
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            message_id::Digits::First(count) => write!(f, "first {count}"),
            message_id::Digits::Last(count) => write!(f, "last {count}"),
        }
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Digits {
    fn schema_name() -> Cow<'static, str> {
        "Digits".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(first|last) [0-9]+$",
            "description": "Which characters of an id count, such as first 8 or last 8"
        })
    }
}

/// How an SMSC writes its receipts, where they are not as in SMPP 3.4 Appendix B.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Receipts {
    /// The form of a receipt's text: a regular expression (of the Rust crate `regex`) with the
    /// groups `id` and `stat`, and perhaps `sub`, `dlvrd`, `submit_date`, `done_date`, `err`,
    /// `text`. A text that it does not fit is read as usual.
    #[schemars(example = "^MSG (?<id>\\S+) IS (?<stat>\\w+)")]
    pub pattern: Option<String>,
    /// What the SMSC's own words for states mean: `SCHEDULED`, `ENROUTE`, `DELIVERED`, `EXPIRED`,
    /// `DELETED`, `UNDELIVERABLE`, `ACCEPTED`, `UNKNOWN`, `REJECTED` or `SKIPPED`.
    #[schemars(example = states_example())]
    pub states: BTreeMap<String, String>,
    /// Whether the SMSC sends receipts that nothing but their text marks as such: then a message
    /// with an id and a known state in its text is a receipt, whoever wrote it. Default false.
    pub unmarked: bool,
}

fn states_example() -> serde_json::Value {
    serde_json::json!({ "OK": "DELIVERED" })
}

/// What an SMSC's vendor defines beside SMPP. The names stand in events, and may be used in the
/// `tlvs` of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vendor {
    /// Names of optional parameters, and their tags.
    #[schemars(example = tlvs_example())]
    pub tlvs: BTreeMap<String, Number>,
    /// Names of values of command_status.
    #[schemars(example = statuses_example())]
    pub command_status: BTreeMap<String, Number>,
}

fn tlvs_example() -> serde_json::Value {
    serde_json::json!({ "operator_id": "0x1401" })
}

fn statuses_example() -> serde_json::Value {
    serde_json::json!({ "ESME_RBLOCKED": "0x0410" })
}

impl From<&Vendor> for Names {
    fn from(vendor: &Vendor) -> Self {
        let tag = |number: Number| u16::try_from(number.0).ok().map(Tag);
        Names {
            tags: (vendor.tlvs.iter())
                .filter_map(|(name, number)| Some((tag(*number)?, name.as_str().into())))
                .collect(),
            statuses: (vendor.command_status.iter())
                .map(|(name, number)| (Status(number.0), name.as_str().into()))
                .collect(),
        }
    }
}

/// A number, written in decimal or, as text, in hexadecimal: `1040`, `"0x0410"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub u32);

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        number
            .map(Number)
            .ok_or_else(|| format!("{text:?} is not a number such as 1040 or \"0x0410\""))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X}", self.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 1040 or \"0x0410\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Number, E> {
                u32::try_from(n)
                    .map(Number)
                    .map_err(|_| E::custom(format!("{n} is outside 0 to 0xFFFFFFFF")))
            }

            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Number, E> {
                u32::try_from(n)
                    .map(Number)
                    .map_err(|_| E::custom(format!("{n} is outside 0 to 0xFFFFFFFF")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^(0[xX][0-9a-fA-F]+|[0-9]+)$",
            "description": "A number, in decimal or, as text, in hexadecimal, such as 0x1401"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_numbers_read_and_print_as_people_write_them() {
        for text in ["first 8", "last 16"] {
            assert_eq!(text.parse::<Digits>().unwrap().to_string(), text);
        }
        for text in ["", "8", "first", "middle 8", "last 0", "last 65"] {
            assert!(
                text.parse::<Digits>().unwrap_err().contains("last 8"),
                "{text}"
            );
        }
        assert_eq!("0x1401".parse(), Ok(Number(0x1401)));
        assert_eq!("1040".parse::<Number>().unwrap().to_string(), "0x0410");
        assert!("x".parse::<Number>().unwrap_err().contains("0x0410"));
    }

    #[test]
    fn settings_become_rules() {
        let ids: MessageIds = toml::from_str(
            "response = \"hex\"\nreceipt = \"decimal\"\nprefixes = [\"A-\"]\nresponse_digits = \"last 8\"",
        )
        .unwrap();
        let pairing = Pairing::from(&ids);
        assert_eq!(pairing.of_response("A-000100000010"), "16");
        assert_eq!(pairing.receipt.normalise("0016"), "16");
        let vendor: Vendor = toml::from_str("tlvs = { a = \"0x1401\", b = 5122 }").unwrap();
        let names = Names::from(&vendor);
        assert_eq!(names.tag_of("b"), Some(Tag(0x1402)));
    }
}
