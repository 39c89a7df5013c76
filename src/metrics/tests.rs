//! The table, and what is written from it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::table::{COUNTERS, FAMILIES, Kind};
use super::*;
use crate::status::{
    Bind, Client, CorrelationPartition, Esme, Kafka, Maintenance, Memory, Partition, Paused,
    Process, Rate, Registry as Schemas, Steering, Transactions, Window,
};

/// A process of which everything is seen.
fn everything() -> Status {
    let times = Histogram {
        le: vec![0.1, 1.0],
        counts: vec![5, 3, 1],
        sum: 4.5,
    };
    let counts = |names: &[&str]| -> BTreeMap<String, u64> {
        names.iter().map(|name| ((*name).to_owned(), 7)).collect()
    };
    Status {
        process: Process {
            software: "1.2.3".into(),
            resident_octets: Some(1),
            ..Process::default()
        },
        esmes: vec![Esme {
            name: "acme".into(),
            rate: Rate {
                contracted: Some(100.0),
                here: Some(50.0),
            },
            binds: vec![Bind {
                name: "acme-0.0".into(),
                state: "bound".into(),
                submits: true,
                window: Window {
                    used: 3,
                    allowed: 5,
                    most: 10,
                },
                rate: Some(9.5),
                contracted_rate: Some(20.0),
                round_trip: Some(0.25),
                ..Bind::default()
            }],
            partitions: vec![Partition {
                topic: "sms.outbound".into(),
                lag: Some(12),
                ..Partition::default()
            }],
            steering: Steering {
                paused: vec![Paused::default()],
                maintenance: Some(Maintenance {
                    from: Timestamp::UNIX_EPOCH,
                    until: Timestamp::UNIX_EPOCH,
                    by: String::new(),
                }),
                ..Steering::default()
            },
            responses: counts(&["ESME_ROK", "vendor"]),
            results: counts(&["ACCEPTED", "OUTCOME_UNKNOWN"]),
            receipts: counts(&["DELIVERED"]),
            append_to_socket: times.clone(),
            submit_to_response: times.clone(),
            append_to_result: times.clone(),
            submit_to_receipt: times.clone(),
            ..Esme::default()
        }],
        correlation: crate::status::Correlation {
            partitions: vec![CorrelationPartition::default()],
            ..Default::default()
        },
        transactions: vec![Transactions {
            pipeline: "submit".into(),
            aborted: counts(&["fenced"]),
            took: times,
            ..Transactions::default()
        }],
        memory: vec![Memory::default()],
        kafka: Kafka {
            clients: vec![Client {
                kind: "consumer".into(),
                round_trip: Some(0.001),
                ..Client::default()
            }],
            ..Kafka::default()
        },
        registry: Some(Schemas::default()),
        ..Status::default()
    }
}

/// The samples of a text, by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

#[test]
fn both_formats_say_the_same() {
    let open = write(everything(), Format::OpenMetrics).unwrap();
    let plain = write(everything(), Format::Prometheus).unwrap();
    let (open, plain) = (samples(&open), samples(&plain));
    // Bounds are written as 1.0 and 1, and other tests write lines meanwhile.
    let names = |of: &BTreeMap<String, f64>| -> Vec<String> {
        let others = |name: &&String| !name.contains("_bucket") && !name.contains("log_lines");
        of.keys().filter(others).cloned().collect()
    };
    assert_eq!(names(&open), names(&plain));
    for (name, value) in [
        (
            "kafka_smpp_results_total{esme=\"acme\",outcome=\"ACCEPTED\"}",
            7.0,
        ),
        (
            "kafka_smpp_append_to_result_seconds_bucket{esme=\"acme\",le=\"0.1\"}",
            5.0,
        ),
        (
            "kafka_smpp_append_to_result_seconds_bucket{esme=\"acme\",le=\"+Inf\"}",
            9.0,
        ),
        (
            "kafka_smpp_append_to_result_seconds_count{esme=\"acme\"}",
            9.0,
        ),
        (
            "kafka_smpp_bind_state{esme=\"acme\",bind=\"acme-0.0\",state=\"bound\"}",
            1.0,
        ),
        (
            "kafka_smpp_bind_state{esme=\"acme\",bind=\"acme-0.0\",state=\"idle\"}",
            0.0,
        ),
        (
            "kafka_smpp_partition_lag{esme=\"acme\",topic=\"sms.outbound\",partition=\"0\"}",
            12.0,
        ),
    ] {
        assert_eq!(plain.get(name), Some(&value), "{name} in {plain:#?}");
    }
}

#[test]
fn every_family_has_a_sample() {
    let text = write(everything(), Format::Prometheus).unwrap();
    let samples = samples(&text);
    for (name, ..) in rows() {
        let has = samples.keys().any(|sample| sample.starts_with(&name));
        assert!(has, "{name}");
    }
}

/// Name as it is asked for, kind, labels, meaning.
fn rows() -> Vec<(String, Kind, &'static [&'static str], &'static str)> {
    let families = FAMILIES.iter().map(|family| {
        let unit = family
            .unit
            .map_or_else(String::new, |unit| format!("_{unit}"));
        let total = if family.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        let name = format!("{}{unit}{total}", family.name);
        (name, family.kind, family.labels, family.about)
    });
    let counters = COUNTERS.iter().flat_map(|counters| {
        counters.table.iter().map(|count| {
            let name = format!("{}{}_total", counters.prefix, count.name);
            (name, Kind::Counter, counters.labels, count.about)
        })
    });
    families.chain(counters).collect()
}

