//! Live runs: the connector, with the settings it has by default, on SMSCs that make it hard, the
//! simulated one and those of other authors. Each run has a mark; the table at the end says whether
//! it was met. What the connector and the SMSC said is kept in `target/live`.
//!
//! ```text
//! cargo test --test it -- --ignored --nocapture live
//! LIVE=throttled cargo test --test it -- --ignored --nocapture live    # runs with that in their name
//! ```
//!
//! The marks are rates and times: on a machine that has much else to do they may be missed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use serde_json::{Value, json};

use super::{Deployment, message};
use crate::harness::{
    Broker, Connector, Kafka, Process, Smsc, eventually, free_port, kafka, scratch, started,
};

const MINUTE: Duration = Duration::from_secs(60);

/// What came of a run.
struct Row {
    measured: String,
    met: bool,
}

/// A run: its name, which tells the SMSC, its mark, and how it is done.
type Run = (&'static str, &'static str, fn(&Keep) -> Row);

const RUNS: &[Run] = &[
    (
        "window simulated, and window = 20 set",
        "what this machine can do just now",
        |keep| {
            let args = ["--window", "20", "--response-delay", "50ms"];
            let row = window(keep, Peer::simulated(&args), Some(20));
            Row { met: true, ..row }
        },
    ),
    ("window simulated", WINDOW, |keep| {
        let args = ["--window", "20", "--response-delay", "50ms"];
        window(keep, Peer::simulated(&args), None)
    }),
    ("window simulated, ESME_RTHROTTLED above", WINDOW, |keep| {
        let args = ["--window", "20", "--response-delay", "50ms"];
        let status = ["--window-status", "ESME_RTHROTTLED"];
        let args = [&args[..], &status].concat();
        window(keep, Peer::simulated(&args), None)
    }),
    ("window Cloudhopper", WINDOW, |keep| {
        let env = [("WINDOW", "20"), ("RESP_DELAY_MS", "50")];
        window(keep, Peer::Theirs(Smsc::cloudhopper_with(&env)), None)
    }),
    ("serial simulated", SERIAL, |keep| {
        serial(keep, Peer::simulated(&["--answer-rate", "3"]))
    }),
    ("serial OpenSMPP", SERIAL, |keep| {
        serial(keep, Peer::Theirs(Smsc::opensmpp()))
    }),
    ("serial jSMPP", SERIAL, |keep| {
        let env = [("RESP_DELAY_MS", "300")];
        serial(keep, Peer::Theirs(Smsc::jsmpp_with(&env)))
    }),
    ("dying simulated", IN_DOUBT, |keep| {
        dying(keep, Peer::simulated(&["--fault", "die=200ms"]))
    }),
    ("dying simulated, nothing answered", IN_DOUBT, |keep| {
        let args = ["--fault", "die=200ms", "--fault", "swallow"];
        dying(keep, Peer::simulated(&args))
    }),
    (
        "dying Cloudhopper, answers after 150 ms",
        IN_DOUBT,
        |keep| {
            let env = [("DIE_MS", "200"), ("RESP_DELAY_MS", "150")];
            dying(keep, Peer::Theirs(Smsc::cloudhopper_with(&env)))
        },
    ),
    ("dying jSMPP", IN_DOUBT, |keep| {
        dying(keep, Peer::Theirs(Smsc::jsmpp_with(&[("DIE_MS", "200")])))
    }),
    ("deaf simulated", DEAF, |keep| {
        deaf(keep, Peer::simulated(&["--fault", "swallow"]), 20)
    }),
    ("deaf simulated, from the 200th on", DEAF_LATER, |keep| {
        let args = ["--fault", "ignore after=200"];
        deaf(keep, Peer::simulated(&args), 200)
    }),
    ("deaf Cloudhopper", DEAF, |keep| {
        deaf(
            keep,
            Peer::Theirs(Smsc::cloudhopper_with(&[("DEAF", "1")])),
            20,
        )
    }),
    ("deaf jSMPP", DEAF, |keep| {
        deaf(keep, Peer::Theirs(Smsc::jsmpp_with(&[("DEAF", "1")])), 20)
    }),
    ("throttled simulated, 0.5 s of 8 s", THROTTLED, |keep| {
        let fault = "status=ESME_RTHROTTLED during=500ms/8s";
        throttled(keep, Peer::simulated(&["--fault", fault]))
    }),
    ("throttled simulated, 50 ms of 1 s", THROTTLED, |keep| {
        let fault = "status=ESME_RTHROTTLED during=50ms/1s";
        throttled(keep, Peer::simulated(&["--fault", fault]))
    }),
    ("throttled Cloudhopper, 0.5 s of 8 s", THROTTLED, |keep| {
        let smsc = Smsc::cloudhopper_with(&[("THROTTLE", "500/8000")]);
        throttled(keep, Peer::Theirs(smsc))
    }),
    ("throttled Cloudhopper, 50 ms of 1 s", THROTTLED, |keep| {
        let smsc = Smsc::cloudhopper_with(&[("THROTTLE", "50/1000")]);
        throttled(keep, Peer::Theirs(smsc))
    }),
    ("throttled jSMPP, 0.5 s of 8 s", THROTTLED, |keep| {
        let smsc = Smsc::jsmpp_with(&[("THROTTLE", "500/8000")]);
        throttled(keep, Peer::Theirs(smsc))
    }),
    ("burst simulated", BURST, |keep| {
        let window = ["--deliver-window", "0", "--receipt-retry", "never"];
        let texts = ["--inbound-burst", "5000", "--inbound-text", "MO {n}"];
        burst(keep, Peer::simulated(&[&window[..], &texts].concat()))
    }),
    ("burst Cloudhopper", BURST, |keep| {
        burst(
            keep,
            Peer::Theirs(Smsc::cloudhopper_with(&[("BURST", "5000")])),
        )
    }),
    (
        "paused Kafka, 3 s",
        "1,000 receipts due, none refused",
        |keep| paused(keep, Duration::from_secs(3), &["--receipt-retry", "never"]),
    ),
    (
        "paused Kafka, 60 s, session_timeout = 120s",
        "1,000 receipts due, each published once, bind kept",
        |keep| paused(keep, MINUTE, &["--deliver-timeout", "10s"]),
    ),
];

