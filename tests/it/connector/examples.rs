//! The programs in `examples/` do what they say.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Deployment;
use crate::harness::{FakeSmsc, Program};

const AVRO: &str = "avro_single_object";

fn example(file: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    examples.join(file)
}

fn python(file: &str, args: &[&str]) -> Vec<Value> {
    let packages = std::fs::read_to_string(example("python/requirements.txt")).unwrap();
    let python = Program::python(&packages.lines().collect::<Vec<_>>());
    python.run(
        &example("python").join(file).with_extension("py"),
        args,
        &[],
    )
}

fn node(file: &str, args: &[&str]) -> Vec<Value> {
    let node = Program::node(&example("node"), "examples-node-1");
    node.run(&example("node").join(file).with_extension("js"), args, &[])
}

fn java(file: &str, args: &[&str]) -> Vec<Value> {
    let java = Program::java(&example("java"), "examples-java-1");
    let file = if file == "produce" {
        "Produce"
    } else {
        "Consume"
    };
    java.run(
        &example("java").join(file).with_extension("java"),
        args,
        &[],
    )
}

#[test]
fn python_sends_and_reads_json() {
    sends_and_reads(python, "json", "json");
}

#[test]
fn python_sends_and_reads_avro_without_a_registry() {
    sends_and_reads(python, "avro", AVRO);
}

#[test]
fn node_sends_and_reads_json() {
    sends_and_reads(node, "json", "json");
}

#[test]
fn node_sends_and_reads_avro_without_a_registry() {
    sends_and_reads(node, "avro", AVRO);
}

#[test]
fn java_sends_and_reads_json() {
    sends_and_reads(java, "json", "json");
}

#[test]
fn java_sends_and_reads_avro_without_a_registry() {
    sends_and_reads(java, "avro", AVRO);
}

fn sends_and_reads(run: fn(&str, &[&str]) -> Vec<Value>, format: &str, formats: &str) {
    let smsc = FakeSmsc::start();
    smsc.send_receipts();
    let mut it = Deployment::new(smsc.port(), 1);
    let topics = ["responses", "errors", "receipts"];
    let of = |topic: &str| (topic.to_owned(), json!(formats));
    it.config["formats"] = topics.iter().copied().chain(["outbound"]).map(of).collect();
    let _connector = it.start();
    let common = ["--bootstrap", &it.kafka.bootstrap, "--format", format];
    let outbound = it.topic("outbound");
    let send = [
        "--topic",
        &outbound,
        "--to",
        "41791234567",
        "--text",
        "Grüezi",
        "--log-id",
        "a",
    ];
    let sent = run("produce", &[&common[..], &send].concat());
    assert_eq!(
        sent,
        [json!({ "topic": outbound, "partition": 0, "offset": 0 })]
    );

    let topics = topics.map(|topic| it.topic(topic)).join(",");
    let read = [
        "--topics",
        &topics,
        "--group",
        &it.name,
        "--log-id",
        "a",
        "--until-final",
    ];
    let events = run("consume", &[&common[..], &read].concat());
    let last = events.last().unwrap();
    assert_eq!(last["type"], "DeliveryReceipt");
    assert_eq!(
        (&last["log_id"], &last["state"]),
        (&json!("a"), &json!("DELIVERED"))
    );
    assert_eq!(smsc.submits()[0].octets, b"Gr\x7eezi", "GSM 03.38");
}
