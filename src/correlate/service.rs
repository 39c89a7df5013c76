//! The service: its threads, from start to end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use thiserror::Error;

use super::assembly::AssemblyLimits;
use super::join::{JoinLimits, MOMENT, Millis, PARKED_OCTETS};
use super::notices::{CorrelationEnded, ThreadPanicked};
use super::pipeline::{Config, Handles, Pipeline};
use super::{Dialects, Inbound, Notify, Settings, Status, Topics, tail, takeover};
use crate::codes::{self, ErrorCode};
use crate::kafka::Group;
use crate::kafka::cause::Cause;
use crate::kafka::ear::{Ear, Plain};
use crate::kafka::group::partition_count;
use crate::kafka::poll::{self, Poller};
use crate::kafka::start::Reading;
use crate::kafka::token::consumer_begins;
use crate::kafka::transactor::{self, Transactor};
use crate::settings::Time;
use crate::status;
use crate::threads::Pulse;
use crate::threads::{self, Thread};

const METADATA: Duration = Duration::from_secs(10);
/// How long a predecessor's open transaction may hold a takeover up before it is ended.
const SUSPICION: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(100);

/// What the join works with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Properties of the consumer of deliveries, `group.id` included.
    pub consumer: ClientConfig,
    /// Properties of the consumer of the correlation topic, assigned by hand.
    pub reader: ClientConfig,
    /// Properties of the transactional producer.
    pub producer: ClientConfig,
    /// Its transactional.id: unique to this process.
    pub transactional_id: String,
    /// How long Kafka keeps a dead process's transaction open.
    pub transaction_timeout: Duration,
    /// The topics.
    pub topics: Topics,
    /// What the user sets about receipts.
    pub settings: Settings,
    /// What the user sets about messages from phones.
    pub inbound: Inbound,
    /// What the SMSC of each ESME does in its own way.
    pub dialects: Dialects,
    /// Takes what is said of SMSCs that write ids in two forms.
    pub notify: Notify,
}

/// Why the join does not run.
#[derive(Debug, Error)]
pub enum Error {
    /// The internal topics do not fit together; nothing can be correlated with them.
    #[error(
        "topic {deliveries} has {found} partitions and topic {correlation} has {expected}: both must have the same number. Recreate the one that is empty (kafka-smpp topics create)"
    )]
    Partitions {
        /// The topic of deliveries.
        deliveries: String,
        /// Its partitions.
        found: i32,
        /// The correlation topic.
        correlation: String,
        /// Its partitions.
        expected: i32,
    },
    /// A topic cannot be looked up.
    #[error("topic {topic} cannot be used: {reason}. Does it exist (kafka-smpp topics create)?")]
    Topic {
        /// The topic.
        topic: String,
        /// What Kafka says.
        reason: KafkaError,
    },
    /// A client cannot be made, or Kafka does not answer.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The consumer of deliveries could not be made, or cannot go on.
    #[error(transparent)]
    Poll(#[from] poll::Error),
    /// The brokers do no transactions.
    #[error(transparent)]
    Impossible(Box<Cause>),
    /// A thread cannot be started.
    #[error("no thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Error {
    /// By which it is explained.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Error::Partitions { .. } => codes::INTERNAL_TOPICS_DIFFER,
            Error::Topic { .. } => codes::TOPIC_MISSING,
            Error::Kafka(_) => codes::KAFKA_FAILED,
            Error::Poll(error) => error.code(),
            Error::Thread(_) => codes::NO_THREAD,
            Error::Impossible(cause) => cause.code(),
        }
    }
}

/// Looks at the join and ends it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    poller: poll::Handle,
    pipeline: Arc<Mutex<Option<Arc<Pipeline>>>>,
}

impl Handle {
    /// Ends [`Correlator::run`], which writes what it has and leaves the group.
    pub fn stop(&self) {
        self.poller.stop();
    }

