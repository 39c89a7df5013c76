//! How fast requests may go once the SMSC has said ESME_RTHROTTLED.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What is left of the rate after a complaint.
const DECREASE: f64 = 0.85;
/// Seconds from a cut back to the rate that was too much, at first.
const SOON: f64 = 0.2;
/// The limit is lifted after so long without a complaint.
const CALM: Duration = Duration::from_secs(60);
/// So many messages should be taken between two complaints about a limit that stays.
const TAKEN_PER_COMPLAINT: f64 = 200.0;
/// The longest way back, in seconds.
const LATE: f64 = 30.0;
/// Never slower than this, in PDUs per second: something has to try.
const FLOOR: f64 = 0.5;
/// The first tries while everything is refused, in PDUs per second; each refusal halves it.
const FIRST_TRIES: f64 = 20.0;

/// The rate of a bind, in PDUs per second.
///
/// A complaint shows a limit that stays, or a short time in which nothing is taken. So the first
/// cut is small and the way back short; it becomes longer each time the same rate is too much
/// again, until complaints are rare. While nothing is taken, single requests try whether it is
/// over, ever more rarely.
#[derive(Clone, Debug)]
pub(super) struct RateControl {
    /// Whether there is a limit, and where on its way back it is.
    state: State,
    /// Answers to what was sent before belong to complaints that are dealt with.
    cut_at: Instant,
    /// When the state was looked at last without anything having happened.
    ticked: Instant,
    /// What was taken.
    meter: Meter,
    /// What was sent, taken or not.
    sent: Meter,
    /// What all binds of the account have had taken.
    siblings: Siblings,
    /// Taken, and not counted yet: the clock is looked at for a batch of answers, not for each.
    uncounted: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Unlimited,
    Limited(Curve),
    /// Everything sent since the cut was refused: tries at this rate.
    Refused {
        tries: f64,
        then: Curve,
    },
}

/// The way back after a cut: `peak` after `seconds`, slowly there, fast beyond.
#[derive(Clone, Copy, Debug)]
struct Curve {
    /// The rate that was too much.
    peak: f64,
    /// How long the way back to the peak is.
    seconds: f64,
    /// When it was cut.
    began: Instant,
    /// Whether anything sent since was taken.
    taken: bool,
    /// Complaints in a row before the peak was reached.
    early: u32,
}

impl Curve {
    fn at(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.began).as_secs_f64();
        let way = (elapsed - self.seconds) / self.seconds;
        (self.peak * (1.0 + (1.0 - DECREASE) * way.powi(3))).max(FLOOR)
    }
}

impl RateControl {
    pub fn new(siblings: Siblings, now: Instant) -> Self {
        RateControl {
            state: State::Unlimited,
            cut_at: now,
            ticked: now,
            meter: Meter::new(Duration::from_secs(1), now),
            sent: Meter::new(Duration::from_secs(1), now),
            siblings,
            uncounted: 0,
        }
    }

    /// PDUs per second; `None` without a limit.
    pub fn limit(&self, now: Instant) -> Option<f64> {
        match &self.state {
            State::Unlimited => None,
            State::Limited(curve) => Some(curve.at(now)),
            State::Refused { tries, .. } => Some(*tries),
        }
    }

    /// A request that was sent at `sent` was taken.
    pub fn taken(&mut self, sent: Instant, now: Instant) {
        self.uncounted += 1;
        match &mut self.state {
            State::Unlimited => {}
            State::Limited(curve) => curve.taken |= sent >= self.cut_at,
            State::Refused { then, .. } if sent >= self.cut_at => {
                let curve = Curve {
                    began: now,
                    taken: true,
                    ..*then
                };
                self.cut_at = now;
                self.state = State::Limited(curve);
            }
            State::Refused { .. } => {}
        }
    }

    /// A request that was sent at `sent` was too fast.
    pub fn too_fast(&mut self, sent: Instant, now: Instant) {
        if sent < self.cut_at && !matches!(self.state, State::Unlimited) {
            return;
        }
        self.count(now);
        self.state = match self.state {
            State::Unlimited => State::Limited(Curve {
                peak: self.meter.rate(now).max(FLOOR / DECREASE),
                seconds: SOON,
                began: now,
                taken: false,
                early: 0,
            }),
            State::Limited(curve) if !curve.taken => State::Refused {
                tries: FIRST_TRIES.min(curve.at(now) / 2.0).max(FLOOR),
                then: curve,
            },
            State::Refused { tries, then } => State::Refused {
                tries: (tries / 2.0).max(FLOOR),
                then,
            },
            State::Limited(curve) => State::Limited(self.cut(&curve, now)),
        };
        self.cut_at = now;
    }

