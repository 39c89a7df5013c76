//! The retry policy: what an answer means for its message, and what becomes of one in doubt. Pure
//! decisions, all in this place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smpp_esme::Doubt;
use smpp_protocol::Status;

use crate::record::event::SendErrorKind;
use crate::settings::InDoubt;
use crate::submit::message::outgoing::{Outgoing, Rejection, Returned, timestamp};
use crate::submit::options::{OnStatus, Settings};
use crate::submit::state::effects::{Effect, Effects, News};
use crate::submit::state::partition::PartitionState;
use crate::submit::state::pending::RecordOutcome;
use crate::submit::state::pipeline::Now;

/// What a command_status of an answer means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The result: the SMSC took the message, or does not want it.
    Final,
    /// The bind is too fast, or too much is under way: the message is sent again.
    Throttle,
    /// A passing trouble with this message: it is sent again after a while.
    Retry,
}

impl Meaning {
    /// What `status` means; the only place that looks it up.
    pub fn of(status: Status, settings: &Settings) -> Meaning {
        if status == Status::ROK {
            return Meaning::Final;
        }
        match settings.status.get(status.0) {
            OnStatus::Reject => Meaning::Final,
            OnStatus::Throttle => Meaning::Throttle,
            OnStatus::Retry => Meaning::Retry,
        }
    }

    /// Whether nothing is to follow for the message.
    pub fn is_final(self) -> bool {
        self == Meaning::Final
    }
}

/// What is known of a message when its outcome is decided.
#[derive(Clone, Copy, Debug)]
pub struct RetryState {
    /// Retries so far (not counting losses).
    pub retries: u32,
    /// After this it is not tried again.
    pub deadline: Instant,
    /// When it was first held here for a retry.
    pub held_since: Instant,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The terminal result, accepted or rejected.
    Final,
    /// Sent again as soon as the bind's throttle allows.
    Throttled,
    /// Sent again after this time.
    Retry(Duration),
    /// Put back onto its topic, to be sent after this time.
    PutBack(Duration),
    /// It would have been tried again, but its deadline has come.
    Overdue,
}

/// Decides over an answer.
pub fn on_answer(status: Status, case: &RetryState, settings: &Settings, now: Instant) -> Verdict {
    let meaning = Meaning::of(status, settings);
    if meaning.is_final() {
        return Verdict::Final;
    }
    if now >= case.deadline {
        return Verdict::Overdue;
    }
    let delay = retry_delay(settings.retry_delay.get(), case.retries)
        .min(case.deadline.saturating_duration_since(now));
    let held = now.saturating_duration_since(case.held_since);
    match meaning {
        Meaning::Throttle => Verdict::Throttled,
        _ if held + delay > settings.max_hold.get() => Verdict::PutBack(delay),
        _ => Verdict::Retry(delay),
    }
}

/// Doubles with each retry, up to five minutes, or `first` if that is longer.
fn retry_delay(first: Duration, retries: u32) -> Duration {
    first
        .saturating_mul(1 << retries.min(16))
        .min(first.max(Duration::from_secs(300)))
}

/// Whether a message that may have been sent `attempts` times goes out again.
pub fn resends(policy: InDoubt, max_resends: u32, attempts: u8) -> bool {
    policy == InDoubt::Resend && u32::from(attempts) <= max_resends
}

/// Decides what becomes of a message that has no result yet.
pub(in crate::submit) struct Policy<'a> {
    pub settings: &'a Settings,
    pub effects: &'a mut Effects,
    pub now: Now,
}

impl Policy<'_> {
    /// The SMSC asked to try a record again: its outcome, if it does not go back into its partition.
    pub fn refused(
        &mut self,
        partition: &mut PartitionState,
        mut outgoing: Box<Outgoing>,
        status: Status,
    ) -> Option<RecordOutcome> {
        let Now { instant: now, wall } = self.now;
        let case = RetryState {
            retries: outgoing.retries,
            deadline: outgoing.settle_deadline(now, self.settings.message_deadline.get()),
            held_since: outgoing.held_since.unwrap_or(now),
        };
        let verdict = on_answer(status, &case, self.settings, now);
        let context = outgoing.context.clone();
        self.effects
            .push(Effect::Say(News::NotAccepted(context, status, verdict)));
        if verdict != Verdict::Throttled {
            outgoing.retries += 1; // being too much for the SMSC is no failure of the message
        }
        match verdict {
            // It is asked only about what is no rejection.
            Verdict::Throttled | Verdict::Final => {
                outgoing.rearm();
                partition.retry(outgoing, None);
                None
            }
            Verdict::Retry(delay) => {
                outgoing.rearm();
                partition.retry(outgoing, Some(now + delay));
                None
            }
            Verdict::PutBack(delay) => {
                let returned = Returned {
                    origin: Some(outgoing.context.position.clone()),
                    earlier: outgoing.earlier + outgoing.retries,
                    doubts: outgoing.doubts,
                    not_before: Some(timestamp(now + delay, now, wall)),
                    deadline: Some(timestamp(case.deadline, now, wall)),
                    possible_duplicate: outgoing.possible_duplicate,
                    taken: outgoing
                        .segments
                        .as_ref()
                        .and_then(|segments| segments.to_header()),
                    total: (outgoing.segments.as_ref())
                        .filter(|segments| segments.any_taken())
                        .and_then(|segments| u8::try_from(segments.count()).ok()),
                };
                Some(RecordOutcome::PutBack(outgoing, returned))
            }
            Verdict::Overdue => {
                let text = format!("the SMSC answered {status} until the message's time ended");
                let rejection = Rejection {
                    status: Some(status),
                    ..Rejection::of(&outgoing, SendErrorKind::Expired, text)
                };
                Some(RecordOutcome::Rejected(Box::new(rejection)))
            }
        }
    }

    /// A record may have been sent: its outcome, if it does not go back into its partition.
    pub fn doubted(
        &mut self,
        partition: &mut PartitionState,
        mut outgoing: Box<Outgoing>,
        doubt: Doubt,
        bind: &Arc<str>,
    ) -> Option<RecordOutcome> {
        partition.doubt(outgoing.offset);
        let doubts = outgoing.doubts.saturating_add(1);
        let resends = resends(outgoing.in_doubt, outgoing.max_resends, doubts);
        self.effects.push(Effect::Doubt {
            account: outgoing.context.account.clone(),
            bind: bind.clone(),
            partition: partition.name().clone(),
            doubt,
            resent: resends,
        });
        if resends {
            outgoing.doubts = doubts;
            outgoing.possible_duplicate = true;
            outgoing.rearm();
            partition.retry(outgoing, None);
            return None;
        }
        let rejection = Rejection {
            // The one whose outcome is not known is the last of them.
            attempt: outgoing.attempt(),
            ..Rejection::of(
                &outgoing,
                SendErrorKind::OutcomeUnknown,
                doubt_text(doubt).into(),
            )
        };
        Some(RecordOutcome::Rejected(Box::new(rejection)))
    }
}

