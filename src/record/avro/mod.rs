//! Records as Avro. The schemas are those in `schemas/`; [`apache_avro`] parses and compares
//! them and writes our structs. What others wrote is read by a [`Plan`], made once for each of
//! their schemas.

mod history;
mod ours;
mod outbound;
mod plan;
mod read;
#[cfg(test)]
mod tests;
mod theirs;

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use history::{HISTORY, Published, Version, published};
pub use ours::{MARKER, Ours, fingerprint};
pub use outbound::datum as outbound_datum;
pub use plan::{Incompatible, Plan};
pub use read::{Datum, Error, Octets, branch};
pub use theirs::{NoSchema, writer, writer_apart};

use super::codec::Unwritable;
use super::json::Invalid;
use super::kind::{Kind, Record};
use super::outbound::{Operation, Outbound};

/// Appends a record of ours.
///
/// # Errors
///
/// None that our own records could cause.
pub fn write<T: Record>(record: &T, to: &mut Vec<u8>) -> Result<(), Unwritable> {
    let unwritable = |text: String| Unwritable {
        kind: T::KIND.name(),
        text,
    };
    let ours = T::KIND.ours();
    let ours = ours.ok_or_else(|| unwritable("its schema is none".to_owned()))?;
    let written = ours.writer.write_ser(to, record);
    written.map(drop).map_err(|e| unwritable(e.to_string()))
}

/// Reads a record of an outbound topic.
///
/// # Errors
///
/// When a field is not what SMPP or the plan says.
pub fn outbound<'a>(
    operation: Operation,
    plan: &Plan,
    datum: &'a [u8],
) -> Result<Outbound<'a>, Invalid> {
    let field = RefCell::new(None);
    let seed = super::read::Reader {
        operation,
        field: &field,
        avro: true,
    };
    let read = Datum::new(plan, datum, Octets::Raw).read(seed);
    read.map_err(|error| {
        let field = field.take();
        let text = match &field {
            Some(field) => format!("{field}: {error}"),
            None => format!("not a {} in Avro: {error}", operation.name()),
        };
        let (log_id, extra_data) = identity(plan, datum);
        Invalid {
            field,
            text,
            log_id,
            extra_data,
        }
    })
}

/// What lets the producer recognise a record that cannot be read.
fn identity(plan: &Plan, datum: &[u8]) -> (Option<String>, Option<Box<RawValue>>) {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct ProducerData {
        log_id: Option<String>,
        extra_data: Option<String>,
    }
    let identity: ProducerData = Datum::new(plan, datum, Octets::Raw)
        .read(std::marker::PhantomData)
        .unwrap_or_default();
    let extra = identity.extra_data.as_deref().map(super::extra::json);
    let extra = extra.map(std::borrow::Cow::into_owned);
    (identity.log_id.filter(|id| !id.is_empty()), extra)
}

/// Reads an internal record.
///
/// # Errors
///
/// When it is not what the plan says.
pub fn record<T: DeserializeOwned>(plan: &Plan, datum: &[u8]) -> Result<T, Error> {
    Datum::new(plan, datum, Octets::Raw).read(std::marker::PhantomData::<T>)
}

/// A datum as JSON for people: times as text, octets in hexadecimal.
///
/// # Errors
///
/// When it is not what the plan says.
pub fn shown(plan: &Plan, datum: &[u8]) -> Result<serde_json::Value, Error> {
    Datum::new(plan, datum, Octets::Hex).read(std::marker::PhantomData)
}

/// A datum of ours without `extra_data` and `headers`, or the octets of a message and its parts,
/// that says why; `None` if it says so already, or has no room to say it.
pub fn reduced(kind: Kind, datum: &[u8], why: &str) -> Option<Vec<u8>> {
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value;
    let ours = kind.ours()?;
    let reader = GenericDatumReader::builder(ours.schema).build().ok()?;
    let Value::Record(mut fields) = reader.read_value(&mut &*datum).ok()? else {
        return None;
    };
    let null = || Value::Union(0, Box::new(Value::Null));
    if fields.iter().all(|(name, _)| name != "error") {
        return None;
    }
    for (name, value) in &mut fields {
        match name.as_str() {
            "extra_data" => *value = null(),
            "headers" | "parts" => *value = Value::Array(Vec::new()),
            "octets" => *value = Value::Bytes(Vec::new()),
            "error" if *value != null() => return None,
            "error" => *value = Value::Union(1, Box::new(Value::String(why.to_owned()))),
            _ => {}
        }
    }
    ours.writer.write_value_to_vec(Value::Record(fields)).ok()
}

/// The rest of a datum in the single-object encoding, and the fingerprint of its schema.
pub fn single_object(octets: &[u8]) -> Option<([u8; 8], &[u8])> {
    let rest = octets.strip_prefix(&MARKER)?;
    rest.split_first_chunk().map(|(print, rest)| (*print, rest))
}
