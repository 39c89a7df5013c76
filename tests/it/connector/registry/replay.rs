//! Errors written with schemas of a registry are put back, and marked with them.

use serde_json::{Value, json};

use super::{PATIENCE, Reader, THEIRS, said, sms};
use crate::connector::Deployment;
use crate::harness::{FakeSmsc, Registry, Reply, eventually};
use kafka_smpp::record::format::Format;

#[test]
fn what_may_have_been_sent_is_put_back_once() {
    let registry = Registry::start();
    let smsc = FakeSmsc::start();
    let mut silent = true;
    smsc.script(move |_| match std::mem::take(&mut silent) {
        true => Reply::Silence,
        false => Reply::Accept,
    });
    let formats = json!({ "outbound": "avro", "responses": "avro", "errors": "avro" });
    let it = Deployment::with_registry(smsc.port(), 1, &registry.url(), formats);
    let register = it.command(&["schemas", "register"]);
    assert!(register.status.success(), "{}", said(&register));
    let _connector = it.start();
    it.put(
        0,
        &[sms(registry.register("com.acme.Sms", THEIRS), THEIRS, "m0")],
    );
    let of = |topic: &str| it.kafka.octets(&it.topic(topic));
    eventually("its error", PATIENCE, || of("errors").len() == 1);
    let reader = Reader::of(&registry);
    let error = reader.read(Format::Avro, &of("errors")[0]);
    assert_eq!(error["kind"], "OUTCOME_UNKNOWN", "{error}");

    let replay = |args: &[&str]| {
        let done = it.command(&[&["replay"], args].concat());
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        said(&done)
    };
    let look = replay(&["--may-duplicate"]);
    assert!(look.contains("1 would be sent"), "{look}");
    let sent = replay(&["--may-duplicate", "--send"]);
    assert!(sent.contains("1 sent"), "{sent}");
    let again = replay(&["--may-duplicate", "--send"]);
    assert!(again.contains("0 sent, 1 left out"), "{again}");

    eventually("its result", PATIENCE, || of("responses").len() == 1);
    let result = reader.read(Format::Avro, &of("responses")[0]);
    let told = ["log_id", "accepted", "possible_duplicate"].map(|key| result[key].clone());
    let expected: [Value; 3] = [json!("m0"), json!(true), json!(true)];
    assert_eq!(told, expected, "{result}");
    let outbound = of("outbound");
    assert_eq!(outbound.len(), 2);
    assert_eq!(outbound[0], outbound[1], "the octets are the same");
}
