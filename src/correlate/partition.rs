//! The state of one partition of the deliveries that is ours.
//!
//! # Time and the backlog
//!
//! That a wait is over means something only where everything was read that came during it. Behind
//! a takeover, a pause or a record that has to wait lies a backlog: the receipt of a message may
//! be in it. So time passes in a partition ([`PartitionState::lets_time_pass`]) only once it has read what
//! lay in its log when it went on ([`Ahead`]). Two things tell that it has:
//!
//! - it consumed all below the end of the log, which is asked for when it goes on;
//! - or the client came to the end of the log. The offsets below that end may be none of a record
//!   (of a transaction's end, or deleted since): then nobody consumes them.
//!
//! Under steady load the first comes although the second never does, so no partition stands without
//! time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assembly::{Assembly, AssemblyLimits};
use super::join::Join;
use crate::kafka::Partition;
use crate::kafka::progress::{CommitScope, Progress, metadata};
use crate::kafka::transaction::{Commit, Output};

/// Results of one partition that may gather while a transaction commits.
const GATHERED_RECORDS: usize = 4000;
/// The same in octets.
pub const GATHERED_OCTETS: usize = 4 << 20;
/// A restore that makes no progress for so long is complained of, then after twice that, and so on.
const SLOW_RESTORE: Duration = Duration::from_secs(10);
/// A partition at rest is committed this often, so that Kafka does not let its offset expire.
const RECOMMIT: Duration = Duration::from_secs(24 * 3600);

/// How far a takeover has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The committed offset is being read.
    Positioning,
    /// The barrier is on its way to the correlation topic and back.
    Restoring,
    /// Deliveries are consumed.
    Live,
}

/// What is known of the deliveries that were in the log when the partition went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// The end of the log is to be asked for.
    Unknown,
    /// Those below this offset.
    Until(i64),
    /// All of them are read.
    Read,
}

/// See the [module](self).
pub(super) struct PartitionState {
    /// Which partition of the deliveries.
    pub(super) partition: Partition,
    /// Tells this takeover from earlier ones of the same partition.
    pub(super) takeover: u64,
    /// What the barrier says: this takeover's own, so that no earlier barrier ends the restore.
    pub(super) nonce: String,
    /// How far the takeover has come.
    pub(super) stage: Stage,
    /// The state of receipts after everything in `gathered` is written.
    pub(super) join: Join,
    /// The state of segments after everything in `gathered` is written.
    pub(super) assembly: Assembly,
    /// The deliveries below are consumed: the offset to commit.
    pub(super) next: i64,
    /// The youngest timestamp among them, in Unix milliseconds.
    pub(super) newest: Option<i64>,
    /// The offset committed last, and when.
    committed: Option<(i64, Instant)>,
    /// What the next transaction writes, in the order in which it was decided: all that belongs to
    /// the deliveries below `next`, less what is under way.
    gathered: Vec<Output>,
    /// About how many octets that is.
    octets: usize,
    /// What the transaction under way holds of this partition, and its offset. If it is aborted, it
    /// goes before `gathered` again.
    under_way: Option<(Arc<Vec<Output>>, i64)>,
    /// The transactional.id that committed last before the takeover, if it was another's.
    pub(super) predecessor: Option<String>,
    /// When the restore last got on.
    progressed: Instant,
    /// Whether the client is paused, because so much is gathered.
    pub(super) paused: bool,
    /// Whether the next delivery cannot be understood yet, so that nothing is consumed.
    pub(super) waits: bool,
    /// Whether a backlog is left, before which no time passes.
    ahead: Ahead,
    /// How long a restore may make no progress until the log says so (again).
    complain_after: Duration,
    /// About to be given up: what is gathered is still written, nothing is added.
    pub(super) leaving: bool,
}

