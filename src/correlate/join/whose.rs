//! Whose receipt it is.
//!
//! An id alone does not say: SMSCs begin anew when they are restarted, count to 9999, or give one
//! id to all. Of the messages under an id those are left that the receipt does not contradict, and
//! of them those of which more speaks for it, one evidence after the other:
//!
//! | | speaks for a message | contradicts it |
//! |---|---|---|
//! | recipient | the receipt comes from its number; then, that it goes to its number, as with SMSCs that leave the addresses as they were in the message | it comes from another number, and does not go to its either |
//! | time | | the receipt came before the message was submitted |
//! | sender | the receipt goes to it | |
//! | `submit date` | it fits, in whatever time zone | |
//! | state | no final receipt of it has come | |
//!
//! A number that is masked, cut, no number or missing neither confirms nor contradicts
//! ([`compare`]), and nor does the message's sender or a number too short for a phone's in place of
//! a recipient, or what an earlier version remembered without recipients. If no message
//! is left, the receipt waits: its own may not be known yet. If several are left, nobody can tell:
//! the receipt is published as one that may be of any of them, and counts for the newest that has
//! no final one. A final receipt that was published so proves nothing later: its message may as
//! well still wait for its own, so the next one may be of either too.

use super::known::{Creation, Known};
use super::{Millis, Receipt};
use crate::record::internal::{Likeness, Seen, compare, is_short};

/// How far the clocks of two processes may be apart.
const SKEW: Millis = 10_000;
/// So much before the SMSC's date a message may have been submitted,
const BEFORE: Millis = 10_000;
/// and so much after it, by clocks that differ.
const AFTER: Millis = 2_000;
/// Time zones are so far apart,
const ZONE: Millis = 15 * 60_000;
/// and at most so far from UTC.
const FARTHEST: Millis = 15 * 3_600_000;

/// The recipients of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// One, as a [`number`](crate::record::internal::number); 0 if nobody knows.
    One(i64),
    /// Each of several.
    Several(Box<[i64]>),
}

/// What the date in a receipt says of when its message was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The date, as if its clock showed UTC unless it is `zoned`.
    pub at: Millis,
    /// Whether it says its time zone.
    pub zoned: bool,
    /// How long the clock shows it.
    pub lasts: Millis,
}

/// How well a receipt's numbers fit a message's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Nothing contradicts.
    Open,
    /// It goes to the recipient, from the sender.
    AsSubmitted,
    /// It comes from the recipient.
    Recipient,
}

/// To which creation a receipt belongs.
pub(super) struct Whose {
    /// Where it stands among those of its identity.
    pub(super) at: usize,
    /// Where all stand that it may belong to, this one first, if there are several messages.
    pub(super) candidates: Vec<usize>,
    /// What is to be remembered of it there.
    pub(super) seen: Seen,
    /// Whether it was published of one of them already.
    pub(super) repeats: bool,
}

/// A creation that a receipt does not contradict.
struct Candidate {
    at: usize,
    fit: Fit,
    recipient: Option<i64>,
}

impl To {
    /// The octets it takes beside itself.
    pub(super) fn octets(&self) -> usize {
        match self {
            To::One(_) => 0,
            To::Several(numbers) => size_of_val(&**numbers),
        }
    }

    fn numbers(&self) -> &[i64] {
        match self {
            To::One(number) => std::slice::from_ref(number),
            To::Several(numbers) => numbers,
        }
    }
}

impl Dated {
    /// Whether a message submitted then may have this date.
    fn fits(&self, submitted_at: Millis) -> bool {
        let (least, most) = (-self.lasts - AFTER, BEFORE);
        let ahead = self.at - submitted_at;
        if self.zoned {
            return (least..=most).contains(&ahead);
        }
        ahead.abs() <= FARTHEST && (ahead - least).rem_euclid(ZONE) <= most - least
    }
}

impl Receipt {
    /// How it fits a message to `number`, if nothing contradicts.
    fn fit(&self, number: i64, sender: u32) -> Option<Fit> {
        let (from, to) = (self.seen.recipient, self.to);
        let straight = compare(from, Some(number));
        if straight == Likeness::Same {
            return Some(Fit::Recipient);
        }
        let turned = compare(to, Some(number));
        if turned == Likeness::Same {
            return Some(Fit::AsSubmitted);
        }
        // The sender, or a service such as the SMSC itself, is not whom it is about.
        let is_sender = |one: Option<i64>| sender != 0 && print(one) == sender;
        let is_service = |one| is_short(one) && !is_short(Some(number));
        let is_nobody = |one| is_sender(one) || is_service(one);
        let likeness = match (is_nobody(from), is_nobody(to)) {
            (true, true) => Likeness::Open,
            (true, false) => turned,
            (false, _) => straight,
        };
        (likeness != Likeness::Other).then_some(Fit::Open)
    }

