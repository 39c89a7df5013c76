//! What is known of one identity.

use bytes::Bytes;

use std::sync::Arc;

use super::{Effect, Millis, Patience, Receipt};
use crate::record::internal::Seen;
use crate::record::keys;

/// So many published receipts are remembered of one message; of an SMSC that reports more
/// intermediate states than this, a very old one that is repeated is published again.
const SEEN: usize = 16;

/// About what the identity of a parked receipt takes, in octets: its name, its place among
/// the others, its timers.
const IDENTITY: usize = size_of::<Known>() + 200;

pub(super) struct Creation {
    pub(super) which: Box<str>,
    pub(super) raw: Bytes,
    pub(super) submitted_at: Millis,
    pub(super) seen: Vec<Seen>,
    pub(super) final_at: Option<Millis>,
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
    /// About how many octets both take.
    pub octets: usize,
    /// About how many of them are those of receipts, with what each identity takes.
    pub waiting: usize,
}

impl Creation {
    /// Notes that `receipt` was published; whether it is the first final one.
    pub(super) fn note(&mut self, receipt: &Receipt, now: Millis) -> bool {
        if self.seen.len() >= SEEN {
            self.seen.remove(0);
        }
        self.seen.push(receipt.seen);
        let first = receipt.last && self.final_at.is_none();
        if first {
            self.final_at = Some(now);
        }
        first
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
        match self.final_at {
            Some(at) => at.saturating_add(patience.retention),
            None => self.submitted_at.saturating_add(patience.ttl),
        }
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
        let delivery = std::mem::take(&mut self.delivery);
        out.push(Effect::Publish {
            identity: identity.clone(),
            delivery: delivery.clone(),
            creation: None,
        });
        out.push(Effect::Park {
            key,
            delivery,
            published_at: Some(now),
        });
        self.wait = Wait::Published(now);
        true
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
    pub(super) fn find(&self, which: &str) -> Option<&Creation> {
        self.creations.iter().find(|c| &*c.which == which)
    }

    /// Most identities have one creation: room for one is what they get.
    pub(super) fn add(&mut self, creation: Creation) {
        self.creations.reserve_exact(1);
        self.creations.push(creation);
    }

    /// The creation a receipt belongs to: the newest unfinished one, else the newest.
    pub(super) fn target(&self) -> Option<usize> {
        let newest = |(_, c): &(usize, &Creation)| (c.final_at.is_none(), c.submitted_at);
        self.creations
            .iter()
            .enumerate()
            .max_by_key(newest)
            .map(|(i, _)| i)
    }

    /// Whether `receipt` was published or parked already.
    pub(super) fn repeats(&self, receipt: &Receipt) -> bool {
        let published = self.creations.iter().flat_map(|c| &c.seen);
        let parked = self.waiting.iter().map(|w| &w.receipt.seen);
        if published.chain(parked).any(|seen| *seen == receipt.seen) {
            return true;
        }
        let same_state = |c: &Creation| c.seen.iter().any(|s| s.state == receipt.seen.state);
        receipt.last
            && self
                .target()
                .and_then(|i| self.creations.get(i))
                .is_some_and(same_state)
    }

    pub(super) fn deadlines<'a>(
        &'a self,
        patience: &'a Patience,
    ) -> impl Iterator<Item = Millis> + 'a {
        let creations = self.creations.iter().map(|c| c.deadline(patience));
        creations.chain(self.waiting.iter().map(|w| w.deadline(patience)))
    }

    pub(super) fn size(&self) -> Size {
        let creations = self.creations.iter().map(|c| c.raw.len() + c.which.len());
        let delivery = |w: &Waiting| w.delivery.len() + size_of::<Waiting>() + IDENTITY;
        let waiting = self.waiting.iter().map(delivery).sum::<usize>();
        Size {
            creations: self.creations.len(),
            parked: self.waiting.len(),
            octets: creations.sum::<usize>()
                + self.creations.len() * size_of::<Creation>()
                + waiting,
            waiting,
        }
    }
}