impl PartitionState {
    pub(super) fn new(
        partition: Partition,
        takeover: u64,
        nonce: String,
        join: Join,
        limits: AssemblyLimits,
    ) -> Self {
        PartitionState {
            partition,
            takeover,
            nonce,
            stage: Stage::Positioning,
            join,
            assembly: Assembly::new(limits),
            next: 0,
            newest: None,
            committed: None,
            gathered: Vec::new(),
            octets: 0,
            predecessor: None,
            progressed: Instant::now(),
            under_way: None,
            paused: false,
            waits: false,
            ahead: Ahead::Unknown,
            complain_after: SLOW_RESTORE,
            leaving: false,
        }
    }

    /// Whether waits may end: see the [module](self).
    pub(super) fn lets_time_pass(&self) -> bool {
        let consumes = self.stage == Stage::Live && !self.leaving && !self.paused && !self.waits;
        consumes && self.ahead == Ahead::Read
    }

    /// The delivery at `offset` was taken.
    pub(super) fn consumed(&mut self, offset: i64) {
        self.next = offset + 1;
        if let Ahead::Until(end) = self.ahead {
            self.seen_until(end);
        }
    }

    /// Consuming begins or goes on after it stood still: the log has grown meanwhile.
    pub(super) fn resumed(&mut self) {
        (self.paused, self.waits) = (false, false);
        self.ahead = Ahead::Unknown;
    }

    /// Whether it is to be asked where the log ends.
    pub(super) fn wants_end(&self) -> bool {
        self.stage == Stage::Live && self.ahead == Ahead::Unknown
    }

    /// The log ends there.
    pub(super) fn seen_until(&mut self, end: i64) {
        self.ahead = if self.next >= end {
            Ahead::Read
        } else {
            Ahead::Until(end)
        };
    }

    /// All that is in the log was given out.
    pub(super) fn at_end(&mut self) {
        if !self.paused && !self.waits {
            self.ahead = Ahead::Read;
        }
    }

    /// For how long the restore has made no progress, if that is to be logged now.
    pub(super) fn slow_restore(&mut self) -> Option<Duration> {
        let still = self.progressed.elapsed();
        if self.stage != Stage::Restoring || still < self.complain_after {
            return None;
        }
        self.complain_after = 2 * still;
        Some(still)
    }

    /// The deliveries will be consumed from where `progress` begins, once `barrier` is read
    /// back.
    pub(super) fn begin_at(&mut self, progress: &Progress, barrier: Output) {
        self.next = progress.base();
        self.newest = progress.newest();
        self.stage = Stage::Restoring;
        self.progressed = Instant::now();
        self.add(barrier);
    }

    /// Gathers what is to be written; all of one call goes in one transaction.
    pub(super) fn gather(&mut self, outputs: impl IntoIterator<Item = Output>) {
        for output in outputs {
            self.add(output);
        }
    }

    fn add(&mut self, output: Output) {
        self.octets += output.size();
        self.gathered.push(output);
    }

    /// A record of its correlation partition was read.
    pub(super) fn progressed(&mut self) {
        if self.stage != Stage::Live {
            self.progressed = Instant::now();
            self.complain_after = SLOW_RESTORE;
        }
    }

    /// The predecessor whose open transaction may be what hides the barrier: nothing was read
    /// for so long. Given once.
    pub(super) fn suspect(&mut self, timeout: Duration) -> Option<String> {
        if self.stage == Stage::Restoring && self.progressed.elapsed() >= timeout {
            self.predecessor.take()
        } else {
            None
        }
    }

    /// Whether so much is gathered that consuming must wait.
    pub(super) fn is_full(&self) -> bool {
        self.fills(GATHERED_RECORDS, GATHERED_OCTETS)
    }

    /// Whether there is room again for a good while of consuming.
    pub(super) fn has_room(&self) -> bool {
        !self.fills(GATHERED_RECORDS / 2, GATHERED_OCTETS / 2)
    }

    fn fills(&self, records: usize, octets: usize) -> bool {
        self.gathered.len() >= records || self.octets >= octets
    }

