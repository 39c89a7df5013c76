//! PDUs from the topic of a trace.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Serialize;

use super::{Args, How, Place, show};
use crate::cli::broker::{Client, TIMEOUT, failed, partitions, reader, watermarks};
use crate::cli::lines::Verdict;
use crate::cli::{Code, Failure};
use crate::codes;
use crate::config::{Config, Esme};
use crate::connector::dialect;
use crate::kafka::ErrorClass;
use crate::trace::headers::{AT, BIND, DIRECTION, ESME, MASKED, PEER};

/// Where a PDU of a trace went; what its record does not say is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::cli::commands) struct Traced {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    esme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// What was hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<String>,
}

impl Traced {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let mut traced = Traced::default();
        for header in message.headers().into_iter().flat_map(|all| all.iter()) {
            let place = match header.key {
                AT => &mut traced.at,
                ESME => &mut traced.esme,
                BIND => &mut traced.bind,
                DIRECTION => &mut traced.direction,
                PEER => &mut traced.peer,
                MASKED => &mut traced.masked,
                _ => continue,
            };
            // Anybody may have written it: it must not steer the terminal.
            let text = String::from_utf8_lossy(header.value.unwrap_or_default());
            *place = Some(text.replace(char::is_control, "\u{fffd}"));
        }
        traced
    }
}

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = self.direction.as_deref().map(|direction| match direction {
            crate::trace::headers::SENT => "sent to",
            _ => "received from",
        });
        let words = [
            self.at.as_deref(),
            self.bind.as_deref(),
            way,
            self.peer.as_deref(),
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        f.write_str(&words.join("  "))?;
        match &self.masked {
            Some(masked) => write!(f, "  ({} hidden)", masked.replace(',', " and ")),
            None => Ok(()),
        }
    }
}

/// Shows what a topic has, and what comes if that is asked for.
pub(super) fn all(args: &Args, how: &How, topic: &str) -> Result<Verdict, Failure> {
    let config = args.source.load()?;
    let topic = match (topic, &config.topics.trace) {
        ("", Some(trace)) => trace,
        ("", None) => {
            let text = "topics.trace is not set: name a topic, --topic sms.trace";
            return Err(Failure::new(Code::Usage, codes::USAGE, text));
        }
        (named, _) => named,
    };
    let hows = hows(args, how, &config);
    let consumer = reader(&config, "read_committed")?;
    let mut left = assign(&consumer, topic)?;
    let mut all = Verdict::Good;
    let mut heard = Instant::now();
    while args.follow || !left.is_empty() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let traced = Traced::of(&message);
                let of_esme = traced.esme.as_ref().and_then(|esme| hows.get(esme));
                let (how, place) = (of_esme.unwrap_or(how), Place::Traced(&traced));
                let octets = message.payload().unwrap_or_default();
                all = all.and(show(how, place, octets, None)?);
                left.retain(|partition, end| {
                    *partition != message.partition() || message.offset() + 1 < *end
                });
            }
            Some(Err(error)) => passing(error, topic)?,
            None if args.follow => {}
            None if heard.elapsed() > TIMEOUT => {
                let seconds = TIMEOUT.as_secs();
                let text = format!("topic {topic}: Kafka gives nothing more of it for {seconds} s");
                return Err(Failure::new(
                    Code::Unavailable,
                    codes::NOTHING_IN_TIME,
                    text,
                ));
            }
            None => keep_unread(&consumer, topic, &mut left)?,
        }
    }
    Ok(all)
}

/// Keeps the partitions of which something is left. Behind the last record there may be what is none,
/// such as the mark of a transaction.
fn keep_unread(
    consumer: &Client,
    topic: &str,
    left: &mut HashMap<i32, i64>,
) -> Result<(), Failure> {
    let positions = consumer.position().map_err(failed(topic))?;
    left.retain(|partition, end| {
        let found = positions.find_partition(topic, *partition);
        let at = found.map_or(Offset::Invalid, |element| element.offset());
        !matches!(at, Offset::Offset(at) if at >= *end)
    });
    Ok(())
}

/// How long one look for a record takes.
const POLL: Duration = Duration::from_millis(200);

/// How the PDUs of each ESME are shown, if they are not all shown alike.
fn hows(args: &Args, how: &How, config: &Config) -> HashMap<String, How> {
    if args.esme.is_some() || args.alphabet.is_some() {
        return HashMap::new();
    }
    let of = |esme: &Esme| How {
        format: how.format,
        json: how.json,
        dialect: dialect(esme),
    };
    let esmes = config.esme.iter();
    esmes.map(|esme| (esme.name.clone(), of(esme))).collect()
}

/// Begins with the oldest record of each partition that has one: those, with their ends.
fn assign(consumer: &Client, topic: &str) -> Result<HashMap<i32, i64>, Failure> {
    let mut list = TopicPartitionList::new();
    let mut left = HashMap::new();
    for p in partitions(consumer, topic)? {
        let (low, high) = watermarks(consumer, &p)?;
        let mut element = list.add_partition(&p.topic, p.partition);
        element
            .set_offset(Offset::Offset(low))
            .map_err(failed(&p))?;
        if low < high {
            left.insert(p.partition, high);
        }
    }
    consumer.assign(&list).map_err(failed(topic))?;
    Ok(left)
}

/// Lets an error pass that librdkafka gets over by itself.
fn passing(error: KafkaError, topic: &str) -> Result<(), Failure> {
    match ErrorClass::of_error(&error) {
        ErrorClass::NoBroker | ErrorClass::NoAnswer | ErrorClass::Unavailable => Ok(()),
        _ => Err(failed(format!("topic {topic}"))(error)),
    }
}
