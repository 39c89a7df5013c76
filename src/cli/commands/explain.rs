//! `kafka-smpp explain`.

use std::io::{self, IsTerminal, Write};

use textwrap::core::display_width;
use textwrap::{Options, termwidth};

use crate::cli::output::table;
use crate::cli::{Code, Failure};
use crate::codes::{self, Page, find, pages};
use crate::record::event::SendErrorKind;

/// Say what an error is, what it affects, and what to do
///
/// Every error has a code, such as KS-1204: on the terminal it stands in brackets, in the log it is
/// the field error_code. A SendError has its kind instead.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp explain KS-1204
  kafka-smpp explain 1204 ks-3001
  kafka-smpp explain OUTCOME_UNKNOWN       the kind of a SendError
  kafka-smpp explain --list")]
pub(in crate::cli) struct Args {
    /// Codes, with or without KS-, or kinds of SendError
    #[arg(value_name = "CODE", required_unless_present = "list")]
    codes: Vec<String>,
    /// List all codes, each with its title
    #[arg(long, conflicts_with = "codes")]
    list: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        let row = |page: &Page| [page.code.to_string(), page.title().to_owned()];
        let rows: Vec<_> = pages().map(row).collect();
        return Ok(table(["code", "what it is"], &rows)?);
    }
    let found: Vec<&Page> = (args.codes.iter())
        .map(|word| page_of(word))
        .collect::<Result<_, _>>()?;
    let mut out = anstream::stdout().lock();
    for (n, page) in found.into_iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        if io::stdout().is_terminal() {
            write!(
                out,
                "{}",
                for_terminal(page.text, termwidth().clamp(20, 100))
            )?;
        } else {
            write!(out, "{}", page.text)?;
        }
    }
    Ok(())
}

/// The page of a code, or of the kind of a SendError.
fn page_of(word: &str) -> Result<&'static Page, Failure> {
    let kinds = SendErrorKind::ALL.iter();
    let kind = kinds
        .copied()
        .find(|kind| kind.name().eq_ignore_ascii_case(word.trim()));
    let code = kind.map(|kind| kind.code().as_str());
    find(code.unwrap_or(word)).map_err(|nearest| unknown(word, nearest))
}

fn unknown(word: &str, nearest: &Page) -> Failure {
    let text = format!(
        "there is no code {word:?}; did you mean {} ({})? kafka-smpp explain --list has all",
        nearest.code,
        nearest.title()
    );
    Failure::new(Code::Usage, codes::UNKNOWN_NAME, text)
}

/// A page with bold headings, wrapped; what is to be typed stays on its line.
fn for_terminal(page: &str, width: usize) -> String {
    let bold = anstyle::Style::new().bold();
    let (mut shown, mut typed) = (String::new(), false);
    for line in page.lines() {
        let fence = line.starts_with("```");
        typed ^= fence;
        if fence {
            continue;
        }
        if typed {
            shown.push_str("    ");
            shown.push_str(line);
        } else if let Some(heading) = line.strip_prefix("# ").or(line.strip_prefix("## ")) {
            let heading = textwrap::fill(heading, width);
            shown.push_str(&format!("{bold}{heading}{bold:#}"));
        } else {
            shown.push_str(&wrapped(line, width));
        }
        shown.push('\n');
    }
    shown
}

/// A paragraph, or an item of a list with its further lines below its text.
fn wrapped(line: &str, width: usize) -> String {
    let text = line.trim_start_matches([' ', '-', '*']);
    let indent = " ".repeat(display_width(line) - display_width(text));
    textwrap::fill(line, Options::new(width).subsequent_indent(&indent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_wrapped_and_commands_are_not() {
        let page = "# KS-1: a title\n\n## What to do\n\n- one two three four five\n\n```sh\none two three four five six\n```\n";
        let shown = anstream::adapter::strip_str(&for_terminal(page, 20)).to_string();
        assert_eq!(
            shown,
            "KS-1: a title\n\nWhat to do\n\n- one two three four\n  five\n\n    one two three four five six\n"
        );
    }
}
