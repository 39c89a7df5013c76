//! One transactional producer and the cycles it goes round in.
//!
//! A pipeline keeps its results in a [`TransactionSource`]. The transactor asks it for what
//! belongs into the next transaction ([`TransactionSource::begin`]), writes it, and tells it how
//! the transaction ended ([`TransactionSource::settled`]). While one transaction commits, the next
//! one's results gather in the source.
//!
//! # What a transaction promises
//!
//! - Its records, and the offsets and metadata of every partition it touches, become visible
//!   together or not at all. A cycle without offsets would not be fenced by the group, so
//!   there is none: [`Cycle::offsets`] is never empty.
//! - The group metadata is that of the assignment from which the source fills the cycle (see
//!   [`membership`](super::membership)), and is not refreshed: if a rebalance comes in between,
//!   the coordinator refuses the offsets and the transaction is aborted as a whole.
//! - All delivery reports are awaited before the commit; an abort is never sent while the
//!   first produce request of the transaction is in flight (librdkafka can turn that into a
//!   fatal error).
//! - A broker judges batches, not records: it refuses many records that are each small
//!   enough, and names none. A refused batch is therefore tried again record by record
//!   before one of them is blamed.
//! - A partition of an output topic may not be available: it has no leader, or too few replicas.
//!   librdkafka then waits for as long as the transaction may last, and says nothing. That must
//!   not take the time of all others: where nothing is reported for [`Cycle::report_timeout`]
//!   although the transaction's offsets were taken, Kafka is there, and the records that are not
//!   reported are what it fails for ([`Abort::Unavailable`]). Where no record at all was reported,
//!   Kafka may have gone since, and it waits twice as long. If it blames them wrongly, because all
//!   of Kafka is slow or has gone, no harm is done: they are tried again soon, and with more time.
//! - An outcome that is not known (time-out, fenced, fatal error inside the commit) is not
//!   guessed. A new producer initialises under the same transactional.id, which settles the
//!   transaction one way or the other, and the metadata committed last says which: it names
//!   the producer and the number of its transaction.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use super::cause::Cause;
use super::ear::Plain;
use super::group::Group;
use super::notices::{OpenTransaction, OpenTransactionNotEnded};
use super::pause::Pause;
use super::token::producer_begins;
use super::transaction::{Abort, Cycle, Settled};
use super::transaction_meters::TransactionMeters;
use super::transactional_producer::TransactionalProducer;
use crate::threads::Pulse;

/// Pauses after transactions that failed in a row.
const AFTER_FAILURE: Pause = Pause::new(Duration::from_millis(20), Duration::from_secs(2));

/// While more is expected, it is looked for so often.
const LOOK: Duration = Duration::from_millis(1);

/// For how long a transaction is put off for what may join it, after one that was committed. Each costs
/// the broker about the same, however much it carries, and what comes too late for one waits for the
/// whole of the next.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// Of the time that the last one took.
    pub share: f64,
    /// Never longer.
    pub longest: Duration,
}

impl Rest {
    /// None is put off.
    pub const NONE: Rest = Rest {
        share: 0.0,
        longest: Duration::ZERO,
    };

    /// After a transaction that `took` so long.
    fn after(self, took: Duration) -> Duration {
        took.mul_f64(self.share).min(self.longest)
    }
}

/// Where the results of a pipeline wait for their transactions.
pub trait TransactionSource: Send + Sync + 'static {
    /// What goes into the next transaction, or `None` if there is nothing to do. `transactional_id`
    /// is to be named in the metadata. Called on the transactor's thread, at
    /// least every [`Options::tick`].
    fn begin(&self, transactional_id: &str) -> Option<Cycle>;

    /// How the transaction that [`begin`](Self::begin) filled last ended. After a refusal that
    /// names a record, the next transaction must not carry the same: the record is replaced or
    /// left out, or its partition is (see [`set_aside`](super::set_aside)).
    fn settled(&self, outcome: Settled);

    /// Whether something is under way that may soon belong into a transaction.
    fn expects_more(&self) -> bool;
}

/// How a transactor works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Client properties (brokers, security, what the user set).
    pub client: ClientConfig,
    /// The producer's transactional.id: unique to this process.
    pub transactional_id: String,
    /// `transaction.timeout.ms`: after this the broker aborts what a dead process left open.
    pub transaction_timeout: Duration,
    /// Longest time between two calls of [`TransactionSource::begin`].
    pub tick: Duration,
    /// How long one is put off while the source expects more.
    pub rest: Rest,
    /// What its thread is called.
    pub thread: &'static str,
}

