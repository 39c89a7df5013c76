//! A PDU as people read it: rows of octets, each with the name and meaning of what they are, and
//! damage pointed at where it is.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::message::Message;
use super::object::{faults, latin1};
use super::words;
use crate::cli::lines::{Fault, print_faults};
use smpp_protocol::Names;
use smpp_protocol::pdu::anatomy::{Anatomy, Flaw, Part, Value};

/// Octets in a row.
const ROW: usize = 8;

const NAME: Style = AnsiColor::Cyan.on_default();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const TITLE: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// Prints a PDU, or what kept its octets from being read.
pub(in crate::cli) fn print(
    anatomy: &Anatomy<'_>,
    message: Option<&Message>,
    fault: Option<Fault>,
    names: &Names,
) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if fault.is_some() {
        drop(out);
        let (errors, warnings) = faults(anatomy, fault);
        print_faults(&errors, &warnings)?;
        return writeln!(anstream::stdout());
    }
    writeln!(out, "{TITLE}{}{TITLE:#}", title(anatomy))?;
    let mut marks = Marks::of(&anatomy.flaws);
    for part in &anatomy.parts {
        part_rows(&mut out, part, &mut marks, names)?;
    }
    for flaw in marks.rest() {
        point(&mut out, 0, flaw.range.len().min(ROW), flaw)?;
    }
    if let Some(message) = message {
        meaning(&mut out, message)?;
    }
    drop(out);
    if let Some(receipt) = message.and_then(|message| message.receipt.as_ref()) {
        receipt.print()?;
    }
    writeln!(anstream::stdout())
}

fn title(anatomy: &Anatomy<'_>) -> String {
    let Some(header) = anatomy.header else {
        return "incomplete PDU".into();
    };
    format!(
        "{}  sequence_number {}, {} octets",
        header.command, header.sequence, header.length
    )
}

/// Flaws in the order of the octets, as rows walk past them: each is looked at once, however many
/// rows and flaws there are: a line has room for more than a hundred thousand TLVs of no length.
struct Marks<'a> {
    flaws: std::iter::Peekable<std::vec::IntoIter<&'a Flaw>>,
}

impl<'a> Marks<'a> {
    fn of(flaws: &'a [Flaw]) -> Self {
        let mut flaws: Vec<_> = flaws.iter().collect();
        flaws.sort_by_key(|flaw| flaw.range.start);
        Marks {
            flaws: flaws.into_iter().peekable(),
        }
    }

    /// The next one that begins before `end`, where a row ends.
    fn before(&mut self, end: usize) -> Option<&'a Flaw> {
        self.flaws.next_if(|flaw| flaw.range.start < end)
    }

    /// Those whose place no row shows.
    fn rest(self) -> impl Iterator<Item = &'a Flaw> {
        self.flaws
    }
}

fn part_rows(
    out: &mut impl Write,
    part: &Part<'_>,
    marks: &mut Marks<'_>,
    names: &Names,
) -> io::Result<()> {
    let name = match part.entry {
        Some((list, index)) => format!("{list}[{index}].{}", part.name),
        None => part.name.to_owned(),
    };
    for (index, row) in part.octets.chunks(ROW).enumerate() {
        let start = part.range.start + index * ROW;
        let hex = row.iter().fold(String::new(), |mut hex, octet| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{octet:02x} ");
            hex
        });
        write!(out, "{FAINT}{start:5}{FAINT:#}  {hex:24} ")?;
        match (index, &part.value) {
            (0, _) => writeln!(out, "{NAME}{name:24}{NAME:#} {}", words::of(part, names))?,
            (_, Value::Number(_)) => writeln!(out)?,
            _ => writeln!(out, "{:24} {}", "", printable(row))?,
        }
        let row_end = start + row.len();
        while let Some(flaw) = marks.before(row_end) {
            let from = flaw.range.start.max(start);
            let end = flaw.range.end.clamp(from + 1, row_end);
            point(out, from - start, end - from, flaw)?;
        }
    }
    Ok(())
}

