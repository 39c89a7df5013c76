//! Outcomes as records on the result topics.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use rdkafka::message::{Header as KafkaHeader, Headers, OwnedHeaders};

use crate::kafka::cloud_events::{self, CloudEvents};
use crate::kafka::transaction::Output;
use crate::meters::Meters;
use crate::otel::Spans;
use crate::record::codec::Codecs;
use crate::record::event::{About, Segment, SegmentResult, SendError, SubmitSmResp};
use crate::record::internal::{BorrowedEntry, Header};
use crate::record::shown::ShownNumbers;
use crate::record::{headers, keys};
use smpp_esme::Answer;
use smpp_protocol::{Command, Dialect, Names, Status};

use crate::submit::message::outgoing::{Outgoing, RecordContext, Rejection, Returned};
use crate::submit::results::details::{self, Response};
use crate::submit::state::pending::{PendingResult, RecordOutcome, Sent, accepted};
use crate::submit::state::segments::SegmentOutcome;

/// Where events go, and how the SMSCs write message ids.
#[derive(Default)]
pub struct Events {
    /// Topic of answers.
    pub responses: Arc<str>,
    /// Topic of errors.
    pub errors: Arc<str>,
    /// Topic of what receipts will need.
    pub correlation: Arc<str>,
    /// Number of its partitions.
    pub correlation_partitions: i32,
    /// How they are written.
    pub codecs: Codecs,
    /// How they say what they are.
    pub cloud_events: CloudEvents,
    /// How they show phone numbers.
    pub numbers: ShownNumbers,
    /// Told of results that are committed.
    pub spans: Spans,
}

impl Events {
    /// Appends the records that tell of `result`.
    pub fn write(&self, result: &PendingResult, to: &mut Vec<Output>) {
        match &result.outcome {
            RecordOutcome::Answered(sent, answer) => self.answer(sent, answer, true, to),
            RecordOutcome::Late(sent, answer) => self.answer(sent, answer, false, to),
            RecordOutcome::Taken(sent, answer, whole) => self.remember(sent, answer, *whole, to),
            RecordOutcome::Rejected(rejection) => to.push(self.error(rejection, true)),
            RecordOutcome::TooLarge(rejection, answered) => {
                to.push(self.error(rejection, false));
                if let Some((sent, answer)) = answered {
                    self.remember(sent, answer, false, to);
                }
            }
            RecordOutcome::PutBack(outgoing, returned) => to.push(put_back(outgoing, returned)),
        }
    }

    fn answer(&self, sent: &Sent, answer: &Answer, terminal: bool, to: &mut Vec<Output>) {
        let context = &*sent.context;
        let status = answer.status;
        let names = &context.account.dialect.names;
        let name = names.status(status);
        let response = Response::of(context.operation, answer, names);
        let numbers = self.numbers_of(context);
        let mut details = response.details();
        for one in &mut details.unsuccess {
            let shown = self.numbers.of(&one.destination.number).into_owned();
            one.destination.number = shown.into();
        }
        // Responses about an earlier message may leave out which one.
        let message_id = match (&*answer.message_id, &context.message_id) {
            (b"", Some(named)) => named.as_str().into(),
            (id, _) => String::from_utf8_lossy(id),
        };
        let event = SubmitSmResp {
            kind: match answer.command {
                Command::GENERIC_NACK => "GenericNack",
                _ => context.operation.response(),
            },
            about: About {
                terminal,
                late: !terminal,
                attempt: sent.attempt,
                possible_duplicate: sent.possible_duplicate,
                bind: Some(&sent.bind),
                ..about(context, &numbers)
            },
            accepted: accepted(answer),
            command_status: status.0,
            command_status_name: &name,
            message_id: &message_id,
            submitted_at: sent.submitted_at,
            responded_at: Timestamp::try_from(answer.received).unwrap_or(sent.submitted_at),
            truncated: context.truncated,
            part: sent.segment,
            parts: segments(sent.segments.as_deref(), names),
            details,
        };
        let codec = &self.codecs.responses;
        let said = || {
            let part = event.part.map_or(String::new(), |part| format!(".{part}"));
            let (record, at) = (&context.position, event.responded_at.as_microsecond());
            cloud_events::About {
                name: event.kind,
                id: format!("{record}{part}/{}/{}/{at}", event.kind, sent.attempt),
                time: event.responded_at,
                subject: &context.log_id,
            }
        };
        to.push(output(
            &self.responses,
            context.log_id.as_bytes().to_vec(),
            codec.must_write(&event),
            (self.cloud_events).headers(context.headers.clone(), codec.format(), said),
        ));
        self.remember(sent, answer, true, to);
    }

