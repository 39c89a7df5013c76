//! Random histories of two processes that share three partitions, in front of a Kafka and an SMSC
//! that are a few maps, against the contract:
//!
//! - each record has exactly one result, whatever crashes, moves, is lost or cannot be committed;
//! - what is reported when it is in doubt is sent once at most;
//! - what the SMSC took twice says so in its result, as does what it may have;
//! - who reads that a record was not sent may send it again: the SMSC has nothing of it;
//! - when all is answered and committed, nothing is left in memory.
//!
//! A history is a list of [`Step`]s; those at the end of this file are written by hand, each with
//! what must come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use smpp_esme::{Answer, Doubt, Outcome};
use smpp_protocol::frame::push_empty;
use smpp_protocol::{Command, Status};

use crate::kafka::progress::{CommitScope, metadata};
use crate::kafka::start::Start;
use crate::kafka::transaction::Commit;
use crate::kafka::{Partition, poll};
use crate::record::event::SendErrorKind;
use crate::settings::{InDoubt, Time};
use crate::submit::message::intake::Incoming;
use crate::submit::options::Settings;
use crate::submit::state::effects::Effect;
use crate::submit::state::groups::{BindRef, BindState};
use crate::submit::state::partition::{self, PartitionState, Phase};
use crate::submit::state::pending::{AssignmentId, PendingResult, RecordOutcome};
use crate::submit::state::pipeline::{At, Now, PipelineState};
use crate::submit::state::segments::Segments;
use crate::submit::state::transaction::{Begun, Standing, Terms};

const PARTITIONS: usize = 3;
const WINDOW: usize = 6;
const MAX_RESENDS: u32 = 2;
const RECOMMIT: Duration = Duration::from_secs(2);

/// A record: its partition and its offset.
type Record = (usize, i64);

/// What stands on the outbound topic.
#[derive(Clone, Copy, Debug)]
struct Spec {
    segments: usize,
    in_doubt: InDoubt,
}

/// A result that was committed.
#[derive(Clone, Debug)]
struct Told {
    accepted: bool,
    kind: Option<SendErrorKind>,
    possible_duplicate: bool,
    /// It names segments that the SMSC took.
    taken: bool,
}

/// What a session has, or had.
#[derive(Clone, Copy)]
struct Sending {
    bind: usize,
    record: Record,
    segment: usize,
    /// Whether the SMSC took it, and has not said so.
    taken: bool,
    /// Nobody waits for its answer any more; its session was not told.
    abandoned: bool,
}

/// A transaction under way.
struct UnderWay {
    begun: Begun,
    /// Of which membership its offsets are.
    generation: u64,
    /// Whether the coordinator has its offsets already, so that it may still be committed when
    /// partitions move.
    prepared: bool,
}

/// One process.
struct Process {
    name: String,
    state: PipelineState,
    binds: Vec<BindRef>,
    group: u64,
    /// The partition of each assignment it ever had.
    partition_of: BTreeMap<AssignmentId, usize>,
    /// What its sessions have, by token.
    with: BTreeMap<u64, Sending>,
    /// What they waited for too long: an answer may still come.
    late: BTreeMap<u64, Sending>,
    under_way: Option<UnderWay>,
    /// The partitions that are not fetched for now.
    paused: BTreeSet<usize>,
}

impl Process {
    fn new(name: String) -> Process {
        let settings = Settings {
            // Nothing is put back, and no time ends.
            message_deadline: Time::seconds(1_000_000),
            max_hold: Time::seconds(1_000_000),
            reserve_ahead: 64,
            // Fetching stops and goes on all the time.
            read_ahead: 3,
            ..Settings::default()
        };
        let mut state = PipelineState::new(settings, &name);
        let group = state.add_group(WINDOW, f64::INFINITY);
        let binds = ["i.0", "i.1"].map(|name| {
            let bind = state.add_bind(group, BindState::new(name.into(), true));
            state.bound(&bind);
            bind
        });
        Process {
            name,
            state,
            binds: binds.into(),
            group,
            partition_of: BTreeMap::new(),
            with: BTreeMap::new(),
            late: BTreeMap::new(),
            under_way: None,
            paused: BTreeSet::new(),
        }
    }

    /// Does of what the state wants done what this model has.
    fn perform(&mut self) {
        for effect in self.state.take_effects() {
            if let Effect::Fetch(partition, _) | Effect::Resume(partition) = effect {
                self.paused.remove(&(partition.partition as usize));
            }
        }
    }

    fn assignment(&self, partition: usize) -> Option<AssignmentId> {
        let ids = self.state.assignments_of(&[name(partition)]);
        ids.first().copied()
    }

    fn nth(all: &BTreeMap<u64, Sending>, index: usize) -> Option<(u64, Sending)> {
        let (token, sending) = all.iter().nth(index % all.len().max(1))?;
        Some((*token, *sending))
    }
}