    /// How it is doing; `None` before it runs.
    pub fn status(&self) -> Option<Status> {
        let pipeline = self.pipeline.lock().clone()?;
        Some(Status {
            partitions: pipeline.status(),
            counts: pipeline.counters.get(),
        })
    }

    /// Whether Kafka has said which partitions are ours, if any.
    pub fn has_joined(&self) -> bool {
        let pipeline = self.pipeline.lock().clone();
        pipeline.is_some_and(|pipeline| pipeline.group().has_joined())
    }

    /// Its Kafka clients.
    pub fn clients(&self) -> Vec<status::Client> {
        let pipeline = self.pipeline.lock().clone();
        let figures = pipeline.map(|pipeline| pipeline.group().figures().client());
        figures.into_iter().collect()
    }

    /// Its transactions.
    pub fn transactions(&self) -> status::Transactions {
        let pipeline = self.pipeline.lock().clone();
        let transactor = pipeline.and_then(|pipeline| pipeline.handles.transactor.get().cloned());
        transactor.map_or_else(status::Transactions::default, |transactor| {
            transactor.meters().status("correlate")
        })
    }

    /// Its threads, each with what shows whether it makes progress.
    pub fn pulses(&self, mut look: impl FnMut(&str, &Pulse)) {
        let Some(pipeline) = self.pipeline.lock().clone() else {
            return;
        };
        look(
            "the thread that polls for correlate",
            pipeline.group().pulse(),
        );
        let transactor = pipeline.handles.transactor.get();
        if let Some(pulse) = transactor.and_then(transactor::Handle::pulse) {
            look("the thread of correlate's transactions", pulse);
        }
    }
}

/// The service.
pub struct Correlator {
    options: Options,
    handle: Handle,
}

impl Correlator {
    /// A join that has not begun.
    pub fn new(options: Options) -> (Self, Handle) {
        let handle = Handle {
            poller: poll::Handle::default(),
            pipeline: Arc::default(),
        };
        let correlator = Correlator {
            options,
            handle: handle.clone(),
        };
        (correlator, handle)
    }

    /// Joins until [`Handle::stop`]. Blocks: give it a thread.
    pub fn run(self) -> Result<(), Error> {
        let Correlator { options, handle } = self;
        let (cluster, partitions) = check_topics(&options)?;
        let mut consumer = options.consumer.clone();
        consumer.set("enable.partition.eof", "true");
        let group = Group::new("correlate", consumer, cluster);
        let handles = Handles {
            poller: handle.poller.clone(),
            tail: tail::Handle::default(),
            takeover: takeover::Handle::default(),
            transactor: OnceLock::new(),
        };
        let pipeline = Arc::new(Pipeline::new(
            group.clone(),
            Config {
                topics: options.topics.clone(),
                join: join_limits(&options.settings),
                assembly: assembly_limits(&options.inbound),
                dialects: options.dialects.clone(),
                partitions,
                notify: options.notify.clone(),
            },
            options.transactional_id.clone(),
            handles,
        ));
        *handle.pipeline.lock() = Some(pipeline.clone());
        let threads = Threads::start(&options, &pipeline, &group)?;
        let poller = Poller::new(
            group,
            vec![options.topics.deliveries.to_string()],
            pipeline,
            handle.poller,
        );
        let polled = poller.run();
        let impossible = threads.impossible.clone();
        threads.stop();
        CorrelationEnded {}.emit();
        polled?;
        match impossible.get() {
            Some(cause) => Err(Error::Impossible(cause.clone())),
            None => Ok(()),
        }
    }
}

