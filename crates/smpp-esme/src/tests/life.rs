//! One session after another, over real connections.

use std::time::{Duration, Instant};

use super::peer::*;
use crate::Time;
use crate::{
    Change, Credentials, Lease, Mode, Moment, Options, OutbindListener, OutbindOptions, Outcome,
    State, Timers,
};
use smpp_protocol::{Command, Status};

const SOON: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_bind_says_who_it_is() {
    let listener = Listener::new().await;
    let credentials = Credentials {
        system_id: "acme".into(),
        password: "s3cret".to_owned().into(),
        system_type: "VMA".into(),
        addr_ton: 1,
        addr_npi: 1,
        address_range: "^49".into(),
        ..Credentials::default()
    };
    let options = Options {
        credentials,
        mode: Mode::Transmitter,
        ..towards(&[&listener])
    };
    let _esme = Esme::running(options, Lease::unlimited());
    let mut smsc = listener.accepts().await;
    let mut pdu = vec![0; 39];
    tokio::io::AsyncReadExt::read_exact(&mut smsc.io, &mut pdu)
        .await
        .unwrap();
    assert_eq!(pdu[..16], [0, 0, 0, 39, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(pdu[16..], *b"acme\0s3cret\0VMA\0\x34\x01\x01^49\0");
}

#[tokio::test]
async fn a_lost_session_is_replaced_and_slots_wait_for_it() {
    let listener = Listener::new().await;
    let mut esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    let smsc = listener.accepts().await.binds().await;
    esme.becomes("bound").await;
    drop(smsc);
    esme.becomes("backoff").await;
    let mut smsc = listener.accepts().await.binds().await;
    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(100).await.1, "A");
    let state = esme.becomes("bound").await;
    assert!(
        matches!(state, State::Bound { generation: 2, .. }),
        "{state:?}"
    );
    let counts = esme.handle.counts();
    assert_eq!((counts.sessions, counts.failures), (2, 1));
    for told in [Session::Bound(1), Session::Unbound(1), Session::Bound(2)] {
        assert_eq!(esme.sessions.recv().await, Some(told));
    }
}

#[tokio::test]
async fn each_change_of_a_bind_is_told_and_whether_it_was_wanted() {
    let listener = Listener::new().await;
    let mut esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    // The first attempt fails; so does the second, which changes nothing.
    for _ in 0..2 {
        drop(listener.accepts().await);
    }
    let smsc = listener.accepts().await.binds().await;
    esme.submits(100).await;
    drop(smsc);
    let _smsc = listener.accepts().await.binds().await;
    esme.becomes("bound").await;
    esme.handle.stop(Duration::ZERO);
    let mut told = Vec::new();
    while let Some(change) = esme.changes.recv().await {
        told.push(match change {
            Change::Bound { generation, .. } => format!("bound {generation}"),
            Change::Unbound {
                wanted,
                lasted,
                unanswered,
                ..
            } => format!("{wanted} {} {unanswered}", lasted.is_some()),
        });
    }
    assert_eq!(
        told,
        [
            "false false 0",
            "bound 1",
            "false true 1",
            "bound 2",
            "true true 0"
        ]
    );
}

#[tokio::test]
async fn an_smsc_that_unbinds_is_bound_again() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    let mut smsc = listener.accepts().await.binds().await;
    smsc.sends(empty(Command::UNBIND, Status::ROK, 7)).await;
    smsc.expects_answer(Command::UNBIND_RESP, Status::ROK, 7)
        .await;
    smsc.expects_end().await;
    let _smsc = listener.accepts().await.binds().await;
    esme.becomes("bound").await;
}

