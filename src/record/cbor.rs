//! Values of the internal topics in CBOR (RFC 8949): short, and quick to read.
//!
//! A value is one tag, which says what kind of record it is, around an array: the fields of the struct by
//! their numbers in [`internal`](super::internal), null where one is absent. A reader skips what stands
//! behind the numbers that it knows, and takes what is missing for absent. So a field may be added under
//! the next number, and no number is given to another field.
//!
//! The first octet, 0xC6 to 0xCA, begins no value in another format: JSON begins with `{`, an Avro single
//! object with C3 01, what has a number in a registry with 0.

use jiff::Timestamp;
use minicbor::data::Type;
use minicbor::decode::Error;
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::internal::{Barrier, CorrelationEntry, Delivery, Parked, Seen, SegmentEntry};
use super::json::Invalid;
use super::kind::Kind;

/// The kinds with their tags, by which values are known: they stay the same for ever.
const TAGS: [(Kind, u8); 5] = [
    (Kind::Correlation, 6),
    (Kind::Parked, 7),
    (Kind::Piece, 8),
    (Kind::Owner, 9),
    (Kind::Delivery, 10),
];

/// A tag below 24 is one octet: this and its number.
const TAG: u8 = 0xC0;

/// The tag of an entry.
const ENTRY: u8 = TAG | 6;

/// Numbers of an entry's fields. Behind the last of these, which says which receipts were published, stands
/// when the last one was.
const NUMBERS: u8 = 11;
const LISTS: u8 = 12;
const HEADERS: u8 = 14;
const SEEN: u8 = 15;

/// The head of an array of at most 23 values is one octet.
const ARRAY: u8 = 0x80;
const ARRAY_LAST: u8 = 0x97;

/// A record of an internal topic.
pub trait Internal: DeserializeOwned + for<'b> Decode<'b, ()> {}

impl<T: DeserializeOwned + for<'b> Decode<'b, ()>> Internal for T {}

/// What kind a value in CBOR is, and what stands behind its tag; `None` if it is none of ours.
pub fn value(octets: &[u8]) -> Option<(Kind, &[u8])> {
    let (first, fields) = octets.split_first()?;
    let (kind, _) = TAGS.iter().find(|(_, tag)| TAG | tag == *first)?;
    Some((*kind, fields))
}

/// Appends a record of a kind; `false` if the kind is none of the internal topics'.
pub(super) fn write<T: Encode<()>>(kind: Kind, record: &T, to: &mut Vec<u8>) -> bool {
    let Some((_, tag)) = TAGS.iter().find(|(one, _)| *one == kind) else {
        return false;
    };
    to.push(TAG | tag);
    // A vector takes what it is given.
    Encoder::new(to).encode(record).is_ok()
}

/// With what the fields of an entry begin: what its key says too. `None` if that is no key of ours.
pub fn entry_begins(
    (esme, message_id): (&str, &str),
    (topic, partition, offset): (&str, i32, i64),
    part: Option<u16>,
    to: &mut Vec<u8>,
) -> Option<()> {
    let mut to = Encoder::new(to);
    to.str(esme).ok()?.str(message_id).ok()?;
    to.array(3).ok()?.str(topic).ok()?;
    to.i32(partition).ok()?.i64(offset).ok()?;
    to.encode(part).ok().map(|_| ())
}

/// An entry's octets in three parts: the tag and the head of the array, what [`entry_begins`] says, and the
/// rest. `None` if it does not begin so.
pub fn split_entry<'a>(octets: &'a [u8], begins: &[u8]) -> Option<(u8, &'a [u8])> {
    let (first, fields) = octets.split_first()?;
    let (head, fields) = fields.split_first()?;
    let of_entry = *first == ENTRY && (ARRAY..=ARRAY_LAST).contains(head);
    of_entry
        .then(|| fields.strip_prefix(begins))
        .flatten()
        .map(|rest| (*head, rest))
}

/// The octets of an entry put together again.
pub fn join_entry(head: u8, begins: &[u8], rest: &[u8]) -> Vec<u8> {
    [&[ENTRY, head], begins, rest].concat()
}

