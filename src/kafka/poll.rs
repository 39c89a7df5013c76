//! The thread that polls one consumer.
//!
//! Everything that touches the assignment happens on this thread: librdkafka runs rebalance
//! callbacks inside `poll`, and what others want of a partition (start it, hold it, resume it)
//! waits for the next round. So a callback never races with a command, and the async side never blocks it
//! except inside [`Assignments::revoked`], where it must: a partition is given up only when
//! its owner has finished with it.
//!
//! Start positions are not librdkafka's business. A new partition is paused and assigned at
//! offset 0; when its owner has decided where it starts, [`Handle::start`] seeks and resumes.
//! A message that arrives before that is dropped: it comes from no position anyone asked for.
//! The seek itself discards what was fetched earlier, so the first message after it is the
//! first one at or above the position (offsets in between do not exist).
//!
//! After a position outside the log librdkafka takes up no other one ("erroneous state"), and it
//! can ask for one that nobody named: if the log begins above 0 and the thread is slow between
//! assigning and pausing, it has asked for offset 0 by then. So a partition whose positions are
//! refused for [`STUCK`] is assigned afresh.
//!
//! What is wanted of a partition is a state, not a queue of commands: the last word counts, and
//! this thread brings the client there, however often it has to try. A position that could not
//! be taken up at first is tried again only while nothing newer is wanted, so it can never win
//! over the position of a topic that was created anew meanwhile. Each word has a generation; a
//! message is given out only if it was fetched for the last one, and its owner can ask so under
//! its own lock ([`Handle::is_current`]). That matters, because owners believe a gap in the
//! offsets: what does not come is not there.
//!
//! The offset of an assignment must be a number. For "end" or "beginning" librdkafka asks the
//! broker, and when a seek overtakes the answer it takes the answer for an outdated one and
//! asks again half a second later: the partition then goes on from the end of its log, and
//! what lies between is never seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tracing::debug;

use super::cause::{Doing, Why, explain};
use super::ear::{self, Ear};
use super::fatal::Fatal;
use super::figures::Figures;
use super::group::{Group, Partition, list, names};
use super::membership::Standing;
use super::notices::{
    Assigned, AssignmentRefused, NotAssignedAfresh, NotPaused, NotResumed, PollingEnds,
    RevocationRefused, Revoked,
};
use super::pause::Pause;
use super::vigil::Vigil;
use super::waiting::{For, Waiting};
use crate::codes::{self, ErrorCode};

/// How long one poll waits while there is something to do; also the delay of a command then.
const POLL: Duration = Duration::from_millis(10);
const SEEK: Duration = Duration::from_secs(5);
/// The client takes up no position of a partition for so long, and then it never will. In good
/// order it takes some rounds, because the client has to learn of the partition.
const STUCK: Duration = Duration::from_secs(2);
/// Pauses before a message is given again.
const AGAIN: Pause = Pause::new(Duration::from_millis(100), Duration::from_secs(2));
/// What is said of a partition that waits at a record.
const RECORD: For<'_> = For {
    code: codes::RECORD_WAITS,
    what: "a record has to wait, and its partition with it, until it can be read; the other partitions go on",
};
/// What is said of a partition whose position the client does not take up.
const POSITION: For<'_> = For {
    code: codes::KAFKA_FAILED,
    what: "the client does not take up its position: it is assigned afresh, again and again until the client does; the other partitions go on",
};
/// Where a partition is assigned that nothing is fetched of yet: a number, see the
/// [module](self).
const NOWHERE: Offset = Offset::Offset(0);

/// Whether more messages of a partition are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Pause the partition until [`Handle::resume`].
    Pause,
    /// This message cannot be taken yet, for this reason: give it again after a moment, and
    /// nothing behind it before. The other partitions go on.
    Again(String),
}

/// Why polling ended without being asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The consumer could not be made or subscribed: its properties are wrong.
    #[error("a Kafka client cannot be made: {0}")]
    Client(#[from] KafkaError),
    /// The consumer cannot go on, and what it held has been given up.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

impl Error {
    /// By which it is explained.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Error::Client(_) => codes::KAFKA_CLIENT,
            Error::Fatal(fatal) => fatal.error_code(),
        }
    }
}

