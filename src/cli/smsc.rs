//! `kafka-smpp smsc`: a simulated SMSC.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::output::line;
use super::{Code, Failure, runtime};
use crate::settings::Time;
use crate::simulator::{
    Account, Error, Fault, Form, Handle, Options, Outbind, Outcomes, Simulator, Spread, Totals,
    Version,
};

/// Simulate an SMSC: accounts, limits, receipts, inbound messages, and faults on demand
#[derive(clap::Args, Default)]
#[command(after_help = "\
A fault is an action and the conditions under which it strikes, in one argument:
  swallow | late=TIME | status=STATUS | nack=STATUS | drop | drop-accepted | cut | split |
  stall=TIME | early=TIME | twice | stray | deaf | refuse=STATUS (a bind)
  [to=PREFIX] [from=PREFIX] [account=ID] [nth=N] [every=N] [p=CHANCE] [times=N]

Examples:
  kafka-smpp smsc                                       anybody may bind, receipts after 1 s
  kafka-smpp smsc --account esme:secret --max-binds 2 --max-tps 100 --window 10
  kafka-smpp smsc --message-ids hex --receipt-ids decimal --receipt-delay 1s..30s
  kafka-smpp smsc --outcomes DELIVRD=95,UNDELIV=4,NONE=1 --inbound-rate 2
  kafka-smpp smsc --fault 'swallow p=0.001' --fault 'drop-accepted every=5000'
  kafka-smpp smsc --smpp 3.3 --alert-rate 0.1
  kafka-smpp smsc --outbind s3cret@127.0.0.1:2776        the ESME listens and is asked to bind
  kafka-smpp smsc --journal accepted.jsonl --options smsc.toml

It answers query_sm, cancel_sm, replace_sm, submit_multi, data_sm, broadcast_sm,
query_broadcast_sm and cancel_broadcast_sm as well as submit_sm.")]
pub(super) struct Args {
    /// Options as TOML; other arguments override what it says
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:2775]
    #[arg(short, long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Who may bind; again for each. Without any, everybody
    #[arg(short, long, value_name = "SYSTEM_ID:PASSWORD")]
    account: Vec<Account>,
    /// Binds an account may have; beyond it ESME_RALYBND
    #[arg(long, value_name = "N")]
    max_binds: Option<usize>,
    /// How long the bind of a lost connection still counts
    #[arg(long, value_name = "TIME")]
    bind_linger: Option<Time>,
    /// submit_sm a second an account may send; beyond it ESME_RTHROTTLED
    #[arg(long, value_name = "N")]
    max_tps: Option<u32>,
    /// Unanswered submit_sm a session may have; beyond it ESME_RTHROTTLED
    #[arg(long, value_name = "N")]
    window: Option<usize>,
    /// Unanswered deliver_sm kept on a session [default: 50]
    #[arg(long, value_name = "N")]
    deliver_window: Option<usize>,
    /// From a submit_sm to its response, as 20ms or 10ms..200ms [default: 0s]
    #[arg(long, value_name = "TIME")]
    response_delay: Option<Spread>,
    /// How message_ids look in submit_sm_resp [default: hex]
    #[arg(long, value_name = "FORM")]
    message_ids: Option<Form>,
    /// How they look in receipts [default: the same]
    #[arg(long, value_name = "FORM")]
    receipt_ids: Option<Form>,
    /// From acceptance to receipt, as 1s or 1s..5s [default: 1s]
    #[arg(long, value_name = "TIME")]
    receipt_delay: Option<Spread>,
    /// How messages end, with weights; NONE is a receipt that never comes [default: DELIVRD=1]
    #[arg(long, value_name = "STATE=WEIGHT,...")]
    outcomes: Option<Outcomes>,
    /// When a receipt refused by the ESME goes out again; 0s: on the next bind [default: 5s]
    #[arg(long, value_name = "TIME")]
    receipt_retry: Option<Time>,
    /// Receipts also where registered_delivery asks for none
    #[arg(long)]
    receipts_always: bool,
    /// Receipts in TLVs only
    #[arg(long)]
    no_receipt_text: bool,
    /// Receipts in text only
    #[arg(long)]
    no_receipt_tlvs: bool,
    /// Inbound messages a second to each account that can receive
    #[arg(long, value_name = "N")]
    inbound_rate: Option<f64>,
    /// A text of inbound messages; again for more
    #[arg(long, value_name = "TEXT")]
    inbound_text: Vec<String>,
    /// alert_notification a second to each account that can receive
    #[arg(long, value_name = "N")]
    alert_rate: Option<f64>,
    /// Connect to an ESME and ask it to bind by outbind, until it does; again for more
    #[arg(long, value_name = "[PASSWORD@]HOST:PORT")]
    outbind: Vec<Outbind>,
    /// The version of SMPP: 3.3 (no transceivers, no TLVs), 3.4, or 5.0 (broadcasts too)
    /// [default: 5.0]
    #[arg(long, value_name = "VERSION")]
    smpp: Option<Version>,
    /// How many accepted messages can be queried, cancelled and replaced: the newest
    /// [default: 10000]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// What goes wrong, and when; again for more
    #[arg(short, long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// Ask a peer that is silent for so long with enquire_link
    #[arg(long, value_name = "TIME")]
    enquire_link: Option<Time>,
    /// Append binds, accepted messages and acknowledged receipts as JSON lines; a message is in
    /// the file before its response goes out
    #[arg(short, long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Make all chances repeatable
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl Args {
    fn into_options(self) -> Result<Options, Failure> {
        let mut options = match &self.options {
            Some(file) => read(file)?,
            None => Options {
                listen: ([127, 0, 0, 1], 2775).into(),
                ..Options::default()
            },
        };
        // Nobody asks this process for its memory of messages.
        options.remember = 0;
        set(&mut options.listen, self.listen);
        set(&mut options.max_binds, self.max_binds);
        set(&mut options.bind_linger, self.bind_linger);
        set(&mut options.max_tps, self.max_tps);
        set(&mut options.window, self.window);
        set(&mut options.deliver_window, self.deliver_window);
        set(&mut options.response_delay, self.response_delay);
        set(&mut options.message_ids.form, self.message_ids);
        set(&mut options.receipts.delay, self.receipt_delay);
        set(&mut options.receipts.outcomes, self.outcomes);
        set(&mut options.receipts.retry, self.receipt_retry);
        set(&mut options.inbound.rate, self.inbound_rate);
        set(&mut options.enquire_link, self.enquire_link);
        set(&mut options.inbound.alert_rate, self.alert_rate);
        set(&mut options.version, self.smpp);
        set(&mut options.keep, self.keep);
        options.outbind.extend(self.outbind);
        options.message_ids.receipt = self.receipt_ids.or(options.message_ids.receipt);
        options.receipts.always |= self.receipts_always;
        options.receipts.text &= !self.no_receipt_text;
        options.receipts.tlvs &= !self.no_receipt_tlvs;
        options.journal = self.journal.or(options.journal);
        options.seed = self.seed.or(options.seed);
        options.accounts.extend(self.account);
        options.faults.extend(self.fault);
        if !self.inbound_text.is_empty() {
            options.inbound.texts = self.inbound_text;
        }
        Ok(options)
    }
}

