//! Oddities that SMSCs in the field show: each is survived, and the next enquire_link is answered.

use super::peer::*;
use crate::{Lease, Notice, Options};
use smpp_protocol::frame::{MAX_SEQUENCE, set_sequence};
use smpp_protocol::pdu::{AlertNotification, BindResp, Outbind};
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Address, Command, Header, Status, Tag, Tlvs};
use tokio::io::{AsyncRead, AsyncWrite};

/// The session is well.
async fn answers<S: AsyncRead + AsyncWrite + Unpin>(smsc: &mut Smsc<S>, sequence: u32) {
    smsc.sends(empty(Command::ENQUIRE_LINK, Status::ROK, sequence))
        .await;
    smsc.expects_answer(Command::ENQUIRE_LINK_RESP, Status::ROK, sequence)
        .await;
}

/// A PDU with any body.
fn pdu(command: Command, status: Status, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut pdu = Vec::new();
    Header {
        length: 16 + body.len() as u32,
        command,
        status,
        sequence,
    }
    .encode(&mut pdu);
    pdu.extend_from_slice(body);
    pdu
}

#[tokio::test]
async fn a_bind_may_be_answered_in_many_forms() {
    let mut versioned = Vec::new();
    push_tlv(&mut versioned, Tag::SC_INTERFACE_VERSION, &[0x33]).unwrap();
    let whole = |tlvs| {
        let answer = BindResp {
            system_id: b"SMSC",
            tlvs,
        };
        let mut pdu = Vec::new();
        let command = Command::BIND_TRANSCEIVER_RESP;
        answer.encode(command, Status::ROK, 1, &mut pdu).unwrap();
        pdu[16..].to_vec()
    };
    let cases: [(Vec<u8>, Option<u8>); 8] = [
        (Vec::new(), None),
        (b"\0".to_vec(), None),
        (b"SMSC".to_vec(), None),
        (
            b"a system_id that is much longer than SMPP allows\0".to_vec(),
            None,
        ),
        (whole(Tlvs::new(&versioned)), Some(0x33)),
        (b"SMSC\0\x02\x10\0\x01".to_vec(), None),
        (b"SMSC\0\x02\x10\0\x02\x34\x34".to_vec(), None),
        (b"SMSC\0trailing".to_vec(), None),
    ];
    for (body, version) in cases {
        let listener = Listener::new().await;
        let mut esme = Esme::running(towards(&[&listener]), Lease::unlimited());
        let mut smsc = listener.accepts().await;
        let bind = smsc.expects(Command::BIND_TRANSCEIVER).await;
        let answer = bind.command.response();
        smsc.sends(pdu(answer, Status::ROK, bind.sequence, &body))
            .await;
        assert_eq!(esme.versions.recv().await, Some(version), "{body:?}");
        answers(&mut smsc, 7).await;
        esme.becomes("bound").await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_a_submit_sm_come_in_many_forms() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    let vendors = Status(0x0410);
    let resp = Command::SUBMIT_SM_RESP;
    for (token, (command, status, body, id)) in (1..).zip([
        (resp, Status::ROK, &b"4F2A\0"[..], "4F2A"),
        (resp, Status::ROK, b"4F2A", "4F2A"),
        (resp, Status::ROK, b"", ""),
        (
            resp,
            Status::ROK,
            b"0195b0c4-7d1e-7000-8000-1234567890ab\0trailing\xFF",
            "0195b0c4-7d1e-7000-8000-1234567890ab",
        ),
        (resp, Status::RSYSERR, b"\0", ""),
        (resp, vendors, b"", ""),
        (resp, Status(0xFFFF_FFFF), b"x\0", "x"),
        // Of another operation, or of none: the sequence_number says whose it is.
        (Command::DATA_SM_RESP, Status::ROK, b"7\0", "7"),
        (Command(0x8000_0AAA), Status::ROK, b"8\0", "8"),
        (Command::GENERIC_NACK, Status::RINVCMDLEN, b"", ""),
    ]) {
        esme.submits(token).await;
        let request = smsc.expects(Command::SUBMIT_SM).await;
        smsc.sends(pdu(command, status, request.sequence, body))
            .await;
        assert_eq!(esme.hears_answer(token).await, (status, id.to_owned()));
        answers(&mut smsc, 100 + token as u32).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sequence_numbers_of_the_smsc_are_any_number() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    for sequence in [0, MAX_SEQUENCE, MAX_SEQUENCE + 1, u32::MAX] {
        let mut deliver = deliver_sm(1);
        set_sequence(&mut deliver, sequence);
        smsc.sends(deliver).await;
        let (header, responder) = esme.receives().await;
        assert_eq!(header.sequence, sequence);
        responder.respond(Status::ROK);
        smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, sequence)
            .await;
        answers(&mut smsc, sequence).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deliver_sm_that_cannot_be_read_is_handed_on_and_the_session_goes_on() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    for (sequence, body) in (1..).zip([
        &b""[..],
        b"no NUL anywhere",
        b"\0\x01\x01491\0\x01\x01123\0\0\0\0\0\0\0\0\0\0\xFFshort",
        b"\0\x01\x01491\0\x01\x01123\0\0\0\0\0\0\0\0\0\0\x02hi\x04\x24\x00",
        b"\0\x01\x01491\0\x01\x01123\0\0\0\0\0\0\0\0\xEE\0\x02hi\x14\x01\x00\x02zz",
    ]) {
        smsc.sends(pdu(Command::DELIVER_SM, Status::ROK, sequence, body))
            .await;
        let (header, responder) = esme.receives().await;
        assert_eq!(header.length as usize, 16 + body.len());
        responder.respond(Status::ROK);
        smsc.expects_answer(Command::DELIVER_SM_RESP, Status::ROK, sequence)
            .await;
        answers(&mut smsc, 1000 + sequence).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_without_a_body_may_have_one() {
    let (_esme, mut smsc) = session(Options::default()).await;
    smsc.sends(pdu(
        Command::ENQUIRE_LINK,
        Status::RSYSERR,
        5,
        b"what for\0",
    ))
    .await;
    smsc.expects_answer(Command::ENQUIRE_LINK_RESP, Status::ROK, 5)
        .await;
    smsc.sends(pdu(Command::ENQUIRE_LINK_RESP, Status::RSYSERR, 6, b"x"))
        .await;
    smsc.sends(pdu(
        Command::BIND_TRANSCEIVER_RESP,
        Status::ROK,
        1,
        b"again\0",
    ))
    .await;
    answers(&mut smsc, 7).await;
}

#[tokio::test(start_paused = true)]
async fn what_wants_no_answer_is_told_and_gets_none() {
    let (mut esme, mut smsc) = session(Options::default()).await;
    let alert = AlertNotification {
        source: Address::parse("+41791234567"),
        ..AlertNotification::default()
    };
    let mut octets = Vec::new();
    let command = Command::ALERT_NOTIFICATION;
    alert.encode(command, Status::ROK, 9, &mut octets).unwrap();
    let whole = octets.clone();
    let outbind = Outbind {
        system_id: b"SMSC",
        password: b"s3cret",
    };
    let command = Command::OUTBIND;
    outbind
        .encode(command, Status::ROK, 10, &mut octets)
        .unwrap();
    smsc.sends(octets).await;
    answers(&mut smsc, 11).await;
    assert_eq!(esme.notices.recv().await, Some(Notice::Alert(whole.into())));
    let Some(Notice::Outbind { system_id, .. }) = esme.notices.recv().await else {
        panic!("no outbind")
    };
    assert_eq!(system_id, b"SMSC", "and not its password");
}
