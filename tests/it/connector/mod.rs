//! The real program between real Kafka and an SMSC.

mod aiosmpplib;
mod audit;
mod canary;
mod cloud_events;
mod conversation;
mod doubt;
mod erase;
mod examples;
mod field;
mod happy;
mod inbound;
mod leases;
mod lesser;
mod life;
mod live;
mod masked;
mod modes;
mod monitoring;
mod noticed;
mod operations;
#[cfg(feature = "otel")]
mod otel;
mod outage;
mod pages;
mod parts;
mod positions;
mod privacy;
mod rates;
mod rebuilt;
mod receipts;
mod records;
mod refused;
mod registry;
mod replay;
mod rights;
mod rollout;
mod said;
mod secure;
mod seen;
mod send;
mod soak;
mod steered;
mod stormed;
mod tokens;
mod trace;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Connector, Kafka, PATIENCE, Record, Topic, internal_format, kafka, unique};

/// One deployment: its topics and its configuration.
struct Deployment {
    kafka: Kafka,
    name: String,
    config: Value,
}

impl Deployment {
    /// One on the shared Kafka, with `partitions` of outbound and so as many binds.
    fn new(smsc: u16, partitions: i32) -> Deployment {
        Deployment::on(kafka(), smsc, partitions)
    }

    fn on(kafka: Kafka, smsc: u16, partitions: i32) -> Deployment {
        Deployment::with_topics(kafka, smsc, partitions, &[])
    }

