//! An outbound record becomes a submit_sm or another request, or the reason why it cannot
//! (SMPP 3.4, 4.4.1).

mod content;
pub mod intake;
pub mod outgoing;
mod parameters;
mod requests;
mod segments;
mod text;
mod version;

use std::cell::RefCell;
use std::sync::Arc;

use jiff::Timestamp;

use crate::record::event::SendErrorKind;
use crate::record::keys::Position;
use crate::record::outbound::{Operation, Outbound};
use crate::record::submit_sm::{self, SubmitSm, When};
use crate::settings::{InDoubt, Segmentation};
use smpp_protocol::address::{BadAddress, Written};
use smpp_protocol::pdu::{HIGHEST_PRIORITY, REGISTERED_DELIVERY, Sm, UDH_INDICATOR};
use smpp_protocol::text::Encoding;
use smpp_protocol::text::national::Language;
use smpp_protocol::{Command, Dialect, EncodeError, Npi, Status, Tag, Tlvs, Ton, segment, tlv};

pub use segments::reference;
pub use text::encoding;
pub use version::Version;

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
    /// GSM 03.38.
    pub encoding: Encoding,
    /// What its SMSC does in its own way: its default alphabet, and names of parameters.
    pub dialect: Arc<Dialect>,
    /// National languages whose tables the GSM alphabet may be shifted to (3GPP TS 23.038,
    /// 6.2.1.2).
    pub languages: Vec<Language>,
    /// How long texts become parts.
    pub segmentation: Segmentation,
    /// Which version of SMPP goes to the SMSC.
    pub version: Version,
}

/// A message ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The PDU, or those of its parts one after another; each sequence_number is 0.
    pub pdu: Vec<u8>,
    /// How many PDUs these are: 1, or the number of parts.
    pub parts: usize,
    /// Whether the end of its text was left out.
    pub truncated: bool,
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
        let text = match error {
            EncodeError::TooLong { length, limit, .. } => {
                let length = smpp_protocol::octets(*length);
                format!("{field} has {length}, SMPP has room for {limit}: shorten it")
            }
            other => other.to_string(),
        };
        Refused::invalid(field, text)
    }
}

/// Buffers that one message after another uses.
#[derive(Default)]
struct Scratch {
    /// The text in its encoding.
    text: Vec<u8>,
    /// The information elements of its user data header.
    elements: Vec<u8>,
    /// What stands in short_message or message_payload of one PDU.
    user_data: Vec<u8>,
    /// The optional parameters.
    parameters: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Makes the submit_sm of a record that first stood at `position`, or the PDU of its other
/// operation.
///
/// Text whose record names neither encoding nor data_coding is written in that of `defaults`
/// (GSM 03.38, 3GPP TS 23.038, 6.2.1, one septet an octet), else in UCS-2. What does not fit into
/// one short message becomes parts, or message_payload, as the record or `defaults` say.
///
/// # Errors
///
/// A record whose fields SMPP cannot carry, whose text the encoding cannot express, or that
/// has expired by `now`.
pub fn prepare(
    record: &Outbound<'_>,
    defaults: &Defaults,
    position: &Position,
    now: Timestamp,
) -> Result<Message, Refused> {
    let sm = &record.sm;
    if let Some(at) = sm.expires_at.filter(|at| *at <= now) {
        return Err(Refused {
            kind: SendErrorKind::Expired,
            ..Refused::invalid(
                "expires_at",
                format!("expires_at, {at}, has passed: it is not sent any more"),
            )
        });
    }
    defaults.version.check(record)?;
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.text.clear();
        scratch.elements.clear();
        scratch.parameters.clear();
        let mut message = match record.operation {
            Operation::SubmitSm => build(sm, defaults, position, scratch)?,
            _ => requests::build(record, defaults, scratch)?,
        };
        message.expires_at = sm.expires_at;
        message.deadline = deadline(sm, now);
        message.max_resends = sm.max_resends.map(u32::from);
        // Asking once more does no harm.
        let harmless = record.operation.is_question().then_some(InDoubt::Resend);
        message.in_doubt = sm.in_doubt.or(harmless);
        Ok(message)
    })
}

