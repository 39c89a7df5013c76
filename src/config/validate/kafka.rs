//! Kafka: where it is, and librdkafka's own properties.

use std::collections::HashSet;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;

use super::{Check, is_topic};
use crate::codes;
use crate::config::kafka::{Kafka, OWNED};
use crate::config::load::blank_end;
use crate::config::problem::nearest;
use smpp_esme::host::{BadHost, Host};

/// What librdkafka calls by two names.
const ALIASES: [(&str, &str); 9] = [
    ("sasl.mechanism", "sasl.mechanisms"),
    (
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.credentials.client.id",
    ),
    (
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
    ),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.send.max.retries", "retries"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
];

/// The values of properties that people write wrongly.
const VALUES: [(&str, &str); 7] = [
    (
        "security.protocol",
        "plaintext, ssl, sasl_plaintext or sasl_ssl",
    ),
    (
        "sasl.mechanism",
        "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
    ),
    (
        "sasl.oauthbearer.method",
        "oidc, or leave it out (with kafka.token)",
    ),
    (
        "sasl.oauthbearer.grant.type",
        "client_credentials or urn:ietf:params:oauth:grant-type:jwt-bearer",
    ),
    (
        "sasl.oauthbearer.metadata.authentication.type",
        "none or azure_imds",
    ),
    ("compression.type", "none, gzip, snappy, lz4 or zstd"),
    ("compression.codec", "none, gzip, snappy, lz4 or zstd"),
];

pub(super) fn check(check: &mut Check<'_>, kafka: &Kafka) {
    brokers(check, &kafka.bootstrap_servers);
    let id = &kafka.application_id;
    let good = is_topic(id) && id.len() <= 100;
    check.must(
        codes::NAME_MALFORMED,
        good,
        "application_id",
        format_args!("{id:?}"),
        "1 to 100 letters, digits, '.', '_' or '-'",
    );
    if let Some(instance) = &kafka.instance_id {
        let text = "1 to 249 letters, digits, '.', '_' or '-', or leave it out";
        check.must(
            codes::NAME_MALFORMED,
            is_topic(instance),
            "instance_id",
            format_args!("{instance:?}"),
            text,
        );
    }
    check.between("session_timeout", kafka.session_timeout, "1s", "30m");
    check.between(
        "transaction_timeout",
        kafka.transaction_timeout,
        "1s",
        "15m",
    );
    check.between("fetch_buffer", kafka.fetch_buffer, "1MiB", "1GiB");
    check.between("produce_buffer", kafka.produce_buffer, "1MiB", "1GiB");
    properties(check, kafka);
}

fn brokers(check: &mut Check<'_>, servers: &str) {
    if servers.trim().is_empty() {
        check.missing(
            codes::SETTING_MISSING,
            "bootstrap_servers",
            "name at least one broker, such as \"localhost:9092\"",
        );
        return;
    }
    let mut seen = HashSet::new();
    for server in servers.split(',').map(str::trim) {
        let wrong = match broker(server) {
            Err(wrong) => wrong.to_string(),
            Ok(place) => {
                if seen.insert(place) {
                    continue;
                } else {
                    "once is enough".to_owned()
                }
            }
        };
        let text = format!("{server:?} is no broker's address: {wrong}");
        check.must(
            codes::ADDRESS_MALFORMED,
            false,
            "bootstrap_servers",
            format_args!("{servers:?}"),
            &text,
        );
    }
}

/// The port of a broker whose port is missing.
const PORT: u16 = 9092;

/// `host:port`, taken apart so that one place is one value; librdkafka takes [`PORT`] for a port
/// that is missing, and a protocol before it.
fn broker(server: &str) -> Result<(String, u16), BadHost> {
    let protocols = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
    let bare = match server.split_once("://") {
        Some((protocol, bare)) if protocols.contains(&protocol.to_uppercase().as_str()) => bare,
        _ => server,
    };
    match Host::parse_with(bare, PORT) {
        Err(BadHost::NoPort(whole)) if !bare.ends_with(':') => {
            Host::parse_with(&whole, PORT).map(|host| host.plain())
        }
        parsed => parsed.map(|host| host.plain()),
    }
}

