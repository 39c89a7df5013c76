//! What a simulated SMSC is told before it starts.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::id::MessageIds;
use smpp_protocol::{MessageState, Status};
use written_units::Time;

/// Everything a simulated SMSC can be told. The default answers anybody at once, on a free port of
/// the loopback interface, and sends a DELIVRD receipt one second later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where to listen, as [`listen_address`] reads it; port 0 takes a free one, which
    /// [`Handle::addr`](super::Handle::addr) tells.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// The system_id in bind responses (at most 15 octets).
    pub system_id: String,
    /// Who may bind. Empty: anybody, with any password.
    pub accounts: Vec<Account>,
    /// Binds an account may have at once; beyond it ESME_RALYBND. 0: no limit.
    pub max_binds: usize,
    /// For how long the bind of a connection that ended without unbind still counts.
    pub bind_linger: Time,
    /// submit_sm a second an account may send; beyond it ESME_RTHROTTLED. 0: no limit.
    pub max_tps: u32,
    /// Unanswered submit_sm a session may have; beyond it `window_status`. 0: no limit.
    pub window: usize,
    /// What a submit_sm beyond the window is answered: ESME_RMSGQFUL, which says that too much
    /// waits, and not, as ESME_RTHROTTLED, that it comes too fast.
    pub window_status: Refusal,
    /// Unanswered deliver_sm this side keeps on a session. 0: no limit.
    pub deliver_window: usize,
    /// A deliver_sm that is not answered for so long counts as refused, and its place in the window
    /// is free again. 0: it is waited for as long as the session lives.
    pub deliver_timeout: Time,
    /// From a submit_sm to its response.
    pub response_delay: Spread,
    /// submit_sm a second that a session answers, one after the other and in order, as a serial
    /// server does; the others are accepted and wait. 0: all at once.
    pub answer_rate: f64,
    /// congestion_state (SMPP 5.0 §4.8.4.18) in responses to ESMEs that bind with SMPP 5.0.
    pub congestion: Option<Congestion>,
    /// How message_ids look in responses and in receipts.
    pub message_ids: MessageIds,
    /// Delivery receipts.
    pub receipts: Receipts,
    /// Messages of mobile subscribers to the ESME.
    pub inbound: Inbound,
    /// ESMEs that are asked to bind, by outbind, until they do.
    pub outbind: Vec<Outbind>,
    /// The version of SMPP that is spoken.
    pub version: Version,
    /// How many accepted messages can be asked about, cancelled and replaced: the newest.
    pub keep: usize,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// Sends enquire_link after this much silence; a peer silent for as long again is
    /// disconnected. 0: never.
    pub enquire_link: Time,
    /// Appends what happens to this file, one JSON object a line (see [`Entry`](super::Entry)).
    pub journal: Option<PathBuf>,
    /// How many accepted messages [`Handle::journal`](super::Handle::journal) keeps in memory.
    pub remember: usize,
    /// Makes all chances repeatable.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            system_id: "smsc".into(),
            accounts: Vec::new(),
            max_binds: 0,
            bind_linger: Time::seconds(0),
            max_tps: 0,
            window: 0,
            window_status: Refusal(Status::RMSGQFUL),
            deliver_window: 50,
            deliver_timeout: Time::seconds(0),
            response_delay: Spread::default(),
            answer_rate: 0.0,
            congestion: None,
            message_ids: MessageIds::default(),
            receipts: Receipts::default(),
            inbound: Inbound::default(),
            outbind: Vec::new(),
            version: Version::default(),
            keep: 10_000,
            faults: Vec::new(),
            enquire_link: Time::seconds(0),
            journal: None,
            remember: 1_000_000,
            seed: None,
        }
    }
}

