//! Whether the brokers can do what a connector needs, found out by one real cycle of it.
//!
//! The protocol of Kafka is spoken by many, and not all of them have transactions, fence a producer or
//! hide what was aborted. A connector on such brokers would lose messages or send them twice. So
//! `check --connect` does once what a connector does all the time: it initialises a transactional id,
//! writes a record and an offset with long metadata and aborts them, writes them again and commits them,
//! reads both back, and lets a second producer fence the first. Where a connector's groups go by the
//! protocol of KIP-848, it joins a group and leaves it.
//!
//! It disturbs nobody. The transactional id is one of `check` (`GROUP.check`) and the group is
//! `APPLICATION_ID.check`, so no connector is fenced and none of its groups is joined. Its two records are
//! tombstones in partition 0 of the correlation topic, which a connector may write to and read anyway;
//! their [key](crate::record::keys::check) is that of the barrier of a partition that cannot be there,
//! and every version reads over it.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::cause::{self, Cause, Doing, Who, Why, explain, of_error};
use super::cluster::{Inquiry, connect, takes_metadata};
use super::ear::{Ear, Plain};
use super::error_class::ErrorClass;
use super::group::{Partition, commits};
use super::token::producer_begins;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client is polled at once.
const POLL: Duration = Duration::from_millis(20);
/// How long a producer is waited for before it is heard.
const WAIT: Duration = Duration::from_millis(500);
/// So often the cycle begins anew when another check, at the same time, fenced it or was a member of
/// the group.
const ATTEMPTS: usize = 8;
/// So often a coordinator is refused before that counts: one that starts refuses in another way.
const REFUSALS: usize = 3;

/// What the brokers cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Transactions at all.
    Transactions,
    /// A record within a transaction.
    Records,
    /// Offsets within a transaction.
    Offsets,
    /// Metadata of this many characters with an offset; so many are taken.
    Metadata(usize, usize),
    /// Committing.
    Commit,
    /// Aborting.
    Abort,
    /// A committed record is not read.
    Committed,
    /// An aborted record is read.
    Aborted,
    /// What was committed with the offset is not given back.
    KeptOffsets,
    /// A second producer does not fence the first.
    Fencing,
    /// The group protocol of KIP-848.
    GroupProtocol,
}

/// What is missing, and what that means.
impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate =
            "what becomes of a message is written in one transaction, so nothing could be sent";
        let (what, means) = match self {
            Lack::Transactions => ("do no transactions (InitProducerId)", fate),
            Lack::Records => (
                "take no record in a transaction (AddPartitionsToTxn, Produce)",
                fate,
            ),
            Lack::Offsets => (
                "take no offset in a transaction (AddOffsetsToTxn, TxnOffsetCommit)",
                fate,
            ),
            Lack::Commit => ("do not commit a transaction (EndTxn)", fate),
            Lack::Abort => (
                "do not abort a transaction (EndTxn)",
                "a transaction that failed would block its partitions",
            ),
            Lack::Committed => (
                "do not give back a record that was committed",
                "what is remembered for receipts would not be found",
            ),
            Lack::Aborted => (
                "give back a record that was aborted, also to who reads only committed ones (read_committed)",
                "results would be doubled",
            ),
            Lack::KeptOffsets => (
                "do not give back the offset, with its metadata, that a transaction committed (OffsetFetch)",
                "after a restart messages would be sent again",
            ),
            Lack::Fencing => (
                "let a producer go on after another has initialised the same transactional id",
                "a process that was cut off could overwrite what its successor has done",
            ),
            Lack::GroupProtocol => (
                "do not have the group protocol of KIP-848, or have it turned off (ConsumerGroupHeartbeat)",
                "with kafka.group_protocol = \"consumer\" nothing would be read",
            ),
            Lack::Metadata(wanted, taken) => {
                return write!(
                    f,
                    "take {taken} characters of metadata with an offset, and up to {wanted} are needed: progress could not be committed while many records are unfinished"
                );
            }
        };
        write!(f, "{what}: {means}")
    }
}

