//! Values of the two internal topics, `sms.correlation` and `sms.deliveries`.
//!
//! They are read by other processes, of the version before and after this one too: fields
//! that a reader does not know are skipped, fields that may be missing have a default. The
//! numbers that fields have in [`cbor`](super::cbor) stay theirs: a new field has the next one.

use std::borrow::Cow;

use jiff::Timestamp;
use minicbor::{Decode, Encode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::form::{instant, instant_option, is_false, is_zero, raw};
use super::keys::Position;
use smpp_protocol::MessageState;

/// What is remembered of a submitted message, or of one segment, until its last receipt: the
/// value beside [`entry`](super::keys::entry). Written with the SMSC's response; after
/// that only the owner of the partition writes to its key.
#[derive(Clone, Debug, Serialize, Deserialize, Encode, Decode)]
#[serde(expecting = "struct Correlation")] // Errors of reading call it by its schema.
pub struct CorrelationEntry {
    /// The ESME that submitted it.
    #[cbor(n(0))]
    pub esme: String,
    /// The SMSC's message_id, as it came in the response.
    #[cbor(n(1))]
    pub message_id: String,
    /// The message's log id.
    #[cbor(n(4))]
    pub log_id: String,
    /// The message's own extra data, byte for byte.
    #[serde(
        default,
        serialize_with = "raw",
        deserialize_with = "raw_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cbor(n(9), with = "super::cbor::raw_option", skip_if = "Option::is_none")]
    pub extra_data: Option<Box<RawValue>>,
    /// The outbound record.
    #[cbor(n(2))]
    pub record: Position,
    /// Which segment of a long message, from 1; absent if it went as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(3))]
    pub part: Option<u16>,
    /// Which attempt it was, from 1.
    #[cbor(n(5))]
    pub attempt: u32,
    /// When its submit_sm was written.
    #[serde(serialize_with = "instant")]
    #[cbor(n(6), with = "super::cbor::instant")]
    pub submitted_at: Timestamp,
    /// The sender's address as submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(7))]
    pub source: Option<String>,
    /// The recipient's address as submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(8))]
    pub destination: Option<String>,
    /// How many recipients a message to several was accepted for; absent if it went to one, or
    /// if [`lists`](Self::lists) are among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(10))]
    pub recipients: Option<u32>,
    /// The numbers that a message to several went to, each as a [`number`]; empty if it went to
    /// one, and in what versions before this field have written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cbor(n(11), skip_if = "Vec::is_empty")]
    pub numbers: Vec<i64>,
    /// Whether distribution lists are among the recipients, so that nobody knows how many
    /// receipts will come.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cbor(n(12), skip_if = "is_false")]
    pub lists: bool,
    /// The user_message_reference that the record set, which many an SMSC repeats in receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(13))]
    pub reference: Option<u16>,
    /// Headers of the outbound record that travel on to its receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cbor(n(14), skip_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Receipts published already, so that a repeat is known as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cbor(n(15), skip_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
    /// When its first final receipt was published; of a message to several, when the last
    /// recipient's first one was.
    #[serde(
        default,
        serialize_with = "instant_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cbor(
        n(16),
        with = "super::cbor::instant_option",
        skip_if = "Option::is_none"
    )]
    pub final_at: Option<Timestamp>,
}

impl CorrelationEntry {
    /// Whether any receipt of it was published.
    pub fn has_receipts(&self) -> bool {
        !self.seen.is_empty() || self.final_at.is_some()
    }
}

