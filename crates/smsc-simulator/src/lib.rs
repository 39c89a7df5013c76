#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod account;
mod counters;
mod fault;
mod handle;
mod id;
mod journal;
mod mo;
mod notices;
mod options;
mod outbind;
mod receipt;
mod session;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use account::{Bound, Mode};
pub use counters::Counts;
pub use fault::{Action, During, Fault};
pub use handle::Handle;
pub use id::{Form, MessageIds};
pub use journal::{Accepted, Entry};
pub use mo::Mo;
pub use notices::NOTICES;
pub use options::{
    Account, Burst, Congestion, Inbound, Options, Outbind, Outcomes, Parties, Receipts, Refusal,
    Retry, Spread, Version, listen_address,
};

use smpp_protocol::pdu::AlertNotification;
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Address, Command, EncodeError, Status, Tag, Tlvs};

/// What can go wrong with a simulator itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot listen.
    #[error(
        "cannot listen on {address}: {source}; choose another address, port 0 takes a free one"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// It cannot open its journal.
    #[error("cannot append to the journal {}: {source}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Options that cannot be.
    #[error("{0}")]
    Options(String),
    /// There is nobody to deliver to.
    #[error("no account {0:?}: nobody has bound with it and it is not among the accounts given")]
    Account(String),
    /// A message that SMPP cannot carry.
    #[error("this message cannot be sent: {0}")]
    Message(#[from] EncodeError),
}

/// A simulated SMSC that listens; [`run`](Simulator::run) makes it serve.
pub struct Simulator {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What sessions, the clock and the handle share.
struct Shared {
    options: Options,
    faults: Mutex<Arc<fault::Faults>>,
    numbers: id::Numbers,
    counters: counters::Counters,
    journal: journal::Journal,
    accounts: Mutex<BTreeMap<String, Arc<account::Account>>>,
    /// Wakes each session, bound or not.
    sessions: Mutex<BTreeMap<u64, Arc<Notify>>>,
    /// Octets to write as they are, by session.
    raw: Mutex<HashMap<u64, Vec<u8>>>,
    /// Ends the connections there are.
    cut: Mutex<CancellationToken>,
    /// How often all sessions were told to unbind.
    unbinds: AtomicU64,
    paused: AtomicBool,
    inbound: plain_telemetry::Counter,
    store: store::Store,
    /// Numbers connections.
    connections: plain_telemetry::Counter,
    /// Wakes the clock when something is due before it would look again.
    clock: Arc<Notify>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Simulator {
    /// Listens and opens the journal.
    pub async fn bind(options: Options) -> Result<(Simulator, Handle), Error> {
        options.check().map_err(Error::Options)?;
        let address = options.listen;
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let journal = journal::Journal::open(options.journal.as_deref(), options.remember);
        let journal = journal.map_err(|source| Error::Journal {
            path: options.journal.clone().unwrap_or_default(),
            source,
        })?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            faults: Mutex::new(Arc::new(fault::Faults::new(&options.faults))),
            numbers: id::Numbers::new(&options.message_ids, options.seed),
            counters: counters::Counters::default(),
            journal,
            accounts: Mutex::default(),
            sessions: Mutex::default(),
            raw: Mutex::default(),
            cut: Mutex::new(stop.child_token()),
            unbinds: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            inbound: plain_telemetry::Counter::default(),
            store: store::Store::new(options.keep),
            connections: plain_telemetry::Counter::default(),
            clock: Arc::default(),
            stop,
            tasks: TaskTracker::new(),
            options,
        });
        let handle = Handle::new(shared.clone(), address);
        Ok((Simulator { listener, shared }, handle))
    }

    /// Listens and serves on the current runtime until [`Handle::stop`].
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let (simulator, handle) = Simulator::bind(options).await?;
        let tasks = simulator.shared.tasks.clone();
        tasks.spawn(simulator.run());
        Ok(handle)
    }

    /// Serves until [`Handle::stop`].
    pub async fn run(self) {
        let Simulator { listener, shared } = self;
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = accept(&listener, &shared) => {}
            () = shared.keep_time() => {}
            () = outbind::keep_asking(&shared) => {}
        }
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others will end.
                notices::NotAccepted { error }.emit();
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "no TCP_NODELAY");
        }
        let id = shared.connections.next();
        let session = session::Session::new(shared.clone(), id, peer);
        shared.tasks.spawn(session.run(stream));
    }
}

/// Something that is made up so many times a second.
struct Ticker {
    gap: Duration,
    next: Instant,
    make_up: fn(&Shared),
}

impl Ticker {
    fn new(rate: f64, make_up: fn(&Shared)) -> Option<Self> {
        (rate > 0.0).then(|| Ticker {
            gap: Duration::from_secs_f64(1.0 / rate.max(0.001)),
            next: Instant::now(),
            make_up,
        })
    }

    /// How often it is due.
    fn due(&mut self, now: Instant) -> usize {
        // After a standstill: go on from here rather than make up for it.
        self.next = self.next.max(now.checked_sub(self.gap).unwrap_or(now));
        let mut due = 0;
        while self.next <= now {
            self.next += self.gap;
            due += 1;
        }
        due
    }
}

impl Shared {
    /// The account of a bind, or why there is none.
    fn account(&self, name: &str, password: &[u8]) -> Result<Arc<account::Account>, Status> {
        let known = &self.options.accounts;
        if !known.is_empty() {
            let account = known.iter().find(|account| account.system_id == name);
            let wanted = account.ok_or(Status::RINVSYSID)?.password.as_deref();
            if wanted.is_some_and(|wanted| wanted.as_bytes() != password) {
                return Err(Status::RINVPASWD);
            }
        }
        Ok(self.ledger(name))
    }

