//! `kafka-smpp smsc`: a simulated SMSC.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::choices::{Choice, choice};
use crate::cli::output::line;
use crate::cli::{Code, Failure, runtime};
use crate::codes;
use crate::settings::Time;
use smsc_simulator::{
    Account, Burst, Congestion, Counts, Error, Fault, Form, Handle, Options, Outbind, Outcomes,
    Parties, Refusal, Retry, Simulator, Spread, Version, listen_address,
};

/// How message_ids look.
const FORMS: &[Choice] = &[
    ("hex", "Lower-case hexadecimal digits"),
    ("upper-hex", "Upper-case hexadecimal digits"),
    ("decimal", "Decimal digits"),
    (
        "padded",
        "Decimal digits, with leading zeros to twenty of them",
    ),
    ("uuid", "A UUID, always the same for the same number"),
    ("empty", "None at all"),
];

/// Which numbers receipts carry.
const PARTIES: &[Choice] = &[
    (
        "standard",
        "The recipient as source, the sender as destination",
    ),
    (
        "swapped",
        "The sender as source, the recipient as destination",
    ),
    (
        "national",
        "The recipient without its country code (two digits), with a leading 0 and TON 2",
    ),
    ("cut", "The last seven digits of the recipient"),
    ("masked", "The recipient with its last four digits as `*`"),
    (
        "alphanumeric",
        "A name in place of the recipient, with TON 5",
    ),
    ("missing", "Neither number"),
];

/// Versions of SMPP.
const VERSIONS: &[Choice] = &[
    ("3.3", "SMPP 3.3: no transceivers, no optional parameters"),
    ("3.4", "SMPP 3.4"),
    ("5.0", "SMPP 5.0: broadcasts too"),
];

/// Simulate an SMSC: accounts, limits, receipts, inbound messages, and faults on demand
#[derive(clap::Args, Default)]
#[command(after_help = "\
A fault is an action and the conditions under which it strikes, in one argument:
  swallow (accepted, not answered) | ignore (neither) | late=TIME | status=STATUS | nack=STATUS |
  drop | drop-accepted | cut | split | stall=TIME | twice | stray | silent (to enquire_link) |
  early=TIME (the receipt before its response) | behind (right behind it) |
  refuse=STATUS (a bind) | die=TIME (after a bind)
  [to=PREFIX] [from=PREFIX] [account=ID] [during=500ms/8s | during=10s..25s]
  [after=N] [nth=N] [every=N] [p=CHANCE] [times=N] [per=session]

Examples:
  kafka-smpp smsc                                       anybody may bind, receipts after 1 s
  kafka-smpp smsc --account esme:secret --max-binds 2 --max-tps 100 --window 10
  kafka-smpp smsc --message-ids hex --receipt-ids decimal --receipt-delay 1s..30s
  kafka-smpp smsc --outcomes DELIVRD=95,UNDELIV=4,NONE=1 --inbound-rate 2
  kafka-smpp smsc --fault 'swallow p=0.001' --fault 'drop-accepted every=5000'
  kafka-smpp smsc --smpp 3.3 --alert-rate 0.1

SMSCs as they are:
  kafka-smpp smsc --window 20 --response-delay 50ms     a window, above it ESME_RMSGQFUL
  kafka-smpp smsc --answer-rate 3                       answers one at a time, three a second
  kafka-smpp smsc --fault die=200ms                     closes 0.2 s after every bind
  kafka-smpp smsc --fault swallow                       answers enquire_link, and no message
  kafka-smpp smsc --fault 'ignore after=1000 per=session'   not even accepted, after 1000
  kafka-smpp smsc --fault 'status=ESME_RTHROTTLED during=500ms/8s'   half a second of every eight
  kafka-smpp smsc --first-id 1                          the same ids again after each start
  kafka-smpp smsc --first-id 1 --last-id 9999           ids that wrap; 1 and 1: one id for all
  kafka-smpp smsc --message-ids empty                   no ids; --random-ids: 31 bits, at random
  kafka-smpp smsc --receipt-numbers swapped --fault early
  kafka-smpp smsc --receipt-retry never                 what is refused is not offered again
  kafka-smpp smsc --inbound-burst 5000 --inbound-text 'MO {n}' --deliver-window 0
  kafka-smpp smsc --congestion load                     SMPP 5.0's congestion_state in responses

  kafka-smpp smsc --outbind s3cret@127.0.0.1:2776        the ESME listens and is asked to bind
  kafka-smpp smsc --journal accepted.jsonl --options smsc.toml

