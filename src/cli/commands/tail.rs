//! `kafka-smpp tail`: events of the result topics as they come.

use std::time::Duration;

use crate::cli::events::{Reader, StartAt, topics};
use crate::cli::output::line;
use crate::cli::{ConfigSource, Failure};

/// Show the events of the result topics as they come
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp tail                                  everything from now on
  kafka-smpp tail errors --from-beginning          what could not be sent
  kafka-smpp tail --log-id order-17 --json | jq .")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
    /// Which: responses, errors, receipts, inbound, notifications; without any, all of them
    topics: Vec<String>,
    /// Begin with the oldest event instead of the next one
    #[arg(long)]
    from_beginning: bool,
    /// Only events of the message with this log id
    #[arg(long, value_name = "ID")]
    log_id: Option<String>,
    /// Only events of this ESME
    #[arg(long, value_name = "NAME")]
    esme: Option<String>,
    /// Print the events as they are, one JSON object a line
    #[arg(long)]
    json: bool,
    /// End after this many events
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    let from = if args.from_beginning {
        StartAt::Beginning
    } else {
        StartAt::End
    };
    let mut reader = Reader::open(&config, &topics(&config, &args.topics)?, from)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(event) = reader.next(Duration::from_secs(60))? else {
            continue;
        };
        let wanted = args.log_id.as_ref().is_none_or(|id| event.of(id))
            && args
                .esme
                .as_ref()
                .is_none_or(|esme| event.field("esme") == *esme);
        if !wanted {
            continue;
        }
        if args.json {
            line(&event.text)?
        } else {
            line(event.line())?
        }
        left -= 1;
    }
    Ok(())
}
