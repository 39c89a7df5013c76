//! The state of one identity: the entries of its messages, and its parked receipts.
//!
//! Mostly that is one message. An SMSC that gives one id to all has as many under it as are
//! remembered, so beyond a few they are found by an [`Index`] and never all looked at.

use std::sync::Arc;

use bytes::Bytes;

use super::index::{self, Index};
use super::whose::{Doubt, Whose};
use super::{Effect, JoinLimits, Millis, Receipt, TRIES, To, UNREAD};
use crate::record::internal::{Delivery, Likeness, Seen, compare};
use crate::record::keys;

/// So many published receipts are remembered of one message; of an SMSC that reports more
/// intermediate states than this, a very old one that is repeated is published again.
const SEEN: usize = 16;
/// So many are remembered for each of several recipients.
const SEEN_EACH: usize = 4;
/// So many recipients are expected of distribution lists.
const LISTED: usize = 64;

/// About what an identity takes, in octets, with its place in the maps and its timer.
const IDENTITY: usize = size_of::<IdentityState>() + 160;

/// About what a parked receipt takes, with its place among the others.
const PARKED_RECEIPT: usize = size_of::<ParkedReceipt>() + 40;

/// Two messages that had one id within this time: the SMSC uses its ids again quickly.
const QUICKLY: Millis = 10 * 60_000;

/// What is remembered of a submitted message, or of a segment of it, until its last receipt.
pub(super) struct Entry {
    /// The rest of its key: which submission it is.
    pub(super) submission: Box<str>,
    /// Its record as it stands in the log, without what has been published since. Octets, because
    /// there is one for every message: a record that is read takes more, and few are needed again.
    pub(super) raw: Bytes,
    /// Whether `raw` says what follows of the submission, up to `reference`, as it stands here: then that can
    /// be read from it at any time.
    pub(super) stated: bool,
    /// When it was submitted, by another process's clock.
    pub(super) submitted_at: Millis,
    /// How many recipients get a receipt each; `None` if nobody knows.
    pub(super) recipients: Option<u32>,
    /// Who they are.
    pub(super) to: To,
    /// The [`sender_digest`](super::sender_digest) of the sender.
    pub(super) sender: u32,
    /// Its user_message_reference.
    pub(super) reference: Option<u16>,
    /// Its number among those of its identity: later ones have higher numbers.
    pub(super) order: u32,
    /// The receipts of it that were published, so that repeats are known; the oldest go first.
    pub(super) seen: Vec<Seen>,
    /// When the last of the receipts that end the message was published.
    pub(super) final_at: Option<Millis>,
    /// Whether its last record in the log does not say what was published of it.
    pub(super) outdated: bool,
}

/// How far a parked receipt is. At home:
///
/// ```text
///             read back       MOMENT          grace                     retention
/// NotReadBack ────────▶ Moment ─────▶ Grace ────────▶ PublishedAlone ──────────▶ forgotten
///      │                  │  │         │  │                 │
///      │                  │  │         │  └─ its message: published with it
///      └── refused by the log, or no memory: published alone before its time
///                         │  └─ its message, without a doubt: published with it
///                         └──────────┴─ another form of its id: moved there
/// ```
///
/// Under another form of its id, where it moved to:
///
/// ```text
///           read back
/// Visiting ───────────▶ its message: published with it; nobody: moved home
///     └── MOMENT, or UNREAD the last time: moved home, without an answer
/// ```
///
/// A message that turns up for a receipt that was published alone takes it out, and only notes that
/// it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ParkedState {
    /// Not read back from the log yet: entries committed before it may not be read either, so no
    /// time runs.
    NotReadBack,
    /// Its grace runs since then, and first the moment in which its message may turn up: until that
    /// is over it is given only to a message that it fits without a doubt.
    Moment(Millis),
    /// Its grace runs since then, and that moment is over.
    Grace(Millis),
    /// A visitor since then, whose record is not read back from the log yet.
    Visiting(Millis),
    /// Published alone then; kept so that its repeats are known.
    PublishedAlone(Millis),
}

