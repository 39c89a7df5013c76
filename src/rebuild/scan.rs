//! Reading results and records: see [the module](super).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde_json::Value;

use super::join::{Entry, Group, Key, Life, Outcome, join};
use super::plan::Known;
use super::{Counts, Error, Options, Partitions, Telling};
use crate::kafka::group::partition_count;
use crate::kafka::whole_topic::{Begin, Client, Isolation, WholeTopic, reader};
use crate::kafka::{Partition, foreign};
use crate::record::codec::{Codec, patiently};
use crate::record::headers;
use crate::record::keys::Position;
use crate::record::submit_sm::derived_log_id;

/// How long Kafka, or the schema registry, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A result by place is that of a record only if it is older than it by no more than clocks differ.
const CLOCKS: i64 = 600_000;
/// So many results without a record are remembered of a partition at most.
const MOST_STRAYS: usize = 100_000;

/// What was found in a partition.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub known: Known,
    pub counts: Counts,
}

/// One partition while it is read.
#[derive(Default)]
struct Scanned {
    name: Option<Partition>,
    found: Found,
    /// Pairs of a record here and its place there, as that and how much further it was: only of
    /// the first share.
    pairs: Vec<(i64, i64)>,
    /// The highest place of a record that is here, and of any result.
    highest: (i64, i64),
    /// Places of results without a record.
    strays: Vec<i64>,
    nameless: bool,
}

/// Where a record without a log id stood.
enum Place {
    At(i64),
    /// Above all results.
    Above,
    Unknown,
}

/// Which records a pass is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Named,
    Nameless,
}

struct Scan<'a> {
    options: &'a Options,
    telling: Telling<'a>,
    hashes: [RandomState; 2],
    /// Each topic's first partition among all, and how many it has.
    topics: HashMap<Arc<str>, (usize, i32)>,
    partitions: Vec<Scanned>,
    /// Into how many shares the log ids are divided.
    shares: u64,
    /// Results that are about topics of ours, and about others.
    events: (u64, u64),
    other: Option<String>,
}

/// Reads everything.
pub(super) fn scan(options: &Options, telling: Telling<'_>) -> Result<Partitions<Found>, Error> {
    let mut scan = Scan::new(options, telling)?;
    for share in 0..scan.shares {
        scan.pass(Pass::Named, share)?;
        if share == 0 {
            scan.check()?;
        }
    }
    if scan.partitions.iter().any(|p| p.nameless) {
        scan.partitions
            .iter_mut()
            .for_each(|p| p.pairs.sort_unstable());
        for share in 0..scan.shares {
            scan.pass(Pass::Nameless, share)?;
        }
    }
    let partitions = scan.partitions.into_iter();
    Ok(partitions.filter_map(Scanned::finish).collect())
}

impl Scanned {
    fn finish(mut self) -> Option<(Partition, Found)> {
        let highest = self.highest.0;
        self.strays.retain(|stray| *stray > highest);
        self.found.counts.ahead = self.strays.len() as u64;
        Some((self.name?, self.found))
    }

    fn note(&mut self, group: Group, first: bool) {
        self.found.known.open.extend(group.open);
        self.found.counts.copies += group.copies;
        self.found.counts.surplus += group.surplus;
        if let Some((here, there)) = group.pair {
            self.highest.0 = self.highest.0.max(there);
            if first {
                self.pairs.push((here, there - here));
            }
        }
        if let Some(stray) = group.stray
            && stray > self.highest.0
            && self.strays.len() < MOST_STRAYS
        {
            self.strays.push(stray);
        }
    }

    /// Where the record at `offset` stood, by its neighbours.
    fn place(&self, offset: i64) -> Place {
        let next = self.pairs.partition_point(|(here, _)| *here < offset);
        let before = next
            .checked_sub(1)
            .and_then(|before| self.pairs.get(before));
        match (before, self.pairs.get(next)) {
            (Some((_, before)), Some((_, behind))) if before == behind => {
                Place::At(offset + before)
            }
            (Some((_, before)), _) if offset + before > self.highest.1 => Place::Above,
            _ => Place::Unknown,
        }
    }
}

impl<'a> Scan<'a> {
    fn new(options: &'a Options, telling: Telling<'a>) -> Result<Self, Error> {
        let consumer = reader(&options.reader)?;
        let (mut topics, mut partitions) = (HashMap::new(), Vec::new());
        let mut octets = 0;
        for topic in &options.outbound {
            let logs = logs(&consumer, topic)?;
            topics.insert(topic.clone(), (partitions.len(), logs.len() as i32));
            for (number, (low, end)) in (0..).zip(logs) {
                octets += (end - low).unsigned_abs() * size_of::<Entry>() as u64;
                let mut scanned = Scanned {
                    name: Some(Partition {
                        topic: topic.clone(),
                        partition: number,
                    }),
                    highest: (-1, -1),
                    ..Scanned::default()
                };
                scanned.found.known.end = end;
                partitions.push(scanned);
            }
        }
        for (topic, _) in &options.results {
            for (low, end) in logs(&consumer, topic)? {
                octets += (end - low).unsigned_abs() * size_of::<Outcome>() as u64;
            }
        }
        Ok(Scan {
            options,
            telling,
            hashes: [RandomState::new(), RandomState::new()],
            topics,
            partitions,
            shares: octets.div_ceil(options.memory.max(1)).max(1),
            events: (0, 0),
            other: None,
        })
    }

