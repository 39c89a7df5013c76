//! What the parts take from an ESME's settings.

use std::sync::Arc;

use super::{BindMode, Config, Esme};
use crate::kafka::topics::{Cleanup, Topic};
use smpp_esme::{Credentials, Mode, OutbindListener, OutbindOptions, OutbindTls};
use smpp_protocol::Status;

/// A day in milliseconds.
const DAY_MS: &str = "86400000";

impl BindMode {
    /// The sessions that make up one bind, in the order in which they are begun.
    pub fn modes(self) -> &'static [Mode] {
        match self {
            BindMode::Transceiver => &[Mode::Transceiver],
            BindMode::Transmitter => &[Mode::Transmitter],
            BindMode::Receiver => &[Mode::Receiver],
            BindMode::Pair => &[Mode::Receiver, Mode::Transmitter],
        }
    }
}

impl Esme {
    /// Where the SMSC asks for binds, if it does.
    pub fn outbind_listener(&self) -> Option<Arc<OutbindListener>> {
        let outbind = &self.outbind;
        Some(OutbindListener::new(OutbindOptions {
            listen: outbind.listen.clone()?,
            system_id: outbind.system_id.clone(),
            password: outbind.password.clone(),
            from: outbind.from.clone(),
            tls: OutbindTls {
                certificate_file: outbind.certificate_file.clone(),
                key_file: outbind.key_file.clone(),
                client_ca_file: outbind.client_ca_file.clone(),
            },
        }))
    }

    /// A session of this ESME, called `name` in logs.
    pub fn session(&self, name: String, mode: Mode) -> smpp_esme::Options {
        smpp_esme::Options {
            name,
            hosts: self.hosts.clone(),
            local_address: self.local_address.clone(),
            tcp: self.tcp.clone(),
            tls: self.tls.clone(),
            credentials: Credentials {
                system_id: self.system_id.clone(),
                password: self.password.clone(),
                password_file: self.password_file.clone(),
                long_password: self.long_password,
                system_type: self.system_type.clone(),
                interface_version: self.interface_version.octet(),
                addr_ton: self.addr_ton,
                addr_npi: self.addr_npi,
                address_range: self.address_range.clone(),
            },
            mode,
            window: self.window as usize,
            start: self.slow_start as usize,
            refusal: Status::from_name(&self.refusal_status).unwrap_or(Status::RX_T_APPN),
            timers: self.timers.clone(),
            reconnect: self.reconnect.clone(),
            ..smpp_esme::Options::default()
        }
    }
}

impl Config {
    /// Every topic that must exist, as `partitions` (of the outbound and the internal topics)
    /// make it. Events go to as many.
    pub fn wanted_topics(&self, partitions: i32) -> Vec<Topic> {
        let topic = |name: &str, cleanup| Topic {
            name: name.to_owned(),
            partitions,
            cleanup,
            configs: Vec::new(),
        };
        let is_seen = self.http.listen.is_some();
        let outbound = self
            .esme
            .iter()
            .flat_map(|esme| esme.outbound.iter().chain(&esme.lease_topic))
            .map(|name| topic(name, Cleanup::Delete));
        let ours = self.topics.named().into_iter();
        let ours = ours.filter(|(key, _)| *key != "status" || is_seen);
        let ours = ours.map(|(key, name)| match key {
            "correlation" => topic(name, Cleanup::Compact),
            // In one partition orders have one order, whoever writes them, and however their client
            // finds the partition of a key.
            "control" => Topic {
                partitions: 1,
                ..topic(name, Cleanup::Compact)
            },
            "status" => Topic {
                partitions: 1,
                configs: STATUS.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
                ..topic(name, Cleanup::CompactAndDelete)
            },
            // Who looks into it does so soon, and it is about people.
            "trace" => Topic {
                configs: vec![("retention.ms".into(), DAY_MS.into())],
                ..topic(name, Cleanup::Delete)
            },
            _ => topic(name, Cleanup::Delete),
        });
        outbound.chain(ours).collect()
    }
}

/// Every process writes all that can be seen of it every few seconds, and nobody reads what is older
/// than ten minutes; with Kafka's own settings a week of it would be kept.
const STATUS: [(&str, &str); 5] = [
    ("retention.ms", "3600000"),
    ("segment.ms", "600000"),
    ("segment.bytes", "33554432"),
    ("delete.retention.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.1"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics::Description;

    #[test]
    fn the_topic_of_processes_is_wanted_where_they_can_be_looked_at() {
        let esme =
            "[[esme]]\nname = \"a\"\noutbound = [\"o\"]\nhosts = [\"s:1\"]\nsystem_id = \"a\"\n";
        let wanted = |http: &str| {
            let config = crate::config::parse(&format!("{http}{esme}"), []).unwrap();
            let topics = config.wanted_topics(6).into_iter();
            topics.filter(|topic| topic.name == "sms.status").collect()
        };
        let none: Vec<Topic> = wanted("");
        assert!(none.is_empty());
        let topics: Vec<Topic> = wanted("[http]\nlisten = \"127.0.0.1:9464\"\n");
        assert_eq!((topics.len(), topics[0].partitions), (1, 1));
        let fault = |policy: &str| {
            let found = Description {
                name: "sms.status".into(),
                partitions: 1,
                replication: 1,
                cleanup_policy: policy.into(),
                max_message_octets: None,
            };
            topics[0].fault(&found).map(|fault| fault.to_string())
        };
        for good in ["compact,delete", "delete, compact", ""] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in ["compact", "delete"] {
            let text = fault(bad).unwrap();
            assert!(text.contains("cleanup.policy=[compact,delete]"), "{text}");
        }
    }
}
