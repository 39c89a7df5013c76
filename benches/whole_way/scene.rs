//! Kafka, the simulator and the connector, each in a process of its own.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;
use kafka_smpp::record::kind::Kind;
use kafka_smpp::registry::{Options, Registry, Topic};

use super::harness::{
    self, Connector, FakeRegistry, Kafka, Process, free_port, kafka, scratch, unique,
};
use super::outside::{Feed, feed};
use super::setting;

/// Kafka with topics of its own, and a simulator of its own.
pub struct Scene {
    pub kafka: Kafka,
    pub name: String,
    /// Of all topics.
    pub format: Format,
    registry: FakeRegistry,
    pub partitions: i32,
    _smsc: Process,
    /// Of the simulator.
    pub port: u16,
    /// Where the connector is looked at.
    pub http: u16,
}

impl Scene {
    /// With so many partitions of each topic.
    pub fn new(partitions: i32) -> Scene {
        let kafka = kafka();
        let name = unique("bench");
        let stems = ["responses", "errors", "receipts", "inbound"];
        for stem in stems.into_iter().chain(["notifications", "deliveries"]) {
            kafka.topic(&format!("{name}.{stem}"), partitions, &[]);
        }
        let compact = [("cleanup.policy", "compact")];
        kafka.topic(&format!("{name}.correlation"), partitions, &compact);
        kafka.topic(&format!("{name}.outbound"), partitions, &[]);
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-smpp"));
        command
            .arg("smsc")
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--receipt-delay", "100ms"])
            .args(["--deliver-window", "500"]);
        let smsc = Process::start("smsc", &mut command, scratch("smsc").join("log"));
        let format = std::env::var("BENCH_FORMAT").unwrap_or("json".into());
        let format = serde_json::from_value(format.into()).expect("a format");
        let registry = FakeRegistry::start();
        registry.number_from(1);
        Scene {
            kafka,
            name,
            format,
            registry,
            partitions,
            _smsc: smsc,
            port,
            http: free_port(),
        }
    }

    /// The name of one of its topics.
    pub fn topic(&self, stem: &str) -> String {
        format!("{}.{stem}", self.name)
    }

    /// How the topic of a kind of records is written and read, as the connector does it.
    pub fn codec(&self, stem: &str, kinds: &'static [Kind]) -> Codec {
        if !self.format.is_registered() {
            return Codec::new(self.format);
        }
        let (_, handle) = Registry::new(&Options {
            urls: vec![self.registry.url()],
            auto_register: true,
            ..Options::default()
        })
        .expect("a client");
        let topic = Topic {
            name: self.topic(stem),
            format: self.format,
            kinds,
        };
        harness::wait(handle.codec(&topic)).expect("numbers")
    }

    /// Appends messages to all partitions of the outbound topic; returns when it began.
    pub fn feed(&self, how: Feed) -> u64 {
        let codec = self.codec("outbound", Kind::OUTBOUND);
        feed(
            &self.kafka,
            &self.topic("outbound"),
            self.partitions,
            &codec,
            how,
        )
    }

    /// Our connector, just started.
    pub fn connector(&self) -> Connector {
        let stems = [
            "outbound",
            "responses",
            "errors",
            "receipts",
            "inbound",
            "notifications",
            "correlation",
            "deliveries",
        ];
        let formats: serde_json::Map<_, _> = stems
            .iter()
            .map(|stem| ((*stem).to_owned(), self.format.name().into()))
            .collect();
        let config = json!({
            "formats": formats,
            "schema_registry": { "urls": [self.registry.url()], "auto_register": true },
            "kafka": {
                "bootstrap_servers": self.kafka.bootstrap,
                "application_id": self.name,
            },
            "topics": {
                "responses": self.topic("responses"),
                "errors": self.topic("errors"),
                "receipts": self.topic("receipts"),
                "inbound": self.topic("inbound"),
                "notifications": self.topic("notifications"),
                "deliveries": self.topic("deliveries"),
                "correlation": self.topic("correlation"),
            },
            "http": { "listen": format!("127.0.0.1:{}", self.http) },
            "log": { "level": std::env::var("BENCH_LOG").unwrap_or("warn".into()) },
            "esme": [{
                "name": "bench",
                "outbound": [self.topic("outbound")],
                "hosts": [format!("127.0.0.1:{}", self.port)],
                "system_id": "bench",
                "password": "secret",
                "window": setting("BENCH_WINDOW", 500),
                "max_binds": 100,
            }],
        });
        Connector::start(&toml::to_string(&config).expect("TOML"))
    }
}

/// Ends a connector as an operator does; fails if it says that it failed.
pub fn stop(mut connector: Connector) {
    connector.signal(nix::sys::signal::Signal::SIGTERM);
    let status = connector.wait(Duration::from_secs(30));
    assert!(status.success(), "{}", connector.log());
}
