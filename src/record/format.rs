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
    /// JSON behind the number of its schema in a Schema Registry (Confluent's wire format).
    #[serde(skip)]
    JsonSchema,
    /// Avro behind the number of its schema in a Schema Registry (Confluent's wire format).
    #[serde(skip)]
    Avro,
    /// Avro behind the fingerprint of its schema (Avro's single-object encoding): no registry,
    /// but only schemas of this connector, in any version up to this one.
    AvroSingleObject,
}

impl Format {
    /// Whether it needs a Schema Registry.
    pub const fn is_registered(self) -> bool {
        matches!(self, Format::Avro | Format::JsonSchema)
    }
}
