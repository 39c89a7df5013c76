//! What the join goes by of a correlation entry.

use super::join::{Millis, To, sender_digest};
use crate::record::cbor;
use crate::record::internal::{EntryView, Seen, number};
use crate::record::json::Invalid;
use crate::record::kind::Kind;
use jiff::Timestamp;
use smpp_protocol::address::recipient;

/// What an entry says, as far as the join understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// When it was submitted.
    pub(super) submitted_at: Millis,
    /// How many recipients get a receipt each; `None` if nobody knows.
    pub(super) recipients: Option<u32>,
    /// Who they are.
    pub(super) to: To,
    /// The [`sender_digest()`] of the sender.
    pub(super) sender: u32,
    /// Its user_message_reference.
    pub(super) reference: Option<u16>,
    /// Receipts published.
    pub(super) seen: Vec<Seen>,
    /// When the last one that ends the message was.
    pub(super) final_at: Option<Millis>,
}

impl Facts {
    /// Whether any receipt of it was published.
    pub(super) fn has_receipts(&self) -> bool {
        !self.seen.is_empty() || self.final_at.is_some()
    }

    /// Of an entry in CBOR.
    pub(super) fn of(octets: &[u8]) -> Result<Facts, Invalid> {
        match cbor::value(octets) {
            Some((kind @ Kind::Correlation, fields)) => {
                Ok(cbor::read::<EntryView<'_>>(kind, fields)?.into())
            }
            _ => Err(Invalid::because("no entry in CBOR")),
        }
    }
}

impl From<EntryView<'_>> for Facts {
    fn from(entry: EntryView<'_>) -> Facts {
        Facts {
            submitted_at: entry.submitted_at.as_millisecond(),
            recipients: if entry.lists {
                None
            } else {
                Some(entry.recipients.unwrap_or(1))
            },
            sender: sender_digest(entry.source.and_then(submitted)),
            to: to(&entry),
            reference: entry.reference,
            seen: entry.seen,
            final_at: entry.final_at.map(Timestamp::as_millisecond),
        }
    }
}

/// To whom a message went.
fn to(entry: &EntryView<'_>) -> To {
    let mut numbers = entry.numbers.clone();
    if entry.lists {
        numbers.push(0); // and nobody knows to whom else
    }
    match (numbers.is_empty(), entry.recipients) {
        (false, _) => To::Several(numbers.into()),
        // Of a message to several an earlier version remembers nobody.
        (true, Some(_)) => To::One(0),
        (true, None) => {
            let one = entry.destination.and_then(submitted);
            To::One(one.unwrap_or_default())
        }
    }
}

/// An address as people write it, as a number.
pub(super) fn submitted(written: &str) -> Option<i64> {
    // As nearly all are written: nothing is to be made of it.
    let digits = written.strip_prefix('+').unwrap_or(written);
    if !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return number(digits.as_bytes());
    }
    match recipient(written) {
        Ok(sent) => number(sent.number.as_bytes()),
        Err(_) => number(written.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_the_number_that_is_sent(written in "\\+?[0-9]{1,25}") {
            let sent = match recipient(&written) {
                Ok(sent) => number(sent.number.as_bytes()),
                Err(_) => number(written.as_bytes()),
            };
            prop_assert_eq!(submitted(&written), sent);
        }
    }
}
