//! `kafka-smpp decode`: PDUs for people and for programs.

pub(super) mod message;
pub(super) mod object;
pub(super) mod screen;
mod traced;
mod words;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;

use super::receipt::encoding;
use crate::cli::capture::{self, Found, Origin, is_capture, is_header, tcp_payload};
use crate::cli::dump::{Dump, Dumped, Step, unwrapped};
use crate::cli::lines::{self, Fault, Line, Verdict, json};
use crate::cli::octets::{from_base64, from_hex};
use crate::cli::output;
use crate::cli::texts::open;
use crate::cli::{Code, ConfigSource, Failure};
use crate::codes;
use smpp_protocol::frame::HEADER;
use smpp_protocol::pdu::anatomy::Anatomy;
use smpp_protocol::text::Encoding;
use smpp_protocol::{Dialect, Header};
use traced::Traced;

/// Show what PDUs say, octet by octet
#[derive(clap::Args)]
#[command(after_help = "\
Without arguments it reads standard input, one PDU a line, or several one behind the other. Rows of
a dump (xxd, hexdump -C, od -Ax -tx1, Wireshark, tcpdump -X, Kannel's log) are read together.
Captures (pcap, pcapng) may stand where files may: each PDU of their TCP streams is shown with its
connection, direction and time. A PDU that is damaged is shown as far as it can be read, with the
damage pointed at, and does not stop the others; the exit code is then 65. It is 65 too when a
capture is damaged or cut off, and 66 when a file is not there. Of a capture standard error says
how much was read; with --json only if something is missing, or no PDU was found.

Examples:
  kafka-smpp decode 00000010000000150000000000000001
  kafka-smpp decode --json < pdus.hex | jq -r '.command + \" \" + .fields.destination_addr'
  kafka-smpp decode AAAAEAAAABUAAAAAAAAAAQ==
  tcpdump -i any -w - port 2775 | kafka-smpp decode --json
  kafka-smpp decode --json smpp.pcapng | jq -r '[.at, .from, .to, .command] | @tsv'
  kafka-smpp decode --topic --json | jq -r '[.at, .bind, .direction, .command] | @tsv'")]
pub(in crate::cli) struct Args {
    /// A PDU in hexadecimal or base64, a file of them, or a capture of network traffic
    #[arg(value_name = "PDU|FILE")]
    inputs: Vec<String>,
    /// The PDUs of a topic, by default of topics.trace: all that it has. An ESME's own dialect is
    /// that of the configuration
    #[arg(
        long,
        value_name = "TOPIC",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["inputs", "format"]
    )]
    topic: Option<String>,
    /// With --topic: go on with what comes
    #[arg(long, requires = "topic")]
    follow: bool,
    /// How PDUs are written
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    #[command(flatten)]
    source: ConfigSource,
    /// An ESME of the configuration, whose SMSC speaks: its alphabet, its receipts, the names of
    /// its vendor's TLVs and codes
    #[arg(long, value_name = "NAME")]
    esme: Option<String>,
    /// The SMSC's default alphabet, data_coding 0 [default: gsm, or the ESME's]
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    alphabet: Option<Encoding>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// How a PDU is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Hexadecimal if it can be, else base64
    Auto,
    /// Hexadecimal
    Hex,
    /// Base64
    Base64,
}

