//! Receipts find their messages, whatever happens to whom.
//!
//! Creations and deliveries are written here as submit and deliver write them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kafka_smpp::correlate::{
    Correlator, Dialects, Error, Handle, Inbound, Notify, Options, Settings, Topics,
};
use kafka_smpp::kafka::cloud_events::CloudEvents;
use kafka_smpp::record::codec::Codecs;
use kafka_smpp::record::keys::{self, Position};
use kafka_smpp::settings::Time;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use smpp_protocol::pdu::Sm;
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Address, Command as Smpp, Status, Tag, Tlvs};

use crate::harness::{
    Kafka, Process, Record, Send, becomes, eventually, internal_codec, kafka, scratch, unique,
};

const SOON: Duration = Duration::from_secs(120);

/// Topics and a group of one test.
#[derive(Clone)]
struct Rig {
    kafka: Kafka,
    app: String,
    partitions: i32,
    settings: Settings,
}

impl Rig {
    fn new(partitions: i32) -> Rig {
        let rig = Rig {
            kafka: kafka(),
            app: unique("join"),
            partitions,
            settings: Settings {
                early_receipt_grace: Time::seconds(60),
                ..Settings::default()
            },
        };
        let topics = rig.topics();
        let compact = [("cleanup.policy", "compact")];
        rig.kafka.topic(&topics.correlation, partitions, &compact);
        rig.kafka.topic(&topics.deliveries, partitions, &[]);
        rig.kafka.topic(&topics.receipts, 2, &[]);
        rig
    }

    fn grace(mut self, grace: Time) -> Rig {
        self.settings.early_receipt_grace = grace;
        self
    }

    fn topics(&self) -> Topics {
        Topics {
            deliveries: format!("{}.deliveries", self.app).into(),
            correlation: format!("{}.correlation", self.app).into(),
            receipts: format!("{}.receipts", self.app).into(),
            codecs: Codecs {
                correlation: internal_codec(),
                deliveries: internal_codec(),
                ..Codecs::default()
            },
            inbound: format!("{}.inbound", self.app).into(),
            cloud_events: CloudEvents::OFF,
            numbers: Default::default(),
            spans: Default::default(),
        }
    }

    fn group(&self) -> String {
        format!("{}.correlate", self.app)
    }

    fn options(&self) -> Options {
        let mut reader = self.kafka.member(&format!("{}.reader", self.app));
        reader.set("fetch.wait.max.ms", "20");
        Options {
            consumer: self.kafka.member(&self.group()),
            reader,
            producer: self.kafka.config(),
            transactional_id: unique(&self.group()),
            transaction_timeout: Duration::from_secs(10),
            topics: self.topics(),
            settings: self.settings.clone(),
            inbound: Inbound::default(),
            dialects: Dialects::default(),
            notify: Notify::default(),
        }
    }

    fn start(&self) -> Running {
        let (correlator, handle) = Correlator::new(self.options());
        let thread = std::thread::spawn(move || correlator.run());
        Running {
            handle,
            thread: Some(thread),
        }
    }

