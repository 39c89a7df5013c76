//! `kafka-smpp send`: a message from the command line onto an outbound topic.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use serde_json::{Map, Value, json};

use crate::cli::broker::{TIMEOUT, connect, failed, refused, who};
use crate::cli::events::{Event, Reader, StartAt, topics};
use crate::cli::output::line;
use crate::cli::{Code, ConfigSource, Failure};
use crate::codes;
use crate::config::{Config, Esme};
use crate::kafka::cause::Doing;
use crate::kafka::ear::Plain;
use crate::ops::random;
use crate::record::codec::Codec;
use crate::record::event::SendErrorKind;
use crate::record::json::{self as records, Invalid};
use crate::registry::Registry;
use crate::settings::Time;

/// Put a message onto an outbound topic
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp send --to 491701234567 --text 'Your code is 1234' --wait
  kafka-smpp send --to 491701234567 --text Привет --from ACME --in-doubt resend
  kafka-smpp send --json message.json --wait=5m

With --wait it ends with
   0  the SMSC took the message, and if a receipt was asked for, it was delivered
  65  it was not accepted: the record is wrong, the SMSC rejected it, or it expired unsent
  67  it was accepted and not delivered: UNDELIVERABLE, EXPIRED, REJECTED, DELETED, SKIPPED
  75  the time was over before its result or its receipts came: it may still arrive
  76  what became of it is not known: no answer of the SMSC, or a receipt that says UNKNOWN
A message in parts, or to several recipients, is delivered when all of it is.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: ConfigSource,
    /// The recipient
    #[arg(long, value_name = "NUMBER", required_unless_present = "json")]
    to: Option<String>,
    /// The text
    #[arg(long, required_unless_present = "json")]
    text: Option<String>,
    /// The sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// By which ESME; without it the first that sends
    #[arg(long, value_name = "NAME")]
    esme: Option<String>,
    /// Onto which of its outbound topics; without it the first
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Names the message in its events; made up without it
    #[arg(long, value_name = "ID")]
    log_id: Option<String>,
    /// Key of the record; the recipient without it
    #[arg(long)]
    key: Option<String>,
    /// What becomes of it if it may have been sent: report or resend
    #[arg(long, value_parser = ["report", "resend"])]
    in_doubt: Option<String>,
    /// Do not send it after this time, such as 5m
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Time>,
    /// registered_delivery: 0 asks for no receipt, 1 for one
    #[arg(long, value_name = "N")]
    registered_delivery: Option<u8>,
    /// The whole record as JSON, from a file or (-) standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "text", "from", "log_id", "in_doubt", "expires_in", "registered_delivery"])]
    json: Option<PathBuf>,
    /// Wait for its events, one minute unless told otherwise
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1m")]
    wait: Option<Time>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    let (esme, topic) = target(args, &config)?;
    let (log_id, record) = match &args.json {
        Some(file) => from_json(file)?,
        None => compose(args)?,
    };
    // Opened before the message is there, so that no event is missed.
    let reader = args
        .wait
        .map(|_| Reader::open(&config, &topics(&config, &[])?, StartAt::End))
        .transpose()?;
    let key = args.key.as_ref().or(args.to.as_ref());
    let value = encoded(&config, topic, &record)?;
    let position = produce(&config, topic, key.map(String::as_str), &value)?;
    let log_id = log_id.unwrap_or(position.clone());
    line(format_args!("{topic} {position} log_id={log_id}"))?;
    match (reader, args.wait) {
        (Some(mut reader), Some(timeout)) => {
            let asked = registered(&record).unwrap_or(esme.registered_delivery);
            let asked = if esme.bind.receives() { asked & 3 } else { 0 };
            wait(
                &mut reader,
                &log_id,
                timeout,
                Awaited::new(asked, recipients(&record)),
            )
        }
        _ => Ok(()),
    }
}

fn target<'a>(args: &'a Args, config: &'a Config) -> Result<(&'a Esme, &'a str), Failure> {
    let usage = |text: String| Failure::new(Code::Usage, codes::UNKNOWN_NAME, text);
    let by_name = |esme: &&Esme| args.esme.as_ref().is_none_or(|name| *name == esme.name);
    let by_topic = |esme: &&Esme| match &args.topic {
        Some(topic) => esme.outbound.contains(topic),
        None => !esme.outbound.is_empty(),
    };
    let mut fitting = config.esme.iter().filter(by_name).filter(by_topic);
    let esme = fitting.next().ok_or_else(|| {
        let known: Vec<_> = config
            .esme
            .iter()
            .map(|e| format!("{} ({})", e.name, e.outbound.join(", ")))
            .collect();
        usage(format!(
            "no such ESME or topic; there are: {}",
            known.join("; ")
        ))
    })?;
    let first = esme.outbound.first().map(String::as_str);
    let topic = args.topic.as_deref().or(first);
    let topic = topic.ok_or_else(|| usage(format!("{} sends nothing", esme.name)))?;
    Ok((esme, topic))
}

