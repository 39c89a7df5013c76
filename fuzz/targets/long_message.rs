//! User data headers, and the messages that segments with such headers become: whatever comes is
//! published, in segments that were there, and nothing stays behind.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kafka_smpp::correlate::assembly::{Assembly, AssemblyLimits, Effect, Segment, Value};
use kafka_smpp::record::internal::{Delivery, SegmentDigest};
use kafka_smpp::record::keys::{self, Key};
use libfuzzer_sys::fuzz_target;
use smpp_protocol::{Concatenation, Udh, udh};

const LIMITS: AssemblyLimits = AssemblyLimits {
    ttl: 100_000,
    octets: 4096,
};

fuzz_target!(|stream: &[u8]| {
    let mut log = Log::default();
    let mut assembly = log.restored(0);
    let (mut now, mut rest) = (0, stream);
    // Each segment: its length, the time since the one before (255: a restart), and its user data.
    for offset in 0.. {
        let [length, pause, after @ ..] = rest else {
            break;
        };
        let (user_data, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        now += i64::from(*pause) * 500;
        if *pause == 255 {
            assembly = log.restored(now);
        }
        let mut out = Vec::new();
        assembly.tick(now, 1000, &mut out);
        if let Some(message) = header(user_data) {
            let identity = keys::segments("acme", b"4179", b"1000", message);
            let delivery = Arc::new(Delivery {
                esme: String::new(),
                bind: String::new(),
                received_at: Timestamp::UNIX_EPOCH,
                pdu: user_data.to_vec(),
                bound_at: None,
                home: None,
                tries: 0,
            });
            let digest = crc32fast::hash(user_data);
            let digest = SegmentDigest {
                part: message.part,
                digest,
            };
            let octets = user_data.len();
            let segment = Segment {
                digest,
                total: message.total,
                octets,
                received_at: now,
            };
            log.segments.insert(user_data.to_vec(), segment);
            assembly.delivery(&identity, offset, delivery, segment, now, &mut out);
        }
        log.write(out);
    }
    for _ in 0..3 {
        now += 10 * LIMITS.ttl;
        let mut out = Vec::new();
        assert!(!assembly.tick(now, usize::MAX, &mut out));
        log.write(out);
    }
    let sent: BTreeSet<Vec<u8>> = log.segments.into_keys().collect();
    assert_eq!(log.told, sent, "all of it is told");
    assert!(log.records.is_empty(), "{:?}", log.records);
    assert_eq!((assembly.size().segments, assembly.size().octets), (0, 0));
});

/// The header of a segment, read and written again.
fn header(user_data: &[u8]) -> Option<Concatenation> {
    let (header, text) = Udh::split(user_data)?;
    let elements: usize = header
        .elements()
        .map(|element| 2 + element.data.len())
        .sum();
    assert!(elements <= header.octets().len());
    assert_eq!(1 + header.octets().len() + text.len(), user_data.len());
    let message = header.concatenation()?;
    assert!((1..=message.total).contains(&message.part));
    let (mut element, mut written) = (Vec::new(), Vec::new());
    message.push_element(&mut element);
    udh::push(&element, &mut written).expect("a short header");
    let read = Udh::split(&written).and_then(|(udh, _)| udh.concatenation());
    assert_eq!(read, Some(message));
    Some(message).filter(|message| message.total > 1)
}

/// What is in the topics.
#[derive(Default)]
struct Log {
    segments: BTreeMap<Vec<u8>, Segment>,
    records: BTreeMap<String, Value>,
    told: BTreeSet<Vec<u8>>,
}

impl Log {
    fn write(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish {
                    segments,
                    incomplete,
                    ..
                } => {
                    let total = segments
                        .first()
                        .map(|delivery| self.segments[&delivery.pdu].total);
                    assert_eq!(incomplete, total.map(usize::from) != Some(segments.len()));
                    assert!(
                        segments
                            .is_sorted_by_key(|delivery| self.segments[&delivery.pdu].digest.part)
                    );
                    self.told
                        .extend(segments.iter().map(|delivery| delivery.pdu.clone()));
                }
                Effect::Wait { key, delivery } => {
                    let segment = self.segments[&delivery.pdu];
                    self.records
                        .insert(key, Value::Waiting { delivery, segment });
                }
                Effect::Remember { key, at, segments } => {
                    self.records.insert(key, Value::Published { at, segments });
                }
                Effect::Forget { key } => {
                    self.records.remove(&key);
                }
            }
        }
    }

    /// What a successor makes of it.
    fn restored(&self, now: i64) -> Assembly {
        let mut assembly = Assembly::new(LIMITS);
        for (key, value) in &self.records {
            let key = Key::parse(key.as_bytes()).expect("a key of ours");
            assembly.record(&key, value.clone(), now);
        }
        assembly.live(now);
        assembly
    }
}
