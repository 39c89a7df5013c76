//! Many messages under one identity, found by what a receipt says.
//!
//! A receipt that names a phone is compared with the messages whose numbers end or begin like it,
//! and with those whose recipient is no phone's number. Only one that names none is compared with
//! all: it may be about any of them.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};

use super::known::Creation;
use super::{Millis, Patience, Receipt, print};
use crate::record::internal::is_short;

/// From so many on they have an index.
pub(super) const MANY: usize = 32;

/// About what one takes in an index, in octets.
const INDEXED: usize = 200;

/// So many digits of a number are looked at.
const DIGITS: i64 = 10_000_000;

/// Where creations stand.
type Places = Vec<u32>;

#[derive(Default)]
pub(super) struct Index {
    /// By the end of a recipient's number.
    ends: HashMap<i64, Places>,
    /// By its beginning.
    beginnings: HashMap<i64, Places>,
    /// Those with a recipient that is no phone's number.
    odd: BTreeSet<u32>,
    /// Those of a key, by its checksum.
    names: HashMap<u32, Places>,
    /// Those of which a receipt with this digest was published.
    digests: HashMap<u32, Places>,
    /// The prints of all senders there have been.
    senders: HashSet<u32>,
    /// By deadline.
    deadlines: BTreeSet<(Millis, u32)>,
    octets: usize,
}

/// Whether it has as many digits as a phone's number.
fn is_phone(number: i64) -> bool {
    number > 0 && !is_short(Some(number))
}

/// By what the end of a number is found; of what is no phone's the whole.
fn end(number: i64) -> i64 {
    match is_phone(number) {
        true => number % DIGITS,
        false => number,
    }
}

/// The first digits of a phone's number.
fn beginning(number: i64) -> i64 {
    let digits = number.checked_ilog10().unwrap_or_default() + 1;
    number / 10i64.pow(digits.saturating_sub(7))
}

fn forget<K: Eq + std::hash::Hash>(map: &mut HashMap<K, Places>, key: &K, at: u32) {
    if let Some(places) = map.get_mut(key) {
        if let Some(found) = places.iter().position(|place| *place == at) {
            places.swap_remove(found);
        }
        if places.is_empty() {
            map.remove(key);
        }
    }
}

impl Index {
    pub(super) fn of(creations: &[Creation], patience: &Patience) -> Index {
        let mut index = Index::default();
        for (at, creation) in creations.iter().enumerate() {
            index.add(at, creation, patience);
        }
        index
    }

    pub(super) fn add(&mut self, at: usize, creation: &Creation, patience: &Patience) {
        let at = at as u32;
        for number in creation.to.numbers() {
            self.ends.entry(end(*number)).or_default().push(at);
            if is_phone(*number) {
                let places = self.beginnings.entry(beginning(*number));
                places.or_default().push(at);
            } else {
                self.odd.insert(at);
            }
        }
        let name = crc32fast::hash(creation.which.as_bytes());
        self.names.entry(name).or_default().push(at);
        for seen in &creation.seen {
            self.digests.entry(seen.digest).or_default().push(at);
        }
        self.senders.insert(creation.sender);
        self.deadlines.insert((creation.deadline(patience), at));
        self.octets += creation.octets() + INDEXED;
    }

    pub(super) fn remove(&mut self, at: usize, creation: &Creation, patience: &Patience) {
        let at = at as u32;
        for number in creation.to.numbers() {
            forget(&mut self.ends, &end(*number), at);
            forget(&mut self.beginnings, &beginning(*number), at);
        }
        self.odd.remove(&at);
        forget(
            &mut self.names,
            &crc32fast::hash(creation.which.as_bytes()),
            at,
        );
        for seen in &creation.seen {
            forget(&mut self.digests, &seen.digest, at);
        }
        self.deadlines.remove(&(creation.deadline(patience), at));
        self.octets -= creation.octets() + INDEXED;
    }

    pub(super) fn named(&self, which: &str) -> &[u32] {
        let name = crc32fast::hash(which.as_bytes());
        self.names.get(&name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn said(&self, digest: u32) -> &[u32] {
        self.digests.get(&digest).map_or(&[], Vec::as_slice)
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
    pub(super) fn near(&self, receipt: &Receipt, creations: &[Creation]) -> Option<Vec<usize>> {
        let (from, to) = (receipt.seen.recipient, receipt.to);
        let places = |map: &HashMap<i64, Places>, key: i64| map.get(&key).cloned();
        let mut found: Places = [from, to]
            .into_iter()
            .flatten()
            .filter_map(|number| places(&self.ends, end(number)))
            .flatten()
            .collect();
        let names = |at: &u32| {
            let creation = creations.get(*at as usize);
            creation.is_some_and(|creation| receipt.names(creation))
        };
        // Whom it names goes before whom it may be about.
        if !found.iter().any(names) {
            let is_sender = |print| print != 0 && self.senders.contains(&print);
            let nobody = |one| is_short(one) || is_sender(print(one));
            let about = match (nobody(from), nobody(to)) {
                (true, true) => return None,
                (true, false) => to,
                (false, _) => from,
            };
            let about = about.filter(|number| is_phone(*number))?;
            found.extend(places(&self.beginnings, beginning(about)).unwrap_or_default());
            found.extend(&self.odd);
        }
        found.sort_unstable();
        found.dedup();
        Some(found.into_iter().map(|at| at as usize).collect())
    }
}

impl Receipt {
    /// Whether it may be about a creation, as far as can be told quickly.
    pub(super) fn is_near(&self, creation: &Creation) -> bool {
        let (from, to) = (self.seen.recipient, self.to);
        let numbers = creation.to.numbers();
        let ends =
            |one: Option<i64>| one.is_some_and(|n| numbers.iter().any(|m| end(*m) == end(n)));
        if ends(from) || ends(to) {
            return true;
        }
        let sender = creation.sender;
        let nobody = |one| is_short(one) || (sender != 0 && print(one) == sender);
        let about = match (nobody(from), nobody(to)) {
            (true, true) => return true,
            (true, false) => to,
            (false, _) => from,
        };
        let Some(phone) = about.filter(|number| is_phone(*number)) else {
            return true;
        };
        let begins = |number: &i64| beginning(*number) == beginning(phone);
        numbers.iter().any(|n| !is_phone(*n) || begins(n))
    }
}
