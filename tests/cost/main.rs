//! What a message costs, in instructions and in allocations: counted, so that no machine is too busy for it.
//!
//! The counts of the committed table (`tests/cost/table.txt`) hold within 2 %. Who changes what a
//! message costs on purpose, or the compiler, writes the table anew, and the commit shows it:
//!
//! ```text
//! MAKE_COSTS=1 cargo test --test cost
//! ```
//!
//! Instructions are counted by Valgrind, in the build that the tests run in. That one is hardly
//! optimised: the figures say that there is more or less to do than before, not how long it takes.
//! `cargo bench --bench record` and `--bench correlation` say that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../required/mod.rs"]
mod required;
mod sample;
mod work;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use allocation_counter::measure;

use required::is_required;
use work::{WORK, Work};

/// In a process under Valgrind: which work, and how often.
const CASE: &str = "COST_CASE";
/// So often it is done in the shorter of two runs, whose difference is what is counted...
const FEW: u64 = 50;
/// ...and so often in the longer.
const MANY: u64 = 250;
/// By how much a count may differ from the table, in hundredths.
const TOLERANCE: f64 = 2.0;

/// What one round of a work costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

fn main() {
    if let Ok(case) = std::env::var(CASE) {
        let (name, rounds) = case.split_once('=').expect("NAME=ROUNDS");
        let work = WORK.iter().find(|work| work.name == name).expect("a work");
        return (work.make)()(rounds.parse().expect("a number"));
    }
    // Listed by tools that run tests one by one; there is one.
    if std::env::args().any(|arg| arg == "--list") {
        return println!("costs: test");
    }
    let allocations = WORK.iter().map(allocations);
    let Some(instructions) = WORK.iter().map(instructions).collect::<Option<Vec<_>>>() else {
        let remedy = "valgrind is not found (Debian: apt-get install valgrind)";
        assert!(!is_required("REQUIRE_VALGRIND"), "{remedy}");
        return eprintln!("costs are not counted: {remedy}");
    };
    let costs = instructions.into_iter().zip(allocations);
    let costs: Vec<Cost> = costs
        .map(|(instructions, allocations)| Cost {
            instructions,
            allocations,
        })
        .collect();
    if std::env::var_os("MAKE_COSTS").is_some() {
        std::fs::write(table(), written(&costs)).expect("the table is written");
    }
    let known = read();
    let mut wrong = Vec::new();
    for (work, cost) in WORK.iter().zip(&costs) {
        println!("{}", row(work, cost));
        let Some(known) = known.get(work.name) else {
            wrong.push(format!("{}: not in the table", work.name));
            continue;
        };
        let differs =
            |counted: f64, known: f64| (counted - known).abs() > known * TOLERANCE / 100.0 + 0.01;
        if differs(cost.instructions, known.instructions)
            || differs(cost.allocations, known.allocations)
        {
            wrong.push(format!(
                "{}: {cost:?}, and the table has {known:?}",
                work.name
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nIf it is meant so, or the compiler is another: MAKE_COSTS=1 cargo test --test cost",
        wrong.join("\n")
    );
}

/// Allocations of one round. The first rounds fill what is used again and again.
fn allocations(work: &Work) -> f64 {
    (work.make)()(1);
    let counted = |rounds| {
        let mut run = (work.make)();
        measure(|| run(rounds)).count_total as f64
    };
    (counted(MANY) - counted(FEW)) / (MANY - FEW) as f64
}

/// Instructions of one round; `None` where there is no Valgrind.
fn instructions(work: &Work) -> Option<f64> {
    let few = counted(work, FEW)?;
    let many = counted(work, MANY)?;
    Some((many - few) / (MANY - FEW) as f64)
}

fn counted(work: &Work, rounds: u64) -> Option<f64> {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(program)
        .env(CASE, format!("{}={rounds}", work.name))
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", work.name);
    let line = said.lines().find_map(|line| line.split_once("refs:"));
    let digits = line.expect("what cachegrind counts").1.replace(',', "");
    Some(digits.trim().parse().expect("a number"))
}

fn table() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cost/table.txt")
}

/// A line of the table.
fn row(work: &Work, cost: &Cost) -> String {
    let name = format!("{}:", work.name);
    format!(
        "{name:<32}{:>8.0}{:>8.2}",
        cost.instructions, cost.allocations
    )
}

fn written(costs: &[Cost]) -> String {
    let mut text = "# What one round costs: instructions, allocations. Written by MAKE_COSTS=1 cargo test --test cost\n".to_owned();
    for (work, cost) in WORK.iter().zip(costs) {
        let _ = writeln!(text, "{}", row(work, cost));
    }
    text
}

fn read() -> BTreeMap<String, Cost> {
    let text = std::fs::read_to_string(table()).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let mut counts = counts.split_whitespace().map(str::parse);
        let cost = Cost {
            instructions: counts.next()?.ok()?,
            allocations: counts.next()?.ok()?,
        };
        Some((name.to_owned(), cost))
    };
    lines
        .map(|line| row(line).unwrap_or_else(|| panic!("{line:?} is no row of the table")))
        .collect()
}