const WINDOW: &str = "90 % of 400 msg/s per bind after 10 s";
const SERIAL: &str = "100 messages, none of unknown outcome";
const IN_DOUBT: &str = "at most 20 in doubt in a minute";
const DEAF: &str = "at most 20 in doubt in a minute, next host serves, a warning";
const DEAF_LATER: &str = "at most two windows of 100 in doubt, next host serves, a warning";
const THROTTLED: &str = "85 % of 333 msg/s over six binds";
const BURST: &str = "5,000 deliver_sm at once, none refused";

#[test]
#[ignore = "a quarter of an hour: cargo test --test it -- --ignored --nocapture live"]
fn live() {
    let wanted = std::env::var("LIVE").unwrap_or_default();
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    let commit = git.map_or_else(|_| Vec::new(), |out| out.stdout);
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let mut table = format!("live, commit {commit}\n");
    let mut missed = 0;
    for (name, mark, run) in RUNS.iter().filter(|(name, ..)| name.contains(&wanted)) {
        eprintln!("live: {name}: {mark}");
        let row = run(&Keep::new(name));
        let met = if row.met { "met" } else { "MISSED" };
        missed += usize::from(!row.met);
        eprintln!("live: {name}: {met}: {}", row.measured);
        table += &format!("{met:<7}{name:<42}{mark:<60}{}\n", row.measured);
    }
    eprintln!("{table}");
    assert_eq!(missed, 0, "marks missed");
}

/// Where what a run has to show is kept.
struct Keep(PathBuf);

