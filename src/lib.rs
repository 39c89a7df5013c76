//! `kafka-smpp` connects Kafka with the SMS centres of the world over SMPP.
//!
//! Data flows down this list; a module uses only those above it:
//!
//! - [`smpp_protocol`]: the protocol as pure data, without I/O, a crate of its own;
//! - [`smpp_esme`]: one session with an SMSC and its life, a crate of its own;
//! - [`settings`]: durations and the like as people write them;
//! - [`codes`]: the codes of errors, and what each means;
//! - [`threads`]: named threads, and how one waits for their end;
//! - [`meters`]: what is counted and timed of each ESME;
//! - [`repeated`]: log lines for what may happen many times;
//! - [`record`]: what travels on topics;
//! - [`registry`]: the schema registry, where records are written by its schemas;
//! - [`kafka`]: polling, partition progress, transactions, topics;
//! - [`trace`]: the PDUs of all connections onto a topic, for those who look into them;
//! - [`submit`]: an outbound record becomes a submit_sm and then a result;
//! - [`deliver`]: a deliver_sm becomes a delivery or an inbound message;
//! - [`correlate`]: deliveries joined with what was submitted;
//! - [`status`]: what can be seen of a running connector, as one document;
//! - [`deployment`]: the processes of a deployment show each other;
//! - [`replay`]: records that ended as errors put back onto their topic;
//! - [`erase`]: what is kept of a person deleted;
//! - [`rebuild`]: where the groups go on upon another cluster;
//! - [`metrics`]: the same as metrics;
//! - [`http`]: where a process can be looked at;
//! - [`control`]: what operators want while it runs;
//! - [`connector`]: configuration to running parts to a drained stop;
//! - [`notices`]: all lines of the log, which each part declares for itself;
//! - [`otel`]: spans of messages and receipts, which submit and correlate tell it of;
//! - `fuzzing`: what fuzz targets reach that is private otherwise (a feature);
//! - [`config`], [`ops`], [`smsc_simulator`] (a crate of its own), [`cli`]: the rest of the tool.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
// The program's own documentation is for those who work on it: it tells of what is private, too.
#![allow(rustdoc::private_intra_doc_links)]

pub mod cli;
mod codes;
mod config;
mod connector;
mod control;
pub mod correlate;
pub mod deliver;
mod deployment;
mod erase;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
pub mod kafka;
mod meters;
mod metrics;
mod notices;
mod ops;
mod otel;
mod rebuild;
pub mod record;
pub mod registry;
mod repeated;
mod replay;
pub mod settings;
mod status;
pub mod submit;
mod threads;
mod trace;
