//! Our own schemas.

use serde_json::{Value, json};

use super::compare::fields;
use crate::cli::output::{line, table};
use crate::cli::{Code, Failure};
use crate::codes;
use crate::record::format::Format;
use crate::record::kind::Kind;

pub(super) fn run(names: &[String], json: bool, format: Format) -> Result<(), Failure> {
    let kinds = names.iter().map(|name| kind(name));
    let kinds: Vec<Kind> = kinds.collect::<Result<_, _>>()?;
    match (&kinds[..], json) {
        ([], false) => all(),
        ([], true) => Kind::ALL.iter().try_for_each(|kind| object(*kind, format)),
        (kinds, true) => kinds.iter().try_for_each(|kind| {
            line(text(*kind, format).trim_end())?;
            Ok(())
        }),
        (kinds, false) => kinds.iter().try_for_each(|kind| one(*kind, format)),
    }
}

fn kind(name: &str) -> Result<Kind, Failure> {
    let bare = name.strip_prefix("kafka_smpp.").unwrap_or(name);
    let found = Kind::ALL
        .iter()
        .find(|kind| kind.name().eq_ignore_ascii_case(bare));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let text = format!(
            "there is no record {name:?}; there are: {}",
            names.join(", ")
        );
        Failure::new(Code::Usage, codes::UNKNOWN_NAME, text)
    })
}

fn text(kind: Kind, format: Format) -> &'static str {
    match format {
        Format::JsonSchema => kind.json_schema_text(),
        _ => kind.schema_text(),
    }
}

fn version(kind: Kind) -> u32 {
    kind.versions()
        .next_back()
        .map_or(0, |version| version.number)
}

/// Its fingerprint, as the single-object encoding has it, the most significant octet first.
fn fingerprint(kind: Kind) -> String {
    let print = kind
        .ours()
        .map_or(0, |ours| u64::from_le_bytes(ours.fingerprint));
    format!("{print:016x}")
}

fn all() -> Result<(), Failure> {
    let row = |kind: &Kind| {
        [
            kind.name().to_owned(),
            version(*kind).to_string(),
            fingerprint(*kind),
            kind.rule().name().to_owned(),
            doc(*kind),
        ]
    };
    let rows: Vec<_> = Kind::ALL.iter().map(row).collect();
    table(["record", "version", "fingerprint", "rule", "what"], &rows)?;
    Ok(())
}

fn object(kind: Kind, format: Format) -> Result<(), Failure> {
    let schema: Value = serde_json::from_str(text(kind, format)).unwrap_or_default();
    let object = json!({
        "name": kind.full_name(),
        "version": version(kind),
        "fingerprint": fingerprint(kind),
        "rule": kind.rule().name(),
        "schema": schema,
    });
    Ok(line(object)?)
}

fn one(kind: Kind, format: Format) -> Result<(), Failure> {
    line(format_args!(
        "{} version {}, fingerprint {}, {}\n{}",
        kind.full_name(),
        version(kind),
        fingerprint(kind),
        kind.rule().name(),
        doc(kind)
    ))?;
    let rows = fields(format, text(kind, format)).into_iter();
    let rows: Vec<_> = rows
        .map(|(name, field)| [name, field.of, field.default, field.doc])
        .collect();
    table(["field", "type", "default", "what"], &rows)?;
    Ok(())
}

fn doc(kind: Kind) -> String {
    let schema: Value = serde_json::from_str(kind.schema_text()).unwrap_or_default();
    schema["doc"].as_str().unwrap_or_default().to_owned()
}
