//! How many messages a session is trusted with.
//!
//! What is unanswered when a session ends is in doubt, and so is what an SMSC takes and never
//! answers. So a session has to earn its window. Pure: it keeps no clock.
//!
//! ```text
//!  after one that answered nothing:  Held ──a while──► Probe ──answer──┐
//!  after one that ended too early:   One ──answer, and a while─────────┤
//!                                                                      ▼
//!  otherwise:                                                        Start ──answers, or a while──► Full
//! ```
//!
//! | | messages that may be unanswered |
//! |---|---|
//! | `Held` | none: an SMSC that ends its sessions at once gets nothing to lose |
//! | `Probe` | one |
//! | `One` | one, and when it is answered none: an SMSC that ends all sessions early still takes one in each |
//! | `Start` | [`FEW`], or [`Options::start`](super::Options::start) if that is more |
//! | `Full` | the window, as far as congestion allows |
//!
//! # An SMSC that answers no message
//!
//! It may keep the link alive, because what answers enquire_link is not what takes messages. When
//! a message is not answered in time, and no other was since it was sent, nothing more goes out
//! but one probe, and not even that in a session that has never answered. If for as long again no
//! answer comes, the session is given up. A late answer is an answer: an SMSC that is only slow is
//! not given up. One lost answer is not enough where answers came before.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{Caution, Life};

/// How many messages may be unanswered before the SMSC has shown that it answers, if congestion
/// control and configuration want no more.
pub(super) const FEW: usize = 10;

/// So many answers show that an SMSC answers, also within the first moments.
const MANY: u64 = 500;

/// So many messages in a row without an answer, where answers came before, are no accident.
const ROW: u64 = 2;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Trust {
    /// The most that may be unanswered: the window as configured.
    window: usize,
    /// What `Start` allows.
    few: usize,
    /// How far it is trusted; see the drawing of the [module](self).
    level: Level,
    /// How long the SMSC is watched before it is trusted with more.
    trial: Duration,
    /// timers.response.
    response: Duration,
    /// When the session began.
    began: Instant,
    /// Messages that were sent.
    sent: u64,
    /// Answers, late ones included: never more than `sent`.
    answered: u64,
    /// When the last answer came.
    heard: Option<Instant>,
    /// Messages in a row without an answer, if the latest had none.
    silence: Option<Silence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Held { until: Instant },
    One { until: Instant },
    Probe,
    Start { until: Instant, answers: u64 },
    Full,
}

/// Messages were not answered in time, and none was since.
#[derive(Clone, Copy, Debug)]
struct Silence {
    timeouts: u64,
    /// The first of them was sent by then.
    since: Instant,
    /// How long an answer is still hoped for.
    until: Instant,
}

impl Trust {
    /// Trust in a new session: with a `few` messages at first, or with less, as `caution` says.
    pub fn new(
        window: usize,
        few: usize,
        caution: Caution,
        trial: Duration,
        response: Duration,
        now: Instant,
    ) -> Self {
        let until = now + trial;
        Trust {
            window,
            few: few.max(1),
            level: match caution {
                Caution::Hold => Level::Held { until },
                Caution::One => Level::One { until },
                Caution::Usual => Level::Start { until, answers: 0 },
            },
            trial,
            response,
            began: now,
            sent: 0,
            answered: 0,
            heard: None,
            silence: None,
        }
    }

    /// Whether messages go out at all.
    pub fn submits(&self) -> bool {
        self.window > 0
    }

    /// How many messages may be unanswered now.
    pub fn limit(&self) -> usize {
        let limit = match (self.silence, self.level) {
            (Some(_), _) => usize::from(self.answered > 0),
            (None, Level::Held { .. }) => 0,
            (None, Level::One { .. }) => usize::from(self.answered == 0),
            (None, Level::Probe) => 1,
            (None, Level::Start { .. }) => self.few,
            (None, Level::Full) => self.window,
        };
        limit.min(self.window)
    }

    /// So many messages went out.
    pub fn sent(&mut self, count: usize) {
        self.sent += count as u64;
    }

    /// So many messages were answered, in time or late.
    pub fn answered(&mut self, count: usize, now: Instant) {
        if count == 0 {
            return;
        }
        self.answered += count as u64;
        self.heard = Some(now);
        let until = now + self.trial;
        if self.silence.take().is_some() || self.level == Level::Probe {
            self.level = Level::Start { until, answers: 0 };
        } else if let Level::Start { answers, .. } = &mut self.level {
            *answers += count as u64;
        }
        self.look(now);
    }

