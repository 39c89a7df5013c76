//! SMSCs that take binds and do not serve them.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::peer::*;
use crate::{Doubt, Lease, Options, Outcome};
use smpp_protocol::{Command, Status};

/// What goes to an SMSC before its first answer.
const FEW: usize = 10;

/// Options with what a bind has from the first: few messages.
fn few(options: Options) -> Options {
    Options {
        start: FEW,
        ..options
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_smsc_that_ends_every_session_at_once_gets_little_to_lose() {
    let listener = Listener::new().await;
    let mut esme = Esme::running(few(towards(&[&listener])), Lease::unlimited());
    esme.submits_greedily(1);
    for _ in 0..6 {
        let mut smsc = listener.accepts().await.binds().await;
        // Nothing is answered; what came is read, so that the connection ends with a FIN.
        let reads = async { while smsc.next().await.is_some() {} };
        let _ = timeout(Duration::from_millis(10), reads).await;
    }
    esme.handle.stop(Duration::ZERO);
    esme.handle.stopped().await;
    let mut in_doubt = 0;
    while let Ok(told) = esme.told.try_recv() {
        in_doubt += usize::from(matches!(told.outcome, Outcome::InDoubt(_)));
    }
    // One at most in each session after the first, and in most of them none.
    assert!((1..=FEW + 5).contains(&in_doubt), "{in_doubt} in doubt");
    let counts = esme.handle.counts();
    assert_eq!(counts.in_doubt, in_doubt as u64);
    assert!(counts.short_lived >= 5, "{}", counts.short_lived);
}

#[tokio::test]
async fn one_message_is_sent_to_an_smsc_that_failed_and_all_when_it_answers() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    esme.submits_greedily(1);
    drop(listener.accepts().await.binds().await);
    let mut smsc = listener.accepts().await.binds().await;
    let probe = smsc.expects(Command::SUBMIT_SM).await;
    let more = timeout(Duration::from_millis(100), smsc.expects(Command::SUBMIT_SM)).await;
    assert!(more.is_err(), "one at first");
    assert_eq!(esme.handle.limit(), 1);
    smsc.sends(accepted(&probe, "A")).await;
    for _ in 0..FEW {
        smsc.expects(Command::SUBMIT_SM).await;
    }
}

/// Answers enquire_link, and nothing else; how many submit_sm came until our unbind.
async fn serve_deaf(smsc: &mut Smsc<tokio::io::DuplexStream>) -> usize {
    let mut messages = 0;
    loop {
        let request = smsc.next().await.expect("an unbind first");
        match request.command {
            Command::SUBMIT_SM => messages += 1,
            Command::UNBIND => {
                let answer = empty(Command::UNBIND_RESP, Status::ROK, request.sequence);
                smsc.sends(answer).await;
                smsc.expects_end().await;
                return messages;
            }
            command => {
                let answer = empty(command.response(), Status::ROK, request.sequence);
                smsc.sends(answer).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_answers_no_message_is_given_up() {
    let mut options = Options::default();
    options.timers.enquire_link = crate::Time::seconds(3);
    let (mut esme, mut smsc) = session(few(options)).await;
    esme.submits_greedily(1);
    let began = Instant::now();
    assert_eq!(serve_deaf(&mut smsc).await, FEW);
    assert_eq!(began.elapsed().as_secs(), 20);
    esme.becomes("closed").await;
    for _ in 0..FEW {
        let (_, outcome) = esme.hears().await;
        assert_eq!(outcome, Outcome::InDoubt(Doubt::Timeout));
    }
    assert!(esme.is_at_peace(), "nothing else was sent");
    assert_eq!(esme.handle.counts().deaf, 1);
}

#[tokio::test]
async fn an_inactive_session_without_an_answer_makes_room_for_the_next_host() {
    let (first, second) = (Listener::new().await, Listener::new().await);
    let mut options = towards(&[&first, &second]);
    options.timers.inactivity = crate::Time::millis(200);
    let esme = Esme::running(options, Lease::unlimited());
    let mut unserved = first.accepts().await.binds().await;
    esme.submits(1).await;
    unserved.expects(Command::SUBMIT_SM).await;
    unserved.expects_end_of_anything().await;
    second.accepts().await.binds().await;
    let counts = esme.handle.counts();
    assert_eq!((counts.failures, counts.short_lived), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_falls_silent_is_given_up_and_probed_once() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    sleep(Duration::from_secs(2)).await;
    esme.submits(1).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(1).await.1, "A");
    assert_eq!(esme.handle.limit(), 100);
    esme.submits_greedily(2);
    assert_eq!(serve_deaf(&mut smsc).await, 101);
    esme.becomes("closed").await;
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_answers_late_is_kept() {
    const LATE: Duration = Duration::from_secs(15);
    let (mut esme, mut smsc) = session(Options::default()).await;
    esme.submits_greedily(1);
    let began = Instant::now();
    let mut late = 0;
    let mut due = std::collections::VecDeque::new();
    while began.elapsed() < 10 * MINUTE {
        let next = due.front().map_or(began + 10 * MINUTE, |(at, _)| *at);
        match tokio::time::timeout_at(next, smsc.next()).await {
            Ok(Some(request)) if request.command == Command::SUBMIT_SM => {
                due.push_back((Instant::now() + LATE, request));
            }
            Ok(Some(probe)) => {
                assert_eq!(probe.command, Command::ENQUIRE_LINK, "it is never given up");
                let answer = empty(probe.command.response(), Status::ROK, probe.sequence);
                smsc.sends(answer).await;
            }
            Ok(None) => panic!("it was given up"),
            Err(_) => {
                if let Some((_, request)) = due.pop_front() {
                    smsc.sends(accepted(&request, "A")).await;
                }
            }
        }
        while let Ok(told) = esme.told.try_recv() {
            late += usize::from(matches!(told.outcome, Outcome::Late(_)));
        }
    }
    assert!(late > 100, "{late} late answers");
    assert_eq!(esme.handle.counts().deaf, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_being_closed_is_not_given_up_before() {
    let (mut esme, mut smsc) = session(few(Options::default())).await;
    esme.submits_greedily(1);
    sleep(Duration::from_secs(5)).await;
    let handle = esme.handle.clone();
    let began = Instant::now();
    let closing = tokio::spawn(async move {
        handle.stop(Duration::from_secs(60));
        handle.stopped().await
    });
    assert_eq!(serve_deaf(&mut smsc).await, FEW);
    closing.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 5, "when the last has timed out");
    assert_eq!(esme.hears().await.1, Outcome::InDoubt(Doubt::Timeout));
    assert_eq!(esme.handle.counts().deaf, 0);
}

#[tokio::test]
async fn a_deaf_first_host_makes_room_for_the_second() {
    let (first, second) = (Listener::new().await, Listener::new().await);
    let mut options = few(towards(&[&first, &second]));
    options.timers.response = crate::Time::millis(200);
    let esme = Esme::running(options, Lease::unlimited());
    let handle = esme.handle.clone();
    let submitting = tokio::spawn(async move {
        while let Some(slot) = handle.slot().await {
            let _ = slot.submit(1, submit_sm(), Duration::from_millis(200));
        }
    });
    let mut deaf = first.accepts().await.binds().await;
    deaf.expects_end_of_anything().await;
    let mut smsc = second.accepts().await.binds().await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&request, "A")).await;
    smsc.expects(Command::SUBMIT_SM).await;
    assert_eq!(esme.handle.counts().timeouts, FEW as u64);
    submitting.abort();
}
