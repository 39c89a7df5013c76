//! Everything the tests run against, fetched and started by themselves.

mod broker;
mod client;
mod connector;
mod fake_registry;
mod fake_smsc;
mod fetch;
pub mod http;
mod lesser_kafka;
mod mirror_maker;
mod process;
mod program;
mod registry;
mod smsc;
mod tls;
mod tokens;
mod wire;

pub use broker::{Acls, Broker, Secured, kafka, kafka_pid, kafka_to_measure};
pub use client::{
    Appender, Kafka, Record, Send, Topic, becomes, eventually, internal_codec, internal_format,
    unique, wait,
};
pub use connector::{Connector, command, command_by, started, started_by};
pub use fake_registry::{Answer, FakeRegistry};
pub use fake_smsc::{Accepted, FakeSmsc, Reply, Submit, deliver_body, tlv};
pub use fetch::{cached, has_kip_848, jars, kafka_version, progress, run, source};
pub use lesser_kafka::{Lacks, LesserKafka};
pub use mirror_maker::MirrorMaker;
pub use process::{Process, free_port, scratch};
pub use program::Program;
pub use registry::Registry;
pub use smsc::Smsc;
pub use tls::TlsFront;
pub use tokens::{TokenAnswer, TokenEndpoint};

use std::time::Duration;

/// How long anything may take: a machine that many use is slow now and then.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A number that the environment may change: how much a test does.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |v| v.parse().expect("a number"))
}
