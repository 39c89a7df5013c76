//! The binds that the bind groups of an account have, for those who look, and what all of them have
//! counted. One that operators want closed is there, too.

use std::sync::Arc;

use parking_lot::Mutex;
use smpp_esme::{Counts, Handle, Mode, Options, State};

use crate::status::{self, Window};
use crate::submit::binds::wanted::Wanted;

/// See the [module](self). Binds come and go with partitions; what they counted stays.
#[derive(Debug, Default)]
pub struct OpenBinds(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    binds: Vec<Arc<OpenBind>>,
    /// What those have counted that are closed.
    ended: Counts,
}

/// A bind of a group that is there.
#[derive(Debug)]
pub struct OpenBind {
    /// Its name.
    pub name: String,
    /// What it is used for.
    pub mode: Mode,
    /// The most that it may have unanswered.
    pub window: usize,
    /// Its own limit in PDUs per second; infinite without one.
    pub rate: f64,
    /// Its handle; none while operators want it closed.
    handle: Mutex<Option<Handle>>,
}

impl OpenBinds {
    /// A group has a bind, until it is [removed](Self::remove).
    pub fn add(&self, options: &Options, rate: f64) -> Arc<OpenBind> {
        let bind = Arc::new(OpenBind {
            name: options.name.clone(),
            mode: options.mode,
            window: options.window,
            rate,
            handle: Mutex::new(None),
        });
        self.0.lock().binds.push(bind.clone());
        bind
    }

    /// It is closed, and may be opened again.
    pub fn closed(&self, bind: &OpenBind) {
        let mut open = self.0.lock();
        if let Some(handle) = bind.handle.lock().take() {
            open.ended += handle.counts();
        }
    }

    /// The group has ended.
    pub fn remove(&self, bind: &Arc<OpenBind>) {
        self.closed(bind);
        let mut open = self.0.lock();
        open.binds.retain(|other| !Arc::ptr_eq(other, bind));
    }

    /// What all binds have counted since the start of the process.
    pub fn counts(&self) -> Counts {
        let open = self.0.lock();
        let mut counts = open.ended;
        for bind in &open.binds {
            if let Some(handle) = &*bind.handle.lock() {
                counts += handle.counts();
            }
        }
        counts
    }

    /// What can be seen of each, in the order of their names, while operators want this of an account
    /// with these topics.
    pub fn status(&self, wanted: &Wanted, topics: &[Arc<str>]) -> Vec<status::Bind> {
        let binds = self.0.lock().binds.clone();
        let of = |bind: &Arc<OpenBind>| status::Bind {
            paused: wanted.is_paused(&bind.name, topics),
            drained: wanted.is_closed(&bind.name),
            ..bind.status()
        };
        let mut all: Vec<status::Bind> = binds.iter().map(of).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl OpenBind {
    /// It is opened.
    pub fn opened(&self, handle: Handle) {
        *self.handle.lock() = Some(handle);
    }

    fn status(&self) -> status::Bind {
        let handle = self.handle.lock().clone();
        let seen = match &handle {
            Some(handle) => self.open(handle),
            None => status::Bind {
                state: State::Closed.name().to_owned(),
                window: Window {
                    most: self.window as u64,
                    ..Window::default()
                },
                ..place(&State::Closed)
            },
        };
        status::Bind {
            name: self.name.clone(),
            mode: self.mode.name().to_owned(),
            submits: self.mode.submits(),
            contracted_rate: Some(self.rate).filter(|rate| rate.is_finite()),
            ..seen
        }
    }

    fn open(&self, handle: &Handle) -> status::Bind {
        let state = handle.state().borrow().clone();
        let pace = handle.pace();
        let counts = handle.counts();
        let names = Counts::TABLE.iter().map(|count| count.name.to_owned());
        status::Bind {
            state: state.name().to_owned(),
            window: Window {
                used: handle.used() as u64,
                allowed: handle.limit() as u64,
                most: handle.window().unwrap_or(self.window) as u64,
            },
            rate: pace.rate,
            throttled: pace.troubled,
            round_trip: handle.round_trip().map(|time| time.as_secs_f64()),
            counts: names.zip(counts.values()).collect(),
            ..place(&state)
        }
    }
}

/// What the state says.
fn place(state: &State) -> status::Bind {
    let left = |until: &tokio::time::Instant| {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        Some(left.as_secs_f64())
    };
    let nothing = status::Bind::default();
    match state {
        State::Connecting { host } => status::Bind {
            host: Some(host.to_string()),
            ..nothing
        },
        State::Bound {
            since, host, peer, ..
        } => status::Bind {
            host: Some(host.to_string()),
            peer: Some(peer.to_string()),
            since: jiff::Timestamp::try_from(*since).ok(),
            ..nothing
        },
        State::Backoff {
            until,
            reason,
            code,
            ..
        }
        | State::Refused {
            until,
            reason,
            code,
            ..
        } => status::Bind {
            reason: Some(reason.to_string()),
            code: Some(code.to_string()),
            retry_in: left(until),
            ..nothing
        },
        State::Idle | State::Frozen | State::Closed => nothing,
    }
}
