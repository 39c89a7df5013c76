//! A bind: sessions one after another, for as long as it is wanted.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use super::backoff::{Backoff, jitter};
use super::client::{Client, Inbound, Notice};
use super::connect::{self, Failure, Opened};
use super::handle::{Handle, Order, Shared, Source, State};
use super::lease::Lease;
use super::options::Options;
use super::session::{End, Session};
use crate::smpp::Status;

/// A bind to an SMSC and its life: connects, serves the session, and connects again.
pub struct Bind {
    options: Options,
    client: Arc<dyn Client>,
    inbound: Arc<dyn Inbound>,
    lease: Lease,
    shared: Arc<Shared>,
    backoff: Backoff,
    /// Index of the host to be tried next.
    host: usize,
    generation: u64,
}

impl Bind {
    /// A bind that does nothing until it is run, and the handle on it.
    pub fn new(
        options: Options,
        client: Arc<dyn Client>,
        inbound: Arc<dyn Inbound>,
        lease: Lease,
    ) -> (Bind, Handle) {
        let shared = Shared::new();
        let handle = Handle {
            shared: Arc::clone(&shared),
        };
        let backoff = Backoff::default();
        (
            Bind {
                options,
                client,
                inbound,
                lease,
                shared,
                backoff,
                host: 0,
                generation: 0,
            },
            handle,
        )
    }

    /// Runs the bind until it is closed through its handle. Dropped before that, it drops the
    /// connection, and delivers the outcomes that are missing all the same.
    pub async fn run(mut self) {
        let mut orders = self.shared.orders.subscribe();
        loop {
            self.shared.state.send_replace(State::Idle);
            tokio::select! {
                biased;
                () = stopped(&mut orders) => return,
                () = self.lease.wait_valid() => {}
            }
            let host = self.host();
            self.shared.state.send_replace(State::Connecting {
                host: Arc::clone(&host),
            });
            let opened = tokio::select! {
                biased;
                () = stopped(&mut orders) => return,
                () = self.lease.wait_over() => continue,
                opened = self.open(&host) => opened,
            };
            let until = match opened {
                Ok(opened) => self.live(opened, host).await,
                Err(failure) => self.failed(&failure),
            };
            if let Some(until) = until {
                tokio::select! {
                    biased;
                    () = stopped(&mut orders) => return,
                    () = sleep_until(until) => {}
                }
            }
        }
    }

    /// Connects and binds, or waits until the SMSC connects and asks for it.
    async fn open(&self, host: &str) -> Result<Opened, Failure> {
        let Some(door) = &self.options.outbind else {
            return connect::open(&self.options, host).await;
        };
        let guest = door.admit(&self.options).await?;
        self.inbound.notice(Notice::Outbind {
            system_id: guest.system_id.clone(),
            peer: guest.peer,
        });
        connect::return_visit(&self.options, guest).await
    }

    fn host(&self) -> Arc<str> {
        if let Some(door) = &self.options.outbind {
            return format!("outbind at {}", door.listen()).into();
        }
        let index = self.host % self.options.hosts.len().max(1);
        self.options
            .hosts
            .get(index)
            .map_or("", String::as_str)
            .into()
    }

    /// Serves one session to its end: until when to wait before the next.
    pub(super) async fn live(&mut self, opened: Opened, host: Arc<str>) -> Option<Instant> {
        let (began, since, peer) = (Instant::now(), SystemTime::now(), opened.peer);
        let version = opened.version;
        self.generation += 1;
        let generation = self.generation;
        self.shared.counters.sessions.add(1);
        let mut session = Session::new(
            opened,
            &self.options,
            Arc::clone(&self.client),
            Arc::clone(&self.inbound),
            self.lease.clone(),
            Arc::clone(&self.shared),
            generation,
        );
        self.client.speaks(version);
        self.shared
            .source
            .send_replace(Source::Session(session.channel()));
        self.shared.state.send_replace(State::Bound {
            since,
            generation,
            host,
            peer,
        });
        info!(bind = self.options.name, %peer, mode = self.options.mode.name(), generation, "bound");

        let end = self.drive(&mut session).await;
        session.settle(&end).await;
        drop(session);
        self.shared.source.send_if_modified(|source| {
            let session = matches!(source, Source::Session(_));
            if session {
                *source = Source::None;
            }
            session
        });
        self.ended(&end, began.elapsed())
    }

    async fn drive(&self, session: &mut Session) -> End {
        let mut orders = self.shared.orders.subscribe();
        loop {
            match *orders.borrow_and_update() {
                Order::Run => {}
                Order::Freeze => {
                    session.freeze();
                    self.freeze();
                }
                Order::Close { by } => {
                    session.close(by);
                    self.freeze();
                }
            }
            tokio::select! {
                biased;
                _ = orders.changed() => {}
                end = poll_fn(|cx| session.poll(cx)) => return end,
            }
        }
    }

    fn freeze(&self) {
        self.shared.source.send_replace(Source::Dry);
        self.shared.state.send_replace(State::Frozen);
    }

    fn ended(&mut self, end: &End, lived: Duration) -> Option<Instant> {
        let bind = &self.options.name;
        let stopping = *self.shared.orders.borrow() != Order::Run;
        if end.is_ours() || stopping {
            info!(bind, "session ended: {end}");
            return None;
        }
        if self.options.outbind.is_some() {
            // The SMSC begins the next one: nobody is pressed by listening at once.
            info!(bind, "session ended: {end}");
            return None;
        }
        self.backoff.lived(lived, &self.options.reconnect);
        Some(self.back_off(end.to_string()))
    }

    fn failed(&mut self, failure: &Failure) -> Option<Instant> {
        let reconnect = &self.options.reconnect;
        Some(match failure {
            Failure::Refused(status) if failure.is_permanent() => {
                self.shared.counters.failures.add(1);
                let until = Instant::now() + reconnect.refused.get();
                let system_id = &self.options.identity.system_id;
                let wait = reconnect.refused.to_string();
                error!(bind = self.options.name, system_id, wait, "{failure}");
                self.shared.state.send_replace(State::Refused {
                    status: *status,
                    until,
                });
                until
            }
            Failure::Refused(Status::RALYBND) => {
                let wait = jitter(reconnect.bound_elsewhere.get());
                self.wait(wait, failure.to_string(), self.backoff.failures() + 1)
            }
            _ => self.back_off(failure.to_string()),
        })
    }

    /// The next host, after the wait that this failure costs.
    fn back_off(&mut self, reason: String) -> Instant {
        self.host = self.host.wrapping_add(1);
        let wait = self
            .backoff
            .failed(&self.options.reconnect, self.options.hosts.len());
        self.wait(wait, reason, self.backoff.failures())
    }

    fn wait(&self, wait: Duration, reason: String, attempts: u32) -> Instant {
        self.shared.counters.failures.add(1);
        warn!(
            bind = self.options.name,
            attempts, "{reason}; next attempt in {wait:.1?}"
        );
        let until = Instant::now() + wait;
        self.shared.state.send_replace(State::Backoff {
            until,
            reason: reason.into(),
            attempts,
        });
        until
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        self.shared.source.send_replace(Source::Dry);
        self.shared.state.send_replace(State::Closed);
        debug!(bind = self.options.name, "closed");
    }
}

/// Waits until the bind is to stop.
async fn stopped(orders: &mut watch::Receiver<Order>) {
    // The sender lives in the bind itself: it cannot be gone.
    let _ = orders.wait_for(|order| *order != Order::Run).await;
}
