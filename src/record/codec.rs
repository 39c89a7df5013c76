//! The seam between records and their formats: pipelines hand structs to a [`Codec`] and get
//! octets, or the other way round, and do not know which format it is.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::aiosmpplib;
use super::avro::{self, Plan};
use super::cbor::{self, Internal};
use super::format::Format;
use super::json::{self, Invalid};
use super::kind::{Kind, Record};
use super::notices::RecordEmpty;
use super::outbound::Outbound;
use super::writers::{Lookup, WriterSchema, WriterSchemas};

thread_local! {
    /// Where a thread writes its values, one after the other: how long one is shows when it is written,
    /// and then it takes no more memory than that.
    static PAGE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A page that had to become larger is given back.
const KEPT: usize = 64 * 1024;

/// How the values of one topic are written and read. Cheap to clone.
#[derive(Clone, Default)]
pub struct Codec {
    format: Format,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    numbers: Vec<Number>,
    writers: Arc<WriterSchemas>,
}

/// What a registry calls the schema of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Which kind.
    pub kind: Kind,
    /// The schema's number.
    pub id: u32,
    /// The kind's place in it, if it is the Avro union of several.
    pub branch: Option<u8>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Codec").field(&self.format).finish()
    }
}

/// The codecs of the topics that are not outbound; each outbound topic's belongs to its account.
#[derive(Clone, Debug, Default)]
pub struct Codecs {
    /// Of `sms.responses`.
    pub responses: Codec,
    /// Of `sms.errors`.
    pub errors: Codec,
    /// Of `sms.receipts`.
    pub receipts: Codec,
    /// Of `sms.inbound`.
    pub inbound: Codec,
    /// Of `sms.notifications`.
    pub notifications: Codec,
    /// Of `sms.correlation`.
    pub correlation: Codec,
    /// Of `sms.deliveries`.
    pub deliveries: Codec,
}

/// Why a value was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is wrong, and will be wrong whenever it is read.
    #[error("{0}")]
    Invalid(Box<Invalid>),
    /// What is needed to read it is not here yet: the same value is to be tried again soon, and
    /// nothing behind it in its partition may overtake it.
    #[error("{0}")]
    Wait(String),
}

/// What a value needs to be read did not come: its schema is not here, and this is why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SchemaAway(String);

