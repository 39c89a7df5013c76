//! What operators ask for while processes work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::seen::{Simulated, is_ready};
use super::{Deployment, PATIENCE, message};
use crate::harness::http::{ask, get, status};
use crate::harness::{Send, eventually, progress};

const TOKEN: &str = "a token for these tests";

/// A deployment that can be steered.
pub fn steered(smsc: u16, partitions: i32) -> Deployment {
    let mut it = Deployment::new(smsc, partitions);
    it.config["http"] = json!({ "listen": "127.0.0.1:0", "token": TOKEN.replace(' ', "-") });
    it.config["log"]["level"] = json!("info");
    it
}

/// Asks a process for something; what it answers.
pub fn asks(port: u16, order: &Value) -> (u16, String) {
    let body = order.to_string();
    let (token, length) = (TOKEN.replace(' ', "-"), body.len());
    let request = format!(
        "POST /steer HTTP/1.1\r\nhost: it\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    ask(port, &request).expect("an answer")
}

/// The same, which must be done.
fn steers(port: u16, order: &Value) {
    let (status, said) = asks(port, order);
    assert_eq!(status, 200, "{order}: {said}");
}

fn steering(port: u16) -> Value {
    status(port).map_or(Value::Null, |status| status["esmes"][0]["steering"].clone())
}

fn millis(event: &Value) -> i64 {
    time(event, "at")
}

fn time(event: &Value, field: &str) -> i64 {
    let at = event[field].as_str().expect("a time");
    at.parse::<Timestamp>().expect("a time").as_millisecond()
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The most that is [offered](offers): a slow machine has time to do it all.
const MOST_OFFERED: usize = 40_000;

/// Appends so many messages a second, over partitions, until told to end; how many.
pub fn offers(it: &Deployment, partitions: i32, each_second: usize, ending: &AtomicBool) -> usize {
    let appender = it.kafka.appender();
    let (mut sent, begun) = (0, Instant::now());
    while !ending.load(Ordering::Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * each_second as f64) as usize;
        let due = due.min(MOST_OFFERED);
        let values: Vec<Vec<u8>> = (sent..due)
            .map(|n| serde_json::to_vec(&message(&format!("m{n}"))).expect("JSON"))
            .collect();
        let records: Vec<Send<'_>> = values
            .iter()
            .enumerate()
            .map(|(n, value)| Send {
                partition: Some((sent + n) as i32 % partitions),
                value: Some(value),
                ..Send::default()
            })
            .collect();
        appender.append(&it.topic("outbound"), &records, None);
        sent = due.max(sent);
        std::thread::sleep(Duration::from_millis(50));
    }
    sent
}

/// The most of these times that lie within one second.
fn most_in_a_second(times: &[i64]) -> usize {
    let mut most = 0;
    for (index, first) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .take_while(|time| **time < first + 1000);
        most = most.max(within.count());
    }
    most
}

