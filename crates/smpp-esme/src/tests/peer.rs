//! An SMSC that says exactly what the script says, and the bind that talks to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Time;
use crate::connect::{BindAnswer, Io, Opened};
use crate::input::Input;
use crate::{
    Bind, Change, Client, Handle, Inbound, Lease, Notice, Options, Outcome, Reconnect, Responder,
    State, Token,
};
use smpp_protocol::frame::{HEADER, Header, push_empty};
use smpp_protocol::pdu::{Sm, SmResp};
use smpp_protocol::{Command, Status};

/// Longer than anything takes in these tests.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The response timer of submitted requests.
pub const RESPONSE: Duration = Duration::from_secs(10);

/// The SMSC's end of a connection.
pub struct Smsc<S> {
    pub io: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Smsc<S> {
    /// The next PDU's header, `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Header> {
        let header = tokio::time::timeout(PATIENCE * 10, header_of(&mut self.io)).await;
        header.expect("a PDU or the end")
    }

    /// The next PDU must be this one.
    pub async fn expects(&mut self, command: Command) -> Header {
        let end = || panic!("{command} wanted, not the end");
        let header = self.next().await.unwrap_or_else(end);
        assert_eq!(header.command, command);
        header
    }

    /// The next PDU must be this answer.
    pub async fn expects_answer(&mut self, command: Command, status: Status, sequence: u32) {
        let header = self.expects(command).await;
        assert_eq!((header.status, header.sequence), (status, sequence));
    }

    /// The connection must end without another PDU.
    pub async fn expects_end(&mut self) {
        let pdu = self.next().await;
        assert!(pdu.is_none(), "{pdu:?} instead of the end");
    }

    /// The connection must end, whatever comes before that.
    pub async fn expects_end_of_anything(&mut self) {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.io.read_to_end(&mut rest)).await;
        let _ = read.expect("the end in time");
    }

    pub async fn sends(&mut self, octets: impl AsRef<[u8]>) {
        self.io.write_all(octets.as_ref()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Accepts the bind.
    pub async fn binds(mut self) -> Self {
        let bind = self.expects(Command::BIND_TRANSCEIVER).await;
        self.sends(empty(bind.command.response(), Status::ROK, bind.sequence))
            .await;
        self
    }
}

/// Reads a PDU: its header.
pub async fn header_of(io: &mut (impl AsyncRead + Unpin)) -> Option<Header> {
    let mut header = [0; HEADER];
    io.read_exact(&mut header).await.ok()?;
    let header = Header::decode(&header)?;
    let mut body = vec![0; header.length as usize - HEADER];
    io.read_exact(&mut body).await.ok()?;
    Some(header)
}

/// A PDU without body.
pub fn empty(command: Command, status: Status, sequence: u32) -> Vec<u8> {
    let mut pdu = Vec::new();
    push_empty(command, status, sequence, &mut pdu);
    pdu
}

pub fn accepted(request: &Header, message_id: &str) -> Vec<u8> {
    let mut pdu = Vec::new();
    SmResp {
        message_id: message_id.as_bytes(),
        ..SmResp::default()
    }
    .encode(
        request.command.response(),
        Status::ROK,
        request.sequence,
        &mut pdu,
    )
    .unwrap();
    pdu
}

pub fn submit_sm() -> Vec<u8> {
    let mut pdu = Vec::new();
    Sm {
        short_message: b"hello",
        ..Sm::default()
    }
    .encode(Command::SUBMIT_SM, Status::ROK, 0, &mut pdu)
    .unwrap();
    pdu
}

pub fn deliver_sm(sequence: u32) -> Vec<u8> {
    let mut pdu = Vec::new();
    Sm {
        short_message: b"hi",
        ..Sm::default()
    }
    .encode(Command::DELIVER_SM, Status::ROK, sequence, &mut pdu)
    .unwrap();
    pdu
}

/// What the bind told its client, with the state that others saw at that moment.
pub struct Told {
    pub token: Token,
    pub outcome: Outcome,
    pub state: &'static str,
}

struct Recorder {
    told: mpsc::UnboundedSender<Told>,
    received: mpsc::UnboundedSender<(Bytes, Responder)>,
    sessions: mpsc::UnboundedSender<Session>,
    notices: mpsc::UnboundedSender<Notice>,
    changes: mpsc::UnboundedSender<Change>,
    versions: mpsc::UnboundedSender<Option<u8>>,
    handle: std::sync::OnceLock<Handle>,
}

/// The beginning or the end of a session, by its generation.
#[derive(Debug, PartialEq, Eq)]
pub enum Session {
    Bound(u64),
    Unbound(u64),
}

impl Client for Recorder {
    fn bound(&self, generation: u64) {
        let _ = self.sessions.send(Session::Bound(generation));
    }

    fn speaks(&self, version: Option<u8>) {
        let _ = self.versions.send(version);
    }

    fn unbound(&self, generation: u64) {
        let _ = self.sessions.send(Session::Unbound(generation));
    }

    fn outcome(&self, token: Token, outcome: Outcome) {
        let state = self
            .handle
            .get()
            .map_or("none", |handle| handle.state().borrow().name());
        let _ = self.told.send(Told {
            token,
            outcome,
            state,
        });
    }
}

impl Inbound for Recorder {
    fn receive(&self, frame: Bytes, responder: Responder) {
        let _ = self.received.send((frame, responder));
    }

    fn notice(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }

    fn changed(&self, change: Change) {
        let _ = self.changes.send(change);
    }
}

/// What becomes of the SMSC's requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The test receives them.
    ByTest,
    /// They are refused as soon as they are read.
    Refused,
}

