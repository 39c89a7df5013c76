//! The way back to the first host.
//!
//! A bind that is with another of its `hosts` looks now and then whether the first one accepts
//! connections: without binding, because many accounts allow no second bind. If it does, the
//! session sends nothing more until nothing is unanswered, and is left; so nothing is in doubt by
//! that. If the first host then does not bind, or its session is no success, the bind is back with
//! the host it left, at once, and looks half as often. It also looks half as often after each time
//! that an answer did not come and the session was not left: nothing was sent meanwhile.

use std::future::pending;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::debug;

use super::backoff::jitter;
use super::connect::connect;
use super::options::Options;

/// However often a return was in vain, the first host is looked at this many times as seldom at
/// most.
const RAREST: u32 = 16;

/// What a bind knows of its returns.
#[derive(Debug, Default)]
pub(super) struct Home {
    /// The host that was left for the first one, until the session with that is over.
    left: Option<usize>,
    /// Returns in a row that were no success.
    failed: u32,
}

impl Home {
    /// Whether the next session, or this one, is with the first host because another was left.
    pub fn is_returning(&self) -> bool {
        self.left.is_some()
    }

    /// The session with this host was left.
    pub fn leave(&mut self, host: usize) {
        self.left = Some(host);
    }

    /// There was no session: the host to go back to, if another was left.
    pub fn not_bound(&mut self) -> Option<usize> {
        let left = self.left.take()?;
        self.failed = self.failed.saturating_add(1);
        Some(left)
    }

    /// A session with `host` is over, not by our wish: the host to go back to, if another was left for it in vain.
    pub fn ended(&mut self, host: usize, success: bool) -> Option<usize> {
        if host == 0 && success {
            *self = Home::default();
            return None;
        }
        self.not_bound()
    }

    /// Ends when a session with the host of this number should be left, because the first one
    /// accepts connections; not within `quiet`. The session has `stayed` so often when it should
    /// have been left.
    pub async fn calls(&self, options: &Options, host: usize, quiet: Duration, stayed: u32) {
        let Some(every) = self.every(options, host, stayed) else {
            return pending().await;
        };
        sleep(quiet).await;
        loop {
            sleep(jitter(every)).await;
            let limit = options.timers.session_init.get();
            let first = options.hosts.first().map_or("", String::as_str);
            match timeout(limit, connect(options, first)).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => debug!(bind = options.name, %error, "not back at the first host"),
                Err(_) => debug!(bind = options.name, first, "the first host does not answer"),
            }
        }
    }

    fn every(&self, options: &Options, host: usize, stayed: u32) -> Option<Duration> {
        let every = options.reconnect.return_to_first.get();
        let wanted = host > 0 && options.outbind.is_none() && !every.is_zero();
        let vain = self.failed.saturating_add(stayed);
        let rarer = 2u32.saturating_pow(vain).min(RAREST);
        wanted.then(|| every.saturating_mul(rarer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    fn options(every: u64) -> Options {
        let mut options = Options::default();
        options.reconnect.return_to_first = Time::seconds(every);
        options
    }

    #[test]
    fn returns_in_vain_are_tried_ever_more_seldom_until_one_succeeds() {
        let (mut home, options) = (Home::default(), options(10));
        for seconds in [10, 20, 40, 80, 160, 160] {
            assert_eq!(
                home.every(&options, 2, 0),
                Some(Duration::from_secs(seconds))
            );
            home.leave(2);
            assert_eq!(home.not_bound(), Some(2));
            assert!(!home.is_returning());
        }
        home.leave(1);
        assert_eq!(home.ended(0, true), None);
        assert_eq!(home.every(&options, 1, 0), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_session_that_stays_is_to_be_left_ever_more_seldom() {
        let (mut home, options) = (Home::default(), options(10));
        let every = |home: &Home, stayed| home.every(&options, 1, stayed).map(|d| d.as_secs());
        let seconds = [0, 1, 2, 4, u32::MAX].map(|stayed| every(&home, stayed));
        assert_eq!(seconds, [10, 20, 40, 160, 160].map(Some));
        home.leave(1);
        home.not_bound();
        assert_eq!(every(&home, 1), Some(40), "both count");
    }

    #[test]
    fn a_session_with_the_first_host_that_was_no_success_leads_back() {
        let mut home = Home::default();
        home.leave(2);
        assert_eq!(home.ended(0, false), Some(2));
        assert_eq!(
            home.ended(2, true),
            None,
            "the former host's session says nothing"
        );
        assert_eq!(home.ended(0, false), None, "nobody was left for it");
        assert_eq!(
            home.every(&options(10), 2, 0),
            Some(Duration::from_secs(20))
        );
    }

    #[test]
    fn nobody_looks_from_the_first_host_or_when_it_is_not_wanted() {
        let home = Home::default();
        assert_eq!(home.every(&options(10), 0, 0), None);
        assert_eq!(home.every(&options(0), 1, 0), None);
    }
}
