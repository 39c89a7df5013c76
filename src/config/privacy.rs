//! Settings of what events say of people.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::record::shown::ShownNumbers;
use crate::settings::masked;

/// What events say of people; docs/privacy.md says what else is kept of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// How phone numbers stand in responses, errors and receipts (`source`, `destination`,
    /// `receipt_source`, `receipt_destination`, `unsuccess`): `full`; or `hash`, a keyed hash, the
    /// same for one number in all of them, and whether it is written with `+`, `00` or neither. Names
    /// and numbers of fewer than seven digits stay. Messages from phones keep their numbers, and
    /// so do the internal topics, by which receipts find their message.
    pub numbers: EventNumbers,
    /// The secret key of hashes, at least 16 characters, the same in all processes. Another one
    /// makes other hashes. Whoever knows it can find the number of a hash by trying.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub numbers_key: SecretString,
    /// File that holds the key, instead of `numbers_key`.
    #[schemars(example = "/run/secrets/numbers-key")]
    pub numbers_key_file: Option<PathBuf>,
}

/// How phone numbers stand in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventNumbers {
    /// As they are.
    #[default]
    Full,
    /// A keyed hash of them.
    Hash,
}

impl Privacy {
    /// What shows numbers as it is configured.
    pub fn shown(&self) -> ShownNumbers {
        match self.numbers {
            EventNumbers::Full => ShownNumbers::default(),
            EventNumbers::Hash => ShownNumbers::hashed(&self.numbers_key),
        }
    }
}
