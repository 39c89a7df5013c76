//! `kafka-smpp text`: text to octets, and octets to text.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::cli::Failure;
use crate::cli::lines::{self, Fault, Line, Verdict, json};
use crate::cli::octets::from_hex;
use crate::cli::output;
use crate::cli::texts::{self, Named, encoding};
use smpp_protocol::text::national::{self, Language, Shift};
use smpp_protocol::text::packed::{self, Fill};
use smpp_protocol::text::{self, Encoding};

/// Show the octets of a text in an encoding, or the text of octets
#[derive(clap::Args)]
#[command(after_help = "\
Without arguments it reads standard input, one a line; with --json-input each line is a JSON object:
\"text\" (or \"hex\", with --decode), and if they differ \"encoding\", \"locking\", \"single\", \"fill\",
\"pad_bits\", \"septets\". It ends with 65 when any text cannot be written or read.

Examples:
  kafka-smpp text 'Grüße [5 €]'
  kafka-smpp text --encoding gsm7_packed hellohello
  kafka-smpp text --decode --locking turkish 54651d74
  kafka-smpp text --decode --encoding ucs2 --json 041f0440043804320435044200210021")]
pub(in crate::cli) struct Args {
    /// A text; octets in hexadecimal with --decode
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// From octets to text
    #[arg(long)]
    decode: bool,
    /// The encoding
    #[arg(long, value_name = "NAME", default_value = "gsm7", value_parser = encoding)]
    encoding: Named,
    /// Instead of an encoding: a table in the form of Unicode's mapping files
    #[arg(long, value_name = "FILE", conflicts_with = "encoding")]
    table: Option<PathBuf>,
    /// The language of the locking shift table, for gsm7
    #[arg(long, value_name = "LANGUAGE", default_value = "default", value_parser = language)]
    locking: Language,
    /// The language of the single shift table, for gsm7
    #[arg(long, value_name = "LANGUAGE", default_value = "default", value_parser = language)]
    single: Language,
    /// What fills seven spare bits when packing: cr or zero
    #[arg(long, default_value = "cr", value_parser = fill)]
    fill: Fill,
    /// Bits of padding before packed septets, 0 to 6
    #[arg(long, value_name = "BITS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..7))]
    pad_bits: u32,
    /// How many septets are packed, where the octets do not tell
    #[arg(long, value_name = "N", requires = "decode")]
    septets: Option<usize>,
    /// The lines are JSON objects
    #[arg(long, conflicts_with = "texts")]
    json_input: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn language(name: &str) -> Result<Language, String> {
    Language::from_name(name).ok_or_else(|| {
        let names = Language::ALL.map(Language::name);
        format!("{name:?} has no table; there are {}", names.join(", "))
    })
}

fn fill(name: &str) -> Result<Fill, String> {
    match name {
        "cr" => Ok(Fill::CarriageReturn),
        "zero" => Ok(Fill::Zero),
        _ => Err("there are cr and zero".into()),
    }
}

/// A line of `--json-input`.
#[derive(Deserialize)]
struct Object {
    text: Option<String>,
    hex: Option<String>,
    encoding: Option<String>,
    locking: Option<String>,
    single: Option<String>,
    fill: Option<String>,
    pad_bits: Option<u32>,
    septets: Option<usize>,
}

/// How text becomes octets and the reverse.
#[derive(Clone)]
struct Way {
    /// As it was named.
    name: String,
    encoding: Encoding,
    shift: Shift,
    fill: Fill,
    pad_bits: u32,
    septets: Option<usize>,
}

/// What is known of a line, in the order in which it is shown.
#[derive(Default, Serialize)]
struct Report {
    line: usize,
    text: Option<String>,
    encoding: String,
    locking: &'static str,
    single: &'static str,
    data_coding: u8,
    hex: Option<String>,
    /// Of packed septets, one an octet.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpacked_hex: Option<String>,
    units: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    septets: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pad_bits: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fill: Option<&'static str>,
    /// Whether the text can be written so, or read from such octets.
    encodable: bool,
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Named { name, encoding } = match &args.table {
        Some(file) => texts::table(file)?,
        None => args.encoding.clone(),
    };
    let way = Way {
        name,
        encoding,
        shift: Shift {
            locking: args.locking,
            single: args.single,
        },
        fill: args.fill,
        pad_bits: args.pad_bits,
        septets: args.septets,
    };
    lines::each(&args.texts, |line| {
        let mut report = read(&way, line, args).unwrap_or_else(|fault| Report {
            encoding: way.name.clone(),
            errors: vec![fault],
            ..Report::default()
        });
        report.line = line.number;
        report.encodable = report.errors.is_empty();
        if args.json {
            json(&report)?
        } else {
            report.print(args.decode)?
        }
        Ok(Verdict::of(!report.encodable))
    })
}

fn read(way: &Way, line: Line<'_>, args: &Args) -> Result<Report, Fault> {
    let text = texts::utf8(line)?;
    if !args.json_input {
        return if args.decode {
            way.decode(text)
        } else {
            Ok(way.encode(text))
        };
    }
    let object: Object = serde_json::from_str(text).map_err(|e| texts::bad_json(&e, line))?;
    let missing = |what| texts::fault("missing", format!("{what} is missing"));
    let way = way.with(&object)?;
    if args.decode {
        way.decode(&object.hex.ok_or_else(|| missing("hex"))?)
    } else {
        Ok(way.encode(&object.text.ok_or_else(|| missing("text"))?))
    }
}

impl Way {
    fn with(&self, object: &Object) -> Result<Way, Fault> {
        let wrong = |text| texts::fault("wrong_value", text);
        let mut way = self.clone();
        if let Some(name) = &object.encoding {
            way.encoding = encoding(name).map_err(wrong)?.encoding;
            way.name.clone_from(name);
        }
        if let Some(name) = &object.locking {
            way.shift.locking = language(name).map_err(wrong)?;
        }
        if let Some(name) = &object.single {
            way.shift.single = language(name).map_err(wrong)?;
        }
        // Where there is nothing to fill, anything does.
        if let Some(name) = object.fill.as_ref().filter(|name| *name != "none-needed") {
            way.fill = fill(name).map_err(wrong)?;
        }
        way.pad_bits = object.pad_bits.unwrap_or(self.pad_bits);
        if way.pad_bits > 6 {
            return Err(wrong("pad_bits is from 0 to 6".into()));
        }
        way.septets = object.septets.or(self.septets);
        Ok(way)
    }