/// Who owns the partitions. All methods run on the polling thread.
pub trait Assignments: Send + Sync + 'static {
    /// Partitions were assigned; each waits for [`Handle::start`]. Returns partitions of
    /// other topics to be held beside them (priority topics). Must not block.
    fn assigned(&self, partitions: &[Partition]) -> Vec<Partition>;

    /// Partitions are about to be taken away. Returns when nothing of them will be written
    /// to a socket or a transaction any more. With `lost` they are another's already.
    /// Returns the partitions held beside them, to be let go with them.
    fn revoked(&self, partitions: &[Partition], lost: bool) -> Vec<Partition>;

    /// A message of a started partition, in order.
    fn message(&self, partition: &Partition, message: &BorrowedMessage<'_>) -> Flow;

    /// All that is in the log of a started partition was given out. Only of a consumer with
    /// `enable.partition.eof` and one topic.
    fn at_end(&self, _partition: &Partition) {}

    /// The consumer reported an error; it goes on by itself.
    fn trouble(&self, error: &KafkaError);
}

/// What is wanted of one partition.
#[derive(Clone, Copy, Debug, Default)]
struct Desired {
    /// Which word this is; no two are the same.
    generation: u64,
    /// The last word that held it, which is carried out also if it was started again since: it
    /// is more than not to start it, see [`hold`].
    held: u64,
    /// Where it is delivered from; `None` while nothing of it is wanted.
    from: Option<i64>,
    /// How often it was to go on after a pause.
    resumptions: u64,
}

/// How far a partition that is held has been brought: the state that the client is in. The steps
/// lead from it to what is wanted ([`Desired`]).
///
/// ```text
///               assigned
///                  │
///                  ▼    Hold (from every state): assigned afresh, paused
///   ┌───────────────────────────┐
///   │ held: !started            │ ◄─┐ Start, and the client refuses the position: `refused`.
///   └───────────────────────────┘ ──┘ After STUCK it is assigned afresh.
///                  │
///                  │    Start (from every state): seek, resume
///                  ▼
///   ┌───────────────────────────┐ ── Flow::Pause ──► ┌──────────────────────────┐
///   │ started                   │                    │ paused: started, `paused`│
///   └───────────────────────────┘ ◄──── Resume ───── └──────────────────────────┘
///        │               ▲
///   Flow::Again      GiveAgain, when it is due: seek, resume. `waiting` stays until the
///        ▼               │      message is taken.
///   ┌───────────────────────────┐
///   │ waiting: !started, `due`  │
///   └───────────────────────────┘
/// ```
///
/// Messages are given out in `started` only, and only those of the generation that is wanted.
/// Revoked or lost, a partition is in no state: it is taken out of the map, and what was wanted of
/// it is forgotten.
#[derive(Debug, Default)]
struct Applied {
    /// The word that was carried out last: a message is given out while it is the one wanted.
    generation: u64,
    /// The last of them that held it: while it is not the one wanted, it is assigned afresh first.
    held: u64,
    /// Whether what the client fetches comes from a position that was asked for.
    started: bool,
    /// While it is paused.
    paused: Option<Paused>,
    /// The message that could not be taken, until it is: nothing behind it is given out before.
    waiting: Option<WaitingMessage>,
    /// While the client refuses its position.
    refused: Option<RefusedPosition>,
}

/// A partition of which nothing is fetched for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Paused {
    /// The resumptions that were asked for before the pause. One that came in between so counts.
    resumptions: u64,
    /// Behind the message that was given out last.
    next: i64,
}

/// A position that the client does not take up.
#[derive(Clone, Copy, Debug)]
struct RefusedPosition {
    /// Since it was assigned, or afresh.
    since: Instant,
    /// Whether it was assigned afresh, which the log says.
    reported: bool,
}

/// A partition whose next message cannot be taken yet.
#[derive(Debug)]
struct WaitingMessage {
    /// Where the client goes on.
    offset: i64,
    /// When it is given again; `None` while it is under way.
    due: Option<Instant>,
    /// Grows while it is the same message.
    pause: Pause,
}

impl Applied {
    fn hold(&mut self, generation: u64) {
        *self = Applied {
            generation,
            held: generation,
            ..Applied::default()
        };
    }

