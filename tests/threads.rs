//! The table of threads in ARCHITECTURE.md names every thread that the sources name, and no other.

#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

#[test]
fn the_table_of_threads_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("a readable text");
    let table = text.split("\n## Threads\n").nth(1).expect("a section");
    let table = table.split("\n## ").next().unwrap_or_default();
    let row = Regex::new("(?m)^\\| `([a-z-]+)`").expect("a pattern");
    let told: BTreeSet<String> = row.captures_iter(table).map(|c| c[1].to_owned()).collect();

    let named = Regex::new(
        "(?s)threads::start\\(\\s*\"([a-z-]+)\"|Builder::new\\(\\)\\s*\\.name\\(\"([a-z-]+)\"",
    )
    .expect("a pattern");
    let mut found = BTreeSet::new();
    let mut nameless = Vec::new();
    for file in sources(&root.join("src")) {
        let text = std::fs::read_to_string(&file).expect("a readable source");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for name in named.captures_iter(text) {
            let name = name.get(1).or(name.get(2)).map(|name| name.as_str());
            found.extend(name.map(str::to_owned));
        }
        let is_tool = file.components().any(|part| part.as_os_str() == "cli");
        if text.contains("thread::spawn(") || !is_tool && text.contains("scope.spawn(") {
            nameless.push(file);
        }
    }
    assert_eq!(found, told, "in the sources, and in the table");
    assert!(nameless.is_empty(), "threads without a name: {nameless:?}");
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            all.push(path);
        }
    }
    all
}
