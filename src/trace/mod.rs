//! PDUs onto a topic, as they went over the connections: what was really said, for those who look
//! into it afterwards.
//!
//! Each bind has a [`Tap`] here. It chooses ([`sample`]) which exchanges are kept,
//! hides in them what is nobody's business ([`mask`]), and hands them to a producer without
//! transactions, which a session never waits for: what has no room is dropped and counted.

pub mod headers;
pub mod mask;
pub(crate) mod notices;
mod producer;
mod sample;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use smpp_esme::{Passing, Tap};

pub use producer::OCTETS;
pub use settings::{Numbers, Settings};

use mask::Mask;
use producer::{Producer, Traced};
use sample::{Exchanges, Sample};

/// The trace of all binds. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Trace(Arc<Inner>);

struct Inner {
    sample: Sample,
    mask: Mask,
    producer: Producer,
}

impl Trace {
    /// A trace onto `topic`.
    ///
    /// # Errors
    ///
    /// When the client refuses the properties.
    pub fn new(
        client: &ClientConfig,
        topic: &str,
        settings: &Settings,
    ) -> Result<Self, KafkaError> {
        Ok(Trace(Arc::new(Inner {
            sample: Sample::new(settings),
            mask: Mask::new(settings),
            producer: Producer::new(client, topic)?,
        })))
    }

    /// What sees the PDUs of a bind.
    pub fn tap(&self, esme: &str, bind: &str) -> Arc<dyn Tap> {
        Arc::new(BindTap {
            trace: self.0.clone(),
            esme: esme.into(),
            bind: bind.into(),
            exchanges: Mutex::default(),
        })
    }

    /// Waits until Kafka has what was traced, at most so long.
    pub fn finish(&self, patience: Duration) {
        self.0.producer.finish(patience);
    }
}

/// The tap of one bind.
struct BindTap {
    trace: Arc<Inner>,
    esme: Box<str>,
    bind: Box<str>,
    /// Which of its requests are kept and have no answer yet.
    exchanges: Mutex<Exchanges>,
}

impl std::fmt::Debug for BindTap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tap of {}", self.bind)
    }
}

impl Tap for BindTap {
    fn pdu(&self, passing: Passing<'_>) {
        let Inner {
            sample,
            mask,
            producer,
        } = &*self.trace;
        if sample.keeps(&passing, &mut self.exchanges.lock()) {
            producer.send(&Traced {
                esme: &self.esme,
                bind: &self.bind,
                direction: passing.direction,
                peer: passing.peer,
                at: Timestamp::now(),
                masked: mask.name(),
                pdu: &mask.masked(passing.pdu),
            });
        }
    }
}
