//! Records that ended as errors are put back: once each, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::process::Output;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{FakeSmsc, Record, Reply, Send, command, started};

impl Deployment {
    fn replay(&self, args: &[&str]) -> Output {
        command(&self.toml(), &[&["replay"], args].concat())
    }

    /// Runs it; what it says in the end.
    fn replayed(&self, args: &[&str]) -> String {
        let done = self.replay(args);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(0), "{said}");
        said.trim().to_owned()
    }

    /// Appends the error of a record of the outbound topic.
    fn fail(&self, errors: &[Value]) {
        self.kafka.produce_json(&self.topic("errors"), 1, errors);
    }

    /// The error of the record at `offset`, message `m<offset>`.
    fn error(&self, offset: usize, kind: &str) -> Value {
        json!({
            "type": "SendError", "log_id": format!("m{offset}"), "terminal": true, "attempt": 2,
            "record": { "topic": self.topic("outbound"), "partition": 0, "offset": offset },
            "esme": "acme", "kind": kind, "error": "why", "at": Timestamp::now().to_string(),
        })
    }

    /// How often the record of each error was put back.
    fn put_back(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for record in self.kafka.records(&self.topic("outbound")) {
            if let Some(of) = record.header("kafka-smpp-replay-of") {
                *times.entry(of.to_owned()).or_default() += 1;
            }
        }
        times
    }
}

#[test]
fn what_could_not_be_read_is_put_back_once_as_it_was() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["formats"] = json!({ "outbound": "avro_single_object" });
    let mut connector = it.start();
    let (named, nameless) = (
        message("named").to_string(),
        with(message("x"), json!({"log_id": null})),
    );
    let nameless = nameless.to_string();
    let records = [
        Send {
            partition: Some(0),
            key: Some("k"),
            value: Some(named.as_bytes()),
            headers: &[("traceparent", "00-1-2-01")],
        },
        Send {
            partition: Some(0),
            value: Some(nameless.as_bytes()),
            ..Send::default()
        },
        Send {
            partition: Some(0),
            ..Send::default()
        },
    ];
    it.kafka.produce(&it.topic("outbound"), &records);
    it.results(3);
    connector.signal(Signal::SIGTERM);
    connector.wait(PATIENCE);
    // The mistake is mended.
    it.config["formats"] = json!({});

    let dry = it.replay(&[]);
    assert_eq!(dry.status.code(), Some(65), "the tombstone is lost");
    let said = String::from_utf8(dry.stdout).unwrap();
    assert_eq!(said.matches("would be sent").count(), 2, "{said}");
    assert_eq!(said.matches("had no value").count(), 1, "{said}");
    assert_eq!(it.put_back().len(), 0, "it only looked");

    let sent = it.replay(&["--send", "--json"]);
    let lines = String::from_utf8(sent.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(
        lines.iter().filter(|l| l["sent"] == true).count(),
        2,
        "{lines:#?}"
    );
    let again = it.replay(&["--send"]);
    let again = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.contains("0 sent, 2 left out, 1 lost"), "{again}");

    let outbound = it.kafka.records(&it.topic("outbound"));
    let same = |a: &Record, b: &Record| {
        assert_eq!((&a.key, &a.octets), (&b.key, &b.octets));
        assert_eq!(a.header("traceparent"), b.header("traceparent"));
    };
    assert_eq!(outbound.len(), 5);
    same(&outbound[0], &outbound[3]);
    same(&outbound[1], &outbound[4]);

    let _connector = it.start();
    let mut responses = it.kafka.wait_records(&it.topic("responses"), 2, PATIENCE);
    // Their keys may have put them into two partitions.
    responses.sort_by_key(|response| response.value["record"]["offset"].as_i64());
    for (response, offset) in responses.iter().zip([0, 1]) {
        assert_eq!(response.value["accepted"], true);
        assert_eq!(
            response.value["record"]["offset"], offset,
            "it is still that record"
        );
        assert_eq!(response.value.get("possible_duplicate"), None);
    }
    let derived = format!("{}-0-1", it.topic("outbound"));
    let ids: Vec<&Value> = responses.iter().map(|r| &r.value["log_id"]).collect();
    assert_eq!(ids, ["named", derived.as_str()]);
    let marks = it.kafka.records(&it.topic("errors"));
    let marks = marks.iter().filter(|r| r.value["kind"] == "REPLAYED");
    assert!(marks.clone().all(|r| r.value["terminal"] == false));
    assert_eq!(
        marks.count(),
        2,
        "whoever reads the errors sees that they are over"
    );
}

