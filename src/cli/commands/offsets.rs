//! `kafka-smpp offsets`: where the groups stand, and setting them elsewhere.

mod rebuild;

use std::str::FromStr;

use clap::Subcommand;
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;

use crate::cli::broker::{
    Client, TIMEOUT, connect, failed, partitions, reader, refused, watermarks, who,
};
use crate::cli::output::{line, table};
use crate::cli::{Code, ConfigSource, Failure};
use crate::codes;
use crate::config::Config;
use crate::kafka::ErrorClass;
use crate::kafka::Partition;
use crate::kafka::cause::Doing;
use crate::kafka::group::{commits, list, partition_count};
use crate::kafka::progress::{CommitScope, metadata};
use crate::kafka::transaction::Commit;

/// Show or set the offsets committed for the outbound topics and for deliveries
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp offsets show
  kafka-smpp offsets reset --topic sms.outbound --partition 3 --to earliest
  kafka-smpp offsets reset --missing --to latest      wherever there is no offset

A reset is refused while a connector runs. What lies between the new offset and the end is sent
as new and flagged possible_duplicate, because it is not known what was sent before.

It is also refused where it would leave an outbound partition without an offset: beside those
that have one it would look like one that was added, and all it holds would be sent. So when
offsets were lost, set all of them with --missing, and then those of single topics elsewhere.

latest is behind the last record that is committed; what a producer's open transaction holds
is sent when that is committed.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Committed offsets, what is left, and what is in flight or in doubt
    Show,
    /// Continue elsewhere
    Reset(Reset),
    Rebuild(rebuild::Args),
}

#[derive(clap::Args)]
struct Reset {
    /// An outbound topic, a lease topic or the topic of deliveries
    #[arg(long, required_unless_present = "missing", conflicts_with = "missing")]
    topic: Option<String>,
    /// Only this partition; without it all
    #[arg(long, value_name = "N", requires = "topic")]
    partition: Option<i32>,
    /// Every partition of every outbound topic that has no offset
    #[arg(long)]
    missing: bool,
    /// Where to: earliest, latest or an offset
    #[arg(long, value_name = "OFFSET")]
    to: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Earliest,
    Latest,
    Offset(i64),
}

impl FromStr for To {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "earliest" => Ok(To::Earliest),
            "latest" => Ok(To::Latest),
            number => match number.parse() {
                Ok(offset @ 0..) => Ok(To::Offset(offset)),
                _ => Err("write earliest, latest or an offset"),
            },
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    match &args.what {
        What::Show => show(&config),
        What::Reset(reset) => set(&config, reset),
        What::Rebuild(args) => rebuild::run(&config, args),
    }
}

/// Every topic whose offsets are committed, with its group.
fn sources(config: &Config) -> Vec<(String, &str)> {
    let esmes = config.esme.iter();
    let submit = esmes.flat_map(|e| e.outbound.iter().chain(&e.lease_topic));
    submit
        .map(|topic| (config.kafka.submit_group(), topic.as_str()))
        .chain([(
            config.kafka.correlate_group(),
            config.topics.deliveries.as_str(),
        )])
        .collect()
}

/// A client that commits for `group` without being its member.
fn outsider(config: &Config, group: &str) -> Result<Client, Failure> {
    let mut client = config.kafka.reader();
    client
        .set("group.id", group)
        // What is committed is shown without waiting for open transactions.
        .set("isolation.level", "read_uncommitted");
    connect(config, &client)
}

fn show(config: &Config) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (group, topic) in sources(config) {
        let consumer = outsider(config, &group)?;
        let cluster = consumer.client().fetch_cluster_id(TIMEOUT);
        let all = partitions(&consumer, topic)?;
        let found = committed(&consumer, &group, &all)?;
        for p in &all {
            let (low, high) = watermarks(&consumer, p)?;
            let commit = found.iter().find(|c| c.partition == p.partition);
            let (committed, lag, state) = match commit {
                None => ("-".to_owned(), high - low, "new".to_owned()),
                Some(c) => {
                    let scope = CommitScope {
                        cluster: cluster.as_deref().unwrap_or_default(),
                        topic,
                        partition: p.partition,
                    };
                    let state = state(c, high, &scope, config);
                    (c.offset.to_string(), high - c.offset, state)
                }
            };
            rows.push([
                group.clone(),
                topic.to_owned(),
                p.partition.to_string(),
                committed,
                high.to_string(),
                lag.to_string(),
                state,
            ]);
        }
    }
    let headings = [
        "group",
        "topic",
        "partition",
        "committed",
        "end",
        "left",
        "state",
    ];
    table(headings, &rows)?;
    Ok(())
}

/// What is said of a commit for a log that ends at `end`.
fn state(commit: &Commit, end: i64, scope: &CommitScope<'_>, config: &Config) -> String {
    let (offset, line) = (commit.offset, &*commit.metadata);
    if line.is_empty() {
        return if scope.topic == config.topics.deliveries {
            String::new()
        } else {
            "set by an operator".into()
        };
    }
    match metadata::decode(offset, line, scope) {
        Ok(restored) => {
            // As whoever takes over would see it: what is reserved, and what was lost before.
            let mut progress = restored.progress;
            progress.take_over(end);
            let open = progress.doubtful();
            format!("{open} may be in flight, by {}", restored.transactional_id)
        }
        Err(error) => format!("unreadable: {error}"),
    }
}