fn build(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    position: &Position,
    scratch: &mut Scratch,
) -> Result<Message, Refused> {
    check_defined(record)?;
    let source = source(record, defaults)?;
    if record.destination.number.is_empty() {
        return Err(Refused::invalid(
            "destination",
            "destination is missing: write the recipient's number, such as \"+41791234567\"",
        ));
    }
    let destination = destination("destination", &record.destination)?;
    let Scratch { text, elements, .. } = &mut *scratch;
    let mut body = content::body(record, defaults, false, text, elements)?;
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
        source: source.address(),
        destination: destination.address(),
        esm_class: record.esm_class.unwrap_or(0),
        protocol_id: record.protocol_id.unwrap_or(0),
        priority_flag: record.priority_flag.unwrap_or(0),
        schedule_delivery_time: schedule.as_bytes(),
        validity_period: validity.as_bytes(),
        registered_delivery: registered,
        replace_if_present_flag: record.replace_if_present_flag.unwrap_or(0),
        data_coding: body.data_coding,
        sm_default_msg_id: record.sm_default_msg_id.unwrap_or(0),
        ..Sm::default()
    };
    let (text, elements) = (&scratch.text[..], scratch.elements.len());
    let truncated = segments::limit(record, defaults, text, elements, &mut body)?;
    if let (true, Some(end)) = (truncated, body.ends.last()) {
        scratch.text.truncate(*end);
    }
    let mut pdu = Vec::with_capacity(160 + scratch.text.len());
    if body.ends.len() > 1 {
        let names = &defaults.dialect.names;
        parameters::push(&record.tlvs, names, false, &mut scratch.parameters)?;
        let writing = segments::Writing {
            sm,
            method: body.method,
            reference: reference(position, sm.destination.number),
            elements: &scratch.elements,
            parameters: &scratch.parameters,
            encoding: body.encoding,
        };
        writing.write(&scratch.text, &body.ends, &mut pdu)?;
    } else {
        whole(record, defaults, &body, sm, scratch, &mut pdu)?;
    }
    Ok(Message {
        pdu,
        parts: body.ends.len(),
        truncated,
        registered: registered & REGISTERED_DELIVERY != 0,
        ..Message::default()
    })
}

/// Writes the message as one PDU.
fn whole(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    body: &content::Body,
    sm: Sm<'_>,
    scratch: &mut Scratch,
    pdu: &mut Vec<u8>,
) -> Result<(), Refused> {
    let Scratch {
        text,
        elements,
        user_data,
        parameters,
    } = scratch;
    user_data.clear();
    segment::push_user_data(elements, text, body.encoding, user_data)
        .map_err(|e| Refused::not_smpp(&e))?;
    let (length, header) = (text.len(), elements.len());
    let in_payload =
        segments::needs_payload(record, defaults, body, length, header, user_data.len());
    content::check_length(body.field, user_data.len(), in_payload)?;
    if in_payload {
        tlv::push_tlv(parameters, Tag::MESSAGE_PAYLOAD, user_data)
            .map_err(|e| Refused::not_smpp(&e))?;
    }
    let names = &defaults.dialect.names;
    parameters::push(&record.tlvs, names, in_payload, parameters)?;
    let header = if elements.is_empty() {
        0
    } else {
        UDH_INDICATOR
    };
    let sm = Sm {
        esm_class: sm.esm_class | header,
        short_message: if in_payload { &[] } else { user_data },
        tlvs: Tlvs::new(parameters),
        ..sm
    };
    sm.encode(Command::SUBMIT_SM, Status::ROK, 0, pdu)
        .map_err(|e| Refused::not_smpp(&e))
}

