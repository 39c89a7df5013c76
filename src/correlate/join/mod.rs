//! The join of one partition: what was submitted, receipts, and time.
//!
//! Pure: no Kafka, no clock. What happens comes in as calls, what is to be written comes out
//! as [`Effect`]s, in the order in which they must be written. The state here is always the
//! state of the log *after* those effects, so an effect whose transaction was aborted is
//! simply written again, and a partition given up is simply dropped.
//!
//! # A message's receipts
//!
//! ```text
//! creation ──▶ remembered ──first final receipt──▶ finished ──final_retention──▶ forgotten
//!                  └───────────receipt_ttl──▶ overdue, forgotten
//! receipt without creation ──▶ parked ──creation──▶ published with it
//!                                └──early_receipt_grace──▶ published alone ──final_retention──▶ forgotten
//! ```
//!
//! **Which creation.** SMSCs reuse message ids, and a message sent twice may get one id
//! twice. A receipt belongs to the newest creation without a final receipt; if all have
//! one, to the newest.
//!
//! **Repeats.** A deliver_sm whose acknowledgement was lost comes again. The same octets
//! again are a repeat, and so is a second receipt of a final state that was published
//! already. What was published is written back to the log in the transaction that publishes
//! it. A receipt published alone is remembered in the same way.
//!
//! **Memory.** Receipts without a message are as many as the SMSC likes. Beyond a bound the
//! oldest is published alone before its time, and forgotten before its time.
//!
//! **Grace.** It begins when the parked receipt is read back from the log: by then every
//! creation committed before it has been read too.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::record::internal::Seen;
use crate::record::keys::{self, Key};

mod known;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

pub use known::Size;
use known::{Creation, Known, Wait, Waiting};

/// Milliseconds since 1970, UTC.
pub type Millis = i64;

/// How much receipts without a message may take in the memory of one partition, in octets.
pub const PARKED_OCTETS: usize = 16 << 20;

/// Lengths of time, in milliseconds; see [`Settings`](super::Settings).
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// `early_receipt_grace`.
    pub grace: Millis,
    /// `final_retention`.
    pub retention: Millis,
    /// `receipt_ttl`.
    pub ttl: Millis,
    /// How much receipts without a message may take, in octets: [`PARKED_OCTETS`].
    pub parked: usize,
}

/// What the join needs to know of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its message_state and the checksum of its octets.
    pub seen: Seen,
    /// Whether no other state can follow.
    pub last: bool,
}

/// A value of the correlation topic, as far as the join understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of a creation.
    Creation {
        /// The value as it stands in the log.
        raw: Bytes,
        /// When it was submitted.
        submitted_at: Millis,
        /// Receipts published.
        seen: Vec<Seen>,
        /// When the first final one was.
        final_at: Option<Millis>,
    },
    /// Of a parked receipt.
    Parked {
        /// The delivery as it stands in the log.
        delivery: Bytes,
        /// What it says.
        receipt: Receipt,
        /// When it was published alone.
        published_at: Option<Millis>,
    },
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The event of a receipt.
    Publish {
        /// `esme/message_id`.
        identity: Arc<str>,
        /// The delivery.
        delivery: Bytes,
        /// The creation it belongs to, if one is known.
        creation: Option<Bytes>,
    },
    /// The event that a final receipt never came.
    Overdue {
        /// The creation.
        creation: Bytes,
    },
    /// What was published of a creation.
    Remember {
        /// Its key.
        key: String,
        /// Its value so far.
        creation: Bytes,
        /// Receipts published, this one included.
        seen: Vec<Seen>,
        /// When the first final one was.
        final_at: Option<Millis>,
    },
    /// A receipt that waits, or is remembered.
    Park {
        /// Its key.
        key: String,
        /// The delivery.
        delivery: Bytes,
        /// When it was published alone.
        published_at: Option<Millis>,
    },
    /// A tombstone.
    Forget {
        /// The key.
        key: String,
    },
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Published with its creation.
    Joined,
    /// It waits for its creation.
    Parked,
    /// It was published or parked before, so nothing happened.
    Repeat,
}

