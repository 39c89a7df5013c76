//! Partitions that wait, and for what.
//!
//! A partition may wait for long: for a schema, for the end of a predecessor's transaction, for a
//! topic that has fewer partitions, for an operator's word. That is said at once, then again and
//! again for as long as it goes on, more and more rarely, and once more when it is over.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;

use super::group::Partition;
use super::notices::{StandsStill, Waits, WaitsNoLonger};
use crate::codes::ErrorCode;
use crate::repeated::{Line, Times};

/// The partitions of one pipeline that wait.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<Partition, Wait>>);

struct Wait {
    /// What for, in words that stay the same while it lasts.
    what: String,
    /// When it began: its length is said when it is over.
    since: Instant,
    /// Whether it ends only when somebody does something: nothing else says it again.
    stands: bool,
    /// The line about it, with what is known of it now.
    line: Line<String>,
}

/// What a partition waits for.
#[derive(Clone, Copy, Debug)]
pub struct For<'a> {
    /// By which it is explained.
    pub code: ErrorCode,
    /// In words that stay the same while it lasts.
    pub what: &'a str,
}

impl Waiting {
    /// A partition waits. To be called whenever it was tried in vain: `reason` stays the same for as
    /// long as it is the same wait, `why` may change.
    pub fn note(&self, partition: &Partition, reason: For<'_>, why: impl Into<String>) {
        self.add(partition, reason, why.into(), false);
    }

    /// A partition stands still until somebody does what `reason` says.
    pub fn stand(&self, partition: &Partition, reason: For<'_>) {
        self.add(partition, reason, String::new(), true);
    }

    fn add(&self, partition: &Partition, reason: For<'_>, why: String, stands: bool) {
        let what = reason.what;
        let mut all = self.0.lock();
        let same = all.get(partition).filter(|wait| wait.what == what);
        let line = match same {
            Some(wait) => wait.line.clone(),
            None => {
                let wait = Wait::new(partition.clone(), reason, stands);
                let line = wait.line.clone();
                all.insert(partition.clone(), wait);
                line
            }
        };
        // What is written then may take its time.
        drop(all);
        line.note(why);
    }

    /// Says again what stands still. To be called now and then.
    pub fn remind(&self) {
        let lines: Vec<Line<String>> = (self.0.lock().values())
            .filter(|wait| wait.stands)
            .map(|wait| wait.line.clone())
            .collect();
        for line in lines {
            line.note(String::new());
        }
    }

    /// A partition goes on, if it waited.
    pub fn done(&self, partition: &Partition) {
        let waited = self.0.lock().remove(partition);
        if let Some(wait) = waited {
            let seconds = wait.since.elapsed().as_secs();
            WaitsNoLonger { partition, seconds }.emit();
        }
    }

    /// These partitions are not ours any more.
    pub fn forget(&self, partitions: &[Partition]) {
        (self.0.lock()).retain(|partition, _| !partitions.contains(partition));
    }

    /// What each partition that waits waits for.
    pub fn all(&self) -> Vec<(Partition, String)> {
        let all = self.0.lock();
        let what = |(partition, wait): (&Partition, &Wait)| (partition.clone(), wait.what.clone());
        all.iter().map(what).collect()
    }
}

impl Wait {
    fn new(partition: Partition, reason: For<'_>, stands: bool) -> Self {
        let (what, error_code) = (reason.what.to_owned(), reason.code);
        let (since, words) = (Instant::now(), what.clone());
        let line = Line::new(move |times: Times, why: String| {
            let why = Some(why.as_str()).filter(|why| !why.is_empty());
            let seconds = (!times.within.is_zero()).then(|| since.elapsed().as_secs());
            let (words, partition) = (&*words, &partition);
            if stands {
                StandsStill {
                    words,
                    partition,
                    seconds,
                    error_code,
                }
                .emit();
            } else {
                Waits {
                    words,
                    partition,
                    why,
                    seconds,
                    error_code,
                }
                .emit();
            }
        });
        Wait {
            what,
            since,
            stands,
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    fn reason(what: &str) -> For<'_> {
        For {
            code: codes::BUG,
            what,
        }
    }

    fn partition(number: i32) -> Partition {
        Partition {
            topic: "sms.outbound".into(),
            partition: number,
        }
    }

    #[test]
    fn a_wait_is_one_until_it_is_for_something_else() {
        let waiting = Waiting::default();
        waiting.note(&partition(0), reason("a schema"), "number 7");
        waiting.note(&partition(0), reason("a schema"), "number 8");
        waiting.stand(&partition(1), reason("an operator"));
        let since = waiting.0.lock()[&partition(0)].since;
        waiting.note(&partition(0), reason("a schema"), "number 8");
        assert_eq!(waiting.0.lock()[&partition(0)].since, since);
        waiting.note(&partition(0), reason("its predecessor"), "");
        assert_ne!(waiting.0.lock()[&partition(0)].since, since);
        let mut all = waiting.all();
        all.sort();
        assert_eq!(all[0], (partition(0), "its predecessor".to_owned()));
        waiting.done(&partition(0));
        waiting.remind();
        waiting.forget(&[partition(1)]);
        assert_eq!(waiting.all(), []);
    }
}
