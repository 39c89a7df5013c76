//! The producer all ESMEs share, and the answers its delivery reports give.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::DeliveryResult;
use thiserror::Error;
use tracing::{debug, error, warn};

use super::Counts;
use super::incoming::{self, Arrival, Esme, Kind};
use super::repeats::Repeats;
use super::status::Counters;
use crate::esme::{Inbound, Notice, Responder};
use crate::kafka::cloud_events::CloudEvents;
use crate::kafka::idempotent::{self, Idempotent};
use crate::kafka::transactor::Output;
use crate::record::codec::Codecs;
use crate::record::keys;
use crate::record::message;
use crate::record::notification::Notification;
use crate::smpp::Status;
use crate::smpp::frame::HEADER;

/// What the deliveries work with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Properties of the producer.
    pub client: ClientConfig,
    /// The topic of receipts and of parts of messages.
    pub deliveries: Arc<str>,
    /// How many partitions it has.
    pub partitions: i32,
    /// The topic of messages from phones.
    pub inbound: Arc<str>,
    /// The topic of what else SMSCs say.
    pub notifications: Arc<str>,
    /// How many PDUs may wait for Kafka; beyond it they are answered with ESME_RX_T_APPN at
    /// once.
    pub waiting: usize,
    /// How their values are written.
    pub codecs: Codecs,
    /// How events say what they are.
    pub cloud_events: CloudEvents,
    /// How long Kafka may take until a PDU is answered with ESME_RX_T_APPN. Shorter than the
    /// SMSC's own patience with a response.
    pub patience: Duration,
}

/// How long Kafka may be away until what the SMSC says only once is given up.
const PATIENT: Duration = Duration::from_secs(3600);

/// How many octets of that are kept; as much may wait while its producer is made anew.
pub const NOTIFICATIONS: u64 = 4 << 20;

/// Why there are no deliveries.
#[derive(Debug, Error)]
pub enum Error {
    /// The producer cannot be made.
    #[error("the producer of deliveries cannot be made: {0}")]
    Producer(#[from] KafkaError),
}

/// What waits for a delivery report.
struct Waiting {
    /// What wants no answer has none.
    responder: Option<Responder>,
    kind: Kind,
    mark: u64,
}

/// What all delivery reports are noted in.
#[derive(Default)]
struct Notes {
    counters: Counters,
    repeats: Mutex<Repeats>,
}

/// Answers by delivery report.
struct Reports {
    notes: Arc<Notes>,
    /// How the log calls the producer.
    name: &'static str,
    /// A broker judges batches, not records: what it refuses is sent again, alone in its
    /// batch, before it is blamed. None in the reports of that producer itself.
    alone: Option<Idempotent<Reports>>,
}

impl idempotent::Reports for Reports {
    type Note = Waiting;

    fn name(&self) -> &'static str {
        self.name
    }

    /// The SMSC delivers again what is not acknowledged; what wants no answer it does not.
    fn keeps(&self, waiting: &Waiting) -> bool {
        waiting.responder.is_none()
    }

    fn report(&self, result: &DeliveryResult<'_>, waiting: Waiting) {
        match result {
            Ok(_) => self.delivered(waiting),
            Err((error, record)) => self.failed(waiting, error, record),
        }
    }

    fn lost(&self, error: &KafkaError, topic: &str, waiting: Waiting) {
        self.not_taken(waiting, error, topic);
    }

    fn renewed(&self) {
        self.notes.counters.renewed.add();
    }
}

impl Reports {
    fn delivered(&self, waiting: Waiting) {
        match waiting.kind {
            Kind::Receipt => self.notes.counters.receipts.add(),
            Kind::Part => self.notes.counters.parts.add(),
            Kind::Inbound => self.notes.counters.inbound.add(),
            Kind::Unreadable => self.notes.counters.unreadable.add(),
            Kind::Notification => self.notes.counters.notifications.add(),
        }
        let answer = waiting.responder.map(|r| r.respond(Status::ROK));
        if answer == Some(false) {
            self.remember(waiting.kind, waiting.mark);
        }
    }

    /// Kafka has a record or may have it, and the SMSC may deliver it again. Repeats of others
    /// than these are known by what is remembered of their message.
    fn remember(&self, kind: Kind, mark: u64) {
        if matches!(kind, Kind::Inbound | Kind::Unreadable) {
            self.notes.repeats.lock().remember(mark);
        }
    }

    fn failed(&self, waiting: Waiting, error: &KafkaError, record: &BorrowedMessage<'_>) {
        let (code, topic) = (error.rdkafka_error_code(), record.topic());
        match &self.alone {
            Some(alone) if is_final(code) => return self.again(alone, waiting, record),
            None if is_final(code) => return self.refused(waiting, error, topic),
            _ => {}
        }
        if waiting.responder.is_none() {
            return self.given_up(error, topic);
        }
        self.failed_for_now(waiting, error, topic);
    }

