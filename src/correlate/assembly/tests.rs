//! What becomes of segments, as transcripts.

use super::*;
use crate::correlate::delivery_of;

const TTL: Millis = 600_000;
const ID: &str = "@part/acme/4179/1000/42.8.3";

impl Assembly {
    /// Its timers and its size are those of its groups.
    pub(super) fn check(&self) {
        let (mut size, mut timers) = (Size::default(), vec![]);
        for (name, group) in &self.groups {
            assert!(!group.is_empty(), "{name} is empty");
            let of = group.size(name.len());
            size.segments += of.segments;
            size.octets += of.octets;
            timers.push((group.deadline(&self.limits), name.clone()));
        }
        timers.sort_unstable();
        assert_eq!(self.size, size);
        assert!(!self.live || self.timers.iter().eq(&timers), "timers");
    }

    /// Nothing is left of anything.
    pub(super) fn check_empty(&self) {
        self.check();
        let left = (self.groups.len(), self.timers.len());
        assert_eq!((left, self.size), ((0, 0), Size::default()));
    }
}

struct Rig {
    assembly: Assembly,
    offset: i64,
    now: Millis,
}

/// What was published: texts in the order of their segments, with `?` for what is missing.
#[derive(Debug, PartialEq, Eq)]
struct Told(String, bool);

fn told(text: &str) -> Vec<Told> {
    vec![Told(text.into(), false)]
}

impl Rig {
    fn new() -> Rig {
        Rig::with(1 << 20)
    }

    fn with(octets: usize) -> Rig {
        let mut assembly = Assembly::new(AssemblyLimits { ttl: TTL, octets });
        assembly.live(0);
        Rig {
            assembly,
            offset: 0,
            now: 0,
        }
    }

    fn part(&mut self, part: u8, text: &str) -> (SegmentState, Vec<Told>) {
        self.part_of(ID, part, text)
    }

    fn part_of(&mut self, identity: &str, part: u8, text: &str) -> (SegmentState, Vec<Told>) {
        self.offset += 1;
        self.now += 1;
        let segment = Segment {
            digest: SegmentDigest {
                part,
                digest: crc32fast::hash(text.as_bytes()),
            },
            total: 3,
            octets: text.len(),
            received_at: self.now,
        };
        let mut out = Vec::new();
        let delivery = delivery_of(text);
        let fate =
            self.assembly
                .delivery(identity, self.offset, delivery, segment, self.now, &mut out);
        self.assembly.check();
        (fate, published(&out))
    }

    fn pass(&mut self, time: Millis) -> Vec<Told> {
        self.now += time;
        let mut out = Vec::new();
        assert!(!self.assembly.tick(self.now, 1000, &mut out));
        self.assembly.check();
        published(&out)
    }
}

fn published(effects: &[Effect]) -> Vec<Told> {
    let published = effects.iter().filter_map(|effect| match effect {
        Effect::Publish {
            segments,
            incomplete,
            again,
        } => {
            let mut text = segments
                .iter()
                .map(|d| String::from_utf8_lossy(&d.pdu))
                .collect::<String>();
            if *incomplete {
                text.push('?');
            }
            Some(Told(text, *again))
        }
        _ => None,
    });
    published.collect()
}

#[test]
fn a_message_is_published_with_its_last_part_in_any_order() {
    let mut rig = Rig::new();
    assert_eq!(rig.part(3, "c"), (SegmentState::Waiting, vec![]));
    assert_eq!(rig.part(1, "a"), (SegmentState::Waiting, vec![]));
    assert_eq!(rig.part(2, "b"), (SegmentState::Completed, told("abc")));
    assert_eq!(rig.assembly.size().segments, 0);
}

#[test]
fn a_part_that_comes_again_counts_once() {
    let mut rig = Rig::new();
    rig.part(1, "a");
    assert_eq!(rig.part(1, "a"), (SegmentState::Repeat, vec![]));
    rig.part(2, "b");
    assert_eq!(rig.part(3, "c").1, told("abc"));
    // Its acknowledgement was lost: it comes once more, alone.
    assert_eq!(rig.part(3, "c"), (SegmentState::Waiting, vec![]));
    assert_eq!(rig.pass(2 * TTL), vec![], "forgotten in silence");
    assert_eq!(rig.pass(2 * TTL), vec![]);
    assert_eq!(rig.assembly.size(), Size::default());
}

