//! Why Kafka says no, and what helps.
//!
//! A broker answers with a code, and librdkafka with another and a text: `GroupAuthorizationFailed`,
//! `BrokerTransportFailure`, `Purged in queue`. Who reads that at three in the night wants to know
//! who may not do what, and the command that allows it. [`explain`] is the one place that knows:
//! a pure function of the code, the text and what was being done. What it is not sure of it does
//! not claim: then the cause is [`Why::Other`], with what was said.

use std::borrow::Cow;
use std::fmt;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::abilities::Lack;
use super::error_class::ErrorClass;
use super::masked::Secrets;
use super::subject;
use crate::codes::{self, Coded, ErrorCode};
pub use token::Tokens;
pub(super) use token::none_yet;

/// Who we are to Kafka, as far as the properties of a client tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// `bootstrap.servers`.
    pub servers: String,
    /// The principal as the brokers call it, `User:NAME`; `None` if only they know it.
    pub principal: Option<String>,
    /// The SASL mechanism, if the protocol has one.
    pub mechanism: Option<String>,
    /// `security.protocol` in capitals.
    pub protocol: String,
    /// Where the tokens come from with which it logs in, if it does with tokens.
    pub tokens: Option<Tokens>,
    /// What must not be repeated, whoever repeats it to us.
    secrets: Secrets,
}

impl Who {
    /// What somebody says, without our secrets.
    pub(super) fn hides<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.secrets.hidden(text)
    }

    /// The one that a client with these properties is.
    pub fn of(client: &ClientConfig) -> Who {
        let get = |key: &str| client.get(key).map(str::to_owned);
        let protocol = get("security.protocol").unwrap_or_else(|| "PLAINTEXT".to_owned());
        let protocol = protocol.to_ascii_uppercase().replace('-', "_");
        let sasl = protocol.starts_with("SASL");
        let mechanism = get("sasl.mechanism").or_else(|| get("sasl.mechanisms"));
        let mechanism = sasl.then(|| mechanism.unwrap_or_else(|| "GSSAPI".to_owned()));
        let principal = match (mechanism.as_deref(), protocol.as_str()) {
            (Some("OAUTHBEARER"), _) => None,
            (Some("GSSAPI"), _) => get("sasl.kerberos.principal"),
            (Some(_), _) => get("sasl.username"),
            (None, "SSL") => match client.get("ssl.keystore.location") {
                Some(_) => None,
                None => certificate(client).unwrap_or_else(|| Some("ANONYMOUS".to_owned())),
            },
            _ => Some("ANONYMOUS".to_owned()),
        };
        Who {
            servers: get("bootstrap.servers").unwrap_or_default(),
            principal: principal.map(|name| format!("User:{name}")),
            tokens: mechanism
                .as_deref()
                .filter(|mechanism| *mechanism == "OAUTHBEARER")
                .map(|_| Tokens::of(client)),
            mechanism,
            protocol,
            secrets: Secrets::of(client),
        }
    }

    fn name(&self) -> &str {
        self.principal.as_deref().unwrap_or("this client's user")
    }

    /// The command that allows it, for one of the brokers.
    fn acl(&self, operation: &str, resource: &Resource) -> String {
        let server = self.servers.split(',').next().unwrap_or_default().trim();
        let principal = self.principal.as_deref().unwrap_or("User:NAME");
        format!(
            "kafka-acls.sh --bootstrap-server {server} --add --allow-principal {} --operation {} {}",
            quoted(principal),
            spoken(operation),
            resource.option(),
        )
    }
}

/// The subject of the client's certificate. `Some(None)` if it has one that cannot be read.
fn certificate(client: &ClientConfig) -> Option<Option<String>> {
    let pem = match client.get("ssl.certificate.pem") {
        Some(pem) => Some(pem.to_owned()),
        None => {
            let path = client.get("ssl.certificate.location")?;
            std::fs::read_to_string(path).ok()
        }
    };
    Some(pem.and_then(|pem| subject::of_pem(&pem)))
}