    /// Kafka may have it, and the SMSC delivers it again.
    fn failed_for_now(&self, waiting: Waiting, error: &KafkaError, topic: &str) {
        let code = error.rdkafka_error_code();
        // Also what was purged from the queue: the client puts there what it sent without learning
        // what became of it.
        self.remember(waiting.kind, waiting.mark);
        if code == Some(RDKafkaErrorCode::PurgeQueue) {
            // The producer ended, and says so itself.
            debug!(%error, topic, "the SMSC will deliver a deliver_sm again");
        } else if needs_somebody(code) {
            error!(%error, topic, "Kafka does not take deliver_sm until that is mended; the SMSC will deliver it again");
        } else {
            warn!(%error, topic, "Kafka did not take a deliver_sm in time; the SMSC will deliver it again");
        }
        self.postponed(waiting);
    }

    fn again(&self, alone: &Idempotent<Reports>, waiting: Waiting, record: &BorrowedMessage<'_>) {
        if let Err((error, waiting)) = alone.send(idempotent::owned(record), waiting) {
            self.not_taken(waiting, &error, record.topic());
        }
    }

    /// The producer did not even take it: Kafka certainly does not have it.
    fn not_taken(&self, waiting: Waiting, error: &KafkaError, topic: &str) {
        if is_final(error.rdkafka_error_code()) {
            return self.refused(waiting, error, topic);
        }
        if waiting.responder.is_none() {
            return self.given_up(error, topic);
        }
        debug!(%error, topic, "a deliver_sm is not taken for now; the SMSC will deliver it again");
        self.postponed(waiting);
    }

    /// What wants no answer is not delivered again.
    fn given_up(&self, error: &KafkaError, topic: &str) {
        self.notes.counters.notifications_lost.add();
        error!(%error, topic, "Kafka does not take a notification of the SMSC: it is lost");
    }

    fn refused(&self, waiting: Waiting, error: &KafkaError, topic: &str) {
        let Some(responder) = waiting.responder else {
            return self.given_up(error, topic);
        };
        self.notes.counters.refused.add();
        error!(%error, topic, "Kafka refuses a deliver_sm for good; the SMSC is told so");
        responder.respond(Status::RX_P_APPN);
    }

    fn postponed(&self, waiting: Waiting) {
        self.notes.counters.postponed.add();
        if let Some(responder) = waiting.responder {
            responder.respond(Status::RX_T_APPN);
        }
    }
}

/// Whether no repetition would help: the record itself is to blame.
fn is_final(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::MessageSizeTooLarge
                | Code::InvalidMessageSize
                | Code::InvalidRecord
                | Code::InvalidMessage
        )
    )
}

/// Whether somebody has to mend something; the SMSC keeps the message until then.
fn needs_somebody(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
        )
    )
}

struct Shared {
    producer: Idempotent<Reports>,
    /// Keeps what the SMSC will not say again for as long as Kafka is away.
    patient: Idempotent<Reports>,
    deliveries: Arc<str>,
    inbound: Arc<str>,
    notifications: Arc<str>,
    partitions: i32,
    codecs: Codecs,
    cloud_events: CloudEvents,
}

/// The way of deliver_sm and data_sm into Kafka. Cheap to clone: all clones share one
/// producer.
#[derive(Clone)]
pub struct Deliver(Arc<Shared>);

impl Deliver {
    /// Makes the producers. Does not wait for Kafka.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let mut client = options.client.clone();
        client
            .set("linger.ms", "0")
            .set(
                "message.timeout.ms",
                options.patience.as_millis().to_string(),
            )
            .set(
                "queue.buffering.max.messages",
                options.waiting.max(1).to_string(),
            );
        let notes = Arc::new(Notes::default());
        let make = |client: &ClientConfig, name, alone| {
            let notes = notes.clone();
            let reports = Reports { notes, name, alone };
            Idempotent::new(client, reports, NOTIFICATIONS as usize)
        };
        let mut singly = client.clone();
        singly.set("batch.num.messages", "1");
        let alone = make(&singly, "deliveries, one by one", None)?;
        let mut patient = client.clone();
        patient
            .set("message.timeout.ms", PATIENT.as_millis().to_string())
            .set(
                "queue.buffering.max.kbytes",
                (NOTIFICATIONS >> 10).to_string(),
            );
        Ok(Deliver(Arc::new(Shared {
            producer: make(&client, "deliveries", Some(alone))?,
            patient: make(&patient, "notifications", None)?,
            deliveries: options.deliveries.clone(),
            inbound: options.inbound.clone(),
            notifications: options.notifications.clone(),
            partitions: options.partitions,
            codecs: options.codecs.clone(),
            cloud_events: options.cloud_events.clone(),
        })))
    }

    /// What takes the PDUs of one bind of `esme`.
    pub fn bind(&self, esme: Arc<Esme>, bind: impl Into<String>) -> Arc<dyn Inbound> {
        Arc::new(Bind {
            deliver: self.clone(),
            esme,
            bind: bind.into(),
        })
    }

    /// What happened since the start.
    pub fn counts(&self) -> Counts {
        self.0.producer.reports().notes.counters.get()
    }

    /// Waits until everything taken is answered, at most so long. Blocks.
    pub fn flush(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        let alone = self.0.producer.reports().alone.as_ref();
        let left = || patience.saturating_sub(begun.elapsed());
        let flushed =
            self.0.producer.flush(patience) && alone.is_none_or(|alone| alone.flush(left()));
        self.0.patient.flush(left()) && flushed
    }
}