#[test]
fn a_kill_in_the_middle_leaves_every_record_put_back_and_marked_or_neither() {
    const N: usize = 4000;
    let it = Deployment::new(1, 1);
    it.send_numbered(0, 0..N);
    it.fail(&(0..N).map(|n| it.error(n, "EXPIRED")).collect::<Vec<_>>());
    let mut first = started(&it.toml(), &["replay", "--send"]);
    first.wait_for_log("\tsent", PATIENCE);
    first.signal(Signal::SIGSTOP);
    first.kill9();
    let before = it.put_back().len();
    assert!(
        (1..N).contains(&before),
        "{before} of {N} before it was killed"
    );

    // Two at a time: the later one goes on alone.
    let mut second = started(&it.toml(), &["replay", "--send"]);
    second.wait_for_log("\tsent", PATIENCE);
    let mut third = started(&it.toml(), &["replay", "--send"]);
    assert!(third.wait(PATIENCE).success(), "{}", third.log());
    let ended = second.wait(PATIENCE).code();
    assert!(matches!(ended, Some(0 | 75)), "{ended:?} {}", second.log());

    let times = it.put_back();
    assert_eq!(times.len(), N);
    assert!(times.values().all(|n| *n == 1), "none twice");
    let said = it.replayed(&["--send"]);
    assert!(said.starts_with("0 sent"), "{said}");
    let said = it.replayed(&["--again", "--log-id", "m7", "--send"]);
    assert!(said.starts_with("1 sent"), "{said}");
    let again = it.kafka.records(&it.topic("outbound"));
    let again = again.last().unwrap();
    assert_eq!(again.value["log_id"], "m7");
    assert_eq!(again.header("kafka-smpp-possible-duplicate"), Some("1"));
}

#[test]
fn what_may_have_been_sent_needs_consent_and_is_flagged() {
    let smsc = FakeSmsc::start();
    smsc.script({
        let mut asked = 0;
        move |submit| match submit.text().as_str() {
            "m0" | "m2" if asked < 2 => {
                asked += 1;
                Reply::Silence
            }
            _ => Reply::Accept,
        }
    });
    let mut it = Deployment::new(smsc.port(), 1);
    // A session that answers nothing for as long again is given up, and the late answer with it.
    it.esme()["timers"]["response"] = json!("8s");
    let _connector = it.start();
    it.send_numbered(0, 0..3);
    it.kafka.wait_records(&it.topic("errors"), 2, PATIENCE);
    let said = it.replayed(&["--kind", "OUTCOME_UNKNOWN", "--send"]);
    assert!(said.starts_with("0 sent, 2 may have been sent"), "{said}");

    // m2 went through after all.
    let submits = smsc.submits();
    let submit = submits.iter().find(|s| s.text() == "m2").unwrap();
    smsc.answer(submit, "late");
    it.kafka.wait_records(&it.topic("responses"), 2, PATIENCE);
    let said = it.replayed(&["--kind", "OUTCOME_UNKNOWN", "--may-duplicate", "--send"]);
    assert_eq!(said, "1 sent, 1 left out", "not the one that was sent");
    let responses = it.kafka.wait_records(&it.topic("responses"), 3, PATIENCE);
    let result = responses
        .iter()
        .find(|r| r.value["log_id"] == "m0")
        .expect("its result");
    assert_eq!(result.value["accepted"], true);
    assert_eq!(result.value["possible_duplicate"], true);
    assert_eq!(result.value["attempt"], 2, "it goes on counting");
    assert_eq!(
        result.value["record"]["offset"], 0,
        "it is still that record"
    );
    let texts = smsc.texts();
    assert_eq!(texts.iter().filter(|text| *text == "m0").count(), 2);
    assert_eq!(texts.iter().filter(|text| *text == "m2").count(), 1);
}

