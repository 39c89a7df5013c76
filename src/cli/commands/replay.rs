//! `kafka-smpp replay`: records that ended as errors go back onto their topic.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::json;

use crate::cli::bar::Bar;
use crate::cli::broker::connect;
use crate::cli::output::{line, table};
use crate::cli::schemas::Schemas;
use crate::cli::when::When;
use crate::cli::{Code, ConfigSource, Failure};
use crate::codes;
use crate::config::Config;
use crate::connector::reader;
use crate::record::codec::Codec;
use crate::replay::{Decision, Error, Filter, Found, Options, Replay, Settled};

/// Put records that ended as errors back onto their topic
#[derive(clap::Args)]
#[command(after_help = "\
Without --send it only shows what would be sent. What was put back is marked on the topic of
errors in the same transaction, so a second run, or one after a crash, sends nothing twice; of
two at a time the later goes on alone.

Each record keeps its key, value, headers and log id, and gets another result. One that may have
been sent (OUTCOME_UNKNOWN, flagged possible_duplicate, or another error of the same record says
so) is left out without --may-duplicate; its new result is flagged. One that a response says was
sent, such as a late one or one after offsets were set back, is left out in any case.

It ends with 0 when all that was selected is sent (or would be), 65 when a record is lost, 75
when another replay has begun or transactions do not end.

Examples:
  kafka-smpp replay                                        what could be put back
  kafka-smpp replay --kind EXPIRED --since 2h              only some of it
  kafka-smpp replay --kind EXPIRED --since 2h --send
  kafka-smpp replay --log-id order-17 --may-duplicate --send
  kafka-smpp replay --json | jq -r .log_id")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
    /// Only errors of this kind, such as EXPIRED; several are possible
    #[arg(long = "kind", value_name = "KIND", value_parser = KINDS)]
    kinds: Vec<String>,
    /// Only errors since: a time such as 2026-01-02T03:04:05Z, or so long ago, such as 2h
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only errors before
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Only records with this key
    #[arg(long)]
    key: Option<String>,
    /// Only the message with this log id
    #[arg(long, value_name = "ID")]
    log_id: Option<String>,
    /// Only records of this outbound topic
    #[arg(long)]
    topic: Option<String>,
    /// Only records of this ESME
    #[arg(long, value_name = "NAME")]
    esme: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    /// Only show what would be sent: so it is without --send
    #[arg(long, conflicts_with = "send")]
    dry_run: bool,
    /// Send
    #[arg(long)]
    send: bool,
    /// Also those that may have been sent: they may arrive twice
    #[arg(long)]
    may_duplicate: bool,
    /// Also those that were put back before: they may arrive twice
    #[arg(long)]
    again: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

const KINDS: [&str; 7] = [
    "INVALID_RECORD",
    "ENCODING",
    "EXPIRED",
    "OUTCOME_UNKNOWN",
    "REJECTED_LOCALLY",
    "EVENT_TOO_LARGE",
    "EVENT_REFUSED",
];

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    connect(&config, &config.kafka.reader())?;
    let schemas = Schemas::open(&config)?;
    let (options, filter) = (options(&config, &schemas, args.send)?, args.filter());
    let replay = if args.send {
        Replay::begin(options, filter)
    } else {
        Ok(Replay::survey(options, filter))
    }
    .map_err(failure)?;
    let bar = Bar::new();
    let progress = |what, done, all| bar.show(what, done, all);
    let (found, more) = replay.find(&progress).map_err(failure)?;
    let report = RefCell::new(Report::default());
    let done = replay.settle(
        found,
        |one| report.borrow_mut().note(one, args, &bar),
        &progress,
    );
    bar.end();
    let report = report.into_inner();
    let settled = done.as_ref().map_or_else(|_| Settled::default(), |s| *s);
    report.show(args, more, settled)?;
    done.map_err(failure)?;
    match report.lost {
        0 => Ok(()),
        n => Err(Failure::new(
            Code::Data,
            codes::REPLAY_LOST,
            format!("{n} of the selected records are lost to a replay: see above"),
        )),
    }
}

impl Args {
    fn filter(&self) -> Filter {
        Filter {
            kinds: self.kinds.clone(),
            since: self.since.map(|when| when.0),
            until: self.until.map(|when| when.0),
            key: self.key.clone(),
            log_id: self.log_id.clone(),
            topic: self.topic.clone(),
            esme: self.esme.clone(),
            may_duplicate: self.may_duplicate,
            replayed: self.again,
            limit: self.limit,
        }
    }
}

fn options(config: &Config, schemas: &Schemas, sends: bool) -> Result<Options, Failure> {
    let outbound = config.esme.iter().flat_map(|esme| &esme.outbound);
    let codec = |format| reader(format, schemas.handle());
    let formats = &config.formats;
    Ok(Options {
        reader: config.kafka.reader(),
        producer: config.kafka.transactional(),
        transactional_id: format!("{}.replay", config.kafka.application_id),
        transaction_timeout: config.kafka.transaction_timeout.get(),
        errors: config.topics.errors.as_str().into(),
        responses: config.topics.responses.as_str().into(),
        codec: if sends {
            written(config, schemas)?
        } else {
            codec(formats.errors)
        },
        responses_codec: codec(formats.responses),
        outbound_codec: codec(formats.outbound),
        outbound: outbound.map(|topic| topic.as_str().into()).collect(),
    })
}

