//! What is known of records as transactions: the pipeline as the transactor sees it.
//!
//! What a transaction takes, and what becomes of it afterwards, is
//! [the state's](crate::submit::state::transaction) to say.
//!
//! When a topic refuses a record, that concerns its partition and no other: the partition is
//! [set aside](crate::kafka::set_aside), and has no part in transactions, with all that is known
//! of it, until a trial of its own is committed. Its reservation stays as it was committed last,
//! so nothing new of it is sent meanwhile. What can be said shorter is, by a `SendError` in place
//! of what was refused, and then the partition is tried at once; if it is the size that is refused,
//! so is everything of the partition that is as large, so that not each of them costs a transaction.
//!
//! A record that cannot be put back onto its topic for now waits in its partition. But what finished
//! since may have gone so far ahead that the metadata does not reach over both: then the partition
//! is set aside with it, and the record goes when its topic is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode as Code;
use smpp_esme::{Lease, Moment};
use tracing::debug;

use crate::kafka::ErrorClass;
use crate::kafka::notices::{ResultsNotDelivered, TopicRefusesResults};
use crate::kafka::progress::{CommitScope, metadata};
use crate::kafka::set_aside::Why;
use crate::kafka::transaction::{Abort, Commit, Cycle, Records, Settled};
use crate::kafka::transactor::TransactionSource;
use crate::kafka::{Group, Partition, ear, set_aside};
use crate::record::event::SendErrorKind;
use crate::submit::message::outgoing::Rejection;
use crate::submit::notices::{ResultsRefused, ShortAnswerDropped, TopicsGone, TransactionRefused};
use crate::submit::ownership::assignment::PartitionOwner;
use crate::submit::pipeline::Pipeline;
use crate::submit::results::events::Events;
use crate::submit::results::measure;
use crate::submit::state::partition::{PartitionState, Snapshot};
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome};
use crate::submit::state::pipeline::Now;
use crate::submit::state::transaction::{Standing, Terms};

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
    /// What is to be committed.
    pipeline: Arc<Pipeline>,
    /// Told of topics that are gone.
    owner: Arc<PartitionOwner>,
    /// Writes results as records.
    events: Arc<Events>,
    /// In whose name offsets are committed.
    group: Arc<Group>,
    /// Extended by every commit: the right to write submit_sm (2.1 of the contract).
    lease: Lease,
    /// For how long a commit extends it, and how often there is one.
    terms: LeaseTiming,
    /// What the transaction under way carries; empty between two. Only the transactor's thread has it.
    under_way: Mutex<UnderWay>,
}

