//! From where hosts are connected to, and what the system does about the connections.

use smpp_esme::KEEP_ALIVE_MAX;
use smpp_esme::host::Host;
use smpp_esme::local::LocalAddress;

use super::Check;
use crate::codes;
use crate::config::esme::Esme;
use crate::settings::Time;

pub(super) fn check(check: &mut Check<'_>, esme: &Esme) {
    local_address(check, esme);
    let tcp = &esme.tcp;
    let longest = Time::seconds(KEEP_ALIVE_MAX.as_secs());
    for (key, time, least, most) in [
        ("tcp.keep_alive_idle", tcp.keep_alive_idle, "1s", longest),
        (
            "tcp.keep_alive_interval",
            Some(tcp.keep_alive_interval),
            "1s",
            longest,
        ),
        (
            "tcp.user_timeout",
            tcp.user_timeout,
            "1s",
            Time::seconds(86_400),
        ),
    ] {
        let may_be_never = key != "tcp.keep_alive_interval";
        let is_never = time == Some(Time::default()) && may_be_never;
        if let Some(time) = time.filter(|_| !is_never) {
            check.between(key, time, least, &most.to_string());
        }
    }
    check.number("tcp.keep_alive_count", tcp.keep_alive_count);
}

fn local_address(check: &mut Check<'_>, esme: &Esme) {
    let ours = &esme.local_address;
    if !ours.is_empty() && esme.outbind.listen.is_some() {
        let text = "the SMSC connects to outbind.listen: leave it out";
        let shown = format_args!("{ours:?}");
        check.must(codes::EXCLUDES, false, "local_address", shown, text);
    }
    let mut known = Vec::new();
    for (n, address) in ours.iter().enumerate() {
        let (key, shown) = (format!("local_address[{n}]"), format!("{address:?}"));
        match LocalAddress::parse(address) {
            Err(wrong) => check.must(
                codes::ADDRESS_MALFORMED,
                false,
                &key,
                shown,
                &wrong.to_string(),
            ),
            Ok(parsed) => {
                let kind = if parsed.ip.is_ipv4() { "IPv4" } else { "IPv6" };
                let is_first = !known.contains(&kind);
                let text = format!("a second address of {kind}: one of each kind can be used");
                check.must(codes::STANDS_TWICE, is_first, &key, shown, &text);
                known.push(kind);
            }
        }
    }
    if known.is_empty() || known.len() < ours.len() {
        return;
    }
    for (n, host) in esme.hosts.iter().enumerate() {
        let Some(ip) = Host::parse(host).ok().and_then(|host| host.ip()) else {
            continue; // What a name leads to is known when it is connected to.
        };
        let kind = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let text =
            format!("an address of {kind}, and local_address has none of that kind: add one");
        let shown = format_args!("{host:?}");
        let (key, good) = (format!("hosts[{n}]"), known.contains(&kind));
        check.must(codes::CONTRADICTION, good, &key, shown, &text);
    }
}
