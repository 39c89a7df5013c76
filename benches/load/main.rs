//! Latency against offered load: of a normal topic, and of an urgent one beside it, from a tenth of what the
//! connector can carry to more than that.
//!
//! ```text
//! cargo bench --bench load
//! BENCH_SECONDS=30 BENCH_URGENT=20 BENCH_LOADS=50,100,150 cargo bench --bench load
//! ```
//!
//! First messages go through, all at once and then 2,000 a second, until the broker has compiled what it runs often
//! for them (`BENCH_WARM_UP`, at most 300 seconds for each). Then the capacity is found: messages with receipts a
//! second while more are offered than that. Shares of it (`BENCH_LOADS`, in percent) are offered for
//! `BENCH_SECONDS` (10) each, in 160-character messages, while `BENCH_URGENT` (10) a second are appended to the
//! urgent topic; what is left over comes through before the next share. Latency is from when a record is given to
//! the client that appends it until a reader of committed records sees its result. That client gathers normal
//! messages for 5 ms and urgent ones not at all. What waits is looked at five times a second: in the benchmark's own
//! producer, in Kafka (and not read), and in the connector (read and without a result), of which some are with the
//! SMSC.
//!
//! It prints two tables in Markdown and writes `docs/pictures/load.svg` (`BENCH_PICTURES`: to another
//! folder). `BENCH_PARTITIONS` (4), `BENCH_WINDOW` (500), `BENCH_FORMAT` (json) and `BENCH_INTERNAL_FORMAT`
//! are those of the other benchmarks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod offer;
mod watch;
#[path = "../whole_way/mod.rs"]
mod whole_way;

use std::time::Duration;

use offer::{Bench, Offered};
use watch::Watch;
use whole_way::picture::{Line, Panel, Pen, Picture};
use whole_way::{
    Layout, PATIENCE, Scene, asked_for_tests, circumstances, millis, setting, stop, table,
    thousands, warm_up, warm_up_with_messages,
};

/// What is offered, in percent of the capacity.
const LOADS: &str = "10,20,40,60,80,100,120";

/// So many messages a second make small transactions.
const FEW: u64 = 2_000;

/// The topics, the urgent one first.
const TOPICS: [&str; 2] = ["urgent", "outbound"];

fn main() {
    if asked_for_tests() {
        return;
    }
    let loads = std::env::var("BENCH_LOADS").unwrap_or(LOADS.into());
    let loads = loads
        .split(',')
        .map(|n| n.trim().parse().expect("percents"));
    let loads: Vec<u64> = loads.collect();
    let seconds = setting("BENCH_SECONDS", 10).max(1);
    let urgent = setting("BENCH_URGENT", 10).max(1);

    let mut layout = Layout::new(setting("BENCH_PARTITIONS", 4) as i32);
    layout.outbound = TOPICS.into();
    warm_up_with_messages(layout.partitions);
    let scene = Scene::of(layout);
    let members = scene.members(1);
    let (capacity, offered) = Watch::over(&scene, |watch| {
        let bench = Bench::new(&scene, &members, watch, Duration::from_secs(seconds));
        bench.warm_up();
        // Small transactions are other code of the broker than those of a backlog.
        warm_up(|| {
            bench.offer(0, FEW, urgent);
        });
        let capacity = bench.capacity();
        let offer = |percent: u64| {
            eprintln!("{percent} % of {capacity:.0} messages a second");
            let per_second = (capacity * percent as f64 / 100.0).max(1.0) as u64;
            bench.offer(percent, per_second, urgent)
        };
        (capacity, loads.into_iter().map(offer).collect::<Vec<_>>())
    });
    for mut member in members {
        let ended = member.connector.ended();
        assert!(ended.is_none(), "{}", member.connector.log());
        stop(member.connector);
    }

    println!("{}", circumstances());
    println!(
        "{} partitions, window {}, {}; {seconds} s of each load; {urgent} urgent messages a second",
        scene.partitions,
        setting("BENCH_WINDOW", 500),
        scene.format.name()
    );
    println!("capacity, with receipts: {} msg/s\n", thousands(capacity));
    println!("{}\n", latencies(&offered));
    println!("{}\n", waits(&offered));
    println!("{}", draw(&offered).display());
    scene.remove();
}

