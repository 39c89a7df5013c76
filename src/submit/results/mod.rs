//! What became of records, on its way to Kafka.

mod details;
pub mod events;
pub mod late_producer;
mod measure;
pub mod transaction;
