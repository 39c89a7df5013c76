//! What is known of one identity.

use bytes::Bytes;

use std::sync::Arc;

use super::{Effect, Millis, Patience, Receipt, To};
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

pub(super) struct Creation {
    pub(super) which: Box<str>,
    pub(super) raw: Bytes,
    pub(super) submitted_at: Millis,
    /// How many recipients get a receipt each; `None` if nobody knows.
    pub(super) recipients: Option<u32>,
    /// Who they are.
    pub(super) to: To,
    /// The [`print`](super::print) of the sender.
    pub(super) sender: u32,
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
    /// Its grace runs since then.
    Since(Millis),
    /// Published alone then.
    Published(Millis),
}

pub(super) struct Waiting {
    pub(super) offset: i64,
    pub(super) delivery: Bytes,
    pub(super) receipt: Receipt,
    pub(super) wait: Wait,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) creations: Vec<Creation>,
    pub(super) waiting: Vec<Waiting>,
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
    pub(super) fn note(&mut self, receipt: &Seen, now: Millis) {
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
        format!("{identity}/{}", self.which)
    }

    pub(super) fn deadline(&self, patience: &Patience) -> Millis {
        match (self.final_at, self.recipients) {
            (Some(at), _) => at.saturating_add(patience.retention),
            // Nobody gets it, so nothing is waited for.
            (None, Some(0)) => self.submitted_at.saturating_add(patience.retention),
            (None, _) => self.submitted_at.saturating_add(patience.ttl),
        }
    }

    fn octets(&self) -> usize {
        let seen = self.seen.capacity() * size_of::<Seen>();
        size_of::<Creation>() + self.raw.len() + self.which.len() + self.to.octets() + seen
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
        });
        self.wait = Wait::Published(now);
        delivery
    }

    pub(super) fn deadline(&self, patience: &Patience) -> Millis {
        match self.wait {
            Wait::Unread => Millis::MAX,
            Wait::Since(at) => at.saturating_add(patience.grace),
            Wait::Published(at) => at.saturating_add(patience.retention),
        }
    }
}

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        self.creations.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn find(&self, which: &str) -> Option<&Creation> {
        self.creations.iter().find(|c| &*c.which == which)
    }

    /// Most identities have one creation: room for one is what they get.
    pub(super) fn add(&mut self, creation: Creation) {
        self.creations.reserve_exact(1);
        self.creations.push(creation);
    }

    /// A creation as it stands in the log; one that is written anew says nothing of receipts,
    /// and what was published of it before still counts.
    pub(super) fn restore(&mut self, new: Creation) {
        let mut all = self.creations.iter_mut();
        match all.find(|c| c.which == new.which) {
            Some(before) if before.has_receipts() && !new.has_receipts() => before.outdated = true,
            Some(before) => *before = new,
            None => self.add(new),
        }
    }

    /// Whether `receipt` was published or parked already: the same octets.
    pub(super) fn has(&self, receipt: &Receipt) -> bool {
        let published = self.creations.iter().flat_map(|c| &c.seen);
        let parked = self.waiting.iter().map(|w| &w.receipt.seen);
        let new = &receipt.seen;
        // Two checksums: the one of what is said makes nothing else of the same octets.
        let same = |seen: &Seen| {
            let reports = seen.report.zip(new.report);
            (seen.state, seen.digest) == (new.state, new.digest)
                && reports.is_none_or(|(one, two)| one == two)
        };
        published.chain(parked).any(same)
    }

    /// When the first of all its waits ends; `None` if none has an end yet.
    pub(super) fn due(&self, patience: &Patience) -> Option<Millis> {
        let creations = self.creations.iter().map(|c| c.deadline(patience));
        let waiting = self.waiting.iter().map(|w| w.deadline(patience));
        creations
            .chain(waiting)
            .min()
            .filter(|at| *at < Millis::MAX)
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
        let creations: usize = self.creations.iter().map(Creation::octets).sum();
        let waiting: usize = self
            .waiting
            .iter()
            .map(|w| w.delivery.len() + WAITING)
            .sum();
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