/// For how long what a value needs is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `read` reads, when what it needs for that is here. Blocks: for commands, which read one value
/// after the other.
///
/// # Errors
///
/// When what it needs does not come in ten seconds.
pub fn patiently<T>(
    mut read: impl FnMut() -> Result<T, Unread>,
) -> Result<Result<T, Box<Invalid>>, SchemaAway> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match read() {
            Ok(value) => return Ok(Ok(value)),
            Err(Unread::Invalid(invalid)) => return Ok(Err(invalid)),
            Err(Unread::Wait(why)) if Instant::now() >= deadline => return Err(SchemaAway(why)),
            Err(Unread::Wait(_)) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

impl From<Invalid> for Unread {
    fn from(invalid: Invalid) -> Self {
        Unread::Invalid(Box::new(invalid))
    }
}

/// A struct of ours that its format cannot express. Does not happen: tests hold structs and
/// schemas together.
#[derive(Debug, thiserror::Error)]
#[error("a {kind} cannot be written: {text}")]
pub struct Unwritable {
    /// Which kind of record.
    pub kind: &'static str,
    /// Why.
    pub text: String,
}

/// A value without what stands before it.
enum Body<'a> {
    Json(&'a [u8]),
    Avro(Kind, PlanRef, &'a [u8]),
    Cbor(Kind, &'a [u8]),
}

enum PlanRef {
    /// Of the schema with this number.
    Registered(u32, Arc<Plan>),
    Published(&'static Plan),
}

impl PlanRef {
    fn get(&self) -> &Plan {
        match self {
            PlanRef::Registered(_, plan) => plan,
            PlanRef::Published(plan) => plan,
        }
    }
}

impl Codec {
    /// The codec of a format without a registry.
    pub fn new(format: Format) -> Self {
        Codec {
            format,
            shared: Arc::default(),
        }
    }

    /// The codec of a format with a registry, which has these numbers for what is written.
    pub fn registered(format: Format, numbers: Vec<Number>, writers: Arc<WriterSchemas>) -> Self {
        Codec {
            format,
            shared: Arc::new(Shared { numbers, writers }),
        }
    }

    /// In which format it writes.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The octets of a record.
    ///
    /// # Errors
    ///
    /// None that our own records could cause.
    pub fn write<T: Record>(&self, record: &T) -> Result<Vec<u8>, Unwritable> {
        let mut page = PAGE.try_with(Cell::take).unwrap_or_default();
        page.clear();
        let written = self.write_to(record, &mut page);
        let octets = written.map(|()| page.as_slice().to_vec());
        if page.capacity() <= KEPT {
            // Without it the next begins with a new one.
            let _ = PAGE.try_with(|kept| kept.set(page));
        }
        octets
    }

    fn write_to<T: Record>(&self, record: &T, octets: &mut Vec<u8>) -> Result<(), Unwritable> {
        self.prefix(T::KIND, octets)?;
        let unwritable = |error: serde_json::Error| Unwritable {
            kind: T::KIND.name(),
            text: error.to_string(),
        };
        match self.format {
            Format::Avro | Format::AvroSingleObject => avro::write(record, octets)?,
            Format::Json | Format::JsonSchema => {
                json::write(record, octets).map_err(unwritable)?;
            }
            Format::Cbor => {
                if !record.cbor(octets) {
                    let kind = T::KIND.name();
                    let text = "only the internal topics have cbor".to_owned();
                    return Err(Unwritable { kind, text });
                }
            }
            Format::Aiosmpplib => {
                let event = json::to_vec(record).map_err(unwritable)?;
                aiosmpplib::write(&event, octets).map_err(unwritable)?;
            }
        }
        Ok(())
    }

    /// Like [`write`](Codec::write), for where nothing could be done about a failure: it is
    /// logged, and there are no octets.
    pub fn must_write<T: Record>(&self, record: &T) -> Vec<u8> {
        self.write(record).unwrap_or_else(|error| {
            RecordEmpty { error: &error }.emit();
            Vec::new()
        })
    }

    /// A record of an outbound topic, written in JSON, as the topic has it.
    ///
    /// # Errors
    ///
    /// When it is no such record in JSON.
    pub fn from_json(&self, text: &[u8]) -> Result<Vec<u8>, Invalid> {
        let wrong = |error: Unwritable| Invalid::because(error.to_string());
        if self.format == Format::Json {
            return Ok(text.to_vec());
        }
        let record = json::outbound(text)?;
        let mut octets = Vec::with_capacity(text.len() + 8);
        self.prefix(record.operation.kind(), &mut octets)
            .map_err(wrong)?;
        match self.format {
            Format::Json | Format::JsonSchema | Format::Aiosmpplib | Format::Cbor => {
                octets.extend(text);
            }
            Format::Avro | Format::AvroSingleObject => {
                octets.extend(avro::outbound_datum(&record).map_err(wrong)?);
            }
        }
        Ok(octets)
    }

    /// Appends what stands before a value of `kind`.
    fn prefix(&self, kind: Kind, octets: &mut Vec<u8>) -> Result<(), Unwritable> {
        let unwritable = |text: &str| Unwritable {
            kind: kind.name(),
            text: text.to_owned(),
        };
        match self.format {
            Format::Json | Format::Aiosmpplib | Format::Cbor => {}
            Format::AvroSingleObject => {
                let ours = kind.ours().ok_or_else(|| unwritable("it has no schema"))?;
                octets.extend(avro::MARKER);
                octets.extend(ours.fingerprint);
            }
            Format::Avro | Format::JsonSchema => {
                let number = self.shared.numbers.iter().find(|n| n.kind == kind);
                let number = number
                    .ok_or_else(|| unwritable("no schema of it is registered for the topic"))?;
                octets.push(0);
                octets.extend(number.id.to_be_bytes());
                // A branch of a union is written like a long: zigzag.
                octets.extend(
                    number
                        .branch
                        .filter(|_| self.format == Format::Avro)
                        .map(|b| b << 1),
                );
            }
        }
        Ok(())
    }

    /// Reads a record of an outbound topic.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn outbound<'a>(&self, octets: &'a [u8]) -> Result<Outbound<'a>, Unread> {
        match self.message(octets)? {
            Body::Json(text) => Ok(json::outbound(text)?),
            Body::Avro(kind, plan, datum) => {
                let read = match kind.operation() {
                    Some(operation) => avro::outbound(operation, plan.get(), datum),
                    None => Err(Invalid::because(format!(
                        "a {} is not what an outbound topic takes",
                        kind.name()
                    ))),
                };
                read.map_err(|invalid| self.blame(&plan, datum, invalid))
            }
            Body::Cbor(kind, _) => Err(misplaced(kind, "SubmitSm").into()),
        }
    }

    /// Like [`read`](Codec::read), of a topic that nobody writes but this program, in whichever of the
    /// formats without a registry: so the format of such a topic may change while it holds values. A
    /// schema that is none of this version's is one of a newer version's, and the record is for an owner
    /// of that.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn read_internal<T>(&self, octets: &[u8]) -> Result<T, Unread>
    where
        T: Record + Internal,
    {
        if self.format.is_registered() {
            return self.read(octets);
        }
        if let Some((print, _)) = avro::single_object(octets)
            && avro::published().iter().all(|p| p.fingerprint != print)
        {
            let print = u64::from_le_bytes(print);
            return Err(Unread::Wait(format!(
                "its schema, with fingerprint {print:016x}, is none of this version's: a newer version wrote it, and an owner of that version will read it"
            )));
        }
        match self.internal_body(octets)? {
            Body::Cbor(kind, fields) if kind == T::KIND => Ok(cbor::read(kind, fields)?),
            other => self.record(other),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn read<T: Record + DeserializeOwned>(&self, octets: &[u8]) -> Result<T, Unread> {
        self.record(self.body(octets)?)
    }

    fn record<T: Record + DeserializeOwned>(&self, body: Body<'_>) -> Result<T, Unread> {
        match body {
            Body::Json(text) => Ok(json::read(text)?),
            Body::Avro(kind, plan, datum) if kind == T::KIND => avro::record(plan.get(), datum)
                .map_err(|error| self.blame(&plan, datum, Invalid::because(error.to_string()))),
            Body::Avro(kind, plan, datum) => {
                let text = format!(
                    "a {} stands where a {} belongs",
                    kind.name(),
                    T::KIND.name()
                );
                Err(self.blame(&plan, datum, Invalid::because(text)))
            }
            Body::Cbor(kind, _) => Err(misplaced(kind, T::KIND.name()).into()),
        }
    }

    /// A value as JSON for people.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn shown(&self, octets: &[u8]) -> Result<serde_json::Value, Unread> {
        // What an internal topic held before its format was changed is shown, too.
        let body = match cbor::value(octets) {
            Some((kind, fields)) => Body::Cbor(kind, fields),
            None => self.body(octets)?,
        };
        match body {
            Body::Json(text) => Ok(json::read(text)?),
            Body::Cbor(kind, fields) => Ok(cbor::shown(kind, fields)?),
            Body::Avro(_, plan, datum) => avro::shown(plan.get(), datum)
                .map_err(|error| self.blame(&plan, datum, Invalid::because(error.to_string()))),
        }
    }

    /// Whether a record that cannot be read is wrong, or the schema that the registry gave for
    /// it: if its octets are not even what that schema says, it is asked for once more.
    fn blame(&self, plan: &PlanRef, datum: &[u8], invalid: Invalid) -> Unread {
        if let PlanRef::Registered(id, plan) = plan
            && !avro::Datum::new(plan, datum, avro::Octets::Raw).fits()
            && self.shared.writers.doubt(*id)
        {
            return Unread::Wait(format!(
                "its octets are not what schema {id} says; the schema registry is asked for that once more"
            ));
        }
        invalid.into()
    }

    /// What stands in a value of an outbound topic, which is never an event.
    fn message<'a>(&self, octets: &'a [u8]) -> Result<Body<'a>, Unread> {
        match self.format {
            Format::Aiosmpplib => Ok(Body::Json(octets)),
            _ => self.body(octets),
        }
    }

    /// What stands in a value of an internal topic, of whichever format without a registry it is.
    fn internal_body<'a>(&self, octets: &'a [u8]) -> Result<Body<'a>, Unread> {
        if let Some((kind, fields)) = cbor::value(octets) {
            return Ok(Body::Cbor(kind, fields));
        }
        if octets.starts_with(&avro::MARKER) {
            return Codec::single_object(octets);
        }
        Ok(Body::Json(octets))
    }

    fn single_object(octets: &[u8]) -> Result<Body<'_>, Unread> {
        let (print, datum) = avro::single_object(octets).ok_or_else(|| {
            Invalid::because("not a single object: those begin with C3 01 and a fingerprint")
        })?;
        let published = avro::published().iter().find(|p| p.fingerprint == print);
        let published = published.ok_or_else(|| {
            let print = u64::from_le_bytes(print);
            Invalid::because(format!(
                "its schema, with fingerprint {print:016x}, is none of this version's: write with the schemas of `kafka-smpp schemas show`"
            ))
        })?;
        let plan = PlanRef::Published(&published.plan);
        Ok(Body::Avro(published.kind, plan, datum))
    }

    /// Takes off what stands around a value, and looks up what it says.
    fn body<'a>(&self, octets: &'a [u8]) -> Result<Body<'a>, Unread> {
        match self.format {
            Format::Json => Ok(Body::Json(octets)),
            Format::Aiosmpplib => Ok(Body::Json(aiosmpplib::event(octets).unwrap_or(octets))),
            Format::Cbor => self.internal_body(octets),
            Format::AvroSingleObject => Codec::single_object(octets),
            Format::Avro | Format::JsonSchema => self.registered_body(octets),
        }
    }

    fn registered_body<'a>(&self, octets: &'a [u8]) -> Result<Body<'a>, Unread> {
        let Some((0, rest)) = octets.split_first().map(|(first, rest)| (*first, rest)) else {
            let text = "it does not begin with octet 0 and the number of its schema, as what is written with a schema registry does";
            return Err(Invalid::because(text).into());
        };
        let Some((id, body)) = rest.split_first_chunk() else {
            return Err(Invalid::because("it ends within the number of its schema").into());
        };
        let id = u32::from_be_bytes(*id);
        match self.shared.writers.get(id) {
            Lookup::Here(writer) => Codec::by(&writer, id, body),
            Lookup::Wanted => Err(Unread::Wait(format!(
                "schema {id} is not known yet; the schema registry is asked for it"
            ))),
            Lookup::Unknown => {
                let text = format!("the schema registry has no schema {id}");
                Err(Invalid::because(text).into())
            }
        }
    }

    /// The body of a value that was written with schema `id`.
    fn by<'a>(writer: &WriterSchema, id: u32, body: &'a [u8]) -> Result<Body<'a>, Unread> {
        match writer {
            WriterSchema::Json => Ok(Body::Json(body)),
            WriterSchema::Avro(kind, plan) => Ok(Body::Avro(
                *kind,
                PlanRef::Registered(id, plan.clone()),
                body,
            )),
            WriterSchema::Wrong(why) => {
                Err(Invalid::because(format!("its schema, {id}, does not fit: {why}")).into())
            }
            WriterSchema::Union(branches) => {
                let found = avro::branch(body);
                let found = found.and_then(|(n, datum)| Some((branches.get(n)?, datum)));
                let (writer, datum) = found.ok_or_else(|| {
                    Invalid::because(format!(
                        "its schema, {id}, is a union without such a branch"
                    ))
                })?;
                Codec::by(writer, id, datum)
            }
        }
    }

    /// A record of an internal topic in the one form in which processes keep records in memory, CBOR:
    /// `octets` themselves if they are that, otherwise `record`, which was read from them, written anew.
    pub fn kept<T: Record>(octets: &[u8], record: &T) -> Bytes {
        match cbor::value(octets) {
            Some(_) => Bytes::copy_from_slice(octets),
            None => Codec::new(Format::Cbor).must_write(record).into(),
        }
    }

    /// A record without what can be large, `extra_data` and `headers`, that says why: for a
    /// topic that does not take the whole. `None` if it said so already, or is no record.
    pub fn reduced(&self, octets: &[u8], why: &str) -> Option<Vec<u8>> {
        let (body, reduced) = match self.body(octets).ok()? {
            Body::Json(text) => (text, json::reduced(text, why)?),
            Body::Avro(kind, _, datum) => (datum, avro::reduced(kind, datum, why)?),
            Body::Cbor(kind, fields) => return cbor::reduced(kind, fields),
        };
        if self.format == Format::Aiosmpplib {
            let mut octets = Vec::with_capacity(reduced.len());
            aiosmpplib::write(&reduced, &mut octets).ok()?;
            return Some(octets);
        }
        let prefix = &octets[..octets.len() - body.len()];
        Some([prefix, &reduced].concat())
    }
}

/// A record of an internal topic stands where it does not belong.
fn misplaced(kind: Kind, belongs: &str) -> Invalid {
    Invalid::because(format!(
        "a {} stands where a {belongs} belongs",
        kind.name()
    ))
}

#[cfg(test)]
mod tests;
