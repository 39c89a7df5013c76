//! Counting from outside: what was asked, what the SMSC has seen, what is said of it.
//!
//! | the result | what the SMSC accepted | which records may end so |
//! |---|---|---|
//! | accepted | every part exactly once | all |
//! | accepted, `possible_duplicate` | every part at least once | all |
//! | `OUTCOME_UNKNOWN` | anything | all |
//! | rejected by the SMSC | no part but those that the result names as `accepted` or `unknown`, and those once | all |
//! | `EXPIRED` | as rejected | those with `expires_at` |
//! | `INVALID_RECORD` | as rejected | those that a stricter configuration refuses |
//! | the last three, `possible_duplicate` | anything | the same |
//!
//! Each record has exactly one result. Each receipt that was acknowledged is published: once and
//! correlated if its message id stands in an event, with `correlated: false` otherwise, and never
//! as another record's. Every partition is committed to its end.
//!
//! The mark: a record is in doubt without reason if its result says that it may have been sent (or
//! sent twice), and the SMSC never had it (or had it once), or refused it whenever it had it. A
//! crash may put one window of each session in doubt so, whatever the backlog and the rate, and no
//! more.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::Deployment;
use super::order::{Kind, Order, number, topics};
use crate::harness::{FakeSmsc, eventually};

/// A receipt that is not published so long after the last one never will be: longer than
/// `early_receipt_grace`, and a takeover.
const QUIET: Duration = Duration::from_secs(45);

/// What the SMSC has of one record.
#[derive(Debug, Default)]
pub struct Truth {
    /// The session of each of its PDUs, in the order of their arrival, and whether it was refused.
    came: Vec<(u32, bool)>,
    /// How often each part was accepted; a message of one PDU is part 0.
    accepted: BTreeMap<u8, usize>,
}

impl Truth {
    /// How often every part was accepted at least, and any at most.
    fn times(&self, parts: u8) -> (usize, usize) {
        let all = if parts > 1 { 1..=parts } else { 0..=0 };
        let of = |part: u8| self.accepted.get(&part).copied().unwrap_or(0);
        let (least, most) = (all.clone().map(of).min(), all.map(of).max());
        (least.unwrap_or(0), most.unwrap_or(0))
    }
}

/// What the SMSC has of every record, by number.
pub fn truths(smsc: &FakeSmsc) -> HashMap<usize, Truth> {
    let mut truths: HashMap<usize, Truth> = HashMap::new();
    let refused = smsc.refused();
    for submit in smsc.submits() {
        let n = number(&submit.destination).expect("a recipient of ours");
        let refused = refused.contains(&(submit.session, submit.sequence));
        truths
            .entry(n)
            .or_default()
            .came
            .push((submit.session, refused));
    }
    for one in smsc.accepted() {
        let n = number(&one.destinations[0]).expect("a recipient of ours");
        let truth = truths.entry(n).or_default();
        *truth.accepted.entry(one.part.unwrap_or(0)).or_default() += 1;
    }
    truths
}

fn flagged(result: &Value) -> bool {
    result["possible_duplicate"] == true
}

fn unknown(result: &Value) -> bool {
    result["kind"] == "OUTCOME_UNKNOWN"
}

/// What is wrong with the result of a record: the table of the [module](self).
fn wrong(order: &Order, result: &Value, truth: &Truth) -> Option<&'static str> {
    let (least, most) = truth.times(order.kind.parts());
    if unknown(result) {
        return None;
    }
    if result["accepted"] == true {
        return match (least, most) {
            (0, _) => Some("the SMSC did not accept it"),
            (1, 1) => None,
            _ if flagged(result) => None,
            _ => Some("the SMSC accepted it more than once, and nothing says so"),
        };
    }
    let may_end_so = match result["kind"].as_str() {
        None => true, // a response
        Some("EXPIRED") => order.kind == Kind::Expiring,
        Some("INVALID_RECORD") => matches!(order.kind, Kind::Long(_)),
        Some(_) => false,
    };
    if !may_end_so {
        return Some("a record of its kind does not end so");
    }
    let named = |part: u8| {
        let parts = result["parts"].as_array();
        let of = parts.and_then(|parts| parts.get(usize::from(part).checked_sub(1)?));
        of.is_some_and(|p| p["outcome"] == "accepted" || p["outcome"] == "unknown")
    };
    let secret = |(part, times): (&u8, &usize)| *times > 1 || !named(*part);
    match truth.accepted.iter().any(secret) {
        true if !flagged(result) => Some("the SMSC accepted of it what the result does not say"),
        _ => None,
    }
}

