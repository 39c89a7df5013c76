//! The log: lines on standard error, for people or for machines.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// Begins to log. librdkafka's log goes the same way. An error says that logging had begun
/// before.
pub fn start(log: &Log) -> Result<(), TryInitError> {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = stderr().is_terminal();
    let lines = fmt().with_env_filter(filter).with_writer(stderr);
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    match text {
        true => lines.with_ansi(terminal).finish().try_init(),
        false => lines.json().flatten_event(true).finish().try_init(),
    }
}
