//! A JSON Schema and a commented example, both made from the types: what a key means is
//! said once, in its doc comment.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Config, Esme};

/// Comments are wrapped at this column.
const WIDTH: usize = 96;

/// The JSON Schema (2020-12) of the configuration.
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// The path of every key; of a list of tables, those of one of them.
pub(super) fn keys() -> Vec<Vec<String>> {
    leaves().into_iter().map(|(path, _)| path).collect()
}

/// The same, with what stands at each in the schema.
pub(super) fn leaves() -> Vec<(Vec<String>, Value)> {
    fn walk(root: &Value, table: &Value, at: &[String], found: &mut Vec<(Vec<String>, Value)>) {
        for (key, schema) in table["properties"].as_object().into_iter().flatten() {
            let inner = resolve(root, schema);
            let items = resolve(root, &inner["items"]);
            let is_list = items["properties"].is_object();
            let path = [at, std::slice::from_ref(key)].concat();
            let table = if is_list { items } else { inner };
            if table["properties"].is_object() {
                walk(root, table, &path, found);
            } else {
                found.push((path, schema.clone()));
            }
        }
    }
    let (schema, mut found) = (schema(), Vec::new());
    walk(&schema, &schema, &[], &mut found);
    found
}

/// What stands for a part of the schema: itself, or what it refers to.
pub(super) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|name| name.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

/// A configuration that is complete but for a password: every key, with its default and its
/// meaning. It can be read as it is.
pub fn example() -> String {
    let config = Config {
        esme: vec![Esme {
            name: "acme".into(),
            outbound: vec!["sms.outbound".into()],
            hosts: vec![
                "smsc1.example.net:2775".into(),
                "smsc2.example.net:2775".into(),
            ],
            system_id: "acme".into(),
            ..Esme::default()
        }],
        ..Config::default()
    };
    let schema = schema();
    let mut out = String::from(
        "# Configuration of kafka-smpp. Every key is here with its default; what is left out has it.\n\
         # The environment overrides keys: KAFKA_SMPP__SUBMIT__IN_DOUBT=resend,\n\
         # KAFKA_SMPP__ESME__ACME__PASSWORD=..., KAFKA_SMPP__KAFKA__PROPERTIES__SASL_PASSWORD=...\n\n",
    );
    let values = serde_json::to_value(config).unwrap_or_default();
    let writer = Writer { root: &schema };
    writer.table(&mut out, &schema, &values, "");
    out
}

struct Writer<'a> {
    root: &'a Value,
}

impl Writer<'_> {
    /// Writes what a table holds: plain keys first, because a table's heading ends them.
    fn table(&self, out: &mut String, schema: &Value, values: &Value, path: &str) {
        let none = Map::new();
        let keys = schema["properties"].as_object().unwrap_or(&none);
        let keys = keys.iter().filter(|(_, key)| key["deprecated"] != true);
        for (key, schema) in keys.clone().filter(|(_, s)| !self.is_table(s)) {
            self.plain(out, key, schema, &values[key]);
        }
        for (key, schema) in keys.filter(|(_, s)| self.is_table(s)) {
            let path = match path {
                "" => key.clone(),
                path => format!("{path}.{key}"),
            };
            out.push('\n');
            comment(out, schema);
            let inner = resolve(self.root, schema);
            match &values[key] {
                Value::Array(list) => {
                    for value in list {
                        let _ = writeln!(out, "[[{path}]]");
                        self.table(out, resolve(self.root, &inner["items"]), value, &path);
                    }
                }
                value => {
                    let _ = writeln!(out, "[{path}]");
                    self.open_table(out, inner, value);
                    self.table(out, inner, value, &path);
                }
            }
        }
    }

    fn plain(&self, out: &mut String, key: &str, schema: &Value, value: &Value) {
        comment(out, schema);
        let example = &schema["examples"][0];
        let _ = match value {
            Value::Null => writeln!(out, "# {key} = {}", literal(example)),
            value => writeln!(out, "{key} = {}", literal(value)),
        };
    }

    /// A table whose keys are the user's: what it holds, or an example of it.
    fn open_table(&self, out: &mut String, schema: &Value, value: &Value) {
        if schema["properties"].is_object() {
            return;
        }
        let entries = |value: &Value| value.as_object().cloned().unwrap_or_default();
        for (key, value) in entries(value) {
            let _ = writeln!(out, "{} = {}", key_literal(&key), literal(&value));
        }
        for (key, value) in entries(&schema["examples"][0]) {
            let _ = writeln!(out, "# {} = {}", key_literal(&key), literal(&value));
        }
    }

    fn is_table(&self, schema: &Value) -> bool {
        let inner = resolve(self.root, schema);
        inner["type"] == "object" || resolve(self.root, &inner["items"])["type"] == "object"
    }
}

pub(super) fn literal(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(value) => value.to_string(),
        Err(_) => "...".into(),
    }
}

fn key_literal(key: &str) -> String {
    if key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

fn comment(out: &mut String, schema: &Value) {
    let text = schema["description"].as_str().unwrap_or_default();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        let _ = writeln!(out, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn the_example_is_a_configuration_that_can_be_read() {
        let config = parse(&example(), []).unwrap();
        assert_eq!(config.esme[0].name, "acme");
        assert_eq!(config.submit, Config::default().submit);
        assert_eq!(
            config.kafka.fetch_buffer,
            Config::default().kafka.fetch_buffer
        );
    }

    #[test]
    fn every_key_of_the_schema_is_in_the_example_and_explained() {
        let (schema, example) = (schema(), example());
        let mut tables = vec![&schema];
        tables.extend(schema["$defs"].as_object().unwrap().values());
        for (key, property) in tables
            .iter()
            .filter_map(|table| table["properties"].as_object())
            .flatten()
            .filter(|(key, _)| !key.starts_with("per_"))
        {
            assert!(property["description"].is_string(), "{key}");
            if property["deprecated"] == true {
                continue;
            }
            let shown = [format!("{key} = "), format!("{key}]")];
            assert!(shown.iter().any(|s| example.contains(s)), "{key}");
            assert!(!example.contains(&format!("# {key} = ...")), "{key}");
        }
    }

    #[test]
    fn the_schema_refuses_unknown_keys() {
        assert_eq!(schema()["additionalProperties"], false);
        assert_eq!(schema()["$defs"]["Esme"]["additionalProperties"], false);
    }
}
