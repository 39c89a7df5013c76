//! `docs/status.md`, made from the types.

use std::fmt::Write;

use serde_json::Value;

use super::{History, Status};

const HEAD: &str = "\
# The status document

What `/status` of the HTTP listener serves (`[http]`), and what `kafka-smpp status --json` prints, made
from the types that it is written from (`MAKE_DOCS=1 cargo test --lib status`). `/processes` is an
object whose `processes` is a list of such documents, of all processes of the deployment, the one that
was asked first. `/history` is the last object below.

Names keep their meaning; fields are added, and whoever reads must not mind. One that goes, or means
something else, raises `version`. Times are RFC 3339, durations are seconds, memory is octets. What is
not known is left out. Counters begin at zero with each process.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (name, schema) in [
        ("Status", schemars::schema_for!(Status)),
        ("History", schemars::schema_for!(History)),
    ] {
        let schema = schema.to_value();
        object(name, &schema, &mut page);
        for (name, schema) in schema["$defs"].as_object().into_iter().flatten() {
            let heading = format!("\n## {name}\n");
            if schema["properties"].is_object() && !page.contains(&heading) {
                object(name, schema, &mut page);
            }
        }
    }
    page
}

fn object(name: &str, schema: &Value, page: &mut String) {
    let about = line(&schema["description"]);
    let _ = write!(
        page,
        "\n## {name}\n\n{about}\n\n| field | | what |\n|---|---|---|\n"
    );
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        let (kind, about) = (kind(schema), line(&schema["description"]));
        let _ = writeln!(page, "| `{field}` | {kind} | {about} |");
    }
}

fn line(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands there, in a word.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.trim_start_matches("#/$defs/").to_owned();
    }
    if let Some(one) = schema["anyOf"].get(0) {
        return kind(one);
    }
    let kind_of = |kind: &Value| kind.as_str().unwrap_or_default().to_owned();
    let word = schema["type"].as_array().and_then(|all| all.first());
    match &*kind_of(word.unwrap_or(&schema["type"])) {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" => format!("{} by name", kind(&schema["additionalProperties"])),
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "integer" => "integer".to_owned(),
        other => other.to_owned(),
    }
}

#[test]
fn every_field_is_on_its_page() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status.md");
    if std::env::var_os("MAKE_DOCS").is_some() {
        std::fs::write(file, page()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/status.md is not what the types say: MAKE_DOCS=1 cargo test --lib status"
    );
}
