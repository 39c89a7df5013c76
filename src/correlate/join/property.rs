//! A partition through any history: entries, receipts, repeats, lagging reads, lost
//! transactions, successors.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::model::{Model, published};
use super::*;
use crate::correlate::delivery_of;

const LIMITS: JoinLimits = JoinLimits {
    moment: 5,
    grace: 50,
    retention: 1_000_000,
    ttl: 10_000_000,
    parked_octets: usize::MAX,
};

#[derive(Clone, Debug)]
enum Step {
    Create {
        id: u8,
    },
    /// Another message gets this id.
    CreateTo {
        id: u8,
        recipient: u8,
    },
    Deliver {
        id: u8,
        recipient: u8,
        state: u8,
    },
    /// The tail reads so many records.
    Read(u8),
    /// The partition consumes so many deliveries.
    Consume(u8),
    /// What was written since the last commit becomes visible.
    Commit,
    Tick(u8),
    /// The owner dies; another takes over.
    Die,
}

/// How many recipients the message under `id` has.
fn recipients(id: u8) -> u8 {
    1 + id % 3
}

/// The number of one of them.
fn number(recipient: u8) -> i64 {
    41_790_000_000 + i64::from(recipient)
}

/// To whom the message under `id` goes.
fn to(id: u8) -> To {
    To::Several((0..recipients(id)).map(number).collect())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u8).prop_map(|id| Step::Create { id }),
        4 => (0..6u8, 0..3u8, 1..4u8).prop_map(|(id, recipient, state)| Step::Deliver {
            id,
            recipient: recipient % recipients(id),
            state,
        }),
        4 => (1..8u8).prop_map(Step::Read),
        4 => (1..4u8).prop_map(Step::Consume),
        3 => Just(Step::Commit),
        2 => (1..40u8).prop_map(Step::Tick),
        1 => Just(Step::Die),
    ]
}

/// Few ids, few recipients, and receipts that do not say whose they are.
fn crowded() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2u8, 0..3u8).prop_map(|(id, recipient)| Step::CreateTo { id, recipient }),
        4 => (0..2u8, 0..4u8, 1..4u8).prop_map(|(id, recipient, state)| Step::Deliver {
            id,
            recipient,
            state,
        }),
        6 => step().prop_filter("others", |step| {
            !matches!(step, Step::Create { .. } | Step::Deliver { .. })
        }),
    ]
}

fn receipt_from(from: u8, state: u8) -> Seen {
    Seen {
        state,
        digest: u32::from(from) * 10 + u32::from(state),
        recipient: Some(anybody(from)),
        report: Some(u32::from(state)),
        ambiguous: false,
        session: Some(1),
    }
}

/// To whom the message with this raw value goes, and how many they are.
fn addressed(raw: &[u8]) -> (To, u8) {
    match raw {
        // Of several under an id its recipient stands at the end.
        [.., b'>', recipient] => (To::One(number(recipient - b'0')), 1),
        [.., id] => (to(id - b'0'), recipients(id - b'0')),
        [] => (To::One(0), 1),
    }
}

/// What happens to many messages under one id.
#[derive(Clone, Debug)]
enum Among {
    /// So many are submitted: to whom, from whom.
    Create(u8, u8, u8),
    /// One is read again, as it was written first.
    Again(u8),
    Receipt(u8, u8),
    Tick(u16),
}

fn among() -> impl Strategy<Value = Among> {
    prop_oneof![
        3 => (1..20u8, 0..8u8, 0..3u8).prop_map(|(n, to, from)| Among::Create(n, to, from)),
        1 => any::<u8>().prop_map(Among::Again),
        6 => (0..8u8, 1..4u8).prop_map(|(from, state)| Among::Receipt(from, state)),
        1 => (1..30_000u16).prop_map(Among::Tick),
    ]
}

/// A phone, a name, or nobody.
fn anybody(one: u8) -> i64 {
    match one {
        0 => 0,
        1 => -7,
        phone => number(phone),
    }
}

fn one_of_many(at: usize, (to, from): (u8, u8), now: Millis) -> (String, Value) {
    let value = Value::Entry {
        raw: at.to_string().into(),
        stated: false,
        submitted_at: now,
        recipients: Some(1),
        to: match to {
            7 => To::Several([anybody(2), anybody(2), anybody(1)].into()),
            to => To::One(anybody(to)),
        },
        sender: sender_digest(Some(anybody(from))),
        reference: None,
        seen: vec![],
        final_at: None,
    };
    (format!("a/1/t:0:{at}"), value)
}