struct World {
    processes: Vec<Process>,
    /// How many processes there were.
    born: usize,
    owner: [Option<usize>; PARTITIONS],
    /// Rises with every move of a partition: commits of an older one are refused.
    generation: u64,
    topic: [BTreeMap<i64, Spec>; PARTITIONS],
    end: [i64; PARTITIONS],
    /// What is committed: offset and metadata.
    committed: [Option<(i64, String)>; PARTITIONS],
    results: BTreeMap<Record, Vec<Told>>,
    /// How often the SMSC took each segment.
    taken: BTreeMap<(Record, usize), u32>,
    began: Instant,
    ahead: Duration,
}

fn name(partition: usize) -> Partition {
    Partition {
        topic: "outbound".into(),
        partition: partition as i32,
    }
}

fn identity(partition: usize) -> CommitScope<'static> {
    CommitScope {
        cluster: "c",
        topic: "outbound",
        partition: partition as i32,
    }
}

fn answer(status: Status) -> Answer {
    Answer {
        command: Command::SUBMIT_SM_RESP,
        status,
        message_id: b"x".to_vec(),
        tlvs: Bytes::new(),
        received: SystemTime::UNIX_EPOCH,
    }
}

impl World {
    /// Two processes; the first has the first two partitions, the second has the third.
    fn new() -> World {
        let mut world = World {
            processes: Vec::new(),
            born: 0,
            owner: [None; PARTITIONS],
            generation: 0,
            topic: Default::default(),
            end: [0; PARTITIONS],
            committed: Default::default(),
            results: BTreeMap::new(),
            taken: BTreeMap::new(),
            began: Instant::now(),
            ahead: Duration::ZERO,
        };
        for _ in 0..2 {
            let process = world.process();
            world.processes.push(process);
        }
        for (partition, process) in [(0, 0), (1, 0), (2, 1)] {
            world.assign(partition, process);
        }
        for process in 0..2 {
            world.begin(process, false);
            world.end(process, true);
        }
        world
    }

    fn process(&mut self) -> Process {
        self.born += 1;
        Process::new(format!("process-{}", self.born))
    }

    fn now(&self) -> Now {
        Now {
            instant: self.began + self.ahead,
            wall: Timestamp::UNIX_EPOCH,
        }
    }

    /// The SMSC has a segment, once more.
    fn take(&mut self, sending: Sending) {
        let key = (sending.record, sending.segment);
        *self.taken.entry(key).or_default() += 1;
    }

    fn append(&mut self, partition: usize, gap: bool, spec: Spec) {
        let offset = self.end[partition] + i64::from(gap);
        self.topic[partition].insert(offset, spec);
        self.end[partition] = offset + 1;
    }

    /// The owner fetches the next record.
    fn fetch(&mut self, partition: usize) {
        let Some(process) = self.owner[partition] else {
            return;
        };
        let p = &mut self.processes[process];
        p.perform();
        if p.paused.contains(&partition) {
            return;
        }
        let state = &mut p.state;
        let Some(held) = state.partition(&name(partition)) else {
            return;
        };
        let next = self.topic[partition].range(held.next_offset()..).next();
        let (Phase::Open, Some((&offset, spec))) = (held.phase(), next) else {
            return;
        };
        let mut outgoing = partition::tests::outgoing(offset);
        (outgoing.in_doubt, outgoing.max_resends) = (spec.in_doubt, MAX_RESENDS);
        if spec.segments > 1 {
            let mut pdus = Vec::new();
            for _ in 0..spec.segments {
                push_empty(Command::SUBMIT_SM, Status::ROK, 0, &mut pdus);
            }
            outgoing.pdu = pdus.into();
            outgoing.segments = Segments::split(&outgoing.pdu).map(Box::new);
        }
        let incoming = Incoming::Message(outgoing, None);
        let flow = state.fetched(&name(partition), At::from(offset), incoming, true);
        if flow == poll::Flow::Pause {
            p.paused.insert(partition);
        }
    }

    fn pick(&mut self, process: usize, bind: usize, most: usize) {
        let now = self.now();
        let p = &mut self.processes[process];
        let with = p.with.values().filter(|s| s.bind == bind).count();
        let mut picked = Vec::new();
        p.state.pick(
            &p.binds[bind],
            most.min(WINDOW - with.min(WINDOW)),
            &mut picked,
            now,
        );
        for one in picked {
            let (id, offset, segment) = match p.state.in_flight.get(&one.token) {
                Some(record) => (record.assignment, record.outgoing.offset, 0),
                None => p.state.segmented.segment_of(one.token).unwrap(),
            };
            let record = (p.partition_of[&id], offset);
            let sending = Sending {
                bind,
                record,
                segment,
                taken: false,
                abandoned: false,
            };
            p.with.insert(one.token, sending);
        }
    }

