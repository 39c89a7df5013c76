//! The thread that reads the correlation topic, partition by partition, from the beginning
//! and then on as it grows.
//!
//! A partition is read from an offset at a time: that is what is wanted of it, and the client is
//! brought there, however often it has to be tried. So a record that cannot be understood yet (a
//! newer version wrote it) holds up its own partition only: that is let go, and read on from the
//! same offset after a pause.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use tracing::debug;

use super::notices::{CorrelationNotReadable, CorrelationReadOn, CorrelationWaits};
use super::pipeline::Pipeline;
use crate::kafka::cause::{self, Doing, Why};
use crate::kafka::ear::{self, Plain};
use crate::kafka::group::list;
use crate::kafka::token::consumer_begins;
use crate::kafka::vigil::Vigil;
use crate::kafka::{Partition, Pause};
use crate::threads::Mailbox;

/// How long one poll waits while there is something to do; also the delay of a command then.
const POLL: Duration = Duration::from_millis(20);
/// Pauses before a record that could not be understood yet is looked at again, and before the
/// client is asked again to read a partition.
const RETRY_PAUSE: Pause = Pause::new(Duration::from_millis(100), Duration::from_secs(5));

enum Command {
    /// Reads a partition from its beginning, for the takeover with this number.
    Follow(i32, u64),
    Leave(i32),
}

/// Commands to the tail. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Handle(Mailbox<Command>);

impl Handle {
    pub(super) fn follow(&self, partition: i32, takeover: u64) {
        self.0.put(Command::Follow(partition, takeover));
    }

    pub(super) fn leave(&self, partition: i32) {
        self.0.put(Command::Leave(partition));
    }

    pub(super) fn stop(&self) {
        self.0.stop();
    }
}

/// A partition that is read.
struct Followed {
    /// The takeover it is read for: what a predecessor of it still had in the client's queue
    /// must not reach its successor.
    takeover: u64,
    /// Whether its owner knew all that was in the log when it took over, after the last record.
    live: bool,
    /// The next offset. A lower one means that the log ends below it and the client has begun
    /// anew: read a second time into the same memory, old states would count as new ones.
    next: i64,
    /// When the client is to be brought to `next`; `None` while it reads.
    due: Option<Instant>,
    pause: Pause,
    /// Whether the log says that it is tried again.
    warned: bool,
}

impl Followed {
    fn new(takeover: u64) -> Self {
        Followed {
            takeover,
            live: false,
            next: 0,
            due: Some(Instant::now()),
            pause: RETRY_PAUSE,
            warned: false,
        }
    }

    /// Tries again after a pause; `true` if it is the first one.
    fn retry(&mut self) -> bool {
        self.due = Some(Instant::now() + self.pause.grow());
        !std::mem::replace(&mut self.warned, true)
    }
}

pub(super) struct Tail {
    /// The correlation topic.
    topic: Arc<str>,
    /// Assigned what is followed, and no member of a group.
    consumer: BaseConsumer<Plain>,
    /// Gets what is read.
    pipeline: Arc<Pipeline>,
    /// What it is asked to follow or to let go.
    commands: Handle,
    /// What it follows, by partition.
    followed: HashMap<i32, Followed>,
}

impl Tail {
    pub(super) fn new(
        client: &ClientConfig,
        topic: Arc<str>,
        pipeline: Arc<Pipeline>,
        commands: Handle,
    ) -> Result<Self, KafkaError> {
        let consumer = client
            .clone()
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The beginning may lie above offset 0.
            .set("auto.offset.reset", "earliest")
            .create_with_context(Plain::of(client))
            .map(consumer_begins)?;
        Ok(Tail {
            topic,
            consumer,
            pipeline,
            commands,
            followed: HashMap::new(),
        })
    }

    /// Reads until stopped. Blocks: give it a thread.
    pub(super) fn run(mut self) {
        // It is the client that is waited for.
        let mut vigil = Vigil::new(POLL);
        while let Some(commands) = self.commands.0.next(Duration::ZERO) {
            if !commands.is_empty() {
                vigil.stir();
            }
            for command in commands {
                self.run_command(command);
            }
            self.read_due(Instant::now());
            let mut wait = vigil.wait();
            for _ in 0..1000 {
                match self.consumer.poll(wait) {
                    Some(Ok(message)) => {
                        if !take(&mut self.followed, &self.pipeline, &message) {
                            self.let_go(message.partition());
                        }
                    }
                    Some(Err(error)) => self.trouble(error),
                    None => break,
                }
                wait = Duration::ZERO;
            }
            if wait.is_zero() {
                // Something came.
                vigil.stir();
            }
        }
    }

    /// Says what somebody must mend.
    fn trouble(&self, error: KafkaError) {
        let who = self.consumer.client().context().0.who();
        let cause = cause::of_error(who, &error, &Doing::Reading(&self.topic));
        if matches!(cause.why, Why::Denied { .. } | Why::NoTopic(_)) {
            ear::refused(&cause);
        }
        self.pipeline.tail_trouble(error);
    }

