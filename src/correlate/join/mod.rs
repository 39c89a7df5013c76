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
//! entry ──▶ remembered ──final receipts──▶ finished ──final_retention──▶ forgotten
//!               └───────────receipt_ttl──▶ overdue, forgotten
//! receipt without entry ──▶ parked ──entry──▶ published with it
//!                             └──early_receipt_grace──▶ published alone ──final_retention──▶ forgotten
//! ```
//!
//! **Which entry.** SMSCs reuse message ids, so an id alone is no identity: whose a receipt
//! is, is told in [`whose`]. One that contradicts all messages of its id waits as if there were
//! none: its own may come yet. One that fits several is published with all of them.
//!
//! **Several recipients.** A SubmitMulti has one message id and a receipt for each recipient, so
//! its entry says how many there are. It is finished when a final receipt of each has come.
//! If that takes longer than `receipt_ttl`, the event says how many are missing. With
//! distribution lists nobody knows how many there are: it is remembered for `receipt_ttl`, and
//! is overdue only if no final receipt came at all.
//!
//! **Repeats.** A deliver_sm whose acknowledgement was lost comes again. The same octets
//! again are a repeat, and so is a second final receipt that says the same of the same
//! recipient: state, dates, error. One that says something else is news, and is published as
//! it is: a final receipt that is corrected has `final` again, and the later one counts. The
//! message is finished by the first all the same, so corrections do not keep it in memory.
//! What was published is written back to the log in the transaction that publishes
//! it. A receipt published alone is remembered in the same way.
//!
//! **In doubt.** A receipt that fits a message, and may be that of another one that is not known
//! yet, waits for a moment ([`MOMENT`]) like one that is early: [`whose`] says when.
//!
//! **In another form.** A receipt that nobody is found for after that moment is looked for under the
//! form of its id that responses have ([`forms`](super::forms)). The state of that identity lies in
//! another partition, mostly, so the receipt *moves* there: it becomes a delivery under that
//! identity, which knows its home, in the transaction that takes it out here. There it finds
//! its message ([`visit`](Join::visit)), or becomes a delivery under its own identity again. So it is
//! in one place at any time, and published once; when it is published alone is decided at home only.
//! Where most receipts of an ESME are found so, they go at once.
//!
//! ```text
//! parked ──moment──▶ moved ──▶ visits ──▶ published
//!    ▲                           └──▶ parked there ──read back──▶ moved back, parked again
//!    └─────────────────────────────────────────────────────────────────┘ at last published alone
//! ```
//!
//! That nobody is there says something only once all was read that the log holds, and the log of that
//! partition may be far ahead of what is read of it. So a receipt that finds nobody is parked there
//! as well, as a visitor, and goes home when its record is read back. That may never be (a record
//! before it that cannot be read): it goes home unanswered after a moment, and the last time after
//! [`UNREAD`].
//!
//! **Memory.** Everything here belongs to an identity. Of most there is nothing to do: they are
//! [`asleep`], packed, and wake when anything concerns them. Those awake are in `identities`: their waits
//! are in `timers` by the earliest deadline, their parked receipts in `parked_by_age`, and
//! [`edit`](Join::edit) is the one place that changes any of them. Receipts without a message are as many as the SMSC likes.
//! Beyond a bound the oldest is published alone before its time, and forgotten before its time.
//!
//! **Grace.** It begins when the parked receipt is read back from the log: by then every
//! entry committed before it has been read too. A receipt that the log does not take is
//! published alone at once ([`unkept`](Join::unkept)): it would wait for ever, and the next
//! owner would not know of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use super::clock::{DAY, plausible};
use super::forms::Habits;
use crate::record::internal::{Delivery, Seen, is_short};
use crate::record::keys::{self, Key};

mod asleep;
mod identity;
mod index;
#[cfg(test)]
mod model;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth;
mod whose;

use asleep::{Asleep, SOON};
pub use identity::Size;
use identity::{Answer, Entry, IdentityState, News, ParkedReceipt, ParkedState};
use whose::Whose;
pub use whose::{Dated, To, sender_digest};

/// Milliseconds since 1970, UTC.
pub type Millis = i64;

/// So many messages are named that a receipt may belong to.
const CANDIDATES: usize = 16;

/// In this time the answer to a message is known, mostly.
pub const MOMENT: Millis = 3_000;

/// So often a receipt without a message is looked for under another form of its id: twice after the
/// moment, for its message may have come meanwhile, and at the end of its grace.
const TRIES: u8 = 3;

/// So long the last visit waits at most until all is read that was written before it. A transaction
/// hides what is behind it for no longer, as Kafka is set by default (`transaction.max.timeout.ms`).
const UNREAD: Millis = 15 * 60_000;

