//! `kafka-smpp segments`: what a text costs, and why.

mod asked;

use std::borrow::Cow;
use std::path::PathBuf;

use asked::{Asked, handling, method, name};
use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::cli::Failure;
use crate::cli::lines::{self, Fault, Verdict, json};
use crate::cli::output::{self, plural};
use crate::cli::texts::{self, Languages, Named, encoding, language};
use smpp_protocol::segment::{self, Method};
use smpp_protocol::text::cost::{self, Cost, Culprit, describe};
use smpp_protocol::text::substitute::{Handling, Substituted};
use smpp_protocol::text::{Chosen, Policy, choose};
use smpp_protocol::tlv;
use smpp_protocol::udh::Concatenation;

/// How many culprits are told.
const TOLD: usize = 8;

/// Show how many parts a text needs, and which characters need extra ones
#[derive(clap::Args)]
#[command(after_help = "\
Without arguments it reads standard input, one text a line; with --json-input each line is a JSON
object: \"text\", and if they differ \"encoding\", \"method\" or \"ref_bits\", \"national\", \"policy\",
\"single_limit\", \"part_limit\". It ends with 65 when any text cannot be written.

Examples:
  kafka-smpp segments 'We’re open from 9 to 5'
  kafka-smpp segments --national turkish,hindi --policy transliterate \"$(cat campaign.txt)\"
  kafka-smpp segments --json < texts | jq -r 'select(.parts > 1).text'")]
pub(in crate::cli) struct Args {
    /// A text
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// Encodings to choose from, the preferred one first [default: gsm7,ucs2]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = encoding)]
    encoding: Vec<Named>,
    /// A table of an encoding, in the form of Unicode's mapping files, to choose before others
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// What ties the parts together: udh8, udh16, sar or payload
    #[arg(long, default_value = "udh8", value_parser = method)]
    method: Method,
    /// National languages whose tables may be used: turkish, hindi, ..., or all
    #[arg(long, value_name = "LANGUAGE", value_delimiter = ',', value_parser = language)]
    national: Vec<Languages>,
    /// What happens to characters that no encoding has: strict, ignore, replace or transliterate
    #[arg(long, default_value = "strict", value_parser = handling)]
    policy: Handling,
    /// Octets of information elements that every part carries anyway, such as ports
    #[arg(long, value_name = "OCTETS", default_value_t = 0)]
    elements: usize,
    /// Units in a message of one part, where this is not usual
    #[arg(long, value_name = "UNITS")]
    single_limit: Option<usize>,
    /// Units in one part of several
    #[arg(long, value_name = "UNITS")]
    part_limit: Option<usize>,
    /// The reference in the headers shown
    #[arg(long, value_name = "N", default_value_t = 0)]
    reference: u16,
    /// The lines are JSON objects
    #[arg(long, conflicts_with = "texts")]
    json_input: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let table = args.table.as_deref().map(texts::table).transpose()?;
    let named: Vec<_> = table.into_iter().chain(args.encoding.clone()).collect();
    let name = match &named[..] {
        [only] => Some(only.name.clone()),
        _ => None,
    };
    let encodings = match &named[..] {
        [] => Policy::default().encodings.to_vec(),
        named => named.iter().map(|named| named.encoding).collect(),
    };
    let usual = Asked {
        text: String::new(),
        name,
        encodings,
        languages: args.national.iter().flat_map(|l| l.0.clone()).collect(),
        method: args.method,
        handling: args.policy,
        single_limit: args.single_limit,
        part_limit: args.part_limit,
    };
    lines::each(&args.texts, |line| {
        let (asked, errors) = match usual.with(line, args.json_input) {
            Ok(asked) => (asked, Vec::new()),
            Err(fault) => (usual.clone(), vec![fault]),
        };
        let report = if errors.is_empty() {
            Report::new(line.number, &asked, args)
        } else {
            Report::failed(line.number, &asked, errors)
        };
        if args.json {
            json(&report)?
        } else {
            report.print(&asked)?
        }
        Ok(Verdict::of(!report.errors.is_empty()))
    })
}

/// What a text costs, in the order in which it is shown.
#[derive(Serialize)]
struct Report {
    line: usize,
    text: String,
    encodable: bool,
    #[serde(flatten)]
    written: Option<Written>,
    dear: Vec<Dear>,
    if_replaced: Option<Replaced>,
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
}

#[derive(Serialize)]
struct Written {
    encoding: String,
    data_coding: u8,
    locking: &'static str,
    single: &'static str,
    method: &'static str,
    ref_bits: Option<u8>,
    units: usize,
    parts: usize,
    part_units: Vec<usize>,
    single_limit: Option<usize>,
    part_limit: Option<usize>,
    /// User data as it would be submitted, its header included.
    parts_hex: Vec<String>,
    /// The same without the header.
    text_hex: Vec<String>,
    substituted: Vec<Stand>,
}

