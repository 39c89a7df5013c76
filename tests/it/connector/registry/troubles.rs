//! Registries that are stopped, killed, busy, or answer with nonsense.

use std::time::Duration;

use apache_avro::types::Value as Avro;
use kafka_smpp::record::kind::Kind;
use serde_json::json;

use super::super::{Deployment, PATIENCE, message};
use super::{THEIRS, WORD, confluent, sms};
use crate::harness::{Answer, FakeRegistry, FakeSmsc, Registry, Reply, eventually};

#[test]
fn a_registry_that_is_stopped_and_killed_mid_stream_loses_nothing() {
    let mut registry = Registry::start();
    let smsc = FakeSmsc::start();
    let it = Deployment::with_registry(
        smsc.port(),
        2,
        &registry.url(),
        json!({ "outbound": "avro" }),
    );
    let first = registry.register("first", THEIRS);
    let schemas: Vec<String> = (0..3)
        .map(|n| THEIRS.replace("com.acme.Sms", &format!("com.acme{n}.Sms")))
        .collect();
    let ids: Vec<u32> = (schemas.iter().zip(["s0", "s1", "s2"]))
        .map(|(schema, subject)| registry.register(subject, schema))
        .collect();
    let wrong = registry.register(
        "wrong",
        r#"{"type":"record","name":"x.Sms","fields":[{"name":"text","type":"string"}]}"#,
    );
    let mut connector = it.start();
    it.put(0, &[sms(first, THEIRS, "a0")]);
    it.results(1);

    registry.freeze();
    // What is known goes on; what is not waits, and what is behind it.
    it.put(
        0,
        &[
            sms(first, THEIRS, "a1"),
            sms(ids[0], &schemas[0], "b0"),
            sms(first, THEIRS, "b1"),
        ],
    );
    it.put(1, &[sms(first, THEIRS, "a2")]);
    connector.wait_for_log("a record has to wait, and its partition with it", WORD);
    connector.wait_for_log("the schema registry does not answer", WORD);
    let results = it.results(3);
    assert!(
        ["a0", "a1", "a2"]
            .iter()
            .all(|id| results.contains_key(*id))
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        it.exactly_one_each().len(),
        3,
        "nothing overtook what waits"
    );
    registry.thaw();
    assert_eq!(it.results(5).len(), 5);
    connector.wait_for_log("it waits no longer", WORD);

    registry.kill9();
    it.put(
        1,
        &[sms(ids[1], &schemas[1], "c0"), sms(first, THEIRS, "c1")],
    );
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(it.exactly_one_each().len(), 5);
    registry.restart();
    assert_eq!(it.results(7).len(), 7);

    // Only records that are wrong themselves are refused.
    let unknown = sms(999_999, THEIRS, "unknown");
    let fits_nothing = confluent(
        wrong,
        r#"{"type":"record","name":"x.Sms","fields":[{"name":"text","type":"string"}]}"#,
        &[("text", Avro::String("hi".into()))],
    );
    it.put(0, &[unknown, fits_nothing, sms(ids[2], &schemas[2], "d0")]);
    let results = it.results(10);
    assert_eq!(results["d0"]["accepted"], true);
    let refused: Vec<&str> = results
        .values()
        .filter(|r| r["kind"] == "INVALID_RECORD")
        .map(|r| r["error"].as_str().expect("a text"))
        .collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(
        refused.iter().any(|e| e.contains("no schema 999999")),
        "{refused:?}"
    );
    assert!(
        refused.iter().any(|e| e.contains("destination is missing")),
        "{refused:?}"
    );
    let sent: Vec<String> = smsc.submits().iter().map(|submit| submit.text()).collect();
    assert_eq!(sent.len(), 8, "each once: {sent:?}");
    let of = |partition: &[&str]| -> Vec<String> {
        sent.iter()
            .filter(|text| partition.contains(&text.as_str()))
            .cloned()
            .collect()
    };
    assert_eq!(
        of(&["a0", "a1", "b0", "b1", "d0"]),
        ["a0", "a1", "b0", "b1", "d0"]
    );
    assert_eq!(of(&["a2", "c0", "c1"]), ["a2", "c0", "c1"]);
}

/// A union of records, each of which has the one before as its field.
fn chain(records: usize) -> String {
    let one = |n: usize| match n {
        0 => r#"{"type":"record","name":"A0","fields":[]}"#.to_owned(),
        n => format!(
            r#"{{"type":"record","name":"A{n}","fields":[{{"name":"x","type":"A{}"}}]}}"#,
            n - 1
        ),
    };
    format!("[{}]", (0..records).map(one).collect::<Vec<_>>().join(","))
}

