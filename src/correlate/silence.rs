//! Whether an SMSC has stopped sending receipts: what is waited for, and what is usual.
//!
//! Here, because only who owns a partition of the deliveries sees both sides: an entry for each message
//! that asks for a receipt, when it was accepted, and the receipts of the same messages. A bind sees
//! the receipts of all processes, an account only the messages of its own.
//!
//! Receipts of an ESME have stopped if
//!
//! - since the last one [`FEW`] messages were accepted that ask for one, and
//! - the last of these [`FEW`] has waited [`TIMES`] times as long as is usual, and [`LEAST`] at least.
//!
//! One phone that is switched off, or one message in many segments, is no silence: segments behind the
//! first do not count. Usual is what nine of ten receipts took that came before, of the last some
//! hundred. A process that has seen fewer than [`LEARNED`] waits for [`UNKNOWN`].
//!
//! Whoever asks makes sure that all is read that Kafka has ([`ReceiptWatch::is_due`] first), because a
//! receipt that is not read looks like one that did not come. When partitions come or go, what was
//! counted begins anew: receipts of what went go elsewhere.

use hashbrown::HashMap;
use jiff::Timestamp;

use super::join::Millis;
use crate::record::notification::ReceiptsGap;

/// So many messages have to wait.
const FEW: i64 = 10;
/// So many times the usual delay has to pass.
const TIMES: Millis = 5;
/// So long it is waited at least.
const LEAST: Millis = 10 * 60_000;
/// So long, where nothing is known of what is usual.
const UNKNOWN: Millis = 3_600_000;
/// So many delays have to be known.
const LEARNED: u32 = 20;
/// When so many are known, each counts half: what came later counts more.
const ENOUGH: u32 = 500;
/// One delay in so long is looked at.
const SAMPLE: Millis = 100;

/// The delays of receipts, in classes of which each is the square root of two as long as the one
/// before.
struct Delays {
    /// How many there were of each, up to a month.
    classes: [u32; 64],
    all: u32,
}

impl Default for Delays {
    fn default() -> Self {
        Delays {
            classes: [0; 64],
            all: 0,
        }
    }
}

impl Delays {
    fn learn(&mut self, delay: Millis) {
        let class = (delay.max(0) as f64 + 1.0).log2() * 2.0;
        // A float beyond the range becomes its end.
        let class = (class as usize).min(self.classes.len() - 1);
        self.classes[class] += 1;
        self.all += 1;
        if self.all >= ENOUGH {
            self.classes.iter_mut().for_each(|count| *count /= 2);
            self.all = self.classes.iter().sum();
        }
    }

    /// In this time nine of ten came.
    fn usual(&self) -> Option<Millis> {
        if self.all < LEARNED {
            return None;
        }
        let mut left = self.all - self.all / 10;
        let mut classes = self.classes.iter();
        let class = classes.position(|count| {
            left = left.saturating_sub(*count);
            left == 0
        })?;
        Some(((class + 1) as f64 / 2.0).exp2() as Millis)
    }
}

/// What is known of one ESME.
#[derive(Default)]
struct OfEsme {
    delays: Delays,
    /// When a delay was learned last.
    sampled: Option<Millis>,
    /// When the last receipt came.
    last: Option<Millis>,
    /// How many messages were accepted since.
    messages: i64,
    /// When the last of the [`FEW`] was.
    due_from: Option<Millis>,
    /// Whether it is said that receipts have stopped.
    stopped: bool,
    /// What is to be said of receipts that came again.
    again: Option<ReceiptsGap>,
}

impl OfEsme {
    fn limit(&self) -> Millis {
        match self.delays.usual() {
            Some(usual) => usual.saturating_mul(TIMES).max(LEAST),
            None => UNKNOWN,
        }
    }

    fn is_due(&self, now: Millis) -> bool {
        let waited = self.due_from.map(|from| now.saturating_sub(from));
        !self.stopped && waited.is_some_and(|waited| waited >= self.limit())
    }

