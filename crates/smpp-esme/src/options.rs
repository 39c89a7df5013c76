//! How a bind is configured.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::flow::Siblings;
use super::notices::PasswordNotRead;
use super::outbind::OutbindListener;
use super::wire::Tap;
use crate::Time;
use smpp_protocol::Status;

/// What a bind may do (SMPP 3.4 §2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Submits, and receives nothing but answers.
    Transmitter,
    /// Receives only: it never has a slot.
    Receiver,
    /// Does both over one session.
    Transceiver,
}

impl Mode {
    /// Whether the bind may submit.
    pub fn submits(self) -> bool {
        self != Mode::Receiver
    }

    /// The name in the specification: `transmitter`, `receiver` or `transceiver`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Transmitter => "transmitter",
            Mode::Receiver => "receiver",
            Mode::Transceiver => "transceiver",
        }
    }
}

/// The timers of a session (SMPP 3.4 §2.9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timers {
    /// How long a connection may take to stand: name resolution, TCP and TLS. Default 5s.
    pub session_init: Time,
    /// After this long without a PDU from the SMSC, an enquire_link is sent. 0s: never.
    /// Default 30s.
    pub enquire_link: Time,
    /// A session on which no message went either way for this long is unbound and bound anew.
    /// 0s: never. Default 0s.
    pub inactivity: Time,
    /// How long the SMSC may take to answer: a bind, an enquire_link (then the session is given
    /// up) or a submit_sm (then its outcome is in doubt). Default 10s.
    pub response: Time,
    /// How long the rest of a PDU may take once it has begun to arrive. Default 10s.
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

/// When to connect again after a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reconnect {
    /// The first wait; each further failure in a row doubles it, and chance takes away up to a
    /// half. A session that ends before ten times this has passed, or that answers none of its
    /// messages, is a failure too. Default 1s.
    pub initial: Time,
    /// The longest wait. Default 1m.
    pub max: Time,
    /// The wait after the SMSC refused the bind for good, such as ESME_RINVPASWD: trying often
    /// may lock the account. Default 5m.
    pub refused: Time,
    /// The wait after ESME_RALYBND: after a crash the SMSC may count the dead session for a
    /// while. Default 5s.
    pub bound_elsewhere: Time,
    /// How often a bind that is with another of its `hosts` looks whether the first one accepts
    /// connections again; each bind at a time of its own, half of this or more. If it does, the
    /// bind sends nothing for a moment, until nothing is unanswered, and goes there; if that does
    /// not bind, it is back at once, and looks half as often. If an answer takes longer than half
    /// of timers.response, it sends on where it is, and looks half as often, too. 0s: it stays
    /// where it is until that ends. Default 5m.
    pub return_to_first: Time,
}

impl Reconnect {
    /// How long a session must live to be a success.
    pub(super) fn well(&self) -> Duration {
        let ten = self.initial.get().saturating_mul(10);
        ten.min(Duration::from_secs(60))
    }

    /// How long a new session is watched before it is trusted with more.
    pub(super) fn trial(&self) -> Duration {
        self.initial.get().min(Duration::from_secs(1))
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect {
            initial: Time::seconds(1),
            max: Time::seconds(60),
            refused: Time::seconds(300),
            bound_elsewhere: Time::seconds(5),
            return_to_first: Time::seconds(300),
        }
    }
}

/// What the system does about a connection of which nothing is heard any more. The timers of SMPP
/// notice that too, and with the defaults before the system does: enquire_link is sent after
/// timers.enquire_link, and the session is given up timers.response later. This is for sessions
/// whose enquire_link is rare or off, and for firewalls and NAT that forget a quiet connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tcp {
    /// After how long without anything from the SMSC the system asks whether it is still there
    /// (keep-alive, RFC 9293 §3.8.4), in whole seconds. 0s: never. By default timers.enquire_link
    /// and timers.response together, and 1m at least.
    #[schemars(example = "1m")]
    pub keep_alive_idle: Option<Time>,
    /// How long after a question without an answer the next one follows, in whole seconds.
    /// Default 10s.
    pub keep_alive_interval: Time,
    /// After so many questions without an answer the connection is over. On Linux user_timeout
    /// says that instead, unless it is 0s. Default 6.
    #[schemars(range(min = 1, max = 127))]
    pub keep_alive_count: u32,
    /// How long what was sent may wait for the other side's system to confirm it, or to have room
    /// for it, before the connection is over (TCP_USER_TIMEOUT, RFC 5482; on Linux only). 0s: the
    /// system decides. By default keep_alive_idle and keep_alive_count times keep_alive_interval
    /// together, so that both end a connection at the same time.
    #[schemars(example = "2m")]
    pub user_timeout: Option<Time>,
}

impl Default for Tcp {
    fn default() -> Self {
        Tcp {
            keep_alive_idle: None,
            keep_alive_interval: Time::seconds(10),
            keep_alive_count: 6,
            user_timeout: None,
        }
    }
}

/// TLS towards the SMSC. Files are read anew at every connect, so that renewed certificates are
/// picked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Whether the connection is encrypted. Default false.
    pub enabled: bool,
    /// PEM file of the authorities to trust instead of the system's own. Default none.
    #[schemars(example = "/etc/kafka-smpp/ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the certificate chain to show to the SMSC; needs key_file. Default none.
    #[schemars(example = "/etc/kafka-smpp/tls.crt")]
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's private key; needs certificate_file. Default none.
    #[schemars(example = "/etc/kafka-smpp/tls.key")]
    pub key_file: Option<PathBuf>,
    /// The name the SMSC's certificate must carry. Default the host's own.
    #[schemars(example = "smsc.example.net")]
    pub server_name: Option<String>,
    /// Whether the SMSC's certificate is verified. Turned off, anybody in between can read and
    /// change messages and learn the password. Default true.
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

