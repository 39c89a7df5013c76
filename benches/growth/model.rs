//! A billion messages a day, reckoned from what is measured.

use crate::dimensions::base;
use crate::measure::{Figures, measure, octets};
use crate::outstanding::Waiting;
use crate::whole_way::{micros, table, thousands};

const A_DAY: f64 = 1e9;
const SECONDS: f64 = 86_400.0;

// What is assumed.

/// The busiest hour, in averages.
const BUSIEST: f64 = 3.0;
/// How much of a core is to be in use then.
const USE: f64 = 0.7;
/// Cores of a pod.
const CORES: f64 = 2.0;
/// What three replicas cost, in what one costs: followers fetch and append, and serve nobody.
const REPLICATED: f64 = 2.0;
/// Requests that an SMSC lets a bind have unanswered.
const WINDOW: f64 = 100.0;
/// From a submit_sm to its answer, in seconds.
const ROUND_TRIP: f64 = 0.05;
/// From a submit_sm to its receipt on the average, in seconds.
const RECEIPT_AFTER: f64 = 60.0;
/// `correlate.final_retention` by default, in seconds.
const RETENTION: f64 = 3600.0;
/// One that is enough where an SMSC repeats no receipts.
const SHORT_RETENTION: f64 = 300.0;
/// The share of messages whose receipt never comes.
const NEVER: f64 = 0.01;
/// `correlate.receipt_ttl` by default, in days.
const DAYS: f64 = 3.0;

/// Measures what it needs, and reckons.
pub fn model(waiting: Option<&Waiting>) -> String {
    let figures = measure(&base()).expect("figures of what everything is reckoned from");
    let octets = octets();
    let sum: f64 = octets.iter().map(|(_, n)| n).sum();
    let mut rows = load(&figures);
    let compacted = octets.iter().find(|(stem, _)| *stem == "correlation");
    rows.extend(traffic(sum, sum - compacted.map_or(0.0, |(_, n)| *n)));
    match waiting {
        Some(waiting) => rows.extend(memory(waiting, pods(&figures))),
        None => rows.push(row(
            "memory",
            "BENCH_ONLY=outstanding,model measures what it is reckoned from",
            "",
        )),
    }
    let each = octets.iter().map(|(stem, n)| format!("{stem} {n:.0}"));
    format!(
        "A billion messages a day, of 160 characters and with one receipt each.\n\n\
         Measured: {:.1} µs of the connector and {:.1} µs of a broker without replicas for each message; \
         {} messages a second with receipts by one process, on cores that it shares with all else; octets \
         on topics for each message: {}.\n\n\
         Assumed: in the busiest hour {BUSIEST} times the average; cores used to {:.0} %; pods of {CORES} \
         cores; three replicas cost {REPLICATED} times one; an SMSC that answers after {:.0} ms and allows \
         a window of {WINDOW}; receipts after {RECEIPT_AFTER} s, {:.0} % of them never.\n\n{}",
        micros(figures.work.connector),
        micros(figures.work.broker),
        thousands(figures.receipts),
        each.collect::<Vec<_>>().join(", "),
        USE * 100.0,
        ROUND_TRIP * 1000.0,
        NEVER * 100.0,
        table(&["", "reckoned", ""], rows)
    )
}

fn row(what: &str, how: impl Into<String>, result: impl Into<String>) -> Vec<String> {
    vec![what.to_owned(), how.into(), result.into()]
}

fn average() -> f64 {
    A_DAY / SECONDS
}

fn busiest() -> f64 {
    average() * BUSIEST
}

/// Pods by what a message costs: enough in the busiest hour while one is down.
fn pods(figures: &Figures) -> f64 {
    let cores = busiest() * figures.work.connector.as_secs_f64();
    (cores / (CORES * USE)).ceil() + 1.0
}

