//! The time of day, which never steps.

use std::time::Instant;

use jiff::Timestamp;

use super::join::Millis;

/// The time of day as it was when the process began, and from there on by the monotonic
/// clock: a corrected clock must not end all waits at once.
pub(super) struct Clock {
    began: Millis,
    since: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Clock {
            began: Timestamp::now().as_millisecond(),
            since: Instant::now(),
        }
    }
}

impl Clock {
    /// Now, in milliseconds since 1970, UTC.
    pub(super) fn now(&self) -> Millis {
        let passed = Millis::try_from(self.since.elapsed().as_millis()).unwrap_or(Millis::MAX);
        self.began.saturating_add(passed)
    }
}
