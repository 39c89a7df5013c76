//! How many requests may be unanswered.

use std::time::{Duration, Instant};

use super::Sending;

/// After so long without anything unanswered the next request tries the session before more go.
const REST: Duration = Duration::from_secs(1);
/// No silence shorter than this is taken for a stall.
const SHORTEST_STALL: Duration = Duration::from_millis(100);
/// A session that ends within this has died young if it leaves anything in doubt.
const YOUNG: Duration = Duration::from_secs(3);
/// From the refusal that told the SMSC's limit to the first try beyond it; each try that is
/// refused doubles it.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LONGEST_PROBE: Duration = Duration::from_secs(10);
/// A refusal among so many that were taken with as much unanswered tells nothing of a limit: a
/// recipient's own queue is full, perhaps.
const BELIEVED: u32 = 32;
/// A window of so many grows only when it was in use for so many answers, or for so long: a fast
/// SMSC needs no more, and if it dies, all that is unanswered is in doubt.
const ENOUGH: usize = 16;
const USED_FOR: (u32, Duration) = (256, Duration::from_millis(20));
/// congestion_state from which nothing grows, and from which it shrinks (SMPP 5.0 §4.8.4.18).
const HIGH_LOAD: u8 = 80;
const CONGESTED: u8 = 90;

/// The window of a bind: between 1 and `most`.
///
/// It is judged once for each *round*, which ends with the answer to a request sent after it began:
///
/// ```text
/// slow start ──(queue full)──► ceiling known ──(no refusal)──► probing beyond it
///     ▲ ▲                         │     ▲                          │
///     │ └────────(much lost)──────┘     └───────(queue full)───────┘
///     └── bound, stalled, slow: the window that the answers in time allow
/// ```
#[derive(Clone, Debug)]
pub(super) struct WindowControl {
    /// As configured: the most that it grows to.
    most: usize,
    /// Where a session begins, at least 1.
    start: usize,
    /// timers.response: answers that would come later than a part of it make it shrink.
    response: Duration,
    /// What the SMSC has shown to cope with.
    size: usize,
    /// Only `start` may be unanswered until something sent since is answered: the session is new,
    /// or was at rest.
    resting: Option<Instant>,
    /// Sessions before this one died young: one at a time until it has outlived them.
    careful_until: Option<Instant>,
    /// For how long the next session is careful.
    careful: Duration,
    /// When the session began.
    began: Instant,
    /// What is seen since the last judgement.
    round: Round,
    /// Answers per second in the last two rounds in which the window was what limited.
    rates: [f64; 2],
    /// For how many answers, and for how long, the window was in use since it grew.
    used_for: (u32, Duration),
    /// The shortest time to an answer: of this minute and of the one before.
    least: [Duration; 2],
    /// When the present minute of it began.
    least_since: Instant,
    /// How long the slowest answer of a round has taken recently.
    usual: Duration,
    /// When an answer came last, or when waiting for one began.
    heard: Instant,
    /// Nothing was answered for much longer than usual.
    stalled: bool,
    /// What the SMSC has said that it takes, until that is believed no more.
    ceiling: Option<Ceiling>,
    /// How many were taken near the window since a refusal: see [`BELIEVED`].
    credit: u32,
    /// The most that were unanswered when a request was taken, since a refusal was believed.
    proved: usize,
    /// Recent answers; both are halved now and then.
    recent: u32,
    /// Those of them that came after the response timer.
    late: u32,
}

/// What is seen between two judgements.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// What was sent before belongs to an earlier round.
    began: Instant,
    /// Answers in it.
    answers: u32,
    /// The most that were unanswered at once.
    peak: usize,
    /// The longest time to an answer.
    slowest: Duration,
    /// The most seconds that an answer took for each request that was unanswered before it.
    each: f64,
    /// The SMSC has asked for less.
    complaint: bool,
    /// The highest congestion_state that an answer named.
    congestion: u8,
}

/// The SMSC has said that it takes no more than this.
#[derive(Clone, Copy, Debug)]
struct Ceiling {
    /// So many.
    size: usize,
    /// When more may be tried.
    probe_at: Instant,
    /// From a refusal to the next try; it doubles with each try that is refused.
    wait: Duration,
    /// How much more.
    step: usize,
}

impl Round {
    fn new(began: Instant) -> Self {
        Round {
            began,
            answers: 0,
            peak: 0,
            slowest: Duration::ZERO,
            each: 0.0,
            complaint: false,
            congestion: 0,
        }
    }
}

