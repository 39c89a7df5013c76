//! Which cluster a client talks to, and what is there.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::group::partition_count;

/// The cluster's id as its brokers give it. Blocks for up to `patience`.
pub fn cluster_id(client: &ClientConfig, patience: Duration) -> Result<String, KafkaError> {
    let consumer: BaseConsumer = client.create()?;
    // Says why, where the id alone would only be missing.
    consumer.fetch_metadata(None, patience)?;
    consumer
        .client()
        .fetch_cluster_id(patience)
        .ok_or(KafkaError::MetadataFetch(
            RDKafkaErrorCode::OperationTimedOut,
        ))
}

/// A look at the cluster.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The cluster's id.
    pub cluster_id: String,
    /// How many partitions each topic has; topics that do not exist are missing.
    pub partitions: HashMap<String, i32>,
}

/// Looks at the cluster and the named topics. Blocks for at most `patience` per question.
///
/// # Errors
///
/// When no broker answers in time.
pub fn survey<'a>(
    client: &ClientConfig,
    topics: impl IntoIterator<Item = &'a str>,
    patience: Duration,
) -> Result<Survey, KafkaError> {
    let consumer: BaseConsumer = client.create()?;
    let mut partitions = HashMap::new();
    for topic in topics {
        match partition_count(&consumer, topic, patience) {
            Ok(count) => drop(partitions.insert(topic.to_owned(), count)),
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
            )) => {}
            Err(error) => return Err(error),
        }
    }
    let cluster_id =
        consumer
            .client()
            .fetch_cluster_id(patience)
            .ok_or(KafkaError::MetadataFetch(
                RDKafkaErrorCode::OperationTimedOut,
            ))?;
    Ok(Survey {
        cluster_id,
        partitions,
    })
}
