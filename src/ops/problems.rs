//! The lines of the log at warn and error that were written last, for those who look at `/status`.
//!
//! One entry for each kind of line, with how often it was written: a line that comes again and again
//! does not drive out the others. Only lines of our own tables are kept, whose number is fixed; they
//! never have passwords or texts of messages.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::mask::Mask;
use crate::notices;
use crate::status::Problem;

/// The longest text that is kept of a line, in octets.
const LONGEST: usize = 2048;

/// The lines that were written last, by their names.
static LAST: OnceLock<Mutex<BTreeMap<&'static str, Line>>> = OnceLock::new();

struct Line {
    text: String,
    code: Option<String>,
    at: Timestamp,
}

fn last() -> &'static Mutex<BTreeMap<&'static str, Line>> {
    LAST.get_or_init(Mutex::default)
}

/// The newest problems first, at most `most` of them.
pub fn problems(most: usize) -> Vec<Problem> {
    let known = notices::all().filter_map(|notice| {
        let last = last().lock();
        let line = last.get(notice.type_name())?;
        Some(Problem {
            name: notice.name(),
            level: notice.level.as_str().to_lowercase(),
            text: line.text.clone(),
            code: line.code.clone(),
            about: notices::plain(notice.about),
            at: line.at,
            times: notice.times(),
        })
    });
    let mut problems: Vec<Problem> = known.collect();
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.at));
    problems.truncate(most);
    problems
}

/// Keeps them, with numbers masked as in the log.
pub struct Problems(pub Option<Arc<Mask>>);

impl<S: Subscriber> Layer<S> for Problems {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || !notices::is_one(metadata.name()) {
            return;
        }
        let mut text = Text {
            mask: self.0.as_deref(),
            ..Text::default()
        };
        event.record(&mut text);
        let line = Line {
            code: text.code.take(),
            text: text.whole(),
            at: Timestamp::now(),
        };
        last().lock().insert(metadata.name(), line);
    }
}

/// A line as people read it: its text, then its fields.
#[derive(Default)]
struct Text<'m> {
    mask: Option<&'m Mask>,
    code: Option<String>,
    message: String,
    fields: String,
}

impl Text<'_> {
    fn whole(mut self) -> String {
        self.message.push_str(&self.fields);
        if self.message.len() > LONGEST {
            let end = self.message.floor_char_boundary(LONGEST);
            self.message.truncate(end);
            self.message.push_str("...");
        }
        self.message
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "error_code" => {
                self.code = Some(value.to_string());
                Ok(())
            }
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

impl Visit for Text<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match self.mask {
            Some(_) => self.record_str(field, &format!("{value:?}")),
            None => self.add(field, format_args!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match self.mask {
            Some(mask) => self.add(field, format_args!("{}", mask.field(field.name(), value))),
            None => self.add(field, format_args!("{value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::codes;
    use crate::connector::notices::{Caution, Stopped};
    use crate::correlate::notices::ForeignRecord;
    use crate::ops::mask::Numbers;

    #[test]
    fn a_line_that_is_kept_has_its_numbers_masked() {
        let mask = Mask::new(Numbers::Last4, &String::new().into()).unwrap();
        let heard = tracing_subscriber::registry().with(Problems(mask.map(Arc::new)));
        tracing::subscriber::with_default(heard, || {
            ForeignRecord {
                partition: 12_345_678,
                key: "acme/41791234567",
            }
            .emit();
        });
        let all = problems(100);
        let kept = all.iter().find(|p| p.name == "foreign_record").unwrap();
        assert!(
            kept.text.contains("partition=12345678 key=acme/…4567"),
            "{}",
            kept.text
        );
    }

    #[test]
    fn the_last_line_of_each_kind_is_kept_with_what_it_means() {
        let heard = tracing_subscriber::registry().with(Problems(None));
        tracing::subscriber::with_default(heard, || {
            for words in ["first", "second"] {
                let error_code = codes::BUG;
                Caution {
                    words: &words,
                    error_code,
                }
                .emit();
            }
            Stopped {}.emit();
            tracing::event!(Level::WARN, "a line of somebody else");
        });
        let problems = problems(10);
        let caution = problems.iter().find(|p| p.name == "caution").unwrap();
        assert_eq!((&*caution.text, &*caution.level), ("second", "warn"));
        assert_eq!(caution.code, Some(codes::BUG.to_string()));
        assert!(caution.times >= 2 && !caution.about.is_empty());
        assert!(problems.iter().all(|p| p.name != "stopped"), "that is none");
    }
}
