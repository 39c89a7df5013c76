//! The rules and dashboards of `deploy/` on a running connector: a Prometheus of our own scrapes it.
//!
//! ```text
//! cargo test --test it -- --ignored --nocapture planted_faults
//! ```
//!
//! All times in the copy of the rules are divided, so that minutes become seconds or less.

// Not all of it is needed here.
#[allow(dead_code)]
#[path = "../../monitoring/rules.rs"]
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message};
use crate::harness::http::{ask, get};
use crate::harness::{Connector, Kafka, Process, eventually, free_port, scratch, started, unique};
use rules::{dashboards, have_prometheus, panels};

/// Divides a time as Prometheus writes it.
fn divided(time: &str, by: u64) -> String {
    let (number, unit) = time.split_at(time.len() - 1);
    let millis: u64 = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => panic!("{other} in {time}"),
    };
    format!(
        "{}ms",
        number.parse::<u64>().expect("a number") * millis / by
    )
}

/// The rules with all `for`, ranges and offsets divided. Numbers that are compared stay.
fn scaled(rules: &str, by: u64) -> String {
    let times = Regex::new(r"(for: |\[|offset )(\d+[smhd])\b").expect("a pattern");
    let divide = |found: &Captures<'_>| format!("{}{}", &found[1], divided(&found[2], by));
    times.replace_all(rules, divide).into_owned()
}

/// A Prometheus with our rules, in which a minute is `60 / by` seconds.
struct Prometheus {
    process: Process,
    port: u16,
}

impl Prometheus {
    fn start(target: u16, by: u64, interval: &str) -> Prometheus {
        let (dir, port) = (scratch("prometheus"), free_port());
        let write =
            |name: &str, text: String| std::fs::write(dir.join(name), text).expect("a file");
        write("rules.yml", scaled(&rules::rules(), by));
        let config = json!({
            "global": { "scrape_interval": interval, "evaluation_interval": interval, "scrape_timeout": interval },
            "rule_files": ["rules.yml"],
            "scrape_configs": [{
                "job_name": "kafka-smpp",
                "static_configs": [{ "targets": [format!("127.0.0.1:{target}")] }],
            }],
        });
        // What is JSON is YAML.
        write("prometheus.yml", config.to_string());
        let mut command = Command::new("prometheus");
        command
            .current_dir(&dir)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("prometheus", &mut command, dir.join("log"));
        process.wait_for_log("Server is ready to receive web requests", PATIENCE);
        Prometheus { process, port }
    }

    /// What it answers, or its error in words.
    fn ask(&self, path: &str) -> Result<Value, String> {
        // In HTTP/1.0 nothing comes in chunks.
        let request = format!("GET {path} HTTP/1.0\r\nhost: it\r\n\r\n");
        let (_, body) = ask(self.port, &request).ok_or("no answer")?;
        let mut answer: Value = serde_json::from_str(&body).map_err(|e| format!("{e}: {body}"))?;
        if answer["status"] == "success" {
            Ok(answer["data"].take())
        } else {
            Err(answer["error"].to_string())
        }
    }

    /// How many series a query returns that have a number.
    fn series(&self, query: &str) -> Result<usize, String> {
        let octets = query.bytes().map(|octet| format!("%{octet:02X}"));
        let path = format!("/api/v1/query?query={}", octets.collect::<String>());
        let found = self.ask(&path)?;
        let found = found["result"].as_array().ok_or("no list")?.iter();
        Ok(found.filter(|series| series["value"][1] != "NaN").count())
    }

    /// The alerts that fire: name and ESME, which is empty for those about processes.
    fn firing(&self) -> BTreeSet<(String, String)> {
        let alerts = self.ask("/api/v1/alerts").expect("alerts");
        let alerts = alerts["alerts"].as_array().expect("a list").iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let told = firing.map(|alert| {
            let text = |key: &str| alert["labels"][key].as_str().unwrap_or_default().to_owned();
            let annotations = alert["annotations"].to_string();
            let whole = !annotations.contains("no value") && !annotations.contains("error");
            assert!(whole, "{annotations}");
            (text("alertname"), text("esme"))
        });
        told.collect()
    }
}

