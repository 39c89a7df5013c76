//! What may have been sent is known, never guessed: crashes, lost connections, silence.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, Reply, command, eventually};

/// Answers messages whose number is even, and says nothing to the others.
fn answers_even(smsc: &FakeSmsc) {
    smsc.script(|submit| match submit.text()[1..].parse::<u32>() {
        Ok(n) if n % 2 == 1 => Reply::Silence,
        _ => Reply::Accept,
    });
}

#[test]
fn after_kill_9_unanswered_messages_are_reported_and_no_others() {
    let smsc = FakeSmsc::start();
    answers_even(&smsc);
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["timers"]["response"] = json!("60s");
    // All are out before the first answer: who is slow to answer gets fewer at once.
    it.esme()["slow_start"] = json!(20);
    let mut connector = it.start();
    it.send_numbered(0, 0..20);
    smsc.wait_submits(20);
    it.results(10);
    connector.kill9();
    smsc.script(|_| Reply::Accept);
    let _successor = it.start();
    it.send_numbered(0, 20..30);
    let results = it.results(30);
    for n in 0..30 {
        let result = &results[&format!("m{n}")];
        match n % 2 == 1 && n < 20 {
            true => assert_eq!(result["kind"], "OUTCOME_UNKNOWN", "m{n}"),
            false => assert_eq!(result["accepted"], true, "m{n}"),
        }
    }
    assert_eq!(smsc.submits().len(), 30, "nothing was sent twice");
}

#[test]
fn after_kill_9_unanswered_messages_are_resent_and_flagged() {
    let smsc = FakeSmsc::start();
    answers_even(&smsc);
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["in_doubt"] = json!("resend");
    it.esme()["timers"]["response"] = json!("60s");
    it.esme()["slow_start"] = json!(21);
    let mut connector = it.start();
    it.send_numbered(0, 0..20);
    it.send(0, &[with(message("m21"), json!({ "in_doubt": "report" }))]);
    smsc.wait_submits(21);
    it.results(10);
    connector.kill9();
    smsc.script(|_| Reply::Accept);
    let _successor = it.start();
    let results = it.results(21);
    assert_eq!(
        results["m21"]["kind"], "OUTCOME_UNKNOWN",
        "as the message itself says"
    );
    for n in 0..20 {
        let result = &results[&format!("m{n}")];
        assert_eq!(result["accepted"], true, "m{n}");
        assert_eq!(
            result["possible_duplicate"] == true,
            n % 2 == 1,
            "m{n}: {result}"
        );
    }
    let mut sent: HashMap<String, usize> = HashMap::new();
    for text in smsc.texts() {
        *sent.entry(text).or_default() += 1;
    }
    assert!(
        (0..20).all(|n| sent[&format!("m{n}")] == 1 + n % 2),
        "{sent:?}"
    );
}

#[test]
fn a_message_is_resent_no_more_often_than_allowed() {
    let smsc = FakeSmsc::start();
    smsc.script(|submit| {
        if submit.text() == "poison" {
            Reply::Drop
        } else {
            Reply::Accept
        }
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["submit"]["in_doubt"] = json!("resend");
    it.config["submit"]["max_resends"] = json!(2);
    let _connector = it.start();
    it.send(0, &[message("poison"), message("good")]);
    let results = it.results(2);
    assert_eq!(results["poison"]["kind"], "OUTCOME_UNKNOWN");
    assert_eq!(results["good"]["accepted"], true);
    let poison = smsc.texts().iter().filter(|t| *t == "poison").count();
    assert_eq!(poison, 3, "once, and two resends");
}

#[test]
fn a_lost_connection_splits_what_was_sent_from_what_was_not() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["window"] = json!(5);
    it.esme()["timers"]["response"] = json!("60s");
    let _connector = it.start();
    it.send_numbered(0, 0..50);
    smsc.wait_submits(2);
    smsc.script(|_| Reply::Accept);
    smsc.drop_connections();
    let results = it.results(50);
    let unknown = results
        .values()
        .filter(|r| r["kind"] == "OUTCOME_UNKNOWN")
        .count();
    assert_eq!(unknown, 2, "no more goes out before anything is answered");
    assert_eq!(smsc.submits().len(), 50, "each was sent once");
}

#[test]
fn a_late_response_is_published_and_its_receipt_finds_home() {
    let smsc = FakeSmsc::start();
    smsc.script(|submit| {
        if submit.text() == "slow" {
            Reply::Silence
        } else {
            Reply::Accept
        }
    });
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send(0, &[message("slow"), message("good")]);
    let results = it.results(2);
    assert_eq!(results["slow"]["kind"], "OUTCOME_UNKNOWN");
    let slow = smsc
        .submits()
        .into_iter()
        .find(|s| s.text() == "slow")
        .unwrap();
    smsc.answer(&slow, "LATE");
    let late = |e: &Value| e["log_id"] == "slow" && e["late"] == true && e["terminal"] == false;
    eventually("the late response is published", PATIENCE, || {
        it.events().iter().any(late)
    });
    smsc.receipt("LATE");
    let receipt = &it.receipts(1)[0];
    assert_eq!(
        (&receipt["log_id"], &receipt["correlated"]),
        (&json!("slow"), &json!(true))
    );
    it.exactly_one_each();
}

#[test]
fn a_process_frozen_beyond_its_session_and_woken_doubles_nothing() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Accept);
    let it = Deployment::new(smsc.port(), 2);
    let frozen = it.start();
    smsc.wait_bound(2);
    it.send_numbered(0, 0..200);
    it.send_numbered(1, 200..400);
    smsc.wait_submits(20);
    frozen.freeze();
    let _other = it.start();
    it.send_numbered(0, 400..450);
    std::thread::sleep(Duration::from_secs(12));
    frozen.thaw();
    it.send_numbered(1, 450..500);
    let results = it.results_within(500, Duration::from_secs(60));
    assert_eq!(results.len(), 500);
    let accepted = |r: &Value| r["accepted"] == true;
    for text in smsc.texts() {
        let times = smsc.texts().iter().filter(|t| **t == text).count();
        assert!(
            times == 1,
            "{text} was sent {times} times, its result is {}",
            results[&text]
        );
    }
    assert!(
        results
            .values()
            .all(|r| accepted(r) || r["kind"] == "OUTCOME_UNKNOWN")
    );
}

