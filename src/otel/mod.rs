//! Spans of what happens to messages, for a collector of OpenTelemetry.
//!
//! A `submit` span lasts from the record's place in its topic to its committed result, a `receipt`
//! span links to it. Nothing is handed over for that: their ids follow from the record's position and
//! its headers, which travel to the receipt anyway, and so does whether they are sampled
//! (`otlp_spans::Place`).
//!
//! What sends them is behind the feature `otel`; without it there is no [`Sink`].

#[cfg(feature = "otel")]
mod export;
#[cfg_attr(not(feature = "otel"), allow(dead_code))]
pub(crate) mod notices;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::message::{Headers as _, OwnedHeaders};

use crate::config::Otel;
use crate::record::internal::{BorrowedEntry, Header};
use crate::record::keys::Position;
use crate::submit::message::outgoing::RecordContext;
use crate::submit::state::pending::{PendingResult, RecordOutcome, accepted};
use smpp_protocol::{MessageState, Status};

/// The headers of W3C's trace context.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Takes spans.
pub trait Sink: Send + Sync {
    /// A message has its result.
    fn submitted(&self, message: &Submitted<'_>);

    /// A receipt found its message.
    fn receipt(&self, receipt: &Received<'_>);

    /// Waits until the collector has them, at most so long.
    fn finish(&self, patience: Duration);
}

/// Which message a span is about.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(not(feature = "otel"), allow(dead_code))]
pub struct Message<'a> {
    /// Where its record stood first.
    pub record: &'a Position,
    /// Its producer's span.
    pub traceparent: Option<&'a str>,
    /// What tracing systems say of that besides.
    pub tracestate: Option<&'a str>,
    /// The ESME.
    pub esme: &'a str,
}

/// A message with its result.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(not(feature = "otel"), allow(dead_code))]
pub struct Submitted<'a> {
    pub message: Message<'a>,
    /// When its record was appended, as Kafka says; unknown of one that was put back.
    pub appended_at: Option<Timestamp>,
    /// When it was handed to a session last, if it was.
    pub submitted_at: Option<Timestamp>,
    /// When there was a result.
    pub ended_at: Timestamp,
    /// Which bind.
    pub bind: Option<&'a str>,
    /// The SMSC's id of it.
    pub message_id: Option<String>,
    /// What the SMSC answered, if it did.
    pub status: Option<Status>,
    /// How it ended, if not well.
    pub error: Option<&'static str>,
    /// In how many segments it went.
    pub segments: usize,
    /// The attempt's number.
    pub attempt: u32,
    /// Whether it may be a duplicate.
    pub possible_duplicate: bool,
}

/// A receipt with its message.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(not(feature = "otel"), allow(dead_code))]
pub struct Received<'a> {
    pub message: Message<'a>,
    /// Which bind it came over.
    pub bind: &'a str,
    /// When.
    pub received_at: Timestamp,
    /// When its message was handed to a session.
    pub submitted_at: Timestamp,
    /// The SMSC's id of the message.
    pub message_id: &'a str,
    /// What became of the message.
    pub state: MessageState,
    /// Whether that is final.
    pub is_final: bool,
    /// Which segment it is about.
    pub segment: Option<u16>,
}

/// Where spans go, if anywhere. Cheap to clone.
#[derive(Clone, Default)]
pub struct Spans(Option<Arc<dyn Sink>>);

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "spans"
        } else {
            "no spans"
        })
    }
}

impl Spans {
    /// Those of a configuration; `instance` is the process, and `application` what it is called by
    /// default.
    ///
    /// # Errors
    ///
    /// When the exporter cannot be made.
    #[cfg(feature = "otel")]
    pub fn new(otel: &Otel, application: &str, instance: &str) -> Result<Self, String> {
        let sink = export::sink(otel, application, instance)?;
        Ok(Spans(sink))
    }

    /// None: the configuration was checked when it was loaded.
    #[cfg(not(feature = "otel"))]
    pub fn new(_: &Otel, _: &str, _: &str) -> Result<Self, String> {
        Ok(Spans::default())
    }

    /// The result of a record is committed.
    pub fn submitted(&self, result: &PendingResult) {
        if let Some(sink) = &self.0
            && let Some(submitted) = Submitted::of(&result.outcome)
        {
            sink.submitted(&submitted);
        }
    }