fn set(config: &Config, reset: &Reset) -> Result<(), Failure> {
    let submit = config.kafka.submit_group();
    let (group, chosen) = match &reset.topic {
        Some(topic) => choose(config, topic, reset.partition)?,
        None => (submit.clone(), missing(config, &submit)?),
    };
    if chosen.is_empty() {
        return Ok(line("Every outbound partition has an offset.")?);
    }
    if group == submit && !reset.missing {
        leaves_none(&missing(config, &submit)?, &chosen, &group)?;
    }
    let reader = reader(config, "read_committed")?;
    let mut offsets = list(&chosen, Offset::Invalid);
    for p in &chosen {
        let offset = Offset::Offset(resolve(&reader, p, reset.to)?);
        offsets
            .set_partition_offset(&p.topic, p.partition, offset)
            .map_err(failed(p))?;
    }
    let consumer = outsider(config, &group)?;
    // Not being a member, this is refused by Kafka itself while the group has any: no
    // connector can join between a check and the commit.
    consumer
        .commit(&offsets, CommitMode::Sync)
        .map_err(|error| uncommitted(&consumer, &error, &group, &chosen[0].topic))?;
    for element in offsets.elements() {
        line(format_args!(
            "{group}\t{}\t{}\t{}",
            element.topic(),
            element.partition(),
            element.offset().to_raw().unwrap_or_default()
        ))?;
    }
    Ok(())
}

/// The partitions of a topic that are to be set, and the group.
fn choose(
    config: &Config,
    topic: &str,
    partition: Option<i32>,
) -> Result<(String, Vec<Partition>), Failure> {
    let known = sources(config);
    let Some((group, topic)) = known.iter().find(|(_, known)| *known == topic) else {
        let names: Vec<_> = known.iter().map(|(_, topic)| *topic).collect();
        let text = format!(
            "no offsets are committed for topic {topic:?}; they are for: {}",
            names.join(", ")
        );
        return Err(Failure::new(Code::Usage, codes::UNKNOWN_NAME, text));
    };
    let mut chosen = partitions(&outsider(config, group)?, topic)?;
    let count = chosen.len();
    chosen.retain(|p| partition.is_none_or(|n| n == p.partition));
    if chosen.is_empty() {
        let text = format!(
            "topic {topic} has partitions 0 to {}",
            count.saturating_sub(1)
        );
        return Err(Failure::new(Code::Usage, codes::UNKNOWN_NAME, text));
    }
    Ok((group.clone(), chosen))
}

/// The partitions that have no offset in the group of the outbound topics. A topic that does not
/// exist has none.
fn missing(config: &Config, submit: &str) -> Result<Vec<Partition>, Failure> {
    let consumer = outsider(config, submit)?;
    let mut all = Vec::new();
    for (_, topic) in sources(config).iter().filter(|(group, _)| group == submit) {
        match partition_count(&consumer, topic, TIMEOUT) {
            Ok(count) => all.extend((0..count).map(|partition| Partition {
                topic: (*topic).into(),
                partition,
            })),
            Err(error) if ErrorClass::of_error(&error).is_absent() => {}
            Err(error) => return Err(failed(format!("topic {topic}"))(error)),
        }
    }
    let found = committed(&consumer, submit, &all)?;
    all.retain(|p| {
        let is = |c: &Commit| (&c.topic, c.partition) == (&p.topic, p.partition);
        !found.iter().any(is)
    });
    Ok(all)
}

/// What the group has committed for these partitions.
fn committed(consumer: &Client, group: &str, all: &[Partition]) -> Result<Vec<Commit>, Failure> {
    let Some(first) = all.first() else {
        return Ok(Vec::new());
    };
    consumer
        .committed_offsets(list(all, Offset::Invalid), TIMEOUT)
        .and_then(|found| commits(&found, all))
        .map_err(|error| uncommitted(consumer, &error, group, &first.topic))
}

/// Refuses to set some offsets where others would still be missing: see `kafka::start`.
fn leaves_none(missing: &[Partition], chosen: &[Partition], group: &str) -> Result<(), Failure> {
    let left: Vec<String> = missing
        .iter()
        .filter(|p| !chosen.contains(p))
        .map(Partition::to_string)
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let text = format!(
        "nothing was set: group {group} has no offset for {} either, and a connector that finds some but not all takes those for new and sends everything they hold. First give them one with: kafka-smpp offsets reset --missing --to <earliest|latest>. Then set single topics or partitions where they are to continue",
        left.join(", ")
    );
    Err(Failure::new(Code::Data, codes::OFFSETS_MISSING, text))
}

fn resolve(consumer: &Client, p: &Partition, to: To) -> Result<i64, Failure> {
    let (low, high) = watermarks(consumer, p)?;
    match to {
        To::Earliest => Ok(low),
        To::Latest => Ok(high),
        To::Offset(offset) if (low..=high).contains(&offset) => Ok(offset),
        To::Offset(offset) => Err(Failure::new(
            Code::Data,
            codes::OFFSET_OUTSIDE_LOG,
            format!(
                "{offset} is not in the log of {p}, which has {low} to {high} (as far as transactions are not open)"
            ),
        )),
    }
}

fn uncommitted(consumer: &Client, error: &KafkaError, group: &str, topic: &str) -> Failure {
    match ErrorClass::of_error(error) {
        ErrorClass::Membership => has_members(group),
        _ => {
            let topics = [topic.to_owned()];
            let member = Doing::Member {
                group,
                topics: &topics,
            };
            refused(who(consumer), format!("offsets of group {group}"), &member)(error.clone())
        }
    }
}

fn has_members(group: &str) -> Failure {
    Failure::new(
        Code::TempFail,
        codes::GROUP_HAS_MEMBERS,
        format!(
            "group {group} has members: stop every connector with this application_id first (a killed one counts until kafka.session_timeout is over)"
        ),
    )
}
