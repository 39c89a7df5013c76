//! The producer all ESMEs share, and the answers its delivery reports give.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::DeliveryResult;
use thiserror::Error;

use super::Counts;
use super::buffer::{Buffer, Permit, Share};
use super::changes::Dated;
use super::incoming::{self, Arrival, Esme, Kind};
use super::refusal::{Lines, NoRoom, Refused};
use super::repeats::{Repeats, UNDER_WAY, UnderWay};
use super::status::Counters;
use crate::kafka::ErrorClass;
use crate::kafka::cause::{Doing, Who, of_error};
use crate::kafka::cloud_events::CloudEvents;
use crate::kafka::idempotent::{self, Idempotent};
use crate::kafka::transaction::Output;
use crate::record::codec::Codecs;
use crate::record::inbound_message;
use crate::record::keys;
use crate::record::notification::Notification;
use crate::repeated::Line;
use crate::status;
use smpp_esme::{Change, Inbound, Notice, Responder};
use smpp_protocol::Status;
use smpp_protocol::frame::HEADER;

/// What the deliveries work with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Properties of the producer.
    pub client: ClientConfig,
    /// The topic of receipts and of segments of messages.
    pub deliveries: Arc<str>,
    /// How many partitions it has.
    pub partitions: i32,
    /// The topic of messages from phones.
    pub inbound: Arc<str>,
    /// The topic of what else SMSCs say.
    pub notifications: Arc<str>,
    /// The name of this process, which stands in what goes there.
    pub process: Arc<str>,
    /// How many octets of PDUs may wait for Kafka; those that come when it is full are refused for
    /// now, at once.
    pub buffer: u64,
    /// How their values are written.
    pub codecs: Codecs,
    /// How events say what they are.
    pub cloud_events: CloudEvents,
    /// After how long at most a PDU that Kafka does not take is refused for now.
    /// Shorter than the SMSC waits for a response.
    pub answer_timeout: Duration,
}

/// How long Kafka may be away until what the SMSC says only once is given up.
const PATIENT: Duration = Duration::from_secs(3600);

/// How many octets of that are kept.
pub const NOTIFICATIONS: u64 = 4 << 20;

/// What a record takes until Kafka has it, beside its key, value and headers: librdkafka's
/// message (176 octets), what is noted here for its report (80), its answer on the way to the
/// socket (three times, 60), and what allocators add to each.
pub(super) const RECORD: u64 = 512;

/// The same for a header.
const HEADER_OCTETS: u64 = 128;

/// librdkafka looks once in so long for records whose time is over.
const LOOK: Duration = Duration::from_secs(1);

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
    from: Arc<Origin>,
    /// Until when it may wait for another producer if that of its record ends.
    until: Instant,
    /// What makes its record anew, of those whose repeats nothing but a flag tells.
    again: Option<Box<Again>>,
    /// Makes its repeats known until the SMSC has an answer to all of the same ones.
    _under_way: Option<UnderWay>,
    /// Its place in the buffer, as long.
    _permit: Permit,
}

/// Where a PDU came from.
struct Origin {
    esme: Arc<Esme>,
    bind: Arc<str>,
    lines: Arc<Lines>,
}

/// A PDU as it came, and when.
struct Again {
    frame: Bytes,
    at: Timestamp,
}

impl Waiting {
    /// Answers it, if it wants an answer; whether that reached the session.
    fn answer(&mut self, status: Status) -> Option<bool> {
        let responder = self.responder.take();
        responder.map(|responder| responder.respond(status))
    }

    fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Why it was not taken, for the log.
    fn refused(&self, error: &KafkaError, topic: &str) -> Refused {
        self.from.refused(error, topic)
    }
}

impl Origin {
    fn refused(&self, error: impl ToString, topic: impl Into<Arc<str>>) -> Refused {
        Refused {
            bind: self.bind.clone(),
            topic: topic.into(),
            error: error.to_string(),
        }
    }
}

/// About what a record takes in memory until its report is heard.
fn octets(output: &Output) -> u64 {
    let len = |octets: &Option<Vec<u8>>| octets.as_ref().map_or(0, Vec::len) as u64;
    let headers = output.headers.iter().flat_map(|headers| headers.iter());
    let headers = headers.map(|header| {
        let value = header.value.map_or(0, <[u8]>::len);
        HEADER_OCTETS + (header.key.len() + value) as u64
    });
    RECORD + len(&output.key) + len(&output.value) + headers.sum::<u64>()
}

/// What all delivery reports are noted in.
struct Notes {
    counters: Counters,
    repeats: Arc<Mutex<Repeats>>,
}

impl Notes {
    fn new(buffer: u64) -> Self {
        Notes {
            counters: Counters::default(),
            repeats: Arc::new(Mutex::new(Repeats::new(buffer))),
        }
    }
}

