//! Receipts on the second cluster, each held against what was mirrored of it.
//!
//! Of a receipt three records matter: the delivery in which it came, what `sms.correlation` remembers of
//! its being published, and the event. Their topics are mirrored one by one, so each may be there or not:
//!
//! | delivery | remembered | event | events on the second cluster in the end |
//! |---|---|---|---|
//! | yes | yes | yes | one |
//! | yes | no | no | one, made there |
//! | yes | no | yes | two |
//! | any | yes | no | none |
//! | no | any | yes | one |
//! | no | no | no | none, if the first site had acknowledged it; else the SMSC delivers it again, and there is one |
//!
//! The one made there is correlated if the entry of its message is on the second cluster. What has two
//! or none must have been correlated, or have come, when mirroring already lagged: what the first
//! cluster had is read when it is started again, after all is over.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kafka_smpp::record::keys::Key;

use super::super::super::Deployment;
use super::super::ledger::about;
use super::super::order::number;
use super::PATIENCE;
use crate::harness::{FakeSmsc, Kafka, Record, eventually};

/// Longer than `early_receipt_grace`: what is published alone, or once more, is published by then.
const QUIET: Duration = Duration::from_secs(18);
/// A successor that publishes nothing for so long never will.
const STUCK: Duration = Duration::from_secs(60);
/// The records of one transaction are made within this time, in milliseconds.
const TRANSACTION: i64 = 1000;
/// The topics that matter.
const STEMS: [&str; 3] = ["deliveries", "correlation", "receipts"];

/// What a cluster has of the receipt of one message id.
#[derive(Debug, Default)]
struct Facts {
    /// When its delivery was written.
    delivered: Option<i64>,
    /// The message is known.
    entry: bool,
    /// It is remembered as published.
    remembered: bool,
    /// When each event was written, and whether it is correlated.
    published: Vec<(i64, bool)>,
}

/// What a cluster has of all receipts.
pub struct Site {
    of: HashMap<String, Facts>,
    /// When the records of each partition were written.
    written: BTreeMap<(&'static str, i32), Vec<i64>>,
}

impl Site {
    /// What is there now, and is committed.
    pub fn read(it: &Deployment, kafka: &Kafka) -> Site {
        let (of, written) = (HashMap::new(), BTreeMap::new());
        let mut site = Site { of, written };
        for stem in STEMS {
            for record in kafka.records(&it.topic(stem)) {
                site.note(stem, &record);
            }
        }
        site
    }

    fn note(&mut self, stem: &'static str, record: &Record) {
        let at = record.timestamp.expect("a timestamp");
        let written = self.written.entry((stem, record.partition));
        written.or_default().push(at);
        let (value, key) = (&record.value, record.key.as_deref().unwrap_or_default());
        let id = |identity: &str| identity.strip_prefix("acme/").map(str::to_owned);
        match (stem, Key::parse(key.as_bytes())) {
            ("deliveries", _) => {
                let id = id(key).expect("a receipt");
                self.of.entry(id).or_default().delivered.get_or_insert(at);
            }
            ("receipts", _) => {
                let one = self.of.entry(about(value).0.to_owned()).or_default();
                one.published.push((at, value["correlated"] == true));
            }
            (_, Some(Key::Entry { identity, .. })) => {
                let one = self.of.entry(id(identity).expect("ours")).or_default();
                one.entry = true;
                one.remembered |= value["seen"].as_array().is_some_and(|s| !s.is_empty());
            }
            (_, Some(Key::Parked { identity, .. })) => {
                let one = self.of.entry(id(identity).expect("ours")).or_default();
                one.remembered |= value["published_at"].is_string();
            }
            (_, Some(Key::Barrier { .. })) => {}
            (_, other) => panic!("{key}: {other:?}"),
        }
    }

    /// When the first record of each partition was written that `mirrored` does not have.
    fn cuts(&self, mirrored: &Site) -> impl Iterator<Item = (&'static str, i64)> {
        self.written.iter().filter_map(|(place, here)| {
            let there = mirrored.written.get(place).map_or(&[][..], Vec::as_slice);
            assert!(
                here.starts_with(there),
                "{place:?}: {} mirrored records are not the first of {}",
                there.len(),
                here.len()
            );
            Some((place.0, *here.get(there.len())?))
        })
    }

    /// Since when mirroring lagged, if it did.
    pub fn behind_since(&self, mirrored: &Site) -> Option<i64> {
        self.cuts(mirrored).map(|(_, at)| at).min()
    }

