//! What the value of a field means, in words.

use super::message::kind;
use super::screen::quoted;
use smpp_protocol::pdu::anatomy::{Part, Value};
use smpp_protocol::pdu::{REPLY_PATH, UDH_INDICATOR};
use smpp_protocol::text::{Alphabet, Encoding};
use smpp_protocol::time::Time;
use smpp_protocol::tlv::{Detail, Shape};
use smpp_protocol::{Command, MessageState, Names, Npi, Status, Tag, Tlv, Ton};

/// What a part holds, in words.
pub(super) fn of(part: &Part<'_>, names: &Names) -> String {
    match part.value {
        Value::Number(number) if is_code(part.name) => number_of(part.name, number, names),
        Value::Number(number) => with_words(number, field(part.name, number)),
        Value::Text(text) => match part.time() {
            Some(Ok(time)) => with_words(quoted(text), date(&time)),
            _ => quoted(text),
        },
        Value::Octets(octets) => quoted(octets),
        Value::Tlv(tlv) => self::tlv(&tlv, names),
        Value::Unread => String::new(),
    }
}

fn with_words(value: impl std::fmt::Display, words: String) -> String {
    if words.is_empty() {
        value.to_string()
    } else {
        format!("{value}  {words}")
    }
}

/// Whether a number is better known by its name.
fn is_code(name: &str) -> bool {
    matches!(name, "command_id" | "command_status" | "error_status_code")
}

fn date(time: &Time) -> String {
    match time {
        Time::Absolute(zoned) => zoned.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
        Time::Relative(span) => span.to_string(),
    }
}

fn field(name: &str, number: u32) -> String {
    let Ok(octet) = u8::try_from(number) else {
        return String::new();
    };
    let known = |name: Option<&'static str>| name.unwrap_or_default().to_owned();
    match name {
        "esm_class" => esm_class(octet),
        "data_coding" => Encoding::of(octet, Alphabet::default()).name().to_owned(),
        "registered_delivery" => registered_delivery(octet),
        "message_state" => known(MessageState::from_value(octet).map(MessageState::name)),
        "interface_version" if octet & 0x0F < 10 => format!("{}.{}", octet >> 4, octet & 0x0F),
        name if name.ends_with("_ton") => known(Ton(octet).name()),
        name if name.ends_with("_npi") => known(Npi(octet).name()),
        _ => String::new(),
    }
}

fn number_of(name: &str, number: u32, names: &Names) -> String {
    match name {
        "command_id" => Command(number).to_string(),
        "command_status" | "error_status_code" => names.status(Status(number)).into_owned(),
        _ => number.to_string(),
    }
}

fn esm_class(esm_class: u8) -> String {
    let mode = ["", "datagram", "forward", "store and forward"];
    let mode = mode
        .get(usize::from(esm_class & 3))
        .copied()
        .unwrap_or_default();
    let with = |bit: u8, words: &'static str| if esm_class & bit == 0 { "" } else { words };
    let udh = with(UDH_INDICATOR, "user data header");
    let reply = with(REPLY_PATH, "reply path");
    let kind = kind(esm_class);
    let words = [&kind, mode, udh, reply];
    let told: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    told.join(", ")
}

/// SMPP 3.4 §5.2.17.
fn registered_delivery(bits: u8) -> String {
    let receipt = match bits & 3 {
        0 => "no receipt",
        1 => "receipt",
        2 => "receipt on failure",
        _ => "receipt on success",
    };
    let acknowledged = match bits >> 2 & 3 {
        0 => "",
        1 => ", delivery acknowledgement",
        2 => ", user acknowledgement",
        _ => ", both acknowledgements",
    };
    let notified = if bits & 0x10 == 0 {
        ""
    } else {
        ", intermediate notifications"
    };
    format!("{receipt}{acknowledged}{notified}")
}

fn tlv(tlv: &Tlv<'_>, names: &Names) -> String {
    let tag = match (tlv.tag.name(), names.tag(tlv.tag)) {
        (Some(_), _) => String::new(),
        (None, Some(own)) => format!("{own} ({}): ", tlv.tag),
        (None, None) => format!("{}: ", tlv.tag),
    };
    let value = match (tlv.tag.shape(), tlv.number()) {
        (Some(Shape::Integer(_)), Some(number)) if tlv.tag == Tag::MESSAGE_STATE => {
            with_words(number, field("message_state", number))
        }
        (Some(Shape::Integer(_)), Some(number)) => number.to_string(),
        (Some(Shape::CString(_)), _) => quoted(tlv.text()),
        _ if tlv.tag == Tag::MESSAGE_PAYLOAD => quoted(tlv.value),
        _ => match (tlv.details(), tlv.characters()) {
            (Some(details), _) => {
                let told: Vec<_> = details.into_iter().map(detail).collect();
                told.join(", ")
            }
            (None, Some(text)) => quoted(text),
            (None, None) => format!("{} octets", tlv.value.len()),
        },
    };
    tag + &value
}

fn detail((name, value): (&'static str, Detail<'_>)) -> String {
    match value {
        Detail::Number(number) => format!("{name} {number}"),
        Detail::Text(text) => format!("{name} {}", quoted(text)),
        Detail::Octets(octets) => format!("{name} of {} octets", octets.len()),
    }
}
