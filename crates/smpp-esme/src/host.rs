//! `host:port`, as people write the address of an SMSC.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;
use thiserror::Error;

/// An address taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// A name, an IPv4 address, or an IPv6 address without its brackets, perhaps with a zone
    /// (`fe80::1%eth0`, RFC 4007 §11).
    pub name: &'a str,
    /// The TCP port, 1 to 65535.
    pub port: u16,
}

/// Why a text is no `host:port`. Its text says what to write.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadHost {
    /// Nothing is there.
    #[error("it is blank: write host:port, such as \"smsc.example.net:{0}\"")]
    Blank(u16),
    /// A blank, or a character that nobody can see.
    #[error("it has a blank in it: remove it")]
    Space,
    /// A scheme, as in addresses of the web.
    #[error("it has no scheme and no path: write host:port, such as \"smsc.example.net:{0}\"")]
    Scheme(u16),
    /// Several addresses in one.
    #[error("it is one address: write each as an element of its own")]
    Several,
    /// An IPv6 address whose port cannot be told from it.
    #[error("an IPv6 address stands in brackets: write {0:?}")]
    NoBrackets(String),
    /// Brackets around something else.
    #[error(
        "brackets stand around an IPv6 address only, with its port behind them, such as \"[2001:db8::1]:{0}\""
    )]
    Brackets(u16),
    /// A link-local address that says not over which interface.
    #[error(
        "a link-local address is one of each network interface: name the interface, such as \"[{0}%eth0]:{1}\""
    )]
    NoZone(Ipv6Addr, u16),
    /// A zone that names no interface: 0 stands for none, and numbers end somewhere (RFC 4007 §11).
    #[error("{0:?} behind '%' is no network interface: write its name or number, such as \"eth0\"")]
    Zone(String),
    /// No port.
    #[error("the port is missing: write such as {0:?}")]
    NoPort(String),
    /// A port that is none.
    #[error("{0:?} is no port: write a number from 1 to 65535")]
    Port(String),
    /// No name.
    #[error("the name is missing: write host:port, such as \"smsc.example.net:{0}\"")]
    NoName(u16),
    /// A colon in the name, as an IPv6 address has it that cannot be read.
    #[error(
        "{0:?} is no name of a host: it has a colon; if it is an IPv6 address, write it such as \"[2001:db8::1]:{1}\""
    )]
    Colon(String, u16),
    /// A name that no resolver knows.
    #[error("{0:?} is no name of a host: {1}")]
    Name(String, &'static str),
}

/// The port that is registered for SMPP.
const SMPP: u16 = 2775;

impl<'a> Host<'a> {
    /// Takes `host:port` of an SMSC apart.
    ///
    /// # Errors
    ///
    /// What is something else, with what to write.
    pub fn parse(text: &'a str) -> Result<Self, BadHost> {
        Self::parse_with(text, SMPP)
    }

    /// Takes `host:port` apart; `example` is the port in what is said to be written instead.
    ///
    /// # Errors
    ///
    /// What is something else, with what to write.
    pub fn parse_with(text: &'a str, example: u16) -> Result<Self, BadHost> {
        if text.trim().is_empty() {
            return Err(BadHost::Blank(example));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(BadHost::Space);
        }
        if text.contains([',', ';']) {
            return Err(BadHost::Several);
        }
        if text.contains('/') {
            return Err(BadHost::Scheme(example));
        }
        if text.contains(['[', ']']) {
            return bracketed(text, example);
        }
        let Some((name, number)) = text.rsplit_once(':') else {
            return Err(BadHost::NoPort(format!("{text}:{example}")));
        };
        if name.contains(':') {
            return Err(without_brackets(text, name, number, example));
        }
        let port = port(number, name, example)?;
        if name.is_empty() {
            return Err(BadHost::NoName(example));
        }
        check_name(name)?;
        Ok(Host { name, port })
    }

    /// The address, if it is one and no name; without its zone.
    pub fn ip(&self) -> Option<IpAddr> {
        let (address, _) = self.name.split_once('%').unwrap_or((self.name, ""));
        address.parse().ok().map(|ip: IpAddr| ip.to_canonical())
    }

