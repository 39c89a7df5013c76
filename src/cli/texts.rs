//! What commands that read texts have in common.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::lines::{Fault, Line};
use super::{Code, Failure};
use crate::codes;
use smpp_protocol::text::Encoding;
use smpp_protocol::text::national::Language;
use smpp_protocol::text::table::Table;

/// An encoding and how it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub name: String,
    pub encoding: Encoding,
}

/// The encoding that people call `name`.
pub(super) fn encoding(name: &str) -> Result<Named, String> {
    let encoding = Encoding::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Encoding::ALL.iter().map(|known| known.name()).collect();
        format!("{name:?} is no encoding; there are {}", names.join(", "))
    })?;
    Ok(Named {
        name: name.to_owned(),
        encoding,
    })
}

/// Languages that one word names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Languages(pub Vec<Language>);

/// The language that people call `name`, or all.
pub(super) fn language(name: &str) -> Result<Languages, String> {
    let [_, all @ ..] = Language::ALL;
    match Language::from_name(name) {
        Some(language) => Ok(Languages(vec![language])),
        None if name == "all" => Ok(Languages(all.to_vec())),
        None => {
            let names = all.map(Language::name);
            Err(format!(
                "{name:?} has no table; there are {}, all",
                names.join(", ")
            ))
        }
    }
}

/// The encoding that a file describes.
pub(super) fn table(file: &Path) -> Result<Named, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| {
        Failure::new(
            Code::NoInput,
            codes::INPUT_UNREADABLE,
            format!("{shown}: {e}"),
        )
    })?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let table = Table::parse(&name, &text)
        .map_err(|e| Failure::new(Code::Data, codes::ALPHABET_TABLE, format!("{shown}: {e}")))?;
    Ok(Named {
        name: name.into_owned(),
        // It is needed as long as the process lives.
        encoding: Encoding::Table(Box::leak(Box::new(table))),
    })
}

/// Opens a file of inputs.
pub(super) fn open(file: &str) -> Result<BufReader<File>, Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            Code::NoInput,
            codes::INPUT_UNREADABLE,
            format!("{file}: {error}"),
        )
    };
    let opened = File::open(file).map_err(failed)?;
    if opened.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    Ok(BufReader::new(opened))
}

/// What is wrong with an input in JSON, its place told by the lines of the whole instead of its own.
pub(super) fn placed(text: &str, input: Line<'_>) -> String {
    let place = text.rsplit_once(" at line ").and_then(|(message, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some((message, line.parse::<usize>().ok()?, column))
    });
    match place {
        None => text.to_owned(),
        Some((message, 1, column)) if !input.octets.contains(&b'\n') => {
            format!("{message} at column {column}")
        }
        Some((message, line, column)) => {
            format!(
                "{message} at line {} column {column}",
                input.number + line - 1
            )
        }
    }
}

/// A line as text.
pub(super) fn utf8<'a>(line: Line<'a>) -> Result<&'a str, Fault> {
    if line.cut {
        return Err(fault(
            "line_too_long",
            "the line is longer than is read".into(),
        ));
    }
    str::from_utf8(line.octets).map_err(|error| Fault {
        code: "not_utf8".into(),
        offset: Some(error.valid_up_to()),
        text: "the line is not UTF-8".into(),
    })
}

/// A line that is no JSON object of the form expected.
pub(super) fn bad_json(error: &serde_json::Error, input: Line<'_>) -> Fault {
    Fault {
        code: "bad_json".into(),
        offset: error.column().checked_sub(1),
        text: placed(&error.to_string(), input),
    }
}

/// Something wrong with a whole line.
pub(super) fn fault(code: &'static str, text: String) -> Fault {
    Fault {
        code: code.into(),
        offset: None,
        text,
    }
}
