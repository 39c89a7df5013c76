//! What is in the log: no text of a message, no number where they are to be masked, and in JSON the
//! fields that its page tells.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal::SIGTERM;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE};
use crate::harness::{FakeSmsc, Reply, Send, deliver_body, eventually};

/// Alone in the world: digits that no offset and no time has.
const NUMBERS: [&str; 3] = ["41798887761", "41798887762", "41798887763"];
const TEXT: &str = "Kanarienvogel";
const DELIVER_SM: u32 = 5;

/// Addresses as applications, phones and attackers write them.
fn spellings(number: &str) -> Vec<String> {
    let (country, rest) = number.split_at(2);
    let (area, rest) = rest.split_at(2);
    vec![
        number.to_owned(),
        format!("+{number}"),
        format!("00{country} {area} {rest}"),
        format!("+{country} ({area}) {}-{}", &rest[..3], &rest[3..]),
        format!("+{country}.{area}.{rest}"),
        format!("{country}/{area}/{rest}"),
        format!("tel:{number}x"),
        format!("{number}{number}"),
        format!("{area}\u{a0}{rest}"),
        format!("'{number}\"\n{number}"),
    ]
}

/// Records with such addresses, most of which are refused.
fn records(number: &str) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for (n, to) in spellings(number).iter().enumerate() {
        let text = format!("{TEXT} {n} {number}");
        for record in [
            json!({ "destination": to, "short_message": text, "source": to }),
            json!({ "destination": to, "short_message": text, "log_id": to }),
            json!({ "destination": { "number": to, "ton": number }, "short_message": text }),
            json!({ "destination": to, "short_message": { "hex": text } }),
            json!({ "destination": to, to: text }),
        ] {
            let octets = record.to_string().into_bytes();
            records.push(octets[..octets.len() - 3].to_vec());
            records.push(octets);
        }
    }
    records
}

