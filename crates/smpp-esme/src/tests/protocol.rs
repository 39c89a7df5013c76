//! What the SMSC may say, and what it gets for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::sleep;

use super::peer::*;
use crate::{Direction, Doubt, Lease, Options, Outcome, Passing, State, Tap};
use parking_lot::Mutex;
use smpp_protocol::{Command, Header, Status};

#[tokio::test(start_paused = true)]
async fn an_unbind_is_answered_and_puts_in_doubt_what_is_outstanding() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    esme.submits(100).await;
    esme.submits(101).await;
    let first = smsc.expects(Command::SUBMIT_SM).await;
    smsc.expects(Command::SUBMIT_SM).await;
    let farewell = [
        accepted(&first, "A"),
        empty(Command::UNBIND, Status::ROK, 7),
    ]
    .concat();
    smsc.sends(farewell).await;
    smsc.expects_answer(Command::UNBIND_RESP, Status::ROK, 7)
        .await;
    smsc.expects_end().await;
    assert_eq!(esme.hears_answer(100).await.1, "A");
    assert_eq!(
        esme.hears().await,
        (101, Outcome::InDoubt(Doubt::ConnectionLost))
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_command_is_refused_and_the_session_goes_on() {
    let (esme, mut smsc) = session(Options::default()).await;
    smsc.sends(empty(Command(0x0001_0200), Status::ROK, 7))
        .await;
    smsc.expects_answer(Command::GENERIC_NACK, Status::RINVCMDID, 7)
        .await;
    smsc.sends(empty(Command::SUBMIT_SM, Status::ROK, 8)).await;
    smsc.expects_answer(Command::GENERIC_NACK, Status::RINVCMDID, 8)
        .await;
    smsc.sends(empty(Command::ENQUIRE_LINK, Status::ROK, 9))
        .await;
    smsc.expects_answer(Command::ENQUIRE_LINK_RESP, Status::ROK, 9)
        .await;
    assert_eq!(esme.handle.counts().refused_commands, 2);
}

#[tokio::test(start_paused = true)]
async fn answers_to_nothing_are_ignored_and_counted() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    smsc.sends(empty(Command::SUBMIT_SM_RESP, Status::ROK, 4711))
        .await;
    smsc.sends(empty(Command::GENERIC_NACK, Status::RINVCMDLEN, 0))
        .await;
    smsc.sends(empty(Command::BIND_TRANSCEIVER_RESP, Status::ROK, 1))
        .await;
    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(100).await.1, "A");
    assert_eq!(esme.handle.counts().unmatched, 2);
}

#[tokio::test(start_paused = true)]
async fn a_generic_nack_with_our_sequence_is_the_answer() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(empty(
        Command::GENERIC_NACK,
        Status::RINVCMDID,
        request.sequence,
    ))
    .await;
    let (token, outcome) = esme.hears().await;
    let Outcome::Answered(answer) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (token, answer.command, answer.status),
        (100, Command::GENERIC_NACK, Status::RINVCMDID)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_lack_its_body_or_its_nul_or_go_on_after_it() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    let tlv = [0x04, 0x23, 0, 1, 9];
    let bodies: [(&[u8], &[u8], &[u8]); 5] = [
        (b"", b"", b""),
        (b"\0", b"", b""),
        (b"no-nul", b"no-nul", b""),
        (b"id\0\x04\x23\x00\x01\x09", b"id", &tlv),
        (b"id\0junk", b"id", b"junk"),
    ];
    for (token, (body, message_id, rest)) in bodies.into_iter().enumerate() {
        esme.submits(token as u64).await;
        let request = smsc.expects(Command::SUBMIT_SM).await;
        let mut pdu = empty(Command::SUBMIT_SM_RESP, Status::ROK, request.sequence);
        pdu.extend_from_slice(body);
        pdu[3] = pdu.len() as u8;
        smsc.sends(pdu).await;
        let (of, outcome) = esme.hears().await;
        let Outcome::Answered(answer) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(
            (of, &*answer.message_id, &*answer.tlvs),
            (token as u64, message_id, rest)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_impossible_length_ends_the_session_after_what_came_before_it() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    esme.submits(100).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(
        [
            accepted(&request, "A"),
            b"HTTP/1.1 400 Bad Request".to_vec(),
        ]
        .concat(),
    )
    .await;
    smsc.expects_answer(Command::GENERIC_NACK, Status::RINVCMDLEN, 0)
        .await;
    smsc.expects_end().await;
    assert_eq!(esme.hears_answer(100).await.1, "A");
    esme.becomes("closed").await;
}

#[tokio::test(start_paused = true)]
async fn requests_of_the_smsc_are_answered_when_their_fate_is_known() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    let mut data_sm = deliver_sm(8);
    data_sm[4..8].copy_from_slice(&Command::DATA_SM.0.to_be_bytes());
    smsc.sends([deliver_sm(7), data_sm, deliver_sm(9)].concat())
        .await;
    let (_, first) = esme.receives().await;
    let (header, second) = esme.receives().await;
    let (_, third) = esme.receives().await;
    assert_eq!((header.command, header.sequence), (Command::DATA_SM, 8));
    assert!(second.respond(Status::ROK));
    smsc.expects_answer(Command::DATA_SM_RESP, Status::ROK, 8)
        .await;
    assert!(first.respond(Status::RX_R_APPN));
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::RX_R_APPN, 7)
        .await;
    drop(third);
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::RX_T_APPN, 9)
        .await;
}

