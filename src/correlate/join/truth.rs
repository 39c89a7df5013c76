//! SMSCs of which is known whose each receipt is, and what the join makes of them.

use std::collections::BTreeMap;

use super::*;
use crate::correlate::delivery_of;
use crate::record::internal::number;

const LIMITS: JoinLimits = JoinLimits {
    moment: MOMENT,
    grace: 60_000,
    retention: 3_600_000,
    ttl: 3 * DAY,
    parked_octets: usize::MAX,
};

/// 2026-01-01T00:00:00Z.
const BEGIN: Millis = 1_767_225_600_000;

/// How an SMSC gives out ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    /// From 1, and again from 1 when it is started anew.
    Restarts,
    /// One for all.
    One,
    /// Up to ten, then from 1 again.
    UpToTen,
    /// Of 31 bits, by chance, a few of them twice.
    Random,
    /// None: then a receipt has none either.
    Empty,
}

/// To whom messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recipients {
    Each,
    One,
    Three,
}

/// How the numbers stand in receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    Full,
    Swapped,
    National,
    Cut,
    Masked,
    Letters,
    Missing,
}

/// When receipts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    After,
    Before,
    Mixed,
}

/// What stands in `submit date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dates {
    None,
    Minutes,
    Seconds,
    Local,
    Wrong,
    /// When the receipt was written.
    Now,
}

#[derive(Clone, Copy, Debug)]
struct Smsc {
    ids: Ids,
    recipients: Recipients,
    numbers: Numbers,
    order: Order,
    dates: Dates,
    /// Whether the first half of the messages has receipts.
    all: bool,
    /// Whether it repeats user_message_reference.
    references: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    receipts: usize,
    sure: usize,
    ambiguous: usize,
    alone: usize,
    misattributed: usize,
    swallowed: usize,
    twice: usize,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.receipts += other.receipts;
        self.sure += other.sure;
        self.ambiguous += other.ambiguous;
        self.alone += other.alone;
        self.misattributed += other.misattributed;
        self.swallowed += other.swallowed;
        self.twice += other.twice;
    }
}

/// What happens, in this order at one time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Answer(usize),
    /// Of a message: its state, and whether it is said again in a later session.
    Receipt(usize, u8, bool),
}

struct Told {
    id: String,
    at: Millis,
    to: String,
    session: Millis,
}

/// Those that come first have their answers before their receipts: by them the join gets to know
/// the SMSC.
const FIRST: usize = 24;
const MESSAGES: usize = FIRST + 60;
/// From here on the SMSC may have been restarted, and receipts may be sent.
const SECOND: usize = FIRST + 30;

impl Smsc {
    /// The messages, and what happens to them.
    fn play(self, random: &mut fastrand::Rng) -> (Vec<Told>, Vec<(Millis, Event)>) {
        let (mut told, mut events) = (Vec::<Told>::new(), Vec::new());
        let (mut at, mut session) = (BEGIN + random.i64(0..60_000), BEGIN);
        for n in 0..MESSAGES {
            at += random.i64(20..400);
            if n == FIRST {
                at += 60_000;
            }
            if n == SECOND {
                at += random.i64(1_000..400_000);
                if self.ids == Ids::Restarts {
                    session = at - random.i64(1..1_000);
                }
            }
            let id = match self.ids {
                Ids::Restarts if n < FIRST => format!("a/{}", 1000 + n),
                Ids::Restarts => format!("a/{}", 1 + (n - FIRST) % 30),
                Ids::One => "a/1".to_owned(),
                Ids::UpToTen => format!("a/{}", 1 + n % 10),
                Ids::Random if n > 10 && n % 7 == 0 => told[random.usize(0..n)].id.clone(),
                Ids::Random => format!("a/{}", random.u32(..1 << 31)),
                Ids::Empty => format!("a/#{n}"),
            };
            let phone = match self.recipients {
                Recipients::Each => n,
                Recipients::One => 0,
                Recipients::Three => n % 3,
            };
            let to = format!("4179{:07}", 1_234_567 + 7 * phone);
            let receipt = at + random.i64(30..4_000);
            let early = match self.order {
                Order::After => false,
                Order::Before => true,
                Order::Mixed => random.bool(),
            };
            let early = early && n >= FIRST;
            let answer = if early {
                receipt + random.i64(1..MOMENT - 200)
            } else {
                at + random.i64(10..30).min(receipt - at - 1)
            };
            if self.ids != Ids::Empty {
                events.push((answer, Event::Answer(n)));
            }
            if self.all || !(FIRST..SECOND).contains(&n) {
                let last = receipt + random.i64(0..2_000);
                for (at, state) in [(receipt, 1), (last, 2)] {
                    events.push((at, Event::Receipt(n, state, false)));
                    if random.u8(0..5) == 0 {
                        let again = at + random.i64(0..20_000);
                        events.push((again, Event::Receipt(n, state, true)));
                    }
                }
            }
            told.push(Told {
                id,
                at,
                to,
                session,
            });
        }
        events.sort();
        (told, events)
    }

