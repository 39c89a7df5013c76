//! What fuzz targets reach that is private otherwise.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::control::{self, Command, Orders, Record};
use crate::http::{self, Seen};
use crate::status::{History, Live, Status};

/// The token that steers the listener here.
pub const TOKEN: &str = "fuzz";

fn esmes() -> Vec<(String, Vec<String>)> {
    let topics = vec!["sms.outbound".to_owned(), "sms.urgent".to_owned()];
    vec![("acme".to_owned(), topics)]
}

/// Reads octets as the body of an order, and as a record of the control topic: a key, an octet of
/// zero, a value.
///
/// # Panics
///
/// If what an order writes is no order when it is read, or something is refused without a reason.
pub fn orders(octets: &[u8]) {
    if let Ok(command) = serde_json::from_slice::<Command>(octets) {
        body(&command);
    }
    let Some(end) = octets.iter().position(|octet| *octet == 0) else {
        return;
    };
    let (key, value) = (&octets[..end], &octets[end + 1..]);
    let mut orders = Orders::default();
    let read = orders.record(&record(key, Some(value)));
    match read {
        Err(why) => {
            assert!(!why.is_empty());
            assert_eq!(orders, Orders::default(), "{why}, and it changed something");
        }
        Ok(_) => {
            crate::connector::wanted(&orders, &esmes());
            let back = orders.record(&record(key, None));
            assert!(back.is_ok(), "{back:?}");
        }
    }
}

fn record<'a>(key: &'a [u8], value: Option<&'a [u8]>) -> Record<'a> {
    Record {
        key,
        value,
        partition: 0,
        given: Timestamp::UNIX_EPOCH,
        is_new: true,
    }
}

fn body(command: &Command) {
    let records = match control::written(command, &esmes()) {
        Ok(records) => records,
        Err(why) => return assert!(!why.is_empty()),
    };
    let mut orders = Orders::default();
    for (key, value) in records {
        let value = value.as_deref();
        let read = orders.record(&record(key.as_bytes(), value));
        let change = read.expect("what is written can be read");
        assert_eq!(change.is_some(), value.is_some(), "{key}");
    }
    crate::connector::wanted(&orders, &esmes());
}

struct Nothing;

impl Seen for Nothing {
    fn status(&self) -> Status {
        Status::default()
    }

    fn processes(&self) -> Vec<Status> {
        vec![Status::default()]
    }

    fn history(&self) -> History {
        History::default()
    }

    fn live(&self) -> Live {
        Live::default()
    }
}

/// What the listener answers to whoever sends these octets and then ends.
///
/// # Panics
///
/// If the connection does not end.
pub fn answers(octets: &[u8]) -> Vec<u8> {
    // A client that cannot be made: no order leads to Kafka.
    let mut refused = rdkafka::ClientConfig::new();
    refused.set("no.such.property", "1").set("log_level", "0");
    let options = control::Options {
        reader: refused.clone(),
        producer: refused,
        topic: "sms.control".to_owned(),
        esmes: esmes(),
    };
    let steered = control::Control::new(options).1;
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut peer, ours) = tokio::io::duplex(1 << 20);
        let served = http::served(ours, Arc::new(Nothing), steered, TOKEN.to_owned().into());
        let heard = async {
            // It may be closed before all is written.
            let _ = peer.write_all(octets).await;
            let _ = peer.shutdown().await;
            let mut answer = Vec::new();
            let _ = peer.read_to_end(&mut answer).await;
            answer
        };
        let both = async { tokio::join!(served, heard).1 };
        let answer = tokio::time::timeout(Duration::from_secs(5), both).await;
        answer.expect("the connection ends")
    })
}
