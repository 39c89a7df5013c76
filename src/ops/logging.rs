//! The log: lines on standard error, for people or for machines.

mod masked;

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use log::{Level, Metadata, Record};
use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_log::{AsLog, LogTracer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::mask::Mask;
use super::problems::Problems;
use crate::config::{Log, LogFormat};

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
    filter: reload::Handle<EnvFilter, Registry>,
    /// What the configuration says.
    configured: String,
}

impl Control {
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
        let filter = EnvFilter::try_new(log.directives()).map_err(|error| {
            format!("{level:?} is no filter ({error}): write error, warn, info, debug or trace, or per module, such as info,smpp_esme=debug")
        })?;
        let set = self.filter.reload(filter);
        set.map_err(|error| format!("the log cannot be changed: {error}"))?;
        log::set_max_level(LevelFilter::current().as_log());
        Ok(())
    }
}

/// Begins to log. What libraries say goes the same way.
///
/// # Errors
///
/// When logging had begun before, or there are no random numbers for a key.
pub fn start(log: &Log) -> Result<Control, Begun> {
    let filter = EnvFilter::try_new(log.directives()).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let terminal = stderr().is_terminal();
    let mask = Mask::new(log.numbers, &log.numbers_key)?.map(Arc::new);
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_ansi(terminal).with_writer(stderr);
    let problems = Problems(mask.clone()).with_filter(LevelFilter::WARN);
    let lines = match mask {
        None if text => lines.with_filter(filter).boxed(),
        None => {
            let lines = lines.with_ansi(false).json().flatten_event(true);
            lines.with_filter(filter).boxed()
        }
        Some(mask) if text => {
            let lines = lines.fmt_fields(masked::Fields(mask));
            lines.with_filter(filter).boxed()
        }
        Some(mask) => {
            let lines = lines.with_ansi(false).json().flatten_event(true);
            let lines = lines.with_writer(move || masked::Lines::new(mask.clone(), stderr()));
            lines.with_filter(filter).boxed()
        }
    };
    set_global_default(tracing_subscriber::registry().with(lines).with(problems))?;
    log::set_boxed_logger(Box::new(Libraries(LogTracer::new())))?;
    log::set_max_level(LevelFilter::current().as_log());
    Ok(Control {
        filter: handle,
        configured: log.level.clone(),
    })
}

/// Takes the lines of libraries, without what concerns nobody who operates this program: the path
/// that a library's source had on the machine where it was built. The wrapper of librdkafka
/// complains of what its callers know; that is for debugging.
struct Libraries<L>(L);

impl<L: log::Log> log::Log for Libraries<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(&of(metadata))
    }

    fn log(&self, record: &Record<'_>) {
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
}
