//! One partition of the deliveries, owned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assembly::{Assembly, Limits};
use super::join::{Join, Patience};
use crate::kafka::Partition;
use crate::kafka::progress::{Identity, Progress, metadata};
use crate::kafka::transactor::{Commit, Output};

/// Results of one partition that may gather while a transaction commits.
const GATHERED_RECORDS: usize = 4000;
/// The same in octets.
pub const GATHERED_OCTETS: usize = 4 << 20;
/// A partition at rest is committed this often, lest Kafka lets its offset expire.
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

pub(super) struct Owned {
    pub(super) partition: Partition,
    /// Tells this takeover from earlier ones of the same partition.
    pub(super) takeover: u64,
    /// What the barrier says.
    pub(super) nonce: String,
    pub(super) stage: Stage,
    pub(super) join: Join,
    pub(super) assembly: Assembly,
    /// The deliveries below are consumed: the offset to commit.
    pub(super) next: i64,
    /// The youngest timestamp among them, in Unix milliseconds.
    pub(super) newest: Option<i64>,
    /// The offset committed last, and when.
    committed: Option<(i64, Instant)>,
    gathered: Vec<Output>,
    /// About how many octets that is.
    octets: usize,
    /// What the transaction under way holds of this partition, and its offset.
    under_way: Option<(Vec<Output>, i64)>,
    /// The transactional.id that committed last before the takeover, if it was another's.
    pub(super) predecessor: Option<String>,
    /// When the restore last got on.
    progressed: Instant,
    pub(super) paused: bool,
    /// About to be given up: what is gathered is still written, nothing is added.
    pub(super) leaving: bool,
}

impl Owned {
    pub(super) fn new(
        partition: Partition,
        takeover: u64,
        nonce: String,
        patience: Patience,
        limits: Limits,
    ) -> Self {
        Owned {
            partition,
            takeover,
            nonce,
            stage: Stage::Positioning,
            join: Join::new(patience),
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
            leaving: false,
        }
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
    pub(super) fn progressed(&mut self, at: Instant) {
        if self.stage != Stage::Live {
            self.progressed = at;
        }
    }

    /// The predecessor whose open transaction may be what hides the barrier: nothing was read
    /// for so long. Given once.
    pub(super) fn suspect(&mut self, patience: Duration) -> Option<String> {
        match self.stage == Stage::Restoring && self.progressed.elapsed() >= patience {
            true => self.predecessor.take(),
            false => None,
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
    pub(super) fn depart(&mut self, now: Instant) -> Option<(&[Output], i64)> {
        let due = match self.committed {
            _ if self.stage == Stage::Positioning => false,
            None => true,
            Some((offset, at)) => offset != self.next || now.duration_since(at) >= RECOMMIT,
        };
        if self.gathered.is_empty() && !due {
            return None;
        }
        let (records, next) = (std::mem::take(&mut self.gathered), self.next);
        self.octets = 0;
        let (records, next) = self.under_way.insert((records, next));
        Some((records, *next))
    }

    /// The transaction under way was committed.
    pub(super) fn arrived(&mut self, at: Instant) {
        if let Some((_, offset)) = self.under_way.take() {
            self.committed = Some((offset, at));
        }
    }

    /// The transaction under way was aborted: its records go again, first of all.
    pub(super) fn take_back(&mut self) {
        if let Some((mut records, _)) = self.under_way.take() {
            records.append(&mut self.gathered);
            self.gathered = records;
            self.octets = self.gathered.iter().map(Output::size).sum();
        }
    }

    /// What the transaction under way holds of it.
    pub(super) fn departed(&self) -> impl Iterator<Item = &Output> {
        self.under_way.iter().flat_map(|(records, _)| records)
    }

    /// Record `index` of what is gathered.
    pub(super) fn output(&self, index: usize) -> Option<&Output> {
        self.gathered.get(index)
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
    pub(super) fn commit(&self, offset: i64, cluster: &str, writer: &str, cycle: u64) -> Commit {
        let identity = Identity {
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
            metadata: metadata::encode(&progress, &identity, writer, cycle),
        }
    }
}
