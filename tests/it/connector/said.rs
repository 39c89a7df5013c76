//! What an operator reads: each kind of trouble once, then as a count, never for each message.

use nix::sys::signal::Signal::SIGTERM;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE};
use crate::harness::{FakeSmsc, Reply};

/// What the lines with a text count in a field, and how many lines they are.
fn counted(log: &str, text: &str, field: &str) -> (usize, usize) {
    let field = format!(" {field}=");
    let count = |line: &str| -> usize {
        let (_, value) = line.split_once(&field).expect("the field");
        let digits = value.split(' ').next().unwrap_or_default();
        digits.parse().expect("a number")
    };
    let counts = log.lines().filter(|line| line.contains(text)).map(count);
    counts.fold((0, 0), |(sum, lines), count| (sum + count, lines + 1))
}

#[test]
fn what_happens_is_said_once_and_then_as_a_count() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["timers"]["response"] = json!("60s");
    it.esme()["slow_start"] = json!(20);
    it.config["log"]["level"] = json!("info");
    let mut connector = it.start();
    smsc.wait_bound(1);
    let strangers = 20;
    for n in 0..strangers {
        assert_eq!(smsc.receipt(&format!("STRANGE{n}")), 0);
    }

    smsc.script(|_| Reply::Silence);
    it.send_numbered(0, 0..20);
    smsc.wait_submits(5);
    smsc.script(|_| Reply::Accept);
    smsc.drop_connections();
    it.results(20);
    let throttled = 6;
    smsc.script({
        let mut n = 0;
        move |_| {
            n += 1;
            if n <= throttled {
                Reply::Status(0x58)
            } else {
                Reply::Accept
            }
        }
    });
    it.send_numbered(0, 20..40);
    let results = it.results(40);
    let in_doubt = results.values().filter(|r| r["kind"] == "OUTCOME_UNKNOWN");
    let in_doubt = in_doubt.count();
    assert!(in_doubt >= 5, "{in_doubt}");
    it.receipts(strangers);
    connector.signal(SIGTERM);
    assert_eq!(connector.wait(PATIENCE).code(), Some(0));

    let log = connector.log();
    for (text, field, count, also) in [
        (
            "the SMSC says that messages come too fast",
            "refused",
            throttled,
            &[
                "status=ESME_RTHROTTLED",
                " window=",
                " rate=",
                "set `max_tps`",
            ][..],
        ),
        (
            "messages are in doubt, the SMSC may have taken them",
            "in_doubt",
            in_doubt,
            &[
                "bind=\"acme-0.0\"",
                "the session was lost",
                "submit.in_doubt",
            ],
        ),
        (
            "receipts find no message",
            "receipts",
            strangers,
            &["receipt_id=\"STRANGE", "[esme.message_id]"],
        ),
    ] {
        let (sum, lines) = counted(&log, text, field);
        assert_eq!(sum, count, "{text}\n{log}");
        assert!(lines <= 4, "{lines} lines: {text}\n{log}");
        for also in also {
            let first = log.lines().find(|line| line.contains(text));
            assert!(
                first.is_some_and(|line| line.contains(also)),
                "{also}\n{log}"
            );
        }
    }
}

#[test]
fn the_flight_recorder_says_what_went_before_a_lost_session() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["log"] = json!({ "level": "info", "format": "json", "flight_recorder": 100 });
    let mut connector = it.start();
    smsc.wait_bound(1);
    it.send_numbered(0, 0..3);
    it.results(3);
    assert!(!connector.log().contains("recorded_at"), "nothing happened");
    smsc.drop_connections();
    connector.wait_for_log("\"generation\":2", PATIENCE);
    connector.signal(SIGTERM);
    assert_eq!(connector.wait(PATIENCE).code(), Some(0));

    let log = connector.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines: Vec<Value> = lines.collect();
    let text = |line: &Value| line["message"].as_str().unwrap_or_default().to_owned();
    let lost = (lines.iter()).position(|line| text(line).starts_with("session ended after"));
    let lost = lost.expect("it was lost");
    let (before, after) = lines.split_at(lost + 1);
    assert_eq!(before[lost]["bind"], "acme-0.0");
    let is_recorded = |line: &&Value| !line["recorded_at"].is_null();
    assert_eq!(before.iter().filter(is_recorded).count(), 0, "{log}");
    let recorded: Vec<String> = after.iter().filter(is_recorded).map(text).collect();
    let begins = [
        "recorded before that: sent command=bind_transceiver status=ESME_ROK sequence=1 ",
        "recorded before that: received command=bind_transceiver_resp status=ESME_ROK sequence=1 ",
        "recorded before that: sent command=submit_sm status=ESME_ROK sequence=1 ",
    ];
    for begin in begins {
        let count = recorded
            .iter()
            .filter(|text| text.starts_with(begin))
            .count();
        assert_eq!(count, 1, "{begin}\n{recorded:#?}");
    }
    let answers = "recorded before that: received command=submit_sm_resp ";
    let answers = recorded.iter().filter(|text| text.starts_with(answers));
    assert_eq!(answers.count(), 3, "{recorded:#?}");
    assert!(!log.contains("41791234567"), "no numbers: {log}");
}

#[test]
fn an_smsc_that_answers_no_message_is_named_and_the_next_host_serves() {
    let (deaf, next) = (FakeSmsc::start(), FakeSmsc::start());
    deaf.script(|_| Reply::Silence);
    let mut it = Deployment::new(deaf.port(), 1);
    let hosts = [deaf.port(), next.port()].map(|port| format!("127.0.0.1:{port}"));
    it.esme()["hosts"] = json!(hosts);
    it.esme()["timers"]["response"] = json!("1s");
    it.config["log"]["level"] = json!("info");
    let connector = it.start();
    let all = 100;
    it.send_numbered(0, 0..all);
    let results = it.results(all);
    let log = connector.log();
    let in_doubt = results.values().filter(|r| r["kind"] == "OUTCOME_UNKNOWN");
    assert_eq!(in_doubt.count(), deaf.submitted(), "{log}");
    assert!((1..=20).contains(&deaf.submitted()), "{}", deaf.submitted());
    assert_eq!(next.submitted(), all - deaf.submitted());
    let text = "the SMSC answers no message: none was answered for";
    let said: Vec<&str> = log.lines().filter(|line| line.contains(text)).collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(
        said[0].contains(" WARN ") && said[0].contains("ask its operator"),
        "{}",
        said[0]
    );
}
