//! `docs/fields.md`: every field of every record and event, made from the schemas.
//! `MAKE_DOCS=1 cargo test --test texts` makes it anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

const HEAD: &str = "\
# Fields

Every field of every record and event, made from the schemas in [`schemas`](../schemas)
(`MAKE_DOCS=1 cargo test --test texts`). [Records](records.md) tells what they mean together, and how
applications write them; `kafka-smpp schemas show SubmitSm` prints a schema.

The names are those of JSON. Where Avro has another, it stands in brackets: octets are `bytes` in Avro and
hexadecimal in JSON. Times are RFC 3339 in JSON, and timestamp-micros in Avro. A field with a default may be
left out, and in JSON is left out where it has that value.
";

/// The sections, with the records of each.
const PARTS: &[(&str, &[&str])] = &[
    (
        "What applications write",
        &[
            "SubmitSm",
            "DataSm",
            "SubmitMulti",
            "QuerySm",
            "CancelSm",
            "ReplaceSm",
            "BroadcastSm",
            "QueryBroadcastSm",
            "CancelBroadcastSm",
        ],
    ),
    (
        "What the connector writes",
        &[
            "SubmitSmResp",
            "SendError",
            "DeliveryReceipt",
            "InboundSms",
            "Notification",
        ],
    ),
    (
        "What nobody else reads",
        &["Correlation", "Parked", "Piece", "Owner", "Delivery"],
    ),
];

fn schema(name: &str) -> Value {
    let file = format!("{}/schemas/{name}.avsc", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).expect("a readable schema");
    serde_json::from_str(&text).expect("a schema")
}

/// What a value is, and the records that it holds, each of which gets a table of its own.
fn kind<'a>(of: &'a Value, inner: &mut Vec<&'a Value>) -> String {
    if let Some(kinds) = of.as_array() {
        let kinds = kinds.iter().filter(|kind| *kind != "null");
        let kinds: Vec<String> = kinds.map(|of| kind(of, inner)).collect();
        return kinds.join(" or ");
    }
    if of["logicalType"] == "timestamp-micros" {
        return "time".to_owned();
    }
    let name = of["name"].as_str().unwrap_or_default();
    match of["type"].as_str().or(of.as_str()).unwrap_or_default() {
        "string" => "text".to_owned(),
        "int" | "long" => "whole number".to_owned(),
        "float" | "double" => "number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "bytes" => "octets".to_owned(),
        "array" => format!("list of {}", kind(&of["items"], inner)),
        "map" => format!("{} by name", kind(&of["values"], inner)),
        "enum" => {
            let symbols = of["symbols"].as_array().into_iter().flatten();
            let symbols = symbols.filter_map(Value::as_str);
            let symbols: Vec<String> = symbols.map(|symbol| format!("`{symbol}`")).collect();
            symbols.join(", ")
        }
        "record" => {
            inner.push(of);
            format!("`{name}`")
        }
        other => format!("`{other}`"),
    }
}

fn table(page: &mut String, record: &Value, told: &mut BTreeSet<String>) {
    let mut inner = Vec::new();
    page.push_str("| field | value | by default | meaning |\n|---|---|---|---|\n");
    for field in record["fields"].as_array().into_iter().flatten() {
        let avro = field["name"].as_str().expect("a name");
        let name = match field["aliases"][0].as_str() {
            Some(json) => format!("`{json}` (`{avro}`)"),
            None => format!("`{avro}`"),
        };
        let kind = kind(&field["type"], &mut inner);
        let default = match field.get("default") {
            None => String::new(),
            Some(Value::Null) => "none".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let about = field["doc"].as_str().expect("a field is documented");
        let about = about.replace('|', "\\|");
        let _ = writeln!(page, "| {name} | {kind} | {default} | {about} |");
    }
    for record in inner {
        let name = record["name"].as_str().expect("a name");
        // What several records have is told once.
        if told.insert(name.to_owned()) {
            let about = record["doc"].as_str().unwrap_or_default();
            let _ = write!(page, "\n#### `{name}`\n\n{about}\n\n");
            table(page, record, told);
        }
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut told = BTreeSet::new();
    for (part, names) in PARTS {
        let _ = write!(page, "\n## {part}\n");
        for name in *names {
            let schema = schema(name);
            let about = schema["doc"].as_str().unwrap_or_default();
            let _ = write!(page, "\n### `{name}`\n\n{about}\n\n");
            table(&mut page, &schema, &mut told);
        }
    }
    page
}

#[test]
fn every_field_is_on_its_page() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fields.md");
    if std::env::var_os("MAKE_DOCS").is_some() {
        std::fs::write(file, page()).expect("the page is written");
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/fields.md is not what the schemas say: MAKE_DOCS=1 cargo test --test texts"
    );
}

#[test]
fn every_schema_is_in_one_part() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let files = std::fs::read_dir(folder).expect("the folder of schemas");
    let names = files.filter_map(|file| {
        let name = file.expect("a file").file_name().into_string().ok()?;
        Some(name.strip_suffix(".avsc")?.to_owned())
    });
    let names: BTreeSet<String> = names.collect();
    let told: Vec<&str> = PARTS
        .iter()
        .flat_map(|(_, names)| names.iter().copied())
        .collect();
    assert_eq!(told.len(), names.len());
    let untold: Vec<_> = names
        .iter()
        .filter(|name| !told.contains(&name.as_str()))
        .collect();
    assert!(untold.is_empty(), "no part has {untold:?}");
}
