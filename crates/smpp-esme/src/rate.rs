//! An agreed rate, kept: a token bucket that counts PDUs.

use std::time::{Duration, Instant};

/// A limit on submit_sm per second (the generic cell rate algorithm: one instant of state).
///
/// It starts empty, so that a bind that moves between processes never gains a burst by moving,
/// and it counts PDUs: each part of a long message counts.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Between two PDUs; zero is no limit, `None` lets nothing through.
    interval: Option<Duration>,
    burst: u32,
    /// When the bucket will be full again. `None` before the first use.
    full_at: Option<Instant>,
}

impl Rate {
    /// `per_second` PDUs per second ([`f64::INFINITY`]: no limit; 0: nothing at all), of which
    /// `burst` (at least 1) may go at once after a pause.
    pub fn new(per_second: f64, burst: u32) -> Self {
        Rate {
            interval: interval(per_second),
            burst: burst.max(1),
            full_at: None,
        }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::new(f64::INFINITY, 1)
    }

    /// Changes rate and burst from now on. What was saved up shrinks or grows with the rate; a
    /// larger burst is earned first.
    pub fn set(&mut self, per_second: f64, burst: u32, now: Instant) {
        let (new, burst) = (interval(per_second), burst.max(1));
        if new == self.interval && burst == self.burst {
            return;
        }
        // The bucket's debt is a number of PDUs: at the new rate it takes another time to pay off.
        // An empty bucket stays empty, however large it was.
        self.full_at = match (self.full_at, self.interval, new) {
            (Some(full_at), Some(old), Some(new)) if !old.is_zero() => {
                let owed = full_at.saturating_duration_since(now).as_secs_f64() / old.as_secs_f64();
                let larger = f64::from(burst) - f64::from(self.burst);
                Some(now + new.mul_f64((owed + larger).max(0.0)))
            }
            _ => None,
        };
        self.interval = new;
        self.burst = burst;
    }

    /// How long until the next PDU may go; zero is now. Takes nothing.
    /// [`Duration::MAX`] while the rate is 0.
    pub fn delay(&mut self, now: Instant) -> Duration {
        let Some(interval) = self.interval else {
            return Duration::MAX;
        };
        let span = interval.saturating_mul(self.burst);
        let full_at = *self.full_at.get_or_insert(now + span);
        (full_at.max(now) + interval).saturating_duration_since(now + span)
    }

    /// Takes the next PDU's place and says how long it must wait for it; zero is now. Places are
    /// handed out one after another. While the rate is 0 nothing is taken and the answer is
    /// [`Duration::MAX`].
    pub fn reserve(&mut self, now: Instant) -> Duration {
        let delay = self.delay(now);
        if let (Some(interval), Some(full_at)) = (self.interval, &mut self.full_at) {
            *full_at = (*full_at).max(now) + interval;
        }
        delay
    }

    /// Takes the next PDU's place if it may go now.
    pub fn take(&mut self, now: Instant) -> bool {
        let free = self.delay(now).is_zero();
        if free {
            self.reserve(now);
        }
        free
    }
}

fn interval(per_second: f64) -> Option<Duration> {
    if per_second.is_infinite() && per_second > 0.0 {
        return Some(Duration::ZERO);
    }
    // Slower than one PDU in a day is nothing at all.
    (per_second > 1.0 / 86_400.0).then(|| Duration::from_secs_f64(1.0 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_bucket_starts_empty_and_fills_up_to_its_burst() {
        let start = Instant::now();
        let mut rate = Rate::new(10.0, 3);
        assert!(!rate.take(start), "empty at first");
        assert_eq!(rate.delay(start), Duration::from_millis(100));
        assert!(rate.take(after(start, 100)));
        assert!(!rate.take(after(start, 100)));
        let later = after(start, 60_000);
        let burst = (0..10).filter(|_| rate.take(later)).count();
        assert_eq!(burst, 3, "an hour of silence earns no more than the burst");
    }

    #[test]
    fn reservations_queue_up_one_behind_the_other() {
        let start = Instant::now();
        let mut rate = Rate::new(100.0, 1);
        let waits: Vec<u128> = (0..4).map(|_| rate.reserve(start).as_millis()).collect();
        assert_eq!(waits, [10, 20, 30, 40]);
    }

    #[test]
    fn a_new_rate_holds_at_once_for_what_already_waits() {
        let start = Instant::now();
        let mut rate = Rate::new(100.0, 1);
        for _ in 0..10 {
            rate.reserve(start);
        }
        rate.set(10.0, 1, start);
        assert_eq!(rate.delay(start), Duration::from_millis(1100));
        rate.set(0.0, 1, start);
        assert_eq!(rate.delay(start), Duration::MAX);
        assert!(!rate.take(after(start, 3_600_000)));
        rate.set(f64::INFINITY, 1, start);
        assert!((0..1000).all(|_| rate.take(start)));
    }

    #[test]
    fn a_larger_burst_is_earned_and_a_smaller_one_holds_at_once() {
        let start = Instant::now();
        let mut rate = Rate::new(10.0, 10);
        assert!(!rate.take(start), "empty at first");
        let later = after(start, 60_000);
        assert_eq!(rate.delay(later), Duration::ZERO, "full");
        rate.set(5.0, 5, later);
        assert_eq!((0..10).filter(|_| rate.take(later)).count(), 5);
        rate.set(10.0, 10, later);
        assert_eq!((0..10).filter(|_| rate.take(later)).count(), 0);
    }

    #[test]
    fn an_empty_bucket_that_becomes_smaller_owes_no_more_than_it_holds() {
        let start = Instant::now();
        let mut rate = Rate::new(1000.0, 20);
        assert!(!rate.take(start), "empty at first");
        rate.set(10.0, 1, start);
        assert_eq!(rate.delay(start), Duration::from_millis(100), "and not 2 s");
    }

    proptest! {
        /// In no stretch of time more PDUs pass than the rate allows in it plus one burst.
        #[test]
        fn never_more_than_the_rate_and_one_burst(
            per_second in 1.0f64..1000.0,
            burst in 1u32..20,
            steps in prop::collection::vec(0u64..200, 1..200),
        ) {
            let start = Instant::now();
            let mut rate = Rate::new(per_second, burst);
            let (mut now, mut passed) = (start, 0u32);
            for step in steps {
                now = after(now, step);
                while rate.take(now) {
                    passed += 1;
                }
                let allowed = now.duration_since(start).as_secs_f64() * per_second;
                prop_assert!(f64::from(passed) <= allowed + 1e-6, "{passed} of {allowed}");
            }
        }
    }
}
