//! Keys of the internal topics, and the partition an identity belongs to.
//!
//! | topic | key | what |
//! |---|---|---|
//! | `sms.correlation` | `esme/message_id/topic:partition:offset[.part]` | the entry of a submitted message, or of a segment of it |
//! | `sms.correlation` | `esme/message_id/@offset` | a receipt without its message, parked; the offset is the delivery's |
//! | `sms.correlation` | `@part/esme/source/destination/reference/@offset` | a segment of a message from a phone that waits for the others, or what was published of them |
//! | `sms.correlation` | `@owner/partition` | the barrier, written by whoever takes a partition over |
//! | `sms.correlation` | `@owner/-1` | nothing: a tombstone with which `check --connect` tries the brokers |
//! | `sms.deliveries` | `esme/message_id` | a receipt as it came |
//! | `sms.deliveries` | `@part/esme/source/destination/reference` | a segment of a message from a phone as it came |
//!
//! No ESME's name begins with an at sign. The message id may hold any character, a slash
//! included; what follows the last slash never does, because Kafka allows none in a topic's
//! name. So a key reads back one way only.

use std::fmt::{self, Write as _};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use smpp_protocol::udh::Concatenation;

/// Where a record stands: of which topic, partition and offset it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
pub struct Position {
    /// The topic.
    #[cbor(n(0))]
    pub topic: String,
    /// The partition.
    #[cbor(n(1))]
    pub partition: i32,
    /// The offset.
    #[cbor(n(2))]
    pub offset: i64,
}

impl Position {
    /// What [`Display`](fmt::Display) writes, `topic:partition:offset`; a topic has no colon.
    pub fn parse(text: &str) -> Option<Position> {
        let mut parts = text.split(':');
        let position = Position {
            topic: parts.next()?.to_owned(),
            partition: parts.next()?.parse().ok()?,
            offset: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.topic, self.partition, self.offset)
    }
}

/// A message as its SMSC knows it: the identity that messages and receipts are joined on.
/// `message_id` is normalised.
pub fn identity(esme: &str, message_id: &str) -> String {
    [esme, "/", message_id].concat()
}

/// The ESME and the message id of an [`identity`]; no ESME's name has a slash.
pub fn esme_and_id(identity: &str) -> (&str, &str) {
    identity.split_once('/').unwrap_or((identity, ""))
}

/// More octets than numbers and signs in an entry's key have: a partition, an offset, a part.
const ROOM: usize = 40;

/// The key of the entry of a submitted message, or of segment `part` of it.
pub fn entry(esme: &str, message_id: &str, source: &Position, part: Option<u16>) -> String {
    let room = esme.len() + message_id.len() + source.topic.len() + ROOM;
    let mut key = String::with_capacity(room);
    for text in [esme, "/", message_id, "/"] {
        key.push_str(text);
    }
    push_submission(
        (&source.topic, source.partition, source.offset),
        part,
        &mut key,
    );
    key
}

/// What the key of an entry has behind its identity.
pub fn submission(source: (&str, i32, i64), part: Option<u16>) -> String {
    let mut text = String::with_capacity(source.0.len() + ROOM);
    push_submission(source, part, &mut text);
    text
}

fn push_submission(
    (topic, partition, offset): (&str, i32, i64),
    part: Option<u16>,
    to: &mut String,
) {
    // Writing to a string does not fail.
    let _ = write!(to, "{topic}:{partition}:{offset}");
    if let Some(part) = part {
        let _ = write!(to, ".{part}");
    }
}

/// Whether the rest of an entry's key, behind its identity, is that of a whole message or of its first
/// segment.
pub fn is_first_part(submission: &str) -> bool {
    let offset = submission.rsplit_once(':').map_or("", |(_, offset)| offset);
    match offset.split_once('.') {
        Some((_, part)) => part == "1",
        None => true,
    }
}

/// The key under which the receipt at `offset` of the deliveries waits for its message.
pub fn parked(identity: &str, offset: i64) -> String {
    format!("{identity}/@{offset}")
}

/// A message from a phone that comes in segments, as far as SMPP can tell it from others: what
/// all its segments have in common. Addresses are escaped where they are not ASCII.
pub fn segments(esme: &str, source: &[u8], destination: &[u8], message: Concatenation) -> String {
    let width = if message.wide { 16 } else { 8 };
    format!(
        "{SEGMENT}{esme}/{}/{}/{}.{width}.{}",
        source.escape_ascii(),
        destination.escape_ascii(),
        message.reference,
        message.total
    )
}

/// Whether an identity is one of [`segments`].
pub fn is_segments(identity: &str) -> bool {
    identity.starts_with(SEGMENT)
}

/// The key under which the segment at `offset` of the deliveries waits for the others.
pub fn segment(identity: &str, offset: i64) -> String {
    parked(identity, offset)
}

/// The key of the barrier that whoever takes over `partition` writes.
pub fn barrier(partition: i32) -> String {
    format!("{BARRIER}/{partition}")
}

/// The key of what `check --connect` writes: the barrier of a partition that cannot be there, over
/// which every version reads.
pub fn check() -> String {
    barrier(-1)
}

/// The partition of `sms.correlation` and `sms.deliveries` to which `identity` belongs:
/// CRC-32 (as in zlib) modulo `partitions`, like librdkafka's `consistent` partitioner.
/// It must stay the same for ever: messages are found by it days later.
pub fn partition(identity: &[u8], partitions: i32) -> i32 {
    let partitions = u32::try_from(partitions).unwrap_or(1).max(1);
    // A remainder of an i32 fits an i32.
    (crc32fast::hash(identity) % partitions) as i32
}

