//! What a message says, in octets.

use crate::record::submit_sm::{Content, ErrorHandling, SubmitSm};
use smpp_protocol::pdu::UDH_INDICATOR;
use smpp_protocol::segment::{self, Method};
use smpp_protocol::text::substitute::Handling;
use smpp_protocol::text::{self, Encoding, Policy};
use smpp_protocol::tlv;
use smpp_protocol::udh::Udh;

use super::{Defaults, Refused, encoding, segments};

/// The longest short_message, in octets (SMPP 3.4, 5.2.22).
pub(super) const SHORT_MESSAGE: usize = 254;

/// What is known of a message's octets.
pub(super) struct Body {
    /// The record's field they come from.
    pub field: &'static str,
    /// data_coding of the PDU.
    pub data_coding: u8,
    /// How they are packed when they are sent: packed text is kept as septets until then.
    pub encoding: Encoding,
    /// Whether the record asks for message_payload, whatever the length.
    pub in_payload: bool,
    /// What ties parts together.
    pub method: Method,
    /// Where each part ends.
    pub ends: Vec<usize>,
}

/// Writes the message's text or octets, and the information elements before them, and finds its
/// parts; `whole` allows only one.
pub(super) fn body(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    whole: bool,
    out: &mut Vec<u8>,
    elements: &mut Vec<u8>,
) -> Result<Body, Refused> {
    let (field, content) = content(record)?;
    // Without optional parameters it becomes parts.
    let in_payload = field == "message_payload" && defaults.version.has_parameters();
    let whole = whole || in_payload;
    // Beside `udh`, the octets are text alone.
    let announced = record.udh.is_none()
        && record
            .esm_class
            .is_some_and(|class| class & UDH_INDICATOR != 0);
    if let Some(udh) = &record.udh {
        header(udh, elements)?;
    }
    let method = |elements: &[u8], cuttable| {
        if cuttable && !whole {
            segments::method(record, defaults, elements)
        } else {
            Ok(Method::Payload)
        }
    };
    match content {
        Content::Octets(octets) => {
            let encoding = named(record, defaults)?.unwrap_or(Encoding::Binary);
            let data_coding = data_coding(record, encoding, defaults)?;
            let encoding = Encoding::of(data_coding, defaults.dialect.alphabet());
            let inside =
                Udh::split(octets).filter(|(udh, _)| announced && !udh.octets().is_empty());
            match inside {
                Some((udh, text)) => {
                    elements.extend_from_slice(udh.octets());
                    out.extend_from_slice(text);
                }
                None => out.extend_from_slice(octets),
            }
            let packed = encoding == Encoding::GsmPacked;
            let method = method(elements, !packed && announced == inside.is_some())?;
            let mut end = 0;
            let parts = segment::parts(out, encoding, method, elements.len());
            let ends = parts.iter().map(|part| {
                end += part.len();
                end
            });
            Ok(Body {
                field,
                data_coding,
                // Packed octets stay as they are: they are not septets to be packed again.
                encoding: if packed { Encoding::Binary } else { encoding },
                in_payload,
                method,
                ends: ends.collect(),
            })
        }
        Content::Text(_) if announced => Err(Refused::invalid(
            field,
            format!(
                "esm_class announces a user data header, which text cannot hold: write it as udh, {{\"hex\": \"...\"}}, or the whole of {field} as {{\"hex\": \"...\"}}"
            ),
        )),
        Content::Text(text) => {
            let method = method(elements, true)?;
            let mut body = write(field, text, record, defaults, method, out, elements)?;
            body.in_payload = in_payload;
            Ok(body)
        }
    }
}