/// A [`CorrelationEntry`] as it is first written, its texts borrowed: one is made for every message, and read from CBOR for
/// the event of every receipt.
#[derive(Clone, Debug, Serialize, Encode, Decode)]
pub struct BorrowedEntry<'a> {
    /// The ESME that submitted it.
    #[cbor(n(0))]
    pub esme: &'a str,
    /// The SMSC's message_id, as it came in the response.
    #[cbor(n(1))]
    pub message_id: &'a str,
    /// The message's log id.
    #[cbor(n(4))]
    pub log_id: &'a str,
    /// The message's own extra data, byte for byte.
    #[serde(serialize_with = "raw", skip_serializing_if = "Option::is_none")]
    #[cbor(
        n(9),
        encode_with = "super::cbor::raw_option::encode",
        decode_with = "super::cbor::raw_option::borrowed",
        is_nil = "Option::is_none",
        default
    )]
    pub extra_data: Option<&'a RawValue>,
    /// The outbound record.
    #[cbor(n(2))]
    pub record: Cow<'a, Position>,
    /// Which segment of a long message, from 1; absent if it went as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(3))]
    pub part: Option<u16>,
    /// Which attempt it was, from 1.
    #[cbor(n(5))]
    pub attempt: u32,
    /// When its submit_sm was written.
    #[serde(serialize_with = "instant")]
    #[cbor(n(6), with = "super::cbor::instant")]
    pub submitted_at: Timestamp,
    /// The sender's address as submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(7))]
    pub source: Option<&'a str>,
    /// The recipient's address as submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(8))]
    pub destination: Option<&'a str>,
    /// How many recipients a message to several was accepted for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(10))]
    pub recipients: Option<u32>,
    /// The numbers that a message to several went to, each as a [`number`].
    #[serde(skip_serializing_if = "<[i64]>::is_empty")]
    #[cbor(n(11), skip_if = "<[i64]>::is_empty")]
    pub numbers: Cow<'a, [i64]>,
    /// Whether distribution lists are among the recipients.
    #[serde(skip_serializing_if = "is_false")]
    #[cbor(n(12), skip_if = "is_false")]
    pub lists: bool,
    /// The user_message_reference that the record set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(13))]
    pub reference: Option<u16>,
    /// Headers of the outbound record that travel on to its receipts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cbor(n(14), skip_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
}

/// What a [`CorrelationEntry`] in CBOR says of how its receipts are known, borrowed: one is read for every
/// message that a partition remembers. The fields have the same numbers.
#[derive(Clone, Debug, Decode)]
pub struct EntryView<'a> {
    /// When its submit_sm was written.
    #[cbor(n(6), decode_with = "super::cbor::instant::decode")]
    pub submitted_at: Timestamp,
    /// The sender's address as submitted.
    #[cbor(n(7))]
    pub source: Option<&'a str>,
    /// The recipient's address as submitted.
    #[cbor(n(8))]
    pub destination: Option<&'a str>,
    /// How many recipients a message to several was accepted for.
    #[cbor(n(10))]
    pub recipients: Option<u32>,
    /// The numbers that a message to several went to, each as a [`number`].
    #[cbor(n(11), default)]
    pub numbers: Vec<i64>,
    /// Whether distribution lists are among the recipients.
    #[cbor(n(12), default)]
    pub lists: bool,
    /// The user_message_reference that the record set.
    #[cbor(n(13))]
    pub reference: Option<u16>,
    /// Receipts published already.
    #[cbor(n(15), default)]
    pub seen: Vec<Seen>,
    /// When its first final receipt was published, or the last recipient's.
    #[cbor(n(16), decode_with = "super::cbor::instant_option::decode", default)]
    pub final_at: Option<Timestamp>,
}

/// A Kafka header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Header {
    /// Its key.
    #[cbor(n(0))]
    pub key: String,
    /// Its value, Base64 in JSON; a header may have none.
    #[serde(
        default,
        with = "base64_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cbor(n(1), with = "super::cbor::octets_option", skip_if = "Option::is_none")]
    pub value: Option<Vec<u8>>,
}

/// A receipt that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Seen {
    /// Its message_state (SMPP 5.0, 4.8.4.41), with 0x80 if it was said before the end, or in a
    /// word that nobody knows.
    #[cbor(n(0))]
    pub state: u8,
    /// CRC-32 of the body of its PDU.
    #[cbor(n(1))]
    pub digest: u32,
    /// The [`number`] of the recipient it is about; absent if it says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(2))]
    pub recipient: Option<i64>,
    /// CRC-32 of what else it says: dates, errors, and to whom it went. Absent in what versions
    /// before this field have written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(3))]
    pub report: Option<u32>,
    /// Whether it may be about another message, and was published so.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cbor(n(4), skip_if = "is_false")]
    pub ambiguous: bool,
    /// CRC-32 of the session it came in: its bind, and when that was bound. Absent in what versions
    /// before this field have written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(5))]
    pub session: Option<u32>,
}

