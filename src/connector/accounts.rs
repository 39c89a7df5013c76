//! ESMEs as configured become accounts of the submit pipeline.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Binds, Config, Esme};
use crate::correlate::Dialects;
use crate::deliver::{self, Deliver};
use crate::kafka::cluster::Survey;
use crate::meters::Meters;
use crate::record::codec::Codec;
use crate::record::notification::Notify;
use crate::record::submit_sm;
use crate::submit::binds::account::{self, Account};
use crate::submit::message::{self, Defaults, Version};
use crate::trace::Trace;
use smpp_protocol::receipt::{Pattern, Style};
use smpp_protocol::text::national::Language;
use smpp_protocol::text::{Alphabet, Encoding};
use smpp_protocol::{Dialect, MessageState};

/// What is counted and timed, by the names of the ESMEs.
pub fn meters(config: &Config) -> HashMap<String, Arc<Meters>> {
    let names = config.esme.iter().map(|esme| esme.name.clone());
    names.map(|name| (name, Arc::default())).collect()
}

/// What watches the accounts.
pub struct Watching<'a> {
    /// What is counted and timed of each, by its name.
    pub meters: &'a HashMap<String, Arc<Meters>>,
    /// Where the PDUs of its binds go besides, if they do.
    pub trace: Option<&'a Trace>,
}

/// All accounts.
pub fn all(
    config: &Config,
    survey: &Survey,
    deliver: &Deliver,
    outbound: &Codec,
    dialects: &[Arc<Dialect>],
    watching: &Watching<'_>,
) -> Vec<Arc<Account>> {
    (config.esme.iter().zip(dialects))
        .map(|(esme, dialect)| {
            let meters = watching.meters.get(&esme.name).cloned().unwrap_or_default();
            let total = esme.leases().and_then(|t| survey.partitions.get(t));
            Arc::new(Account::new(
                account::Options {
                    trace: watching.trace.cloned(),
                    ..options(esme, outbound, deliver, dialect.clone(), meters)
                },
                total.copied().unwrap_or(0),
            ))
        })
        .collect()
}

fn options(
    esme: &Esme,
    outbound: &Codec,
    deliver: &Deliver,
    dialect: Arc<Dialect>,
    meters: Arc<Meters>,
) -> account::Options {
    let topics = match &esme.lease_topic {
        Some(topic) if esme.outbound.is_empty() => std::slice::from_ref(topic),
        _ => &esme.outbound[..],
    };
    let outbind_listener = esme.outbind_listener();
    let (deliver, notifications) = (deliver.clone(), deliver.clone());
    let receiver = Arc::new(deliver::Esme {
        name: esme.name.clone(),
        dialect: dialect.clone(),
        meters: meters.clone(),
    });
    account::Options {
        name: esme.name.as_str().into(),
        topics: topics.iter().map(|t| t.as_str().into()).collect(),
        lease_only: esme.outbound.is_empty(),
        binds: match esme.binds {
            Binds::PerPartition(n) => account::Binds::PerPartition(n),
            Binds::PerInstance(n) => account::Binds::PerInstance(n),
        },
        sessions: (esme.bind.modes().iter())
            .map(|mode| smpp_esme::Options {
                outbind: outbind_listener.clone(),
                ..esme.session(esme.name.clone(), *mode)
            })
            .collect(),
        max_tps: limit(esme.max_tps),
        max_tps_per_bind: limit(esme.max_tps_per_bind),
        dialect: dialect.clone(),
        max_partitions: esme.max_partitions(),
        codec: outbound.clone(),
        defaults: defaults(esme, dialect),
        meters,
        inbound: Arc::new(move |bind: &str| deliver.bind(receiver.clone(), bind)),
        notify: Notify::new(move |event| notifications.notify(event)),
        trace: None,
    }
}

/// Zero means no limit.
fn limit(per_second: f64) -> f64 {
    if per_second > 0.0 {
        per_second
    } else {
        f64::INFINITY
    }
}

/// What the SMSC of each ESME does in its own way, in the order of the configuration.
pub fn dialects(config: &Config) -> Vec<Arc<Dialect>> {
    let one = |esme| Arc::new(dialect(esme));
    config.esme.iter().map(one).collect()
}

/// The same by the names of the ESMEs.
pub fn by_name(config: &Config, dialects: &[Arc<Dialect>]) -> Dialects {
    let names = config.esme.iter().map(|esme| esme.name.clone());
    names.zip(dialects.iter().cloned()).collect()
}

/// What the ESME's SMSC does in its own way. The configuration was checked when it was loaded.
pub fn dialect(esme: &Esme) -> Dialect {
    let receipt = &esme.receipt;
    let state = |(word, state): (&String, &String)| {
        Some((word.as_str().into(), MessageState::from_name(state)?))
    };
    Dialect {
        receipts: Style {
            alphabet: alphabet(esme),
            pattern: (receipt.pattern.as_deref()).and_then(|p| Pattern::new(p).ok()),
            states: receipt.states.iter().filter_map(state).collect(),
            unmarked: receipt.unmarked,
        },
        ids: (&esme.message_id).into(),
        names: (&esme.vendor).into(),
    }
}

/// What data_coding 0 means to the SMSC: if the configuration does not say it, the ESME's
/// encoding, if that one has no data_coding of its own.
fn alphabet(esme: &Esme) -> Alphabet {
    let named = esme.alphabet.as_deref().and_then(Encoding::from_name);
    let named = esme.table.map(Encoding::Table).or(named);
    match (named, named_encoding(esme)) {
        (Some(named), _) => named.into(),
        (None, Some(encoding)) if encoding.data_coding() == 0 => encoding.into(),
        _ => Alphabet::default(),
    }
}

fn named_encoding(esme: &Esme) -> Option<Encoding> {
    let named = esme.encoding.as_deref();
    named.and_then(|name| message::encoding(name).ok())
}

/// What a record of the ESME need not say, whose SMSC has this dialect.
pub fn defaults(esme: &Esme, dialect: Arc<Dialect>) -> Defaults {
    Defaults {
        source: esme.source.as_ref().map(|number| submit_sm::Address {
            number: number.clone().into(),
            ton: esme.source_ton,
            npi: esme.source_npi,
        }),
        service_type: esme.service_type.clone(),
        registered_delivery: esme.registered_delivery,
        encoding: named_encoding(esme).unwrap_or(dialect.alphabet().encoding()),
        dialect,
        languages: (esme.languages.iter())
            .filter_map(|name| Language::from_name(name))
            .collect(),
        segmentation: esme.segmentation,
        version: Version::new(esme.interface_version.octet()),
    }
}
