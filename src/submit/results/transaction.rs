//! The pipeline as the transactor sees it.
//!
//! A transaction takes *everything* that is known at the moment it begins, under the lock:
//! all outcomes gathered, and the progress of every partition they belong to. Taking only part of
//! it would be wrong: a lowered reservation must never be committed without the outcomes of
//! the records above it, or a successor would send them again.
//!
//! When a transaction is aborted, its outcomes are still in the progress of their partitions, and go
//! back to the head of what is gathered: the next transaction carries both. What belongs to
//! a partition that has been given up meanwhile is published as late, outside any transaction.
//!
//! When a topic refuses a record, that concerns its partition and no other: the partition is
//! [set aside](crate::kafka::set_aside), and has no part in transactions, with all that is known
//! of it, until a trial of its own is committed. Its reservation stays as it was committed last,
//! so nothing new of it is sent meanwhile. What can be said shorter is, by a `SendError` in place
//! of what was refused, and then the partition is tried at once; if it is the size that is refused,
//! so is everything of the partition that is as large, lest each costs a transaction.
//!
//! A record that cannot be put back onto its topic for now waits in its partition. But what finished
//! since may have gone so far ahead that the metadata does not reach over both: then the partition is
//! set aside with it, and the record goes when its topic is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode as Code;
use tracing::{debug, error, info, warn};

use crate::kafka::progress::{Identity, metadata};
use crate::kafka::set_aside::Why;
use crate::kafka::transactor::{Abort, Commit, Cycle, Ledger, Settled, is_size};
use crate::kafka::{Group, Membership, Partition, ear, set_aside};
use crate::record::event::SendErrorKind;
use smpp_esme::{Lease, Moment};

use crate::submit::message::outgoing::Rejection;
use crate::submit::ownership::assignment::Owner;
use crate::submit::pipeline::{Pipeline, PipelineState};
use crate::submit::results::events::Events;
use crate::submit::state::partition::{PartitionState, Snapshot};
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome};

/// Reservations never reach further than this, however slow Kafka is.
const LONGEST_HORIZON: Duration = Duration::from_secs(2);

/// While so many outcomes wait for a transaction, no record is refused: Kafka is in trouble, and
/// what cannot be read waits where its memory is counted.
const MOST_GATHERED: usize = 10_000;

/// How leases on partitions are kept.
#[derive(Clone, Debug)]
pub struct LeaseTiming {
    /// A partition whose last commit is older than this is committed again: the proof that its
    /// owner is still a member.
    pub recommit: Duration,
    /// For how long a commit proves that.
    pub validity: Duration,
}

/// The transaction under way.
#[derive(Default)]
struct UnderWay {
    /// Before it began: what its commit proves of the membership counts from here.
    since: Moment,
    results: Vec<PendingResult>,
    snapshots: Vec<(AssignmentId, Snapshot)>,
    /// For each record of the cycle, where it comes from.
    owners: Vec<Origin>,
}

/// Where a record of a transaction comes from.
#[derive(Clone)]
struct Origin {
    /// The entry it tells of.
    result: usize,
    /// Where it goes.
    topic: Arc<str>,
    /// About how many octets it has.
    octets: usize,
}

/// See the [module](self).
pub struct SubmitTransactions {
    pipeline: Arc<Pipeline>,
    owner: Arc<Owner>,
    events: Arc<Events>,
    group: Arc<Group>,
    lease: Lease,
    terms: LeaseTiming,
    under_way: Mutex<UnderWay>,
}

impl SubmitTransactions {
    /// The ledger of `pipeline`, which extends `lease` with every commit, and tells `owner` of
    /// topics that are gone.
    pub fn new(
        pipeline: Arc<Pipeline>,
        owner: Arc<Owner>,
        events: Arc<Events>,
        group: Arc<Group>,
        lease: Lease,
        terms: LeaseTiming,
    ) -> Self {
        SubmitTransactions {
            pipeline,
            owner,
            events,
            group,
            lease,
            terms,
            under_way: Mutex::default(),
        }
    }