/// A running bind and all that it tells.
pub struct Esme {
    pub handle: Handle,
    pub lease: Lease,
    pub told: mpsc::UnboundedReceiver<Told>,
    pub received: mpsc::UnboundedReceiver<(Bytes, Responder)>,
    pub sessions: mpsc::UnboundedReceiver<Session>,
    pub notices: mpsc::UnboundedReceiver<Notice>,
    pub changes: mpsc::UnboundedReceiver<Change>,
    pub versions: mpsc::UnboundedReceiver<Option<u8>>,
    pub task: JoinHandle<()>,
}

impl Esme {
    fn with<F: Future<Output = ()> + Send + 'static>(
        options: Options,
        lease: Lease,
        inbound: Taken,
        life: impl FnOnce(Bind) -> F,
    ) -> Self {
        // The whole window from the beginning, unless the transcript says how it begins.
        let start = if options.start == Options::default().start {
            options.window
        } else {
            options.start
        };
        let options = Options { start, ..options };
        let (told, told_to) = mpsc::unbounded_channel();
        let (received, mut received_by) = mpsc::unbounded_channel();
        if inbound == Taken::Refused {
            // What nobody takes is refused.
            received_by.close();
        }
        let (sessions, sessions_of) = mpsc::unbounded_channel();
        let (notices, notices_of) = mpsc::unbounded_channel();
        let (changes, changes_of) = mpsc::unbounded_channel();
        let (versions, versions_of) = mpsc::unbounded_channel();
        let handle = std::sync::OnceLock::new();
        let recorder = Arc::new(Recorder {
            told,
            received,
            sessions,
            notices,
            changes,
            versions,
            handle,
        });
        let client: Arc<dyn Client> = recorder.clone();
        let (bind, handle) = Bind::new(options, client, recorder.clone(), lease.clone());
        let _ = recorder.handle.set(handle.clone());
        let task = tokio::spawn(life(bind));
        Esme {
            handle,
            lease,
            told: told_to,
            received: received_by,
            sessions: sessions_of,
            notices: notices_of,
            changes: changes_of,
            versions: versions_of,
            task,
        }
    }

    /// A bind that connects by itself.
    pub fn running(options: Options, lease: Lease) -> Self {
        Self::with(options, lease, Taken::ByTest, |bind| bind.run())
    }

    /// Queues a request as soon as there is a slot.
    pub async fn submits(&self, token: Token) {
        let slot = tokio::time::timeout(PATIENCE, self.handle.slot()).await;
        let slot = slot.expect("a slot in time").expect("a slot");
        slot.submit(token, submit_sm(), RESPONSE).expect("queued");
    }

    /// Queues requests for as long as there are slots, from this token on.
    pub fn submits_greedily(&self, first: Token) {
        let handle = self.handle.clone();
        tokio::spawn(async move {
            for token in first.. {
                let Some(slot) = handle.slot().await else {
                    return;
                };
                let _ = slot.submit(token, submit_sm(), RESPONSE);
            }
        });
    }

    /// The next outcome.
    pub async fn hears(&mut self) -> (Token, Outcome) {
        let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        let told = told.expect("an outcome in time").expect("an outcome");
        assert!(
            matches!(told.state, "bound" | "frozen"),
            "an outcome while others see the state {:?}",
            told.state
        );
        (told.token, told.outcome)
    }

    /// The next outcome must be an answer to `token`: its status and message_id.
    pub async fn hears_answer(&mut self, token: Token) -> (Status, String) {
        match self.hears().await {
            (of, Outcome::Answered(answer)) if of == token => {
                (answer.status, String::from_utf8(answer.message_id).unwrap())
            }
            other => panic!("{other:?} instead of an answer to {token}"),
        }
    }

    /// The next request of the SMSC.
    pub async fn receives(&mut self) -> (Header, Responder) {
        let next = tokio::time::timeout(PATIENCE, self.received.recv()).await;
        let (frame, responder) = next.expect("a request in time").expect("a request");
        (Header::decode(&frame).unwrap(), responder)
    }

    /// Waits until the state has this name.
    pub async fn becomes(&self, name: &str) -> State {
        let mut state = self.handle.state();
        let reached = tokio::time::timeout(PATIENCE, state.wait_for(|s| s.name() == name)).await;
        reached
            .unwrap_or_else(|_| panic!("never {name}"))
            .unwrap()
            .clone()
    }

    /// Nothing more was told.
    pub fn is_at_peace(&mut self) -> bool {
        self.told.try_recv().is_err()
    }
}

