//! Events on the result topics: reading them, and saying them in a line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::Value;
use serde_json::value::RawValue;

use super::broker::{Client, failed, partitions, reader, watermarks};
use super::schemas::Schemas;
use super::{Code, Failure};
use crate::codes;
use crate::config::Config;
use crate::connector::reader as reader_of;
use crate::kafka::ErrorClass;
use crate::record::codec::{Codec, Unread};

/// Pause before an event is looked at again whose schema is not here yet.
const AGAIN: Duration = Duration::from_millis(50);

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartAt {
    /// With what is published from now on.
    End,
    /// With all there is.
    Beginning,
}

/// Reads events of some topics as they are committed.
pub(super) struct Reader {
    consumer: Client,
    codecs: Vec<(String, Codec)>,
    /// Topic and value of an event whose schema is not here yet.
    waiting: Option<(String, Vec<u8>)>,
    _schemas: Schemas,
}

/// One event.
pub(super) struct Event {
    /// Its value as it was read.
    pub text: String,
    /// Its value; `Null` if it is not JSON.
    pub value: Value,
}

impl Reader {
    /// A reader of `topics`. What is published after this returns is read.
    pub fn open(config: &Config, topics: &[&str], from: StartAt) -> Result<Reader, Failure> {
        let consumer = reader(config, "read_committed")?;
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for p in partitions(&consumer, topic)? {
                let (low, high) = watermarks(&consumer, &p)?;
                let offset = match from {
                    StartAt::End => high,
                    StartAt::Beginning => low,
                };
                let mut element = list.add_partition(&p.topic, p.partition);
                element
                    .set_offset(Offset::Offset(offset))
                    .map_err(failed(&p))?;
            }
        }
        consumer
            .assign(&list)
            .map_err(failed("the result topics cannot be read"))?;
        let schemas = Schemas::open(config)?;
        let contents = config.contents();
        let format = |topic: &str| contents.iter().find(|t| t.name == topic).map(|t| t.format);
        let codec = |topic: &&str| {
            let format = format(topic).unwrap_or_default();
            ((*topic).to_owned(), reader_of(format, schemas.handle()))
        };
        Ok(Reader {
            consumer,
            codecs: topics.iter().map(codec).collect(),
            waiting: None,
            _schemas: schemas,
        })
    }

    /// The next event, or `None` if there is none within `timeout`, or none that could be read
    /// yet.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Event>, Failure> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some((topic, octets)) = self.waiting.take() {
                match self.event(&topic, &octets) {
                    Ok(event) => return Ok(Some(event)),
                    Err(_) => self.waiting = Some((topic, octets)),
                }
                if Instant::now() >= deadline {
                    return Ok(None);
                }
                std::thread::sleep(AGAIN);
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                None => return Ok(None),
                Some(Ok(message)) => {
                    let octets = message.payload().unwrap_or_default();
                    match self.event(message.topic(), octets) {
                        Ok(event) => return Ok(Some(event)),
                        Err(why) => {
                            anstream::eprintln!("waiting: {why}");
                            let topic = message.topic().to_owned();
                            let octets = octets.to_vec();
                            drop(message);
                            self.waiting = Some((topic, octets));
                        }
                    }
                }
                Some(Err(error)) => passing(error)?,
            }
        }
    }

    /// An event, or why it cannot be read yet.
    fn event(&self, topic: &str, octets: &[u8]) -> Result<Event, String> {
        let codec = self.codecs.iter().find(|(name, _)| name == topic);
        let value = match codec.map(|(_, codec)| codec.shown(octets)) {
            Some(Ok(value)) => value,
            Some(Err(Unread::Wait(why))) => return Err(why),
            Some(Err(Unread::Invalid(_))) | None => fields(octets).unwrap_or(Value::Null),
        };
        let text = match std::str::from_utf8(octets) {
            Ok(text) if text.starts_with('{') => text.to_owned(),
            _ => value.to_string(),
        };
        Ok(Event { text, value })
    }
}

/// What can be read of a JSON object, field by field: extra_data may be nested deeper, or hold
/// larger numbers, than readers take.
fn fields(octets: &[u8]) -> Option<Value> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(octets).ok()?;
    let read =
        |(name, raw): (String, &RawValue)| Some((name, serde_json::from_str(raw.get()).ok()?));
    Some(Value::Object(fields.into_iter().filter_map(read).collect()))
}

/// Lets an error pass that librdkafka gets over by itself.
fn passing(error: KafkaError) -> Result<(), Failure> {
    match ErrorClass::of_error(&error) {
        ErrorClass::NoBroker | ErrorClass::NoAnswer | ErrorClass::Unavailable => Ok(()),
        _ => Err(failed("the result topics cannot be read")(error)),
    }
}

impl Event {
    /// A field as text; empty if it is not there.
    pub fn field(&self, name: &str) -> String {
        match &self.value[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            // An address with its type and plan.
            Value::Object(parts) if parts.contains_key("number") => {
                parts["number"].as_str().unwrap_or_default().to_owned()
            }
            other => other.to_string(),
        }
    }

    /// Whether a field is `true`.
    pub fn is(&self, name: &str) -> bool {
        self.value[name] == true
    }

    /// Whether the event belongs to the message with this log id.
    pub fn of(&self, log_id: &str) -> bool {
        self.value["log_id"] == log_id
    }

    /// What kind of event it is.
    pub fn kind(&self) -> &str {
        self.value["type"].as_str().unwrap_or("?")
    }

