//! Pauses between attempts that fail: short at first, longer each time, never the same for two
//! processes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The pauses of one thing that is tried again and again.
#[derive(Debug)]
pub struct Pause {
    /// About the length of the first one.
    first: Duration,
    /// About that of the longest.
    longest: Duration,
    /// Those that follow; none before the first failure.
    next: Option<ExponentialBackoff>,
}

impl Pause {
    /// Pauses that begin with about `first` and double up to about `longest`; chance makes each
    /// up to twice as long.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Pause {
            first,
            longest,
            next: None,
        }
    }

    /// After a failure: how long to wait.
    pub fn grow(&mut self) -> Duration {
        let Pause { first, longest, .. } = *self;
        let next = self.next.get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_min_delay(first)
                .with_max_delay(longest)
                .without_max_times()
                .with_jitter()
                .build()
        });
        next.next().unwrap_or(longest)
    }

    /// After a success: the next failure is the first one.
    pub fn reset(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut pause = Pause::new(Duration::from_millis(20), Duration::from_secs(2));
        for _ in 0..2 {
            for full in [20, 40, 80, 160, 320, 640, 1280, 2000, 2000, 2000] {
                let full = Duration::from_millis(full);
                let next = pause.grow();
                assert!((full..=2 * full).contains(&next), "{next:?} for {full:?}");
            }
            pause.reset();
        }
    }
}