impl Lack {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Lack::Metadata(..) => {
                "set offset.metadata.max.bytes of the brokers to 4096 (Kafka's default) or more"
            }
            Lack::GroupProtocol => {
                "set kafka.group_protocol = \"classic\", or use brokers that have it, such as Apache Kafka 4.0 or newer (docs/kafka.md says which do)"
            }
            _ => {
                "use Apache Kafka 3.7 or newer, or a service or a tier of it that has transactions (docs/kafka.md says which do)"
            }
        }
    }
}

/// A part of the cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A transactional id is initialised.
    Initialise,
    /// A record and an offset are written and aborted.
    Abort,
    /// A record and an offset with long metadata are written and committed.
    Commit,
    /// The offset and its metadata are read back.
    Offsets,
    /// The committed record is read, the aborted one is not.
    Read,
    /// A second producer fences the first.
    Fence,
    /// A group is joined.
    Join,
}

impl Step {
    /// Those of a cycle, in their order.
    pub fn of(cycle: &Cycle) -> impl Iterator<Item = Step> + Clone + use<> {
        let always = [
            Step::Initialise,
            Step::Abort,
            Step::Commit,
            Step::Offsets,
            Step::Read,
            Step::Fence,
        ];
        let join = cycle.member.as_ref().map(|_| Step::Join);
        always.into_iter().chain(join)
    }

    /// What it shows.
    pub fn name(self) -> &'static str {
        match self {
            Step::Initialise => "a transactional id is initialised",
            Step::Abort => "a transaction with a record and an offset is aborted",
            Step::Commit => {
                "a transaction with a record and an offset with long metadata is committed"
            }
            Step::Offsets => "the committed offset and its metadata are read back",
            Step::Read => "the committed record is read, the aborted one is not",
            Step::Fence => "a second producer fences the first",
            Step::Join => "a group is joined by the protocol of KIP-848",
        }
    }
}

/// What is used for the cycle.
#[derive(Clone, Debug)]
pub struct Cycle {
    /// Makes producers.
    pub producer: ClientConfig,
    /// Makes consumers.
    pub reader: ClientConfig,
    /// Makes members of the group by the protocol of KIP-848, if that is what a connector does.
    pub member: Option<ClientConfig>,
    /// A transactional id that no connector uses.
    pub transactional_id: String,
    /// A group that no connector uses.
    pub group: String,
    /// A topic whose offsets are committed.
    pub source: String,
    /// Where records are written.
    pub topic: String,
    /// The key of the records.
    pub key: String,
    /// How many characters of metadata an offset needs.
    pub metadata: usize,
}

/// Goes through the cycle, and says of each step how it ended. After one that fails the others are not
/// tried. Blocks for some ten seconds for each step at most.
///
/// # Errors
///
/// Why a step failed.
pub fn go_round(cycle: &Cycle, told: &mut dyn FnMut(Step)) -> Result<(), Cause> {
    let mut shown = 0;
    let mut attempt = 1;
    loop {
        let mut done = 0;
        let end = once(cycle, &mut |step| {
            done += 1;
            if done > shown {
                shown = done;
                told(step);
            }
        });
        match end {
            Err(Stop::Other(_)) if attempt < ATTEMPTS => {
                // It may be the other's turn.
                std::thread::sleep(Duration::from_millis(
                    50 * attempt as u64 + fastrand::u64(..200),
                ));
                attempt += 1;
            }
            Err(Stop::Other(cause) | Stop::Because(cause)) => return Err(cause),
            Ok(()) => return Ok(()),
        }
    }
}

/// Why the cycle does not go on.
enum Stop {
    /// Another check is under way: it initialised the same transactional id, or is in the group.
    Other(Cause),
    /// For this reason.
    Because(Cause),
}

