//! Where correlating goes on: behind deliveries whose events are certainly here.
//!
//! Deliveries are consumed in order, and one that is read again does no harm for as long as what was
//! published of it is remembered in `sms.correlation` (`correlate.final_retention`); of an older one
//! a second event would come, without its message. So it goes on neither at the beginning nor at
//! the end, but as far back as mirroring may have lagged.
//!
//! An event names its delivery by ESME, bind and the microsecond at which it came. The youngest event
//! of all says how far mirroring has come somewhere; what was written earlier than `lag` before that
//! is here everywhere. In each partition the last delivery that has an event of that time is sought.
//! All before it were consumed before it, so their events and their entries are here, too.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::scan::logs;
use super::{Error, Options, Telling};
use crate::kafka::Partition;
use crate::kafka::progress::Progress;
use crate::kafka::whole_topic::{Begin, Client, Isolation, WholeTopic, reader};
use crate::record::codec::{Codec, patiently};
use crate::record::internal::Delivery;

/// How long Kafka may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For so long before that, deliveries and their events are sought.
const DAY: i64 = 86_400_000;

/// What deliveries are sought with.
#[derive(Clone, Debug)]
pub(crate) struct Deliveries {
    /// Their topic.
    pub topic: Arc<str>,
    /// How they are written.
    pub codec: Codec,
    /// The topics of events about them.
    pub events: Vec<(Arc<str>, Codec)>,
    /// By how much one partition may have been mirrored later than another.
    pub lag: Duration,
}

/// A partition of the deliveries, as it is to go on.
#[derive(Clone, Debug)]
pub(crate) struct Resumed {
    /// Which.
    pub partition: Partition,
    /// What is to be committed.
    pub progress: Progress,
    /// How many deliveries will be read, again or for the first time.
    pub left: i64,
}

struct Search<'a> {
    options: &'a Options,
    deliveries: &'a Deliveries,
    telling: Telling<'a>,
    hashes: [RandomState; 2],
}

/// Where each partition of the deliveries goes on.
///
/// # Errors
///
/// When Kafka fails.
pub(crate) fn resume(
    options: &Options,
    deliveries: &Deliveries,
    telling: Telling<'_>,
) -> Result<Vec<Resumed>, Error> {
    let search = Search {
        options,
        deliveries,
        telling,
        hashes: [RandomState::new(), RandomState::new()],
    };
    let consumer = reader(&options.reader)?;
    let logs = logs(&consumer, &deliveries.topic)?;
    let mut at: Vec<(i64, Option<i64>)> = logs.iter().map(|(low, _)| (*low, None)).collect();
    if let Some(youngest) = search.youngest()? {
        let lag = i64::try_from(deliveries.lag.as_millis()).unwrap_or(i64::MAX);
        let until = youngest.saturating_sub(lag);
        let since = until.saturating_sub(DAY).max(0);
        at = first_since(&consumer, &deliveries.topic, since, &logs)?;
        let known = search.known(since, until)?;
        search.log(&deliveries.topic, Some(since)).read(
            &|done, all| telling("deliveries read", done, all),
            |message| {
                let (partition, next) = (message.partition() as usize, message.offset() + 1);
                if let Some(name) = search.delivery(message)?
                    && known.contains(&name)
                    && let Some(at) = at.get_mut(partition)
                {
                    *at = (next, message.timestamp().to_millis().max(at.1));
                }
                Ok::<_, Error>(true)
            },
        )?;
    }
    let resumed = (0..)
        .zip(at)
        .zip(logs)
        .map(|((number, (at, newest)), (_, end))| {
            let mut progress = Progress::new(at);
            if let Some(newest) = newest {
                progress.read(newest);
            }
            Resumed {
                partition: Partition {
                    topic: deliveries.topic.clone(),
                    partition: number,
                },
                progress,
                left: end - at,
            }
        });
    Ok(resumed.collect())
}

impl Search<'_> {
    /// When the youngest event was written.
    fn youngest(&self) -> Result<Option<i64>, Error> {
        let mut youngest = None;
        for (topic, _) in &self.deliveries.events {
            self.log(topic, None).read(
                &|done, all| (self.telling)("events looked at", done, all),
                |message| {
                    youngest = youngest.max(message.timestamp().to_millis());
                    Ok::<_, Error>(true)
                },
            )?;
        }
        Ok(youngest)
    }

    /// The deliveries that events of this time are about.
    fn known(&self, since: i64, until: i64) -> Result<HashSet<[u64; 2]>, Error> {
        let mut known = HashSet::new();
        for (topic, codec) in &self.deliveries.events {
            self.log(topic, Some(since)).read(
                &|done, all| (self.telling)("events read", done, all),
                |message| {
                    if message
                        .timestamp()
                        .to_millis()
                        .is_some_and(|at| at <= until)
                        && let Some(octets) = message.payload()
                        && let Ok(event) = patiently(|| codec.shown(octets))?
                    {
                        self.named(&event, &mut known);
                    }
                    Ok::<_, Error>(true)
                },
            )?;
        }
        Ok(known)
    }

    /// The deliveries that an event is about: its own, and those of its segments.
    fn named(&self, event: &Value, known: &mut HashSet<[u64; 2]>) {
        let parts = event["parts"].as_array().into_iter().flatten();
        for of in parts.chain([event]) {
            let (bind, at) = (of["bind"].as_str(), of["received_at"].as_str());
            let at = at.and_then(|at| at.parse::<Timestamp>().ok());
            if let (Some(esme), Some(bind), Some(at)) = (event["esme"].as_str(), bind, at) {
                known.insert(self.name(esme, bind, at));
            }
        }
    }

    fn delivery(&self, message: &BorrowedMessage<'_>) -> Result<Option<[u64; 2]>, Error> {
        let Some(octets) = message.payload() else {
            return Ok(None);
        };
        let read = patiently(|| self.deliveries.codec.read_internal::<Delivery>(octets))?;
        Ok(read
            .ok()
            .map(|d| self.name(&d.esme, &d.bind, d.received_at)))
    }

    fn name(&self, esme: &str, bind: &str, at: Timestamp) -> [u64; 2] {
        let hash = |hash: &RandomState| hash.hash_one((esme, bind, at.as_microsecond()));
        self.hashes.each_ref().map(hash)
    }

    fn log<'t>(&'t self, topic: &'t Arc<str>, since: Option<i64>) -> WholeTopic<'t> {
        WholeTopic {
            client: &self.options.reader,
            transaction_timeout: self.options.transaction_timeout,
            topic,
            begin: since.map_or(Begin::First, Begin::Since),
            isolation: Isolation::Committed,
        }
    }
}

/// The first delivery of each partition since a time; its end, if there is none.
fn first_since(
    consumer: &Client,
    topic: &Arc<str>,
    since: i64,
    logs: &[(i64, i64)],
) -> Result<Vec<(i64, Option<i64>)>, Error> {
    let failed = || Error::at(format!("offsets of topic {topic}"));
    let mut asked = TopicPartitionList::new();
    for partition in 0..logs.len() as i32 {
        asked
            .add_partition_offset(topic, partition, Offset::Offset(since))
            .map_err(failed())?;
    }
    let found = consumer
        .offsets_for_times(asked, TIMEOUT)
        .map_err(failed())?;
    let at = (0..).zip(logs).map(|(partition, (_, end))| {
        let found = found.find_partition(topic, partition).map(|e| e.offset());
        match found {
            Some(Offset::Offset(offset)) => (offset, None),
            _ => (*end, None),
        }
    });
    Ok(at.collect())
}
