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
