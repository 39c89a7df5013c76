//! What can be set about submitting.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::{InDoubt, Octets, Time};
use smpp_protocol::Status;

/// How outbound records become submit_sm and results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What becomes of a message that may have been sent and got no answer: `report` it as a
    /// SendError of kind OUTCOME_UNKNOWN, or `resend` it (its result then says
    /// possible_duplicate). A message can say otherwise in its own `in_doubt`.
    pub in_doubt: InDoubt,
    /// How often a message in doubt is resent at most; then it is reported. 0 to 100.
    #[schemars(range(max = 100))]
    pub max_resends: u32,
    /// How long a message that names neither `expires_at` nor `validity_period` is retried
    /// while the SMSC throttles or fails for a while; then it is a SendError of kind EXPIRED.
    pub message_deadline: Time,
    /// The first wait before a message whose command_status says `retry` is sent again. The wait
    /// doubles with each retry, up to 5m, or to this value if that is longer. It begins anew with
    /// this value when the message was put back onto its topic (`max_hold`). 1ms to 1d, and
    /// shorter than `message_deadline`.
    pub retry_delay: Time,
    /// How long a message is held in memory for retries, from the first answer that asks for
    /// another try. If the next try would come later, the message is put back onto its topic:
    /// appended behind the records that are there, with the time of that try, its attempts and its
    /// first position in headers. 0s to 1d.
    pub max_hold: Time,
    /// How long a partition that is taken away waits for outstanding answers before it is
    /// given up. Shorter than `kafka.session_timeout`.
    pub revoke_drain: Time,
    /// How far ahead of sending offsets are reserved in Kafka where a rate is limited, as time at
    /// that rate; without a limit, and at most, it is a window for each bind. So many messages
    /// more than were sent are in doubt after a crash.
    pub reserve_horizon: Time,
    /// How many records that are not there yet a partition may have reserved, so that they are sent
    /// as soon as they come: 4 where few come, and more where more come, up to this number and up to
    /// a quarter of what the binds take at once. Without it a message waits for one more commit
    /// before it is sent. After a crash so many more may be in doubt that came while nobody served
    /// their partition: 64 suits messages that may be sent again. 0 to 1000; 0 reserves none.
    #[schemars(range(max = 1000))]
    pub reserve_ahead: u32,
    /// While so many records of one partition wait in memory for their turn, no more of it are read, unless
    /// more go within half a second. What the binds may send now, what is with the SMSC and what is due later
    /// does not count. The rest of a backlog waits in Kafka, where it takes no memory. 100 to 20000.
    #[schemars(range(min = 100, max = 20_000))]
    pub read_ahead: u32,
    /// How many records of one partition are held in memory at most, wherever they are. 1 to 20000: a longer
    /// span of unfinished records does not fit into the metadata of a commit.
    #[schemars(range(min = 1, max = 20_000))]
    pub fetch_records: u32,
    /// How many octets of records of one partition are held in memory at most.
    pub fetch_octets: Octets,
    /// What a command_status of a submit_sm_resp means: `throttle` (the bind slows down and
    /// the message is sent again), `retry` (the message is sent again later), `reject` (a
    /// terminal result). By name or number: `ESME_RSYSERR = "reject"`, `"0x0000045B" =
    /// "retry"`. Anything not listed here or in the defaults is `reject`.
    pub status: StatusTable,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            in_doubt: InDoubt::Report,
            max_resends: 1,
            message_deadline: Time::seconds(3600),
            retry_delay: Time::seconds(1),
            max_hold: Time::seconds(30),
            revoke_drain: Time::seconds(2),
            reserve_horizon: Time::millis(300),
            reserve_ahead: 0,
            read_ahead: 2_000,
            fetch_records: 20_000,
            fetch_octets: Octets::mib(16),
            status: StatusTable::default(),
        }
    }
}

/// What a command_status other than ESME_ROK means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnStatus {
    /// The bind is too fast: it slows down, and the message is sent again.
    Throttle,
    /// A passing trouble with this message: it is sent again after a while.
    Retry,
    /// The SMSC does not want the message: a terminal result.
    Reject,
}

