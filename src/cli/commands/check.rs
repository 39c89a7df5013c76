//! `kafka-smpp check`: is the configuration good, and does what it names answer?

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indicatif::ProgressBar;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::topics::State as Topics;
use crate::cli::broker::{TIMEOUT, each_once};
use crate::cli::output::{line, table, warn};
use crate::cli::{Code, ConfigSource, Failure, runtime};
use crate::codes::{self, Coded};
use crate::config::{Binds, Config, Esme};
use crate::connector::rights::{self, Rights};
use crate::kafka::abilities::{Cycle, Step, go_round};
use crate::kafka::cause::{Cause, Resource, Why};
use crate::kafka::cluster::cluster_id;
use crate::kafka::progress::Limits;
use crate::kafka::rights::{Idempotent, unreadable};
use crate::record::keys;
use crate::registry::{self, Error, Registry};
use crate::settings::Octets;
use smpp_esme::{Bind, Client, Inbound, Lease, Mode, Outcome, Responder, State, Token, reach};

/// Check the configuration, and with --connect what it names
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp check --config connector.toml
  kafka-smpp check --config connector.toml --connect

With --connect it asks Kafka for the topics, and does once what `run` does all the time: it initialises
a transactional id, aborts a transaction and commits one, reads both back, and fences a producer with
another. For that it uses a transactional id and a group of its own (APPLICATION_ID.submit.check,
APPLICATION_ID.check) and two tombstones on the correlation topic that every connector reads over. With
kafka.group_protocol = \"consumer\" it also joins that group for a moment. Then it tries whether all is
allowed that `run` needs, with producers that are fenced already. No connector is fenced, and no group of
one is joined.

Of each ESME it binds and unbinds one transmitter, also where the ESME binds as transceiver: a
transmitter is given no deliveries, so none is taken away from a connector that runs. Where the
account's binds are all in use, the SMSC refuses it. Of a receiver it tries the connection and TLS
only. With --bind-receivers it binds as the ESME does: what the SMSC delivers to that bind stays
unanswered, and not every SMSC delivers it again, so do it only while nothing is on its way.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
    /// Also connect: Kafka, its topics, the schema registry, and a bind of each ESME
    #[arg(long)]
    connect: bool,
    /// With --connect: bind as receiver or transceiver, too, as the ESME does
    #[arg(long, requires = "connect")]
    bind_receivers: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    esmes(&config)?;
    line("\nBuffers hold at most:")?;
    table(["", "octets", ""], &bound(&config))?;
    line(config.unbounded())?;
    for unused in config.unused() {
        warn(&unused)?;
    }
    line("\nThe configuration is good.")?;
    if args.connect {
        connect(&config, args.bind_receivers)
    } else {
        Ok(())
    }
}

fn esmes(config: &Config) -> Result<(), Failure> {
    let row = |esme: &Esme| {
        let binds = match esme.binds {
            Binds::PerPartition(n) => format!("{n} per partition"),
            Binds::PerInstance(n) => format!("{n} per process"),
        };
        [
            esme.name.clone(),
            esme.leases().unwrap_or_default().to_owned(),
            match &esme.outbind.listen {
                Some(listen) => format!("outbind at {listen}"),
                None => esme.hosts.join(", "),
            },
            format!("{binds}, at most {}", esme.max_binds),
            esme.window.to_string(),
        ]
    };
    let rows: Vec<_> = config.esme.iter().map(row).collect();
    table(["ESME", "leases", "hosts", "binds", "window"], &rows)?;
    Ok(())
}

/// The bound on memory as rows: what, octets, octets with a unit.
pub(super) fn bound(config: &Config) -> Vec<[String; 3]> {
    let bound = config.memory_bound();
    let sum = bound.iter().map(|(_, octets)| octets).sum();
    bound
        .into_iter()
        .chain([("together".to_owned(), sum)])
        .map(|(what, octets)| {
            let rounded = Octets::mib(octets.div_ceil(1 << 20));
            [what, octets.to_string(), rounded.to_string()]
        })
        .collect()
}

/// Tries everything, then says all that went wrong.
fn connect(config: &Config, receive: bool) -> Result<(), Failure> {
    line("")?;
    let mut wrong = kafka(config)?;
    let mut note =
        |result: Result<(), Failure>| wrong.extend(result.err().into_iter().flat_map(|f| f.faults));
    note(schemas(config));
    for esme in &config.esme {
        if let Some(listen) = &esme.outbind.listen {
            line(format_args!(
                "{}: waits at {listen} for outbind, which is not tried",
                esme.name
            ))?;
            continue;
        }
        for mode in esme.bind.modes() {
            note(smsc(esme, *mode, receive));
        }
    }
    if wrong.is_empty() {
        Ok(line("Everything answers.")?)
    } else {
        Err(Failure::of(Code::Unavailable, wrong))
    }
}

