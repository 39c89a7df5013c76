//! `kafka-smpp receipt`: what is read from a delivery receipt.

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::cli::lines::{self, Fault, Line, Verdict, json};
use crate::cli::octets::from_hex;
use crate::cli::output::{self, plural};
use crate::cli::{Code, ConfigSource, Failure};
use crate::codes;
use smpp_protocol::message_id::Pairing;
use smpp_protocol::receipt::{NetworkError, Pattern, Style};
use smpp_protocol::text::Encoding;
use smpp_protocol::tlv::{Shape, push_tlv};
use smpp_protocol::{Dialect, MessageState, Receipt, Tag, Tlvs};

/// Show what is read from a delivery receipt
#[derive(clap::Args)]
#[command(after_help = "\
Without arguments it reads standard input, one receipt a line. It ends with 65 when any of them is
malformed; the others are read all the same.

Examples:
  kafka-smpp receipt 'id:4F2A stat:DELIVRD err:000 text:hello'
  kafka-smpp receipt --hex --data-coding 8 00690064003a00310020...
  kafka-smpp receipt --pattern '^MSG (?<id>\\S+) IS (?<stat>\\w+)' 'MSG 4711 IS DELIVERED'
  kafka-smpp receipt '' --tlv receipted_message_id=4F2A --tlv message_state=DELIVERED
  kafka-smpp receipt --esme acme --response 1D305B4C 'id:0489708364 stat:DELIVRD'
  grep -o 'id:.*' smsc.log | kafka-smpp receipt --json | jq -r 'select(.state != \"DELIVERED\").id'")]
pub(in crate::cli) struct Args {
    /// The text of a receipt
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// The texts are octets in hexadecimal
    #[arg(long)]
    hex: bool,
    /// data_coding of the octets
    #[arg(long, value_name = "N")]
    data_coding: Option<u8>,
    #[command(flatten)]
    source: ConfigSource,
    /// An ESME of the configuration, whose SMSC wrote them
    #[arg(long, value_name = "NAME")]
    esme: Option<String>,
    /// The SMSC's default alphabet, data_coding 0 [default: gsm, or the ESME's]
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    alphabet: Option<Encoding>,
    /// A message_id of a response: say whether the receipts are of that message. How ids are
    /// compared is message_id of the ESME, or by their exact text
    #[arg(long, value_name = "ID")]
    response: Option<String>,
    /// A TLV beside the text: a number (2, 0x02), a text, a state by its name, or octets as
    /// hex:...; may be repeated
    #[arg(long = "tlv", value_name = "NAME=VALUE", value_parser = tlv)]
    tlvs: Vec<(Tag, Vec<u8>)>,
    /// The form of the texts: a regular expression with the groups id and stat, as receipt.pattern
    /// of an ESME
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    pattern: Option<Pattern>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| error.to_string())
}

/// The encoding of a name, as an argument.
pub(super) fn encoding(name: &str) -> Result<Encoding, String> {
    Encoding::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Encoding::ALL.iter().map(|known| known.name()).collect();
        format!("there are {}", names.join(", "))
    })
}

/// Reads `message_state=2`, `receipted_message_id=4F2A`, `0x1400=hex:0102`.
fn tlv(argument: &str) -> Result<(Tag, Vec<u8>), String> {
    let (name, value) = argument.split_once('=').ok_or("write NAME=VALUE")?;
    let number = name.strip_prefix("0x").unwrap_or_default();
    let tag = Tag::from_name(name)
        .or_else(|| u16::from_str_radix(number, 16).ok().map(Tag))
        .ok_or_else(|| format!("{name} is no TLV; a vendor's is written 0x1400=hex:00"))?;
    if let Some(hex) = value.strip_prefix("hex:") {
        return Ok((tag, from_hex(hex.as_bytes()).map_err(|fault| fault.text)?));
    }
    match tag.shape() {
        Some(Shape::Integer(octets)) => {
            let number = integer(tag, value)
                .ok_or_else(|| format!("{name}: {value:?} is no number, such as 2 or 0x02"))?;
            let all = number.to_be_bytes();
            let (left_out, kept) = all.split_at(all.len().saturating_sub(octets.into()));
            if left_out.iter().all(|octet| *octet == 0) {
                Ok((tag, kept.to_vec()))
            } else {
                let room = plural(octets.into(), "octet");
                Err(format!("{name} has {room}, {value} needs more"))
            }
        }
        _ => Ok((tag, value.as_bytes().to_vec())),
    }
}

