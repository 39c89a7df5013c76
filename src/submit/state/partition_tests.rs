//! The interleavings that the guarantees depend on, one partition at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::*;
use crate::record::event::SendErrorKind;
use crate::record::keys::Position;
use crate::settings::InDoubt;
use crate::submit::message::outgoing::RecordContext;
use crate::submit::results::events::AccountRef;

/// PDUs that may be ready.
const ROOM: usize = 4;

const NONE: [i64; 0] = [];

fn context(offset: i64) -> Arc<RecordContext> {
    Arc::new(RecordContext {
        account: Arc::new(AccountRef {
            esme: "acme".into(),
            dialect: Arc::default(),
            meters: Arc::default(),
        }),
        topic: "sms.outbound".into(),
        partition: 0,
        position: Position {
            topic: "sms.outbound".into(),
            partition: 0,
            offset,
        },
        appended: None,
        log_id: format!("log-{offset}"),
        extra_data: None,
        source: None,
        destination: None,
        key: None,
        value: None,
        headers: None,
        truncated: false,
        operation: crate::record::outbound::Operation::SubmitSm,
        message_id: None,
    })
}

pub(in crate::submit) fn outgoing(offset: i64) -> Box<Outgoing> {
    Box::new(Outgoing {
        offset,
        context: context(offset),
        pdu: bytes::Bytes::new(),
        segments: None,
        registered: true,
        recipients: None,
        reference: None,
        expires: None,
        deadline: None,
        in_doubt: InDoubt::Resend,
        max_resends: 5,
        doubts: 0,
        retries: 0,
        earlier: 0,
        held_since: None,
        requires: 0,
        possible_duplicate: false,
        submitted_at: Timestamp::UNIX_EPOCH,
    })
}

fn rejection(offset: i64) -> Rejection {
    Rejection::of(
        &outgoing(offset),
        SendErrorKind::InvalidRecord,
        "bad".into(),
    )
}

/// A partition that is open at offset 0.
fn partition() -> PartitionState {
    let start = Start::fresh(0, 0);
    let partition = Partition {
        topic: "sms.outbound".into(),
        partition: 0,
    };
    let capacity = Capacity {
        ahead: 1000,
        records: 1000,
        octets: 1 << 20,
    };
    let mut partition = PartitionState::new(partition, start, Limits::default(), capacity);
    let snapshot = partition.snapshot(Instant::now());
    assert!(partition.committed(snapshot), "the first commit opens it");
    partition
}

fn take(partition: &mut PartitionState, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        assert!(partition.wants(offset));
        partition.take_in(outgoing(offset), None, false);
    }
}

/// What is due before a transaction begins.
fn plan(partition: &mut PartitionState) -> Vec<Rejection> {
    let rejections = partition.plan(Instant::now(), true);
    partition.make_ready(ROOM.saturating_sub(partition.ready_pdus()));
    rejections
}

/// One whole cycle.
fn cycle(partition: &mut PartitionState) {
    plan(partition);
    let snapshot = partition.snapshot(Instant::now());
    partition.committed(snapshot);
}

/// What a successor would find in doubt if the process died right after a commit.
fn in_doubt_after_a_crash(partition: &mut PartitionState) -> Vec<i64> {
    let snapshot = partition.snapshot(Instant::now());
    partition.committed(snapshot);
    let mut after = partition.progress().clone();
    let before = after.clone();
    after.take_over(partition.next_offset());
    let all = 0..partition.next_offset();
    all.filter(|o| after.attempts(*o) > before.attempts(*o))
        .collect()
}

fn picked(partition: &mut PartitionState, bind: BindId) -> Vec<i64> {
    let outgoings = std::iter::from_fn(|| partition.pick(bind, Instant::now()));
    outgoings.map(|outgoing| outgoing.offset).collect()
}

#[test]
fn nothing_is_sent_before_its_reservation_is_committed() {
    let mut partition = partition();
    take(&mut partition, 0..10);
    assert_eq!(picked(&mut partition, 1), NONE, "nothing is reserved");
    plan(&mut partition);
    let snapshot = partition.snapshot(Instant::now());
    assert_eq!(
        picked(&mut partition, 1),
        NONE,
        "reserved, but not committed"
    );
    partition.committed(snapshot);
    assert_eq!(
        picked(&mut partition, 1),
        [0, 1, 2, 3],
        "as many as were made ready"
    );
}