    /// One correlator as a process, to be killed.
    fn spawn(&self) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "correlate::a_process_of_its_own", "--nocapture"])
            .env("CORRELATE_BOOTSTRAP", &self.kafka.bootstrap)
            .env("CORRELATE_APP", &self.app)
            .env(
                "CORRELATE_GRACE",
                self.settings.early_receipt_grace.to_string(),
            );
        Process::start(
            "correlator",
            &mut command,
            scratch("correlator").join("log"),
        )
    }

    fn partition(&self, id: &str) -> i32 {
        keys::partition(keys::identity("acme", id).as_bytes(), self.partitions)
    }

    /// What submit writes with the SMSC's response.
    fn created(&self, id: &str) {
        self.created_at(id, Timestamp::now());
    }

    fn created_at(&self, id: &str, submitted_at: Timestamp) {
        self.create_all(&[id.to_owned()], submitted_at);
    }

    fn create_all(&self, ids: &[String], submitted_at: Timestamp) {
        let lines: Vec<_> = ids.iter().map(|id| entry(id, submitted_at)).collect();
        let records: Vec<Send<'_>> = ids
            .iter()
            .zip(&lines)
            .map(|(id, (key, value))| Send {
                partition: Some(self.partition(id)),
                key: Some(key),
                value: Some(value),
                headers: &[],
            })
            .collect();
        self.kafka.produce(&self.topics().correlation, &records);
    }

    /// What deliver writes for a receipt.
    fn delivered(&self, id: &str, stat: &str) {
        self.deliver_all(&[(id.to_owned(), stat)]);
    }

    fn deliver_all(&self, receipts: &[(String, &str)]) {
        self.deliver_all_at(receipts, None);
    }

    fn deliver_all_at(&self, receipts: &[(String, &str)], timestamp: Option<i64>) {
        let lines: Vec<(i32, String, Vec<u8>)> = receipts
            .iter()
            .enumerate()
            .map(|(i, (id, stat))| {
                let value = json!({
                    "esme": "acme",
                    "bind": "acme-0",
                    "received_at": Timestamp::now(),
                    "pdu": STANDARD.encode(receipt(id, stat, i as u32)),
                });
                let key = keys::identity("acme", id);
                (self.partition(id), key, value.to_string().into_bytes())
            })
            .collect();
        let records: Vec<Send<'_>> = lines
            .iter()
            .map(|(partition, key, value)| Send {
                partition: Some(*partition),
                key: Some(key),
                value: Some(value),
                headers: &[],
            })
            .collect();
        let deliveries = self.topics().deliveries;
        self.kafka.produce_at(&deliveries, &records, timestamp);
    }

    fn receipts(&self, n: usize) -> Vec<Record> {
        self.kafka.wait_records(&self.topics().receipts, n, SOON)
    }

    /// Everything delivered so far is consumed and committed.
    fn consumed(&self) {
        let deliveries = self.topics().deliveries;
        for partition in 0..self.partitions {
            let (_, end) = self.kafka.watermarks(&deliveries, partition);
            becomes(end, SOON, || {
                let committed = self.kafka.committed(&self.group(), &deliveries, partition);
                committed.map_or(0, |(offset, _)| offset)
            });
        }
    }

    /// What stands in the correlation topic once compacted, barriers left out.
    fn remembered(&self) -> BTreeMap<String, Value> {
        let mut latest = BTreeMap::new();
        for record in self.kafka.records(&self.topics().correlation) {
            let key = record.key.unwrap();
            if !key.starts_with("@owner/") {
                latest.insert(key, record.value);
            }
        }
        latest.retain(|_, value| !value.is_null());
        latest
    }
}

