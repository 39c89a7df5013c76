//! What is known of one source partition: which records are finished, up to where
//! sending is reserved, and how often each unfinished record may have been sent.
//!
//! The committed offset of a group says one thing only: everything below it is finished.
//! The rest travels in the commit's metadata (see [`metadata`]), in the same transaction,
//! so that it can never disagree with the offset beside it.
//!
//! ```text
//!            base            reserved
//!   finished  │ in doubt after │ certainly never sent
//!  ───────────┼────────────────┼──────────────────────▶ offset
//!             │ ✓ · ✓ ✓ · h ✓  │
//! ```
//!
//! - `base`: the lowest unfinished offset, which is the offset committed.
//! - finished above `base`: results that overtook a slower record.
//! - `reserved` (exclusive): of the records that were read, none at or above it has been handed to a
//!   socket. A crash puts the unfinished records below it in doubt, save those that are held.
//! - `ahead` (exclusive, never below `reserved`): records from `reserved` up to here were not read yet
//!   when this was committed, and may be sent as soon as they are. A crash puts those in doubt that
//!   are in the log when the partition is taken over: a later one was never read by who is gone.
//! - held (`h`): unfinished records below `reserved` that no session has and none is handed: the
//!   SMSC refused them for now, they are not due, or others come first. They are as certainly
//!   not under way as what lies above `reserved`.
//! - attempts: how many times an unfinished record may have been sent *by an earlier life*
//!   without its outcome being known.
//! - `suspect_until`: where sending began anew without knowledge of what was sent before (an
//!   operator's reset, another log), everything below it may be a duplicate. It is committed
//!   like the rest: whoever goes on in the middle of that stretch must say so too.
//! - `newest`: the youngest timestamp among the records read so far. A log that ends below what
//!   is committed lost its tail, or is another log of the same name; by this time the two are
//!   told apart ([`start`](crate::kafka::start)). A timestamp far in the future counts as it stands:
//!   after it no log is proven to be another one, and an operator decides. Left out, the record that
//!   has it would itself be taken for one that nobody read, once it is the first that is left.
//!
//! # Life of a reservation
//!
//! A live owner raises `reserved` and commits it before the first octet of such a record
//! is written. When it lets go gently (session lost, revoke, shutdown) the exact split is
//! known: [`Progress::doubt`] counts one attempt on each record that may have been sent and
//! [`Progress::settle`] lowers the reservation to `base`, so that attempts alone say what
//! is in doubt. After a crash the next owner calls [`Progress::take_over`], which counts an
//! attempt on *every* unfinished record below `reserved` that is not held. Taking over is
//! idempotent until the new owner's first commit, because it is computed from the committed
//! metadata.
//!
//! A record is held from one commit to another: before it is handed to a session, a commit
//! says that it is not held any more ([`Progress::hold`] is told anew for each).

pub mod metadata;
mod runs;

use std::collections::BTreeMap;

pub use metadata::{CommitScope, MetadataError, Restored};
pub use runs::Runs;

/// How far ahead of the lowest unfinished record work may run, so that whatever finishes
/// in whatever order the metadata still fits into the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest metadata in characters. Kafka's own limit is 4,096
    /// (`offset.metadata.max.bytes`).
    pub metadata: usize,
}

/// Characters of the metadata kept for everything but the finished set: version, producer,
/// cycle, reservations, suspicion, time, checksum (246 with the longest of each) and attempts
/// ([`metadata::ATTEMPTS_BUDGET`]).
const OVERHEAD: usize = 246 + metadata::ATTEMPTS_BUDGET;

impl Default for Limits {
    fn default() -> Self {
        Limits { metadata: 4000 }
    }
}

impl Limits {
    /// The widest span from the lowest unfinished record for which a bitmap always fits.
    pub fn span(&self) -> i64 {
        // Base64 carries six bits a character.
        (self.metadata.saturating_sub(OVERHEAD) * 6) as i64
    }

    /// The number of unfinished records for which run lengths always fit, whatever the span
    /// (up to 36^5 = 60 million finished records in a row).
    pub fn unfinished(&self) -> i64 {
        // Each unfinished record costs at most itself ("1.") and the finished run
        // before it (five digits and a dot).
        (self.metadata.saturating_sub(OVERHEAD) / 8) as i64
    }
}

/// The progress of one partition. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The lowest unfinished offset. It falls only when a record is reopened.
    base: i64,
    /// What is finished above the base; the base itself never is.
    finished: Runs,
    /// Exclusive end of what may have been sent: never below the base.
    reserved: i64,
    /// Exclusive end of what may be sent as soon as it is read: never below the reservation.
    ahead: i64,
    /// How often unfinished records may have been sent in earlier lives; those that were not are
    /// not in it.
    attempts: BTreeMap<i64, u8>,
    /// Unfinished records below `reserved` that are certainly not under way. Offsets that were
    /// finished since stay in it until the next [`hold`](Self::hold): they mean nothing then.
    held: Runs,
    /// Records below it may be duplicates although no attempt of theirs is known. It only grows.
    suspect_until: i64,
    /// The youngest timestamp that was read: it tells this log from another one.
    newest: Option<i64>,
}

