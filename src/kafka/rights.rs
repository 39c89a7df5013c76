//! Whether Kafka lets us do what we have to, found out without doing any of it.
//!
//! A right to look is tried by looking, one to read by reading a moment where a partition ends. To
//! write, or to commit offsets for a group, would leave traces in topics that others read, and in
//! groups that are at work. But the brokers look at the rights first: who is not allowed to do it is told
//! so, and only who is allowed to is told that it cannot be done for another reason. So it is tried
//! with a producer that *is fenced*: a second one was initialised under its transactional id, and
//! whatever it wants to add to a transaction is refused, either for a missing right, or because it
//! is fenced. Nothing is written to any topic, no offset is set, no group joined. The
//! transactional ids are those of `check` (`GROUP.check`), which nobody else uses.
//!
//! - a record to a topic: `AddPartitionsToTxn` needs WRITE on the topic;
//! - an offset of a group: `AddOffsetsToTxn` needs READ on the group;
//! - to initialise at all: WRITE on the transactional id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::cause::{self, Cause, Doing, Who, Why, of_error};
use super::cluster::Inquiry;
use super::ear::Ear;
use super::error_class::ErrorClass;
use super::group::partition_count;
use super::token::producer_begins;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client is polled at once.
const POLL: Duration = Duration::from_millis(20);
/// A producer that may not be idempotent has said so after this.
const IDEMPOTENT: Duration = Duration::from_secs(1);

/// What a transactional producer has to be allowed.
#[derive(Clone, Debug)]
pub struct Transactional {
    /// A transactional id like the real ones, which nobody uses.
    pub id: String,
    /// The group whose offsets it commits.
    pub group: String,
    /// A topic of which these offsets are.
    pub source: String,
    /// The topics it writes to.
    pub writes: Vec<String>,
}

/// Which of these topics cannot be read, and why.
pub fn unreadable(client: &ClientConfig, topics: &[String]) -> Vec<Cause> {
    let mut client = client.clone();
    client
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_uncommitted");
    let inquiry = match Inquiry::new(&client) {
        Ok(inquiry) => inquiry,
        Err(cause) => return vec![cause],
    };
    let who = Who::of(&client);
    let cannot = |topic: &String| {
        let reading = Doing::Reading(topic);
        // Of a topic that may not even be seen nothing comes, not even an error.
        let seen = inquiry.ask(TIMEOUT, &reading, |consumer, wait| {
            partition_count(consumer, topic, wait)
        });
        if let Err(cause) = seen {
            return Some(named(cause, &reading));
        }
        let error = read_a_moment(inquiry.consumer(), topic).err()?;
        Some(named(of_error(&who, &error, &reading), &reading))
    };
    topics.iter().filter_map(cannot).collect()
}

fn read_a_moment(
    consumer: &BaseConsumer<super::ear::Plain>,
    topic: &str,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::End)?;
    consumer.assign(&list)?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => match error.rdkafka_error_code() {
                // It is of no group, whatever the client asks besides.
                Some(Code::GroupAuthorizationFailed) => {}
                _ => return Err(error),
            },
        }
    }
    Err(KafkaError::MessageConsumption(Code::OperationTimedOut))
}

/// What a producer said of a trial.
struct Trial {
    ear: Ear,
    denied: Arc<Mutex<Option<Code>>>,
}

impl Trial {
    fn deny(&self, code: Code) {
        self.denied.lock().get_or_insert(code);
    }
}

impl ClientContext for Trial {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        self.ear.log(level, kind, text);
        if cause::closed_topic(kind, text).is_some() {
            self.deny(Code::TopicAuthorizationFailed);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
    }
}

impl ProducerContext for Trial {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result
            && let Some(code) = error.rdkafka_error_code()
            && !matches!(
                ErrorClass::of(code),
                ErrorClass::Purged | ErrorClass::Fatal | ErrorClass::Fenced
            )
        {
            self.deny(code);
        }
    }
}

/// What of `wanted` is refused. `client` makes producers, `reader` consumers.
pub fn refused(client: &ClientConfig, reader: &ClientConfig, wanted: &Transactional) -> Vec<Cause> {
    let who = Who::of(client);
    let id = Doing::Transaction {
        id: &wanted.id,
        group: Some(&wanted.group),
    };
    let mut client = client.clone();
    client
        .set("transactional.id", &wanted.id)
        .set("transaction.timeout.ms", "10000")
        .set("message.timeout.ms", "10000")
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("enable.idempotence", "true");
    let new = || {
        let denied = Arc::default();
        let context = Trial {
            ear: Ear::asked(&client),
            denied: Arc::clone(&denied),
        };
        let producer: BaseProducer<Trial> =
            client.create_with_context(context).map(producer_begins)?;
        producer.init_transactions(TIMEOUT)?;
        Ok::<_, KafkaError>((producer, denied))
    };
    let mut causes = Vec::new();
    let mut current = match new() {
        Ok(made) => made,
        Err(error) => {
            let cause = of_error(&who, &error, &id);
            let mut causes = match cause.why {
                Why::Denied { .. } => known_without(&who, reader, wanted),
                _ => Vec::new(),
            };
            causes.insert(0, cause);
            return causes;
        }
    };
    // The group first, then each topic.
    for topic in std::iter::once(None).chain(wanted.writes.iter().map(Some)) {
        // From here on the current one is fenced.
        let next = match new() {
            Ok(made) => made,
            Err(error) => {
                causes.push(of_error(&who, &error, &id));
                break;
            }
        };
        let fenced = std::mem::replace(&mut current, next);
        let (refused, doing) = match topic {
            None => (add_offsets(&fenced.0, reader, wanted), id.clone()),
            Some(topic) => (add_partition(&fenced, topic), Doing::Writing(topic)),
        };
        if let Some(error) = refused {
            let cause = of_error(&who, &error, &doing);
            causes.push(named(cause, &doing));
        }
    }
    causes
}

