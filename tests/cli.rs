//! The command line from outside: what it prints, where, and its exit codes. No Kafka here.

#![allow(clippy::unwrap_used)]

#[path = "cli/book.rs"]
mod book;
mod pages;
#[path = "cli/table.rs"]
mod table;

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn kafka_smpp(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("kafka-smpp").unwrap();
    command.current_dir(dir).env_clear();
    command
}

fn write(dir: &Path, text: &str) {
    std::fs::write(dir.join("connector.toml"), text).unwrap();
}

const GOOD: &str = r#"
[[esme]]
name = "acme"
outbound = ["sms.outbound"]
hosts = ["127.0.0.1:2775"]
system_id = "acme"
password = "hush"
"#;

/// The commands that `--help` lists, in its order.
fn commands() -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let help = kafka_smpp(dir.path()).arg("--help").assert().success();
    let help = String::from_utf8(help.get_output().stdout.clone()).unwrap();
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    // A text that needs several lines goes on below itself, not below the name.
    let names = list.filter_map(|line| line.strip_prefix("  "));
    let names = names.filter_map(|line| line.split_once(' '));
    let names = names.map(|(name, _)| name.to_owned());
    names
        .filter(|name| !name.is_empty() && name != "help")
        .collect()
}

#[test]
fn every_command_has_its_help_and_wrong_usage_is_64() {
    let dir = tempfile::tempdir().unwrap();
    let commands = commands();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        kafka_smpp(dir.path())
            .args([&command, "--help"])
            .assert()
            .success();
    }
    kafka_smpp(dir.path())
        .arg("chekc")
        .assert()
        .code(64)
        .stderr(contains("'check'"));
}

#[test]
fn the_documentation_lists_every_command_and_no_other() {
    let page = include_str!("../docs/commands.md");
    let rows = page.lines().filter_map(|row| row.strip_prefix("| `"));
    let names: Vec<&str> = rows
        .filter_map(|row| Some(row.split_once('`')?.0))
        .collect();
    assert_eq!(
        names,
        commands(),
        "the list of docs/commands.md, and that of --help"
    );
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    kafka_smpp(dir.path())
        .args(["man", "pages"])
        .assert()
        .success();
    for command in commands() {
        let page = dir.path().join(format!("pages/kafka-smpp-{command}.1"));
        let page = std::fs::read_to_string(page).unwrap();
        let title = format!(".TH kafka-smpp-{command} 1");
        assert!(page.contains(&title), "{command}: {page}");
    }
    let whole = kafka_smpp(dir.path()).arg("man").assert().success();
    let whole = String::from_utf8(whole.get_output().stdout.clone()).unwrap();
    let written = std::fs::read_to_string(dir.path().join("pages/kafka-smpp.1")).unwrap();
    assert_eq!(whole, written);
    std::fs::write(dir.path().join("file"), "").unwrap();
    kafka_smpp(dir.path())
        .args(["man", "file"])
        .assert()
        .code(74)
        .stderr(contains("file: ").and(contains("name a folder")));
}

#[test]
fn the_example_passes_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let example = kafka_smpp(dir.path())
        .args(["config", "example"])
        .assert()
        .success();
    write(
        dir.path(),
        std::str::from_utf8(&example.get_output().stdout).unwrap(),
    );
    kafka_smpp(dir.path())
        .arg("check")
        .assert()
        .success()
        .stdout(contains("acme").and(contains("The configuration is good.")));
}

#[test]
fn what_is_set_and_no_longer_used_is_said_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &format!("{GOOD}inbound_window = 100\n"));
    kafka_smpp(dir.path())
        .arg("check")
        .assert()
        .success()
        .stderr(
            contains("warning[KS-1112]: ")
                .and(contains("inbound_window is no longer used, take it out"))
                .and(contains("inbound.buffer (64MiB)")),
        );
}

#[test]
fn the_schema_is_json() {
    let dir = tempfile::tempdir().unwrap();
    let schema = kafka_smpp(dir.path())
        .args(["config", "schema"])
        .assert()
        .success();
    let schema: serde_json::Value = serde_json::from_slice(&schema.get_output().stdout).unwrap();
    assert!(schema["properties"]["esme"].is_object());
}