    /// Room left, in records.
    pub(super) fn room(&self) -> usize {
        GATHERED_RECORDS.saturating_sub(self.gathered.len())
    }

    /// Whether everything is committed.
    pub(super) fn is_settled(&self) -> bool {
        self.gathered.is_empty()
            && self.under_way.is_none()
            && (self.stage != Stage::Live || self.committed.is_none_or(|(o, _)| o == self.next))
    }

    /// How many records are not committed yet.
    pub(super) fn gathered(&self) -> usize {
        self.gathered.len()
            + self
                .under_way
                .as_ref()
                .map_or(0, |(records, _)| records.len())
    }

    /// Moves what is gathered into the transaction that begins now; `None` if there is
    /// nothing to be committed.
    pub(super) fn begin_transaction(&mut self, now: Instant) -> Option<(Arc<Vec<Output>>, i64)> {
        let due = match self.committed {
            _ if self.stage == Stage::Positioning => false,
            None => true,
            Some((offset, at)) => offset != self.next || now.duration_since(at) >= RECOMMIT,
        };
        if self.gathered.is_empty() && !due {
            return None;
        }
        let records = Arc::new(std::mem::take(&mut self.gathered));
        self.octets = 0;
        self.under_way = Some((records.clone(), self.next));
        Some((records, self.next))
    }

    /// The transaction under way was committed.
    pub(super) fn committed(&mut self, at: Instant) {
        if let Some((_, offset)) = self.under_way.take() {
            self.committed = Some((offset, at));
        }
    }

    /// The transaction under way was aborted: its records go again, first of all.
    pub(super) fn not_committed(&mut self) {
        if let Some((records, _)) = self.under_way.take() {
            let mut records = Arc::unwrap_or_clone(records);
            records.append(&mut self.gathered);
            self.gathered = records;
            self.octets = self.gathered.iter().map(Output::size).sum();
        }
    }

    /// What the transaction under way holds of it.
    pub(super) fn in_transaction(&self) -> impl Iterator<Item = &Output> {
        self.under_way
            .iter()
            .flat_map(|(records, _)| records.iter())
    }

    /// Record `index` of what is gathered.
    pub(super) fn output(&self, index: usize) -> Option<&Output> {
        self.gathered.get(index)
    }

    /// The places of what is gathered for the same topic as record `index`, and as large at least.
    pub(super) fn as_large(&self, index: usize) -> Vec<usize> {
        let Some(refused) = self.gathered.get(index) else {
            return Vec::new();
        };
        let (topic, size) = (&refused.topic, refused.size());
        let large = |o: &Output| o.topic == *topic && o.size() >= size;
        let places = self.gathered.iter().enumerate();
        places.filter(|(_, o)| large(o)).map(|(at, _)| at).collect()
    }

    /// Replaces record `index` of what is gathered, or leaves it out.
    pub(super) fn replace(&mut self, index: usize, with: Option<Output>) {
        let Some(output) = self.gathered.get_mut(index) else {
            return;
        };
        self.octets -= output.size();
        match with {
            Some(other) => {
                self.octets += other.size();
                *output = other;
            }
            None => drop(self.gathered.remove(index)),
        }
    }

