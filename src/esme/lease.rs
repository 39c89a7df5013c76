//! The right to write submit_sm, limited in time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Until when a bind may write submit_sm: the lease on the partition that feeds it.
///
/// The partition's owner extends it with every sign that it still is the owner; the session asks
/// before every write. A process that was frozen or cut off from Kafka therefore stops by its own
/// clock, whatever else it believes. Clones share the same lease.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Nanoseconds after [`EPOCH`]; [`UNLIMITED`] never ends.
    until: AtomicU64,
    extended: Notify,
}

/// Where this process starts to count.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
const UNLIMITED: u64 = u64::MAX;
const NEVER_YET: u64 = 0;

impl Lease {
    /// A lease that is not valid until it is extended.
    pub fn new() -> Self {
        LazyLock::force(&EPOCH);
        Lease(Arc::new(Inner {
            until: AtomicU64::new(NEVER_YET),
            extended: Notify::new(),
        }))
    }

    /// A lease without end, for binds that no partition feeds.
    pub fn unlimited() -> Self {
        let lease = Self::new();
        lease.0.until.store(UNLIMITED, Ordering::Release);
        lease
    }

    /// Makes the lease end at `until`, which may also be earlier than it was.
    pub fn extend(&self, until: Instant) {
        let nanos = until.saturating_duration_since(*EPOCH).as_nanos();
        let nanos = u64::try_from(nanos)
            .unwrap_or(UNLIMITED - 1)
            .min(UNLIMITED - 1);
        self.0.until.store(nanos, Ordering::Release);
        self.0.extended.notify_waiters();
    }

    /// Ends the lease now. A session notices before its next write of submit_sm, at the latest
    /// when the lease would have ended anyway.
    pub fn end(&self) {
        self.0.until.store(NEVER_YET, Ordering::Release);
    }

    /// Whether submit_sm may be written now.
    pub fn valid(&self) -> bool {
        self.left().is_none_or(|left| !left.is_zero())
    }

    /// How long it is still valid: zero when it is over, `None` when it has no end.
    pub fn left(&self) -> Option<Duration> {
        match self.0.until.load(Ordering::Acquire) {
            UNLIMITED => None,
            until => {
                let now = tokio::time::Instant::now().into_std();
                let passed = now.saturating_duration_since(*EPOCH);
                Some(Duration::from_nanos(until).saturating_sub(passed))
            }
        }
    }

    /// Waits until the lease is valid.
    pub(super) async fn wait_valid(&self) {
        loop {
            let extended = self.0.extended.notified();
            tokio::pin!(extended);
            extended.as_mut().enable();
            if self.valid() {
                return;
            }
            extended.await;
        }
    }

    /// Waits until the lease is over.
    pub(super) async fn wait_over(&self) {
        loop {
            match self.left() {
                None => std::future::pending().await,
                Some(Duration::ZERO) => return,
                Some(left) => tokio::time::sleep(left).await,
            }
        }
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{self, advance};

    fn in_seconds(seconds: u64) -> Instant {
        time::Instant::now().into_std() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_runs_out_by_the_clock_alone() {
        let lease = Lease::new();
        assert!(!lease.valid(), "nobody has granted it yet");
        lease.extend(in_seconds(10));
        advance(Duration::from_secs(9)).await;
        assert!(lease.valid());
        advance(Duration::from_secs(1)).await;
        assert!(!lease.valid());
        lease.extend(in_seconds(10));
        assert!(lease.clone().valid(), "clones share it");
        lease.end();
        assert!(!lease.valid());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_it_wakes_when_it_is_extended() {
        let lease = Lease::new();
        let waiting = tokio::spawn({
            let lease = lease.clone();
            async move { lease.wait_valid().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        lease.extend(in_seconds(1));
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_unlimited_lease_has_no_end() {
        let lease = Lease::unlimited();
        advance(Duration::from_secs(1_000_000_000)).await;
        assert!(lease.valid());
        assert_eq!(lease.left(), None);
    }
}