/// The record as the topic has it.
fn encoded(config: &Config, topic: &str, record: &[u8]) -> Result<Vec<u8>, Failure> {
    let wrong = |wrong: Invalid| {
        Failure::new(
            Code::Data,
            SendErrorKind::InvalidRecord.code(),
            wrong.to_string(),
        )
    };
    let contents = config.contents().into_iter().find(|t| t.name == topic);
    let codec = match contents.filter(|topic| topic.format.is_registered()) {
        None => Codec::new(config.formats.outbound),
        Some(topic) => {
            let kind = records::outbound(record).map_err(wrong)?.operation.kind();
            let (_, handle) = Registry::new(&config.schema_registry)?;
            crate::cli::runtime()?.block_on(handle.codec_for(&topic, &[kind]))?
        }
    };
    codec.from_json(record).map_err(wrong)
}

fn compose(args: &Args) -> Result<(Option<String>, Vec<u8>), Failure> {
    let log_id = match &args.log_id {
        Some(log_id) => log_id.clone(),
        None => format!("cli-{}", random::Name::new()?),
    };
    let expires = args
        .expires_in
        .and_then(|time| jiff::Timestamp::now().checked_add(time.get()).ok());
    let fields = [
        ("log_id", Some(json!(log_id))),
        ("source", args.from.as_ref().map(|v| json!(v))),
        ("destination", args.to.as_ref().map(|v| json!(v))),
        ("short_message", args.text.as_ref().map(|v| json!(v))),
        (
            "registered_delivery",
            args.registered_delivery.map(|v| json!(v)),
        ),
        ("in_doubt", args.in_doubt.as_ref().map(|v| json!(v))),
        ("expires_at", expires.map(|v| json!(v.to_string()))),
    ];
    let given = |(name, value): (&str, Option<Value>)| Some((name.to_owned(), value?));
    let record: Map<String, Value> = fields.into_iter().filter_map(given).collect();
    let record = Value::Object(record).to_string().into_bytes();
    Ok((Some(log_id), record))
}

fn from_json(file: &PathBuf) -> Result<(Option<String>, Vec<u8>), Failure> {
    let mut octets = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut octets)?;
    } else {
        octets = std::fs::read(file).map_err(|e| {
            Failure::new(
                Code::NoInput,
                codes::INPUT_UNREADABLE,
                format!("{}: {e}", file.display()),
            )
        })?;
    }
    let value: Value = serde_json::from_slice(&octets).map_err(|e| {
        Failure::new(
            Code::Data,
            codes::INPUT_MALFORMED,
            format!("{} is not JSON: {e}", file.display()),
        )
    })?;
    Ok((value["log_id"].as_str().map(str::to_owned), octets))
}

/// registered_delivery as the record says it; 0 for what has no receipt.
fn registered(record: &[u8]) -> Option<u8> {
    let value: Value = serde_json::from_slice(record).ok()?;
    match value["type"].as_str() {
        None | Some("SubmitSm" | "SubmitMulti" | "DataSm") => {
            u8::try_from(value["registered_delivery"].as_u64()?).ok()
        }
        Some(_) => Some(0),
    }
}

/// Produces the record; its position as its derived log id has it.
fn produce(
    config: &Config,
    topic: &str,
    key: Option<&str>,
    record: &[u8],
) -> Result<String, Failure> {
    let looking = connect(config, &config.kafka.reader())?;
    let mut client = config.kafka.producer();
    client.set("message.timeout.ms", TIMEOUT.as_millis().to_string());
    let producer: FutureProducer<Plain> = client
        .create_with_context(Plain::of(&client))
        .map_err(failed("no Kafka client can be made"))?;
    let mut message = FutureRecord::<str, [u8]>::to(topic).payload(record);
    message.key = key;
    let sent = crate::cli::runtime()?.block_on(producer.send(message, Timeout::After(TIMEOUT)));
    let delivery = sent.map_err(|(e, _)| {
        refused(
            who(&looking),
            format!("topic {topic}"),
            &Doing::Writing(topic),
        )(e)
    })?;
    Ok(format!(
        "{topic}-{}-{}",
        delivery.partition, delivery.offset
    ))
}

