//! Where a partition taken over goes on.
//!
//! Deliveries are events of which none may be lost, and each is consumed in order, so the
//! committed offset alone says where. Reading one again is harmless for as long as what was
//! published is remembered beside the message (`final_retention`); of older ones a second
//! event would come, without its message.
//!
//! So a log that ends below the committed offset is not simply read from its beginning. It may
//! be another log of the same name, or this one without its tail (an unclean leader election,
//! a restored backup). What all deliveries consumed so far have in common is the youngest of
//! their timestamps, which is committed with the offset ([`Progress::newest`]): reading goes on
//! at the first delivery that is younger, less an allowance for clocks that differ. In another
//! log that is its beginning.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::error::KafkaError;
use tracing::{info, warn};

use super::books::Books;
use crate::kafka::progress::{Identity, Progress, Restored, metadata};
use crate::kafka::start::{Reading, committed_stable};
use crate::kafka::transactor::{Commit, end_hanging};
use crate::kafka::{Group, Partition, Pause};

const WATERMARKS: Duration = Duration::from_secs(10);
const ENDING: Duration = Duration::from_secs(10);
/// How often it is looked whether a restore is held up.
const LOOK: Duration = Duration::from_millis(500);
/// Pauses after a failure.
const AGAIN: Pause = Pause::new(Duration::from_millis(250), Duration::from_secs(3));

/// How much the clocks of processes may differ that write deliveries.
const CLOCKS: i64 = 600_000;

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
            self.0.1.wait_for(&mut state, LOOK);
        }
        (!state.stopping).then(|| std::mem::take(&mut state.requests))
    }

    fn again(&self, requests: Vec<Request>, pause: Duration) {
        let mut state = self.0.0.lock();
        state.requests.extend(requests);
        if !state.stopping {
            self.0.1.wait_for(&mut state, pause);
        }
    }
}

/// Reads committed offsets for the partitions asked for until stopped. Blocks: give it a
/// thread.
pub(super) fn run(books: &Books, group: &Group, reading: &Reading, handle: &Handle) {
    let mut pause = AGAIN;
    while let Some(mut requests) = handle.next() {
        end_suspects(books, reading);
        requests.retain(|(p, takeover)| books.wants(p.partition, *takeover));
        if requests.is_empty() {
            continue;
        }
        match take_over(books, group, reading, &requests) {
            Ok(()) => pause.reset(),
            Err(error) => {
                warn!(%error, "committed offsets of the deliveries cannot be read, trying again");
                handle.again(requests, pause.next());
            }
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
        let last = found.and_then(|commit| restored(group, commit));
        let newest = last.as_ref().and_then(|last| last.progress.newest());
        let unread = match (found, newest) {
            (Some(found), Some(newest)) if found.offset > high => {
                let since = newest.saturating_sub(CLOCKS).max(0);
                let first = group.first_since(partition, since, WATERMARKS)?;
                Some(first.unwrap_or(high))
            }
            _ => None,
        };
        let offset = position(partition, found.map(|c| c.offset), (low, high), unread);
        let mut progress = Progress::new(offset);
        if let Some(newest) = newest {
            progress.read(newest);
        }
        let writer = last.map(|last| last.writer);
        books.begin_at(partition.partition, *takeover, progress, writer);
    }
    Ok(())
}

/// What is committed beside the offset.
fn restored(group: &Group, commit: &Commit) -> Option<Restored> {
    let identity = Identity {
        cluster: group.cluster_id(),
        topic: &commit.topic,
        partition: commit.partition,
    };
    metadata::decode(commit.offset, &commit.metadata, &identity).ok()
}

/// Where to go on: at the committed offset if it lies inside the log. Above the log's end it is
/// where the deliveries begin that were not read, and its beginning if nobody knows.
fn position(
    partition: &Partition,
    committed: Option<i64>,
    (low, high): (i64, i64),
    unread: Option<i64>,
) -> i64 {
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
            let to = unread.unwrap_or(low);
            warn!(
                %partition, offset, high, to,
                "the log of deliveries ends below what was read of it: it lost its tail, or the topic was created anew; going on with what is younger"
            );
            to
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
        let log = (100, 200);
        assert_eq!(position(&p, Some(150), log, None), 150);
        assert_eq!(position(&p, Some(200), log, None), 200, "all consumed");
        assert_eq!(position(&p, None, log, None), 100);
        assert_eq!(position(&p, Some(50), log, None), 100);
        assert_eq!(position(&p, Some(500), (0, 3), Some(0)), 0, "recreated");
        assert_eq!(position(&p, Some(500), (0, 3), None), 0, "nobody knows");
    }

    #[test]
    fn a_log_that_lost_its_tail_is_not_read_again() {
        let p = Partition {
            topic: "sms.deliveries".into(),
            partition: 0,
        };
        assert_eq!(position(&p, Some(201), (100, 200), Some(195)), 195);
        assert_eq!(position(&p, Some(201), (100, 200), Some(200)), 200);
    }
}