/// As a word of a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/@=+,".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `DESCRIBE_CONFIGS` as kafka-acls.sh calls it, `DescribeConfigs`.
fn spoken(operation: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_owned() + &rest.to_ascii_lowercase()
    };
    operation.split('_').map(word).collect()
}

/// What a right is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// These topics.
    Topics(Vec<String>),
    /// Some of these topics: which, is not said.
    OneOf(Vec<String>),
    /// A consumer group.
    Group(String),
    /// A transactional id. Each process has its own, so it is allowed by its beginning.
    TransactionalId(String),
    /// The cluster.
    Cluster,
}

impl Resource {
    /// As an option of kafka-acls.sh.
    fn option(&self) -> String {
        match self {
            Resource::Topic(name) => format!("--topic {}", quoted(name)),
            Resource::OneOf(names) | Resource::Topics(names) => {
                let names = names.iter().map(|name| format!("--topic {}", quoted(name)));
                names.collect::<Vec<_>>().join(" ")
            }
            Resource::Group(name) => format!("--group {}", quoted(name)),
            Resource::TransactionalId(id) => {
                let beginning = id.rfind('.').map_or(id.as_str(), |dot| &id[..=dot]);
                format!(
                    "--transactional-id {} --resource-pattern-type prefixed",
                    quoted(beginning)
                )
            }
            Resource::Cluster => "--cluster".to_owned(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Topic(name) => write!(f, "topic {name}"),
            Resource::Topics(names) => write!(f, "topics {}", names.join(", ")),
            Resource::OneOf(names) => write!(f, "one of the topics {}", names.join(", ")),
            Resource::Group(name) => write!(f, "group {name}"),
            Resource::TransactionalId(id) => write!(f, "transactional id {id}"),
            Resource::Cluster => f.write_str("the cluster"),
        }
    }
}

/// What was being done when Kafka said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing<'a> {
    /// Asking the cluster something that concerns no topic.
    Asking,
    /// Looking at a topic: its partitions, the ends of its log.
    Describing(&'a str),
    /// Looking at the settings of a topic.
    Configs(&'a str),
    /// Looking at the session time-out of a group.
    GroupConfigs(&'a str),
    /// Creating this topic.
    Creating(&'a str),
    /// Reading this topic, without a group.
    Reading(&'a str),
    /// Being a member of a group that reads these topics, or reading and setting its offsets.
    Member {
        /// The group.
        group: &'a str,
        /// Its topics.
        topics: &'a [String],
    },
    /// Writing to this topic.
    Writing(&'a str),
    /// Writing in transactions of this id, with the offsets of this group.
    Transaction {
        /// `transactional.id`.
        id: &'a str,
        /// The group, if offsets are committed.
        group: Option<&'a str>,
    },
    /// Writing idempotently, without transactions.
    Idempotent,
}

impl<'a> Doing<'a> {
    /// Being a member of the group that `client` names, which reads these topics.
    pub fn member(client: &'a ClientConfig, topics: &'a [String]) -> Doing<'a> {
        Doing::Member {
            group: client.get("group.id").unwrap_or_default(),
            topics,
        }
    }
}

/// Why Kafka cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A right is missing.
    Denied {
        /// The operation, as Kafka calls it: `WRITE`.
        operation: &'static str,
        /// On what.
        resource: Resource,
    },
    /// The brokers do not take the user or its password (or token).
    Login,
    /// They do not take the token.
    Token,
    /// Who gives out tokens gives us none: the client's id or secret, or what it asks for, is wrong.
    TokenRefused,
    /// Who gives out tokens is away, or does not work.
    TokenEndpoint,
    /// What it gives out is no token that can be used.
    TokenUnusable,
    /// We have no token: a file or credentials of our own are missing or wrong.
    NoToken,
    /// They do not take the SASL mechanism, but those.
    Mechanism(String),
    /// The listener wants no SASL.
    NoSasl,
    /// The listener wants SASL (or closes connections for another reason as soon as they are used).
    WantsSasl,
    /// The listener speaks TLS, and we do not.
    WantsTls,
    /// We speak TLS, and the listener does not.
    NoTls,
    /// The brokers' certificate is not trusted.
    Certificate,
    /// The brokers want another certificate of us, or one at all.
    ClientCertificate,
    /// TLS, for another reason.
    Tls,
    /// The name of a broker cannot be resolved.
    Name,
    /// No broker can be reached.
    Unreachable,
    /// A topic does not exist.
    NoTopic(String),
    /// The properties make no client.
    Properties,
    /// The brokers cannot do something that a connector needs.
    Lacks(Lack),
    /// It takes an administrative client, which gets no tokens of ours.
    NoAdmin,
    /// Something else.
    Other(Option<Code>),
}

/// A [`Why`] with everything that its text names. Its text has the cause and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Who was refused.
    pub who: Box<Who>,
    /// Why.
    pub why: Why,
    /// What Kafka or librdkafka said.
    pub message: String,
}

impl std::error::Error for Cause {}

impl Cause {
    /// By which it is explained: what has the same remedy has one code.
    pub fn code(&self) -> ErrorCode {
        match self.why {
            Why::Denied { .. } => codes::KAFKA_DENIED,
            Why::Login => codes::KAFKA_LOGIN,
            Why::Token => codes::KAFKA_TOKEN,
            Why::TokenRefused => codes::TOKEN_REFUSED,
            Why::TokenEndpoint => codes::TOKEN_ENDPOINT,
            Why::TokenUnusable => codes::TOKEN_UNUSABLE,
            Why::NoToken => codes::TOKEN_MISSING,
            Why::Mechanism(_) | Why::NoSasl | Why::WantsSasl => codes::KAFKA_SASL,
            Why::WantsTls | Why::NoTls => codes::KAFKA_TLS_OR_NOT,
            Why::Certificate => codes::KAFKA_CERTIFICATE,
            Why::ClientCertificate => codes::KAFKA_CLIENT_CERTIFICATE,
            Why::Tls => codes::KAFKA_TLS,
            Why::Name => codes::KAFKA_NAME,
            Why::Unreachable => codes::KAFKA_UNREACHABLE,
            Why::NoTopic(_) => codes::TOPIC_MISSING,
            Why::Properties => codes::KAFKA_CLIENT,
            Why::Lacks(Lack::Metadata(..)) => codes::COMMIT_METADATA_SHORT,
            Why::Lacks(Lack::GroupProtocol) => codes::NO_GROUP_PROTOCOL,
            Why::Lacks(_) => codes::KAFKA_LACKS,
            Why::NoAdmin => codes::NO_ADMIN,
            Why::Other(_) => codes::KAFKA_FAILED,
        }
    }

    /// Its text, with the code.
    pub fn coded(&self) -> Coded {
        Coded::new(self.code(), self.to_string())
    }

    /// Whether the brokers (or the client) have refused what our configuration says, so that
    /// nothing but another configuration helps.
    pub fn is_decided(&self) -> bool {
        // A broker that is asked for a second login too soon after the first says the same.
        if self.why == Why::NoSasl && self.who.tokens.is_some() {
            return false;
        }
        matches!(
            self.why,
            Why::Login
                | Why::TokenRefused
                | Why::Mechanism(_)
                | Why::NoSasl
                | Why::Certificate
                | Why::ClientCertificate
                | Why::Tls
                | Why::Properties
        )
    }

    /// Whether no connection can be used for a reason that lies in our configuration or in the
    /// brokers'.
    pub fn is_of_connection(&self) -> bool {
        match self.why {
            Why::Denied { .. }
            | Why::NoTopic(_)
            | Why::Unreachable
            | Why::Lacks(_)
            | Why::NoAdmin
            | Why::Other(_) => false,
            Why::Login
            | Why::Token
            | Why::TokenRefused
            | Why::TokenEndpoint
            | Why::TokenUnusable
            | Why::NoToken
            | Why::Mechanism(_)
            | Why::NoSasl
            | Why::WantsSasl
            | Why::WantsTls
            | Why::NoTls
            | Why::Certificate
            | Why::ClientCertificate
            | Why::Tls
            | Why::Name
            | Why::Properties => true,
        }
    }

    /// Whether there is no token to log in with: none of the brokers had a word in that.
    pub fn is_of_token(&self) -> bool {
        matches!(
            self.why,
            Why::TokenRefused | Why::TokenEndpoint | Why::TokenUnusable | Why::NoToken
        )
    }

    /// Whether no broker answers, or none takes us: what all clients of a process see.
    pub fn is_silence(&self) -> bool {
        match self.why {
            Why::Unreachable => true,
            Why::Other(Some(code)) => ErrorClass::of(code).is_silence(),
            _ => self.is_of_connection(),
        }
    }

    /// The same right, missing for several topics, as one cause; `None` if there is none.
    pub fn together(causes: &[Cause]) -> Option<Cause> {
        let topics = causes.iter().filter_map(|cause| match &cause.why {
            Why::Denied {
                resource: Resource::Topic(topic),
                ..
            } => Some(topic.clone()),
            _ => None,
        });
        let topics: Vec<String> = topics.collect();
        let first = causes.first()?;
        match &first.why {
            Why::Denied { operation, .. } if topics.len() > 1 => Some(Cause {
                why: Why::Denied {
                    operation,
                    resource: Resource::Topics(topics),
                },
                ..first.clone()
            }),
            _ => Some(first.clone()),
        }
    }

    /// Which of two is nearer to the truth: what says why is, not what says that nobody answers.
    pub(super) fn rank(&self) -> u8 {
        match self.why {
            Why::Other(_) => 0,
            Why::Unreachable => 1,
            Why::Name | Why::WantsSasl | Why::TokenEndpoint => 2,
            _ => 3,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cause { who, why, message } = self;
        let (name, servers, protocol) = (who.name(), &who.servers, &who.protocol);
        match why {
            Why::Denied {
                operation,
                resource,
            } => {
                let command = who.acl(operation, resource);
                let which = match resource {
                    Resource::OneOf(_) => " (name only those it is missing for)",
                    Resource::Cluster if *operation == "IDEMPOTENT_WRITE" => {
                        " (brokers from 2.8 on take WRITE on any topic in its place)"
                    }
                    _ => "",
                };
                write!(
                    f,
                    "{name} may not {operation} on {resource}. Allow it: {command}{which}"
                )
            }
            Why::Login => {
                let mechanism = who.mechanism.as_deref().unwrap_or("SASL");
                write!(
                    f,
                    "the brokers at {servers} refuse the login of {name} with {mechanism} ({message}): put sasl.username and sasl.password right (kafka.properties, kafka.property_files), or have the user made. Secrets are read at the start: after a change, start again"
                )
            }
            Why::Token
            | Why::TokenRefused
            | Why::TokenEndpoint
            | Why::TokenUnusable
            | Why::NoToken => token::explained(f, self),
            Why::Mechanism(offered) => {
                let mechanism = who.mechanism.as_deref().unwrap_or_default();
                write!(
                    f,
                    "the brokers at {servers} do not take the SASL mechanism {mechanism}, only {offered}: set sasl.mechanism in [kafka.properties] to one of those"
                )
            }
            Why::NoSasl if who.tokens.is_some() => write!(
                f,
                "the listener at {servers} takes no login ({message}): brokers say that of a second one that comes too soon after the first, which passes. If it does not pass, it is a listener without SASL: name another one in kafka.bootstrap_servers"
            ),
            Why::NoSasl => write!(
                f,
                "the listener at {servers} takes no SASL, and security.protocol is {protocol}: name a listener that does in kafka.bootstrap_servers, or set security.protocol in [kafka.properties] to {}",
                protocol.trim_start_matches("SASL_")
            ),
            Why::WantsSasl => write!(
                f,
                "the brokers at {servers} close connections as soon as they are used ({message}); security.protocol is {protocol}: the listener may want SASL. Then set security.protocol (SASL_SSL or SASL_PLAINTEXT), sasl.mechanism, sasl.username and sasl.password in [kafka.properties]"
            ),
            Why::WantsTls => write!(
                f,
                "the brokers at {servers} close connections before the first answer, and security.protocol is {protocol}, without TLS: the listener probably wants TLS. Set security.protocol in [kafka.properties] to {} (and ssl.ca.location), or name another listener in kafka.bootstrap_servers",
                if protocol.starts_with("SASL") {
                    "SASL_SSL"
                } else {
                    "SSL"
                }
            ),
            Why::NoTls => write!(
                f,
                "the listener at {servers} speaks no TLS ({message}), and security.protocol is {protocol}: name a listener that does in kafka.bootstrap_servers, or set security.protocol in [kafka.properties] to {}",
                if protocol.starts_with("SASL") {
                    "SASL_PLAINTEXT"
                } else {
                    "PLAINTEXT"
                }
            ),
            Why::Certificate => write!(
                f,
                "the certificate of the brokers at {servers} is not trusted ({message}): ssl.ca.location in [kafka.properties] must hold the authority that signed it, it must not have expired, and it must name the host by which kafka.bootstrap_servers and the brokers' advertised.listeners call it"
            ),
            Why::ClientCertificate => write!(
                f,
                "the brokers at {servers} do not take our certificate, or we show none ({message}): set ssl.certificate.location and ssl.key.location in [kafka.properties] to one that they trust"
            ),
            Why::Tls => write!(
                f,
                "TLS with the brokers at {servers} fails: {message}. See the keys of [kafka.properties] that begin with ssl"
            ),
            Why::Name => write!(
                f,
                "a broker's name cannot be resolved ({message}): put kafka.bootstrap_servers ({servers}) right, or the brokers' advertised.listeners, or DNS"
            ),
            Why::Unreachable if who.tokens.is_some() && token::is_lost_by(message) => write!(
                f,
                "the brokers at {servers} close the connection when they are shown the token ({message}): are they being started or stopped? If it stays so, the token may be larger than they take (their sasl.server.max.receive.size, which is 512 KiB unless set)"
            ),
            Why::Unreachable => write!(
                f,
                "no broker answers at {servers} ({message}): is kafka.bootstrap_servers right, is Kafka running, and does a firewall let us through?"
            ),
            Why::NoTopic(topic) => write!(
                f,
                "topic {topic} does not exist: kafka-smpp topics create makes it"
            ),
            Why::Properties => write!(f, "[kafka.properties] make no Kafka client: {message}"),
            Why::Lacks(lack) => {
                let remedy = lack.remedy();
                write!(
                    f,
                    "the brokers at {servers} {lack} (they said: {message}). To mend it, {remedy}"
                )
            }
            Why::NoAdmin => f.write_str(
                "with kafka.token this takes other tools: topics cannot be created from here, nor the settings of topics and groups be read. Create topics with Kafka's own tools; their settings are not checked",
            ),
            Why::Other(_) => f.write_str(message),
        }
    }
}

/// Why Kafka, or librdkafka, gave this `code` and said `message` when we were `doing` this.
pub fn explain(who: &Who, code: Option<Code>, message: &str, doing: &Doing<'_>) -> Cause {
    let raw = &*who.hides(message);
    let message = tidy(raw);
    let why = denied(code, &message, doing)
        .or_else(|| token::why(who, raw))
        .or_else(|| closed(who, raw))
        .or_else(|| connection(code, &message, doing))
        .or_else(|| missing(code, &message, doing))
        .unwrap_or(Why::Other(code));
    let message = match (message.is_empty(), code) {
        (true, Some(code)) => code.to_string(),
        _ => message,
    };
    Cause {
        who: Box::new(who.clone()),
        why,
        message,
    }
}

/// Why Kafka gave this error when we were `doing` this.
pub fn of_error(who: &Who, error: &KafkaError, doing: &Doing<'_>) -> Cause {
    let code = match error {
        // The wrapper does not give this one out.
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    let message = match error {
        KafkaError::Transaction(inner) => inner.to_string(),
        KafkaError::ClientCreation(why) => why.clone(),
        KafkaError::ClientConfig(_, why, key, value) => {
            // The value may be a secret.
            let why = if value.is_empty() {
                why.clone()
            } else {
                why.replace(value.as_str(), "...")
            };
            format!("{key}: {why}")
        }
        other => code.map_or_else(|| other.to_string(), |code| code.to_string()),
    };
    let mut cause = explain(who, code, &message, doing);
    if matches!(
        error,
        KafkaError::ClientCreation(_) | KafkaError::ClientConfig(..)
    ) {
        cause.why = Why::Properties;
    }
    if matches!(error, KafkaError::AdminOpCreation(why) if why == super::topics::NO_ADMIN) {
        cause.why = Why::NoAdmin;
    }
    cause
}

/// A right that is missing.
fn denied(code: Option<Code>, message: &str, doing: &Doing<'_>) -> Option<Why> {
    let topic = |topic: &str| Resource::Topic(topic.to_owned());
    let (operation, resource) = match (code?, doing) {
        (Code::TopicAuthorizationFailed, doing) => match doing {
            Doing::Describing(name) => ("DESCRIBE", topic(name)),
            Doing::Configs(name) => ("DESCRIBE_CONFIGS", topic(name)),
            Doing::Creating(name) => ("CREATE", topic(name)),
            Doing::Reading(name) => ("READ", topic(name)),
            Doing::Writing(name) => ("WRITE", topic(name)),
            Doing::Member { topics, .. } => match (named_topic(message), *topics) {
                (Some(name), _) => ("READ", topic(name)),
                (None, [only]) => ("READ", topic(only)),
                (None, _) => ("READ", Resource::OneOf(topics.to_vec())),
            },
            Doing::Transaction { .. } => ("WRITE", topic(named_topic(message)?)),
            Doing::Asking | Doing::GroupConfigs(_) | Doing::Idempotent => return None,
        },
        (Code::GroupAuthorizationFailed, doing) => match doing {
            Doing::Member { group, .. }
            | Doing::Transaction {
                group: Some(group), ..
            } => ("READ", Resource::Group((*group).to_owned())),
            Doing::GroupConfigs(group) => {
                ("DESCRIBE_CONFIGS", Resource::Group((*group).to_owned()))
            }
            _ => return None,
        },
        (Code::TransactionalIdAuthorizationFailed, Doing::Transaction { id, .. }) => {
            ("WRITE", Resource::TransactionalId((*id).to_owned()))
        }
        (Code::ClusterAuthorizationFailed, doing) => match doing {
            Doing::Idempotent | Doing::Writing(_) | Doing::Transaction { .. } => {
                ("IDEMPOTENT_WRITE", Resource::Cluster)
            }
            // The right to create this one topic will do.
            Doing::Creating(name) => ("CREATE", topic(name)),
            // The right on the group will do, and is less.
            Doing::GroupConfigs(group) => {
                ("DESCRIBE_CONFIGS", Resource::Group((*group).to_owned()))
            }
            _ => ("DESCRIBE", Resource::Cluster),
        },
        _ => return None,
    };
    Some(Why::Denied {
        operation,
        resource,
    })
}

/// The topic in a text of librdkafka: `Subscribed topic not available: T: ...`, or
/// `Failed to add partition "T" [0] to transaction: ...`.
fn named_topic(message: &str) -> Option<&str> {
    if let Some((_, rest)) = message.split_once("topic not available: ") {
        return Some(rest.split(':').next().unwrap_or(rest).trim());
    }
    let (_, rest) = message.split_once("add partition \"")?;
    rest.split('"').next()
}

/// The topic that may not be written to, if that is what librdkafka says in a line of this kind. It is
/// all that it says of it: the reports of the records are only that they were purged.
pub(super) fn closed_topic<'a>(kind: &str, text: &'a str) -> Option<&'a str> {
    let refused = kind == "ADDPARTS" && text.contains("authorization failed");
    named_topic(text).filter(|_| refused)
}

fn missing(code: Option<Code>, message: &str, doing: &Doing<'_>) -> Option<Why> {
    if !matches!(
        ErrorClass::of(code?),
        ErrorClass::NoTopic | ErrorClass::TopicName
    ) {
        return None;
    }
    let name = match doing {
        Doing::Describing(name)
        | Doing::Configs(name)
        | Doing::Reading(name)
        | Doing::Writing(name) => name,
        Doing::Member { topics: [only], .. } => named_topic(message).unwrap_or(only),
        _ => named_topic(message)?,
    };
    Some(Why::NoTopic(name.to_owned()))
}

/// Why a broker closes a connection, by the state that it was in.
fn closed(who: &Who, message: &str) -> Option<Why> {
    let (_, state) = message.split_once(" in state ")?;
    let state = state.split([',', ')', ' ']).next()?;
    if !message.contains("Disconnected") {
        return None;
    }
    let (tls, sasl) = (who.protocol.ends_with("SSL"), who.mechanism.is_some());
    match state {
        "SSL_HANDSHAKE" => Some(Why::NoTls),
        // Before the answer to the first question.
        "APIVERSION_QUERY" if !tls => Some(Why::WantsTls),
        "UP" if !sasl && brief(message) => Some(Why::WantsSasl),
        _ => None,
    }
}

/// Why a connection cannot be used.
fn connection(code: Option<Code>, message: &str, doing: &Doing<'_>) -> Option<Why> {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if let Some((_, offered)) = message.split_once("broker's supported mechanisms:")
        && has(&["handshake failed"])
        // The connection was lost before the answer.
        && offered.trim() != "(n/a)"
    {
        let offered = offered.trim();
        return Some(if offered.is_empty() {
            Why::NoSasl
        } else {
            Why::Mechanism(offered.replace(',', ", "))
        });
    }
    if has(&["connecting to a PLAINTEXT broker listener"]) {
        return Some(Why::NoTls);
    }
    if has(&["connecting to a SSL listener"]) {
        return Some(Why::WantsTls);
    }
    if has(&["broker might require SASL authentication"]) {
        return Some(Why::WantsSasl);
    }
    // Some of these come with the code of a connection that was lost.
    let tls = has(&["SSL routines", "SSL handshake failed"]);
    match code.filter(|_| !tls).or(tls.then_some(Code::SSL)) {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
            // That the connection was lost meanwhile is said with this code, too.
            let is_lost = has(&["supported mechanisms: (n/a)"]);
            Some(if is_lost {
                Why::Unreachable
            } else {
                Why::Login
            })
        }
        Some(Code::SSL) => Some(
            if has(&[
                "client SSL authentication",
                "certificate required",
                "alert bad certificate",
                "alert unknown ca",
                "alert certificate",
            ]) {
                Why::ClientCertificate
            } else if has(&["verif", "self-signed", "hostname", "certificate"]) {
                Why::Certificate
            } else {
                Why::Tls
            },
        ),
        Some(Code::Resolve) => Some(Why::Name),
        None if has(&["Failed to resolve"]) => Some(Why::Name),
        // Who asked for something else may have had no answer to just that.
        Some(Code::OperationTimedOut) if *doing != Doing::Asking => None,
        Some(code) if ErrorClass::of(code).is_silence() => Some(if has(&["Failed to resolve"]) {
            Why::Name
        } else {
            Why::Unreachable
        }),
        None if has(&["Connect to ", "Connection setup timed out"]) => Some(Why::Unreachable),
        _ => None,
    }
}

/// Whether a connection was closed soon after it was there.
fn brief(message: &str) -> bool {
    let after = message.split_once(" (after ").map(|(_, after)| after);
    let millis = after.and_then(|after| after.split("ms").next()?.parse::<u32>().ok());
    millis.is_some_and(|millis| millis < 2000)
}

/// What was said without what changes from one time to the next.
fn tidy(message: &str) -> String {
    let message = message.split(" (after ").next().unwrap_or(message);
    message.trim().to_owned()
}

#[cfg(test)]
mod tests;
mod token;
