//! What the connector runs on.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::format::Format;
use kafka_smpp::record::kind::Kind;
use kafka_smpp::registry::{Options, Registry, Topic};

use super::harness::{
    self, Connector, FakeRegistry, Kafka, Process, free_port, http, kafka_to_measure, scratch,
    unique,
};
use super::outside::{Feed, feed};
use super::{PATIENCE, broker_properties, setting};

/// Topics that others read, besides those that an ESME reads.
const OUTWARD: [&str; 5] = [
    "responses",
    "errors",
    "receipts",
    "inbound",
    "notifications",
];

/// Topics that nobody else reads.
const INTERNAL: [&str; 2] = ["correlation", "deliveries"];

/// What a scene is made of.
#[derive(Clone)]
pub struct Layout {
    /// Partitions of each outbound topic.
    pub partitions: i32,
    /// Partitions of each other topic.
    pub others: i32,
    /// The outbound topics of the ESME, the most urgent first.
    pub outbound: Vec<&'static str>,
    /// The format of topics that others read.
    pub format: Format,
    /// The format of the internal topics; none: what the connector has by default.
    pub internal: Option<Format>,
    /// Arguments of the simulated SMSC besides.
    pub smsc: Vec<&'static str>,
    /// Settings of the ESME besides, or instead.
    pub esme: Value,
}

impl Layout {
    /// As the environment says (`BENCH_FORMAT`, `BENCH_INTERNAL_FORMAT`), with so many partitions of each
    /// topic.
    pub fn new(partitions: i32) -> Layout {
        Layout {
            partitions,
            others: partitions,
            outbound: vec!["outbound"],
            format: format_set("BENCH_FORMAT").unwrap_or(Format::Json),
            internal: format_set("BENCH_INTERNAL_FORMAT"),
            smsc: Vec::new(),
            esme: json!({}),
        }
    }
}

/// How long after its response the SMSC gives a message's receipt (`BENCH_RECEIPT_DELAY`, in milliseconds).
/// Most phones take some seconds. Shorter than the connector takes to commit a response, and the receipts
/// come before the messages that they belong to, and cost more.
pub fn receipt_delay() -> Duration {
    Duration::from_millis(setting("BENCH_RECEIPT_DELAY", 1000))
}

/// Settings of `[submit]`, as JSON: `BENCH_SUBMIT='{"fetch_records": 5000}'`.
fn submit_set() -> Value {
    std::env::var("BENCH_SUBMIT").map_or(json!({}), |text| {
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("BENCH_SUBMIT: {e}"))
    })
}

/// The format that a variable of the environment names.
fn format_set(variable: &str) -> Option<Format> {
    let name = std::env::var(variable).ok()?;
    Some(format_named(&name))
}

