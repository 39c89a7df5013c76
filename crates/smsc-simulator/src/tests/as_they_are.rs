//! SMSCs as they are in the field: small windows, serial servers, binds that die, ids that repeat,
//! receipts that are lost.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::peer::{Esme, bind_as, empty, submit_sm};
use super::{eventually, prompt, quiet};
use crate::{Handle, Inbound, Mo, Options, Receipts, Retry, Simulator};
use smpp_protocol::pdu::SmResp;
use smpp_protocol::tlv::Tag;
use smpp_protocol::{Command, Status};
use written_units::Time;

async fn start(options: Options) -> Handle {
    Simulator::start(options).await.unwrap()
}

fn faults(lines: &[&str]) -> Vec<crate::Fault> {
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test]
async fn beyond_the_window_any_status_can_be_answered() {
    let smsc = start(Options {
        window: 1,
        window_status: "0x00000401".parse().unwrap(),
        response_delay: "100ms".parse().unwrap(),
        ..quiet()
    })
    .await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    let both = [submit_sm(2, "fits"), submit_sm(3, "too many")];
    esme.says_at_once(&both).await;
    assert_eq!(esme.hears().await.header().1, Status(0x401));
    assert_eq!(esme.hears().await.header().1, Status::ROK);
    esme.submits(4, "fits again").await;
    assert_eq!(esme.hears().await.header().1, Status::ROK);
    assert_eq!((smsc.counts().throttled, smsc.counts().refused), (1, 0));
}

#[tokio::test]
async fn a_serial_server_answers_one_after_the_other_in_order() {
    let smsc = start(Options {
        answer_rate: 20.0,
        response_delay: "0s..100ms".parse().unwrap(),
        ..quiet()
    })
    .await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    let begun = Instant::now();
    let mut all: Vec<Vec<u8>> = (2..8).map(|n| submit_sm(n, "in turn")).collect();
    all.push(empty(Command::ENQUIRE_LINK, 9));
    esme.says_at_once(&all).await;
    let first = esme.hears().await;
    assert_eq!(
        (first.command, smsc.counts().accepted),
        (Command::ENQUIRE_LINK_RESP, 6),
        "all are accepted before the first is answered"
    );
    for sequence in 2..8 {
        assert_eq!(esme.hears().await.sequence, sequence);
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "six in 0.3 s"
    );
    let due: Vec<_> = smsc.journal().iter().map(|a| a.response_due).collect();
    assert!(
        due.is_sorted() && due.iter().all(Option::is_some),
        "{due:?}"
    );
}

#[tokio::test]
async fn binds_die_without_a_word_and_others_live() {
    let smsc = start(Options {
        faults: faults(&["die=500ms account=esme times=1"]),
        ..quiet()
    })
    .await;
    let mut esme = Esme::connect(&smsc).await;
    let bind = bind_as(0x34, Command::BIND_TRANSMITTER, "esme", "");
    esme.says_at_once(&[bind, submit_sm(2, "in time")]).await;
    for command in [Command::BIND_TRANSMITTER_RESP, Command::SUBMIT_SM_RESP] {
        let heard = esme.hears().await;
        assert_eq!((heard.command, heard.status), (command, Status::ROK));
    }
    assert_eq!(esme.hears_or_ends().await, None);
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    esme.hears_nothing_for(700).await;
}

#[tokio::test]
async fn a_deaf_backend_keeps_the_link_alive() {
    let smsc = start(quiet()).await;
    for fault in ["swallow after=1 per=session", "ignore after=1 per=session"] {
        smsc.set_faults(&faults(&[fault]));
        let before = smsc.counts();
        let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
        for sequence in 2..5 {
            esme.submits(sequence, "heard once").await;
        }
        esme.says(Command::ENQUIRE_LINK, Status::ROK, 9).await;
        assert_eq!(esme.hears().await.sequence, 2);
        assert_eq!(esme.hears().await.command, Command::ENQUIRE_LINK_RESP);
        esme.hears_nothing_for(30).await;
        let after = smsc.counts();
        let ignored = after.ignored - before.ignored;
        assert_eq!(after.accepted - before.accepted + ignored, 3);
        assert_eq!(ignored, if fault.starts_with("ignore") { 2 } else { 0 });
    }
}

