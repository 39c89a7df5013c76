//! `kafka-smpp erase`: what the connector keeps of a phone number is deleted, and what else holds it
//! is told.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::bar::Bar;
use crate::cli::broker::{connect, failed};
use crate::cli::output::{line, plural, table};
use crate::cli::schemas::Schemas;
use crate::cli::{Code, ConfigSource, Failure, runtime};
use crate::config::Config;
use crate::connector::reader;
use crate::erase::{Count, Erasure, Error, Options, Person, Place, What, survey};
use crate::kafka::ErrorClass;
use crate::kafka::topics::{Gone, Retention, retention};

/// Delete what the connector keeps of a phone number, and say what else holds it
#[derive(clap::Args)]
#[command(after_help = "\
Without --execute it only shows what would be deleted, and where else the number is.

What is deleted is on the topic of correlation: messages to or from the number that wait for
receipts, receipts that wait for their message, segments of messages from the phone. Connectors
may run meanwhile. A receipt that comes later is published without its message: with the number
that the SMSC writes in it, and without log_id and extra_data. A message to several recipients
stays, unless --several says otherwise: then receipts of the others come without it, too.

All other topics are logs: Kafka deletes their records by age, and none alone. Of those it says
how many records hold the number, in which partitions, and when Kafka will have deleted the last
one. Messages that were not sent yet are among them; they will be sent.

One number has many forms: +41791234567, 0041791234567, 0791234567. Two are one number if, without
zeros in front, one ends with the other, which has at most three digits more, and seven are the
same at least. Write it with its country; --exact takes the same digits only.

It ends with 0 when all of ours is deleted (or would be), 69 when Kafka fails, 75 when records come
again and again, or transactions do not end: then run it again.

Examples:
  kafka-smpp erase +41791234567                   what there is
  kafka-smpp erase +41791234567 --execute         delete what is ours
  kafka-smpp erase +41791234567 --execute --ours  do not read the other topics
  kafka-smpp erase 41791234567 --json | jq -r 'select(.gone_by) | [.topic, .gone_by] | @tsv'")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
    /// The phone number, with its country
    number: String,
    /// Delete
    #[arg(long)]
    execute: bool,
    /// Only show what would be deleted: so it is without --execute
    #[arg(long, conflicts_with = "execute")]
    dry_run: bool,
    /// Only the same digits are the number, and no other form of it
    #[arg(long)]
    exact: bool,
    /// Messages to several recipients as well: receipts of the others find them no more
    #[arg(long)]
    several: bool,
    /// Look at the topic of correlation only
    #[arg(long)]
    ours: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let person = Person::parse(&args.number, args.exact)
        .map_err(|why| Failure::new(Code::Usage, crate::codes::USAGE, why))?;
    let config = args.source.load()?;
    connect(&config, &config.kafka.reader())?;
    let schemas = Schemas::open(&config)?;
    let options = options(&config, &schemas, person, args.several);
    let bar = Bar::new();
    let progress = |what: &str, done, all| bar.show(what.to_owned(), done, all);
    let mut erasure = Erasure::new(options.clone());
    erasure.look(&progress).map_err(failure)?;
    let counts = erasure.counts();
    let written = if args.execute {
        Some(erasure.erase(&progress).map_err(failure)?)
    } else {
        None
    };
    let mut report = Report::new(args, &config)?;
    for (what, partition, count) in counts {
        report.ours(&options.correlation, what, partition, count);
    }
    let others = if args.ours {
        Vec::new()
    } else {
        others(&config)
    };
    for topic in others {
        match survey(&options, &topic, &progress) {
            Ok(places) => {
                for (partition, place) in places {
                    report.other(&topic, partition, &place);
                }
            }
            Err(Error::Kafka { error, .. }) if ErrorClass::of_error(&error).is_absent() => {}
            Err(error) => return Err(failure(error)),
        }
    }
    bar.end();
    report.show(&erasure, written)
}

fn options(config: &Config, schemas: &Schemas, person: Person, several: bool) -> Options {
    Options {
        reader: config.kafka.reader(),
        producer: config.kafka.producer(),
        transaction_timeout: config.kafka.transaction_timeout.get(),
        correlation: config.topics.correlation.as_str().into(),
        codec: reader(config.formats.correlation, schemas.handle()),
        person,
        several,
    }
}

/// All topics but that of correlation, those of applications first.
fn others(config: &Config) -> Vec<Arc<str>> {
    let outbound = config.esme.iter().flat_map(|esme| &esme.outbound);
    let named = config.topics.named().into_iter();
    let named = named.filter(|(key, _)| *key != "correlation");
    outbound
        .map(|topic| topic.as_str().into())
        .chain(named.map(|(_, topic)| topic.into()))
        .collect()
}

fn failure(error: Error) -> Failure {
    let code = if error.may_pass() {
        Code::TempFail
    } else {
        Code::Unavailable
    };
    Failure::new(code, error.code(), error.to_string())
}

/// What is shown.
struct Report<'a> {
    args: &'a Args,
    /// How long each topic keeps its records.
    kept: HashMap<String, Retention>,
    /// The topic of correlation.
    correlation: String,
    rows: Vec<[String; 7]>,
    objects: Vec<Value>,
    /// Records of other topics.
    held: u64,
    /// Records of messages to several recipients that stay.
    left: u64,
    deletable: u64,
}

