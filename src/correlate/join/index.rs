//! Many messages under one identity, found by what a receipt says.
//!
//! A receipt that names a phone is compared with the messages whose numbers end or begin like it,
//! and with those whose recipient is no phone's number. Only one that names none is compared with
//! all: it may be about any of them.

use std::collections::BTreeSet;

use super::identity::Entry;
use super::{JoinLimits, Millis, Receipt, sender_digest};
use crate::record::internal::is_short;

/// From so many on they have an index.
pub(super) const MANY: usize = 32;

/// About what one takes in an index, in octets.
const INDEXED: usize = 200;

/// So many digits of a number are looked at.
const DIGITS: i64 = 10_000_000;

/// Where entries stand, by what they are found by.
type Places<K> = BTreeSet<(K, u32)>;

#[derive(Default)]
#[cfg_attr(test, derive(PartialEq))]
pub(super) struct Index {
    /// By the end of a recipient's number.
    ends: Places<i64>,
    /// By its beginning.
    beginnings: Places<i64>,
    /// Those with a recipient that is no phone's number.
    odd: BTreeSet<u32>,
    /// Those of a key, by its checksum.
    names: Places<u32>,
    /// Those of which a receipt with this digest was published.
    digests: Places<u32>,
    /// By the digest of the sender.
    senders: Places<u32>,
    /// By deadline.
    deadlines: Places<Millis>,
    octets: usize,
}

/// Whether it has as many digits as a phone's number.
fn is_phone(number: i64) -> bool {
    number > 0 && !is_short(Some(number))
}

/// By what the end of a number is found; of what is no phone's the whole.
fn end(number: i64) -> i64 {
    if is_phone(number) {
        number % DIGITS
    } else {
        number
    }
}

/// The first digits of a phone's number.
fn beginning(number: i64) -> i64 {
    let digits = number.checked_ilog10().unwrap_or_default() + 1;
    number / 10i64.pow(digits.saturating_sub(7))
}

/// Where those stand that are found by `key`.
fn places<K: Copy + Ord>(all: &Places<K>, key: K) -> impl Iterator<Item = u32> {
    all.range((key, 0)..=(key, u32::MAX)).map(|(_, at)| *at)
}

/// By what a key is found.
fn name(submission: &str) -> u32 {
    crc32fast::hash(submission.as_bytes())
}

impl Index {
    pub(super) fn of(entries: &[Entry], limits: &JoinLimits) -> Index {
        let mut index = Index::default();
        for (at, entry) in entries.iter().enumerate() {
            index.add(at, entry, limits);
        }
        index
    }

    pub(super) fn add(&mut self, at: usize, entry: &Entry, limits: &JoinLimits) {
        let place = at as u32;
        for number in entry.to.numbers() {
            self.ends.insert((end(*number), place));
            if is_phone(*number) {
                self.beginnings.insert((beginning(*number), place));
            } else {
                self.odd.insert(place);
            }
        }
        self.names.insert((name(&entry.submission), place));
        self.senders.insert((entry.sender, place));
        self.add_receipts(at, entry, limits);
    }

    pub(super) fn remove(&mut self, at: usize, entry: &Entry, limits: &JoinLimits) {
        let place = at as u32;
        for number in entry.to.numbers() {
            self.ends.remove(&(end(*number), place));
            self.beginnings.remove(&(beginning(*number), place));
        }
        self.odd.remove(&place);
        self.names.remove(&(name(&entry.submission), place));
        self.senders.remove(&(entry.sender, place));
        self.remove_receipts(at, entry, limits);
    }

    /// Adds what a receipt changes.
    pub(super) fn add_receipts(&mut self, at: usize, entry: &Entry, limits: &JoinLimits) {
        let place = at as u32;
        let digests = entry.seen.iter().map(|seen| (seen.digest, place));
        self.digests.extend(digests);
        self.deadlines.insert((entry.deadline(limits), place));
        self.octets += entry.octets() + INDEXED;
    }

    /// Removes what a receipt changes, before it does.
    pub(super) fn remove_receipts(&mut self, at: usize, entry: &Entry, limits: &JoinLimits) {
        let place = at as u32;
        for seen in &entry.seen {
            self.digests.remove(&(seen.digest, place));
        }
        self.deadlines.remove(&(entry.deadline(limits), place));
        self.octets -= entry.octets() + INDEXED;
    }

    pub(super) fn named(&self, submission: &str) -> impl Iterator<Item = usize> {
        places(&self.names, name(submission)).map(|at| at as usize)
    }

    pub(super) fn published(&self, digest: u32) -> impl Iterator<Item = usize> {
        places(&self.digests, digest).map(|at| at as usize)
    }

    /// When the first deadline is.
    pub(super) fn due(&self) -> Option<Millis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Whose that is.
    pub(super) fn first(&self) -> Option<usize> {
        self.deadlines.first().map(|(_, at)| *at as usize)
    }

    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Those that a receipt may be about; `None` if that may be any.
    pub(super) fn near(&self, receipt: &Receipt, entries: &[Entry]) -> Option<Vec<usize>> {
        let (from, to) = (receipt.seen.recipient, receipt.to);
        let mut found: Vec<u32> = [from, to]
            .into_iter()
            .flatten()
            .flat_map(|number| places(&self.ends, end(number)))
            .collect();
        let names = |at: &u32| {
            let entry = entries.get(*at as usize);
            entry.is_some_and(|entry| receipt.names(entry))
        };
        // Whom it names goes before whom it may be about.
        if !found.iter().any(names) {
            let is_sender = |digest| digest != 0 && places(&self.senders, digest).next().is_some();
            let nobody = |one| is_short(one) || is_sender(sender_digest(one));
            let about = receipt.about(nobody)?.filter(|number| is_phone(*number))?;
            found.extend(places(&self.beginnings, beginning(about)));
            found.extend(&self.odd);
        }
        found.sort_unstable();
        found.dedup();
        Some(found.into_iter().map(|at| at as usize).collect())
    }
}

impl Receipt {
    /// Whether it may be about an entry, as far as can be told quickly.
    pub(super) fn is_near(&self, entry: &Entry) -> bool {
        let (from, to) = (self.seen.recipient, self.to);
        let numbers = entry.to.numbers();
        let ends =
            |one: Option<i64>| one.is_some_and(|n| numbers.iter().any(|m| end(*m) == end(n)));
        if ends(from) || ends(to) {
            return true;
        }
        let sender = entry.sender;
        let nobody = |one| is_short(one) || (sender != 0 && sender_digest(one) == sender);
        let about = self.about(nobody).flatten();
        let Some(phone) = about.filter(|number| is_phone(*number)) else {
            return true;
        };
        let begins = |number: &i64| beginning(*number) == beginning(phone);
        numbers.iter().any(|n| !is_phone(*n) || begins(n))
    }
}
