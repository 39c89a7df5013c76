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

    /// The state that a word of a receipt means, whatever its spelling; `None` for words of a
    /// vendor's own.
    pub fn from_stat(word: &str) -> Option<MessageState> {
        const BEGINNINGS: [(&str, MessageState); 14] = [
            ("DELIV", MessageState::Delivered),
            ("DLVRD", MessageState::Delivered),
            ("UNDEL", MessageState::Undeliverable),
            ("FAIL", MessageState::Undeliverable),
            ("EXPIR", MessageState::Expired),
            ("DELET", MessageState::Deleted),
            ("ACCEP", MessageState::Accepted),
            ("UNKNO", MessageState::Unknown),
            ("REJEC", MessageState::Rejected),
            ("ENROU", MessageState::Enroute),
            ("EN_ROU", MessageState::Enroute),
            ("BUFFE", MessageState::Enroute),
            ("SCHED", MessageState::Scheduled),
            ("SKIP", MessageState::Skipped),
        ];
        let begins = |beginning: &str| {
            word.get(..beginning.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
        };
        BEGINNINGS
            .iter()
            .find(|(beginning, _)| begins(beginning))
            .map(|(_, state)| *state)
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
        assert_eq!(MessageState::from_stat("0"), None, "a vendor's own code");
        assert_eq!(MessageState::from_stat("dél"), None);
        assert_eq!(MessageState::from_value(10), None);
    }
}
