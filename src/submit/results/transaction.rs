//! The books as the transactor sees them.
//!
//! A transaction takes *everything* that is known at the moment it begins, under the lock:
//! all fates gathered, and the progress of every lane they belong to. Taking only part of
//! it would be wrong: a lowered reservation must never be committed without the fates of
//! the records above it, or a successor would send them again.
//!
//! When a transaction is aborted, its fates are still in the progress of their lanes, and go
//! back to the head of what is gathered: the next transaction carries both. What belongs to
//! a lane that has been given up meanwhile is published as late, outside any transaction.
//!
//! When a topic refuses a record, that concerns its lane and no other: the lane is
//! [set aside](crate::kafka::set_aside), and has no part in transactions, with all that is known
//! of it, until a trial of its own is committed. Its reservation stays as it was committed last,
//! so nothing new of it is sent meanwhile. What can be said shorter is, by a `SendError` in place
//! of what was refused, and then the lane is tried at once; if it is the size that is refused,
//! so is everything of the lane that is as large, lest each costs a transaction.
//!
//! A record that cannot be put back onto its topic for now waits in its lane. But what finished
//! since may have gone so far ahead that the metadata does not reach over both: then the lane is
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

use crate::submit::message::outgoing::Refusal;
use crate::submit::ownership::assignment::Owner;
use crate::submit::pipeline::{Books, State};
use crate::submit::results::events::Events;
use crate::submit::state::partition::{Lane, Snapshot};
use crate::submit::state::pending::{Entry, Fate, LaneId};

/// Reservations never reach further than this, however slow Kafka is.
const LONGEST_HORIZON: Duration = Duration::from_secs(2);

/// While so many fates wait for a transaction, no record is refused: Kafka is in trouble, and
/// what cannot be read waits where its memory is counted.
const MOST_GATHERED: usize = 10_000;

/// How the books and the lease on them are kept.
#[derive(Clone, Debug)]
pub struct Terms {
    /// A lane whose last commit is older than this is committed again: the proof that its
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
    entries: Vec<Entry>,
    snapshots: Vec<(LaneId, Snapshot)>,
    /// For each record of the cycle, where it comes from.
    owners: Vec<Origin>,
}

/// Where a record of a transaction comes from.
#[derive(Clone)]
struct Origin {
    /// The entry it tells of.
    entry: usize,
    /// Where it goes.
    topic: Arc<str>,
    /// About how many octets it has.
    octets: usize,
}

/// See the [module](self).
pub struct SubmitLedger {
    books: Arc<Books>,
    owner: Arc<Owner>,
    events: Arc<Events>,
    group: Arc<Group>,
    lease: Lease,
    terms: Terms,
    under_way: Mutex<UnderWay>,
}

impl SubmitLedger {
    /// The ledger of `books`, which extends `lease` with every commit, and tells `owner` of
    /// topics that are gone.
    pub fn new(
        books: Arc<Books>,
        owner: Arc<Owner>,
        events: Arc<Events>,
        group: Arc<Group>,
        lease: Lease,
        terms: Terms,
    ) -> Self {
        SubmitLedger {
            books,
            owner,
            events,
            group,
            lease,
            terms,
            under_way: Mutex::default(),
        }
    }

