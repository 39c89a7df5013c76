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
//!
//! Each partition is asked about for itself: one of which Kafka does not answer is asked about
//! again after a pause that grows, behind all others, and holds up none of them.
//!
//! The same thread looks where the log of a partition ends before the partition lets time pass: see
//! [`partition`](super::partition); and before it is said that receipts have stopped: see
//! [`silence`](super::silence).

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

use super::clock::plausible;
use super::notices::{
    CommittedNotReadAtOnce, DeletedBeforeCorrelated, DeliveriesLostTail, FromTheBeginning,
};
use super::pipeline::Pipeline;
use crate::kafka::end;
use crate::kafka::progress::{CommitScope, Progress, Restored, metadata};
use crate::kafka::start::{Reading, committed_stable};
use crate::kafka::transaction::Commit;
use crate::kafka::transactor::end_predecessors;
use crate::kafka::{Group, Partition, Pause, ear};
use crate::threads::Mailbox;

/// How long Kafka may take to say where a log ends, when receipts seem to have stopped.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is asked then.
const ASK_AGAIN: Duration = Duration::from_secs(20);
/// For so long all has to be read before it is believed.
const SURE: Duration = Duration::from_secs(60);
const WATERMARKS: Duration = Duration::from_secs(10);
const ENDING: Duration = Duration::from_secs(10);
/// How often it is looked whether a restore is held up.
const LOOK: Duration = Duration::from_millis(500);
/// Pauses after a failure.
const RETRY_PAUSE: Pause = Pause::new(Duration::from_millis(250), LONGEST_PAUSE);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How much the clocks of processes may differ that write deliveries.
const CLOCKS: i64 = 600_000;

/// What is to be asked about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Where it goes on.
    Position,
    /// Where its log ends.
    End,
}

/// One partition to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) partition: Partition,
    /// The number of the takeover.
    pub(super) takeover: u64,
    pub(super) asked: Asked,
}

/// Commands to the thread. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Handle(Mailbox<Request>);

impl Handle {
    pub(super) fn request(&self, request: Request) {
        self.0.put(request);
    }

    pub(super) fn stop(&self) {
        self.0.stop();
    }

    /// The next requests, all at once, or none after a while; `None` when it is time to end.
    fn next(&self, wait: Duration) -> Option<Vec<Request>> {
        self.0.next(wait)
    }

    /// What was requested and not taken yet.
    #[cfg(test)]
    pub(super) fn requested(&self) -> Vec<Request> {
        self.0.waiting()
    }
}

/// Requests that failed, to be made again after a pause.
struct FailedRequests {
    requests: Vec<Request>,
    due: Instant,
    pause: Pause,
}

impl FailedRequests {
    fn new() -> Self {
        FailedRequests {
            requests: Vec::new(),
            due: Instant::now(),
            pause: RETRY_PAUSE,
        }
    }

    /// How long to wait for new requests.
    fn wait(&self, now: Instant) -> Duration {
        if self.requests.is_empty() {
            LOOK
        } else {
            self.due.saturating_duration_since(now).min(LOOK)
        }
    }

    /// What is to be made now: new ones first, then those whose pause is over.
    fn join(&mut self, mut new: Vec<Request>, now: Instant) -> Vec<Request> {
        if self.due <= now {
            new.append(&mut self.requests);
        }
        new
    }

    /// These failed now.
    fn put(&mut self, failed: Vec<Request>, now: Instant) {
        if !failed.is_empty() {
            self.due = now + self.pause.grow();
            self.requests.extend(failed);
        } else if self.requests.is_empty() {
            self.pause.reset();
        }
    }
}

/// Reads committed offsets for the partitions asked for until stopped. Blocks: give it a
/// thread.
pub(super) fn run(pipeline: &Pipeline, group: &Group, reading: &Reading, handle: &Handle) {
    let mut failed = FailedRequests::new();
    let mut silence = Silence::new();
    while let Some(new) = handle.next(failed.wait(Instant::now())) {
        end_suspects(pipeline, reading);
        pipeline.report_slow_restores();
        pipeline.tell_receipts_again();
        let due = pipeline.receipts_due();
        if silence.is_sure(due, || all_is_read(pipeline, group), Instant::now()) {
            pipeline.tell_receipts_stopped();
        }
        let mut requests = failed.join(new, Instant::now());
        requests.retain(|request| pipeline.wants(request));
        if requests.is_empty() {
            continue;
        }
        let (ends, positions): (Vec<Request>, Vec<Request>) =
            (requests.into_iter()).partition(|request| request.asked == Asked::End);
        let mut retry = each(group.client(), ends, |end| {
            look_for_end(pipeline, group, end)
        });
        retry.extend(take_over(pipeline, group, reading, positions));
        failed.put(retry, Instant::now());
    }
}

