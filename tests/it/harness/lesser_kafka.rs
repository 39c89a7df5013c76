//! A broker that can do less than Kafka: a real one, behind a proxy that takes something away. Others
//! speak Kafka's protocol, too, and not all of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;

use super::broker::Broker;
use super::client::Kafka;

const FIND_COORDINATOR: i16 = 10;
const API_VERSIONS: i16 = 18;
const INIT_PRODUCER_ID: i16 = 22;
const END_TXN: i16 = 26;
const CONSUMER_GROUP_HEARTBEAT: i16 = 68;

/// What a broker cannot do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lacks {
    /// It can do all that Kafka can.
    #[default]
    Nothing,
    /// It refuses to say who coordinates a transactional id, as Event Hubs' Standard tier does.
    Coordinator,
    /// It does not know InitProducerId.
    InitProducerId,
    /// It commits what is to be aborted.
    Abort,
    /// It does not fence a producer, because the second has another id for it.
    Fencing,
    /// It does not know the group protocol of KIP-848.
    GroupProtocol,
}

#[derive(Default)]
struct State {
    broker: AtomicU16,
    lacks: Mutex<Lacks>,
    /// How many producers were initialised since `lacks` was set.
    initialised: AtomicUsize,
}

/// See the [module](self).
pub struct LesserKafka {
    state: Arc<State>,
    broker: Broker,
}

impl LesserKafka {
    /// Starts one.
    pub fn start() -> LesserKafka {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                forward(client, &shared);
            }
        });
        let broker = Broker::start_behind(port, |port| state.broker.store(port, SeqCst));
        LesserKafka { state, broker }
    }

    /// From now on it cannot do this.
    pub fn set(&self, lacks: Lacks) {
        *self.state.lacks.lock() = lacks;
        self.state.initialised.store(0, SeqCst);
    }

    /// A client of it.
    pub fn kafka(&self) -> Kafka {
        self.broker.kafka()
    }
}

/// Of a request that was passed on: its kind and version, by its number.
type Asked = Arc<Mutex<Vec<(i32, i16, i16)>>>;

fn forward(client: TcpStream, state: &Arc<State>) {
    let port = state.broker.load(SeqCst);
    let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else {
        return;
    };
    let asked = Asked::default();
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket");
    let (up, back) = (clone(&client), clone(&broker));
    let (shared, noted, client) = (state.clone(), asked.clone(), Arc::new(Mutex::new(client)));
    let answering = client.clone();
    std::thread::spawn(move || {
        requests(up, &broker, &answering, &shared, &noted);
        let _ = broker.shutdown(Shutdown::Both);
    });
    let shared = state.clone();
    std::thread::spawn(move || {
        responses(back, &client, &shared, &asked);
        let _ = client.lock().shutdown(Shutdown::Both);
    });
}

fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(size) as usize];
    from.read_exact(&mut frame).ok()?;
    Some(frame)
}

fn write(mut to: &TcpStream, frame: &[u8]) -> bool {
    let size = u32::try_from(frame.len()).expect("a frame").to_be_bytes();
    to.write_all(&[&size[..], frame].concat()).is_ok()
}

fn requests(
    mut client: TcpStream,
    broker: &TcpStream,
    answering: &Mutex<TcpStream>,
    state: &State,
    asked: &Asked,
) {
    while let Some(mut frame) = frame(&mut client) {
        let word = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let (api, version) = (word(0), word(2));
        let number = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        match (*state.lacks.lock(), api) {
            // The kind of coordinator is the last octet of what is asked (versions 1 and 2).
            (Lacks::Coordinator, FIND_COORDINATOR) if frame.last() == Some(&1) => {
                assert!((1..=2).contains(&version), "{version}");
                if !write(&answering.lock(), &no_coordinator(number)) {
                    return;
                }
                continue;
            }
            // What is to become of it is the last octet (versions 0 and 1).
            (Lacks::Abort, END_TXN) => {
                assert!((0..=1).contains(&version), "{version}");
                *frame.last_mut().expect("not empty") = 1;
            }
            (Lacks::Fencing, INIT_PRODUCER_ID) => {
                let at = frame.windows(6).position(|six| six == b".check");
                if let Some(at) = at
                    && state.initialised.fetch_add(1, SeqCst) > 0
                {
                    frame[at + 1..at + 6].copy_from_slice(b"chick");
                }
            }
            _ => {}
        }
        asked.lock().push((number, api, version));
        if !write(broker, &frame) {
            return;
        }
    }
}

/// The answer to FindCoordinator, versions 1 and 2: an error, and nobody.
fn no_coordinator(number: i32) -> Vec<u8> {
    let why = b"FindCoordinator asked for coordinator with type code 1 which is not supported";
    let length = i16::try_from(why.len()).expect("short");
    let (throttle, invalid_request, nobody, port) = (0_i32, 42_i16, -1_i32, -1_i32);
    [
        &number.to_be_bytes()[..],
        &throttle.to_be_bytes(),
        &invalid_request.to_be_bytes(),
        &length.to_be_bytes(),
        why,
        &nobody.to_be_bytes(),
        &0_i16.to_be_bytes(),
        &port.to_be_bytes(),
    ]
    .concat()
}

fn responses(mut broker: TcpStream, client: &Mutex<TcpStream>, state: &State, asked: &Asked) {
    while let Some(mut frame) = frame(&mut broker) {
        let number = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        let mut asked = asked.lock();
        let at = asked.iter().position(|(known, ..)| *known == number);
        let (_, api, version) = asked.remove(at.expect("it was asked for"));
        drop(asked);
        if api == API_VERSIONS {
            match *state.lacks.lock() {
                Lacks::InitProducerId => forget(&mut frame, version, INIT_PRODUCER_ID),
                Lacks::GroupProtocol => forget(&mut frame, version, CONSUMER_GROUP_HEARTBEAT),
                _ => {}
            }
        }
        if !write(&client.lock(), &frame) {
            return;
        }
    }
}

/// Takes a request out of the answer to ApiVersions: by another number, which nobody knows.
fn forget(frame: &mut [u8], version: i16, request: i16) {
    // Number and error; then the length of the list, from version 3 on in a compact form, which has tags
    // behind each entry, too.
    let compact = version >= 3;
    let (first, entry) = if compact { (7, 7) } else { (10, 6) };
    let mut at = first;
    while at + 6 <= frame.len() {
        if frame[at..at + 2] == request.to_be_bytes() {
            frame[at..at + 2].copy_from_slice(&9999_i16.to_be_bytes());
            return;
        }
        at += entry;
    }
    panic!("no request {request} in version {version}");
}