fn once(cycle: &Cycle, told: &mut dyn FnMut(Step)) -> Result<(), Stop> {
    let group = outsider(cycle)?;
    let first = Trial::new(cycle)?;
    told(Step::Initialise);
    first.begin(&group, "x")?;
    let aborted = first.write()?;
    first.abort()?;
    told(Step::Abort);
    let metadata = "c".repeat(cycle.metadata);
    first.begin(&group, &metadata)?;
    let committed = first.write()?;
    first.commit()?;
    told(Step::Commit);
    read_offsets(cycle, &metadata)?;
    told(Step::Offsets);
    read_records(cycle, aborted, committed)?;
    told(Step::Read);
    // It takes over, as a process that is started anew does.
    let _second = Trial::new(cycle)?;
    first.is_fenced(&group)?;
    told(Step::Fence);
    if let Some(member) = &cycle.member {
        join(cycle, member)?;
        told(Step::Join);
    }
    Ok(())
}

/// Joins the group until a partition is given, and leaves it. What brokers say that they speak is no
/// proof: they name the protocol also where it is turned off.
fn join(cycle: &Cycle, member: &ClientConfig) -> Result<(), Stop> {
    speak_group_protocol(&cycle.reader, &cycle.source, TIMEOUT)
        .map_err(|cause| Stop::Because(*cause))?;
    let topics = [cycle.source.clone()];
    let (who, doing) = (Who::of(member), Doing::member(member, &topics));
    let failed = |error: &KafkaError| stop(&who, error, &doing, Lack::GroupProtocol);
    let made = member.create_with_context(Plain(Ear::asked(member)));
    let consumer: BaseConsumer<Plain> = made.map_err(|error| failed(&error))?;
    consumer
        .subscribe(&[&cycle.source])
        .map_err(|error| failed(&error))?;
    let has_partition = || consumer.assignment().is_ok_and(|held| held.count() > 0);
    let deadline = Instant::now() + TIMEOUT * 2;
    while !has_partition() {
        let polled = consumer.poll(POLL);
        if let Some((code, reason)) = consumer.client().fatal_error() {
            let mut cause = explain(&who, Some(code), &reason, &doing);
            if !matches!(cause.why, Why::Denied { .. }) {
                cause.why = Why::Lacks(Lack::GroupProtocol);
            }
            return Err(Stop::Because(cause));
        }
        if let Some(Err(error)) = polled {
            let cause = of_error(&who, &error, &doing);
            if matches!(cause.why, Why::Denied { .. }) {
                return Err(Stop::Because(cause));
            }
        }
        if Instant::now() > deadline {
            let message = format!("no partition was given in {} s", (TIMEOUT * 2).as_secs());
            return Err(lacking(&who, Lack::GroupProtocol, message));
        }
    }
    consumer.unsubscribe();
    while has_partition() && Instant::now() < deadline {
        let _ = consumer.poll(POLL);
    }
    Ok(())
}

/// What the brokers say that they speak.
#[derive(Default)]
struct Spoken {
    /// The last version of ConsumerGroupHeartbeat, if it is among what they speak.
    heartbeat: Option<i16>,
    /// All of it has been said.
    complete: bool,
}

/// Hears what brokers speak: librdkafka writes it into its log, and says it nowhere else.
struct Listener {
    ear: Ear,
    spoken: Mutex<Spoken>,
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        if kind == "APIVERSION" {
            hear(&mut self.spoken.lock(), text);
        }
        // The lines that were asked for to learn of that are no news.
        if !matches!(level, RDKafkaLogLevel::Debug) {
            self.ear.log(level, kind, text);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
    }
}

impl ConsumerContext for Listener {}

/// Takes in a line about what a broker speaks: `ApiKey ConsumerGroupHeartbeat (68) Versions 0..1`, one
/// for each request. What it makes of them comes after the last: `Feature MsgVer1: Produce ...`.
fn hear(spoken: &mut Spoken, text: &str) {
    if let Some((_, versions)) = text.split_once("ApiKey ConsumerGroupHeartbeat (68) Versions ") {
        let last = versions.split_once("..").map(|(_, last)| last.trim());
        spoken.heartbeat = last.and_then(|last| last.parse().ok());
    }
    spoken.complete |= text.contains(" Feature ");
}

