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
//! | user_message_reference | the receipt repeats it | it has another, if a message without this doubt is left |
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
//!
//! # The one that is not known yet
//!
//! A receipt may come before the answer to its message. Where an id is used again, it finds an older
//! message then. If its date is that of the older one and not that of now, it is the older one's.
//! Otherwise there is a [`Doubt`] if anything speaks for another message, and the receipt waits for
//! a moment in which the answer may come:
//!
//! | what speaks for another | if none turns up |
//! |---|---|
//! | the older one has its final receipt, and this one says something else | published as ambiguous |
//! | it has another user_message_reference | published as ambiguous |
//! | the SMSC uses its ids again within minutes | it is the older one's |
//! | the session was bound after the older one was submitted, so the SMSC may have been restarted | it is the older one's |
//! | the date is that of now, and not the older one's | it is the older one's |

use super::identity::{Entry, IdentityState, News};
use super::{Millis, Receipt};
use crate::record::internal::{Likeness, Seen, compare, is_short};

/// How far the clocks of two processes may be apart.
const SKEW: Millis = 10_000;
/// A message whose answer is not known yet was submitted within this time.
const UNANSWERED: Millis = 30_000;
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

/// To which entry a receipt belongs.
pub(super) struct Whose {
    /// Where it stands among those of its identity.
    pub(super) at: usize,
    /// Where all stand that it may belong to, this one first, if there are several messages.
    pub(super) candidates: Vec<usize>,
    /// What is to be remembered of it there.
    pub(super) seen: Seen,
    /// Whether it was published of one of them already.
    pub(super) repeats: bool,
    /// Whether no final receipt of it has come.
    pub(super) waits: bool,
    /// Whether the receipt names its recipient.
    pub(super) names: bool,
    /// Whether it may be a message's that is not known yet.
    pub(super) doubt: Doubt,
}

impl Whose {
    /// Whether the receipt is to be given to its message as it comes.
    pub(super) fn is_sure(&self, news: News) -> bool {
        self.doubt == Doubt::None && news == News::New
    }
}

/// Whether a receipt may be a message's that is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// It is not.
    None,
    /// It is, if that turns up in a moment.
    Slight,
    /// It may be, even if none turns up.
    Grave,
}

/// An entry that a receipt does not contradict.
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

    pub(super) fn numbers(&self) -> &[i64] {
        match self {
            To::One(number) => std::slice::from_ref(number),
            To::Several(numbers) => numbers,
        }
    }
}

impl Dated {
    /// Whether a message submitted then may have this date.
    fn fits(&self, submitted_at: Millis) -> bool {
        self.fits_within(submitted_at, 0)
    }

    /// Whether one may that was submitted within so long before `until`.
    fn fits_within(&self, until: Millis, before: Millis) -> bool {
        let (least, most) = (-self.lasts - AFTER - before, BEFORE);
        let ahead = self.at - until;
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
        if compare(from, Some(number)) == Likeness::Same {
            return Some(Fit::Recipient);
        }
        if compare(to, Some(number)) == Likeness::Same {
            return Some(Fit::AsSubmitted);
        }
        // The sender, or a service such as the SMSC itself, is not whom it is about.
        let is_sender = |one: Option<i64>| sender != 0 && sender_digest(one) == sender;
        let is_service = |one| is_short(one) && !is_short(Some(number));
        let is_nobody = |one| is_sender(one) || is_service(one);
        let about = self.about(is_nobody);
        let likeness = about.map_or(Likeness::Open, |one| compare(one, Some(number)));
        (likeness != Likeness::Other).then_some(Fit::Open)
    }

    /// The number of whom it is about, if it has one: whom it came from, or whom it goes to where that is
    /// nobody it may be about. `None` if neither is.
    pub(super) fn about(&self, is_nobody: impl Fn(Option<i64>) -> bool) -> Option<Option<i64>> {
        let mut both = [self.seen.recipient, self.to].into_iter();
        both.find(|one| !is_nobody(*one))
    }

    /// Whether its numbers are those of an entry.
    pub(super) fn names(&self, entry: &Entry) -> bool {
        let candidate = self.candidate(0, entry);
        candidate.is_some_and(|candidate| candidate.fit > Fit::Open)
    }

    fn candidate(&self, at: usize, entry: &Entry) -> Option<Candidate> {
        let early = |received: Millis| received.saturating_add(SKEW) < entry.submitted_at;
        if self.received.is_some_and(early) {
            return None;
        }
        let numbers = entry.to.numbers().iter();
        let fits = numbers.filter_map(|n| Some((self.fit(*n, entry.sender)?, *n)));
        let (fit, number) = fits.max_by_key(|(fit, _)| *fit)?;
        let recipient = match fit {
            Fit::Open => self.seen.recipient,
            Fit::AsSubmitted | Fit::Recipient => Some(number),
        };
        Some(Candidate { at, fit, recipient })
    }
}

