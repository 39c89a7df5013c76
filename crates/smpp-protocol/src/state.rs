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

    /// The state that a word of a receipt means, in any case and with any signs between its parts;
    /// `None` for words of a vendor's own, after which anything may follow.
    ///
    /// Whole words first: names of states, cut short after five letters or more, and what the
    /// field makes of them. Else the parts of the word decide, which signs, figures and capital
    /// letters set apart:
    ///
    /// - it is a success only if each part speaks of one (`DELIVERED_TO_HANDSET`): a word that
    ///   merely begins like it may say the opposite (`DELIVERED_LATER`). What another system on the
    ///   way has is not delivered (`DELIVERED_TO_SMSC`), but [`Enroute`](Self::Enroute);
    /// - it is a failure if it begins like one, also behind `DELIVERY` and the like
    ///   (`FAILED_ABSENT_SUBSCRIBER`), unless one of the parts speaks of what is still to come
    ///   (`FAILED_PENDING`, `UNDELIVERED_RETRYING`). Tries that are used up are not still to come
    ///   (`EXPIRED_RETRIES_EXHAUSTED`).
    ///
    /// ```
    /// use smpp_protocol::MessageState;
    ///
    /// assert_eq!(MessageState::from_stat("Delivrd"), Some(MessageState::Delivered));
    /// assert_eq!(MessageState::from_stat("DELIVERY_FAILED"), Some(MessageState::Undeliverable));
    /// assert_eq!(MessageState::from_stat("DELIVERY_PENDING"), None);
    /// ```
    pub fn from_stat(word: &str) -> Option<MessageState> {
        // What nearly all receipts say costs no allocation.
        let usual = |state: &MessageState| state.stat().eq_ignore_ascii_case(word);
        if let Some(state) = Self::ALL.into_iter().find(usual) {
            return Some(state);
        }
        let plain: String = word
            .chars()
            .filter(|c| !matches!(c, '_' | '-' | '.' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let whole = || WORDS.iter().find(|(known, _)| *known == plain);
        named(&plain)
            .or_else(|| whole().map(|(_, state)| *state))
            .or_else(|| of_parts(&parts(word)))
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
/// from the field.
const WORDS: [(&str, MessageState); 13] = [
    ("DELIVERD", MessageState::Delivered),
    ("DELIVRED", MessageState::Delivered),
    ("DELIVD", MessageState::Delivered),
    ("DELVRD", MessageState::Delivered),
    ("DELVD", MessageState::Delivered),
    ("DLVRD", MessageState::Delivered),
    ("DLVD", MessageState::Delivered),
    ("MESSAGEWAITING", MessageState::Enroute),
    ("BUFFERED", MessageState::Enroute),
    ("BUFFERD", MessageState::Enroute),
    ("BUFFRED", MessageState::Enroute),
    ("ACCEPTD", MessageState::Accepted),
    ("DELIVERYUNCERTAIN", MessageState::Unknown),
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

/// What begins like these, and is none.
const NO_FAILURES: &[&str] = &["FAILOVER", "FAILBACK", "FAILSAFE", "UNDELET", "EXPIRES"];

/// What may stand before what became of a message, and says nothing alone.
const SUBJECTS: &[&str] = &[
    "DELIVERY",
    "DELIVER",
    "DELIV",
    "MESSAGE",
    "MSG",
    "SMS",
    "FINAL",
    "FINALLY",
    "PERM",
    "PERMANENT",
    "PERMANENTLY",
];

/// What stands before `DELIVERED` and makes it the opposite.
const NEGATIONS: &[&str] = &["NOT", "NON", "UN", "NEVER"];

/// Beside `DELIVERED`, what these may stand before.
const DELIVERABLE: &str = "DELIVERABLE";

/// A message that arrived. The names of the state are [whole words](named).
const DELIVERED: &[&str] = &[
    "DELIVERED",
    "DELIVRD",
    "DELIVERD",
    "DELIVRED",
    "DELIVD",
    "DELVRD",
    "DELVD",
    "DLVRD",
    "DLVD",
];

/// What makes a success of `DELIVERY`.
const SUCCESS: &[&str] = &[
    "SUCCESS",
    "SUCCESSFUL",
    "SUCCESSFULLY",
    "SUCCEEDED",
    "OK",
    "CONFIRMED",
    "COMPLETE",
    "COMPLETED",
];

/// Who has a message that arrived: the phone, or whoever holds it.
const RECIPIENTS: &[&str] = &[
    "HANDSET",
    "TERMINAL",
    "PHONE",
    "MOBILE",
    "DEVICE",
    "MS",
    "UE",
    "SIM",
    "RECIPIENT",
    "SUBSCRIBER",
    "USER",
    "DESTINATION",
];

/// Who has it on the way: that a message is delivered to the network is one of the delivery states
/// of Parlay X (3GPP TS 29.199-4 §8.1.1), beside that it is delivered to the terminal.
const ON_THE_WAY: &[&str] = &[
    "NETWORK",
    "SMSC",
    "SMSCS",
    "OPERATOR",
    "CARRIER",
    "GATEWAY",
    "PROVIDER",
    "SUPPLIER",
    "AGGREGATOR",
    "SERVER",
    "UPSTREAM",
];

/// How parts begin that say that more is to come.
const STILL_TO_COME: &[&str] = &[
    "PENDING",
    "TEMPOR",
    "TRANSIENT",
    "RETRYING",
    "TRYING",
    "REATTEMPT",
    "REQUEUE",
    "RESCHEDULE",
    "RESEND",
    "DEFERRED",
];

/// Parts that say so only whole: `TEMPLATE` and `AGAINST` do not.
const STILL_TO_COME_WHOLE: &[&str] = &["TEMP", "TMP", "YET", "AGAIN", "LATER", "WILL", "QUEUED"];

/// Another try, unless it is said that there is none.
const ANOTHER_TRY: &[&str] = &["RETRY", "RETRIES", "RETRIED", "RETRYABLE", "RETRIABLE"];

/// What says so right before it: `MAX_RETRIES`.
const NO_OTHER: &[&str] = &[
    "MAX",
    "MAXIMUM",
    "NO",
    "NOT",
    "NON",
    "MORE",
    "OF",
    "AFTER",
    "LAST",
    "ALL",
    "WITHOUT",
    "EXHAUSTED",
];

/// How parts begin that say so anywhere behind it: `RETRY_COUNT_EXCEEDED`.
const USED_UP: &[&str] = &[
    "EXHAUST", "LIMIT", "EXCEED", "REACH", "OVER", "EXPIR", "ENDED", "FAIL",
];

/// The least that is left of a name that was cut short.
const SHORTEST: usize = 5;

/// The state whose name or seven letters a word is, or the beginning of them.
fn named(word: &str) -> Option<MessageState> {
    let is_cut = |name: &str| word.len() >= SHORTEST && name.starts_with(word);
    let mut all = MessageState::ALL.into_iter();
    all.find(|state| is_cut(state.name()) || is_cut(state.stat()))
}

/// The parts of a word in upper case, as signs, figures and capital letters set them apart
/// (`FAILED_2`, `DeliveredToTerminal`), and without any where one known word stands right behind
/// another (`DELIVERYFAILED`).
fn parts(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = None;
    for character in word.chars() {
        let is_hump = character.is_uppercase() && before.is_some_and(char::is_lowercase);
        let is_figure = |c: char| c.is_ascii_digit();
        let turns = before.is_some_and(|before| is_figure(before) != is_figure(character));
        if is_hump || turns || !character.is_alphanumeric() {
            parts.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(part) = parts.last_mut()
        {
            part.push(character.to_ascii_uppercase());
        }
        before = Some(character);
    }
    let parts = parts.iter().filter(|part| !part.is_empty());
    parts.flat_map(|part| unglued(part)).collect()
}

/// What ends before the next word of those that stand together without a sign. The longer ones
/// come first.
const GLUED: &[&str] = &[
    "UNDELIVERABLE",
    "UNDELIVERED",
    "IMPOSSIBLE",
    "DELIVERED",
    "DELIVERY",
    "DELETED",
    "EXPIRED",
    "FAILURE",
    "MESSAGE",
    "REJECTED",
    "SKIPPED",
    "UNDELIV",
    "DELIVRD",
    "REJECTD",
    "DELIVER",
    "FAILED",
    "DELIV",
    "FAIL",
    "MAX",
    "MSG",
    "NON",
    "NOT",
    "SMS",
    "TO",
];

fn unglued(part: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), part);
    let is_whole = |rest: &str| {
        let mut wholes = [NO_FAILURES, DELIVERED, ON_THE_WAY, RECIPIENTS].into_iter();
        rest == DELIVERABLE || wholes.any(|words| words.contains(&rest))
    };
    while !is_whole(rest)
        && let Some(word) = GLUED.iter().find(|word| rest.starts_with(**word))
    {
        words.push((*word).to_owned());
        rest = &rest[word.len()..];
    }
    if !rest.is_empty() {
        words.push(rest.to_owned());
    }
    words
}

/// What the parts of a word say together.
fn of_parts(parts: &[String]) -> Option<MessageState> {
    success(parts).or_else(|| failure(parts))
}

/// A message that arrived, or got as far as another system, if each part speaks of it.
fn success(parts: &[String]) -> Option<MessageState> {
    let is_any = |words: &[&str]| parts.iter().any(|part| words.contains(&&**part));
    let known = [
        DELIVERED,
        SUCCESS,
        RECIPIENTS,
        ON_THE_WAY,
        SUBJECTS,
        &["TO", "THE"],
    ];
    let is_known = |part: &String| known.iter().any(|words| words.contains(&&**part));
    let is_delivered = is_any(DELIVERED) || is_any(&["DELIVERY", "DELIV"]) && is_any(SUCCESS);
    if !(is_delivered && parts.iter().all(is_known)) {
        return None;
    }
    if is_any(ON_THE_WAY) {
        Some(MessageState::Enroute)
    } else {
        Some(MessageState::Delivered)
    }
}

/// What a word that tells of a failure says; of one after which more is to be expected nothing.
fn failure(parts: &[String]) -> Option<MessageState> {
    let is_subject = |part: &&String| SUBJECTS.contains(&&***part);
    let subjects = parts.iter().take_while(is_subject).count();
    let told = parts.get(subjects..).unwrap_or_default();
    let begin = told.concat();
    let is_none = NO_FAILURES.iter().any(|word| begin.starts_with(word));
    let goes_on = told.first().is_some_and(|part| part.ends_with("ING"));
    if is_none || goes_on || is_still_to_come(parts) {
        return None;
    }
    let mut failures = FAILURES.iter();
    let failure = failures.find(|(word, _)| begin.starts_with(word));
    let is_negated = || match told {
        [not, delivered, ..] => {
            NEGATIONS.contains(&&**not)
                && (DELIVERED.contains(&&**delivered) || delivered == DELIVERABLE)
        }
        _ => false,
    };
    let negated = || is_negated().then_some(MessageState::Undeliverable);
    failure.map(|(_, state)| *state).or_else(negated)
}

/// Whether the SMSC goes on with the message, or will.
fn is_still_to_come(parts: &[String]) -> bool {
    let begins = |part: &str, words: &[&str]| words.iter().any(|word| part.starts_with(word));
    let is_letters = |part: &&String| !part.starts_with(|c: char| c.is_ascii_digit());
    let parts: Vec<&str> = parts.iter().filter(is_letters).map(|p| &**p).collect();
    parts.iter().enumerate().any(|(at, part)| {
        let (before, after) = (&parts[..at], parts.get(at + 1..).unwrap_or_default());
        let is_no_other = before.last().is_some_and(|part| NO_OTHER.contains(part));
        let is_used_up = after.iter().any(|part| begins(part, USED_UP));
        begins(part, STILL_TO_COME)
            || STILL_TO_COME_WHOLE.contains(part)
            || ANOTHER_TRY.contains(part) && !(is_no_other || is_used_up)
    })
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
            ("DELIVERED_PENDING", None),
            ("DELIVERED_NOT_CONFIRMED", None),
            ("DELIVERED_0", None),
            ("DELIVERED_FAILED", None),
            ("TO_BE_DELIVERED", None),
            ("SUCCESS", None),
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
    #[test]
    fn a_failure_is_one_whatever_letters_its_cause_has() {
        use MessageState::{Deleted, Expired, Rejected, Undeliverable};
        for (word, state) in [
            ("DELIVER_FAILED", Undeliverable),
            ("FAILED_MAX_ATTEMPTS", Undeliverable),
            ("FAILEDMAXATTEMPTS", Undeliverable),
            ("FailedMaxAttempts", Undeliverable),
            ("EXPIRED_RETRIES_EXHAUSTED", Expired),
            ("UNDELIVERABLE_RETRY_LIMIT", Undeliverable),
            ("FAILED_AFTER_3_RETRIES", Undeliverable),
            ("FAILED_RETRY_COUNT_EXCEEDED", Undeliverable),
            ("FAILED_NO_MORE_RETRIES", Undeliverable),
            ("REJECTED_NOT_RETRYABLE", Rejected),
            ("REJECTED_TEMPLATE_MISMATCH", Rejected),
            ("UNDELIVERED_RETRIEVAL", Undeliverable),
            ("REJECTED_AGAINST_POLICY", Rejected),
            ("DELETED_BY_USER", Deleted),
            ("REJECTED_NO_ROUTING", Rejected),
            ("PERMANENT_FAILURE", Undeliverable),
            ("MESSAGE_DELIVERY_FAILED", Undeliverable),
            ("UN_DELIVERED", Undeliverable),
            ("UnDelivered", Undeliverable),
            ("NON-DELIVERABLE", Undeliverable),
            ("NOT_DELIVRD", Undeliverable),
            ("NOTDELIVERED", Undeliverable),
            ("EXPIRED_DLR_UNKNOWN", Expired),
        ] {
            assert_eq!(MessageState::from_stat(word), Some(state), "{word}");
        }
    }

    #[test]
    fn a_failure_after_which_more_is_to_come_says_nothing_final() {
        for word in [
            "FAILED_PENDING",
            "FAILEDPENDING",
            "FailedPending",
            "UNDELIVERED_PENDING",
            "PENDING_FAILED",
            "FAILOVER",
            "FAIL_OVER",
            "FAILOVER_ROUTE",
            "FAILED_RETRY",
            "FAILED_RETRYING_AFTER_LIMIT",
            "FAILED_NO_ANSWER_RETRY",
            "DELIVERYFAILEDRETRYING",
            "FAILED_WILL_RETRY_LIMIT",
            "REJECTED_LIMIT_RETRY_LATER",
            "UNDELIVERABLE_TEMPORARILY",
            "UNDELIV_TEMP",
            "NOT_DELIVERED_YET",
            "NOT_FAILED",
            "DELETING",
            "EXPIRES_SOON",
            "UNDELETED",
        ] {
            assert_eq!(MessageState::from_stat(word), None, "{word}");
        }
    }

    #[test]
    fn a_message_is_delivered_when_its_recipient_has_it() {
        use MessageState::{Delivered, Enroute};
        for (word, state) in [
            ("DELIVERED_OK", Delivered),
            ("DELIVRD_OK", Delivered),
            ("DELIVERED_SUCCESSFULLY", Delivered),
            ("SUCCESSFULLY_DELIVERED", Delivered),
            ("DELIVERY_SUCCESS", Delivered),
            ("DeliverySuccessful", Delivered),
            ("DELIVERYSUCCESS", Delivered),
            ("DELIVERY_OK", Delivered),
            ("DELIVERED_TO_HANDSET", Delivered),
            ("DELIVEREDTOHANDSET", Delivered),
            ("DELIVERED_TO_MOBILE_PHONE", Delivered),
            ("MESSAGE_DELIVERED", Delivered),
            ("DELIVERED_TO_SMSC", Enroute),
            ("DELIVEREDTOSMSC", Enroute),
            ("DELIVERED_TO_OPERATOR", Enroute),
            ("DELIVERED_TO_MOBILE_NETWORK", Enroute),
            ("SMS_DELIVERED_TO_CARRIER_OK", Enroute),
        ] {
            assert_eq!(MessageState::from_stat(word), Some(state), "{word}");
        }
    }
}
