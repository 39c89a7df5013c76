//! Messages that are asked about, cancelled and replaced, messages to several, and broadcasts.

use super::*;
use smpp_protocol::pdu::{
    AlertNotification, BindResp, BroadcastSm, CancelBroadcastSm, CancelSm, Destination,
    Destinations, QueryBroadcastSm, QuerySm, QuerySmResp, ReplaceSm, SmResp, SubmitMulti,
    SubmitMultiResp,
};
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Address, MessageState, Tag, Tlvs};

use super::peer::Heard;

/// Receipts a moment later.
fn soon(millis: u64) -> Options {
    Options {
        receipts: Receipts {
            delay: Spread::constant(Duration::from_millis(millis)),
            ..Receipts::default()
        },
        ..Options::default()
    }
}

fn source() -> Address<'static> {
    Address::parse("80800")
}

async fn asks(esme: &mut Esme, pdu: Pdu<'_>) -> Heard {
    let mut octets = Vec::new();
    pdu.encode(Status::ROK, 77, &mut octets).unwrap();
    esme.stream.write_all(&octets).await.unwrap();
    let heard = esme.hears().await;
    assert_eq!(
        (heard.command, heard.sequence),
        (pdu.command().response(), 77)
    );
    heard
}

async fn queries(esme: &mut Esme, id: &str) -> (Status, MessageState) {
    let query = QuerySm {
        message_id: id.as_bytes(),
        source: source(),
    };
    let heard = asks(esme, Pdu::QuerySm(query)).await;
    let answer = QuerySmResp::decode(&heard.body).unwrap();
    let state = MessageState::from_value(answer.message_state).unwrap();
    assert_eq!(
        state.is_final() && heard.status == Status::ROK,
        !answer.final_date.is_empty()
    );
    (heard.status, state)
}

/// Submits and returns the id.
async fn submitted(esme: &mut Esme, text: &str) -> String {
    let mut pdu = Vec::new();
    Sm {
        source: source(),
        destination: Address::parse("447700900123"),
        registered_delivery: 1,
        short_message: text.as_bytes(),
        ..Sm::default()
    }
    .encode(Command::SUBMIT_SM, Status::ROK, 5, &mut pdu)
    .unwrap();
    esme.stream.write_all(&pdu).await.unwrap();
    esme.hears().await.message_id()
}

fn cancel(id: &str) -> Pdu<'_> {
    Pdu::CancelSm(CancelSm {
        message_id: id.as_bytes(),
        source: source(),
        ..CancelSm::default()
    })
}

#[tokio::test]
async fn a_message_can_be_asked_about_until_it_is_forgotten() {
    let smsc = Simulator::start(Options {
        keep: 2,
        ..soon(300)
    })
    .await
    .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    let id = submitted(&mut esme, "hello").await;
    assert_eq!(
        queries(&mut esme, &id).await,
        (Status::ROK, MessageState::Enroute)
    );
    esme.receives().await;
    assert_eq!(
        queries(&mut esme, &id).await,
        (Status::ROK, MessageState::Delivered)
    );
    assert_eq!(queries(&mut esme, "nobody's").await.0, Status::RQUERYFAIL);
    for text in ["two", "three"] {
        submitted(&mut esme, text).await;
    }
    assert_eq!(queries(&mut esme, &id).await.0, Status::RQUERYFAIL);
}

#[tokio::test]
async fn a_cancelled_message_is_deleted_and_its_receipt_says_so() {
    let smsc = Simulator::start(soon(60_000)).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    let id = submitted(&mut esme, "hello").await;
    assert_eq!(
        asks(&mut esme, cancel("nobody's")).await.status,
        Status::RINVMSGID
    );
    assert_eq!(asks(&mut esme, cancel(&id)).await.status, Status::ROK);
    assert!(esme.receives().await.text().contains("stat:DELETED"));
    assert_eq!(
        queries(&mut esme, &id).await,
        (Status::ROK, MessageState::Deleted)
    );
    assert_eq!(
        asks(&mut esme, cancel(&id)).await.status,
        Status::RCANCELFAIL
    );
    // All from one number to another.
    for text in ["two", "three"] {
        submitted(&mut esme, text).await;
    }
    let all = |destination| {
        Pdu::CancelSm(CancelSm {
            source: source(),
            destination: Address::parse(destination),
            ..CancelSm::default()
        })
    };
    assert_eq!(asks(&mut esme, all("1")).await.status, Status::RCANCELFAIL);
    assert_eq!(
        asks(&mut esme, all("447700900123")).await.status,
        Status::ROK
    );
    for _ in 0..2 {
        assert!(esme.receives().await.text().contains("stat:DELETED"));
    }
}

