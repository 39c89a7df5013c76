//! How a schema registry is reached, and what it calls schemas.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::settings::{Time, masked};

/// The schema registry (Confluent's, or one that answers like it), for topics whose format is
/// `avro` or `json_schema`. Nothing is asked of it for a record: a schema is fetched once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SchemaRegistry")]
pub struct Options {
    /// Its addresses, such as `["https://registry.example.net"]`: when one does not answer,
    /// the next is asked. Empty: there is none.
    pub urls: Vec<String>,
    /// The user name for basic authentication. Empty: none.
    pub username: String,
    /// The password for it. Better in the environment or in `password_file`.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub password: SecretString,
    /// File that holds the password, instead of `password`; a line feed at its end does not
    /// count.
    #[schemars(example = "/run/secrets/registry-password")]
    pub password_file: Option<PathBuf>,
    /// A bearer token, instead of a user name and a password.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub token: SecretString,
    /// File that holds the token, instead of `token`.
    #[schemars(example = "/run/secrets/registry-token")]
    pub token_file: Option<PathBuf>,
    /// How long one answer may take.
    pub timeout: Time,
    /// The longest wait before it is asked again after a failure. Waits begin at 200ms and
    /// double.
    pub retry_max: Time,
    /// What the subjects of schemas are called: `topic_name` (`sms.responses-value`),
    /// `record_name` (`kafka_smpp.SubmitSmResp`), or `topic_record_name`
    /// (`sms.responses-kafka_smpp.SubmitSmResp`).
    pub subjects: Subjects,
    /// Whether schemas that are missing are registered when the connector starts. Better
    /// `kafka-smpp schemas register`, which says what it does.
    pub auto_register: bool,
    /// TLS, for addresses that begin with `https`.
    pub tls: Tls,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            urls: Vec::new(),
            username: String::new(),
            password: SecretString::default(),
            password_file: None,
            token: SecretString::default(),
            token_file: None,
            timeout: Time::seconds(5),
            retry_max: Time::seconds(30),
            subjects: Subjects::default(),
            auto_register: false,
            tls: Tls::default(),
        }
    }
}

/// What the subjects of schemas are called. The names are those of other clients' strategies:
/// TopicNameStrategy, RecordNameStrategy and TopicRecordNameStrategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subjects {
    /// After the topic: one schema for all that is on it.
    #[default]
    TopicName,
    /// After the record: the same on every topic.
    RecordName,
    /// After both: several kinds of records on a topic, each with its schema.
    TopicRecordName,
}

/// TLS towards the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SchemaRegistryTls")]
pub struct Tls {
    /// PEM file of the authorities to trust instead of the system's own.
    #[schemars(example = "/etc/kafka-smpp/ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the certificate chain to show; needs key_file.
    #[schemars(example = "/etc/kafka-smpp/tls.crt")]
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's private key; needs certificate_file.
    #[schemars(example = "/etc/kafka-smpp/tls.key")]
    pub key_file: Option<PathBuf>,
    /// Whether the registry's certificate is verified. Turned off, anybody in between can
    /// learn the password and give wrong schemas.
    pub verify: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Tls {
            ca_file: None,
            certificate_file: None,
            key_file: None,
            verify: true,
        }
    }
}
