//! What was delivered and not acknowledged: it may come again.

use std::mem;

use hashbrown::HashSet;

/// So many are remembered at least, whatever the buffer.
const LEAST: u64 = 10_000;
/// About what one takes, in octets: eight and one more, in tables that are half empty while they
/// grow, of two generations.
const MARK: u64 = 48;

/// What the marks take that go with a buffer of so many octets.
pub fn repeats_octets(buffer: u64) -> u64 {
    MARK * most(buffer)
}

/// As many as can wait for Kafka at a time: all of them may be refused together, and be offered
/// again together.
fn most(buffer: u64) -> u64 {
    LEAST.max(buffer / super::producer::RECORD)
}

/// PDUs by the checksum of ESME and body, of which Kafka may have a record although the SMSC
/// was told otherwise, or nothing.
///
/// Two generations: when the younger one is full the older one is forgotten, and it takes its
/// place. So the last ones are remembered, as many as fill one generation at least, and one that
/// comes again and again takes one place.
pub(super) struct Repeats {
    younger: HashSet<u64>,
    older: HashSet<u64>,
    most: usize,
}

impl Repeats {
    /// Remembers what goes with a buffer of so many octets.
    pub(super) fn new(buffer: u64) -> Self {
        Repeats {
            younger: HashSet::new(),
            older: HashSet::new(),
            most: usize::try_from(most(buffer)).unwrap_or(usize::MAX),
        }
    }

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
        self.younger.insert(mark);
        if self.younger.len() >= self.most {
            self.older = mem::take(&mut self.younger);
        }
    }

    /// Whether it came before without being acknowledged.
    pub(super) fn knows(&self, mark: u64) -> bool {
        self.younger.contains(&mark) || self.older.contains(&mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_known_and_memory_is_bounded() {
        let mut repeats = Repeats::new(0);
        let mark = Repeats::mark("acme", b"hello");
        assert!(!repeats.knows(mark));
        repeats.remember(mark);
        assert!(repeats.knows(mark));
        assert!(!repeats.knows(Repeats::mark("other", b"hello")));
        let others = |n: std::ops::Range<u64>| n.map(|n| Repeats::mark("acme", &n.to_be_bytes()));
        others(0..LEAST).for_each(|other| repeats.remember(other));
        assert!(repeats.knows(mark), "so many are remembered at least");
        others(LEAST..3 * LEAST).for_each(|other| repeats.remember(other));
        assert!(!repeats.knows(mark));
        assert!(repeats.younger.len() + repeats.older.len() <= 2 * LEAST as usize);
    }

    #[test]
    fn one_that_comes_again_and_again_does_not_push_out_the_others() {
        let mut repeats = Repeats::new(0);
        let (once, often) = (Repeats::mark("acme", b"a"), Repeats::mark("acme", b"b"));
        repeats.remember(once);
        for _ in 0..4 * LEAST {
            repeats.remember(often);
        }
        assert!(repeats.knows(once) && repeats.knows(often));
        assert_eq!(repeats.younger.len(), 2);
    }

    #[test]
    fn all_that_a_buffer_holds_is_remembered() {
        let mut repeats = Repeats::new(64 << 20);
        let marks = |n: u64| Repeats::mark("acme", &n.to_be_bytes());
        let held = (64 << 20) / super::super::producer::RECORD;
        (0..held).for_each(|n| repeats.remember(marks(n)));
        assert!((0..held).all(|n| repeats.knows(marks(n))));
        assert!(repeats_octets(64 << 20) < 8 << 20);
    }
}
