//! The interleavings that the guarantees depend on, one lane at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::*;
use crate::record::event::SendErrorKind;
use crate::record::keys::Position;
use crate::settings::InDoubt;
use crate::submit::message::outgoing::Letter;
use crate::submit::results::events::AccountRef;

/// PDUs that may be ready.
const ROOM: usize = 4;

const NONE: [i64; 0] = [];

fn letter(offset: i64) -> Arc<Letter> {
    Arc::new(Letter {
        account: Arc::new(AccountRef {
            esme: "acme".into(),
            dialect: Arc::default(),
        }),
        topic: "sms.outbound".into(),
        partition: 0,
        position: Position {
            topic: "sms.outbound".into(),
            partition: 0,
            offset,
        },
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

pub(in crate::submit) fn job(offset: i64) -> Box<Job> {
    Box::new(Job {
        offset,
        letter: letter(offset),
        pdu: bytes::Bytes::new(),
        parts: None,
        registered: true,
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

fn refusal(offset: i64) -> Refusal {
    Refusal::of(&job(offset), SendErrorKind::InvalidRecord, "bad".into())
}

/// A lane that is open at offset 0.
fn lane() -> Lane {
    let start = Start::fresh(0, 0);
    let partition = Partition {
        topic: "sms.outbound".into(),
        partition: 0,
    };
    let capacity = Capacity {
        records: 1000,
        octets: 1 << 20,
    };
    let mut lane = Lane::new(partition, start, Limits::default(), capacity);
    let snapshot = lane.snapshot(Instant::now());
    assert!(lane.committed(snapshot), "the first commit opens it");
    lane
}

fn take(lane: &mut Lane, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        assert!(lane.wants(offset));
        lane.take_in(job(offset), None);
    }
}

/// What is due before a transaction begins.
fn plan(lane: &mut Lane) -> Vec<Refusal> {
    let refusals = lane.plan(Instant::now(), true);
    lane.make_ready(ROOM.saturating_sub(lane.ready_pdus()));
    refusals
}

/// One whole cycle.
fn cycle(lane: &mut Lane) {
    plan(lane);
    let snapshot = lane.snapshot(Instant::now());
    lane.committed(snapshot);
}

/// What a successor would find in doubt if the process died right after a commit.
fn in_doubt_after_a_crash(lane: &mut Lane) -> Vec<i64> {
    let snapshot = lane.snapshot(Instant::now());
    lane.committed(snapshot);
    let mut after = lane.progress().clone();
    let before = after.clone();
    after.take_over();
    let all = 0..lane.next_offset();
    all.filter(|o| after.attempts(*o) > before.attempts(*o))
        .collect()
}

fn picked(lane: &mut Lane, bind: BindId) -> Vec<i64> {
    let jobs = std::iter::from_fn(|| lane.pick(bind, Instant::now()));
    jobs.map(|job| job.offset).collect()
}

#[test]
fn nothing_is_sent_before_its_reservation_is_committed() {
    let mut lane = lane();
    take(&mut lane, 0..10);
    assert_eq!(picked(&mut lane, 1), NONE, "nothing is reserved");
    plan(&mut lane);
    let snapshot = lane.snapshot(Instant::now());
    assert_eq!(picked(&mut lane, 1), NONE, "reserved, but not committed");
    lane.committed(snapshot);
    assert_eq!(
        picked(&mut lane, 1),
        [0, 1, 2, 3],
        "as many as were made ready"
    );
}

#[test]
fn nothing_is_reserved_without_room() {
    let mut lane = lane();
    take(&mut lane, 0..10);
    lane.plan(Instant::now(), true);
    assert_eq!(lane.make_ready(0), 0);
    assert_eq!(lane.progress().reserved(), 0);
}

#[test]
fn in_doubt_is_what_is_out_or_ready_and_nothing_else() {
    let mut lane = lane();
    let now = Instant::now();
    for n in 0..500 {
        assert!(lane.wants(n));
        // Put back, due in five minutes.
        lane.take_in(job(n), Some(now + Duration::from_secs(300)));
    }
    take(&mut lane, 500..520);
    cycle(&mut lane);
    assert_eq!(lane.pick(1, now).unwrap().offset, 500);
    assert_eq!(lane.progress().reserved(), 504);
    assert_eq!(in_doubt_after_a_crash(&mut lane), [500, 501, 502, 503]);

    // The SMSC refuses one for now, and does not want another.
    lane.returned(500);
    lane.again(job(500), Some(now + Duration::from_secs(20)));
    assert_eq!(lane.pick(1, now).unwrap().offset, 501);
    lane.returned(501);
    lane.finish(501, 0);
    assert_eq!(in_doubt_after_a_crash(&mut lane), [502, 503]);

    // The session is lost with 502 out, of which nothing was written.
    assert_eq!(lane.pick(1, now).unwrap().offset, 502);
    lane.returned(502);
    lane.not_sent(job(502));
    lane.session_lost(1);
    assert_eq!(in_doubt_after_a_crash(&mut lane), NONE);
}

#[test]
fn what_the_smsc_refused_for_now_is_not_handed_out_before_a_commit_says_so() {
    let mut lane = lane();
    take(&mut lane, 0..4);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0, 1, 2, 3]);
    lane.returned(1);
    lane.again(job(1), None);
    assert_eq!(in_doubt_after_a_crash(&mut lane), [0, 2, 3]);
    assert_eq!(
        picked(&mut lane, 1),
        NONE,
        "a successor would take it for new"
    );
    plan(&mut lane);
    assert_eq!(picked(&mut lane, 1), NONE, "ready, but not committed");
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [1]);
}

#[test]
fn what_is_due_again_waits_for_a_commit() {
    let mut lane = lane();
    let now = Instant::now();
    take(&mut lane, 0..2);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0, 1]);
    lane.returned(0);
    lane.again(job(0), Some(now + Duration::from_secs(1)));
    cycle(&mut lane);
    assert!(lane.promote(now + Duration::from_secs(2)));
    assert!(lane.wants_commit());
    assert_eq!(picked(&mut lane, 1), NONE);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0]);
}