#[derive(Default)]
struct Signal {
    state: Mutex<SignalState>,
    /// Notified with each change of the state.
    changed: Condvar,
    /// What is counted and timed of its transactions.
    meters: TransactionMeters,
    /// Shows that its thread makes progress.
    pulse: OnceLock<Pulse>,
}

#[derive(Default)]
struct SignalState {
    /// Something was added since the last call of `begin`: it is called without waiting.
    woken: bool,
    /// The pause after the last transaction is to end.
    hurried: bool,
    /// No other cycle begins. It is never taken back.
    stopping: bool,
}

/// Wakes and stops a [`Transactor`]. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Signal>);

impl Handle {
    /// There is something for the next transaction.
    pub fn wake(&self) {
        let mut state = self.0.state.lock();
        if !state.woken {
            state.woken = true;
            self.0.changed.notify_all();
        }
    }

    /// Somebody waits for the next transaction: it is not put off, neither because the last one failed nor
    /// for what may join it.
    pub fn hurry(&self) {
        let mut state = self.0.state.lock();
        state.woken = true;
        state.hurried = true;
        self.0.changed.notify_all();
    }

    /// What is counted and timed of its transactions.
    pub fn meters(&self) -> &TransactionMeters {
        &self.0.meters
    }

    /// Whether its thread makes progress.
    pub fn pulse(&self) -> Option<&Pulse> {
        self.0.pulse.get()
    }

    /// Ends [`Transactor::run`] after the cycle under way.
    pub fn stop(&self) {
        self.0.state.lock().stopping = true;
        self.0.changed.notify_all();
    }
}

/// The service: see the [module](self).
pub struct Transactor<S> {
    options: Options,
    /// Asked for each transaction, and told how it ended, before it is asked again.
    source: Arc<S>,
    /// Whose offsets are committed.
    group: Arc<Group>,
    /// How others wake and stop the thread.
    signal: Arc<Signal>,
}

impl<S: TransactionSource> Transactor<S> {
    /// A transactor that commits the offsets of `group`.
    pub fn new(options: Options, source: Arc<S>, group: Arc<Group>) -> (Self, Handle) {
        let signal = Arc::new(Signal::default());
        let handle = Handle(signal.clone());
        (
            Transactor {
                options,
                source,
                group,
                signal,
            },
            handle,
        )
    }

    /// Runs until [`Handle::stop`]. Blocks: give it a thread of its own.
    ///
    /// # Errors
    ///
    /// When the brokers do no transactions: then none was ever written.
    pub fn run(self) -> Result<(), Box<Cause>> {
        let mut producer = TransactionalProducer::new(&self.options);
        let mut pause = AFTER_FAILURE;
        let name = self.options.thread;
        let pulse = self.signal.pulse.get_or_init(|| Pulse::new(name));
        while self.wait() {
            pulse.beat();
            let Some(cycle) = self.source.begin(&self.options.transactional_id) else {
                continue;
            };
            debug_assert!(
                !cycle.offsets.is_empty(),
                "a transaction without offsets is not fenced"
            );
            let begun = Instant::now();
            let settled =
                producer.transact(&cycle, &self.group, || self.signal.state.lock().stopping);
            let meters = &self.signal.meters;
            let took = begun.elapsed();
            meters.settled(&settled, cycle.records.len(), took);
            let impossible = match &settled {
                Settled::Aborted(Abort::Impossible(cause)) => Some(cause.clone()),
                _ => None,
            };
            let failed = !matches!(settled, Settled::Committed { .. });
            // The next one is another.
            let refused = matches!(
                settled,
                Settled::Aborted(
                    Abort::Record { .. } | Abort::Topic { .. } | Abort::Unavailable(_)
                )
            );
            self.source.settled(settled);
            if let Some(cause) = impossible {
                return Err(cause);
            }
            if !failed || refused {
                pause.reset();
            }
            // After a refusal it is always the first pause.
            if failed && self.rest(pause.grow()) {
                pause.reset();
            }
            if failed {
                Handle(self.signal.clone()).wake();
            } else {
                self.gather(self.options.rest.after(took));
            }
        }
        Ok(())
    }

    /// Waits for what belongs into the next transaction, as long as more is expected.
    fn gather(&self, longest: Duration) {
        let deadline = Instant::now() + longest;
        while Instant::now() < deadline && self.source.expects_more() {
            let mut state = self.signal.state.lock();
            if std::mem::take(&mut state.hurried) || state.stopping {
                return;
            }
            let look = deadline.min(Instant::now() + LOOK);
            self.signal.changed.wait_until(&mut state, look);
        }
    }

