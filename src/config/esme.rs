//! Settings of an ESME: an account with an SMSC.

use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::settings::{MessageIds, Receipts, Segmentation, Vendor, masked};
use smpp_esme::options::{Reconnect, Tcp, Timers, Tls};
use smpp_protocol::text::table::Table;

/// An account with an SMSC, and the outbound topics whose messages go there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Esme {
    /// Its name in events, logs and metrics: letters, digits, `-`, `_`, `.`; unique here, and
    /// never to be changed, because receipts find their messages by it.
    pub name: String,
    /// Its outbound topics. The order is the priority: what waits in the first is sent before
    /// what waits in the second. The partitions of the first are leases: whoever holds one
    /// opens its binds, so the first decides how many binds there are. The others must have
    /// as many partitions.
    pub outbound: Vec<String>,
    /// For a receive-only ESME, instead of `outbound`: a topic that stays empty, whose
    /// partitions are the leases.
    #[schemars(example = "sms.acme.lease")]
    pub lease_topic: Option<String>,
    /// The SMSC's addresses, `host:port`, in the order in which they are tried. An IPv6 address
    /// stands in brackets, with its zone if it needs one: `[fe80::1%eth0]:2775`.
    pub hosts: Vec<String>,
    /// The address of this machine from which `hosts` are connected to, for SMSCs that admit known
    /// addresses; or two, one of IPv4 and one of IPv6. An IPv6 address has no brackets here, and its
    /// zone if it needs one: `fe80::1%eth0`. By default the system chooses. It must be an address
    /// of this machine: behind NAT or an egress gateway leave it out. Another one for each process:
    /// `KAFKA_SMPP__ESME__ACME__LOCAL_ADDRESS` in its environment.
    pub local_address: Vec<String>,
    /// Instead of `hosts`: the SMSC connects here and asks for the bind by outbind.
    pub outbind: Outbind,
    /// The account's name with the SMSC, at most 15 octets (SMPP 3.4 §5.2.1).
    pub system_id: String,
    /// The account's password, at most 8 octets (SMPP 3.4 §5.2.2; see `long_password`). Better in
    /// the environment or in `password_file`.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub password: SecretString,
    /// File that holds the password, instead of `password`; a line feed at its end does not
    /// count, and a blank there is an error. It is read anew at each bind.
    #[schemars(example = "/run/secrets/acme-password")]
    pub password_file: Option<PathBuf>,
    /// Whether the password may be longer than SMPP allows, up to 64 octets: some SMSCs take it.
    pub long_password: bool,
    /// The system_type in bind, at most 12 octets (SMPP 3.4 §5.2.3).
    pub system_type: String,
    /// The version of SMPP named in bind: `3.3`, `3.4` or `5.0`. With 3.3 no optional parameters are
    /// sent: long messages become parts with a user data header, and records that need parameters
    /// are refused. 3.3 knows no transceiver: use `bind = "pair"` if the SMSC minds.
    pub interface_version: InterfaceVersion,
    /// The type of number in bind (SMPP 3.4 §5.2.5).
    pub addr_ton: u8,
    /// The numbering plan in bind (SMPP 3.4 §5.2.6).
    pub addr_npi: u8,
    /// The addresses served, at most 40 octets (SMPP 3.4 §5.2.7). Most SMSCs ignore it.
    pub address_range: String,
    /// How it binds: `transceiver`, `transmitter`, `receiver`, or `pair` (a transmitter and a
    /// receiver side by side).
    pub bind: BindMode,
    /// How many binds there are: `per_partition` of the first outbound topic (fixed by the
    /// topic, however many processes run), or `per_instance` (per process).
    pub binds: Binds,
    /// How many binds the account may have in the whole deployment; a pair counts as two. A
    /// topic whose partitions need more is refused.
    // The most is more than any SMSC gives to one account.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_binds: u32,
    /// How many requests of one bind may be without their response at most. How many are is found
    /// from what the SMSC answers: few after a new bind, as many as it copes with after that.
    #[schemars(range(min = 1, max = 10_000))]
    pub window: u32,
    /// How many requests a new session may have without their response before the first response
    /// has come, and one that was at rest: so many are in doubt if it is dead.
    #[schemars(range(min = 1, max = 10_000))]
    pub slow_start: u32,
    /// No longer used: what waits for Kafka is bounded by `inbound.buffer`, in octets, and not by
    /// how many deliver_sm of one bind are unacknowledged. Take it out.
    #[schemars(extend("deprecated" = true))]
    pub inbound_window: Option<u32>,
    /// What a deliver_sm is answered with that cannot be taken now (see `[inbound]`), by name or
    /// as a number such as `0x64`. ESME_RX_T_APPN is what SMPP has for it (3.4 §5.1.3). Ask which
    /// statuses make this SMSC deliver a message again: some take that one for final, and come again
    /// after ESME_RMSGQFUL or ESME_RTHROTTLED.
    pub refusal_status: String,
    /// How many PDUs per second the account may send in the whole deployment. 0: no limit.
    pub max_tps: f64,
    /// How many PDUs per second one bind may send. 0: no limit.
    pub max_tps_per_bind: f64,
    /// How this SMSC writes message ids: `text`, `case_insensitive`, `decimal` or
    /// `hex`, in responses and in receipts. Where one side is hexadecimal and the other
    /// decimal, name both: ids are then compared by value.
    pub message_id: MessageIds,
    /// How this SMSC writes receipts, where that is unusual.
    pub receipt: Receipts,
    /// Names of the vendor's own parameters and codes.
    pub vendor: Vendor,
    /// The sender of messages that name none: a number, or a name of at most 11 characters. A
    /// longer one, of up to 20, needs `source_ton` too.
    #[schemars(example = "12345")]
    pub source: Option<String>,
    /// Type of number of `source`. By default it follows from how the address looks.
    #[schemars(example = 5)]
    pub source_ton: Option<u8>,
    /// Numbering plan of `source`. By default it follows from how the address looks.
    #[schemars(example = 0)]
    pub source_npi: Option<u8>,
    /// The service_type of messages that name none, at most 5 octets (SMPP 3.4 §5.2.11).
    pub service_type: String,
    /// The registered_delivery of messages that name none (SMPP 3.4 §5.2.17): 0 asks for no
    /// receipt, 1 for one whatever the outcome, 2 for one on failure.
    pub registered_delivery: u8,
    /// The SMSC's default alphabet: what data_coding 0 means, in both directions (SMPP 3.4
    /// §5.2.19). `gsm7`, `latin1`, `ascii`, `latin9`, `utf8`, ... By default `encoding`, if that
    /// has no data_coding of its own, else GSM 03.38. A message of this alphabet has room for 140
    /// octets (160 septets of GSM). An SMSC that rewrites Latin-1 to GSM may take 160 characters,
    /// and loses those that GSM lacks: there `segmentation.method = "payload"` leaves the cutting
    /// to it, and `encoding = "ucs2"` in a record keeps such characters.
    #[schemars(example = &"latin1")]
    pub alphabet: Option<String>,
    /// Instead of `alphabet`, a table of one octet a character in the form of Unicode's mapping
    /// files: lines such as `0x80 U+20AC`.
    #[schemars(example = "/etc/kafka-smpp/acme.txt")]
    pub alphabet_file: Option<PathBuf>,
    /// The encoding of messages that name none, where it has every character of the text; else
    /// they are written in UCS-2. By default the SMSC's default alphabet.
    #[schemars(example = &"ucs2")]
    pub encoding: Option<String>,
    /// National languages whose tables the GSM alphabet may be shifted to where that makes fewer
    /// parts than UCS-2 (3GPP TS 23.038 §6.2.1.2): `turkish`, `spanish`, `portuguese`, `bengali`,
    /// `gujarati`, `hindi`, `kannada`, `malayalam`, `oriya`, `punjabi`, `tamil`, `telugu`, `urdu`.
    /// Not every phone knows them.
    pub languages: Vec<String>,
    /// How texts longer than one short message are sent. A message can say otherwise in its own
    /// `segmentation`.
    pub segmentation: Segmentation,
    /// The timers of a session.
    pub timers: Timers,
    /// How long to wait before binding again.
    pub reconnect: Reconnect,
    /// What the system does about a connection of which nothing is heard.
    pub tcp: Tcp,
    /// TLS towards the SMSC.
    pub tls: Tls,
    /// What `alphabet_file` holds, as long as the process lives.
    #[serde(skip)]
    pub table: Option<&'static Table>,
}

