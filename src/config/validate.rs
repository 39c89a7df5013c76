//! What a value's type cannot say about it.

mod dialect;
mod registry;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::esme::{BindMode, Binds, Esme};
use super::kafka::{Kafka, OWNED};
use super::problem::{Problem, nearest};
use super::{Config, Inbound, Log};
use crate::record::format::Format;
use crate::settings::Time;
use crate::smpp::Status;
use crate::smpp::address::{BadAddress, sender};
use crate::smpp::pdu::REGISTERED_DELIVERY;
use crate::{correlate, submit};

/// Collects what is wrong below one key.
struct Check<'a> {
    at: String,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn key(&self, key: &str) -> String {
        match self.at.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.at),
        }
    }

    /// Notes a problem unless `good`.
    fn must(&mut self, good: bool, key: &str, value: impl std::fmt::Display, text: &str) {
        if !good {
            let key = self.key(key);
            self.problems.push(Problem::new(key, value, text.into()));
        }
    }

    fn missing(&mut self, key: &str, text: &str) {
        let key = self.key(key);
        self.problems.push(Problem::missing(key, text));
    }

    fn positive(&mut self, key: &str, time: Time) {
        let good = !time.get().is_zero();
        self.must(good, key, time, "must be longer than 0s");
    }

    /// A C-octet string of the protocol: printable ASCII, at most `max` octets.
    fn octets(&mut self, key: &str, value: &str, max: usize) {
        let good = value.len() <= max && value.bytes().all(|b| (0x20..0x7f).contains(&b));
        let text = format!("at most {max} ASCII characters");
        self.must(good, key, format_args!("{value:?}"), &text);
    }

    fn topic(&mut self, key: &str, name: &str) {
        let text = "not a topic's name: 1 to 249 letters, digits, '.', '_' or '-'";
        self.must(is_topic(name), key, format_args!("{name:?}"), text);
    }
}

fn is_topic(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}

impl Config {
    /// What is wrong with the values, all of it; empty if it can be run.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut within = |at: &str, check: &dyn Fn(&mut Check<'_>)| {
            let at = at.to_owned();
            let problems = &mut problems;
            check(&mut Check { at, problems });
        };
        within("kafka", &|c| kafka(c, &self.kafka));
        within("submit", &|c| submit(c, &self.submit, &self.kafka));
        within("correlate", &|c| correlate(c, &self.correlate, &self.kafka));
        within("inbound", &|c| inbound(c, &self.inbound));
        within("log", &|c| log(c, &self.log));
        within("schema_registry", &|c| {
            registry::check(c, &self.schema_registry)
        });
        for (index, one) in self.esme.iter().enumerate() {
            within(&format!("esme[{index}]"), &|c| esme(c, one));
        }
        within("", &|c| self.together(c));
        within("formats", &|c| {
            registry::formats(c, &self.formats, &self.schema_registry)
        });
        problems
    }

    /// What must hold between the parts.
    fn together(&self, check: &mut Check<'_>) {
        check.positive("shutdown_timeout", self.shutdown_timeout);
        if let Some(source) = &self.cloud_events.source {
            let good = !source.is_empty() && source.bytes().all(|b| (0x21..0x7f).contains(&b));
            let text = "a URI reference such as /sms/gateway: printable ASCII without spaces";
            check.must(
                good,
                "cloud_events.source",
                format_args!("{source:?}"),
                text,
            );
        }
        for (key, format) in [
            ("formats.correlation", self.formats.correlation),
            ("formats.deliveries", self.formats.deliveries),
        ] {
            let text = "aiosmpplib has nothing of the kind: write json, or leave it out";
            check.must(format != Format::Aiosmpplib, key, "\"aiosmpplib\"", text);
        }
        if self.esme.is_empty() {
            check.missing("esme", "no ESME is configured: add an [[esme]] table");
        }
        let mut names = HashMap::new();
        let mut topics = HashMap::new();
        for (key, name) in self.topics.named() {
            let key = format!("topics.{key}");
            check.topic(&key, name);
            once(check, &mut topics, name, key, "topic");
        }
        for (index, esme) in self.esme.iter().enumerate() {
            let at = format!("esme[{index}]");
            if !esme.name.is_empty() {
                once(check, &mut names, &esme.name, format!("{at}.name"), "name");
            }
            for (n, topic) in esme.outbound.iter().enumerate() {
                let key = format!("{at}.outbound[{n}]");
                once(check, &mut topics, topic, key, "topic");
            }
            if let Some(topic) = &esme.lease_topic {
                let key = format!("{at}.lease_topic");
                once(check, &mut topics, topic, key, "topic");
            }
        }
    }
}