    /// A receipt, which `received` tells of, found a message.
    pub fn receipt<'a>(
        &self,
        entry: &'a BorrowedEntry<'a>,
        received: impl FnOnce(Message<'a>) -> Received<'a>,
    ) {
        if let Some(sink) = &self.0 {
            let value = |name: &str| of_entry(&entry.headers, name);
            sink.receipt(&received(Message {
                record: &entry.record,
                traceparent: value(TRACEPARENT),
                tracestate: value(TRACESTATE),
                esme: entry.esme,
            }));
        }
    }

    /// Waits until the collector has everything, at most so long.
    pub fn finish(&self, patience: Duration) {
        if let Some(sink) = &self.0 {
            sink.finish(patience);
        }
    }
}

impl<'a> Submitted<'a> {
    /// What an outcome that is a result says.
    fn of(outcome: &'a RecordOutcome) -> Option<Self> {
        match outcome {
            RecordOutcome::Answered(sent, answer) => {
                let ended_at = Timestamp::try_from(answer.received).unwrap_or(sent.submitted_at);
                let id = String::from_utf8_lossy(&answer.message_id).into_owned();
                let refused = answer.status.name().unwrap_or("command_status");
                Some(Submitted {
                    submitted_at: Some(sent.submitted_at),
                    bind: Some(&sent.bind),
                    message_id: Some(id).filter(|id| !id.is_empty()),
                    status: Some(answer.status),
                    error: (!accepted(answer)).then_some(refused),
                    segments: sent.segments.as_ref().map_or(1, |segments| segments.len()),
                    attempt: sent.attempt,
                    possible_duplicate: sent.possible_duplicate,
                    ..Submitted::ended(&sent.context, ended_at)
                })
            }
            RecordOutcome::Rejected(rejection) | RecordOutcome::TooLarge(rejection, _) => {
                let segments = rejection.segments.as_ref();
                Some(Submitted {
                    status: rejection.status,
                    error: Some(rejection.kind.name()),
                    segments: segments.map_or(1, |segments| segments.len()),
                    attempt: rejection.attempt,
                    possible_duplicate: rejection.possible_duplicate,
                    ..Submitted::ended(&rejection.context, Timestamp::now())
                })
            }
            RecordOutcome::Taken(..) | RecordOutcome::PutBack(..) | RecordOutcome::Late(..) => None,
        }
    }

    fn ended(context: &'a RecordContext, ended_at: Timestamp) -> Self {
        let value = |name| of_record(context.headers.as_ref()?, name);
        Submitted {
            message: Message {
                record: &context.position,
                traceparent: value(TRACEPARENT),
                tracestate: value(TRACESTATE),
                esme: &context.account.esme,
            },
            appended_at: context.appended,
            submitted_at: None,
            ended_at,
            bind: None,
            message_id: None,
            status: None,
            error: None,
            segments: 1,
            attempt: 0,
            possible_duplicate: false,
        }
    }
}

/// The text of a header of a record.
fn of_record<'a>(headers: &'a OwnedHeaders, name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}