#[tokio::test(start_paused = true)]
async fn however_many_requests_wait_for_their_fate_the_session_reads_on() {
    const COUNT: u32 = 5000;
    let (mut esme, mut smsc) = session(Options::default()).await;
    let burst: Vec<u8> = (1..=COUNT).flat_map(deliver_sm).collect();
    smsc.sends(burst).await;
    let mut waiting = Vec::new();
    for sequence in 1..=COUNT {
        let (header, responder) = esme.receives().await;
        assert_eq!(header.sequence, sequence, "in order");
        waiting.push(responder);
    }
    // None of them is answered, and what else goes over the session does not wait for them.
    smsc.sends(empty(Command::ENQUIRE_LINK, Status::ROK, 9000))
        .await;
    smsc.expects_answer(Command::ENQUIRE_LINK_RESP, Status::ROK, 9000)
        .await;
    esme.submits(1).await;
    let request = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&request, "A")).await;
    assert_eq!(esme.hears_answer(1).await.1, "A");
    for (sequence, responder) in (1..=COUNT).zip(waiting) {
        assert!(responder.respond(Status::ROK));
        smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, sequence)
            .await;
    }
}

#[tokio::test]
async fn what_comes_together_with_the_answer_to_the_bind_or_before_it_is_served() {
    let listener = Listener::new().await;
    let mut esme = Esme::running(towards(&[&listener]), Lease::unlimited());
    let mut smsc = listener.accepts().await;
    let bind = smsc.expects(Command::BIND_TRANSCEIVER).await;
    let answer = empty(bind.command.response(), Status::ROK, bind.sequence);
    let half = deliver_sm(9);
    smsc.sends([deliver_sm(7), answer, deliver_sm(8), half[..20].to_vec()].concat())
        .await;
    for sequence in [7, 8] {
        let (header, responder) = esme.receives().await;
        assert_eq!(header.sequence, sequence);
        responder.respond(Status::ROK);
        smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, sequence)
            .await;
    }
    smsc.sends(&half[20..]).await;
    assert_eq!(esme.receives().await.0.sequence, 9);
    let state = esme.handle.state().borrow().clone();
    assert!(
        matches!(state, State::Bound { generation: 1, .. }),
        "{state:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_never_waits_behind_more_than_one_batch_of_requests() {
    const CAPACITY: usize = 1000;
    let options = Options {
        window: 10_000,
        start: 10_000,
        ..Options::default()
    };
    let (esme, mut smsc) = session_over(options, Lease::unlimited(), CAPACITY).await;
    for token in 0..10_000 {
        esme.submits(token).await;
    }
    sleep(Duration::from_millis(1)).await; // the session fills its buffer
    smsc.sends(empty(Command::ENQUIRE_LINK, Status::ROK, 7))
        .await;
    let mut before = 0;
    loop {
        let header = smsc.next().await.unwrap();
        if header.command == Command::ENQUIRE_LINK_RESP {
            break;
        }
        before += header.length as usize;
    }
    let most = 65_536 + 2 * CAPACITY;
    assert!(
        (1..=most).contains(&before),
        "{before} octets in front of it"
    );
    let rest = 10_000 * submit_sm().len() - before;
    for _ in 0..rest / submit_sm().len() {
        smsc.expects(Command::SUBMIT_SM).await;
    }
}

/// Counts the writes that reach the connection.
struct Counting(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_together_is_written_together() {
    let (near, far) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let io = Box::new(Counting(near, Arc::clone(&writes)));
    let options = Options {
        start: 50,
        ..Options::default()
    };
    let (mut esme, mut smsc) = session_on(options, Lease::unlimited(), io, far).await;
    for token in 0..50 {
        esme.submits(token).await;
    }
    smsc.sends([deliver_sm(7), empty(Command::ENQUIRE_LINK, Status::ROK, 8)].concat())
        .await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        writes.load(Ordering::Relaxed),
        1,
        "50 requests and an answer"
    );
    esme.receives().await.1.respond(Status::ROK);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(writes.load(Ordering::Relaxed), 2);
}

/// Keeps what it sees.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<(Direction, Command, u32)>>);

impl Tap for Seen {
    fn pdu(&self, passing: Passing<'_>) {
        let Header {
            length,
            command,
            sequence,
            ..
        } = passing.header;
        assert_eq!(length as usize, passing.pdu.len(), "{command}");
        assert_eq!(Header::decode(passing.pdu), Some(passing.header));
        let mut seen = self.0.lock();
        seen.push((passing.direction, command, sequence));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tap_sees_what_passes_in_both_directions() {
    use Direction::{Received, Sent};
    let seen = Arc::new(Seen::default());
    let options = Options {
        tap: Some(seen.clone()),
        ..Options::default()
    };
    let (mut esme, mut smsc) = session(options).await;
    esme.submits(100).await;
    let first = smsc.expects(Command::SUBMIT_SM).await;
    smsc.sends(accepted(&first, "A")).await;
    esme.hears_answer(100).await;
    smsc.sends(deliver_sm(7)).await;
    let (_, responder) = esme.receives().await;
    responder.respond(Status::ROK);
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, 7)
        .await;
    smsc.sends(empty(Command::UNBIND, Status::ROK, 8)).await;
    smsc.expects_answer(Command::UNBIND_RESP, Status::ROK, 8)
        .await;
    let expected = [
        (Sent, Command::SUBMIT_SM, first.sequence),
        (Received, Command::SUBMIT_SM_RESP, first.sequence),
        (Received, Command::DELIVER_SM, 7),
        (Sent, Command::DELIVER_SM_RESP, 7),
        (Received, Command::UNBIND, 8),
        (Sent, Command::UNBIND_RESP, 8),
    ];
    assert_eq!(*seen.0.lock(), expected);
}