    fn tell(&mut self, process: usize, token: u64, outcome: Outcome) {
        let now = self.now();
        let p = &mut self.processes[process];
        let Some(sending) = p.with.remove(&token).or_else(|| p.late.remove(&token)) else {
            return;
        };
        if let Outcome::InDoubt(doubt) = &outcome
            && doubt.may_be_answered()
        {
            p.late.insert(token, sending);
        }
        p.state.outcome(&p.binds[sending.bind], token, outcome, now);
    }

    fn answered(&mut self, process: usize, index: usize, status: Status) {
        if let Some((token, sending)) = Process::nth(&self.processes[process].with, index) {
            if status == Status::ROK {
                self.take(sending);
            }
            self.tell(process, token, Outcome::Answered(answer(status)));
        }
    }

    fn timed_out(&mut self, process: usize, index: usize) {
        if let Some((token, _)) = Process::nth(&self.processes[process].with, index) {
            self.tell(process, token, Outcome::InDoubt(Doubt::Timeout));
        }
    }

    fn not_sent(&mut self, process: usize, index: usize) {
        if let Some((token, _)) = Process::nth(&self.processes[process].with, index) {
            self.tell(process, token, Outcome::NotSent);
        }
    }

    /// The SMSC takes one after all whose time-out has come.
    fn answered_late(&mut self, process: usize, index: usize) {
        if let Some((token, sending)) = Process::nth(&self.processes[process].late, index) {
            if !sending.taken {
                self.take(sending);
            }
            let answer = answer(Status::ROK);
            let outcome = match sending.abandoned {
                true => Outcome::Answered(answer),
                false => Outcome::Late(answer),
            };
            self.tell(process, token, outcome);
        }
    }

    /// A session ends. Every second message was written; of those the SMSC took some.
    fn session_lost(&mut self, process: usize, bind: usize, took: bool) {
        let now = self.now();
        let theirs = |s: &Sending| s.bind == bind;
        let tokens: Vec<u64> = (self.processes[process].with.iter())
            .filter(|(_, s)| theirs(s))
            .map(|(token, _)| *token)
            .collect();
        for (n, token) in tokens.into_iter().enumerate() {
            let outcome = self.cut_off(process, token, n % 2 == 0, took);
            self.tell(process, token, outcome);
        }
        let p = &mut self.processes[process];
        p.late.retain(|_, s| !theirs(s));
        p.state.unbound(&p.binds[bind], now);
    }

    /// What becomes of a message whose session ends.
    fn cut_off(&mut self, process: usize, token: u64, written: bool, took: bool) -> Outcome {
        if !written {
            return Outcome::NotSent;
        }
        if took {
            let sending = self.processes[process].with[&token];
            self.take(sending);
        }
        Outcome::InDoubt(Doubt::ConnectionLost)
    }

    fn bound(&mut self, process: usize, bind: usize) {
        let p = &mut self.processes[process];
        p.state.bound(&p.binds[bind]);
    }

    fn begin(&mut self, process: usize, prepared: bool) {
        let now = self.now().instant;
        let generation = self.generation;
        let p = &mut self.processes[process];
        if p.under_way.is_some() {
            return;
        }
        let writer = p.name.clone();
        let commit = |held: &PartitionState, number| {
            let (progress, name) = (held.progress(), held.name());
            let here = identity(name.partition as usize);
            Commit {
                topic: name.topic.clone(),
                partition: name.partition,
                offset: progress.base(),
                metadata: metadata::encode(progress, &here, &writer, number),
            }
        };
        let begun = p.state.begin(&Terms {
            now,
            recommit: RECOMMIT,
            standing: &|| Standing::Member,
            commit: &commit,
        });
        p.under_way = begun.map(|begun| UnderWay {
            begun,
            generation,
            prepared,
        });
    }

    /// The transaction under way ends. Kafka commits it only if nothing moved since it took its
    /// membership, or if the coordinator had its offsets before.
    fn end(&mut self, process: usize, commit: bool) {
        let now = self.now().instant;
        let generation = self.generation;
        let p = &mut self.processes[process];
        let Some(under_way) = p.under_way.take() else {
            return;
        };
        let begun = under_way.begun;
        if commit && (under_way.generation == generation || under_way.prepared) {
            for told in &begun.results {
                let partition = p.partition_of[&told.assignment];
                if let Some((offset, told)) = terminal(told) {
                    self.results
                        .entry((partition, offset))
                        .or_default()
                        .push(told);
                }
            }
            for commit in begun.offsets {
                let partition = commit.partition as usize;
                self.committed[partition] = Some((commit.offset, commit.metadata));
            }
            p.state
                .committed(begun.snapshots, Duration::from_millis(10));
        } else {
            p.state.aborted(&begun.snapshots, begun.results, now);
        }
    }