fn doubt_text(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Timeout => {
            "the SMSC did not answer in time; it may or may not have taken the message"
        }
        Doubt::ConnectionLost => {
            "the connection was lost after the message was written; the SMSC may or may not have taken it"
        }
        Doubt::GivenUp => {
            "the partition was given up before the SMSC answered; it may or may not have taken the message"
        }
        Doubt::Closed => {
            "the bind was closed before the SMSC answered; it may or may not have taken the message"
        }
        Doubt::LeaseOver => {
            "the session ended with the lease before the SMSC answered; it may or may not have taken the message"
        }
        Doubt::Inactive => {
            "no message went either way within timers.inactivity; the SMSC may or may not have taken the message"
        }
        Doubt::Deaf => {
            "the SMSC answered no message, so the session was given up; it may or may not have taken the message"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(now: Instant) -> RetryState {
        RetryState {
            retries: 0,
            deadline: now + Duration::from_secs(60),
            held_since: now,
        }
    }

    #[test]
    fn acceptance_and_rejection_are_final() {
        let (s, now) = (Settings::default(), Instant::now());
        for status in [Status::ROK, Status::RINVDSTADR, Status(0x4ff)] {
            assert_eq!(on_answer(status, &case(now), &s, now), Verdict::Final);
        }
    }

    #[test]
    fn throttling_waits_at_the_head_until_the_deadline() {
        let (s, now) = (Settings::default(), Instant::now());
        let late = now + Duration::from_secs(59);
        let over = now + Duration::from_secs(60);
        for status in [Status::RTHROTTLED, Status::RMSGQFUL] {
            assert_eq!(
                on_answer(status, &case(now), &s, late),
                Verdict::Throttled,
                "never put back: the head of the line waits"
            );
            assert_eq!(on_answer(status, &case(now), &s, over), Verdict::Overdue);
        }
    }

    #[test]
    fn a_retry_waits_longer_each_time_and_then_goes_back_to_its_topic() {
        let (s, now) = (Settings::default(), Instant::now());
        let mut case = case(now);
        case.deadline = now + Duration::from_secs(3600);
        let delays: Vec<Verdict> = (0..6)
            .map(|retries| on_answer(Status::RSYSERR, &RetryState { retries, ..case }, &s, now))
            .collect();
        let retry = |s| Verdict::Retry(Duration::from_secs(s));
        assert_eq!(delays[..5], [1, 2, 4, 8, 16].map(retry));
        assert_eq!(delays[5], Verdict::PutBack(Duration::from_secs(32)));
    }

    #[test]
    fn the_wait_doubles_up_to_five_minutes_or_to_the_first_if_that_is_longer() {
        let delays = |first| {
            let first = Duration::from_secs(first);
            [0, 1, 2, 3, 16, u32::MAX].map(|retries| retry_delay(first, retries).as_secs())
        };
        assert_eq!(delays(1), [1, 2, 4, 8, 300, 300]);
        assert_eq!(delays(100), [100, 200, 300, 300, 300, 300]);
        assert_eq!(delays(300), [300; 6]);
        assert_eq!(delays(600), [600; 6]);
        assert_eq!(delays(86_400), [86_400; 6]);
    }

    #[test]
    fn a_message_waits_no_longer_in_memory_than_max_hold_however_often_it_is_tried() {
        let (s, now) = (Settings::default(), Instant::now());
        let mut case = case(now);
        case.deadline = now + Duration::from_secs(3600);
        case.retries = 3;
        let on_answer = |held| on_answer(Status::RSYSERR, &case, &s, now + held);
        let delay = Duration::from_secs(8);
        let max_hold = s.max_hold.get();
        assert_eq!(on_answer(max_hold - delay), Verdict::Retry(delay));
        let longer = max_hold - delay + Duration::from_millis(1);
        assert_eq!(on_answer(longer), Verdict::PutBack(delay));
    }

    #[test]
    fn a_message_in_doubt_is_resent_as_often_as_allowed() {
        assert!(!resends(InDoubt::Report, 5, 1));
        assert!(resends(InDoubt::Resend, 1, 1));
        assert!(!resends(InDoubt::Resend, 1, 2));
        assert!(!resends(InDoubt::Resend, 0, 1));
    }
}
