//! What the clock does to a session.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::peer::*;
use crate::Time;
use crate::{Doubt, Lease, Moment, Options, Outcome, Timers};
use smpp_protocol::{Command, Status};

fn timers(timers: Timers) -> Options {
    Options {
        timers,
        ..Options::default()
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_probed_and_an_answer_keeps_the_session() {
    let (esme, mut smsc) = session(Options::default()).await;
    let began = Instant::now();
    for round in 1..=3 {
        let probe = smsc.expects(Command::ENQUIRE_LINK).await;
        assert_eq!(began.elapsed().as_secs(), round * 30);
        smsc.sends(empty(
            Command::ENQUIRE_LINK_RESP,
            Status::ROK,
            probe.sequence,
        ))
        .await;
    }
    smsc.sends(empty(Command::ENQUIRE_LINK, Status::ROK, 9))
        .await;
    smsc.expects_answer(Command::ENQUIRE_LINK_RESP, Status::ROK, 9)
        .await;
    assert_eq!(esme.handle.state().borrow().name(), "bound");
}

#[tokio::test(start_paused = true)]
async fn a_silent_smsc_is_given_up_after_the_response_timer() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    sleep(Duration::from_secs(25)).await;
    esme.submits(100).await;
    smsc.expects(Command::SUBMIT_SM).await;
    let began = Instant::now();
    smsc.expects(Command::ENQUIRE_LINK).await;
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(esme.hears().await, (100, Outcome::InDoubt(Doubt::Timeout)));
    smsc.expects_end().await;
    assert_eq!(began.elapsed().as_secs(), 15);
    esme.becomes("closed").await;
    let counts = esme.handle.counts();
    assert_eq!((counts.silent, counts.deaf), (1, 0));
    assert_eq!(
        counts.timeouts, 1,
        "of the submit_sm, not of the enquire_link"
    );
    assert!(esme.is_at_peace());
}

#[tokio::test(start_paused = true)]
async fn a_session_without_messages_is_unbound_when_asked_for() {
    let inactivity = Time::seconds(60);
    let (esme, mut smsc) = session(timers(Timers {
        inactivity,
        ..Timers::default()
    }))
    .await;
    let began = Instant::now();
    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    assert_eq!((esme.handle.used(), esme.handle.round_trip()), (1, None));
    sleep(Duration::from_secs(5)).await;
    smsc.sends(accepted(&request, "A")).await;
    let probe = smsc.expects(Command::ENQUIRE_LINK).await;
    smsc.sends(empty(
        Command::ENQUIRE_LINK_RESP,
        Status::ROK,
        probe.sequence,
    ))
    .await;
    let unbind = smsc.expects(Command::UNBIND).await;
    assert!(esme.handle.round_trip().is_some());
    assert_eq!(esme.handle.used(), 0);
    assert_eq!(
        began.elapsed().as_secs(),
        65,
        "an enquire_link is no message"
    );
    smsc.sends(empty(Command::UNBIND_RESP, Status::ROK, unbind.sequence))
        .await;
    smsc.expects_end().await;
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_pdu_is_not_waited_for_without_end() {
    let (esme, mut smsc) = session(Options::default()).await;
    let pdu = deliver_sm(7);
    let began = Instant::now();
    smsc.sends(&pdu[..20]).await;
    sleep(Duration::from_secs(9)).await;
    smsc.sends(&pdu[20..22]).await;
    smsc.expects_end().await;
    assert_eq!(
        began.elapsed().as_secs(),
        10,
        "a trickle does not extend it"
    );
    esme.becomes("closed").await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_pdu_is_no_incomplete_one() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    for (n, pdu) in [deliver_sm(1), deliver_sm(2), deliver_sm(3)]
        .iter()
        .enumerate()
    {
        smsc.sends(&pdu[..20]).await;
        sleep(Duration::from_secs(6)).await;
        smsc.sends(&pdu[20..]).await;
        assert_eq!(esme.receives().await.0.sequence, n as u32 + 1);
        smsc.expects(Command::DELIVER_SM_RESP).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_reads_nothing_is_given_up() {
    let (mut esme, mut smsc) = session_over(Options::default(), Lease::unlimited(), 20).await;
    esme.submits(100).await;
    esme.submits(101).await;
    for n in 0..20 {
        sleep(Duration::from_secs(1)).await; // it talks, though
        if esme.handle.state().borrow().name() != "bound" {
            assert!((9..12).contains(&n), "given up after {n} s");
            break;
        }
        smsc.sends(empty(Command::ALERT_NOTIFICATION, Status::ROK, n))
            .await;
    }
    assert!(matches!(esme.hears().await, (100, Outcome::InDoubt(_))));
    assert_eq!(esme.hears().await, (101, Outcome::NotSent));
}

fn lease_for(seconds: u64) -> Lease {
    let lease = Lease::new();
    lease.extend(Moment::now(), Duration::from_secs(seconds));
    lease
}

#[tokio::test(start_paused = true)]
async fn a_session_unbinds_when_its_lease_is_over() {
    let (mut esme, mut smsc) = session_over(Options::default(), lease_for(8), 1 << 20).await;
    let began = Instant::now();
    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    let unbind = smsc.expects(Command::UNBIND).await;
    assert_eq!(began.elapsed().as_secs(), 8);
    assert!(esme.handle.try_slot().is_none());
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(100).await.1, "A");
    smsc.sends(empty(Command::UNBIND_RESP, Status::ROK, unbind.sequence))
        .await;
    smsc.expects_end().await;
}

#[tokio::test(start_paused = true)]
async fn an_extended_lease_keeps_the_session() {
    let (esme, mut smsc) = session_over(Options::default(), lease_for(8), 1 << 20).await;
    let began = Instant::now();
    for _ in 0..4 {
        sleep(Duration::from_secs(6)).await;
        esme.lease.extend(Moment::now(), Duration::from_secs(8));
    }
    esme.submits(100).await;
    smsc.expects(Command::SUBMIT_SM).await;
    assert_eq!(began.elapsed().as_secs(), 24);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_after_the_lease_however_long_it_waited_in_the_buffer() {
    let length = submit_sm().len();
    let (mut esme, mut smsc) = session_over(Options::default(), lease_for(8), length + 1).await;
    for token in 100..103 {
        esme.submits(token).await;
    }
    sleep(Duration::from_secs(7)).await; // the SMSC does not read
    esme.lease.end();
    smsc.expects(Command::SUBMIT_SM).await;
    smsc.expects(Command::SUBMIT_SM).await; // begun before: finished
    smsc.expects(Command::UNBIND).await;
    assert_eq!(esme.hears().await, (102, Outcome::NotSent));
    drop(smsc);
    assert_eq!(
        esme.hears().await,
        (100, Outcome::InDoubt(Doubt::LeaseOver))
    );
    assert_eq!(
        esme.hears().await,
        (101, Outcome::InDoubt(Doubt::LeaseOver))
    );
}