/// How records are written.
struct Writing {
    codecs: Codecs,
    cloud_events: CloudEvents,
    /// Who writes.
    who: Who,
}

/// Answers by delivery report.
struct Reports {
    notes: Arc<Notes>,
    writing: Arc<Writing>,
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

    /// The next producer is there in a moment, and what is refused may never come again.
    fn keeps(&self, waiting: &Waiting) -> bool {
        !self.is_over(waiting)
    }

    /// Kafka may have it. A repeat of a receipt or of a segment is known by its message; of what a phone
    /// sent in one PDU only the flag tells.
    fn kept(&self, output: Output, waiting: &Waiting) -> Output {
        let Some(Again { frame, at }) = waiting.again.as_deref() else {
            return output;
        };
        let arrival = Arrival {
            esme: &waiting.from.esme,
            codecs: &self.writing.codecs,
            cloud_events: &self.writing.cloud_events,
            bind: &waiting.from.bind,
            at: *at,
            bound_at: None, // it stands in receipts only
            possible_duplicate: true,
        };
        match incoming::record(frame, &arrival) {
            Ok(incoming) => Output {
                value: Some(incoming.value),
                headers: incoming.headers,
                ..output
            },
            // It was written once.
            Err(_) => output,
        }
    }

    /// What wants an answer gets it in time, and a notification does not wait for ever.
    fn is_over(&self, waiting: &Waiting) -> bool {
        waiting.is_over()
    }

    fn report(&self, result: &DeliveryResult<'_>, waiting: Waiting) {
        match result {
            Ok(_) => self.delivered(waiting),
            Err((error, record)) => self.failed(waiting, error, record),
        }
    }

    fn lost(&self, error: &KafkaError, topic: &str, waiting: Waiting) {
        // The producer that ended may have sent it.
        self.remember(waiting.kind, waiting.mark);
        self.not_taken(waiting, error, topic);
    }

    fn renewed(&self) {
        self.notes.counters.renewed.add(1);
    }
}

impl Reports {
    fn delivered(&self, mut waiting: Waiting) {
        match waiting.kind {
            Kind::Receipt => self.notes.counters.receipts.add(1),
            Kind::Segment => self.notes.counters.parts.add(1),
            Kind::Inbound => {
                self.notes.counters.inbound.add(1);
                waiting.from.esme.meters.counters.inbound.add(1);
            }
            Kind::Unreadable => self.notes.counters.unreadable.add(1),
            Kind::Notification => self.notes.counters.notifications.add(1),
        }
        if waiting.answer(Status::ROK) == Some(false) {
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
        let (class, topic) = (ErrorClass::of_error(error), record.topic());
        match &self.alone {
            Some(alone) if is_final(class) => return self.again(alone, waiting, record),
            None if is_final(class) => return self.refused(waiting, error, topic),
            _ => {}
        }
        if waiting.responder.is_none() {
            return self.given_up(&waiting, error, topic);
        }
        self.failed_for_now(waiting, error, topic);
    }

    /// Kafka may have it, and the SMSC delivers it again.
    fn failed_for_now(&self, waiting: Waiting, error: &KafkaError, topic: &str) {
        // Also what was purged from the queue: the client puts there what it sent without learning
        // what became of it.
        self.remember(waiting.kind, waiting.mark);
        self.postponed(waiting, error, topic);
    }

    fn again(&self, alone: &Idempotent<Reports>, waiting: Waiting, record: &BorrowedMessage<'_>) {
        if let Err((error, waiting)) = alone.send(idempotent::owned(record), waiting) {
            self.not_taken(waiting, &error, record.topic());
        }
    }

    /// The producer did not even take it: Kafka certainly does not have it.
    fn not_taken(&self, waiting: Waiting, error: &KafkaError, topic: &str) {
        if is_final(ErrorClass::of_error(error)) {
            return self.refused(waiting, error, topic);
        }
        if waiting.responder.is_none() {
            return self.given_up(&waiting, error, topic);
        }
        self.postponed(waiting, error, topic);
    }

    /// What wants no answer is not delivered again.
    fn given_up(&self, waiting: &Waiting, error: &KafkaError, topic: &str) {
        self.notes.counters.notifications_lost.add(1);
        let lines = &waiting.from.lines;
        lines.lost.note(waiting.refused(error, topic));
    }

    fn refused(&self, mut waiting: Waiting, error: &KafkaError, topic: &str) {
        if waiting.responder.is_none() {
            return self.given_up(&waiting, error, topic);
        }
        self.notes.counters.refused.add(1);
        let lines = &waiting.from.lines;
        lines.for_good.note(waiting.refused(error, topic));
        waiting.answer(Status::RX_P_APPN);
    }

    fn postponed(&self, waiting: Waiting, error: &KafkaError, topic: &str) {
        self.notes.counters.postponed.add(1);
        let (class, lines) = (ErrorClass::of_error(error), &waiting.from.lines);
        let mut refused = waiting.refused(error, topic);
        if needs_somebody(class) {
            let cause = of_error(&self.writing.who, error, &Doing::Writing(topic));
            refused.error = cause.to_string();
            lines.forbidden.note(refused);
        } else if class == ErrorClass::Purged && !waiting.is_over() {
            lines.ended.note(refused);
        } else {
            lines.late.note(refused);
        }
        if let Some(responder) = waiting.responder {
            responder.put_off();
        }
    }
}

/// Whether no repetition would help: the record itself is to blame.
fn is_final(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::TooLarge | ErrorClass::Invalid)
}

