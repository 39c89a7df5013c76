//! What is told on the topic of notifications, for those who alert from Kafka.

use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message};
use crate::harness::{FakeSmsc, Reply, eventually};

fn at(event: &Value, field: &str) -> Timestamp {
    event[field]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time")
}

#[test]
fn a_process_tells_of_its_life_its_binds_and_its_partitions() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    smsc.wait_bound(1);
    it.send_numbered(0, 0..1);
    it.results(1);
    smsc.drop_connections();
    eventually("it binds again", PATIENCE, || smsc.bound() == 1);
    let started = it.noticed("Started", 1).remove(0);
    let process = started["process"].as_str().expect("a name");
    assert_eq!(process.len(), 16, "{started:#}");
    assert_eq!(
        (&started["esme"], &started["bind"]),
        (&json!(""), &json!(""))
    );
    let life = &started["lifecycle"];
    assert_eq!(life["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(life["esmes"], json!(["acme"]));
    assert!(life["cluster_id"].as_str().is_some_and(|id| !id.is_empty()));
    it.noticed("Bound", 2);
    connector.signal(SIGTERM);
    assert!(connector.wait(Duration::from_secs(15)).success());

    let stopped = it.noticed("Stopped", 1).remove(0);
    assert_eq!(stopped["lifecycle"], *life, "{stopped:#}");
    let stopping = it.noticed("Stopping", 1).remove(0);
    let order = [&started, &stopping, &stopped].map(|event| at(event, "received_at"));
    assert!(order.is_sorted(), "{order:?}");
    assert!(at(life, "started_at") <= order[0]);

    let bound = it.noticed("Bound", 2);
    let unbound = it.noticed("Unbound", 2);
    for event in bound.iter().chain(&unbound) {
        assert_eq!(
            (&event["esme"], &event["bind"]),
            (&json!("acme"), &json!("acme-0.0"))
        );
        assert_eq!(event["process"], process);
        let session = &event["session"];
        assert_eq!(session["mode"], "transceiver");
        assert_eq!(session["host"], format!("127.0.0.1:{}", smsc.port()));
        assert!(!event.to_string().contains("secret"));
    }
    assert_eq!(bound[0]["peer"], format!("127.0.0.1:{}", smsc.port()));
    assert_eq!(bound[0]["session"]["session"], 1);
    assert_eq!(bound[1]["session"]["session"], 2);
    let (lost, closed) = (&unbound[0]["session"], &unbound[1]["session"]);
    assert_eq!(
        (&lost["wanted"], &lost["unanswered"]),
        (&json!(false), &json!(0))
    );
    let reason = lost["reason"].as_str().expect("a reason");
    assert!(reason.contains("connection"), "{reason}");
    assert!(lost["bound_ms"].as_u64().is_some());
    assert_eq!(
        (&closed["wanted"], &closed["reason"]),
        (&json!(true), &json!("closed by us"))
    );

    let taken = it.noticed("Takeover", 1).remove(0);
    let takeover = &taken["takeover"];
    assert_eq!(taken["esme"], "acme");
    assert_eq!(takeover["topic"], it.topic("outbound"));
    assert_eq!(
        (&takeover["partition"], &takeover["in_doubt"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(takeover.get("from"), None, "nobody had it before");
}

#[test]
fn a_bind_that_never_comes_is_told_once() {
    let smsc = FakeSmsc::start();
    smsc.refuse_binds(0x0E);
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    let unbound = it.noticed("Unbound", 1).remove(0);
    let session = &unbound["session"];
    let reason = session["reason"].as_str().expect("a reason");
    assert!(reason.contains("ESME_RINVPASWD"), "{reason}");
    assert_eq!(session.get("bound_ms"), None, "{unbound:#}");
    assert_eq!(session["wanted"], false);
    eventually("it tries again", PATIENCE, || smsc.connections() >= 3);
    smsc.refuse_binds(0);
    let bound = it.noticed("Bound", 1).remove(0);
    assert_eq!(bound["session"]["changes"], 1);
    assert_eq!(it.noticed("Unbound", 1).len(), 1);
}

#[test]
fn an_smsc_that_throttles_is_told() {
    let smsc = FakeSmsc::start();
    smsc.script({
        let mut n = 0;
        move |_| {
            n += 1;
            if n <= 3 {
                Reply::Status(0x58)
            } else {
                Reply::Accept
            }
        }
    });
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send_numbered(0, 0..10);
    it.results(10);
    let throttled = it.noticed("Throttled", 1).remove(0);
    assert_eq!(
        (&throttled["esme"], &throttled["bind"]),
        (&json!("acme"), &json!("acme-0.0"))
    );
    let throttling = &throttled["throttling"];
    assert!(
        throttling["refused"].as_u64().is_some_and(|n| n >= 1),
        "{throttled:#}"
    );
    assert_eq!(throttling["command_status"], 0x58);
    assert_eq!(throttling["command_status_name"], "ESME_RTHROTTLED");
    assert!(
        throttling["rate"].as_f64().is_some_and(|rate| rate > 0.0),
        "{throttled:#}"
    );
    assert!(
        throttling["window"]
            .as_u64()
            .is_some_and(|window| window > 0)
    );
}

#[test]
fn a_takeover_says_from_whom_and_what_is_in_doubt() {
    let smsc = FakeSmsc::start();
    // Two without an answer are all that a session may have before it has shown more.
    smsc.script(|submit| match submit.text().as_str() {
        "m1" | "m3" => Reply::Silence,
        _ => Reply::Accept,
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["timers"]["response"] = json!("60s");
    let mut first = it.start();
    it.send_numbered(0, 0..4);
    smsc.wait_submits(4);
    it.results(2);
    let started = it.noticed("Started", 1).remove(0);
    first.signal(SIGKILL);
    first.wait(PATIENCE);
    smsc.script(|_| Reply::Accept);
    let _second = it.start();
    it.send(0, &[message("later")]);
    it.results(5);
    let taken = it.noticed("Takeover", 2).remove(1);
    let takeover = &taken["takeover"];
    assert_eq!(takeover["in_doubt"], 2, "{taken:#}");
    assert_eq!(takeover["from"], started["process"]);
    assert_ne!(taken["process"], started["process"]);
    assert_eq!(takeover["offset"], 1);
    assert!(takeover["took_ms"].as_u64().is_some());
}