/// A bound session on a connection; its bind ends with the session.
pub async fn session_on<S>(
    options: Options,
    lease: Lease,
    io: Box<dyn Io>,
    far: S,
) -> (Esme, Smsc<S>) {
    session_taking(options, lease, Taken::ByTest, io, far).await
}

/// The same with this done to what the SMSC asks.
pub async fn session_taking<S>(
    options: Options,
    lease: Lease,
    inbound: Taken,
    io: Box<dyn Io>,
    far: S,
) -> (Esme, Smsc<S>) {
    let input = Input::new(options.max_frame);
    let opened = Opened {
        io,
        input,
        peer: SocketAddr::from(([127, 0, 0, 1], 2775)),
        exact: !options.tls.enabled,
        answer: BindAnswer::default(),
    };
    let esme = Esme::with(options, lease, inbound, |mut bind| async move {
        let _ = bind.live(opened, "smsc:2775".into()).await;
    });
    esme.becomes("bound").await;
    (esme, Smsc { io: far })
}

/// A bound session over a pipe that holds `capacity` octets.
pub async fn session_over(
    options: Options,
    lease: Lease,
    capacity: usize,
) -> (Esme, Smsc<DuplexStream>) {
    let (near, far) = duplex(capacity);
    session_on(options, lease, Box::new(near), far).await
}

/// A bound session with nothing special about it.
pub async fn session(options: Options) -> (Esme, Smsc<DuplexStream>) {
    session_over(options, Lease::unlimited(), 1 << 20).await
}

/// An SMSC at a real address.
pub struct Listener(TcpListener);

impl Listener {
    pub async fn new() -> Self {
        Listener::at("127.0.0.1:0").await
    }

    pub async fn at(address: &str) -> Self {
        Listener(TcpListener::bind(address).await.unwrap())
    }

    pub fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub async fn accepts(&self) -> Smsc<TcpStream> {
        let (io, _) = tokio::time::timeout(PATIENCE, self.0.accept())
            .await
            .unwrap()
            .unwrap();
        io.set_nodelay(true).unwrap();
        Smsc { io }
    }
}

/// Options for `hosts` that reconnect soon.
pub fn towards(hosts: &[&Listener]) -> Options {
    Options {
        name: "test".into(),
        hosts: hosts.iter().map(|host| host.address()).collect(),
        reconnect: Reconnect {
            initial: Time::millis(20),
            max: Time::millis(100),
            refused: Time::millis(300),
            bound_elsewhere: Time::millis(100),
            ..Reconnect::default()
        },
        ..Options::default()
    }
}
