//! What is counted and timed of each ESME, by all parts that have to do with it.
//!
//! One [`Meters`] for each ESME as long as the process runs, however often its binds and partitions
//! come and go. Labels have few values: those of SMPP, and names from the configuration. What an SMSC
//! can make up (a command_status of its own) is counted together.

use std::collections::BTreeMap;

use plain_telemetry::{Counter, Histogram};
use smpp_protocol::{MessageState, Status};

use crate::record::event::SendErrorKind;

/// Bounds of what takes milliseconds to a minute, in seconds.
const SHORT: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Bounds of what takes seconds to days.
const LONG: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 259_200.0,
];

plain_telemetry::counters! {
    /// What is counted of one ESME, and has no label besides.
    pub struct Counts, counted by pub Counters {
        /// Messages in doubt that are sent again.
        resent,
        /// Messages in doubt that are not: they end as OUTCOME_UNKNOWN, if no answer comes later.
        not_resent,
        /// Answers that came after the result of their message, and were published beside it.
        late_answers,
        /// Records put back onto their topic.
        put_back,
        /// Receipts published with their message.
        receipts_correlated,
        /// Those of them that may belong to other messages too.
        receipts_ambiguous,
        /// Receipts published without.
        receipts_uncorrelated,
        /// Receipts that came before their message, and waited for it.
        receipts_early,
        /// Messages whose final receipt did not come in time.
        receipts_overdue,
        /// Messages from phones that Kafka has.
        inbound,
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Meters {
    /// What has no label.
    pub counters: Counters,
    /// Answers to submit_sm and the like.
    pub responses: Responses,
    /// Results that Kafka has.
    pub results: Results,
    /// Receipts, by state.
    pub receipts: Receipts,
    /// From a record's append to Kafka until it was handed to a session, of first attempts.
    pub append_to_socket: Histogram,
    /// From there until the SMSC's answer.
    pub submit_to_response: Histogram,
    /// From a record's append to Kafka until its result was committed.
    pub append_to_result: Histogram,
    /// From the submit_sm until its final receipt came.
    pub submit_to_receipt: Histogram,
}

impl Default for Meters {
    fn default() -> Self {
        Meters {
            counters: Counters::default(),
            responses: Responses::default(),
            results: Results::default(),
            receipts: Receipts::default(),
            append_to_socket: Histogram::new(SHORT),
            submit_to_response: Histogram::new(SHORT),
            append_to_result: Histogram::new(SHORT),
            submit_to_receipt: Histogram::new(LONG),
        }
    }
}

/// Answers by command_status.
#[derive(Debug)]
pub struct Responses {
    ok: Counter,
    /// By the specification, in the order of [`Status::ALL`].
    by_status: Box<[Counter]>,
    /// 0x400 to 0x4FF: the SMSC's own.
    vendor: Counter,
    /// What the specification reserves.
    reserved: Counter,
}

impl Default for Responses {
    fn default() -> Self {
        Responses {
            ok: Counter::default(),
            by_status: Status::ALL.iter().map(|_| Counter::default()).collect(),
            vendor: Counter::default(),
            reserved: Counter::default(),
        }
    }
}

impl Responses {
    /// An answer has this command_status.
    pub fn count(&self, status: Status) {
        if status == Status::ROK {
            return self.ok.add(1);
        }
        let place = Status::ALL.iter().position(|known| *known == status);
        let counter = match place.and_then(|place| self.by_status.get(place)) {
            Some(counter) => counter,
            None if (0x400..=0x4FF).contains(&status.0) => &self.vendor,
            None => &self.reserved,
        };
        counter.add(1);
    }

    /// How many there are of each that there are any of.
    pub fn get(&self) -> BTreeMap<String, u64> {
        let known = Status::ALL.iter().zip(&self.by_status);
        let known = known.map(|(status, counter)| (status.name().unwrap_or_default(), counter));
        let others = [
            ("ESME_ROK", &self.ok),
            ("vendor", &self.vendor),
            ("reserved", &self.reserved),
        ];
        some(known.filter(|(name, _)| *name != "ESME_ROK").chain(others))
    }

    /// What there may be any of.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        let known = Status::ALL.iter().filter_map(|status| status.name());
        let known = known.filter(|name| *name != "ESME_ROK");
        ["ESME_ROK"]
            .into_iter()
            .chain(known)
            .chain(["vendor", "reserved"])
    }
}

/// Results by what they say.
#[derive(Debug, Default)]
pub struct Results {
    /// The SMSC took the message.
    pub accepted: Counter,
    /// The SMSC refused it.
    pub refused: Counter,
    errors: [Counter; SendErrorKind::ALL.len()],
}

impl Results {
    /// A record ended as a SendError.
    pub fn failed(&self, kind: SendErrorKind) {
        let place = SendErrorKind::ALL.iter().position(|known| *known == kind);
        if let Some(counter) = place.and_then(|place| self.errors.get(place)) {
            counter.add(1);
        }
    }

    /// How many there are of each.
    pub fn get(&self) -> BTreeMap<String, u64> {
        let errors = SendErrorKind::ALL.iter().map(|kind| kind.name());
        let answered = [("ACCEPTED", &self.accepted), ("REFUSED", &self.refused)];
        some(answered.into_iter().chain(errors.zip(&self.errors)))
    }

    /// What there may be any of.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        let errors = SendErrorKind::ALL.iter().map(|kind| kind.name());
        ["ACCEPTED", "REFUSED"].into_iter().chain(errors)
    }
}

