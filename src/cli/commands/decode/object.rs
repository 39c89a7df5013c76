//! A PDU as a JSON object, with the names of the specification.

use data_encoding::HEXLOWER;
use jiff::SpanRelativeTo;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::Place;
use super::message::Message;
use super::traced::Traced;
use crate::cli::capture::Origin;
use crate::cli::lines::Fault;
use smpp_protocol::pdu::anatomy::{Anatomy, Part, Value};
use smpp_protocol::time::Time;
use smpp_protocol::tlv::{Detail, Shape};
use smpp_protocol::{Header, Names, Tag, Tlv};

/// A PDU as a JSON object; what could not be read of the header is null.
#[derive(Serialize)]
pub(in crate::cli) struct Object {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(flatten)]
    origin: Option<Origin>,
    #[serde(flatten)]
    traced: Option<Traced>,
    command: Option<&'static str>,
    command_id: Option<u32>,
    command_length: Option<u32>,
    command_status: Option<u32>,
    command_status_name: Option<String>,
    sequence_number: Option<u32>,
    fields: Map<String, Json>,
    tlvs: Vec<Json>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    times: Map<String, Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
    malformed: bool,
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Object {
    /// `fault` is what kept the octets from being read.
    pub fn new(
        place: Place<'_>,
        anatomy: &Anatomy<'_>,
        message: Option<Message>,
        fault: Option<Fault>,
        names: &Names,
    ) -> Self {
        let header = |get: fn(&Header) -> u32| anatomy.header.as_ref().map(get);
        let (errors, warnings) = faults(anatomy, fault);
        let (line, origin, traced) = match place {
            Place::Line(number) => (Some(number), None, None),
            Place::Captured(origin) => (None, Some(origin.clone()), None),
            Place::Traced(traced) => (None, None, Some(traced.clone())),
            Place::Record => (None, None, None),
        };
        Object {
            line,
            origin,
            traced,
            command: anatomy.command().and_then(|command| command.name()),
            command_id: header(|header| header.command.0),
            command_length: anatomy.length,
            command_status: header(|header| header.status.0),
            command_status_name: (anatomy.header)
                .and_then(|header| names.known_status(header.status))
                .map(str::to_owned),
            sequence_number: header(|header| header.sequence),
            fields: fields(anatomy),
            tlvs: (anatomy.parts.iter())
                .filter_map(|part| tlv(part, names))
                .collect(),
            times: (anatomy.parts.iter()).filter_map(time_of).collect(),
            message,
            malformed: !errors.is_empty(),
            errors,
            warnings,
        }
    }
}

/// What is wrong and what is odd.
pub(super) fn faults(anatomy: &Anatomy<'_>, fault: Option<Fault>) -> (Vec<Fault>, Vec<Fault>) {
    if let Some(fault) = fault {
        return (vec![fault], Vec::new());
    }
    let told = |errors: bool| {
        let flaws = anatomy.flaws.iter();
        let chosen = flaws.filter(move |flaw| flaw.kind.is_error() == errors);
        let told = chosen.map(|flaw| Fault {
            code: flaw.code(),
            offset: Some(flaw.range.start),
            text: flaw.to_string(),
        });
        told.collect()
    };
    (told(true), told(false))
}

/// The fields of the body; a list is an array of objects after its count.
fn fields(anatomy: &Anatomy<'_>) -> Map<String, Json> {
    let mut fields = Map::new();
    for part in anatomy.parts.iter().skip(4) {
        if part.entry.is_none() {
            fields.extend(field(part));
        }
        let list = match part.name {
            "number_of_dests" => "dest_address",
            "no_unsuccess" => "unsuccess_sme",
            _ => continue,
        };
        fields.insert(list.into(), json!(entries(anatomy, list)));
    }
    fields
}

/// The entries of a list, each with its fields.
fn entries(anatomy: &Anatomy<'_>, list: &str) -> Vec<Map<String, Json>> {
    let mut entries: Vec<Map<_, _>> = Vec::new();
    for part in &anatomy.parts {
        let Some((of, index)) = part.entry else {
            continue;
        };
        if of == list && index == entries.len() {
            entries.push(Map::new());
        }
        if let Some(entry) = entries.last_mut().filter(|_| of == list) {
            entry.extend(field(part));
        }
    }
    entries
}

/// A field's name and value.
fn field(part: &Part<'_>) -> Option<(String, Json)> {
    match part.value {
        Value::Number(number) => Some((part.name.to_owned(), json!(number))),
        Value::Text(text) => Some((part.name.to_owned(), json!(latin1(text)))),
        Value::Octets(octets) => {
            Some((format!("{}_hex", part.name), json!(HEXLOWER.encode(octets))))
        }
        Value::Tlv(_) | Value::Unread => None,
    }
}

/// What the time in a field means; nothing if there is none or it cannot be read.
fn time_of(part: &Part<'_>) -> Option<(String, Json)> {
    let meaning = match part.time()?.ok()? {
        Time::Absolute(zoned) => json!({
            "kind": "absolute",
            "utc": zoned.timestamp(),
            "offset_minutes": zoned.offset().seconds() / 60,
        }),
        Time::Relative(span) => json!({
            "kind": "relative",
            "duration": span,
            // Months and years have a length only from a point in time on.
            "seconds": (span.get_years() == 0 && span.get_months() == 0)
                .then(|| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
                .flatten()
                .map(|duration| duration.as_secs()),
        }),
    };
    Some((part.name.to_owned(), meaning))
}

/// A TLV: its value as it is and, where SMPP gives it a type, as what it means.
fn tlv(part: &Part<'_>, names: &Names) -> Option<Json> {
    let Value::Tlv(tlv) = part.value else {
        return None;
    };
    Some(json!({
        "tag": tlv.tag.0,
        "name": names.tag(tlv.tag),
        "length": tlv.value.len(),
        "hex": HEXLOWER.encode(tlv.value),
        "value": meaning(&tlv),
        "offset": part.range.start,
    }))
}

/// The value of a TLV by its type, an object if it has parts; octets, and values of a wrong length,
/// are hexadecimal.
fn meaning(tlv: &Tlv<'_>) -> Json {
    match (tlv.tag.shape(), tlv.value) {
        (Some(Shape::Integer(_)), _) if tlv.has_valid_length() => json!(tlv.number()),
        (Some(Shape::CString(_)), _) => json!(latin1(tlv.text())),
        (_, [octet]) if tlv.tag == Tag::USSD_SERVICE_OP => json!(octet),
        _ => match (tlv.details(), tlv.characters()) {
            (Some(details), _) => details
                .into_iter()
                .map(detail)
                .collect::<Map<_, _>>()
                .into(),
            (None, Some(text)) => json!(latin1(text)),
            (None, None) => json!(HEXLOWER.encode(tlv.value)),
        },
    }
}

/// A part of a value.
fn detail((name, value): (&'static str, Detail<'_>)) -> (String, Json) {
    match value {
        Detail::Number(number) => (name.to_owned(), json!(number)),
        Detail::Text(text) => (name.to_owned(), json!(latin1(text))),
        Detail::Octets(octets) => (format!("{name}_hex"), json!(HEXLOWER.encode(octets))),
    }
}

/// Each octet as the character of its number, so that nothing is lost.
pub(super) fn latin1(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}
