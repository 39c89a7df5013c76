//! The seam between records and their formats: pipelines hand structs to a [`Codec`] and get
//! octets, or the other way round, and do not know which format it is.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::avro::{self, Plan};
use super::format::Format;
use super::json::{self, Invalid};
use super::kind::{Kind, Record};
use super::outbound::Outbound;
use super::submit_sm::SubmitSm;
use super::writers::{Known, Writer, Writers};

/// How the values of one topic are written and read. Cheap to clone.
#[derive(Clone, Default)]
pub struct Codec {
    format: Format,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The number of each kind's schema in the registry.
    numbers: Vec<(Kind, u32)>,
    writers: Arc<Writers>,
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
}

enum PlanRef {
    Registered(Arc<Plan>),
    Published(&'static Plan),
}

impl PlanRef {
    fn get(&self) -> &Plan {
        match self {
            PlanRef::Registered(plan) => plan,
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
    pub fn registered(format: Format, numbers: Vec<(Kind, u32)>, writers: Arc<Writers>) -> Self {
        Codec {
            format,
            shared: Arc::new(Shared { numbers, writers }),
        }
    }

    /// The octets of a record.
    ///
    /// # Errors
    ///
    /// None that our own records could cause.
    pub fn write<T: Record>(&self, record: &T) -> Result<Vec<u8>, Unwritable> {
        let mut octets = self.prefix(T::KIND)?;
        match self.format {
            Format::Avro | Format::AvroSingleObject => avro::write(record, &mut octets)?,
            Format::Json | Format::JsonSchema => {
                json::write(record, &mut octets).map_err(|error| Unwritable {
                    kind: T::KIND.name(),
                    text: error.to_string(),
                })?;
            }
        }
        Ok(octets)
    }

    /// Like [`write`](Codec::write), for where nothing could be done about a failure: it is
    /// logged, and there are no octets.
    pub fn must_write<T: Record>(&self, record: &T) -> Vec<u8> {
        self.write(record).unwrap_or_else(|error| {
            tracing::error!(%error, "a record is empty");
            Vec::new()
        })
    }

    /// A message to be sent, written in JSON, as the topic has it.
    ///
    /// # Errors
    ///
    /// When it is no message in JSON.
    pub fn from_json(&self, text: &[u8]) -> Result<Vec<u8>, Invalid> {
        let wrong = |error: Unwritable| Invalid::because(error.to_string());
        let mut octets = self.prefix(Kind::SubmitSm).map_err(wrong)?;
        match self.format {
            Format::Avro | Format::AvroSingleObject => {
                let record = json::submit_sm(text)?;
                octets.extend(avro::submit_sm_datum(&record).map_err(wrong)?);
            }
            Format::Json | Format::JsonSchema => octets.extend(text),
        }
        Ok(octets)
    }

    /// What stands before a value of `kind`.
    fn prefix(&self, kind: Kind) -> Result<Vec<u8>, Unwritable> {
        let mut octets = Vec::with_capacity(768);
        let unwritable = |text: &str| Unwritable {
            kind: kind.name(),
            text: text.to_owned(),
        };
        match self.format {
            Format::Json => {}
            Format::AvroSingleObject => {
                let ours = kind.ours().ok_or_else(|| unwritable("it has no schema"))?;
                octets.extend(avro::MARKER);
                octets.extend(ours.fingerprint);
            }
            Format::Avro | Format::JsonSchema => {
                let number = self.shared.numbers.iter().find(|(k, _)| *k == kind);
                let number = number.ok_or_else(|| unwritable("its schema is not registered"))?;
                octets.push(0);
                octets.extend(number.1.to_be_bytes());
            }
        }
        Ok(octets)
    }

    /// Reads a record of an outbound topic.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn submit_sm<'a>(&self, octets: &'a [u8]) -> Result<SubmitSm<'a>, Unread> {
        Ok(match self.body(octets)? {
            Body::Json(text) => json::submit_sm(text)?,
            Body::Avro(_, plan, datum) => avro::submit_sm(plan.get(), datum)?,
        })
    }

    /// Reads a record of an outbound topic that may be any operation.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn outbound<'a>(&self, octets: &'a [u8]) -> Result<Outbound<'a>, Unread> {
        Ok(match self.body(octets)? {
            Body::Json(text) => json::outbound(text)?,
            Body::Avro(_, plan, datum) => avro::submit_sm(plan.get(), datum)?.into(),
        })
    }

    /// Reads a record of an internal topic.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn read<T: Record + DeserializeOwned>(&self, octets: &[u8]) -> Result<T, Unread> {
        match self.body(octets)? {
            Body::Json(text) => Ok(json::read(text)?),
            Body::Avro(kind, plan, datum) if kind == T::KIND => avro::record(plan.get(), datum)
                .map_err(|error| Invalid::because(error.to_string()).into()),
            Body::Avro(kind, ..) => {
                let text = format!(
                    "a {} stands where a {} belongs",
                    kind.name(),
                    T::KIND.name()
                );
                Err(Invalid::because(text).into())
            }
        }
    }

