//! Records in JSON one after another: each on a line, or written over several as people do.

use std::io::BufRead;

use super::Failure;
use super::lines::{self, LONGEST, Line, Verdict};

/// How deep a text is inside objects and arrays.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Nesting {
    fn follow(&mut self, octets: &[u8]) {
        for octet in octets {
            match (self.in_string, octet) {
                (true, _) if self.is_escaped => self.is_escaped = false,
                (true, b'\\') => self.is_escaped = true,
                (true, b'"') => self.in_string = false,
                (true, _) => {}
                (false, b'"') => self.in_string = true,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                (false, _) => {}
            }
        }
    }

    /// Whether more lines belong to it. No string goes on in the next line.
    fn is_open(&self) -> bool {
        self.depth > 0 && !self.in_string
    }
}

/// A record that is being read.
#[derive(Default)]
struct Begun {
    octets: Vec<u8>,
    /// The number of its first line.
    number: usize,
    cut: bool,
    nesting: Nesting,
}

impl Begun {
    fn is_open(&self) -> bool {
        !self.octets.is_empty() && self.nesting.is_open() && !self.cut
    }

    fn add(&mut self, line: Line<'_>) {
        if self.octets.is_empty() {
            self.number = line.number
        } else {
            self.octets.push(b'\n')
        }
        self.octets.extend_from_slice(line.octets);
        self.cut |= line.cut || self.octets.len() > LONGEST;
        self.nesting.follow(line.octets);
    }

    fn line(&self) -> Line<'_> {
        Line {
            number: self.number,
            octets: &self.octets,
            cut: self.cut,
        }
    }
}

/// Reads every record, with the number of its first line. One that is never closed ends where
/// another begins at the beginning of a line.
pub(super) fn each_of(
    from: impl BufRead,
    mut read: impl FnMut(Line<'_>) -> Result<Verdict, Failure>,
) -> Result<Verdict, Failure> {
    let mut begun = Begun::default();
    let all = lines::each_of(from, |line| {
        let mut verdict = Verdict::Good;
        if begun.is_open() && line.octets.starts_with(b"{") {
            verdict = read(std::mem::take(&mut begun).line())?;
        }
        if begun.octets.is_empty() && line.is_blank() {
            return Ok(verdict);
        }
        begun.add(line);
        if begun.octets.trim_ascii_start().starts_with(b"{") && begun.is_open() {
            return Ok(verdict);
        }
        Ok(verdict.and(read(std::mem::take(&mut begun).line())?))
    })?;
    if begun.octets.is_empty() {
        Ok(all)
    } else {
        Ok(all.and(read(begun.line())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        each_of(text.as_bytes(), |line| {
            let text = String::from_utf8_lossy(line.octets).into_owned();
            all.push((line.number, text));
            Ok(Verdict::Good)
        })
        .unwrap();
        all
    }

    #[test]
    fn a_record_is_a_line_or_several() {
        let found =
            records("{\"a\": 1}\n\n{\n  \"b\": \"}\\\"{\",\n\n  \"c\": [\n{}]\n}\nno\n{\"d\":2}");
        let numbers: Vec<_> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(
            numbers,
            [1, 3, 7, 8, 9, 10],
            "an object at the margin begins anew"
        );
        let found = records("{\n  \"b\": \"}\\\"{\",\n\n  \"c\": [\n    {}]\n}\n{\"d\":2}\n");
        assert_eq!(found.len(), 2);
        assert!(serde_json::from_str::<serde_json::Value>(&found[0].1).is_ok());
        assert_eq!(found[1], (7, "{\"d\":2}".into()));
    }

    #[test]
    fn a_damaged_record_does_not_take_others_with_it() {
        let found = records("{\"a\": 1\n{\"b\": 2}\n{\"c\": \"open\n{\"d\": 4}\nwords\n");
        let firsts: Vec<_> = found.iter().map(|(n, text)| (*n, &text[..2])).collect();
        assert_eq!(
            firsts,
            [(1, "{\""), (2, "{\""), (3, "{\""), (4, "{\""), (5, "wo")]
        );
        assert_eq!(records(&"[".repeat(1000)).len(), 1);
        let long = format!("{{\n{}\n}}", " \"x\": 1,\n".repeat(LONGEST / 8));
        assert!(
            records(&long).len() > 1,
            "no more than there is room for is kept"
        );
    }
}
