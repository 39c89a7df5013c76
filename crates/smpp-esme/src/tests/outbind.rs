//! Sessions that the SMSC begins.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use super::peer::*;
use super::security::Pki;
use crate::outbind::{CONNECTIONS, CONNECTIONS_OF_ONE};
use crate::{
    Lease, Mode, Moment, Notice, Options, OutbindListener, OutbindOptions, OutbindTls, State,
};
use smpp_protocol::pdu::Outbind;
use smpp_protocol::{Command, Status};

const SOON: Duration = Duration::from_millis(100);

fn options(listen: &str) -> OutbindOptions {
    OutbindOptions {
        listen: listen.to_owned(),
        system_id: "SMSC1".into(),
        password: "s3cret".to_owned().into(),
        ..OutbindOptions::default()
    }
}

fn at(listener: &Arc<OutbindListener>) -> Options {
    Options {
        outbind: Some(Arc::clone(listener)),
        mode: Mode::Receiver,
        ..towards(&[])
    }
}

/// An address that nobody uses.
fn address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn outbind(system_id: &[u8], password: &[u8]) -> Vec<u8> {
    let mut pdu = Vec::new();
    Outbind {
        system_id,
        password,
    }
    .encode(Command::OUTBIND, Status::ROK, 1, &mut pdu)
    .unwrap();
    pdu
}

