//! The lines of the log at warn and error that were written last, for those who look at `/status`.
//!
//! One entry for each kind of line, with how often it was written: a line that comes again and again
//! does not drive out the others. Only lines of our own tables are kept, whose number is fixed; they
//! never have passwords or texts of messages.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::OnceLock;

use jiff::Timestamp;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

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

/// Keeps them.
pub struct Problems;

impl<S: Subscriber> Layer<S> for Problems {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || !notices::is_one(metadata.name()) {
            return;
        }
        let mut text = Text::default();
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
struct Text {
    code: Option<String>,
    message: String,
    fields: String,
}

impl Text {
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

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::codes;
    use crate::connector::notices::{Caution, Stopped};

    #[test]
    fn the_last_line_of_each_kind_is_kept_with_what_it_means() {
        let heard = tracing_subscriber::registry().with(Problems);
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
