//! An idempotent producer that is made anew when it can no longer go on.
//!
//! librdkafka gives an idempotent producer up for good after some errors: it may not initialise
//! (CLUSTER_AUTHORIZATION_FAILED), or the broker's log does not continue where the producer's does
//! (OUT_OF_ORDER_SEQUENCE_NUMBER). Such a producer takes nothing any more, whatever is mended
//! outside. So this one is replaced:
//!
//! - The error is said once, at the level of error, and counted.
//! - A thread of its own makes the next producer: at once if the last one did well for a while,
//!   otherwise after a pause that grows, because what ended the last one may end this one too.
//! - What the old one holds has its delivery reports all the same, each one time: librdkafka
//!   purges its queue, and dropping the old one purges the rest. In the queue is also what was sent
//!   and is to be sent again: Kafka may have it. Who hands a record in says
//!   ([`Reports::keeps`]) whether it waits here for the next producer or is reported as failed.
//! - Kept records are in nobody else's hands. They go out again even if Kafka may have them.
//! - librdkafka gives what goes out again a whole new time. Who handed it in may have less: when that
//!   is over ([`Reports::is_over`]) it is lost, and what librdkafka says of it later counts for nothing.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use parking_lot::{Mutex, RwLock};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::statistics::Statistics;

use super::cause::{Doing, Who, Why, explain};
use super::ear::{self, Ear};
use super::error_class::ErrorClass;
use super::figures::Figures;
use super::notices::{NoThread, ProducerCannotGoOn, ProducerMadeAnew, ProducerNotMade};
use super::served::Served;
use super::transaction::Output;
use crate::threads;

/// The pause before a producer that ended young is made anew grows from here ...
const PAUSE: Duration = Duration::from_secs(1);
/// ... up to here.
const LONGEST: Duration = Duration::from_secs(30);
/// A producer that lived for so long did well.
const YOUNG: Duration = Duration::from_secs(60);
/// Pause before the old producer is looked at again that a sender still holds.
const HELD: Duration = Duration::from_millis(1);
/// How often what is kept is looked at, for what has waited too long.
const LOOK: Duration = Duration::from_millis(250);

/// Who hands records in, and hears what became of them.
pub trait Reports: Send + Sync + Sized + 'static {
    /// What goes with a record and comes back with its report.
    type Note: Send + Sync + 'static;

    /// How the log calls the producer.
    fn name(&self) -> &'static str;

    /// Whether a record that the old producer did not deliver goes to the next one.
    fn keeps(&self, note: &Self::Note) -> bool;

    /// A record that goes to the next producer, although Kafka may have it: what it is from now on.
    fn kept(&self, output: Output, note: &Self::Note) -> Output {
        let _ = note;
        output
    }

    /// Whether a record that was kept has waited for too long, here or in the next producer: then it
    /// is [`lost`](Self::lost).
    fn is_over(&self, note: &Self::Note) -> bool {
        let _ = note;
        false
    }

    /// What became of a record, called once for each that was taken; with an error Kafka may
    /// have it all the same.
    fn report(&self, result: &DeliveryResult<'_>, note: Self::Note);

    /// A record that was kept has no room here, or none in the next producer, or waited for too
    /// long.
    fn lost(&self, error: &KafkaError, topic: &str, note: Self::Note);

    /// The producer was made anew.
    fn renewed(&self) {}
}

/// See the [module](self). Cheap to clone: all clones are one producer.
pub struct Idempotent<R: Reports>(Arc<Inner<R>>);

impl<R: Reports> Idempotent<R> {
    /// What librdkafka says of the producer.
    pub fn figures(&self) -> &Figures {
        &self.0.shared.figures
    }
}

impl<R: Reports> Clone for Idempotent<R> {
    fn clone(&self) -> Self {
        Idempotent(self.0.clone())
    }
}

/// What goes with a record through librdkafka; nothing is in it when the record was given up.
type Slot<N> = Arc<Mutex<Option<N>>>;
type Current<R> = Arc<Served<Context<R>>>;
type Made<R> = Result<Current<R>, KafkaError>;

struct Inner<R: Reports> {
    /// The properties of each producer.
    config: ClientConfig,
    /// What outlives a producer.
    shared: Arc<Shared<R>>,
    /// The one that records go to, that of the state's generation: both change under the lock of
    /// the state.
    current: RwLock<Current<R>>,
}

