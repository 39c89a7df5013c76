//! One spelling for a message_id.
//!
//! Some SMSCs name a message in hexadecimal in submit_sm_resp and in decimal in its receipt, or
//! pad one of them with zeros, or change its case. Both spellings are brought into one form before
//! they are compared.

use std::borrow::Cow;

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

/// The one spelling of an id. Numbers become decimal without leading zeros, so that a hexadecimal
/// id and its decimal twin are the same; what is no number in its form stays text, in lower case
/// under [`Form::Hex`].
pub fn normalise(id: &str, form: Form) -> String {
    borrow(id, form).into_owned()
}

/// [`normalise`] without a copy where nothing changes.
pub fn borrow(id: &str, form: Form) -> Cow<'_, str> {
    let id = id.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    match form {
        Form::Text => Cow::Borrowed(id),
        Form::CaseInsensitive => lower(id),
        Form::Decimal => decimal(id).map_or(Cow::Borrowed(id), Cow::Borrowed),
        Form::Hex => hex(id).map_or_else(|| lower(id), Cow::Owned),
    }
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
        assert!(matches!(
            borrow("00ab", Form::CaseInsensitive),
            Cow::Borrowed(_)
        ));
    }

    proptest! {
        #[test]
        fn both_spellings_of_a_number_are_one(number: u128, zeros in 0usize..5) {
            let zeros = "0".repeat(zeros);
            let decimal = normalise(&format!("{zeros}{number}"), Form::Decimal);
            prop_assert_eq!(&normalise(&format!("{zeros}{number:X}"), Form::Hex), &decimal);
            prop_assert_eq!(normalise(&decimal, Form::Decimal), decimal);
        }
    }
}