#[test]
fn what_comes_back_after_its_reservation_was_lowered_waits_for_a_new_one() {
    let mut lane = lane();
    take(&mut lane, 0..4);
    cycle(&mut lane);
    let stalled = lane.pick(1, Instant::now()).unwrap();
    // The session ends before the sender has queued it, and a new one begins.
    lane.session_lost(1);
    cycle(&mut lane);
    plan(&mut lane);
    lane.returned(0);
    lane.not_sent(stalled);
    assert!(!picked(&mut lane, 1).contains(&0), "no commit covers it");
    cycle(&mut lane);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0]);
}

#[test]
fn what_is_taken_back_is_held_again() {
    let mut lane = lane();
    take(&mut lane, 0..6);
    cycle(&mut lane);
    lane.take_back(1);
    assert_eq!(picked(&mut lane, 1), [0], "the first stays ready");
    assert_eq!(in_doubt_after_a_crash(&mut lane), [0]);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [1, 2, 3, 4]);
}

#[test]
fn what_expires_while_a_transaction_hangs_is_not_handed_out() {
    let mut lane = lane();
    let now = Instant::now();
    assert!(lane.wants(0));
    let mut short_lived = job(0);
    short_lived.expires = Some(now + Duration::from_secs(1));
    lane.take_in(short_lived, None);
    take(&mut lane, 1..2);
    cycle(&mut lane);
    let later = now + Duration::from_secs(7);
    assert_eq!(lane.pick(1, later).unwrap().offset, 1);
    assert_eq!(plan(&mut lane)[0].kind, SendErrorKind::Expired);
}