/// A format by its name.
pub fn format_named(name: &str) -> Format {
    serde_json::from_value(name.into()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Topics of their own, a simulated SMSC, and what connectors on them are told.
pub struct Scene {
    /// The broker.
    pub kafka: Kafka,
    /// What its topics begin with.
    pub name: String,
    /// The format of the topics that others read.
    pub format: Format,
    /// Where formats that need one have their schemas.
    pub registry: FakeRegistry,
    /// Of each outbound topic.
    pub partitions: i32,
    /// What it is made of.
    pub layout: Layout,
    _smsc: Process,
    /// Where the SMSC listens.
    pub port: u16,
    /// Where the connector is looked at: if there are several, the first.
    pub http: u16,
}

/// One of the connectors that run on a scene.
pub struct Member {
    /// The process.
    pub connector: Connector,
    /// Where it is looked at.
    pub http: u16,
}

impl Scene {
    /// Of topics with so many partitions.
    pub fn new(partitions: i32) -> Scene {
        Scene::of(Layout::new(partitions))
    }

    /// Of this layout.
    pub fn of(layout: Layout) -> Scene {
        let kafka = kafka_to_measure(&broker_properties());
        let name = unique("bench");
        for stem in OUTWARD {
            kafka.topic(&format!("{name}.{stem}"), layout.others, &[]);
        }
        let compact = [("cleanup.policy", "compact")];
        kafka.topic(&format!("{name}.correlation"), layout.others, &compact);
        kafka.topic(&format!("{name}.deliveries"), layout.others, &[]);
        for stem in &layout.outbound {
            kafka.topic(&format!("{name}.{stem}"), layout.partitions, &[]);
        }
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-smpp"));
        command
            .arg("smsc")
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args([
                "--receipt-delay",
                &format!("{}ms", receipt_delay().as_millis()),
            ])
            .args(["--deliver-window", "500"])
            .args(&layout.smsc);
        let smsc = Process::start("smsc", &mut command, scratch("smsc").join("log"));
        let registry = FakeRegistry::start();
        registry.number_from(1);
        Scene {
            kafka,
            name,
            format: layout.format,
            registry,
            partitions: layout.partitions,
            layout,
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

    /// Appends messages; returns when that began.
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

    /// What a connector is told that is looked at on this port.
    pub fn config(&self, http: u16) -> Value {
        let mut formats = serde_json::Map::new();
        for stem in OUTWARD.into_iter().chain(["outbound"]) {
            formats.insert(stem.to_owned(), self.format.name().into());
        }
        for stem in INTERNAL {
            if let Some(format) = self.layout.internal {
                formats.insert(stem.to_owned(), format.name().into());
            }
        }
        let stems = OUTWARD.into_iter().chain(INTERNAL);
        let topics: serde_json::Map<_, _> = stems
            .map(|stem| (stem.to_owned(), self.topic(stem).into()))
            .collect();
        let outbound = self.layout.outbound.iter().map(|stem| self.topic(stem));
        let mut esme = json!({
            "name": "bench",
            "outbound": outbound.collect::<Vec<_>>(),
            "hosts": [format!("127.0.0.1:{}", self.port)],
            "system_id": "bench",
            "password": "secret",
            "window": setting("BENCH_WINDOW", 500),
            "max_binds": 1000,
        });
        for (key, value) in self.layout.esme.as_object().into_iter().flatten() {
            esme[key] = value.clone();
        }
        json!({
            "formats": formats,
            "schema_registry": { "urls": [self.registry.url()], "auto_register": true },
            "kafka": {
                "bootstrap_servers": self.kafka.bootstrap,
                "application_id": self.name,
            },
            "topics": topics,
            "http": { "listen": format!("127.0.0.1:{http}") },
            "submit": submit_set(),
            "log": { "level": std::env::var("BENCH_LOG").unwrap_or("warn".into()) },
            "esme": [esme],
        })
    }

    /// Starts a connector on it.
    pub fn connector(&self) -> Connector {
        started(&self.config(self.http))
    }

    /// Starts so many connectors on it, which share the partitions, and waits until they serve all of them.
    pub fn members(&self, n: usize) -> Vec<Member> {
        let ports = (0..n).map(|i| if i == 0 { self.http } else { free_port() });
        let member = |http| Member {
            connector: started(&self.config(http)),
            http,
        };
        let mut members: Vec<Member> = ports.map(member).collect();
        let outbound = self.partitions as usize * self.layout.outbound.len();
        settle(&mut members, outbound, self.layout.others as usize);
        members
    }

    /// Deletes its topics: what stands on them costs the broker something for as long as it runs.
    pub fn remove(self) {
        let stems = OUTWARD.into_iter().chain(INTERNAL);
        for stem in stems.chain(self.layout.outbound.iter().copied()) {
            self.kafka.delete_topic(&self.topic(stem));
        }
    }
}

/// Starts a connector with this configuration.
pub fn started(config: &Value) -> Connector {
    Connector::start(&toml::to_string(config).expect("TOML"))
}

/// Waits until all binds are bound, all partitions are served, and each process has its share of them.
pub fn settle(members: &mut [Member], outbound: usize, correlation: usize) {
    let (began, n) = (Instant::now(), members.len());
    loop {
        let found: Vec<Served> = members.iter().map(|m| Served::by(m.http)).collect();
        let total = found.iter().fold(Served::default(), |a, b| a.and(b));
        let fair = |s: &Served| s.open >= outbound / n && s.live >= correlation / n;
        if total.open == outbound
            && total.live == correlation
            && total.bound > 0
            && total.unbound == 0
            && found.iter().all(fair)
        {
            return;
        }
        for member in members.iter_mut() {
            let ended = member.connector.ended();
            assert!(ended.is_none(), "{}", member.connector.log());
        }
        assert!(began.elapsed() < PATIENCE, "not all is served: {total:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a process serves.
#[derive(Debug, Default)]
struct Served {
    /// Partitions of outbound topics.
    open: usize,
    /// Partitions of the correlation topic that are restored.
    live: usize,
    bound: usize,
    unbound: usize,
}

impl Served {
    /// The process that is looked at here.
    fn by(http: u16) -> Served {
        let Some(status) = http::status(http) else {
            return Served::default();
        };
        let mut served = Served::default();
        for esme in status["esmes"].as_array().into_iter().flatten() {
            let partitions = esme["partitions"].as_array().into_iter().flatten();
            served.open += partitions.filter(|p| p["phase"] == "open").count();
            for bind in esme["binds"].as_array().into_iter().flatten() {
                if bind["state"] == "bound" {
                    served.bound += 1;
                } else {
                    served.unbound += 1;
                }
            }
        }
        let partitions = status["correlation"]["partitions"].as_array();
        let live = partitions.into_iter().flatten();
        served.live = live.filter(|p| p["live"] == true).count();
        served
    }

    fn and(&self, other: &Served) -> Served {
        Served {
            open: self.open + other.open,
            live: self.live + other.live,
            bound: self.bound + other.bound,
            unbound: self.unbound + other.unbound,
        }
    }
}