#[derive(Serialize)]
struct Stand {
    position: usize,
    character: char,
    by: Cow<'static, str>,
}

#[derive(Serialize)]
struct Dear {
    character: char,
    code_point: String,
    what: &'static str,
    positions: Vec<usize>,
    count: usize,
    extra_units: usize,
    replacement: Option<Cow<'static, str>>,
    saves_parts: usize,
    without: Outcome,
}

#[derive(Serialize)]
struct Replaced {
    text: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct Outcome {
    encoding: String,
    units: usize,
    parts: usize,
}

impl From<Cost> for Outcome {
    fn from(cost: Cost) -> Self {
        Outcome {
            encoding: cost.encoding.name().to_owned(),
            units: cost.units,
            parts: cost.parts,
        }
    }
}

impl Report {
    fn new(line: usize, asked: &Asked, args: &Args) -> Self {
        let policy = asked.policy(args.elements);
        let chosen = match choose(&asked.text, &policy) {
            Ok(chosen) => chosen,
            Err(error) => {
                let octet = asked.text.char_indices().nth(error.index);
                let fault = Fault {
                    code: "unencodable".into(),
                    offset: octet.map(|(octet, _)| octet),
                    text: format!("{error}: choose another encoding, or --policy transliterate"),
                };
                return Report::failed(line, asked, vec![fault]);
            }
        };
        let culprits = cost::culprits(&asked.text, &policy, &chosen);
        let replaced = cost::replaced(&asked.text, &policy, &chosen);
        let mut errors = Vec::new();
        if chosen.count() > segment::MAX_PARTS {
            let text = format!("{} parts, a message has at most 255", chosen.count());
            errors.push(texts::fault("too_many_parts", text));
        }
        errors.extend(misfit(&policy, &chosen));
        let written = Written::new(asked, &policy, &chosen, args.reference, &mut errors);
        Report {
            line,
            text: asked.text.clone(),
            encodable: true,
            written: Some(written),
            dear: culprits.iter().take(TOLD).map(Dear::from).collect(),
            if_replaced: replaced.map(|(text, cost)| Replaced {
                text,
                outcome: cost.into(),
            }),
            errors,
            warnings: asked.ignored(),
        }
    }

    fn failed(line: usize, asked: &Asked, errors: Vec<Fault>) -> Self {
        Report {
            line,
            text: asked.text.clone(),
            encodable: false,
            written: None,
            dear: Vec::new(),
            if_replaced: None,
            errors,
            warnings: Vec::new(),
        }
    }

    /// Whether people want to know: it costs something, alone or with others.
    fn is_told(&self, dear: &Dear) -> bool {
        let together = self.if_replaced.is_some() && dear.replacement.is_some();
        dear.saves_parts > 0 || dear.extra_units > 0 || together
    }