    /// The zone of an IPv6 address: the name or number of a network interface of this machine.
    pub fn zone(&self) -> Option<&'a str> {
        self.name.split_once('%').map(|(_, zone)| zone)
    }

    /// What to look at if this is why the system finds no such address; empty if it is not.
    pub(crate) fn advice(&self, error: &io::Error) -> String {
        let is_unknown = match error.raw_os_error() {
            // What the resolver says has no number.
            None => !matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ),
            Some(number) => {
                [Errno::EINVAL, Errno::ENODEV, Errno::ENXIO].contains(&Errno::from_raw(number))
            }
        };
        match self.zone() {
            Some(zone) if is_unknown => format!(
                ". {zone:?} behind '%' must be a network interface of this machine: ip link lists them"
            ),
            _ => String::new(),
        }
    }

    /// Name and port so that what leads to one place is equal, however it is written.
    pub fn plain(&self) -> (String, u16) {
        let name = match (self.ip(), self.name.split_once('%')) {
            (Some(ip), Some((_, zone))) => format!("{ip}%{zone}"),
            (Some(ip), None) => ip.to_string(),
            (None, _) => self.name.trim_end_matches('.').to_lowercase(),
        };
        (name, self.port)
    }
}

fn bracketed(text: &str, example: u16) -> Result<Host<'_>, BadHost> {
    let (name, rest) = text
        .strip_prefix('[')
        .and_then(|text| text.split_once(']'))
        .filter(|(name, _)| is_v6(name))
        .ok_or(BadHost::Brackets(example))?;
    let whole = format!("[{name}]");
    let number = match rest.strip_prefix(':') {
        Some(number) => number,
        None if rest.is_empty() => return Err(BadHost::NoPort(format!("{whole}:{example}"))),
        None => return Err(BadHost::Brackets(example)),
    };
    let port = port(number, &whole, example)?;
    if let Some((_, zone)) = name.split_once('%')
        && zone.chars().all(|c| c.is_ascii_digit())
        && zone.parse::<u32>().unwrap_or_default() == 0
    {
        return Err(BadHost::Zone(zone.to_owned()));
    }
    match name.parse::<Ipv6Addr>() {
        Ok(address) if address.is_unicast_link_local() => Err(BadHost::NoZone(address, port)),
        _ => Ok(Host { name, port }),
    }
}

/// What the address was meant to be whose last colon may be the port's or its own.
fn without_brackets(text: &str, name: &str, number: &str, example: u16) -> BadHost {
    if is_v6(name) && port(number, name, example).is_ok() {
        return BadHost::NoBrackets(format!("[{name}]:{number}"));
    }
    if is_v6(text) {
        BadHost::NoBrackets(format!("[{text}]:{example}"))
    } else {
        BadHost::Colon(name.to_owned(), example)
    }
}

/// Whether it is an IPv6 address, perhaps with a zone.
fn is_v6(text: &str) -> bool {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let is_in_zone = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_zone = |zone: &str| !zone.is_empty() && zone.chars().all(is_in_zone);
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone)
}

fn port(number: &str, name: &str, example: u16) -> Result<u16, BadHost> {
    if number.is_empty() {
        return Err(BadHost::NoPort(format!("{name}:{example}")));
    }
    // The standard library takes a sign too.
    let digits = number.bytes().all(|octet| octet.is_ascii_digit());
    let port = number.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| BadHost::Port(number.to_owned()))
}

