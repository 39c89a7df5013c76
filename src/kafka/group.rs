//! A consumer group membership, shared between the thread that polls and those that commit.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::ear::{Ear, Plain};
use super::error_class::ErrorClass;
use super::figures::Figures;
use super::foreign;
use super::membership::{Membership, Standing};
use super::poll::Context;
use super::token::consumer_begins;
use super::transaction::Commit;
use crate::threads::Pulse;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// These partitions, as people read them.
pub(crate) fn names<P: std::fmt::Display>(partitions: impl IntoIterator<Item = P>) -> String {
    let names = partitions
        .into_iter()
        .map(|partition| partition.to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// The membership. Its client lives until [`close`](Group::close): dropping a consumer can
/// block, so that is done once, on the polling thread.
pub struct Group {
    /// The consumer's properties.
    client: ClientConfig,
    /// The cluster that offsets are believed of.
    cluster_id: String,
    /// None before the thread that polls has made it, and after that thread has given it up.
    consumer: RwLock<Option<Arc<BaseConsumer<Context>>>>,
    /// What its consumer says of itself.
    pub(super) figures: Arc<Figures>,
    /// Shows that the thread that polls makes progress.
    pub(super) pulse: Pulse,
    /// The last rebalance callback.
    pub(super) standing: Arc<Standing<ConsumerGroupMetadata>>,
}

impl Group {
    /// A group for which no consumer exists yet; `name` says what it is for. `client` holds the properties of its
    /// consumer, `group.id` included.
    pub fn new(name: &'static str, client: ClientConfig, cluster_id: String) -> Arc<Self> {
        Arc::new(Group {
            figures: Arc::new(Figures::new(name)),
            pulse: Pulse::new(name),
            client,
            cluster_id,
            consumer: RwLock::new(None),
            standing: Arc::default(),
        })
    }

    /// The id of the cluster the group lives on.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// What its consumer says of itself.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Whether the thread that polls makes progress.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether Kafka has said which partitions are ours, if any.
    ///
    /// A member that lost all it had and is given nothing again hears no callback of that, nor does
    /// one with KIP-848 that is given nothing from the beginning: then only the statistics tell.
    pub fn has_joined(&self) -> bool {
        let has_kip_848 = self.client.get("group.protocol") == Some("consumer");
        self.standing.get().is_some()
            || self.figures.is_settled()
            || has_kip_848 && self.figures.is_idle()
    }

    /// What partitions wait for that are polled and do not go on.
    pub fn waits(&self) -> Vec<(Partition, String)> {
        let consumer = self.consumer.read();
        consumer
            .as_ref()
            .map_or_else(Vec::new, |c| c.context().waits())
    }

    /// The consumer's properties.
    pub fn client(&self) -> &ClientConfig {
        &self.client
    }

    pub(super) fn open(&self, consumer: Arc<BaseConsumer<Context>>) {
        *self.consumer.write() = Some(consumer);
    }

    /// Lets go of the consumer; what is returned must be dropped where blocking is allowed.
    pub(super) fn close(&self) -> Option<Arc<BaseConsumer<Context>>> {
        self.consumer.write().take()
    }

    /// The membership under which the next transaction may commit, if there is one: see
    /// [`membership`](super::membership). It may ask the client and wait for it, so it is taken
    /// before the lock that guards the assignment.
    pub fn membership(&self) -> Option<Membership> {
        let (callbacks, noted) = self.standing.get()?;
        let consumer = self.consumer.read();
        let consumer = consumer.as_ref()?;
        let metadata = match self.client.get("group.protocol") {
            Some("consumer") => Arc::new(consumer.group_metadata()?),
            _ => noted,
        };
        // After the metadata: then it is not from after a loss that nobody was told of.
        let held = !consumer.assignment_lost();
        held.then_some(Membership {
            callbacks,
            metadata,
        })
    }

    /// Whether nothing was assigned or taken away since `membership` was taken. To be asked
    /// under the lock that guards the assignment.
    pub fn is_current(&self, membership: &Membership) -> bool {
        self.standing.is_at(membership.callbacks)
    }

    /// Offset and metadata committed for the partitions of `wanted`, once they are stable:
    /// waits for transactions that hold any of them (up to `timeout`). Partitions without
    /// a committed offset are left out.
    pub fn committed(
        &self,
        wanted: &[Commit],
        timeout: Duration,
    ) -> Result<Vec<Commit>, KafkaError> {
        let partitions = wanted
            .iter()
            .map(|c| Partition {
                topic: c.topic.clone(),
                partition: c.partition,
            })
            .collect::<Vec<_>>();
        self.committed_of(&partitions, timeout)
    }

    /// As [`committed`](Self::committed), by name.
    pub fn committed_of(
        &self,
        partitions: &[Partition],
        timeout: Duration,
    ) -> Result<Vec<Commit>, KafkaError> {
        let consumer = self.consumer.read().clone().ok_or(closed())?;
        committed(&consumer, partitions, timeout)
    }

    /// First offset and end (exclusive) of a partition's log; the end is the last stable
    /// offset as the consumer reads committed data.
    pub fn watermarks(&self, p: &Partition, timeout: Duration) -> Result<(i64, i64), KafkaError> {
        let consumer = self.consumer.read().clone().ok_or(closed())?;
        consumer.fetch_watermarks(&p.topic, p.partition, timeout)
    }

    /// The end (exclusive) of a partition's log with what belongs to open transactions.
    pub fn unstable_end(&self, p: &Partition, timeout: Duration) -> Result<i64, KafkaError> {
        let (_, end) = (self.undecided()?.0).fetch_watermarks(&p.topic, p.partition, timeout)?;
        Ok(end)
    }

    /// A client that sees what is not decided yet. To make it takes longer than to ask it: connections, and
    /// where the group's coordinator is.
    pub(crate) fn undecided(&self) -> Result<Undecided, KafkaError> {
        self.client
            .clone()
            .set("isolation.level", "read_uncommitted")
            .create_with_context(Plain(Ear::asked(&self.client)))
            .map(consumer_begins)
            .map(Undecided)
    }

    /// The first offset of a partition whose record has a timestamp of `since` (Unix
    /// milliseconds) or later; `None` if there is none.
    pub fn first_since(
        &self,
        p: &Partition,
        since: i64,
        timeout: Duration,
    ) -> Result<Option<i64>, KafkaError> {
        let consumer = self.consumer.read().clone().ok_or(closed())?;
        let asked = list(std::slice::from_ref(p), Offset::Offset(since));
        let found = consumer.offsets_for_times(asked, timeout)?;
        for element in found.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// Whether a partition is there; an error if Kafka cannot be asked, or does not let this
    /// user see it.
    pub fn exists(&self, p: &Partition, timeout: Duration) -> Result<bool, KafkaError> {
        match self.partitions(&p.topic, timeout) {
            Ok(count) => Ok(p.partition < count),
            Err(error) if ErrorClass::of_error(&error).is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The topics among those of `offsets` that are not there, or not with that partition.
    pub fn missing(&self, offsets: &[Commit], timeout: Duration) -> Vec<Arc<str>> {
        let mut missing: Vec<Arc<str>> = Vec::new();
        for Commit {
            topic, partition, ..
        } in offsets
        {
            let gone = match self.partitions(topic, timeout) {
                _ if missing.contains(topic) => false,
                Ok(count) => *partition >= count,
                Err(error) => ErrorClass::of_error(&error).is_about_topic(),
            };
            if gone {
                missing.push(topic.clone());
            }
        }
        missing
    }

    /// How many partitions `topic` has.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<i32, KafkaError> {
        let consumer = self.consumer.read().clone().ok_or(closed())?;
        partition_count(consumer.as_ref(), topic, timeout)
    }
}

/// A client that does not wait for open transactions.
pub(crate) struct Undecided(BaseConsumer<Plain>);

impl Undecided {
    /// As [`Group::committed_of`], but what was committed before transactions that are open.
    pub(crate) fn committed_of(
        &self,
        partitions: &[Partition],
        timeout: Duration,
    ) -> Result<Vec<Commit>, KafkaError> {
        committed(&self.0, partitions, timeout)
    }
}

fn committed<X: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<X>,
    partitions: &[Partition],
    timeout: Duration,
) -> Result<Vec<Commit>, KafkaError> {
    let found = consumer.committed_offsets(list(partitions, Offset::Invalid), timeout)?;
    commits(&found, partitions)
}

/// How many partitions `topic` has, as seen by any consumer; an unknown topic is an error.
pub fn partition_count<X: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<X>,
    topic: &str,
    timeout: Duration,
) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
    let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
    let topic = metadata
        .topics()
        .iter()
        .find(|t| t.name() == topic)
        .ok_or(unknown.clone())?;
    match topic.partitions().len() {
        0 => Err(topic
            .error()
            .map_or(unknown, |e| KafkaError::MetadataFetch(e.into()))),
        n => Ok(i32::try_from(n).unwrap_or(i32::MAX)),
    }
}

fn closed() -> KafkaError {
    KafkaError::Canceled
}

/// A list of partitions, each at `offset`.
pub fn list(partitions: &[Partition], offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for p in partitions {
        let mut element = list.add_partition(&p.topic, p.partition);
        let _ = element.set_offset(offset);
    }
    list
}

/// The commits among `found`, which belong to the partitions `known`. Metadata that is not
/// text is replaced.
pub fn commits(found: &TopicPartitionList, known: &[Partition]) -> Result<Vec<Commit>, KafkaError> {
    let mut commits = Vec::new();
    for element in found.elements() {
        element.error()?;
        let Offset::Offset(offset) = element.offset() else {
            continue;
        };
        let Some(p) = known
            .iter()
            .find(|p| p.partition == element.partition() && &*p.topic == element.topic())
        else {
            continue;
        };
        let metadata = foreign::read(|| element.metadata().to_owned())
            .unwrap_or_else(|| "\u{fffd} not UTF-8".to_owned());
        commits.push(Commit {
            topic: p.topic.clone(),
            partition: p.partition,
            offset,
            metadata,
        });
    }
    Ok(commits)
}
