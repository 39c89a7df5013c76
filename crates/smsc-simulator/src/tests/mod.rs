//! Transcripts of ESMEs written out by hand over TCP.

mod as_they_are;
mod faults;
mod manage;
mod peer;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use self::peer::{Esme, PATIENCE, submit_sm};
use super::*;
use smpp_protocol::pdu::Sm;
use smpp_protocol::{Command, Pdu, Status, frame};
use written_units::Time;

/// No receipts unless a test asks for them.
fn quiet() -> Options {
    let outcomes = "NONE".parse().unwrap();
    Options {
        receipts: Receipts {
            outcomes,
            ..Receipts::default()
        },
        ..Options::default()
    }
}

/// Receipts at once.
fn prompt() -> Options {
    let delay = Spread::default();
    Options {
        receipts: Receipts {
            delay,
            ..Receipts::default()
        },
        ..Options::default()
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not within a minute: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn only_the_accounts_given_may_bind_and_only_so_often() {
    let accounts = vec!["esme:secret".parse().unwrap()];
    let options = Options {
        accounts,
        max_binds: 1,
        ..quiet()
    };
    let smsc = Simulator::start(options).await.unwrap();
    let mut esme = Esme::connect(&smsc).await;
    let bind = Command::BIND_TRANSCEIVER;
    assert_eq!(
        esme.bind(bind, "somebody", "secret").await,
        Status::RINVSYSID
    );
    assert_eq!(esme.bind(bind, "esme", "wrong").await, Status::RINVPASWD);
    assert_eq!(esme.bind(bind, "esme", "secret").await, Status::ROK);
    assert_eq!(esme.bind(bind, "esme", "secret").await, Status::RALYBND);
    let mut second = Esme::connect(&smsc).await;
    assert_eq!(second.bind(bind, "esme", "secret").await, Status::RALYBND);
    let [bound] = &smsc.binds()[..] else {
        panic!("{:?}", smsc.binds())
    };
    assert_eq!(
        (bound.account.as_str(), bound.mode),
        ("esme", Mode::Transceiver)
    );

    esme.says(Command::UNBIND, Status::ROK, 7).await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::UNBIND_RESP, Status::ROK, 7)
    );
    assert_eq!(esme.hears_or_ends().await, None);
    eventually("the bind is gone", || smsc.binds().is_empty()).await;
    assert_eq!(second.bind(bind, "esme", "secret").await, Status::ROK);
}

#[tokio::test]
async fn messages_are_accepted_answered_in_order_and_written_down() {
    let smsc = Simulator::start(quiet()).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    let batch: Vec<u8> = (2..=4)
        .flat_map(|n| submit_sm(n, &format!("message {n}")))
        .collect();
    esme.stream.write_all(&batch).await.unwrap();
    let mut ids = Vec::new();
    for sequence in 2..=4 {
        let response = esme.hears().await;
        assert_eq!(
            response.header(),
            (Command::SUBMIT_SM_RESP, Status::ROK, sequence)
        );
        ids.push(response.message_id());
    }
    let journal = smsc.journal();
    let told: Vec<_> = journal
        .iter()
        .map(|a| (a.sequence, a.text.as_str()))
        .collect();
    assert_eq!(told, [(2, "message 2"), (3, "message 3"), (4, "message 4")]);
    assert_eq!(
        journal
            .iter()
            .map(|a| a.message_id.clone())
            .collect::<Vec<_>>(),
        ids
    );
    assert_eq!(journal[0].destination, "447700900123");
    assert_eq!(smsc.counts().accepted, 3);
}

