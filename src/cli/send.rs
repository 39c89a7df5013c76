//! `kafka-smpp send`: a message from the command line onto an outbound topic.

use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use serde_json::{Map, Value, json};

use super::broker::{PATIENCE, failed};
use super::events::{Event, From, Reader, topics};
use super::output::line;
use super::{Code, Failure, Source};
use crate::config::{Config, Esme};
use crate::ops::random;
use crate::record::codec::Codec;
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

With --wait it ends with 0 when the SMSC took the message (and its receipt came, if one was
asked for), 65 when it did not, and 75 when the time was over.")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
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
        .map(|_| Reader::open(&config, &topics(&config, &[])?, From::End))
        .transpose()?;
    let key = args.key.as_ref().or(args.to.as_ref());
    let value = encoded(&config, topic, &record)?;
    let position = produce(&config, topic, key.map(String::as_str), &value)?;
    let log_id = log_id.unwrap_or(position.clone());
    line(format_args!("{topic} {position} log_id={log_id}"))?;
    match (reader, args.wait) {
        (Some(mut reader), Some(patience)) => {
            let asked = registered(&record).unwrap_or(esme.registered_delivery);
            wait(
                &mut reader,
                &log_id,
                patience,
                asked & 3 != 0 && esme.bind.receives(),
            )
        }
        _ => Ok(()),
    }
}

fn target<'a>(args: &'a Args, config: &'a Config) -> Result<(&'a Esme, &'a str), Failure> {
    let usage = |text: String| Failure::new(Code::Usage, text);
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
    let wrong = |wrong: Invalid| Failure::new(Code::Data, wrong.to_string());
    let contents = config.contents().into_iter().find(|t| t.name == topic);
    let codec = match contents.filter(|topic| topic.format.is_registered()) {
        None => Codec::new(config.formats.outbound),
        Some(topic) => {
            let kind = records::outbound(record).map_err(wrong)?.operation.kind();
            let (_, handle) = Registry::new(&config.schema_registry)?;
            super::runtime()?.block_on(handle.codec_for(&topic, &[kind]))?
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
        octets = std::fs::read(file)
            .map_err(|e| Failure::new(Code::NoInput, format!("{}: {e}", file.display())))?;
    }
    let value: Value = serde_json::from_slice(&octets)
        .map_err(|e| Failure::new(Code::Data, format!("{} is not JSON: {e}", file.display())))?;
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
    let producer: FutureProducer = config
        .kafka
        .producer()
        .set("message.timeout.ms", PATIENCE.as_millis().to_string())
        .create()
        .map_err(failed("no Kafka client can be made"))?;
    let mut message = FutureRecord::<str, [u8]>::to(topic).payload(record);
    message.key = key;
    let sent = super::runtime()?.block_on(producer.send(message, Timeout::After(PATIENCE)));
    let delivery = sent.map_err(|(e, _)| failed(format!("topic {topic}"))(e))?;
    Ok(format!(
        "{topic}-{}-{}",
        delivery.partition, delivery.offset
    ))
}

fn wait(reader: &mut Reader, log_id: &str, patience: Time, receipt: bool) -> Result<(), Failure> {
    let deadline = Instant::now() + patience.get();
    let mut awaited = "result";
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(event) = reader.next(left)? else {
            let text = format!("no {awaited} within {patience}");
            return Err(Failure::new(Code::TempFail, text));
        };
        if !event.of(log_id) {
            continue;
        }
        line(event.line())?;
        match verdict(&event) {
            Some(false) => return Err(Failure::new(Code::Data, "the message was not accepted")),
            Some(true) if !receipt => return Ok(()),
            Some(true) => awaited = "receipt",
            None if event.is("final") => return Ok(()),
            None => {}
        }
    }
}

/// Whether the message's result, if this is it, is good.
fn verdict(event: &Event) -> Option<bool> {
    event.is("terminal").then(|| event.is("accepted"))
}
