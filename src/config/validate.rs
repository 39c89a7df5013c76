//! What a value's type cannot say about it.

mod accounts;
mod connection;
mod dialect;
mod http;
mod kafka;
mod level;
mod login;
mod registry;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::bounds;
use super::esme::{BindMode, Binds, Esme};
use super::kafka::Kafka;
use super::load::blank_end;
use super::privacy::EventNumbers;
use super::problem::{Problem, nearest};
use super::{Config, Formats, Inbound, Otel, Privacy};
use crate::codes::{self, ErrorCode};
use crate::ops::mask::Numbers;
use crate::record::format::Format;
use crate::settings::Time;
use crate::{correlate, submit};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use smpp_esme::host::Host;
use smpp_protocol::address::{BadAddress, sender};
use smpp_protocol::pdu::REGISTERED_DELIVERY;
use smpp_protocol::{Command, Status};

/// Collects what is wrong below one key.
struct Check<'a> {
    at: String,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn key(&self, key: &str) -> String {
        if self.at.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.at)
        }
    }

    /// Notes a problem unless `good`.
    fn must(
        &mut self,
        code: ErrorCode,
        good: bool,
        key: &str,
        value: impl std::fmt::Display,
        text: &str,
    ) {
        if !good {
            let key = self.key(key);
            (self.problems).push(Problem::new(code, key, value, text.into()));
        }
    }

    fn missing(&mut self, code: ErrorCode, key: &str, text: &str) {
        let key = self.key(key);
        self.problems.push(Problem::missing(code, key, text));
    }

    /// Notes a number that is not within the bounds that its schema names.
    fn number(&mut self, key: &str, value: impl Into<u64> + Copy + std::fmt::Display) {
        let bounds = bounds::of(&self.key(key));
        debug_assert!(bounds.is_some(), "{key} has no range in its schema");
        if let Some(bounds) = bounds {
            let text = format!("from {} to {}", bounds.start(), bounds.end());
            self.must(
                codes::OUT_OF_RANGE,
                bounds.contains(&value.into()),
                key,
                value,
                &text,
            );
        }
    }

    /// Notes a time or a size that is not from `least` to `most`.
    fn between<T>(&mut self, key: &str, value: T, least: &str, most: &str)
    where
        T: FromStr + Default + PartialOrd + std::fmt::Display,
    {
        let bound = |text: &str| text.parse::<T>().unwrap_or_default();
        let good = (bound(least)..=bound(most)).contains(&value);
        let text = format!("from {least:?} to {most:?}");
        self.must(codes::OUT_OF_RANGE, good, key, value, &text);
    }

    /// A time that may be as short as people like, but not nothing.
    fn positive(&mut self, key: &str, time: Time, most: &str) {
        self.between(key, time, "1ms", most);
    }

    /// A C-octet string of the protocol: printable ASCII, at most `max` octets, without blanks
    /// around it.
    fn octets(&mut self, key: &str, value: &str, max: usize) {
        let shown = format_args!("{value:?}");
        if let Some(strange) = strange(value) {
            let text = format!("at most {max} ASCII characters; {strange}");
            self.must(codes::NOT_SMPP_TEXT, false, key, shown, &text);
        } else if value.len() > max {
            let text = format!("at most {max} ASCII characters; it has {}", value.len());
            self.must(codes::NOT_SMPP_TEXT, false, key, shown, &text);
        } else if let Some(blank) = blank_end(value) {
            self.must(
                codes::NOT_SMPP_TEXT,
                false,
                key,
                shown,
                &format!("it {blank}"),
            );
        }
    }

    /// A password of the protocol (SMPP 3.4 §5.2.2), which is never shown. With a file, that is
    /// to blame.
    fn password(&mut self, key: &str, file: bool, password: &str, max: usize, longer: &str) {
        let key = if file {
            format!("{key}_file")
        } else {
            key.to_owned()
        };
        if let Some(strange) = strange(password) {
            let text = format!(
                "{strange}, and SMPP has ASCII only (SMPP 3.4 §3.1): ask the SMSC's operator for another password"
            );
            self.missing(codes::NOT_SMPP_TEXT, &key, &text);
        }
        if password.chars().count() > max {
            let count = password.chars().count();
            let text = format!(
                "at most {max} ASCII characters (SMPP 3.4 §5.2.2); this one has {count}{longer}"
            );
            self.missing(codes::NOT_SMPP_TEXT, &key, &text);
        }
        if let Some(blank) = blank_end(password) {
            self.missing(
                codes::SECRET_MALFORMED,
                &key,
                &format!("the password {blank}"),
            );
        }
    }

    /// `host:port`.
    fn host(&mut self, key: &str, host: &str) {
        if let Err(wrong) = Host::parse(host) {
            let text = format!("not an address: {wrong}");
            self.must(
                codes::ADDRESS_MALFORMED,
                false,
                key,
                format_args!("{host:?}"),
                &text,
            );
        }
    }

    /// `host:port` to listen on, where port 0 lets the system choose one.
    fn listens(&mut self, key: &str, address: &str) {
        let named = address.strip_suffix(":0").map(|host| format!("{host}:1"));
        let wrong = Host::parse(named.as_deref().unwrap_or(address)).err();
        if let Some(wrong) = wrong {
            let text = format!("not an address: {wrong}");
            let shown = format_args!("{address:?}");
            self.must(codes::ADDRESS_MALFORMED, false, key, shown, &text);
        }
    }

    /// A file that is read as it is.
    fn file(&mut self, key: &str, file: &Option<PathBuf>) {
        let Some(file) = file else { return };
        let text = if file.as_os_str().is_empty() {
            "name a file, or leave it out"
        } else if file.is_dir() {
            "it is a directory"
        } else {
            "there is no such file"
        };
        self.must(
            codes::FILE_MISSING,
            file.is_file(),
            key,
            format_args!("{file:?}"),
            text,
        );
    }

    /// Elements that stand in a list twice.
    fn twice<'a>(&mut self, key: &str, list: impl IntoIterator<Item = &'a str>) {
        self.twice_as(key, list, str::to_lowercase);
    }

    /// The same, of elements that are equal if what `plain` makes of them is.
    fn twice_as<'a, T: Eq + Hash>(
        &mut self,
        key: &str,
        list: impl IntoIterator<Item = &'a str>,
        plain: impl Fn(&str) -> T,
    ) {
        let mut seen = HashSet::new();
        for (n, element) in list.into_iter().enumerate() {
            let good = seen.insert(plain(element));
            let key = format!("{key}[{n}]");
            let text = "it stands there twice: remove one";
            self.must(
                codes::STANDS_TWICE,
                good,
                &key,
                format_args!("{element:?}"),
                text,
            );
        }
    }

    fn topic(&mut self, key: &str, name: &str) {
        let shown = format_args!("{name:?}");
        let text = "not a topic's name: 1 to 249 letters, digits, '.', '_' or '-'";
        self.must(codes::NAME_MALFORMED, is_topic(name), key, shown, text);
        let is_kafkas = matches!(
            name,
            "__consumer_offsets"
                | "__transaction_state"
                | "__share_group_state"
                | "__cluster_metadata"
        );
        self.must(
            codes::NAME_MALFORMED,
            !is_kafkas,
            key,
            shown,
            "a topic of Kafka's own: name another",
        );
    }
}

