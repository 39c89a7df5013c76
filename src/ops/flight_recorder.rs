//! The last events of each bind, which the log leaves out, kept in memory and written when it matters.
//!
//! Two layers of the log share the rings: one keeps what carries the name of a bind, whatever the
//! log's level is; the other stands beside what writes the lines, so it meets only events that the
//! log has. It takes what the log has out of the ring, so that nothing is written twice, and when
//! one of the triggers passes, it writes what is in there.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Value, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_core::callsite::DefaultCallsite;
use tracing_core::{Callsite, Kind, metadata};
use tracing_subscriber::layer::{Context, Filter, Layer};

/// The field that names a bind.
const BIND: &str = "bind";

/// The lines below `error` after which a bind's events are written: a session was lost, or messages
/// are in doubt. What they are called in the tables of lines.
const TRIGGERS: [&str; 4] = ["NotBound", "OutbindSessionEnded", "SessionCut", "InDoubt"];

/// An event is kept with so many octets of its text.
const TEXT: usize = 200;

/// So many binds have a ring: more than a process has.
const BINDS: usize = 10_000;

/// With it the log has what was recorded, whatever its level is.
pub(super) const DIRECTIVE: &str = "kafka_smpp::recorded=debug";

/// The fields of a line that writes what was recorded.
const FIELDS: [&str; 5] = [
    "message",
    BIND,
    "recorded_at",
    "recorded_level",
    "recorded_target",
];

/// What tracing knows a line by that writes what was recorded. It is made by hand, because the macros
/// ask the thread for its log, which may give nothing while it is logging.
static RECORDED: DefaultCallsite = DefaultCallsite::new({
    static METADATA: Metadata<'static> = metadata! {
        name: "Recorded",
        target: "kafka_smpp::recorded",
        level: Level::DEBUG,
        fields: &FIELDS,
        callsite: &RECORDED,
        kind: Kind::EVENT,
    };
    &METADATA
});

/// See the [module](self).
#[derive(Clone)]
pub struct FlightRecorder(Arc<Rings>);

impl FlightRecorder {
    /// One that keeps so many events of each bind; `None` if that is none.
    pub fn new(events: u32) -> Option<Self> {
        (events > 0).then(|| {
            FlightRecorder(Arc::new(Rings {
                // One more for the line by which they are written: it is kept for a moment, too.
                events: events as usize + 1,
                of_binds: RwLock::default(),
            }))
        })
    }

    /// About how many octets the events of one bind take at most.
    pub fn octets(events: u32) -> u64 {
        u64::from(events) * (TEXT + size_of::<Kept>()) as u64
    }

    /// The layer that keeps events.
    pub(super) fn keeps(&self) -> Keeps {
        Keeps(self.0.clone())
    }

    /// Which events that layer wants.
    pub(super) fn filter(&self) -> OfBinds {
        OfBinds
    }

    /// The layer that writes them.
    pub(super) fn writes(&self) -> Writes {
        Writes {
            rings: self.0.clone(),
            log: OnceLock::new(),
        }
    }
}

/// The events of all binds.
struct Rings {
    /// How many each bind has at most.
    events: usize,
    of_binds: RwLock<HashMap<Box<str>, Mutex<VecDeque<Kept>>>>,
}

/// An event, as it would be logged.
struct Kept {
    at: Timestamp,
    metadata: &'static Metadata<'static>,
    text: String,
}

impl Rings {
    /// Keeps an event of a bind, in the place of its oldest if there is no more room.
    fn keep(&self, bind: &str, event: &Event<'_>) {
        let of_binds = self.of_binds.read();
        if let Some(ring) = of_binds.get(bind) {
            return self.push(&mut ring.lock(), event);
        }
        drop(of_binds);
        let mut of_binds = self.of_binds.write();
        if of_binds.len() < BINDS {
            let ring = of_binds.entry(bind.into()).or_default();
            self.push(ring.get_mut(), event);
        }
    }

    fn push(&self, ring: &mut VecDeque<Kept>, event: &Event<'_>) {
        let mut text = if ring.len() < self.events {
            String::with_capacity(TEXT)
        } else {
            ring.pop_front()
                .map(|oldest| oldest.text)
                .unwrap_or_default()
        };
        text.clear();
        event.record(&mut Text(&mut text));
        ring.push_back(Kept {
            at: Timestamp::now(),
            metadata: event.metadata(),
            text,
        });
    }

    /// The log has this event: the latest of its kind is not kept for it.
    fn has_been_logged(&self, bind: &str, metadata: &Metadata<'_>) {
        if let Some(ring) = self.of_binds.read().get(bind) {
            let mut ring = ring.lock();
            let same = |kept: &Kept| kept.metadata.callsite() == metadata.callsite();
            if let Some(index) = ring.iter().rposition(same) {
                ring.remove(index);
            }
        }
    }

