//! `kafka-smpp check`: is the configuration good, and does what it names answer?

use super::output::{line, table};
use super::{Failure, Source};
use crate::config::{Binds, Config};
use crate::settings::Octets;

/// Check the configuration, and with --connect what it names
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp check --config connector.toml
  KAFKA_SMPP__ESME__ACME__PASSWORD=... kafka-smpp check --config connector.toml")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    esmes(&config)?;
    line("\nBuffers hold at most:")?;
    table(["", "octets", ""], &bound(&config))?;
    line("\nThe configuration is good.")?;
    Ok(())
}

fn esmes(config: &Config) -> Result<(), Failure> {
    let row = |esme: &crate::config::Esme| {
        let binds = match esme.binds {
            Binds::PerPartition(n) => format!("{n} per partition"),
            Binds::PerInstance(n) => format!("{n} per process"),
        };
        [
            esme.name.clone(),
            esme.leases().unwrap_or_default().to_owned(),
            esme.hosts.join(", "),
            format!("{binds}, at most {}", esme.max_binds),
            esme.window.to_string(),
        ]
    };
    let rows: Vec<_> = config.esme.iter().map(row).collect();
    table(["ESME", "leases", "hosts", "binds", "window"], &rows)?;
    Ok(())
}

/// The bound on memory as rows: what, octets, octets with a unit.
pub(super) fn bound(config: &Config) -> Vec<[String; 3]> {
    let bound = config.memory_bound();
    let sum = bound.iter().map(|(_, octets)| octets).sum();
    bound
        .into_iter()
        .chain([("together".to_owned(), sum)])
        .map(|(what, octets)| [what, octets.to_string(), rounded(octets)])
        .collect()
}

fn rounded(octets: u64) -> String {
    Octets::mib(octets.div_ceil(1 << 20)).to_string()
}