/// The first character that a string of the protocol cannot have.
fn strange(text: &str) -> Option<String> {
    let (at, strange) =
        (text.chars().enumerate()).find(|(_, character)| !matches!(character, ' '..='~'))?;
    let number = at + 1;
    Some(if strange.is_ascii() {
        format!("character {number} is a control character")
    } else {
        format!("character {number} is not ASCII")
    })
}

fn is_topic(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}

/// The fewest characters of a key: a shorter one is found by trying.
const KEY: usize = 16;

/// The key of hashes of numbers, which counts only if numbers are hashed.
fn numbers_key(check: &mut Check<'_>, key: &SecretString, is_hashed: bool) {
    let characters = key.expose_secret().chars().count();
    let enough = characters == 0 || characters >= KEY;
    let text = format!("write at least {KEY} characters: a shorter key is found by trying");
    let shown = format_args!("{characters} characters");
    check.must(codes::OUT_OF_RANGE, enough, "numbers_key", shown, &text);
    let used = characters == 0 || is_hashed;
    let text = format!(
        "it is the key of hashes: set {} = \"hash\", or leave it out",
        check.key("numbers")
    );
    check.must(codes::SETTING_UNUSED, used, "numbers_key", shown, &text);
}

/// Hashes in events are to be compared for years, in all processes.
fn privacy(check: &mut Check<'_>, privacy: &Privacy, formats: &Formats) {
    let is_hashed = privacy.numbers == EventNumbers::Hash;
    numbers_key(check, &privacy.numbers_key, is_hashed);
    if is_hashed && privacy.numbers_key.expose_secret().is_empty() {
        let text = "hashes need a key, the same in all processes: set it, or numbers_key_file";
        check.missing(codes::SETTING_MISSING, "numbers_key", text);
    }
    for (topic, format) in [
        ("responses", formats.responses),
        ("errors", formats.errors),
        ("receipts", formats.receipts),
    ] {
        let good = !is_hashed || format != Format::Aiosmpplib;
        let text = format!("formats.{topic} is aiosmpplib, which wants numbers: write full");
        check.must(codes::EXCLUDES, good, "numbers", "\"hash\"", &text);
    }
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
        within("kafka", &|c| kafka::check(c, &self.kafka));
        within("submit", &|c| submit(c, &self.submit, &self.kafka));
        within("correlate", &|c| correlate(c, &self.correlate, &self.kafka));
        within("inbound", &|c| inbound(c, &self.inbound));
        within("http", &|c| http::check(c, &self.http));
        within("trace", &|c| trace(c, &self.trace));
        within("otel", &|c| otel(c, &self.otel));
        within("privacy", &|c| privacy(c, &self.privacy, &self.formats));
        within("log", &|c| {
            if let Some(text) = level::fault(&self.log.level) {
                c.must(
                    codes::LOG_LEVEL,
                    false,
                    "level",
                    format_args!("{:?}", self.log.level),
                    &text,
                );
            }
            numbers_key(c, &self.log.numbers_key, self.log.numbers == Numbers::Hash);
            c.number("flight_recorder", self.log.flight_recorder);
        });
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
        check.positive("shutdown_timeout", self.shutdown_timeout, "1d");
        let drain = self.submit.revoke_drain;
        let text =
            format!("must be longer than submit.revoke_drain ({drain}), which is a part of it");
        let good = self.shutdown_timeout > drain;
        check.must(
            codes::CONTRADICTION,
            good,
            "shutdown_timeout",
            self.shutdown_timeout,
            &text,
        );
        if let Some(source) = &self.cloud_events.source {
            let good = !source.is_empty() && source.bytes().all(|b| (0x21..0x7f).contains(&b));
            let shown = format_args!("{source:?}");
            let text = "a URI reference such as /sms/gateway: printable ASCII without spaces";
            check.must(
                codes::NAME_MALFORMED,
                good,
                "cloud_events.source",
                shown,
                text,
            );
            let text =
                "events are no CloudEvents: set cloud_events.enabled = true, or leave it out";
            check.must(
                codes::NEEDS_ANOTHER,
                self.cloud_events.enabled,
                "cloud_events.source",
                shown,
                text,
            );
        }
        for (key, format) in self.formats.named() {
            let is_internal = matches!(key, "correlation" | "deliveries");
            let (possible, text) = if is_internal {
                (
                    format != Format::Aiosmpplib,
                    "aiosmpplib has nothing of the kind: write cbor, or leave it out",
                )
            } else {
                (
                    format != Format::Cbor,
                    "only the internal topics (correlation, deliveries) have it: write json, or leave it out",
                )
            };
            let shown = format!("\"{}\"", format.name());
            let key = format!("formats.{key}");
            check.must(codes::FORMAT_IMPOSSIBLE, possible, &key, &shown, text);
        }
        if self.esme.is_empty() {
            check.missing(
                codes::SETTING_MISSING,
                "esme",
                "no ESME is configured: add an [[esme]] table",
            );
        }
        accounts::check(check, &self.esme);
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

fn trace(check: &mut Check<'_>, settings: &crate::trace::Settings) {
    let good = (0.0..=1.0).contains(&settings.sample);
    check.must(
        codes::OUT_OF_RANGE,
        good,
        "sample",
        settings.sample,
        "a share, between 0.0 and 1.0",
    );
    for (n, name) in settings.commands.iter().enumerate() {
        let known = Command::ALL.iter().filter_map(|command| command.name());
        let requests: Vec<&str> = known.filter(|name| !name.ends_with("_resp")).collect();
        let text = match name.strip_suffix("_resp") {
            Some(request) => format!("an answer comes with its request: write {request:?}"),
            None => match nearest(name, &requests) {
                Some(near) => format!("no request of SMPP; did you mean {near:?}?"),
                None => "no request of SMPP, such as \"submit_sm\"".into(),
            },
        };
        let good = requests.contains(&name.as_str());
        check.must(
            codes::UNKNOWN_VALUE,
            good,
            &format!("commands[{n}]"),
            format_args!("{name:?}"),
            &text,
        );
    }
}

fn otel(check: &mut Check<'_>, settings: &Otel) {
    let good = (0.0..=1.0).contains(&settings.sample);
    let text = "a share, between 0.0 and 1.0";
    check.must(codes::OUT_OF_RANGE, good, "sample", settings.sample, text);
    if let Some(endpoint) = &settings.endpoint {
        // As that of a registry it may hold a password; and lines of the log name it.
        let has_password = endpoint.contains('@');
        let good = Url::parse(endpoint).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.query().is_none()
        });
        let shown = if has_password { "..." } else { endpoint };
        let shown = format_args!("{shown:?}");
        let text = if has_password {
            "an address must not hold a password: set headers instead"
        } else {
            "not an address: write such as \"http://collector:4318\""
        };
        let good = good && !has_password;
        check.must(codes::ADDRESS_MALFORMED, good, "endpoint", shown, text);
        let text = "this program was built without spans: build it with `--features otel`, or leave the endpoint out";
        check.must(
            codes::WITHOUT_SPANS,
            cfg!(feature = "otel"),
            "endpoint",
            shown,
            text,
        );
    }
    for (name, value) in &settings.headers {
        let good = HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value.get()).is_ok();
        if !good {
            let text = "not a header of HTTP: its name has letters, digits and '-', its value no control characters";
            check.missing(codes::NAME_MALFORMED, &format!("headers.{name}"), text);
        }
    }
}

