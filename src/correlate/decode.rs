//! Records of the internal topics, as the join and the assembly understand them.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::Offset;

use super::Dialects;
use super::assembly::{self, Segment};
use super::entry::Facts;
use super::join::{Dated, Receipt, Value};
use super::parsed_receipt::ParsedReceipt;
use crate::record::cbor;
use crate::record::codec::{Codec, Unread};
use crate::record::inbound_message::Message;
use crate::record::internal::{
    self, Barrier, CorrelationEntry, Delivery, Parked, Seen, SegmentDigest, comparable, number,
};
use crate::record::json::Invalid;
use crate::record::keys::{self, Key};
use smpp_protocol::frame::HEADER;
use smpp_protocol::receipt::When;

/// A record of the correlation topic.
pub(super) enum Record {
    Tombstone,
    /// Ours, which comes back: what is known of its key goes beyond what it says.
    Echo,
    /// An owner's barrier and its nonce.
    Barrier(String),
    Value(Value),
    Segment(assembly::Value),
}

/// Reads what stands under `key` in the correlation topic; `live` if all is known that was in its log when
/// the partition was taken over.
pub(super) fn record(
    key: &Key<'_>,
    octets: Option<&[u8]>,
    live: bool,
    codec: &Codec,
    dialects: &Dialects,
) -> Result<Record, Unread> {
    let Some(octets) = octets else {
        return Ok(Record::Tombstone);
    };
    Ok(match key {
        Key::Barrier { .. } => Record::Barrier(codec.read_internal::<Barrier>(octets)?.nonce),
        // Only the owner of a partition parks receipts there.
        Key::Parked { .. } if live => Record::Echo,
        Key::Entry { .. } => {
            let Some((raw, facts)) = entry(octets, live, codec)? else {
                return Ok(Record::Echo);
            };
            Record::Value(Value::Entry {
                raw,
                stated: true,
                submitted_at: facts.submitted_at,
                recipients: facts.recipients,
                to: facts.to,
                sender: facts.sender,
                reference: facts.reference,
                seen: facts.seen,
                final_at: facts.final_at,
            })
        }
        Key::Segment { .. } => Record::Segment(segment_entry(codec.read_internal(octets)?)?),
        Key::Parked { .. } => {
            let parked: Parked = codec.read_internal(octets)?;
            let parsed = ParsedReceipt::of(&parked.delivery, dialects);
            let mut receipt = receipt(&parked.delivery, &parsed);
            if let Some(seen) = parked.seen {
                receipt.seen = seen; // its PDU is no longer what it was
            }
            Record::Value(Value::Parked {
                receipt,
                home: parked.delivery.home.as_deref().map(Into::into),
                delivery: Arc::new(parked.delivery),
                published_at: parked.published_at.map(Timestamp::as_millisecond),
            })
        }
    })
}

/// An entry as it is kept, and what the join goes by. One in CBOR, as it mostly is, is kept as it is, and
/// read without copies of its texts. `None` if the partition is `live` and it says what was published: then
/// it is its owner who has written it.
fn entry(octets: &[u8], live: bool, codec: &Codec) -> Result<Option<(Bytes, Facts)>, Unread> {
    if cbor::value(octets).is_some() {
        // One comes back for each receipt: nothing else of it is read, nor said of one that is cut off.
        if live && cbor::has_receipts(octets) == Some(true) {
            return Ok(None);
        }
        let facts = Facts::of(octets)?;
        let is_news = !live || !facts.has_receipts();
        return Ok(is_news.then(|| (Bytes::copy_from_slice(octets), facts)));
    }
    let entry: CorrelationEntry = codec.read_internal(octets)?;
    if live && entry.has_receipts() {
        return Ok(None);
    }
    let kept = Codec::kept(octets, &entry);
    let facts = Facts::of(&kept)?;
    Ok(Some((kept, facts)))
}

/// A segment that waits, or what was published.
fn segment_entry(entry: internal::SegmentEntry) -> Result<assembly::Value, Invalid> {
    match (entry.delivery, entry.published_at) {
        (Some(delivery), _) => Ok(assembly::Value::Waiting {
            segment: segment(&delivery)?,
            delivery: Arc::new(delivery),
        }),
        (None, Some(at)) => Ok(assembly::Value::Published {
            at: at.as_millisecond(),
            segments: entry.parts,
        }),
        (None, None) => Err(Invalid::because("neither a part nor when it was published")),
    }
}

/// What a delivery says.
pub(super) enum DeliveryKind<'a> {
    /// About a message that was submitted: the receipt, and what the join needs of it.
    Receipt(Box<ParsedReceipt<'a>>, Receipt),
    /// A segment of a message from a phone.
    Segment(Segment),
}