#[test]
fn a_wrong_configuration_is_78_with_every_error_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &GOOD
            .replace("hosts", "host")
            .replace("hush", "hush-hush-hush"),
    );
    kafka_smpp(dir.path())
        .arg("check")
        .env("KAFKA_SMPP__SUBMIT__IN_DOUBT", "perhaps")
        .assert()
        .code(78)
        .stdout("")
        .stderr(
            contains("error[KS-1103]: the configuration has 4 errors")
                .and(contains(
                    "[KS-1104] line 5: esme[0].host: there is no such key; did you mean `hosts`?",
                ))
                .and(contains("line 7: esme[0].password"))
                .and(contains("KAFKA_SMPP__SUBMIT__IN_DOUBT: submit.in_doubt"))
                .and(contains("hush").not()),
        );
}

#[test]
fn the_code_of_an_error_leads_to_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| kafka_smpp(dir.path()).args(args).assert();
    for (args, code) in [
        (&["check", "--conect"][..], "KS-1001"),
        (&["explain"], "KS-1001"),
        (&["check", "--config", "nowhere.toml"], "KS-1101"),
        (&["encode", "--esme", "acme", "{}"], "KS-1103"),
        (&["explain", "7777"], "KS-1002"),
    ] {
        let error = format!("error[{code}]: ");
        run(args).failure().stderr(contains(error.as_str()));
        let small = code.to_lowercase();
        for word in [code, &small, &code[3..]] {
            run(&["explain", word]).success().stdout(
                predicates::str::starts_with(format!("# {code}: "))
                    .and(contains("\n## What to do\n")),
            );
        }
    }
    run(&["explain", "KS-1001", "ks-1101"])
        .success()
        .stdout(contains("# KS-1001: ").and(contains("\n\n# KS-1101: ")));
    run(&["explain", "outcome_unknown"])
        .success()
        .stdout(predicates::str::starts_with("# KS-6004: "));
    run(&["explain", "KS-3O01"])
        .code(64)
        .stdout("")
        .stderr(contains(
            "did you mean KS-3001 (A right is missing in Kafka)?",
        ));
    run(&["explain", "--list"])
        .success()
        .stdout(contains("KS-1101\tThe configuration cannot be read\n"));
    run(&[])
        .code(64)
        .stderr(contains("Usage:").and(contains("error[").not()));
}

#[test]
fn a_file_that_is_not_there_is_66_and_none_at_all_says_how_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    kafka_smpp(dir.path())
        .args(["check", "--config", "nowhere.toml"])
        .assert()
        .code(66)
        .stderr(contains("nowhere.toml"));
    kafka_smpp(dir.path())
        .arg("check")
        .assert()
        .code(78)
        .stderr(contains("kafka-smpp config example"));
}

#[test]
fn a_password_can_come_from_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), GOOD);
    kafka_smpp(dir.path())
        .arg("check")
        .env("KAFKA_SMPP__ESME__ACME__PASSWORD", "too-long-a-password")
        .assert()
        .code(78)
        .stderr(contains(
            "KAFKA_SMPP__ESME__ACME__PASSWORD: esme[0].password: at most 8",
        ));
}

#[test]
fn shells_get_their_completions() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        kafka_smpp(dir.path())
            .args(["completions", shell])
            .assert()
            .success()
            .stdout(contains("kafka-smpp"));
    }
}

#[test]
fn the_deployed_configuration_passes_the_check() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "hush\n").unwrap();
    let deployed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/kubernetes/connector.toml"
    );
    kafka_smpp(dir.path())
        .args(["check", "--config", deployed])
        .env("KAFKA_SMPP__ESME__ACME__PASSWORD_FILE", "password")
        .assert()
        .success();
    let composed = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/compose/connector.toml");
    // The image's own variable.
    kafka_smpp(dir.path())
        .arg("check")
        .env("KAFKA_SMPP_CONFIG", composed)
        .env("KAFKA_SMPP__HTTP__LISTEN", "0.0.0.0:9464")
        .assert()
        .success();
}