fn alike(one: &str, other: &str) -> bool {
    one.replace('.', "_") == other.replace('.', "_")
}

fn once<'a>(
    check: &mut Check<'_>,
    seen: &mut HashMap<&'a str, String>,
    value: &'a str,
    key: String,
    what: &str,
) {
    let mut refuse = |text: &str| {
        let shown = format_args!("{value:?}");
        check.must(codes::STANDS_TWICE, false, &key, shown, text);
    };
    // Kafka names metrics after topics, with '.' as '_', and refuses two that then are one.
    let collides = |other: &&&str| what == "topic" && **other != value && alike(other, value);
    if let Some(other) = seen.keys().find(collides) {
        let text = format!(
            "Kafka takes '.' and '_' for the same in names of topics, and {} is {other:?}: name one of them otherwise",
            seen[*other]
        );
        refuse(&text);
    }
    match seen.get(value) {
        Some(other) => refuse(&format!("{other} has the same {what}: each needs its own")),
        None => {
            seen.insert(value, key);
        }
    }
}

fn submit(check: &mut Check<'_>, submit: &submit::Settings, kafka: &Kafka) {
    check.number("max_resends", submit.max_resends);
    check.positive("message_deadline", submit.message_deadline, "366d");
    check.positive("retry_delay", submit.retry_delay, "1d");
    let text = format!(
        "must be shorter than message_deadline ({}), or no message would be sent again",
        submit.message_deadline
    );
    check.must(
        codes::CONTRADICTION,
        submit.retry_delay < submit.message_deadline,
        "retry_delay",
        submit.retry_delay,
        &text,
    );
    check.between("max_hold", submit.max_hold, "0s", "1d");
    let drain = submit.revoke_drain;
    check.must(
        codes::CONTRADICTION,
        drain < kafka.session_timeout,
        "revoke_drain",
        drain,
        &format!(
            "must be shorter than kafka.session_timeout ({})",
            kafka.session_timeout
        ),
    );
    check.between("reserve_horizon", submit.reserve_horizon, "10ms", "10s");
    check.number("reserve_ahead", submit.reserve_ahead);
    check.number("read_ahead", submit.read_ahead);
    check.number("fetch_records", submit.fetch_records);
    check.between("fetch_octets", submit.fetch_octets, "64KiB", "1GiB");
}

