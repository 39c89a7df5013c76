//! Which cluster a client talks to.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

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
