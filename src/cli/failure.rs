//! How a command fails: a code for scripts and a text for people.

use std::io;
use std::process::ExitCode;

use crate::ops::random::NoRandom;
use crate::{config, connector, registry};

/// Exit codes, after sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// Data are wrong: a record, an offset.
    Data = 65,
    /// A file that should be read is not there.
    NoInput = 66,
    /// A message did not reach its recipient (`EX_NOUSER`).
    NotDelivered = 67,
    /// Kafka, a topic, an SMSC or the schema registry is not available.
    Unavailable = 69,
    /// A fault of this program.
    Software = 70,
    /// Reading or writing failed.
    Io = 74,
    /// Not now, but perhaps later.
    TempFail = 75,
    /// Nobody knows what became of a message (`EX_PROTOCOL`).
    Unknown = 76,
    /// The configuration is wrong.
    Config = 78,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

/// Why a command did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For scripts.
    pub code: Code,
    /// For people: what was wrong and what to do.
    pub text: String,
}

impl Failure {
    /// A failure with a text.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Failure {
            code,
            text: text.into(),
        }
    }

    /// Tells people and gives the code. Without a text it is silent.
    pub(super) fn report(self) -> ExitCode {
        if !self.text.is_empty() {
            let style = anstyle::AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{style}error:{style:#} {}", self.text);
        }
        self.code.into()
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let code = match &error {
            config::Error::Unreadable { .. } => Code::NoInput,
            _ => Code::Config,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<connector::Error> for Failure {
    fn from(error: connector::Error) -> Self {
        let code = if error.is_configuration() {
            Code::Config
        } else if error.is_displaced() {
            Code::TempFail
        } else {
            Code::Unavailable
        };
        Failure::new(code, error.to_string())
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        let code = match &error {
            registry::Error::Setup(_) => Code::Config,
            registry::Error::Refused(_) => Code::Data,
            _ => Code::Unavailable,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<NoRandom> for Failure {
    fn from(error: NoRandom) -> Self {
        Failure::new(Code::Unavailable, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read our output (such as `head`) has enough: that is no failure.
            io::ErrorKind::BrokenPipe => Failure::new(Code::Ok, ""),
            _ => Failure::new(Code::Io, error.to_string()),
        }
    }
}
