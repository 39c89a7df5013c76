//! `offsets rebuild` on what a restored backup looks like: results and records stand where they
//! stood, and no committed offset is there. A cluster to which topics were mirrored is in
//! `audit::another_cluster`.

use std::collections::HashMap;

use nix::sys::signal::Signal::SIGTERM;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message};
use crate::harness::{FakeSmsc, Reply, command, eventually};

/// Runs `offsets rebuild`: its exit code, and what it said.
pub fn rebuild(it: &Deployment, args: &[&str]) -> (Option<i32>, String) {
    let done = command(&it.toml(), &[&["offsets", "rebuild"], args].concat());
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    (done.status.code(), said)
}

#[test]
fn a_deployment_without_its_offsets_goes_on_from_its_results() {
    let smsc = FakeSmsc::start();
    // Some are never answered: they are out when the process is killed.
    smsc.script(|submit| match submit.text().ends_with('7') {
        true => Reply::Silence,
        false => Reply::Accept,
    });
    let mut it = Deployment::new(smsc.port(), 2);
    it.esme()["timers"]["response"] = json!("60s");
    it.config["submit"]["in_doubt"] = json!("resend");
    let mut first = it.start();
    it.send_numbered(0, 0..30);
    // These have no log id of their own.
    let nameless = |n: usize| {
        let mut value = message(&format!("n{n}"));
        value.as_object_mut().unwrap().remove("log_id");
        value
    };
    it.send(1, &(0..10).map(nameless).collect::<Vec<Value>>());
    smsc.wait_submits(40);
    it.results(36);
    first.kill9();
    smsc.script(|_| Reply::Accept);
    // The groups of this name have no offsets.
    let others = it.name.clone() + "-restored";
    it.config["kafka"]["application_id"] = json!(others);

    let (code, said) = rebuild(&it, &[]);
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("KS-1035") && said.contains("--same-offsets"),
        "{said}"
    );
    let (code, said) = rebuild(&it, &["--same-offsets"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing was written"), "{said}");
    let (code, said) = rebuild(&it, &["--same-offsets", "--yes", "--memory", "1KiB"]);
    assert_eq!(code, Some(0), "{said}");

    let second = it.start();
    // What was written meanwhile is new.
    it.send_numbered(0, 30..31);
    let results = it.results(41);
    let mut times: HashMap<String, usize> = HashMap::new();
    for text in smsc.texts() {
        *times.entry(text).or_default() += 1;
    }
    for (log_id, result) in &results {
        let text = match log_id.rsplit_once("outbound-1-") {
            Some((_, offset)) => format!("n{offset}"),
            None => log_id.clone(),
        };
        let again = text.ends_with('7');
        assert_eq!(times[&text], 1 + usize::from(again), "{text}: {result:#}");
        assert_eq!(result["possible_duplicate"] == true, again, "{result:#}");
    }
    // A connector that works here knows better.
    let (code, said) = rebuild(&it, &[]);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("KS-1033"), "{said}");
    let (code, said) = rebuild(&it, &["--anew"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("KS-1032"), "{said}");
    let mut second = second;
    second.signal(SIGTERM);
    second.wait(PATIENCE);
    eventually("the group has no members", PATIENCE, || {
        rebuild(&it, &["--anew", "--same-offsets"]).0 == Some(0)
    });
}

/// How much further on records stood on the first cluster.
const FURTHER: usize = 7;

/// Records and results as they are mirrored: the first partition of outbound has `records`, of which
/// `done` says which have a result. Every tenth has no log id.
pub fn mirrored(it: &Deployment, records: usize, done: impl Fn(usize) -> bool) {
    let nameless = |n: usize| n % 10 == 5;
    let record = |n: usize| {
        let mut value = message(&format!("m{n}"));
        if nameless(n) {
            value.as_object_mut().unwrap().remove("log_id");
        }
        value["destination"] = json!(format!("4179{n:08}"));
        value
    };
    it.send(0, &(0..records).map(record).collect::<Vec<Value>>());
    let topic = it.topic("outbound");
    let result = |n: usize| {
        let offset = n + FURTHER;
        let log_id = match nameless(n) {
            true => format!("{topic}-0-{offset}"),
            false => format!("m{n}"),
        };
        json!({
            "type": "SubmitSmResp", "log_id": log_id, "terminal": true, "accepted": true,
            "record": { "topic": topic, "partition": 0, "offset": offset },
            "responded_at": jiff::Timestamp::now().to_string(),
        })
    };
    let results: Vec<Value> = (0..records).filter(|n| done(*n)).map(result).collect();
    for (partition, results) in (0..).zip(results.chunks(results.len().div_ceil(2))) {
        (it.kafka).produce_json(&it.topic("responses"), partition, results);
    }
}

#[test]
fn records_find_their_results_though_they_stand_elsewhere() {
    let it = Deployment::new(1, 1);
    // Of those without a log id, 35 has no result.
    mirrored(&it, 50, |n| n < 40 && ![11, 35].contains(&n));
    let (code, said) = rebuild(&it, &[]);
    assert_eq!(code, Some(0), "{said}");
    let row = format!("{}-0\t50\t38\t12\t12\t0\t0\t0\t11\n", it.topic("outbound"));
    assert!(said.contains(&row), "{said}");
    let (code, said) = rebuild(&it, &["--same-offsets"]);
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("KS-1034") && said.contains("stood at"),
        "{said}"
    );
}

/// More than the metadata has room for: half a minute, so by command.
///
/// ```text
/// cargo test --test it -- --ignored --nocapture has_no_room
/// ```
#[test]
#[ignore = "half a minute: the command is above"]
fn what_the_metadata_has_no_room_for_is_sent_from_the_end() {
    const RECORDS: usize = 40_000;
    let open = |n: usize| n.is_multiple_of(3);
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["in_doubt"] = json!("resend");
    mirrored(&it, RECORDS, |n| !open(n));
    let (code, said) = rebuild(&it, &["--yes", "--doubt-unmatched"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" put back"), "{said}");
    let _connector = it.start();
    let results = it.results(RECORDS);
    assert_eq!(results.len(), RECORDS);
    let flagged = results.values().filter(|r| r["possible_duplicate"] == true);
    let count = (0..RECORDS).filter(|n| open(*n)).count();
    assert_eq!(flagged.count(), count);
    let mut sent: Vec<usize> = smsc
        .submits()
        .iter()
        .map(|s| s.destination[4..].parse().unwrap())
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, (0..RECORDS).filter(|n| open(*n)).collect::<Vec<_>>());
}
