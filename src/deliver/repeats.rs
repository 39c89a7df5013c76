//! What was delivered and not acknowledged: it may come again.

use std::collections::BTreeMap;

use hashbrown::HashMap;

/// So many are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 10_000;
/// About what that takes, in octets.
pub const REPEATS: u64 = 100 * REMEMBERED as u64;

/// PDUs by the checksum of ESME and body, of which Kafka may have a record although the SMSC
/// was told otherwise, or nothing.
#[derive(Default)]
pub(super) struct Repeats {
    /// The place of each in `order`: one that comes again and again has one.
    places: HashMap<u64, u64>,
    /// The one that was remembered longest ago is the first.
    order: BTreeMap<u64, u64>,
    next: u64,
}

impl Repeats {
    /// The mark of a PDU: the same for a repeat, which differs in its sequence number only.
    pub(super) fn mark(esme: &str, body: &[u8]) -> u64 {
        // Two checksums of different octets make one that does not collide by chance.
        let mut with_name = crc32fast::Hasher::new();
        with_name.update(esme.as_bytes());
        with_name.update(&[0]);
        with_name.update(body);
        u64::from(crc32fast::hash(body)) << 32 | u64::from(with_name.finalize())
    }

    /// It was not acknowledged, or nobody knows whether it was.
    pub(super) fn remember(&mut self, mark: u64) {
        self.next += 1;
        if let Some(before) = self.places.insert(mark, self.next) {
            self.order.remove(&before);
        }
        self.order.insert(self.next, mark);
        if self.order.len() > REMEMBERED
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.places.remove(&oldest);
        }
    }

    /// Whether it came before without being acknowledged.
    pub(super) fn knows(&self, mark: u64) -> bool {
        self.places.contains_key(&mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_known_and_memory_is_bounded() {
        let mut repeats = Repeats::default();
        let mark = Repeats::mark("acme", b"hello");
        assert!(!repeats.knows(mark));
        repeats.remember(mark);
        assert!(repeats.knows(mark));
        assert!(!repeats.knows(Repeats::mark("other", b"hello")));
        for i in 0..REMEMBERED as u32 {
            repeats.remember(Repeats::mark("acme", &i.to_be_bytes()));
        }
        assert!(!repeats.knows(mark));
        assert_eq!(repeats.places.len(), REMEMBERED);
        assert_eq!(repeats.order.len(), REMEMBERED);
    }

    #[test]
    fn one_that_comes_again_and_again_does_not_push_out_the_others() {
        let mut repeats = Repeats::default();
        let (once, often) = (Repeats::mark("acme", b"a"), Repeats::mark("acme", b"b"));
        repeats.remember(once);
        for _ in 0..2 * REMEMBERED {
            repeats.remember(often);
        }
        assert!(repeats.knows(once) && repeats.knows(often));
        assert_eq!((repeats.places.len(), repeats.order.len()), (2, 2));
    }
}
