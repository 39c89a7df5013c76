//! How long a client is waited for at once.
//!
//! What comes from Kafka ends a wait at once, but a command of another thread is seen only behind it. So
//! waits are short while there is something to do, and longer when nothing happened for a while: each of
//! them costs a process that has nothing to do as much as any other.

use std::time::{Duration, Instant};

/// Nothing happened for so long: waits become long.
const LULL: Duration = Duration::from_secs(2);

/// A wait when there is nothing to do.
const LONG: Duration = Duration::from_millis(100);

/// How long a thread waits for its client.
#[derive(Debug)]
pub(crate) struct Vigil {
    /// While there is something to do.
    short: Duration,
    /// When something happened last.
    stirred: Instant,
}

impl Vigil {
    /// Something has just happened.
    pub fn new(short: Duration) -> Vigil {
        Vigil {
            short,
            stirred: Instant::now(),
        }
    }

    /// Something happens.
    pub fn stir(&mut self) {
        self.stirred = Instant::now();
    }

    /// How long the next wait may be.
    pub fn wait(&self) -> Duration {
        self.wait_at(Instant::now())
    }

    fn wait_at(&self, now: Instant) -> Duration {
        if now.saturating_duration_since(self.stirred) < LULL {
            self.short
        } else {
            LONG
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_become_long_when_nothing_happened_for_a_while() {
        let short = Duration::from_millis(10);
        let mut vigil = Vigil::new(short);
        let begun = vigil.stirred;
        assert_eq!(vigil.wait_at(begun + LULL / 2), short);
        assert_eq!(vigil.wait_at(begun + LULL), LONG);
        vigil.stir();
        assert_eq!(vigil.wait(), short);
    }
}