#[test]
fn the_demo_gives_every_record_one_result_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    kafka_smpp(dir.path())
        .args(["demo", "--messages", "8"])
        .timeout(std::time::Duration::from_secs(120))
        .assert()
        .success()
        .stdout(
            contains("accepted  demo demo-Cyrillic to 79161000002 ESME_ROK")
                .and(contains("error     demo demo-bad INVALID_RECORD"))
                .and(contains(
                    "rejected  demo demo-refused to 490000000005 ESME_RINVDSTADR",
                ))
                .and(contains("inbound   demo from 491512345678"))
                .and(contains("8 records, 8 results, 0 receipts missing")),
        );
}

#[test]
fn receipts_are_read_one_a_line_and_a_bad_one_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let read = kafka_smpp(dir.path())
        .args(["receipt", "--json"])
        .write_stdin("nothing\n\nid:4F2A done date:2601311203 stat:DELIVRD err:000\n")
        .assert()
        .code(65)
        .stderr("");
    let out = String::from_utf8(read.get_output().stdout.clone()).unwrap();
    let objects: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["errors"][0]["code"], "not_a_receipt");
    assert_eq!(
        (&objects[1]["line"], &objects[1]["id"]),
        (&3.into(), &"4F2A".into())
    );
    assert_eq!(objects[1]["done_iso"], "2026-01-31T12:03:00");
    assert_eq!(objects[1]["malformed"], false);
    kafka_smpp(dir.path())
        .args([
            "receipt",
            "",
            "--tlv",
            "receipted_message_id=7",
            "--tlv",
            "message_state=2",
        ])
        .assert()
        .success()
        .stdout(contains("DELIVERED, final"));
    kafka_smpp(dir.path())
        .args(["receipt", "x", "--tlv", "message_state=256"])
        .assert()
        .code(64);
}