/// What the threads of the reports work with. It does not hold the producer: the last who does
/// waits for those threads.
struct Shared<R: Reports> {
    /// Who hears what became of the records.
    reports: R,
    /// Who writes: what an error is explained by.
    who: Who,
    /// What librdkafka says of the producer.
    figures: Figures,
    /// How many octets of records may wait for the next producer.
    room: usize,
    state: Mutex<State<R::Note>>,
    /// Set once, when the first producer is there.
    inner: OnceLock<Weak<Inner<R>>>,
}

struct State<N> {
    /// Which producer is the current one, from 1.
    generation: u64,
    /// When it was made: one that lasted is followed by the next without a pause.
    born: Instant,
    /// Whether it can no longer go on.
    dead: bool,
    /// Whether a thread makes the next one: there is one at most.
    renewing: bool,
    /// The pauses before producers that follow one another quickly.
    pauses: ExponentialBackoff,
    /// What waits for the next producer, in order.
    kept: VecDeque<(Output, N)>,
    /// How many octets that is: it changes with each that comes or goes.
    octets: usize,
    /// What was kept and has gone to a producer again, with its topic.
    gone: Vec<(Arc<str>, Slot<N>)>,
    /// Whether a thread looks at that.
    watching: bool,
}

/// Where a record waits: behind the others, or before them.
type Put<N> = fn(&mut VecDeque<(Output, N)>, (Output, N));

fn pauses() -> ExponentialBackoff {
    let growing = ExponentialBuilder::new()
        .with_min_delay(PAUSE)
        .with_max_delay(LONGEST)
        .without_max_times();
    growing.build()
}

impl<N> State<N> {
    /// The pause before the next producer is made.
    fn pause(&mut self) -> Duration {
        if self.born.elapsed() >= YOUNG {
            self.pauses = pauses();
            return Duration::ZERO;
        }
        self.pauses.next().unwrap_or(LONGEST)
    }

    /// What of the records that were kept has waited for too long, each with its topic.
    fn take_over<R: Reports<Note = N>>(&mut self, reports: &R) -> Vec<(Arc<str>, N)> {
        let mut over = Vec::new();
        self.gone.retain(|(topic, slot)| {
            let mut note = slot.lock();
            over.extend((note.take_if(|note| reports.is_over(note))).map(|n| (topic.clone(), n)));
            note.is_some()
        });
        let is_over = |(_, note): &(Output, N)| reports.is_over(note);
        if !self.kept.iter().any(is_over) {
            return over;
        }
        let kept = std::mem::take(&mut self.kept).into_iter();
        let (late, kept): (VecDeque<_>, _) = kept.partition(is_over);
        self.kept = kept;
        self.octets -= late.iter().map(|(output, _)| output.size()).sum::<usize>();
        over.extend(late.into_iter().map(|(output, note)| (output.topic, note)));
        over
    }
}

/// What librdkafka calls for one producer.
struct Context<R: Reports> {
    shared: Arc<Shared<R>>,
    /// Which producer it is: the end of one that was replaced already is not that of the next.
    generation: u64,
    /// What the client has to say.
    ear: Ear,
}

/// Whether an error is said of a producer that is given up. The event of its end names the cause,
/// and not that it is the end: what may be the cause of none is not here.
fn ends(error: &KafkaError) -> bool {
    matches!(
        ErrorClass::of_error(error),
        ErrorClass::Fatal
            | ErrorClass::Purged
            | ErrorClass::Sequence
            | ErrorClass::ClusterDenied
            | ErrorClass::Fenced
    )
}

impl<R: Reports> ClientContext for Context<R> {
    super::token::tokens_of_ours!();

