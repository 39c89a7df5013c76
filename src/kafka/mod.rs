//! Polling, partition progress, transactions and topics.

pub mod cause;
pub mod cloud_events;
pub mod cluster;
pub mod ear;
pub mod end;
mod error_class;
pub mod fatal;
pub mod foreign;
pub mod group;
pub(crate) mod idempotent;
pub mod membership;
pub mod pause;
pub mod poll;
pub mod progress;
pub mod rights;
pub mod session;
pub mod set_aside;
pub mod start;
mod subject;
pub mod topics;
pub mod transaction;
mod transactional_producer;
pub mod transactor;
pub mod waiting;

pub use error_class::ErrorClass;
pub use fatal::Fatal;
pub use group::{Group, Partition};
pub use membership::Membership;
pub use pause::Pause;
pub use waiting::Waiting;