/// What stands on internal topics, written by somebody else.
fn foreign(it: &Deployment, number: &str) {
    let values = [
        format!(r#"{{"esme": {number}, "message_id": "{TEXT} {number}"}}"#),
        format!(r#"{{"esme": "acme", "attempt": "{TEXT} {number}"}}"#),
        format!(r#"{{"received_at": "{TEXT} {number}"}}"#),
        format!("{TEXT} {number}"),
    ];
    for (topic, key) in [
        (
            "correlation",
            format!("acme/{number}/{}:0:1", it.topic("outbound")),
        ),
        ("correlation", format!("acme/x/@{number}")),
        ("correlation", number.to_owned()),
        ("deliveries", format!("acme/{number}")),
        ("deliveries", number.to_owned()),
    ] {
        let records = values.each_ref().map(|value| Send {
            partition: Some(0),
            key: Some(&key),
            value: Some(value.as_bytes()),
            ..Send::default()
        });
        it.kafka.produce(&it.topic(topic), &records);
    }
}

/// What an SMSC delivers.
fn deliver(smsc: &FakeSmsc, number: &str) {
    for (n, from) in spellings(number).iter().enumerate() {
        let from = from.replace('\n', " ");
        let from: String = from.chars().take(20).collect();
        smsc.deliver(0, &from, number, format!("{TEXT} {n}").as_bytes());
        // The first of two segments.
        let mut segment = vec![5, 0, 3, u8::try_from(n).expect("few"), 2, 1];
        segment.extend(TEXT.as_bytes());
        smsc.deliver(0x40, &from, number, &segment);
    }
    smsc.receipt_from(number, number);
    smsc.receipt_from("STRANGE", number);
    // One whose text is longer than its PDU, and one that is none.
    let mut body = deliver_body(0, 0, number, number, TEXT.as_bytes());
    body.truncate(body.len() - 4);
    smsc.request(DELIVER_SM, &body);
}

/// What a connector logs that meets all this.
fn logged(numbers: &str, format: &str) -> String {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["log"] = json!({ "level": "trace", "format": format, "numbers": numbers });
    it.config["inbound"] = json!({ "reassembly_ttl": "2s" });
    it.config["correlate"]["early_receipt_grace"] = json!("16s");
    let mut refused = 0;
    smsc.script(move |_| {
        refused += 1;
        match refused % 3 {
            0 => Reply::Status(0x58),
            1 => Reply::Status(0x0B),
            _ => Reply::Accept,
        }
    });
    let mut connector = it.start();
    smsc.wait_bound(1);
    let mut sent = 0;
    for number in NUMBERS {
        let records = records(number);
        sent += records.len();
        let records: Vec<Send<'_>> = (records.iter())
            .map(|value| Send {
                partition: Some(0),
                value: Some(value),
                ..Send::default()
            })
            .collect();
        it.kafka.produce(&it.topic("outbound"), &records);
        foreign(&it, number);
        deliver(&smsc, number);
    }
    let terminal = || {
        let events = it.events();
        events
            .iter()
            .filter(|event| event["terminal"] == true)
            .count()
    };
    eventually("all end", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(300));
        terminal() >= sent
    });
    connector.signal(SIGTERM);
    connector.wait(Duration::from_secs(20));
    connector.log()
}

/// A line as `docs/log.md` tells of it.
#[derive(Default)]
struct Told {
    level: String,
    text: String,
    fields: BTreeSet<String>,
}

impl Told {
    /// Whether this is a line with that text: a word in braces stands for anything.
    fn says(&self, message: &str) -> bool {
        let mut rest = message;
        let mut pieces = self.text.split(['{', '}']).step_by(2);
        let first = pieces.next().unwrap_or_default();
        let Some(after) = rest.strip_prefix(first) else {
            return false;
        };
        rest = after;
        pieces.all(|piece| match rest.find(piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }
}

/// What the page tells: the fields of every line, those of lines below `info`, and each line.
fn told() -> (BTreeSet<String>, BTreeSet<String>, Vec<Told>) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/log.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (every, lines) = page.split_once("\n## The process").expect("its parts");
    let field = |line: &str| {
        let field = line.strip_prefix("- `")?.split_once('`')?.0;
        Some(field.to_owned())
    };
    let (_, every) = every.split_once("## The fields of every line").expect("it");
    let (json, _) = every.split_once("\n\nThere are no spans").expect("it");
    let (_, below) = every.split_once("lines below `info` are ").expect("it");
    let (below, _) = below.split_once(".\n").expect("it");
    let below = below.split('`').skip(1).step_by(2).map(str::to_owned);
    let mut told: Vec<Told> = Vec::new();
    for line in lines.lines() {
        if let Some(heading) = line.strip_prefix("### `") {
            let (_, level) = heading.split_once(" (").expect("a level");
            told.push(Told {
                level: level.trim_end_matches(')').to_uppercase(),
                ..Told::default()
            });
        } else if let (Some(text), Some(last)) = (line.strip_prefix("> "), told.last_mut()) {
            last.text = text.to_owned();
        } else if let (Some(field), Some(last)) = (field(line), told.last_mut()) {
            last.fields.insert(field);
        }
    }
    (
        json.lines().filter_map(field).collect(),
        below.collect(),
        told,
    )
}

/// Whether each of our lines has the fields that the page tells of it, and no others.
fn only_documented_fields(log: &str) {
    let (every, below, told) = told();
    assert!(
        every.contains("timestamp") && told.len() > 90,
        "the page is read"
    );
    let mut seen = 0;
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let line: serde_json::Map<String, Value> = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let (level, message, target) = (text("level"), text("message"), text("target"));
        let more = line.keys().filter(|name| !every.contains(*name));
        let more: BTreeSet<&String> = more.collect();
        for name in every.iter().filter(|name| *name != "error_code") {
            assert!(line.contains_key(name), "no {name}: {line:?}");
        }
        assert!(line.values().all(|value| !value.is_object()), "{line:?}");
        let ours = ["kafka_smpp", "smpp_esme", "librdkafka"];
        if !ours.contains(&target.split(':').next().unwrap_or_default()) {
            continue;
        }
        seen += 1;
        let documented = if matches!(level, "DEBUG" | "TRACE") {
            more.iter().all(|name| below.contains(*name))
        } else {
            told.iter().any(|told| {
                let all = more.iter().all(|name| told.fields.contains(*name));
                told.level == level && told.says(message) && all
            })
        };
        assert!(documented, "{more:?} of {line:?}");
    }
    assert!(seen > 20, "{seen} lines of ours");
}

/// The digits of a line, whatever stands between them.
fn digits(line: &str) -> String {
    line.chars().filter(char::is_ascii_digit).collect()
}

#[test]
fn no_text_of_a_message_is_in_the_log_and_no_number_where_they_are_masked() {
    let settings = [("last4", "json"), ("hash", "text"), ("full", "json")];
    let logs = std::thread::scope(|scope| {
        let running = settings.map(|(numbers, format)| scope.spawn(|| logged(numbers, format)));
        running.map(|one| one.join().expect("it ends"))
    });
    for ((numbers, format), log) in settings.into_iter().zip(logs) {
        assert!(log.contains("TRACE"), "it is at trace");
        for line in log.lines() {
            assert!(!line.contains(TEXT), "{numbers}: {line}");
        }
        let found = |number: &&str| {
            let national = &number[2..];
            log.lines().find(|line| digits(line).contains(national))
        };
        let found: Vec<&str> = NUMBERS.iter().filter_map(found).collect();
        if format == "json" {
            only_documented_fields(&log);
        }
        if numbers == "full" {
            assert!(!found.is_empty(), "there is something to mask");
        } else {
            assert!(found.is_empty(), "{numbers}: {found:#?}");
        }
    }
}
