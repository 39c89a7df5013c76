//! Names of the topics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names of the topics beside the outbound ones, which belong to each ESME. All of them but `status`
/// must exist (`kafka-smpp topics create`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// Every answer of an SMSC to a message (`SubmitSmResp`), by `log_id`.
    pub responses: String,
    /// What could not be sent, got no answer or could not be read (`SendError`).
    pub errors: String,
    /// Delivery receipts (`DeliveryReceipt`), by `log_id`.
    pub receipts: String,
    /// Messages from subscribers (`InboundSms`), by the sender's number.
    pub inbound: String,
    /// What SMSCs say beside messages (`AlertNotification`, `Outbind`), by the phone's
    /// number, and what is noticed about them, about binds, partitions and processes (`Bound`,
    /// `Takeover`, `Started`), by the ESME's name or the process's.
    pub notifications: String,
    /// Internal, compacted: what a later receipt needs to find its message.
    pub correlation: String,
    /// Internal, compacted: what operators want while the connector runs (docs/steering.md). It may
    /// be missing: then nothing can be steered.
    pub control: String,
    /// Internal: receipts, and parts of messages from subscribers, on their way to
    /// correlation. As many partitions as `correlation`.
    pub deliveries: String,
    /// PDUs as they went over the connections, both ways, of a share of the phones; see `[trace]`.
    /// Left out: none.
    #[schemars(example = "sms.trace")]
    pub trace: Option<String>,
    /// Internal, compacted: what can be seen of each process, so that all are on one page. Used only
    /// where `http.listen` is set.
    pub status: String,
}

impl Default for Topics {
    fn default() -> Self {
        Topics {
            responses: "sms.responses".into(),
            errors: "sms.errors".into(),
            receipts: "sms.receipts".into(),
            inbound: "sms.inbound".into(),
            notifications: "sms.notifications".into(),
            correlation: "sms.correlation".into(),
            control: "sms.control".into(),
            deliveries: "sms.deliveries".into(),
            trace: None,
            status: "sms.status".into(),
        }
    }
}

impl Topics {
    /// Each key of this table with its topic; those of results first.
    pub fn named(&self) -> Vec<(&'static str, &str)> {
        let mut named: Vec<(&str, &str)> = vec![
            ("responses", &self.responses),
            ("errors", &self.errors),
            ("receipts", &self.receipts),
            ("inbound", &self.inbound),
            ("notifications", &self.notifications),
            ("correlation", &self.correlation),
            ("deliveries", &self.deliveries),
            ("control", &self.control),
            ("status", &self.status),
        ];
        named.extend(self.trace.as_deref().map(|topic| ("trace", topic)));
        named
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_on_privacy_has_every_topic() {
        let page = include_str!("../../docs/privacy.md");
        let section = page.split("\n## ").find(|s| s.starts_with("Topics\n"));
        let rows = section.expect("a section").lines();
        let rows = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        let rows: BTreeSet<&str> = rows.collect();
        let topics = Topics {
            trace: Some("sms.trace".into()),
            ..Topics::default()
        };
        let named = topics.named().into_iter().map(|(key, _)| key);
        assert_eq!(rows, named.chain(["outbound"]).collect());
    }
}
