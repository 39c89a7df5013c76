//! Wiring: configuration to running parts to a drained stop.
//!
//! Everything is looked at before anything begins: the topics, their partitions, what they
//! mean for binds. What is wrong there is an error that names the remedy. Kafka being away
//! is not: it is waited for.

mod accounts;
mod formats;
mod life;
mod look;
mod membership;
pub(crate) mod notices;
pub(crate) mod preflight;
pub(crate) mod rights;
mod steering;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tokio::runtime::Handle as Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::codes::{self, Coded};
use crate::config::{Config, GroupProtocol};
use crate::connector::notices::{Delivered, Starting, Stopped, Stopping, SurveyFailed};
use crate::control::{self, Control};
use crate::correlate::{self, Correlator, Dialects, Notify};
use crate::deliver::{self, Counts, Deliver};
use crate::deployment::{self, Deployment, notices::OthersNotShown};
use crate::http::{self, Seen, notices::Listening};
use crate::kafka::abilities;
use crate::kafka::cause::{Cause, Why};
use crate::kafka::cluster::{Survey, survey};
use crate::kafka::{Pause, ear, poll};
use crate::ops::{logging, random};
use crate::otel::Spans;
use crate::record::codec::Codecs;
use crate::registry::{self, Registry, StopOnDrop};
use crate::repeated;
use crate::submit::binds::account::Account;
use crate::submit::results::events::Events;
use crate::submit::{self, Submit};
use crate::threads;
use crate::trace::Trace;

pub use accounts::{defaults, dialect};
pub use formats::reader;
#[cfg(feature = "fuzzing")]
pub(crate) use steering::all_wanted as wanted;

use formats::Opened;
use life::Life;
use look::{Look, Parts};
use steering::Carrying;

