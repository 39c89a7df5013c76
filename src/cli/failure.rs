//! How a command fails: a code for scripts and a text for people.

use std::io;
use std::process::ExitCode;

use crate::codes::{self, Coded, ErrorCode};
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
    /// For people: all that was wrong, each with what to do. Without any it is silent.
    pub faults: Vec<Coded>,
}

impl Failure {
    /// A failure with a text, and the code that explains it.
    pub fn new(code: Code, error: ErrorCode, text: impl Into<String>) -> Self {
        Failure::of(code, vec![Coded::new(error, text)])
    }

    /// A failure of all of these.
    pub fn of(code: Code, faults: Vec<Coded>) -> Self {
        Failure { code, faults }
    }

    /// One of which nothing is to be said: the output has said it.
    pub fn silent(code: Code) -> Self {
        Failure::of(code, Vec::new())
    }

    /// All that was wrong, a line for each.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        let texts = self.faults.iter().map(|fault| fault.text.as_str());
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Tells people and gives the code.
    pub(super) fn report(self) -> ExitCode {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        for Coded { code, text } in self.faults {
            anstream::eprintln!("{style}error[{code}]:{style:#} {text}");
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
        Failure::new(code, error.code(), error.to_string())
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
        Failure::of(code, error.faults())
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        let code = match &error {
            registry::Error::Setup(_) => Code::Config,
            registry::Error::Refused(_) => Code::Data,
            _ => Code::Unavailable,
        };
        Failure::new(code, error.code(), error.to_string())
    }
}

impl From<NoRandom> for Failure {
    fn from(error: NoRandom) -> Self {
        Failure::new(Code::Unavailable, codes::NO_RANDOM, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read our output (such as `head`) has enough: that is no failure.
            io::ErrorKind::BrokenPipe => Failure::silent(Code::Ok),
            _ => Failure::new(Code::Io, codes::INPUT_OUTPUT, error.to_string()),
        }
    }
}