/// A simulated SMSC that comes again on its port.
struct Smsc {
    process: Option<Process>,
    port: u16,
}

impl Smsc {
    fn new() -> Smsc {
        Smsc {
            process: None,
            port: free_port(),
        }
    }

    /// Starts it, or replaces it, with these arguments.
    fn behaves(&mut self, args: &[&str]) {
        self.process = None;
        let listen = format!("127.0.0.1:{}", self.port);
        let args = [&["smsc", "--listen", &listen], args].concat();
        let mut process = started("", &args);
        process.wait_for_log("listening", PATIENCE);
        self.process = Some(process);
    }
}

/// Appends messages to topics, again and again.
struct Traffic {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// So many a second to each topic, spread over its partitions.
    fn start(kafka: &Kafka, topics: Vec<(String, i32)>, rate: usize) -> Traffic {
        let ending = Arc::<AtomicBool>::default();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &kafka.bootstrap);
        // One for all: to make a producer takes long on a busy machine.
        let producer: BaseProducer = config.create().expect("a producer");
        let ended = ending.clone();
        let send = move || {
            while !ended.load(Ordering::Relaxed) {
                let next = Instant::now() + Duration::from_secs(1);
                for (topic, partitions) in &topics {
                    for number in 0..rate {
                        let value = message(&unique("m")).to_string();
                        let record = BaseRecord::<str, [u8]>::to(topic).payload(value.as_bytes());
                        let record = record.partition(number as i32 % partitions);
                        producer
                            .send(record)
                            .map_err(|(error, _)| error)
                            .expect("room");
                    }
                }
                producer.flush(PATIENCE).expect("all delivered");
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        };
        Traffic {
            ending,
            thread: Some(std::thread::spawn(send)),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An SMSC in good health.
const WELL: [&str; 4] = [
    "--outcomes",
    "DELIVRD=9,UNDELIV=1",
    "--receipt-delay",
    "1200ms..1800ms",
];

#[test]
fn times_in_rules_are_divided() {
    let rule = "expr: increase(a[10m] offset 1h) > 60 for: 5m le=\"1\" [5m:30s] 1d";
    let divided =
        "expr: increase(a[10000ms] offset 60000ms) > 60 for: 5000ms le=\"1\" [5000ms:30s] 1d";
    assert_eq!(scaled(rule, 60), divided);
}

/// promtool finds nothing wrong in `/metrics`, and each query of each panel returns something.
#[test]
fn every_panel_shows_something() {
    if !have_prometheus("every_panel_shows_something") {
        return;
    }
    let mut smsc = Smsc::new();
    let throttles = ["--fault", "status=ESME_RTHROTTLED every=300"];
    smsc.behaves(&[&WELL[..], &throttles].concat());
    let mut it = Deployment::new(smsc.port, 2);
    it.config["http"] = json!({ "listen": "127.0.0.1:0" });
    it.esme()["max_tps"] = json!(200);
    it.esme()["timers"]["enquire_link"] = json!("200ms");
    let mut connector = it.start();
    let port = connector.http();
    let prometheus = Prometheus::start(port, 120, "500ms");
    let _traffic = Traffic::start(&it.kafka, vec![(it.topic("outbound"), 2)], 60);
    let mut missing: Vec<(String, String)> = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in panels(name, &dashboard) {
            let queries = panel.queries.iter();
            missing.extend(queries.map(|query| (panel.name.clone(), queried(query))));
        }
    }
    assert!(missing.len() > 60);
    let deadline = Instant::now() + Duration::from_secs(90);
    while !missing.is_empty() {
        missing.retain(|(panel, query)| {
            let found = prometheus.series(query);
            found.unwrap_or_else(|error| panic!("{panel}: {query}: {error}")) == 0
        });
        assert!(Instant::now() < deadline, "without data: {missing:#?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    let (_, metrics) = get(port, "/metrics").expect("metrics");
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = promtool
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    drop(prometheus.process);
}

/// A query as Grafana asks it, with all variables set to everything.
fn queried(query: &str) -> String {
    let everything = [
        ("$namespace", ".*"),
        ("$job", ".*"),
        ("$esme", ".+"),
        ("[$__rate_interval]", "[4s]"),
        ("[30m]", "[15s]"),
        ("[5m]", "[4s]"),
    ];
    let query = everything
        .iter()
        .fold(query.to_owned(), |query, (from, to)| {
            query.replace(from, to)
        });
    assert!(!query.contains('$'), "{query}");
    query
}

/// What goes wrong with one ESME.
struct Fault {
    esme: &'static str,
    /// What its SMSC does; none: it is away.
    smsc: Option<&'static [&'static str]>,
    /// What must fire, and within how many seconds the metrics must show it: at once if it is how
    /// something is; as long as it takes to be a large enough share of a range, on a busy machine.
    raises: &'static [(&'static str, u64)],
    /// What may fire besides, because it follows.
    follows: &'static [&'static str],
}

