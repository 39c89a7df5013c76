//! Long messages of one partition: segments, what was published of them, and time.
//!
//! Pure, like the [join](super::join): what happens comes in as calls, what is to be written
//! comes out as [`Effect`]s, and the state here is always the state of the log after them.
//!
//! # A message's segments
//!
//! ```text
//! segment ──▶ waiting ──the others come─▶ published, remembered ──reassembly_ttl──▶ forgotten
//!                └─reassembly_ttl────▶ published with what is missing, remembered ──▶ ...
//! ```
//!
//! **Which message.** SMPP gives a message in segments no identity but sender, recipient,
//! reference, width of the reference and number of segments, and senders use references again.
//! So segments are of one message only if they came within `reassembly_ttl` of each other; and
//! another text under a number that waits already begins a new message: the old one goes
//! out with what is missing.
//!
//! **Repeats.** A segment whose acknowledgement was lost comes again. While its message waits,
//! the same text under the same number is a repeat. Of a message that was published already
//! it may be the beginning of the same text sent once more, so it waits; if all of them
//! come again, the message is published again and flagged, and if none but such come, they
//! are forgotten. A repeat and a new segment under one reference are not taken for complete
//! before the time is over: until then the segment that the repeat is mistaken for may come.
//!
//! **Memory.** What waits is bounded; beyond that what would be due first is due at once. So is
//! a message with a segment that the log does not take: the next owner would not know of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::clock::plausible;
use super::join::Millis;
use crate::record::internal::{Delivery, SegmentDigest};
use crate::record::keys::{self, Key};

mod group;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use group::{Published, SegmentGroup, WaitingSegment};

/// A message has at most so many octets of user data: as many as message_payload can carry,
/// and more than 255 segments of a phone have. More does not fit into an event.
const LARGEST: usize = 64 << 10;
/// How long segments wait at least after they were read: their successors may be in the topic
/// already, behind a backlog.
const SETTLE: Millis = 60_000;

/// What bounds the assembly.
#[derive(Clone, Copy, Debug)]
pub struct AssemblyLimits {
    /// `reassembly_ttl` in milliseconds.
    pub ttl: Millis,
    /// `reassembly_memory` in octets.
    pub octets: usize,
}

/// What the assembly needs to know of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number, and the checksum of its text.
    pub digest: SegmentDigest,
    /// How many segments the message has.
    pub total: u8,
    /// How many octets of user data it has.
    pub octets: usize,
    /// When the bind received it.
    pub received_at: Millis,
}

impl Segment {
    fn plausible(self, now: Millis) -> Segment {
        Segment {
            received_at: plausible(self.received_at, now),
            ..self
        }
    }
}

/// A value of the correlation topic, as far as the assembly understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A segment that waits.
    Waiting {
        /// The delivery.
        delivery: Arc<Delivery>,
        /// What it is.
        segment: Segment,
    },
    /// What was published.
    Published {
        /// When.
        at: Millis,
        /// Which segments.
        segments: Vec<SegmentDigest>,
    },
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The event of a message.
    Publish {
        /// The deliveries in the order of their segments.
        segments: Vec<Arc<Delivery>>,
        /// Whether segments are missing.
        incomplete: bool,
        /// Whether the same was published before.
        again: bool,
    },
    /// A segment waits.
    Wait {
        /// Its key.
        key: String,
        /// The delivery.
        delivery: Arc<Delivery>,
    },
    /// What was published.
    Remember {
        /// Its key.
        key: String,
        /// When.
        at: Millis,
        /// Which segments.
        segments: Vec<SegmentDigest>,
    },
    /// A tombstone.
    Forget {
        /// The key.
        key: String,
    },
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// It waits for the others.
    Waiting,
    /// Its message was complete with it.
    Completed,
    /// It waits already.
    Repeat,
}

/// How much an assembly holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Segments that wait.
    pub segments: usize,
    /// About how many octets they take, and what is remembered.
    pub octets: usize,
}