/// To how many the record goes; 1 unless it says otherwise. `None` if it names a distribution
/// list: nobody knows how many there are.
fn recipients(record: &[u8]) -> Option<usize> {
    let value: Value = serde_json::from_slice(record).ok()?;
    match value["destinations"].as_array() {
        Some(all) if all.iter().any(|one| one["list"].is_string()) => None,
        Some(all) => Some(all.len()),
        None => Some(1),
    }
}

fn wait(
    reader: &mut Reader,
    log_id: &str,
    timeout: Time,
    mut awaited: Awaited,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout.get();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(event) = reader.next(left)? else {
            return awaited.time_is_over(timeout);
        };
        if !event.of(log_id) {
            continue;
        }
        line(event.line())?;
        if let Some(ended) = awaited.see(&event) {
            return ended;
        }
    }
}

/// What is waited for.
struct Awaited {
    /// Of whom a receipt was asked for: of nobody (0), whatever the outcome (1), on failure (2), on
    /// success (3) (SMPP 5.0 §4.7.21).
    asked: u8,
    /// How many final receipts there will be, if that is known.
    receipts: Option<usize>,
    /// Whether the SMSC took it, as far as that is known.
    accepted: bool,
    /// Whose final receipt is there, by part and recipient, and its state.
    finals: BTreeMap<String, String>,
}

impl Awaited {
    fn new(asked: u8, recipients: Option<usize>) -> Self {
        Awaited {
            asked,
            receipts: recipients,
            accepted: false,
            finals: BTreeMap::new(),
        }
    }

    /// What comes next. Returns how it ends, if this is the end.
    fn see(&mut self, event: &Event) -> Option<Result<(), Failure>> {
        if event.is("terminal") {
            if let Some(failure) = self.result(event) {
                return Some(Err(failure));
            }
        } else if event.is("overdue") {
            let text = "no receipt came in time: what became of the message is not known";
            return Some(Err(Failure::new(Code::Unknown, codes::FATE_UNKNOWN, text)));
        } else if event.is("final") {
            let who = format!("{} {}", event.field("part"), event.field("destination"));
            self.finals.insert(who, event.field("state"));
        }
        let enough = self.receipts.is_none_or(|n| self.finals.len() >= n);
        match self.asked {
            _ if !self.accepted => None,
            0 => Some(Ok(())),
            _ if enough && !self.finals.is_empty() => Some(self.verdict()),
            _ => None,
        }
    }

    /// The result of the record.
    fn result(&mut self, event: &Event) -> Option<Failure> {
        if event.field("kind") == "OUTCOME_UNKNOWN" {
            let text = "the SMSC did not answer: the message may have been sent, or not";
            return Some(Failure::new(Code::Unknown, codes::FATE_UNKNOWN, text));
        }
        if !event.is("accepted") {
            return Some(Failure::new(
                Code::Data,
                codes::NOT_ACCEPTED,
                "the message was not accepted",
            ));
        }
        self.accepted = true;
        let list = |name| event.value[name].as_array().map_or(0, Vec::len);
        self.receipts = self.receipts.map(|recipients| {
            recipients
                .max(list("parts"))
                .saturating_sub(list("unsuccess"))
        });
        None
    }

    /// What all receipts together say: the worst.
    fn verdict(&self) -> Result<(), Failure> {
        let state = |good: &dyn Fn(&str) -> bool| self.finals.values().find(|state| good(state));
        if let Some(state) = state(&|state| !matches!(state, "DELIVERED" | "ACCEPTED" | "UNKNOWN"))
        {
            let text = format!("the message was not delivered: {state}");
            return Err(Failure::new(Code::NotDelivered, codes::NOT_DELIVERED, text));
        }
        match state(&|state| state == "UNKNOWN") {
            Some(_) => {
                let text = "the SMSC does not know whether the message was delivered: UNKNOWN";
                Err(Failure::new(Code::Unknown, codes::FATE_UNKNOWN, text))
            }
            None => Ok(()),
        }
    }

