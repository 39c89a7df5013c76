//! What stands on the topic of errors.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};
use serde_json::Value;

use super::notices::EventUnreadable;
use super::originals::Originals;
use super::{Decision, Error, Filter, Found, Options, Progress};

use crate::kafka::foreign;
use crate::kafka::whole_topic::{self, Begin, Client, Isolation, WholeTopic};
use crate::record::codec::patiently;
use crate::record::failed::ReadSendError;
use crate::record::headers;
use crate::record::keys::Position;

/// A response is written after its record, by clocks that differ.
const SLACK: i64 = 600_000;

/// How many errors are searched for a key, whatever the limit.
const SEARCHED: usize = 200_000;

/// Where an error, or a marker, stands on the topic of errors.
type Place = (i32, i64);

/// What was put back before.
#[derive(Default)]
struct Marks {
    /// The errors that markers name, and when those ended, if they are there.
    errors: HashMap<Place, Option<Timestamp>>,
    /// The records, each with its markers.
    records: HashMap<Position, Vec<Marker>>,
}

/// What says that an error's record was put back.
#[derive(Clone, Copy, Debug)]
struct Marker {
    place: Place,
    /// When it was written, in Unix milliseconds.
    at: i64,
    /// The error.
    names: Place,
}

impl Marks {
    fn note(&mut self, message: &BorrowedMessage<'_>, of: &str) {
        let Some(error) = Position::parse(of) else {
            return;
        };
        let error = (error.partition, error.offset);
        self.errors.entry(error).or_default();
        if let Some(record) = header(message, headers::ORIGIN).and_then(Position::parse) {
            let marker = Marker {
                place: (message.partition(), message.offset()),
                at: message.timestamp().to_millis().unwrap_or_default(),
                names: error,
            };
            self.records.entry(record).or_default().push(marker);
        }
    }

    /// Whether an error, or its record after it, was put back: see [the module](super).
    fn has(&self, found: &Found) -> bool {
        let place = (found.partition, found.offset);
        let markers = self.records.get(&found.failed.record);
        let is_after = |marker: &Marker| self.is_after(marker, place, found.failed.at);
        self.errors.contains_key(&place) || markers.is_some_and(|all| all.iter().any(is_after))
    }

    /// Whether a marker was set after an error had ended.
    fn is_after(&self, marker: &Marker, error: Place, ended: Timestamp) -> bool {
        if marker.place.0 == error.0 {
            marker.place.1 > error.1
        } else if let Some(Some(named)) = self.errors.get(&marker.names) {
            *named >= ended
        } else {
            // The error it names is not there, or not read; it may have been a later one.
            marker.at >= ended.as_millisecond()
        }
    }
}

/// What was put back, as the topic of errors says.
fn marks(options: &Options, errors: &Log<'_>, progress: Progress<'_>) -> Result<Marks, Error> {
    let mut marks = Marks::default();
    errors.read(options, "errors looked at", progress, |message| {
        if let Some(of) = header(message, headers::REPLAYED) {
            marks.note(message, of);
        }
        Ok(true)
    })?;
    if marks.errors.is_empty() {
        return Ok(marks);
    }
    errors.read(options, "errors put back", progress, |message| {
        if let Some(ended) = (marks.errors).get_mut(&(message.partition(), message.offset()))
            && let Some(one) = error(message, options)?
        {
            *ended = Some(one.failed.at);
        }
        Ok(true)
    })?;
    Ok(marks)
}

/// The errors that `filter` is about, and whether there are more than it wants.
pub(super) fn find(
    options: &Options,
    filter: &Filter,
    progress: Progress<'_>,
) -> Result<(Vec<Found>, bool), Error> {
    // Markers stand behind their errors.
    let since = filter.since.map(Timestamp::as_millisecond);
    let errors = Log {
        topic: &options.errors,
        since,
    };
    let marks = marks(options, &errors, progress)?;
    let (mut found, mut chosen, mut more) = (Vec::new(), 0, false);
    // Errors do not tell the keys of their records: whose they are shows later.
    let limit = match filter.key {
        Some(_) => filter.limit.max(SEARCHED),
        None => filter.limit,
    };
    errors.read(options, "errors read", progress, |message| {
        if header(message, headers::REPLAYED).is_some() {
            return Ok(true);
        }
        let one = error(message, options)?.filter(|one| filter.has(&one.failed));
        let Some(mut one) = one else {
            return Ok(true);
        };
        one.before = marks.has(&one);
        let topic = &one.failed.record.topic;
        one.decision = if one.before && !filter.replayed {
            Decision::Before
        } else if !options.outbound.iter().any(|t| **t == *topic) {
            Decision::Foreign
        } else {
            Decision::Send
        };
        // What was put back before must not keep the others from being found.
        let counted = one.decision != Decision::Before;
        more = counted && chosen >= limit;
        if !more && (counted || found.len() < chosen + limit) {
            chosen += usize::from(counted);
            found.push(one);
        }
        Ok(!more)
    })?;
    supersede(&mut found);
    doubt(&mut found, options, filter, progress)?;
    Ok((found, more))
}

