//! `kafka-smpp encode`: the PDUs that a record becomes.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;

use super::decode::{Place, message::Message, object::Object, screen};
use crate::cli::lines::{self, Line, Verdict, json};
use crate::cli::texts::{open, placed};
use crate::cli::{Code, ConfigSource, Failure, output, records};
use crate::codes;
use crate::config::Esme;
use crate::connector;
use crate::record::event::SendErrorKind;
use crate::record::json::{Invalid, outbound};
use crate::record::keys::Position;
use crate::record::outbound::Operation;
use crate::record::submit_sm::SubmitSm;
use crate::submit::message::{Defaults, Refused, encoding, prepare};
use smpp_protocol::Dialect;
use smpp_protocol::frame::{self, MAX_SEQUENCE};
use smpp_protocol::pdu::anatomy::Anatomy;
use smpp_protocol::text::Encoding;

/// Show the PDUs that a record becomes
#[derive(clap::Args)]
#[command(after_help = "\
Without arguments it reads standard input: records as JSON, one a line or each over several. What a
record does not say is taken from an ESME of the configuration if --esme or --config names one, else
it is what an ESME has by default. It ends with 65 when any record cannot be sent, with 66 when a
file is not there.

Examples:
  kafka-smpp encode '{\"destination\": \"+491701234567\", \"short_message\": \"hello\"}'
  kafka-smpp encode examples/records/plain.json
  kafka-smpp encode --esme acme --json < records.jsonl | jq -r '.pdus[].hex'
  kafka-smpp encode --hex '{\"type\": \"QuerySm\", \"message_id\": \"7F\"}' | kafka-smpp decode")]
pub(in crate::cli) struct Args {
    /// A record as JSON, or a file of records
    #[arg(value_name = "RECORD|FILE")]
    records: Vec<String>,
    #[command(flatten)]
    source: ConfigSource,
    /// The ESME that sends it; without it, the first that sends
    #[arg(long, value_name = "NAME")]
    esme: Option<String>,
    /// Where the first record stands, TOPIC:PARTITION:OFFSET; the others follow it. The reference
    /// of a record's parts derives from that
    #[arg(long, value_name = "POSITION", default_value = "sms.outbound:0:0", value_parser = position)]
    position: Position,
    /// sequence_number of the first PDU; a session counts on from its bind
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SEQUENCE)))]
    sequence: u32,
    /// The PDUs in hexadecimal alone, one a line
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    /// One JSON object a line, with all PDUs of the record
    #[arg(long)]
    json: bool,
}

fn position(text: &str) -> Result<Position, String> {
    let mut words = text.rsplitn(3, ':');
    let offset = words.next().and_then(|word| word.parse().ok());
    let partition = words.next().and_then(|word| word.parse().ok());
    match (words.next(), partition, offset) {
        (Some(topic), Some(partition), Some(offset @ 0..)) => Ok(Position {
            topic: topic.to_owned(),
            partition,
            offset,
        }),
        _ => Err("write TOPIC:PARTITION:OFFSET, such as sms.outbound:0:17".into()),
    }
}

/// Who sends.
struct Sender {
    defaults: Defaults,
    /// sequence_number of the next PDU.
    sequence: u32,
    /// How many records came before.
    records: i64,
}

/// What a record becomes.
#[derive(Default, Serialize)]
struct Report {
    line: usize,
    #[serde(rename = "type")]
    operation: Option<&'static str>,
    log_id: Option<String>,
    /// Whether the end of its text was left out.
    truncated: bool,
    pdus: Vec<Sent>,
    malformed: bool,
    errors: Vec<Problem>,
    /// How the PDUs are read again: the record may say what data_coding does not.
    #[serde(skip)]
    dialect: Dialect,
}

/// A PDU, and what it says.
#[derive(Serialize)]
struct Sent {
    hex: String,
    #[serde(flatten)]
    pdu: Object,
    #[serde(skip)]
    octets: Vec<u8>,
}

/// Why a record cannot be sent, as its event would say.
#[derive(Serialize)]
struct Problem {
    code: Cow<'static, str>,
    field: Option<String>,
    text: String,
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Problem {
            code: SendErrorKind::InvalidRecord.name().into(),
            field: invalid.field,
            text: invalid.text,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Problem {
            code: refused.kind.name().into(),
            field: refused.field,
            text: refused.text,
        }
    }
}