impl<'a> Report<'a> {
    fn new(args: &'a Args, config: &Config) -> Result<Self, Failure> {
        let all = others(config);
        let mut names: Vec<&str> = all.iter().map(|topic| &**topic).collect();
        names.push(&config.topics.correlation);
        let client = config.kafka.reader();
        let asked = retention(&client, &names);
        let kept = runtime()?
            .block_on(asked)
            .map_err(failed("settings of topics"))?;
        Ok(Report {
            args,
            kept,
            correlation: config.topics.correlation.clone(),
            rows: Vec::new(),
            objects: Vec::new(),
            held: 0,
            left: 0,
            deletable: 0,
        })
    }

    fn ours(&mut self, topic: &str, what: What, partition: i32, count: Count) {
        let stays = what == What::Several && !self.args.several;
        let state = match (stays, self.args.execute) {
            (true, _) => "stays (--several)",
            (false, true) => "deleted",
            (false, false) => "would be deleted",
        };
        if stays {
            self.left += count.records
        } else {
            self.deletable += count.records
        }
        let what = match what {
            What::Entry => "message",
            What::Several => "message to several",
            What::Receipt => "receipt",
            What::Segment => "segment",
        };
        self.row(topic, partition, what, count, state.to_owned());
        self.objects.push(json!({
            "topic": topic, "partition": partition, "what": what, "ours": true,
            "records": count.records, "oldest": time(count.oldest), "newest": time(count.newest),
            "deleted": self.args.execute && !stays, "stays": stays,
        }));
    }

    fn other(&mut self, topic: &str, partition: i32, place: &Place) {
        let count = place.count;
        self.held += count.records;
        let kept = self.kept.get(topic).cloned().unwrap_or_default();
        let gone = kept.gone(count.newest);
        let state = match gone {
            Gone::By(at) => format!("gone by {}", time(at)),
            Gone::Never => "is never deleted".to_owned(),
            Gone::Unknown => "unknown".to_owned(),
        };
        self.row(topic, partition, "holds it", count, state);
        let gone_by = match gone {
            Gone::By(at) => Some(time(at)),
            Gone::Never | Gone::Unknown => None,
        };
        self.objects.push(json!({
            "topic": topic, "partition": partition, "ours": false,
            "records": count.records, "oldest": time(count.oldest), "newest": time(count.newest),
            "last_offset": place.last_offset, "gone_by": gone_by,
            "cleanup_policy": kept.cleanup_policy, "retention_ms": kept.retention_ms,
        }));
    }

    fn row(&mut self, topic: &str, partition: i32, what: &str, count: Count, state: String) {
        self.rows.push([
            topic.to_owned(),
            partition.to_string(),
            what.to_owned(),
            count.records.to_string(),
            time(count.oldest),
            time(count.newest),
            state,
        ]);
    }

    fn show(&self, erasure: &Erasure, written: Option<usize>) -> Result<(), Failure> {
        if self.args.json {
            for object in &self.objects {
                line(object)?;
            }
            line(json!({"summary": {
                "deleted": written, "deletable": self.deletable, "stays": self.left,
                "held": self.held, "mentioned": erasure.mentions(),
                "unreadable": erasure.unreadable(), "more": erasure.has_more(),
            }}))?;
            return Ok(());
        }
        let headings = ["topic", "partition", "", "records", "oldest", "newest", ""];
        if !self.rows.is_empty() {
            table(headings, &self.rows)?;
        }
        let mut remarks = anstream::stderr().lock();
        for text in self.remarks(erasure, written) {
            writeln!(remarks, "{text}")?;
        }
        Ok(())
    }

    fn remarks(&self, erasure: &Erasure, written: Option<usize>) -> Vec<String> {
        let records = |n: u64| plural(usize::try_from(n).unwrap_or(usize::MAX), "record");
        let mut remarks = vec![match written {
            Some(written) => format!("{} deleted", plural(written, "record")),
            None => format!(
                "{} would be deleted with --execute",
                records(self.deletable)
            ),
        }];
        if written.is_some_and(|written| written > 0) {
            remarks.push(self.on_disk());
        }
        for (n, text) in [
            (
                self.left,
                "of messages to several recipients stay: --several deletes them, too",
            ),
            (
                self.held,
                "of other topics hold the number. Kafka deletes them by age, and none alone: kafka-delete-records.sh deletes all of a partition below an offset",
            ),
            (
                erasure.mentions() as u64,
                "that are not the number's, or cannot be read, hold it somewhere, in extra_data perhaps: they go with the messages that they are about",
            ),
            (
                erasure.unreadable(),
                "of the topic of correlation cannot be read by this version",
            ),
        ] {
            if n > 0 {
                remarks.push(format!("{} {text}", records(n)));
            }
        }
        if erasure.has_more() {
            remarks.push("there are more of ours than were counted".to_owned());
        }
        remarks
    }

    /// Until when what was deleted is on the brokers' disks.
    fn on_disk(&self) -> String {
        let kept = self.kept.get(&self.correlation);
        match kept.and_then(Retention::compaction_lag) {
            Some(lag) => format!(
                "the brokers take it from their disks when they compact the topic, within {} or a little more (max.compaction.lag.ms)",
                crate::settings::Time::millis(lag)
            ),
            None => "the brokers take it from their disks when they compact the topic; nobody knows when: set its max.compaction.lag.ms".to_owned(),
        }
    }
}

fn time(millis: i64) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