/// Marks some octets of the row above and says what is wrong.
fn point(out: &mut impl Write, skip: usize, count: usize, flaw: &Flaw) -> io::Result<()> {
    let (style, what) = if flaw.kind.is_error() {
        (ERROR, "error")
    } else {
        (WARNING, "warning")
    };
    let marks = format!("{}{}", "   ".repeat(skip), "^^ ".repeat(count.max(1)));
    writeln!(
        out,
        "{:7}{style}{marks:24} {what}:{style:#} {flaw} ({})",
        "",
        flaw.code()
    )
}

/// What the message says as a whole.
fn meaning(out: &mut impl Write, message: &Message) -> io::Result<()> {
    for element in &message.udh {
        writeln!(
            out,
            "{:14} {:#04x} {}",
            "UDH element", element.id, element.hex
        )?;
    }
    if let Some(part) = &message.concatenation {
        let of = format!(
            "{} of {}, reference {}",
            part.part, part.total, part.reference
        );
        writeln!(out, "{:14} {of}", "part")?;
    }
    if message.receipt.is_none() {
        let text = message.text.escape_debug();
        writeln!(out, "{:14} \"{text}\"", message.encoding)?;
    }
    Ok(())
}

/// Octets as ASCII characters, others as dots.
fn printable(octets: &[u8]) -> String {
    let shown = |octet: &u8| match octet {
        b' '..=b'~' => char::from(*octet),
        _ => '.',
    };
    octets.iter().map(shown).collect()
}

/// A text in quotes, escaped.
pub(super) fn quoted(text: &[u8]) -> String {
    format!("\"{}\"", latin1(text).escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(octets: &[u8]) -> String {
        let anatomy = Anatomy::of(octets);
        let (mut out, mut marks) = (Vec::new(), Marks::of(&anatomy.flaws));
        for part in &anatomy.parts {
            part_rows(&mut out, part, &mut marks, &Names::default()).unwrap();
        }
        assert_eq!(marks.rest().count(), 0, "rows show every octet");
        anstream::adapter::strip_str(str::from_utf8(&out).unwrap()).to_string()
    }

    #[test]
    fn every_octet_has_its_row_and_damage_is_marked() {
        let pdu = b"\0\0\0\x15\x80\0\0\x04\0\0\0\0\0\0\0\x07AB\0\x04\x27";
        let text = shown(pdu);
        let rows: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            rows[1],
            "    4  80 00 00 04              command_id               submit_sm_resp"
        );
        assert_eq!(
            rows[4],
            "   16  41 42 00                 message_id               \"AB\""
        );
        assert_eq!(rows[5], "   19  04 27                    unread");
        assert_eq!(
            rows[6],
            "       ^^ ^^                    error: 2 octets are left, a TLV has at least 4 \
             (truncated_tlv_header)"
        );
        assert_eq!(rows.len(), 7);
    }

    #[test]
    fn however_many_flaws_there_are_each_is_looked_at_once() {
        // A line of a submit_sm and then TLVs that should be integers and have no octet.
        let mut pdu = b"\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x01".to_vec();
        pdu.extend([0; 17]);
        let tlvs = (crate::cli::lines::LONGEST / 2 - pdu.len()) / 4;
        pdu.extend(b"\x02\x04\0\0".repeat(tlvs));
        let length = u32::try_from(pdu.len()).unwrap();
        pdu[..4].copy_from_slice(&length.to_be_bytes());
        let text = shown(&pdu);
        let rows = text
            .lines()
            .filter(|row| row.contains("user_message_reference"));
        let marks = text.lines().filter(|row| row.contains("(tlv_length)"));
        let (rows, marks) = (rows.count(), marks.count());
        assert_eq!(marks, tlvs);
        assert_eq!(rows, 2 * tlvs, "a row, and what is wrong with it");
    }
}
