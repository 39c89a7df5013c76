//! Which records have their result: records and results joined by what they are called.
//!
//! A result names its record by log id and by where it stood on the cluster that is lost. That
//! place means nothing here: a mirrored log has no gaps where the first one has marks of
//! transactions, deleted and compacted records, and it repeats records after a restart of whatever
//! mirrored it. So records are found by partition and log id.
//!
//! Under one log id there may be more than one record. In the order of the log:
//!
//! - A record with the octets and the timestamp of an earlier one is a **copy**: mirrored twice. It
//!   is not sent.
//! - A record that the connector put back onto its topic (a header names its origin) goes on with the
//!   life of the one before it, whose copies are finished: the transaction that wrote it says so.
//! - A record that `replay` put back begins another life. The one before it had ended, because only
//!   such are replayed.
//! - Any other record begins a life: a producer used the log id again.
//!
//! Each life has one result. Lives that are known to have ended take theirs first; of the others
//! the oldest come next, because a partition is sent in its order. Where a result is missing, the
//! last lives are open.

/// The hash of partition and log id.
pub(super) type Key = [u64; 2];

/// A result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Outcome {
    /// Of what.
    pub key: Key,
    /// Where its record stood when it was first seen, on the cluster that wrote it.
    pub source: i64,
    /// When it ended, in Unix milliseconds.
    pub at: i64,
}

/// A record, or another copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// What it is called.
    pub key: Key,
    /// Where it stands here.
    pub offset: i64,
    /// Its timestamp, in Unix milliseconds.
    pub stamp: i64,
    /// The hash of its key and value, and in its two lowest bits its [`Life`].
    content: u64,
}

/// How a record came onto its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Its producer wrote it.
    First,
    /// The connector put it back, to be sent later.
    GoesOn,
    /// A replay put it back.
    Another,
}

impl Entry {
    pub fn new(key: Key, offset: i64, stamp: i64, content: u64, life: Life) -> Self {
        let bits = match life {
            Life::First => 0,
            Life::GoesOn => 1,
            Life::Another => 2,
        };
        Entry {
            key,
            offset,
            stamp,
            content: content & !3 | bits,
        }
    }

    fn life(&self) -> Life {
        match self.content & 3 {
            0 => Life::First,
            1 => Life::GoesOn,
            _ => Life::Another,
        }
    }

    fn same_content(&self, other: &Entry) -> bool {
        self.content & !3 == other.content & !3
    }
}

/// What came of one log id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// Records without a result: offset and timestamp.
    pub open: Vec<(i64, i64)>,
    /// How many are copies of others.
    pub copies: u64,
    /// Results of one record more than there can be: what was never committed was mirrored, or an
    /// operator had it sent again.
    pub surplus: u64,
    /// Where its record stands here and where it stood, if that is one record with one result.
    pub pair: Option<(i64, i64)>,
    /// The highest place of a record that has a result and is not here.
    pub stray: Option<i64>,
}

/// Joins records with results; both are sorted here. Calls `each` for every log id.
pub(super) fn join(
    entries: &mut [Entry],
    outcomes: &mut Vec<Outcome>,
    mut each: impl FnMut(Key, Group),
) {
    entries.sort_unstable();
    outcomes.sort_unstable();
    // What mirrors at least once may mirror results twice.
    outcomes.dedup();
    let (mut records, mut results) = (&entries[..], &outcomes[..]);
    loop {
        let next = match (records.first(), results.first()) {
            (None, None) => return,
            (Some(record), Some(result)) => record.key.min(result.key),
            (Some(record), None) => record.key,
            (None, Some(result)) => result.key,
        };
        let (of_records, rest) = records.split_at(records.partition_point(|r| r.key <= next));
        records = rest;
        let (of_results, rest) = results.split_at(results.partition_point(|r| r.key <= next));
        results = rest;
        each(next, group(of_records, of_results));
    }
}

