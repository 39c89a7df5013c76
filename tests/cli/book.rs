//! What stands on the pages holds: every command is one that the program knows, those that need neither
//! Kafka nor a running connector are run, configurations and records are read.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::error::ErrorKind;
use toml::{Table, Value};

use super::pages::{Code, SHELL, blocks, code, commands, ours, root};

/// What begins a line in a block of a shell and is run by no test: other people's programs, what
/// takes long, and what has its own test.
const ELSEWHERE: &[&str] = &[
    ".ci/run",
    "cargo",
    "curl",
    "deploy/build",
    "docker",
    "fuzz/run",
    "helm",
    "kafka-acls.sh",
    "kafka-configs.sh",
    "kafka-topics.sh",
    "kubectl",
    "mdbook",
    "rustup",
];

/// Commands that need nothing: these are run.
const ALONE: &[&str] = &[
    "check",
    "completions",
    "config",
    "decode",
    "encode",
    "explain",
    "receipt",
    "segments",
    "text",
    "version",
];

/// What a piece of a configuration is put into.
const BASE: &str = r#"
[[esme]]
name = "acme"
outbound = ["sms.outbound"]
hosts = ["127.0.0.1:2775"]
system_id = "acme"
"#;

fn parse(args: &[String]) -> Result<(), clap::Error> {
    let program = std::iter::once("kafka-smpp");
    let words = program.chain(args.iter().map(String::as_str));
    match kafka_smpp::cli::command().try_get_matches_from(words) {
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(()),
        Err(error) if error.kind() == ErrorKind::DisplayVersion => Ok(()),
        result => result.map(|_| ()),
    }
}

