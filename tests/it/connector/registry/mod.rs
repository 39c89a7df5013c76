//! Records by the schemas of a registry.

mod replay;
mod troubles;

use std::process::Output;
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use kafka_smpp::record::codec::{Codec, Unread};
use kafka_smpp::record::format::Format;
use kafka_smpp::record::kind::Kind;
use kafka_smpp::registry::{Handle, Options, Registry as Service};
use serde_json::{Value, json};

use super::{Deployment, PATIENCE};
use crate::harness::{
    FakeRegistry, FakeSmsc, Registry, Reply, Send, TlsFront, command, eventually, scratch,
};

const WORD: Duration = Duration::from_secs(60);

/// Schemas of messages as an application might have them, without what ours has besides.
const THEIRS: &str = r#"{"type":"record","name":"com.acme.Sms","fields":[
    {"name":"campaign","type":["null","string"],"default":null},
    {"name":"short_message","type":"string"},
    {"name":"log_id","type":"string"},
    {"name":"destination","type":{"type":"record","name":"To","fields":[{"name":"number","type":"string"}]}}]}"#;

/// Octet 0, the number of a schema, and a datum written with it.
fn confluent(id: u32, schema: &str, fields: &[(&str, Avro)]) -> Vec<u8> {
    let schema = Schema::parse_str(schema).expect("a schema");
    let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone()));
    let value = Avro::Record(fields.collect())
        .resolve(&schema)
        .expect("it fits");
    let writer = GenericDatumWriter::builder(&schema)
        .build()
        .expect("a writer");
    let datum = writer.write_value_to_vec(value).expect("written");
    [&[0], &id.to_be_bytes()[..], &datum].concat()
}

/// A message by some schema.
fn sms(id: u32, schema: &str, log_id: &str) -> Vec<u8> {
    let text = |text: &str| Avro::String(text.to_owned());
    let to = Avro::Record(vec![("number".into(), text("41791234567"))]);
    let fields = [
        ("log_id", text(log_id)),
        ("short_message", text(log_id)),
        ("destination", to),
    ];
    confluent(id, schema, &fields)
}

impl Deployment {
    fn with_registry(smsc: u16, partitions: i32, url: &str, formats: Value) -> Deployment {
        let mut it = Deployment::new(smsc, partitions);
        it.config["formats"] = formats;
        it.config["schema_registry"] = json!({
            "urls": [url],
            "subjects": "topic_record_name",
            "timeout": "1s",
            "retry_max": "1s",
        });
        it
    }

    /// Appends values as they are.
    fn put(&self, partition: i32, values: &[Vec<u8>]) {
        let one = |value| Send {
            partition: Some(partition),
            value: Some(value),
            ..Send::default()
        };
        let records: Vec<Send<'_>> = values.iter().map(|v| one(v.as_slice())).collect();
        self.kafka.produce(&self.topic("outbound"), &records);
    }