/// The text of a header that travels to receipts.
fn of_entry<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::SystemTime;

    use parking_lot::Mutex;
    use rdkafka::message::Header as KafkaHeader;
    use smpp_esme::Answer;
    use smpp_protocol::Command;

    use super::*;
    use crate::record::event::SendErrorKind;
    use crate::submit::message::outgoing::Rejection;
    use crate::submit::results::events::AccountRef;
    use crate::submit::state::pending::Sent;

    /// Keeps what it is told of as text.
    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Sink for Told {
        fn submitted(&self, submitted: &Submitted<'_>) {
            let Submitted {
                message,
                appended_at,
                status,
                error,
                message_id,
                ..
            } = submitted;
            let (record, parent) = (message.record, message.traceparent);
            let told =
                format!("{record} {parent:?} {appended_at:?} {status:?} {error:?} {message_id:?}");
            self.0.lock().push(told);
        }

        fn receipt(&self, received: &Received<'_>) {
            let Message {
                record,
                traceparent,
                tracestate,
                esme,
            } = &received.message;
            let told = format!("{record} {traceparent:?} {tracestate:?} {esme}");
            self.0.lock().push(told);
        }

        fn finish(&self, _: Duration) {}
    }

    fn context() -> Arc<RecordContext> {
        let header = KafkaHeader {
            key: TRACEPARENT,
            value: Some("00-1-2-01"),
        };
        Arc::new(RecordContext {
            account: Arc::new(AccountRef {
                esme: "acme".into(),
                dialect: Arc::default(),
                meters: Arc::default(),
            }),
            topic: "o".into(),
            partition: 0,
            position: Position::parse("o:0:7").unwrap(),
            appended: Some(Timestamp::UNIX_EPOCH),
            log_id: "order-1".into(),
            extra_data: None,
            source: None,
            destination: Some("41791234567".into()),
            key: None,
            value: None,
            headers: Some(OwnedHeaders::new().insert(header)),
            truncated: false,
            operation: Default::default(),
            message_id: None,
        })
    }

    fn answered(status: Status) -> RecordOutcome {
        let sent = Sent {
            offset: 7,
            context: context(),
            bind: "acme-0.0".into(),
            registered: true,
            attempt: 1,
            possible_duplicate: false,
            submitted_at: Timestamp::UNIX_EPOCH,
            octets: 0,
            segment: None,
            segments: None,
            recipients: None,
            reference: None,
        };
        let answer = Answer {
            command: Command::SUBMIT_SM_RESP,
            status,
            message_id: b"8F".to_vec(),
            tlvs: bytes::Bytes::new(),
            received: SystemTime::UNIX_EPOCH,
        };
        RecordOutcome::Answered(Box::new(sent), answer)
    }

    #[test]
    fn results_are_told_and_what_is_none_is_not() {
        let told = Arc::new(Told::default());
        let spans = Spans(Some(told.clone()));
        let RecordOutcome::Answered(sent, answer) = answered(Status::ROK) else {
            unreachable!()
        };
        let text = "no".to_owned();
        let rejection = Rejection::new(7, context(), SendErrorKind::Encoding, text);
        for outcome in [
            RecordOutcome::Taken(sent.clone(), answer.clone(), true),
            RecordOutcome::Late(sent, answer),
            answered(Status::ROK),
            answered(Status::RINVDSTADR),
            RecordOutcome::Rejected(Box::new(rejection)),
        ] {
            spans.submitted(&PendingResult::new(1, outcome));
        }
        let begins = r#"o:0:7 Some("00-1-2-01") Some(1970-01-01T00:00:00Z)"#;
        let expected = [
            r#"Some(ESME_ROK) None Some("8F")"#,
            r#"Some(ESME_RINVDSTADR) Some("ESME_RINVDSTADR") Some("8F")"#,
            r#"None Some("ENCODING") None"#,
        ];
        let expected = expected.map(|ends| format!("{begins} {ends}"));
        assert_eq!(*told.0.lock(), expected);
    }

    #[test]
    fn a_receipt_knows_the_place_of_its_message_from_the_entry() {
        let told = Arc::new(Told::default());
        let spans = Spans(Some(told.clone()));
        let header = |key: &str, value: Option<&str>| Header {
            key: key.to_owned(),
            value: value.map(Into::into),
        };
        let entry = BorrowedEntry {
            esme: "acme",
            message_id: "8F",
            record: Cow::Owned(Position {
                topic: "o".to_owned(),
                partition: 0,
                offset: 7,
            }),
            part: None,
            log_id: "order-1",
            attempt: 1,
            submitted_at: Timestamp::UNIX_EPOCH,
            source: None,
            destination: None,
            extra_data: None,
            recipients: None,
            numbers: Cow::default(),
            lists: false,
            reference: None,
            headers: vec![
                header("other", None),
                header("traceparent", Some("00-1-2-01")),
            ],
        };
        spans.receipt(&entry, |message| Received {
            message,
            bind: "acme-0.0",
            received_at: Timestamp::UNIX_EPOCH,
            submitted_at: entry.submitted_at,
            message_id: entry.message_id,
            state: MessageState::Delivered,
            is_final: true,
            segment: None,
        });
        assert_eq!(*told.0.lock(), [r#"o:0:7 Some("00-1-2-01") None acme"#]);
    }
}
