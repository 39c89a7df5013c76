//! `send --wait` as a shell sees it: what became of the message is its exit code.

use serde_json::json;

use super::{Deployment, PATIENCE, with};
use crate::harness::{Process, command, started};

/// A simulated SMSC in a process of its own, and its port.
fn simulator(args: &[&str]) -> (Process, u16) {
    let fixed = [
        "smsc",
        "--listen",
        "127.0.0.1:0",
        "--receipt-delay",
        "100ms",
    ];
    let mut smsc = started("", &[&fixed, args].concat());
    smsc.wait_for_log("listening on 127.0.0.1:", PATIENCE);
    let log = smsc.log();
    let (_, port) = log.split_once("listening on 127.0.0.1:").expect("said");
    let port = port.lines().next().expect("a line").parse();
    (smsc, port.expect("a port"))
}

#[test]
fn what_became_of_a_message_is_the_exit_code_of_send() {
    let (_smsc, port) = simulator(&[
        "--outcomes",
        "UNDELIV=1",
        "--fault",
        "status=ESME_RSUBMITFAIL to=4165",
        "--fault",
        "swallow to=4176",
    ]);
    let (_other, unsure) = simulator(&["--outcomes", "UNKNOWN=1"]);
    let mut it = Deployment::new(port, 1);
    let topic = it.topic("other");
    it.kafka.topic(&topic, 1, &[]);
    let second = with(
        it.esme().clone(),
        json!({
            "name": "unsure", "outbound": [topic], "hosts": [format!("127.0.0.1:{unsure}")],
        }),
    );
    it.config["esme"].as_array_mut().unwrap().push(second);
    let _connector = it.start();
    for (args, code, event, why) in [
        // Nobody is asked what became of it.
        ("--to 4167 --registered-delivery 0", 0, "accepted", ""),
        (
            "--to 4167",
            67,
            "UNDELIVERABLE",
            "was not delivered: UNDELIVERABLE",
        ),
        ("--to 4165", 65, "ESME_RSUBMITFAIL", "was not accepted"),
        (
            "--to 4176 --in-doubt report",
            76,
            "OUTCOME_UNKNOWN",
            "may have been sent, or not",
        ),
        (
            "--to 4167 --esme unsure",
            76,
            "UNKNOWN",
            "does not know whether",
        ),
    ] {
        let fixed = ["send", "--wait=2m", "--text", "hello"];
        let more: Vec<&str> = args.split(' ').collect();
        let sent = command(&it.toml(), &[&fixed, &more[..]].concat());
        let [out, err] = [&sent.stdout, &sent.stderr].map(|text| String::from_utf8_lossy(text));
        assert_eq!(sent.status.code(), Some(code), "{args}\n{out}{err}");
        assert!(out.contains(event), "{args}\n{out}");
        assert!(err.contains(why), "{args}\n{err}");
        assert_eq!(err.is_empty(), code == 0, "{args}\n{err}");
    }
}
