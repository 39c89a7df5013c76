//! Connections that behave in ways a real one rarely does on demand.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::sleep;

use super::peer::*;
use crate::{Doubt, Lease, Options, Outcome, Tls};
use smpp_protocol::{Command, Header, Status};

/// Takes one write and fails the next; only then an answer to the first can be read.
struct Breaking {
    writes: u32,
    answer: Vec<u8>,
}

impl AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.writes < 2 || self.answer.is_empty() {
            return Poll::Pending;
        }
        room.put_slice(&std::mem::take(&mut self.answer));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Poll::Ready(match self.writes {
            1 => Ok(octets.len()),
            _ => Err(io::ErrorKind::ConnectionReset.into()),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The outcome of a request whose write failed, after the answer to the one before it.
async fn outcome_of_a_failed_write(tls: Tls) -> Outcome {
    let first = empty(Command::SUBMIT_SM, Status::ROK, 1);
    let answer = accepted(&Header::decode(&first).unwrap(), "A");
    let io = Box::new(Breaking { writes: 0, answer });
    let options = Options {
        tls,
        ..Options::default()
    };
    let (mut esme, _) = session_on(options, Lease::unlimited(), io, ()).await;
    esme.submits(100).await;
    sleep(Duration::from_millis(1)).await;
    esme.submits(101).await;
    assert_eq!(esme.hears_answer(100).await, (Status::ROK, "A".into()));
    let (token, outcome) = esme.hears().await;
    assert_eq!(token, 101);
    outcome
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_sent_nothing_and_answers_are_still_read() {
    assert_eq!(
        outcome_of_a_failed_write(Tls::default()).await,
        Outcome::NotSent
    );
}

#[tokio::test(start_paused = true)]
async fn with_tls_a_write_that_failed_may_have_sent_a_part() {
    let tls = Tls {
        enabled: true,
        ..Tls::default()
    };
    let doubt = Outcome::InDoubt(Doubt::ConnectionLost);
    assert_eq!(outcome_of_a_failed_write(tls).await, doubt);
}

/// Whatever is read from it is deliver_sm, at once and `left` octets long.
struct Flood {
    left: usize,
    pdu: Vec<u8>,
    position: usize,
    out: DuplexStream,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Pending;
        }
        while room.remaining() > 0 && self.left > 0 {
            room.put_slice(&[self.pdu[self.position]]);
            self.position = (self.position + 1) % self.pdu.len();
            self.left -= 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.out).poll_write(cx, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const FLOOD: usize = 4_000_000;

/// A session whose SMSC delivers without pause, and reads what the pipe of `capacity` gives it.
async fn flooded(capacity: usize) -> (Esme, Smsc<DuplexStream>) {
    let (out, far) = duplex(capacity);
    let io = Flood {
        left: FLOOD,
        pdu: deliver_sm(1),
        position: 0,
        out,
    };
    let (options, lease) = (Options::default(), Lease::unlimited());
    session_taking(options, lease, Taken::Refused, Box::new(io), far).await
}

#[tokio::test(start_paused = true)]
async fn requests_get_through_however_much_is_delivered() {
    let (esme, mut smsc) = flooded(4096).await;
    esme.submits(100).await;
    let mut answers = 0;
    while smsc.next().await.unwrap().command != Command::SUBMIT_SM {
        answers += 1;
    }
    // What the buffer may hold before it is full, and two batches read meanwhile.
    let most = (262_144 + 4096) / 17 + 2 * 65_536 / deliver_sm(1).len();
    assert!(answers < most, "{answers} answers first, {most} at most");
    assert!(
        answers < FLOOD / deliver_sm(1).len() / 2,
        "{answers} of the flood's"
    );
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_delivers_and_does_not_read_is_not_read_either() {
    let (esme, smsc) = flooded(1000).await;
    sleep(Duration::from_secs(1)).await;
    let read = esme.handle.counts().octets_in;
    assert!(
        read < 1_500_000,
        "{read} octets read, whose answers nobody wants"
    );
    drop(smsc);
    esme.becomes("closed").await;
}