/// A number in the form in which recipients are compared: its digits without leading zeros, the
/// last 18 at most. `None` if it is no number: letters, or figures that are masked.
pub fn comparable(number: &[u8]) -> Option<i64> {
    const MOST: i64 = 1_000_000_000_000_000_000;
    let mut digits = None;
    for octet in number {
        match octet {
            b'0'..=b'9' => {
                let before: i64 = digits.unwrap_or(0);
                digits = Some((before % (MOST / 10)) * 10 + i64::from(octet - b'0'));
            }
            b'+' | b'-' | b'.' | b' ' | b'(' | b')' | b'/' => {}
            _ => return None,
        }
    }
    digits
}

/// An address in the form in which it is remembered: what is [`comparable`] of it; of letters and
/// masked figures a number below zero, by which only the same text is known again. `None` if it is
/// empty.
pub fn number(address: &[u8]) -> Option<i64> {
    let text = address.trim_ascii();
    comparable(text).or_else(|| (!text.is_empty()).then(|| -1 - i64::from(print(text))))
}

/// The checksum of a text in small letters.
fn print(text: &[u8]) -> u32 {
    let mut print = crc32fast::Hasher::new();
    let mut small = [0; 32];
    for piece in text.chunks(small.len()) {
        let small = &mut small[..piece.len()];
        small.copy_from_slice(piece);
        small.make_ascii_lowercase();
        print.update(small);
    }
    print.finalize()
}

/// What two spellings of a number say of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// They are two numbers.
    Other,
    /// Nobody can tell.
    Open,
    /// They are one number.
    Same,
}

/// So many digits of a number are compared.
const MOST_DIGITS: u32 = 18;

/// With fewer digits than these, one number ends like another by chance, and an address may be a
/// service's.
const PHONE: u32 = 7;

/// Whether a [`number`] has too few digits for a phone's.
pub fn is_short(number: Option<i64>) -> bool {
    number.is_some_and(|number| number > 0 && digits(number) < PHONE)
}

fn digits(number: i64) -> u32 {
    number.checked_ilog10().map_or(0, |log| log + 1)
}

/// Compares two [`number`]s. Operators write one in several ways:
///
/// | written | against | |
/// |---|---|---|
/// | `0041791234567`, `0791234567`, `011 41 79...` | `41791234567` | the same: without leading zeros one ends with the other |
/// | `4179123` (cut), `4567` | `41791234567` | open: one is in the other |
/// | `8 916 1234567` | `7 916 1234567` | open: 8 before a national number |
/// | `52 1 55 12345678` | `52 55 12345678` | open: a digit more inside, as some countries write mobiles |
/// | `4179123XXXX`, `ACME`, nothing | `41791234567` | open |
/// | anything else | | two numbers |
pub fn compare(one: Option<i64>, two: Option<i64>) -> Likeness {
    let (Some(one), Some(two)) = (one, two) else {
        return Likeness::Open;
    };
    if one == two && one != 0 {
        return Likeness::Same;
    }
    if one.min(two) <= 0 {
        return Likeness::Open;
    }
    let (short, long) = (one.min(two), one.max(two));
    let (few, many) = (digits(short), digits(long));
    if many > MOST_DIGITS {
        return Likeness::Open; // not written by us
    }
    let ten = |n: u32| 10i64.pow(n);
    if few >= PHONE && long % ten(few) == short {
        return Likeness::Same;
    }
    let inside = || (0..=many - few).any(|cut| long / ten(cut) % ten(few) == short);
    let more_inside = || {
        let without = |at: u32| long / ten(at + 1) * ten(at) + long % ten(at);
        few >= PHONE && many == few + 1 && (0..many).any(|at| without(at) == short)
    };
    let national = |one: i64, two: i64| {
        let places = digits(one) - 1;
        one / ten(places) == 8 && places >= PHONE && two % ten(places) == one % ten(places)
    };
    if inside() || more_inside() || national(one, two) || national(two, one) {
        Likeness::Open
    } else {
        Likeness::Other
    }
}