/// Whether somebody has to mend something; the SMSC keeps the message until then.
fn needs_somebody(class: ErrorClass) -> bool {
    class.is_about_topic() || class == ErrorClass::ClusterDenied
}

struct Shared {
    /// Gives a record up at the end of its time, so that the SMSC is answered.
    producer: Idempotent<Reports>,
    /// The room of what is answered when Kafka has it.
    buffer: Arc<Buffer>,
    /// The room of what wants no answer.
    notices: Arc<Buffer>,
    /// The lines of each ESME.
    lines: Mutex<HashMap<String, Arc<Lines>>>,
    /// Keeps what the SMSC will not say again for as long as Kafka is away.
    patient: Idempotent<Reports>,
    /// The topic of receipts and segments.
    deliveries: Arc<str>,
    /// The topic of inbound messages that need nothing more.
    inbound: Arc<str>,
    /// The topic of notifications.
    notifications: Arc<str>,
    /// The name of this process.
    process: Arc<str>,
    /// How many partitions the deliveries have.
    partitions: i32,
    /// How each topic is written.
    writing: Arc<Writing>,
    /// How long librdkafka has for a record.
    timeout: Duration,
}

/// Lets librdkafka hold what our own buffer holds: that one decides, and counts more. A limit on
/// the number of records, such as librdkafka's own of 100,000, would refuse tiny ones before.
fn bounded_by(client: &mut ClientConfig, buffer: u64) {
    client.set("queue.buffering.max.messages", "0").set(
        "queue.buffering.max.kbytes",
        (buffer.div_ceil(1024)).to_string(),
    );
}

/// The way of deliver_sm and data_sm into Kafka. Cheap to clone: all clones share one
/// producer.
#[derive(Clone)]
pub struct Deliver(Arc<Shared>);

