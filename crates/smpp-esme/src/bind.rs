//! A bind: sessions one after another, for as long as it is wanted.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plain_telemetry::ErrorCode;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::backoff::{Backoff, Caution, Life, after, jitter, length};
use super::client::{Change, Client, Inbound, Notice};
use super::connect::{self, Failure, Opened};
use super::handle::{Handle, Order, Shared, Source, State};
use super::home::Home;
use super::lease::Lease;
use super::notices::{
    BindRefused, Bound, FirstHostDoesNotBind, LeftForFirstHost, NotBound, OutbindSessionEnded,
    SessionCut, SessionEnded,
};
use super::options::Options;
use super::session::{End, Parties, Session};
use smpp_protocol::Status;

/// The name of the event at `debug` that is a bind's last.
pub const CLOSED: &str = "Closed";

/// A bind to an SMSC and its life: connects, serves the session, and connects again.
pub struct Bind {
    /// As configured.
    options: Options,
    /// Whom its sessions deal with.
    parties: Parties,
    /// How long it waits before it connects again, by what the last sessions were like.
    backoff: Backoff,
    /// Index of the host to be tried next, or that the session is with.
    host: usize,
    /// Whether it is to go back to the first host, and when.
    home: Home,
    /// How many sessions it has had.
    generation: u64,
    /// Whether it was said to have a session, or to have none.
    told: Option<bool>,
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
        let parties = Parties {
            client,
            inbound,
            lease,
            shared,
        };
        (
            Bind {
                options,
                parties,
                backoff: Backoff::default(),
                host: 0,
                home: Home::default(),
                generation: 0,
                told: None,
            },
            handle,
        )
    }

    /// Runs the bind until it is closed through its handle. Dropped before that, it drops the
    /// connection, and delivers the outcomes that are missing all the same.
    pub async fn run(mut self) {
        let mut orders = self.shared().orders.subscribe();
        loop {
            self.shared().state.send_replace(State::Idle);
            tokio::select! {
                biased;
                () = stopped(&mut orders) => return,
                () = self.parties.lease.wait_valid() => {}
            }
            let host = self.host();
            self.shared().state.send_replace(State::Connecting {
                host: Arc::clone(&host),
            });
            let opened = tokio::select! {
                biased;
                () = stopped(&mut orders) => return,
                () = self.parties.lease.wait_over() => continue,
                opened = self.open(&host) => opened,
            };
            let until = match opened {
                Ok(opened) => self.live(opened, host).await,
                Err(failure) => {
                    self.not_bound(&host, &failure);
                    self.failed(&failure)
                }
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
        let Some(listener) = &self.options.outbind else {
            return connect::open(&self.options, host).await;
        };
        let peer = listener.admit(&self.options).await?;
        self.parties.inbound.notice(Notice::Outbind {
            system_id: peer.system_id.clone(),
            peer: peer.peer,
        });
        connect::return_visit(&self.options, peer).await
    }

    fn shared(&self) -> &Shared {
        &self.parties.shared
    }

    fn host(&self) -> Arc<str> {
        if let Some(listener) = &self.options.outbind {
            return format!("outbind at {}", listener.listen()).into();
        }
        self.options
            .hosts
            .get(self.host)
            .map_or("", String::as_str)
            .into()
    }

    /// Serves one session to its end: until when to wait before the next.
    pub(super) async fn live(&mut self, mut opened: Opened, host: Arc<str>) -> Option<Instant> {
        let (since, peer) = (SystemTime::now(), opened.peer);
        let answer = std::mem::take(&mut opened.answer);
        self.generation += 1;
        let generation = self.generation;
        self.shared().counters.sessions.add(1);
        let caution = if self.home.is_returning() {
            Caution::Hold
        } else {
            self.backoff.caution()
        };
        let parties = self.parties.clone();
        let mut session = Session::new(opened, &self.options, parties, generation, caution);
        self.parties.client.speaks(answer.version);
        self.shared()
            .source
            .send_replace(Source::Session(session.channel()));
        self.shared().state.send_replace(State::Bound {
            since,
            generation,
            host: Arc::clone(&host),
            peer,
        });
        let (bind, mode) = (&*self.options.name, self.options.mode.name());
        Bound {
            bind,
            peer,
            mode,
            generation,
        }
        .emit();
        self.told = Some(true);
        self.parties.inbound.changed(Change::Bound {
            mode: self.options.mode,
            host: Arc::clone(&host),
            peer,
            system_id: answer.system_id,
            generation,
        });

        let end = self.drive(&mut session).await;
        session.settle(&end).await;
        let (life, in_doubt) = session.life();
        drop(session);
        self.shared().source.send_if_modified(|source| {
            let session = matches!(source, Source::Session(_));
            if session {
                *source = Source::None;
            }
            session
        });
        let stopping = *self.shared().orders.borrow() != Order::Run;
        self.unbound(Change::Unbound {
            mode: self.options.mode,
            host,
            reason: end.to_string(),
            wanted: stopping || end.is_wanted(&life),
            lasted: Some(life.lived),
            unanswered: in_doubt,
        });
        self.ended(&end, &life, in_doubt)
    }

    fn unbound(&mut self, change: Change) {
        self.told = Some(false);
        self.parties.inbound.changed(change);
    }

    /// The first time, it is said: who waits for a bind that never comes would hear nothing else.
    fn not_bound(&mut self, host: &Arc<str>, failure: &Failure) {
        if self.told.is_none() {
            self.unbound(Change::Unbound {
                mode: self.options.mode,
                host: Arc::clone(host),
                reason: failure.to_string(),
                wanted: false,
                lasted: None,
                unanswered: 0,
            });
        }
    }

    async fn drive(&self, session: &mut Session) -> End {
        let mut orders = self.shared().orders.subscribe();
        let calls = |quiet, stayed| (self.home).calls(&self.options, self.host, quiet, stayed);
        let mut stayed = 0;
        let first = calls(Duration::ZERO, stayed);
        tokio::pin!(first);
        loop {
            match *orders.borrow_and_update() {
                Order::Run => {}
                Order::Freeze => {
                    session.freeze();
                    self.freeze();
                }
                Order::Stop { by } => {
                    session.stop(by);
                    self.freeze();
                }
            }
            tokio::select! {
                biased;
                _ = orders.changed() => {}
                end = poll_fn(|cx| session.poll(cx)) => return end,
                () = &mut first => {
                    let patience = Session::patience(&self.options.timers);
                    session.leave_when_idle(patience);
                    // If it calls again, the session has stayed.
                    stayed += 1;
                    first.set(calls(patience, stayed));
                }
            }
        }
    }

    fn freeze(&self) {
        self.shared().source.send_replace(Source::Dry);
        self.shared().state.send_replace(State::Frozen);
    }

    fn ended(&mut self, end: &End, life: &Life, in_doubt: usize) -> Option<Instant> {
        let stopping = *self.shared().orders.borrow() != Order::Run;
        let success = self.backoff.ended(life, &self.options.reconnect);
        // To bind the same SMSC anew at once, as after a session that had nothing to do, would put
        // the same messages in doubt again.
        let unserved = matches!(end, End::Inactive) && !life.answers();
        if end.is_ours() && !unserved || stopping {
            self.left(end, stopping, success, in_doubt);
            return None;
        }
        let counters = &self.shared().counters;
        counters.short_lived.add(usize::from(!success));
        counters.deaf.add(usize::from(matches!(end, End::Deaf(_))));
        counters.silent.add(usize::from(matches!(end, End::Silent)));
        if !success || matches!(end, End::Deaf(_)) {
            self.backoff.distrust(life);
        }
        let lived = length(life.lived);
        let reason = match in_doubt {
            0 => format!("session ended after {lived}: {end}"),
            _ => format!("session ended after {lived}, {in_doubt} messages unanswered: {end}"),
        };
        if self.options.outbind.is_some() {
            // The SMSC begins the next one: nobody is pressed by listening at once.
            let bind = &self.options.name;
            OutbindSessionEnded {
                reason: &reason,
                bind,
            }
            .emit();
            return None;
        }
        let former = self.home.ended(self.host, success);
        self.shared()
            .counters
            .returns_failed
            .add(usize::from(former.is_some()));
        Some(self.back_off(end.code(), reason, former))
    }

    /// A session ended because we wanted it to.
    fn left(&mut self, end: &End, stopping: bool, success: bool, in_doubt: usize) {
        let bind = &self.options.name;
        match end {
            End::Moved if !stopping => {
                let from = self.host();
                self.home.leave(std::mem::take(&mut self.host));
                let to = self.host();
                self.shared().counters.returns.add(1);
                LeftForFirstHost {
                    bind,
                    from: &from,
                    to: &to,
                }
                .emit();
                return;
            }
            End::LeaseOver(over) if over.ran_out() => {
                SessionCut {
                    end,
                    bind,
                    in_doubt,
                }
                .emit();
            }
            _ => SessionEnded {
                end,
                bind,
                in_doubt,
            }
            .emit(),
        }
        if success && self.host == 0 {
            self.home = Home::default();
        }
    }

    fn failed(&mut self, failure: &Failure) -> Option<Instant> {
        if let Some(former) = self.home.not_bound() {
            let counters = &self.shared().counters;
            counters.failures.add(1);
            counters.returns_failed.add(1);
            let first = self.host();
            self.host = former;
            let host = self.host();
            let bind = &self.options.name;
            FirstHostDoesNotBind {
                failure,
                bind,
                first: &first,
                host: &host,
            }
            .emit();
            return None;
        }
        let reconnect = &self.options.reconnect;
        let reason = || match failure.hint(self.options.mode) {
            Some(hint) => format!("{failure}. {hint}"),
            None => failure.to_string(),
        };
        Some(match failure {
            Failure::Refused(status) if failure.is_permanent() => {
                self.shared().counters.failures.add(1);
                let until = Instant::now() + reconnect.refused.get();
                let system_id = &self.options.credentials.system_id;
                let wait = reconnect.refused.to_string();
                let reason: Arc<str> = reason().into();
                let bind = &self.options.name;
                BindRefused {
                    reason: &reason,
                    bind,
                    system_id,
                    wait: &wait,
                }
                .emit();
                self.shared().state.send_replace(State::Refused {
                    status: *status,
                    reason,
                    code: failure.code(),
                    until,
                });
                until
            }
            Failure::Refused(Status::RALYBND) => {
                let wait = jitter(reconnect.bound_elsewhere.get());
                self.wait(failure.code(), wait, reason(), self.backoff.failures() + 1)
            }
            _ => self.back_off(failure.code(), reason(), None),
        })
    }

    /// The next host, after the wait that this failure costs.
    fn back_off(&mut self, code: ErrorCode, reason: String, host: Option<usize>) -> Instant {
        let hosts = self.options.hosts.len().max(1);
        self.host = host.unwrap_or((self.host + 1) % hosts);
        let wait = self.backoff.failed(&self.options.reconnect, hosts);
        self.wait(code, wait, reason, self.backoff.failures())
    }

    fn wait(&self, code: ErrorCode, wait: Duration, reason: String, attempts: u32) -> Instant {
        self.shared().counters.failures.add(1);
        NotBound {
            reason: &reason,
            host: &self.host(),
            wait: &after(wait),
            bind: &self.options.name,
            attempts,
            error_code: code,
        }
        .emit();
        let until = Instant::now() + wait;
        self.shared().state.send_replace(State::Backoff {
            until,
            reason: reason.into(),
            code,
            attempts,
        });
        until
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        self.shared().source.send_replace(Source::Dry);
        self.shared().state.send_replace(State::Closed);
        debug!(name: CLOSED, bind = self.options.name, "closed");
    }
}

/// Waits until the bind is to stop.
async fn stopped(orders: &mut watch::Receiver<Order>) {
    // The sender lives in the bind itself: it cannot be gone.
    let _ = orders.wait_for(|order| *order != Order::Run).await;
}
