//! From a host's name to a bound session.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use plain_telemetry::ErrorCode;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::codes;
use super::host::Host;
use super::input::Input;
use super::options::{Credentials, Mode, Options};
use super::outbind::OutbindPeer;
use super::tcp::dial;
use super::tls::{self, TlsError};
use super::wire::Wire;
use smpp_protocol::frame::{HEADER, push_empty};
use smpp_protocol::pdu::{Bind, BindResp, LongBind};
use smpp_protocol::{Command, EncodeError, ImpossibleLength, Npi, Status, Tag, Ton};

/// A connection, encrypted or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A session that the SMSC has bound.
pub(super) struct Opened {
    pub io: Box<dyn Io>,
    /// What came together with the answer to the bind, or before it, is still in there.
    pub input: Input,
    pub peer: SocketAddr,
    /// A failed write took nothing. Not so with TLS, which may have sent a part.
    pub exact: bool,
    /// What the SMSC says of itself.
    pub answer: BindAnswer,
}

/// What an SMSC says of itself when it binds a session.
#[derive(Debug, Default)]
pub(super) struct BindAnswer {
    /// Its version of SMPP, if it says one.
    pub version: Option<u8>,
    /// Its system_id; empty if it has none.
    pub system_id: Vec<u8>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot connect to {host}{from}: {source}{}", advice(host, source))]
    Connect {
        host: String,
        /// From which address, if that is configured.
        from: String,
        source: io::Error,
    },
    #[error(
        "cannot connect from {address}, which local_address names: {source}. It must be an address of this machine: ip address lists them"
    )]
    LocalAddress { address: String, source: io::Error },
    #[error(
        "cannot connect to {host}: it has {found} addresses only, and local_address names none of that kind. Add one, or leave local_address out"
    )]
    NoLocalAddress { host: String, found: &'static str },
    #[error(
        "cannot listen on {listen} for outbind: {source}{}",
        advice(listen, source)
    )]
    Listen { listen: String, source: io::Error },
    #[error("no connection to {host} within session_init ({} ms)", .after.as_millis())]
    ConnectTimeout { host: String, after: Duration },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the connection broke before the bind was answered: {0}")]
    Broken(#[from] io::Error),
    #[error("no answer to the bind within the response timer ({} ms)", .0.as_millis())]
    NoAnswer(Duration),
    #[error("the bind cannot be encoded: {0}")]
    Credentials(#[from] EncodeError),
    #[error("the bind was not answered with SMPP: {0}")]
    NotSmpp(#[from] ImpossibleLength),
    #[error("the SMSC refused the bind: {0}. {advice}", advice = .0.advice())]
    Refused(Status),
}

/// Whether an error of a connection comes from TLS.
fn is_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

fn advice(host: &str, error: &io::Error) -> String {
    Host::parse(host).map_or_else(|_| String::new(), |host| host.advice(error))
}

impl Failure {
    /// By which it is explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            Failure::Connect { source, .. } if is_tls(source) => codes::TLS,
            Failure::Connect { .. } | Failure::ConnectTimeout { .. } => codes::NO_CONNECTION,
            Failure::LocalAddress { .. } | Failure::NoLocalAddress { .. } => codes::LOCAL_ADDRESS,
            Failure::Listen { .. } => codes::CANNOT_LISTEN,
            Failure::Tls(_) => codes::TLS,
            Failure::Broken(error) if is_tls(error) => codes::TLS,
            Failure::Broken(_) | Failure::NoAnswer(_) => codes::NO_ANSWER,
            Failure::NotSmpp(_) => codes::NOT_SMPP,
            Failure::Refused(Status::RALYBND) => codes::BOUND_ELSEWHERE,
            // What cannot be encoded is of the configuration, as what is refused for good.
            Failure::Credentials(_) => codes::REFUSED,
            Failure::Refused(_) if self.is_permanent() => codes::REFUSED,
            Failure::Refused(_) => codes::REFUSED_FOR_NOW,
        }
    }

    /// Whether the SMSC will go on refusing until somebody changes something.
    pub fn is_permanent(&self) -> bool {
        const PERMANENT: &[Status] = &[
            Status::RBINDFAIL,
            Status::RINVPASWD,
            Status::RINVSYSID,
            Status::RINVSYSTYP,
            Status::RINVCMDID,
            Status::RPROHIBITED,
        ];
        matches!(self, Failure::Refused(status) if PERMANENT.contains(status))
    }

    /// What to try if the SMSC knows no bind_transceiver, which came with SMPP 3.4: others answer
    /// nothing, close the connection, or say that they do not know it.
    pub fn hint(&self, mode: Mode) -> Option<&'static str> {
        const UNKNOWN: &[Status] = &[Status::RINVCMDID, Status::RINVBNDSTS, Status::RUNKNOWNERR];
        let unheard = match self {
            Failure::NoAnswer(_) | Failure::Broken(_) => true,
            Failure::Refused(status) => UNKNOWN.contains(status),
            _ => false,
        };
        (unheard && mode == Mode::Transceiver).then_some(
            "It may not know bind_transceiver (SMPP 3.3): then set bind = \"pair\", a transmitter and a receiver",
        )
    }
}

/// Connects to `host` and binds.
pub(super) async fn open(options: &Options, host: &str) -> Result<Opened, Failure> {
    let limit = options.timers.session_init.get();
    let (mut io, peer) =
        timeout(limit, connect(options, host))
            .await
            .map_err(|_| Failure::ConnectTimeout {
                host: host.to_owned(),
                after: limit,
            })??;
    let limit = options.timers.response.get();
    let mut input = Input::new(options.max_frame);
    let answer = timeout(limit, bind(options, peer, &mut io, &mut input))
        .await
        .map_err(|_| Failure::NoAnswer(limit))??;
    Ok(Opened {
        io,
        input,
        peer,
        exact: !options.tls.enabled,
        answer,
    })
}

