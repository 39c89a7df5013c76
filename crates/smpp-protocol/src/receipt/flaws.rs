//! What is odd about a receipt, for whoever has to talk to the SMSC's operator.
//!
//! Nothing here keeps a receipt from being read: [`Receipt`] takes what it can.

use std::fmt;

use super::Receipt;
use super::scan::LABELS;
use crate::message_id::Pairing;

/// One oddity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw<'a> {
    /// What kind.
    pub kind: FlawKind,
    /// Which octet of the text it is about, where it is about one.
    pub offset: Option<usize>,
    /// The label or value, as written.
    pub what: &'a str,
}

/// Kinds of oddities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlawKind {
    /// Nothing in it tells of a message's fate.
    NotAReceipt,
    /// A label that is almost one of SMPP 3.4 Appendix B.
    MisspeltLabel,
    /// No id, neither in the text nor in receipted_message_id.
    MissingId,
    /// No state, neither in the text nor in message_state, and words that are no label's.
    MissingStat,
    /// No state, neither in the text nor in message_state.
    MissingState,
    /// A submit date without a done date.
    MissingDoneDate,
    /// A date that cannot be read. All zeros and nothing at all mean no date and are none.
    UnreadableDate,
    /// A state that is none of the specification's, nor one that the SMSC is known for.
    UnknownStat,
    /// The TLVs name another state than the text.
    StateDisagrees,
    /// receipted_message_id is another id than the text has, also when both are compared as the
    /// SMSC's ids are.
    IdDisagrees,
}

impl FlawKind {
    /// The name by which programs know it.
    pub const fn code(self) -> &'static str {
        match self {
            FlawKind::NotAReceipt => "not_a_receipt",
            FlawKind::MisspeltLabel => "misspelt_label",
            FlawKind::MissingId => "missing_id",
            FlawKind::MissingStat => "missing_stat",
            FlawKind::MissingState => "missing_state",
            FlawKind::MissingDoneDate => "missing_done_date",
            FlawKind::UnreadableDate => "unreadable_date",
            FlawKind::UnknownStat => "unknown_stat",
            FlawKind::StateDisagrees => "state_disagrees",
            FlawKind::IdDisagrees => "id_disagrees",
        }
    }

    /// Whether something is lost by it, and not only unusual.
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            FlawKind::NotAReceipt
                | FlawKind::MisspeltLabel
                | FlawKind::MissingStat
                | FlawKind::MissingDoneDate
        )
    }
}

impl fmt::Display for Flaw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        match self.kind {
            FlawKind::NotAReceipt => write!(f, "nothing in it tells of a message's fate"),
            FlawKind::MisspeltLabel => write!(f, "{what}: is no label of Appendix B, but almost"),
            FlawKind::MissingId => write!(f, "it does not say of which message it is"),
            FlawKind::MissingStat | FlawKind::MissingState => {
                write!(f, "it does not say what became of the message")
            }
            FlawKind::MissingDoneDate => write!(f, "submit date is there, done date is not"),
            FlawKind::UnreadableDate => write!(f, "{what:?} is no date"),
            FlawKind::UnknownStat => write!(f, "{what:?} is no state of Appendix B"),
            FlawKind::StateDisagrees => {
                write!(f, "stat:{what} is another state than message_state")
            }
            FlawKind::IdDisagrees => write!(
                f,
                "id:{what} is another id than receipted_message_id, by which the receipt is looked \
                 for; message_id of the ESME says how both are compared"
            ),
        }
    }
}

