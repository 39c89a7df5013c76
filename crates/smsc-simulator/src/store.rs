//! What became of the messages that were accepted, for those who ask, cancel or replace.

use std::collections::VecDeque;

use hashbrown::HashMap;
use jiff::Timestamp;
use parking_lot::Mutex;

use smpp_protocol::pdu::Sm;
use smpp_protocol::{Address, MessageState, Npi, Ton, time};

/// A message as it is remembered.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its number, of which its ids are made.
    pub number: u64,
    /// system_id of the bind that sent it.
    pub account: Box<str>,
    /// Whether it is a broadcast.
    pub broadcast: bool,
    pub service_type: Box<[u8]>,
    pub source: Party,
    pub destination: Party,
    /// The message's octets, from which receipts repeat some.
    pub octets: Vec<u8>,
    pub registered_delivery: u8,
    /// Encoded TLVs that answers repeat.
    pub tlvs: Vec<u8>,
    pub submitted: Timestamp,
    /// When and how it ends; in no state that is final if nobody ever hears of it.
    pub done: Timestamp,
    pub end: Option<MessageState>,
}

/// An address of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    ton: u8,
    npi: u8,
    pub number: Box<[u8]>,
}

impl Party {
    pub(super) fn of(address: &Address<'_>) -> Self {
        Party {
            ton: address.ton.0,
            npi: address.npi.0,
            number: address.number.into(),
        }
    }

    pub(super) fn address(&self) -> Address<'_> {
        Address {
            ton: Ton(self.ton),
            npi: Npi(self.npi),
            number: &self.number,
        }
    }
}

impl Stored {
    /// Its state at this time.
    pub(super) fn state(&self, now: Timestamp) -> MessageState {
        match self.end {
            Some(state) if self.done <= now => state,
            _ => MessageState::Enroute,
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.state(now).is_final()
    }

    /// When it ended, as SMPP writes it; empty before that.
    pub(super) fn final_date(&self, now: Timestamp) -> String {
        match self.is_over(now) {
            true => time::absolute_utc(self.done).unwrap_or_default(),
            false => String::new(),
        }
    }

    /// The submit_sm of it, as far as receipts need it.
    pub(super) fn message(&self) -> Sm<'_> {
        Sm {
            source: self.source.address(),
            destination: self.destination.address(),
            registered_delivery: self.registered_delivery,
            ..Sm::default()
        }
    }
}

/// The newest messages by their id as in responses; those to several recipients share one.
pub(super) struct Store {
    /// How many are kept.
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_id: HashMap<Box<str>, VecDeque<Stored>>,
    oldest: VecDeque<Box<str>>,
}

impl Store {
    pub(super) fn new(most: usize) -> Self {
        Store {
            most,
            kept: Mutex::default(),
        }
    }

    /// Whether anything is kept.
    pub(super) fn keeps(&self) -> bool {
        self.most > 0
    }

    /// Keeps a message and forgets the oldest beyond the most.
    pub(super) fn keep(&self, id: &str, message: Stored) {
        if self.most == 0 {
            return;
        }
        let kept = &mut *self.kept.lock();
        if let Some(same) = kept.by_id.get_mut(id) {
            same.push_back(message);
            // SMSCs that use one id for all must not keep all.
            if same.len() > self.most {
                same.pop_front();
            }
            return;
        }
        kept.by_id.insert(id.into(), [message].into());
        kept.oldest.push_back(id.into());
        if kept.oldest.len() > self.most
            && let Some(oldest) = kept.oldest.pop_front()
        {
            kept.by_id.remove(&oldest);
        }
    }

    /// The messages of an id that this account sent from this number; none if there is no such.
    pub(super) fn find(&self, id: &str, account: &str, source: &[u8]) -> Vec<Stored> {
        let kept = self.kept.lock();
        let own =
            |message: &&Stored| &*message.account == account && *message.source.number == *source;
        let same = kept.by_id.get(id).into_iter().flatten();
        same.filter(own).cloned().collect()
    }

    /// Changes the messages that are chosen and have not ended; those that were changed, with their
    /// ids. With an id only its messages are looked at.
    pub(super) fn change(
        &self,
        id: Option<&str>,
        now: Timestamp,
        chosen: impl Fn(&Stored) -> bool,
        mut change: impl FnMut(&mut Stored),
    ) -> Vec<(Box<str>, Stored)> {
        let mut changed = Vec::new();
        let mut each = |id: &str, messages: &mut VecDeque<Stored>| {
            for message in messages {
                if chosen(message) && !message.is_over(now) {
                    change(message);
                    changed.push((id.into(), message.clone()));
                }
            }
        };
        let mut kept = self.kept.lock();
        match id {
            Some(id) => {
                if let Some(messages) = kept.by_id.get_mut(id) {
                    each(id, messages);
                }
            }
            None => kept.by_id.iter_mut().for_each(|(id, all)| each(id, all)),
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn message(source: &str) -> Stored {
        Stored {
            number: 1,
            account: "a".into(),
            broadcast: false,
            service_type: Box::default(),
            source: Party::of(&Address::parse(source)),
            destination: Party::of(&Address::parse("2")),
            octets: Vec::new(),
            registered_delivery: 0,
            tlvs: Vec::new(),
            submitted: at(0),
            done: at(10),
            end: Some(MessageState::Delivered),
        }
    }

    #[test]
    fn a_message_is_on_its_way_until_it_is_done() {
        let one = message("1");
        assert_eq!(one.state(at(9)), MessageState::Enroute);
        assert_eq!(one.final_date(at(9)), "");
        assert_eq!(one.state(at(10)), MessageState::Delivered);
        assert_eq!(one.final_date(at(10)), "700101000010000+");
        let silent = Stored { end: None, ..one };
        assert_eq!(silent.state(at(99)), MessageState::Enroute);
    }

    #[test]
    fn only_the_newest_are_kept_and_only_their_sender_finds_them() {
        let store = Store::new(2);
        for id in ["x", "y", "y", "y", "z"] {
            store.keep(id, message("1"));
        }
        assert!(store.find("x", "a", b"1").is_empty());
        assert_eq!(store.find("y", "a", b"1").len(), 2);
        assert!(store.find("z", "b", b"1").is_empty());
        assert!(store.find("z", "a", b"2").is_empty());
    }

    #[test]
    fn what_has_ended_is_not_changed() {
        let store = Store::new(2);
        store.keep("x", message("1"));
        let cancel =
            |now| store.change(None, now, |_| true, |m| m.end = Some(MessageState::Deleted));
        assert!(cancel(at(10)).is_empty());
        assert_eq!(cancel(at(9)).len(), 1);
    }
}