/// All that is wrong with Kafka, and what it does not allow.
fn kafka(config: &Config) -> Result<Vec<Coded>, Failure> {
    let servers = &config.kafka.bootstrap_servers;
    let id = match cluster_id(&config.kafka.reader(), &config.topics.responses, TIMEOUT) {
        Ok(id) => id,
        Err(cause) => return Ok(vec![cause.coded()]),
    };
    line(format_args!("Kafka at {servers}: cluster {id}"))?;
    let topics = match Topics::of(config) {
        Ok(topics) => topics,
        Err(failure) => return Ok(failure.faults),
    };
    topics.print()?;
    let stopped = abilities(config, &topics)?;
    let lacks = |cause: &Cause| matches!(cause.why, Why::Lacks(_) | Why::Unreachable);
    let refused = if stopped.as_ref().is_some_and(lacks) {
        Vec::new()
    } else {
        refused(config)
    };
    // Who may read or write a topic may look at it.
    let covers = |closed: &Cause, cause: &Cause| match (&closed.why, &cause.why) {
        (Why::Denied { resource: a, .. }, Why::Denied { resource: b, .. }) => a == b,
        _ => false,
    };
    let closed = topics.closed().iter();
    let closed = closed.filter(|closed| !refused.iter().any(|cause| covers(closed, cause)));
    // What is not allowed is not said twice.
    let is_known = |cause: &Cause| refused.iter().any(|known| known.why == cause.why);
    let stopped = stopped.as_ref().filter(|cause| !is_known(cause));
    let all = closed.chain(stopped).chain(&refused);
    let mut wrong: Vec<Coded> = all.map(Cause::coded).collect();
    wrong.extend(topics.faults(config)?);
    if refused.is_empty() && stopped.is_none() {
        line("what run does is allowed")?;
    }
    Ok(wrong)
}

/// Does once what a connector does all the time, and says of each step how it ended. Why one failed.
fn abilities(config: &Config, topics: &Topics) -> Result<Option<Cause>, Failure> {
    let (topic, source) = (&config.topics.correlation, &config.topics.deliveries);
    match topics.is_compacted(topic) {
        Some(true) => line(format_args!("\u{2713} topic {topic} is compacted"))?,
        Some(false) => line(format_args!("\u{2717} topic {topic} is not compacted"))?,
        None => line(format_args!(
            "- topic {topic}: whether it is compacted is not seen"
        ))?,
    }
    if topics.lacks(topic) || topics.lacks(source) {
        line("- transactions are not tried, because there is no topic for it")?;
        return Ok(None);
    }
    let submit = &rights::wanted(config).writes[0];
    let cycle = Cycle {
        producer: config.kafka.transactional(),
        reader: config.kafka.reader(),
        member: config.kafka.check_member(),
        transactional_id: submit.id.clone(),
        group: config.kafka.check_group(),
        source: source.clone(),
        topic: topic.clone(),
        key: keys::check(),
        metadata: Limits::default().metadata,
    };
    // It shows itself on a terminal only.
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    let mut left = Step::of(&cycle);
    let show = |step: Option<Step>| spinner.set_message(step.map_or("", Step::name));
    show(left.clone().next());
    let mut printed = Ok(());
    let end = go_round(&cycle, &mut |step| {
        left.next();
        let said = spinner.suspend(|| line(format_args!("\u{2713} {}", step.name())));
        printed = std::mem::replace(&mut printed, Ok(())).and(said);
        show(left.clone().next());
    });
    spinner.finish_and_clear();
    printed?;
    let Err(cause) = end else { return Ok(None) };
    let why = match &cause.why {
        Why::Denied { .. } => "a right is missing".to_owned(),
        Why::Lacks(lack) => format!("the brokers {lack}"),
        _ => cause.message.clone(),
    };
    if let Some(failed) = left.next() {
        line(format_args!("\u{2717} {}: {why}", failed.name()))?;
    }
    for step in left {
        line(format_args!("- {}: not tried", step.name()))?;
    }
    Ok(Some(cause))
}

