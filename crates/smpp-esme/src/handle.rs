//! What others hold of a bind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use plain_telemetry::ErrorCode;
use tokio::sync::watch;
use tokio::time::Instant;

use super::channel::{Channel, Slot};
use super::client::Token;
use super::counters::{Counters, Counts};
use super::flow::{Flow, Pace};
use smpp_protocol::Status;

/// Where a bind stands.
///
/// Every outcome of a session is delivered before the state is anything else than `Bound` or
/// `Frozen`: whoever sees another state knows exactly what became of each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not connected: not started yet, or waiting for the lease.
    Idle,
    /// Connecting and binding.
    Connecting {
        /// `host:port` that is tried.
        host: Arc<str>,
    },
    /// Bound: slots are handed out.
    Bound {
        /// Since when.
        since: SystemTime,
        /// Counts the sessions of this bind, from 1.
        generation: u64,
        /// `host:port` as configured.
        host: Arc<str>,
        /// The address that this was.
        peer: SocketAddr,
    },
    /// Waiting before the next attempt.
    Backoff {
        /// When the wait ends.
        until: Instant,
        /// What went wrong, in words.
        reason: Arc<str>,
        /// By which it is explained.
        code: ErrorCode,
        /// Failures in a row.
        attempts: u32,
    },
    /// The SMSC refused the bind for a reason that another attempt will not change; there will
    /// be one all the same, after `reconnect.refused`.
    Refused {
        /// What the SMSC answered.
        status: Status,
        /// What went wrong, in words, and what to do.
        reason: Arc<str>,
        /// By which it is explained.
        code: ErrorCode,
        /// When the next attempt will be made.
        until: Instant,
    },
    /// No more requests are taken; answers to those outstanding still come.
    Frozen,
    /// Closed for good.
    Closed,
}

impl State {
    /// The state in one word: `idle`, `connecting`, `bound`, `backoff`, `refused`, `frozen`,
    /// `closed`.
    pub fn name(&self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Connecting { .. } => "connecting",
            State::Bound { .. } => "bound",
            State::Backoff { .. } => "backoff",
            State::Refused { .. } => "refused",
            State::Frozen => "frozen",
            State::Closed => "closed",
        }
    }
}

/// What the holders of a handle want of a bind. Only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    Freeze,
    Stop { by: Instant },
}

/// Where slots come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// No session now.
    None,
    /// This session.
    Session(Arc<Channel>),
    /// There will not be any again.
    Dry,
}

/// What a bind shares with its handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub state: watch::Sender<State>,
    pub orders: watch::Sender<Order>,
    pub source: watch::Sender<Source>,
    pub counters: Counters,
    /// The congestion control while no session has it.
    pub flow: Mutex<Option<Flow>>,
    /// What it allowed when the client was told last.
    pub pace: Mutex<Pace>,
    /// Whether that is less than the bind's full speed: read for each batch that is sent.
    pub limited: AtomicBool,
    /// How many requests may be unanswered at most; 0 for what is configured.
    pub most: AtomicUsize,
    /// How long the SMSC took to answer the last enquire_link, in microseconds and one more; 0 while
    /// it has answered none.
    round_trip: AtomicU64,
}

impl Shared {
    pub fn new() -> Arc<Self> {
        Arc::new(Shared {
            state: watch::Sender::new(State::Idle),
            orders: watch::Sender::new(Order::Run),
            source: watch::Sender::new(Source::None),
            counters: Counters::default(),
            flow: Mutex::new(None),
            pace: Mutex::new(Pace::default()),
            limited: AtomicBool::new(false),
            most: AtomicUsize::new(0),
            round_trip: AtomicU64::new(0),
        })
    }

    /// An enquire_link was answered after so long.
    pub fn measured(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.round_trip.store(micros.saturating_add(1), Relaxed);
    }
}

