//! The formats that values of topics may have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the values of a topic are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Plain JSON.
    #[default]
    Json,
    /// JSON behind the number of its schema in a schema registry (Confluent's wire format).
    JsonSchema,
    /// Avro behind the number of its schema in a schema registry (Confluent's wire format).
    Avro,
    /// Avro behind the fingerprint of its schema (Avro's single-object encoding): no registry,
    /// but only schemas of this connector, in any version up to this one.
    AvroSingleObject,
    /// CBOR behind a tag for its kind: of internal topics only.
    Cbor,
    /// JSON that aiosmpplib's `json_decode` reads. On outbound topics the same as `json`, which
    /// reads what its `json_encode` writes.
    Aiosmpplib,
}

impl Format {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Aiosmpplib => "aiosmpplib",
            Format::JsonSchema => "json_schema",
            Format::Avro => "avro",
            Format::AvroSingleObject => "avro_single_object",
            Format::Cbor => "cbor",
        }
    }

    /// Whether it needs a schema registry.
    pub const fn is_registered(self) -> bool {
        matches!(self, Format::Avro | Format::JsonSchema)
    }
}
