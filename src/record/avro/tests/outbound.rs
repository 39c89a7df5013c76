//! What applications write: with our schemas, and with their own.

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;

use super::super::super::submit_sm::{Content, SubmitSm, TagName, TlvValue, When};
use super::super::*;
use super::foreign;

macro_rules! examples {
    ($($name:literal,)*) => {
        /// The records in `examples/records`.
        const EXAMPLES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../../examples/records/", $name, ".json"))),)*
        ];
    };
}

examples! {
    "alert",
    "aiosmpplib",
    "binary",
    "broadcast",
    "cancel",
    "cancel-broadcast",
    "data",
    "long",
    "multi",
    "one-time-password",
    "parameters",
    "plain",
    "port",
    "query",
    "query-broadcast",
    "replace",
    "scheduled",
    "unicode",
}

fn submit_sm<'a>(plan: &Plan, datum: &'a [u8]) -> Result<SubmitSm<'a>, Invalid> {
    outbound(Operation::SubmitSm, plan, datum).map(|record| record.sm)
}

fn datum_of(record: &SubmitSm<'_>) -> Vec<u8> {
    outbound_datum(&record.clone().into()).unwrap()
}

/// A message in which everything is set.
const WHOLE: &str = r#"{"log_id":"a","extra_data":{"b" : 1.50},"short_message":{"hex":"00ff"},
    "message_payload":"p","source":{"number":"ACME","ton":5,"npi":0},"destination":"+4179",
    "service_type":"CMT","esm_class":1,"protocol_id":2,"priority_flag":3,
    "schedule_delivery_time":"2026-03-01T09:00:00Z","validity_period":"PT1H30M",
    "registered_delivery":1,"replace_if_present_flag":1,"data_coding":4,"encoding":"binary",
    "message_class":"sim","sm_default_msg_id":9,"tlvs":[{"tag":522,"value":5000},{"tag":"0x1401","value":{"hex":"0a"}},
    {"tag":"source_port","value":"x"},{"tag":1,"value":true}],"auto_message_payload":false,
    "udh":{"hex":"0401020000"},"segmentation":{"method":"sar","max_parts":4,"on_too_long":"truncate"},
    "error_handling":"replace","in_doubt":"resend","max_resends":7,
    "expires_at":"2026-03-01T10:00:00.5Z"}"#;

fn ours_plan() -> Plan {
    let schema = Kind::SubmitSm.ours().unwrap().schema;
    Plan::new(schema, schema).unwrap()
}

