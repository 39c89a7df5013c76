//! What is committed for a partition, and what is put back onto its topic first, from which of its
//! records have no result.

use crate::kafka::progress::{Limits, Progress};

/// So many records of a partition are in doubt at most, each by a count of its own. What is more is
/// sent as after an operator's reset: flagged, without a count.
const MOST_IN_DOUBT: usize = 50_000;

/// What is known of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The end of its log, exclusive.
    pub end: i64,
    /// Records without a result, in the order of their offsets: offset and timestamp.
    pub open: Vec<(i64, i64)>,
    /// The youngest timestamp of all records.
    pub newest: Option<i64>,
}

/// What becomes of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is committed.
    pub progress: Progress,
    /// What is put back onto its topic first, and whether it may have been sent.
    pub back: Vec<(i64, bool)>,
    /// Records that may have been sent: their `in_doubt` decides.
    pub in_doubt: usize,
    /// Records that are flagged without that.
    pub flagged: usize,
    /// Records that were certainly not sent.
    pub fresh: usize,
}

/// Where a partition goes on. Records younger than `lost_at` (Unix milliseconds) were written when
/// the first cluster was gone.
pub(super) fn plan(known: &Known, lost_at: Option<i64>, limits: Limits) -> Plan {
    let doubtful = |stamp: i64| lost_at.is_none_or(|lost| stamp <= lost);
    let end = finished_end(known);
    let back = known.open.len() - tail_that_fits(&known.open, end, limits).len();
    let (back, open) = known.open.split_at(back);
    let base = open.first().map_or(known.end, |(offset, _)| *offset);
    let mut progress = Progress::new(base);
    let mut next = base;
    for (offset, _) in open {
        progress.finish_range(next, (*offset).min(end));
        next = offset + 1;
    }
    progress.finish_range(next, end);
    let in_doubt: Vec<i64> = open
        .iter()
        .filter(|(_, stamp)| doubtful(*stamp))
        .map(|(offset, _)| *offset)
        .collect();
    let (counted, flagged) = in_doubt.split_at(in_doubt.len().min(MOST_IN_DOUBT));
    counted.iter().for_each(|offset| progress.doubt(*offset));
    if let Some(last) = flagged.last() {
        progress.suspect(last + 1);
    }
    if let Some(newest) = known.newest {
        progress.read(newest);
    }
    let back: Vec<(i64, bool)> = back
        .iter()
        .map(|(offset, stamp)| (*offset, doubtful(*stamp)))
        .collect();
    Plan {
        progress,
        in_doubt: counted.len() + back.iter().filter(|(_, doubtful)| *doubtful).count(),
        flagged: flagged.len(),
        fresh: known.open.len() - in_doubt.len() - back.iter().filter(|(_, d)| *d).count(),
        back,
    }
}

/// Behind the last record that is finished.
fn finished_end(known: &Known) -> i64 {
    let mut end = known.end;
    for (offset, _) in known.open.iter().rev() {
        if *offset + 1 != end {
            break;
        }
        end = *offset;
    }
    end
}