#[test]
fn lines_of_a_shell_are_taken_apart() {
    let text = "A=1 kafka-smpp run & # all\nx | kafka-smpp decode \\\n 'a b' > c; y \"d\"e\n";
    let expected: [&[&str]; 4] = [
        &["A=1", "kafka-smpp", "run"],
        &["x"],
        &["kafka-smpp", "decode", "a b"],
        &["y", "de"],
    ];
    assert_eq!(commands(text), expected);
    let line = commands("A=1 kafka-smpp run").remove(0);
    let (variables, args) = ours(&line).unwrap();
    assert_eq!(variables, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(args, ["run"]);
    assert!(ours(&commands("docker compose up").remove(0)).is_none());
}

#[test]
fn every_command_in_a_block_is_known() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for block in blocks(SHELL) {
        for words in commands(&block.text) {
            let Some((_, args)) = ours(&words) else {
                let variables = words.iter().take_while(|word| word.contains('='));
                let program = &words[variables.count().min(words.len() - 1)];
                if !ELSEWHERE.contains(&program.as_str()) {
                    wrong.push(format!("{}: {program}: no test knows it", block.page));
                }
                continue;
            };
            seen += 1;
            if let Err(error) = parse(args) {
                wrong.push(format!("{}: {}: {error}", block.page, args.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "only {seen} commands found");
}

/// A command in a sentence may leave out what it needs; what it has must be known. In capitals stands
/// what the reader puts in, which is a number here, because that goes everywhere.
fn known_in_a_sentence(text: &str) -> Result<(), String> {
    let is_placeholder =
        |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()) || word == "N";
    for words in commands(text) {
        let Some((_, args)) = ours(&words) else {
            continue;
        };
        let args = args.iter().map(|word| {
            if is_placeholder(word) {
                "1".to_owned()
            } else {
                word.clone()
            }
        });
        let args: Vec<String> = args.collect();
        let error = match parse(&args) {
            Ok(()) => continue,
            Err(error) => error,
        };
        let is_short = matches!(
            error.kind(),
            ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        // `--to` in the middle of a sentence has its value in the next words.
        if !is_short && !error.to_string().contains("value is required") {
            return Err(error.to_string());
        }
    }
    Ok(())
}

#[test]
fn every_command_in_a_sentence_is_known() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for line in code().into_iter().filter(|code| code.language.is_none()) {
        let text = line.text.replace("<earliest|latest>", "earliest");
        let is_command = text.starts_with("kafka-smpp ") && !text.contains("...");
        if !is_command || text == "kafka-smpp COMMAND --help" {
            continue;
        }
        seen += 1;
        if let Err(error) = known_in_a_sentence(&text) {
            wrong.push(format!("{}: {text}: {error}", line.page));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "only {seen} commands found");
}

/// A configuration for commands that want one, and the files that it names.
fn configuration(dir: &Path) -> PathBuf {
    let file = dir.join("c.toml");
    std::fs::write(&file, BASE).unwrap();
    file
}

#[test]
fn commands_that_need_nothing_do_what_they_are_shown_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = configuration(dir.path());
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for block in blocks(SHELL) {
        for words in commands(&block.text) {
            let Some((variables, args)) = ours(&words) else {
                continue;
            };
            let name = args.first().map_or("", String::as_str);
            let needs_more = ["--connect", "--topic", "--config", "-h", "smpp.pcapng"];
            let alone =
                ALONE.contains(&name) || args.starts_with(&["schemas".into(), "show".into()]);
            if !alone || args.iter().any(|arg| needs_more.contains(&arg.as_str())) {
                continue;
            }
            seen += 1;
            let output = super::kafka_smpp(root())
                .env("KAFKA_SMPP_CONFIG", &file)
                .envs(variables)
                .args(args)
                .output()
                .unwrap();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                wrong.push(format!("{}: {}: {said}", block.page, args.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 8, "only {seen} commands run");
}

/// Starts the simulated SMSC on a port that is free, and waits until it listens.
fn listens(args: &[String]) -> bool {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("kafka-smpp"));
    command.args(args).args(["--listen", "127.0.0.1:0"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What it says first, wherever, is that it listens.
    let output: Box<dyn std::io::Read> = Box::new(child.stdout.take().unwrap());
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let listens = lines.take(20).any(|line| line.contains("127.0.0.1:"));
    child.kill().unwrap();
    child.wait().unwrap();
    listens
}

#[test]
fn every_simulated_smsc_of_the_pages_listens() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for block in blocks(SHELL) {
        for words in commands(&block.text) {
            let Some((_, args)) = ours(&words) else {
                continue;
            };
            if args.first().is_some_and(|name| name == "smsc") {
                seen += 1;
                if !listens(args) {
                    wrong.push(format!("{}: {}", block.page, args.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 5, "only {seen} commands run");
}

/// Puts a file that is there into the place of each that is named: with a password in it, with a
/// longer secret, or with the certificate of an authority.
fn with_files(value: &mut Value, key: &str, file: &Path) {
    match value {
        Value::Table(table) => {
            let all_files = key == "property_files";
            for (name, value) in table.iter_mut() {
                let is_file = all_files || name.ends_with("_file") || name == "ssl.ca.location";
                if is_file && value.is_str() {
                    let ending = match name.as_str() {
                        "numbers_key_file" | "token_file" => "key",
                        name if name.contains("ca") => "pem",
                        _ => "",
                    };
                    *value = Value::String(file.with_extension(ending).display().to_string());
                } else {
                    with_files(value, name, file);
                }
            }
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|value| with_files(value, key, file)),
        _ => {}
    }
}

fn merge(into: &mut Table, piece: Table) {
    for (key, value) in piece {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(piece)) => merge(inner, piece),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// A whole configuration from a piece of one: what is not a table at the top is of the ESME.
fn completed(piece: Table) -> Table {
    let mut whole: Table = BASE.parse().unwrap();
    let mut piece = piece;
    if let Some(Value::Array(esmes)) = piece.get_mut("esme") {
        let base = whole["esme"][0].as_table().unwrap();
        for esme in esmes.iter_mut().filter_map(Value::as_table_mut) {
            for (key, value) in base {
                let is_one_of_two = key == "outbound" && esme.contains_key("lease_topic")
                    || key == "hosts" && esme.contains_key("outbind");
                if !is_one_of_two && !esme.contains_key(key) {
                    esme.insert(key.clone(), value.clone());
                }
            }
        }
        return piece;
    }
    let Some(Value::Array(list)) = whole.get_mut("esme") else {
        return piece;
    };
    let esme = list[0].as_table_mut().unwrap();
    let mut rest = Table::new();
    for (key, value) in piece {
        match (key.as_str(), value) {
            ("esme", Value::Table(piece)) => {
                if piece.contains_key("outbind") {
                    esme.remove("hosts");
                }
                merge(esme, piece);
            }
            (_, Value::Table(piece)) => {
                rest.insert(key, piece.into());
            }
            (_, value) => {
                esme.insert(key, value);
            }
        }
    }
    merge(&mut whole, rest);
    whole
}

#[test]
fn every_configuration_of_the_pages_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "hush").unwrap();
    std::fs::write(secret.with_extension("key"), "hush, hush, hush, hush").unwrap();
    let authority = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    std::fs::write(secret.with_extension("pem"), authority.cert.pem()).unwrap();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let package = root().join("deploy/debian/connector.toml");
    let of_package = Code {
        page: "deploy/debian/connector.toml".to_owned(),
        language: None,
        text: std::fs::read_to_string(package).unwrap(),
    };
    for block in blocks(&["toml"]).into_iter().chain([of_package]) {
        let piece: Table = match block.text.parse() {
            Ok(piece) => piece,
            Err(error) => {
                wrong.push(format!("{}: {error}", block.page));
                continue;
            }
        };
        // A program without spans refuses an address for them, and only that.
        let needs_otel = piece.contains_key("otel");
        let mut whole = completed(piece);
        for (name, value) in whole.iter_mut() {
            with_files(value, name, &secret);
        }
        let file = dir.path().join("c.toml");
        std::fs::write(&file, whole.to_string()).unwrap();
        let output = super::kafka_smpp(dir.path())
            .args(["check", "--config", "c.toml"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let only_otel = needs_otel && said.contains("has 1 error:") && said.contains("KS-1217");
        seen += 1;
        if !output.status.success() && !only_otel {
            wrong.push(format!("{}: {}\n{said}", block.page, block.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 15, "only {seen} configurations found");
}

#[test]
fn every_record_of_the_pages_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = configuration(dir.path());
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for block in blocks(&["json"]) {
        let value: serde_json::Value = match serde_json::from_str(&block.text) {
            Ok(value) => value,
            Err(error) => {
                wrong.push(format!("{}: {error}: {}", block.page, block.text));
                continue;
            }
        };
        // Of events and documents it is enough that they are JSON: other tests compare them.
        if value["short_message"].is_null() || !value["esme"].is_null() {
            continue;
        }
        seen += 1;
        let output = super::kafka_smpp(dir.path())
            .args(["encode", "--esme", "acme", "--config"])
            .arg(&file)
            .arg(value.to_string())
            .output()
            .unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            wrong.push(format!("{}: {said}", block.page));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 2, "only {seen} records found");
}
