//! `kafka-smpp run`: the connector itself.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::check::bound;
use crate::cli::notices::{AskedToStop, DrainingTakesTooLong, EndingAtOnce, MemoryBounded};
use crate::cli::{Code, ConfigSource, Failure};
use crate::ops::notices::CoreDumpsPossible;
use crate::{codes, connector, ops};

/// Run the connector until SIGTERM, SIGINT or SIGHUP
///
/// The first signal drains: nothing more is taken, what is out is waited for, everything is
/// committed, binds are closed. A second SIGTERM or SIGINT ends at once; nothing is lost then
/// either, but what was out is in doubt.
///
/// SIGHUP drains, because the terminal is gone; it never ends at once, however often it comes.
/// Under nohup it is ignored. It does not read the configuration anew: start the connector again
/// for that. Certificates of TLS are read anew at every connect.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp run --config connector.toml
  KAFKA_SMPP__LOG__LEVEL=debug kafka-smpp run --config connector.toml")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    let log = ops::logging::start(&config.log).map_err(|e| {
        Failure::new(
            Code::Software,
            codes::BUG,
            format!("the log cannot begin: {e}"),
        )
    })?;
    if !config.core_dumps
        && let Err(error) = ops::core_dumps::forbid()
    {
        CoreDumpsPossible { error: &error }.emit();
    }
    for [what, octets, rounded] in bound(&config) {
        MemoryBounded {
            what: &what,
            octets: &octets,
            rounded: &rounded,
        }
        .emit();
    }
    ops::panics::end_the_process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals = Signals::new().map_err(|e| {
            Failure::new(
                Code::Software,
                codes::MACHINE,
                format!("no signal handler: {e}"),
            )
        })?;
        let timeout = config.shutdown_timeout.get() + OVERTIME;
        tokio::spawn(signals.watch(shutdown.clone(), timeout));
        Ok(connector::run(config, Some(log), shutdown).await?)
    });
    // A thread that still waits for Kafka does not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// The parts keep to `shutdown_timeout` by themselves; after this much more one must be stuck.
const OVERTIME: Duration = Duration::from_secs(10);

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if whoever started the process wants it to be ignored.
    hangup: Option<Signal>,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP: shells and service managers send it besides, or twice.
    HangUp,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if ignores_hangup(&status) {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    async fn watch(mut self, shutdown: CancellationToken, timeout: Duration) {
        let first = self.next().await;
        AskedToStop {}.emit();
        shutdown.cancel();
        let again = async {
            // What asks for nothing but an end counts; the first of it may follow a SIGHUP.
            let mut stops = usize::from(first == Asked::Stop);
            while stops < 2 {
                stops += usize::from(self.next().await == Asked::Stop);
            }
        };
        match tokio::time::timeout(timeout, again).await {
            Ok(()) => EndingAtOnce {}.emit(),
            Err(_) => DrainingTakesTooLong {}.emit(),
        }
        // 128 + SIGTERM, as a shell would say it.
        std::process::exit(143);
    }

    async fn next(&mut self) -> Asked {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = hangup => Asked::HangUp,
        }
    }
}

/// Whether the process was started with SIGHUP ignored, as nohup does, by what Linux says of it in
/// `/proc/self/status`. A handler of ours would undo that.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit 0 is signal 1.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen() {
        let status = |mask| format!("Name:\tkafka-smpp\nSigIgn:\t{mask}\nSigCgt:\t0001\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup(""));
    }
}
