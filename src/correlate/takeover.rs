//! Where a partition taken over goes on.
//!
//! Deliveries are events of which none may be lost, and each is consumed in order, so the
//! committed offset alone says where. Reading one again is harmless: what was published is
//! remembered beside the message.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::error::KafkaError;
use tracing::{info, warn};

use super::books::Books;
use crate::kafka::progress::{Identity, metadata};
use crate::kafka::start::{Reading, committed_stable};
use crate::kafka::transactor::{Commit, end_hanging};
use crate::kafka::{Group, Partition};

const WATERMARKS: Duration = Duration::from_secs(10);
const ENDING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// One partition to be taken over, with the number of the takeover.
pub(super) type Request = (Partition, u64);

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    stopping: bool,
}

/// Commands to the thread. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Handle(Arc<(Mutex<State>, Condvar)>);

impl Handle {
    pub(super) fn request(&self, requests: impl IntoIterator<Item = Request>) {
        self.0.0.lock().requests.extend(requests);
        self.0.1.notify_all();
    }

    pub(super) fn stop(&self) {
        self.0.0.lock().stopping = true;
        self.0.1.notify_all();
    }

    /// The next requests, all at once, or none after a while; `None` when it is time to end.
    fn next(&self) -> Option<Vec<Request>> {
        let mut state = self.0.0.lock();
        if state.requests.is_empty() && !state.stopping {
            self.0.1.wait_for(&mut state, AGAIN);
        }
        (!state.stopping).then(|| std::mem::take(&mut state.requests))
    }

    fn again(&self, requests: Vec<Request>) {
        let mut state = self.0.0.lock();
        state.requests.extend(requests);
        if !state.stopping {
            self.0.1.wait_for(&mut state, AGAIN);
        }
    }
}

/// Reads committed offsets for the partitions asked for until stopped. Blocks: give it a
/// thread.
pub(super) fn run(books: &Books, group: &Group, reading: &Reading, handle: &Handle) {
    while let Some(mut requests) = handle.next() {
        end_suspects(books, reading);
        requests.retain(|(p, takeover)| books.wants(p.partition, *takeover));
        if requests.is_empty() {
            continue;
        }
        if let Err(error) = take_over(books, group, reading, &requests) {
            warn!(%error, "committed offsets of the deliveries cannot be read, trying again");
            handle.again(requests);
        }
    }
}

/// A barrier that was committed and does not come back is hidden behind an open transaction:
/// of a predecessor that died before it sent its offsets, most likely.
fn end_suspects(books: &Books, reading: &Reading) {
    for writer in books.suspects(reading.suspicion) {
        warn!(
            writer,
            "a predecessor's transaction hides what it wrote; ending it"
        );
        if let Err(error) = end_hanging(&reading.producer, &writer, ENDING) {
            warn!(writer, %error, "not ended; waiting for its time-out");
        }
    }
}

fn take_over(
    books: &Books,
    group: &Group,
    reading: &Reading,
    requests: &[Request],
) -> Result<(), KafkaError> {
    let partitions: Vec<Partition> = requests.iter().map(|(p, _)| p.clone()).collect();
    let committed = committed_stable(group, &partitions, reading)?;
    for (partition, takeover) in requests {
        let found = committed
            .iter()
            .find(|c| c.partition == partition.partition);
        let (low, high) = group.watermarks(partition, WATERMARKS)?;
        let offset = position(partition, found.map(|c| c.offset), low, high);
        let writer = found.and_then(|commit| writer(group, commit));
        books.begin_at(partition.partition, *takeover, offset, writer);
    }
    Ok(())
}

/// The transactional.id that committed it.
fn writer(group: &Group, commit: &Commit) -> Option<String> {
    let identity = Identity {
        cluster: group.cluster_id(),
        topic: &commit.topic,
        partition: commit.partition,
    };
    let last = metadata::decode(commit.offset, &commit.metadata, &identity);
    last.ok().map(|last| last.writer)
}

/// Where to go on: at the committed offset if it lies inside the log, else at its beginning.
fn position(partition: &Partition, committed: Option<i64>, low: i64, high: i64) -> i64 {
    match committed {
        None => {
            info!(%partition, offset = low, "no committed offset: from the beginning");
            low
        }
        Some(offset) if offset < low => {
            warn!(
                %partition, offset, low,
                "deliveries were deleted before they were correlated (topic retention); going on with what is left"
            );
            low
        }
        Some(offset) if offset > high => {
            warn!(%partition, offset, high, "the topic was recreated: from its beginning");
            low
        }
        Some(offset) => offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_still_in_the_log_is_skipped() {
        let p = Partition {
            topic: "sms.deliveries".into(),
            partition: 0,
        };
        assert_eq!(position(&p, Some(150), 100, 200), 150);
        assert_eq!(position(&p, Some(200), 100, 200), 200, "all consumed");
        assert_eq!(position(&p, None, 100, 200), 100);
        assert_eq!(position(&p, Some(50), 100, 200), 100);
        assert_eq!(position(&p, Some(500), 0, 3), 0, "recreated");
    }
}
