//! Octets in dumps: rows of hexadecimal digits with what programs write around them.
//!
//! Read are the rows of xxd, hexdump -C, od -Ax -tx1, Wireshark ("copy as hex dump"), tcpdump -x and
//! -X, and Kannel's log. Rows that go on where the one before ended are one dump. Of a dump as much
//! is kept as of a line; its other rows are passed over.

use std::borrow::Cow;

use super::lines::{Fault, LONGEST};

/// The most octets in a row.
const WIDEST: usize = 64;
/// Octets in a row where programs leave a wider gap.
const HALF: usize = 8;

/// One row of a dump.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// Where its first octet stands in the dump, if it says so.
    offset: Option<usize>,
    octets: Vec<u8>,
}

/// What a line means to the dump that is being read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is a row, and was taken in.
    Row,
    /// It belongs to a dump, and says nothing.
    Frame,
    /// It is something else.
    Other,
}

/// A dump that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dumped {
    /// The number of the line with its first row.
    pub number: usize,
    pub octets: Vec<u8>,
    /// Whether more octets belonged to it than are kept.
    pub cut: bool,
}

impl Dumped {
    /// What is wrong when it is longer than is read.
    pub fn fault(&self) -> Option<Fault> {
        self.cut.then(|| Fault {
            code: "dump_too_long".into(),
            offset: None,
            text: format!(
                "the dump has more than {LONGEST} octets, what follows is not read: split it, or \
                 give the capture itself"
            ),
        })
    }
}

/// A dump as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// The first of them, at most [`LONGEST`].
    octets: Vec<u8>,
    /// How many it has.
    length: usize,
    /// The number of the line with its first row.
    first: usize,
    /// Octets in the first row.
    width: usize,
    /// Whether the last row was shorter than the first.
    is_ended: bool,
    /// Whether its rows have offsets.
    numbered: bool,
}

impl Dump {
    /// Takes a line in. A row that does not go on hands out the dump before it.
    pub fn take(&mut self, number: usize, line: &[u8]) -> (Step, Option<Dumped>) {
        let line = String::from_utf8_lossy(line);
        let Some(row) = row(&line) else {
            let is_end = self.numbered && is_offset(line.trim(), self.length);
            return if is_end || is_frame(&line) {
                (Step::Frame, self.end())
            } else {
                (Step::Other, self.end())
            };
        };
        let goes_on = match row.offset {
            Some(offset) => self.numbered && offset == self.length && offset > 0,
            None => !self.numbered && !self.is_ended && self.length > 0,
        };
        let before = if goes_on { None } else { self.end() };
        if !goes_on {
            (self.first, self.width) = (number, row.octets.len());
            self.numbered = row.offset.is_some();
        }
        self.is_ended = row.octets.len() < self.width;
        self.length += row.octets.len();
        let room = LONGEST - self.octets.len();
        self.octets.extend(row.octets.iter().take(room));
        (Step::Row, before)
    }

    /// What was read.
    pub fn end(&mut self) -> Option<Dumped> {
        let dump = std::mem::take(self);
        (dump.length > 0).then_some(Dumped {
            number: dump.first,
            cut: dump.octets.len() < dump.length,
            octets: dump.octets,
        })
    }
}

/// The digits between what Node.js writes around them: `<Buffer 00 10>`.
pub(super) fn unwrapped(text: &[u8]) -> Cow<'_, [u8]> {
    let trimmed = text.trim_ascii();
    let inside = trimmed.strip_prefix(b"<Buffer ");
    let inside = inside.and_then(|rest| rest.strip_suffix(b">"));
    inside.map_or(Cow::Borrowed(text), Cow::Borrowed)
}

fn row(line: &str) -> Option<Row> {
    if let Some((_, digits)) = line.split_once(" data: ") {
        return octets(digits.trim_start(), false).map(|octets| Row {
            offset: None,
            octets,
        });
    }
    let line = line.trim_start();
    let bare = line.strip_prefix("0x").unwrap_or(line);
    let end = bare.find(|c: char| !c.is_ascii_hexdigit())?;
    let (number, rest) = bare.split_at(end);
    if !(4..=8).contains(&number.len()) {
        return None;
    }
    let offset = usize::from_str_radix(number, 16).ok();
    let (colon, rest) = match rest.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let digits = rest.trim_start();
    // Without a colon it could be digits of the octets themselves.
    let pairs = digits
        .split([' ', '|'])
        .next()
        .is_some_and(|word| word.len() == 2);
    let apart = rest.starts_with("  ") || matches!(number.len(), 6 | 7) && rest.starts_with(' ');
    if !(colon && rest.starts_with(' ') || pairs && apart) {
        return None;
    }
    let octets = octets(digits, rest.trim_end().ends_with('|'))?;
    Some(Row { offset, octets })
}

/// The octets before the column of characters, which stands apart from them.
fn octets(digits: &str, is_barred: bool) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = digits;
    while let Some(pair) = rest
        .get(..2)
        .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    {
        let is_digits = rest.bytes().take(2).all(|octet| octet.is_ascii_hexdigit());
        if !is_digits {
            break;
        }
        octets.push(pair);
        rest = &rest[2..];
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        let is_middle = is_barred && octets.len() == HALF && spaces == 2;
        if spaces > 1 && !is_middle {
            break;
        }
        rest = &rest[spaces..];
    }
    let is_row = (1..=WIDEST).contains(&octets.len());
    (is_row && (rest.is_empty() || rest.starts_with("  "))).then_some(octets)
}

fn is_offset(text: &str, at: usize) -> bool {
    (4..=8).contains(&text.len()) && usize::from_str_radix(text, 16) == Ok(at)
}