#[test]
fn nothing_is_reserved_without_room() {
    let mut partition = partition();
    take(&mut partition, 0..10);
    partition.plan(Instant::now(), true);
    assert_eq!(partition.make_ready(0), 0);
    assert_eq!(partition.progress().reserved(), 0);
}

#[test]
fn in_doubt_is_what_is_out_or_ready_and_nothing_else() {
    let mut partition = partition();
    let now = Instant::now();
    for n in 0..500 {
        assert!(partition.wants(n));
        // Put back, due in five minutes.
        partition.take_in(outgoing(n), Some(now + Duration::from_secs(300)), false);
    }
    take(&mut partition, 500..520);
    cycle(&mut partition);
    assert_eq!(partition.pick(1, now).unwrap().offset, 500);
    assert_eq!(partition.progress().reserved(), 504);
    assert_eq!(in_doubt_after_a_crash(&mut partition), [500, 501, 502, 503]);

    // The SMSC refuses one for now, and does not want another.
    partition.returned(500);
    partition.retry(outgoing(500), Some(now + Duration::from_secs(20)));
    assert_eq!(partition.pick(1, now).unwrap().offset, 501);
    partition.returned(501);
    partition.finish(501, 0);
    assert_eq!(in_doubt_after_a_crash(&mut partition), [502, 503]);

    // The session is lost with 502 out, of which nothing was written.
    assert_eq!(partition.pick(1, now).unwrap().offset, 502);
    partition.returned(502);
    partition.not_sent(outgoing(502));
    partition.session_lost(1);
    assert_eq!(in_doubt_after_a_crash(&mut partition), NONE);
}

#[test]
fn what_the_smsc_refused_for_now_is_not_handed_out_before_a_commit_says_so() {
    let mut partition = partition();
    take(&mut partition, 0..4);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0, 1, 2, 3]);
    partition.returned(1);
    partition.retry(outgoing(1), None);
    assert_eq!(in_doubt_after_a_crash(&mut partition), [0, 2, 3]);
    assert_eq!(
        picked(&mut partition, 1),
        NONE,
        "a successor would take it for new"
    );
    plan(&mut partition);
    assert_eq!(picked(&mut partition, 1), NONE, "ready, but not committed");
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [1]);
}

#[test]
fn what_is_due_again_waits_for_a_commit() {
    let mut partition = partition();
    let now = Instant::now();
    take(&mut partition, 0..2);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0, 1]);
    partition.returned(0);
    partition.retry(outgoing(0), Some(now + Duration::from_secs(1)));
    cycle(&mut partition);
    assert!(partition.promote(now + Duration::from_secs(2)));
    assert!(partition.wants_commit());
    assert_eq!(picked(&mut partition, 1), NONE);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0]);
}

#[test]
fn what_comes_back_after_its_reservation_was_lowered_waits_for_a_new_one() {
    let mut partition = partition();
    take(&mut partition, 0..4);
    cycle(&mut partition);
    let stalled = partition.pick(1, Instant::now()).unwrap();
    // The session ends before the sender has queued it, and a new one begins.
    partition.session_lost(1);
    cycle(&mut partition);
    plan(&mut partition);
    partition.returned(0);
    partition.not_sent(stalled);
    assert!(
        !picked(&mut partition, 1).contains(&0),
        "no commit covers it"
    );
    cycle(&mut partition);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0]);
}

#[test]
fn what_is_taken_back_is_held_again() {
    let mut partition = partition();
    take(&mut partition, 0..6);
    cycle(&mut partition);
    partition.take_back(1);
    assert_eq!(picked(&mut partition, 1), [0], "the first stays ready");
    assert_eq!(in_doubt_after_a_crash(&mut partition), [0]);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [1, 2, 3, 4]);
}