/// The field that holds the message.
fn content<'a, 'r>(record: &'a SubmitSm<'r>) -> Result<(&'static str, &'a Content<'r>), Refused> {
    let some = |content: &&Content<'_>| !content.is_empty();
    let short = record.short_message.as_ref();
    let payload = record.message_payload.as_ref().filter(some);
    match (short, payload) {
        (short, Some(payload)) if short.filter(some).is_none() => Ok(("message_payload", payload)),
        (Some(_), Some(_)) => Err(Refused::invalid(
            "message_payload",
            "short_message and message_payload exclude each other: remove one of them",
        )),
        (Some(short), None) => Ok(("short_message", short)),
        (None, _) => Err(Refused::invalid(
            "short_message",
            "short_message is missing: write the text, \"\" if it shall be empty",
        )),
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
    if !udh.is_whole() || udh.octets().is_empty() {
        return wrong("does not consist of whole information elements");
    }
    elements.extend_from_slice(udh.octets());
    Ok(())
}

/// Whether so many octets fit where they are to stand.
pub(super) fn check_length(field: &str, length: usize, in_payload: bool) -> Result<(), Refused> {
    let limit = if in_payload {
        tlv::LONGEST
    } else {
        SHORT_MESSAGE
    };
    if length <= limit {
        return Ok(());
    }
    Err(Refused::invalid(
        field,
        format!("{field} has {length} octets, at most {limit} are allowed: shorten it"),
    ))
}

/// Writes text as cheaply as record and ESME allow. National tables that it needs are named among
/// `elements`.
fn write(
    field: &'static str,
    text: &str,
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    method: Method,
    out: &mut Vec<u8>,
    elements: &mut Vec<u8>,
) -> Result<Body, Refused> {
    let fixed = match (named(record, defaults)?, record.data_coding) {
        (Some(encoding), _) => Some(encoding),
        (None, Some(data_coding)) => Some(announced(field, data_coding, defaults)?),
        (None, None) => None,
    };
    let free = [defaults.encoding, Encoding::Ucs2];
    let policy = Policy {
        encodings: fixed.as_ref().map_or(&free[..], std::slice::from_ref),
        languages: &defaults.languages,
        method,
        elements: elements.len(),
        handling: handling(record.error_handling.unwrap_or_default()),
        room: None,
    };
    let chosen = text::choose(text, &policy).map_err(|error| {
        Refused::encoding(
            field,
            format!(
                "{field}: {error}: leave the encoding out, or set error_handling to \"replace\" or \"transliterate\""
            ),
        )
    })?;
    chosen.shift.push_elements(elements);
    let mut end = out.len();
    let ends = chosen.parts().map(|part| {
        end += part.len();
        end
    });
    let ends = ends.collect();
    out.extend_from_slice(&chosen.octets);
    Ok(Body {
        field,
        data_coding: data_coding(record, chosen.encoding, defaults)?,
        encoding: chosen.encoding,
        in_payload: false,
        method,
        ends,
    })
}

/// What the PDU says of the encoding, and of where a phone is to put the message.
fn data_coding(
    record: &SubmitSm<'_>,
    encoding: Encoding,
    defaults: &Defaults,
) -> Result<u8, Refused> {
    let alphabet = defaults.dialect.alphabet();
    let (known, field, what) = match (record.data_coding, record.message_class) {
        (Some(_), Some(_)) => {
            return Err(Refused::invalid(
                "message_class",
                "data_coding and message_class exclude each other: data_coding says the class too, remove one of them",
            ));
        }
        (Some(data_coding), None) => return Ok(data_coding),
        (None, Some(class)) => {
            let known = alphabet.data_coding_of_class(encoding, class);
            (known, "message_class", "together with a message_class")
        }
        (None, None) => (alphabet.data_coding(encoding), "encoding", "to this SMSC"),
    };
    known.ok_or_else(|| {
        let default = alphabet.encoding();
        let text = format!(
            "{field}: no data_coding says {encoding} {what}, whose default alphabet is {default}: name another encoding, or the data_coding too"
        );
        Refused::encoding(field, text)
    })
}

fn handling(handling: ErrorHandling) -> Handling {
    match handling {
        ErrorHandling::Strict => Handling::Strict,
        ErrorHandling::Ignore => Handling::Ignore,
        ErrorHandling::Replace => Handling::Replace,
        ErrorHandling::Transliterate => Handling::Transliterate,
    }
}

/// The encoding of a data_coding that the record names alone.
fn announced(field: &str, data_coding: u8, defaults: &Defaults) -> Result<Encoding, Refused> {
    match Encoding::of(data_coding, defaults.dialect.alphabet()) {
        Encoding::Binary => Err(Refused::encoding(
            "data_coding",
            format!(
                "data_coding {data_coding} does not say how text is written: name an encoding too, or write {field} as {{\"hex\": \"...\"}}"
            ),
        )),
        encoding => Ok(encoding),
    }
}

/// What a record calls the SMSC's default alphabet, whichever that is.
pub(super) const DEFAULT: &str = "default";

fn named(record: &SubmitSm<'_>, defaults: &Defaults) -> Result<Option<Encoding>, Refused> {
    match record.encoding.as_deref() {
        None => Ok(None),
        Some(DEFAULT) => Ok(Some(defaults.dialect.alphabet().encoding())),
        Some(name) => encoding(name)
            .map(Some)
            .map_err(|text| Refused::encoding("encoding", text)),
    }
}