impl Progress {
    /// Progress of a partition whose records below `base` are finished and of which nothing
    /// at or above `base` has ever been sent.
    pub fn new(base: i64) -> Self {
        Progress {
            base,
            finished: Runs::default(),
            reserved: base,
            ahead: base,
            attempts: BTreeMap::new(),
            held: Runs::default(),
            suspect_until: base,
            newest: None,
        }
    }

    /// The lowest unfinished offset: what is committed.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Exclusive end of what may have been written to a socket.
    pub fn reserved(&self) -> i64 {
        self.reserved
    }

    /// Exclusive end of what may be sent as soon as it is read.
    pub fn ahead(&self) -> i64 {
        self.ahead
    }

    /// Whether the record at `offset` has its result.
    pub fn is_finished(&self, offset: i64) -> bool {
        offset < self.base || self.finished.contains(offset)
    }

    /// How often the record at `offset` may have been sent in earlier lives.
    pub fn attempts(&self, offset: i64) -> u8 {
        self.attempts.get(&offset).copied().unwrap_or(0)
    }

    /// Records below this offset may be duplicates, whatever their attempts.
    pub fn suspect_until(&self) -> i64 {
        self.suspect_until
    }

    /// From now on everything below `until` may be a duplicate.
    pub fn suspect(&mut self, until: i64) {
        self.suspect_until = self.suspect_until.max(until);
    }

    /// The youngest timestamp among the records read, in Unix milliseconds.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Notes that a record with this timestamp was read.
    pub fn read(&mut self, timestamp: i64) {
        self.newest = self.newest.max(Some(timestamp));
    }

    /// How many unfinished records may have been sent in earlier lives.
    pub fn doubtful(&self) -> usize {
        self.attempts.len()
    }

    /// The highest offset (exclusive) that is finished or has attempts counted.
    pub fn known_end(&self) -> i64 {
        let attempted = self
            .attempts
            .last_key_value()
            .map_or(self.base, |(o, _)| o + 1);
        self.finished
            .end()
            .unwrap_or(self.base)
            .max(attempted)
            .max(self.base)
    }

    /// Notes the result of the record at `offset`; `false` if it had one already.
    pub fn finish(&mut self, offset: i64) -> bool {
        self.finish_range(offset, offset + 1)
    }

    /// Notes that every offset in `from..to` is finished (a gap in the log counts as
    /// finished); `false` if nothing changed.
    pub fn finish_range(&mut self, from: i64, to: i64) -> bool {
        let from = from.max(self.base);
        if from >= to || !self.finished.insert(from, to) {
            return false;
        }
        if from == to - 1 {
            self.attempts.remove(&from);
        } else {
            self.attempts.retain(|o, _| !(from..to).contains(o));
        }
        if let Some(base) = self.finished.take_front(self.base) {
            self.base = base;
            self.reserve(base);
        }
        true
    }

    /// The record at `offset` is unfinished after all, and may have been sent `attempts` times:
    /// what finished it was not committed, and is not going to be.
    pub fn reopen(&mut self, offset: i64, attempts: u8) {
        if offset < self.base {
            // Everything from there on was finished when the base came to where it is.
            if offset + 1 < self.base {
                self.finished.insert(offset + 1, self.base);
            }
            self.base = offset;
        } else {
            self.finished.remove(offset);
        }
        self.set_attempts(offset, attempts);
    }

    /// Whether the metadata fits still, whatever finishes of what is reserved, if the record at
    /// `offset` is unfinished after all.
    pub fn may_reopen(&self, offset: i64, limits: Limits) -> bool {
        let mut reopened = self.clone();
        reopened.reopen(offset, 0);
        let end = reopened.reserved.max(reopened.known_end());
        reopened.admits(end - 1, limits)
    }

    /// Raises the reservation to `until` (exclusive). It never falls here.
    pub fn reserve(&mut self, until: i64) {
        self.reserved = self.reserved.max(until);
        self.ahead = self.ahead.max(self.reserved);
    }

    /// Says anew up to where (exclusive) records that are not read yet may be sent once they are.
    pub fn reserve_ahead(&mut self, until: i64) {
        self.ahead = until.max(self.reserved);
    }

    /// Whether a record at `offset` may be worked on: whatever finishes, in whatever order,
    /// the metadata must fit with it.
    pub fn admits(&self, offset: i64, limits: Limits) -> bool {
        let span = offset + 1 - self.base;
        span <= limits.span() || span - self.finished.len_below(offset + 1) <= limits.unfinished()
    }