    fn receipt(self, n: usize, of: &Told, state: u8, again: bool, now: Millis) -> Receipt {
        let national = format!("0{}", &of.to[2..]);
        let (from, to) = match self.numbers {
            Numbers::Full => (&*of.to, "1000"),
            Numbers::Swapped => ("1000", &*of.to),
            Numbers::National => (&*national, "1000"),
            Numbers::Cut => (&of.to[..8], "1000"),
            Numbers::Masked => ("41791XXXXXX", "1000"),
            Numbers::Letters => ("SMSC", "1000"),
            Numbers::Missing => ("", ""),
        };
        let minute = |at: Millis| at / 60_000 * 60_000;
        let (date, lasts) = match self.dates {
            Dates::None => (None, 0),
            Dates::Minutes => (Some(minute(of.at)), 60_000),
            Dates::Seconds => (Some(of.at / 1000 * 1000), 1000),
            Dates::Local => (Some(minute(of.at) + 345 * 60_000), 60_000),
            Dates::Wrong => (Some(minute(of.at) - 5_000_000_000), 60_000),
            Dates::Now => (Some(minute(now)), 60_000),
        };
        // The error is another's of each message, so that nothing is a repeat by chance.
        let report = crc32fast::hash(format!("{n} {state}").as_bytes());
        let number = |text: &str| number(text.as_bytes());
        Receipt {
            to: number(to),
            submitted: date.map(|at| Dated {
                at,
                zoned: false,
                lasts,
            }),
            received: Some(now),
            bound_at: Some(of.session + if again { 1 } else { 0 }),
            reference: self.references.then_some(n as u16),
            ..Receipt::from(Seen {
                state,
                digest: report,
                recipient: number(from),
                report: Some(report),
                ambiguous: false,
                session: Some((of.session - BEGIN) as u32 + u32::from(again)),
            })
        }
    }

