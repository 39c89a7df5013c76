//! Events as JSON that aiosmpplib's `json_decode` reads, in its versions 0.6.4 and 0.7.4.
//!
//! aiosmpplib has a class for each PDU, and `json_decode` makes one from the members it knows.
//! So an event becomes the PDU that tells most of it, and stands in the member `event` as a
//! whole: what `json_decode` does not know is lost to nobody.
//!
//! | event | class |
//! |---|---|
//! | `SubmitSmResp`, other responses | `SubmitSmResp` |
//! | `GenericNack`, `SendError` | `GenericNack` |
//! | `DeliveryReceipt`, `InboundSms` | `DeliverSm` |
//!
//! Its classes check what they are made of, so what they would refuse is made to fit: a status
//! without a name there, a TON or NPI out of their range, parameters that 0.6.4 has no tag for,
//! a message without text.

mod deliver;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{extra, failed};

/// ESME_RSUBMITFAIL: what was not sent.
const NOT_SENT: u32 = 0x45;
/// ESME_RUNKNOWNERR: statuses without a name in aiosmpplib, and what may have been sent.
const UNKNOWN: u32 = 0xFF;

/// The members that every object begins with.
#[derive(Serialize)]
struct Head<'a> {
    #[serde(rename = "__smpp_command__")]
    command: &'static str,
    /// Numbers of the session, which is over.
    sequence_num: u32,
    command_status: u32,
    log_id: Cow<'a, str>,
    /// Always text, as aiosmpplib's own.
    extra_data: Cow<'a, str>,
}

#[derive(Serialize)]
struct Response<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    message_id: Cow<'a, str>,
    event: &'a RawValue,
}

#[derive(Serialize)]
struct Nack<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    event: &'a RawValue,
}

/// What is read from any event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    name: Cow<'a, str>,
    #[serde(default)]
    log_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    extra_data: Option<&'a RawValue>,
    #[serde(default)]
    command_status: Option<u32>,
    #[serde(default)]
    message_id: Option<Cow<'a, str>>,
    /// Of a `SendError`.
    #[serde(default)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    possible_duplicate: bool,
    #[serde(default)]
    parts: Vec<failed::Segment>,
}

impl Event<'_> {
    /// Whether it is an error of a message that the SMSC may have.
    fn may_have_been_sent(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| {
            failed::leaves_open(kind, self.command_status)
                || self.possible_duplicate
                || self.parts.iter().any(failed::Segment::may_have_been_sent)
        })
    }
}

/// Appends an event, which is given as our JSON.
///
/// # Errors
///
/// When it is no event: internal records have no place in this format.
pub fn write(event: &[u8], to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let whole: &RawValue = serde_json::from_slice(event)?;
    let read: Event<'_> = serde_json::from_slice(event)?;
    let head = |command, command_status: u32| Head {
        command,
        sequence_num: 0,
        command_status: if is_named(command_status) {
            command_status
        } else {
            UNKNOWN
        },
        log_id: read.log_id.clone().unwrap_or_default(),
        extra_data: read.extra_data.map(extra::text).unwrap_or_default(),
    };
    match &*read.name {
        "DeliveryReceipt" | "InboundSms" => {
            let sm = deliver::DeliverSm::of(&read.name, event)?;
            serde_json::to_writer(to, &sm.with(head("DELIVER_SM", 0), whole))
        }
        "SendError" | "GenericNack" => {
            let status = if read.may_have_been_sent() {
                UNKNOWN
            } else {
                read.command_status.filter(|s| *s != 0).unwrap_or(NOT_SENT)
            };
            let head = head("GENERIC_NACK", status);
            serde_json::to_writer(to, &Nack { head, event: whole })
        }
        _ => {
            let id = read.message_id.as_deref().unwrap_or_default();
            let response = Response {
                head: head("SUBMIT_SM_RESP", read.command_status.unwrap_or_default()),
                message_id: cut(id, 64).into(),
                event: whole,
            };
            serde_json::to_writer(to, &response)
        }
    }
}

/// The event in an object that [`write()`] wrote; `None` if it is none.
pub fn event(octets: &[u8]) -> Option<&[u8]> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(rename = "__smpp_command__")]
        command: Cow<'a, str>,
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let written: Written<'_> = serde_json::from_slice(octets).ok()?;
    // A message to be sent is no event, whatever members it has.
    (written.command != "SUBMIT_SM").then(|| written.event.get().as_bytes())
}

/// As many characters of a text as its field takes.
fn cut(text: &str, most: usize) -> &str {
    match text.char_indices().nth(most) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Whether aiosmpplib's `SmppCommandStatus` has this value: those of SMPP 3.4, 5.1.3.
fn is_named(status: u32) -> bool {
    matches!(
        status,
        0x00..=0x08
            | 0x0A..=0x0F
            | 0x11
            | 0x13..=0x15
            | 0x33
            | 0x34
            | 0x40
            | 0x42..=0x45
            | 0x48..=0x49
            | 0x50..=0x51
            | 0x53..=0x55
            | 0x58
            | 0x61..=0x67
            | 0xC0..=0xC4
            | 0xFE
            | 0xFF
    )
}

#[cfg(test)]
mod tests;