    /// Sender and recipient, as events show them.
    fn numbers_of<'c>(&self, context: &'c RecordContext) -> [Option<Cow<'c, str>>; 2] {
        [&context.source, &context.destination].map(|one| self.numbers.of_option(one.as_deref()))
    }

    /// Writes what receipts will need, `whole` or without what can be large.
    fn remember(&self, sent: &Sent, answer: &Answer, whole: bool, to: &mut Vec<Output>) {
        // Of a message in segments, each part is remembered with its own answer.
        let wanted = sent.registered && sent.segments.is_none();
        if accepted(answer) && wanted && !answer.message_id.is_empty() {
            let message_id = String::from_utf8_lossy(&answer.message_id);
            to.push(self.correlation(sent, answer, &message_id, whole));
        }
    }

    fn correlation(&self, sent: &Sent, answer: &Answer, message_id: &str, whole: bool) -> Output {
        let context = &*sent.context;
        let several = sent.recipients.as_ref();
        let lists = several.is_some_and(|to| to.lists);
        let id = context.account.dialect.ids.of_response(message_id);
        let esme = &*context.account.esme;
        let identity = keys::identity(esme, &id);
        let entry = BorrowedEntry {
            esme,
            message_id,
            log_id: &context.log_id,
            extra_data: context.extra_data.as_deref().filter(|_| whole),
            record: Cow::Borrowed(&context.position),
            part: sent.segment,
            attempt: sent.attempt,
            submitted_at: sent.submitted_at,
            source: context.source.as_deref(),
            destination: context.destination.as_deref(),
            // Who does not get it has no receipt; there are 255 at most.
            recipients: (several.filter(|_| !lists))
                .map(|to| (to.numbers.len() - details::refused(answer, &to.numbers)) as u32),
            numbers: several.map_or(Cow::default(), |to| Cow::Borrowed(&to.numbers)),
            lists,
            reference: sent.reference,
            headers: (context.headers.as_ref())
                .filter(|_| whole)
                .map_or_else(Vec::new, travelling),
        };
        Output {
            topic: self.correlation.clone(),
            partition: Some(keys::partition(
                identity.as_bytes(),
                self.correlation_partitions,
            )),
            key: Some(keys::entry(esme, &id, &context.position, sent.segment).into_bytes()),
            value: Some(self.codecs.correlation.must_write(&entry)),
            headers: None,
        }
    }

    /// The event of a rejection, `whole` or without what can be large.
    fn error(&self, rejection: &Rejection, whole: bool) -> Output {
        let context = &*rejection.context;
        let names = &context.account.dialect.names;
        let name = rejection.status.map(|status| names.status(status));
        let numbers = self.numbers_of(context);
        let original = context.value.as_deref().filter(|_| rejection.with_original);
        let event = SendError {
            name: "SendError",
            about: About {
                terminal: true,
                attempt: rejection.attempt,
                possible_duplicate: rejection.possible_duplicate,
                extra_data: context.extra_data.as_deref().filter(|_| whole),
                ..about(context, &numbers)
            },
            kind: rejection.kind,
            error: &rejection.text,
            field: rejection.field.as_deref(),
            command_status: rejection.status.map(|s| s.0),
            command_status_name: name.as_deref(),
            original,
            at: Timestamp::now(),
            parts: segments(rejection.segments.as_deref(), names),
        };
        // What could not be read has no log id of its own: its key finds it again.
        let key = match (&context.key, rejection.with_original) {
            (Some(key), true) => key.clone(),
            _ => context.log_id.as_bytes().to_vec(),
        };
        let headers = context.headers.clone().filter(|_| whole);
        // The key of its event must not be taken for its own.
        let headers = match (&context.key, original) {
            (None, Some(_)) => Some(keyless(headers.unwrap_or_default())),
            _ => headers,
        };
        let codec = &self.codecs.errors;
        let said = || {
            let (record, at) = (&context.position, event.at.as_microsecond());
            cloud_events::About {
                name: event.name,
                id: format!("{record}/{}/{}/{at}", event.name, rejection.attempt),
                time: event.at,
                subject: &context.log_id,
            }
        };
        let headers = self.cloud_events.headers(headers, codec.format(), said);
        output(&self.errors, key, codec.must_write(&event), headers)
    }
}

