//! Reading a configuration.
//!
//! The file and the environment become one tree of values; the tree becomes a [`Config`].
//! serde stops at the first error, so each error is noted, its value is taken out of the
//! tree (the default stands in for it) and the reading begins again, until there is none;
//! then the values themselves are checked. That is how all errors come at once.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use toml::Value;

use super::problem::{Error, Origin, Problem, nearest};
use super::tree::{Path, Step, Tree};
use super::{Config, Property};
use crate::smpp::text::table::Table;

/// The beginning of the variables that override keys.
pub const PREFIX: &str = "KAFKA_SMPP__";

/// Reads the configuration from `file` (without one: from the environment alone) and from
/// the variables in `env` that begin with [`PREFIX`]: `KAFKA_SMPP__SUBMIT__IN_DOUBT=resend`,
/// `KAFKA_SMPP__ESME__0__PASSWORD=...` or, by the ESME's name,
/// `KAFKA_SMPP__ESME__ACME__PASSWORD=...`.
pub fn load(
    file: Option<&FilePath>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Error> {
    let text = match file {
        None => String::new(),
        Some(file) => std::fs::read_to_string(file).map_err(|error| Error::Unreadable {
            file: file.to_owned(),
            error,
        })?,
    };
    parse(&text, env).map_err(|error| match (error, file) {
        (Error::Syntax { text, .. }, Some(file)) => Error::Syntax {
            file: file.to_owned(),
            text,
        },
        (error, _) => error,
    })
}

/// As [`load`], from the text of a file.
pub fn parse(text: &str, env: impl IntoIterator<Item = (String, String)>) -> Result<Config, Error> {
    let tree = Tree::parse(text).map_err(|e| Error::Syntax {
        file: Default::default(),
        text: e.to_string(),
    })?;
    let mut reading = Reading {
        tree,
        problems: Vec::new(),
        wrong: Vec::new(),
        variables: BTreeMap::new(),
    };
    reading.environment(env);
    let mut config = reading.types();
    reading.files(&mut config);
    for mut problem in config.validate() {
        problem.origin = reading.tree.origin(&problem.key);
        if !reading.wrong.iter().any(|key| related(key, &problem.key)) {
            reading.problems.push(problem);
        }
    }
    reading.problems.sort_by(|a, b| a.origin.cmp(&b.origin));
    match reading.problems.is_empty() {
        true => Ok(config),
        false => Err(Error::Problems(reading.problems)),
    }
}

/// Whether a problem with one key may come of a problem with the other.
fn related(wrong: &str, key: &str) -> bool {
    wrong == key
        || wrong
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(['.', '[']))
        || key
            .strip_prefix(wrong)
            .is_some_and(|rest| rest.starts_with(['.', '[']))
}

struct Reading {
    tree: Tree,
    problems: Vec<Problem>,
    /// Keys that already have a problem.
    wrong: Vec<String>,
    /// What variables of the environment hold, by key: they are text until a type is known.
    variables: BTreeMap<String, String>,
}

