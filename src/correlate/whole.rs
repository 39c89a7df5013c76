//! What the assembly decides, as records.

use std::collections::HashMap;

use bytes::Bytes;
use tracing::error;

use super::assembly::Effect;
use super::render::{Topics, at, remembered};
use crate::kafka::transactor::Output;
use crate::record::internal::{Delivery, Piece};
use crate::record::message::{self, Message};
use crate::smpp::text::Alphabet;

/// What data_coding 0 means to the SMSC of each ESME.
pub(super) type Alphabets = HashMap<String, Alphabet>;

/// The record of an effect in `partition`; `None` if it cannot be made.
pub(super) fn output(
    effect: &Effect,
    topics: &Topics,
    alphabets: &Alphabets,
    partition: i32,
) -> Option<Output> {
    let remembered = |key: &String, value| remembered(topics, partition, key.clone(), value);
    Some(match effect {
        Effect::Publish { parts, again, .. } => return event(parts, *again, topics, alphabets),
        Effect::Hold { key, delivery } => remembered(key, Some(held(delivery, topics))),
        Effect::Remember {
            key,
            at: published,
            parts,
        } => {
            let value = Piece {
                published_at: Some(at(*published)),
                parts: parts.clone(),
                ..Piece::default()
            };
            remembered(key, Some(topics.codecs.correlation.must_write(&value)))
        }
        Effect::Forget { key } => remembered(key, None),
    })
}

fn held(delivery: &Bytes, topics: &Topics) -> Vec<u8> {
    match serde_json::from_slice::<Delivery>(delivery) {
        Ok(delivery) => topics.codecs.correlation.must_write(&Piece {
            delivery: Some(delivery),
            ..Piece::default()
        }),
        // It was read when it came in, so this does not happen.
        Err(error) => {
            error!(%error, "a delivery does not read any more");
            delivery.to_vec()
        }
    }
}

fn event(parts: &[Bytes], again: bool, topics: &Topics, alphabets: &Alphabets) -> Option<Output> {
    let deliveries: Vec<Delivery> = parts
        .iter()
        .filter_map(|part| serde_json::from_slice(part).ok())
        .collect();
    let messages: Vec<(Message<'_>, &Delivery)> = deliveries
        .iter()
        .filter_map(|delivery| Some((Message::read(&delivery.pdu).ok()?, delivery)))
        .collect();
    let (first, delivery) = messages.first()?;
    let alphabet = alphabets.get(&delivery.esme).copied().unwrap_or_default();
    let event = message::whole(&messages, &alphabet, again)?;
    Some(Output {
        topic: topics.inbound.clone(),
        partition: None,
        key: Some(first.sm.source.number.to_vec()),
        value: Some(topics.codecs.inbound.must_write(&event)),
        headers: None,
    })
}
