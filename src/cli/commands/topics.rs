//! `kafka-smpp topics`: creating what is missing, and looking at what is there.

use std::time::{Duration, Instant};

use clap::Subcommand;

use crate::cli::broker::{TIMEOUT, refused, unavailable};
use crate::cli::output::{line, plural, table, warn};
use crate::cli::{Code, ConfigSource, Failure, runtime};
use crate::codes::{self, Coded};
use crate::config::Config;
use crate::connector::preflight;
use crate::kafka::cause::{Cause, Doing, Resource, Who, Why};
use crate::kafka::cluster::cluster_id;
use crate::kafka::topics::{Cleanup, Created, Description, Found, Topic, create, describe};

/// Create the topics, or show whether those that are there will do
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp topics create --partitions 6 --replication 3
  kafka-smpp topics describe

Topics that exist are left as they are. Those that are not as asked for are named, with what to do,
and the exit code is 69: another number of partitions or replicas (where --partitions or
--replication say one), or a cleanup policy that loses what the connector needs.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
    #[command(subcommand)]
    what: What,
}

/// How long until the brokers are asked again for topics that were just created.
const AGAIN: Duration = Duration::from_millis(250);

#[derive(Subcommand)]
enum What {
    /// Create those that are missing; say what of the others is not as asked for
    Create {
        /// How many partitions each gets, 1 by default. Every partition of an outbound topic opens a
        /// bind
        #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Replicas of each partition; without it the brokers' default
        #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        replication: Option<i32>,
    },
    /// Show partitions, replicas and cleanup policies
    Describe,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    match args.what {
        What::Create {
            partitions,
            replication,
        } => make(&config, partitions, replication),
        What::Describe => {
            let state = State::of(&config)?;
            state.print()?;
            state.verdict(&config)
        }
    }
}

fn make(config: &Config, asked: Option<i32>, replication: Option<i32>) -> Result<(), Failure> {
    let partitions = asked.unwrap_or(1);
    for esme in &config.esme {
        let most = esme.max_partitions().unwrap_or(u32::MAX);
        if u32::try_from(partitions).is_ok_and(|n| n > most) {
            let text = format!(
                "{} may have {} binds, enough for {most} partitions, not for {partitions}: create fewer, or raise max_binds",
                esme.name, esme.max_binds
            );
            return Err(Failure::new(Code::Config, codes::TOO_MANY_BINDS, text));
        }
    }
    let wanted = config.wanted_topics(partitions);
    cluster_id(&config.kafka.reader(), &config.topics.responses, TIMEOUT)
        .map_err(|cause| unavailable("Kafka", &cause))?;
    let outcome = runtime()?
        .block_on(create(&config.kafka.client(), &wanted, replication))
        .map_err(refused(
            &Who::of(&config.kafka.client()),
            "the topics cannot be created",
            &Doing::Asking,
        ))?;
    let mut refused = Vec::new();
    let mut existing = Vec::new();
    for (name, created) in outcome {
        match created {
            Created::Created => line(format_args!("{name}\tcreated"))?,
            Created::Exists => {
                line(format_args!("{name}\texists"))?;
                existing.push(name);
            }
            Created::Refused(why) => {
                let hint = if why.contains("ReplicationFactor") {
                    ": there are fewer brokers than --replication says; lower it, or leave it out for the brokers' default"
                } else {
                    ""
                };
                let text = format!("topic {name}: {why}{hint}");
                refused.push(Coded::new(codes::TOPIC_NOT_CREATED, text));
            }
        }
    }
    if !refused.is_empty() {
        return Err(Failure::of(Code::Unavailable, refused));
    }
    let state = State::known(config)?;
    let mut wrong: Vec<Coded> = (state.found.topics.iter())
        .filter(|found| existing.contains(&found.name))
        .flat_map(|found| {
            let fixed = [&config.topics.correlation, &config.topics.deliveries];
            // One partition is enough for these, whatever the others have.
            let single = [&config.topics.status, &config.topics.control];
            let asked = asked.filter(|_| !single.contains(&&found.name));
            let differ = differences(found, asked, replication, fixed.contains(&&found.name));
            let coded = |text| Coded::new(codes::TOPIC_DIFFERS, text);
            differ.into_iter().map(coded)
        })
        .collect();
    if let Err(failure) = state.verdict(config) {
        wrong.extend(failure.faults);
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::of(Code::Unavailable, wrong))
    }
}

