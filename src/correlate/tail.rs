//! The thread that reads the correlation topic, partition by partition, from the beginning
//! and then on as it grows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use tracing::{debug, warn};

use super::books::Books;
use crate::kafka::group::list;
use crate::kafka::{Partition, Pause};

const POLL: Duration = Duration::from_millis(20);
/// Pauses before a record that could not be understood yet is looked at again.
const AGAIN: Pause = Pause::new(Duration::from_millis(100), Duration::from_secs(1));

enum Command {
    /// Reads a partition from its beginning, for the takeover with this number.
    Follow(i32, u64),
    Leave(i32),
}

/// Commands to the tail. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Handle(Arc<(Mutex<Vec<Command>>, AtomicBool)>);

impl Handle {
    pub(super) fn follow(&self, partition: i32, takeover: u64) {
        self.0.0.lock().push(Command::Follow(partition, takeover));
    }

    pub(super) fn leave(&self, partition: i32) {
        self.0.0.lock().push(Command::Leave(partition));
    }

    pub(super) fn stop(&self) {
        self.0.1.store(true, Ordering::Release);
    }
}

/// A partition that is read.
struct Followed {
    /// The takeover it is read for: what a predecessor of it still had in the client's queue
    /// must not reach its successor.
    takeover: u64,
    /// The next offset. A lower one means that the log ends below it and the client has begun
    /// anew: read a second time into the same memory, old states would count as new ones.
    next: i64,
}

pub(super) struct Tail {
    topic: Arc<str>,
    consumer: BaseConsumer,
    books: Arc<Books>,
    commands: Handle,
    followed: HashMap<i32, Followed>,
}

impl Tail {
    pub(super) fn new(
        client: &ClientConfig,
        topic: Arc<str>,
        books: Arc<Books>,
        commands: Handle,
    ) -> Result<Self, KafkaError> {
        let consumer = client
            .clone()
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The beginning may lie above offset 0.
            .set("auto.offset.reset", "earliest")
            .create()?;
        Ok(Tail {
            topic,
            consumer,
            books,
            commands,
            followed: HashMap::new(),
        })
    }

    /// Reads until stopped. Blocks: give it a thread.
    pub(super) fn run(mut self) {
        while !self.commands.0.1.load(Ordering::Acquire) {
            let commands = std::mem::take(&mut *self.commands.0.0.lock());
            for command in commands {
                self.obey(command);
            }
            let mut wait = POLL;
            for _ in 0..1000 {
                match self.consumer.poll(wait) {
                    Some(Ok(message)) => {
                        take(&mut self.followed, &self.books, &self.commands, &message);
                    }
                    Some(Err(error)) => debug!(%error, "reading the correlation topic"),
                    None => break,
                }
                wait = Duration::ZERO;
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let (partition, takeover) = match command {
            Command::Follow(partition, takeover) => (partition, Some(takeover)),
            Command::Leave(partition) => (partition, None),
        };
        let this = [Partition {
            topic: self.topic.clone(),
            partition,
        }];
        let mut done = Ok(());
        if self.followed.remove(&partition).is_some() {
            done = self
                .consumer
                .incremental_unassign(&list(&this, Offset::Invalid));
        }
        if let Some(takeover) = takeover {
            let next = 0;
            self.followed.insert(partition, Followed { takeover, next });
            done = done.and_then(|()| {
                // A number: a question for the beginning that is answered too late would be
                // asked again, and bring the tail back there in the middle of its reading.
                self.consumer
                    .incremental_assign(&list(&this, Offset::Offset(0)))
            });
        }
        if let Err(error) = done {
            warn!(%error, partition, "the correlation partition cannot be followed or left");
        }
    }
}

/// Gives a record of a partition that is followed to the books.
fn take(
    followed: &mut HashMap<i32, Followed>,
    books: &Books,
    commands: &Handle,
    message: &BorrowedMessage<'_>,
) {
    let partition = message.partition();
    let Some(followed) = followed.get_mut(&partition) else {
        return;
    };
    if message.offset() < followed.next {
        books.begin_anew(partition, followed.takeover);
        return;
    }
    followed.next = message.offset() + 1;
    let Some(key) = message.key() else { return };
    let read = || books.read(partition, followed.takeover, key, message.payload());
    let (mut said, mut pause) = (false, AGAIN);
    while let Err(why) = read() {
        if !std::mem::replace(&mut said, true) {
            warn!(partition, why, "a correlation record has to wait");
        }
        if commands.0.1.load(Ordering::Acquire) {
            return;
        }
        std::thread::sleep(pause.next());
    }
}
