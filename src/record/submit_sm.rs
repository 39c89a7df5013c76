//! The record that applications write: one message to be sent.
//!
//! Names and meanings are those of SMPP and of aiosmpplib. Everything is borrowed from the
//! record where that is possible; what a field may hold in SMPP is checked when the submit_sm is
//! made, so that a record can be read whatever the protocol thinks of it.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;

use super::keys::Position;
use crate::settings::{InDoubt, OnTooLong, SegmentMethod};
use smpp_protocol::text::Class;

/// A message to be sent, on an outbound topic.
///
/// Only `destination` is required. A field that is absent, or null, gets the ESME's default.
#[derive(Clone, Debug, Default)]
pub struct SubmitSm<'a> {
    /// The producer's name for the message, returned in every event about it. By default it
    /// derives from the record's position: [`derived_log_id`].
    pub log_id: Option<Cow<'a, str>>,
    /// Any JSON value, returned byte for byte in every event about the message.
    pub extra_data: Option<Cow<'a, RawValue>>,
    /// The text, or the octets, of the message. What is too long for the field of this name
    /// travels in the message_payload parameter instead.
    pub short_message: Option<Content<'a>>,
    /// Like `short_message`, and travels in the message_payload parameter whatever its length
    /// (SMPP 3.4, 5.3.2.32). A record has one of the two at most.
    pub message_payload: Option<Content<'a>>,
    /// Who sends it.
    pub source: Option<Address<'a>>,
    /// Who gets it.
    pub destination: Address<'a>,
    /// service_type, at most 5 octets (SMPP 3.4, 5.2.11).
    pub service_type: Option<Cow<'a, str>>,
    /// esm_class (SMPP 3.4, 5.2.12).
    pub esm_class: Option<u8>,
    /// protocol_id (SMPP 3.4, 5.2.13; 3GPP TS 23.040, 9.2.3.9).
    pub protocol_id: Option<u8>,
    /// priority_flag (SMPP 3.4, 5.2.14).
    pub priority_flag: Option<u8>,
    /// When the SMSC shall first try to deliver it (SMPP 3.4, 5.2.15).
    pub schedule_delivery_time: Option<When>,
    /// Until when, or how long, the SMSC shall try (SMPP 3.4, 5.2.16).
    pub validity_period: Option<When>,
    /// registered_delivery (SMPP 3.4, 5.2.17): 0 asks for no receipt, 1 for one.
    pub registered_delivery: Option<u8>,
    /// replace_if_present_flag (SMPP 3.4, 5.2.18).
    pub replace_if_present_flag: Option<u8>,
    /// data_coding as it shall stand in the PDU (SMPP 3.4, 5.2.19).
    pub data_coding: Option<u8>,
    /// Where a phone is to put it (3GPP TS 23.038, 4): `flash`, `phone`, `sim` or
    /// `equipment`. data_coding follows from it.
    pub message_class: Option<Class>,
    /// How the text is written: `gsm0338`, `ucs2`, `latin_1`, ... By default GSM 03.38 if it can
    /// express the text, else UCS-2.
    pub encoding: Option<Cow<'a, str>>,
    /// sm_default_msg_id (SMPP 3.4, 5.2.20).
    pub sm_default_msg_id: Option<u8>,
    /// Optional parameters, in the order in which they shall be sent.
    pub tlvs: Vec<Tlv<'a>>,
    /// Whether a text too long for short_message may go into message_payload; by default it may.
    pub auto_message_payload: Option<bool>,
    /// The user data header before the text, its first octet, which counts the others, included
    /// (3GPP TS 23.040, 9.2.3.24): ports, for example. Every part of a long text carries it.
    pub udh: Option<Content<'a>>,
    /// How it is cut if it is long.
    pub segmentation: Segmentation,
    /// What happens to characters that the encoding cannot express; by default the message is
    /// refused.
    pub error_handling: Option<ErrorHandling>,
    /// What happens if it may have been sent and there was no answer.
    pub in_doubt: Option<InDoubt>,
    /// How often it is sent again at most after an attempt whose outcome is unknown.
    pub max_resends: Option<u8>,
    /// It is never sent after this.
    pub expires_at: Option<Timestamp>,
}

/// How a long message is cut, as far as the message itself says it: the name of a method, or an
/// object with the fields of the configuration's `segmentation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segmentation {
    /// What ties the parts together.
    pub method: Option<SegmentMethod>,
    /// How many parts there may be, 1 to 255.
    pub max_parts: Option<u8>,
    /// What becomes of a text that needs more.
    pub on_too_long: Option<OnTooLong>,
}

/// Text, or octets that are sent as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A JSON string.
    Text(Cow<'a, str>),
    /// `{"hex": "00ff"}` or `{"base64": "AP8="}`.
    Octets(Vec<u8>),
}

impl Content<'_> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Content::Text(text) => text.is_empty(),
            Content::Octets(octets) => octets.is_empty(),
        }
    }
}

/// An address: a bare string, or an object of `number`, `ton` and `npi`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// Digits or letters.
    pub number: Cow<'a, str>,
    /// Type of number (SMPP 3.4, 5.2.5); by default it follows from how the number looks.
    pub ton: Option<u8>,
    /// Numbering plan indicator (SMPP 3.4, 5.2.6); by default it follows from how the number
    /// looks.
    pub npi: Option<u8>,
}

/// A point in time, or a length of time from when the message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// An RFC 3339 time, `2026-03-01T09:00:00Z`.
    At(Timestamp),
    /// An ISO 8601 duration, `PT1H30M` (a year counts 365 days, a month 30), or a number of
    /// seconds. Never negative.
    After(SignedDuration),
}

/// An optional parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Which one.
    pub tag: TagName<'a>,
    /// Its value.
    pub value: TlvValue<'a>,
}

/// A tag, as the record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagName<'a> {
    /// Its number: `523`, `"523"` or `"0x020B"`.
    Number(u16),
    /// Its name in the specification, such as `source_port`.
    Name(Cow<'a, str>),
}

/// The value of an optional parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlvValue<'a> {
    /// A number, of as many octets as the tag asks for.
    Number(u64),
    /// True: a parameter without a value; false: none at all.
    Flag(bool),
    /// A string, or octets.
    Content(Content<'a>),
}

/// What happens to characters that an encoding cannot express.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorHandling {
    /// `strict`: the message is refused.
    #[default]
    Strict,
    /// `ignore`: they are left out.
    Ignore,
    /// `replace`: a question mark stands for each.
    Replace,
    /// `transliterate`: what comes closest stands for each, a question mark where nothing does.
    Transliterate,
}

/// The log id of a message that names none: the same however often its record is read.
///
/// ```
/// use kafka_smpp::record::{keys::Position, submit_sm::derived_log_id};
///
/// let position = Position { topic: "sms.outbound".into(), partition: 3, offset: 1042 };
/// assert_eq!(derived_log_id(&position), "sms.outbound-3-1042");
/// ```
pub fn derived_log_id(position: &Position) -> String {
    let Position {
        topic,
        partition,
        offset,
    } = position;
    format!("{topic}-{partition}-{offset}")
}