/// How a topic that was there differs from what was asked for. Of those that are `fixed` the number
/// of partitions must not change.
fn differences(
    found: &Description,
    partitions: Option<i32>,
    replication: Option<i32>,
    fixed: bool,
) -> Vec<String> {
    let name = &found.name;
    let mut differences = Vec::new();
    if let Some(asked) = partitions.filter(|asked| *asked != found.partitions) {
        let has = plural(usize::try_from(found.partitions).unwrap_or(0), "partition");
        let remedy = if fixed {
            "it keeps the number it has, because receipts are looked for by it: ask for as many, or create all topics anew while nothing awaits its receipt".to_owned()
        } else if asked > found.partitions {
            format!(
                "to add the others, run: kafka-topics.sh --bootstrap-server HOST:PORT --alter --topic {name} --partitions {asked}"
            )
        } else {
            format!(
                "Kafka takes none away: ask for {}, or create the topic anew once it is empty",
                found.partitions
            )
        };
        differences.push(format!(
            "topic {name} exists and has {has}, not {asked}: {remedy}"
        ));
    }
    let replicas = usize::try_from(replication.unwrap_or(0)).unwrap_or(0);
    if replicas > 0 && replicas != found.replication {
        let has = plural(found.replication, "replica");
        differences.push(format!(
            "topic {name} exists and has {has} of each partition, not {replicas}: to change that, run kafka-reassign-partitions.sh, or leave --replication out"
        ));
    }
    differences
}

/// A topic that was just created, perhaps by another who was a little earlier, is known to all
/// brokers after so long.
const KNOWN: Duration = Duration::from_secs(15);
/// The same of its settings.
const SEEN: Duration = Duration::from_secs(3);

/// The topics as they are.
pub(super) struct State {
    wanted: Vec<Topic>,
    found: Found,
}

impl State {
    /// Asks Kafka.
    pub fn of(config: &Config) -> Result<State, Failure> {
        let wanted = config.wanted_topics(1);
        let names: Vec<&str> = wanted.iter().map(|t| t.name.as_str()).collect();
        let found = runtime()?
            .block_on(describe(&config.kafka.reader(), &names))
            .map_err(|cause| unavailable("the topics cannot be described", &cause))?;
        Ok(State { wanted, found })
    }

