//! What is known of one identity.

use std::sync::Arc;

use super::{AssemblyLimits, SETTLE, Segment, Size};
use crate::correlate::join::Millis;
use crate::record::internal::{Delivery, SegmentDigest};

/// A segment that waits for the others of its message.
pub(super) struct WaitingSegment {
    /// Of its delivery; its record in the log has it in its key.
    pub(super) offset: i64,
    /// What came.
    pub(super) delivery: Arc<Delivery>,
    /// What the assembly needs to know of it.
    pub(super) segment: Segment,
    /// When it was read here: the others may be behind it in a backlog, so it waits for
    /// [`SETTLE`] at least.
    pub(super) since: Millis,
}

/// What is remembered of a message that was published.
pub(super) struct Published {
    /// Of the delivery under whose key it is remembered.
    pub(super) offset: i64,
    /// When it was published.
    pub(super) at: Millis,
    /// What of it was there.
    pub(super) segments: Vec<SegmentDigest>,
}

/// The segments of one identity: of a message that is not complete, and of the one before it.
#[derive(Default)]
pub(super) struct SegmentGroup {
    /// At most one of each number, all of one message.
    pub(super) waiting: Vec<WaitingSegment>,
    /// The last message that was published: its segments may come again.
    pub(super) published: Option<Published>,
}

impl SegmentGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.published.is_none()
    }

    /// When the wait ends: of what waits, or else of what is remembered.
    pub(super) fn deadline(&self, limits: &AssemblyLimits) -> Millis {
        let since = self.waiting.iter().map(|h| h.since).min();
        match (self.first(), since, &self.published) {
            (Some(first), Some(since), _) => first
                .saturating_add(limits.ttl)
                .max(since.saturating_add(limits.ttl.min(SETTLE))),
            (_, _, Some(published)) => published.at.saturating_add(limits.ttl),
            _ => Millis::MAX,
        }
    }

    /// When the first segment was received.
    fn first(&self) -> Option<Millis> {
        self.waiting.iter().map(|h| h.segment.received_at).min()
    }

    /// Whether what waits has waited too long to be of one message with `segment`.
    pub(super) fn is_over(&self, segment: &Segment, limits: &AssemblyLimits) -> bool {
        self.first()
            .is_some_and(|first| segment.received_at.saturating_sub(first) > limits.ttl)
    }

    pub(super) fn holds(&self, digest: SegmentDigest) -> bool {
        self.waiting.iter().any(|h| h.segment.digest == digest)
    }

    /// Another text that waits under the same number: its offset, and whether it may be a
    /// mere repeat of what was published.
    pub(super) fn other(&self, digest: SegmentDigest) -> Option<(i64, bool)> {
        let waiting = self
            .waiting
            .iter()
            .find(|h| h.segment.digest.part == digest.part)?;
        Some((waiting.offset, self.was_published(waiting.segment.digest)))
    }

    pub(super) fn was_published(&self, digest: SegmentDigest) -> bool {
        let published = self.published.as_ref();
        published.is_some_and(|p| p.segments.contains(&digest))
    }

    pub(super) fn is_complete(&self) -> bool {
        let total = self.waiting.first().map(|h| usize::from(h.segment.total));
        total.is_some_and(|total| self.waiting.len() >= total)
    }

    /// Whether some of what waits was published before, and some was not.
    pub(super) fn is_doubtful(&self) -> bool {
        let published = |h: &&WaitingSegment| self.was_published(h.segment.digest);
        let repeats = self.waiting.iter().filter(published).count();
        repeats > 0 && repeats < self.waiting.len()
    }

    /// How many octets of user data wait.
    pub(super) fn octets(&self) -> usize {
        self.waiting.iter().map(|h| h.segment.octets).sum()
    }

    /// What it takes under a name of so many octets.
    pub(super) fn size(&self, name: usize) -> Size {
        let waiting = |h: &WaitingSegment| h.delivery.octets() + size_of::<WaitingSegment>();
        let published = |p: &Published| p.segments.len() * size_of::<SegmentDigest>();
        let octets = self.waiting.iter().map(waiting).sum::<usize>()
            + self.published.as_ref().map_or(0, published);
        let group = if self.is_empty() { 0 } else { GROUP + name };
        Size {
            segments: self.waiting.len(),
            octets: octets + group,
        }
    }
}

/// About what an identity itself takes, with its timer.
const GROUP: usize = size_of::<SegmentGroup>() + 160;
