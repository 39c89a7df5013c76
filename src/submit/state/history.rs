//! What may have become of a record before it was read: the one place where every rejection meets it.
//!
//! A record is read again after a crash, a rebalance, a reset by an operator, and after it was put
//! back onto its topic. Whatever it is refused for then (it expired meanwhile, the configuration
//! became stricter, its schema or encoding does not do any more, its topic only leases binds) says
//! nothing of what happened before: the SMSC may have it. Who reads "it was never sent" sends it
//! again, and so does `kafka-smpp replay`. Therefore no rejection is published as it was made;
//! [`Rejection::after`] tells it what is known of the record:
//!
//! | known of the record | its result |
//! |---|---|
//! | nothing | the rejection as it is: it was not sent |
//! | attempts that the SMSC answered | the same, with the attempts counted |
//! | an attempt of which no outcome is known | `OUTCOME_UNKNOWN`, which names the rejection, with the attempts counted |
//! | that it may have been sent, without a count | the rejection, flagged `possible_duplicate` |
//! | segments that the SMSC took | besides, those segments and their message ids |
//!
//! What is known comes from three places, which add up: the headers of a record that was put back
//! ([`Returned`]), the metadata committed for its partition ([`PartitionState::history`]), and its own life
//! in this process ([`Outgoing`]).
//!
//! [`PartitionState::history`]: crate::submit::state::partition::PartitionState::history

use crate::record::event::SendErrorKind;
use smpp_esme::Doubt;

use crate::submit::message::outgoing::{Outgoing, Rejection, Returned};
use crate::submit::state::segments::SegmentOutcome;

/// What is known of the attempts to send a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Attempts made, whatever became of them.
    pub attempts: u32,
    /// Those of them that the SMSC may have taken although no answer is known.
    pub doubts: u8,
    /// Whether it may have been sent without being counted here, as after an operator's reset.
    pub suspected: bool,
}

impl History {
    /// What a partition knows: see [`PartitionState::history`](crate::submit::state::partition::PartitionState::history).
    pub fn of_partition((doubts, suspected): (u8, bool)) -> Self {
        History {
            attempts: u32::from(doubts),
            doubts,
            suspected,
        }
    }

    /// What the headers of a record say that was put back.
    pub fn of_headers(returned: &Returned) -> Self {
        // What was said of its segments and cannot be read may be that they were taken.
        let unreadable = returned.taken.is_some() && returned.segments().is_none();
        History {
            attempts: returned.earlier.saturating_add(u32::from(returned.doubts)),
            doubts: returned.doubts,
            suspected: returned.possible_duplicate || unreadable,
        }
    }

    /// What is known of an outgoing message, no attempt of which is under way.
    pub fn of_outgoing(outgoing: &Outgoing) -> Self {
        let answered = outgoing.earlier.saturating_add(outgoing.retries);
        History {
            attempts: answered.saturating_add(u32::from(outgoing.doubts)),
            doubts: outgoing.doubts,
            suspected: outgoing.possible_duplicate,
        }
    }
}

impl Rejection {
    /// The rejection of a record with this history.
    #[must_use]
    pub fn after(self, history: &History) -> Rejection {
        let in_doubt = history.doubts > 0;
        let told = Rejection {
            attempt: self.attempt.saturating_add(history.attempts),
            possible_duplicate: self.possible_duplicate || history.suspected || in_doubt,
            ..self
        };
        if !in_doubt {
            return told;
        }
        let told = Rejection {
            segments: told.segments.map(doubted),
            ..told
        };
        if told.kind == SendErrorKind::OutcomeUnknown {
            return told;
        }
        Rejection {
            text: format!(
                "it may have been sent before, and no answer is known; it is not sent again: {}: {}",
                told.kind, told.text
            ),
            kind: SendErrorKind::OutcomeUnknown,
            ..told
        }
    }
}

/// Parts of a message in doubt: those that were not taken may have been sent.
fn doubted(mut segments: Box<[SegmentOutcome]>) -> Box<[SegmentOutcome]> {
    for end in &mut segments {
        if *end == SegmentOutcome::Waiting {
            *end = SegmentOutcome::Doubt(Doubt::ConnectionLost);
        }
    }
    segments
}

#[cfg(test)]
mod tests;
