//! What the join decides, as records: the events of receipts, and what is remembered of them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use minicbor::Decode;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};

use super::Dialects;
use super::join::{Effect, Millis};
use super::notices::EntryUnreadable;
use super::parsed_receipt::{Arrived, ParsedReceipt};
use super::{decode, entry};

use crate::kafka::cloud_events::{self, CloudEvents};
use crate::kafka::transaction::Output;
use crate::otel::{Received, Spans};
use crate::record::cbor;
use crate::record::codec::Codecs;
use crate::record::format::Format;
use crate::record::inbound::{DeliveryReceipt, NetworkError, Tlv};
use crate::record::inbound_message::Message;
use crate::record::internal::{
    Barrier, BorrowedEntry, CorrelationEntry, Delivery, Header, Likeness, NewDelivery, Parked,
    Seen, compare, number,
};
use crate::record::json::Invalid;
use crate::record::keys;
use crate::record::kind::Kind;
use crate::record::shown::ShownNumbers;
use crate::trace::mask::facts;

/// The topics of the join.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Receipts as they came.
    pub deliveries: Arc<str>,
    /// What was submitted.
    pub correlation: Arc<str>,
    /// Receipts with their message.
    pub receipts: Arc<str>,
    /// How their values are written and read.
    pub codecs: Codecs,
    /// Messages from phones.
    pub inbound: Arc<str>,
    /// How events say what they are.
    pub cloud_events: CloudEvents,
    /// How events of receipts show phone numbers.
    pub numbers: ShownNumbers,
    /// Told of receipts that find their message.
    pub spans: Spans,
}

/// The record that a takeover writes first.
pub(super) fn barrier(
    nonce: &str,
    transactional_id: &str,
    topics: &Topics,
    partition: i32,
) -> Output {
    let barrier = Barrier {
        nonce: nonce.to_owned(),
        transactional_id: transactional_id.to_owned(),
    };
    correlation_record(
        topics,
        partition,
        keys::barrier(partition),
        Some(topics.codecs.correlation.must_write(&barrier)),
    )
}

/// The record of an effect in a partition, of so many.
pub(super) fn output(
    effect: &Effect,
    arrived: Option<Arrived<'_>>,
    topics: &Topics,
    dialects: &Dialects,
    (partition, partitions): (i32, i32),
) -> Output {
    match effect {
        Effect::Publish {
            identity,
            delivery,
            entry,
            candidates,
            other_form: _,
        } => {
            let whose = (entry.as_ref(), candidates.as_slice());
            let parsed = Arrived::parsed(arrived, delivery, dialects);
            receipt_event(identity, delivery, &parsed, whose, topics, dialects)
        }
        Effect::Overdue { entry, missing } => overdue_event(entry, *missing, topics, dialects),
        Effect::Remember {
            key,
            entry,
            seen,
            final_at,
        } => {
            let value = with_seen(entry, seen, *final_at, topics);
            correlation_record(topics, partition, key.clone(), Some(value))
        }
        Effect::Park {
            key,
            delivery,
            published_at,
        } => {
            let value = parked(delivery, *published_at, topics, dialects);
            correlation_record(topics, partition, key.clone(), Some(value))
        }
        Effect::Forget { key } => correlation_record(topics, partition, key.clone(), None),
        Effect::Move {
            to,
            delivery,
            home,
            tries,
            unanswered: _,
        } => moved_delivery(to, delivery, (home.as_deref(), *tries), topics, partitions),
    }
}

/// A receipt that goes on as a delivery under another identity.
fn moved_delivery(
    to: &str,
    delivery: &Delivery,
    (home, tries): (Option<&str>, u8),
    topics: &Topics,
    partitions: i32,
) -> Output {
    let delivery = NewDelivery {
        esme: &delivery.esme,
        bind: &delivery.bind,
        received_at: delivery.received_at,
        pdu: &delivery.pdu,
        bound_at: delivery.bound_at,
        home,
        tries,
    };
    Output {
        topic: topics.deliveries.clone(),
        partition: Some(keys::partition(to.as_bytes(), partitions)),
        key: Some(to.as_bytes().to_vec()),
        value: Some(topics.codecs.deliveries.must_write(&delivery)),
        headers: None,
    }
}

