//! From a capture file to segments of TCP.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use jiff::Timestamp;
use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};

use super::blocks::Blocks;
use super::{Origin, Summary};
use crate::cli::{Code, Failure};

/// The room for a block of the file at first, and at most.
const ROOM: usize = 1 << 16;
const MOST_ROOM: usize = 1 << 24;
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

/// Hands out each segment of TCP in the order of the file.
pub(super) fn each(
    from: impl Read + Send,
    mut take: impl FnMut(Segment<'_>) -> Result<(), Failure>,
) -> Result<Summary, Failure> {
    let broken = |error: PcapError<&[u8]>| {
        let text = match error {
            PcapError::NomError(_, kind) | PcapError::OwnedNomError(_, kind) => {
                format!("a block of the capture is damaged ({kind:?})")
            }
            other => format!("the capture cannot be read: {other}"),
        };
        Failure::new(Code::Data, text)
    };
    let mut reader = create_reader(ROOM, Patient(from, Blocks::default())).map_err(broken)?;
    let mut room = ROOM;
    let mut interfaces = Vec::new();
    let mut summary = Summary::default();
    loop {
        let used = match reader.next() {
            Ok((used, block)) => {
                if let Some((interface, at, packet)) = packet(&block, &mut interfaces) {
                    summary.packets += 1;
                    match sliced(interface.link, packet) {
                        None => summary.unread += 1,
                        Some(sliced) => {
                            if let Some(segment) = segment(&sliced, at, summary.packets) {
                                take(segment)?;
                            }
                        }
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
                reader.grow(room);
                reader.refill().map_err(broken)?;
                0
            }
            Err(PcapError::Incomplete(_)) => {
                if reader.reader_exhausted() {
                    summary.cut = true;
                    break;
                }
                reader.refill().map_err(broken)?;
                0
            }
            Err(error) => return Err(broken(error)),
        };
        reader.consume(used);
    }
    Ok(summary)
}

/// A reader whose reads are not ended by a signal, nor short before the end, and which refuses
/// blocks that the parser does not expect.
struct Patient<R>(R, Blocks);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let mut full = 0;
        while let Some(rest) = room.get_mut(full..).filter(|rest| !rest.is_empty()) {
            match self.0.read(rest) {
                Ok(0) => break,
                Ok(octets) => full += octets,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.1.follow(room.get(..full).unwrap_or_default())?;
        Ok(full)
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
                resolution: match header.is_nanosecond_precision() {
                    true => 1_000_000_000,
                    false => 1_000_000,
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
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => ip(0),
        _ => return None,
    })
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
