//! Random histories of one bind group: what a crash at any moment would make of every record.
//!
//! - A record that the SMSC may have is finished or in doubt for a successor, whichever of the
//!   transactions was the last to be committed.
//! - In doubt are those that a session was handed, and at most one window more for each bind.
//! - When everything is answered and committed, nothing is left in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use proptest::prelude::*;
use rdkafka::config::ClientConfig;

use super::*;
use crate::kafka::progress::{CommitScope, Progress, metadata};
use crate::settings::InDoubt;
use crate::submit::results::events::Events;
use crate::submit::state::partition::{self, Snapshot};
use crate::submit::state::segments::Segments;
use bytes::Bytes;
use smpp_esme::{Answer, Doubt, Outcome};
use smpp_protocol::frame::push_empty;
use smpp_protocol::{Command, Status};

const WINDOW: usize = 6;

type Record = (usize, i64);

struct World {
    pipeline: Pipeline,
    binds: Vec<BindRef>,
    assignments: Vec<AssignmentId>,
    next: Vec<i64>,
    /// What the sessions have, by token.
    with: BTreeMap<u64, (usize, Record)>,
    /// What the sessions waited for too long: an answer may still come.
    late: BTreeMap<u64, (usize, Record)>,
    /// How many sendings of a record the SMSC may have taken, and nothing says so yet.
    taken: BTreeMap<Record, u32>,
    /// What was handed to a session at least once.
    handed: BTreeSet<Record>,
    /// What is committed of each partition.
    durable: Vec<Progress>,
    /// The transaction under way: what it carries.
    under_way: Option<Vec<(Snapshot, Progress)>>,
    finishing: Vec<Record>,
    /// How far the clock is ahead: what is delayed becomes due.
    ahead: Duration,
}

impl World {
    fn new(priorities: &[usize]) -> World {
        let late_producer =
            LateProducer::new(&ClientConfig::new(), Arc::new(Events::default())).unwrap();
        let settings = Settings::default();
        let pipeline = Pipeline::new(settings, late_producer, poll::Handle::default(), "me");
        let (group, _) = pipeline.add_group(WINDOW, f64::INFINITY);
        let names = ["acme-i.0", "acme-i.1"];
        let binds = names.map(|name| pipeline.add_bind(group, name.into(), true).0);
        let assignments: Vec<AssignmentId> = (0..)
            .zip(priorities)
            .map(|(n, p)| pipeline.assigned(partition(n), Start::fresh(0, 0), group, *p))
            .collect();
        let mut world = World {
            pipeline,
            binds: binds.into(),
            next: vec![0; assignments.len()],
            durable: vec![Progress::new(0); assignments.len()],
            assignments,
            with: BTreeMap::new(),
            late: BTreeMap::new(),
            taken: BTreeMap::new(),
            handed: BTreeSet::new(),
            under_way: None,
            finishing: Vec::new(),
            ahead: Duration::ZERO,
        };
        world.begin();
        world.settle(true);
        world
    }

    fn fetch(&mut self, number: usize, gap: bool, segments: usize, in_doubt: InDoubt) {
        let offset = self.next[number] + i64::from(gap);
        self.next[number] = offset + 1;
        let mut outgoing = partition::tests::outgoing(offset);
        outgoing.in_doubt = in_doubt;
        if segments > 1 {
            let mut pdus = Vec::new();
            for _ in 0..segments {
                push_empty(Command::SUBMIT_SM, Status::ROK, 0, &mut pdus);
            }
            outgoing.pdu = pdus.into();
            outgoing.segments = Segments::split(&outgoing.pdu).map(Box::new);
        }
        let partition = partition(i32::try_from(number).unwrap());
        self.pipeline
            .fetched(&partition, offset, Incoming::Message(outgoing, None));
    }

