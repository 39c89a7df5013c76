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

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode as Code;
use tracing::{error, warn};

use crate::esme::{Lease, Moment};
use crate::kafka::progress::{Identity, metadata};
use crate::kafka::transactor::{Abort, Commit, Cycle, Ledger, Settled};
use crate::kafka::{Group, Membership, Partition};
use crate::record::event::SendErrorKind;

use super::books::{Books, State};
use super::entry::{Entry, Fate, LaneId};
use super::events::Events;
use super::job::Refusal;
use super::lane::Snapshot;
use super::owner::Owner;

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
    /// For each record of the cycle, the entry it comes from.
    owners: Vec<usize>,
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
        let mut entries = std::mem::take(&mut state.gathered);
        plan(state, &mut entries, now, self.horizon(state.cycle_time));
        let orphans = apply(state, &mut entries);
        let orphans = state.remember(orphans);
        let mut touched: Vec<LaneId> = entries.iter().map(|e| e.lane).collect();
        let due = |(id, held): (&LaneId, &super::books::Held)| {
            held.lane
                .needs_commit(now, self.terms.recommit)
                .then_some(*id)
        };
        touched.extend(state.lanes.iter().filter_map(due));
        touched.sort_unstable();
        touched.dedup();
        let current = |m: &Membership| self.group.is_current(m);
        let membership = membership.filter(current);
        let work = membership.map(|m| (m, state.kept.due(now)));
        let work = work.filter(|(_, kept)| !touched.is_empty() || !kept.is_empty());
        let Some((membership, mut offsets)) = work else {
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
                let progress = held.lane.progress();
                let source = held.lane.source();
                let metadata = metadata::encode(progress, &self.identity(source), writer, number);
                offsets.push(Commit {
                    topic: source.topic.clone(),
                    partition: source.partition,
                    offset: progress.base(),
                    metadata,
                });
            }
        }
        under_way.entries = entries;
        let cycle = Cycle {
            number,
            records: Vec::new(),
            offsets,
            group: membership.metadata(),
        };
        Some((under_way, cycle, orphans))
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
        let mut state = self.books.state.lock();
        state.under_way = None;
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

    /// A record that Kafka refuses for good is replaced by one that says so.
    fn replace(&self, under_way: &mut UnderWay, index: usize, code: Code) {
        let Some(&owner) = under_way.owners.get(index) else {
            return;
        };
        let too_large = matches!(code, Code::MessageSizeTooLarge | Code::InvalidMessageSize);
        let put_back = matches!(under_way.entries[owner].fate, Fate::PutBack(..));
        if !too_large && !put_back {
            error!(%code, "Kafka refuses a result; nothing is finished until its topic takes it");
            return;
        }
        let entry = &mut under_way.entries[owner];
        warn!(lane = entry.lane, %code, "a record is refused by its topic; a short event replaces it");
        if let Fate::Taken(_, _, whole @ true) = &mut entry.fate {
            *whole = false;
            return;
        }
        let refusal = match &entry.fate {
            Fate::Answered(sent, answer) => Refusal {
                offset: sent.offset,
                letter: sent.letter.clone(),
                kind: SendErrorKind::EventTooLarge,
                field: None,
                text: format!(
                    "the SMSC answered {} (message_id {:?}), but the event is larger than its topic takes; raise max.message.bytes or shorten extra_data",
                    answer.status,
                    String::from_utf8_lossy(&answer.message_id)
                ),
                status: Some(answer.status),
                parts: sent.parts.clone(),
                attempt: sent.attempt,
                possible_duplicate: sent.possible_duplicate,
                with_original: false,
                held: 0,
            },
            Fate::Refused(refusal) => Refusal {
                offset: refusal.offset,
                letter: refusal.letter.clone(),
                kind: refusal.kind,
                field: refusal.field.clone(),
                text: format!(
                    "{} (shortened: the whole event is larger than its topic takes)",
                    refusal.text
                ),
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
            Fate::Taken(..) | Fate::Late(..) => {
                error!(%code, "even the short record of an answer is too large for its topic; it is dropped");
                under_way.entries.remove(owner);
                return;
            }
            Fate::TooLarge(..) => {
                error!(
                    %code,
                    "even an event of a few thousand octets is too large for its topic, and nothing is finished without one: raise max.message.bytes of the result topics"
                );
                return;
            }
        };
        // What was too large may be anything the record brought: extra data, headers, names.
        let short = Fate::TooLarge(Box::new(refusal.shortened()), None);
        if let Fate::Answered(mut sent, answer) = std::mem::replace(&mut entry.fate, short)
            && let Fate::TooLarge(refusal, answered) = &mut entry.fate
        {
            sent.letter = refusal.letter.clone();
            *answered = Some((sent, answer));
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
            under_way.owners.resize(cycle.records.len(), index);
        }
        *self.under_way.lock() = under_way;
        Some(cycle)
    }

    fn settled(&self, outcome: Settled) {
        let mut under_way = std::mem::take(&mut *self.under_way.lock());
        match outcome {
            Settled::Committed { begun } => self.committed(under_way, begun),
            Settled::Aborted(abort) => {
                match &abort {
                    Abort::Record { index, code } | Abort::Topic { index, code } => {
                        self.replace(&mut under_way, *index, *code);
                    }
                    Abort::Fenced(why) => warn!(why, "transaction refused; it is tried again"),
                    Abort::Gone(topics) => error!(
                        ?topics,
                        "these topics are gone; their partitions are left out until they are back"
                    ),
                    Abort::Trouble(why) => warn!(why, "transaction failed; it is tried again"),
                }
                self.put_back(under_way);
                if let Abort::Gone(topics) = &abort {
                    self.owner.topics_gone(topics);
                }
            }
            Settled::Unknown => {
                let mut state = self.books.state.lock();
                state.under_way = None;
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
        for refusal in held.lane.plan(now, entries.len() < MOST_GATHERED) {
            entries.push(Entry {
                lane: *id,
                applied: true,
                fate: Fate::Refused(Box::new(refusal)),
            });
        }
    }
    for station in state.stations.values_mut() {
        station.share(&mut state.lanes, time);
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