#[test]
fn what_expires_while_a_transaction_hangs_is_not_handed_out() {
    let mut partition = partition();
    let now = Instant::now();
    assert!(partition.wants(0));
    let mut short_lived = outgoing(0);
    short_lived.expires = Some(now + Duration::from_secs(1));
    partition.take_in(short_lived, None, false);
    take(&mut partition, 1..2);
    cycle(&mut partition);
    let later = now + Duration::from_secs(7);
    assert_eq!(partition.pick(1, later).unwrap().offset, 1);
    assert_eq!(plan(&mut partition)[0].kind, SendErrorKind::Expired);
}

#[test]
fn a_lost_session_lowers_the_reservation_to_what_may_have_been_sent() {
    let mut partition = partition();
    take(&mut partition, 0..10);
    cycle(&mut partition);
    for offset in 0..2 {
        assert_eq!(partition.pick(1, Instant::now()).unwrap().offset, offset);
    }
    // 0 is in doubt, 1 was never written.
    partition.returned(0);
    assert_eq!(partition.doubt(0), 1);
    partition.retry(outgoing(0), None);
    partition.returned(1);
    partition.not_sent(outgoing(1));
    partition.session_lost(1);
    assert_eq!(partition.progress().reserved(), 0);
    assert_eq!(
        partition.progress().attempts(0),
        1,
        "the count says it instead"
    );
    assert_eq!(
        picked(&mut partition, 1),
        NONE,
        "nothing without a new reservation"
    );
}

#[test]
fn a_record_of_which_a_part_was_taken_is_in_doubt_once_its_reservation_is_gone() {
    let mut partition = partition();
    take(&mut partition, 0..4);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0, 1, 2, 3]);
    for offset in [0, 1] {
        partition.segment_taken(offset);
        partition.returned(offset);
        partition.retry(outgoing(offset), None);
    }
    assert_eq!(
        partition.progress().attempts(0),
        0,
        "the reservation says it"
    );
    // 1 is in doubt by itself; the loss of the session counts no second time.
    partition.doubt(1);
    partition.session_lost(1);
    let attempts =
        |partition: &PartitionState| [0, 1, 2, 3].map(|o| partition.progress().attempts(o));
    assert_eq!(attempts(&partition), [1, 1, 0, 0]);
    partition.settle();
    assert_eq!(attempts(&partition), [1, 1, 0, 0], "nothing was sent since");
    cycle(&mut partition);
}

#[test]
fn a_record_that_another_bind_still_covers_is_not_counted() {
    let mut partition = partition();
    take(&mut partition, 0..2);
    cycle(&mut partition);
    assert_eq!(partition.pick(1, Instant::now()).unwrap().offset, 0);
    assert_eq!(partition.pick(2, Instant::now()).unwrap().offset, 1);
    partition.segment_taken(0);
    partition.session_lost(1);
    assert_eq!(
        partition.progress().attempts(0),
        0,
        "it lies below what bind 2 holds"
    );
    partition.finish(0, 0);
    partition.settle();
    assert_eq!(partition.progress().doubtful(), 0, "it has its result");
}

#[test]
fn a_commit_from_before_the_loss_grants_nothing() {
    let mut partition = partition();
    take(&mut partition, 0..10);
    plan(&mut partition);
    let before = partition.snapshot(Instant::now());
    partition.session_lost(1);
    partition.committed(before);
    assert_eq!(
        picked(&mut partition, 2),
        NONE,
        "the next commit will lower what this one reserved"
    );
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 2), [0, 1, 2, 3]);
}

#[test]
fn another_binds_records_stay_reserved_when_one_is_lost() {
    let mut partition = partition();
    take(&mut partition, 0..10);
    cycle(&mut partition);
    assert_eq!(partition.pick(1, Instant::now()).unwrap().offset, 0);
    assert_eq!(partition.pick(2, Instant::now()).unwrap().offset, 1);
    partition.session_lost(1);
    assert_eq!(
        partition.progress().reserved(),
        2,
        "bind 2 may still write 1"
    );
}

#[test]
fn a_record_in_doubt_waits_until_its_doubt_is_committed() {
    let mut partition = partition();
    take(&mut partition, 0..2);
    cycle(&mut partition);
    let first = partition.pick(1, Instant::now()).unwrap();
    partition.returned(0);
    partition.doubt(0);
    partition.retry(first, None);
    assert_eq!(
        picked(&mut partition, 1),
        [1],
        "it is overtaken, not resent"
    );
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0]);
}

