//! Records of the internal topics, as the join understands them.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::join::{Receipt, Value};
use super::said::Said;
use crate::record::internal::{Correlation, Delivery, Owner, Seen};
use crate::record::keys::Key;
use crate::smpp::frame::HEADER;

/// A record of the correlation topic.
pub(super) enum Record {
    Tombstone,
    /// An owner's barrier and its nonce.
    Barrier(String),
    Value(Value),
}

/// A parked receipt, its delivery left as it is.
#[derive(Deserialize)]
struct Parked<'a> {
    #[serde(borrow)]
    delivery: &'a RawValue,
    #[serde(default)]
    published_at: Option<Timestamp>,
}

/// Reads what stands under `key` in the correlation topic.
pub(super) fn record(key: &Key<'_>, octets: Option<&[u8]>) -> Result<Record, serde_json::Error> {
    let Some(octets) = octets else {
        return Ok(Record::Tombstone);
    };
    Ok(match key {
        Key::Owner { .. } => Record::Barrier(serde_json::from_slice::<Owner>(octets)?.nonce),
        Key::Creation { .. } => {
            let creation: Correlation = serde_json::from_slice(octets)?;
            Record::Value(Value::Creation {
                raw: Bytes::copy_from_slice(octets),
                submitted_at: creation.submitted_at.as_millisecond(),
                seen: creation.seen,
                final_at: creation.final_at.map(Timestamp::as_millisecond),
            })
        }
        Key::Parked { .. } => {
            let parked: Parked<'_> = serde_json::from_slice(octets)?;
            let delivery: Delivery = serde_json::from_str(parked.delivery.get())?;
            Record::Value(Value::Parked {
                delivery: Bytes::copy_from_slice(parked.delivery.get().as_bytes()),
                receipt: receipt(&delivery),
                published_at: parked.published_at.map(Timestamp::as_millisecond),
            })
        }
    })
}

/// Reads a record of the deliveries: its identity and what it says.
pub(super) fn delivery<'a>(key: &'a [u8], octets: &[u8]) -> Result<(&'a str, Receipt), String> {
    let identity = std::str::from_utf8(key).map_err(|_| "its key is not text")?;
    if !identity.contains('/') {
        return Err(format!("its key {identity:?} is not ESME/MESSAGE_ID"));
    }
    let delivery: Delivery = serde_json::from_slice(octets).map_err(|e| e.to_string())?;
    Ok((identity, receipt(&delivery)))
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