/// An entry's octets with what was published of it behind them; `None` if they say something of that already,
/// or are no entry as it is first written.
pub fn entry_with(octets: &[u8], seen: &[Seen], final_at: Option<Timestamp>) -> Option<Vec<u8>> {
    let (_, rest) = split_entry(octets, &[])?;
    let head = *octets.get(1)?;
    let fields = head - ARRAY;
    if fields > SEEN {
        return None;
    }
    let mut all = Vec::with_capacity(octets.len() + usize::from(SEEN) + 48 * seen.len());
    all.extend([ENTRY, ARRAY + SEEN + if final_at.is_some() { 2 } else { 1 }]);
    all.extend(rest);
    let mut to = Encoder::new(all);
    for field in fields..SEEN {
        // As they are written where others follow.
        match field {
            NUMBERS | HEADERS => to.array(0).ok()?,
            LISTS => to.bool(false).ok()?,
            _ => to.null().ok()?,
        };
    }
    to.encode(seen).ok()?;
    if let Some(at) = final_at {
        instant::encode(&at, &mut to, &mut ()).ok()?;
    }
    Some(to.into_writer())
}

/// Whether an entry says that receipts of it were published, which stands behind all else; `None` if that is
/// not told without reading the rest.
pub fn has_receipts(entry: &[u8]) -> Option<bool> {
    let (head, rest) = split_entry(entry, &[])?;
    let fields = head - ARRAY;
    if fields <= SEEN {
        return Some(false);
    }
    let mut from = Decoder::new(behind(rest, SEEN)?);
    if from.array().ok()?? > 0 {
        return Some(true);
    }
    // Of no receipts nothing lies between them.
    Some(fields > SEEN + 1 && from.datatype().ok()? != Type::Null)
}

/// What stands behind so many values, of which only the heads are looked at (RFC 8949, 3): the decoder's own
/// way looks at every character of a text. `None` if one has no length, or does not end.
fn behind(mut octets: &[u8], values: u8) -> Option<&[u8]> {
    let mut left = u64::from(values);
    while let Some(after) = left.checked_sub(1) {
        let (head, rest) = octets.split_first()?;
        let (number, rest) = match head & 0x1F {
            short @ 0..24 => (u64::from(short), rest),
            long @ 24..28 => {
                let (number, rest) = rest.split_at_checked(1 << (long - 24))?;
                let add = |sum: u64, octet: &u8| sum << 8 | u64::from(*octet);
                (number.iter().fold(0, add), rest)
            }
            _ => return None,
        };
        // By its major type, how many octets and how many values belong to it.
        let (octets_of_it, values_of_it) = match head >> 5 {
            2 | 3 => (number, 0),
            4 => (0, number),
            5 => (0, number.checked_mul(2)?),
            6 => (0, 1),
            _ => (0, 0),
        };
        octets = rest.get(usize::try_from(octets_of_it).ok()?..)?;
        left = after.checked_add(values_of_it)?;
    }
    Some(octets)
}

/// Reads a record from the octets behind its tag.
///
/// # Errors
///
/// When they are no such record, or more than one.
pub fn read<'b, T: Decode<'b, ()>>(kind: Kind, fields: &'b [u8]) -> Result<T, Invalid> {
    let wrong = |error: Error| Invalid::because(format!("not a {} in CBOR: {error}", kind.name()));
    let mut from = Decoder::new(fields);
    let record = from.decode().map_err(wrong)?;
    if from.position() == fields.len() {
        Ok(record)
    } else {
        Err(wrong(Error::message("something stands behind it")))
    }
}

/// A value as JSON for people.
///
/// # Errors
///
/// When it is no such record.
pub fn shown(kind: Kind, fields: &[u8]) -> Result<Value, Invalid> {
    let shown = match kind {
        Kind::Correlation => serde_json::to_value(read::<CorrelationEntry>(kind, fields)?),
        Kind::Parked => serde_json::to_value(read::<Parked>(kind, fields)?),
        Kind::Piece => serde_json::to_value(read::<SegmentEntry>(kind, fields)?),
        Kind::Owner => serde_json::to_value(read::<Barrier>(kind, fields)?),
        _ => serde_json::to_value(read::<Delivery>(kind, fields)?),
    };
    shown.map_err(|error| Invalid::because(error.to_string()))
}