#[tokio::test]
async fn what_does_not_belong_is_answered_and_the_session_goes_on() {
    let smsc = Simulator::start(quiet()).await.unwrap();
    let mut esme = Esme::connect(&smsc).await;
    esme.submits(9, "too early").await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::RINVBNDSTS, 9)
    );
    assert_eq!(
        esme.bind(Command::BIND_RECEIVER, "esme", "").await,
        Status::ROK
    );
    esme.submits(2, "wrong bind").await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::RINVBNDSTS, 2)
    );
    esme.says(Command(0x0666), Status::ROK, 3).await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::GENERIC_NACK, Status::RINVCMDID, 3)
    );
    esme.says(Command::DELIVER_SM_RESP, Status::ROK, 99).await;
    esme.says(Command::ENQUIRE_LINK, Status::ROK, 4).await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::ENQUIRE_LINK_RESP, Status::ROK, 4)
    );
    esme.stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(
        esme.hears_or_ends().await,
        None,
        "an impossible length ends the session"
    );
}

#[tokio::test]
async fn a_rate_and_a_window_throttle() {
    let smsc = Simulator::start(Options {
        max_tps: 4,
        ..quiet()
    })
    .await
    .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    esme.submits(2, "in time").await;
    esme.submits(3, "too soon").await;
    assert_eq!(esme.hears().await.status, Status::ROK);
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::RTHROTTLED, 3)
    );

    let response_delay = "200ms".parse().unwrap();
    let smsc = Simulator::start(Options {
        window: 2,
        response_delay,
        ..quiet()
    })
    .await
    .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    for sequence in 2..=4 {
        esme.submits(sequence, "all at once").await;
    }
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::RMSGQFUL, 4)
    );
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::ROK, 2)
    );
    assert_eq!((smsc.counts().accepted, smsc.counts().throttled), (2, 1));
}

#[tokio::test]
async fn a_receipt_follows_in_another_form_of_the_id() {
    let message_ids = MessageIds {
        form: Form::Hex,
        receipt: Some(Form::Decimal),
        first: Some(0xbeef),
        ..MessageIds::default()
    };
    let smsc = Simulator::start(Options {
        message_ids,
        ..prompt()
    })
    .await
    .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    esme.submits(2, "hello").await;
    assert_eq!(esme.hears().await.message_id(), "beef");
    let text = esme.receives().await.text();
    assert!(
        text.starts_with("id:48879 sub:001 dlvrd:001 submit date:"),
        "{text}"
    );
    assert!(text.ends_with(" stat:DELIVRD err:000 text:hello"), "{text}");
    eventually("acknowledged", || smsc.counts().receipts == 1).await;
}

#[tokio::test]
async fn receipts_unacknowledged_or_refused_come_again_until_they_are_taken() {
    let retry = Retry::NextBind;
    let options = Options {
        receipts: Receipts {
            retry,
            ..prompt().receipts
        },
        ..prompt()
    };
    let smsc = Simulator::start(options).await.unwrap();
    let mut transmitter = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    transmitter.submits(2, "one").await;
    transmitter.submits(3, "two").await;
    assert_eq!(transmitter.hears().await.status, Status::ROK);
    assert_eq!(transmitter.hears().await.status, Status::ROK);
    transmitter.hears_nothing_for(50).await;

    let mut receiver = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    let refused = receiver.hears().await;
    receiver
        .says(
            Command::DELIVER_SM_RESP,
            Status::RX_T_APPN,
            refused.sequence,
        )
        .await;
    let lost = receiver.hears().await;
    eventually("refused", || smsc.counts().deliveries_refused == 1).await;
    drop(receiver);
    eventually("both wait", || smsc.waiting() == 2).await;

    let mut receiver = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    let mut again = [
        receiver.receives().await.text(),
        receiver.receives().await.text(),
    ];
    again.sort();
    let mut first = [refused.text(), lost.text()];
    first.sort();
    assert_eq!(again, first);
    eventually("both taken", || smsc.counts().receipts == 2).await;
    assert_eq!(smsc.counts().receipts_sent, 4);
    receiver.hears_nothing_for(50).await;
}

