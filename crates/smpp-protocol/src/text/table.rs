//! Alphabets of one's own: one octet a character, read from a file.
//!
//! The file has the form of Unicode's mapping files: on every line an octet, the character it
//! stands for, and perhaps a comment.
//!
//! ```text
//! # The SMSC's alphabet
//! 0x41    U+0041    # LATIN CAPITAL LETTER A
//! 0x80    0x20AC
//! 0x1B65  U+20AC    # after an escape
//! ```
//!
//! Octets that are not listed stand for nothing. A character that stands twice is written as its
//! first line says; an octet that does is read as its last line says. A table whose octets are all
//! below 0x80 is one of septets: 160 of them fit into a short message.

use std::fmt;

use super::gsm::ESCAPE;

/// A table of characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Table {
    name: Box<str>,
    /// By octet.
    plain: Box<[Option<char>; 256]>,
    /// By the octet after an escape.
    escaped: Box<[Option<char>; 256]>,
    /// By character, sorted; with 0x1B00 set, after an escape.
    codes: Box<[(char, u16)]>,
    seven_bit: bool,
}

/// A line that is no entry of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// It cannot be read.
    #[error(
        "line {number}, {line:?}, is no entry: write an octet and a character, such as \"0x80 U+20AC\""
    )]
    Line {
        /// Counts from 1.
        number: usize,
        /// What it says.
        line: String,
    },
    /// No line is an entry.
    #[error(
        "it holds no entry: write an octet and a character on every line, such as \"0x80 U+20AC\""
    )]
    Empty,
}

const ESCAPED: u16 = (ESCAPE as u16) << 8;

impl Table {
    /// Reads what a file says.
    ///
    /// ```
    /// use smpp_protocol::text::table::Table;
    ///
    /// let table = Table::parse("mine", "0x41 U+0041  # A\n0x80 U+20AC")?;
    /// assert_eq!(table.code('€'), Some(0x80));
    /// # Ok::<(), smpp_protocol::text::table::BadTable>(())
    /// ```
    pub fn parse(name: &str, text: &str) -> Result<Table, BadTable> {
        let mut table = Table {
            name: name.into(),
            plain: Box::new([None; 256]),
            escaped: Box::new([None; 256]),
            codes: Box::default(),
            seven_bit: true,
        };
        let mut codes: Vec<(char, u16)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            let (code, character) = read(entry).ok_or_else(|| BadTable::Line {
                number: index + 1,
                line: line.to_owned(),
            })?;
            let octet = usize::from(code & 0xFF);
            match code & ESCAPED {
                ESCAPED => table.escaped[octet] = Some(character),
                _ => table.plain[octet] = Some(character),
            }
            codes.push((character, code));
            table.seven_bit &= octet < 0x80;
        }
        // Stable: of a character that stands twice the first line remains.
        codes.sort_by_key(|(character, _)| *character);
        codes.dedup_by_key(|(character, _)| *character);
        match codes.is_empty() {
            true => Err(BadTable::Empty),
            false => Ok(Table {
                codes: codes.into(),
                ..table
            }),
        }
    }

    /// What configuration calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The octet of a character, as 0x1BNN if an escape precedes it.
    pub fn code(&self, character: char) -> Option<u16> {
        let found = self.codes.binary_search_by_key(&character, |(c, _)| *c);
        let (_, code) = self.codes.get(found.ok()?)?;
        Some(*code)
    }

    /// Whether every octet is a septet.
    pub const fn is_seven_bit(&self) -> bool {
        self.seven_bit
    }

    /// Whether an octet announces another.
    pub(super) fn escapes(&self) -> bool {
        self.escaped.iter().any(Option::is_some)
    }

    pub(super) fn encode(&self, text: &str, out: &mut Vec<u8>) -> Result<(), super::Stopped> {
        for (index, character) in text.chars().enumerate() {
            let code = self.code(character).ok_or((index, character))?;
            if code >= ESCAPED {
                out.push(ESCAPE);
            }
            out.push(code as u8);
        }
        Ok(())
    }

    pub(super) fn decode(&self, octets: &[u8]) -> String {
        let plain = |octet: u8| self.plain[usize::from(octet)];
        let mut octets = octets.iter().copied();
        let mut text = String::with_capacity(octets.len());
        while let Some(octet) = octets.next() {
            let character = match octet {
                ESCAPE if self.escapes() => octets.next().map_or(Some(' '), |octet| {
                    self.escaped[usize::from(octet)].or_else(|| plain(octet))
                }),
                _ => plain(octet),
            };
            text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        text
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.name).finish()
    }
}

/// An octet, or an escape and an octet, and a character.
fn read(entry: &str) -> Option<(u16, char)> {
    let hex = |text: &str, marks: [&str; 2]| {
        let digits = marks.iter().find_map(|mark| text.strip_prefix(mark))?;
        let digits_only = digits.bytes().all(|c| c.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| digits_only)
    };
    let mut words = entry.split_ascii_whitespace();
    let code = hex(words.next()?, ["0x", "0X"])?;
    let word = words.next()?;
    let number = hex(word, ["U+", "u+"]).or_else(|| hex(word, ["0x", "0X"]))?;
    let good = code <= 0xFF || code & 0xFF00 == u32::from(ESCAPED);
    let code = u16::try_from(code).ok().filter(|_| good)?;
    words
        .next()
        .is_none()
        .then_some((code, char::from_u32(number)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_form_of_unicodes_mappings_is_a_table() {
        let text =
            "# Name: ours\n\n0x41\t0x0041\t# LATIN CAPITAL LETTER A\n0x80 U+20AC\n0xC1 u+0391";
        let table = Table::parse("ours", text).unwrap();
        let mut octets = Vec::new();
        table.encode("A€Α", &mut octets).unwrap();
        assert_eq!(octets, [0x41, 0x80, 0xC1]);
        assert_eq!(table.decode(b"\x41\x80\xC1\x42"), "A€Α\u{FFFD}");
        assert_eq!(table.encode("Ab", &mut octets), Err((1, 'b')));
        assert!(!table.is_seven_bit());
    }

    #[test]
    fn escapes_make_two_octets() {
        let table = Table::parse("ours", "0x41 U+0041\n0x1B65 U+20AC\n0x65 U+0065").unwrap();
        let mut octets = Vec::new();
        table.encode("A€", &mut octets).unwrap();
        assert_eq!(octets, b"\x41\x1B\x65");
        assert_eq!(table.decode(b"\x1B\x65\x1B\x41\x1B"), "€A ");
        assert!(table.is_seven_bit() && table.escapes());
    }

    #[test]
    fn a_bad_line_is_named() {
        for line in [
            "41 U+0041",
            "0x41",
            "0x100 U+0041",
            "0x41 U+D800",
            "0x41 U+41 x",
            "0x U+1",
        ] {
            let error = Table::parse("t", &format!("0x42 U+0042\n{line}")).unwrap_err();
            assert!(error.to_string().starts_with("line 2,"), "{error}");
        }
        assert_eq!(Table::parse("t", "# nothing"), Err(BadTable::Empty));
    }
}