impl Reading {
    fn environment(&mut self, env: impl IntoIterator<Item = (String, String)>) {
        let mut ours: Vec<_> = env
            .into_iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)))
            .collect();
        ours.sort();
        for (name, value) in ours {
            let path = self.path_of(&name);
            let variable = format!("{PREFIX}{name}");
            let text = Value::String(value.clone());
            match self.tree.set(&path, text, &variable) {
                Ok(()) => {
                    self.variables.insert(path.to_string(), value);
                }
                Err(text) => self.problems.push(Problem {
                    key: path.to_string(),
                    origin: Origin::Variable(variable),
                    value: None,
                    text,
                }),
            }
        }
    }

    fn path_of(&self, name: &str) -> Path {
        let mut path = Path::default();
        for part in name.split("__") {
            let part = part.to_lowercase();
            let within = path.last_key();
            let step = match within {
                Some("esme") if path.0.len() == 1 => self.esme(&part),
                Some("properties" | "property_files") => Step::Key(part.replace('_', ".")),
                _ => Step::Key(part),
            };
            path = path.with(step);
        }
        path
    }

    /// An ESME by its number or its name.
    fn esme(&self, part: &str) -> Step {
        if let Ok(index) = part.parse() {
            return Step::Index(index);
        }
        let same = |esme: &Value| {
            let name = esme.get("name").and_then(Value::as_str).unwrap_or_default();
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            name.to_lowercase().chars().map(plain).eq(part.chars())
        };
        let all = self.tree.root.get("esme").and_then(Value::as_array);
        match all.and_then(|all| all.iter().position(same)) {
            Some(index) => Step::Index(index),
            None => Step::Key(part.to_owned()),
        }
    }

    fn types(&mut self) -> Config {
        loop {
            let value = Value::Table(self.tree.root.clone());
            let mut track = serde_path_to_error::Track::new();
            let reader = serde_path_to_error::Deserializer::new(value, &mut track);
            let error = match Config::deserialize(reader) {
                Ok(config) => return config,
                Err(error) => error,
            };
            let path = Path::from(&track.path());
            let message = error.message().to_owned();
            if self.read_otherwise(&path, &message) {
                continue;
            }
            self.note(&path, &message);
            if !self.tree.remove(&path) {
                return Config::default();
            }
        }
    }

    /// A variable holds text; where that is not wanted, it is read as TOML, and for a list
    /// as its elements with commas between them.
    fn read_otherwise(&mut self, path: &Path, message: &str) -> bool {
        let key = path.to_string();
        let Some(text) = self.variables.get(&key) else {
            return false;
        };
        let value = match toml_value(text) {
            Some(value) if !value.is_str() => value,
            _ if message.contains("expected a sequence") => Value::Array(
                text.split(',')
                    .map(|part| Value::String(part.trim().to_owned()))
                    .collect(),
            ),
            _ => return false,
        };
        let Origin::Variable(variable) = self.tree.origin(&key) else {
            return false;
        };
        self.variables.remove(&key);
        self.tree.set(path, value, &variable).is_ok()
    }

    fn note(&mut self, path: &Path, message: &str) {
        let key = path.to_string();
        let value = match path.is_secret() {
            true => None,
            false => self.tree.get(path).map(short),
        };
        let unknown = message.starts_with("unknown field");
        self.problems.push(Problem {
            origin: self.tree.origin(&key),
            key: key.clone(),
            value: value.filter(|_| !unknown),
            text: explain(message),
        });
        self.wrong.push(key);
    }

    /// Reads what stands in files of its own.
    fn files(&mut self, config: &mut Config) {
        for (index, esme) in config.esme.iter_mut().enumerate() {
            let Some(file) = &esme.alphabet_file else {
                continue;
            };
            let key = format!("esme[{index}].alphabet_file");
            match std::fs::read_to_string(file) {
                Ok(text) => match Table::parse(&esme.name, &text) {
                    // It is needed as long as the process lives.
                    Ok(table) => esme.table = Some(Box::leak(Box::new(table))),
                    Err(error) => self.problems.push(Problem {
                        origin: self.tree.origin(&key),
                        key,
                        value: Some(format!("{:?}", file.display().to_string())),
                        text: error.to_string(),
                    }),
                },
                Err(error) => self.unreadable(key, file, &error),
            }
        }
        self.secrets(config);
    }

    fn secrets(&mut self, config: &mut Config) {
        for (index, esme) in config.esme.iter_mut().enumerate() {
            let at = format!("esme[{index}].password");
            self.secret(&at, &esme.password_file, &mut esme.password);
            let at = format!("esme[{index}].outbind.password");
            let outbind = &mut esme.outbind;
            self.secret(&at, &outbind.password_file, &mut outbind.password);
        }
        let registry = &mut config.schema_registry;
        let at = "schema_registry.password";
        self.secret(at, &registry.password_file, &mut registry.password);
        let at = "schema_registry.token";
        self.secret(at, &registry.token_file, &mut registry.token);
        let files = std::mem::take(&mut config.kafka.property_files);
        for (name, file) in &files {
            let key = Path::default().key("kafka").key("property_files").key(name);
            match std::fs::read_to_string(file) {
                Ok(text) => {
                    let value = Property(first_line(&text).to_owned());
                    config.kafka.properties.insert(name.clone(), value);
                }
                Err(error) => self.unreadable(key.to_string(), file, &error),
            }
        }
        config.kafka.property_files = files;
    }

    /// Reads what stands in the file of a secret, if it has one.
    fn secret(&mut self, at: &str, file: &Option<PathBuf>, secret: &mut SecretString) {
        let Some(file) = file else { return };
        let key = format!("{at}_file");
        if !secret.expose_secret().is_empty() {
            let name = at.rsplit('.').next().unwrap_or(at);
            self.problems.push(Problem {
                origin: self.tree.origin(&key),
                key,
                value: None,
                text: format!("set {name} or {name}_file, not both"),
            });
            return;
        }
        match std::fs::read_to_string(file) {
            Ok(text) => *secret = first_line(&text).into(),
            Err(error) => self.unreadable(key, file, &error),
        }
    }

    fn unreadable(&mut self, key: String, file: &FilePath, error: &std::io::Error) {
        self.problems.push(Problem {
            origin: self.tree.origin(&key),
            key,
            value: Some(format!("{:?}", file.display().to_string())),
            text: format!("the file cannot be read: {error}"),
        });
    }
}

fn first_line(text: &str) -> &str {
    text.trim_end_matches(['\n', '\r'])
}

fn toml_value(text: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    match table.len() {
        1 => table.get("value").cloned(),
        _ => None,
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Table(_) => "{ ... }".into(),
        Value::Array(list) if list.len() > 3 => "[ ... ]".into(),
        other => other.to_string(),
    }
}

/// serde's message in words for people.
fn explain(message: &str) -> String {
    let message = message.trim();
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (word, known) = words.split_first().map_or(("", &[][..]), |(w, k)| (*w, k));
    if message.starts_with("unknown field") {
        return match nearest(word, known) {
            Some(known) => format!("there is no such key; did you mean `{known}`?"),
            None => format!("there is no such key; there are: {}", known.join(", ")),
        };
    }
    if message.starts_with("unknown variant") {
        return format!("write one of: {}", known.join(", "));
    }
    if let Some((what, expected)) = message.split_once(", expected ")
        && what.starts_with("invalid")
    {
        return format!("write {}", wanted(expected));
    }
    message.to_owned()
}

fn wanted(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        "a boolean" => "true or false",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other if other.contains("enum") => "one of its words, as a string",
        other => other,
    }
}
