//! What goes wrong on demand.

use tokio::io::AsyncWriteExt as _;

use super::peer::{Esme, submit_sm};
use super::{prompt, quiet};
use crate::{Handle, Options, Simulator};
use smpp_protocol::{Command, Status};

async fn with_fault(fault: &str, options: Options) -> Handle {
    let faults = vec![fault.parse().unwrap()];
    Simulator::start(Options { faults, ..options })
        .await
        .unwrap()
}

#[tokio::test]
async fn faults_in_responses() {
    let smsc = with_fault("swallow nth=1", quiet()).await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
    esme.submits(2, "swallowed").await;
    esme.submits(3, "answered").await;
    assert_eq!(esme.hears().await.sequence, 3);
    assert_eq!(smsc.counts().accepted, 2);

    smsc.set_faults(&["late=100ms nth=1".parse().unwrap()]);
    esme.submits(4, "late").await;
    esme.submits(5, "overtakes").await;
    assert_eq!(
        (esme.hears().await.sequence, esme.hears().await.sequence),
        (5, 4)
    );

    smsc.set_faults(&["status=ESME_RMSGQFUL".parse().unwrap()]);
    esme.submits(6, "refused").await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::RMSGQFUL, 6)
    );
    smsc.set_faults(&["nack=ESME_RSYSERR".parse().unwrap()]);
    esme.submits(7, "refused").await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::GENERIC_NACK, Status::RSYSERR, 7)
    );
    assert_eq!((smsc.counts().accepted, smsc.counts().refused), (4, 2));

    smsc.set_faults(&["split".parse().unwrap(), "silent".parse().unwrap()]);
    esme.submits(8, "in two pieces").await;
    assert_eq!(
        esme.hears().await.header(),
        (Command::SUBMIT_SM_RESP, Status::ROK, 8)
    );
    esme.says(Command::ENQUIRE_LINK, Status::ROK, 9).await;
    esme.hears_nothing_for(50).await;
}

#[tokio::test]
async fn faults_that_end_the_connection() {
    for (fault, accepted, left) in [("drop", 0, 0), ("drop-accepted", 1, 0), ("cut", 1, 15)] {
        let smsc = with_fault(&format!("{fault} nth=2"), quiet()).await;
        let mut esme = Esme::bound(&smsc, Command::BIND_TRANSMITTER).await;
        let batch = [
            submit_sm(2, "fine"),
            submit_sm(3, "lost"),
            submit_sm(4, "unread"),
        ]
        .concat();
        esme.stream.write_all(&batch).await.unwrap();
        assert_eq!(esme.hears().await.sequence, 2);
        assert_eq!(esme.hears_or_ends().await, None);
        assert_eq!(smsc.counts().accepted, 1 + accepted, "{fault}");
        assert!(esme.input.len() <= left, "{fault}");
        assert_eq!(esme.input.is_empty(), left == 0, "{fault}");
    }
}

#[tokio::test]
async fn faults_in_receipts() {
    let smsc = with_fault("early=100ms nth=1", prompt()).await;
    let mut esme = Esme::bound(&smsc, Command::BIND_TRANSCEIVER).await;
    esme.submits(2, "early").await;
    let receipt = esme.receives().await.text();
    let id = esme.hears().await.message_id();
    assert!(receipt.contains(&format!("id:{id} ")), "{receipt}");

    smsc.set_faults(&["twice".parse().unwrap()]);
    esme.submits(3, "twice").await;
    let id = esme.hears().await.message_id();
    let receipts = [esme.receives().await.text(), esme.receives().await.text()];
    assert!(
        receipts
            .iter()
            .all(|text| text.contains(&format!("id:{id} "))),
        "{receipts:?}"
    );

    smsc.set_faults(&["stray".parse().unwrap()]);
    esme.submits(4, "stray").await;
    let id = esme.hears().await.message_id();
    assert!(!esme.receives().await.text().contains(&id));
}

#[tokio::test]
async fn faults_in_reading_and_binding() {
    let smsc = with_fault("stall=150ms nth=1", quiet()).await;
    smsc.set_faults(&[
        "stall=150ms".parse().unwrap(),
        "refuse=ESME_RALYBND times=1".parse().unwrap(),
    ]);
    let mut esme = Esme::connect(&smsc).await;
    let bind = Command::BIND_TRANSMITTER;
    assert_eq!(esme.bind(bind, "esme", "").await, Status::RALYBND);
    assert_eq!(esme.bind(bind, "esme", "").await, Status::ROK);
    esme.stream
        .write_all(&[submit_sm(2, "a"), submit_sm(3, "b")].concat())
        .await
        .unwrap();
    assert_eq!(esme.hears().await.sequence, 2);
    esme.hears_nothing_for(50).await;
    assert_eq!(esme.hears().await.sequence, 3);
}
