//! A set of offsets as disjoint, non-adjacent ranges.

use std::collections::BTreeMap;

/// Finished offsets above the base. Insertion and look-up cost the logarithm of the number
/// of ranges, which a steadily working partition keeps near its window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// From the first offset of each range to its end, which is exclusive. They neither overlap
    /// nor touch.
    ranges: BTreeMap<i64, i64>,
    /// How many offsets are in all of them.
    len: i64,
}

impl Runs {
    /// Adds `from..to`; `false` if all of it was there already.
    pub fn insert(&mut self, from: i64, to: i64) -> bool {
        let (mut from, mut to) = (from, to);
        if let Some((&start, &end)) = self.ranges.range(..=from).next_back()
            && end >= from
        {
            if end >= to {
                return false;
            }
            from = start;
        }
        while let Some((&start, &end)) = self.ranges.range(from..=to).next() {
            self.ranges.remove(&start);
            self.len -= end - start;
            to = to.max(end);
        }
        self.ranges.insert(from, to);
        self.len += to - from;
        true
    }

    /// Takes `offset` out.
    pub fn remove(&mut self, offset: i64) {
        let Some((&start, &end)) = self.ranges.range(..=offset).next_back() else {
            return;
        };
        if offset >= end {
            return;
        }
        self.ranges.remove(&start);
        for (from, to) in [(start, offset), (offset + 1, end)] {
            if from < to {
                self.ranges.insert(from, to);
            }
        }
        self.len -= 1;
    }

    /// Whether `offset` is in the set.
    pub fn contains(&self, offset: i64) -> bool {
        self.ranges
            .range(..=offset)
            .next_back()
            .is_some_and(|(_, &end)| offset < end)
    }

    /// One past the highest offset in the set.
    pub fn end(&self) -> Option<i64> {
        self.ranges.last_key_value().map(|(_, &end)| end)
    }

    /// Removes the range that starts at `base` and returns its end.
    pub fn take_front(&mut self, base: i64) -> Option<i64> {
        let (&start, &end) = self.ranges.first_key_value()?;
        if start > base {
            return None;
        }
        self.ranges.remove(&start);
        self.len -= end - start;
        Some(end)
    }

    /// How many offsets below `end` are in the set.
    pub fn len_below(&self, end: i64) -> i64 {
        // Work runs at the far end, so what lies above `end` is the short part.
        let mut above = 0;
        for (&start, &stop) in self.ranges.iter().rev() {
            if stop <= end {
                break;
            }
            above += stop - start.max(end);
        }
        self.len - above
    }

    /// The offsets of `from..to` that are not in the set.
    pub fn gaps(&self, from: i64, to: i64) -> impl Iterator<Item = i64> + '_ {
        let mut at = from;
        let mut ranges = self.ranges.iter().peekable();
        std::iter::from_fn(move || {
            while let Some(&(&start, &end)) = ranges.peek() {
                if at < start {
                    break;
                }
                at = at.max(end);
                ranges.next();
            }
            (at < to).then(|| {
                at += 1;
                at - 1
            })
        })
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.ranges.iter().map(|(&s, &e)| (s, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_plain_set(
            ops in prop::collection::vec((0i64..200, 1i64..8), 0..80),
            out in prop::collection::vec(0i64..210, 0..20),
            cut in 0i64..210,
        ) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for (from, n) in ops {
                let fresh = (from..from + n).filter(|&o| set.insert(o)).count();
                prop_assert_eq!(runs.insert(from, from + n), fresh > 0);
            }
            for offset in out {
                runs.remove(offset);
                set.remove(&offset);
            }
            for o in 0..210 {
                prop_assert_eq!(runs.contains(o), set.contains(&o));
            }
            prop_assert_eq!(runs.len_below(cut), set.range(..cut).count() as i64);
            let gaps: Vec<i64> = runs.gaps(0, cut).collect();
            let expected: Vec<i64> = (0..cut).filter(|o| !set.contains(o)).collect();
            prop_assert_eq!(gaps, expected);
            let ranges: Vec<_> = runs.iter().collect();
            prop_assert!(ranges.windows(2).all(|w| w[0].1 < w[1].0), "disjoint and apart: {:?}", ranges);
        }
    }
}