    /// A partition is nobody's any more. Transactions whose offsets the coordinator has go on.
    fn moved(&mut self, partition: usize) {
        self.owner[partition] = None;
        self.generation += 1;
    }

    /// A bind that stays goes on with a message of a partition that goes.
    fn abandon(&mut self, process: usize, token: u64, took: bool) {
        let now = self.now();
        let p = &mut self.processes[process];
        let Some(sending) = p.with.remove(&token) else {
            return;
        };
        let sending = Sending {
            taken: took,
            abandoned: true,
            ..sending
        };
        p.late.insert(token, sending);
        p.state.abandoned(token, now);
        if took {
            self.take(sending);
        }
    }

    /// A partition is taken away, in the callback: what is in flight ends within a moment, or is
    /// in doubt; then exactly that is committed, if Kafka lets it.
    fn revoke(&mut self, partition: usize, ways: u8, took: bool, lets: bool) {
        let Some(process) = self.owner[partition] else {
            return;
        };
        let now = self.now();
        let Some(id) = self.processes[process].assignment(partition) else {
            return;
        };
        self.processes[process].state.drain(&[id]);
        self.processes[process].state.stop_segmented(&[id], now);
        let mut tokens = self.processes[process].state.tokens_of(&[id]);
        tokens.sort_unstable();
        for (n, token) in tokens.into_iter().enumerate() {
            match (ways >> (2 * (n % 4))) & 3 {
                0 => self.tell(process, token, Outcome::NotSent),
                1 => {
                    let sending = self.processes[process].with[&token];
                    self.take(sending);
                    self.tell(process, token, Outcome::Answered(answer(Status::ROK)));
                }
                2 => self.abandon(process, token, took),
                _ => {
                    let takes = took && n % 2 == 1;
                    self.abandon(process, token, takes);
                    let status = if takes {
                        Status::ROK
                    } else {
                        Status::RTHROTTLED
                    };
                    self.tell(process, token, Outcome::Answered(answer(status)));
                }
            }
            // Whoever gives up has asked what is out before.
            self.processes[process].state.abandoned(token, now);
        }
        self.processes[process].state.revoked(&[id], now.instant);
        for _ in 0..4 {
            self.end(process, lets);
            self.begin(process, false);
        }
        self.end(process, lets);
        let state = &mut self.processes[process].state;
        if state.is_clean(&[id]) {
            state.removed(&[id]);
        } else {
            state.partitions_lost(&[id]);
        }
        self.moved(partition);
    }

    /// A partition is lost: nothing of it may be committed.
    fn lose(&mut self, partition: usize) {
        if let Some(process) = self.owner[partition]
            && let Some(id) = self.processes[process].assignment(partition)
        {
            self.processes[process].state.partitions_lost(&[id]);
            self.moved(partition);
        }
    }

    /// A process has a partition that nobody has, when transactions that touch it have ended.
    fn assign(&mut self, partition: usize, process: usize) {
        if self.owner[partition].is_some() {
            return;
        }
        for other in 0..self.processes.len() {
            let touches = |u: &UnderWay| {
                let mut offsets = u.begun.offsets.iter();
                offsets.any(|commit| commit.partition as usize == partition)
            };
            if self.processes[other]
                .under_way
                .as_ref()
                .is_some_and(touches)
            {
                self.end(other, true);
            }
        }
        let start = match &self.committed[partition] {
            None => Start::fresh(0, 0),
            Some((offset, line)) => {
                let restored = metadata::decode(*offset, line, &identity(partition)).unwrap();
                let mut progress = restored.progress.clone();
                progress.take_over(self.end[partition]);
                Start {
                    progress,
                    committed: Some(Box::new(restored)),
                }
            }
        };
        let p = &mut self.processes[process];
        if !p.state.are_results_known(&[name(partition)]) {
            return;
        }
        let id = p.state.assigned(name(partition), start, p.group, 0);
        p.partition_of.insert(id, partition);
        self.owner[partition] = Some(process);
        self.generation += 1;
        // Another process that had lost it finds out, and gives up waiting.
        for (other, p) in self.processes.iter_mut().enumerate() {
            if other != process {
                p.state.forget_lost(&[name(partition)]);
            }
        }
    }

