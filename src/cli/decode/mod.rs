//! `kafka-smpp decode`: PDUs for people and for programs.

pub(super) mod message;
pub(super) mod object;
pub(super) mod screen;
mod words;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;

use super::capture::{self, Found, Origin, is_capture};
use super::lines::{self, Fault, Line, Verdict, json};
use super::octets::{from_base64, from_hex};
use super::output;
use super::receipt::encoding;
use super::{Code, Failure, Source};
use crate::smpp::Dialect;
use crate::smpp::pdu::anatomy::Anatomy;
use crate::smpp::text::Encoding;

/// Show what PDUs say, octet by octet
#[derive(clap::Args)]
#[command(after_help = "\
Without arguments it reads standard input, one PDU a line. Captures (pcap, pcapng) may stand where
files may: each PDU of their TCP streams is shown with its connection, direction and time. A PDU that is damaged is shown as far as
it can be read, with the damage pointed at, and does not stop the others; the exit code is then 65.

Examples:
  kafka-smpp decode 00000010000000150000000000000001
  kafka-smpp decode --json < pdus.hex | jq -r '.command + \" \" + .fields.destination_addr'
  kafka-smpp decode AAAAEAAAABUAAAAAAAAAAQ==
  tcpdump -i any -w - port 2775 | kafka-smpp decode --json
  kafka-smpp decode --json smpp.pcapng | jq -r '[.at, .from, .to, .command] | @tsv'")]
pub(super) struct Args {
    /// A PDU in hexadecimal or base64, a file of them, or a capture of network traffic
    #[arg(value_name = "PDU|FILE")]
    inputs: Vec<String>,
    /// How PDUs are written
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    #[command(flatten)]
    source: Source,
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
    if args.inputs.is_empty() {
        let mut stdin = lines::stdin();
        if is_captured(&how, &mut stdin)? {
            // What was looked at stays in the buffer that all handles share.
            drop(stdin);
            return captured(&how, io::stdin())?.end();
        }
        return lines_of(&how, stdin)?.end();
    }
    let mut all = Verdict::Good;
    for (index, input) in args.inputs.iter().enumerate() {
        let verdict = match Path::new(input).is_file() {
            true => file(&how, open(input)?)?,
            false => one(&how, Line::of(index + 1, input))?,
        };
        all = all.and(verdict);
    }
    all.end()
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

fn open(file: &str) -> Result<BufReader<File>, Failure> {
    let file = File::open(file).map_err(|e| Failure::new(Code::NoInput, format!("{file}: {e}")))?;
    Ok(BufReader::new(file))
}

fn file(how: &How, mut file: BufReader<File>) -> Result<Verdict, Failure> {
    match is_captured(how, &mut file)? {
        true => captured(how, file),
        false => lines_of(how, file),
    }
}

fn is_captured(how: &How, from: &mut impl BufRead) -> Result<bool, Failure> {
    Ok(how.format == Format::Auto && is_capture(from.fill_buf()?))
}

/// Shows the PDUs of a capture, and to people how much of it they are.
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
    if !how.json {
        anstream::eprintln!("{summary}");
    }
    Ok(all)
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
}

fn lines_of(how: &How, from: impl BufRead) -> Result<Verdict, Failure> {
    lines::each_of(from, |line| match line.is_blank() {
        true => Ok(Verdict::Good),
        false => one(how, line),
    })
}

fn one(how: &How, line: Line<'_>) -> Result<Verdict, Failure> {
    let (octets, fault) = match line
        .fault()
        .map_or_else(|| octets(how.format, line.octets), Err)
    {
        Ok(octets) => (octets, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    show(how, Place::Line(line.number), &octets, fault)
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
    if let Place::Captured(origin) = place {
        output::line(origin)?;
    }
    screen::print(&anatomy, message.as_ref(), fault, &how.dialect.names)?;
    Ok(Verdict::of(malformed))
}

/// A PDU's length is below 16 MB, so it begins with 00: that tells hexadecimal digits from a
/// base64 text of the same letters.
fn octets(format: Format, text: &[u8]) -> Result<Vec<u8>, Fault> {
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
