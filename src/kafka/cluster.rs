//! Which cluster a client talks to, and what is there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::cause::{Cause, Doing, Who, Why, of_error};
use super::ear::{Ear, Plain, hears_of_tokens};
use super::error_class::ErrorClass;
use super::group::partition_count;
use super::token::first_poll;

/// The first wait for an answer. It is asked again and waited for longer, because in between the
/// client says why there is none.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A client that asks, and gives up early where librdkafka knows that there will be no answer.
pub(super) struct Inquiry {
    consumer: BaseConsumer<Plain>,
    /// What its first poll had to tell, until it is asked for: librdkafka says some things once.
    told: Mutex<Option<KafkaError>>,
}

impl Inquiry {
    pub(super) fn new(client: &ClientConfig) -> Result<Inquiry, Cause> {
        let client = hears_of_tokens(client);
        let consumer = client.create_with_context(Plain(Ear::asked(&client)));
        let unmade = |error| of_error(&Who::of(&client), &error, &Doing::Asking);
        let consumer: BaseConsumer<Plain> = consumer.map_err(unmade)?;
        let told = Mutex::new(first_poll(&consumer));
        Ok(Inquiry { consumer, told })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Plain> {
        &self.consumer
    }

    fn ear(&self) -> &Ear {
        &self.consumer.context().0
    }

    /// The answer to a question that is asked with a time to wait, or why there is none.
    pub(super) fn ask<T>(
        &self,
        timeout: Duration,
        doing: &Doing<'_>,
        ask: impl Fn(&BaseConsumer<Plain>, Duration) -> Result<T, KafkaError>,
    ) -> Result<T, Cause> {
        let begun = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            let error = match ask(&self.consumer, wait.min(left)) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let cause = of_error(self.ear().who(), &error, doing);
            if !may_come(&error) {
                return Err(cause);
            }
            if let Some(refused) = self.serve(doing) {
                return Err(refused);
            }
            if let Some(hopeless) = self.ear().hopeless(begun, Instant::now()) {
                return Err(hopeless);
            }
            if begun.elapsed() >= timeout {
                let ear = self.ear();
                let tokenless = || ear.tokenless(timeout);
                return Err(ear.cause().or_else(tokenless).unwrap_or(cause));
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// What `ask` finds of each of the topics that exist, and why others may not be seen.
    #[allow(clippy::type_complexity)]
    pub(super) fn describe<'a, T>(
        &self,
        topics: impl IntoIterator<Item = &'a str>,
        timeout: Duration,
        ask: impl Fn(&BaseConsumer<Plain>, &str, Duration) -> Result<T, KafkaError>,
    ) -> Result<(Vec<(String, T)>, Vec<Cause>), Cause> {
        let (mut found, mut closed) = (Vec::new(), Vec::new());
        for topic in topics {
            let describing = Doing::Describing(topic);
            let asked = self.ask(timeout, &describing, |consumer, wait| {
                ask(consumer, topic, wait)
            });
            match asked {
                Ok(answer) => found.push((topic.to_owned(), answer)),
                Err(cause) => match cause.why {
                    Why::NoTopic(_) => {}
                    Why::Denied { .. } => closed.push(cause),
                    _ => return Err(cause),
                },
            }
        }
        Ok((found, closed))
    }

    /// Hears what the client has to say. A right that is missing for what is asked is among it.
    fn serve(&self, doing: &Doing<'_>) -> Option<Cause> {
        let first = self.told.lock().take();
        let polled = (0..50).map(|_| self.consumer.poll(Duration::ZERO)?.err());
        for error in std::iter::once(first).chain(polled).flatten() {
            let cause = of_error(self.ear().who(), &error, doing);
            if matches!(cause.why, Why::Denied { .. }) {
                return Some(cause);
            }
        }
        None
    }
}

/// Whether the answer may come yet.
fn may_come(error: &KafkaError) -> bool {
    let class = ErrorClass::of_error(error);
    class.is_silence() || class == ErrorClass::NotYet
}

/// A consumer of these properties that has found a broker, by asking for `topic`, which need not be there.
/// Blocks for up to `timeout`.
///
/// # Errors
///
/// Why no broker answers.
pub fn connected(
    client: &ClientConfig,
    topic: &str,
    timeout: Duration,
) -> Result<BaseConsumer<Plain>, Cause> {
    let inquiry = Inquiry::new(client)?;
    inquiry.cluster_id(topic, timeout)?;
    Ok(inquiry.consumer)
}

/// The cluster's id as its brokers give it to who asks for `topic`, which need not be there. Blocks for up
/// to `timeout`.
///
/// # Errors
///
/// Why no broker answers.
pub fn cluster_id(client: &ClientConfig, topic: &str, timeout: Duration) -> Result<String, Cause> {
    Inquiry::new(client)?.cluster_id(topic, timeout)
}

/// Asks for a topic, whatever the answer is: a client that is asked for nothing but the cluster's id connects
/// only when it looks after its connections, up to a second later. With the answer comes the id.
pub(super) fn connect<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str, wait: Duration) {
    let _ = consumer.client().fetch_metadata(Some(topic), wait);
}

impl Inquiry {
    fn cluster_id(&self, topic: &str, timeout: Duration) -> Result<String, Cause> {
        self.ask(timeout, &Doing::Asking, |consumer, wait| {
            connect(consumer, topic, wait);
            let none = KafkaError::MetadataFetch(Code::OperationTimedOut);
            consumer
                .client()
                .fetch_cluster_id(Duration::ZERO)
                .ok_or(none)
        })
    }
}

/// A look at the cluster.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The cluster's id.
    pub cluster_id: String,
    /// How many partitions each topic has; topics that do not exist are missing.
    pub partitions: HashMap<String, i32>,
    /// Topics that this user may not see: whether they exist is not known.
    pub closed: Vec<Cause>,
}