/// By what a sender is known again; 0 is nobody.
pub fn sender_digest(number: Option<i64>) -> u32 {
    number.map_or(0, |number| crc32fast::hash(&number.to_be_bytes()).max(1))
}

impl Entry {
    /// Whether a final receipt of `recipient` came, if `sure` one that cannot be another's.
    fn has_ended(&self, recipient: Option<i64>, sure: bool) -> bool {
        let one = matches!(self.recipients, Some(0 | 1));
        let same = |seen: &&Seen| one || compare(seen.recipient, recipient) == Likeness::Same;
        let mut finals = self.seen.iter().filter(|seen| seen.is_final());
        finals.any(|seen| same(&seen) && !(sure && seen.ambiguous))
    }

    /// The outbound record it is of, in the form of its key: parts of one are one message.
    pub(super) fn record(&self) -> &str {
        match self.submission.rsplit_once('.') {
            Some((record, part)) if !part.contains(':') => record,
            _ => &self.submission,
        }
    }
}

impl IdentityState {
    /// Whose `receipt` is; `None` if nobody's who is known. `hasty` if the SMSC is known to use ids
    /// again within minutes.
    pub(super) fn whose(&self, receipt: &Receipt, hasty: bool) -> Option<Whose> {
        let entry = |at: usize| self.at(at).map(|entry| (at, entry));
        let near = self.near(receipt).into_iter().filter_map(entry);
        let mut left: Vec<(Candidate, &Entry)> = near
            .filter_map(|(at, entry)| Some((receipt.candidate(at, entry)?, entry)))
            .collect();
        let best = left.iter().map(|(c, _)| c.fit).max()?;
        left.retain(|(candidate, _)| candidate.fit == best);
        if receipt.reference.is_some() {
            narrow(&mut left, |_, of| of.reference == receipt.reference);
            narrow(&mut left, |_, of| of.reference.is_none());
        }
        narrow(&mut left, |c, of| {
            let sender = match c.fit {
                Fit::AsSubmitted => receipt.seen.recipient,
                Fit::Open | Fit::Recipient => receipt.to,
            };
            of.sender != 0 && of.sender == sender_digest(sender)
        });
        if let Some(dated) = &receipt.submitted {
            narrow(&mut left, |_, of| dated.fits(of.submitted_at));
        }
        narrow(&mut left, |c, of| !of.has_ended(c.recipient, true));
        let waits = |c: &Candidate, of: &Entry| !of.has_ended(c.recipient, false);
        left.sort_by_key(|(c, of)| std::cmp::Reverse((waits(c, of), of.submitted_at, of.order)));
        let (first, of_first) = left.first()?;
        let seen_by = |c: &Candidate| Seen {
            recipient: c.recipient,
            ..receipt.seen
        };
        let said = |(c, of): &(Candidate, &Entry)| {
            let mut before = of.seen.iter();
            before.any(|seen| seen.says_the_same(&seen_by(c)))
        };
        let first_waits = waits(first, of_first);
        let repeats = receipt.seen.is_final() && !first_waits && left.iter().any(said);
        let several = (left.iter()).any(|(_, of)| of.record() != of_first.record());
        let doubt = if several || repeats {
            Doubt::None
        } else {
            receipt.doubt(first, of_first, hasty || self.repeats)
        };
        Some(Whose {
            at: first.at,
            candidates: if several || doubt == Doubt::Grave {
                left.iter().map(|(c, _)| c.at).collect()
            } else {
                Vec::new()
            },
            seen: Seen {
                ambiguous: several || doubt == Doubt::Grave,
                ..seen_by(first)
            },
            repeats,
            waits: first_waits,
            names: best > Fit::Open,
            doubt,
        })
    }
}

impl Receipt {
    /// Whether it may be another message's than the only one that it fits: see the
    /// [module](self).
    fn doubt(&self, candidate: &Candidate, of: &Entry, hasty: bool) -> Doubt {
        let Some(received) = self.received else {
            return Doubt::None;
        };
        match of.reference.zip(self.reference) {
            Some((one, two)) if one == two => return Doubt::None,
            Some(_) => return Doubt::Grave,
            None => {}
        }
        let dated = self.submitted.as_ref();
        let of_it = dated.is_some_and(|d| d.fits(of.submitted_at));
        let of_now = dated.is_some_and(|d| d.fits_within(received, UNANSWERED));
        let restarted = self.bound_at.is_some_and(|at| at > of.submitted_at);
        match (of_it, of_now) {
            (true, false) => Doubt::None,
            _ if of.has_ended(candidate.recipient, true) => Doubt::Grave,
            (false, true) => Doubt::Slight,
            _ if hasty || restarted => Doubt::Slight,
            _ => Doubt::None,
        }
    }
}

/// Leaves those that `speaks_for`, if there are any and others.
fn narrow(left: &mut Vec<(Candidate, &Entry)>, speaks_for: impl Fn(&Candidate, &Entry) -> bool) {
    if left.len() > 1 && left.iter().any(|(c, of)| speaks_for(c, of)) {
        left.retain(|(c, of)| speaks_for(c, of));
    }
}