    /// Everything that belongs into a transaction begun now.
    fn gather(&self, writer: &str, now: Instant) -> Option<(UnderWay, Cycle, Vec<Entry>)> {
        let membership = self.group.membership();
        let mut guard = self.books.state.lock();
        let state = &mut *guard;
        state.aside.begin(now);
        let aside = &state.aside;
        let part = |e: &mut Entry| aside.takes_part(&e.lane);
        let mut entries: Vec<Entry> = state.gathered.extract_if(.., part).collect();
        plan(state, &mut entries, now, self.horizon(state.cycle_time));
        let orphans = apply(state, &mut entries);
        let orphans = state.remember(orphans);
        let mut touched: Vec<LaneId> = entries.iter().map(|e| e.lane).collect();
        let due = |(id, held): &(&LaneId, &crate::submit::pipeline::Held)| {
            state.aside.takes_part(id) && held.lane.needs_commit(now, self.terms.recommit)
        };
        touched.extend(state.lanes.iter().filter(due).map(|(id, _)| *id));
        touched.sort_unstable();
        touched.dedup();
        if touched.is_empty() && state.aside.nothing(now) {
            // What was refused is not to be told any more, or it is a trial's turn.
            self.books.wake_transactor();
        }
        let current = |m: &Membership| self.group.is_current(m);
        if membership.as_ref().is_some_and(|m| !current(m)) {
            // There was a callback in between: once more, with what it changed.
            self.books.wake_transactor();
        }
        let membership = membership.filter(current);
        let work = membership.map(|m| (m, state.kept.due(now)));
        let work = work.filter(|(_, kept)| !touched.is_empty() || !kept.is_empty());
        let Some((membership, mut offsets)) = work else {
            entries.append(&mut state.gathered);
            state.gathered = entries;
            drop(guard);
            self.books.side.publish_orphans(orphans);
            return None;
        };
        state.cycle += 1;
        let number = state.cycle;
        state.under_way = Some(number);
        let mut under_way = UnderWay::default();
        for id in touched {
            if let Some(held) = state.lanes.get_mut(&id) {
                under_way.snapshots.push((id, held.lane.snapshot(now)));
                offsets.push(self.commit(&held.lane, writer, number));
            }
        }
        under_way.entries = entries;
        let cycle = Cycle {
            number,
            records: Vec::new(),
            offsets,
            group: membership.metadata(),
            // Leases of all lanes end when nothing is committed for too long.
            patience: self.terms.recommit * 2,
            trial: state.aside.trial(self.terms.recommit),
        };
        Some((under_way, cycle, orphans))
    }

    /// The offset of a lane, and what is known besides.
    fn commit(&self, lane: &Lane, writer: &str, cycle: u64) -> Commit {
        let (progress, source) = (lane.progress(), lane.source());
        Commit {
            topic: source.topic.clone(),
            partition: source.partition,
            offset: progress.base(),
            metadata: metadata::encode(progress, &self.identity(source), writer, cycle),
        }
    }

    /// How far ahead to reserve: a reservation is granted one cycle after it was made and has
    /// to last until the next one is, so slow cycles need a longer one.
    fn horizon(&self, cycle: Duration) -> Duration {
        let configured = self.books.settings.reserve_horizon.get();
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
        let mut guard = self.books.state.lock();
        let state = &mut *guard;
        state.under_way = None;
        if let Some((topic, lanes)) = state.aside.committed() {
            let partitions = state.names(&lanes);
            info!(topic = &*topic, %partitions, "the topic takes their results again");
            self.books.wake_transactor();
        }
        state.cycle_time = (state.cycle_time * 7 + begun.elapsed()) / 8;
        for (id, snapshot) in under_way.snapshots {
            let Some(held) = state.lanes.get_mut(&id) else {
                continue;
            };
            let station = state.stations.get(&held.station);
            let source = held.lane.source().clone();
            if held.lane.committed(snapshot) {
                self.books.poll.start(source, held.lane.next_offset());
                if let Some(station) = station {
                    station.opened.notify_one();
                }
            } else if held.lane.may_resume() {
                self.books.poll.resume(source);
            }
            if let Some(station) = station {
                station.wake();
            }
        }
        let more = state.lanes.values().any(|h| h.lane.has_more());
        drop(guard);
        self.books.settled.notify_all();
        if more {
            self.books.wake_transactor();
        }
    }

    /// Puts what was not committed back to where the next transaction finds it.
    fn put_back(&self, mut under_way: UnderWay) {
        let now = Instant::now();
        let mut state = self.books.state.lock();
        state.under_way = None;
        state.aside.aborted(now);
        for (id, _) in &under_way.snapshots {
            if let Some(held) = state.lanes.get_mut(id) {
                held.lane.not_committed();
            }
        }
        let gone = |e: &mut Entry| !state.lanes.contains_key(&e.lane);
        let orphans: Vec<Entry> = under_way.entries.extract_if(.., gone).collect();
        let orphans = state.remember(orphans);
        let since = std::mem::replace(&mut state.gathered, under_way.entries);
        state.gathered.extend(since);
        drop(state);
        self.books.settled.notify_all();
        self.books.side.publish_orphans(orphans);
    }

