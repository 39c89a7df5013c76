//! The command line: [`commands`], one file or folder for each, and what several of them need.

mod bar;
mod broker;
mod capture;
mod choices;
mod commands;
mod dump;
mod events;
mod failure;
mod lines;
mod looking;
pub(crate) mod notices;
mod octets;
mod output;
mod records;
mod schemas;
mod texts;
mod when;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser};

use commands::Command;
pub use failure::{Code, Failure};

use crate::codes;
use crate::config::{Config, Esme};
use smpp_protocol::Dialect;

/// Reads a capture and looks at no PDU of it: the rest of the tool cannot be fuzzed alone.
#[cfg(feature = "fuzzing")]
pub fn read_capture(octets: &[u8]) {
    let _ = capture::read(octets, |_| Ok(()));
}

/// Connects Kafka with SMS centres over SMPP: every outbound record gets exactly one result,
/// and every receipt finds its message.
#[derive(Parser)]
#[command(
    name = "kafka-smpp",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = "\
Exit codes are those of sysexits.h: 0 done, 64 wrong usage, 65 wrong data, 66 no such file,
67 a message was not delivered, 69 something needed is not available, 70 a fault of ours,
74 input or output failed, 75 try again, 76 what became of a message is not known, 78 wrong
configuration.

Examples:
  kafka-smpp demo                                     the main job, on nothing but this machine
  kafka-smpp config example > connector.toml
  kafka-smpp check --config connector.toml --connect
  kafka-smpp run --config connector.toml")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The whole command line, for what is made from it or held against it: the texts that name commands.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Which configuration is meant.
#[derive(Args, Clone, Debug)]
struct ConfigSource {
    /// The configuration's file. Without it connector.toml in the working directory, if there
    /// is one; variables KAFKA_SMPP__... override what the file says
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "KAFKA_SMPP_CONFIG",
        global = true
    )]
    config: Option<PathBuf>,
}

/// The environment, as far as it is text. One of ours that is not is an error, not left out.
fn variables() -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with("KAFKA_SMPP_") => {
                let text = format!("{name}: its value is not UTF-8");
                return Err(Failure::new(Code::Config, codes::VARIABLE_UNREADABLE, text));
            }
            Err(_) => {}
        }
    }
    Ok(variables)
}

impl ConfigSource {
    /// The ESME of this name.
    fn esme(&self, name: &str) -> Result<Esme, Failure> {
        let all = self.load()?.esme;
        let names: Vec<_> = all.iter().map(|esme| esme.name.clone()).collect();
        let found = all.into_iter().find(|esme| esme.name == name);
        found.ok_or_else(|| {
            let names = names.join(", ");
            Failure::new(
                Code::Usage,
                codes::UNKNOWN_NAME,
                format!("no ESME is named {name:?}; there are: {names}"),
            )
        })
    }

    /// What the SMSC of the ESME of this name does in its own way.
    fn dialect(&self, esme: &str) -> Result<Dialect, Failure> {
        self.esme(esme).map(|esme| crate::connector::dialect(&esme))
    }

    /// Reads the configuration, or says all that is wrong with it.
    fn load(&self) -> Result<Config, Failure> {
        let usual = Path::new("connector.toml");
        let file = match &self.config {
            Some(file) => Some(file.as_path()),
            None => usual.is_file().then_some(usual),
        };
        crate::config::load(file, variables()?).map_err(|error| {
            let mut failure = Failure::from(error);
            if file.is_none()
                && let Some(fault) = failure.faults.last_mut()
            {
                fault.text.push_str("\nNo file was read: name one with --config. `kafka-smpp config example` prints one to begin with.");
            }
            failure
        })
    }
}

/// A runtime for a command that does one thing at a time.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Prints what clap says of the command line: its help, or what is wrong, with a code as all errors
/// have one.
fn tell(error: &clap::Error) {
    let shown = error.render().ansi().to_string();
    // Nobody is left to tell when even this cannot be written.
    let _ = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            write!(anstream::stdout(), "{shown}")
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            write!(anstream::stderr(), "{shown}")
        }
        _ => {
            let coded = format!("error[{}]:", codes::USAGE);
            let shown = shown.replacen("error:", &coded, 1);
            write!(anstream::stderr(), "{shown}")
        }
    };
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                Code::Usage
            } else {
                Code::Ok
            };
            tell(&error);
            return code.into();
        }
    };
    match cli.command.run(Cli::command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