It answers query_sm, cancel_sm, replace_sm, submit_multi, data_sm, broadcast_sm,
query_broadcast_sm and cancel_broadcast_sm as well as submit_sm.")]
pub(in crate::cli) struct Args {
    /// Options as TOML; other arguments override what it says
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:2775]
    #[arg(short, long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
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
    /// Unanswered submit_sm a session may have; beyond it --window-status
    #[arg(long, value_name = "N")]
    window: Option<usize>,
    /// What a submit_sm beyond the window is answered [default: ESME_RMSGQFUL]
    #[arg(long, value_name = "STATUS")]
    window_status: Option<Refusal>,
    /// Unanswered deliver_sm kept on a session; 0: no limit [default: 50]
    #[arg(long, value_name = "N")]
    deliver_window: Option<usize>,
    /// A deliver_sm not answered for so long counts as refused [default: 0s, never]
    #[arg(long, value_name = "TIME")]
    deliver_timeout: Option<Time>,
    /// From a submit_sm to its response, as 20ms or 10ms..200ms [default: 0s]
    #[arg(long, value_name = "TIME")]
    response_delay: Option<Spread>,
    /// submit_sm a second that a session answers, one after the other, in order
    #[arg(long, value_name = "N")]
    answer_rate: Option<f64>,
    /// congestion_state, 0 to 100 or by load, in responses to ESMEs that bind with SMPP 5.0
    #[arg(long, value_name = "N|load")]
    congestion: Option<Congestion>,
    /// How message_ids look in submit_sm_resp [default: hex]
    #[arg(long, value_name = "FORM", value_parser = choice::<Form>(FORMS))]
    message_ids: Option<Form>,
    /// How they look in receipts [default: the same]
    #[arg(long, value_name = "FORM", value_parser = choice::<Form>(FORMS))]
    receipt_ids: Option<Form>,
    /// Number of the first message_id [default: from the clock, no id comes twice]
    #[arg(long, value_name = "N")]
    first_id: Option<u64>,
    /// After this number comes the first again
    #[arg(long, value_name = "N")]
    last_id: Option<u64>,
    /// Draw message_ids from --first-id (1) to --last-id (2147483647); some come twice
    #[arg(long)]
    random_ids: bool,
    /// From acceptance to receipt, as 1s or 1s..5s [default: 1s]
    #[arg(long, value_name = "TIME")]
    receipt_delay: Option<Spread>,
    /// How messages end, with weights; NONE is a receipt that never comes [default: DELIVRD=1]
    #[arg(long, value_name = "STATE=WEIGHT,...")]
    outcomes: Option<Outcomes>,
    /// When a receipt or inbound message refused by the ESME goes out again; 0s: on the next
    /// bind; never [default: 5s]
    #[arg(long, value_name = "TIME|never")]
    receipt_retry: Option<Retry>,
    /// Which numbers receipts carry [default: standard]
    #[arg(long, value_name = "NUMBERS", value_parser = choice::<Parties>(PARTIES))]
    receipt_numbers: Option<Parties>,
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
    /// So many inbound messages at once as soon as an account can receive; N/60s: every 60 s
    #[arg(long, value_name = "N[/TIME]")]
    inbound_burst: Option<Burst>,
    /// A text of inbound messages, {n} is the message's number; again for more
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
    #[arg(long, value_name = "VERSION", value_parser = choice::<Version>(VERSIONS))]
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
    /// Append binds, messages accepted and rejected, and deliver_sm acknowledged and refused as
    /// JSON lines; a message is in the file before its response goes out
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
        set(&mut options.window_status, self.window_status);
        set(&mut options.deliver_window, self.deliver_window);
        set(&mut options.deliver_timeout, self.deliver_timeout);
        set(&mut options.response_delay, self.response_delay);
        set(&mut options.answer_rate, self.answer_rate);
        set(&mut options.receipts.numbers, self.receipt_numbers);
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
        options.message_ids.first = self.first_id.or(options.message_ids.first);
        options.message_ids.last = self.last_id.or(options.message_ids.last);
        options.message_ids.random |= self.random_ids;
        options.congestion = self.congestion.or(options.congestion);
        options.inbound.burst = self.inbound_burst.or(options.inbound.burst);
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
            codes::INPUT_UNREADABLE,
            format!("cannot read {}: {error}", file.display()),
        )
    })?;
    toml::from_str(&text).map_err(|error| {
        Failure::new(
            Code::Config,
            codes::SIMULATOR_OPTIONS,
            format!("{}: {error}", file.display()),
        )
    })
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
    smsc.stop();
    smsc.stopped().await;
    line(summary(&smsc.counts()))?;
    Ok(())
}

