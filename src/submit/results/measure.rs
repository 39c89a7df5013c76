//! What is counted and timed of results, when Kafka has them.
//!
//! A process that is killed between a commit and this has not counted what it committed last.

use std::time::Duration;

use jiff::Timestamp;

use crate::submit::message::outgoing::RecordContext;
use crate::submit::state::pending::{PendingResult, RecordOutcome, Sent, accepted};
use smpp_esme::Answer;

/// The result is committed.
pub(super) fn committed(result: &PendingResult, now: Timestamp) {
    match &result.outcome {
        RecordOutcome::Answered(sent, answer) => {
            let meters = &sent.context.account.meters;
            if accepted(answer) {
                meters.results.accepted.add(1);
            } else {
                meters.results.refused.add(1);
            }
            finished(&sent.context, now);
            // Of several segments each was counted when it was taken.
            if sent.segments.is_none() {
                answered(sent, answer);
            }
        }
        RecordOutcome::Taken(sent, answer, _) => answered(sent, answer),
        RecordOutcome::Rejected(rejection) | RecordOutcome::TooLarge(rejection, _) => {
            let meters = &rejection.context.account.meters;
            meters.results.failed(rejection.kind);
            finished(&rejection.context, now);
        }
        RecordOutcome::PutBack(outgoing, _) => {
            outgoing.context.account.meters.counters.put_back.add(1);
        }
        RecordOutcome::Late(sent, _) => {
            sent.context.account.meters.counters.late_answers.add(1);
        }
    }
}

fn finished(context: &RecordContext, now: Timestamp) {
    if let Some(appended) = context.appended {
        let meters = &context.account.meters;
        meters.append_to_result.observe(between(appended, now));
    }
}

fn answered(sent: &Sent, answer: &Answer) {
    let meters = &sent.context.account.meters;
    if let Ok(received) = Timestamp::try_from(answer.received) {
        let took = between(sent.submitted_at, received);
        meters.submit_to_response.observe(took);
    }
    // A message of several segments was handed over with the first of them.
    let is_first = sent.attempt == 1 && sent.segment.is_none_or(|segment| segment == 1);
    if let Some(appended) = sent.context.appended.filter(|_| is_first) {
        let took = between(appended, sent.submitted_at);
        meters.append_to_socket.observe(took);
    }
}

/// Clocks differ: what seems to have come before its cause took no time.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}
