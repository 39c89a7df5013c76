//! What the codes of Kafka and librdkafka mean to us, decided once.
//!
//! Each code has one class. What follows from a class depends on what was being done, so that
//! stands where it is done; why it came, in words, and the remedy are [`cause`](super::cause).

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The client has given up a record that it held. Why, others say.
    Purged,
    /// A record went in one batch with another that is refused.
    OtherRecord,
    /// The client cannot go on. Why, its own fatal error says.
    Fatal,
    /// The producer's epoch is no longer valid: another initialised under the same
    /// transactional.id, or the broker has ended the transaction.
    Fenced,
    /// The sequence of an idempotent producer has a gap: it cannot go on.
    Sequence,
    /// The group has moved on: what is committed under this membership does not count any more.
    Membership,
    /// A record, or the batch it went in, is too large.
    TooLarge,
    /// The record is refused for what it is.
    Invalid,
    /// The record is refused for its time: the clocks differ, or the topic allows little.
    Timestamp,
    /// A partition takes or gives nothing for now: it has no leader, or too few replicas.
    Unavailable,
    /// The topic does not exist.
    NoTopic,
    /// The topic has no such partition.
    NoPartition,
    /// No topic can have that name, or it is an internal one.
    TopicName,
    /// A right on a topic is missing.
    TopicDenied,
    /// A right on the cluster is missing.
    ClusterDenied,
    /// A rule of the broker's, or something it does not explain.
    Rule,
    /// No broker can be reached.
    NoBroker,
    /// No answer came in time, or it was a broker's whose address has changed.
    NoAnswer,
    /// The broker is the wrong one for the question, or is not ready for it.
    NotYet,
    /// The position lies outside the log.
    OutsideLog,
    /// None of these.
    Other,
}