/// A number, or the state that a word means.
fn integer(tag: Tag, value: &str) -> Option<u32> {
    let hex = value
        .strip_prefix("0x")
        .or_else(|| value.strip_prefix("0X"));
    let state = || MessageState::from_stat(value).filter(|_| tag == Tag::MESSAGE_STATE);
    match hex {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
    .or_else(|| state().map(|state| state.value().into()))
}

/// What is said of octets needs octets.
fn check(args: &Args) -> Result<(), Failure> {
    for (given, name) in [
        (args.data_coding.is_some(), "--data-coding"),
        (args.alphabet.is_some(), "--alphabet"),
    ] {
        if given && !args.hex {
            let text = format!(
                "{name} says how octets are to be read: give them in hexadecimal, with --hex"
            );
            return Err(Failure::new(Code::Usage, codes::USAGE, text));
        }
    }
    Ok(())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    check(args)?;
    let mut region = Vec::new();
    for (tag, value) in &args.tlvs {
        push_tlv(&mut region, *tag, value)
            .map_err(|e| Failure::new(Code::Usage, codes::USAGE, e.to_string()))?;
    }
    let tlvs = Tlvs::new(&region);
    let mut dialect = match &args.esme {
        Some(name) => args.source.dialect(name)?,
        None => Dialect::default(),
    };
    let style = &mut dialect.receipts;
    style.alphabet = args.alphabet.map_or(style.alphabet, Into::into);
    style.pattern = args.pattern.clone().or(style.pattern.take());
    lines::each(&args.texts, |line| {
        if line.is_blank() && args.texts.is_empty() {
            return Ok(Verdict::Good);
        }
        let report = Report::new(args, &dialect, line, tlvs);
        if args.json {
            json(&report)?
        } else {
            report.print()?;
            output::line("")?;
        }
        Ok(Verdict::of(report.malformed))
    })
}

/// What was read, in the order in which it is shown.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(flatten)]
    parts: Parts,
    message_id: Option<String>,
    /// The id as it is compared with those of responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response>,
    state: Option<&'static str>,
    message_state: Option<u8>,
    #[serde(rename = "final")]
    is_final: bool,
    network_error_code: Option<Network>,
    tlv: Option<Beside>,
    malformed: bool,
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// The labels of SMPP 3.4 Appendix B as written; what is not there is left out.
#[derive(Default, Serialize)]
#[serde(default)]
struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dlvrd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submit_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submit_iso: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_iso: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Whether a receipt is of the message of a response.
#[derive(Serialize)]
struct Response {
    message_id: String,
    /// The id as it is compared with those of receipts.
    compared_as: String,
    is_same: bool,
}

#[derive(Serialize)]
struct Network {
    network: u8,
    code: u16,
}

/// What the TLVs alone say.
#[derive(Serialize)]
struct Beside {
    #[serde(skip_serializing_if = "Option::is_none")]
    receipted_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_state: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_error_code_hex: Option<String>,
}

impl Report {
    fn new(args: &Args, dialect: &Dialect, line: Line<'_>, tlvs: Tlvs<'_>) -> Self {
        let style = &dialect.receipts;
        let octets = if args.hex {
            from_hex(line.octets)
        } else {
            Ok(line.octets.to_vec())
        };
        let mut unreadable = Vec::new();
        let octets = octets.unwrap_or_else(|fault| {
            unreadable.push(fault);
            Vec::new()
        });
        unreadable.extend(line.fault());
        let (receipt, text) = if args.hex {
            of_octets(&octets, args, style, tlvs)
        } else {
            let text = String::from_utf8_lossy(&octets).into_owned();
            let receipt = Receipt::parse_in(&text, style).with_tlvs(tlvs);
            (receipt.into_owned(), text)
        };
        let mut report = Self::of(&receipt, &text, tlvs, &dialect.ids);
        if args.esme.is_some() || args.response.is_some() {
            report.compare(&receipt, args.response.as_deref(), &dialect.ids);
        }
        report.line = Some(line.number);
        if !unreadable.is_empty() {
            report.errors = unreadable;
            report.malformed = true;
        }
        report
    }

    /// Says which message it is of, as the join sees it.
    fn compare(&mut self, receipt: &Receipt<'_>, response: Option<&str>, ids: &Pairing) {
        let own = ids.of_receipt(receipt).filter(|id| !id.is_empty());
        self.response = response.map(|id| {
            let compared_as = ids.of_response(id).into_owned();
            Response {
                message_id: id.to_owned(),
                is_same: own.as_deref() == Some(&*compared_as),
                compared_as,
            }
        });
        self.compared_as = own.map(std::borrow::Cow::into_owned);
    }

    /// What a receipt says; `text` is where its labels were found, and `ids` how the SMSC writes
    /// ids.
    pub(super) fn of(receipt: &Receipt<'_>, text: &str, tlvs: Tlvs<'_>, ids: &Pairing) -> Self {
        let (errors, warnings): (Vec<_>, Vec<_>) = receipt
            .flaws(text, ids)
            .into_iter()
            .partition(|flaw| flaw.kind.is_error());
        let faults = |flaws: Vec<smpp_protocol::receipt::Flaw<'_>>| -> Vec<Fault> {
            let fault = |flaw: smpp_protocol::receipt::Flaw<'_>| Fault {
                code: flaw.kind.code().into(),
                offset: flaw.offset,
                text: flaw.to_string(),
            };
            flaws.into_iter().map(fault).collect()
        };
        Report {
            line: None,
            parts: Parts::of(receipt),
            message_id: receipt.id.as_deref().map(str::to_owned),
            compared_as: None,
            response: None,
            state: receipt.state.map(|state| state.name()),
            message_state: receipt.state.map(|state| state.value()),
            is_final: receipt.state.is_some_and(|state| state.is_final()),
            network_error_code: receipt
                .network_error
                .map(|NetworkError { network, code }| Network { network, code }),
            tlv: Beside::of(tlvs),
            malformed: !errors.is_empty(),
            errors: faults(errors),
            warnings: faults(warnings),
        }
    }

    /// For people: a line for everything that was found.
    pub(super) fn print(&self) -> std::io::Result<()> {
        let parts = &self.parts;
        let state = self.state.map(|name| {
            if self.is_final {
                format!("{name}, final")
            } else {
                format!("{name}, more may come")
            }
        });
        let network = self
            .network_error_code
            .as_ref()
            .map(|error| format!("{} of network type {}", error.code, error.network));
        let response = self.response.as_ref().map(|response| {
            let is = if response.is_same {
                "the same message"
            } else {
                "another message"
            };
            let Response {
                message_id,
                compared_as,
                ..
            } = response;
            format!("{message_id}, compared as {compared_as}: {is}")
        });
        let rows = [
            ("message_id", &self.message_id, &None),
            ("compared as", &self.compared_as, &None),
            ("response", &response, &None),
            ("state", &state, &None),
            ("id", &parts.id, &None),
            ("sub", &parts.sub, &None),
            ("dlvrd", &parts.dlvrd, &None),
            ("submit date", &parts.submit_date, &parts.submit_iso),
            ("done date", &parts.done_date, &parts.done_iso),
            ("stat", &parts.stat, &None),
            ("err", &parts.err, &None),
            ("network error", &network, &None),
            ("text", &parts.text, &None),
        ];
        for (name, written, means) in rows {
            let Some(written) = written else { continue };
            let shown = written.escape_debug();
            match means {
                Some(means) => output::line(format_args!("{name:14} {shown}  {means}"))?,
                None => output::line(format_args!("{name:14} {shown}"))?,
            }
        }
        lines::print_faults(&self.errors, &self.warnings)
    }
}