    /// Whether the gap `from..to` may be noted as finished. It takes one run, but makes the span
    /// as long as it likes: a bitmap that fits without it may not fit with it.
    pub fn admits_gap(&self, from: i64, to: i64, limits: Limits) -> bool {
        let unfinished = from - self.base - self.finished.len_below(from);
        to - self.base <= limits.span() || unfinished <= limits.unfinished()
    }

    /// Counts one more possible sending of the record at `offset`, whose outcome will not be
    /// learnt by this owner.
    pub fn doubt(&mut self, offset: i64) {
        if !self.is_finished(offset) {
            let n = self.attempts.entry(offset).or_insert(0);
            *n = n.saturating_add(1);
        }
    }

    /// Sets the count of possible sendings, as after reading it back.
    pub fn set_attempts(&mut self, offset: i64, attempts: u8) {
        if attempts > 0 && !self.is_finished(offset) {
            self.attempts.insert(offset, attempts);
        }
    }

    /// Lowers the reservation to the base: from now on the attempts alone say what is in
    /// doubt. Only when no session can write any more.
    pub fn settle(&mut self) {
        self.lower(self.base);
    }

    /// Lowers the reservation to `until`: only when nothing at or above it is in the hands of
    /// a session that can still write.
    pub fn lower(&mut self, until: i64) {
        self.reserved = self.reserved.min(until).max(self.base);
        self.ahead = self.reserved;
    }

    /// Says anew which records are held, in ascending order; those above the reservation are
    /// left out, because nothing of them needs to be said.
    pub fn hold(&mut self, offsets: impl Iterator<Item = i64>) {
        self.held = Runs::default();
        for offset in offsets {
            if (self.base..self.reserved).contains(&offset) {
                self.held.insert(offset, offset + 1);
            }
        }
    }

    /// What a new owner of a log that ends at `end` must assume: every unfinished record below the
    /// reservation may have been sent once more, unless it was held, and so may those that were not
    /// read when it was made, as far as they are there.
    pub fn take_over(&mut self, end: i64) {
        self.reserve(self.ahead.min(end));
        let in_doubt: Vec<i64> = self.under_way().collect();
        for offset in in_doubt {
            self.doubt(offset);
        }
        self.settle();
        self.held = Runs::default();
    }

