//! PDUs in captures of network traffic, pcap and pcapng.

mod blocks;
mod packets;
mod streams;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::lines::Fault;
use super::output::plural;
use super::{Code, Failure};
use crate::codes;
use streams::Streams;

pub(super) use packets::{is_capture, is_other, tcp_payload};
pub(super) use streams::is_header;

/// Where in a capture a PDU comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Origin {
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// When the packet with its last octet was captured.
    pub at: Option<Timestamp>,
    /// The number of that packet, from 1, as other tools count them.
    pub packet: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{at}  ")?;
        }
        write!(f, "{} > {}  packet {}", self.from, self.to, self.packet)
    }
}

/// A PDU, or octets that are none.
pub(super) struct Found<'a> {
    /// Where it comes from.
    pub origin: &'a Origin,
    /// The PDU, or the octets.
    pub octets: &'a [u8],
    /// Why these octets are no PDU.
    pub fault: Option<Fault>,
}

/// What was read of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Packets of any kind.
    pub packets: usize,
    /// PDUs.
    pub pdus: usize,
    /// Octets of TCP before the first PDU of a stream: the capture began inside it, or it is
    /// no SMPP.
    pub skipped: usize,
    /// What the first stream without a PDU looks like.
    pub protocol: Option<&'static str>,
    /// Packets of links that are not read.
    pub unread: usize,
    /// The link type of the first of them.
    pub link: Option<i32>,
    /// Packets that are a part of an IP packet. They are not put together.
    pub fragments: usize,
    /// Packets of a link that is read, but without TCP, or with TCP inside something else.
    pub without_tcp: usize,
    /// Whether the file ends inside a packet.
    pub cut: bool,
    /// What keeps the rest of it from being read.
    pub damage: Option<String>,
}

impl Summary {
    /// Whether something of it could not be read.
    pub fn is_damaged(&self) -> bool {
        self.cut || self.damage.is_some()
    }

    /// Whether a program should hear of it too: something is missing among the PDUs.
    pub fn is_odd(&self) -> bool {
        let missing = self.skipped + self.unread + self.fragments;
        missing > 0 || self.pdus == 0 || self.is_damaged()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packets = plural(self.packets, "packet");
        write!(f, "{packets}, {}", plural(self.pdus, "PDU"))?;
        if self.skipped > 0 {
            write!(
                f,
                "; {} of TCP before any PDU",
                plural(self.skipped, "octet")
            )?;
        }
        if let Some(protocol) = self.protocol {
            write!(f, "; a stream without PDUs looks like {protocol}")?;
        }
        if let Some(link) = self.link {
            let unread = plural(self.unread, "packet");
            write!(
                f,
                "; of a link that is not read: {unread} (link type {link})"
            )?;
        }
        if self.fragments > 0 {
            let fragments = plural(self.fragments, "fragment");
            write!(f, "; {fragments} of IP packets, which are not put together")?;
        }
        if self.without_tcp > 0 {
            write!(f, "; without TCP: {}", plural(self.without_tcp, "packet"))?;
        }
        if self.cut {
            f.write_str("; the file ends inside a packet")?;
        }
        match &self.damage {
            Some(damage) => write!(f, "; {damage}, and what follows is not read"),
            None => Ok(()),
        }
    }
}

/// Reads a capture and hands out the PDUs of all its TCP streams, each when its last octet comes.
/// Damage ends it, and what came before is handed out all the same.
pub(super) fn read(
    from: impl Read + Send,
    mut found: impl FnMut(Found<'_>) -> Result<(), Failure>,
) -> Result<Summary, Failure> {
    let mut streams = Streams::default();
    let mut summary = packets::each(from, |segment| streams.add(&segment, &mut found))?;
    streams.end(&mut found)?;
    summary.pdus = streams.pdus;
    summary.skipped = streams.skipped;
    summary.protocol = streams.protocol;
    if let Some(link) = summary.link.filter(|_| summary.unread == summary.packets) {
        let text = format!(
            "no packet is of a link that is read: Ethernet, Linux cooked, loopback or raw IP. \
             These are of link type {link} (https://www.tcpdump.org/linktypes.html says which \
             that is)"
        );
        return Err(Failure::new(Code::Data, codes::CAPTURE_UNREADABLE, text));
    }
    Ok(summary)
}
