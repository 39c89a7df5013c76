//! What a message says, in octets.

use crate::record::submit_sm::{Content, ErrorHandling::Strict, SubmitSm};
use crate::smpp::pdu::UDH_INDICATOR;
use crate::smpp::text::{Alphabet, Encoding, Unencodable};
use crate::smpp::udh::Udh;

use super::{Defaults, Refused, text};

/// The longest short_message, in octets (SMPP 3.4, 5.2.22).
pub(super) const SHORT_MESSAGE: usize = 254;

/// The longest message_payload, in octets: its length has two octets.
const MESSAGE_PAYLOAD: usize = 65_535;

/// What is known of a message's octets.
pub(super) struct Body {
    /// The record's field they come from.
    pub field: &'static str,
    /// data_coding of the PDU.
    pub data_coding: u8,
    /// How they are cut, and packed when they are sent: packed text is kept as septets until then.
    pub encoding: Encoding,
    /// Whether parts can be made of them.
    pub cuttable: bool,
    /// Whether the record asks for message_payload, whatever the length.
    pub in_payload: bool,
}

/// Writes the message's text or octets, and the information elements before them.
pub(super) fn body(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    out: &mut Vec<u8>,
    elements: &mut Vec<u8>,
) -> Result<Body, Refused> {
    let some = |content: &&Content<'_>| !content.is_empty();
    let short = record.short_message.as_ref();
    let payload = record.message_payload.as_ref().filter(some);
    let (field, content) = match (short, payload) {
        (short, Some(payload)) if short.filter(some).is_none() => ("message_payload", payload),
        (Some(_), Some(_)) => {
            return Err(Refused::invalid(
                "message_payload",
                "short_message and message_payload exclude each other: remove one of them",
            ));
        }
        (Some(short), None) => ("short_message", short),
        (None, _) => {
            return Err(Refused::invalid(
                "short_message",
                "short_message is missing: write the text, \"\" if it shall be empty",
            ));
        }
    };
    let in_payload = payload.is_some();
    // Beside `udh`, the octets are text alone.
    let announced = record.udh.is_none()
        && record
            .esm_class
            .is_some_and(|class| class & UDH_INDICATOR != 0);
    if let Some(udh) = &record.udh {
        header(udh, elements)?;
    }
    match content {
        Content::Octets(octets) => {
            let encoding = named(record)?.map(Encoding::data_coding);
            let data_coding = record.data_coding.or(encoding);
            let data_coding = data_coding.unwrap_or(Encoding::Binary.data_coding());
            let encoding = Encoding::of(data_coding, alphabet(defaults));
            let inside = Udh::split(octets).filter(|_| announced);
            match inside {
                Some((udh, text)) if text.len() + 1 < octets.len() => {
                    elements.extend_from_slice(udh.octets());
                    out.extend_from_slice(text);
                }
                _ => out.extend_from_slice(octets),
            }
            Ok(Body {
                field,
                data_coding,
                // Packed octets stay as they are: they are not septets to be packed again.
                encoding: match encoding {
                    Encoding::GsmPacked => Encoding::Binary,
                    other => other,
                },
                cuttable: encoding != Encoding::GsmPacked && (!announced || inside.is_some()),
                in_payload,
            })
        }
        Content::Text(_) if announced => Err(Refused::invalid(
            field,
            format!(
                "esm_class announces a user data header, which text cannot hold: write it as udh, {{\"hex\": \"...\"}}, or the whole of {field} as {{\"hex\": \"...\"}}"
            ),
        )),
        Content::Text(text) => {
            let (encoding, data_coding) = write(field, text, record, defaults, out)?;
            Ok(Body {
                field,
                data_coding,
                encoding,
                cuttable: true,
                in_payload,
            })
        }
    }
}

/// Takes in the header that the record gives beside its text.
fn header(udh: &Content<'_>, elements: &mut Vec<u8>) -> Result<(), Refused> {
    let wrong = |why: &str| {
        Err(Refused::invalid(
            "udh",
            format!(
                "udh {why}: write {{\"hex\": \"...\"}}, its first octet the count of the others, such as \"0605040B8423F0\" for ports"
            ),
        ))
    };
    let Content::Octets(octets) = udh else {
        return wrong("is text");
    };
    let Some((udh, [])) = Udh::split(octets) else {
        return wrong("is longer or shorter than its first octet says");
    };
    let count: usize = udh.elements().map(|e| e.data.len() + 2).sum();
    if count != udh.octets().len() || count == 0 {
        return wrong("does not consist of whole information elements");
    }
    elements.extend_from_slice(udh.octets());
    Ok(())
}

/// Whether so many octets fit where they are to stand.
pub(super) fn check_length(field: &str, length: usize, in_payload: bool) -> Result<(), Refused> {
    let limit = match in_payload {
        true => MESSAGE_PAYLOAD,
        false => SHORT_MESSAGE,
    };
    if length <= limit {
        return Ok(());
    }
    Err(Refused::invalid(
        field,
        format!("{field} has {length} octets, at most {limit} are allowed: shorten it"),
    ))
}

/// Writes text; returns its encoding and data_coding. Packed text is written as septets.
fn write(
    field: &str,
    text: &str,
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    out: &mut Vec<u8>,
) -> Result<(Encoding, u8), Refused> {
    let fixed = match (named(record)?, record.data_coding) {
        (Some(encoding), _) => encoding,
        (None, Some(data_coding)) => announced(field, data_coding, defaults)?,
        (None, None) => {
            let first = defaults.encoding;
            if text::encode(text, unpacked(first), Strict, out).is_ok() {
                return Ok((first, first.data_coding()));
            }
            Encoding::Ucs2
        }
    };
    let handling = record.error_handling.unwrap_or_default();
    text::encode(text, unpacked(fixed), handling, out).map_err(|error| {
        let error = Unencodable {
            encoding: fixed,
            ..error
        };
        Refused::encoding(
            field,
            format!(
                "{field}: {error}: leave the encoding out, or set error_handling to \"replace\""
            ),
        )
    })?;
    Ok((fixed, record.data_coding.unwrap_or(fixed.data_coding())))
}

/// Packing comes after cutting.
fn unpacked(encoding: Encoding) -> Encoding {
    match encoding {
        Encoding::GsmPacked => Encoding::Gsm,
        other => other,
    }
}

/// What data_coding 0 means to the SMSC.
fn alphabet(defaults: &Defaults) -> Alphabet {
    match defaults.encoding.data_coding() {
        0 => Alphabet::from(defaults.encoding),
        _ => Alphabet::default(),
    }
}

/// The encoding of a data_coding that the record names alone.
fn announced(field: &str, data_coding: u8, defaults: &Defaults) -> Result<Encoding, Refused> {
    match Encoding::of(data_coding, alphabet(defaults)) {
        Encoding::Binary => Err(Refused::encoding(
            "data_coding",
            format!(
                "data_coding {data_coding} does not say how text is written: name an encoding too, or write {field} as {{\"hex\": \"...\"}}"
            ),
        )),
        encoding => Ok(encoding),
    }
}

fn named(record: &SubmitSm<'_>) -> Result<Option<Encoding>, Refused> {
    let Some(name) = record.encoding.as_deref() else {
        return Ok(None);
    };
    text::encoding(name)
        .map(Some)
        .map_err(|text| Refused::encoding("encoding", text))
}
