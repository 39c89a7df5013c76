//! What is known of one identity.
//!
//! Mostly that is one message. An SMSC that gives one id to all has as many under it as are
//! remembered, so beyond a few they are found by an [`Index`] and never all looked at.

use std::sync::Arc;

use bytes::Bytes;

use super::crowd::{self, Index};
use super::whose::{Doubt, Whose};
use super::{Effect, Millis, Patience, Receipt, TRIES, To, UNREAD};
use crate::record::internal::{Likeness, Seen, compare};
use crate::record::keys;

/// So many published receipts are remembered of one message; of an SMSC that reports more
/// intermediate states than this, a very old one that is repeated is published again.
const SEEN: usize = 16;
/// So many are remembered for each of several recipients.
const SEEN_EACH: usize = 4;
/// So many recipients are expected of distribution lists.
const LISTED: usize = 64;

/// About what an identity takes, in octets, with its place in the maps and its timer.
const IDENTITY: usize = size_of::<Known>() + 160;

/// About what a parked receipt takes, with its place among the others.
const WAITING: usize = size_of::<Waiting>() + 40;

/// Two messages that had one id within this time: the SMSC uses its ids again quickly.
const QUICKLY: Millis = 10 * 60_000;

pub(super) struct Creation {
    pub(super) submission: Box<str>,
    pub(super) raw: Bytes,
    pub(super) submitted_at: Millis,
    /// How many recipients get a receipt each; `None` if nobody knows.
    pub(super) recipients: Option<u32>,
    /// Who they are.
    pub(super) to: To,
    /// The [`print`](super::print) of the sender.
    pub(super) sender: u32,
    /// Its user_message_reference.
    pub(super) reference: Option<u16>,
    /// It is so manieth of its identity.
    pub(super) order: u32,
    pub(super) seen: Vec<Seen>,
    /// When the last of the receipts that end the message was published.
    pub(super) final_at: Option<Millis>,
    /// Whether its last record in the log does not say what was published of it.
    pub(super) outdated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not read back from the log yet.
    Unread,
    /// Its grace runs since then, and first the moment in which its message may turn up.
    Since(Millis),
    /// The same, and that moment is over.
    Longer(Millis),
    /// A visitor since then, whose record is not read back from the log yet.
    Visits(Millis),
    /// Published alone then.
    Published(Millis),
}

pub(super) struct Waiting {
    pub(super) offset: i64,
    pub(super) delivery: Bytes,
    pub(super) receipt: Receipt,
    /// Of a visitor, which has its id in another form: its own identity.
    pub(super) home: Option<Arc<str>>,
    pub(super) wait: Wait,
}

#[derive(Default)]
pub(super) struct Known {
    /// In no order: [`Creation::order`] says which came first.
    creations: Vec<Creation>,
    pub(super) waiting: Vec<Waiting>,
    /// Finds creations where they are many.
    index: Option<Box<Index>>,
    /// How many creations there have been.
    count: u32,
    /// When the newest of them was submitted.
    newest: Option<Millis>,
    /// Whether the SMSC has used this id again within minutes.
    pub(super) repeats: bool,
}

/// How much a join holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Messages and parts remembered.
    pub creations: usize,
    /// Receipts parked or remembered alone.
    pub parked: usize,
    /// About how many octets both take, with everything that is kept for them.
    pub octets: usize,
    /// About how many of them are those of receipts, with what each identity takes.
    pub waiting: usize,
}

impl Creation {
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
            let same = |known: &&Seen| compare(known.recipient, seen.recipient) == Likeness::Same;
            let is_known = |known: &&Seen| names && same(known);
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
            creation: self.raw.clone(),
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
            creation: self.raw.clone(),
            seen: self.seen.clone(),
            final_at: self.final_at,
        }
    }

    pub(super) fn key(&self, identity: &str) -> String {
        format!("{identity}/{}", self.submission)
    }

    pub(super) fn deadline(&self, patience: &Patience) -> Millis {
        match (self.final_at, self.recipients) {
            (Some(at), _) => at.saturating_add(patience.retention),
            // Nobody gets it, so nothing is waited for.
            (None, Some(0)) => self.submitted_at.saturating_add(patience.retention),
            (None, _) => self.submitted_at.saturating_add(patience.ttl),
        }
    }

    pub(super) fn octets(&self) -> usize {
        let seen = self.seen.capacity() * size_of::<Seen>();
        size_of::<Creation>() + self.raw.len() + self.submission.len() + self.to.octets() + seen
    }
}

