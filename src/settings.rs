//! Values as people write them in a configuration: durations and sizes with units.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

mod dialect;
mod segmentation;

pub use dialect::{Digits, IdForm, MessageIds, Number, Receipts, Vendor};
pub use segmentation::{Method as SegmentMethod, OnTooLong, Segmentation};
pub use written_units::{Octets, Time};

/// Writes a secret so that only its presence shows.
pub(crate) fn masked<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match secret.expose_secret() {
        "" => "",
        _ => "***",
    })
}

/// What becomes of a message that may have been sent and got no answer (crash, connection
/// lost, response timeout).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InDoubt {
    /// It is sent again: it arrives at least once, perhaps twice, and its result says
    /// `possible_duplicate`. For alerts.
    Resend,
    /// It is reported as a `SendError` of kind `OUTCOME_UNKNOWN`: it arrives at most once.
    /// For one-time passwords.
    #[default]
    Report,
}
