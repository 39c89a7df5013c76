//! The time of day, put right slowly.
//!
//! Waits are compared with times that other processes wrote, so they go by the time of day; and
//! that steps. A clock that is put right must not end all waits at once, and one that was wrong
//! when the process began must not stay wrong for its life. So the time here runs by the
//! monotonic clock, and is led to the time of day from there:
//!
//! | the time of day is | what is done | because |
//! |---|---|---|
//! | behind, by up to a day | the time runs at half its speed | waits that end late do no harm, and it never goes back |
//! | ahead, by up to a day | it runs faster by an eighth | a wait that ends early does harm, so none is much shorter |
//! | behind, by more | it steps | every wait would end early until then |
//! | ahead, by more, for an hour | it steps | entries would be kept for ever; a clock that was set wrong has been noticed by then |
//!
//! Whoever holds times of before a step must read them anew ([`Clock::steps`]).

use std::time::Instant;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::join::Millis;

const SECOND: Millis = 1000;
const HOUR: Millis = 3600 * SECOND;
pub(super) const DAY: Millis = 24 * HOUR;

/// The time runs slower by this part of it while it is ahead.
const SLOWER: Millis = 2;
/// The time runs faster by this part of it while it is behind.
const FASTER: Millis = 8;

/// A time that another process wrote. One that lies far ahead comes from a clock that was wrong:
/// what waits from then on would wait for ever.
pub(super) fn plausible(at: Millis, now: Millis) -> Millis {
    if at.saturating_sub(now) > DAY {
        now
    } else {
        at
    }
}

/// The time at a moment of the monotonic clock, and how it goes on from there.
struct Anchor {
    time: Millis,
    steady: Millis,
    /// How far the time of day was ahead then.
    off: Millis,
    /// Since when it is ahead by more than a day.
    far: Option<Millis>,
    steps: u64,
}

impl Anchor {
    fn new(steady: Millis, wall: Millis) -> Self {
        Anchor {
            time: wall,
            steady,
            off: 0,
            far: None,
            steps: 0,
        }
    }

    /// The time when the monotonic clock is at `steady`. It never goes back, but in a step. The time of day
    /// is asked for once a second.
    fn read(&mut self, steady: Millis, wall: impl FnOnce() -> Millis) -> Millis {
        let passed = steady.saturating_sub(self.steady).max(0);
        let led = self.off.clamp(-(passed / SLOWER), passed / FASTER);
        let time = self.time.saturating_add(passed).saturating_add(led);
        // Not at every look: of a millisecond no part is left.
        if passed >= SECOND {
            let wall = wall();
            (self.time, self.steady) = (time, steady);
            self.off = wall.saturating_sub(time);
            return self.step(wall);
        }
        time
    }

    fn step(&mut self, wall: Millis) -> Millis {
        let since = if self.off > DAY {
            *self.far.get_or_insert(self.steady)
        } else {
            self.far = None;
            self.steady
        };
        if self.off < -DAY || self.steady.saturating_sub(since) >= HOUR {
            (self.time, self.off, self.far) = (wall, 0, None);
            self.steps += 1;
        }
        self.time
    }
}

/// See the [module](self).
pub(super) struct Clock {
    anchor: Mutex<Anchor>,
    since: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Clock {
            anchor: Mutex::new(Anchor::new(0, Timestamp::now().as_millisecond())),
            since: Instant::now(),
        }
    }
}

impl Clock {
    /// Now, in milliseconds since 1970, UTC.
    pub(super) fn now(&self) -> Millis {
        let steady = Millis::try_from(self.since.elapsed().as_millis()).unwrap_or(Millis::MAX);
        let wall = || Timestamp::now().as_millisecond();
        self.anchor.lock().read(steady, wall)
    }