#[test]
fn what_does_not_come_in_time_is_missing() {
    let mut rig = Rig::new();
    rig.part(1, "a");
    assert_eq!(rig.pass(TTL - 1), vec![]);
    rig.part(3, "c");
    assert_eq!(rig.pass(2), told("ac?"));
    assert_eq!(rig.part(2, "b").0, SegmentState::Waiting, "too late");
    assert_eq!(rig.pass(TTL), told("b?"));
}

#[test]
fn a_reference_used_again_does_not_mix_messages() {
    let mut rig = Rig::new();
    rig.part(1, "a");
    rig.part(2, "b");
    assert_eq!(rig.part(1, "A").1, told("ab?"), "another text under 1");
    rig.part(3, "C");
    assert_eq!(rig.part(2, "B").1, told("ABC"));
}

#[test]
fn a_reference_used_again_long_after_is_another_message() {
    let mut rig = Rig::new();
    rig.part(1, "a");
    rig.part(2, "b");
    // The owner was behind, and reads all of it at once.
    rig.now += TTL;
    assert_eq!(rig.part(3, "C").1, told("ab?"));
}

#[test]
fn a_message_sent_twice_is_published_twice_and_flagged() {
    let mut rig = Rig::new();
    for (n, text) in [(1, "a"), (2, "b")] {
        rig.part(n, text);
    }
    assert_eq!(rig.part(3, "c").1, told("abc"));
    for (n, text) in [(1, "a"), (2, "b")] {
        assert_eq!(rig.part(n, text), (SegmentState::Waiting, vec![]));
    }
    assert_eq!(rig.part(3, "c").1, vec![Told("abc".into(), true)]);
}

#[test]
fn a_repeat_is_not_mixed_with_the_next_message_of_its_reference() {
    let mut rig = Rig::new();
    for (n, text) in [(1, "a"), (2, "b"), (3, "c")] {
        rig.part(n, text);
    }
    rig.part(1, "a"); // a repeat
    rig.part(2, "B");
    assert_eq!(
        rig.part(3, "C"),
        (SegmentState::Waiting, vec![]),
        "aBC would be wrong"
    );
    assert_eq!(rig.part(1, "A"), (SegmentState::Completed, told("ABC")));
}

#[test]
fn a_message_that_begins_like_the_one_before_is_published_in_the_end() {
    let mut rig = Rig::new();
    for (n, text) in [(1, "a"), (2, "b"), (3, "c")] {
        rig.part(n, text);
    }
    for (n, text) in [(1, "a"), (2, "B"), (3, "C")] {
        assert_eq!(rig.part(n, text), (SegmentState::Waiting, vec![]));
    }
    assert_eq!(rig.pass(TTL), told("aBC"));
}

#[test]
fn memory_is_bounded() {
    let mut rig = Rig::with(4000);
    let mut told = 0;
    for n in 0..1000 {
        told += rig
            .part_of(&format!("@part/acme/{n}/1/1.8.3"), 1, "x")
            .1
            .len();
        assert!(rig.assembly.size().octets <= 4000);
    }
    told += rig.pass(TTL).len();
    assert_eq!(told, 1000, "nothing is lost");
    assert_eq!(rig.pass(TTL), vec![]);
    assert_eq!(rig.assembly.size(), Size::default());
    assert!(rig.assembly.timers.is_empty() && rig.assembly.groups.is_empty());
}

#[test]
fn a_message_too_large_for_an_event_goes_out_in_pieces() {
    let mut rig = Rig::new();
    let large = |c: &str| c.repeat(LARGEST / 2);
    rig.part(1, &large("a"));
    assert_eq!(rig.part(2, &large("b")).1, vec![]);
    let segments = rig.part(3, "c").1;
    assert_eq!(segments.len(), 1);
    assert_eq!(rig.pass(TTL), told("c?"));
}