    fn take(&self, bind: &str) -> VecDeque<Kept> {
        let of_binds = self.of_binds.read();
        let ring = of_binds.get(bind);
        ring.map(|ring| std::mem::take(&mut *ring.lock()))
            .unwrap_or_default()
    }
}

/// Keeps events.
pub(super) struct Keeps(Arc<Rings>);

impl<S: Subscriber> Layer<S> for Keeps {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        with_bind(event, |bind| {
            if event.metadata().name() == smpp_esme::CLOSED {
                self.0.of_binds.write().remove(bind);
            } else {
                self.0.keep(bind, event);
            }
        });
    }
}

/// Writes what was kept.
pub(super) struct Writes {
    rings: Arc<Rings>,
    /// All of the log, which this is a part of.
    log: OnceLock<WeakDispatch>,
}

impl<S: Subscriber> Layer<S> for Writes {
    fn on_register_dispatch(&self, log: &Dispatch) {
        // It is registered once.
        let _ = self.log.set(log.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if !is_of_bind(metadata) {
            return;
        }
        with_bind(event, |bind| {
            self.rings.has_been_logged(bind, metadata);
            let is_trigger =
                *metadata.level() == Level::ERROR || TRIGGERS.contains(&metadata.name());
            if is_trigger && let Some(log) = self.log.get().and_then(WeakDispatch::upgrade) {
                for kept in self.rings.take(bind) {
                    kept.write(bind, &log);
                }
            }
        });
    }
}

impl Kept {
    /// Writes it as a line.
    fn write(&self, bind: &str, log: &Dispatch) {
        let metadata = RECORDED.metadata();
        let names: Vec<Field> = metadata.fields().iter().collect();
        let [message, bind_name, recorded_at, level, target] = &names[..] else {
            return;
        };
        let text = format_args!("recorded before that: {}", self.text);
        let at = format!("{:.6}", self.at);
        let fields: [(_, Option<&dyn Value>); FIELDS.len()] = [
            (message, Some(&text)),
            (bind_name, Some(&bind)),
            (recorded_at, Some(&at.as_str())),
            (level, Some(&self.metadata.level().as_str())),
            (target, Some(&self.metadata.target())),
        ];
        if log.enabled(metadata) {
            log.event(&Event::new(metadata, &metadata.fields().value_set(&fields)));
        }
    }
}

/// Lets events of binds through, and asks for each place in the code once: what is of no bind costs
/// what it costs without a recorder.
pub(super) struct OfBinds;

impl<S> Filter<S> for OfBinds {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        is_of_bind(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_of_bind(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// Whether a ring takes it: an event of a bind down to `debug`, or a PDU.
fn is_of_bind(metadata: &Metadata<'_>) -> bool {
    let level = *metadata.level() <= Level::DEBUG || metadata.target() == smpp_esme::PDUS;
    let recorded = metadata.callsite() == RECORDED.metadata().callsite();
    metadata.is_event() && level && !recorded && metadata.fields().field(BIND).is_some()
}

/// Calls `then` with the bind that an event names, which may be written as any kind of value.
fn with_bind(event: &Event<'_>, then: impl FnOnce(&str)) {
    struct Find<F>(Option<F>);

    impl<F: FnOnce(&str)> Visit for Find<F> {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == BIND
                && let Some(then) = self.0.take()
            {
                then(value);
            }
        }

        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == BIND
                && let Some(then) = self.0.take()
            {
                then(&format!("{value:?}"));
            }
        }

        fn record_u64(&mut self, _: &Field, _: u64) {}
    }

    event.record(&mut Find(Some(then)));
}

/// Writes an event's text and its fields, but for the bind, as a line of the log has them.
struct Text<'a>(&'a mut String);

impl Text<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut room = Room(self.0);
        let space = if room.0.is_empty() { "" } else { " " };
        // An error says that there is no more room.
        let _ = match field.name() {
            BIND => Ok(()),
            "message" => write!(room, "{space}{value}"),
            name => write!(room, "{space}{name}={value}"),
        };
    }
}

impl Visit for Text<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format_args!("{value:?}"));
    }
}

/// A text of at most [`TEXT`] octets, and where it was cut if it is longer.
struct Room<'a>(&'a mut String);

