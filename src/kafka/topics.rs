//! The topics the connector needs: creating them, and looking whether what is there will do.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::util::Timeout;
use thiserror::Error;

use super::cause::{Cause, Doing, Who, Why, explain, of_error};
use super::cluster::Inquiry;
use super::ear::Plain;
use super::group::partition_count;
use super::token;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What Kafka does with old records of a topic (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Deletes them after the topic's retention.
    Delete,
    /// Keeps the last record of every key.
    Compact,
    /// Keeps the last record of every key, and that until the topic's retention.
    CompactAndDelete,
}

impl fmt::Display for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cleanup::Delete => "delete",
            Cleanup::Compact => "compact",
            Cleanup::CompactAndDelete => "compact,delete",
        })
    }
}

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it is created with.
    pub partitions: i32,
    /// Its `cleanup.policy`.
    pub cleanup: Cleanup,
    /// Other properties to create it with, such as `retention.ms`.
    pub configs: Vec<(String, String)>,
}

/// What came of creating one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there now and was not before.
    Created,
    /// It was there already: [`describe`] and [`Topic::fault`] say whether it will do.
    Exists,
    /// The broker refused.
    Refused(String),
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas its first partition has.
    pub replication: usize,
    /// Its `cleanup.policy` as the broker spells it; empty if we may not see it.
    pub cleanup_policy: String,
    /// Its largest record batch in octets (`max.message.bytes`).
    pub max_message_octets: Option<u64>,
}

/// Why an existing topic will not do. Its text names the remedy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Old records are dealt with wrongly: correlation would be lost, or events would be.
    #[error(
        "topic {topic}: cleanup.policy is {found:?} and must be {wanted}. If nothing else uses the topic, run: kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=[{wanted}]"
    )]
    Cleanup {
        /// The topic.
        topic: String,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: Cleanup,
    },
}

impl Topic {
    /// What is wrong with the cleanup policy of the topic as it is, if anything.
    pub fn fault(&self, found: &Description) -> Option<Fault> {
        let found_words: BTreeSet<&str> = words(&found.cleanup_policy);
        let wanted = self.cleanup.to_string();
        let known = !found.cleanup_policy.is_empty();
        (known && found_words != words(&wanted)).then(|| Fault::Cleanup {
            topic: self.name.clone(),
            found: found.cleanup_policy.clone(),
            wanted: self.cleanup,
        })
    }
}

/// What a policy consists of, in whatever order.
fn words(policy: &str) -> BTreeSet<&str> {
    policy.split(',').map(str::trim).collect()
}

/// Creates those of `topics` that do not exist. `replication` is their replication factor;
/// `None` leaves it to the broker (`default.replication.factor`). Created topics are known
/// to the brokers when this returns.
pub async fn create(
    client: &ClientConfig,
    topics: &[Topic],
    replication: Option<i32>,
) -> Result<Vec<(String, Created)>, KafkaError> {
    let (admin, who) = (admin(client)?, Who::of(client));
    let policies: Vec<String> = topics.iter().map(|t| t.cleanup.to_string()).collect();
    let wanted: Vec<NewTopic<'_>> = topics
        .iter()
        .zip(&policies)
        .map(|(topic, policy)| {
            let replication = TopicReplication::Fixed(replication.unwrap_or(-1));
            let new = NewTopic::new(&topic.name, topic.partitions, replication)
                .set("cleanup.policy", policy);
            topic.configs.iter().fold(new, |new, (k, v)| new.set(k, v))
        })
        .collect();
    let results = admin.create_topics(&wanted, &options()).await?;
    let outcomes = results.into_iter().map(|result| match result {
        Ok(name) => (name, Created::Created),
        Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => (name, Created::Exists),
        Err((name, code)) => {
            let cause = explain(&who, Some(code), "", &Doing::Creating(&name));
            (name, Created::Refused(cause.to_string()))
        }
    });
    Ok(outcomes.collect())
}

/// What was found of topics.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those that exist, in the order in which they were asked for.
    pub topics: Vec<Description>,
    /// Those that this user may not see: whether they exist is not known.
    pub closed: Vec<Cause>,
    /// Those whose settings it may not see: [`Description::cleanup_policy`] is empty then.
    pub unseen: Vec<Cause>,
}

