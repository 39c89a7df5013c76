//! TLS between the connector and the SMSC, as configured in a file.

use serde_json::json;

use super::{Deployment, PATIENCE, message};
use crate::harness::{FakeSmsc, TlsFront, eventually};

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