/// A receipt that waits for its message, or waited; [`ParkedState`] draws its life.
pub(super) struct ParkedReceipt {
    /// Of its delivery; its record in the log has it in its key.
    pub(super) offset: i64,
    /// What came; `None` once it was published alone, after which it is only compared with.
    pub(super) delivery: Option<Arc<Delivery>>,
    /// What it says.
    pub(super) receipt: Receipt,
    /// Of a visitor, which has its id in another form: its own identity. A visitor is never published
    /// alone: that is decided at home.
    pub(super) home: Option<Arc<str>>,
    /// How far it is.
    pub(super) state: ParkedState,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct IdentityState {
    /// One for each submission; in no order: [`Entry::order`] says which came first.
    entries: Vec<Entry>,
    /// One for each offset.
    pub(super) parked: Vec<ParkedReceipt>,
    /// Finds `entries` by their places while they are many: what changes an entry changes it.
    index: Option<Box<Index>>,
    /// How many entries there have been: the next one's [`Entry::order`].
    count: u32,
    /// When the newest of them was submitted, also after it is forgotten.
    newest: Option<Millis>,
    /// Whether the SMSC has used this id again within minutes.
    pub(super) repeats: bool,
}

/// How much a join holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Messages and parts remembered.
    pub entries: usize,
    /// Receipts parked or remembered alone.
    pub parked: usize,
    /// About how many octets both take, with everything that is kept for them.
    pub octets: usize,
    /// About how many of those octets are of parked receipts, with what each identity takes.
    pub receipt_octets: usize,
}

impl Entry {
    /// It counts as submitted at this time, whatever `raw` says.
    pub(super) fn set_submitted_at(&mut self, at: Millis) {
        self.stated &= at == self.submitted_at;
        self.submitted_at = at;
    }

    /// Notes that `receipt` was published.
    fn note(&mut self, receipt: &Seen, now: Millis) {
        if self.seen.len() >= self.remembers() {
            // Those that end the message are counted: they go last.
            let oldest = self.seen.iter().position(|seen| !seen.is_final());
            self.seen.remove(oldest.unwrap_or(0));
        }
        self.seen.reserve_exact(1);
        self.seen.push(*receipt);
        if receipt.is_final() && self.final_at.is_none() && self.missing() == Some(0) {
            self.final_at = Some(now);
        }
    }

    /// How many published receipts of it are remembered.
    fn remembers(&self) -> usize {
        let recipients = self.recipients.map_or(LISTED, |n| n as usize);
        SEEN.max(SEEN_EACH * recipients)
    }

    /// How many recipients' final receipts have not been published; `None` if nobody knows.
    pub(super) fn missing(&self) -> Option<u32> {
        let mut found: Vec<&Seen> = Vec::new();
        for seen in self.seen.iter().filter(|seen| seen.is_final()) {
            // Whoever cannot be told from others is taken for another one.
            let names = seen.recipient.is_some_and(|number| number > 0);
            let same = |state: &&Seen| compare(state.recipient, seen.recipient) == Likeness::Same;
            let is_known = |state: &&Seen| names && same(state);
            if !found.iter().any(is_known) {
                found.push(seen);
            }
            // Most messages have one recipient, so one is enough.
            if self.recipients.is_some_and(|n| found.len() >= n as usize) {
                break;
            }
        }
        Some(self.recipients?.saturating_sub(found.len() as u32))
    }

    /// The event that receipts are missing, at the end of the wait for them; `None` if none
    /// may be.
    pub(super) fn overdue(&self) -> Option<Effect> {
        let missing = self.missing();
        let any = match missing {
            Some(missing) => missing > 0,
            None => !self.seen.iter().any(Seen::is_final),
        };
        (any && self.final_at.is_none()).then(|| Effect::Overdue {
            entry: self.raw.clone(),
            missing,
        })
    }

    /// Whether any receipt of it was published.
    pub(super) fn has_receipts(&self) -> bool {
        !self.seen.is_empty() || self.final_at.is_some()
    }

    /// What was published of it, to be written.
    pub(super) fn remembered(&self, identity: &str) -> Effect {
        Effect::Remember {
            key: self.key(identity),
            entry: self.raw.clone(),
            seen: self.seen.clone(),
            final_at: self.final_at,
        }
    }

