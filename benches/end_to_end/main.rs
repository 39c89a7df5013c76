//! The whole way, measured: real Kafka, the simulator and the connector each in a process of
//! its own, 160-character messages with receipts; beside a bare consume-produce pipe with the
//! same number of output records for each message, in the same minutes.
//!
//! ```text
//! cargo bench --bench end_to_end
//! BENCH_MESSAGES=200000 BENCH_ROUNDS=3 BENCH_PARTITIONS=4 BENCH_RATE=1000 cargo bench --bench end_to_end
//! BENCH_FORMAT=avro BENCH_INTERNAL_FORMAT=avro cargo bench --bench end_to_end
//! BENCH_ONLY=latency BENCH_PARTITIONS=64 BENCH_WARM_SECONDS=60 cargo bench --bench end_to_end
//! ```
//!
//! Rounds do not count until the broker has compiled what it runs often (`BENCH_WARM_UP`, at most 300 seconds).
//! `BENCH_KAFKA=transaction.partition.verification.enable=false` is a property of the broker.
//!
//! Each round has a bare pipe before and after; the round in the middle is printed, and in brackets all of
//! them. Receipts come a second after their responses (`BENCH_RECEIPT_DELAY`), which is taken off.
//!
//! At a steady rate a message is appended when Kafka says that it was, in whole milliseconds, so that up to one too
//! many is counted. From when it was given to the client that appends, which gathers records for 5 ms (the default
//! of Kafka's clients), is printed apart.
//!
//! Beside throughput and latency it prints what they cost: processor time of the connector and of
//! the broker for each message, which a busy machine disturbs least; transactions a second; what
//! both need when nothing is to be done; and a bare transaction's cycle in the same minute.
//!
//! `BENCH_FORMAT` is the format of the topics that others read, `json` by default; those that nobody else
//! reads have the connector's own, or that of `BENCH_INTERNAL_FORMAT`. With a registry that is one of a few
//! lines: it is asked for each schema once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../whole_way/mod.rs"]
mod whole_way;

use std::time::{Duration, Instant};

use kafka_smpp::record::kind::Kind;
use rdkafka::Offset;
use whole_way::harness::http::{get, sum};
use whole_way::harness::unique;
use whole_way::{
    Feed, Latencies, Layout, PATIENCE, Quantiles, Scene, Work, append_times, asked_for_tests,
    chosen, circumstances, count, feed, outside, passed, pipe, rate, receipt_delay, setting, stop,
    warm_up, work,
};

/// Output records for each message: the response, its correlation entry, the delivery, the
/// receipt, the entry's update.
const OUTPUTS: usize = 5;

fn main() {
    if asked_for_tests() {
        return;
    }
    let partitions = setting("BENCH_PARTITIONS", 4) as i32;
    println!("{}", circumstances());
    let chosen = chosen("BENCH_ONLY", &["throughput", "latency"]);
    let messages = setting("BENCH_MESSAGES", 200_000) as usize;
    warm_up(|| {
        round(partitions, messages);
    });

    if chosen.contains(&"throughput") {
        let rounds = setting("BENCH_ROUNDS", 3).max(1) as usize;
        throughput(partitions, messages, rounds);
    }
    if chosen.contains(&"latency") {
        steady(partitions, setting("BENCH_RATE", 1000));
    }
}

/// Rounds of so many messages, and the one in the middle printed.
fn throughput(partitions: i32, messages: usize, rounds: usize) {
    let mut all = Vec::new();
    for number in 1..=rounds {
        let round = round(partitions, messages);
        let (ratio, work) = (round.ratio(), round.whole.work);
        let busy = round.whole.busy;
        eprintln!("round {number} of {rounds}: ratio {ratio:.2}, a message {work}; {busy}");
        all.push(round);
    }
    all.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    let (median, format) = (&all[all.len() / 2], Layout::new(partitions).format.name());
    println!("\n{messages} messages over {partitions} partitions, {format}; of {rounds} rounds:");
    let show = |what: &str, of: &dyn Fn(&Round) -> String| {
        let each: Vec<String> = all.iter().map(of).collect();
        println!("{what:<33} {:<10} ({})", of(median), each.join(", "));
    };
    let pipe = format!("bare pipe, {OUTPUTS} outputs a message");
    show(&pipe, &|r| format!("{:.0}/s", r.pipe));
    show("whole way, results", &|r| {
        format!("{:.0}/s", r.whole.results)
    });
    show("whole way, receipts too", &|r| {
        format!("{:.0}/s", r.whole.all)
    });
    show("ratio to the bare pipe", &|r| format!("{:.2}", r.ratio()));
    show("the same of results alone", &|r| {
        format!("{:.2}", r.whole.results / r.pipe)
    });
    show("connector's time of a message", &|r| {
        format!("{:.1?}", r.whole.work.connector)
    });
    show("broker's time of a message", &|r| {
        format!("{:.1?}", r.whole.work.broker)
    });
    show("transactions a second", &|r| {
        format!("{:.0}", r.whole.busy.transactions)
    });
    show("receipts before their message", &|r| {
        format!("{}", r.whole.early)
    });
    show("peak memory of the connector", &|r| {
        format!("{} MiB", r.whole.peak_mib)
    });
}