/// Receipts by the state that they say.
#[derive(Debug, Default)]
pub struct Receipts {
    by_state: [Counter; MessageState::ALL.len()],
    /// Their text says none that is known.
    unreadable: Counter,
}

impl Receipts {
    /// A receipt says this.
    pub fn count(&self, state: Option<MessageState>) {
        let place = state.and_then(|state| MessageState::ALL.iter().position(|s| *s == state));
        let counter = place.and_then(|place| self.by_state.get(place));
        counter.unwrap_or(&self.unreadable).add(1);
    }

    /// How many there are of each that there are any of.
    pub fn get(&self) -> BTreeMap<String, u64> {
        let states = MessageState::ALL.iter().map(|state| state.name());
        let unreadable = ("UNREADABLE", &self.unreadable);
        some(states.zip(&self.by_state).chain([unreadable]))
    }

    /// What there may be any of.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        let states = MessageState::ALL.iter().map(|state| state.name());
        states.chain(["UNREADABLE"])
    }
}

/// Those that happened at all.
fn some<'a>(all: impl Iterator<Item = (&'a str, &'a Counter)>) -> BTreeMap<String, u64> {
    all.map(|(name, counter)| (name.to_owned(), counter.get()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_smsc_makes_up_is_counted_together() {
        let responses = Responses::default();
        for status in [0, 0, 0x58, 0x401, 0x4FF, 0x7777_7777] {
            responses.count(Status(status));
        }
        let expected = [
            ("ESME_ROK", 2),
            ("ESME_RTHROTTLED", 1),
            ("reserved", 1),
            ("vendor", 2),
        ];
        assert_eq!(
            responses.get(),
            expected.map(|(name, n)| (name.to_owned(), n)).into()
        );
    }

    #[test]
    fn each_end_of_a_record_has_a_name() {
        let results = Results::default();
        results.accepted.add(3);
        SendErrorKind::ALL
            .iter()
            .for_each(|kind| results.failed(*kind));
        let counted = results.get();
        assert_eq!(counted.len(), SendErrorKind::ALL.len() + 1);
        assert_eq!(counted["ACCEPTED"], 3);
        assert_eq!(counted["OUTCOME_UNKNOWN"], 1);
    }

    #[test]
    fn receipts_are_counted_by_state() {
        let receipts = Receipts::default();
        receipts.count(Some(MessageState::Delivered));
        receipts.count(None);
        let counted = receipts.get();
        assert_eq!((counted["DELIVERED"], counted["UNREADABLE"]), (1, 1));
    }
}