#[test]
fn a_record_that_ended_two_sessions_goes_alone() {
    let mut progress = Progress::new(0);
    progress.set_attempts(0, 2);
    progress.set_attempts(1, 2);
    let start = Start {
        progress,
        ..Start::fresh(0, 0)
    };
    let mut partition = partition();
    partition = PartitionState::new(
        partition.name().clone(),
        start,
        Limits::default(),
        partition.capacity,
    );
    let snapshot = partition.snapshot(Instant::now());
    partition.committed(snapshot);
    for offset in 0..4 {
        assert!(partition.wants(offset));
        let mut outgoing = outgoing(offset);
        outgoing.doubts = partition.history(offset).0;
        partition.take_in(outgoing, None, false);
    }
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0]);
    assert_eq!(partition.progress().reserved(), 1);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), NONE, "one is out");
    partition.returned(0);
    partition.finish(0, 0);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [1]);
    partition.returned(1);
    partition.finish(1, 0);
    cycle(&mut partition);
    assert_eq!(
        picked(&mut partition, 1),
        [2, 3],
        "the rest is above suspicion"
    );
}

#[test]
fn nothing_follows_a_record_that_ended_two_sessions_before_it_is_answered() {
    let mut partition = partition();
    assert!(partition.wants(0));
    let mut poison = outgoing(0);
    poison.doubts = 2;
    partition.take_in(poison, None, false);
    take(&mut partition, 1..4);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0]);
    cycle(&mut partition);
    assert_eq!(partition.progress().reserved(), 1, "nor is it reserved");
    assert_eq!(partition.peek(10), 0);
    assert_eq!(picked(&mut partition, 2), NONE, "over no bind");
    partition.returned(0);
    partition.finish(0, 0);
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [1, 2, 3]);
}

#[test]
fn a_gap_that_the_metadata_has_no_room_for_waits() {
    let mut partition = partition();
    for offset in 0..1000 {
        assert!(partition.wants(offset));
        match offset % 2 {
            0 => drop(partition.take_in(outgoing(offset), None, false)),
            _ => partition.reject(offset, rejection(offset)),
        }
    }
    assert!(partition.wants(1_000_000), "1000 to 999999 do not exist");
    partition.take_in(outgoing(1_000_000), None, false);
    cycle(&mut partition);
    assert!(
        !partition.progress().is_finished(1000),
        "500 are unfinished"
    );
    for offset in (0..400).step_by(2) {
        partition.withdraw(offset);
        partition.finish(offset, 0);
    }
    cycle(&mut partition);
    assert!(partition.progress().is_finished(999_999));
}

#[test]
fn what_is_refused_takes_room_until_that_is_committed() {
    let mut partition = partition();
    take(&mut partition, 0..1);
    assert!(partition.wants(1));
    partition.reject(1, rejection(1));
    let full = partition.size().1;
    let rejections = plan(&mut partition);
    assert_eq!(rejections.len(), 1);
    let held = rejections[0].held;
    assert!(held > 0);
    partition.snapshot(Instant::now());
    partition.not_committed();
    assert_eq!(partition.size().1, full, "it waits for another transaction");
    let again = partition.snapshot(Instant::now());
    partition.committed(again);
    assert_eq!(partition.size().1, full - held);
}

#[test]
fn gaps_and_refusals_finish_without_being_sent() {
    let mut partition = partition();
    assert!(partition.wants(5), "0 to 4 do not exist");
    partition.reject(5, rejection(5));
    take(&mut partition, 6..7);
    let rejections = plan(&mut partition);
    assert_eq!(rejections.len(), 1);
    assert_eq!(partition.progress().base(), 6);
    assert!(!partition.wants(6), "a record comes once");
}