fn once<'a>(
    check: &mut Check<'_>,
    seen: &mut HashMap<&'a str, String>,
    value: &'a str,
    key: String,
    what: &str,
) {
    match seen.get(value) {
        Some(other) => {
            let text = format!("{other} has the same {what}: each needs its own");
            check.must(false, &key, format_args!("{value:?}"), &text);
        }
        None => {
            seen.insert(value, key);
        }
    }
}

fn kafka(check: &mut Check<'_>, kafka: &Kafka) {
    if kafka.bootstrap_servers.trim().is_empty() {
        check.missing(
            "bootstrap_servers",
            "name at least one broker, such as \"localhost:9092\"",
        );
    }
    let id = &kafka.application_id;
    let good = is_topic(id) && id.len() <= 100;
    check.must(
        good,
        "application_id",
        format_args!("{id:?}"),
        "1 to 100 letters, digits, '.', '_' or '-'",
    );
    if let Some(instance) = &kafka.instance_id {
        let text = "1 to 249 letters, digits, '.', '_' or '-', or leave it out";
        check.must(
            is_topic(instance),
            "instance_id",
            format_args!("{instance:?}"),
            text,
        );
    }
    between(check, "session_timeout", kafka.session_timeout, 1, 1800);
    between(
        check,
        "transaction_timeout",
        kafka.transaction_timeout,
        1,
        900,
    );
    let text = "from \"1MiB\" to \"1GiB\"";
    for (key, size) in [
        ("fetch_buffer", kafka.fetch_buffer),
        ("produce_buffer", kafka.produce_buffer),
    ] {
        check.must((1 << 20..=1 << 30).contains(&size.get()), key, size, text);
    }
    for name in kafka.properties.keys() {
        property(check, &format!("properties.\"{name}\""), name, kafka);
    }
    for name in kafka.property_files.keys() {
        let key = format!("property_files.\"{name}\"");
        if OWNED.iter().any(|(owned, _)| owned == name) {
            property(check, &key, name, kafka);
        }
    }
}

fn property(check: &mut Check<'_>, key: &str, name: &str, kafka: &Kafka) {
    if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        check.missing(key, &format!("cannot be set: {why}"));
        return;
    }
    let Some(value) = kafka.properties.get(name) else {
        return;
    };
    let tried = ClientConfig::new()
        .set(name, value.get())
        .create_native_config();
    if let Err(KafkaError::ClientConfig(_, text, ..)) = tried {
        let known = [
            "sasl.mechanism",
            "sasl.username",
            "sasl.password",
            "security.protocol",
        ];
        let text = match nearest(name, &known) {
            Some(known) if text.starts_with("No such") && known != name => {
                format!("librdkafka has no such property; did you mean `{known}`?")
            }
            _ if text.starts_with("No such") => {
                "librdkafka has no such property (see its CONFIGURATION.md)".into()
            }
            // The text of other errors may quote the value.
            _ => "librdkafka refuses the value".into(),
        };
        check.missing(key, &text);
    }
}

fn between(check: &mut Check<'_>, key: &str, time: Time, min: u64, max: u64) {
    let good = (Duration::from_secs(min)..=Duration::from_secs(max)).contains(&time.get());
    let text = format!(
        "from \"{}\" to \"{}\"",
        Time::seconds(min),
        Time::seconds(max)
    );
    check.must(good, key, time, &text);
}

fn submit(check: &mut Check<'_>, submit: &submit::Settings, kafka: &Kafka) {
    let max = submit.max_resends;
    check.must(max <= 100, "max_resends", max, "from 0 to 100");
    check.positive("message_deadline", submit.message_deadline);
    check.positive("retry_delay", submit.retry_delay);
    let drain = submit.revoke_drain;
    check.must(
        drain < kafka.session_timeout,
        "revoke_drain",
        drain,
        &format!(
            "must be shorter than kafka.session_timeout ({})",
            kafka.session_timeout
        ),
    );
    let horizon = submit.reserve_horizon;
    let good = (10..=10_000).contains(&horizon.get().as_millis());
    check.must(good, "reserve_horizon", horizon, "from \"10ms\" to \"10s\"");
    let records = submit.fetch_records;
    let good = (1..=20_000).contains(&records);
    check.must(good, "fetch_records", records, "from 1 to 20000");
    let octets = submit.fetch_octets;
    let good = (1 << 16..=1 << 30).contains(&octets.get());
    check.must(good, "fetch_octets", octets, "from \"64KiB\" to \"1GiB\"");
}

