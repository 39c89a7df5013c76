//! `kafka_smpp::kafka` on real Kafka.

mod polling;
mod proxy;
mod starting;
mod topics;

mod transactions;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use kafka_smpp::kafka::poll::{Assignments, Flow, Handle, Poller};
use kafka_smpp::kafka::{Group, Partition};
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};

use crate::harness::{Kafka, PATIENCE, eventually};

fn partition(topic: &str, partition: i32) -> Partition {
    Partition {
        topic: topic.into(),
        partition,
    }
}

/// A member of `group` by KIP-848.
fn kip_848(kafka: &Kafka, group: &str) -> ClientConfig {
    let mut client = kafka.member(group);
    client.remove("session.timeout.ms");
    client.remove("heartbeat.interval.ms");
    client.set("group.protocol", "consumer");
    client
}

/// What a member of a group saw, in order.
#[derive(Default)]
struct Seen {
    held: Vec<Partition>,
    /// Assigned since a test last looked.
    fresh: Vec<Partition>,
    got: Vec<(Partition, i64)>,
    /// How much had been got of a partition when it was said to be at its end.
    ends: Vec<(Partition, usize)>,
    troubles: Vec<String>,
}

/// An owner that notes everything and pauses a partition every so many messages.
#[derive(Default)]
struct Owner {
    seen: Mutex<Seen>,
    pause_every: Option<usize>,
    /// An offset of partition 0 that is not taken before this time.
    late: Option<(i64, Instant)>,
    /// Partition i of these topics goes with partition i of the first.
    priority: Vec<String>,
}

impl Owner {
    fn beside(&self, partitions: &[Partition]) -> Vec<Partition> {
        let numbers = || partitions.iter().map(|p| p.partition);
        let priority = |topic: &String| numbers().map(|n| partition(topic, n)).collect::<Vec<_>>();
        self.priority.iter().flat_map(priority).collect()
    }
}

impl Assignments for Owner {
    fn assigned(&self, partitions: &[Partition]) -> Vec<Partition> {
        let mut seen = self.seen.lock();
        seen.held.extend_from_slice(partitions);
        seen.fresh.extend_from_slice(partitions);
        drop(seen);
        self.beside(partitions)
    }

    fn revoked(&self, partitions: &[Partition], _lost: bool) -> Vec<Partition> {
        let mut seen = self.seen.lock();
        seen.held.retain(|p| !partitions.contains(p));
        seen.fresh.retain(|p| !partitions.contains(p));
        self.beside(partitions)
    }

    fn message(&self, partition: &Partition, message: &BorrowedMessage<'_>) -> Flow {
        if let Some((offset, at)) = self.late
            && (partition.partition, message.offset()) == (0, offset)
            && Instant::now() < at
        {
            return Flow::Again("too early".to_owned());
        }
        let mut seen = self.seen.lock();
        seen.got.push((partition.clone(), message.offset()));
        match self.pause_every {
            Some(n) if seen.got.len().is_multiple_of(n) => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    fn at_end(&self, partition: &Partition) {
        let mut seen = self.seen.lock();
        let got = seen.got.iter().filter(|(p, _)| p == partition).count();
        seen.ends.push((partition.clone(), got));
    }

    fn trouble(&self, error: &KafkaError) {
        self.seen.lock().troubles.push(error.to_string());
    }
}

/// A member of a group; leaves when dropped.
struct Member {
    owner: Arc<Owner>,
    group: Arc<Group>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    fn join(client: ClientConfig, topic: &str, owner: Owner) -> Member {
        let group = Group::new("member", client, "cluster".to_owned());
        let (owner, handle) = (Arc::new(owner), Handle::default());
        let topics = vec![topic.to_owned()];
        let poller = Poller::new(group.clone(), topics, owner.clone(), handle.clone());
        let thread = Some(std::thread::spawn(move || poller.run().unwrap()));
        Member {
            owner,
            group,
            handle,
            thread,
        }
    }

    /// A member of `group` that holds all of `topic`'s `n` partitions.
    fn alone(kafka: &Kafka, group: &str, topic: &str, n: usize) -> Member {
        let member = Member::join(kafka.member(group), topic, Owner::default());
        member.wait_held(n);
        member
    }

    fn held(&self) -> Vec<Partition> {
        let mut held = self.owner.seen.lock().held.clone();
        held.sort();
        held
    }

    fn wait_held(&self, n: usize) {
        let what = format!("{n} partitions are held");
        eventually(&what, PATIENCE, || self.held().len() == n);
    }

    /// The offsets got of a partition, in the order they came.
    fn offsets(&self, of: &Partition) -> Vec<i64> {
        let seen = self.owner.seen.lock();
        let of = seen.got.iter().filter(|(p, _)| p == of);
        of.map(|(_, offset)| *offset).collect()
    }

    fn leave(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.leave();
        }
    }
}