impl Filter {
    fn has(&self, failed: &ReadSendError) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        (self.kinds.is_empty() || self.kinds.contains(&failed.kind))
            && is(&self.log_id, &failed.log_id)
            && is(&self.topic, &failed.record.topic)
            && is(&self.esme, &failed.esme)
            && self.since.is_none_or(|since| failed.at >= since)
            && self.until.is_none_or(|until| failed.at < until)
    }
}

/// Of several errors of one record, the last stands for all.
fn supersede(found: &mut [Found]) {
    let mut last: HashMap<Position, (Timestamp, usize)> = HashMap::new();
    for index in 0..found.len() {
        if found[index].decision != Decision::Send {
            continue;
        }
        let (record, at) = (found[index].failed.record.clone(), found[index].failed.at);
        match last.get(&record) {
            Some((other, _)) if *other > at => found[index].decision = Decision::Superseded,
            Some((_, earlier)) => {
                found[*earlier].decision = Decision::Superseded;
                last.insert(record, (at, index));
            }
            None => {
                last.insert(record, (at, index));
            }
        }
    }
}

/// What may have been sent goes only with consent, and not at all if it is known to have been.
/// What an error says of itself is not all that is known: see [the module](super).
fn doubt(
    found: &mut [Found],
    options: &Options,
    filter: &Filter,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let candidates = || found.iter().filter(|one| one.decision == Decision::Send);
    let Some(first) = candidates().map(|one| one.failed.at).min() else {
        return Ok(());
    };
    let since = since(options, candidates(), first)?;
    let wanted = candidates().map(|one| one.failed.record.clone()).collect();
    let mut known = Known {
        wanted,
        taken: HashSet::new(),
        open: HashSet::new(),
    };
    known.read_responses(options, since, progress)?;
    known.read_errors(options, since, progress)?;
    for one in found
        .iter_mut()
        .filter(|one| one.decision == Decision::Send)
    {
        one.may_have_been_sent |= known.open.contains(&one.failed.record);
        if one.failed.was_sent() || known.taken.contains(&one.failed.record) {
            one.decision = Decision::Taken;
        } else if one.may_have_been_sent && !filter.may_duplicate {
            one.decision = Decision::Doubtful;
        }
    }
    Ok(())
}

/// From when on something may have become of the candidates: since the first of them was
/// written, by its own timestamp. `None`, which is always, where that is not known. What is there
/// no more, and without a copy, is not sent in any case.
fn since<'f>(
    options: &Options,
    candidates: impl Iterator<Item = &'f Found>,
    first: Timestamp,
) -> Result<Option<i64>, Error> {
    let mut originals = Originals::new(options)?;
    let mut oldest: HashMap<(&str, i32), &Position> = HashMap::new();
    for one in candidates {
        let record = &one.failed.record;
        match originals.is_there(record) {
            Ok(true) => {
                let place = (record.topic.as_str(), record.partition);
                let other = oldest.entry(place).or_insert(record);
                if record.offset < other.offset {
                    *other = record;
                }
            }
            Ok(false) if one.failed.original.is_none() => {}
            Ok(false) | Err(_) => return Ok(None),
        }
    }
    let mut since = first.as_millisecond();
    for record in oldest.into_values() {
        match originals.written(record) {
            Some(written) => since = since.min(written),
            None => return Ok(None),
        }
    }
    Ok(Some(since - SLACK))
}

/// What is known of records besides the errors that were asked for.
struct Known {
    /// The records that matter.
    wanted: HashSet<Position>,
    /// The SMSC took them.
    taken: HashSet<Position>,
    /// They may have been sent.
    open: HashSet<Position>,
}