#[test]
fn a_lost_session_lowers_the_reservation_to_what_may_have_been_sent() {
    let mut lane = lane();
    take(&mut lane, 0..10);
    cycle(&mut lane);
    for offset in 0..2 {
        assert_eq!(lane.pick(1, Instant::now()).unwrap().offset, offset);
    }
    // 0 is in doubt, 1 was never written.
    lane.returned(0);
    assert_eq!(lane.doubt(0), 1);
    lane.again(job(0), None);
    lane.returned(1);
    lane.not_sent(job(1));
    lane.session_lost(1);
    assert_eq!(lane.progress().reserved(), 0);
    assert_eq!(lane.progress().attempts(0), 1, "the count says it instead");
    assert_eq!(
        picked(&mut lane, 1),
        NONE,
        "nothing without a new reservation"
    );
}

#[test]
fn a_record_of_which_a_part_was_taken_is_in_doubt_once_its_reservation_is_gone() {
    let mut lane = lane();
    take(&mut lane, 0..4);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0, 1, 2, 3]);
    for offset in [0, 1] {
        lane.part_taken(offset);
        lane.returned(offset);
        lane.again(job(offset), None);
    }
    assert_eq!(lane.progress().attempts(0), 0, "the reservation says it");
    // 1 is in doubt by itself; the loss of the session counts no second time.
    lane.doubt(1);
    lane.session_lost(1);
    let attempts = |lane: &Lane| [0, 1, 2, 3].map(|o| lane.progress().attempts(o));
    assert_eq!(attempts(&lane), [1, 1, 0, 0]);
    lane.settle();
    assert_eq!(attempts(&lane), [1, 1, 0, 0], "nothing was sent since");
    cycle(&mut lane);
}

#[test]
fn a_record_that_another_bind_still_covers_is_not_counted() {
    let mut lane = lane();
    take(&mut lane, 0..2);
    cycle(&mut lane);
    assert_eq!(lane.pick(1, Instant::now()).unwrap().offset, 0);
    assert_eq!(lane.pick(2, Instant::now()).unwrap().offset, 1);
    lane.part_taken(0);
    lane.session_lost(1);
    assert_eq!(
        lane.progress().attempts(0),
        0,
        "it lies below what bind 2 holds"
    );
    lane.finish(0, 0);
    lane.settle();
    assert_eq!(lane.progress().doubtful(), 0, "it has its result");
}

#[test]
fn a_commit_from_before_the_loss_grants_nothing() {
    let mut lane = lane();
    take(&mut lane, 0..10);
    plan(&mut lane);
    let before = lane.snapshot(Instant::now());
    lane.session_lost(1);
    lane.committed(before);
    assert_eq!(
        picked(&mut lane, 2),
        NONE,
        "the next commit will lower what this one reserved"
    );
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 2), [0, 1, 2, 3]);
}

#[test]
fn another_binds_records_stay_reserved_when_one_is_lost() {
    let mut lane = lane();
    take(&mut lane, 0..10);
    cycle(&mut lane);
    assert_eq!(lane.pick(1, Instant::now()).unwrap().offset, 0);
    assert_eq!(lane.pick(2, Instant::now()).unwrap().offset, 1);
    lane.session_lost(1);
    assert_eq!(lane.progress().reserved(), 2, "bind 2 may still write 1");
}

#[test]
fn a_record_in_doubt_waits_until_its_doubt_is_committed() {
    let mut lane = lane();
    take(&mut lane, 0..2);
    cycle(&mut lane);
    let first = lane.pick(1, Instant::now()).unwrap();
    lane.returned(0);
    lane.doubt(0);
    lane.again(first, None);
    assert_eq!(picked(&mut lane, 1), [1], "it is overtaken, not resent");
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0]);
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
    let mut lane = lane();
    lane = Lane::new(
        lane.source().clone(),
        start,
        Limits::default(),
        lane.capacity,
    );
    let snapshot = lane.snapshot(Instant::now());
    lane.committed(snapshot);
    for offset in 0..4 {
        assert!(lane.wants(offset));
        let mut job = job(offset);
        job.doubts = lane.history(offset).0;
        lane.take_in(job, None);
    }
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0]);
    assert_eq!(lane.progress().reserved(), 1);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), NONE, "one is out");
    lane.returned(0);
    lane.finish(0, 0);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [1]);
    lane.returned(1);
    lane.finish(1, 0);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [2, 3], "the rest is above suspicion");
}