    /// The unfinished offsets below the reservation, in order.
    pub fn unfinished(&self) -> impl Iterator<Item = i64> + '_ {
        self.finished.gaps(self.base, self.reserved)
    }

    /// The offsets below the reservation whose records may be under way: neither finished nor
    /// held.
    pub fn under_way(&self) -> impl Iterator<Item = i64> + '_ {
        self.unfinished().filter(|o| !self.held.contains(*o))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of a log in which there is more than is reserved.
    const END: i64 = 1_000;

    #[test]
    fn results_out_of_order_move_the_base_only_over_finished_records() {
        let mut p = Progress::new(10);
        assert!(p.finish(12));
        assert!(p.finish(11));
        assert_eq!(p.base(), 10);
        assert!(p.finish(10));
        assert_eq!(p.base(), 13);
        assert!(!p.finish(11), "a second result changes nothing");
    }

    #[test]
    fn a_record_too_far_behind_what_finished_since_is_not_reopened() {
        let limits = Limits::default();
        let scope = CommitScope {
            cluster: "cluster",
            topic: "source",
            partition: 0,
        };
        let mut p = Progress::new(0);
        p.finish_range(0, 15_000);
        assert!(p.may_reopen(0, limits));
        for offset in (15_001..30_000).step_by(2) {
            assert!(p.admits(offset, limits));
            p.reserve(offset + 1);
            p.finish(offset);
        }
        let octets = |p: &Progress| metadata::encode(p, &scope, "writer", 1).len();
        assert!(octets(&p) <= limits.metadata);
        assert!(!p.may_reopen(0, limits));
        assert!(p.may_reopen(14_000, limits));
        let mut poison = p.clone();
        poison.reopen(0, 0);
        assert!(octets(&poison) > limits.metadata, "{}", octets(&poison));
        p.reopen(14_000, 0);
        assert!(octets(&p) <= limits.metadata);
    }

    #[test]
    fn a_record_whose_end_was_not_committed_is_as_it_was() {
        for order in [[10, 11, 12], [12, 11, 10], [11, 10, 12]] {
            for reopened in 10..13 {
                let mut before = Progress::new(10);
                before.reserve(20);
                before.set_attempts(reopened, 2);
                let mut after = before.clone();
                for offset in order {
                    after.finish(offset);
                    if offset != reopened {
                        before.finish(offset);
                    }
                }
                after.reopen(reopened, 2);
                assert_eq!(after, before, "{reopened} of {order:?}");
            }
        }
    }

    #[test]
    fn a_takeover_doubts_what_was_reserved_and_nothing_else() {
        let mut p = Progress::new(0);
        p.reserve(5);
        p.finish(1);
        p.finish(3);
        p.take_over(END);
        assert_eq!(
            (0..8).map(|o| p.attempts(o)).collect::<Vec<_>>(),
            [1, 0, 1, 0, 1, 0, 0, 0]
        );
        assert_eq!(p.reserved(), 0, "the new owner has reserved nothing yet");
        p.reserve(1);
        p.take_over(END);
        assert_eq!(
            (p.attempts(0), p.attempts(2)),
            (2, 1),
            "only what it reserved counts again"
        );
    }

    #[test]
    fn of_what_was_reserved_ahead_only_what_is_there_is_in_doubt() {
        let taken_over = |end| {
            let mut p = Progress::new(10);
            p.reserve(12);
            p.hold([11].into_iter());
            p.reserve_ahead(16);
            p.take_over(end);
            assert_eq!((p.reserved(), p.ahead()), (10, 10));
            (10..20).filter(|o| p.attempts(*o) > 0).collect::<Vec<_>>()
        };
        assert_eq!(taken_over(12), [10], "nothing came");
        assert_eq!(taken_over(14), [10, 12, 13]);
        assert_eq!(taken_over(20), [10, 12, 13, 14, 15]);
    }

    #[test]
    fn nothing_is_reserved_ahead_of_what_is_given_up() {
        let mut p = Progress::new(10);
        p.reserve_ahead(14);
        p.reserve(13);
        assert_eq!((p.reserved(), p.ahead()), (13, 14));
        p.finish_range(10, 20);
        assert_eq!((p.reserved(), p.ahead()), (20, 20));
        p.reserve_ahead(24);
        p.lower(22);
        assert_eq!((p.reserved(), p.ahead()), (20, 20));
        p.reserve_ahead(3);
        assert_eq!(p.ahead(), 20, "never below the reservation");
    }

    #[test]
    fn what_is_held_was_not_sent() {
        let mut p = Progress::new(0);
        p.reserve(6);
        p.finish(1);
        p.hold([2, 3, 5, 7].into_iter());
        assert_eq!(p.under_way().collect::<Vec<_>>(), [0, 4]);
        p.hold([3].into_iter());
        p.take_over(END);
        assert_eq!(
            (0..8).map(|o| p.attempts(o)).collect::<Vec<_>>(),
            [1, 0, 1, 0, 1, 1, 0, 0]
        );
    }

    #[test]
    fn a_gentle_end_leaves_exactly_the_doubtful_records() {
        let mut p = Progress::new(100);
        p.reserve(110);
        p.finish(102);
        p.doubt(100);
        p.doubt(104);
        p.settle();
        p.take_over(END);
        let doubtful: Vec<i64> = (100..110).filter(|o| p.attempts(*o) > 0).collect();
        assert_eq!(doubtful, [100, 104]);
    }

    #[test]
    fn one_stuck_record_holds_up_nothing_for_long() {
        let limits = Limits::default();
        let mut p = Progress::new(0);
        for o in 1..1_000_000 {
            assert!(p.admits(o, limits), "record {o} must be admitted");
            p.finish(o);
        }
        assert_eq!(p.base(), 0);
    }

    #[test]
    fn a_long_gap_waits_until_the_metadata_has_room_for_it() {
        let limits = Limits::default();
        let mut p = Progress::new(0);
        for o in (1..2000).step_by(2) {
            p.finish(o);
        }
        let here = CommitScope {
            cluster: "c",
            topic: "sms.outbound",
            partition: 0,
        };
        let length = |p: &Progress| metadata::encode(p, &here, "w", 1).len();
        let (from, to) = (2000, 1_000_000);
        assert!(p.admits(from, limits) && p.admits_gap(from, 2500, limits));
        let mut with_gap = p.clone();
        with_gap.finish_range(from, to);
        assert!(length(&with_gap) > limits.metadata, "what must not happen");
        assert!(!p.admits_gap(from, to, limits));
        for o in (0..1200).step_by(2) {
            p.finish(o);
        }
        assert!(p.admits_gap(from, to, limits), "400 are unfinished now");
        p.finish_range(from, to);
        assert!(length(&p) <= limits.metadata);
    }

    #[test]
    fn unfinished_records_everywhere_stop_the_admission() {
        let limits = Limits::default();
        let mut p = Progress::new(0);
        let mut o = 0;
        while p.admits(o, limits) {
            if o % 2 == 1 {
                p.finish(o);
            }
            o += 1;
        }
        assert_eq!(o, limits.span());
    }
}