#[test]
fn what_did_not_happen_yet_is_zero() {
    let mut status = everything();
    let esme = &mut status.esmes[0];
    for counted in [&mut esme.responses, &mut esme.results, &mut esme.receipts] {
        counted.clear();
    }
    let samples = samples(&write(status, Format::Prometheus).unwrap());
    for (name, sample) in [
        ("responses", "command_status=\"ESME_ROK\""),
        ("responses", "command_status=\"ESME_RTHROTTLED\""),
        ("responses", "command_status=\"vendor\""),
        ("results", "outcome=\"ACCEPTED\""),
        ("results", "outcome=\"OUTCOME_UNKNOWN\""),
        ("receipts", "state=\"DELIVERED\""),
        ("receipts", "state=\"UNREADABLE\""),
    ] {
        let name = format!("kafka_smpp_{name}_total{{esme=\"acme\",{sample}}}");
        assert_eq!(samples.get(&name), Some(&0.0), "{name}");
    }
    let name = "kafka_smpp_log_lines_total{level=\"warn\",line=\"";
    let lines = samples.keys().filter(|sample| sample.starts_with(name));
    assert_eq!(
        lines.count(),
        crate::notices::all()
            .filter(|n| n.level == tracing::Level::WARN)
            .count()
    );
}

/// What is counted is one of those that are there from the start.
#[test]
fn each_counted_name_is_known() {
    use crate::meters::{Receipts, Responses, Results};
    use crate::record::event::SendErrorKind;
    let responses = Responses::default();
    (0..0x600).for_each(|status| responses.count(smpp_protocol::Status(status)));
    let results = Results::default();
    results.accepted.add(1);
    results.refused.add(1);
    SendErrorKind::ALL
        .iter()
        .for_each(|kind| results.failed(*kind));
    let receipts = Receipts::default();
    let states = smpp_protocol::MessageState::ALL.iter().copied().map(Some);
    states.chain([None]).for_each(|state| receipts.count(state));
    let all = |names: &mut dyn Iterator<Item = &'static str>| -> BTreeSet<String> {
        names.map(str::to_owned).collect()
    };
    let counted = |of: BTreeMap<String, u64>| of.into_keys().collect::<BTreeSet<_>>();
    assert_eq!(counted(responses.get()), all(&mut Responses::names()));
    assert_eq!(counted(results.get()), all(&mut Results::names()));
    assert_eq!(counted(receipts.get()), all(&mut Receipts::names()));
}

#[test]
fn what_operators_want_of_binds_and_partitions_is_told() {
    let mut status = everything();
    status.esmes[0].binds[0].drained = true;
    status.esmes[0].partitions[0].paused = true;
    let samples = samples(&write(status, Format::Prometheus).unwrap());
    for (name, value) in [
        ("bind_drained{esme=\"acme\",bind=\"acme-0.0\"}", 1.0),
        ("bind_paused{esme=\"acme\",bind=\"acme-0.0\"}", 0.0),
        (
            "partition_paused{esme=\"acme\",topic=\"sms.outbound\",partition=\"0\"}",
            1.0,
        ),
    ] {
        let name = format!("kafka_smpp_{name}");
        assert_eq!(samples.get(&name), Some(&value), "{name}");
    }
}

#[test]
fn names_and_labels_are_as_prometheus_wants_them() {
    let mut names = BTreeSet::new();
    for (name, kind, labels, about) in rows() {
        assert!(names.insert(name.clone()), "{name} twice");
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            name.starts_with("kafka_smpp_") && name.chars().all(good),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
        assert!(!about.trim().is_empty(), "{name}");
        for label in labels {
            assert!(label.chars().all(good) && *label != "le", "{name}: {label}");
            let personal = [
                "number",
                "address",
                "source",
                "destination",
                "log_id",
                "message_id",
            ];
            assert!(!personal.contains(label), "{name}: {label}");
        }
    }
}

const HEAD: &str = "\
# Metrics

What `/metrics` has (`[http]` in the configuration), in the formats of Prometheus and OpenMetrics,
made from the table that the program writes it from (`MAKE_DOCS=1 cargo test --lib metrics`). Names,
units and labels keep their meaning.

Counters and histograms begin at zero with each process. Sums over all processes of a deployment are
exact as long as none is killed: `kafka_smpp_results_total` is then the number of records on the topics
of responses and errors that are results, and `kafka_smpp_receipts_total` the number of receipts.
Where a process is killed (kill -9, a node that is lost), what it counted since it was scraped last is
missing; and what it had published and not committed is counted again by its successor where that does
it anew. The topics have the truth.

`esme` is the name in the configuration, `bind` that of a bind, `partition` a number. A bind's samples
go when the bind goes; counters by `esme` stay for as long as the process lives. Every label of a counter
has few values, and each has a sample from the start, at zero: so the first event is a step, which `rate()`
and alerts see.
";

#[test]
fn every_metric_is_on_its_page() {
    let mut page = HEAD.to_owned();
    page.push_str("\n| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for (name, kind, labels, about) in rows() {
        let kind = format!("{kind:?}").to_lowercase();
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let about = help(about).replace('|', "\\|");
        page.push_str(&format!(
            "| `{name}` | {kind} | {} | {about} |\n",
            labels.join(", ")
        ));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    if std::env::var_os("MAKE_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == page,
        "docs/metrics.md is not what the table says: MAKE_DOCS=1 cargo test --lib metrics"
    );
}