#[tokio::test]
async fn ids_repeat_and_their_receipts_say_the_same() {
    for (first, last, ids) in [(1, 2, ["1", "2", "1"]), (5, 5, ["5", "5", "5"])] {
        let mut options = prompt();
        options.message_ids.first = Some(first);
        options.message_ids.last = Some(last);
        let smsc = start(options).await;
        let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
        for (sequence, id) in (2..).zip(ids) {
            esme.submits(sequence, "again").await;
            assert_eq!(esme.hears().await.message_id(), id);
            let receipt = esme.receives().await.text();
            assert!(receipt.starts_with(&format!("id:{id} ")), "{receipt}");
        }
    }
    let mut options = prompt();
    options.message_ids.form = crate::Form::Empty;
    let smsc = start(options).await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    esme.submits(2, "nameless").await;
    assert_eq!(esme.hears().await.message_id(), "");
    let receipt = esme.receives().await.text();
    assert!(receipt.starts_with("id: sub:001"), "{receipt}");
}

#[tokio::test]
async fn a_receipt_comes_right_behind_its_response() {
    let mut options = prompt();
    options.receipts.delay = "1h".parse().unwrap();
    options.response_delay = "50ms".parse().unwrap();
    options.faults = faults(&["behind"]);
    let smsc = start(options).await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    for sequence in [2, 3] {
        esme.submits(sequence, "behind").await;
        let id = esme.hears().await.message_id();
        assert!(esme.receives().await.text().contains(&id));
    }
}

/// Offers nothing again, and has one deliver_sm unanswered at a time.
fn forgetful(journal: &Path, deliver_timeout: Time) -> Options {
    Options {
        receipts: Receipts {
            retry: Retry::Never,
            ..prompt().receipts
        },
        deliver_timeout,
        deliver_window: 1,
        journal: Some(journal.to_owned()),
        ..prompt()
    }
}

/// What the journal says of deliver_sm that were not taken.
fn refused(journal: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(journal).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["event"] == "refused")
        .collect()
}

#[tokio::test]
async fn what_was_refused_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let smsc = start(forgetful(&journal, Time::seconds(0))).await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    esme.submits(2, "receipt refused").await;
    assert_eq!(esme.hears().await.status, Status::ROK);
    let receipt = esme.hears().await;
    let (resp, later) = (Command::DELIVER_SM_RESP, Status::RX_T_APPN);
    esme.says(resp, later, receipt.sequence).await;
    eventually("it is lost", || smsc.counts().lost == 1).await;
    smsc.deliver(&Mo::new("4479", "80800", "taken")).unwrap();
    assert_eq!(esme.receives().await.text(), "taken");
    eventually("one is taken", || smsc.counts().inbound == 1).await;
    let counts = smsc.counts();
    assert_eq!(
        (counts.deliveries_refused, counts.inbound_refused),
        (1, 0),
        "{counts:?}"
    );
    assert_eq!((counts.lost, counts.inbound_lost), (1, 0));
    assert_eq!((counts.receipts_sent, counts.inbound_sent), (1, 1));
    assert_eq!(counts.unanswered, 0);
    let told = refused(&journal);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["status"], "ESME_RX_T_APPN");
    assert_eq!(told[0]["again"], false);
}