#[test]
fn pdus_are_decoded_one_a_line_whatever_is_wrong_with_some() {
    let dir = tempfile::tempdir().unwrap();
    let mut input =
        b"00000010 00000015 00000000 00000001\n\n\xff\xfe\nAAAAEAAAABUAAAAAAAAAAg==\n".to_vec();
    input.extend(b"0000001080000004000000000a342ee1\r\n");
    let decoded = kafka_smpp(dir.path())
        .args(["decode", "--json"])
        .write_stdin(input)
        .assert()
        .code(65)
        .stderr("");
    let out = String::from_utf8(decoded.get_output().stdout.clone()).unwrap();
    let objects: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = objects
        .iter()
        .map(|o| {
            (
                &o["line"],
                o["command"].as_str(),
                o["errors"][0]["code"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (&1.into(), Some("enquire_link"), None),
            (&3.into(), None, Some("not_hex")),
            (&4.into(), Some("enquire_link"), None),
            (
                &5.into(),
                Some("submit_sm_resp"),
                Some("body_omitted_status_0")
            ),
        ]
    );
    std::fs::write(
        dir.path().join("pdus"),
        "00000010000000150000000000000001\n",
    )
    .unwrap();
    kafka_smpp(dir.path())
        .args(["decode", "pdus"])
        .assert()
        .success()
        .stdout(contains("enquire_link  sequence_number 1, 16 octets"));
}

#[test]
fn times_of_a_pdu_are_told_as_instants_and_durations() {
    let dir = tempfile::tempdir().unwrap();
    let decoded = |record: &str| -> serde_json::Value {
        let encoded = kafka_smpp(dir.path())
            .args(["encode", "--hex", record])
            .output()
            .unwrap();
        let hex = String::from_utf8(encoded.stdout).unwrap();
        // "00+" is written, "08+" two hours before it at the same clock.
        let decoded = kafka_smpp(dir.path())
            .args(["decode", "--json"])
            .write_stdin(hex.replacen("30302b", "30382b", 1))
            .output()
            .unwrap();
        serde_json::from_slice(&decoded.stdout).unwrap()
    };
    let at_one_place = decoded(
        r#"{"destination":"1","short_message":"","schedule_delivery_time":"2026-07-01T01:00:00.5+02:00","validity_period":"P1DT2H"}"#,
    );
    assert_eq!(
        at_one_place["times"],
        serde_json::json!({
            "schedule_delivery_time":
                { "kind": "absolute", "utc": "2026-06-30T21:00:00.5Z", "offset_minutes": 120 },
            "validity_period": { "kind": "relative", "duration": "P1DT2H", "seconds": 93_600 },
        })
    );
    let months = decoded(r#"{"destination":"1","short_message":"","validity_period":"P120D"}"#);
    assert_eq!(
        months["times"]["validity_period"],
        serde_json::json!({ "kind": "relative", "duration": "P4M", "seconds": null })
    );
    assert_eq!(
        decoded(r#"{"type":"QuerySm","message_id":"7F"}"#).get("times"),
        None
    );
}

#[test]
fn a_record_is_encoded_as_its_esme_would_send_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("{GOOD}service_type = \"CMT\"\nregistered_delivery = 0\n");
    write(dir.path(), &config);
    let records = "{\"destination\":\"+41791234567\",\"short_message\":\"Grüße\"}\n\n{\"destinatoin\":\"1\"}\n";
    let encoded = kafka_smpp(dir.path())
        .args(["encode", "--esme", "acme", "--json"])
        .write_stdin(records)
        .assert()
        .code(65)
        .stderr("");
    let out = String::from_utf8(encoded.get_output().stdout.clone()).unwrap();
    let objects: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let pdu = &objects[0]["pdus"][0];
    assert_eq!(pdu["fields"]["service_type"], "CMT");
    assert_eq!(pdu["fields"]["registered_delivery"], 0);
    assert_eq!(objects[1]["line"], 3);
    assert_eq!(objects[1]["errors"][0]["field"], "destinatoin");
    let said = objects[1]["errors"][0]["text"].as_str().unwrap();
    assert!(said.contains("did you mean `destination`?"), "{said}");

    let hex = kafka_smpp(dir.path())
        .args([
            "encode",
            "--hex",
            "{\"type\":\"QuerySm\",\"message_id\":\"7F\"}",
        ])
        .assert()
        .success();
    kafka_smpp(dir.path())
        .arg("decode")
        .write_stdin(hex.get_output().stdout.clone())
        .assert()
        .success()
        .stdout(contains("query_sm  sequence_number 1").and(contains("\"7F\"")));
    kafka_smpp(dir.path())
        .args(["encode", "--esme", "other", "{}"])
        .assert()
        .code(64)
        .stderr(contains("there are: acme"));
}

#[test]
fn a_capture_is_decoded_from_a_file_and_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let mut packet = Vec::new();
    etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([127, 0, 0, 1], [127, 0, 0, 2], 64)
        .tcp(40_000, 2775, 1, 8192)
        .write(&mut packet, b"\0\0\0\x10\0\0\0\x15\0\0\0\0\0\0\0\x07")
        .unwrap();
    let length = packet.len() as u32;
    let words = [
        0xA1B2_C3D4,
        0x0004_0002,
        0,
        0,
        65_535,
        1,
        1_800_000_000,
        0,
        length,
        length,
    ];
    let mut capture: Vec<u8> = words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    capture.extend(packet);
    std::fs::write(dir.path().join("smpp.pcap"), &capture).unwrap();
    kafka_smpp(dir.path())
        .args(["decode", "smpp.pcap"])
        .assert()
        .success()
        .stdout(
            contains("2027-01-15T08:00:00Z  127.0.0.1:40000 > 127.0.0.2:2775  packet 1")
                .and(contains("enquire_link  sequence_number 7")),
        )
        .stderr("1 packet, 1 PDU\n");
    let piped = kafka_smpp(dir.path())
        .args(["decode", "--json"])
        .write_stdin(capture)
        .assert()
        .success()
        .stderr("");
    let object: serde_json::Value = serde_json::from_slice(&piped.get_output().stdout).unwrap();
    assert_eq!(object["from"], "127.0.0.1:40000");
    assert_eq!(object["at"], "2027-01-15T08:00:00Z");
    assert_eq!(object["command"], "enquire_link");
}

#[test]
fn cases_of_pdus_come_out_as_expected() {
    table::run(include_str!("cli/decode.toml"));
}

#[test]
fn cases_of_receipts_come_out_as_expected() {
    table::run(include_str!("cli/receipts.toml"));
}

#[test]
fn cases_of_records_come_out_as_expected() {
    table::run(include_str!("cli/encode.toml"));
}

#[test]
fn cases_of_texts_come_out_as_expected() {
    table::run(include_str!("cli/texts.toml"));
}

#[test]
fn a_file_of_inputs_that_is_not_there_is_66_and_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let pdu = "00000010000000150000000000000001";
    for name in ["trace.pcap", "logs/pdus", "notes"] {
        kafka_smpp(dir.path())
            .args(["decode", name, pdu])
            .assert()
            .code(66)
            .stdout(contains("enquire_link"))
            .stderr(contains(name));
    }
    for (command, name) in [
        ("decode", "."),
        ("encode", "records.jsonl"),
        ("encode", "./x"),
    ] {
        kafka_smpp(dir.path())
            .args([command, name])
            .assert()
            .code(66)
            .stderr(contains(name));
    }
    // Digits with a fault are no name.
    for wrong in ["0000001z", "00000010000000150000000000000001f", "cafe5"] {
        kafka_smpp(dir.path())
            .args(["decode", wrong])
            .assert()
            .code(65);
    }
}

#[test]
fn files_that_are_no_capture_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("smpp.pcap.gz"), b"\x1F\x8B\x08\0\0\0\0\0").unwrap();
    kafka_smpp(dir.path())
        .args(["decode", "--json", "smpp.pcap.gz"])
        .assert()
        .code(65)
        .stderr(contains("smpp.pcap.gz is compressed with gzip: `gunzip -c"));
    kafka_smpp(dir.path())
        .arg("decode")
        .write_stdin(b"\x28\xB5\x2F\xFD\x04\0".to_vec())
        .assert()
        .code(65)
        .stderr(contains("zstd"));
}

