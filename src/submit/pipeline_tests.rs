//! Several partitions at one bind group: who goes first, and what becomes of those that leave.

use std::time::SystemTime;

use rdkafka::config::ClientConfig;

use super::*;
use crate::record::event::SendErrorKind;
use crate::settings::InDoubt;
use crate::submit::results::events::Events;
use crate::submit::state::groups::FEWEST;
use crate::submit::state::late::LateAnswers;
use crate::submit::state::partition;
use crate::submit::state::pending::PendingResult;
use crate::submit::state::pending::RecordOutcome;
use crate::submit::state::segments::Segments;
use bytes::Bytes;
use smpp_esme::{Answer, Doubt, Outcome};
use smpp_protocol::frame::push_empty;
use smpp_protocol::{Command, Status};

/// A pipeline with one bind group and one bind; window 10.
struct Scene {
    pipeline: Pipeline,
    bind: BindRef,
    assignments: Vec<AssignmentId>,
}

impl Scene {
    /// A partition for each of these priorities; partition *n* is the *n*-th.
    fn new(rate: f64, priorities: &[usize]) -> Scene {
        let events = Arc::new(Events::default());
        let late_producer = LateProducer::new(&ClientConfig::new(), events).unwrap();
        let pipeline = Pipeline::new(
            Settings::default(),
            late_producer,
            poll::Handle::default(),
            "me",
        );
        let (group, _) = pipeline.add_group(10, rate);
        let bind = pipeline.add_bind(group, "acme-i.0".into(), true).0;
        pipeline.bound(&bind);
        let assignments = (0..).zip(priorities).map(|(n, priority)| {
            pipeline.assigned(partition(n), Start::fresh(0, 0), group, *priority)
        });
        let assignments = assignments.collect();
        let scene = Scene {
            pipeline,
            bind,
            assignments,
        };
        scene.cycle();
        scene
    }

    /// A whole transaction: what was gathered is finished, and what comes next made ready.
    fn cycle(&self) -> Vec<PendingResult> {
        let mut guard = self.pipeline.state.lock();
        let state = &mut *guard;
        let gathered = state.take_outboxes();
        for result in &gathered {
            if let Some((offset, octets)) = result.finishes() {
                let held = state.assignments.get_mut(&result.assignment).unwrap();
                held.partition.finish(offset, octets);
            }
        }
        cycle(state);
        gathered
    }

    fn take(&self, part: i32, offsets: std::ops::Range<i64>) {
        for offset in offsets {
            let outgoing = partition::tests::outgoing(offset);
            self.pipeline
                .fetched(&partition(part), offset, Incoming::Message(outgoing, None));
        }
    }

    fn take_long(&self, part: i32, offset: i64, segments: usize) {
        let mut pdus = Vec::new();
        for _ in 0..segments {
            push_empty(Command::SUBMIT_SM, Status::ROK, 0, &mut pdus);
        }
        let mut outgoing = partition::tests::outgoing(offset);
        outgoing.pdu = pdus.into();
        outgoing.segments = Segments::split(&outgoing.pdu).map(Box::new);
        self.pipeline
            .fetched(&partition(part), offset, Incoming::Message(outgoing, None));
    }

    fn pick(&self, most: usize) -> Vec<u64> {
        let mut picked = Vec::new();
        self.pipeline.pick(&self.bind, most, &mut picked);
        picked.iter().map(|p| p.token).collect()
    }

    /// Which partition a whole message belongs to, as its place among the priorities.
    fn lane_of(&self, token: u64) -> Option<usize> {
        let state = self.pipeline.state.lock();
        let partition = state.in_flight.get(&token)?.assignment;
        self.assignments.iter().position(|l| *l == partition)
    }

    fn accept(&self, token: u64) {
        let outcome = Outcome::Answered(answer());
        self.pipeline.outcome(&self.bind, token, outcome);
    }

    /// PDUs that a successor would take for sent although no session has them.
    fn ready(&self) -> Vec<usize> {
        let state = self.pipeline.state.lock();
        let ready = |id: &AssignmentId| state.assignments[id].partition.ready_pdus();
        self.assignments.iter().map(ready).collect()
    }
}

fn answer() -> Answer {
    Answer {
        command: Command::SUBMIT_SM_RESP,
        status: Status::ROK,
        message_id: b"x".to_vec(),
        tlvs: Bytes::new(),
        received: SystemTime::UNIX_EPOCH,
    }
}

