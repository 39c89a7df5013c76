//! Settings of the export of spans.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Property;

/// Spans of messages and receipts for a collector of OpenTelemetry. They continue the trace of a
/// record's `traceparent`, and hold neither numbers nor texts. The program has to be built with the
/// feature `otel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Otel {
    /// Where the collector takes OTLP over HTTP, without `/v1/traces`. Left out: no spans.
    #[schemars(example = "http://collector:4318")]
    pub endpoint: Option<String>,
    /// In how large a share of the messages there are spans, between 0.0 and 1.0, where the producer
    /// began no trace; where it did, its decision is followed.
    pub sample: f64,
    /// Headers of each request, such as what the collector knows its users by. Never printed; in
    /// the environment `_` stands for `-`: `KAFKA_SMPP__OTEL__HEADERS__X_API_KEY`.
    #[schemars(extend("examples" = [{ "authorization": "Bearer ..." }]))]
    pub headers: BTreeMap<String, Property>,
    /// `service.name` of the spans. By default `kafka.application_id`.
    #[schemars(example = "sms-gateway")]
    pub service_name: Option<String>,
}

impl Default for Otel {
    fn default() -> Self {
        Otel {
            endpoint: None,
            sample: 0.01,
            headers: BTreeMap::new(),
            service_name: None,
        }
    }
}
