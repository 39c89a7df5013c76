//! What the assembly decides, as records: the events of messages from phones, and what waits.

use std::sync::Arc;

use super::Dialects;
use super::assembly::Effect;
use super::receipt_events::{Topics, correlation_record, timestamp};
use crate::kafka::cloud_events;
use crate::kafka::transaction::Output;
use crate::record::inbound_message::{Message, assembled};
use crate::record::internal::{Delivery, SegmentEntry};

/// The record of an effect in `partition`; `None` if it cannot be made.
pub(super) fn output(
    effect: &Effect,
    topics: &Topics,
    dialects: &Dialects,
    partition: i32,
) -> Option<Output> {
    let correlation_record =
        |key: &String, value| correlation_record(topics, partition, key.clone(), value);
    Some(match effect {
        Effect::Publish {
            segments, again, ..
        } => return event(segments, *again, topics, dialects),
        Effect::Wait { key, delivery } => {
            correlation_record(key, Some(waiting_segment(delivery, topics)))
        }
        Effect::Remember {
            key,
            at: published,
            segments,
        } => {
            let value = SegmentEntry {
                published_at: Some(timestamp(*published)),
                parts: segments.clone(),
                ..SegmentEntry::default()
            };
            correlation_record(key, Some(topics.codecs.correlation.must_write(&value)))
        }
        Effect::Forget { key } => correlation_record(key, None),
    })
}

fn waiting_segment(delivery: &Delivery, topics: &Topics) -> Vec<u8> {
    topics.codecs.correlation.must_write(&SegmentEntry {
        delivery: Some(delivery.clone()),
        ..SegmentEntry::default()
    })
}

fn event(
    segments: &[Arc<Delivery>],
    again: bool,
    topics: &Topics,
    dialects: &Dialects,
) -> Option<Output> {
    let messages: Vec<(Message<'_>, &Delivery)> = segments
        .iter()
        .filter_map(|delivery| Some((Message::read(&delivery.pdu).ok()?, &**delivery)))
        .collect();
    let (first, delivery) = messages.first()?;
    let event = assembled(&messages, dialects.of(&delivery.esme), again)?;
    let codec = &topics.codecs.inbound;
    let about = || cloud_events::About {
        name: event.kind,
        id: event.id(),
        time: event.received_at,
        subject: &event.source.number,
    };
    Some(Output {
        topic: topics.inbound.clone(),
        partition: None,
        key: Some(first.sm.source.number.to_vec()),
        value: Some(codec.must_write(&event)),
        headers: topics.cloud_events.headers(None, codec.format(), about),
    })
}