/// What is due before a transaction and after it, as far as the partitions know.
pub(in crate::submit) fn cycle(state: &mut PipelineState) {
    let now = Instant::now();
    for held in state.assignments.values_mut() {
        held.partition.plan(now, true);
    }
    for group in state.groups.values_mut() {
        group.share(
            &mut state.assignments,
            Duration::from_millis(300),
            0,
            |_| true,
        );
    }
    for held in state.assignments.values_mut() {
        let snapshot = held.partition.snapshot(now);
        held.partition.committed(snapshot);
    }
}

fn partition(n: i32) -> Partition {
    Partition {
        topic: "outbound".into(),
        partition: n,
    }
}

/// Sends everything, `most` at a time with a commit before each: the partitions in the order in which
/// their messages went.
fn order(scene: &Scene, most: usize) -> Vec<usize> {
    let mut order = Vec::new();
    loop {
        scene.cycle();
        let picked = scene.pick(most);
        if picked.is_empty() {
            return order;
        }
        for token in picked {
            order.push(scene.lane_of(token).unwrap());
            scene.accept(token);
        }
    }
}

#[test]
fn lanes_of_one_priority_take_turns() {
    for (rate, most) in [(20.0, 1), (20.0, 2), (f64::INFINITY, 7)] {
        let scene = Scene::new(rate, &[0, 0]);
        scene.take(0, 0..800);
        scene.take(1, 0..200);
        let order = order(&scene, most);
        assert_eq!(order.len(), 1000);
        let first = order.iter().position(|partition| *partition == 1).unwrap();
        assert!(first <= 10, "after {first} of the other at {rate}/s");
        let last = order.iter().rposition(|partition| *partition == 1).unwrap();
        assert!(last <= 440, "200 of each are through after {last}");
    }
}

#[test]
fn what_is_reserved_ahead_leaves_room_when_the_binds_take_less() {
    let scene = Scene::new(f64::INFINITY, &[0, 0, 0]);
    let transaction = || {
        let mut state = scene.pipeline.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        for group in state.groups.values_mut() {
            let time = Duration::from_millis(300);
            group.share(&mut state.assignments, time, 64, |_| true);
        }
        // As a transaction does: only what has something to commit.
        for held in state.assignments.values_mut() {
            if held.partition.needs_commit(now, Duration::from_secs(60)) {
                let snapshot = held.partition.snapshot(now);
                held.partition.committed(snapshot);
            }
        }
    };
    let ahead = || {
        let state = scene.pipeline.state.lock();
        let held = scene.assignments.iter();
        held.map(|id| state.assignments[id].partition.is_ahead())
            .sum::<usize>()
    };
    scene.cycle();
    transaction();
    assert_eq!(ahead(), 2, "a quarter of the least that is ready");
    let slow = KnownPace {
        window: 10,
        rate: 1.0,
        answered: 0.0,
    };
    scene.pipeline.paced(&scene.bind, slow);
    for offset in 0..100 {
        scene.take(0, offset..offset + 1);
        transaction();
        let picked = scene.pick(1);
        assert_eq!(picked.len(), 1, "record {offset}");
        assert_eq!(ahead(), 0, "two a second is no room for it");
        scene.accept(picked[0]);
        scene.cycle();
    }
}

#[test]
fn turns_are_taken_by_what_was_given_not_by_how_often_it_is_looked() {
    let scene = Scene::new(4.0, &[0, 0]);
    scene.take(0, 0..60);
    scene.take(1, 0..60);
    let mut order = Vec::new();
    while order.len() < 60 {
        // One commit for what was handed out, another for its answer.
        scene.cycle();
        for token in scene.pick(1) {
            order.push(scene.lane_of(token).unwrap());
            scene.cycle();
            scene.accept(token);
        }
    }
    let ones = order.iter().sum::<usize>();
    assert!((29..=31).contains(&ones), "{order:?}");
}

/// It would be submitted before it was appended.
#[test]
fn a_message_is_not_submitted_earlier_than_the_lock_was_had() {
    let scene = Scene::new(0.0, &[0]);
    scene.take(0, 0..1);
    scene.cycle();
    std::thread::scope(|scope| {
        let state = scene.pipeline.state.lock();
        let picking = scope.spawn(|| scene.pick(1));
        std::thread::sleep(Duration::from_millis(50));
        let had = jiff::Timestamp::now();
        drop(state);
        let picked = picking.join().unwrap();
        let state = scene.pipeline.state.lock();
        let submitted_at = state.in_flight[&picked[0]].outgoing.submitted_at;
        assert!(submitted_at >= had, "{submitted_at}, and the lock {had}");
    });
}