impl Keep {
    fn new(name: &str) -> Keep {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let slug = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let folder = target.expect("target/").join("live").join(slug);
        std::fs::create_dir_all(&folder).expect("target/live is writable");
        Keep(folder)
    }

    fn store(&self, connector: &Connector, peer: &Peer) {
        let store = |name: &str, text: String| {
            std::fs::write(self.0.join(name), text).expect("target/live is writable");
        };
        store("connector.log", connector.log());
        store("smsc.log", peer.said());
    }
}

/// An SMSC.
enum Peer {
    Simulated {
        process: Process,
        port: u16,
        journal: PathBuf,
    },
    Theirs(Smsc),
}

impl Peer {
    fn simulated(args: &[&str]) -> Peer {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let journal = scratch("journal").join("journal.jsonl");
        let file = journal.to_str().expect("UTF-8");
        let always = ["smsc", "--listen", &listen, "--account", "esme:secret"];
        let all = [&always, &["--journal", file][..], args].concat();
        let mut process = started("", &all);
        process.wait_for_log("listening", MINUTE);
        Peer::Simulated {
            process,
            port,
            journal,
        }
    }

    fn port(&self) -> u16 {
        match self {
            Peer::Simulated { port, .. } => *port,
            Peer::Theirs(smsc) => smsc.port(),
        }
    }

    /// All it has written down.
    fn said(&self) -> String {
        match self {
            Peer::Simulated {
                journal, process, ..
            } => std::fs::read_to_string(journal).unwrap_or_default() + &process.log(),
            Peer::Theirs(smsc) => smsc.log(),
        }
    }

