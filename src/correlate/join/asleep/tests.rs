use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hasher;

use proptest::prelude::*;

use super::super::{Effect, Join, Value};
use super::*;
use crate::record::internal::BorrowedEntry;
use crate::record::keys::{Key, Position};
use crate::record::kind::Record;

const LIMITS: JoinLimits = JoinLimits {
    moment: 5,
    grace: 50,
    retention: 20_000,
    ttl: 60_000,
    parked_octets: 0,
};

impl<S: BuildHasher + Default> Asleep<S> {
    /// Whatever it counts is what there is; returns the identities.
    pub(in crate::correlate::join) fn check(&self, limits: &JoinLimits) -> Vec<String> {
        let (mut identities, mut due, mut octets) = (Vec::new(), BTreeSet::new(), 0);
        for (number, page) in (0..).zip(&self.pages) {
            let mut live = 0;
            for at in page.places() {
                let place = Place { page: number, at };
                let identity = self.identity(place).expect("it reads back");
                let entry = self.unpack(place).expect("it reads back");
                assert!(self.find(&identity) == Some(place), "{identity} is found");
                assert!(page.due.is_some_and(|due| due <= entry.deadline(limits)));
                live += HEAD + self.at(place).unwrap().len();
                identities.push(identity);
            }
            assert_eq!(page.live, live, "page {number}");
            let is_filled = self.filled.contains(&Some(number));
            let is_vacant = self.vacant.contains(&number);
            assert!(
                is_filled || live > 0 || is_vacant,
                "page {number} holds nothing"
            );
            assert!(is_filled || is_vacant || live * 2 >= page.octets.len());
            assert!(!is_vacant || page.octets.capacity() == 0);
            due.extend(page.due.map(|at| (at, number)));
            octets += page.octets.capacity();
        }
        assert_eq!((self.octets, &self.due), (octets, &due));
        assert_eq!(self.table.len(), identities.len());
        assert!(!identities.is_empty() || self.octets() == 0);
        identities
    }
}

/// All its fields.
fn text(entry: &Entry) -> String {
    let Entry {
        submission,
        raw,
        stated,
        submitted_at,
        recipients,
        to,
        sender,
        reference,
        order,
        seen,
        final_at,
        outdated,
    } = entry;
    format!(
        "{submission} {raw:?} {stated} {submitted_at} {recipients:?} {to:?} {sender} {reference:?} {order} {seen:?} {final_at:?} {outdated}"
    )
}

/// An entry as it is read from the log, under its identity.
fn of_the_log(n: u32, part: Option<u16>) -> (String, Entry) {
    let id = format!("{:08X}", n.wrapping_mul(0x9E37_79B9));
    let record = Position {
        topic: "sms.outbound".into(),
        partition: 3,
        offset: i64::from(n),
    };
    let new = BorrowedEntry {
        esme: "acme",
        message_id: &id,
        log_id: "order-1042",
        extra_data: None,
        record: Cow::Borrowed(&record),
        part,
        attempt: 1,
        submitted_at: jiff::Timestamp::from_millisecond(i64::from(n)).unwrap(),
        source: Some("ACME"),
        destination: Some("+41791234567"),
        recipients: None,
        numbers: Cow::default(),
        lists: false,
        reference: None,
        headers: Vec::new(),
    };
    let mut raw = Vec::new();
    assert!(new.cbor(&mut raw));
    let facts = Facts::of(&raw).unwrap();
    let key = keys::entry("acme", &id, &record, part);
    let identity = keys::identity("acme", &id);
    let entry = Entry {
        submission: key[identity.len() + 1..].into(),
        raw: raw.into(),
        stated: true,
        submitted_at: facts.submitted_at,
        recipients: facts.recipients,
        to: facts.to,
        sender: facts.sender,
        reference: facts.reference,
        order: 0,
        seen: Vec::new(),
        final_at: None,
        outdated: false,
    };
    (identity, entry)
}