/// Kafka and the owner of the partition.
struct World {
    partition: Model<(String, Seen)>,
    now: Millis,
    events: Vec<Effect>,
    created: BTreeSet<String>,
    /// When each identity's first receipt was parked and its entry became visible too late.
    lonely: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        World {
            partition: Model::new(LIMITS),
            now: 0,
            events: vec![],
            created: BTreeSet::new(),
            lonely: BTreeSet::new(),
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Create { id } => self.create(*id),
            Step::CreateTo { id, recipient } => {
                let key = format!("a/{id}/t:0:{}", 10 + self.created.len());
                let value = self.entry(format!("{key}>{recipient}").into());
                self.created.insert(key.clone());
                self.partition.log.push((key, Some(value)));
            }
            Step::Deliver {
                id,
                recipient,
                state,
            } => {
                let seen = Seen {
                    state: *state,
                    digest: u32::from(*id) * 100 + u32::from(*recipient) * 10 + u32::from(*state),
                    // The last one is masked.
                    recipient: (*recipient < 3).then(|| number(*recipient)),
                    report: Some(u32::from(*recipient) * 10 + u32::from(*state)),
                    ambiguous: false,
                    session: None,
                };
                self.partition.deliveries.push((format!("a/{id}"), seen));
            }
            Step::Read(n) => (0..*n).for_each(|_| self.partition.read_one(self.now)),
            Step::Consume(n) => (0..*n).for_each(|_| self.consume_one()),
            Step::Commit => self.commit(),
            Step::Tick(n) => {
                self.now += Millis::from(*n);
                self.partition.tick(self.now);
            }
            Step::Die => self.partition.die(self.now),
        }
        self.partition.join.check();
    }

    fn create(&mut self, id: u8) {
        let identity = format!("a/{id}");
        if self.created.insert(identity.clone()) {
            let value = self.entry(identity.clone().into());
            self.partition
                .log
                .push((format!("{identity}/t:0:1"), Some(value)));
        }
    }

    fn entry(&self, raw: Bytes) -> Value {
        let (to, recipients) = addressed(&raw);
        Value::Entry {
            raw,
            stated: false,
            submitted_at: self.now,
            recipients: Some(u32::from(recipients)),
            to,
            sender: 0,
            reference: None,
            seen: vec![],
            final_at: None,
        }
    }

    fn consume_one(&mut self) {
        let at = self.partition.consumed;
        let Some((identity, receipt)) = self.partition.deliveries.get(at).cloned() else {
            return;
        };
        let (offset, raw) = (self.offset(at), self.raw(&identity, &receipt));
        let Model {
            join,
            pending,
            consumed,
            ..
        } = &mut self.partition;
        *consumed += 1;
        join.delivery(&identity, offset, raw, receipt.into(), self.now, pending);
    }

    /// The offset of a delivery. The log has lost its tail again and again, so each identity's
    /// begin where the others' do.
    fn offset(&self, at: usize) -> i64 {
        let deliveries = &self.partition.deliveries;
        let (identity, _) = &deliveries[at];
        let before = deliveries[..at].iter();
        before.filter(|(other, _)| other == identity).count() as i64
    }

    fn raw(&self, identity: &str, receipt: &Seen) -> Arc<Delivery> {
        delivery_of(format!("{identity}#{}", receipt.digest))
    }

    fn commit(&mut self) {
        let entry = |raw: Bytes, seen, final_at| {
            let (to, recipients) = addressed(&raw);
            Value::Entry {
                raw,
                stated: false,
                submitted_at: 0,
                recipients: Some(u32::from(recipients)),
                to,
                sender: 0,
                reference: None,
                seen,
                final_at,
            }
        };
        let events = self
            .partition
            .commit(entry, |deliveries, identity, offset| {
                let mut theirs = deliveries.iter().filter(|(i, _)| i == identity);
                (theirs.nth(offset as usize).unwrap().1.into(), None)
            });
        for event in &events {
            if let Effect::Publish {
                entry: None,
                identity,
                ..
            } = event
            {
                self.lonely.insert(identity.to_string());
            }
        }
        self.events.extend(events);
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        for wait in [0, LIMITS.grace, LIMITS.retention, LIMITS.ttl] {
            while self.partition.consumed < self.partition.deliveries.len() {
                self.consume_one();
            }
            self.now += wait;
            for _ in 0..3 {
                self.partition.tick(self.now);
                self.commit();
                self.partition.read_all(self.now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_receipt_is_published_once_and_everything_ends(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        world.settle();

        let mut published = published(&world.events);
        let mut overdue = BTreeMap::new();
        for event in &world.events {
            match event {
                Effect::Publish { identity, entry, .. } => {
                    if let Some(entry) = entry {
                        prop_assert_eq!(entry, identity.as_bytes());
                    }
                }
                Effect::Overdue { entry, missing } => {
                    prop_assert_eq!(overdue.insert(entry.clone(), *missing), None);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        let delivered: BTreeSet<Vec<u8>> = world.partition
            .deliveries
            .iter()
            .map(|(identity, receipt)| world.raw(identity, receipt).pdu.clone())
            .collect();
        for receipt in &delivered {
            prop_assert_eq!(published.remove(receipt), Some(1), "{:?}", receipt);
        }
        prop_assert!(published.is_empty());

        for identity in &world.created {
            let finals = world.partition.deliveries.iter().filter(|(i, r)| i == identity && r.is_final());
            let finished: BTreeSet<_> = finals.map(|(_, r)| r.recipient).collect();
            let id = identity.as_bytes().last().map_or(0, |id| id - b'0');
            let missing = u32::from(recipients(id)) - finished.len() as u32;
            let expected = (missing > 0).then_some(Some(missing));
            prop_assert_eq!(overdue.remove(identity.as_bytes()), expected, "{}", identity);
        }
        prop_assert!(overdue.is_empty());

        // Nothing is remembered for ever, neither here nor in the log.
        prop_assert_eq!(world.partition.left(), Vec::<&String>::new());
    }

    #[test]
    fn a_receipt_is_correlated_when_its_creation_was_there_first(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for id in 0..6 {
            world.create(id);
        }
        world.partition.die(world.now);
        for step in &steps {
            world.run(step);
        }
        world.settle();
        prop_assert!(world.lonely.is_empty());
    }

    /// [`Join::check`] compares the index with one made anew.
    #[test]
    fn the_index_of_many_messages_is_right_whatever_happens(lives in any::<bool>(), steps in proptest::collection::vec(among(), 1..40)) {
        let mut join = Join::new(JoinLimits { retention: 20_000, ttl: 60_000, ..LIMITS });
        let (mut now, mut out, mut written) = (0, vec![], vec![]);
        if lives {
            join.live(now, &mut out);
        }
        for (offset, step) in (0..).zip(&steps) {
            let mut record = |join: &mut Join, (key, value): (String, Value)| {
                let key = Key::parse(key.as_bytes()).unwrap();
                join.record(&key, value, now, &mut out);
            };
            match *step {
                Among::Create(n, to, from) => for _ in 0..n {
                    written.push(one_of_many(written.len(), (to, from), now));
                    record(&mut join, written[written.len() - 1].clone());
                },
                Among::Again(which) if !written.is_empty() => {
                    let (key, mut value) = written[usize::from(which) % written.len()].clone();
                    if let Value::Entry { seen, sender, .. } = &mut value && which % 2 == 0 {
                        seen.push(receipt_from(2, 2));
                        *sender = 9;
                    }
                    record(&mut join, (key, value));
                }
                Among::Receipt(from, state) if lives => {
                    let receipt = receipt_from(from, state).into();
                    join.delivery("a/1", offset, delivery_of("d"), receipt, now, &mut out);
                }
                Among::Tick(n) if lives => {
                    now += Millis::from(n);
                    join.tick(now, 10_000, &mut out);
                }
                _ => {}
            }
            join.check();
        }
        join.live(now, &mut out);
        join.check();
        join.tick(now + 500_000, 100_000, &mut out);
        join.tick(now + 1_000_000, 100_000, &mut out);
        join.check_empty();
    }

    #[test]
    fn no_receipt_goes_to_a_message_whose_recipient_it_contradicts(steps in proptest::collection::vec(crowded(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        world.settle();
        let mut published = published(&world.events);
        for event in &world.events {
            let Effect::Publish { identity, delivery, entry, candidates, .. } = event else {
                continue;
            };
            let said = |(of, receipt): &&(String, Seen)| **of == **identity && world.raw(of, receipt) == *delivery;
            let (_, receipt) = world.partition.deliveries.iter().find(said).expect("it was delivered");
            for entry in entry.iter().chain(candidates) {
                let one = receipt.recipient.is_none_or(|r| addressed(entry).0 == To::One(r));
                prop_assert!(one, "{:?} of {:?}", delivery, entry);
                let of_the_id = entry.starts_with(format!("{identity}/").as_bytes());
                prop_assert!(of_the_id);
            }
            prop_assert!(candidates.is_empty() || candidates.len() > 1);
        }
        let delivered: BTreeSet<Vec<u8>> = (world.partition.deliveries.iter())
            .map(|(identity, receipt)| world.raw(identity, receipt).pdu.clone())
            .collect();
        for receipt in &delivered {
            prop_assert_eq!(published.remove(receipt), Some(1), "{:?}", receipt);
        }
        prop_assert!(published.is_empty());
        prop_assert_eq!(world.partition.left(), Vec::<&String>::new());
    }
}
