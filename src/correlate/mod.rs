//! Deliveries joined with correlation: receipts and inbound messages.

pub mod join;
pub mod options;

pub use options::Settings;