    /// The record at `index` is refused for what it is.
    /// The record at `index` is refused for what it is; with `larger` for its size, and so is what
    /// is larger.
    fn record_refused(&self, mut under_way: UnderWay, index: usize, code: Code, larger: bool) {
        let Some(origin) = under_way.owners.get(index).cloned() else {
            return self.put_back(under_way);
        };
        let lane = under_way.entries[origin.entry].lane;
        let owners = match larger {
            true => as_large(&under_way, lane, &origin),
            false => [origin.entry].into(),
        };
        let mut replaced = false;
        // One that is left out moves those behind it.
        for owner in owners.iter().rev() {
            replaced |= replace(&mut under_way.entries, *owner, code) && *owner == origin.entry;
        }
        if replaced {
            warn!(lane, topic = &*origin.topic, %code, count = owners.len(), "records are refused by their topic; what can be said shorter is");
        }
        let refusal = set_aside::Refusal {
            topic: origin.topic,
            why: Why::Record,
            replaced,
            partitions: [lane].into(),
        };
        self.refused(refusal, code);
        self.put_back(under_way);
    }

    /// The topic of the record at `index` takes none, whatever they are.
    fn topic_refused(&self, mut under_way: UnderWay, index: usize, code: Code) {
        let Some(Origin { topic, .. }) = under_way.owners.get(index).cloned() else {
            return self.put_back(under_way);
        };
        let there = under_way.owners.iter().filter(|o| o.topic == topic);
        let owners: BTreeSet<usize> = there.map(|o| o.entry).collect();
        if code == Code::TopicAuthorizationFailed {
            for owner in &owners {
                if matches!(under_way.entries[*owner].fate, Fate::PutBack(..)) {
                    replace(&mut under_way.entries, *owner, code);
                }
            }
        }
        let mut lanes = BTreeSet::new();
        for entry in owners.iter().map(|owner| &under_way.entries[*owner]) {
            if !matches!(entry.fate, Fate::PutBack(..)) {
                lanes.insert(entry.lane);
            }
        }
        let now = Instant::now();
        let left = (self.books.state.lock()).reopen(&mut under_way.entries, &topic, now);
        lanes.extend(left);
        self.set_aside(topic, Why::Topic, lanes, code);
        self.put_back(under_way);
    }

    /// The partitions that these records go to are not available. A record that is put back
    /// onto one waits with its lane: another that comes after it would cost as long again.
    fn unavailable(&self, under_way: UnderWay, indexes: &[usize]) {
        let mut topics: BTreeMap<Arc<str>, BTreeSet<LaneId>> = BTreeMap::new();
        for origin in indexes.iter().filter_map(|i| under_way.owners.get(*i)) {
            let lanes = topics.entry(origin.topic.clone()).or_default();
            lanes.insert(under_way.entries[origin.entry].lane);
        }
        for (topic, lanes) in topics {
            self.set_aside(topic, Why::Unavailable, lanes, Code::MessageTimedOut);
        }
        self.put_back(under_way);
    }

    fn set_aside(&self, topic: Arc<str>, why: Why, partitions: BTreeSet<LaneId>, code: Code) {
        if !partitions.is_empty() {
            let refusal = set_aside::Refusal {
                topic,
                why,
                replaced: false,
                partitions,
            };
            self.refused(refusal, code);
        }
    }

