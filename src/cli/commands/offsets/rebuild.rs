//! `kafka-smpp offsets rebuild`: where the groups go on upon another cluster.

use std::io::Write;
use std::sync::Arc;

use clap::builder::ValueParser;
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer};

use super::{committed, outsider, uncommitted};
use crate::cli::bar::Bar;
use crate::cli::broker::{Client, TIMEOUT, each_once, failed, partitions, watermarks};
use crate::cli::output::{line, table};
use crate::cli::schemas::Schemas;
use crate::cli::when::When;
use crate::cli::{Code, Failure};
use crate::codes;
use crate::config::Config;
use crate::connector::reader;
use crate::kafka::Partition;
use crate::kafka::cause::{Cause, Why};
use crate::kafka::group::list;
use crate::kafka::progress::{CommitScope, Progress, metadata};
use crate::kafka::rights::{self, Transactional};
use crate::rebuild::{self, Counts, Deliveries, Error, Options, Rebuilt, Resumed};
use crate::settings::{Octets, Time};

/// What ends the transactional.id of a rebuild.
const WRITER: &str = ".rebuild";

/// Continue on another cluster, from the results that are there
#[derive(clap::Args)]
#[command(after_help = "\
For when the first cluster is lost and its topics were mirrored to this one, or when this one is a
restored backup: docs/another-cluster.md has the steps. Stop every connector first, those of the
first cluster too, and whatever mirrors.

A record that has its result here is finished. One that has none may have been sent, and its result
not mirrored: it is in doubt, and in_doubt of the record or the configuration decides whether it is
sent again, flagged possible_duplicate, or reported. One that was written after --lost-at is new.

Without --yes it only shows what would be committed.

Examples:
  kafka-smpp offsets rebuild
  kafka-smpp offsets rebuild --lost-at 2026-01-02T03:04:05Z
  kafka-smpp offsets rebuild --lost-at 2026-01-02T03:04:05Z --yes
  kafka-smpp offsets rebuild --same-offsets --yes            on a restored backup")]
pub(super) struct Args {
    /// Commit; without it nothing is written
    #[arg(long)]
    yes: bool,
    /// When the first cluster was lost, by the clocks of the producers: a time such as
    /// 2026-01-02T03:04:05Z, or so long ago, such as 2h. What has a younger timestamp is new
    #[arg(long, value_name = "WHEN")]
    lost_at: Option<When>,
    /// Records have the offsets that they had: on a restored backup
    #[arg(long)]
    same_offsets: bool,
    /// Records without a log id that cannot be matched with results are in doubt
    #[arg(long)]
    doubt_unmatched: bool,
    /// Also where a connector has committed on this cluster
    #[arg(long)]
    anew: bool,
    /// By how much one partition may have been mirrored later than another: deliveries of so long
    /// before the youngest receipt are correlated again
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = ValueParser::new(time))]
    lag: Time,
    /// How much memory records and results may take; with less, all is read more often
    #[arg(long, value_name = "OCTETS", default_value = "512MiB", value_parser = ValueParser::new(octets))]
    memory: Octets,
}

