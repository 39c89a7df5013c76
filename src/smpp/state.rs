//! message_state: how far a message has come (SMPP 3.4 §5.2.28, SMPP 5.0 §4.7.15).

use std::fmt;

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MessageState {
    /// Waits for its time.
    Scheduled = 0,
    /// On its way.
    Enroute = 1,
    /// The recipient has it.
    Delivered = 2,
    /// Its validity period ran out.
    Expired = 3,
    /// Somebody deleted it.
    Deleted = 4,
    /// It cannot be delivered.
    Undeliverable = 5,
    /// Somebody or something took it over.
    Accepted = 6,
    /// The SMSC does not know.
    Unknown = 7,
    /// The SMSC or the network refused it.
    Rejected = 8,
    /// The SMSC will not deliver it, on purpose.
    Skipped = 9,
}

impl MessageState {
    /// Every state, by value.
    pub const ALL: [MessageState; 10] = [
        MessageState::Scheduled,
        MessageState::Enroute,
        MessageState::Delivered,
        MessageState::Expired,
        MessageState::Deleted,
        MessageState::Undeliverable,
        MessageState::Accepted,
        MessageState::Unknown,
        MessageState::Rejected,
        MessageState::Skipped,
    ];

    /// The state of a value, as in the message_state TLV.
    pub fn from_value(value: u8) -> Option<MessageState> {
        Self::ALL.get(usize::from(value)).copied()
    }

    /// The state in a message_state TLV, which has one octet (SMPP 3.4 §5.3.2.35). SMSCs that have
    /// the length wrong write a longer number, or the digit as a character: these are read where
    /// they can mean nothing else.
    pub fn from_octets(octets: &[u8]) -> Option<MessageState> {
        match octets {
            [value] if *value <= MessageState::Skipped.value() => Self::from_value(*value),
            [digit @ b'0'..=b'9'] | [digit @ b'0'..=b'9', 0] => Self::from_value(digit - b'0'),
            [0, .., value] if octets.len() <= 4 => {
                let is_one = octets.iter().rev().skip(1).all(|octet| *octet == 0);
                Self::from_value(*value).filter(|_| is_one)
            }
            _ => None,
        }
    }

    /// The value, as in the message_state TLV.
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// The name in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            MessageState::Scheduled => "SCHEDULED",
            MessageState::Enroute => "ENROUTE",
            MessageState::Delivered => "DELIVERED",
            MessageState::Expired => "EXPIRED",
            MessageState::Deleted => "DELETED",
            MessageState::Undeliverable => "UNDELIVERABLE",
            MessageState::Accepted => "ACCEPTED",
            MessageState::Unknown => "UNKNOWN",
            MessageState::Rejected => "REJECTED",
            MessageState::Skipped => "SKIPPED",
        }
    }

    /// The state of a name in the specification, in any case.
    pub fn from_name(name: &str) -> Option<MessageState> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.name().eq_ignore_ascii_case(name))
    }

    /// The word for `stat:` in the text of a receipt (SMPP 3.4 Appendix B), seven letters.
    pub const fn stat(self) -> &'static str {
        match self {
            MessageState::Scheduled => "SCHEDLD",
            MessageState::Enroute => "ENROUTE",
            MessageState::Delivered => "DELIVRD",
            MessageState::Expired => "EXPIRED",
            MessageState::Deleted => "DELETED",
            MessageState::Undeliverable => "UNDELIV",
            MessageState::Accepted => "ACCEPTD",
            MessageState::Unknown => "UNKNOWN",
            MessageState::Rejected => "REJECTD",
            MessageState::Skipped => "SKIPPED",
        }
    }

    /// The state that a word of a receipt means, in any case and with any of `_`, `-`, `.` between
    /// its parts; `None` for words of a vendor's own.
    ///
    /// Only a whole word says that a message arrived or is on its way: names of states, cut short
    /// after five letters or more, and what the field makes of them. A word that merely begins like
    /// one may say the opposite (`DELIVERY_FAILED`). Words that begin like a failure are one, also
    /// behind `DELIVERY` and the like, unless they speak of another try.
    ///
    /// ```
    /// use kafka_smpp::smpp::MessageState;
    ///
    /// assert_eq!(MessageState::from_stat("Delivrd"), Some(MessageState::Delivered));
    /// assert_eq!(MessageState::from_stat("DELIVERY_FAILED"), Some(MessageState::Undeliverable));
    /// assert_eq!(MessageState::from_stat("DELIVERY_PENDING"), None);
    /// ```
    pub fn from_stat(word: &str) -> Option<MessageState> {
        let plain: String = word
            .chars()
            .filter(|c| !matches!(c, '_' | '-' | '.' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let whole = || WORDS.iter().find(|(known, _)| *known == plain);
        named(&plain)
            .or_else(|| whole().map(|(_, state)| *state))
            .or_else(|| failure(&plain))
    }

    /// Whether nothing more is to be expected. ACCEPTED is not final here, although SMPP 5.0 has
    /// it so: many SMSCs report it on the way to DELIVERED.
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            MessageState::Scheduled | MessageState::Enroute | MessageState::Accepted
        )
    }
}

