//! The SMSCs of other authors behave as the tests of the connector rely on. Spoken to in
//! octets, so that nothing of ours is between.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::Smsc;

const BIND_TRANSCEIVER: u32 = 0x0000_0009;
const SUBMIT_SM: u32 = 0x0000_0004;
const DELIVER_SM: u32 = 0x0000_0005;
const RESPONSE: u32 = 0x8000_0000;

struct Session(TcpStream);

impl Session {
    fn send(&mut self, command: u32, sequence: u32, body: &[u8]) {
        let mut frame = Vec::new();
        for word in [16 + body.len() as u32, command, 0, sequence] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(body);
        self.0.write_all(&frame).unwrap();
    }

    /// command_id, command_status, sequence_number and body of the next PDU.
    fn receive(&mut self) -> (u32, u32, u32, Vec<u8>) {
        let mut header = [0; 16];
        self.0.read_exact(&mut header).unwrap();
        let word = |n: usize| u32::from_be_bytes(header[4 * n..4 * n + 4].try_into().unwrap());
        let mut body = vec![0; word(0) as usize - 16];
        self.0.read_exact(&mut body).unwrap();
        (word(1), word(2), word(3), body)
    }

    fn bind(port: u16, password: &str) -> (Session, u32) {
        let mut session = Session(TcpStream::connect(("127.0.0.1", port)).unwrap());
        let body = format!("esme\0{password}\0\0\x34\0\0\0");
        session.send(BIND_TRANSCEIVER, 1, body.as_bytes());
        let (command, status, sequence, _) = session.receive();
        assert_eq!((command, sequence), (BIND_TRANSCEIVER | RESPONSE, 1));
        (session, status)
    }
}

#[test]
fn jsmpp_is_an_smsc() {
    behaves(&Smsc::jsmpp());
}

#[test]
fn cloudhopper_is_an_smsc() {
    behaves(&Smsc::cloudhopper());
}

#[test]
fn node_smpp_is_an_smsc() {
    behaves(&Smsc::node());
}

#[test]
fn opensmpp_is_an_smsc_that_answers_one_after_the_other() {
    let smsc = Smsc::opensmpp();
    let (mut session, status) = Session::bind(smsc.port(), "secret");
    assert_eq!(status, 0);
    for sequence in 2..4 {
        session.send(
            SUBMIT_SM,
            sequence,
            b"\0\x01\x0141\0\x01\x011000\0\0\0\0\0\0\0\0\0\0\x02Hi",
        );
    }
    for sequence in 2..4 {
        let (command, status, answered, body) = session.receive();
        assert_eq!(
            (command, status, answered),
            (SUBMIT_SM | RESPONSE, 0, sequence)
        );
        let id = format!("Smsc{}\0", 1999 + sequence);
        assert_eq!(body, id.as_bytes(), "ids begin again at each start");
    }
}

fn behaves(smsc: &Smsc) {
    let (_refused, status) = Session::bind(smsc.port(), "wrong");
    assert_eq!(status, 0x0E, "ESME_RINVPASWD");
    let (mut session, status) = Session::bind(smsc.port(), "secret");
    assert_eq!(status, 0);
    // From 41 to 1000, which is echoed, with a receipt: "Hi".
    session.send(
        SUBMIT_SM,
        2,
        b"\0\x01\x0141\0\x01\x011000\0\0\0\0\0\0\x01\0\0\0\x02Hi",
    );
    let (command, status, sequence, body) = session.receive();
    assert_eq!((command, status, sequence), (SUBMIT_SM | RESPONSE, 0, 2));
    let id = String::from_utf8_lossy(&body)
        .trim_end_matches('\0')
        .to_owned();
    assert_eq!(smsc.wait_for("submit", 1)[0]["message_id"], id.as_str());
    let (mut receipts, mut echoes) = (0, 0);
    while receipts + echoes < 2 {
        let (command, _, sequence, body) = session.receive();
        assert_eq!(command, DELIVER_SM);
        match body.ends_with(b"\x02Hi") {
            true => echoes += 1,
            false => receipts += 1,
        }
        session.send(DELIVER_SM | RESPONSE, sequence, b"\0");
    }
    assert_eq!((receipts, echoes), (1, 1));
    assert_eq!(smsc.wait_for("receipt", 1)[0]["outcome"], "acknowledged");
    assert_eq!(smsc.wait_for("inbound", 1)[0]["outcome"], "acknowledged");
}
