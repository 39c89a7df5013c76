//! Kafka stands still while an SMSC has more to deliver than the buffer holds.
//!
//! ```text
//! cargo test --test it -- --ignored --nocapture outage_of_a_minute
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Deployment, PATIENCE};
use crate::harness::{Broker, FakeSmsc, eventually};

/// Besides its bound, memory may grow by so much: what Kafka's clients and the allocator do with
/// an outage.
const SLACK: u64 = 64 << 20;

/// What is tried.
struct Outage {
    away: Duration,
    buffer: u64,
    answer_timeout: &'static str,
    receipts: usize,
    texts: usize,
}

/// What the SMSC has to deliver, and on what session and under what number it was offered last.
struct Offer {
    esm_class: u8,
    source: String,
    text: Vec<u8>,
    last: (u32, u32),
}

impl Offer {
    fn new(esm_class: u8, source: &str, text: String) -> Offer {
        Offer {
            esm_class,
            source: source.to_owned(),
            text: text.into_bytes(),
            last: (0, 0),
        }
    }

    fn make(&mut self, smsc: &FakeSmsc) {
        self.last = smsc.deliver_now(self.esm_class, &self.source, "1000", &self.text);
    }
}

#[test]
fn an_outage_of_kafka_costs_neither_the_bind_nor_what_is_offered_again() {
    run(&Outage {
        // Shorter than the broker's session with its controller: its partitions keep their leader.
        away: Duration::from_millis(2500),
        buffer: 1 << 20,
        answer_timeout: "2s",
        receipts: 200,
        texts: 1500,
    });
}

#[test]
#[ignore = "a minute and a half: cargo test --test it -- --ignored --nocapture outage_of_a_minute"]
fn an_outage_of_a_minute() {
    run(&Outage {
        away: Duration::from_secs(60),
        buffer: 64 << 20,
        answer_timeout: "8s",
        receipts: 1000,
        texts: 80_000,
    });
}

fn run(outage: &Outage) {
    let broker = Broker::start_private();
    let smsc = FakeSmsc::start();
    let mut it = Deployment::on(broker.kafka(), smsc.port(), 1);
    // The lease on the bind must outlive the outage.
    it.config["kafka"]["session_timeout"] = json!("120s");
    it.config["log"] = json!({ "level": "info,kafka_smpp::correlate=debug" });
    it.config["inbound"] = json!({
        "buffer": outage.buffer,
        "answer_timeout": outage.answer_timeout,
    });
    let connector = it.start();
    smsc.wait_bound(1);
    it.send_numbered(0, 0..outage.receipts);
    it.results(outage.receipts);
    let before = connector.resident();

    broker.freeze();
    let receipt = |n: usize| {
        let text = format!("id:M{n} stat:DELIVRD err:000");
        Offer::new(4, "41791234567", text)
    };
    let text = |n: usize| Offer::new(0, "41790000000", format!("text {n} {}", "x".repeat(100)));
    let mut offers: Vec<Offer> = (1..=outage.receipts)
        .map(receipt)
        .chain((0..outage.texts).map(text))
        .collect();
    offers.iter_mut().for_each(|offer| offer.make(&smsc));
    let mut open: Vec<usize> = (0..offers.len()).collect();
    let (begun, mut peak, mut refused) = (Instant::now(), before, 0);
    let mut enquiries = Vec::new();
    let mut thawed = None;
    while !open.is_empty() {
        std::thread::sleep(Duration::from_millis(500));
        peak = peak.max(connector.resident());
        if thawed.is_none() {
            enquiries.push(smsc.enquire());
        }
        let status = |offer: &Offer| smsc.status_of(offer.last.0, offer.last.1);
        open.retain(|n| status(&offers[*n]) != Some(0));
        for n in &open {
            if status(&offers[*n]).is_some() {
                refused += 1;
                offers[*n].make(&smsc);
            }
        }
        if thawed.is_none() && begun.elapsed() >= outage.away {
            eprintln!("outage: {} still open, {refused} refused", open.len());
            broker.thaw();
            thawed = Some(Instant::now());
        }
        assert!(begun.elapsed() < outage.away + PATIENCE, "never taken");
    }
    eprintln!(
        "outage: {} MiB before, {} MiB at most, buffer {} MiB; {refused} refused; all taken {:?} after Kafka went on",
        before >> 20,
        peak >> 20,
        outage.buffer >> 20,
        thawed.map(|at| at.elapsed()),
    );
    assert!(refused > 0, "the buffer was full");
    assert_eq!(
        (smsc.connections(), smsc.bound()),
        (1, 1),
        "the bind was kept"
    );
    let answered =
        |(session, sequence): &(u32, u32)| smsc.status_of(*session, *sequence) == Some(0);
    assert!(enquiries.iter().all(answered), "enquire_link is answered");
    assert!(peak <= before + outage.buffer + SLACK, "memory is bounded");
    // What was refused is said, and never one by one.
    let log = connector.log();
    let said = log
        .lines()
        .filter(|line| line.contains("deliver_sm are refused"));
    let said: Vec<&str> = said.collect();
    assert!((1..=20).contains(&said.len()), "{said:#?}");
    assert!(
        said.iter()
            .all(|line| line.contains("see why Kafka is slow")),
        "{said:#?}"
    );
    published(&it, outage);
}

/// Everything is published, once or flagged.
fn published(it: &Deployment, outage: &Outage) {
    let (group, topic) = (format!("{}.correlate", it.name), it.topic("deliveries"));
    for partition in 0..2 {
        let end = it.kafka.watermarks(&topic, partition).1;
        let what = format!("{topic}[{partition}] is read up to {end}");
        eventually(&what, PATIENCE, || {
            let committed = it.kafka.committed(&group, &topic, partition);
            end == 0 || committed.is_some_and(|(offset, _)| offset >= end)
        });
    }
    let receipts = it.receipts(outage.receipts);
    let ids: BTreeSet<&str> = receipts
        .iter()
        .map(|r| r["log_id"].as_str().expect("of a message"))
        .collect();
    assert_eq!(
        (receipts.len(), ids.len()),
        (outage.receipts, outage.receipts)
    );
    let mut texts: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for record in it.kafka.records(&it.topic("inbound")) {
        let text = record.value["text"].as_str().expect("a text").to_owned();
        let flagged = record.value["possible_duplicate"] == true;
        texts.entry(text).or_default().push(flagged);
    }
    assert_eq!(texts.len(), outage.texts);
    for (text, flags) in texts {
        let unflagged = flags.iter().filter(|flagged| !**flagged).count();
        assert!(unflagged <= 1, "{text}: {flags:?}");
    }
}