    /// How often it has stepped.
    pub(super) fn steps(&self) -> u64 {
        self.anchor.lock().steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of day when it is right.
    const RIGHT: Millis = 1_800_000_000_000;

    /// A clock that begins while the time of day is off, and is then looked at once a second
    /// while it is right: how far off it is after each second.
    fn led(off: Millis) -> (Anchor, impl FnMut(&mut Anchor, Millis) -> Millis) {
        let mut last = RIGHT + off;
        let look = move |anchor: &mut Anchor, steady: Millis| {
            let (steps, wall) = (anchor.steps, RIGHT + steady);
            let time = anchor.read(steady, || wall);
            assert!(time >= last || anchor.steps > steps, "it never goes back");
            last = time;
            time - wall
        };
        (Anchor::new(0, RIGHT + off), look)
    }

    fn off_after(off: Millis, wait: Millis) -> Millis {
        let (mut anchor, mut look) = led(off);
        let looks = (1..=wait / SECOND).map(|n| look(&mut anchor, n * SECOND));
        looks.last().unwrap_or(off)
    }

    #[test]
    fn a_clock_that_was_ahead_at_the_start_is_put_right_without_going_back() {
        let off = off_after(4 * HOUR, 4 * HOUR);
        assert!(
            (2 * HOUR - 2 * SECOND..=2 * HOUR + 2 * SECOND).contains(&off),
            "{off}"
        );
        assert_eq!(off_after(4 * HOUR, 9 * HOUR), 0);
    }

    #[test]
    fn a_clock_that_was_behind_at_the_start_is_put_right_and_ends_no_wait_much_too_early() {
        let off = off_after(-HOUR, HOUR);
        assert!((off + 7 * HOUR / 8).abs() < 10 * SECOND, "{off}");
        assert_eq!(off_after(-HOUR, 9 * HOUR), 0);
    }

    #[test]
    fn a_clock_that_steps_under_us_does_not_end_waits_at_once() {
        let mut anchor = Anchor::new(0, RIGHT);
        let mut time = RIGHT;
        for n in 1..3600 {
            // Ten hours ahead, for an hour.
            time = anchor.read(n * SECOND, || RIGHT + n * SECOND + 10 * HOUR);
        }
        assert!(time - RIGHT <= HOUR + HOUR / 8);
        assert_eq!(anchor.steps, 0);
    }

    #[test]
    fn a_clock_that_was_days_off_steps_back_at_once_and_forward_after_an_hour() {
        assert_eq!(off_after(10 * DAY, 2 * SECOND), 0);
        let (mut anchor, mut look) = led(-20_000 * DAY);
        for n in 1..3600 {
            assert!(look(&mut anchor, n * SECOND) < -19_000 * DAY);
        }
        assert_eq!(anchor.steps, 0);
        look(&mut anchor, 3601 * SECOND);
        assert_eq!((look(&mut anchor, 3602 * SECOND), anchor.steps), (0, 1));
    }

    #[test]
    fn days_ahead_for_less_than_an_hour_are_not_believed() {
        let mut anchor = Anchor::new(0, RIGHT);
        for n in 1..3000 {
            anchor.read(n * SECOND, || RIGHT + n * SECOND + 9 * DAY);
        }
        let time = anchor.read(3000 * SECOND, || RIGHT + 3000 * SECOND);
        assert!(time - RIGHT < HOUR);
        for n in 3001..6000 {
            anchor.read(n * SECOND, || RIGHT + n * SECOND + 9 * DAY);
        }
        assert_eq!(anchor.steps, 0);
    }

    #[test]
    fn it_is_put_right_however_often_it_is_looked_at() {
        let (mut often, mut seldom) = (Anchor::new(0, RIGHT + HOUR), Anchor::new(0, RIGHT + HOUR));
        for n in 1..=4 * HOUR / 7 {
            often.read(n * 7, || RIGHT + n * 7);
        }
        seldom.read(SECOND, || RIGHT + SECOND);
        assert_eq!(often.read(5 * HOUR, || RIGHT + 5 * HOUR), RIGHT + 5 * HOUR);
        assert_eq!(seldom.read(5 * HOUR, || RIGHT + 5 * HOUR), RIGHT + 5 * HOUR);
    }

    #[test]
    fn a_time_far_ahead_is_none() {
        assert_eq!(plausible(5, 10), 5);
        assert_eq!(plausible(10 + HOUR, 10), 10 + HOUR);
        assert_eq!(plausible(10 + 2 * DAY, 10), 10);
        assert_eq!(plausible(Millis::MAX, -5), -5);
    }
}
