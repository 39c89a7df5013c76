//! What is said of Kafka: every line of this part at `info` and above.

use std::fmt;
use std::time::Duration;

use rdkafka::error::KafkaError;

use super::fatal::Fatal;
use super::group::Partition;
use crate::codes::{self, ErrorCode};
use crate::repeated::Within;

plain_telemetry::notices! {
    /// What is said of Kafka.
    pub(crate) static NOTICES;

    /// The Kafka client complains about something that the connector has no words of its own for.
    /// If it comes again and again, look for the text in librdkafka's documentation.
    warn[codes::LIBRDKAFKA] LibrdkafkaComplains<'a> "librdkafka says: {text}" {
        /// What kind of line it is, in librdkafka's words.
        value kind: &'a str,
        /// How often since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// What librdkafka says.
        inline text: &'a str,
    }

    /// Kafka refuses something for good, for example because a right is missing: somebody has to
    /// mend it. `cause` names the principal, the operation, the resource and the remedy;
    /// `kafka-smpp check --connect` finds everything that is missing at once.
    error KafkaSaysNo<'a> "Kafka says no; it is tried again until it says yes. kafka-smpp check --connect names all that is missing" {
        /// What is refused to whom, and what helps.
        value cause: &'a str,
        /// How often since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// Something asked of Kafka failed and is tried again. Nothing is to be done unless it goes on.
    warn FailedAndTriedAgain<'a> "{what}" {
        /// What failed.
        inline what: &'a str,
        /// Why, as far as Kafka or the client says.
        value why: &'a str,
        /// How often since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// No connection to Kafka can be used, and waiting will not mend it: a wrong password, a
    /// mechanism that the broker does not have, TLS against plain text. Mend what `cause` names.
    error KafkaCannotBeUsed<'a> "Kafka cannot be used; it is tried again" {
        /// Why, and what helps.
        value cause: &'a str,
        /// How often since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// There is no new token to log in to Kafka with: the endpoint that gives them out refuses us, is away
    /// or gives out something else, or a file or credentials of this process are missing. It is asked
    /// again after ten seconds. Connections last until the token runs out with which they were made.
    warn NoToken<'a> "there is no new token for Kafka; it is tried again after 10 s" {
        /// Why, and what helps.
        value cause: &'a str,
        /// How often since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// A broker has not been there for longer than a restart takes. Is it running, and does the
    /// address that it advertises lead to it from here?
    warn[codes::BROKER_AWAY] BrokerAway<'a> "a Kafka broker cannot be used for some time; it is tried again. Is it running, and does its address (advertised.listeners) lead to it from here?" {
        /// Which one: host and port.
        value broker: &'a str,
        /// What the client says, and since when.
        value reason: &'a str,
        /// How often since the last such line.
        value times: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
    }

    /// A producer outside of transactions met an error after which librdkafka lets it send nothing
    /// more. Another one takes its place; what it had not delivered is sent by that one.
    error[codes::PRODUCER_RENEWED] ProducerCannotGoOn<'a> "a producer cannot go on: it is made anew" {
        /// What it is for.
        value producer: &'a str,
        /// What ended it.
        value reason: &'a str,
    }

    /// No producer can be made in the place of one that ended, and that is tried again. Until it is
    /// made, what it is for waits.
    error[codes::KAFKA_CLIENT] ProducerNotMade<'a> "a producer cannot be made; trying again" {
        /// What it is for.
        value producer: &'a str,
        /// Why.
        display error: KafkaError,
    }

    /// The producer that took the place of one that ended is at work.
    info ProducerMadeAnew<'a> "the producer is made anew" {
        /// What it is for.
        value producer: &'a str,
        /// How often that has happened since the start of the process.
        value renewals: u64,
    }

    /// The system gives no thread, most often because a limit of the container or of the user is
    /// reached: raise it. The text says what follows; if it does not pass, restart the process.
    error[codes::NO_THREAD] NoThread<'a> "the system gives no thread: {purpose}" {
        /// What it was for, and what follows.
        inline purpose: &'a str,
        /// Why.
        display error: std::io::Error,
    }

    /// The group gave this process partitions.
    info Assigned<'a> "assigned" {
        /// Which.
        display partitions: &'a str,
    }

    /// librdkafka does not take the partitions that the group gave. This process consumes nothing of
    /// them until the next rebalance: restart it if none comes.
    error[codes::ASSIGNMENT_REFUSED] AssignmentRefused "assignment refused by the client" {
        /// Why.
        display error: KafkaError,
    }

    /// The group took partitions from this process: another one has them, or will.
    info Revoked<'a> "revoked" {
        /// Which.
        display partitions: &'a str,
        /// Whether they were lost, because the group did not hear of this process in time: then they
        /// may be somebody else's already.
        value lost: bool,
    }

    /// librdkafka does not let go of partitions that the group took.
    error[codes::ASSIGNMENT_REFUSED] RevocationRefused "revocation refused by the client" {
        /// Why.
        display error: KafkaError,
    }

    /// The consumer met an error after which it gets nothing more; the process ends, and what
    /// restarts it makes a new one.
    error PollingEnds<'a> "polling ends" {
        /// What ended it.
        display fatal: &'a Fatal,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// A partition whose records fill their room could not be paused: more of them stay in memory.
    warn[codes::KAFKA_FAILED] NotPaused<'a> "cannot be paused" {
        /// Why.
        display error: KafkaError,
        /// Which partition.
        display partition: &'a Partition,
    }

    /// The client does not move a partition to another offset; it is tried again.
    warn[codes::KAFKA_FAILED] NotAssignedAfresh<'a> "cannot be assigned afresh" {
        /// Why.
        display error: KafkaError,
        /// Which partition.
        display partition: &'a Partition,
    }

    /// A paused partition could not be resumed; it is tried again.
    warn[codes::KAFKA_FAILED] NotResumed<'a> "cannot be resumed" {
        /// Why.
        display error: KafkaError,
        /// Which partition.
        display partition: &'a Partition,
    }

    /// One of the brokers does not answer what its settings are. If its setting is another one than
    /// that of the others, what is configured may not fit: see `kafka-smpp check --connect`.
    warn[codes::BROKER_SETTING_UNKNOWN] BrokerSettingUnknown<'a> "a broker does not say {setting}; the others are gone by" {
        /// Which setting.
        inline setting: &'a str,
        /// Why.
        display error: &'a dyn fmt::Display,
    }

    /// A process that had these partitions before left a transaction open, so that nothing behind it
    /// can be read. It is ended in that process's name, which also keeps that process, if it is still
    /// alive, from writing anything more.
    warn[codes::OPEN_TRANSACTION] OpenTransaction<'a> "a predecessor's transaction is still open; ending it" {
        /// Its transactional id.
        value writer: &'a str,
    }

    /// That transaction is ended.
    info OpenTransactionEnded<'a> "ended" {
        /// Its transactional id.
        value writer: &'a str,
    }

    /// That transaction could not be ended. Its partitions wait for its time-out
    /// (`transaction.timeout.ms`), at the end of which Kafka aborts it.
    warn[codes::OPEN_TRANSACTION] OpenTransactionNotEnded<'a> "not ended; waiting for its time-out" {
        /// Its transactional id.
        value writer: &'a str,
        /// Why.
        display error: &'a dyn fmt::Display,
    }

    /// A topic refuses a batch of records each of which it takes alone.
    warn[codes::BATCH_REFUSED] BatchRefused<'a> "the topic takes each record but not a batch of them, so records go singly for a while, which is slow: {remedy}" {
        /// What helps, by what the topic says.
        inline remedy: &'a str,
        /// Which topic.
        value topic: &'a str,
        /// How it refused the batch.
        debug code: &'a dyn fmt::Debug,
        /// For how long records go singly.
        debug hold: Duration,
    }

    /// Transactions can be made; whoever had this transactional id before is fenced.
    info ProducerReady<'a> "transactional producer ready" {
        /// The transactional id.
        value transactional_id: &'a str,
    }

    /// Kafka did not say whether a transaction was committed, and reading back shows that it was.
    info HadBeenCommitted "the transaction had been committed" {
        /// Its number in this process.
        value cycle: u64,
    }

    /// Kafka did not say whether a transaction was committed, and reading back shows that it was not:
    /// its results go again.
    info HadNotBeenCommitted "the transaction had not been committed" {
        /// Its number in this process.
        value cycle: u64,
    }

    /// A partition that waited goes on.
    info WaitsNoLonger<'a> "it waits no longer" {
        /// Which partition.
        display partition: &'a Partition,
        /// For how many seconds it waited.
        value seconds: u64,
    }

    /// A partition stands still until somebody does what the text says; the others go on.
    error StandsStill<'a> "{words}" {
        /// What it waits for, and what helps.
        inline words: &'a str,
        /// Which partition.
        display partition: &'a Partition,
        /// Since how many seconds; not in the first line.
        value seconds: Option<u64>,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// A partition waits for something that is likely to come by itself; the others go on.
    warn Waits<'a> "{words}" {
        /// What it waits for.
        inline words: &'a str,
        /// Which partition.
        display partition: &'a Partition,
        /// What stands in the way, if that is known.
        value why: Option<&'a str>,
        /// Since how many seconds; not in the first line.
        value seconds: Option<u64>,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// A topic takes no results for now, and the partitions whose results they are stand still.
    error[codes::TOPIC_TAKES_NOTHING] ResultsNotDelivered<'a> "results of these partitions are not delivered; they stand still until they are, and the others go on. Has each partition of the topic a leader, and are as many replicas in sync as min.insync.replicas says?" {
        /// The topic that does not take them.
        value topic: &'a str,
        /// The partitions that stand still.
        display partitions: &'a str,
    }

    /// A topic refuses results, and the partitions whose results they are stand still until somebody
    /// mends what `cause` names.
    error[codes::TOPIC_REFUSES] TopicRefusesResults<'a> "a topic refuses results of these partitions; they stand still until it takes them, and the others go on" {
        /// The topic that refuses them.
        value topic: &'a str,
        /// The partitions that stand still.
        display partitions: &'a str,
        /// Why, and what helps.
        value cause: &'a str,
    }

    /// A topic that had refused results takes them again.
    info TopicTakesResults<'a> "the topic takes their results again" {
        /// The topic.
        value topic: &'a str,
        /// The partitions that go on.
        display partitions: &'a str,
    }
}
