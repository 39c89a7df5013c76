//! `kafka-smpp topics`: creating what is missing, and looking at what is there.

use clap::Subcommand;

use super::broker::failed;
use super::output::{line, table, warn};
use super::{Code, Failure, Source, runtime};
use crate::config::Config;
use crate::connector::preflight;
use crate::kafka::topics::{Created, Description, Topic, create, describe};

/// Create the topics, or show whether those that are there will do
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp topics create --partitions 6 --replication 3
  kafka-smpp topics describe")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Create those that are missing; refuse those whose cleanup policy is wrong
    Create {
        /// How many partitions each gets. Every partition of an outbound topic opens a bind
        #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
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

fn make(config: &Config, partitions: i32, replication: Option<i32>) -> Result<(), Failure> {
    for esme in &config.esme {
        let most = esme.max_partitions().unwrap_or(u32::MAX);
        if u32::try_from(partitions).is_ok_and(|n| n > most) {
            let text = format!(
                "{} may have {} binds, enough for {most} partitions, not for {partitions}: create fewer, or raise max_binds",
                esme.name, esme.max_binds
            );
            return Err(Failure::new(Code::Config, text));
        }
    }
    let wanted = config.wanted_topics(partitions);
    let outcome = runtime()?
        .block_on(create(&config.kafka.client(), &wanted, replication))
        .map_err(failed("the topics cannot be created"))?;
    let mut refused = Vec::new();
    for (name, created) in outcome {
        match created {
            Created::Created => line(format_args!("{name}\tcreated"))?,
            Created::Exists => line(format_args!("{name}\texists"))?,
            Created::Refused(why) => {
                let hint = match why.contains("ReplicationFactor") {
                    true => {
                        ": there are fewer brokers than --replication says; lower it, or leave it out for the brokers' default"
                    }
                    false => "",
                };
                refused.push(format!("topic {name}: {why}{hint}"));
            }
        }
    }
    if !refused.is_empty() {
        return Err(Failure::new(Code::Unavailable, refused.join("\n")));
    }
    State::of(config)?.verdict(config)
}

/// The topics as they are.
pub(super) struct State {
    wanted: Vec<Topic>,
    found: Vec<Description>,
}

impl State {
    /// Asks Kafka.
    pub fn of(config: &Config) -> Result<State, Failure> {
        let wanted = config.wanted_topics(1);
        let names: Vec<&str> = wanted.iter().map(|t| t.name.as_str()).collect();
        let found = runtime()?
            .block_on(describe(&config.kafka.client(), &names))
            .map_err(failed("the topics cannot be described"))?;
        Ok(State { wanted, found })
    }

    fn find(&self, name: &str) -> Option<&Description> {
        self.found.iter().find(|d| d.name == name)
    }

    fn count(&self, name: &str) -> Option<i32> {
        self.find(name).map(|d| d.partitions)
    }

    /// Shows them.
    pub fn print(&self) -> Result<(), Failure> {
        let row = |topic: &Topic| match self.find(&topic.name) {
            None => [
                topic.name.clone(),
                "missing".into(),
                String::new(),
                String::new(),
            ],
            Some(d) => [
                d.name.clone(),
                d.partitions.to_string(),
                d.replication.to_string(),
                d.cleanup_policy.clone(),
            ],
        };
        let rows: Vec<_> = self.wanted.iter().map(row).collect();
        table(["topic", "partitions", "replicas", "cleanup"], &rows)?;
        Ok(())
    }

    /// Says all that is wrong with them, after what passes by itself and is none: partitions are
    /// added to one topic after the other.
    pub fn verdict(&self, config: &Config) -> Result<(), Failure> {
        for esme in &config.esme {
            for passing in preflight::lanes(esme, |name| self.count(name)) {
                warn(&passing)?;
            }
        }
        let wrong = self.wrong(config);
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(Code::Unavailable, wrong.join("\n"))),
        }
    }

    fn wrong(&self, config: &Config) -> Vec<String> {
        let mut wrong = Vec::new();
        for topic in &self.wanted {
            match self.find(&topic.name) {
                None => wrong.push(format!(
                    "topic {} is missing: run kafka-smpp topics create",
                    topic.name
                )),
                Some(found) => wrong.extend(topic.fault(found).map(|fault| fault.to_string())),
            }
        }
        let count = |name: &str| self.count(name);
        let (correlation, deliveries) = (&config.topics.correlation, &config.topics.deliveries);
        if let (Some(a), Some(b)) = (count(correlation), count(deliveries))
            && a != b
        {
            wrong.push(format!(
                "{correlation} has {a} partitions and {deliveries} {b}: they must have the same number"
            ));
        }
        for esme in &config.esme {
            let Some(leases) = esme.leases().and_then(count) else {
                continue;
            };
            if let Some(most) = esme.max_partitions()
                && u32::try_from(leases).is_ok_and(|n| n > most)
            {
                wrong.push(format!(
                    "{} has {leases} partitions, but max_binds of {} allows binds for {most}",
                    esme.leases().unwrap_or_default(),
                    esme.name
                ));
            }
        }
        wrong
    }
}
