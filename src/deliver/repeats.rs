//! What was delivered and not acknowledged: it may come again.

use std::collections::VecDeque;

use hashbrown::HashMap;

/// So many are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 10_000;

/// PDUs by the checksum of ESME and body, of which Kafka may have a record although the SMSC
/// was told otherwise, or nothing.
#[derive(Default)]
pub(super) struct Repeats {
    /// How often each is in the queue.
    pending: HashMap<u64, usize>,
    order: VecDeque<u64>,
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
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
        }
        self.order.push_back(mark);
        *self.pending.entry(mark).or_insert(0) += 1;
    }

    /// Whether it came before without being acknowledged.
    pub(super) fn knows(&self, mark: u64) -> bool {
        self.pending.contains_key(&mark)
    }

    fn forget(&mut self, mark: u64) {
        if let Some(count) = self.pending.get_mut(&mark) {
            *count -= 1;
            if *count == 0 {
                self.pending.remove(&mark);
            }
        }
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
        assert_eq!(repeats.pending.len(), REMEMBERED);
    }
}
