//! How much a bind may have unanswered, and how fast it may go: found from what the SMSC answers.
//!
//! Two questions, kept apart as in TCP and its successors:
//!
//! - *How many at once?* (`window`) Slow start as in Reno, a ceiling that is probed as in CUBIC
//!   where the SMSC says that its queue is full, and Little's law against the response timer:
//!   what is unanswered must be answered in a part of it at the rate measured.
//! - *How fast?* (`rate`) No limit until the SMSC says ESME_RTHROTTLED; then a cut from what it
//!   *took* (as BBR measures delivery, not what was offered), and the way back along a cubic curve.
//!
//! Pure: no clock of its own, no I/O, no allocation. The session's task owns it, tells it what was
//! sent and answered, and asks for the numbers; simulated SMSCs in `tests` do the same.

mod rate;
mod window;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use rate::RateControl;
pub use rate::Siblings;
use window::WindowControl;

use super::options::Options;
use smpp_protocol::Status;

/// What an answer says about the amount and the speed of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The SMSC has dealt with the request: it took or rejected the message.
    Taken,
    /// It has answered; nothing follows for amount and speed.
    Answered,
    /// Its queue is full: too many at once.
    QueueFull,
    /// Too fast.
    TooFast,
}

/// What was noted of a request when its first octet went to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sending {
    /// When.
    pub at: Instant,
    /// How many were unanswered then, this one included.
    pub rank: usize,
}

impl Signal {
    /// What a command_status means by the specification.
    pub fn of(status: Status) -> Self {
        match status {
            Status::RMSGQFUL => Signal::QueueFull,
            Status::RTHROTTLED => Signal::TooFast,
            Status::RSYSERR | Status::RX_T_APPN => Signal::Answered,
            _ => Signal::Taken,
        }
    }
}

/// What a bind may do now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// How many requests may be unanswered.
    pub window: usize,
    /// PDUs per second; `None` without a limit.
    pub rate: Option<f64>,
    /// Answers per second that the SMSC gives when the window is what limits; 0 while unknown.
    pub answered: f64,
    /// Whether the SMSC has asked for less within the last minute.
    pub troubled: bool,
}

impl Pace {
    /// Whether it is worth telling that `before` has become this.
    pub(super) fn differs(&self, before: &Pace) -> bool {
        let far = |a: f64, b: f64, share: f64| (a - b).abs() > b * share;
        let rate = match (self.rate, before.rate) {
            (Some(a), Some(b)) => far(a, b, 0.02),
            (a, b) => a.is_some() != b.is_some(),
        };
        rate || self.window != before.window
            || self.troubled != before.troubled
            || far(self.answered, before.answered, 0.2)
    }
}

/// After so long without a complaint all is well again.
const CALM: Duration = Duration::from_secs(60);

/// The congestion control of one bind, over all its sessions.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    window: WindowControl,
    rate: RateControl,
    complained: Option<Instant>,
}

impl Flow {
    /// For a bind that may have up to `most` requests unanswered, begins with `start`, and waits
    /// `response` for each answer.
    pub fn new(
        most: usize,
        start: usize,
        response: Duration,
        siblings: Siblings,
        now: Instant,
    ) -> Self {
        Flow {
            window: WindowControl::new(most, start, response, now),
            rate: RateControl::new(siblings, now),
            complained: None,
        }
    }

    /// For the bind that these options describe.
    pub fn of(options: &Options, now: Instant) -> Self {
        let response = options.timers.response.get();
        let siblings = options.siblings.clone();
        Self::new(options.window, options.start, response, siblings, now)
    }

    /// A session begins, with nothing unanswered.
    pub fn began(&mut self, now: Instant) {
        self.window.began(now);
    }

    /// The session is over, and so many requests are in doubt.
    pub fn ended(&mut self, in_doubt: usize, now: Instant) {
        self.window.ended(in_doubt, now);
    }

    /// `count` requests were sent: `in_flight` are unanswered now.
    pub fn sent(&mut self, count: usize, in_flight: usize, now: Instant) {
        self.window.sent(count, in_flight, now);
        self.rate.sent(count, now);
    }

    /// An answer came; `congestion` is the SMSC's congestion_state, if it says one.
    pub fn answered(
        &mut self,
        sending: Sending,
        signal: Signal,
        congestion: Option<u8>,
        now: Instant,
    ) {
        self.window.heard(sending, now);
        match signal {
            Signal::Taken => {
                self.window.accepted(sending);
                self.window.answered(sending, congestion, now);
                self.rate.taken(sending.at, now);
            }
            Signal::Answered => self.window.answered(sending, congestion, now),
            Signal::QueueFull => {
                self.complained = Some(now);
                if self.window.queue_full(sending, now) {
                    self.rate.too_fast(sending.at, now);
                }
            }
            Signal::TooFast => {
                self.complained = Some(now);
                self.window.complaint();
                self.rate.too_fast(sending.at, now);
            }
        }
    }

    /// Response timers ran out.
    pub fn expired(&mut self, now: Instant) {
        self.window.expired(now);
    }

    /// An answer came after its response timer.
    pub fn late(&mut self) {
        self.window.late();
    }

    /// Looks at the clock; `in_flight` are unanswered.
    pub fn tick(&mut self, in_flight: usize, now: Instant) {
        self.window.tick(in_flight, now);
        self.rate.tick(now);
        self.complained = self
            .complained
            .filter(|at| now.saturating_duration_since(*at) < CALM);
    }

    /// When [`Self::tick`] is due although nothing happens.
    pub fn next_tick(&self, in_flight: usize) -> Option<Instant> {
        let calm = self.complained.map(|at| at + CALM);
        [self.window.next_tick(in_flight), calm]
            .into_iter()
            .flatten()
            .min()
    }

    /// How many requests may be unanswered at most, from now on.
    pub fn set_most(&mut self, most: usize) {
        self.window.set_most(most);
    }

    /// How many requests may be unanswered now.
    pub fn allowed(&self) -> usize {
        self.window.allowed()
    }

    /// What the bind may do now. The window is the one that holds while there is traffic.
    pub fn pace(&self, now: Instant) -> Pace {
        Pace {
            window: self.window.size(),
            rate: self.rate.limit(now),
            answered: self.window.rate(),
            troubled: self.complained.is_some(),
        }
    }
}
