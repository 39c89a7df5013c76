//! `docs/configuration.md`: every key, made from the types and from what is checked of their values.
//! `MAKE_DOCS=1 cargo test --lib reference` makes it anew.

use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::super::example::{leaves, literal, resolve, schema};
use super::super::kafka::OWNED;
use super::super::{Config, Esme};
use super::values::told_of;
use crate::notices::plain;

const HEAD: &str = "\
# Configuration

Every key of `connector.toml`, made from the types that the program reads it into
(`MAKE_DOCS=1 cargo test --lib reference`). `kafka-smpp config example` prints the same as a file to begin
with, `kafka-smpp config schema` as a JSON Schema for editors, and `kafka-smpp check` finds all errors of a
file at once.

- A **time** has its unit: `500ms`, `30s`, `5m`, `12h`, `7d`; `1m30s` is one, too.
- A **size** is a number of octets, or has its unit: `64KiB`, `16MiB`, `1GiB`.
- Where no default stands, nothing is set by default.
- The environment overrides every key: `KAFKA_SMPP__`, then the path in capitals with `__` between its
  parts. An ESME goes by its name or its number: `KAFKA_SMPP__SUBMIT__IN_DOUBT=resend`,
  `KAFKA_SMPP__ESME__ACME__WINDOW=20`.
- Secrets are best in files, with the key that ends with `_file`. A file holds the secret and nothing else.

The shortest file that runs is in the [README](../README.md#run-it-with-your-kafka-and-smsc).
";

const PROPERTIES: &str = "
## Properties of librdkafka that cannot be set

In `kafka.properties` and `kafka.property_files` stands what librdkafka has, by its names. These are left
to the connector, because the guarantees rest on them or a key above says it:

| property | why |
|---|---|
";

/// The table that a path stands in, and what it is called in the file.
fn heading(root: &Value, table: &str) -> String {
    if table.is_empty() {
        return "\n## At the top\n\nBefore the first table.\n".to_owned();
    }
    let mut at = root;
    let mut is_list = false;
    let mut about = "";
    for step in table.split('.') {
        let property = &at["properties"][step];
        about = property["description"].as_str().unwrap_or_default();
        let inner = resolve(root, property);
        is_list = inner["type"] == "array";
        at = if is_list {
            resolve(root, &inner["items"])
        } else {
            inner
        };
    }
    let name = if is_list {
        format!("[[{table}]]")
    } else {
        format!("[{table}]")
    };
    format!("\n## `{name}`\n\n{}\n", plain(about))
}

/// The schema of a value, whether or not it may be left out.
fn inner<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let first = &schema["anyOf"][0];
    resolve(root, if first.is_null() { schema } else { first })
}

/// What kind of value it is, in a word or two.
fn kind(root: &Value, schema: &Value) -> String {
    let reference = schema["$ref"].as_str().unwrap_or_default();
    match reference.strip_prefix("#/$defs/") {
        Some("Time") => return "Time".to_owned(),
        Some("Octets") => return "Size".to_owned(),
        _ => {}
    }
    let schema = inner(root, schema);
    if schema["oneOf"].is_array() {
        return "One of the words below".to_owned();
    }
    let types = [&schema["type"], &schema["type"][0]];
    let name = types.iter().find_map(|name| name.as_str());
    match name {
        Some("integer") => "Whole number",
        Some("number") => "Number",
        Some("boolean") => "`true` or `false`",
        Some("array") => "List of texts",
        Some("object") => "Table of names and values",
        _ => "Text",
    }
    .to_owned()
}

/// What the check says a value must lie between, asked with one that is too large; or else what the
/// type says.
fn range(key: &str, kind: &str, schema: &Value) -> Option<(String, String)> {
    static BOUNDS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"from (\S+) to ([0-9]\w*)").expect("a pattern"));
    let too_much: &[&str] = match kind {
        "Time" => &["'99999d'"],
        "Size" => &["'9999GiB'"],
        "Number" => &["1e12"],
        "Whole number" => &["255", "4000000000"],
        _ => &[],
    };
    let told = too_much.iter().map(|value| told_of(key, value));
    let found = told.filter_map(|told| {
        let bounds = BOUNDS.captures(&told)?;
        Some((bounds[1].to_owned(), bounds[2].to_owned()))
    });
    let of_type = || match (&schema["minimum"], &schema["maximum"]) {
        (Value::Number(least), Value::Number(most)) => Some((least.to_string(), most.to_string())),
        _ => None,
    };
    found.into_iter().next().or_else(of_type)
}

