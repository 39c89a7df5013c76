//! Settings of Kafka, and the clients made from them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::kafka::token;
use crate::settings::{Octets, Time};

/// Kafka: where it is and how it is used.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// The name of this deployment, the same in all of its processes: the beginning of its
    /// consumer groups (`ID.submit`, `ID.correlate`) and transactional ids. Changing it loses
    /// the progress.
    pub application_id: String,
    /// Unique name of this process for static membership (`group.instance.id`), such as a
    /// StatefulSet's pod name: a quick restart then moves no partition.
    #[schemars(example = "kafka-smpp-0")]
    pub instance_id: Option<String>,
    /// The rebalance protocol: `classic` (cooperative-sticky), or `consumer` (KIP-848,
    /// Kafka 4.0 or newer).
    pub group_protocol: GroupProtocol,
    /// How long Kafka waits for a silent process before its partitions move. Also how long a
    /// process cut off from Kafka goes on sending: what it may send is reserved before.
    pub session_timeout: Time,
    /// How long Kafka keeps a dead process's transaction open before it ends it.
    pub transaction_timeout: Time,
    /// How much a consumer fetches ahead, in octets.
    pub fetch_buffer: Octets,
    /// How much a producer holds until Kafka has it, in octets.
    pub produce_buffer: Octets,
    /// Further properties of librdkafka: security, SASL, TLS, compression. One that only producers or only
    /// consumers have reaches these.
    #[schemars(extend("examples" = [{ "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "kafka-smpp" }]))]
    pub properties: BTreeMap<String, Property>,
    /// Properties whose values are read from files: secrets such as `sasl.password`.
    #[schemars(extend("examples" = [{ "sasl.password": "/run/secrets/kafka-password" }]))]
    pub property_files: BTreeMap<String, PathBuf>,
    /// Tokens of our own to log in with.
    pub token: token::Options,
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka {
            bootstrap_servers: "localhost:9092".into(),
            application_id: "kafka-smpp".into(),
            instance_id: None,
            group_protocol: GroupProtocol::Classic,
            session_timeout: Time::seconds(10),
            transaction_timeout: Time::seconds(10),
            fetch_buffer: Octets::mib(32),
            produce_buffer: Octets::mib(64),
            properties: BTreeMap::new(),
            property_files: BTreeMap::new(),
            token: token::Options::default(),
        }
    }
}

/// A rebalance protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupProtocol {
    /// The protocol of all Kafka versions, with the cooperative-sticky assignor.
    #[default]
    Classic,
    /// KIP-848: the broker assigns.
    Consumer,
}

/// The value of a property of librdkafka; it may be a secret and is never printed.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(extend("type" = ["string", "integer", "number", "boolean"]))]
pub struct Property(pub(super) String);