impl Seen {
    /// Set in `state` for what was said before a message's end, or may have been.
    pub const PRELIMINARY: u8 = 0x80;

    /// Whether no other state follows.
    pub fn is_final(&self) -> bool {
        // With the bit set it is no state at all.
        MessageState::from_value(self.state).is_some_and(MessageState::is_final)
    }

    /// Whether both may be about one recipient. What cannot be compared contradicts nothing, but
    /// two texts that differ are two recipients.
    pub fn same_recipient(&self, other: &Seen) -> bool {
        let texts = |number: Option<i64>| number.is_some_and(|number| number < 0);
        match compare(self.recipient, other.recipient) {
            Likeness::Same => true,
            Likeness::Open => !(texts(self.recipient) && texts(other.recipient)),
            Likeness::Other => false,
        }
    }

    /// Whether it is a receipt with the same octets. Two checksums: the one of what is said makes
    /// nothing else of the same octets.
    pub fn same_octets(&self, other: &Seen) -> bool {
        let reports = self.report.zip(other.report);
        (self.state, self.digest) == (other.state, other.digest)
            && reports.is_none_or(|(one, two)| one == two)
    }

    /// Whether it is about the same recipient and says the same of it: state, dates and errors.
    pub fn says_the_same(&self, other: &Seen) -> bool {
        let reports = self.report.zip(other.report);
        self.state == other.state
            && self.same_recipient(other)
            && reports.is_none_or(|(one, two)| one == two)
    }
}

/// A receipt or a segment of a message as it came: the value on `sms.deliveries`, under its
/// [`identity`](super::keys::identity) or under what its [`segments`](super::keys::segments) have
/// in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Delivery {
    /// The ESME that received it.
    #[cbor(n(0))]
    pub esme: String,
    /// The bind it came on.
    #[cbor(n(1))]
    pub bind: String,
    /// When it came.
    #[serde(serialize_with = "instant")]
    #[cbor(n(2), with = "super::cbor::instant")]
    pub received_at: Timestamp,
    /// The whole deliver_sm or data_sm, header included, Base64 in JSON.
    #[serde(with = "base64")]
    #[cbor(n(3), with = "minicbor::bytes")]
    pub pdu: Vec<u8>,
    /// When the session it came in was bound. Absent in what versions before this field have
    /// written.
    #[serde(
        default,
        serialize_with = "instant_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cbor(
        n(4),
        with = "super::cbor::instant_option",
        skip_if = "Option::is_none"
    )]
    pub bound_at: Option<Timestamp>,
    /// Of a receipt that is looked for under another form of its id: the
    /// [`identity`](super::keys::identity) that it has itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(5))]
    pub home: Option<String>,
    /// How often it was looked for under another form of its id, and not found.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[cbor(n(6), skip_if = "is_zero")]
    pub tries: u8,
}

/// A [`Delivery`] as it is written, borrowed: one is made for every receipt and every segment.
#[derive(Clone, Debug, Serialize, Encode)]
pub struct NewDelivery<'a> {
    /// The ESME that received it.
    #[cbor(n(0))]
    pub esme: &'a str,
    /// The bind it came on.
    #[cbor(n(1))]
    pub bind: &'a str,
    /// When it came.
    #[serde(serialize_with = "instant")]
    #[cbor(n(2), encode_with = "super::cbor::instant::encode")]
    pub received_at: Timestamp,
    /// The whole deliver_sm or data_sm, header included, Base64 in JSON.
    #[serde(serialize_with = "base64::serialize")]
    #[cbor(n(3), encode_with = "minicbor::bytes::encode")]
    pub pdu: &'a [u8],
    /// When the session it came in was bound.
    #[serde(
        serialize_with = "instant_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cbor(
        n(4),
        encode_with = "super::cbor::instant_option::encode",
        is_nil = "Option::is_none"
    )]
    pub bound_at: Option<Timestamp>,
    /// Of a receipt that is looked for under another form of its id: the identity that it has itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(5))]
    pub home: Option<&'a str>,
    /// How often it was looked for under another form of its id, and not found.
    #[serde(skip_serializing_if = "is_zero")]
    #[cbor(n(6), skip_if = "is_zero")]
    pub tries: u8,
}

