//! What an SMSC delivers is in Kafka before it is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use kafka_smpp::deliver::{Deliver, Esme, Options};
use kafka_smpp::kafka::cloud_events::CloudEvents;
use kafka_smpp::record::codec::Codecs;
use kafka_smpp::record::keys;
use kafka_smpp::settings::Time;
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use smpp_esme::{Bind, Client, Credentials, Lease, Outcome, State, Token};
use smpp_protocol::pdu::{AlertNotification, Sm};
use smpp_protocol::{Address, Command, Status};
use smsc_simulator::{Mo, Receipts, Simulator};
use tokio::runtime::Runtime;

use crate::harness::{Broker, Kafka, eventually, kafka, unique};

const SOON: Duration = Duration::from_secs(120);
const PARTITIONS: i32 = 5;

struct Nobody;

impl Client for Nobody {
    fn outcome(&self, _: Token, _: Outcome) {}
}

/// An SMSC, a session with it and its way into Kafka.
struct Rig {
    runtime: Runtime,
    kafka: Kafka,
    smsc: smsc_simulator::Handle,
    session: smpp_esme::Handle,
    deliver: Deliver,
    deliveries: String,
    inbound: String,
    notifications: String,
}

/// What tests change.
struct Limits<'a> {
    buffer: u64,
    answer_timeout: Duration,
    inbound: &'a [(&'a str, &'a str)],
}

const NO_LIMITS: Limits<'_> = Limits {
    buffer: 64 << 20,
    answer_timeout: Duration::from_secs(60),
    inbound: &[],
};

impl Rig {
    fn new(kafka: Kafka, limits: &Limits<'_>) -> Rig {
        let client = kafka.config();
        Rig::with(kafka, client, limits)
    }

    /// One whose producers have this client.
    fn with(kafka: Kafka, client: ClientConfig, limits: &Limits<'_>) -> Rig {
        let (deliveries, inbound) = (unique("deliveries"), unique("inbound"));
        let notifications = unique("notifications");
        kafka.topic(&notifications, 1, &[]);
        kafka.topic(&deliveries, PARTITIONS, &[]);
        kafka.topic(&inbound, 1, limits.inbound);
        let deliver = Deliver::new(&Options {
            client,
            deliveries: deliveries.as_str().into(),
            partitions: PARTITIONS,
            inbound: inbound.as_str().into(),
            notifications: notifications.as_str().into(),
            process: "5f".into(),
            codecs: Codecs::default(),
            cloud_events: CloudEvents::OFF,
            buffer: limits.buffer,
            answer_timeout: limits.answer_timeout,
        })
        .unwrap();
        let runtime = Runtime::new().unwrap();
        let smsc = runtime
            .block_on(Simulator::start(smsc_simulator::Options {
                // All that is there at once.
                deliver_window: 100_000,
                receipts: Receipts {
                    retry: Time::millis(300).into(),
                    ..Receipts::default()
                },
                ..smsc_simulator::Options::default()
            }))
            .unwrap();
        let esme = Arc::new(Esme {
            name: "acme".into(),
            ..Esme::default()
        });
        let options = smpp_esme::Options {
            hosts: vec![smsc.addr().to_string()],
            credentials: Credentials {
                system_id: "esme".into(),
                ..Credentials::default()
            },
            ..smpp_esme::Options::default()
        };
        let inbound_of = deliver.bind(esme, "acme-0");
        let (bind, session) = Bind::new(options, Arc::new(Nobody), inbound_of, Lease::unlimited());
        runtime.spawn(bind.run());
        let state = session.state();
        eventually("bound", SOON, || {
            matches!(*state.borrow(), State::Bound { .. })
        });
        Rig {
            runtime,
            kafka,
            smsc,
            session,
            deliver,
            deliveries,
            inbound,
            notifications,
        }
    }

    fn receipt(&self, id: &str) {
        let text = format!("id:{id} stat:DELIVRD err:000");
        let mut pdu = Vec::new();
        Sm {
            esm_class: 0x04,
            short_message: text.as_bytes(),
            ..Sm::default()
        }
        .encode(Command::DELIVER_SM, Status::ROK, 0, &mut pdu)
        .unwrap();
        self.smsc.deliver_pdu(None, pdu).unwrap();
    }

    fn text(&self, text: &str) {
        self.smsc
            .deliver(&Mo::new("+41791234567", "1234", text))
            .unwrap();
    }

