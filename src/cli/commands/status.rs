//! `kafka-smpp status`.

use jiff::Timestamp;
use serde::Deserialize;

use crate::cli::looking::{Access, SILENT, inert, nobody, read};
use crate::cli::output::{line, plural};
use crate::cli::{Code, Failure, runtime};
use crate::status::{Esme, Status};

/// Show whether a running connector does its work, and what is missing
///
/// It asks where the connector can be looked at (http.listen).
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp status
  kafka-smpp status --url http://pod-3:9464 --json | jq .ready
  kafka-smpp status --all                       all processes of the deployment
  kafka-smpp status --live                      for a container's health check
  until kafka-smpp status; do sleep 1; done     wait until it is ready

With --json it prints what the connector says, as docs/status.md tells of it. The exit code is 0
if nothing is missing, 75 if something is, and 69 if nobody answers. With --live it is 0 also while
something is missing, and 75 if a thread makes no progress.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    access: Access,
    /// Where the connector listens; without it http.listen of the configuration
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print the document
    #[arg(long)]
    json: bool,
    /// All processes of the deployment, as this one knows them. Those that went silent are named, and
    /// do not count
    #[arg(long)]
    all: bool,
    /// Only whether it makes progress counts, as for /live: an SMSC or Kafka may be away
    #[arg(long)]
    live: bool,
}

impl Args {
    /// Whether this is what the caller wants of a process.
    fn content(&self, status: &Status) -> bool {
        if self.live {
            status.live.live
        } else {
            status.ready.ready
        }
    }
}

/// What `/processes` says.
#[derive(Deserialize)]
struct Processes {
    processes: Vec<Status>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let visitor = args.access.visitor(args.url.as_slice())?;
    let url = visitor.urls.first().cloned().unwrap_or_default();
    let path = if args.all { "/processes" } else { "/status" };
    let text = runtime()?.block_on(visitor.text(&url, path));
    let text = text.map_err(nobody)?;
    let seen: Vec<Status> = if args.all {
        let all: Processes = read(&url, &text).map_err(nobody)?;
        all.processes
    } else {
        vec![read(&url, &text).map_err(nobody)?]
    };
    if args.json {
        line(&text)?;
    } else {
        for told in tell(&seen) {
            line(told)?;
        }
    }
    let now = seen.first().map(|status| status.at).unwrap_or_default();
    let mut present = seen.iter().filter(|status| !is_silent(status, now));
    if present.all(|status| args.content(status)) {
        Ok(())
    } else {
        Err(Failure::silent(Code::TempFail))
    }
}

/// Whether a process has said nothing for long at this time.
pub(super) fn is_silent(status: &Status, now: Timestamp) -> bool {
    now.duration_since(status.at).as_secs_f64() > SILENT
}

/// A few lines for each process.
fn tell(seen: &[Status]) -> Vec<String> {
    let now = seen.first().map(|status| status.at).unwrap_or_default();
    let mut lines = Vec::new();
    for status in seen {
        let process = &status.process;
        let who = format!(
            "{} on {}, process {}",
            process.deployment, process.host, process.name
        );
        let state = if is_silent(status, now) {
            let seconds = now.duration_since(status.at).as_secs();
            format!("silent for {seconds} s")
        } else if status.ready.ready {
            "ready".to_owned()
        } else {
            "not ready".to_owned()
        };
        lines.push(format!("{state}: {who}"));
        lines.extend(status.ready.missing.iter().map(|why| format!("  {why}")));
        lines.extend(status.live.stuck.iter().map(|why| format!("  {why}")));
        lines.extend(status.esmes.iter().map(of_esme));
        let codes: Vec<&str> = (status.problems.iter().take(5))
            .filter_map(|problem| problem.code.as_deref())
            .collect();
        if !codes.is_empty() {
            lines.push(format!("  last in the log: {}", codes.join(", ")));
        }
    }
    lines.iter().map(|line| inert(line)).collect()
}

fn of_esme(esme: &Esme) -> String {
    let bound = esme.binds.iter().filter(|b| b.state == "bound").count();
    let lag: i64 = esme.partitions.iter().filter_map(|p| p.lag).sum();
    let in_doubt: u64 = esme.partitions.iter().map(|p| p.in_doubt).sum();
    format!(
        "  {}: {bound} of {} bound, {}, {lag} without a result, {in_doubt} in doubt",
        esme.name,
        plural(esme.binds.len(), "bind"),
        plural(esme.partitions.len(), "partition"),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::status::{Bind, Live, Partition, Process, Ready};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn something_that_is_missing_is_no_reason_to_start_a_process_anew() {
        let of = |ready, live| Status {
            ready: Ready {
                ready,
                missing: Vec::new(),
            },
            live: Live {
                live,
                stuck: Vec::new(),
            },
            ..Status::default()
        };
        let content = |option: &[&str], status: &Status| {
            let args = [&["status"], option].concat();
            Command::try_parse_from(args).unwrap().args.content(status)
        };
        assert!(!content(&[], &of(false, true)));
        assert!(content(&["--live"], &of(false, true)));
        assert!(!content(&["--live"], &of(true, false)));
    }

    #[test]
    fn what_is_missing_is_told_and_who_went_silent() {
        let status = |second, missing: &[&str]| Status {
            at: Timestamp::from_second(second).unwrap(),
            process: Process {
                name: "p1".into(),
                deployment: "sms".into(),
                host: "pod\u{1b}[1m".into(),
                ..Process::default()
            },
            ready: Ready {
                ready: missing.is_empty(),
                missing: missing.iter().map(|&why| why.to_owned()).collect(),
            },
            esmes: vec![Esme {
                name: "acme".into(),
                binds: vec![Bind::default()],
                partitions: vec![Partition {
                    lag: Some(3),
                    ..Partition::default()
                }],
                ..Esme::default()
            }],
            ..Status::default()
        };
        let told = tell(&[status(100, &["no bind"]), status(60, &[])]);
        assert_eq!(
            told,
            [
                "not ready: sms on pod\u{fffd}[1m, process p1",
                "  no bind",
                "  acme: 0 of 1 bind bound, 1 partition, 3 without a result, 0 in doubt",
                "silent for 40 s: sms on pod\u{fffd}[1m, process p1",
                "  acme: 0 of 1 bind bound, 1 partition, 3 without a result, 0 in doubt",
            ]
        );
    }
}
