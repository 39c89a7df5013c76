//! Sessions that the SMSC begins: it connects, sends outbind, and the ESME binds over that
//! connection (SMPP 3.4 §2.2.1, §4.1.7).
//!
//! An [`OutbindListener`] belongs to an account in one process; its binds share it. It is open,
//! which means that the address is listened on, only while a bind that holds a valid lease waits
//! for a session. So everything that holds for binds that connect by themselves holds here:
//!
//! - A process without a partition does not listen: the SMSC's connection is refused there, and
//!   it tries the next address that it knows. A partition that moves takes the listening with it.
//! - Several partitions in one process are several binds at one listener. Each connection becomes the
//!   session of the bind that has waited longest; when all have one, the listener is closed. So there
//!   are never more sessions than `max_binds` allows, whatever the SMSC opens.
//! - Processes on different machines listen each on its own address, of which the SMSC needs a
//!   list; behind one address, a load balancer must find out by connecting who listens.
//!
//! Whoever connects proves nothing before its outbind: at most [`CONNECTIONS`] connections are heard
//! at once, [`CONNECTIONS_OF_ONE`] of one address, so that a stranger who opens many leaves room for the
//! SMSC, each for `timers.session_init` and for no more octets than an outbind has. Others are dropped, and
//! nothing of what they sent is logged.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::connect::{Failure, Io};
use super::host::Host;
use super::input::Input;
use super::notices::{OutbindAccepted, OutbindDropped};
use super::options::{Options, OutbindTls};
use super::tcp::Signs;
use super::tls;
use smpp_protocol::frame::HEADER;
use smpp_protocol::pdu::Outbind;
use smpp_protocol::{Command, ImpossibleLength};

/// How many connections may be heard at once.
pub const CONNECTIONS: usize = 16;

/// Of these, those of one address.
pub const CONNECTIONS_OF_ONE: usize = 12;

/// The longest outbind: header, system_id and a password that may be longer than SMPP's, with
/// some room for what does not belong there.
const OUTBIND_OCTETS: usize = HEADER + 256;

/// Warnings about connections that were rejected come this far apart.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);

/// Who may ask us to bind, and where.
#[derive(Clone, Debug, Default)]
pub struct OutbindOptions {
    /// `host:port` to listen on.
    pub listen: String,
    /// The system_id that an outbind must have; any if empty.
    pub system_id: String,
    /// The password that it must have; any if empty.
    pub password: SecretString,
    /// From where connections may come; from anywhere if empty.
    pub from: Vec<IpAddr>,
    /// TLS, if it has a certificate.
    pub tls: OutbindTls,
}

/// Where the binds of an account wait for the SMSC. See the [module](self).
#[derive(Debug)]
pub struct OutbindListener {
    options: OutbindOptions,
    state: Mutex<State>,
    /// Held by the bind whose turn it is: connections that are being heard.
    connections: tokio::sync::Mutex<JoinSet<Result<OutbindPeer, OutbindRejected>>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    listener: Option<Arc<TcpListener>>,
    /// Where connections come from that are being heard.
    heard: Vec<IpAddr>,
    warned: Option<Instant>,
    /// Connections rejected since the last warning.
    rejected: u64,
}

/// An SMSC that has shown a valid outbind.
pub(super) struct OutbindPeer {
    pub io: Box<dyn Io>,
    pub input: Input,
    pub peer: SocketAddr,
    pub system_id: Vec<u8>,
    /// See [`Opened`](super::connect::Opened).
    pub exact: bool,
}