/// How long a message takes.
fn latencies(offered: &[Offered]) -> comfy_table::Table {
    let ms = |d: Duration| format!("{:.0}", millis(d));
    let rows = offered.iter().map(|o| {
        vec![
            format!("{} %", o.percent),
            thousands(o.per_second as f64),
            thousands(o.results),
            ms(o.normal.socket.p50),
            ms(o.normal.socket.p99),
            ms(o.normal.result.p50),
            ms(o.normal.result.p99),
            ms(o.urgent.socket.p50),
            ms(o.urgent.socket.p99),
            ms(o.urgent.result.p50),
            ms(o.urgent.result.p99),
        ]
    });
    let headings = [
        "load",
        "offered/s",
        "results/s, urgent too",
        "to socket, p50 ms",
        "p99",
        "to result, p50 ms",
        "p99",
        "urgent: to socket, p50 ms",
        "p99",
        "to result, p50 ms",
        "p99",
    ];
    table(&headings, rows.collect())
}

/// Where messages wait, and what they cost.
fn waits(offered: &[Offered]) -> comfy_table::Table {
    let rows = offered.iter().map(|o| {
        vec![
            format!("{} %", o.percent),
            thousands(o.waiting.producer_most as f64),
            thousands(o.waiting.kafka_most as f64),
            thousands(o.waiting.read_most as f64),
            thousands(o.waiting.in_flight_most as f64),
            format!("{:.0}", millis(o.in_kafka())),
            format!("{:.0}", millis(o.in_connector())),
            format!("{:.0} %", o.work.connector * 100.0),
            format!("{:.0} %", o.work.broker * 100.0),
            format!("{:.0}", o.work.transactions),
        ]
    });
    let headings = [
        "load",
        "waiting in the producer, at most",
        "in Kafka, at most",
        "in the connector, at most",
        "of these with the SMSC, at most",
        "in Kafka on the average, ms",
        "in the connector on the average, ms",
        "connector, of a core",
        "broker, of a core",
        "transactions/s",
    ];
    table(&headings, rows.collect())
}

fn draw(offered: &[Offered]) -> std::path::PathBuf {
    let line = |name, pen, of: &dyn Fn(&Offered) -> f64| Line {
        name,
        pen,
        points: offered.iter().map(|o| (o.percent as f64, of(o))).collect(),
    };
    let panel = |heading: &str, tenfold, lines| Panel {
        heading: heading.into(),
        across: "offered load, percent of what can be carried".into(),
        ticks: (offered.iter())
            .map(|o| (o.percent as f64, o.percent.to_string()))
            .collect(),
        tenfold,
        lines,
        mark: Some(100.0),
    };
    let picture = Picture {
        title: "Latency under load".into(),
        about:
            "Milliseconds to the committed result against offered load, of normal and of urgent \
                messages; and how many messages wait in Kafka and in the connector."
                .into(),
        panels: vec![
            panel(
                "to committed result, ms",
                true,
                vec![
                    line("normal, p99", Pen::BlueDashed, &|o| {
                        millis(o.normal.result.p99)
                    }),
                    line("normal, p50", Pen::Blue, &|o| millis(o.normal.result.p50)),
                    line("urgent, p99", Pen::AmberDashed, &|o| {
                        millis(o.urgent.result.p99)
                    }),
                    line("urgent, p50", Pen::Amber, &|o| millis(o.urgent.result.p50)),
                ],
            ),
            panel(
                "messages waiting, at most",
                false,
                vec![
                    line("in Kafka", Pen::Blue, &|o| o.waiting.kafka_most as f64),
                    line("in the connector", Pen::Amber, &|o| {
                        o.waiting.read_most as f64
                    }),
                ],
            ),
        ],
    };
    picture.write("load")
}
