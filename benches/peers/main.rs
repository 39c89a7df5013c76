//! Our connector beside two that somebody else would write today: one in Java with jSMPP and
//! Kafka's own client (`jsmpp/Connector.java`), one in Python with aiosmpplib and aiokafka
//! (`aiosmpplib/connector.py`). Each consumes the same JSON records from four partitions, submits
//! them to the same simulator, and writes responses and matched receipts to Kafka. They take turns,
//! each with topics and a simulator of its own on one Kafka, so that whatever else the machine does
//! meets them all, and medians are compared.
//!
//! ```text
//! cargo bench --bench peers
//! BENCH_MESSAGES=400000 BENCH_ROUNDS=5 BENCH_ONLY=jsmpp cargo bench --bench peers
//! ```
//!
//! Rounds of ours do not count until the broker has compiled what it runs often (`BENCH_WARM_UP`, at most 300
//! seconds). The clock of a round starts with the result after the first fifth: by then the peer's own Java is
//! compiled, and binds and groups are there. It ends with the last receipt. Afterwards it is checked that all
//! messages have a result and a receipt of their own. aiosmpplib gets a fifth of the messages; rates are compared.
//!
//! `BENCH_ONLY` is `jsmpp` or `aiosmpplib`: which of them ours is measured beside. It prints a table of the
//! medians in Markdown. `BENCH_PARTITIONS` (4), `BENCH_WINDOW` (500, of ours) and `BENCH_INTERNAL_FORMAT` (of
//! ours, its own by default) are those of the other benchmarks.
//!
//! What the others do not guarantee, and we do, stands in `docs/performance.md`. Who has no Java
//! with Maven, or no Python, gets the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../whole_way/mod.rs"]
mod whole_way;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;
use rdkafka::Message;
use rdkafka::topic_partition_list::Offset;
use serde_json::Value;

use whole_way::harness::{Process, Program};
use whole_way::outside::reader;
use whole_way::work::PerMessage;
use whole_way::{
    Counter, Feed, PATIENCE, Scene, Work, asked_for_tests, chosen, circumstances, micros, rate,
    receipt_delay, setting, stop, table, thousands, warm_up,
};

/// The others, by their folders.
const OTHERS: [&str; 2] = ["jsmpp", "aiosmpplib"];

fn main() {
    if asked_for_tests() {
        return;
    }
    if std::env::var_os("BENCH_FORMAT").is_some_and(|format| format != "json") {
        panic!("BENCH_FORMAT: the others read JSON: leave it out, or write json");
    }
    let messages = setting("BENCH_MESSAGES", 100_000) as usize;
    let partitions = setting("BENCH_PARTITIONS", 4) as i32;
    let rounds = setting("BENCH_ROUNDS", 3).max(1);
    let others = chosen("BENCH_ONLY", &OTHERS).into_iter();
    let others = others.filter_map(|folder| match folder {
        "jsmpp" => jsmpp(messages),
        _ => aiosmpplib(messages),
    });
    let mut contestants: Vec<Contestant> = [ours(messages)].into_iter().chain(others).collect();
    warm_up(|| {
        contestants[0].measure(partitions);
    });
    for round in 1..=rounds {
        for contestant in &mut contestants {
            let seen = contestant.measure(partitions);
            println!("round {round}  {:24} {seen}", contestant.name);
            contestant.rounds.push(seen);
        }
    }
    println!("\n{}", circumstances());
    println!("medians of {rounds} rounds, {partitions} partitions\n");
    println!("{}", medians(&contestants));
}

/// The medians, ours first.
fn medians(contestants: &[Contestant]) -> comfy_table::Table {
    let ours = contestants[0].median();
    let rows = contestants.iter().map(|contestant| {
        let median = contestant.median();
        let times = |of: fn(&Seen) -> f64| match contestant.mark {
            Some(_) => format!("{:.1}", of(&ours) / of(&median)),
            None => String::new(),
        };
        vec![
            contestant.name.to_owned(),
            thousands(contestant.messages as f64),
            thousands(median.results),
            thousands(median.all),
            format!("{:.1}", micros(median.work.connector)),
            format!("{:.1}", micros(median.work.broker)),
            median.peak_mib.to_string(),
            times(|seen| seen.results),
            times(|seen| seen.all),
            contestant
                .mark
                .map_or(String::new(), |mark| mark.to_string()),
        ]
    });
    let headings = [
        "connector",
        "messages",
        "results/s",
        "receipts too/s",
        "connector µs/msg",
        "broker µs/msg",
        "peak MiB",
        "ours / this, results",
        "ours / this, receipts too",
        "mark",
    ];
    table(&headings, rows.collect())
}

/// A connector, and how fast it was.
struct Contestant {
    name: &'static str,
    messages: usize,
    /// Nothing: it is ours.
    by: Option<(Program, PathBuf)>,
    /// How many times as fast ours is to be.
    mark: Option<u32>,
    rounds: Vec<Seen>,
}

/// What was seen of a round.
#[derive(Clone, Copy)]
struct Seen {
    /// Results a second.
    results: f64,
    /// Messages a second until the last receipt.
    all: f64,
    /// What each message cost.
    work: PerMessage,
    peak_mib: u64,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "results {:6.0} msg/s, receipts too {:6.0} msg/s, {} a message, at most {} MiB",
            self.results, self.all, self.work, self.peak_mib
        )
    }
}

fn ours(messages: usize) -> Contestant {
    Contestant {
        name: "kafka-smpp",
        messages,
        by: None,
        mark: None,
        rounds: Vec::new(),
    }
}

