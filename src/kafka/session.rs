//! How long the brokers keep a silent member of a group.
//!
//! In the classic protocol the client says it (`session.timeout.ms`). In that of KIP-848 the
//! brokers do: `group.consumer.session.timeout.ms`, or `consumer.session.timeout.ms` of the
//! group. Whoever holds a partition has to know, because a process that is cut off must have
//! stopped writing before its partitions are somebody else's.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResourceResult, ResourceSpecifier};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use tokio::task::JoinSet;

use super::ear::Plain;
use super::notices::BrokerSettingUnknown;
use super::topics::admin;

/// What the brokers do unless somebody configures otherwise.
pub const DEFAULT: Duration = Duration::from_secs(45);

const OF_GROUP: &str = "consumer.session.timeout.ms";
const OF_BROKER: &str = "group.consumer.session.timeout.ms";
const METADATA: Duration = Duration::from_secs(10);

/// How long one broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The session time-out of members of `group` that use the protocol of KIP-848: the shortest
/// that any broker has, where they differ. All are asked at once, and a broker that does not
/// answer takes nothing from what the others said.
///
/// # Errors
///
/// When no broker says it (it takes `DESCRIBE_CONFIGS` on the cluster, or on the group).
pub async fn timeout(client: &ClientConfig, group: &str) -> Result<Duration, KafkaError> {
    let admin = Arc::new(admin(client)?);
    // Brokers that know no configuration of groups answer with an error.
    let of_group = ask(&admin, ResourceSpecifier::Group(group), OF_GROUP).await;
    if let Ok(Some(timeout)) = of_group {
        return Ok(timeout);
    }
    let of = admin.clone();
    let brokers = tokio::task::spawn_blocking(move || {
        let metadata = of.inner().fetch_metadata(None, METADATA)?;
        let brokers: Vec<i32> = metadata.brokers().iter().map(|b| b.id()).collect();
        Ok::<_, KafkaError>(brokers)
    })
    .await
    .map_err(|_| KafkaError::Canceled)??;
    let mut asking = JoinSet::new();
    for broker in brokers {
        let admin = admin.clone();
        asking
            .spawn(async move { ask(&admin, ResourceSpecifier::Broker(broker), OF_BROKER).await });
    }
    shortest(asking.join_all().await)
}

/// The shortest that was answered.
fn shortest(answers: Vec<Result<Option<Duration>, KafkaError>>) -> Result<Duration, KafkaError> {
    let (mut silent, mut answered) = (Vec::new(), Vec::with_capacity(answers.len()));
    for answer in answers {
        match answer {
            Ok(found) => answered.push(found),
            Err(error) => silent.push(error),
        }
    }
    if answered.is_empty()
        && let Some(error) = silent.pop()
    {
        return Err(error);
    }
    for error in silent {
        BrokerSettingUnknown {
            setting: OF_BROKER,
            error: &error,
        }
        .emit();
    }
    // Brokers that do not have it do not speak the protocol either.
    Ok(answered.into_iter().flatten().min().unwrap_or(DEFAULT))
}

async fn ask(
    admin: &AdminClient<Plain>,
    of: ResourceSpecifier<'_>,
    key: &str,
) -> Result<Option<Duration>, KafkaError> {
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let found: Vec<ConfigResourceResult> = admin.describe_configs(&[of], &options).await?;
    for resource in found {
        let resource = resource.map_err(KafkaError::AdminOp)?;
        // The wrapper of librdkafka has no errors of single resources: they are without settings.
        if resource.entries.is_empty() {
            return Err(KafkaError::AdminOp(Code::ClusterAuthorizationFailed));
        }
        let entry = resource.get(key).and_then(|entry| entry.value.as_deref());
        if let Some(millis) = entry.and_then(|value| value.parse().ok()) {
            return Ok(Some(Duration::from_millis(millis)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::error::RDKafkaErrorCode;

    #[test]
    fn a_broker_that_does_not_answer_hides_nothing_that_others_say() {
        let silent = || Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        let says = |seconds| Ok(Some(Duration::from_secs(seconds)));
        for (answers, found) in [
            (vec![says(30), silent(), says(20)], Ok(20)),
            (vec![silent(), says(30)], Ok(30)),
            (vec![silent(), Ok(None)], Ok(DEFAULT.as_secs())),
            (vec![], Ok(DEFAULT.as_secs())),
            (vec![silent(), silent()], Err(())),
        ] {
            let shortest = shortest(answers).map(|t| t.as_secs()).map_err(drop);
            assert_eq!(shortest, found);
        }
    }
}
