//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::codes::{self, ErrorCode};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the file, from 1.
    Line(usize),
    /// A variable of the environment.
    Variable(String),
    /// Nobody wrote it: it is missing, or a default.
    Absent,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// By which it is explained.
    pub code: ErrorCode,
    /// The key, such as `esme[0].timers.read`; empty if it is about none.
    pub key: String,
    /// Where its value came from.
    pub origin: Origin,
    /// The value as it was written; `None` where it is missing or a secret.
    pub value: Option<String>,
    /// What is wrong, and what to write instead.
    pub text: String,
}

impl Problem {
    pub(super) fn new(
        code: ErrorCode,
        key: impl Into<String>,
        value: impl fmt::Display,
        text: String,
    ) -> Self {
        Problem {
            code,
            key: key.into(),
            origin: Origin::Absent,
            value: Some(value.to_string()),
            text,
        }
    }

    pub(super) fn missing(
        code: ErrorCode,
        key: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Problem {
            code,
            key: key.into(),
            origin: Origin::Absent,
            value: None,
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Line(line) => write!(f, "line {line}: ")?,
            Origin::Variable(name) => write!(f, "{name}: ")?,
            Origin::Absent => {}
        }
        // A variable that is for no key has said its name.
        if self.key.is_empty() {
            return f.write_str(&self.text);
        }
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(
        "the configuration {} cannot be read: {error}. Name it with --config or KAFKA_SMPP_CONFIG; `kafka-smpp config example` prints one to begin with", file.display()
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration {} is not TOML: {text}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where and why.
        text: String,
    },
    /// Something in it is wrong; never empty.
    #[error("the configuration has {}:{}", count(.0.len()), lines(.0))]
    Problems(Vec<Problem>),
}

impl Error {
    /// By which it is explained; what is wrong in the values has codes of its own.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Unreadable { .. } => codes::CONFIG_UNREADABLE,
            Error::Syntax { .. } => codes::CONFIG_NOT_TOML,
            Error::Problems(_) => codes::CONFIG_WRONG,
        }
    }

    /// What is wrong in the values; empty where the file could not even be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Error::Problems(problems) => problems,
            _ => &[],
        }
    }
}

fn count(n: usize) -> String {
    match n {
        1 => "1 error".into(),
        n => format!("{n} errors"),
    }
}

fn lines(problems: &[Problem]) -> String {
    let line = |p: &Problem| format!("\n  [{}] {p}", p.code);
    problems.iter().map(line).collect()
}

/// The one of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(&word, &k.to_lowercase()), *k))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
