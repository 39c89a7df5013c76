//! An SMSC of a few lines that does exactly what a test tells it, in octets.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::client::eventually;

const RESPONSE: u32 = 0x8000_0000;
const BIND_RECEIVER: u32 = 1;
const BIND_TRANSMITTER: u32 = 2;
const SUBMIT_SM: u32 = 4;
const SUBMIT_MULTI: u32 = 0x21;
const DELIVER_SM: u32 = 5;
const DATA_SM: u32 = 0x103;
const UNBIND: u32 = 6;
const BIND_TRANSCEIVER: u32 = 9;
const ENQUIRE_LINK: u32 = 0x15;
const DELIVER_SM_RESP: u32 = DELIVER_SM | RESPONSE;
const DATA_SM_RESP: u32 = DATA_SM | RESPONSE;
const ENQUIRE_LINK_RESP: u32 = ENQUIRE_LINK | RESPONSE;
const ESME_RX_T_APPN: u32 = 0x64;
const MESSAGE_PAYLOAD: u16 = 0x0424;

/// A submit_sm or submit_multi as it arrived.
#[derive(Clone, Debug)]
pub struct Submit {
    /// Its command_id.
    pub command: u32,
    /// The session it came on, from 1 in the order of their connections.
    pub session: u32,
    /// Its sequence_number.
    pub sequence: u32,
    /// source_addr.
    pub source: String,
    /// destination_addr; of a submit_multi the first.
    pub destination: String,
    /// All of them.
    pub destinations: Vec<String>,
    /// esm_class.
    pub esm_class: u8,
    /// data_coding.
    pub data_coding: u8,
    /// short_message, or message_payload if there is one.
    pub octets: Vec<u8>,
    /// Its optional parameters as they came: tags and values.
    pub tlvs: Vec<(u16, Vec<u8>)>,
    /// Its whole body.
    pub body: Vec<u8>,
    /// When it was read.
    pub at: Instant,
}

impl Submit {
    /// The message as ASCII, which is also its GSM 03.38 for plain letters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.octets).into_owned()
    }

    /// Which part of a long message it is, by a user data header with a reference of 8 bits.
    pub fn part(&self) -> Option<u8> {
        match (self.esm_class & 0x40, self.octets.get(..6)) {
            (0x40, Some([5, 0, 3, _, _, part])) => Some(*part),
            _ => None,
        }
    }
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its recipients, one but for a submit_multi.
    pub destinations: Vec<String>,
    /// Which part of a long message it is.
    pub part: Option<u8>,
    /// Its message id.
    pub id: String,
}

/// A receipt that has not been acknowledged.
struct Due {
    id: String,
    recipient: String,
}

/// What the SMSC does with a submit_sm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Accepts it under the next message id: M1, M2, ...
    Accept,
    /// Accepts it under this message id.
    As(String),
    /// Refuses it with a command_status.
    Status(u32),
    /// Says nothing; [`FakeSmsc::answer`] may do so later.
    Silence,
    /// Accepts it, and its answer is lost.
    Swallow,
    /// Closes the connection.
    Drop,
}

/// A session: one connection.
#[derive(Debug)]
struct Session {
    stream: TcpStream,
    /// Which bind, if any yet.
    bind: Option<u32>,
    open: bool,
    unbound: bool,
}

type Script = Box<dyn FnMut(&Submit) -> Reply + Send>;

struct Shared {
    script: Mutex<Script>,
    submits: Mutex<Vec<Submit>>,
    /// Session and sequence number of those that were answered with an error.
    refused: Mutex<HashSet<(u32, u32)>>,
    sessions: Mutex<BTreeMap<u32, Session>>,
    /// command_status of each deliver_sm_resp, data_sm_resp and enquire_link_resp by session and
    /// sequence number.
    acknowledged: Mutex<HashMap<(u32, u32), u32>>,
    ids: AtomicU32,
    sequence: AtomicU32,
    refuse_binds: AtomicU32,
    accepted: Mutex<Vec<Accepted>>,
    /// Receipts that have not been acknowledged yet, if any are sent.
    due: Mutex<Option<VecDeque<Due>>>,
    delivering: AtomicU32,
    /// command_id and body of every other request, and what each is answered with.
    requests: Mutex<Vec<(u32, Vec<u8>)>>,
    responses: Mutex<HashMap<u32, (u32, Vec<u8>)>>,
}

