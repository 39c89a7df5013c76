//! ESMEs as configured become accounts of the submit pipeline.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{BindMode, Binds, Config, Esme};
use crate::deliver::{self, Deliver};
use crate::esme::{self, Mode};
use crate::kafka::cluster::Survey;
use crate::record::codec::Codec;
use crate::record::submit_sm;
use crate::smpp::text::national::Language;
use crate::smpp::text::{Alphabet, Encoding};
use crate::submit::account::{self, Account};
use crate::submit::message::{self, Defaults};

/// All accounts.
pub fn all(
    config: &Config,
    survey: &Survey,
    deliver: &Deliver,
    outbound: &Codec,
) -> Vec<Arc<Account>> {
    config
        .esme
        .iter()
        .map(|esme| {
            let total = esme.leases().and_then(|t| survey.partitions.get(t));
            Arc::new(Account::new(
                options(esme, outbound, deliver),
                total.copied().unwrap_or(0),
            ))
        })
        .collect()
}

fn options(esme: &Esme, outbound: &Codec, deliver: &Deliver) -> account::Options {
    let topics = match &esme.lease_topic {
        Some(topic) if esme.outbound.is_empty() => std::slice::from_ref(topic),
        _ => &esme.outbound[..],
    };
    let modes: &[Mode] = match esme.bind {
        BindMode::Transceiver => &[Mode::Transceiver],
        BindMode::Transmitter => &[Mode::Transmitter],
        BindMode::Receiver => &[Mode::Receiver],
        BindMode::Pair => &[Mode::Receiver, Mode::Transmitter],
    };
    let deliver = deliver.clone();
    let receiver = Arc::new(deliver::Esme {
        name: esme.name.clone(),
        message_id: esme.message_id.receipt.into(),
        alphabet: alphabet(esme),
    });
    account::Options {
        name: esme.name.as_str().into(),
        topics: topics.iter().map(|t| t.as_str().into()).collect(),
        lease_only: esme.outbound.is_empty(),
        binds: match esme.binds {
            Binds::PerPartition(n) => account::Binds::PerPartition(n),
            Binds::PerInstance(n) => account::Binds::PerInstance(n),
        },
        sessions: modes.iter().map(|mode| session(esme, *mode)).collect(),
        max_tps: limit(esme.max_tps),
        max_tps_per_bind: limit(esme.max_tps_per_bind),
        response_ids: esme.message_id.response,
        max_partitions: esme.max_partitions(),
        codec: outbound.clone(),
        defaults: defaults(esme),
        inbound: Arc::new(move |bind: &str| deliver.bind(receiver.clone(), bind)),
    }
}

/// Zero means no limit.
fn limit(per_second: f64) -> f64 {
    match per_second > 0.0 {
        true => per_second,
        false => f64::INFINITY,
    }
}

fn session(esme: &Esme, mode: Mode) -> esme::Options {
    esme::Options {
        name: esme.name.clone(),
        hosts: esme.hosts.clone(),
        tls: esme.tls.clone(),
        identity: esme::Identity {
            system_id: esme.system_id.clone(),
            password: esme.password.clone(),
            system_type: esme.system_type.clone(),
            interface_version: esme.interface_version.octet(),
            addr_ton: esme.addr_ton,
            addr_npi: esme.addr_npi,
            address_range: esme.address_range.clone(),
        },
        mode,
        window: esme.window as usize,
        inbound_window: esme.inbound_window as usize,
        timers: esme.timers.clone(),
        reconnect: esme.reconnect.clone(),
        ..esme::Options::default()
    }
}

/// What data_coding 0 means to the SMSC of each ESME.
pub fn alphabets(config: &Config) -> HashMap<String, Alphabet> {
    let one = |esme: &Esme| (esme.name.clone(), alphabet(esme));
    config.esme.iter().map(one).collect()
}

/// What data_coding 0 means to the SMSC: the ESME's encoding, if that one has no data_coding
/// of its own.
pub fn alphabet(esme: &Esme) -> Alphabet {
    match encoding(esme) {
        encoding if encoding.data_coding() == 0 => encoding.into(),
        _ => Alphabet::default(),
    }
}

/// The configuration was checked when it was loaded.
fn encoding(esme: &Esme) -> Encoding {
    let named = esme.encoding.as_deref();
    named
        .and_then(|name| message::encoding(name).ok())
        .unwrap_or_default()
}

/// What a record of the ESME need not say.
pub fn defaults(esme: &Esme) -> Defaults {
    Defaults {
        source: esme.source.as_ref().map(|number| submit_sm::Address {
            number: number.clone().into(),
            ton: esme.source_ton,
            npi: esme.source_npi,
        }),
        service_type: esme.service_type.clone(),
        registered_delivery: esme.registered_delivery,
        encoding: encoding(esme),
        languages: (esme.languages.iter())
            .filter_map(|name| Language::from_name(name))
            .collect(),
        segmentation: esme.segmentation,
    }
}
