//! The files are what the Avro schemas say, and what is written and read is what they say.

use std::path::Path;

use serde_json::{Value, json};

use super::super::kind::Kind;
use super::super::outbound::Operation;
use super::from_avro::json_schema;

/// Whether a value is what the schema of its kind says; panics if not.
pub(in super::super) fn must_be(kind: Kind, value: &Value) {
    if let Err(error) = check(kind, value) {
        panic!("{}: {error}: {value:#}", kind.name());
    }
}

fn check(kind: Kind, value: &Value) -> Result<(), String> {
    let schema = serde_json::from_str(kind.json_schema_text()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let at = |e: jsonschema::ValidationError<'_>| format!("{} at {}", e, e.instance_path());
    validator.validate(value).map_err(at)
}

#[test]
fn the_files_are_made_from_the_avro_schemas() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/json");
    for kind in Kind::ALL {
        let made = format!("{:#}\n", json_schema(*kind));
        let file = folder.join(format!("{}.json", kind.name()));
        if std::env::var_os("MAKE_SCHEMAS").is_some() {
            std::fs::write(&file, &made).unwrap();
            continue;
        }
        assert!(
            made == kind.json_schema_text(),
            "schemas/{}.avsc changed: run this test with MAKE_SCHEMAS=1",
            kind.name()
        );
    }
}

#[test]
fn every_example_is_what_its_schema_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/records");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        // Names and forms of its own, which are read but not described.
        if file.ends_with("aiosmpplib.json") {
            continue;
        }
        let record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let operation = record["type"].as_str().unwrap_or("SubmitSm");
        must_be(Operation::from_name(operation).unwrap().kind(), &record);
        seen += 1;
    }
    assert!(seen >= Operation::ALL.len());
}

#[test]
fn what_the_reader_takes_and_refuses_the_schema_takes_and_refuses() {
    let base = || json!({ "destination": "+41791234567", "short_message": "hi" });
    for (field, value, good) in [
        ("log_id", json!(null), true),
        ("extra_data", json!([1, { "a": null }]), true),
        ("short_message", json!({ "hex": "00FF" }), true),
        ("short_message", json!({ "base64": "AP8=" }), true),
        ("short_message", json!({ "hexx": "00" }), false),
        ("short_message", json!({ "hex": "0" }), false),
        ("short_message", json!(5), false),
        (
            "destination",
            json!({ "number": "1", "ton": 5, "npi": null }),
            true,
        ),
        ("destination", json!({ "ton": 1 }), false),
        ("esm_class", json!(255), true),
        ("esm_class", json!(256), false),
        ("esm_class", json!("1"), false),
        ("validity_period", json!("PT1H"), true),
        ("validity_period", json!(90.5), true),
        ("validity_period", json!(-1), false),
        (
            "tlvs",
            json!({ "source_port": 5000, "0x1401": { "hex": "0a" } }),
            true,
        ),
        ("tlvs", json!([{ "tag": 522, "value": true }]), true),
        ("tlvs", json!([{ "tag": 1 }]), false),
        ("segmentation", json!("udh16"), true),
        (
            "segmentation",
            json!({ "method": "sar", "max_parts": 3, "on_too_long": "truncate" }),
            true,
        ),
        ("segmentation", json!("cut"), false),
        ("in_doubt", json!("maybe"), false),
        ("colour", json!("red"), false),
        ("type", json!("SubmitSm"), true),
        ("type", json!("QuerySm"), false),
    ] {
        let mut record = base();
        record[field] = value;
        assert_eq!(check(Kind::SubmitSm, &record).is_ok(), good, "{record}");
        let text = record.to_string();
        assert_eq!(
            super::super::json::submit_sm(text.as_bytes()).is_ok(),
            good,
            "{record}"
        );
    }
    // Without one the pipeline refuses it.
    let without = json!({ "short_message": "hi" });
    let null = json!({ "short_message": "hi", "destination": null });
    assert!(check(Kind::SubmitSm, &without).is_err() && check(Kind::SubmitSm, &null).is_err());
    assert!(
        check(Kind::QuerySm, &json!({ "message_id": "7F" })).is_err(),
        "no type"
    );
}