fn correlate(check: &mut Check<'_>, correlate: &correlate::Settings, kafka: &Kafka) {
    let least = Time(kafka.transaction_timeout.get() + Duration::from_secs(10));
    let grace = correlate.early_receipt_grace;
    check.must(codes::CONTRADICTION,
        grace >= least,
        "early_receipt_grace",
        grace,
        &format!("at least \"{least}\" (kafka.transaction_timeout and 10 s), or a response held up in a hanging transaction would miss its receipt"),
    );
    check.positive("final_retention", correlate.final_retention, "366d");
    let ttl = correlate.receipt_ttl;
    check.positive("receipt_ttl", ttl, "366d");
    check.must(
        codes::CONTRADICTION,
        ttl > grace,
        "receipt_ttl",
        ttl,
        "must be longer than early_receipt_grace",
    );
}

fn inbound(check: &mut Check<'_>, inbound: &Inbound) {
    check.positive("reassembly_ttl", inbound.reassembly_ttl, "366d");
    check.between("buffer", inbound.buffer, "1MiB", "1GiB");
    let memory = inbound.reassembly_memory;
    check.between("reassembly_memory", memory, "1MiB", "1GiB");
    let timeout = inbound.answer_timeout;
    // Kafka's client looks once a second for records whose time is over.
    let good = (2_000..=600_000).contains(&timeout.get().as_millis());
    let text = "from 2s to 10m, and shorter than the SMSC waits for a response";
    check.must(codes::OUT_OF_RANGE, good, "answer_timeout", timeout, text);
}