/// One line, renewed every second: what went by in that second.
async fn show(smsc: &Handle) -> io::Result<()> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut before = smsc.counts();
    loop {
        second.tick().await;
        let now = smsc.counts();
        let mut out = io::stdout().lock();
        write!(out, "\r\x1b[K{}", rates(&before, &now, smsc))?;
        out.flush()?;
        before = now;
    }
}

fn rates(before: &Counts, now: &Counts, smsc: &Handle) -> String {
    format!(
        "{} bound  {}/s accepted  {}/s throttled  {}/s refused  {}/s receipts  {}/s inbound  \
         {}/s not taken  {} waiting  {} in all",
        smsc.binds().len(),
        now.accepted - before.accepted,
        now.throttled - before.throttled,
        now.refused - before.refused,
        now.receipts - before.receipts,
        now.inbound - before.inbound,
        not_taken(now) - not_taken(before),
        smsc.waiting(),
        now.accepted,
    )
}

/// How often the ESME refused a deliver_sm or did not answer it in time.
fn not_taken(counts: &Counts) -> u64 {
    counts.deliveries_refused + counts.unanswered
}

/// What was done in all, in lines that add up.
fn summary(counts: &Counts) -> String {
    let Counts {
        binds,
        accepted,
        throttled,
        refused,
        ignored,
        ..
    } = counts;
    let receipts = Offers {
        offered: counts.receipts_sent,
        acknowledged: counts.receipts,
        refused: counts.deliveries_refused - counts.inbound_refused,
        unanswered: counts.unanswered - counts.inbound_unanswered,
        lost: counts.lost - counts.inbound_lost,
    };
    let inbound = Offers {
        offered: counts.inbound_sent,
        acknowledged: counts.inbound,
        refused: counts.inbound_refused,
        unanswered: counts.inbound_unanswered,
        lost: counts.inbound_lost,
    };
    format!(
        "{binds} binds; of {} messages {accepted} accepted, {throttled} throttled, {refused} \
         refused, {ignored} ignored\nreceipts: {receipts}\ninbound messages: {inbound}",
        accepted + throttled + refused + ignored,
    )
}

/// How often deliver_sm of one kind were written to a session, and what came of it.
struct Offers {
    offered: u64,
    acknowledged: u64,
    refused: u64,
    unanswered: u64,
    lost: u64,
}