    /// A process dies, and another takes its place. Of what its sessions had the SMSC took some.
    fn crash(&mut self, process: usize, took: bool) {
        let with: Vec<Sending> = self.processes[process].with.values().copied().collect();
        for (n, sending) in with.into_iter().enumerate() {
            if took || n % 2 == 0 {
                self.take(sending);
            }
        }
        let prepared = (self.processes[process].under_way.as_ref()).is_some_and(|u| u.prepared);
        self.end(process, prepared && took);
        for partition in 0..PARTITIONS {
            if self.owner[partition] == Some(process) {
                self.moved(partition);
            }
        }
        self.processes[process] = self.process();
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append(partition, gap, spec) => self.append(partition, gap, spec),
            Step::Fetch(partition) => self.fetch(partition),
            Step::Pick(process, bind, most) => self.pick(process, bind, most),
            Step::Answer(process, index, status) => self.answered(process, index, status),
            Step::TimeOut(process, index) => self.timed_out(process, index),
            Step::NotSent(process, index) => self.not_sent(process, index),
            Step::AnswerLate(process, index) => self.answered_late(process, index),
            Step::Unbind(process, bind, took) => self.session_lost(process, bind, took),
            Step::Bind(process, bind) => self.bound(process, bind),
            Step::Begin(process, prepared) => self.begin(process, prepared),
            Step::End(process, commit) => self.end(process, commit),
            Step::Revoke(partition, ways, took, lets) => self.revoke(partition, ways, took, lets),
            Step::Lose(partition) => self.lose(partition),
            Step::Assign(partition, process) => self.assign(partition, process),
            Step::Crash(process, took) => self.crash(process, took),
            Step::Wait(seconds) => self.ahead += Duration::from_secs(seconds),
        }
        for p in &mut self.processes {
            p.perform();
        }
    }

    /// Everything goes well from now on, until nothing is left to do.
    fn finish(&mut self) {
        for _ in 0..60 {
            self.ahead += Duration::from_secs(20);
            for partition in 0..PARTITIONS {
                self.assign(partition, partition % 2);
            }
            for process in 0..2 {
                self.begin(process, false);
                self.end(process, true);
            }
            for partition in 0..PARTITIONS {
                for _ in 0..self.topic[partition].len() {
                    self.fetch(partition);
                }
            }
            for (process, bind) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                self.bound(process, bind);
                self.pick(process, bind, WINDOW);
                while !self.processes[process].with.is_empty() {
                    self.answered(process, 0, Status::ROK);
                }
            }
        }
        for (process, bind) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            self.session_lost(process, bind, false);
        }
    }

    /// Whether every unfinished record that was fetched has its place.
    fn check(&self) -> Result<(), TestCaseError> {
        for p in &self.processes {
            for held in p.state.partitions() {
                prop_assert_eq!(held.missing(), None, "a record without a place");
            }
        }
        Ok(())
    }

    fn check_contract(&self) -> Result<(), TestCaseError> {
        for (partition, topic) in self.topic.iter().enumerate() {
            for (offset, spec) in topic {
                self.check_record((partition, *offset), spec)?;
            }
        }
        Ok(())
    }

    fn check_record(&self, record: Record, spec: &Spec) -> Result<(), TestCaseError> {
        let results = self.results.get(&record).map_or(&[][..], Vec::as_slice);
        prop_assert_eq!(results.len(), 1, "results of {:?}: {:?}", record, results);
        let told = &results[0];
        let counts = (0..spec.segments)
            .map(|segment| self.taken.get(&(record, segment)).copied())
            .map(Option::unwrap_or_default);
        let counts: Vec<u32> = counts.collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        let what = || format!("{record:?}: {spec:?} was taken {counts:?} times; {told:?}");
        let unknown = told.kind == Some(SendErrorKind::OutcomeUnknown);
        if spec.in_doubt == InDoubt::Report {
            prop_assert!(*most <= 1, "sent twice: {}", what());
        }
        prop_assert!(
            *most <= 1 + MAX_RESENDS,
            "more often than allowed: {}",
            what()
        );
        if *most > 1 {
            prop_assert!(told.possible_duplicate, "twice unflagged: {}", what());
        }
        if told.accepted {
            prop_assert!(*least >= 1, "accepted and never taken: {}", what());
        } else if !unknown && !told.possible_duplicate && !told.taken {
            prop_assert!(*most == 0, "said not to be sent: {}", what());
        }
        Ok(())
    }

    fn check_empty(&self) -> Result<(), TestCaseError> {
        for p in &self.processes {
            prop_assert!(p.state.in_flight.is_empty());
            let mut held = p.state.assignments.values();
            prop_assert!(held.all(|held| held.outbox.is_empty()));
            prop_assert!(p.state.segmented.is_empty() && p.state.lost.is_empty());
            prop_assert_eq!(p.state.late.size(), (0, 0));
            for held in p.state.partitions() {
                prop_assert_eq!(held.size(), (0, 0), "{}", held.name());
                let end = self.end[held.name().partition as usize];
                prop_assert_eq!(held.progress().base(), end);
            }
        }
        Ok(())
    }
}