/// The join of one partition. See the [module](self).
pub struct Join {
    patience: Patience,
    live: bool,
    known: HashMap<Arc<str>, Known>,
    timers: BinaryHeap<Reverse<(Millis, Arc<str>)>>,
    /// Parked receipts, the oldest first; may name some that are gone.
    order: VecDeque<(Arc<str>, i64)>,
    /// Creations whose last record in the log does not say what was published of them.
    outdated: Vec<(Arc<str>, Box<str>)>,
    size: Size,
}

impl Join {
    /// An empty join, to be restored from the log.
    pub fn new(patience: Patience) -> Self {
        Join {
            patience,
            live: false,
            known: HashMap::new(),
            timers: BinaryHeap::new(),
            order: VecDeque::new(),
            outdated: Vec::new(),
            size: Size::default(),
        }
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        self.size
    }

    /// A record of the correlation topic was read, in the order of the log. Before
    /// [`live`](Self::live) the last one of a key counts. After it, the state here is ahead
    /// of the log for every key but new creations: our own records only come back.
    pub fn record(&mut self, key: &Key<'_>, value: Value, now: Millis, out: &mut Vec<Effect>) {
        match (*key, value) {
            (
                Key::Creation { identity, which },
                Value::Creation {
                    raw,
                    submitted_at,
                    seen,
                    final_at,
                },
            ) => {
                let creation = Creation {
                    which: which.into(),
                    raw,
                    submitted_at,
                    seen,
                    final_at,
                };
                match self.live {
                    true => self.created(identity, creation, now, out),
                    false => self.restore_creation(identity, creation),
                }
            }
            (
                Key::Parked { identity, offset },
                Value::Parked {
                    delivery,
                    receipt,
                    published_at,
                },
            ) => match self.live {
                true => self.read_back(identity, offset, now),
                false => self.restore_parked(
                    identity,
                    Waiting {
                        offset,
                        delivery,
                        receipt,
                        wait: published_at.map_or(Wait::Unread, Wait::Published),
                    },
                ),
            },
            // A value that does not fit its key is not ours.
            _ => {}
        }
    }

    /// A tombstone of the correlation topic was read.
    pub fn tombstone(&mut self, key: &Key<'_>) {
        match *key {
            Key::Creation { identity, which } => {
                self.edit(identity, |k| k.creations.retain(|c| &*c.which != which));
            }
            Key::Parked { identity, offset } => {
                self.edit(identity, |k| k.waiting.retain(|w| w.offset != offset));
            }
            Key::Part { .. } | Key::Owner { .. } => {}
        }
    }

    /// Everything that was in the log when this owner took over has been read.
    pub fn live(&mut self, now: Millis, out: &mut Vec<Effect>) {
        self.live = true;
        let Join {
            patience, known, ..
        } = self;
        let mut timers = Vec::with_capacity(known.len());
        let mut reunited = Vec::new();
        let mut parked = Vec::new();
        for (identity, known) in known {
            parked.extend(known.waiting.iter().map(|w| (w.offset, identity.clone())));
            for waiting in &mut known.waiting {
                if waiting.wait == Wait::Unread {
                    waiting.wait = Wait::Since(now);
                }
            }
            if !known.waiting.is_empty() && !known.creations.is_empty() {
                reunited.push(identity.clone());
            }
            timers.extend(
                known
                    .deadlines(patience)
                    .map(|at| Reverse((at, identity.clone()))),
            );
        }
        self.timers = timers.into();
        parked.sort_unstable();
        self.order = parked.into_iter().map(|(o, name)| (name, o)).collect();
        for (identity, which) in std::mem::take(&mut self.outdated) {
            self.remind(&identity, &which, out);
        }
        for identity in reunited {
            self.reunite(&identity, now, out);
        }
        self.shrink(now, out);
    }