impl Parts {
    fn of(receipt: &Receipt<'_>) -> Self {
        let own = |part: &Option<std::borrow::Cow<'_, str>>| part.as_deref().map(str::to_owned);
        Parts {
            id: own(&receipt.text_id),
            sub: own(&receipt.sub),
            dlvrd: own(&receipt.dlvrd),
            submit_date: own(&receipt.submit_date),
            submit_iso: receipt.submitted().map(|when| when.to_string()),
            done_date: own(&receipt.done_date),
            done_iso: receipt.done().map(|when| when.to_string()),
            stat: own(&receipt.stat),
            err: own(&receipt.err),
            text: own(&receipt.text),
        }
    }
}

impl Beside {
    fn of(tlvs: Tlvs<'_>) -> Option<Self> {
        let text = |octets: &[u8]| octets.iter().copied().map(char::from).collect();
        let id = tlvs.find(Tag::RECEIPTED_MESSAGE_ID);
        let state = tlvs.find(Tag::MESSAGE_STATE);
        let network = tlvs.get(Tag::NETWORK_ERROR_CODE);
        let any = id.is_some() || state.is_some() || network.is_some();
        any.then(|| Beside {
            receipted_message_id: id.map(|tlv| text(tlv.text())),
            message_state: state.and_then(|tlv| tlv.number()),
            network_error_code_hex: network.map(|value| HEXLOWER.encode(value)),
        })
    }
}

/// The receipt in octets, and the characters in which its labels are found.
fn of_octets(
    octets: &[u8],
    args: &Args,
    style: &Style,
    tlvs: Tlvs<'_>,
) -> (Receipt<'static>, String) {
    let data_coding = args.data_coding.unwrap_or(0);
    let receipt = Receipt::read(octets, data_coding, tlvs, style).into_owned();
    let encoding = Encoding::of(data_coding, style.alphabet);
    (receipt, Receipt::characters(octets, encoding))
}