/// Looks at the cluster and the named topics. Blocks for at most `timeout` per question.
///
/// # Errors
///
/// Why no broker answers.
pub fn survey<'a>(
    client: &ClientConfig,
    topics: impl IntoIterator<Item = &'a str>,
    timeout: Duration,
) -> Result<Survey, Cause> {
    let inquiry = Inquiry::new(client)?;
    let mut topics = topics.into_iter().peekable();
    let first = topics.peek().copied().unwrap_or_default();
    let cluster_id = inquiry.cluster_id(first, timeout)?;
    let (found, closed) = inquiry.describe(topics, timeout, partition_count)?;
    Ok(Survey {
        cluster_id,
        partitions: found.into_iter().collect(),
        closed,
    })
}

/// Whether the brokers take an offset with metadata of so many characters
/// (`offset.metadata.max.bytes`). Only a commit tells: one of offset 0 of a partition of
/// `topic`, in the group that `client` names, which nobody else may use.
///
/// # Errors
///
/// Why the brokers refuse the commit, if for another reason.
pub fn takes_metadata(
    client: &ClientConfig,
    topic: &str,
    characters: usize,
    timeout: Duration,
) -> Result<bool, Cause> {
    let inquiry = Inquiry::new(client)?;
    let topics = [topic.to_owned()];
    let member = Doing::member(client, &topics);
    // A commit is not given up while the group's coordinator is not found.
    inquiry.ask(timeout, &member, |consumer, wait| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, 0);
        consumer.committed_offsets(asked, wait).map(drop)
    })?;
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition(topic, 0);
    // An offset that is not negative is always accepted.
    let _ = element.set_offset(Offset::Offset(0));
    element.set_metadata("x".repeat(characters));
    match inquiry.consumer().commit(&offsets, CommitMode::Sync) {
        Ok(()) => Ok(true),
        Err(error) => match error.rdkafka_error_code() {
            Some(Code::OffsetMetadataTooLarge) => Ok(false),
            _ => Err(of_error(inquiry.ear().who(), &error, &member)),
        },
    }
}