    /// The curve after a complaint about what was taken in part.
    fn cut(&mut self, curve: &Curve, now: Instant) -> Curve {
        let elapsed = now.saturating_duration_since(curve.began).as_secs_f64();
        let (limit, took) = (curve.at(now), self.meter.rate(now));
        let longest = (TAKEN_PER_COMPLAINT / curve.peak).clamp(5.0, LATE);
        let before = now.checked_sub(Duration::from_millis(500)).unwrap_or(now);
        let mean = curve.at(before.max(curve.began));
        let used = self.sent.rate(now) >= 0.8 * mean;
        let sunk = took >= 0.75 * mean.min(limit) && self.siblings.have_sunk(now);
        let early = elapsed < curve.seconds * 0.9;
        let in_a_row = if early { curve.early + 1 } else { 0 };
        let peak = match (early, sunk || !used) {
            // Below what was taken before: once it may be chance, or another bind's share.
            (true, _) if in_a_row == 1 => curve.peak,
            (true, _) => took.clamp(curve.peak / 2.0, curve.peak),
            (false, true) => took.max(curve.peak),
            (false, false) => took.max(curve.peak * 0.75).min(limit),
        };
        let seconds = match (sunk, early || !used) {
            (true, _) => SOON,
            (false, true) => curve.seconds,
            (false, false) => (curve.seconds * 2.0).min(longest),
        };
        Curve {
            peak,
            seconds,
            began: now,
            taken: false,
            early: in_a_row,
        }
    }

    /// `count` requests were sent.
    pub fn sent(&mut self, count: usize, now: Instant) {
        self.sent.add(count as u32, now);
    }

    /// Looks at the clock: a limit that is not used does not grow, and one that is old is lifted.
    pub fn tick(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.ticked);
        self.ticked = now;
        self.count(now);
        if !matches!(self.state, State::Unlimited)
            && now.saturating_duration_since(self.cut_at) >= CALM
        {
            self.state = State::Unlimited;
        }
        if let State::Limited(curve) = &mut self.state
            && curve.at(now) > 2.0 * self.meter.rate(now).max(curve.peak)
        {
            curve.began += since;
        }
    }

    fn count(&mut self, now: Instant) {
        if self.uncounted > 0 {
            self.meter.add(self.uncounted, now);
            self.siblings.took(self.uncounted, now);
            self.uncounted = 0;
        }
    }
}

/// What the SMSC took of all binds of an account together, in this process.
///
/// One bind alone cannot tell a limit of the account from trouble that comes at any rate. Together
/// they can: while the account as a whole gets through what it did before, a complaint is about a
/// limit; if it has sunk below that, cutting has not helped.
#[derive(Clone, Debug, Default)]
pub struct Siblings(Arc<Mutex<Option<Total>>>);

#[derive(Clone, Debug)]
struct Total {
    meter: Meter,
    /// The most in any second: of the present span and of the one before.
    best: [f64; 2],
    since: Instant,
}

/// For how long, at least, the best second of an account is remembered.
const REMEMBERED: Duration = Duration::from_secs(8);
/// Over which it is counted.
const SPAN: Duration = Duration::from_secs(3);
/// An account whose rate is below this share of its best second has sunk.
const SUNK: f64 = 0.92;

impl Siblings {
    fn took(&self, count: u32, now: Instant) {
        let mut total = self.0.lock();
        let total = total.get_or_insert_with(|| Total::new(now));
        total.took(count, now);
    }

    fn have_sunk(&self, now: Instant) -> bool {
        self.0
            .lock()
            .as_ref()
            .is_some_and(|total| total.has_sunk(now))
    }
}

impl Total {
    fn new(now: Instant) -> Self {
        Total {
            meter: Meter::new(SPAN, now),
            best: [0.0; 2],
            since: now,
        }
    }

    fn took(&mut self, count: u32, now: Instant) {
        if now.saturating_duration_since(self.since) >= REMEMBERED {
            self.best = [0.0, self.best[0]];
            self.since = now;
        }
        self.meter.add(count, now);
        self.best[0] = self.best[0].max(self.meter.rate(now));
    }

    fn has_sunk(&self, now: Instant) -> bool {
        let best = self.best[0].max(self.best[1]);
        self.meter.rate(now) < SUNK * best - best.sqrt()
    }
}

const BUCKETS: usize = 10;

/// What was taken within the last second.
#[derive(Clone, Debug)]
struct Meter {
    /// How long one bucket is.
    bucket: Duration,
    /// When the first one began.
    origin: Instant,
    /// Number of the newest bucket since `origin`.
    newest: u64,
    /// What was taken in each of the last ones, in a ring.
    buckets: [u32; BUCKETS],
}

impl Meter {
    /// A meter that looks back over `span`.
    fn new(span: Duration, now: Instant) -> Self {
        Meter {
            bucket: span / BUCKETS as u32,
            origin: now,
            newest: 0,
            buckets: [0; BUCKETS],
        }
    }

    fn number(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.origin);
        (since.as_nanos() / self.bucket.as_nanos()) as u64
    }

    fn add(&mut self, count: u32, now: Instant) {
        let number = self.number(now);
        if number != self.newest {
            for gone in (self.newest + 1..=number).take(BUCKETS) {
                self.buckets[(gone % BUCKETS as u64) as usize] = 0;
            }
            self.newest = number;
        }
        self.buckets[(number % BUCKETS as u64) as usize] += count;
    }

    /// What was counted within the last span, as if the newest bucket were full.
    fn rate(&self, now: Instant) -> f64 {
        let number = self.number(now);
        let oldest = (number + 1).saturating_sub(BUCKETS as u64);
        let kept = (oldest..=self.newest).take(BUCKETS);
        let sum: u32 = kept
            .map(|n| self.buckets[(n % BUCKETS as u64) as usize])
            .sum();
        let since = now.saturating_duration_since(self.origin).as_secs_f64();
        let begun = since / self.bucket.as_secs_f64() - number as f64;
        let covered = (BUCKETS as f64 - 1.0 + begun) / BUCKETS as f64;
        f64::from(sum) / covered
    }
}
