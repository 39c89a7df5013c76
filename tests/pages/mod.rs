//! The code on the pages of this repository, and the commands in it: for the tests that hold them to
//! what they say.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// How blocks of a shell's lines are marked.
pub const SHELL: &[&str] = &["sh", "console", "bash", "shell"];

/// A piece of code on a page.
pub struct Code {
    /// Where it stands.
    pub page: String,
    /// The language of a block; `None` of what stands in a line.
    pub language: Option<String>,
    /// What it says.
    pub text: String,
}

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages but the changelog, which tells of what was, too.
fn pages() -> Vec<PathBuf> {
    fn within(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                within(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for folder in ["docs", "deploy", "examples"] {
        within(&root().join(folder), &mut found);
    }
    found.retain(|path| {
        !path
            .components()
            .any(|part| part.as_os_str() == "node_modules")
    });
    found.sort();
    found
}

/// All code of all pages.
pub fn code() -> Vec<Code> {
    let mut found = Vec::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        let page = path.strip_prefix(root()).unwrap().display().to_string();
        let mut block: Option<(String, String)> = None;
        for event in Parser::new_ext(&text, pulldown_cmark::Options::ENABLE_TABLES) {
            let (language, text) = match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    block = Some((language.into_string(), String::new()));
                    continue;
                }
                Event::Text(line) => {
                    if let Some((_, text)) = &mut block {
                        text.push_str(&line);
                    }
                    continue;
                }
                Event::End(TagEnd::CodeBlock) => match block.take() {
                    Some((language, text)) => (Some(language), text),
                    None => continue,
                },
                Event::Code(text) => (None, text.into_string()),
                _ => continue,
            };
            let page = page.clone();
            found.push(Code {
                page,
                language,
                text,
            });
        }
    }
    found
}

/// The blocks in one of these languages.
pub fn blocks(languages: &[&str]) -> Vec<Code> {
    let is_meant = |code: &Code| {
        let language = code.language.as_deref();
        language.is_some_and(|language| languages.contains(&language))
    };
    code().into_iter().filter(is_meant).collect()
}

/// The commands of a shell's lines, each with its words: what is in quotes is one, comments and
/// where output goes are left out.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let (mut quote, mut comment, mut redirected) = (None, false, false);
    let joined = text.replace("\\\n", " ") + "\n";
    for character in joined.chars() {
        if comment {
            comment = character != '\n';
            if comment {
                continue;
            }
        }
        match (quote, character) {
            (Some(end), character) if character == end => quote = None,
            (Some(_), character) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => comment = true,
            (None, ' ' | '\n' | '|' | '&' | ';' | '>' | '<') => {
                if let Some(word) = word.take()
                    && !std::mem::take(&mut redirected)
                {
                    words.push(word);
                }
                redirected |= matches!(character, '>' | '<');
                if matches!(character, '\n' | '|' | '&' | ';') && !words.is_empty() {
                    all.push(std::mem::take(&mut words));
                }
            }
            (None, character) => word.get_or_insert_default().push(character),
        }
    }
    all
}

/// Variables of the environment, and what they are set to.
type Variables = Vec<(String, String)>;

/// What the program is started with, and the variables before it; `None` if another program is meant.
pub fn ours(words: &[String]) -> Option<(Variables, &[String])> {
    let variable = |word: &String| {
        let (name, value) = word.split_once('=')?;
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        (!name.is_empty() && name.chars().all(is_name)).then(|| (name.to_owned(), value.to_owned()))
    };
    let variables: Vec<_> = words.iter().map_while(variable).collect();
    let words = &words[variables.len()..];
    let begins: [&[&str]; 3] = [
        &["kafka-smpp"],
        &["docker", "compose", "exec", "connector", "kafka-smpp"],
        &["cargo", "run", "--"],
    ];
    let begin = begins.into_iter().find(|begin| {
        words.len() >= begin.len() && words.iter().zip(*begin).all(|(word, begin)| word == begin)
    })?;
    Some((variables, &words[begin.len()..]))
}
