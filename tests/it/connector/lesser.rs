//! Brokers that speak Kafka's protocol and cannot do all that a connector needs.

use serde_json::json;

use super::{Deployment, PATIENCE};
use crate::harness::{FakeSmsc, Lacks, LesserKafka, command};

/// What `check --connect` says, and its exit code.
fn check(it: &Deployment) -> (String, Option<i32>) {
    let output = command(&it.toml(), &["check", "--connect"]);
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.code(),
    )
}

#[test]
fn brokers_that_cannot_do_what_is_needed_are_told_apart_and_nothing_is_sent_through_them() {
    let (kafka, smsc) = (LesserKafka::start(), FakeSmsc::start());
    let mut it = Deployment::on(kafka.kafka(), smsc.port(), 1);
    it.config["log"]["level"] = json!("info");
    let (said, code) = check(&it);
    assert_eq!(
        (code, said.matches("\u{2713} ").count()),
        (Some(0), 7),
        "{said}"
    );

    let cases = [
        (
            Lacks::Coordinator,
            "a transactional id is initialised",
            "do no transactions",
            6,
        ),
        (
            Lacks::InitProducerId,
            "a transactional id is initialised",
            "do no transactions",
            6,
        ),
        (
            Lacks::Abort,
            "the committed record is read",
            "give back a record that was aborted",
            2,
        ),
        (
            Lacks::Fencing,
            "a second producer fences",
            "let a producer go on",
            1,
        ),
    ];
    for (lacks, step, why, left) in cases {
        kafka.set(lacks);
        let (said, code) = check(&it);
        assert_eq!(code, Some(69), "{lacks:?}: {said}");
        let failed = said.lines().find(|line| line.starts_with('\u{2717}'));
        let failed = failed.expect("a step that failed");
        assert!(
            failed.contains(step) && failed.contains(why),
            "{lacks:?}: {said}"
        );
        assert_eq!(
            said.matches("\u{2713} ").count(),
            7 - left,
            "{lacks:?}: {said}"
        );
        assert_eq!(
            said.matches("error[KS-3019]").count(),
            1,
            "{lacks:?}: {said}"
        );
        assert!(said.contains("docs/kafka.md"), "{lacks:?}: {said}");
    }

    it.send_numbered(0, 0..3);
    for lacks in [Lacks::Coordinator, Lacks::InitProducerId] {
        kafka.set(lacks);
        let mut connector = it.start();
        assert_eq!(connector.wait(PATIENCE).code(), Some(69), "{lacks:?}");
        let log = connector.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("do no transactions"));
        assert_eq!(lines.count(), 1, "{lacks:?}: {log}");
    }
    assert_eq!(smsc.submitted(), 0);
    kafka.set(Lacks::Nothing);
    let _connector = it.start();
    it.results(3);
    assert_eq!(smsc.submitted(), 3);
}
