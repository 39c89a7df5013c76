//! The texts of this repository: links between them lead somewhere, to a file that is there and to
//! a heading that it has (links to other places are not followed), files, folders and tests that they
//! name are there, and every field of an event is told.

#![allow(clippy::expect_used)]

#[path = "texts/fields.rs"]
mod fields;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What a text links to, the anchors of its headings, and what it has in backticks.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
    code: Vec<String>,
}

impl Page {
    fn read(text: &str) -> Page {
        let mut page = Page::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Code(text) if heading.is_none() => page.code.push(text.into_string()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    page.anchors.insert(anchor);
                }
                _ => {}
            }
        }
        page
    }
}

/// The name that a heading has in links, as the usual hosts make it.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
            _ => None,
        })
        .collect()
}

/// The paths of all files that belong to the repository.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("git lists the files");
    let names = String::from_utf8(listed.stdout).expect("names in UTF-8");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    names
        .split_terminator('\0')
        .filter(|name| root.join(name).exists())
        .map(str::to_owned)
        .collect()
}

/// All texts that belong to the repository.
fn texts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = files().into_iter().filter(|name| name.ends_with(".md"));
    texts.map(|name| root.join(name)).collect()
}

fn read(file: &Path) -> Page {
    Page::read(&std::fs::read_to_string(file).expect("a readable text"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut followed = 0;
    for file in texts() {
        for link in read(&file).links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().expect("a folder").join(path)
            };
            let fault = if !target.exists() {
                "there is no such file"
            } else if !anchor.is_empty() && !read(&target).anchors.contains(anchor) {
                "it has no such heading"
            } else {
                continue;
            };
            wrong.push(format!("{}: {link}: {fault}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(followed > 10, "only {followed} links found");
}

#[test]
fn every_page_is_in_the_summary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = read(&root.join("docs/SUMMARY.md")).links;
    let pages = files().into_iter().filter_map(|name| {
        let page = name.strip_prefix("docs/")?;
        (page.ends_with(".md") && page != "SUMMARY.md").then(|| page.to_owned())
    });
    let pages: Vec<String> = pages.collect();
    let forgotten: Vec<_> = pages.iter().filter(|page| !links.contains(page)).collect();
    assert!(
        forgotten.is_empty(),
        "docs/SUMMARY.md has no link to {forgotten:#?}"
    );
    let twice: BTreeSet<_> = links.iter().collect();
    assert_eq!(links.len(), twice.len(), "a page stands there twice");
    assert!(pages.len() > 30, "only {} pages found", pages.len());
}

#[test]
fn every_row_of_the_failure_matrix_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/guarantees.md")).expect("a readable text");
    let sources = files().into_iter().filter(|name| name.ends_with(".rs"));
    let code: String = sources
        .map(|name| std::fs::read_to_string(root.join(name)).expect("a readable source"))
        .collect();
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let shown_by = cells.last().copied().unwrap_or_default();
        if shown_by == "shown by" {
            continue;
        }
        rows += 1;
        let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        let is_there = |name: &&str| code.contains(&format!("fn {name}("));
        if names.is_empty() || !names.iter().all(is_there) {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "no such test: {wrong:#?}");
    assert!(rows > 30, "only {rows} rows found");
}

#[test]
fn headings_are_called_in_links_as_hosts_call_them() {
    let page = Page::read("# What `submit_sm` does, and why\n\n[to it](#x) ![a](b.png)\n");
    assert_eq!(page.links, ["#x", "b.png"]);
    assert!(page.anchors.contains("what-submit_sm-does-and-why"));
}

#[test]
fn every_file_that_is_named_is_there() {
    // Those that other paths begin with: a file's name may be the end of its path.
    const FOLDERS: [&str; 6] = ["src/", "crates/", "tests/", "docs/", "schemas/", "fuzz/"];
    let files = files();
    let is_path = |code: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        let begins = FOLDERS.iter().any(|folder| code.starts_with(folder));
        // In capitals stands what the reader puts in.
        let placeholder = code.contains("NAME") || code.contains("KIND");
        code.chars().all(plain) && (begins || code.ends_with(".rs")) && !placeholder
    };
    let is_there = |path: &str| {
        let (end, folder) = (
            format!("/{path}"),
            format!("{}/", path.trim_end_matches('/')),
        );
        files
            .iter()
            .any(|file| file == path || file.ends_with(&end) || file.starts_with(&folder))
    };
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for text in texts() {
        for path in read(&text).code.iter().filter(|code| is_path(code)) {
            seen += 1;
            if !is_there(path) {
                wrong.push(format!("{}: {path}", text.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "there is no such file: {wrong:#?}");
    assert!(seen > 50, "only {seen} paths found");
}

#[test]
fn the_architecture_says_of_every_folder_what_belongs_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("a readable text");
    let (_, table) = text
        .split_once("## Where a line belongs")
        .expect("that section");
    let (table, _) = table.split_once("\n## ").expect("another section");
    let folders: BTreeSet<String> = files()
        .iter()
        .filter_map(|file| {
            let (top, rest) = file.split_once('/')?;
            let name = rest.split('/').next()?;
            let meant = ["src", "crates"].contains(&top) && !["lib.rs", "main.rs"].contains(&name);
            meant.then(|| format!("{top}/{name}"))
        })
        .collect();
    // A module is one file, or a file and a folder.
    let told = |name: &String| {
        let module = name.trim_end_matches(".rs");
        [name, module, &format!("{module}.rs")]
            .iter()
            .any(|name| table.contains(&format!("`{name}`")))
    };
    let untold: Vec<_> = folders.iter().filter(|name| !told(name)).collect();
    assert!(untold.is_empty(), "nothing is said of {untold:?}");
    assert!(folders.len() > 12, "only {folders:?} found");
}

#[test]
fn every_test_that_is_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = files().into_iter().filter(|name| name.ends_with(".rs"));
    let code: String = sources
        .map(|name| std::fs::read_to_string(root.join(name)).expect("a readable source"))
        .collect();
    // No other name is so long.
    let is_test = |name: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let metric = name.starts_with("kafka_smpp_");
        name.chars().all(plain)
            && !metric
            && !name.starts_with('_')
            && name.matches('_').count() > 4
    };
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for text in texts() {
        for name in read(&text).code.iter().filter(|code| is_test(code)) {
            seen += 1;
            if !code.contains(&format!("fn {name}(")) {
                wrong.push(format!("{}: {name}", text.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "there is no such test: {wrong:#?}");
    assert!(seen > 10, "only {seen} tests found");
}

/// A field of a schema: the record that it belongs to, its name, and its name in JSON.
type Field = (String, String, String);

/// All fields of a schema.
fn fields(schema: &serde_json::Value, into: &mut Vec<Field>) {
    if let (Some(record), Some(all)) = (schema["name"].as_str(), schema["fields"].as_array()) {
        for field in all {
            let name = field["name"].as_str().expect("a name");
            let in_json = field["aliases"][0].as_str().unwrap_or(name);
            into.push((record.to_owned(), name.to_owned(), in_json.to_owned()));
            fields(&field["type"], into);
        }
    } else if let Some(all) = schema.as_array() {
        all.iter().for_each(|schema| fields(schema, into));
    } else if let Some(all) = schema.as_object() {
        all.values().for_each(|schema| fields(schema, into));
    }
}

/// What a text says of `record`: below each heading that names it in backticks, below those under
/// it, and at the beginning of the section that it is in.
fn section(text: &str, record: &str) -> String {
    let level = |line: &str| line.bytes().take_while(|octet| *octet == b'#').count();
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        match sections.last_mut() {
            Some((_, lines)) if level(line) == 0 => lines.push(line),
            _ => sections.push((line, Vec::new())),
        }
    }
    let name = format!("`{record}`");
    let mut said: Vec<&str> = Vec::new();
    for (at, (heading, lines)) in sections.iter().enumerate() {
        if !heading.contains(&name) {
            continue;
        }
        let is_deeper = |other: &&(&str, Vec<&str>)| level(other.0) > level(heading);
        let around = |other: &&(&str, Vec<&str>)| (2..level(heading)).contains(&level(other.0));
        let around = sections[..at].iter().rev().find(around);
        let below = sections[at + 1..].iter().take_while(is_deeper);
        said.extend(around.into_iter().flat_map(|(_, lines)| lines));
        said.extend(lines);
        said.extend(below.flat_map(|(_, lines)| lines));
    }
    said.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_section_has_what_is_said_of_its_record_and_of_all_beside_it() {
    let text =
        "# T\n## All\nof all\n### `A`\nof a\n### `B`\nof b\n## `C`\nof c\n### More\nof c, too\n";
    assert_eq!(section(text, "A"), "of all\nof a\n");
    assert_eq!(section(text, "C"), "of c\nof c, too\n");
}

#[test]
fn every_field_of_an_event_is_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/records.md")).expect("a readable text");
    let mut untold = Vec::new();
    for event in [
        "SubmitSmResp",
        "SendError",
        "DeliveryReceipt",
        "InboundSms",
        "Notification",
    ] {
        let file = root.join("schemas").join(event).with_extension("avsc");
        let schema = std::fs::read_to_string(file).expect("a readable schema");
        let mut all = Vec::new();
        fields(&serde_json::from_str(&schema).expect("a schema"), &mut all);
        assert!(all.len() > 10, "{event} has only {} fields", all.len());
        // A value of several fields may have a section of its own.
        let told = |(record, name, in_json): &Field| {
            let text = section(&text, event) + &section(&text, record);
            let has = |name: &str| {
                text.contains(&format!("`{name}`")) || text.contains(&format!("\"{name}\""))
            };
            has(name) || has(in_json)
        };
        all.retain(|field| !told(field));
        untold.extend(all.into_iter().map(|(of, field, _)| (event, of, field)));
    }
    assert!(
        untold.is_empty(),
        "docs/records.md does not tell, in the section of the record, of {untold:#?}"
    );
}

/// Sources of this repository.
fn sources() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "src", "crates/*/src"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("git lists the sources");
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    names
        .lines()
        .filter(|name| name.ends_with(".rs"))
        .map(|name| root.join(name))
        .filter(|file| file.exists())
        .collect()
}

#[test]
fn every_line_of_the_log_is_declared_in_a_table() {
    let mut loose = Vec::new();
    for file in sources() {
        let text = std::fs::read_to_string(&file).expect("a source reads");
        for (number, line) in text.lines().enumerate() {
            let said = ["warn!(", "error!(", "info!("];
            if said.iter().any(|said| line.contains(said)) && !line.trim().starts_with("//") {
                loose.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    assert!(
        loose.is_empty(),
        "a line at info or above is declared in the `notices` module of its part:\n{}",
        loose.join("\n")
    );
}
