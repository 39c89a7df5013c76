//! What a bind, a partition and an ESME cost while nothing is to be done: resident memory and processor
//! time of one process, and what the broker does for it.
//!
//! ```text
//! cargo bench --bench footprint
//! BENCH_ONLY=binds,esmes BENCH_IDLE_SECONDS=60 cargo bench --bench footprint
//! ```
//!
//! `BENCH_ONLY` is some of `binds`, `partitions`, `others`, `esmes` and `all`. Each is varied alone, from a
//! process with one ESME, one bind and one partition of each topic; `all` is a process with 64 binds and 512
//! partitions. First messages go through until the broker has compiled what it runs often (`BENCH_WARM_UP`, at
//! most 300 seconds). Each process is measured when everything has been bound and served for `BENCH_SETTLE` (10)
//! seconds, over `BENCH_IDLE_SECONDS` (20). What one more costs is the difference between the most and the
//! least, divided by how many there are in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../whole_way/mod.rs"]
mod whole_way;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whole_way::{
    Layout, Member, Scene, Work, asked_for_tests, chosen, circumstances, setting, settle, started,
    stop, table, warm_up_with_messages, work,
};

/// What one process has.
#[derive(Clone, Copy, PartialEq)]
struct Size {
    esmes: usize,
    /// Of each ESME.
    binds: usize,
    /// Of the outbound topic of each ESME.
    partitions: usize,
    /// Of each other topic.
    others: usize,
}

const LEAST: Size = Size {
    esmes: 1,
    binds: 1,
    partitions: 1,
    others: 1,
};

/// What is varied.
struct Dimension {
    /// How it is chosen.
    name: &'static str,
    /// What one of it is.
    one: &'static str,
    /// How many, the least first.
    numbers: [usize; 3],
    /// A process with so many.
    with: fn(usize) -> Size,
}

const DIMENSIONS: [Dimension; 4] = [
    Dimension {
        name: "binds",
        one: "bind",
        numbers: [1, 8, 64],
        with: |binds| Size { binds, ..LEAST },
    },
    Dimension {
        name: "partitions",
        one: "partition of an outbound topic",
        numbers: [1, 64, 512],
        with: |partitions| Size {
            partitions,
            ..LEAST
        },
    },
    Dimension {
        name: "others",
        one: "partition of every other topic",
        numbers: [1, 8, 64],
        with: |others| Size { others, ..LEAST },
    },
    Dimension {
        name: "esmes",
        one: "ESME, with its topic, partition and bind",
        numbers: [1, 8, 64],
        with: |esmes| Size { esmes, ..LEAST },
    },
];

/// 64 binds and 512 partitions.
const ALL: Size = Size {
    esmes: 8,
    binds: 8,
    partitions: 64,
    others: 12,
};

/// What a process uses.
#[derive(Clone, Copy)]
struct Footprint {
    size: Size,
    /// Octets.
    resident: u64,
    threads: u64,
    load: work::Load,
    /// From its start until everything is served.
    took: Duration,
}

fn main() {
    if asked_for_tests() {
        return;
    }
    let names: Vec<&str> = DIMENSIONS.iter().map(|d| d.name).collect();
    let chosen = chosen("BENCH_ONLY", &[&names[..], &["all"]].concat());
    println!("{}\n", circumstances());
    warm_up_with_messages(LEAST.partitions as i32);
    let mut found: Vec<Footprint> = Vec::new();
    let mut costs = Vec::new();
    for dimension in DIMENSIONS.iter().filter(|d| chosen.contains(&d.name)) {
        let measured = dimension.numbers.map(dimension.with).map(|size| {
            // The least is the same for all.
            let known = found.iter().find(|f| f.size == size).copied();
            known.unwrap_or_else(|| {
                let footprint = measure(size);
                found.push(footprint);
                footprint
            })
        });
        costs.push(cost(dimension, &measured));
    }
    if chosen.contains(&"all") {
        found.push(measure(ALL));
    }
    println!("{}\n", processes(&found));
    if !costs.is_empty() {
        let headings = [
            "one more",
            "resident KiB",
            "connector, µs of each second",
            "broker, µs of each second",
        ];
        println!("{}", table(&headings, costs));
    }
}