#[test]
fn a_successor_waits_no_longer_than_its_predecessor_would_have() {
    let mut out = Vec::new();
    let mut second = Assembly::new(AssemblyLimits {
        ttl: TTL,
        octets: 1 << 20,
    });
    let key = keys::segment(ID, 1);
    let value = Value::Waiting {
        delivery: delivery_of("a"),
        segment: Segment {
            digest: SegmentDigest { part: 1, digest: 1 },
            total: 3,
            octets: 1,
            received_at: 1000,
        },
    };
    second.record(&Key::parse(key.as_bytes()).unwrap(), value, 500_000);
    second.live(500_000);
    second.tick(1000 + TTL - 1, 1000, &mut out);
    assert_eq!(published(&out), vec![]);
    second.tick(1000 + TTL, 1000, &mut out);
    assert_eq!(published(&out), told("a?"));
}

#[test]
fn a_part_that_the_log_does_not_take_goes_out_with_what_there_is() {
    let mut rig = Rig::new();
    rig.part(1, "a");
    rig.part(3, "c");
    let mut out = Vec::new();
    rig.assembly.unkept(ID, 2, rig.now, &mut out);
    assert_eq!(published(&out), vec![Told("ac?".into(), false)]);
    let forgets = |key: &str| {
        out.iter()
            .any(|e| matches!(e, Effect::Forget { key: k } if k == key))
    };
    assert!(forgets(&keys::segment(ID, 1)), "{out:?}");
    out.clear();
    rig.assembly.unkept(ID, 2, rig.now, &mut out);
    rig.assembly
        .unkept("@part/acme/1/2/3.8.2", 2, rig.now, &mut out);
    assert_eq!(out, vec![], "once");
    rig.pass(2 * TTL);
    rig.assembly.check_empty();
}

#[test]
fn what_a_smaller_memory_has_no_room_for_goes_out_after_a_restart() {
    let mut assembly = Assembly::new(AssemblyLimits {
        ttl: TTL,
        octets: 2000,
    });
    for offset in 0..100 {
        let identity = format!("@part/acme/{offset}/1000/42.8.3");
        let key = Key::Segment {
            identity: &identity,
            offset,
        };
        let segment = Segment {
            digest: SegmentDigest { part: 1, digest: 7 },
            total: 3,
            octets: 1,
            received_at: 0,
        };
        let delivery = delivery_of("a");
        assembly.record(&key, Value::Waiting { delivery, segment }, 0);
    }
    assembly.live(0);
    let mut out = Vec::new();
    while assembly.tick(1, 10, &mut out) {
        out.clear();
    }
    assembly.check();
    assert!(assembly.size().octets <= 2000);
}

#[test]
fn parts_of_a_clock_that_was_far_ahead_end_too() {
    let mut rig = Rig::new();
    let now = std::mem::replace(&mut rig.now, 10 * 365 * 86_400_000);
    let segment = Segment {
        digest: SegmentDigest { part: 1, digest: 7 },
        total: 3,
        octets: 1,
        received_at: rig.now,
    };
    let delivery = delivery_of("a");
    rig.now = now;
    rig.assembly
        .delivery(ID, 1, delivery, segment, now, &mut Vec::new());
    assert_eq!(rig.pass(2 * TTL), vec![Told("a?".into(), false)]);
}

#[test]
fn what_an_operator_has_deleted_waits_no_more() {
    let mut rig = Rig::new();
    let tombstone = |rig: &mut Rig, offset| {
        let key = Key::Segment {
            identity: ID,
            offset,
        };
        rig.assembly.tombstone(&key);
        rig.assembly.check();
    };
    rig.part(1, "a");
    rig.part(2, "b");
    tombstone(&mut rig, 1);
    assert_eq!(rig.part(3, "c"), (SegmentState::Waiting, vec![]));
    assert_eq!(rig.part(1, "a").1, told("abc"), "it came again");
    // Our own come back.
    for offset in 1..5 {
        tombstone(&mut rig, offset);
    }
    rig.assembly.check_empty();
}