    /// So many messages were not answered in time.
    pub fn timed_out(&mut self, count: usize, now: Instant) {
        // An answer to something else since the first of them was sent: this one got lost.
        let heard_since = |at: Instant| at + self.response > now;
        if count == 0 || self.heard.is_some_and(heard_since) {
            return;
        }
        let first = Silence {
            timeouts: 0,
            since: now.checked_sub(self.response).unwrap_or(now),
            until: now,
        };
        let given_up = self.deaf_at().is_some();
        let silence = self.silence.get_or_insert(first);
        silence.timeouts += count as u64;
        if silence.until <= now && !given_up {
            silence.until = now + self.response;
        }
    }

    /// Time has passed.
    pub fn look(&mut self, now: Instant) {
        match self.level {
            Level::Held { until } if until <= now => self.level = Level::Probe,
            Level::One { until } if until <= now => {
                let until = now + self.trial;
                self.level = match self.answered {
                    0 => Level::Probe,
                    answers => Level::Start { until, answers },
                };
            }
            Level::Start { until, answers } if answers >= MANY || answers > 0 && until <= now => {
                self.level = Level::Full;
            }
            _ => {}
        }
    }

    /// When the session is to be given up if no answer comes, because none does.
    pub fn deaf_at(&self) -> Option<Instant> {
        let silence = self.silence?;
        let enough = self.answered == 0 || silence.timeouts >= ROW;
        enough.then_some(silence.until)
    }

    /// When to look again.
    pub fn next(&self) -> Option<Instant> {
        let level = match self.level {
            Level::Held { until } | Level::One { until } => Some(until),
            Level::Start { until, answers } if answers > 0 => Some(until),
            _ => None,
        };
        [level, self.deaf_at()].into_iter().flatten().min()
    }

    /// For how long messages have waited in vain.
    pub fn unheard(&self, now: Instant) -> Duration {
        let since = self.silence.map_or(now, |silence| silence.since);
        now.saturating_duration_since(since)
    }