/// Reads a record of the deliveries: its identity, and what came.
pub(super) fn delivery<'a>(
    key: &'a [u8],
    octets: &[u8],
    codec: &Codec,
) -> Result<(&'a str, Arc<Delivery>), Unread> {
    let identity = std::str::from_utf8(key)
        .ok()
        .filter(|key| key.contains('/'));
    let identity = identity.ok_or_else(|| Invalid::because("its key is not ESME/MESSAGE_ID"))?;
    Ok((identity, Arc::new(codec.read_internal(octets)?)))
}

/// Parses what came under an identity.
pub(super) fn parse<'a>(
    identity: &str,
    delivery: &'a Delivery,
    dialects: &Dialects,
) -> Result<DeliveryKind<'a>, Invalid> {
    if keys::is_segments(identity) {
        return Ok(DeliveryKind::Segment(segment(delivery)?));
    }
    let parsed = ParsedReceipt::of(delivery, dialects);
    let receipt = receipt(delivery, &parsed);
    Ok(DeliveryKind::Receipt(Box::new(parsed), receipt))
}

fn segment(delivery: &Delivery) -> Result<Segment, Invalid> {
    let message = Message::read(&delivery.pdu).map_err(Invalid::because)?;
    let concatenation = message.segment();
    let concatenation =
        concatenation.ok_or_else(|| Invalid::because("it is not a part of a message"))?;
    let text = message.user_data();
    // Of a repeat other fields may differ.
    let mut digest = crc32fast::Hasher::new();
    digest.update(&[text.data_coding]);
    digest.update(text.user_data);
    Ok(Segment {
        digest: SegmentDigest {
            part: concatenation.part,
            digest: digest.finalize(),
        },
        total: concatenation.total,
        octets: text.user_data.len(),
        received_at: delivery.received_at.as_millisecond(),
    })
}

/// What the join needs of a receipt.
pub(super) fn receipt(delivery: &Delivery, parsed: &ParsedReceipt<'_>) -> Receipt {
    // Without the header: a repeat has another sequence number.
    let body = delivery.pdu.get(HEADER..).unwrap_or_default();
    let seen = Seen {
        // What was sent before the end, or says it in an unknown word, is neither the end nor a repeat of it.
        state: if parsed.is_open() {
            parsed.state().value() | Seen::PRELIMINARY
        } else {
            parsed.state().value()
        },
        digest: crc32fast::hash(body),
        // The receipt goes the other way round.
        recipient: number(parsed.source),
        report: Some(report(parsed)),
        ambiguous: false,
        session: session(delivery),
    };
    Receipt {
        seen,
        to: number(parsed.destination),
        submitted: parsed.receipt.submitted().and_then(dated),
        received: Some(delivery.received_at.as_millisecond()),
        bound_at: delivery.bound_at.map(Timestamp::as_millisecond),
        reference: parsed.tlvs.user_message_reference(),
        tries: delivery.tries,
    }
}

/// The session that a delivery came in.
fn session(delivery: &Delivery) -> Option<u32> {
    let bound_at = delivery.bound_at?.as_microsecond();
    let mut digest = crc32fast::Hasher::new();
    digest.update(delivery.bind.as_bytes());
    digest.update(&bound_at.to_be_bytes());
    Some(digest.finalize())
}

/// A date by the SMSC's clock. Most show no seconds.
fn dated(when: When) -> Option<Dated> {
    let at = when.offset.unwrap_or(Offset::UTC).to_timestamp(when.civil);
    Some(Dated {
        at: at.ok()?.as_millisecond(),
        zoned: when.offset.is_some(),
        lasts: match when.civil.second() {
            0 => 60_000,
            _ => 1000,
        },
    })
}

/// A checksum of what a receipt says besides its state, by which a corrected one is told from
/// a repeat. Dates count as what they mean; the text of the message does not count.
fn report(parsed: &ParsedReceipt<'_>) -> u32 {
    let (receipt, mut report) = (&parsed.receipt, Report::default());
    let mut date = |meant: Option<When>, written: &Option<Cow<'_, str>>| match meant {
        Some(when) => report.says(when),
        None => report.says(written.as_deref().unwrap_or_default().trim()),
    };
    date(receipt.submitted(), &receipt.submit_date);
    date(receipt.done(), &receipt.done_date);
    report.says(receipt.err.as_deref().unwrap_or_default().trim());
    match receipt.network_error {
        Some(error) => report.says(format_args!("{}.{}", error.network, error.code)),
        None => report.says(""),
    }
    // Some SMSCs leave the addresses as they were in the message.
    match comparable(parsed.destination) {
        Some(digits) => report.says(digits),
        None => report.says(String::from_utf8_lossy(parsed.destination).to_lowercase()),
    }
    report.0.finalize()
}

/// A checksum of texts, each with an end.
#[derive(Default)]
struct Report(crc32fast::Hasher);

impl Report {
    fn says(&mut self, text: impl Display) {
        // A checksum takes everything.
        let _ = write!(self, "{text}");
        self.0.update(&[0]);
    }
}