#[tokio::test]
async fn what_was_not_answered_in_time_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let smsc = start(forgetful(&journal, Time::millis(50))).await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    smsc.deliver(&Mo::new("4479", "80800", "silence")).unwrap();
    let silent = esme.hears().await;
    eventually("it is lost", || smsc.counts().inbound_lost == 1).await;
    let resp = Command::DELIVER_SM_RESP;
    esme.says(resp, Status::ROK, silent.sequence).await;
    esme.says(Command::ENQUIRE_LINK, Status::ROK, 9).await;
    assert_eq!(esme.hears().await.command, Command::ENQUIRE_LINK_RESP);
    let counts = smsc.counts();
    assert_eq!(counts.inbound, 0, "the answer came too late");
    assert_eq!((counts.unanswered, counts.inbound_unanswered), (1, 1));
    assert_eq!((counts.deliveries_refused, counts.lost), (0, 1));
    smsc.deliver(&Mo::new("4479", "80800", "next")).unwrap();
    assert_eq!(esme.hears().await.text(), "next", "there is room for it");
    let told = refused(&journal);
    assert_eq!(
        (&told[0]["status"], &told[0]["number"]),
        (&().into(), &1.into())
    );
}

#[tokio::test]
async fn inbound_messages_come_in_one_burst() {
    let smsc = start(Options {
        inbound: Inbound {
            burst: Some("500".parse().unwrap()),
            texts: vec!["MO {n}".into()],
            ..Inbound::default()
        },
        deliver_window: 0,
        ..quiet()
    })
    .await;
    let mut esme = Esme::bound(&smsc, Command::BIND_RECEIVER).await;
    for n in 1..=500 {
        assert_eq!(esme.hears().await.text(), format!("MO {n}"), "none waits");
    }
    esme.hears_nothing_for(30).await;
}

#[tokio::test]
async fn congestion_is_told_to_those_who_speak_smpp_5() {
    for (congestion, version, told) in [
        ("42", 0x50, [Some(42), Some(42)]),
        ("load", 0x50, [Some(0), Some(100)]),
        ("42", 0x34, [None, None]),
    ] {
        let smsc = start(Options {
            congestion: Some(congestion.parse().unwrap()),
            window: 1,
            response_delay: "100ms".parse().unwrap(),
            ..quiet()
        })
        .await;
        let mut esme = Esme::connect(&smsc).await;
        let bind = Command::BIND_TRANSMITTER;
        assert_eq!(esme.bind_as(version, bind, "esme", "").await, Status::ROK);
        let both = [submit_sm(2, "fits"), submit_sm(3, "does not")];
        esme.says_at_once(&both).await;
        let (refused, answered) = (esme.hears().await, esme.hears().await);
        assert_eq!(
            (refused.header(), answered.header()),
            (
                (Command::SUBMIT_SM_RESP, Status::RMSGQFUL, 3),
                (Command::SUBMIT_SM_RESP, Status::ROK, 2)
            )
        );
        let state = |body: &[u8]| {
            let response = SmResp::decode(body).unwrap();
            let state = response.tlvs.get(Tag::CONGESTION_STATE)?;
            Some(state[0])
        };
        assert_eq!([state(&answered.body), state(&refused.body)], told);
    }
}

#[tokio::test]
async fn rejected_messages_are_written_down_with_their_status() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let smsc = start(Options {
        journal: Some(journal.clone()),
        faults: faults(&["status=ESME_RTHROTTLED nth=1", "ignore nth=2"]),
        ..quiet()
    })
    .await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    for sequence in 2..=4 {
        esme.submits(sequence, "rejected or not").await;
    }
    assert_eq!(esme.hears().await.sequence, 2);
    assert_eq!(esme.hears().await.sequence, 4);
    let text = std::fs::read_to_string(journal).unwrap();
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{} {} {}", line["event"], line["sequence"], line["status"])
    });
    assert_eq!(
        lines.skip(1).collect::<Vec<_>>(),
        [
            r#""rejected" 2 "ESME_RTHROTTLED""#,
            r#""rejected" 3 null"#,
            r#""accepted" 4 null"#
        ]
    );
}

#[tokio::test]
async fn options_that_cannot_be_are_refused() {
    let mut options = quiet();
    (options.message_ids.first, options.message_ids.last) = (Some(9), Some(1));
    let error = Simulator::start(options).await.err().unwrap().to_string();
    assert!(error.contains("comes before the first"), "{error}");
}