    fn gap(&self) -> ReceiptsGap {
        ReceiptsGap {
            messages: self.messages,
            last_receipt_at: self
                .last
                .and_then(|at| Timestamp::from_millisecond(at).ok()),
            usual_ms: self.delays.usual(),
            limit_ms: self.limit(),
        }
    }
}

/// What is known of all ESMEs, of the partitions of this process.
#[derive(Default)]
pub(super) struct ReceiptWatch(HashMap<String, OfEsme>);

impl ReceiptWatch {
    fn of(&mut self, esme: &str) -> &mut OfEsme {
        self.0.entry_ref(esme).or_default()
    }

    /// A message that asks for a receipt was accepted.
    pub(super) fn accepted(&mut self, esme: &str, now: Millis) {
        let of = self.of(esme);
        of.messages += 1;
        if of.messages == FEW {
            of.due_from = Some(now);
        }
    }

    /// A receipt came, of whatever message.
    pub(super) fn received(&mut self, esme: &str, now: Millis) {
        let of = self.of(esme);
        if std::mem::take(&mut of.stopped) {
            of.again = Some(of.gap());
        }
        of.last = Some(now);
        of.messages = 0;
        of.due_from = None;
    }

    /// Whether the delay of a receipt that comes now is to be learned: a few say what is usual.
    pub(super) fn wants_delay(&mut self, esme: &str, now: Millis) -> bool {
        let of = self.of(esme);
        let wants = of.sampled.is_none_or(|at| now.saturating_sub(at) >= SAMPLE);
        if wants {
            of.sampled = Some(now);
        }
        wants
    }

    /// So long a receipt took.
    pub(super) fn learn(&mut self, esme: &str, delay: Millis) {
        self.of(esme).delays.learn(delay);
    }

    /// Partitions come or go.
    pub(super) fn begin_anew(&mut self) {
        for of in self.0.values_mut() {
            of.messages = 0;
            of.due_from = None;
        }
    }

