//! Logging, status and metrics.