    fn run_command(&mut self, command: Command) {
        match command {
            Command::Follow(partition, takeover) => {
                let followed = Followed::new(takeover);
                if self.followed.insert(partition, followed).is_some() {
                    self.let_go(partition);
                }
            }
            Command::Leave(partition) => {
                if self.followed.remove(&partition).is_some() {
                    self.let_go(partition);
                }
            }
        }
    }

    /// Reads nothing more of a partition. It may not be read at all: that is the client's to know.
    fn let_go(&self, partition: i32) {
        let this = list(&self.named(partition), Offset::Invalid);
        if let Err(error) = self.consumer.incremental_unassign(&this) {
            debug!(%error, partition, "the correlation partition is not read");
        }
    }

    /// Brings the client to what it is to read.
    fn read_due(&mut self, now: Instant) {
        let due = |(_, followed): &(&i32, &Followed)| followed.due.is_some_and(|due| due <= now);
        let due = self.followed.iter().filter(due).map(|(p, f)| (*p, f.next));
        for (partition, next) in due.collect::<Vec<_>>() {
            // A number: a question for the beginning that is answered too late would be asked
            // again, and bring the tail back there in the middle of its reading.
            let this = list(&self.named(partition), Offset::Offset(next));
            let done = self.consumer.incremental_assign(&this);
            let Some(followed) = self.followed.get_mut(&partition) else {
                continue;
            };
            let Err(error) = done else {
                followed.due = None;
                continue;
            };
            let topic = &*self.topic;
            if followed.retry() {
                CorrelationNotReadable {
                    error: &error,
                    topic,
                    partition,
                }
                .emit();
            }
            // Perhaps the client has it still.
            self.let_go(partition);
        }
    }

    fn named(&self, partition: i32) -> [Partition; 1] {
        [Partition {
            topic: self.topic.clone(),
            partition,
        }]
    }
}

/// Gives a record of a partition that is followed to the pipeline; `false` if it has to wait, and the
/// partition with it.
fn take(
    followed: &mut HashMap<i32, Followed>,
    pipeline: &Pipeline,
    message: &BorrowedMessage<'_>,
) -> bool {
    let (partition, offset) = (message.partition(), message.offset());
    let Some(followed) = followed.get_mut(&partition) else {
        return true;
    };
    // Fetched before it was let go.
    if followed.due.is_some() {
        return true;
    }
    if offset < followed.next {
        pipeline.begin_anew(partition, followed.takeover);
        return true;
    }
    if let Some(key) = message.key() {
        let of = (followed.takeover, followed.live);
        match pipeline.read(partition, of, key, message.payload()) {
            Ok(live) => followed.live = live,
            Err(why) => {
                followed.next = offset;
                if followed.retry() {
                    CorrelationWaits {
                        partition,
                        offset,
                        why: &why,
                    }
                    .emit();
                }
                return false;
            }
        }
    }
    followed.next = offset + 1;
    if std::mem::take(&mut followed.warned) {
        followed.pause.reset();
        CorrelationReadOn { partition, offset }.emit();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::pipeline::tests::pipeline;
    use super::*;

    fn tail() -> Tail {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", "127.0.0.1:1")
            .set("group.id", "reader")
            .set("log_level", "0");
        let topic = "sms.correlation".into();
        Tail::new(&client, topic, Arc::new(pipeline()), Handle::default()).unwrap()
    }

    fn read(tail: &Tail) -> Vec<i32> {
        let assigned = tail.consumer.assignment().unwrap();
        assigned.elements().iter().map(|e| e.partition()).collect()
    }

    #[test]
    fn a_partition_that_the_client_does_not_take_is_given_to_it_again() {
        let mut tail = tail();
        // The client has it already, so it does not take it.
        let this = list(&tail.named(0), Offset::Offset(0));
        tail.consumer.incremental_assign(&this).unwrap();
        tail.run_command(Command::Follow(0, 1));
        tail.read_due(Instant::now());
        let due = tail.followed[&0].due.expect("it is tried again");
        assert!(read(&tail).is_empty());
        tail.read_due(due);
        assert_eq!((tail.followed[&0].due, read(&tail)), (None, vec![0]));
    }

    #[test]
    fn a_partition_that_the_client_does_not_have_is_followed_anew_all_the_same() {
        let mut tail = tail();
        tail.run_command(Command::Follow(0, 1));
        tail.read_due(Instant::now());
        tail.let_go(0);
        tail.run_command(Command::Follow(0, 2));
        tail.read_due(Instant::now());
        assert_eq!((tail.followed[&0].takeover, read(&tail)), (2, vec![0]));
        tail.run_command(Command::Leave(0));
        assert!(tail.followed.is_empty() && read(&tail).is_empty());
    }
}
