//! The right to write submit_sm, limited in time.
//!
//! # Whose time
//!
//! The clock of timers ([`Instant`]) stands still while the machine is suspended: a laptop whose
//! lid is closed, a virtual machine that is paused or moved. A lease measured by it alone would
//! be as valid after a night as it was before, although the partition has long had another
//! owner. So a lease ends by whichever of two clocks is there first: that of timers, which
//! nobody can set, and one that goes on through a suspension. The latter is CLOCK_BOOTTIME where
//! there is one; elsewhere it is the wall clock. Setting that one forward ends leases early,
//! until the next commit, and setting it back changes nothing.
//!
//! A lease counts from a [`Moment`] *before* its proof was asked for, by both clocks: an answer
//! that was read after a suspension may have been given before it.

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::backoff::length;

/// Until when a bind may write submit_sm: the lease on the partition that feeds it.
///
/// The partition's owner extends it with every sign that it still is the owner; the session asks
/// before every write. A process that was frozen, suspended or cut off from Kafka therefore stops
/// by its own clocks, whatever else it believes. Clones share the same lease.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

struct Inner {
    /// Its end by the clock of timers, in nanoseconds after [`EPOCH`]; [`UNLIMITED`] never ends.
    running: AtomicU64,
    /// Its end by the clock that goes on through a suspension, counted alike.
    through: AtomicU64,
    /// What it was extended by last, for those who ask why it is over.
    proof: Mutex<Option<Proof>>,
    extended: Notify,
    clock: Clock,
}

/// What a lease counts from.
#[derive(Clone, Copy, Debug)]
struct Proof {
    since: Moment,
    validity: Duration,
}

/// Why a lease is over, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over {
    /// How long its proof lies back, by the clock that goes on through a suspension; `None` if it
    /// was given back, or never granted.
    age: Option<Duration>,
    /// How long the machine was suspended meanwhile.
    suspended: Duration,
    /// How long after its end that was noticed.
    late: Duration,
}

/// Whoever looks so much later at a clock than it wanted did not get the CPU.
const LATE: Duration = Duration::from_millis(1500);

impl Over {
    /// Whether it ended because nobody extended it.
    pub fn ran_out(&self) -> bool {
        self.age.is_some()
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(age) = self.age else {
            return f.write_str("the lease was given back");
        };
        write!(
            f,
            "the lease is over: no commit to Kafka has succeeded for {}, so the partition may have another owner. ",
            length(age)
        )?;
        if self.suspended >= Duration::from_secs(1) {
            let time = length(self.suspended);
            write!(f, "The machine was suspended for {time} of that")
        } else if self.late >= LATE {
            let late = length(self.late);
            write!(
                f,
                "This process was stopped or did not get the CPU for at least {late} of that: give it more CPU"
            )
        } else {
            f.write_str(
                "Kafka does not answer, or this process does not get enough CPU: look at the brokers and at the load; a longer kafka.session_timeout bears longer pauses",
            )
        }
    }
}

/// What says which moment it is.
type Clock = Box<dyn Fn() -> Moment + Send + Sync>;

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("running", &self.running)
            .field("through", &self.through)
            .finish_non_exhaustive()
    }
}

/// A moment by both clocks that a lease goes by: that of timers, and the one that goes on while
/// the machine is suspended. The default is the earliest there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Since [`EPOCH`], by the clock of timers.
    running: Duration,
    /// Since [`EPOCH`], by the clock that goes on through a suspension.
    through: Duration,
}

/// Where this process starts to count, by both clocks: a little before it first asks, since the
/// clock of a test that sets it may have begun earlier.
static EPOCH: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
    let now = Instant::now();
    let earlier = now.checked_sub(Duration::from_secs(60));
    (earlier.unwrap_or(now), through())
});
const UNLIMITED: u64 = u64::MAX;
const NEVER_YET: u64 = 0;

/// How long at most a timer is trusted to notice that a lease is over: it stands still while the
/// machine is suspended.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        let (running, before) = *EPOCH;
        Moment {
            running: (tokio::time::Instant::now().into_std()).saturating_duration_since(running),
            through: through().saturating_sub(before),
        }
    }

    /// How long it is from `now` to this moment by the clock that is there first.
    fn after(self, now: Moment) -> Duration {
        let running = self.running.saturating_sub(now.running);
        running.min(self.through.saturating_sub(now.through))
    }

    fn plus(self, time: Duration) -> Self {
        Moment {
            running: self.running.saturating_add(time),
            through: self.through.saturating_add(time),
        }
    }
}

/// The clock that goes on while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn through() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    // Every Linux that Rust runs on has it.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or_else(|_| wall(), Duration::from)
}

/// The clock that goes on while the machine is suspended.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn through() -> Duration {
    wall()
}

fn wall() -> Duration {
    let since = std::time::UNIX_EPOCH.elapsed();
    since.unwrap_or_default()
}

impl Lease {
    /// A lease that is not valid until it is extended.
    pub fn new() -> Self {
        LazyLock::force(&EPOCH);
        Self::by(Box::new(Moment::now))
    }

    /// A lease that goes by `clock`.
    fn by(clock: Clock) -> Self {
        Lease(Arc::new(Inner {
            running: AtomicU64::new(NEVER_YET),
            through: AtomicU64::new(NEVER_YET),
            proof: Mutex::new(None),
            extended: Notify::new(),
            clock,
        }))
    }