/// What there is of the topics `names`.
///
/// # Errors
///
/// Why no broker answers.
pub async fn describe(client: &ClientConfig, names: &[&str]) -> Result<Found, Cause> {
    let (asked, topics) = (client.clone(), owned(names));
    let looked = tokio::task::spawn_blocking(move || {
        let topics = topics.iter().map(String::as_str);
        Inquiry::new(&asked)?.describe(topics, TIMEOUT, layout)
    });
    let (layout, closed) = looked.await.unwrap_or_else(|_| Err(stopped(client)))?;
    let mut found = Found {
        closed,
        ..Found::default()
    };
    if layout.is_empty() {
        return Ok(found);
    }
    let resources: Vec<_> = (layout.iter())
        .map(|(name, _)| ResourceSpecifier::Topic(name))
        .collect();
    let who = Who::of(client);
    if token::is_ours(client) {
        let error = KafkaError::AdminOpCreation(NO_ADMIN.into());
        found.unseen.push(of_error(&who, &error, &Doing::Asking));
        let unseen = |(name, (partitions, replication))| Description {
            name,
            partitions,
            replication,
            cleanup_policy: String::new(),
            max_message_octets: None,
        };
        found.topics.extend(layout.into_iter().map(unseen));
        return Ok(found);
    }
    let admin = admin(client).map_err(|error| of_error(&who, &error, &Doing::Asking))?;
    let configs = admin.describe_configs(&resources, &options()).await;
    let configs = configs.map_err(|error| of_error(&who, &error, &Doing::Asking))?;
    for ((name, (partitions, replication)), config) in layout.iter().zip(configs) {
        let mut description = Description {
            name: name.clone(),
            partitions: *partitions,
            replication: *replication,
            cleanup_policy: String::new(),
            max_message_octets: None,
        };
        match config {
            // The wrapper of librdkafka has no errors of single topics: they are without settings.
            Ok(config) if config.entries.is_empty() => {
                let code = RDKafkaErrorCode::TopicAuthorizationFailed;
                found
                    .unseen
                    .push(explain(&who, Some(code), "", &Doing::Configs(name)));
            }
            Ok(config) => {
                let value = |key| config.get(key).and_then(|entry| entry.value.clone());
                description.cleanup_policy = value("cleanup.policy").unwrap_or_default();
                description.max_message_octets =
                    value("max.message.bytes").and_then(|v| v.parse().ok());
            }
            Err(code) => {
                let cause = explain(&who, Some(code), "", &Doing::Configs(name));
                match cause.why {
                    // Deleted, or so new that not all brokers know it.
                    Why::NoTopic(_) => continue,
                    Why::Denied { .. } => found.unseen.push(cause),
                    _ => return Err(cause),
                }
            }
        }
        found.topics.push(description);
    }
    Ok(found)
}

/// How long a topic keeps its records, as far as its settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Its `cleanup.policy`; empty if we may not see it.
    pub cleanup_policy: String,
    /// Its `retention.ms`; -1 is without end.
    pub retention_ms: Option<i64>,
    /// Its `segment.ms`.
    pub segment_ms: Option<i64>,
    /// Its `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: Option<i64>,
}

/// When a record is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// At this time at the latest, in Unix milliseconds, if the brokers do their work.
    By(i64),
    /// Never.
    Never,
    /// Nobody told us.
    Unknown,
}

impl Retention {
    /// When a record that was written at `written` (in Unix milliseconds) is gone. Segments are deleted as
    /// a whole, by their newest record.
    pub fn gone(&self, written: i64) -> Gone {
        if self.cleanup_policy.is_empty() {
            return Gone::Unknown;
        }
        match self.retention_ms {
            _ if !words(&self.cleanup_policy).contains("delete") => Gone::Never,
            None => Gone::Unknown,
            Some(retention) if retention < 0 => Gone::Never,
            Some(retention) => {
                let segment = self.segment_ms.unwrap_or_default();
                Gone::By(written.saturating_add(retention).saturating_add(segment))
            }
        }
    }

