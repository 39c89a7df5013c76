//! One point measured.

use std::sync::Arc;
use std::time::Duration;

use kafka_smpp::record::kind::Kind;

use crate::dimensions::{Point, base};
use crate::whole_way::harness::Record;
use crate::whole_way::outside::now_micros;
use crate::whole_way::work::PerMessage;
use crate::whole_way::{
    Appender, Counter, Feed, Member, PATIENCE, Scene, Work, count, micros, rate, receipt_delay,
    setting, stop, thousands,
};

/// What a point gives.
#[derive(Clone, Copy)]
pub struct Figures {
    /// Results a second.
    pub results: f64,
    /// Messages with all their receipts a second.
    pub receipts: f64,
    /// What each message cost.
    pub work: PerMessage,
    /// Transactions a second.
    pub transactions: f64,
    /// The most memory that a process had.
    pub peak_mib: u64,
}

/// How the columns of [`Figures::columns`] are headed.
pub const COLUMNS: [&str; 6] = [
    "results/s",
    "receipts too/s",
    "connector µs/msg",
    "broker µs/msg",
    "transactions/s",
    "peak MiB",
];

impl Figures {
    /// As they stand in a table.
    pub fn columns(&self) -> Vec<String> {
        vec![
            thousands(self.results),
            thousands(self.receipts),
            format!("{:.1}", micros(self.work.connector)),
            format!("{:.1}", micros(self.work.broker)),
            format!("{:.0}", self.transactions),
            self.peak_mib.to_string(),
        ]
    }
}

/// How many messages each point has.
pub fn messages() -> f64 {
    setting("BENCH_MESSAGES", 40_000) as f64
}

/// The round in the middle of as many as are asked for; none if one took too long.
pub fn measure(point: &Point) -> Option<Figures> {
    let rounds = 0..setting("BENCH_ROUNDS", 1).max(1);
    let rounds: Option<Vec<Figures>> = rounds.map(|_| round(point)).collect();
    let mut rounds = rounds?;
    rounds.sort_by(|a, b| a.receipts.total_cmp(&b.receipts));
    rounds.get(rounds.len() / 2).copied()
}

fn round(point: &Point) -> Option<Figures> {
    let scene = Scene::of(point.layout.clone());
    let members = scene.members(point.processes);
    let value = message(&scene, point.length);
    warm_up(&scene, &value, point.parts);
    let figures = burst(&scene, &members, &value, point.parts);
    for member in members {
        stop(member.connector);
    }
    scene.remove();
    figures
}

/// A message of so many characters, as it stands on the topic.
pub fn message(scene: &Scene, length: usize) -> Vec<u8> {
    let text: String = "0123456789abcdef".chars().cycle().take(length).collect();
    let message = format!(
        r#"{{"source":"12345","destination":"+41791234567","short_message":"{text}","registered_delivery":1,"extra_data":1}}"#
    );
    let codec = scene.codec("outbound", Kind::OUTBOUND);
    codec.from_json(message.as_bytes()).expect("a message")
}

/// Appends so many at once.
pub fn append(scene: &Scene, value: &[u8], n: usize) {
    let appender = Appender {
        kafka: &scene.kafka,
        topic: &scene.topic("outbound"),
        partitions: scene.partitions,
        linger: "20",
    };
    appender.append(Feed::AtOnce(n), &Arc::default(), |_| value.to_vec());
}

/// A few through every partition and bind: sessions begin slowly, and what happens for the first time
/// takes longer.
fn warm_up(scene: &Scene, value: &[u8], parts: usize) {
    let n = scene.partitions as usize * 50;
    append(scene, value, n);
    let receipts = scene.topic("receipts");
    let all = count(&scene.kafka, &receipts, n * parts, PATIENCE);
    assert!(all.is_some(), "not all receipts of {n} messages came");
}

fn burst(scene: &Scene, members: &[Member], value: &[u8], parts: usize) -> Option<Figures> {
    let n = messages() as usize;
    let patience = Duration::from_secs(setting("BENCH_PATIENCE", 120));
    let since = Duration::from_micros(now_micros());
    let work = Work::of_all(members);
    append(scene, value, n);
    let came =
        |stem: &str, n| Counter::since(&scene.kafka, &scene.topic(stem), since).until(n, patience);
    let (first, last) = came("responses", n)?;
    let (_, receipt) = came("receipts", n * parts)?;
    let spent = work.until_now();
    let peaks = members.iter().map(|m| m.connector.peak() >> 20);
    Some(Figures {
        results: rate(n, Some(last - first)),
        receipts: rate(n, Some(receipt - first - receipt_delay())),
        work: spent.per_message(n),
        transactions: spent.load().transactions,
        peak_mib: peaks.max().unwrap_or(0),
    })
}

/// Octets of keys, values and headers that a message and its receipt leave on each topic.
pub fn octets() -> Vec<(&'static str, f64)> {
    const N: usize = 2000;
    let scene = Scene::of(base().layout);
    let members = scene.members(1);
    let value = message(&scene, base().length);
    append(&scene, &value, N);
    let all = count(&scene.kafka, &scene.topic("receipts"), N, PATIENCE);
    assert!(all.is_some(), "not all receipts of {N} messages came");
    for member in members {
        stop(member.connector);
    }
    let stems = [
        "outbound",
        "responses",
        "correlation",
        "deliveries",
        "receipts",
    ];
    let of = |stem| {
        let records = scene.kafka.records(&scene.topic(stem));
        let octets = |record: &Record| {
            let headers = record.headers.iter().map(|(k, v)| k.len() + v.len());
            let key = record.key.as_ref().map_or(0, String::len);
            key + record.octets.len() + headers.sum::<usize>()
        };
        (
            stem,
            records.iter().map(octets).sum::<usize>() as f64 / N as f64,
        )
    };
    let octets = stems.map(of).into();
    scene.remove();
    octets
}
