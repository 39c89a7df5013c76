//! Events about outbound records, as they are written to `sms.responses` and `sms.errors`.
//!
//! Every event about an outbound record says which one ([`About`]), and whether it is the
//! result: exactly one event of each record has `terminal: true`.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::form::{base64_option, extra, is_false, time};
use super::inbound::Tlv;
use super::keys::Position;
use crate::codes::{self, ErrorCode};

/// What all events about an outbound record have in common.
#[derive(Clone, Debug, Serialize)]
pub struct About<'a> {
    /// The message's log id, given or derived from its position.
    pub log_id: &'a str,
    /// The message's own extra data, byte for byte.
    #[serde(serialize_with = "extra", skip_serializing_if = "Option::is_none")]
    pub extra_data: Option<&'a RawValue>,
    /// Whether this is the result: the one event that ends the record.
    pub terminal: bool,
    /// Which attempt it is about, from 1; 0 if there was none.
    pub attempt: u32,
    /// Whether the message may have been sent before by an attempt whose outcome is not known.
    #[serde(skip_serializing_if = "is_false")]
    pub possible_duplicate: bool,
    /// Whether it came after the result was known, or after its partition had moved.
    #[serde(skip_serializing_if = "is_false")]
    pub late: bool,
    /// The outbound record.
    pub record: &'a Position,
    /// The ESME.
    pub esme: &'a str,
    /// The bind it went over, if it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<&'a str>,
    /// The sender, as the producer wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a str>,
    /// The recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<&'a str>,
}

/// The SMSC's answer, on `sms.responses`.
#[derive(Clone, Debug, Serialize)]
pub struct SubmitSmResp<'a> {
    /// `SubmitSmResp`, the name of another operation's response, or `GenericNack`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Which record, and whether this is its result.
    #[serde(flatten)]
    pub about: About<'a>,
    /// Whether the SMSC took the message.
    pub accepted: bool,
    /// command_status (SMPP 3.4 v1.2, 5.1.3).
    pub command_status: u32,
    /// Its name; a vendor's own has its number in hexadecimal.
    pub command_status_name: &'a str,
    /// The SMSC's id of the message, as it came; empty if there is none.
    pub message_id: &'a str,
    /// When the submit_sm was handed to the session.
    #[serde(serialize_with = "time")]
    pub submitted_at: Timestamp,
    /// When the answer was read.
    #[serde(serialize_with = "time")]
    pub responded_at: Timestamp,
    /// Whether the end of its text was left out, because it needed more parts than allowed.
    #[serde(skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Which part it is about, from 1, if it is a late answer to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u16>,
    /// What became of each segment of a long message; empty if it went as one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Segment<'a>>,
    /// What only some responses say.
    #[serde(flatten)]
    pub details: Details<'a>,
}

/// What only some responses say.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Details<'a> {
    /// How far the message has come, in answer to a QuerySm or QueryBroadcastSm: `ENROUTE`,
    /// `DELIVERED`, ... (SMPP 5.0, 4.7.15); the number of a state that has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Cow<'a, str>>,
    /// When it came to its final state, as the SMSC wrote it; in RFC 3339 if that is a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_date: Option<String>,
    /// The network's error code, in answer to a QuerySm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u8>,
    /// The recipients of a SubmitMulti that do not get it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsuccess: Vec<Unsuccess<'a>>,
    /// Optional parameters of the response, as they came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tlvs: Vec<Tlv<'a>>,
}

/// A recipient that does not get a message (SMPP 3.4, 4.5.2).
#[derive(Clone, Debug, Serialize)]
pub struct Unsuccess<'a> {
    /// Who.
    pub destination: Address<'a>,
    /// Why.
    pub command_status: u32,
    /// Its name.
    pub command_status_name: String,
}

/// An address as the SMSC wrote it.
#[derive(Clone, Debug, Serialize)]
pub struct Address<'a> {
    /// Digits or letters.
    pub number: Cow<'a, str>,
    /// Type of number (SMPP 3.4, 5.2.5).
    pub ton: u8,
    /// Numbering plan indicator (SMPP 3.4, 5.2.6).
    pub npi: u8,
}