impl Deliver {
    /// Makes the producers. Does not wait for Kafka.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let mut client = options.client.clone();
        // None at all would be for ever.
        let least = Duration::from_millis(1);
        let timeout = options.answer_timeout.saturating_sub(LOOK).max(least);
        client
            .set("linger.ms", "0")
            .set("message.timeout.ms", timeout.as_millis().to_string());
        bounded_by(&mut client, options.buffer);
        let notes = Arc::new(Notes::new(options.buffer));
        let writing = Arc::new(Writing {
            codecs: options.codecs.clone(),
            cloud_events: options.cloud_events.clone(),
            who: Who::of(&client),
        });
        let make = |client: &ClientConfig, name, alone| {
            let reports = Reports {
                notes: notes.clone(),
                writing: writing.clone(),
                name,
                alone,
            };
            // What is kept is still in our own buffers.
            Idempotent::new(client, reports, usize::MAX)
        };
        let mut singly = client.clone();
        singly.set("batch.num.messages", "1");
        let alone = make(&singly, "deliveries, one by one", None)?;
        let mut patient = client.clone();
        patient.set("message.timeout.ms", PATIENT.as_millis().to_string());
        bounded_by(&mut patient, NOTIFICATIONS);
        Ok(Deliver(Arc::new(Shared {
            producer: make(&client, "deliveries", Some(alone))?,
            patient: make(&patient, "notifications", None)?,
            buffer: Buffer::new(options.buffer),
            notices: Buffer::new(NOTIFICATIONS),
            lines: Mutex::default(),
            deliveries: options.deliveries.clone(),
            inbound: options.inbound.clone(),
            notifications: options.notifications.clone(),
            process: options.process.clone(),
            partitions: options.partitions,
            writing,
            timeout,
        })))
    }

    /// What takes the PDUs of one bind of `esme`.
    pub fn bind(&self, esme: Arc<Esme>, bind: impl Into<String>) -> Arc<dyn Inbound> {
        let from = Arc::new(Origin {
            lines: self.lines(&esme.name),
            esme,
            bind: bind.into().into(),
        });
        let notices = self.0.notices.share();
        let news = Line::news({
            let (deliver, from, notices) = (self.clone(), from.clone(), notices.clone());
            move |times, change: Dated| {
                let event = change.event(times, &from.esme.name, &from.bind);
                deliver.notice(&from, &notices, &event);
            }
        });
        Arc::new(Bind {
            deliver: self.clone(),
            from,
            share: self.0.buffer.share(),
            notices,
            news,
            bound_at: AtomicI64::new(0),
        })
    }

    fn lines(&self, esme: &str) -> Arc<Lines> {
        let mut lines = self.0.lines.lock();
        let of_esme = || Arc::new(Lines::new(esme));
        lines.entry_ref(esme).or_insert_with(of_esme).clone()
    }

    /// Writes what is noticed about an SMSC, a partition or this process. It is kept while Kafka is
    /// away.
    pub fn notify(&self, event: &Notification<'_>) {
        let from = Arc::new(Origin {
            esme: Arc::new(Esme {
                name: event.esme.to_owned(),
                ..Esme::default()
            }),
            bind: event.bind.into(),
            lines: self.lines(event.esme),
        });
        self.notice(&from, &self.0.notices.share(), event);
    }

    /// Writes what an SMSC says only once.
    fn notice(&self, from: &Arc<Origin>, notices: &Arc<Share>, event: &Notification<'_>) {
        let shared = &*self.0;
        let event = Notification {
            process: Some(&shared.process),
            ..event.clone()
        };
        let key = event.key().as_bytes().to_vec();
        let value = shared.writing.codecs.notifications.must_write(&event);
        let topic = &shared.notifications;
        let output = Output {
            topic: topic.clone(),
            partition: None,
            key: Some(key),
            value: Some(value),
            headers: None,
        };
        let reports = shared.patient.reports();
        let Some(permit) = notices.acquire(octets(&output)) else {
            reports.notes.counters.notifications_lost.add(1);
            let full = "what waits for Kafka fills their buffer";
            from.lines.lost.note(from.refused(full, topic.clone()));
            return;
        };
        let waiting = Waiting {
            responder: None,
            kind: Kind::Notification,
            mark: 0,
            from: from.clone(),
            until: Instant::now() + PATIENT,
            again: None,
            _under_way: None,
            _permit: permit,
        };
        if let Err((error, waiting)) = shared.patient.send(output, waiting) {
            reports.not_taken(waiting, &error, topic);
        }
    }

    /// How many octets wait for Kafka now, as the bound counts them.
    pub fn held(&self) -> u64 {
        self.0.buffer.held()
    }

    /// How many octets wait for Kafka, and how many may: of what wants an answer, and of
    /// notifications.
    pub fn buffers(&self) -> [(u64, u64); 2] {
        [&self.0.buffer, &self.0.notices].map(|buffer| (buffer.held(), buffer.bound()))
    }

    /// Its Kafka clients.
    pub fn clients(&self) -> Vec<status::Client> {
        let producers = [&self.0.producer, &self.0.patient];
        producers.map(|producer| producer.figures().client()).into()
    }

    /// What happened since the start.
    pub fn counts(&self) -> Counts {
        self.0.producer.reports().notes.counters.get()
    }

    /// Ends when nothing comes any more: waits until everything taken is answered, at most so long,
    /// and refuses the rest for now. Blocks. What happened since the start.
    pub fn finish(self, timeout: Duration) -> Counts {
        self.flush(timeout);
        let notes = self.0.producer.reports().notes.clone();
        drop(self);
        notes.counters.get()
    }

    /// Waits until everything taken is answered, at most so long. Blocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        let begun = Instant::now();
        let alone = self.0.producer.reports().alone.as_ref();
        let left = || timeout.saturating_sub(begun.elapsed());
        let flushed =
            self.0.producer.flush(timeout) && alone.is_none_or(|alone| alone.flush(left()));
        self.0.patient.flush(left()) && flushed
    }
}

/// One bind.
struct Bind {
    deliver: Deliver,
    from: Arc<Origin>,
    share: Arc<Share>,
    notices: Arc<Share>,
    /// Tells of its changes.
    news: Line<Dated>,
    /// When its session was bound, in Unix microseconds; 0 before the first.
    bound_at: AtomicI64,
}

impl Bind {
    /// There is no room for a PDU.
    fn no_room(&self, responder: Responder) {
        let shared = &*self.deliver.0;
        shared.producer.reports().notes.counters.no_room.add(1);
        self.from.lines.full.note(NoRoom {
            bind: self.from.bind.clone(),
            held: shared.buffer.held(),
        });
        responder.put_off();
    }
}