/// The assembly of one partition. See the [module](self).
pub struct Assembly {
    /// The same for the whole life of an assembly: deadlines in `timers` are made of them.
    limits: AssemblyLimits,
    /// Whether the log has been read up to this owner's barrier. Before that there are no `timers`,
    /// and no deliveries come; after it our own records that come back are left aside.
    live: bool,
    /// Everything that waits or is remembered, by what the segments of a message have in common; none
    /// is empty. What follows is made from it, and only [`edit`](Self::edit) changes them.
    groups: HashMap<Arc<str>, SegmentGroup>,
    /// Each identity in `groups` once, by its deadline, once live.
    timers: BTreeSet<(Millis, Arc<str>)>,
    /// What everything in `groups` takes.
    size: Size,
}

impl Assembly {
    /// An empty assembly, to be restored from the log.
    pub fn new(limits: AssemblyLimits) -> Self {
        Assembly {
            limits,
            live: false,
            groups: HashMap::new(),
            timers: BTreeSet::new(),
            size: Size::default(),
        }
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        self.size
    }

    /// A record of the correlation topic was read, in the order of the log. Once
    /// [`live`](Self::live) only our own come back, and say nothing new.
    pub fn record(&mut self, key: &Key<'_>, value: Value, now: Millis) {
        let Key::Segment { identity, offset } = *key else {
            return;
        };
        if self.live {
            return;
        }
        self.edit(identity, |group| {
            group.waiting.retain(|h| h.offset != offset);
            match value {
                Value::Waiting { delivery, segment } => group.waiting.push(WaitingSegment {
                    offset,
                    delivery,
                    segment: segment.plausible(now),
                    since: now,
                }),
                Value::Published { at, segments } => {
                    let at = plausible(at, now);
                    group.published = Some(Published {
                        offset,
                        at,
                        segments,
                    });
                }
            }
        });
    }

    /// A tombstone of the correlation topic was read: our own, which comes back and says nothing new,
    /// or that of an operator who has a person's records deleted (`kafka-smpp erase`).
    pub fn tombstone(&mut self, key: &Key<'_>) {
        let Key::Segment { identity, offset } = *key else {
            return;
        };
        if !self.groups.contains_key(identity) {
            return;
        }
        self.edit(identity, |group| {
            group.waiting.retain(|h| h.offset != offset);
            group.published.take_if(|p| p.offset == offset);
        });
    }

    /// Everything that was in the log when this owner took over has been read.
    pub fn live(&mut self, now: Millis) {
        self.live = true;
        for group in self.groups.values_mut() {
            group.waiting.sort_by_key(|h| h.offset);
            for waiting in &mut group.waiting {
                waiting.since = now;
            }
        }
        let limits = self.limits;
        let deadlines = self
            .groups
            .iter()
            .map(|(name, group)| (group.deadline(&limits), name.clone()));
        self.timers = deadlines.collect();
    }

