//! Identities of which nothing happens, packed.
//!
//! Of nearly all identities one message is known, and nothing is to be done until its receipt comes or
//! its time is over. Such a one sleeps here: its entry lies in a page among others, without what can be
//! told from its other octets, and is found by the hash of its identity. Whatever concerns it wakes it:
//! it is taken out, and is an [`IdentityState`](super::identity::IdentityState) until it may sleep again.
//!
//! ```text
//! table: hash ──▶ place = page, offset
//! page:  │ length, identity, flags, submission, facts, octets │ length, … │ (dead) │ …
//! due:   page ──▶ no entry of it is due before
//! ```
//!
//! **Deadlines.** A page is looked through when the first of its entries may be due; what is due soon
//! wakes. Messages of one time lie in one page, those whose last receipt came in others than those that
//! wait for it, so that a page is seldom looked through in vain.
//!
//! **Room.** What is taken out of a page leaves a hole. A page that is full and less than half of which
//! is left is given up, and what is left goes to the page that is filled.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::identity::Entry;
use super::{JoinLimits, Millis, To};
use crate::correlate::entry::Facts;
use crate::record::cbor;
use crate::record::internal::Seen;
use crate::record::keys;

/// So many octets has a page.
const PAGE: usize = 1 << 16;
/// So many it has first: a partition may remember few messages.
const SMALL: usize = 1 << 10;
/// An entry of more octets stays awake.
const LARGEST: usize = PAGE / 8;
/// So many pages there are at most.
const PAGES: usize = 1 << 16;
/// So many names of ESMEs and topics are known at most: what has another one stays awake.
const NAMES: usize = 1 << 10;

/// What is due within this time wakes with what is due.
pub(super) const SOON: Millis = 1000;

/// The head of an entry: its length with it, and whether it was taken out.
const HEAD: usize = 2;
const DEAD: u16 = 0x8000;

// Flags.
/// The submission is a record's position, by the number of its topic.
const POSITION: u8 = 1;
/// Of several segments: the position is followed by the segment's number.
const PART: u8 = 2;
/// The octets are without what the key says.
const BEGINS: u8 = 4;
/// The facts are those that the octets say.
const STATED: u8 = 8;
/// Receipts were published.
const SEEN: u8 = 16;
/// The last one was.
const FINAL: u8 = 32;

/// Where an entry lies.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    page: u16,
    at: u16,
}

impl Place {
    fn number(self) -> u32 {
        (u32::from(self.page) << 16) | u32::from(self.at)
    }

    fn of(number: u32) -> Place {
        // The two halves.
        let (page, at) = ((number >> 16) as u16, number as u16);
        Place { page, at }
    }
}

#[derive(Default)]
struct Page {
    octets: Vec<u8>,
    /// How many of them are of entries that are there.
    live: usize,
    /// No entry of it is due before; `None` if it has none.
    due: Option<Millis>,
    /// Which of the pages that are filled follows it.
    kind: usize,
}

impl Page {
    /// The entry at a place, behind its head; `None` if it was taken out.
    fn entry(&self, at: usize) -> Option<&[u8]> {
        let (head, _) = self.octets.get(at..)?.split_first_chunk()?;
        let head = u16::from_le_bytes(*head);
        let end = at + usize::from(head & !DEAD);
        (head & DEAD == 0)
            .then(|| self.octets.get(at + HEAD..end))
            .flatten()
    }

    /// Where the entries begin that are there.
    fn places(&self) -> Vec<u16> {
        let (mut at, mut places) = (0, Vec::new());
        while let Some((head, _)) = self.octets.get(at..).and_then(|o| o.split_first_chunk()) {
            let head = u16::from_le_bytes(*head);
            if head & DEAD == 0 {
                places.push(at as u16); // a page has so many octets
            }
            at += usize::from(head & !DEAD).max(HEAD);
        }
        places
    }
}

/// Texts that many entries have, by their numbers.
#[derive(Default)]
struct Names {
    texts: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

impl Names {
    fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    fn number(&mut self, text: &str) -> Option<u32> {
        if let Some(number) = self.find(text) {
            return Some(number);
        }
        if self.texts.len() >= NAMES {
            return None;
        }
        let number = self.texts.len() as u32; // at most NAMES
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        Some(number)
    }

