//! An account with an SMSC, as the submit pipeline sees it, and its share of the rate.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kafka::Partition;
use crate::meters::Meters;
use crate::record::codec::Codec;
use crate::record::notification::Notify;
use smpp_esme::Rate;
use smpp_protocol::Dialect;

use crate::submit::binds::group::{BindGroupOptions, InboundOf, burst, paced};
use crate::submit::binds::open::OpenBinds;
use crate::submit::binds::wanted::Wanted;
use crate::submit::message::Defaults;
use crate::submit::results::events::AccountRef;
use crate::trace::Trace;

/// How binds follow partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binds {
    /// So many for each partition of the first topic.
    PerPartition(u32),
    /// So many for this process as soon as it has any partition.
    PerInstance(u32),
}

/// What is configured of an account.
pub struct Options {
    /// The ESME's name.
    pub name: Arc<str>,
    /// Its topics, most urgent first; the partitions of the first are the leases.
    pub topics: Vec<Arc<str>>,
    /// Whether its only topic just leases binds, and its records are refused.
    pub lease_only: bool,
    /// How binds follow partitions.
    pub binds: Binds,
    /// The sessions that make up one bind: one, or a transmitter and a receiver.
    pub sessions: Vec<smpp_esme::Options>,
    /// Limit of the account in submit_sm per second; infinite without one.
    pub max_tps: f64,
    /// Limit of each bind; infinite without one.
    pub max_tps_per_bind: f64,
    /// What its SMSC does in its own way.
    pub dialect: Arc<Dialect>,
    /// The most partitions its first topic may have, because each brings binds.
    pub max_partitions: Option<u32>,
    /// How its records are read.
    pub codec: Codec,
    /// What a record need not say.
    pub defaults: Defaults,
    /// Makes the receiver of deliver_sm for a bind of this name.
    pub inbound: InboundOf,
    /// What is counted and timed of it.
    pub meters: Arc<Meters>,
    /// Takes what is told of its binds and partitions.
    pub notify: Notify,
    /// Where the PDUs of its binds go besides, if they do.
    pub trace: Option<Trace>,
}

/// See the [module](self).
pub struct Account {
    /// What is configured.
    pub options: Options,
    /// What events need to know of it.
    pub reference: Arc<AccountRef>,
    /// Its binds, for those who look.
    pub binds: Arc<OpenBinds>,
    /// What operators want of it.
    wanted: watch::Sender<Wanted>,
    /// Whether its rate or that of a bind is finite.
    limited: Arc<AtomicBool>,
    rate: Arc<Mutex<Rate>>,
    share: Mutex<Share>,
}

#[derive(Default)]
struct Share {
    assigned: BTreeSet<i32>,
    total: i32,
    /// When the topic was seen to have grown a moment ago, and how many partitions it had before.
    grown: Vec<(Instant, i32)>,
}

impl Share {
    fn count(&mut self, total: i32, now: Instant) {
        self.grown
            .retain(|(at, _)| now.duration_since(*at) < COUNTED);
        if total > self.total && self.total > 0 {
            self.grown.push((now, self.total));
        }
        self.total = total;
    }

    fn settles(&self, partition: i32, now: Instant) -> Option<Duration> {
        // The latest of those that may have brought it: each time it was behind all that were there.
        let mut latest_first = self.grown.iter().rev();
        let (grown, _) = latest_first.find(|(_, before)| partition >= *before)?;
        COUNTED
            .checked_sub(now.duration_since(*grown))
            .filter(|left| !left.is_zero())
    }
}

/// How long until every process has counted the partitions of a topic that has grown.
const COUNTED: Duration = Duration::from_secs(15);

impl Account {
    /// An account whose first topic has `total` partitions, none of them ours.
    pub fn new(options: Options, total: i32) -> Self {
        let rate = Rate::new(0.0, burst(options.max_tps));
        let limited = options.max_tps.is_finite() || options.max_tps_per_bind.is_finite();
        let reference = AccountRef {
            esme: options.name.clone(),
            dialect: options.dialect.clone(),
            meters: options.meters.clone(),
        };
        Account {
            reference: Arc::new(reference),
            options,
            binds: Arc::default(),
            wanted: watch::Sender::default(),
            limited: Arc::new(AtomicBool::new(limited)),
            rate: Arc::new(Mutex::new(rate)),
            share: Mutex::new(Share {
                assigned: BTreeSet::new(),
                total,
                grown: Vec::new(),
            }),
        }
    }

    /// The rate of the account in submit_sm per second, in all processes together: what operators
    /// want, or what is configured.
    pub fn max_tps(&self) -> f64 {
        self.wanted.borrow().max_tps.unwrap_or(self.options.max_tps)
    }

    /// What operators want of it.
    pub fn wanted(&self) -> Wanted {
        self.wanted.borrow().clone()
    }

    /// Operators want this of it now.
    pub fn steer(&self, wanted: Wanted) {
        self.wanted.send_replace(wanted);
        let limited = self.max_tps().is_finite() || self.options.max_tps_per_bind.is_finite();
        self.limited.store(limited, Relaxed);
        self.adjust(&self.share.lock());
    }