/// How much receipts without a message may take in the memory of one partition, in octets.
pub const PARKED_OCTETS: usize = 16 << 20;

/// Lengths of time, in milliseconds, and of memory; see [`Settings`](super::Settings).
#[derive(Clone, Copy, Debug)]
pub struct JoinLimits {
    /// How long a receipt waits for a message that is not known yet, although there is one that it
    /// may belong to: [`MOMENT`]. No longer than the grace.
    pub moment: Millis,
    /// `early_receipt_grace`.
    pub grace: Millis,
    /// `final_retention`.
    pub retention: Millis,
    /// `receipt_ttl`.
    pub ttl: Millis,
    /// How many octets receipts without a message may take: [`PARKED_OCTETS`].
    pub parked_octets: usize,
}

/// What a receipt says, as far as the join understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What is remembered of it once it is published; its recipient is whom it came from.
    pub seen: Seen,
    /// To whom it went, as a [`number`](crate::record::internal::number).
    pub to: Option<i64>,
    /// When its message was submitted, as it says.
    pub submitted: Option<Dated>,
    /// When it came; `None` if nobody knows.
    pub received: Option<Millis>,
    /// When the session it came in was bound.
    pub bound_at: Option<Millis>,
    /// Its user_message_reference.
    pub reference: Option<u16>,
    /// How often it was looked for under another form of its id.
    pub tries: u8,
}

impl From<Seen> for Receipt {
    fn from(seen: Seen) -> Self {
        Receipt {
            seen,
            to: None,
            submitted: None,
            received: None,
            bound_at: None,
            reference: None,
            tries: 0,
        }
    }
}

/// A value of the correlation topic, as far as the join understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of an entry.
    Entry {
        /// The value as it is [kept](crate::record::codec::Codec::kept).
        raw: Bytes,
        /// Whether `raw` says what follows of the submission, up to `reference`.
        stated: bool,
        /// When it was submitted.
        submitted_at: Millis,
        /// How many recipients get a receipt each; `None` if nobody knows.
        recipients: Option<u32>,
        /// Who they are.
        to: To,
        /// The [`sender_digest()`] of the sender.
        sender: u32,
        /// Its user_message_reference.
        reference: Option<u16>,
        /// Receipts published.
        seen: Vec<Seen>,
        /// When the last one that ends the message was.
        final_at: Option<Millis>,
    },
    /// Of a parked receipt.
    Parked {
        /// The delivery.
        delivery: Arc<Delivery>,
        /// What it says.
        receipt: Receipt,
        /// Of a visitor: its own identity.
        home: Option<Arc<str>>,
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
        delivery: Arc<Delivery>,
        /// The entry it belongs to, if one is known.
        entry: Option<Bytes>,
        /// If that is not sure, the entries it may belong to, this one first.
        candidates: Vec<Bytes>,
        /// Whether that has its id in another form.
        other_form: bool,
    },
    /// The event that final receipts never came.
    Overdue {
        /// The entry.
        entry: Bytes,
        /// How many; `None` if nobody knows.
        missing: Option<u32>,
    },
    /// What was published of an entry.
    Remember {
        /// Its key.
        key: String,
        /// Its value so far.
        entry: Bytes,
        /// Receipts published, this one included.
        seen: Vec<Seen>,
        /// When the last one that ends the message was.
        final_at: Option<Millis>,
    },
    /// A receipt that waits, or is remembered.
    Park {
        /// Its key.
        key: String,
        /// The delivery.
        delivery: Arc<Delivery>,
        /// When it was published alone.
        published_at: Option<Millis>,
    },
    /// A tombstone.
    Forget {
        /// The key.
        key: String,
    },
    /// A receipt that goes on as a delivery, to where another form of its id belongs or back.
    Move {
        /// Under which identity it is looked for.
        to: String,
        /// The delivery.
        delivery: Arc<Delivery>,
        /// Its own identity, if it is on its way from there.
        home: Option<Arc<str>>,
        /// How often it was looked for under another form of its id, and not found.
        tries: u8,
        /// Whether it goes home for the last time, although not all was read in which its message
        /// may be.
        unanswered: bool,
    },
}

/// What became of a receipt that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// Published with its entry.
    Joined,
    /// It waits for its entry.
    Parked,
    /// It was published or parked before, so nothing happened.
    Repeat,
    /// It goes on to another identity.
    Moved,
    /// No message was found for it, and it was published alone.
    PublishedAlone,
}