#[test]
fn a_long_message_that_is_larger_than_the_room_stays_ready() {
    let scene = Scene::new(1.0, &[0]);
    scene.take_long(0, 0, 5);
    scene.cycle();
    let requires = || {
        let state = scene.pipeline.state.lock();
        state.assignments[&scene.assignments[0]]
            .partition
            .first_ready_requires()
    };
    let first = requires();
    assert!(first.is_some());
    for _ in 0..3 {
        scene.cycle();
        assert_eq!(requires(), first, "each commit would put it off");
    }
    assert_eq!(scene.pick(10).len(), 5);
}

#[test]
fn a_lane_that_comes_later_gets_its_turn_within_a_window() {
    let scene = Scene::new(f64::INFINITY, &[0, 0, 0]);
    scene.take(0, 0..500);
    scene.cycle();
    let before = scene.pick(3);
    assert!(before.iter().all(|token| scene.lane_of(*token) == Some(0)));
    scene.take(2, 0..1);
    let order = order(&scene, 2);
    let first = order.iter().position(|partition| *partition == 2).unwrap();
    assert!(first <= 10, "after {first}");
}

#[test]
fn an_urgent_message_goes_before_all_that_is_not_with_the_session() {
    let scene = Scene::new(f64::INFINITY, &[0, 1]);
    scene.take(1, 0..500);
    scene.cycle();
    assert_eq!(scene.ready(), [0, 10]);
    scene.take(0, 0..3);
    scene.cycle();
    assert_eq!(scene.ready(), [3, 7], "a window in all");
    let assignments: Vec<_> = scene
        .pick(4)
        .into_iter()
        .map(|t| scene.lane_of(t))
        .collect();
    assert_eq!(assignments, [Some(0), Some(0), Some(0), Some(1)]);
}

#[test]
fn an_urgent_message_goes_between_the_parts_of_a_long_one() {
    let scene = Scene::new(f64::INFINITY, &[0, 1]);
    scene.take_long(1, 0, 255);
    scene.take_long(1, 1, 3);
    scene.cycle();
    let first = scene.pick(1);
    assert_eq!(scene.lane_of(first[0]), None, "a part");
    scene.take(0, 0..1);
    scene.take_long(0, 1, 2);
    scene.cycle();
    let next = scene.pick(5);
    assert_eq!(scene.lane_of(next[0]), Some(0), "before the other 254");
    assert_eq!(next[2], next[1] + 1, "so does a long one, whole");
    assert_eq!(
        next[3..],
        [first[0] + 1, first[0] + 2],
        "then the parts go on"
    );
    let rest = scene.pick(300);
    assert_eq!(rest.len(), 252 + 3);
    let consecutive = rest[..252].windows(2).all(|w| w[1] == w[0] + 1);
    assert!(
        consecutive,
        "nothing of their own priority goes between them"
    );
}

#[test]
fn what_may_have_been_sent_is_what_is_out_and_one_window() {
    let scene = Scene::new(f64::INFINITY, &[0, 0, 1]);
    for part in 0..3 {
        scene.take(part, 0..1000);
    }
    for _ in 0..20 {
        scene.cycle();
        assert_eq!(scene.ready().iter().sum::<usize>(), 10);
        scene.pick(6);
    }
    // A window that has become smaller, and an SMSC that answers little.
    let narrow = KnownPace {
        window: 3,
        answered: 5.0,
        ..KnownPace::default()
    };
    scene.pipeline.paced(&scene.bind, narrow);
    scene.cycle();
    assert_eq!(scene.ready().iter().sum::<usize>(), FEWEST);
    // One that answers a window and more between two commits.
    let answered = 1e9;
    scene
        .pipeline
        .paced(&scene.bind, KnownPace { answered, ..narrow });
    scene.cycle();
    assert_eq!(scene.ready().iter().sum::<usize>(), 10);
    // A throttle that lets two through in a second.
    scene.pipeline.paced(
        &scene.bind,
        KnownPace {
            rate: 2.0,
            ..KnownPace::default()
        },
    );
    scene.cycle();
    assert_eq!(scene.ready().iter().sum::<usize>(), 2);
}

