//! Logging, status and metrics.

pub mod logging;
pub mod panics;
