//! Long messages of one partition: parts, what was published of them, and time.
//!
//! Pure, like the [join](super::join): what happens comes in as calls, what is to be written
//! comes out as [`Effect`]s, and the state here is always the state of the log after them.
//!
//! # A message's parts
//!
//! ```text
//! part ──▶ held ──the others come────▶ published, remembered ──reassembly_ttl──▶ forgotten
//!            └────reassembly_ttl────▶ published with what is missing, remembered ──▶ ...
//! ```
//!
//! **Which message.** SMPP gives a message in parts no identity but sender, recipient,
//! reference, width of the reference and number of parts, and senders use references again.
//! So parts are of one message only if they came within `reassembly_ttl` of each other; and
//! another text under a number that is held already begins a new message: the old one goes
//! out with what is missing.
//!
//! **Repeats.** A part whose acknowledgement was lost comes again. While its message is held,
//! the same text under the same number is a repeat. Of a message that was published already
//! it may be the beginning of the same text sent once more, so it is held; if all of them
//! come again, the message is published again and flagged, and if none but such come, they
//! are forgotten. A repeat and a new part under one reference are not taken for complete
//! before the time is over: until then the part that the repeat is mistaken for may come.
//!
//! **Memory.** What is held is bounded; beyond that what would be due first is due at once. So is
//! a message with a part that the log does not take: the next owner would not know of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use super::clock::plausible;
use super::join::Millis;
use crate::record::internal::SegmentDigest;
use crate::record::keys::{self, Key};

mod group;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use group::{Group, Held, Published};

/// A message has at most so many octets of user data: as many as message_payload can carry,
/// and more than 255 parts of a phone have. More does not fit into an event.
const LARGEST: usize = 64 << 10;
/// How long parts wait at least after they were read: their successors may be in the topic
/// already, behind a backlog.
const SETTLE: Millis = 60_000;

/// What bounds the assembly.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `reassembly_ttl` in milliseconds.
    pub ttl: Millis,
    /// `reassembly_memory` in octets.
    pub octets: usize,
}

/// What the assembly needs to know of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its number, and the checksum of its text.
    pub print: SegmentDigest,
    /// How many parts the message has.
    pub total: u8,
    /// How many octets of user data it has.
    pub octets: usize,
    /// When the bind received it.
    pub received_at: Millis,
}

impl Piece {
    fn plausible(self, now: Millis) -> Piece {
        Piece {
            received_at: plausible(self.received_at, now),
            ..self
        }
    }
}

/// A value of the correlation topic, as far as the assembly understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A part that waits.
    Held {
        /// The delivery as it stands in the log.
        delivery: Bytes,
        /// What it is.
        piece: Piece,
    },
    /// What was published.
    Published {
        /// When.
        at: Millis,
        /// Which parts.
        parts: Vec<SegmentDigest>,
    },
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The event of a message.
    Publish {
        /// The deliveries in the order of their parts.
        parts: Vec<Bytes>,
        /// Whether parts are missing.
        incomplete: bool,
        /// Whether the same was published before.
        again: bool,
    },
    /// A part waits.
    Hold {
        /// Its key.
        key: String,
        /// The delivery.
        delivery: Bytes,
    },
    /// What was published.
    Remember {
        /// Its key.
        key: String,
        /// When.
        at: Millis,
        /// Which parts.
        parts: Vec<SegmentDigest>,
    },
    /// A tombstone.
    Forget {
        /// The key.
        key: String,
    },
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits for the others.
    Held,
    /// Its message was complete with it.
    Completed,
    /// It is held already.
    Repeat,
}

/// How much an assembly holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Parts that wait.
    pub parts: usize,
    /// About how many octets they take, and what is remembered.
    pub octets: usize,
}

/// The assembly of one partition. See the [module](self).
pub struct Assembly {
    limits: Limits,
    live: bool,
    groups: HashMap<Arc<str>, Group>,
    /// Each identity in `groups` once, by its deadline, once live.
    timers: BTreeSet<(Millis, Arc<str>)>,
    /// What everything in `groups` takes.
    size: Size,
}

