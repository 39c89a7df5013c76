//! Records of the internal topics, as the join understands them.

use bytes::Bytes;
use jiff::Timestamp;

use super::join::{Receipt, Value};
use super::said::Said;
use crate::record::codec::{Codec, Unread};
use crate::record::internal::{Correlation, Delivery, Owner, Parked, Seen};
use crate::record::json::Invalid;
use crate::record::keys::Key;
use crate::smpp::frame::HEADER;

/// A record of the correlation topic.
pub(super) enum Record {
    Tombstone,
    /// An owner's barrier and its nonce.
    Barrier(String),
    Value(Value),
}

/// Reads what stands under `key` in the correlation topic.
pub(super) fn record(
    key: &Key<'_>,
    octets: Option<&[u8]>,
    codec: &Codec,
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
                seen: creation.seen,
                final_at: creation.final_at.map(Timestamp::as_millisecond),
            })
        }
        Key::Parked { .. } => {
            let parked: Parked = codec.read(octets)?;
            Record::Value(Value::Parked {
                receipt: receipt(&parked.delivery),
                delivery: Codec::default().must_write(&parked.delivery).into(),
                published_at: parked.published_at.map(Timestamp::as_millisecond),
            })
        }
    })
}

/// A record of the deliveries.
pub(super) struct Delivered<'a> {
    pub(super) identity: &'a str,
    /// What it says.
    pub(super) receipt: Receipt,
    /// The whole, as it is kept.
    pub(super) kept: Bytes,
}

/// Reads a record of the deliveries.
pub(super) fn delivery<'a>(
    key: &'a [u8],
    octets: &[u8],
    codec: &Codec,
) -> Result<Delivered<'a>, Unread> {
    let identity = std::str::from_utf8(key)
        .ok()
        .filter(|key| key.contains('/'));
    let identity = identity.ok_or_else(|| Invalid::because("its key is not ESME/MESSAGE_ID"))?;
    let delivery: Delivery = codec.read(octets)?;
    Ok(Delivered {
        identity,
        receipt: receipt(&delivery),
        kept: codec.kept(octets, &delivery),
    })
}

fn receipt(delivery: &Delivery) -> Receipt {
    let state = Said::of(&delivery.pdu).state();
    // Without the header: a repeat has another sequence number.
    let body = delivery.pdu.get(HEADER..).unwrap_or_default();
    Receipt {
        seen: Seen {
            state: state.value(),
            digest: crc32fast::hash(body),
        },
        last: state.is_final(),
    }
}