    fn start(&mut self, generation: u64) {
        *self = Applied {
            generation,
            held: self.held,
            started: true,
            ..Applied::default()
        };
    }
}

/// What brings a partition nearer to what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// For the word with this generation.
    Hold(u64),
    /// From this offset on, for the word with this generation.
    Start(i64, u64),
    GiveAgain(i64),
    /// From this offset on.
    Resume(i64),
}

impl Desired {
    fn step(&self, applied: &Applied, now: Instant) -> Option<Step> {
        if applied.held != self.held {
            return Some(Step::Hold(self.held));
        }
        if let Some(from) = self.from
            && applied.generation != self.generation
        {
            return Some(Step::Start(from, self.generation));
        }
        if let Some(WaitingMessage {
            offset,
            due: Some(due),
            ..
        }) = applied.waiting
        {
            return (due <= now).then_some(Step::GiveAgain(offset));
        }
        let Paused { resumptions, next } = applied.paused?;
        (self.resumptions > resumptions).then_some(Step::Resume(next))
    }
}

/// What is wanted of all partitions.
#[derive(Default)]
struct Orders {
    /// Of each the last word. Not there: nothing was wanted since it was assigned.
    desired: HashMap<Partition, Desired>,
    /// The last generation that was given out: no two words have the same.
    generations: u64,
    /// The generation of the message that is being given out.
    giving: u64,
    /// The thread is to leave the group; from then on there are no steps.
    stopping: bool,
}

/// Says what is wanted of the partitions of a [`Poller`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct Handle(Arc<Mutex<Orders>>);

impl Handle {
    /// Begins to deliver `partition` from `offset` on.
    pub fn start(&self, partition: Partition, offset: i64) {
        self.want(partition, Some(offset));
    }

    /// Delivers nothing more of a partition until it is started again.
    pub fn hold(&self, partition: Partition) {
        self.want(partition, None);
    }

    fn want(&self, partition: Partition, from: Option<i64>) {
        let mut orders = self.0.lock();
        orders.generations += 1;
        let generation = orders.generations;
        let before = orders.desired.get(&partition);
        let held = match from {
            Some(_) => before.map_or(0, |before| before.held),
            None => generation,
        };
        let desired = Desired {
            generation,
            held,
            from,
            resumptions: 0,
        };
        orders.desired.insert(partition, desired);
    }

    /// Goes on with a partition that was paused.
    pub fn resume(&self, partition: Partition) {
        if let Some(desired) = self.0.lock().desired.get_mut(&partition) {
            desired.resumptions += 1;
        }
    }

    /// Whether the message that is being given out was fetched for what is wanted of its
    /// partition now. To be asked within [`Assignments::message`], under the lock under which
    /// the partition is started and held: outside of it the answer may be outdated.
    pub fn is_current(&self, partition: &Partition) -> bool {
        let orders = self.0.lock();
        let desired = orders.desired.get(partition);
        desired.is_none_or(|desired| desired.generation == orders.giving)
    }

    /// What was wanted of these partitions counts for nothing any more. If one of them came
    /// back before it was carried out, it would begin where an earlier owner wanted to.
    fn forget(&self, gone: &[Partition]) {
        (self.0.lock().desired).retain(|partition, _| !gone.contains(partition));
    }

    /// A message of this generation is about to be given out. Returns the resumptions asked
    /// for until now; `None` if something newer is wanted.
    fn give(&self, partition: &Partition, generation: u64) -> Option<u64> {
        let mut orders = self.0.lock();
        let desired = *orders.desired.get(partition)?;
        orders.giving = generation;
        (desired.generation == generation).then_some(desired.resumptions)
    }

    /// The next step for each partition that needs one, and what it leads to; `None` when it
    /// is time to leave.
    fn steps(&self, held: &HashMap<Partition, Applied>) -> Option<Vec<(Partition, Step)>> {
        let (orders, now) = (self.0.lock(), Instant::now());
        let step = |(partition, applied): (&Partition, &Applied)| {
            let desired = orders.desired.get(partition)?;
            Some((partition.clone(), desired.step(applied, now)?))
        };
        (!orders.stopping).then(|| held.iter().filter_map(step).collect())
    }

    /// Ends [`Poller::run`], which revokes everything (with the usual callback) and leaves the
    /// group.
    pub fn stop(&self) {
        self.0.lock().stopping = true;
    }
}

