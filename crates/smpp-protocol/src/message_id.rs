//! One spelling for a message_id.
//!
//! Some SMSCs name a message in hexadecimal in submit_sm_resp and in decimal in its receipt, or
//! pad one of them with zeros, change its case, write something before it, or cut it to eight
//! digits, which is what SMPP 3.3 had room for. Both spellings are brought into one form before
//! they are compared: a [`Rule`] does that for one place, [`Pairing`] knows the rule of each.

use std::borrow::Cow;

use super::Receipt;

/// How the ids of one kind of PDU are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Form {
    /// Exact text, without the spaces around it.
    #[default]
    Text,
    /// Text in which upper and lower case mean the same.
    CaseInsensitive,
    /// A decimal number; leading zeros mean nothing.
    Decimal,
    /// A hexadecimal number in any case, with or without `0x`; leading zeros mean nothing.
    Hex,
}

impl Form {
    /// Every form.
    pub const ALL: &'static [Form] = &[Form::Text, Form::CaseInsensitive, Form::Decimal, Form::Hex];

    /// The name by which configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Form::Text => "text",
            Form::CaseInsensitive => "case_insensitive",
            Form::Decimal => "decimal",
            Form::Hex => "hex",
        }
    }

    /// The form of a name.
    pub fn from_name(name: &str) -> Option<Form> {
        Self::ALL.iter().copied().find(|form| form.name() == name)
    }
}

/// Which characters of an id count, where the SMSC cuts it short in another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digits {
    /// So many from its beginning.
    First(usize),
    /// So many before its end.
    Last(usize),
}

impl Digits {
    fn of(self, id: &str) -> &str {
        let nth = |n: usize| id.char_indices().nth(n).map_or(id.len(), |(at, _)| at);
        match self {
            Digits::First(count) => &id[..nth(count)],
            Digits::Last(count) => &id[nth(id.chars().count().saturating_sub(count))..],
        }
    }
}

/// How ids are written in one place, and what of them counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Rule {
    /// What the rest is.
    pub form: Form,
    /// What may stand before an id and does not belong to it; the first that fits is taken off.
    pub prefixes: Vec<Box<str>>,
    /// The id ends before this.
    pub until: Option<Box<str>>,
    /// Which characters count of what then is left, as they are written.
    pub digits: Option<Digits>,
}

impl From<Form> for Rule {
    fn from(form: Form) -> Self {
        Rule {
            form,
            ..Rule::default()
        }
    }
}

impl Rule {
    /// The one spelling of an id. Numbers become decimal without leading zeros, so that a
    /// hexadecimal id and its decimal twin are the same; what is no number in its form stays
    /// text, in lower case under [`Form::Hex`]. Nothing is copied where nothing changes.
    ///
    /// ```
    /// use smpp_protocol::message_id::{Form, Rule};
    ///
    /// let (response, receipt) = (Rule::from(Form::Hex), Rule::from(Form::Decimal));
    /// assert_eq!(response.normalise("1D305B4C"), receipt.normalise("0489708364"));
    /// ```
    pub fn normalise<'i>(&self, id: &'i str) -> Cow<'i, str> {
        let id = trim(id);
        let mut prefixes = self.prefixes.iter();
        let id = prefixes
            .find_map(|prefix| id.strip_prefix(&**prefix))
            .unwrap_or(id);
        let end = self.until.as_deref().and_then(|until| id.find(until));
        let id = trim(&id[..end.unwrap_or(id.len())]);
        let id = self.digits.map_or(id, |digits| digits.of(id));
        match self.form {
            Form::Text => Cow::Borrowed(id),
            Form::CaseInsensitive => lower(id),
            Form::Decimal => decimal(id).map_or(Cow::Borrowed(id), Cow::Borrowed),
            Form::Hex => hex(id).map_or_else(|| lower(id), Cow::Owned),
        }
    }
}

/// How an SMSC writes one message's id in the places where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Pairing {
    /// In submit_sm_resp.
    pub response: Rule,
    /// In a receipt.
    pub receipt: Rule,
    /// In the receipted_message_id TLV, if not as in the receipt's text.
    pub receipted_message_id: Option<Rule>,
}