/// Values to which SMPP gives no meaning are not sent: priority_flag (SMPP 3.4, 5.2.14; 5.0 has
/// one more), registered_delivery (5.2.17), replace_if_present_flag (5.2.18), sm_default_msg_id
/// (5.2.20).
fn check_defined(record: &SubmitSm<'_>) -> Result<(), Refused> {
    for (field, given, most) in [
        ("priority_flag", record.priority_flag, HIGHEST_PRIORITY),
        (
            "registered_delivery",
            record.registered_delivery,
            REGISTERED_DELIVERY,
        ),
        ("replace_if_present_flag", record.replace_if_present_flag, 1),
        ("sm_default_msg_id", record.sm_default_msg_id, 254),
    ] {
        if let Some(value) = given.filter(|value| *value > most) {
            return Err(Refused::invalid(
                field,
                format!("{field}: SMPP has no meaning for {value}: use 0 to {most}"),
            ));
        }
    }
    Ok(())
}

/// The end of a message's life: that of its validity, or `expires_at` if it is earlier.
fn deadline(record: &SubmitSm<'_>, now: Timestamp) -> Option<Timestamp> {
    let validity = record.validity_period.and_then(|when| match when {
        When::At(at) => Some(at),
        When::After(time) => now.checked_add(time).ok(),
    });
    validity.into_iter().chain(record.expires_at).min()
}

/// The sender of a record, with what it leaves out inferred; nobody if there is none.
fn source<'a>(record: &'a SubmitSm<'_>, defaults: &'a Defaults) -> Result<Written<'a>, Refused> {
    let own = record.source.as_ref().filter(|a| !a.number.is_empty());
    let Some(from) = own.or(defaults.source.as_ref()) else {
        return Ok(Written::default());
    };
    let text = &*from.number;
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(bad("source", text, &BadAddress::Control(control)));
    }
    address("source", from, smpp_protocol::address::sender)
}

/// The recipient of a record or one of several; nobody if it is empty. What is written as a number
/// with blanks and dashes is one also where its type is named, unless that is a name's.
fn destination<'a>(field: &str, to: &'a submit_sm::Address<'_>) -> Result<Written<'a>, Refused> {
    if to.number.is_empty() {
        return Ok(Written::default());
    }
    let mut written = address(field, to, smpp_protocol::address::recipient)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#');
    if to.ton.is_some() && written.ton != Ton::ALPHANUMERIC && !to.number.chars().all(is_plain) {
        match smpp_protocol::address::recipient(&to.number) {
            Ok(number) => written.number = number.number,
            // Perhaps an address of another kind, such as that of a mailbox.
            Err(BadAddress::NoNumber) => {}
            Err(error) => return Err(bad(field, &to.number, &error)),
        }
    }
    Ok(written)
}

/// An address as SMPP has it. Whoever names the type knows how its numbers are written; of others
/// it is inferred.
fn address<'a>(
    field: &str,
    from: &'a submit_sm::Address<'_>,
    infer: impl Fn(&'a str) -> Result<Written<'a>, BadAddress>,
) -> Result<Written<'a>, Refused> {
    let text = &*from.number;
    let written = match from.ton {
        Some(ton) => Written {
            ton: Ton(ton),
            npi: smpp_protocol::address::infer(text).1,
            number: text.into(),
        },
        None => infer(text).map_err(|error| bad(field, text, &error))?,
    };
    ascii(field, &written.number)?;
    Ok(Written {
        npi: from.npi.map_or(written.npi, Npi),
        ..written
    })
}

fn bad(field: &str, text: &str, error: &BadAddress) -> Refused {
    Refused::invalid(field, format!("{field}, {text:?}, {error}"))
}

/// A time in SMPP's form: a point in time absolutely, in UTC, a length of time relatively.
fn time(field: &str, when: Option<When>) -> Result<String, Refused> {
    let written = match when {
        None => return Ok(String::new()),
        Some(When::At(at)) => smpp_protocol::time::absolute_utc(at),
        Some(When::After(time)) => smpp_protocol::time::relative(time),
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

#[cfg(test)]
mod tests;
