//! `kafka-smpp version`.

use crate::cli::Failure;
use crate::cli::output::line;

/// Print the versions of this program and of librdkafka
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    line(format_args!(
        "kafka-smpp {}\nlibrdkafka {librdkafka}",
        env!("CARGO_PKG_VERSION")
    ))?;
    Ok(())
}