    fn text(&self, number: u64) -> Option<&str> {
        self.texts
            .get(usize::try_from(number).ok()?)
            .map(|text| &**text)
    }
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Asleep<S = DefaultHashBuilder> {
    hasher: S,
    /// The number of the [`Place`] of each.
    table: HashTable<u32>,
    /// Those that are in `vacant` have no octets.
    pages: Vec<Page>,
    vacant: Vec<u16>,
    /// The pages that are filled: of messages that wait, and of those whose last receipt came.
    filled: [Option<u16>; 2],
    /// Pages with their [`Page::due`].
    due: BTreeSet<(Millis, u16)>,
    names: Names,
    /// What the pages take.
    octets: usize,
    /// Where an entry is packed.
    packed: Vec<u8>,
}

impl<S: BuildHasher + Default> Asleep<S> {
    /// How many sleep.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many octets all that takes.
    pub(super) fn octets(&self) -> usize {
        if self.table.is_empty() {
            return 0;
        }
        let pages = self.pages.capacity() * size_of::<Page>();
        self.octets + pages + self.table.allocation_size()
    }

    /// Before that none is due.
    pub(super) fn due(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Puts the only entry of an identity to sleep, which is not asleep; `false` if it cannot.
    pub(super) fn put(&mut self, identity: &str, entry: &Entry, limits: &JoinLimits) -> bool {
        let Some((esme, id)) = self.pack(identity, entry) else {
            return false;
        };
        let (kind, due) = (
            usize::from(entry.final_at.is_some()),
            entry.deadline(limits),
        );
        let packed = std::mem::take(&mut self.packed);
        let place = self.append(&packed, kind, due);
        self.packed = packed;
        let Some(place) = place else {
            return false;
        };
        let hash = self.hasher.hash_one((esme, id.as_bytes()));
        let Asleep {
            table,
            pages,
            hasher,
            ..
        } = self;
        table.insert_unique(hash, place.number(), |place| hash_at(pages, hasher, *place));
        true
    }

    /// Takes the entry of an identity out, if it is asleep.
    pub(super) fn take(&mut self, identity: &str) -> Option<Entry> {
        let place = self.find(identity)?;
        let entry = self.unpack(place)?;
        self.remove(place);
        Some(entry)
    }

    /// Takes the entry of a key out, if it is asleep; whether it was.
    pub(super) fn forget(&mut self, identity: &str, submission: &str) -> bool {
        let Some(place) = self.find(identity) else {
            return false;
        };
        let is_its = self.at(place).and_then(|packed| {
            let (_, mut rest) = identity_in(packed)?;
            let flags = rest.octet()?;
            Some(rest.submission(flags, &self.names)?.text() == submission)
        });
        let found = is_its == Some(true);
        if found {
            self.remove(place);
        }
        found
    }

    /// Of the page that is due first, if that may be at `now` at least: those that are due by then, or soon
    /// after, with their identities. They are taken out.
    pub(super) fn wake(&mut self, now: Millis, limits: &JoinLimits) -> Vec<(String, Entry)> {
        let Some((_, number)) = self.due.first().copied().filter(|(at, _)| *at <= now) else {
            return Vec::new();
        };
        let places = self.pages.get(usize::from(number)).map(Page::places);
        let (mut woken, mut gone, mut next) = (Vec::new(), Vec::new(), None::<Millis>);
        for at in places.into_iter().flatten() {
            let place = Place { page: number, at };
            let (Some(identity), Some(entry)) = (self.identity(place), self.unpack(place)) else {
                continue;
            };
            let due = entry.deadline(limits);
            if due <= now.saturating_add(SOON) {
                woken.push((identity, entry));
                gone.push(place);
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        self.set_due(number, next);
        // The page may be given up with the last of them.
        for place in gone {
            self.unlink(place);
        }
        self.tidy(number);
        woken
    }

    fn at(&self, place: Place) -> Option<&[u8]> {
        let page = self.pages.get(usize::from(place.page))?;
        page.entry(usize::from(place.at))
    }

    fn find(&self, identity: &str) -> Option<Place> {
        let (esme, id) = keys::esme_and_id(identity);
        let esme = self.names.find(esme)?;
        let hash = self.hasher.hash_one((esme, id.as_bytes()));
        let is_it = |place: &u32| {
            let of = self.at(Place::of(*place)).and_then(identity_in);
            of.is_some_and(|(of, _)| of == (esme, id.as_bytes()))
        };
        self.table.find(hash, is_it).map(|place| Place::of(*place))
    }

    fn remove(&mut self, place: Place) {
        self.unlink(place);
        self.tidy(place.page);
    }

    /// Takes an entry out of the table and its page.
    fn unlink(&mut self, place: Place) {
        let hash = hash_at(&self.pages, &self.hasher, place.number());
        if let Ok(found) = self.table.find_entry(hash, |at| *at == place.number()) {
            found.remove();
        }
        self.kill(place);
    }

    /// Leaves a hole.
    fn kill(&mut self, place: Place) {
        let Some(page) = self.pages.get_mut(usize::from(place.page)) else {
            return;
        };
        let at = usize::from(place.at);
        if let Some(head) = page.octets.get_mut(at..at + HEAD) {
            let length = u16::from_le_bytes([head[0], head[1]]);
            head.copy_from_slice(&(length | DEAD).to_le_bytes());
            page.live -= usize::from(length);
        }
    }

    /// Gives up a page of which too little is left.
    fn tidy(&mut self, number: u16) {
        if self.table.is_empty() {
            let names = std::mem::take(&mut self.names);
            *self = Asleep {
                names,
                ..Self::default()
            };
            return;
        }
        let Some(page) = self.pages.get_mut(usize::from(number)) else {
            return;
        };
        let is_filled = self.filled.contains(&Some(number));
        if is_filled || page.live * 2 >= page.octets.len() {
            return;
        }
        let (kind, due) = (page.kind, page.due);
        let left = page.places();
        for at in left {
            self.relocate(Place { page: number, at }, kind, due);
        }
        // Unless there is no room for what is left.
        if let Some(page) = self.pages.get_mut(usize::from(number))
            && page.live == 0
        {
            self.octets -= page.octets.capacity();
            page.octets = Vec::new();
            self.set_due(number, None);
            self.vacant.push(number);
        }
    }

    /// Copies an entry to the page that is filled, which is due no later than where it was.
    fn relocate(&mut self, from: Place, kind: usize, due: Option<Millis>) {
        let Some(packed) = self.at(from).map(<[u8]>::to_vec) else {
            return;
        };
        let Some(to) = self.append(&packed, kind, due.unwrap_or(Millis::MIN)) else {
            return;
        };
        let hash = hash_at(&self.pages, &self.hasher, from.number());
        if let Some(place) = self.table.find_mut(hash, |at| *at == from.number()) {
            *place = to.number();
        }
        self.kill(from);
    }

    /// Writes an entry to the page of its kind that is filled, or to a new one.
    fn append(&mut self, packed: &[u8], kind: usize, due: Millis) -> Option<Place> {
        let length = HEAD + packed.len();
        if length > LARGEST {
            return None;
        }
        let number = self.page_with_room(kind, length)?;
        let page = self.pages.get_mut(usize::from(number))?;
        let at = page.octets.len();
        if page.octets.capacity() < at + length {
            let before = page.octets.capacity();
            let wanted = (2 * before).max(at + length).clamp(SMALL, PAGE);
            page.octets.reserve_exact(wanted - at);
            self.octets += page.octets.capacity() - before;
        }
        // At most LARGEST and PAGE.
        page.octets.extend((length as u16).to_le_bytes());
        page.octets.extend(packed);
        page.live += length;
        let earliest = page.due.map_or(due, |before| before.min(due));
        self.set_due(number, Some(earliest));
        Some(Place {
            page: number,
            at: at as u16,
        })
    }

    fn page_with_room(&mut self, kind: usize, length: usize) -> Option<u16> {
        let before = self.filled.get(kind).copied().flatten();
        if let Some(number) = before
            && let Some(page) = self.pages.get(usize::from(number))
            && page.octets.len() + length <= PAGE
        {
            return Some(number);
        }
        let number = match self.vacant.pop() {
            Some(number) => number,
            None if self.pages.len() < PAGES => {
                self.pages.push(Page::default());
                (self.pages.len() - 1) as u16 // below PAGES
            }
            None => return None,
        };
        self.pages.get_mut(usize::from(number))?.kind = kind;
        *self.filled.get_mut(kind)? = Some(number);
        if let Some(before) = before {
            self.tidy(before);
        }
        Some(number)
    }

    fn set_due(&mut self, number: u16, due: Option<Millis>) {
        let Some(page) = self.pages.get_mut(usize::from(number)) else {
            return;
        };
        let before = std::mem::replace(&mut page.due, due);
        if before != due {
            if let Some(before) = before {
                self.due.remove(&(before, number));
            }
            self.due.extend(due.map(|due| (due, number)));
        }
    }
}

/// What an entry is found by, of one that is packed.
fn hash_at(pages: &[Page], hasher: &impl BuildHasher, place: u32) -> u64 {
    let place = Place::of(place);
    let page = pages.get(usize::from(place.page));
    let packed = page.and_then(|page| page.entry(usize::from(place.at)));
    match packed.and_then(identity_in) {
        Some(((esme, id), _)) => hasher.hash_one((esme, id)),
        None => 0,
    }
}

/// The number of the ESME, the message id, and what is behind them.
fn identity_in(packed: &[u8]) -> Option<((u32, &[u8]), Unpacker<'_>)> {
    let mut packed = Unpacker(packed);
    let esme = u32::try_from(packed.number()?).ok()?;
    let length = usize::try_from(packed.number()?).ok()?;
    Some(((esme, packed.octets(length)?), packed))
}

/// The rest of a key.
enum Submission<'a> {
    Position(&'a str, i32, i64, Option<u16>),
    Text(&'a str),
}

impl<'a> Submission<'a> {
    /// A position only if [`text`](Self::text) writes it as it was.
    fn of(text: &'a str) -> Submission<'a> {
        Submission::position(text).unwrap_or(Submission::Text(text))
    }

    fn position(text: &'a str) -> Option<Submission<'a>> {
        let (topic, rest) = text.split_once(':')?;
        let (partition, rest) = rest.split_once(':')?;
        let (offset, part) = match rest.split_once('.') {
            Some((offset, part)) => (offset, Some(u16::try_from(plain(part)?).ok()?)),
            None => (rest, None),
        };
        let partition = i32::try_from(plain(partition)?).ok()?;
        let offset = i64::try_from(plain(offset)?).ok()?;
        Some(Submission::Position(topic, partition, offset, part))
    }

    fn text(&self) -> String {
        match *self {
            Submission::Position(topic, partition, offset, part) => {
                keys::submission((topic, partition, offset), part)
            }
            Submission::Text(text) => text.to_owned(),
        }
    }
}

/// A number that is written as numbers are printed.
fn plain(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    let is_plain = digits && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

impl<S: BuildHasher + Default> Asleep<S> {
    /// Packs an entry into `packed`; returns by what it is found.
    fn pack<'a>(&mut self, identity: &'a str, entry: &Entry) -> Option<(u32, &'a str)> {
        let (esme, id) = keys::esme_and_id(identity);
        if identity.len() != esme.len() + 1 + id.len() {
            return None;
        }
        let esme_number = self.names.number(esme)?;
        let (mut flags, mut submission) = (0, Submission::of(&entry.submission));
        let mut topic_number = 0;
        let mut begins = Vec::with_capacity(64);
        if let Submission::Position(topic, partition, offset, part) = submission {
            match self.names.number(topic) {
                Some(number) => {
                    flags |= if part.is_some() {
                        POSITION | PART
                    } else {
                        POSITION
                    };
                    topic_number = number;
                    cbor::entry_begins((esme, id), (topic, partition, offset), part, &mut begins)?;
                }
                None => submission = Submission::Text(&entry.submission),
            }
        }
        let split = (flags & POSITION != 0)
            .then(|| cbor::split_entry(&entry.raw, &begins))
            .flatten();
        flags |= if split.is_some() { BEGINS } else { 0 };
        flags |= if entry.stated { STATED } else { 0 };
        flags |= if entry.seen.is_empty() { 0 } else { SEEN };
        flags |= if entry.final_at.is_some() { FINAL } else { 0 };
        let mut to = Packer(std::mem::take(&mut self.packed));
        to.0.clear();
        to.number(u64::from(esme_number));
        to.text(id);
        to.0.push(flags);
        match submission {
            Submission::Position(_, partition, offset, part) => {
                to.number(u64::from(topic_number));
                to.signed(i64::from(partition));
                to.signed(offset);
                if let Some(part) = part {
                    to.number(u64::from(part));
                }
            }
            Submission::Text(text) => to.text(text),
        }
        if !entry.stated {
            to.facts(entry);
        }
        if !entry.seen.is_empty() {
            to.seen(&entry.seen);
        }
        if let Some(at) = entry.final_at {
            to.signed(at);
        }
        match split {
            Some((head, rest)) => {
                to.0.push(head);
                to.0.extend(rest);
            }
            None => to.0.extend(&*entry.raw),
        }
        self.packed = to.0;
        Some((esme_number, id))
    }

    /// The identity at a place.
    fn identity(&self, place: Place) -> Option<String> {
        let (esme, id, _) = self.packed(place)?;
        Some(keys::identity(esme, id))
    }

    /// The ESME and the message id at a place, and what is behind them.
    fn packed(&self, place: Place) -> Option<(&str, &str, Unpacker<'_>)> {
        let ((esme, id), behind) = identity_in(self.at(place)?)?;
        let esme = self.names.text(u64::from(esme))?;
        Some((esme, std::str::from_utf8(id).ok()?, behind))
    }

    /// The entry at a place.
    fn unpack(&self, place: Place) -> Option<Entry> {
        let (esme, id, mut from) = self.packed(place)?;
        let flags = from.octet()?;
        let submission = from.submission(flags, &self.names)?;
        let facts = (flags & STATED == 0).then(|| from.facts()).flatten();
        let seen = if flags & SEEN == 0 {
            Vec::new()
        } else {
            from.seen()?
        };
        let final_at = if flags & FINAL == 0 {
            None
        } else {
            Some(from.signed()?)
        };
        let raw: Bytes = match submission {
            Submission::Position(topic, partition, offset, part) if flags & BEGINS != 0 => {
                let (mut begins, head) = (Vec::with_capacity(64), from.octet()?);
                cbor::entry_begins((esme, id), (topic, partition, offset), part, &mut begins)?;
                cbor::join_entry(head, &begins, from.0).into()
            }
            _ => Bytes::copy_from_slice(from.0),
        };
        let facts = match facts {
            Some(facts) => facts,
            None => Facts::of(&raw).ok()?,
        };
        Some(Entry {
            submission: submission.text().into(),
            raw,
            stated: flags & STATED != 0,
            submitted_at: facts.submitted_at,
            recipients: facts.recipients,
            to: facts.to,
            sender: facts.sender,
            reference: facts.reference,
            order: 0,
            seen,
            final_at,
            outdated: false,
        })
    }
}

/// Writes numbers in as few octets as they need, seven bits in each.
struct Packer(Vec<u8>);

impl Packer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80); // the lowest seven bits
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// One that may be below zero: its sign goes last.
    fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    /// One that may be absent.
    fn option(&mut self, number: Option<u32>) {
        self.number(number.map_or(0, |number| u64::from(number) + 1));
    }

    fn facts(&mut self, entry: &Entry) {
        self.signed(entry.submitted_at);
        self.option(entry.recipients);
        match &entry.to {
            To::One(number) => {
                self.number(0);
                self.signed(*number);
            }
            To::Several(numbers) => {
                self.number(numbers.len() as u64 + 1);
                numbers.iter().for_each(|number| self.signed(*number));
            }
        }
        self.number(u64::from(entry.sender));
        self.option(entry.reference.map(u32::from));
    }

    fn seen(&mut self, all: &[Seen]) {
        self.number(all.len() as u64);
        for seen in all {
            let has = [seen.recipient.is_some(), seen.ambiguous];
            self.0.push(seen.state);
            self.0.push(u8::from(has[0]) | (u8::from(has[1]) << 1));
            self.number(u64::from(seen.digest));
            self.option(seen.report);
            self.option(seen.session);
            if let Some(recipient) = seen.recipient {
                self.signed(recipient);
            }
        }
    }
}

/// Reads what a [`Packer`] wrote.
struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn octets(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7F) << shift;
            if octet < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.octets(length)?).ok()
    }

    fn option(&mut self) -> Option<Option<u32>> {
        let number = self.number()?;
        Some(
            number
                .checked_sub(1)
                .and_then(|number| u32::try_from(number).ok()),
        )
    }

    fn submission<'b>(&mut self, flags: u8, names: &'b Names) -> Option<Submission<'b>>
    where
        'a: 'b,
    {
        if flags & POSITION == 0 {
            return self.text().map(Submission::Text);
        }
        let topic = names.text(self.number()?)?;
        let (partition, offset) = (i32::try_from(self.signed()?).ok()?, self.signed()?);
        let part = if flags & PART == 0 {
            None
        } else {
            Some(u16::try_from(self.number()?).ok()?)
        };
        Some(Submission::Position(topic, partition, offset, part))
    }

    fn facts(&mut self) -> Option<Facts> {
        let (submitted_at, recipients) = (self.signed()?, self.option()?);
        let to = match self.number()?.checked_sub(1) {
            None => To::One(self.signed()?),
            Some(count) => To::Several((0..count).map(|_| self.signed()).collect::<Option<_>>()?),
        };
        Some(Facts {
            submitted_at,
            recipients,
            to,
            sender: u32::try_from(self.number()?).ok()?,
            reference: self.option()?.and_then(|number| u16::try_from(number).ok()),
            seen: Vec::new(),
            final_at: None,
        })
    }

    fn seen(&mut self) -> Option<Vec<Seen>> {
        let count = usize::try_from(self.number()?).ok()?;
        let mut all = Vec::with_capacity(count.min(LARGEST));
        for _ in 0..count {
            let (state, has) = (self.octet()?, self.octet()?);
            all.push(Seen {
                state,
                ambiguous: has & 2 != 0,
                digest: u32::try_from(self.number()?).ok()?,
                report: self.option()?,
                session: self.option()?,
                recipient: if has & 1 == 0 {
                    None
                } else {
                    Some(self.signed()?)
                },
            });
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests;
