//! Formats of the values on each topic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::record::codec::{Codec, Codecs};
use crate::record::format::Format;

/// How values are written on each topic: `json`, or `avro_single_object` (the schemas of
/// `schemas/`, no registry). Values are read in the one format that stands here: to change it,
/// drain the topic first, or use another topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Formats {
    /// Of the outbound topics.
    pub outbound: Format,
    /// Of `topics.responses`.
    pub responses: Format,
    /// Of `topics.errors`.
    pub errors: Format,
    /// Of `topics.receipts`.
    pub receipts: Format,
    /// Of `topics.inbound`.
    pub inbound: Format,
    /// Of `topics.correlation`, which nobody else reads.
    pub correlation: Format,
    /// Of `topics.deliveries`, which nobody else reads.
    pub deliveries: Format,
}

impl Formats {
    /// The codecs of the topics that are not outbound.
    pub fn codecs(&self) -> Codecs {
        Codecs {
            responses: Codec::new(self.responses),
            errors: Codec::new(self.errors),
            receipts: Codec::new(self.receipts),
            inbound: Codec::new(self.inbound),
            correlation: Codec::new(self.correlation),
            deliveries: Codec::new(self.deliveries),
        }
    }
}

impl Config {
    /// How the values of a topic of results are read.
    pub fn codec(&self, topic: &str) -> Codec {
        let codecs = self.formats.codecs();
        let topics = &self.topics;
        let all = [
            (&topics.responses, codecs.responses),
            (&topics.errors, codecs.errors),
            (&topics.receipts, codecs.receipts),
            (&topics.inbound, codecs.inbound),
        ];
        let found = all.into_iter().find(|(name, _)| *name == topic);
        found.map(|(_, codec)| codec).unwrap_or_default()
    }
}
