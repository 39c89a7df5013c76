//! The schema registry: what stands behind the numbers before records.
//!
//! [`Registry`] brings the schemas that readers want ([`WriterSchemas`](crate::record::writers)), in
//! the background; a reader never waits for it, its partition does. [`Handle`] makes the codecs
//! of topics, with the numbers of what is written looked up before anything is.
//!
//! A registry that is slow, away, or answers with errors or nonsense changes nothing that is
//! known: it is asked again, less and less often, and the log says so, at first and then once
//! a minute.

mod client;
pub(crate) mod notices;
mod numbers;
mod options;
mod subject;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::codes::{self, ErrorCode};
use crate::record::avro;
use crate::record::codec::Codec;
use crate::record::format::Format;
use crate::record::kind::Kind;
use crate::record::writers::{Answer, WriterSchema, WriterSchemas};
use crate::registry::notices::{
    NoSuchSchema, RegistryAnswersAgain, RegistryFails, SchemaCame, SchemaFitsNothing,
};

pub use client::{Client, Compatibility, Registered};
pub use numbers::find;
pub use options::{Options, Subjects, Tls};
pub use subject::{Subject, Topic};

/// Why the registry is of no use now.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not work.
    #[error("the schema registry cannot be used as configured: {0}")]
    Setup(String),
    /// No answer, or none that could be understood: it may be better later.
    #[error("the schema registry does not answer: {0}")]
    Unavailable(String),
    /// It has nothing under that name or number.
    #[error("the schema registry does not have it: {0}")]
    Missing(String),
    /// It does not allow that.
    #[error("the schema registry refuses: {0}")]
    Refused(String),
    /// A schema that is to be written with is not registered.
    #[error(
        "subject {subject} has no schema that this version writes ({kinds}): register it with `kafka-smpp schemas register`, or set schema_registry.auto_register"
    )]
    Unregistered {
        /// The subject.
        subject: String,
        /// What would be written.
        kinds: String,
    },
}

impl Error {
    /// By which it is explained.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Error::Setup(_) => codes::REGISTRY_SETUP,
            Error::Unavailable(_) => codes::REGISTRY_AWAY,
            Error::Missing(_) => codes::SCHEMA_MISSING,
            Error::Refused(_) => codes::SCHEMA_REFUSED,
            Error::Unregistered { .. } => codes::SCHEMA_UNREGISTERED,
        }
    }
}

/// How many questions are under way at most.
const AT_ONCE: usize = 16;
/// The wait before bad news is asked for a second time.
const TWICE: Duration = Duration::from_secs(1);
/// The first wait after a failure.
const AGAIN: Duration = Duration::from_millis(200);
/// How often the log repeats what goes on failing.
const REPEAT: Duration = Duration::from_secs(60);
/// How many schemas one may refer to, themselves and through others.
const REFERENCES: usize = 50;

/// The service: see the [module](self).
pub struct Registry {
    client: Arc<Client>,
    writers: Arc<WriterSchemas>,
    retry_max: Duration,
    /// Whether it is to end.
    stopping: CancellationToken,
}

/// Makes codecs, and ends the service. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    client: Arc<Client>,
    writers: Arc<WriterSchemas>,
    naming: Subjects,
    auto_register: bool,
    stopping: CancellationToken,
}

impl Handle {
    /// How many schemas are wanted and did not come yet.
    pub fn missing(&self) -> usize {
        self.writers.wanted().len()
    }
}

/// Something that failed, and is tried again.
struct Trying {
    /// What the log calls it.
    what: String,
    backoff: ExponentialBackoff,
    due: Instant,
    under_way: bool,
    /// When the log last said that it fails, if it does.
    reported: Option<Instant>,
}

impl Trying {
    fn new(what: String, retry_max: Duration) -> Self {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(AGAIN)
            .with_max_delay(retry_max)
            .without_max_times()
            .with_jitter();
        Trying {
            what,
            backoff: backoff.build(),
            due: Instant::now(),
            under_way: false,
            reported: None,
        }
    }

    fn failed(&mut self, error: &Error) {
        let now = Instant::now();
        self.due = now + self.backoff.next().unwrap_or(REPEAT);
        if self
            .reported
            .is_none_or(|reported| now.duration_since(reported) >= REPEAT)
        {
            self.reported = Some(now);
            RegistryFails {
                what: &self.what,
                error,
            }
            .emit();
        }
    }

    fn succeeded(&mut self) {
        if self.reported.take().is_some() {
            RegistryAnswersAgain { what: &self.what }.emit();
        }
    }
}

impl Registry {
    /// The service and its handle.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up as configured.
    pub fn new(options: &Options) -> Result<(Registry, Handle), Error> {
        let client = Arc::new(Client::new(options)?);
        let writers = Arc::new(WriterSchemas::default());
        let registry = Registry {
            client: client.clone(),
            writers: writers.clone(),
            retry_max: options.retry_max.get(),
            stopping: CancellationToken::new(),
        };
        let handle = Handle {
            stopping: registry.stopping.clone(),
            client,
            writers,
            naming: options.subjects,
            auto_register: options.auto_register,
        };
        Ok((registry, handle))
    }