impl Assembly {
    /// An empty assembly, to be restored from the log.
    pub fn new(limits: Limits) -> Self {
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
            group.held.retain(|h| h.offset != offset);
            match value {
                Value::Held { delivery, piece } => group.held.push(Held {
                    offset,
                    delivery,
                    piece: piece.plausible(now),
                    since: now,
                }),
                Value::Published { at, parts } => {
                    let at = plausible(at, now);
                    group.published = Some(Published { offset, at, parts });
                }
            }
        });
    }

    /// A tombstone of the correlation topic was read.
    pub fn tombstone(&mut self, key: &Key<'_>) {
        let Key::Segment { identity, offset } = *key else {
            return;
        };
        if self.live || !self.groups.contains_key(identity) {
            return;
        }
        self.edit(identity, |group| {
            group.held.retain(|h| h.offset != offset);
            group.published.take_if(|p| p.offset == offset);
        });
    }

    /// Everything that was in the log when this owner took over has been read.
    pub fn live(&mut self, now: Millis) {
        self.live = true;
        for group in self.groups.values_mut() {
            group.held.sort_by_key(|h| h.offset);
            for held in &mut group.held {
                held.since = now;
            }
        }
        let limits = self.limits;
        let deadlines = self
            .groups
            .iter()
            .map(|(name, group)| (group.deadline(&limits), name.clone()));
        self.timers = deadlines.collect();
    }

    /// The delivery at `offset` is a part of `identity`. Deliveries come in order, and only
    /// once live.
    pub fn delivery(
        &mut self,
        identity: &str,
        offset: i64,
        delivery: Bytes,
        piece: Piece,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> Fate {
        let limits = self.limits;
        let piece = piece.plausible(now);
        let known = self.groups.get(identity);
        if known.is_some_and(|g| g.is_over(&piece, &limits)) {
            self.close(identity, now, out);
        }
        let known = self.groups.get(identity);
        if known.is_some_and(|g| g.holds(piece.print)) {
            return Fate::Repeat;
        }
        let repeat = known.is_some_and(|g| g.was_published(piece.print));
        match known.and_then(|g| g.other(piece.print)) {
            // A repeat of the message before, between the parts of this one.
            Some(_) if repeat => return Fate::Repeat,
            // What is held was such a repeat.
            Some((other, true)) => self.drop(identity, other, out),
            Some((_, false)) => self.close(identity, now, out),
            None if known.is_some_and(|g| g.octets() + piece.octets > LARGEST) => {
                self.close(identity, now, out);
            }
            None => {}
        }
        out.push(Effect::Hold {
            key: keys::segment(identity, offset),
            delivery: delivery.clone(),
        });
        let mut complete = false;
        self.edit(identity, |group| {
            group.held.push(Held {
                offset,
                delivery,
                piece,
                since: now,
            });
            complete = group.is_complete() && !group.is_doubtful();
        });
        if complete {
            self.close(identity, now, out);
        }
        self.shrink(now, out);
        match complete {
            true => Fate::Completed,
            false => Fate::Held,
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

    /// The log does not take the part at `offset`, so the next owner would not know of it: what
    /// is held of its message goes out as it is, if it still waits.
    pub fn unkept(&mut self, identity: &str, offset: i64, now: Millis, out: &mut Vec<Effect>) {
        let group = self.groups.get(identity);
        if group.is_some_and(|g| g.held.iter().any(|h| h.offset == offset)) {
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

    /// Ends the wait of what is due first: of parts, or of what is remembered.
    fn end_first(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let Some((_, identity)) = self.timers.first().cloned() else {
            return;
        };
        if self
            .groups
            .get(&identity)
            .is_some_and(|g| !g.held.is_empty())
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

    /// Publishes what is held of `identity`, unless all of it was published and not all of
    /// it came again.
    fn close(&mut self, identity: &str, now: Millis, out: &mut Vec<Effect>) {
        self.edit(identity, |group| {
            let complete = group.is_complete();
            let again = group
                .held
                .iter()
                .all(|h| group.was_published(h.piece.print));
            let mut held = std::mem::take(&mut group.held);
            held.sort_by_key(|h| h.piece.print.part);
            let forget = |offset: i64| Effect::Forget {
                key: keys::segment(identity, offset),
            };
            if again && !complete {
                out.extend(held.iter().map(|h| forget(h.offset)));
                return;
            }
            let Some(offset) = held.iter().map(|h| h.offset).max() else {
                return;
            };
            let parts: Vec<SegmentDigest> = held.iter().map(|h| h.piece.print).collect();
            out.push(Effect::Publish {
                parts: held.iter().map(|h| h.delivery.clone()).collect(),
                incomplete: !complete,
                again,
            });
            let others = held.iter().map(|h| h.offset).filter(|o| *o != offset);
            out.extend(others.map(forget));
            out.push(Effect::Remember {
                key: keys::segment(identity, offset),
                at: now,
                parts: parts.clone(),
            });
            let published = Published {
                offset,
                at: now,
                parts,
            };
            if let Some(before) = group.published.replace(published) {
                out.push(forget(before.offset));
            }
        });
    }

    /// Forgets the part that is held under `offset`.
    fn drop(&mut self, identity: &str, offset: i64, out: &mut Vec<Effect>) {
        self.edit(identity, |group| group.held.retain(|h| h.offset != offset));
        out.push(Effect::Forget {
            key: keys::segment(identity, offset),
        });
    }

    /// Changes what is known of `identity`, keeping the books of size and time; what is empty
    /// afterwards is removed.
    fn edit(&mut self, identity: &str, change: impl FnOnce(&mut Group)) {
        let group = self.groups.entry_ref(identity).or_default();
        let name = identity.len();
        let (before, due) = (group.size(name), group.deadline(&self.limits));
        change(group);
        let (after, next) = (group.size(name), group.deadline(&self.limits));
        let empty = group.is_empty();
        self.size.parts = self.size.parts + after.parts - before.parts;
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
