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
use super::{Code, Failure};
use streams::Streams;

pub(super) use packets::is_capture;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Packets of any kind.
    pub packets: usize,
    /// PDUs.
    pub pdus: usize,
    /// Octets of TCP before the first PDU of a stream: the capture began inside it, or it is
    /// no SMPP.
    pub skipped: usize,
    /// Packets of links that are not read.
    pub unread: usize,
    /// Whether the file ends inside a packet.
    pub cut: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} PDUs", self.packets, self.pdus)?;
        if self.skipped > 0 {
            write!(f, "; {} octets of TCP are no PDUs", self.skipped)?;
        }
        if self.unread > 0 {
            let unread = self.unread;
            write!(f, "; {unread} packets are of a link that is not read")?;
        }
        if self.cut {
            f.write_str("; the file ends inside a packet")?;
        }
        Ok(())
    }
}

/// Reads a capture and hands out the PDUs of all its TCP streams, each when its last octet comes.
pub(super) fn read(
    from: impl Read + Send,
    mut found: impl FnMut(Found<'_>) -> Result<(), Failure>,
) -> Result<Summary, Failure> {
    let mut streams = Streams::default();
    let mut summary = packets::each(from, |segment| streams.add(&segment, &mut found))?;
    streams.end(&mut found)?;
    summary.pdus = streams.pdus;
    summary.skipped = streams.skipped;
    if summary.packets > 0 && summary.unread == summary.packets {
        let text =
            "no packet is of a link that is read: Ethernet, Linux cooked, loopback or raw IP";
        return Err(Failure::new(Code::Data, text));
    }
    Ok(summary)
}