fn check_name(name: &str) -> Result<(), BadHost> {
    let refused = |why| Err(BadHost::Name(name.to_owned(), why));
    if name == "*" {
        return refused("to listen on every address, write \"0.0.0.0\" or \"[::]\"");
    }
    if !name.is_ascii() {
        return refused("write it in ASCII, as DNS has it (\"xn--...\")");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !name.chars().all(is_plain) {
        return refused("it has letters, digits, '-', '_' and '.' only");
    }
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    if name.len() > 253 || labels.clone().any(|label| !(1..=63).contains(&label.len())) {
        return refused("between its dots are 1 to 63 characters, and 253 in all");
    }
    // What ends in a number is an IPv4 address or a mistake: no domain does.
    let is_number = |label: &str| label.bytes().all(|octet| octet.is_ascii_digit());
    if labels.next_back().is_some_and(is_number) && name.parse::<Ipv4Addr>().is_err() {
        refused("an IPv4 address has four numbers from 0 to 255")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_taken_apart() {
        for (text, name, port) in [
            ("smsc:2775", "smsc", 2775),
            ("smsc_1.example.net.:1", "smsc_1.example.net.", 1),
            ("192.0.2.7:65535", "192.0.2.7", 65535),
            ("[::1]:2775", "::1", 2775),
            ("[2001:db8::7]:2775", "2001:db8::7", 2775),
            ("[fe80::1%eth0]:2775", "fe80::1%eth0", 2775),
            ("[fe80::1%2]:2775", "fe80::1%2", 2775),
            ("0.0.0.0:2776", "0.0.0.0", 2776),
            ("xn--mller-kva.example:2775", "xn--mller-kva.example", 2775),
        ] {
            assert_eq!(Host::parse(text), Ok(Host { name, port }), "{text}");
        }
    }

    #[test]
    fn what_leads_to_one_place_is_equal() {
        let plain = |text| Host::parse(text).unwrap().plain();
        for (one, other, same) in [
            ("[::1]:2775", "[0:0::1]:2775", true),
            ("[::ffff:192.0.2.7]:2775", "192.0.2.7:2775", true),
            ("[FE80::1%eth0]:1", "[fe80:0::1%eth0]:1", true),
            ("[fe80::1%eth0]:1", "[fe80::1%eth1]:1", false),
            ("smsc:02776", "smsc:2776", true),
            ("SMSC.example.:1", "smsc.example:1", true),
            ("smsc:1", "smsc:2", false),
        ] {
            assert_eq!(plain(one) == plain(other), same, "{one} and {other}");
        }
    }

    #[test]
    fn an_example_has_the_port_that_is_usual_and_what_was_written_stays() {
        for text in ["", "a/b", "[::1", "[::1]", "kafka", ":1", "a:b:c", "::1"] {
            let told = Host::parse_with(text, 9092).unwrap_err().to_string();
            assert!(told.contains(":9092") && !told.contains("2775"), "{told}");
        }
        let told = Host::parse_with("2001:db8::2775:9092", 9092).unwrap_err();
        assert!(
            told.to_string().contains("\"[2001:db8::2775]:9092\""),
            "{told}"
        );
    }

    #[test]
    fn what_is_none_is_refused_with_what_to_write() {
        for (text, said) in [
            ("", "blank"),
            (" \t", "blank"),
            ("smsc :2775", "has a blank"),
            ("smsc:2775 ", "has a blank"),
            ("\u{a0}smsc:2775", "has a blank"),
            ("smpp://smsc:2775", "no scheme"),
            ("smsc:2775/", "no path"),
            ("a:1,b:2", "element of its own"),
            ("a:1;b:2", "element of its own"),
            ("smsc", "write such as \"smsc:2775\""),
            ("smsc:", "write such as \"smsc:2775\""),
            ("smsc:0", "\"0\" is no port"),
            ("smsc:65536", "\"65536\" is no port"),
            ("smsc:+2775", "\"+2775\" is no port"),
            ("smsc:smpp", "\"smpp\" is no port"),
            (":2775", "the name is missing"),
            ("::1:2775", "write \"[::1]:2775\""),
            ("::1", "write \"[::1]:2775\""),
            ("2001:db8::7:2775", "write \"[2001:db8::7]:2775\""),
            ("fe80::1%eth0:2775", "write \"[fe80::1%eth0]:2775\""),
            ("fe80::1%eth0", "write \"[fe80::1%eth0]:2775\""),
            ("smsc:2775:2776", "it has a colon"),
            ("[::1]", "write such as \"[::1]:2775\""),
            ("[::1]:", "write such as \"[::1]:2775\""),
            ("[::1]2775", "brackets stand around"),
            ("[::1]:0", "\"0\" is no port"),
            ("[smsc]:2775", "brackets stand around"),
            ("[::1:2775", "brackets stand around"),
            ("::1]:2775", "brackets stand around"),
            ("[fe80::1%]:2775", "brackets stand around"),
            ("[fe80::1]:2775", "such as \"[fe80::1%eth0]:2775\""),
            ("[febf::1]:1", "such as \"[febf::1%eth0]:1\""),
            ("*:2776", "\"0.0.0.0\""),
            ("smsç:2775", "xn--"),
            ("sm$c:2775", "'-', '_'"),
            ("smsc..net:2775", "between its dots"),
            (".smsc:2775", "between its dots"),
            ("256.0.0.1:2775", "four numbers"),
            ("1.2.3:2775", "four numbers"),
            ("2775:2775", "four numbers"),
        ] {
            let told = Host::parse(text).expect_err(text).to_string();
            assert!(told.contains(said), "{text}: {told}");
        }
    }
}
