//! A producer whose delivery reports are brought by a thread of its own.
//!
//! rdkafka's `ThreadedProducer` is the same, but is never at rest: a poll of rdkafka that ends by its time
//! cuts what is left of it to whole milliseconds, and asks without a pause for the last one. At ten polls a
//! second of each producer that was most of what an idle connector did.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, ProducerContext};

/// How long a poll waits, and so the end of the thread. The part of a millisecond is what passes before the
/// wait begins and what a wait always lasts longer: after a wait of the whole milliseconds nothing is left.
const ROUND: Duration = Duration::from_micros(100_030);

/// See the [module](self).
pub struct Served<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> Served<C> {
    /// A producer with these properties, whose context hears the reports.
    ///
    /// # Errors
    ///
    /// When the properties make no producer, or the system gives no thread.
    pub fn new(config: &ClientConfig, context: C) -> Result<Self, KafkaError> {
        let producer: BaseProducer<C> = config.create_with_context(context)?;
        let producer = Arc::new(producer);
        let stopping = Arc::new(AtomicBool::new(false));
        let serve = {
            let (producer, stopping) = (producer.clone(), stopping.clone());
            move || {
                while !stopping.load(Ordering::Relaxed) {
                    producer.poll(ROUND);
                }
            }
        };
        // Not one of `threads`: it may be waited for where a runtime drops the producer.
        let thread = std::thread::Builder::new().name("reports".to_owned());
        let thread = thread
            .spawn(serve)
            .map_err(|error| KafkaError::ClientCreation(format!("no thread: {error}")))?;
        Ok(Served {
            producer,
            stopping,
            thread: Some(thread),
        })
    }
}

impl<C: ProducerContext + 'static> Deref for Served<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> Drop for Served<C> {
    /// Waits for the thread. What the producer still holds is reported after that, as given up.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // A report that panicked has said so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
