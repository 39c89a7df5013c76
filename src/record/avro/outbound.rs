//! An outbound record as a datum: what the command line writes onto outbound topics.

use std::borrow::Cow;

use apache_avro::Schema;
use apache_avro::types::Value;

use super::super::codec::Unwritable;
use super::super::extra;
use super::super::outbound::{Destination, Operation, Outbound};
use super::super::submit_sm::{
    Address, Content, ErrorHandling, Segmentation, TagName, Tlv, TlvValue, When,
};
use crate::settings::{InDoubt, OnTooLong, SegmentMethod};
use smpp_protocol::text::Class;

/// The datum of a record.
///
/// # Errors
///
/// When a number is larger than Avro's, or a field that the operation needs is missing.
pub fn datum(record: &Outbound<'_>) -> Result<Vec<u8>, Unwritable> {
    let kind = record.operation.kind();
    let unwritable = |text: String| Unwritable {
        kind: kind.name(),
        text,
    };
    let ours = kind.ours();
    let ours = ours.ok_or_else(|| unwritable("its schema is none".to_owned()))?;
    let fields = fields(record).map(|(name, value)| (name.to_owned(), value));
    if let Some(missing) = missing(ours.schema, &fields) {
        return Err(unwritable(format!("{missing} is missing")));
    }
    // What the operation has no field for is unset, and left out here.
    let value = Value::Record(fields.into());
    let resolved = value.resolve(ours.schema);
    let written = resolved.and_then(|value| ours.writer.write_value_to_vec(value));
    written.map_err(|error| unwritable(error.to_string()))
}

/// A field that the schema needs and the record lacks.
fn missing<'s>(schema: &'s Schema, fields: &[(String, Value)]) -> Option<&'s str> {
    let Schema::Record(record) = schema else {
        return None;
    };
    let unset = |name: &str| fields.iter().any(|(n, v)| n == name && *v == Value::Null);
    let mut needed = record.fields.iter().filter(|field| field.default.is_none());
    needed
        .find(|field| unset(&field.name))
        .map(|field| &*field.name)
}

fn fields(outbound: &Outbound<'_>) -> [(&'static str, Value); 28] {
    let record = &outbound.sm;
    let octet = |value: Option<u8>| opt(value, |n| Value::Int(n.into()));
    let text = |value: &Option<Cow<'_, str>>| match value {
        None => Value::Null,
        Some(text) => Value::String(text.to_string()),
    };
    [
        ("log_id", text(&record.log_id)),
        (
            "extra_data",
            opt(record.extra_data.as_ref(), |json| {
                Value::String(extra::text(json).into_owned())
            }),
        ),
        ("short_message", content(&record.short_message)),
        ("message_payload", content(&record.message_payload)),
        ("source", opt(record.source.as_ref(), address)),
        (
            "destination",
            match outbound.operation {
                Operation::CancelSm if record.destination == Address::default() => Value::Null,
                _ => address(&record.destination),
            },
        ),
        (
            "destinations",
            Value::Array(outbound.destinations.iter().map(destination).collect()),
        ),
        ("message_id", text(&outbound.message_id)),
        ("service_type", text(&record.service_type)),
        ("esm_class", octet(record.esm_class)),
        ("protocol_id", octet(record.protocol_id)),
        ("priority_flag", octet(record.priority_flag)),
        (
            "schedule_delivery_time",
            when(record.schedule_delivery_time),
        ),
        ("validity_period", when(record.validity_period)),
        ("registered_delivery", octet(record.registered_delivery)),
        (
            "replace_if_present_flag",
            octet(record.replace_if_present_flag),
        ),
        ("data_coding", octet(record.data_coding)),
        ("message_class", opt(record.message_class, message_class)),
        ("encoding", text(&record.encoding)),
        ("sm_default_msg_id", octet(record.sm_default_msg_id)),
        (
            "tlvs",
            Value::Array(record.tlvs.iter().map(parameter).collect()),
        ),
        (
            "auto_message_payload",
            opt(record.auto_message_payload, Value::Boolean),
        ),
        (
            "udh",
            opt(record.udh.as_ref(), |udh| {
                Value::Bytes(match udh {
                    Content::Text(text) => text.as_bytes().to_vec(),
                    Content::Octets(octets) => octets.clone(),
                })
            }),
        ),
        ("segmentation", segmentation(record.segmentation)),
        ("error_handling", opt(record.error_handling, handling)),
        ("in_doubt", opt(record.in_doubt, in_doubt)),
        ("max_resends", octet(record.max_resends)),
        (
            "expires_at",
            opt(record.expires_at, |at| {
                Value::TimestampMicros(at.as_microsecond())
            }),
        ),
    ]
}