    fn time_is_over(&self, timeout: Time) -> Result<(), Failure> {
        let missing = |what: &str| {
            let text = format!("no {what} within {timeout}; it may still come");
            Err(Failure::new(Code::TempFail, codes::NOTHING_IN_TIME, text))
        };
        // What came says more than what did not.
        match self.verdict() {
            Err(failure) if failure.code == Code::NotDelivered => Err(failure),
            _ if !self.accepted => missing("result"),
            _ if self.finals.is_empty() && self.asked == 2 => Ok(()),
            _ if self.finals.is_empty() => missing("receipt"),
            _ => missing(&format!("more receipts than {}", self.finals.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How it ends after these events; -1 if it goes on.
    fn ends(asked: u8, recipients: Option<usize>, events: &[Value]) -> i32 {
        let mut awaited = Awaited::new(asked, recipients);
        for value in events {
            let event = Event {
                text: value.to_string(),
                value: value.clone(),
            };
            if let Some(ended) = awaited.see(&event) {
                return ended.err().map_or(0, |failure| failure.code as i32);
            }
        }
        -1
    }

    fn receipt(state: &str, who: &str) -> Value {
        json!({ "type": "DeliveryReceipt", "final": true, "state": state, "destination": who })
    }

    #[test]
    fn what_became_of_a_message_is_an_exit_code() {
        let taken = json!({ "terminal": true, "accepted": true });
        let two = json!({ "terminal": true, "accepted": true, "parts": [{}, {}] });
        let unknown = json!({ "terminal": true, "kind": "OUTCOME_UNKNOWN" });
        let rejected = json!({ "terminal": true, "accepted": false });
        let good = receipt("DELIVERED", "1");
        let part = |n: u8, state: &str| {
            let mut part = receipt(state, "1");
            part["part"] = json!(n);
            part
        };
        let one = Some(1);
        for (asked, recipients, events, code) in [
            (0, one, vec![taken.clone()], 0),
            (1, one, vec![taken.clone()], -1),
            (1, one, vec![taken.clone(), good.clone()], 0),
            (1, one, vec![good.clone()], -1),
            (1, one, vec![good.clone(), taken.clone()], 0),
            (1, one, vec![taken.clone(), receipt("ACCEPTED", "1")], 0),
            (
                1,
                one,
                vec![taken.clone(), receipt("UNDELIVERABLE", "1")],
                67,
            ),
            (1, one, vec![taken.clone(), receipt("EXPIRED", "1")], 67),
            (1, one, vec![receipt("REJECTED", "1"), taken.clone()], 67),
            (1, one, vec![taken.clone(), receipt("UNKNOWN", "1")], 76),
            (1, one, vec![taken.clone(), json!({ "overdue": true })], 76),
            (0, one, vec![unknown.clone()], 76),
            (1, one, vec![rejected], 65),
            (
                1,
                one,
                vec![json!({ "terminal": true, "kind": "EXPIRED" })],
                65,
            ),
            (1, one, vec![two.clone(), part(1, "DELIVERED")], -1),
            (
                1,
                one,
                vec![two.clone(), part(1, "DELIVERED"), part(2, "DELIVERED")],
                0,
            ),
            (
                1,
                one,
                vec![two, part(1, "DELIVERED"), part(2, "DELETED")],
                67,
            ),
            (1, Some(2), vec![taken.clone(), good.clone()], -1),
            (
                1,
                Some(2),
                vec![taken.clone(), good.clone(), receipt("DELIVERED", "2")],
                0,
            ),
            (1, None, vec![taken, good], 0),
        ] {
            let came = ends(asked, recipients, &events);
            assert_eq!(came, code, "{asked} {recipients:?} {events:?}");
        }
    }

    #[test]
    fn when_the_time_is_over_what_came_counts() {
        let over = |asked, accepted, states: &[&str]| {
            let mut awaited = Awaited::new(asked, Some(2));
            awaited.accepted = accepted;
            for (n, state) in states.iter().enumerate() {
                awaited.finals.insert(n.to_string(), (*state).to_owned());
            }
            let ended = awaited.time_is_over(Time::seconds(1));
            ended.err().map_or(0, |failure| failure.code as i32)
        };
        assert_eq!(over(1, false, &[]), 75);
        assert_eq!(over(1, true, &[]), 75);
        assert_eq!(over(2, true, &[]), 0, "receipts on failure only");
        assert_eq!(over(1, true, &["DELIVERED"]), 75);
        assert_eq!(over(1, true, &["UNDELIVERABLE"]), 67);
    }
}