    /// One share of all log ids.
    fn pass(&mut self, pass: Pass, share: u64) -> Result<(), Error> {
        let mut outcomes = self.outcomes(share)?;
        let mut entries = self.entries(pass, share)?;
        if pass == Pass::Nameless {
            // The first place is enough: of one place there is one record.
            let of: HashMap<Key, i64> = entries.iter().map(|e| (e.key, e.stamp)).collect();
            outcomes.retain(|o| of.get(&o.key).is_some_and(|stamp| o.at + CLOCKS >= *stamp));
        }
        let partitions = &mut self.partitions;
        join(&mut entries, &mut outcomes, |key, mut group| {
            if let Some(partition) = partitions.get_mut((key[0] >> INDEX) as usize) {
                if pass == Pass::Nameless {
                    group.pair = None;
                }
                partition.note(group, share == 0);
            }
        });
        Ok(())
    }

    fn key(&self, partition: usize, log_id: &str) -> Key {
        let [one, two] = self.hashes.each_ref().map(|hash| hash.hash_one(log_id));
        [(partition as u64) << INDEX | one >> (64 - INDEX), two]
    }

    fn is_of(&self, share: u64, key: Key) -> bool {
        key[1] % self.shares == share
    }

    fn partition(&self, topic: &str, partition: i32) -> Option<usize> {
        let (first, count) = self.topics.get(topic)?;
        let number = (0..*count).contains(&partition).then_some(partition)?;
        Some(first + number as usize)
    }

