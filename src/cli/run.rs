//! `kafka-smpp run`: the connector itself.

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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals = Signals::new()
            .map_err(|e| Failure::new(Code::Software, format!("no signal handler: {e}")))?;
        tokio::spawn(signals.watch(shutdown.clone()));
        connector::run(config, shutdown).await.map_err(|error| {
            let code = match error.is_configuration() {
                true => Code::Config,
                false => Code::Unavailable,
            };
            Failure::new(code, error.to_string())
        })
    })
}

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

    async fn watch(mut self, shutdown: CancellationToken) {
        self.next().await;
        info!("asked to stop: draining; once more ends at once");
        shutdown.cancel();
        self.next().await;
        warn!("asked to stop again: ending at once");
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
