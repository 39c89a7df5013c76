//! Watching and steering a simulator that runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::account::{Bound, Delivery, What};
use super::fault::{Fault, Faults};
use super::{Accepted, Counts, Error, Mo, Shared};

/// A simulator from outside. Cheap to clone; the simulator runs on without it.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, addr: SocketAddr) -> Self {
        Handle { shared, addr }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The accepted messages, oldest first, as many as
    /// [`Options::remember`](super::Options::remember) keeps.
    pub fn journal(&self) -> Vec<Accepted> {
        self.shared.journal.kept()
    }

    /// What it has done since its start.
    pub fn counts(&self) -> Counts {
        self.shared.counters.get()
    }

    /// Who is bound now.
    pub fn binds(&self) -> Vec<Bound> {
        self.shared
            .ledgers()
            .iter()
            .flat_map(|account| account.binds())
            .collect()
    }

    /// Receipts and inbound messages that wait for their time, for a bind or for room in a window;
    /// those written and not yet answered are not counted.
    pub fn waiting(&self) -> usize {
        self.shared
            .ledgers()
            .iter()
            .map(|account| account.waiting())
            .sum()
    }

    /// Delivers a mobile-originated message; it waits while nobody is bound to receive it. Returns
    /// its number in the journal.
    pub fn deliver(&self, mo: &Mo) -> Result<u64, Error> {
        let account = self.shared.recipient(mo.account.as_deref())?;
        let number = self.shared.inbound.next();
        let delivery = Delivery::of(mo, number)?;
        account.deliver(&mut vec![(Instant::now(), delivery)]);
        Ok(number)
    }

    /// Tells the account, by alert_notification, that a phone can be reached again; whether any
    /// session of it is there to hear it.
    pub fn alert(&self, account: Option<&str>, phone: &str) -> Result<bool, Error> {
        let account = self.shared.recipient(account)?;
        Ok(self.shared.alert(&account, phone)?)
    }

    /// Delivers a PDU as it is, but for its sequence_number, which must be answered like a
    /// deliver_sm: for receipts of the stranger kind.
    pub fn deliver_pdu(&self, account: Option<&str>, pdu: Vec<u8>) -> Result<u64, Error> {
        let account = self.shared.recipient(account)?;
        let number = self.shared.inbound.next();
        let delivery = Delivery {
            pdu,
            what: What::Inbound { number },
            tries: 0,
        };
        account.deliver(&mut vec![(Instant::now(), delivery)]);
        Ok(number)
    }

    /// Writes octets to every connection as they are, bound or not.
    pub fn write_raw(&self, octets: &[u8]) {
        let sessions: Vec<u64> = self.shared.sessions.lock().keys().copied().collect();
        let mut raw = self.shared.raw.lock();
        for session in sessions {
            raw.entry(session).or_default().extend_from_slice(octets);
        }
        drop(raw);
        self.shared.wake_all();
    }

    /// Closes every connection without a word. New ones are accepted.
    pub fn drop_connections(&self) {
        let fresh = self.shared.stop.child_token();
        std::mem::replace(&mut *self.shared.cut.lock(), fresh).cancel();
    }

    /// Sends unbind to every bound session.
    pub fn unbind(&self) {
        self.shared.unbinds.fetch_add(1, Relaxed);
        self.shared.wake_all();
    }

    /// While paused, messages are accepted and no submit_sm is answered; the answers come
    /// afterwards.
    pub fn pause_responses(&self, paused: bool) {
        self.shared.paused.store(paused, Relaxed);
        self.shared.wake_all();
    }

    /// Replaces the scripted faults; their counts begin anew.
    pub fn set_faults(&self, faults: &[Fault]) {
        *self.shared.faults.lock() = Arc::new(Faults::new(faults));
    }

    /// Ends [`Simulator::run`](super::Simulator::run) and all sessions. Returns at once.
    pub fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
    }

    /// Waits until it has ended and the last session is written down.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }
}