fn octets(text: &str) -> Result<Octets, String> {
    text.parse::<Octets>().map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<Time, String> {
    text.parse::<Time>().map_err(|error| error.to_string())
}

pub(super) fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let group = config.kafka.submit_group();
    let consumer = outsider(config, &group)?;
    let cluster = consumer.client().fetch_cluster_id(TIMEOUT);
    let schemas = Schemas::open(config)?;
    let options = options(config, &schemas, cluster.unwrap_or_default(), args)?;
    allowed(config, &options, args)?;
    let leased = leased(config, &consumer)?;
    if !args.anew {
        nobody_was_here(config, &consumer, &options, &leased)?;
    }
    let correlating = outsider(config, &config.kafka.correlate_group())?;
    has_no_members(&consumer, &group)?;
    has_no_members(&correlating, &config.kafka.correlate_group())?;
    let bar = Bar::new();
    let telling = |what, done, all| bar.show(what, done, all);
    let rebuilt = rebuild::survey(&options, &telling).map_err(failure)?;
    let deliveries = deliveries(config, &schemas, args);
    let resumed = rebuild::resume(&options, &deliveries, &telling).map_err(failure)?;
    bar.end();
    show(&rebuilt, args)?;
    show_deliveries(&resumed)?;
    matched(&rebuilt, args)?;
    if !args.yes {
        writeln!(
            anstream::stderr().lock(),
            "nothing was written: --yes commits this"
        )?;
        return Ok(());
    }
    let bar = Bar::new();
    let telling = |what, done, all| bar.show(what, done, all);
    rebuild::put_back(&options, &rebuilt, &telling).map_err(failure)?;
    bar.end();
    let all = rebuilt
        .iter()
        .map(|one| (one.partition.clone(), one.progress.clone()))
        .chain(leased);
    // Correlating first: who finds an offset for submitting may start.
    let resumed = resumed.into_iter().map(|one| (one.partition, one.progress));
    let of_correlate = config.kafka.correlate_group();
    commit(
        &correlating,
        &of_correlate,
        &options,
        &resumed.collect::<Vec<_>>(),
    )?;
    commit(&consumer, &group, &options, &all.collect::<Vec<_>>())?;
    line(format_args!(
        "committed for the groups {of_correlate} and {group}: kafka-smpp run goes on from there"
    ))?;
    Ok(())
}

/// Refuses early, and with all that is missing, what Kafka would refuse somewhere in the midst of it.
fn allowed(config: &Config, options: &Options, args: &Args) -> Result<(), Failure> {
    let topics = &config.topics;
    let leases = config.esme.iter().flat_map(|esme| &esme.lease_topic);
    let outbound: Vec<String> = options
        .outbound
        .iter()
        .map(|topic| (**topic).into())
        .collect();
    let mut reads: Vec<String> = leases.chain(&outbound).cloned().collect();
    let source = reads.first().cloned().unwrap_or_default();
    reads.extend(options.results.iter().map(|(topic, _)| (**topic).into()));
    reads.extend([&topics.deliveries, &topics.receipts, &topics.inbound].map(String::clone));
    let (reader, producer) = (&options.reader, &options.producer);
    let mut found = rights::unreadable(reader, &reads);
    if args.yes {
        let deliveries = topics.deliveries.clone();
        // One after the other, because both have the transactional id of the rebuild.
        for (group, source, writes) in [
            (config.kafka.submit_group(), source, outbound),
            (config.kafka.correlate_group(), deliveries, Vec::new()),
        ] {
            let wanted = Transactional {
                id: options.transactional_id.clone(),
                group,
                source,
                writes,
            };
            found.extend(rights::refused(producer, reader, &wanted));
        }
    }
    each_once(&mut found);
    found.retain(|cause| matches!(cause.why, Why::Denied { .. }));
    if found.is_empty() {
        return Ok(());
    }
    let faults = found.iter().map(Cause::coded).collect();
    Err(Failure::of(Code::Unavailable, faults))
}

fn deliveries(config: &Config, schemas: &Schemas, args: &Args) -> Deliveries {
    let codec = |format| reader(format, schemas.handle());
    let (topics, formats) = (&config.topics, &config.formats);
    Deliveries {
        topic: topics.deliveries.as_str().into(),
        codec: codec(formats.deliveries),
        events: vec![
            (topics.receipts.as_str().into(), codec(formats.receipts)),
            (topics.inbound.as_str().into(), codec(formats.inbound)),
        ],
        lag: args.lag.get(),
    }
}

fn show_deliveries(resumed: &[Resumed]) -> Result<(), Failure> {
    let rows: Vec<[String; 3]> = resumed
        .iter()
        .map(|one| {
            let at = one.progress.base().to_string();
            [one.partition.to_string(), one.left.to_string(), at]
        })
        .collect();
    table(["deliveries", "to be correlated", "goes on at"], &rows)?;
    Ok(())
}

