//! Names of encodings, and characters that an encoding lacks.

use std::borrow::Cow;

use crate::record::submit_sm::ErrorHandling;
use crate::smpp::text::{self, Encoding, Unencodable};

/// The encoding that a record or a configuration calls `name`: our names, those of Python's
/// codecs and those of aiosmpplib.
///
/// ```
/// use kafka_smpp::smpp::text::Encoding;
/// use kafka_smpp::submit::message::encoding;
///
/// assert_eq!(encoding("gsm0338"), Ok(Encoding::Gsm));
/// assert_eq!(encoding("ISO-8859-1"), Ok(Encoding::Latin1));
/// assert!(encoding("ebcdic").unwrap_err().contains("known are"));
/// ```
pub fn encoding(name: &str) -> Result<Encoding, String> {
    Encoding::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Encoding::ALL.iter().map(|e| e.name()).collect();
        format!("{name:?} is no encoding; known are {}", known.join(", "))
    })
}

/// Appends `text`. What the encoding lacks is handled as asked.
pub(super) fn encode(
    text: &str,
    encoding: Encoding,
    handling: ErrorHandling,
    out: &mut Vec<u8>,
) -> Result<(), Unencodable> {
    let result = text::encode(text, encoding, out);
    let instead = match (handling, &result) {
        (ErrorHandling::Strict, _) | (_, Ok(())) => return result,
        (ErrorHandling::Ignore, _) => None,
        (ErrorHandling::Replace, _) => Some('?'),
    };
    let kept = text
        .chars()
        .filter_map(|c| if encoding.has(c) { Some(c) } else { instead });
    text::encode(&Cow::<str>::from_iter(kept), encoding, out)
}