fn esme(check: &mut Check<'_>, esme: &Esme) {
    if esme.name.is_empty() {
        check.missing(
            codes::SETTING_MISSING,
            "name",
            "every ESME needs a name, such as \"acme\"",
        );
    } else {
        let text = "1 to 100 letters, digits, '.', '_' or '-'";
        let good = is_topic(&esme.name) && esme.name.len() <= 100;
        check.must(
            codes::NAME_MALFORMED,
            good,
            "name",
            format_args!("{:?}", esme.name),
            text,
        );
    }
    leases(check, esme);
    dialect::outbind(check, esme);
    if esme.hosts.is_empty() && esme.outbind.listen.is_none() {
        check.missing(codes::SETTING_MISSING,
            "hosts",
            "name the SMSC, such as [\"smsc.example.net:2775\"], or outbind.listen if it connects to us",
        );
    }
    for (n, host) in esme.hosts.iter().enumerate() {
        check.host(&format!("hosts[{n}]"), host);
    }
    let hosts = esme.hosts.iter().map(String::as_str);
    check.twice_as("hosts", hosts, |host| match Host::parse(host) {
        Ok(host) => Ok(host.plain()),
        Err(_) => Err(host.to_lowercase()),
    });
    dialect::identity(check, esme);
    binds(check, esme);
    rates(check, esme);
    refusal(check, esme);
    defaults(check, esme);
    dialect::texts(check, esme);
    dialect::dialect(check, esme);
    timers(check, esme);
    connection::check(check, esme);
    tls(check, esme);
}

fn tls(check: &mut Check<'_>, esme: &Esme) {
    let tls = &esme.tls;
    tls_files(check, &tls.ca_file, &tls.certificate_file, &tls.key_file);
    for (key, is_set) in [
        ("tls.ca_file", tls.ca_file.is_some()),
        ("tls.certificate_file", tls.certificate_file.is_some()),
        ("tls.key_file", tls.key_file.is_some()),
        ("tls.server_name", tls.server_name.is_some()),
    ] {
        if is_set && !tls.enabled {
            let text = "the connection is not encrypted: set tls.enabled = true, or leave it out";
            check.missing(codes::NEEDS_ANOTHER, key, text);
        }
    }
    if let Some(name) = &tls.server_name {
        let good = rustls::pki_types::ServerName::try_from(name.as_str()).is_ok();
        let text = "neither a host's name nor an IP address, as a certificate has them";
        check.must(
            codes::ADDRESS_MALFORMED,
            good,
            "tls.server_name",
            format_args!("{name:?}"),
            text,
        );
    }
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
        check.missing(
            codes::NEEDS_ANOTHER,
            key,
            "a certificate and its key are set together",
        );
    }
    for (key, file) in [
        ("tls.ca_file", authorities),
        ("tls.certificate_file", certificate),
        ("tls.key_file", private_key),
    ] {
        check.file(key, file);
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
            codes::SETTING_MISSING,
            "lease_topic",
            "a receiver needs a topic whose partitions are its leases, such as \"sms.acme.lease\"",
        ),
        (BindMode::Receiver, false, _) => check.must(
            codes::EXCLUDES,
            false,
            "outbound",
            format_args!("{:?}", esme.outbound),
            "a receiver sends nothing: name a lease_topic instead, or another bind",
        ),
        (BindMode::Receiver, true, Some(_)) => {}
        (_, true, _) => check.missing(
            codes::SETTING_MISSING,
            "outbound",
            "name its outbound topics, such as [\"sms.outbound\"]",
        ),
        (_, false, Some(topic)) => check.must(
            codes::EXCLUDES,
            false,
            "lease_topic",
            format_args!("{topic:?}"),
            "only for bind = \"receiver\": otherwise the first outbound topic holds the leases",
        ),
        (_, false, None) => {}
    }
}

