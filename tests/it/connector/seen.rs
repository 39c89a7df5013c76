//! What can be seen of a process over HTTP.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE};
use crate::harness::http::{get, status, sum};
use crate::harness::{
    Broker, Connector, FakeSmsc, Process, Reply, becomes, command, eventually, free_port,
    has_kip_848, scratch, setting, started,
};

/// A deployment whose processes can be looked at.
fn seen(smsc: u16, partitions: i32) -> Deployment {
    let mut it = Deployment::new(smsc, partitions);
    it.config["http"] = json!({ "listen": "127.0.0.1:0" });
    it
}

/// Waits until the process on this port is ready.
pub fn is_ready(port: u16) {
    let ready = Some((200, "ready\n".to_owned()));
    becomes(ready, PATIENCE, || get(port, "/ready"));
}

#[test]
fn a_backlog_waits_in_kafka() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let mut it = seen(smsc.port(), 1);
    it.config["submit"]["read_ahead"] = json!(100);
    it.esme()["window"] = json!(4);
    it.esme()["slow_start"] = json!(4);
    it.esme()["timers"]["response"] = json!("20s");
    it.send_numbered(0, 0..500);
    let mut connector = it.start();
    let port = connector.http();
    let partition = || status(port).map(|s| s["esmes"][0]["partitions"][0].clone());
    smsc.wait_submits(4);
    let seen = |name: &str| partition().and_then(|p| p[name].as_i64());
    eventually("enough is read", PATIENCE, || seen("waiting") >= Some(90));
    assert!(seen("position") < Some(200), "{:#?}", partition());

    // Nothing of it is fetched, and where it ends is seen all the same.
    it.send_numbered(0, 500..800);
    becomes(Some(800), PATIENCE, || seen("end"));
    becomes(Some(800), PATIENCE, || seen("lag"));
    assert!(seen("position") < Some(200), "{:#?}", partition());

    smsc.script(|_| Reply::Accept);
    it.results(800);
    let texts = smsc.texts();
    let (first, rest) = (&texts[..4], &texts[texts.len() - 796..]);
    let numbers = |from: usize, texts: &[String]| {
        let expected = (from..from + texts.len()).map(|n| format!("m{n}"));
        expected.eq(texts.iter().cloned())
    };
    assert!(numbers(0, first) && numbers(4, rest), "{texts:?}");
}

#[test]
fn a_process_that_works_is_ready_and_says_what_it_does() {
    let smsc = FakeSmsc::start();
    let mut it = seen(smsc.port(), 2);
    it.esme()["max_tps"] = json!(1000);
    let mut connector = it.start();
    let port = connector.http();
    it.send_numbered(0, 0..60);
    it.send_numbered(1, 60..100);
    it.results(100);
    is_ready(port);
    assert_eq!(get(port, "/live"), Some((200, "live\n".to_owned())));
    // What librdkafka says of the ends of partitions comes every five seconds.
    eventually("no lag is left", PATIENCE, || {
        let status = status(port).expect("a status");
        let partitions = status["esmes"][0]["partitions"].as_array().expect("a list");
        partitions.len() == 2 && partitions.iter().all(|p| p["lag"] == 0)
    });
    let status = status(port).unwrap();
    assert_eq!(
        (&status["version"], &status["process"]["phase"]),
        (&json!(1), &json!("running"))
    );
    let acme = &status["esmes"][0];
    assert_eq!(
        (&acme["name"], &acme["rate"]["here"]),
        (&json!("acme"), &json!(1000.0))
    );
    assert_eq!(acme["results"], json!({ "ACCEPTED": 100 }));
    assert_eq!(acme["responses"], json!({ "ESME_ROK": 100 }));
    for times in ["append_to_socket", "submit_to_response", "append_to_result"] {
        let counts = acme[times]["counts"].as_array().unwrap();
        let count: u64 = counts.iter().filter_map(Value::as_u64).sum();
        assert_eq!(count, 100, "{times}");
    }
    let binds = acme["binds"].as_array().unwrap();
    assert_eq!(binds.len(), 2);
    for bind in binds {
        assert_eq!(
            (&bind["state"], &bind["window"]["used"]),
            (&json!("bound"), &json!(0))
        );
        assert_eq!(bind["host"], format!("127.0.0.1:{}", smsc.port()));
    }
    let committed: i64 = (acme["partitions"].as_array().unwrap().iter())
        .filter_map(|partition| partition["committed"].as_i64())
        .sum();
    assert_eq!(committed, 100);
    let clients = status["kafka"]["clients"].as_array().unwrap();
    assert!(
        clients
            .iter()
            .any(|c| c["name"] == "submit" && c["brokers_up"] == 1),
        "{clients:?}"
    );
    let (_, metrics) = get(port, "/metrics").unwrap();
    let results = sum(
        &metrics,
        "kafka_smpp_results_total",
        &["outcome=\"ACCEPTED\""],
    );
    assert!((results - 100.0).abs() < f64::EPSILON, "{metrics}");
    let bound = sum(&metrics, "kafka_smpp_bind_state", &["state=\"bound\""]);
    assert!((bound - 2.0).abs() < f64::EPSILON, "{metrics}");
}

