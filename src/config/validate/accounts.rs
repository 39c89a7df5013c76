//! One account that stands there twice.
//!
//! An SMSC gives the receipts of an account to any of its binds, and a receipt finds its message
//! among those of the same ESME only. So what is one account with the SMSC is one ESME here:
//! several topics are `outbound` of it, a transmitter and a receiver are `bind = "pair"`. What
//! goes is a transmitter that asks for no receipts beside a receiver of messages from phones.

use std::collections::HashSet;

use super::Check;
use crate::codes;
use crate::config::esme::{BindMode, Esme};
use smpp_esme::host::Host;

pub(super) fn check(check: &mut Check<'_>, esmes: &[Esme]) {
    for (index, esme) in esmes.iter().enumerate() {
        for (before, other) in esmes.iter().enumerate().take(index) {
            if is_same(esme, other) && !goes_together(esme, other) {
                let text = format!(
                    "esme[{before}] ({}) is the same account with the same SMSC: receipts come on any of its binds, and find only messages of their own ESME. Make one of them: its topics side by side in outbound, and bind = \"pair\" for a transmitter and a receiver",
                    other.name
                );
                let shown = format_args!("{:?}", esme.system_id);
                check.must(
                    codes::SAME_ACCOUNT,
                    false,
                    &format!("esme[{index}].system_id"),
                    shown,
                    &text,
                );
            }
            if let (Some(one), Some(two)) = (&esme.outbind.listen, &other.outbind.listen)
                && is_same_place(one, two)
            {
                let text = format!(
                    "esme[{before}].outbind.listen is {two:?}: each needs a port of its own"
                );
                let key = format!("esme[{index}].outbind.listen");
                check.must(
                    codes::STANDS_TWICE,
                    false,
                    &key,
                    format_args!("{one:?}"),
                    &text,
                );
            }
        }
    }
}

/// Whether an SMSC takes both for one. Those that tell accounts apart by system_type or route by
/// address_range have these set.
fn is_same(one: &Esme, other: &Esme) -> bool {
    let account = |esme: &Esme| {
        (
            esme.system_id.clone(),
            esme.system_type.clone(),
            esme.address_range.clone(),
        )
    };
    let hosts = |esme: &Esme| -> HashSet<(String, u16)> {
        let hosts = esme.hosts.iter().filter_map(|host| Host::parse(host).ok());
        hosts.map(|host| host.plain()).collect()
    };
    !one.system_id.is_empty()
        && account(one) == account(other)
        && !hosts(one).is_disjoint(&hosts(other))
}

fn goes_together(one: &Esme, other: &Esme) -> bool {
    let sends = |esme: &Esme| esme.bind == BindMode::Transmitter && esme.registered_delivery == 0;
    let receives = |esme: &Esme| esme.bind == BindMode::Receiver;
    (sends(one) && receives(other)) || (receives(one) && sends(other))
}

/// Whether both cannot listen.
fn is_same_place(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (Host::parse(one), Host::parse(other)) else {
        return false;
    };
    let is_any = |host: &Host<'_>| host.ip().is_some_and(|ip| ip.is_unspecified());
    one.plain() == other.plain() || one.port == other.port && (is_any(&one) || is_any(&other))
}