/// What the SMSC has of it is not known, and it cannot be asked again: that is all there is to say.
#[test]
fn a_message_in_doubt_that_is_refused_when_it_is_read_again_is_not_said_to_be_unsent() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["timers"]["response"] = json!("60s");
    it.esme()["slow_start"] = json!(5);
    it.config["submit"]["in_doubt"] = json!("resend");
    let mut connector = it.start();
    smsc.wait_bound(1);
    let at = jiff::Timestamp::now() + Duration::from_secs(5);
    let long = "three parts ".repeat(30);
    it.send(
        0,
        &[
            with(message("otp"), json!({ "expires_at": at.to_string() })),
            with(message("long"), json!({ "short_message": long })),
            message("plain"),
        ],
    );
    smsc.wait_submits(5);
    connector.kill9();
    // While nobody serves it, its time ends, and somebody allows fewer parts.
    it.esme()["segmentation"] = json!({ "max_parts": 2 });
    let left = at.duration_since(jiff::Timestamp::now());
    std::thread::sleep(Duration::try_from(left).unwrap_or_default());
    smsc.script(|_| Reply::Accept);
    let _successor = it.start();
    it.send(
        0,
        &[
            with(message("late"), json!({ "expires_at": at.to_string() })),
            with(message("longer"), json!({ "short_message": long })),
        ],
    );
    let results = it.results(5);
    for (log_id, reason) in [("otp", "EXPIRED: expires_at"), ("long", "INVALID_RECORD")] {
        let result = &results[log_id];
        assert_eq!(result["kind"], "OUTCOME_UNKNOWN", "{result:#}");
        assert_eq!(result["attempt"], 1, "{result:#}");
        let error = result["error"].as_str().expect("a text");
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(results["plain"]["accepted"], true);
    assert_eq!(results["plain"]["possible_duplicate"], true);
    for (log_id, kind) in [("late", "EXPIRED"), ("longer", "INVALID_RECORD")] {
        let result = &results[log_id];
        assert_eq!(result["kind"], kind, "it was never sent: {result:#}");
        assert_eq!(result["attempt"], 0);
        assert_eq!(result.get("possible_duplicate"), None);
    }

    // What was sent goes again only if somebody says so.
    let said = command(&it.toml(), &["replay"]).stdout;
    let said = String::from_utf8_lossy(&said);
    let fate = |log_id: &str| {
        let line = said
            .lines()
            .find(|l| l.split_whitespace().any(|w| w == log_id));
        line.unwrap_or_else(|| panic!("{log_id}: {said}"))
            .to_owned()
    };
    for log_id in ["otp", "long"] {
        assert!(fate(log_id).contains("may have been sent"), "{said}");
    }
    for log_id in ["late", "longer"] {
        assert!(fate(log_id).contains("would be sent"), "{said}");
    }
}