    /// Brings what is wanted until [`Handle::stop`].
    pub async fn run(self) {
        let mut asking = JoinSet::new();
        let mut trying: HashMap<u32, Trying> = HashMap::new();
        loop {
            let now = Instant::now();
            let wanted = self.writers.wanted();
            trying.retain(|id, one| one.under_way || wanted.contains(id));
            for id in wanted {
                let one = trying.entry(id).or_insert_with(|| {
                    let what = format!("schema {id} is waited for, and what was written with it");
                    Trying::new(what, self.retry_max)
                });
                if !one.under_way && one.due <= now && asking.len() < AT_ONCE {
                    one.under_way = true;
                    let client = self.client.clone();
                    asking.spawn(async move { (id, fetch(&client, id).await) });
                }
            }
            let next = if asking.len() < AT_ONCE {
                trying
                    .values()
                    .filter(|one| !one.under_way)
                    .map(|one| one.due)
                    .min()
            } else {
                None
            };
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.writers.changed() => {}
                () = sleep_until(next.unwrap_or(now + REPEAT)) => {}
                Some(Ok((id, answer))) = asking.join_next() => {
                    self.take(id, answer, trying.get_mut(&id));
                }
            }
        }
    }

    fn take(&self, id: u32, answer: Result<Answer, Error>, trying: Option<&mut Trying>) {
        let Some(trying) = trying else { return };
        trying.under_way = false;
        match answer {
            Ok(answer) => {
                trying.succeeded();
                trying.due = Instant::now() + TWICE;
                match &answer {
                    Answer::Nothing => NoSuchSchema { id }.emit(),
                    Answer::Schema(WriterSchema::Wrong(why), _) => {
                        SchemaFitsNothing { id, why }.emit();
                    }
                    Answer::Schema(..) => SchemaCame { id }.emit(),
                }
                self.writers.learn(id, answer);
            }
            Err(error) => trying.failed(&error),
        }
    }
}

/// What the registry says of a number.
async fn fetch(client: &Client, id: u32) -> Result<Answer, Error> {
    let schema = match client.by_id(id).await {
        Err(Error::Missing(_)) => return Ok(Answer::Nothing),
        schema => schema?,
    };
    let nonsense = |error: &dyn std::fmt::Display| {
        Error::Unavailable(format!("what it gives as schema {id} is none: {error}"))
    };
    let writer = match &*schema.kind {
        "AVRO" => {
            let references = references(client, &schema).await?;
            let text = schema.text.clone();
            let read = move || avro::writer_apart(text, references);
            let read = tokio::task::spawn_blocking(read).await;
            // It is what the registry has: to wait for another would be to wait for ever.
            match read.map_err(|error| nonsense(&error))? {
                Ok(writer) => writer,
                Err(error) => WriterSchema::Wrong(error.to_string().into()),
            }
        }
        "JSON" => {
            let parsed = serde_json::from_str::<serde_json::Value>(&schema.text);
            parsed.map_err(|error| nonsense(&error))?;
            WriterSchema::Json
        }
        kind => WriterSchema::Wrong(format!("it is of type {kind}; AVRO and JSON are read").into()),
    };
    Ok(Answer::Schema(writer, schema.text.into()))
}

/// The texts of what a schema refers to, and of what that refers to.
async fn references(client: &Client, schema: &Registered) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    let mut left = schema.references.clone();
    let mut seen = Vec::new();
    while let Some(reference) = left.pop() {
        if seen.contains(&reference) {
            continue;
        }
        if seen.len() == REFERENCES {
            let text = format!("a schema refers to more than {REFERENCES} others");
            return Err(Error::Unavailable(text));
        }
        let (subject, version) = &reference;
        // That one of them is missing says nothing of the schema itself.
        let found = client.version(subject, *version).await;
        let found = found.map_err(|error| Error::Unavailable(error.to_string()))?;
        left.extend(found.references);
        texts.push(found.text);
        seen.push(reference);
    }
    Ok(texts)
}

/// Ends the service when it is dropped.
pub struct StopOnDrop(pub Handle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Handle {
    /// Ends [`Registry::run`]: what is wanted from then on does not come.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// A codec that only reads.
    pub fn reader(&self, format: Format) -> Codec {
        Codec::registered(format, Vec::new(), self.writers.clone())
    }

    /// The codec of a topic, with the numbers of all that is written to it.
    ///
    /// # Errors
    ///
    /// When the registry does not answer, or does not have them.
    pub async fn codec(&self, topic: &Topic) -> Result<Codec, Error> {
        self.codec_for(topic, topic.kinds).await
    }

    /// The codec of a topic, with the numbers of these kinds.
    ///
    /// # Errors
    ///
    /// When the registry does not answer, or does not have them.
    pub async fn codec_for(&self, topic: &Topic, kinds: &[Kind]) -> Result<Codec, Error> {
        let mut numbers = Vec::new();
        for subject in topic.subjects(self.naming) {
            if !subject.kinds.iter().any(|kind| kinds.contains(kind)) {
                continue;
            }
            let id = self.number(&subject).await?;
            let answer = match subject.format {
                Format::JsonSchema => Ok(WriterSchema::Json),
                _ => avro::writer(&subject.text, &[]),
            };
            // What is ours need not be fetched.
            if let Ok(writer) = answer {
                self.writers
                    .learn(id, Answer::Schema(writer, subject.text.as_str().into()));
            }
            numbers.extend(subject.numbers(id));
        }
        Ok(Codec::registered(
            topic.format,
            numbers,
            self.writers.clone(),
        ))
    }

    /// As [`codec`](Handle::codec), asked for until it is there; `None` if `shutdown` came
    /// first.
    pub async fn codec_patiently(
        &self,
        topic: &Topic,
        shutdown: &CancellationToken,
    ) -> Option<Codec> {
        let what = format!("topic {} waits for the numbers of its schemas", topic.name);
        let mut trying = Trying::new(what, Duration::from_secs(5));
        loop {
            match self.codec(topic).await {
                Ok(codec) => {
                    trying.succeeded();
                    return Some(codec);
                }
                Err(error) => trying.failed(&error),
            }
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = sleep_until(trying.due) => {}
            }
        }
    }
}
