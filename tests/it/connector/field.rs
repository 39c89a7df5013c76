//! What SMSCs in the field do with receipts and inbound messages: data_sm in place of
//! deliver_sm, and message ids that are spelt differently in responses and receipts.

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message};
use crate::harness::{FakeSmsc, Reply, free_port};

#[test]
fn receipts_and_messages_may_come_as_data_sm() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::As("ID".into()));
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send(0, &[message("m")]);
    it.results(1);
    assert_eq!(smsc.receipt_as_data("ID"), 0);
    let receipt = &it.receipts(1)[0];
    assert_eq!(
        (&receipt["log_id"], &receipt["state"]),
        (&json!("m"), &json!("DELIVERED"))
    );
    assert_eq!(smsc.data(0, "41791234567", "1000", b"By data"), 0);
    let inbound = it.kafka.wait_records(&it.topic("inbound"), 1, PATIENCE);
    assert_eq!(inbound[0].key.as_deref(), Some("41791234567"));
    assert_eq!(
        (&inbound[0].value["command"], &inbound[0].value["text"]),
        (&json!("data_sm"), &json!("By data"))
    );
}

/// An account whose SMSC spells ids its own way: how it is configured, the id in the response,
/// the one in the receipt, and whether they are the same message.
struct Spelling(Value, &'static str, &'static str, bool);

fn both(form: &str) -> Value {
    json!({ "response": form, "receipt": form })
}

#[test]
fn message_ids_are_paired_as_each_smsc_spells_them() {
    let spellings = [
        Spelling(
            json!({ "response": "hex", "receipt": "decimal" }),
            "1D305B4C",
            "0489708364",
            true,
        ),
        Spelling(
            json!({ "response": "decimal", "receipt": "hex" }),
            "0489708364",
            "1d305b4c",
            true,
        ),
        Spelling(both("case_insensitive"), "aB-cD", "Ab-Cd", true),
        Spelling(both("decimal"), "0000123", "123", true),
        Spelling(both("hex"), "00fF", "0xFf", true),
        // By default an id is its exact text.
        Spelling(both("text"), "00Ab", "00ab", false),
    ];
    let smscs: Vec<FakeSmsc> = spellings.iter().map(|_| FakeSmsc::start()).collect();
    let mut it = Deployment::new(smscs[0].port(), 1);
    let mut esmes = Vec::new();
    for (n, (spelling, smsc)) in spellings.iter().zip(&smscs).enumerate() {
        let outbound = it.topic(&format!("outbound-{n}"));
        it.kafka.topic(&outbound, 1, &[]);
        let mut esme = it.esme().clone();
        esme["name"] = json!(format!("esme-{n}"));
        esme["outbound"] = json!([outbound]);
        esme["hosts"] = json!([format!("127.0.0.1:{}", smsc.port())]);
        esme["message_id"] = spelling.0.clone();
        esmes.push(esme);
        let id = spelling.1;
        smsc.script(move |_| Reply::As(id.into()));
        it.kafka
            .produce_json(&outbound, 0, &[message(&format!("m{n}"))]);
    }
    it.config["esme"] = json!(esmes);
    let _connector = it.start();
    let results = it.results(spellings.len());
    for (n, (spelling, smsc)) in spellings.iter().zip(&smscs).enumerate() {
        assert_eq!(
            results[&format!("m{n}")]["message_id"],
            spelling.1,
            "as it came"
        );
        assert_eq!(smsc.receipt(spelling.2), 0);
    }
    for receipt in it.receipts(spellings.len()) {
        let esme = receipt["esme"].as_str().unwrap();
        let n: usize = esme.strip_prefix("esme-").unwrap().parse().unwrap();
        assert_eq!(receipt["correlated"], spellings[n].3, "{receipt:#}");
        if spellings[n].3 {
            assert_eq!(receipt["log_id"], format!("m{n}"));
        }
    }
}