#[test]
fn an_expired_record_is_refused_instead_of_sent() {
    let mut partition = partition();
    let now = Instant::now();
    let mut late = outgoing(0);
    late.expires = Some(now);
    assert!(partition.wants(0));
    partition.take_in(late, None, false);
    take(&mut partition, 1..2);
    let rejections = plan(&mut partition);
    assert_eq!(rejections[0].kind, SendErrorKind::Expired);
    let snapshot = partition.snapshot(now);
    partition.committed(snapshot);
    assert_eq!(picked(&mut partition, 1), [1]);
}

#[test]
fn what_is_not_committed_is_carried_again() {
    let mut partition = partition();
    take(&mut partition, 0..1);
    cycle(&mut partition);
    picked(&mut partition, 1);
    partition.returned(0);
    partition.finish(0, 0);
    partition.snapshot(Instant::now());
    assert!(!partition.is_clean(), "under way is not committed");
    partition.not_committed();
    assert!(partition.needs_commit(Instant::now(), Duration::from_secs(60)));
    cycle(&mut partition);
    assert!(partition.is_clean());
}

#[test]
fn a_drained_lane_leaves_exactly_what_is_in_doubt() {
    let mut partition = partition();
    take(&mut partition, 0..10);
    cycle(&mut partition);
    let out = picked(&mut partition, 1);
    partition.drain();
    for offset in &out {
        partition.returned(*offset);
    }
    partition.finish(1, 0);
    partition.doubt(2);
    partition.settle();
    let mut left = partition.progress().clone();
    left.take_over(10);
    let doubtful: Vec<i64> = (0..10).filter(|o| left.attempts(*o) > 0).collect();
    assert_eq!(doubtful, [2]);
}

#[test]
fn memory_is_bounded_and_fetching_goes_on_at_half() {
    let mut partition = partition();
    take(&mut partition, 0..999);
    assert!(!partition.is_full());
    take(&mut partition, 999..1000);
    assert!(partition.is_full());
    assert!(!partition.may_resume());
    for offset in 0..500 {
        partition.withdraw(offset);
        partition.finish(offset, 0);
    }
    assert!(partition.may_resume());
    assert!(!partition.may_resume(), "once");
}

#[test]
fn no_more_is_read_ahead_than_waits_for_its_turn() {
    let mut partition = partition();
    partition.capacity.ahead = 10;
    take(&mut partition, 0..9);
    assert!(!partition.is_full());
    take(&mut partition, 9..10);
    assert!(partition.is_full());
    cycle(&mut partition);
    assert!(!partition.may_resume(), "four are ready, six wait");
    assert_eq!(picked(&mut partition, 1).len(), ROOM);
    assert!(!partition.may_resume(), "six wait");
    cycle(&mut partition);
    assert!(partition.may_resume(), "two do");
    assert!(!partition.may_resume(), "once");
    take(&mut partition, 10..17);
    assert!(!partition.is_full());
    take(&mut partition, 17..18);
    assert!(partition.is_full());
}

#[test]
fn what_goes_within_half_a_second_is_read_ahead_in_any_case() {
    let mut partition = partition();
    partition.capacity.ahead = 10;
    let mut now = Instant::now();
    let mut next = 0;
    // Four in each 10 ms: 400 a second.
    for _ in 0..200 {
        take(&mut partition, next..next + 4);
        next += 4;
        plan(&mut partition);
        now += Duration::from_millis(10);
        let snapshot = partition.snapshot(now);
        partition.committed(snapshot);
        assert_eq!(picked(&mut partition, 1).len(), 4);
    }
    for offset in 0..next {
        partition.finish(offset, 0);
    }
    take(&mut partition, next..next + 190);
    assert!(!partition.is_full());
    take(&mut partition, next + 190..next + 210);
    assert!(partition.is_full());
    assert!(!partition.may_resume());

    // Nothing goes any more: ten are enough again.
    for _ in 0..600 {
        now += Duration::from_millis(10);
        let snapshot = partition.snapshot(now);
        partition.committed(snapshot);
    }
    for offset in next..next + 202 {
        partition.withdraw(offset);
        partition.finish(offset, 0);
    }
    assert!(!partition.may_resume(), "eight wait");
    for offset in next + 202..next + 205 {
        partition.withdraw(offset);
        partition.finish(offset, 0);
    }
    assert!(partition.may_resume(), "five do");
}