    /// Waits after a failure; `true` if somebody is in a hurry.
    fn rest(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        let mut state = self.signal.state.lock();
        while !state.hurried && !state.stopping {
            if (self.signal.changed.wait_until(&mut state, deadline)).timed_out() {
                break;
            }
        }
        std::mem::take(&mut state.hurried)
    }

    /// Waits for work or the tick; `false` when it is time to end.
    fn wait(&self) -> bool {
        let mut state = self.signal.state.lock();
        if !state.woken && !state.stopping {
            self.signal.changed.wait_for(&mut state, self.options.tick);
        }
        state.woken = false;
        !state.stopping
    }
}

/// Ends whatever transaction a dead process left open under `transactional_id`, by
/// initialising a producer under that name. A process that is alive after all is fenced and
/// makes its producer anew.
pub fn end_hanging(
    client: &ClientConfig,
    transactional_id: &str,
    timeout: Duration,
) -> Result<(), KafkaError> {
    let producer: BaseProducer<Plain> = client
        .clone()
        .set("transactional.id", transactional_id)
        .set("enable.idempotence", "true")
        .create_with_context(Plain::of(client))
        .map(producer_begins)?;
    producer.init_transactions(timeout)
}

/// A transactional producer for a command, which writes one transaction after the other by itself. It ends
/// what another one under the same name has begun, and takes its place.
pub(crate) fn for_command(
    client: &ClientConfig,
    transactional_id: &str,
    transaction_timeout: Duration,
    patience: Duration,
) -> Result<BaseProducer<Plain>, KafkaError> {
    let timeout = transaction_timeout.as_millis().to_string();
    let producer: BaseProducer<Plain> = client
        .clone()
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", &timeout)
        .set("message.timeout.ms", &timeout)
        .set("enable.idempotence", "true")
        .create_with_context(Plain::of(client))
        .map(producer_begins)?;
    producer.init_transactions(patience)?;
    Ok(producer)
}

/// As [`end_hanging`], of a predecessor whose transaction hides what it wrote, and says it; whether it
/// is ended. If not, its time-out ends it.
pub(crate) fn end_predecessors(client: &ClientConfig, writer: &str, timeout: Duration) -> bool {
    OpenTransaction { writer }.emit();
    let ended = end_hanging(client, writer, timeout);
    if let Err(error) = &ended {
        OpenTransactionNotEnded { writer, error }.emit();
    }
    ended.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Expects more so many times.
    struct Expecting(AtomicUsize);

    impl TransactionSource for Expecting {
        fn begin(&self, _: &str) -> Option<Cycle> {
            None
        }

        fn settled(&self, _: Settled) {}

        fn expects_more(&self) -> bool {
            let left = self.0.load(Ordering::Relaxed);
            self.0.store(left.saturating_sub(1), Ordering::Relaxed);
            left > 0
        }
    }

    fn transactor_that_expects(times: usize) -> (Transactor<Expecting>, Handle) {
        let options = Options {
            client: ClientConfig::new(),
            transactional_id: "writer".into(),
            transaction_timeout: MINUTE,
            tick: MINUTE,
            rest: Rest::NONE,
            thread: "writer",
        };
        let group = Group::new("group", ClientConfig::new(), "cluster".into());
        Transactor::new(options, Arc::new(Expecting(times.into())), group)
    }

    #[test]
    fn a_rest_is_a_share_of_the_last_transaction_and_never_longer_than_it_may_be() {
        let rest = Rest {
            share: 0.5,
            longest: Duration::from_millis(20),
        };
        let after = |millis| rest.after(Duration::from_millis(millis)).as_millis();
        assert_eq!((after(10), after(40), after(400)), (5, 20, 20));
    }

    #[test]
    fn a_transaction_is_put_off_only_while_more_is_expected() {
        let (transactor, _handle) = transactor_that_expects(3);
        transactor.gather(MINUTE);
        assert_eq!(transactor.source.0.load(Ordering::Relaxed), 0);
        let (patient, _handle) = transactor_that_expects(usize::MAX);
        let begun = Instant::now();
        patient.gather(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn who_is_in_a_hurry_and_who_stops_wait_for_no_rest() {
        let (transactor, handle) = transactor_that_expects(usize::MAX);
        let begun = Instant::now();
        handle.hurry();
        transactor.gather(MINUTE);
        // The next one rests again.
        transactor.gather(Duration::from_millis(20));
        assert!(!transactor.signal.state.lock().hurried);
        handle.stop();
        transactor.gather(MINUTE);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert!(begun.elapsed() < MINUTE);
    }
}