    /// Everything that belongs into a transaction begun now.
    fn gather(
        &self,
        transactional_id: &str,
        now: Instant,
    ) -> Option<(UnderWay, Cycle, Vec<PendingResult>)> {
        let membership = self.group.membership();
        let mut guard = self.pipeline.state.lock();
        let state = &mut *guard;
        state.aside.begin(now);
        let aside = &state.aside;
        let part = |e: &mut PendingResult| aside.takes_part(&e.assignment);
        let mut results: Vec<PendingResult> = state.gathered.extract_if(.., part).collect();
        plan(state, &mut results, now, self.horizon(state.cycle_time));
        let orphans = apply(state, &mut results);
        let orphans = state.remember(orphans);
        let mut touched: Vec<AssignmentId> = results.iter().map(|e| e.assignment).collect();
        let due = |(id, held): &(&AssignmentId, &crate::submit::pipeline::AssignedPartition)| {
            state.aside.takes_part(id) && held.partition.needs_commit(now, self.terms.recommit)
        };
        touched.extend(state.assignments.iter().filter(due).map(|(id, _)| *id));
        touched.sort_unstable();
        touched.dedup();
        if touched.is_empty() && state.aside.nothing(now) {
            // What was refused is not to be told any more, or it is a trial's turn.
            self.pipeline.wake_transactor();
        }
        let current = |m: &Membership| self.group.is_current(m);
        if membership.as_ref().is_some_and(|m| !current(m)) {
            // There was a callback in between: once more, with what it changed.
            self.pipeline.wake_transactor();
        }
        let membership = membership.filter(current);
        let work = membership.map(|m| (m, state.kept.due(now)));
        let work = work.filter(|(_, kept)| !touched.is_empty() || !kept.is_empty());
        let Some((membership, mut offsets)) = work else {
            results.append(&mut state.gathered);
            state.gathered = results;
            drop(guard);
            self.pipeline.late_producer.publish_orphans(orphans);
            return None;
        };
        state.cycle += 1;
        let number = state.cycle;
        state.under_way = Some(number);
        let mut under_way = UnderWay::default();
        for id in touched {
            if let Some(held) = state.assignments.get_mut(&id) {
                under_way.snapshots.push((id, held.partition.snapshot(now)));
                offsets.push(self.commit(&held.partition, transactional_id, number));
            }
        }
        under_way.results = results;
        let cycle = Cycle {
            number,
            records: Vec::new(),
            offsets,
            group: membership.metadata(),
            // Leases of all partitions end when nothing is committed for too long.
            patience: self.terms.recommit * 2,
            trial: state.aside.trial(self.terms.recommit),
        };
        Some((under_way, cycle, orphans))
    }

    /// The offset of a partition, and what is known besides.
    fn commit(&self, partition: &PartitionState, transactional_id: &str, cycle: u64) -> Commit {
        let (progress, source) = (partition.progress(), partition.name());
        Commit {
            topic: source.topic.clone(),
            partition: source.partition,
            offset: progress.base(),
            metadata: metadata::encode(progress, &self.identity(source), transactional_id, cycle),
        }
    }

    /// How far ahead to reserve: a reservation is granted one cycle after it was made and has
    /// to last until the next one is, so slow cycles need a longer one.
    fn horizon(&self, cycle: Duration) -> Duration {
        let configured = self.pipeline.settings.reserve_horizon.get();
        configured.max((cycle * 3).min(LONGEST_HORIZON))
    }

    fn identity<'a>(&'a self, source: &'a Partition) -> Identity<'a> {
        Identity {
            cluster: self.group.cluster_id(),
            topic: &source.topic,
            partition: source.partition,
        }
    }

    fn committed(&self, under_way: UnderWay, begun: Instant) {
        self.lease.extend(under_way.since, self.terms.validity);
        let mut guard = self.pipeline.state.lock();
        let state = &mut *guard;
        state.under_way = None;
        if let Some((topic, assignments)) = state.aside.committed() {
            let partitions = state.names(&assignments);
            info!(topic = &*topic, %partitions, "the topic takes their results again");
            self.pipeline.wake_transactor();
        }
        state.cycle_time = (state.cycle_time * 7 + begun.elapsed()) / 8;
        for (id, snapshot) in under_way.snapshots {
            let Some(held) = state.assignments.get_mut(&id) else {
                continue;
            };
            let group = state.groups.get(&held.group);
            let source = held.partition.name().clone();
            if held.partition.committed(snapshot) {
                self.pipeline
                    .poll
                    .start(source, held.partition.next_offset());
                if let Some(group) = group {
                    group.opened.notify_one();
                }
            } else if held.partition.may_resume() {
                self.pipeline.poll.resume(source);
            }
            if let Some(group) = group {
                group.wake();
            }
        }
        let more = state.assignments.values().any(|h| h.partition.has_more());
        drop(guard);
        self.pipeline.settled.notify_all();
        if more {
            self.pipeline.wake_transactor();
        }
    }