/// Connects, with TLS if that is configured, and ends the connection: to see whether somebody is
/// there without a bind. Every host is tried once; the address of the first that answers.
///
/// # Errors
///
/// Why each of them cannot be reached.
pub async fn reach(options: &Options) -> Result<SocketAddr, String> {
    let limit = options.timers.session_init.get();
    let mut reasons = Vec::new();
    for host in &options.hosts {
        match timeout(limit, connect(options, host)).await {
            Ok(Ok((mut io, peer))) => {
                // It is there; how it takes its leave says nothing.
                let _ = timeout(limit, io.shutdown()).await;
                return Ok(peer);
            }
            Ok(Err(failure)) => reasons.push(failure.to_string()),
            Err(_) => {
                let host = host.clone();
                let failure = Failure::ConnectTimeout { host, after: limit };
                reasons.push(failure.to_string());
            }
        }
    }
    Err(reasons.join("; "))
}

/// Binds over a connection on which the SMSC has asked for it.
pub(super) async fn return_visit(options: &Options, peer: OutbindPeer) -> Result<Opened, Failure> {
    let OutbindPeer {
        mut io,
        mut input,
        peer,
        exact,
        ..
    } = peer;
    let limit = options.timers.response.get();
    let answer = timeout(limit, bind(options, peer, &mut io, &mut input))
        .await
        .map_err(|_| Failure::NoAnswer(limit))??;
    Ok(Opened {
        io,
        input,
        peer,
        exact,
        answer,
    })
}

pub(super) async fn connect(
    options: &Options,
    host: &str,
) -> Result<(Box<dyn Io>, SocketAddr), Failure> {
    let failed = |source| Failure::Connect {
        host: host.to_owned(),
        from: String::new(),
        source,
    };
    let tls = &options.tls;
    let encrypted = if tls.enabled {
        Some((tls::connector(tls)?, tls::server_name(tls, host)?))
    } else {
        None
    };
    let stream = dial(options, host).await?;
    let peer = stream.peer_addr().map_err(failed)?;
    match encrypted {
        None => Ok((Box::new(stream), peer)),
        Some((connector, name)) => {
            let stream = connector.connect(name, stream).await.map_err(failed)?;
            Ok((Box::new(stream), peer))
        }
    }
}

/// Sends the bind and waits for its answer. Requests that come before it are kept for the session.
async fn bind(
    options: &Options,
    peer: SocketAddr,
    io: &mut Box<dyn Io>,
    input: &mut Input,
) -> Result<BindAnswer, Failure> {
    let command = match options.mode {
        Mode::Transmitter => Command::BIND_TRANSMITTER,
        Mode::Receiver => Command::BIND_RECEIVER,
        Mode::Transceiver => Command::BIND_TRANSCEIVER,
    };
    let wire = Wire::new(options, peer);
    let pdu = encode(command, &options.credentials)?;
    wire.sent(&pdu);
    io.write_all(&pdu).await?;
    io.flush().await?;
    let mut early = Vec::new();
    loop {
        while let Some((header, pdu)) = input.next()? {
            if header.command == command.response() || header.command == Command::GENERIC_NACK {
                wire.received(header, pdu);
                match (header.command, header.status) {
                    // It cannot mean yes.
                    (Command::GENERIC_NACK, Status::ROK) => {
                        return Err(Failure::Refused(Status::RUNKNOWNERR));
                    }
                    (_, Status::ROK) => {}
                    (_, status) => return Err(Failure::Refused(status)),
                }
                let answer = BindAnswer::read(pdu).unwrap_or_default();
                input.put_back(&early);
                return Ok(answer);
            }
            if header.command == Command::ENQUIRE_LINK {
                wire.received(header, pdu);
                let mut answer = Vec::new();
                let command = header.command.response();
                push_empty(command, Status::ROK, header.sequence, &mut answer);
                wire.sent(&answer);
                io.write_all(&answer).await?;
                io.flush().await?;
            } else if early.len() < options.max_frame {
                early.extend_from_slice(pdu);
            }
        }
        if poll_fn(|cx| input.poll_read(io, cx)).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

impl BindAnswer {
    /// An answer without a readable body says nothing. sc_interface_version is left out by 3.3 and
    /// many others.
    fn read(pdu: &[u8]) -> Option<Self> {
        let answer = BindResp::decode(pdu.get(HEADER..)?).ok()?;
        let version = match answer.tlvs.get(Tag::SC_INTERFACE_VERSION) {
            Some([version]) => Some(*version),
            _ => None,
        };
        Some(BindAnswer {
            version,
            system_id: answer.system_id.to_vec(),
        })
    }
}

fn encode(command: Command, credentials: &Credentials) -> Result<Vec<u8>, EncodeError> {
    let password = credentials.current_password();
    let bind = Bind {
        system_id: credentials.system_id.as_bytes(),
        password: password.expose_secret().as_bytes(),
        system_type: credentials.system_type.as_bytes(),
        interface_version: credentials.interface_version,
        addr_ton: Ton(credentials.addr_ton),
        addr_npi: Npi(credentials.addr_npi),
        address_range: credentials.address_range.as_bytes(),
    };
    let mut pdu = Vec::new();
    if credentials.long_password {
        LongBind(bind).encode(command, Status::ROK, 1, &mut pdu)?
    } else {
        bind.encode(command, Status::ROK, 1, &mut pdu)?
    }
    Ok(pdu)
}
