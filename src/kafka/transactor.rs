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

/// From the end of a transaction to the beginning of the next. The coordinator refuses the next one until the
/// markers of the last are written, which takes about as long, and it would be asked in vain and again 2 ms
/// later. And what the last one allowed is sent meanwhile: an SMSC that answers at once has its results in the
/// next transaction instead of the one after.
const REST: Duration = Duration::from_micros(500);

/// The longest rest: a slow broker is no reason to wait for seconds.
const LONGEST_REST: Duration = Duration::from_millis(250);

/// A transaction with so many records costs more for these than for the partitions that it touches, and
/// as many more are about to come.
const MANY: usize = 1_000;

/// From the end of a transaction to the beginning of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Only until the next can begin: somebody waits for what it commits.
    Short,
    /// As long as the last one took, while transactions are small: what it commits can wait for a
    /// moment. A transaction costs the broker by the partitions that it touches more than by its records,
    /// so half as many leave more of the broker to those who are in a hurry.
    Long,
}

impl Rest {
    /// After a transaction of so many records that took so long.
    fn after(self, records: usize, took: Duration) -> Duration {
        match self {
            Rest::Long if records < MANY => took.clamp(REST, LONGEST_REST),
            Rest::Short | Rest::Long => REST,
        }
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
    /// What its thread is called.
    pub thread: &'static str,
    /// How long it waits after a transaction.
    pub rest: Rest,
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
    /// The pause after a failure, or a long rest, is to end.
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

    /// Somebody waits for the next transaction: it is put off neither because the last one failed nor by
    /// a long rest.
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
            let (records, took) = (cycle.records.len(), begun.elapsed());
            self.signal.meters.settled(&settled, records, took);
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
            if !failed {
                // So long nobody's hurry helps.
                std::thread::sleep(REST);
                let more = self.options.rest.after(records, took).saturating_sub(REST);
                if !more.is_zero() {
                    self.rest(more);
                }
                continue;
            }
            // After a refusal it is always the first pause.
            if self.rest(pause.grow()) {
                pause.reset();
            }
            Handle(self.signal.clone()).wake();
        }
        Ok(())
    }

    /// Waits between transactions; `true` if somebody is in a hurry.
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
    use super::*;

    #[test]
    fn those_that_can_wait_rest_as_long_as_their_last_transaction_took() {
        let micros = Duration::from_micros;
        for (rest, records, took, after) in [
            (Rest::Short, 1, 40_000, 500),
            (Rest::Short, 5_000, 40_000, 500),
            (Rest::Long, 1, 40_000, 40_000),
            (Rest::Long, 999, 40_000, 40_000),
            // A backlog is not put off.
            (Rest::Long, 1_000, 40_000, 500),
            (Rest::Long, 1, 0, 500),
            (Rest::Long, 1, 10_000_000, 250_000),
        ] {
            let what = format!("{rest:?}, {records} records in {took} us");
            assert_eq!(rest.after(records, micros(took)), micros(after), "{what}");
        }
    }
}
