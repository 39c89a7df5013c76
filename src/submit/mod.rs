//! An outbound record becomes a submit_sm and then a result.
//!
//! ```text
//!           poll thread                 tokio                       transactor thread
//!  Kafka ──► intake ──► Pipeline ──pick──► Sender ──► session ──► SMSC
//!                        ▲  ▲                            │
//!                        │  └── outcome ◄─ OutcomeHandler ◄┘
//!                        └── begin / settled ── SubmitTransactions ──► Kafka
//! ```
//!
//! - [`ownership`]: which partitions are ours, and what happens when they come and go;
//! - [`message`]: a Kafka record becomes an outgoing message or a rejection;
//! - [`state`]: what is known of partitions, of what is in flight, of what is to be published;
//! - [`pipeline`]: the one lock over that;
//! - [`binds`]: binds that share partitions, and the tasks that feed them;
//! - [`results`]: outcomes as records, in transactions and, when they come late, beside them.

pub(crate) mod binds;
mod look;
pub mod message;
pub(crate) mod notices;
pub(crate) mod options;
pub mod ownership;
pub(crate) mod pipeline;
pub(crate) mod results;
pub(crate) mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle as Runtime;
use tokio_util::sync::CancellationToken;

use crate::codes::{self, ErrorCode};
use crate::kafka::cause::Cause;
use crate::kafka::start::Reading;
use crate::kafka::transactor::Transactor;
use crate::kafka::{Group, poll, transactor};
use crate::submit::notices::{Draining, LastTransactionUnanswered, NotDrained};
use crate::threads;
use smpp_esme::Lease;

pub(crate) use message::outgoing::Returned;

use binds::account::Account;
pub use binds::wanted::Wanted;
pub use options::{OnStatus, Settings};
use ownership::assignment::{OwnerParts, PartitionOwner};
use pipeline::Pipeline;
use results::events::Events;
use results::late_producer::LateProducer;
use results::transaction::{LeaseTiming, SubmitTransactions};

/// How often the partitions of an account's topic are counted.
const SHARES_REFRESH: Duration = Duration::from_secs(10);

/// How the pipeline works.
pub struct Options {
    /// Properties of the group's consumer.
    pub consumer: ClientConfig,
    /// Properties of the transactional producer.
    pub transactional: ClientConfig,
    /// Properties of the producer for late answers.
    pub producer: ClientConfig,
    /// The cluster's id.
    pub cluster_id: String,
    /// transactional.id of this process.
    pub transactional_id: String,
    /// `session.timeout.ms` of the group.
    pub session_timeout: Duration,
    /// `transaction.timeout.ms`.
    pub transaction_timeout: Duration,
    /// What the user may set.
    pub settings: Settings,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
    /// How results become records.
    pub events: Events,
    /// The topics that show whether anything was ever sent.
    pub results: Vec<String>,
    /// Topics whose number of partitions must not change, and that number.
    pub fixed: Vec<(String, i32)>,
    /// The accounts, at least one.
    pub accounts: Vec<Arc<Account>>,
}

/// What ends the pipeline.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A producer could not be made: its properties are wrong.
    #[error("a Kafka client cannot be made: {0}")]
    Client(#[from] KafkaError),
    /// The consumer could not be made, or cannot go on.
    #[error(transparent)]
    Poll(#[from] poll::Error),
    /// The operating system gave no thread.
    #[error("no thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The brokers do no transactions.
    #[error(transparent)]
    Impossible(Box<Cause>),
    /// A thread ended that must not end.
    #[error("the {0} thread ended")]
    Ended(&'static str),
}

impl Error {
    /// By which it is explained.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Error::Client(_) => codes::KAFKA_CLIENT,
            Error::Poll(error) => error.code(),
            Error::Thread(_) => codes::NO_THREAD,
            Error::Impossible(cause) => cause.code(),
            Error::Ended(_) => codes::BUG,
        }
    }
}

/// Looks into a running [`Submit`], and ends it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    owner: Arc<PartitionOwner>,
    pipeline: Arc<Pipeline>,
    group: Arc<Group>,
    stopping: CancellationToken,
}

impl Handle {
    /// Ends [`Submit::run`], which drains first.
    pub fn stop(&self) {
        self.stopping.cancel();
    }
}

/// How long the last transaction and late answers may take at least, when the process stops.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// The service: see the [module](self).
pub struct Submit {
    /// As configured.
    options: Options,
    /// The state of all partitions.
    pipeline: Arc<Pipeline>,
    /// The membership in the group.
    group: Arc<Group>,
    /// Takes partitions over and gives them up.
    owner: Arc<PartitionOwner>,
    /// The handle of the thread that polls.
    poll: poll::Handle,
    /// What binds may write by.
    lease: Lease,
    /// Writes results as records.
    events: Arc<Events>,
    /// Whether it is to end.
    stopping: CancellationToken,
}