    /// The delivery at `offset` says `receipt` about `identity`. Deliveries come in order,
    /// and only once live.
    pub fn delivery(
        &mut self,
        identity: &str,
        offset: i64,
        delivery: Bytes,
        receipt: Receipt,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> Fate {
        let known = self.known.get(identity);
        if known.is_some_and(|k| k.repeats(&receipt)) {
            return Fate::Repeat;
        }
        if known.is_some_and(|k| !k.creations.is_empty()) {
            self.join(identity, delivery, receipt, true, now, out);
            return Fate::Joined;
        }
        out.push(Effect::Park {
            key: keys::parked(identity, offset),
            delivery: delivery.clone(),
            published_at: None,
        });
        let wait = Wait::Unread;
        let name = self.edit(identity, |k| {
            k.waiting.push(Waiting {
                offset,
                delivery,
                receipt,
                wait,
            });
        });
        self.order.push_back((name, offset));
        self.shrink(now, out);
        Fate::Parked
    }

    /// Does what is due, until there are about `most` effects; whether more is due.
    pub fn tick(&mut self, now: Millis, most: usize, out: &mut Vec<Effect>) -> bool {
        while let Some(Reverse((at, _))) = self.timers.peek() {
            if *at > now {
                return false;
            }
            if out.len() >= most {
                return true;
            }
            if let Some(Reverse((_, identity))) = self.timers.pop() {
                self.due(&identity, now, out);
            }
        }
        false
    }

    fn due(&mut self, identity: &Arc<str>, now: Millis, out: &mut Vec<Effect>) {
        let patience = self.patience;
        let mut again = None;
        self.edit(identity, |known| {
            known.creations.retain(|creation| {
                if creation.deadline(&patience) > now {
                    return true;
                }
                if creation.final_at.is_none() {
                    let creation = creation.raw.clone();
                    out.push(Effect::Overdue { creation });
                }
                let key = creation.key(identity);
                out.push(Effect::Forget { key });
                false
            });
            known.waiting.retain_mut(|waiting| {
                if waiting.deadline(&patience) > now {
                    return true;
                }
                let stays = waiting.end(identity, now, out);
                if stays {
                    again = Some(waiting.deadline(&patience));
                }
                stays
            });
        });
        if let Some(at) = again {
            self.timers.push(Reverse((at, identity.clone())));
        }
    }

    /// Ends the wait of the oldest receipts without a message until the others fit.
    fn shrink(&mut self, now: Millis, out: &mut Vec<Effect>) {
        while self.size.waiting > self.patience.parked {
            let Some((identity, offset)) = self.order.pop_front() else {
                return;
            };
            let mut again = false;
            self.edit(&identity, |known| {
                known.waiting.retain_mut(|waiting| {
                    if waiting.offset != offset {
                        return true;
                    }
                    again = waiting.end(&identity, now, out);
                    again
                });
            });
            if again {
                let at = now.saturating_add(self.patience.retention);
                self.timers.push(Reverse((at, identity.clone())));
                self.order.push_back((identity, offset));
            }
        }
    }

    /// Writes again what was published of a creation.
    fn remind(&mut self, identity: &Arc<str>, which: &str, out: &mut Vec<Effect>) {
        let known = self.known.get(identity);
        let mut creations = known.iter().flat_map(|k| &k.creations);
        if let Some(creation) = creations.find(|c| &*c.which == which) {
            out.push(creation.remembered(identity));
        }
    }

    /// A creation was read while live.
    fn created(&mut self, identity: &str, new: Creation, now: Millis, out: &mut Vec<Effect>) {
        if new.has_receipts() {
            return; // our own
        }
        let before = self.known.get(identity).and_then(|k| k.find(&new.which));
        if let Some(before) = before {
            // An SMSC that knows a message sent twice gives it the same id again.
            if before.has_receipts() {
                out.push(before.remembered(identity));
            }
            return;
        }
        let at = new.deadline(&self.patience);
        let identity = self.edit(identity, |k| k.add(new));
        self.timers.push(Reverse((at, identity.clone())));
        self.reunite(&identity, now, out);
    }

    fn restore_creation(&mut self, identity: &str, new: Creation) {
        let before = self.known.get(identity).and_then(|k| k.find(&new.which));
        if before.is_some_and(Creation::has_receipts) && !new.has_receipts() {
            let which = new.which;
            let name = self.edit(identity, |_| {});
            self.outdated.push((name, which));
            return;
        }
        self.edit(identity, |known| {
            known.creations.retain(|c| c.which != new.which);
            known.add(new);
        });
    }

    fn restore_parked(&mut self, identity: &str, mut new: Waiting) {
        if matches!(new.wait, Wait::Published(_)) {
            new.delivery = Bytes::new();
        }
        self.edit(identity, |known| {
            known.waiting.retain(|w| w.offset != new.offset);
            known.waiting.push(new);
        });
    }

    /// Our own parked receipt came back: whatever was committed before it has been read.
    fn read_back(&mut self, identity: &str, offset: i64, now: Millis) {
        let grace = self.patience.grace;
        let Some((name, known)) = self.known.get_key_value(identity) else {
            return;
        };
        let unread = |w: &Waiting| w.offset == offset && w.wait == Wait::Unread;
        if !known.waiting.iter().any(unread) {
            return;
        }
        let name = name.clone();
        self.edit(identity, |known| {
            for waiting in known.waiting.iter_mut().filter(|w| unread(w)) {
                waiting.wait = Wait::Since(now);
            }
        });
        self.timers.push(Reverse((now.saturating_add(grace), name)));
    }

    /// Joins the parked receipts of `identity` with its creations.
    fn reunite(&mut self, identity: &Arc<str>, now: Millis, out: &mut Vec<Effect>) {
        let mut waiting = Vec::new();
        self.edit(identity, |k| waiting = std::mem::take(&mut k.waiting));
        waiting.sort_by_key(|w| w.offset);
        for Waiting {
            offset,
            delivery,
            receipt,
            wait,
        } in waiting
        {
            let repeats = |k: &Known| k.repeats(&receipt);
            if !self.known.get(identity).is_some_and(repeats) {
                // Published alone already: it only counts as this message's receipt.
                let publish = !matches!(wait, Wait::Published(_));
                self.join(identity, delivery, receipt, publish, now, out);
            }
            let key = keys::parked(identity, offset);
            out.push(Effect::Forget { key });
        }
    }

    /// Gives `receipt` to the creation it belongs to.
    fn join(
        &mut self,
        identity: &str,
        delivery: Bytes,
        receipt: Receipt,
        publish: bool,
        now: Millis,
        out: &mut Vec<Effect>,
    ) {
        let patience = self.patience;
        let Some((name, known)) = self.known.get_key_value(identity) else {
            return;
        };
        let (name, Some(target)) = (name.clone(), known.target()) else {
            return;
        };
        let mut finished = None;
        self.edit(identity, |known| {
            let Some(creation) = known.creations.get_mut(target) else {
                return;
            };
            if creation.note(&receipt, now) {
                finished = Some(creation.deadline(&patience));
            }
            if publish {
                out.push(Effect::Publish {
                    identity: name.clone(),
                    delivery,
                    creation: Some(creation.raw.clone()),
                });
            }
            out.push(creation.remembered(&name));
        });
        if let Some(at) = finished {
            self.timers.push(Reverse((at, name)));
        }
    }

    /// Changes what is known of `identity`, keeping the books of the size; what is empty
    /// afterwards is removed. Returns the identity's shared name.
    fn edit(&mut self, identity: &str, change: impl FnOnce(&mut Known)) -> Arc<str> {
        let known = self.known.entry_ref(identity).or_default();
        let before = known.size();
        change(known);
        let after = known.size();
        let empty = known.creations.is_empty() && known.waiting.is_empty();
        self.size.creations = self.size.creations + after.creations - before.creations;
        self.size.parked = self.size.parked + after.parked - before.parked;
        self.size.octets = self.size.octets + after.octets - before.octets;
        self.size.waiting = self.size.waiting + after.waiting - before.waiting;
        let name = match self.known.get_key_value(identity) {
            Some((name, _)) => name.clone(),
            None => identity.into(),
        };
        if empty {
            self.known.remove(identity);
        }
        name
    }
}