/// Whole words, beside the names of the states and their seven letters: misspelt and short forms
/// from the field, and the delivery states of Parlay X (3GPP TS 29.199-4 §8.1.1).
const WORDS: [(&str, MessageState); 22] = [
    ("DELIVERD", MessageState::Delivered),
    ("DELIVRED", MessageState::Delivered),
    ("DELIVD", MessageState::Delivered),
    ("DELVRD", MessageState::Delivered),
    ("DELVD", MessageState::Delivered),
    ("DLVRD", MessageState::Delivered),
    ("DLVD", MessageState::Delivered),
    ("DELIVERYSUCCESS", MessageState::Delivered),
    ("DELIVERYSUCCESSFUL", MessageState::Delivered),
    ("DELIVEREDTOTERMINAL", MessageState::Delivered),
    ("DELIVEREDTOHANDSET", MessageState::Delivered),
    ("DELIVEREDTONETWORK", MessageState::Enroute),
    ("MESSAGEWAITING", MessageState::Enroute),
    ("BUFFERED", MessageState::Enroute),
    ("BUFFERD", MessageState::Enroute),
    ("BUFFRED", MessageState::Enroute),
    ("ACCEPTED", MessageState::Accepted),
    ("ACCEPTD", MessageState::Accepted),
    ("DELIVERYUNCERTAIN", MessageState::Unknown),
    ("NOTDELIVERED", MessageState::Undeliverable),
    ("NOTDELIVRD", MessageState::Undeliverable),
    ("NONDELIVERED", MessageState::Undeliverable),
];

/// How words begin that say that a message did not arrive, whatever follows.
const FAILURES: [(&str, MessageState); 8] = [
    ("UNDEL", MessageState::Undeliverable),
    ("UNDLV", MessageState::Undeliverable),
    ("FAIL", MessageState::Undeliverable),
    ("IMPOSSIBLE", MessageState::Undeliverable),
    ("EXPIR", MessageState::Expired),
    ("DELET", MessageState::Deleted),
    ("REJEC", MessageState::Rejected),
    ("SKIP", MessageState::Skipped),
];

/// What may stand before those, and says nothing alone.
const SUBJECTS: [&str; 5] = ["DELIVERY", "DELIV", "MESSAGE", "MSG", "SMS"];

/// The least that is left of a name that was cut short.
const SHORTEST: usize = 5;

/// The state whose name or seven letters a word is, or the beginning of them.
fn named(word: &str) -> Option<MessageState> {
    let is_cut = |name: &str| word.len() >= SHORTEST && name.starts_with(word);
    let mut all = MessageState::ALL.into_iter();
    all.find(|state| is_cut(state.name()) || is_cut(state.stat()))
}