#[test]
fn a_lane_without_part_in_a_transaction_takes_no_room() {
    let scene = Scene::new(f64::INFINITY, &[0, 0]);
    scene.take(0, 0..100);
    scene.take(1, 0..100);
    let mut guard = scene.pipeline.state.lock();
    let state = &mut *guard;
    let aside = scene.assignments[0];
    for group in state.groups.values_mut() {
        group.share(
            &mut state.assignments,
            Duration::from_millis(300),
            0,
            |id| *id != aside,
        );
    }
    drop(guard);
    assert_eq!(scene.ready(), [0, 10]);
}

#[test]
fn what_a_refused_transaction_made_ready_takes_no_room_either() {
    let scene = Scene::new(f64::INFINITY, &[0, 0]);
    scene.take(0, 0..100);
    let mut guard = scene.pipeline.state.lock();
    let state = &mut *guard;
    let aside = scene.assignments[0];
    for group in state.groups.values_mut() {
        group.share(
            &mut state.assignments,
            Duration::from_millis(300),
            0,
            |_| true,
        );
    }
    let partition = &mut state.assignments.get_mut(&aside).unwrap().partition;
    assert_eq!(partition.ready_pdus(), 10);
    partition.hold_uncommitted();
    drop(guard);
    assert_eq!(scene.ready(), [0, 0]);
    scene.cycle();
    let mut guard = scene.pipeline.state.lock();
    let partition = &mut guard.assignments.get_mut(&aside).unwrap().partition;
    partition.hold_uncommitted();
    assert_eq!(partition.ready_pdus(), 10, "what is committed goes on");
    partition.drain();
    assert_eq!(partition.ready_pdus(), 0, "nothing of it is picked");
}

#[test]
fn a_record_too_far_behind_to_be_reopened_stays_to_be_put_back() {
    let scene = Scene::new(f64::INFINITY, &[0]);
    let mut guard = scene.pipeline.state.lock();
    let state = &mut *guard;
    let assignment = scene.assignments[0];
    let progress = &mut state.assignments.get_mut(&assignment).unwrap().partition;
    for offset in (0..15_000).chain((15_001..30_000).step_by(2)) {
        progress.finish(offset, 0);
    }
    let put_back = |offset| PendingResult {
        assignment,
        applied: true,
        outcome: RecordOutcome::PutBack(partition::tests::outgoing(offset), Default::default()),
    };
    let mut results = vec![put_back(0), put_back(14_000)];
    let topic = partition::tests::outgoing(0).context.topic.clone();
    let left = state.reopen(&mut results, &topic, Now::read());
    assert_eq!(left, [assignment].into());
    let [PendingResult { outcome, .. }] = &results[..] else {
        panic!("{results:?}")
    };
    assert!(matches!(outcome, RecordOutcome::PutBack(outgoing, _) if outgoing.offset == 0));
    assert_eq!(
        state.assignments[&assignment].partition.progress().base(),
        14_000
    );
}

#[test]
fn what_the_session_still_has_of_a_partition_that_goes_is_in_doubt_and_may_be_answered() {
    let scene = Scene::new(f64::INFINITY, &[0, 0]);
    scene.take(0, 0..1);
    scene.take_long(0, 1, 2);
    scene.take(1, 0..2);
    scene.cycle();
    let picked = scene.pick(10);
    assert_eq!(picked.len(), 5);
    let leaving = [scene.assignments[0]];
    scene.pipeline.drain(&leaving);
    let mut theirs = scene.pipeline.tokens_of(&leaving);
    theirs.sort_unstable();
    assert_eq!(theirs.len(), 3);
    // The session takes back the second part, of which nothing was written.
    scene
        .pipeline
        .outcome(&scene.bind, theirs[2], Outcome::NotSent);
    scene.pipeline.abandon(&leaving);
    assert!(scene.pipeline.tokens_of(&leaving).is_empty());
    assert_eq!(scene.pipeline.outstanding(&leaving), 0);
    assert_eq!(
        scene.pipeline.outstanding(&scene.assignments[1..]),
        2,
        "they stay"
    );
    let state = scene.pipeline.state.lock();
    let attempts = |offset| {
        state.assignments[&scene.assignments[0]]
            .partition
            .progress()
            .attempts(offset)
    };
    assert_eq!([attempts(0), attempts(1)], [1, 1]);
    assert_eq!(state.late.size().0, 2);
    drop(state);
    // An answer counts as long as the partition is ours.
    scene.accept(theirs[0]);
    let late = scene.cycle();
    assert!(
        late.iter()
            .any(|e| matches!(e.outcome, RecordOutcome::Answered(..)))
    );
    scene
        .pipeline
        .outcome(&scene.bind, theirs[1], Outcome::InDoubt(Doubt::Timeout));
    assert_eq!(
        scene.pipeline.state.lock().late.size().0,
        1,
        "still waited for"
    );
    scene.pipeline.unbound(&scene.bind);
    assert_eq!(scene.pipeline.state.lock().late.size(), (0, 0));
}

