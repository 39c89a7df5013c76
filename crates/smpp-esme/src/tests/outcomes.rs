//! What becomes of requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

use super::peer::*;
use crate::{Doubt, Lease, Options, Outcome};
use smpp_protocol::frame::Header;
use smpp_protocol::{Command, Status};

fn window(window: usize) -> Options {
    Options {
        window,
        ..Options::default()
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_in_any_order_and_give_their_place_back() {
    let (mut esme, mut smsc) = session(window(2)).await;
    esme.submits(100).await;
    esme.submits(101).await;
    assert!(esme.handle.try_slot().is_none(), "the window is full");
    let first = smsc.expects(Command::SUBMIT_SM).await;
    let second = smsc.expects(Command::SUBMIT_SM).await;
    assert_ne!(first.sequence, second.sequence);

    smsc.sends(accepted(&second, "B")).await;
    assert_eq!(esme.hears_answer(101).await, (Status::ROK, "B".into()));
    assert!(esme.handle.slot().await.is_some());
    smsc.sends(empty(
        Command::SUBMIT_SM_RESP,
        Status::RTHROTTLED,
        first.sequence,
    ))
    .await;
    assert_eq!(
        esme.hears_answer(100).await,
        (Status::RTHROTTLED, String::new())
    );
    assert!(esme.is_at_peace());
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_splits_at_the_first_octet() {
    let length = submit_sm().len();
    let (mut esme, smsc) = session_over(window(10), Lease::unlimited(), length + 1).await;
    for token in 100..104 {
        esme.submits(token).await;
    }
    sleep(Duration::from_millis(1)).await;
    drop(smsc); // the pipe holds the first and one octet of the second
    assert_eq!(
        esme.hears().await,
        (100, Outcome::InDoubt(Doubt::ConnectionLost))
    );
    assert_eq!(
        esme.hears().await,
        (101, Outcome::InDoubt(Doubt::ConnectionLost))
    );
    assert_eq!(esme.hears().await, (102, Outcome::NotSent));
    assert_eq!(esme.hears().await, (103, Outcome::NotSent));
    esme.becomes("closed").await;
    assert!(esme.is_at_peace());
    assert_eq!(esme.sessions.recv().await, Some(Session::Bound(1)));
    assert_eq!(esme.sessions.recv().await, Some(Session::Unbound(1)));
    assert!(esme.sessions.try_recv().is_err(), "told once");
}

#[tokio::test(start_paused = true)]
async fn a_slot_kept_beyond_its_session_sends_nothing() {
    let (mut esme, smsc) = session(window(2)).await;
    let slot = esme.handle.slot().await.unwrap();
    drop(smsc);
    esme.becomes("closed").await;
    let refused = slot.submit(100, submit_sm(), RESPONSE).unwrap_err();
    assert_eq!(refused.0, submit_sm());
    assert!(esme.is_at_peace());
}

#[tokio::test(start_paused = true)]
async fn after_the_response_timer_an_answer_is_late() {
    let (mut esme, mut smsc) = session(window(1)).await;
    esme.submits(99).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(99).await, (Status::ROK, "A".into()));

    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    let sent = Instant::now();
    assert_eq!(esme.hears().await, (100, Outcome::InDoubt(Doubt::Timeout)));
    assert_eq!(sent.elapsed().as_secs(), RESPONSE.as_secs());

    esme.submits(101).await;
    let second = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends([accepted(&request, "LATE"), accepted(&second, "B")].concat())
        .await;
    let (token, outcome) = esme.hears().await;
    assert!(
        matches!(outcome, Outcome::Late(answer) if token == 100 && answer.message_id == b"LATE")
    );
    assert_eq!(esme.hears_answer(101).await, (Status::ROK, "B".into()));
    smsc.sends([accepted(&request, "AGAIN"), accepted(&second, "B")].concat())
        .await;
    sleep(Duration::from_secs(1)).await;
    assert!(esme.is_at_peace(), "nothing is told twice");
    assert_eq!(esme.handle.counts().unmatched, 2);
}

#[tokio::test(start_paused = true)]
async fn freezing_gives_back_what_was_not_begun_and_still_hears_answers() {
    let length = submit_sm().len();
    let (mut esme, mut smsc) = session_over(window(10), Lease::unlimited(), length + 1).await;
    for token in 100..104 {
        esme.submits(token).await;
    }
    sleep(Duration::from_millis(1)).await;
    esme.handle.freeze().await;
    assert_eq!(esme.hears().await, (102, Outcome::NotSent));
    assert_eq!(esme.hears().await, (103, Outcome::NotSent));
    assert!(
        esme.handle.slot().await.is_none(),
        "there will be no slot any more"
    );

    let first = smsc.expects(Command::SUBMIT_SM).await;
    let second = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&first, "A")).await;
    smsc.sends(accepted(&second, "B")).await;
    assert_eq!(esme.hears_answer(100).await.1, "A");
    assert_eq!(esme.hears_answer(101).await.1, "B");
    smsc.sends(deliver_sm(7)).await;
    let (_, responder) = esme.receives().await;
    responder.respond(Status::ROK);
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, 7)
        .await;
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_answers_and_unbinds() {
    let (mut esme, mut smsc) = session(window(10)).await;
    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    let handle = esme.handle.clone();
    let closing = tokio::spawn(async move {
        handle.stop(Duration::from_secs(5));
        handle.stopped().await
    });
    sleep(Duration::from_secs(2)).await;
    smsc.sends(accepted(&request, "A")).await;
    let unbind = smsc.expects(Command::UNBIND).await;
    assert!(!closing.is_finished());
    smsc.sends(empty(Command::UNBIND_RESP, Status::ROK, unbind.sequence))
        .await;
    assert_eq!(esme.hears_answer(100).await.1, "A");
    closing.await.unwrap();
    smsc.expects_end().await;
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_longer_than_it_was_told() {
    let (mut esme, mut smsc) = session(window(10)).await;
    esme.submits(100).await;
    smsc.expects(Command::SUBMIT_SM).await;
    let began = Instant::now();
    esme.handle.stop(Duration::from_secs(2));
    esme.handle.stopped().await;
    assert!(
        began.elapsed() <= Duration::from_millis(3100),
        "{:?}",
        began.elapsed()
    );
    smsc.expects(Command::UNBIND).await;
    assert_eq!(esme.hears().await, (100, Outcome::InDoubt(Doubt::Closed)));
    smsc.expects_end().await;
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_fate_of_what_was_delivered_and_leaves_the_rest_unanswered() {
    let (mut esme, mut smsc) = session(window(10)).await;
    smsc.sends(deliver_sm(7)).await;
    let (_, responder) = esme.receives().await;
    let handle = esme.handle.clone();
    tokio::spawn(async move {
        handle.stop(Duration::from_secs(5));
        handle.stopped().await
    });
    sleep(Duration::from_secs(1)).await;
    smsc.sends(deliver_sm(8)).await;
    sleep(Duration::from_secs(1)).await;
    responder.respond(Status::ROK);
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, 7)
        .await;
    smsc.expects(Command::UNBIND).await;
    smsc.sends(deliver_sm(9)).await;
    smsc.expects_end().await;
    assert!(esme.received.try_recv().is_err(), "8 and 9 are the SMSC's");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_bind_still_tells_the_outcomes() {
    let (mut esme, mut smsc) = session(window(10)).await;
    esme.submits(100).await;
    smsc.expects(Command::SUBMIT_SM).await;
    esme.task.abort();
    assert_eq!(esme.hears().await, (100, Outcome::InDoubt(Doubt::Closed)));
    esme.becomes("closed").await;
}

/// An SMSC that breaks every connection at another place, mid-PDU as often as not: each request
/// has exactly one outcome, and none that arrived counts as never sent.
#[tokio::test]
async fn whatever_breaks_each_request_has_exactly_one_outcome() {
    const REQUESTS: u64 = 3000;
    let listener = Listener::new().await;
    let options = Options {
        window: 100,
        ..towards(&[&listener])
    };
    let mut esme = Esme::running(options, Lease::unlimited());
    let arrived = Arc::new(AtomicU64::new(0));
    let arriving = Arc::clone(&arrived);
    let smsc = tokio::spawn(async move {
        for cut in (0..).map(|n| 40 + (n * 7919) % 20_000) {
            let mut smsc = listener.accepts().await.binds().await;
            let (mut read, mut buffer) = (Vec::new(), [0; 333]);
            let mut position = 0;
            while read.len() < cut {
                let wanted = buffer.len().min(cut - read.len());
                let Ok(count @ 1..) = smsc.io.read(&mut buffer[..wanted]).await else {
                    break;
                };
                read.extend_from_slice(&buffer[..count]);
                while let Some(header) = Header::decode(&read[position..])
                    && read.len() >= position + header.length as usize
                {
                    position += header.length as usize;
                    if header.command == Command::UNBIND {
                        smsc.sends(empty(Command::UNBIND_RESP, Status::ROK, header.sequence))
                            .await;
                        break;
                    }
                    arriving.fetch_add(1, Ordering::Relaxed);
                    if !header.sequence.is_multiple_of(10) {
                        smsc.sends(accepted(&header, "A")).await;
                    }
                }
            }
        }
    });
    let mut outcomes: HashMap<u64, Outcome> = HashMap::new();
    let mut token = 0;
    while token < REQUESTS {
        let slot = esme.handle.slot().await.unwrap();
        if slot.submit(token, submit_sm(), RESPONSE).is_ok() {
            token += 1;
        }
        while let Ok(told) = esme.told.try_recv() {
            assert!(outcomes.insert(told.token, told.outcome).is_none());
        }
    }
    esme.handle.stop(Duration::from_millis(500));
    esme.handle.stopped().await;
    while let Ok(told) = esme.told.try_recv() {
        assert!(outcomes.insert(told.token, told.outcome).is_none());
    }
    assert_eq!(outcomes.len() as u64, REQUESTS);
    let begun = outcomes
        .values()
        .filter(|outcome| **outcome != Outcome::NotSent)
        .count() as u64;
    let answered = outcomes
        .values()
        .filter(|o| matches!(o, Outcome::Answered(_)))
        .count();
    assert!(
        answered > 100 && begun > answered as u64,
        "{answered} of {begun} answered"
    );
    smsc.abort();
    let arrived = arrived.load(Ordering::Relaxed);
    assert!(
        arrived <= begun,
        "{arrived} arrived, {begun} may have been sent"
    );
    assert_eq!(esme.handle.counts().sent, begun);
}