/// Connects as soon as somebody listens.
async fn connects(address: &str) -> Smsc<TcpStream> {
    let connected = async {
        loop {
            match TcpStream::connect(address).await {
                Ok(io) => return Smsc { io },
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.unwrap()
}

/// Connects and asks, and accepts the bind.
async fn visits(address: &str) -> Smsc<TcpStream> {
    let mut smsc = connects(address).await;
    smsc.sends(outbind(b"SMSC1", b"s3cret")).await;
    let bind = smsc.expects(Command::BIND_RECEIVER).await;
    smsc.sends(empty(
        Command::BIND_RECEIVER_RESP,
        Status::ROK,
        bind.sequence,
    ))
    .await;
    smsc
}

#[tokio::test]
async fn an_smsc_that_asks_is_bound_on_its_own_connection() {
    let address = address();
    let mut esme = Esme::running(
        at(&OutbindListener::new(options(&address))),
        Lease::unlimited(),
    );
    let mut smsc = visits(&address).await;
    let state = esme.becomes("bound").await;
    let State::Bound { host, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!(&*host, format!("outbind at {address}"));
    let Notice::Outbind { system_id, peer } = esme.notices.recv().await.unwrap() else {
        panic!("no outbind")
    };
    assert_eq!(
        (&*system_id, peer),
        (&b"SMSC1"[..], smsc.io.local_addr().unwrap())
    );
    smsc.sends(deliver_sm(7)).await;
    esme.receives().await.1.respond(Status::ROK);
    smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, 7)
        .await;
    assert!(
        TcpStream::connect(&address).await.is_err(),
        "nobody waits any more"
    );
    drop(smsc);
    let _again = visits(&address).await;
    for told in [Session::Bound(1), Session::Unbound(1), Session::Bound(2)] {
        assert_eq!(
            esme.sessions.recv().await,
            Some(told),
            "it waits again at once"
        );
    }
}

#[tokio::test]
async fn a_deliver_sm_may_come_together_with_the_outbind() {
    let address = address();
    let mut esme = Esme::running(
        at(&OutbindListener::new(options(&address))),
        Lease::unlimited(),
    );
    let mut smsc = connects(&address).await;
    let together = [outbind(b"SMSC1", b"s3cret"), deliver_sm(2)].concat();
    smsc.sends(together).await;
    let bind = smsc.expects(Command::BIND_RECEIVER).await;
    smsc.sends(empty(
        Command::BIND_RECEIVER_RESP,
        Status::ROK,
        bind.sequence,
    ))
    .await;
    assert_eq!(esme.receives().await.0.sequence, 2);
}

#[tokio::test]
async fn whoever_may_not_ask_is_dropped_and_does_no_harm() {
    let address = address();
    let _esme = Esme::running(
        at(&OutbindListener::new(options(&address))),
        Lease::unlimited(),
    );
    let mut huge = outbind(b"SMSC1", b"s3cret");
    huge[..4].copy_from_slice(&70_000_u32.to_be_bytes());
    for wrong in [
        outbind(b"SMSC1", b"wrong"),
        outbind(b"SMSC1", b"s3cret7"),
        outbind(b"SMSC1", b""),
        outbind(b"SMSC2", b"s3cret"),
        empty(Command::ENQUIRE_LINK, Status::ROK, 1),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        huge,
        empty(Command::OUTBIND, Status::ROK, 1),
    ] {
        let mut smsc = connects(&address).await;
        smsc.sends(&wrong).await;
        smsc.expects_end().await;
    }
    // One that vanishes, and one that is silent.
    drop(connects(&address).await);
    let _silent = connects(&address).await;
    visits(&address).await;
}

#[tokio::test]
async fn those_who_say_nothing_are_dropped_after_a_while_and_only_so_many_are_heard() {
    let address = address();
    let mut options = at(&OutbindListener::new(options(&address)));
    options.timers.session_init = crate::Time::millis(300);
    let _esme = Esme::running(options, Lease::unlimited());
    let mut silent = vec![connects(&address).await];
    for _ in 1..CONNECTIONS_OF_ONE {
        silent.push(connects(&address).await);
    }
    let mut one_more = connects(&address).await;
    one_more.expects_end().await;
    for _ in CONNECTIONS_OF_ONE..CONNECTIONS {
        silent.push(from_elsewhere(&address).await);
    }
    let mut one_more = from_elsewhere(&address).await;
    one_more.expects_end().await;
    for smsc in &mut silent {
        smsc.expects_end().await;
    }
    visits(&address).await;
}

/// Connects from another address of this machine.
async fn from_elsewhere(address: &str) -> Smsc<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let io = socket.connect(address.parse().unwrap()).await.unwrap();
    Smsc { io }
}

/// Peers that are slow, each in its own way: none of them is heard for longer than session_init, also
/// one that goes on sending.
#[tokio::test]
async fn slow_peers_are_dropped_however_they_go_on() {
    let address = address();
    let mut options = at(&OutbindListener::new(options(&address)));
    options.timers.session_init = crate::Time::millis(700);
    let esme = Esme::running(options, Lease::unlimited());
    let valid = outbind(b"SMSC1", b"s3cret");
    let mut endless = valid.clone();
    // As long as an outbind may be, and never there as a whole.
    endless[..4].copy_from_slice(&250_u32.to_be_bytes());
    let mut dripping = Vec::new();
    for octets in [
        endless,
        vec![0; 16],
        b"\x16\x03\x01\x02\0".to_vec(),
        valid[..20].to_vec(),
    ] {
        let mut smsc = connects(&address).await;
        dripping.push(tokio::spawn(async move {
            for octet in octets.iter().cycle() {
                if smsc.io.write_all(&[*octet]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }));
    }
    for one in dripping {
        tokio::time::timeout(PATIENCE, one).await.unwrap().unwrap();
    }
    let _smsc = visits(&address).await;
    esme.becomes("bound").await;
}

#[tokio::test]
async fn only_addresses_that_are_wanted_may_connect() {
    let address = address();
    let listener = OutbindListener::new(OutbindOptions {
        from: vec!["192.0.2.7".parse().unwrap()],
        ..options(&address)
    });
    let _esme = Esme::running(at(&listener), Lease::unlimited());
    let mut smsc = connects(&address).await;
    smsc.expects_end().await;
}

#[tokio::test]
async fn binds_share_a_door_that_closes_when_each_has_its_session() {
    let address = address();
    let listener = OutbindListener::new(options(&address));
    let first = Esme::running(at(&listener), Lease::unlimited());
    let second = Esme::running(at(&listener), Lease::unlimited());
    let (_one, _two) = tokio::join!(visits(&address), visits(&address));
    first.becomes("bound").await;
    second.becomes("bound").await;
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn without_a_lease_nobody_listens() {
    let address = address();
    let lease = Lease::new();
    let esme = Esme::running(at(&OutbindListener::new(options(&address))), lease.clone());
    sleep(SOON).await;
    assert!(TcpStream::connect(&address).await.is_err(), "not yet");
    lease.extend(Moment::now(), Duration::from_millis(300));
    drop(connects(&address).await);
    esme.becomes("idle").await;
    assert!(TcpStream::connect(&address).await.is_err(), "no longer");
    esme.handle.stop(SOON);
    esme.handle.stopped().await;
}

#[tokio::test]
async fn an_smsc_that_refuses_the_bind_is_waited_for_again() {
    let address = address();
    let esme = Esme::running(
        at(&OutbindListener::new(options(&address))),
        Lease::unlimited(),
    );
    let mut smsc = connects(&address).await;
    smsc.sends(outbind(b"SMSC1", b"s3cret")).await;
    let bind = smsc.expects(Command::BIND_RECEIVER).await;
    smsc.sends(empty(
        Command::BIND_RECEIVER_RESP,
        Status::RSYSERR,
        bind.sequence,
    ))
    .await;
    esme.becomes("backoff").await;
    visits(&address).await;
}

#[tokio::test]
async fn connections_can_be_encrypted_both_ways_verified() {
    let (pki, address) = (Pki::new(), address());
    let listener = OutbindListener::new(OutbindOptions {
        tls: OutbindTls {
            certificate_file: Some(pki.path("esme.pem")),
            key_file: Some(pki.path("esme.key")),
            client_ca_file: Some(pki.path("ca.pem")),
        },
        ..options(&address)
    });
    let _esme = Esme::running(at(&listener), Lease::unlimited());
    let mut plain = connects(&address).await;
    plain.sends(outbind(b"SMSC1", b"s3cret")).await;
    plain.expects_end_of_anything().await;
    let io = connects(&address).await.io;
    let io = pki
        .connector("smsc")
        .connect("esme.example".try_into().unwrap(), io);
    let mut smsc = Smsc {
        io: io.await.unwrap(),
    };
    smsc.sends(outbind(b"SMSC1", b"s3cret")).await;
    smsc.expects(Command::BIND_RECEIVER).await;
}

/// Whether the kernel's timer of a connection to this port of ours is that of keep-alive (proc(5),
/// /proc/net/tcp).
#[cfg(target_os = "linux")]
fn is_kept_alive(address: &str) -> bool {
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let local = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ours = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut established = ours.filter(|fields| fields[1] == local && fields[3] == "01");
    established.any(|fields| fields[5].starts_with("02:"))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_looks_for_signs_of_life_here_too() {
    for idle in [None, Some(crate::Time::seconds(0))] {
        let address = address();
        let mut options = at(&OutbindListener::new(options(&address)));
        options.tcp.keep_alive_idle = idle;
        let esme = Esme::running(options, Lease::unlimited());
        let _smsc = visits(&address).await;
        esme.becomes("bound").await;
        // What was sent a moment ago has a timer of its own until it is confirmed.
        sleep(SOON).await;
        assert_eq!(is_kept_alive(&address), idle.is_none());
    }
}
