//! Receipts whose ids have another form, between partitions whose owners die: each is in one
//! place at any time.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::model::{Model, published};
use super::*;
use crate::correlate::delivery_of;

const LIMITS: JoinLimits = JoinLimits {
    moment: 10,
    grace: 60,
    retention: 1_000_000,
    ttl: 10_000_000,
    parked_octets: usize::MAX,
};

/// How the SMSC writes in receipts what it wrote in small hexadecimal digits in responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Same,
    Capitals,
    Decimal,
    Padded,
}

impl Form {
    fn write(self, id: u32) -> String {
        match self {
            Form::Same => format!("{id:x}"),
            Form::Capitals => format!("{id:X}"),
            Form::Decimal => id.to_string(),
            Form::Padded => format!("{id:08x}"),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Answer(u8),
    Receipt { message: u8, state: u8 },
    Read(u8, u8),
    Consume(u8, u8),
    Commit(u8),
    Tick(u8),
    Die(u8),
}

const PARTITIONS: u8 = 3;
const MESSAGES: u8 = 9;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..MESSAGES).prop_map(Step::Answer),
        4 => (0..MESSAGES, 1..4u8).prop_map(|(message, state)| Step::Receipt { message, state }),
        4 => (0..PARTITIONS, 1..8u8).prop_map(|(of, n)| Step::Read(of, n)),
        4 => (0..PARTITIONS, 1..4u8).prop_map(|(of, n)| Step::Consume(of, n)),
        4 => (0..PARTITIONS).prop_map(Step::Commit),
        2 => (1..30u8).prop_map(Step::Tick),
        1 => (0..PARTITIONS).prop_map(Step::Die),
    ]
}

/// A number with letters in small and in large, whose partitions are mixed.
fn id(message: u8) -> u32 {
    0xab_cdef + u32::from(message) * 0x1111
}

fn phone(message: u8) -> i64 {
    41_790_000_000 + i64::from(message)
}

/// A record of the deliveries.
#[derive(Clone, Debug)]
struct Delivered {
    identity: String,
    raw: Arc<Delivery>,
    receipt: Receipt,
    home: Option<Arc<str>>,
}

struct World {
    form: Form,
    now: Millis,
    partitions: Vec<Model<Delivered>>,
    answered: BTreeSet<u8>,
    delivered: BTreeSet<Vec<u8>>,
    events: Vec<Effect>,
    /// The partition whose log is not read on, if any.
    stuck: Option<usize>,
}

fn partition(identity: &str) -> usize {
    keys::partition(identity.as_bytes(), i32::from(PARTITIONS)) as usize
}

impl World {
    fn new(form: Form) -> Self {
        World {
            form,
            now: 0,
            partitions: (0..PARTITIONS).map(|_| Model::new(LIMITS)).collect(),
            answered: BTreeSet::new(),
            delivered: BTreeSet::new(),
            events: vec![],
            stuck: None,
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Answer(message) => self.answer(*message),
            Step::Receipt { message, state } => {
                let seen = Seen {
                    state: *state,
                    digest: u32::from(*message) * 10 + u32::from(*state),
                    recipient: Some(phone(*message)),
                    report: Some(0),
                    ambiguous: false,
                    session: None,
                };
                let raw = delivery_of(format!("{message} {state}"));
                let identity = format!("a/{}", self.form.write(id(*message)));
                self.delivered.insert(raw.pdu.clone());
                self.partitions[partition(&identity)]
                    .deliveries
                    .push(Delivered {
                        raw,
                        receipt: Receipt {
                            received: Some(self.now),
                            ..seen.into()
                        },
                        home: None,
                        identity,
                    });
            }
            Step::Read(of, _) if self.stuck == Some(usize::from(*of)) => {}
            Step::Read(of, n) => {
                (0..*n).for_each(|_| self.partitions[usize::from(*of)].read_one(self.now));
            }
            Step::Consume(of, n) => (0..*n).for_each(|_| self.consume_one(usize::from(*of))),
            Step::Commit(of) => self.commit(usize::from(*of)),
            Step::Tick(n) => {
                self.now += Millis::from(*n);
                self.tick();
            }
            Step::Die(of) => self.partitions[usize::from(*of)].die(self.now),
        }
        self.partitions.iter().for_each(|owned| owned.join.check());
    }

    fn answer(&mut self, message: u8) {
        if !self.answered.insert(message) {
            return;
        }
        let identity = format!("a/{:x}", id(message));
        let raw = message.to_string().into();
        let value = entry(raw, self.now, vec![], None);
        let log = &mut self.partitions[partition(&identity)].log;
        log.push((format!("{identity}/t:0:{message}"), Some(value)));
    }

    fn consume_one(&mut self, of: usize) {
        let (owned, now) = (&mut self.partitions[of], self.now);
        let Some(delivered) = owned.deliveries.get(owned.consumed).cloned() else {
            return;
        };
        let offset = owned.consumed as i64;
        owned.consumed += 1;
        let Delivered {
            identity,
            raw,
            receipt,
            home,
        } = delivered;
        let (join, out) = (&mut owned.join, &mut owned.pending);
        match home {
            Some(home) => join.visit((&identity, &home), offset, raw, receipt, now, out),
            None => join.delivery(&identity, offset, raw, receipt, now, out),
        };
    }

    fn tick(&mut self) {
        let now = self.now;
        self.partitions.iter_mut().for_each(|owned| owned.tick(now));
    }