    /// The commit for `offset`, naming its writer.
    pub(super) fn commit(
        &self,
        offset: i64,
        cluster: &str,
        transactional_id: &str,
        cycle: u64,
    ) -> Commit {
        let identity = CommitScope {
            cluster,
            topic: &self.partition.topic,
            partition: self.partition.partition,
        };
        let mut progress = Progress::new(offset);
        if let Some(newest) = self.newest {
            progress.read(newest);
        }
        Commit {
            topic: Arc::clone(&self.partition.topic),
            partition: self.partition.partition,
            offset,
            metadata: metadata::encode(&progress, &identity, transactional_id, cycle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::join::JoinLimits;
    use super::*;

    fn live() -> PartitionState {
        let partition = Partition {
            topic: "sms.deliveries".into(),
            partition: 0,
        };
        let join = JoinLimits {
            moment: 5,
            grace: 1,
            retention: 1,
            ttl: 1,
            parked_octets: 1,
        };
        let assembly = AssemblyLimits { ttl: 1, octets: 1 };
        let mut partition =
            PartitionState::new(partition, 1, "n".to_owned(), Join::new(join), assembly);
        assert!(!partition.lets_time_pass() && !partition.wants_end());
        partition.stage = Stage::Live;
        partition.next = 5;
        partition
    }

    #[test]
    fn no_time_passes_ahead_of_what_lay_in_the_log() {
        let mut partition = live();
        assert!(
            partition.wants_end() && !partition.lets_time_pass(),
            "its end is not known"
        );
        partition.seen_until(7);
        assert!(!partition.wants_end() && !partition.lets_time_pass());
        partition.consumed(5);
        assert!(!partition.lets_time_pass());
        partition.consumed(6);
        assert!(partition.lets_time_pass(), "however much has come since");
        let mut empty = live();
        empty.seen_until(5);
        assert!(empty.lets_time_pass());
    }

    #[test]
    fn an_end_that_no_record_reaches_is_reached_all_the_same() {
        let mut partition = live();
        partition.seen_until(7);
        partition.consumed(5);
        partition.at_end();
        assert!(partition.lets_time_pass(), "offset 6 is no record's");
    }

    #[test]
    fn no_time_passes_while_nothing_is_consumed_nor_before_the_backlog_of_that_is_read() {
        type Still = fn(&mut PartitionState);
        for still in [(|o| o.paused = true) as Still, |o| o.waits = true] {
            let mut partition = live();
            partition.seen_until(5);
            still(&mut partition);
            partition.at_end();
            assert!(!partition.lets_time_pass());
            partition.resumed();
            assert!(partition.wants_end() && !partition.lets_time_pass());
            partition.seen_until(9);
            assert!(!partition.lets_time_pass());
            partition.consumed(8);
            assert!(partition.lets_time_pass());
        }
    }

    #[test]
    fn a_restore_that_stands_still_is_complained_of_more_and_more_seldom() {
        let mut partition = live();
        let ago = |seconds| {
            Instant::now()
                .checked_sub(Duration::from_secs(seconds))
                .unwrap()
        };
        partition.stage = Stage::Restoring;
        let mut seconds_told = Vec::new();
        for seconds in 0..100 {
            partition.progressed = ago(seconds);
            seconds_told.extend(partition.slow_restore().map(|still| still.as_secs()));
        }
        assert!(
            (3..=4).contains(&seconds_told.len()) && seconds_told[0] == 10,
            "{seconds_told:?}"
        );
        partition.progressed();
        partition.progressed = ago(11);
        assert!(partition.slow_restore().is_some(), "it got on in between");
        partition.stage = Stage::Live;
        partition.progressed = ago(1000);
        assert_eq!(partition.slow_restore(), None);
    }

    #[test]
    fn what_is_as_large_as_what_was_refused_goes_with_it() {
        let partition = Partition {
            topic: "deliveries".into(),
            partition: 0,
        };
        let join = JoinLimits {
            moment: 5,
            grace: 0,
            retention: 0,
            ttl: 0,
            parked_octets: 0,
        };
        let assembly = AssemblyLimits { ttl: 0, octets: 0 };
        let mut partition =
            PartitionState::new(partition, 1, "nonce".into(), Join::new(join), assembly);
        let sizes = [
            ("receipts", 500),
            ("receipts", 499),
            ("inbound", 900),
            ("receipts", 600),
        ];
        partition.gather(sizes.map(|(topic, octets)| Output {
            topic: topic.into(),
            partition: None,
            key: None,
            value: Some(vec![b'x'; octets]),
            headers: None,
        }));
        assert_eq!(partition.as_large(0), [0, 3]);
        assert!(partition.as_large(9).is_empty());
    }
}