/// The scale of the rules for planted faults: a minute is a second.
const SCALE: u64 = 60;

const BUSY: &[&str] = &[
    "KafkaSmppWindowFull",
    "KafkaSmppBacklogGrows",
    "KafkaSmppDrainTooLong",
];

/// An SMSC for each, all at a time.
const FAULTS: [Fault; 12] = [
    Fault {
        esme: "away",
        smsc: None,
        raises: &[("KafkaSmppAllUnbound", 2)],
        follows: &[
            "KafkaSmppDrainTooLong",
            "KafkaSmppBacklogGrows",
            "KafkaSmppReceiptsStopped",
        ],
    },
    Fault {
        esme: "short",
        smsc: Some(&["--max-binds", "1"]),
        raises: &[("KafkaSmppUnbound", 4)],
        follows: BUSY,
    },
    Fault {
        esme: "throttled",
        smsc: Some(&["--fault", "status=ESME_RTHROTTLED p=0.5"]),
        raises: &[("KafkaSmppThrottled", 10)],
        follows: BUSY,
    },
    Fault {
        esme: "slow",
        smsc: Some(&["--response-delay", "4s"]),
        raises: &[("KafkaSmppSlowResponses", 60)],
        follows: BUSY,
    },
    Fault {
        esme: "swallowed",
        smsc: Some(&["--fault", "swallow p=0.3"]),
        raises: &[("KafkaSmppResponseTimeouts", 60), ("KafkaSmppInDoubt", 60)],
        follows: &["KafkaSmppReceiptsUncorrelated", "KafkaSmppBacklogGrows"],
    },
    Fault {
        esme: "silent",
        smsc: Some(&["--fault", "silent", "--fault", "ignore"]),
        raises: &[("KafkaSmppLinkTimeouts", 60)],
        follows: &[
            "KafkaSmppWindowFull",
            "KafkaSmppBacklogGrows",
            "KafkaSmppDrainTooLong",
            "KafkaSmppAllUnbound",
            "KafkaSmppResponseTimeouts",
            "KafkaSmppNoProgress",
            "KafkaSmppReceiptsStopped",
        ],
    },
    Fault {
        esme: "narrow",
        smsc: Some(&["--answer-rate", "3"]),
        raises: &[("KafkaSmppWindowFull", 60), ("KafkaSmppBacklogGrows", 60)],
        follows: &["KafkaSmppSlowResponses", "KafkaSmppDrainTooLong"],
    },
    Fault {
        esme: "deaf",
        smsc: Some(&["--fault", "ignore"]),
        raises: &[("KafkaSmppNoProgress", 60)],
        follows: &[
            "KafkaSmppWindowFull",
            "KafkaSmppBacklogGrows",
            "KafkaSmppDrainTooLong",
            "KafkaSmppReceiptsStopped",
            "KafkaSmppSlowResponses",
        ],
    },
    Fault {
        esme: "unreceipted",
        smsc: Some(&["--outcomes", "NONE=1"]),
        raises: &[
            ("KafkaSmppReceiptsStopped", 60),
            ("KafkaSmppReceiptsOverdue", 60),
        ],
        follows: &[],
    },
    Fault {
        esme: "undelivered",
        smsc: Some(&[
            "--outcomes",
            "UNDELIV=1",
            "--receipt-delay",
            "1200ms..1800ms",
        ]),
        raises: &[("KafkaSmppDeliveryRateLow", 60)],
        follows: &[],
    },
    Fault {
        esme: "forged",
        smsc: Some(&["--outcomes", "DELIVRD=9,UNDELIV=1", "--receipt-delay", "0s"]),
        raises: &[("KafkaSmppReceiptsTooFast", 60)],
        follows: &[],
    },
    Fault {
        esme: "strangers",
        smsc: Some(&["--outcomes", "DELIVRD=9,UNDELIV=1", "--receipt-ids", "uuid"]),
        raises: &[("KafkaSmppReceiptsUncorrelated", 60)],
        follows: &["KafkaSmppReceiptsOverdue", "KafkaSmppReceiptsStopped"],
    },
];