    fn pick(&mut self, bind: usize, most: usize) {
        let with = self.with.values().filter(|(b, _)| *b == bind).count();
        let mut picked = Vec::new();
        let most = most.min(WINDOW - with.min(WINDOW));
        self.pipeline.pick(&self.binds[bind], most, &mut picked);
        let mut state = self.pipeline.state.lock();
        for record in picked {
            let found = match state.in_flight.get(&record.token) {
                Some(out) => (out.assignment, out.outgoing.offset),
                None => {
                    let (id, offset, _) = state.segmented.segment_of(record.token).unwrap();
                    (id, offset)
                }
            };
            let partition = self.assignments.iter().position(|l| *l == found.0).unwrap();
            let record_of = (partition, found.1);
            self.with.insert(record.token, (bind, record_of));
            self.handed.insert(record_of);
            *self.taken.entry(record_of).or_default() += 1;
        }
    }

    /// One that a session has: its token, and what is expected of it.
    fn outcome(&mut self, index: usize, outcome: Outcome) {
        let Some(token) = self
            .with
            .keys()
            .nth(index % self.with.len().max(1))
            .copied()
        else {
            return;
        };
        self.tell(token, outcome);
    }

    fn tell(&mut self, token: u64, outcome: Outcome) {
        let Some((bind, record)) = self.with.remove(&token) else {
            return;
        };
        if outcome == Outcome::InDoubt(Doubt::Timeout) {
            self.late.insert(token, (bind, record));
        }
        let not_taken = match &outcome {
            Outcome::Answered(answer) => answer.status != Status::ROK,
            Outcome::NotSent => true,
            Outcome::InDoubt(_) | Outcome::Late(_) => false,
        };
        if not_taken && let Some(count) = self.taken.get_mut(&record) {
            *count -= 1;
        }
        self.pipeline.outcome(&self.binds[bind], token, outcome);
    }

    /// The SMSC takes one after all whose time-out has come.
    fn answer_late(&mut self, index: usize) {
        let tokens = self.late.keys();
        if let Some(token) = tokens.copied().nth(index % self.late.len().max(1)) {
            let Some((bind, _)) = self.late.remove(&token) else {
                return;
            };
            let Outcome::Answered(answer) = answered(Status::ROK) else {
                return;
            };
            self.pipeline
                .outcome(&self.binds[bind], token, Outcome::Late(answer));
        }
    }

    fn lose_session(&mut self, bind: usize, written: bool) {
        self.late.retain(|_, (b, _)| *b != bind);
        let theirs = self.with.iter().filter(|(_, (b, _))| *b == bind);
        let tokens: Vec<u64> = theirs.map(|(token, _)| *token).collect();
        for (n, token) in tokens.into_iter().enumerate() {
            let outcome = if written || n % 2 == 0 {
                Outcome::InDoubt(Doubt::ConnectionLost)
            } else {
                Outcome::NotSent
            };
            self.tell(token, outcome);
        }
        self.pipeline.unbound(&self.binds[bind]);
    }

    /// A transaction begins, as the ledger begins it.
    fn begin(&mut self) {
        if self.under_way.is_some() {
            return;
        }
        let mut guard = self.pipeline.state.lock();
        let state = &mut *guard;
        let gathered = state.take_outboxes();
        let now = Instant::now() + self.ahead;
        for held in state.assignments.values_mut() {
            held.partition.plan(now, true);
        }
        for group in state.groups.values_mut() {
            let time = Duration::from_millis(300);
            group.share(&mut state.assignments, time, WINDOW, |_| true);
        }
        for result in gathered {
            if let Some((offset, octets)) = result.finishes() {
                let held = state.assignments.get_mut(&result.assignment).unwrap();
                held.partition.finish(offset, octets);
                let partition = self
                    .assignments
                    .iter()
                    .position(|l| *l == result.assignment)
                    .unwrap();
                self.finishing.push((partition, offset));
            }
        }
        let snapshots = self.assignments.iter().map(|id| {
            let partition = &mut state.assignments.get_mut(id).unwrap().partition;
            let snapshot = partition.snapshot(now);
            (snapshot, partition.progress().clone())
        });
        self.under_way = Some(snapshots.collect());
    }