    /// The delivery at `offset` is a segment of `identity`. Deliveries come in order, and only
    /// once live.
    pub fn delivery(
        &mut self,
        identity: &str,
        offset: i64,
        delivery: Arc<Delivery>,
        segment: Segment,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> SegmentState {
        let limits = self.limits;
        let segment = segment.plausible(now);
        let known = self.groups.get(identity);
        if known.is_some_and(|g| g.is_over(&segment, &limits)) {
            self.close(identity, now, out);
        }
        let known = self.groups.get(identity);
        if known.is_some_and(|g| g.holds(segment.digest)) {
            return SegmentState::Repeat;
        }
        let repeat = known.is_some_and(|g| g.was_published(segment.digest));
        match known.and_then(|g| g.other(segment.digest)) {
            // A repeat of the message before, between the segments of this one.
            Some(_) if repeat => return SegmentState::Repeat,
            // What waits was such a repeat.
            Some((other, true)) => self.drop(identity, other, out),
            Some((_, false)) => self.close(identity, now, out),
            None if known.is_some_and(|g| g.octets() + segment.octets > LARGEST) => {
                self.close(identity, now, out);
            }
            None => {}
        }
        out.push(Effect::Wait {
            key: keys::segment(identity, offset),
            delivery: delivery.clone(),
        });
        let mut complete = false;
        self.edit(identity, |group| {
            group.waiting.push(WaitingSegment {
                offset,
                delivery,
                segment,
                since: now,
            });
            complete = group.is_complete() && !group.is_doubtful();
        });
        if complete {
            self.close(identity, now, out);
        }
        self.shrink(now, out);
        if complete {
            SegmentState::Completed
        } else {
            SegmentState::Waiting
        }
    }

    /// Does what is due, until there are about `most` effects; whether more is due.
    pub fn tick(&mut self, now: Millis, most: usize, out: &mut Vec<Effect>) -> bool {
        while let Some((at, _)) = self.timers.first() {
            if *at > now && self.fits() {
                return false;
            }
            if out.len() >= most {
                return true;
            }
            self.end_first(now, out);
        }
        false
    }

    /// The log does not take the segment at `offset`, so the next owner would not know of it: what
    /// waits of its message goes out as it is, if that segment still waits.
    pub fn unkept(&mut self, identity: &str, offset: i64, now: Millis, out: &mut Vec<Effect>) {
        let group = self.groups.get(identity);
        if group.is_some_and(|g| g.waiting.iter().any(|h| h.offset == offset)) {
            self.close(identity, now, out);
        }
    }

    fn fits(&self) -> bool {
        self.size.octets <= self.limits.octets
    }

    /// Ends what is due first until the rest fits.
    fn shrink(&mut self, now: Millis, out: &mut Vec<Effect>) {
        while !self.fits() && !self.timers.is_empty() {
            self.end_first(now, out);
        }
    }

    /// Ends the wait of what is due first: of segments, or of what is remembered.
    fn end_first(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let Some((_, identity)) = self.timers.first().cloned() else {
            return;
        };
        if self
            .groups
            .get(&identity)
            .is_some_and(|g| !g.waiting.is_empty())
        {
            return self.close(&identity, now, out);
        }
        self.edit(&identity, |group| {
            if let Some(published) = group.published.take() {
                let key = keys::segment(&identity, published.offset);
                out.push(Effect::Forget { key });
            }
        });
    }

    /// Publishes what waits of `identity`, unless all of it was published and not all of
    /// it came again.
    fn close(&mut self, identity: &str, now: Millis, out: &mut Vec<Effect>) {
        self.edit(identity, |group| {
            let complete = group.is_complete();
            let again = group
                .waiting
                .iter()
                .all(|h| group.was_published(h.segment.digest));
            let mut waiting = std::mem::take(&mut group.waiting);
            waiting.sort_by_key(|h| h.segment.digest.part);
            let forget = |offset: i64| Effect::Forget {
                key: keys::segment(identity, offset),
            };
            if again && !complete {
                out.extend(waiting.iter().map(|h| forget(h.offset)));
                return;
            }
            let Some(offset) = waiting.iter().map(|h| h.offset).max() else {
                return;
            };
            let segments: Vec<SegmentDigest> = waiting.iter().map(|h| h.segment.digest).collect();
            out.push(Effect::Publish {
                segments: waiting.iter().map(|h| h.delivery.clone()).collect(),
                incomplete: !complete,
                again,
            });
            let others = waiting.iter().map(|h| h.offset).filter(|o| *o != offset);
            out.extend(others.map(forget));
            out.push(Effect::Remember {
                key: keys::segment(identity, offset),
                at: now,
                segments: segments.clone(),
            });
            let published = Published {
                offset,
                at: now,
                segments,
            };
            if let Some(before) = group.published.replace(published) {
                out.push(forget(before.offset));
            }
        });
    }

    /// Forgets the segment that waits under `offset`.
    fn drop(&mut self, identity: &str, offset: i64, out: &mut Vec<Effect>) {
        self.edit(identity, |group| {
            group.waiting.retain(|h| h.offset != offset)
        });
        out.push(Effect::Forget {
            key: keys::segment(identity, offset),
        });
    }

    /// Changes what is known of `identity`, and with it the size and the timers; what is empty
    /// afterwards is removed.
    fn edit(&mut self, identity: &str, change: impl FnOnce(&mut SegmentGroup)) {
        let group = self.groups.entry_ref(identity).or_default();
        let name = identity.len();
        let (before, due) = (group.size(name), group.deadline(&self.limits));
        change(group);
        let (after, next) = (group.size(name), group.deadline(&self.limits));
        let empty = group.is_empty();
        self.size.segments = self.size.segments + after.segments - before.segments;
        self.size.octets = self.size.octets + after.octets - before.octets;
        let Some((name, _)) = self.groups.get_key_value(identity) else {
            return;
        };
        let name = name.clone();
        if self.live {
            self.timers.remove(&(due, name.clone()));
            if !empty {
                self.timers.insert((next, name));
            }
        }
        if empty {
            self.groups.remove(identity);
        }
    }
}