#[test]
fn what_is_missing_is_named_and_an_smsc_that_is_away_ends_no_process() {
    let port = free_port();
    let it = seen(port, 1);
    let mut connector = it.start();
    let http = connector.http();
    it.send_numbered(0, 0..3);
    let why = || get(http, "/ready").unwrap_or_default();
    eventually("no bind", PATIENCE, || {
        let (code, text) = why();
        code == 503 && text.starts_with("acme: no transceiver is bound: ")
    });
    assert_eq!(get(http, "/live"), Some((200, "live\n".to_owned())));
    eventually("the records are waited for", PATIENCE, || {
        let status = status(http).expect("a status");
        let acme = &status["esmes"][0];
        acme["partitions"][0]["lag"] == 3 && acme["binds"][0]["state"] == "backoff"
    });
    let status = status(http).unwrap();
    let problems = status["problems"].as_array().unwrap();
    assert!(
        !problems.is_empty() && problems.iter().all(|p| p["about"] != ""),
        "{problems:?}"
    );
}

#[test]
fn a_kafka_that_is_away_ends_no_process() {
    let smsc = FakeSmsc::start();
    let broker = Broker::start_private();
    let mut it = Deployment::on(broker.kafka(), smsc.port(), 1);
    it.config["http"] = json!({ "listen": "127.0.0.1:0" });
    let mut working = it.start();
    let port = working.http();
    it.send_numbered(0, 0..5);
    it.results(5);
    is_ready(port);
    broker.freeze();
    let mut starting = it.start();
    let young = starting.http();
    for _ in 0..20 {
        for port in [port, young] {
            assert_eq!(get(port, "/live"), Some((200, "live\n".to_owned())));
            assert!(status(port).is_some());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let why = "it is starting: Kafka has not said yet which topics there are\n";
    assert_eq!(get(young, "/ready"), Some((503, why.to_owned())));
    broker.thaw();
    is_ready(port);
    is_ready(young);
}

/// A process with nothing to do is ready: when another one goes, it takes over.
#[test]
fn a_process_in_reserve_is_ready() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Accept);
    let it = seen(smsc.port(), 1);
    let (mut first, mut second) = (it.start(), it.start());
    let ports = [first.http(), second.http()];
    for port in ports {
        is_ready(port);
    }
    let partitions = |port| {
        let status = status(port).expect("a status");
        status["esmes"][0]["partitions"]
            .as_array()
            .map_or(0, Vec::len)
    };
    eventually("one of them has it", PATIENCE, || {
        ports.map(partitions).iter().sum::<usize>() == 1
    });
}

/// What a process says of all processes: the name of each, and how old its last word is, in seconds.
fn processes(port: u16) -> Vec<(String, f64)> {
    let (_, body) = get(port, "/processes").expect("an answer");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let list = body["processes"].as_array().expect("a list").iter();
    let at = |status: &Value| -> jiff::Timestamp {
        let at = status["at"].as_str().expect("a time");
        at.parse().expect("a time")
    };
    let now = at(&body["processes"][0]);
    list.map(|status| {
        let name = status["process"]["name"].as_str().expect("a name");
        let age = now.duration_since(at(status)).as_secs_f64();
        (name.to_owned(), age)
    })
    .collect()
}