    fn settle(&mut self, committed: bool) {
        let Some(snapshots) = self.under_way.take() else {
            return;
        };
        let mut state = self.pipeline.state.lock();
        for (n, (snapshot, progress)) in snapshots.into_iter().enumerate() {
            let partition = &mut state
                .assignments
                .get_mut(&self.assignments[n])
                .unwrap()
                .partition;
            if committed {
                partition.committed(snapshot);
                self.durable[n] = progress;
            } else {
                partition.not_committed();
            }
        }
        drop(state);
        if committed {
            for record in self.finishing.drain(..) {
                self.taken.remove(&record);
            }
        }
    }

    /// What a crash now would make of every record, if `durable` is what was committed last.
    fn crash(&self, durable: &[&Progress], finished: &[Record]) -> Result<(), TestCaseError> {
        let mut too_many = 0;
        for (n, progress) in durable.iter().enumerate() {
            let here = CommitScope {
                cluster: "c",
                topic: "outbound",
                partition: 0,
            };
            let line = metadata::encode(progress, &here, "me", 1);
            let mut found = metadata::decode(progress.base(), &line, &here)
                .unwrap()
                .progress;
            let before = found.clone();
            found.take_over(self.next[n]);
            for offset in 0..self.next[n] {
                let may_have = self.taken.get(&(n, offset)).is_some_and(|c| *c > 0)
                    && !finished.contains(&(n, offset));
                let in_doubt = found.attempts(offset) > 0;
                prop_assert!(
                    !may_have || in_doubt || found.is_finished(offset),
                    "{offset} of partition {n} may have been sent, and nothing says so: {line}"
                );
                let new = found.attempts(offset) > before.attempts(offset);
                let had = may_have || self.handed.contains(&(n, offset));
                too_many += usize::from(new && !had);
            }
        }
        prop_assert!(
            too_many <= WINDOW * self.binds.len(),
            "{too_many} would be in doubt that no session was handed"
        );
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let durable: Vec<&Progress> = self.durable.iter().collect();
        self.crash(&durable, &[])?;
        if let Some(under_way) = &self.under_way {
            let durable: Vec<&Progress> = under_way.iter().map(|(_, p)| p).collect();
            self.crash(&durable, &self.finishing)?;
        }
        let state = self.pipeline.state.lock();
        for id in &self.assignments {
            prop_assert_eq!(
                state.assignments[id].partition.missing(),
                None,
                "a record without a place"
            );
        }
        Ok(())
    }

    /// Everything is sent, answered and committed.
    fn finish(&mut self) {
        self.ahead = Duration::from_secs(3600);
        for _ in 0..200 {
            self.settle(true);
            for bind in 0..self.binds.len() {
                self.pipeline.bound(&self.binds[bind]);
                self.pick(bind, WINDOW);
            }
            while !self.with.is_empty() {
                self.outcome(0, answered(Status::ROK));
            }
            self.begin();
        }
        self.settle(true);
        for bind in 0..self.binds.len() {
            self.lose_session(bind, true);
        }
    }

    fn is_empty(&self) -> Result<(), TestCaseError> {
        let state = self.pipeline.state.lock();
        prop_assert!(state.in_flight.is_empty());
        prop_assert!(
            state
                .assignments
                .values()
                .all(|held| held.outbox.is_empty())
        );
        prop_assert!(state.segmented.is_empty());
        prop_assert!(state.lost.is_empty());
        prop_assert_eq!(state.late.size(), (0, 0));
        for (n, id) in self.assignments.iter().enumerate() {
            let partition = &state.assignments[id].partition;
            prop_assert_eq!(partition.size(), (0, 0), "partition {}", n);
            prop_assert_eq!(partition.progress().base(), self.next[n]);
            prop_assert_eq!(partition.progress().doubtful(), 0);
        }
        Ok(())
    }
}