fn jsmpp(messages: usize) -> Option<Contestant> {
    let name = "jSMPP + kafka-clients";
    let there = runs("java", &["-version"]) && runs("mvn", &["-v"]);
    if !takes_part(name, there, "Java 17 or newer and Maven") {
        return None;
    }
    let folder = folder("jsmpp");
    let java = Program::java(&folder, "jsmpp-connector-3.0.1-1").with(&[
        "-Xms1g",
        "-Xmx1g",
        "-XX:+UseParallelGC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ]);
    Some(Contestant {
        name,
        messages,
        by: Some((java, folder.join("Connector.java"))),
        mark: Some(3),
        rounds: Vec::new(),
    })
}

fn aiosmpplib(messages: usize) -> Option<Contestant> {
    let name = "aiosmpplib + aiokafka";
    let new_enough = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    let there = runs("python3", &["-c", new_enough]);
    if !takes_part(name, there, "Python 3.11 or newer with venv") {
        return None;
    }
    let folder = folder("aiosmpplib");
    let packages = std::fs::read_to_string(folder.join("requirements.txt")).expect("packages");
    let packages: Vec<&str> = packages.lines().filter(|l| !l.starts_with('#')).collect();
    Some(Contestant {
        name,
        messages: messages / 5,
        by: Some((Program::python(&packages), folder.join("connector.py"))),
        mark: Some(20),
        rounds: Vec::new(),
    })
}

/// Whether one takes part that needs something; if that is not there, it is said.
fn takes_part(name: &str, there: bool, needs: &str) -> bool {
    if !there {
        println!("{name} is left out: it needs {needs}");
    }
    there
}

fn runs(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn folder(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/peers")
        .join(peer)
}

impl Contestant {
    fn measure(&self, partitions: i32) -> Seen {
        let scene = Scene::new(partitions);
        // A fifth of them first.
        let first = self.messages / 4;
        scene.feed(Feed::AtOnce(first + self.messages));
        let Some((program, source)) = &self.by else {
            let mut connector = scene.connector();
            let seen = self.follow(&scene, &mut connector, first);
            stop(connector);
            scene.remove();
            return seen;
        };
        let (port, [outbound, responses, receipts]) = (
            scene.port.to_string(),
            ["outbound", "responses", "receipts"].map(|stem| scene.topic(stem)),
        );
        let args = [
            &scene.kafka.bootstrap,
            &port,
            &outbound,
            &responses,
            &receipts,
        ];
        let mut connector = program.start("peer", source, &args.map(String::as_str));
        let seen = self.follow(&scene, &mut connector, first);
        connector.signal(SIGTERM);
        connector.wait(Duration::from_secs(30));
        scene.remove();
        seen
    }

    /// Looks on while it works.
    fn follow(&self, scene: &Scene, connector: &mut Process, first: usize) -> Seen {
        let all = first + self.messages;
        let counter = |stem: &str| Counter::of(&scene.kafka, &scene.topic(stem));
        let mut responses = counter("responses");
        let began = self.wait(&mut responses, first, connector);
        let work = Work::of(scene, connector);
        let results = self.wait(&mut responses, all, connector) - began;
        let whole = self.wait(&mut counter("receipts"), all, connector) - began;
        let work = work.until_now().per_message(self.messages);
        check(scene, all);
        Seen {
            results: rate(self.messages, Some(results)),
            all: rate(self.messages, Some(whole - receipt_delay())),
            work,
            peak_mib: connector.peak() >> 20,
        }
    }

    /// Waits until there are `n`; when the last of them was written.
    fn wait(&self, counter: &mut Counter, n: usize, connector: &mut Process) -> Duration {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some((_, last)) = counter.until(n, Duration::from_secs(2)) {
                return last;
            }
            let ended = connector.ended();
            assert!(
                ended.is_none() && Instant::now() < end,
                "{}: not all {n} came, {ended:?}",
                self.name
            );
        }
    }

    fn median(&self) -> Seen {
        let of = |value: fn(&Seen) -> f64| {
            let mut values: Vec<f64> = self.rounds.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Seen {
            results: of(|seen| seen.results),
            all: of(|seen| seen.all),
            work: PerMessage {
                connector: Duration::from_secs_f64(of(|seen| seen.work.connector.as_secs_f64())),
                broker: Duration::from_secs_f64(of(|seen| seen.work.broker.as_secs_f64())),
            },
            peak_mib: of(|seen| seen.peak_mib as f64) as u64,
        }
    }
}

/// Fails unless each of `n` messages has a response of its own, and a receipt that was matched to
/// it.
fn check(scene: &Scene, n: usize) {
    let (responses, receipts) = (ids(scene, "responses", n), ids(scene, "receipts", n));
    assert_eq!(responses.len(), n, "one message_id for each message");
    assert!(responses == receipts, "a receipt for each of them");
}

/// The message ids of `n` events; each must have brought its record's `extra_data`.
fn ids(scene: &Scene, stem: &str, n: usize) -> HashSet<String> {
    let consumer = reader(&scene.kafka, &scene.topic(stem), Offset::Beginning);
    let end = Instant::now() + PATIENCE;
    let (mut seen, mut ids) = (0, HashSet::with_capacity(n));
    while seen < n {
        assert!(Instant::now() < end, "{seen} of {n} {stem}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let event: Value = serde_json::from_slice(message.payload().unwrap()).expect("JSON");
        assert!(event["extra_data"].is_number(), "{event}");
        ids.insert(event["message_id"].as_str().expect("an id").to_owned());
        seen += 1;
    }
    ids
}