/// Carries out each request; returns those that failed.
fn each(
    client: &ClientConfig,
    requests: Vec<Request>,
    mut act: impl FnMut(&Request) -> Result<(), KafkaError>,
) -> Vec<Request> {
    let mut failed = Vec::new();
    for request in requests {
        if let Err(error) = act(&request) {
            let Request {
                partition, asked, ..
            } = &request;
            let about = format!("{partition} ({asked:?})");
            let topics = [partition.topic.to_string()];
            ear::fails(
                client,
                &topics,
                "Kafka does not say where deliveries stand; it is asked again",
                about,
                &error,
            );
            failed.push(request);
        }
    }
    failed
}

/// Tells the partition where its log ends.
fn look_for_end(pipeline: &Pipeline, group: &Group, end: &Request) -> Result<(), KafkaError> {
    let (_, high) = group.watermarks(&end.partition, WATERMARKS)?;
    pipeline.ends_at(end.partition.partition, end.takeover, high);
    Ok(())
}

/// Makes sure that receipts have stopped where it looks so.
struct Silence {
    /// When Kafka is asked again.
    next: Instant,
    /// Since when all is read that Kafka has.
    sure_from: Option<Instant>,
}

impl Silence {
    fn new() -> Self {
        Silence {
            next: Instant::now(),
            sure_from: None,
        }
    }

    /// Whether receipts have stopped: it is due to say so, and all has been read for a while that Kafka
    /// has. What SMSCs delivered while Kafka was away needs a moment to get there.
    fn is_sure(&mut self, due: bool, all_is_read: impl FnOnce() -> bool, now: Instant) -> bool {
        if !due {
            self.sure_from = None;
            return false;
        }
        if now < self.next {
            return false;
        }
        self.next = now + ASK_AGAIN;
        if !all_is_read() {
            self.sure_from = None;
            return false;
        }
        let from = *self.sure_from.get_or_insert(now);
        let sure = now.duration_since(from) >= SURE;
        if sure {
            self.sure_from = None;
        }
        sure
    }
}

/// Whether all deliveries are read that Kafka has.
fn all_is_read(pipeline: &Pipeline, group: &Group) -> bool {
    let Some(positions) = pipeline.positions() else {
        return false;
    };
    !positions.is_empty()
        && positions.iter().all(|(partition, next)| {
            let asked = group.watermarks(partition, TIMEOUT);
            asked.is_ok_and(|(_, high)| {
                // What ends transactions takes offsets too.
                let empty = || end::empty_until(group.client(), partition, *next, TIMEOUT);
                high <= *next || empty().is_ok_and(|to| to.is_some_and(|to| to >= high))
            })
        })
}

/// A barrier that was committed and does not come back is hidden behind an open transaction:
/// of a predecessor that died before it sent its offsets, most likely.
fn end_suspects(pipeline: &Pipeline, reading: &Reading) {
    for writer in pipeline.suspects(reading.suspicion) {
        end_predecessors(&reading.producer, &writer, ENDING);
    }
}

/// Takes partitions over; returns the requests that failed. What is committed is asked for all of
/// them at once, and if that fails, of each.
fn take_over(
    pipeline: &Pipeline,
    group: &Group,
    reading: &Reading,
    requests: Vec<Request>,
) -> Vec<Request> {
    if requests.is_empty() {
        return requests;
    }
    let partitions: Vec<Partition> = requests.iter().map(|r| r.partition.clone()).collect();
    match committed_stable(group, &partitions, reading) {
        Ok(committed) => each(group.client(), requests, |request| {
            let number = request.partition.partition;
            let found = committed.iter().find(|c| c.partition == number);
            begin(pipeline, group, request, found)
        }),
        Err(error) => {
            CommittedNotReadAtOnce { error }.emit();
            each(group.client(), requests, |request| {
                let this = std::slice::from_ref(&request.partition);
                let found = group.committed_of(this, reading.suspicion)?;
                begin(pipeline, group, request, found.first())
            })
        }
    }
}