    pub(super) fn key(&self, identity: &str) -> String {
        [identity, "/", &self.submission].concat()
    }

    pub(super) fn deadline(&self, limits: &JoinLimits) -> Millis {
        match (self.final_at, self.recipients) {
            (Some(at), _) => at.saturating_add(limits.retention),
            // Nobody gets it, so nothing is waited for.
            (None, Some(0)) => self.submitted_at.saturating_add(limits.retention),
            (None, _) => self.submitted_at.saturating_add(limits.ttl),
        }
    }

    pub(super) fn octets(&self) -> usize {
        let seen = self.seen.capacity() * size_of::<Seen>();
        size_of::<Entry>() + self.raw.len() + self.submission.len() + self.to.octets() + seen
    }
}

impl ParkedReceipt {
    /// Ends its wait: published alone, or forgotten if it was. `true` if it stays, as published.
    pub(super) fn end(&mut self, identity: &Arc<str>, now: Millis, out: &mut Vec<Effect>) -> bool {
        let key = keys::parked(identity, self.offset);
        let Some(delivery) = self.publish(identity, now, out) else {
            out.push(Effect::Forget { key });
            return false;
        };
        out.push(Effect::Park {
            key,
            delivery,
            published_at: Some(now),
        });
        true
    }

    /// Publishes it alone, unless it was. What is kept of it is that it was; returns the delivery.
    pub(super) fn publish(
        &mut self,
        identity: &Arc<str>,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> Option<Arc<Delivery>> {
        let delivery = self.delivery.take()?;
        out.push(Effect::Publish {
            identity: identity.clone(),
            delivery: delivery.clone(),
            entry: None,
            candidates: Vec::new(),
            other_form: false,
        });
        self.state = ParkedState::PublishedAlone(now);
        Some(delivery)
    }

    pub(super) fn deadline(&self, limits: &JoinLimits) -> Millis {
        match self.state {
            ParkedState::NotReadBack => Millis::MAX,
            ParkedState::Moment(at) => at.saturating_add(limits.moment.min(limits.grace)),
            ParkedState::Grace(at) => at.saturating_add(limits.grace),
            ParkedState::Visiting(at) if self.is_last() => at.saturating_add(UNREAD),
            ParkedState::Visiting(at) => at.saturating_add(limits.moment),
            ParkedState::PublishedAlone(at) => at.saturating_add(limits.retention),
        }
    }

    /// Whether it is not looked for again once it has come home from here.
    fn is_last(&self) -> bool {
        self.receipt.tries.saturating_add(1) >= TRIES
    }

    /// Leaves `identity`, its home, to be looked for under another form of its id.
    pub(super) fn go(self, to: String, identity: &Arc<str>, out: &mut Vec<Effect>) {
        let (home, tries) = (Some(identity.clone()), self.receipt.tries);
        self.leave(identity, (to, home, tries), false, out);
    }

    /// Leaves `identity` after a visit; `answered` if all was read in which its message may be.
    pub(super) fn go_home(self, home: &str, identity: &str, answered: bool, out: &mut Vec<Effect>) {
        let unanswered = !answered && self.is_last();
        let tries = self.receipt.tries.saturating_add(1);
        self.leave(identity, (home.to_owned(), None, tries), unanswered, out);
    }

    fn leave(
        self,
        identity: &str,
        (to, home, tries): (String, Option<Arc<str>>, u8),
        unanswered: bool,
        out: &mut Vec<Effect>,
    ) {
        out.extend(self.delivery.map(|delivery| Effect::Move {
            to,
            delivery,
            home,
            tries,
            unanswered,
        }));
        let key = keys::parked(identity, self.offset);
        out.push(Effect::Forget { key });
    }

    /// Whether it is to be given to the message that it fits.
    pub(super) fn is_sure(&self, whose: &Whose, news: News) -> bool {
        match self.state {
            ParkedState::NotReadBack | ParkedState::Moment(_) => {
                whose.doubt == Doubt::None && news != News::Perhaps
            }
            ParkedState::Grace(_) | ParkedState::Visiting(_) | ParkedState::PublishedAlone(_) => {
                true
            }
        }
    }

    fn octets(&self) -> usize {
        let home = self.home.as_ref().map_or(0, |home| home.len());
        let delivery = self.delivery.as_ref().map_or(0, |d| d.octets());
        delivery + home + PARKED_RECEIPT
    }
}

/// What is known of the same octets as a receipt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// They are new.
    No,
    /// They came before, and an SMSC says again what it has no acknowledgement of.
    Yes,
    /// They came before in the session that they came in now, in which they were acknowledged: it
    /// may say the same of another message.
    InSession,
}