#[test]
fn receipts_of_a_form_of_ones_own_find_their_messages() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::As("GW1-0000017FA1B2C3D4".into()));
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["message_id"] = json!({
        "response": "hex", "receipt": "decimal", "prefixes": ["GW1-"], "response_digits": "last 8",
    });
    it.esme()["receipt"] = json!({
        "pattern": r"^MSG (?<id>\d+) IS (?<stat>\w+)$", "states": { "GONE": "DELIVERED" },
    });
    it.esme()["vendor"] = json!({ "tlvs": { "operator_id": "0x1401" } });
    let _connector = it.start();
    let mut record = message("m");
    record["tlvs"] = json!({ "operator_id": "7" });
    it.send(0, &[record]);
    it.results(1);
    assert_eq!(smsc.submits()[0].tlvs, [(0x1401, b"7".to_vec())]);
    assert_eq!(
        smsc.deliver(0x04, "41791234567", "1000", b"MSG 2712847316 IS GONE"),
        0
    );
    let receipt = &it.receipts(1)[0];
    assert_eq!(
        (&receipt["log_id"], &receipt["state"], &receipt["stat"]),
        (&json!("m"), &json!("DELIVERED"), &json!("GONE"))
    );
    assert_eq!(receipt["message_type"], "delivery_receipt");
}

#[test]
fn an_intermediate_notification_is_not_the_end() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::As("ID".into()));
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send(0, &[message("m")]);
    it.results(1);
    let said = [
        (0x20, "intermediate_notification", "UNDELIV", false),
        (0x08, "delivery_acknowledgement", "DELIVRD", false),
        (0x10, "user_acknowledgement", "ACCEPTD", false),
        (0x04, "delivery_receipt", "DELIVRD", true),
    ];
    for (esm_class, _, stat, _) in said {
        let text = format!("id:ID sub:001 dlvrd:000 stat:{stat} err:000 text:");
        assert_eq!(
            smsc.deliver(esm_class, "41791234567", "1000", text.as_bytes()),
            0
        );
    }
    for (receipt, (_, kind, stat, last)) in it.receipts(4).iter().zip(said) {
        assert_eq!(receipt["log_id"], "m");
        assert_eq!(
            (
                &receipt["message_type"],
                &receipt["stat"],
                &receipt["final"]
            ),
            (&json!(kind), &json!(stat), &json!(last)),
            "{receipt:#}"
        );
    }
}

#[test]
fn an_smsc_of_smpp_3_3_gets_no_parameters_and_is_understood() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::As("0000AB12".into()));
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["interface_version"] = json!("3.3");
    it.esme()["bind"] = json!("pair");
    let _connector = it.start();
    let mut long = message("long");
    long["short_message"] = json!("x".repeat(300));
    let mut modern = message("modern");
    modern["tlvs"] = json!({ "source_port": 1 });
    it.send(0, &[message("short"), long, modern]);
    let results = it.results(3);
    assert_eq!(results["short"]["accepted"], true);
    assert_eq!(results["long"]["parts"].as_array().map(Vec::len), Some(2));
    assert_eq!(results["modern"]["kind"], "INVALID_RECORD");
    assert_eq!(results["modern"]["field"], "tlvs");
    for submit in smsc.submits() {
        assert!(submit.tlvs.is_empty(), "{submit:?}");
    }
}

#[test]
fn an_smsc_that_connects_itself_is_served_by_whoever_holds_a_partition() {
    let smsc = smsc_simulator::Options {
        receipts: smsc_simulator::Receipts {
            delay: "0s".parse().unwrap(),
            ..Default::default()
        },
        ..Default::default()
    };
    let address = format!("127.0.0.1:{}", free_port());
    let mut it = Deployment::new(1, 1);
    it.esme().as_object_mut().unwrap().remove("hosts");
    it.esme()["outbind"] = json!({
        "listen": address, "system_id": "smsc", "password": "s3cret",
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outbind = vec![format!("s3cret@{address}").parse().unwrap()];
    let smsc = smsc_simulator::Options { outbind, ..smsc };
    let smsc = runtime
        .block_on(smsc_simulator::Simulator::start(smsc))
        .unwrap();
    let _connector = it.start();
    it.send(0, &[message("m")]);
    assert_eq!(it.results(1)["m"]["accepted"], true);
    assert_eq!(it.receipts(1)[0]["log_id"], "m");
    let told = it.noticed("Outbind", 1);
    assert_eq!(told[0]["system_id"], "smsc");
    assert!(!told[0].to_string().contains("s3cret"));
    smsc.stop();
    runtime.block_on(smsc.stopped());
}