impl Delivery {
    /// About how many octets of memory it takes.
    pub fn octets(&self) -> usize {
        let home = self.home.as_ref().map_or(0, String::len);
        size_of::<Delivery>() + self.esme.len() + self.bind.len() + self.pdu.len() + home
    }
}

/// A receipt that waits for its message: the value beside [`parked`](super::keys::parked).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Parked {
    /// The receipt.
    #[cbor(n(0))]
    pub delivery: Delivery,
    /// When it was published without its message, which ended its wait; it is kept for a
    /// while so that its repeats are known as such.
    #[serde(
        default,
        serialize_with = "instant_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cbor(
        n(1),
        with = "super::cbor::instant_option",
        skip_if = "Option::is_none"
    )]
    pub published_at: Option<Timestamp>,
    /// What is remembered of it from then on, because its PDU has nothing of the message's text any
    /// more. Absent in what versions before this field have written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(2))]
    pub seen: Option<Seen>,
}

/// A segment of a message from a phone that waits for the others, or, once they are published,
/// what is remembered of them: the value beside [`segment`](super::keys::segment).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(expecting = "struct Piece")] // Errors of reading call it by its schema.
pub struct SegmentEntry {
    /// The segment that waits, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(0))]
    pub delivery: Option<Delivery>,
    /// When segments were published; then there is no `delivery`, and their repeats are known
    /// as such.
    #[serde(
        default,
        serialize_with = "instant_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cbor(
        n(1),
        with = "super::cbor::instant_option",
        skip_if = "Option::is_none"
    )]
    pub published_at: Option<Timestamp>,
    /// Which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cbor(n(2), skip_if = "Vec::is_empty")]
    pub parts: Vec<SegmentDigest>,
}

/// By what a segment is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(expecting = "struct Print")] // Errors of reading call it by its schema.
pub struct SegmentDigest {
    /// Which segment, from 1.
    #[cbor(n(0))]
    pub part: u8,
    /// CRC-32 of its data_coding and user data.
    #[cbor(n(1))]
    pub digest: u32,
}

/// What whoever takes over a partition writes to it first: when the nonce is read back,
/// everything written before is in memory. The value beside [`barrier`](super::keys::barrier).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(expecting = "struct Owner")] // Errors of reading call it by its schema.
pub struct Barrier {
    /// Unique to this takeover.
    #[cbor(n(0))]
    pub nonce: String,
    /// The transactional.id of the owner's producer.
    #[serde(rename = "writer")]
    #[cbor(n(1))]
    pub transactional_id: String,
}

/// Reads extra_data: a JSON value, or its text.
fn raw_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    if from.is_human_readable() {
        return Option::deserialize(from);
    }
    let text = Option::<String>::deserialize(from)?;
    let raw = text.map(RawValue::from_string).transpose();
    raw.map_err(D::Error::custom)
}

/// Octets, in JSON as Base64.
mod base64 {
    use std::borrow::Cow;
    use std::fmt;

    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::{Deserialize, Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.serialize_str(&STANDARD.encode(octets))
        } else {
            to.serialize_bytes(octets)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        if !from.is_human_readable() {
            return from.deserialize_bytes(Octets);
        }
        let text = Cow::<str>::deserialize(from)?;
        STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }

    struct Octets;

    impl Visitor<'_> for Octets {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("octets")
        }

        fn visit_bytes<E: Error>(self, octets: &[u8]) -> Result<Vec<u8>, E> {
            Ok(octets.to_vec())
        }
    }
}

/// Octets that may be missing.
pub(super) mod base64_option {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    struct Octets<T>(T);

