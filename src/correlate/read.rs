//! Records of the internal topics, as the join understands them.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;

use super::assembly::{self, Piece};
use super::join::Value;
use super::said;
use super::whole::Dialects;
use crate::record::codec::{Codec, Unread};
use crate::record::internal::{
    self, Correlation, Delivery, Owner, Parked, Print, Seen, comparable,
};
use crate::record::json::Invalid;
use crate::record::keys::{self, Key};
use crate::record::message::Message;
use crate::smpp::frame::HEADER;
use crate::smpp::receipt::When;

/// A record of the correlation topic.
pub(super) enum Record {
    Tombstone,
    /// An owner's barrier and its nonce.
    Barrier(String),
    Value(Value),
    Part(assembly::Value),
}

/// Reads what stands under `key` in the correlation topic.
pub(super) fn record(
    key: &Key<'_>,
    octets: Option<&[u8]>,
    codec: &Codec,
    dialects: &Dialects,
) -> Result<Record, Unread> {
    let Some(octets) = octets else {
        return Ok(Record::Tombstone);
    };
    Ok(match key {
        Key::Owner { .. } => Record::Barrier(codec.read::<Owner>(octets)?.nonce),
        Key::Creation { .. } => {
            let creation: Correlation = codec.read(octets)?;
            Record::Value(Value::Creation {
                raw: codec.kept(octets, &creation),
                submitted_at: creation.submitted_at.as_millisecond(),
                recipients: match creation.lists {
                    true => None,
                    false => Some(creation.recipients.unwrap_or(1)),
                },
                seen: creation.seen,
                final_at: creation.final_at.map(Timestamp::as_millisecond),
            })
        }
        Key::Part { .. } => Record::Part(held(codec.read(octets)?)?),
        Key::Parked { .. } => {
            let parked: Parked = codec.read(octets)?;
            Record::Value(Value::Parked {
                receipt: receipt(&parked.delivery, dialects),
                delivery: Codec::default().must_write(&parked.delivery).into(),
                published_at: parked.published_at.map(Timestamp::as_millisecond),
            })
        }
    })
}

/// A part that waits, or what was published.
fn held(piece: internal::Piece) -> Result<assembly::Value, Invalid> {
    match (piece.delivery, piece.published_at) {
        (Some(delivery), _) => Ok(assembly::Value::Held {
            piece: part(&delivery)?,
            delivery: Codec::default().must_write(&delivery).into(),
        }),
        (None, Some(at)) => Ok(assembly::Value::Published {
            at: at.as_millisecond(),
            parts: piece.parts,
        }),
        (None, None) => Err(Invalid::because("neither a part nor when it was published")),
    }
}

/// What a delivery says.
pub(super) enum Said {
    /// About a message that was submitted.
    Receipt(Seen),
    /// Some of a message from a phone.
    Part(Piece),
}

/// A record of the deliveries.
pub(super) struct Delivered<'a> {
    pub(super) identity: &'a str,
    pub(super) said: Said,
    /// The whole, as it is kept.
    pub(super) kept: Bytes,
}

/// Reads a record of the deliveries.
pub(super) fn delivery<'a>(
    key: &'a [u8],
    octets: &[u8],
    codec: &Codec,
    dialects: &Dialects,
) -> Result<Delivered<'a>, Unread> {
    let identity = std::str::from_utf8(key)
        .ok()
        .filter(|key| key.contains('/'));
    let identity = identity.ok_or_else(|| Invalid::because("its key is not ESME/MESSAGE_ID"))?;
    let delivery: Delivery = codec.read(octets)?;
    let said = match keys::is_parts(identity) {
        true => Said::Part(part(&delivery)?),
        false => Said::Receipt(receipt(&delivery, dialects)),
    };
    Ok(Delivered {
        identity,
        said,
        kept: codec.kept(octets, &delivery),
    })
}

fn part(delivery: &Delivery) -> Result<Piece, Invalid> {
    let message = Message::read(&delivery.pdu).map_err(Invalid::because)?;
    let part = message.part();
    let part = part.ok_or_else(|| Invalid::because("it is not a part of a message"))?;
    let text = message.user_data();
    // Of a repeat other fields may differ.
    let mut digest = crc32fast::Hasher::new();
    digest.update(&[text.data_coding]);
    digest.update(text.user_data);
    Ok(Piece {
        print: Print {
            part: part.part,
            digest: digest.finalize(),
        },
        total: part.total,
        octets: text.user_data.len(),
        received_at: delivery.received_at.as_millisecond(),
    })
}

fn receipt(delivery: &Delivery, dialects: &Dialects) -> Seen {
    let said = said::Said::of(&delivery.pdu, dialects.of(&delivery.esme));
    // Without the header: a repeat has another sequence number.
    let body = delivery.pdu.get(HEADER..).unwrap_or_default();
    Seen {
        state: match said.message_type().is_preliminary() {
            // What is said before the end is no repeat of the end, nor the end of it.
            true => said.state().value() | Seen::PRELIMINARY,
            false => said.state().value(),
        },
        digest: crc32fast::hash(body),
        // The receipt goes the other way round.
        recipient: comparable(said.source),
        report: Some(report(&said)),
    }
}

/// A checksum of what a receipt says besides its state, by which a corrected one is told from
/// a repeat. Dates count as what they mean; the text of the message does not count.
fn report(said: &said::Said<'_>) -> u32 {
    let receipt = &said.receipt;
    let date = |meant: Option<When>, written: &Option<Cow<'_, str>>| match meant {
        Some(when) => when.to_string(),
        None => written.as_deref().unwrap_or_default().trim().to_owned(),
    };
    // Some SMSCs leave the addresses as they were in the message.
    let to = match comparable(said.destination) {
        Some(digits) => digits.to_string(),
        None => String::from_utf8_lossy(said.destination).to_lowercase(),
    };
    let error = receipt.network_error;
    let error = error.map_or(String::new(), |e| format!("{}.{}", e.network, e.code));
    let mut digest = crc32fast::Hasher::new();
    for part in [
        &*date(receipt.submitted(), &receipt.submit_date),
        &*date(receipt.done(), &receipt.done_date),
        receipt.err.as_deref().unwrap_or_default().trim(),
        &error,
        &to,
    ] {
        digest.update(part.as_bytes());
        digest.update(&[0]);
    }
    digest.finalize()
}