#[tokio::test]
async fn a_replaced_message_has_another_text() {
    let smsc = Simulator::start(soon(400)).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    let id = submitted(&mut esme, "before").await;
    let replace = |id: &'static str| ReplaceSm {
        message_id: id.as_bytes(),
        source: source(),
        registered_delivery: 1,
        short_message: b"after",
        ..ReplaceSm::default()
    };
    let unknown = asks(&mut esme, Pdu::ReplaceSm(replace("nobody's"))).await;
    assert_eq!(unknown.status, Status::RINVMSGID);
    let known = Pdu::ReplaceSm(ReplaceSm {
        message_id: id.as_bytes(),
        ..replace("")
    });
    assert_eq!(asks(&mut esme, known).await.status, Status::ROK);
    assert!(esme.receives().await.text().ends_with("text:after"));
    assert_eq!(asks(&mut esme, known).await.status, Status::RREPLACEFAIL);
    esme.hears_nothing_for(300).await;
}

#[tokio::test]
async fn a_message_to_several_names_those_who_do_not_get_it() {
    let faults = vec!["status=ESME_RINVDSTADR to=4999".parse().unwrap()];
    let smsc = Simulator::start(Options { faults, ..soon(0) })
        .await
        .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    let to = [
        Destination::Sme(Address::parse("+447700900123")),
        Destination::Sme(Address::parse("+4999123456")),
        Destination::List(b"staff"),
    ];
    let multi = |to| {
        Pdu::SubmitMulti(SubmitMulti {
            source: source(),
            destinations: Destinations::Slice(to),
            registered_delivery: 1,
            short_message: b"to all",
            ..SubmitMulti::default()
        })
    };
    let heard = asks(&mut esme, multi(&to)).await;
    assert_eq!(heard.status, Status::ROK);
    let answer = SubmitMultiResp::decode(&heard.body).unwrap();
    let unsuccess: Vec<_> = answer.unsuccess.iter().map(|u| u.status).collect();
    assert_eq!(unsuccess, [Status::RINVDSTADR, Status::RINVDLNAME]);
    let id = String::from_utf8(answer.message_id.to_vec()).unwrap();
    assert!(esme.receives().await.text().contains(&id));
    assert_eq!(
        queries(&mut esme, &id).await,
        (Status::ROK, MessageState::Delivered)
    );
    assert_eq!(
        asks(&mut esme, multi(&to[1..])).await.status,
        Status::RINVDSTADR
    );
    assert_eq!(smsc.counts().accepted, 1);
}

#[tokio::test]
async fn a_broadcast_can_be_asked_about_and_cancelled() {
    let smsc = Simulator::start(soon(60_000)).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    let mut tlvs = Vec::new();
    for (tag, value) in [
        (Tag::BROADCAST_AREA_IDENTIFIER, &b"\0berlin"[..]),
        (Tag::BROADCAST_CONTENT_TYPE, &[0, 0, 1]),
        (Tag::BROADCAST_REP_NUM, &[0, 1]),
        (Tag::BROADCAST_FREQUENCY_INTERVAL, &[8, 0, 1]),
    ] {
        push_tlv(&mut tlvs, tag, value).unwrap();
    }
    let broadcast = |tlvs| {
        Pdu::BroadcastSm(BroadcastSm {
            source: source(),
            tlvs: Tlvs::new(tlvs),
            ..BroadcastSm::default()
        })
    };
    let less = &tlvs[..tlvs.len() - 7];
    assert_eq!(
        asks(&mut esme, broadcast(less)).await.status,
        Status::RMISSINGOPTPARAM
    );
    let id = asks(&mut esme, broadcast(&tlvs)).await.message_id();
    let query = Pdu::QueryBroadcastSm(QueryBroadcastSm {
        message_id: id.as_bytes(),
        source: source(),
        ..QueryBroadcastSm::default()
    });
    let heard = asks(&mut esme, query).await;
    let answer = SmResp::decode(&heard.body).unwrap();
    assert_eq!(answer.tlvs.get(Tag::MESSAGE_STATE), Some(&[1][..]));
    assert_eq!(
        answer.tlvs.get(Tag::BROADCAST_AREA_IDENTIFIER),
        Some(&b"\0berlin"[..])
    );
    assert_eq!(answer.tlvs.get(Tag::BROADCAST_AREA_SUCCESS), Some(&[0][..]));
    assert_eq!(
        queries(&mut esme, &id).await.0,
        Status::RQUERYFAIL,
        "it is no message"
    );
    let cancel = Pdu::CancelBroadcastSm(CancelBroadcastSm {
        message_id: id.as_bytes(),
        source: source(),
        ..CancelBroadcastSm::default()
    });
    assert_eq!(asks(&mut esme, cancel).await.status, Status::ROK);
    assert_eq!(
        asks(&mut esme, cancel).await.status,
        Status::RBCASTCANCELFAIL
    );
    let heard = asks(&mut esme, query).await;
    let answer = SmResp::decode(&heard.body).unwrap();
    assert_eq!(answer.tlvs.get(Tag::MESSAGE_STATE), Some(&[4][..]));
}