    /// The event in one line for people, coloured by how good the news are.
    pub fn line(&self) -> String {
        let (style, what) = match self.kind() {
            kind if kind.ends_with("Resp") && self.is("accepted") => (GOOD, "accepted"),
            kind if kind.ends_with("Resp") || kind == "GenericNack" => (BAD, "rejected"),
            "SendError" => (BAD, "error"),
            "DeliveryReceipt" if self.is("overdue") => (BAD, "overdue"),
            "DeliveryReceipt" if self.is("final") && self.value["state"] != "DELIVERED" => {
                (BAD, "receipt")
            }
            "DeliveryReceipt" => (GOOD, "receipt"),
            "InboundSms" => (GOOD, "inbound"),
            "AlertNotification" => (GOOD, "alert"),
            "Outbind" => (GOOD, "outbind"),
            "MessageIdHint" => (BAD, "hint"),
            "Bound" | "ThrottledNoMore" | "ReceiptsAgain" | "Resumed" | "Started" => {
                (GOOD, self.kind())
            }
            "Unbound" | "Throttled" | "ReceiptsStopped" | "Paused" => (BAD, self.kind()),
            other => (Style::new(), other),
        };
        let mut line = format!("{style}{what:9}{style:#}");
        for name in self.telling() {
            let value = self.field(name);
            if !value.is_empty() {
                let _ = write!(line, " {}", shown(name, &value));
            }
        }
        for (name, text) in FLAGS {
            if self.is(name) {
                let _ = write!(line, " ({text})");
            }
        }
        if self.value["correlated"] == false {
            line.push_str(" (nobody's)");
        }
        line
    }

    fn telling(&self) -> &'static [&'static str] {
        match self.kind() {
            kind if kind.ends_with("Resp") || kind == "GenericNack" => &[
                "esme",
                "log_id",
                "destination",
                "command_status_name",
                "message_id",
                "state",
            ],
            "SendError" => &["esme", "log_id", "destination", "kind", "error"],
            "DeliveryReceipt" => &[
                "esme",
                "log_id",
                "destination",
                "state",
                "err",
                "message_id",
            ],
            "AlertNotification" => &["esme", "source", "availability"],
            "Outbind" => &["esme", "system_id", "peer"],
            "MessageIdHint" => &["esme", "message_id"],
            "Bound" | "Unbound" | "Throttled" | "ThrottledNoMore" => &["bind"],
            "Started" | "Stopping" | "Stopped" => &["process"],
            "Takeover" | "ReceiptsStopped" | "ReceiptsAgain" | "Paused" | "Resumed" => {
                &["esme", "process"]
            }
            _ => &["esme", "source", "destination", "text"],
        }
    }
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

const FLAGS: [(&str, &str); 2] = [
    ("possible_duplicate", "possible duplicate"),
    ("late", "late"),
];

fn shown(name: &str, value: &str) -> String {
    // An event is foreign text: it must not steer the terminal.
    let value: String = value
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    match name {
        "message_id" => format!("id={value}"),
        "destination" => format!("to {value}"),
        "source" => format!("from {value}"),
        "err" => format!("err={value}"),
        "text" => format!("{value:?}"),
        _ => value,
    }
}

/// The result topics by the names of their keys in `[topics]`.
pub(super) fn topics<'a>(config: &'a Config, keys: &[String]) -> Result<Vec<&'a str>, Failure> {
    let known = &config.topics.named()[..5];
    if keys.is_empty() {
        return Ok(known.iter().map(|(_, topic)| *topic).collect());
    }
    let topic = |key: &String| {
        let found = known
            .iter()
            .find(|(name, topic)| key == name || key == topic);
        found.map(|(_, topic)| *topic).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            let text = format!(
                "there are no events on {key:?}; choose of {}",
                names.join(", ")
            );
            Failure::new(Code::Usage, codes::UNKNOWN_NAME, text)
        })
    };
    keys.iter().map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: Value) -> String {
        let event = Event {
            text: value.to_string(),
            value,
        };
        anstream::adapter::strip_str(&event.line()).to_string()
    }

    #[test]
    fn events_are_said_in_a_line() {
        let accepted = serde_json::json!({
            "type": "SubmitSmResp", "accepted": true, "log_id": "a", "esme": "acme",
            "destination": "49170", "command_status_name": "ESME_ROK", "message_id": "8f",
            "possible_duplicate": true
        });
        assert_eq!(
            line(accepted),
            "accepted  acme a to 49170 ESME_ROK id=8f (possible duplicate)"
        );
        let receipt = serde_json::json!({
            "type": "DeliveryReceipt", "correlated": false, "esme": "acme", "state": "DELIVERED"
        });
        assert_eq!(line(receipt), "receipt   acme DELIVERED (nobody's)");
    }

    #[test]
    fn an_event_is_said_whatever_its_extra_data_is() {
        for extra in [&*"[".repeat(300), "1e999999", r#""\ud800""#] {
            let closing = "]".repeat(extra.matches('[').count());
            let text = format!(
                r#"{{"type":"SubmitSmResp","accepted":true,"log_id":"a","extra_data":{extra}{closing}}}"#
            );
            assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");
            let value = fields(text.as_bytes()).unwrap();
            assert_eq!(line(value), "accepted  a");
        }
        assert!(fields(b"{").is_none());
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        let inbound = serde_json::json!({ "type": "InboundSms", "text": "a\u{1b}[2Jb", "source": { "number": "1" } });
        let line = line(inbound);
        assert!(!line.contains('\u{1b}'));
        assert!(line.starts_with("inbound   from 1 "), "{line}");
    }
}