#[test]
fn what_is_delayed_takes_memory_but_no_place_of_what_is_read_ahead() {
    let mut partition = partition();
    (partition.capacity.ahead, partition.capacity.records) = (10, 20);
    let later = Instant::now() + Duration::from_secs(60);
    for offset in 0..10 {
        assert!(partition.wants(offset));
        partition.take_in(outgoing(offset), Some(later), false);
    }
    assert!(!partition.is_full());
    take(&mut partition, 10..20);
    assert!(partition.is_full());
    for sent in [4, 4, 2] {
        cycle(&mut partition);
        assert_eq!(picked(&mut partition, 1).len(), sent);
        assert!(!partition.may_resume(), "twenty are held");
    }
    for offset in 10..20 {
        partition.finish(offset, 0);
    }
    assert!(partition.may_resume(), "half of them are done");
}

#[test]
fn capacity_taken_is_given_back_however_a_record_ends() {
    let mut partition = partition();
    let now = Instant::now();
    let mut expiring = outgoing(0);
    expiring.expires = Some(now);
    expiring.pdu = bytes::Bytes::from_static(&[0; 200]);
    assert!(partition.wants(0));
    partition.take_in(expiring, None, false);
    take(&mut partition, 1..2);
    assert!(partition.wants(2));
    partition.reject(2, rejection(2));
    let rejections = plan(&mut partition);
    assert_eq!(rejections.len(), 2, "one expired, one could not be read");
    let outgoing = partition.withdraw(1).unwrap();
    let unknown = Rejection::of(&outgoing, SendErrorKind::OutcomeUnknown, "lost".into());
    partition.finish(1, unknown.held);
    cycle(&mut partition);
    assert_eq!(partition.octets, 0);
}

#[test]
fn a_record_in_doubt_that_expires_is_not_said_to_be_unsent() {
    let mut doubtful = outgoing(0);
    doubtful.doubts = 1;
    assert_eq!(doubtful.expired().kind, SendErrorKind::OutcomeUnknown);
}

#[test]
fn nothing_is_refused_while_fates_pile_up() {
    let mut partition = partition();
    assert!(partition.wants(0));
    partition.reject(0, rejection(0));
    assert!(partition.plan(Instant::now(), false).is_empty());
    assert_eq!(partition.plan(Instant::now(), true).len(), 1);
}

#[test]
fn a_record_that_cannot_be_put_back_waits_as_if_it_had_never_been_finished() {
    let mut partition = partition();
    take(&mut partition, 0..3);
    cycle(&mut partition);
    let now = Instant::now();
    let mut outgoings: Vec<_> = std::iter::from_fn(|| partition.pick(1, now)).collect();
    assert_eq!(outgoings.len(), 3);
    let first = outgoings.remove(0);
    let octets = first.octets();
    for offset in 0..2 {
        partition.returned(offset);
        partition.finish(offset, octets);
    }
    assert_eq!(partition.progress().base(), 2);
    partition.not_committed();
    let due = now + Duration::from_secs(5);
    partition.reopen(first, due);
    assert_eq!(partition.progress().base(), 0, "its end was not committed");
    assert!(partition.progress().is_finished(1));
    assert_eq!(
        partition.progress().attempts(0),
        0,
        "the SMSC did not take it"
    );
    assert!(partition.needs_commit(now, Duration::from_secs(60)));
    cycle(&mut partition);
    assert!(partition.pick(1, now).is_none(), "not before its time");
    assert!(partition.promote(due));
    cycle(&mut partition);
    assert_eq!(
        partition.pick(1, due).map(|outgoing| outgoing.offset),
        Some(0)
    );
}

#[test]
fn a_lane_at_rest_may_go_on_behind_what_is_no_record() {
    let mut partition = partition();
    take(&mut partition, 0..1);
    assert!(!partition.is_idle());
    cycle(&mut partition);
    assert_eq!(picked(&mut partition, 1), [0]);
    partition.finish(0, 0);
    cycle(&mut partition);
    assert!(partition.is_idle());
    partition.skip_to(3);
    partition.skip_to(2);
    assert_eq!(partition.next_offset(), 3);
    cycle(&mut partition);
    assert_eq!(partition.progress().base(), 3);
    assert!(
        partition.wants(3),
        "the next record is none that was skipped"
    );
}

