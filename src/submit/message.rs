//! An outbound record becomes a submit_sm, or the reason why it cannot (SMPP 3.4, 4.4.1).

mod parameters;
mod text;

use std::cell::RefCell;

use jiff::Timestamp;

use crate::record::event::SendErrorKind;
use crate::record::submit_sm::{self, Content, ErrorHandling::Strict, SubmitSm, When};
use crate::settings::InDoubt;
use crate::smpp::pdu::{Sm, UDH_INDICATOR};
use crate::smpp::text::{Alphabet, Encoding};
use crate::smpp::{self, Address, Command, EncodeError, Npi, Status, Tag, Tlvs, Ton, tlv};

pub use text::encoding;

/// The longest short_message, in octets (SMPP 3.4, 5.2.22).
const SHORT_MESSAGE: usize = 254;

/// The longest message_payload, in octets: its length has two octets.
const MESSAGE_PAYLOAD: usize = 65_535;

/// What a record need not say, because its ESME says it for all.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// The sender; by default there is none, and the SMSC fills it in or refuses the message.
    pub source: Option<submit_sm::Address<'static>>,
    /// service_type (SMPP 3.4, 5.2.11).
    pub service_type: String,
    /// registered_delivery (SMPP 3.4, 5.2.17).
    pub registered_delivery: u8,
    /// How text is written if that can express it, else it is written in UCS-2; by default
    /// GSM 03.38. One without a data_coding of its own is taken for the SMSC's default alphabet.
    pub encoding: Encoding,
}

/// A message ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The submit_sm, its sequence_number 0.
    pub pdu: Vec<u8>,
    /// Whether a receipt may come.
    pub registered: bool,
    /// Never to be sent after this.
    pub expires_at: Option<Timestamp>,
    /// Not worth being tried after this: the end of its validity_period, or `expires_at` if
    /// that is earlier.
    pub deadline: Option<Timestamp>,
    /// What happens if its outcome is not known, if the record says so.
    pub in_doubt: Option<InDoubt>,
    /// How often it is sent again at most, if the record says so.
    pub max_resends: Option<u32>,
}

/// A record that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// Whose fault it is.
    pub kind: SendErrorKind,
    /// The record's field that is to blame.
    pub field: Option<String>,
    /// What was wrong, and what helps.
    pub text: String,
}

impl Refused {
    fn invalid(field: &str, text: impl Into<String>) -> Self {
        Refused {
            kind: SendErrorKind::InvalidRecord,
            field: Some(field.to_owned()),
            text: text.into(),
        }
    }

    fn encoding(field: &str, text: impl Into<String>) -> Self {
        Refused {
            kind: SendErrorKind::Encoding,
            ..Refused::invalid(field, text)
        }
    }

    /// What SMPP does not allow, in the record's words.
    fn not_smpp(error: &EncodeError) -> Self {
        let field = match error {
            EncodeError::TooLong { field, .. }
            | EncodeError::Nul { field, .. }
            | EncodeError::NotATime { field, .. } => *field,
            EncodeError::Tlvs(_) => "tlvs",
        };
        let field = match field {
            "source_addr" => "source",
            "destination_addr" => "destination",
            other => other,
        };
        Refused::invalid(field, error.to_string())
    }
}

/// Buffers that one message after another uses.
#[derive(Default)]
struct Scratch {
    /// The text in its encoding.
    text: Vec<u8>,
    /// The optional parameters.
    parameters: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Makes the submit_sm of a record.
///
/// Text whose record names neither encoding nor data_coding is written in that of `defaults`
/// (GSM 03.38, 3GPP TS 23.038, 6.2.1, one septet an octet), else in UCS-2. What is longer than
/// 254 octets travels in message_payload.
///
/// # Errors
///
/// A record whose fields SMPP cannot carry, whose text the encoding cannot express, or that
/// has expired by `now`.
pub fn prepare(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    now: Timestamp,
) -> Result<Message, Refused> {
    if let Some(at) = record.expires_at.filter(|at| *at <= now) {
        return Err(Refused {
            kind: SendErrorKind::Expired,
            ..Refused::invalid(
                "expires_at",
                format!("expires_at, {at}, passed before it could be sent"),
            )
        });
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.text.clear();
        scratch.parameters.clear();
        build(record, defaults, now, scratch)
    })
}