/// Whether the brokers have the group protocol of KIP-848 as the client speaks it, by what the one says
/// that answers first. librdkafka looks for another coordinator for ever if they have not, and says
/// nothing; so this is asked before a group is joined, by asking for `topic`. `Ok` also if nothing can be learned.
///
/// # Errors
///
/// That they have not.
pub(crate) fn speak_group_protocol(
    client: &ClientConfig,
    topic: &str,
    timeout: Duration,
) -> Result<(), Box<Cause>> {
    /// librdkafka speaks only the version of Kafka 4.0; Kafka 3.7 to 3.9 have an earlier one.
    const WANTED: i16 = 1;
    let who = Who::of(client);
    let mut client = client.clone();
    client
        .set("debug", "feature")
        .set_log_level(RDKafkaLogLevel::Debug);
    let listener = Listener {
        ear: Ear::asked(&client),
        spoken: Mutex::default(),
    };
    let Ok(consumer) = client.create_with_context::<_, BaseConsumer<Listener>>(listener) else {
        return Ok(());
    };
    let deadline = Instant::now() + timeout;
    while !consumer.context().spoken.lock().complete {
        if Instant::now() > deadline {
            return Ok(());
        }
        // What is said is heard in `poll`.
        connect(&consumer, topic, POLL);
        let _ = consumer.poll(POLL);
    }
    let message = match consumer.context().spoken.lock().heartbeat {
        Some(last) if last >= WANTED => return Ok(()),
        Some(last) => format!("its last version is {last}, and {WANTED} is needed"),
        None => "it is not among what they speak".to_owned(),
    };
    Err(Box::new(Cause {
        who: Box::new(who),
        why: Why::Lacks(Lack::GroupProtocol),
        message,
    }))
}

/// The metadata of a group as who is no member has it.
fn outsider(cycle: &Cycle) -> Result<ConsumerGroupMetadata, Stop> {
    let mut client = cycle.reader.clone();
    client.set("group.id", &cycle.group);
    let made = client.create_with_context(Plain(Ear::asked(&client)));
    let unmade = |error| Stop::Because(of_error(&Who::of(&client), &error, &Doing::Asking));
    let consumer: BaseConsumer<Plain> = made.map_err(unmade)?;
    consumer
        .group_metadata()
        .ok_or_else(|| unmade(KafkaError::Canceled))
}

/// What the producer says.
#[derive(Default)]
struct Said {
    /// How the record ended.
    written: Option<Result<i64, Code>>,
    /// The topic is closed to us.
    denied: bool,
    /// The transactional id is.
    id_denied: bool,
    /// Why there is no coordinator, and how often that was said.
    refused: Option<(String, usize)>,
}

struct Context {
    ear: Ear,
    said: Mutex<Said>,
}

/// What stands before why no coordinator of transactions is found, in lines of librdkafka.
const NO_COORDINATOR: &str = "Failed to find transaction coordinator: ";

/// A line of librdkafka that says why no coordinator of transactions is found, if it is not one that
/// says that it is not ready: `Failed to find transaction coordinator: INVALID_REQUEST: why`.
fn refusal(text: &str) -> Option<&str> {
    let (_, why) = text.split_once(NO_COORDINATOR)?;
    let passes = [
        "COORDINATOR_NOT_AVAILABLE",
        "COORDINATOR_LOAD",
        "NOT_COORDINATOR",
        "_",
    ];
    let stays = !passes.iter().any(|code| why.starts_with(code)) && !is_denial(why);
    stays.then_some(why.trim())
}