/// The consumer's callbacks.
pub struct Context {
    /// Hears of assignments before the client carries them out.
    owner: Arc<dyn Assignments>,
    /// What is wanted of the partitions: forgotten as they come and go.
    commands: Handle,
    /// Learns of each callback before the owner does: what is committed goes by it.
    standing: Arc<Standing<ConsumerGroupMetadata>>,
    /// The partitions that are assigned, with those that the owner holds beside them. Only the
    /// polling thread changes it; librdkafka's callbacks run on that.
    held: Mutex<HashMap<Partition, Applied>>,
    /// What is said of partitions that wait.
    waiting: Waiting,
    /// What the client has to say.
    ear: Ear,
    /// What librdkafka said of the error that the next poll returns.
    reason: Mutex<String>,
    /// Takes its statistics.
    figures: Arc<Figures>,
}

impl ClientContext for Context {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        self.ear.log(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
        *self.reason.lock() = self.ear.who().hides(reason).into_owned();
    }

    fn stats(&self, said: Statistics) {
        self.figures.take(said);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        tpl: &mut TopicPartitionList,
    ) {
        let lost = consumer.assignment_lost();
        let metadata = if lost {
            None
        } else {
            consumer.group_metadata()
        };
        self.standing.called(metadata);
        let partitions = partitions_of(tpl);
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.assign(consumer, &partitions);
            }
            _ => self.revoke(consumer, &partitions, lost),
        }
    }
}

impl Context {
    /// What partitions wait for.
    pub(super) fn waits(&self) -> Vec<(Partition, String)> {
        self.waiting.all()
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[Partition]) {
        Assigned {
            partitions: &names(partitions),
        }
        .emit();
        let mut all = partitions.to_vec();
        self.commands.forget(partitions);
        if !partitions.is_empty() {
            all.extend(self.owner.assigned(partitions));
        }
        let fresh = all.iter().map(|p| (p.clone(), Applied::default()));
        self.held.lock().extend(fresh);
        if let Err(error) = assign_paused(consumer, &all) {
            AssignmentRefused { error }.emit();
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &[Partition], lost: bool) {
        Revoked {
            partitions: &names(partitions),
            lost,
        }
        .emit();
        let mut all = partitions.to_vec();
        if !partitions.is_empty() {
            all.extend(self.owner.revoked(partitions, lost));
        }
        self.held.lock().retain(|p, _| !all.contains(p));
        self.waiting.forget(&all);
        self.commands.forget(&all);
        if let Err(error) = consumer.incremental_unassign(&list(&all, Offset::Invalid)) {
            RevocationRefused { error }.emit();
        }
    }
}

impl Context {
    /// Changes what is known of a partition that is held.
    fn note(&self, partition: &Partition, note: impl FnOnce(&mut Applied)) {
        if let Some(applied) = self.held.lock().get_mut(partition) {
            note(applied);
        }
    }

    /// The client has refused a position of a partition once more. Whether it is to be assigned
    /// afresh now.
    fn is_stuck(&self, partition: &Partition, now: Instant) -> bool {
        let mut stuck = false;
        self.note(partition, |applied| {
            let first = RefusedPosition {
                since: now,
                reported: false,
            };
            let refused = applied.refused.get_or_insert(first);
            if now.duration_since(refused.since) >= STUCK {
                (refused.since, refused.reported, stuck) = (now, true, true);
            }
        });
        stuck
    }

    /// The partition of a message that may be given out, and the resumptions of it that were
    /// asked for before. Nobody wants one that was fetched for an older word.
    fn give(&self, message: &BorrowedMessage<'_>) -> Option<(Partition, u64)> {
        let held = self.held.lock();
        // One look-up without allocating a name: few partitions, so a scan is cheap.
        let (partition, applied) = held
            .iter()
            .find(|(p, _)| p.partition == message.partition() && *p.topic == *message.topic())?;
        if !applied.started {
            return None;
        }
        let resumptions = self.commands.give(partition, applied.generation)?;
        Some((partition.clone(), resumptions))
    }

    /// The partition with this number, if its end may be given out.
    fn give_end(&self, number: i32) -> Option<Partition> {
        let held = self.held.lock();
        let (partition, applied) = held.iter().find(|(p, _)| p.partition == number)?;
        let told = applied.started && self.commands.give(partition, applied.generation).is_some();
        told.then(|| partition.clone())
    }

