//! The seam between records and their formats: pipelines hand structs to a [`Codec`] and get
//! octets, or the other way round, and do not know which format it is.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json::{self, Invalid};
use super::kind::Record;
use super::submit_sm::SubmitSm;

/// How the values of one topic are written and read. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Codec {}

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

impl Codec {
    /// The octets of a record.
    ///
    /// # Errors
    ///
    /// None that our own records could cause.
    pub fn write<T: Record>(&self, record: &T) -> Result<Vec<u8>, Unwritable> {
        json::to_vec(record).map_err(|error| Unwritable {
            kind: T::KIND.name(),
            text: error.to_string(),
        })
    }

    /// Like [`write`](Codec::write), for where nothing could be done about a failure: it is
    /// logged, and there are no octets.
    pub fn must_write<T: Record>(&self, record: &T) -> Vec<u8> {
        self.write(record).unwrap_or_else(|error| {
            tracing::error!(%error, "a record is empty");
            Vec::new()
        })
    }

    /// Reads a record of an outbound topic.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn submit_sm<'a>(&self, octets: &'a [u8]) -> Result<SubmitSm<'a>, Unread> {
        Ok(json::submit_sm(octets)?)
    }

    /// Reads a record of an internal topic.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not yet.
    pub fn read<T: Record + DeserializeOwned>(&self, octets: &[u8]) -> Result<T, Unread> {
        Ok(json::read(octets)?)
    }

    /// A record in the one form in which processes keep records in memory, JSON: `octets`
    /// themselves if they are that, otherwise `record`, which was read from them, written anew.
    pub fn kept<T: Record + Serialize>(&self, octets: &[u8], _record: &T) -> Bytes {
        Bytes::copy_from_slice(octets)
    }

    /// A record without what can be large, `extra_data` and `headers`, that says why: for a
    /// topic that does not take the whole. `None` if it said so already, or is no record.
    pub fn reduced(&self, octets: &[u8], why: &str) -> Option<Vec<u8>> {
        json::reduced(octets, why)
    }
}