impl fmt::Display for Offers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Offers {
            offered,
            acknowledged,
            refused,
            unanswered,
            lost,
        } = self;
        // Neither answered nor given up: its session ended before.
        let open = offered.saturating_sub(acknowledged + refused + unanswered);
        write!(
            f,
            "{offered} times offered: {acknowledged} acknowledged, {refused} refused, {unanswered} \
             not answered in time, {open} without an answer when their session ended; {lost} not \
             acknowledged and never offered again",
        )
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, explained) = match &error {
            Error::Listen { .. } => (Code::Unavailable, codes::SIMULATOR_CANNOT_LISTEN),
            Error::Journal { .. } => (Code::Io, codes::SIMULATOR_JOURNAL),
            Error::Options(_) => (Code::Config, codes::SIMULATOR_OPTIONS),
            Error::Account(_) | Error::Message(_) => (Code::Data, codes::SIMULATOR_MESSAGE),
        };
        Failure::new(code, explained, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::choices::assert_whole;

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
    fn the_names_in_the_help_are_all_there_are() {
        assert_whole::<Form>(FORMS);
        assert_whole::<Parties>(PARTIES);
        assert_whole::<Version>(VERSIONS);
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
    fn smscs_as_they_are_can_be_asked_for() {
        let options = options(&[
            "--window-status=ESME_RTHROTTLED",
            "--answer-rate=3",
            "--congestion=load",
            "--first-id=1",
            "--last-id=9999",
            "--random-ids",
            "--receipt-retry=never",
            "--receipt-numbers=swapped",
            "--inbound-burst=5000",
            "--deliver-window=0",
            "--deliver-timeout=10s",
            "--fault=status=ESME_RTHROTTLED during=500ms/8s",
        ]);
        let ids = &options.message_ids;
        assert_eq!(
            (ids.first, ids.last, ids.random),
            (Some(1), Some(9999), true)
        );
        assert_eq!(options.receipts.retry, Retry::Never);
        assert_eq!(options.receipts.numbers, Parties::Swapped);
        assert_eq!(options.inbound.burst.unwrap().count, 5000);
        assert_eq!(options.window_status.to_string(), "ESME_RTHROTTLED");
        assert_eq!((options.answer_rate, options.deliver_window), (3.0, 0));
        assert_eq!(options.congestion, Some(Congestion::Load));
        assert_eq!(options.deliver_timeout, Time::seconds(10));
    }

    #[test]
    fn the_summary_adds_up() {
        let counts = Counts {
            binds: 2,
            accepted: 70,
            throttled: 20,
            refused: 9,
            ignored: 1,
            receipts_sent: 80,
            receipts: 61,
            inbound_sent: 50,
            inbound: 40,
            deliveries_refused: 12,
            inbound_refused: 5,
            unanswered: 7,
            inbound_unanswered: 3,
            lost: 4,
            inbound_lost: 1,
        };
        assert_eq!(
            summary(&counts),
            "2 binds; of 100 messages 70 accepted, 20 throttled, 9 refused, 1 ignored\n\
             receipts: 80 times offered: 61 acknowledged, 7 refused, 4 not answered in time, 8 \
             without an answer when their session ended; 3 not acknowledged and never offered again\n\
             inbound messages: 50 times offered: 40 acknowledged, 5 refused, 3 not answered in time, \
             2 without an answer when their session ended; 1 not acknowledged and never offered again"
        );
    }

    /// Each example of the help that has nothing of a shell.
    #[test]
    fn the_examples_of_the_help_are_right() {
        let help = <Line as clap::CommandFactory>::command().render_long_help();
        let examples: Vec<String> = help
            .to_string()
            .lines()
            .filter_map(|line| line.trim().strip_prefix("kafka-smpp "))
            .map(|line| {
                line.split("   ")
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            })
            .collect();
        assert!(examples.len() > 15, "{examples:?}");
        for example in examples {
            let quoted = example.split('\'').enumerate();
            let words = quoted.flat_map(|(n, part)| match n % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            });
            let words: Vec<String> = words
                .map(|word| word.trim_end_matches(';').to_owned())
                .collect();
            let parsed = Line::try_parse_from(&words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
        }
    }

    #[test]
    fn what_means_nothing_is_a_wrong_argument() {
        for (argument, help) in [
            ("--listen=2775", "[fe80::1%eth0]:2775"),
            (
                "--listen=[fe80::1%nowhere0]:2775",
                "a network interface of this machine",
            ),
            ("--fault=explode", "drop-accepted"),
            ("--window-status=ESME_ROK", "ESME_RMSGQFUL"),
            ("--congestion=101", "0 to 100"),
            ("--receipt-retry=no", "never"),
            ("--receipt-numbers=odd", "masked"),
            ("--inbound-burst=0", "5000/60s"),
        ] {
            let error = Line::try_parse_from(["smsc", argument]).err().unwrap();
            assert!(error.to_string().contains(help), "{argument}: {error}");
        }
    }
}
