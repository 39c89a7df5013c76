//! Settings of what SMSCs deliver.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::correlate;
use crate::settings::{Octets, Time};

/// How deliver_sm (receipts, and messages from phones) get to Kafka, and how messages from phones
/// are put together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// How much memory deliver_sm may take that Kafka does not have yet, of all binds of a
    /// process together, which share it fairly. Those that come when it is full are refused for
    /// now (`esme.refusal_status`), and some SMSCs do not deliver them again. One of a receipt takes about
    /// 1 KiB. From 1MiB to 1GiB.
    pub buffer: Octets,
    /// A deliver_sm that Kafka has not taken by then is refused for now. Keep it
    /// shorter than the SMSC waits for a response (ask for its response timer; 10 s is usual), and
    /// else as long as you can: some SMSCs do not deliver again what is refused. From 2s to 10m.
    pub answer_timeout: Time,
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
        let correlate::Inbound {
            reassembly_ttl,
            reassembly_memory,
        } = correlate::Inbound::default();
        Inbound {
            buffer: Octets::mib(64),
            answer_timeout: Time::seconds(8),
            reassembly_ttl,
            reassembly_memory,
        }
    }
}

impl Inbound {
    /// How messages from phones are put together.
    pub fn reassembly(&self) -> correlate::Inbound {
        correlate::Inbound {
            reassembly_ttl: self.reassembly_ttl,
            reassembly_memory: self.reassembly_memory,
        }
    }
}