/// The join of one partition. See the [module](self).
pub struct Join {
    /// The same for the whole life of a join: deadlines in `timers` are made of them.
    limits: JoinLimits,
    /// Whether the log has been read up to this owner's barrier. Before that there are no
    /// `timers` and no `parked_by_age`: [`live`](Self::live) makes them.
    live: bool,
    /// Identities of which nothing is to be done; none of them is in `identities`.
    asleep: Asleep,
    /// Those that may sleep, once what is going on is over.
    drowsy: Vec<Arc<str>>,
    /// What is due by then does not go to sleep any more.
    soon: Millis,
    /// Everything else that is remembered, by `esme/message_id`; none is empty. What follows is made
    /// from it, and only [`edit`](Self::edit) changes them.
    identities: HashMap<Arc<str>, IdentityState>,
    /// Each identity in `identities` once, by the earliest of its deadlines, if it has any.
    timers: BTreeSet<(Millis, Arc<str>)>,
    /// Each parked receipt in `identities` once, by its offset: the oldest first. A log that lost its
    /// tail gives offsets a second time.
    parked_by_age: BTreeSet<(i64, Arc<str>)>,
    /// What everything in `identities` takes.
    size: Size,
    /// How the SMSC of each ESME goes about its ids. Shared by the partitions, and no part of the
    /// log: it says what is looked for first, never what is found.
    habits: Arc<Habits>,
}

impl Join {
    /// An empty join, to be restored from the log.
    pub fn new(limits: JoinLimits) -> Self {
        Join {
            limits,
            live: false,
            asleep: Asleep::default(),
            drowsy: Vec::new(),
            soon: Millis::MIN,
            identities: HashMap::new(),
            timers: BTreeSet::new(),
            parked_by_age: BTreeSet::new(),
            size: Size::default(),
            habits: Arc::default(),
        }
    }

    /// The same, which knows of the habits of SMSCs what others know.
    pub fn sharing(self, habits: Arc<Habits>) -> Self {
        Join { habits, ..self }
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        Size {
            entries: self.size.entries + self.asleep.len(),
            octets: self.size.octets + self.asleep.octets(),
            ..self.size
        }
    }

    /// A record of the correlation topic was read, in the order of the log. Before
    /// [`live`](Self::live) the last one of a key counts. After it, the state here is ahead
    /// of the log for every key but new entries: our own records only come back.
    pub fn record(&mut self, key: &Key<'_>, value: Value, now: Millis, out: &mut Vec<Effect>) {
        match (*key, value) {
            (
                Key::Entry {
                    identity,
                    submission,
                },
                Value::Entry {
                    raw,
                    stated,
                    submitted_at,
                    recipients,
                    to,
                    sender,
                    reference,
                    seen,
                    final_at,
                },
            ) => {
                let mut entry = Entry {
                    submission: submission.into(),
                    raw,
                    stated,
                    submitted_at,
                    recipients,
                    to,
                    sender,
                    reference,
                    order: 0,
                    seen,
                    final_at: final_at.map(|at| plausible(at, now)),
                    outdated: false,
                };
                entry.set_submitted_at(plausible(submitted_at, now));
                if self.live {
                    self.entry_read(identity, entry, now, out);
                } else {
                    self.restore_entry(identity, entry);
                }
            }
            (
                Key::Parked { identity, offset },
                Value::Parked {
                    delivery,
                    receipt,
                    home,
                    published_at,
                },
            ) => {
                if self.live {
                    self.read_back(identity, offset, now, out);
                } else {
                    self.restore_parked(
                        identity,
                        ParkedReceipt {
                            offset,
                            delivery: published_at.is_none().then_some(delivery),
                            receipt,
                            home,
                            state: published_at.map_or(ParkedState::NotReadBack, |at| {
                                ParkedState::PublishedAlone(plausible(at, now))
                            }),
                        },
                    );
                }
            }
            // A value that does not fit its key is not ours.
            _ => {}
        }
        self.rest();
    }

    /// A tombstone of the correlation topic was read.
    pub fn tombstone(&mut self, key: &Key<'_>) {
        match *key {
            Key::Entry {
                identity,
                submission,
            } => {
                if self.asleep.forget(identity, submission) {
                    return;
                }
                let state = self.identities.get(identity);
                if let Some(at) = state.and_then(|k| k.find(submission)) {
                    let limits = self.limits;
                    self.edit(identity, |k| {
                        k.remove(at, &limits);
                    });
                }
            }
            // One that was joined is gone by the time at which its tombstone comes back.
            Key::Parked { identity, offset } => {
                let state = self.identities.get(identity);
                if state.is_some_and(|k| k.parked.iter().any(|w| w.offset == offset)) {
                    self.edit(identity, |k| k.parked.retain(|w| w.offset != offset));
                }
            }
            Key::Segment { .. } | Key::Barrier { .. } => {}
        }
        self.rest();
    }