/// What came of one log id.
fn group(records: &[Entry], results: &[Outcome]) -> Group {
    let mut found = Group::default();
    if records.is_empty() {
        found.stray = results.iter().map(|result| result.source).max();
        return found;
    }
    // What is under way of each life, and how many lives have ended.
    let mut lives: Vec<Entry> = Vec::new();
    let mut ended = 0;
    for (index, record) in records.iter().enumerate() {
        let is_copy =
            |earlier: &Entry| (earlier.stamp, earlier.content) == (record.stamp, record.content);
        if records[..index].iter().any(is_copy) {
            found.copies += 1;
            continue;
        }
        let before = lives.iter().rposition(|life| life.same_content(record));
        match (record.life(), before) {
            (Life::GoesOn, Some(before)) => {
                lives.remove(before);
            }
            (Life::Another, Some(before)) => {
                lives.remove(before);
                ended += 1;
            }
            _ => {}
        }
        lives.push(*record);
    }
    let left = results.len().saturating_sub(ended);
    found.surplus = left.saturating_sub(lives.len()) as u64;
    let open = lives.iter().skip(left);
    found.open = open.map(|life| (life.offset, life.stamp)).collect();
    if let ([record], [result]) = (records, results) {
        found.pair = Some((record.offset, result.source));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [i64; 0] = [];

    fn record(offset: i64, content: u64, life: Life) -> Entry {
        Entry::new([1, 1], offset, 1000 + offset, content << 2, life)
    }

    fn result(source: i64, at: i64) -> Outcome {
        Outcome {
            key: [1, 1],
            source,
            at,
        }
    }

    fn open(records: &[Entry], results: &[Outcome]) -> Vec<i64> {
        let group = group(records, results);
        group.open.iter().map(|(offset, _)| *offset).collect()
    }

    #[test]
    fn a_record_is_open_until_it_has_a_result() {
        let one = record(5, 1, Life::First);
        assert_eq!(open(&[one], &[]), [5]);
        assert_eq!(open(&[one], &[result(9, 1)]), NONE);
        assert_eq!(group(&[one], &[result(9, 1)]).pair, Some((5, 9)));
        assert_eq!(group(&[], &[result(9, 1), result(11, 2)]).stray, Some(11));
    }

    #[test]
    fn what_was_mirrored_twice_is_not_sent_twice() {
        let copy = Entry {
            offset: 8,
            ..record(5, 1, Life::First)
        };
        let group = group(&[record(5, 1, Life::First), copy], &[]);
        assert_eq!((group.open, group.copies), (vec![(5, 1005)], 1));
    }

    #[test]
    fn a_log_id_used_again_has_as_many_results() {
        let two = [record(5, 1, Life::First), record(8, 2, Life::First)];
        assert_eq!(open(&two, &[]), [5, 8]);
        assert_eq!(open(&two, &[result(6, 1)]), [8]);
        assert_eq!(open(&two, &[result(6, 1), result(9, 2)]), NONE);
        // The same octets at another time are another message.
        let two = [record(5, 1, Life::First), record(8, 1, Life::First)];
        assert_eq!(open(&two, &[result(6, 1)]), [8]);
    }

    #[test]
    fn of_a_record_that_was_put_back_the_last_one_counts() {
        let three = [
            record(5, 1, Life::First),
            record(8, 1, Life::GoesOn),
            record(11, 1, Life::GoesOn),
        ];
        assert_eq!(open(&three, &[]), [11]);
        assert_eq!(open(&three, &[result(5, 1)]), NONE);
        // The first one was deleted by retention.
        assert_eq!(open(&three[1..], &[]), [11]);
    }

    #[test]
    fn a_replayed_record_needs_another_result() {
        let two = [record(5, 1, Life::First), record(8, 1, Life::Another)];
        // The error is not here: that it was replayed says that there was one.
        assert_eq!(open(&two, &[]), [8]);
        assert_eq!(open(&two, &[result(5, 1)]), [8]);
        assert_eq!(open(&two, &[result(5, 1), result(5, 2)]), NONE);
        let three = [two[0], two[1], record(9, 1, Life::GoesOn)];
        assert_eq!(open(&three, &[result(5, 1)]), [9]);
        assert_eq!(open(&three, &[result(5, 1), result(5, 2)]), NONE);
    }

    #[test]
    fn log_ids_are_kept_apart_and_repeated_results_count_once() {
        let of = |key: u64, offset| Entry::new([key, 0], offset, 0, 4, Life::First);
        let mut records = vec![of(3, 30), of(1, 10), of(2, 20), of(2, 21)];
        let outcome = |key: u64, source| Outcome {
            key: [key, 0],
            source,
            at: 7,
        };
        let mut results = vec![
            outcome(4, 44),
            outcome(1, 11),
            outcome(1, 11),
            outcome(1, 12),
        ];
        let mut found = Vec::new();
        join(&mut records, &mut results, |key, group| {
            found.push((key[0], group))
        });
        let keys: Vec<u64> = found.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [1, 2, 3, 4]);
        assert!(found[0].1.open.is_empty() && found[0].1.surplus == 1);
        assert_eq!(found[1].1.open, [(20, 0)]);
        assert_eq!(found[1].1.copies, 1);
        assert_eq!(found[2].1.open, [(30, 0)]);
        assert_eq!(found[3].1.stray, Some(44));
    }
}
