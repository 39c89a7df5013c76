//! `kafka-smpp run`: the connector itself.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::check::bound;
use super::{Code, Failure, Source};
use crate::{connector, ops};

/// Run the connector until SIGTERM or SIGINT
///
/// The first signal drains: nothing more is taken, what is out is waited for, everything is
/// committed, binds are closed. A second signal ends at once; nothing is lost then either,
/// but what was out is in doubt.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp run --config connector.toml
  KAFKA_SMPP__LOG__LEVEL=debug kafka-smpp run --config connector.toml")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    ops::logging::start(&config.log)
        .map_err(|e| Failure::new(Code::Software, format!("the log cannot begin: {e}")))?;
    for [what, octets, rounded] in bound(&config) {
        info!(what, octets, rounded, "memory is bounded");
    }
    ops::panics::end_the_process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals = Signals::new()
            .map_err(|e| Failure::new(Code::Software, format!("no signal handler: {e}")))?;
        let patience = config.shutdown_timeout.get() + OVERTIME;
        tokio::spawn(signals.watch(shutdown.clone(), patience));
        Ok(connector::run(config, shutdown).await?)
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
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn watch(mut self, shutdown: CancellationToken, patience: Duration) {
        self.next().await;
        info!("asked to stop: draining; once more ends at once");
        shutdown.cancel();
        match tokio::time::timeout(patience, self.next()).await {
            Ok(()) => warn!("asked to stop again: ending at once"),
            Err(_) => warn!("draining takes longer than shutdown_timeout: ending"),
        }
        // 128 + SIGTERM, as a shell would say it.
        std::process::exit(143);
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
