//! What happens to results that their topic does not take.

use std::time::Duration;

use serde_json::json;

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, eventually};

#[test]
fn a_topic_that_takes_no_result_holds_up_only_the_partitions_with_such() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 2);
    let narrow = it.topic("narrow");
    // Not even a short error fits.
    it.kafka.topic(&narrow, 1, &[("max.message.bytes", "200")]);
    it.config["topics"]["errors"] = json!(narrow);
    let mut connector = it.start();
    smsc.wait_bound(2);
    it.send(0, &[json!({ "log_id": "bad" }), message("behind")]);
    connector.wait_for_log("they stand still until it takes them", PATIENCE);
    it.send_numbered(1, 0..50);
    let responses = || it.kafka.records(&it.topic("responses")).len();
    eventually("the other partition goes on", PATIENCE, || {
        responses() == 50
    });
    // Longer than its leases last without a proof of membership.
    std::thread::sleep(Duration::from_secs(8));
    it.send_numbered(1, 50..60);
    eventually("and on", PATIENCE, || responses() == 60);
    assert_eq!(smsc.bound(), 2, "{}", connector.log());
    assert!(!smsc.texts().contains(&"behind".to_owned()));
    let producers = connector
        .log()
        .matches("transactional producer ready")
        .count();
    // Two for each trial: its records go singly, those of the others in batches.
    assert!(producers < 32, "{producers} producers: {}", connector.log());
    assert!(connector.ended().is_none());

    it.kafka.alter_topic(&narrow, "max.message.bytes", "100000");
    eventually("it is picked up again", PATIENCE, || responses() == 61);
    let errors = it.kafka.wait_records(&narrow, 1, PATIENCE);
    assert_eq!(errors[0].value["kind"], "INVALID_RECORD", "{errors:?}");
    assert_eq!(smsc.submits().len(), 61, "nothing was sent twice");
}

#[test]
fn a_result_topic_that_is_away_is_waited_for() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 2);
    let mut connector = it.start();
    smsc.wait_bound(2);
    it.send(0, &[json!({ "log_id": "before" })]);
    it.kafka.wait_records(&it.topic("errors"), 1, PATIENCE);
    let before = connector.log().lines().count();
    it.kafka.delete_topic(&it.topic("errors"));
    it.send(0, &[json!({ "log_id": "bad" })]);
    connector.wait_for_log("they stand still until it takes them", PATIENCE);
    connector.wait_for_log(
        &format!(
            "topic {} does not exist: kafka-smpp topics create makes it",
            it.topic("errors")
        ),
        PATIENCE,
    );
    it.send_numbered(1, 0..20);
    let responses = || it.kafka.records(&it.topic("responses")).len();
    eventually("the other partition goes on", PATIENCE, || {
        responses() == 20
    });
    let log = connector.log();
    let since = log.lines().skip(before);
    let grave = since.filter(|line| line.contains(" WARN ") || line.contains("ERROR "));
    assert!(grave.count() <= 5, "{log}");
    let said = |line: &&str| !line.contains("DEBUG");
    let mut said = log.lines().filter(said);
    assert!(!said.any(|line| line.contains("PurgeQueue")), "{log}");
    it.kafka.topic(&it.topic("errors"), 2, &[]);
    let errors = it.kafka.wait_records(&it.topic("errors"), 1, PATIENCE);
    assert_eq!(errors[0].value["log_id"], "bad", "{errors:?}");
}

#[test]
fn many_results_that_are_too_large_hold_up_only_their_partition() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 2);
    let responses = it.topic("responses");
    it.kafka
        .alter_topic(&responses, "max.message.bytes", "3000");
    let mut connector = it.start();
    smsc.wait_bound(2);
    let large = |n: usize| {
        let mut message = message(&format!("large{n}"));
        message["extra_data"] = json!("x".repeat(4000 + n));
        message
    };
    it.send(0, &(0..60).map(large).collect::<Vec<_>>());
    it.send_numbered(1, 0..200);
    let errors = it.kafka.wait_records(&it.topic("errors"), 60, PATIENCE);
    for error in &errors {
        assert_eq!(error.value["kind"], "EVENT_TOO_LARGE", "{error:?}");
    }
    eventually("the other partition goes on", PATIENCE, || {
        it.kafka.records(&responses).len() == 200
    });
    let refusals = connector
        .log()
        .matches("what can be said shorter is")
        .count();
    assert!((1..40).contains(&refusals), "{refusals} for 60 results");
    assert_eq!(smsc.submits().len(), 260, "nothing was sent twice");
    assert!(connector.ended().is_none());
}

#[test]
fn results_that_are_too_large_leave_those_beside_them_alone() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let responses = it.topic("responses");
    it.kafka
        .alter_topic(&responses, "max.message.bytes", "3000");
    let mut connector = it.start();
    smsc.wait_bound(1);
    // Every third is too large, in the same partition as the others.
    let value = |n: usize| {
        let octets = if n.is_multiple_of(3) { 5000 } else { 10 };
        let extra_data = json!({ "extra_data": "x".repeat(octets) });
        with(message(&format!("m{n}")), extra_data)
    };
    it.send(0, &(0..30).map(value).collect::<Vec<_>>());
    let results = it.results(30);
    for n in 0..30_usize {
        let result = &results[&format!("m{n}")];
        assert_eq!(result["command_status"], 0, "{result}");
        assert_eq!(result["record"]["offset"], n, "{result}");
        if n.is_multiple_of(3) {
            assert_eq!(result["kind"], "EVENT_TOO_LARGE", "{result}");
            let error = result["error"].as_str().unwrap_or_default();
            assert!(error.contains("message_id"), "{result}");
        } else {
            assert_eq!(result["type"], "SubmitSmResp", "{result}");
            assert_eq!(result["extra_data"], "x".repeat(10), "{result}");
        }
    }
    // The receipts find those whose result is short as well.
    for one in smsc.accepted() {
        smsc.receipt(&one.id);
    }
    let receipts = it.kafka.wait_records(&it.topic("receipts"), 30, PATIENCE);
    for receipt in &receipts {
        assert_eq!(receipt.value["correlated"], true, "{receipt:?}");
    }
    it.send_numbered(0, 30..40);
    assert_eq!(it.results(40).len(), 40, "the partition goes on");
    let log = connector.log();
    let refusals = log
        .lines()
        .filter(|line| line.contains("what can be said shorter is"));
    let refusals: Vec<&str> = refusals.collect();
    assert!((1..=10).contains(&refusals.len()), "{refusals:#?}");
    assert!(
        refusals.iter().all(|line| line.contains(&responses)),
        "{refusals:#?}"
    );
    // Who comes after a crash finds them finished.
    assert!(connector.ended().is_none());
    connector.kill9();
    let _next = it.start();
    it.send(0, &[message("last")]);
    assert_eq!(it.results(41).len(), 41);
    assert_eq!(smsc.submits().len(), 41, "nothing was sent twice");
}