/// See the [module](self).
#[derive(Clone)]
pub struct FakeSmsc {
    port: u16,
    shared: Arc<Shared>,
}

impl FakeSmsc {
    /// One that accepts everything.
    pub fn start() -> FakeSmsc {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(|_| Reply::Accept)),
            submits: Mutex::default(),
            refused: Mutex::default(),
            sessions: Mutex::default(),
            acknowledged: Mutex::default(),
            ids: AtomicU32::new(0),
            sequence: AtomicU32::new(0),
            refuse_binds: AtomicU32::new(0),
            accepted: Mutex::default(),
            due: Mutex::default(),
            delivering: AtomicU32::new(0),
            requests: Mutex::default(),
            responses: Mutex::default(),
        });
        let smsc = FakeSmsc { port, shared };
        let serving = smsc.clone();
        std::thread::spawn(move || {
            for (n, stream) in (1..).zip(listener.incoming()) {
                let (smsc, stream) = (serving.clone(), stream.expect("a connection"));
                std::thread::spawn(move || smsc.serve(n, stream));
            }
        });
        smsc
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on each submit_sm gets the reply `script` gives.
    pub fn script(&self, script: impl FnMut(&Submit) -> Reply + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// From now on requests of this command_id are answered with this command_status and body.
    pub fn answers(&self, command: u32, status: u32, body: &[u8]) {
        let mut responses = self.shared.responses.lock().unwrap();
        responses.insert(command, (status, body.to_vec()));
    }

    /// command_id and body of every request that was no submit_sm, as far as
    /// [`answers`](Self::answers) speaks of it.
    pub fn requests(&self) -> Vec<(u32, Vec<u8>)> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// From now on binds are refused with this command_status; 0 accepts them again.
    pub fn refuse_binds(&self, status: u32) {
        self.shared.refuse_binds.store(status, SeqCst);
    }

    /// Every submit_sm so far, in the order of arrival.
    pub fn submits(&self) -> Vec<Submit> {
        self.shared.submits.lock().unwrap().clone()
    }

    /// How many these are.
    pub fn submitted(&self) -> usize {
        self.shared.submits.lock().unwrap().len()
    }

    /// Session and sequence number of every submit_sm that was answered with an error.
    pub fn refused(&self) -> HashSet<(u32, u32)> {
        self.shared.refused.lock().unwrap().clone()
    }

    /// The texts of every submit_sm so far.
    pub fn texts(&self) -> Vec<String> {
        self.submits().iter().map(Submit::text).collect()
    }

    /// Waits for at least `n` submit_sm.
    pub fn wait_submits(&self, n: usize) -> Vec<Submit> {
        let what = format!("{n} submit_sm");
        eventually(&what, Duration::from_secs(120), || {
            self.submits().len() >= n
        });
        self.submits()
    }

    /// How many sessions are bound now.
    pub fn bound(&self) -> usize {
        let sessions = self.shared.sessions.lock().unwrap();
        sessions
            .values()
            .filter(|s| s.open && s.bind.is_some())
            .count()
    }

    /// How many sessions were ended by an unbind of the other side.
    pub fn unbound(&self) -> usize {
        let sessions = self.shared.sessions.lock().unwrap();
        sessions.values().filter(|s| s.unbound).count()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.sessions.lock().unwrap().len()
    }

    /// Waits until `n` sessions are bound.
    pub fn wait_bound(&self, n: usize) {
        let what = format!("{n} sessions are bound");
        eventually(&what, Duration::from_secs(60), || self.bound() == n);
    }

    /// Closes every connection.
    pub fn drop_connections(&self) {
        for session in self.shared.sessions.lock().unwrap().values() {
            let _ = session.stream.shutdown(Shutdown::Both);
        }
    }

    /// Answers a submit_sm that got silence.
    pub fn answer(&self, submit: &Submit, message_id: &str) {
        let mut body = [message_id.as_bytes(), b"\0"].concat();
        if submit.command == SUBMIT_MULTI {
            body.push(0); // nobody does not get it
        }
        let command = submit.command | RESPONSE;
        self.send(submit.session, command, 0, submit.sequence, &body);
    }

    /// Every message that was accepted, in the order of their arrival.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.accepted.lock().unwrap().clone()
    }

    /// From now on sends a receipt to each recipient of whatever is accepted, again and again
    /// until it is acknowledged. Its text is the recipient.
    pub fn send_receipts(&self) {
        *self.shared.due.lock().unwrap() = Some(VecDeque::new());
        for _ in 0..24 {
            let smsc = self.clone();
            std::thread::spawn(move || {
                loop {
                    smsc.send_one_receipt();
                }
            });
        }
    }

    /// How many receipts have not been acknowledged yet.
    pub fn receipts_due(&self) -> usize {
        let due = self.shared.due.lock().unwrap();
        due.as_ref().map_or(0, VecDeque::len) + self.shared.delivering.load(SeqCst) as usize
    }

    fn send_one_receipt(&self) {
        let mut due = self.shared.due.lock().unwrap();
        let Some(one) = due.as_mut().and_then(VecDeque::pop_front) else {
            drop(due);
            return std::thread::sleep(Duration::from_millis(20));
        };
        self.shared.delivering.fetch_add(1, SeqCst);
        drop(due);
        let Due { id, recipient } = &one;
        let text = receipt_text(id, "DELIVRD") + recipient;
        let body = deliver_body(4, 0, recipient, "1000", text.as_bytes());
        let sent = self.try_request(DELIVER_SM, &body);
        let deadline = Instant::now() + Duration::from_secs(3);
        let status = || sent.and_then(|(session, sequence)| self.status_of(session, sequence));
        while sent.is_some() && status().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if status() != Some(0) {
            std::thread::sleep(Duration::from_millis(50));
            if let Some(due) = self.shared.due.lock().unwrap().as_mut() {
                due.push_back(one);
            }
        }
        self.shared.delivering.fetch_sub(1, SeqCst);
    }

    /// Sends the receipt `DELIVRD` of a recipient; its text is the recipient.
    pub fn receipt_from(&self, message_id: &str, recipient: &str) -> u32 {
        let text = receipt_text(message_id, "DELIVRD") + recipient;
        self.deliver(4, recipient, "1000", text.as_bytes())
    }

    /// Sends a receipt: `DELIVRD` for this message id.
    pub fn receipt(&self, message_id: &str) -> u32 {
        self.receipt_of(message_id, "DELIVRD")
    }

    /// Sends a receipt with this `stat`; returns the command_status it was answered with.
    pub fn receipt_of(&self, message_id: &str, stat: &str) -> u32 {
        let text = receipt_text(message_id, stat);
        self.deliver(4, "41791234567", "1000", text.as_bytes())
    }

    /// Sends a receipt `DELIVRD` for this message id as a data_sm.
    pub fn receipt_as_data(&self, message_id: &str) -> u32 {
        let text = receipt_text(message_id, "DELIVRD");
        self.data(4, "41791234567", "1000", text.as_bytes())
    }

    /// Sends a deliver_sm over any bind that receives and waits for its command_status. As an
    /// SMSC would, it sends it again when the session ends or the error is temporary.
    pub fn deliver(&self, esm_class: u8, source: &str, destination: &str, text: &[u8]) -> u32 {
        let body = deliver_body(esm_class, 0, source, destination, text);
        self.request(DELIVER_SM, &body)
    }

    /// The same with a data_sm, whose text is its message_payload.
    pub fn data(&self, esm_class: u8, source: &str, destination: &str, text: &[u8]) -> u32 {
        let mut body = format!("\0\x01\x01{source}\0\x01\x01{destination}\0").into_bytes();
        body.extend([esm_class, 0, 0]);
        body.extend(tlv(MESSAGE_PAYLOAD, text));
        self.request(DATA_SM, &body)
    }

    /// Sends a request with this body over any bind that receives, again if need be, and
    /// waits for its command_status.
    pub fn request(&self, command: u32, body: &[u8]) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (session, sequence) = self.request_now(command, body);
            let status = || self.status_of(session, sequence);
            eventually("a response", Duration::from_secs(60), || {
                status().is_some() || !self.is_open(session)
            });
            match status() {
                None | Some(ESME_RX_T_APPN) => assert!(Instant::now() < deadline, "never taken"),
                Some(status) => return status,
            }
        }
    }

    fn is_open(&self, session: u32) -> bool {
        let sessions = self.shared.sessions.lock().unwrap();
        sessions.get(&session).is_some_and(|s| s.open)
    }

    /// Sends a deliver_sm and does not wait; returns its session and sequence number.
    pub fn deliver_now(&self, esm_class: u8, source: &str, to: &str, text: &[u8]) -> (u32, u32) {
        self.request_now(DELIVER_SM, &deliver_body(esm_class, 0, source, to, text))
    }

    /// Sends an enquire_link and does not wait; returns its session and sequence number.
    pub fn enquire(&self) -> (u32, u32) {
        self.request_now(ENQUIRE_LINK, b"")
    }

    fn request_now(&self, command: u32, body: &[u8]) -> (u32, u32) {
        let mut sent = None;
        eventually("a receiver is bound", Duration::from_secs(60), || {
            sent = self.try_request(command, body);
            sent.is_some()
        });
        sent.expect("just sent")
    }

    fn try_request(&self, command: u32, body: &[u8]) -> Option<(u32, u32)> {
        let sequence = self.shared.sequence.fetch_add(1, SeqCst) + 1;
        let receiving = |s: &Session| s.open && s.bind.is_some_and(|b| b != BIND_TRANSMITTER);
        let session = {
            let sessions = self.shared.sessions.lock().unwrap();
            // Any of them, in turn: an SMSC does not mind which.
            let open: Vec<u32> = sessions
                .iter()
                .filter(|(_, s)| receiving(s))
                .map(|(n, _)| *n)
                .collect();
            *open.get(sequence as usize % open.len().max(1))?
        };
        self.send(session, command, 0, sequence, body);
        Some((session, sequence))
    }

    /// The command_status a request of this SMSC was answered with, if it was.
    pub fn status_of(&self, session: u32, sequence: u32) -> Option<u32> {
        let acknowledged = self.shared.acknowledged.lock().unwrap();
        acknowledged.get(&(session, sequence)).copied()
    }

    fn send(&self, session: u32, command: u32, status: u32, sequence: u32, body: &[u8]) {
        let mut frame = Vec::with_capacity(16 + body.len());
        for word in [16 + body.len() as u32, command, status, sequence] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(body);
        let mut sessions = self.shared.sessions.lock().unwrap();
        if let Some(session) = sessions.get_mut(&session) {
            let _ = session.stream.write_all(&frame);
        }
    }

    fn serve(&self, n: u32, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let session = Session {
            stream: stream.try_clone().expect("a stream"),
            bind: None,
            open: true,
            unbound: false,
        };
        self.shared.sessions.lock().unwrap().insert(n, session);
        let mut header = [0; 16];
        while stream.read_exact(&mut header).is_ok() {
            let word =
                |i: usize| u32::from_be_bytes(header[4 * i..4 * i + 4].try_into().expect("4"));
            let (command, status, sequence) = (word(1), word(2), word(3));
            let mut body = vec![0; word(0) as usize - 16];
            if stream.read_exact(&mut body).is_err()
                || !self.take(n, command, status, sequence, &body)
            {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
        if let Some(session) = self.shared.sessions.lock().unwrap().get_mut(&n) {
            session.open = false;
        }
    }

    /// `false` ends the session.
    fn take(&self, n: u32, command: u32, status: u32, sequence: u32, body: &[u8]) -> bool {
        let known = self.shared.responses.lock().unwrap().get(&command).cloned();
        if let Some((status, response)) = known {
            let request = (command, body.to_vec());
            self.shared.requests.lock().unwrap().push(request);
            self.send(n, command | RESPONSE, status, sequence, &response);
            return true;
        }
        match command {
            BIND_RECEIVER | BIND_TRANSMITTER | BIND_TRANSCEIVER => {
                let refusal = self.shared.refuse_binds.load(SeqCst);
                self.send(n, command | RESPONSE, refusal, sequence, b"fake\0");
                if refusal == 0
                    && let Some(session) = self.shared.sessions.lock().unwrap().get_mut(&n)
                {
                    session.bind = Some(command);
                }
            }
            ENQUIRE_LINK => self.send(n, command | RESPONSE, 0, sequence, b""),
            UNBIND => {
                self.send(n, command | RESPONSE, 0, sequence, b"");
                if let Some(session) = self.shared.sessions.lock().unwrap().get_mut(&n) {
                    session.unbound = true;
                }
                return false;
            }
            SUBMIT_SM | SUBMIT_MULTI => return self.submit(command, n, sequence, body),
            DELIVER_SM_RESP | DATA_SM_RESP | ENQUIRE_LINK_RESP => {
                let mut acknowledged = self.shared.acknowledged.lock().unwrap();
                acknowledged.insert((n, sequence), status);
            }
            _ => {}
        }
        true
    }

    fn accept(&self, submit: &Submit, id: String) {
        let accepted = Accepted {
            destinations: submit.destinations.clone(),
            part: submit.part(),
            id: id.clone(),
        };
        self.shared.accepted.lock().unwrap().push(accepted);
        if let Some(due) = self.shared.due.lock().unwrap().as_mut() {
            due.extend(submit.destinations.iter().map(|recipient| Due {
                id: id.clone(),
                recipient: recipient.clone(),
            }));
        }
    }

    fn submit(&self, command: u32, n: u32, sequence: u32, body: &[u8]) -> bool {
        let submit = parse(command, n, sequence, body);
        // Noted before it is answered, as an SMSC would.
        self.shared.submits.lock().unwrap().push(submit.clone());
        let reply = (self.shared.script.lock().unwrap())(&submit);
        match reply {
            Reply::Accept => {
                let id = self.shared.ids.fetch_add(1, SeqCst) + 1;
                let id = format!("M{id}");
                self.accept(&submit, id.clone());
                self.answer(&submit, &id);
            }
            Reply::As(id) => {
                self.accept(&submit, id.clone());
                self.answer(&submit, &id);
            }
            Reply::Swallow => {
                let id = self.shared.ids.fetch_add(1, SeqCst) + 1;
                self.accept(&submit, format!("M{id}"));
            }
            Reply::Status(status) => {
                self.shared.refused.lock().unwrap().insert((n, sequence));
                self.send(n, command | RESPONSE, status, sequence, b"");
            }
            Reply::Silence => {}
            Reply::Drop => return false,
        }
        true
    }
}

/// The body of a deliver_sm.
pub fn deliver_body(esm_class: u8, coding: u8, source: &str, to: &str, text: &[u8]) -> Vec<u8> {
    let mut body = format!("\0\x01\x01{source}\0\x01\x01{to}\0").into_bytes();
    body.extend([esm_class, 0, 0, 0, 0, 0, 0, coding, 0, text.len() as u8]);
    body.extend(text);
    body
}

/// An optional parameter.
pub fn tlv(tag: u16, value: &[u8]) -> Vec<u8> {
    let mut octets = tag.to_be_bytes().to_vec();
    octets.extend((value.len() as u16).to_be_bytes());
    octets.extend(value);
    octets
}

fn receipt_text(message_id: &str, stat: &str) -> String {
    format!(
        "id:{message_id} sub:001 dlvrd:001 submit date:2601020304 done date:2601020305 stat:{stat} err:000 text:"
    )
}

fn parse(command: u32, session: u32, sequence: u32, body: &[u8]) -> Submit {
    let mut rest = body;
    let take = |rest: &mut &[u8], n: usize| {
        let (head, tail) = rest.split_at(n);
        *rest = tail;
        head.to_vec()
    };
    let text = |rest: &mut &[u8]| {
        let end = rest.iter().position(|o| *o == 0).expect("a C-octet string");
        let text = take(rest, end + 1);
        String::from_utf8_lossy(&text[..end]).into_owned()
    };
    let address = |rest: &mut &[u8]| {
        take(rest, 2);
        text(rest)
    };
    text(&mut rest); // service_type
    let source = address(&mut rest);
    let destinations = match command {
        SUBMIT_MULTI => {
            let count = take(&mut rest, 1)[0];
            let one = |rest: &mut &[u8]| match take(rest, 1)[0] {
                1 => address(rest),
                _ => text(rest), // a distribution list
            };
            (0..count).map(|_| one(&mut rest)).collect()
        }
        _ => vec![address(&mut rest)],
    };
    let esm_class = take(&mut rest, 3)[0];
    text(&mut rest); // schedule_delivery_time
    text(&mut rest); // validity_period
    let flags = take(&mut rest, 5);
    let mut octets = take(&mut rest, flags[4] as usize);
    let mut tlvs = Vec::new();
    while rest.len() >= 4 {
        let head = take(&mut rest, 4);
        let (tag, length) = (
            u16::from_be_bytes([head[0], head[1]]),
            u16::from_be_bytes([head[2], head[3]]),
        );
        let value = take(&mut rest, length as usize);
        tlvs.push((tag, value.clone()));
        if tag == MESSAGE_PAYLOAD {
            octets = value;
        }
    }
    Submit {
        command,
        session,
        sequence,
        source,
        destination: destinations.first().cloned().unwrap_or_default(),
        destinations,
        esm_class,
        data_coding: flags[2],
        octets,
        tlvs,
        body: body.to_vec(),
        at: Instant::now(),
    }
}