/// Whether it says that a right is missing, in the words of the protocol or in those for people.
fn is_denial(text: &str) -> bool {
    let text = text.to_ascii_lowercase().replace('_', " ");
    text.contains("authorization failed")
}

impl ClientContext for Context {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        let mut said = self.said.lock();
        said.denied |= cause::closed_topic(kind, text).is_some();
        said.id_denied |= text.contains(NO_COORDINATOR) && is_denial(text);
        if let Some(why) = refusal(text) {
            let count = said.refused.take().map_or(0, |(_, count)| count);
            said.refused = Some((why.to_owned(), count + 1));
        }
        drop(said);
        // The lines that were asked for to learn of that are no news.
        if !matches!(level, RDKafkaLogLevel::Debug) {
            self.ear.log(level, kind, text);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.said.lock().written = Some(match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        });
    }
}

/// A producer that is tried.
struct Trial<'a> {
    cycle: &'a Cycle,
    who: Who,
    producer: BaseProducer<Context>,
}

impl<'a> Trial<'a> {
    /// One that is initialised.
    fn new(cycle: &'a Cycle) -> Result<Self, Stop> {
        let mut client = cycle.producer.clone();
        client
            .set("transaction.timeout.ms", "10000")
            .set("message.timeout.ms", "10000")
            .set("linger.ms", "0");
        let producer = initialised(&client, &cycle.transactional_id, TIMEOUT);
        let producer = producer.map_err(|cause| Stop::Because(*cause))?;
        Ok(Trial {
            cycle,
            who: Who::of(&client),
            producer,
        })
    }

    /// Begins a transaction, with an offset.
    fn begin(&self, group: &ConsumerGroupMetadata, metadata: &str) -> Result<(), Stop> {
        let sent = self.offset(group, metadata);
        let Err(error) = sent else { return Ok(()) };
        let mut end = self.stop(&error, &self.member(), Lack::Offsets);
        if error.rdkafka_error_code() == Some(Code::OffsetMetadataTooLarge)
            && let Stop::Because(cause) = &mut end
        {
            let taken = most_metadata(self.cycle, metadata.len());
            cause.why = Why::Lacks(Lack::Metadata(metadata.len(), taken));
        }
        let _ = self.producer.abort_transaction(TIMEOUT);
        Err(end)
    }

    fn offset(&self, group: &ConsumerGroupMetadata, metadata: &str) -> Result<(), KafkaError> {
        let mut offsets = TopicPartitionList::new();
        let mut element = offsets.add_partition(&self.cycle.source, 0);
        element.set_offset(Offset::Offset(0))?;
        element.set_metadata(metadata);
        self.producer.begin_transaction()?;
        (self.producer).send_offsets_to_transaction(&offsets, group, TIMEOUT)
    }

