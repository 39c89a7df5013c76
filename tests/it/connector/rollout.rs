//! A rolling update as the chart in `deploy/helm` asks for it: a pod is a process here, and what
//! Kubernetes does to pods is done to processes. `docs/kubernetes.md` has the figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::Signal::SIGTERM;
use serde_json::{Value, json};

use super::seen::Simulated;
use super::{Deployment, PATIENCE, message, with};
use crate::harness::http::get;
use crate::harness::{Connector, eventually};

/// As many as the account may have binds.
const PARTITIONS: usize = 4;
const PODS: usize = 3;
/// Each bind sends so many a second for as long as it is served.
const RATE: f64 = 20.0;
/// The chart's `minReadySeconds`.
const MIN_READY: Duration = Duration::from_secs(5);

/// How pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Strategy {
    /// A Deployment: one more at a time, and none less.
    OneMore,
    /// A Deployment: one less at a time, and none more.
    OneLess,
    /// A StatefulSet with static membership: a pod ends before the one of its name begins.
    Static,
}

/// What the SMSC's journal says of a rollout.
struct Seen {
    /// Binds at the same time, at most.
    binds: usize,
    /// How often a partition changed its bind.
    moves: usize,
    /// The longest time in which nothing of a partition was sent, of each partition.
    unserved: Vec<Duration>,
    lasted: Duration,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unserved: Vec<String> = (self.unserved.iter())
            .map(|time| format!("{:.1} s", time.as_secs_f64()))
            .collect();
        write!(
            f,
            "at most {} binds, {} moves, partitions unserved for at most {}, {:.0} s in all",
            self.binds,
            self.moves,
            unserved.join(", "),
            self.lasted.as_secs_f64()
        )
    }
}

#[test]
#[ignore = "two minutes for each strategy"]
fn rollouts_never_exceed_the_binds_and_leave_partitions_unserved_for_moments() {
    for protocol in ["classic", "consumer"] {
        for strategy in [Strategy::OneMore, Strategy::OneLess, Strategy::Static] {
            let seen = rollout(strategy, protocol);
            println!("{protocol:9} {strategy:?}: {seen}");
            assert!(seen.binds <= PARTITIONS, "{strategy:?}: {seen}");
            let longest = seen.unserved.iter().max().expect("partitions");
            assert!(*longest < Duration::from_secs(30), "{strategy:?}: {seen}");
        }
    }
}

fn rollout(strategy: Strategy, protocol: &str) -> Seen {
    let smsc = Simulated::start(&["--account", "esme:secret"]);
    let mut it = Deployment::new(smsc.port, i32::try_from(PARTITIONS).expect("few"));
    it.config["http"] = json!({"listen": "127.0.0.1:0"});
    it.config["shutdown_timeout"] = json!("20s");
    it.config["kafka"]["group_protocol"] = json!(protocol);
    let is_static = strategy == Strategy::Static;
    it.config["kafka"]["session_timeout"] = json!(if is_static { "60s" } else { "10s" });
    it.esme()["max_tps_per_bind"] = json!(RATE);
    for partition in 0..PARTITIONS {
        let number = i32::try_from(partition).expect("few");
        let text = json!({"short_message": format!("p{partition}")});
        let record = |n| with(message(&format!("p{partition}-{n}")), text.clone());
        let waiting: Vec<Value> = (0..6000).map(record).collect();
        it.send(number, &waiting);
    }
    let start = |pod: usize| {
        let name = format!("sms-{pod}");
        let env = [("KAFKA_SMPP__KAFKA__INSTANCE_ID", name.as_str())];
        Connector::start_with(&it.toml(), if is_static { &env } else { &[] })
    };
    let mut pods: Vec<Connector> = (0..PODS).map(start).collect();
    pods.iter_mut().for_each(available);
    let begun = (Instant::now(), Timestamp::now());
    let mut ending = Vec::new();
    for (pod, running) in pods.iter_mut().enumerate() {
        match strategy {
            Strategy::OneMore => {
                let mut new = start(PODS + pod);
                available(&mut new);
                let old = std::mem::replace(running, new);
                old.signal(SIGTERM);
                ending.push(old);
            }
            Strategy::OneLess => {
                running.signal(SIGTERM);
                let old = std::mem::replace(running, start(PODS + pod));
                ending.push(old);
                available(running);
            }
            Strategy::Static => {
                running.signal(SIGTERM);
                running.wait(PATIENCE);
                *running = start(pod);
                available(running);
            }
        }
    }
    for mut old in ending {
        assert!(old.wait(PATIENCE).success(), "{}", old.log());
    }
    // What the last step brought about.
    std::thread::sleep(Duration::from_secs(5));
    let lasted = begun.0.elapsed();
    Seen {
        binds: binds(&smsc),
        moves: smsc.of("bound").len() - PARTITIONS,
        unserved: unserved(&smsc, begun.1),
        lasted,
    }
}

/// Waits until a pod is ready, and has been for as long as Kubernetes wants.
fn available(pod: &mut Connector) {
    let port = pod.http();
    let is_ready = || get(port, "/ready").is_some_and(|(status, _)| status == 200);
    let mut since = None;
    eventually("a process is ready", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        since = since
            .filter(|_| is_ready())
            .or_else(|| is_ready().then(Instant::now));
        since.is_some_and(|since: Instant| since.elapsed() >= MIN_READY)
    });
}

/// How many binds there were at the same time, at most.
fn binds(smsc: &Simulated) -> usize {
    let of = |event, step: i32| {
        let times = smsc
            .of(event)
            .into_iter()
            .map(move |line| (at(&line), step));
        times.collect::<Vec<_>>()
    };
    let mut steps = [of("closed", -1), of("bound", 1)].concat();
    steps.sort();
    let mut now = 0;
    let most = steps.iter().map(|(_, step)| {
        now += step;
        now
    });
    usize::try_from(most.max().unwrap_or(0)).expect("a number")
}

/// The longest pause in what was accepted of each partition from then on.
fn unserved(smsc: &Simulated, from: Timestamp) -> Vec<Duration> {
    let mut accepted: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for line in smsc.of("accepted") {
        let text = line["text"].as_str().expect("a text").to_owned();
        accepted.entry(text).or_default().push(at(&line));
    }
    assert_eq!(accepted.len(), PARTITIONS);
    let longest = |times: &Vec<Timestamp>| {
        let mut times: Vec<Timestamp> = times.iter().copied().filter(|at| *at >= from).collect();
        // Sessions write beside each other.
        times.sort();
        let pauses = times.windows(2).map(|two| two[1].duration_since(two[0]));
        pauses.max().expect("some").unsigned_abs()
    };
    accepted.values().map(longest).collect()
}

fn at(line: &Value) -> Timestamp {
    line["at"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .expect("a time")
}
