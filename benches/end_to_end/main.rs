//! The whole way, measured: real Kafka, the simulator and the connector each in a process of
//! its own, 160-character messages with receipts; beside a bare consume-produce pipe with the
//! same number of output records for each message, in the same minutes.
//!
//! ```text
//! cargo bench --bench end_to_end
//! BENCH_MESSAGES=200000 BENCH_PARTITIONS=4 BENCH_RATE=1000 cargo bench --bench end_to_end
//! BENCH_FORMAT=avro cargo bench --bench end_to_end
//! ```
//!
//! Beside throughput and latency it prints what they cost: processor time of the connector and of
//! the broker for each message, which a busy machine disturbs least; transactions a second; what
//! both need when nothing is to be done; and a bare transaction's cycle in the same minute.
//!
//! `BENCH_FORMAT` is the format of all topics, `json` by default. With a registry that is one
//! of a few lines: it is asked for each schema once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pipe;
#[path = "../whole_way/mod.rs"]
mod whole_way;

use std::time::{Duration, Instant};

use kafka_smpp::record::kind::Kind;
use whole_way::harness::unique;
use whole_way::outside::{self, Feed, Latencies, Quantiles, count, feed, latencies};
use whole_way::work::{self, Work, peak};
use whole_way::{PATIENCE, Scene, rate, setting, stop};

/// Output records for each message: the response, its correlation entry, the delivery, the
/// receipt, the entry's update.
const OUTPUTS: usize = 5;

fn main() {
    // `cargo test --benches` asks every bench for its tests: there are none.
    if std::env::args().any(|a| a == "--list" || a == "--test") {
        return;
    }
    let messages = setting("BENCH_MESSAGES", 200_000) as usize;
    let partitions = setting("BENCH_PARTITIONS", 4) as i32;
    let rate = setting("BENCH_RATE", 1000);
    let scene = Scene::new(partitions);

    let before = bare_pipe(&scene, messages);
    let whole = throughput(&scene, messages);
    let after = bare_pipe(&scene, messages);
    // Topics of its own: else it would begin with restoring what the messages above left.
    let cycle = bare_cycle(&scene);
    let latency = latency(&Scene::new(partitions), rate);

    let pipe = (before + after) / 2.0;
    println!();
    println!(
        "messages                          {messages}, over {partitions} partitions, {}",
        scene.format.name()
    );
    println!("bare pipe, {OUTPUTS} outputs a message    {before:.0} and {after:.0} msg/s");
    println!(
        "whole way, results                {:.0} msg/s",
        whole.results
    );
    println!("whole way, receipts too           {:.0} msg/s", whole.all);
    println!(
        "ratio to the bare pipe            {:.2} (results {:.2})",
        whole.all / pipe,
        whole.results / pipe
    );
    println!("processor time of a message       {}", whole.work);
    println!("peak memory of the connector      {} MiB", whole.peak_mib);
    println!("bare transaction cycle            {cycle}");
    println!("at {rate} msg/s:");
    println!("  append to socket                {}", latency.seen.socket);
    println!("  append to committed result      {}", latency.seen.result);
    println!("  busy                            {}", latency.busy);
    println!(
        "idle, bound to {partitions} partitions       {}",
        latency.idle
    );
}

struct Whole {
    results: f64,
    all: f64,
    /// From the first result to the last receipt.
    work: work::PerMessage,
    peak_mib: u64,
}

fn throughput(scene: &Scene, messages: usize) -> Whole {
    scene.feed(Feed::AtOnce(messages));
    let mut connector = scene.connector();
    // The clock runs from the first result on: binding and joining groups are no throughput.
    let (responses, receipts) = (scene.topic("responses"), scene.topic("receipts"));
    let first = loop {
        match count(&scene.kafka, &responses, 1, Duration::from_secs(5)) {
            Some(first) => break first,
            None => assert!(connector.ended().is_none(), "{}", connector.log()),
        }
    };
    let work = Work::of(scene, connector.pid());
    let results = count(&scene.kafka, &responses, messages, PATIENCE);
    let results = rate(messages, results.map(|at| at - first));
    let all = count(&scene.kafka, &receipts, messages, PATIENCE);
    let all = rate(messages, all.map(|at| at - first));
    let work = work.until_now().per_message(messages);
    let peak_mib = peak(connector.pid());
    if std::env::var("BENCH_LOG").is_ok() {
        std::fs::write("bench.log", connector.log()).expect("a file");
    }
    stop(connector);
    Whole {
        results,
        all,
        work,
        peak_mib,
    }
}

fn bare_pipe(scene: &Scene, messages: usize) -> f64 {
    let (from, to) = (unique("pipe-in"), unique("pipe-out"));
    scene.kafka.topic(&from, scene.partitions, &[]);
    scene.kafka.topic(&to, scene.partitions, &[]);
    let codec = scene.codec("outbound", Kind::OUTBOUND);
    let how = Feed::AtOnce(messages);
    feed(&scene.kafka, &from, scene.partitions, &codec, how);
    let elapsed = pipe::run(&scene.kafka, &from, &to, messages, OUTPUTS);
    rate(messages, Some(elapsed))
}

/// How long one transaction takes that moves a record and its offset: what a message waits for
/// at least once, whoever sends it.
fn bare_cycle(scene: &Scene) -> Quantiles {
    let (from, to) = (unique("cycle-in"), unique("cycle-out"));
    scene.kafka.topic(&from, scene.partitions, &[]);
    scene.kafka.topic(&to, scene.partitions, &[]);
    pipe::cycles(&scene.kafka, &from, &to, Duration::from_secs(5))
}

/// What is seen at a steady rate.
struct Steady {
    seen: Latencies,
    /// While the messages went through.
    busy: work::Load,
    /// Afterwards.
    idle: work::Load,
}

fn latency(scene: &Scene, per_second: u64) -> Steady {
    let seconds = 15;
    let mut connector = scene.connector();
    let codec = scene.codec("responses", &[Kind::SubmitSmResp]);
    let (kafka, responses) = (&scene.kafka, scene.topic("responses"));
    // A few first: binding and joining are over when they have come through.
    let done = Instant::now() + PATIENCE;
    let warm = scene.feed(Feed::AtOnce(10));
    latencies(kafka, &responses, &codec, warm, 10, done);
    let work = Work::of(scene, connector.pid());
    let seen = std::thread::scope(|scope| {
        let n = (per_second * seconds) as usize;
        let began = outside::now_micros();
        let feeding = scope.spawn(move || scene.feed(Feed::Paced { n, per_second }));
        let latencies = latencies(kafka, &responses, &codec, began, n, done);
        feeding.join().expect("all are produced");
        latencies
    });
    let busy = work.until_now().load();
    // The last receipts are on their way still.
    std::thread::sleep(Duration::from_secs(3));
    let work = Work::of(scene, connector.pid());
    std::thread::sleep(Duration::from_secs(setting("BENCH_IDLE_SECONDS", 10)));
    let idle = work.until_now().load();
    assert!(connector.ended().is_none(), "{}", connector.log());
    stop(connector);
    Steady { seen, busy, idle }
}
