//! The log: lines on standard error, for people or for machines.

mod masked;

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use log::{Level, Metadata, Record};
use parking_lot::RwLock;
use thiserror::Error;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_log::{AsLog, AsTrace, LogTracer};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, fmt, registry, reload};

use super::mask::Mask;
use super::problems::Problems;
use crate::config::{Log, LogFormat};
use crate::ops::flight_recorder::{self, FlightRecorder};

/// Logging had begun before.
#[derive(Debug, Error)]
pub enum Begun {
    /// Our own lines have a place already.
    #[error(transparent)]
    Lines(#[from] SetGlobalDefaultError),
    /// Those of libraries have.
    #[error(transparent)]
    Libraries(#[from] log::SetLoggerError),
    /// There is nothing to make a key of.
    #[error(
        "the operating system gives no random numbers, from which the key of hashes is made: {0}"
    )]
    Key(#[from] getrandom::Error),
}

/// Changes what is logged while the process runs. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    reload: Arc<Reload>,
    /// What the configuration says.
    configured: String,
    /// What is logged besides.
    always: &'static str,
}

type Reload = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

impl Control {
    /// What goes by `handle` is what is configured now, and what is logged always.
    fn new<S: 'static>(
        handle: reload::Handle<EnvFilter, S>,
        log: &Log,
        always: &'static str,
    ) -> Self {
        Control {
            reload: Arc::new(move |filter| handle.reload(filter)),
            configured: log.level.clone(),
            always,
        }
    }

    /// Logs what `level` says from now on, in the form of `log.level`; what is configured if it says
    /// nothing.
    ///
    /// # Errors
    ///
    /// In words, when it is no such filter.
    pub fn set(&self, level: Option<&str>) -> Result<(), String> {
        let level = level.unwrap_or(&self.configured);
        let log = Log {
            level: level.to_owned(),
            ..Log::default()
        };
        let directives = log.directives();
        EnvFilter::try_new(&directives).map_err(|error| {
            format!("{level:?} is no filter ({error}): write error, warn, info, debug or trace, or per module, such as info,smpp_esme=debug")
        })?;
        let set = (self.reload)(filter(&with(&directives, self.always)));
        set.map_err(|error| format!("the log cannot be changed: {error}"))?;
        listen_to_libraries(&directives);
        Ok(())
    }
}

/// Directives with others besides.
fn with(directives: &str, besides: &str) -> String {
    match besides {
        "" => directives.to_owned(),
        besides => format!("{directives},{besides}"),
    }
}

/// Begins to log. What libraries say goes the same way.
///
/// # Errors
///
/// When logging had begun before, or there are no random numbers for a key.
pub fn start(log: &Log) -> Result<Control, Begun> {
    let mask = Mask::new(log.numbers, &log.numbers_key)?.map(Arc::new);
    let control = match FlightRecorder::new(log.flight_recorder) {
        Some(recorder) => {
            let (subscriber, control) = recorded(log, mask, stderr, &recorder);
            set_global_default(subscriber)?;
            control
        }
        None => {
            let (subscriber, control) = plain(log, mask, stderr);
            set_global_default(subscriber)?;
            control
        }
    };
    log::set_boxed_logger(Box::new(Libraries(LogTracer::new())))?;
    listen_to_libraries(&log.directives());
    Ok(control)
}

/// What libraries say is of no bind, so it is not recorded.
fn listen_to_libraries(directives: &str) {
    let level = filter(directives).max_level_hint();
    // A filter that goes by spans is none of these; then they are asked for all.
    *OF_LIBRARIES.write() = directives.parse().ok();
    log::set_max_level(level.unwrap_or(LevelFilter::TRACE).as_log());
}

fn filter(directives: &str) -> EnvFilter {
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// What writes the lines.
fn lines<S, W>(log: &Log, mask: Option<Arc<Mask>>, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let terminal = stderr().is_terminal();
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    match mask {
        None if text => {
            let lines = fmt::layer().with_ansi(terminal);
            lines.with_writer(writer).boxed()
        }
        None => {
            let lines = fmt::layer().with_ansi(false).json().flatten_event(true);
            lines.with_writer(writer).boxed()
        }
        Some(mask) if text => {
            let lines = fmt::layer().with_ansi(terminal);
            let lines = lines.fmt_fields(masked::Fields(mask));
            lines.with_writer(writer).boxed()
        }
        Some(mask) => {
            let lines = fmt::layer().with_ansi(false).json().flatten_event(true);
            lines.with_writer(masked::Masked(mask, writer)).boxed()
        }
    }
}

/// A log without a flight recorder. It has one filter for all that listens: filters of single
/// listeners go wrong by one line where somebody only asks whether a line would be written, as
/// libraries do.
fn plain<W>(log: &Log, mask: Option<Arc<Mask>>, writer: W) -> (impl Subscriber + use<W>, Control)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(&log.directives()));
    let subscriber = registry()
        .with(filter)
        .with(lines(log, mask.clone(), writer))
        .with(Problems(mask));
    (subscriber, Control::new(handle, log, ""))
}

