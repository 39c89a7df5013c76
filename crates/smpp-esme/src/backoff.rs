//! How long to wait before connecting again.

use std::time::Duration;

use super::options::Reconnect;

/// Counts failures in a row and turns them into waits.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// What the last wait was, before chance took some of it.
    wait: Duration,
    /// How careful the next session begins.
    caution: Caution,
}

/// How careful a session begins, after what sessions before it were worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Caution {
    /// With a few messages.
    #[default]
    Usual,
    /// With one, at once, and no more for a while: the session before ended too early, but it
    /// answered. So what goes out gets through an SMSC that ends all of its sessions early.
    One,
    /// With none for a while, then one: messages of the session before got no answer.
    Hold,
}

/// What is said of a session when it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// How long it was bound.
    pub lived: Duration,
    /// Messages that went out.
    pub sent: u64,
    /// Messages that were answered, in time or late.
    pub answered: u64,
}

impl Life {
    /// Whether any message was answered, if any went out.
    pub fn answers(&self) -> bool {
        self.answered > 0 || self.sent == 0
    }
}

impl Backoff {
    /// Failures in a row, the latest included.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How careful the next session begins.
    pub fn caution(&self) -> Caution {
        self.caution
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
        let full = options.initial.get().saturating_mul(1 << round);
        self.wait = full.min(options.max.get());
        jitter(self.wait)
    }

    /// After a session: whether it was a success. To be bound is none: an SMSC in maintenance, or
    /// what stands before it, may take every bind and end it, or take every message and answer
    /// none. A session that outlived the wait before it and [`Reconnect::well`], and answered if
    /// it was asked, makes a new beginning. What another is worth, whoever knows why it ended says.
    pub fn ended(&mut self, life: &Life, options: &Reconnect) -> bool {
        let lasted = life.lived >= self.wait.max(options.well());
        let success = lasted && life.answers();
        if success {
            *self = Backoff::default();
        }
        success
    }

    /// After a session that was the SMSC's failure: it is trusted with little until the next
    /// success.
    pub fn distrust(&mut self, life: &Life) {
        self.caution = match (life.sent, life.answered) {
            // It showed nothing new.
            (0, _) if self.caution == Caution::Hold => Caution::Hold,
            (1.., 0) => Caution::Hold,
            _ => Caution::One,
        };
    }
}

/// `full`, of which up to the half is taken away by chance.
pub(super) fn jitter(full: Duration) -> Duration {
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// When something comes after `wait`, for people: `at once`, `in 250 ms`, `in 1.3 s`, `in 5 min`.
pub(super) fn after(wait: Duration) -> String {
    match length(wait) {
        length if wait >= Duration::from_millis(1) => format!("in {length}"),
        _ => "at once".into(),
    }
}

/// A length of time, for people.
pub(super) fn length(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    // Each unit begins where the one before would be rounded up to it.
    if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 119.5 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    fn options() -> Reconnect {
        Reconnect {
            initial: Time::seconds(1),
            max: Time::seconds(60),
            ..Reconnect::default()
        }
    }

    fn life(seconds: f64, sent: u64, answered: u64) -> Life {
        Life {
            lived: Duration::from_secs_f64(seconds),
            sent,
            answered,
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
    fn a_bind_that_is_taken_and_ended_again_waits_ever_longer() {
        for hosts in [1, 2, 3] {
            let mut backoff = Backoff::default();
            let mut binds = 0;
            let mut time = Duration::ZERO;
            while time < Duration::from_secs(60) {
                binds += 1;
                time += Duration::from_millis(200);
                backoff.ended(&life(0.2, 10, 3), &options());
                time += backoff.failed(&options(), hosts);
            }
            assert!(binds <= 8 * hosts, "{binds} binds with {hosts} hosts");
        }
    }

    #[test]
    fn a_success_lasts_longer_than_the_wait_before_it_and_answers() {
        for (failures, session, success) in [
            (0, life(0.2, 0, 0), false),
            (0, life(9.0, 5, 5), false),
            (0, life(11.0, 0, 0), true),
            (0, life(11.0, 5, 1), true),
            (0, life(11.0, 5, 0), false),
            (0, life(86_400.0, 1, 0), false),
            (6, life(31.0, 5, 5), false),
            (6, life(32.0, 5, 5), true),
        ] {
            let mut backoff = Backoff::default();
            for _ in 0..failures {
                backoff.failed(&options(), 1);
            }
            assert_eq!(backoff.ended(&session, &options()), success, "{session:?}");
            let left = if success { 0 } else { failures };
            assert_eq!(backoff.failures(), left, "{session:?}");
        }
    }

    #[test]
    fn the_next_session_is_as_careful_as_the_last_was_bad() {
        let mut backoff = Backoff::default();
        let mut after = |life: Life| {
            backoff.distrust(&life);
            backoff.caution()
        };
        assert_eq!(after(life(0.2, 0, 0)), Caution::One);
        assert_eq!(after(life(0.2, 9, 8)), Caution::One, "it answered");
        assert_eq!(after(life(0.2, 1, 0)), Caution::Hold);
        assert_eq!(after(life(0.2, 0, 0)), Caution::Hold, "nothing new");
        assert_eq!(after(life(1.2, 1, 1)), Caution::One);
        backoff.ended(&life(60.0, 1, 1), &options());
        assert_eq!(backoff.caution(), Caution::Usual);
        backoff.failed(&options(), 1);
        assert_eq!(backoff.caution(), Caution::Usual, "a host was not reached");
    }

    #[test]
    fn waits_are_said_in_units_that_fit() {
        for (nanos, said) in [
            (0u64, "at once"),
            (999_999, "at once"),
            (250_000_000, "in 250 ms"),
            (999_400_000, "in 999 ms"),
            (999_600_000, "in 1.0 s"),
            (1_340_000_000, "in 1.3 s"),
            (12_600_000_000, "in 13 s"),
            (60_000_000_000, "in 60 s"),
            (300_000_000_000, "in 5 min"),
        ] {
            assert_eq!(after(Duration::from_nanos(nanos)), said);
        }
    }
}
