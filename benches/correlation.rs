//! What it costs that a message awaits its receipt: its correlation entry written and read, held in
//! memory, and restored from the log.
//!
//! `cargo bench --bench correlation`, with `BENCH_ENTRIES` for another number than a million. Each format
//! is measured in a process of its own, so that none finds memory that another left.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use kafka_smpp::correlate::RestoredPartition;
use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;
use kafka_smpp::record::internal::{CorrelationEntry, Delivery};

// Not all of it is needed here.
#[allow(dead_code)]
#[path = "../tests/cost/sample.rs"]
mod sample;

/// What the program has, too: so memory is what it takes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FORMATS: &[Format] = &[Format::Json, Format::AvroSingleObject, Format::Cbor];

/// In the process of one format: its name.
const CASE: &str = "BENCH_CASE";

/// So many records are made, then read: what makes them is not measured.
const BATCH: u64 = 10_000;

/// How often a value is written and read for one figure.
const ROUNDS: u32 = 200_000;

fn main() {
    let case = std::env::var(CASE).ok();
    match FORMATS.iter().find(|f| Some(f.name()) == case.as_deref()) {
        Some(format) => println!("{}", measure(*format)),
        None => all(),
    }
}

/// The figures of a format, each for one value or entry.
#[derive(Default)]
struct Figures([f64; 9]);

const HEADINGS: [(&str, &str); 9] = [
    ("entry, octets", "as it stands in the log, without its key"),
    ("entry written, ns", ""),
    ("entry read, ns", ""),
    ("delivery, octets", "a receipt of 190 octets"),
    ("delivery written, ns", ""),
    ("delivery read, ns", ""),
    ("resident, octets/entry", "VmRSS before and after"),
    ("counted, octets/entry", "what the status shows"),
    (
        "restored, entries/s",
        "keys and values as they lie in the log",
    ),
];

fn all() {
    let measured: Vec<(Format, Vec<f64>)> =
        FORMATS.iter().map(|f| (*f, in_a_process(*f))).collect();
    println!(
        "{} entries; 36-character log_id, 16-character message id, no extra_data",
        entries()
    );
    for (row, (heading, note)) in HEADINGS.iter().enumerate() {
        let mut line = format!("{heading:<24}");
        let first = measured.first().and_then(|(_, figures)| figures.get(row));
        for (format, figures) in &measured {
            let (figure, first) = (
                figures.get(row).copied().unwrap_or(0.0),
                first.copied().unwrap_or(0.0),
            );
            let _ = write!(
                line,
                "  {} {figure:.0} ({:.2})",
                format.name(),
                figure / first
            );
        }
        println!("{line}  {note}");
    }
}

fn in_a_process(format: Format) -> Vec<f64> {
    let program = std::env::current_exe().unwrap_or_default();
    let output = Command::new(program).env(CASE, format.name()).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|figure| figure.parse().ok())
        .collect()
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|figure| write!(f, "{figure} "))
    }
}

fn entries() -> u64 {
    let set = std::env::var("BENCH_ENTRIES").ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(1_000_000)
}

fn measure(format: Format) -> Figures {
    let codec = Codec::new(format);
    let mut figures = Figures::default();
    let (_, entry) = sample::entry(&codec, 1_234_567, Timestamp::now());
    let delivery = codec.must_write(&delivery());
    figures.0[0] = entry.len() as f64;
    figures.0[1] = nanoseconds(|n| sample::entry(&codec, n, Timestamp::UNIX_EPOCH).1.len());
    figures.0[2] = nanoseconds(|_| {
        codec
            .read_internal::<CorrelationEntry>(black_box(&entry))
            .is_ok()
    });
    figures.0[3] = delivery.len() as f64;
    let value = self::delivery();
    figures.0[4] = nanoseconds(|_| codec.must_write(black_box(&value)).len());
    figures.0[5] = nanoseconds(|_| {
        codec
            .read_internal::<Delivery>(black_box(&delivery))
            .is_ok()
    });
    restore(&codec, &mut figures);
    figures
}

fn nanoseconds<T>(mut what: impl FnMut(u64) -> T) -> f64 {
    let start = worked();
    for n in 0..ROUNDS {
        black_box(what(u64::from(n)));
    }
    (worked() - start).as_nanos() as f64 / f64::from(ROUNDS)
}

/// Fills a partition from what a log holds.
fn restore(codec: &Codec, figures: &mut Figures) {
    let (entries, now) = (entries(), Timestamp::now());
    let mut batch = Vec::new();
    let make = |from: u64, batch: &mut Vec<(Vec<u8>, Vec<u8>)>| {
        batch.clear();
        batch.extend((from..entries.min(from + BATCH)).map(|n| sample::entry(codec, n, now)));
    };
    make(0, &mut batch); // what a batch takes is not counted
    let before = resident();
    let mut partition = RestoredPartition::new(codec.clone());
    let mut took = Duration::ZERO;
    for from in (0..entries).step_by(BATCH as usize) {
        make(from, &mut batch);
        let start = worked();
        for (key, value) in &batch {
            if let Err(error) = partition.read(key, Some(value)) {
                eprintln!("{error}");
            }
        }
        took += worked() - start;
    }
    let start = worked();
    partition.live();
    took += worked() - start;
    let size = partition.size();
    assert_eq!(size.entries as u64, entries, "all are restored");
    figures.0[6] = (resident() - before) / entries as f64;
    figures.0[7] = size.octets as f64 / entries as f64;
    figures.0[8] = entries as f64 / took.as_secs_f64();
}

/// For how long this thread has had a processor: others on the machine make nothing of it longer.
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    Duration::from_nanos(first.and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// What this process takes of memory, in octets.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}

/// A receipt as an SMSC sends it.
fn delivery() -> Delivery {
    Delivery {
        esme: "acme".into(),
        bind: "acme-3.0".into(),
        received_at: Timestamp::now(),
        pdu: vec![0xA5; 190],
        bound_at: Some(Timestamp::now()),
        home: None,
        tries: 0,
    }
}