fn processes(found: &[Footprint]) -> comfy_table::Table {
    let rows = found.iter().map(|f| {
        let Size {
            esmes,
            binds,
            partitions,
            others,
        } = f.size;
        vec![
            esmes.to_string(),
            (esmes * binds).to_string(),
            (esmes * partitions).to_string(),
            others.to_string(),
            format!("{:.1}", f.resident as f64 / f64::from(1 << 20)),
            f.threads.to_string(),
            format!("{:.2} %", f.load.connector * 100.0),
            format!("{:.2} %", f.load.broker * 100.0),
            format!("{:.1}", f.load.transactions),
            format!("{:.2}", f.took.as_secs_f64()),
        ]
    });
    let headings = [
        "ESMEs",
        "binds",
        "partitions of outbound topics",
        "of each other topic",
        "resident MiB",
        "threads",
        "connector, of a core",
        "broker, of a core",
        "transactions/s",
        "start to all served, s",
    ];
    table(&headings, rows.collect())
}

/// What one more costs.
fn cost(dimension: &Dimension, measured: &[Footprint; 3]) -> Vec<String> {
    let ([least, _, most], [fewest, _, many]) = (measured, dimension.numbers);
    let more = (many - fewest) as f64;
    let micros = |of: fn(&work::Load) -> f64| {
        let each = (of(&most.load) - of(&least.load)) * 1e6 / more;
        format!("{each:.0}")
    };
    vec![
        dimension.one.to_owned(),
        format!(
            "{:.1}",
            (most.resident as f64 - least.resident as f64) / 1024.0 / more
        ),
        micros(|load| load.connector),
        micros(|load| load.broker),
    ]
}

fn measure(size: Size) -> Footprint {
    eprintln!(
        "{} ESMEs, each with {} binds and {} partitions; {} of each other topic",
        size.esmes, size.binds, size.partitions, size.others
    );
    let mut layout = Layout::new(size.partitions as i32);
    layout.others = size.others as i32;
    let scene = Scene::of(layout);
    let config = config(&scene, size);
    let began = Instant::now();
    let mut members = [Member {
        connector: started(&config),
        http: scene.http,
    }];
    settle(&mut members, size.esmes * size.partitions, size.others);
    let took = began.elapsed();
    std::thread::sleep(Duration::from_secs(setting("BENCH_SETTLE", 10)));
    let work = Work::of_all(&members);
    std::thread::sleep(Duration::from_secs(setting("BENCH_IDLE_SECONDS", 20)));
    let load = work.until_now().load();
    let [member] = members;
    let (resident, threads) = (member.connector.resident(), threads(member.connector.pid()));
    stop(member.connector);
    for number in 1..size.esmes {
        scene.kafka.delete_topic(&topic(&scene, number));
    }
    scene.remove();
    Footprint {
        size,
        resident,
        threads,
        load,
        took,
    }
}

/// The scene's own topic is that of the first ESME.
fn topic(scene: &Scene, number: usize) -> String {
    match number {
        0 => scene.topic("outbound"),
        _ => scene.topic(&format!("outbound-{number}")),
    }
}

fn config(scene: &Scene, size: Size) -> Value {
    let mut config = scene.config(scene.http);
    let esmes = (0..size.esmes).map(|number| {
        let topic = topic(scene, number);
        if number > 0 {
            scene.kafka.topic(&topic, size.partitions as i32, &[]);
        }
        let mut esme = config["esme"][0].clone();
        esme["name"] = format!("bench-{number}").into();
        esme["system_id"] = format!("bench-{number}").into();
        esme["outbound"] = json!([topic]);
        esme["binds"] = json!({ "per_instance": size.binds });
        esme
    });
    let esmes: Vec<Value> = esmes.collect();
    config["esme"] = esmes.into();
    config
}

fn threads(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    tasks.expect("it runs, on Linux").count() as u64
}