/// The event of a moved receipt that the topic of deliveries does not take.
pub(super) fn moved_alone(output: &Output, topics: &Topics, dialects: &Dialects) -> Option<Output> {
    let key = std::str::from_utf8(output.key.as_deref()?).ok()?;
    let codec = &topics.codecs.deliveries;
    let delivery: Delivery = codec.read_internal(output.value.as_ref()?).ok()?;
    let identity = delivery.home.as_deref().unwrap_or(key);
    let parsed = ParsedReceipt::of(&delivery, dialects);
    let whose = (None, &[][..]);
    Some(receipt_event(
        identity, &delivery, &parsed, whose, topics, dialects,
    ))
}

/// A record that its topic refuses for good, made to fit: without the message's own extra
/// data and headers, or the octets of its segments, and with what happened; `None` if there is
/// nothing left to leave out.
pub(super) fn reduced(output: &Output, code: RDKafkaErrorCode, topics: &Topics) -> Option<Output> {
    let codecs = &topics.codecs;
    let (codec, left_out) = match &output.topic {
        topic if *topic == topics.receipts => (&codecs.receipts, "extra_data and headers"),
        topic if *topic == topics.inbound => (&codecs.inbound, "octets and parts"),
        _ => (&codecs.correlation, "extra_data and headers"),
    };
    let why = format!("{left_out} are left out: the topic does not take them ({code})");
    Some(Output {
        value: Some(codec.reduced(output.value.as_ref()?, &why)?),
        headers: output.headers.as_ref().and_then(cloud_events::only),
        ..output.clone()
    })
}

pub(super) fn correlation_record(
    topics: &Topics,
    partition: i32,
    key: String,
    value: Option<Vec<u8>>,
) -> Output {
    Output {
        topic: topics.correlation.clone(),
        partition: Some(partition),
        key: Some(key.into_bytes()),
        value,
        headers: None,
    }
}

fn with_seen(entry: &Bytes, seen: &[Seen], final_at: Option<Millis>, topics: &Topics) -> Vec<u8> {
    let is_cbor = topics.codecs.correlation.format() == Format::Cbor;
    if is_cbor
        && !seen.is_empty()
        && let Some(value) = cbor::entry_with(entry, seen, final_at.map(timestamp))
    {
        return value;
    }
    let Some(mut value) = readable::<CorrelationEntry>(entry, None) else {
        return entry.to_vec();
    };
    value.seen = seen.to_vec();
    value.final_at = final_at.map(timestamp);
    topics.codecs.correlation.must_write(&value)
}

/// A receipt that waits needs all of its PDU: it is yet to be published. One that was published is only
/// kept so that its repeats are known, and by its PDU no longer: nothing of the message's text is.
fn parked(
    delivery: &Delivery,
    published_at: Option<Millis>,
    topics: &Topics,
    dialects: &Dialects,
) -> Vec<u8> {
    let mut parked = Parked {
        delivery: delivery.clone(),
        published_at: published_at.map(timestamp),
        seen: None,
    };
    if published_at.is_some() {
        let parsed = ParsedReceipt::of(delivery, dialects);
        parked.seen = Some(decode::receipt(delivery, &parsed).seen);
        hide_text(&mut parked.delivery.pdu);
    }
    topics.codecs.correlation.must_write(&parked)
}

/// Fills what a receipt repeats of its message. Lengths, and what else it says, stay.
fn hide_text(pdu: &mut [u8]) {
    let Ok(message) = Message::read(pdu) else {
        return;
    };
    let text = message.sm.text_octets();
    let shown = facts(text);
    let hidden = text.len() - shown;
    // One of another form says what became of the message anywhere.
    if shown == 0 || hidden == 0 {
        return;
    }
    let place = pdu.windows(text.len()).rposition(|octets| octets == text);
    let hidden = place.and_then(|at| pdu.get_mut(at + shown..at + shown + hidden));
    hidden.unwrap_or_default().fill(b'x');
}

