//! A record on its way: what has to be sent, and what its events will say of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::message::{BorrowedHeaders, Headers, OwnedHeaders};
use serde_json::value::RawValue;

use crate::kafka::foreign;
use crate::record::event::SendErrorKind;
use crate::record::headers;
use crate::record::keys::Position;
use crate::record::outbound::Operation;
use crate::record::submit_sm::derived_log_id;
use crate::settings::InDoubt;
use smpp_protocol::Status;

use crate::submit::results::events::AccountRef;
use crate::submit::state::history::History;
use crate::submit::state::pending::Recipients;
use crate::submit::state::segments::{self, SegmentOutcome, Segments};

/// What an event that had to be shortened keeps of each field, in octets.
const SHORT: usize = 1024;

/// What all events about a record have in common. Shared between the outgoing message and what may come
/// late.
#[derive(Debug)]
pub struct RecordContext {
    /// The account it belongs to.
    pub account: Arc<AccountRef>,
    /// The topic it was read from.
    pub topic: Arc<str>,
    /// The partition it was read from.
    pub partition: i32,
    /// Where the record stood when it was first read; a record put back onto its topic keeps
    /// this.
    pub position: Position,
    /// When it was appended to its topic; unknown of one that was put back onto it.
    pub appended: Option<Timestamp>,
    /// Its log id, given or derived.
    pub log_id: String,
    /// Its extra data, byte for byte.
    pub extra_data: Option<Box<RawValue>>,
    /// Its sender, as the producer wrote it.
    pub source: Option<String>,
    /// Its recipient.
    pub destination: Option<String>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value, to be put back or to be shown in an error.
    pub value: Option<Vec<u8>>,
    /// The headers that travel on to its events.
    pub headers: Option<OwnedHeaders>,
    /// Whether the end of its text is left out.
    pub truncated: bool,
    /// What it asks for.
    pub operation: Operation,
    /// The SMSC's id of the message it is about, if it is about an earlier one.
    pub message_id: Option<String>,
}

impl RecordContext {
    /// About how much memory it takes, in octets.
    pub fn octets(&self) -> usize {
        let headers = self.headers.as_ref().map_or(0, |headers| {
            let octets = |h: rdkafka::message::Header<'_, &[u8]>| {
                h.key.len() + h.value.map_or(0, <[u8]>::len) + 32
            };
            headers.iter().map(octets).sum()
        });
        let texts = [&self.source, &self.destination, &self.message_id];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let octets = [&self.key, &self.value];
        let octets: usize = octets.into_iter().flatten().map(Vec::len).sum();
        let extra = self.extra_data.as_ref().map_or(0, |data| data.get().len());
        octets + self.log_id.len() + extra + texts + headers + 300
    }

    /// The same without the record as its producer wrote it.
    pub fn without_original(&self) -> RecordContext {
        RecordContext {
            account: self.account.clone(),
            topic: self.topic.clone(),
            partition: self.partition,
            position: self.position.clone(),
            appended: self.appended,
            log_id: self.log_id.clone(),
            extra_data: self.extra_data.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            key: None,
            value: None,
            headers: self.headers.clone(),
            truncated: self.truncated,
            operation: self.operation,
            message_id: self.message_id.clone(),
        }
    }

    /// Whether it holds no more than [`shortened`](Self::shortened) leaves.
    pub fn is_short(&self) -> bool {
        let short = |text: &Option<String>| text.as_ref().is_none_or(|t| t.len() <= SHORT);
        self.key.is_none()
            && self.value.is_none()
            && self.headers.is_none()
            && self.log_id.len() <= SHORT
            && (self.extra_data.as_ref()).is_none_or(|data| data.get().len() <= SHORT)
            && [&self.source, &self.destination, &self.message_id]
                .into_iter()
                .all(short)
    }

    /// What is left for an event that fits into any topic: the position, which finds the
    /// record again, and what is short. A `log_id` that is not gives way to the derived one.
    pub fn shortened(&self) -> RecordContext {
        let short = |text: &String| text.len() <= SHORT;
        let log_id = if short(&self.log_id) {
            self.log_id.clone()
        } else {
            derived_log_id(&self.position)
        };
        RecordContext {
            log_id,
            extra_data: self.extra_data.clone().filter(|d| d.get().len() <= SHORT),
            source: self.source.clone().filter(short),
            destination: self.destination.clone().filter(short),
            headers: None,
            message_id: self.message_id.clone().filter(short),
            ..self.without_original()
        }
    }
}

