//! Binds that have gone to another host, and their way back.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::peer::*;
use crate::Time;
use crate::{Lease, Options, State};
use smpp_protocol::{Command, Status};

/// Options for two hosts; the first is looked at every 100 ms.
fn towards_both(first: &Listener, second: &Listener) -> Options {
    let mut options = towards(&[first, second]);
    options.timers.response = Time::millis(600);
    options.reconnect.return_to_first = Time::millis(100);
    options
}

/// A bind that is with the second host because nobody listens at the first, its session there,
/// the second host, and the first one's address.
async fn away() -> (Esme, Smsc<tokio::net::TcpStream>, Listener, String) {
    let (first, second) = (Listener::new().await, Listener::new().await);
    let address = first.address();
    let options = towards_both(&first, &second);
    drop(first);
    let esme = Esme::running(options, Lease::unlimited());
    let smsc = second.accepts().await.binds().await;
    esme.becomes("bound").await;
    (esme, smsc, second, address)
}

/// Answers our unbind; nothing else comes before it.
async fn lets_go(smsc: &mut Smsc<tokio::net::TcpStream>) {
    let unbind = smsc.expects(Command::UNBIND).await;
    let answer = empty(Command::UNBIND_RESP, Status::ROK, unbind.sequence);
    smsc.sends(answer).await;
    smsc.expects_end().await;
}

/// The first connection is only to see whether somebody is there.
async fn is_looked_at(first: &Listener) {
    first.accepts().await.expects_end().await;
}

#[tokio::test]
async fn a_bind_returns_to_the_first_host_when_nothing_is_unanswered() {
    let (mut esme, mut smsc, _second, address) = away().await;
    esme.submits(1).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    let first = Listener::at(&address).await;
    is_looked_at(&first).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(esme.handle.limit(), 0, "nothing more is sent");
    smsc.sends(deliver_sm(7)).await;
    let (_, responder) = esme.receives().await;
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(1).await.1, "A");
    let early = timeout(Duration::from_millis(50), smsc.next()).await;
    assert!(early.is_err(), "the deliver_sm is not acknowledged yet");
    responder.respond(Status::ROK);
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, 7)
        .await;
    lets_go(&mut smsc).await;
    let _smsc = first.accepts().await.binds().await;
    let State::Bound { host, .. } = esme.becomes("bound").await else {
        panic!()
    };
    assert_eq!(*host, *address);
    assert!(esme.is_at_peace(), "nothing is in doubt");
    let counts = esme.handle.counts();
    assert_eq!((counts.returns, counts.returns_failed), (1, 0));
    assert_eq!(counts.failures, 1, "that was before");
}

#[tokio::test]
async fn a_first_host_that_accepts_and_does_not_bind_is_left_again_at_once() {
    let (esme, mut smsc, second, address) = away().await;
    let first = Listener::at(&address).await;
    is_looked_at(&first).await;
    lets_go(&mut smsc).await;
    let mut refusing = first.accepts().await;
    let bind = refusing.expects(Command::BIND_TRANSCEIVER).await;
    let refusal = empty(bind.command.response(), Status::RALYBND, bind.sequence);
    refusing.sends(refusal).await;
    let _smsc = second.accepts().await.binds().await;
    let state = esme.handle.state();
    assert!(!matches!(*state.borrow(), State::Backoff { .. }));
    esme.becomes("bound").await;
    assert_eq!(esme.handle.counts().returns_failed, 1);
}

#[tokio::test]
async fn a_first_host_that_ends_the_session_at_once_is_left_again() {
    let (esme, mut smsc, second, address) = away().await;
    let first = Listener::at(&address).await;
    esme.submits_greedily(1);
    let mut lost = 0;
    loop {
        // What came before its unbind is answered.
        let request = smsc.next().await.unwrap();
        if request.command == Command::UNBIND {
            smsc.sends(empty(Command::UNBIND_RESP, Status::ROK, request.sequence))
                .await;
            break;
        }
        smsc.sends(accepted(&request, "A")).await;
    }
    is_looked_at(&first).await;
    let mut dying = first.accepts().await.binds().await;
    let got = timeout(Duration::from_millis(10), dying.next()).await;
    lost += usize::from(got.is_ok());
    drop(dying);
    let _smsc = second.accepts().await.binds().await;
    esme.becomes("bound").await;
    assert!(lost <= 1, "it is trusted with one message at most");
    let counts = esme.handle.counts();
    assert_eq!((counts.returns, counts.returns_failed), (1, 1));
    assert!(counts.in_doubt <= 1);
}

#[tokio::test]
async fn a_session_with_something_unanswered_goes_on() {
    let (mut esme, mut smsc, _second, address) = away().await;
    esme.submits(1).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    // The drain may take half of timers.response: none is answered within it.
    let _first = Listener::at(&address).await;
    while esme.handle.counts().returns_given_up == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(1).await.1, "A");
    assert_eq!(esme.handle.counts().sessions, 1);
}

#[tokio::test]
async fn a_session_whose_answer_seems_to_be_lost_does_not_stop_sending() {
    let (first, second) = (Listener::new().await, Listener::new().await);
    let address = first.address();
    let mut options = towards_both(&first, &second);
    options.timers.response = Time::seconds(4);
    drop(first);
    let esme = Esme::running(options, Lease::unlimited());
    let mut smsc = second.accepts().await.binds().await;
    esme.becomes("bound").await;
    esme.submits(1).await;
    smsc.expects(Command::SUBMIT_SM).await;
    // Half of timers.response and a little more, and nothing has come.
    sleep(Duration::from_millis(2100)).await;
    let first = Listener::at(&address).await;
    is_looked_at(&first).await;
    let begun = Instant::now();
    let mut limits = Vec::new();
    while begun.elapsed() < Duration::from_millis(200) {
        limits.push(esme.handle.limit());
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!limits.contains(&0), "it sends on");
    assert!(esme.handle.counts().returns_given_up >= 1);
}

#[tokio::test]
async fn whoever_is_to_close_does_not_return() {
    let (esme, mut smsc, _second, address) = away().await;
    esme.submits(1).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    let first = Listener::at(&address).await;
    is_looked_at(&first).await;
    let handle = esme.handle.clone();
    let closing = tokio::spawn(async move {
        handle.stop(Duration::from_secs(5));
        handle.stopped().await
    });
    sleep(Duration::from_millis(20)).await;
    smsc.sends(accepted(&request, "A")).await;
    lets_go(&mut smsc).await;
    closing.await.unwrap();
    assert_eq!(esme.handle.counts().returns, 0);
}
