//! Lines in which numbers are masked.

use std::fmt;
use std::io;
use std::sync::Arc;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use super::super::mask::Mask;

/// Writes the fields of a line for people, as tracing-subscriber writes them.
pub(super) struct Fields(pub(super) Arc<Mask>);

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            mask: &self.0,
            writer,
            first: true,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'m, 'w> {
    mask: &'m Mask,
    writer: Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl Line<'_, '_> {
    fn write(&mut self, field: &Field, text: &str) {
        // What the bridge to `log` says of a line of a library is no field of it.
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        let blank = if std::mem::take(&mut self.first) {
            ""
        } else {
            " "
        };
        self.result = match field.name() {
            "message" => write!(self.writer, "{blank}{text}"),
            name => write!(self.writer, "{blank}{name}={text}"),
        };
    }

    fn number(&mut self, field: &Field, number: impl fmt::Display) {
        self.write(field, &number.to_string());
    }

    fn text(&mut self, field: &Field, text: &str) {
        let masked = self.mask.field(field.name(), text);
        self.write(field, &masked);
    }
}

impl Visit for Line<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.text(field, value);
        } else {
            self.text(field, &format!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// Takes whole lines for machines, and writes them with numbers masked.
pub(super) struct Lines<W> {
    mask: Arc<Mask>,
    to: W,
}

impl<W> Lines<W> {
    pub(super) fn new(mask: Arc<Mask>, to: W) -> Self {
        Lines { mask, to }
    }
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let line = match serde_json::from_slice(octets) {
            Ok(line) => {
                let mut line = self.object(line).to_string();
                line.push('\n');
                line
            }
            Err(_) => {
                let text = String::from_utf8_lossy(octets);
                self.mask.text(&text).into_owned()
            }
        };
        self.to.write_all(line.as_bytes())?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> Lines<W> {
    fn object(&self, line: Value) -> Value {
        let Value::Object(fields) = line else {
            return self.value("message", line);
        };
        let fields = fields.into_iter().map(|(name, value)| {
            let value = self.value(&name, value);
            (name, value)
        });
        Value::Object(fields.collect())
    }

    fn value(&self, name: &str, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask.field(name, &text).into_owned()),
            Value::Array(all) => all.into_iter().map(|one| self.value(name, one)).collect(),
            Value::Object(_) => self.object(value),
            other => other,
        }
    }
}

/// Makes writers of masked lines.
pub(super) struct Masked<W>(pub(super) Arc<Mask>, pub(super) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Masked<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines::new(self.0.clone(), self.1.make_writer())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tracing_subscriber::fmt;

    use super::super::super::mask::Numbers;
    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say() {
        let error = io::Error::other("no such number: 41791234567");
        tracing::event!(
            tracing::Level::INFO,
            offset = 41_791_234_567_i64,
            count = 7_u64,
            rate = 0.5,
            is = true,
            topic = "sms-20260102",
            key = "acme/41791234567/1",
            %error,
            list = ?["41791234567", "x"],
            "said of {} and {}", "41791234567", 5
        );
    }

    fn said(json: bool, masked: bool) -> String {
        let log = Log::default();
        let to = log.clone();
        let mask = Mask::new(Numbers::Last4, &String::new().into()).unwrap();
        let mask = Arc::new(mask.unwrap());
        let lines = fmt().without_time().with_ansi(false);
        let plain = move || to.clone();
        match (json, masked) {
            (true, true) => {
                let lines = lines.json().flatten_event(true);
                let lines = lines.with_writer(move || Lines::new(mask.clone(), plain()));
                tracing::subscriber::with_default(lines.finish(), say);
            }
            (true, false) => {
                let lines = lines.json().flatten_event(true).with_writer(plain);
                tracing::subscriber::with_default(lines.finish(), say);
            }
            (false, true) => {
                let lines = lines.with_writer(plain).fmt_fields(Fields(mask));
                tracing::subscriber::with_default(lines.finish(), say);
            }
            (false, false) => {
                let lines = lines.with_writer(plain);
                tracing::subscriber::with_default(lines.finish(), say);
            }
        }
        String::from_utf8(log.0.lock().clone()).unwrap()
    }

    #[test]
    fn a_masked_line_is_the_same_line_but_for_its_numbers() {
        for json in [true, false] {
            let (plain, masked) = (said(json, false), said(json, true));
            let (offset, number) = (["offset=", "\"offset\":"][usize::from(json)], "41791234567");
            let kept = format!("{offset}{number}");
            let expected = plain
                .replace(&kept, "KEPT")
                .replace(number, "…4567")
                .replace("KEPT", &kept);
            assert_ne!(plain, expected);
            assert_eq!(masked, expected);
            assert_eq!(masked.lines().count(), 1);
        }
    }
}
