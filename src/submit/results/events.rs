//! Fates as records on the result topics.

use std::sync::Arc;

use jiff::Timestamp;
use rdkafka::message::{Header as KafkaHeader, Headers, OwnedHeaders};

use crate::kafka::cloud_events::{self, CloudEvents};
use crate::kafka::transactor::Output;
use crate::record::codec::Codecs;
use crate::record::event::{About, Part, PartOutcome, SendError, SubmitSmResp};
use crate::record::internal::{Creation, Header};
use crate::record::{headers, keys};
use smpp_esme::Answer;
use smpp_protocol::{Command, Dialect, Names, Status};

use crate::submit::message::outgoing::{Job, Letter, Refusal, Returned};
use crate::submit::results::details::{self, Response};
use crate::submit::state::pending::{Entry, Fate, Sent, accepted};
use crate::submit::state::segments::End;

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
}

impl Events {
    /// Appends the records that tell of `entry`.
    pub fn write(&self, entry: &Entry, to: &mut Vec<Output>) {
        match &entry.fate {
            Fate::Answered(sent, answer) => self.answer(sent, answer, true, to),
            Fate::Late(sent, answer) => self.answer(sent, answer, false, to),
            Fate::Taken(sent, answer, whole) => self.remember(sent, answer, *whole, to),
            Fate::Refused(refusal) => to.push(self.error(refusal, true)),
            Fate::TooLarge(refusal, answered) => {
                to.push(self.error(refusal, false));
                if let Some((sent, answer)) = answered {
                    self.remember(sent, answer, false, to);
                }
            }
            Fate::PutBack(job, returned) => to.push(put_back(job, returned)),
        }
    }

    fn answer(&self, sent: &Sent, answer: &Answer, terminal: bool, to: &mut Vec<Output>) {
        let letter = &*sent.letter;
        let status = answer.status;
        let names = &letter.account.dialect.names;
        let name = names.status(status);
        let response = Response::of(letter.operation, answer, names);
        // Responses about an earlier message may leave out which one.
        let message_id = match (&*answer.message_id, &letter.message_id) {
            (b"", Some(named)) => named.as_str().into(),
            (id, _) => String::from_utf8_lossy(id),
        };
        let event = SubmitSmResp {
            kind: match answer.command {
                Command::GENERIC_NACK => "GenericNack",
                _ => letter.operation.response(),
            },
            about: About {
                terminal,
                late: !terminal,
                attempt: sent.attempt,
                possible_duplicate: sent.possible_duplicate,
                bind: Some(&sent.bind),
                ..about(letter)
            },
            accepted: accepted(answer),
            command_status: status.0,
            command_status_name: &name,
            message_id: &message_id,
            submitted_at: sent.submitted_at,
            responded_at: Timestamp::try_from(answer.received).unwrap_or(sent.submitted_at),
            truncated: letter.truncated,
            part: sent.part,
            parts: parts(sent.parts.as_deref(), names),
            details: response.details(),
        };
        let codec = &self.codecs.responses;
        let said = || {
            let part = event.part.map_or(String::new(), |part| format!(".{part}"));
            let (record, at) = (&letter.position, event.responded_at.as_microsecond());
            cloud_events::About {
                name: event.kind,
                id: format!("{record}{part}/{}/{}/{at}", event.kind, sent.attempt),
                time: event.responded_at,
                subject: &letter.log_id,
            }
        };
        to.push(output(
            &self.responses,
            letter.log_id.as_bytes().to_vec(),
            codec.must_write(&event),
            (self.cloud_events).headers(letter.headers.clone(), codec.format(), said),
        ));
        self.remember(sent, answer, true, to);
    }

    /// Writes what receipts will need, `whole` or without what can be large.
    fn remember(&self, sent: &Sent, answer: &Answer, whole: bool, to: &mut Vec<Output>) {
        // Of a message in parts, each part is remembered with its own answer.
        let wanted = sent.registered && sent.parts.is_none();
        if accepted(answer) && wanted && !answer.message_id.is_empty() {
            let message_id = String::from_utf8_lossy(&answer.message_id);
            to.push(self.correlation(sent, answer, &message_id, whole));
        }
    }