    fn candidate(&self, at: usize, creation: &Creation) -> Option<Candidate> {
        let early = |received: Millis| received.saturating_add(SKEW) < creation.submitted_at;
        if self.received.is_some_and(early) {
            return None;
        }
        let numbers = creation.to.numbers().iter();
        let fits = numbers.filter_map(|n| Some((self.fit(*n, creation.sender)?, *n)));
        let (fit, number) = fits.max_by_key(|(fit, _)| *fit)?;
        let recipient = match fit {
            Fit::Open => self.seen.recipient,
            Fit::AsSubmitted | Fit::Recipient => Some(number),
        };
        Some(Candidate { at, fit, recipient })
    }
}

/// By what a sender is known again; 0 is nobody.
pub fn print(number: Option<i64>) -> u32 {
    number.map_or(0, |number| crc32fast::hash(&number.to_be_bytes()).max(1))
}

impl Creation {
    /// Whether a final receipt of `recipient` came, if `sure` one that cannot be another's.
    fn has_ended(&self, recipient: Option<i64>, sure: bool) -> bool {
        let one = matches!(self.recipients, Some(0 | 1));
        let same = |seen: &&Seen| one || compare(seen.recipient, recipient) == Likeness::Same;
        let mut finals = self.seen.iter().filter(|seen| seen.is_final());
        finals.any(|seen| same(&seen) && !(sure && seen.ambiguous))
    }

    /// The outbound record it is of, in the form of its key: parts of one are one message.
    fn record(&self) -> &str {
        match self.which.rsplit_once('.') {
            Some((record, part)) if !part.contains(':') => record,
            _ => &self.which,
        }
    }
}

impl Known {
    /// Whose `receipt` is; `None` if nobody's who is known.
    pub(super) fn whose(&self, receipt: &Receipt) -> Option<Whose> {
        let creations = self.creations.iter().enumerate();
        let mut left: Vec<Candidate> = creations
            .filter_map(|(at, creation)| receipt.candidate(at, creation))
            .collect();
        let best = left.iter().map(|c| c.fit).max()?;
        left.retain(|candidate| candidate.fit == best);
        let of = |candidate: &Candidate| &self.creations[candidate.at];
        narrow(&mut left, |c| {
            let sender = match c.fit {
                Fit::AsSubmitted => receipt.seen.recipient,
                Fit::Open | Fit::Recipient => receipt.to,
            };
            of(c).sender != 0 && of(c).sender == print(sender)
        });
        if let Some(dated) = &receipt.submitted {
            narrow(&mut left, |c| dated.fits(of(c).submitted_at));
        }
        narrow(&mut left, |c| !of(c).has_ended(c.recipient, true));
        let waits = |c: &Candidate| !of(c).has_ended(c.recipient, false);
        left.sort_by_key(|c| std::cmp::Reverse((waits(c), of(c).submitted_at, c.at)));
        let first = left.first()?;
        let seen_by = |c: &Candidate| Seen {
            recipient: c.recipient,
            ..receipt.seen
        };
        let said = |c: &Candidate| of(c).seen.iter().any(|s| s.says_the_same(&seen_by(c)));
        let repeats = receipt.seen.is_final() && !waits(first) && left.iter().any(said);
        let several = left.iter().any(|c| of(c).record() != of(first).record());
        Some(Whose {
            at: first.at,
            candidates: match several {
                true => left.iter().map(|c| c.at).collect(),
                false => Vec::new(),
            },
            seen: Seen {
                ambiguous: several,
                ..seen_by(first)
            },
            repeats,
        })
    }
}

/// Leaves those that `speaks_for`, if there are any and others.
fn narrow(left: &mut Vec<Candidate>, speaks_for: impl Fn(&Candidate) -> bool) {
    if left.len() > 1 && left.iter().any(&speaks_for) {
        left.retain(speaks_for);
    }
}
