//! From a capture file to segments of TCP.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use jiff::Timestamp;
use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};

use super::blocks::Blocks;
use super::{Origin, Summary};
use crate::cli::{Code, Failure};
use crate::codes;

/// The room for a block of the file at first, and at most.
const ROOM: usize = 1 << 16;
const MOST_ROOM: usize = 1 << 24;
/// Raw IP as some systems number it in their files, which 101 is everywhere.
const RAW_BSD: Linktype = Linktype(12);
const RAW_OPENBSD: Linktype = Linktype(14);
/// More network interfaces than that are not believed.
const INTERFACES: usize = 1 << 12;

/// A segment of TCP.
pub(super) struct Segment<'a> {
    pub origin: Origin,
    /// Of the first octet, or of the SYN.
    pub sequence: u32,
    pub syn: bool,
    pub payload: &'a [u8],
}

/// How the packets of an interface are written.
#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    /// Units of time in a second.
    resolution: u64,
    /// Seconds to be added.
    offset: i64,
}

/// Whether octets are the beginning of a capture file.
pub(in crate::cli) fn is_capture(octets: &[u8]) -> bool {
    matches!(
        octets.get(..4),
        Some(
            b"\xa1\xb2\xc3\xd4"
                | b"\xd4\xc3\xb2\xa1"
                | b"\xa1\xb2\x3c\x4d"
                | b"\x4d\x3c\xb2\xa1"
                | b"\x0a\x0d\x0d\x0a"
        )
    )
}

/// What a file is by its first octets, if it is no capture that is read, and what helps.
pub(in crate::cli) fn is_other(octets: &[u8]) -> Option<&'static str> {
    Some(match octets {
        [0x1F, 0x8B, ..] => "compressed with gzip: `gunzip -c FILE | kafka-smpp decode`",
        [0x28, 0xB5, 0x2F, 0xFD, ..] => "compressed with zstd: `zstdcat FILE | kafka-smpp decode`",
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => {
            "compressed with xz: `xzcat FILE | kafka-smpp decode`"
        }
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, ..] => {
            "compressed with bzip2: `bzcat FILE | kafka-smpp decode`"
        }
        [b'P', b'K', 3, 4, ..] => "a zip archive: unpack it first",
        [0xA1, 0xB2, 0xCD, 0x34, ..] | [0x34, 0xCD, 0xB2, 0xA1, ..] => {
            "a capture in Kuznetzov's form of pcap: `editcap -F pcap FILE OUT` makes one that is read"
        }
        [b's', b'n', b'o', b'o', b'p', 0, 0, 0, ..] => {
            "a capture of snoop: `editcap -F pcap FILE OUT` makes one that is read"
        }
        _ => return None,
    })
}

/// Hands out each segment of TCP in the order of the file, as far as it can be read.
pub(super) fn each(
    from: impl Read + Send,
    mut take: impl FnMut(Segment<'_>) -> Result<(), Failure>,
) -> Result<Summary, Failure> {
    let damaged = AtomicBool::new(false);
    let patient = Patient {
        from,
        blocks: Blocks::default(),
        damaged: &damaged,
    };
    let mut reader = create_reader(ROOM, patient).map_err(|error| {
        Failure::new(
            Code::Data,
            codes::CAPTURE_UNREADABLE,
            format!("the capture: {}", describe(&error)),
        )
    })?;
    let mut room = ROOM;
    let mut interfaces = Vec::new();
    let mut summary = Summary::default();
    loop {
        let used = match reader.next() {
            Ok((used, block)) => {
                if let Some((interface, at, packet)) = packet(&block, &mut interfaces) {
                    summary.packets += 1;
                    if let Some(segment) = segment_of(interface, at, packet, &mut summary) {
                        take(segment)?;
                    }
                }
                used
            }
            Err(PcapError::Eof) => break,
            Err(PcapError::UnexpectedEof) => {
                summary.cut = true;
                break;
            }
            Err(PcapError::BufferTooSmall) if room < MOST_ROOM => {
                room *= 2;
                if !reader.grow(room) || reader.refill().is_err() {
                    summary.damage = Some("it cannot be read any further".into());
                    break;
                }
                0
            }
            Err(PcapError::Incomplete(_)) => {
                if reader.reader_exhausted() {
                    summary.cut = true;
                    break;
                }
                if let Err(error) = reader.refill() {
                    summary.damage = Some(describe(&error));
                    break;
                }
                0
            }
            Err(error) => {
                summary.damage = Some(describe(&error));
                break;
            }
        };
        reader.consume(used);
    }
    if damaged.load(Ordering::Relaxed) {
        summary.damage = Some("a block of it is shorter than its own lengths".into());
        summary.cut = false;
    }
    Ok(summary)
}

/// What keeps a capture from being read.
fn describe(error: &PcapError<&[u8]>) -> String {
    match error {
        PcapError::NomError(_, kind) | PcapError::OwnedNomError(_, kind) => {
            format!("a block of it is damaged ({kind:?})")
        }
        PcapError::BufferTooSmall => {
            format!("a block of it says that it has more than {MOST_ROOM} octets")
        }
        PcapError::ReadError => "reading it failed".into(),
        other => format!("it cannot be read: {other}"),
    }
}

/// The segment of TCP in a packet; what else it is is counted.
fn segment_of<'a>(
    interface: Interface,
    at: Option<Timestamp>,
    packet: &'a [u8],
    summary: &mut Summary,
) -> Option<Segment<'a>> {
    let Some(sliced) = sliced(interface.link, packet) else {
        summary.unread += 1;
        summary.link.get_or_insert(interface.link.0);
        return None;
    };
    let is_fragment = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => ip.payload().fragmented,
        Some(LaxNetSlice::Ipv6(ip)) => ip.payload().fragmented,
        _ => false,
    };
    let segment = segment(&sliced, at, summary.packets);
    match (is_fragment, &segment) {
        (true, _) => summary.fragments += 1,
        (false, None) => summary.without_tcp += 1,
        (false, Some(_)) => {}
    }
    segment
}