#[tokio::test]
async fn deliveries_keep_to_the_window_and_wait_for_nobody() {
    let smsc = Simulator::start(Options {
        deliver_window: 2,
        ..quiet()
    })
    .await
    .unwrap();
    assert!(
        smsc.deliver(&Mo::new("4479", "80800", "nobody there"))
            .is_err()
    );
    let mut esme = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    for n in 1..=3 {
        assert_eq!(
            smsc.deliver(&Mo::new("4479", "80800", &format!("mo {n}")))
                .unwrap(),
            n
        );
    }
    let first = esme.hears().await;
    assert_eq!(esme.hears().await.text(), "mo 2");
    esme.hears_nothing_for(50).await;
    esme.says(Command::DELIVER_SM_RESP, Status::ROK, first.sequence)
        .await;
    assert_eq!(esme.hears().await.text(), "mo 3");
    eventually("acknowledged", || smsc.counts().inbound == 1).await;
}

#[tokio::test]
async fn receipts_due_after_a_full_window_still_come() {
    let delay = "100ms".parse().unwrap();
    let receipts = Receipts {
        delay,
        ..Receipts::default()
    };
    let options = Options {
        receipts,
        deliver_window: 1,
        ..Options::default()
    };
    let smsc = Simulator::start(options).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    for sequence in [2, 3] {
        esme.submits(sequence, "fills the window").await;
        assert_eq!(esme.hears().await.sequence, sequence);
    }
    let first = esme.hears().await;
    sleep(Duration::from_millis(100)).await;
    esme.submits(4, "due when there is room again").await;
    assert_eq!(esme.hears().await.sequence, 4);
    esme.says(Command::DELIVER_SM_RESP, Status::ROK, first.sequence)
        .await;
    esme.receives().await;
    let text = esme.receives().await.text();
    assert!(text.ends_with("text:due when there is ro"), "{text}");
}

#[tokio::test]
async fn inbound_traffic_is_made_up_at_its_rate() {
    let inbound = Inbound {
        rate: 50.0,
        ..Inbound::default()
    };
    let smsc = Simulator::start(Options { inbound, ..quiet() })
        .await
        .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    let start = tokio::time::Instant::now();
    let mut sources = Vec::new();
    for _ in 0..10 {
        let heard = esme.receives().await;
        sources.push(Sm::decode(&heard.body).unwrap().source.number.to_vec());
    }
    assert!(start.elapsed() > Duration::from_millis(100));
    assert!(sources.iter().all(|source| source == b"447700900123"));
}

#[tokio::test]
async fn responses_can_be_paused() {
    let smsc = Simulator::start(quiet()).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    smsc.pause_responses(true);
    esme.submits(2, "held").await;
    esme.says(Command::ENQUIRE_LINK, Status::ROK, 3).await;
    assert_eq!(esme.hears().await.command, Command::ENQUIRE_LINK_RESP);
    esme.hears_nothing_for(50).await;
    assert_eq!(smsc.counts().accepted, 1);
    smsc.pause_responses(false);
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::ROK, 2)
    );
}

#[tokio::test]
async fn sessions_can_be_unbound_dropped_and_sent_nonsense() {
    let smsc = Simulator::start(quiet()).await.unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    smsc.write_raw(b"\0\0\0\x10\0\0\x06\x66\0\0\0\0\0\0\0\x09");
    assert_eq!(
        esme.hears().await.header(),
        (Command(0x0666), Status::ROK, 9)
    );
    smsc.unbind();
    let unbind = esme.hears().await;
    assert_eq!(unbind.command, Command::UNBIND);
    esme.says(Command::UNBIND_RESP, Status::ROK, unbind.sequence)
        .await;
    assert_eq!(esme.hears_or_ends().await, None);

    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    smsc.drop_connections();
    assert_eq!(esme.hears_or_ends().await, None);
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    smsc.stop();
    smsc.stopped().await;
    assert_eq!(esme.hears_or_ends().await, None);
    assert!(TcpStream::connect(smsc.addr()).await.is_err());
}