    /// The `--lag` that is just enough: by how much what is remembered and events were mirrored later
    /// than the youngest event.
    pub fn lag(&self, mirrored: &Site) -> Duration {
        let youngest = mirrored.of.values().flat_map(|one| &one.published);
        let youngest = youngest.map(|(at, _)| *at).max();
        let oldest = self
            .cuts(mirrored)
            .filter(|(stem, _)| *stem != "deliveries");
        let oldest = oldest.map(|(_, at)| at).min();
        let lag = youngest.zip(oldest).map_or(0, |(y, o)| y - o) + TRANSACTION;
        Duration::from_millis(lag.max(0) as u64)
    }
}

/// What was counted.
#[derive(Default)]
pub struct Told {
    receipts: usize,
    twice: usize,
    missing: usize,
    /// Of these, the ones that nothing on the second cluster tells of.
    lost: usize,
    /// Published once, without their message.
    alone: usize,
    /// For how long mirroring lagged, in milliseconds.
    lagged: i64,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Told {
            receipts,
            twice,
            missing,
            lost,
            alone,
            lagged,
        } = self;
        write!(
            f,
            "{receipts} receipts, mirroring lagged by {lagged} ms: {twice} published twice, {missing} missing, {lost} of them with their deliveries, {alone} without their message"
        )
    }
}

/// Waits until every receipt is acknowledged and published, and holds each against what was `first`,
/// and `mirrored`, when the first cluster was lost at this time.
pub fn judge(
    it: &Deployment,
    smsc: &FakeSmsc,
    first: &Site,
    mirrored: &Site,
    lost_at: i64,
) -> Told {
    eventually("all receipts are acknowledged", PATIENCE, || {
        smsc.receipts_due() == 0
    });
    let none = Facts::default();
    let accepted = smsc.accepted();
    let now = Site::read(it, &it.kafka);
    let wanted = |id: &str| {
        let (before, now) = (facts(mirrored, id, &none), facts(&now, id, &none));
        before.published.len() + usize::from(now.delivered.is_some() && !before.remembered)
    };
    let all = accepted.iter().map(|one| wanted(&one.id)).sum();
    let events = published(it, all);
    let behind = first.behind_since(mirrored);
    let mut told = Told {
        receipts: accepted.len(),
        lagged: behind.map_or(0, |since| (lost_at - since).max(0)),
        ..Told::default()
    };
    let mut wrong = Vec::new();
    for one in &accepted {
        let id = one.id.as_str();
        let of = events.get(id).map_or(&[][..], Vec::as_slice);
        told.twice += usize::from(of.len() > 1);
        told.missing += usize::from(of.is_empty());
        told.alone += usize::from(of == [false]);
        let lost = of.is_empty() && facts(&now, id, &none).delivered.is_none();
        told.lost += usize::from(lost);
        let before = facts(mirrored, id, &none);
        // Those of before, and what was made here.
        let mut right: Vec<bool> = before.published.iter().map(|(_, c)| *c).collect();
        right.resize(wanted(id), facts(&now, id, &none).entry);
        right.sort_unstable();
        let right = of == right;
        let was = facts(first, id, &none);
        let came = was.published.first().map(|(at, _)| *at).or(was.delivered);
        let lately = || {
            came.zip(behind)
                .is_some_and(|(at, b)| at + TRANSACTION >= b)
        };
        if !right || (of.len() != 1 && !lately()) {
            wrong.push(format!(
                "{id} has {of:?}: before {was:?}, mirrored {before:?}, now {:?}, mirroring lags since {behind:?}",
                facts(&now, id, &none)
            ));
        }
    }
    let shown = &wrong[..wrong.len().min(10)];
    assert!(
        wrong.is_empty(),
        "{} of {told}: {}",
        wrong.len(),
        shown.join("\n")
    );
    told
}

fn facts<'a>(site: &'a Site, id: &str, none: &'a Facts) -> &'a Facts {
    site.of.get(id).unwrap_or(none)
}

/// Whether each event of a message id is correlated, those that are not first. Waits for so many, and then whether
/// more follow.
fn published(it: &Deployment, wanted: usize) -> HashMap<String, Vec<bool>> {
    let last = Cell::new((0, Instant::now()));
    let records = it
        .kafka
        .records_until(&it.topic("receipts"), PATIENCE, |all| {
            if all.len() > last.get().0 {
                last.set((all.len(), Instant::now()));
            }
            let quiet = last.get().1.elapsed();
            quiet > if all.len() >= wanted { QUIET } else { STUCK }
        });
    let mut events: HashMap<String, Vec<bool>> = HashMap::new();
    for record in &records {
        let (id, recipient) = about(&record.value);
        let n = number(recipient).expect("a recipient of ours");
        let correlated = record.value["correlated"] == true;
        assert!(
            !correlated || record.value["log_id"] == format!("m{n}"),
            "it is another's: {:#}",
            record.value
        );
        events.entry(id.to_owned()).or_default().push(correlated);
    }
    // They are in several partitions.
    events.values_mut().for_each(|of| of.sort_unstable());
    events
}