/// A reader whose reads are not ended by a signal, nor short before the end, and which ends
/// before a block that the parser does not expect.
struct Patient<'d, R> {
    from: R,
    blocks: Blocks,
    /// Set when it has ended so.
    damaged: &'d AtomicBool,
}

impl<R: Read> Read for Patient<'_, R> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        if self.damaged.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let mut full = 0;
        while let Some(rest) = room.get_mut(full..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => break,
                Ok(octets) => full += octets,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let good = self.blocks.follow(room.get(..full).unwrap_or_default());
        if good < full {
            self.damaged.store(true, Ordering::Relaxed);
        }
        Ok(good)
    }
}

/// The packet in a block, if there is one, when it came, and on which interface.
fn packet<'a>(
    block: &'a PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
) -> Option<(Interface, Option<Timestamp>, &'a [u8])> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            *interfaces = vec![Interface {
                link: header.network,
                resolution: if header.is_nanosecond_precision() {
                    1_000_000_000
                } else {
                    1_000_000
                },
                offset: 0,
            }];
            None
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = *interfaces.first()?;
            let at = interface.time(packet.ts_sec.into(), packet.ts_usec.into());
            Some((interface, at, packet.data))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            if interfaces.len() < INTERFACES {
                interfaces.push(Interface {
                    link: description.linktype,
                    resolution: description.ts_resolution().unwrap_or(1_000_000),
                    offset: description.ts_offset(),
                });
            }
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = *interfaces.get(packet.if_id as usize)?;
            let time = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            let resolution = interface.resolution.max(1);
            let at = interface.time(i64::try_from(time / resolution).ok()?, time % resolution);
            Some((interface, at, packet.packet_data()))
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            Some((*interfaces.first()?, None, packet.packet_data()))
        }
        PcapBlockOwned::NG(_) => None,
    }
}

impl Interface {
    fn time(&self, seconds: i64, units: u64) -> Option<Timestamp> {
        let nanoseconds = u128::from(units) * 1_000_000_000 / u128::from(self.resolution.max(1));
        let seconds = seconds.checked_add(self.offset)?;
        Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
    }
}

/// The layers of a packet, as far as they were captured; `None` if the link is not read.
fn sliced(link: Linktype, packet: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    const NONE: EtherType = EtherType(0);
    let behind = |at: usize, header: usize| {
        let kind = packet.get(at..at + 2).and_then(|kind| kind.try_into().ok());
        let kind = kind.map_or(NONE, |kind| EtherType(u16::from_be_bytes(kind)));
        LaxSlicedPacket::from_ether_type(kind, packet.get(header..).unwrap_or_default())
    };
    let nothing = || LaxSlicedPacket::from_ether_type(NONE, &[]);
    let ip = |header: usize| {
        let packet = packet.get(header..).unwrap_or_default();
        LaxSlicedPacket::from_ip(packet).unwrap_or_else(|_| nothing())
    };
    Some(match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(packet).unwrap_or_else(|_| nothing()),
        Linktype::LINUX_SLL => behind(14, 16),
        Linktype::LINUX_SLL2 => behind(0, 20),
        Linktype::NULL | Linktype::LOOP => ip(4),
        Linktype::RAW | RAW_BSD | RAW_OPENBSD | Linktype::IPV4 | Linktype::IPV6 => ip(0),
        _ => return None,
    })
}

/// What TCP carries in octets that begin with an IP packet, or with one in an Ethernet frame.
pub(in crate::cli) fn tcp_payload(octets: &[u8]) -> Option<&[u8]> {
    let is_ethernet = matches!(
        octets.get(12..14),
        Some([0x08, 0x00] | [0x86, 0xDD] | [0x81, 0x00])
    );
    let link = match octets.first()? >> 4 {
        4 | 6 => Linktype::RAW,
        _ if is_ethernet => Linktype::ETHERNET,
        _ => return None,
    };
    match sliced(link, octets)?.transport? {
        TransportSlice::Tcp(tcp) => Some(tcp.payload()),
        _ => None,
    }
}

fn segment<'a>(
    packet: &LaxSlicedPacket<'a>,
    at: Option<Timestamp>,
    number: usize,
) -> Option<Segment<'a>> {
    let (source, destination): (IpAddr, IpAddr) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        LaxNetSlice::Ipv6(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        LaxNetSlice::Arp(_) => return None,
    };
    let TransportSlice::Tcp(tcp) = packet.transport.as_ref()? else {
        return None;
    };
    Some(Segment {
        origin: Origin {
            from: SocketAddr::new(source, tcp.source_port()),
            to: SocketAddr::new(destination, tcp.destination_port()),
            at,
            packet: number,
        },
        sequence: tcp.sequence_number(),
        syn: tcp.syn(),
        payload: tcp.payload(),
    })
}
