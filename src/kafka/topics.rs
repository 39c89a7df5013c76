//! The topics the connector needs: creating them, and looking whether what is there will do.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::util::Timeout;
use thiserror::Error;

const PATIENCE: Duration = Duration::from_secs(30);

/// What Kafka does with old records of a topic (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Deletes them after the topic's retention.
    Delete,
    /// Keeps the last record of every key.
    Compact,
}

impl fmt::Display for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cleanup::Delete => "delete",
            Cleanup::Compact => "compact",
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
    /// Its `cleanup.policy` as the broker spells it.
    pub cleanup_policy: String,
    /// Its largest record batch in octets (`max.message.bytes`).
    pub max_message_octets: Option<u64>,
}

/// Why an existing topic will not do. Its text names the remedy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Old records are dealt with wrongly: correlation would be lost, or events would be.
    #[error(
        "topic {topic}: cleanup.policy is {found:?} and must be {wanted}. If nothing else uses the topic, run: kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy={wanted}"
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
        (found.cleanup_policy != self.cleanup.to_string()).then(|| Fault::Cleanup {
            topic: self.name.clone(),
            found: found.cleanup_policy.clone(),
            wanted: self.cleanup,
        })
    }
}

/// Creates those of `topics` that do not exist. `replication` is their replication factor;
/// `None` leaves it to the broker (`default.replication.factor`). Created topics are known
/// to the brokers when this returns.
pub async fn create(
    client: &ClientConfig,
    topics: &[Topic],
    replication: Option<i32>,
) -> Result<Vec<(String, Created)>, KafkaError> {
    let admin = admin(client)?;
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
        Err((name, code)) => (name, Created::Refused(code.to_string())),
    });
    Ok(outcomes.collect())
}

/// The topics among `names` that exist, in the order of `names`.
pub async fn describe(
    client: &ClientConfig,
    names: &[&str],
) -> Result<Vec<Description>, KafkaError> {
    let admin = Arc::new(admin(client)?);
    let mut found = layout(admin.clone()).await?;
    found.retain(|name, _| names.contains(&name.as_str()));
    let there: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| found.contains_key(*name))
        .collect();
    let resources: Vec<_> = there.iter().map(|n| ResourceSpecifier::Topic(n)).collect();
    if resources.is_empty() {
        return Ok(Vec::new());
    }
    let configs = admin.describe_configs(&resources, &options()).await?;
    there
        .iter()
        .zip(configs)
        .map(|(name, config)| {
            let config = config.map_err(KafkaError::AdminOp)?;
            let value = |key| config.get(key).and_then(|entry| entry.value.clone());
            let (partitions, replication) = found.get(*name).copied().unwrap_or_default();
            Ok(Description {
                name: (*name).to_owned(),
                partitions,
                replication,
                cleanup_policy: value("cleanup.policy").unwrap_or_default(),
                max_message_octets: value("max.message.bytes").and_then(|v| v.parse().ok()),
            })
        })
        .collect()
}

/// Partitions and replicas of every topic.
async fn layout(
    admin: Arc<AdminClient<DefaultClientContext>>,
) -> Result<HashMap<String, (i32, usize)>, KafkaError> {
    // All topics, because asking for a missing one by name could create it.
    let metadata =
        tokio::task::spawn_blocking(move || admin.inner().fetch_metadata(None, PATIENCE))
            .await
            .map_err(|_| KafkaError::Canceled)??;
    let topics = metadata.topics().iter().map(|topic| {
        let partitions = topic.partitions();
        let replication = partitions.first().map_or(0, |p| p.replicas().len());
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        (topic.name().to_owned(), (count, replication))
    });
    Ok(topics.collect())
}

pub(super) fn admin(
    client: &ClientConfig,
) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    client.create()
}

fn options() -> AdminOptions {
    let patience = Some(Timeout::After(PATIENCE));
    AdminOptions::new()
        .operation_timeout(patience)
        .request_timeout(patience)
}
