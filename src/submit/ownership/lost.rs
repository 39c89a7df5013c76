//! Partitions that were lost are watched until it is known whose they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kafka::progress::{CommitScope, metadata};
use crate::kafka::{Group, Partition, Pause};
use crate::submit::pipeline::Pipeline;

/// How long a partition that nobody else has is expected back, once Kafka answers again.
const EXPECTED_BACK: Duration = Duration::from_secs(30);

/// Pauses before Kafka is asked again who has a partition that was lost.
const LOOK: Pause = Pause::new(Duration::from_millis(500), Duration::from_secs(5));

/// Watches partitions that were lost until they come back, somebody else has them, or nobody
/// seems to get them. Blocks: give it a thread of its own.
pub fn watch(pipeline: &Arc<Pipeline>, group: &Group, partitions: &[Partition]) {
    let mut reached: Option<Instant> = None;
    let mut pause = LOOK;
    loop {
        std::thread::sleep(pause.grow());
        let left = pipeline.remembered(partitions);
        if left.is_empty() {
            return;
        }
        let Ok(found) = group.committed_of(&left, Duration::from_secs(2)) else {
            reached = None;
            continue;
        };
        pause.reset();
        let elsewhere = found.iter().filter_map(|commit| {
            let identity = CommitScope {
                cluster: group.cluster_id(),
                topic: &commit.topic,
                partition: commit.partition,
            };
            let last = metadata::decode(commit.offset, &commit.metadata, &identity).ok()?;
            (last.transactional_id != pipeline.transactional_id()).then(|| Partition {
                topic: commit.topic.clone(),
                partition: commit.partition,
            })
        });
        pipeline.forget_lost(&elsewhere.collect::<Vec<_>>());
        if reached.get_or_insert_with(Instant::now).elapsed() > EXPECTED_BACK {
            pipeline.forget_lost(&left);
        }
    }
}
