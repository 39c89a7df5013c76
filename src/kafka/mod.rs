//! Polling, partition progress, transactions and topics.

pub mod cloud_events;
pub mod cluster;
pub mod foreign;
pub mod group;
pub(crate) mod idempotent;
pub mod poll;
pub mod progress;
pub mod session;
pub mod start;
pub mod topics;
pub mod transactor;
mod writer;

pub use group::{Group, Partition};
