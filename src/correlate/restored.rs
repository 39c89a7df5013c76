//! A partition as a takeover restores it, without Kafka: for benchmarks.

use super::decode::{self, Record};
use super::join::{Join, JoinLimits, PARKED_OCTETS, Size};
use super::{Dialects, clock, join};
use crate::record::codec::{Codec, Unread};
use crate::record::keys::Key;

const DAY: join::Millis = 24 * 3_600_000;

/// What a partition remembers, read record by record as the tail does it.
pub struct RestoredPartition {
    join: Join,
    codec: Codec,
    dialects: Dialects,
    now: join::Millis,
}

impl RestoredPartition {
    /// An empty one, of a correlation topic that is written so.
    pub fn new(codec: Codec) -> Self {
        let limits = JoinLimits {
            moment: join::MOMENT,
            grace: 60_000,
            retention: DAY,
            ttl: 3 * DAY,
            parked_octets: PARKED_OCTETS,
        };
        RestoredPartition {
            join: Join::new(limits),
            codec,
            dialects: Dialects::default(),
            now: clock::Clock::default().now(),
        }
    }

    /// A record of the log.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is none of a message.
    pub fn read(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Unread> {
        let Some(key) = Key::parse(key) else {
            return Ok(());
        };
        match decode::record(&key, value, &self.codec, &self.dialects)? {
            Record::Value(value) => self.join.record(&key, value, self.now, &mut Vec::new()),
            Record::Tombstone => self.join.tombstone(&key),
            Record::Barrier(_) | Record::Segment(_) => {}
        }
        Ok(())
    }

    /// The log is read.
    pub fn live(&mut self) {
        self.join.live(self.now, &mut Vec::new());
    }

    /// What it remembers, and what that takes.
    pub fn size(&self) -> Size {
        self.join.size()
    }
}