#[test]
fn a_message_is_the_same_in_both_forms() {
    let before = crate::record::json::submit_sm(WHOLE.as_bytes()).unwrap();
    let datum = datum_of(&before);
    let plan = ours_plan();
    let after = submit_sm(&plan, &datum).unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    for (name, value) in foreign(Kind::SubmitSm, &datum) {
        assert_ne!(value, Avro::Union(0, Box::new(Avro::Null)), "{name}");
    }
    let least = crate::record::json::submit_sm(br#"{"destination":"1"}"#).unwrap();
    let datum = datum_of(&least);
    let after = submit_sm(&plan, &datum).unwrap();
    assert_eq!(format!("{after:?}"), format!("{least:?}"));
}

#[test]
fn every_field_of_a_schema_is_one_of_the_record_and_the_other_way_round() {
    // aiosmpplib's, and what the record's own name says.
    let json_only = [
        "type",
        "__smpp_command__",
        "optional_params",
        "sequence_num",
        "command_status",
        "_default_encoding",
        "_custom_codecs",
        "_encoded_message",
    ];
    for operation in Operation::ALL {
        let Schema::Record(schema) = operation.kind().ours().unwrap().schema else {
            panic!("no record")
        };
        let mut known = crate::record::read::Reader::names(*operation);
        known.retain(|name| !json_only.contains(name));
        known.sort_unstable();
        let mut fields: Vec<&str> = schema.fields.iter().map(|f| &*f.name).collect();
        fields.sort_unstable();
        assert_eq!(fields, known, "{}", operation.name());
    }
}

#[test]
fn every_operation_is_the_same_in_both_forms() {
    for (name, text) in EXAMPLES {
        let before = crate::record::json::outbound(text.as_bytes()).unwrap();
        let datum = outbound_datum(&before).unwrap();
        let schema = before.operation.kind().ours().unwrap().schema;
        let plan = Plan::new(schema, schema).unwrap();
        let after = outbound(before.operation, &plan, &datum).unwrap();
        assert_eq!(format!("{after:?}"), format!("{before:?}"), "{name}");
    }
}

#[test]
fn a_record_that_lacks_what_its_operation_needs_is_not_written() {
    let record = crate::record::json::outbound(br#"{"type":"QuerySm"}"#).unwrap();
    let error = outbound_datum(&record).unwrap_err();
    assert_eq!(error.text, "message_id is missing");
}

fn writers(fields: &str) -> Schema {
    let text = format!(r#"{{"type":"record","name":"com.acme.Sms","fields":[{fields}]}}"#);
    Schema::parse_str(&text).unwrap()
}

fn foreign_datum(schema: &Schema, fields: &[(&str, Avro)]) -> Vec<u8> {
    let fields = fields.iter().cloned().map(|(n, v)| (n.to_owned(), v));
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    (writer.write_value_to_vec(Avro::Record(fields.collect()))).unwrap()
}

const ADDRESS: &str =
    r#"{"type":"record","name":"To","fields":[{"name":"number","type":"string"}]}"#;

fn to(number: &str) -> Avro {
    Avro::Record(vec![("number".into(), Avro::String(number.into()))])
}

#[test]
fn producers_with_schemas_of_their_own_are_read() {
    // Other order, fields of their own, numbers of other sizes, no unions, milliseconds.
    let schema = writers(&format!(
        r#"{{"name":"campaign","type":{{"type":"map","values":["null",{ADDRESS}]}}}},
           {{"name":"max_resends","type":"long"}},
           {{"name":"short_message","type":"string"}},
           {{"name":"expires_at","type":{{"type":"long","logicalType":"timestamp-millis"}}}},
           {{"name":"in_doubt","type":{{"type":"enum","name":"D","symbols":["ask","resend"]}}}},
           {{"name":"destination","type":"To"}}"#
    ));
    let plan = Plan::new(&schema, Kind::SubmitSm.ours().unwrap().schema).unwrap();
    let campaign = Avro::Map([("x".to_owned(), Avro::Union(1, Box::new(to("y"))))].into());
    let datum = |resends: i64, doubt: (u32, &str)| {
        foreign_datum(
            &schema,
            &[
                ("campaign", campaign.clone()),
                ("max_resends", Avro::Long(resends)),
                ("short_message", Avro::String("hi".into())),
                ("expires_at", Avro::TimestampMillis(1_700_000_000_123)),
                ("in_doubt", Avro::Enum(doubt.0, doubt.1.into())),
                ("destination", to("+4179")),
            ],
        )
    };
    let octets = datum(3, (1, "resend"));
    let record = submit_sm(&plan, &octets).unwrap();
    assert_eq!(record.destination.number, "+4179");
    assert_eq!(record.short_message, Some(Content::Text("hi".into())));
    assert_eq!(record.max_resends, Some(3));
    assert_eq!(record.in_doubt, Some(crate::settings::InDoubt::Resend));
    assert_eq!(
        record.expires_at.unwrap().as_millisecond(),
        1_700_000_000_123
    );
    let newer = datum(0, (0, "ask"));
    let default = submit_sm(&plan, &newer).unwrap().in_doubt;
    assert_eq!(
        default,
        Some(crate::settings::InDoubt::Report),
        "the enum's default"
    );
    let wrong = datum(300, (1, "resend"));
    let error = submit_sm(&plan, &wrong).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("max_resends"));
}

#[test]
fn text_is_taken_where_json_takes_it() {
    let schema = writers(
        r#"{"name":"destination","type":"string"},{"name":"source","type":["null","string"]},
           {"name":"in_doubt","type":"string"},{"name":"expires_at","type":"string"},
           {"name":"encoding","type":{"type":"enum","name":"E","symbols":["gsm7","ucs2"]}}"#,
    );
    let plan = Plan::new(&schema, Kind::SubmitSm.ours().unwrap().schema).unwrap();
    let datum = |doubt: &str| {
        let text = |text: &str| Avro::String(text.into());
        let source = Avro::Union(1, Box::new(text("ACME")));
        foreign_datum(
            &schema,
            &[
                ("destination", text("+4179")),
                ("source", source),
                ("in_doubt", text(doubt)),
                ("expires_at", text("2026-03-01T10:00:00Z")),
                ("encoding", Avro::Enum(1, "ucs2".into())),
            ],
        )
    };
    let octets = datum("resend");
    let record = submit_sm(&plan, &octets).unwrap();
    assert_eq!(record.destination.number, "+4179");
    assert_eq!(record.source.unwrap().number, "ACME");
    assert_eq!(record.in_doubt, Some(crate::settings::InDoubt::Resend));
    assert_eq!(
        record.expires_at.unwrap().to_string(),
        "2026-03-01T10:00:00Z"
    );
    assert_eq!(record.encoding.as_deref(), Some("ucs2"));
    let octets = datum("ask");
    let error = submit_sm(&plan, &octets).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("in_doubt"));
}

#[test]
fn schemas_that_could_never_be_read_say_why() {
    let ours = Kind::SubmitSm.ours().unwrap().schema;
    let error = |fields: &str| Plan::new(&writers(fields), ours).unwrap_err().0;
    assert_eq!(
        error(r#"{"name":"short_message","type":"string"}"#),
        "field destination is missing"
    );
    assert_eq!(
        error(r#"{"name":"destination","type":"int"}"#),
        "destination: int is not record"
    );
    assert_eq!(
        error(r#"{"name":"esm_class","type":"boolean"}"#),
        "esm_class: boolean is not int"
    );
}

#[test]
fn a_branch_that_cannot_be_read_matters_only_if_it_comes() {
    let schema = writers(&format!(
        r#"{{"name":"destination","type":{ADDRESS}}},
           {{"name":"log_id","type":["string","double"]}}"#
    ));
    let plan = Plan::new(&schema, Kind::SubmitSm.ours().unwrap().schema).unwrap();
    let with = |branch: u32, id: Avro| {
        let id = Avro::Union(branch, Box::new(id));
        foreign_datum(&schema, &[("destination", to("1")), ("log_id", id)])
    };
    let good = with(0, Avro::String("a".into()));
    assert_eq!(
        submit_sm(&plan, &good).unwrap().log_id.as_deref(),
        Some("a")
    );
    let bad = with(1, Avro::Double(1.0));
    let error = submit_sm(&plan, &bad).unwrap_err();
    assert_eq!(error.text, "log_id: double is not string");
}

#[test]
fn a_recursive_schema_is_read_and_its_depth_is_bounded() {
    let schema = writers(&format!(
        r#"{{"name":"next","type":["null",{{"type":"record","name":"Node","fields":[{{"name":"next","type":["null","Node"]}}]}}]}},
           {{"name":"destination","type":{ADDRESS}}}"#
    ));
    let plan = Plan::new(&schema, Kind::SubmitSm.ours().unwrap().schema).unwrap();
    let nested = |depth: usize| [vec![2; depth], vec![0, 2, b'1']].concat();
    let shallow = nested(4);
    assert_eq!(submit_sm(&plan, &shallow).unwrap().destination.number, "1");
    let deep = nested(1_000_000);
    let error = submit_sm(&plan, &deep).unwrap_err();
    assert!(error.text.contains("levels deep"), "{}", error.text);
}

#[test]
fn times_and_durations_of_a_message() {
    let json = br#"{"destination":"1","validity_period":90,"schedule_delivery_time":"P1D"}"#;
    let record = crate::record::json::submit_sm(json).unwrap();
    let datum = datum_of(&record);
    let plan = ours_plan();
    let read = submit_sm(&plan, &datum).unwrap();
    assert_eq!(read.validity_period, record.validity_period);
    assert!(matches!(read.schedule_delivery_time, Some(When::After(d)) if d.as_hours() == 24));
}

#[test]
fn an_address_without_a_number_keeps_the_rest() {
    let mut record = Outbound {
        operation: Operation::CancelSm,
        message_id: Some("7F".into()),
        ..Outbound::default()
    };
    record.sm.destination.npi = Some(0);
    let datum = outbound_datum(&record).unwrap();
    let ours = Kind::CancelSm.ours().unwrap();
    let plan = Plan::new(ours.schema, ours.schema).unwrap();
    let read = outbound(Operation::CancelSm, &plan, &datum).unwrap();
    assert_eq!(read.sm.destination, record.sm.destination);
}

#[test]
fn fingerprints_are_those_of_the_specification() {
    // Avro 1.12, "Schema Fingerprints": CRC-64-AVRO of "int" is 0x7275d51a3f395c8f.
    let int = Schema::parse_str(r#""int""#).unwrap();
    assert_eq!(
        fingerprint(&int).unwrap(),
        0x7275_d51a_3f39_5c8f_u64.to_le_bytes()
    );
    // A logical type is no part of the canonical form.
    let print = |text: &str| fingerprint(&Schema::parse_str(text).unwrap()).unwrap();
    let field = |of: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"at","type":{of}}}]}}"#)
    };
    let time = r#"{"type":"long","logicalType":"timestamp-micros"}"#;
    assert_eq!(print(time), print(r#""long""#));
    assert_eq!(print(&field(time)), print(&field(r#""long""#)));
    // As Apache's own implementation in Java has it.
    let java = [
        [0x66, 0x54, 0x1a, 0x4e, 0xc6, 0x4a, 0x32, 0xee],
        [0x94, 0x10, 0xaf, 0x91, 0xd5, 0xf9, 0x30, 0x19],
        [0xb2, 0x0f, 0xad, 0xb9, 0x42, 0xba, 0x7a, 0x9c],
    ];
    let first = Kind::SubmitSm.versions().take(java.len());
    let ours: Vec<_> = first.map(|version| print(version.text)).collect();
    assert_eq!(ours, java);
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = submit_sm(&ours_plan(), &octets);
        for kind in Kind::ALL {
            let plan = Plan::as_written(kind.ours().unwrap().schema).unwrap();
            let _ = shown(&plan, &octets);
        }
    }

    #[test]
    fn any_message_reads_back(
        id in any::<String>(),
        text in any::<String>(),
        octets in any::<Vec<u8>>(),
        n in any::<u32>(),
        flag in any::<Option<bool>>(),
    ) {
        use super::super::super::submit_sm::{Address, Tlv};
        let record = SubmitSm {
            log_id: Some(id.clone()).filter(|id| !id.is_empty()).map(Into::into),
            short_message: Some(Content::Octets(octets)),
            destination: Address { number: text.into(), ton: Some(n as u8), npi: None },
            tlvs: vec![Tlv { tag: TagName::Number(n as u16), value: TlvValue::Number(n.into()) }],
            auto_message_payload: flag,
            ..SubmitSm::default()
        };
        let datum = datum_of(&record);
        let plan = ours_plan();
        let read = submit_sm(&plan, &datum).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{record:?}"));
    }
}