/// Takes in a record as it is fetched while a bind is there.
fn comes(partition: &mut PartitionState, offset: i64) -> bool {
    partition.wants(offset) && partition.take_in(outgoing(offset), None, true)
}

/// A transaction begins that reserves so many ahead, as far as it may.
fn begins(partition: &mut PartitionState, ahead: usize) -> Snapshot {
    plan(partition);
    partition.plan_ahead(partition.wants_ahead(ahead), false);
    partition.snapshot(Instant::now())
}

#[test]
fn what_is_reserved_ahead_goes_out_as_soon_as_it_comes() {
    let mut partition = partition();
    assert!(!comes(&mut partition, 0), "nothing is reserved ahead yet");
    let snapshot = begins(&mut partition, 2);
    partition.committed(snapshot);
    assert_eq!(partition.is_ahead(), 2);
    assert!(comes(&mut partition, 1));
    assert!(comes(&mut partition, 2));
    assert!(!comes(&mut partition, 3), "no more than that");
    assert_eq!(picked(&mut partition, 1), [0, 1, 2]);
    let mut after = partition.progress().clone();
    after.take_over(4);
    let doubtful: Vec<i64> = (0..9).filter(|o| after.attempts(*o) > 0).collect();
    assert_eq!(doubtful, [0, 1, 2]);
}

#[test]
fn what_is_reserved_ahead_ends_when_a_transaction_begins_that_takes_it_back() {
    let mut partition = partition();
    cycle(&mut partition);
    let snapshot = begins(&mut partition, 4);
    partition.committed(snapshot);
    assert!(comes(&mut partition, 0));
    partition.plan_ahead(0, false);
    let lower = partition.snapshot(Instant::now());
    assert!(!comes(&mut partition, 1), "it may be committed any moment");
    partition.not_committed();
    assert!(!comes(&mut partition, 2), "in order");
    assert_eq!(picked(&mut partition, 1), [0]);
    partition.committed(lower);
    assert_eq!(picked(&mut partition, 1), [0; 0]);
}

#[test]
fn nothing_is_reserved_ahead_while_something_waits_or_may_not_be_sent() {
    let mut partition = partition();
    cycle(&mut partition);
    assert_eq!(partition.wants_ahead(64), 4);
    assert_eq!(partition.wants_ahead(0), 0);
    take(&mut partition, 0..1);
    assert_eq!(partition.wants_ahead(64), 0, "it would be overtaken");
    cycle(&mut partition);
    assert_eq!(partition.wants_ahead(64), 4);
    partition.stop(true);
    assert_eq!(partition.wants_ahead(64), 0);
    partition.stop(false);
    let snapshot = begins(&mut partition, 64);
    partition.committed(snapshot);
    partition.session_lost(1);
    assert_eq!(partition.is_ahead(), 0);
    assert!(partition.has_more(), "that is to be committed");
    partition.drain();
    assert_eq!(partition.wants_ahead(64), 0);
}

#[test]
fn where_more_come_more_is_reserved_ahead() {
    let mut partition = partition();
    cycle(&mut partition);
    take(&mut partition, 0..20);
    for _ in 0..20usize.div_ceil(ROOM) {
        cycle(&mut partition);
        picked(&mut partition, 1);
    }
    let wanted = partition.wants_ahead(64);
    assert!((20..=40).contains(&wanted), "{wanted}");
    assert_eq!(partition.wants_ahead(10), 10);
    for _ in 0..40 {
        cycle(&mut partition);
    }
    assert_eq!(partition.wants_ahead(64), 4);
}

#[test]
fn a_partition_at_rest_with_nothing_reserved_ahead_is_committed_once_for_that() {
    let mut partition = partition();
    cycle(&mut partition);
    assert!(!partition.has_more());
    partition.plan_ahead(4, false);
    assert!(partition.has_more());
    let snapshot = partition.snapshot(Instant::now());
    partition.committed(snapshot);
    partition.plan_ahead(4, false);
    assert!(!partition.has_more());
}