    /// Lets a partition wait at a message that cannot be taken yet. It counts as not started
    /// meanwhile, so that nothing fetched ahead overtakes that message.
    fn set_aside(
        &self,
        consumer: &BaseConsumer<Self>,
        partition: &Partition,
        message: &BorrowedMessage<'_>,
        why: &str,
    ) {
        pause(consumer, partition);
        let offset = message.offset();
        self.note(partition, |applied| {
            applied.started = false;
            let before = applied.waiting.take().filter(|w| w.offset == offset);
            let mut pause = before.map_or(AGAIN, |before| before.pause);
            let due = Some(Instant::now() + pause.grow());
            applied.waiting = Some(WaitingMessage { offset, due, pause });
        });
        let why = format!("the record at offset {offset}: {why}");
        self.waiting.note(partition, RECORD, why);
    }
}

/// The service: see the [module](self).
pub struct Poller {
    /// The consumer's properties.
    client: ClientConfig,
    /// What it subscribes to. Partitions of other topics are the owner's, held beside these.
    topics: Vec<String>,
    /// Who is told of partitions and given their messages.
    owner: Arc<dyn Assignments>,
    /// Has the consumer from its start to its end, for what is asked and committed meanwhile.
    group: Arc<Group>,
    /// What is wanted of the partitions.
    commands: Handle,
}

impl Poller {
    /// A poller of `topics` as a member of `group`.
    pub fn new(
        group: Arc<Group>,
        topics: Vec<String>,
        owner: Arc<dyn Assignments>,
        commands: Handle,
    ) -> Self {
        let mut client = group.client().clone();
        client
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed");
        if client.get("group.protocol") != Some("consumer") {
            client.set("partition.assignment.strategy", "cooperative-sticky");
        }
        Poller {
            client,
            topics,
            owner,
            group,
            commands,
        }
    }

    /// Joins the group and polls until [`Handle::stop`]. Blocks: give it a thread.
    ///
    /// # Errors
    ///
    /// When the consumer cannot be made, or cannot go on: see [`fatal`](super::fatal).
    pub fn run(self) -> Result<(), Error> {
        let context = Context {
            owner: self.owner.clone(),
            commands: self.commands.clone(),
            standing: self.group.standing.clone(),
            held: Mutex::default(),
            waiting: Waiting::default(),
            ear: Ear::of(&self.client),
            reason: Mutex::default(),
            figures: self.group.figures.clone(),
        };
        let client = self.group.figures.wanted(&self.client);
        // No `consumer_begins`: the first poll may be the one that says that the group is denied.
        let consumer: Arc<BaseConsumer<Context>> = Arc::new(client.create_with_context(context)?);
        self.group.open(consumer.clone());
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        let mut vigil = Vigil::new(POLL);
        while self.reconcile(&consumer, &mut vigil) {
            self.group.pulse.beat();
            if let Some(polled) = consumer.poll(vigil.wait()) {
                vigil.stir();
                self.take(&consumer, polled);
                // What else is there already is taken before looking for commands again.
                for _ in 0..1000 {
                    let Some(polled) = consumer.poll(Duration::ZERO) else {
                        break;
                    };
                    self.take(&consumer, polled);
                }
            }
            self.go_on(&consumer)?;
        }
        self.leave(consumer)
    }

    /// Whether the consumer can go on. If it cannot, librdkafka calls nobody back any more, so
    /// what it held is given up here, as lost: another may have it already.
    fn go_on(&self, consumer: &BaseConsumer<Context>) -> Result<(), Error> {
        let Some((code, reason)) = consumer.client().fatal_error() else {
            return Ok(());
        };
        let fatal = Fatal::new(&self.client, code, reason);
        PollingEnds {
            fatal: &fatal,
            error_code: fatal.error_code(),
        }
        .emit();
        let context = consumer.context();
        context.standing.called(None);
        let held = std::mem::take(&mut *context.held.lock());
        let ours = |p: &Partition| self.topics.iter().any(|topic| *topic == *p.topic);
        let held: Vec<Partition> = held.into_keys().filter(ours).collect();
        if !held.is_empty() {
            self.owner.revoked(&held, true);
        }
        drop(self.group.close());
        Err(fatal.into())
    }

