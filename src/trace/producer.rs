//! The producer of the trace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig};
use smpp_esme::Direction;

use super::headers::{AT, BIND, DIRECTION, ESME, MASKED, PEER, RECEIVED, SENT};
use super::notices::TraceDropped;
use crate::kafka::ear::Ear;
use crate::kafka::served::Served;
use crate::repeated::{Line, Times};

/// How many octets of PDUs wait for Kafka at most.
pub const OCTETS: u64 = 16 << 20;

/// A PDU for the trace.
pub struct Traced<'a> {
    pub esme: &'a str,
    pub bind: &'a str,
    pub direction: Direction,
    pub peer: SocketAddr,
    pub at: Timestamp,
    /// What was hidden, if anything.
    pub masked: &'a str,
    pub pdu: &'a [u8],
}

/// Hands PDUs to Kafka, and drops what it does not take: nobody waits for it.
pub struct Producer {
    producer: Served<Context>,
    topic: Arc<str>,
    dropped: Line<String>,
}

impl Producer {
    pub fn new(client: &ClientConfig, topic: &str) -> Result<Self, KafkaError> {
        let topic: Arc<str> = topic.into();
        let of_line = topic.clone();
        let dropped = Line::new(move |times: Times, error: String| {
            TraceDropped {
                pdus: times.count,
                within: times.within,
                topic: &of_line,
                error: &error,
            }
            .emit();
        });
        let mut client = client.clone();
        client
            .set("enable.idempotence", "false")
            .set("linger.ms", "100")
            .set("message.timeout.ms", "60000")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", (OCTETS >> 10).to_string());
        let context = Context {
            ear: Ear::of(&client),
            dropped: dropped.clone(),
        };
        Ok(Producer {
            producer: Served::new(&client, context)?,
            topic,
            dropped,
        })
    }

    /// Hands one over. PDUs of a bind stay in order, because they share a partition.
    pub fn send(&self, traced: &Traced<'_>) {
        let direction = match traced.direction {
            Direction::Sent => SENT,
            Direction::Received => RECEIVED,
        };
        let (peer, at) = (traced.peer.to_string(), format!("{:.6}", traced.at));
        let fields = [
            (ESME, traced.esme),
            (BIND, traced.bind),
            (DIRECTION, direction),
            (PEER, &peer),
            (AT, &at),
            (MASKED, traced.masked),
        ];
        let mut headers = OwnedHeaders::new();
        for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = Some(value);
            headers = headers.insert(Header { key, value });
        }
        let record = BaseRecord::to(&self.topic)
            .key(traced.bind)
            .payload(traced.pdu)
            .timestamp(traced.at.as_millisecond())
            .headers(headers);
        if let Err((error, _)) = self.producer.send(record) {
            self.dropped.note(error.to_string());
        }
    }

    /// Waits until Kafka has everything, at most so long. What is left is given up, and counted before
    /// this returns.
    pub fn finish(&self, patience: Duration) {
        let flushed = self.producer.flush(patience);
        if flushed.is_err() {
            self.producer
                .purge(PurgeConfig::default().queue().inflight());
            // The reports of what was given up; they are there at once.
            let _ = self.producer.flush(patience);
        }
    }
}

/// Hears what became of PDUs.
struct Context {
    ear: Ear,
    dropped: Line<String>,
}

impl ClientContext for Context {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        self.ear.log(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.dropped.note(error.to_string());
        }
    }
}