/// What Kafka does not allow a running connector.
fn refused(config: &Config) -> Vec<Cause> {
    let Rights { reads, writes } = rights::wanted(config);
    let (reader, producer) = (config.kafka.reader(), config.kafka.transactional());
    let idempotent = Idempotent::new(&config.kafka.producer());
    let topics: usize = writes.iter().map(|wanted| wanted.writes.len()).sum();
    let (reader, producer) = (&reader, &producer);
    let mut found: Vec<Cause> = std::thread::scope(|scope| {
        let reading = scope.spawn(move || unreadable(reader, &reads));
        let writing = writes.map(|wanted| {
            scope.spawn(move || crate::kafka::rights::refused(producer, reader, &wanted))
        });
        let asked = std::iter::once(reading).chain(writing);
        asked
            .flat_map(|asked| asked.join().unwrap_or_default())
            .collect()
    });
    // Brokers from 2.8 on let everybody be idempotent who may write to any topic.
    let is_write = |cause: &&Cause| {
        let topic = |resource: &Resource| matches!(resource, Resource::Topic(_));
        matches!(&cause.why, Why::Denied { operation: "WRITE", resource } if topic(resource))
    };
    if found.iter().filter(is_write).count() < topics {
        found.extend(idempotent.map_or_else(Some, Idempotent::refused));
    }
    each_once(&mut found);
    found
}

/// Asks the registry for what is written with it.
fn schemas(config: &Config) -> Result<(), Failure> {
    let contents = config.contents().into_iter();
    let registered: Vec<_> = contents
        .filter(|topic| topic.format.is_registered())
        .collect();
    if registered.is_empty() {
        return Ok(());
    }
    // Whatever the connector may do, looking changes nothing.
    let options = registry::Options {
        auto_register: false,
        ..config.schema_registry.clone()
    };
    let (_, handle) = Registry::new(&options)?;
    let (runtime, outbound) = (
        runtime()?,
        config.esme.iter().flat_map(|esme| &esme.outbound),
    );
    let outbound: Vec<_> = outbound.collect();
    for topic in registered {
        // What others write there is their business.
        if outbound.contains(&&topic.name) {
            continue;
        }
        match runtime.block_on(handle.codec(&topic)) {
            Err(Error::Unregistered { .. }) if config.schema_registry.auto_register => {}
            asked => drop(asked?),
        }
    }
    let urls = config.schema_registry.urls.join(", ");
    Ok(line(format_args!(
        "schema registry at {urls}: the schemas are there"
    ))?)
}

/// Tries what a session of this kind needs, as far as that takes nothing from anybody.
fn smsc(esme: &Esme, mode: Mode, receive: bool) -> Result<(), Failure> {
    let runtime = runtime()?;
    let what = format!("{} as {}", esme.name, mode.name());
    let failed = |Coded { code, text }: Coded| {
        Failure::new(Code::Unavailable, code, format!("{what}: {text}"))
    };
    let (tried, note) = match (mode, receive) {
        (Mode::Receiver, false) => {
            let session = esme.session(format!("{}/check", esme.name), mode);
            let host = runtime
                .block_on(reach(&session))
                .map_err(|why| failed(Coded::new(codes::NO_CONNECTION, why)))?;
            return Ok(line(format_args!(
                "{what}: connected to {host}; its bind is not tried, because it would take deliveries (--bind-receivers tries it)"
            ))?);
        }
        (Mode::Transceiver, false) => (
            Mode::Transmitter,
            " as transmitter, which takes no deliveries",
        ),
        (mode, _) => (mode, ""),
    };
    match runtime.block_on(bind_once(esme, tried)) {
        Ok(host) => Ok(line(format_args!(
            "{what}: bound to {host}{note}, unbound"
        ))?),
        Err(Coded { code, text }) if tried != mode => Err(failed(Coded::new(
            code,
            format!(
                "bound as transmitter, which takes no deliveries: {text}. If the SMSC takes none of this account, try its transceiver with --bind-receivers while nothing is on its way"
            ),
        ))),
        Err(why) => Err(failed(why)),
    }
}