/// What is odd about a receipt and its text, in the order of the text.
pub(super) fn flaws<'r>(receipt: &'r Receipt<'_>, text: &'r str, ids: &Pairing) -> Vec<Flaw<'r>> {
    let mut found = Vec::new();
    let mut note = |kind, offset, what| found.push(Flaw { kind, offset, what });
    let misspelt: Vec<_> = misspelt(receipt, text).collect();
    if receipt.is_empty() {
        note(FlawKind::NotAReceipt, None, "");
        return found;
    }
    for (offset, label) in &misspelt {
        note(FlawKind::MisspeltLabel, Some(*offset), *label);
    }
    if receipt.id.is_none() {
        note(FlawKind::MissingId, None, "");
    }
    if !ids.is_one(receipt) {
        let id = receipt.text_id.as_deref().unwrap_or_default();
        note(FlawKind::IdDisagrees, offset_in(text, id), id);
    }
    let said = receipt.stat.as_deref().filter(|stat| !stat.is_empty());
    let stray = text
        .split_whitespace()
        .any(|word| !word.contains([':', '=']));
    if said.is_none() && receipt.state.is_none() {
        let kind = match stray && receipt.text_id.is_some() {
            true => FlawKind::MissingStat,
            false => FlawKind::MissingState,
        };
        note(kind, None, "");
    }
    if receipt.submit_date.is_some() && receipt.done_date.is_none() {
        note(FlawKind::MissingDoneDate, None, "");
    }
    let dates = [
        (&receipt.submit_date, receipt.submitted()),
        (&receipt.done_date, receipt.done()),
    ];
    for (written, read) in dates {
        let written = written.as_deref().unwrap_or_default();
        if read.is_none() && written.bytes().any(|octet| octet != b'0') {
            note(FlawKind::UnreadableDate, offset_in(text, written), written);
        }
    }
    if let Some(stat) = said {
        // What the configuration names is known.
        if receipt.text_state.is_none() {
            note(FlawKind::UnknownStat, offset_in(text, stat), stat);
        } else if receipt.text_state != receipt.state {
            note(FlawKind::StateDisagrees, offset_in(text, stat), stat);
        }
    }
    found
}

/// Labels before `text:` that look like a label that is missing.
fn misspelt<'t>(
    receipt: &Receipt<'_>,
    text: &'t str,
) -> impl Iterator<Item = (usize, &'t str)> + use<'t> {
    let missing: Vec<&[&str]> = LABELS
        .iter()
        .filter(|(label, _)| !label.is_in(receipt))
        .map(|(_, words)| *words)
        .collect();
    let end = receipt.text.as_ref().map_or(text.len(), |message| {
        text.len().saturating_sub(message.len())
    });
    let before = text.get(..end).unwrap_or(text);
    let mut previous = None;
    let words = before.split_whitespace().map(move |word| {
        let at = word.as_ptr().addr() - text.as_ptr().addr();
        (previous.replace((at, word)), at, word)
    });
    words.filter_map(move |(previous, at, word)| {
        let (label, _) = word.split_once([':', '='])?;
        let is_label = LABELS.iter().any(|(_, words)| is_one_word(words, label));
        // The first word of a label of two stands before it, behind no colon.
        let first = previous.filter(|(_, word)| !word.contains([':', '=']));
        missing.iter().find_map(|words| match (*words, first) {
            ([known], _) => (!is_label && is_like(label, known)).then_some((at, label)),
            (_, Some((start, _))) if is_like_both(text.get(start..at + label.len())?, words) => {
                Some((start, text.get(start..at + label.len())?))
            }
            ([first, _], _) => {
                (!is_label && label.eq_ignore_ascii_case(first)).then_some((at, label))
            }
            _ => None,
        })
    })
}

fn is_one_word(words: &[&str], label: &str) -> bool {
    matches!(words, [word] if word.eq_ignore_ascii_case(label))
}

/// One letter wrong, missing, too much or out of place, of long words two; or a longer word, as
/// `status` is for `stat`.
fn is_like(label: &str, known: &str) -> bool {
    let label = label.to_ascii_lowercase();
    let apart = strsim::osa_distance(&label, known);
    let may = if known.len() > 4 { 2 } else { 1 };
    (1..=may).contains(&apart)
        || known.len() > 2 && label.len() > known.len() && label.starts_with(known)
}

/// A label of two words: one letter apart in all, or with another first word.
fn is_like_both(label: &str, words: &[&str]) -> bool {
    let mut own = label.split_whitespace();
    let (Some(first), Some(second), [known, date]) = (own.next(), own.next(), words) else {
        return false;
    };
    let both = format!("{first} {second}").to_ascii_lowercase();
    let apart = strsim::osa_distance(&both, &format!("{known} {date}"));
    let begins = first
        .to_ascii_lowercase()
        .starts_with(known.get(..1).unwrap_or_default());
    apart == 1 || second.eq_ignore_ascii_case(date) && begins && apart > 1
}

/// Where the value first stands in the text.
fn offset_in(text: &str, value: &str) -> Option<usize> {
    text.find(value)
}