/// What a result says of its record, if it is one.
fn terminal(result: &PendingResult) -> Option<(i64, Told)> {
    let (offset, _) = result.finishes()?;
    let told = match &result.outcome {
        RecordOutcome::Answered(sent, answer) => Told {
            accepted: answer.status == Status::ROK,
            kind: None,
            possible_duplicate: sent.possible_duplicate,
            taken: true,
        },
        RecordOutcome::Rejected(rejection) | RecordOutcome::TooLarge(rejection, _) => Told {
            accepted: false,
            kind: Some(rejection.kind),
            possible_duplicate: rejection.possible_duplicate,
            taken: rejection.segments.is_some(),
        },
        RecordOutcome::PutBack(..) | RecordOutcome::Late(..) | RecordOutcome::Taken(..) => {
            return None;
        }
    };
    Some((offset, told))
}

/// In [`Step::Revoke`]: the first message was not written, the second is answered, the third given up.
const EACH_WAY: u8 = 0b10_01_00;

/// Something that happens. Numbers name partitions, processes, binds and the n-th of what a
/// session has.
#[derive(Clone, Debug)]
enum Step {
    /// A record is appended to a partition, behind a gap or not.
    Append(usize, bool, Spec),
    /// The owner of a partition fetches its next record.
    Fetch(usize),
    /// A bind of a process is handed so many.
    Pick(usize, usize, usize),
    /// The SMSC answers.
    Answer(usize, usize, Status),
    /// It does not answer in time.
    TimeOut(usize, usize),
    /// The session gives one back of which nothing was written.
    NotSent(usize, usize),
    /// The SMSC takes one after its time-out.
    AnswerLate(usize, usize),
    /// A bind loses its session; the SMSC took what was written, or not.
    Unbind(usize, usize, bool),
    /// It has one again.
    Bind(usize, usize),
    /// A process begins a transaction, whose offsets reach the coordinator at once, or not.
    Begin(usize, bool),
    /// It ends: Kafka commits it, or not.
    End(usize, bool),
    /// A partition is taken away. What becomes of each message that is out then, two bits for each:
    /// not written, answered, given up, given up and answered; the SMSC took what was given up; Kafka
    /// lets what is in doubt be committed.
    Revoke(usize, u8, bool, bool),
    /// A partition is lost.
    Lose(usize),
    /// A partition that is nobody's is given to a process.
    Assign(usize, usize),
    /// A process dies; the SMSC took what was written, or half of it.
    Crash(usize, bool),
    /// So many seconds pass.
    Wait(u64),
}

fn spec() -> impl Strategy<Value = Spec> {
    let segments = prop_oneof![4 => Just(1usize), 1 => 2usize..5];
    let in_doubt = prop_oneof![Just(InDoubt::Report), Just(InDoubt::Resend)];
    (segments, in_doubt).prop_map(|(segments, in_doubt)| Spec { segments, in_doubt })
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..PARTITIONS;
    let process = 0..2usize;
    let bind = 0..2usize;
    let status = prop_oneof![
        6 => Just(Status::ROK),
        1 => Just(Status::RTHROTTLED),
        1 => Just(Status::RSYSERR),
        1 => Just(Status::RINVDSTADR),
    ];
    prop_oneof![
        6 => (partition.clone(), prop::bool::weighted(0.1), spec())
            .prop_map(|(p, gap, spec)| Step::Append(p, gap, spec)),
        8 => partition.clone().prop_map(Step::Fetch),
        8 => (process.clone(), bind.clone(), 1..7usize).prop_map(|(p, b, n)| Step::Pick(p, b, n)),
        6 => (process.clone(), any::<usize>(), status).prop_map(|(p, i, s)| Step::Answer(p, i, s)),
        2 => (process.clone(), any::<usize>()).prop_map(|(p, i)| Step::TimeOut(p, i)),
        1 => (process.clone(), any::<usize>()).prop_map(|(p, i)| Step::NotSent(p, i)),
        2 => (process.clone(), any::<usize>()).prop_map(|(p, i)| Step::AnswerLate(p, i)),
        2 => (process.clone(), bind.clone(), any::<bool>())
            .prop_map(|(p, b, t)| Step::Unbind(p, b, t)),
        3 => (process.clone(), bind).prop_map(|(p, b)| Step::Bind(p, b)),
        8 => (process.clone(), any::<bool>()).prop_map(|(p, r)| Step::Begin(p, r)),
        8 => (process.clone(), prop::bool::weighted(0.8)).prop_map(|(p, c)| Step::End(p, c)),
        1 => (partition.clone(), any::<u8>(), any::<bool>(), prop::bool::weighted(0.7))
            .prop_map(|(p, w, t, l)| Step::Revoke(p, w, t, l)),
        1 => partition.clone().prop_map(Step::Lose),
        4 => (partition, process.clone()).prop_map(|(p, o)| Step::Assign(p, o)),
        2 => (process, any::<bool>()).prop_map(|(p, t)| Step::Crash(p, t)),
        1 => (1..400u64).prop_map(Step::Wait),
    ]
}