    fn correlation(&self, sent: &Sent, answer: &Answer, message_id: &str, whole: bool) -> Output {
        let letter = &*sent.letter;
        let several = sent.recipients.as_ref();
        let lists = several.is_some_and(|to| to.lists);
        let id = letter.account.dialect.ids.of_response(message_id);
        let esme = &*letter.account.esme;
        let identity = keys::identity(esme, &id);
        let creation = Creation {
            esme,
            message_id,
            log_id: &letter.log_id,
            extra_data: letter.extra_data.as_deref().filter(|_| whole),
            record: &letter.position,
            part: sent.part,
            attempt: sent.attempt,
            submitted_at: sent.submitted_at,
            source: letter.source.as_deref(),
            destination: letter.destination.as_deref(),
            // Who does not get it has no receipt; there are 255 at most.
            recipients: (several.filter(|_| !lists))
                .map(|to| (to.numbers.len() - details::refused(answer, &to.numbers)) as u32),
            numbers: several.map_or(&[], |to| &to.numbers),
            lists,
            reference: sent.reference,
            headers: (letter.headers.as_ref())
                .filter(|_| whole)
                .map_or_else(Vec::new, travelling),
        };
        Output {
            topic: self.correlation.clone(),
            partition: Some(keys::partition(
                identity.as_bytes(),
                self.correlation_partitions,
            )),
            key: Some(keys::creation(esme, &id, &letter.position, sent.part).into_bytes()),
            value: Some(self.codecs.correlation.must_write(&creation)),
            headers: None,
        }
    }

    /// The event of a refusal, `whole` or without what can be large.
    fn error(&self, refusal: &Refusal, whole: bool) -> Output {
        let letter = &*refusal.letter;
        let names = &letter.account.dialect.names;
        let name = refusal.status.map(|status| names.status(status));
        let original = letter.value.as_deref().filter(|_| refusal.with_original);
        let event = SendError {
            name: "SendError",
            about: About {
                terminal: true,
                attempt: refusal.attempt,
                possible_duplicate: refusal.possible_duplicate,
                extra_data: letter.extra_data.as_deref().filter(|_| whole),
                ..about(letter)
            },
            kind: refusal.kind,
            error: &refusal.text,
            field: refusal.field.as_deref(),
            command_status: refusal.status.map(|s| s.0),
            command_status_name: name.as_deref(),
            original,
            at: Timestamp::now(),
            parts: parts(refusal.parts.as_deref(), names),
        };
        // What could not be read has no log id of its own: its key finds it again.
        let key = match (&letter.key, refusal.with_original) {
            (Some(key), true) => key.clone(),
            _ => letter.log_id.as_bytes().to_vec(),
        };
        let headers = letter.headers.clone().filter(|_| whole);
        // The key of its event must not be taken for its own.
        let headers = match (&letter.key, original) {
            (None, Some(_)) => Some(keyless(headers.unwrap_or_default())),
            _ => headers,
        };
        let codec = &self.codecs.errors;
        let said = || {
            let (record, at) = (&letter.position, event.at.as_microsecond());
            cloud_events::About {
                name: event.name,
                id: format!("{record}/{}/{}/{at}", event.name, refusal.attempt),
                time: event.at,
                subject: &letter.log_id,
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

/// What became of each part.
fn parts<'e>(ends: Option<&'e [End]>, names: &Names) -> Vec<Part<'e>> {
    let ends = (1..).zip(ends.unwrap_or_default());
    ends.map(|(number, end)| part(number, end, names)).collect()
}

fn part<'e>(part: u16, end: &'e End, names: &Names) -> Part<'e> {
    let (outcome, message_id, status) = match end {
        End::Taken(id) => (PartOutcome::Accepted, Some(&**id), Some(Status::ROK)),
        End::Rejected(status) | End::Later(status) => (PartOutcome::Rejected, None, Some(*status)),
        End::Doubt(_) | End::Out => (PartOutcome::Unknown, None, None),
        End::Waiting => (PartOutcome::NotSent, None, None),
    };
    Part {
        part,
        outcome,
        message_id,
        command_status: status.map(|s| s.0),
        command_status_name: status.map(|status| names.status(status).into_owned()),
    }
}

fn about(letter: &Letter) -> About<'_> {
    About {
        log_id: &letter.log_id,
        extra_data: letter.extra_data.as_deref(),
        terminal: false,
        attempt: 0,
        possible_duplicate: false,
        late: false,
        record: &letter.position,
        esme: &letter.account.esme,
        bind: None,
        source: letter.source.as_deref(),
        destination: letter.destination.as_deref(),
    }
}

fn put_back(job: &Job, returned: &Returned) -> Output {
    let letter = &*job.letter;
    Output {
        topic: letter.topic.clone(),
        partition: Some(letter.partition),
        key: letter.key.clone(),
        value: letter.value.clone(),
        headers: Some(returned.write(letter.headers.as_ref())),
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