    impl Serialize for Octets<&Vec<u8>> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            super::base64::serialize(self.0, to)
        }
    }

    impl<'de> Deserialize<'de> for Octets<Vec<u8>> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            super::base64::deserialize(from).map(Octets)
        }
    }

    pub fn serialize<S: Serializer>(octets: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        octets.as_ref().map(Octets).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Octets<Vec<u8>>>::deserialize(from)?.map(|o| o.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_remembered_by_the_checksum_of_its_small_letters() {
        for name in [
            "ACME",
            "A Name In CAPITALS And Others, Of More Octets Than Are Read At Once",
        ] {
            let small = name.to_ascii_lowercase();
            let print = i64::from(crc32fast::hash(small.as_bytes()));
            assert_eq!(number(name.as_bytes()), Some(-1 - print));
        }
    }

    #[test]
    fn a_correlation_reads_back_with_its_extra_data_byte_for_byte() {
        let line = r#"{"esme":"acme","message_id":"7F","log_id":"a","extra_data":{"b" : 1.50, "a":[ ]},"record":{"topic":"sms.outbound","partition":3,"offset":1042},"part":2,"attempt":1,"submitted_at":"2026-01-02T03:04:05.000006Z","destination":"+4179","headers":[{"key":"traceparent","value":"MDA="},{"key":"empty"}],"seen":[{"state":1,"digest":7}]}"#;
        let read: CorrelationEntry = serde_json::from_str(line).unwrap();
        assert_eq!(
            read.extra_data.as_ref().unwrap().get(),
            r#"{"b" : 1.50, "a":[ ]}"#
        );
        assert_eq!(read.headers[0].value.as_deref(), Some(&b"00"[..]));
        assert_eq!(read.headers[1].value, None);
        assert_eq!(serde_json::to_string(&read).unwrap(), line);
    }

    #[test]
    fn what_is_written_first_reads_as_a_correlation() {
        let record = Position {
            topic: "sms.outbound".into(),
            partition: 3,
            offset: 1042,
        };
        let entry = BorrowedEntry {
            esme: "acme",
            message_id: "7F",
            log_id: "a",
            extra_data: None,
            record: Cow::Borrowed(&record),
            part: None,
            attempt: 1,
            submitted_at: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
            source: None,
            destination: Some("+4179"),
            recipients: Some(3),
            numbers: vec![41_791_234_567, -5].into(),
            lists: true,
            reference: Some(7),
            headers: Vec::new(),
        };
        let line = serde_json::to_string(&entry).unwrap();
        let read: CorrelationEntry = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), line);
    }

    #[test]
    fn spellings_of_a_number_are_one_recipient_and_other_numbers_are_others() {
        let seen = |recipient| Seen {
            state: 2,
            digest: 0,
            recipient,
            report: None,
            ambiguous: false,
            session: None,
        };
        let same = |one, two| seen(one).same_recipient(&seen(two));
        let (whole, national) = (Some(41_791_234_567), Some(791_234_567));
        assert!(same(whole, whole) && same(whole, national) && same(national, whole));
        assert!(same(whole, None) && same(None, None), "contradicts nothing");
        assert!(!same(whole, Some(41_791_234_568)));
        assert!(!same(whole, Some(43_791_234_567)), "of another country");
        assert!(!same(whole, Some(91_234_568)));
        assert!(same(whole, Some(1_234_567)));
        for (short, may_be) in [(0, true), (4567, true), (234_567, true), (4568, false)] {
            assert_eq!(
                same(whole, Some(short)),
                may_be,
                "{short} may be cut from it"
            );
            assert!(same(Some(short), Some(short)));
        }
        assert!(same(Some(i64::MAX), Some(i64::MAX)));
    }

    #[test]
    fn a_number_is_compared_by_its_digits() {
        for (number, digits) in [
            ("+41791234567", Some(41_791_234_567)),
            ("0041 79 123-45-67", Some(41_791_234_567)),
            ("079/123.45.67", Some(791_234_567)),
            ("9123456789012345678901", Some(456_789_012_345_678_901)),
            ("000", Some(0)),
            ("", None),
            ("+", None),
            ("ACME", None),
            ("4179123XXXX", None),
            ("4179123****", None),
        ] {
            assert_eq!(comparable(number.as_bytes()), digits, "{number}");
        }
    }

    #[test]
    fn what_is_no_other_spelling_is_another_number() {
        use Likeness::{Open, Other, Same};
        for (one, two, likeness) in [
            ("+41791234567", "41791234567", Same),
            ("0041791234567", "+41 79 123 45 67", Same),
            ("0791234567", "41791234567", Same),
            ("01141791234567", "41791234567", Same),
            ("06301234567", "36301234567", Same),
            ("ACME", "acme ", Same),
            ("41791234567", "41791234568", Other),
            ("41791234567", "43791234567", Other),
            ("0791234568", "41791234567", Other),
            ("1000", "41791234567", Other),
            ("1001", "1002", Other),
            ("417912", "41791234567", Open),
            ("4179123456", "41791234567", Open),
            ("4567", "41791234567", Open),
            ("91234", "41791234567", Open),
            ("89161234567", "79161234567", Open),
            ("861234567", "37061234567", Open),
            ("89161234567", "79161234568", Other),
            ("5215512345678", "525512345678", Open),
            ("5511912345678", "551112345678", Open),
            ("4179123XXXX", "41791234567", Open),
            ("4179123XXXX", "4179124XXXX", Open),
            ("ACME", "41791234567", Open),
            ("", "41791234567", Open),
            ("0", "41791234567", Open),
        ] {
            let of = |text: &str| number(text.as_bytes());
            assert_eq!(compare(of(one), of(two)), likeness, "{one} {two}");
            assert_eq!(compare(of(two), of(one)), likeness, "{two} {one}");
        }
        assert!(is_short(Some(999_999)) && !is_short(Some(1_000_000)));
        assert!(!is_short(number(b"ACME")) && !is_short(None) && !is_short(Some(0)));
        let whole = i64::MAX / 10;
        assert_eq!(compare(Some(whole), Some(whole - 1)), Other);
    }

    #[test]
    fn two_masks_are_two_recipients() {
        let of = |text: &str| Seen {
            state: 2,
            digest: 0,
            recipient: number(text.as_bytes()),
            report: None,
            ambiguous: false,
            session: None,
        };
        assert!(of("4179111XXXX").same_recipient(&of("4179111xxxx")));
        assert!(!of("4179111XXXX").same_recipient(&of("4179222XXXX")));
        assert!(of("4179111XXXX").same_recipient(&of("41791111111")));
    }

    #[test]
    fn what_an_earlier_version_has_seen_says_the_same_by_its_state() {
        let earlier: Seen = serde_json::from_str(r#"{"state":2,"digest":7}"#).unwrap();
        let now = Seen {
            state: 2,
            digest: 8,
            recipient: Some(41),
            report: Some(9),
            ambiguous: false,
            session: None,
        };
        assert!(now.says_the_same(&earlier) && earlier.says_the_same(&now));
        let other = Seen { state: 5, ..now };
        assert!(!now.says_the_same(&other));
        let corrected = Seen {
            report: Some(10),
            ..now
        };
        assert!(!now.says_the_same(&corrected));
        assert!(now.is_final());
        let preliminary = Seen {
            state: 2 | Seen::PRELIMINARY,
            ..now
        };
        assert!(!preliminary.is_final());
    }

    #[test]
    fn a_field_of_a_later_version_is_skipped() {
        let line = r#"{"nonce":"n","writer":"w","since":5}"#;
        let read: Barrier = serde_json::from_str(line).unwrap();
        assert_eq!((&*read.nonce, &*read.transactional_id), ("n", "w"));
    }

    #[test]
    fn a_parked_receipt_reads_back() {
        let parked = Parked {
            delivery: Delivery {
                esme: "acme".into(),
                bind: "acme-0".into(),
                received_at: "2026-01-02T03:04:05Z".parse().unwrap(),
                pdu: vec![0, 0, 0, 16, 255],
                bound_at: None,
                home: None,
                tries: 0,
            },
            published_at: None,
            seen: None,
        };
        let line = serde_json::to_string(&parked).unwrap();
        assert!(line.contains(r#""pdu":"AAAAEP8=""#), "{line}");
        assert_eq!(serde_json::from_str::<Parked>(&line).unwrap(), parked);
    }
}
