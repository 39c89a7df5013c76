//! Operators who cannot make up their minds, and strangers at the listener, while messages flow.
//!
//! ```sh
//! cargo test --test it -- --ignored --nocapture storm_of_orders
//! ```
//!
//! `STORM_SECONDS` says how long it lasts (60). A thousand messages a second are offered to two processes.
//! Every second a hundred orders pause, resume, rebind and change rates and windows, by the topic and
//! over HTTP, some of which mean nothing; slow, malformed and greedy clients sit at the listener; a process is
//! killed in the middle, and another one started. Then all orders are taken back, and what the SMSC has
//! is held against the results: each record has one, accepted is what the SMSC has, and what it has twice
//! is flagged.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::Deployment;
use super::seen::{Simulated, is_ready};
use super::steered::{asks, offers, steered};
use crate::harness::http::{get, status};
use crate::harness::{Send, eventually, setting};

const LAST: Duration = Duration::from_secs(600);

/// Keys of orders, with the values that they get one after the other; none takes the order back.
fn orders(it: &Deployment) -> Vec<(String, Vec<Option<String>>)> {
    let topic = it.topic("outbound");
    let of = |key: &str, values: &[Value]| {
        let values = values.iter().map(|value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        });
        (key.to_owned(), values.collect())
    };
    let value = |value: u32| json!({ "value": value });
    let unbind = |unbind: bool| json!({ "unbind": unbind, "by": "storm" });
    vec![
        of("acme/pause", &[unbind(false), Value::Null, Value::Null]),
        of("acme/pause", &[unbind(true), Value::Null, Value::Null]),
        of(
            &format!("acme/pause/topic/{topic}"),
            &[json!({}), Value::Null],
        ),
        of("acme/pause/bind/acme-0.0", &[unbind(true), Value::Null]),
        of("acme/pause/bind/acme-1.0", &[unbind(false), Value::Null]),
        of("acme/max_tps", &[value(500), value(3000), Value::Null]),
        of("acme/window", &[value(1), value(50), Value::Null]),
        of("acme/rebind/bind/acme-0.0", &[json!({})]),
        of("acme/rebind", &[json!({ "by": "storm" })]),
        of(
            "acme/maintenance",
            &[
                json!({"from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}),
                Value::Null,
            ],
        ),
        of("log", &[json!({ "level": "debug" }), Value::Null]),
        of("nobody/pause", &[json!({}), Value::Null]),
        of("acme/fly", &[json!("{"), json!("\u{1b}[2J"), Value::Null]),
        of("acme/window", &[json!("[[[["), value(7)]),
    ]
}

/// Writes a hundred orders a second; how many.
fn storms(it: &Deployment, ports: &[u16], ending: &AtomicBool) -> usize {
    let orders = orders(it);
    let mut random = fastrand::Rng::with_seed(16);
    let (mut given, begun) = (0, Instant::now());
    while !ending.load(Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * 100.0) as usize;
        let chosen: Vec<(&str, Option<&[u8]>)> = (given..due)
            .map(|_| {
                let (key, values) = &orders[random.usize(..orders.len())];
                let value = &values[random.usize(..values.len())];
                (&**key, value.as_deref().map(str::as_bytes))
            })
            .collect();
        let records: Vec<Send<'_>> = chosen
            .iter()
            .map(|(key, value)| Send {
                key: Some(key),
                value: *value,
                ..Send::default()
            })
            .collect();
        it.kafka.produce(&it.topic("control"), &records);
        let port = ports[random.usize(..ports.len())];
        // It may be that of the process that was killed.
        if get(port, "/live").is_some() {
            asks(
                port,
                &json!({"action": "rebind", "esme": "acme", "reason": "storm"}),
            );
        }
        given += records.len();
        std::thread::sleep(Duration::from_millis(50));
    }
    given
}

/// One connection of a stranger, from an address of its own, so that ours has its places.
fn stranger(port: u16, number: u8) -> Option<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let to: SocketAddr = ([127, 0, 0, 1], port).into();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(([127, 0, 0, 10 + number % 3], 0).into()).ok()?;
        socket.connect(to).await.ok()?.into_std().ok()
    })?;
    stream.set_nonblocking(false).ok()?;
    let patience = Some(Duration::from_secs(1));
    stream.set_read_timeout(patience).ok()?;
    stream.set_write_timeout(patience).ok()?;
    Some(stream)
}

