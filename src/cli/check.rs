//! `kafka-smpp check`: is the configuration good, and does what it names answer?

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::broker::{PATIENCE, failed};
use super::output::{line, table};
use super::topics::State as Topics;
use super::{Code, Failure, Source, runtime};
use crate::config::{Binds, Config, Esme};
use crate::esme::{Bind, Client, Inbound, Lease, Mode, Outcome, Responder, State, Token};
use crate::kafka::cluster::{cluster_id, takes_metadata};
use crate::kafka::progress::Limits;
use crate::registry::{self, Error, Registry};
use crate::settings::Octets;
use crate::smpp::Status;

/// Check the configuration, and with --connect what it names
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp check --config connector.toml
  kafka-smpp check --config connector.toml --connect

With --connect it asks Kafka for the topics and commits an offset in a group of its own
(APPLICATION_ID.check) to see how much metadata the brokers take, and binds and unbinds each ESME once for each kind of
session it has: where the account's binds are all in use, the SMSC refuses that one.")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Also connect: Kafka, its topics, the schema registry, and a bind of each ESME
    #[arg(long)]
    connect: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    esmes(&config)?;
    line("\nBuffers hold at most:")?;
    table(["", "octets", ""], &bound(&config))?;
    line(config.unbounded())?;
    line("\nThe configuration is good.")?;
    match args.connect {
        true => connect(&config),
        false => Ok(()),
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
fn connect(config: &Config) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let mut note = |result: Result<(), Failure>| wrong.extend(result.err().map(|f| f.text));
    line("")?;
    note(kafka(config));
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
            note(smsc(esme, *mode));
        }
    }
    match wrong.is_empty() {
        true => Ok(line("Everything answers.")?),
        false => Err(Failure::new(Code::Unavailable, wrong.join("\n"))),
    }
}

fn kafka(config: &Config) -> Result<(), Failure> {
    let servers = &config.kafka.bootstrap_servers;
    let id = cluster_id(&config.kafka.client(), PATIENCE)
        .map_err(failed(format!("Kafka at {servers}")))?;
    line(format_args!("Kafka at {servers}: cluster {id}"))?;
    let topics = Topics::of(config)?;
    topics.print()?;
    topics.verdict(config)?;
    metadata(config)
}

/// Progress is committed as metadata of up to a certain length, which a cluster may not take.
fn metadata(config: &Config) -> Result<(), Failure> {
    let longest = Limits::default().metadata;
    let mut client = config.kafka.client();
    client.set("group.id", config.kafka.check_group());
    let taken = takes_metadata(&client, &config.topics.responses, longest);
    match taken.map_err(failed("an offset with metadata cannot be committed"))? {
        true => Ok(line(format_args!(
            "metadata of commits: {longest} characters are taken"
        ))?),
        false => Err(Failure::new(
            Code::Unavailable,
            format!(
                "Kafka takes less than {longest} characters of metadata with an offset, and progress could not be committed while many records are unfinished: set offset.metadata.max.bytes of the brokers to 4096 (Kafka's default) or more"
            ),
        )),
    }
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

fn smsc(esme: &Esme, mode: Mode) -> Result<(), Failure> {
    let what = format!("{} as {}", esme.name, mode.name());
    match runtime()?.block_on(bind_once(esme, mode)) {
        Ok(host) => Ok(line(format_args!("{what}: bound to {host}, unbound"))?),
        Err(why) => Err(Failure::new(Code::Unavailable, format!("{what}: {why}"))),
    }
}

/// Binds and unbinds; every host is tried once.
async fn bind_once(esme: &Esme, mode: Mode) -> Result<String, String> {
    let options = esme.session(format!("{}/check", esme.name), mode);
    let patience = (esme.timers.session_init.get() + esme.timers.response.get())
        .saturating_mul(u32::try_from(esme.hosts.len()).unwrap_or(1));
    let nobody = Arc::new(Nobody);
    let (bind, handle) = Bind::new(options, nobody.clone(), nobody, Lease::unlimited());
    let running = tokio::spawn(bind.run());
    let mut states = handle.state();
    let mut reasons = Vec::new();
    let settled = timeout(patience + Duration::from_secs(1), async {
        loop {
            match &*states.borrow_and_update() {
                State::Bound { host, .. } => return Ok(host.to_string()),
                State::Refused { status, .. } => {
                    return Err(format!("{status}: {}", status.advice()));
                }
                State::Backoff {
                    reason, attempts, ..
                } => {
                    reasons.push(reason.to_string());
                    if *attempts as usize >= esme.hosts.len() {
                        return Err(reasons.join("; "));
                    }
                }
                _ => {}
            }
            if states.changed().await.is_err() {
                return Err("the bind ended".into());
            }
        }
    })
    .await;
    handle.close(Duration::from_secs(2)).await;
    // It has nothing more to say than what the state said.
    let _ = timeout(Duration::from_secs(5), running).await;
    settled.unwrap_or_else(|_| Err("no answer in time".into()))
}

/// Sends nothing; what the SMSC delivers meanwhile it is asked to deliver again later.
struct Nobody;

impl Client for Nobody {
    fn outcome(&self, _: Token, _: Outcome) {}
}

impl Inbound for Nobody {
    fn receive(&self, _: Bytes, responder: Responder) {
        responder.respond(Status::RX_T_APPN);
    }
}