    /// Whether any ESME's receipts have stopped, if all is read that Kafka has.
    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.0.values().any(|of| of.is_due(now))
    }

    /// Those whose receipts have stopped, which is said once.
    pub(super) fn stopped(&mut self, now: Millis) -> Vec<(String, ReceiptsGap)> {
        let due = self.0.iter_mut().filter(|(_, of)| of.is_due(now));
        due.map(|(esme, of)| {
            of.stopped = true;
            (esme.clone(), of.gap())
        })
        .collect()
    }

    /// Those whose receipts came again, which is said once.
    pub(super) fn again(&mut self) -> Vec<(String, ReceiptsGap)> {
        let all = self.0.iter_mut();
        all.filter_map(|(esme, of)| Some((esme.clone(), of.again.take()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    /// What happens, at which minute.
    enum Step {
        /// So many messages are accepted.
        Accepted(i64),
        /// A receipt comes.
        Receipt,
        /// Partitions come or go.
        Moved,
    }
    use Step::{Accepted, Moved, Receipt};

    /// What is said at which minute, when so many delays of so many minutes are known.
    fn told(
        (known, delay): (u32, Millis),
        steps: &[(Millis, Step)],
    ) -> Vec<(Millis, &'static str)> {
        let mut watch = ReceiptWatch::default();
        for _ in 0..known {
            watch.learn("acme", delay * MINUTE);
        }
        let mut told = Vec::new();
        for minute in 0..600 {
            let now = minute * MINUTE;
            for (_, step) in steps.iter().filter(|(at, _)| *at == minute) {
                match step {
                    Accepted(messages) => (0..*messages).for_each(|_| watch.accepted("acme", now)),
                    Receipt => watch.received("acme", now),
                    Moved => watch.begin_anew(),
                }
            }
            let due = watch.is_due(now);
            let stopped = watch.stopped(now);
            assert_eq!(due, !stopped.is_empty());
            told.extend(stopped.iter().map(|_| (minute, "stopped")));
            told.extend(watch.again().iter().map(|_| (minute, "again")));
        }
        told
    }

    #[test]
    fn receipts_have_stopped_when_messages_wait_for_longer_than_usual() {
        let fast = (100, 0);
        let slow = (100, 10);
        for (known, steps, expected) in [
            // Ten minutes at least.
            (fast, vec![(0, Accepted(10))], vec![(10, "stopped")]),
            // Five times what is usual: 10 minutes lie in the class up to 12.3.
            (slow, vec![(0, Accepted(10))], vec![(62, "stopped")]),
            // Too few to know what is usual.
            ((19, 0), vec![(0, Accepted(10))], vec![(60, "stopped")]),
            // A few phones are switched off.
            (fast, vec![(0, Accepted(9))], vec![]),
            (
                fast,
                vec![(0, Accepted(9)), (30, Accepted(1))],
                vec![(40, "stopped")],
            ),
            // What was accepted before the last receipt may have had it.
            (fast, vec![(0, Accepted(50)), (1, Receipt)], vec![]),
            (
                fast,
                vec![(0, Accepted(50)), (9, Receipt), (9, Accepted(10))],
                vec![(19, "stopped")],
            ),
            // Said once, and that they came again.
            (
                fast,
                vec![(0, Accepted(10)), (20, Accepted(99)), (50, Receipt)],
                vec![(10, "stopped"), (50, "again")],
            ),
            (
                fast,
                vec![(0, Accepted(10)), (20, Receipt), (20, Accepted(10))],
                vec![(10, "stopped"), (20, "again"), (30, "stopped")],
            ),
            // Whose partition went has its receipts elsewhere.
            (
                fast,
                vec![(0, Accepted(10)), (5, Moved), (6, Accepted(10))],
                vec![(16, "stopped")],
            ),
            // It goes on being true when more come.
            (
                fast,
                vec![(0, Accepted(10)), (11, Moved), (30, Receipt)],
                vec![(10, "stopped"), (30, "again")],
            ),
        ] {
            assert_eq!(told(known, &steps), expected);
        }
    }

    #[test]
    fn usual_is_what_nine_of_ten_took_and_follows_what_changes() {
        let mut delays = Delays::default();
        (0..19).for_each(|_| delays.learn(1000));
        assert_eq!(delays.usual(), None);
        delays.learn(1000);
        let second = delays.usual().unwrap();
        assert!((1000..1500).contains(&second), "{second}");
        // One in twenty takes days.
        (0..200).for_each(|n| delays.learn(if n % 20 == 0 { 1 << 28 } else { 1000 }));
        assert_eq!(delays.usual(), Some(second));
        (0..2000).for_each(|_| delays.learn(60_000));
        let minute = delays.usual().unwrap();
        assert!((60_000..90_000).contains(&minute), "{minute}");
        for extreme in [i64::MIN, -1, 0, i64::MAX] {
            delays.learn(extreme);
        }
        assert!(delays.all < ENOUGH);
    }

    #[test]
    fn the_event_says_what_was_waited_for() {
        let mut watch = ReceiptWatch::default();
        watch.received("acme", 5000);
        (0..12).for_each(|_| watch.accepted("acme", 6000));
        assert!(watch.wants_delay("acme", 6000));
        assert!(!watch.wants_delay("acme", 6099) && watch.wants_delay("acme", 6100));
        let gap = ReceiptsGap {
            messages: 12,
            last_receipt_at: Timestamp::from_millisecond(5000).ok(),
            usual_ms: None,
            limit_ms: UNKNOWN,
        };
        let stopped = watch.stopped(6000 + UNKNOWN);
        assert_eq!(stopped, [("acme".to_owned(), gap.clone())]);
        watch.received("acme", 6001 + UNKNOWN);
        assert_eq!(watch.again(), [("acme".to_owned(), gap)]);
    }
}