/// A segment of a long message, in the result of the whole.
#[derive(Clone, Debug, Serialize)]
pub struct Segment<'a> {
    /// Which one, from 1.
    pub part: u16,
    /// What became of it.
    pub outcome: SegmentResult,
    /// The SMSC's id of it, if it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a str>,
    /// command_status of its last answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_status: Option<u32>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_status_name: Option<String>,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentResult {
    /// The SMSC took it.
    Accepted,
    /// The SMSC did not take it.
    Rejected,
    /// It may have been sent; no answer came.
    Unknown,
    /// It was not sent, or not again after the SMSC asked to try later.
    NotSent,
}

/// What could not be sent, got no answer, or could not be read, on `sms.errors`.
#[derive(Clone, Debug, Serialize)]
pub struct SendError<'a> {
    /// `SendError`.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// Which record, and whether this is its result.
    #[serde(flatten)]
    pub about: About<'a>,
    /// Why.
    pub kind: SendErrorKind,
    /// What was wrong, and what helps.
    pub error: &'a str,
    /// The field that is to blame, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'a str>,
    /// command_status of the last answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_status: Option<u32>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_status_name: Option<&'a str>,
    /// The record's value, in JSON as Base64, if it could not be read.
    #[serde(
        serialize_with = "base64_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub original: Option<&'a [u8]>,
    /// When this was decided.
    #[serde(serialize_with = "time")]
    pub at: Timestamp,
    /// What became of each segment of a long message; empty if it was to go as one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Segment<'a>>,
}

/// Why a record ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SendErrorKind {
    /// The record cannot be read, or a field has a value that SMPP does not allow.
    InvalidRecord,
    /// The text cannot be written in the encoding asked for.
    Encoding,
    /// Its time was over before it was sent, or while the SMSC asked to try later.
    Expired,
    /// It may have been sent; no answer came, and it must not be sent again.
    OutcomeUnknown,
    /// This connector does not send it, although it could be read.
    RejectedLocally,
    /// Its event was larger than its topic takes.
    EventTooLarge,
    /// Its event was refused by its topic for another reason than its size.
    EventRefused,
    /// It ended as an error, and `kafka-smpp replay` has put it back onto its topic: not a
    /// result.
    Replayed,
}

impl SendErrorKind {
    /// All of them.
    pub const ALL: [SendErrorKind; 8] = [
        SendErrorKind::InvalidRecord,
        SendErrorKind::Encoding,
        SendErrorKind::Expired,
        SendErrorKind::OutcomeUnknown,
        SendErrorKind::RejectedLocally,
        SendErrorKind::EventTooLarge,
        SendErrorKind::EventRefused,
        SendErrorKind::Replayed,
    ];

    /// By which it is explained. Events do not say it: it follows from the kind, which they have.
    pub(crate) const fn code(self) -> ErrorCode {
        match self {
            SendErrorKind::InvalidRecord => codes::INVALID_RECORD,
            SendErrorKind::Encoding => codes::ENCODING,
            SendErrorKind::Expired => codes::EXPIRED,
            SendErrorKind::OutcomeUnknown => codes::OUTCOME_UNKNOWN,
            SendErrorKind::RejectedLocally => codes::REJECTED_LOCALLY,
            SendErrorKind::EventTooLarge => codes::EVENT_TOO_LARGE,
            SendErrorKind::EventRefused => codes::EVENT_REFUSED,
            SendErrorKind::Replayed => codes::REPLAYED,
        }
    }