fn properties(check: &mut Check<'_>, kafka: &Kafka) {
    let mut good = true;
    for (name, value) in &kafka.properties {
        let table = if kafka.property_files.contains_key(name) {
            "property_files"
        } else {
            "properties"
        };
        good &= property(check, &format!("{table}.\"{name}\""), name, value.get());
    }
    for (one, other) in ALIASES {
        if kafka.properties.contains_key(one) && kafka.properties.contains_key(other) {
            let text = format!("it is the same as {one}: set one of them");
            check.missing(
                codes::KAFKA_PROPERTY,
                &format!("properties.\"{other}\""),
                &text,
            );
            good = false;
        }
    }
    if good {
        good = super::login::check(check, kafka);
    }
    if good && !kafka.properties.is_empty() {
        together(check, kafka);
    }
}

/// What librdkafka says of each property alone; whether nothing is wrong.
fn property(check: &mut Check<'_>, key: &str, name: &str, value: &str) -> bool {
    if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        check.missing(codes::KAFKA_PROPERTY, key, &format!("cannot be set: {why}"));
        return false;
    }
    // librdkafka takes any property of topics with this before it, too: a second name for each of them.
    if let Some(plain) = name.strip_prefix("topic.")
        && !plain.starts_with("metadata.")
        && plain != "blacklist"
    {
        check.missing(
            codes::KAFKA_PROPERTY,
            key,
            &format!("it is written without `topic.`: {plain:?}"),
        );
        return false;
    }
    if let Some(blank) = blank_end(value).filter(|_| !name.ends_with(".pem")) {
        check.missing(codes::KAFKA_PROPERTY, key, &format!("its value {blank}"));
        return false;
    }
    let tried = ClientConfig::new().set(name, value).create_native_config();
    let Err(KafkaError::ClientConfig(_, text, ..)) = tried else {
        return true;
    };
    let known = [
        "sasl.mechanism",
        "sasl.username",
        "sasl.password",
        "sasl.oauthbearer.method",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.scope",
        "https.ca.location",
        "security.protocol",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "compression.type",
    ];
    let values = VALUES.iter().find(|(of, _)| *of == name);
    let text = match (nearest(name, &known), values) {
        (Some(known), _) if text.starts_with("No such") && known != name => {
            format!("librdkafka has no such property; did you mean `{known}`?")
        }
        _ if text.starts_with("No such") => {
            "librdkafka has no such property (see its CONFIGURATION.md)".into()
        }
        (_, Some((_, values))) => format!("librdkafka refuses the value: write {values}"),
        // The text of other errors may quote the value.
        _ => "librdkafka refuses the value (see its CONFIGURATION.md)".into(),
    };
    check.missing(codes::KAFKA_PROPERTY, key, &text);
    false
}

/// What librdkafka says of all of them together, as a client begins: numbers that contradict each
/// other, files that are not there. No broker is named, so nothing is connected to.
fn together(check: &mut Check<'_>, kafka: &Kafka) {
    let timeout = kafka.transaction_timeout.get().as_millis().to_string();
    let alone = |client: &mut ClientConfig| {
        client.remove("bootstrap.servers");
        // A client that gets its tokens itself asks for the first as it begins; what it needs for
        // that was looked at.
        client.remove("sasl.oauthbearer.method");
    };
    let mut consumer = kafka.submit_consumer();
    alone(&mut consumer);
    let mut producer = kafka.transactional();
    producer
        .set("transactional.id", "check")
        .set("transaction.timeout.ms", timeout);
    alone(&mut producer);
    let mut idempotent = kafka.producer();
    alone(&mut idempotent);
    let made: [Result<(), KafkaError>; 3] = [
        consumer.create::<BaseConsumer>().map(drop),
        producer.create::<BaseProducer>().map(drop),
        idempotent.create::<BaseProducer>().map(drop),
    ];
    let wrong = made.into_iter().find_map(Result::err);
    if let Some(wrong) = wrong {
        check.missing(
            codes::KAFKA_PROPERTY,
            "properties",
            &format!("librdkafka makes no client with these: {wrong}"),
        );
    }
}