impl Default for Esme {
    fn default() -> Self {
        Esme {
            name: String::new(),
            outbound: Vec::new(),
            lease_topic: None,
            hosts: Vec::new(),
            local_address: Vec::new(),
            outbind: Outbind::default(),
            system_id: String::new(),
            password: SecretString::default(),
            password_file: None,
            long_password: false,
            system_type: String::new(),
            interface_version: InterfaceVersion::default(),
            addr_ton: 0,
            addr_npi: 0,
            address_range: String::new(),
            bind: BindMode::default(),
            binds: Binds::default(),
            max_binds: 10,
            window: 100,
            slow_start: 2,
            inbound_window: None,
            refusal_status: "ESME_RX_T_APPN".into(),
            max_tps: 0.0,
            max_tps_per_bind: 0.0,
            message_id: MessageIds::default(),
            receipt: Receipts::default(),
            vendor: Vendor::default(),
            source: None,
            source_ton: None,
            source_npi: None,
            service_type: String::new(),
            registered_delivery: 1,
            alphabet: None,
            alphabet_file: None,
            encoding: None,
            languages: Vec::new(),
            segmentation: Segmentation::default(),
            timers: Timers::default(),
            reconnect: Reconnect::default(),
            tcp: Tcp::default(),
            tls: Tls::default(),
            table: None,
        }
    }
}

