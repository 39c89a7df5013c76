//! A [`SendError`](super::event::SendError) as it is read back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::internal::base64_option;
use super::keys::Position;

/// A SendError that is read back: what an event on `sms.errors` says of its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "struct SendError")] // Errors of reading call it by its schema.
pub struct ReadSendError {
    /// The record's log id, given or derived from its position.
    pub log_id: String,
    /// The record.
    pub record: Position,
    /// The ESME.
    pub esme: String,
    /// Why it ended; a kind of a later version is kept as it stands.
    pub kind: String,
    /// What was wrong.
    pub error: String,
    /// Attempts made.
    pub attempt: u32,
    /// The command_status that was answered last.
    #[serde(default)]
    pub command_status: Option<u32>,
    /// Whether it may have been sent.
    #[serde(default)]
    pub possible_duplicate: bool,
    /// The record's value, if it could not be read.
    #[serde(default, with = "base64_option")]
    pub original: Option<Vec<u8>>,
    /// When it ended.
    pub at: Timestamp,
    /// What became of its segments.
    #[serde(default)]
    pub parts: Vec<Segment>,
}

/// A segment of a long message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "struct PartResult")] // Errors of reading call it by its schema.
pub struct Segment {
    /// What became of it.
    pub outcome: String,
}

/// Whether an error of this kind, with this command_status, leaves open that the SMSC has the
/// message. Only what is known not to have been sent does not: a kind of a later version may mean
/// anything.
pub(super) fn leaves_open(kind: &str, command_status: Option<u32>) -> bool {
    match kind {
        "INVALID_RECORD" | "ENCODING" | "EXPIRED" | "REJECTED_LOCALLY" => false,
        // It stands for an answer, which is a rejection if it is named.
        "EVENT_TOO_LARGE" | "EVENT_REFUSED" => command_status.is_none_or(|status| status == 0),
        _ => true,
    }
}

impl Segment {
    /// Whether the SMSC may have it.
    pub(super) fn may_have_been_sent(&self) -> bool {
        !matches!(self.outcome.as_str(), "rejected" | "not_sent")
    }
}

impl ReadSendError {
    /// Whether the SMSC may have the message, or a segment of it.
    pub fn may_have_been_sent(&self) -> bool {
        leaves_open(&self.kind, self.command_status)
            || self.possible_duplicate
            || self.parts.iter().any(Segment::may_have_been_sent)
    }

    /// Whether it says itself that the SMSC took the whole message: the response was refused by
    /// its topic.
    pub fn was_sent(&self) -> bool {
        let stands_for_an_answer = matches!(&*self.kind, "EVENT_TOO_LARGE" | "EVENT_REFUSED");
        stands_for_an_answer && self.command_status == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::Codec;
    use super::super::event::tests::{about, error, position};
    use super::super::event::{About, SendError, SendErrorKind};
    use super::super::format::Format;
    use super::*;

    #[test]
    fn an_error_reads_back_from_every_format() {
        let record = position();
        let about = About {
            possible_duplicate: true,
            ..about(&record)
        };
        let event = SendError {
            original: Some(b"\xff\x00"),
            ..error(about, SendErrorKind::InvalidRecord)
        };
        for format in [Format::Json, Format::AvroSingleObject, Format::Aiosmpplib] {
            let codec = Codec::new(format);
            let read: ReadSendError = codec.read(&codec.write(&event).unwrap()).unwrap();
            assert_eq!(read.record, record, "{format:?}");
            assert_eq!(read.kind, "INVALID_RECORD");
            assert_eq!(read.original.as_deref(), Some(b"\xff\x00".as_slice()));
            assert_eq!(read.at, event.at);
            assert!(read.may_have_been_sent(), "it says so itself");
        }
    }

    #[test]
    fn an_error_of_reading_names_the_schema() {
        use super::super::kind::Kind;
        let not_one = |error: serde_json::Error| error.to_string();
        for text in [
            serde_json::from_str::<ReadSendError>("5")
                .map_err(not_one)
                .unwrap_err(),
            serde_json::from_str::<Segment>("5")
                .map_err(not_one)
                .unwrap_err(),
        ] {
            let (_, name) = text.split_once("expected struct ").unwrap();
            let name = name.split(' ').next().unwrap();
            let named = format!("\"name\": \"{name}\"");
            assert!(Kind::SendError.schema_text().contains(&named), "{text}");
        }
    }

    #[test]
    fn only_what_is_known_not_to_have_been_sent_was_not() {
        let failed =
            |kind: &str, status: Option<u32>, flagged: bool, parts: &[&str]| ReadSendError {
                log_id: "a".into(),
                record: Position::parse("sms.outbound:3:1042").unwrap(),
                esme: "acme".into(),
                kind: kind.into(),
                error: "why".into(),
                attempt: 1,
                command_status: status,
                possible_duplicate: flagged,
                original: None,
                at: Timestamp::UNIX_EPOCH,
                parts: (parts.iter())
                    .map(|outcome| Segment {
                        outcome: (*outcome).into(),
                    })
                    .collect(),
            };
        for (kind, status, flagged, parts, sent) in [
            ("EXPIRED", None, false, &[][..], false),
            ("EXPIRED", Some(0x58), false, &[], false),
            ("EXPIRED", None, true, &[], true),
            ("EXPIRED", None, false, &["not_sent", "rejected"], false),
            ("EXPIRED", None, false, &["not_sent", "accepted"], true),
            ("EXPIRED", None, false, &["not_sent", "unknown"], true),
            ("EXPIRED", None, false, &["not_sent", "teleported"], true),
            ("INVALID_RECORD", None, false, &[], false),
            ("ENCODING", None, false, &[], false),
            ("REJECTED_LOCALLY", None, false, &[], false),
            ("OUTCOME_UNKNOWN", None, false, &[], true),
            ("EVENT_TOO_LARGE", Some(0), false, &[], true),
            ("EVENT_TOO_LARGE", None, false, &[], true),
            ("EVENT_TOO_LARGE", Some(0x0B), false, &[], false),
            ("A_KIND_OF_LATER", None, false, &[], true),
            ("OTHER", None, false, &[], true),
        ] {
            let failed = failed(kind, status, flagged, parts);
            assert_eq!(failed.may_have_been_sent(), sent, "{failed:?}");
            assert_eq!(
                failed.was_sent(),
                kind == "EVENT_TOO_LARGE" && status == Some(0)
            );
        }
    }
}