    fn acknowledged(&self, n: u64) {
        eventually("acknowledged", SOON, || self.smsc.counts().inbound == n);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let (session, smsc) = (self.session.clone(), self.smsc.clone());
        self.runtime.block_on(async move {
            session.stop(Duration::from_millis(100));
            session.stopped().await;
            smsc.stop();
            smsc.stopped().await;
        });
    }
}

#[test]
fn receipts_and_messages_are_in_kafka_when_they_are_acknowledged() {
    let rig = Rig::new(kafka(), &NO_LIMITS);
    for i in 0..20 {
        rig.receipt(&format!("R{i}"));
    }
    rig.text("hello");
    rig.text("привет");
    rig.acknowledged(22);
    // Acknowledged means that they are there, now.
    let receipts = rig.kafka.records(&rig.deliveries);
    assert_eq!(receipts.len(), 20);
    for record in &receipts {
        let key = record.key.as_deref().unwrap();
        assert!(key.starts_with("acme/R"), "{key}");
        assert_eq!(
            record.partition,
            keys::partition(key.as_bytes(), PARTITIONS)
        );
        assert_eq!(record.value["bind"], "acme-0");
    }
    let messages = rig.kafka.records(&rig.inbound);
    let texts: Vec<_> = messages.iter().map(|m| &m.value["text"]).collect();
    assert_eq!(texts, ["hello", "привет"]);
    assert_eq!(messages[0].key.as_deref(), Some("41791234567"));
    assert!(messages[0].value.get("possible_duplicate").is_none());
    let counts = rig.deliver.counts();
    assert_eq!((counts.receipts, counts.inbound), (20, 2));
}

#[test]
fn what_kafka_does_not_take_in_time_comes_again_and_says_so() {
    let broker = Broker::start_private();
    let limits = Limits {
        answer_timeout: Duration::from_secs(2),
        ..NO_LIMITS
    };
    let rig = Rig::new(broker.kafka(), &limits);
    rig.text("first");
    rig.acknowledged(1);
    broker.freeze();
    rig.text("second");
    eventually("postponed", SOON, || rig.deliver.counts().postponed >= 1);
    eventually("the SMSC is told", SOON, || {
        rig.smsc.counts().deliveries_refused >= 1
    });
    assert_eq!(rig.smsc.counts().inbound, 1, "not acknowledged");
    broker.thaw();
    rig.acknowledged(2);
    let messages = rig.kafka.records(&rig.inbound);
    let last = messages.last().unwrap();
    assert_eq!(last.value["text"], "second");
    assert_eq!(last.value["possible_duplicate"], true);
    assert!(rig.deliver.flush(SOON));
}

#[test]
fn a_burst_of_five_thousand_is_taken_whole_and_in_order() {
    const COUNT: usize = 5000;
    let rig = Rig::new(kafka(), &NO_LIMITS);
    for n in 0..COUNT {
        rig.text(&n.to_string());
    }
    rig.acknowledged(COUNT as u64);
    assert_eq!(rig.smsc.counts().deliveries_refused, 0);
    let counts = rig.deliver.counts();
    assert_eq!((counts.postponed, counts.no_room), (0, 0));
    let messages = rig.kafka.records(&rig.inbound);
    let texts = messages.iter().map(|m| m.value["text"].as_str().unwrap());
    assert!(texts.eq((0..COUNT).map(|n| n.to_string())), "in order");
}

#[test]
fn what_comes_while_kafka_stands_still_for_three_seconds_is_held_and_not_refused() {
    let broker = Broker::start_private();
    let limits = Limits {
        buffer: 4 << 20,
        answer_timeout: Duration::from_secs(8),
        ..NO_LIMITS
    };
    let rig = Rig::new(broker.kafka(), &limits);
    rig.text("first");
    rig.acknowledged(1);
    broker.freeze();
    for n in 0..1000 {
        rig.receipt(&format!("R{n}"));
    }
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(rig.smsc.counts().inbound, 1);
    assert!(rig.deliver.held() > 500_000, "{}", rig.deliver.held());
    broker.thaw();
    rig.acknowledged(1001);
    assert_eq!(rig.smsc.counts().deliveries_refused, 0);
    let counts = rig.deliver.counts();
    assert_eq!(
        (counts.receipts, counts.postponed, counts.no_room),
        (1000, 0, 0)
    );
    assert_eq!(rig.smsc.counts().binds, 1, "the session went on");
}