    fn member(&self) -> Doing<'_> {
        Doing::Member {
            group: &self.cycle.group,
            topics: std::slice::from_ref(&self.cycle.source),
        }
    }

    /// Writes the record; its offset.
    fn write(&self) -> Result<i64, Stop> {
        let said = &self.producer.context().said;
        *said.lock() = Said::default();
        let record = BaseRecord::<str, [u8]>::to(&self.cycle.topic)
            .key(self.cycle.key.as_str())
            .partition(0);
        let writing = Doing::Writing(&self.cycle.topic);
        let stop = |code| {
            let error = KafkaError::MessageProduction(code);
            self.stop(&error, &writing, Lack::Records)
        };
        if let Err((error, _)) = self.producer.send(record) {
            return Err(self.stop(&error, &writing, Lack::Records));
        }
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            self.producer.poll(POLL);
            let said = said.lock();
            match said.written {
                Some(Ok(offset)) => return Ok(offset),
                _ if said.denied => return Err(stop(Code::TopicAuthorizationFailed)),
                Some(Err(code)) if ErrorClass::of(code).names_cause() => return Err(stop(code)),
                // Given up, because another check fenced this one, for example.
                Some(Err(code)) => {
                    let known = self.producer.client().fatal_error().map(|(code, _)| code);
                    let why = || self.producer.commit_transaction(TIMEOUT).err();
                    let known = known.or_else(|| why()?.rdkafka_error_code());
                    return Err(stop(known.unwrap_or(code)));
                }
                None => {}
            }
            if let Some((code, _)) = self.producer.client().fatal_error() {
                return Err(stop(code));
            }
        }
        Err(stop(Code::OperationTimedOut))
    }

    fn abort(&self) -> Result<(), Stop> {
        let ended = self.producer.abort_transaction(TIMEOUT);
        ended.map_err(|error| self.stop(&error, &self.transaction(), Lack::Abort))
    }

    fn commit(&self) -> Result<(), Stop> {
        let ended = self.producer.commit_transaction(TIMEOUT);
        ended.map_err(|error| self.stop(&error, &self.transaction(), Lack::Commit))
    }

    fn transaction(&self) -> Doing<'_> {
        Doing::Transaction {
            id: &self.cycle.transactional_id,
            group: Some(&self.cycle.group),
        }
    }

    /// That this one cannot go on, since there is another.
    fn is_fenced(&self, group: &ConsumerGroupMetadata) -> Result<(), Stop> {
        let went_on =
            (self.offset(group, "f")).and_then(|()| self.producer.commit_transaction(TIMEOUT));
        match went_on {
            Err(error) if is_fenced(&error) => Ok(()),
            Err(error) => Err(self.stop(&error, &self.member(), Lack::Fencing)),
            Ok(()) => {
                let message = "it committed".to_owned();
                Err(lacking(&self.who, Lack::Fencing, message))
            }
        }
    }

    /// What an error of a step says.
    fn stop(&self, error: &KafkaError, doing: &Doing<'_>, lack: Lack) -> Stop {
        stop(&self.who, error, doing, lack)
    }
}

fn lacking(who: &Who, lack: Lack, message: String) -> Stop {
    Stop::Because(Cause {
        who: Box::new(who.clone()),
        why: Why::Lacks(lack),
        message,
    })
}

/// What an error of a step says: that a right is missing, or a broker, or else that the brokers cannot
/// do it.
fn stop(who: &Who, error: &KafkaError, doing: &Doing<'_>, lack: Lack) -> Stop {
    let mut cause = of_error(who, error, doing);
    if is_fenced(error) || ErrorClass::of_error(error) == ErrorClass::Membership {
        return Stop::Other(cause);
    }
    if matches!(cause.why, Why::Other(_)) && !passes(error) {
        cause.why = Why::Lacks(lack);
    }
    Stop::Because(cause)
}

/// Whether it may have to do with the moment only.
fn passes(error: &KafkaError) -> bool {
    let class = ErrorClass::of_error(error);
    // Another check ends the transaction of this one, for example.
    let is_concurrent = error.rdkafka_error_code() == Some(Code::ConcurrentTransactions);
    is_concurrent
        || class.is_silence()
        || matches!(class, ErrorClass::NotYet | ErrorClass::Unavailable)
}

fn is_fenced(error: &KafkaError) -> bool {
    ErrorClass::of_error(error) == ErrorClass::Fenced
}

/// How many characters of metadata the brokers take with an offset, where they do not take `wanted`.
fn most_metadata(cycle: &Cycle, wanted: usize) -> usize {
    let mut client = cycle.reader.clone();
    client.set("group.id", &cycle.group);
    let (mut taken, mut refused) = (0, wanted);
    while taken + 1 < refused {
        let middle = usize::midpoint(taken, refused);
        match takes_metadata(&client, &cycle.source, middle, TIMEOUT) {
            Ok(true) => taken = middle,
            Ok(false) => refused = middle,
            Err(_) => break,
        }
    }
    taken
}