fn load(figures: &Figures) -> Vec<Vec<String>> {
    let (connector, broker) = (figures.work.connector, figures.work.broker);
    let (busiest, rate) = (busiest(), thousands(busiest()));
    let cores = busiest * connector.as_secs_f64();
    let broker_cores = busiest * broker.as_secs_f64();
    let a_bind = WINDOW / ROUND_TRIP;
    let binds = (busiest / a_bind).ceil();
    let hours = |each: f64| A_DAY * each / 3600.0;
    vec![
        row(
            "rate",
            format!(
                "1,000,000,000 / 86,400 s = {}/s on the average; × {BUSIEST}",
                thousands(average())
            ),
            format!("{rate}/s in the busiest hour"),
        ),
        row(
            "connector",
            format!("{rate}/s × {:.1} µs", micros(connector)),
            format!("{cores:.2} cores"),
        ),
        row(
            "pods",
            format!("{cores:.2} cores / ({CORES} × {USE}), and one that may be down"),
            format!("{:.0}", pods(figures)),
        ),
        row(
            "brokers",
            format!(
                "{rate}/s × {:.1} µs = {broker_cores:.2} cores without replicas; × {REPLICATED}, / {USE}",
                micros(broker)
            ),
            format!("{:.1} cores", broker_cores * REPLICATED / USE),
        ),
        row(
            "binds, partitions of outbound topics",
            format!(
                "{rate}/s / ({WINDOW} / {ROUND_TRIP} s = {}/s a bind)",
                thousands(a_bind)
            ),
            format!("{binds:.0}"),
        ),
        row(
            "partitions of sms.correlation and sms.deliveries",
            "a multiple of the pods, with room for more",
            format!("{:.0}", pods(figures) * 4.0),
        ),
        row(
            "processor of a day",
            format!(
                "1,000,000,000 × ({:.1} + {REPLICATED} × {:.1}) µs / 3,600 s = {:.1} + {:.1}",
                micros(connector),
                micros(broker),
                hours(connector.as_secs_f64()),
                hours(broker.as_secs_f64() * REPLICATED)
            ),
            format!(
                "{:.1} core-hours",
                hours(connector.as_secs_f64() + broker.as_secs_f64() * REPLICATED)
            ),
        ),
    ]
}

fn traffic(octets: f64, kept: f64) -> Vec<Vec<String>> {
    vec![
        row(
            "written to topics, not compressed",
            format!("{octets:.0} octets × {}/s", thousands(busiest())),
            format!("{:.1} MB/s in the busiest hour", octets * busiest() / 1e6),
        ),
        row(
            "kept for each day of retention, × replicas; sms.correlation is compacted",
            format!("{kept:.0} octets × 1,000,000,000"),
            format!("{:.2} TB", kept * A_DAY / 1e12),
        ),
    ]
}

fn memory(waiting: &Waiting, pods: f64) -> Vec<Vec<String>> {
    let each = waiting.octets_each();
    let gb = |entries: f64| entries * each / 1e9;
    let remembered = |what: &str, retention: f64| {
        let entries = busiest() * (RECEIPT_AFTER + retention);
        row(
            what,
            format!(
                "{}/s × ({RECEIPT_AFTER} + {retention}) s = {:.1} million × {each:.0} octets",
                thousands(busiest()),
                entries / 1e6
            ),
            format!("{:.2} GB", gb(entries)),
        )
    };
    let never = A_DAY * NEVER * DAYS;
    let entries = busiest() * (RECEIPT_AFTER + SHORT_RETENTION) + never;
    // While one of them is down.
    let share = entries / (pods - 1.0);
    vec![
        remembered("memory of messages, by default", RETENTION),
        remembered("the same with final_retention = \"5m\"", SHORT_RETENTION),
        row(
            "memory of those without a receipt, receipt_ttl = \"3d\"",
            format!(
                "1,000,000,000 × {NEVER} × {DAYS} = {:.0} million × {each:.0} octets",
                never / 1e6
            ),
            format!("{:.2} GB", gb(never)),
        ),
        row(
            "memory of a pod for it, with \"5m\"",
            format!(
                "({:.1} million + {:.0} million) / {:.0} pods",
                (entries - never) / 1e6,
                never / 1e6,
                pods - 1.0
            ),
            format!("{:.2} GB", gb(share)),
        ),
        row(
            "restored after a crash",
            format!(
                "{:.1} million of that pod / {}/s",
                share / 1e6,
                thousands(waiting.restored_a_second())
            ),
            format!("{:.0} s", share / waiting.restored_a_second()),
        ),
    ]
}
