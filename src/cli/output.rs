//! Tables on a terminal, lines with tabs in a pipe.

use std::io::{self, IsTerminal, Write};

use crate::codes::Coded;
use comfy_table::{ContentArrangement, Table, presets};

/// Prints rows under headings; in a pipe without the headings.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if !io::stdout().is_terminal() {
        for row in rows {
            writeln!(out, "{}", row.join("\t"))?;
        }
        return Ok(());
    }
    writeln!(out, "{}", arranged(headings, rows, None))
}

/// Columns of this width can be read, if only just.
const NARROWEST: usize = 12;

/// The table as it fits into a terminal of this width, the one it goes to by default. A terminal
/// that says it has none, or next to none, gets whole lines: it breaks them itself, or nobody
/// looks.
fn arranged<const N: usize>(
    headings: [&str; N],
    rows: &[[String; N]],
    width: Option<u16>,
) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings)
        .add_rows(rows);
    if let Some(width) = width {
        table.set_width(width);
    }
    if table
        .width()
        .is_none_or(|width| usize::from(width) < NARROWEST * N)
    {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.trim_fmt()
}

/// Prints one line.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Warns people of what does not make a command fail.
pub(super) fn warn(what: &Coded) -> io::Result<()> {
    let Coded { code, text } = what;
    let style = anstyle::AnsiColor::Yellow.on_default().bold();
    writeln!(
        anstream::stderr().lock(),
        "{style}warning[{code}]:{style:#} {text}"
    )
}

/// `1 part`, `2 parts`.
pub(super) fn plural(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_width_gets_whole_lines() {
        let rows = [[
            "sms.correlation".to_owned(),
            "a text that is longer than a terminal".to_owned(),
        ]];
        for width in [0, 1, 10, 23] {
            let told = arranged(["topic", "what"], &rows, Some(width));
            assert_eq!(told.lines().count(), 2, "{width}: {told}");
            assert!(told.contains(&rows[0][1]), "{width}: {told}");
        }
        let told = arranged(["topic", "what"], &rows, Some(40));
        assert!(told.lines().all(|line| line.len() <= 40), "{told}");
        assert!(told.lines().count() > 2, "{told}");
    }
}