/// A record to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Its offset.
    pub offset: i64,
    /// What its events will say.
    pub context: Arc<RecordContext>,
    /// The submit_sm, with sequence number 0; those of its segments one after another.
    pub pdu: Bytes,
    /// Its segments, if it has several.
    pub segments: Option<Box<Segments>>,
    /// Whether a receipt may come.
    pub registered: bool,
    /// To whom it goes, if that is not one recipient and a receipt may come.
    pub recipients: Option<Recipients>,
    /// The user_message_reference that the record set, if a receipt may come.
    pub reference: Option<u16>,
    /// Never sent after this.
    pub expires: Option<Instant>,
    /// Not tried again after this; set when it was first held for a retry if the message
    /// names no time itself.
    pub deadline: Option<Instant>,
    /// What happens when its outcome is not known.
    pub in_doubt: InDoubt,
    /// How often it is resent at most.
    pub max_resends: u32,
    /// How often it may have been sent with unknown outcome.
    pub doubts: u8,
    /// How often the SMSC asked for another try.
    pub retries: u32,
    /// Tries before the record was put back onto its topic, besides those in `doubts`.
    pub earlier: u32,
    /// When it was first held here for a retry.
    pub held_since: Option<Instant>,
    /// The partition's version that must be committed before it is sent.
    pub requires: u64,
    /// Whether its result must say that it may be a duplicate.
    pub possible_duplicate: bool,
    /// When it was handed to the session.
    pub submitted_at: Timestamp,
}

impl Outgoing {
    /// About how much memory it takes, in octets.
    pub fn octets(&self) -> usize {
        let segments = self
            .segments
            .as_ref()
            .map_or(0, |segments| 150 * segments.count());
        let recipients = self.recipients.as_ref().map_or(0, Recipients::octets);
        self.context.octets() + self.pdu.len() + 200 + segments + recipients
    }

    /// How many PDUs go out for it now.
    pub fn pdus(&self) -> usize {
        self.segments
            .as_ref()
            .map_or(1, |segments| segments.waiting())
    }

    /// What is known of its segments, if it has several.
    pub fn segment_outcomes(&self) -> Option<Box<[SegmentOutcome]>> {
        self.segments
            .as_ref()
            .map(|segments| segments.segment_outcomes())
    }

    /// It goes out again, as far as the SMSC has not taken it.
    pub fn rearm(&mut self) {
        if let Some(segments) = &mut self.segments {
            segments.again();
        }
    }

    /// The number of the attempt that is under way or was last, from 1.
    pub fn attempt(&self) -> u32 {
        1 + self.earlier + self.retries + u32::from(self.doubts)
    }

    /// Whether it may have been the end of two sessions.
    pub fn is_suspicious(&self) -> bool {
        self.doubts >= 2
    }

    /// When it stops being retried; settled at the first retry.
    pub fn settle_deadline(&mut self, now: Instant, default: Duration) -> Instant {
        self.held_since.get_or_insert(now);
        *self.deadline.get_or_insert(now + default)
    }

    /// The rejection of a record that is too late to be sent.
    pub fn expired(self: Box<Self>) -> Rejection {
        let text = if self.doubts > 0 {
            "its time ended before it could be sent again"
        } else if self.retries + self.earlier > 0 {
            "its time ended while the SMSC asked to try again later"
        } else {
            "expires_at passed before it could be sent"
        };
        Rejection::of(&self, SendErrorKind::Expired, text.into())
    }
}

/// A record that ends without an answer of the SMSC.
#[derive(Debug)]
pub struct Rejection {
    /// Its offset.
    pub offset: i64,
    /// What its event will say.
    pub context: Arc<RecordContext>,
    /// Why.
    pub kind: SendErrorKind,
    /// The field that is to blame, if one is.
    pub field: Option<String>,
    /// What was wrong and what helps.
    pub text: String,
    /// The command_status that was answered last.
    pub status: Option<Status>,
    /// What is known of its segments, if it has several.
    pub segments: Option<Box<[SegmentOutcome]>>,
    /// Attempts made.
    pub attempt: u32,
    /// Whether it may have been sent.
    pub possible_duplicate: bool,
    /// Whether the event carries the record itself, because it could not be read.
    pub with_original: bool,
    /// What its record takes of the partition's capacity, in octets; 0 as long as it takes none.
    pub held: usize,
}

impl Rejection {
    /// The rejection of a record of which nothing else is known. It is told what is, by
    /// [`after`](Self::after), before anybody hears of it.
    pub fn new(
        offset: i64,
        context: Arc<RecordContext>,
        kind: SendErrorKind,
        text: String,
    ) -> Self {
        Rejection {
            offset,
            context,
            kind,
            field: None,
            text,
            status: None,
            segments: None,
            attempt: 0,
            possible_duplicate: false,
            with_original: false,
            held: 0,
        }
    }

