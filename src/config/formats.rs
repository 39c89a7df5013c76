//! Formats of the values on each topic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::record::format::Format;
use crate::record::kind::Kind;
use crate::registry::Topic;

/// How values are written on each topic: `json`; `aiosmpplib` (JSON for aiosmpplib's
/// `json_decode`; not on internal topics); `avro_single_object` (the schemas of `schemas/`, no
/// registry); `avro` or `json_schema`, behind the number of their schema in the schema registry;
/// `cbor`, of internal topics only. Values are read in the one format that stands here: to change
/// it, drain the topic first, or use another topic. Those of internal topics are read in any of
/// `cbor`, `json` and `avro_single_object`, whichever of these stands here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Of `topics.notifications`.
    pub notifications: Format,
    /// Of `topics.correlation`, which nobody else reads.
    pub correlation: Format,
    /// Of `topics.deliveries`, which nobody else reads.
    pub deliveries: Format,
}

impl Default for Formats {
    fn default() -> Self {
        Formats {
            outbound: Format::Json,
            responses: Format::Json,
            errors: Format::Json,
            receipts: Format::Json,
            inbound: Format::Json,
            notifications: Format::Json,
            correlation: Format::Cbor,
            deliveries: Format::Cbor,
        }
    }
}

impl Formats {
    /// Each key of this table with its format.
    pub fn named(&self) -> [(&'static str, Format); 8] {
        [
            ("outbound", self.outbound),
            ("responses", self.responses),
            ("errors", self.errors),
            ("receipts", self.receipts),
            ("inbound", self.inbound),
            ("notifications", self.notifications),
            ("correlation", self.correlation),
            ("deliveries", self.deliveries),
        ]
    }
}

impl Config {
    /// Every topic with its format and what stands on it, the outbound ones first.
    pub fn contents(&self) -> Vec<Topic> {
        let (topics, formats) = (&self.topics, &self.formats);
        let topic = |name: &String, format, kinds| Topic {
            name: name.clone(),
            format,
            kinds,
        };
        let outbound = self.esme.iter().flat_map(|esme| &esme.outbound);
        let outbound = outbound.map(|name| topic(name, formats.outbound, Kind::OUTBOUND));
        let others = [
            (
                &topics.responses,
                formats.responses,
                &[Kind::SubmitSmResp][..],
            ),
            (&topics.errors, formats.errors, &[Kind::SendError]),
            (&topics.receipts, formats.receipts, &[Kind::DeliveryReceipt]),
            (&topics.inbound, formats.inbound, &[Kind::InboundSms]),
            (&topics.correlation, formats.correlation, Kind::CORRELATION),
            (&topics.deliveries, formats.deliveries, &[Kind::Delivery]),
            (
                &topics.notifications,
                formats.notifications,
                &[Kind::Notification],
            ),
        ];
        let others = others
            .into_iter()
            .map(|(name, format, kinds)| topic(name, format, kinds));
        outbound.chain(others).collect()
    }
}