impl Options {
    /// What of it cannot be, as a sentence for people.
    pub(super) fn check(&self) -> Result<(), String> {
        self.message_ids.check()?;
        let rates = [
            ("answer_rate", self.answer_rate),
            ("inbound.rate", self.inbound.rate),
            ("inbound.alert_rate", self.inbound.alert_rate),
        ];
        for (name, rate) in rates {
            if !rate.is_finite() || rate < 0.0 {
                return Err(format!(
                    "{name} = {rate}: a rate is a number a second from 0, such as 3 or 0.5"
                ));
            }
        }
        Ok(())
    }
}

/// A command_status that is an error, by its name or number: `ESME_RMSGQFUL`, `0x00000401`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Refusal(pub Status);

impl FromStr for Refusal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = Status::from_name(text).filter(|status| *status != Status::ROK);
        status.map(Refusal).ok_or(format!(
            "{text:?} is no command_status of an error: write such as ESME_RMSGQFUL, \
             ESME_RTHROTTLED or 0x00000401"
        ))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What congestion_state says, 0 (idle) to 100 (congested), of which 80 to 89 is best: a number, or
/// `load`, how full the window is, how much of a second the rate is ahead, or how much of ten
/// seconds the answers at `answer_rate` are behind, whichever is most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Congestion {
    /// Always this.
    Always(u8),
    /// By load.
    Load,
}

impl FromStr for Congestion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("load", _) => Ok(Congestion::Load),
            (_, Ok(state @ 0..=100)) => Ok(Congestion::Always(state)),
            _ => Err(format!(
                "{text:?} is no congestion_state: write a number from 0 to 100, or load"
            )),
        }
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Congestion::Always(state) => state.fmt(f),
            Congestion::Load => f.write_str("load"),
        }
    }
}

/// When a receipt or an inbound message that the ESME refused is offered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Retry {
    /// `5s`: so much later.
    After(Time),
    /// `0s`: on the next bind.
    NextBind,
    /// `never`: it is lost, as with many SMSCs.
    Never,
}

impl From<Time> for Retry {
    fn from(time: Time) -> Self {
        match time.get() {
            Duration::ZERO => Retry::NextBind,
            _ => Retry::After(time),
        }
    }
}

impl FromStr for Retry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Retry::Never),
            text => text.parse::<Time>().map(Retry::from).map_err(|error| {
                format!("{error}; or \"never\" for an SMSC that offers nothing twice")
            }),
        }
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Retry::After(time) => time.fmt(f),
            Retry::NextBind => f.write_str("0s"),
            Retry::Never => f.write_str("never"),
        }
    }
}

/// Inbound messages that come all at once: `5000` as soon as the account can receive, once;
/// `5000/60s` the same, and again every 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Burst {
    /// How many.
    pub count: u32,
    /// How often, if again.
    pub every: Option<Time>,
}

impl FromStr for Burst {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (count, every) = match text.split_once('/') {
            Some((count, every)) => (count, Some(every.parse::<Time>()?)),
            None => (text, None),
        };
        match (count.parse(), every.is_some_and(|t| t.get().is_zero())) {
            (Ok(count @ 1..), false) => Ok(Burst { count, every }),
            _ => Err(format!(
                "{text:?} is no burst: write a number of messages from 1, such as 5000, or \
                 5000/60s for so many every 60 s"
            )),
        }
    }
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.every {
            Some(every) => write!(f, "{}/{every}", self.count),
            None => self.count.fmt(f),
        }
    }
}

/// Which numbers stand in receipts. Appendix B of SMPP 3.4 has the message's recipient as source
/// and its sender as destination; SMSCs have much else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parties {
    /// The recipient as source, the sender as destination.
    #[default]
    Standard,
    /// As in the submit_sm: the sender as source, the recipient as destination.
    Swapped,
    /// The recipient without its country code (two digits), with a leading 0 and TON 2.
    National,
    /// The last seven digits of the recipient.
    Cut,
    /// The recipient with its last four digits as `*`.
    Masked,
    /// A name in place of the recipient, with TON 5.
    Alphanumeric,
    /// Neither number.
    Missing,
}

