//! How many messages a second go through one session with the simulator, at several windows.
//!
//! ```text
//! cargo bench -p smpp-esme
//! ```

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smpp_esme::{Bind, Client, Inbound, Lease, Options, Outcome, Responder, Token};
use smpp_protocol::pdu::Sm;
use smpp_protocol::{Address, Command, Status};
use smsc_simulator::Simulator;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const MESSAGES: u64 = 10_000;

struct Outcomes(UnboundedSender<Token>);

impl Client for Outcomes {
    fn outcome(&self, token: Token, outcome: Outcome) {
        assert!(matches!(outcome, Outcome::Answered(_)), "{outcome:?}");
        self.0.send(token).ok();
    }
}

impl Inbound for Outcomes {
    fn receive(&self, _: Bytes, responder: Responder) {
        responder.respond(Status::ROK);
    }
}

fn session(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = smsc_simulator::Options {
        remember: 0,
        ..smsc_simulator::Options::default()
    };
    let smsc = runtime.block_on(Simulator::start(options)).unwrap();
    let message = Sm {
        source: Address::parse("12345"),
        destination: Address::parse("+41791234567"),
        short_message: b"Your code is 123456",
        ..Sm::default()
    };
    let mut submit_sm = Vec::new();
    message
        .encode(Command::SUBMIT_SM, Status::ROK, 0, &mut submit_sm)
        .unwrap();
    let mut group = c.benchmark_group("session");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(MESSAGES));
    for window in [10, 100, 1000] {
        let (outcomes, mut told) = unbounded_channel();
        let client = Arc::new(Outcomes(outcomes));
        let options = Options {
            hosts: vec![smsc.addr().to_string()],
            window,
            ..Options::default()
        };
        let (bind, handle) = Bind::new(options, client.clone(), client, Lease::unlimited());
        let task = runtime.spawn(bind.run());
        group.bench_function(BenchmarkId::from_parameter(window), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    for token in 0..MESSAGES {
                        let slot = handle.slot().await.unwrap();
                        slot.submit(token, submit_sm.clone(), Duration::from_secs(10))
                            .unwrap();
                    }
                    for _ in 0..MESSAGES {
                        told.recv().await.unwrap();
                    }
                });
            });
        });
        handle.stop(Duration::from_secs(1));
        runtime.block_on(handle.stopped());
        runtime.block_on(task).unwrap();
    }
    group.finish();
    smsc.stop();
    runtime.block_on(smsc.stopped());
}

criterion_group!(benches, session);
criterion_main!(benches);