    fn log(&self, level: RDKafkaLogLevel, kind: &str, text: &str) {
        self.ear.log(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(&error, reason);
        if ends(&error) {
            let code = error.rdkafka_error_code();
            self.shared.ended(self.generation, code, reason);
        }
    }

    fn stats(&self, said: Statistics) {
        self.shared.figures.take(said);
    }
}

impl<R: Reports> ProducerContext for Context<R> {
    type DeliveryOpaque = Slot<R::Note>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Slot<R::Note>) {
        let Some(note) = slot.lock().take() else {
            return;
        };
        let reports = &self.shared.reports;
        match result {
            Err((error, message)) if ends(error) => {
                let code = error.rdkafka_error_code();
                self.shared.ended(self.generation, code, "");
                if reports.keeps(&note) {
                    let output = reports.kept(owned(message), &note);
                    self.shared.keep(output, note, error, VecDeque::push_back);
                } else {
                    reports.report(result, note);
                }
            }
            _ => reports.report(result, note),
        }
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    ErrorClass::of_error(error) == ErrorClass::Fatal
}

/// Why a producer takes nothing any more: the error of a record says only that.
fn why<R: Reports>(producer: &Served<Context<R>>) -> (RDKafkaErrorCode, String) {
    let fatal = producer.client().fatal_error();
    fatal.unwrap_or_else(|| (RDKafkaErrorCode::Fatal, String::new()))
}

/// A record as it was handed in.
pub fn owned(message: &BorrowedMessage<'_>) -> Output {
    Output {
        topic: message.topic().into(),
        // Negative before one is chosen.
        partition: Some(message.partition()).filter(|partition| *partition >= 0),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(BorrowedHeaders::detach),
    }
}

impl<R: Reports> Shared<R> {
    /// A producer that reports here.
    fn producer(self: &Arc<Self>, config: &ClientConfig, generation: u64) -> Made<R> {
        let context = Context {
            shared: self.clone(),
            generation,
            ear: Ear::of(config),
        };
        let config = self.figures.wanted(config);
        Served::new(&config, context).map(Arc::new)
    }

    /// Producer `generation` can no longer go on.
    fn ended(&self, generation: u64, code: Option<RDKafkaErrorCode>, reason: &str) {
        // At the end of all, what is held is purged too.
        let Some(inner) = self.inner.get().filter(|inner| inner.strong_count() > 0) else {
            return;
        };
        let inner = inner.clone();
        let mut state = self.state.lock();
        if state.dead || generation != state.generation {
            return;
        }
        let producer = self.reports.name();
        let cause = explain(&self.who, code, reason, &Doing::Idempotent);
        match cause.why {
            Why::Denied { .. } => ear::refused(&cause),
            _ => {
                let reason = &cause.message;
                ProducerCannotGoOn { producer, reason }.emit();
            }
        }
        state.dead = true;
        if state.renewing {
            return;
        }
        match threads::start("producer", move || renew(&inner)) {
            Ok(_) => state.renewing = true,
            Err(error) => {
                let purpose = format!("the producer of {producer} is made anew later");
                let purpose = &purpose;
                NoThread { purpose, error }.emit();
                // Whoever finds it dead next tries again.
                state.dead = false;
            }
        }
    }

    /// A record waits for the next producer, if there is room, behind the others or before them.
    fn keep(&self, output: Output, note: R::Note, error: &KafkaError, put: Put<R::Note>) {
        let mut state = self.state.lock();
        if state.octets + output.size() > self.room {
            drop(state);
            return self.reports.lost(error, &output.topic, note);
        }
        state.octets += output.size();
        put(&mut state.kept, (output, note));
    }
}

impl<R: Reports> Shared<R> {
    /// What is to go out next of what is kept, if there is a producer for it.
    fn next_kept(&self) -> Option<(Output, R::Note)> {
        let mut state = self.state.lock();
        let next = if state.dead {
            None
        } else {
            state.kept.pop_front()
        };
        let (output, note) = next?;
        state.octets -= output.size();
        Some((output, note))
    }
}

impl<R: Reports> Inner<R> {
    /// Hands a record to the current producer; an error gives its note back.
    fn try_send(
        &self,
        output: &Output,
        note: R::Note,
    ) -> Result<Slot<R::Note>, (KafkaError, R::Note)> {
        let producer = self.current.read().clone();
        let slot = Slot::default();
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&output.topic, slot.clone());
        record.partition = output.partition;
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.headers = output.headers.clone();
        // Its report waits until the note is there.
        let mut place = slot.lock();
        let Err((error, _)) = producer.send(record) else {
            *place = Some(note);
            drop(place);
            return Ok(slot);
        };
        drop(place);
        if is_fatal(&error) {
            let generation = producer.context().generation;
            let (code, reason) = why(&producer);
            self.shared.ended(generation, Some(code), &reason);
        }
        Err((error, note))
    }