/// A correlation entry without what can be large, `extra_data` and `headers`; `None` if it has neither,
/// or is another kind of record.
pub(super) fn reduced(kind: Kind, fields: &[u8]) -> Option<Vec<u8>> {
    let mut entry: CorrelationEntry = (kind == Kind::Correlation)
        .then(|| read(kind, fields).ok())
        .flatten()?;
    if entry.extra_data.is_none() && entry.headers.is_empty() {
        return None;
    }
    entry.extra_data = None;
    entry.headers.clear();
    let mut octets = Vec::new();
    write(kind, &entry, &mut octets).then_some(octets)
}

/// A moment: microseconds since 1970, UTC.
pub(super) mod instant {
    use jiff::Timestamp;
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};

    pub fn encode<C, W: Write>(
        at: &Timestamp,
        to: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        to.i64(at.as_microsecond())?.ok()
    }

    pub fn decode<C>(from: &mut Decoder<'_>, _: &mut C) -> Result<Timestamp, Error> {
        let micros = from.i64()?;
        Timestamp::from_microsecond(micros)
            .map_err(|_| Error::message("a time beyond the year 9999"))
    }
}

/// A moment that may be absent.
pub(super) mod instant_option {
    use jiff::Timestamp;
    use minicbor::data::Type;
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};

    pub fn encode<C, W: Write>(
        at: &Option<Timestamp>,
        to: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match at {
            Some(at) => super::instant::encode(at, to, context),
            None => to.null()?.ok(),
        }
    }

    pub fn decode<C>(from: &mut Decoder<'_>, context: &mut C) -> Result<Option<Timestamp>, Error> {
        if from.datatype()? == Type::Null {
            return from.null().map(|()| None);
        }
        super::instant::decode(from, context).map(Some)
    }
}

/// JSON, as its text, that may be absent.
pub(super) mod raw_option {
    use std::borrow::Borrow;

    use minicbor::data::Type;
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};
    use serde_json::value::RawValue;

    pub fn encode<C, W: Write, T: Borrow<RawValue>>(
        data: &Option<T>,
        to: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match data {
            Some(data) => to.str(data.borrow().get())?.ok(),
            None => to.null()?.ok(),
        }
    }

    pub fn decode<C>(from: &mut Decoder<'_>, _: &mut C) -> Result<Option<Box<RawValue>>, Error> {
        if from.datatype()? == Type::Null {
            return from.null().map(|()| None);
        }
        let text = from.str()?.to_owned();
        let data = RawValue::from_string(text);
        data.map(Some).map_err(|_| no_json())
    }

    /// As [`decode`], without a copy.
    pub fn borrowed<'b, C>(
        from: &mut Decoder<'b>,
        _: &mut C,
    ) -> Result<Option<&'b RawValue>, Error> {
        if from.datatype()? == Type::Null {
            return from.null().map(|()| None);
        }
        let data = serde_json::from_str(from.str()?);
        data.map(Some).map_err(|_| no_json())
    }

    fn no_json() -> Error {
        Error::message("extra_data is no JSON")
    }
}

/// Octets that may be absent.
pub(super) mod octets_option {
    use minicbor::data::Type;
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};

    pub fn encode<C, W: Write>(
        octets: &Option<Vec<u8>>,
        to: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match octets {
            Some(octets) => to.bytes(octets)?.ok(),
            None => to.null()?.ok(),
        }
    }

    pub fn decode<C>(from: &mut Decoder<'_>, _: &mut C) -> Result<Option<Vec<u8>>, Error> {
        if from.datatype()? == Type::Null {
            return from.null().map(|()| None);
        }
        from.bytes().map(|octets| Some(octets.to_vec()))
    }
}

#[cfg(test)]
mod tests;
