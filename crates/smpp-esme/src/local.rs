//! An address of this machine, as people write it, from which an SMSC is connected to.

use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

/// An address taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress<'a> {
    /// The address; an IPv4 address that was written as one of IPv6 is one of IPv4.
    pub ip: IpAddr,
    /// The zone of an IPv6 address: the name or number of a network interface of this machine
    /// (RFC 4007 §11).
    pub zone: Option<&'a str>,
}

/// Why a text is no such address. Its text says what to write.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadLocalAddress {
    /// No address, but perhaps a name, or an address with a port.
    #[error(
        "not an IP address: write such as \"192.0.2.7\" or \"2001:db8::7\", without a port and without brackets"
    )]
    NotAnAddress,
    /// The address that stands for every one.
    #[error("it stands for every address: leave it out, and the system chooses")]
    Unspecified,
    /// An address of several machines.
    #[error("it is the address of a group of machines: write one of this machine")]
    Group,
    /// A link-local address that says not of which interface.
    #[error(
        "a link-local address is one of each network interface: name the interface, such as \"{0}%eth0\""
    )]
    NoZone(Ipv6Addr),
    /// A zone that names no interface.
    #[error("{0:?} behind '%' is no network interface: write its name or number, such as \"eth0\"")]
    Zone(String),
}

impl<'a> LocalAddress<'a> {
    /// Takes an address apart.
    ///
    /// # Errors
    ///
    /// What is something else, with what to write.
    pub fn parse(text: &'a str) -> Result<Self, BadLocalAddress> {
        let (address, zone) = match text.split_once('%') {
            Some((address, zone)) => (address, Some(zone)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().map_err(|_| BadLocalAddress::NotAnAddress)?;
        let ip = ip.to_canonical();
        if let Some(zone) = zone {
            if ip.is_ipv4() {
                return Err(BadLocalAddress::NotAnAddress);
            }
            check_zone(zone)?;
        }
        match ip {
            ip if ip.is_unspecified() => Err(BadLocalAddress::Unspecified),
            ip if ip.is_multicast() => Err(BadLocalAddress::Group),
            IpAddr::V4(ip) if ip.is_broadcast() => Err(BadLocalAddress::Group),
            IpAddr::V6(ip) if ip.is_unicast_link_local() && zone.is_none() => {
                Err(BadLocalAddress::NoZone(ip))
            }
            ip => Ok(LocalAddress { ip, zone }),
        }
    }
}

fn check_zone(zone: &str) -> Result<(), BadLocalAddress> {
    let is_number = zone.bytes().all(|octet| octet.is_ascii_digit());
    let is_name = zone
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'));
    let stands_for_none = is_number && zone.parse::<u32>().unwrap_or_default() == 0;
    if is_name && !stands_for_none {
        Ok(())
    } else {
        Err(BadLocalAddress::Zone(zone.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, ip, zone) in [
            ("192.0.2.7", "192.0.2.7", None),
            ("127.0.0.2", "127.0.0.2", None),
            ("::ffff:192.0.2.7", "192.0.2.7", None),
            ("2001:DB8:0::7", "2001:db8::7", None),
            ("fe80::1%eth0", "fe80::1", Some("eth0")),
            ("fe80::1%2", "fe80::1", Some("2")),
            ("::1", "::1", None),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(LocalAddress::parse(text), Ok(LocalAddress { ip, zone }));
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_to_write() {
        for (text, said) in [
            ("", "not an IP address"),
            ("smsc.example.net", "not an IP address"),
            ("192.0.2.7:0", "without a port"),
            ("[2001:db8::7]", "without brackets"),
            (" 192.0.2.7", "not an IP address"),
            ("192.0.2.7%eth0", "not an IP address"),
            ("0.0.0.0", "leave it out"),
            ("::", "leave it out"),
            ("224.0.0.1", "group"),
            ("255.255.255.255", "group"),
            ("ff02::1%eth0", "group"),
            ("fe80::1", "\"fe80::1%eth0\""),
            ("fe80::1%", "no network interface"),
            ("fe80::1%0", "no network interface"),
            ("fe80::1%99999999999", "no network interface"),
            ("fe80::1%eth 0", "no network interface"),
        ] {
            let told = LocalAddress::parse(text).expect_err(text).to_string();
            assert!(told.contains(said), "{text}: {told}");
        }
    }
}