impl Known {
    fn read_responses(
        &mut self,
        options: &Options,
        since: Option<i64>,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let responses = Log {
            topic: &options.responses,
            since,
        };
        responses.read(options, "responses looked at", progress, |message| {
            let Some(octets) = message.payload() else {
                return Ok(true);
            };
            if let Ok(event) = patiently(|| options.responses_codec.shown(octets))?
                && event["accepted"] == true
                && let Some(record) = record(&event).filter(|record| self.wanted.contains(record))
            {
                self.taken.insert(record);
            }
            Ok(true)
        })
    }

    fn read_errors(
        &mut self,
        options: &Options,
        since: Option<i64>,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let errors = Log {
            topic: &options.errors,
            since,
        };
        errors.read(options, "other errors looked at", progress, |message| {
            if header(message, headers::REPLAYED).is_some() {
                return Ok(true);
            }
            if let Some(Found { failed, .. }) = error(message, options)?
                && self.wanted.contains(&failed.record)
            {
                if failed.was_sent() {
                    self.taken.insert(failed.record);
                } else if failed.may_have_been_sent() {
                    self.open.insert(failed.record);
                }
            }
            Ok(true)
        })
    }
}

fn record(event: &Value) -> Option<Position> {
    serde_json::from_value(event["record"].clone()).ok()
}

/// An error, if that is what stands there.
fn error(message: &BorrowedMessage<'_>, options: &Options) -> Result<Option<Found>, Error> {
    let Some(octets) = message.payload() else {
        return Ok(None);
    };
    let failed: ReadSendError = match patiently(|| options.codec.read(octets))? {
        Ok(failed) => failed,
        Err(error) => {
            let (partition, offset) = (message.partition(), message.offset());
            EventUnreadable {
                error: &error,
                partition,
                offset,
            }
            .emit();
            return Ok(None);
        }
    };
    Ok(Some(Found {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        headers: message.headers().map(BorrowedHeaders::detach),
        may_have_been_sent: failed.may_have_been_sent(),
        failed,
        before: false,
        decision: Decision::Send,
    }))
}

/// The value of a header; none if there is none, or if none can be read.
fn header<'m>(message: &'m BorrowedMessage<'_>, name: &str) -> Option<&'m str> {
    let headers = message.headers()?;
    let found = foreign::read(|| headers.iter().find(|h| h.key == name).and_then(|h| h.value));
    std::str::from_utf8(found??).ok()
}

/// A client that reads what is committed, from where it is told to.
pub(super) fn reader(options: &Options) -> Result<Client, Error> {
    Ok(whole_topic::reader(&options.reader)?)
}

/// A topic, from a time on if one is given.
struct Log<'a> {
    topic: &'a Arc<str>,
    since: Option<i64>,
}

impl Log<'_> {
    /// Shows every committed record to `see`: see [`WholeTopic::read`].
    fn read(
        &self,
        options: &Options,
        what: &'static str,
        progress: Progress<'_>,
        see: impl FnMut(&BorrowedMessage<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let log = WholeTopic {
            client: &options.reader,
            transaction_timeout: options.transaction_timeout,
            topic: self.topic,
            begin: self.since.map_or(Begin::First, Begin::Since),
            isolation: Isolation::Committed,
        };
        log.read(&|done, all| progress(what, done, all), see)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_partition_tells_lives_apart_and_no_clock() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (early, late) = (at("2026-01-02T03:00:00Z"), at("2026-01-02T04:00:00Z"));
        let marker = |at: Timestamp| Marker {
            place: (1, 20),
            at: at.as_millisecond(),
            names: (1, 10),
        };
        let marks = |named| Marks {
            errors: [((1, 10), named)].into(),
            records: HashMap::new(),
        };
        let named = marks(Some(early));
        // The clock of whoever put it back is an hour ahead, or behind.
        for clock in [early, late] {
            assert!(named.is_after(&marker(clock), (1, 19), late));
            assert!(!named.is_after(&marker(clock), (1, 21), early));
            // In another partition the error that the marker names has to tell.
            assert!(named.is_after(&marker(clock), (0, 99), early));
            assert!(!named.is_after(&marker(clock), (0, 1), late));
        }
        let gone = marks(None);
        assert!(gone.is_after(&marker(late), (0, 1), late));
        assert!(!gone.is_after(&marker(early), (0, 1), late));
    }
}
