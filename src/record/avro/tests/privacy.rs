//! The page on privacy and the schemas say the same of fields.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::record::kind::Kind;

/// Fields that say nothing of a person. A field of another name belongs either here, or into
/// docs/privacy.md.
const HARMLESS: &str = "\
    accepted ambiguous at attempt auto_message_payload availability bind bound_at bound_ms \
    changes cluster_id code command command_status command_status_name complete concatenation \
    correlated data_coding digest done_date encoding err error error_code error_handling \
    esm_class esme esmes expires_at field final final_at final_date from home host in_doubt kind \
    last_receipt_at late lifecycle limit_ms lists matched max_parts max_resends message_class \
    message_id message_type messages method missing mode network network_error_code nonce of \
    offset on_too_long outcome overdue part partition parts peer possible_duplicate \
    priority_flag process protocol_id published_at rate reason receipt receipt_id receipts \
    received_at recipients record reference refused registered_delivery replace_if_present_flag \
    responded_at response response_id schedule_delivery_time segmentation service_type session \
    sm_default_msg_id started_at stat state submit_date submitted_at system_id takeover terminal \
    throttling took_ms topic total tries truncated type unanswered usual_ms validity_period \
    version wanted window writer";

/// Names of fields, and of those inside of them, but for those that are `known`.
fn fields<'s>(schema: &'s Value, known: &BTreeSet<&str>, found: &mut BTreeSet<&'s str>) {
    match schema {
        Value::Array(union) => union.iter().for_each(|one| fields(one, known, found)),
        Value::Object(of) => {
            for field in of
                .get("fields")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let name = field["name"].as_str().unwrap();
                found.insert(name);
                if !known.contains(name) {
                    fields(&field["type"], known, found);
                }
            }
            for inner in ["items", "type"] {
                if let Some(inner) = of.get(inner) {
                    fields(inner, known, found);
                }
            }
        }
        _ => {}
    }
}

/// The rows of the page: a record, and its fields.
fn rows() -> Vec<(&'static str, BTreeSet<&'static str>)> {
    let page = include_str!("../../../../docs/privacy.md");
    let section = page.split("\n## ").find(|s| s.starts_with("Fields\n"));
    let rows = section.expect("a section").lines();
    let rows = rows.filter(|row| row.starts_with("| `"));
    let rows = rows.map(|row| {
        // What stands between backticks.
        let mut words = row.split('`').skip(1).step_by(2);
        (words.next().unwrap(), words.collect())
    });
    rows.collect()
}

#[test]
fn every_field_is_on_the_page_or_harmless() {
    let harmless: BTreeSet<&str> = HARMLESS.split_whitespace().collect();
    let rows = rows();
    for kind in Kind::ALL {
        let schema: Value = serde_json::from_str(kind.schema_text()).unwrap();
        let record = schema["name"].as_str().unwrap();
        let (_, known) = rows.iter().find(|(name, _)| *name == record).expect(record);
        let mut found = BTreeSet::new();
        fields(&schema, known, &mut found);
        let unknown: Vec<_> = found
            .iter()
            .filter(|f| !known.contains(*f) && !harmless.contains(*f))
            .collect();
        assert!(
            unknown.is_empty(),
            "{record}: are {unknown:?} of a person? Then they belong into docs/privacy.md, otherwise into HARMLESS"
        );
        let gone: Vec<_> = known.difference(&found).collect();
        assert!(gone.is_empty(), "{record} has no {gone:?}");
    }
    assert_eq!(Kind::ALL.len(), rows.len());
}