/// Somebody who may bind. On the command line `SYSTEM_ID` or `SYSTEM_ID:PASSWORD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// system_id of the bind.
    pub system_id: String,
    /// password of the bind; none: any will do.
    pub password: Option<String>,
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (system_id, password) = match text.split_once(':') {
            Some((system_id, password)) => (system_id, Some(password.to_owned())),
            None => (text, None),
        };
        if system_id.is_empty() {
            return Err(format!(
                "account {text:?} has no system_id: write SYSTEM_ID:PASSWORD"
            ));
        }
        Ok(Account {
            system_id: system_id.to_owned(),
            password,
        })
    }
}

/// The address to listen on in `ADDRESS:PORT`. An IPv6 address stands in brackets, perhaps with a
/// zone, the name or number of a network interface of this machine: `[fe80::1%eth0]:2775`.
///
/// # Errors
///
/// What is something else, with what to write.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    // The standard library reads numbers as zones, and no names.
    if let Ok(address) = text.parse() {
        return is_whole(address);
    }
    let in_brackets = text.starts_with('[');
    let (name, port) = host_and_port(text).filter(|_| in_brackets).ok_or(ADDRESS)?;
    let (address, zone) = name.split_once('%').ok_or(ADDRESS)?;
    if zone.is_empty() || address.parse::<Ipv6Addr>().is_err() {
        return Err(ADDRESS.into());
    }
    let found = (name, port).to_socket_addrs().ok();
    found.and_then(|mut found| found.next()).ok_or_else(|| {
        format!(
            "{zone:?} behind '%' must be a network interface of this machine: ip link lists them"
        )
    })
}

const ADDRESS: &str =
    "write ADDRESS:PORT, such as \"127.0.0.1:2775\", \"[::1]:2775\" or \"[fe80::1%eth0]:2775\"";

fn is_whole(address: SocketAddr) -> Result<SocketAddr, String> {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            let (ip, port) = (v6.ip(), v6.port());
            Err(format!(
                "a link-local address is one of each network interface: name the interface, such as \"[{ip}%eth0]:{port}\""
            ))
        }
        _ => Ok(address),
    }
}

fn listen<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    listen_address(&text).map_err(|wrong| serde::de::Error::custom(format!("{text:?}: {wrong}")))
}

/// Name (an IPv6 address without its brackets) and port of `host:port`.
pub(super) fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let name = bare.unwrap_or(host);
    (!name.is_empty()).then_some((name, port.parse().ok()?))
}

/// An ESME that is asked to bind. On the command line `HOST:PORT` or `PASSWORD@HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbind {
    /// Where it listens, `host:port`.
    pub address: String,
    /// The password of the outbind, at most 8 octets; its system_id is that of bind responses.
    #[serde(default)]
    pub password: String,
}

impl FromStr for Outbind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (password, address) = text.rsplit_once('@').unwrap_or(("", text));
        if password.len() > 8 {
            return Err("the password of an outbind has at most 8 octets".into());
        }
        if host_and_port(address).is_none() {
            return Err(format!(
                "{address:?} is no address: write HOST:PORT or PASSWORD@HOST:PORT"
            ));
        }
        // What no address to listen on can be leads nowhere either: zones above all.
        if address.starts_with('[') {
            listen_address(address).map_err(|wrong| format!("{address:?}: {wrong}"))?;
        }
        Ok(Outbind {
            address: address.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// A version of SMPP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// SMPP 3.3: no transceivers, no optional parameters.
    #[serde(rename = "3.3")]
    V33,
    /// SMPP 3.4.
    #[serde(rename = "3.4")]
    V34,
    /// SMPP 5.0: broadcasts too.
    #[default]
    #[serde(rename = "5.0")]
    V50,
}

impl Version {
    /// As `sc_interface_version` (SMPP 3.4 §5.3.2.25).
    pub const fn octet(self) -> u8 {
        match self {
            Version::V33 => 0x33,
            Version::V34 => 0x34,
            Version::V50 => 0x50,
        }
    }
}

/// Delivery receipts (SMPP 3.4 appendix B), sent where registered_delivery asks for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Receipts {
    /// From the acceptance of a message to its receipt.
    pub delay: Spread,
    /// How messages end, with weights: `DELIVRD=95,UNDELIV=4,NONE=1`.
    pub outcomes: Outcomes,
    /// Whether the receipt is written out in short_message.
    pub text: bool,
    /// Whether the TLVs receipted_message_id and message_state (SMPP 3.4 §5.3.2.12, §5.3.2.35) are
    /// there.
    pub tlvs: bool,
    /// After this long a receipt (or inbound message) refused with a command_status goes out
    /// again. `0s`: only on the next bind; `never`.
    pub retry: Retry,
    /// Which numbers they carry.
    pub numbers: Parties,
    /// Sends a receipt also where registered_delivery asks for none.
    pub always: bool,
}