fn correlate(check: &mut Check<'_>, correlate: &correlate::Settings, kafka: &Kafka) {
    let least = Time(kafka.transaction_timeout.get() + Duration::from_secs(10));
    let grace = correlate.early_receipt_grace;
    check.must(
        grace >= least,
        "early_receipt_grace",
        grace,
        &format!("at least \"{least}\" (kafka.transaction_timeout and 10 s), or a response held up in a hanging transaction would miss its receipt"),
    );
    check.positive("final_retention", correlate.final_retention);
    let ttl = correlate.receipt_ttl;
    check.must(
        ttl > grace,
        "receipt_ttl",
        ttl,
        "must be longer than early_receipt_grace",
    );
}

fn inbound(check: &mut Check<'_>, inbound: &Inbound) {
    check.positive("reassembly_ttl", inbound.reassembly_ttl);
    for (key, octets) in [
        ("buffer", inbound.buffer),
        ("reassembly_memory", inbound.reassembly_memory),
    ] {
        let good = (1 << 20..=1 << 30).contains(&octets.get());
        check.must(good, key, octets, "from \"1MiB\" to \"1GiB\"");
    }
    let timeout = inbound.answer_timeout;
    let good = (500..=600_000).contains(&timeout.get().as_millis());
    let text = "from 500ms to 10m, and shorter than the SMSC waits for a response";
    check.must(good, "answer_timeout", timeout, text);
}

fn log(check: &mut Check<'_>, log: &Log) {
    let good = tracing_subscriber::EnvFilter::try_new(&log.level).is_ok();
    check.must(
        good,
        "level",
        format_args!("{:?}", log.level),
        "error, warn, info, debug or trace, or such as \"info,kafka_smpp::esme=debug\"",
    );
}

fn esme(check: &mut Check<'_>, esme: &Esme) {
    if esme.name.is_empty() {
        check.missing("name", "every ESME needs a name, such as \"acme\"");
    } else {
        let text = "1 to 100 letters, digits, '.', '_' or '-'";
        let good = is_topic(&esme.name) && esme.name.len() <= 100;
        check.must(good, "name", format_args!("{:?}", esme.name), text);
    }
    leases(check, esme);
    dialect::outbind(check, esme);
    if esme.hosts.is_empty() && esme.outbind.listen.is_none() {
        check.missing(
            "hosts",
            "name the SMSC, such as [\"smsc.example.net:2775\"], or outbind.listen if it connects to us",
        );
    }
    for (n, host) in esme.hosts.iter().enumerate() {
        let text = "not an address: write host:port, such as \"smsc.example.net:2775\"";
        check.must(
            is_host(host),
            &format!("hosts[{n}]"),
            format_args!("{host:?}"),
            text,
        );
    }
    dialect::identity(check, esme);
    binds(check, esme);
    rates(check, esme);
    refusal(check, esme);
    defaults(check, esme);
    dialect::texts(check, esme);
    dialect::dialect(check, esme);
    timers(check, esme);
    let tls = &esme.tls;
    tls_files(check, &tls.ca_file, &tls.certificate_file, &tls.key_file);
}

fn tls_files(
    check: &mut Check<'_>,
    authorities: &Option<PathBuf>,
    certificate: &Option<PathBuf>,
    private_key: &Option<PathBuf>,
) {
    if certificate.is_some() != private_key.is_some() {
        let key = match private_key {
            None => "tls.key_file",
            Some(_) => "tls.certificate_file",
        };
        check.missing(key, "a certificate and its key are set together");
    }
    for (key, file) in [
        ("tls.ca_file", authorities),
        ("tls.certificate_file", certificate),
        ("tls.key_file", private_key),
    ] {
        if let Some(file) = file {
            check.must(
                file.is_file(),
                key,
                format_args!("{file:?}"),
                "there is no such file",
            );
        }
    }
}

fn leases(check: &mut Check<'_>, esme: &Esme) {
    for (n, topic) in esme.outbound.iter().enumerate() {
        check.topic(&format!("outbound[{n}]"), topic);
    }
    if let Some(topic) = &esme.lease_topic {
        check.topic("lease_topic", topic);
    }
    match (esme.bind, esme.outbound.is_empty(), &esme.lease_topic) {
        (BindMode::Receiver, true, None) => check.missing(
            "lease_topic",
            "a receiver needs a topic whose partitions are its leases, such as \"sms.acme.lease\"",
        ),
        (BindMode::Receiver, false, _) => check.must(
            false,
            "outbound",
            format_args!("{:?}", esme.outbound),
            "a receiver sends nothing: name a lease_topic instead, or another bind",
        ),
        (BindMode::Receiver, true, Some(_)) => {}
        (_, true, _) => check.missing(
            "outbound",
            "name its outbound topics, such as [\"sms.outbound\"]",
        ),
        (_, false, Some(topic)) => check.must(
            false,
            "lease_topic",
            format_args!("{topic:?}"),
            "only for bind = \"receiver\": otherwise the first outbound topic holds the leases",
        ),
        (_, false, None) => {}
    }
}

