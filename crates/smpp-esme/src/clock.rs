//! The timers of a session that do not belong to a request.

use std::time::Duration;

use tokio::time::Instant;

use super::options::Timers;
use super::session::End;
use crate::Time;

/// When what happened last.
#[derive(Debug)]
pub(super) struct Clock {
    /// A whole PDU came.
    pub heard: Instant,
    /// An enquire_link was sent, and nothing was heard since.
    pub enquired: Option<Instant>,
    /// The last enquire_link was sent, and is not answered.
    pub asked: Option<Instant>,
    /// A message or its answer went either way.
    pub traffic: Instant,
    /// The PDU that is incomplete began to arrive.
    pub partial: Option<Instant>,
    /// A write made no progress, and none did since.
    pub stalled: Option<Instant>,
    /// PDUs may have come together with the answer to the bind.
    pub unread: bool,
}

impl Clock {
    pub fn new(now: Instant) -> Self {
        Clock {
            heard: now,
            enquired: None,
            asked: None,
            traffic: now,
            partial: None,
            stalled: None,
            unread: true,
        }
    }

    /// Whether the session has to end.
    pub fn check(&self, timers: &Timers, now: Instant) -> Result<(), End> {
        let over = |since: Option<Instant>, limit: Time| {
            since.is_some_and(|since| since + bounded(limit) <= now)
        };
        if over(self.enquired, timers.response) {
            Err(End::Silent)
        } else if over(self.partial, timers.read) {
            Err(End::Incomplete)
        } else if over(self.stalled, timers.response) {
            Err(End::Stalled)
        } else {
            Ok(())
        }
    }

    /// Whether it is time for an enquire_link.
    pub fn wants_enquire_link(&self, timers: &Timers, now: Instant) -> bool {
        self.enquire_at(timers).is_some_and(|at| at <= now)
    }

    /// When to look at the clock again.
    pub fn next(&self, timers: &Timers) -> Option<Instant> {
        let after = |since: Option<Instant>, limit: Time| since.map(|since| since + bounded(limit));
        [
            after(self.enquired, timers.response),
            after(self.partial, timers.read),
            after(self.stalled, timers.response),
            self.enquire_at(timers),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn enquire_at(&self, timers: &Timers) -> Option<Instant> {
        let wanted = self.enquired.is_none() && !timers.enquire_link.get().is_zero();
        wanted.then(|| self.heard + bounded(timers.enquire_link))
    }

    /// When nothing useful will have happened for too long.
    pub fn inactive_at(&self, timers: &Timers) -> Option<Instant> {
        let wanted = !timers.inactivity.get().is_zero();
        wanted.then(|| self.traffic + bounded(timers.inactivity))
    }
}

/// A time that can be added to an instant.
fn bounded(time: Time) -> Duration {
    time.get().min(Duration::from_secs(86_400 * 365))
}