/// What Kannel writes around its dumps, and tcpdump before each.
fn is_frame(line: &str) -> bool {
    let line = line.trim_end();
    let mut words = line.rsplit(' ').filter(|word| !word.is_empty());
    let (last, label) = (words.next().unwrap_or_default(), words.next());
    let is_number = last.bytes().all(|octet| octet.is_ascii_digit());
    let of_kannel = is_number && matches!(label, Some("len:" | "size:" | "immutable:"));
    let of_tcpdump = (line.contains(" IP ") || line.contains(" IP6 ")) && line.contains(" > ");
    of_kannel || line.contains("Octet string ") || of_tcpdump
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PDU: &[u8] = b"\0\0\0\x1C\x80\0\0\x04\0\0\0\0\0\0\0\x2A4F2A-7 ab c\0";

    fn read(text: &str) -> Vec<(usize, Vec<u8>)> {
        let mut dump = Dump::default();
        let mut all = Vec::new();
        let whole = |dump: Dumped| (dump.number, dump.octets);
        for (index, line) in text.lines().enumerate() {
            let (step, before) = dump.take(index + 1, line.as_bytes());
            all.extend(before.map(whole));
            if step == Step::Other && !line.is_empty() {
                all.push((index + 1, b"other".to_vec()));
            }
        }
        all.extend(dump.end().map(whole));
        all
    }

    #[test]
    fn dumps_of_many_programs_are_read() {
        for text in [
            "00000000: 0000 001c 8000 0004 0000 0000 0000 002a  ...............*\n\
             00000010: 3446 3241 2d37 2061 6220 6300            4F2A-7 ab c.",
            "00000000  00 00 00 1c 80 00 00 04  00 00 00 00 00 00 00 2a  |...............*|\n\
             00000010  34 46 32 41 2d 37 20 61  62 20 63 00              |4F2A-7 ab c.|\n\
             0000001c",
            "000000 00 00 00 1c 80 00 00 04 00 00 00 00 00 00 00 2a\n\
             000010 34 46 32 41 2d 37 20 61 62 20 63 00\n00001c",
            "0000   00 00 00 1c 80 00 00 04 00 00 00 00 00 00 00 2a   ...............*\n\
             0010   34 46 32 41 2d 37 20 61 62 20 63 00               4F2A-7 ab c.",
            "\t0x0000:  0000 001c 8000 0004 0000 0000 0000 002a  ...............*\n\
             \t0x0010:  3446 3241 2d37 2061 6220 6300            4F2A-7.ab.c.",
            "2026-03-01 DEBUG: Octet string at 0x7f01:\n\
             2026-03-01 DEBUG:   len:  28\n2026-03-01 DEBUG:   size: 64\n\
             2026-03-01 DEBUG:   immutable: 0\n\
             2026-03-01 DEBUG:   data: 00 00 00 1c 80 00 00 04 00 00 00 00 00 00 00 2a   ...............*\n\
             2026-03-01 DEBUG:   data: 34 46 32 41 2d 37 20 61 62 20 63 00               4F2A-7 ab c.\n\
             2026-03-01 DEBUG: Octet string dump ends.",
        ] {
            let read = read(text);
            assert_eq!(read.len(), 1, "{text}\n{read:?}");
            assert_eq!(read[0].1, PDU, "{text}");
        }
    }

    #[test]
    fn one_dump_ends_where_the_next_begins() {
        let row = "00000000: 0000 0010 0000 0015 0000 0000 0000 0001  ................\n";
        let all = read(&[row, row, "\n", row, "hello\n"].concat());
        let lines: Vec<_> = all
            .iter()
            .map(|(line, octets)| (*line, octets.len()))
            .collect();
        assert_eq!(lines, [(1, 16), (2, 16), (4, 16), (5, 5)]);
    }

    #[test]
    fn a_dump_without_end_takes_no_more_than_its_room() {
        let mut dump = Dump::default();
        let rows = LONGEST / 16 + 100;
        for row in 0..rows {
            let line = format!("{:08x}: {}  ......", row * 16, "0000 ".repeat(8).trim());
            assert_eq!(dump.take(row + 1, line.as_bytes()), (Step::Row, None));
            assert!(dump.octets.len() <= LONGEST);
        }
        // The rows that are passed over belong to it, and what follows does not.
        let (step, cut) = dump.take(rows + 1, format!("{:08x}", rows * 16).as_bytes());
        let cut = cut.unwrap();
        assert_eq!(
            (step, cut.number, cut.octets.len()),
            (Step::Frame, 1, LONGEST)
        );
        assert_eq!(cut.fault().unwrap().code, "dump_too_long");
        let next = "00000000: 0000 0010 0000 0015 0000 0000 0000 0001  ................";
        assert_eq!(dump.take(rows + 2, next.as_bytes()), (Step::Row, None));
        assert_eq!(dump.end().unwrap().fault(), None);
    }

    #[test]
    fn digits_alone_are_no_rows() {
        for line in [
            "00000010 00000015 00000000 00000001",
            "0000 0010 0000 0015 0000 0000 0000 0001",
            "00 00 00 10 00 00 00 15",
            "0000001000000015",
            "0000:",
            "the data: be sure",
            "",
        ] {
            assert_eq!(row(line), None, "{line}");
        }
        assert_eq!(&*unwrapped(b" <Buffer 00 10>\n"), b"00 10");
        assert_eq!(&*unwrapped(b"00 10"), b"00 10");
    }

    proptest! {
        #[test]
        fn any_lines_are_read(lines in prop::collection::vec("[0-9a-f:x| é]{0,24}|.{0,20}", 0..6)) {
            let mut dump = Dump::default();
            for (index, line) in lines.iter().enumerate() {
                dump.take(index + 1, line.as_bytes());
            }
            let _ = dump.end();
        }
    }
}