    /// The rejection of `outgoing`, no attempt of which is under way.
    pub fn of(outgoing: &Outgoing, kind: SendErrorKind, text: String) -> Self {
        let rejection = Rejection::new(outgoing.offset, outgoing.context.clone(), kind, text);
        Rejection {
            segments: outgoing.segment_outcomes(),
            held: outgoing.octets(),
            ..rejection.after(&History::of_outgoing(outgoing))
        }
    }

    /// The same in an event of a few thousand octets.
    pub fn shortened(self) -> Self {
        let cut = |text: String| {
            if text.len() <= SHORT {
                text
            } else {
                format!("{}...", &text[..text.floor_char_boundary(SHORT)])
            }
        };
        Rejection {
            context: Arc::new(self.context.shortened()),
            field: self.field.map(cut),
            text: cut(self.text),
            with_original: false,
            ..self
        }
    }

    /// About how much memory it takes, in octets.
    pub fn octets(&self) -> usize {
        self.context.octets() + self.text.len() + 100
    }
}

/// What the headers of a record that was put back say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// Where it stood first.
    pub origin: Option<Position>,
    /// Attempts made before.
    pub earlier: u32,
    /// Not to be sent before.
    pub not_before: Option<Timestamp>,
    /// Not to be tried after.
    pub deadline: Option<Timestamp>,
    /// How many of them may have been taken, although no answer came.
    pub doubts: u8,
    /// Whether an earlier attempt was in doubt.
    pub possible_duplicate: bool,
    /// Which of its segments the SMSC took: see [`Segments::to_header`].
    pub taken: Option<String>,
    /// How many segments it had, if any of them was taken.
    pub total: Option<u8>,
}

impl Returned {
    /// What is known of its segments, without the record: `None` if that is nothing, or cannot be
    /// read.
    pub fn segments(&self) -> Option<Box<[SegmentOutcome]>> {
        segments::named(self.taken.as_deref()?, self.total)
    }

    /// Reads our headers and collects the others, which travel on; `None` if the name of one
    /// is not UTF-8.
    pub fn read(headers: Option<&BorrowedHeaders>) -> Option<(Self, Option<OwnedHeaders>)> {
        match headers {
            Some(headers) => foreign::read(|| Returned::sort(headers)),
            None => Some((Returned::default(), None)),
        }
    }

    fn sort(headers: &BorrowedHeaders) -> (Self, Option<OwnedHeaders>) {
        let mut returned = Returned::default();
        let mut others = OwnedHeaders::new_with_capacity(headers.count());
        for header in headers.iter() {
            if headers::is_ours(header.key) {
                let value = header.value.and_then(|v| std::str::from_utf8(v).ok());
                returned.note(header.key, value.unwrap_or_default());
            } else {
                others = others.insert(header);
            }
        }
        let some = (others.count() > 0).then_some(others);
        (returned, some)
    }

    fn note(&mut self, key: &str, value: &str) {
        let millis = || {
            let ms = value.parse().ok()?;
            Timestamp::from_millisecond(ms).ok()
        };
        match key {
            headers::ORIGIN => self.origin = Position::parse(value),
            // Anybody can write a header: no number of theirs may overflow ours.
            headers::ATTEMPTS => self.earlier = value.parse().unwrap_or(0).min(1_000_000),
            headers::DOUBTS => match value.parse::<u64>() {
                Ok(doubts) => self.doubts = u8::try_from(doubts).unwrap_or(u8::MAX),
                // Somebody counted, and it cannot be read how many.
                Err(_) => self.possible_duplicate = true,
            },
            headers::NOT_BEFORE => self.not_before = millis(),
            headers::DEADLINE => self.deadline = millis(),
            headers::POSSIBLE_DUPLICATE => self.possible_duplicate = true,
            headers::PARTS => self.taken = Some(value.to_owned()),
            headers::PARTS_TOTAL => self.total = value.parse().ok(),
            // What a later version says besides is not understood: it may be that.
            headers::VERSION if value != headers::VERSION_1 => self.possible_duplicate = true,
            _ => {}
        }
    }

    /// The headers of a record that is put back: those that travel, and ours.
    pub fn write(&self, travelling: Option<&OwnedHeaders>) -> OwnedHeaders {
        let mut headers = travelling.cloned().unwrap_or_default();
        let mut put = |key, value: String| {
            headers = std::mem::replace(&mut headers, OwnedHeaders::new()).insert(
                rdkafka::message::Header {
                    key,
                    value: Some(&value),
                },
            );
        };
        put(headers::VERSION, headers::VERSION_1.into());
        if let Some(origin) = &self.origin {
            put(headers::ORIGIN, origin.to_string());
        }
        put(headers::ATTEMPTS, self.earlier.to_string());
        if self.doubts > 0 {
            put(headers::DOUBTS, self.doubts.to_string());
        }
        for (key, at) in [
            (headers::NOT_BEFORE, self.not_before),
            (headers::DEADLINE, self.deadline),
        ] {
            if let Some(at) = at {
                put(key, at.as_millisecond().to_string());
            }
        }
        if self.possible_duplicate {
            put(headers::POSSIBLE_DUPLICATE, "1".into());
        }
        if let Some(taken) = &self.taken {
            put(headers::PARTS, taken.clone());
        }
        if let Some(total) = self.total {
            put(headers::PARTS_TOTAL, total.to_string());
        }
        headers
    }
}