/// Records whose results say that they may have been sent, or sent twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    unknown: usize,
    /// Of those, the SMSC never had.
    never_had: usize,
    flagged: usize,
    /// Of those, each PDU was sent once.
    sent_once: usize,
    /// Of all, the SMSC did not have before the trouble.
    pub needless: usize,
    /// Of all, the SMSC refused whenever it had them before.
    pub refused: usize,
}

impl Mark {
    /// Counts one result. `before` says whether a session was there before the trouble.
    pub fn note(
        &mut self,
        order: &Order,
        result: &Value,
        truth: &Truth,
        before: impl Fn(u32) -> bool,
    ) {
        let mut earlier = truth
            .came
            .iter()
            .filter(|(session, _)| before(*session))
            .peekable();
        let had = earlier.peek().is_some();
        let once = truth.came.len() <= usize::from(order.kind.parts());
        if unknown(result) {
            self.unknown += 1;
            self.never_had += usize::from(!had);
            self.needless += usize::from(!had);
        } else if flagged(result) {
            self.flagged += 1;
            self.sent_once += usize::from(once);
            self.needless += usize::from(!had || once);
        } else {
            return;
        }
        self.refused += usize::from(had && earlier.all(|(_, refused)| *refused));
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mark {
            unknown,
            never_had,
            flagged,
            sent_once,
            ..
        } = self;
        write!(
            f,
            "unknown {unknown}, of which the SMSC never had {never_had}; flagged {flagged}, of which sent once {sent_once}"
        )
    }
}

/// Waits until every record has its result, and holds them against the SMSC's own log. Returns
/// the results by log id.
pub fn results(
    it: &Deployment,
    smsc: &FakeSmsc,
    orders: &[Order],
    patience: Duration,
) -> BTreeMap<String, Value> {
    let results = it.results_within(orders.len(), patience);
    let truths = truths(smsc);
    let none = Truth::default();
    let mut bad = Vec::new();
    for order in orders {
        let result = &results.get(&order.log_id()).unwrap_or(&Value::Null);
        let truth = truths.get(&order.n).unwrap_or(&none);
        if let Some(why) = wrong(order, result, truth) {
            bad.push(format!("{why}: {order:?} {truth:?} {result:#}"));
        }
    }
    assert_eq!(results.len(), orders.len(), "exactly one result each");
    let shown = &bad[..bad.len().min(20)];
    assert!(
        bad.is_empty(),
        "{} records: {}",
        bad.len(),
        shown.join("\n")
    );
    let strangers = truths.keys().filter(|n| **n >= orders.len()).count();
    assert_eq!(strangers, 0, "sent, but never asked for");
    results
}

/// How much is in doubt, over everything: at most one window of each session without reason.
pub fn mark(smsc: &FakeSmsc, orders: &[Order], results: &BTreeMap<String, Value>) -> Mark {
    let truths = truths(smsc);
    let none = Truth::default();
    let mut mark = Mark::default();
    for order in orders {
        let truth = truths.get(&order.n).unwrap_or(&none);
        mark.note(order, &results[&order.log_id()], truth, |_| true);
    }
    mark
}

/// What receipts said of a message id and a recipient.
type Published<'a> = HashMap<(&'a str, &'a str), Vec<&'a Value>>;