fn receipt_event(
    identity: &str,
    delivery: &Delivery,
    parsed: &ParsedReceipt<'_>,
    (entry, candidates): (Option<&Bytes>, &[Bytes]),
    topics: &Topics,
    dialects: &Dialects,
) -> Output {
    let read = |entry| readable::<BorrowedEntry<'_>>(entry, Some(identity));
    let entry = entry.and_then(|entry| read(entry));
    let mut known = HashSet::new();
    let log_ids = (candidates.iter())
        .filter_map(|entry| Some(read(entry)?.log_id))
        .filter(|log_id| known.insert(*log_id)); // segments of one message have one
    let received_at = delivery.received_at;
    let (from, to) = (
        String::from_utf8_lossy(parsed.source),
        String::from_utf8_lossy(parsed.destination),
    );
    let names = &dialects.of(&delivery.esme).names;
    let state = parsed.state();
    measure(delivery, parsed, entry.as_ref(), candidates, dialects);
    let (_, id) = keys::esme_and_id(identity);
    if let Some(entry) = &entry {
        topics.spans.receipt(entry, |message| Received {
            message,
            bind: &delivery.bind,
            received_at,
            submitted_at: entry.submitted_at,
            message_id: entry.message_id,
            state,
            is_final: parsed.is_final(),
            segment: entry.part,
        });
    }
    let event = DeliveryReceipt {
        esme: &delivery.esme,
        bind: Some(&delivery.bind),
        message_id: parsed.receipt.id.as_deref().unwrap_or(id),
        state: state.name(),
        is_final: parsed.is_final(),
        ambiguous: !candidates.is_empty(),
        candidates: log_ids.collect(),
        message_type: parsed.message_type().name(),
        stat: parsed.receipt.stat.as_deref(),
        err: parsed.receipt.err.as_deref(),
        network_error_code: parsed.receipt.network_error.map(|error| NetworkError {
            network: error.network,
            code: error.code,
        }),
        submit_date: parsed.receipt.submitted(),
        done_date: parsed.receipt.done(),
        text: parsed.receipt.text.as_deref(),
        // The receipt goes the other way round.
        source: Some(&*to).filter(|a| !a.is_empty()),
        destination: Some(&*from).filter(|a| !a.is_empty()),
        received_at: Some(delivery.received_at),
        short_message_hex: Some(parsed.octets),
        tlvs: (parsed.tlvs.iter())
            .map(|tlv| Tlv::of(tlv, names))
            .collect(),
        ..DeliveryReceipt::default()
    };
    let (key, headers) = match &entry {
        Some(entry) => (entry.log_id, entry.headers.as_slice()),
        None => (identity, &[][..]),
    };
    let event = with_entry(event, entry.as_ref(), Some((&*from, &*to)));
    let numbers = Numbers::of(&event, topics);
    let event = numbers.shown_in(event);
    let said = || cloud_events::About {
        name: event.kind,
        id: format!(
            "{identity}/{}/{}",
            event.state,
            received_at.as_microsecond()
        ),
        time: received_at,
        subject: key,
    };
    let format = topics.codecs.receipts.format();
    let headers = (topics.cloud_events).headers(kafka_headers(headers), format, said);
    receipt_record(
        key,
        topics.codecs.receipts.must_write(&event),
        headers,
        topics,
    )
}

/// Counts a receipt that is published.
fn measure(
    delivery: &Delivery,
    parsed: &ParsedReceipt<'_>,
    entry: Option<&BorrowedEntry<'_>>,
    candidates: &[Bytes],
    dialects: &Dialects,
) {
    let meters = dialects.meters(&delivery.esme);
    meters.receipts.count(Some(parsed.state()));
    let counters = &meters.counters;
    let Some(entry) = entry else {
        return counters.receipts_uncorrelated.add(1);
    };
    counters.receipts_correlated.add(1);
    counters
        .receipts_ambiguous
        .add(usize::from(!candidates.is_empty()));
    if parsed.is_final() {
        let took = delivery.received_at.duration_since(entry.submitted_at);
        // Clocks of two processes may differ.
        let took = std::time::Duration::try_from(took).unwrap_or_default();
        meters.submit_to_receipt.observe(took);
    }
}

fn overdue_event(
    entry: &Bytes,
    missing: Option<u32>,
    topics: &Topics,
    dialects: &Dialects,
) -> Output {
    let Some(entry) = readable::<BorrowedEntry<'_>>(entry, None) else {
        return receipt_record("", entry.to_vec(), None, topics);
    };
    dialects.meters(entry.esme).counters.receipts_overdue.add(1);
    let event = DeliveryReceipt {
        esme: entry.esme,
        message_id: entry.message_id,
        state: "OVERDUE",
        overdue: true,
        missing,
        ..DeliveryReceipt::default()
    };
    let event = with_entry(event, Some(&entry), None);
    let numbers = Numbers::of(&event, topics);
    let event = numbers.shown_in(event);
    let subject = entry.log_id;
    let said = || {
        let part = entry.part.map_or(String::new(), |part| format!(".{part}"));
        cloud_events::About {
            name: event.kind,
            id: format!(
                "{}{part}/{}/{}",
                entry.record, event.state, event.message_id
            ),
            time: Timestamp::now(),
            subject,
        }
    };
    let format = topics.codecs.receipts.format();
    let headers = (topics.cloud_events).headers(kafka_headers(&entry.headers), format, said);
    receipt_record(
        subject,
        topics.codecs.receipts.must_write(&event),
        headers,
        topics,
    )
}