    /// Puts what was not committed back to where the next transaction finds it.
    fn put_back(&self, mut under_way: UnderWay) {
        let now = Instant::now();
        let mut state = self.pipeline.state.lock();
        state.under_way = None;
        state.aside.aborted(now);
        for (id, _) in &under_way.snapshots {
            if let Some(held) = state.assignments.get_mut(id) {
                held.partition.not_committed();
            }
        }
        let gone = |e: &mut PendingResult| !state.assignments.contains_key(&e.assignment);
        let orphans: Vec<PendingResult> = under_way.results.extract_if(.., gone).collect();
        let orphans = state.remember(orphans);
        let since = std::mem::replace(&mut state.gathered, under_way.results);
        state.gathered.extend(since);
        drop(state);
        self.pipeline.settled.notify_all();
        self.pipeline.late_producer.publish_orphans(orphans);
    }

    /// The record at `index` is refused for what it is.
    /// The record at `index` is refused for what it is; with `larger` for its size, and so is what
    /// is larger.
    fn record_refused(&self, mut under_way: UnderWay, index: usize, code: Code, larger: bool) {
        let Some(origin) = under_way.owners.get(index).cloned() else {
            return self.put_back(under_way);
        };
        let assignment = under_way.results[origin.result].assignment;
        let owners = match larger {
            true => as_large(&under_way, assignment, &origin),
            false => [origin.result].into(),
        };
        let mut replaced = false;
        // One that is left out moves those behind it.
        for owner in owners.iter().rev() {
            replaced |= replace(&mut under_way.results, *owner, code) && *owner == origin.result;
        }
        if replaced {
            warn!(assignment, topic = &*origin.topic, %code, count = owners.len(), "records are refused by their topic; what can be said shorter is");
        }
        let rejection = set_aside::Refusal {
            topic: origin.topic,
            why: Why::Record,
            replaced,
            partitions: [assignment].into(),
        };
        self.refused(rejection, code);
        self.put_back(under_way);
    }

    /// The topic of the record at `index` takes none, whatever they are.
    fn topic_refused(&self, mut under_way: UnderWay, index: usize, code: Code) {
        let Some(Origin { topic, .. }) = under_way.owners.get(index).cloned() else {
            return self.put_back(under_way);
        };
        let there = under_way.owners.iter().filter(|o| o.topic == topic);
        let owners: BTreeSet<usize> = there.map(|o| o.result).collect();
        if code == Code::TopicAuthorizationFailed {
            for owner in &owners {
                if matches!(
                    under_way.results[*owner].outcome,
                    RecordOutcome::PutBack(..)
                ) {
                    replace(&mut under_way.results, *owner, code);
                }
            }
        }
        let mut assignments = BTreeSet::new();
        for result in owners.iter().map(|owner| &under_way.results[*owner]) {
            if !matches!(result.outcome, RecordOutcome::PutBack(..)) {
                assignments.insert(result.assignment);
            }
        }
        let now = Instant::now();
        let left = (self.pipeline.state.lock()).reopen(&mut under_way.results, &topic, now);
        assignments.extend(left);
        self.set_aside(topic, Why::Topic, assignments, code);
        self.put_back(under_way);
    }

    /// The partitions that these records go to are not available. A record that is put back
    /// onto one waits with its partition: another that comes after it would cost as long again.
    fn unavailable(&self, under_way: UnderWay, indexes: &[usize]) {
        let mut topics: BTreeMap<Arc<str>, BTreeSet<AssignmentId>> = BTreeMap::new();
        for origin in indexes.iter().filter_map(|i| under_way.owners.get(*i)) {
            let assignments = topics.entry(origin.topic.clone()).or_default();
            assignments.insert(under_way.results[origin.result].assignment);
        }
        for (topic, assignments) in topics {
            self.set_aside(topic, Why::Unavailable, assignments, Code::MessageTimedOut);
        }
        self.put_back(under_way);
    }