/// What may follow for any ESME whose SMSC is restarted: receipts and answers go with it.
const OF_RESTARTS: [&str; 3] = [
    "KafkaSmppReceiptsOverdue",
    "KafkaSmppInDoubt",
    "KafkaSmppLinkTimeouts",
];

/// How long an alert waits before it fires, in the copy of the rules.
fn waits(alert: &str) -> Duration {
    let rules = rules::rules();
    let rule = rules
        .split(&format!("alert: {alert}\n"))
        .nth(1)
        .expect("a rule");
    let rule = rule.split("- alert: ").next().expect("a rule");
    let waits = rules::all(rule, "for").into_iter().next();
    let millis = waits.map_or(0, |time| {
        let time = divided(&time, SCALE);
        time.trim_end_matches("ms").parse().expect("a number")
    });
    Duration::from_millis(millis)
}

/// A deployment with an ESME for each fault and one that is well.
fn faulty(smscs: &BTreeMap<&str, Smsc>) -> (Deployment, Vec<(String, i32)>) {
    let mut it = Deployment::new(0, 1);
    it.config["http"] = json!({ "listen": format!("127.0.0.1:{}", free_port()) });
    it.config["log"]["level"] = json!("info");
    it.config["correlate"] = json!({ "early_receipt_grace": "16s", "receipt_ttl": "30s" });
    it.config["submit"]["in_doubt"] = json!("report");
    let (pattern, mut esmes, mut topics) = (it.esme().clone(), Vec::new(), Vec::new());
    for (esme, smsc) in smscs {
        let (mut account, topic) = (pattern.clone(), it.topic(esme));
        let partitions = if *esme == "short" { 2 } else { 1 };
        it.kafka.topic(&topic, partitions, &[]);
        account["name"] = json!(esme);
        account["outbound"] = json!([topic]);
        account["hosts"] = json!([format!("127.0.0.1:{}", smsc.port)]);
        let patient = ["slow", "narrow", "deaf"].contains(esme);
        account["timers"]["response"] = json!(if patient { "60s" } else { "2s" });
        account["timers"]["enquire_link"] = json!("1s");
        account["window"] = json!(if *esme == "slow" { 300 } else { 20 });
        esmes.push(account);
        topics.push((topic, partitions));
    }
    it.config["esme"] = json!(esmes);
    (it, topics)
}

