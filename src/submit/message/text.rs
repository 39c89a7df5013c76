//! Names of encodings.

use smpp_protocol::text::Encoding;

/// The encoding that a record or a configuration calls `name`: our names, those of Python's
/// codecs and those of aiosmpplib.
///
/// ```
/// use smpp_protocol::text::Encoding;
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
