//! Links between the texts of this repository lead somewhere: to a file that is there, and to a
//! heading that it has. Links to other places are not followed.

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
