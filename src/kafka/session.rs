//! How long the brokers keep a silent member of a group.
//!
//! In the classic protocol the client says it (`session.timeout.ms`). In that of KIP-848 the
//! brokers do: `group.consumer.session.timeout.ms`, or `consumer.session.timeout.ms` of the
//! group. Whoever holds a partition has to know, because a process that is cut off must have
//! stopped writing before its partitions are somebody else's.

use std::time::Duration;

use rdkafka::admin::{AdminClient, ConfigResourceResult, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

use super::topics::{admin, options};

/// What the brokers do unless somebody configures otherwise.
pub const DEFAULT: Duration = Duration::from_secs(45);

const OF_GROUP: &str = "consumer.session.timeout.ms";
const OF_BROKER: &str = "group.consumer.session.timeout.ms";
const METADATA: Duration = Duration::from_secs(10);

/// The session time-out of members of `group` that use the protocol of KIP-848: the shortest
/// that any broker has, where they differ.
///
/// # Errors
///
/// When the brokers do not say (it takes `DESCRIBE_CONFIGS` on the cluster, or on the group).
pub async fn timeout(client: &ClientConfig, group: &str) -> Result<Duration, KafkaError> {
    let admin = admin(client)?;
    // Brokers that know no configuration of groups answer with an error.
    let of_group = ask(&admin, ResourceSpecifier::Group(group), OF_GROUP).await;
    if let Ok(Some(timeout)) = of_group {
        return Ok(timeout);
    }
    let (admin, brokers) = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, METADATA)?;
        let brokers: Vec<i32> = metadata.brokers().iter().map(|b| b.id()).collect();
        Ok::<_, KafkaError>((admin, brokers))
    })
    .await
    .map_err(|_| KafkaError::Canceled)??;
    let mut shortest: Option<Duration> = None;
    for broker in brokers {
        let found = ask(&admin, ResourceSpecifier::Broker(broker), OF_BROKER).await?;
        shortest = [shortest, found].into_iter().flatten().min();
    }
    // Brokers that do not have it do not speak the protocol either.
    Ok(shortest.unwrap_or(DEFAULT))
}

async fn ask(
    admin: &AdminClient<DefaultClientContext>,
    of: ResourceSpecifier<'_>,
    key: &str,
) -> Result<Option<Duration>, KafkaError> {
    let found: Vec<ConfigResourceResult> = admin.describe_configs(&[of], &options()).await?;
    for resource in found {
        let resource = resource.map_err(KafkaError::AdminOp)?;
        let entry = resource.get(key).and_then(|entry| entry.value.as_deref());
        if let Some(millis) = entry.and_then(|value| value.parse().ok()) {
            return Ok(Some(Duration::from_millis(millis)));
        }
    }
    Ok(None)
}