/// A union of null and something.
fn opt<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
    match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(make(value))),
    }
}

/// A union of null, text and octets.
fn content(content: &Option<Content<'_>>) -> Value {
    let (branch, value) = match content {
        None => (0, Value::Null),
        Some(Content::Text(text)) => (1, Value::String(text.to_string())),
        Some(Content::Octets(octets)) => (2, Value::Bytes(octets.to_vec())),
    };
    Value::Union(branch, Box::new(value))
}

fn address(address: &Address<'_>) -> Value {
    let octet = |value: Option<u8>| opt(value, |n| Value::Int(n.into()));
    Value::Record(vec![
        (
            "number".to_owned(),
            Value::String(address.number.to_string()),
        ),
        ("ton".to_owned(), octet(address.ton)),
        ("npi".to_owned(), octet(address.npi)),
    ])
}

/// A union of a number and a list.
fn destination(destination: &Destination<'_>) -> Value {
    match destination {
        Destination::Number(number) => Value::Union(0, Box::new(address(number))),
        Destination::List(name) => {
            let list = vec![("list".to_owned(), Value::String(name.to_string()))];
            Value::Union(1, Box::new(Value::Record(list)))
        }
    }
}

/// A union of null, a time and a duration.
fn when(when: Option<When>) -> Value {
    let (branch, value) = match when {
        None => (0, Value::Null),
        Some(When::At(at)) => (1, Value::TimestampMicros(at.as_microsecond())),
        Some(When::After(time)) => (2, Value::String(time.to_string())),
    };
    Value::Union(branch, Box::new(value))
}

fn segmentation(segmentation: Segmentation) -> Value {
    let Segmentation {
        method,
        max_parts,
        on_too_long,
    } = segmentation;
    let given = (segmentation != Segmentation::default()).then_some(());
    opt(given, |()| {
        // A symbol is found by its name.
        let method = method.map(|method| match method {
            SegmentMethod::Auto => "auto",
            SegmentMethod::Udh8 => "udh8",
            SegmentMethod::Udh16 => "udh16",
            SegmentMethod::Sar => "sar",
            SegmentMethod::Payload => "payload",
        });
        let on_too_long = on_too_long.map(|what| match what {
            OnTooLong::Reject => "reject",
            OnTooLong::Truncate => "truncate",
        });
        let symbol = |name: &str| Value::String(name.to_owned());
        Value::Record(vec![
            ("method".to_owned(), opt(method, symbol)),
            (
                "max_parts".to_owned(),
                opt(max_parts, |n| Value::Int(n.into())),
            ),
            ("on_too_long".to_owned(), opt(on_too_long, symbol)),
        ])
    })
}

fn parameter(tlv: &Tlv<'_>) -> Value {
    let tag = match &tlv.tag {
        TagName::Number(number) => Value::Union(0, Box::new(Value::Int((*number).into()))),
        TagName::Name(name) => Value::Union(1, Box::new(Value::String(name.to_string()))),
    };
    let (branch, value) = match &tlv.value {
        TlvValue::Flag(flag) => (0, Value::Boolean(*flag)),
        // Octets of SMPP hold less; what does not fit is refused when it is read.
        TlvValue::Number(n) => (1, Value::Long(i64::try_from(*n).unwrap_or(i64::MAX))),
        TlvValue::Content(Content::Text(text)) => (2, Value::String(text.to_string())),
        TlvValue::Content(Content::Octets(octets)) => (3, Value::Bytes(octets.to_vec())),
    };
    Value::Record(vec![
        ("tag".to_owned(), tag),
        ("value".to_owned(), Value::Union(branch, Box::new(value))),
    ])
}

fn handling(handling: ErrorHandling) -> Value {
    match handling {
        ErrorHandling::Strict => Value::Enum(0, "strict".to_owned()),
        ErrorHandling::Ignore => Value::Enum(1, "ignore".to_owned()),
        ErrorHandling::Replace => Value::Enum(2, "replace".to_owned()),
        ErrorHandling::Transliterate => Value::Enum(3, "transliterate".to_owned()),
    }
}

fn message_class(class: Class) -> Value {
    let name = Class::ALL.into_iter().find(|(known, _)| *known == class);
    Value::Enum(class as u32, name.map_or("", |(_, name)| name).to_owned())
}

fn in_doubt(in_doubt: InDoubt) -> Value {
    match in_doubt {
        InDoubt::Resend => Value::Enum(0, "resend".to_owned()),
        InDoubt::Report => Value::Enum(1, "report".to_owned()),
    }
}