    /// Gives up what was kept for too long; what was kept first need not be over first.
    fn give_up(&self) {
        let reports = &self.shared.reports;
        let over = self.shared.state.lock().take_over(reports);
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        for (topic, note) in over {
            reports.lost(&error, &topic, note);
        }
    }

    /// Looks at what has gone to a producer again, from a thread of its own, until all is reported.
    fn watch(&self) {
        let mut state = self.shared.state.lock();
        let Some(weak) = self.shared.inner.get().cloned() else {
            return;
        };
        if state.watching || state.gone.is_empty() {
            return;
        }
        let watch = move || {
            loop {
                std::thread::sleep(LOOK);
                let Some(inner) = weak.upgrade() else {
                    return;
                };
                inner.give_up();
                let mut state = inner.shared.state.lock();
                state.watching = !state.gone.is_empty();
                if !state.watching {
                    return;
                }
            }
        };
        // Without one librdkafka's own time counts.
        state.watching = threads::start("kept", watch).is_ok();
    }

    /// Hands what is kept to the current producer, unless that is dead too.
    fn send_kept(&self) {
        self.give_up();
        while let Some((output, note)) = self.shared.next_kept() {
            match self.try_send(&output, note) {
                Ok(slot) => self.shared.state.lock().gone.push((output.topic, slot)),
                // Whoever makes the next one goes on. If there was no thread for that, it is not
                // known to be dead.
                Err((error, note)) if is_fatal(&error) => {
                    self.shared.keep(output, note, &error, VecDeque::push_front);
                    break;
                }
                Err((error, note)) => self.shared.reports.lost(&error, &output.topic, note),
            }
        }
        self.watch();
    }

    /// Puts a new producer into the place of the old one; whether another is needed.
    fn replace(&self) -> bool {
        let shared = &self.shared;
        let producer = shared.reports.name();
        let generation = shared.state.lock().generation + 1;
        let new = match shared.producer(&self.config, generation) {
            Ok(new) => new,
            Err(error) => {
                ProducerNotMade { producer, error }.emit();
                return true;
            }
        };
        let old = {
            let mut state = shared.state.lock();
            state.generation = generation;
            state.born = Instant::now();
            state.dead = false;
            std::mem::replace(&mut *self.current.write(), new)
        };
        ProducerMadeAnew {
            producer,
            renewals: generation - 1,
        }
        .emit();
        shared.reports.renewed();
        // What it held is kept then, or reported.
        discard(old);
        self.send_kept();
        let mut state = shared.state.lock();
        state.renewing = state.dead;
        state.dead
    }
}

impl<R: Reports> Drop for Shared<R> {
    fn drop(&mut self) {
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
        for (output, note) in std::mem::take(&mut self.state.get_mut().kept) {
            self.reports.lost(&error, &output.topic, note);
        }
    }
}

/// Drops a producer in its own time, and not where somebody hands a record in or hears a report: that
/// takes a moment, and waits for the thread of the reports. What it still holds is reported.
fn discard<R: Reports>(mut old: Current<R>) {
    while let Err(held) = Arc::try_unwrap(old).map(drop) {
        old = held;
        std::thread::sleep(HELD);
    }
}

/// Makes the next producer, and the next, until one goes on.
fn renew<R: Reports>(weak: &Weak<Inner<R>>) {
    loop {
        // Nobody waits for this pause: it holds nothing.
        let pause = |inner: Arc<Inner<R>>| inner.shared.state.lock().pause();
        let Some(pause) = weak.upgrade().map(pause) else {
            return;
        };
        let begun = Instant::now();
        loop {
            let left = pause.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(LOOK));
            match weak.upgrade() {
                Some(inner) => inner.give_up(),
                None => return,
            }
        }
        if !weak.upgrade().is_some_and(|inner| inner.replace()) {
            return;
        }
    }
}