/// What can be told where the transactional id is refused: who may not even look at a topic or a group
/// may not write to it, or be a member.
fn known_without(who: &Who, reader: &ClientConfig, wanted: &Transactional) -> Vec<Cause> {
    let mut client = reader.clone();
    client.set("group.id", &wanted.group);
    let inquiry = match Inquiry::new(&client) {
        Ok(inquiry) => inquiry,
        Err(cause) => return vec![cause],
    };
    let mut unknown = Vec::new();
    let mut causes = Vec::new();
    let mut note = |asked: Result<(), Cause>, what: String| match asked {
        Err(cause) if matches!(cause.why, Why::Denied { .. }) => causes.push(cause),
        _ => unknown.push(what),
    };
    let member = Doing::Member {
        group: &wanted.group,
        topics: &[],
    };
    let asked = inquiry.ask(TIMEOUT, &member, |consumer, wait| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&wanted.source, 0);
        consumer.committed_offsets(asked, wait).map(drop)
    });
    note(asked, format!("READ on group {}", wanted.group));
    for topic in &wanted.writes {
        let asked = inquiry.ask(TIMEOUT, &Doing::Writing(topic), |consumer, wait| {
            partition_count(consumer, topic, wait).map(drop)
        });
        note(asked, format!("WRITE on topic {topic}"));
    }
    if !unknown.is_empty() {
        let message = format!(
            "whether it may {} is not known while transactional id {} is refused",
            unknown.join(", "),
            wanted.id
        );
        causes.push(Cause {
            who: Box::new(who.clone()),
            why: Why::Other(None),
            message,
        });
    }
    causes
}

type Made = (BaseProducer<Trial>, Arc<Mutex<Option<Code>>>);

/// A cause that does not name what it is about.
fn named(mut cause: Cause, doing: &Doing<'_>) -> Cause {
    let what = match doing {
        Doing::Writing(topic) => format!("WRITE on topic {topic}"),
        Doing::Reading(topic) => format!("READ on topic {topic}"),
        Doing::Transaction {
            group: Some(group), ..
        } => format!("READ on group {group}"),
        _ => return cause,
    };
    if let Why::Other(_) | Why::Unreachable = cause.why {
        cause.message = format!("whether it may {what} is not known: {}", cause.message);
        cause.why = Why::Other(None);
    }
    cause
}

/// Why a fenced producer cannot add offsets of the group, if not because it is fenced.
fn add_offsets(
    producer: &BaseProducer<Trial>,
    reader: &ClientConfig,
    wanted: &Transactional,
) -> Option<KafkaError> {
    let outsider = || {
        let mut client = reader.clone();
        client.set("group.id", &wanted.group);
        let consumer: BaseConsumer<super::ear::Plain> =
            client.create_with_context(super::ear::Plain(Ear::asked(&client)))?;
        consumer.group_metadata().ok_or(KafkaError::Canceled)
    };
    let group: ConsumerGroupMetadata = match outsider() {
        Ok(group) => group,
        Err(error) => return Some(error),
    };
    let mut offsets = TopicPartitionList::new();
    let added = offsets.add_partition_offset(&wanted.source, 0, Offset::Offset(0));
    let sent = added
        .and_then(|()| producer.begin_transaction())
        .and_then(|()| producer.send_offsets_to_transaction(&offsets, &group, TIMEOUT));
    sent.err().filter(|error| !is_fenced(error))
}

fn is_fenced(error: &KafkaError) -> bool {
    ErrorClass::of_error(error) == ErrorClass::Fenced
}

/// Why a fenced producer cannot add a partition of the topic, if not because it is fenced.
fn add_partition((producer, denied): &Made, topic: &str) -> Option<KafkaError> {
    if let Err(error) = producer.begin_transaction() {
        return Some(error).filter(|error| !is_fenced(error));
    }
    let record = BaseRecord::<[u8], [u8]>::to(topic).key(b"kafka-smpp check".as_slice());
    if let Err((error, _)) = producer.send(record) {
        return Some(error);
    }
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        producer.poll(POLL);
        if let Some(code) = *denied.lock() {
            return Some(KafkaError::MessageProduction(code));
        }
        if producer.client().fatal_error().is_some() {
            return None;
        }
    }
    Some(KafkaError::MessageProduction(Code::OperationTimedOut))
}

/// A producer that is idempotent, as the one of deliveries is: whether it may be, it asks by itself.
pub struct Idempotent {
    producer: BaseProducer<super::ear::Plain>,
    since: Instant,
    who: Who,
}

impl Idempotent {
    /// Begins to ask.
    ///
    /// # Errors
    ///
    /// When the properties make no producer.
    pub fn new(client: &ClientConfig) -> Result<Idempotent, Cause> {
        let mut client = client.clone();
        client.set("enable.idempotence", "true");
        let who = Who::of(&client);
        let made = client.create_with_context(super::ear::Plain(Ear::asked(&client)));
        Ok(Idempotent {
            producer: made.map_err(|error| of_error(&who, &error, &Doing::Idempotent))?,
            since: Instant::now(),
            who,
        })
    }

    /// Why it may not be, if it may not.
    pub fn refused(self) -> Option<Cause> {
        loop {
            self.producer.poll(POLL);
            if let Some((code, reason)) = self.producer.client().fatal_error() {
                return Some(cause::explain(
                    &self.who,
                    Some(code),
                    &reason,
                    &Doing::Idempotent,
                ));
            }
            if self.since.elapsed() >= IDEMPOTENT {
                return None;
            }
        }
    }
}