    fn report(&self) -> Report {
        let packed = self.encoding == Encoding::GsmPacked;
        Report {
            encoding: self.name.clone(),
            locking: self.shift.locking.name(),
            single: self.shift.single.name(),
            data_coding: self.encoding.data_coding(),
            pad_bits: packed.then_some(self.pad_bits),
            ..Report::default()
        }
    }

    fn encode(&self, text: &str) -> Report {
        let mut report = self.report();
        report.text = Some(text.to_owned());
        let mut octets = Vec::new();
        let written = if self.encoding.is_gsm() {
            national::encode(text, self.shift, &mut octets)
        } else {
            text::encode(text, self.encoding, &mut octets)
        };
        if let Err(error) = written {
            let octet = text.char_indices().nth(error.index);
            report.errors.push(Fault {
                code: "unencodable".into(),
                offset: octet.map(|(octet, _)| octet),
                text: error.to_string(),
            });
            return report;
        }
        self.show(&octets, &mut report);
        report
    }

    /// Takes in the octets of a text, septets if they are to be packed.
    fn show(&self, octets: &[u8], report: &mut Report) {
        report.units = octets.len() / self.encoding.unit();
        if self.encoding != Encoding::GsmPacked {
            report.hex = Some(HEXLOWER.encode(octets));
            return;
        }
        let mut packed = Vec::new();
        packed::pack(octets, self.pad_bits, self.fill, &mut packed);
        let spare = packed.len() * 8 - self.pad_bits as usize - octets.len() * 7;
        report.fill = Some(match self.fill {
            _ if spare < 7 => "none-needed",
            Fill::Zero => "zero",
            Fill::CarriageReturn => "cr",
        });
        report.hex = Some(HEXLOWER.encode(&packed));
        report.unpacked_hex = Some(HEXLOWER.encode(octets));
        report.septets = Some(octets.len());
    }

    fn decode(&self, hex: &str) -> Result<Report, Fault> {
        let octets = from_hex(hex.as_bytes())?;
        let mut report = self.report();
        let text = match self.encoding {
            Encoding::GsmPacked => {
                let usual = || packed::count(&octets, self.pad_bits);
                let count = self.septets.unwrap_or_else(usual);
                let mut septets = Vec::new();
                packed::unpack(&octets, self.pad_bits, count, &mut septets);
                report.unpacked_hex = Some(HEXLOWER.encode(&septets));
                report.septets = Some(septets.len());
                report.units = septets.len();
                national::decode(&septets, self.shift)
            }
            Encoding::Gsm => {
                report.units = octets.len();
                national::decode(&octets, self.shift)
            }
            encoding => {
                report.units = octets.len() / encoding.unit();
                text::decode_as(&octets, encoding)
            }
        };
        let again = Way {
            septets: None,
            ..self.clone()
        }
        .encode(&text);
        let hex = HEXLOWER.encode(&octets);
        let same = again.hex.as_ref() == Some(&hex);
        if text.contains(char::REPLACEMENT_CHARACTER) && !same {
            let text = format!(
                "some octets are no text in {}: U+FFFD stands for them",
                self.name
            );
            report.errors.push(texts::fault("undecodable", text));
        } else if let Some(again) = again.hex.filter(|_| !same) {
            let text = format!("this text is usually written {again}");
            report.warnings.push(texts::fault("unusual", text));
        }
        report.hex = Some(hex);
        report.text = Some(text);
        Ok(report)
    }
}

impl Report {
    fn print(&self, decoded: bool) -> std::io::Result<()> {
        let shown = if decoded { &self.text } else { &self.hex };
        if let Some(shown) = shown {
            output::line(shown)?;
        }
        lines::print_faults(&self.errors, &self.warnings)
    }
}

#[cfg(test)]
mod tests;