    /// These lanes have no part in transactions until the topic takes their results.
    fn refused(&self, refusal: set_aside::Refusal<LaneId>, code: Code) {
        let mut state = self.books.state.lock();
        let topic = refusal.topic.clone();
        let partitions = state.names(&refusal.partitions);
        let pause = set_aside::pauses(self.terms.recommit);
        let (why, replaced) = (refusal.why, refusal.replaced);
        let news = state.aside.refused(refusal, pause, Instant::now());
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

impl Ledger for SubmitLedger {
    fn begin(&self, writer: &str) -> Option<Cycle> {
        let since = Moment::now();
        let (mut under_way, mut cycle, orphans) = self.gather(writer, Instant::now())?;
        under_way.since = since;
        self.books.side.publish_orphans(orphans);
        for (index, entry) in under_way.entries.iter().enumerate() {
            self.events.write(entry, &mut cycle.records);
            let new = &cycle.records[under_way.owners.len()..];
            let origins = new.iter().map(|output| Origin {
                entry: index,
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
                let mut state = self.books.state.lock();
                state.under_way = None;
                state.aside.aborted(Instant::now());
                for (id, _) in &under_way.snapshots {
                    if let Some(held) = state.lanes.get_mut(id) {
                        held.lane.not_committed();
                    }
                }
                drop(state);
                self.books.settled.notify_all();
                self.books.side.publish_orphans(under_way.entries);
            }
        }
    }
}

/// Lets every lane finish what needs no sending and make ready what comes next.
fn plan(state: &mut State, entries: &mut Vec<Entry>, now: Instant, time: Duration) {
    for (id, held) in &mut state.lanes {
        if !state.aside.takes_part(id) {
            if state.aside.is_held(id) {
                held.lane.hold_uncommitted();
            }
            continue;
        }
        for refusal in held.lane.plan(now, entries.len() < MOST_GATHERED) {
            entries.push(Entry {
                lane: *id,
                applied: true,
                fate: Fate::Refused(Box::new(refusal)),
            });
        }
    }
    for station in state.stations.values_mut() {
        station.share(&mut state.lanes, time, |id| state.aside.takes_part(id));
    }
}

/// Brings the fates into the progress of their lanes. Returns those without a lane.
fn apply(state: &mut State, entries: &mut Vec<Entry>) -> Vec<Entry> {
    let orphan = |entry: &mut Entry| {
        let Some(held) = state.lanes.get_mut(&entry.lane) else {
            return true;
        };
        if !entry.applied
            && let Some((offset, octets)) = entry.finishes()
        {
            held.lane.finish(offset, octets);
        }
        entry.applied = true;
        false
    };
    entries.extract_if(.., orphan).collect()
}

/// The entries of a lane with a record for the same topic that is as large at least as the one
/// that was refused.
fn as_large(under_way: &UnderWay, lane: LaneId, refused: &Origin) -> BTreeSet<usize> {
    let large = |o: &&Origin| {
        let theirs = under_way.entries[o.entry].lane == lane;
        theirs && o.topic == refused.topic && o.octets >= refused.octets
    };
    under_way
        .owners
        .iter()
        .filter(large)
        .map(|o| o.entry)
        .collect()
}

/// Replaces the entry whose record is refused by one that says so in fewer words, or leaves it
/// out if it is no result. `false` if there is nothing shorter to say.
fn replace(entries: &mut Vec<Entry>, owner: usize, code: Code) -> bool {
    let entry = &mut entries[owner];
    let refusal = match &mut entry.fate {
        Fate::Taken(_, _, whole @ true) => {
            *whole = false;
            return true;
        }
        Fate::Late(sent, _) if !sent.letter.is_short() => {
            sent.letter = Arc::new(sent.letter.shortened());
            return true;
        }
        Fate::Taken(..) | Fate::Late(..) => {
            error!(%code, "even the short record of an answer is refused by its topic; it is dropped");
            entries.remove(owner);
            return true;
        }
        Fate::TooLarge(..) => return false,
        Fate::Answered(sent, answer) => Refusal {
            offset: sent.offset,
            letter: sent.letter.clone(),
            kind: event_refused(code),
            field: None,
            text: format!(
                "the SMSC answered {} (message_id {:?}), but {}",
                answer.status,
                String::from_utf8_lossy(&answer.message_id),
                why(code),
            ),
            status: Some(answer.status),
            parts: sent.parts.clone(),
            attempt: sent.attempt,
            possible_duplicate: sent.possible_duplicate,
            with_original: false,
            held: 0,
        },
        Fate::Refused(refusal) => Refusal {
            letter: refusal.letter.clone(),
            field: refusal.field.clone(),
            text: format!("{} (shortened: {})", refusal.text, why(code)),
            with_original: false,
            parts: refusal.parts.clone(),
            ..**refusal
        },
        Fate::PutBack(job, _) => Refusal::of(
            job,
            SendErrorKind::Expired,
            format!(
                "the SMSC asked to try again later, but the record could not be put back onto its topic: {code}"
            ),
        ),
    };
    // What was too large may be anything the record brought: extra data, headers, names.
    let short = Fate::TooLarge(Box::new(refusal.shortened()), None);
    if let Fate::Answered(mut sent, answer) = std::mem::replace(&mut entry.fate, short)
        && let Fate::TooLarge(refusal, answered) = &mut entry.fate
    {
        sent.letter = refusal.letter.clone();
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
    use crate::submit::state::partition::tests::job;
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
        (Box::new(Sent::of(&job(3), &"bind".into())), answer)
    }

    /// What `fate` is replaced by when its topic refuses it for `code`.
    fn replaced(fate: Fate, code: Code) -> (bool, Option<Fate>) {
        let mut entries = vec![Entry::new(7, fate)];
        let replaced = replace(&mut entries, 0, code);
        (replaced, entries.pop().map(|entry| entry.fate))
    }

    #[test]
    fn an_answer_that_its_topic_refuses_becomes_an_error_that_says_so() {
        for (code, kind) in [
            (Code::MessageSizeTooLarge, SendErrorKind::EventTooLarge),
            (Code::InvalidRecord, SendErrorKind::EventRefused),
            (Code::InvalidTimestamp, SendErrorKind::EventRefused),
        ] {
            let (sent, answer) = answered();
            let (replaced, fate) = replaced(Fate::Answered(sent, answer), code);
            assert!(replaced);
            let Some(Fate::TooLarge(refusal, Some((sent, _)))) = fate else {
                panic!("{fate:?}")
            };
            assert_eq!((refusal.kind, refusal.status), (kind, Some(Status::ROK)));
            assert!(refusal.text.contains("A1"), "{}", refusal.text);
            assert!(sent.letter.is_short());
        }
    }

    #[test]
    fn what_is_as_large_as_what_was_refused_is_replaced_with_it() {
        let mut under_way = UnderWay::default();
        for (entry, (lane, topic, octets)) in [
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
            let fate = Fate::Answered(sent, answer);
            under_way.entries.push(Entry::new(lane, fate));
            under_way.owners.push(Origin {
                entry,
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
        let (yes, fate) = replaced(Fate::Taken(sent, answer, true), Code::InvalidRecord);
        assert!(yes && matches!(fate, Some(Fate::Taken(.., false))));
        let (sent, answer) = answered();
        let (yes, fate) = replaced(Fate::Taken(sent, answer, false), Code::InvalidRecord);
        assert!(yes && fate.is_none());
        let (sent, answer) = answered();
        let (yes, fate) = replaced(Fate::Late(sent, answer), Code::InvalidRecord);
        assert!(yes && fate.is_none(), "its letter was short already");
    }

    #[test]
    fn nothing_replaces_the_short_event_itself() {
        let refusal = Refusal::of(&job(3), SendErrorKind::Expired, "late".into());
        let (yes, fate) = replaced(Fate::Refused(Box::new(refusal)), Code::InvalidRecord);
        assert!(yes);
        let (yes, fate) = replaced(fate.unwrap(), Code::InvalidRecord);
        assert!(!yes && matches!(fate, Some(Fate::TooLarge(..))));
    }

    #[test]
    fn a_record_too_large_to_be_put_back_has_expired() {
        let fate = Fate::PutBack(job(3), Returned::default());
        let (yes, fate) = replaced(fate, Code::MessageSizeTooLarge);
        let Some(Fate::TooLarge(refusal, None)) = fate else {
            panic!("{fate:?}")
        };
        assert!(yes);
        assert_eq!(refusal.kind, SendErrorKind::Expired);
    }
}
