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
    cli, connector, control, correlate, deliver, deployment, http, kafka, ops, otel, record,
    registry, replay, submit, trace,
};

/// The tables of all parts, each with what it is about.
const PARTS: [(&str, &[Row]); 17] = [
    ("The process", ops::notices::NOTICES),
    ("`kafka-smpp run`", cli::notices::NOTICES),
    ("The connector", connector::notices::NOTICES),
    ("Binds", smpp_esme::NOTICES),
    ("Submitting", submit::notices::NOTICES),
    ("What SMSCs deliver", deliver::notices::NOTICES),
    ("Correlating", correlate::notices::NOTICES),
    ("Kafka", kafka::notices::NOTICES),
    ("The trace", trace::notices::NOTICES),
    ("Spans", otel::notices::NOTICES),
    ("The schema registry", registry::notices::NOTICES),
    ("Steering", control::notices::NOTICES),
    ("HTTP", http::notices::NOTICES),
    (
        "The processes of a deployment",
        deployment::notices::NOTICES,
    ),
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
`kafka-smpp explain` and [errors](errors/README.md) tell more of it. What to do in the usual cases is in
[when something is wrong](troubleshooting.md).

Lines about what may happen many times are written at once the first time, and then as a count:
`times` (or what is counted) since the last such line, `within` the time since then.

## The fields of every line

With `log.format = \"json\"` a line is one object. Its fields, all at the top:

- `timestamp`: When, in RFC 3339 and UTC, with six decimals.
- `level`: `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
- `message`: The text, with what varies put in for the words in braces.
- `target`: The module that says it, by which `log.level` takes and leaves lines. A line below has the target of its part, whichever place in the part says it; `librdkafka` is that of what Kafka's client says.
- `error_code`: Of our own lines at `WARN` and `ERROR`, by which `kafka-smpp explain` tells more.
- Each further field of the line, as it is told below: numbers and booleans as such, all others as strings. A field that has no value is left out.

There are no spans, and no nested objects. A line of a library (`rustls` and others, seldom above `debug`)
has `log.target` and `log.module_path` besides, and below `info` fields of its own; the fields of our own
lines below `info` are `abort`, `bind`, `code`, `command`, `committed`, `cycle`, `error`,
`esme`, `expired`, `first`, `host`, `index`, `kind`, `late`, `length`, `log_id`, `next`,
`offset`, `offsets`, `partition`, `partitions`, `produced`, `rate`, `reason`, `recorded_at`,
`recorded_level`, `recorded_target`, `records`, `sequence`, `severity`, `status`, `to`, `topic`,
`verdict` and `window`.

With `log.format = \"text\"` the same line is its time, level, target, text, and the fields as
`name=value`.

Texts of messages and passwords are in no line. Phone numbers are, in what is quoted of a key, an
address or a record that cannot be read, and where they are log ids or ids of messages, unless
`log.numbers` says otherwise:

- `full`: As they are.
- `last4`: `…4567`, the last four digits.
- `hash`: `#` and twelve hexadecimal digits, the same for one number whether it has `+`, `00`, blanks or
  neither: an HMAC-SHA-256 with `log.numbers_key`. With a key that all processes have, a number can be
  followed through all logs, and whoever knows the key can find the number by trying all. Without one
  each process makes a key of its own, which nobody knows and which ends with it: then hashes of
  different processes, or from before a restart, cannot be compared.

What is masked is every text with seven digits or more, but for names of topics, partitions, ESMEs, binds,
hosts and processes, IP addresses, days, and lengths of time and of memory. Events on topics are not masked:
they are for applications, and `log.numbers` is of the log.
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