#[tokio::test]
async fn who_may_not_submit_may_not_manage_either() {
    let smsc = Simulator::start(quiet()).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    assert_eq!(queries(&mut esme, "1").await.0, Status::RINVBNDSTS);
    assert_eq!(
        asks(&mut esme, cancel("1")).await.status,
        Status::RINVBNDSTS
    );
}

#[tokio::test]
async fn an_smsc_of_3_3_has_no_parameters_and_fewer_commands() {
    let options = Options {
        version: Version::V33,
        ..soon(0)
    };
    let smsc = Simulator::start(options).await.unwrap();
    let mut esme = Esme::connect(&smsc).await;
    esme.says(Command::BIND_TRANSCEIVER, Status::ROK, 1).await;
    let nack = (Command::GENERIC_NACK, Status::RINVCMDID, 1);
    assert_eq!(esme.hears().await.header(), nack);
    let mut sender = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    let mut esme = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    let id = submitted(&mut sender, "hello").await;
    let receipt = esme.receives().await;
    assert!(receipt.text().contains(&id));
    assert!(Sm::decode(&receipt.body).unwrap().tlvs.is_empty());
    let mut tlvs = Vec::new();
    push_tlv(&mut tlvs, Tag::SOURCE_PORT, &[0, 1]).unwrap();
    let modern = Pdu::SubmitSm(Sm {
        destination: Address::parse("1"),
        tlvs: Tlvs::new(&tlvs),
        ..Sm::default()
    });
    assert_eq!(asks(&mut sender, modern).await.status, Status::RINVCMDLEN);
}

#[tokio::test]
async fn an_esme_of_3_3_is_sent_no_parameters() {
    let smsc = Simulator::start(soon(0)).await.unwrap();
    for (version, told) in [(0x33, None), (0x34, Some(&[0x50][..]))] {
        let mut esme = Esme::connect(&smsc).await;
        let bind = smpp_protocol::pdu::Bind {
            system_id: b"esme",
            interface_version: version,
            ..Default::default()
        };
        let heard = asks(&mut esme, Pdu::BindTransceiver(bind)).await;
        let answer = BindResp::decode(&heard.body).unwrap();
        assert_eq!(answer.tlvs.get(Tag::SC_INTERFACE_VERSION), told);
    }
}

#[tokio::test]
async fn a_phone_that_can_be_reached_is_told_of() {
    let smsc = Simulator::start(quiet()).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    assert!(
        !smsc.alert(None, "+447700900123").unwrap(),
        "nobody listens"
    );
    let mut receiver = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    assert!(smsc.alert(None, "+447700900123").unwrap());
    let heard = receiver.hears().await;
    assert_eq!(heard.command, Command::ALERT_NOTIFICATION);
    let alert = AlertNotification::decode(&heard.body).unwrap();
    assert_eq!(alert.source.number, b"447700900123");
    assert_eq!(alert.tlvs.get(Tag::MS_AVAILABILITY_STATUS), Some(&[0][..]));
    esme.hears_nothing_for(50).await;
}

#[tokio::test]
async fn an_esme_that_listens_is_asked_to_bind_again_and_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let outbind = vec![format!("s3cret@{address}").parse().unwrap()];
    let smsc = Simulator::start(Options { outbind, ..quiet() })
        .await
        .unwrap();
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        let mut esme = Esme {
            stream,
            input: Vec::new(),
        };
        let heard = esme.hears().await;
        assert_eq!(
            (heard.command, &*heard.body),
            (Command::OUTBIND, &b"smsc\0s3cret\0"[..])
        );
        assert_eq!(
            esme.bind(Command::BIND_RECEIVER, "esme", "x").await,
            Status::ROK
        );
        assert_eq!(smsc.binds().len(), 1);
    }
}
