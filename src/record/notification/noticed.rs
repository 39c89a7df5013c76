//! What is noticed of a process, its binds and its partitions: one object for each kind of it.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::super::form::time_option;

/// A number as events have it: Avro knows no unsigned ones.
pub fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A length of time in milliseconds.
pub fn millis(time: Duration) -> i64 {
    count(time.as_millis())
}

/// What a process says of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProcessLife<'a> {
    /// The version of kafka-smpp.
    pub version: &'a str,
    /// The Kafka cluster.
    pub cluster_id: &'a str,
    /// The ESMEs of its configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub esmes: Vec<&'a str>,
    /// When it said that it had started.
    #[serde(
        serialize_with = "time_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub started_at: Option<Timestamp>,
    /// Why it ends, if it was not asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// A change of a bind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BindChange<'a> {
    /// `transmitter`, `receiver` or `transceiver`.
    pub mode: &'a str,
    /// The `host:port` of the SMSC as it is configured.
    pub host: &'a str,
    /// The SMSC's name, if it said one when it bound the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_id: Option<Cow<'a, str>>,
    /// How often the bind has changed since the last event about it, this time included.
    pub changes: i64,
    /// Of Bound: how many sessions the bind has had, this one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<i64>,
    /// Of Unbound: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Of Unbound: whether this side wanted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<bool>,
    /// Of Unbound: how long it was bound, in milliseconds; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<i64>,
    /// Of Unbound: how many messages had no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<i64>,
}

/// How an SMSC slows a bind down.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Throttling<'a> {
    /// How many messages it refused as too much since the last such event; 0 when it refuses none
    /// any more.
    pub refused: i64,
    /// With which command_status, the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_status: Option<u32>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_status_name: Option<Cow<'a, str>>,
    /// How many messages the bind keeps unanswered at most by now.
    pub window: i64,
    /// How many messages a second it sends at most by now; absent if there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

/// A partition that was taken over.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Takeover<'a> {
    /// The outbound topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Everything before this offset is finished.
    pub offset: i64,
    /// How many of its messages are in doubt.
    pub in_doubt: i64,
    /// How long it took from the assignment, in milliseconds.
    pub took_ms: i64,
    /// The process that wrote the last commit, if it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a str>,
}

/// Receipts that do not come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReceiptsGap {
    /// How many messages that ask for receipts were accepted since the last receipt came.
    pub messages: i64,
    /// When the last receipt came, if one came.
    #[serde(
        serialize_with = "time_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_receipt_at: Option<Timestamp>,
    /// In so many milliseconds nine of ten receipts came before; absent if too few came to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_ms: Option<i64>,
    /// After so many milliseconds without any they are said to have stopped.
    pub limit_ms: i64,
}

/// What somebody who steers the connector did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Steering<'a> {
    /// What is paused: `esme`, `bind` or `topic`.
    pub what: &'a str,
    /// Its name.
    pub name: &'a str,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a str>,
    /// Why, in words of theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Since when.
    #[serde(
        serialize_with = "time_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub paused_at: Option<Timestamp>,
}