#[test]
fn nothing_follows_a_record_that_ended_two_sessions_before_it_is_answered() {
    let mut lane = lane();
    assert!(lane.wants(0));
    let mut poison = job(0);
    poison.doubts = 2;
    lane.take_in(poison, None);
    take(&mut lane, 1..4);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0]);
    cycle(&mut lane);
    assert_eq!(lane.progress().reserved(), 1, "nor is it reserved");
    assert_eq!(lane.peek(10), 0);
    assert_eq!(picked(&mut lane, 2), NONE, "over no bind");
    lane.returned(0);
    lane.finish(0, 0);
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [1, 2, 3]);
}

#[test]
fn a_gap_that_the_metadata_has_no_room_for_waits() {
    let mut lane = lane();
    for offset in 0..1000 {
        assert!(lane.wants(offset));
        match offset % 2 {
            0 => lane.take_in(job(offset), None),
            _ => lane.refuse(offset, refusal(offset)),
        }
    }
    assert!(lane.wants(1_000_000), "1000 to 999999 do not exist");
    cycle(&mut lane);
    assert!(!lane.progress().is_finished(1000), "500 are unfinished");
    for offset in (0..400).step_by(2) {
        lane.withdraw(offset);
        lane.finish(offset, 0);
    }
    cycle(&mut lane);
    assert!(lane.progress().is_finished(999_999));
}

#[test]
fn gaps_and_refusals_finish_without_being_sent() {
    let mut lane = lane();
    assert!(lane.wants(5), "0 to 4 do not exist");
    lane.refuse(5, refusal(5));
    take(&mut lane, 6..7);
    let refusals = plan(&mut lane);
    assert_eq!(refusals.len(), 1);
    assert_eq!(lane.progress().base(), 6);
    assert!(!lane.wants(6), "a record comes once");
}

#[test]
fn an_expired_record_is_refused_instead_of_sent() {
    let mut lane = lane();
    let now = Instant::now();
    let mut late = job(0);
    late.expires = Some(now);
    assert!(lane.wants(0));
    lane.take_in(late, None);
    take(&mut lane, 1..2);
    let refusals = plan(&mut lane);
    assert_eq!(refusals[0].kind, SendErrorKind::Expired);
    let snapshot = lane.snapshot(now);
    lane.committed(snapshot);
    assert_eq!(picked(&mut lane, 1), [1]);
}

#[test]
fn what_is_not_committed_is_carried_again() {
    let mut lane = lane();
    take(&mut lane, 0..1);
    cycle(&mut lane);
    picked(&mut lane, 1);
    lane.returned(0);
    lane.finish(0, 0);
    lane.snapshot(Instant::now());
    assert!(!lane.is_clean(), "under way is not committed");
    lane.not_committed();
    assert!(lane.needs_commit(Instant::now(), Duration::from_secs(60)));
    cycle(&mut lane);
    assert!(lane.is_clean());
}

#[test]
fn a_drained_lane_leaves_exactly_what_is_in_doubt() {
    let mut lane = lane();
    take(&mut lane, 0..10);
    cycle(&mut lane);
    let out = picked(&mut lane, 1);
    lane.drain();
    for offset in &out {
        lane.returned(*offset);
    }
    lane.finish(1, 0);
    lane.doubt(2);
    lane.settle();
    let mut left = lane.progress().clone();
    left.take_over();
    let doubtful: Vec<i64> = (0..10).filter(|o| left.attempts(*o) > 0).collect();
    assert_eq!(doubtful, [2]);
}