/// One bind.
struct Bind {
    deliver: Deliver,
    esme: Arc<Esme>,
    bind: String,
}

impl Inbound for Bind {
    fn receive(&self, frame: Bytes, responder: Responder) {
        let shared = &*self.deliver.0;
        let reports = shared.producer.reports();
        let body = frame.get(HEADER..).unwrap_or_default();
        let mark = Repeats::mark(&self.esme.name, body);
        let arrival = Arrival {
            esme: &self.esme,
            codecs: &shared.codecs,
            cloud_events: &shared.cloud_events,
            bind: &self.bind,
            at: Timestamp::now(),
            possible_duplicate: reports.notes.repeats.lock().knows(mark),
        };
        let incoming = match incoming::read(&frame, &arrival) {
            Ok(incoming) => incoming,
            Err(error) => {
                error!(%error, esme = self.esme.name, "a deliver_sm cannot be written as a record");
                // The responder, dropped, asks for it again.
                return;
            }
        };
        let kind = incoming.kind;
        let waiting = Waiting {
            responder: Some(responder),
            kind,
            mark,
        };
        let (topic, partition) = match kind {
            Kind::Receipt | Kind::Part => {
                let partition = keys::partition(&incoming.key, shared.partitions);
                (&shared.deliveries, Some(partition))
            }
            _ => (&shared.inbound, None),
        };
        let output = Output {
            topic: topic.clone(),
            partition,
            key: Some(incoming.key),
            value: Some(incoming.value),
            headers: incoming.headers,
        };
        if let Err((error, waiting)) = shared.producer.send(output, waiting) {
            reports.not_taken(waiting, &error, topic);
        }
    }

    fn notice(&self, notice: Notice) {
        let shared = &*self.deliver.0;
        let arrival = message::Arrival {
            esme: &self.esme.name,
            bind: &self.bind,
            at: Timestamp::now(),
            possible_duplicate: false,
        };
        let event = match &notice {
            Notice::Alert(pdu) => Notification::alert(pdu, &self.esme.dialect, &arrival),
            Notice::Outbind { system_id, peer } => {
                Notification::outbind(system_id, peer.to_string(), &arrival)
            }
        };
        let key = match &event.source {
            Some(phone) => phone.number.as_bytes().to_vec(),
            None => self.esme.name.clone().into_bytes(),
        };
        let value = shared.codecs.notifications.must_write(&event);
        let waiting = Waiting {
            responder: None,
            kind: Kind::Notification,
            mark: 0,
        };
        let topic = &shared.notifications;
        let output = Output {
            topic: topic.clone(),
            partition: None,
            key: Some(key),
            value: Some(value),
            headers: None,
        };
        if let Err((error, waiting)) = shared.patient.send(output, waiting) {
            shared.patient.reports().not_taken(waiting, &error, topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_purged_from_the_queue_may_have_been_sent() {
        let reports = Reports {
            notes: Arc::default(),
            name: "test",
            alone: None,
        };
        for (mark, code) in [
            (1, RDKafkaErrorCode::PurgeQueue),
            (2, RDKafkaErrorCode::PurgeInflight),
            (3, RDKafkaErrorCode::MessageTimedOut),
        ] {
            let waiting = Waiting {
                responder: None,
                kind: Kind::Inbound,
                mark,
            };
            assert!(!reports.notes.repeats.lock().knows(mark));
            let error = KafkaError::MessageProduction(code);
            reports.failed_for_now(waiting, &error, "sms.inbound");
            assert!(reports.notes.repeats.lock().knows(mark), "{code:?}");
        }
    }
}