    fn take(
        &self,
        consumer: &BaseConsumer<Context>,
        polled: Result<BorrowedMessage<'_>, KafkaError>,
    ) {
        let message = match polled {
            Ok(message) => message,
            Err(KafkaError::PartitionEOF(partition)) => {
                if let Some(partition) = consumer.context().give_end(partition) {
                    self.owner.at_end(&partition);
                }
                return;
            }
            Err(error) => return self.trouble(consumer, &error),
        };
        let context = consumer.context();
        let Some((partition, resumptions)) = context.give(&message) else {
            return;
        };
        match self.owner.message(&partition, &message) {
            Flow::Again(why) => return context.set_aside(consumer, &partition, &message, &why),
            // Pausing throws away what was fetched ahead; on resumption librdkafka fetches
            // from behind the message given out last, so nothing is lost or repeated.
            Flow::Pause => {
                pause(consumer, &partition);
                let next = message.offset() + 1;
                let paused = Some(Paused { resumptions, next });
                context.note(&partition, |applied| applied.paused = paused);
            }
            Flow::Continue => {}
        }
        let mut waited = false;
        context.note(&partition, |applied| {
            waited = applied.waiting.take().is_some()
        });
        if waited {
            context.waiting.done(&partition);
        }
    }

    /// Says what somebody must mend, and leaves the rest to the owner. Why a connection fails was
    /// said by the client.
    fn trouble(&self, consumer: &BaseConsumer<Context>, error: &KafkaError) {
        let context = consumer.context();
        let reason = std::mem::take(&mut *context.reason.lock());
        let mut topics = self.topics.clone();
        topics.extend(context.held.lock().keys().map(|p| p.topic.to_string()));
        topics.sort_unstable();
        topics.dedup();
        let member = Doing::member(&self.client, &topics);
        let code = error.rdkafka_error_code();
        let cause = explain(context.ear.who(), code, &reason, &member);
        match cause.why {
            Why::Denied { .. } | Why::NoTopic(_) => ear::refused(&cause),
            Why::Unreachable => debug!(%error, reason, "Kafka is away"),
            _ if cause.is_of_connection() => debug!(%error, reason, "Kafka is away"),
            _ => self.owner.trouble(error),
        }
    }

    /// Brings each partition a step nearer to what is wanted of it; `false` when it is time to
    /// leave.
    fn reconcile(&self, consumer: &BaseConsumer<Context>, vigil: &mut Vigil) -> bool {
        let steps = self.commands.steps(&consumer.context().held.lock());
        let Some(steps) = steps else {
            return false;
        };
        if !steps.is_empty() {
            vigil.stir();
        }
        for (partition, step) in steps {
            match step {
                Step::Hold(generation) => {
                    let waiting = &consumer.context().waiting;
                    waiting.forget(std::slice::from_ref(&partition));
                    hold(consumer, &partition, generation);
                }
                Step::Start(offset, generation) => start(consumer, &partition, offset, generation),
                Step::GiveAgain(offset) => give_again(consumer, &partition, offset),
                Step::Resume(next) => resume(consumer, &partition, next),
            }
        }
        true
    }