impl Submit {
    /// The pipeline, whose binds run on `runtime`.
    pub fn new(mut options: Options, runtime: Runtime) -> Result<(Self, Handle), Error> {
        let group = Group::new(
            "submit",
            options.consumer.clone(),
            options.cluster_id.clone(),
        );
        let events = Arc::new(std::mem::take(&mut options.events));
        let late_producer = LateProducer::new(&options.producer, events.clone())?;
        let poll = poll::Handle::default();
        let pipeline = Arc::new(Pipeline::new(
            options.settings.clone(),
            late_producer,
            poll.clone(),
            &options.transactional_id,
        ));
        let lease = Lease::new();
        let owner = PartitionOwner::new(OwnerParts {
            group: group.clone(),
            pipeline: pipeline.clone(),
            poll: poll.clone(),
            accounts: options.accounts.clone(),
            lease: lease.clone(),
            reading: Reading {
                producer: options.transactional.clone(),
                suspicion: Duration::from_secs(2),
                timeout: Duration::from_secs(25),
                own: options.transactional_id.clone(),
            },
            results: options.results.clone(),
            fixed: options.fixed.clone(),
            revoke_drain: options.settings.revoke_drain.get(),
            runtime,
        });
        let handle = Handle {
            owner: owner.clone(),
            pipeline: pipeline.clone(),
            group: group.clone(),
            stopping: CancellationToken::new(),
        };
        let submit = Submit {
            stopping: handle.stopping.clone(),
            options,
            pipeline,
            group,
            owner,
            poll,
            lease,
            events,
        };
        Ok((submit, handle))
    }

    /// Works until [`Handle::stop`], then drains: takes nothing more, waits for what is out,
    /// commits, unbinds, leaves the group.
    pub async fn run(self) -> Result<(), Error> {
        let session = self.options.session_timeout;
        let terms = LeaseTiming {
            recommit: session / 6,
            // Less than the session time-out: clocks differ, and a write takes time.
            validity: session.mul_f64(0.8),
        };
        let ledger = SubmitTransactions::new(
            self.pipeline.clone(),
            self.owner.clone(),
            self.events.clone(),
            self.group.clone(),
            self.lease.clone(),
            terms,
        );
        let (transactor, handle) = Transactor::new(
            transactor::Options {
                client: self.options.transactional.clone(),
                transactional_id: self.options.transactional_id.clone(),
                transaction_timeout: self.options.transaction_timeout,
                tick: Duration::from_millis(250).min(session / 12),
                thread: "transactor",
                rest: transactor::Rest::Short,
            },
            Arc::new(ledger),
            self.group.clone(),
        );
        self.pipeline.attach(handle.clone());
        let mut writing = threads::start("transactor", move || transactor.run())?;
        let topics = self.options.accounts.iter();
        let topics = topics.filter_map(|a| a.options.topics.first().map(|t| t.to_string()));
        let poller = poll::Poller::new(
            self.group.clone(),
            topics.collect(),
            self.owner.clone(),
            self.poll.clone(),
        );
        let mut polling = threads::start("poll", move || poller.run())?;
        let _counting = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(count_partitions(
            self.owner.clone(),
        )));
        let ended = tokio::select! {
            () = self.stopping.cancelled() => None,
            ended = &mut polling => Some(ended),
            written = &mut writing => return Err(match written {
                // Nothing was ever sent.
                Ok(Err(cause)) => Error::Impossible(cause),
                _ => Error::Ended("transactor"),
            }),
        };
        let by_itself = ended.is_some();
        let deadline = Instant::now() + self.options.shutdown_timeout;
        let ended = match ended {
            Some(ended) => ended,
            None => {
                self.drain().await;
                self.poll.stop();
                polling.await
            }
        };
        // The polling thread has given up what it held, for whatever reason it ended.
        self.lease.end();
        handle.stop();
        // What is left of the time, and a moment if partitions that could not be committed took all of it.
        let left = || {
            deadline
                .saturating_duration_since(Instant::now())
                .max(LAST_MOMENT)
        };
        let written = tokio::time::timeout(left(), writing).await;
        let (pipeline, flush) = (self.pipeline.clone(), left().min(Duration::from_secs(5)));
        pipeline.forget_all();
        let _ = tokio::task::spawn_blocking(move || pipeline.flush(flush)).await;
        ended.map_err(|_| Error::Ended("poll"))??;
        match written {
            _ if by_itself => Err(Error::Ended("poll")),
            Ok(Err(_)) => Err(Error::Ended("transactor")),
            Ok(Ok(_)) => Ok(()),
            Err(_) => {
                LastTransactionUnanswered {}.emit();
                Ok(())
            }
        }
    }

    /// Takes nothing more and waits until nothing is out, but leaves time for leaving.
    async fn drain(&self) {
        let assignments = self.pipeline.all_assignments();
        self.pipeline.drain(&assignments);
        let leaving = self.options.settings.revoke_drain.get() + Duration::from_secs(1);
        let timeout = self.options.shutdown_timeout.saturating_sub(leaving);
        let deadline = Instant::now() + timeout;
        let outstanding = self.pipeline.outstanding(&assignments);
        Draining { outstanding }.emit();
        while self.pipeline.outstanding(&assignments) > 0 {
            if Instant::now() >= deadline {
                let outstanding = self.pipeline.outstanding(&assignments);
                NotDrained { outstanding }.emit();
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Keeps the accounts' shares true while topics grow, commits the ends of partitions that rest, asks
/// for those of partitions that are not fetched, and says again what goes on waiting. New partitions come
/// to the group within some ten seconds; they are served when everybody has counted them ([`Account::settles_in`]).
async fn count_partitions(owner: Arc<PartitionOwner>) {
    let mut clock = tokio::time::interval(SHARES_REFRESH);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let owner = owner.clone();
        let look = move || {
            owner.refresh_shares();
            owner.commit_ends();
            owner.remind();
            owner.look_at_ends();
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }
}
