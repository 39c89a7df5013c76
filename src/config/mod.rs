//! The configuration: typed, validated, every error at once.
//!
//! [`mod@load`] reads a TOML file and the environment; [`Config`] and what it holds are the
//! final values. The same types make the JSON Schema and the commented example.

mod bounds;
mod cloud_events;
mod environment;
mod esme;
mod example;
mod formats;
mod http;
mod inbound;
mod kafka;
mod load;
mod log;
mod memory;
mod otel;
mod parts;
mod privacy;
mod problem;
#[cfg(test)]
mod tests;
mod topics;
mod tree;
mod validate;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cloud_events::CloudEvents;
pub use esme::{BindMode, Binds, Esme};
pub use example::{example, schema};
pub use formats::Formats;
pub use http::Http;
pub use inbound::Inbound;
pub use kafka::{GroupProtocol, Kafka, Property};
pub use load::{load, parse};
pub use log::{Log, LogFormat};
pub use otel::Otel;
pub use privacy::Privacy;
pub use problem::Error;
pub use topics::Topics;

use crate::codes::{self, Coded};
use crate::settings::Time;
use crate::{correlate, registry, submit, trace};

/// All of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a stop (SIGTERM, SIGINT) waits for outstanding answers and commits before
    /// it ends all the same. A second signal ends at once. Nothing is lost either way.
    pub shutdown_timeout: Time,
    /// Whether the system may write a core dump when the process crashes. One has passwords, and texts
    /// and numbers of messages. Default false; then other processes of the same user cannot look into
    /// this one either (`gdb`, `strace`, `perf`), where the system is Linux.
    pub core_dumps: bool,
    /// Kafka: where it is and how it is used.
    pub kafka: Kafka,
    /// Names of the topics beside the outbound ones, which belong to each ESME.
    pub topics: Topics,
    /// How values are written on each topic.
    pub formats: Formats,
    /// The schema registry, for topics whose format is `avro` or `json_schema`.
    pub schema_registry: registry::Options,
    /// Whether events say in headers what they are, as CloudEvents.
    pub cloud_events: CloudEvents,
    /// How outbound records become submit_sm and results.
    pub submit: submit::Settings,
    /// How receipts find the messages they belong to.
    pub correlate: correlate::Settings,
    /// How deliver_sm (receipts, and messages from phones) get to Kafka, and how messages from
    /// phones are put together.
    pub inbound: Inbound,
    /// Where the process can be looked at and steered.
    pub http: Http,
    /// What goes to `topics.trace`, if that is set.
    pub trace: trace::Settings,
    /// Spans of messages and receipts for a collector of OpenTelemetry. The program has to be built
    /// with the feature `otel`.
    pub otel: Otel,
    /// What events say of people.
    pub privacy: Privacy,
    /// The log, on standard error. Passwords and texts of messages are never in it.
    pub log: Log,
    /// The ESMEs: accounts with SMSCs, each with its own outbound topics.
    pub esme: Vec<Esme>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            shutdown_timeout: Time::seconds(15),
            core_dumps: false,
            kafka: Kafka::default(),
            topics: Topics::default(),
            formats: Formats::default(),
            schema_registry: registry::Options::default(),
            cloud_events: CloudEvents::default(),
            submit: submit::Settings::default(),
            correlate: correlate::Settings::default(),
            inbound: Inbound::default(),
            http: Http::default(),
            trace: trace::Settings::default(),
            otel: Otel::default(),
            privacy: Privacy::default(),
            log: Log::default(),
            esme: Vec::new(),
        }
    }
}

impl Config {
    /// What is set and no longer used, with what to do: said by whoever reads the configuration.
    pub fn unused(&self) -> Vec<Coded> {
        let set = |esme: &&Esme| esme.inbound_window.is_some();
        let line = |esme: &Esme| {
            let text = format!(
                "esme {:?}: inbound_window is no longer used, take it out: what waits for Kafka is bounded by inbound.buffer ({}), of all binds together",
                esme.name, self.inbound.buffer
            );
            Coded::new(codes::SETTING_UNUSED, text)
        };
        self.esme.iter().filter(set).map(line).collect()
    }
}
