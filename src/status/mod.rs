//! What can be seen of a running connector, as one document.
//!
//! `/status` serves it, `sms.status` carries it to the other processes, the page and
//! `kafka-smpp top` show it, and `/metrics` is written from it. So all of them say the same. Fields are
//! only ever added; one that goes, or gets another meaning, raises [`VERSION`].
//!
//! Names are those of the field, times are RFC 3339, durations are seconds, amounts of memory octets.
//! A number that is not known is left out.

mod histogram;
mod history;
#[cfg(test)]
mod page;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use histogram::Histogram;
pub use history::{History, Percentiles, STEP, Sample};

/// Which form of the document this is.
pub const VERSION: u32 = 1;

/// What can be seen of one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Status {
    /// Which form of this document it is: 1.
    pub version: u32,
    /// When it was true.
    pub at: Timestamp,
    /// The process.
    pub process: Process,
    /// Whether it does its work, and what is missing if not.
    pub ready: Ready,
    /// Whether its threads make progress.
    pub live: Live,
    /// The accounts with SMSCs.
    pub esmes: Vec<Esme>,
    /// What is remembered of messages, for their receipts.
    pub correlation: Correlation,
    /// What SMSCs deliver, on its way to Kafka.
    pub deliveries: Deliveries,
    /// The transactions of the two pipelines.
    pub transactions: Vec<Transactions>,
    /// What memory is bounded, and how much of it is in use.
    pub memory: Vec<Memory>,
    /// The Kafka clients of the process.
    pub kafka: Kafka,
    /// The schema registry; none if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
    /// The lines of the log at warn and error that were written last, the newest first.
    pub problems: Vec<Problem>,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Process {
    /// Its name, another one after each start.
    pub name: String,
    /// The deployment it belongs to (`kafka.application_id`).
    pub deployment: String,
    /// The host it runs on, such as a pod's name.
    pub host: String,
    /// The version of kafka-smpp.
    pub software: String,
    /// When it began.
    pub started_at: Timestamp,
    /// `starting`, `running` or `stopping`.
    pub phase: Phase,
    /// What the operating system gave it, in octets (resident set); none where it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_octets: Option<u64>,
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It looks at the cluster, and at schemas.
    #[default]
    Starting,
    /// It works.
    Running,
    /// It drains.
    Stopping,
}

/// Whether the process does its work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ready {
    /// Whether nothing is missing.
    pub ready: bool,
    /// What is missing, in words.
    pub missing: Vec<String>,
}

/// Whether the threads of the process make progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Live {
    /// Whether all of them do.
    pub live: bool,
    /// The threads that do not, and since when.
    pub stuck: Vec<String>,
}

/// An account with an SMSC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Esme {
    /// Its name.
    pub name: String,
    /// Its topics, the most urgent first.
    pub topics: Vec<String>,
    /// Its rate.
    pub rate: Rate,
    /// Its binds in this process.
    pub binds: Vec<Bind>,
    /// Its partitions in this process.
    pub partitions: Vec<Partition>,
    /// What operators have asked for, if anything.
    pub steering: Steering,
    /// What its SMSC answered, by command_status: each answer to a submit_sm and the like counts.
    pub responses: BTreeMap<String, u64>,
    /// Results that Kafka has: `ACCEPTED`, `REFUSED` (a SubmitSmResp with another status), or why a
    /// record ended as SendError.
    pub results: BTreeMap<String, u64>,
    /// Receipts, by the state that they say.
    pub receipts: BTreeMap<String, u64>,
    /// What else is counted, by name.
    pub counts: BTreeMap<String, u64>,
    /// What all its binds have counted, those included that are not there any more, by name.
    pub binds_counts: BTreeMap<String, u64>,
    /// From the record's append to Kafka until the first octet goes to the socket's queue, of first
    /// attempts.
    pub append_to_socket: Histogram,
    /// From there until the SMSC's answer.
    pub submit_to_response: Histogram,
    /// From the record's append to Kafka until its result is committed.
    pub append_to_result: Histogram,
    /// From the submit_sm until its final receipt came.
    pub submit_to_receipt: Histogram,
}

/// What operators have asked for, of one ESME.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Steering {
    /// What is paused of it: nothing of that is sent.
    pub paused: Vec<Paused>,
    /// The window that its SMSC is maintained in, if one is agreed and not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// The limit of its rate, if it is another than in the configuration, in PDUs per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tps: Option<f64>,
    /// The window of each bind, if it is another than in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
}

/// Something that is paused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Paused {
    /// The topic or the bind, if it is not the whole ESME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Whether its binds are closed, too.
    pub unbound: bool,
    /// Who asked for it.
    pub by: String,
    /// Why, in their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A window of maintenance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Maintenance {
    /// When binds are closed.
    pub from: Timestamp,
    /// When they are opened again.
    pub until: Timestamp,
    /// Who asked for it.
    pub by: String,
}

/// The rate of an account, in PDUs per second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rate {
    /// What the contract allows (`max_tps`); none without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contracted: Option<f64>,
    /// The part of it that this process may use; none without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub here: Option<f64>,
}