    fn ledger(&self, name: &str) -> Arc<account::Account> {
        let mut accounts = self.accounts.lock();
        let new = || {
            Arc::new(account::Account::new(
                name,
                self.options.max_tps,
                self.clock.clone(),
            ))
        };
        accounts.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// The account to deliver to: the one named, else one that is bound to receive, else any.
    fn recipient(&self, name: Option<&str>) -> Result<Arc<account::Account>, Error> {
        let nobody = || Error::Account(name.unwrap_or_default().to_owned());
        if let Some(name) = name {
            let given = self
                .options
                .accounts
                .iter()
                .any(|account| account.system_id == name);
            let bound = self.accounts.lock().contains_key(name);
            return if given || bound {
                Ok(self.ledger(name))
            } else {
                Err(nobody())
            };
        }
        let accounts = self.ledgers();
        let receiving = accounts.iter().find(|account| account.receives());
        let any = receiving.or(accounts.first()).cloned();
        let given = || {
            self.options
                .accounts
                .first()
                .map(|given| self.ledger(&given.system_id))
        };
        any.or_else(given).ok_or_else(nobody)
    }

    fn ledgers(&self) -> Vec<Arc<account::Account>> {
        self.accounts.lock().values().cloned().collect()
    }

    fn join(&self, session: u64) -> Arc<Notify> {
        self.sessions.lock().entry(session).or_default().clone()
    }

    fn part(&self, session: u64) {
        self.sessions.lock().remove(&session);
        self.raw.lock().remove(&session);
    }

    fn wake_all(&self) {
        self.sessions
            .lock()
            .values()
            .for_each(|wake| wake.notify_one());
    }

    /// The clock: hands out what falls due and makes up inbound traffic.
    async fn keep_time(&self) {
        let mut inbound = Ticker::new(self.options.inbound.rate, Shared::make_up_inbound);
        let mut alerts = Ticker::new(self.options.inbound.alert_rate, Shared::make_up_alert);
        loop {
            let mut next = self
                .ledgers()
                .iter()
                .filter_map(|account| account.dispatch())
                .min();
            let now = Instant::now();
            let burst = self.make_up_burst(now);
            next = [next, burst].into_iter().flatten().min();
            for ticker in [&mut inbound, &mut alerts].into_iter().flatten() {
                for _ in 0..ticker.due(now) {
                    (ticker.make_up)(self);
                }
                next = Some(next.map_or(ticker.next, |next| next.min(ticker.next)));
            }
            tokio::select! {
                () = self.clock.notified() => {}
                () = async {
                    match next {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    fn make_up_inbound(&self) {
        for account in self.ledgers().iter().filter(|account| account.receives()) {
            self.make_up(account, 1);
        }
    }

    /// Inbound messages all at once, where they are due; when they are next.
    fn make_up_burst(&self, now: Instant) -> Option<Instant> {
        let burst = self.options.inbound.burst?;
        let of = |account: &Arc<account::Account>| {
            let (due, next) = account.burst(now, burst.every.map(written_units::Time::get));
            if due {
                self.make_up(account, burst.count);
            }
            next
        };
        self.ledgers().iter().filter_map(of).min()
    }

    fn make_up(&self, account: &account::Account, count: u32) {
        let inbound = &self.options.inbound;
        let (now, mut made) = (Instant::now(), Vec::new());
        for _ in 0..count {
            let number = self.inbound.next();
            let turn = usize::try_from(number).unwrap_or_default();
            let text = inbound.texts.get(turn % inbound.texts.len().max(1));
            let text = text.map_or("", String::as_str);
            let text = text.replace("{n}", &number.to_string());
            let mo = Mo::new(&inbound.source, &inbound.destination, &text);
            match account::Delivery::of(&mo, number) {
                Ok(delivery) => made.push((now, delivery)),
                Err(error) => notices::InboundNotMade {
                    error: &error,
                    text: &text,
                }
                .emit(),
            }
        }
        account.deliver(&mut made);
    }

    fn make_up_alert(&self) {
        for account in self.ledgers().iter().filter(|account| account.receives()) {
            if let Err(error) = self.alert(account, &self.options.inbound.source) {
                notices::AlertNotMade { error: &error }.emit();
            }
        }
    }

    /// Tells one session of the account that a phone can be reached; whether there was one.
    fn alert(&self, account: &account::Account, phone: &str) -> Result<bool, EncodeError> {
        let mut binds = account.binds().into_iter();
        let Some(bound) = binds.find(|bound| bound.mode.receives()) else {
            return Ok(false);
        };
        let mut tlvs = Vec::new();
        push_tlv(&mut tlvs, Tag::MS_AVAILABILITY_STATUS, &[0])?;
        let alert = AlertNotification {
            source: Address::parse(phone),
            esme: Address::parse(&self.options.inbound.destination),
            tlvs: Tlvs::new(&tlvs),
        };
        let number = u32::try_from(self.connections.next()).unwrap_or(1);
        let mut pdu = Vec::new();
        alert.encode(Command::ALERT_NOTIFICATION, Status::ROK, number, &mut pdu)?;
        self.raw
            .lock()
            .entry(bound.session)
            .or_default()
            .extend(pdu);
        if let Some(wake) = self.sessions.lock().get(&bound.session) {
            wake.notify_one();
        }
        Ok(true)
    }
}
