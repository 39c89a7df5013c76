//! How long to wait before connecting again.

use std::time::Duration;

use super::options::Reconnect;

/// Counts failures in a row and turns them into waits.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Failures in a row, the latest included.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// After a failure: the wait before the next attempt. Zero while there are hosts that have
    /// not been tried in this round; then twice as long each round, half of it by chance, so that
    /// a thousand binds do not come back in one instant.
    pub fn failed(&mut self, options: &Reconnect, hosts: usize) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let hosts = u32::try_from(hosts.max(1)).unwrap_or(u32::MAX);
        if !self.failures.is_multiple_of(hosts) {
            return Duration::ZERO;
        }
        let round = (self.failures / hosts - 1).min(31);
        let full = options
            .initial
            .get()
            .saturating_mul(1 << round)
            .min(options.max.get());
        jitter(full)
    }

    /// After a session that lived for `lived`: one that outlived the wait before it was a success.
    pub fn lived(&mut self, lived: Duration, options: &Reconnect) {
        let round = self.failures.min(31);
        let earned = options
            .initial
            .get()
            .saturating_mul(1 << round)
            .min(options.max.get());
        if lived >= earned {
            self.failures = 0;
        }
    }
}

/// `full`, of which up to the half is taken away by chance.
pub(super) fn jitter(full: Duration) -> Duration {
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Time;

    fn options() -> Reconnect {
        Reconnect {
            initial: Time::seconds(1),
            max: Time::seconds(60),
            ..Reconnect::default()
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_keep_at_least_half() {
        let mut backoff = Backoff::default();
        for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = backoff.failed(&options(), 1).as_secs_f64();
            let full = f64::from(full);
            assert!((full / 2.0..=full).contains(&wait), "{wait} for {full}");
        }
    }

    #[test]
    fn every_host_is_tried_before_waiting() {
        let mut backoff = Backoff::default();
        let waits: Vec<bool> = (0..6)
            .map(|_| backoff.failed(&options(), 3).is_zero())
            .collect();
        assert_eq!(waits, [true, true, false, true, true, false]);
    }

    #[test]
    fn a_session_that_dies_at_once_does_not_reset_the_wait() {
        let mut backoff = Backoff::default();
        for _ in 0..4 {
            backoff.failed(&options(), 1);
        }
        backoff.lived(Duration::from_secs(2), &options());
        assert_eq!(backoff.failures(), 4);
        backoff.lived(Duration::from_secs(16), &options());
        assert_eq!(backoff.failures(), 0);
    }
}