    /// A record of the correlation topic was read of which the value says nothing: one of ours that comes
    /// back, or one that nobody understands. If it is a parked receipt of ours, whatever was committed before
    /// it has been read.
    pub fn skipped(&mut self, key: &Key<'_>, now: Millis, out: &mut Vec<Effect>) {
        if let Key::Parked { identity, offset } = *key
            && self.live
        {
            self.read_back(identity, offset, now, out);
        }
        self.rest();
    }

    /// Everything that was in the log when this owner took over has been read.
    pub fn live(&mut self, now: Millis, out: &mut Vec<Effect>) {
        self.live = true;
        let (mut reunited, mut visitors) = (Vec::new(), Vec::new());
        for (identity, state) in &mut self.identities {
            for parked in &mut state.parked {
                if parked.home.is_some() {
                    visitors.push((identity.clone(), parked.offset));
                } else if parked.state == ParkedState::NotReadBack {
                    parked.state = ParkedState::Moment(now);
                }
            }
            state.outdated(identity, out);
            if !state.parked.is_empty() && state.has_entries() {
                reunited.push(identity.clone());
            }
        }
        let limits = self.limits;
        let due =
            |(name, state): (&Arc<str>, &IdentityState)| Some((state.due(&limits)?, name.clone()));
        self.timers = self.identities.iter().filter_map(due).collect();
        let parked = |(name, state): (&Arc<str>, &IdentityState)| {
            let name = name.clone();
            let offsets = state.offsets().into_iter();
            offsets.map(move |offset| (offset, name.clone()))
        };
        self.parked_by_age = self.identities.iter().flat_map(parked).collect();
        for identity in reunited {
            self.reunite(&identity, None, now, out);
        }
        for (identity, offset) in visitors {
            self.answer(&identity, offset, now, out);
        }
        self.shrink(now, out);
        self.rest();
    }

