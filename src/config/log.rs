//! Settings of the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is logged, and how. Passwords and texts of messages are never logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or per module, such as
    /// `info,kafka_smpp::esme=debug`.
    pub level: String,
    /// `text`, `json` (one object a line), or `auto`: text on a terminal, else json.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            level: "info".into(),
            format: LogFormat::Auto,
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}
