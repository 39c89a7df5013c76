//! Our sessions with SMSCs that others wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use smpp_esme::{
    Answer, Bind, Client, Credentials, Handle, Inbound, Lease, Options, Outcome, Responder, State,
    Token,
};
use smpp_protocol::pdu::Sm;
use smpp_protocol::{Address, Command, Status};

use crate::harness::{FakeSmsc, PATIENCE, Reply, Smsc, eventually};

#[derive(Default)]
struct Seen {
    outcomes: Mutex<BTreeMap<Token, Outcome>>,
    inbound: Mutex<usize>,
}

impl Client for Seen {
    fn outcome(&self, token: Token, outcome: Outcome) {
        let before = self.outcomes.lock().insert(token, outcome);
        assert_eq!(before, None, "one outcome each");
    }
}

impl Inbound for Seen {
    fn receive(&self, _frame: Bytes, responder: Responder) {
        *self.inbound.lock() += 1;
        responder.respond(Status::ROK);
    }
}

fn bind(port: u16, password: &str) -> (Arc<Seen>, Handle) {
    let seen = Arc::new(Seen::default());
    let options = Options {
        hosts: vec![format!("127.0.0.1:{port}")],
        credentials: Credentials {
            system_id: "esme".into(),
            password: password.to_owned().into(),
            ..Credentials::default()
        },
        window: 20,
        start: 20,
        ..Options::default()
    };
    let (bind, handle) = Bind::new(options, seen.clone(), seen.clone(), Lease::unlimited());
    tokio::spawn(bind.run());
    (seen, handle)
}

fn submit_sm(text: &[u8], registered_delivery: u8) -> Vec<u8> {
    let mut pdu = Vec::new();
    let message = Sm {
        source: Address::parse("1000"),
        destination: Address::parse("41791234567"),
        registered_delivery,
        short_message: text,
        ..Sm::default()
    };
    message
        .encode(Command::SUBMIT_SM, Status::ROK, 0, &mut pdu)
        .unwrap();
    pdu
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_jsmpp() {
    session(Smsc::jsmpp()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_cloudhopper() {
    session(Smsc::cloudhopper()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_node_smpp() {
    session(Smsc::node()).await;
}

/// 300 messages in a window of 20, each answered and with a receipt; then unbind.
async fn session(smsc: Smsc) {
    let (seen, handle) = bind(smsc.port(), "secret");
    for token in 0..300 {
        let slot = handle.slot().await.unwrap();
        let pdu = submit_sm(format!("m{token}").as_bytes(), 1);
        slot.submit(token, pdu, Duration::from_secs(10)).unwrap();
    }
    until("all are answered", || seen.outcomes.lock().len() == 300).await;
    until("all have receipts", || *seen.inbound.lock() == 300).await;
    let mut ids = BTreeMap::new();
    for outcome in seen.outcomes.lock().values() {
        let Outcome::Answered(Answer {
            status, message_id, ..
        }) = outcome
        else {
            panic!("{outcome:?}");
        };
        assert_eq!(*status, Status::ROK);
        ids.insert(String::from_utf8(message_id.clone()).unwrap(), ());
    }
    assert_eq!(ids.len(), 300);
    let said = smsc.of("submit");
    assert!(
        said.iter()
            .all(|s| ids.contains_key(s["message_id"].as_str().unwrap()))
    );
    handle.stop(Duration::from_secs(2));
    handle.stopped().await;
    smsc.wait_for("closed", 1);
    let receipts = smsc.wait_for("receipt", 300);
    assert!(
        receipts.iter().all(|r| r["outcome"] == "acknowledged"),
        "no receipt is repeated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_a_refusal_and_no_hot_loop() {
    let smsc = Smsc::node();
    let (_seen, handle) = bind(smsc.port(), "wrong");
    let refused = |state: &State| matches!(state, State::Refused { .. });
    tokio::time::timeout(PATIENCE, handle.state().wait_for(refused))
        .await
        .unwrap()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(smsc.of("bind").len(), 1);
    handle.stop(Duration::from_secs(1));
    handle.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_splits_requests_exactly() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let (seen, handle) = bind(smsc.port(), "secret");
    for token in 0..10 {
        let slot = handle.slot().await.unwrap();
        slot.submit(token, submit_sm(b"hi", 0), Duration::from_secs(10))
            .unwrap();
    }
    until("ten have arrived", || smsc.submits().len() == 10).await;
    smsc.drop_connections();
    until("ten are in doubt", || seen.outcomes.lock().len() == 10).await;
    assert!(
        seen.outcomes
            .lock()
            .values()
            .all(|o| matches!(o, Outcome::InDoubt(_)))
    );
    let again = smsc.clone();
    let bound = move || again.bound() == 1;
    tokio::task::spawn_blocking(move || eventually("it binds again", PATIENCE, bound))
        .await
        .unwrap();
    handle.stop(Duration::from_secs(1));
    handle.stopped().await;
}
