//! Polling, partition progress, transactions and topics.

pub(crate) mod abilities;
pub(crate) mod cause;
pub mod cloud_events;
pub mod cluster;
pub(crate) mod ear;
pub(crate) mod end;
mod error_class;
pub(crate) mod fatal;
pub mod figures;
pub(crate) mod foreign;
pub(crate) mod group;
pub(crate) mod idempotent;
pub(crate) mod membership;
pub(crate) mod notices;
pub(crate) mod pause;
pub mod poll;
pub mod progress;
pub(crate) mod rights;
pub(crate) mod session;
pub(crate) mod set_aside;
pub mod start;
mod subject;
pub mod topics;
pub mod transaction;
pub mod transaction_meters;
mod transactional_producer;
pub mod transactor;
pub(crate) mod waiting;
pub(crate) mod whole_topic;

pub use error_class::ErrorClass;
pub use fatal::Fatal;
pub use group::{Group, Partition};
pub use membership::Membership;
pub use pause::Pause;
pub use waiting::{For, Waiting};
