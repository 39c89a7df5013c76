//! `kafka-smpp completions`: what a shell needs to complete this command.

use std::io::Write;

use clap_complete::Shell;

use crate::cli::Failure;

/// Print a shell's completions
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  kafka-smpp completions bash > ~/.local/share/bash-completion/completions/kafka-smpp")]
pub(in crate::cli) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "kafka-smpp", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}