    /// Runs another command with the same configuration, but for the time-out: it ends with the first answer that
    /// does not come, and a registry that has just started may take seconds.
    fn command(&self, args: &[&str]) -> Output {
        let mut config = self.config.clone();
        config["schema_registry"]["timeout"] = "20s".into();
        command(&toml::to_string(&config).expect("TOML"), args)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Reads what the connector wrote, with a client of the registry's own.
struct Reader {
    handle: Handle,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

impl Reader {
    fn of(registry: &Registry) -> Reader {
        let options = Options {
            urls: vec![registry.url()],
            ..Options::default()
        };
        let (service, handle) = Service::new(&options).expect("a client");
        std::thread::spawn(move || crate::harness::wait(service.run()));
        Reader { handle }
    }

    fn read(&self, format: Format, octets: &[u8]) -> Value {
        assert_eq!(octets[0], 0, "behind the number of its schema");
        let codec: Codec = self.handle.reader(format);
        let mut value = Value::Null;
        eventually("the schema is fetched", WORD, || {
            match codec.shown(octets) {
                Ok(shown) => {
                    value = shown;
                    true
                }
                Err(Unread::Wait(_)) => false,
                Err(Unread::Invalid(error)) => panic!("{error}"),
            }
        });
        value
    }
}

#[test]
fn every_topic_by_a_registry_from_registering_to_reading() {
    let registry = Registry::start();
    let smsc = FakeSmsc::start();
    smsc.script(|submit| Reply::As(format!("ID-{}", submit.text())));
    smsc.answers(3, 0, b"7F\0\0\x02\0");
    let it = Deployment::with_registry(
        smsc.port(),
        1,
        &registry.url(),
        json!({
            "outbound": "avro", "responses": "avro", "errors": "json_schema", "receipts": "avro",
            "inbound": "json_schema", "correlation": "avro", "deliveries": "json_schema",
        }),
    );
    // Nothing is registered: the connector says so and waits.
    let mut connector = it.start();
    connector.wait_for_log("waits for the numbers of its schemas", WORD);
    connector.wait_for_log("kafka-smpp schemas register", WORD);
    let check = it.command(&["schemas", "check"]);
    assert_eq!(check.status.code(), Some(69), "{}", said(&check));
    let dry = it.command(&["schemas", "register", "--dry-run"]);
    assert!(dry.status.success(), "{}", said(&dry));
    assert!(said(&dry).contains("would be registered"), "{}", said(&dry));
    let check = it.command(&["schemas", "check"]);
    assert_eq!(check.status.code(), Some(69), "a dry run changes nothing");
    let register = it.command(&["schemas", "register"]);
    assert!(register.status.success(), "{}", said(&register));
    let check = it.command(&["schemas", "check"]);
    assert!(check.status.success(), "{}", said(&check));
    connector.wait_for_log("the schema registry answers again", WORD);

    // Applications with an older schema of ours, a newer one in another order, their own.
    let older = Kind::SubmitSm.versions().next().expect("version 1").text;
    let subject = format!("{}-old", it.topic("outbound"));
    let older_id = registry.register(&subject, older);
    let newer = newer(Kind::SubmitSm.schema_text());
    let newer_id = registry.register(&format!("{}-new", it.topic("outbound")), &newer);
    let their_id = registry.register("com.acme.Sms", THEIRS);
    it.put(
        0,
        &[
            sms(older_id, older, "older"),
            sms(newer_id, &newer, "newer"),
            sms(their_id, THEIRS, "theirs"),
            b"{}".to_vec(),
        ],
    );
    let query = scratch("query").join("query.json");
    let text = r#"{"type":"QuerySm","log_id":"query","message_id":"7F","source":"1000"}"#;
    std::fs::write(&query, text).expect("a file");
    let sent = it.command(&[
        "send",
        "--wait=60s",
        "--json",
        query.to_str().expect("text"),
    ]);
    assert!(sent.status.success(), "{}", said(&sent));

    let reader = Reader::of(&registry);
    let responses = || it.kafka.octets(&it.topic("responses"));
    eventually("all are answered", PATIENCE, || responses().len() == 4);
    let responses: Vec<Value> = (responses().iter())
        .map(|octets| reader.read(Format::Avro, octets))
        .collect();
    let mut ids: Vec<&str> = responses
        .iter()
        .map(|r| r["log_id"].as_str().expect("one"))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["newer", "older", "query", "theirs"]);
    let query = responses.iter().find(|r| r["log_id"] == "query");
    let query = query.expect("the query");
    assert_eq!(query["type"], "QuerySmResp");
    assert_eq!(query["state"], "DELIVERED");
    let errors = it.kafka.octets(&it.topic("errors"));
    let error = reader.read(Format::JsonSchema, &errors[0]);
    assert_eq!(
        (errors.len(), &error["kind"]),
        (1, &json!("INVALID_RECORD"))
    );
    assert!(error["error"].as_str().expect("a text").contains("octet 0"));

    // Receipts go through both internal topics, also after a restart.
    connector.kill9();
    let _successor = it.start();
    smsc.wait_bound(1);
    for id in ["older", "theirs"] {
        assert_eq!(smsc.receipt(&format!("ID-{id}")), 0);
    }
    let receipts = || it.kafka.octets(&it.topic("receipts"));
    eventually("both receipts", PATIENCE, || receipts().len() == 2);
    let mut correlated = Vec::new();
    for octets in receipts() {
        let receipt = reader.read(Format::Avro, &octets);
        assert_eq!(receipt["correlated"], true);
        assert_eq!(receipt["state"], "DELIVERED");
        correlated.push(receipt["log_id"].as_str().expect("one").to_owned());
    }
    correlated.sort_unstable();
    assert_eq!(correlated, ["older", "theirs"]);
    let tail = it.command(&["tail", "receipts", "--from-beginning", "--json", "-n", "2"]);
    assert!(
        said(&tail).contains(r#""log_id":"theirs""#),
        "{}",
        said(&tail)
    );
}

/// What a later version might be: the fields the other way round, and one more.
fn newer(schema: &str) -> String {
    let mut schema: Value = serde_json::from_str(schema).expect("JSON");
    let fields = schema["fields"].as_array_mut().expect("fields");
    let position = |name: &str, fields: &[Value]| fields.iter().position(|f| f["name"] == name);
    // The address is defined where it stands first.
    let (source, destination) = (
        position("source", fields).expect("one"),
        position("destination", fields).expect("one"),
    );
    let address = fields[source]["type"][1].clone();
    fields[source]["type"][1] = "Address".into();
    fields[destination]["type"] = address;
    fields.reverse();
    fields.insert(
        3,
        json!({ "name": "colour", "type": ["null", "string"], "default": null }),
    );
    schema.to_string()
}

#[test]
fn what_does_not_fit_is_told_field_by_field_and_not_registered() {
    let registry = Registry::start();
    let it = Deployment::with_registry(1, 1, &registry.url(), json!({ "receipts": "avro" }));
    let subject = format!("{}-kafka_smpp.DeliveryReceipt", it.topic("receipts"));
    let other = r#"{"type":"record","name":"DeliveryReceipt","namespace":"kafka_smpp","fields":[
        {"name":"esme","type":"int"},{"name":"price","type":"double"}]}"#;
    registry.register(&subject, other);
    let check = it.command(&["schemas", "check"]);
    assert_eq!(check.status.code(), Some(65), "{}", said(&check));
    for line in [
        "~ esme: int -> string",
        "- price: double",
        "+ log_id: null or string, default null",
        "does not fit",
    ] {
        assert!(said(&check).contains(line), "{line}: {}", said(&check));
    }
    let register = it.command(&["schemas", "register"]);
    assert_eq!(register.status.code(), Some(65), "{}", said(&register));
    let versions = crate::harness::wait(registry.client().versions(&subject));
    assert_eq!(versions.expect("an answer"), [1]);
    let url = registry.url();
    drop(registry);
    let check = it.command(&["schemas", "check"]);
    assert_eq!(check.status.code(), Some(69), "{}", said(&check));
    assert!(said(&check).contains(&url), "{}", said(&check));
}

#[test]
fn a_registry_behind_tls_is_asked_with_a_password_or_a_token() {
    let registry = FakeRegistry::start();
    registry.schema(1, THEIRS);
    // me:secret
    registry.answer_only("Basic bWU6c2VjcmV0");
    let front = TlsFront::start(registry.port());
    let url = format!("https://127.0.0.1:{}", front.port());
    let smsc = FakeSmsc::start();
    let mut it = Deployment::with_registry(smsc.port(), 1, &url, json!({ "outbound": "avro" }));
    it.config["schema_registry"]["tls"] = json!({ "ca_file": front.ca_file() });
    let mut connector = it.start();
    it.put(0, &[sms(1, THEIRS, "m1")]);
    connector.wait_for_log(
        "check schema_registry.username and password, or token",
        WORD,
    );
    drop(connector);
    it.config["schema_registry"]["username"] = "me".into();
    it.config["schema_registry"]["password"] = "secret".into();
    let connector = it.start();
    assert_eq!(it.results(1)["m1"]["accepted"], true);
    assert!(!connector.log().contains("secret"), "{}", connector.log());
    drop(connector);
    registry.answer_only("Bearer t0ken");
    let registry = it.config["schema_registry"]
        .as_object_mut()
        .expect("a table");
    registry.retain(|key, _| key != "username" && key != "password");
    registry.insert("token".into(), "t0ken".into());
    let _connector = it.start();
    it.put(0, &[sms(1, THEIRS, "m2")]);
    assert_eq!(it.results(2)["m2"]["accepted"], true);
}
