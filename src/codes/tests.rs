use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use super::*;

const HEAD: &str = "\
# Error codes

Everything that goes wrong and that a person gets to see has a code: what ends a command
(`error[KS-1204]: ...`), each fault of a configuration (`[KS-1204] line 7: ...`), each line of the log
at `warn` and `error` (its field `error_code`), and the kinds of `SendError`. A code stands for what is
to be done, so several errors with the same remedy have one, and it never changes its meaning.
`kafka-smpp explain KS-1204` prints the page of a code.

Made from the table that the program has (`MAKE_DOCS=1 cargo test --lib codes`); what the log says,
line by line, is in [docs/log.md](../log.md).
";

fn index() -> String {
    let mut index = HEAD.to_owned();
    for part in PARTS {
        let (first, last) = (part.numbers.start(), part.numbers.end());
        let _ = write!(index, "\n## KS-{first} to KS-{last}: {}\n\n", part.about);
        index.push_str("| code | what it is |\n|---|---|\n");
        for page in part.pages {
            let (code, title) = (page.code, page.title());
            let _ = writeln!(index, "| [{code}]({code}.md) | {title} |");
        }
    }
    index
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors"))
}

#[test]
fn the_index_is_current() {
    let file = folder().join("README.md");
    if std::env::var_os("MAKE_DOCS").is_some() {
        std::fs::write(&file, index()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == index(),
        "docs/errors/README.md is not what the table says: MAKE_DOCS=1 cargo test --lib codes"
    );
}

/// The pages of all codes, as `docs/SUMMARY.md` lists them below their index.
fn in_summary() -> String {
    let pages = PARTS.iter().flat_map(|part| part.pages.iter());
    let line = |page: &Page| {
        let title = page.title().replace(['[', ']'], "");
        format!("  - [{}: {title}](errors/{}.md)\n", page.code, page.code)
    };
    pages.map(line).collect()
}

#[test]
fn the_summary_lists_every_code() {
    const INDEX: &str = "- [Error codes](errors/README.md)\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/SUMMARY.md");
    let written = std::fs::read_to_string(file).unwrap();
    let (before, rest) = written.split_once(INDEX).expect("the index");
    let (listed, after) = rest.split_once("\n\n").expect("the end of the list");
    if std::env::var_os("MAKE_DOCS").is_some() {
        let anew = format!("{before}{INDEX}{}\n{after}", in_summary());
        std::fs::write(file, anew).unwrap();
        return;
    }
    assert!(
        format!("{listed}\n") == in_summary(),
        "docs/SUMMARY.md does not list the codes: MAKE_DOCS=1 cargo test --lib codes"
    );
}

/// What stands below the three headings.
fn sections(page: &Page) -> Option<[&'static str; 3]> {
    let begin = format!("# {}: {}\n\n## What happened\n\n", page.code, page.title());
    let rest = page.text.strip_prefix(&begin)?.strip_suffix('\n')?;
    let (happened, rest) = rest.split_once("\n\n## What is affected\n\n")?;
    let (affected, to_do) = rest.split_once("\n\n## What to do\n\n")?;
    Some([happened, affected, to_do])
}

#[test]
fn every_page_says_what_happened_what_is_affected_and_what_to_do() {
    for page in pages() {
        let sections = sections(page);
        assert!(sections.is_some(), "{}: {}", page.code, page.text);
        for section in sections.into_iter().flatten() {
            assert!(section.trim().len() > 20, "{}: {section:?}", page.code);
            assert!(!section.contains("\n#"), "{}: {section}", page.code);
        }
    }
}

#[test]
fn no_two_codes_are_called_alike() {
    let mut titles = BTreeSet::new();
    for page in pages() {
        assert!(
            titles.insert(page.title()),
            "{}: {}",
            page.code,
            page.title()
        );
    }
}

#[test]
fn every_page_is_in_the_table() {
    let known: BTreeSet<String> = pages().map(|page| format!("{}.md", page.code)).collect();
    let files = std::fs::read_dir(folder()).unwrap();
    let files: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    assert_eq!(files, known);
}

#[test]
fn a_code_that_a_page_names_is_there() {
    for page in pages() {
        for (at, _) in page.text.match_indices("KS-") {
            let code: String = page.text[at..].chars().take(7).collect();
            assert!(find(&code).is_ok(), "{} names {code}", page.code);
        }
    }
}

/// Those of this crate are used because the compiler says so; those of our other crates are here.
#[test]
fn every_line_of_the_log_has_a_code_of_the_table_and_every_code_a_use() {
    let lines = crate::notices::all();
    let mut used: BTreeSet<ErrorCode> = lines.filter_map(|line| line.code).collect();
    used.extend(smpp_esme::ERROR_CODES);
    for code in &used {
        assert!(pages().any(|page| page.code == *code), "{code} has no page");
    }
    for page in pages().filter(|page| page.elsewhere) {
        assert!(used.contains(&page.code), "nothing uses {}", page.code);
    }
}

#[test]
fn numbers_out_of_order_or_range_are_seen() {
    const fn page(number: u16) -> Page {
        Page {
            number,
            elsewhere: false,
            code: USAGE,
            text: "",
        }
    }
    const fn part(first: u16, last: u16, pages: &'static [Page]) -> Part {
        Part {
            about: "",
            numbers: RangeInclusive::new(first, last),
            pages,
        }
    }
    let one = |pages| is_in_order(&[part(10, 19, pages)]);
    assert!(one(const { &[page(10), page(19)] }));
    assert!(!one(const { &[page(10), page(10)] }), "twice");
    assert!(!one(const { &[page(11), page(10)] }), "out of order");
    assert!(!one(const { &[page(9)] }), "below its range");
    assert!(!one(const { &[page(20)] }), "above its range");
    const TWO: &[Part] = &[part(10, 19, &[page(12)]), part(10, 19, &[page(11)])];
    assert!(!is_in_order(TWO), "ranges overlap");
}

#[test]
fn a_code_is_found_as_people_write_it() {
    for word in ["KS-1201", "ks-1201", "1201", "KS1201", " KS_1201 "] {
        assert_eq!(
            find(word).ok().map(|page| page.code),
            Some(OUT_OF_RANGE),
            "{word}"
        );
    }
    for (word, nearest) in [
        ("KS-1191", FILE_MISSING),
        ("KS-3O01", KAFKA_DENIED),
        ("KS-9104", SIMULATOR_MESSAGE),
        ("", USAGE),
    ] {
        let near = find(word).map_err(|page| page.code);
        assert_eq!(near.map(|page| page.code), Err(nearest), "{word}");
    }
}
