//! Where the groups go on upon another cluster, to which the topics of the first were mirrored, or
//! upon a restored backup: from the results that are there.
//!
//! Committed offsets are no help. Those of a mirrored log are others, and the metadata beside them,
//! which alone says what was finished behind the committed offset and what was in flight, is bound to
//! cluster, topic, partition and offset ([`metadata`](crate::kafka::progress::metadata)). What does
//! travel is the results: a record that has its terminal event is finished, wherever both stand now.
//! [`join`] finds which, and [`plan`] makes the offset and the metadata of it, as if the connector
//! had committed them here.
//!
//! # What mirroring does
//!
//! It is asynchronous, and each partition of each topic lags on its own. So of a record and its result
//! there may be here: both; the record alone, because it was never sent, or was out, or its result
//! was not mirrored any more; the result alone ("ahead" in the table), because the record was not; or
//! neither, and nobody here knows of it.
//!
//! # What is in doubt
//!
//! A record without a result was sent or not, and nothing here tells. Weighed were:
//!
//! - *Mirroring the progress, too*, as records of a topic. It would say up to where sending was
//!   reserved at some time T, but what matters is what was sent between T and the end, which is
//!   just as long a time as that by which the results lag. It bounds nothing.
//! - *Believing the lag that MirrorMaker 2 measured.* It is of batches that arrived; of those that did
//!   not, it says nothing.
//! - *What a window and a rate allow behind the last result.* A bound, if the time of death is known,
//!   and the lag of each partition of the results, which is not.
//! - *All of them are in doubt.* Chosen: it is the only thing that is always true. What was out and
//!   what was not mirrored is in it, and so is the backlog of the first cluster, which nobody can
//!   tell from the latter. What an operator does know is when the first cluster was lost: a record
//!   with a younger timestamp was written here and is new (`lost_at`).
//!
//! In doubt means what it means after a crash: one attempt is counted in the metadata, so `in_doubt`
//! of record or configuration decides between `OUTCOME_UNKNOWN` and sending it again, flagged.
//!
//! # Records without a log id
//!
//! Their results are called by the place where they stood on the first cluster. That place is found
//! between two records that have log ids and results: if the distance between here and there is the
//! same for both, it is for what stands between them. Behind the last such pair the distance can
//! only have grown (by gaps; what was mirrored twice makes it smaller), so what lies above all results
//! is in doubt like other records without one. What remains is unknown, and stops the rebuild until
//! somebody decides. On a restored backup, or with offsets that are known to be equal
//! (`same_offsets`), each place is its own.
//!
//! An event says where its record stood, but not on which cluster. A place may therefore be one of
//! another time; so a result by place counts only if it is not older than the record.
//!
//! # Memory
//!
//! 40 octets for each record and 32 for each result; where that is more than allowed, all is read
//! several times, and each time only a share of the log ids counts. Besides, 16 octets for each
//! record without a result.
//!
//! # Dying in the middle
//!
//! Only two things are written. Records for which the metadata has no room go back onto their topic,
//! in transactions; another run sees them there, with their origin, and takes the first copy for
//! finished. Then the offsets of a group are committed, all at once.

mod deliveries;
mod join;
mod plan;
mod scan;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

pub(crate) use deliveries::{Deliveries, Resumed, resume};

use crate::codes::{self, ErrorCode};
use crate::kafka::progress::{Limits, Progress};
use crate::kafka::{Partition, whole_topic};
use crate::record::codec::{Codec, SchemaAway};

/// What a rebuild works with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Properties of a consumer of committed records.
    pub reader: ClientConfig,
    /// Properties of the transactional producer.
    pub producer: ClientConfig,
    /// Its transactional.id, which also stands in the metadata.
    pub transactional_id: String,
    /// When Kafka ends a transaction that its process left open.
    pub transaction_timeout: Duration,
    /// The id of this cluster.
    pub cluster: String,
    /// The topics of results.
    pub results: Vec<(Arc<str>, Codec)>,
    /// The outbound topics.
    pub outbound: Vec<Arc<str>>,
    /// How outbound records are written.
    pub outbound_codec: Codec,
    /// How much memory may be used, in octets.
    pub memory: u64,
    /// Whether records stand where they stood on the cluster that wrote the results.
    pub same_offsets: bool,
    /// When the first cluster was lost, in Unix milliseconds: what is younger was written here.
    pub lost_at: Option<i64>,
}