prop_compose! {
    fn seen()(
        (state, digest, ambiguous) in (any::<u8>(), any::<u32>(), any::<bool>()),
        recipient in any::<Option<i64>>(),
        (report, session) in (any::<Option<u32>>(), any::<Option<u32>>()),
    ) -> Seen {
        Seen { state, digest, recipient, report, ambiguous, session }
    }
}

prop_compose! {
    /// Any entry: of the log or not, as its octets say or not.
    fn any_entry()(
        (n, part, own) in (0..40u32, any::<Option<u16>>(), 0..4u8),
        raw in (any::<u8>(), prop_oneof![0..40usize, 3000..9000usize]).prop_map(|(octet, n)| vec![octet; n]),
        submission in prop_oneof!["[a-z]{0,3}:[0-9]{1,3}:[0-9]{1,3}(\\.[0-9]{1,6})?", ".{0,9}"],
        (submitted_at, recipients, reference) in (0..100_000i64, any::<Option<u32>>(), any::<Option<u16>>()),
        to in prop_oneof![any::<i64>().prop_map(To::One), proptest::collection::vec(any::<i64>(), 0..4).prop_map(|all| To::Several(all.into()))],
        (sender, final_at) in (any::<u32>(), prop_oneof![Just(None), (0..100_000i64).prop_map(Some)]),
        seen in proptest::collection::vec(seen(), 0..3),
    ) -> (String, Entry) {
        let (identity, entry) = of_the_log(n, part);
        let entry = match own {
            0 => entry,
            1 => Entry { seen, final_at, ..entry },
            2 => Entry { stated: false, submitted_at, seen, final_at, ..entry },
            _ => Entry {
                raw: raw.into(), stated: false, submission: submission.into(), submitted_at, recipients, to,
                sender, reference, seen, final_at, ..entry
            },
        };
        (identity, entry)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put,
    Take,
    Forget(bool),
    Wake(Millis),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Put),
        2 => Just(Step::Take),
        2 => any::<bool>().prop_map(Step::Forget),
        1 => (0..170_000i64).prop_map(Step::Wake),
    ]
}

/// All have one hash.
#[derive(Clone, Default)]
struct Same;

impl BuildHasher for Same {
    type Hasher = SameHasher;

    fn build_hasher(&self) -> SameHasher {
        SameHasher
    }
}

struct SameHasher;

impl Hasher for SameHasher {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        7
    }
}

fn any_history<S: BuildHasher + Default>(steps: Vec<(Step, (String, Entry))>) {
    let (mut asleep, mut model) = (Asleep::<S>::default(), BTreeMap::<String, Entry>::new());
    for (step, (identity, entry)) in steps {
        match step {
            Step::Put if !model.contains_key(&identity) => {
                if asleep.put(&identity, &entry, &LIMITS) {
                    model.insert(identity, entry);
                } else {
                    assert!(
                        entry.raw.len() + entry.submission.len() > 4000,
                        "{identity}"
                    );
                }
            }
            Step::Put | Step::Take => {
                let (taken, expected) = (asleep.take(&identity), model.remove(&identity));
                assert_eq!(taken.as_ref().map(text), expected.as_ref().map(text));
            }
            Step::Forget(right) => {
                let before = model
                    .get(&identity)
                    .map(|entry| entry.submission.to_string());
                let submission = before
                    .clone()
                    .filter(|_| right)
                    .unwrap_or_else(|| "t:0".to_owned());
                let expected = before.is_some_and(|before| before == submission);
                assert_eq!(asleep.forget(&identity, &submission), expected);
                if expected {
                    model.remove(&identity);
                }
            }
            Step::Wake(now) => {
                while asleep.due().is_some_and(|due| due <= now) {
                    for (identity, entry) in asleep.wake(now, &LIMITS) {
                        let expected = model.remove(&identity).expect("it slept");
                        assert_eq!(text(&entry), text(&expected));
                        assert!(entry.deadline(&LIMITS) <= now + SOON);
                    }
                }
                assert!(model.values().all(|entry| entry.deadline(&LIMITS) > now));
            }
        }
        let mut identities = asleep.check(&LIMITS);
        identities.sort_unstable();
        assert!(identities.iter().eq(model.keys()));
    }
}

