//! What the audit asks for: records of several kinds, each known again by its recipients.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{Deployment, message, with};
use crate::harness::{Appender, Send};

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A short message.
    Plain,
    /// A SubmitMulti to three.
    Multi,
    /// A message of so many parts. A stricter configuration refuses it.
    Long(u8),
    /// Never to be sent after some seconds, which may pass while nobody serves its partition.
    Expiring,
    /// The SMSC answers ESME_RSYSERR to its first tries.
    Delayed,
}

impl Kind {
    /// Any, as an application would have them.
    pub fn any(rng: &mut fastrand::Rng) -> Kind {
        match rng.u8(..10) {
            0..5 => Kind::Plain,
            5 => Kind::Multi,
            6 => Kind::Long(3),
            7 => Kind::Expiring,
            _ => Kind::Delayed,
        }
    }

    /// How many PDUs carry it.
    pub fn parts(self) -> u8 {
        match self {
            Kind::Long(parts) => parts,
            _ => 1,
        }
    }
}

/// A record to be produced.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its number, unique within the audit.
    pub n: usize,
    /// What it is.
    pub kind: Kind,
    /// The stem of its topic.
    pub topic: &'static str,
    /// Its partition.
    pub partition: i32,
    /// What becomes of it in doubt.
    pub in_doubt: &'static str,
    /// How long it may be sent, if it is [`Kind::Expiring`].
    pub life: Duration,
}

impl Order {
    /// Records of one topic with these numbers, spread over its partitions; half of them are resent
    /// in doubt.
    pub fn many(
        numbers: Range<usize>,
        topic: &'static str,
        partitions: i32,
        rng: &mut fastrand::Rng,
        kind: impl Fn(&mut fastrand::Rng) -> Kind,
    ) -> Vec<Order> {
        let mut one = |n: usize| Order {
            n,
            kind: kind(rng),
            topic,
            partition: n as i32 % partitions,
            in_doubt: if rng.bool() { "resend" } else { "report" },
            life: Duration::from_millis(rng.u64(1500..9000)),
        };
        numbers.map(&mut one).collect()
    }

    /// Its log id, with which its text begins.
    pub fn log_id(&self) -> String {
        format!("m{}", self.n)
    }

    /// Its recipients: nobody else has them.
    pub fn recipients(&self) -> Vec<String> {
        let count = if self.kind == Kind::Multi { 3 } else { 1 };
        (0..count)
            .map(|i| format!("4179{i}{:07}", self.n))
            .collect()
    }

    /// The record as it is produced now.
    pub fn value(&self) -> Value {
        let recipients = self.recipients();
        let common = json!({ "destination": recipients[0], "in_doubt": self.in_doubt });
        let base = with(message(&self.log_id()), common);
        match self.kind {
            Kind::Plain | Kind::Delayed => base,
            Kind::Long(parts) => {
                let text: String = (self.log_id() + " ")
                    .chars()
                    .cycle()
                    .take(153 * parts as usize)
                    .collect();
                with(base, json!({ "short_message": text }))
            }
            Kind::Expiring => {
                let at = Timestamp::now() + self.life;
                with(base, json!({ "expires_at": at.to_string() }))
            }
            Kind::Multi => {
                let mut multi = with(
                    base,
                    json!({ "type": "SubmitMulti", "destinations": recipients }),
                );
                multi.as_object_mut().expect("fields").remove("destination");
                multi
            }
        }
    }
}

/// The number of the record that has this recipient.
pub fn number(recipient: &str) -> Option<usize> {
    recipient.strip_prefix("4179")?.get(1..)?.parse().ok()
}

/// Appends these records, in their order within each partition.
pub fn produce(it: &Deployment, orders: &[Order]) {
    append(it, &it.kafka.appender(), orders);
}

fn append(it: &Deployment, appender: &Appender, orders: &[Order]) {
    let values: Vec<String> = orders.iter().map(|o| o.value().to_string()).collect();
    for topic in topics(orders) {
        let records = orders.iter().zip(&values).filter(|(o, _)| o.topic == topic);
        let records: Vec<Send<'_>> = records
            .map(|(order, value)| Send {
                partition: Some(order.partition),
                value: Some(value.as_bytes()),
                ..Send::default()
            })
            .collect();
        appender.append(&it.topic(topic), &records, None);
    }
}

/// Appends them little by little.
pub fn feed(it: &Deployment, orders: &[Order], during: Duration) {
    let batch = (orders.len() / 60).max(1);
    let pause = during * batch as u32 / orders.len() as u32;
    let appender = it.kafka.appender();
    for orders in orders.chunks(batch) {
        append(it, &appender, orders);
        std::thread::sleep(pause);
    }
}

/// The stems of the topics of these records.
pub fn topics(orders: &[Order]) -> Vec<&'static str> {
    let mut topics: Vec<&str> = orders.iter().map(|o| o.topic).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}