fn read_offsets(cycle: &Cycle, metadata: &str) -> Result<(), Stop> {
    let mut client = cycle.reader.clone();
    client.set("group.id", &cycle.group);
    let inquiry = Inquiry::new(&client).map_err(Stop::Because)?;
    let topics = [cycle.source.clone()];
    let member = Doing::member(&client, &topics);
    let partition = Partition {
        topic: cycle.source.as_str().into(),
        partition: 0,
    };
    let found = inquiry.ask(TIMEOUT, &member, |consumer, wait| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&cycle.source, 0);
        let found = consumer.committed_offsets(asked, wait)?;
        commits(&found, std::slice::from_ref(&partition))
    });
    let found = found.map_err(Stop::Because)?;
    match found.first() {
        // That of another check has the same length.
        Some(commit) if commit.metadata == metadata => Ok(()),
        found => {
            let length = found.map_or(0, |commit| commit.metadata.len());
            let message = format!("{length} characters came back");
            Err(lacking(&Who::of(&client), Lack::KeptOffsets, message))
        }
    }
}

/// Reads from the aborted record up to the committed one.
fn read_records(cycle: &Cycle, aborted: i64, committed: i64) -> Result<(), Stop> {
    let mut client = cycle.reader.clone();
    client.set("isolation.level", "read_committed");
    let who = Who::of(&client);
    let reading = Doing::Reading(&cycle.topic);
    let failed = |error: KafkaError| stop(&who, &error, &reading, Lack::Committed);
    let made = client.create_with_context(Plain(Ear::asked(&client)));
    let consumer: BaseConsumer<Plain> = made.map_err(failed)?;
    let mut list = TopicPartitionList::new();
    let added = list.add_partition_offset(&cycle.topic, 0, Offset::Offset(aborted));
    added
        .and_then(|()| consumer.assign(&list))
        .map_err(failed)?;
    let deadline = Instant::now() + TIMEOUT * 2;
    while Instant::now() < deadline {
        match consumer.poll(POLL) {
            Some(Ok(message)) if message.offset() == aborted => {
                let message = format!("offset {aborted} of {}-0", cycle.topic);
                return Err(lacking(&who, Lack::Aborted, message));
            }
            Some(Ok(message)) if message.offset() >= committed => return Ok(()),
            Some(Err(error)) => match error.rdkafka_error_code() {
                // It is of no group, whatever the client asks besides.
                Some(Code::GroupAuthorizationFailed) => {}
                _ if ErrorClass::of_error(&error).is_silence() => {}
                _ => return Err(failed(error)),
            },
            _ => {}
        }
    }
    let message = format!(
        "offset {committed} of {}-0 did not come in {} s: a transaction that somebody left open hides it, or the brokers do",
        cycle.topic,
        (TIMEOUT * 2).as_secs()
    );
    Err(lacking(&who, Lack::Committed, message))
}

/// A producer of these properties that has initialised `transactional_id`, or why there is none. It
/// tells brokers that do no transactions from those that are not ready.
fn initialised(
    client: &ClientConfig,
    transactional_id: &str,
    timeout: Duration,
) -> Result<BaseProducer<Context>, Box<Cause>> {
    let who = Who::of(client);
    let doing = Doing::Transaction {
        id: transactional_id,
        group: None,
    };
    let mut client = client.clone();
    client
        .set("transactional.id", transactional_id)
        .set("enable.idempotence", "true")
        // Why there is no coordinator it says nowhere else.
        .set("debug", "eos")
        .set_log_level(RDKafkaLogLevel::Debug);
    let context = Context {
        ear: Ear::asked(&client),
        said: Mutex::default(),
    };
    let made = client.create_with_context(context);
    let producer: BaseProducer<Context> = made
        .map(producer_begins)
        .map_err(|error| Box::new(of_error(&who, &error, &doing)))?;
    let deadline = Instant::now() + timeout;
    loop {
        let Err(error) = producer.init_transactions(WAIT) else {
            return Ok(producer);
        };
        // What it said in the meantime.
        producer.poll(POLL);
        let said = producer.context().said.lock();
        let (refused, id_denied) = (said.refused.clone(), said.id_denied);
        drop(said);
        if id_denied {
            let denied = KafkaError::Global(Code::TransactionalIdAuthorizationFailed);
            return Err(Box::new(of_error(&who, &denied, &doing)));
        }
        if let Some((message, _)) = refused.filter(|(_, count)| *count >= REFUSALS) {
            return Err(Box::new(Cause {
                who: Box::new(who),
                why: Why::Lacks(Lack::Transactions),
                message,
            }));
        }
        if passes(&error) && Instant::now() < deadline {
            continue;
        }
        let mut cause = of_error(&who, &error, &doing);
        if is_unsupported(&error) {
            cause.why = Why::Lacks(Lack::Transactions);
        }
        return Err(Box::new(producer.context().ear.cause().unwrap_or(cause)));
    }
}