#[test]
fn each_process_shows_the_others_one_that_is_killed_goes_silent_and_one_that_stops_is_gone() {
    let smsc = FakeSmsc::start();
    let it = seen(smsc.port(), 1);
    let mut all = [it.start(), it.start(), it.start()];
    let ports = all.each_mut().map(|process| process.http());
    let names = |port| {
        let names = processes(port).into_iter().map(|(name, _)| name);
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
    };
    let mut everybody = Vec::new();
    eventually("each knows its own name", PATIENCE, || {
        everybody = ports
            .iter()
            .flat_map(|port| names(*port).first().cloned())
            .collect();
        everybody.len() == 3
    });
    let own = everybody.clone();
    everybody.sort();
    eventually("each shows all", PATIENCE, || {
        ports.iter().zip(&own).all(|(port, own)| {
            let mut names = names(*port);
            let first = names.first() == Some(own);
            names.sort();
            first && names == everybody
        })
    });
    let age = |name: &str| {
        let found = processes(ports[0]).into_iter().find(|(n, _)| n == name);
        found.map(|(_, age)| age)
    };
    assert!(
        age(&own[1]).is_some_and(|age| age < 10.0),
        "{:?}",
        age(&own[1])
    );
    all[1].kill9();
    all[2].signal(Signal::SIGTERM);
    assert!(all[2].wait(PATIENCE).success());
    eventually("who stopped is gone", PATIENCE, || age(&own[2]).is_none());
    eventually("who was killed is silent", PATIENCE, || {
        age(&own[1]).expect("it is remembered") > 15.0
    });
    // One that starts now knows it, too, and for how long it is silent.
    let mut young = it.start();
    let port = young.http();
    eventually("the newest shows what was", PATIENCE, || {
        let silent = processes(port)
            .into_iter()
            .find(|(name, _)| *name == own[1]);
        silent.is_some_and(|(_, age)| age > 15.0)
    });
    assert!(!names(port).contains(&own[2]));
    let log = all[0].log();
    assert!(!log.contains("do not show each other"), "{log}");
}

#[test]
fn without_their_topic_processes_work_and_say_so_once() {
    let smsc = FakeSmsc::start();
    let mut it = seen(smsc.port(), 1);
    it.config["topics"]["status"] = json!(it.topic("nowhere"));
    let mut connector = it.start();
    let port = connector.http();
    it.send_numbered(0, 0..3);
    it.results(3);
    is_ready(port);
    let line = "do not show each other";
    connector.wait_for_log(line, PATIENCE);
    assert_eq!(processes(port).len(), 1);
    let begun = Instant::now();
    connector.signal(Signal::SIGTERM);
    assert!(connector.wait(PATIENCE).success());
    assert!(begun.elapsed() < Duration::from_secs(10));
    let log = connector.log();
    assert_eq!(log.matches(line).count(), 1, "{log}");
    assert!(
        log.contains("KS-3101") && log.contains("topics create"),
        "{log}"
    );
}

