//! The thread that polls one consumer.
//!
//! Everything that touches the assignment happens on this thread: librdkafka runs rebalance
//! callbacks inside `poll`, and commands (start a partition, resume it) wait for the next
//! round. So a callback never races with a command, and the async side never blocks it
//! except inside [`Assignments::revoked`], where it must: a partition is given up only when
//! its owner has finished with it.
//!
//! Start positions are not librdkafka's business. A new partition is paused and assigned at
//! offset 0; when its owner has decided where it starts, [`Handle::start`] seeks and resumes.
//! A message that arrives before that is dropped: it comes from no position anyone asked for.
//! The seek itself discards what was fetched earlier, so the first message after it is the
//! first one at or above the position (offsets in between do not exist).
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
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tracing::{debug, error, info, warn};

use super::group::{Group, Partition, list};

/// How long one poll waits; also the delay of a command.
const POLL: Duration = Duration::from_millis(10);
const SEEK: Duration = Duration::from_secs(5);
/// Pause before a message is given again.
const AGAIN: Duration = Duration::from_millis(100);
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

/// Who owns the partitions. All methods run on the polling thread.
pub trait Assignments: Send + Sync + 'static {
    /// Partitions were assigned; each waits for [`Handle::start`]. Returns partitions of
    /// other topics to be held beside them (priority lanes). Must not block.
    fn assigned(&self, partitions: &[Partition]) -> Vec<Partition>;

    /// Partitions are about to be taken away. Returns when nothing of them will be written
    /// to a socket or a transaction any more. With `lost` they are another's already.
    /// Returns the partitions held beside them, to be let go with them.
    fn revoked(&self, partitions: &[Partition], lost: bool) -> Vec<Partition>;

    /// A message of a started partition, in order.
    fn message(&self, partition: &Partition, message: &BorrowedMessage<'_>) -> Flow;

    /// The consumer reported an error; it goes on by itself.
    fn trouble(&self, error: &KafkaError);
}

enum Command {
    Start(Partition, i64),
    Hold(Partition),
    Resume(Partition),
    Close,
}

/// Commands to a [`Poller`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct Handle(Arc<Mutex<Vec<Command>>>);

impl Handle {
    /// Begins to deliver `partition` from `offset` on.
    pub fn start(&self, partition: Partition, offset: i64) {
        self.0.lock().push(Command::Start(partition, offset));
    }

    /// Delivers nothing more of a partition until it is started again.
    pub fn hold(&self, partition: Partition) {
        self.0.lock().push(Command::Hold(partition));
    }

    /// Goes on with a partition that was paused.
    pub fn resume(&self, partition: Partition) {
        self.0.lock().push(Command::Resume(partition));
    }

    /// What was ordered for these partitions counts for nothing any more. If one of them came
    /// back before it was carried out, it would begin where an earlier owner wanted to.
    fn forget(&self, gone: &[Partition]) {
        self.0.lock().retain(|command| match command {
            Command::Start(p, _) | Command::Hold(p) | Command::Resume(p) => !gone.contains(p),
            Command::Close => true,
        });
    }

    /// Leaves the group: revokes everything (with the usual callback), closes the consumer
    /// and ends the thread.
    pub fn close(&self) {
        self.0.lock().push(Command::Close);
    }
}

/// The consumer's callbacks.
pub struct Context {
    owner: Arc<dyn Assignments>,
    commands: Handle,
    started: Mutex<HashMap<Partition, bool>>,
    waiting: Mutex<HashMap<Partition, Waiting>>,
}

/// A partition whose next message cannot be taken yet.
struct Waiting {
    offset: i64,
    /// When it is given again; `None` while it is under way.
    due: Option<Instant>,
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "consumer");
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        tpl: &mut TopicPartitionList,
    ) {
        let partitions = partitions_of(tpl);
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.assign(consumer, &partitions);
            }
            _ => self.revoke(consumer, &partitions),
        }
    }
}

impl Context {
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[Partition]) {
        info!(partitions = %names(partitions), "assigned");
        let mut all = partitions.to_vec();
        if !partitions.is_empty() {
            all.extend(self.owner.assigned(partitions));
        }
        let mut started = self.started.lock();
        started.extend(all.iter().map(|p| (p.clone(), false)));
        if let Err(error) = assign_paused(consumer, &all) {
            error!(%error, "assignment refused by the client");
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &[Partition]) {
        let lost = consumer.assignment_lost();
        info!(partitions = %names(partitions), lost, "revoked");
        let mut all = partitions.to_vec();
        if !partitions.is_empty() {
            all.extend(self.owner.revoked(partitions, lost));
        }
        self.started.lock().retain(|p, _| !all.contains(p));
        self.waiting.lock().retain(|p, _| !all.contains(p));
        self.commands.forget(&all);
        if let Err(error) = consumer.incremental_unassign(&list(&all, Offset::Invalid)) {
            error!(%error, "revocation refused by the client");
        }
    }
}

impl Context {
    /// Lets a partition wait at a message that cannot be taken yet. It counts as not started
    /// meanwhile, so that nothing fetched ahead overtakes that message.
    fn set_aside(
        &self,
        consumer: &BaseConsumer<Self>,
        partition: Partition,
        message: &BorrowedMessage<'_>,
        why: &str,
    ) {
        if let Some(started) = self.started.lock().get_mut(&partition) {
            *started = false;
        }
        pause(consumer, &partition);
        let offset = message.offset();
        let due = Some(Instant::now() + AGAIN);
        let before = (self.waiting.lock()).insert(partition.clone(), Waiting { offset, due });
        if before.is_none_or(|before| before.offset != offset) {
            warn!(%partition, offset, why, "a record has to wait, and its partition with it");
        }
    }