impl Default for Receipts {
    fn default() -> Self {
        Receipts {
            delay: Spread::constant(Duration::from_secs(1)),
            outcomes: Outcomes::default(),
            text: true,
            tlvs: true,
            retry: Retry::After(Time::seconds(5)),
            numbers: Parties::default(),
            always: false,
        }
    }
}

/// Messages of mobile subscribers, made up and sent to every account that can receive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbound {
    /// Messages a second to each account with a receiver or transceiver. 0: none.
    pub rate: f64,
    /// alert_notification a second to each of them: the subscriber can be reached again. 0: none.
    pub alert_rate: f64,
    /// So many at once.
    pub burst: Option<Burst>,
    /// Their texts, in turn; `{n}` stands for the message's number, counted from 1.
    pub texts: Vec<String>,
    /// Who sends them.
    pub source: String,
    /// The number they are sent to.
    pub destination: String,
}

impl Default for Inbound {
    fn default() -> Self {
        Inbound {
            rate: 0.0,
            alert_rate: 0.0,
            burst: None,
            texts: vec!["STOP".into(), "Ja, gerne".into(), "Спасибо!".into()],
            source: "447700900123".into(),
            destination: "80800".into(),
        }
    }
}

/// A length of time, or a range to draw one from: `200ms`, `1s..5s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Spread {
    least: Duration,
    most: Duration,
}

impl Spread {
    /// Always `time`.
    pub const fn constant(time: Duration) -> Self {
        Spread {
            least: time,
            most: time,
        }
    }

    /// One of the times in the range.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        match self.most.saturating_sub(self.least) {
            Duration::ZERO => self.least,
            width => self.least + width.mul_f64(rng.f64()),
        }
    }
}

impl FromStr for Spread {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let (least, most) = (least.parse::<Time>()?.get(), most.parse::<Time>()?.get());
        if most < least {
            return Err(format!(
                "range {text:?} ends before it begins: write the shorter time first"
            ));
        }
        Ok(Spread { least, most })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least == self.most {
            true => write!(f, "{}", Time(self.least)),
            false => write!(f, "{}..{}", Time(self.least), Time(self.most)),
        }
    }
}

/// How messages end: final states with weights, `DELIVRD=95,UNDELIV=4,NONE=1`; a state without a
/// weight has weight 1. NONE is a message whose receipt never comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Outcomes {
    weights: Vec<(Option<MessageState>, u32)>,
    total: u32,
}

impl Outcomes {
    /// Every message ends in `state`.
    pub fn always(state: MessageState) -> Self {
        Outcomes {
            weights: vec![(Some(state), 1)],
            total: 1,
        }
    }

    /// The fate of one message; `None` is silence.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Option<MessageState> {
        if let [(only, _)] = self.weights[..] {
            return only;
        }
        let mut left = rng.u32(..self.total);
        for (state, weight) in &self.weights {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *state,
            }
        }
        None
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Outcomes::always(MessageState::Delivered)
    }
}