impl Pairing {
    /// The one spelling of an id in submit_sm_resp.
    pub fn of_response<'i>(&self, id: &'i str) -> Cow<'i, str> {
        self.response.normalise(id)
    }

    /// The one spelling of the id that a receipt names; `None` if it names none.
    ///
    /// The TLV goes before the text. SMPP 3.4 §5.3.2.12 has it repeat the id of submit_sm_resp,
    /// and so it does with many an SMSC that writes the same number otherwise in the text: where
    /// both then are the same message, nothing need be configured for the TLV.
    pub fn of_receipt<'r>(&self, receipt: &'r Receipt<'_>) -> Option<Cow<'r, str>> {
        let some = |id: &'r Option<Cow<'_, str>>| id.as_deref().filter(|id| !trim(id).is_empty());
        let (tlv, text) = (some(&receipt.tlv_id), some(&receipt.text_id));
        let text = text.map(|id| self.receipt.normalise(id));
        let Some(tlv) = tlv else { return text };
        if let Some(rule) = &self.receipted_message_id {
            return Some(rule.normalise(tlv));
        }
        let agreed = text.filter(|text| *text == self.of_response(tlv));
        Some(agreed.unwrap_or_else(|| self.receipt.normalise(tlv)))
    }
}

impl Pairing {
    /// Whether a receipt's two ids are one, as far as it has two.
    pub fn is_one(&self, receipt: &Receipt<'_>) -> bool {
        let some = |id: &Option<Cow<'_, str>>| {
            let id = id.as_deref().map(trim).unwrap_or_default();
            (!id.is_empty()).then(|| id.to_owned())
        };
        let (Some(tlv), Some(text)) = (some(&receipt.tlv_id), some(&receipt.text_id)) else {
            return true;
        };
        tlv == text || self.of_receipt(receipt) == Some(self.receipt.normalise(&text))
    }
}

fn trim(id: &str) -> &str {
    id.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}

fn lower(id: &str) -> Cow<'_, str> {
    match id.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(id.to_ascii_lowercase()),
        false => Cow::Borrowed(id),
    }
}

/// Decimal digits of any length, without leading zeros.
fn decimal(id: &str) -> Option<&str> {
    if id.is_empty() || !id.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let significant = id.trim_start_matches('0');
    Some(if significant.is_empty() {
        "0"
    } else {
        significant
    })
}

