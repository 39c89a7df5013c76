//! Long messages: parts, their answers and receipts, and one result.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, Reply, Submit, eventually};

/// 400 characters: three parts of 153, 153 and 94.
fn long(log_id: &str) -> Value {
    let text: String = ('a'..='z').cycle().take(400).collect();
    with(message(log_id), json!({ "short_message": text }))
}

/// The number of a part by its user data header; 0 of a message that is whole.
fn number(submit: &Submit) -> u8 {
    match submit.esm_class & 0x40 {
        0 => 0,
        _ => submit.octets[5],
    }
}

fn numbers(smsc: &FakeSmsc) -> Vec<u8> {
    smsc.submits().iter().map(number).collect()
}

fn outcomes(result: &Value) -> Vec<&str> {
    let parts = result["parts"].as_array().expect("parts");
    let outcomes = parts.iter().map(|p| p["outcome"].as_str());
    outcomes.map(|o| o.expect("an outcome")).collect()
}

/// Accepts each part as `P1`, `P2`, ..., but part 2 as `second` says, which counts from 0.
fn accept_but_second(smsc: &FakeSmsc, second: impl Fn(usize) -> Reply + Send + 'static) {
    let mut seen = 0;
    smsc.script(move |submit| match number(submit) {
        2 => {
            seen += 1;
            second(seen - 1)
        }
        n => Reply::As(format!("P{n}")),
    });
}

#[test]
fn a_long_message_has_one_result_and_all_its_receipts_correlate() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send(0, &[long("long"), message("short")]);
    let results = it.results(2);
    let result = &results["long"];
    assert_eq!(
        (&result["accepted"], &result["message_id"]),
        (&json!(true), &json!("M1"))
    );
    assert_eq!(
        result["parts"],
        json!([1, 2, 3].map(|n| json!({
            "part": n, "outcome": "accepted", "message_id": format!("M{n}"),
            "command_status": 0, "command_status_name": "ESME_ROK",
        })))
    );
    assert!(results["short"].get("parts").is_none());
    let submits = smsc.submits();
    assert_eq!(submits.iter().map(number).collect::<Vec<_>>(), [1, 2, 3, 0]);
    assert!(
        submits[..3]
            .iter()
            .all(|s| s.octets[..5] == submits[0].octets[..5])
    );
    let text: Vec<u8> = submits[..3]
        .iter()
        .flat_map(|s| s.octets[6..].to_vec())
        .collect();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        long("")["short_message"].as_str().unwrap()
    );
    for id in ["M3", "M1", "M2"] {
        assert_eq!(smsc.receipt(id), 0);
    }
    let receipts = it.receipts(3);
    assert!(
        receipts
            .iter()
            .all(|r| r["log_id"] == "long" && r["correlated"] == true)
    );
    it.exactly_one_each();
}