#[test]
fn answers_that_never_come_take_a_bounded_amount_of_memory() {
    let mut late = LateAnswers::default();
    let mut expected = |token: u64, octets: usize| {
        let mut outgoing = partition::tests::outgoing(1);
        let context = Arc::get_mut(&mut outgoing.context).unwrap();
        context.value = Some(vec![0; 60_000]);
        context.log_id = "x".repeat(octets);
        let sent = crate::submit::state::pending::Sent::of(&outgoing, &"acme-0.0".into());
        late.expect(
            token,
            crate::submit::state::late::Expected {
                assignment: 1,
                bind: 7,
                sent,
            },
        );
        late.size()
    };
    let (_, one) = expected(1, 0);
    assert!(one < 1_000, "without what the producer wrote: {one}");
    for token in 2..100 {
        expected(token, 1 << 20);
    }
    let (count, octets) = late.size();
    assert!(octets <= crate::submit::state::late::OCTETS, "{octets}");
    assert_eq!(count, 31);
    assert!(late.take(1).is_none(), "the oldest go first");
    assert!(late.take(99).is_some());
    late.forget_bind(7);
    assert_eq!(late.size(), (0, 0));
}

#[test]
fn a_message_whose_time_ends_between_its_parts_sends_no_more_of_them() {
    let scene = Scene::new(f64::INFINITY, &[0]);
    scene.take_long(0, 0, 3);
    scene.cycle();
    let first = scene.pick(1);
    let mut state = scene.pipeline.state.lock();
    state.segmented.expire_all(Instant::now());
    drop(state);
    assert!(scene.pick(10).is_empty());
    scene.accept(first[0]);
    scene.cycle();
    let outcomes = scene.cycle();
    assert!(outcomes.is_empty(), "it ended in the transaction before");
    let state = scene.pipeline.state.lock();
    assert!(
        state.assignments[&scene.assignments[0]]
            .partition
            .progress()
            .is_finished(0)
    );
}

#[test]
fn no_part_goes_out_after_the_end_of_the_time_also_when_none_is_out() {
    let scene = Scene::new(f64::INFINITY, &[0]);
    scene.take_long(0, 0, 3);
    scene.cycle();
    let first = scene.pick(1);
    scene.accept(first[0]);
    let mut state = scene.pipeline.state.lock();
    state.segmented.expire_all(Instant::now());
    drop(state);
    assert!(scene.pick(10).is_empty());
    assert!(scene.pipeline.state.lock().segmented.is_empty());
    assert!(scene.pick(10).is_empty());
    scene.cycle();
    let state = scene.pipeline.state.lock();
    assert!(
        state.assignments[&scene.assignments[0]]
            .partition
            .progress()
            .is_finished(0)
    );
}

#[test]
fn what_is_between_two_parts_stops_when_its_partition_leaves() {
    let scene = Scene::new(f64::INFINITY, &[0, 0]);
    scene.take_long(0, 0, 3);
    scene.cycle();
    let first = scene.pick(1);
    scene.accept(first[0]);
    let leaving = [scene.assignments[0]];
    scene.pipeline.drain(&leaving);
    scene.pipeline.stop_segmented(&leaving);
    assert!(scene.pick(10).is_empty());
    assert!(scene.pipeline.tokens_of(&leaving).is_empty());
}

#[test]
fn in_doubt_report_is_told_for_what_a_leaving_partition_had_out() {
    let scene = Scene::new(f64::INFINITY, &[0, 0]);
    let mut outgoing = partition::tests::outgoing(0);
    outgoing.in_doubt = InDoubt::Report;
    scene
        .pipeline
        .fetched(&partition(0), 0, Incoming::Message(outgoing, None));
    scene.cycle();
    assert_eq!(scene.pick(1).len(), 1);
    let leaving = [scene.assignments[0]];
    scene.pipeline.drain(&leaving);
    scene.pipeline.abandon(&leaving);
    let outcomes = scene.cycle();
    let [result] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    let RecordOutcome::Rejected(rejection) = &result.outcome else {
        panic!("{result:?}")
    };
    assert_eq!(rejection.kind, SendErrorKind::OutcomeUnknown);
    assert!(rejection.text.contains("given up"), "{}", rejection.text);
}
