//! Connections as the kernel and the other side see them.

use std::net::IpAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpListener;

use super::peer::*;
use crate::connect::Failure;
use crate::tcp::dial;
use crate::{Lease, Options, Tcp, Time, codes};

fn from(hosts: &[&str], ours: &[&str]) -> Options {
    Options {
        hosts: hosts.iter().map(ToString::to_string).collect(),
        local_address: ours.iter().map(ToString::to_string).collect(),
        ..Options::default()
    }
}

async fn listening() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn fails(ours: &[&str], host: &str) -> Failure {
    dial(&from(&[host], ours), host).await.unwrap_err()
}

#[tokio::test]
async fn the_smsc_sees_the_address_that_is_configured() {
    let (listener, address) = listening().await;
    for ours in [
        &["127.0.0.2"][..],
        &["::1", "127.0.0.3"],
        &["::ffff:127.0.0.2"],
    ] {
        let _ours = dial(&from(&[&address], ours), &address).await.unwrap();
        let (_theirs, peer) = listener.accept().await.unwrap();
        let expected: IpAddr = ours[ours.len() - 1].parse().unwrap();
        assert_eq!(peer.ip(), expected.to_canonical());
    }
    let _ours = dial(&from(&[&address], &[]), &address).await.unwrap();
    assert_eq!(
        listener.accept().await.unwrap().1.ip().to_string(),
        "127.0.0.1"
    );
}

#[tokio::test]
async fn an_address_of_ipv6_is_used_for_ipv6() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return; // There is no IPv6 here.
    };
    let host = listener.local_addr().unwrap().to_string();
    let options = from(&[&host], &["127.0.0.2", "::1"]);
    let ours = dial(&options, &host).await.unwrap();
    assert_eq!(ours.local_addr().unwrap().ip().to_string(), "::1");
    let failure = fails(&["127.0.0.2"], &host).await;
    assert!(
        failure.to_string().contains("it has IPv6 addresses only"),
        "{failure}"
    );
}

#[tokio::test]
async fn an_address_that_this_machine_has_not_got_is_told() {
    let (_listener, address) = listening().await;
    for ours in ["192.0.2.77", "2001:db8::77", "fe80::1%nowhere0"] {
        let host = if ours.contains(':') {
            "[::1]:9"
        } else {
            &address
        };
        let failure = fails(&[ours], host).await;
        assert_eq!(failure.code(), codes::LOCAL_ADDRESS);
        let told = failure.to_string();
        assert!(
            told.contains(ours) && told.contains("ip address lists them"),
            "{told}"
        );
    }
    let failure = fails(&["::1"], &address).await;
    assert_eq!(failure.code(), codes::LOCAL_ADDRESS);
    assert!(
        failure.to_string().contains("it has IPv4 addresses only"),
        "{failure}"
    );
    let failure = fails(&["127.0.0.2"], "127.0.0.1:9").await;
    assert!(
        failure
            .to_string()
            .contains("from 127.0.0.2: Connection refused"),
        "{failure}"
    );
    assert_eq!(failure.code(), codes::NO_CONNECTION);
}

#[tokio::test]
async fn a_bind_whose_address_is_missing_tries_again() {
    let (_listener, address) = listening().await;
    let mut options = from(&[&address], &["192.0.2.77"]);
    options.reconnect.initial = Time::millis(5);
    let esme = Esme::running(options, Lease::unlimited());
    let tried = async {
        while esme.handle.counts().failures < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_looks_for_signs_of_life() {
    let (_listener, address) = listening().await;
    let seconds = |n| Some(Duration::from_secs(n));
    let stream = dial(&from(&[&address], &[]), &address).await.unwrap();
    let socket = SockRef::from(&stream);
    assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
    assert_eq!(socket.tcp_keepalive_time().ok(), seconds(60));
    assert_eq!(socket.tcp_keepalive_interval().ok(), seconds(10));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 6);
    assert_eq!(socket.tcp_user_timeout().unwrap(), seconds(120));

    let mut options = from(&[&address], &["127.0.0.2"]);
    options.tcp = Tcp {
        keep_alive_idle: Some(Time::seconds(20)),
        keep_alive_interval: Time::seconds(5),
        keep_alive_count: 3,
        user_timeout: Some(Time::seconds(25)),
    };
    let stream = dial(&options, &address).await.unwrap();
    let socket = SockRef::from(&stream);
    assert_eq!(socket.tcp_keepalive_time().ok(), seconds(20));
    assert_eq!(socket.tcp_keepalive_interval().ok(), seconds(5));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(socket.tcp_user_timeout().unwrap(), seconds(25));

    options.tcp.keep_alive_idle = Some(Time::seconds(0));
    options.tcp.user_timeout = Some(Time::seconds(0));
    let stream = dial(&options, &address).await.unwrap();
    let socket = SockRef::from(&stream);
    assert!(!socket.keepalive().unwrap());
    assert_eq!(socket.tcp_user_timeout().unwrap(), None);
}