fn play(steps: &[Step]) -> Result<World, TestCaseError> {
    let mut world = World::new();
    for step in steps {
        world.step(step);
        world.check()?;
    }
    world.finish();
    world.check_contract()?;
    world.check_empty()?;
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_history_keeps_the_contract(steps in prop::collection::vec(step(), 1..150)) {
        play(&steps)?;
    }
}

const REPORT: Spec = Spec {
    segments: 1,
    in_doubt: InDoubt::Report,
};
const RESEND: Spec = Spec {
    segments: 1,
    in_doubt: InDoubt::Resend,
};
const LONG: Spec = Spec {
    segments: 3,
    in_doubt: InDoubt::Report,
};

/// In words, as in the result of a record.
fn words(told: &Told) -> String {
    let kind = told.kind.map_or("rejected".into(), |kind| kind.to_string());
    let what = if told.accepted {
        "accepted".into()
    } else {
        kind
    };
    match told.possible_duplicate && told.accepted {
        true => format!("{what}, possible_duplicate"),
        false => what,
    }
}

/// What happens, in order, and the result of each record of partition 0, then of partition 1, when
/// everything goes well afterwards.
type Interleaving = (&'static str, &'static [Step], &'static [&'static str]);

/// Process 0 has partitions 0 and 1. So many records of each are fetched and reserved.
fn ready(specs: &[(usize, Spec)]) -> Vec<Step> {
    let append = specs.iter().map(|(p, spec)| Append(*p, false, *spec));
    let fetch = specs.iter().map(|(p, _)| Fetch(*p));
    let commit = [Begin(0, false), End(0, true)];
    append.chain(fetch).chain(commit).collect()
}

use Step::{Answer as Answered, *};
const OK: Status = Status::ROK;