    /// The results of this share.
    fn outcomes(&mut self, share: u64) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::new();
        let (options, telling) = (self.options, self.telling);
        self.events = (0, 0);
        for (topic, codec) in &options.results {
            let progress = |done, all| telling("results read", done, all);
            self.log(topic).read(&progress, |message| {
                if let Some(outcome) = self.outcome(message, codec)?
                    && self.is_of(share, outcome.key)
                {
                    outcomes.push(outcome);
                }
                Ok::<_, Error>(true)
            })?;
        }
        Ok(outcomes)
    }

    fn outcome(
        &mut self,
        message: &BorrowedMessage<'_>,
        codec: &Codec,
    ) -> Result<Option<Outcome>, Error> {
        let Some(octets) = message.payload() else {
            return Ok(None);
        };
        let Ok(event) = patiently(|| codec.shown(octets))? else {
            return Ok(None);
        };
        let record = serde_json::from_value::<Position>(event["record"].clone());
        let (Value::Bool(true), Some(log_id), Ok(record)) =
            (&event["terminal"], event["log_id"].as_str(), record)
        else {
            return Ok(None);
        };
        let Some(partition) = self.partition(&record.topic, record.partition) else {
            return self.elsewhere(record).map(|()| None);
        };
        self.events.0 += 1;
        let highest = &mut self.partitions[partition].highest.1;
        *highest = record.offset.max(*highest);
        let at = event["responded_at"].as_str().or(event["at"].as_str());
        let at = at.and_then(|at| at.parse::<Timestamp>().ok());
        let written = || message.timestamp().to_millis().unwrap_or_default();
        Ok(Some(Outcome {
            key: self.key(partition, log_id),
            source: record.offset,
            at: at.map_or_else(written, Timestamp::as_millisecond),
        }))
    }

    /// A result of what no partition here is.
    fn elsewhere(&mut self, record: Position) -> Result<(), Error> {
        if let Some((topic, (_, here))) = self.topics.get_key_value(&*record.topic) {
            return Err(Error::Partitions {
                topic: topic.clone(),
                there: record.partition.into(),
                here: *here,
            });
        }
        self.events.1 += 1;
        self.other.get_or_insert(record.topic);
        Ok(())
    }

    /// The records of this share.
    fn entries(&mut self, pass: Pass, share: u64) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let (options, telling) = (self.options, self.telling);
        for topic in &options.outbound {
            let progress = |done, all| telling("records read", done, all);
            self.log(topic).read(&progress, |message| {
                if let Some(entry) = self.entry(message, pass, share)? {
                    entries.push(entry);
                }
                Ok::<_, Error>(true)
            })?;
        }
        Ok(entries)
    }

    fn entry(
        &mut self,
        message: &BorrowedMessage<'_>,
        pass: Pass,
        share: u64,
    ) -> Result<Option<Entry>, Error> {
        let offset = message.offset();
        let Some(index) = self.partition(message.topic(), message.partition()) else {
            return Ok(None);
        };
        if offset >= self.partitions[index].found.known.end {
            return Ok(None);
        }
        let (origin, life) = life(message);
        let stamp = message.timestamp().to_millis().unwrap_or_default();
        let named = self.log_id(message)?;
        let partition = &mut self.partitions[index];
        if (pass, share) == (Pass::Named, 0) {
            partition.found.counts.records += 1;
            let newest = &mut partition.found.known.newest;
            *newest = (*newest).max(Some(stamp));
        }
        let at = |offset| Position {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset,
        };
        let same = self.options.same_offsets;
        let log_id = match (named, pass, origin) {
            (Some(log_id), Pass::Named, _) => log_id,
            (Some(_), Pass::Nameless, _) => return Ok(None),
            (None, Pass::Named, origin) if same => derived_log_id(&origin.unwrap_or(at(offset))),
            (None, Pass::Named, _) => {
                partition.nameless = true;
                return Ok(None);
            }
            (None, Pass::Nameless, Some(origin)) => derived_log_id(&origin),
            (None, Pass::Nameless, None) => match partition.place(offset) {
                Place::At(place) => derived_log_id(&at(place)),
                place => {
                    if share == 0 {
                        partition.found.known.open.push((offset, stamp));
                        let unknown = matches!(place, Place::Unknown);
                        partition.found.counts.unmatched += u64::from(unknown);
                    }
                    return Ok(None);
                }
            },
        };
        let key = self.key(index, &log_id);
        let content = self.hashes[0].hash_one((message.key(), message.payload()));
        let entry = Entry::new(key, offset, stamp, content, life);
        Ok(self.is_of(share, key).then_some(entry))
    }

    /// The log id that a record names.
    fn log_id(&self, message: &BorrowedMessage<'_>) -> Result<Option<String>, Error> {
        let Some(octets) = message.payload() else {
            return Ok(None);
        };
        Ok(
            match patiently(|| self.options.outbound_codec.outbound(octets))? {
                Ok(record) => record.sm.log_id.map(String::from),
                Err(invalid) => invalid.log_id,
            },
        )
    }

    fn log<'t>(&self, topic: &'t Arc<str>) -> WholeTopic<'t>
    where
        'a: 't,
    {
        WholeTopic {
            client: &self.options.reader,
            transaction_timeout: self.options.transaction_timeout,
            topic,
            begin: Begin::First,
            isolation: Isolation::Committed,
        }
    }

    /// Whether what was mirrored fits together.
    fn check(&mut self) -> Result<(), Error> {
        if let (0, events @ 1.., Some(topic)) = (self.events.0, self.events.1, self.other.take()) {
            return Err(Error::OtherTopics { events, topic });
        }
        if !self.options.same_offsets {
            return Ok(());
        }
        for partition in &self.partitions {
            let other = partition.pairs.iter().find(|(_, further)| *further != 0);
            if let (Some((here, further)), Some(name)) = (other, &partition.name) {
                return Err(Error::OtherOffsets {
                    partition: name.clone(),
                    here: *here,
                    there: here + further,
                });
            }
        }
        Ok(())
    }
}

/// How many bits of a key tell its log id, in the half that also tells the partition.
const INDEX: u32 = 44;

/// First offset and end of each partition of a topic.
pub(super) fn logs(consumer: &Client, topic: &Arc<str>) -> Result<Vec<(i64, i64)>, Error> {
    let failed = || Error::at(format!("offsets of topic {topic}"));
    let count = partition_count(consumer, topic, TIMEOUT).map_err(failed())?;
    (0..count)
        .map(|partition| consumer.fetch_watermarks(topic, partition, TIMEOUT))
        .collect::<Result<_, _>>()
        .map_err(failed())
}

/// Where a record stood when it was first seen, if its headers say so, and how it came here.
fn life(message: &BorrowedMessage<'_>) -> (Option<Position>, Life) {
    let read = || {
        let (mut origin, mut replayed) = (None, false);
        for header in message.headers().iter().flat_map(|headers| headers.iter()) {
            let value = || std::str::from_utf8(header.value?).ok();
            match header.key {
                headers::ORIGIN => origin = value().and_then(Position::parse),
                headers::REPLAY_OF => replayed = true,
                _ => {}
            }
        }
        (origin, replayed)
    };
    match foreign::read(read) {
        Some((Some(origin), true)) => (Some(origin), Life::Another),
        Some((Some(origin), false)) => (Some(origin), Life::GoesOn),
        _ => (None, Life::First),
    }
}