/// An operator sets offsets back: what was refused once is sent, or perhaps sent, the second time.
#[test]
fn what_came_to_more_than_its_error_says_is_not_sent_again_unasked() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send_numbered(0, 0..1);
    it.results(1);
    it.kafka
        .produce_json_at(&it.topic("outbound"), 0, &[json!({}), json!({})], None);
    it.results(3);
    let _ = it.kafka.wait_records(&it.topic("errors"), 2, PATIENCE);
    it.fail(&[
        it.error(0, "INVALID_RECORD"),
        it.error(1, "OUTCOME_UNKNOWN"),
        with(
            it.error(2, "EVENT_TOO_LARGE"),
            json!({ "command_status": 0 }),
        ),
    ]);
    let said = it.replayed(&["--kind", "INVALID_RECORD", "--may-duplicate"]);
    assert!(said.contains("2 left out"), "the SMSC took both: {said}");
    let said = it.replayed(&["--kind", "INVALID_RECORD", "--send"]);
    assert!(
        said.starts_with("0 sent, 1 may have been sent"),
        "nor does anybody consent: {said}"
    );
    let said = it.replayed(&["--kind", "INVALID_RECORD", "--may-duplicate", "--send"]);
    assert!(said.starts_with("1 sent"), "{said}");
    let outbound = it.kafka.records(&it.topic("outbound"));
    let again = outbound.last().unwrap();
    assert_eq!(again.header("kafka-smpp-possible-duplicate"), Some("1"));
}

#[test]
fn a_record_that_is_gone_is_said_or_taken_from_its_error() {
    let it = Deployment::new(1, 1);
    it.send_numbered(0, 0..2);
    let copy =
        "eyJsb2dfaWQiOiJtOTkiLCJkZXN0aW5hdGlvbiI6IjQxNzkxMjM0NTY3Iiwic2hvcnRfbWVzc2FnZSI6IngifQ==";
    it.fail(&[
        it.error(1000, "EXPIRED"),
        with(it.error(99, "INVALID_RECORD"), json!({ "original": copy })),
        // The topic was made anew: another message stands there now.
        with(it.error(0, "EXPIRED"), json!({ "log_id": "other" })),
        with(
            it.error(1, "EXPIRED"),
            json!({ "at": "2026-01-01T00:00:00Z" }),
        ),
        with(
            it.error(1, "EXPIRED"),
            json!({ "record": { "topic": "other", "partition": 0, "offset": 1 } }),
        ),
    ]);
    let done = it.replay(&["--send"]);
    assert_eq!(done.status.code(), Some(65));
    let said = String::from_utf8(done.stdout).unwrap();
    for text in [
        "the record is deleted",
        "another record stands",
        "no ESME sends from",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(it.put_back().len(), 1, "{said}");
    let outbound = it.kafka.records(&it.topic("outbound"));
    assert_eq!(outbound.last().unwrap().value["log_id"], "m99");
}

#[test]
fn errors_are_chosen_by_what_they_say() {
    let it = Deployment::new(1, 1);
    it.send_numbered(0, 0..6);
    let keyed = message("m6").to_string();
    let record = Send {
        partition: Some(0),
        key: Some("k6"),
        value: Some(keyed.as_bytes()),
        ..Send::default()
    };
    it.kafka.produce(&it.topic("outbound"), &[record]);
    it.fail(&[
        it.error(1, "EXPIRED"),
        it.error(2, "REJECTED_LOCALLY"),
        with(it.error(3, "EXPIRED"), json!({ "esme": "other" })),
        it.error(6, "EXPIRED"),
        // Of several errors of one record, the last counts.
        it.error(4, "EXPIRED"),
        it.error(4, "REJECTED_LOCALLY"),
    ]);
    let would = |args: &[&str]| {
        let done = it.replay(args);
        let said = String::from_utf8(done.stdout).unwrap();
        said.matches("would be sent").count()
    };
    assert_eq!(would(&[]), 5);
    assert_eq!(would(&["--kind", "EXPIRED"]), 4);
    assert_eq!(would(&["--kind", "REJECTED_LOCALLY"]), 2);
    assert_eq!(would(&["--log-id", "m1"]), 1);
    assert_eq!(would(&["--esme", "acme"]), 4);
    assert_eq!(would(&["--key", "k6"]), 1);
    assert_eq!(
        would(&["--key", "k6", "--limit", "1"]),
        1,
        "others do not count"
    );
    assert_eq!(would(&["--topic", &it.topic("outbound")]), 5);
    assert_eq!(would(&["--topic", "other"]), 0);
    assert_eq!(would(&["--since", "1h"]), 5);
    assert_eq!(would(&["--until", "1h"]), 0);
    assert_eq!(would(&["--limit", "2"]), 2);
    let wrong = it.replay(&["--kind", "NONSENSE"]);
    assert_eq!(wrong.status.code(), Some(64));
}