    /// Position of `topic` among the account's topics; 0 is most urgent.
    pub fn priority(&self, topic: &str) -> Option<usize> {
        self.options.topics.iter().position(|t| **t == *topic)
    }

    /// The name of one of its topics, shared.
    pub fn topic(&self, name: &str) -> Arc<str> {
        let known = self.options.topics.iter().find(|t| ***t == *name);
        known.cloned().unwrap_or_else(|| name.into())
    }

    /// A partition of the first topic, which has `total` of them, has come.
    pub fn gain(&self, partition: i32, total: i32) {
        let mut share = self.share.lock();
        share.assigned.insert(partition);
        share.count(total, Instant::now());
        self.adjust(&share);
    }

    /// A partition of the first topic is about to go. From now on the rate is lower.
    pub fn lose(&self, partition: i32) {
        let mut share = self.share.lock();
        share.assigned.remove(&partition);
        self.adjust(&share);
    }

    /// The first topic has `total` partitions now.
    pub fn resize(&self, total: i32) {
        let mut share = self.share.lock();
        share.count(total, Instant::now());
        self.adjust(&share);
    }

    /// How long a partition must not be served yet: it was added a moment ago, and until all
    /// processes know that theirs is a smaller part, all together would exceed the account's rate.
    pub fn settles_in(&self, partition: i32) -> Option<Duration> {
        let is_shared = self.max_tps().is_finite();
        let left = self.share.lock().settles(partition, Instant::now());
        left.filter(|_| is_shared)
    }

    /// The account's rate here, in submit_sm per second.
    pub fn current_rate(&self) -> f64 {
        self.adjust(&self.share.lock())
    }

    fn adjust(&self, share: &Share) -> f64 {
        let part = match share.total {
            0 => 0.0,
            total => f64::from(share.assigned.len() as u32) / f64::from(total),
        };
        let rate = match part {
            0.0 => 0.0,
            part => self.max_tps() * part.min(1.0),
        };
        // Bursts are shared like the rate: together they are what one process would have.
        let places = paced(rate);
        self.rate.lock().set(places, burst(rate), Instant::now());
        rate
    }

    /// The partitions of the other topics that go with this one.
    pub fn companions(&self, partition: i32) -> Vec<Partition> {
        let others = self.options.topics.iter().skip(1);
        others
            .map(|topic| Partition {
                topic: topic.clone(),
                partition,
            })
            .collect()
    }

    /// The binds of the bind group of `partition`, or of the whole process.
    pub fn plan(&self, partition: Option<i32>) -> BindGroupOptions {
        let options = &self.options;
        let (Binds::PerPartition(count) | Binds::PerInstance(count)) = options.binds;
        let mut binds = Vec::new();
        for number in 0..count {
            for session in &options.sessions {
                let mut session = session.clone();
                let place = match partition {
                    Some(partition) => format!("{partition}"),
                    None => "i".to_owned(),
                };
                session.name = match options.sessions.len() {
                    1 => format!("{}-{place}.{number}", options.name),
                    _ => format!("{}-{place}.{number}-{}", options.name, session.mode.name()),
                };
                let trace = options.trace.as_ref();
                session.tap = trace.map(|trace| trace.tap(&options.name, &session.name));
                binds.push(session);
            }
        }
        let first = options.sessions.first();
        BindGroupOptions {
            version: options.defaults.version.clone(),
            inbound: options.inbound.clone(),
            reference: self.reference.clone(),
            notify: options.notify.clone(),
            account: self.rate.clone(),
            meters: options.meters.clone(),
            open: self.binds.clone(),
            per_bind: options.max_tps_per_bind,
            limited: self.limited.clone(),
            wanted: self.wanted.subscribe(),
            response: first.map_or(Duration::from_secs(10), |s| s.timers.response.get()),
            window: first.map_or(1, |s| s.window),
            binds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_served_when_everybody_has_counted_it() {
        let (mut share, start) = (Share::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        share.count(2, start);
        assert!(share.settles(0, start).is_none() && share.settles(1, start).is_none());
        share.count(4, after(1));
        share.count(4, after(2));
        let left = |share: &Share, now| {
            let left = |partition| share.settles(partition, after(now)).map(|d| d.as_secs());
            (1..7).map(left).collect::<Vec<_>>()
        };
        let long = Some(14);
        assert_eq!(left(&share, 2), [None, long, long, long, long, long]);
        // It grows again before the others have counted what was added first.
        share.count(6, after(9));
        let (first, second) = (Some(6), Some(14));
        assert_eq!(
            left(&share, 10),
            [None, first, first, second, second, second]
        );
        assert_eq!(
            left(&share, 16),
            [None, None, None, Some(8), Some(8), Some(8)]
        );
        assert_eq!(left(&share, 24), [None; 6]);
        share.count(6, after(25));
        assert!(share.grown.is_empty());
    }
}