/// The numbers of an event of a receipt, as they are shown.
struct Numbers<'a> {
    source: Option<Cow<'a, str>>,
    destination: Option<Cow<'a, str>>,
    receipt_source: Option<Cow<'a, str>>,
    receipt_destination: Option<Cow<'a, str>>,
}

impl<'a> Numbers<'a> {
    fn of(event: &DeliveryReceipt<'a>, topics: &Topics) -> Self {
        let shown = |number| topics.numbers.of_option(number);
        Numbers {
            source: shown(event.source),
            destination: shown(event.destination),
            receipt_source: shown(event.receipt_source),
            receipt_destination: shown(event.receipt_destination),
        }
    }

    fn shown_in<'n>(&'n self, event: DeliveryReceipt<'n>) -> DeliveryReceipt<'n> {
        DeliveryReceipt {
            source: self.source.as_deref(),
            destination: self.destination.as_deref(),
            receipt_source: self.receipt_source.as_deref(),
            receipt_destination: self.receipt_destination.as_deref(),
            ..event
        }
    }
}

/// Adds what the message itself says, whose receipt went from one number to the other.
fn with_entry<'a>(
    event: DeliveryReceipt<'a>,
    entry: Option<&'a BorrowedEntry<'a>>,
    receipt: Option<(&'a str, &'a str)>,
) -> DeliveryReceipt<'a> {
    let kind = "DeliveryReceipt";
    let Some(entry) = entry else {
        return DeliveryReceipt { kind, ..event };
    };
    let (from, to) = receipt.unwrap_or_default();
    let among = |address: &str| {
        let one = number(address.as_bytes());
        let same = |two: &i64| compare(one, Some(*two)) == Likeness::Same;
        entry.numbers.iter().any(same)
    };
    // Of several recipients it is the one that the receipt names, whichever way round.
    let (source, destination) = if among(to) && !among(from) {
        (event.destination, event.source)
    } else {
        (event.source, event.destination)
    };
    let source = entry.source.or(source);
    let destination = entry.destination.or(destination);
    let other = |own: &'a str, of: Option<&str>| {
        let differs = number(own.as_bytes()) != of.and_then(entry::submitted);
        Some(own).filter(|own| !own.is_empty() && differs)
    };
    DeliveryReceipt {
        kind,
        log_id: Some(entry.log_id),
        extra_data: entry.extra_data,
        correlated: true,
        attempt: Some(entry.attempt),
        record: Some(&entry.record),
        part: entry.part,
        submitted_at: Some(entry.submitted_at),
        source,
        destination,
        receipt_source: other(from, destination),
        receipt_destination: other(to, source),
        ..event
    }
}

fn receipt_record(
    key: &str,
    value: Vec<u8>,
    headers: Option<OwnedHeaders>,
    topics: &Topics,
) -> Output {
    Output {
        topic: topics.receipts.clone(),
        partition: None,
        key: Some(key.as_bytes().to_vec()),
        value: Some(value),
        headers,
    }
}

fn kafka_headers(headers: &[Header]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let add = |all: OwnedHeaders, header: &Header| {
        all.insert(KafkaHeader {
            key: &header.key,
            value: header.value.as_deref(),
        })
    };
    Some(headers.iter().fold(OwnedHeaders::new(), add))
}

pub(super) fn timestamp(millis: Millis) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

/// What an entry as it is [kept](crate::record::codec::Codec::kept) in memory says of its message.
pub(super) fn message_of(entry: &[u8]) -> Result<BorrowedEntry<'_>, Invalid> {
    read_kept(entry)
}

/// As [`read_kept`]; one that cannot be read is logged. Of what came in only the facts were read, but nobody else
/// writes entries.
fn readable<'a, T: Decode<'a, ()>>(entry: &'a [u8], identity: Option<&str>) -> Option<T> {
    let unreadable = |error: &_| EntryUnreadable { error, identity }.emit();
    read_kept(entry).inspect_err(unreadable).ok()
}

/// An entry as it is kept in memory, owned or borrowed.
fn read_kept<'a, T: Decode<'a, ()>>(entry: &'a [u8]) -> Result<T, Invalid> {
    let of_ours = cbor::value(entry).filter(|(kind, _)| *kind == Kind::Correlation);
    let (kind, fields) = of_ours.ok_or_else(|| Invalid::because("no entry as it is kept"))?;
    cbor::read(kind, fields)
}