/// What a word that tells of a failure says. One that is temporary, or will be tried again, is
/// none: more is to be expected.
fn failure(word: &str) -> Option<MessageState> {
    if ["TEMP", "RETR", "AGAIN"]
        .iter()
        .any(|goes_on| word.contains(goes_on))
    {
        return None;
    }
    let mut subjects = SUBJECTS.iter();
    let bare = subjects.find_map(|subject| word.strip_prefix(subject));
    let begins = |word: &str| {
        let mut failures = FAILURES.iter();
        failures.find(|(beginning, _)| word.starts_with(beginning))
    };
    begins(word)
        .or_else(|| begins(bare?))
        .map(|(_, state)| *state)
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_means_its_state() {
        for state in MessageState::ALL {
            assert_eq!(MessageState::from_stat(state.name()), Some(state));
            assert_eq!(MessageState::from_stat(state.stat()), Some(state));
            assert_eq!(
                MessageState::from_stat(&state.stat().to_lowercase()),
                Some(state)
            );
            assert_eq!(MessageState::from_value(state.value()), Some(state));
        }
        assert_eq!(
            MessageState::from_stat("UNDELIVERED"),
            Some(MessageState::Undeliverable)
        );
        for (word, state) in [
            ("delivered", Some(MessageState::Delivered)),
            ("DELIVER", Some(MessageState::Delivered)),
            ("DELIVERD", Some(MessageState::Delivered)),
            ("DLVRD", Some(MessageState::Delivered)),
            ("DeliveredToTerminal", Some(MessageState::Delivered)),
            ("Delivery-Success", Some(MessageState::Delivered)),
            ("DeliveredToNetwork", Some(MessageState::Enroute)),
            ("EN_ROUTE", Some(MessageState::Enroute)),
            ("Buffered", Some(MessageState::Enroute)),
            ("ACCEPTED", Some(MessageState::Accepted)),
            ("EXPIRED_BY_SMSC", Some(MessageState::Expired)),
            ("FAILED", Some(MessageState::Undeliverable)),
            ("undeliverable_absent", Some(MessageState::Undeliverable)),
            ("REJECTED-SPAM", Some(MessageState::Rejected)),
        ] {
            assert_eq!(MessageState::from_stat(word), state, "{word}");
        }
        assert_eq!(MessageState::from_stat("0"), None, "a vendor's own code");
        assert_eq!(MessageState::from_stat("dél"), None);
        assert_eq!(MessageState::from_value(10), None);
    }

    #[test]
    fn a_state_of_a_wrong_length_is_read_where_it_is_clear() {
        for (octets, state) in [
            (&b"\x02"[..], Some(MessageState::Delivered)),
            (b"\0\0\0\x05", Some(MessageState::Undeliverable)),
            (b"\0\x03", Some(MessageState::Expired)),
            (b"2\0", Some(MessageState::Delivered)),
            (b"8", Some(MessageState::Rejected)),
            (b"", None),
            (b"\x0A", None),
            (b"\0\0\0\0\x02", None),
            (b"\x02\0\0\0", None),
            (b"\0\x01\x02", None),
            (b"22", None),
        ] {
            assert_eq!(MessageState::from_octets(octets), state, "{octets:?}");
        }
    }

    #[test]
    fn a_word_that_begins_like_a_success_is_none() {
        for (word, state) in [
            ("DeliveryImpossible", Some(MessageState::Undeliverable)),
            ("DELIVERY_FAILURE", Some(MessageState::Undeliverable)),
            ("DELIVERYFAILED", Some(MessageState::Undeliverable)),
            ("DELIVFAIL", Some(MessageState::Undeliverable)),
            ("DELIVERY_EXPIRED", Some(MessageState::Expired)),
            ("delivery-rejected", Some(MessageState::Rejected)),
            ("NOT_DELIVERED", Some(MessageState::Undeliverable)),
            ("DeliveryUncertain", Some(MessageState::Unknown)),
            ("DELIVERY", None),
            ("DELIVERING", None),
            ("DELIVERY_TIMEOUT", None),
            ("DELIVERY_PENDING", None),
            ("DELIVERED_LATER", None),
            ("DELIVERY_FAILED_RETRYING", None),
            ("TEMPORARY_FAILURE", None),
            ("FAILED_TEMP", None),
            ("ACCEPTANCE_FAILED", None),
            ("ENROUTE_FAILED", None),
            ("BUFFER_OVERFLOW", None),
            ("SCHEDULER_ERROR", None),
            ("UNKNOWN_SUBSCRIBER", None),
            ("DELI", None),
            ("", None),
        ] {
            assert_eq!(MessageState::from_stat(word), state, "{word}");
        }
    }
}