#[test]
fn a_pause_stops_all_processes_leaves_nothing_in_doubt_and_outlives_them() {
    let smsc = Simulated::start(&["--receipt-delay", "4s", "--response-delay", "20ms"]);
    let mut it = steered(smsc.port, 3);
    it.esme()["registered_delivery"] = json!(1);
    let mut processes = [it.start(), it.start(), it.start()];
    let ports: Vec<u16> = processes.iter_mut().map(|process| process.http()).collect();
    ports.iter().for_each(|port| is_ready(*port));
    let ending = Arc::<AtomicBool>::default();
    let (sent, paused) = std::thread::scope(|scope| {
        let offering = scope.spawn(|| offers(&it, 3, 2000, &ending));
        eventually("it is at work", PATIENCE, || {
            smsc.of("accepted").len() > 4000
        });
        steers(
            ports[0],
            &json!({"action": "pause", "esme": "acme", "by": "a test", "reason": "fire"}),
        );
        let ordered = now();
        eventually("all know of it", PATIENCE, || {
            ports
                .iter()
                .all(|port| steering(*port)["paused"][0]["by"] == "a test")
        });
        let paused = now();
        progress(&format!(
            "three processes are paused after {} ms",
            paused - ordered
        ));
        std::thread::sleep(Duration::from_secs(1));
        ending.store(true, Ordering::Relaxed);
        let sent = offering.join().expect("it ends");
        std::thread::sleep(Duration::from_secs(4));
        (sent, paused)
    });
    // What was submitted before is answered, and its receipts come.
    let receipts = smsc.of("receipt");
    let after = receipts.iter().filter(|event| millis(event) > paused);
    let after = after.count();
    assert!(after > 100, "receipts go on: {after}");
    let accepted = smsc.of("accepted").len();
    assert!(accepted < sent, "there is more to submit");
    for port in &ports {
        let seen = steering(*port);
        assert_eq!(
            (&seen["paused"][0]["by"], &seen["paused"][0]["reason"]),
            (&json!("a test"), &json!("fire"))
        );
    }
    let told = |kind: &str| {
        let told = it.kafka.records(&it.topic("notifications"));
        let pauses = told.into_iter().map(|record| record.value);
        pauses
            .filter(|value| value["type"] == kind)
            .collect::<Vec<_>>()
    };
    eventually("each process says it", PATIENCE, || {
        told("Paused").len() == 3
    });
    let by = |event: &Value| event["pause"]["by"] == "a test" && event["esme"] == "acme";
    assert!(told("Paused").iter().all(by), "{:?}", told("Paused"));
    // Who holds a partition is killed, and another takes it over: it is paused there, too.
    processes[0].kill9();
    eventually("the others have all partitions", PATIENCE, || {
        let held = |port: &u16| {
            let partitions = status(*port).map(|status| status["esmes"][0]["partitions"].clone());
            let partitions = partitions.unwrap_or_default();
            partitions
                .as_array()
                .map_or(0, |all| all.iter().filter(|p| p["phase"] == "open").count())
        };
        ports[1..].iter().map(held).sum::<usize>() == 3
    });
    std::thread::sleep(Duration::from_secs(3));
    let more = smsc.of("accepted").len() - accepted;
    assert_eq!(more, 0, "a successor does not know of the pause");
    let resumed = now();
    steers(ports[1], &json!({"action": "resume", "esme": "acme"}));
    eventually("the others go on", PATIENCE, || told("Resumed").len() == 2);
    let results = it.results_within(sent, PATIENCE);
    let accepted = results
        .values()
        .filter(|result| result["accepted"] == true)
        .count();
    assert_eq!(accepted, sent, "nothing is in doubt");
    assert_eq!(smsc.of("accepted").len(), sent, "nothing is sent twice");
    let in_pause = (results.values())
        .map(|result| time(result, "submitted_at"))
        .filter(|at| (paused + 1..resumed).contains(at));
    assert_eq!(in_pause.count(), 0, "no submit while it is paused");
}

#[test]
fn a_rate_is_changed_in_all_processes() {
    let smsc = Simulated::start(&[]);
    let mut it = steered(smsc.port, 2);
    it.esme()["max_tps"] = json!(500);
    let mut processes = [it.start(), it.start()];
    let ports = processes.each_mut().map(|process| process.http());
    ports.iter().for_each(|port| is_ready(*port));
    it.send_numbered(0, 0..3000);
    it.send_numbered(1, 3000..6000);
    eventually("it is at work", PATIENCE, || {
        smsc.of("accepted").len() > 1500
    });
    steers(
        ports[1],
        &json!({"action": "set", "esme": "acme", "max_tps": 200}),
    );
    let ordered = now();
    let here = |port: &u16| status(*port).map(|status| status["esmes"][0]["rate"]["here"].clone());
    eventually("both know of it", PATIENCE, || {
        ports.iter().all(|port| here(port) == Some(json!(100.0)))
    });
    let changed = now();
    std::thread::sleep(Duration::from_secs(8));
    let times: Vec<i64> = smsc.of("accepted").iter().map(millis).collect();
    let after: Vec<i64> = times
        .iter()
        .copied()
        .filter(|at| *at > changed + 1000)
        .collect();
    let before: Vec<i64> = times.iter().copied().filter(|at| *at < changed).collect();
    let (before, after) = (most_in_a_second(&before), most_in_a_second(&after));
    // On a machine that is busy with other tests some arrive later than others: at the SMSC's
    // clock a second may then have more than were sent in one. And it may be too slow for as many
    // as are allowed.
    progress(&format!(
        "at most {before} a second; {} ms after the order {after}",
        changed - ordered
    ));
    assert!(after <= 300 && after > 0, "{before} before, {after} after");
    let mut sent: Vec<i64> = (it.events().iter())
        .map(|event| time(event, "submitted_at"))
        .filter(|at| *at > changed + 1000)
        .collect();
    sent.sort_unstable();
    let sent = most_in_a_second(&sent);
    assert!(sent <= 200 && sent > 0, "{sent} sent in a second");
    for port in ports {
        let seen = status(port).expect("a status");
        let acme = &seen["esmes"][0];
        assert_eq!(
            (&acme["rate"]["contracted"], &acme["rate"]["here"]),
            (&json!(500.0), &json!(100.0))
        );
        assert_eq!(acme["steering"]["max_tps"], 200.0);
    }
    steers(
        ports[0],
        &json!({"action": "set", "esme": "acme", "max_tps": null}),
    );
    eventually("what is configured holds again", PATIENCE, || {
        ports.iter().all(|port| here(port) == Some(json!(250.0)))
    });
}