    fn set_aside(&self, topic: Arc<str>, why: Why, partitions: BTreeSet<AssignmentId>, code: Code) {
        if !partitions.is_empty() {
            let rejection = set_aside::Refusal {
                topic,
                why,
                replaced: false,
                partitions,
            };
            self.refused(rejection, code);
        }
    }

    /// These partitions have no part in transactions until the topic takes their results.
    fn refused(&self, rejection: set_aside::Refusal<AssignmentId>, code: Code) {
        let mut state = self.pipeline.state.lock();
        let topic = rejection.topic.clone();
        let partitions = state.names(&rejection.partitions);
        let pause = set_aside::pauses(self.terms.recommit);
        let (why, replaced) = (rejection.why, rejection.replaced);
        let news = state.aside.refused(rejection, pause, Instant::now());
        if replaced {
            debug!(topic = &*topic, %partitions, "tried in a transaction of their own");
        } else if news && why == Why::Unavailable {
            error!(
                topic = &*topic, %partitions,
                "results of these partitions are not delivered; they stand still until they are, and the others go on. Has each partition of the topic a leader, and are as many replicas in sync as min.insync.replicas says?"
            );
        } else if news {
            let cause = ear::not_written(self.group.client(), &topic, code);
            error!(
                topic = &*topic, %partitions, cause,
                "a topic refuses results of these partitions; they stand still until it takes them, and the others go on"
            );
        } else {
            debug!(topic = &*topic, %partitions, %code, "results are still refused");
        }
    }
}

impl Ledger for SubmitTransactions {
    fn begin(&self, transactional_id: &str) -> Option<Cycle> {
        let since = Moment::now();
        let (mut under_way, mut cycle, orphans) = self.gather(transactional_id, Instant::now())?;
        under_way.since = since;
        self.pipeline.late_producer.publish_orphans(orphans);
        for (index, result) in under_way.results.iter().enumerate() {
            self.events.write(result, &mut cycle.records);
            let new = &cycle.records[under_way.owners.len()..];
            let origins = new.iter().map(|output| Origin {
                result: index,
                topic: output.topic.clone(),
                octets: output.size(),
            });
            under_way.owners.extend(origins);
        }
        *self.under_way.lock() = under_way;
        Some(cycle)
    }

    fn settled(&self, outcome: Settled) {
        let under_way = std::mem::take(&mut *self.under_way.lock());
        match outcome {
            Settled::Committed { begun } => self.committed(under_way, begun),
            Settled::Aborted(Abort::Record {
                index,
                code,
                larger,
            }) => {
                self.lease.extend(under_way.since, self.terms.validity);
                self.record_refused(under_way, index, code, larger);
            }
            Settled::Aborted(Abort::Unavailable(indexes)) => {
                self.lease.extend(under_way.since, self.terms.validity);
                self.unavailable(under_way, &indexes);
            }
            Settled::Aborted(Abort::Topic { index, code }) => {
                // Its offsets had been taken, so this process is a member.
                self.lease.extend(under_way.since, self.terms.validity);
                self.topic_refused(under_way, index, code);
            }
            Settled::Aborted(Abort::Fenced(why)) => {
                ear::failed("transaction refused; it is tried again", why);
                self.put_back(under_way);
            }
            Settled::Aborted(Abort::Trouble(why)) => {
                ear::failed("transaction failed; it is tried again", why);
                self.put_back(under_way);
            }
            Settled::Aborted(Abort::Refused) => self.put_back(under_way),
            Settled::Aborted(Abort::Gone(topics)) => {
                error!(
                    ?topics,
                    "these topics are gone; their partitions are left out until they are back"
                );
                self.put_back(under_way);
                self.owner.topics_gone(&topics);
            }
            Settled::Unknown => {
                let mut state = self.pipeline.state.lock();
                state.under_way = None;
                state.aside.aborted(Instant::now());
                for (id, _) in &under_way.snapshots {
                    if let Some(held) = state.assignments.get_mut(id) {
                        held.partition.not_committed();
                    }
                }
                drop(state);
                self.pipeline.settled.notify_all();
                self.pipeline
                    .late_producer
                    .publish_orphans(under_way.results);
            }
        }
    }
}

