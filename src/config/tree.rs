//! The configuration as a tree of values, each with its origin, before it has types.

use std::collections::HashMap;
use std::fmt;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::problem::Origin;

/// One step from a table or list to what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way from the root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(pub Vec<Step>);

impl Path {
    pub fn key(&self, key: &str) -> Path {
        self.with(Step::Key(key.to_owned()))
    }

    pub fn with(&self, step: Step) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }

    /// Whether the value is, or is written beside, a secret.
    pub fn is_secret(&self) -> bool {
        self.0.iter().any(|step| match step {
            Step::Key(key) => matches!(
                key.as_str(),
                "password" | "token" | "properties" | "numbers_key" | "headers"
            ),
            Step::Index(_) => false,
        })
    }

    pub fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if n == 0 { "" } else { "." };
                    if key.contains('.') {
                        write!(f, "{dot}\"{key}\"")?
                    } else {
                        write!(f, "{dot}{key}")?
                    }
                }
            }
        }
        Ok(())
    }
}

impl From<&serde_path_to_error::Path> for Path {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let step = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { variant } => Some(Step::Key(variant.clone())),
            Segment::Unknown => None,
        };
        Path(path.iter().filter_map(step).collect())
    }
}

/// Where a text is not TOML, and why. What stands behind a key is not shown: it may be a secret without
/// its quotes.
pub(super) fn where_and_why(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message;
    };
    let from = before.rfind('\n').map_or(0, |end| end + 1);
    let (line, column) = (
        before.matches('\n').count() + 1,
        text[from..before.len()].chars().count() + 1,
    );
    let written = text[from..].lines().next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]\"".contains(c);
    let key = written.split_once('=').map(|(key, _)| key.trim());
    let key = key.filter(|key| key.len() < 80 && key.chars().all(plain));
    let key = key.map_or_else(String::new, |key| format!(" ({key} = ...)"));
    format!("line {line}, column {column}{key}: {message}")
}

/// Values and where they came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub root: Table,
    origins: HashMap<String, Origin>,
}

impl Tree {
    /// Reads TOML; the error is the parser's, with the line.
    pub fn parse(text: &str) -> Result<Tree, toml::de::Error> {
        let mut tree = Tree {
            root: text.parse()?,
            origins: HashMap::new(),
        };
        let spans = DeTable::parse(text)?;
        let lines = Lines::of(text);
        note(spans.get_ref(), &Path::default(), &lines, &mut tree.origins);
        Ok(tree)
    }

    /// Where the value at `key` (as displayed) came from; a variable may have set all around it, or
    /// something in it.
    pub fn origin(&self, key: &str) -> Origin {
        if let Some(origin) = self.origins.get(key) {
            return origin.clone();
        }
        let mut around = key;
        while let Some(end) = around.rfind(['.', '[']) {
            around = &key[..end];
            if let Some(origin @ Origin::Variable(_)) = self.origins.get(around) {
                return origin.clone();
            }
        }
        let is_within = |inner: &str| {
            let rest = inner.strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let within = self.origins.iter().filter(|(inner, _)| is_within(inner));
        let within = within.map(|(_, origin)| origin);
        within
            .filter(|origin| matches!(origin, Origin::Variable(_)))
            .min()
            .cloned()
            .unwrap_or(Origin::Absent)
    }

    pub fn get(&self, path: &Path) -> Option<&Value> {
        let (first, rest) = path.0.split_first()?;
        let Step::Key(key) = first else { return None };
        rest.iter().try_fold(self.root.get(key)?, child)
    }

    /// Sets a value from the environment, making the tables around it.
    pub fn set(&mut self, path: &Path, value: Value, variable: &str) -> Result<(), String> {
        let mut root = Value::Table(std::mem::take(&mut self.root));
        let done = place(&mut root, &path.0, value);
        if let Value::Table(table) = root {
            self.root = table;
        }
        done?;
        let set = path.to_string();
        // What stood below it in the file is gone.
        self.origins.retain(|key, _| {
            let below = key.strip_prefix(&set);
            !below.is_some_and(|rest| rest.starts_with(['.', '[']))
        });
        self.origins
            .insert(set, Origin::Variable(variable.to_owned()));
        Ok(())
    }

    /// Takes away the value at `path`; of a list's element, the whole list, so that the
    /// places of others stay. `false` if there is nothing there.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some(at) = path.0.iter().rposition(|s| matches!(s, Step::Key(_))) else {
            return false;
        };
        let (Step::Key(key), parents) = (&path.0[at], &path.0[..at]) else {
            return false;
        };
        let Some((first, rest)) = parents.split_first() else {
            return self.root.remove(key).is_some();
        };
        let Step::Key(first) = first else {
            return false;
        };
        let parent = rest.iter().try_fold(self.root.get_mut(first), |v, step| {
            Some(child_mut(v?, step))
        });
        match parent.flatten() {
            Some(Value::Table(table)) => table.remove(key).is_some(),
            _ => false,
        }
    }
}

fn child<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => value.as_table()?.get(key),
        Step::Index(index) => value.as_array()?.get(*index),
    }
}

fn child_mut<'a>(value: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match step {
        Step::Key(key) => value.as_table_mut()?.get_mut(key),
        Step::Index(index) => value.as_array_mut()?.get_mut(*index),
    }
}

fn place(value: &mut Value, steps: &[Step], new: Value) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        *value = new;
        return Ok(());
    };
    let empty = match rest.first() {
        Some(Step::Index(_)) => Value::Array(Vec::new()),
        _ => Value::Table(Table::new()),
    };
    match (step, value) {
        (Step::Key(key), Value::Table(table)) => {
            place(table.entry(key.clone()).or_insert(empty), rest, new)
        }
        (Step::Index(index), Value::Array(list)) => {
            if *index == list.len() {
                list.push(empty);
            }
            let found = list.len();
            match list.get_mut(*index) {
                Some(element) => place(element, rest, new),
                None => Err(format!(
                    "there are {found} of them, so the next is number {found}"
                )),
            }
        }
        _ => Err("what it belongs to is not a table".into()),
    }
}

fn note(table: &DeTable<'_>, at: &Path, lines: &Lines, origins: &mut HashMap<String, Origin>) {
    for (key, value) in table {
        let path = at.key(key.get_ref());
        origins.insert(path.to_string(), lines.origin(key.span().start));
        note_value(value, &path, lines, origins);
    }
}

fn note_value(
    value: &Spanned<DeValue<'_>>,
    at: &Path,
    lines: &Lines,
    origins: &mut HashMap<String, Origin>,
) {
    match value.get_ref() {
        DeValue::Table(table) => note(table, at, lines, origins),
        DeValue::Array(list) => {
            for (index, element) in list.iter().enumerate() {
                let path = at.with(Step::Index(index));
                origins.insert(path.to_string(), lines.origin(element.span().start));
                note_value(element, &path, lines, origins);
            }
        }
        _ => {}
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn origin(&self, at: usize) -> Origin {
        Origin::Line(self.0.partition_point(|end| *end < at) + 1)
    }
}
