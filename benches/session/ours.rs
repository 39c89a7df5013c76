//! Our own session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use smpp_esme::{Bind, Client, Credentials, Inbound, Lease, Options, Outcome, Responder, Token};
use smpp_protocol::pdu::Sm;
use smpp_protocol::{Address, Command, Status};
use tokio::sync::Notify;

#[derive(Default)]
struct Answers {
    count: AtomicU64,
    wanted: u64,
    all: Notify,
}

impl Client for Answers {
    fn outcome(&self, _: Token, outcome: Outcome) {
        assert!(matches!(outcome, Outcome::Answered(_)), "{outcome:?}");
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 == self.wanted {
            self.all.notify_one();
        }
    }
}

impl Inbound for Answers {
    fn receive(&self, _: Bytes, responder: Responder) {
        responder.respond(Status::ROK);
    }
}

/// Submits messages as fast as the window lets; how many a second were answered.
pub fn run(port: &str, messages: u64, window: u64) -> f64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let answers = Arc::new(Answers {
            wanted: messages,
            ..Answers::default()
        });
        let options = Options {
            hosts: vec![format!("127.0.0.1:{port}")],
            credentials: Credentials {
                system_id: "bench".into(),
                password: "secret".to_owned().into(),
                ..Credentials::default()
            },
            window: window as usize,
            ..Options::default()
        };
        let lease = Lease::unlimited();
        let (bind, handle) = Bind::new(options, answers.clone(), answers.clone(), lease);
        tokio::spawn(bind.run());
        let mut next = handle.slot().await;
        let began = Instant::now();
        let text = "0123456789abcdef".repeat(10);
        for token in 0..messages {
            let slot = next.take().expect("the session lasts");
            let mut pdu = Vec::with_capacity(256);
            let message = Sm {
                source: Address::parse("12345"),
                destination: Address::parse("+41791234567"),
                short_message: text.as_bytes(),
                ..Sm::default()
            };
            message
                .encode(Command::SUBMIT_SM, Status::ROK, 0, &mut pdu)
                .expect("a message");
            slot.submit(token, pdu, Duration::from_secs(10))
                .expect("the session lasts");
            if token + 1 < messages {
                next = handle.slot().await;
            }
        }
        answers.all.notified().await;
        let elapsed = began.elapsed();
        handle.stop(Duration::from_secs(1));
        handle.stopped().await;
        messages as f64 / elapsed.as_secs_f64()
    })
}