/// Whether a receipt says something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It was published or parked before.
    Old,
    /// It was, unless a message turns up that it is about.
    Perhaps,
    /// It does.
    New,
}

/// What a receipt finds that waits, or is looked for under another form of its id.
pub(super) enum Answer {
    /// It was published or parked before.
    Repeat,
    /// Its message.
    Found(Whose),
    /// One that it may be of, unless its own turns up in a moment.
    Doubt,
    /// None that it is of.
    Nobody,
}

impl IdentityState {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.parked.is_empty()
    }

    pub(super) fn has_entries(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Its entry, if nothing else is known of it than that.
    pub(super) fn only(&self) -> Option<&Entry> {
        let (entry, others) = self.entries.split_first()?;
        let is_new = self.count == 1 && !self.repeats && self.newest == Some(entry.submitted_at);
        let is_only = others.is_empty() && self.parked.is_empty() && self.index.is_none();
        (is_new && is_only && entry.order == 0 && !entry.outdated).then_some(entry)
    }

    /// The entry at a place.
    pub(super) fn at(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)
    }

    /// Where the entry of a key stands.
    pub(super) fn find(&self, submission: &str) -> Option<usize> {
        let is = |at: &usize| self.at(*at).is_some_and(|c| &*c.submission == submission);
        match &self.index {
            Some(index) => index.named(submission).find(is),
            None => (0..self.entries.len()).find(is),
        }
    }

    /// Most identities have one entry: room for one is what they get. `true` if it is known by
    /// now that the id was used again within minutes.
    pub(super) fn add(&mut self, mut entry: Entry, limits: &JoinLimits) -> bool {
        let at = entry.submitted_at;
        let before = self.newest.replace(self.newest.map_or(at, |n| n.max(at)));
        let quickly = before.is_some_and(|before| (at - before).abs() < QUICKLY);
        // Parts of one message may share an id.
        let record = entry.record();
        let again = quickly
            && self
                .entries
                .iter()
                .rev()
                .take(2)
                .any(|c| c.record() != record);
        self.repeats |= again;
        entry.order = self.count;
        self.count = self.count.wrapping_add(1);
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(match self.entries.len() {
                few @ 0..index::MANY => few.min(1) + 1,
                many => many / 4,
            });
        }
        self.entries.push(entry);
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            index.add(last, &self.entries[last], limits);
        } else if self.entries.len() > index::MANY {
            self.index = Some(Index::of(&self.entries, limits).into());
        }
        again
    }

    /// Takes the entry at a place out.
    pub(super) fn remove(&mut self, at: usize, limits: &JoinLimits) -> Entry {
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            index.remove(at, &self.entries[at], limits);
            if at != last {
                index.remove(last, &self.entries[last], limits);
            }
        }
        let gone = self.entries.swap_remove(at);
        if let (Some(index), Some(moved)) = (&mut self.index, self.entries.get(at)) {
            index.add(at, moved, limits);
        }
        if self.entries.len() < index::MANY / 4 {
            self.index = None;
            self.entries.shrink_to_fit();
        }
        gone
    }

    /// Notes that `receipt` was published of the entry at a place, which it returns.
    pub(super) fn note(
        &mut self,
        at: usize,
        receipt: &Seen,
        now: Millis,
        limits: &JoinLimits,
    ) -> Option<&Entry> {
        let entry = self.entries.get_mut(at)?;
        if let Some(index) = &mut self.index {
            index.remove_receipts(at, entry, limits);
        }
        entry.note(receipt, now);
        if let Some(index) = &mut self.index {
            index.add_receipts(at, entry, limits);
        }
        Some(entry)
    }

    /// Takes those out whose time is over.
    pub(super) fn expire(&mut self, now: Millis, limits: &JoinLimits) -> Vec<Entry> {
        let mut gone = Vec::new();
        loop {
            let over = |at: &usize| self.entries[*at].deadline(limits) <= now;
            let next = match &self.index {
                Some(index) => index.first().filter(over),
                None => (0..self.entries.len()).find(over),
            };
            let Some(at) = next else { return gone };
            gone.push(self.remove(at, limits));
        }
    }

    /// An entry as it stands in the log; one that is written anew says nothing of receipts,
    /// and what was published of it before still counts.
    /// `None` if it was known, otherwise whether the id is known by now to be used again within minutes.
    pub(super) fn restore(&mut self, new: Entry, limits: &JoinLimits) -> Option<bool> {
        let Some(at) = self.find(&new.submission) else {
            return Some(self.add(new, limits));
        };
        let before = &mut self.entries[at];
        if before.has_receipts() && !new.has_receipts() {
            before.outdated = true;
            return None;
        }
        if let Some(index) = &mut self.index {
            index.remove(at, before, limits);
        }
        *before = Entry {
            order: before.order,
            ..new
        };
        if let Some(index) = &mut self.index {
            index.add(at, before, limits);
        }
        None
    }

    /// What is to be written of entries that a record in the log does not say.
    pub(super) fn outdated(&mut self, identity: &str, out: &mut Vec<Effect>) {
        for entry in &mut self.entries {
            if std::mem::take(&mut entry.outdated) {
                out.push(entry.remembered(identity));
            }
        }
    }

    /// Its index is what one made anew would be.
    #[cfg(test)]
    pub(super) fn check(&self, limits: &JoinLimits) {
        if let Some(index) = &self.index {
            assert!(**index == Index::of(&self.entries, limits), "index");
        }
    }

    /// The entries that `receipt` may be about, as far as that can be told without looking at
    /// all of them.
    pub(super) fn near(&self, receipt: &Receipt) -> Vec<usize> {
        let all = || (0..self.entries.len()).collect();
        let Some(index) = &self.index else {
            return all();
        };
        index.near(receipt, &self.entries).unwrap_or_else(all)
    }

    /// Whether the octets of `receipt` were published or parked already.
    pub(super) fn has(&self, receipt: &Receipt) -> Same {
        let new = &receipt.seen;
        let published: Vec<&Seen> = match &self.index {
            Some(index) => (index.published(new.digest))
                .filter_map(|at| self.at(at))
                .flat_map(|c| &c.seen)
                .collect(),
            None => self.entries.iter().flat_map(|c| &c.seen).collect(),
        };
        let parked = self.parked.iter().map(|w| &w.receipt.seen);
        let mut before = published
            .into_iter()
            .chain(parked)
            .filter(|seen| seen.same_octets(new))
            .peekable();
        if before.peek().is_none() {
            return Same::No;
        }
        let in_session = |seen: &Seen| new.session.is_some() && seen.session == new.session;
        if before.all(in_session) {
            Same::InSession
        } else {
            Same::Yes
        }
    }

    /// Whether `receipt` is news, which is `whose` if it is anybody's. `hasty` if the SMSC is known to
    /// use ids again within minutes.
    pub(super) fn news(&self, receipt: &Receipt, whose: Option<&Whose>, hasty: bool) -> News {
        match (self.has(receipt), whose) {
            (Same::No, None) => News::New,
            (Same::No, Some(whose)) if whose.repeats => News::Old,
            (Same::No, Some(_)) => News::New,
            (Same::Yes, _) => News::Old,
            (Same::InSession, _) if !receipt.seen.is_final() => News::Old,
            // Of several messages that look alike each has its receipt.
            (Same::InSession, None) => News::New,
            (Same::InSession, Some(whose)) if whose.waits => News::New,
            (Same::InSession, Some(_)) if hasty || self.repeats => News::Perhaps,
            (Same::InSession, Some(_)) => News::Old,
        }
    }

    /// Whose a receipt is, and whether it says something new.
    pub(super) fn asked(&self, receipt: &Receipt, hasty: bool) -> (Option<Whose>, News) {
        let whose = self.whose(receipt, hasty);
        let news = self.news(receipt, whose.as_ref(), hasty);
        (whose, news)
    }

    /// What a visitor finds here: its message only if that is one, and to the recipient that it names.
    pub(super) fn answer(
        &self,
        receipt: &Receipt,
        hasty: bool,
        now: Millis,
        moment: Millis,
    ) -> Answer {
        let (whose, news) = self.asked(receipt, hasty);
        // Whoever was on the way before has waited at home, whatever the clocks say.
        let may_turn_up =
            receipt.tries == 0 && receipt.received.is_some_and(|at| now - at < moment);
        if news == News::Old || (news == News::Perhaps && !may_turn_up) {
            return Answer::Repeat;
        }
        let is_its = |whose: &Whose| whose.names && whose.candidates.len() < 2;
        match whose.filter(is_its) {
            Some(whose) if may_turn_up && (whose.doubt, news) != (Doubt::None, News::New) => {
                Answer::Doubt
            }
            Some(whose) => Answer::Found(whose),
            None => Answer::Nobody,
        }
    }

    /// What a parked receipt finds, which is not among the others.
    pub(super) fn reunited(
        &self,
        parked: &ParkedReceipt,
        hasty: bool,
        now: Millis,
        moment: Millis,
    ) -> Answer {
        let receipt = &parked.receipt;
        if parked.home.is_some() {
            return self.answer(receipt, hasty, now, moment);
        }
        let (whose, news) = self.asked(receipt, hasty);
        match whose.filter(|whose| parked.is_sure(whose, news)) {
            Some(whose) if news == News::New => Answer::Found(whose),
            Some(_) => Answer::Repeat,
            None => Answer::Nobody,
        }
    }

    /// Whether the parked receipt at a place waits, and the same octets were published alone. If nobody
    /// is left whose it may be, it is the same receipt then.
    pub(super) fn is_out(&self, at: usize) -> bool {
        let seen = &self.parked[at].receipt.seen;
        let alone = |w: &ParkedReceipt| matches!(w.state, ParkedState::PublishedAlone(_));
        let same = |w: &ParkedReceipt| alone(w) && w.receipt.seen.same_octets(seen);
        !alone(&self.parked[at]) && self.parked.iter().any(same)
    }

    /// Ends the wait of the parked receipt at a place: a visitor goes home. `true` if it stays, as
    /// published; otherwise it is removed.
    pub(super) fn end(
        &mut self,
        at: usize,
        identity: &Arc<str>,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> bool {
        if let Some(home) = self.parked[at].home.clone() {
            let visitor = self.parked.remove(at);
            visitor.go_home(&home, identity, false, out);
            return false;
        }
        let stays = if self.is_out(at) {
            let key = keys::parked(identity, self.parked[at].offset);
            out.push(Effect::Forget { key });
            false
        } else {
            self.parked[at].end(identity, now, out)
        };
        if !stays {
            self.parked.remove(at);
        }
        stays
    }

    /// When the first of all its waits ends; `None` if none has an end yet.
    pub(super) fn due(&self, limits: &JoinLimits) -> Option<Millis> {
        let entries = match &self.index {
            Some(index) => index.due(),
            None => (self.entries.iter()).map(|c| c.deadline(limits)).min(),
        };
        let parked = self.parked.iter().map(|w| w.deadline(limits)).min();
        let due = entries.into_iter().chain(parked).min();
        due.filter(|at| *at < Millis::MAX)
    }

    /// The offsets of its parked receipts.
    pub(super) fn offsets(&self) -> Vec<i64> {
        self.parked.iter().map(|w| w.offset).collect()
    }

    /// What it takes under a name of so many octets.
    pub(super) fn size(&self, name: usize) -> Size {
        if self.is_empty() {
            return Size::default();
        }
        let entries: usize = match &self.index {
            Some(index) => index.octets(),
            None => self.entries.iter().map(Entry::octets).sum(),
        };
        let parked: usize = self.parked.iter().map(ParkedReceipt::octets).sum();
        let identity = IDENTITY + name;
        Size {
            entries: self.entries.len(),
            parked: self.parked.len(),
            octets: entries + parked + identity,
            receipt_octets: if self.parked.is_empty() {
                0
            } else {
                parked + identity
            },
        }
    }
}