fn partition(n: i32) -> Partition {
    Partition {
        topic: "outbound".into(),
        partition: n,
    }
}

fn answered(status: Status) -> Outcome {
    Outcome::Answered(Answer {
        command: Command::SUBMIT_SM_RESP,
        status,
        message_id: b"x".to_vec(),
        tlvs: Bytes::new(),
        received: SystemTime::UNIX_EPOCH,
    })
}

#[derive(Clone, Debug)]
enum Step {
    Fetch(usize, bool, usize, bool),
    Pick(usize, usize),
    Accept(usize),
    Refuse(usize, bool),
    NotSent(usize),
    TimeOut(usize),
    AnswerLate(usize),
    Lose(usize, bool),
    Bound(usize),
    Begin,
    Settle(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3, prop::bool::weighted(0.1), prop_oneof![4 => Just(1usize), 1 => 2usize..5], any::<bool>())
            .prop_map(|(l, g, p, r)| Step::Fetch(l, g, p, r)),
        5 => (0usize..2, 1usize..7).prop_map(|(b, m)| Step::Pick(b, m)),
        5 => any::<usize>().prop_map(Step::Accept),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(i, t)| Step::Refuse(i, t)),
        1 => any::<usize>().prop_map(Step::NotSent),
        2 => any::<usize>().prop_map(Step::TimeOut),
        2 => any::<usize>().prop_map(Step::AnswerLate),
        1 => (0usize..2, any::<bool>()).prop_map(|(b, w)| Step::Lose(b, w)),
        2 => (0usize..2).prop_map(Step::Bound),
        5 => Just(Step::Begin),
        5 => prop::bool::weighted(0.8).prop_map(Step::Settle),
    ]
}

fn take_step(world: &mut World, step: &Step) {
    match *step {
        Step::Fetch(partition, gap, segments, resend) => {
            let in_doubt = if resend {
                InDoubt::Resend
            } else {
                InDoubt::Report
            };
            world.fetch(partition, gap, segments, in_doubt);
        }
        Step::Pick(bind, most) => world.pick(bind, most),
        Step::Accept(index) => world.outcome(index, answered(Status::ROK)),
        Step::Refuse(index, throttled) => {
            let status = if throttled {
                Status::RTHROTTLED
            } else {
                Status::RSYSERR
            };
            world.outcome(index, answered(status));
        }
        Step::NotSent(index) => world.outcome(index, Outcome::NotSent),
        Step::TimeOut(index) => world.outcome(index, Outcome::InDoubt(Doubt::Timeout)),
        Step::AnswerLate(index) => world.answer_late(index),
        Step::Lose(bind, written) => world.lose_session(bind, written),
        Step::Bound(bind) => world.pipeline.bound(&world.binds[bind]),
        Step::Begin => world.begin(),
        Step::Settle(committed) => world.settle(committed),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whenever_it_crashes_in_doubt_is_what_may_have_been_sent(
        steps in prop::collection::vec(step(), 1..120),
        priorities in prop_oneof![Just([0usize, 0, 0]), Just([0, 0, 1]), Just([0, 1, 2])],
    ) {
        let mut world = World::new(&priorities);
        for step in &steps {
            take_step(&mut world, step);
            world.check()?;
        }
        world.finish();
        world.is_empty()?;
    }
}

#[test]
fn records_in_doubt_are_reported_or_sent_again_in_every_history() {
    let mut world = World::new(&[0, 0, 1]);
    world.pipeline.bound(&world.binds[0]);
    world.fetch(0, false, 1, InDoubt::Report);
    world.fetch(0, true, 3, InDoubt::Resend);
    world.begin();
    world.settle(true);
    world.pick(0, 4);
    assert_eq!(world.with.len(), 4);
    world.lose_session(0, true);
    let doubtful: BTreeSet<Record> = world.taken.keys().copied().collect();
    assert_eq!(doubtful, [(0, 0), (0, 2)].into());
    world.check().unwrap();
    world.finish();
    world.is_empty().unwrap();
}
