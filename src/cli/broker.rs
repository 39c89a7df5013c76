//! What commands share in talking to Kafka.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::{Code, Failure};
use crate::codes;
use crate::config::Config;
use crate::kafka::ErrorClass;
use crate::kafka::Partition;
use crate::kafka::cause::{Cause, Doing, Who, Why, of_error};
use crate::kafka::cluster::connected;
use crate::kafka::ear::Plain;
use crate::kafka::group::partition_count;

/// How long Kafka may take to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Turns an error of Kafka into a failure that says what was tried.
pub(super) fn failed(what: impl std::fmt::Display) -> impl FnOnce(KafkaError) -> Failure {
    move |error| {
        let class = ErrorClass::of_error(&error);
        let hint = match class {
            ErrorClass::NoTopic => {
                " (does the topic exist? kafka-smpp topics create makes those that are missing)"
            }
            ErrorClass::NoBroker => " (kafka-smpp check --connect says why)",
            _ => "",
        };
        let code = match class {
            ErrorClass::NoTopic => codes::TOPIC_MISSING,
            ErrorClass::NoBroker => codes::KAFKA_UNREACHABLE,
            _ => codes::KAFKA_FAILED,
        };
        Failure::new(Code::Unavailable, code, format!("{what}: {error}{hint}"))
    }
}

/// The failure that a cause is.
pub(super) fn unavailable(what: impl std::fmt::Display, cause: &Cause) -> Failure {
    Failure::new(Code::Unavailable, cause.code(), format!("{what}: {cause}"))
}

/// As [`failed`], of what was being done: the cause has its remedy.
pub(super) fn refused(
    who: &Who,
    what: impl std::fmt::Display,
    doing: &Doing<'_>,
) -> impl FnOnce(KafkaError) -> Failure {
    move |error| {
        let cause = of_error(who, &error, doing);
        match cause.why {
            Why::Denied { .. } | Why::NoTopic(_) | Why::Properties | Why::NoAdmin => {
                unavailable(what, &cause)
            }
            _ => failed(what)(error),
        }
    }
}

/// A consumer for looking around: it joins no group. `isolation` is `read_committed` or
/// `read_uncommitted`.
pub(super) fn reader(config: &Config, isolation: &str) -> Result<Client, Failure> {
    let mut client = config.kafka.reader();
    client.set("isolation.level", isolation);
    connect(config, &client)
}

/// A consumer that has found a broker.
pub(super) fn connect(config: &Config, client: &ClientConfig) -> Result<Client, Failure> {
    connected(client, &config.topics.responses, TIMEOUT)
        .map_err(|cause| Failure::new(Code::Unavailable, cause.code(), cause.to_string()))
}

/// A consumer that looks around.
pub(super) type Client = BaseConsumer<Plain>;

/// Who a client is to Kafka.
pub(super) fn who(client: &Client) -> &Who {
    client.client().context().0.who()
}

/// All partitions of `topic`.
pub(super) fn partitions(consumer: &Client, topic: &str) -> Result<Vec<Partition>, Failure> {
    let looking = Doing::Describing(topic);
    let count = partition_count(consumer, topic, TIMEOUT).map_err(refused(
        who(consumer),
        format!("topic {topic}"),
        &looking,
    ))?;
    let partition = |partition| Partition {
        topic: topic.into(),
        partition,
    };
    Ok((0..count).map(partition).collect())
}

/// First offset and end of a partition's log.
pub(super) fn watermarks(consumer: &Client, p: &Partition) -> Result<(i64, i64), Failure> {
    consumer
        .fetch_watermarks(&p.topic, p.partition, TIMEOUT)
        .map_err(failed(format!("offsets of {p}")))
}

/// Each cause once. That a topic does not exist is said with the topics.
pub(super) fn each_once(causes: &mut Vec<Cause>) {
    let mut shown = BTreeSet::new();
    causes.retain(|cause| !matches!(cause.why, Why::NoTopic(_)) && shown.insert(cause.to_string()));
}