/// What a record of the ESME need not say.
fn defaults(esme: &Esme) -> Defaults {
    connector::defaults(esme, Arc::new(connector::dialect(esme)))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let esme = esme(args)?;
    let mut sender = Sender {
        defaults: defaults(&esme),
        sequence: args.sequence,
        records: 0,
    };
    let mut one = |line: Line<'_>| {
        let report = sender.report(line, &args.position);
        match args {
            Args { json: true, .. } => json(&report)?,
            Args { hex: true, .. } => report.print_hex()?,
            _ => report.print()?,
        }
        Ok(Verdict::of(report.malformed))
    };
    if args.records.is_empty() {
        return records::each_of(lines::stdin(), one)?.end();
    }
    let mut all = Verdict::Good;
    for (index, input) in args.records.iter().enumerate() {
        let verdict = if is_file_name(input) {
            records::each_of(open(input)?, &mut one)?
        } else {
            one(Line::of(index + 1, input))?
        };
        all = all.and(verdict);
    }
    all.end()
}

/// Whether an argument is no record but the name of a file, which need not be there.
fn is_file_name(input: &str) -> bool {
    let ending = Path::new(input).extension().unwrap_or_default();
    let is_name = ["json", "jsonl", "ndjson"]
        .iter()
        .any(|known| ending == *known);
    let is_path = is_name || input.contains('/') || Path::new(input).exists();
    !input.trim_start().starts_with(['{', '[']) && is_path
}

/// The ESME asked for, or one with nothing but defaults.
fn esme(args: &Args) -> Result<Esme, Failure> {
    if args.esme.is_none() && args.source.config.is_none() {
        return Ok(Esme::default());
    }
    if let Some(name) = &args.esme {
        return args.source.esme(name);
    }
    let mut all = args.source.load()?.esme.into_iter();
    all.find(|esme| !esme.outbound.is_empty())
        .ok_or_else(|| Failure::new(Code::Usage, codes::UNKNOWN_NAME, "no ESME sends".to_owned()))
}

impl Sender {
    fn report(&mut self, line: Line<'_>, first: &Position) -> Report {
        let mut report = Report {
            line: line.number,
            ..Report::default()
        };
        if let Err(problem) = self.encode(line, first, &mut report) {
            report.errors.push(problem);
        }
        self.records += 1;
        report.malformed = !report.errors.is_empty();
        report
    }

    /// Does what the submit pipeline does with a record.
    fn encode(
        &mut self,
        line: Line<'_>,
        first: &Position,
        report: &mut Report,
    ) -> Result<(), Problem> {
        if let Some(fault) = line.fault() {
            return Err(Problem {
                code: fault.code,
                field: None,
                text: fault.text,
            });
        }
        let record = outbound(line.octets).map_err(|invalid| {
            report.log_id.clone_from(&invalid.log_id);
            let text = placed(&invalid.text, line);
            Problem::from(Invalid { text, ..invalid })
        })?;
        report.operation = Some(Operation::name(record.operation));
        report.log_id = record.sm.log_id.as_deref().map(str::to_owned);
        let position = Position {
            offset: first.offset.saturating_add(self.records),
            ..first.clone()
        };
        let message = prepare(&record, &self.defaults, &position, Timestamp::now())?;
        report.truncated = message.truncated;
        report.dialect = self.dialect(&record.sm);
        let mut rest = &message.pdu[..];
        while let Ok(Some(frame)) = frame::split(rest, rest.len()) {
            let (pdu, others) = rest.split_at(frame.header.length as usize);
            let sent = self.sent(pdu, &report.dialect);
            report.pdus.push(sent);
            rest = others;
        }
        Ok(())
    }

    /// How the PDUs of a record are read: packed septets have no data_coding of their own.
    fn dialect(&self, record: &SubmitSm<'_>) -> Dialect {
        let mut dialect = (*self.defaults.dialect).clone();
        let named = record
            .encoding
            .as_deref()
            .and_then(|name| encoding(name).ok());
        if named.unwrap_or(self.defaults.encoding) == Encoding::GsmPacked {
            dialect.receipts.alphabet = Encoding::GsmPacked.into();
        }
        dialect
    }