impl Waiting {
    /// Ends its wait: published alone, or forgotten if it was. `true` if it stays, as published.
    pub(super) fn end(&mut self, identity: &Arc<str>, now: Millis, out: &mut Vec<Effect>) -> bool {
        let key = keys::parked(identity, self.offset);
        if matches!(self.wait, Wait::Published(_)) {
            out.push(Effect::Forget { key });
            return false;
        }
        let delivery = self.publish(identity, now, out);
        out.push(Effect::Park {
            key,
            delivery,
            published_at: Some(now),
        });
        true
    }

    /// Publishes it alone. What is kept of it is that it was; returns the delivery.
    pub(super) fn publish(
        &mut self,
        identity: &Arc<str>,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> Bytes {
        let delivery = std::mem::take(&mut self.delivery);
        out.push(Effect::Publish {
            identity: identity.clone(),
            delivery: delivery.clone(),
            creation: None,
            candidates: Vec::new(),
            other_form: false,
        });
        self.wait = Wait::Published(now);
        delivery
    }

    pub(super) fn deadline(&self, patience: &Patience) -> Millis {
        match self.wait {
            Wait::Unread => Millis::MAX,
            Wait::Since(at) => at.saturating_add(patience.moment.min(patience.grace)),
            Wait::Longer(at) => at.saturating_add(patience.grace),
            Wait::Visits(at) if self.is_last() => at.saturating_add(UNREAD),
            Wait::Visits(at) => at.saturating_add(patience.moment),
            Wait::Published(at) => at.saturating_add(patience.retention),
        }
    }

    /// Whether it is not looked for again once it has come home from here.
    fn is_last(&self) -> bool {
        self.receipt.tries.saturating_add(1) >= TRIES
    }

    /// Leaves `identity`, its home, to be looked for under another form of its id.
    pub(super) fn go(self, to: String, identity: &Arc<str>, out: &mut Vec<Effect>) {
        let key = keys::parked(identity, self.offset);
        out.push(Effect::Move {
            to,
            delivery: self.delivery,
            home: Some(identity.clone()),
            tries: self.receipt.tries,
            unanswered: false,
        });
        out.push(Effect::Forget { key });
    }

    /// Leaves `identity` after a visit; `answered` if all was read in which its message may be.
    pub(super) fn go_home(self, home: &str, identity: &str, answered: bool, out: &mut Vec<Effect>) {
        let key = keys::parked(identity, self.offset);
        out.push(Effect::Move {
            to: home.to_owned(),
            unanswered: !answered && self.is_last(),
            delivery: self.delivery,
            home: None,
            tries: self.receipt.tries.saturating_add(1),
        });
        out.push(Effect::Forget { key });
    }

    /// Whether it is to be given to the message that it fits.
    pub(super) fn is_sure(&self, whose: &Whose, news: News) -> bool {
        match self.wait {
            Wait::Unread | Wait::Since(_) => whose.doubt == Doubt::None && news != News::Perhaps,
            Wait::Longer(_) | Wait::Visits(_) | Wait::Published(_) => true,
        }
    }

    fn octets(&self) -> usize {
        let home = self.home.as_ref().map_or(0, |home| home.len());
        self.delivery.len() + home + WAITING
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

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        self.creations.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn has_creations(&self) -> bool {
        !self.creations.is_empty()
    }

    /// The creation at a place.
    pub(super) fn at(&self, at: usize) -> Option<&Creation> {
        self.creations.get(at)
    }

    /// Where the creation of a key stands.
    pub(super) fn find(&self, submission: &str) -> Option<usize> {
        let is = |at: &usize| self.at(*at).is_some_and(|c| &*c.submission == submission);
        match &self.index {
            Some(index) => index.named(submission).find(is),
            None => (0..self.creations.len()).find(is),
        }
    }

    /// Most identities have one creation: room for one is what they get. `true` if it is known by
    /// now that the id was used again within minutes.
    pub(super) fn add(&mut self, mut creation: Creation, patience: &Patience) -> bool {
        let at = creation.submitted_at;
        let before = self.newest.replace(self.newest.map_or(at, |n| n.max(at)));
        let quickly = before.is_some_and(|before| (at - before).abs() < QUICKLY);
        // Parts of one message may share an id.
        let record = creation.record();
        let again = quickly
            && self
                .creations
                .iter()
                .rev()
                .take(2)
                .any(|c| c.record() != record);
        self.repeats |= again;
        creation.order = self.count;
        self.count = self.count.wrapping_add(1);
        if self.creations.len() == self.creations.capacity() {
            self.creations.reserve_exact(match self.creations.len() {
                few @ 0..crowd::MANY => few.min(1) + 1,
                many => many / 4,
            });
        }
        self.creations.push(creation);
        let last = self.creations.len() - 1;
        if let Some(index) = &mut self.index {
            index.add(last, &self.creations[last], patience);
        } else if self.creations.len() > crowd::MANY {
            self.index = Some(Index::of(&self.creations, patience).into());
        }
        again
    }

    /// Takes the creation at a place out.
    pub(super) fn remove(&mut self, at: usize, patience: &Patience) -> Creation {
        let last = self.creations.len() - 1;
        if let Some(index) = &mut self.index {
            index.remove(at, &self.creations[at], patience);
            if at != last {
                index.remove(last, &self.creations[last], patience);
            }
        }
        let gone = self.creations.swap_remove(at);
        if let (Some(index), Some(moved)) = (&mut self.index, self.creations.get(at)) {
            index.add(at, moved, patience);
        }
        if self.creations.len() < crowd::MANY / 4 {
            self.index = None;
            self.creations.shrink_to_fit();
        }
        gone
    }

    /// Notes that `receipt` was published of the creation at a place, which it returns.
    pub(super) fn note(
        &mut self,
        at: usize,
        receipt: &Seen,
        now: Millis,
        patience: &Patience,
    ) -> Option<&Creation> {
        let creation = self.creations.get_mut(at)?;
        if let Some(index) = &mut self.index {
            index.remove_receipts(at, creation, patience);
        }
        creation.note(receipt, now);
        if let Some(index) = &mut self.index {
            index.add_receipts(at, creation, patience);
        }
        Some(creation)
    }

    /// Takes those out whose time is over.
    pub(super) fn expire(&mut self, now: Millis, patience: &Patience) -> Vec<Creation> {
        let mut gone = Vec::new();
        loop {
            let over = |at: &usize| self.creations[*at].deadline(patience) <= now;
            let next = match &self.index {
                Some(index) => index.first().filter(over),
                None => (0..self.creations.len()).find(over),
            };
            let Some(at) = next else { return gone };
            gone.push(self.remove(at, patience));
        }
    }

    /// A creation as it stands in the log; one that is written anew says nothing of receipts,
    /// and what was published of it before still counts.
    /// `None` if it was known, otherwise whether the id is known by now to be used again within minutes.
    pub(super) fn restore(&mut self, new: Creation, patience: &Patience) -> Option<bool> {
        let Some(at) = self.find(&new.submission) else {
            return Some(self.add(new, patience));
        };
        let before = &mut self.creations[at];
        if before.has_receipts() && !new.has_receipts() {
            before.outdated = true;
            return None;
        }
        if let Some(index) = &mut self.index {
            index.remove(at, before, patience);
        }
        *before = Creation {
            order: before.order,
            ..new
        };
        if let Some(index) = &mut self.index {
            index.add(at, before, patience);
        }
        None
    }

    /// What is to be written of creations that a record in the log does not say.
    pub(super) fn outdated(&mut self, identity: &str, out: &mut Vec<Effect>) {
        for creation in &mut self.creations {
            if std::mem::take(&mut creation.outdated) {
                out.push(creation.remembered(identity));
            }
        }
    }

    /// Its index is what one made anew would be.
    #[cfg(test)]
    pub(super) fn check(&self, patience: &Patience) {
        if let Some(index) = &self.index {
            assert!(**index == Index::of(&self.creations, patience), "index");
        }
    }

    /// The creations that `receipt` may be about, as far as that can be told without looking at
    /// all of them.
    pub(super) fn near(&self, receipt: &Receipt) -> Vec<usize> {
        let all = || (0..self.creations.len()).collect();
        let Some(index) = &self.index else {
            return all();
        };
        index.near(receipt, &self.creations).unwrap_or_else(all)
    }

    /// Whether the octets of `receipt` were published or parked already.
    pub(super) fn has(&self, receipt: &Receipt) -> Same {
        let new = &receipt.seen;
        let published: Vec<&Seen> = match &self.index {
            Some(index) => (index.said(new.digest))
                .filter_map(|at| self.at(at))
                .flat_map(|c| &c.seen)
                .collect(),
            None => self.creations.iter().flat_map(|c| &c.seen).collect(),
        };
        let parked = self.waiting.iter().map(|w| &w.receipt.seen);
        let mut before = published
            .into_iter()
            .chain(parked)
            .filter(|seen| seen.same_octets(new))
            .peekable();
        if before.peek().is_none() {
            return Same::No;
        }
        let in_session = |seen: &Seen| new.session.is_some() && seen.session == new.session;
        match before.all(in_session) {
            true => Same::InSession,
            false => Same::Yes,
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

    /// What a visitor finds here: its message only if that is one, and to the recipient that it names.
    pub(super) fn answer(
        &self,
        receipt: &Receipt,
        hasty: bool,
        now: Millis,
        moment: Millis,
    ) -> Answer {
        let whose = self.whose(receipt, hasty);
        let news = self.news(receipt, whose.as_ref(), hasty);
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
        waiting: &Waiting,
        hasty: bool,
        now: Millis,
        moment: Millis,
    ) -> Answer {
        let receipt = &waiting.receipt;
        if waiting.home.is_some() {
            return self.answer(receipt, hasty, now, moment);
        }
        let whose = self.whose(receipt, hasty);
        let news = self.news(receipt, whose.as_ref(), hasty);
        match whose.filter(|whose| waiting.is_sure(whose, news)) {
            Some(whose) if news == News::New => Answer::Found(whose),
            Some(_) => Answer::Repeat,
            None => Answer::Nobody,
        }
    }

    /// Whether the parked receipt at a place waits, and the same octets were published alone. If nobody
    /// is left whose it may be, it is the same receipt then.
    pub(super) fn is_out(&self, at: usize) -> bool {
        let seen = &self.waiting[at].receipt.seen;
        let alone = |w: &Waiting| matches!(w.wait, Wait::Published(_));
        let same = |w: &Waiting| alone(w) && w.receipt.seen.same_octets(seen);
        !alone(&self.waiting[at]) && self.waiting.iter().any(same)
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
        if let Some(home) = self.waiting[at].home.clone() {
            let visitor = self.waiting.remove(at);
            visitor.go_home(&home, identity, false, out);
            return false;
        }
        let stays = match self.is_out(at) {
            true => {
                let key = keys::parked(identity, self.waiting[at].offset);
                out.push(Effect::Forget { key });
                false
            }
            false => self.waiting[at].end(identity, now, out),
        };
        if !stays {
            self.waiting.remove(at);
        }
        stays
    }

    /// When the first of all its waits ends; `None` if none has an end yet.
    pub(super) fn due(&self, patience: &Patience) -> Option<Millis> {
        let creations = match &self.index {
            Some(index) => index.due(),
            None => (self.creations.iter()).map(|c| c.deadline(patience)).min(),
        };
        let waiting = self.waiting.iter().map(|w| w.deadline(patience)).min();
        let due = creations.into_iter().chain(waiting).min();
        due.filter(|at| *at < Millis::MAX)
    }

    /// The offsets of its parked receipts.
    pub(super) fn offsets(&self) -> Vec<i64> {
        self.waiting.iter().map(|w| w.offset).collect()
    }

    /// What it takes under a name of so many octets.
    pub(super) fn size(&self, name: usize) -> Size {
        if self.is_empty() {
            return Size::default();
        }
        let creations: usize = match &self.index {
            Some(index) => index.octets(),
            None => self.creations.iter().map(Creation::octets).sum(),
        };
        let waiting: usize = self.waiting.iter().map(Waiting::octets).sum();
        let identity = IDENTITY + name;
        Size {
            creations: self.creations.len(),
            parked: self.waiting.len(),
            octets: creations + waiting + identity,
            waiting: match self.waiting.is_empty() {
                true => 0,
                false => waiting + identity,
            },
        }
    }
}