/// The codec of the topic of errors, on which markers are written.
fn written(config: &Config, schemas: &Schemas) -> Result<Codec, Failure> {
    let contents = config.contents();
    let errors = contents.iter().find(|t| t.name == config.topics.errors);
    match (errors, schemas.handle()) {
        (Some(errors), Some(handle)) if errors.format.is_registered() => {
            Ok(crate::cli::runtime()?.block_on(handle.codec(errors))?)
        }
        _ => Ok(Codec::new(config.formats.errors)),
    }
}

fn failure(error: Error) -> Failure {
    let code = match &error {
        _ if error.may_pass() => Code::TempFail,
        Error::Unwritable(_) => Code::Software,
        _ => Code::Unavailable,
    };
    let hint = match code {
        Code::Unavailable => " (nothing is lost: run it again, it knows what was put back)",
        _ => "",
    };
    Failure::new(code, error.code(), format!("{error}{hint}"))
}

/// What became of all.
#[derive(Default)]
struct Report {
    rows: Vec<[String; 6]>,
    sent: usize,
    doubtful: usize,
    lost: usize,
    other: usize,
    broken: Option<std::io::Error>,
}

impl Report {
    fn note(&mut self, one: &Found, args: &Args, bar: &Bar) {
        match &one.decision {
            Decision::Send => self.sent += 1,
            Decision::Doubtful => self.doubtful += 1,
            decision if decision.is_lost() => self.lost += 1,
            _ => self.other += 1,
        }
        let (what, style) = match (&one.decision, args.send) {
            (Decision::Send, true) => ("sent", GOOD),
            (Decision::Send, false) => ("would be sent", GOOD),
            (decision, _) if decision.is_lost() => (decision.words(), BAD),
            (decision, _) => (decision.words(), Style::new()),
        };
        // A terminal gets them as a table; whoever reads a pipe, or is told that much by the
        // table of a dry run, gets each when it has happened.
        let as_table = !args.json && std::io::stdout().is_terminal();
        if as_table {
            self.rows.push(row(one, format!("{style}{what}{style:#}")));
            return;
        }
        let text = if args.json {
            object(one, what, args.send).to_string()
        } else {
            row(one, what.to_owned()).join("\t")
        };
        if let Err(error) = bar.aside(|| line(text)) {
            self.broken.get_or_insert(error);
        }
    }

    fn show(&self, args: &Args, more: bool, settled: Settled) -> Result<(), Failure> {
        if let Some(error) = &self.broken {
            return Err(std::io::Error::from(error.kind()).into());
        }
        if !self.rows.is_empty() {
            let headings = ["error", "at", "kind", "log_id", "record", ""];
            table(headings, &self.rows)?;
        }
        let mut counts = Vec::new();
        if args.send {
            counts.push(format!("{} sent", self.sent))
        } else {
            counts.push(format!("{} would be sent with --send", self.sent))
        }
        for (n, text) in [
            (
                self.doubtful,
                "may have been sent (--may-duplicate sends them too)",
            ),
            (self.other, "left out"),
            (self.lost, "lost"),
        ] {
            if n > 0 {
                counts.push(format!("{n} {text}"));
            }
        }
        if settled.nameless > 0 {
            let n = settled.nameless;
            counts.push(format!("{n} records are gone, whatever their keys were"));
        }
        if settled.more || more && args.key.is_none() {
            counts.push(format!(
                "there are more than the limit of {} (--limit)",
                args.limit
            ));
        } else if more {
            counts.push("there are more errors than were searched (--since, --until)".into());
        }
        writeln!(anstream::stderr().lock(), "{}", counts.join(", "))?;
        Ok(())
    }
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

fn row(one: &Found, what: String) -> [String; 6] {
    let failed = &one.failed;
    [
        format!("{}:{}", one.partition, one.offset),
        failed.at.to_string(),
        plain(&failed.kind),
        plain(&failed.log_id),
        failed.record.to_string(),
        what,
    ]
}

fn object(one: &Found, what: &str, sent: bool) -> serde_json::Value {
    let failed = &one.failed;
    json!({
        "partition": one.partition,
        "offset": one.offset,
        "at": failed.at.to_string(),
        "kind": failed.kind,
        "log_id": failed.log_id,
        "esme": failed.esme,
        "record": failed.record,
        "error": failed.error,
        "outcome": what,
        "sent": sent && one.decision == Decision::Send,
        "possible_duplicate": one.may_have_been_sent || one.before,
    })
}

/// Foreign text must not steer the terminal, nor end the line.
fn plain(text: &str) -> String {
    let steers = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(steers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_id_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2J\tb"), "a\u{fffd}[2J\u{fffd}b");
    }
}
