//! One transaction: what goes into it, and how it ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::OwnedHeaders;

use super::cause::Cause;

/// A record to be produced within a transaction.
#[derive(Clone, Debug)]
pub struct Output {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None` lets the partitioner choose by key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Option<OwnedHeaders>,
}

impl Output {
    /// About how much memory and transaction space the record takes, in octets.
    pub fn size(&self) -> usize {
        128 + self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// The records of one transaction, in order. Who gathered them holds them too, until it is known whether
/// they go again.
#[derive(Clone, Debug, Default)]
pub struct Records(Vec<Arc<Vec<Output>>>);

impl Records {
    /// Appends what one source has gathered.
    pub fn add(&mut self, gathered: Arc<Vec<Output>>) {
        self.0.push(gathered);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Output> {
        self.0.iter().flat_map(|gathered| gathered.iter())
    }

    /// The one with this index.
    pub fn get(&self, mut index: usize) -> Option<&Output> {
        for gathered in &self.0 {
            match index.checked_sub(gathered.len()) {
                Some(behind) => index = behind,
                None => return gathered.get(index),
            }
        }
        None
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|gathered| gathered.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<Output> for Records {
    fn from_iter<I: IntoIterator<Item = Output>>(gathered: I) -> Self {
        Records(vec![Arc::new(gathered.into_iter().collect())])
    }
}

/// An offset to be committed within a transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The source topic.
    pub topic: Arc<str>,
    /// The source partition.
    pub partition: i32,
    /// The lowest unfinished offset.
    pub offset: i64,
    /// The progress metadata, see [`super::progress::metadata`].
    pub metadata: String,
}

/// The contents of one transaction.
pub struct Cycle {
    /// Number of the transaction within this process, as it stands in the metadata.
    pub number: u64,
    /// What is written.
    pub records: Records,
    /// The offset of every partition whose state or events the transaction touches.
    pub offsets: Vec<Commit>,
    /// The membership under which the offsets are committed.
    pub group: Arc<ConsumerGroupMetadata>,
    /// Records of which nothing is reported for so long hold up the others.
    pub report_timeout: Duration,
    /// If it is only for partitions that are [set aside](super::set_aside): how it goes.
    pub trial: Option<Trial>,
}

/// A transaction for partitions that are set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its records go each in a batch of its own, so that the one that is refused is named.
    pub singly: bool,
    /// Used in place of [`Cycle::report_timeout`], also where no record was reported: it takes the
    /// time of others, who have nothing to do with it.
    pub report_timeout: Duration,
}

/// How a transaction ended.
#[derive(Debug)]
pub enum Settled {
    /// Committed; the membership was valid at some time after `begun`.
    Committed {
        /// When the transaction was begun.
        begun: Instant,
    },
    /// Not committed, for certain.
    Aborted(Abort),
    /// Whether it was committed cannot be told any more: every partition it touched has moved on to
    /// another owner; or what is committed still names a predecessor, as before a first commit; or the
    /// process stops before Kafka says it.
    Unknown,
}

/// Why a transaction was aborted.
#[derive(Debug)]
pub enum Abort {
    /// The group has moved on (rebalance) or the producer was fenced.
    Fenced(String),
    /// The record with this index in [`Cycle::records`] cannot be produced, however often,
    /// because of what it is (its size, for example). The cycle's offsets had been taken.
    Record {
        /// Index into the cycle's records.
        index: usize,
        /// What the broker or the client said.
        code: RDKafkaErrorCode,
        /// It is too large, and what is larger is as well: nothing is compressed.
        larger: bool,
    },
    /// The topic of the record with this index does not take records for now, whatever they
    /// are. The cycle's offsets had been taken.
    Topic {
        /// Index into the cycle's records.
        index: usize,
        /// What the broker or the client said.
        code: RDKafkaErrorCode,
    },
    /// Of the records with these indexes nothing was reported in time: the partitions that they
    /// go to are not available. The cycle's offsets had been taken.
    Unavailable(Vec<usize>),
    /// The offsets of these topics cannot be committed: they do not exist (any more), or are
    /// closed to us. As long as a transaction carries them it fails.
    Gone(Vec<Arc<str>>),
    /// A right is missing, or something else that somebody must mend; that is said.
    Refused,
    /// The brokers do no transactions at all: none will ever succeed.
    Impossible(Box<Cause>),
    /// Something that may pass.
    Trouble(String),
}