#[tokio::test]
async fn the_next_host_is_tried_at_once() {
    let (first, second) = (Listener::new().await, Listener::new().await);
    let mut options = towards(&[&first, &second]);
    options.reconnect.initial = Time::seconds(60);
    options.reconnect.max = Time::seconds(60);
    drop(first); // nobody listens there
    let began = Instant::now();
    let esme = Esme::running(options, Lease::unlimited());
    let _smsc = second.accepts().await.binds().await;
    let State::Bound { host, .. } = esme.becomes("bound").await else {
        panic!()
    };
    assert_eq!(*host, *second.address());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn when_no_host_is_there_it_waits_and_says_why() {
    let listener = Listener::new().await;
    let mut options = towards(&[&listener]);
    options.reconnect.initial = Time::seconds(60);
    drop(listener);
    let esme = Esme::running(options, Lease::unlimited());
    let State::Backoff {
        reason,
        attempts,
        code,
        ..
    } = esme.becomes("backoff").await
    else {
        panic!()
    };
    assert!(
        reason.starts_with("cannot connect to 127.0.0.1:"),
        "{reason}"
    );
    assert_eq!((attempts, code.as_str()), (1, "KS-2007"));
    let began = Instant::now();
    esme.handle.stop(Duration::from_secs(30));
    esme.handle.stopped().await;
    assert!(began.elapsed() < SOON, "a wait is not waited out");
    assert!(esme.handle.slot().await.is_none());
}

#[tokio::test]
async fn a_zone_that_is_no_interface_is_named() {
    let mut options = towards(&[]);
    options.hosts = vec!["[fe80::1%nowhere0]:2775".into()];
    options.reconnect.initial = Time::seconds(60);
    let listening = OutbindOptions {
        listen: options.hosts[0].clone(),
        ..OutbindOptions::default()
    };
    let waiting = Options {
        outbind: Some(OutbindListener::new(listening)),
        hosts: Vec::new(),
        mode: Mode::Receiver,
        ..options.clone()
    };
    for (options, what) in [(options, "connect to"), (waiting, "listen on")] {
        let esme = Esme::running(options, Lease::unlimited());
        let State::Backoff { reason, .. } = esme.becomes("backoff").await else {
            panic!()
        };
        let start = format!("cannot {what} [fe80::1%nowhere0]:2775");
        assert!(reason.starts_with(&start), "{reason}");
        assert!(
            reason.contains("\"nowhere0\" behind '%' must be a network interface"),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_host_may_have_a_zone() {
    // The loopback interface, which is the first one everywhere; a machine may have no IPv6.
    let Ok(free) = std::net::TcpListener::bind("[::1]:0") else {
        return;
    };
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listener = Listener::at(&format!("[::1]:{port}")).await;
    let mut options = towards(&[]);
    options.hosts = vec![format!("[::1%1]:{port}")];
    let esme = Esme::running(options, Lease::unlimited());
    let _smsc = listener.accepts().await.binds().await;
    esme.becomes("bound").await;
}

#[tokio::test]
async fn an_account_that_is_bound_elsewhere_is_waited_for() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    for _ in 0..2 {
        let mut smsc = listener.accepts().await;
        let bind = smsc.expects(Command::BIND_TRANSCEIVER).await;
        let refusal = empty(bind.command.response(), Status::RALYBND, bind.sequence);
        smsc.sends(refusal).await;
        let State::Backoff { reason, .. } = esme.becomes("backoff").await else {
            panic!()
        };
        assert!(reason.contains("ESME_RALYBND"), "{reason}");
        smsc.expects_end().await;
    }
    let _smsc = listener.accepts().await.binds().await;
    esme.becomes("bound").await;
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_tried_again_slowly() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    let mut smsc = listener.accepts().await;
    let bind = smsc.expects(Command::BIND_TRANSCEIVER).await;
    smsc.sends(empty(
        bind.command.response(),
        Status::RINVPASWD,
        bind.sequence,
    ))
    .await;
    let State::Refused { status, .. } = esme.becomes("refused").await else {
        panic!()
    };
    assert_eq!(status, Status::RINVPASWD);
    let began = Instant::now();
    let _smsc = listener.accepts().await.binds().await;
    assert!(began.elapsed() >= SOON, "after reconnect.refused");
    esme.becomes("bound").await;
}

#[tokio::test]
async fn a_generic_nack_is_no_bind_whatever_its_status() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    let mut smsc = listener.accepts().await;
    let bind = smsc.expects(Command::BIND_TRANSCEIVER).await;
    smsc.sends(empty(Command::GENERIC_NACK, Status::ROK, bind.sequence))
        .await;
    let State::Backoff { reason, .. } = esme.becomes("backoff").await else {
        panic!()
    };
    assert!(reason.contains("refused the bind"), "{reason}");
}

#[tokio::test]
async fn a_password_too_long_for_smpp_is_never_sent() {
    let listener = Listener::new().await;
    let password = "ninechars".to_owned().into();
    let credentials = Credentials {
        password,
        ..Credentials::default()
    };
    let esme = Esme::running(
        Options {
            credentials,
            ..towards(&[&listener])
        },
        Lease::unlimited(),
    );
    let State::Backoff { reason, .. } = esme.becomes("backoff").await else {
        panic!()
    };
    assert!(
        reason.contains("password") && !reason.contains("ninechars"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_smsc_that_does_not_answer_the_bind_is_left() {
    let listener = Listener::new().await;
    let timers = Timers {
        response: Time::millis(100),
        ..Timers::default()
    };
    let esme = Esme::running(
        Options {
            timers,
            ..towards(&[&listener])
        },
        Lease::unlimited(),
    );
    let mut smsc = listener.accepts().await;
    smsc.expects(Command::BIND_TRANSCEIVER).await;
    smsc.sends(empty(Command::ENQUIRE_LINK, Status::ROK, 7))
        .await;
    smsc.expects_answer(Command::ENQUIRE_LINK_RESP, Status::ROK, 7)
        .await;
    let State::Backoff { reason, .. } = esme.becomes("backoff").await else {
        panic!()
    };
    assert!(reason.contains("no answer to the bind"), "{reason}");
    smsc.expects_end().await;
}

#[tokio::test]
async fn without_a_lease_nothing_is_connected() {
    let listener = Listener::new().await;
    let mut esme = Esme::running(towards(&[&listener]), Lease::new());
    tokio::time::timeout(SOON, listener.accepts())
        .await
        .err()
        .expect("no connection");
    assert_eq!(esme.handle.state().borrow().name(), "idle");

    let minute = Duration::from_secs(60);
    esme.lease.extend(Moment::now(), minute);
    let mut smsc = listener.accepts().await.binds().await;
    esme.becomes("bound").await;

    esme.lease.end();
    esme.submits(100).await; // the lease is asked at each write
    let unbind = smsc.expects(Command::UNBIND).await;
    assert_eq!(esme.hears().await, (100, Outcome::NotSent));
    smsc.sends(empty(Command::UNBIND_RESP, Status::ROK, unbind.sequence))
        .await;
    smsc.expects_end().await;
    esme.becomes("idle").await;
    tokio::time::timeout(SOON, listener.accepts())
        .await
        .err()
        .expect("no connection");

    esme.lease.extend(Moment::now(), minute);
    let _smsc = listener.accepts().await.binds().await;
    let state = esme.becomes("bound").await;
    assert!(
        matches!(state, State::Bound { generation: 2, .. }),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_lease_that_ends_while_connecting_ends_the_attempt() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::new());
    esme.lease.extend(Moment::now(), SOON);
    let mut smsc = listener.accepts().await;
    smsc.expects(Command::BIND_TRANSCEIVER).await;
    let began = Instant::now();
    smsc.expects_end().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "long before the response timer"
    );
    esme.becomes("idle").await;
    assert_eq!(esme.handle.counts().failures, 0, "nobody's fault");
}

#[tokio::test]
async fn a_frozen_bind_whose_session_ends_is_closed_for_good() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    let smsc = listener.accepts().await.binds().await;
    esme.becomes("bound").await;
    esme.handle.freeze().await;
    assert_eq!(esme.handle.state().borrow().name(), "frozen");
    drop(smsc);
    esme.becomes("closed").await;
    esme.handle.freeze().await;
    esme.handle.stop(Duration::from_secs(60));
    esme.handle.stopped().await;
    esme.task.await.unwrap();
}

#[tokio::test]
async fn a_receiver_has_no_slots_but_receives() {
    let listener = Listener::new().await;
    let options = Options {
        mode: Mode::Receiver,
        ..towards(&[&listener])
    };
    let mut esme = Esme::running(options, Lease::unlimited());
    let mut smsc = listener.accepts().await;
    let bind = smsc.expects(Command::BIND_RECEIVER).await;
    smsc.sends(empty(bind.command.response(), Status::ROK, bind.sequence))
        .await;
    esme.becomes("bound").await;
    assert!(esme.handle.try_slot().is_none());
    smsc.sends(deliver_sm(7)).await;
    esme.receives().await.1.respond(Status::ROK);
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, 7)
        .await;
}

#[tokio::test]
async fn a_bind_that_is_dropped_before_it_ran_is_closed() {
    let listener = Listener::new().await;
    let esme = Esme::running(towards(&[&listener]), Lease::new());
    esme.task.abort();
    esme.handle.stop(Duration::ZERO);
    esme.handle.stopped().await;
    assert!(esme.handle.slot().await.is_none());
}