/// Headers that say that the record had no key.
fn keyless(all: OwnedHeaders) -> OwnedHeaders {
    all.insert(KafkaHeader {
        key: headers::WITHOUT,
        value: Some(headers::KEY),
    })
}

/// What became of each segment.
fn segments<'e>(segment_outcomes: Option<&'e [SegmentOutcome]>, names: &Names) -> Vec<Segment<'e>> {
    let segment_outcomes = (1..).zip(segment_outcomes.unwrap_or_default());
    segment_outcomes
        .map(|(number, outcome)| segment(number, outcome, names))
        .collect()
}

fn segment<'e>(part: u16, of: &'e SegmentOutcome, names: &Names) -> Segment<'e> {
    let (outcome, message_id, status) = match of {
        SegmentOutcome::Taken(id) => (SegmentResult::Accepted, Some(&**id), Some(Status::ROK)),
        SegmentOutcome::Rejected(status) | SegmentOutcome::Later(status) => {
            (SegmentResult::Rejected, None, Some(*status))
        }
        SegmentOutcome::Doubt(_) | SegmentOutcome::InFlight => (SegmentResult::Unknown, None, None),
        SegmentOutcome::Waiting => (SegmentResult::NotSent, None, None),
    };
    Segment {
        part,
        outcome,
        message_id,
        command_status: status.map(|s| s.0),
        command_status_name: status.map(|status| names.status(status).into_owned()),
    }
}

fn about<'c>(context: &'c RecordContext, numbers: &'c [Option<Cow<'c, str>>; 2]) -> About<'c> {
    let [source, destination] = numbers;
    About {
        log_id: &context.log_id,
        extra_data: context.extra_data.as_deref(),
        terminal: false,
        attempt: 0,
        possible_duplicate: false,
        late: false,
        record: &context.position,
        esme: &context.account.esme,
        bind: None,
        source: source.as_deref(),
        destination: destination.as_deref(),
    }
}

fn put_back(outgoing: &Outgoing, returned: &Returned) -> Output {
    let context = &*outgoing.context;
    Output {
        topic: context.topic.clone(),
        partition: Some(context.partition),
        key: context.key.clone(),
        value: context.value.clone(),
        headers: Some(returned.write(context.headers.as_ref())),
    }
}

fn output(topic: &Arc<str>, key: Vec<u8>, value: Vec<u8>, headers: Option<OwnedHeaders>) -> Output {
    Output {
        topic: topic.clone(),
        partition: None,
        key: Some(key),
        value: Some(value),
        headers,
    }
}

/// The account's side of an event.
#[derive(Debug)]
pub struct AccountRef {
    /// The ESME's name.
    pub esme: Arc<str>,
    /// What its SMSC does in its own way.
    pub dialect: Arc<Dialect>,
    /// What is counted and timed of it.
    pub meters: Arc<Meters>,
}

fn travelling(headers: &OwnedHeaders) -> Vec<Header> {
    headers
        .iter()
        .map(|h| Header {
            key: h.key.to_owned(),
            value: h.value.map(<[u8]>::to_vec),
        })
        .collect()
}