/// Binds and unbinds; every host is tried once.
async fn bind_once(esme: &Esme, mode: Mode) -> Result<String, Coded> {
    let options = esme.session(format!("{}/check", esme.name), mode);
    let limit = (esme.timers.session_init.get() + esme.timers.response.get())
        .saturating_mul(u32::try_from(esme.hosts.len()).unwrap_or(1));
    let nobody = Arc::new(Nobody::default());
    let (bind, handle) = Bind::new(options, nobody.clone(), nobody, Lease::unlimited());
    let running = tokio::spawn(bind.run());
    let mut states = handle.state();
    let mut reasons = Vec::new();
    let settled = timeout(limit + Duration::from_secs(1), async {
        loop {
            match &*states.borrow_and_update() {
                State::Bound { host, .. } => return Ok(host.to_string()),
                State::Refused { reason, code, .. } => {
                    return Err(Coded::new(*code, reason.to_string()));
                }
                State::Backoff {
                    reason,
                    code,
                    attempts,
                    ..
                } => {
                    reasons.push(reason.to_string());
                    if *attempts as usize >= esme.hosts.len() {
                        return Err(Coded::new(*code, reasons.join("; ")));
                    }
                }
                _ => {}
            }
            if states.changed().await.is_err() {
                return Err(Coded::new(codes::NOT_BOUND, "the bind ended"));
            }
        }
    })
    .await;
    handle.stop(Duration::from_secs(2));
    handle.stopped().await;
    // It has nothing more to say than what the state said.
    let _ = timeout(Duration::from_secs(5), running).await;
    settled.unwrap_or_else(|_| Err(Coded::new(codes::NOT_BOUND, "no answer in time")))
}

/// Sends nothing, and answers nothing: what is not answered when a session ends is delivered again
/// by most SMSCs, what is refused by few.
#[derive(Default)]
struct Nobody(Mutex<Vec<Responder>>);

impl Client for Nobody {
    fn outcome(&self, _: Token, _: Outcome) {}
}

impl Inbound for Nobody {
    fn receive(&self, _: Bytes, responder: Responder) {
        self.0.lock().push(responder);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use smpp_protocol::{Command, Status};

    /// An SMSC that takes sessions, each until it ends; what it was asked for in each.
    fn smsc(
        sessions: usize,
        status: Status,
    ) -> (String, std::thread::JoinHandle<Vec<Vec<Command>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let peer = std::thread::spawn(move || {
            let session = |_| answer_all(listener.accept().unwrap().0, status);
            (0..sessions).map(session).collect()
        });
        (host, peer)
    }

    fn answer_all(mut stream: TcpStream, status: Status) -> Vec<Command> {
        let (mut asked, mut header) = (Vec::new(), [0; 16]);
        while stream.read_exact(&mut header).is_ok() {
            let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
            let mut body = vec![0; word(0) as usize - 16];
            stream.read_exact(&mut body).unwrap();
            let command = Command(word(4));
            asked.push(command);
            let is_bind = command != Command::UNBIND;
            let status = if is_bind { status } else { Status::ROK };
            let body: &[u8] = if is_bind { b"s\0" } else { b"" };
            let mut answer = (16 + body.len() as u32).to_be_bytes().to_vec();
            answer.extend(command.response().0.to_be_bytes());
            answer.extend(status.0.to_be_bytes());
            answer.extend(&header[12..]);
            answer.extend(body);
            stream.write_all(&answer).unwrap();
        }
        asked
    }

    fn account(host: String) -> Esme {
        Esme {
            name: "acme".into(),
            hosts: vec![host],
            system_id: "acme".into(),
            ..Esme::default()
        }
    }

    #[test]
    fn what_is_tried_takes_no_deliveries_unless_that_is_asked_for() {
        let (transmitter, receiver) = (Command::BIND_TRANSMITTER, Command::BIND_RECEIVER);
        for (mode, receive, asked) in [
            (Mode::Transmitter, false, vec![transmitter, Command::UNBIND]),
            (Mode::Transceiver, false, vec![transmitter, Command::UNBIND]),
            (Mode::Receiver, false, vec![]),
            (Mode::Receiver, true, vec![receiver, Command::UNBIND]),
            (
                Mode::Transceiver,
                true,
                vec![Command::BIND_TRANSCEIVER, Command::UNBIND],
            ),
        ] {
            let (host, peer) = smsc(1, Status::ROK);
            super::smsc(&account(host), mode, receive).unwrap();
            assert_eq!(peer.join().unwrap(), [asked], "{mode:?} {receive}");
        }
    }

    #[test]
    fn an_smsc_that_takes_no_transmitter_is_not_tried_otherwise() {
        let (host, peer) = smsc(1, Status::RINVCMDID);
        let told = super::smsc(&account(host), Mode::Transceiver, false).unwrap_err();
        assert_eq!(told.faults[0].code.as_str(), "KS-2001");
        assert!(told.text().contains("ESME_RINVCMDID"), "{}", told.text());
        assert!(told.text().contains("--bind-receivers"), "{}", told.text());
        assert_eq!(peer.join().unwrap(), [[Command::BIND_TRANSMITTER]]);
    }
}
