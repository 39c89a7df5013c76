//! message_ids: what SMSCs put into responses, and how differently the same id looks in receipts.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// not use an id twice. With 1 each start uses the same ids again.
    pub first: Option<u64>,
    /// After this number comes the first again, so that ids repeat; one id for all if it is the
    /// first. None: they go on.
    pub last: Option<u64>,
    /// Draws numbers at random from the first (1) to the last (2147483647: 31 bits), so that some
    /// come twice.
    pub random: bool,
}

/// The first and the last of numbers that are limited, where only the other is given.
const LIMITED: (u64, u64) = (1, 0x7fff_ffff);

impl MessageIds {
    /// Why these cannot be.
    pub(super) fn check(&self) -> Result<(), String> {
        let first = self.first.unwrap_or(LIMITED.0);
        match self.last {
            Some(last) if last < first => Err(format!(
                "the last message_id {last} comes before the first, {first}: the last is the \
                 higher, or the same for one id for all"
            )),
            _ => Ok(()),
        }
    }
}

/// A way to write the number of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// None at all.
    Empty,
}

impl Form {
    /// Writes message `number` in this form, into a cleared `to`.
    pub fn write(self, number: u64, to: &mut String) {
        to.clear();
        // Writing to a String cannot fail.
        let _ = match self {
            Form::Empty => Ok(()),
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

/// Numbers messages, for all sessions together: each has a number of its own on this side, from
/// which that in its message_id is made.
pub(super) struct Numbers {
    next: AtomicU64,
    /// The numbers that may stand in ids, if they are limited.
    limited: Option<Limited>,
}

struct Limited {
    first: u64,
    count: u64,
    /// They are drawn, from this seed.
    seed: Option<u64>,
}

/// A number that no message has, as long as there are fewer: for receipts of nobody's messages.
pub(super) const STRAY: std::ops::Range<u64> = 1 << 40..1 << 44;

impl Numbers {
    pub(super) fn new(ids: &MessageIds, seed: Option<u64>) -> Self {
        // Microseconds: no simulator accepts a million messages a second, so its numbers stay
        // behind the clock that the next one starts from.
        let clock = || {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            u64::try_from(since.as_micros()).unwrap_or(1)
        };
        if ids.last.is_none() && !ids.random {
            return Numbers {
                next: AtomicU64::new(ids.first.unwrap_or_else(clock)),
                limited: None,
            };
        }
        let first = ids.first.unwrap_or(LIMITED.0);
        let last = ids.last.unwrap_or(LIMITED.1.max(first));
        let seed = || seed.unwrap_or_else(|| fastrand::u64(..));
        Numbers {
            next: AtomicU64::new(0),
            limited: Some(Limited {
                first,
                count: last.saturating_sub(first).saturating_add(1),
                seed: ids.random.then(seed),
            }),
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The number that stands in the message_id of message `number`.
    pub(super) fn shown(&self, number: u64) -> u64 {
        let Some(limited) = self.limited.as_ref().filter(|_| number < STRAY.start) else {
            return number;
        };
        let place = match limited.seed {
            Some(seed) => scatter(seed ^ scatter(number)),
            None => number,
        };
        limited.first + place % limited.count
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
        let ids = MessageIds {
            first: Some(9),
            ..MessageIds::default()
        };
        let numbers = Numbers::new(&ids, None);
        assert_eq!((numbers.next(), numbers.next()), (9, 10));
        assert_eq!(numbers.shown(9), 9);
    }

    fn shown(ids: &MessageIds, seed: u64, of: usize) -> Vec<u64> {
        let numbers = Numbers::new(ids, Some(seed));
        (0..of).map(|_| numbers.shown(numbers.next())).collect()
    }

    #[test]
    fn limited_numbers_come_again() {
        let ids = |first, last, random| MessageIds {
            first,
            last,
            random,
            ..MessageIds::default()
        };
        assert_eq!(shown(&ids(Some(8), Some(9), false), 1, 5), [8, 9, 8, 9, 8]);
        assert_eq!(shown(&ids(None, Some(3), false), 1, 4), [1, 2, 3, 1]);
        assert_eq!(shown(&ids(Some(7), Some(7), false), 1, 3), [7, 7, 7]);
        let drawn = shown(&ids(None, None, true), 1, 10_000);
        assert!(drawn.iter().all(|n| (1..=0x7fff_ffff).contains(n)));
        assert!(drawn.iter().any(|n| *n > 0x7000_0000));
        assert_eq!(drawn, shown(&ids(None, None, true), 1, 10_000));
        assert_ne!(drawn, shown(&ids(None, None, true), 2, 10_000));
        let few = shown(&ids(Some(1), Some(100), true), 1, 1000);
        let different: std::collections::HashSet<_> = few.iter().collect();
        assert_eq!(different.len(), 100);
        assert!(ids(Some(3), Some(2), false).check().is_err());
        assert!(ids(None, Some(0), false).check().is_err());
        assert!(ids(None, Some(1), false).check().is_ok());
    }

    #[test]
    fn a_stray_number_is_nobodys() {
        let ids = MessageIds {
            last: Some(9999),
            ..MessageIds::default()
        };
        assert_eq!(Numbers::new(&ids, None).shown(STRAY.start), STRAY.start);
    }
}