    /// How long at most what was deleted by a tombstone may stay, in milliseconds; `None` without end.
    pub fn compaction_lag(&self) -> Option<u64> {
        let lag = self.max_compaction_lag_ms.filter(|lag| *lag < i64::MAX)?;
        u64::try_from(lag).ok()
    }
}

/// How long these topics keep their records; of one that is missing, or whose settings we may not see,
/// nothing is known, and of none where we log in with tokens of our own.
///
/// # Errors
///
/// When no broker answers.
pub async fn retention(
    client: &ClientConfig,
    names: &[&str],
) -> Result<HashMap<String, Retention>, KafkaError> {
    if token::is_ours(client) {
        let unknown = |name: &&str| ((*name).to_owned(), Retention::default());
        return Ok(names.iter().map(unknown).collect());
    }
    let resources: Vec<_> = names
        .iter()
        .map(|name| ResourceSpecifier::Topic(name))
        .collect();
    let admin = admin(client)?;
    let configs = admin.describe_configs(&resources, &options()).await?;
    let known = names.iter().zip(configs).map(|(name, config)| {
        let retention = config.map_or_else(
            |_| Retention::default(),
            |config| {
                let text = |key| config.get(key).and_then(|entry| entry.value.clone());
                let number = |key| text(key).and_then(|text| text.parse().ok());
                Retention {
                    cleanup_policy: text("cleanup.policy").unwrap_or_default(),
                    retention_ms: number("retention.ms"),
                    segment_ms: number("segment.ms"),
                    max_compaction_lag_ms: number("max.compaction.lag.ms"),
                }
            },
        );
        ((*name).to_owned(), retention)
    });
    Ok(known.collect())
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn stopped(client: &ClientConfig) -> Cause {
    of_error(&Who::of(client), &KafkaError::Canceled, &Doing::Asking)
}

/// How many partitions a topic has, and replicas. Asked as a consumer, which creates none by asking.
fn layout(
    consumer: &BaseConsumer<Plain>,
    name: &str,
    wait: Duration,
) -> Result<(i32, usize), KafkaError> {
    let count = partition_count(consumer, name, wait)?;
    let metadata = consumer.fetch_metadata(Some(name), wait)?;
    let topic = metadata.topics().first();
    let first = topic.and_then(|topic| topic.partitions().first());
    Ok((count, first.map_or(0, |p| p.replicas().len())))
}

/// What the error says where a client of this kind cannot be had.
pub(super) const NO_ADMIN: &str = "no administrative client with tokens of our own";

/// # Errors
///
/// At once with [`NO_ADMIN`] where it would wait for a token for ever.
pub(super) fn admin(client: &ClientConfig) -> Result<AdminClient<Plain>, KafkaError> {
    if token::is_ours(client) {
        return Err(KafkaError::AdminOpCreation(NO_ADMIN.into()));
    }
    client.create_with_context(Plain::of(client))
}

fn options() -> AdminOptions {
    let timeout = Some(Timeout::After(TIMEOUT));
    AdminOptions::new()
        .operation_timeout(timeout)
        .request_timeout(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_topic_says_when_a_record_is_gone() {
        let of = |policy: &str, retention_ms| Retention {
            cleanup_policy: policy.into(),
            retention_ms,
            segment_ms: Some(10),
            max_compaction_lag_ms: None,
        };
        for (policy, retention, gone) in [
            ("delete", Some(100), Gone::By(115)),
            ("compact, delete", Some(100), Gone::By(115)),
            ("delete", Some(-1), Gone::Never),
            ("compact", Some(100), Gone::Never),
            ("delete", None, Gone::Unknown),
            ("", None, Gone::Unknown),
        ] {
            assert_eq!(
                of(policy, retention).gone(5),
                gone,
                "{policy} {retention:?}"
            );
        }
        let lag = |max_compaction_lag_ms| Retention {
            max_compaction_lag_ms,
            ..Retention::default()
        };
        assert_eq!(lag(Some(i64::MAX)).compaction_lag(), None);
        assert_eq!(lag(Some(60_000)).compaction_lag(), Some(60_000));
        assert_eq!(lag(None).compaction_lag(), None);
    }
}
