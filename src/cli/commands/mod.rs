//! The commands of `kafka-smpp`: one file or folder for each.

mod check;
mod completions;
mod config;
mod decode;
mod demo;
mod encode;
mod erase;
mod explain;
mod man;
mod offsets;
mod receipt;
mod replay;
mod run;
mod schemas;
mod segments;
mod send;
mod smsc;
mod status;
mod tail;
mod text;
mod top;
mod topics;
mod version;

use clap::Subcommand;

use super::Failure;

/// What is to be done.
#[derive(Subcommand)]
pub(super) enum Command {
    Run(run::Args),
    Demo(demo::Args),
    Check(check::Args),
    Status(status::Args),
    Top(top::Args),
    Topics(topics::Args),
    Send(send::Args),
    Tail(tail::Args),
    Smsc(Box<smsc::Args>),
    Offsets(offsets::Args),
    Replay(replay::Args),
    Erase(erase::Args),
    Schemas(schemas::Args),
    Decode(decode::Args),
    Encode(encode::Args),
    Receipt(receipt::Args),
    Segments(segments::Args),
    Text(text::Args),
    Config(config::Args),
    Explain(explain::Args),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

impl Command {
    /// Does it; `cli` is the whole command line, for those that tell about it.
    pub(super) fn run(self, cli: impl FnOnce() -> clap::Command) -> Result<(), Failure> {
        match self {
            Command::Run(args) => run::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Top(args) => top::run(&args),
            Command::Topics(args) => topics::run(&args),
            Command::Send(args) => send::run(&args),
            Command::Tail(args) => tail::run(&args),
            Command::Smsc(args) => smsc::run(*args),
            Command::Offsets(args) => offsets::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Erase(args) => erase::run(&args),
            Command::Schemas(args) => schemas::run(&args),
            Command::Decode(args) => decode::run(&args),
            Command::Encode(args) => encode::run(&args),
            Command::Receipt(args) => receipt::run(&args),
            Command::Segments(args) => segments::run(&args),
            Command::Text(args) => text::run(&args),
            Command::Config(args) => config::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Completions(args) => completions::run(&args, &mut cli()),
            Command::Man(args) => man::run(&args, cli()),
            Command::Version(args) => version::run(&args),
        }
    }
}