impl SubmitTransactions {
    /// The ledger of `pipeline`, which extends `lease` with every commit, and tells `owner` of
    /// topics that are gone.
    pub fn new(
        pipeline: Arc<Pipeline>,
        owner: Arc<PartitionOwner>,
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
    fn take(&self, writer: &str, now: Instant) -> Option<(UnderWay, Cycle)> {
        let membership = self.group.membership();
        let standing = || match &membership {
            None => Standing::None,
            Some(membership) if !self.group.is_current(membership) => Standing::Outdated,
            Some(_) => Standing::Member,
        };
        let commit = |partition: &PartitionState, number| self.commit(partition, writer, number);
        let terms = Terms {
            now,
            recommit: self.terms.recommit,
            standing: &standing,
            commit: &commit,
        };
        let begun = self.pipeline.change(|state| state.begin(&terms))?;
        let under_way = UnderWay {
            results: begun.results,
            snapshots: begun.snapshots,
            ..UnderWay::default()
        };
        let cycle = Cycle {
            number: begun.number,
            records: Records::default(),
            offsets: begun.offsets,
            group: membership.as_ref()?.metadata(),
            // Leases of all partitions end when nothing is committed for too long.
            report_timeout: self.terms.recommit * 2,
            trial: begun.trial,
        };
        Some((under_way, cycle))
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

    fn identity<'a>(&'a self, source: &'a Partition) -> CommitScope<'a> {
        CommitScope {
            cluster: self.group.cluster_id(),
            topic: &source.topic,
            partition: source.partition,
        }
    }

    fn committed(&self, under_way: UnderWay, begun: Instant) {
        self.lease.extend(under_way.since, self.terms.validity);
        let took = begun.elapsed();
        let now = Timestamp::now();
        for result in &under_way.results {
            measure::committed(result, now);
        }
        self.pipeline
            .change(|state| state.committed(under_way.snapshots, took));
        for result in &under_way.results {
            self.events.spans.submitted(result);
        }
    }

    /// Puts what was not committed back to where the next transaction finds it.
    fn put_back(&self, under_way: UnderWay) {
        let (snapshots, results) = (under_way.snapshots, under_way.results);
        let now = Instant::now();
        self.pipeline
            .change(|state| state.aborted(&snapshots, results, now));
    }

    /// The record at `index` is refused for what it is; with `larger` for its size, and so is what
    /// is larger.
    fn record_refused(&self, mut under_way: UnderWay, index: usize, code: Code, larger: bool) {
        let Some(origin) = under_way.owners.get(index).cloned() else {
            return self.put_back(under_way);
        };
        let assignment = under_way.results[origin.result].assignment;
        let owners = if larger {
            as_large(&under_way, assignment, &origin)
        } else {
            [origin.result].into()
        };
        let mut replaced = false;
        // One that is left out moves those behind it.
        for owner in owners.iter().rev() {
            replaced |= replace(&mut under_way.results, *owner, code) && *owner == origin.result;
        }
        if replaced {
            ResultsRefused {
                assignment,
                topic: &origin.topic,
                code: &code,
                count: owners.len(),
            }
            .emit();
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
        let now = Now::read();
        let results = &mut under_way.results;
        let left = (self.pipeline).change(|state| state.reopen(results, &topic, now));
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
        let topic = rejection.topic.clone();
        let pause = set_aside::pauses(self.terms.recommit);
        let (why, replaced, now) = (rejection.why, rejection.replaced, Instant::now());
        let (partitions, news) =
            (self.pipeline).change(|state| state.set_aside(rejection, pause, now));
        if replaced {
            debug!(topic = &*topic, %partitions, "tried in a transaction of their own");
        } else if news && why == Why::Unavailable {
            ResultsNotDelivered {
                topic: &topic,
                partitions: &partitions,
            }
            .emit();
        } else if news {
            let cause = ear::not_written(self.group.client(), &topic, code);
            TopicRefusesResults {
                topic: &topic,
                partitions: &partitions,
                cause: &cause,
            }
            .emit();
        } else {
            debug!(topic = &*topic, %partitions, %code, "results are still refused");
        }
    }
}

impl TransactionSource for SubmitTransactions {
    fn begin(&self, transactional_id: &str) -> Option<Cycle> {
        let since = Moment::now();
        let (mut under_way, mut cycle) = self.take(transactional_id, Instant::now())?;
        under_way.since = since;
        // A response and its correlation entry of most.
        let mut records = Vec::with_capacity(2 * under_way.results.len());
        for (index, result) in under_way.results.iter().enumerate() {
            self.events.write(result, &mut records);
            let new = &records[under_way.owners.len()..];
            let origins = new.iter().map(|output| Origin {
                result: index,
                topic: output.topic.clone(),
                octets: output.size(),
            });
            under_way.owners.extend(origins);
        }
        cycle.records = records.into_iter().collect();
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
                // Partitions moved while it was under way, as in every rolling restart. If it goes
                // on, the lease ends, and that is said.
                TransactionRefused { why: &why }.emit();
                self.put_back(under_way);
            }
            Settled::Aborted(Abort::Trouble(why)) => {
                ear::failed("transaction failed; it is tried again", why);
                self.put_back(under_way);
            }
            // The second ends the process.
            Settled::Aborted(Abort::Refused | Abort::Impossible(_)) => self.put_back(under_way),
            Settled::Aborted(Abort::Gone(topics)) => {
                TopicsGone { topics: &topics }.emit();
                self.put_back(under_way);
                self.owner.topics_gone(&topics);
            }
            Settled::Unknown => {
                let (snapshots, results) = (under_way.snapshots, under_way.results);
                let now = Instant::now();
                self.pipeline
                    .change(|state| state.forgotten(&snapshots, results, now));
            }
        }
    }
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
            ShortAnswerDropped { code: &code }.emit();
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
    if ErrorClass::of(code) == ErrorClass::TooLarge {
        SendErrorKind::EventTooLarge
    } else {
        SendErrorKind::EventRefused
    }
}

/// Why the whole event is not there.
fn why(code: Code) -> String {
    if ErrorClass::of(code) == ErrorClass::TooLarge {
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