#[tokio::test]
async fn a_silent_peer_is_asked_and_then_left() {
    let enquire_link = Time::millis(100);
    let smsc = Simulator::start(Options {
        enquire_link,
        ..quiet()
    })
    .await
    .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    let asked = esme.hears().await;
    assert_eq!(asked.command, Command::ENQUIRE_LINK);
    esme.says(Command::ENQUIRE_LINK_RESP, Status::ROK, asked.sequence)
        .await;
    assert_eq!(esme.hears().await.command, Command::ENQUIRE_LINK);
    assert_eq!(esme.hears_or_ends().await, None);
}

#[tokio::test]
async fn a_lost_bind_counts_for_a_while() {
    let bind_linger = Time::millis(300);
    let options = Options {
        max_binds: 1,
        bind_linger,
        ..quiet()
    };
    let smsc = Simulator::start(options).await.unwrap();
    drop(Esme::bound(&smsc, Command::BIND_TRANSMITTER).await);
    eventually("the session is gone", || smsc.binds().is_empty()).await;
    let mut esme = Esme::connect(&smsc).await;
    let bind = Command::BIND_TRANSMITTER;
    assert_eq!(esme.bind(bind, "esme", "").await, Status::RALYBND);
    sleep(Duration::from_millis(350)).await;
    assert_eq!(esme.bind(bind, "esme", "").await, Status::ROK);
}

#[tokio::test]
async fn the_file_has_a_message_before_its_sender_has_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let smsc = Simulator::start(Options {
        journal: Some(path.clone()),
        ..prompt()
    })
    .await
    .unwrap();
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    for n in 2..20 {
        esme.submits(n, "counted").await;
        let id = esme.hears().await.message_id();
        let line = lines()
            .into_iter()
            .find(|line| line["message_id"] == id)
            .unwrap();
        assert_eq!(
            (&line["event"], &line["text"]),
            (&"accepted".into(), &"counted".into())
        );
        assert_eq!(esme.receives().await.command, Command::DELIVER_SM);
    }
    drop(esme);
    eventually("closed", || {
        lines().iter().any(|line| line["event"] == "closed")
    })
    .await;
    let count = |event: &str| lines().iter().filter(|line| line["event"] == event).count();
    assert_eq!(
        (count("bound"), count("accepted"), count("receipt")),
        (1, 18, 18)
    );
}

/// Not a benchmark: a floor that only something quadratic would fall below.
#[tokio::test]
async fn many_messages_with_receipts_go_through_one_session() {
    let smsc = Simulator::start(prompt()).await.unwrap();
    let esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    let (mut read, mut write) = esme.stream.into_split();
    let total = 20_000u32;
    let batch: Vec<u8> = (2..total + 2).flat_map(|n| submit_sm(n, "bulk")).collect();
    let (acknowledge, mut acknowledgements) = tokio::sync::mpsc::unbounded_channel::<u32>();
    let writer = tokio::spawn(async move {
        write.write_all(&batch).await.unwrap();
        while let Some(sequence) = acknowledgements.recv().await {
            let mut pdu = Vec::new();
            frame::push_empty(Command::DELIVER_SM_RESP, Status::ROK, sequence, &mut pdu);
            write.write_all(&pdu).await.unwrap();
        }
    });
    let (mut input, mut responses, mut receipts) = (Vec::new(), 0, 0);
    while responses + receipts < total * 2 {
        assert!(
            timeout(Duration::from_secs(20), read.read_buf(&mut input))
                .await
                .unwrap()
                .unwrap()
                > 0
        );
        let mut taken = 0;
        while let Some(frame) = frame::split(&input[taken..], 10_000).unwrap() {
            taken += frame.header.length as usize;
            match Pdu::read(frame).unwrap() {
                Pdu::SubmitSmResp(_) => responses += 1,
                Pdu::DeliverSm(_) => {
                    receipts += 1;
                    acknowledge.send(frame.header.sequence).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        input.drain(..taken);
    }
    assert_eq!((responses, receipts), (total, total));
    drop(acknowledge);
    writer.await.unwrap();
    eventually("all acknowledged", || {
        smsc.counts().receipts == u64::from(total)
    })
    .await;
}