impl WindowControl {
    pub fn new(most: usize, start: usize, response: Duration, now: Instant) -> Self {
        let most = most.max(1);
        let start = start.clamp(1, most);
        WindowControl {
            most,
            start,
            response,
            size: start,
            resting: Some(now),
            careful_until: None,
            careful: Duration::ZERO,
            began: now,
            round: Round::new(now),
            rates: [0.0; 2],
            used_for: (0, Duration::ZERO),
            least: [Duration::MAX; 2],
            least_since: now,
            usual: Duration::ZERO,
            heard: now,
            stalled: false,
            ceiling: None,
            credit: 0,
            proved: 0,
            recent: 0,
            late: 0,
        }
    }

    /// It grows to this from now on.
    pub fn set_most(&mut self, most: usize) {
        self.most = most.max(1);
        if self.size > self.most {
            self.resize(self.most);
        }
    }

    pub fn began(&mut self, now: Instant) {
        *self = WindowControl {
            careful: self.careful,
            careful_until: (!self.careful.is_zero()).then(|| now + self.careful),
            ceiling: self.ceiling,
            ..Self::new(self.most, self.start, self.response, now)
        };
    }

    pub fn ended(&mut self, in_doubt: usize, now: Instant) {
        let lived = now.saturating_duration_since(self.began);
        if lived >= YOUNG {
            self.careful = Duration::ZERO;
        } else if in_doubt > 0 {
            self.careful = self.careful.max(lived * 2).min(YOUNG);
        }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    pub fn allowed(&self) -> usize {
        match (self.careful_until, self.resting) {
            (Some(_), _) => 1,
            (None, Some(_)) => self.size.min(self.start),
            (None, None) => self.size,
        }
    }

    /// Answers per second when the window is what limits.
    pub fn rate(&self) -> f64 {
        self.rates[0].max(self.rates[1])
    }

    /// `count` were sent: so many are unanswered now.
    pub fn sent(&mut self, count: usize, in_flight: usize, now: Instant) {
        if in_flight <= count {
            self.heard = now;
        }
        self.round.peak = self.round.peak.max(in_flight);
    }

    /// The request was taken, with as much unanswered as it says.
    pub fn accepted(&mut self, sending: Sending) {
        if sending.rank * 8 >= self.size * 7 {
            self.credit = (self.credit + 1).min(4 * BELIEVED);
        }
        self.proved = self.proved.max(sending.rank);
    }

    /// The SMSC is too busy for now, for whatever reason.
    pub fn complaint(&mut self) {
        self.round.complaint = true;
    }

    /// The request was refused because of those before it. `true` if it was the only one: then
    /// no window is small enough.
    pub fn queue_full(&mut self, sending: Sending, now: Instant) -> bool {
        if sending.rank <= self.proved && self.credit >= BELIEVED {
            self.credit -= BELIEVED;
            return false;
        }
        self.round.complaint = true;
        let size = (sending.rank - 1).max(1);
        if size < self.size {
            let wait = match self.ceiling {
                // It is where it was: tried in vain.
                Some(ceiling) if size >= ceiling.size => (ceiling.wait * 2).min(LONGEST_PROBE),
                _ => FIRST_PROBE,
            };
            self.ceiling = Some(Ceiling {
                size,
                probe_at: now + wait,
                wait,
                step: 1,
            });
            self.resize(size);
            self.proved = size;
        }
        sending.rank <= 1
    }

    /// An answer came, whatever it says.
    pub fn heard(&mut self, sending: Sending, now: Instant) {
        self.heard = now;
        self.stalled = false;
        if self.resting.is_some_and(|since| sending.at >= since) {
            self.resting = None;
        }
    }

    /// A request was dealt with. How soon one is refused says nothing of that.
    pub fn answered(&mut self, sending: Sending, congestion: Option<u8>, now: Instant) {
        let took = now.saturating_duration_since(sending.at);
        self.recent = self.recent.saturating_add(1);
        self.least[0] = self.least[0].min(took);
        let round = &mut self.round;
        round.answers += 1;
        round.slowest = round.slowest.max(took);
        round.each = (round.each).max(took.as_secs_f64() / sending.rank.max(1) as f64);
        round.congestion = round.congestion.max(congestion.unwrap_or(0));
        if sending.at >= round.began && round.answers as usize * 4 >= self.size {
            self.judge(now);
        }
    }

    /// Response timers ran out. Some answers are lost, and that says nothing of the window.
    pub fn expired(&mut self, now: Instant) {
        if now.saturating_duration_since(self.heard) >= self.response {
            // It answers nothing at all.
            self.resize(self.start);
            self.rates = [0.0; 2];
            self.resting = Some(now);
        }
    }

    /// An answer came after its response timer: too much was unanswered before it.
    pub fn late(&mut self) {
        self.late += 1;
        if self.late >= 3 && self.late * 10 > self.recent {
            self.resize(self.size / 2);
            (self.recent, self.late) = (0, 0);
        }
    }

    pub fn tick(&mut self, in_flight: usize, now: Instant) {
        if self.careful_until.is_some_and(|until| now >= until) && self.resting.is_none() {
            self.careful_until = None;
        }
        if in_flight == 0 {
            if self.resting.is_none() && now >= self.heard + REST {
                self.resting = Some(now);
            }
        } else if !self.stalled && now >= self.heard + self.stall() {
            self.stalled = true;
            // Those that wait may be lost: there are places to try whether it answers others.
            self.resize(self.size.min(in_flight + self.start));
        }
    }

    pub fn next_tick(&self, in_flight: usize) -> Option<Instant> {
        let quiet = match in_flight {
            0 => self.resting.is_none().then(|| self.heard + REST),
            _ => (!self.stalled).then(|| self.heard + self.stall()),
        };
        let careful = self.careful_until.filter(|_| self.resting.is_none());
        [quiet, careful].into_iter().flatten().min()
    }

    /// How long no answer may come before the window stays as it is used.
    fn stall(&self) -> Duration {
        let longest = self.response / 4;
        match self.usual {
            Duration::ZERO => longest,
            usual => (usual * 4).clamp(SHORTEST_STALL.min(longest), longest),
        }
    }

    /// The last answer of a window may come so late: a quarter of the response timer; with an
    /// SMSC that takes as long for a single one, twice that.
    fn in_time(&self) -> Duration {
        let least = self.least[0].min(self.least[1]);
        (self.response / 4).max(least.saturating_mul(2).min(self.response * 3 / 5))
    }

    /// A round is over: the window of the next.
    fn judge(&mut self, now: Instant) {
        let round = std::mem::replace(&mut self.round, Round::new(now));
        self.usual = match round.slowest > self.usual {
            true => round.slowest,
            false => (self.usual * 3 + round.slowest) / 4,
        };
        if now >= self.least_since + Duration::from_secs(60) {
            self.least = [Duration::MAX, self.least[0]];
            self.least_since = now;
        }
        if self.recent > 500 {
            (self.recent, self.late) = (self.recent / 2, self.late / 2);
        }
        let used = round.peak * 4 >= self.size * 3;
        let elapsed = now.saturating_duration_since(round.began);
        if used && !elapsed.is_zero() {
            let rate = f64::from(round.answers) / elapsed.as_secs_f64();
            self.rates = [rate, self.rates[0]];
        }
        if used {
            self.used_for.0 = self.used_for.0.saturating_add(round.answers);
            // Less than a round that began with a pause.
            self.used_for.1 += elapsed.min(round.slowest * 2);
        }
        let in_time = self.in_time();
        // Little's law. Lost answers would have the rate look too small, an SMSC that takes long
        // for each and many at once the time for each too long: the better of both counts. A
        // float beyond the range becomes its end.
        let in_time = in_time.as_secs_f64();
        let answered_in_time = match self.rate() {
            0.0 => usize::MAX,
            rate => (rate.max(1.0 / round.each) * in_time) as usize,
        };
        let least = self.least[0].min(self.least[1]);
        if round.slowest > self.response / 2 && round.slowest > least * 2 {
            self.resize((self.size / 2).min(answered_in_time));
        } else if round.congestion >= CONGESTED {
            self.resize((self.size * 4 / 5).min(answered_in_time));
        } else if answered_in_time < self.size {
            self.resize(answered_in_time);
        } else if used && !round.complaint && round.congestion < HIGH_LOAD {
            let size = self.grown(now);
            self.resize(size.min(answered_in_time));
        }
    }

    /// The next larger window.
    fn grown(&mut self, now: Instant) -> usize {
        let (answers, time) = self.used_for;
        if self.size >= ENOUGH && answers < USED_FOR.0 && time < USED_FOR.1 {
            return self.size;
        }
        let doubled = self.size.saturating_mul(2);
        let Some(ceiling) = &mut self.ceiling else {
            return doubled;
        };
        if self.size < ceiling.size {
            return doubled.min(ceiling.size);
        }
        if self.size > ceiling.size {
            // It was tried and nothing was refused: more at once next time.
            ceiling.size = self.size;
            ceiling.step *= 2;
            ceiling.wait = FIRST_PROBE;
        } else if now < ceiling.probe_at {
            return self.size;
        }
        let size = self.size + ceiling.step;
        if size >= self.most {
            self.ceiling = None;
        }
        size
    }

    fn resize(&mut self, size: usize) {
        let size = size.clamp(1, self.most);
        if size > self.size {
            self.used_for = (0, Duration::ZERO);
        }
        self.size = size;
    }
}
