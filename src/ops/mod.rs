//! Logging, status and metrics.

pub mod logging;