const BARRIER: &str = "@owner";
const SEGMENT: &str = "@part/";

/// What a key of `sms.correlation` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// What is remembered of a submitted message, or of a segment of it.
    Entry {
        /// The identity it is joined on, `esme/message_id`.
        identity: &'a str,
        /// The rest of the key: which submission under that identity it is, by its record and part.
        submission: &'a str,
    },
    /// A parked receipt.
    Parked {
        /// The identity it is joined on, `esme/message_id`.
        identity: &'a str,
        /// Its offset in the deliveries.
        offset: i64,
    },
    /// A segment of a message from a phone, or what was published of one.
    Segment {
        /// What its segments have in common; see [`segments`].
        identity: &'a str,
        /// The segment's offset in the deliveries.
        offset: i64,
    },
    /// The barrier of a takeover.
    Barrier {
        /// The partition taken over.
        partition: i32,
    },
}

impl<'a> Key<'a> {
    /// Reads a key back; `None` if it is none of ours.
    pub fn parse(key: &'a [u8]) -> Option<Key<'a>> {
        let (identity, rest) = std::str::from_utf8(key).ok()?.rsplit_once('/')?;
        if identity == BARRIER {
            let partition = rest.parse().ok()?;
            return Some(Key::Barrier { partition });
        }
        if !identity.contains('/') {
            return None;
        }
        match rest.strip_prefix('@') {
            Some(offset) => {
                let offset = offset.parse().ok()?;
                Some(if is_segments(identity) {
                    Key::Segment { identity, offset }
                } else {
                    Key::Parked { identity, offset }
                })
            }
            None if rest.contains(':') => Some(Key::Entry {
                identity,
                submission: rest,
            }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source() -> Position {
        Position {
            topic: "sms.outbound".into(),
            partition: 3,
            offset: 1042,
        }
    }

    #[test]
    fn the_first_segment_stands_for_its_message() {
        let source = Position {
            topic: "a.b-7.2".into(),
            partition: 0,
            offset: 42,
        };
        for (part, first) in [
            (None, true),
            (Some(1), true),
            (Some(2), false),
            (Some(11), false),
        ] {
            let key = entry("acme", "7", &source, part);
            let Some(Key::Entry { submission, .. }) = Key::parse(key.as_bytes()) else {
                panic!("{key}")
            };
            assert_eq!(is_first_part(submission), first, "{key}");
        }
    }

    #[test]
    fn a_position_that_is_none_is_not_believed() {
        for text in ["", "a", "a:b:c", "a:1", "a:1:2:3"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    #[test]
    fn keys_look_as_documented() {
        assert_eq!(
            entry("acme", "7F", &source(), None),
            "acme/7F/sms.outbound:3:1042"
        );
        assert_eq!(
            entry("acme", "7F", &source(), Some(2)),
            "acme/7F/sms.outbound:3:1042.2"
        );
        assert_eq!(parked(&identity("acme", "7F"), 9), "acme/7F/@9");
        assert_eq!(barrier(4), "@owner/4");
        assert_eq!(check(), "@owner/-1");
        let read = Key::Barrier { partition: -1 };
        assert_eq!(Key::parse(check().as_bytes()), Some(read));
    }

    #[test]
    fn a_part_reads_back() {
        let message = Concatenation {
            reference: 42,
            wide: false,
            total: 3,
            part: 2,
        };
        let identity = segments("acme", b"4179", b"A/\xFF", message);
        assert_eq!(identity, "@part/acme/4179/A/\\xff/42.8.3");
        assert!(is_segments(&identity) && !is_segments("acme/@part/"));
        assert_eq!(
            Key::parse(segment(&identity, 7).as_bytes()),
            Some(Key::Segment {
                identity: &identity,
                offset: 7
            })
        );
    }

    #[test]
    fn the_partition_never_changes() {
        // Fixed for ever: a change would lose every receipt under way.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        assert_eq!(partition(b"123456789", 10), 2);
        assert_eq!(partition(b"anything", 1), 0);
        assert_eq!(partition(b"anything", 0), 0);
    }

    #[test]
    fn a_barrier_reads_back() {
        let key = barrier(7);
        assert_eq!(
            Key::parse(key.as_bytes()),
            Some(Key::Barrier { partition: 7 })
        );
    }

    #[test]
    fn foreign_keys_are_not_read() {
        for key in [
            "",
            "acme",
            "acme/7F",
            "acme/7F/",
            "acme/7F/@x",
            "@owner/x",
            "a/b/c",
        ] {
            assert_eq!(Key::parse(key.as_bytes()), None, "{key}");
        }
        assert_eq!(Key::parse(b"\xff/\xff/t:0:1"), None);
    }

    proptest! {
        #[test]
        fn any_message_id_reads_back(esme in "[a-z0-9-]{1,8}", id in any::<String>(), offset in 0..i64::MAX, part in any::<Option<u16>>()) {
            let whole = identity(&esme, &id);
            let key = entry(&esme, &id, &source(), part);
            let submission = key[whole.len() + 1..].to_owned();
            prop_assert_eq!(
                Key::parse(key.as_bytes()),
                Some(Key::Entry { identity: &whole, submission: &submission })
            );
            let key = parked(&whole, offset);
            prop_assert_eq!(
                Key::parse(key.as_bytes()),
                Some(Key::Parked { identity: &whole, offset })
            );
        }

        #[test]
        fn a_partition_always_exists(key in any::<Vec<u8>>(), n in 1..2000i32) {
            prop_assert!((0..n).contains(&partition(&key, n)));
        }
    }
}