/// A cheap handle on a bind; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Handle {
    /// Waits until the bind is bound and its window has room. `None` when it is frozen or closed
    /// and therefore never will be. A receiver has no slots: this waits until it is closed.
    pub async fn slot(&self) -> Option<Slot> {
        if let Some(slot) = self.try_slot() {
            return Some(slot);
        }
        let mut source = self.shared.source.subscribe();
        loop {
            let now = source.borrow_and_update().clone();
            match now {
                Source::Dry => return None,
                Source::None => {}
                Source::Session(channel) => {
                    if let Some(slot) = channel.slot().await {
                        return Some(slot);
                    }
                }
            }
            source.changed().await.ok()?;
        }
    }

    /// A slot, if there is one now.
    pub fn try_slot(&self) -> Option<Slot> {
        match &*self.shared.source.borrow() {
            Source::Session(channel) => Arc::clone(channel).try_slot(),
            Source::None | Source::Dry => None,
        }
    }

    /// How many requests may be unanswered now: 0 without a session, few while it is young.
    pub fn limit(&self) -> usize {
        match &*self.shared.source.borrow() {
            Source::Session(channel) => channel.limit(),
            Source::None | Source::Dry => 0,
        }
    }

    /// Whether both are handles on the same bind.
    pub fn is(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// How many requests may be unanswered at most from now on, in place of
    /// [`Options::window`](super::Options::window); at least 1. A smaller one holds
    /// at once: slots that were handed out before, and not used yet, are refused. Into a larger one the
    /// session grows as it is answered.
    pub fn set_window(&self, most: usize) {
        let before = self.shared.most.swap(most.max(1), Relaxed);
        if before != most.max(1)
            && let Source::Session(channel) = &*self.shared.source.borrow()
        {
            channel.wake();
        }
    }

    /// What [`Self::set_window`] was told last.
    pub fn window(&self) -> Option<usize> {
        Some(self.shared.most.load(Relaxed)).filter(|most| *most > 0)
    }

    /// How many of [`Self::limit`] are taken: by requests that are unanswered, and by slots that are
    /// handed out.
    pub fn used(&self) -> usize {
        match &*self.shared.source.borrow() {
            Source::Session(channel) => channel.used(),
            Source::None | Source::Dry => 0,
        }
    }

    /// How long the SMSC took to answer the last enquire_link; `None` while it has answered none.
    pub fn round_trip(&self) -> Option<Duration> {
        let micros = self.shared.round_trip.load(Relaxed).checked_sub(1)?;
        Some(Duration::from_micros(micros))
    }

    /// The bind's state, to read and to wait for.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// How many requests may be unanswered and how fast they may go, as the SMSC's answers have
    /// shown.
    pub fn pace(&self) -> Pace {
        *self.shared.pace.lock()
    }

    /// Whether [`Self::pace`] names a rate.
    pub fn is_limited(&self) -> bool {
        self.shared.limited.load(Relaxed)
    }

    /// What the bind has counted since it was made.
    pub fn counts(&self) -> Counts {
        self.shared.counters.get()
    }

    /// From this call's return on no request is written any more: those that were queued have
    /// come back as `NotSent`. The session goes on, so that answers still arrive and deliver_sm
    /// is still served. Cannot be undone: the next step is [`Self::stop`], and if the session
    /// ends before it, the bind is closed for good.
    pub async fn freeze(&self) {
        self.shared.orders.send_if_modified(|order| {
            let first = *order == Order::Run;
            if first {
                *order = Order::Freeze;
            }
            first
        });
        self.wait_for(|state| matches!(state, State::Frozen | State::Closed))
            .await;
    }

    /// Takes these requests back: those of which nothing was written come back as `NotSent`, and
    /// none of them is written from this call's return on. The session goes on; those of which
    /// anything was written are answered or time out as ever.
    pub async fn recall(&self, tokens: &[Token]) {
        let told = match &*self.shared.source.borrow() {
            Source::Session(channel) => channel.recall(tokens),
            // Frozen, or over: everything that was not written came back with that.
            Source::None | Source::Dry => None,
        };
        if let Some(told) = told {
            // It ends without a value, also when the session ends first.
            let _ = told.await;
        }
    }

    /// Ends [`Bind::run`](super::Bind::run): freezes, waits up to `drain` for outstanding answers,
    /// unbinds and closes. What has no answer by then is in doubt
    /// ([`Doubt::Closed`](super::Doubt::Closed)). Returns at once; of several drains the shortest
    /// counts.
    pub fn stop(&self, drain: Duration) {
        let by = Instant::now() + drain;
        self.shared.orders.send_modify(|order| {
            *order = match *order {
                Order::Stop { by: earlier } => Order::Stop {
                    by: by.min(earlier),
                },
                Order::Run | Order::Freeze => Order::Stop { by },
            };
        });
    }

    /// Waits until the bind has ended and all outcomes are delivered.
    pub async fn stopped(&self) {
        self.wait_for(|state| matches!(state, State::Closed)).await;
    }

    async fn wait_for(&self, reached: impl FnMut(&State) -> bool) {
        // The sender lives in `self`: it cannot be gone.
        let _ = self.state().wait_for(reached).await;
    }
}
