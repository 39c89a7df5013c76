//! What a process says of itself on the topic of notifications.

use jiff::Timestamp;

use crate::config::Config;
use crate::deliver::Deliver;
use crate::record::notification::{Notification, ProcessLife};

/// The life of this process.
pub(super) struct Life {
    deliver: Deliver,
    cluster: String,
    esmes: Vec<String>,
    started_at: Timestamp,
}

impl Life {
    /// It begins, and that is said.
    pub(super) fn begin(deliver: &Deliver, config: &Config, cluster: &str) -> Self {
        let life = Life {
            deliver: deliver.clone(),
            cluster: cluster.to_owned(),
            esmes: config.esme.iter().map(|esme| esme.name.clone()).collect(),
            started_at: Timestamp::now(),
        };
        life.say("Started", None);
        life
    }

    /// It was asked to stop.
    pub(super) fn stopping(&self) {
        self.say("Stopping", None);
    }

    /// All that it does has ended: by itself, for this reason, or because it was asked to. To be said
    /// while what goes to Kafka still goes.
    pub(super) fn stopped(self, reason: Option<&str>) {
        self.say("Stopped", reason);
    }

    fn say(&self, kind: &'static str, reason: Option<&str>) {
        self.deliver.notify(&Notification {
            lifecycle: Some(ProcessLife {
                version: env!("CARGO_PKG_VERSION"),
                cluster_id: &self.cluster,
                esmes: self.esmes.iter().map(String::as_str).collect(),
                started_at: Some(self.started_at),
                reason,
            }),
            ..Notification::now(kind)
        });
    }
}