/// What each command_status means, with defaults for those that are not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusTable(BTreeMap<u32, OnStatus>);

impl StatusTable {
    /// What `status` means. A status that is not in the table is a rejection.
    pub fn get(&self, status: u32) -> OnStatus {
        self.0.get(&status).copied().unwrap_or(OnStatus::Reject)
    }
}

/// The defaults.
const DEFAULTS: [(Status, OnStatus); 4] = [
    (Status::RSYSERR, OnStatus::Retry),
    (Status::RMSGQFUL, OnStatus::Throttle),
    (Status::RTHROTTLED, OnStatus::Throttle),
    (Status::RX_T_APPN, OnStatus::Retry),
];

impl Default for StatusTable {
    fn default() -> Self {
        StatusTable(DEFAULTS.iter().map(|(s, on)| (s.0, *on)).collect())
    }
}

/// A command_status as a key: its name or its number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key(u32);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = Cow::<str>::deserialize(deserializer)?;
        let number = key.parse().ok().map(Status);
        let found = number.or_else(|| Status::from_name(&key)).map(|s| s.0);
        found.filter(|n| *n != 0).map(Key).ok_or_else(|| {
            D::Error::custom(format!("{key:?} is not a command_status: write a name such as ESME_RTHROTTLED, or a number such as \"0x58\"; ESME_ROK is always a success"))
        })
    }
}

impl Serialize for StatusTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = |n: u32| match Status(n).name() {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("{n:#010x}")),
        };
        serializer.collect_map(self.0.iter().map(|(n, on)| (name(*n), on)))
    }
}

impl<'de> Deserialize<'de> for StatusTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = StatusTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<StatusTable, A::Error> {
                let mut named = BTreeMap::new();
                while let Some(Key(status)) = map.next_key()? {
                    if named.insert(status, map.next_value()?).is_some() {
                        let name = Status(status);
                        return Err(A::Error::custom(format!(
                            "{name} stands there twice, by its name and its number: remove one"
                        )));
                    }
                }
                let mut table = StatusTable::default();
                table.0.extend(named);
                Ok(table)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl JsonSchema for StatusTable {
    fn schema_name() -> Cow<'static, str> {
        "StatusTable".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let on = generator.subschema_for::<OnStatus>();
        json_schema!({ "type": "object", "additionalProperties": on })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(json: &str) -> Result<StatusTable, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_named_overrides_a_default_and_the_rest_stays() {
        let table = table(r#"{"ESME_RSYSERR": "reject", "0x45B": "retry"}"#).unwrap();
        assert_eq!(table.get(0x08), OnStatus::Reject);
        assert_eq!(table.get(0x45B), OnStatus::Retry);
        assert_eq!(table.get(0x58), OnStatus::Throttle);
        assert_eq!(table.get(0x0B), OnStatus::Reject);
    }

    #[test]
    fn every_word_of_the_table_is_documented_here_and_in_the_book() {
        let settings = schemars::schema_for!(Settings);
        let here = &settings.as_value()["properties"]["status"]["description"];
        let page = include_str!("../../docs/behaviour.md");
        let line = page.lines().find(|line| line.contains("`[submit.status]`"));
        let words = schemars::schema_for!(OnStatus);
        let words = words.as_value()["oneOf"].as_array().unwrap();
        assert!(words.len() >= 3);
        for word in words {
            let word = format!("`{}`", word["const"].as_str().unwrap());
            for text in [here.as_str(), line] {
                assert!(text.unwrap().contains(&word), "{word} is missing: {text:?}");
            }
        }
    }

    #[test]
    fn a_status_that_does_not_exist_is_named() {
        let error = table(r#"{"ESME_RTHROTLED": "retry"}"#).unwrap_err();
        assert!(
            error.contains("ESME_RTHROTLED") && error.contains("0x58"),
            "{error}"
        );
        assert!(table(r#"{"0": "retry"}"#).is_err());
    }

    #[test]
    fn the_table_reads_what_it_prints() {
        let before = table(r#"{"1115": "throttle"}"#).unwrap();
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(table(&text).unwrap(), before);
    }
}
