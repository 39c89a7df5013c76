//! Whatever comes in whatever order: each text once, and nothing mixed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::correlate::delivery_of;

const TTL: Millis = 600_000;

/// A long message: who sends it, and how many segments it has.
#[derive(Clone, Debug)]
struct Message {
    identity: String,
    segments: Vec<String>,
}

/// What is in the log after every effect.
#[derive(Default)]
struct Log {
    records: BTreeMap<String, Value>,
    /// What was published: texts, whether segments are missing, whether it was flagged.
    told: Vec<(Vec<String>, bool, bool)>,
}

impl Log {
    fn write(&mut self, effects: Vec<Effect>, segments: &HashMap<Vec<u8>, Segment>) {
        for effect in effects {
            match effect {
                Effect::Publish {
                    segments,
                    incomplete,
                    again,
                } => {
                    let text = |d: &Arc<Delivery>| String::from_utf8(d.pdu.clone()).unwrap();
                    let texts = segments.iter().map(text).collect();
                    self.told.push((texts, incomplete, again));
                }
                Effect::Wait { key, delivery } => {
                    let segment = segments[&delivery.pdu];
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
    fn restored(&self, now: Millis) -> Assembly {
        let mut assembly = Assembly::new(limits());
        for (key, value) in &self.records {
            let key = Key::parse(key.as_bytes()).unwrap();
            assembly.record(&key, value.clone(), now);
        }
        assembly.live(now);
        assembly
    }
}

fn limits() -> AssemblyLimits {
    AssemblyLimits {
        ttl: TTL,
        octets: 1 << 20,
    }
}

/// Messages of a few senders, each under a reference of its own.
fn messages() -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec(2u8..6, 1..5).prop_map(|totals| {
        let one = |(n, total): (usize, u8)| Message {
            identity: format!("@part/acme/{}/1000/{n}.8.{total}", n % 2),
            segments: (1..=total).map(|part| format!("{n}:{part}")).collect(),
        };
        totals.into_iter().enumerate().map(one).collect()
    })
}

/// Those messages' segments, each once or more, in any order; which are followed by a restart.
fn arrivals() -> impl Strategy<Value = (Vec<Message>, Vec<(usize, usize, bool)>)> {
    messages().prop_flat_map(|messages| {
        let each: Vec<(usize, usize)> = messages
            .iter()
            .enumerate()
            .flat_map(|(m, message)| (0..message.segments.len()).map(move |p| (m, p)))
            .collect();
        let repeats = prop::collection::vec(prop::sample::select(each.clone()), 0..10);
        let all = repeats.prop_flat_map(move |repeats| {
            let all = [each.clone(), repeats].concat();
            let restarts = prop::collection::vec(prop::bool::weighted(0.2), all.len());
            (Just(all).prop_shuffle(), restarts)
        });
        let all = all.prop_map(|(all, restarts)| {
            let with = |((m, p), restart): ((usize, usize), bool)| (m, p, restart);
            all.into_iter().zip(restarts).map(with).collect()
        });
        (Just(messages), all)
    })
}

fn segment(message: &Message, part: usize, received_at: Millis) -> (Arc<Delivery>, Segment) {
    let text = &message.segments[part];
    let segment = Segment {
        digest: SegmentDigest {
            part: part as u8 + 1,
            digest: crc32fast::hash(text.as_bytes()),
        },
        total: message.segments.len() as u8,
        octets: text.len(),
        received_at,
    };
    (delivery_of(text.as_bytes()), segment)
}

proptest! {
    #[test]
    fn every_text_is_published_whole_and_once_unless_all_of_it_came_again(
        (messages, arrivals) in arrivals()
    ) {
        let (mut log, mut segments) = (Log::default(), HashMap::new());
        let mut assembly = log.restored(0);
        let mut now = 0;
        for (offset, (m, p, restart)) in arrivals.iter().enumerate() {
            now += 7;
            let (delivery, segment) = segment(&messages[*m], *p, now);
            segments.insert(delivery.pdu.clone(), segment);
            let mut out = Vec::new();
            assembly.delivery(&messages[*m].identity, offset as i64, delivery, segment, now, &mut out);
            assembly.check();
            log.write(out, &segments);
            if *restart {
                let size = assembly.size();
                assembly = log.restored(now);
                prop_assert_eq!(assembly.size(), size);
            }
        }
        now += 2 * TTL;
        for _ in 0..3 {
            let mut out = Vec::new();
            prop_assert!(!assembly.tick(now, 10_000, &mut out));
            log.write(out, &segments);
            now += 2 * TTL;
        }
        for message in &messages {
            let of = |(texts, ..): &&(Vec<String>, bool, bool)| texts[0].split(':').next() == message.segments[0].split(':').next();
            let told: Vec<_> = log.told.iter().filter(of).collect();
            prop_assert!(told.iter().all(|(texts, incomplete, _)| texts == &message.segments && !incomplete));
            let unflagged = told.iter().filter(|(.., again)| !again).count();
            prop_assert_eq!(unflagged, 1, "{:?}", told);
            let least = (0..message.segments.len())
                .map(|part| arrivals.iter().filter(|(m, p, _)| messages[*m].segments[0] == message.segments[0] && *p == part).count())
                .min();
            prop_assert!(Some(told.len()) <= least);
        }
        prop_assert!(log.records.is_empty(), "{:?}", log.records);
        assembly.check_empty();
    }

    #[test]
    fn one_after_another_under_one_reference_they_do_not_mix(
        messages in prop::collection::vec((Just([0usize, 1, 2]).prop_shuffle(), prop::collection::vec((0usize..3, 0usize..3), 0..3)), 1..6)
    ) {
        let (mut log, mut segments) = (Log::default(), HashMap::new());
        let mut assembly = log.restored(0);
        let (mut now, mut offset) = (0, 0);
        let mut arrive = |log: &mut Log, message: &Message, part: usize| {
            (now, offset) = (now + 7, offset + 1);
            let (delivery, segment) = segment(message, part, now);
            segments.insert(delivery.pdu.clone(), segment);
            let mut out = Vec::new();
            assembly.delivery(&message.identity, offset, delivery, segment, now, &mut out);
            log.write(out, &segments);
        };
        let mut before = None;
        for (n, (order, repeats)) in messages.iter().enumerate() {
            let message = numbered(n);
            for (i, part) in order.iter().enumerate() {
                // Repeats of the message before, among the segments of this one.
                for (_, repeated) in repeats.iter().filter(|(at, _)| *at == i) {
                    if let Some(before) = &before {
                        arrive(&mut log, before, *repeated);
                    }
                }
                arrive(&mut log, &message, *part);
            }
            before = Some(message);
        }
        let told: Vec<_> = log.told.iter().map(|(texts, ..)| texts.clone()).collect();
        let sent: Vec<_> = (0..messages.len()).map(|n| numbered(n).segments).collect();
        prop_assert_eq!(told, sent);
    }

    #[test]
    fn whatever_comes_is_published(
        order in prop::collection::vec((0usize..3, 0usize..3, 0..TTL / 10), 1..40)
    ) {
        let (mut log, mut segments) = (Log::default(), HashMap::new());
        let mut assembly = log.restored(0);
        let (mut now, mut sent) = (0, BTreeSet::new());
        for (offset, (n, part, pause)) in order.iter().enumerate() {
            now += pause;
            let message = numbered(*n);
            let (delivery, segment) = segment(&message, *part, now);
            sent.insert(message.segments[*part].clone());
            segments.insert(delivery.pdu.clone(), segment);
            let mut out = Vec::new();
            assembly.tick(now, 10_000, &mut out);
            assembly.delivery(&message.identity, offset as i64, delivery, segment, now, &mut out);
            log.write(out, &segments);
        }
        let mut out = Vec::new();
        assembly.tick(now + 5 * TTL, 10_000, &mut out);
        assembly.tick(now + 10 * TTL, 10_000, &mut out);
        assembly.check_empty();
        log.write(out, &segments);
        let told: BTreeSet<String> = log.told.iter().flat_map(|(texts, ..)| texts.clone()).collect();
        prop_assert_eq!(told, sent);
        for (texts, incomplete, _) in &log.told {
            prop_assert_eq!(*incomplete, texts.len() < 3);
        }
    }
}

/// Message `n` of one sender who always uses the same reference.
fn numbered(n: usize) -> Message {
    Message {
        identity: "@part/acme/4179/1000/7.8.3".into(),
        segments: (1..=3).map(|part| format!("{n}:{part}")).collect(),
    }
}