/// Lets every partition finish what needs no sending and make ready what comes next.
fn plan(state: &mut PipelineState, results: &mut Vec<PendingResult>, now: Instant, time: Duration) {
    for (id, held) in &mut state.assignments {
        if !state.aside.takes_part(id) {
            if state.aside.is_held(id) {
                held.partition.hold_uncommitted();
            }
            continue;
        }
        for rejection in held.partition.plan(now, results.len() < MOST_GATHERED) {
            results.push(PendingResult {
                assignment: *id,
                applied: true,
                outcome: RecordOutcome::Rejected(Box::new(rejection)),
            });
        }
    }
    for group in state.groups.values_mut() {
        group.share(&mut state.assignments, time, |id| {
            state.aside.takes_part(id)
        });
    }
}

/// Brings the outcomes into the progress of their partitions. Returns those without a partition.
fn apply(state: &mut PipelineState, results: &mut Vec<PendingResult>) -> Vec<PendingResult> {
    let orphan = |result: &mut PendingResult| {
        let Some(held) = state.assignments.get_mut(&result.assignment) else {
            return true;
        };
        if !result.applied
            && let Some((offset, octets)) = result.finishes()
        {
            held.partition.finish(offset, octets);
        }
        result.applied = true;
        false
    };
    results.extract_if(.., orphan).collect()
}

/// The entries of a partition with a record for the same topic that is as large at least as the one
/// that was refused.
fn as_large(under_way: &UnderWay, assignment: AssignmentId, refused: &Origin) -> BTreeSet<usize> {
    let large = |o: &&Origin| {
        let theirs = under_way.results[o.result].assignment == assignment;
        theirs && o.topic == refused.topic && o.octets >= refused.octets
    };
    under_way
        .owners
        .iter()
        .filter(large)
        .map(|o| o.result)
        .collect()
}

/// Replaces the entry whose record is refused by one that says so in fewer words, or leaves it
/// out if it is no result. `false` if there is nothing shorter to say.
fn replace(results: &mut Vec<PendingResult>, owner: usize, code: Code) -> bool {
    let result = &mut results[owner];
    let rejection = match &mut result.outcome {
        RecordOutcome::Taken(_, _, whole @ true) => {
            *whole = false;
            return true;
        }
        RecordOutcome::Late(sent, _) if !sent.context.is_short() => {
            sent.context = Arc::new(sent.context.shortened());
            return true;
        }
        RecordOutcome::Taken(..) | RecordOutcome::Late(..) => {
            error!(%code, "even the short record of an answer is refused by its topic; it is dropped");
            results.remove(owner);
            return true;
        }
        RecordOutcome::TooLarge(..) => return false,
        RecordOutcome::Answered(sent, answer) => Rejection {
            offset: sent.offset,
            context: sent.context.clone(),
            kind: event_refused(code),
            field: None,
            text: format!(
                "the SMSC answered {} (message_id {:?}), but {}",
                answer.status,
                String::from_utf8_lossy(&answer.message_id),
                why(code),
            ),
            status: Some(answer.status),
            segments: sent.segments.clone(),
            attempt: sent.attempt,
            possible_duplicate: sent.possible_duplicate,
            with_original: false,
            held: 0,
        },
        RecordOutcome::Rejected(rejection) => Rejection {
            context: rejection.context.clone(),
            field: rejection.field.clone(),
            text: format!("{} (shortened: {})", rejection.text, why(code)),
            with_original: false,
            segments: rejection.segments.clone(),
            ..**rejection
        },
        RecordOutcome::PutBack(outgoing, _) => Rejection::of(
            outgoing,
            SendErrorKind::Expired,
            format!(
                "the SMSC asked to try again later, but the record could not be put back onto its topic: {code}"
            ),
        ),
    };
    // What was too large may be anything the record brought: extra data, headers, names.
    let short = RecordOutcome::TooLarge(Box::new(rejection.shortened()), None);
    if let RecordOutcome::Answered(mut sent, answer) = std::mem::replace(&mut result.outcome, short)
        && let RecordOutcome::TooLarge(rejection, answered) = &mut result.outcome
    {
        sent.context = rejection.context.clone();
        *answered = Some((sent, answer));
    }
    true
}

fn event_refused(code: Code) -> SendErrorKind {
    if is_size(code) {
        SendErrorKind::EventTooLarge
    } else {
        SendErrorKind::EventRefused
    }
}