/// Why a rebuild ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Kafka failed.
    #[error("{what}: {error}")]
    Kafka {
        /// What was tried.
        what: String,
        /// What Kafka said.
        error: KafkaError,
    },
    /// Transactions do not end.
    #[error("transactions on {0} do not end: try again when their processes have")]
    Open(Partition),
    /// A schema is not here.
    #[error(transparent)]
    Schema(#[from] SchemaAway),
    /// The results are those of other topics.
    #[error(
        "none of the {events} results is about a topic of this configuration; they are about {topic}, for example. Topics have to keep their names: mirror them with IdentityReplicationPolicy, and give esme.outbound the names that the first cluster had"
    )]
    OtherTopics {
        /// How many results there are.
        events: u64,
        /// The topic that one of them is about.
        topic: String,
    },
    /// The topic has not the partitions that results speak of.
    #[error(
        "a result is about partition {there} of topic {topic}, which has {here} partitions here: a mirrored topic needs the partitions of the first one, in the same order. Make it anew with as many, and mirror it again"
    )]
    Partitions {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        there: i64,
        /// How many there are here.
        here: i32,
    },
    /// Offsets are not the same after all.
    #[error(
        "offsets are not the same here: the record at offset {here} of {partition} stood at {there}. Leave out --same-offsets"
    )]
    OtherOffsets {
        /// The partition.
        partition: Partition,
        /// Where it stands.
        here: i64,
        /// Where it stood.
        there: i64,
    },
    /// A record is there no more.
    #[error(
        "the record at offset {offset} of {partition} cannot be read any more: it was deleted meanwhile, or the name of a header is not UTF-8. Run it again"
    )]
    Gone {
        /// The partition.
        partition: Partition,
        /// The offset.
        offset: i64,
    },
}

impl Error {
    /// By which it is explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Kafka { .. } => codes::KAFKA_FAILED,
            Error::Open(_) | Error::Gone { .. } => codes::REPLAY_WAITS,
            Error::Schema(_) => codes::REGISTRY_AWAY,
            Error::OtherTopics { .. } | Error::Partitions { .. } | Error::OtherOffsets { .. } => {
                codes::MIRRORED_OTHERWISE
            }
        }
    }

    /// Whether trying again helps.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Open(_) | Error::Schema(_) | Error::Gone { .. })
    }

    fn at(what: impl std::fmt::Display) -> impl FnOnce(KafkaError) -> Error {
        move |error| Error::Kafka {
            what: what.to_string(),
            error,
        }
    }
}

impl From<whole_topic::Error> for Error {
    fn from(error: whole_topic::Error) -> Self {
        match error {
            whole_topic::Error::Kafka { what, error } => Error::Kafka { what, error },
            whole_topic::Error::Open(partition) => Error::Open(partition),
        }
    }
}

/// What is told while it goes on: how far it has come, and of how many.
pub(crate) type Telling<'a> = &'a dyn Fn(&'static str, u64, u64);

/// A partition, as it is to go on.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilt {
    /// Which.
    pub partition: Partition,
    /// What is to be committed.
    pub progress: Progress,
    /// What goes back onto its topic first: where it stands, and whether it may have been sent.
    pub back: Vec<(i64, bool)>,
    /// What was counted.
    pub counts: Counts,
}

/// What was counted in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Records in its log.
    pub records: u64,
    /// Of them, those without a result.
    pub open: u64,
    /// Of those, the ones that may have been sent.
    pub in_doubt: u64,
    /// Flagged without being counted as in doubt.
    pub flagged: u64,
    /// Certainly not sent.
    pub fresh: u64,
    /// Without a log id, and not matched with any result.
    pub unmatched: u64,
    /// Copies of others.
    pub copies: u64,
    /// Results of records that are not here.
    pub ahead: u64,
    /// Results of one record more than there can be.
    pub surplus: u64,
}

/// Looks at everything, and writes nothing.
///
/// # Errors
///
/// When Kafka fails, or what was mirrored does not fit together.
pub(crate) fn survey(options: &Options, telling: Telling<'_>) -> Result<Vec<Rebuilt>, Error> {
    let found = scan::scan(options, telling)?;
    let rebuilt = found.into_iter().map(|(partition, mut found)| {
        found.known.open.sort_unstable();
        let plan = plan::plan(&found.known, options.lost_at, Limits::default());
        let counts = Counts {
            open: found.known.open.len() as u64,
            in_doubt: plan.in_doubt as u64,
            flagged: plan.flagged as u64,
            fresh: plan.fresh as u64,
            ..found.counts
        };
        Rebuilt {
            partition,
            progress: plan.progress,
            back: plan.back,
            counts,
        }
    });
    Ok(rebuilt.collect())
}

/// Puts back what has to be.
///
/// # Errors
///
/// When Kafka fails. Another run goes on where this one ended.
pub(crate) fn put_back(
    options: &Options,
    rebuilt: &[Rebuilt],
    telling: Telling<'_>,
) -> Result<(), Error> {
    write::put_back(options, rebuilt, telling)
}

/// Partitions by name.
type Partitions<T> = BTreeMap<Partition, T>;