    fn run(self, random: &mut fastrand::Rng) -> Count {
        let (told, events) = self.play(random);
        let mut join = Join::new(LIMITS);
        join.live(BEGIN, &mut Vec::new());
        let mut offset = 0;
        let mut published: BTreeMap<Vec<u8>, Vec<Effect>> = BTreeMap::new();
        let mut now = BEGIN;
        let mut settle = |effects: &mut Vec<Effect>, join: &mut Join, now| {
            for effect in std::mem::take(effects) {
                match effect {
                    Effect::Park {
                        key, published_at, ..
                    } if published_at.is_none() => {
                        let key = Key::parse(key.as_bytes()).unwrap();
                        join.skipped(&key, now, &mut Vec::new());
                    }
                    Effect::Publish { ref delivery, .. } => {
                        published
                            .entry(delivery.pdu.clone())
                            .or_default()
                            .push(effect);
                    }
                    _ => {}
                }
            }
        };
        let mut effects = Vec::new();
        for (at, event) in &events {
            while now + 100 < *at {
                now += 100;
                join.tick(now, usize::MAX, &mut effects);
                settle(&mut effects, &mut join, now);
            }
            now = *at;
            match event {
                Event::Answer(n) => {
                    let of = &told[*n];
                    let submission = format!("t:0:{n}");
                    let value = Value::Entry {
                        raw: n.to_string().into(),
                        stated: false,
                        submitted_at: of.at,
                        recipients: Some(1),
                        to: To::One(number(of.to.as_bytes()).unwrap()),
                        sender: sender_digest(number(b"1000")),
                        reference: self.references.then_some(*n as u16),
                        seen: vec![],
                        final_at: None,
                    };
                    let key = Key::Entry {
                        identity: &of.id,
                        submission: &submission,
                    };
                    join.record(&key, value, now, &mut effects);
                }
                Event::Receipt(n, state, again) => {
                    let of = &told[*n];
                    let receipt = self.receipt(*n, of, *state, *again, now);
                    let raw = delivery_of(format!("{n} {state}"));
                    join.delivery(&of.id, offset, raw, receipt, now, &mut effects);
                    offset += 1;
                }
            }
            settle(&mut effects, &mut join, now);
        }
        for _ in 0..80 {
            now += 1_000;
            join.tick(now, usize::MAX, &mut effects);
            settle(&mut effects, &mut join, now);
        }
        let mut count = Count::default();
        for (_, event) in &events {
            let Event::Receipt(n, state, false) = event else {
                continue;
            };
            count.receipts += 1;
            let raw = format!("{n} {state}").into_bytes();
            let of = published.remove(&raw).unwrap_or_default();
            match &of[..] {
                [] => count.swallowed += 1,
                [Effect::Publish { entry: None, .. }] => count.alone += 1,
                [Effect::Publish { candidates, .. }] if !candidates.is_empty() => {
                    count.ambiguous += 1;
                }
                [Effect::Publish { entry, .. }] => {
                    if entry.as_deref() == Some(n.to_string().as_bytes()) {
                        count.sure += 1;
                    } else {
                        count.misattributed += 1;
                    }
                }
                _ => count.twice += 1,
            }
        }
        assert!(published.is_empty());
        join.tick(now + 4 * DAY, usize::MAX, &mut effects);
        join.tick(now + 5 * DAY, usize::MAX, &mut effects);
        join.check_empty();
        count
    }
}

#[test]
fn no_receipt_is_another_messages_or_swallowed_or_twice() {
    let mut random = fastrand::Rng::with_seed(14);
    let mut table: BTreeMap<String, Count> = BTreeMap::new();
    let numbers = [
        Numbers::Full,
        Numbers::Swapped,
        Numbers::National,
        Numbers::Cut,
        Numbers::Masked,
        Numbers::Letters,
        Numbers::Missing,
    ];
    let orders = [Order::After, Order::Before, Order::Mixed];
    let dates = [
        Dates::None,
        Dates::Minutes,
        Dates::Seconds,
        Dates::Local,
        Dates::Wrong,
        Dates::Now,
    ];
    let ids = [
        Ids::Restarts,
        Ids::One,
        Ids::UpToTen,
        Ids::Random,
        Ids::Empty,
    ];
    for ids in ids {
        for recipients in [Recipients::Each, Recipients::One, Recipients::Three] {
            for (n, order) in (0..14).flat_map(|n| orders.map(|order| (n, order))) {
                let smsc = Smsc {
                    ids,
                    recipients,
                    numbers: numbers[n % 7],
                    order,
                    dates: dates[random.usize(0..6)],
                    all: random.bool(),
                    references: random.u8(0..4) == 0,
                };
                let count = smsc.run(&mut random);
                let wrong = count.misattributed + count.swallowed + count.twice;
                assert_eq!(wrong, 0, "{smsc:?} {count:?}");
                let line = format!("{ids:?} ids, {recipients:?} recipients");
                table.entry(line).or_default().add(count);
            }
        }
    }
    for (line, count) in &table {
        println!("{line:32} {count:?}");
    }
}
