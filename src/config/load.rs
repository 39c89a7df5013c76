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

use super::environment::{Whose, meant, same_words, whose};
use super::problem::{Error, Origin, Problem, nearest};
use super::tree::{self, Path, Step, Tree};
use super::{Config, Property};
use crate::codes::{self, ErrorCode};
use smpp_protocol::text::table::Table;

/// The beginning of the variables that override keys.
pub const PREFIX: &str = "KAFKA_SMPP__";

/// Reads the configuration from `file` (without one: from the environment alone) and from
/// the variables in `env` that begin with [`PREFIX`]: `KAFKA_SMPP__SUBMIT__IN_DOUBT=resend`,
/// `KAFKA_SMPP__ESME__0__PASSWORD=...` or, by the ESME's name,
/// `KAFKA_SMPP__ESME__ACME__PASSWORD=...`. A variable whose name looks like one of these and is
/// none is an error.
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
        text: tree::where_and_why(text, &e),
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
    if reading.problems.is_empty() {
        Ok(config)
    } else {
        Err(Error::Problems(reading.problems))
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
        let mut ours: Vec<(String, String)> = env.into_iter().collect();
        ours.retain(|(name, _)| whose(name) != Whose::Others);
        ours.sort();
        for (name, value) in ours {
            match whose(&name) {
                Whose::Ours(path) => self.variable(&name, path, value),
                Whose::Misspelt(path) => {
                    let text = match meant(path, &self.esmes()) {
                        Some(meant) => format!("did you mean {meant}?"),
                        None => format!(
                            "write {PREFIX} and the key's path with __ between its parts, such as {PREFIX}LOG__LEVEL"
                        ),
                    };
                    let text = format!("there is no such variable; {text}");
                    self.bad_variable(&name, String::new(), text);
                }
                Whose::Others => {}
            }
        }
    }

    fn variable(&mut self, name: &str, path: &str, value: String) {
        let path = match self.path_of(path) {
            Ok(path) => path,
            Err((path, text)) => return self.bad_variable(name, path.to_string(), text),
        };
        let text = Value::String(value.clone());
        match self.tree.set(&path, text, name) {
            Ok(()) => {
                self.variables.insert(path.to_string(), value);
            }
            Err(text) => self.bad_variable(name, path.to_string(), text),
        }
    }

    fn bad_variable(&mut self, name: &str, key: String, text: String) {
        self.problems.push(Problem {
            code: codes::UNKNOWN_VARIABLE,
            key,
            origin: Origin::Variable(name.to_owned()),
            value: None,
            text,
        });
    }

    /// The key of a variable, or what is wrong with it.
    fn path_of(&self, name: &str) -> Result<Path, (Path, String)> {
        let mut path = Path::default();
        for part in name.split("__") {
            let part = part.to_lowercase();
            let within = path.last_key();
            let step = match within {
                Some("esme") if path.0.len() == 1 => match self.esme(&part) {
                    Ok(step) => step,
                    Err(text) => return Err((path, text)),
                },
                Some("properties" | "property_files") => Step::Key(part.replace('_', ".")),
                Some("headers") => Step::Key(part.replace('_', "-")),
                _ => Step::Key(part),
            };
            path = path.with(step);
        }
        Ok(path)
    }

    /// The names of the ESMEs as far as they are known.
    fn esmes(&self) -> Vec<String> {
        let all = self.tree.root.get("esme").and_then(Value::as_array);
        let name = |esme: &Value| Some(esme.get("name")?.as_str()?.to_owned());
        let names = all.into_iter().flatten().map(name);
        names.map(Option::unwrap_or_default).collect()
    }

    /// An ESME by its number or its name.
    fn esme(&self, part: &str) -> Result<Step, String> {
        if let Ok(index) = part.parse() {
            return Ok(Step::Index(index));
        }
        let esmes = self.esmes();
        let variable = |name: &String| -> String {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            name.to_lowercase().chars().map(plain).collect()
        };
        let mut same = (0..esmes.len()).filter(|index| variable(&esmes[*index]) == part);
        match (same.next(), same.next()) {
            (Some(index), None) => Ok(Step::Index(index)),
            (Some(one), Some(other)) => Err(format!(
                "two ESMEs may be meant, {:?} and {:?}: write their numbers, {one} and {other}",
                esmes[one], esmes[other]
            )),
            (None, _) if esmes.is_empty() => Err(format!(
                "no ESME is there: number them, such as {PREFIX}ESME__0__NAME"
            )),
            (None, _) => {
                let known: Vec<String> = esmes.iter().map(variable).collect();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                Err(match nearest(part, &known) {
                    Some(meant) => format!(
                        "no ESME is called so; did you mean {PREFIX}ESME__{}__...?",
                        meant.to_uppercase()
                    ),
                    None => format!("no ESME is called so; there are: {}", esmes.join(", ")),
                })
            }
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
        let value = if path.is_secret() {
            None
        } else {
            self.tree.get(path).map(short)
        };
        let unknown = message.starts_with("unknown field");
        let origin = self.tree.origin(&key);
        let words = match &origin {
            Origin::Variable(name) if unknown => name
                .strip_prefix(PREFIX)
                .and_then(|path| same_words(path, &self.esmes())),
            _ => None,
        };
        self.problems.push(Problem {
            code: if unknown {
                codes::UNKNOWN_KEY
            } else {
                codes::WRONG_TYPE
            },
            origin,
            key: key.clone(),
            value: value.filter(|_| !unknown),
            text: match words {
                Some(variable) => format!("there is no such key; did you mean {variable}?"),
                None => explain(message),
            },
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
                    Err(error) => {
                        let text = error.to_string();
                        self.bad_file(codes::ALPHABET_TABLE, key, Some(file), text);
                    }
                },
                Err(error) => {
                    self.bad_file(codes::FILE_MISSING, key, Some(file), unreadable(&error));
                }
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
        let http = &mut config.http;
        self.secret("http.token", &http.token_file, &mut http.token);
        let privacy = &mut config.privacy;
        self.secret(
            "privacy.numbers_key",
            &privacy.numbers_key_file,
            &mut privacy.numbers_key,
        );
        let log = &mut config.log;
        self.secret(
            "log.numbers_key",
            &log.numbers_key_file,
            &mut log.numbers_key,
        );
        let files = std::mem::take(&mut config.kafka.property_files);
        for (name, file) in &files {
            let key = Path::default().key("kafka").key("property_files").key(name);
            let key = key.to_string();
            if config.kafka.properties.contains_key(name) {
                let text = format!(
                    "set it in kafka.properties or in kafka.property_files, not in both: remove one {name}"
                );
                self.bad_file(codes::SET_TWICE, key, Some(file), text);
                continue;
            }
            // Certificates and keys in PEM have many lines.
            let read = read_secret(file, name.ends_with(".pem"));
            match read {
                Ok(value) => {
                    let value = Property(value);
                    config.kafka.properties.insert(name.clone(), value);
                }
                Err(text) => self.bad_file(codes::SECRET_FILE, key, Some(file), text),
            }
        }
        config.kafka.property_files = files;
        self.empty_secrets();
    }

    /// Whoever sets a variable to nothing meant it to hold something.
    fn empty_secrets(&mut self) {
        let empty = self.variables.iter().filter(|(_, value)| value.is_empty());
        let keys: Vec<String> = empty.map(|(key, _)| key.clone()).collect();
        for key in keys {
            if matches!(
                key.rsplit('.').next(),
                Some("password" | "token" | "numbers_key")
            ) {
                let text = "it is empty: set it, or leave the variable out if there is none";
                self.bad_file(codes::SECRET_MALFORMED, key, None, text);
            }
        }
    }

    /// Reads what stands in the file of a secret, if it has one.
    fn secret(&mut self, at: &str, file: &Option<PathBuf>, secret: &mut SecretString) {
        let Some(file) = file else { return };
        let key = format!("{at}_file");
        if !secret.expose_secret().is_empty() {
            let name = at.rsplit('.').next().unwrap_or(at);
            let text = format!("set {name} or {name}_file, not both");
            self.bad_file(codes::SET_TWICE, key, Some(file), text);
            return;
        }
        match read_secret(file, false) {
            Ok(text) => *secret = text.into(),
            Err(text) => self.bad_file(codes::SECRET_FILE, key, Some(file), text),
        }
    }

    /// Notes what is wrong with what stands in a file of its own, without what it holds.
    fn bad_file(
        &mut self,
        code: ErrorCode,
        key: String,
        file: Option<&FilePath>,
        text: impl Into<String>,
    ) {
        self.problems.push(Problem {
            code,
            origin: self.tree.origin(&key),
            key: key.clone(),
            value: file.map(|file| format!("{:?}", file.display().to_string())),
            text: text.into(),
        });
        self.wrong.push(key);
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("the file cannot be read: {error}")
}

/// The secret that stands in a file. What is wrong is said without it.
fn read_secret(file: &FilePath, many_lines: bool) -> Result<String, String> {
    if file.as_os_str().is_empty() {
        return Err("it is blank: name a file, or leave it out".into());
    }
    let octets = std::fs::read(file).map_err(|error| unreadable(&error))?;
    let wrong = |text: &str| Err(text.to_owned());
    let Ok(text) = String::from_utf8(octets) else {
        return wrong("the file is not UTF-8, perhaps UTF-16: write it anew as plain text");
    };
    if text.starts_with('\u{feff}') {
        return wrong(
            "the file begins with a byte order mark, as editors write it: save it without",
        );
    }
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return wrong("the file is empty: write the secret into it, or leave the key out");
    }
    if !many_lines && secret.contains(['\n', '\r']) {
        return wrong("the file has several lines: write nothing but the secret into it");
    }
    match blank_end(secret) {
        Some(text) if !many_lines => wrong(&format!("the secret in the file {text}")),
        _ => Ok(secret.to_owned()),
    }
}

/// What is wrong with a secret that begins or ends with a blank: nobody sees it, and the other
/// side refuses it as wrong.
pub(super) fn blank_end(secret: &str) -> Option<&'static str> {
    if secret.trim_end() != secret {
        return Some("ends with a blank: remove it");
    }
    (secret.trim_start() != secret).then_some("begins with a blank: remove it")
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
        "path string" | "a string" => "a text in quotes",
        other => other,
    }
}
