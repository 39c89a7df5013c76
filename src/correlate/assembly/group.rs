//! What is known of one identity.

use bytes::Bytes;

use super::{Limits, Piece, SETTLE, Size};
use crate::correlate::join::Millis;
use crate::record::internal::SegmentDigest;

pub(super) struct Held {
    pub(super) offset: i64,
    pub(super) delivery: Bytes,
    pub(super) piece: Piece,
    /// When it was read here.
    pub(super) since: Millis,
}

pub(super) struct Published {
    /// Of the delivery under whose key it is remembered.
    pub(super) offset: i64,
    pub(super) at: Millis,
    pub(super) parts: Vec<SegmentDigest>,
}

#[derive(Default)]
pub(super) struct Group {
    /// At most one of each number.
    pub(super) held: Vec<Held>,
    pub(super) published: Option<Published>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.published.is_none()
    }

    /// When the wait ends: of what is held, or else of what is remembered.
    pub(super) fn deadline(&self, limits: &Limits) -> Millis {
        let since = self.held.iter().map(|h| h.since).min();
        match (self.first(), since, &self.published) {
            (Some(first), Some(since), _) => first
                .saturating_add(limits.ttl)
                .max(since.saturating_add(limits.ttl.min(SETTLE))),
            (_, _, Some(published)) => published.at.saturating_add(limits.ttl),
            _ => Millis::MAX,
        }
    }

    /// When the first part was received.
    fn first(&self) -> Option<Millis> {
        self.held.iter().map(|h| h.piece.received_at).min()
    }

    /// Whether what is held waited too long to be of one message with `piece`.
    pub(super) fn is_over(&self, piece: &Piece, limits: &Limits) -> bool {
        self.first()
            .is_some_and(|first| piece.received_at.saturating_sub(first) > limits.ttl)
    }

    pub(super) fn holds(&self, print: SegmentDigest) -> bool {
        self.held.iter().any(|h| h.piece.print == print)
    }

    /// Another text that is held under the same number: its offset, and whether it may be a
    /// mere repeat of what was published.
    pub(super) fn other(&self, print: SegmentDigest) -> Option<(i64, bool)> {
        let held = self
            .held
            .iter()
            .find(|h| h.piece.print.part == print.part)?;
        Some((held.offset, self.was_published(held.piece.print)))
    }

    pub(super) fn was_published(&self, print: SegmentDigest) -> bool {
        let published = self.published.as_ref();
        published.is_some_and(|p| p.parts.contains(&print))
    }

    pub(super) fn is_complete(&self) -> bool {
        let total = self.held.first().map(|h| usize::from(h.piece.total));
        total.is_some_and(|total| self.held.len() >= total)
    }

    /// Whether some of what is held was published before, and some was not.
    pub(super) fn is_doubtful(&self) -> bool {
        let published = |h: &&Held| self.was_published(h.piece.print);
        let repeats = self.held.iter().filter(published).count();
        repeats > 0 && repeats < self.held.len()
    }

    /// How many octets of user data are held.
    pub(super) fn octets(&self) -> usize {
        self.held.iter().map(|h| h.piece.octets).sum()
    }

    /// What it takes under a name of so many octets.
    pub(super) fn size(&self, name: usize) -> Size {
        let held = |h: &Held| h.delivery.len() + size_of::<Held>();
        let published = |p: &Published| p.parts.len() * size_of::<SegmentDigest>();
        let octets = self.held.iter().map(held).sum::<usize>()
            + self.published.as_ref().map_or(0, published);
        let group = if self.is_empty() { 0 } else { GROUP + name };
        Size {
            parts: self.held.len(),
            octets: octets + group,
        }
    }
}

/// About what an identity itself takes, with its timer.
const GROUP: usize = size_of::<Group>() + 160;
