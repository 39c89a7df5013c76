//! `kafka-smpp schemas`: the schemas of records, and what a registry has of them.

mod compare;
mod show;
mod subjects;

use clap::{Subcommand, ValueEnum};

use crate::cli::{ConfigSource, Failure};
use crate::record::format::Format;

/// Show the schemas of records, compare them with the registry's, register them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp schemas show                          all of them
  kafka-smpp schemas show SubmitSm                 its fields
  kafka-smpp schemas show SubmitSm --json > SubmitSm.avsc
  kafka-smpp schemas check                         what the registry has, and whether it fits
  kafka-smpp schemas register --dry-run
  kafka-smpp schemas register

check and register look at the topics whose format is avro or json_schema. They end with 65 when
the registry has something that does not fit, and with 69 when something is missing (check) or the
registry does not answer.")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show all schemas, or the fields of some; needs no registry
    Show {
        /// Which; without any, all
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// The schemas themselves
        #[arg(long)]
        json: bool,
        /// In which language
        #[arg(long, value_enum, default_value_t = Language::Avro)]
        format: Language,
    },
    /// Compare with what the registry has: what is missing, what differs, what does not fit
    Check {
        #[command(flatten)]
        source: ConfigSource,
    },
    /// Register what is missing, if it fits; nothing else is changed
    Register {
        #[command(flatten)]
        source: ConfigSource,
        /// Only say what would be registered
        #[arg(long)]
        dry_run: bool,
    },
}

/// A language of schemas.
#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Avro,
    #[value(name = "json_schema")]
    JsonSchema,
}

impl From<Language> for Format {
    fn from(language: Language) -> Self {
        match language {
            Language::Avro => Format::Avro,
            Language::JsonSchema => Format::JsonSchema,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Show {
            names,
            json,
            format,
        } => show::run(names, *json, (*format).into()),
        What::Check { source } => subjects::check(&source.load()?),
        What::Register { source, dry_run } => subjects::register(&source.load()?, *dry_run),
    }
}