fn binds(check: &mut Check<'_>, esme: &Esme) {
    let (key, n) = match esme.binds {
        Binds::PerPartition(n) => ("binds.per_partition", n),
        Binds::PerInstance(n) => ("binds.per_instance", n),
    };
    check.must(codes::OUT_OF_RANGE, n > 0, key, n, "at least 1");
    check.number("max_binds", esme.max_binds);
    let sessions = n.saturating_mul(esme.sessions_per_bind());
    check.must(
        codes::TOO_MANY_BINDS,
        sessions <= esme.max_binds,
        key,
        n,
        &format!(
            "makes {sessions} sessions, more than max_binds ({})",
            esme.max_binds
        ),
    );
    check.number("window", esme.window);
    check.number("slow_start", esme.slow_start);
    // A window of 1 leaves slow_start its default.
    let most = esme.window.max(Esme::default().slow_start);
    let text = format!("more than window ({}), which it begins below", esme.window);
    let start = esme.slow_start;
    check.must(
        codes::CONTRADICTION,
        start <= most,
        "slow_start",
        start,
        &text,
    );
}

fn refusal(check: &mut Check<'_>, esme: &Esme) {
    let status = &esme.refusal_status;
    let good = Status::from_name(status).is_some_and(|status| status != Status::ROK);
    check.must(
        codes::UNKNOWN_VALUE,
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
            codes::OUT_OF_RANGE,
            good,
            key,
            rate,
            "PDUs per second, from 0.01 to 1000000; 0 for no limit",
        );
    }
    let good = esme.max_tps == 0.0 || esme.max_tps_per_bind <= esme.max_tps;
    let text = format!(
        "more than the whole account may send: max_tps is {}",
        esme.max_tps
    );
    check.must(
        codes::CONTRADICTION,
        good,
        "max_tps_per_bind",
        esme.max_tps_per_bind,
        &text,
    );
}

fn defaults(check: &mut Check<'_>, esme: &Esme) {
    for (key, octet) in [
        ("source_ton", esme.source_ton),
        ("source_npi", esme.source_npi),
    ] {
        if let Some(octet) = octet
            && esme.source.is_none()
        {
            check.must(
                codes::NEEDS_ANOTHER,
                false,
                key,
                octet,
                "it is about source, which is not set: set it, or leave this out",
            );
        }
    }
    if let Some(source) = &esme.source {
        let is_printable = source.bytes().all(|octet| (b' '..=b'~').contains(&octet));
        let good = (1..=20).contains(&source.len()) && is_printable;
        let text = "1 to 20 printable ASCII characters, or leave it out";
        check.must(
            codes::NOT_SMPP_TEXT,
            good,
            "source",
            format_args!("{source:?}"),
            text,
        );
        // Whoever names the type knows what the SMSC takes.
        let inferred = (good && esme.source_ton.is_none()).then(|| sender(source));
        if let Some(Err(error)) = inferred {
            let text = match error {
                BadAddress::LongName(_) => "a name has at most 11 characters; set source_ton = 5 too if this SMSC takes longer ones".into(),
                other => format!("it {other}"),
            };
            check.must(
                codes::NOT_SMPP_TEXT,
                false,
                "source",
                format_args!("{source:?}"),
                &text,
            );
        }
    }
    let delivery = esme.registered_delivery;
    check.must(
        codes::OUT_OF_RANGE,
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
        ("reconnect.max", again.max),
        ("reconnect.refused", again.refused),
        ("reconnect.bound_elsewhere", again.bound_elsewhere),
    ] {
        check.positive(key, time, "1d");
    }
    check.between("timers.enquire_link", timers.enquire_link, "0s", "1d");
    check.between("timers.inactivity", timers.inactivity, "0s", "366d");
    let back = again.return_to_first;
    check.between("reconnect.return_to_first", back, "0s", "1d");
    let text = format!(
        "shorter than timers.response ({}): a session would be given up while it waits for an answer",
        timers.response
    );
    let inactivity = timers.inactivity;
    let good = inactivity == Time::default() || inactivity >= timers.response;
    check.must(
        codes::CONTRADICTION,
        good,
        "timers.inactivity",
        inactivity,
        &text,
    );
    let text = format!(
        "must not be shorter than reconnect.initial ({})",
        again.initial
    );
    check.must(
        codes::CONTRADICTION,
        again.max >= again.initial,
        "reconnect.max",
        again.max,
        &text,
    );
}