/// The words that a value may be, each with its meaning.
fn words(root: &Value, schema: &Value) -> String {
    let mut list = String::new();
    for word in inner(root, schema)["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let about = plain(word["description"].as_str().unwrap_or_default());
        let written = match word["const"].as_str() {
            Some(word) => literal(&Value::from(word)),
            // A word with a number: `{ per_partition = 1 }`.
            None => {
                let names = word["required"].as_array().into_iter().flatten();
                let names = names
                    .filter_map(Value::as_str)
                    .map(|name| format!("{{ {name} = N }}"));
                names.collect()
            }
        };
        let _ = writeln!(list, "- `{written}`: {about}");
    }
    list
}

/// What is there by default, and where nothing is, an example.
fn default(value: &Value, schema: &Value) -> String {
    let example = &schema["examples"][0];
    let is_nothing = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(table) => table.is_empty(),
        _ => false,
    };
    if !is_nothing {
        format!("; by default `{}`", literal(value))
    } else if example.is_null() {
        String::new()
    } else {
        format!("; for example `{}`", literal(example))
    }
}

fn describe(root: &Value, key: &str, schema: &Value, value: &Value) -> String {
    let kind = kind(root, schema);
    let range = range(key, &kind, schema);
    let range = range.map(|(least, most)| format!(", from {least} to {most}"));
    let (range, default) = (range.unwrap_or_default(), default(value, schema));
    let about = plain(schema["description"].as_str().unwrap_or_default());
    let words = words(root, schema);
    let gap = if words.is_empty() { "" } else { "\n" };
    format!("\n### `{key}`\n\n{kind}{range}{default}.\n\n{about}\n{gap}{words}")
}

fn page() -> String {
    let root = schema();
    let config = Config {
        esme: vec![Esme::default()],
        ..Config::default()
    };
    let values = serde_json::to_value(config).expect("values");
    let mut tables: Vec<(String, String)> = Vec::new();
    for (path, schema) in leaves() {
        if schema["deprecated"] == true {
            continue;
        }
        let (key, steps) = (path.join("."), path.len() - 1);
        let value = path.iter().fold(&values, |at, step| match at {
            Value::Array(list) => &list[0][step],
            other => &other[step],
        });
        let text = describe(&root, &key, &schema, value);
        let table = path[..steps].join(".");
        match tables.iter_mut().find(|(name, _)| *name == table) {
            Some((_, keys)) => keys.push_str(&text),
            None => tables.push((table, text)),
        }
    }
    let mut page = HEAD.to_owned();
    for (table, keys) in tables {
        page.push_str(&heading(&root, &table));
        page.push_str(&keys);
    }
    page.push_str(PROPERTIES);
    for (property, why) in OWNED {
        let _ = writeln!(page, "| `{property}` | {why} |");
    }
    page
}

#[test]
fn every_key_is_on_its_page() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("MAKE_DOCS").is_some() {
        std::fs::write(file, page()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/configuration.md is not what the types say: MAKE_DOCS=1 cargo test --lib reference"
    );
}

#[test]
fn a_key_is_told_with_its_kind_its_range_and_its_default() {
    let page = page();
    for told in [
        "### `kafka.session_timeout`\n\nTime, from 1s to 30m; by default `\"10s\"`.\n",
        "### `esme.window`\n\nWhole number, from 1 to 10000; by default `100`.\n",
        "### `esme.registered_delivery`\n\nWhole number, from 0 to 31; by default `1`.\n",
        "### `esme.max_tps`\n\nNumber, from 0.01 to 1000000; by default `0.0`.\n",
        "### `submit.fetch_octets`\n\nSize, from 64KiB to 1GiB; by default `\"16MiB\"`.\n",
        "\n- `\"report\"`: It is reported",
        "\n- `{ per_partition = N }`: For each partition",
        "\n## `[[esme]]`\n",
        "\n## `[esme.timers]`\n",
    ] {
        assert!(page.contains(told), "{told}");
    }
}