#[test]
fn what_kafka_refuses_for_good_is_refused_and_the_rest_goes_on() {
    let limits = Limits {
        inbound: &[("max.message.bytes", "1000")],
        ..NO_LIMITS
    };
    let rig = Rig::new(kafka(), &limits);
    rig.text(&"long ".repeat(400));
    rig.text("short");
    rig.acknowledged(1);
    eventually("refused", SOON, || rig.deliver.counts().refused >= 1);
    assert!(rig.smsc.counts().deliveries_refused >= 1);
    let messages = rig.kafka.records(&rig.inbound);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].value["text"], "short");
}

#[test]
fn a_batch_too_large_for_its_topic_costs_no_message() {
    let broker = Broker::start_private();
    let limits = Limits {
        inbound: &[("max.message.bytes", "3000")],
        ..NO_LIMITS
    };
    let rig = Rig::new(broker.kafka(), &limits);
    rig.text("first");
    rig.acknowledged(1);
    // While the broker does not answer, a batch gathers that is larger than the topic takes.
    broker.freeze();
    for i in 0..40 {
        rig.text(&format!("small {i}"));
    }
    std::thread::sleep(Duration::from_millis(300));
    broker.thaw();
    rig.acknowledged(41);
    let counts = rig.deliver.counts();
    assert_eq!((counts.inbound, counts.refused), (41, 0));
}

#[test]
fn what_cannot_be_read_is_kept_as_it_came() {
    let rig = Rig::new(kafka(), &NO_LIMITS);
    let mut pdu = Vec::new();
    Sm::default()
        .encode(Command::DELIVER_SM, Status::ROK, 0, &mut pdu)
        .unwrap();
    pdu.truncate(20);
    pdu[3] = 20;
    rig.smsc.deliver_pdu(None, pdu).unwrap();
    rig.text("next");
    rig.acknowledged(2);
    let messages = rig.kafka.records(&rig.inbound);
    let odd = messages.iter().find(|m| m.value.get("error").is_some());
    let odd = odd.unwrap();
    assert!(
        odd.value["pdu_hex"]
            .as_str()
            .unwrap()
            .starts_with("00000014")
    );
    assert_eq!(rig.deliver.counts().unreadable, 1);
}

/// An alert_notification of a phone.
fn alert() -> Vec<u8> {
    let mut pdu = Vec::new();
    AlertNotification {
        source: Address::parse("+41791234567"),
        ..AlertNotification::default()
    }
    .encode(Command::ALERT_NOTIFICATION, Status::ROK, 9, &mut pdu)
    .unwrap();
    pdu
}

#[test]
fn a_producer_that_may_not_write_is_made_anew_and_goes_on_when_it_may() {
    let mock = MockCluster::new(1).unwrap();
    // Twice for each of the three producers.
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::InitProducerId, &[forbidden; 6]);
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", mock.bootstrap_servers());
    let rig = Rig::with(kafka(), client, &NO_LIMITS);
    rig.smsc.write_raw(&alert());
    rig.text("hello");
    rig.receipt("R1");
    // The SMSC is told to come again until then.
    rig.acknowledged(2);
    let counts = || rig.deliver.counts();
    // And that the session is bound.
    eventually("the alert is kept", SOON, || counts().notifications == 2);
    assert!(counts().renewed >= 2, "{:?}", counts());
    assert_eq!((counts().inbound, counts().receipts), (1, 1), "each once");
    assert_eq!((counts().notifications_lost, counts().refused), (0, 0));
    assert_eq!(rig.smsc.counts().binds, 1, "the session went on");
    // Later, too: what Kafka's log and the producer think of each other does not fit.
    let broken = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    mock.request_errors(RDKafkaApiKey::Produce, &[broken]);
    let before = counts().renewed;
    rig.text("again");
    rig.acknowledged(3);
    assert!(counts().renewed > before, "{:?}", counts());
}

#[test]
fn an_alert_notification_reaches_kafka_although_nobody_waits_for_an_answer() {
    let rig = Rig::new(kafka(), &NO_LIMITS);
    rig.smsc.write_raw(&alert());
    rig.text("the session goes on");
    rig.acknowledged(1);
    eventually("the alert is in Kafka", SOON, || {
        rig.deliver.counts().notifications == 2
    });
    let events = rig.kafka.records(&rig.notifications);
    assert_eq!(events[0].value["type"], "Bound", "{:?}", events[0]);
    let event = &events[1].value;
    assert_eq!(events[1].key.as_deref(), Some("41791234567"));
    assert_eq!(event["type"], "AlertNotification");
    assert_eq!(event["availability"], "available");
    assert_eq!(
        (event["esme"].as_str(), event["bind"].as_str()),
        (Some("acme"), Some("acme-0"))
    );
}
