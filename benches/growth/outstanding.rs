//! Messages that await their receipts: what they take in memory, and how long the next process needs until
//! it knows them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::dimensions::base;
use crate::measure::{append, message};
use crate::whole_way::harness::http;
use crate::whole_way::picture::{Line, Panel, Pen, Picture};
use crate::whole_way::{Member, PATIENCE, Scene, setting, started, stop, table, thousands};

/// How many are measured, up to `BENCH_OUTSTANDING`.
const STEPS: [u64; 5] = [50_000, 200_000, 1_000_000, 2_000_000, 5_000_000];

/// What is measured of so many that wait.
pub struct Step {
    entries: u64,
    /// Memory of the process that sent them, in octets.
    grown: u64,
    /// Memory of the next one, which has only read them.
    restored: u64,
    /// From its start until it knows them all.
    took: Duration,
}

/// What is measured of several numbers, none among them.
pub struct Waiting {
    steps: Vec<Step>,
}

impl Waiting {
    fn first(&self) -> &Step {
        self.steps
            .first()
            .expect("a process that remembers nothing")
    }

    fn last(&self) -> &Step {
        self.steps.last().expect("a process that remembers nothing")
    }

    /// Octets in memory for each, where most wait.
    pub fn octets_each(&self) -> f64 {
        each(self.first(), self.last())
    }

    /// How many the next process reads in a second, where most wait.
    pub fn restored_a_second(&self) -> f64 {
        a_second(self.first(), self.last())
    }
}

fn each(none: &Step, step: &Step) -> f64 {
    step.restored.saturating_sub(none.restored) as f64 / step.entries as f64
}

fn a_second(none: &Step, step: &Step) -> f64 {
    let took = step.took.saturating_sub(none.took);
    step.entries as f64 / took.as_secs_f64().max(0.001)
}

/// Measures all steps, prints the table and draws the picture.
pub fn measure() -> Waiting {
    let most = setting("BENCH_OUTSTANDING", 200_000);
    let mut numbers: Vec<u64> = STEPS.into_iter().filter(|n| *n < most).collect();
    numbers.push(most);

    let mut layout = base().layout;
    // A receipt that never comes.
    layout.smsc = vec!["--outcomes", "NONE=1"];
    let scene = Scene::of(layout);
    let value = message(&scene, 20);
    let mut steps = vec![step(&scene, 0)];
    let mut before = 0;
    for entries in numbers {
        eprintln!("outstanding {entries}");
        append(&scene, &value, (entries - before) as usize);
        steps.push(step(&scene, entries));
        before = entries;
    }
    scene.remove();
    let waiting = Waiting { steps };
    print(&waiting);
    waiting
}

/// Lets a process send what stands on the topic until so many wait, and another one read them.
fn step(scene: &Scene, entries: u64) -> Step {
    let mut members = scene.members(1);
    until(&mut members, |status| remembered(status) == entries);
    // What was used in passing is given back.
    std::thread::sleep(Duration::from_secs(5));
    let grown = members.iter().map(|m| m.connector.resident()).sum();
    for member in members {
        stop(member.connector);
    }
    let began = Instant::now();
    let mut members = vec![Member {
        connector: started(&scene.config(scene.http)),
        http: scene.http,
    }];
    let all = scene.layout.others as usize;
    until(&mut members, |status| live(status) == all);
    let took = began.elapsed();
    until(&mut members, |status| remembered(status) == entries);
    std::thread::sleep(Duration::from_secs(5));
    let restored = members.iter().map(|m| m.connector.resident()).sum();
    for member in members {
        stop(member.connector);
    }
    Step {
        entries,
        grown,
        restored,
        took,
    }
}

fn until(members: &mut [Member], enough: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    for member in members {
        while !http::status(member.http).is_some_and(|status| enough(&status)) {
            let ended = member.connector.ended();
            assert!(ended.is_none(), "{}", member.connector.log());
            assert!(began.elapsed() < PATIENCE, "{}", member.connector.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn partitions(status: &Value) -> impl Iterator<Item = &Value> {
    let partitions = status["correlation"]["partitions"].as_array();
    partitions.into_iter().flatten()
}

fn remembered(status: &Value) -> u64 {
    partitions(status)
        .filter_map(|p| p["entries"].as_u64())
        .sum()
}

fn live(status: &Value) -> usize {
    partitions(status).filter(|p| p["live"] == true).count()
}

fn mib(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 20)
}

fn print(waiting: &Waiting) {
    let none = waiting.first();
    let rows = waiting.steps.iter().map(|step| {
        let (each, a_second) = match step.entries {
            0 => (String::new(), String::new()),
            _ => (
                format!("{:.0}", each(none, step)),
                thousands(a_second(none, step)),
            ),
        };
        vec![
            thousands(step.entries as f64),
            format!("{:.0}", mib(step.grown)),
            format!("{:.0}", mib(step.restored)),
            each,
            format!("{:.2}", step.took.as_secs_f64()),
            a_second,
        ]
    });
    let headings = [
        "receipts outstanding",
        "resident MiB",
        "after a restart, MiB",
        "octets each, after a restart",
        "start to restored, s",
        "entries/s, without the start of a process that has none",
    ];
    println!("\n{}", table(&headings, rows.collect()));
    println!("{}", draw(waiting).display());
}

fn draw(waiting: &Waiting) -> std::path::PathBuf {
    let millions = |step: &Step| step.entries as f64 / 1e6;
    let line = |name, pen, of: &dyn Fn(&Step) -> f64| Line {
        name,
        pen,
        points: (waiting.steps.iter())
            .map(|step| (millions(step), of(step)))
            .collect(),
    };
    // The lowest ones would stand on one another.
    let last = millions(waiting.last());
    let apart = |step: &&Step| step.entries == 0 || millions(step) >= last / 10.0;
    let panel = |heading: &str, lines| Panel {
        heading: heading.into(),
        across: "receipts outstanding, millions".into(),
        ticks: (waiting.steps.iter().filter(apart))
            .map(|step| (millions(step), millions(step).to_string()))
            .collect(),
        tenfold: false,
        lines,
        mark: None,
    };
    let picture = Picture {
        title: "Memory and restore by receipts outstanding".into(),
        about:
            "Resident memory of the process, and the time from the start of the next one until it \
                knows all messages that await a receipt."
                .into(),
        panels: vec![
            panel(
                "resident memory, MiB",
                vec![
                    line("that sent them", Pen::Blue, &|step| mib(step.grown)),
                    line("after a restart", Pen::Amber, &|step| mib(step.restored)),
                ],
            ),
            panel(
                "start to restored, s",
                vec![line("time", Pen::Blue, &|step| step.took.as_secs_f64())],
            ),
        ],
    };
    picture.write("growth-outstanding")
}
