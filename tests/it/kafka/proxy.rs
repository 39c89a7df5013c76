//! A TCP proxy before a broker that can keep the answers to commits from coming back, and those
//! to questions for offsets waiting, and counts these and the questions for coordinators.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::harness::Broker;

/// EndTxn, the request that commits or aborts a transaction.
const END_TXN: i16 = 26;
/// InitProducerId, the first request of a producer.
const INIT_PRODUCER_ID: i16 = 22;
/// FindCoordinator, which a client asks before it asks about a group.
const FIND_COORDINATOR: i16 = 10;
/// ListOffsets, the request that asks where a partition begins or ends.
const LIST_OFFSETS: i16 = 2;

#[derive(Default)]
struct State {
    broker: AtomicU16,
    slow_offsets: AtomicBool,
    asked_for_offsets: AtomicUsize,
    asked_for_coordinators: AtomicUsize,
    silencing: AtomicBool,
    arrives: AtomicBool,
    silenced: AtomicBool,
}

/// See the [module](self).
pub struct Proxy {
    state: Arc<State>,
}

impl Proxy {
    /// Listens, and a broker that tells its clients to come through it.
    pub fn before_a_broker() -> (Proxy, Broker) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                forward(client.unwrap(), &shared);
            }
        });
        let broker = Broker::start_behind(port, |port| state.broker.store(port, SeqCst));
        (Proxy { state }, broker)
    }

    /// From now on a question for the beginning or end of a partition takes a second, and
    /// everything behind it on its connection.
    pub fn slow_offsets(&self) {
        self.state.slow_offsets.store(true, SeqCst);
    }

    /// How many questions for the beginning or end of a partition there were.
    pub fn asked_for_offsets(&self) -> usize {
        self.state.asked_for_offsets.load(SeqCst)
    }

    /// How often it was asked who coordinates a group.
    pub fn asked_for_coordinators(&self) -> usize {
        self.state.asked_for_coordinators.load(SeqCst)
    }

    /// From now on a connection that carries a commit goes silent: the commit still
    /// `arrives`, or not even that. When the next producer begins, new connections are served again:
    /// until then the client may send its commit once more. Silent ones stay silent.
    pub fn silence_commits(&self, arrives: bool) {
        self.state.arrives.store(arrives, SeqCst);
        self.state.silencing.store(true, SeqCst);
    }

    /// Whether a connection has gone silent.
    pub fn silenced(&self) -> bool {
        self.state.silenced.load(SeqCst)
    }
}

fn forward(client: TcpStream, state: &Arc<State>) {
    let port = state.broker.load(SeqCst);
    let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else {
        return;
    };
    let mute = Arc::new(AtomicBool::new(false));
    let (up, back) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
    let (shared, muted) = (state.clone(), mute.clone());
    std::thread::spawn(move || {
        requests(up, &broker, &shared, &muted);
        let _ = broker.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        responses(back, &client, &mute);
        let _ = client.shutdown(Shutdown::Both);
    });
}

fn requests(mut client: TcpStream, mut broker: &TcpStream, state: &State, mute: &AtomicBool) {
    let mut size = [0; 4];
    while client.read_exact(&mut size).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        if client.read_exact(&mut frame).is_err() {
            return;
        }
        let api = i16::from_be_bytes([frame[0], frame[1]]);
        if api == LIST_OFFSETS {
            state.asked_for_offsets.fetch_add(1, SeqCst);
            if state.slow_offsets.load(SeqCst) {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        if api == FIND_COORDINATOR {
            state.asked_for_coordinators.fetch_add(1, SeqCst);
        }
        if api == INIT_PRODUCER_ID && state.silenced.load(SeqCst) {
            state.silencing.store(false, SeqCst);
        }
        let mut passes = !mute.load(SeqCst);
        if passes && state.silencing.load(SeqCst) && api == END_TXN {
            mute.store(true, SeqCst);
            passes = state.arrives.load(SeqCst);
            state.silenced.store(true, SeqCst);
        }
        if passes && (broker.write_all(&size).is_err() || broker.write_all(&frame).is_err()) {
            return;
        }
    }
}

fn responses(mut broker: TcpStream, mut client: &TcpStream, mute: &AtomicBool) {
    let mut octets = [0; 65536];
    while let Ok(n @ 1..) = broker.read(&mut octets) {
        if !mute.load(SeqCst) && client.write_all(&octets[..n]).is_err() {
            return;
        }
    }
}