#[test]
fn errors_garbage_and_wrong_schemas_are_waited_out_and_poison_nothing() {
    let registry = FakeRegistry::start();
    let smsc = FakeSmsc::start();
    let mut it = Deployment::with_registry(
        smsc.port(),
        1,
        &registry.url(),
        json!({ "outbound": "avro" }),
    );
    // The first address leads nowhere.
    it.config["schema_registry"]["urls"] = json!(["http://127.0.0.1:1", registry.url()]);
    let troubles: [(u32, Vec<Answer>); 6] = [
        (
            1,
            vec![Answer::Say(500, r#"{"error_code":50001,"message":"backend"}"#.into()); 3],
        ),
        (2, vec![Answer::Say(429, "slow down".into()); 3]),
        (3, vec![Answer::Say(200, "<html>hello</html>".into()); 2]),
        (
            4,
            vec![
                Answer::Nothing(Duration::from_secs(3)),
                Answer::Nothing(Duration::ZERO),
            ],
        ),
        // Known to the registry, but not at once: a replica that lags.
        (
            5,
            vec![Answer::Say(
                404,
                r#"{"error_code":40403,"message":"not found"}"#.into(),
            )],
        ),
        // Another schema than the record's, once.
        (
            6,
            vec![Answer::Say(
                200,
                json!({ "schema": Kind::Owner.schema_text() }).to_string(),
            )],
        ),
    ];
    let mut values = Vec::new();
    for (id, answers) in troubles {
        registry.schema(id, THEIRS);
        registry.trouble(&format!("/schemas/ids/{id}"), answers);
        values.push(sms(id, THEIRS, &format!("m{id}")));
    }
    let unknown = sms(7, THEIRS, "unknown");
    values.push(unknown);
    // What the registry has, again and again, and nobody can read.
    registry.schema(8, r#"{"type":"record","name":"Sms"}"#);
    registry.schema(9, &chain(6000));
    values.extend([8, 9].map(|id| sms(id, THEIRS, "by no schema")));
    // Many by one schema: it is fetched once.
    values.extend((0..200).map(|n| sms(6, THEIRS, &format!("n{n}"))));
    let mut connector = it.start();
    it.put(0, &values);
    let results = it.results(values.len());
    for id in 1..=6 {
        assert_eq!(results[&format!("m{id}")]["accepted"], true);
    }
    let mut refused: Vec<_> = results
        .values()
        .filter(|r| r["type"] == "SendError")
        .map(|r| r["error"].as_str().expect("one"))
        .collect();
    refused.sort_unstable();
    assert_eq!(refused.len(), 3, "{refused:#?}");
    for why in ["no schema 7", "not an Avro schema", "union of 6000 types"] {
        assert!(refused.iter().any(|r| r.contains(why)), "{refused:#?}");
    }
    let asked_twice = (5..=9).map(|id| (id, 2));
    for (id, times) in [(1, 4), (2, 4), (3, 3), (4, 3)]
        .into_iter()
        .chain(asked_twice)
    {
        let asked = registry.asked(&format!("/schemas/ids/{id}"));
        assert_eq!(asked, times, "schema {id}: nothing is asked for a record");
    }
    connector.wait_for_log("HTTP status 429", WORD);
    connector.wait_for_log("backend (50001)", WORD);
}

#[test]
fn what_is_stored_by_other_numbers_is_restored_when_the_registry_has_told_them() {
    let registry = FakeRegistry::start();
    registry.number_from(100);
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::As("ID".into()));
    let mut it = Deployment::with_registry(
        smsc.port(),
        1,
        &registry.url(),
        json!({ "correlation": "avro", "deliveries": "avro", "responses": "json_schema" }),
    );
    it.config["schema_registry"]["auto_register"] = true.into();
    it.config["schema_registry"]["subjects"] = "topic_name".into();
    let connector = it.start();
    it.send(0, &[message("m")]);
    let responses = || it.kafka.octets(&it.topic("responses"));
    eventually("it is answered", PATIENCE, || responses().len() == 1);
    drop(connector);

    // A registry with other numbers, which has trouble with the former ones.
    let other = FakeRegistry::start();
    for id in 100..110 {
        let path = format!("/schemas/ids/{id}");
        other.trouble(&path, vec![Answer::Say(503, String::new()); 1000]);
    }
    other.number_from(1000);
    it.config["schema_registry"]["urls"] = json!([other.url()]);
    it.config["schema_registry"]["subjects"] = "record_name".into();
    let mut connector = it.start();
    connector.wait_for_log("a correlation record has to wait", WORD);
    smsc.wait_bound(1);
    assert_eq!(smsc.receipt("ID"), 0);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(it.kafka.records(&it.topic("receipts")).len(), 0);
    for id in 100..110 {
        if let Some(text) = registry.text(id) {
            other.schema(id, &text);
        }
    }
    other.recover();
    let receipt = &it.receipts(1)[0];
    assert_eq!(
        (&receipt["log_id"], &receipt["correlated"]),
        (&json!("m"), &json!(true))
    );
}