/// Why a connection was dropped.
#[derive(Debug, thiserror::Error)]
enum OutbindRejected {
    #[error("connections from {0} are not wanted")]
    Address(IpAddr),
    #[error("{CONNECTIONS} connections have not sent their outbind yet")]
    Crowd,
    #[error("{CONNECTIONS_OF_ONE} connections from {0} have not sent their outbind yet")]
    CrowdOfOne(IpAddr),
    #[error("no outbind within session_init")]
    Slow,
    #[error("it broke before its outbind: {0}")]
    Broken(#[from] io::Error),
    #[error("what it sent is not SMPP: {0}")]
    NotSmpp(#[from] ImpossibleLength),
    #[error("it sent {0} instead of outbind")]
    NotOutbind(Command),
    #[error("its outbind cannot be read: {0}")]
    Damaged(#[from] smpp_protocol::DecodeError),
    #[error("its outbind has another system_id")]
    SystemId,
    #[error("its outbind has another password")]
    Password,
}

impl OutbindListener {
    /// A listener that is closed until a bind waits at it.
    pub fn new(options: OutbindOptions) -> Arc<Self> {
        Arc::new(OutbindListener {
            options,
            state: Mutex::default(),
            connections: tokio::sync::Mutex::default(),
        })
    }

    /// Where it listens.
    pub fn listen(&self) -> &str {
        &self.options.listen
    }

    /// Waits for an SMSC that may ask us to bind. Given up, it listens no longer for this bind.
    pub(super) async fn admit(self: &Arc<Self>, options: &Options) -> Result<OutbindPeer, Failure> {
        let _waiting = Waiting::at(self);
        let mut connections = self.connections.lock().await;
        let listener = self.open().await?;
        let acceptor = tls::acceptor(&self.options.tls)?;
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let heard = match self.may_connect(peer.ip()) {
                            Ok(heard) => heard,
                            Err(rejected) => {
                                self.reject(&options.name, peer, &rejected);
                                continue;
                            }
                        };
                        let (this, acceptor) = (Arc::clone(self), acceptor.clone());
                        let (name, limit) = (options.name.clone(), options.timers.session_init.get());
                        let session = (options.max_frame, Signs::of(&options.tcp, &options.timers));
                        connections.spawn(async move {
                            let _heard = heard;
                            let heard = this.read_outbind(stream, peer, acceptor, session);
                            let heard = timeout(limit, heard).await;
                            let heard = heard.unwrap_or(Err(OutbindRejected::Slow));
                            heard.inspect_err(|rejected| this.reject(&name, peer, rejected))
                        });
                    }
                    // Out of file descriptors, most likely: others will end.
                    Err(_) => sleep(Duration::from_millis(50)).await,
                },
                Some(heard) = connections.join_next() => {
                    if let Ok(Ok(peer)) = heard {
                        OutbindAccepted { bind: &options.name, peer: peer.peer }.emit();
                        return Ok(peer);
                    }
                }
            }
        }
    }

    /// The listener, which is made if there is none.
    async fn open(&self) -> Result<Arc<TcpListener>, Failure> {
        if let Some(listener) = &self.state.lock().listener {
            return Ok(Arc::clone(listener));
        }
        let listen = &self.options.listen;
        let listener = match Host::parse(listen) {
            Ok(Host { name, port }) => TcpListener::bind((name, port)).await,
            Err(_) => TcpListener::bind(listen).await,
        };
        let listener = listener.map_err(|source| Failure::Listen {
            listen: listen.clone(),
            source,
        })?;
        let listener = Arc::new(listener);
        self.state.lock().listener = Some(Arc::clone(&listener));
        Ok(listener)
    }

    /// A place for one more connection from this address.
    fn may_connect(self: &Arc<Self>, from: IpAddr) -> Result<Heard, OutbindRejected> {
        let (wanted, from) = (&self.options.from, from.to_canonical());
        if !wanted.is_empty() && !wanted.contains(&from) {
            return Err(OutbindRejected::Address(from));
        }
        let heard = &mut self.state.lock().heard;
        let own = heard.iter().filter(|one| **one == from).count();
        if heard.len() >= CONNECTIONS {
            return Err(OutbindRejected::Crowd);
        }
        if own >= CONNECTIONS_OF_ONE {
            return Err(OutbindRejected::CrowdOfOne(from));
        }
        heard.push(from);
        Ok(Heard {
            at: Arc::clone(self),
            from,
        })
    }

    /// Reads one PDU, which must be an outbind of somebody we know.
    async fn read_outbind(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        acceptor: Option<tokio_rustls::TlsAcceptor>,
        (max_frame, tcp): (usize, Signs),
    ) -> Result<OutbindPeer, OutbindRejected> {
        tcp.apply(&stream)?;
        let exact = acceptor.is_none();
        let mut io: Box<dyn Io> = match acceptor {
            None => Box::new(stream),
            Some(acceptor) => Box::new(acceptor.accept(stream).await?),
        };
        let mut first = Input::new(OUTBIND_OCTETS);
        let system_id = loop {
            if let Some((header, pdu)) = first.next()? {
                if header.command != Command::OUTBIND {
                    return Err(OutbindRejected::NotOutbind(header.command));
                }
                let outbind = Outbind::decode(pdu.get(HEADER..).unwrap_or_default())?;
                break self.check(&outbind)?;
            }
            if poll_fn(|cx| first.poll_read(&mut io, cx)).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        // What came with the outbind belongs to the session, whose PDUs may be longer.
        let mut input = Input::new(max_frame);
        input.put_back(first.rest());
        Ok(OutbindPeer {
            io,
            input,
            peer,
            system_id,
            exact,
        })
    }

    /// The system_id of an outbind, if it has the right one and the right password.
    fn check(&self, outbind: &Outbind<'_>) -> Result<Vec<u8>, OutbindRejected> {
        let wanted = self.options.system_id.as_bytes();
        if !wanted.is_empty() && wanted != outbind.system_id {
            return Err(OutbindRejected::SystemId);
        }
        let wanted = self.options.password.expose_secret().as_bytes();
        if wanted.is_empty() || same(wanted, outbind.password) {
            Ok(outbind.system_id.to_vec())
        } else {
            Err(OutbindRejected::Password)
        }
    }

    /// Says it, but not more often than anybody wants to read it.
    fn reject(&self, bind: &str, peer: SocketAddr, rejected: &OutbindRejected) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.rejected += 1;
        if state
            .warned
            .is_some_and(|before| now - before < BETWEEN_WARNINGS)
        {
            return;
        }
        state.warned = Some(now);
        let connections = std::mem::take(&mut state.rejected);
        drop(state);
        OutbindDropped {
            rejected,
            bind,
            peer,
            connections,
        }
        .emit();
    }
}

/// Compares in a time that does not tell how much of it is right.
fn same(wanted: &[u8], given: &[u8]) -> bool {
    let differs = wanted
        .iter()
        .zip(given)
        .fold(0, |all, (a, b)| all | (a ^ b));
    wanted.len() == given.len() && differs == 0
}

/// A connection that is being heard, until this is dropped.
struct Heard {
    at: Arc<OutbindListener>,
    from: IpAddr,
}

impl Drop for Heard {
    fn drop(&mut self) {
        let heard = &mut self.at.state.lock().heard;
        if let Some(place) = heard.iter().position(|one| *one == self.from) {
            heard.swap_remove(place);
        }
    }
}

/// A bind that waits. When the last one leaves, the listener closes.
struct Waiting<'d>(&'d OutbindListener);

impl<'d> Waiting<'d> {
    fn at(listener: &'d OutbindListener) -> Self {
        listener.state.lock().waiting += 1;
        Waiting(listener)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.waiting -= 1;
        if state.waiting > 0 {
            return;
        }
        state.listener = None;
        // Nobody holds it: whose turn it was has left before.
        if let Ok(mut connections) = self.0.connections.try_lock() {
            *connections = JoinSet::new();
        }
    }
}