#[test]
fn a_capture_without_pdus_or_with_damage_says_so_to_programs_too() {
    let dir = tempfile::tempdir().unwrap();
    let header = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 1];
    let mut capture: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    let decode = |capture: &[u8]| {
        let mut command = kafka_smpp(dir.path());
        command.args(["decode", "--json"]);
        command.write_stdin(capture.to_vec()).assert().stdout("")
    };
    capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]);
    decode(&capture)
        .success()
        .stderr("1 packet, 0 PDUs; without TCP: 1 packet\n");
    capture.pop();
    decode(&capture)
        .code(65)
        .stderr(contains("the file ends inside a packet"));
}

#[test]
fn dumps_are_read_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let dump = "\
        00000000: 0000 0013 8000 0004 0000 0000 0000 002a  ...............*\n\
        00000010: 3446 00                                  4F.\n\
        00000000: 0000 0010 0000 0015 0000 0000 0000 0007  ................\n";
    kafka_smpp(dir.path())
        .args(["decode", "--json"])
        .write_stdin(dump)
        .assert()
        .success()
        .stdout(contains("\"message_id\":\"4F\"").and(contains("\"sequence_number\":7")));
}

#[test]
fn records_are_read_from_files_as_people_write_them() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/records");
    for entry in std::fs::read_dir(&examples).unwrap() {
        let file = entry.unwrap().path();
        let name = file.to_string_lossy().into_owned();
        // What has a time in the past cannot be sent, and the others are.
        let encoded = kafka_smpp(&examples)
            .args(["encode", "--json", &name])
            .output()
            .unwrap();
        let out = String::from_utf8(encoded.stdout).unwrap();
        assert_eq!(out.lines().count(), 1, "{name}: {out}");
        assert!(!out.contains("in JSON"), "{name}: {out}");
        let piped = kafka_smpp(&examples)
            .args(["encode", "--json"])
            .write_stdin(std::fs::read(&file).unwrap())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(piped.stdout).unwrap(), out, "{name}");
    }
    let wrong = "{\n  \"destination\": \"+4366012345678\",\n  \"short_message\": 7\n}\n";
    kafka_smpp(&examples)
        .arg("encode")
        .write_stdin(["\n", wrong].concat())
        .assert()
        .code(65)
        .stdout(contains("at line 4 column"));
}