#[test]
fn memory_is_bounded_and_fetching_goes_on_at_half() {
    let mut lane = lane();
    take(&mut lane, 0..999);
    assert!(!lane.is_full());
    take(&mut lane, 999..1000);
    assert!(lane.is_full());
    assert!(!lane.may_resume());
    for offset in 0..500 {
        lane.withdraw(offset);
        lane.finish(offset, 0);
    }
    assert!(lane.may_resume());
    assert!(!lane.may_resume(), "once");
}

#[test]
fn capacity_taken_is_given_back_however_a_record_ends() {
    let mut lane = lane();
    let now = Instant::now();
    let mut expiring = job(0);
    expiring.expires = Some(now);
    expiring.pdu = bytes::Bytes::from_static(&[0; 200]);
    assert!(lane.wants(0));
    lane.take_in(expiring, None);
    take(&mut lane, 1..2);
    assert!(lane.wants(2));
    lane.refuse(2, refusal(2));
    let refusals = plan(&mut lane);
    assert_eq!(refusals.len(), 2, "one expired, one could not be read");
    let job = lane.withdraw(1).unwrap();
    let unknown = Refusal::of(&job, SendErrorKind::OutcomeUnknown, "lost".into());
    lane.finish(1, unknown.held);
    plan(&mut lane);
    assert_eq!(lane.octets, 0);
}

#[test]
fn a_record_in_doubt_that_expires_is_not_said_to_be_unsent() {
    let mut doubtful = job(0);
    doubtful.doubts = 1;
    assert_eq!(doubtful.expired().kind, SendErrorKind::OutcomeUnknown);
}

#[test]
fn nothing_is_refused_while_fates_pile_up() {
    let mut lane = lane();
    assert!(lane.wants(0));
    lane.refuse(0, refusal(0));
    assert!(lane.plan(Instant::now(), false).is_empty());
    assert_eq!(lane.plan(Instant::now(), true).len(), 1);
}

#[test]
fn a_record_that_cannot_be_put_back_waits_as_if_it_had_never_been_finished() {
    let mut lane = lane();
    take(&mut lane, 0..3);
    cycle(&mut lane);
    let now = Instant::now();
    let mut jobs: Vec<_> = std::iter::from_fn(|| lane.pick(1, now)).collect();
    assert_eq!(jobs.len(), 3);
    let first = jobs.remove(0);
    let octets = first.octets();
    for offset in 0..2 {
        lane.returned(offset);
        lane.finish(offset, octets);
    }
    assert_eq!(lane.progress().base(), 2);
    lane.not_committed();
    let due = now + Duration::from_secs(5);
    lane.reopen(first, due);
    assert_eq!(lane.progress().base(), 0, "its end was not committed");
    assert!(lane.progress().is_finished(1));
    assert_eq!(lane.progress().attempts(0), 0, "the SMSC did not take it");
    assert!(lane.needs_commit(now, Duration::from_secs(60)));
    cycle(&mut lane);
    assert!(lane.pick(1, now).is_none(), "not before its time");
    assert!(lane.promote(due));
    cycle(&mut lane);
    assert_eq!(lane.pick(1, due).map(|job| job.offset), Some(0));
}

#[test]
fn a_lane_at_rest_may_go_on_behind_what_is_no_record() {
    let mut lane = lane();
    take(&mut lane, 0..1);
    assert!(!lane.is_idle());
    cycle(&mut lane);
    assert_eq!(picked(&mut lane, 1), [0]);
    lane.finish(0, 0);
    cycle(&mut lane);
    assert!(lane.is_idle());
    lane.skip_to(3);
    lane.skip_to(2);
    assert_eq!(lane.next_offset(), 3);
    cycle(&mut lane);
    assert_eq!(lane.progress().base(), 3);
    assert!(lane.wants(3), "the next record is none that was skipped");
}