fn set<T>(option: &mut T, argument: Option<T>) {
    if let Some(value) = argument {
        *option = value;
    }
}

fn read(file: &Path) -> Result<Options, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Code::NoInput,
            format!("cannot read {}: {error}", file.display()),
        )
    })?;
    toml::from_str(&text)
        .map_err(|error| Failure::new(Code::Config, format!("{}: {error}", file.display())))
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let options = args.into_options()?;
    runtime()?.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let smsc = Simulator::start(options).await?;
    line(format_args!("listening on {}", smsc.addr()))?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        shown = show(&smsc), if io::stdout().is_terminal() => shown?,
    }
    smsc.stop().await;
    line(summary(&smsc.totals()))?;
    Ok(())
}

/// One line, renewed every second: what went by in that second.
async fn show(smsc: &Handle) -> io::Result<()> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut before = smsc.totals();
    loop {
        second.tick().await;
        let now = smsc.totals();
        let mut out = io::stdout().lock();
        write!(out, "\r\x1b[K{}", rates(&before, &now, smsc))?;
        out.flush()?;
        before = now;
    }
}

fn rates(before: &Totals, now: &Totals, smsc: &Handle) -> String {
    format!(
        "{} bound  {}/s accepted  {}/s throttled  {}/s refused  {}/s receipts  {}/s inbound  \
         {} waiting  {} in all",
        smsc.binds().len(),
        now.accepted - before.accepted,
        now.throttled - before.throttled,
        now.refused - before.refused,
        now.receipts - before.receipts,
        now.inbound - before.inbound,
        smsc.waiting(),
        now.accepted,
    )
}

fn summary(totals: &Totals) -> String {
    format!(
        "{} binds, {} messages accepted, {} throttled, {} refused, {} receipts and {} inbound \
         messages acknowledged",
        totals.binds,
        totals.accepted,
        totals.throttled,
        totals.refused,
        totals.receipts,
        totals.inbound,
    )
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Listen { .. } => Code::Unavailable,
            Error::Journal { .. } => Code::Io,
            Error::Account(_) | Error::Message(_) => Code::Data,
        };
        Failure::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn options(words: &[&str]) -> Options {
        let line = Line::try_parse_from([&["smsc"], words].concat()).unwrap();
        line.args.into_options().unwrap()
    }

    #[test]
    fn arguments_become_options() {
        let options = options(&[
            "--account=esme:secret",
            "--max-tps=100",
            "--receipt-ids=decimal",
            "--receipt-delay=1s..5s",
            "--outcomes=DELIVRD=9,NONE=1",
            "--no-receipt-tlvs",
            "--fault=swallow p=0.1",
            "--fault=cut nth=3",
        ]);
        assert_eq!(options.listen.to_string(), "127.0.0.1:2775");
        assert_eq!(options.accounts[0].system_id, "esme");
        assert_eq!(options.message_ids.receipt, Some(Form::Decimal));
        assert_eq!(options.receipts.delay.to_string(), "1s..5s");
        assert_eq!(options.receipts.outcomes.to_string(), "DELIVRD=9,NONE=1");
        assert!(options.receipts.text && !options.receipts.tlvs);
        assert_eq!(options.faults.len(), 2);
    }

    #[test]
    fn arguments_override_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("smsc.toml");
        std::fs::write(&file, "max_tps = 5\nwindow = 7\nfaults = [\"twice\"]\n").unwrap();
        let options = options(&["--options", file.to_str().unwrap(), "--max-tps=9"]);
        assert_eq!(
            (options.max_tps, options.window, options.faults.len()),
            (9, 7, 1)
        );
    }

    #[test]
    fn a_wrong_fault_is_a_wrong_argument() {
        let error = Line::try_parse_from(["smsc", "--fault=explode"])
            .err()
            .unwrap();
        assert!(error.to_string().contains("drop-accepted"), "{error}");
    }
}
