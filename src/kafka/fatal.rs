//! What a consumer cannot go on after.
//!
//! librdkafka calls some errors fatal: from then on the client polls nothing, commits nothing
//! and calls nobody back, not even to say that its partitions are another's. A process that
//! lived on with it would look healthy and do nothing. So it ends, with a text that names the
//! cause and what helps; whoever started it starts it again.

use std::fmt;

use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::codes::{self, ErrorCode};

use super::abilities::Lack;
use super::cause::{Cause, Doing, Who, explain};

/// Why a consumer of a group cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The group.
    group: String,
    /// The group.instance.id, if there is one.
    instance: Option<String>,
    /// librdkafka's code.
    code: Code,
    /// What it says.
    reason: String,
    /// What that means, and what helps.
    cause: Box<Cause>,
}

impl Fatal {
    /// The error of a consumer with the properties `client`.
    pub(super) fn new(client: &ClientConfig, code: Code, reason: String) -> Self {
        let group = client.get("group.id").unwrap_or_default().to_owned();
        let member = Doing::member(client, &[]);
        Fatal {
            cause: Box::new(explain(&Who::of(client), Some(code), &reason, &member)),
            instance: client.get("group.instance.id").map(str::to_owned),
            group,
            code,
            reason,
        }
    }

    /// By which it is explained.
    pub fn error_code(&self) -> ErrorCode {
        match self.code {
            Code::FencedInstanceId | Code::UnreleasedInstanceId => codes::DISPLACED,
            Code::GroupAuthorizationFailed => self.cause.code(),
            Code::UnsupportedVersion | Code::UnsupportedFeature => codes::NO_GROUP_PROTOCOL,
            _ => codes::CONSUMER_FATAL,
        }
    }

    /// Whether another process is in its place: once that is mended, a new start succeeds.
    pub fn is_displaced(&self) -> bool {
        matches!(
            self.code,
            Code::FencedInstanceId | Code::UnreleasedInstanceId
        )
    }
}

impl std::error::Error for Fatal {}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fatal { group, reason, .. } = self;
        let instance = self.instance.as_deref().unwrap_or_default();
        match self.code {
            Code::FencedInstanceId => write!(
                f,
                "another process of group {group} was started with the same kafka.instance_id \
                 ({instance:?}) and has taken the place of this one, which ends. Give each process \
                 an instance_id of its own, such as its pod's name, or set none"
            ),
            Code::UnreleasedInstanceId => write!(
                f,
                "another process is in group {group} with the same kafka.instance_id \
                 ({instance:?}). Give each process an instance_id of its own, such as its pod's \
                 name, or set none. If the other one died, start this one again when \
                 kafka.session_timeout has passed"
            ),
            Code::GroupAuthorizationFailed => self.cause.fmt(f),
            Code::GroupMaxSizeReached => write!(
                f,
                "group {group} takes no more members: raise the broker's group.max.size or \
                 group.consumer.max.size, or start fewer processes"
            ),
            Code::UnsupportedVersion | Code::UnsupportedFeature => write!(
                f,
                "the brokers {} (group {group}: {reason}). To mend it, {}",
                Lack::GroupProtocol,
                Lack::GroupProtocol.remedy()
            ),
            Code::UnsupportedAssignor => write!(
                f,
                "the brokers do not know how group {group} divides its partitions ({reason}): \
                 set kafka.group_protocol = \"classic\""
            ),
            _ => write!(
                f,
                "the consumer of group {group} cannot go on: {reason}. A new start makes a new one"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fatal(code: Code) -> Fatal {
        let mut client = ClientConfig::new();
        client.set("group.id", "sms.submit");
        client.set("group.instance.id", "pod-0");
        Fatal::new(&client, code, "why".to_owned())
    }

    #[test]
    fn an_instance_id_that_is_used_twice_is_named_with_what_helps() {
        for code in [Code::FencedInstanceId, Code::UnreleasedInstanceId] {
            let fatal = fatal(code);
            let text = fatal.to_string();
            for word in ["kafka.instance_id", "\"pod-0\"", "sms.submit", "its own"] {
                assert!(text.contains(word), "{text}");
            }
            assert!(fatal.is_displaced());
        }
    }

    #[test]
    fn a_group_that_is_closed_to_us_is_named_with_the_command() {
        let text = fatal(Code::GroupAuthorizationFailed).to_string();
        for word in [
            "may not READ on group sms.submit",
            "--operation Read --group sms.submit",
        ] {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn brokers_without_the_new_group_protocol_are_named_with_what_helps() {
        for code in [Code::UnsupportedVersion, Code::UnsupportedFeature] {
            let fatal = fatal(code);
            assert_eq!(fatal.error_code().as_str(), "KS-3020");
            let text = fatal.to_string();
            for word in [
                "KIP-848",
                "kafka.group_protocol = \"classic\"",
                "sms.submit",
            ] {
                assert!(text.contains(word), "{text}");
            }
        }
    }

    #[test]
    fn an_error_that_nobody_foresaw_says_what_the_client_said() {
        let fatal = fatal(Code::InconsistentGroupProtocol);
        assert!(fatal.to_string().contains("why"), "{fatal}");
        assert!(!fatal.is_displaced());
    }
}