/// At a steady rate, and afterwards.
fn steady(partitions: i32, rate: u64) {
    // Topics of its own: else it would begin with restoring what other messages left.
    let scene = Scene::new(partitions);
    let cycle = bare_cycle(&scene);
    let latency = latency(&scene, rate);

    println!("bare transaction cycle            {cycle}");
    println!("at {rate} msg/s:");
    println!(
        "  append to socket                {}",
        latency.appended.socket
    );
    println!(
        "  append to committed result      {}",
        latency.appended.result
    );
    println!("  given to the client, to socket  {}", latency.given.socket);
    println!("  the same, to committed result   {}", latency.given.result);
    println!("  busy                            {}", latency.busy);
    println!(
        "idle, bound to {partitions} partitions       {}",
        latency.idle
    );
}

/// A bare pipe before and after, and the whole way in between.
struct Round {
    pipe: f64,
    whole: Whole,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.whole.all / self.pipe
    }
}

fn round(partitions: i32, messages: usize) -> Round {
    let scene = Scene::new(partitions);
    let before = bare_pipe(&scene, messages);
    let whole = whole_way(&scene, messages);
    let after = bare_pipe(&scene, messages);
    scene.remove();
    Round {
        pipe: (before + after) / 2.0,
        whole,
    }
}

struct Whole {
    results: f64,
    all: f64,
    /// From the first result to the last receipt.
    work: work::PerMessage,
    /// Meanwhile.
    busy: work::Load,
    /// Receipts that came before what they belong to was known.
    early: u64,
    peak_mib: u64,
}

fn whole_way(scene: &Scene, messages: usize) -> Whole {
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
    let work = Work::of(scene, &connector);
    let results = count(&scene.kafka, &responses, messages, PATIENCE);
    let results = rate(messages, results.map(|at| at - first));
    let all = count(&scene.kafka, &receipts, messages, PATIENCE);
    let all = rate(messages, all.map(|at| at - first - receipt_delay()));
    let spent = work.until_now();
    let (work, busy) = (spent.per_message(messages), spent.load());
    let (_, metrics) = get(scene.http, "/metrics").expect("it is looked at");
    let early = sum(&metrics, "kafka_smpp_receipts_early_total", &[]) as u64;
    let peak_mib = connector.peak() >> 20;
    if std::env::var("BENCH_LOG").is_ok() {
        std::fs::write("bench.log", connector.log()).expect("a file");
    }
    stop(connector);
    Whole {
        results,
        all,
        work,
        busy,
        early,
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
    scene.kafka.delete_topic(&from);
    scene.kafka.delete_topic(&to);
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
    /// From when Kafka had each message.
    appended: Latencies,
    /// From when the client that appends was given it.
    given: Latencies,
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
    let outbound = scene.topic("outbound");
    kafka.alter_topic(&outbound, "message.timestamp.type", "LogAppendTime");
    // The same first: binding and joining are over then.
    let done = Instant::now() + PATIENCE;
    let n = (per_second * setting("BENCH_WARM_SECONDS", 20)).max(10) as usize;
    let warm = scene.feed(Feed::Paced { n, per_second });
    // One reader for both, or the second would have the results of the first to read before its own.
    let results = outside::reader(kafka, &responses, Offset::Beginning);
    passed(&results, &codec, warm, n, done);
    let work = Work::of(scene, &connector);
    let passed = std::thread::scope(|scope| {
        let n = (per_second * seconds) as usize;
        let began = outside::now_micros();
        let feeding = scope.spawn(move || scene.feed(Feed::Paced { n, per_second }));
        let passed = passed(&results, &codec, began, n, done);
        feeding.join().expect("all are produced");
        passed
    });
    let busy = work.until_now().load();
    // What it asks for while nothing is to be done is none of the connector's either.
    drop(results);
    // The last receipts are on their way still.
    std::thread::sleep(Duration::from_secs(3));
    let work = Work::of(scene, &connector);
    std::thread::sleep(Duration::from_secs(setting("BENCH_IDLE_SECONDS", 10)));
    let idle = work.until_now().load();
    assert!(connector.ended().is_none(), "{}", connector.log());
    stop(connector);
    let appended = append_times(kafka, &outbound, &passed, Instant::now() + PATIENCE);
    Steady {
        appended: Latencies::since_appended(&passed, &appended),
        given: Latencies::since_given(&passed),
        busy,
        idle,
    }
}