#[test]
fn a_receipt_is_tried_against_the_id_of_a_response() {
    let dir = tempfile::tempdir().unwrap();
    let ids = "[esme.message_id]\nresponse = \"hex\"\nreceipt = \"decimal\"\n";
    write(dir.path(), &format!("{GOOD}{ids}"));
    let receipt = |response: &str| {
        let mut command = kafka_smpp(dir.path());
        let text = "id:0439041101 stat:DELIVRD";
        command.args(["receipt", "--esme", "acme", "--response", response, text]);
        command.assert().success()
    };
    receipt("1a2b3c4d").stdout(contains(
        "1a2b3c4d, compared as 439041101: the same message",
    ));
    receipt("1a2b3c4e").stdout(contains("another message"));
    kafka_smpp(dir.path())
        .args(["receipt", "--data-coding", "8", "id:1 stat:DELIVRD"])
        .assert()
        .code(64)
        .stderr(contains("with --hex"));
}

#[test]
fn nothing_of_a_message_steers_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    // deliver_sm from ESC[2J43 with the text ESC]0;xBEL in Latin-1, and ESC[1m in a TLV.
    let pdu = "0000003a0000000500000000000000010001011b5b324a343300030038\
               3039303000000000000000000300061b5d303b7807140000041b5b316d";
    let shown = kafka_smpp(dir.path())
        .args(["decode", pdu])
        .output()
        .unwrap();
    assert!(
        !shown.stdout.contains(&0x1B),
        "{}",
        String::from_utf8_lossy(&shown.stdout)
    );
    assert!(!shown.stdout.is_empty());
}

#[test]
fn what_is_absurd_is_told_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let nested = format!(
        "{{\"destination\":\"1\",\"extra_data\":{}",
        "[".repeat(100_000)
    );
    for record in ["[".repeat(100_000), nested] {
        kafka_smpp(dir.path())
            .args(["encode", "--json"])
            .write_stdin(record)
            .assert()
            .code(65)
            .stdout(contains("\"errors\":[{"));
    }
    let lines = format!(
        "{}\n00000010000000150000000000000001\r\n",
        "00".repeat(1 << 20)
    );
    kafka_smpp(dir.path())
        .args(["decode", "--json"])
        .write_stdin(lines)
        .assert()
        .code(65)
        .stdout(contains("line_too_long").and(contains("enquire_link")));
    // Nothing but TLVs without the octets of their integers, and a dump without end.
    let tlvs = 130_000;
    let submit_sm = format!(
        "{:08x}000000040000000000000001{}{}",
        33 + 4 * tlvs,
        "00".repeat(17),
        "02040000".repeat(tlvs)
    );
    for arguments in [&["decode"][..], &["decode", "--json"]] {
        kafka_smpp(dir.path())
            .args(arguments)
            .write_stdin(&*submit_sm)
            .assert()
            .success()
            .stdout(contains("tlv_length"));
    }
    let row = |at: usize| {
        format!(
            "{:08x}: 0000 0010 0000 0015 0000 0000 0000 0001  ....\n",
            at * 16
        )
    };
    let rows: String = (0..70_000).map(row).collect();
    kafka_smpp(dir.path())
        .args(["decode", "--json"])
        .write_stdin(rows)
        .assert()
        .code(65)
        .stdout(
            contains("enquire_link")
                .count(1 << 16)
                .and(contains("dump_too_long").count(1)),
        );
    kafka_smpp(dir.path())
        .args(["segments", "--json"])
        .write_stdin(b"a\xFFb\n".to_vec())
        .assert()
        .code(65)
        .stdout(contains("not_utf8"));
}

#[test]
fn schemas_are_shown_whole_and_field_by_field() {
    let dir = tempfile::tempdir().unwrap();
    let schemas = |args: &[&str]| {
        let mut command = kafka_smpp(dir.path());
        command.arg("schemas").args(args).assert()
    };
    schemas(&["show"])
        .success()
        .stdout(contains("SubmitSm\t"))
        .stdout(contains("BACKWARD_TRANSITIVE"))
        .stdout(contains("Owner\t1\t"));
    schemas(&["show", "SubmitSm"])
        .success()
        .stdout(contains("destination\tAddress\t\tWho gets it."))
        .stdout(contains("expires_at\tnull or timestamp-micros\tnull\t"));
    let text = std::fs::read_to_string("schemas/SubmitSm.avsc").unwrap();
    schemas(&["show", "SubmitSm", "--json"])
        .success()
        .stdout(text);
    schemas(&["show", "querysm", "--json", "--format", "json_schema"])
        .success()
        .stdout(contains("http://json-schema.org/draft-07/schema#"));
    let all = schemas(&["show", "--json"]).success();
    let text = String::from_utf8(all.get_output().stdout.clone()).unwrap();
    for line in text.lines() {
        let schema: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(schema["schema"]["fields"].is_array());
    }
    schemas(&["show", "Sms"])
        .code(64)
        .stderr(contains("there are: SubmitSm, "));
}