    /// For people.
    fn print(&self, asked: &Asked) -> std::io::Result<()> {
        if let Some(written) = &self.written {
            output::line(written)?;
            for dear in self.dear.iter().filter(|dear| self.is_told(dear)) {
                output::line(format_args!("  {dear}"))?;
            }
            let alone = self.dear.iter().any(|dear| dear.saves_parts > 0);
            if let Some(replaced) = self.if_replaced.as_ref().filter(|_| !alone) {
                let Replaced { text, outcome } = replaced;
                output::line(format_args!(
                    "  with all of them replaced it is {outcome}: {text}"
                ))?;
            }
            for stand in &written.substituted {
                let Stand {
                    position,
                    character,
                    by,
                } = stand;
                output::line(format_args!(
                    "  {by:?} stands for {character:?} in position {position}"
                ))?;
            }
        } else {
            output::line(format_args!("{:?}", asked.text))?;
        }
        lines::print_faults(&self.errors, &self.warnings)
    }
}

/// What keeps parts from being sent as they are.
fn misfit(policy: &Policy<'_>, chosen: &Chosen) -> Option<Fault> {
    let (unit, room) = (
        chosen.encoding.unit(),
        policy.room(chosen.encoding, chosen.shift),
    );
    let longest = chosen.parts().map(<[u8]>::len).max()?;
    if policy.method == Method::Payload {
        let most = tlv::LONGEST;
        let text = format!("{longest} octets, message_payload takes {most}: shorten it");
        return (longest > most).then(|| texts::fault("too_long", text));
    }
    let most = if chosen.count() > 1 {
        room.part
    } else {
        room.single
    };
    let text = format!(
        "a character takes {}, a part has room for {}: raise the limits, or lower --elements",
        longest / unit,
        most / unit
    );
    (longest > most).then(|| texts::fault("no_room", text))
}

impl Written {
    fn new(
        asked: &Asked,
        policy: &Policy<'_>,
        chosen: &Chosen,
        reference: u16,
        errors: &mut Vec<Fault>,
    ) -> Self {
        let unit = chosen.encoding.unit();
        let room = policy.room(chosen.encoding, chosen.shift);
        let limit = |octets: usize| (octets != usize::MAX).then_some(octets / unit);
        let (mut parts_hex, mut text_hex) = (Vec::new(), Vec::new());
        for (index, part) in chosen.parts().enumerate() {
            let mut elements = Vec::new();
            if chosen.count() > 1 && policy.method.writes_header() {
                Concatenation {
                    reference,
                    wide: policy.method == Method::Udh16,
                    total: u8::try_from(chosen.count()).unwrap_or(u8::MAX),
                    part: u8::try_from(index + 1).unwrap_or(u8::MAX),
                }
                .push_element(&mut elements);
            }
            chosen.shift.push_elements(&mut elements);
            let mut user_data = Vec::new();
            match segment::push_user_data(&elements, part, chosen.encoding, &mut user_data) {
                Ok(()) => {
                    let header = if elements.is_empty() {
                        0
                    } else {
                        1 + elements.len()
                    };
                    text_hex.push(HEXLOWER.encode(user_data.get(header..).unwrap_or_default()));
                    parts_hex.push(HEXLOWER.encode(&user_data));
                }
                Err(error) => errors.push(texts::fault("header", error.to_string())),
            }
        }
        Written {
            encoding: match &asked.name {
                Some(name) => name.clone(),
                None => chosen.encoding.name().to_owned(),
            },
            data_coding: chosen.encoding.data_coding(),
            locking: chosen.shift.locking.name(),
            single: chosen.shift.single.name(),
            method: name(policy.method),
            ref_bits: match policy.method {
                Method::Udh8 => Some(8),
                Method::Udh16 | Method::Sar => Some(16),
                Method::Payload => None,
            },
            units: chosen.units(),
            parts: chosen.count(),
            part_units: chosen.parts().map(|part| part.len() / unit).collect(),
            single_limit: limit(room.single),
            part_limit: limit(room.part),
            parts_hex,
            text_hex,
            substituted: chosen.substituted.iter().map(Stand::from).collect(),
        }
    }
}

impl From<&Substituted> for Stand {
    fn from(substituted: &Substituted) -> Self {
        Stand {
            position: substituted.index + 1,
            character: substituted.character,
            by: substituted.by.clone(),
        }
    }
}

impl From<&Culprit> for Dear {
    fn from(culprit: &Culprit) -> Self {
        Dear {
            character: culprit.character,
            code_point: format!("U+{:04X}", culprit.character as u32),
            what: describe(culprit.character),
            positions: culprit.indexes.iter().take(TOLD).map(|i| i + 1).collect(),
            count: culprit.indexes.len(),
            extra_units: culprit.extra_units,
            replacement: culprit.replacement.clone(),
            saves_parts: culprit.saves,
            without: culprit.without.into(),
        }
    }
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, data_coding {}, ", self.encoding, self.data_coding)?;
        for (what, language) in [("locking", self.locking), ("single", self.single)] {
            if language != "default" {
                write!(f, "{what} shift {language}, ")?;
            }
        }
        write!(
            f,
            "{}, {}",
            plural(self.units, "unit"),
            plural(self.parts, "part")
        )?;
        if self.parts > 1 {
            let units: Vec<_> = self.part_units.iter().map(usize::to_string).collect();
            write!(f, ": {}", units.join(" + "))?;
        }
        match (self.single_limit, self.part_limit) {
            (Some(single), Some(part)) => {
                write!(f, " (one part takes {single}, each of several {part})")
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome {
            encoding,
            units,
            parts,
        } = self;
        write!(
            f,
            "{encoding}, {}, {}",
            plural(*units, "unit"),
            plural(*parts, "part")
        )
    }
}

impl std::fmt::Display for Dear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Dear {
            character,
            code_point,
            what,
            positions,
            ..
        } = self;
        let shown: Vec<_> = positions.iter().map(usize::to_string).collect();
        let positions = match (self.count, shown.len()) {
            (1, _) => format!("position {}", shown.join("")),
            (count, told) if count > told => format!("{count} positions"),
            _ => format!("positions {}", shown.join(", ")),
        };
        write!(
            f,
            "the {what} {} ({code_point}) in {positions} ",
            character.escape_debug()
        )?;
        match (self.saves_parts, self.extra_units) {
            (0, 0) => write!(f, "is not in the first encoding")?,
            (0, extra) => write!(f, "takes {} more", plural(extra, "unit"))?,
            (saves, _) => write!(f, "costs {}", plural(saves, "part"))?,
        }
        match (self.replacement.as_deref(), self.saves_parts) {
            (Some(""), 1..) => write!(f, ": without it the text is {}", self.without),
            (Some(by), 1..) => write!(f, ": with {by:?} the text is {}", self.without),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