impl fmt::Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::join::{To, sender_digest};
    use super::*;
    use crate::correlate::delivery_of;
    use smpp_protocol::pdu::Sm;
    use smpp_protocol::{Command, Status};

    /// To whom and from whom the message of an entry with these fields went.
    fn went(fields: &str) -> (To, u32) {
        let value = format!(
            r#"{{"esme":"acme","message_id":"7F","log_id":"a","record":{{"topic":"t","partition":0,"offset":7}},"attempt":1,"submitted_at":"2026-01-02T03:04:05Z"{fields}}}"#
        );
        let key = Key::parse(b"acme/7F/t:0:7").unwrap();
        let value = value.as_bytes();
        match record(
            &key,
            Some(value),
            false,
            &Codec::default(),
            &Dialects::default(),
        ) {
            Ok(Record::Value(Value::Entry { to, sender, .. })) => (to, sender),
            _ => panic!("{fields}"),
        }
    }

    #[test]
    fn whom_a_message_went_to_is_compared_as_it_was_submitted() {
        let anna = 41_791_111_111;
        let several = |numbers: &[i64]| To::Several(numbers.into());
        for (fields, to) in [
            ("", To::One(0)),
            (r#","destination":"+41 79 111-11-11""#, To::One(anna)),
            (r#","destination":"tel:+41-79-1111111""#, To::One(anna)),
            (r#","destination":"41791111111""#, To::One(anna)),
            (r#","recipients":2"#, To::One(0)),
            (
                r#","recipients":2,"numbers":[41791111111,5]"#,
                several(&[anna, 5]),
            ),
            (
                r#","numbers":[41791111111],"lists":true"#,
                several(&[anna, 0]),
            ),
            (r#","lists":true"#, several(&[0])),
        ] {
            assert_eq!(went(fields).0, to, "{fields}");
        }
        assert_eq!(went("").1, 0);
        assert_eq!(
            went(r#","source":"Shop""#).1,
            sender_digest(number(b"SHOP"))
        );
        assert_eq!(went(r#","source":"+1000""#).1, sender_digest(Some(1000)));
    }

    /// It stands in the log, and is compared by later versions.
    #[test]
    fn what_a_receipt_says_has_the_checksum_of_its_texts_each_with_an_end() {
        let text =
            b"id:7F submit date:2601020304 done date:tomorrow  stat:DELIVRD err: 042 text:hello";
        let sm = Sm {
            destination: smpp_protocol::Address::parse("Shop"),
            esm_class: 0x04,
            short_message: text,
            ..Sm::default()
        };
        let mut pdu = Vec::new();
        let written = sm.encode(Command::DELIVER_SM, Status::ROK, 1, &mut pdu);
        written.unwrap();
        let delivery = delivery_of(pdu);
        let parsed = ParsedReceipt::of(&delivery, &Dialects::default());
        let submitted = When::parse("2601020304").unwrap().to_string();
        let texts = format!("{submitted}\0tomorrow\0042\0\0shop\0");
        assert_eq!(report(&parsed), crc32fast::hash(texts.as_bytes()));
    }

    #[test]
    fn the_date_of_a_receipt_lasts_as_long_as_its_clock_shows_it() {
        let of = |text: &str| When::parse(text).and_then(dated).unwrap();
        let at = 1_767_323_040_000; // 2026-01-02T03:04:00Z
        let minute = of("2601020304");
        assert_eq!((minute.at, minute.zoned, minute.lasts), (at, false, 60_000));
        let second = of("260102030407");
        assert_eq!(
            (second.at, second.zoned, second.lasts),
            (at + 7000, false, 1000)
        );
        let zoned = of("2026-01-02 05:04:00 +02:00");
        assert_eq!((zoned.at, zoned.zoned), (at, true));
    }

    /// Whether the join and the event take a receipt for the end of its message.
    fn is_final(text: &str) -> (bool, bool) {
        let sm = Sm {
            esm_class: 0x04,
            short_message: text.as_bytes(),
            ..Sm::default()
        };
        let mut pdu = Vec::new();
        sm.encode(Command::DELIVER_SM, Status::ROK, 1, &mut pdu)
            .unwrap();
        let delivery = delivery_of(pdu);
        let parsed = ParsedReceipt::of(&delivery, &Dialects::default());
        (
            receipt(&delivery, &parsed).seen.is_final(),
            parsed.is_final(),
        )
    }

    #[test]
    fn a_word_that_nobody_knows_is_not_the_end_of_a_message() {
        for (text, expected) in [
            ("id:7F stat:DELIVERY_PENDING err:000", false),
            ("id:7F stat:FAILED_PENDING err:000", false),
            ("id:7F stat:SOMETHING err:000", false),
            ("id:7F", false),
            ("id:7F stat:ENROUTE err:000", false),
            ("id:7F stat:UNKNOWN err:000", true),
            ("id:7F stat:FAILED_MAX_ATTEMPTS err:000", true),
            ("id:7F stat:DELIVRD err:000", true),
        ] {
            assert_eq!(is_final(text), (expected, expected), "{text}");
        }
    }
}