/// As many of the last open records as the metadata has room for, whatever lies between them.
fn tail_that_fits(open: &[(i64, i64)], end: i64, limits: Limits) -> &[(i64, i64)] {
    let inside = open.partition_point(|(offset, _)| *offset < end);
    let fits = |first: usize| {
        let span = end - open[first].0;
        span <= limits.span() || (inside - first) as i64 <= limits.unfinished()
    };
    let first = (0..inside).find(|at| fits(*at)).unwrap_or(inside);
    &open[first..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::progress::{CommitScope, metadata};

    fn known(end: i64, open: impl IntoIterator<Item = i64>) -> Known {
        Known {
            end,
            open: open.into_iter().map(|offset| (offset, offset)).collect(),
            newest: Some(77),
        }
    }

    /// As whoever takes over reads it.
    fn taken_over(plan: &Plan) -> Progress {
        let scope = CommitScope {
            cluster: "c",
            topic: "sms.outbound",
            partition: 0,
        };
        let progress = &plan.progress;
        let line = metadata::encode(progress, &scope, "app.rebuild", 1);
        assert!(line.len() <= Limits::default().metadata, "{}", line.len());
        let mut back = metadata::decode(progress.base(), &line, &scope)
            .unwrap()
            .progress;
        back.take_over(progress.known_end());
        back
    }

    #[test]
    fn what_has_a_result_is_finished_and_the_rest_is_in_doubt() {
        let plan = plan(&known(200, [150, 153, 160]), None, Limits::default());
        let progress = taken_over(&plan);
        assert_eq!(progress.base(), 150);
        let open: Vec<i64> = (150..200).filter(|o| !progress.is_finished(*o)).collect();
        assert_eq!(open, [150, 153, 160]);
        assert_eq!(open.map_attempts(&progress), [1, 1, 1]);
        assert_eq!((plan.in_doubt, plan.fresh, plan.flagged), (3, 0, 0));
        assert_eq!(progress.newest(), Some(77));
    }

    trait Attempts {
        fn map_attempts(&self, progress: &Progress) -> Vec<u8>;
    }

    impl Attempts for Vec<i64> {
        fn map_attempts(&self, progress: &Progress) -> Vec<u8> {
            self.iter().map(|o| progress.attempts(*o)).collect()
        }
    }

    #[test]
    fn what_is_behind_the_last_result_is_not_finished() {
        let plan = plan(&known(103, [100, 101, 102]), None, Limits::default());
        let progress = taken_over(&plan);
        assert_eq!((progress.base(), progress.known_end()), (100, 103));
        assert!((100..110).all(|o| !progress.is_finished(o)));
        let nothing = super::plan(&known(103, []), None, Limits::default());
        assert_eq!(taken_over(&nothing).base(), 103);
    }

    #[test]
    fn what_was_written_after_the_loss_is_new() {
        let plan = plan(&known(200, [150, 153, 160]), Some(153), Limits::default());
        let progress = taken_over(&plan);
        assert_eq!(vec![150, 153, 160].map_attempts(&progress), [1, 1, 0]);
        assert_eq!((plan.in_doubt, plan.fresh), (2, 1));
    }

    #[test]
    fn what_the_metadata_has_no_room_for_is_put_back() {
        // A third of the results is not here: neither bitmap nor runs reach over it.
        let all = known(100_000, (0..60_000).step_by(3));
        let plan = plan(&all, Some(30_000), Limits::default());
        let progress = taken_over(&plan);
        assert!(!plan.back.is_empty());
        let (last, first) = (plan.back.last().unwrap().0, progress.base());
        assert!(last < first && 100_000 - last > Limits::default().span());
        assert_eq!(plan.back[0], (0, true));
        assert_eq!(plan.back.len() + open(&progress, 100_000), 20_000);
        assert_eq!((plan.in_doubt, plan.fresh), (10_001, 9_999));
        // Few of them fit, however far apart they are.
        let few = known(10_000_000, (0..10_000_000).step_by(100_000));
        assert!(super::plan(&few, None, Limits::default()).back.is_empty());
    }

    fn open(progress: &Progress, end: i64) -> usize {
        (progress.base()..end)
            .filter(|o| !progress.is_finished(*o))
            .count()
    }

    #[test]
    fn a_backlog_is_in_doubt_as_far_as_it_can_be_counted_and_flagged_beyond() {
        let plan = plan(&known(200_000, 0..200_000), None, Limits::default());
        let progress = taken_over(&plan);
        assert_eq!((plan.in_doubt, plan.flagged), (50_000, 150_000));
        assert_eq!(progress.attempts(49_999), 1);
        assert_eq!(progress.attempts(50_000), 0);
        assert_eq!(progress.suspect_until(), 200_000);
    }
}