fn is_unsupported(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::UnsupportedFeature | Code::UnsupportedVersion | Code::UnsupportedForMessageFormat
        )
    )
}

/// Why a producer that could not be initialised with `error` never will be, if the brokers do no
/// transactions. Blocks for some seconds where `error` does not say it.
pub(super) fn no_transactions(
    client: &ClientConfig,
    transactional_id: &str,
    error: &KafkaError,
) -> Option<Box<Cause>> {
    /// In this time the coordinator is asked for more often than [`REFUSALS`].
    const ASKED: Duration = Duration::from_secs(4);
    if is_unsupported(error) {
        let mut cause = of_error(&Who::of(client), error, &Doing::Asking);
        cause.why = Why::Lacks(Lack::Transactions);
        return Some(Box::new(cause));
    }
    if ErrorClass::of_error(error) != ErrorClass::NoAnswer {
        return None;
    }
    let cause = initialised(client, transactional_id, ASKED).err()?;
    matches!(cause.why, Why::Lacks(_)).then_some(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_that_does_not_pass_counts() {
        for (text, why) in [
            (
                "Failed to find transaction coordinator: INVALID_REQUEST: type code 1 is not supported",
                Some("INVALID_REQUEST: type code 1 is not supported"),
            ),
            (
                "Failed to find transaction coordinator: COORDINATOR_NOT_AVAILABLE: Broker: Coordinator not available",
                None,
            ),
            (
                "Failed to find transaction coordinator: _TRANSPORT: Local: Broker transport failure",
                None,
            ),
            ("Querying for transaction coordinator: Acquire PID", None),
            (
                "Failed to find transaction coordinator: sasl_plaintext://kafka:9092/1: Broker: Transactional Id authorization failed",
                None,
            ),
            (
                "Failed to find transaction coordinator: TRANSACTIONAL_ID_AUTHORIZATION_FAILED: no",
                None,
            ),
        ] {
            assert_eq!(refusal(text), why, "{text}");
        }
    }

    #[test]
    fn what_brokers_speak_is_known_when_all_is_said() {
        let line =
            |text: &str| format!("[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/1: {text}");
        let list = [
            "Broker API support:",
            "  ApiKey Produce (0) Versions 0..10",
            "  ApiKey ConsumerGroupHeartbeat (68) Versions 0..1",
        ];
        let mut spoken = Spoken::default();
        for text in list {
            hear(&mut spoken, &line(text));
        }
        assert_eq!((spoken.heartbeat, spoken.complete), (Some(1), false));
        hear(
            &mut spoken,
            &line(" Feature MsgVer1: Produce (2..2) supported by broker"),
        );
        assert!(spoken.complete);
    }

    #[test]
    fn each_lack_says_what_it_means() {
        for lack in [Lack::Transactions, Lack::Fencing, Lack::Metadata(4000, 100)] {
            assert!(lack.to_string().contains(": "), "{lack}");
        }
        let text = Lack::Metadata(4000, 100).to_string();
        assert!(
            text.contains("take 100 characters") && text.contains("4000"),
            "{text}"
        );
    }
}