/// Each fault raises its alert, within two scrapes after it shows and what the rule waits, and no other
/// than may follow from it; when the faults are over, so are the alerts.
#[test]
#[ignore = "four minutes: cargo test --test it -- --ignored --nocapture planted_faults"]
fn planted_faults_raise_their_alerts() {
    if !have_prometheus("planted_faults_raise_their_alerts") {
        return;
    }
    let names = FAULTS.iter().map(|fault| fault.esme).chain(["well"]);
    let mut smscs: BTreeMap<&str, Smsc> = names.map(|name| (name, Smsc::new())).collect();
    smscs.values_mut().for_each(|smsc| smsc.behaves(&WELL));
    let (it, topics) = faulty(&smscs);
    let mut connector = it.start();
    let port = connector.http();
    let prometheus = Prometheus::start(port, SCALE, "1s");
    let traffic = Traffic::start(&it.kafka, topics, 30);
    // The baseline of the delivery rate ends an hour, which is a minute, before now.
    let calm = Instant::now() + Duration::from_secs(90);
    while Instant::now() < calm {
        assert_eq!(prometheus.firing(), BTreeSet::new());
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut planted = BTreeMap::new();
    for fault in &FAULTS {
        let smsc = smscs.get_mut(fault.esme).expect("its SMSC");
        match fault.smsc {
            Some(args) => smsc.behaves(args),
            None => smsc.process = None,
        }
        planted.insert(fault.esme, Instant::now());
    }
    all_are_raised(&prometheus, &planted);
    for fault in &FAULTS {
        smscs.get_mut(fault.esme).expect("its SMSC").behaves(&WELL);
    }
    let over = Instant::now();
    all_are_over(&prometheus);
    println!("all is over after {:.1} s", over.elapsed().as_secs_f64());
    the_process_goes(&prometheus, &it, connector);
    drop(traffic);
}

fn all_are_raised(prometheus: &Prometheus, planted: &BTreeMap<&str, Instant>) {
    let mut missing: BTreeMap<(&str, &str), Instant> = BTreeMap::new();
    for fault in &FAULTS {
        for (alert, shows) in fault.raises {
            let scrapes = Duration::from_secs(2);
            let until = planted[fault.esme] + Duration::from_secs(*shows) + waits(alert) + scrapes;
            // One more for the evaluation, and for us to see it.
            missing.insert((alert, fault.esme), until + Duration::from_secs(1));
        }
    }
    let mut seen = BTreeSet::new();
    let (mut late, mut strange) = (Vec::new(), Vec::new());
    while !missing.is_empty() {
        for (alert, esme) in prometheus.firing() {
            if !seen.insert((alert.clone(), esme.clone())) {
                continue;
            }
            let after = planted
                .get(&*esme)
                .map_or(0.0, |at| at.elapsed().as_secs_f64());
            println!("{alert} {esme}: after {after:.1} s");
            missing.retain(|key, _| *key != (&*alert, &*esme));
            if !may_fire(&alert, &esme) {
                strange.push((alert, esme));
            }
        }
        let now = Instant::now();
        late.extend(
            missing
                .extract_if(.., |_, until| *until < now)
                .map(|(key, _)| key),
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let is_right = late.is_empty() && strange.is_empty();
    assert!(
        is_right,
        "not in time: {late:?}; without a cause: {strange:?}"
    );
    // A process with an ESME without bind is not ready.
    eventually("the process is not ready", PATIENCE, || {
        let alert = ("KafkaSmppNotReady".to_owned(), String::new());
        prometheus.firing().contains(&alert)
    });
}

fn may_fire(alert: &str, esme: &str) -> bool {
    if esme.is_empty() {
        return alert == "KafkaSmppNotReady";
    }
    let fault = FAULTS.iter().find(|fault| fault.esme == esme);
    fault.is_some_and(|fault| {
        let raised = fault.raises.iter().any(|(raised, _)| *raised == alert);
        raised || fault.follows.contains(&alert) || OF_RESTARTS.contains(&alert)
    })
}

fn all_are_over(prometheus: &Prometheus) {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let firing = prometheus.firing();
        if firing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still firing: {firing:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The last process of the deployment is killed, and comes again.
fn the_process_goes(prometheus: &Prometheus, it: &Deployment, mut connector: Connector) {
    connector.kill9();
    let killed = Instant::now();
    let gone = BTreeSet::from([("KafkaSmppGone".to_owned(), String::new())]);
    let limit = waits("KafkaSmppGone") + Duration::from_secs(3);
    eventually("KafkaSmppGone", limit, || prometheus.firing() == gone);
    println!(
        "KafkaSmppGone: after {:.1} s",
        killed.elapsed().as_secs_f64()
    );
    let _again = it.start();
    eventually("it is over", PATIENCE, || {
        prometheus.firing().is_disjoint(&gone)
    });
}
