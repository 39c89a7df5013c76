//! What the demo shows: a line for everything that flows, and the counts.

use std::collections::{BTreeMap, HashSet};
use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use super::samples::Sample;
use crate::cli::events::Event;
use crate::cli::output::{line, table};
use crate::cli::{Code, Failure};
use crate::codes;

const RECORD: Style = AnsiColor::Cyan.on_default();

/// The terminal, or a pipe, and what has been seen so far.
pub struct Screen {
    begun: Instant,
    /// On a terminal only.
    bar: Option<ProgressBar>,
    produced: u64,
    inbound_expected: u64,
    counts: BTreeMap<String, u64>,
    results: HashSet<String>,
    doubled: u64,
    accepted: HashSet<String>,
    /// Messages whose final receipt has come; topics are read independently, so it may be seen
    /// before the response.
    received: HashSet<String>,
}

impl Screen {
    /// For a demo of `messages` messages.
    pub fn new(messages: u32) -> Screen {
        let bar = stdout().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::from(messages));
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} done  {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Screen {
            begun: Instant::now(),
            bar,
            produced: 0,
            inbound_expected: 0,
            counts: BTreeMap::new(),
            results: HashSet::new(),
            doubled: 0,
            accepted: HashSet::new(),
            received: HashSet::new(),
        }
    }

    /// Shows a line.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        match &self.bar {
            Some(bar) => bar.suspend(|| line(text))?,
            None => line(text)?,
        }
        Ok(())
    }

    /// A record has been produced.
    pub fn produced(&mut self, sample: &Sample) -> Result<(), Failure> {
        self.produced += 1;
        let short: String = sample.text.chars().take(40).collect();
        let dots = if short == sample.text { "" } else { "..." };
        let about = match sample.about {
            "" => String::new(),
            about => format!(" ({about})"),
        };
        let now = self.now();
        self.say(&format!(
            "{now} {RECORD}record   {RECORD:#} sms.outbound to {} {short:?}{dots}{about}",
            sample.key
        ))
    }

    /// So many inbound messages are on their way.
    pub fn inbound_expected(&mut self, count: u64) {
        self.inbound_expected += count;
    }

    /// An event has come.
    pub fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let log_id = event.field("log_id");
        let what = match event.kind() {
            "SubmitSmResp" if event.is("accepted") => {
                self.accepted.insert(log_id.clone());
                "accepted by the SMSC".to_owned()
            }
            "SubmitSmResp" => format!("refused with {}", event.field("command_status_name")),
            "SendError" => format!("not sent: {}", event.field("kind")),
            "DeliveryReceipt" => {
                if event.is("final") {
                    self.received.insert(log_id.clone());
                }
                format!("receipts {}", event.field("state"))
            }
            "InboundSms" => "inbound".to_owned(),
            other => other.to_owned(),
        };
        *self.counts.entry(what).or_default() += 1;
        if event.is("terminal") && !self.results.insert(log_id) {
            self.doubled += 1;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.results.len() as u64);
            bar.set_message(format!("{} receipts to come", self.open()));
        }
        self.say(&format!("{} {}", self.now(), event.line()))
    }

    /// Whether everything that was begun has come to its end.
    pub fn complete(&self) -> bool {
        let inbound = self.counts.get("inbound").copied().unwrap_or_default();
        self.results.len() as u64 >= self.produced
            && self.open() == 0
            && inbound >= self.inbound_expected
    }

    /// The counts; a failure unless every record has exactly one result.
    pub fn summary(&self) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        line("")?;
        let mut rows = vec![["records produced".to_owned(), self.produced.to_string()]];
        let count = |(what, n): (&String, &u64)| [what.clone(), n.to_string()];
        rows.extend(self.counts.iter().map(count));
        table(["", ""], &rows)?;
        let results = self.results.len() as u64;
        line(format_args!(
            "{} records, {results} results, {} receipts missing, after {:.1} s.",
            self.produced,
            self.open(),
            self.begun.elapsed().as_secs_f64()
        ))?;
        if results == self.produced && self.doubled == 0 {
            Ok(())
        } else {
            Err(Failure::new(
                Code::Software,
                codes::BUG,
                format!(
                    "{} records have {results} results, {} of them more than once",
                    self.produced, self.doubled
                ),
            ))
        }
    }

    /// How many accepted messages still wait for their final receipt.
    fn open(&self) -> usize {
        self.accepted.difference(&self.received).count()
    }

    fn now(&self) -> String {
        format!("{:7.3}", self.begun.elapsed().as_secs_f64())
    }
}