#[test]
fn binds_are_closed_and_opened_as_it_is_wanted() {
    let smsc = Simulated::start(&["--response-delay", "50ms"]);
    let it = steered(smsc.port, 2);
    let mut process = it.start();
    let port = process.http();
    is_ready(port);
    let states = || {
        let status = status(port).unwrap_or_default();
        let binds = status["esmes"][0]["binds"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let state = |bind: &Value| bind["state"].as_str().unwrap_or_default().to_owned();
        binds.iter().map(state).collect::<Vec<_>>()
    };
    let closed = || smsc.of("closed");
    it.send_numbered(0, 0..500);
    it.send_numbered(1, 500..1000);
    // A bind is closed and opened again in the midst of work.
    steers(
        port,
        &json!({"action": "rebind", "esme": "acme", "bind": "acme-0.0"}),
    );
    eventually("one is closed", PATIENCE, || closed().len() == 1);
    eventually("and opened again", PATIENCE, || smsc.of("bound").len() == 3);
    steers(port, &json!({"action": "drain", "esme": "acme"}));
    eventually("all are closed", PATIENCE, || {
        closed().len() == 3 && states() == ["closed", "closed"]
    });
    is_ready(port);
    let told = |what: &str| {
        let (_, metrics) = get(port, "/metrics").expect("an answer");
        let name = format!("kafka_smpp_{what}{{");
        let lines = metrics.lines().filter(|line| line.starts_with(&name));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        lines.filter_map(value).collect::<Vec<_>>()
    };
    for what in ["bind_drained", "bind_paused", "partition_paused"] {
        assert_eq!(told(what), [1.0, 1.0], "{what}");
    }
    assert!(
        closed().iter().all(|event| event["unbound"] == true),
        "{:?}",
        closed()
    );
    steers(port, &json!({"action": "resume", "esme": "acme"}));
    eventually("all are open", PATIENCE, || states() == ["bound", "bound"]);
    // One of two: that one is told, and what only it sends.
    let one = |action: &str| json!({"action": action, "esme": "acme", "bind": "acme-1.0"});
    steers(port, &one("drain"));
    eventually("one is closed", PATIENCE, || {
        states() == ["bound", "closed"]
    });
    is_ready(port);
    for what in ["bind_drained", "bind_paused", "partition_paused"] {
        assert_eq!(told(what), [0.0, 1.0], "{what}");
    }
    steers(port, &one("resume"));
    eventually("all are open", PATIENCE, || states() == ["bound", "bound"]);
    assert_eq!(told("bind_drained"), [0.0, 0.0]);
    let from = Timestamp::now() + Duration::from_secs(1);
    let until = from + Duration::from_secs(4);
    steers(
        port,
        &json!({"action": "maintenance", "esme": "acme", "from": from, "until": until, "by": "a test"}),
    );
    eventually("the SMSC is maintained", PATIENCE, || {
        states() == ["closed", "closed"]
    });
    assert!(Timestamp::now() >= from);
    it.send_numbered(0, 1000..1010);
    eventually("the SMSC is back", PATIENCE, || {
        states() == ["bound", "bound"]
    });
    assert!(Timestamp::now() >= until);
    let results = it.results(1010);
    assert!(results.values().all(|result| result["accepted"] == true));
    assert!(
        closed().iter().all(|event| event["unbound"] == true),
        "each after an unbind"
    );
    steers(port, &json!({"action": "set", "esme": "acme", "window": 3}));
    it.send_numbered(0, 1010..1100);
    it.results(1100);
    eventually("the window is smaller", PATIENCE, || {
        let status = status(port).unwrap_or_default();
        let windows = |key: &str| status["esmes"][0]["binds"][0]["window"][key].clone();
        windows("most") == 3 && windows("allowed").as_u64().is_some_and(|n| n <= 3)
    });
}

#[test]
fn who_may_write_to_the_topic_steers_and_what_means_nothing_is_said() {
    let smsc = Simulated::start(&[]);
    let it = steered(smsc.port, 1);
    let orders = |key: &str, value: Option<&Value>| {
        let value = value.map(|value| value.to_string().into_bytes());
        let record = Send {
            key: Some(key),
            value: value.as_deref(),
            ..Send::default()
        };
        it.kafka.produce(&it.topic("control"), &[record]);
    };
    // It is there before the process.
    let topic = format!("acme/pause/topic/{}", it.topic("outbound"));
    orders(&topic, Some(&json!({"by": "a test"})));
    orders("acme/max_tps", Some(&json!({"value": "fast"})));
    let mut process = it.start();
    let port = process.http();
    it.send_numbered(0, 0..10);
    is_ready(port);
    process.wait_for_log("an order of an operator cannot be understood", PATIENCE);
    std::thread::sleep(Duration::from_secs(2));
    assert!(smsc.of("accepted").is_empty(), "it is paused");
    orders("log", Some(&json!({"level": "debug"})));
    process.wait_for_log("DEBUG", PATIENCE);
    orders(&topic, None);
    it.results(10);
    let (status, said) = asks(port, &json!({"action": "pause", "esme": "nobody"}));
    assert!(status == 400 && said.contains("there is acme"), "{said}");
}

/// What is paused stays so while the topic is gone, and the new one is read from its first record,
/// also if it has as many as the old one had.
///
/// ```sh
/// cargo test --test it -- --ignored topic_of_orders_that_is_made_anew
/// ```
#[test]
#[ignore = "the topic is looked for twice a minute"]
fn a_topic_of_orders_that_is_made_anew_is_read_from_its_beginning() {
    let smsc = Simulated::start(&[]);
    let it = steered(smsc.port, 1);
    let topic = it.topic("control");
    let orders = |key: &str, values: [Option<&[u8]>; 2]| {
        let record = |value| Send {
            key: Some(key),
            value,
            partition: Some(0),
            ..Send::default()
        };
        it.kafka.produce(&topic, &values.map(record));
    };
    orders("acme/pause", [Some(b"{}"), Some(b"{\"by\": \"a test\"}")]);
    let mut process = it.start();
    let port = process.http();
    is_ready(port);
    it.kafka.delete_topic(&topic);
    process.wait_for_log("the connector cannot be steered", PATIENCE);
    it.send_numbered(0, 0..10);
    std::thread::sleep(Duration::from_secs(3));
    assert!(smsc.of("accepted").is_empty(), "it is paused still");
    it.kafka.topic(&topic, 1, &[("cleanup.policy", "compact")]);
    // As many as it has read of the old one.
    orders("acme/pause", [Some(b"{}"), None]);
    it.results(10);
}

#[test]
fn without_a_topic_of_orders_all_else_works() {
    let smsc = Simulated::start(&[]);
    let mut it = steered(smsc.port, 1);
    it.config["topics"]["control"] = json!(it.topic("nowhere"));
    let mut process = it.start();
    let port = process.http();
    process.wait_for_log("the connector cannot be steered", PATIENCE);
    it.send_numbered(0, 0..10);
    it.results(10);
    is_ready(port);
    let (status, said) = asks(port, &json!({"action": "pause", "esme": "acme"}));
    assert!(
        status == 503 && said.contains("topics create"),
        "{status} {said}"
    );
}