impl<R: Reports> Idempotent<R> {
    /// A producer with these properties. Does not wait for Kafka. Up to `room` octets wait for
    /// the next producer while there is none.
    ///
    /// # Errors
    ///
    /// When the properties make no producer.
    pub fn new(config: &ClientConfig, reports: R, room: usize) -> Result<Self, KafkaError> {
        let mut config = config.clone();
        config.set("enable.idempotence", "true");
        let shared = Arc::new(Shared {
            figures: Figures::new(reports.name()),
            reports,
            who: Who::of(&config),
            room,
            state: Mutex::new(State {
                generation: 1,
                born: Instant::now(),
                dead: false,
                renewing: false,
                pauses: pauses(),
                kept: VecDeque::new(),
                octets: 0,
                gone: Vec::new(),
                watching: false,
            }),
            inner: OnceLock::new(),
        });
        let inner = Arc::new(Inner {
            current: RwLock::new(shared.producer(&config, 1)?),
            config,
            shared,
        });
        // An error that comes before is found by the first record.
        let _ = inner.shared.inner.set(Arc::downgrade(&inner));
        Ok(Idempotent(inner))
    }

    /// Takes a record, which will be reported; an error gives its note back: Kafka certainly
    /// does not have it. While there is no producer, what is to be kept waits.
    ///
    /// # Errors
    ///
    /// When there is no room, or no producer for a record that is not kept.
    pub fn send(&self, output: Output, note: R::Note) -> Result<(), (KafkaError, R::Note)> {
        match self.0.try_send(&output, note) {
            Err((error, note)) if is_fatal(&error) && self.reports().keeps(&note) => {
                self.0
                    .shared
                    .keep(output, note, &error, VecDeque::push_back);
                // The next one may be there by now.
                self.0.send_kept();
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Who hears the reports.
    pub fn reports(&self) -> &R {
        &self.0.shared.reports
    }

    /// The number of the producer that has all that was taken and is not reported; `None` while
    /// some of it is elsewhere.
    fn settled(&self) -> Option<u64> {
        let state = self.0.shared.state.lock();
        (!state.renewing && state.kept.is_empty()).then_some(state.generation)
    }

    /// Waits until everything taken is reported, at most so long. Blocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        let begun = Instant::now();
        loop {
            // While it is made anew, records are on their way from the old one to the next.
            let settled = self.settled();
            let producer = self.0.current.read().clone();
            let left = timeout.saturating_sub(begun.elapsed());
            let flushed = producer.flush(left).is_ok();
            drop(producer);
            if flushed && settled.is_some() && settled == self.settled() {
                return true;
            }
            if begun.elapsed() >= timeout {
                return false;
            }
            std::thread::sleep(HELD);
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    /// Notes with an even number are kept.
    #[derive(Default)]
    struct Heard {
        delivered: Mutex<Vec<u32>>,
        failed: Mutex<Vec<u32>>,
        lost: Mutex<Vec<u32>>,
        renewals: Mutex<u32>,
        /// What has waited for too long.
        over: Mutex<Vec<u32>>,
    }

    impl Reports for Arc<Heard> {
        type Note = u32;

        fn name(&self) -> &'static str {
            "test"
        }

        fn keeps(&self, note: &u32) -> bool {
            note.is_multiple_of(2)
        }

        fn is_over(&self, note: &u32) -> bool {
            self.over.lock().contains(note)
        }

        fn report(&self, result: &DeliveryResult<'_>, note: u32) {
            match result {
                Ok(_) => self.delivered.lock().push(note),
                Err(_) => self.failed.lock().push(note),
            }
        }

        fn lost(&self, _: &KafkaError, _: &str, note: u32) {
            self.lost.lock().push(note);
        }

        fn renewed(&self) {
            *self.renewals.lock() += 1;
        }
    }

    fn output(note: u32) -> Output {
        Output {
            topic: "t".into(),
            partition: None,
            key: Some(note.to_be_bytes().to_vec()),
            value: Some(vec![7; 100]),
            headers: None,
        }
    }

    fn producer(bootstrap: &str, room: usize) -> (Idempotent<Arc<Heard>>, Arc<Heard>) {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("linger.ms", "0")
            .set("log_level", "0");
        let heard = Arc::new(Heard::default());
        (
            Idempotent::new(&config, heard.clone(), room).unwrap(),
            heard,
        )
    }

    fn eventually(what: &str, is: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn sorted(notes: &Mutex<Vec<u32>>) -> Vec<u32> {
        let mut notes = notes.lock().clone();
        notes.sort_unstable();
        notes
    }

    fn evens(all: std::ops::Range<u32>) -> Vec<u32> {
        all.filter(|n| n % 2 == 0).collect()
    }

    fn odds(all: std::ops::Range<u32>) -> Vec<u32> {
        all.filter(|n| n % 2 == 1).collect()
    }

    /// Says what librdkafka says when a producer is given up.
    fn end(producer: &Idempotent<Arc<Heard>>) {
        let current = producer.0.current.read().clone();
        let fatal = KafkaError::Global(RDKafkaErrorCode::Fatal);
        current.context().error(fatal, "a test");
    }

    #[test]
    fn what_the_old_one_held_is_reported_or_kept_each_once() {
        let (producer, heard) = producer("127.0.0.1:1", 1 << 20);
        for note in 0..20 {
            producer.send(output(note), note).unwrap();
        }
        end(&producer);
        end(&producer);
        eventually("made anew", || *heard.renewals.lock() == 1);
        eventually("reported", || heard.failed.lock().len() == 10);
        eventually("kept", || {
            let current = producer.0.current.read().clone();
            current.in_flight_count() == 10
        });
        assert_eq!(sorted(&heard.failed), odds(0..20));
        assert_eq!(sorted(&heard.lost), [0u32; 0]);
        drop(producer);
        let both = || heard.failed.lock().len() + heard.lost.lock().len();
        eventually("at the end nothing waits", || both() == 20);
        assert_eq!(*heard.renewals.lock(), 1, "once for one end");
    }

    #[test]
    fn what_has_no_room_is_lost_and_said_to_be() {
        let (producer, heard) = producer("127.0.0.1:1", 1000);
        for note in 0..20 {
            producer.send(output(note), note).unwrap();
        }
        end(&producer);
        eventually("made anew", || *heard.renewals.lock() == 1);
        eventually("lost", || heard.lost.lock().len() == 6);
        drop(producer);
        eventually("told of all", || {
            heard.failed.lock().len() + heard.lost.lock().len() == 20
        });
    }

    #[test]
    fn one_that_may_not_initialise_is_made_anew_until_it_may() {
        let kafka = MockCluster::new(1).unwrap();
        let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
        kafka.request_errors(RDKafkaApiKey::InitProducerId, &[forbidden; 2]);
        let (producer, heard) = producer(&kafka.bootstrap_servers(), 1 << 20);
        let mut refused = Vec::new();
        for note in 0..10 {
            if let Err((error, note)) = producer.send(output(note), note) {
                assert!(is_fatal(&error), "{error}");
                refused.push(note);
            }
        }
        eventually("made anew twice", || *heard.renewals.lock() == 2);
        for note in 10..20 {
            producer.send(output(note), note).unwrap();
        }
        assert!(producer.flush(Duration::from_secs(60)));
        let mut failed = sorted(&heard.failed);
        failed.extend(refused);
        failed.sort_unstable();
        assert_eq!(failed, odds(0..10), "the SMSC has them still");
        let kept = [evens(0..10), (10..20).collect()].concat();
        assert_eq!(sorted(&heard.delivered), kept, "each once");
        assert_eq!(sorted(&heard.lost), [0u32; 0]);
    }

    #[test]
    fn what_is_kept_for_too_long_is_given_up_although_there_is_no_producer() {
        let kafka = MockCluster::new(1).unwrap();
        let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
        kafka.request_errors(RDKafkaApiKey::InitProducerId, &[forbidden; 20]);
        let (producer, heard) = producer(&kafka.bootstrap_servers(), 1 << 20);
        eventually(
            "it is dead",
            || matches!(producer.send(output(1), 1), Err((error, 1)) if is_fatal(&error)),
        );
        for note in [2, 4, 6] {
            producer.send(output(note), note).unwrap();
        }
        assert_eq!(sorted(&heard.lost), [0u32; 0]);
        heard.over.lock().push(4);
        eventually("given up", || sorted(&heard.lost) == [4]);
        heard.over.lock().extend([2, 6]);
        eventually("given up", || sorted(&heard.lost) == [2, 4, 6]);
        let state = producer.0.shared.state.lock();
        assert_eq!((state.kept.len(), state.octets), (0, 0));
    }

    #[test]
    fn what_goes_to_the_next_producer_keeps_its_own_end() {
        let (producer, heard) = producer("127.0.0.1:1", 1 << 20);
        for note in 0..6 {
            producer.send(output(note), note).unwrap();
        }
        end(&producer);
        let in_flight = || producer.0.current.read().in_flight_count();
        eventually("made anew", || *heard.renewals.lock() == 1);
        eventually("handed on", || in_flight() == 3);
        assert_eq!(sorted(&heard.lost), [0u32; 0]);
        heard.over.lock().push(2);
        eventually("its time is over", || sorted(&heard.lost) == [2]);
        assert_eq!(in_flight(), 3, "librdkafka has it all the same");
        heard.over.lock().push(4);
        eventually("another's", || sorted(&heard.lost) == [2, 4]);
        drop(producer);
        let both = || heard.failed.lock().len() + heard.lost.lock().len();
        eventually("at the end nothing waits", || both() == 6);
        assert_eq!(sorted(&heard.lost), [0, 2, 4], "each once");
        assert_eq!(sorted(&heard.failed), [1, 3, 5]);
    }

    #[test]
    fn one_that_is_dead_and_not_known_to_be_keeps_nobody_busy() {
        let kafka = MockCluster::new(1).unwrap();
        let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
        kafka.request_errors(RDKafkaApiKey::InitProducerId, &[forbidden; 9]);
        let (producer, heard) = producer(&kafka.bootstrap_servers(), 1 << 20);
        // As if no thread could be had: nobody takes note of its end.
        producer.0.shared.state.lock().generation = 9;
        eventually(
            "it is dead",
            || matches!(producer.send(output(1), 1), Err((error, 1)) if is_fatal(&error)),
        );
        let (code, reason) = why(&producer.0.current.read());
        assert_eq!(code, RDKafkaErrorCode::ClusterAuthorizationFailed);
        assert!(!reason.is_empty());
        let (done, sent) = (std::sync::mpsc::channel(), producer.clone());
        std::thread::spawn(move || done.0.send(sent.send(output(2), 2).is_ok()));
        let sent = done.1.recv_timeout(Duration::from_secs(20));
        assert_eq!(sent, Ok(true), "it is kept, once");
        assert_eq!(producer.0.shared.state.lock().kept.len(), 1);
        for note in [4, 6] {
            producer.send(output(note), note).unwrap();
        }
        let state = producer.0.shared.state.lock();
        let kept: Vec<_> = state.kept.iter().map(|(_, note)| *note).collect();
        assert_eq!(kept, [2, 4, 6], "in their order");
        assert_eq!(*heard.renewals.lock(), 0);
    }

    #[test]
    fn one_whose_sequence_broke_goes_on_with_a_new_one() {
        let kafka = MockCluster::new(1).unwrap();
        let (producer, heard) = producer(&kafka.bootstrap_servers(), 1 << 20);
        producer.send(output(0), 0).unwrap();
        assert!(producer.flush(Duration::from_secs(60)));
        let broken = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        kafka.request_errors(RDKafkaApiKey::Produce, &[broken]);
        producer.send(output(2), 2).unwrap();
        eventually("made anew", || *heard.renewals.lock() == 1);
        assert!(producer.flush(Duration::from_secs(60)));
        assert_eq!(sorted(&heard.delivered), [0, 2]);
        assert_eq!(sorted(&heard.lost), [0u32; 0]);
    }

    #[test]
    fn the_pause_grows_and_begins_anew_after_a_good_while() {
        let mut state = State::<()> {
            generation: 1,
            born: Instant::now(),
            dead: false,
            renewing: false,
            pauses: pauses(),
            kept: VecDeque::new(),
            octets: 0,
            gone: Vec::new(),
            watching: false,
        };
        let pauses: Vec<u64> = (0..7).map(|_| state.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        if let Some(before) = Instant::now().checked_sub(YOUNG) {
            state.born = before;
            assert_eq!(state.pause(), Duration::ZERO);
            state.born = Instant::now();
            assert_eq!(state.pause(), PAUSE);
        }
    }
}
