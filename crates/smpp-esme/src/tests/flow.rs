//! How many requests a session has unanswered, found from what the SMSC answers.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::sleep;

use super::peer::*;
use crate::{Lease, Options};
use smpp_protocol::frame::Header;
use smpp_protocol::pdu::SmResp;
use smpp_protocol::tlv::{Tag, Tlvs, push_tlv};
use smpp_protocol::{Command, Status};

/// A session that begins with one request.
fn gently(window: usize) -> Options {
    Options {
        window,
        start: 1,
        ..Options::default()
    }
}

/// Submits as many as there are slots for: their headers.
async fn fill(esme: &Esme, smsc: &mut Smsc<DuplexStream>) -> Vec<Header> {
    let mut headers = Vec::new();
    while let Some(slot) = esme.handle.try_slot() {
        slot.submit(1, submit_sm(), RESPONSE).expect("queued");
        headers.push(smsc.expects(Command::SUBMIT_SM).await);
    }
    headers
}

#[tokio::test(start_paused = true)]
async fn a_new_session_has_more_places_with_each_round_of_answers() {
    let (mut esme, mut smsc) = session(gently(10)).await;
    for wanted in [1, 2, 4, 8, 10, 10] {
        let open = fill(&esme, &mut smsc).await;
        assert_eq!(open.len(), wanted);
        assert_eq!(esme.handle.pace().window, wanted);
        sleep(Duration::from_millis(50)).await;
        for header in open {
            smsc.sends(accepted(&header, "A")).await;
            esme.hears_answer(1).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_smaller_window_holds_without_an_answer() {
    let options = Options {
        window: 10,
        ..Options::default()
    };
    let (esme, mut smsc) = session(options).await;
    for token in 0..3 {
        esme.submits(token).await;
        smsc.expects(Command::SUBMIT_SM).await;
    }
    // Handed out before the order, and not used: it is of no use after it.
    let slot = esme.handle.try_slot().expect("there is room");
    esme.handle.set_window(3);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(esme.handle.limit(), 3);
    assert!(slot.submit(9, submit_sm(), RESPONSE).is_err());
    assert!(esme.handle.try_slot().is_none(), "three are unanswered");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_places_away_and_too_fast_sets_a_rate() {
    let (mut esme, mut smsc) = session(gently(10)).await;
    for _ in 0..3 {
        for header in fill(&esme, &mut smsc).await {
            smsc.sends(accepted(&header, "A")).await;
            esme.hears_answer(1).await;
        }
    }
    let open = fill(&esme, &mut smsc).await;
    assert_eq!(open.len(), 8);
    let (taken, refused) = open.split_at(5);
    sleep(Duration::from_millis(50)).await;
    for header in refused {
        let full = Status::RMSGQFUL;
        let answer = empty(Command::SUBMIT_SM_RESP, full, header.sequence);
        smsc.sends(answer).await;
        esme.hears_answer(1).await;
    }
    assert!(esme.handle.try_slot().is_none(), "five are unanswered");
    assert_eq!(esme.handle.pace().window, 5);
    assert!(esme.handle.pace().troubled && !esme.handle.is_limited());
    for header in taken {
        let throttled = Status::RTHROTTLED;
        let answer = empty(Command::SUBMIT_SM_RESP, throttled, header.sequence);
        smsc.sends(answer).await;
        esme.hears_answer(1).await;
    }
    let rate = esme.handle.pace().rate.expect("a limit");
    assert!((5.0..7.0).contains(&rate), "{rate} of 7 taken in a second");
    assert!(esme.handle.is_limited());
    assert_eq!(fill(&esme, &mut smsc).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn nothing_more_goes_out_before_the_first_answer_nor_after_a_rest() {
    let (mut esme, mut smsc) = session(gently(4)).await;
    for wanted in [1, 2, 4] {
        let open = fill(&esme, &mut smsc).await;
        assert_eq!(open.len(), wanted);
        for header in open {
            smsc.sends(accepted(&header, "A")).await;
            esme.hears_answer(1).await;
        }
    }
    sleep(Duration::from_secs(2)).await;
    let open = fill(&esme, &mut smsc).await;
    assert_eq!(open.len(), 1, "the session may be dead by now");
    smsc.sends(accepted(&open[0], "A")).await;
    esme.hears_answer(1).await;
    assert_eq!(fill(&esme, &mut smsc).await.len(), 4, "it is not");
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_says_it_is_congested_gets_less() {
    let (mut esme, mut smsc) = session(Options {
        window: 100,
        start: 10,
        ..Options::default()
    })
    .await;
    for wanted in [10, 8, 6] {
        let open = fill(&esme, &mut smsc).await;
        assert_eq!(open.len(), wanted);
        sleep(Duration::from_millis(50)).await;
        for header in open {
            let mut tlvs = Vec::new();
            push_tlv(&mut tlvs, Tag::CONGESTION_STATE, &[95]).unwrap();
            let mut pdu = Vec::new();
            SmResp {
                message_id: b"A",
                tlvs: Tlvs::new(&tlvs),
            }
            .encode(
                Command::SUBMIT_SM_RESP,
                Status::ROK,
                header.sequence,
                &mut pdu,
            )
            .unwrap();
            smsc.sends(pdu).await;
            esme.hears_answer(1).await;
        }
    }
}

#[tokio::test]
async fn what_is_known_of_an_smsc_outlives_the_session() {
    let listener = Listener::new().await;
    let mut esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    let mut smsc = listener.accepts().await.binds().await;
    esme.submits(1).await;
    let header = smsc.expects(Command::SUBMIT_SM).await;
    let throttled = Status::RTHROTTLED;
    smsc.sends(empty(Command::SUBMIT_SM_RESP, throttled, header.sequence))
        .await;
    esme.hears_answer(1).await;
    drop(smsc);
    let mut smsc = listener.accepts().await.binds().await;
    esme.submits(2).await;
    smsc.expects(Command::SUBMIT_SM).await;
    assert!(esme.handle.is_limited() && esme.handle.pace().troubled);
}