proptest! {
    #[test]
    fn whoever_sleeps_wakes_as_it_was(steps in proptest::collection::vec((step(), any_entry()), 1..150)) {
        any_history::<DefaultHashBuilder>(steps);
    }

    #[test]
    fn nobody_is_taken_for_another_with_the_same_hash(steps in proptest::collection::vec((step(), any_entry()), 1..60)) {
        any_history::<Same>(steps);
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text(self))
    }
}

#[test]
fn an_entry_takes_little_and_holes_are_given_back() {
    let mut asleep = Asleep::<DefaultHashBuilder>::default();
    let all = 20_000;
    let put = |asleep: &mut Asleep, n| {
        let (identity, entry) = of_the_log(n, None);
        assert!(asleep.put(&identity, &entry, &LIMITS));
    };
    (0..all).for_each(|n| put(&mut asleep, n));
    let each = asleep.octets() / all as usize;
    assert!((60..90).contains(&each), "{each} octets");
    // All but one of ten are finished.
    for n in (0..all).filter(|n| n % 10 != 0) {
        assert!(asleep.take(&of_the_log(n, None).0).is_some());
    }
    let left = asleep.octets() / (all as usize / 10);
    assert!(
        left < 2 * each + 130,
        "{left} octets each, with the table that was larger"
    );
    assert_eq!(asleep.check(&LIMITS).len(), all as usize / 10);
    // Their time is over.
    let woken: usize =
        std::iter::from_fn(|| Some(asleep.wake(Millis::from(all) + 60_000, &LIMITS).len()))
            .take_while(|woken| *woken > 0)
            .sum();
    assert_eq!(
        (woken, asleep.len(), asleep.octets()),
        (all as usize / 10, 0, 0)
    );
}

#[test]
fn a_time_that_was_put_right_stays_so_in_sleep() {
    let mut asleep = Asleep::<DefaultHashBuilder>::default();
    for (n, put_right, stated) in [(7, 7, true), (8, 5000, false)] {
        let (identity, mut entry) = of_the_log(n, None);
        entry.set_submitted_at(put_right);
        assert!(asleep.put(&identity, &entry, &LIMITS));
        let woken = asleep.take(&identity).expect("it sleeps");
        assert_eq!((woken.submitted_at, woken.stated), (put_right, stated));
    }
}

#[test]
fn a_message_of_a_clock_days_ahead_is_overdue_after_its_wait_although_it_slept() {
    // Three days ahead of now, which is 0.
    let (identity, entry) = of_the_log(3 * 24 * 3600 * 1000, None);
    let (submission, mut out) = (entry.submission.clone(), Vec::new());
    let value = Value::Entry {
        raw: entry.raw,
        stated: entry.stated,
        submitted_at: entry.submitted_at,
        recipients: entry.recipients,
        to: entry.to,
        sender: entry.sender,
        reference: entry.reference,
        seen: entry.seen,
        final_at: entry.final_at,
    };
    let key = Key::Entry {
        identity: &identity,
        submission: &submission,
    };
    let mut join = Join::new(LIMITS);
    join.live(0, &mut out);
    join.record(&key, value, 0, &mut out);
    assert_eq!((join.asleep.len(), out.len()), (1, 0));
    join.tick(LIMITS.ttl, 10, &mut out);
    assert!(matches!(out[0], Effect::Overdue { .. }), "{out:?}");
}

#[test]
fn what_has_no_room_stays_awake() {
    let mut asleep = Asleep::<DefaultHashBuilder>::default();
    let (identity, entry) = of_the_log(1, None);
    let large = Entry {
        raw: vec![b'x'; LARGEST].into(),
        stated: false,
        ..entry
    };
    assert!(!asleep.put(&identity, &large, &LIMITS));
    let (_, entry) = of_the_log(1, None);
    for n in 0..NAMES + 5 {
        let fits = asleep.put(&format!("esme{n}/1"), &entry, &LIMITS);
        assert_eq!(fits, n < NAMES - 2, "{n}, beside those of the first one");
    }
}