/// Hexadecimal digits as a decimal number; up to 128 bits, which is a UUID without dashes.
fn hex(id: &str) -> Option<String> {
    let digits = id
        .strip_prefix("0x")
        .or_else(|| id.strip_prefix("0X"))
        .unwrap_or(id);
    if !digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16)
        .ok()
        .map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalise(id: &str, form: Form) -> String {
        Rule::from(form).normalise(id).into_owned()
    }

    #[test]
    fn a_hexadecimal_response_meets_its_decimal_receipt() {
        assert_eq!(
            normalise("1d305b4c", Form::Hex),
            normalise("0489708364", Form::Decimal)
        );
        assert_eq!(
            normalise("0x33647F6C", Form::Hex),
            normalise(" 862224236\0", Form::Decimal)
        );
        assert_eq!(normalise("000", Form::Decimal), normalise("0", Form::Hex));
    }

    #[test]
    fn what_is_no_number_stays_text() {
        assert_eq!(normalise("4f2-A", Form::Decimal), "4f2-A");
        assert_eq!(normalise("MSG-1", Form::Hex), "msg-1");
        assert_eq!(normalise("", Form::Hex), "");
        assert_eq!(normalise(&"F".repeat(33), Form::Hex), "f".repeat(33));
    }

    #[test]
    fn by_default_an_id_is_its_exact_text() {
        assert_eq!(normalise(" 00Ab\r\n", Form::default()), "00Ab");
        assert_eq!(normalise("00Ab", Form::CaseInsensitive), "00ab");
        let rule = Rule::from(Form::CaseInsensitive);
        assert!(matches!(rule.normalise("00ab"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_stands_around_an_id_can_be_taken_off() {
        let rule = Rule {
            form: Form::Decimal,
            prefixes: vec!["GW1-".into(), "GW".into()],
            until: Some("@".into()),
            digits: None,
        };
        for id in ["GW1-0042@smsc", "GW 42 @", "42", "042@"] {
            assert_eq!(rule.normalise(id), "42", "{id}");
        }
        assert_eq!(rule.normalise("@"), "");
    }

    #[test]
    fn eight_digits_are_enough_where_the_receipt_has_no_more() {
        let cut = |form, digits| Rule {
            digits: Some(digits),
            ..Rule::from(form)
        };
        let (first, last) = (Digits::First(8), Digits::Last(8));
        assert_eq!(
            cut(Form::Hex, last).normalise("0000017FA1B2C3D4"),
            Rule::from(Form::Decimal).normalise("2712847316")
        );
        assert_eq!(
            cut(Form::CaseInsensitive, first).normalise("A1B2C3D4-E5F6"),
            Rule::from(Form::CaseInsensitive).normalise("a1b2c3d4")
        );
        assert_eq!(cut(Form::Text, last).normalise("7"), "7");
        assert_eq!(cut(Form::Text, first).normalise("ééééééééé"), "éééééééé");
    }

    fn receipt(tlv: Option<&'static str>, text: Option<&'static str>) -> Receipt<'static> {
        Receipt {
            tlv_id: tlv.map(Cow::Borrowed),
            text_id: text.map(Cow::Borrowed),
            ..Receipt::default()
        }
    }

    #[test]
    fn the_tlv_of_a_receipt_may_be_written_like_the_response_or_like_the_text() {
        let pairing = Pairing {
            response: Form::Hex.into(),
            receipt: Form::Decimal.into(),
            receipted_message_id: None,
        };
        let id = pairing.of_response("1d305b4c");
        for (tlv, text) in [
            (None, Some("0489708364")),
            (Some("489708364"), None),
            (Some("1D305B4C"), Some("0489708364")),
            (Some("0489708364"), Some("0489708364")),
            (Some(" "), Some("489708364")),
        ] {
            let receipt = receipt(tlv, text);
            assert_eq!(pairing.of_receipt(&receipt).as_ref(), Some(&id), "{tlv:?}");
        }
        assert_eq!(pairing.of_receipt(&receipt(None, Some(""))), None);
        for (tlv, text, is_one) in [
            (None, Some("7"), true),
            (Some("7"), None, true),
            (Some(" "), Some("7"), true),
            (Some("1D305B4C"), Some("0489708364"), true),
            (Some("1D305B4D"), Some("0489708364"), false),
        ] {
            assert_eq!(
                pairing.is_one(&receipt(tlv, text)),
                is_one,
                "{tlv:?} {text:?}"
            );
        }
        let usual = Pairing::default();
        assert!(!usual.is_one(&receipt(Some("1D305B4C"), Some("0489708364"))));
        assert!(usual.is_one(&receipt(Some("7F"), Some("7F"))));
        let said = Pairing {
            receipted_message_id: Some(Form::Hex.into()),
            ..pairing.clone()
        };
        let alone = receipt(Some("1d305b4c"), None);
        assert_eq!(said.of_receipt(&alone).as_ref(), Some(&id));
    }

    proptest! {
        #[test]
        fn both_spellings_of_a_number_are_one(number: u128, zeros in 0usize..5) {
            let zeros = "0".repeat(zeros);
            let decimal = normalise(&format!("{zeros}{number}"), Form::Decimal);
            prop_assert_eq!(&normalise(&format!("{zeros}{number:X}"), Form::Hex), &decimal);
            prop_assert_eq!(&normalise(&format!("0x{number:x}"), Form::Hex), &decimal);
            prop_assert_eq!(normalise(&decimal, Form::Decimal), decimal);
        }

        #[test]
        fn a_number_and_its_last_eight_digits_are_one_message(number: u64) {
            let response = Rule { digits: Some(Digits::Last(8)), ..Rule::from(Form::Hex) };
            let cut = number & 0xFFFF_FFFF;
            let receipt = Rule::from(Form::Decimal);
            let (long, decimal) = (format!("{number:x}"), cut.to_string());
            prop_assert_eq!(response.normalise(&long), receipt.normalise(&decimal));
            let hex = format!("{cut:08X}");
            prop_assert_eq!(response.normalise(&hex), receipt.normalise(&decimal));
        }

        #[test]
        fn an_id_cut_by_the_smsc_pairs_with_itself(id in "[0-9A-Fa-f]{8,64}") {
            for digits in [Digits::First(8), Digits::Last(8)] {
                for form in [Form::Text, Form::CaseInsensitive, Form::Hex] {
                    let rule = Rule { digits: Some(digits), ..Rule::from(form) };
                    let cut = digits.of(&id);
                    prop_assert_eq!(rule.normalise(&id), rule.normalise(cut));
                    prop_assert_eq!(rule.normalise(&id), Rule::from(form).normalise(cut));
                }
            }
        }

        #[test]
        fn a_spelling_once_found_stays(id in "\\PC{0,40}", first in 0usize..20) {
            for form in [Form::Text, Form::CaseInsensitive, Form::Decimal] {
                for digits in [None, Some(Digits::First(first)), Some(Digits::Last(first))] {
                    let rule = Rule { digits, ..Rule::from(form) };
                    let once = rule.normalise(&id).into_owned();
                    // What is cut may begin or end with a space, which does not count.
                    let again = rule.normalise(&once).into_owned();
                    prop_assert_eq!(rule.normalise(&again), &*again);
                }
            }
        }
    }
}
