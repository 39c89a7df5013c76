//! A partition of Kafka and its owner, as the histories of the property tests need them.

use std::collections::BTreeMap;

use super::*;

/// A partition of both internal topics, and its owner.
pub(super) struct Model<D> {
    limits: JoinLimits,
    pub(super) join: Join,
    /// The correlation topic, as far as it is committed.
    pub(super) log: Vec<(String, Option<Value>)>,
    pub(super) read: usize,
    pub(super) deliveries: Vec<D>,
    pub(super) consumed: usize,
    committed: usize,
    /// Effects not committed yet.
    pub(super) pending: Vec<Effect>,
}

impl<D> Model<D> {
    /// An owner that is live, of empty topics.
    pub(super) fn new(limits: JoinLimits) -> Self {
        let mut join = Join::new(limits);
        join.live(0, &mut Vec::new());
        Model {
            limits,
            join,
            log: vec![],
            read: 0,
            deliveries: vec![],
            consumed: 0,
            committed: 0,
            pending: vec![],
        }
    }

    /// The tail reads a record, if there is one.
    pub(super) fn read_one(&mut self, now: Millis) {
        let Some((key, value)) = self.log.get(self.read).cloned() else {
            return;
        };
        self.read += 1;
        let key = Key::parse(key.as_bytes()).unwrap();
        match value {
            Some(value) => self.join.record(&key, value, now, &mut self.pending),
            None => self.join.tombstone(&key),
        }
    }

    pub(super) fn read_all(&mut self, now: Millis) {
        while self.read < self.log.len() {
            self.read_one(now);
        }
    }

    pub(super) fn tick(&mut self, now: Millis) {
        self.join.tick(now, 1000, &mut self.pending);
    }

    /// What was written since the last commit becomes visible. Values of the log are made by these;
    /// returns what goes to other topics.
    pub(super) fn commit(
        &mut self,
        entry: impl Fn(Bytes, Vec<Seen>, Option<Millis>) -> Value,
        parked: impl Fn(&[D], &str, i64) -> (Receipt, Option<Arc<str>>),
    ) -> Vec<Effect> {
        self.committed = self.consumed;
        let mut others = Vec::new();
        for effect in std::mem::take(&mut self.pending) {
            match effect {
                Effect::Remember {
                    key,
                    entry: raw,
                    seen,
                    final_at,
                } => self.log.push((key, Some(entry(raw, seen, final_at)))),
                Effect::Park {
                    key,
                    delivery,
                    published_at,
                } => {
                    let Some(Key::Parked { identity, offset }) = Key::parse(key.as_bytes()) else {
                        panic!("{key}");
                    };
                    let (receipt, home) = parked(&self.deliveries, identity, offset);
                    let value = Value::Parked {
                        delivery,
                        receipt,
                        home,
                        published_at,
                    };
                    self.log.push((key, Some(value)));
                }
                Effect::Forget { key } => self.log.push((key, None)),
                other => others.push(other),
            }
        }
        others
    }

    /// What is not committed is lost; the successor reads the compacted log, and knows no habits.
    pub(super) fn die(&mut self, now: Millis) {
        self.pending.clear();
        self.consumed = self.committed;
        let places = self.log.iter().enumerate();
        let latest: BTreeMap<&String, usize> = places.map(|(i, (k, _))| (k, i)).collect();
        let mut kept: Vec<usize> = latest.into_values().collect();
        kept.sort_unstable();
        self.log = kept.iter().map(|i| self.log[*i].clone()).collect();
        self.read = 0;
        self.join = Join::new(self.limits);
        self.read_all(now);
        self.join.live(now, &mut self.pending);
    }

    /// What is remembered, here or in the log.
    pub(super) fn left(&self) -> Vec<&String> {
        self.join.check_empty();
        let latest: BTreeMap<_, _> = self.log.iter().map(|(key, value)| (key, value)).collect();
        let left = latest.into_iter().filter(|(_, value)| value.is_some());
        left.map(|(key, _)| key).collect()
    }
}

/// How often each receipt was published.
pub(super) fn published(events: &[Effect]) -> BTreeMap<Vec<u8>, usize> {
    let mut published = BTreeMap::new();
    for event in events {
        if let Effect::Publish { delivery, .. } = event {
            *published.entry(delivery.pdu.clone()).or_default() += 1;
        }
    }
    published
}
