//! What can be set about correlation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Octets, Time};

/// How receipts are joined with what was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a receipt waits for the response it belongs to when it comes first. After
    /// that it is published with `correlated: false`. Longer than a hanging transaction:
    /// at least `kafka.transaction_timeout` and 10 s.
    pub early_receipt_grace: Time,
    /// How long a message is remembered after its first final receipt, for receipts that
    /// are repeated or come out of order; one to several recipients after the last of them
    /// has one.
    pub final_retention: Time,
    /// How long a message without a final receipt, or without that of a recipient, is
    /// remembered. Then an `overdue` event says how many are missing, and the message is
    /// forgotten. Longer than the longest validity period in use.
    pub receipt_ttl: Time,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            early_receipt_grace: Time::seconds(60),
            final_retention: Time::seconds(3600),
            receipt_ttl: Time::seconds(3 * 86_400),
        }
    }
}

/// How long messages from phones, which come in parts, are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// How long the parts of a message wait for the others. Then what there is goes out with
    /// `complete: false` and the numbers of the missing ones. A sender's reference that is
    /// used again after this time is another message's.
    pub reassembly_ttl: Time,
    /// How much memory waiting parts may take for each partition of `topics.deliveries` that
    /// a process has. Beyond that the oldest go out before their time.
    pub reassembly_memory: Octets,
}

impl Default for Inbound {
    fn default() -> Self {
        Inbound {
            reassembly_ttl: Time::seconds(1800),
            reassembly_memory: Octets(16 << 20),
        }
    }
}
