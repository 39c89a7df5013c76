//! Records as JSON. No other module knows that they are.

use std::cell::RefCell;

use serde::de::{DeserializeOwned, DeserializeSeed};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::outbound::{Operation, Outbound};
use super::read::Reader;
use super::submit_sm::SubmitSm;

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Invalid {
    /// The field that is to blame, if one is.
    pub field: Option<String>,
    /// What was wrong, where, and what helps.
    pub text: String,
    /// The log id, if that much can be read.
    pub log_id: Option<String>,
    /// The extra data, if that much can be read.
    pub extra_data: Option<Box<RawValue>>,
}

/// Reads a record of an outbound topic. Unknown fields, fields that stand twice and values of
/// the wrong type are errors.
///
/// ```
/// use kafka_smpp::record::json;
///
/// let record = json::submit_sm(br#"{"destination": "+41791234567", "short_message": "hello"}"#)?;
/// assert_eq!(record.destination.number, "+41791234567");
///
/// let error = json::submit_sm(br#"{"destinatoin": "+41791234567"}"#).unwrap_err();
/// assert!(error.text.contains("did you mean `destination`?"));
/// # Ok::<(), json::Invalid>(())
/// ```
pub fn submit_sm(octets: &[u8]) -> Result<SubmitSm<'_>, Invalid> {
    read_as(octets, Operation::SubmitSm).map(|record| record.sm)
}

/// Reads a record of an outbound topic, whichever its `type` says it is; without one it is a
/// SubmitSm.
///
/// ```
/// use kafka_smpp::record::json;
/// use kafka_smpp::record::outbound::Operation;
///
/// let record = json::outbound(br#"{"type": "QuerySm", "message_id": "7F"}"#)?;
/// assert_eq!(record.operation, Operation::QuerySm);
///
/// let error = json::outbound(br#"{"type": "QuerySm", "short_message": "hi"}"#).unwrap_err();
/// assert_eq!(error.field.as_deref(), Some("short_message"));
/// # Ok::<(), json::Invalid>(())
/// ```
pub fn outbound(octets: &[u8]) -> Result<Outbound<'_>, Invalid> {
    // Nearly all are SubmitSm, so that is tried before anything is known.
    let first = read_as(octets, Operation::SubmitSm);
    let other = match &first {
        Ok(_) => None,
        Err(_) => operation(octets).filter(|o| *o != Operation::SubmitSm),
    };
    match other {
        Some(operation) => read_as(octets, operation),
        None => first,
    }
}

fn read_as(octets: &[u8], operation: Operation) -> Result<Outbound<'_>, Invalid> {
    let field = RefCell::new(None);
    let reader = Reader {
        operation,
        field: &field,
        avro: false,
    };
    let mut from = serde_json::Deserializer::from_slice(octets);
    let record = reader.deserialize(&mut from);
    record
        .and_then(|record| from.end().map(|()| record))
        .map_err(|error| Invalid::new(octets, operation, field.take(), &error))
}

/// The operation that a record names.
fn operation(octets: &[u8]) -> Option<Operation> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        name: String,
    }
    let typed: Typed = serde_json::from_slice(octets).ok()?;
    Operation::from_name(&typed.name)
}

impl Invalid {
    /// What is wrong, of a record of which nothing else is known.
    pub fn because(text: impl Into<String>) -> Self {
        Invalid {
            field: None,
            text: text.into(),
            log_id: None,
            extra_data: None,
        }
    }

    fn new(
        octets: &[u8],
        operation: Operation,
        field: Option<String>,
        error: &serde_json::Error,
    ) -> Self {
        let text = match (&field, octets.first()) {
            (_, None) => "the record is empty: write a JSON object".to_owned(),
            (_, Some(0)) => {
                "not JSON: it begins with octet 0, as Avro with a schema registry does".to_owned()
            }
            (Some(field), _) => format!("{field}: {error}"),
            (None, _) => format!("not a {} in JSON: {error}", operation.name()),
        };
        let identity: ProducerData<'_> = serde_json::from_slice(octets).unwrap_or_default();
        Invalid {
            field,
            text,
            log_id: identity.log_id.filter(|id| !id.is_empty()),
            extra_data: identity.extra_data.map(ToOwned::to_owned),
        }
    }
}

/// What lets the producer recognise a record that cannot be read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProducerData<'a> {
    log_id: Option<String>,
    #[serde(borrow)]
    extra_data: Option<&'a RawValue>,
}

/// Reads a record of an internal topic.
///
/// # Errors
///
/// When it is not JSON, or not that record.
pub fn read<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Invalid> {
    serde_json::from_slice(octets).map_err(|error| Invalid::because(unquoted(&error.to_string())))
}

/// What is wrong, without the string that it quotes: it goes into the log, and a string may be the
/// text of a message.
fn unquoted(error: &str) -> String {
    let between = |(first, last): (Option<usize>, Option<usize>)| {
        let (before, _) = error.split_at_checked(first? + 1)?;
        let (_, after) = error.split_at_checked(last?)?;
        Some(format!("{before}…{after}"))
    };
    let quoted = (error.find('"'), error.rfind('"'));
    let name = (error.find('`'), error.find("`, "));
    let unknown = error.starts_with("unknown ");
    let found = between(quoted).or_else(|| between(name).filter(|_| unknown));
    found.unwrap_or_else(|| error.to_owned())
}

/// A record without what can be large, `extra_data` and `headers`, or the octets of a message
/// and its parts, that says why; `None` if it said so already, or is no record.
pub fn reduced(octets: &[u8], why: &str) -> Option<Vec<u8>> {
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(octets).ok()?;
    if fields.contains_key("error") {
        return None;
    }
    for large in ["extra_data", "headers", "octets_hex", "parts"] {
        fields.shift_remove(large);
    }
    fields.insert("error".to_owned(), why.into());
    to_vec(&fields).ok()
}

/// An event as JSON.
///
/// # Errors
///
/// None that our own events could cause: their keys are strings and their values print.
pub fn to_vec<T: Serialize + ?Sized>(event: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut octets = Vec::with_capacity(768);
    write(event, &mut octets)?;
    Ok(octets)
}

/// Appends an event as JSON.
///
/// # Errors
///
/// As [`to_vec`].
pub fn write<T: Serialize + ?Sized>(event: &T, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(to, event)
}

#[cfg(test)]
mod tests;
