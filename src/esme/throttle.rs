//! Giving way when the SMSC says that it gets too much.

use std::time::{Duration, Instant};

/// The pace of a bind after ESME_RTHROTTLED or ESME_RMSGQFUL: a pause, then a lower rate that
/// recovers step by step (additive increase, multiplicative decrease). Pure: it keeps no clock.
///
/// Throttling belongs to the bind, not to a message: everything behind it waits too.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// PDUs per second; `None` while the SMSC has not complained.
    limit: Option<f64>,
    /// What the limit was cut from: recovery is done when it is reached by far.
    before: f64,
    paused_until: Option<Instant>,
    /// The pause of the next complaint.
    pause: Duration,
    next_at: Option<Instant>,
    /// Successes since `counted_from`, to know the rate that was too much.
    accepted: u32,
    counted_from: Option<Instant>,
    /// Successes per second in the last full second.
    measured: f64,
}

/// The first pause; doubled by each complaint that follows without a success between.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What is left of the rate after a complaint.
const DECREASE: f64 = 0.7;
/// The share of the former rate that is won back in each second without complaint.
const INCREASE_PER_SECOND: f64 = 0.05;
/// Never slower than this, in PDUs per second: something has to try.
const FLOOR: f64 = 1.0;
/// The limit is lifted when it has grown to this multiple of the rate that was too much.
const LIFTED_AT: f64 = 2.0;

impl Throttle {
    /// No limit until the SMSC complains.
    pub fn new() -> Self {
        Throttle {
            limit: None,
            before: 0.0,
            paused_until: None,
            pause: FIRST_PAUSE,
            next_at: None,
            accepted: 0,
            counted_from: None,
            measured: 0.0,
        }
    }

    /// The SMSC answered ESME_RTHROTTLED or ESME_RMSGQFUL. The answers to what was sent before
    /// a pause began belong to the same complaint and change nothing more.
    pub fn throttled(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        let current = self.limit.unwrap_or_else(|| self.rate(now)).max(FLOOR);
        self.before = current;
        self.limit = Some((current * DECREASE).max(FLOOR));
        self.paused_until = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_at = None;
    }

    /// The SMSC accepted a message.
    pub fn accepted(&mut self, now: Instant) {
        self.count(now);
        if self.paused_until.is_some_and(|until| now < until) {
            return; // sent before the pause: says nothing about the new rate
        }
        self.pause = FIRST_PAUSE;
        if let Some(limit) = &mut self.limit {
            *limit += self.before * INCREASE_PER_SECOND / *limit;
            if *limit >= self.before * LIFTED_AT {
                self.limit = None;
                self.next_at = None;
            }
        }
    }

    /// A submit_sm was handed to the session.
    pub fn sent(&mut self, now: Instant) {
        if let Some(limit) = self.limit {
            let gap = Duration::from_secs_f64(1.0 / limit);
            // A sender that wakes late may catch up by one place, not by more.
            let due = self
                .next_at
                .unwrap_or(now)
                .max(now.checked_sub(gap).unwrap_or(now));
            self.next_at = Some(due + gap);
        }
    }

    /// How long the next submit_sm must wait; zero is now.
    pub fn delay(&self, now: Instant) -> Duration {
        let until =
            |at: Option<Instant>| at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        until(self.paused_until).max(until(self.next_at))
    }

    /// The present limit in PDUs per second, `None` when there is none: for metrics.
    pub fn limit(&self) -> Option<f64> {
        self.limit
    }

    fn count(&mut self, now: Instant) {
        let from = *self.counted_from.get_or_insert(now);
        self.accepted += 1;
        let span = now.saturating_duration_since(from);
        if span >= Duration::from_secs(1) {
            self.measured = f64::from(self.accepted) / span.as_secs_f64();
            self.accepted = 0;
            self.counted_from = Some(now);
        }
    }

    /// Successes per second of late: of the last full second or of this one, whichever is more.
    fn rate(&self, now: Instant) -> f64 {
        let span = self.counted_from.map_or(0.0, |from| {
            now.saturating_duration_since(from).as_secs_f64()
        });
        (f64::from(self.accepted) / span.max(1.0)).max(self.measured)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An SMSC that lets `allowed` PDUs through in every second and complains about the rest,
    /// fed as fast as the throttle permits: accepted and refused PDUs.
    fn run(throttle: &mut Throttle, start: Instant, seconds: u64, allowed: u32) -> (u32, u32) {
        let (mut accepted, mut refused, mut this_second) = (0, 0, 0);
        for millis in 0..seconds * 1000 {
            if millis.is_multiple_of(1000) {
                this_second = 0;
            }
            let now = start + Duration::from_millis(millis);
            if throttle.delay(now).is_zero() {
                throttle.sent(now);
                if this_second < allowed {
                    this_second += 1;
                    accepted += 1;
                    throttle.accepted(now);
                } else {
                    refused += 1;
                    throttle.throttled(now);
                }
            }
        }
        (accepted, refused)
    }

    #[test]
    fn nothing_is_slowed_down_until_the_smsc_complains() {
        let start = Instant::now();
        let (accepted, refused) = run(&mut Throttle::new(), start, 10, u32::MAX);
        assert_eq!((accepted, refused), (10_000, 0));
    }

    #[test]
    fn it_settles_near_the_rate_that_the_smsc_takes() {
        let start = Instant::now();
        let (accepted, refused) = run(&mut Throttle::new(), start, 120, 100);
        let share = f64::from(accepted) / 12_000.0;
        assert!(share > 0.75, "{share} of what was allowed");
        let complaints = f64::from(refused) / f64::from(accepted);
        assert!(complaints < 0.02, "{complaints} complaints per message");
    }

    #[test]
    fn complaints_in_a_row_double_the_pause_and_a_success_ends_that() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new();
        for pause in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            throttle.throttled(now);
            assert_eq!(throttle.delay(now), Duration::from_millis(pause));
            throttle.throttled(now); // another answer of the same window
            assert_eq!(throttle.delay(now), Duration::from_millis(pause));
            now += Duration::from_millis(pause);
        }
        assert_eq!(throttle.limit(), Some(FLOOR));
        throttle.accepted(now);
        throttle.throttled(now);
        assert_eq!(throttle.delay(now), FIRST_PAUSE);
    }

    #[test]
    fn the_limit_is_lifted_after_a_while_without_complaints() {
        let start = Instant::now();
        let mut throttle = Throttle::new();
        run(&mut throttle, start, 10, 100);
        assert!(throttle.limit().is_some());
        run(&mut throttle, start + Duration::from_secs(10), 60, u32::MAX);
        assert_eq!(throttle.limit(), None);
    }
}