    /// Asks Kafka until it knows all topics, which are there.
    fn known(config: &Config) -> Result<State, Failure> {
        let begun = Instant::now();
        loop {
            let state = State::of(config)?;
            let missing = state.missing().next().is_some();
            // Settings that are not there yet look like those that may not be seen.
            let timeout = if missing { KNOWN } else { SEEN };
            let whole = !missing && state.found.unseen.is_empty();
            if whole || begun.elapsed() >= timeout {
                return Ok(state);
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Those that do not exist.
    fn missing(&self) -> impl Iterator<Item = &Topic> {
        let closed = |name: &str| {
            self.found.closed.iter().any(|cause| match &cause.why {
                Why::Denied { resource, .. } => *resource == Resource::Topic(name.to_owned()),
                _ => false,
            })
        };
        let wanted = self.wanted.iter();
        wanted.filter(move |topic| self.find(&topic.name).is_none() && !closed(&topic.name))
    }

    fn find(&self, name: &str) -> Option<&Description> {
        self.found.topics.iter().find(|d| d.name == name)
    }

    fn count(&self, name: &str) -> Option<i32> {
        self.find(name).map(|d| d.partitions)
    }

    /// Whether a topic is not seen, or is not there.
    pub fn lacks(&self, name: &str) -> bool {
        self.find(name).is_none()
    }

    /// Whether a topic keeps the last record of every key; `None` if that is not seen.
    pub fn is_compacted(&self, name: &str) -> Option<bool> {
        let policy = &self.find(name)?.cleanup_policy;
        (!policy.is_empty()).then(|| policy.trim() == Cleanup::Compact.to_string())
    }

    /// Shows them.
    pub fn print(&self) -> Result<(), Failure> {
        let row = |topic: &Topic| match self.find(&topic.name) {
            None => [
                topic.name.clone(),
                if self.missing().any(|missing| missing == topic) {
                    "missing".into()
                } else {
                    "not visible".into()
                },
                String::new(),
                String::new(),
            ],
            Some(d) => [
                d.name.clone(),
                d.partitions.to_string(),
                d.replication.to_string(),
                if d.cleanup_policy.is_empty() {
                    "not visible".into()
                } else {
                    d.cleanup_policy.clone()
                },
            ],
        };
        let rows: Vec<_> = self.wanted.iter().map(row).collect();
        table(["topic", "partitions", "replicas", "cleanup"], &rows)?;
        Ok(())
    }

    /// Those that this user may not see.
    pub fn closed(&self) -> &[Cause] {
        &self.found.closed
    }

    /// Says all that is wrong with them.
    pub fn verdict(&self, config: &Config) -> Result<(), Failure> {
        let mut wrong: Vec<Coded> = self.closed().iter().map(Cause::coded).collect();
        wrong.extend(self.faults(config)?);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Failure::of(Code::Unavailable, wrong))
        }
    }

    /// All that is wrong with those that are seen, and missing, after what passes by itself and is
    /// none: partitions are added to one topic after the other.
    pub fn faults(&self, config: &Config) -> Result<Vec<Coded>, Failure> {
        for esme in &config.esme {
            for passing in preflight::uneven_priority_topics(esme, |name| self.count(name)) {
                warn(&passing)?;
            }
        }
        for cause in &self.found.unseen {
            let text = format!("whether the topic's cleanup.policy is right is not known: {cause}");
            warn(&Coded::new(cause.code(), text))?;
        }
        Ok(self.wrong(config))
    }

    fn wrong(&self, config: &Config) -> Vec<Coded> {
        let mut wrong = Vec::new();
        for topic in self.missing() {
            let text = format!(
                "topic {} is missing: run kafka-smpp topics create",
                topic.name
            );
            wrong.push(Coded::new(codes::TOPIC_MISSING, text));
        }
        for topic in &self.wanted {
            if let Some(found) = self.find(&topic.name) {
                let fault = topic.fault(found).map(|fault| fault.to_string());
                wrong.extend(fault.map(|text| Coded::new(codes::TOPIC_CLEANUP, text)));
            }
        }
        let count = |name: &str| self.count(name);
        let (correlation, deliveries) = (&config.topics.correlation, &config.topics.deliveries);
        if let Some((a, b)) = preflight::unequal_internal_topics(config, count) {
            let text = format!(
                "{correlation} has {a} partitions and {deliveries} {b}: they must have the same number"
            );
            wrong.push(Coded::new(codes::INTERNAL_TOPICS_DIFFER, text));
        }
        for esme in &config.esme {
            let Some(leases) = esme.leases().and_then(count) else {
                continue;
            };
            if let Some(most) = esme.max_partitions()
                && u32::try_from(leases).is_ok_and(|n| n > most)
            {
                let text = format!(
                    "{} has {leases} partitions, but max_binds of {} allows binds for {most}",
                    esme.leases().unwrap_or_default(),
                    esme.name
                );
                wrong.push(Coded::new(codes::TOO_MANY_BINDS, text));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_said_with_what_to_do() {
        let found = Description {
            name: "sms.outbound".into(),
            partitions: 2,
            replication: 3,
            cleanup_policy: "delete".into(),
            max_message_octets: None,
        };
        let told = |partitions, replication, fixed| {
            differences(&found, partitions, replication, fixed).join("\n")
        };
        assert_eq!(told(None, None, false), "");
        assert_eq!(told(Some(2), Some(3), true), "");
        let fewer = told(Some(3), None, false);
        assert!(fewer.contains("has 2 partitions, not 3"), "{fewer}");
        assert!(fewer.contains("--alter --topic sms.outbound --partitions 3"));
        assert!(told(Some(1), None, false).contains("ask for 2"));
        assert!(told(Some(3), None, true).contains("keeps the number it has"));
        let both = told(Some(3), Some(1), false);
        assert!(
            both.contains("has 3 replicas of each partition, not 1"),
            "{both}"
        );
        assert_eq!(both.lines().count(), 2);
    }
}