impl Inbound for Bind {
    fn bound(&self) {
        let now = Timestamp::now().as_microsecond();
        self.bound_at.store(now, Ordering::Relaxed);
    }

    fn receive(&self, frame: Bytes, responder: Responder) {
        let shared = &*self.deliver.0;
        let reports = shared.producer.reports();
        // Not to make a record for nothing while a flood is refused.
        if !self.share.has_room(RECORD + frame.len() as u64) {
            return self.no_room(responder);
        }
        let body = frame.get(HEADER..).unwrap_or_default();
        let mark = Repeats::mark(&self.from.esme.name, body);
        let (under_way, known) = UnderWay::begin(&reports.notes.repeats, mark);
        let at = Timestamp::now();
        let arrival = Arrival {
            esme: &self.from.esme,
            codecs: &shared.writing.codecs,
            cloud_events: &shared.writing.cloud_events,
            bind: &self.from.bind,
            at,
            bound_at: match self.bound_at.load(Ordering::Relaxed) {
                0 => None,
                at => Timestamp::from_microsecond(at).ok(),
            },
            possible_duplicate: known,
        };
        let incoming = match incoming::record(&frame, &arrival) {
            Ok(incoming) => incoming,
            Err(error) => {
                let refused = self.from.refused(error, shared.inbound.clone());
                self.from.lines.unwritable.note(refused);
                // The responder, dropped, asks for it again.
                return;
            }
        };
        let kind = incoming.kind;
        let (topic, partition) = match kind {
            Kind::Receipt | Kind::Segment => {
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
        let flagged = matches!(kind, Kind::Inbound | Kind::Unreadable);
        let under_way = flagged.then_some(under_way);
        let again = flagged.then(|| Box::new(Again { frame, at }));
        let more = again
            .as_ref()
            .map_or(0, |again| UNDER_WAY + again.frame.len() as u64);
        let Some(permit) = self.share.acquire(octets(&output) + more) else {
            return self.no_room(responder);
        };
        let waiting = Waiting {
            responder: Some(responder),
            kind,
            mark,
            from: self.from.clone(),
            until: Instant::now() + shared.timeout,
            again,
            _under_way: under_way,
            _permit: permit,
        };
        if let Err((error, waiting)) = shared.producer.send(output, waiting) {
            reports.not_taken(waiting, &error, topic);
        }
    }

    fn notice(&self, notice: Notice) {
        let arrival = inbound_message::Arrival {
            esme: &self.from.esme.name,
            bind: &self.from.bind,
            at: Timestamp::now(),
            possible_duplicate: false,
        };
        let event = match &notice {
            Notice::Alert(pdu) => Notification::alert(pdu, &self.from.esme.dialect, &arrival),
            Notice::Outbind { system_id, peer } => {
                Notification::outbind(system_id, peer.to_string(), &arrival)
            }
        };
        self.deliver.notice(&self.from, &self.notices, &event);
    }

    fn changed(&self, change: Change) {
        self.news.note(Dated::now(change));
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::error::RDKafkaErrorCode;
    use rdkafka::mocking::MockCluster;
    use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use smpp_esme::testing::Answers;
    use smpp_protocol::pdu::Sm;

    fn waiting(mark: u64) -> Waiting {
        Waiting {
            responder: None,
            kind: Kind::Inbound,
            mark,
            from: Arc::new(Origin {
                esme: Arc::default(),
                bind: "acme-0".into(),
                lines: Arc::new(Lines::new("acme")),
            }),
            until: Instant::now(),
            again: None,
            _under_way: None,
            _permit: Buffer::new(100).share().acquire(1).unwrap(),
        }
    }

    fn reports() -> Reports {
        Reports {
            notes: Arc::new(Notes::new(0)),
            writing: Arc::new(Writing {
                codecs: Codecs::default(),
                cloud_events: CloudEvents::OFF,
                who: Who::default(),
            }),
            name: "test",
            alone: None,
        }
    }

    /// Deliveries of which none goes on: there is no Kafka at this address.
    fn without_kafka(buffer: u64) -> Deliver {
        deliver("127.0.0.1:1", buffer, Duration::from_secs(600))
    }

    fn deliver(bootstrap: &str, buffer: u64, answer_timeout: Duration) -> Deliver {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", bootstrap)
            // Less than tests hold: what bounds the records is our own buffer.
            .set("queue.buffering.max.messages", "100")
            .set("log_level", "0");
        Deliver::new(&Options {
            client,
            deliveries: "deliveries".into(),
            partitions: 1,
            inbound: "inbound".into(),
            notifications: "notifications".into(),
            process: "5f".into(),
            codecs: Codecs::default(),
            cloud_events: CloudEvents::OFF,
            buffer,
            answer_timeout,
        })
        .unwrap()
    }

    fn bind(deliver: &Deliver, name: &str) -> Arc<dyn Inbound> {
        let esme = Esme {
            name: "acme".into(),
            ..Esme::default()
        };
        deliver.bind(Arc::new(esme), name)
    }

    fn receipt(n: u32) -> Bytes {
        let text = format!("id:{n} stat:DELIVRD err:000");
        let sm = Sm {
            esm_class: 0x04,
            short_message: text.as_bytes(),
            ..Sm::default()
        };
        let mut pdu = Vec::new();
        let (command, status) = (smpp_protocol::Command::DELIVER_SM, Status::ROK);
        sm.encode(command, status, n, &mut pdu).unwrap();
        pdu.into()
    }

    fn eventually(what: &str, is: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_a_code_of_kafka_means_for_what_is_held() {
        use RDKafkaErrorCode as Code;
        for (code, is_final_for_it, somebody) in [
            (Code::MessageSizeTooLarge, true, false),
            (Code::InvalidMessageSize, true, false),
            (Code::MessageBatchTooLarge, true, false),
            (Code::InvalidRecord, true, false),
            (Code::InvalidMessage, true, false),
            (Code::UnknownTopic, false, true),
            (Code::UnknownTopicOrPartition, false, true),
            (Code::UnknownPartition, false, true),
            (Code::TopicAuthorizationFailed, false, true),
            (Code::ClusterAuthorizationFailed, false, true),
            (Code::PurgeQueue, false, false),
            (Code::MessageTimedOut, false, false),
            (Code::NotEnoughReplicas, false, false),
            (Code::InvalidTimestamp, false, false),
            (Code::PolicyViolation, false, false),
        ] {
            let class = ErrorClass::of(code);
            let found = (is_final(class), needs_somebody(class));
            assert_eq!(found, (is_final_for_it, somebody), "{code:?}");
        }
    }

    #[test]
    fn what_has_no_room_is_refused_at_once_and_nothing_else_is() {
        const BUFFER: u64 = 1 << 20;
        let deliver = without_kafka(BUFFER);
        let (first, second) = (bind(&deliver, "acme-0"), bind(&deliver, "acme-1"));
        let answers = Answers::new();
        let mut taken = 0;
        while answers.take().is_empty() {
            taken += 1;
            first.receive(receipt(taken), answers.responder(taken));
        }
        // About 1 KiB each, in eight ninths of the buffer.
        assert!((500..2000).contains(&taken), "{taken}");
        let held = deliver.held();
        assert!((BUFFER * 8 / 9 - 2000..=BUFFER).contains(&held), "{held}");
        first.receive(receipt(0), answers.responder(0));
        assert_eq!(answers.take(), [(0, Status::RX_T_APPN)]);
        assert_eq!(deliver.counts().no_room, 2);
        second.receive(receipt(1), answers.responder(1));
        assert_eq!(answers.take(), [], "another bind finds room");
        // What its SMSC hears at the end of all: nothing is lost in silence, nothing stays held.
        let buffer = deliver.0.buffer.clone();
        drop((first, second, deliver));
        eventually("all is told", || buffer.held() == 0);
        let told = answers.take();
        assert_eq!(told.len() as u32, taken);
        assert!(told.iter().all(|(_, status)| *status == Status::RX_T_APPN));
    }

    #[test]
    fn five_thousand_at_once_are_all_taken_and_then_nothing_is_held() {
        const COUNT: u32 = 5000;
        let kafka = MockCluster::new(1).unwrap();
        for topic in ["deliveries", "inbound", "notifications"] {
            kafka.create_topic(topic, 1, 1).unwrap();
        }
        let timeout = Duration::from_secs(600);
        let deliver = deliver(&kafka.bootstrap_servers(), 64 << 20, timeout);
        let (bind, answers) = (bind(&deliver, "acme-0"), Answers::new());
        for n in 1..=COUNT {
            bind.receive(receipt(n), answers.responder(n));
        }
        // A flush hears reports beside the thread that hears them otherwise, and in no order with it.
        eventually("all is in Kafka", || {
            deliver.counts().receipts == u64::from(COUNT)
        });
        let expected: Vec<_> = (1..=COUNT).map(|n| (n, Status::ROK)).collect();
        assert_eq!(answers.take(), expected, "in their order");
        eventually("nothing is held", || deliver.held() == 0);
    }

    #[test]
    fn what_kafka_does_not_take_in_time_is_refused_and_releases_its_room() {
        let deliver = deliver("127.0.0.1:1", 1 << 20, Duration::from_secs(2));
        let (bind, answers) = (bind(&deliver, "acme-0"), Answers::new());
        let begun = Instant::now();
        for n in 1..=10 {
            bind.receive(receipt(n), answers.responder(n));
        }
        eventually("answered", || deliver.counts().postponed == 10);
        assert!(begun.elapsed() >= Duration::from_secs(1), "not at once");
        let told = answers.take();
        assert_eq!(told.len(), 10);
        assert!(told.iter().all(|(_, status)| *status == Status::RX_T_APPN));
        eventually("nothing is held", || deliver.held() == 0);
    }

    #[test]
    fn what_a_producer_held_that_ended_goes_on_with_the_next_one() {
        const COUNT: u32 = 20;
        let kafka = MockCluster::new(1).unwrap();
        for topic in ["deliveries", "inbound", "notifications"] {
            kafka.create_topic(topic, 1, 1).unwrap();
        }
        let broken = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        kafka.request_errors(RDKafkaApiKey::Produce, &[broken]);
        let timeout = Duration::from_secs(600);
        let deliver = deliver(&kafka.bootstrap_servers(), 1 << 20, timeout);
        let (bind, answers) = (bind(&deliver, "acme-0"), Answers::new());
        for n in 1..=COUNT {
            bind.receive(receipt(n), answers.responder(n));
        }
        let done = || deliver.counts().receipts == u64::from(COUNT);
        eventually("all is in Kafka", done);
        let mut told = answers.take();
        told.sort_unstable_by_key(|(sequence, _)| *sequence);
        let expected: Vec<_> = (1..=COUNT).map(|n| (n, Status::ROK)).collect();
        assert_eq!(told, expected);
        let counts = deliver.counts();
        assert_eq!((counts.renewed, counts.postponed), (1, 0));
        eventually("nothing is held", || deliver.held() == 0);
    }

    #[test]
    fn what_a_phone_sent_is_flagged_when_it_goes_to_another_producer() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let waiting = Waiting {
            again: Some(Box::new(Again {
                frame: message(1, b"hello"),
                at,
            })),
            ..waiting(1)
        };
        let output = Output {
            topic: "inbound".into(),
            partition: None,
            key: Some(b"41".to_vec()),
            value: Some(b"as it was".to_vec()),
            headers: None,
        };
        let kept = idempotent::Reports::kept(&reports(), output, &waiting);
        let value: serde_json::Value = serde_json::from_slice(&kept.value.unwrap()).unwrap();
        assert_eq!(value["possible_duplicate"], true);
        assert_eq!(value["text"], "hello");
        assert_eq!(value["received_at"], "2023-11-14T22:13:20.000000Z");
        assert_eq!(kept.key.as_deref(), Some(&b"41"[..]));
    }

    #[test]
    fn a_repeat_of_what_is_still_held_is_flagged() {
        let kafka = MockCluster::new(1).unwrap();
        for topic in ["deliveries", "inbound", "notifications"] {
            kafka.create_topic(topic, 1, 1).unwrap();
        }
        kafka.broker_down(-1).unwrap();
        let timeout = Duration::from_secs(600);
        let deliver = deliver(&kafka.bootstrap_servers(), 1 << 20, timeout);
        let (first, second) = (bind(&deliver, "acme-0"), bind(&deliver, "acme-1"));
        let answers = Answers::new();
        first.receive(message(1, b"hello"), answers.responder(1));
        first.receive(message(2, b"another"), answers.responder(2));
        second.receive(message(7, b"hello"), answers.responder(7));
        kafka.broker_up(-1).unwrap();
        let stored = || deliver.counts().inbound;
        eventually("all is in Kafka", || stored() == 3);
        eventually("nothing is held", || deliver.held() == 0);
        first.receive(message(8, b"hello"), answers.responder(8));
        eventually("all is in Kafka", || stored() == 4);
        let flags = records(&kafka, "inbound", 4).map(|value| {
            let flag = value["possible_duplicate"].as_bool().unwrap_or_default();
            (value["bind"].clone(), value["text"].clone(), flag)
        });
        let flag = |bind: &str, text: &str, flag| (bind.into(), text.into(), flag);
        assert_eq!(
            flags.collect::<Vec<_>>(),
            [
                flag("acme-0", "hello", false),
                flag("acme-0", "another", false),
                flag("acme-1", "hello", true),
                flag("acme-0", "hello", false),
            ],
            "the last one came when all was told"
        );
    }

    /// The values of the first records of a topic, which has one partition.
    fn records(
        kafka: &MockCluster<'_, impl rdkafka::ClientContext>,
        topic: &str,
        count: usize,
    ) -> impl Iterator<Item = serde_json::Value> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", kafka.bootstrap_servers())
            .set("group.id", "test")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        (0..count).map(move |_| {
            let record = consumer.poll(Duration::from_secs(60)).unwrap().unwrap();
            serde_json::from_slice(record.payload().unwrap()).unwrap()
        })
    }

    /// Resident memory in octets.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kib = line.and_then(|l| l.split_whitespace().next()).unwrap();
        kib.parse::<u64>().unwrap() << 10
    }

    #[test]
    #[ignore = "measures memory, and must be alone: cargo test --lib -- --ignored --nocapture held_octets"]
    fn held_octets_are_what_is_resident() {
        const COUNT: u32 = 200_000;
        let deliver = without_kafka(1 << 30);
        let (bind, answers) = (bind(&deliver, "acme-0"), Answers::new());
        for (what, pdu) in [
            ("receipts", &receipt as &dyn Fn(u32) -> Bytes),
            ("empty messages", &|n| message(n, b"")),
            ("messages", &|n| message(n, &[b'x'; 140])),
        ] {
            let (before, held) = (resident(), deliver.held());
            for n in 0..COUNT {
                bind.receive(pdu(n), answers.responder(n));
            }
            let taken = resident().saturating_sub(before) / u64::from(COUNT);
            let counted = (deliver.held() - held) / u64::from(COUNT);
            eprintln!("{what}: {taken} octets each are resident, {counted} are counted");
            assert!(taken <= counted, "{what}");
        }
        assert_eq!(deliver.counts().no_room, 0);
    }

    fn message(n: u32, text: &[u8]) -> Bytes {
        let (command, status) = (smpp_protocol::Command::DELIVER_SM, Status::ROK);
        let sm = Sm {
            short_message: text,
            ..Sm::default()
        };
        let mut pdu = Vec::new();
        sm.encode(command, status, n, &mut pdu).unwrap();
        pdu.into()
    }

    #[test]
    fn notifications_are_held_within_their_own_room() {
        let deliver = without_kafka(1 << 20);
        let bind = bind(&deliver, "acme-0");
        let mut given = 0;
        while deliver.counts().notifications_lost == 0 {
            let alert = Bytes::from_static(&[0; 16]);
            bind.notice(Notice::Alert(alert));
            given += 1;
            assert!(deliver.0.notices.held() <= NOTIFICATIONS);
            assert!(given < 20_000);
        }
        assert!(given > 1000, "{given}");
        assert_eq!(deliver.held(), 0, "deliver_sm have theirs");
    }

    /// What is written to the log by this thread.
    fn logged(what: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Log {
            fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
                self.0.lock().write(text)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let written = Log::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || to.clone());
        tracing::subscriber::with_default(subscriber.finish(), what);
        let text = written.0.lock().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_the_end_of_the_process_cuts_off_is_not_said_to_have_waited_too_long() {
        for (left, said) in [(60, "this process ends"), (0, "inbound.answer_timeout")] {
            let answers = Answers::new();
            let waiting = Waiting {
                responder: Some(answers.responder(1)),
                until: Instant::now() + Duration::from_secs(left),
                ..waiting(1)
            };
            let error = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
            let log = logged(|| reports().failed_for_now(waiting, &error, "sms.inbound"));
            assert!(log.contains(said), "{log}");
            assert_eq!(answers.take(), [(1, Status::RX_T_APPN)]);
        }
    }

    #[test]
    fn the_counts_at_the_end_have_what_was_refused_then() {
        let deliver = without_kafka(1 << 20);
        let (bind, answers) = (bind(&deliver, "acme-0"), Answers::new());
        (1..=3).for_each(|n| bind.receive(receipt(n), answers.responder(n)));
        bind.notice(Notice::Alert(Bytes::from_static(&[0; 16])));
        drop(bind);
        let counts = deliver.finish(Duration::from_millis(10));
        assert_eq!((counts.postponed, counts.notifications_lost), (3, 1));
        assert_eq!(answers.take().len(), 3);
    }

    #[test]
    fn a_notification_too_waits_for_another_producer_until_its_time_is_over() {
        let (reports, mut notification) = (reports(), waiting(1));
        notification.kind = Kind::Notification;
        assert!(!idempotent::Reports::keeps(&reports, &notification));
        notification.until += PATIENT;
        assert!(idempotent::Reports::keeps(&reports, &notification));
    }

    #[test]
    fn what_was_purged_from_the_queue_may_have_been_sent() {
        let reports = reports();
        for (mark, code) in [
            (1, RDKafkaErrorCode::PurgeQueue),
            (2, RDKafkaErrorCode::PurgeInflight),
            (3, RDKafkaErrorCode::MessageTimedOut),
        ] {
            let waiting = waiting(mark);
            assert!(!reports.notes.repeats.lock().knows(mark));
            let error = KafkaError::MessageProduction(code);
            reports.failed_for_now(waiting, &error, "sms.inbound");
            assert!(reports.notes.repeats.lock().knows(mark), "{code:?}");
        }
    }
}