#[test]
fn schemas_of_a_registry_need_a_topic_that_uses_it_and_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), GOOD);
    kafka_smpp(dir.path())
        .args(["schemas", "check"])
        .assert()
        .code(78)
        .stderr(contains("no topic has the format avro or json_schema"));
    let text = "[formats]\nerrors = \"avro\"\n[schema_registry]\nurls = [\"http://127.0.0.1:1\"]";
    write(dir.path(), &format!("{text}{GOOD}"));
    for command in [&["schemas", "check"][..], &["schemas", "register"]] {
        kafka_smpp(dir.path())
            .args(command)
            .assert()
            .code(69)
            .stderr(contains("http://127.0.0.1:1"));
    }
}

#[test]
fn parameters_of_several_parts_are_taken_apart() {
    let dir = tempfile::tempdir().unwrap();
    let record = r#"{"destination":"1","short_message":"","tlvs":{
        "callback_num":{"hex":"010101353535"},"broadcast_end_time":{"hex":"3236303133313132303030303030302b00"},
        "network_error_code":{"hex":"030008"}}}"#
        .replace('\n', " ");
    let encoded = kafka_smpp(dir.path())
        .args(["encode", "--hex", &record])
        .output()
        .unwrap();
    let decoded = kafka_smpp(dir.path())
        .args(["decode", "--json"])
        .write_stdin(encoded.stdout.clone())
        .output()
        .unwrap();
    let decoded: serde_json::Value = serde_json::from_slice(&decoded.stdout).unwrap();
    let value = |name: &str| {
        let tlvs = decoded["tlvs"].as_array().unwrap();
        tlvs.iter().find(|tlv| tlv["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(
        value("callback_num"),
        serde_json::json!({ "digit_mode_indicator": 1, "addr_ton": 1, "addr_npi": 1, "address": "555" })
    );
    assert_eq!(value("broadcast_end_time"), "260131120000000+");
    assert_eq!(
        decoded["times"]["broadcast_end_time"]["utc"],
        "2026-01-31T12:00:00Z"
    );
    assert_eq!(
        value("network_error_code"),
        serde_json::json!({ "network_type": 3, "error_code": 8 })
    );
    kafka_smpp(dir.path())
        .arg("decode")
        .write_stdin(encoded.stdout)
        .assert()
        .success()
        .stdout(contains("addr_ton 1, addr_npi 1, address \"555\""))
        .stdout(contains("network_type 3, error_code 8"));
}

/// What a pod's log is: standard error of a container is no terminal.
#[test]
fn the_log_is_json_unless_standard_error_is_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing listens there, so it goes on looking until it is stopped.
    let kafka = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n";
    write(dir.path(), &format!("{kafka}{GOOD}"));
    let program = assert_cmd::cargo::cargo_bin("kafka-smpp");
    let run = format!(
        "timeout 3 {} run --config connector.toml",
        program.display()
    );
    let said = |command: &mut Command| {
        let done = command.current_dir(dir.path()).output().unwrap();
        String::from_utf8([done.stdout, done.stderr].concat()).unwrap()
    };
    let piped = said(Command::new("sh").args(["-c", &run]));
    let line = piped
        .lines()
        .find(|line| line.contains("memory is bounded"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["level"], "INFO", "{line}");
    let shown = said(Command::new("script").args(["-qec", &run, "/dev/null"]));
    let line = shown
        .lines()
        .find(|line| line.contains("memory is bounded"));
    assert!(!line.unwrap().starts_with('{'), "{shown}");
}