    /// The name as it stands in events, such as `OUTCOME_UNKNOWN`.
    pub const fn name(self) -> &'static str {
        match self {
            SendErrorKind::InvalidRecord => "INVALID_RECORD",
            SendErrorKind::Encoding => "ENCODING",
            SendErrorKind::Expired => "EXPIRED",
            SendErrorKind::OutcomeUnknown => "OUTCOME_UNKNOWN",
            SendErrorKind::RejectedLocally => "REJECTED_LOCALLY",
            SendErrorKind::EventTooLarge => "EVENT_TOO_LARGE",
            SendErrorKind::EventRefused => "EVENT_REFUSED",
            SendErrorKind::Replayed => "REPLAYED",
        }
    }
}

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::json;
    use std::collections::BTreeSet;

    use super::*;

    pub fn position() -> Position {
        Position {
            topic: "sms.outbound".into(),
            partition: 3,
            offset: 1042,
        }
    }

    pub fn about(record: &Position) -> About<'_> {
        About {
            log_id: "order-7",
            extra_data: None,
            terminal: true,
            attempt: 1,
            possible_duplicate: false,
            late: false,
            record,
            esme: "acme",
            bind: Some("acme-3.0"),
            source: None,
            destination: Some("+41791234567"),
        }
    }

    fn response(about: About<'_>) -> SubmitSmResp<'_> {
        SubmitSmResp {
            kind: "SubmitSmResp",
            about,
            accepted: true,
            command_status: 0,
            command_status_name: "ESME_ROK",
            message_id: "4F2A",
            submitted_at: "2026-01-02T03:04:05.5Z".parse().unwrap(),
            responded_at: "2026-01-02T03:04:05.512345Z".parse().unwrap(),
            truncated: false,
            part: None,
            parts: Vec::new(),
            details: Details::default(),
        }
    }

    pub fn error(about: About<'_>, kind: SendErrorKind) -> SendError<'_> {
        SendError {
            name: "SendError",
            about,
            kind,
            error: "why",
            field: None,
            command_status: None,
            command_status_name: None,
            original: None,
            at: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn a_response_reads_as_documented_and_returns_extra_data_byte_for_byte() {
        let extra: Box<RawValue> = serde_json::from_str(r#"{"b" : 1.50,"a":[ ]}"#).unwrap();
        let record = position();
        let event = response(About {
            extra_data: Some(&extra),
            ..about(&record)
        });
        let text = String::from_utf8(json::to_vec(&event).unwrap()).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"type":"SubmitSmResp","log_id":"order-7","extra_data":{"b" : 1.50,"a":[ ]},"#,
                r#""terminal":true,"attempt":1,"#,
                r#""record":{"topic":"sms.outbound","partition":3,"offset":1042},"#,
                r#""esme":"acme","bind":"acme-3.0","destination":"+41791234567","#,
                r#""accepted":true,"command_status":0,"command_status_name":"ESME_ROK","#,
                r#""message_id":"4F2A","submitted_at":"2026-01-02T03:04:05.500000Z","#,
                r#""responded_at":"2026-01-02T03:04:05.512345Z"}"#
            )
        );
    }

    #[test]
    fn the_kind_of_an_error_is_written_by_its_name() {
        let record = position();
        for kind in SendErrorKind::ALL {
            let about = About {
                possible_duplicate: true,
                ..about(&record)
            };
            let event = error(about, kind);
            let read: serde_json::Value =
                serde_json::from_slice(&json::to_vec(&event).unwrap()).unwrap();
            assert_eq!(read["kind"], kind.to_string());
            assert_eq!(read["possible_duplicate"], true);
            assert_eq!(read.get("late"), None);
        }
    }

    #[test]
    fn every_kind_has_a_code_of_its_own_whose_page_names_it() {
        let schema: serde_json::Value =
            serde_json::from_str(super::super::kind::Kind::SendError.schema_text()).unwrap();
        let fields = schema["fields"].as_array().unwrap();
        let kind = fields.iter().find(|field| field["name"] == "kind").unwrap();
        let known = kind["type"]["symbols"].as_array().unwrap();
        let known = known.iter().filter_map(|symbol| symbol.as_str());
        let known: BTreeSet<&str> = known.filter(|symbol| *symbol != "OTHER").collect();
        let all = SendErrorKind::ALL.map(SendErrorKind::name);
        assert_eq!(BTreeSet::from(all), known, "ALL lacks one");
        let used = BTreeSet::from(SendErrorKind::ALL.map(SendErrorKind::code));
        assert_eq!(used.len(), SendErrorKind::ALL.len());
        for kind in SendErrorKind::ALL {
            let page = codes::pages()
                .find(|page| page.code == kind.code())
                .unwrap();
            assert!(page.text.contains(&format!("`{kind}`")), "{}", page.code);
        }
    }
}
