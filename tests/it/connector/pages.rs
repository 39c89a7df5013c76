//! The commands of the documentation that need Kafka, an SMSC or a running connector, as they stand
//! there. (`tests/cli/book.rs` has those that need nothing.)

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::{Deployment, PATIENCE};
use crate::harness::{FakeSmsc, command, free_port, started};
use crate::pages;

/// What is to be there when a command is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    Running,
    Stopped,
}

/// When a command can be run; `None` for those that another test runs.
fn when(args: &[String]) -> Option<When> {
    let has = |word: &str| args.iter().any(|arg| arg == word);
    match args.first().map(String::as_str) {
        // Another configuration than the usual one, or Kafka's decoded PDUs.
        _ if has("--config") || has("--topic") && has("decode") => None,
        // It needs results of another cluster: rebuilt.rs has them.
        Some("offsets") if has("rebuild") => None,
        Some("topics") => Some(When::Before),
        Some("check") if has("--connect") => Some(When::Before),
        Some("send" | "tail" | "status" | "top") => Some(When::Running),
        Some("offsets" | "replay") => Some(When::Stopped),
        _ => None,
    }
}

/// The arguments with what is here in the place of what the page has.
fn here(args: &[String], it: &Deployment) -> Vec<String> {
    let mut before = "";
    let mut replaced = Vec::new();
    for arg in args {
        let value = match (before, arg.as_str()) {
            ("--replication", _) => "1".to_owned(),
            ("--partitions", _) => "2".to_owned(),
            ("--partition", _) => "0".to_owned(),
            ("--json", file) if file.ends_with(".json") => {
                format!("{}/examples/records/plain.json", env!("CARGO_MANIFEST_DIR"))
            }
            (_, "sms.outbound") => it.topic("outbound"),
            _ => arg.clone(),
        };
        replaced.push(value);
        before = arg;
    }
    replaced
}

/// The commands of all pages, each once, with a page that has it.
fn shown() -> BTreeMap<Vec<String>, String> {
    let mut all = BTreeMap::new();
    for block in pages::blocks(pages::SHELL) {
        for words in pages::commands(&block.text) {
            if let Some((_, args)) = pages::ours(&words) {
                all.insert(args.to_vec(), block.page.clone());
            }
        }
    }
    all
}

/// Runs a command to its end, or for a moment if it goes on until it is stopped.
fn run(toml: &str, args: &[String]) -> Result<(), String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if args.first() == Some(&"tail") {
        let mut tail = started(toml, &args);
        std::thread::sleep(Duration::from_millis(500));
        return if tail.ended().is_some() {
            Err(tail.log())
        } else {
            Ok(())
        };
    }
    let output = command(toml, &args);
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {said}", output.status))
}

#[test]
fn commands_of_the_pages_run_as_they_stand_there() {
    let smsc = FakeSmsc::start();
    smsc.send_receipts();
    let mut it = Deployment::new(smsc.port(), 2);
    it.config["http"] = json!({ "listen": format!("127.0.0.1:{}", free_port()) });
    it.esme()["source"] = json!("12345");
    let toml = it.toml();
    let commands = shown();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let mut run_all = |meant: When| {
        for (args, page) in commands
            .iter()
            .filter(|(args, _)| when(args) == Some(meant))
        {
            seen += 1;
            if let Err(said) = run(&toml, &here(args, &it)) {
                wrong.push(format!("{page}: {}: {said}", args.join(" ")));
            }
        }
    };
    run_all(When::Before);
    let mut connector = it.start();
    connector.wait_for_log("bound", PATIENCE);
    run_all(When::Running);
    connector.signal(Signal::SIGTERM);
    connector.wait(PATIENCE);
    run_all(When::Stopped);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 12, "only {seen} commands found");
}
