//! Finds the labels of a receipt's text, wherever they are.

use std::borrow::Cow;

use super::Receipt;
use super::when::UTC;
use crate::state::MessageState;

/// The labels of SMPP 3.4 Appendix B, each as its words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Id,
    Sub,
    Dlvrd,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
    Text,
}

pub(super) const LABELS: [(Label, &[&str]); 8] = [
    (Label::Id, &["id"]),
    (Label::Sub, &["sub"]),
    (Label::Dlvrd, &["dlvrd"]),
    (Label::SubmitDate, &["submit", "date"]),
    (Label::DoneDate, &["done", "date"]),
    (Label::Stat, &["stat"]),
    (Label::Err, &["err"]),
    (Label::Text, &["text"]),
];

impl Label {
    /// Whether the receipt has it.
    pub(super) fn is_in(self, receipt: &Receipt<'_>) -> bool {
        let part = match self {
            Label::Id => &receipt.text_id,
            Label::Sub => &receipt.sub,
            Label::Dlvrd => &receipt.dlvrd,
            Label::SubmitDate => &receipt.submit_date,
            Label::DoneDate => &receipt.done_date,
            Label::Stat => &receipt.stat,
            Label::Err => &receipt.err,
            Label::Text => &receipt.text,
        };
        part.is_some()
    }
}

/// Reads every label; of a repeated one the first.
///
/// What follows `text:` belongs to the message, which may contain anything, labels too; only when
/// `id:` or `stat:` is missing before it, the rest is searched for what is missing.
///
/// An operator may put something of its own before a receipt (`XMS=id:86`, `4790^id:86`). Signs
/// that may also belong to an id or a name (`a-id:86`, `86id:86`) let `id:` begin only in a receipt
/// that has no other.
pub(super) fn scan(text: &str) -> Receipt<'_> {
    let mut receipt = labelled(text, None);
    receipt.id = receipt.text_id.clone().filter(|id| !id.is_empty());
    receipt.text_state = receipt.stat.as_deref().and_then(MessageState::from_stat);
    receipt.state = receipt.text_state;
    receipt
}

/// The id that [`scan`] finds, read no further than to it; `None` if all must be read to know it.
pub(super) fn id(text: &str) -> Option<Cow<'_, str>> {
    let id = labelled(text, Some(Label::Id)).text_id;
    id.filter(|id| !id.is_empty())
}

/// Takes the `id:` that stands right behind a sign or a digit, if it is a receipt without another.
fn take_glued_id<'a>(before: &'a str, receipt: &mut Receipt<'a>) {
    if receipt.text_id.is_some() || receipt.stat.is_none() {
        return;
    }
    let starts = before.char_indices().zip(before.char_indices().skip(1));
    let mut ids = starts.filter_map(|((_, previous), (at, _))| {
        let (label, after) = label(&before[at..]).filter(|_| !previous.is_alphabetic())?;
        (label == Label::Id).then(|| take_value(after).0)
    });
    receipt.text_id = ids.next().map(Cow::Borrowed);
}