#[test]
fn a_throttled_part_alone_goes_again() {
    let smsc = FakeSmsc::start();
    accept_but_second(&smsc, |seen| match seen {
        0 => Reply::Status(0x58),
        _ => Reply::As("P2".into()),
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["slow_start"] = json!(3);
    let _connector = it.start();
    it.send(0, &[long("long")]);
    let result = &it.results(1)["long"];
    assert_eq!(
        (&result["accepted"], &result["attempt"]),
        (&json!(true), &json!(1)),
        "what is too fast is no attempt"
    );
    assert_eq!(outcomes(result), ["accepted"; 3]);
    assert_eq!(numbers(&smsc), [1, 2, 3, 2]);
}

#[test]
fn a_rejected_part_rejects_the_message_and_says_which_parts_were_taken() {
    let smsc = FakeSmsc::start();
    accept_but_second(&smsc, |_| Reply::Status(0x0B));
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["window"] = json!(1);
    let _connector = it.start();
    it.send(0, &[long("long"), message("next")]);
    let results = it.results(2);
    let result = &results["long"];
    assert_eq!(result["accepted"], false);
    assert_eq!(result["command_status_name"], "ESME_RINVDSTADR");
    assert_eq!(outcomes(result), ["accepted", "rejected", "not_sent"]);
    assert_eq!(result["parts"][0]["message_id"], "P1");
    assert_eq!(
        numbers(&smsc),
        [1, 2, 0],
        "the third would be paid for in vain"
    );
    assert_eq!(smsc.receipt("P1"), 0);
    assert_eq!(
        it.receipts(1)[0]["log_id"],
        "long",
        "what was taken is delivered"
    );
}

#[test]
fn a_record_put_back_onto_its_topic_remembers_the_parts_taken() {
    let smsc = FakeSmsc::start();
    accept_but_second(&smsc, |seen| match seen {
        0 => Reply::Status(0x08),
        _ => Reply::As("P2".into()),
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["max_hold"] = json!("0s");
    it.esme()["slow_start"] = json!(3);
    let _connector = it.start();
    it.send(0, &[long("long")]);
    let result = &it.results(1)["long"];
    assert_eq!(outcomes(result), ["accepted"; 3]);
    assert_eq!(result["record"]["offset"], 0, "where it stood first");
    assert_eq!(numbers(&smsc), [1, 2, 3, 2]);
    for id in ["P1", "P2", "P3"] {
        assert_eq!(smsc.receipt(id), 0);
    }
    assert!(it.receipts(3).iter().all(|r| r["correlated"] == true));
}

#[test]
fn a_part_without_answer_alone_is_resent_and_its_late_answer_is_told() {
    let smsc = FakeSmsc::start();
    accept_but_second(&smsc, |seen| match seen {
        0 => Reply::Silence,
        _ => Reply::As("AGAIN".into()),
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["in_doubt"] = json!("resend");
    it.esme()["timers"]["response"] = json!("1s");
    let _connector = it.start();
    it.send(0, &[long("long")]);
    let result = &it.results(1)["long"];
    assert_eq!(
        (&result["accepted"], &result["possible_duplicate"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(result["parts"][1]["message_id"], "AGAIN");
    assert_eq!(numbers(&smsc), [1, 2, 3, 2]);
    smsc.answer(&smsc.submits()[1], "LATE");
    let late = |e: &Value| e["late"] == true && e["part"] == 2 && e["message_id"] == "LATE";
    eventually("the late answer is told", PATIENCE, || {
        it.events().iter().any(late)
    });
    smsc.receipt("LATE");
    assert_eq!(it.receipts(1)[0]["log_id"], "long");
    it.exactly_one_each();
}

#[test]
fn a_connection_lost_between_parts_costs_none_twice() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["window"] = json!(1);
    it.esme()["max_tps"] = json!(2.0);
    let _connector = it.start();
    it.send(0, &[long("long")]);
    smsc.wait_submits(1);
    std::thread::sleep(Duration::from_millis(200));
    smsc.drop_connections();
    let result = &it.results(1)["long"];
    assert_eq!(outcomes(result), ["accepted"; 3]);
    assert!(result.get("possible_duplicate").is_none());
    assert_eq!(numbers(&smsc), [1, 2, 3]);
}

/// Kills the process while the second part of `long` has no answer, and starts another.
fn killed_in_the_middle(in_doubt: &str) -> (FakeSmsc, Deployment, crate::harness::Connector) {
    let smsc = FakeSmsc::start();
    accept_but_second(&smsc, |_| Reply::Silence);
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["in_doubt"] = json!(in_doubt);
    it.esme()["timers"]["response"] = json!("60s");
    let mut connector = it.start();
    it.send(0, &[long("long")]);
    smsc.wait_submits(3);
    // The parts that were taken are remembered without waiting for the result.
    let remembered = || it.kafka.records(&it.topic("correlation"));
    let part = |key: &str| key.contains("/P1/") || key.contains("/P3/");
    eventually("two parts are remembered", PATIENCE, || {
        let keys = remembered().into_iter().filter_map(|r| r.key);
        keys.filter(|key| part(key)).count() == 2
    });
    assert!(it.events().is_empty(), "there is no result yet");
    connector.kill9();
    smsc.script(|submit| Reply::As(format!("Q{}", number(submit))));
    let successor = it.start();
    (smsc, it, successor)
}

#[test]
fn after_kill_9_in_the_middle_all_parts_are_resent_under_the_same_reference() {
    let (smsc, it, _successor) = killed_in_the_middle("resend");
    let result = &it.results(1)["long"];
    assert_eq!(
        (&result["accepted"], &result["possible_duplicate"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(result["message_id"], "Q1");
    assert_eq!(numbers(&smsc), [1, 2, 3, 1, 2, 3]);
    let references: HashMap<u8, usize> =
        smsc.submits().iter().fold(HashMap::new(), |mut all, s| {
            *all.entry(s.octets[3]).or_default() += 1;
            all
        });
    assert_eq!(references.len(), 1, "the phone completes what it has");
    for id in ["P1", "P3", "Q1", "Q2", "Q3"] {
        assert_eq!(smsc.receipt(id), 0);
    }
    let receipts = it.receipts(5);
    assert!(
        receipts
            .iter()
            .all(|r| r["log_id"] == "long" && r["correlated"] == true)
    );
}

#[test]
fn after_kill_9_in_the_middle_the_message_is_reported() {
    let (smsc, it, _successor) = killed_in_the_middle("report");
    let result = &it.results(1)["long"];
    assert_eq!(result["kind"], "OUTCOME_UNKNOWN");
    assert_eq!(outcomes(result), ["unknown"; 3]);
    assert_eq!(numbers(&smsc), [1, 2, 3]);
}