fn options(
    config: &Config,
    schemas: &Schemas,
    cluster: String,
    args: &Args,
) -> Result<Options, Failure> {
    let codec = |format| reader(format, schemas.handle());
    let (topics, formats) = (&config.topics, &config.formats);
    let outbound = config.esme.iter().flat_map(|esme| &esme.outbound);
    let mut outbound: Vec<Arc<str>> = outbound.map(|topic| topic.as_str().into()).collect();
    outbound.sort_unstable();
    outbound.dedup();
    if cluster.is_empty() {
        let text = "the brokers do not say which cluster they are: nothing that is committed could be believed";
        return Err(Failure::new(Code::Unavailable, codes::KAFKA_FAILED, text));
    }
    Ok(Options {
        reader: config.kafka.reader(),
        producer: config.kafka.transactional(),
        transactional_id: format!("{}{WRITER}", config.kafka.application_id),
        transaction_timeout: config.kafka.transaction_timeout.get(),
        cluster,
        results: vec![
            (topics.responses.as_str().into(), codec(formats.responses)),
            (topics.errors.as_str().into(), codec(formats.errors)),
        ],
        outbound,
        outbound_codec: codec(formats.outbound),
        memory: args.memory.0,
        same_offsets: args.same_offsets,
        lost_at: args.lost_at.map(|when| when.0.as_millisecond()),
    })
}

/// Partitions that only lease binds: nothing in them is sent.
fn leased(config: &Config, consumer: &Client) -> Result<Vec<(Partition, Progress)>, Failure> {
    let mut all = Vec::new();
    for topic in config.esme.iter().flat_map(|esme| &esme.lease_topic) {
        for partition in partitions(consumer, topic)? {
            let (_, end) = watermarks(consumer, &partition)?;
            all.push((partition, Progress::new(end)));
        }
    }
    Ok(all)
}

/// Refuses to replace what a connector knows of this cluster.
fn nobody_was_here(
    config: &Config,
    consumer: &Client,
    options: &Options,
    leased: &[(Partition, Progress)],
) -> Result<(), Failure> {
    let mut all: Vec<Partition> = leased.iter().map(|(p, _)| p.clone()).collect();
    for topic in &options.outbound {
        all.extend(partitions(consumer, topic)?);
    }
    let group = config.kafka.submit_group();
    for commit in committed(consumer, &group, &all)? {
        let scope = CommitScope {
            cluster: &options.cluster,
            topic: &commit.topic,
            partition: commit.partition,
        };
        let Ok(last) = metadata::decode(commit.offset, &commit.metadata, &scope) else {
            continue;
        };
        if !last.transactional_id.ends_with(WRITER) {
            let text = format!(
                "partition {} of topic {} has an offset of this cluster, which {} committed at {}: a connector has worked here, and knows better than the results what is finished. If it is to be replaced all the same, because this cluster was the first one and is to go on from what was mirrored back, add --anew",
                commit.partition, commit.topic, last.transactional_id, commit.offset
            );
            return Err(Failure::new(Code::Data, codes::NOT_TO_REBUILD, text));
        }
    }
    Ok(())
}

/// Refuses early; the commit is refused by Kafka itself.
fn has_no_members(consumer: &Client, group: &str) -> Result<(), Failure> {
    let found = consumer
        .client()
        .fetch_group_list(Some(group), TIMEOUT)
        .map_err(failed(format!("members of group {group}")))?;
    if found
        .groups()
        .iter()
        .any(|group| !group.members().is_empty())
    {
        Err(super::has_members(group))
    } else {
        Ok(())
    }
}

