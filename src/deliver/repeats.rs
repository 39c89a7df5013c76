//! What was delivered and not acknowledged, or not yet: it may come again.

use std::mem;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

/// So many are remembered at least, whatever the buffer.
const LEAST: u64 = 10_000;
/// About what one takes, in octets: eight and one more, in tables that are half empty while they
/// grow, of two generations.
const MARK: u64 = 48;
/// About what one under way takes, in a table that grows: it counts with the octets that are held.
pub(super) const UNDER_WAY: u64 = 64;

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
/// was told otherwise, or nothing (yet).
///
/// Those under way are counted for as long as they are held. Of the others there are two
/// generations: when the younger one is full the older one is forgotten, and it takes its place. So
/// the last ones are remembered, as many as fill one generation at least, and one that comes again
/// and again takes one place.
pub(super) struct Repeats {
    younger: HashSet<u64>,
    older: HashSet<u64>,
    most: usize,
    /// How many copies of each nobody has answered yet.
    under_way: HashMap<u64, u32>,
}

/// One copy that nobody has answered yet, until this is dropped.
pub(super) struct UnderWay {
    repeats: Arc<Mutex<Repeats>>,
    mark: u64,
}

impl UnderWay {
    /// Another copy comes; whether it came before.
    pub(super) fn begin(repeats: &Arc<Mutex<Repeats>>, mark: u64) -> (Self, bool) {
        let mut marks = repeats.lock();
        let known = marks.knows(mark);
        *marks.under_way.entry(mark).or_default() += 1;
        drop(marks);
        let repeats = repeats.clone();
        (UnderWay { repeats, mark }, known)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.repeats.lock().end(self.mark);
    }
}

impl Repeats {
    /// Remembers what goes with a buffer of so many octets.
    pub(super) fn new(buffer: u64) -> Self {
        Repeats {
            younger: HashSet::new(),
            older: HashSet::new(),
            most: usize::try_from(most(buffer)).unwrap_or(usize::MAX),
            under_way: HashMap::new(),
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
        self.under_way.contains_key(&mark)
            || self.younger.contains(&mark)
            || self.older.contains(&mark)
    }

    /// One copy is answered, or nobody will answer it.
    fn end(&mut self, mark: u64) {
        let marks = &mut self.under_way;
        if let Some(copies) = marks.get_mut(&mark) {
            *copies -= 1;
            if *copies == 0 {
                marks.remove(&mark);
            }
        }
        // What a flood took is given back.
        if marks.len() < marks.capacity() / 8 {
            marks.shrink_to(2 * marks.len());
        }
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
    fn what_is_under_way_is_known_until_its_last_copy_ends() {
        let repeats = Arc::new(Mutex::new(Repeats::new(0)));
        let begin = |mark| UnderWay::begin(&repeats, mark);
        let (first, known) = begin(1);
        assert!(!known);
        let (second, known) = begin(1);
        assert!(known);
        drop(first);
        assert!(repeats.lock().knows(1));
        drop(second);
        assert!(!repeats.lock().knows(1));
        let flood: Vec<_> = (0..10_000).map(begin).collect();
        assert!(flood.iter().all(|(_, known)| !known));
        drop(flood);
        let marks = repeats.lock();
        assert!(marks.under_way.is_empty() && marks.under_way.capacity() < 100);
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