pub(super) fn is_host(host: &str) -> bool {
    let Some((name, port)) = host.rsplit_once(':') else {
        return false;
    };
    let bare = !name.is_empty() && !name.contains([':', '/', ' ', '[', ']']);
    let v6 = name
        .strip_prefix('[')
        .and_then(|n| n.strip_suffix(']'))
        .is_some_and(|n| n.parse::<std::net::Ipv6Addr>().is_ok());
    (bare || v6) && port.parse::<u16>().is_ok_and(|p| p != 0)
}

/// More sessions than any SMSC gives to one account.
const MOST_BINDS: u32 = 100_000;

fn binds(check: &mut Check<'_>, esme: &Esme) {
    let (key, n) = match esme.binds {
        Binds::PerPartition(n) => ("binds.per_partition", n),
        Binds::PerInstance(n) => ("binds.per_instance", n),
    };
    check.must(n > 0, key, n, "at least 1");
    check.must(
        (1..=MOST_BINDS).contains(&esme.max_binds),
        "max_binds",
        esme.max_binds,
        "from 1 to 100000",
    );
    let sessions = n.saturating_mul(esme.sessions_per_bind());
    check.must(
        sessions <= esme.max_binds,
        key,
        n,
        &format!(
            "makes {sessions} sessions, more than max_binds ({})",
            esme.max_binds
        ),
    );
    check.must(
        (1..=10_000).contains(&esme.window),
        "window",
        esme.window,
        "from 1 to 10000",
    );
}

fn refusal(check: &mut Check<'_>, esme: &Esme) {
    let status = &esme.refusal_status;
    let good = Status::from_name(status).is_some_and(|status| status != Status::ROK);
    check.must(
        good,
        "refusal_status",
        format_args!("{status:?}"),
        "the name or number of an error, such as \"ESME_RX_T_APPN\", \"ESME_RMSGQFUL\" or \"0x64\"",
    );
}

fn rates(check: &mut Check<'_>, esme: &Esme) {
    for (key, rate) in [
        ("max_tps", esme.max_tps),
        ("max_tps_per_bind", esme.max_tps_per_bind),
    ] {
        // Less than that would be nothing at all, divided among a few processes.
        let good = rate == 0.0 || (0.01..=1e6).contains(&rate);
        check.must(
            good,
            key,
            rate,
            "PDUs per second, from 0.01 to 1000000; 0 for no limit",
        );
    }
}

fn defaults(check: &mut Check<'_>, esme: &Esme) {
    if let Some(source) = &esme.source {
        let is_printable = source.bytes().all(|octet| (b' '..=b'~').contains(&octet));
        let good = (1..=20).contains(&source.len()) && is_printable;
        let text = "1 to 20 printable ASCII characters, or leave it out";
        check.must(good, "source", format_args!("{source:?}"), text);
        // Whoever names the type knows what the SMSC takes.
        let inferred = (good && esme.source_ton.is_none()).then(|| sender(source));
        if let Some(Err(error)) = inferred {
            let text = match error {
                BadAddress::LongName(_) => "a name has at most 11 characters; set source_ton = 5 too if this SMSC takes longer ones".into(),
                other => format!("it {other}"),
            };
            check.must(false, "source", format_args!("{source:?}"), &text);
        }
    }
    let delivery = esme.registered_delivery;
    check.must(
        delivery <= REGISTERED_DELIVERY,
        "registered_delivery",
        delivery,
        "from 0 to 31",
    );
}

fn timers(check: &mut Check<'_>, esme: &Esme) {
    let (timers, again) = (&esme.timers, &esme.reconnect);
    for (key, time) in [
        ("timers.session_init", timers.session_init),
        ("timers.response", timers.response),
        ("timers.read", timers.read),
        ("reconnect.initial", again.initial),
        ("reconnect.refused", again.refused),
        ("reconnect.bound_elsewhere", again.bound_elsewhere),
    ] {
        check.positive(key, time);
    }
    let text = format!(
        "must not be shorter than reconnect.initial ({})",
        again.initial
    );
    check.must(
        again.max >= again.initial,
        "reconnect.max",
        again.max,
        &text,
    );
}
