//! How the whole way grows: throughput, and processor time of each message, by one thing at a time, while
//! all others stay what they are; and from that a model of a billion messages a day.
//!
//! ```text
//! cargo bench --bench growth
//! BENCH_ONLY=window,binds BENCH_MESSAGES=100000 BENCH_ROUNDS=3 cargo bench --bench growth
//! BENCH_ONLY=outstanding BENCH_OUTSTANDING=5000000 cargo bench --bench growth
//! ```
//!
//! `BENCH_ONLY` is some of `window`, `round_trip`, `size`, `parts`, `binds`, `partitions`, `processes`,
//! `formats`, `outstanding` and `model`. Each prints a table in Markdown and writes its picture to `docs/pictures`
//! (`BENCH_PICTURES`: to another folder).
//!
//! What is not varied is 4 partitions of each topic with a bind each, a window of 500 (`BENCH_WINDOW`),
//! 160 characters, JSON outside and the connector's own format inside, one process. First messages go through
//! until the broker has compiled what it runs often (`BENCH_WARM_UP`, at most 300 seconds). At each point
//! connectors are bound and have sent a few messages before `BENCH_MESSAGES` (40,000) are appended at once.
//! Messages a second are those between the first result and the last, or the last receipt; processor time is that
//! from the first append to the last receipt. Of `BENCH_ROUNDS` (1) rounds the one in the middle counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dimensions;
mod measure;
mod model;
mod outstanding;
#[path = "../whole_way/mod.rs"]
mod whole_way;

use dimensions::{DIMENSIONS, Dimension};
use measure::{Figures, measure};
use whole_way::picture::{Line, Panel, Pen, Picture};
use whole_way::{
    asked_for_tests, chosen, circumstances, micros, setting, table, thousands,
    warm_up_with_messages,
};

fn main() {
    if asked_for_tests() {
        return;
    }
    let names: Vec<&str> = DIMENSIONS.iter().map(|d| d.name).collect();
    let others = ["outstanding", "model"];
    let chosen = chosen("BENCH_ONLY", &[&names[..], &others].concat());
    println!("{}", circumstances());
    println!("{} messages at each point", thousands(measure::messages()));
    warm_up_with_messages(dimensions::base().layout.partitions);
    for dimension in DIMENSIONS.iter().filter(|d| chosen.contains(&d.name)) {
        grow(dimension);
    }
    let waiting = chosen.contains(&"outstanding").then(outstanding::measure);
    if chosen.contains(&"model") {
        println!("\n{}", model::model(waiting.as_ref()));
    }
}

/// Measures a dimension, prints its table and draws its picture.
fn grow(dimension: &Dimension) {
    let points = (dimension.points)();
    let mut measured: Vec<(String, Option<Figures>)> = Vec::new();
    for (name, point) in points {
        eprintln!("{} {name}", dimension.name);
        measured.push((name, measure(&point)));
    }
    let rows = measured.iter().map(|(name, figures)| {
        let mut row = vec![name.clone()];
        row.extend(match figures {
            Some(f) => f.columns(),
            None => vec![format!("not in {} s", setting("BENCH_PATIENCE", 120))],
        });
        row
    });
    let mut headings = vec![dimension.heading];
    headings.extend(measure::COLUMNS);
    println!("\n{}", table(&headings, rows.collect()));
    let picture = draw(dimension, &measured);
    println!("{}", picture.display());
}

fn draw(dimension: &Dimension, measured: &[(String, Option<Figures>)]) -> std::path::PathBuf {
    let line = |name, pen, of: fn(&Figures) -> f64| Line {
        name,
        pen,
        points: (0..)
            .zip(measured)
            .filter_map(|(i, (_, figures))| Some((f64::from(i), of(figures.as_ref()?))))
            .collect(),
    };
    let panel = |heading: &str, lines| Panel {
        heading: heading.into(),
        across: dimension.heading.into(),
        ticks: (0..)
            .zip(measured)
            .map(|(i, (name, _))| (f64::from(i), name.clone()))
            .collect(),
        tenfold: false,
        lines,
        mark: None,
    };
    let picture = Picture {
        title: format!("Throughput and cost by {}", dimension.name),
        about: format!(
            "Messages a second, and processor time for each message, against {}.",
            dimension.heading
        ),
        panels: vec![
            panel(
                "messages a second",
                vec![
                    line("results", Pen::Blue, |f| f.results),
                    line("receipts too", Pen::Amber, |f| f.receipts),
                ],
            ),
            panel(
                "processor time of a message, µs",
                vec![
                    line("connector", Pen::Blue, |f| micros(f.work.connector)),
                    line("broker", Pen::Amber, |f| micros(f.work.broker)),
                ],
            ),
        ],
    };
    picture.write(&format!("growth-{}", dimension.name))
}