    /// The delivery at `offset` says `receipt` about `identity`. Deliveries come in order,
    /// and only once live.
    pub fn delivery(
        &mut self,
        identity: &str,
        offset: i64,
        delivery: Arc<Delivery>,
        receipt: Receipt,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> ReceiptOutcome {
        if receipt.tries == 0 {
            self.habits.receipt(identity);
        }
        if self.joined_asleep(identity, &delivery, &receipt, now, out) {
            self.rest();
            return ReceiptOutcome::Joined;
        }
        let outcome = self.delivered(identity, offset, delivery, receipt, now, out);
        self.rest();
        outcome
    }

    /// What nearly every receipt finds: the only message of its id, which sleeps, and no doubt. That is put to
    /// sleep again at once. `false` if there is more to it: then nobody of that id is asleep.
    fn joined_asleep(
        &mut self,
        identity: &str,
        delivery: &Arc<Delivery>,
        receipt: &Receipt,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(entry) = self.asleep.take(identity) else {
            return false;
        };
        let (limits, hasty) = (self.limits, self.habits.is_hasty(identity));
        let mut state = IdentityState::default();
        state.add(entry, &limits);
        let (whose, news) = state.asked(receipt, hasty);
        let whose = whose.filter(|whose| whose.is_sure(news));
        if let Some(whose) = &whose {
            let name: Arc<str> = identity.into();
            let delivery = Some(delivery.clone());
            publish(
                &mut state,
                &name,
                delivery,
                (whose, false),
                (now, &limits),
                out,
            );
            self.habits.exact(identity);
        }
        let joined = whose.is_some();
        let asleep = joined
            && state
                .only()
                .is_some_and(|entry| self.sleeps(identity, entry));
        if !asleep {
            self.edit(identity, |awake| *awake = state);
        }
        joined
    }

    fn delivered(
        &mut self,
        identity: &str,
        offset: i64,
        delivery: Arc<Delivery>,
        receipt: Receipt,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> ReceiptOutcome {
        let hasty = self.habits.is_hasty(identity);
        let state = self.identities.get(identity);
        let asked = state.map(|state| state.asked(&receipt, hasty));
        let (whose, news) = asked.unwrap_or((None, News::New));
        if news == News::Old {
            return ReceiptOutcome::Repeat;
        }
        let nobody = whose.is_none();
        if let Some(whose) = whose.filter(|whose| whose.is_sure(news)) {
            self.join(identity, Some(delivery), &whose, false, now, out);
            self.habits.exact(identity);
            return ReceiptOutcome::Joined;
        }
        if nobody
            && receipt.tries == 0
            && self.habits.prefers_other(identity)
            && let Some(to) = self.elsewhere(identity, &receipt)
        {
            out.push(Effect::Move {
                to,
                delivery,
                home: Some(identity.into()),
                tries: 0,
                unanswered: false,
            });
            return ReceiptOutcome::Moved;
        }
        let (name, key): (Arc<str>, _) = (identity.into(), keys::parked(identity, offset));
        let (ends, mut outcome) = (nobody && receipt.tries >= TRIES, ReceiptOutcome::Parked);
        let parked = ParkedReceipt {
            offset,
            delivery: Some(delivery.clone()),
            receipt,
            home: None,
            state: ParkedState::NotReadBack,
        };
        self.edit(identity, |state| {
            let at = state.parked.len();
            state.parked.push(parked);
            if !ends {
                out.push(Effect::Park {
                    key,
                    delivery,
                    published_at: None,
                });
            } else if state.end(at, &name, now, out) {
                outcome = ReceiptOutcome::PublishedAlone;
            } else {
                outcome = ReceiptOutcome::Repeat;
            }
        });
        self.shrink(now, out);
        outcome
    }

    /// The delivery at `offset` says `receipt` about `home`, and is looked for under `identity`,
    /// another form of its id. It finds its message there only if that is one, and to the recipient
    /// that the receipt names. One in doubt goes home, where it waits for its moment; any other waits
    /// until all was read that was written before it.
    pub fn visit(
        &mut self,
        way: (&str, &str),
        offset: i64,
        delivery: Arc<Delivery>,
        receipt: Receipt,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> ReceiptOutcome {
        self.wake(way.0);
        let outcome = self.visited(way, offset, delivery, receipt, now, out);
        self.rest();
        outcome
    }

    fn visited(
        &mut self,
        (identity, home): (&str, &str),
        offset: i64,
        delivery: Arc<Delivery>,
        receipt: Receipt,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> ReceiptOutcome {
        let hasty = self.habits.is_hasty(identity);
        let moment = self.limits.moment;
        let state = self.identities.get(identity);
        let answer = state.map(|state| state.answer(&receipt, hasty, now, moment));
        match answer.unwrap_or(Answer::Nobody) {
            Answer::Repeat => ReceiptOutcome::Repeat,
            Answer::Found(whose) => {
                self.join(identity, Some(delivery), &whose, true, now, out);
                ReceiptOutcome::Joined
            }
            Answer::Doubt => {
                out.push(Effect::Move {
                    to: home.to_owned(),
                    delivery,
                    home: None,
                    tries: receipt.tries.saturating_add(1),
                    unanswered: false,
                });
                ReceiptOutcome::Moved
            }
            Answer::Nobody => {
                out.push(Effect::Park {
                    key: keys::parked(identity, offset),
                    delivery: delivery.clone(),
                    published_at: None,
                });
                let visitor = ParkedReceipt {
                    offset,
                    delivery: Some(delivery),
                    receipt,
                    home: Some(home.into()),
                    state: ParkedState::Visiting(now),
                };
                self.edit(identity, |state| state.parked.push(visitor));
                self.shrink(now, out);
                ReceiptOutcome::Parked
            }
        }
    }

    /// All was read that was written before the visitor at `offset`: it finds its message now, or
    /// goes home.
    fn answer(&mut self, identity: &Arc<str>, offset: i64, now: Millis, out: &mut Vec<Effect>) {
        self.reunite_one(identity, offset, now, out);
        let mut missed = 0;
        self.edit(identity, |state| {
            for at in (0..state.parked.len()).rev() {
                let here = state.parked[at].offset == offset;
                if here && let Some(home) = state.parked[at].home.clone() {
                    let visitor = state.parked.remove(at);
                    visitor.go_home(&home, identity, true, out);
                    missed += 1;
                }
            }
        });
        for _ in 0..missed {
            self.habits.missed(identity);
        }
    }

    /// Where else a receipt may find its message, if it names a recipient by whom it is known there.
    fn elsewhere(&self, identity: &str, receipt: &Receipt) -> Option<String> {
        let of_phone = |one: Option<i64>| one.is_some_and(|number| number > 0) && !is_short(one);
        let names = of_phone(receipt.seen.recipient) || of_phone(receipt.to);
        names.then(|| self.habits.seek(identity)).flatten()
    }

    /// The log does not take the parked receipt at `offset`: it is published alone at once, if
    /// it still waits. What is remembered of it is in memory only.
    pub fn unkept(&mut self, identity: &str, offset: i64, now: Millis, out: &mut Vec<Effect>) {
        let Some((name, _)) = self.identities.get_key_value(identity) else {
            return;
        };
        let name = name.clone();
        self.edit(identity, |state| {
            let Some(at) = state.parked.iter().position(|w| w.offset == offset) else {
                return;
            };
            if state.is_out(at) {
                state.parked.remove(at);
            } else if state.parked[at].home.is_some() {
                state.end(at, &name, now, out);
            } else {
                state.parked[at].publish(&name, now, out);
            }
        });
        self.rest();
    }

    /// Does what is due, until there are about `most` effects; whether more is due.
    pub fn tick(&mut self, now: Millis, most: usize, out: &mut Vec<Effect>) -> bool {
        self.soon = now.saturating_add(SOON);
        let more = self.end_waits(now, most, out);
        self.rest();
        more
    }

    fn end_waits(&mut self, now: Millis, most: usize, out: &mut Vec<Effect>) -> bool {
        loop {
            self.wake_due(now);
            let Some((at, identity)) = self.timers.first() else {
                return false;
            };
            if *at > now {
                return false;
            }
            if out.len() >= most {
                return true;
            }
            let identity = identity.clone();
            self.due(&identity, now, out);
        }
    }

    /// Wakes those that are due before whoever is awake, and by now.
    fn wake_due(&mut self, now: Millis) {
        loop {
            let awake = self.timers.first().map_or(now, |(at, _)| now.min(*at));
            if self.asleep.due().is_none_or(|at| at > awake) {
                return;
            }
            let limits = self.limits;
            for (identity, entry) in self.asleep.wake(awake, &limits) {
                self.edit(&identity, |state| _ = state.add(entry, &limits));
            }
        }
    }

    /// Takes an identity out of those that sleep.
    fn wake(&mut self, identity: &str) {
        if let Some(entry) = self.asleep.take(identity) {
            let limits = self.limits;
            self.edit(identity, |state| _ = state.add(entry, &limits));
        }
    }

    /// Puts an entry to sleep that nothing else is known beside; `false` if it has to stay awake.
    fn sleeps(&mut self, identity: &str, entry: &Entry) -> bool {
        let due_soon = self.live && entry.deadline(&self.limits) <= self.soon;
        !due_soon
            && !self.identities.contains_key(identity)
            && self.asleep.put(identity, entry, &self.limits)
    }

    /// Puts those to sleep of which nothing is to be done any more.
    fn rest(&mut self) {
        while let Some(name) = self.drowsy.pop() {
            let Some(entry) = self.identities.get(&name).and_then(IdentityState::only) else {
                continue;
            };
            let due = entry.deadline(&self.limits);
            let due_soon = self.live && due <= self.soon;
            if due_soon || !self.asleep.put(&name, entry, &self.limits) {
                continue;
            }
            if let Some(state) = self.identities.remove(&name) {
                let size = state.size(name.len());
                self.size.entries -= size.entries;
                self.size.octets -= size.octets;
                self.timers.remove(&(due, name));
            }
        }
    }

    fn due(&mut self, identity: &Arc<str>, now: Millis, out: &mut Vec<Effect>) {
        let limits = self.limits;
        let mut surer = Vec::new();
        self.edit(identity, |state| {
            for entry in state.expire(now, &limits) {
                out.extend(entry.overdue());
                let key = entry.key(identity);
                out.push(Effect::Forget { key });
            }
            for parked in &mut state.parked {
                if let ParkedState::Moment(at) = parked.state
                    && parked.deadline(&limits) <= now
                {
                    parked.state = ParkedState::Grace(at);
                    surer.push(parked.offset);
                }
            }
        });
        // The message that it may have been of has not turned up.
        if !surer.is_empty() {
            self.reunite(identity, Some(&surer), now, out);
        }
        let parked = self.identities.get(identity).map_or(&[][..], |k| &k.parked);
        let elsewhere = |w: &ParkedReceipt| {
            if w.home.is_some() {
                return None;
            }
            let over = w.deadline(&limits) <= now;
            let most = match (w.state, over) {
                (ParkedState::Grace(_), true) => TRIES,
                (ParkedState::Grace(_), false) if surer.contains(&w.offset) => TRIES - 1,
                _ => return None,
            };
            let tries = w.receipt.tries < most;
            tries
                .then(|| self.elsewhere(identity, &w.receipt))
                .flatten()
        };
        let ways: Vec<Option<String>> = parked.iter().map(elsewhere).collect();
        self.edit(identity, |state| {
            for (at, way) in ways.into_iter().enumerate().rev() {
                let due = state.parked[at].deadline(&limits) <= now;
                if let Some(to) = way {
                    state.parked.remove(at).go(to, identity, out);
                } else if due {
                    state.end(at, identity, now, out);
                }
            }
        });
    }

    /// Ends the wait of the oldest receipts without a message until the others fit.
    fn shrink(&mut self, now: Millis, out: &mut Vec<Effect>) {
        while self.size.receipt_octets > self.limits.parked_octets {
            let Some((offset, identity)) = self.parked_by_age.first().cloned() else {
                return;
            };
            self.edit(&identity, |state| {
                for at in (0..state.parked.len()).rev() {
                    if state.parked[at].offset == offset {
                        state.end(at, &identity, now, out);
                    }
                }
            });
        }
    }

    /// An entry was read while live. Its time is another process's: one whose clock is days behind
    /// must not end the wait before it began.
    fn entry_read(&mut self, identity: &str, mut new: Entry, now: Millis, out: &mut Vec<Effect>) {
        new.set_submitted_at(new.submitted_at.max(now.saturating_sub(DAY)));
        if new.has_receipts() {
            return; // our own
        }
        self.wake(identity);
        if self.sleeps(identity, &new) {
            self.habits.response(identity, false);
            return;
        }
        let state = self.identities.get(identity);
        if let Some(before) = state.and_then(|k| k.at(k.find(&new.submission)?)) {
            // An SMSC that knows a message sent twice gives it the same id again.
            if before.has_receipts() {
                out.push(before.remembered(identity));
            }
            return;
        }
        let limits = self.limits;
        let near = |state: &IdentityState| {
            let concerns =
                |w: &ParkedReceipt| state.parked.len() < index::MANY || w.receipt.is_near(&new);
            let near = state.parked.iter().filter(|w| concerns(w));
            near.map(|w| w.offset).collect::<Vec<i64>>()
        };
        let near = state.map(near).unwrap_or_default();
        let mut again = false;
        let identity = self.edit(identity, |k| again = k.add(new, &limits));
        self.habits.response(&identity, again);
        if !near.is_empty() {
            self.reunite(&identity, Some(&near), now, out);
        }
    }

    fn restore_entry(&mut self, identity: &str, entry: Entry) {
        self.wake(identity);
        if self.sleeps(identity, &entry) {
            self.habits.old_response(identity, false);
            return;
        }
        let (limits, mut news) = (self.limits, None);
        self.edit(identity, |k| news = k.restore(entry, &limits));
        if let Some(again) = news {
            self.habits.old_response(identity, again);
        }
    }

    fn restore_parked(&mut self, identity: &str, mut new: ParkedReceipt) {
        if matches!(new.state, ParkedState::PublishedAlone(_)) {
            new.home = None; // An earlier version took it for one of its own.
        }
        self.edit(identity, |state| {
            state.parked.retain(|w| w.offset != new.offset);
            state.parked.push(new);
        });
    }

    /// Our own parked receipt came back: whatever was committed before it has been read.
    fn read_back(&mut self, identity: &str, offset: i64, now: Millis, out: &mut Vec<Effect>) {
        let Some((name, _)) = self.identities.get_key_value(identity) else {
            return;
        };
        if !self.parked_by_age.contains(&(offset, name.clone())) {
            return;
        }
        let mut visits = false;
        let name = self.edit(identity, |state| {
            let here = |w: &&mut ParkedReceipt| w.offset == offset;
            for parked in state.parked.iter_mut().filter(here) {
                match parked.state {
                    ParkedState::NotReadBack => parked.state = ParkedState::Moment(now),
                    ParkedState::Visiting(_) => visits = true,
                    ParkedState::Moment(_)
                    | ParkedState::Grace(_)
                    | ParkedState::PublishedAlone(_) => {}
                }
            }
        });
        if visits {
            self.answer(&name, offset, now, out);
        }
    }

    /// Joins the parked receipts of `identity`, or those of these offsets, with its entries; those
    /// that contradict all of them wait on, and those that are in doubt for as long as they may be.
    fn reunite(
        &mut self,
        identity: &Arc<str>,
        offsets: Option<&[i64]>,
        now: Millis,
        out: &mut Vec<Effect>,
    ) {
        let Some(state) = self.identities.get(identity) else {
            return;
        };
        let mut offsets = match offsets {
            Some(offsets) => offsets.to_vec(),
            None => state.offsets(),
        };
        offsets.sort_unstable();
        offsets.dedup();
        for offset in offsets {
            self.reunite_one(identity, offset, now, out);
        }
    }

    /// Joins the parked receipt at an offset, if it is sure enough by now.
    fn reunite_one(
        &mut self,
        identity: &Arc<str>,
        offset: i64,
        now: Millis,
        out: &mut Vec<Effect>,
    ) {
        let (hasty, moment) = (self.habits.is_hasty(identity), self.limits.moment);
        let mut done = Vec::new();
        self.edit(identity, |state| {
            for at in (0..state.parked.len()).rev() {
                if state.parked[at].offset != offset {
                    continue;
                }
                // It is not to be taken for a repeat of itself.
                let parked = state.parked.remove(at);
                match state.reunited(&parked, hasty, now, moment) {
                    Answer::Found(whose) => done.push((parked, Some(whose))),
                    Answer::Repeat => done.push((parked, None)),
                    Answer::Doubt | Answer::Nobody => state.parked.insert(at, parked),
                }
            }
        });
        for (parked, whose) in done {
            if let Some(whose) = whose {
                let other_form = parked.home.is_some();
                self.join(identity, parked.delivery, &whose, other_form, now, out);
                if !other_form {
                    self.habits.exact(identity);
                }
            }
            let key = keys::parked(identity, parked.offset);
            out.push(Effect::Forget { key });
        }
    }

    /// Gives a receipt to the entry it belongs to.
    fn join(
        &mut self,
        identity: &str,
        delivery: Option<Arc<Delivery>>,
        whose: &Whose,
        other_form: bool,
        now: Millis,
        out: &mut Vec<Effect>,
    ) {
        let Some((name, _)) = self.identities.get_key_value(identity) else {
            return;
        };
        let name = name.clone();
        let limits = self.limits;
        self.edit(identity, |state| {
            publish(
                state,
                &name,
                delivery,
                (whose, other_form),
                (now, &limits),
                out,
            );
        });
    }

    /// Changes what is known of `identity`, and with it the size, the timers and the index of parked
    /// receipts; what is empty afterwards is removed. Returns the identity's shared name.
    fn edit(&mut self, identity: &str, change: impl FnOnce(&mut IdentityState)) -> Arc<str> {
        self.wake(identity);
        let state = self.identities.entry_ref(identity).or_default();
        let (before, due, offsets) = (
            state.size(identity.len()),
            state.due(&self.limits),
            state.offsets(),
        );
        change(state);
        let (after, next) = (state.size(identity.len()), state.due(&self.limits));
        let (parked, empty) = (state.offsets(), state.is_empty());
        let may_sleep = state.only().is_some();
        self.size.entries = self.size.entries + after.entries - before.entries;
        self.size.parked = self.size.parked + after.parked - before.parked;
        self.size.octets = self.size.octets + after.octets - before.octets;
        self.size.receipt_octets =
            self.size.receipt_octets + after.receipt_octets - before.receipt_octets;
        let name = match self.identities.get_key_value(identity) {
            Some((name, _)) => name.clone(),
            None => identity.into(),
        };
        if self.live && due != next {
            if let Some(due) = due {
                self.timers.remove(&(due, name.clone()));
            }
            if let Some(next) = next {
                self.timers.insert((next, name.clone()));
            }
        }
        if self.live {
            let (gone, new) = differing(&offsets, &parked);
            for offset in gone {
                self.parked_by_age.remove(&(*offset, name.clone()));
            }
            for offset in new {
                self.parked_by_age.insert((*offset, name.clone()));
            }
        }
        if empty {
            self.identities.remove(identity);
        }
        if may_sleep {
            self.drowsy.push(name.clone());
        }
        name
    }
}

/// A receipt is published with the entry that it belongs to. Without its delivery it was published alone
/// before, and only counts.
fn publish(
    state: &mut IdentityState,
    name: &Arc<str>,
    delivery: Option<Arc<Delivery>>,
    (whose, other_form): (&Whose, bool),
    (now, limits): (Millis, &JoinLimits),
    out: &mut Vec<Effect>,
) {
    let raw = |at: &usize| state.at(*at).map(|c| c.raw.clone());
    let candidates = whose.candidates.iter().filter_map(raw).take(CANDIDATES);
    let candidates = candidates.collect();
    let Some(entry) = state.note(whose.at, &whose.seen, now, limits) else {
        return;
    };
    out.extend(delivery.map(|delivery| Effect::Publish {
        identity: name.clone(),
        delivery,
        entry: Some(entry.raw.clone()),
        candidates,
        other_form,
    }));
    out.push(entry.remembered(name));
}

/// Where two lists differ: without what they begin and end with alike.
fn differing<'a>(one: &'a [i64], two: &'a [i64]) -> (&'a [i64], &'a [i64]) {
    let alike = |(one, two): &(&i64, &i64)| one == two;
    let begin = one.iter().zip(two).take_while(alike).count();
    let (one, two) = (&one[begin..], &two[begin..]);
    let end = one
        .iter()
        .rev()
        .zip(two.iter().rev())
        .take_while(alike)
        .count();
    (&one[..one.len() - end], &two[..two.len() - end])
}
