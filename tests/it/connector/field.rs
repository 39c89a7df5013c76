//! What SMSCs in the field do with receipts and inbound messages: data_sm in place of
//! deliver_sm, and message ids that are spelt differently in responses and receipts.

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message};
use crate::harness::{FakeSmsc, Reply};

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
