//! How many messages a second the simulator accepts and answers on one connection.
//!
//! ```text
//! cargo bench -p smsc-simulator
//! ```

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smpp_protocol::pdu::{Bind, Sm};
use smpp_protocol::{Address, Command, Status, frame};
use smsc_simulator::{Options, Simulator};

const MESSAGES: u32 = 10_000;

/// A connection that writes without waiting, and counts answers.
struct Esme {
    socket: TcpStream,
    read: Vec<u8>,
    first: usize,
}

impl Esme {
    fn bound(address: SocketAddr) -> Esme {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut esme = Esme {
            socket,
            read: Vec::new(),
            first: 0,
        };
        let bind = Bind {
            system_id: b"bench",
            ..Bind::default()
        };
        let mut pdu = Vec::new();
        bind.encode(Command::BIND_TRANSMITTER, Status::ROK, 1, &mut pdu)
            .unwrap();
        esme.socket.write_all(&pdu).unwrap();
        esme.answers(1);
        esme
    }

    /// Reads so many PDUs; all are answers without an error.
    fn answers(&mut self, mut left: u32) {
        let mut octets = [0; 65_536];
        while left > 0 {
            while let Some(pdu) = frame::split(&self.read[self.first..], 65_536).unwrap() {
                assert_eq!(pdu.header.status, Status::ROK);
                self.first += pdu.header.length as usize;
                left -= 1;
            }
            self.read.drain(..std::mem::take(&mut self.first));
            if left > 0 {
                let count = self.socket.read(&mut octets).unwrap();
                assert!(count > 0, "the simulator closed the connection");
                self.read.extend_from_slice(&octets[..count]);
            }
        }
    }
}

fn answers(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = Options {
        remember: 0,
        ..Options::default()
    };
    let smsc = runtime.block_on(Simulator::start(options)).unwrap();
    let mut esme = Esme::bound(smsc.addr());
    let message = Sm {
        source: Address::parse("12345"),
        destination: Address::parse("+41791234567"),
        short_message: b"Your code is 123456",
        ..Sm::default()
    };
    let mut pdus = Vec::new();
    for sequence in 2..MESSAGES + 2 {
        message
            .encode(Command::SUBMIT_SM, Status::ROK, sequence, &mut pdus)
            .unwrap();
    }
    let mut group = c.benchmark_group("answers");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(MESSAGES.into()));
    group.bench_function("submit_sm", |b| {
        b.iter(|| {
            let mut writer = esme.socket.try_clone().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| writer.write_all(&pdus).unwrap());
                esme.answers(MESSAGES);
            });
        });
    });
    group.finish();
    smsc.stop();
    runtime.block_on(smsc.stopped());
}

criterion_group!(benches, answers);
criterion_main!(benches);