/// Checks the topics and returns the cluster's id, and how many partitions the deliveries have.
fn check_topics(options: &Options) -> Result<(String, i32), Error> {
    let client: BaseConsumer<Plain> = (options.reader)
        .create_with_context(Plain(Ear::asked(&options.reader)))
        .map(consumer_begins)?;
    let count = |topic: &str| {
        partition_count(&client, topic, METADATA).map_err(|reason| Error::Topic {
            topic: topic.to_owned(),
            reason,
        })
    };
    let found = count(&options.topics.deliveries)?;
    let expected = count(&options.topics.correlation)?;
    if found != expected {
        return Err(Error::Partitions {
            deliveries: options.topics.deliveries.to_string(),
            found,
            correlation: options.topics.correlation.to_string(),
            expected,
        });
    }
    let cluster = client.client().fetch_cluster_id(METADATA);
    Ok((cluster.unwrap_or_default(), found))
}

fn millis(time: Time) -> Millis {
    Millis::try_from(time.get().as_millis()).unwrap_or(Millis::MAX)
}

fn assembly_limits(inbound: &Inbound) -> AssemblyLimits {
    AssemblyLimits {
        ttl: millis(inbound.reassembly_ttl),
        octets: usize::try_from(inbound.reassembly_memory.get()).unwrap_or(usize::MAX),
    }
}

fn join_limits(settings: &Settings) -> JoinLimits {
    JoinLimits {
        moment: MOMENT,
        grace: millis(settings.early_receipt_grace),
        retention: millis(settings.final_retention),
        ttl: millis(settings.receipt_ttl),
        parked_octets: PARKED_OCTETS,
    }
}

/// Everything but the polling thread.
struct Threads {
    pipeline: Arc<Pipeline>,
    transactor: transactor::Handle,
    /// Why transactions ended: the brokers do none.
    impossible: Arc<OnceLock<Box<Cause>>>,
    /// What runs, by the names of the threads.
    running: Vec<(&'static str, Thread<()>)>,
}

impl Threads {
    fn start(
        options: &Options,
        pipeline: &Arc<Pipeline>,
        group: &Arc<Group>,
    ) -> Result<Self, Error> {
        let (transactor, handle) = Transactor::new(
            transactor::Options {
                client: options.producer.clone(),
                transactional_id: options.transactional_id.clone(),
                transaction_timeout: options.transaction_timeout,
                tick: TICK,
                thread: "correlate-commit",
                rest: transactor::Rest::Long,
            },
            pipeline.clone(),
            group.clone(),
        );
        let tail = tail::Tail::new(
            &options.reader,
            options.topics.correlation.clone(),
            pipeline.clone(),
            pipeline.handles.tail.clone(),
        )?;
        let reading = Reading {
            producer: options.producer.clone(),
            suspicion: SUSPICION,
            timeout: options.transaction_timeout + Duration::from_secs(15),
            own: options.transactional_id.clone(),
        };
        // Set once, here.
        let _ = pipeline.handles.transactor.set(handle.clone());
        let (for_takeover, group) = (pipeline.clone(), group.clone());
        let impossible = Arc::new(OnceLock::new());
        let (why, poller) = (impossible.clone(), pipeline.handles.poller.clone());
        let commit = threads::start("correlate-commit", move || {
            if let Err(cause) = transactor.run() {
                // Once, here.
                let _ = why.set(cause);
                poller.stop();
            }
        })?;
        let tail = threads::start("correlate-tail", move || tail.run())?;
        let start = threads::start("correlate-start", move || {
            let handle = for_takeover.handles.takeover.clone();
            takeover::run(&for_takeover, &group, &reading, &handle);
        })?;
        Ok(Threads {
            pipeline: pipeline.clone(),
            transactor: handle,
            impossible,
            running: vec![
                ("correlate-start", start),
                ("correlate-tail", tail),
                ("correlate-commit", commit),
            ],
        })
    }

    fn stop(self) {
        self.pipeline.handles.takeover.stop();
        self.pipeline.handles.tail.stop();
        self.transactor.stop();
        for (name, thread) in self.running {
            if thread.join().is_err() {
                ThreadPanicked { name }.emit();
            }
        }
    }
}
