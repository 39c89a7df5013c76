//! Settings of the log.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::ops::mask::Numbers;
use crate::settings::masked;

/// What is logged, and how. Passwords and texts of messages are never logged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or per module, such as
    /// `info,smpp_esme=debug`.
    pub level: String,
    /// `text`, `json` (one object a line), or `auto`: text on a terminal, else json.
    pub format: LogFormat,
    /// How phone numbers stand in the log, at all levels: `full`; `last4`, their last four digits; or
    /// `hash`, a keyed hash, the same for one number however it is written. What has seven digits
    /// or more in a text is a number, also if it is a log id or the id of a message.
    pub numbers: Numbers,
    /// The secret key of hashes, at least 16 characters: with the same one, a number has the same hash
    /// in all processes and after a restart. Without one each process makes its own, and hashes can
    /// only be compared within one process. Whoever knows it can find the number of a hash by trying.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub numbers_key: SecretString,
    /// File that holds the key, instead of `numbers_key`.
    #[schemars(example = "/run/secrets/numbers-key")]
    pub numbers_key_file: Option<PathBuf>,
    /// So many events of each bind are kept in memory that `level` leaves out: what its sessions
    /// sent and received (the headers of PDUs), and what is logged of it at `debug`. When a session
    /// is lost, messages of the bind are in doubt, or something about it is logged at `error`, they
    /// are written to the log, each as a line at `debug` with the time when it happened
    /// (`recorded_at`). 100 is a good number: about 25 KiB of memory for each bind, and a quarter of a
    /// microsecond for each PDU. 0 to 10000; 0 is off, and costs nothing. Default 0.
    #[schemars(range(min = 0, max = 10000))]
    pub flight_recorder: u32,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            level: "info".into(),
            format: LogFormat::Auto,
            numbers: Numbers::Full,
            numbers_key: SecretString::default(),
            numbers_key_file: None,
            flight_recorder: 0,
        }
    }
}

/// Parts of this program that are crates of their own, and what they were called as modules.
pub(super) const CRATES: [(&str, &str); 2] = [
    ("smpp_esme", "kafka_smpp::esme"),
    ("smsc_simulator", "kafka_smpp::simulator"),
];

impl Log {
    /// `level` for those who filter by crates: `kafka_smpp` is the whole program, and parts are
    /// found by the names that they had as modules, too.
    pub fn directives(&self) -> String {
        let mut directives = Vec::new();
        for directive in parted(&self.level) {
            let name = directive.find(['=', '[']).unwrap_or(directive.len());
            let (name, rest) = directive.split_at(name);
            let moved = CRATES.iter().find_map(|(now, then)| {
                let inside = name.strip_prefix(then)?;
                let whole = inside.is_empty() || inside.starts_with("::");
                whole.then(|| format!("{now}{inside}{rest}"))
            });
            directives.push(moved.unwrap_or_else(|| directive.to_owned()));
            if name == "kafka_smpp" {
                directives.extend(CRATES.iter().map(|(now, _)| format!("{now}{rest}")));
            }
        }
        directives.join(",")
    }
}

/// The directives of a filter: a comma in the fields of a span parts nothing.
fn parted(filter: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = filter.split(|c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_all_its_crates() {
        for (level, directives) in [
            ("info", "info"),
            ("warn,librdkafka=debug", "warn,librdkafka=debug"),
            (
                "kafka_smpp=debug,info",
                "kafka_smpp=debug,smpp_esme=debug,smsc_simulator=debug,info",
            ),
            (
                "kafka_smpp[bind{name=a,n=1}]=trace",
                "kafka_smpp[bind{name=a,n=1}]=trace,smpp_esme[bind{name=a,n=1}]=trace,\
                 smsc_simulator[bind{name=a,n=1}]=trace",
            ),
            (
                "info,kafka_smpp::esme=debug,kafka_smpp::esme::session=trace",
                "info,smpp_esme=debug,smpp_esme::session=trace",
            ),
            ("kafka_smpp::submit=debug", "kafka_smpp::submit=debug"),
        ] {
            let log = Log {
                level: level.into(),
                ..Log::default()
            };
            assert_eq!(log.directives(), directives);
        }
    }
}