impl Property {
    /// The value as librdkafka takes it.
    pub fn get(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Property {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Property;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or true or false")
            }

            fn visit_str<E>(self, v: &str) -> Result<Property, E> {
                Ok(Property(v.to_owned()))
            }

            fn visit_bool<E>(self, v: bool) -> Result<Property, E> {
                Ok(Property(v.to_string()))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Property, E> {
                Ok(Property(v.to_string()))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Property, E> {
                Ok(Property(v.to_string()))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Property, E> {
                Ok(Property(v.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// How often a client asks for the partitions of its topics.
const REFRESH: &str = "topic.metadata.refresh.interval.ms";

/// Properties that are ours, and why or what to set instead.
pub(super) const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set kafka.bootstrap_servers instead"),
    (
        "metadata.broker.list",
        "set kafka.bootstrap_servers instead",
    ),
    ("group.id", "it follows from kafka.application_id"),
    ("group.instance.id", "set kafka.instance_id instead"),
    ("group.protocol", "set kafka.group_protocol instead"),
    ("session.timeout.ms", "set kafka.session_timeout instead"),
    (
        "heartbeat.interval.ms",
        "it follows from kafka.session_timeout",
    ),
    (
        "delivery.report.only.error",
        "results are committed when every one of them is reported",
    ),
    (
        "enable.partition.eof",
        "the connector asks for it where it needs it",
    ),
    ("queued.min.messages", "set kafka.fetch_buffer instead"),
    (
        "statistics.interval.ms",
        "the connector asks for statistics where it shows them",
    ),
    (
        "fetch.queue.backoff.ms",
        "more than the connector's own would hold up sending",
    ),
    (
        "fetch.error.backoff.ms",
        "more than the connector's own would hold up sending",
    ),
    (
        "transaction.timeout.ms",
        "set kafka.transaction_timeout instead",
    ),
    (
        "transactional.id",
        "every process has its own; it follows from kafka.application_id",
    ),
    (
        "enable.auto.commit",
        "offsets are committed in the transaction that holds the results",
    ),
    (
        "auto.commit.enable",
        "offsets are committed in the transaction that holds the results",
    ),
    (
        "auto.commit.interval.ms",
        "offsets are committed in the transaction that holds the results",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed in the transaction that holds the results",
    ),
    (
        "auto.offset.reset",
        "where a partition begins is decided from its committed progress",
    ),
    (
        "isolation.level",
        "only committed records may be read, or results would be doubled",
    ),
    (
        "enable.idempotence",
        "without it results could be doubled or reordered",
    ),
    (
        "enable.sasl.oauthbearer.unsecure.jwt",
        "such a token is not renewed, and no broker should take it; see docs/kafka-login.md",
    ),
    ("acks", "less than all would lose results"),
    ("request.required.acks", "less than all would lose results"),
    (
        "partition.assignment.strategy",
        "cooperative-sticky keeps the other partitions sending while one moves",
    ),
    (
        "allow.auto.create.topics",
        "topics need the right cleanup policy: run kafka-smpp topics create",
    ),
    (
        "queued.max.messages.kbytes",
        "set kafka.fetch_buffer instead",
    ),
    (
        "queue.buffering.max.kbytes",
        "set kafka.produce_buffer instead",
    ),
];

/// How long the broker keeps a fetch for which it has less than [`FETCH_LEAST`].
const FETCH_WAIT: &str = "fetch.wait.max.ms";

/// What the broker gathers for a fetch, in octets. Each fetch costs it as much as any other, and where records
/// come one by one each of them would be answered by one.
const FETCH_LEAST: &str = "fetch.min.bytes";

/// Properties that only consumers have (librdkafka's CONFIGURATION.md, column C/P). Other clients are
/// not given them: each would complain that it ignores them.
const OF_CONSUMERS: &[&str] = &[
    "check.crcs",
    "coordinator.query.interval.ms",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    FETCH_LEAST,
    "fetch.queue.backoff.ms",
    FETCH_WAIT,
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "queued.min.messages",
    "session.timeout.ms",
];

/// Properties that only producers have.
const OF_PRODUCERS: &[&str] = &[
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.timeout.ms",
    "enable.gapless.guarantee",
    "linger.ms",
    "message.send.max.retries",
    "message.timeout.ms",
    "partitioner",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queuing.strategy",
    "request.required.acks",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
];

impl Kafka {
    /// The user's properties that only clients of one kind have.
    fn add(&self, kind: &[&str], client: &mut ClientConfig) {
        for (name, value) in &self.properties {
            if kind.contains(&name.as_str()) {
                client.set(name, value.get());
            }
        }
    }

    /// What every client has in common: brokers, and the user's properties that every client has. A client
    /// that only asks and is a consumer takes [`Self::reader`].
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("client.id", &self.application_id)
            .set("retry.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            // It may say why; what is no trouble is not said above debug.
            .set("log.connection.close", "true");
        for (name, value) in &self.properties {
            let name = name.as_str();
            if !OF_CONSUMERS.contains(&name) && !OF_PRODUCERS.contains(&name) {
                client.set(name, value.get());
            }
        }
        client.set("bootstrap.servers", &self.bootstrap_servers);
        self.authorities(&mut client);
        self.token.add(&mut client);
        // See `kafka::ear`: these lines go to the log at the level of debug.
        client.set_log_level(if self.properties.contains_key("debug") {
            RDKafkaLogLevel::Debug
        } else {
            RDKafkaLogLevel::Info
        });
        client
    }

    /// Without a word on whom to trust it is the authorities of this machine. The OpenSSL that this program
    /// is built with does not know where each distribution has them; librdkafka does if it is told to look.
    fn authorities(&self, client: &mut ClientConfig) {
        if ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os) != [None, None] {
            // OpenSSL's own way to name them.
            return;
        }
        let is_named = |names: &[&str]| self.property(names).is_some();
        let protocol = self.property(&["security.protocol"]).unwrap_or_default();
        let tls = protocol.get(protocol.len().saturating_sub(3)..);
        if tls.is_some_and(|end| end.eq_ignore_ascii_case("ssl"))
            && !is_named(&["ssl.ca.location", "ssl.ca.pem", "ssl.keystore.location"])
        {
            client.set("ssl.ca.location", "probe");
        }
        let oidc = self.property(&["sasl.oauthbearer.method"]) == Some("oidc");
        if oidc && !is_named(&["https.ca.location", "https.ca.pem"]) {
            client.set("https.ca.location", "probe");
        }
    }

    /// A property, by any of its names.
    pub fn property(&self, names: &[&str]) -> Option<&str> {
        let mut found = names.iter().filter_map(|name| self.properties.get(*name));
        found.next().map(Property::get)
    }

    /// The SASL mechanism, if SASL is used at all.
    pub fn mechanism(&self) -> Option<&str> {
        let protocol = self.property(&["security.protocol"])?;
        let sasl = protocol
            .get(..5)
            .is_some_and(|p| p.eq_ignore_ascii_case("sasl_"));
        let mechanism = self.property(&["sasl.mechanism", "sasl.mechanisms"]);
        sasl.then(|| mechanism.unwrap_or("GSSAPI"))
    }

    /// The consumer of outbound records.
    pub fn submit_consumer(&self) -> ClientConfig {
        let mut client = self.group_consumer(&self.submit_group());
        // A partition that is paused loses what of it is here, and a backlog is paused again and again
        // (submit.read_ahead).
        client.set("queued.min.messages", "1000");
        client
    }

    /// The consumer of deliveries. Each of them has its answer already: none is in a hurry.
    pub fn correlate_consumer(&self) -> ClientConfig {
        self.gathering(self.group_consumer(&self.correlate_group()), "16384")
    }

    /// A consumer of partitions assigned by hand, which commits nothing.
    pub fn reader(&self) -> ClientConfig {
        self.consumer(&format!("{}.reader", self.application_id))
    }

    /// The reader of what receipts need, which follows what this process itself writes.
    pub fn follower(&self) -> ClientConfig {
        self.gathering(self.reader(), "65536")
    }

    /// A reader of a topic in which little is written. That its end is reached is known late: not for who waits
    /// for nothing but that.
    pub fn watcher(&self) -> ClientConfig {
        self.unless_set(self.reader(), FETCH_WAIT, "500")
    }

    /// Gathers so many octets for a fetch, for a tenth of a second. A wait that is configured is meant for
    /// fetches that have nothing: it may be long, and must hold up no record.
    fn gathering(&self, mut client: ClientConfig, octets: &str) -> ClientConfig {
        if self.properties.contains_key(FETCH_WAIT) {
            return client;
        }
        client.set(FETCH_WAIT, "100");
        self.unless_set(client, FETCH_LEAST, octets)
    }

    /// A property that holds where no other is configured.
    fn unless_set(&self, mut client: ClientConfig, name: &str, value: &str) -> ClientConfig {
        if !self.properties.contains_key(name) {
            client.set(name, value);
        }
        client
    }

    /// The producer of deliveries and inbound messages: idempotent, without transactions and
    /// without delay.
    pub fn producer(&self) -> ClientConfig {
        let mut client = self.transactional();
        client
            .set("linger.ms", "0")
            .set("enable.idempotence", "true");
        client
    }

    /// What a transactional producer starts from: its transactional.id and time-out are
    /// still to be set.
    pub fn transactional(&self) -> ClientConfig {
        let mut client = self.client();
        self.add(OF_PRODUCERS, &mut client);
        // The first request of a transaction is refused until the one before is written out,
        // which takes a few milliseconds: a longer pause would be a slower cycle.
        if !self.properties.contains_key("retry.backoff.ms") {
            client.set("retry.backoff.ms", "2");
        }
        let kib = (self.produce_buffer.get() >> 10).max(1).to_string();
        client.set("queue.buffering.max.kbytes", kib);
        client
    }

    /// The group in which `check --connect` commits an offset, to see what the brokers take, and
    /// which it joins where members go by the protocol of KIP-848.
    pub fn check_group(&self) -> String {
        format!("{}.check", self.application_id)
    }

    /// A member of that group, where members go by the protocol of KIP-848.
    pub fn check_member(&self) -> Option<ClientConfig> {
        (self.group_protocol == GroupProtocol::Consumer).then(|| {
            let mut client = self.group_consumer(&self.check_group());
            // Several may check at once.
            client.remove("group.instance.id");
            client
        })
    }

    /// The consumer group of submitting.
    pub fn submit_group(&self) -> String {
        format!("{}.submit", self.application_id)
    }

    /// The consumer group of correlating.
    pub fn correlate_group(&self) -> String {
        format!("{}.correlate", self.application_id)
    }

    fn group_consumer(&self, group: &str) -> ClientConfig {
        let mut client = self.consumer(group);
        // The member that assigns partitions learns of new ones by this, and by default only
        // every five minutes. (With KIP-848 the brokers assign, and know.)
        if !self.properties.contains_key(REFRESH) {
            client.set(REFRESH, "10000");
        }
        if let Some(instance) = &self.instance_id {
            client.set("group.instance.id", instance);
        }
        match self.group_protocol {
            // The broker decides on session time-out and assignor.
            GroupProtocol::Consumer => client.set("group.protocol", "consumer"),
            GroupProtocol::Classic => client
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", millis(self.session_timeout))
                .set("heartbeat.interval.ms", millis_of(self.session_timeout, 5)),
        };
        client
    }

    fn consumer(&self, group: &str) -> ClientConfig {
        let mut client = self.client();
        self.add(OF_CONSUMERS, &mut client);
        let kib = (self.fetch_buffer.get() >> 10).max(1).to_string();
        // A partition that is to be fetched again waits until the fetch under way is answered, which is at
        // once where others have something. If its queue was full it has up to queued.min.messages left; if it
        // was paused, nothing. Shorter waits cost brokers more than all else of a connector that has nothing
        // to do.
        client = self.unless_set(client, FETCH_WAIT, "200");
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", kib)
            // After a full queue the client would not fetch again for a second.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "100");
        client
    }
}

fn millis(time: Time) -> String {
    time.get().as_millis().to_string()
}

fn millis_of(time: Time, parts: u128) -> String {
    (time.get().as_millis() / parts).max(100).to_string()
}