    /// Messages that are to be given again now.
    fn due(&self) -> Vec<(Partition, i64)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (partition, waiting) in self.waiting.lock().iter_mut() {
            if waiting.due.take_if(|at| *at <= now).is_some() {
                due.push((partition.clone(), waiting.offset));
            }
        }
        due
    }
}

/// The service: see the [module](self).
pub struct Poller {
    client: ClientConfig,
    topics: Vec<String>,
    owner: Arc<dyn Assignments>,
    group: Arc<Group>,
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

    /// Joins the group and polls until [`Handle::close`]. Blocks: give it a thread.
    pub fn run(self) -> Result<(), KafkaError> {
        let context = Context {
            owner: self.owner.clone(),
            commands: self.commands.clone(),
            started: Mutex::default(),
            waiting: Mutex::default(),
        };
        let consumer: Arc<BaseConsumer<Context>> =
            Arc::new(self.client.create_with_context(context)?);
        self.group.open(consumer.clone());
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        while !self.obey(&consumer) {
            if let Some(polled) = consumer.poll(POLL) {
                self.take(&consumer, polled);
                // What else is there already is taken before looking for commands again.
                for _ in 0..1000 {
                    let Some(polled) = consumer.poll(Duration::ZERO) else {
                        break;
                    };
                    self.take(&consumer, polled);
                }
            }
        }
        self.leave(consumer);
        Ok(())
    }

    fn take(
        &self,
        consumer: &BaseConsumer<Context>,
        polled: Result<BorrowedMessage<'_>, KafkaError>,
    ) {
        let message = match polled {
            Ok(message) => message,
            Err(error) => return self.owner.trouble(&error),
        };
        let context = consumer.context();
        let partition = {
            let started = context.started.lock();
            // One look-up without allocating a name: few partitions, so a scan is cheap.
            let known = started
                .iter()
                .find(|(p, _)| p.partition == message.partition() && *p.topic == *message.topic());
            match known {
                Some((p, true)) => p.clone(),
                _ => return,
            }
        };
        match self.owner.message(&partition, &message) {
            Flow::Again(why) => return context.set_aside(consumer, partition, &message, &why),
            // Pausing throws away what was fetched ahead; on resumption librdkafka fetches
            // from behind the message given out last, so nothing is lost or repeated.
            Flow::Pause => pause(consumer, &partition),
            Flow::Continue => {}
        }
        let waited = !context.waiting.lock().is_empty();
        if waited && context.waiting.lock().remove(&partition).is_some() {
            info!(%partition, offset = message.offset(), "a record need not wait any more");
        }
    }

    /// Carries out the commands; `true` when it is time to leave.
    fn obey(&self, consumer: &BaseConsumer<Context>) -> bool {
        let commands = std::mem::take(&mut *self.commands.0.lock());
        for command in commands {
            match command {
                Command::Close => return true,
                Command::Start(partition, offset) => self.start(consumer, partition, offset),
                Command::Hold(partition) => self.hold(consumer, partition),
                Command::Resume(partition) => {
                    if context_has(consumer, &partition)
                        && let Err(error) = consumer.resume(&list(&[partition], Offset::Invalid))
                    {
                        warn!(%error, "a partition cannot be resumed");
                    }
                }
            }
        }
        for (partition, offset) in consumer.context().due() {
            self.seek(consumer, partition, offset);
        }
        false
    }

    /// Assigns the partition afresh: after an offset outside the log the client would not
    /// even seek.
    fn hold(&self, consumer: &BaseConsumer<Context>, partition: Partition) {
        match consumer.context().started.lock().get_mut(&partition) {
            Some(started) => *started = false,
            None => return,
        }
        consumer.context().waiting.lock().remove(&partition);
        let this = std::slice::from_ref(&partition);
        let fresh = consumer
            .incremental_unassign(&list(this, Offset::Invalid))
            .and_then(|()| assign_paused(consumer, this));
        if let Err(error) = fresh {
            warn!(%error, %partition, "cannot be held");
        }
    }

    fn start(&self, consumer: &BaseConsumer<Context>, partition: Partition, offset: i64) {
        consumer.context().waiting.lock().remove(&partition);
        self.seek(consumer, partition, offset);
    }

    fn seek(&self, consumer: &BaseConsumer<Context>, partition: Partition, offset: i64) {
        if !context_has(consumer, &partition) {
            return;
        }
        if let Err(error) = consumer.seek(
            &partition.topic,
            partition.partition,
            Offset::Offset(offset),
            SEEK,
        ) {
            // The client has not taken up the partition yet, or its leader is moving.
            debug!(%error, %partition, "seek failed, tried again");
            self.commands.start(partition, offset);
            std::thread::sleep(Duration::from_millis(5));
            return;
        }
        consumer
            .context()
            .started
            .lock()
            .insert(partition.clone(), true);
        if let Err(error) =
            consumer.resume(&list(std::slice::from_ref(&partition), Offset::Invalid))
        {
            warn!(%error, %partition, "cannot be resumed");
        }
        debug!(%partition, offset, "started");
    }

    fn leave(&self, consumer: Arc<BaseConsumer<Context>>) {
        consumer.unsubscribe();
        // The revocation comes as a callback inside poll.
        for _ in 0..500 {
            let idle = consumer.assignment().is_ok_and(|a| a.count() == 0);
            if idle && consumer.context().started.lock().is_empty() {
                break;
            }
            let _ = consumer.poll(POLL);
        }
        drop(self.group.close());
        drop(consumer);
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
        warn!(%error, %partition, "cannot be paused");
    }
}

fn context_has(consumer: &BaseConsumer<Context>, partition: &Partition) -> bool {
    consumer.context().started.lock().contains_key(partition)
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

fn names(partitions: &[Partition]) -> String {
    partitions
        .iter()
        .map(Partition::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