    fn events(&self) -> Vec<Value> {
        let said = self.said();
        let lines = said.lines();
        lines.filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    /// When it granted binds, in milliseconds.
    fn bound(&self) -> Vec<i64> {
        let granted = |event: &&Value| event["event"] == "bound" || event["event"] == "bind";
        self.events().iter().filter(granted).map(at).collect()
    }

    /// When it accepted messages, in milliseconds.
    fn accepted(&self) -> Vec<i64> {
        let accepted = |event: &&Value| {
            event["event"] == "accepted"
                || event["event"] == "submit" && event["status"].as_i64().unwrap_or(0) == 0
        };
        self.events().iter().filter(accepted).map(at).collect()
    }

    /// How many of its deliver_sm were refused or not answered.
    fn refused(&self) -> usize {
        let refused = |event: &&Value| {
            event["event"] == "refused"
                || event["event"] == "offered" && event["outcome"] != "acknowledged"
        };
        self.events().iter().filter(refused).count()
    }
}

fn at(event: &Value) -> i64 {
    let text = |text: &str| text.parse::<Timestamp>().expect("a time");
    match &event["at"] {
        Value::String(time) => text(time).as_millisecond(),
        number => number.as_i64().expect("milliseconds"),
    }
}

/// Nothing is set but what has no default.
fn by_default(kafka: Kafka, hosts: &[&Peer], partitions: i32) -> Deployment {
    let mut it = Deployment::on(kafka, hosts[0].port(), partitions);
    let hosts: Vec<String> = hosts
        .iter()
        .map(|peer| format!("127.0.0.1:{}", peer.port()))
        .collect();
    it.config = json!({
        "kafka": {
            "bootstrap_servers": it.kafka.bootstrap,
            "application_id": it.name,
        },
        "topics": it.config["topics"],
        "esme": [{
            "name": "acme",
            "outbound": [it.topic("outbound")],
            "hosts": hosts,
            "system_id": "esme",
            "password": "secret",
        }],
    });
    it
}

/// Appends so many messages to each partition.
fn fill(it: &Deployment, partitions: i32, each: usize) {
    for partition in 0..partitions {
        let first = partition as usize * each;
        it.send_numbered(partition, first..first + each);
    }
}

/// How many results there are, and how many of them are in doubt.
fn results(it: &Deployment) -> (usize, usize) {
    let results = it.exactly_one_each();
    let unknown = |result: &&Value| result["kind"] == "OUTCOME_UNKNOWN";
    (results.len(), results.values().filter(unknown).count())
}

fn window(keep: &Keep, smsc: Peer, set: Option<u32>) -> Row {
    let mut it = by_default(kafka(), &[&smsc], 2);
    if let Some(window) = set {
        it.esme()["window"] = json!(window);
    }
    fill(&it, 2, 14_000);
    let connector = it.start();
    eventually("two binds", MINUTE, || smsc.bound().len() >= 2);
    std::thread::sleep(Duration::from_secs(27));
    keep.store(&connector, &smsc);
    let from = smsc.bound()[1] + 10_000;
    let counted = smsc.accepted();
    let counted = counted
        .iter()
        .filter(|at| (from..from + 15_000).contains(at));
    let rate = counted.count() as f64 / 15.0 / 2.0;
    let (_, unknown) = results(&it);
    Row {
        measured: format!("{rate:.0} msg/s per bind, {unknown} in doubt"),
        met: rate >= 360.0 && unknown == 0,
    }
}

fn serial(keep: &Keep, smsc: Peer) -> Row {
    let it = by_default(kafka(), &[&smsc], 1);
    fill(&it, 1, 100);
    let begun = Instant::now();
    let connector = it.start();
    while results(&it).0 < 100 && begun.elapsed() < 2 * MINUTE {
        std::thread::sleep(Duration::from_secs(1));
    }
    let took = begun.elapsed().as_secs();
    keep.store(&connector, &smsc);
    let (ended, unknown) = results(&it);
    Row {
        measured: format!("{ended} results after {took} s, {unknown} in doubt"),
        met: ended == 100 && unknown == 0,
    }
}

fn dying(keep: &Keep, smsc: Peer) -> Row {
    let it = by_default(kafka(), &[&smsc], 2);
    fill(&it, 2, 1500);
    let connector = it.start();
    eventually("a bind", MINUTE, || !smsc.bound().is_empty());
    std::thread::sleep(MINUTE);
    keep.store(&connector, &smsc);
    let (ended, unknown) = results(&it);
    let binds = smsc.bound().len();
    Row {
        measured: format!("{unknown} in doubt of {ended} results over {binds} binds"),
        // Both binds died and came back, and messages had an end: else there was nothing to miss.
        met: unknown <= 20 && ended > 0 && binds > 2,
    }
}

fn deaf(keep: &Keep, smsc: Peer, most: usize) -> Row {
    let next = Peer::simulated(&[]);
    let it = by_default(kafka(), &[&smsc, &next], 2);
    fill(&it, 2, 500);
    let connector = it.start();
    eventually("a bind", MINUTE, || !smsc.bound().is_empty());
    std::thread::sleep(MINUTE);
    keep.store(&connector, &smsc);
    let (ended, unknown) = results(&it);
    let there = next.accepted().len();
    let first = smsc.bound()[0];
    let after = next.accepted().first().map(|at| at - first);
    let after = after.map_or("never".into(), |ms| {
        format!("after {:.1} s", ms as f64 / 1e3)
    });
    let log = connector.log();
    let warned = log.lines().filter(|line| line.contains("WARN")).count();
    Row {
        measured: format!(
            "{unknown} in doubt of {ended} results, {there} at the next host, the first {after}, \
             {warned} warnings"
        ),
        met: unknown <= most && there > 0 && warned > 0,
    }
}

fn throttled(keep: &Keep, smsc: Peer) -> Row {
    const RATE: f64 = 333.0;
    let it = by_default(kafka(), &[&smsc], 6);
    let connector = it.start();
    eventually("six binds", MINUTE, || smsc.bound().len() >= 6);
    let producer: ThreadedProducer<DefaultProducerContext> =
        it.kafka.config().create().expect("a producer");
    let topic = it.topic("outbound");
    let begun = Instant::now();
    let (start, mut sent) = (Timestamp::now().as_millisecond(), 0);
    while begun.elapsed() < Duration::from_secs(70) {
        let due = (begun.elapsed().as_secs_f64() * RATE) as u64;
        for n in sent..due {
            let value = message(&format!("m{n}")).to_string();
            let record = BaseRecord::<(), str>::to(&topic).payload(&value);
            let record = record.partition((n % 6) as i32);
            producer.send(record).expect("room in the producer");
        }
        sent = due;
        std::thread::sleep(Duration::from_millis(20));
    }
    keep.store(&connector, &smsc);
    let accepted = smsc.accepted();
    let counted = accepted
        .iter()
        .filter(|at| (start + 10_000..start + 70_000).contains(at));
    let rate = counted.count() as f64 / 60.0;
    let (_, unknown) = results(&it);
    Row {
        measured: format!(
            "{rate:.0} msg/s, {:.0} % of what is offered, {unknown} in doubt",
            rate / RATE * 100.0
        ),
        met: rate >= 0.85 * RATE && unknown == 0,
    }
}

fn burst(keep: &Keep, smsc: Peer) -> Row {
    let it = by_default(kafka(), &[&smsc], 1);
    let begun = Instant::now();
    let connector = it.start();
    let inbound = || it.kafka.records(&it.topic("inbound")).len();
    while inbound() < 5000 && begun.elapsed() < MINUTE {
        std::thread::sleep(Duration::from_secs(1));
    }
    keep.store(&connector, &smsc);
    let (published, refused) = (inbound(), smsc.refused());
    Row {
        measured: format!("{published} published, {refused} refused"),
        met: published == 5000 && refused == 0,
    }
}

/// Kafka stands still while the receipts of a thousand messages are due.
fn paused(keep: &Keep, time: Duration, args: &[&str]) -> Row {
    let broker = Broker::start_with("broker.session.timeout.ms=600000\n");
    let delay = ["--receipt-delay", "15s"];
    let smsc = Peer::simulated(&[&delay, args].concat());
    let mut it = by_default(broker.kafka(), &[&smsc], 1);
    if time >= MINUTE {
        // By default the lease on the partitions, and so the bind, is over after ten seconds:
        // another process may have both then.
        it.config["kafka"]["session_timeout"] = json!("120s");
    }
    fill(&it, 1, 1000);
    let connector = it.start();
    eventually("all are accepted", 2 * MINUTE, || {
        smsc.accepted().len() == 1000
    });
    let first = smsc.accepted()[0];
    let until = first + 14_500 - Timestamp::now().as_millisecond();
    assert!(until > 0, "the machine is too slow for this");
    std::thread::sleep(Duration::from_millis(until as u64));
    broker.freeze();
    let mut most = 0;
    let thaw = Instant::now() + time;
    while Instant::now() < thaw {
        std::thread::sleep(Duration::from_millis(100));
        most = most.max(connector.resident() >> 20);
    }
    broker.thaw();
    let receipts = || it.kafka.records(&it.topic("receipts"));
    let begun = Instant::now();
    while receipts().len() < 1000 && begun.elapsed() < MINUTE {
        std::thread::sleep(Duration::from_secs(1));
    }
    keep.store(&connector, &smsc);
    let mut ids: Vec<String> = receipts()
        .iter()
        .map(|record| record.value["log_id"].to_string())
        .collect();
    let published = ids.len();
    ids.sort_unstable();
    ids.dedup();
    let (once, refused) = (ids.len(), smsc.refused());
    let closed = |event: &&Value| event["event"] == "closed";
    let lost = smsc.events().iter().filter(closed).count();
    let lasting = time >= MINUTE;
    Row {
        measured: format!(
            "{published} receipts of {once} messages, {refused} refused, {lost} binds lost, at most \
             {most} MiB"
        ),
        met: published == 1000 && once == 1000 && lost == 0 && (lasting || refused == 0),
    }
}
