//! `log.level`: a level, or levels of parts.
//!
//! tracing takes every word that is no level for the name of a part, and every name for that of
//! one that may come to be: `inof` would be a part that nobody has, and say nothing.

use crate::config::log;
use crate::config::problem::nearest;

/// Levels, the least first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What other programs call levels.
const OTHERS: [(&str, &str); 7] = [
    ("none", "off"),
    ("err", "error"),
    ("fatal", "error"),
    ("critical", "error"),
    ("warning", "warn"),
    ("notice", "info"),
    ("verbose", "debug"),
];

/// The parts of this crate.
const MODULES: [&str; 26] = [
    "cli",
    "codes",
    "config",
    "connector",
    "control",
    "correlate",
    "deliver",
    "deployment",
    "erase",
    "http",
    "kafka",
    "meters",
    "metrics",
    "notices",
    "ops",
    "otel",
    "rebuild",
    "record",
    "registry",
    "repeated",
    "replay",
    "settings",
    "status",
    "submit",
    "threads",
    "trace",
];

/// Whatever else logs in this process.
const CRATES: [&str; 19] = [
    "kafka_smpp",
    "apache_avro",
    "axum",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "librdkafka",
    "mio",
    "rdkafka",
    "reqwest",
    "rustls",
    "rustls_platform_verifier",
    "schema_registry_converter",
    "smpp_esme",
    "smsc_simulator",
    "tokio",
    "tokio_rustls",
    "tower",
    "tower_http",
];

/// What is wrong with levels, and what to write.
pub(super) fn fault(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some(format!("it is blank: write one of {}", LEVELS.join(", ")));
    }
    // A comma in the fields of a span parts nothing; such a filter is left to tracing.
    if !text.contains(['[', '{']) {
        let mut parts: Vec<&str> = Vec::new();
        for directive in text.split(',') {
            let (part, fault) = one(directive);
            if fault.is_some() {
                return fault;
            }
            if parts.contains(&part) {
                return Some(match part {
                    "" => "it has two levels for all: leave one out".into(),
                    part => format!("it has two levels for {part}: leave one out"),
                });
            }
            parts.push(part);
        }
    }
    let wrong = tracing_subscriber::EnvFilter::try_new(text).err()?;
    Some(format!(
        "{wrong}: write a level, or such as \"info,smpp_esme=debug\""
    ))
}

/// The part that a directive is about, empty for all, and what is wrong with it.
fn one(directive: &str) -> (&str, Option<String>) {
    if directive.is_empty() || directive.contains(char::is_whitespace) {
        let text =
            "it has a blank or nothing between its commas: write such as \"info,smpp_esme=debug\"";
        return ("", Some(text.into()));
    }
    match directive.split_once('=') {
        Some((part, level)) => (part, unknown_part(part).or_else(|| unknown_level(level))),
        None if unknown_part(directive).is_none() => {
            let text = format!("{directive} has no level: write such as \"{directive}=debug\"");
            (directive, Some(text))
        }
        None => ("", unknown_level(directive)),
    }
}

fn unknown_level(level: &str) -> Option<String> {
    let lower = level.to_lowercase();
    if LEVELS.contains(&lower.as_str()) || matches!(level, "0" | "1" | "2" | "3" | "4" | "5") {
        return None;
    }
    let other = OTHERS.iter().find(|(other, _)| *other == lower);
    let meant = other.map(|(_, level)| *level);
    Some(match meant.or_else(|| nearest(level, &LEVELS)) {
        Some(meant) => format!("{level:?} is no level; did you mean {meant:?}?"),
        None => format!("{level:?} is no level: write one of {}", LEVELS.join(", ")),
    })
}

fn unknown_part(part: &str) -> Option<String> {
    let mut path = part.split("::");
    let (first, second) = (path.next().unwrap_or_default(), path.next());
    if !CRATES.contains(&first) {
        return Some(match nearest(first, &CRATES) {
            Some(meant) => format!("nothing here is called {first:?}; did you mean {meant:?}?"),
            None => format!(
                "nothing here is called {first:?}: write one of {}",
                CRATES.join(", ")
            ),
        });
    }
    let second = second.filter(|second| first == CRATES[0] && !MODULES.contains(second))?;
    let moved = |(_, then): &(&str, &str)| then.split("::").nth(1) == Some(second);
    if log::CRATES.iter().any(moved) {
        return None;
    }
    Some(match nearest(second, &MODULES) {
        Some(meant) => {
            format!("kafka_smpp has no part {second:?}; did you mean kafka_smpp::{meant}?")
        }
        None => format!(
            "kafka_smpp has no part {second:?}; it has {}",
            MODULES.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_mean_something_are_taken() {
        for text in [
            "info",
            "INFO",
            "off",
            "3",
            "info,smpp_esme=debug",
            "info,kafka_smpp::esme=debug",
            "warn,kafka_smpp::esme::session=trace,librdkafka=off",
            "kafka_smpp=debug",
            "info,kafka_smpp[bind{name=a}]=debug",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn those_that_mean_nothing_are_not() {
        for (text, said) in [
            ("", "it is blank"),
            ("  ", "it is blank"),
            ("inof", "did you mean \"info\"?"),
            ("warning", "did you mean \"warn\"?"),
            ("none", "did you mean \"off\"?"),
            ("loud", "write one of off, error"),
            ("7", "\"7\" is no level"),
            ("info ", "a blank"),
            ("info, kafka_smpp=debug", "a blank"),
            ("info,", "nothing between its commas"),
            ("info,debug", "two levels for all"),
            (
                "kafka_smpp=info,kafka_smpp=debug",
                "two levels for kafka_smpp",
            ),
            ("kafka_smpp", "\"kafka_smpp=debug\""),
            ("kafka_smpp::esme", "\"kafka_smpp::esme=debug\""),
            ("kafka_smpp=", "\"\" is no level"),
            ("kafka_smpp=inof", "did you mean \"info\"?"),
            ("kafka_smp=debug", "did you mean \"kafka_smpp\"?"),
            ("kafka-smpp=debug", "did you mean \"kafka_smpp\"?"),
            (
                "kafka_smpp::submti=debug",
                "did you mean kafka_smpp::submit?",
            ),
            ("smpp_esem=debug", "did you mean \"smpp_esme\"?"),
            ("kafka_smpp::zzz=debug", "it has cli, codes"),
            ("info=debug", "nothing here is called \"info\""),
        ] {
            let told = fault(text).expect(text);
            assert!(told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn every_module_is_known() {
        let modules: Vec<&str> = include_str!("../../lib.rs")
            .split('\n')
            .scan("", |before, line| {
                Some((std::mem::replace(before, line), line))
            })
            .filter(|(before, _)| !before.starts_with("#[cfg("))
            .map(|(_, line)| line)
            .map(|line| line.strip_prefix("pub ").unwrap_or(line))
            .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
            .collect();
        assert_eq!(modules, MODULES);
    }
}
