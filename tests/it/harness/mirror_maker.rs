//! MirrorMaker 2, in a process of its own: it listens nowhere.

use std::ops::{Deref, DerefMut};
use std::process::Command;

use super::client::Kafka;
use super::fetch::{jars_of_kafka, progress};
use super::process::{Process, scratch};

/// A running MirrorMaker 2.
pub struct MirrorMaker(Process);

impl MirrorMaker {
    /// Mirrors the topics that begin with `prefix` from one cluster to another, as
    /// docs/another-cluster.md says.
    pub fn start(from: &Kafka, to: &Kafka, prefix: &str) -> MirrorMaker {
        let jars = jars_of_kafka("mirror-maker");
        progress("starting MirrorMaker 2");
        let dir = scratch("mirror-maker");
        let properties = properties(&from.bootstrap, &to.bootstrap, prefix);
        std::fs::write(dir.join("mm2.properties"), properties).expect("a file");
        let mut java = Command::new("java");
        java.current_dir(&dir)
            .args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg("-cp")
            .arg(jars.join("*"))
            .args([
                "org.apache.kafka.connect.mirror.MirrorMaker",
                "mm2.properties",
            ]);
        let log = dir.join("log");
        MirrorMaker(Process::start("MirrorMaker", &mut java, log))
    }
}

fn properties(from: &str, to: &str, prefix: &str) -> String {
    format!(
        "
clusters=first,second
first.bootstrap.servers={from}
second.bootstrap.servers={to}
first->second.enabled=true
second->first.enabled=false
first->second.topics={topics}\\\\..*
# The parts of docs/another-cluster.md that matter.
replication.policy.class=org.apache.kafka.connect.mirror.IdentityReplicationPolicy
first.consumer.isolation.level=read_committed
sync.group.offsets.enabled=false
# One broker each, and a test that does not wait long.
replication.factor=1
offset-syncs.topic.replication.factor=1
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
emit.heartbeats.enabled=false
emit.checkpoints.enabled=false
sync.topic.acls.enabled=false
refresh.topics.interval.seconds=2
tasks.max=4
",
        topics = prefix.replace('.', "\\\\.")
    )
}

impl Deref for MirrorMaker {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for MirrorMaker {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}
