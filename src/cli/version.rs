//! `kafka-smpp version`.

use super::Failure;
use super::output::line;

/// Print the versions of this program and of librdkafka
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    line(format_args!(
        "kafka-smpp {}\nlibrdkafka {librdkafka}",
        env!("CARGO_PKG_VERSION")
    ))?;
    Ok(())
}
