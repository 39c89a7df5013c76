//! Tables on a terminal, lines with tabs in a pipe.

use std::io::{self, IsTerminal, Write};

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
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings)
        .add_rows(rows);
    writeln!(out, "{}", table.trim_fmt())
}

/// Prints one line.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Warns people of what does not make a command fail.
pub(super) fn warn(text: &str) -> io::Result<()> {
    let style = anstyle::AnsiColor::Yellow.on_default().bold();
    writeln!(anstream::stderr().lock(), "{style}warning:{style:#} {text}")
}

/// `1 part`, `2 parts`.
pub(super) fn plural(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
