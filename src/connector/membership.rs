//! For how long a process may count itself a member after Kafka has heard of it.

use std::time::Duration;

use super::notices::Caution;
use crate::codes::{self, Coded};
use crate::config::{Config, GroupProtocol};
use crate::kafka::cause::{Cause, Doing, Who, of_error};
use crate::kafka::session;

/// The session time-out that the lease on the partitions goes by: the brokers' own where the
/// group protocol leaves it to them, if that is shorter.
pub async fn session_timeout(config: &Config) -> Duration {
    let configured = config.kafka.session_timeout.get();
    if config.kafka.group_protocol == GroupProtocol::Classic {
        return configured;
    }
    let (client, group) = (config.kafka.client(), config.kafka.submit_group());
    let found = session::timeout(&client, &group).await;
    let unknown = |error| of_error(&Who::of(&client), &error, &Doing::GroupConfigs(&group));
    let (timeout, warning) = shorter(configured, found.map_err(unknown));
    if let Some(warning) = warning {
        caution(&warning);
    }
    timeout
}

/// Says what can do harm, and does not keep the connector from running.
pub(super) fn caution(what: &Coded) {
    Caution {
        words: &what.text,
        error_code: what.code,
    }
    .emit();
}

/// The time-out to go by, and what is to be said of it.
fn shorter(configured: Duration, found: Result<Duration, Cause>) -> (Duration, Option<Coded>) {
    match found {
        Ok(brokers) if brokers < configured => {
            let text = format!(
                "kafka.session_timeout is {configured:?}, but with kafka.group_protocol = \"consumer\" Kafka decides, and gives the partitions of a silent process away after {brokers:?}: a process cut off from Kafka stops sending before that. Lower kafka.session_timeout, or raise group.consumer.session.timeout.ms of the brokers"
            );
            (brokers, Some(Coded::new(codes::SESSION_TIMEOUT, text)))
        }
        Ok(_) => (configured, None),
        Err(error) => {
            let assumed = session::DEFAULT;
            let text = format!(
                "group.consumer.session.timeout.ms of the brokers, after which Kafka gives the partitions of a silent process away, cannot be read ({error}): {assumed:?} is assumed, Kafka's default. If it is less, set kafka.session_timeout to it"
            );
            let warning = Coded::new(codes::BROKER_SETTING_UNKNOWN, text);
            (configured.min(assumed), Some(warning))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};

    #[test]
    fn the_lease_ends_before_the_brokers_give_a_partition_away() {
        let seconds = Duration::from_secs;
        let denied = || {
            let code = RDKafkaErrorCode::ClusterAuthorizationFailed;
            let error = KafkaError::AdminOp(code);
            Err(of_error(&Who::default(), &error, &Doing::GroupConfigs("g")))
        };
        for (configured, found, goes_by, is_said) in [
            (10, Ok(seconds(45)), 10, false),
            (45, Ok(seconds(45)), 45, false),
            (60, Ok(seconds(45)), 45, true),
            (10, denied(), 10, true),
            (60, denied(), 45, true),
        ] {
            let is_denied = found.is_err();
            let (timeout, warning) = shorter(seconds(configured), found);
            assert_eq!((timeout, warning.is_some()), (seconds(goes_by), is_said));
            let command = "--operation DescribeConfigs --group g";
            let is_named = warning.is_some_and(|warning| warning.text.contains(command));
            assert_eq!(is_named, is_denied);
        }
    }
}
