//! `kafka-smpp config`: a schema and an example of the configuration.

use clap::Subcommand;

use crate::cli::Failure;
use crate::cli::output::line;
use crate::config;

/// Print a JSON Schema or a commented example of the configuration
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp config example > connector.toml
  kafka-smpp config schema > connector.schema.json      for editors: #:schema ./connector.schema.json")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A JSON Schema (2020-12)
    Schema,
    /// Every key with its default and its meaning, as TOML
    Example,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match args.what {
        What::Schema => line(format_args!("{:#}", config::schema()))?,
        What::Example => line(config::example().trim_end())?,
    }
    Ok(())
}
