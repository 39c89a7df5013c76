//! A partition as a takeover restores it, and what it makes of receipts, without Kafka: for
//! benchmarks.

use super::decode::{self, DeliveryKind, Record};
use super::join::{Join, JoinLimits, PARKED_OCTETS, Size};
use super::parsed_receipt::Arrived;
use super::receipt_events::{self, Topics};
use super::{Dialects, clock, join};
use crate::kafka::cloud_events::CloudEvents;
use crate::kafka::transaction::Output;
use crate::record::codec::{Codec, Codecs, Unread};
use crate::record::keys::Key;

const DAY: join::Millis = 24 * 3_600_000;

/// What a partition remembers, read record by record as the tail does it.
pub struct RestoredPartition {
    join: Join,
    topics: Topics,
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
            topics: Topics {
                deliveries: "sms.deliveries".into(),
                correlation: "sms.correlation".into(),
                receipts: "sms.receipts".into(),
                codecs: Codecs {
                    deliveries: codec.clone(),
                    correlation: codec,
                    ..Codecs::default()
                },
                inbound: "sms.inbound".into(),
                cloud_events: CloudEvents::OFF,
                numbers: Default::default(),
                spans: Default::default(),
            },
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
        let codec = &self.topics.codecs.correlation;
        match decode::record(&key, value, false, codec, &self.dialects)? {
            Record::Value(value) => self.join.record(&key, value, self.now, &mut Vec::new()),
            Record::Tombstone => self.join.tombstone(&key),
            Record::Barrier(_) | Record::Segment(_) | Record::Echo => {}
        }
        Ok(())
    }

    /// A record of the deliveries with a receipt, at this offset; how many records it makes: its event,
    /// and what is written of its message.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn receipt(&mut self, key: &[u8], value: &[u8], offset: i64) -> Result<usize, Unread> {
        let (topics, dialects) = (&self.topics, &self.dialects);
        let (identity, delivery) = decode::delivery(key, value, &topics.codecs.deliveries)?;
        let DeliveryKind::Receipt(parsed, receipt) = decode::parse(identity, &delivery, dialects)?
        else {
            return Ok(0);
        };
        let mut effects = Vec::new();
        let arrives = delivery.clone();
        (self.join).delivery(identity, offset, arrives, receipt, self.now, &mut effects);
        let arrived = Arrived {
            delivery: &delivery,
            parsed: &parsed,
        };
        let output =
            |effect| receipt_events::output(effect, Some(arrived), topics, dialects, (0, 1));
        let made: Vec<Output> = effects.iter().map(output).collect();
        Ok(made.len())
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
