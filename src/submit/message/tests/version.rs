//! What goes to an SMSC of SMPP 3.3.

use super::*;

fn old() -> Defaults {
    Defaults {
        version: Version::new(0x33),
        ..Defaults::default()
    }
}

fn refused(fields: &str) -> Refused {
    let record = format!(r#"{{"destination":"1",{fields}}}"#);
    try_with(&record, &old()).unwrap_err()
}

#[test]
fn long_texts_are_parts_with_a_header_and_nothing_has_parameters() {
    let long = "x".repeat(300);
    for field in ["short_message", "message_payload"] {
        let record = format!(r#"{{"destination":"1","{field}":"{long}"}}"#);
        let message = try_with(&record, &old()).unwrap();
        assert_eq!(message.parts, 2, "{field}");
        for part in parts(&message) {
            assert!(part.has_udh() && part.tlvs.is_empty(), "{part:?}");
        }
    }
}

#[test]
fn what_needs_parameters_is_refused_with_a_remedy() {
    for (fields, field, said) in [
        (
            r#""short_message":"a","tlvs":{"source_port":1}"#,
            "tlvs",
            "remove them",
        ),
        (
            r#""short_message":"a","segmentation":"payload""#,
            "segmentation",
            "udh8",
        ),
        (
            r#""type":"DataSm","short_message":"a""#,
            "type",
            "send a SubmitSm",
        ),
    ] {
        let refused = refused(fields);
        assert_eq!(refused.field.as_deref(), Some(field), "{refused}");
        assert!(refused.text.contains(said), "{refused}");
        assert!(refused.text.contains("SMPP 3.3"), "{refused}");
    }
    let uncuttable = format!(
        r#""replace_if_present_flag":1,"short_message":"{}""#,
        "x".repeat(300)
    );
    assert!(refused(&uncuttable).text.contains("at most 254"));
    let multi = format!(
        r#"{{"type":"SubmitMulti","destinations":["1"],"short_message":"{}"}}"#,
        "x".repeat(300)
    );
    let error = try_with(&multi, &old()).unwrap_err();
    assert!(error.text.contains("at most 254"), "{error}");
}

#[test]
fn an_smsc_that_names_a_lower_version_when_it_is_bound_is_believed() {
    let defaults = Defaults::default();
    let record = r#"{"destination":"1","short_message":"a","tlvs":{"source_port":1}}"#;
    assert!(try_with(record, &defaults).is_ok());
    defaults.version.told("acme-0.0", Some(0x33));
    assert!(try_with(record, &defaults).is_err());
    for version in [Some(0x34), Some(0x50), None] {
        defaults.version.told("acme-0.0", version);
        assert!(try_with(record, &defaults).is_ok(), "{version:?}");
    }
    old().version.told("acme-0.0", Some(0x50));
    assert!(
        !old().version.has_parameters(),
        "the configuration goes before"
    );
}
