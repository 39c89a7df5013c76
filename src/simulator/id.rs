//! message_ids: what SMSCs put into responses, and how differently the same id looks in receipts.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How message_ids look. SMSCs number messages and write the number in one base in submit_sm_resp
/// and, often enough, in another in the receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageIds {
    /// In submit_sm_resp.
    pub form: Form,
    /// In receipts; none: as in submit_sm_resp.
    pub receipt: Option<Form>,
    /// Number of the first message; none: from the clock, so that a simulator started again does
    /// not use an id twice.
    pub first: Option<u64>,
}

/// A way to write the number of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Lower-case hexadecimal digits.
    #[default]
    Hex,
    /// Upper-case hexadecimal digits.
    UpperHex,
    /// Decimal digits.
    Decimal,
    /// Decimal digits, with leading zeros to twenty of them.
    Padded,
    /// A UUID, always the same for the same number.
    Uuid,
}

impl Form {
    /// Writes message `number` in this form, into a cleared `to`.
    pub fn write(self, number: u64, to: &mut String) {
        to.clear();
        // Writing to a String cannot fail.
        let _ = match self {
            Form::Hex => write!(to, "{number:x}"),
            Form::UpperHex => write!(to, "{number:X}"),
            Form::Decimal => write!(to, "{number}"),
            Form::Padded => write!(to, "{number:020}"),
            Form::Uuid => {
                let (a, b) = (scatter(number), scatter(!number));
                write!(
                    to,
                    "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                    a >> 32,
                    a >> 16 & 0xffff,
                    a & 0xfff,
                    b >> 48 & 0x3fff | 0x8000,
                    b & 0xffff_ffff_ffff
                )
            }
        };
    }
}

/// The finaliser of SplitMix64: a bijection, so different numbers make different ids.
fn scatter(number: u64) -> u64 {
    let a = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ b >> 31
}

/// Numbers messages, for all sessions together.
pub(super) struct Numbers {
    next: AtomicU64,
}

impl Numbers {
    pub(super) fn new(ids: &MessageIds) -> Self {
        // Microseconds: no simulator accepts a million messages a second, so its numbers stay
        // behind the clock that the next one starts from.
        let clock = || {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            u64::try_from(since.as_micros()).unwrap_or(1)
        };
        Numbers {
            next: AtomicU64::new(ids.first.unwrap_or_else(clock)),
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form, number: u64) -> String {
        let mut text = String::new();
        form.write(number, &mut text);
        text
    }

    #[test]
    fn one_number_in_every_form() {
        assert_eq!(written(Form::Hex, 48879), "beef");
        assert_eq!(written(Form::UpperHex, 48879), "BEEF");
        assert_eq!(written(Form::Decimal, 48879), "48879");
        assert_eq!(written(Form::Padded, 48879), "00000000000000048879");
    }

    #[test]
    fn uuids_have_their_shape_and_differ() {
        let ids: std::collections::HashSet<String> =
            (0..1000).map(|n| written(Form::Uuid, n)).collect();
        assert_eq!(ids.len(), 1000);
        for id in &ids {
            let lengths: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }

    #[test]
    fn numbers_count_up_from_the_first() {
        let numbers = Numbers::new(&MessageIds {
            first: Some(9),
            ..MessageIds::default()
        });
        assert_eq!((numbers.next(), numbers.next()), (9, 10));
    }
}