/// A bind, which is one session after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Bind {
    /// Its name.
    pub name: String,
    /// `transmitter`, `receiver` or `transceiver`.
    pub mode: String,
    /// `idle`, `connecting`, `bound`, `backoff`, `refused`, `frozen` or `closed`.
    pub state: String,
    /// `host:port`, where it is bound or connecting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The address that this is, where it is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Since when it is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why it is not bound, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By which `kafka-smpp explain` explains that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How long until it is tried again, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<f64>,
    /// Whether it sends, or only receives.
    pub submits: bool,
    /// Whether operators want nothing to be sent over it.
    pub paused: bool,
    /// Whether operators want it to be closed.
    pub drained: bool,
    /// Its window.
    pub window: Window,
    /// PDUs per second that the SMSC's answers let it send; none without such a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Its own limit (`max_tps_per_bind`), in PDUs per second; none without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contracted_rate: Option<f64>,
    /// Whether the SMSC has said within the last minute that it is too much.
    pub throttled: bool,
    /// How long the SMSC took to answer the last enquire_link, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<f64>,
    /// What is counted of it, by name.
    pub counts: BTreeMap<String, u64>,
}

/// How many requests may be unanswered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Window {
    /// How many are.
    pub used: u64,
    /// How many may be now.
    pub allowed: u64,
    /// How many may be at most (`window`).
    pub most: u64,
}

/// A partition of an outbound topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Partition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// `taking over`, `opening`, `open`, `draining` or `standing still`.
    pub phase: String,
    /// Whether operators want nothing of it to be sent, by a pause of its topic, or of all binds that
    /// send it.
    pub paused: bool,
    /// Why its records wait, in words; none if they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// All records below this offset have a result.
    pub committed: i64,
    /// The offset of the next record to be read.
    pub position: i64,
    /// The offset of the next record that a producer appends, as librdkafka saw it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// How many offsets there are from `committed` to `end`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// Below this offset, what has no result may have been sent when this process ends now.
    pub reserved: i64,
    /// Records without a result of which an SMSC may have a copy that nobody knows of.
    pub in_doubt: u64,
    /// Records that were read and have no result.
    pub unfinished: u64,
    /// Of these, those that wait for a place in a window or rate.
    pub waiting: u64,
    /// Of these, those that wait for their time.
    pub delayed: u64,
    /// Of these, those that a bind may be handed now.
    pub ready: u64,
    /// Of these, those that a bind has.
    pub in_flight: u64,
    /// What these take in memory, in octets.
    pub octets: u64,
}

/// What is remembered of messages, for their receipts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Correlation {
    /// Its partitions in this process.
    pub partitions: Vec<CorrelationPartition>,
    /// What is counted, by name.
    pub counts: BTreeMap<String, u64>,
}

/// One partition of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CorrelationPartition {
    /// Its number.
    pub partition: i32,
    /// Whether its state is restored, and receipts are joined.
    pub live: bool,
    /// The deliveries below this offset are joined.
    pub next: i64,
    /// Messages remembered.
    pub entries: u64,
    /// Receipts that wait for their message, or were published without.
    pub parked: u64,
    /// Segments of messages from phones that wait for the others.
    pub parts: u64,
    /// What all of them take in memory, in octets.
    pub octets: u64,
    /// What of that is for receipts without a message, in octets.
    pub parked_octets: u64,
    /// Records that wait for the next transaction.
    pub gathered: u64,
}

/// What SMSCs deliver, on its way to Kafka.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Deliveries {
    /// What is counted, by name.
    pub counts: BTreeMap<String, u64>,
}

/// The transactions of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Transactions {
    /// `submit` or `correlate`.
    pub pipeline: String,
    /// How many were committed.
    pub committed: u64,
    /// How many were aborted, by the cause.
    pub aborted: BTreeMap<String, u64>,
    /// How many records the committed ones had.
    pub records: u64,
    /// How long the committed ones took.
    pub took: Histogram,
}

/// A kind of memory that has a bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Memory {
    /// What it is for.
    pub name: String,
    /// How many octets are in use.
    pub used: u64,
    /// How many there may be.
    pub bound: u64,
}

/// The Kafka clients of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Kafka {
    /// The cluster's id.
    pub cluster: String,
    /// The clients.
    pub clients: Vec<Client>,
}

/// What librdkafka says of one of its clients, every five seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Client {
    /// What it is for: `submit`, `correlate`, `deliveries`, `notifications`, `late answers`.
    pub name: String,
    /// `consumer` or `producer`.
    pub kind: String,
    /// How many brokers it is connected to.
    pub brokers_up: u64,
    /// How many brokers it knows and is not connected to.
    pub brokers_down: u64,
    /// Records that wait to be sent, or for an answer.
    pub queued: u64,
    /// What these have, in octets.
    pub queued_octets: u64,
    /// The slowest broker's mean answer time, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<f64>,
    /// Requests that were not answered in time.
    pub timeouts: u64,
    /// Octets received.
    pub octets_in: u64,
    /// Octets sent.
    pub octets_out: u64,
    /// How often its group was rebalanced, of a consumer.
    pub rebalances: u64,
}

/// The schema registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Registry {
    /// Schemas that records are waiting for.
    pub missing: u64,
}

/// A line of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Problem {
    /// What the line is called, as in docs/log.md.
    pub name: String,
    /// `warn` or `error`.
    pub level: String,
    /// By which `kafka-smpp explain` explains it; none if that differs from case to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its text and its fields, as the log has them.
    pub text: String,
    /// What it means, and what to do.
    pub about: String,
    /// When it was written last.
    pub at: Timestamp,
    /// How often it was written since the start of the process.
    pub times: u64,
}