/// Waits until every receipt is acknowledged and published, and holds each against its message.
pub fn receipts(it: &Deployment, smsc: &FakeSmsc, patience: Duration) {
    eventually("all receipts are acknowledged", patience, || {
        smsc.receipts_due() == 0
    });
    let events = it.events();
    let told = message_ids(&events);
    let accepted = smsc.accepted();
    let wanted: usize = accepted.iter().map(|one| one.destinations.len()).sum();
    let topic = it.topic("receipts");
    let last = Cell::new((0, Instant::now()));
    let records = it.kafka.records_until(&topic, patience * 2, |all| {
        if all.len() > last.get().0 {
            last.set((all.len(), Instant::now()));
        }
        let seen = all.iter().map(|r| about(&r.value));
        let seen = seen.collect::<HashSet<_>>().len();
        seen >= wanted || last.get().1.elapsed() > QUIET
    });
    let mut published = Published::new();
    for record in &records {
        let receipt = &record.value;
        published.entry(about(receipt)).or_default().push(receipt);
        let whose = receipt["log_id"].as_str();
        let n = number(about(receipt).1).expect("a recipient of ours");
        assert!(
            receipt["correlated"] == false || whose == Some(&format!("m{n}")),
            "it is another's: {receipt:#}"
        );
    }
    let (mut missing, mut bad) = (Vec::new(), Vec::new());
    for one in &accepted {
        for recipient in &one.destinations {
            let Some(of) = published.get(&(&*one.id, &**recipient)) else {
                missing.push((one, told.contains(&one.id)));
                continue;
            };
            let correlated = of.iter().filter(|r| r["correlated"] == true).count();
            let right = match (told.contains(&one.id), one.part) {
                (true, _) => (of.len(), correlated) == (1, 1),
                (false, None) => correlated == 0,
                // A part is remembered before its message has a result.
                (false, Some(_)) => true,
            };
            if !right {
                // When it was told is in the events.
                let id = format!("{:?}", one.id);
                let telling = events.iter().filter(|e| e.to_string().contains(&id));
                bad.push((one, of, telling.collect::<Vec<_>>()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "{} of {wanted} receipts were acknowledged and never published (and whether an event has their id): {:?}",
        missing.len(),
        &missing[..missing.len().min(50)]
    );
    let shown = &bad[..bad.len().min(10)];
    assert!(
        bad.is_empty(),
        "{} of {wanted} receipts are wrong: {shown:#?}",
        bad.len()
    );
    eprintln!(
        "audit: {wanted} receipts for {} accepted PDUs, {} published",
        accepted.len(),
        records.len()
    );
}

/// Message id and recipient of a receipt; the SMSC writes the latter as its text.
pub fn about(receipt: &Value) -> (&str, &str) {
    let text = |name: &str| receipt[name].as_str().unwrap_or_default();
    (text("message_id"), text("text"))
}

/// All message ids that events say were accepted.
fn message_ids(events: &[Value]) -> HashSet<String> {
    let mut ids = HashSet::new();
    for event in events {
        let parts = event["parts"].as_array().into_iter().flatten();
        let accepted = parts.filter(|p| p["outcome"] == "accepted");
        let whole = Some(event).filter(|e| e["accepted"] == true);
        let all = accepted
            .chain(whole)
            .filter_map(|e| e["message_id"].as_str());
        ids.extend(all.map(ToOwned::to_owned));
    }
    ids
}

/// Every partition is committed to its end. Behind the last record there may be the marker of the
/// transaction that put it back, which no consumer sees.
pub fn positions(it: &Deployment, orders: &[Order]) {
    let group = format!("{}.submit", it.name);
    for stem in topics(orders) {
        let topic = it.topic(stem);
        let mut last: BTreeMap<i32, i64> = BTreeMap::new();
        for record in it.kafka.records(&topic) {
            last.insert(record.partition, record.offset);
        }
        for (partition, last) in last {
            eventually("everything is committed", Duration::from_secs(20), || {
                let found = it.kafka.committed(&group, &topic, partition);
                found.is_some_and(|(offset, _)| offset > last)
            });
        }
    }
}
