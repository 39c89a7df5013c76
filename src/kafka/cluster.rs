//! Which cluster a client talks to, and what is there.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use tracing::debug;

use super::group::partition_count;

/// What a client says of brokers that are away: whoever asks is told in the answer.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "looking at the cluster");
    }
}

impl ConsumerContext for Quiet {}

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
    let consumer: BaseConsumer<Quiet> = client.create_with_context(Quiet)?;
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

/// Whether the brokers take an offset with metadata of so many characters
/// (`offset.metadata.max.bytes`). Only a commit tells: one of offset 0 of a partition of
/// `topic`, in the group that `client` names, which nobody else may use.
///
/// # Errors
///
/// When the brokers refuse the commit for another reason.
pub fn takes_metadata(
    client: &ClientConfig,
    topic: &str,
    characters: usize,
) -> Result<bool, KafkaError> {
    let consumer: BaseConsumer = client.create()?;
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition(topic, 0);
    element.set_offset(Offset::Offset(0))?;
    element.set_metadata("x".repeat(characters));
    match consumer.commit(&offsets, CommitMode::Sync) {
        Ok(()) => Ok(true),
        Err(error) => match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::OffsetMetadataTooLarge) => Ok(false),
            _ => Err(error),
        },
    }
}