    fn leave(&self, consumer: Arc<BaseConsumer<Context>>) -> Result<(), Error> {
        consumer.unsubscribe();
        // The revocation comes as a callback inside poll.
        for _ in 0..500 {
            let idle = consumer.assignment().is_ok_and(|a| a.count() == 0);
            if idle && consumer.context().held.lock().is_empty() {
                break;
            }
            let _ = consumer.poll(POLL);
            self.go_on(&consumer)?;
        }
        drop(self.group.close());
        drop(consumer);
        Ok(())
    }
}

/// Paused before it is assigned, so that nothing is fetched; and after it, for a partition the
/// client knew nothing of until then.
fn assign_paused(
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
) -> Result<(), KafkaError> {
    let nowhere = list(partitions, NOWHERE);
    consumer.pause(&nowhere)?;
    consumer.incremental_assign(&nowhere)?;
    consumer.pause(&nowhere)
}

fn pause(consumer: &BaseConsumer<Context>, partition: &Partition) {
    let this = list(std::slice::from_ref(partition), Offset::Invalid);
    if let Err(error) = consumer.pause(&this) {
        NotPaused { error, partition }.emit();
    }
}

/// Assigns the partition afresh: after an offset outside the log the client would not even
/// seek.
fn hold(consumer: &BaseConsumer<Context>, partition: &Partition, generation: u64) {
    consumer
        .context()
        .note(partition, |applied| applied.hold(generation));
    assign_afresh(consumer, partition);
}

fn assign_afresh(consumer: &BaseConsumer<Context>, partition: &Partition) {
    let this = std::slice::from_ref(partition);
    let fresh = consumer
        .incremental_unassign(&list(this, Offset::Invalid))
        .and_then(|()| assign_paused(consumer, this));
    if let Err(error) = fresh {
        NotAssignedAfresh { error, partition }.emit();
    }
}

fn start(consumer: &BaseConsumer<Context>, partition: &Partition, offset: i64, generation: u64) {
    if seek(consumer, partition, offset) {
        consumer
            .context()
            .note(partition, |applied| applied.start(generation));
        resume(consumer, partition, offset);
        debug!(%partition, offset, "started");
    }
}

/// Goes on from the message that had to wait.
fn give_again(consumer: &BaseConsumer<Context>, partition: &Partition, offset: i64) {
    if seek(consumer, partition, offset) {
        consumer.context().note(partition, |applied| {
            applied.started = true;
            if let Some(waiting) = &mut applied.waiting {
                waiting.due = None;
            }
        });
        resume(consumer, partition, offset);
    }
}

/// Whether the client goes on from there now. If not it is to be tried again: it has not taken
/// up the partition yet, or the partition's leader is moving, or it is stuck, see the
/// [module](self).
fn seek(consumer: &BaseConsumer<Context>, partition: &Partition, offset: i64) -> bool {
    let to = Offset::Offset(offset);
    let context = consumer.context();
    match consumer.seek(&partition.topic, partition.partition, to, SEEK) {
        Ok(()) => {
            let mut refused = None;
            context.note(partition, |applied| refused = applied.refused.take());
            if refused.is_some_and(|refused| refused.reported) {
                context.waiting.done(partition);
            }
            true
        }
        Err(error) => {
            debug!(%error, %partition, "seek failed, tried again");
            if context.is_stuck(partition, Instant::now()) {
                context.waiting.note(partition, POSITION, error.to_string());
                assign_afresh(consumer, partition);
            }
            std::thread::sleep(Duration::from_millis(5));
            false
        }
    }
}

/// Fetches a partition again, from where it stands: at `next`.
///
/// To resume it alone does not wake librdkafka's thread of that broker, which may sleep for a second if it
/// fetches nothing else. To seek does, but to offset 0, and takes what it may have begun to fetch meanwhile for
/// outdated.
fn resume(consumer: &BaseConsumer<Context>, partition: &Partition, next: i64) {
    let this = list(std::slice::from_ref(partition), Offset::Invalid);
    match consumer.resume(&this) {
        Ok(()) => (consumer.context()).note(partition, |applied| applied.paused = None),
        Err(error) => return NotResumed { error, partition }.emit(),
    }
    let to = Offset::Offset(next);
    if let Err(error) = consumer.seek(&partition.topic, partition.partition, to, SEEK) {
        debug!(%error, %partition, "resumed, and not woken");
    }
}

fn partitions_of(tpl: &TopicPartitionList) -> Vec<Partition> {
    tpl.elements()
        .iter()
        .map(|e| Partition {
            topic: e.topic().into(),
            partition: e.partition(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        Partition {
            topic: "sms.outbound".into(),
            partition: 0,
        }
    }

    /// The only partition that is held, and what the client was brought to.
    struct Held(HashMap<Partition, Applied>);

    impl Held {
        fn new() -> Held {
            Held([(partition(), Applied::default())].into())
        }

        fn step(&self, handle: &Handle) -> Option<Step> {
            let steps = handle.steps(&self.0).expect("not stopping");
            steps.first().map(|(_, step)| *step)
        }

        fn applied(&mut self) -> &mut Applied {
            self.0.get_mut(&partition()).expect("it is held")
        }

        /// The client does what is asked, as often as something is. Where it starts then.
        fn reconcile(&mut self, handle: &Handle) -> Vec<i64> {
            let mut starts = Vec::new();
            while let Some(step) = self.step(handle) {
                match step {
                    Step::Hold(generation) => self.applied().hold(generation),
                    Step::Start(offset, generation) => {
                        self.applied().start(generation);
                        starts.push(offset);
                    }
                    Step::GiveAgain(_) | Step::Resume(_) => panic!("{step:?}"),
                }
            }
            starts
        }
    }

    #[test]
    fn a_position_that_could_not_be_taken_up_does_not_win_over_a_newer_word() {
        let (handle, mut held) = (Handle::default(), Held::new());
        handle.start(partition(), 700);
        assert_eq!(held.step(&handle), Some(Step::Start(700, 1)));
        // The seek fails. The topic is created anew meanwhile.
        handle.hold(partition());
        handle.start(partition(), 0);
        assert_eq!(held.reconcile(&handle), [0], "whatever failed before");
        handle.start(partition(), 5);
        handle.hold(partition());
        assert_eq!(held.reconcile(&handle), [0i64; 0]);
    }

    #[test]
    fn a_partition_is_assigned_afresh_although_it_is_started_at_once() {
        let (handle, mut held) = (Handle::default(), Held::new());
        handle.start(partition(), 700);
        held.reconcile(&handle);
        handle.hold(partition());
        handle.start(partition(), 0);
        assert_eq!(held.step(&handle), Some(Step::Hold(2)));
        held.applied().hold(2);
        assert_eq!(held.step(&handle), Some(Step::Start(0, 3)));
        held.applied().start(3);
        assert_eq!(held.step(&handle), None);
    }

    #[test]
    fn only_what_was_fetched_for_the_last_word_is_given_out() {
        let (handle, mut held) = (Handle::default(), Held::new());
        handle.start(partition(), 10);
        held.reconcile(&handle);
        let old = held.applied().generation;
        assert!(handle.give(&partition(), old).is_some());
        assert!(handle.is_current(&partition()));
        // A message is in the owner's hands when the partition is started anew.
        handle.start(partition(), 0);
        assert!(!handle.is_current(&partition()));
        assert_eq!(
            handle.give(&partition(), old),
            None,
            "nor does another come"
        );
        held.reconcile(&handle);
        assert!(
            handle
                .give(&partition(), held.applied().generation)
                .is_some()
        );
        assert!(handle.is_current(&partition()));
    }

    #[test]
    fn a_resumption_is_not_lost_when_it_comes_before_the_pause() {
        let (handle, mut held) = (Handle::default(), Held::new());
        handle.start(partition(), 0);
        held.reconcile(&handle);
        let generation = held.applied().generation;
        let paused = |handle: &Handle| Paused {
            resumptions: handle.give(&partition(), generation).unwrap(),
            next: 8,
        };
        let before = paused(&handle);
        // The owner says "pause", and there is room again before the client is paused.
        handle.resume(partition());
        held.applied().paused = Some(before);
        assert_eq!(held.step(&handle), Some(Step::Resume(8)));
        held.applied().paused = None;
        assert_eq!(held.step(&handle), None);
        held.applied().paused = Some(paused(&handle));
        assert_eq!(held.step(&handle), None, "paused until somebody asks");
    }

    #[test]
    fn nothing_overtakes_a_message_that_waits_but_a_newer_word() {
        let (handle, mut held) = (Handle::default(), Held::new());
        handle.start(partition(), 0);
        held.reconcile(&handle);
        let later = Instant::now() + Duration::from_secs(60);
        let pause = || Pause::new(POLL, SEEK);
        let waiting = |due| {
            Some(WaitingMessage {
                offset: 7,
                due,
                pause: pause(),
            })
        };
        held.applied().waiting = waiting(Some(later));
        handle.resume(partition());
        assert_eq!(held.step(&handle), None);
        held.applied().waiting = waiting(Some(Instant::now()));
        assert_eq!(held.step(&handle), Some(Step::GiveAgain(7)));
        handle.hold(partition());
        assert!(matches!(held.step(&handle), Some(Step::Hold(_))));
        handle.forget(&[partition()]);
        assert_eq!(held.step(&handle), None, "nobody wants anything of it");
    }
}
