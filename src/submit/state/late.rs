//! Sendings whose answers are not waited for any more, but may still come.
//!
//! An SMSC may answer long after `timers.response`, or never; so the number of sendings and the
//! memory they take are bounded, and the oldest are forgotten first. What the producer wrote is
//! left out: an answer's event does not carry it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::submit::state::partition::BindId;
use crate::submit::state::pending::{AssignmentId, Sent};

/// How many are kept at most, over all binds.
const RECORDS: usize = 50_000;

/// How much memory they may take, in octets, over all binds.
pub const OCTETS: usize = 32 << 20;

/// A sending whose answer may still come.
#[derive(Debug)]
pub(in crate::submit) struct Expected {
    pub assignment: AssignmentId,
    pub bind: BindId,
    pub sent: Sent,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(in crate::submit) struct LateAnswers {
    /// Tokens ascend: the first is the oldest.
    by_token: BTreeMap<u64, Expected>,
    /// What they take.
    octets: usize,
}

impl LateAnswers {
    pub fn expect(&mut self, token: u64, mut expected: Expected) {
        expected.sent.context = Arc::new(expected.sent.context.without_original());
        self.octets += octets(&expected);
        if let Some(before) = self.by_token.insert(token, expected) {
            self.octets -= octets(&before);
        }
        while self.by_token.len() > RECORDS || self.octets > OCTETS {
            let Some((_, oldest)) = self.by_token.pop_first() else {
                return;
            };
            self.octets -= octets(&oldest);
        }
    }

    pub fn take(&mut self, token: u64) -> Option<Expected> {
        let expected = self.by_token.remove(&token)?;
        self.octets -= octets(&expected);
        Some(expected)
    }

    /// The bind's session is gone: no answer comes any more.
    pub fn forget_bind(&mut self, bind: BindId) {
        let gone = |_: &u64, expected: &mut Expected| expected.bind == bind;
        for (_, expected) in self.by_token.extract_if(.., gone) {
            self.octets -= octets(&expected);
        }
    }

    /// How many there are, and the octets they take.
    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        (self.by_token.len(), self.octets)
    }
}

fn octets(expected: &Expected) -> usize {
    std::mem::size_of::<Expected>() + expected.sent.context.octets()
}