/// A log with a flight recorder.
pub(super) fn recorded<W>(
    log: &Log,
    mask: Option<Arc<Mask>>,
    writer: W,
    recorder: &FlightRecorder,
) -> (impl Subscriber + use<W>, Control)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let always = flight_recorder::DIRECTIVE;
    let (filter, handle) = reload::Layer::new(filter(&with(&log.directives(), always)));
    let lines = lines(log, mask.clone(), writer).and_then(recorder.writes());
    // What writes what was recorded comes last: it logs while an event is being logged.
    let subscriber = registry()
        .with(recorder.keeps().with_filter(recorder.filter()))
        .with(Problems(mask).with_filter(LevelFilter::WARN))
        .with(lines.with_filter(filter));
    (subscriber, Control::new(handle, log, always))
}

/// Takes the lines of libraries, without what concerns nobody who operates this program: the path
/// that a library's source had on the machine where it was built. The wrapper of librdkafka
/// complains of what its callers know; that is for debugging.
///
/// They are not asked for what is not logged: see [`plain`].
struct Libraries<L>(L);

/// What of libraries is logged.
static OF_LIBRARIES: RwLock<Option<Targets>> = RwLock::new(None);

/// Whether lines of a library like this are logged, if that is known without asking.
fn is_logged(metadata: &Metadata<'_>) -> Option<bool> {
    let of_libraries = OF_LIBRARIES.read();
    let level = metadata.level().as_trace();
    let targets = of_libraries.as_ref();
    targets.map(|targets| targets.would_enable(metadata.target(), &level))
}

impl<L: log::Log> log::Log for Libraries<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let metadata = of(metadata);
        is_logged(&metadata).unwrap_or_else(|| self.0.enabled(&metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if is_logged(&of(record.metadata())) == Some(false) {
            return;
        }
        let plain = Record::builder()
            .metadata(of(record.metadata()))
            .args(*record.args())
            .module_path(record.module_path())
            .build();
        self.0.log(&plain);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn of<'a>(metadata: &Metadata<'a>) -> Metadata<'a> {
    let (target, level) = (metadata.target(), metadata.level());
    let level = if target.starts_with("rdkafka") {
        level.max(Level::Debug)
    } else {
        level
    };
    Metadata::builder().target(target).level(level).build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use log::Log;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Log for Heard {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= Level::Info
        }

        fn log(&self, record: &Record<'_>) {
            let (file, line) = (record.file(), record.line());
            let text = format!(
                "{} {} {} {file:?} {line:?}",
                record.level(),
                record.target(),
                record.args()
            );
            self.0.lock().push(text);
        }

        fn flush(&self) {}
    }

    #[test]
    fn lines_of_libraries_have_no_path_and_the_wrapper_of_librdkafka_is_quiet() {
        let heard = Heard::default();
        let logger = Libraries(heard.clone());
        for target in ["rustls::conn", "rdkafka::client"] {
            logger.log(
                &Record::builder()
                    .level(Level::Warn)
                    .target(target)
                    .args(format_args!("said"))
                    .file(Some("/home/builder/.cargo/registry/src/client.rs"))
                    .line(Some(77))
                    .build(),
            );
        }
        let lines = heard.0.lock().clone();
        assert_eq!(
            lines,
            [
                "WARN rustls::conn said None None",
                "DEBUG rdkafka::client said None None"
            ]
        );
        let enabled = |target| {
            let metadata = Metadata::builder()
                .target(target)
                .level(Level::Error)
                .build();
            logger.enabled(&metadata)
        };
        assert!(enabled("rustls") && !enabled("rdkafka::client"));
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Libraries ask whether a line would be written; that must not cost the next line of ours.
    #[test]
    fn a_question_of_a_library_costs_no_line() {
        let written = Written::default();
        let to = written.clone();
        let settings = super::Log {
            level: "info,kafka_smpp=debug".into(),
            format: LogFormat::Text,
            ..super::Log::default()
        };
        let (subscriber, _) = plain(&settings, None, move || to.clone());
        tracing::subscriber::with_default(subscriber, || {
            for words in ["first", "second"] {
                let asks = LogTracer::new();
                let metadata = Metadata::builder();
                asks.enabled(&{ metadata }.level(Level::Debug).target("rdkafka").build());
                let error_code = crate::codes::BUG;
                crate::connector::notices::Caution {
                    words: &words,
                    error_code,
                }
                .emit();
            }
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        assert!(text.contains("first") && text.contains("second"), "{text}");
    }
}