/// Begins where `found` says, which is committed for the partition.
fn begin(
    pipeline: &Pipeline,
    group: &Group,
    request: &Request,
    found: Option<&Commit>,
) -> Result<(), KafkaError> {
    let partition = &request.partition;
    let (low, high) = group.watermarks(partition, WATERMARKS)?;
    let last = found.and_then(|commit| restored(group, commit));
    let newest = last.as_ref().and_then(|last| last.progress.newest());
    // One that an earlier version noted may be anything.
    let newest = newest.map(|newest| plausible(newest, pipeline.now()));
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
    let writer = last.map(|last| last.transactional_id);
    pipeline.begin_at(partition.partition, request.takeover, progress, writer);
    Ok(())
}

/// What is committed beside the offset.
fn restored(group: &Group, commit: &Commit) -> Option<Restored> {
    let identity = CommitScope {
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
            FromTheBeginning {
                partition,
                offset: low,
            }
            .emit();
            low
        }
        Some(offset) if offset < low => {
            DeletedBeforeCorrelated {
                partition,
                offset,
                low,
            }
            .emit();
            low
        }
        Some(offset) if offset > high => {
            let to = unread.unwrap_or(low);
            DeliveriesLostTail {
                partition,
                offset,
                high,
                to,
            }
            .emit();
            to
        }
        Some(offset) => offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(partition: i32) -> Request {
        Request {
            partition: Partition {
                topic: "sms.deliveries".into(),
                partition,
            },
            takeover: 1,
            asked: Asked::Position,
        }
    }

    #[test]
    fn a_partition_that_cannot_be_taken_over_holds_up_none_behind_it() {
        let (mut failed, now) = (FailedRequests::new(), Instant::now());
        let unanswered = |request: &Request| match request.partition.partition {
            1 => Err(KafkaError::OffsetFetch(
                rdkafka::error::RDKafkaErrorCode::LeaderNotAvailable,
            )),
            _ => Ok(()),
        };
        let first = failed.join(vec![request(0), request(1), request(2)], now);
        let retry = each(&ClientConfig::new(), first, unanswered);
        assert_eq!(retry, [request(1)], "the others are taken over");
        failed.put(retry, now);
        assert!(failed.wait(now) <= LOOK);
        assert_eq!(
            failed.join(vec![request(3)], now),
            [request(3)],
            "it pauses"
        );
        failed.put(Vec::new(), now);
        let later = now + 2 * LONGEST_PAUSE;
        let next = failed.join(vec![request(4)], later);
        assert_eq!(
            next,
            [request(4), request(1)],
            "new ones do not wait for it"
        );
        let before = failed.pause.grow();
        failed.put(Vec::new(), later);
        assert!(failed.pause.grow() < 2 * before, "the pauses begin anew");
    }

    #[test]
    fn receipts_have_stopped_only_if_all_is_read_for_a_while() {
        let (mut silence, start) = (Silence::new(), Instant::now());
        let mut at = |seconds, due, read: Option<bool>| {
            let asked = std::cell::Cell::new(false);
            let is_read = || {
                asked.set(true);
                read.unwrap_or_default()
            };
            let sure = silence.is_sure(due, is_read, start + Duration::from_secs(seconds));
            assert_eq!(asked.get(), read.is_some(), "asked at {seconds}");
            sure
        };
        assert!(!at(1, false, None));
        assert!(!at(2, true, Some(true)), "for a minute first");
        assert!(!at(3, true, None), "Kafka is not asked each time");
        // Kafka is away, or more is there than is read.
        assert!(!at(42, true, Some(false)));
        assert!(!at(62, true, Some(true)));
        assert!(!at(90, true, Some(true)));
        // A receipt came.
        assert!(!at(91, false, None));
        assert!(!at(110, true, Some(true)));
        assert!(!at(150, true, Some(true)));
        assert!(at(170, true, Some(true)));
    }

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
