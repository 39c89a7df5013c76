//! Cases from the field as tables: `decode.toml`, `receipts.toml`, `encode.toml`, `texts.toml`.
//!
//! A group is one run of the program: its `command`, the exit `code` that it ends with (0 if it is
//! left out), and the `config` that lies beside it as `c.toml`. Each case is a line of its standard
//! input; `<b*152>` in it stands for 152 letters. What is expected of the JSON that comes out is one
//! line each: a path of keys and indexes, and the value there, `(absent)` if there is none, or
//! `{ has = "..." }` of a text that contains something. `tlv:NAME` is the parameter of that name or
//! number, `length` a list's or a text's; `#2.` begins a path in the second object of the same line.

use std::collections::BTreeMap;

use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    command: Vec<String>,
    #[serde(default)]
    code: i32,
    #[serde(default)]
    config: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    input: String,
    expect: BTreeMap<String, Value>,
}

/// Runs every group of a table, and says of all cases together what did not come out.
pub fn run(table: &str) {
    let table: Table = toml::from_str(table).unwrap();
    let wrong: Vec<String> = table.group.iter().flat_map(Group::run).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Group {
    fn run(&self) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.toml"), &self.config).unwrap();
        let mut command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        if command.contains(&"--esme") {
            command.extend(["--config", "c.toml"]);
        }
        let input: String = self.case.iter().map(|case| written(&case.input)).collect();
        let output = super::kafka_smpp(dir.path())
            .args(&command)
            .write_stdin(input)
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let objects: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut wrong = Vec::new();
        if output.status.code() != Some(self.code) {
            let said = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!("{command:?} ended with {}: {said}", output.status));
        }
        for (index, case) in self.case.iter().enumerate() {
            let mine = objects.iter().filter(|object| object["line"] == index + 1);
            let mine: Vec<&Value> = mine.collect();
            wrong.extend(case.expect.iter().filter_map(|(path, wanted)| {
                let came = at(&mine, path);
                let what = &case.what;
                (!fits(came.as_ref(), wanted)).then(|| {
                    format!("{command:?}, {what}: {path} should be {wanted}, came {came:?}")
                })
            }));
        }
        wrong
    }
}

/// A case's input as a line of its own.
fn written(input: &str) -> String {
    let repeated = Regex::new(r"<(.)\*(\d+)>").unwrap();
    let line = repeated.replace_all(input, |found: &Captures<'_>| {
        found[1].repeat(found[2].parse().unwrap())
    });
    format!("{line}\n")
}

fn at(objects: &[&Value], path: &str) -> Option<Value> {
    let (number, path) = match path.strip_prefix('#').and_then(|rest| rest.split_once('.')) {
        Some((number, path)) => (number.parse().unwrap(), path),
        None => (1, path),
    };
    let mut value: Value = (*objects.get(number - 1)?).clone();
    for key in path.split('.') {
        value = step(&value, key)?;
    }
    (!value.is_null()).then_some(value)
}

fn step(value: &Value, key: &str) -> Option<Value> {
    if let Some(name) = key.strip_prefix("tlv:") {
        let tlvs = value["tlvs"].as_array()?;
        let number = name
            .strip_prefix("0x")
            .map(|n| u16::from_str_radix(n, 16).unwrap());
        let is_meant = |tlv: &&Value| match number {
            Some(number) => tlv["tag"] == number,
            None => tlv["name"] == name,
        };
        return tlvs.iter().find(is_meant).cloned();
    }
    match (value, key) {
        (Value::Array(list), "length") => Some(list.len().into()),
        (Value::String(text), "length") => Some(text.chars().count().into()),
        (Value::Array(list), index) => list.get(index.parse::<usize>().ok()?).cloned(),
        (other, key) => other.get(key).cloned(),
    }
}

fn fits(came: Option<&Value>, wanted: &Value) -> bool {
    match (came, wanted) {
        (None, wanted) => wanted == "(absent)",
        (Some(Value::String(came)), Value::Object(wanted)) => wanted["has"]
            .as_str()
            .is_some_and(|part| came.contains(part)),
        (Some(came), wanted) => came == wanted,
    }
}
