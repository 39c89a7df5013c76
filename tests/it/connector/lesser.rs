//! Brokers that speak Kafka's protocol and cannot do all that a connector needs.

use serde_json::json;

use super::{Deployment, PATIENCE};
use crate::harness::{Broker, FakeSmsc, Lacks, LesserKafka, command, has_kip_848};

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

/// Some do not name it, Kafka 3.7 to 3.9 name an early form, and it may be turned off.
#[test]
fn brokers_without_the_group_protocol_of_kip_848_are_named_as_that() {
    let nameless = LesserKafka::start();
    nameless.set(Lacks::GroupProtocol);
    let refusing = Broker::start_with("group.coordinator.rebalance.protocols=classic\n");
    let names_it = |kafka| {
        let smsc = FakeSmsc::start();
        let mut it = Deployment::on(kafka, smsc.port(), 1);
        it.config["kafka"]["group_protocol"] = json!("consumer");
        it.config["log"]["level"] = json!("info");
        it.send_numbered(0, 0..1);
        let (said, code) = check(&it);
        assert_eq!(code, Some(69), "{said}");
        assert_eq!(said.matches("\u{2713} ").count(), 7, "{said}");
        assert!(said.contains("\u{2717} a group is joined"), "{said}");
        assert_eq!(said.matches("error[KS-3020]").count(), 1, "{said}");
        assert!(
            said.contains("set kafka.group_protocol = \"classic\""),
            "{said}"
        );

        let mut connector = it.start();
        assert_eq!(connector.wait(PATIENCE).code(), Some(69));
        let log = connector.log();
        assert!(log.contains("KS-3020"), "{log}");
        assert!(
            log.contains("set kafka.group_protocol = \"classic\""),
            "{log}"
        );
        assert_eq!(smsc.submitted(), 0);

        it.config["kafka"]["group_protocol"] = json!("classic");
        let _connector = it.start();
        assert_eq!(it.results(1).len(), 1);
    };
    std::thread::scope(|scope| {
        for kafka in [nameless.kafka(), refusing.kafka()] {
            scope.spawn(|| names_it(kafka));
        }
    });
}

/// And leaves nothing behind that the next one stumbles over.
#[test]
fn a_group_of_the_protocol_of_kip_848_is_joined_and_left() {
    if !has_kip_848() {
        return;
    }
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["kafka"]["group_protocol"] = json!("consumer");
    it.config["kafka"]["instance_id"] = json!("pod-0");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let (said, code) = check(&it);
                assert_eq!(code, Some(0), "{said}");
            });
        }
    });
    for protocol in ["consumer", "consumer", "classic", "consumer"] {
        it.config["kafka"]["group_protocol"] = json!(protocol);
        let (said, code) = check(&it);
        assert_eq!(code, Some(0), "{protocol}: {said}");
        let steps = if protocol == "consumer" { 8 } else { 7 };
        assert_eq!(said.matches("\u{2713} ").count(), steps, "{said}");
    }
}