/// When the message of an entry was submitted.
pub(super) fn submitted_at(entry: &[u8]) -> Option<Timestamp> {
    Some(message_of(entry).ok()?.submitted_at)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::correlate::delivery_of;
    use crate::correlate::join::Value;
    use smpp_protocol::pdu::Sm;
    use smpp_protocol::{Command, Status};

    fn topics() -> Topics {
        Topics {
            deliveries: "sms.deliveries".into(),
            correlation: "sms.correlation".into(),
            receipts: "sms.receipts".into(),
            codecs: Codecs::default(),
            inbound: "sms.inbound".into(),
            numbers: ShownNumbers::default(),
            cloud_events: CloudEvents::OFF,
            spans: Default::default(),
        }
    }

    fn receipt(text: &[u8]) -> Arc<Delivery> {
        let mut pdu = Vec::new();
        let sm = Sm {
            esm_class: 0x04,
            short_message: text,
            ..Sm::default()
        };
        sm.encode(Command::DELIVER_SM, Status::ROK, 1, &mut pdu)
            .unwrap();
        delivery_of(pdu)
    }

    #[test]
    fn what_was_published_alone_is_kept_without_the_text_of_its_message() {
        const TEXT: &[u8] = b"id:7F sub:001 submit date:2601020304 done date:2601020305 stat:DELIVRD err:000 text:canary";
        let (topics, dialects) = (topics(), Dialects::default());
        let codec = &topics.codecs.correlation;
        let key = keys::Key::parse(b"acme/7F/@7").unwrap();
        let restored =
            |value: &[u8]| match decode::record(&key, Some(value), false, codec, &dialects) {
                Ok(decode::Record::Value(value)) => value,
                _ => panic!("no receipt"),
            };
        let what = |value| match value {
            Value::Parked { receipt, .. } => receipt,
            Value::Entry { .. } => panic!("an entry"),
        };
        let delivery = receipt(TEXT);
        let pdu = |value: &[u8]| codec.read_internal::<Parked>(value).unwrap().delivery.pdu;
        let holds = |pdu: &[u8]| pdu.windows(6).any(|octets| octets == b"canary");

        let waits = parked(&delivery, None, &topics, &dialects);
        assert_eq!(pdu(&waits), delivery.pdu, "it is yet to be published");
        let alone = parked(&delivery, Some(5), &topics, &dialects);
        assert!(!holds(&pdu(&alone)) && pdu(&alone).len() == delivery.pdu.len());
        assert_eq!(
            what(restored(&alone)),
            what(restored(&waits)),
            "a successor knows the same"
        );

        // As versions before wrote it.
        let before = serde_json::to_string(&Parked {
            delivery: (*delivery).clone(),
            published_at: Some(timestamp(5)),
            seen: None,
        });
        assert_eq!(
            what(restored(before.unwrap().as_bytes())),
            what(restored(&waits))
        );
        for other in [
            &b"canary"[..],
            b"id:7F stat:DELIVRD text:",
            b"7F DELIVRD canary",
        ] {
            let delivery = receipt(other);
            let alone = parked(&delivery, Some(5), &topics, &dialects);
            assert_eq!(
                pdu(&alone),
                delivery.pdu,
                "of another form, or without a text"
            );
        }
    }

    #[test]
    fn what_has_just_come_is_parsed_once_and_makes_the_event_that_a_parked_one_makes() {
        const TEXT: &[u8] = b"id:7F stat:DELIVRD err:000";
        let (delivery, parked) = (receipt(TEXT), receipt(TEXT));
        let dialects = Dialects::default();
        let arrived = Some(Arrived {
            delivery: &delivery,
            parsed: &ParsedReceipt::of(&delivery, &dialects),
        });
        let is_parsed_again = |delivery| {
            let parsed = Arrived::parsed(arrived, delivery, &dialects);
            matches!(parsed, Cow::Owned(_))
        };
        assert!(!is_parsed_again(&delivery) && is_parsed_again(&parked));
        let topics = topics();
        let event = |delivery: &Arc<Delivery>| {
            let effect = Effect::Publish {
                identity: "acme/7F".into(),
                delivery: delivery.clone(),
                entry: None,
                candidates: Vec::new(),
                other_form: false,
            };
            let output = output(&effect, arrived, &topics, &dialects, (0, 3));
            String::from_utf8(output.value.unwrap()).unwrap()
        };
        assert!(event(&delivery).contains("DELIVERED"));
        assert_eq!(event(&delivery), event(&parked));
    }
}