fn build(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    now: Timestamp,
    scratch: &mut Scratch,
) -> Result<Message, Refused> {
    let source = record.source.as_ref().filter(|a| !a.number.is_empty());
    let source = address("source", source.or(defaults.source.as_ref()))?;
    if record.destination.number.is_empty() {
        return Err(Refused::invalid(
            "destination",
            "destination is missing: write the recipient's number, such as \"+41791234567\"",
        ));
    }
    let destination = address("destination", Some(&record.destination))?;
    let body = body(record, defaults, &mut scratch.text)?;
    if body.in_payload {
        tlv::push_tlv(&mut scratch.parameters, Tag::MESSAGE_PAYLOAD, &scratch.text)
            .map_err(|e| Refused::not_smpp(&e))?;
    }
    parameters::push(&record.tlvs, body.in_payload, &mut scratch.parameters)?;
    let schedule = time("schedule_delivery_time", record.schedule_delivery_time)?;
    let validity = time("validity_period", record.validity_period)?;
    let registered = record
        .registered_delivery
        .unwrap_or(defaults.registered_delivery);
    let service_type = record.service_type.as_deref();
    let sm = Sm {
        service_type: ascii(
            "service_type",
            service_type.unwrap_or(&defaults.service_type),
        )?,
        source,
        destination,
        esm_class: record.esm_class.unwrap_or(0),
        protocol_id: record.protocol_id.unwrap_or(0),
        priority_flag: record.priority_flag.unwrap_or(0),
        schedule_delivery_time: schedule.as_bytes(),
        validity_period: validity.as_bytes(),
        registered_delivery: registered,
        replace_if_present_flag: record.replace_if_present_flag.unwrap_or(0),
        data_coding: body.data_coding,
        sm_default_msg_id: record.sm_default_msg_id.unwrap_or(0),
        short_message: if body.in_payload { &[] } else { &scratch.text },
        tlvs: Tlvs::new(&scratch.parameters),
    };
    let mut pdu = Vec::with_capacity(128 + scratch.text.len() + scratch.parameters.len());
    sm.encode(Command::SUBMIT_SM, Status::ROK, 0, &mut pdu)
        .map_err(|e| Refused::not_smpp(&e))?;
    Ok(Message {
        pdu,
        registered: registered & RECEIPTS != 0,
        expires_at: record.expires_at,
        deadline: deadline(record, now),
        in_doubt: record.in_doubt,
        max_resends: record.max_resends.map(u32::from),
    })
}

/// The bits of registered_delivery that ask for anything to come back (SMPP 3.4, 5.2.17): a
/// receipt of the SMSC, an acknowledgement of the phone or its user, an intermediate
/// notification.
const RECEIPTS: u8 = 0b0001_1111;

/// The end of a message's life: that of its validity, or `expires_at` if it is earlier.
fn deadline(record: &SubmitSm<'_>, now: Timestamp) -> Option<Timestamp> {
    let validity = record.validity_period.and_then(|when| match when {
        When::At(at) => Some(at),
        When::After(time) => now.checked_add(time).ok(),
    });
    validity.into_iter().chain(record.expires_at).min()
}

/// An address, with what it leaves out inferred.
fn address<'a>(
    field: &str,
    from: Option<&'a submit_sm::Address<'_>>,
) -> Result<Address<'a>, Refused> {
    let Some(from) = from else {
        return Ok(Address::default());
    };
    ascii(field, &from.number)?;
    let inferred = Address::parse(&from.number);
    Ok(Address {
        ton: from.ton.map_or(inferred.ton, Ton),
        npi: from.npi.map_or(inferred.npi, Npi),
        number: match from.ton {
            // Whoever names the type knows how its numbers are written.
            Some(_) => from.number.as_bytes(),
            None => inferred.number,
        },
    })
}