/// The interleavings of ARCHITECTURE.md, after a record of each of the given kinds is ready.
const INTERLEAVINGS: &[(&[(usize, Spec)], Interleaving)] = &[
    (
        &[(0, REPORT)],
        (
            "it is answered, and that is committed",
            &[
                Pick(0, 0, 1),
                Answered(0, 0, OK),
                Begin(0, false),
                End(0, true),
            ],
            &["accepted"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "the process dies before anything is handed out",
            &[Crash(0, true)],
            &["OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "it dies with the record out, and the SMSC has it",
            &[Pick(0, 0, 1), Crash(0, true)],
            &["OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, RESEND)],
        (
            "the same, to be sent again",
            &[Pick(0, 0, 1), Crash(0, true)],
            &["accepted, possible_duplicate"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "it dies between the answer and the commit",
            &[Pick(0, 0, 1), Answered(0, 0, OK), Crash(0, true)],
            &["OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "it dies while committing, after the coordinator has the offsets",
            &[
                Pick(0, 0, 1),
                Answered(0, 0, OK),
                Begin(0, true),
                Crash(0, true),
            ],
            &["accepted"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "the commit fails: it goes again",
            &[
                Pick(0, 0, 1),
                Answered(0, 0, OK),
                Begin(0, false),
                End(0, false),
                Begin(0, false),
                End(0, true),
                Crash(0, true),
            ],
            &["accepted"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "the SMSC refuses it for now, that is committed, and the process dies",
            &[
                Pick(0, 0, 1),
                Answered(0, 0, Status::RSYSERR),
                Begin(0, false),
                End(0, true),
                Crash(0, true),
            ],
            &["accepted"],
        ),
    ),
    (
        &[(0, REPORT), (1, REPORT)],
        (
            "a partition moves while a transaction has answers of two: those of the other go again",
            &[
                Pick(0, 0, 2),
                Answered(0, 0, OK),
                Answered(0, 0, OK),
                Begin(0, false),
                Lose(1),
                End(0, true),
                Begin(0, false),
                End(0, true),
                Assign(1, 1),
            ],
            &["accepted", "OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT), (1, REPORT)],
        (
            "the same after the coordinator had the offsets",
            &[
                Pick(0, 0, 2),
                Answered(0, 0, OK),
                Answered(0, 0, OK),
                Begin(0, true),
                Lose(1),
                End(0, true),
                Assign(1, 1),
            ],
            &["accepted", "accepted"],
        ),
    ),
    (
        &[(0, REPORT), (0, REPORT), (0, REPORT)],
        (
            "a revoke with three out: not written, answered, written without an answer",
            &[Pick(0, 0, 3), Revoke(0, EACH_WAY, true, true), Assign(0, 1)],
            &["accepted", "accepted", "OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT), (0, REPORT), (0, REPORT)],
        (
            "the same, and Kafka does not let it be committed",
            &[
                Pick(0, 0, 3),
                Revoke(0, EACH_WAY, true, false),
                Assign(0, 1),
            ],
            &["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT), (0, REPORT), (0, REPORT)],
        (
            "the same, and the partition comes back, and nobody had it",
            &[
                Pick(0, 0, 3),
                Revoke(0, EACH_WAY, true, false),
                Assign(0, 0),
            ],
            &["accepted", "accepted", "OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT), (0, REPORT)],
        (
            "lost, and then nobody else's: what was answered since is the result",
            &[
                Pick(0, 0, 2),
                Lose(0),
                Answered(0, 0, OK),
                Unbind(0, 0, true),
                Assign(0, 0),
            ],
            &["accepted", "OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT), (0, REPORT)],
        (
            "lost, and somebody else's: answers are late",
            &[
                Pick(0, 0, 2),
                Lose(0),
                Answered(0, 0, OK),
                Assign(0, 1),
                Answered(0, 0, OK),
            ],
            &["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, RESEND), (0, RESEND)],
        (
            "a session is lost while another bind serves the same partition",
            &[
                Pick(0, 0, 1),
                Pick(0, 1, 1),
                Unbind(0, 0, false),
                Begin(0, false),
                End(0, true),
                Crash(0, true),
            ],
            &[
                "accepted, possible_duplicate",
                "accepted, possible_duplicate",
            ],
        ),
    ),
    (
        &[(0, RESEND)],
        (
            "a late response while it waits to be sent again is the result",
            &[Pick(0, 0, 1), TimeOut(0, 0), AnswerLate(0, 0)],
            &["accepted"],
        ),
    ),
    (
        &[(0, RESEND)],
        (
            "a late response while it is out again is not",
            &[
                Pick(0, 0, 1),
                TimeOut(0, 0),
                Begin(0, false),
                End(0, true),
                Pick(0, 0, 1),
                AnswerLate(0, 0),
            ],
            &["accepted, possible_duplicate"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "a late response to what was reported changes nothing",
            &[Pick(0, 0, 1), TimeOut(0, 0), AnswerLate(0, 0)],
            &["OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "another comes when nothing waits, goes out without one more commit, and the process dies",
            &[
                Append(0, false, RESEND),
                Fetch(0),
                Pick(0, 0, 2),
                Crash(0, true),
            ],
            &["OUTCOME_UNKNOWN", "accepted, possible_duplicate"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "the process dies, and others come before its partition is taken over, and after",
            &[
                Crash(0, true),
                Append(0, false, REPORT),
                Assign(0, 1),
                Append(0, false, REPORT),
            ],
            &["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN", "accepted"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "the partition is given up, and another comes before it is taken over",
            &[
                Revoke(0, 0, false, true),
                Append(0, false, REPORT),
                Assign(0, 1),
            ],
            &["accepted", "accepted"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "the sessions are lost, that is committed, the process dies, and another comes",
            &[
                Unbind(0, 0, false),
                Unbind(0, 1, false),
                Begin(0, false),
                End(0, true),
                Crash(0, true),
                Append(0, false, REPORT),
            ],
            &["accepted", "accepted"],
        ),
    ),
    (
        &[(0, REPORT)],
        (
            "another comes and goes out, the partition is lost and comes back: what was out is in doubt",
            &[
                Append(0, false, REPORT),
                Append(0, false, REPORT),
                Fetch(0),
                Pick(0, 0, 2),
                Lose(0),
                Unbind(0, 0, true),
                Assign(0, 0),
            ],
            &["OUTCOME_UNKNOWN", "accepted", "accepted"],
        ),
    ),
    (
        &[(0, LONG)],
        (
            "its bind stays: a segment is given up and then refused, the next are given up and were taken",
            &[
                Pick(0, 0, 3),
                Revoke(0, 0b10_10_11, true, true),
                Assign(0, 1),
            ],
            &["OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, LONG)],
        (
            "its bind stays: a segment is given up, the next answered before its turn",
            &[
                Pick(0, 0, 3),
                Revoke(0, 0b01_11_10, true, true),
                Assign(0, 1),
            ],
            &["OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, LONG)],
        (
            "it dies after a segment was taken and committed",
            &[
                Pick(0, 0, 1),
                Answered(0, 0, OK),
                Begin(0, false),
                End(0, true),
                Crash(0, true),
            ],
            &["OUTCOME_UNKNOWN"],
        ),
    ),
    (
        &[(0, LONG)],
        (
            "its session is lost between two segments, and none was out",
            &[Pick(0, 0, 1), Answered(0, 0, OK), Unbind(0, 0, true)],
            &["accepted"],
        ),
    ),
];

#[test]
fn interleavings_come_out_as_the_architecture_says() {
    let mut wrong = String::new();
    for (specs, (what, steps, wanted)) in INTERLEAVINGS {
        let world = play(&[&ready(specs)[..], steps].concat());
        let world = world.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        let results = world.results.values().map(|told| words(&told[0]));
        let results: Vec<String> = results.collect();
        if results != *wanted {
            wrong += &format!("{what}: {results:?}, not {wanted:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