/// TLS of connections that the SMSC opens for outbind. Files are read anew whenever a bind begins
/// to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutbindTls {
    /// PEM file of the certificate chain to show; with it connections are encrypted.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub key_file: Option<PathBuf>,
    /// PEM file of the authorities one of which must have signed the SMSC's certificate; without
    /// it the SMSC shows none.
    pub client_ca_file: Option<PathBuf>,
}

/// Who binds (SMPP 3.4 §4.1).
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account, at most 15 octets.
    pub system_id: String,
    /// Its password, at most 8 octets.
    pub password: SecretString,
    /// File that holds the password and nothing else: it is read anew at each bind. Where it cannot
    /// be read, [`password`](Self::password) stands.
    pub password_file: Option<PathBuf>,
    /// Whether the password may have up to 64 octets.
    pub long_password: bool,
    /// system_type, at most 12 octets, often empty.
    pub system_type: String,
    /// interface_version: 0x34 for SMPP 3.4, 0x50 for 5.0.
    pub interface_version: u8,
    /// addr_ton of the addresses served.
    pub addr_ton: u8,
    /// addr_npi of the addresses served.
    pub addr_npi: u8,
    /// address_range, at most 40 octets, usually empty.
    pub address_range: String,
}

impl Credentials {
    /// The password as it is now.
    pub(crate) fn current_password(&self) -> SecretString {
        let Some(file) = &self.password_file else {
            return self.password.clone();
        };
        let why = match std::fs::read_to_string(file) {
            Ok(text) => {
                let password = text.trim_end_matches(['\n', '\r']);
                if !password.is_empty() {
                    return password.to_owned().into();
                }
                "it is empty".to_owned()
            }
            Err(error) => error.to_string(),
        };
        PasswordNotRead {
            file: &file.display(),
            why: &why,
        }
        .emit();
        self.password.clone()
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Credentials {
            system_id: String::new(),
            password: SecretString::default(),
            password_file: None,
            long_password: false,
            system_type: String::new(),
            interface_version: 0x34,
            addr_ton: 0,
            addr_npi: 0,
            address_range: String::new(),
        }
    }
}

/// All that a bind needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bind's name in logs.
    pub name: String,
    /// `host:port` of the SMSC, in the order in which they are tried.
    pub hosts: Vec<String>,
    /// Instead of `hosts`: where the SMSC asks to bind.
    pub outbind: Option<Arc<OutbindListener>>,
    /// The addresses of this machine from which `hosts` are connected to, at most one of IPv4 and
    /// one of IPv6; the system chooses if there are none.
    pub local_address: Vec<String>,
    /// What the system does about connections of which nothing is heard.
    pub tcp: Tcp,
    /// TLS.
    pub tls: Tls,
    /// Who binds.
    pub credentials: Credentials,
    /// As what.
    pub mode: Mode,
    /// How many submit_sm may be unanswered at most, at least 1. How many are is found from what
    /// the SMSC answers.
    pub window: usize,
    /// How many may be unanswered before anything is answered.
    pub start: usize,
    /// What is known together with the other binds of the account.
    pub siblings: Siblings,
    /// What a deliver_sm or data_sm is answered with that cannot be taken now.
    pub refusal: Status,
    /// The longest PDU that is read, in octets; a longer command_length ends the session.
    pub max_frame: usize,
    /// The timers.
    pub timers: Timers,
    /// When to connect again.
    pub reconnect: Reconnect,
    /// Sees every PDU of the bind, in both directions.
    pub tap: Option<Arc<dyn Tap>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: String::new(),
            hosts: Vec::new(),
            outbind: None,
            local_address: Vec::new(),
            tcp: Tcp::default(),
            tls: Tls::default(),
            credentials: Credentials::default(),
            mode: Mode::Transceiver,
            window: 100,
            start: 2,
            siblings: Siblings::default(),
            refusal: Status::RX_T_APPN,
            max_frame: 65_536,
            timers: Timers::default(),
            reconnect: Reconnect::default(),
            tap: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn settings_read_with_units_and_fall_back_to_their_defaults() {
        let timers: Timers = toml::from_str("response = \"500ms\"").unwrap();
        assert_eq!(
            timers,
            Timers {
                response: Time::millis(500),
                ..Timers::default()
            }
        );
        let error = toml::from_str::<Reconnect>("maximum = \"1s\"").unwrap_err();
        assert!(
            error.to_string().contains("unknown field `maximum`"),
            "{error}"
        );
    }

    #[test]
    fn a_password_is_read_anew_when_it_is_needed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let credentials = Credentials {
            password: "first".to_owned().into(),
            password_file: Some(file.path().to_owned()),
            ..Credentials::default()
        };
        let now = || credentials.current_password().expose_secret().to_owned();
        assert_eq!(now(), "first", "an empty file is none");
        std::fs::write(file.path(), "second\n").unwrap();
        assert_eq!(now(), "second");
        drop(file);
        assert_eq!(now(), "first");
    }

    #[test]
    fn a_password_is_never_printed() {
        let credentials = Credentials {
            password: "s3cret".to_owned().into(),
            ..Credentials::default()
        };
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }
}