/// Why the whole event is not there.
fn why(code: Code) -> String {
    if is_size(code) {
        "the event is larger than its topic takes; raise max.message.bytes or shorten extra_data"
            .to_owned()
    } else {
        format!("the event is refused by its topic ({code}); see what the broker checks there")
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::submit::message::outgoing::Returned;
    use crate::submit::state::partition::tests::outgoing;
    use crate::submit::state::pending::Sent;
    use smpp_esme::Answer;
    use smpp_protocol::{Command, Status};

    fn answered() -> (Box<Sent>, Answer) {
        let answer = Answer {
            command: Command::SUBMIT_SM_RESP,
            status: Status::ROK,
            message_id: b"A1".as_slice().into(),
            tlvs: Default::default(),
            received: SystemTime::now(),
        };
        (Box::new(Sent::of(&outgoing(3), &"bind".into())), answer)
    }

    /// What `outcome` is replaced by when its topic refuses it for `code`.
    fn replaced(outcome: RecordOutcome, code: Code) -> (bool, Option<RecordOutcome>) {
        let mut results = vec![PendingResult::new(7, outcome)];
        let replaced = replace(&mut results, 0, code);
        (replaced, results.pop().map(|result| result.outcome))
    }

    #[test]
    fn an_answer_that_its_topic_refuses_becomes_an_error_that_says_so() {
        for (code, kind) in [
            (Code::MessageSizeTooLarge, SendErrorKind::EventTooLarge),
            (Code::InvalidRecord, SendErrorKind::EventRefused),
            (Code::InvalidTimestamp, SendErrorKind::EventRefused),
        ] {
            let (sent, answer) = answered();
            let (replaced, outcome) = replaced(RecordOutcome::Answered(sent, answer), code);
            assert!(replaced);
            let Some(RecordOutcome::TooLarge(rejection, Some((sent, _)))) = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(
                (rejection.kind, rejection.status),
                (kind, Some(Status::ROK))
            );
            assert!(rejection.text.contains("A1"), "{}", rejection.text);
            assert!(sent.context.is_short());
        }
    }

    #[test]
    fn what_is_as_large_as_what_was_refused_is_replaced_with_it() {
        let mut under_way = UnderWay::default();
        for (result, (partition, topic, octets)) in [
            (7, "responses", 5000),
            (7, "responses", 4999),
            (7, "errors", 9000),
            (8, "responses", 9000),
            (7, "responses", 6000),
        ]
        .into_iter()
        .enumerate()
        {
            let (sent, answer) = answered();
            let outcome = RecordOutcome::Answered(sent, answer);
            under_way
                .results
                .push(PendingResult::new(partition, outcome));
            under_way.owners.push(Origin {
                result,
                topic: topic.into(),
                octets,
            });
        }
        let refused = under_way.owners[0].clone();
        assert_eq!(as_large(&under_way, 7, &refused), [0, 4].into());
    }

    #[test]
    fn what_is_no_result_is_shortened_and_then_left_out() {
        let (sent, answer) = answered();
        let (yes, outcome) = replaced(
            RecordOutcome::Taken(sent, answer, true),
            Code::InvalidRecord,
        );
        assert!(yes && matches!(outcome, Some(RecordOutcome::Taken(.., false))));
        let (sent, answer) = answered();
        let (yes, outcome) = replaced(
            RecordOutcome::Taken(sent, answer, false),
            Code::InvalidRecord,
        );
        assert!(yes && outcome.is_none());
        let (sent, answer) = answered();
        let (yes, outcome) = replaced(RecordOutcome::Late(sent, answer), Code::InvalidRecord);
        assert!(yes && outcome.is_none(), "its context was short already");
    }

    #[test]
    fn nothing_replaces_the_short_event_itself() {
        let rejection = Rejection::of(&outgoing(3), SendErrorKind::Expired, "late".into());
        let (yes, outcome) = replaced(
            RecordOutcome::Rejected(Box::new(rejection)),
            Code::InvalidRecord,
        );
        assert!(yes);
        let (yes, outcome) = replaced(outcome.unwrap(), Code::InvalidRecord);
        assert!(!yes && matches!(outcome, Some(RecordOutcome::TooLarge(..))));
    }

    #[test]
    fn a_record_too_large_to_be_put_back_has_expired() {
        let outcome = RecordOutcome::PutBack(outgoing(3), Returned::default());
        let (yes, outcome) = replaced(outcome, Code::MessageSizeTooLarge);
        let Some(RecordOutcome::TooLarge(rejection, None)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(yes);
        assert_eq!(rejection.kind, SendErrorKind::Expired);
    }
}
