//! All lines that this program writes at `info` and above, as `docs/log.md` tells of them.
//!
//! Each part declares its own in a table of its `notices` module; there is no other way to write one.
//! `MAKE_DOCS=1 cargo test --lib notices` makes the page anew.

use std::collections::BTreeSet;
#[cfg(test)]
use std::fmt::Write;
use std::sync::LazyLock;

use plain_telemetry::{Notice, Row};

use crate::{
    cli, connector, control, correlate, deliver, http, kafka, ops, record, registry, replay, submit,
};

/// The tables of all parts, each with what it is about.
const PARTS: [(&str, &[Row]); 14] = [
    ("The process", ops::notices::NOTICES),
    ("`kafka-smpp run`", cli::notices::NOTICES),
    ("The connector", connector::notices::NOTICES),
    ("Binds", smpp_esme::NOTICES),
    ("Submitting", submit::notices::NOTICES),
    ("What SMSCs deliver", deliver::notices::NOTICES),
    ("Correlating", correlate::notices::NOTICES),
    ("Kafka", kafka::notices::NOTICES),
    ("The schema registry", registry::notices::NOTICES),
    ("Steering", control::notices::NOTICES),
    ("HTTP", http::notices::NOTICES),
    ("Records", record::notices::NOTICES),
    ("`kafka-smpp replay`", replay::notices::NOTICES),
    ("`kafka-smpp smsc`", smsc_simulator::NOTICES),
];

#[cfg(test)]
const HEAD: &str = "\
# What the log says

Every line that `kafka-smpp` writes at `info` and above, by part, made from the tables that the
program writes them from (`MAKE_DOCS=1 cargo test --lib notices`). Texts and names of fields keep
their meaning; a word in braces stands for what varies in a text. Lines at `debug` are for those who
work on the program, and may change. Every line at `warn` and `error` has a field `error_code`:
`kafka-smpp explain` and [errors](errors/README.md) tell more of it. What to do in the usual cases is in a table of the
[README](../README.md#when-something-is-wrong).

Lines about what may happen many times are written at once the first time, and then as a count:
`times` (or what is counted) since the last such line, `within` the time since then.
";

#[cfg(test)]
fn page() -> String {
    let mut page = HEAD.to_owned();
    for (part, rows) in PARTS {
        let _ = write!(page, "\n## {part}\n");
        for row in rows {
            describe(row.get(), &mut page);
        }
    }
    page
}

#[cfg(test)]
fn describe(notice: &Notice, page: &mut String) {
    let level = notice.level.as_str().to_lowercase();
    let _ = write!(page, "\n### `{}` ({level})\n\n", notice.name());
    let _ = write!(page, "> {}\n\n{}\n", notice.text, plain(notice.about));
    if let Some(code) = notice.code {
        let _ = write!(page, "\nError code: [{code}](errors/{code}.md).\n");
    }
    if !notice.fields.is_empty() {
        page.push('\n');
    }
    for field in notice.fields {
        let _ = writeln!(page, "- `{}`: {}", field.name, plain(field.about));
    }
}

/// Each line that there is.
pub fn all() -> impl Iterator<Item = &'static Notice> {
    PARTS
        .iter()
        .flat_map(|(_, rows)| rows.iter())
        .map(|row| row.get())
}

/// Whether an event of this name is one of these lines.
pub fn is_one(name: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<&str>> =
        LazyLock::new(|| all().map(Notice::type_name).collect());
    NAMES.contains(name)
}

/// The lines of a comment as the paragraphs that they are.
pub fn plain(about: &str) -> String {
    let paragraphs = about.split("\n\n").map(|paragraph| {
        let lines = paragraph.lines().map(str::trim);
        lines.collect::<Vec<_>>().join(" ").trim().to_owned()
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[test]
fn every_line_is_on_its_page() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/log.md");
    if std::env::var_os("MAKE_DOCS").is_some() {
        std::fs::write(file, page()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/log.md is not what the tables say: MAKE_DOCS=1 cargo test --lib notices"
    );
}

#[test]
fn every_name_stands_for_one_line() {
    let mut names: Vec<String> = all().map(Notice::name).collect();
    names.sort();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two lines of one name");
    }
}