    /// A value as JSON for people.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn shown(&self, octets: &[u8]) -> Result<serde_json::Value, Unread> {
        match self.body(octets)? {
            Body::Json(text) => Ok(json::read(text)?),
            Body::Avro(_, plan, datum) => avro::shown(plan.get(), datum)
                .map_err(|error| Invalid::because(error.to_string()).into()),
        }
    }

    /// Takes off what stands before a value, and looks up what it says.
    fn body<'a>(&self, octets: &'a [u8]) -> Result<Body<'a>, Unread> {
        match self.format {
            Format::Json => Ok(Body::Json(octets)),
            Format::AvroSingleObject => {
                let (print, datum) = avro::single_object(octets).ok_or_else(|| {
                    Invalid::because(
                        "not a single object: those begin with C3 01 and a fingerprint",
                    )
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
            Known::Wanted => Err(Unread::Wait(format!(
                "schema {id} is not known yet; the schema registry is asked for it"
            ))),
            Known::Unknown => {
                let text = format!("the schema registry has no schema {id}");
                Err(Invalid::because(text).into())
            }
            Known::Here(Writer::Wrong(why)) => {
                Err(Invalid::because(format!("its schema, {id}, does not fit: {why}")).into())
            }
            Known::Here(Writer::Json) => Ok(Body::Json(body)),
            Known::Here(Writer::Avro(kind, plan)) => {
                Ok(Body::Avro(kind, PlanRef::Registered(plan), body))
            }
        }
    }

    /// A record in the one form in which processes keep records in memory, JSON: `octets`
    /// themselves if they are that, otherwise `record`, which was read from them, written anew.
    pub fn kept<T: Record>(&self, octets: &[u8], record: &T) -> Bytes {
        match self.format {
            Format::Json => Bytes::copy_from_slice(octets),
            _ => Codec::default().must_write(record).into(),
        }
    }

    /// A record without what can be large, `extra_data` and `headers`, that says why: for a
    /// topic that does not take the whole. `None` if it said so already, or is no record.
    pub fn reduced(&self, octets: &[u8], why: &str) -> Option<Vec<u8>> {
        let (body, reduced) = match self.body(octets).ok()? {
            Body::Json(text) => (text, json::reduced(text, why)?),
            Body::Avro(kind, _, datum) => (datum, avro::reduced(kind, datum, why)?),
        };
        let prefix = &octets[..octets.len() - body.len()];
        Some([prefix, &reduced].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::super::internal::Owner;
    use super::*;

    fn owner() -> Owner {
        Owner {
            nonce: "n".into(),
            writer: "w".into(),
        }
    }

    fn registered() -> (Codec, Arc<Writers>) {
        let writers = Arc::new(Writers::default());
        let numbers = vec![(Kind::Owner, 7)];
        let codec = Codec::registered(Format::Avro, numbers, writers.clone());
        (codec, writers)
    }

    #[test]
    fn every_format_reads_what_it_writes() {
        let (avro, writers) = registered();
        let schema = Kind::Owner.ours().unwrap().schema;
        let plan = Arc::new(Plan::new(schema, schema).unwrap());
        writers.learn(7, Some(Writer::Avro(Kind::Owner, plan)));
        writers.learn(8, Some(Writer::Json));
        let json = Codec::registered(Format::JsonSchema, vec![(Kind::Owner, 8)], writers);
        for codec in [
            Codec::default(),
            Codec::new(Format::AvroSingleObject),
            avro,
            json,
        ] {
            let octets = codec.write(&owner()).unwrap();
            assert_eq!(codec.read::<Owner>(&octets).unwrap(), owner(), "{codec:?}");
            assert_eq!(codec.shown(&octets).unwrap()["nonce"], "n");
            assert_eq!(
                &*codec.kept(&octets, &owner()),
                br#"{"nonce":"n","writer":"w"}"#
            );
        }
    }

    #[test]
    fn a_schema_that_is_not_here_is_waited_for_and_an_unknown_one_is_not() {
        let (codec, writers) = registered();
        let octets = codec.write(&owner()).unwrap();
        assert_eq!(octets[..5], [0, 0, 0, 0, 7]);
        assert!(matches!(codec.read::<Owner>(&octets), Err(Unread::Wait(_))));
        writers.learn(7, None);
        assert!(matches!(
            codec.read::<Owner>(&octets),
            Err(Unread::Invalid(_))
        ));
    }

    #[test]
    fn what_is_no_record_of_its_format_says_what_it_lacks() {
        let (avro, _) = registered();
        let single = Codec::new(Format::AvroSingleObject);
        for (codec, octets, said) in [
            (&avro, &b"{}"[..], "octet 0"),
            (&avro, &[0, 0, 0], "ends within"),
            (&avro, &[], "octet 0"),
            (&single, &[0xC3, 1, 2], "C3 01"),
            (
                &single,
                &[0xC3, 1, 0, 0, 0, 0, 0, 0, 0, 0x2a],
                "2a00000000000000",
            ),
        ] {
            let error = codec.submit_sm(octets).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_message_from_the_command_line_is_written_in_any_format() {
        let json = br#"{"destination":"4179","short_message":"hi"}"#;
        let codec = Codec::new(Format::AvroSingleObject);
        let octets = codec.from_json(json).unwrap();
        assert_eq!(codec.submit_sm(&octets).unwrap().destination.number, "4179");
        assert_eq!(Codec::default().from_json(json).unwrap(), json);
    }
}