    /// One whose topics are made with these settings.
    fn with_topics(
        kafka: Kafka,
        smsc: u16,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Deployment {
        let name = unique("sms");
        let topic = |stem: &str| format!("{name}.{stem}");
        let compacted = [("cleanup.policy", "compact")];
        let cleaned = [("cleanup.policy", "compact,delete")];
        let topics = [
            ("responses", 2, settings),
            ("errors", 2, settings),
            ("receipts", 2, settings),
            ("inbound", 2, settings),
            ("notifications", 2, settings),
            ("deliveries", 2, settings),
            ("outbound", partitions, settings),
            ("correlation", 2, &compacted),
            ("control", 2, &compacted),
            ("status", 1, &cleaned),
        ];
        let names = topics.map(|(stem, ..)| topic(stem));
        let topics = (names.iter().zip(topics)).map(|(name, (_, partitions, configs))| Topic {
            name,
            partitions,
            configs,
        });
        kafka.topics(&topics.collect::<Vec<_>>());
        let config = json!({
            "shutdown_timeout": "10s",
            "kafka": {
                "bootstrap_servers": kafka.bootstrap,
                "application_id": name,
                "session_timeout": "6s",
                "transaction_timeout": "6s",
                "properties": { "retry.backoff.ms": "20", "reconnect.backoff.max.ms": "500" },
            },
            "topics": {
                "responses": topic("responses"),
                "errors": topic("errors"),
                "receipts": topic("receipts"),
                "inbound": topic("inbound"),
                "notifications": topic("notifications"),
                "deliveries": topic("deliveries"),
                "correlation": topic("correlation"),
                "control": topic("control"),
                "status": topic("status"),
            },
            "submit": { "retry_delay": "100ms" },
            "correlate": { "early_receipt_grace": "16s" },
            "log": { "level": "info,kafka_smpp=debug", "format": "text" },
            "esme": [{
                "name": "acme",
                "outbound": [topic("outbound")],
                "hosts": [format!("127.0.0.1:{smsc}")],
                "system_id": "esme",
                "password": "secret",
                "timers": { "response": "3s" },
                "reconnect": {
                    "initial": "100ms", "max": "1s", "refused": "2s", "bound_elsewhere": "300ms",
                },
            }],
        });
        let mut deployment = Deployment {
            kafka,
            name,
            config,
        };
        if let Some(format) = internal_format() {
            deployment.config["formats"] = json!({ "correlation": format, "deliveries": format });
        }
        deployment
    }

    fn topic(&self, stem: &str) -> String {
        format!("{}.{stem}", self.name)
    }

    fn esme(&mut self) -> &mut Value {
        &mut self.config["esme"][0]
    }

    /// Starts a process.
    fn start(&self) -> Connector {
        Connector::start(&self.toml())
    }

    /// Its configuration file.
    fn toml(&self) -> String {
        toml::to_string(&self.config).expect("TOML")
    }

    /// Appends records to a partition of the outbound topic.
    fn send(&self, partition: i32, values: &[Value]) {
        self.kafka
            .produce_json(&self.topic("outbound"), partition, values);
    }

    /// Appends messages m0, m1, ... up to m`n - 1` to a partition.
    fn send_numbered(&self, partition: i32, numbers: std::ops::Range<usize>) {
        let values: Vec<Value> = numbers.map(|n| message(&format!("m{n}"))).collect();
        self.send(partition, &values);
    }

    /// All committed events about outbound records.
    fn events(&self) -> Vec<Value> {
        let read = |stem| self.kafka.records(&self.topic(stem));
        let events = read("responses").into_iter().chain(read("errors"));
        events.map(|record| record.value).collect()
    }

    /// Waits until `n` records have their result; the results by log_id.
    fn results(&self, n: usize) -> BTreeMap<String, Value> {
        self.results_within(n, PATIENCE)
    }

    fn results_within(&self, n: usize, patience: Duration) -> BTreeMap<String, Value> {
        let topics = [self.topic("responses"), self.topic("errors")];
        let topics = topics.each_ref().map(String::as_str);
        let terminal = |record: &&Record| record.value["terminal"] == true;
        self.kafka.records_of_all_until(&topics, patience, |all| {
            all.iter().filter(terminal).count() >= n
        });
        self.exactly_one_each()
    }

    /// The results by log_id; no record has two.
    fn exactly_one_each(&self) -> BTreeMap<String, Value> {
        let mut results = BTreeMap::new();
        for event in self.events().into_iter().filter(|e| e["terminal"] == true) {
            let id = event["log_id"].as_str().expect("a log_id").to_owned();
            if let Some(other) = results.insert(id, event.clone()) {
                panic!("two results: {other:#}\n{event:#}");
            }
        }
        results
    }

    /// Waits for `n` receipts.
    fn receipts(&self, n: usize) -> Vec<Value> {
        let records = self
            .kafka
            .wait_records(&self.topic("receipts"), n, PATIENCE);
        records
            .into_iter()
            .map(|record: Record| record.value)
            .collect()
    }

    /// Waits for `n` events of a kind on the topic of notifications.
    fn noticed(&self, kind: &str, n: usize) -> Vec<Value> {
        let topic = self.topic("notifications");
        let of_kind = |record: &&Record| record.value["type"] == kind;
        let all = self.kafka.records_until(&topic, PATIENCE, |all| {
            all.iter().filter(of_kind).count() >= n
        });
        let found = all.into_iter().filter(|record| of_kind(&record));
        found.map(|record| record.value).collect()
    }

    /// The offset committed for a partition of the outbound topic.
    fn committed(&self, partition: i32) -> Option<i64> {
        let group = format!("{}.submit", self.name);
        let found = self
            .kafka
            .committed(&group, &self.topic("outbound"), partition);
        found.map(|(offset, _)| offset)
    }
}

/// What the log says of Kafka that somebody should look at.
fn complaints_of_kafka(log: &str) -> Vec<&str> {
    let grave = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ");
    let kafka = |line: &&str| line.contains("rdkafka") || line.contains("kafka::ear");
    log.lines().filter(grave).filter(kafka).collect()
}

/// A message whose text is its log_id.
fn message(log_id: &str) -> Value {
    json!({
        "log_id": log_id,
        "source": "1000",
        "destination": "41791234567",
        "short_message": log_id,
    })
}

/// `base` with the fields of `more` besides.
fn with(mut base: Value, more: Value) -> Value {
    for (key, value) in more.as_object().expect("fields") {
        base[key] = value.clone();
    }
    base
}