#[test]
fn status_and_top_show_a_running_connector_in_a_terminal() {
    let smsc = FakeSmsc::start();
    let it = seen(smsc.port(), 1);
    let nowhere = format!("127.0.0.1:{}", free_port());
    for command_name in ["status", "top"] {
        let away = command("", &[command_name, "--url", &nowhere]);
        assert_eq!(away.status.code(), Some(69), "{command_name}");
        let told = String::from_utf8_lossy(&away.stderr).into_owned();
        assert!(
            told.contains("KS-7012") && told.contains(&nowhere),
            "{told}"
        );
    }
    let mut connector = it.start();
    let url = format!("127.0.0.1:{}", connector.http());
    it.send_numbered(0, 0..5);
    it.results(5);
    is_ready(connector.http());
    let ask = |args: &[&str]| {
        let output = command("", &[args, &["--url", &url]].concat());
        let text = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), text)
    };
    let (code, text) = ask(&["status"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("ready: "), "{text}");
    assert!(text.contains("acme: 1 of 1 bind bound"), "{text}");
    let (code, text) = ask(&["status", "--json"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &document["ready"]["ready"]), (Some(0), &json!(true)));
    let (code, text) = ask(&["status", "--json", "--all"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(code, Some(0));
    assert_eq!(document["processes"].as_array().map(Vec::len), Some(1));
    // Correlations are read a moment after the results.
    let mut text = String::new();
    eventually("it knows of all messages", PATIENCE, || {
        let (code, told) = ask(&["top", "--once"]);
        assert_eq!(code, Some(0), "{told}");
        text = told;
        text.contains("CORRELATION  5 messages")
    });
    for words in ["1 process", "acme  1 of 1 bind bound"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    // One whose SMSC is away.
    let it = seen(free_port(), 1);
    let mut connector = it.start();
    let url = format!("127.0.0.1:{}", connector.http());
    let ask = |name| command("", &[name, "--url", &url]);
    let mut text = String::new();
    eventually("it says why", PATIENCE, || {
        let output = ask("top");
        text = String::from_utf8(output.stdout).expect("text");
        output.status.code() == Some(75) && text.contains("acme: no transceiver is bound")
    });
    assert!(
        text.contains("NOT READY") && text.contains("KS-20"),
        "{text}"
    );
    assert_eq!(ask("status").status.code(), Some(75));
}

#[test]
fn a_port_that_is_taken_is_said_with_its_remedy() {
    let smsc = FakeSmsc::start();
    let mut it = seen(smsc.port(), 1);
    it.config["http"]["listen"] = json!(format!("127.0.0.1:{}", smsc.port()));
    let mut connector = it.start();
    let ended = connector.wait(Duration::from_secs(30));
    assert_eq!(ended.code(), Some(78));
    let log = connector.log();
    assert!(
        log.contains("http.listen") && log.contains("another process"),
        "{log}"
    );
}

/// Such a member of the group hears nothing, because nothing changes for it.
#[test]
fn a_hot_standby_is_ready_with_kip_848() {
    if !has_kip_848() {
        return;
    }
    let smsc = FakeSmsc::start();
    let mut it = seen(smsc.port(), 1);
    it.config["kafka"]["group_protocol"] = json!("consumer");
    let mut one = it.start();
    is_ready(one.http());
    let mut two = it.start();
    is_ready(two.http());
    assert_eq!(smsc.bound(), 1);
}

/// The simulated SMSC, which writes down what it did.
pub struct Simulated {
    process: Process,
    /// Where it listens.
    pub port: u16,
    journal: PathBuf,
}

impl Simulated {
    pub fn start(args: &[&str]) -> Simulated {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let journal = scratch("journal").join("journal.jsonl");
        let file = journal.to_str().expect("UTF-8");
        let always = ["smsc", "--listen", &listen, "--journal", file];
        let mut process = started("", &[&always, args].concat());
        process.wait_for_log("listening", PATIENCE);
        Simulated {
            process,
            port,
            journal,
        }
    }

    /// The lines of the journal that tell of this.
    pub fn of(&self, event: &str) -> Vec<Value> {
        let journal = std::fs::read_to_string(&self.journal).unwrap_or_default();
        let lines = journal.lines().filter_map(|l| serde_json::from_str(l).ok());
        lines
            .filter(|line: &Value| line["event"] == event)
            .collect()
    }
}

/// Scrapes a process again and again; what it said last stays when it is killed.
struct Scraper {
    last: Arc<Mutex<(String, i64)>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scraper {
    fn of(connector: &mut Connector) -> Scraper {
        let port = connector.http();
        let (last, ending) = (
            Arc::new(Mutex::new((String::new(), 0))),
            Arc::<AtomicBool>::default(),
        );
        let (told, ended) = (last.clone(), ending.clone());
        let scrape = move || {
            while !ended.load(Ordering::Relaxed) {
                let asked = jiff::Timestamp::now().as_millisecond();
                if let Some((200, metrics)) = get(port, "/metrics") {
                    *told.lock() = (metrics, asked);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        Scraper {
            last,
            ending,
            thread: Some(std::thread::spawn(scrape)),
        }
    }

    /// The sum of a metric, as it was said last.
    fn sum(&self, name: &str, labels: &[&str]) -> usize {
        sum(&self.last.lock().0, name, labels) as usize
    }

    /// When it was asked last, in milliseconds since 1970, and answered.
    fn asked(&self) -> i64 {
        self.last.lock().1
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the processes say together.
fn together(scrapers: &[Scraper], name: &str, labels: &[&str]) -> usize {
    scrapers
        .iter()
        .map(|scraper| scraper.sum(name, labels))
        .sum()
}

/// Receipts in the journal by what they said, each message once.
fn receipts(smsc: &Simulated) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for receipt in smsc.of("receipt") {
        let text = |key: &str| receipt[key].as_str().unwrap_or_default().to_owned();
        states.insert(text("message_id"), text("state"));
    }
    let mut counts = BTreeMap::new();
    for state in states.into_values() {
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// Sums over the processes equal what the SMSC wrote down, also after a lost session; and when a
/// process is killed, what is missing is no more than what it did since it was scraped last.
///
/// With more messages: `METRICS_RECORDS=20000 cargo test --test it -- --nocapture metrics_are_true`
#[test]
fn metrics_are_true() {
    let half = setting("METRICS_RECORDS", 8_000) as usize / 2;
    let smsc = Simulated::start(&[
        "--outcomes",
        "DELIVRD=90,UNDELIV=10",
        "--receipt-delay",
        "500ms",
        "--fault",
        "drop-accepted after=1500 times=1",
    ]);
    let mut it = seen(smsc.port, 2);
    it.config["log"]["level"] = json!("info");
    it.config["submit"]["in_doubt"] = json!("resend");
    it.esme()["registered_delivery"] = json!(1);
    let mut processes = [it.start(), it.start()];
    let scrapers = processes.each_mut().map(Scraper::of);
    let sum = |name: &str, labels: &[&str]| together(&scrapers, name, labels);
    let partitions = |scraper: &Scraper| scraper.sum("kafka_smpp_partition_open", &[]);
    eventually("one partition for each", PATIENCE, || {
        scrapers.iter().all(|scraper| partitions(scraper) == 1)
    });
    let results = "kafka_smpp_results_total";
    let fill = |from: usize| {
        it.send_numbered(0, from..from + half / 2);
        it.send_numbered(1, from + half / 2..from + half);
    };
    fill(0);
    it.results_within(half, PATIENCE);
    // Receipts come for each message that the SMSC accepted, and it accepted some twice.
    eventually("all receipts are counted", PATIENCE, || {
        let accepted = smsc.of("accepted").len();
        accepted >= half && sum("kafka_smpp_receipts_total", &[]) == accepted
    });
    assert_eq!(sum(results, &[]), half);
    assert_eq!(sum(results, &["outcome=\"ACCEPTED\""]), half);
    let said = receipts(&smsc);
    for (state, stat) in [("DELIVERED", "DELIVRD"), ("UNDELIVERABLE", "UNDELIV")] {
        let label = format!("state=\"{state}\"");
        let counted = sum("kafka_smpp_receipts_total", &[&label]);
        assert_eq!(Some(&counted), said.get(stat), "{state}");
    }
    let (accepted, ok) = (smsc.of("accepted").len(), "command_status=\"ESME_ROK\"");
    let unanswered = sum("kafka_smpp_resent_total", &[]);
    assert_eq!(sum("kafka_smpp_responses_total", &[ok]), half);
    assert!(
        accepted - half <= unanswered && unanswered > 0,
        "{accepted} {unanswered}"
    );
    assert_eq!(sum("kafka_smpp_binds_in_doubt_total", &[]), unanswered);
    // A process is killed while it works.
    fill(half);
    let before = scrapers[0].sum(results, &[]);
    eventually("it is at work", PATIENCE, || {
        scrapers[0].sum(results, &[]) > before + 500
    });
    processes[0].kill9();
    let scraped = scrapers[0].asked();
    it.results_within(2 * half, PATIENCE);
    eventually("the other one has taken over", PATIENCE, || {
        partitions(&scrapers[1]) == 2
    });
    let events = it.events();
    let total = events
        .iter()
        .filter(|event| event["terminal"] == true)
        .count();
    assert_eq!(total, 2 * half);
    std::thread::sleep(Duration::from_secs(1));
    let counted = sum(results, &[]);
    // What was committed after the last scrape was asked for, by whichever process.
    let since = it.kafka.records(&it.topic("responses")).into_iter();
    // A transaction was open for less than a second.
    let since = since
        .filter(|record| record.timestamp >= Some(scraped - 1000))
        .count();
    assert!(
        counted <= 2 * half && counted + since >= 2 * half,
        "{counted} and {since} of {total}"
    );
    drop(smsc.process);
}