/// Does what strangers do at the listener, again and again; how often.
fn harasses(port: u16, number: u8, ending: &AtomicBool, times: &AtomicUsize) {
    let head = "GET /history HTTP/1.1\r\nhost: it\r\n";
    let pipelined = format!("{head}\r\n").repeat(50);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(40_000));
    let bodied = "POST /steer HTTP/1.1\r\nhost: it\r\nauthorization: Bearer wrong\r\ncontent-length: 9999999\r\n\r\n{";
    let chunked = "POST /steer HTTP/1.1\r\nhost: it\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\nffffffffffffffffff\r\n";
    while !ending.load(Relaxed) {
        let Some(mut stream) = stranger(port, number) else {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        times.fetch_add(1, Relaxed);
        let mut answer = [0; 4096];
        match number % 6 {
            // Says a little now and then.
            0 => {
                while !ending.load(Relaxed) && stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
            // Asks for much, and does not read it.
            1 => {
                let _ = stream.write_all(pipelined.as_bytes());
                std::thread::sleep(Duration::from_secs(5));
            }
            // Reads as much as it gets.
            2 => {
                let _ = stream.write_all(pipelined.as_bytes());
                while stream.read(&mut answer).is_ok_and(|read| read > 0) {}
            }
            3 => drop(stream.write_all(long.as_bytes())),
            4 => {
                let _ = stream.write_all(bodied.as_bytes());
                let _ = stream.read(&mut answer);
            }
            _ => {
                let _ = stream.write_all(chunked.as_bytes());
                let _ = stream.read(&mut answer);
            }
        }
    }
}

/// Takes back what may be in force.
fn calms(it: &Deployment) {
    for (key, _) in orders(it) {
        let record = Send {
            key: Some(&key),
            ..Send::default()
        };
        it.kafka.produce(&it.topic("control"), &[record]);
    }
}

/// How often the SMSC has each message.
fn had(smsc: &Simulated) -> HashMap<String, usize> {
    let mut had = HashMap::new();
    for accepted in smsc.of("accepted") {
        let text = accepted["text"].as_str().expect("a text").to_owned();
        *had.entry(text).or_default() += 1;
    }
    had
}

/// What is wrong with a result.
fn wrong(result: &Value, times: usize) -> bool {
    if result["kind"] == "OUTCOME_UNKNOWN" {
        return false;
    }
    let is_flagged = result["possible_duplicate"] == true;
    result["accepted"] != true || times == 0 || (times > 1 && !is_flagged)
}

#[test]
#[ignore = "a minute of two cores"]
fn a_storm_of_orders_loses_nothing_and_sends_nothing_twice_in_silence() {
    let seconds = setting("STORM_SECONDS", 60);
    let smsc = Simulated::start(&["--response-delay", "5ms"]);
    let it = steered(smsc.port, 2);
    let mut processes = [it.start(), it.start()];
    let ports: Vec<u16> = processes.iter_mut().map(|process| process.http()).collect();
    ports.iter().for_each(|port| is_ready(*port));
    let (offering, storming) = (AtomicBool::new(false), AtomicBool::new(false));
    let harassed = AtomicUsize::new(0);
    let (sent, given, mut third) = std::thread::scope(|scope| {
        let sends = scope.spawn(|| offers(&it, 2, 1000, &offering));
        let storm = scope.spawn(|| storms(&it, &ports, &storming));
        for number in 0..24 {
            let (port, storming, harassed) = (ports[usize::from(number) % 2], &storming, &harassed);
            scope.spawn(move || harasses(port, number, storming, harassed));
        }
        std::thread::sleep(Duration::from_secs(seconds / 2));
        processes[0].kill9();
        let third = it.start();
        std::thread::sleep(Duration::from_secs(seconds - seconds / 2));
        assert_eq!(get(ports[1], "/live").map(|(code, _)| code), Some(200));
        storming.store(true, Relaxed);
        let given = storm.join().expect("it ends");
        calms(&it);
        offering.store(true, Relaxed);
        (sends.join().expect("it ends"), given, third)
    });
    let resident = processes[1].resident() >> 20;
    eventually("all have a result", LAST, || {
        std::thread::sleep(Duration::from_secs(3));
        let events = it.events();
        events.iter().filter(|e| e["terminal"] == true).count() >= sent
    });
    let (results, had) = (it.exactly_one_each(), had(&smsc));
    assert_eq!(results.len(), sent);
    let times = |id: &str| had.get(id).copied().unwrap_or(0);
    let wrong: Vec<(&Value, usize)> = results
        .iter()
        .map(|(id, result)| (result, times(id)))
        .filter(|(result, times)| wrong(result, *times))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} are wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(3)]
    );
    let of = |wanted: &dyn Fn(&Value) -> bool| results.values().filter(|r| wanted(r)).count();
    let flagged = of(&|result| result["possible_duplicate"] == true);
    let unknown = of(&|result| result["kind"] == "OUTCOME_UNKNOWN");
    eprintln!(
        "{sent} records, {given} orders, {} connections of strangers; {} sent twice, {flagged} flagged, {unknown} unknown; {resident} MiB",
        harassed.load(Relaxed),
        had.values().filter(|times| **times > 1).count(),
    );
    // What a kill may put in doubt is a window of each bind, and one resend of each.
    assert!(
        flagged + unknown <= 400,
        "{flagged} flagged, {unknown} unknown"
    );
    let port = third.http();
    for port in [ports[1], port] {
        is_ready(port);
        let seen = status(port).expect("a status");
        let steering = &seen["esmes"][0]["steering"];
        assert_eq!(steering["paused"], json!([]), "{steering}");
    }
}