/// The instant of a wall-clock time, as near as the clocks agree. `None` if it is too far in
/// the future to matter.
pub fn instant(at: Timestamp, now: Instant, wall: Timestamp) -> Option<Instant> {
    let millis = at.as_millisecond().saturating_sub(wall.as_millisecond());
    match u64::try_from(millis) {
        Ok(ahead) => now.checked_add(Duration::from_millis(ahead)),
        Err(_) => Some(now),
    }
}

/// The wall-clock time of an instant.
pub fn timestamp(at: Instant, now: Instant, wall: Timestamp) -> Timestamp {
    let ahead = at.saturating_duration_since(now);
    let millis = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(wall.as_millisecond().saturating_add(millis)).unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::results::events::Events;
    use crate::submit::state::pending::{PendingResult, RecordOutcome};

    #[test]
    fn what_is_written_on_a_returned_record_reads_back() {
        let before = Returned {
            origin: Position::parse("sms.outbound:3:1042"),
            earlier: 4,
            doubts: 1,
            not_before: Timestamp::from_millisecond(1_700_000_000_123).ok(),
            deadline: Timestamp::from_millisecond(1_700_000_900_000).ok(),
            possible_duplicate: true,
            taken: Some("0011aabb 1=41".into()),
            total: Some(3),
        };
        let trace = OwnedHeaders::new().insert(rdkafka::message::Header {
            key: "traceparent",
            value: Some("00-ab"),
        });
        let headers = before.write(Some(&trace));
        let (after, others) = Returned::read(Some(headers.as_borrowed())).unwrap();
        assert_eq!(after, before);
        let others = others.unwrap();
        assert_eq!(
            (others.count(), others.get(0).key),
            (1, "traceparent"),
            "only the producer's own travel on"
        );
    }

    #[test]
    fn a_shortened_refusal_fits_whatever_the_record_holds() {
        let large = "é".repeat(500_000);
        let json = serde_json::to_string(&large).unwrap();
        let context = RecordContext {
            account: Arc::new(AccountRef {
                esme: "acme".into(),
                dialect: Arc::default(),
                meters: Arc::default(),
            }),
            topic: "sms.outbound".into(),
            partition: 3,
            position: Position::parse("sms.outbound:3:1042").unwrap(),
            appended: None,
            log_id: large.clone(),
            extra_data: RawValue::from_string(json).ok(),
            source: Some(large.clone()),
            destination: Some("41791234567".into()),
            key: Some(large.clone().into_bytes()),
            value: Some(large.clone().into_bytes()),
            headers: Some(OwnedHeaders::new().insert(rdkafka::message::Header {
                key: "h",
                value: Some(&large),
            })),
            truncated: false,
            operation: Operation::SubmitSm,
            message_id: None,
        };
        let rejection = Rejection {
            offset: 1042,
            context: Arc::new(context),
            kind: SendErrorKind::InvalidRecord,
            field: Some(large.clone()),
            text: format!("x{large}"),
            status: None,
            segments: None,
            attempt: 1,
            possible_duplicate: false,
            with_original: true,
            held: 0,
        };
        let result = PendingResult::new(
            0,
            RecordOutcome::TooLarge(Box::new(rejection.shortened()), None),
        );
        let mut outputs = Vec::new();
        Events::default().write(&result, &mut outputs);
        let [output] = &outputs[..] else {
            panic!("{} events", outputs.len())
        };
        let event = String::from_utf8(output.value.clone().unwrap()).unwrap();
        assert!(event.len() < 5_000, "{} octets", event.len());
        assert!(event.contains(r#""terminal":true"#), "{event}");
        assert!(event.contains(r#""destination":"41791234567""#), "{event}");
        assert_eq!(
            output.key.as_deref(),
            Some(b"sms.outbound-3-1042".as_slice())
        );
        assert!(output.headers.is_none());
    }

    #[test]
    fn headers_of_a_later_version_may_say_that_it_was_sent() {
        let headers = OwnedHeaders::new().insert(rdkafka::message::Header {
            key: headers::VERSION,
            value: Some("2"),
        });
        let (read, _) = Returned::read(Some(headers.as_borrowed())).unwrap();
        assert!(read.possible_duplicate);
    }
}