impl Esme {
    /// The topic whose partitions are the leases on its binds: the first outbound topic, or
    /// the lease topic of a receive-only ESME.
    pub fn leases(&self) -> Option<&str> {
        self.outbound
            .first()
            .or(self.lease_topic.as_ref())
            .map(String::as_str)
    }

    /// How many connections one bind makes: two for a pair.
    pub fn sessions_per_bind(&self) -> u32 {
        u32::try_from(self.bind.modes().len()).unwrap_or(u32::MAX)
    }

    /// How many partitions of the lease topic `max_binds` allows; `None` where the number of
    /// binds does not depend on partitions.
    pub fn max_partitions(&self) -> Option<u32> {
        match self.binds {
            Binds::PerPartition(n) => {
                Some(self.max_binds / n.saturating_mul(self.sessions_per_bind()).max(1))
            }
            Binds::PerInstance(_) => None,
        }
    }
}

/// Sessions that the SMSC begins (SMPP 3.4 §2.2.1): it connects to us and sends outbind, and we
/// bind over that connection, as a receiver or transceiver. Only processes that hold a partition
/// and have a bind free listen.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Outbind {
    /// The address to listen on, `host:port`.
    #[schemars(example = "127.0.0.1:2776")]
    pub listen: Option<String>,
    /// The system_id that the outbind must have, at most 15 octets; any by default.
    pub system_id: String,
    /// The password that the outbind must have, at most 8 octets; any by default.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub password: SecretString,
    /// File that holds the password, instead of `password`.
    #[schemars(example = "/run/secrets/outbind-password")]
    pub password_file: Option<PathBuf>,
    /// IP addresses from which connections are taken; from any by default.
    #[schemars(example = &["192.0.2.7"])]
    pub from: Vec<IpAddr>,
    /// PEM file of the certificate chain to show; with it connections are encrypted.
    #[schemars(example = "/etc/kafka-smpp/tls.crt")]
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    #[schemars(example = "/etc/kafka-smpp/tls.key")]
    pub key_file: Option<PathBuf>,
    /// PEM file of authorities one of which must have signed the SMSC's certificate; by default
    /// the SMSC shows none.
    #[schemars(example = "/etc/kafka-smpp/ca.pem")]
    pub client_ca_file: Option<PathBuf>,
}

/// How an ESME binds (SMPP 3.4 §2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BindMode {
    /// One session both ways.
    #[default]
    Transceiver,
    /// Sends only.
    Transmitter,
    /// Receives only.
    Receiver,
    /// A transmitter and a receiver side by side.
    Pair,
}

impl BindMode {
    /// Whether receipts and inbound messages arrive.
    pub fn receives(self) -> bool {
        self != BindMode::Transmitter
    }
}

/// How many binds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Binds {
    /// For each partition of the first outbound topic.
    PerPartition(u32),
    /// For each process.
    PerInstance(u32),
}

impl Default for Binds {
    fn default() -> Self {
        Binds::PerPartition(1)
    }
}

/// A version of SMPP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InterfaceVersion {
    /// SMPP 3.3.
    #[serde(rename = "3.3")]
    V33,
    /// SMPP 3.4.
    #[default]
    #[serde(rename = "3.4")]
    V34,
    /// SMPP 5.0.
    #[serde(rename = "5.0")]
    V50,
}

impl InterfaceVersion {
    /// As `interface_version` on the wire (SMPP 3.4 §5.2.4).
    pub fn octet(self) -> u8 {
        match self {
            InterfaceVersion::V33 => 0x33,
            InterfaceVersion::V34 => 0x34,
            InterfaceVersion::V50 => 0x50,
        }
    }
}
