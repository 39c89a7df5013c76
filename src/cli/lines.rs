//! Inputs one after another, from arguments or one a line from standard input, and outputs one a
//! line.
//!
//! A bad input is reported and never stops the others; that there was one is the exit code's
//! business, 65.

use std::borrow::Cow;
use std::io::{self, BufRead, IsTerminal, Write};

use anstyle::AnsiColor;
use serde::Serialize;

use super::{Code, Failure};
use crate::codes;

/// The longest line, in octets: twice the longest PDU this reads, in hexadecimal with spaces.
pub(super) const LONGEST: usize = 1 << 20;

/// One input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counts from 1, blank lines included.
    pub number: usize,
    /// Without the line's end.
    pub octets: &'a [u8],
    /// Whether more octets belonged to the line than are kept.
    pub cut: bool,
}

/// What is wrong with an input, or odd about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// For programs; never changes its meaning.
    pub code: Cow<'static, str>,
    /// Which octet of the input it is about, where it is about one.
    pub offset: Option<usize>,
    /// For people.
    pub text: String,
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is wrong with it.
    Good,
    /// Something is, and the output says so.
    Malformed,
}

impl<'a> Line<'a> {
    /// An argument.
    pub fn of(number: usize, argument: &'a str) -> Self {
        Line {
            number,
            octets: argument.as_bytes(),
            cut: false,
        }
    }

    /// What is wrong when it is longer than is read.
    pub fn fault(&self) -> Option<Fault> {
        self.cut.then(|| Fault {
            code: "line_too_long".into(),
            offset: None,
            text: format!("the line has more than {LONGEST} octets"),
        })
    }

    /// Whether there is nothing but space on it.
    pub fn is_blank(&self) -> bool {
        self.octets.trim_ascii().is_empty()
    }
}

/// Reads every argument, or without any every line of standard input. It fails with
/// [`Code::Data`] and without a text when any was malformed.
pub(super) fn each(
    arguments: &[String],
    mut read: impl FnMut(Line<'_>) -> Result<Verdict, Failure>,
) -> Result<(), Failure> {
    if arguments.is_empty() {
        return each_of(stdin(), read)?.end();
    }
    let mut all = Verdict::Good;
    for (index, argument) in arguments.iter().enumerate() {
        all = all.and(read(Line::of(index + 1, argument))?);
    }
    all.end()
}

/// Standard input; somebody at a terminal is told that it is waited for.
pub(super) fn stdin() -> io::StdinLock<'static> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        anstream::eprintln!("Reading standard input, one a line; Ctrl-D ends it.");
    }
    stdin
}

/// [`each`] of a reader's lines, and whether any was malformed.
pub(super) fn each_of(
    mut from: impl BufRead,
    mut read: impl FnMut(Line<'_>) -> Result<Verdict, Failure>,
) -> Result<Verdict, Failure> {
    let mut all = Verdict::Good;
    let mut octets = Vec::new();
    for number in 1.. {
        let Some(cut) = next(&mut from, &mut octets)? else {
            break;
        };
        let octets = &octets;
        all = all.and(read(Line {
            number,
            octets,
            cut,
        })?);
    }
    Ok(all)
}

/// Reads a line, at most [`LONGEST`] octets of it, and says whether more were left out; `None` at
/// the end.
fn next(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let (mut any, mut cut) = (false, false);
    loop {
        let there = match from.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            there => there?,
        };
        if there.is_empty() {
            break;
        }
        any = true;
        let end = there.iter().position(|octet| *octet == b'\n');
        let part = &there[..end.unwrap_or(there.len())];
        let room = part.len().min(LONGEST - line.len());
        cut |= room < part.len();
        line.extend_from_slice(&part[..room]);
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(any.then_some(cut))
}

/// Prints an object on a line of its own.
pub(super) fn json(object: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(object)
        .map_err(|e| Failure::new(Code::Software, codes::BUG, e.to_string()))?;
    line.push(b'\n');
    Ok(io::stdout().lock().write_all(&line)?)
}

/// Prints what is wrong and what is odd, for people.
pub(super) fn print_faults(errors: &[Fault], warnings: &[Fault]) -> io::Result<()> {
    let error = ("error", AnsiColor::Red.on_default().bold(), errors);
    let warning = ("warning", AnsiColor::Yellow.on_default().bold(), warnings);
    let mut out = anstream::stdout().lock();
    for (what, style, faults) in [error, warning] {
        for Fault { code, offset, text } in faults {
            let at = offset.map_or(String::new(), |at| format!("octet {at}: "));
            writeln!(out, "{style}{what}:{style:#} {at}{text} ({code})")?;
        }
    }
    Ok(())
}

impl Verdict {
    /// Good when there is no flaw.
    pub fn of(malformed: bool) -> Verdict {
        if malformed {
            Verdict::Malformed
        } else {
            Verdict::Good
        }
    }

    /// Good when both are.
    pub fn and(self, other: Verdict) -> Verdict {
        Verdict::of(self == Verdict::Malformed || other == Verdict::Malformed)
    }

    /// How the command ends: the output has said what was wrong.
    pub fn end(self) -> Result<(), Failure> {
        match self {
            Verdict::Good => Ok(()),
            Verdict::Malformed => Err(Failure::silent(Code::Data)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(usize, Vec<u8>, bool)> {
        let mut all = Vec::new();
        let small = io::BufReader::with_capacity(3, text);
        each_of(small, |line| {
            all.push((line.number, line.octets.to_vec(), line.cut));
            Ok(Verdict::Good)
        })
        .unwrap();
        all
    }

    #[test]
    fn lines_come_with_their_numbers_and_without_their_ends() {
        let expected = [
            (1, b"first".to_vec(), false),
            (2, b"".to_vec(), false),
            (3, b"\xFFlast".to_vec(), false),
        ];
        assert_eq!(lines(b"first\r\n\n\xFFlast"), expected);
        assert_eq!(lines(b"first\n\n\xFFlast\n"), expected);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_its_room() {
        let long = [b"x".repeat(LONGEST + 5), b"\nnext".to_vec()].concat();
        let lines = lines(&long);
        assert_eq!((lines[0].1.len(), lines[0].2), (LONGEST, true));
        assert_eq!(lines[1], (2, b"next".to_vec(), false));
    }

    #[test]
    fn one_malformed_input_is_told_at_the_end() {
        let mut seen = 0;
        let end = each_of(&b"bad\ngood"[..], |line| {
            seen += 1;
            Ok(Verdict::of(line.octets == b"bad"))
        });
        assert_eq!(seen, 2, "the others are read all the same");
        assert_eq!(end.unwrap().end(), Err(Failure::silent(Code::Data)));
    }
}
