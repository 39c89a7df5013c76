//! TLS between the connector and the SMSC, as configured in a file.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::{Deployment, PATIENCE, message};
use crate::harness::{FakeSmsc, TlsFront, eventually, scratch, started_by};

#[test]
fn a_message_and_its_receipt_travel_through_tls() {
    let smsc = FakeSmsc::start();
    let front = TlsFront::start(smsc.port());
    let mut it = Deployment::new(front.port(), 1);
    it.esme()["tls"] = json!({
        "enabled": true,
        "ca_file": front.ca_file(),
        "server_name": "smsc.example",
    });
    let _connector = it.start();
    it.send(0, &[message("m")]);
    let results = it.results(1);
    assert_eq!(results["m"]["accepted"], true);
    let id = results["m"]["message_id"].as_str().unwrap();
    assert_eq!(smsc.receipt(id), 0);
    assert_eq!(it.receipts(1)[0]["log_id"], "m");
    assert_eq!(front.handshakes(), 1, "nothing went beside it");
}

#[test]
fn a_certificate_of_a_stranger_is_not_trusted() {
    let smsc = FakeSmsc::start();
    let (front, stranger) = (TlsFront::start(smsc.port()), TlsFront::start(smsc.port()));
    let mut it = Deployment::new(front.port(), 1);
    it.esme()["tls"] = json!({
        "enabled": true,
        "ca_file": stranger.ca_file(),
        "server_name": "smsc.example",
    });
    let connector = it.start();
    it.send(0, &[message("m")]);
    eventually("the certificate is refused", PATIENCE, || {
        connector.log().contains("invalid peer certificate")
    });
    assert_eq!(smsc.connections(), 0, "nothing was sent in the clear");
    assert!(it.events().is_empty());
}

/// The versions that a ClientHello offers (the extension supported_versions).
fn offered(hello: &[u8]) -> Vec<u16> {
    let two = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // Behind the headers, the version and the random.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + two(at);
    at += 1 + usize::from(hello[at]);
    let end = at + 2 + two(at);
    at += 2;
    while at < end {
        let (kind, length) = (two(at), two(at + 2));
        if kind == 0x2b {
            let versions = &hello[at + 5..at + 4 + length];
            let version = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
            return versions.chunks(2).map(version).collect();
        }
        at += 4 + length;
    }
    Vec::new()
}

/// The settings of OpenSSL that SECURITY.md shows.
fn least_version() -> PathBuf {
    let page = include_str!("../../../SECURITY.md");
    let settings = page.split("```ini\n").nth(1).expect("its settings");
    let settings = settings.split("```").next().expect("their end");
    let file = scratch("openssl").join("openssl.cnf");
    std::fs::write(&file, settings).expect("a file");
    file
}

/// A broker that speaks TLS 1.1 or 1.0, which anybody in between may pretend. Of the SMSC and of the
/// HTTP listener the same is shown where their sessions are tested.
///
/// The OpenSSL that is built with the program refuses them by itself. One of the system does what
/// the system says; then this shows that what SECURITY.md tells to set is enough.
#[test]
fn librdkafka_refuses_old_versions_of_tls() {
    let is_of_the_system = option_env!("OPENSSL_NO_VENDOR").is_some();
    for minor in [1, 2] {
        let broker = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let config = json!({
            "kafka": {
                "bootstrap_servers": broker.local_addr().expect("an address").to_string(),
                "properties": { "security.protocol": "SSL" },
            },
            "esme": [{
                "name": "acme", "outbound": ["sms"], "hosts": ["127.0.0.1:1"],
                "system_id": "esme",
            }],
        });
        let config = toml::to_string(&config).expect("TOML");
        let _check = started_by(&config, &["check", "--connect"], |command| {
            if is_of_the_system {
                command.env("OPENSSL_CONF", least_version());
            }
        });
        let (mut stream, _) = broker.accept().expect("a connection");
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a time-out");
        let mut hello = [0; 4096];
        let read = stream.read(&mut hello).expect("a ClientHello");
        assert_eq!(offered(&hello[..read]), [0x0304, 0x0303]);
        // ServerHello: that version, a random, no session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA.
        let mut answer = vec![0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
        answer.extend([7; 32]);
        answer.extend([0, 0xc0, 0x13, 0]);
        stream.write_all(&answer).expect("it is sent");
        let mut alert = Vec::new();
        let _ = stream.read_to_end(&mut alert);
        // A fatal alert: protocol_version.
        let is_refused = alert.starts_with(&[0x15]) && alert.ends_with(&[2, 70]);
        assert!(is_refused, "{alert:02x?}");
    }
}