    fn commit(&mut self, of: usize) {
        let remembered = |raw, seen, final_at| entry(raw, 0, seen, final_at);
        let others = self.partitions[of].commit(remembered, |deliveries, _, offset| {
            let of = &deliveries[offset as usize];
            (of.receipt, of.home.clone())
        });
        for effect in others {
            let Effect::Move {
                to,
                delivery,
                home,
                tries,
                unanswered,
            } = effect
            else {
                self.events.push(effect);
                continue;
            };
            assert!(!unanswered, "everything is read in time");
            let mut before = self.partitions.iter().flat_map(|o| &o.deliveries);
            let receipt = before.find(|d| d.raw == delivery).unwrap().receipt;
            self.partitions[partition(&to)].deliveries.push(Delivered {
                identity: to,
                raw: delivery,
                receipt: Receipt { tries, ..receipt },
                home,
            });
        }
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        let waits = [LIMITS.moment, LIMITS.grace].repeat(8);
        self.go_on(&waits);
        self.stuck = None;
        self.go_on(&waits);
        self.go_on(&[LIMITS.retention, LIMITS.ttl]);
        (0..usize::from(PARTITIONS)).for_each(|of| self.commit(of));
    }

    fn go_on(&mut self, waits: &[Millis]) {
        for wait in waits {
            for _ in 0..3 {
                for of in 0..usize::from(PARTITIONS) {
                    while self.partitions[of].consumed < self.partitions[of].deliveries.len() {
                        self.consume_one(of);
                    }
                    self.commit(of);
                    if self.stuck != Some(of) {
                        self.partitions[of].read_all(self.now);
                    }
                }
            }
            self.now += wait;
            self.tick();
        }
    }
}

fn entry(raw: Bytes, at: Millis, seen: Vec<Seen>, final_at: Option<Millis>) -> Value {
    let message: u8 = std::str::from_utf8(&raw).unwrap().parse().unwrap();
    Value::Entry {
        raw,
        stated: false,
        submitted_at: at,
        recipients: Some(1),
        to: To::One(phone(message)),
        sender: 0,
        reference: None,
        seen,
        final_at,
    }
}

fn run(form: Form, steps: &[Step], answered: bool) -> Result<World, TestCaseError> {
    let mut world = World::new(form);
    if answered {
        (0..MESSAGES).for_each(|message| world.answer(message));
        (world.partitions.iter_mut()).for_each(|owned| owned.die(0));
    }
    finish(world, steps)
}

fn finish(mut world: World, steps: &[Step]) -> Result<World, TestCaseError> {
    steps.iter().for_each(|step| world.run(step));
    world.settle();
    let mut published = published(&world.events);
    for event in &world.events {
        if let Effect::Publish {
            delivery,
            entry: Some(entry),
            ..
        } = event
        {
            let of = delivery.pdu.split(|octet| *octet == b' ').next();
            prop_assert_eq!(Some(&**entry), of, "another message's");
        }
    }
    for receipt in &world.delivered {
        prop_assert_eq!(published.remove(receipt), Some(1), "{:?}", receipt);
    }
    prop_assert!(published.is_empty());
    for owned in &world.partitions {
        prop_assert_eq!(owned.left(), Vec::<&String>::new());
    }
    Ok(world)
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        Just(Form::Same),
        Just(Form::Capitals),
        Just(Form::Decimal),
        Just(Form::Padded)
    ]
}

// These receipts have no session. The same octets twice in one session may be said of two messages
// (`Same::InSession`), so "once" is not claimed of them: one may be published alone before the other
// form is known, and the other with its message.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whoever_dies_a_receipt_is_published_once(form in form(), steps in proptest::collection::vec(step(), 1..120)) {
        run(form, &steps, false)?;
    }

    #[test]
    fn whoever_dies_a_receipt_finds_its_message(form in form(), steps in proptest::collection::vec(step(), 1..120)) {
        let world = run(form, &steps, true)?;
        let alone = |e: &&Effect| matches!(e, Effect::Publish { entry: None, .. });
        prop_assert_eq!(world.events.iter().find(alone), None);
    }

    #[test]
    fn however_late_the_log_is_read_a_receipt_finds_its_message(form in form(), stuck in 0..PARTITIONS, steps in proptest::collection::vec(step(), 1..120)) {
        let world = unread(form, stuck, &steps)?;
        let alone = |e: &&Effect| matches!(e, Effect::Publish { entry: None, .. });
        prop_assert_eq!(world.events.iter().find(alone), None);
    }
}

/// Everything was answered before the first receipt, and none of it is read yet; of one partition
/// nothing is for long.
fn unread(form: Form, stuck: u8, steps: &[Step]) -> Result<World, TestCaseError> {
    let mut world = World::new(form);
    world.stuck = Some(usize::from(stuck));
    (0..MESSAGES).for_each(|message| world.answer(message));
    finish(world, steps)
}

#[test]
fn messages_and_other_forms_of_their_ids_lie_in_all_partitions() {
    for form in [Form::Same, Form::Capitals, Form::Decimal, Form::Padded] {
        let of = |message, form: Form| partition(&format!("a/{}", form.write(id(message))));
        let places: BTreeSet<_> = (0..MESSAGES)
            .map(|message| (of(message, Form::Same), of(message, form)))
            .collect();
        let wanted = if form == Form::Same { 3 } else { 4 };
        assert!(places.len() >= wanted, "{form:?} {places:?}");
    }
}