impl ErrorClass {
    /// The class of a code.
    pub fn of(code: Code) -> ErrorClass {
        match code {
            Code::PurgeQueue | Code::PurgeInflight => ErrorClass::Purged,
            Code::InvalidDifferentRecord => ErrorClass::OtherRecord,
            Code::Fatal => ErrorClass::Fatal,
            Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fenced => ErrorClass::Fenced,
            Code::OutOfOrderSequenceNumber => ErrorClass::Sequence,
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::RebalanceInProgress
            | Code::StaleMemberEpoch
            | Code::FencedMemberEpoch => ErrorClass::Membership,
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
                ErrorClass::TooLarge
            }
            Code::InvalidRecord | Code::InvalidMessage => ErrorClass::Invalid,
            Code::InvalidTimestamp => ErrorClass::Timestamp,
            Code::MessageTimedOut
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::KafkaStorageError => ErrorClass::Unavailable,
            Code::UnknownTopic | Code::UnknownTopicOrPartition => ErrorClass::NoTopic,
            Code::UnknownPartition => ErrorClass::NoPartition,
            Code::InvalidTopic => ErrorClass::TopicName,
            Code::TopicAuthorizationFailed => ErrorClass::TopicDenied,
            Code::ClusterAuthorizationFailed => ErrorClass::ClusterDenied,
            Code::PolicyViolation | Code::Unknown => ErrorClass::Rule,
            Code::BrokerTransportFailure | Code::AllBrokersDown => ErrorClass::NoBroker,
            Code::OperationTimedOut | Code::NodeUpdate => ErrorClass::NoAnswer,
            Code::RequestTimedOut
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator => ErrorClass::NotYet,
            Code::AutoOffsetReset | Code::OffsetOutOfRange => ErrorClass::OutsideLog,
            _ => ErrorClass::Other,
        }
    }

    /// The class of an error; `Other` if it has no code.
    pub fn of_error(error: &KafkaError) -> ErrorClass {
        error
            .rdkafka_error_code()
            .map_or(ErrorClass::Other, ErrorClass::of)
    }

    /// Whether a topic or partition is not there.
    pub fn is_absent(self) -> bool {
        matches!(self, ErrorClass::NoTopic | ErrorClass::NoPartition)
    }

    /// Whether a topic or partition is not there, or closed to us.
    pub fn is_about_topic(self) -> bool {
        self.is_absent() || self == ErrorClass::TopicDenied
    }

    /// Whether a record's report says why the record is not delivered. Others only pass on what
    /// happened to another record, or to the client, or that nothing happened.
    pub fn names_cause(self) -> bool {
        !matches!(
            self,
            ErrorClass::Purged
                | ErrorClass::OtherRecord
                | ErrorClass::Fatal
                | ErrorClass::Unavailable
        )
    }

    /// Whether no broker answered.
    pub fn is_silence(self) -> bool {
        matches!(self, ErrorClass::NoBroker | ErrorClass::NoAnswer)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaRespErr;

    use super::*;

    /// Every class but `Other`, with all its codes.
    const CLASSES: &[(ErrorClass, &[Code])] = &[
        (ErrorClass::Purged, &[Code::PurgeQueue, Code::PurgeInflight]),
        (ErrorClass::OtherRecord, &[Code::InvalidDifferentRecord]),
        (ErrorClass::Fatal, &[Code::Fatal]),
        (
            ErrorClass::Fenced,
            &[
                Code::ProducerFenced,
                Code::InvalidProducerEpoch,
                Code::Fenced,
            ],
        ),
        (ErrorClass::Sequence, &[Code::OutOfOrderSequenceNumber]),
        (
            ErrorClass::Membership,
            &[
                Code::IllegalGeneration,
                Code::UnknownMemberId,
                Code::FencedInstanceId,
                Code::RebalanceInProgress,
                Code::StaleMemberEpoch,
                Code::FencedMemberEpoch,
            ],
        ),
        (
            ErrorClass::TooLarge,
            &[
                Code::MessageSizeTooLarge,
                Code::InvalidMessageSize,
                Code::MessageBatchTooLarge,
            ],
        ),
        (
            ErrorClass::Invalid,
            &[Code::InvalidRecord, Code::InvalidMessage],
        ),
        (ErrorClass::Timestamp, &[Code::InvalidTimestamp]),
        (
            ErrorClass::Unavailable,
            &[
                Code::MessageTimedOut,
                Code::LeaderNotAvailable,
                Code::NotLeaderForPartition,
                Code::NotEnoughReplicas,
                Code::NotEnoughReplicasAfterAppend,
                Code::KafkaStorageError,
            ],
        ),
        (
            ErrorClass::NoTopic,
            &[Code::UnknownTopic, Code::UnknownTopicOrPartition],
        ),
        (ErrorClass::NoPartition, &[Code::UnknownPartition]),
        (ErrorClass::TopicName, &[Code::InvalidTopic]),
        (ErrorClass::TopicDenied, &[Code::TopicAuthorizationFailed]),
        (
            ErrorClass::ClusterDenied,
            &[Code::ClusterAuthorizationFailed],
        ),
        (ErrorClass::Rule, &[Code::PolicyViolation, Code::Unknown]),
        (
            ErrorClass::NoBroker,
            &[Code::BrokerTransportFailure, Code::AllBrokersDown],
        ),
        (
            ErrorClass::NoAnswer,
            &[Code::OperationTimedOut, Code::NodeUpdate],
        ),
        (
            ErrorClass::NotYet,
            &[
                Code::RequestTimedOut,
                Code::WaitingForCoordinator,
                Code::CoordinatorNotAvailable,
                Code::CoordinatorLoadInProgress,
                Code::NotCoordinator,
            ],
        ),
        (
            ErrorClass::OutsideLog,
            &[Code::AutoOffsetReset, Code::OffsetOutOfRange],
        ),
    ];

    /// All codes that librdkafka knows.
    fn codes() -> impl Iterator<Item = Code> {
        (-300..300).filter_map(|number: i32| Some(RDKafkaRespErr::try_from(number).ok()?.into()))
    }

    #[test]
    fn each_class_has_these_codes_and_no_others() {
        assert!(codes().count() > 150, "all are looked at");
        for code in codes() {
            let class = CLASSES.iter().find(|(_, codes)| codes.contains(&code));
            let class = class.map_or(ErrorClass::Other, |(class, _)| *class);
            assert_eq!(ErrorClass::of(code), class, "{code:?}");
        }
    }

    #[test]
    fn a_topic_that_is_closed_to_us_is_not_away() {
        for (code, absent, about_topic) in [
            (Code::UnknownTopicOrPartition, true, true),
            (Code::UnknownPartition, true, true),
            (Code::TopicAuthorizationFailed, false, true),
            (Code::OperationTimedOut, false, false),
        ] {
            let class = ErrorClass::of_error(&KafkaError::MetadataFetch(code));
            assert_eq!(
                (class.is_absent(), class.is_about_topic()),
                (absent, about_topic)
            );
        }
    }

    #[test]
    fn a_report_that_passes_on_what_happened_elsewhere_names_no_cause() {
        for (code, names) in [
            (Code::MessageSizeTooLarge, true),
            (Code::TopicAuthorizationFailed, true),
            (Code::PurgeQueue, false),
            (Code::InvalidDifferentRecord, false),
            (Code::Fatal, false),
            (Code::MessageTimedOut, false),
        ] {
            assert_eq!(ErrorClass::of(code).names_cause(), names, "{code:?}");
        }
    }
}
