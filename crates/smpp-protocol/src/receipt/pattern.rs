//! Receipts in a form of one's own, which a regular expression describes.

use std::borrow::Cow;

use regex::Regex;

use super::Receipt;
use crate::MessageState;

/// The groups that a pattern may have: the parts of a receipt by the labels of SMPP 3.4
/// Appendix B.
pub const GROUPS: [&str; 8] = [
    "id",
    "sub",
    "dlvrd",
    "submit_date",
    "done_date",
    "stat",
    "err",
    "text",
];

/// The groups without which no receipt finds its message or says what became of it.
const NEEDED: [&str; 2] = ["id", "stat"];

/// How one SMSC writes its receipts: a regular expression with named groups.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It is no regular expression.
    #[error("no regular expression: {0}")]
    Syntax(String),
    /// It has not the groups that a receipt needs.
    #[error(
        "it has no group {}: write (?<id>...) around what names the message and (?<stat>...) around what says its state",
        .0.join(" and no group ")
    )]
    Missing(Vec<&'static str>),
    /// It has a group that is no part of a receipt.
    #[error("it has a group {name:?}, which is no part of a receipt; there are {}", GROUPS.join(", "))]
    Unknown {
        /// What it is called.
        name: String,
    },
}

impl Pattern {
    /// Reads a pattern in the syntax of the crate `regex`, which takes linear time on any text.
    ///
    /// ```
    /// use smpp_protocol::receipt::Pattern;
    ///
    /// let pattern = Pattern::new(r"^MSG (?<id>\d+) IS (?<stat>\w+)")?;
    /// let receipt = pattern.read("MSG 4711 IS DELIVERED").ok_or("it does not fit")?;
    /// assert_eq!(receipt.id.as_deref(), Some("4711"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(pattern: &str) -> Result<Pattern, BadPattern> {
        let regex = regex::RegexBuilder::new(pattern)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| BadPattern::Syntax(fault(&error)))?;
        let named: Vec<&str> = regex.capture_names().flatten().collect();
        if let Some(unknown) = named.iter().find(|name| !GROUPS.contains(name)) {
            return Err(BadPattern::Unknown {
                name: (*unknown).to_owned(),
            });
        }
        let missing = NEEDED.into_iter().filter(|name| !named.contains(name));
        let missing: Vec<_> = missing.collect();
        match missing.is_empty() {
            true => Ok(Pattern(regex)),
            false => Err(BadPattern::Missing(missing)),
        }
    }

    /// The receipt of a text; `None` if the pattern does not fit it.
    pub fn read<'t>(&self, text: &'t str) -> Option<Receipt<'t>> {
        let found = self.0.captures(text)?;
        let part = |name| found.name(name).map(|group| Cow::Borrowed(group.as_str()));
        let mut receipt = Receipt {
            text_id: part("id"),
            sub: part("sub"),
            dlvrd: part("dlvrd"),
            submit_date: part("submit_date"),
            done_date: part("done_date"),
            stat: part("stat"),
            err: part("err"),
            text: part("text"),
            ..Receipt::default()
        };
        receipt.id = receipt.text_id.clone().filter(|id| !id.is_empty());
        receipt.text_state = receipt.stat.as_deref().and_then(MessageState::from_stat);
        receipt.state = receipt.text_state;
        Some(receipt)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// The crate draws the pattern with a mark below the fault, on lines of their own; what is wrong
/// stands on the last.
fn fault(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_receipt_can_be_a_group() {
        let groups = GROUPS.map(|name| format!("(?<{name}>[^|]*)")).join(r"\|");
        let pattern = Pattern::new(&groups).unwrap();
        let receipt = pattern
            .read("7F|1|1|2601311200|2601311203|UNDELIV|E_NET|hello")
            .unwrap();
        assert_eq!(receipt.id.as_deref(), Some("7F"));
        assert_eq!(receipt.state, Some(MessageState::Undeliverable));
        assert_eq!(receipt.err.as_deref(), Some("E_NET"));
        assert_eq!(receipt.done().unwrap().to_string(), "2026-01-31T12:03:00");
        assert_eq!(receipt.text.as_deref(), Some("hello"));
        assert_eq!(pattern.read("id:7 stat:DELIVRD"), None);
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said() {
        let error = |pattern| Pattern::new(pattern).unwrap_err().to_string();
        assert_eq!(error("(?<id>"), "no regular expression: unclosed group");
        assert!(
            error("(?<id>.)").contains("no group stat:"),
            "{}",
            error("(?<id>.)")
        );
        assert!(error(".").contains("no group id and no group stat"));
        let unknown = error("(?<id>.)(?<stat>.)(?<state>.)");
        assert!(
            unknown.contains("\"state\"") && unknown.contains("done_date"),
            "{unknown}"
        );
        assert!(error(r"(?<id>\w{900}{900})(?<stat>.)").contains("no regular expression"));
    }
}