impl Write for Room<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const CUT: &str = "…";
        let left = TEXT.saturating_sub(CUT.len() + self.0.len());
        if text.len() <= left {
            self.0.push_str(text);
            return Ok(());
        }
        if !self.0.ends_with(CUT) {
            self.0.push_str(&text[..text.floor_char_boundary(left)]);
            self.0.push_str(CUT);
        }
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::Value;
    use tracing::subscriber::with_default;
    use tracing::{debug, event, trace};

    use super::*;
    use crate::config::{Log, LogFormat};
    use crate::ops::logging::recorded;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of a log of this level with a recorder of so many events, and how many binds that
    /// keeps events of in the end.
    fn logged(level: &str, events: u32, what: impl FnOnce()) -> (Vec<Value>, usize) {
        let log = Log {
            level: level.into(),
            format: LogFormat::Json,
            flight_recorder: events,
            ..Log::default()
        };
        let written = Written::default();
        let to = written.clone();
        let recorder = FlightRecorder::new(events).unwrap();
        let (subscriber, _) = recorded(&log, None, move || to.clone(), &recorder);
        with_default(subscriber, what);
        let octets = written.0.lock().clone();
        let lines = String::from_utf8(octets).unwrap();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (lines.collect(), recorder.0.of_binds.read().len())
    }

    /// The texts of the lines.
    fn texts(lines: &[Value]) -> Vec<&str> {
        lines
            .iter()
            .map(|l| l["message"].as_str().unwrap())
            .collect()
    }

    fn lost(bind: &str) {
        event!(name: "NotBound", Level::WARN, bind, "session ended");
    }

    #[test]
    fn what_the_log_left_out_is_written_once_when_a_session_is_lost() {
        let (lines, _) = logged("info", 10, || {
            event!(Level::INFO, bind = "a", "bound");
            debug!(bind = "a", window = 2, host = "smsc", "another pace");
            debug!(bind = "b", "of another");
            debug!(esme = "a", "of no bind");
            trace!(bind = "a", "too little");
            trace!(target: smpp_esme::PDUS, bind = "a", sequence = 7, "sent");
            event!(Level::WARN, bind = "a", "harmless");
            lost("a");
            lost("a");
            debug!(bind = %"a", "displayed");
            event!(Level::ERROR, bind = "a", "an error");
        });
        assert_eq!(
            texts(&lines),
            [
                "bound",
                "harmless",
                "session ended",
                "recorded before that: another pace window=2 host=\"smsc\"",
                "recorded before that: sent sequence=7",
                "session ended",
                "an error",
                "recorded before that: displayed",
            ]
        );
        let recorded = &lines[4];
        assert_eq!(recorded["level"], "DEBUG");
        assert_eq!(recorded["bind"], "a");
        assert_eq!(recorded["recorded_level"], "TRACE");
        assert_eq!(recorded["recorded_target"], "smpp_esme::pdu");
        let at: Timestamp = recorded["recorded_at"].as_str().unwrap().parse().unwrap();
        let line: Timestamp = recorded["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(at <= line, "{recorded}");
    }

    #[test]
    fn a_log_that_leaves_the_trigger_out_leaves_out_what_was_before_it() {
        let (lines, _) = logged("error", 10, || {
            debug!(bind = "a", "one");
            lost("a");
            event!(Level::ERROR, bind = "a", "an error");
        });
        let expected = [
            "an error",
            "recorded before that: one",
            "recorded before that: session ended",
        ];
        assert_eq!(texts(&lines), expected);
        let (lines, _) = logged("debug", 10, || {
            debug!(bind = "a", "one");
            lost("a");
        });
        assert_eq!(texts(&lines), ["one", "session ended"], "nothing twice");
    }

    #[test]
    fn memory_has_a_bound_in_events_octets_and_binds() {
        let (lines, binds) = logged("info", 3, || {
            for n in 0..50 {
                debug!(bind = "a", n, long = "ä".repeat(1000), "event");
            }
            for n in 0..BINDS + 10 {
                debug!(bind = format!("b{n}"), "event");
            }
            debug!(name: smpp_esme::CLOSED, bind = "b0", "closed");
            lost("a");
        });
        assert_eq!(binds, BINDS - 1);
        let texts = texts(&lines);
        assert_eq!(texts.len(), 4);
        for (line, n) in lines[1..].iter().zip(47..) {
            let text = line["message"].as_str().unwrap();
            let begin = format!("recorded before that: event n={n} long=\"ää");
            assert!(text.starts_with(&begin) && text.ends_with("ä…"), "{text}");
            assert!(
                text.len() <= TEXT + "recorded before that: ".len(),
                "{text}"
            );
        }
    }

    #[test]
    fn triggers_are_lines_that_there_are() {
        let rows = [smpp_esme::NOTICES, crate::submit::notices::NOTICES].concat();
        let rows: Vec<String> = rows.iter().map(|row| format!("{:?}", row.get())).collect();
        for trigger in TRIGGERS {
            assert!(rows.contains(&format!("WARN {trigger}")), "{trigger}");
        }
        let target = RECORDED.metadata().target();
        assert_eq!(DIRECTIVE, format!("{target}=debug"));
    }
}