    fn sent(&mut self, pdu: &[u8], dialect: &Dialect) -> Sent {
        let mut octets = pdu.to_vec();
        frame::set_sequence(&mut octets, self.sequence);
        self.sequence = frame::next_sequence(self.sequence);
        let anatomy = Anatomy::of(&octets);
        let message = Message::of(&anatomy, &octets, dialect);
        Sent {
            hex: HEXLOWER.encode(&octets),
            pdu: Object::new(Place::Record, &anatomy, message, None, &dialect.names),
            octets,
        }
    }
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let dialect = &self.dialect;
        self.print_errors(&mut anstream::stdout().lock())?;
        for Sent { octets, hex, .. } in &self.pdus {
            output::line(hex)?;
            let anatomy = Anatomy::of(octets);
            let message = Message::of(&anatomy, octets, dialect);
            screen::print(&anatomy, message.as_ref(), None, &dialect.names)?;
        }
        Ok(())
    }

    /// What goes to a program goes without what is wrong.
    fn print_hex(&self) -> Result<(), Failure> {
        self.print_errors(&mut anstream::stderr().lock())?;
        for Sent { hex, .. } in &self.pdus {
            output::line(hex)?;
        }
        Ok(())
    }

    fn print_errors(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        for Problem { code, text, .. } in &self.errors {
            let line = self.line;
            writeln!(out, "{style}error:{style:#} record {line}: {text} ({code})")?;
        }
        if self.truncated {
            writeln!(out, "record {}: the end of its text is left out", self.line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(record: &str) -> serde_json::Value {
        let esme = Esme::default();
        let mut sender = Sender {
            defaults: defaults(&esme),
            sequence: MAX_SEQUENCE,
            records: 0,
        };
        let first = position("sms.outbound:0:7").unwrap();
        serde_json::to_value(sender.report(Line::of(1, record), &first)).unwrap()
    }

    #[test]
    fn a_record_is_the_pdu_that_would_be_sent() {
        let report = encode(
            r#"{"log_id":"a","source":"ACME","destination":"+41791234567","short_message":"hi"}"#,
        );
        assert_eq!(
            report["pdus"][0]["hex"],
            "0000003200000004000000007fffffff00050041434d450001013431373931323334353637\
             00000000000001000000026869"
        );
        assert_eq!(report["type"], "SubmitSm");
        assert_eq!(report["log_id"], "a");
        assert_eq!(
            report["pdus"][0]["fields"]["destination_addr"],
            "41791234567"
        );
        assert_eq!(report["malformed"], false);
    }

    #[test]
    fn a_long_message_is_its_parts_one_after_another() {
        let text = "x".repeat(161);
        let report = encode(&format!(
            r#"{{"destination":"1","short_message":"{text}"}}"#
        ));
        let pdus = report["pdus"].as_array().unwrap();
        let part = |pdu: &serde_json::Value| pdu["message"]["concatenation"].clone();
        assert_eq!(pdus.len(), 2);
        assert_eq!(
            (&part(&pdus[0])["part"], &part(&pdus[1])["part"]),
            (&1.into(), &2.into())
        );
        assert_eq!(part(&pdus[0])["reference"], part(&pdus[1])["reference"]);
        let sequences: Vec<_> = pdus.iter().map(|pdu| &pdu["sequence_number"]).collect();
        assert_eq!(sequences, [MAX_SEQUENCE, 1], "it begins again at 1");
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        for (record, code, field) in [
            (r#"{"short_message":"hi"}"#, "INVALID_RECORD", "destination"),
            (
                r#"{"destination":"1","short_message":"☎","encoding":"gsm"}"#,
                "ENCODING",
                "short_message",
            ),
            (
                r#"{"destination":"1","short_message":"a","expires_at":"2020-01-01T00:00:00Z"}"#,
                "EXPIRED",
                "expires_at",
            ),
        ] {
            let report = encode(record);
            assert_eq!(report["errors"][0]["code"], code, "{report}");
            assert_eq!(report["errors"][0]["field"], field, "{report}");
            assert_eq!(report["pdus"], serde_json::json!([]));
        }
        assert_eq!(encode("{")["errors"][0]["code"], "INVALID_RECORD");
    }

    #[test]
    fn packed_septets_are_shown_as_what_they_say() {
        let report =
            encode(r#"{"destination":"1","short_message":"Guten Tag","encoding":"gsm_packed"}"#);
        assert_eq!(
            report["pdus"][0]["message"]["text"], "Guten Tag",
            "{report}"
        );
    }

    #[test]
    fn a_position_is_read_as_logs_write_it() {
        assert_eq!(position("a:b:3:4").unwrap().topic, "a:b");
        for bad in ["", "a", "a:1", "a:1:x", "a:1:-1"] {
            assert!(position(bad).is_err(), "{bad}");
        }
    }
}
