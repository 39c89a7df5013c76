//! `kafka-smpp man`: manual pages, made from the table of commands.

use std::io::Write;
use std::path::PathBuf;

use clap_mangen::Man;

use crate::cli::{Code, Failure};
use crate::codes;

/// Print the manual page, or write those of all commands into a folder
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp man | man -l -
  kafka-smpp man ~/.local/share/man/man1")]
pub(in crate::cli) struct Args {
    /// The folder: kafka-smpp.1, and one for each command. Without it the page goes to standard
    /// output
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &Args, command: clap::Command) -> Result<(), Failure> {
    match &args.folder {
        Some(folder) => {
            let made = std::fs::create_dir_all(folder);
            let written = made.and_then(|()| clap_mangen::generate_to(command, folder));
            written.map_err(|error| {
                let text = format!(
                    "{}: {error}: name a folder that this user may write to",
                    folder.display()
                );
                Failure::new(Code::Io, codes::INPUT_OUTPUT, text)
            })?;
        }
        None => {
            let mut page = Vec::new();
            // `help` has no page of its own.
            let command = command.disable_help_subcommand(true);
            Man::new(command).render(&mut page)?;
            std::io::stdout().lock().write_all(&page)?;
        }
    }
    Ok(())
}