/// A time in SMPP's form: a point in time absolutely, in UTC, a length of time relatively.
fn time(field: &str, when: Option<When>) -> Result<String, Refused> {
    let written = match when {
        None => return Ok(String::new()),
        Some(When::At(at)) => smpp::time::absolute_utc(at),
        Some(When::After(time)) => smpp::time::relative(time),
    };
    written.map_err(|error| Refused::invalid(field, format!("{field}: {error}")))
}

fn ascii<'a>(field: &str, text: &'a str) -> Result<&'a [u8], Refused> {
    if text.is_ascii() {
        return Ok(text.as_bytes());
    }
    let strange: String = text.chars().filter(|c| !c.is_ascii()).collect();
    Err(Refused::invalid(
        field,
        format!("{field}, {text:?}, contains {strange:?}: SMPP takes ASCII there"),
    ))
}

struct Body {
    data_coding: u8,
    in_payload: bool,
}

/// Writes the message's text or octets.
fn body(record: &SubmitSm<'_>, defaults: &Defaults, out: &mut Vec<u8>) -> Result<Body, Refused> {
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
    let data_coding = match content {
        Content::Octets(octets) => {
            out.extend_from_slice(octets);
            let encoding = named(record)?.map(Encoding::data_coding);
            let data_coding = record.data_coding.or(encoding);
            data_coding.unwrap_or(Encoding::Binary.data_coding())
        }
        Content::Text(text) => write(field, text, record, defaults, out)?,
    };
    let in_payload = payload.is_some() || out.len() > SHORT_MESSAGE;
    let limit = match record.auto_message_payload {
        Some(false) if payload.is_none() => SHORT_MESSAGE,
        _ => MESSAGE_PAYLOAD,
    };
    if out.len() > limit {
        let length = out.len();
        return Err(Refused::invalid(
            field,
            format!("{field} has {length} octets, at most {limit} are allowed: shorten it"),
        ));
    }
    Ok(Body {
        data_coding,
        in_payload,
    })
}

/// Writes text; returns its data_coding.
fn write(
    field: &str,
    text: &str,
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    out: &mut Vec<u8>,
) -> Result<u8, Refused> {
    if record
        .esm_class
        .is_some_and(|class| class & UDH_INDICATOR != 0)
    {
        return Err(Refused::invalid(
            field,
            format!(
                "esm_class announces a user data header, which text cannot hold: write {field} as {{\"hex\": \"...\"}}"
            ),
        ));
    }
    let fixed = match (named(record)?, record.data_coding) {
        (Some(encoding), _) => encoding,
        (None, Some(data_coding)) => announced(field, data_coding, defaults)?,
        (None, None) if text::encode(text, defaults.encoding, Strict, out).is_ok() => {
            return Ok(defaults.encoding.data_coding());
        }
        (None, None) => Encoding::Ucs2,
    };
    let handling = record.error_handling.unwrap_or_default();
    text::encode(text, fixed, handling, out).map_err(|error| {
        Refused::encoding(
            field,
            format!(
                "{field}: {error}: leave the encoding out, or set error_handling to \"replace\""
            ),
        )
    })?;
    Ok(record.data_coding.unwrap_or(fixed.data_coding()))
}

/// The encoding of a data_coding that the record names alone.
fn announced(field: &str, data_coding: u8, defaults: &Defaults) -> Result<Encoding, Refused> {
    let default = match defaults.encoding.data_coding() {
        0 => Alphabet::from(defaults.encoding),
        _ => Alphabet::default(),
    };
    match Encoding::of(data_coding, default) {
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

#[cfg(test)]
mod tests;