/// Why the connector does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not fit the cluster.
    #[error("{}", lines(.0))]
    Preflight(Vec<Coded>),
    /// Kafka refuses connections, for a reason that a new configuration has to mend.
    #[error("{0}")]
    Kafka(Box<Cause>),
    /// The submit pipeline ended.
    #[error("submit: {0}")]
    Submit(#[from] submit::Error),
    /// The correlate pipeline ended.
    #[error("correlate: {0}")]
    Correlate(#[from] correlate::Error),
    /// The schema registry cannot be used as configured.
    #[error("{0}")]
    Registry(#[from] registry::Error),
    /// The producer of deliveries could not be made.
    #[error("deliver: {0}")]
    Deliver(#[from] deliver::Error),
    /// The producer of the trace could not be made.
    #[error("trace: {0}")]
    Trace(#[from] rdkafka::error::KafkaError),
    /// The exporter of spans could not be made.
    #[error("otel: {0}")]
    Spans(String),
    /// The process has no name of its own.
    #[error(transparent)]
    Name(#[from] random::NoRandom),
    /// The listener over which it is looked at cannot be made.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// A part ended that must not end.
    #[error("the {0} pipeline ended by itself")]
    Ended(&'static str),
}

/// One line for each.
fn lines(faults: &[Coded]) -> String {
    let lines = faults.iter().map(|fault| fault.text.as_str());
    lines.collect::<Vec<_>>().join("\n")
}

impl Error {
    /// All that is wrong, each with the code by which it is explained.
    pub fn faults(&self) -> Vec<Coded> {
        let code = match self {
            Error::Preflight(faults) => return faults.clone(),
            Error::Kafka(cause) => cause.code(),
            Error::Submit(error) => error.code(),
            Error::Correlate(error) => error.code(),
            Error::Registry(error) => error.code(),
            Error::Deliver(deliver::Error::Producer(_)) => codes::KAFKA_CLIENT,
            Error::Trace(_) => codes::KAFKA_CLIENT,
            Error::Spans(_) => codes::SPANS_LOST,
            Error::Name(_) => codes::NO_RANDOM,
            Error::Http(http::Error::Listen { .. }) => codes::HTTP_LISTEN,
            Error::Http(http::Error::File { .. }) => codes::HTTP_CERTIFICATE,
            Error::Ended(_) => codes::BUG,
        };
        vec![Coded::new(code, self.to_string())]
    }

    /// Whether the configuration is to blame.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Error::Preflight(_) | Error::Registry(_) | Error::Kafka(_) | Error::Http(_)
        ) && !self.is_lack()
    }

    /// Whether the brokers cannot do what is asked of them.
    fn is_lack(&self) -> bool {
        matches!(self, Error::Kafka(cause) if matches!(cause.why, Why::Lacks(_)))
    }

    /// Whether another process has taken the place of this one.
    pub fn is_displaced(&self) -> bool {
        match self {
            Error::Submit(submit::Error::Poll(poll::Error::Fatal(fatal)))
            | Error::Correlate(correlate::Error::Poll(poll::Error::Fatal(fatal))) => {
                fatal.is_displaced()
            }
            _ => false,
        }
    }
}

/// How long one question to Kafka may take at the start.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long Kafka has at least, when the process stops, for what was delivered and noticed last.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// How long the end waits for what was traced.
const TRACE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pauses before a Kafka that does not answer is asked again.
const LOOK_AGAIN: Pause = Pause::new(Duration::from_millis(500), Duration::from_secs(5));

/// Runs until `shutdown` is cancelled, then drains within `shutdown_timeout`.
///
/// # Errors
///
/// When the configuration does not fit the cluster, or a pipeline ends by itself.
pub async fn run(
    config: Config,
    log: Option<logging::Control>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let _saying = AbortOnDropHandle::new(tokio::spawn(repeated::run()));
    let look = Look::new(&config.kafka.application_id, stuck_after(&config));
    let (control, steered) = Control::new(steering::options(&config));
    look.steered_by(steered.clone());
    let listening = match listener(&config, &look, &steered).await? {
        Some((server, handle)) => {
            tokio::spawn(server.run());
            let history = AbortOnDropHandle::new(tokio::spawn(look.clone().keep_history()));
            Some((StopListening(handle), history))
        }
        None => None,
    };
    look.awaits("Kafka has not said yet which topics there are");
    let Some(survey) = survey_cluster(&config, &shutdown).await? else {
        return Ok(());
    };
    speak_group_protocol(&config).await?;
    for passing in preflight::check(&config, &survey).map_err(Error::Preflight)? {
        membership::caution(&passing);
    }
    let process = random::Name::new()?.to_string();
    look.named(&process, &survey.cluster_id);
    let _orders = StopReading(steered.clone());
    let mut reading =
        threads::start("control", move || control.run()).map_err(submit::Error::from)?;
    let shown = listening
        .as_ref()
        .and_then(|_| show(&config, &process, &look));
    look.awaits("schemas are not all known yet");
    Starting {
        cluster: &survey.cluster_id,
        process: &process,
        esmes: config.esme.len(),
    }
    .emit();
    let session_timeout = membership::session_timeout(&config).await;
    let internal = survey
        .partitions
        .get(&config.topics.correlation)
        .copied()
        .unwrap_or(1);
    let registered = if config.schema_registry.urls.is_empty() {
        None
    } else {
        Some(Registry::new(&config.schema_registry)?)
    };
    let (registry, handle) = registered.unzip();
    let Some(opened) = formats::open(&config, handle.as_ref(), &shutdown).await else {
        end(shown, true).await;
        return Ok(());
    };
    let Opened { outbound, codecs } = opened;
    let deliver = Deliver::new(&deliver_options(&config, &process, internal, &codecs))?;
    let dialects = accounts::dialects(&config);
    let meters = accounts::meters(&config);
    let trace = trace_of(&config)?;
    let spans = Spans::new(&config.otel, &config.kafka.application_id, &process);
    let spans = spans.map_err(Error::Spans)?;
    let watching = accounts::Watching {
        meters: &meters,
        trace: trace.as_ref(),
    };
    let accounts = accounts::all(&config, &survey, &deliver, &outbound, &dialects, &watching);
    let notifications = deliver.clone();
    let (correlator, correlating) = Correlator::new(correlate::Options {
        notify: Notify::new(move |event| notifications.notify(event)),
        ..correlate_options(
            &config,
            &process,
            &codecs,
            accounts::by_name(&config, &dialects).counting(meters),
            &spans,
        )
    });
    let (submit, submitter) = Submit::new(
        submit::Options {
            session_timeout,
            ..submit_options(
                &config, &survey, &process, accounts, internal, &codecs, &spans,
            )
        },
        Runtime::current(),
    )?;
    look.awaits("orders of operators are not read yet");
    let mut carrying = Carrying {
        known: steered.known(),
        esmes: steering::esmes(&config),
        submit: submitter.clone(),
        log,
        notify: {
            let notifications = deliver.clone();
            Notify::new(move |event| notifications.notify(event))
        },
        paused: BTreeMap::new(),
        carried: None,
    };
    let begun = tokio::select! {
        () = carrying.begin() => Ok(true),
        ended = &mut reading => Err(control_ended(ended)),
        () = shutdown.cancelled() => Ok(false),
    };
    if !matches!(begun, Ok(true)) {
        end(shown, begun.is_ok()).await;
        return begun.map(|_| ());
    }
    let carrying = AbortOnDropHandle::new(tokio::spawn(carrying.run()));
    look.runs(Parts {
        submit: submitter.clone(),
        correlate: correlating.clone(),
        deliver: deliver.clone(),
        registry: handle.clone(),
    });
    // It ends with this function: what still drains may still want a schema.
    let _registry = handle.map(StopOnDrop);
    if let Some(registry) = registry {
        tokio::spawn(registry.run());
    }
    let joining = threads::start("correlate-poll", move || correlator.run());
    let mut joining = joining.map_err(correlate::Error::from)?;
    let mut submitting = tokio::spawn(submit.run());
    let life = Life::begin(&deliver, &config, &survey.cluster_id);
    let by_itself = tokio::select! {
        () = shutdown.cancelled() => None,
        ended = &mut submitting => Some(("submit", part("submit", ended))),
        ended = &mut joining => Some(("correlate", part("correlate", ended))),
    };
    if by_itself.is_none() {
        Stopping {}.emit();
        life.stopping();
    }
    look.stops();
    let deadline = Instant::now() + config.shutdown_timeout.get();
    let (has_ended, mut failed) = by_itself.unzip();
    // Submit and correlate first: what binds deliver while they drain, and what correlate notices,
    // goes through the producers of deliver.
    submitter.stop();
    if has_ended != Some("submit") {
        failed = part("submit", submitting.await).after(failed);
    }
    correlating.stop();
    if has_ended != Some("correlate") {
        failed = part("correlate", joining.await).after(failed);
    }
    look.ended();
    drop(carrying);
    drop(listening);
    // What binds have said last goes before it.
    repeated::finish();
    life.stopped(failed.as_ref().map(Ended::reason).as_deref());
    let left = deadline.saturating_duration_since(Instant::now());
    let flush = left.clamp(LAST_MOMENT, SURVEY_TIMEOUT);
    let finishing = tokio::task::spawn_blocking(move || deliver.finish(flush));
    end(shown, failed.is_none()).await;
    let delivered = finishing.await.unwrap_or_default();
    let finishing = tokio::task::spawn_blocking(move || {
        spans.finish(TRACE_TIMEOUT);
        if let Some(trace) = trace {
            trace.finish(TRACE_TIMEOUT);
        }
    });
    // Nothing depends on it.
    let _ = finishing.await;
    let Counts {
        receipts,
        parts,
        inbound,
        postponed,
        no_room,
        refused,
        ..
    } = delivered;
    Delivered {
        receipts,
        parts,
        inbound,
        refused_late: postponed,
        refused_full: no_room,
        refused_for_good: refused,
    }
    .emit();
    repeated::finish();
    match failed {
        None => {
            Stopped {}.emit();
            Ok(())
        }
        Some(ended) => Err(ended.into_error()),
    }
}

/// Ends the reading of orders when the process works no longer.
struct StopReading(control::Handle);

impl Drop for StopReading {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Why orders are not read any more.
fn control_ended<P>(ended: Result<Result<(), KafkaError>, P>) -> Error {
    match ended {
        Ok(Err(error)) => Error::Submit(submit::Error::Client(error)),
        _ => Error::Ended("control"),
    }
}

/// How long the last word of a process may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The processes of the deployment, and the thread on which this one shows itself to them.
type Shown = (deployment::Handle, threads::Thread<()>);

/// Shows this process to the others, and them to whoever looks at it.
fn show(config: &Config, process: &str, look: &Look) -> Option<Shown> {
    let own = look.clone();
    let (service, handle) = Deployment::new(deployment::Options {
        reader: config.kafka.watcher(),
        writer: config.kafka.producer(),
        topic: config.topics.status.clone(),
        deployment: config.kafka.application_id.clone(),
        process: process.to_owned(),
        own: Arc::new(move || own.status()),
    });
    match threads::start("deployment", move || service.run()) {
        Ok(thread) => {
            look.knows(handle.clone());
            Some((handle, thread))
        }
        Err(error) => {
            OthersNotShown {
                cause: &error,
                error_code: codes::NO_THREAD,
            }
            .emit();
            None
        }
    }
}

/// It waits for nobody who does not answer.
async fn end(shown: Option<Shown>, ends_well: bool) {
    if let Some((handle, thread)) = shown {
        handle.stop(ends_well);
        let _ = tokio::time::timeout(FAREWELL, thread).await;
    }
}

/// Ends the listener when the process works no longer.
struct StopListening(http::Handle);

impl Drop for StopListening {
    fn drop(&mut self) {
        self.0.stop();
    }
}

async fn listener(
    config: &Config,
    look: &Look,
    steered: &control::Handle,
) -> Result<Option<(http::Server, http::Handle)>, http::Error> {
    let Some(listen) = config.http.listen.clone() else {
        return Ok(None);
    };
    let files = (&config.http.certificate_file, &config.http.key_file);
    let options = http::Options {
        listen,
        hosts: config.http.hosts.clone(),
        token: config.http.token.clone(),
        certificate: match files {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            _ => None,
        },
        seen: Arc::new(look.clone()),
        steered: steered.clone(),
    };
    let (server, handle) = http::Server::new(options).await?;
    let address = handle.address();
    Listening { address }.emit();
    Ok(Some((server, handle)))
}

/// After so long without progress a thread is stuck. A transaction that Kafka does not answer makes
/// several calls, each of which may take its whole time-out, before its thread comes round.
fn stuck_after(config: &Config) -> Duration {
    let kafka = &config.kafka;
    let waits = kafka.transaction_timeout.get() * 4 + kafka.session_timeout.get();
    waits.max(Duration::from_secs(300))
}

/// What sees the PDUs of all binds, if they are traced.
fn trace_of(config: &Config) -> Result<Option<Trace>, Error> {
    let topic = config.topics.trace.as_deref();
    let trace = topic.map(|topic| Trace::new(&config.kafka.producer(), topic, &config.trace));
    Ok(trace.transpose()?)
}

enum Ended {
    Well(&'static str),
    Failed(Error),
}

impl Ended {
    /// Of one that ended and was not to.
    fn into_error(self) -> Error {
        match self {
            Ended::Failed(error) => error,
            Ended::Well(name) => Error::Ended(name),
        }
    }

    /// The same in words.
    fn reason(&self) -> String {
        match self {
            Ended::Failed(error) => error.to_string(),
            Ended::Well(name) => Error::Ended(name).to_string(),
        }
    }

    /// What to report when a part ended like this as it was asked to, after `failed`: what
    /// failed first is the cause of what followed.
    fn after(self, failed: Option<Ended>) -> Option<Ended> {
        match self {
            Ended::Failed(error) => failed.or(Some(Ended::Failed(error))),
            Ended::Well(_) => failed,
        }
    }
}

/// How a part ended; the outer error is that it panicked.
fn part<E: Into<Error>, P>(name: &'static str, ended: Result<Result<(), E>, P>) -> Ended {
    match ended {
        Ok(Ok(())) => Ended::Well(name),
        Ok(Err(error)) => Ended::Failed(error.into()),
        Err(_) => Ended::Failed(Error::Ended(name)),
    }
}

/// So often in a row the brokers have to refuse our connections before the process ends: one that
/// starts may not know its users yet.
const REFUSALS: u32 = 3;

/// Ends what would wait for ever, because the brokers have not the group protocol that is asked for.
async fn speak_group_protocol(config: &Config) -> Result<(), Error> {
    if config.kafka.group_protocol == GroupProtocol::Classic {
        return Ok(());
    }
    let client = config.kafka.reader();
    let topic = config.topics.responses.clone();
    let asked = move || abilities::speak_group_protocol(&client, &topic, SURVEY_TIMEOUT);
    let spoken = tokio::task::spawn_blocking(asked).await;
    spoken.unwrap_or(Ok(())).map_err(Error::Kafka)
}

/// Looks at the cluster, for as long as it takes until it answers and lets us see the topics. A
/// password or a certificate that is refused is not waited for: it was read at the start.
async fn survey_cluster(
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<Option<Survey>, Error> {
    let mut pause = LOOK_AGAIN;
    let mut refusals = 0;
    loop {
        let (client, topics) = (config.kafka.reader(), preflight::topics(config));
        let surveyed = tokio::task::spawn_blocking(move || {
            survey(&client, topics.iter().map(String::as_str), SURVEY_TIMEOUT)
        })
        .await;
        match surveyed {
            Ok(Ok(survey)) if survey.closed.is_empty() => return Ok(Some(survey)),
            Ok(Ok(survey)) => Cause::together(&survey.closed)
                .iter()
                .for_each(ear::refused),
            Ok(Err(cause)) => {
                refusals = if cause.is_decided() { refusals + 1 } else { 0 };
                if refusals >= REFUSALS {
                    return Err(Error::Kafka(Box::new(cause)));
                }
                let what = "Kafka cannot be used; trying again";
                ear::failed_by(cause.code(), what, cause.to_string());
            }
            Err(error) => SurveyFailed { error: &error }.emit(),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause.grow()) => {}
        }
    }
}

fn submit_options(
    config: &Config,
    survey: &Survey,
    process: &str,
    accounts: Vec<Arc<Account>>,
    correlation_partitions: i32,
    codecs: &Codecs,
    spans: &Spans,
) -> submit::Options {
    submit::Options {
        consumer: config.kafka.submit_consumer(),
        transactional: config.kafka.transactional(),
        producer: config.kafka.producer(),
        cluster_id: survey.cluster_id.clone(),
        transactional_id: format!("{}.{process}", config.kafka.submit_group()),
        session_timeout: config.kafka.session_timeout.get(),
        transaction_timeout: config.kafka.transaction_timeout.get(),
        settings: config.submit.clone(),
        shutdown_timeout: config.shutdown_timeout.get(),
        events: Events {
            responses: config.topics.responses.as_str().into(),
            errors: config.topics.errors.as_str().into(),
            correlation: config.topics.correlation.as_str().into(),
            correlation_partitions,
            codecs: codecs.clone(),
            cloud_events: config.cloud_events(),
            numbers: config.privacy.shown(),
            spans: spans.clone(),
        },
        results: vec![
            config.topics.responses.clone(),
            config.topics.errors.clone(),
        ],
        fixed: [&config.topics.correlation, &config.topics.deliveries]
            .map(|topic| (topic.clone(), correlation_partitions))
            .to_vec(),
        accounts,
    }
}

fn deliver_options(
    config: &Config,
    process: &str,
    partitions: i32,
    codecs: &Codecs,
) -> deliver::Options {
    deliver::Options {
        client: config.kafka.producer(),
        deliveries: config.topics.deliveries.as_str().into(),
        partitions,
        inbound: config.topics.inbound.as_str().into(),
        notifications: config.topics.notifications.as_str().into(),
        process: process.into(),
        codecs: codecs.clone(),
        cloud_events: config.cloud_events(),
        buffer: config.inbound.buffer.get(),
        answer_timeout: config.inbound.answer_timeout.get(),
    }
}

fn correlate_options(
    config: &Config,
    process: &str,
    codecs: &Codecs,
    dialects: Dialects,
    spans: &Spans,
) -> correlate::Options {
    correlate::Options {
        consumer: config.kafka.correlate_consumer(),
        reader: config.kafka.follower(),
        producer: config.kafka.transactional(),
        transactional_id: format!("{}.{process}", config.kafka.correlate_group()),
        transaction_timeout: config.kafka.transaction_timeout.get(),
        topics: correlate::Topics {
            deliveries: config.topics.deliveries.as_str().into(),
            correlation: config.topics.correlation.as_str().into(),
            receipts: config.topics.receipts.as_str().into(),
            codecs: codecs.clone(),
            inbound: config.topics.inbound.as_str().into(),
            cloud_events: config.cloud_events(),
            numbers: config.privacy.shown(),
            spans: spans.clone(),
        },
        settings: config.correlate.clone(),
        inbound: config.inbound.reassembly(),
        dialects,
        notify: Notify::default(),
    }
}
