//! What commands share in talking to Kafka.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Code, Failure};
use crate::config::Config;
use crate::kafka::Partition;
use crate::kafka::group::partition_count;

/// How long Kafka may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Turns an error of Kafka into a failure that says what was tried.
pub(super) fn failed(what: impl std::fmt::Display) -> impl FnOnce(KafkaError) -> Failure {
    move |error| {
        let hint = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                " (does the topic exist? kafka-smpp topics create makes those that are missing)"
            }
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                " (is kafka.bootstrap_servers right, and security in kafka.properties?)"
            }
            _ => "",
        };
        Failure::new(Code::Unavailable, format!("{what}: {error}{hint}"))
    }
}

/// A consumer for looking around: it joins no group. `isolation` is `read_committed` or
/// `read_uncommitted`.
pub(super) fn reader(config: &Config, isolation: &str) -> Result<BaseConsumer, Failure> {
    config
        .kafka
        .reader()
        .set("isolation.level", isolation)
        .create()
        .map_err(failed("no Kafka client can be made"))
}

/// All partitions of `topic`.
pub(super) fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<Partition>, Failure> {
    let count =
        partition_count(consumer, topic, PATIENCE).map_err(failed(format!("topic {topic}")))?;
    let partition = |partition| Partition {
        topic: topic.into(),
        partition,
    };
    Ok((0..count).map(partition).collect())
}

/// First offset and end of a partition's log.
pub(super) fn watermarks(consumer: &BaseConsumer, p: &Partition) -> Result<(i64, i64), Failure> {
    consumer
        .fetch_watermarks(&p.topic, p.partition, PATIENCE)
        .map_err(failed(format!("offsets of {p}")))
}
