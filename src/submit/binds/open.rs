//! The binds of an account that are there, for those who look, and what all of its binds have counted.

use std::sync::Arc;

use parking_lot::Mutex;
use smpp_esme::{Counts, Handle, Mode, State};

use crate::status::{self, Window};

/// See the [module](self). Binds come and go with partitions; what they counted stays.
#[derive(Debug, Default)]
pub struct OpenBinds(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    binds: Vec<Arc<OpenBind>>,
    /// What those have counted that are not there any more.
    ended: Counts,
}

/// A bind that is there.
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
    /// Its handle.
    pub handle: Handle,
}

impl OpenBinds {
    /// A bind is there, until it is [removed](Self::remove).
    pub fn add(&self, bind: OpenBind) -> Arc<OpenBind> {
        let bind = Arc::new(bind);
        self.0.lock().binds.push(bind.clone());
        bind
    }

    /// The bind has ended.
    pub fn remove(&self, bind: &Arc<OpenBind>) {
        let mut open = self.0.lock();
        let before = open.binds.len();
        open.binds.retain(|other| !Arc::ptr_eq(other, bind));
        if open.binds.len() < before {
            open.ended += bind.handle.counts();
        }
    }

    /// What all binds have counted since the start of the process.
    pub fn counts(&self) -> Counts {
        let open = self.0.lock();
        let mut counts = open.ended;
        for bind in &open.binds {
            counts += bind.handle.counts();
        }
        counts
    }

    /// What can be seen of each, in the order of their names.
    pub fn status(&self) -> Vec<status::Bind> {
        let binds = self.0.lock().binds.clone();
        let mut all: Vec<status::Bind> = binds.iter().map(|bind| bind.status()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl OpenBind {
    fn status(&self) -> status::Bind {
        let (handle, state) = (&self.handle, self.handle.state().borrow().clone());
        let pace = handle.pace();
        let counts = handle.counts();
        let names = Counts::TABLE.iter().map(|count| count.name.to_owned());
        status::Bind {
            name: self.name.clone(),
            mode: self.mode.name().to_owned(),
            state: state.name().to_owned(),
            submits: self.mode.submits(),
            window: Window {
                used: handle.used() as u64,
                allowed: handle.limit() as u64,
                most: handle.window().unwrap_or(self.window) as u64,
            },
            rate: pace.rate,
            contracted_rate: Some(self.rate).filter(|rate| rate.is_finite()),
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