impl FromStr for Outcomes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = Vec::new();
        for item in text.split(',') {
            let (name, weight) = item.trim().split_once('=').unwrap_or((item.trim(), "1"));
            let state = match name {
                "NONE" => None,
                name => Some(MessageState::from_stat(name).ok_or_else(|| {
                    format!("unknown outcome {name:?}: use such as DELIVRD, UNDELIV, EXPIRED, REJECTD or NONE")
                })?),
            };
            let weight: u32 = weight.parse().map_err(|_| {
                format!("weight {weight:?} of {name} is not a whole number from 0 to 4294967295")
            })?;
            weights.push((state, weight));
        }
        let total = weights
            .iter()
            .try_fold(0u32, |sum, (_, weight)| sum.checked_add(*weight));
        match total {
            Some(total @ 1..) => Ok(Outcomes { weights, total }),
            _ => Err(format!(
                "weights in {text:?} must add up to between 1 and 4294967295"
            )),
        }
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (state, weight)) in self.weights.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let name = state.map_or("NONE", MessageState::stat);
            write!(f, "{comma}{name}={weight}")?;
        }
        Ok(())
    }
}

/// Types written as one string in configuration too.
macro_rules! written_as_text {
    ($($type:ty),+) => {$(
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    )+};
}

written_as_text!(Spread, Outcomes, Fault, Refusal, Congestion, Retry, Burst);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_may_have_a_zone() {
        for (text, wanted) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:2775", "[::1]:2775"),
            ("[fe80::1%1]:2775", "[fe80::1%1]:2775"),
            // The loopback interface, which is the first one everywhere.
            ("[fe80::1%lo]:0", "[fe80::1%1]:0"),
        ] {
            let address = listen_address(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(wanted), "{text}");
            let options: Options = toml::from_str(&format!("listen = {text:?}")).unwrap();
            assert_eq!(options.listen.to_string(), wanted);
        }
        for (text, help) in [
            ("2775", "write ADDRESS:PORT"),
            ("localhost:2775", "write ADDRESS:PORT"),
            ("fe80::1%lo:2775", "write ADDRESS:PORT"),
            ("[fe80::1%]:2775", "write ADDRESS:PORT"),
            ("[fe80::1%lo]", "write ADDRESS:PORT"),
            ("[fe80::1]:2775", "\"[fe80::1%eth0]:2775\""),
            ("[fe80::1%nowhere0]:2775", "\"nowhere0\" behind '%'"),
        ] {
            let told = listen_address(text).unwrap_err();
            assert!(told.contains(help), "{text}: {told}");
            let wrong = toml::from_str::<Options>(&format!("listen = {text:?}")).unwrap_err();
            let told = wrong.to_string();
            assert!(told.contains(help) && told.contains(text), "{told}");
            if text.starts_with('[') && text.contains("]:") {
                let told = format!("secret@{text}").parse::<Outbind>().unwrap_err();
                assert!(told.contains(help) && told.contains(text), "{told}");
            }
        }
    }

    #[test]
    fn accounts_are_written_as_on_a_command_line() {
        let account: Account = "smppclient:pa:ss".parse().unwrap();
        assert_eq!(account.system_id, "smppclient");
        assert_eq!(account.password.as_deref(), Some("pa:ss"));
        assert_eq!("a".parse::<Account>().unwrap().password, None);
        assert!(":x".parse::<Account>().unwrap_err().contains("SYSTEM_ID"));
    }

    #[test]
    fn a_spread_draws_within_its_ends() {
        let spread: Spread = "1s..3s".parse().unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let drawn: Vec<Duration> = (0..100).map(|_| spread.draw(&mut rng)).collect();
        assert!(drawn.iter().all(|d| (1..=3).contains(&d.as_secs())));
        assert!(drawn.iter().any(|d| d.as_millis() < 1500));
        assert!(drawn.iter().any(|d| d.as_millis() > 2500));
        assert_eq!(spread.to_string(), "1s..3s");
        assert!("3s..1s".parse::<Spread>().unwrap_err().contains("shorter"));
    }

    #[test]
    fn outcomes_come_out_by_their_weights() {
        let outcomes: Outcomes = "DELIVRD=90, UNDELIV=9, NONE".parse().unwrap();
        assert_eq!(outcomes.to_string(), "DELIVRD=90,UNDELIV=9,NONE=1");
        let mut rng = fastrand::Rng::with_seed(7);
        let drawn: Vec<_> = (0..10_000).map(|_| outcomes.draw(&mut rng)).collect();
        let count = |state| drawn.iter().filter(|s| **s == state).count();
        assert!((8_700..9_300).contains(&count(Some(MessageState::Delivered))));
        assert!((700..1_100).contains(&count(Some(MessageState::Undeliverable))));
        assert!((50..200).contains(&count(None)));
    }

    #[test]
    fn outcomes_that_mean_nothing_are_refused() {
        for text in [
            "",
            "SENT=1",
            "DELIVRD=x",
            "DELIVRD=0",
            "NONE=4294967295,DELIVRD=1",
        ] {
            assert!(text.parse::<Outcomes>().is_err(), "{text}");
        }
    }

    #[test]
    fn options_read_from_toml_and_refuse_unknown_keys() {
        let options: Options = toml::from_str(
            r#"
            max_tps = 100
            window_status = "ESME_RTHROTTLED"
            answer_rate = 3.0
            congestion = "load"
            accounts = [{ system_id = "a", password = "b" }]
            faults = ["swallow every=100"]
            [receipts]
            delay = "100ms..2s"
            outcomes = "DELIVRD=9,UNDELIV=1"
            retry = "never"
            numbers = "swapped"
            [message_ids]
            form = "hex"
            receipt = "decimal"
            last = 9999
            [inbound]
            burst = "5000/60s"
            "#,
        )
        .unwrap();
        assert_eq!(options.accounts[0].system_id, "a");
        assert_eq!(options.receipts.delay.to_string(), "100ms..2s");
        assert_eq!(options.window_status, Refusal(Status::RTHROTTLED));
        assert_eq!(options.congestion, Some(Congestion::Load));
        assert_eq!(options.receipts.retry, Retry::Never);
        assert_eq!(options.receipts.numbers, Parties::Swapped);
        assert_eq!(options.inbound.burst.unwrap().to_string(), "5000/1m");
        assert_eq!(options.check(), Ok(()));
        let again = toml::to_string(&options).unwrap();
        assert_eq!(toml::from_str::<Options>(&again).unwrap(), options);
        assert!(toml::from_str::<Options>("windows = 3").is_err());
    }

    #[test]
    fn what_means_nothing_says_what_would() {
        fn error<T: FromStr<Err = String> + fmt::Debug>(text: &str) -> String {
            text.parse::<T>().unwrap_err()
        }
        assert!(error::<Refusal>("ESME_ROK").contains("ESME_RMSGQFUL"));
        assert!(error::<Refusal>("busy").contains("ESME_RMSGQFUL"));
        assert!(error::<Congestion>("101").contains("0 to 100"));
        assert!(error::<Retry>("no").contains("never"));
        for text in ["", "0", "5/0s", "-1", "x/5s"] {
            assert!(error::<Burst>(text).contains("5000/60s"), "{text}");
        }
        for (options, word) in [
            ("answer_rate = -1.0", "answer_rate"),
            ("answer_rate = nan", "answer_rate"),
            ("[inbound]\nrate = inf", "inbound.rate"),
            ("[message_ids]\nfirst = 5\nlast = 4", "comes before"),
        ] {
            let error = toml::from_str::<Options>(options).unwrap().check();
            assert!(error.as_ref().unwrap_err().contains(word), "{error:?}");
        }
    }

    #[test]
    fn a_refusal_is_offered_again_later_on_the_next_bind_or_never() {
        for text in ["5s", "0s", "never"] {
            assert_eq!(text.parse::<Retry>().unwrap().to_string(), text);
        }
        assert_eq!(Retry::from(Time::seconds(0)), Retry::NextBind);
    }
}
