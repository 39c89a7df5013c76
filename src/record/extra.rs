//! `extra_data` in its two forms.
//!
//! In JSON it is any JSON value, in Avro any text, and in both it comes back byte for byte.
//! Where it crosses from one to the other, text that is JSON, but not a JSON string, is that
//! JSON; any other text is a JSON string. So text written in Avro comes back as that text,
//! wherever it was kept meanwhile, and people who read JSON see JSON.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Text as JSON.
pub(super) fn json(text: &str) -> Cow<'_, RawValue> {
    if let Ok(raw) = serde_json::from_str::<&RawValue>(text)
        // What stands around it would get lost.
        && raw.get().len() == text.len()
        && !text.starts_with('"')
    {
        return Cow::Borrowed(raw);
    }
    // Text always is a JSON string.
    serde_json::value::to_raw_value(text).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned)
}

/// JSON as text.
pub(super) fn text(json: &RawValue) -> Cow<'_, str> {
    let json = json.get();
    if json.starts_with('"') {
        // An escaped lone surrogate is no text.
        serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned)
    } else {
        Cow::Borrowed(json)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_stays_json_and_other_text_becomes_a_string() {
        for (avro, written) in [
            (r#"{"a" : 1.50}"#, r#"{"a" : 1.50}"#),
            ("17", "17"),
            ("order 17", r#""order 17""#),
            (r#""quoted""#, r#""\"quoted\"""#),
            (" 1", r#"" 1""#),
            ("", r#""""#),
        ] {
            assert_eq!(json(avro).get(), written);
        }
        let raw: &RawValue = serde_json::from_str(r#""order \u0031""#).unwrap();
        assert_eq!(text(raw), "order 1");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(written in any::<String>()) {
            let json = json(&written);
            prop_assert_eq!(&text(&json), &written);
        }

        #[test]
        fn any_json_but_a_string_comes_back(n in any::<f64>(), key in "[ -~]{0,9}") {
            let written = serde_json::json!({ key: [n, null, {}] }).to_string();
            let raw: &RawValue = serde_json::from_str(&written).unwrap();
            let avro = text(raw);
            let back = json(&avro);
            prop_assert_eq!(back.get(), &written);
        }
    }
}