/// What labels say, up to the first `last`, or all.
fn labelled(text: &str, last: Option<Label>) -> Receipt<'_> {
    let mut receipt = Receipt::default();
    let mut rest = text;
    let mut at_boundary = true;
    while let Some(next) = rest.chars().next() {
        let Some((label, after)) = at_boundary.then(|| label(rest)).flatten() else {
            at_boundary = is_boundary(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        if label == Label::Text {
            if receipt.text.is_none() {
                take_glued_id(&text[..text.len() - rest.len()], &mut receipt);
            }
            receipt.text.get_or_insert(Cow::Borrowed(after));
            if receipt.text_id.is_some() && receipt.stat.is_some() {
                break;
            }
            (rest, at_boundary) = (after, true);
            continue;
        }
        let value;
        (value, rest) = match label {
            Label::SubmitDate | Label::DoneDate => take_date(after),
            _ => take_value(after),
        };
        at_boundary = true;
        if let Some(slot) = slot(&mut receipt, label) {
            slot.get_or_insert(Cow::Borrowed(value));
        }
        if last == Some(label) {
            return receipt;
        }
    }
    if receipt.text.is_none() {
        take_glued_id(text, &mut receipt);
    }
    receipt
}

fn slot<'r, 'a>(
    receipt: &'r mut Receipt<'a>,
    label: Label,
) -> Option<&'r mut Option<Cow<'a, str>>> {
    Some(match label {
        Label::Id => &mut receipt.text_id,
        Label::Sub => &mut receipt.sub,
        Label::Dlvrd => &mut receipt.dlvrd,
        Label::SubmitDate => &mut receipt.submit_date,
        Label::DoneDate => &mut receipt.done_date,
        Label::Stat => &mut receipt.stat,
        Label::Err => &mut receipt.err,
        Label::Text => return None,
    })
}

/// What may stand before a label: a sign, but none that ids and names are made of. The byte order
/// mark of a text in UCS-2 is such a sign.
fn is_boundary(character: char) -> bool {
    let of_ids = matches!(character, '-' | '_' | '.' | ':' | '@');
    !of_ids && !character.is_alphanumeric()
}

fn is_gap(character: char) -> bool {
    character.is_whitespace() || matches!(character, '_' | '-')
}

/// The label at the beginning, and what follows its colon.
fn label(text: &str) -> Option<(Label, &str)> {
    // Asked at each word of each receipt: of most it is the first letter that tells.
    let first = text.as_bytes().first()?.to_ascii_lowercase();
    let begins = |(_, words): &&(Label, &[&str])| words[0].as_bytes()[0] == first;
    LABELS.iter().filter(begins).find_map(|(label, words)| {
        let mut rest = text;
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                rest = rest.trim_start_matches(is_gap);
            }
            let start = rest.get(..word.len())?;
            rest = start
                .eq_ignore_ascii_case(word)
                .then(|| &rest[word.len()..])?;
        }
        let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t' | b'"');
        let blanks = rest.bytes().take_while(is_blank).count();
        let is_end = matches!(rest.as_bytes().get(blanks), Some(b':' | b'='));
        is_end.then(|| (*label, &rest[blanks + 1..]))
    })
}

/// A date, and what follows it. A time or a zone may stand apart from it, and the next label may
/// stand right behind it.
fn take_date(text: &str) -> (&str, &str) {
    // It is looked for on the way to the end: else a text of nothing but dates that stand together
    // would be read to its end for each of them.
    let is_glued = |c: char, here: &str| c.is_ascii_alphabetic() && label(here).is_some();
    let (value, rest) = take_value_until(text, is_glued);
    // What is quoted does not lie at the end of what was taken.
    let taken = text.len() - rest.len();
    let Some(start) = taken
        .checked_sub(value.len())
        .filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(value)))
    else {
        return (value, rest);
    };
    let mut end = start + value.len();
    if value.contains(['-', '/', '.']) {
        end += apart(&text[end..], |next| {
            next.contains(':') && next.starts_with(|c: char| c.is_ascii_digit())
        });
    }
    if !value.is_empty() {
        end += apart(&text[end..], is_zone);
    }
    match end > start + value.len() {
        true => (&text[start..end], &text[end..]),
        false => (value, rest),
    }
}

/// How many octets a space and the word behind it take, if that is such a word.
fn apart(rest: &str, is_such: fn(&str) -> bool) -> usize {
    let next = rest.strip_prefix(' ').unwrap_or_default();
    let next = next.split(char::is_whitespace).next().unwrap_or_default();
    let next = next.trim_end_matches([',', ';', '|']);
    if is_such(next) { 1 + next.len() } else { 0 }
}

/// `+hh`, `+hhmm`, `+hh:mm`, or a name of UTC.
fn is_zone(text: &str) -> bool {
    if UTC.iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return true;
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or_default();
    matches!(digits.len(), 2 | 4 | 5) && digits.bytes().all(|c| c.is_ascii_digit() || c == b':')
}

/// A value, and what follows it. It ends at a space, or where a separator and a label stand; in
/// quotes it ends at the closing one.
fn take_value(text: &str) -> (&str, &str) {
    take_value_until(text, |_, _| false)
}

/// The same, which also ends where `is_end` says so of a character and the text from it on.
fn take_value_until(text: &str, is_end: impl Fn(char, &str) -> bool) -> (&str, &str) {
    let begin = text.trim_start();
    if label(begin).is_some() {
        return ("", begin);
    }
    for quote in ['"', '\''] {
        if let Some(inside) = begin.strip_prefix(quote)
            && let Some((value, rest)) = inside.split_once(quote)
        {
            return (value, rest);
        }
    }
    let ends = |(at, character): &(usize, char)| {
        let after = &begin[at + character.len_utf8()..];
        character.is_whitespace()
            || is_boundary(*character) && label(after).is_some()
            || *at > 0 && is_end(*character, &begin[*at..])
    };
    let end = begin
        .char_indices()
        .find(ends)
        .map_or(begin.len(), |(at, _)| at);
    let value = begin[..end].trim_end_matches([',', ';', '|', '"', '\0']);
    (value, &begin[end..])
}
