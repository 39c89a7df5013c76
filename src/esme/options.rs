//! What can be set about a session with an SMSC.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Time;

/// The timers of a session (SMPP 3.4 v1.2 §2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timers {
    /// From the beginning of the connection to the answer to bind.
    pub session_init: Time,
    /// Silence after which an enquire_link is sent. `"0s"`: none is sent.
    pub enquire_link: Time,
    /// Time without any message after which the session is unbound. `"0s"`: never.
    pub inactivity: Time,
    /// How long a request waits for its response; after that its message is in doubt.
    pub response: Time,
    /// How long an incomplete PDU waits for its remaining octets.
    pub read: Time,
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            session_init: Time::seconds(5),
            enquire_link: Time::seconds(30),
            inactivity: Time::seconds(0),
            response: Time::seconds(10),
            read: Time::seconds(10),
        }
    }
}

/// How long to wait before binding again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reconnect {
    /// The first wait after a lost or failed connection; it doubles with each failure.
    pub initial: Time,
    /// The longest such wait.
    pub max: Time,
    /// The wait after a refusal that another attempt does not cure, such as
    /// ESME_RINVPASWD. Trying fast would get the account locked.
    pub refused: Time,
    /// The wait after ESME_RALYBND: the SMSC still counts an earlier bind.
    pub bound_elsewhere: Time,
}

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect {
            initial: Time::seconds(1),
            max: Time::seconds(60),
            refused: Time::seconds(300),
            bound_elsewhere: Time::seconds(5),
        }
    }
}

/// TLS towards the SMSC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Whether the connection is encrypted.
    pub enabled: bool,
    /// PEM file with the certificates to trust instead of the system's.
    #[schemars(example = "/etc/kafka-smpp/ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate, if the SMSC asks for one.
    #[schemars(example = "/etc/kafka-smpp/tls.crt")]
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the private key of our certificate.
    #[schemars(example = "/etc/kafka-smpp/tls.key")]
    pub key_file: Option<PathBuf>,
    /// The name the SMSC's certificate must carry, where it is not the host's.
    #[schemars(example = "smsc.example.net")]
    pub server_name: Option<String>,
    /// Whether the SMSC's certificate is checked. `false` encrypts towards anybody.
    pub verify: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Tls {
            enabled: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            server_name: None,
            verify: true,
        }
    }
}
