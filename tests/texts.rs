//! The texts of this repository: links between them lead somewhere, to a file that is there and to
//! a heading that it has (links to other places are not followed), and every field of an event is
//! told.

#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What a text links to, and the anchors of its headings.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
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

/// All texts that belong to the repository.
fn texts() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others"])
        .args(["--exclude-standard", "*.md"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("git lists the files");
    let names = String::from_utf8(listed.stdout).expect("names in UTF-8");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    names
        .split_terminator('\0')
        .map(|name| root.join(name))
        .collect()
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
fn headings_are_called_in_links_as_hosts_call_them() {
    let page = Page::read("# What `submit_sm` does, and why\n\n[to it](#x) ![a](b.png)\n");
    assert_eq!(page.links, ["#x", "b.png"]);
    assert!(page.anchors.contains("what-submit_sm-does-and-why"));
}

/// The names of all fields of a schema, with the record each belongs to.
fn fields(schema: &serde_json::Value, into: &mut Vec<(String, String)>) {
    if let (Some(record), Some(all)) = (schema["name"].as_str(), schema["fields"].as_array()) {
        for field in all {
            let name = field["name"].as_str().expect("a name");
            into.push((record.to_owned(), name.to_owned()));
            fields(&field["type"], into);
        }
    } else if let Some(all) = schema.as_array() {
        all.iter().for_each(|schema| fields(schema, into));
    } else if let Some(all) = schema.as_object() {
        all.values().for_each(|schema| fields(schema, into));
    }
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
        let told = |field: &str| {
            let forms = [format!("`{field}`"), format!("\"{field}\"")];
            forms.iter().any(|form| text.contains(form))
        };
        all.retain(|(_, field)| !told(field));
        untold.extend(all);
    }
    assert!(
        untold.is_empty(),
        "docs/records.md does not tell of {untold:?}"
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