/// A correlator in this process; it leaves its group when dropped.
struct Running {
    handle: Handle,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Running {
    fn partitions(&self) -> usize {
        let status = self.handle.status();
        status.map_or(0, |s| s.partitions.iter().filter(|p| p.live).count())
    }

    fn stop(mut self) {
        self.handle.stop();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn source(id: &str) -> Position {
    Position {
        topic: "sms.outbound".into(),
        partition: 0,
        offset: i64::from(crc32fast::hash(id.as_bytes())),
    }
}

fn entry(id: &str, submitted_at: Timestamp) -> (String, Vec<u8>) {
    let source = source(id);
    // Written by hand: extra data goes through byte for byte.
    let value = format!(
        r#"{{"esme":"acme","message_id":"{id}","log_id":"log-{id}","extra_data":{{"n" : 1.50}},"record":{},"attempt":1,"submitted_at":"{submitted_at}","destination":"4179","headers":[{{"key":"traceparent","value":"MDAtMDE="}}]}}"#,
        serde_json::to_string(&source).unwrap(),
    );
    (keys::entry("acme", id, &source, None), value.into_bytes())
}

fn receipt(id: &str, stat: &str, sequence: u32) -> Vec<u8> {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2601020304 done date:2601020305 stat:{stat} err:000 text:hello"
    );
    let sm = Sm {
        source: Address::parse("41790000000"),
        destination: Address::parse("1234"),
        esm_class: 0x04,
        short_message: text.as_bytes(),
        ..Sm::default()
    };
    let mut pdu = Vec::new();
    sm.encode(Smpp::DELIVER_SM, Status::ROK, sequence, &mut pdu)
        .unwrap();
    pdu
}

/// Run by other tests in a process of its own, until it is killed.
#[test]
fn a_process_of_its_own() {
    let Ok(bootstrap) = std::env::var("CORRELATE_BOOTSTRAP") else {
        return;
    };
    let rig = Rig {
        kafka: Kafka { bootstrap },
        app: std::env::var("CORRELATE_APP").unwrap(),
        partitions: 0,
        settings: Settings {
            early_receipt_grace: std::env::var("CORRELATE_GRACE").unwrap().parse().unwrap(),
            ..Settings::default()
        },
    };
    let (correlator, _handle) = Correlator::new(rig.options());
    correlator.run().unwrap();
}

#[test]
fn a_receipt_after_its_message_carries_what_the_message_said() {
    let rig = Rig::new(2);
    rig.created("A1");
    let _running = rig.start();
    rig.delivered("A1", "DELIVRD");
    let receipts = rig.receipts(1);
    let event = &receipts[0];
    assert_eq!(event.key.as_deref(), Some("log-A1"));
    assert_eq!(event.headers, [("traceparent".into(), "00-01".into())]);
    for (field, expected) in [
        ("type", json!("DeliveryReceipt")),
        ("log_id", json!("log-A1")),
        ("correlated", json!(true)),
        ("state", json!("DELIVERED")),
        ("final", json!(true)),
        ("stat", json!("DELIVRD")),
        ("message_id", json!("A1")),
        ("attempt", json!(1)),
        ("esme", json!("acme")),
        ("bind", json!("acme-0")),
        ("record", json!(source("A1"))),
    ] {
        assert_eq!(event.value[field], expected, "{field}");
    }
    // As written, not as a parser would write it again.
    assert!(rig.raw_receipt().contains(r#""extra_data":{"n" : 1.50}"#));
    rig.consumed();
}

impl Rig {
    /// The first receipt, as octets.
    fn raw_receipt(&self) -> String {
        use rdkafka::consumer::{BaseConsumer, Consumer};
        use rdkafka::message::Message;
        let consumer: BaseConsumer = self
            .kafka
            .member(&unique("raw"))
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[&self.topics().receipts]).unwrap();
        loop {
            if let Some(Ok(message)) = consumer.poll(SOON) {
                return String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            }
        }
    }
}

#[test]
fn a_receipt_before_its_message_waits_for_it() {
    let rig = Rig::new(1);
    let running = rig.start();
    rig.delivered("B1", "DELIVRD");
    rig.consumed();
    let parked: Vec<String> = rig.remembered().into_keys().collect();
    assert_eq!(parked, ["acme/B1/@0"]);
    assert!(rig.kafka.records(&rig.topics().receipts).is_empty());
    rig.created("B1");
    let receipts = rig.receipts(1);
    assert_eq!(receipts[0].value["log_id"], "log-B1");
    becomes(1, SOON, || rig.remembered().len());
    let (key, value) = rig.remembered().pop_first().unwrap();
    assert!(key.starts_with("acme/B1/sms.outbound:0:"), "{key}");
    assert_eq!(value["seen"].as_array().unwrap().len(), 1);
    let status = running.handle.status().unwrap();
    assert_eq!((status.counts.parked, status.counts.correlated), (1, 1));
}

#[test]
fn a_parked_receipt_survives_its_owner() {
    let rig = Rig::new(1);
    let running = rig.start();
    rig.delivered("C1", "DELIVRD");
    rig.consumed();
    running.stop();
    rig.created("C1");
    let running = rig.start();
    assert_eq!(rig.receipts(1)[0].value["log_id"], "log-C1");
    becomes(1, SOON, || rig.remembered().len());
    let entries = running.handle.status().unwrap().partitions[0].entries;
    assert_eq!(entries, 1);
}

#[test]
fn a_repeat_is_dropped_also_by_a_successor() {
    let rig = Rig::new(1);
    rig.created("D1");
    let running = rig.start();
    rig.delivered("D1", "ENROUTE");
    rig.delivered("D1", "DELIVRD");
    rig.delivered("D1", "DELIVRD");
    rig.consumed();
    running.stop();
    let running = rig.start();
    rig.delivered("D1", "DELIVRD");
    rig.delivered("D1", "ENROUTE");
    rig.consumed();
    eventually("counted", SOON, || {
        running.handle.status().unwrap().counts.repeated == 2
    });
    let receipts = rig.kafka.records(&rig.topics().receipts);
    let states: Vec<&Value> = receipts.iter().map(|r| &r.value["state"]).collect();
    assert_eq!(states, ["ENROUTE", "DELIVERED"]);
}

#[test]
fn an_unknown_message_id_is_published_alone_after_the_grace() {
    let rig = Rig::new(1).grace(Time::millis(700));
    let _running = rig.start();
    rig.delivered("nobody", "DELIVRD");
    rig.consumed();
    assert!(rig.kafka.records(&rig.topics().receipts).is_empty());
    let event = &rig.receipts(1)[0];
    assert_eq!(event.key.as_deref(), Some("acme/nobody"));
    assert_eq!(event.value["correlated"], false);
    assert_eq!(event.value["message_id"], "nobody");
    assert_eq!(event.value["state"], "DELIVERED");
    assert!(event.value.get("log_id").is_none());
    // Its repeat is known as one.
    rig.delivered("nobody", "DELIVRD");
    rig.consumed();
    assert_eq!(rig.kafka.records(&rig.topics().receipts).len(), 1);
}

#[test]
fn grace_does_not_run_while_a_transaction_hangs() {
    let rig = Rig::new(1).grace(Time::millis(500));
    let running = rig.start();
    eventually("restored", SOON, || running.partitions() == 1);
    let submit = open_transaction(&rig, "E1", entry("E1", Timestamp::now()));
    rig.delivered("E1", "DELIVRD");
    rig.consumed();
    std::thread::sleep(Duration::from_secs(2));
    assert!(rig.kafka.records(&rig.topics().receipts).is_empty());
    submit.commit_transaction(SOON).unwrap();
    assert_eq!(rig.receipts(1)[0].value["log_id"], "log-E1");
}

/// Submit has written this creation, and its transaction is still open.
fn open_transaction(rig: &Rig, id: &str, (key, value): (String, Vec<u8>)) -> BaseProducer {
    let submit: BaseProducer = rig
        .kafka
        .config()
        .set("transactional.id", unique("submit"))
        .set("transaction.timeout.ms", "30000")
        .create()
        .unwrap();
    submit.init_transactions(SOON).unwrap();
    submit.begin_transaction().unwrap();
    let topic = rig.topics().correlation;
    let record = BaseRecord::to(&topic).partition(rig.partition(id));
    submit.send(record.key(&key).payload(&value)).unwrap();
    submit.flush(SOON).unwrap();
    submit
}

#[test]
fn a_receipt_in_another_form_is_not_answered_by_a_partition_that_reads_late() {
    let rig = Rig::new(3).grace(Time::millis(500));
    let running = rig.start();
    eventually("restored", SOON, || running.partitions() == 3);
    // Its message is in a partition that does not read on, and the receipt's own does.
    let mut ids = (0u32..).map(|n| (format!("{n:x}f"), format!("{n:X}F")));
    let apart = |(one, other): &(String, String)| rig.partition(one) != rig.partition(other);
    let (id, capitals) = ids.find(apart).unwrap();
    let (key, value) = entry(&id, Timestamp::now());
    let value = String::from_utf8(value).unwrap();
    let value = value.replace(r#""4179""#, r#""41790000000""#);
    let submit = open_transaction(&rig, &id, (key, value.into_bytes()));

    rig.delivered(&capitals, "DELIVRD");
    rig.consumed();
    std::thread::sleep(Duration::from_secs(5));
    assert!(rig.kafka.records(&rig.topics().receipts).is_empty());
    submit.commit_transaction(SOON).unwrap();
    assert_eq!(rig.receipts(1)[0].value["log_id"], format!("log-{id}"));
    eventually("nothing waits any more", SOON, || {
        let keys: Vec<String> = rig.remembered().into_keys().collect();
        keys.len() == 1 && keys[0].starts_with(&format!("acme/{id}/"))
    });
}

#[test]
fn a_message_without_receipt_becomes_overdue() {
    let mut rig = Rig::new(1);
    rig.settings.receipt_ttl = Time::seconds(3600);
    let old = Timestamp::from_second(Timestamp::now().as_second() - 3599).unwrap();
    rig.created_at("F1", old);
    rig.created("F2");
    let _running = rig.start();
    let event = &rig.receipts(1)[0];
    assert_eq!(event.key.as_deref(), Some("log-F1"));
    assert_eq!(
        (&event.value["overdue"], &event.value["missing"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(event.value["state"], "OVERDUE");
    assert_eq!(event.value["message_id"], "F1");
    becomes(1, SOON, || rig.remembered().len());
    assert!(
        rig.remembered()
            .into_keys()
            .all(|k| k.starts_with("acme/F2/"))
    );
}

#[test]
fn a_receipt_in_the_backlog_is_read_before_its_message_is_overdue() {
    let mut rig = Rig::new(1);
    rig.settings.receipt_ttl = Time::seconds(3600);
    let old = Timestamp::from_second(Timestamp::now().as_second() - 4000).unwrap();
    rig.created_at("F3", old);
    rig.created_at("F4", old);
    // So many that consuming pauses on the way.
    let others: Vec<(String, &str)> = (0..8000).map(|n| (format!("O{n}"), "DELIVRD")).collect();
    rig.deliver_all(&others);
    rig.delivered("F3", "DELIVRD");
    let _running = rig.start();
    let of = |id: &str| {
        let log_id = format!("log-{id}");
        let mine = |r: &Record| (r.value["log_id"] == *log_id).then(|| r.value["state"].clone());
        let receipts = rig.kafka.records(&rig.topics().receipts);
        receipts.iter().filter_map(mine).collect::<Vec<_>>()
    };
    becomes(vec![json!("OVERDUE")], 2 * SOON, || of("F4"));
    assert_eq!(of("F3"), [json!("DELIVERED")]);
}

#[test]
fn entries_are_forgotten_after_their_last_receipt() {
    let mut rig = Rig::new(1);
    rig.settings.final_retention = Time::seconds(1);
    rig.created("G1");
    let running = rig.start();
    rig.delivered("G1", "UNDELIV");
    rig.receipts(1);
    becomes(0, SOON, || rig.remembered().len());
    let partition = running.handle.status().unwrap().partitions.remove(0);
    assert_eq!(
        (partition.entries, partition.parked, partition.octets),
        (0, 0, 0)
    );
}

#[test]
fn a_takeover_ends_a_predecessors_hanging_transaction() {
    a_predecessor_died(true);
}

#[test]
fn a_takeover_ends_a_transaction_that_had_no_offsets_yet() {
    a_predecessor_died(false);
}

/// In the middle of its last transaction, its offsets sent or not.
fn a_predecessor_died(offsets_sent: bool) {
    let rig = Rig::new(1);
    rig.created("H1");
    let first = rig.start();
    rig.delivered("H1", "ENROUTE");
    rig.receipts(1);
    rig.consumed();
    let (_, metadata) = rig
        .kafka
        .committed(&rig.group(), &rig.topics().deliveries, 0)
        .unwrap();
    first.stop();
    // The predecessor died in the middle of its next transaction: under its name, records
    // and the offset are written, and neither committed nor aborted.
    let writer = metadata
        .split(' ')
        .find_map(|field| field.strip_prefix('w'))
        .unwrap();
    let dead = hang(&rig, writer, offsets_sent);
    let second = rig.start();
    rig.delivered("H1", "DELIVRD");
    let receipts = rig
        .kafka
        .wait_records(&rig.topics().receipts, 2, Duration::from_secs(15));
    let states: Vec<&Value> = receipts.iter().map(|r| &r.value["state"]).collect();
    assert_eq!(states, ["ENROUTE", "DELIVERED"]);
    drop((dead, second));
}

/// Leaves a transaction open that holds correlation and receipts, and the deliveries' offset.
fn hang(rig: &Rig, writer: &str, offsets_sent: bool) -> BaseProducer {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
    let topics = rig.topics();
    let member: BaseConsumer = rig.kafka.member(&rig.group()).create().unwrap();
    member.subscribe(&[&topics.deliveries]).unwrap();
    eventually("a member", SOON, || {
        let _ = member.poll(Duration::from_millis(50));
        member.assignment().unwrap().count() == 1
    });
    let producer: BaseProducer = rig
        .kafka
        .config()
        .set("transactional.id", writer)
        .set("transaction.timeout.ms", "60000")
        .create()
        .unwrap();
    producer.init_transactions(SOON).unwrap();
    producer.begin_transaction().unwrap();
    for topic in [&topics.receipts, &topics.correlation] {
        let lost = BaseRecord::to(topic).key("lost").payload("{}").partition(0);
        producer.send(lost).unwrap();
    }
    producer.flush(SOON).unwrap();
    if !offsets_sent {
        return producer;
    }
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&topics.deliveries, 0, Offset::Offset(1))
        .unwrap();
    let group = member.group_metadata().unwrap();
    producer
        .send_offsets_to_transaction(&offsets, &group, SOON)
        .unwrap();
    producer
}

#[test]
fn partitions_move_between_owners_and_no_receipt_is_lost_or_doubled() {
    let rig = Rig::new(4).grace(Time::seconds(3));
    let ids: Vec<String> = (0..400).map(|i| format!("M{i}")).collect();
    rig.create_all(&ids[..200], Timestamp::now());
    let mut first = rig.spawn();
    let second = rig.start();
    eventually("both have partitions", SOON, || second.partitions() == 2);
    let wave = |range: std::ops::Range<usize>, stat| {
        let some: Vec<(String, &str)> = ids[range].iter().map(|id| (id.clone(), stat)).collect();
        rig.deliver_all(&some);
    };
    wave(0..400, "ENROUTE");
    wave(0..100, "DELIVRD");
    first.kill9();
    wave(100..200, "DELIVRD");
    let third = rig.start();
    rig.create_all(&ids[200..], Timestamp::now());
    wave(200..300, "DELIVRD");
    eventually("both have partitions", Duration::from_secs(40), || {
        second.partitions() == 2 && third.partitions() == 2
    });
    second.stop();
    wave(300..400, "DELIVRD");
    // Acknowledgements were lost: everything comes again.
    wave(0..400, "DELIVRD");
    rig.kafka
        .wait_records(&rig.topics().receipts, 800, Duration::from_secs(60));
    rig.consumed();

    let mut seen = BTreeSet::new();
    let mut alone = 0;
    for record in rig.kafka.records(&rig.topics().receipts) {
        let (id, state) = (&record.value["message_id"], &record.value["state"]);
        assert!(
            seen.insert((id.to_string(), state.to_string())),
            "{id} {state} twice"
        );
        let known: usize = id.as_str().unwrap()[1..].parse().unwrap();
        match record.value["correlated"].as_bool().unwrap() {
            true => assert_eq!(record.value["log_id"], format!("log-M{known}")),
            false => {
                assert!(known >= 200, "{id} was created before");
                alone += 1;
            }
        }
    }
    assert_eq!(seen.len(), 800);
    // Only receipts that came more than the grace before their creation.
    assert!(alone <= 200, "{alone}");
    drop(third);
}

#[test]
fn a_recreated_topic_is_read_from_its_beginning() {
    let rig = Rig::new(1);
    rig.create_all(&["J1".into(), "J2".into()], Timestamp::now());
    let _running = rig.start();
    for stat in ["ENROUTE", "ACCEPTD", "DELIVRD"] {
        rig.delivered("J1", stat);
    }
    rig.receipts(3);
    rig.kafka.delete_topic(&rig.topics().deliveries);
    std::thread::sleep(Duration::from_secs(1));
    rig.kafka.topic(&rig.topics().deliveries, 1, &[]);
    rig.delivered("J2", "DELIVRD");
    let patience = Duration::from_secs(60);
    let receipts = rig.kafka.wait_records(&rig.topics().receipts, 4, patience);
    assert!(receipts.iter().any(|r| r.value["log_id"] == "log-J2"));
}

#[test]
fn deliveries_that_lost_their_tail_are_not_read_again() {
    let rig = Rig::new(1).grace(Time::seconds(1));
    let deliveries = rig.topics().deliveries;
    rig.create_all(&["K1".into(), "K2".into()], Timestamp::now());
    let running = rig.start();
    for stat in ["ENROUTE", "ACCEPTD", "DELIVRD"] {
        rig.delivered("K1", stat);
    }
    // The clock of who wrote this one was wrong.
    let any = i64::MAX.to_string();
    rig.kafka
        .alter_topic(&deliveries, "message.timestamp.after.max.ms", &any);
    std::thread::sleep(Duration::from_secs(1));
    let month = 30 * 24 * 3_600_000;
    let wrong = Some(Timestamp::now().as_millisecond() + month);
    rig.deliver_all_at(&[("K1".to_owned(), "UNKNOWN")], wrong);
    rig.receipts(4);
    rig.consumed();
    running.stop();
    let committed = rig.kafka.committed(&rig.group(), &deliveries, 0);
    let (offset, metadata) = committed.unwrap();
    rig.kafka.delete_topic(&deliveries);
    std::thread::sleep(Duration::from_secs(2));
    rig.kafka.topic(&deliveries, 1, &[]);
    rig.commit(offset, &metadata);
    // One that was read long ago, and one that came since.
    let old = [("LONG-AGO".to_owned(), "DELIVRD")];
    rig.deliver_all_at(&old, Some(Timestamp::now().as_millisecond() - 3_600_000));
    rig.delivered("K2", "DELIVRD");
    let _running = rig.start();
    let receipts = rig.receipts(5);
    assert_eq!(receipts[4].value["log_id"], "log-K2");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(rig.receipts(5).len(), 5, "what is old was published before");
}

impl Rig {
    /// Commits an offset of the deliveries, as an operator would.
    fn commit(&self, offset: i64, metadata: &str) {
        use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
        use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
        let operator: BaseConsumer = self.kafka.member(&self.group()).create().unwrap();
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.topics().deliveries, 0);
        element.set_offset(Offset::Offset(offset)).unwrap();
        element.set_metadata(metadata);
        operator.commit(&list, CommitMode::Sync).unwrap();
    }
}

#[test]
fn topics_that_do_not_fit_together_are_refused() {
    let rig = Rig::new(2);
    let mut options = rig.options();
    let other = unique("other");
    rig.kafka.topic(&other, 3, &[]);
    options.topics.deliveries = other.as_str().into();
    let error = Correlator::new(options).0.run().unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Partitions {
                found: 3,
                expected: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_event_too_large_for_its_topic_goes_without_its_extra_data() {
    let rig = Rig::new(1);
    let small = unique("small");
    rig.kafka.topic(&small, 1, &[("max.message.bytes", "3000")]);
    let mut options = rig.options();
    options.topics.receipts = small.as_str().into();
    let (key, value) = entry("K1", Timestamp::now());
    let noise: String = (0..4000u32)
        .map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
        .collect();
    let value = String::from_utf8(value)
        .unwrap()
        .replace(r#"{"n" : 1.50}"#, &format!("{noise:?}"));
    let record = Send {
        partition: Some(0),
        key: Some(&key),
        value: Some(value.as_bytes()),
        headers: &[],
    };
    rig.kafka.produce(&rig.topics().correlation, &[record]);
    let (correlator, handle) = Correlator::new(options);
    let running = Running {
        handle,
        thread: Some(std::thread::spawn(move || correlator.run())),
    };
    rig.delivered("K1", "DELIVRD");
    let event = &rig.kafka.wait_records(&small, 1, SOON)[0];
    assert_eq!(event.value["log_id"], "log-K1");
    assert!(event.value.get("extra_data").is_none());
    assert!(event.value["error"].as_str().unwrap().contains("left out"));
    assert_eq!(running.handle.status().unwrap().counts.refused, 1);
}

#[test]
fn what_the_correlation_topic_does_not_take_is_published_at_once_and_not_lost() {
    let rig = Rig::new(1);
    let small = unique("small");
    let configs = [("max.message.bytes", "1500"), ("cleanup.policy", "compact")];
    rig.kafka.topic(&small, 1, &configs);
    rig.kafka.topic(&rig.topics().inbound, 1, &[]);
    let mut options = rig.options();
    options.topics.correlation = small.as_str().into();
    let (correlator, handle) = Correlator::new(options);
    let running = Running {
        handle,
        thread: Some(std::thread::spawn(move || correlator.run())),
    };
    let mut payload = b"\x05\x00\x03\x2a\x02\x01".to_vec();
    payload.resize(2000, b'a');
    let mut tlvs = Vec::new();
    push_tlv(&mut tlvs, Tag::MESSAGE_PAYLOAD, &payload).unwrap();
    let deliver = |key: &str, sm: &Sm<'_>| {
        let mut pdu = Vec::new();
        sm.encode(Smpp::DELIVER_SM, Status::ROK, 1, &mut pdu)
            .unwrap();
        let value = json!({
            "esme": "acme",
            "bind": "acme-0",
            "received_at": Timestamp::now(),
            "pdu": STANDARD.encode(pdu),
        });
        let value = value.to_string();
        let record = Send {
            partition: Some(0),
            key: Some(key),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        rig.kafka.produce(&rig.topics().deliveries, &[record]);
    };
    let (source, destination) = (Address::parse("41790000000"), Address::parse("1234"));
    let receipt = Sm {
        source,
        destination,
        esm_class: 0x04,
        tlvs: Tlvs::new(&tlvs),
        ..Sm::default()
    };
    deliver("acme/L1", &receipt);
    // Long before the end of its grace: nobody would know of it after a takeover.
    let event = &rig.receipts(1)[0];
    assert_eq!(event.value["correlated"], false);
    let part = Sm {
        esm_class: 0x40,
        ..receipt
    };
    deliver("@part/acme/41790000000/1234/42.8.2", &part);
    let message = &rig.kafka.wait_records(&rig.topics().inbound, 1, SOON)[0];
    assert_eq!(message.value["complete"], false);
    assert_eq!(message.value["missing"], json!([2]));
    rig.consumed();
    let status = running.handle.status().unwrap();
    assert_eq!((status.counts.refused, status.counts.uncorrelated), (2, 1));
    assert_eq!(status.partitions[0].parts, 0);
    deliver("acme/L1", &receipt);
    rig.consumed();
    assert_eq!(rig.receipts(1).len(), 1, "a repeat is known");
}

/// A receipt with a text of so many octets.
fn long_receipt(rig: &Rig, id: &str, stat: &str, text: usize) {
    let text = format!("id:{id} stat:{stat} err:000 text:{}", "x".repeat(text));
    let sm = Sm {
        source: Address::parse("41790000000"),
        destination: Address::parse("1234"),
        esm_class: 0x04,
        short_message: text.as_bytes(),
        ..Sm::default()
    };
    let mut pdu = Vec::new();
    sm.encode(Smpp::DELIVER_SM, Status::ROK, 1, &mut pdu)
        .unwrap();
    let value = json!({
        "esme": "acme",
        "bind": "acme-0",
        "received_at": Timestamp::now(),
        "pdu": STANDARD.encode(pdu),
    });
    let (key, value) = (keys::identity("acme", id), value.to_string());
    let record = Send {
        partition: Some(rig.partition(id)),
        key: Some(&key),
        value: Some(value.as_bytes()),
        headers: &[],
    };
    rig.kafka.produce(&rig.topics().deliveries, &[record]);
}

#[test]
fn a_receipt_that_its_topic_refuses_holds_up_only_its_partition_and_is_not_lost() {
    let rig = Rig::new(2);
    let of = |partition: i32| {
        let mut ids = (0..).map(|n| format!("R{n}"));
        ids.find(|id| rig.partition(id) == partition).unwrap()
    };
    let (large, small) = (of(0), of(1));
    rig.created(&large);
    rig.created(&small);
    let running = rig.start();
    long_receipt(&rig, &small, "ACCEPTD", 0);
    let octets = rig.receipts(1)[0].value.to_string().len();
    let limit = (octets + 250).to_string();
    let receipts = rig.topics().receipts;
    rig.kafka
        .alter_topic(&receipts, "max.message.bytes", &limit);
    std::thread::sleep(Duration::from_secs(1));
    long_receipt(&rig, &large, "DELIVRD", 200);
    std::thread::sleep(Duration::from_secs(1));
    long_receipt(&rig, &small, "DELIVRD", 0);
    let two = rig.receipts(2);
    assert!(
        two.iter().all(|r| r.value["message_id"] == json!(small)),
        "{two:?}"
    );
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(rig.kafka.records(&receipts).len(), 2);
    let status = running.handle.status().unwrap();
    assert!(status.partitions[0].gathered > 0, "it waits: {status:?}");
    rig.kafka
        .alter_topic(&receipts, "max.message.bytes", "100000");
    let three = rig.receipts(3);
    assert!(
        three.iter().any(|r| r.value["message_id"] == json!(large)),
        "{three:?}"
    );
    rig.consumed();
    running.stop();
}
