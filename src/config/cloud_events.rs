//! Events as CloudEvents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::kafka::cloud_events;

/// Whether events on the result topics are CloudEvents 1.0 in binary mode: headers `ce_id`,
/// `ce_type`, ... and `content-type` say what they are; their values stay the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CloudEvents {
    /// Whether they are.
    pub enabled: bool,
    /// `ce_source`, a URI reference. By default `/kafka-smpp/` and `kafka.application_id`.
    #[schemars(example = "/sms/gateway")]
    pub source: Option<String>,
}

impl Config {
    /// How events say what they are.
    pub fn cloud_events(&self) -> cloud_events::CloudEvents {
        if !self.cloud_events.enabled {
            return cloud_events::CloudEvents::default();
        }
        let usual = || format!("/kafka-smpp/{}", self.kafka.application_id);
        let source = self.cloud_events.source.clone();
        cloud_events::CloudEvents::of(&source.unwrap_or_else(usual))
    }
}
