//! Where the process can be looked at and steered.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::settings::masked;

/// Where the process can be looked at: `/live`, `/ready`, `/metrics`, `/status` and a page for people.
/// Whoever reaches the address may read, and numbers of phones or texts are never there; steering
/// needs the token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// The address to listen on, `host:port`; nowhere by default. In a pod `0.0.0.0:9464`, with a
    /// network policy; elsewhere `127.0.0.1:9464`.
    #[schemars(example = "127.0.0.1:9464")]
    pub listen: Option<String>,
    /// Names by which browsers may ask for it. Left out, requests from this machine itself (as of a
    /// browser, or of a proxy beside it) may name an address or a name without a dot, such as
    /// `localhost`, and others may name anything; with it, all of them one of these besides.
    #[schemars(example = ["sms.example.net"])]
    pub hosts: Vec<String>,
    /// Whoever has this token may steer (`Authorization: Bearer ...`), at least 16 characters; by
    /// default nobody may.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub token: SecretString,
    /// File that holds the token, instead of `token`.
    #[schemars(example = "/run/secrets/http-token")]
    pub token_file: Option<PathBuf>,
    /// PEM file of the certificate chain to show; with it connections are encrypted. It is read
    /// anew when it changes.
    #[schemars(example = "/etc/kafka-smpp/tls.crt")]
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    #[schemars(example = "/etc/kafka-smpp/tls.key")]
    pub key_file: Option<PathBuf>,
}
