//! Outbound record to submit_sm to result.

pub mod message;
pub mod options;

pub use options::{OnStatus, Settings};