    /// What is said of the session now.
    pub fn life(&self, now: Instant) -> Life {
        Life {
            lived: now.saturating_duration_since(self.began),
            sent: self.sent,
            answered: self.answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIAL: Duration = Duration::from_secs(1);
    const RESPONSE: Duration = Duration::from_secs(10);

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    fn trust(caution: Caution) -> (Trust, Instant) {
        let now = Instant::now();
        (Trust::new(100, FEW, caution, TRIAL, RESPONSE, now), now)
    }

    /// A session that has earned its window at `after(start, 1.0)`.
    fn proven() -> (Trust, Instant) {
        let (mut trust, start) = trust(Caution::Usual);
        trust.answered(1, after(start, 1.0));
        assert_eq!(trust.limit(), 100);
        (trust, start)
    }

    #[test]
    fn a_new_session_earns_its_window_by_an_answer_and_a_second() {
        let (mut trust, start) = trust(Caution::Usual);
        assert_eq!((trust.limit(), trust.next()), (FEW, None));
        trust.look(after(start, 60.0));
        assert_eq!(trust.limit(), FEW, "time alone shows nothing");
        trust.answered(1, after(start, 61.0));
        assert_eq!((trust.limit(), trust.next()), (100, None));
    }

    #[test]
    fn within_the_first_second_it_takes_many_answers() {
        let (mut trust, start) = trust(Caution::Usual);
        trust.answered(499, after(start, 0.1));
        assert_eq!(trust.limit(), FEW);
        assert_eq!(trust.next(), Some(after(start, 1.0)));
        trust.answered(1, after(start, 0.1));
        assert_eq!(trust.limit(), 100);
    }

    #[test]
    fn after_a_failed_session_one_message_goes_first_and_not_at_once() {
        let (mut trust, start) = trust(Caution::Hold);
        assert_eq!((trust.limit(), trust.next()), (0, Some(after(start, 1.0))));
        trust.look(after(start, 0.9));
        assert_eq!(trust.limit(), 0);
        trust.look(after(start, 1.0));
        assert_eq!((trust.limit(), trust.next()), (1, None));
        trust.answered(1, after(start, 1.1));
        assert_eq!(trust.limit(), FEW);
        trust.answered(FEW, after(start, 1.2));
        trust.look(after(start, 2.1));
        assert_eq!(trust.limit(), 100);
    }

    #[test]
    fn after_a_session_that_ended_too_early_one_message_goes_at_once_and_no_second() {
        let (mut trust, start) = trust(Caution::One);
        assert_eq!((trust.limit(), trust.next()), (1, Some(after(start, 1.0))));
        trust.sent(1);
        trust.answered(1, after(start, 0.1));
        assert_eq!(
            trust.limit(),
            0,
            "an SMSC that ends it now has answered it all"
        );
        trust.look(after(start, 1.0));
        assert_eq!(
            (trust.limit(), trust.next()),
            (FEW, Some(after(start, 2.0)))
        );
        trust.look(after(start, 2.0));
        assert_eq!(trust.limit(), 100);
    }

    #[test]
    fn one_message_that_is_slow_to_be_answered_stays_one() {
        let (mut trust, start) = trust(Caution::One);
        trust.sent(1);
        trust.look(after(start, 5.0));
        assert_eq!((trust.limit(), trust.next()), (1, None));
        trust.answered(1, after(start, 6.0));
        assert_eq!(trust.limit(), FEW);
    }

    #[test]
    fn a_session_that_answers_nothing_is_given_up_after_twice_the_timer() {
        let (mut trust, start) = trust(Caution::Usual);
        trust.sent(FEW);
        trust.timed_out(FEW, after(start, 10.0));
        assert_eq!(trust.limit(), 0, "nothing more goes out");
        assert_eq!(trust.deaf_at(), Some(after(start, 20.0)));
        trust.timed_out(1, after(start, 12.0));
        assert_eq!(trust.deaf_at(), Some(after(start, 20.0)));
        let life = trust.life(after(start, 20.0));
        assert_eq!((life.sent, life.answered), (10, 0));
    }

    #[test]
    fn a_late_answer_is_an_answer() {
        let (mut trust, start) = trust(Caution::Usual);
        trust.timed_out(FEW, after(start, 10.0));
        trust.answered(1, after(start, 19.0));
        assert_eq!((trust.limit(), trust.deaf_at()), (FEW, None));
        trust.timed_out(1, after(start, 25.0));
        assert_eq!(trust.deaf_at(), None, "that one got lost");
        trust.timed_out(1, after(start, 29.0));
        assert_eq!(trust.deaf_at(), None, "one is an accident");
        assert_eq!(trust.limit(), 1);
    }

    #[test]
    fn where_answers_came_one_that_is_lost_is_an_accident_and_two_are_none() {
        let (mut trust, start) = proven();
        trust.timed_out(1, after(start, 100.0));
        assert_eq!((trust.limit(), trust.next()), (1, None));
        trust.timed_out(1, after(start, 500.0));
        assert_eq!(trust.deaf_at(), Some(after(start, 510.0)), "hoped for anew");
        trust.answered(1, after(start, 509.0));
        assert_eq!((trust.limit(), trust.deaf_at()), (FEW, None));
    }

    #[test]
    fn a_window_that_times_out_at_once_is_no_accident() {
        let (mut trust, start) = proven();
        trust.timed_out(100, after(start, 11.0));
        assert_eq!(
            (trust.limit(), trust.deaf_at()),
            (1, Some(after(start, 21.0)))
        );
        trust.timed_out(1, after(start, 21.0));
        assert_eq!(
            trust.deaf_at(),
            Some(after(start, 21.0)),
            "the probe was the last hope"
        );
    }

    #[test]
    fn an_answer_lost_among_others_costs_nothing() {
        let (mut trust, start) = proven();
        for second in 2..60 {
            trust.answered(10, after(start, f64::from(second)));
            trust.timed_out(1, after(start, f64::from(second) + 0.5));
            assert_eq!((trust.limit(), trust.deaf_at()), (100, None));
        }
    }

    #[test]
    fn a_window_smaller_than_few_is_kept_to() {
        let now = Instant::now();
        for window in 0..FEW {
            let mut trust = Trust::new(window, FEW, Caution::Usual, TRIAL, RESPONSE, now);
            assert_eq!(trust.limit(), window);
            trust.answered(1, after(now, 2.0));
            assert_eq!(trust.limit(), window);
        }
    }
}