fn show(rebuilt: &[Rebuilt], args: &Args) -> Result<(), Failure> {
    let rows: Vec<[String; 9]> = rebuilt
        .iter()
        .map(|one| {
            let Counts {
                records,
                open,
                in_doubt,
                flagged,
                fresh,
                ahead,
                ..
            } = one.counts;
            [
                one.partition.to_string(),
                records.to_string(),
                (records - open).to_string(),
                open.to_string(),
                in_doubt.to_string(),
                flagged.to_string(),
                fresh.to_string(),
                ahead.to_string(),
                format!(
                    "{}{}",
                    one.progress.base(),
                    match one.back.len() {
                        0 => String::new(),
                        n => format!(", {n} put back"),
                    }
                ),
            ]
        })
        .collect();
    let headings = [
        "partition",
        "records",
        "finished",
        "without result",
        "in doubt",
        "flagged",
        "new",
        "ahead",
        "goes on at",
    ];
    table(headings, &rows)?;
    let sum = |count: fn(&Counts) -> u64| rebuilt.iter().map(|one| count(&one.counts)).sum();
    let notes: [(u64, &str); 4] = [
        (
            sum(|c| c.copies),
            "records are here twice, as after a restart of what mirrors: each is sent once",
        ),
        (
            sum(|c| c.ahead),
            "results are of records that are not here (\"ahead\"): whoever sends those again sends them twice, so look for their results first",
        ),
        (
            sum(|c| c.surplus),
            "results are of records that have one already: topics were mirrored without isolation.level=read_committed, so that some of the results may never have been committed, or offsets were set back once",
        ),
        (
            if args.lost_at.is_none() {
                sum(|c| c.in_doubt)
            } else {
                0
            },
            "records are in doubt, among them all that were written here since: --lost-at tells those apart",
        ),
    ];
    let mut err = anstream::stderr().lock();
    for (count, text) in notes.iter().filter(|(count, _)| *count > 0) {
        writeln!(err, "{count} {text}")?;
    }
    Ok(())
}

/// Refuses what nobody has decided.
fn matched(rebuilt: &[Rebuilt], args: &Args) -> Result<(), Failure> {
    let unmatched: u64 = rebuilt.iter().map(|one| one.counts.unmatched).sum();
    if unmatched == 0 || args.doubt_unmatched {
        return Ok(());
    }
    let text = format!(
        "nothing was written: {unmatched} records without a log id cannot be matched with results, which name only the offsets of the first cluster. If the offsets are the same here (a restored backup), add --same-offsets; if all those records are to be in doubt, add --doubt-unmatched"
    );
    Err(Failure::new(Code::Data, codes::RESULTS_NOT_MATCHED, text))
}

/// Commits all at once. Not being a member, this is refused by Kafka itself while the group has
/// any.
fn commit(
    consumer: &Client,
    group: &str,
    options: &Options,
    all: &[(Partition, Progress)],
) -> Result<(), Failure> {
    let Some((first, _)) = all.first() else {
        return Ok(());
    };
    let names: Vec<Partition> = all.iter().map(|(partition, _)| partition.clone()).collect();
    let offsets = list(&names, Offset::Invalid);
    for (partition, progress) in all {
        let scope = CommitScope {
            cluster: &options.cluster,
            topic: &partition.topic,
            partition: partition.partition,
        };
        let line = metadata::encode(progress, &scope, &options.transactional_id, 1);
        let element = offsets.find_partition(&partition.topic, partition.partition);
        if let Some(mut element) = element {
            let offset = element.set_offset(Offset::Offset(progress.base()));
            offset.map_err(failed(partition))?;
            element.set_metadata(line);
        }
    }
    consumer
        .commit(&offsets, CommitMode::Sync)
        .map_err(|error| uncommitted(consumer, &error, group, &first.topic))
}

fn failure(error: Error) -> Failure {
    let code = match &error {
        _ if error.may_pass() => Code::TempFail,
        Error::Kafka { .. } => Code::Unavailable,
        _ => Code::Data,
    };
    Failure::new(code, error.code(), error.to_string())
}