/// How PDUs are read and shown.
struct How {
    format: Format,
    json: bool,
    dialect: Dialect,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let how = how(args)?;
    if let Some(topic) = &args.topic {
        return traced::all(args, &how, topic)?.end();
    }
    if args.inputs.is_empty() {
        let mut stdin = lines::stdin();
        if is_captured(&how, &mut stdin, "standard input")? {
            // What was looked at stays in the buffer that all handles share.
            drop(stdin);
            return captured(&how, io::stdin())?.end();
        }
        return lines_of(&how, stdin)?.end();
    }
    let mut all = Verdict::Good;
    let mut unread: Option<Failure> = None;
    for (index, input) in args.inputs.iter().enumerate() {
        let line = Line::of(index + 1, input);
        let verdict = if is_file_name(&how, input) {
            open(input).and_then(|opened| file(&how, opened, input))
        } else {
            one(&how, line)
        };
        match verdict {
            Ok(verdict) => all = all.and(verdict),
            // It does not keep the others from being read.
            Err(failure) if matches!(failure.code, Code::NoInput | Code::Data) => {
                if let Some(before) = unread.replace(failure) {
                    before.report();
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    unread.map_or_else(|| all.end(), Err)
}

/// Whether an input that is no PDU is the name of a file, which need not be there. A PDU begins
/// with 00, and so do its digits, even if others are wrong.
fn is_file_name(how: &How, input: &str) -> bool {
    if Path::new(input).exists() {
        return true;
    }
    let digits = input.trim_start();
    let like_a_pdu = ["00", "0x", "\\x", "AA", "<Buffer"];
    let is_meant = like_a_pdu.iter().any(|begin| digits.starts_with(begin));
    let is_hex = digits
        .bytes()
        .all(|c| c.is_ascii_hexdigit() || c.is_ascii_whitespace() || b":,-".contains(&c));
    !(is_meant || is_hex) && octets(how.format, input.as_bytes()).is_err()
}

fn how(args: &Args) -> Result<How, Failure> {
    let mut dialect = match &args.esme {
        Some(name) => args.source.dialect(name)?,
        None => Dialect::default(),
    };
    if let Some(alphabet) = args.alphabet {
        dialect.receipts.alphabet = alphabet.into();
    }
    Ok(How {
        format: args.format,
        json: args.json,
        dialect,
    })
}

fn file(how: &How, mut file: BufReader<File>, name: &str) -> Result<Verdict, Failure> {
    if is_captured(how, &mut file, name)? {
        captured(how, file)
    } else {
        lines_of(how, file)
    }
}

fn is_captured(how: &How, from: &mut impl BufRead, name: &str) -> Result<bool, Failure> {
    if how.format != Format::Auto {
        return Ok(false);
    }
    let begin = from.fill_buf()?;
    match capture::is_other(begin) {
        Some(what) => Err(Failure::new(
            Code::Data,
            codes::CAPTURE_UNREADABLE,
            format!("{name} is {what}"),
        )),
        None => Ok(is_capture(begin)),
    }
}

/// Shows the PDUs of a capture, and on standard error how much of it they are.
fn captured(how: &How, from: impl Read + Send) -> Result<Verdict, Failure> {
    let mut all = Verdict::Good;
    let summary = capture::read(from, |found| {
        let Found {
            origin,
            octets,
            fault,
        } = found;
        all = all.and(show(how, Place::Captured(origin), octets, fault)?);
        Ok(())
    })?;
    // Whoever reads lines of JSON should not take silence for a capture without traffic.
    if !how.json || summary.is_odd() {
        anstream::eprintln!("{summary}");
    }
    Ok(all.and(Verdict::of(summary.is_damaged())))
}

/// Where PDUs come from.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The line of this number.
    Line(usize),
    /// A capture.
    Captured(&'a Origin),
    /// A record.
    Record,
    /// A topic of a trace.
    Traced(&'a Traced),
}

/// Shows the PDUs of lines, each alone or all rows of a dump together.
fn lines_of(how: &How, from: impl BufRead) -> Result<Verdict, Failure> {
    let mut dump = Dump::default();
    let dumped = |dump: Dumped| -> Result<Verdict, Failure> {
        let (number, octets) = (dump.number, &*dump.octets);
        let verdict = match tcp_payload(octets) {
            Some([]) => Verdict::Good,
            payload => all_of(how, number, payload.unwrap_or(octets))?,
        };
        match dump.fault() {
            Some(fault) => {
                let told = show(how, Place::Line(number), &[], Some(fault))?;
                Ok(verdict.and(told))
            }
            None => Ok(verdict),
        }
    };
    let all = lines::each_of(from, |line| {
        let (step, before) = match how.format {
            Format::Base64 => (Step::Other, None),
            _ => dump.take(line.number, line.octets),
        };
        let verdict = before.map_or(Ok(Verdict::Good), dumped)?;
        match step {
            Step::Other if !line.is_blank() => Ok(verdict.and(one(how, line)?)),
            _ => Ok(verdict),
        }
    })?;
    Ok(all.and(dump.end().map_or(Ok(Verdict::Good), dumped)?))
}

fn one(how: &How, line: Line<'_>) -> Result<Verdict, Failure> {
    let read = line
        .fault()
        .map_or_else(|| octets(how.format, line.octets), Err);
    match read {
        Ok(octets) => all_of(how, line.number, &octets),
        Err(fault) => show(how, Place::Line(line.number), &[], Some(fault)),
    }
}

/// Shows octets of one line, which may be several PDUs one behind the other, as in a segment of
/// TCP that somebody has copied.
fn all_of(how: &How, number: usize, octets: &[u8]) -> Result<Verdict, Failure> {
    let mut all = Verdict::Good;
    let mut rest = octets;
    loop {
        let length = Header::decode(rest).map_or(0, |header| header.length as usize);
        let next = rest.get(length..).filter(|_| length >= HEADER);
        let Some(next) = next.filter(|next| next.get(..HEADER).is_some_and(is_header)) else {
            break;
        };
        let pdu = rest.get(..length).unwrap_or_default();
        all = all.and(show(how, Place::Line(number), pdu, None)?);
        rest = next;
    }
    Ok(all.and(show(how, Place::Line(number), rest, None)?))
}

/// Shows the octets of one input, or what kept them from being read.
fn show(
    how: &How,
    place: Place<'_>,
    octets: &[u8],
    fault: Option<Fault>,
) -> Result<Verdict, Failure> {
    // Of a capture even what is no PDU is worth being seen.
    let anatomy = match (&fault, place) {
        (None, _) | (_, Place::Captured(_)) => Anatomy::of(octets),
        _ => Anatomy::default(),
    };
    let message = message::Message::of(&anatomy, octets, &how.dialect);
    let malformed = fault.is_some() || anatomy.is_malformed();
    if how.json {
        json(&object::Object::new(
            place,
            &anatomy,
            message,
            fault,
            &how.dialect.names,
        ))?;
        return Ok(Verdict::of(malformed));
    }
    match place {
        Place::Captured(origin) => output::line(origin)?,
        Place::Traced(traced) => output::line(traced)?,
        _ => {}
    }
    screen::print(&anatomy, message.as_ref(), fault, &how.dialect.names)?;
    Ok(Verdict::of(malformed))
}

/// A PDU's length is below 16 MB, so it begins with 00: that tells hexadecimal digits from a
/// base64 text of the same letters.
fn octets(format: Format, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let text = &*unwrapped(text);
    let begins_like_a_pdu = |octets: &Vec<u8>| octets.first() == Some(&0);
    match format {
        Format::Hex => from_hex(text),
        Format::Base64 => from_base64(text).ok_or_else(|| Fault {
            code: "not_base64".into(),
            offset: None,
            text: "this is no base64".into(),
        }),
        Format::Auto => {
            let hex = from_hex(text);
            let base64 = || from_base64(text).filter(begins_like_a_pdu);
            match &hex {
                Ok(octets) if begins_like_a_pdu(octets) => hex,
                _ => base64().map_or(hex, Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_known_by_their_first() {
        let auto = |text: &[u8]| octets(Format::Auto, text);
        assert_eq!(auto(b"00 10").unwrap(), [0, 0x10]);
        assert_eq!(auto(b"AAAAEA==").unwrap(), [0, 0, 0, 0x10]);
        assert_eq!(auto(b"AAAAEA==").unwrap(), auto(b"00000010").unwrap());
        assert_eq!(auto(b"AAAA").unwrap(), [0, 0, 0], "no PDU begins with AA");
        assert_eq!(auto(b"ffff").unwrap(), [0xFF, 0xFF]);
        assert_eq!(auto(b"0000zz").unwrap_err().code, "not_hex");
    }
}
