//! The whole way, seen from outside: real Kafka, the simulator and the connector each in a process of
//! its own. What benchmarks of it share.

// No benchmark needs all of it.
#![allow(dead_code, unused_imports)]

#[path = "../../tests/it/harness/mod.rs"]
pub mod harness;
pub mod outside;
pub mod picture;
pub mod pipe;
mod scene;
mod warm;
pub mod work;

use std::time::Duration;

use comfy_table::{Table, presets};

pub use outside::{
    Appended, Appender, Counter, Feed, Latencies, Quantiles, append_times, count, feed, passed,
};
pub use scene::{Layout, Member, Scene, format_named, receipt_delay, settle, started};
pub use warm::{warm_up, warm_up_with_messages};
pub use work::Work;

pub use harness::setting;

use harness::Connector;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Whether cargo asks a benchmark for its tests, of which there are none: `cargo test --benches`.
pub fn asked_for_tests() -> bool {
    std::env::args().any(|a| a == "--list" || a == "--test")
}

/// What a variable of the environment asks for of these, in their order: some of them, separated by
/// commas, or all of them.
pub fn chosen<'a>(variable: &str, all: &[&'a str]) -> Vec<&'a str> {
    let Ok(asked) = std::env::var(variable) else {
        return all.to_vec();
    };
    let asked: Vec<&str> = asked.split(',').map(str::trim).collect();
    for one in &asked {
        assert!(all.contains(one), "{variable}: {one:?} is none of {all:?}");
    }
    let chosen = all.iter().filter(|one| asked.contains(one));
    chosen.copied().collect()
}

/// A table as Markdown has it.
pub fn table(headings: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(headings).add_rows(rows);
    table
}

/// A whole number with its thousands apart.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A duration in microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000_000.0
}

/// What figures mean nothing without: the machine, the compiler's target and the versions measured.
pub fn circumstances() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name"));
    let model = model
        .and_then(|l| l.split_once(": "))
        .map_or("unknown", |(_, m)| m);
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "{cores} cores of {model}, which broker, simulator, connector and benchmark share; Apache Kafka {}{}, \
         librdkafka {librdkafka}, kafka-smpp {}{}",
        harness::kafka_version(),
        broker_properties().trim_end().replace('\n', " with "),
        env!("CARGO_PKG_VERSION"),
        if cfg!(debug_assertions) {
            ", built without optimisation: no figures to be kept"
        } else {
            ""
        }
    )
}

/// What the broker has besides, or instead (`BENCH_KAFKA`, with commas between): each in a line of its own.
fn broker_properties() -> String {
    let set = std::env::var("BENCH_KAFKA").unwrap_or_default();
    let each = set.split(',').filter(|one| !one.is_empty());
    each.map(|one| format!("\n{one}")).collect::<String>() + "\n"
}

/// Messages a second; 0 if not all came.
pub fn rate(messages: usize, elapsed: Option<Duration>) -> f64 {
    elapsed.map_or(0.0, |e| messages as f64 / e.as_secs_f64())
}

/// Ends a connector as an operator does.
pub fn stop(mut connector: Connector) {
    connector.signal(nix::sys::signal::Signal::SIGTERM);
    let status = connector.wait(Duration::from_secs(30));
    assert!(status.success(), "{}", connector.log());
}