    /// A lease without end, for binds that no partition feeds.
    pub fn unlimited() -> Self {
        let lease = Self::new();
        lease.set(UNLIMITED, UNLIMITED);
        lease
    }

    /// Makes the lease end when `validity` has passed since `since`, which may also be earlier
    /// than it was.
    pub fn extend(&self, since: Moment, validity: Duration) {
        let nanos = |time: Duration| {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(UNLIMITED);
            nanos.min(UNLIMITED - 1)
        };
        let until = since.plus(validity);
        *self.0.proof.lock() = Some(Proof { since, validity });
        self.set(nanos(until.running), nanos(until.through));
        self.0.extended.notify_waiters();
    }

    /// Whoever reads between the two sees one of the earlier end: that is the safe side, because
    /// the earlier of both counts.
    fn set(&self, running: u64, through: u64) {
        self.0.running.store(running, Ordering::Release);
        self.0.through.store(through, Ordering::Release);
    }

    /// Ends the lease now. A session notices before its next write of submit_sm, at the latest
    /// when the lease would have ended anyway.
    pub fn end(&self) {
        *self.0.proof.lock() = None;
        self.set(NEVER_YET, NEVER_YET);
    }

    /// Why it is over, if it is.
    pub(super) fn over(&self) -> Over {
        let proof = *self.0.proof.lock();
        let now = (self.0.clock)();
        let Some(Proof { since, validity }) = proof else {
            return Over {
                age: None,
                suspended: Duration::ZERO,
                late: Duration::ZERO,
            };
        };
        let running = now.running.saturating_sub(since.running);
        let through = now.through.saturating_sub(since.through);
        Over {
            age: Some(running.max(through)),
            suspended: through.saturating_sub(running),
            late: running.saturating_sub(validity),
        }
    }

    /// Whether submit_sm may be written now.
    pub fn valid(&self) -> bool {
        self.left().is_none_or(|left| !left.is_zero())
    }

    /// How long it is still valid: zero when it is over, `None` when it has no end.
    pub fn left(&self) -> Option<Duration> {
        let running = self.0.running.load(Ordering::Acquire);
        let through = self.0.through.load(Ordering::Acquire);
        if running == UNLIMITED {
            return None;
        }
        let until = Moment {
            running: Duration::from_nanos(running),
            through: Duration::from_nanos(through),
        };
        Some(until.after((self.0.clock)()))
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
                Some(left) => tokio::time::sleep(left.min(LOOK_AGAIN)).await,
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
    use parking_lot::Mutex;
    use tokio::time::advance;

    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_lease_runs_out_by_the_clock_alone() {
        let lease = Lease::new();
        assert!(!lease.valid(), "nobody has granted it yet");
        lease.extend(Moment::now(), TEN);
        advance(Duration::from_secs(9)).await;
        assert!(lease.valid());
        advance(Duration::from_secs(1)).await;
        assert!(!lease.valid());
        lease.extend(Moment::now(), TEN);
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
        lease.extend(Moment::now(), Duration::from_secs(1));
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_unlimited_lease_has_no_end() {
        let lease = Lease::unlimited();
        advance(Duration::from_secs(1_000_000_000)).await;
        assert!(lease.valid());
        assert_eq!(lease.left(), None);
    }

    /// A lease by a clock that the test sets, in seconds of each.
    fn lease_and_clock() -> (Lease, impl Fn(u64, u64) -> Moment) {
        let now = Arc::new(Mutex::new(at(0, 0)));
        let clock = now.clone();
        let set = move |running, through| {
            *now.lock() = at(running, through);
            at(running, through)
        };
        (Lease::by(Box::new(move || *clock.lock())), set)
    }

    fn at(running: u64, through: u64) -> Moment {
        Moment {
            running: Duration::from_secs(running),
            through: Duration::from_secs(through),
        }
    }

    #[test]
    fn a_lease_is_over_when_the_machine_was_suspended_for_longer() {
        let (lease, set) = lease_and_clock();
        lease.extend(set(100, 100), TEN);
        set(101, 105);
        assert!(lease.valid());
        assert_eq!(lease.left(), Some(Duration::from_secs(5)));
        set(101, 110);
        assert!(!lease.valid(), "one second of work, nine of sleep");
    }

    #[test]
    fn a_proof_from_before_a_suspension_grants_nothing_after_it() {
        let (lease, set) = lease_and_clock();
        let begun = set(100, 100);
        set(101, 4000);
        lease.extend(begun, TEN);
        assert!(!lease.valid());
        lease.extend(set(102, 4001), TEN);
        assert!(lease.valid());
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_lease_longer() {
        let (lease, set) = lease_and_clock();
        lease.extend(set(100, 5000), TEN);
        set(110, 1000);
        assert!(!lease.valid());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_its_end_looks_again_after_a_suspension() {
        let (lease, set) = lease_and_clock();
        lease.extend(set(0, 0), Duration::from_secs(3600));
        let waiting = tokio::spawn({
            let lease = lease.clone();
            async move { lease.wait_over().await }
        });
        tokio::task::yield_now().await;
        set(0, 3600);
        advance(LOOK_AGAIN).await;
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .expect("it does not wait for its timer")
            .unwrap();
    }

    #[test]
    fn both_clocks_of_this_machine_go_on() {
        let before = Moment::now();
        std::thread::sleep(Duration::from_millis(20));
        let after = Moment::now();
        assert!(after.running - before.running >= Duration::from_millis(20));
        assert!(after.through - before.through >= Duration::from_millis(19));
    }
}
