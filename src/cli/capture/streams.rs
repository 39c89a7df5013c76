//! TCP streams put together from their segments, and cut into PDUs.
//!
//! A stream is read from its SYN, or from the first octets that look like the header of a PDU:
//! so one that began before the capture is found too, and one that is no SMPP gives nothing.
//! Segments may come twice, overlap, or come out of order. Where some are missing, reading goes
//! on behind them as soon as more are waiting than an SMSC's window would hold.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::packets::Segment;
use super::{Found, Origin};
use crate::cli::Failure;
use crate::cli::lines::Fault;
use smpp_protocol::Header;
use smpp_protocol::frame::{HEADER, other_protocol};

/// The longest PDU that is believed: message_payload has at most 65,535 octets.
const LONGEST: usize = 1 << 17;
/// Octets of a stream that wait for others before them, and what each segment of them weighs
/// besides.
const WAITING: usize = 1 << 17;
const SEGMENT: usize = 64;
/// Streams that are followed at once; beyond, the one that was silent longest ends.
const STREAMS: usize = 1 << 10;

type Take<'a> = &'a mut dyn FnMut(Found<'_>) -> Result<(), Failure>;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Streams {
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
    /// PDUs found.
    pub pdus: usize,
    /// Octets that were none, in streams where none had come before.
    pub skipped: usize,
    /// What the first stream without any looks like.
    pub protocol: Option<&'static str>,
}

/// One direction of a connection.
struct Stream {
    /// Of the last segment.
    origin: Origin,
    /// The sequence number of the octet that comes next.
    next: u32,
    /// Octets in order that are not yet a whole PDU.
    begun: Vec<u8>,
    /// Segments behind a hole, by their distance from `base`.
    waiting: BTreeMap<u64, Vec<u8>>,
    /// What these weigh.
    held: usize,
    /// How many octets came in order, so that distances do not wrap.
    done: u64,
    /// Whether `begun` begins where a PDU does.
    in_step: bool,
    /// Whether any PDU was found.
    is_smpp: bool,
    /// What its first octets look like, if it is another protocol.
    protocol: Option<&'static str>,
    pdus: usize,
    skipped: usize,
}

impl Streams {
    /// Takes a segment in, and hands out the PDUs that it completes.
    pub fn add(&mut self, segment: &Segment<'_>, take: Take<'_>) -> Result<(), Failure> {
        let key = (segment.origin.from, segment.origin.to);
        if segment.syn {
            // The same ports, another connection; or the SYN came twice.
            let again = self.streams.get(&key).is_some_and(|stream| {
                stream.done == 0 && stream.next == segment.sequence.wrapping_add(1)
            });
            if let Some(old) = self.streams.remove(&key).filter(|_| !again) {
                self.close(old, take)?;
            }
        } else if segment.payload.is_empty() {
            return Ok(());
        }
        if !self.streams.contains_key(&key) && self.streams.len() >= STREAMS {
            let silent = self.streams.iter().min_by_key(|(_, s)| s.origin.packet);
            let silent = silent.map(|(key, _)| *key);
            if let Some(old) = silent.and_then(|key| self.streams.remove(&key)) {
                self.close(old, take)?;
            }
        }
        let stream = self
            .streams
            .entry(key)
            .or_insert_with(|| Stream::new(segment));
        stream.origin = segment.origin.clone();
        stream.add(segment, take)?;
        self.pdus += std::mem::take(&mut stream.pdus);
        self.skipped += std::mem::take(&mut stream.skipped);
        Ok(())
    }

    /// The capture is over.
    pub fn end(&mut self, take: Take<'_>) -> Result<(), Failure> {
        let mut rest: Vec<_> = self.streams.drain().map(|(_, stream)| stream).collect();
        rest.sort_by_key(|stream| stream.origin.packet);
        rest.into_iter()
            .try_for_each(|stream| self.close(stream, take))
    }

    fn close(&mut self, mut stream: Stream, take: Take<'_>) -> Result<(), Failure> {
        while !stream.waiting.is_empty() {
            stream.skip_hole(take)?;
        }
        let left = stream.begun.len();
        if stream.in_step && left > 0 {
            stream.tell("cut_off", "the stream ends inside a PDU".into(), take)?;
        } else if !stream.is_smpp {
            stream.skipped += left;
            self.protocol = self.protocol.or(stream.protocol);
        }
        self.pdus += stream.pdus;
        self.skipped += stream.skipped;
        Ok(())
    }
}

impl Stream {
    fn new(first: &Segment<'_>) -> Self {
        Stream {
            origin: first.origin.clone(),
            next: first.sequence.wrapping_add(first.syn.into()),
            begun: Vec::new(),
            waiting: BTreeMap::new(),
            held: 0,
            done: 0,
            in_step: false,
            is_smpp: false,
            protocol: None,
            pdus: 0,
            skipped: 0,
        }
    }

    fn add(&mut self, segment: &Segment<'_>, take: Take<'_>) -> Result<(), Failure> {
        let sequence = segment.sequence.wrapping_add(segment.syn.into());
        // Sequence numbers wrap; what is nearer behind than before came already (RFC 9293, 3.4).
        let ahead = sequence.wrapping_sub(self.next).cast_signed();
        match u32::try_from(ahead) {
            Err(_) => {
                let new = segment.payload.get(ahead.unsigned_abs() as usize..);
                self.in_order(new.unwrap_or_default(), take)?;
            }
            Ok(0) => self.in_order(segment.payload, take)?,
            Ok(ahead) => {
                self.keep(self.done + u64::from(ahead), segment.payload);
                while self.held > WAITING {
                    self.skip_hole(take)?;
                }
                return Ok(());
            }
        }
        self.fill(take)
    }

    /// Keeps what comes behind a hole.
    fn keep(&mut self, at: u64, payload: &[u8]) {
        let there = self.waiting.get(&at);
        if there.is_some_and(|there| there.len() >= payload.len()) {
            return;
        }
        self.held += payload.len() + SEGMENT;
        if let Some(shorter) = self.waiting.insert(at, payload.to_vec()) {
            self.held -= shorter.len() + SEGMENT;
        }
    }

    /// What waited and now follows.
    fn fill(&mut self, take: Take<'_>) -> Result<(), Failure> {
        while let Some(entry) = self.waiting.first_entry() {
            let at = *entry.key();
            if at > self.done {
                break;
            }
            let octets = entry.remove();
            self.held -= octets.len() + SEGMENT;
            let known = usize::try_from(self.done - at).unwrap_or(usize::MAX);
            self.in_order(octets.get(known..).unwrap_or_default(), take)?;
        }
        Ok(())
    }

    /// Goes on behind octets that are missing.
    fn skip_hole(&mut self, take: Take<'_>) -> Result<(), Failure> {
        let Some((at, _)) = self.waiting.first_key_value() else {
            return Ok(());
        };
        let missing = at - self.done;
        self.done = *at;
        self.next = self.next.wrapping_add(missing as u32);
        if self.is_smpp && missing > 0 {
            let text = format!("{missing} octets of the stream were not captured");
            self.tell("not_captured", text, take)?;
        }
        self.begun.clear();
        self.in_step = false;
        self.fill(take)
    }

    fn in_order(&mut self, octets: &[u8], take: Take<'_>) -> Result<(), Failure> {
        if self.done == 0 {
            self.protocol = other_protocol(octets);
        }
        self.next = self.next.wrapping_add(octets.len() as u32);
        self.done += octets.len() as u64;
        self.begun.extend_from_slice(octets);
        let mut begun = std::mem::take(&mut self.begun);
        let mut rest = &begun[..];
        loop {
            if !self.in_step {
                rest = self.search(rest);
            }
            let Some(header) = Header::decode(rest).filter(|_| self.in_step) else {
                break;
            };
            let length = header.length as usize;
            if !(HEADER..=LONGEST).contains(&length) {
                let text = format!("command_length {length} cannot be: the stream is out of step");
                let (damaged, others) = rest.split_at(HEADER);
                self.found(damaged, Some(fault("out_of_step", text)), take)?;
                (rest, self.in_step) = (others, false);
                continue;
            }
            let Some((pdu, others)) = rest.split_at_checked(length) else {
                break;
            };
            self.pdus += 1;
            self.is_smpp = true;
            self.found(pdu, None, take)?;
            rest = others;
        }
        let used = begun.len() - rest.len();
        begun.drain(..used);
        self.begun = begun;
        Ok(())
    }

    /// Leaves out what is before the first header of a PDU.
    fn search<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        let header = octets.windows(HEADER).position(is_header);
        self.in_step = header.is_some();
        let from = header.unwrap_or((octets.len() + 1).saturating_sub(HEADER));
        if !self.is_smpp {
            self.skipped += from;
        }
        octets.get(from..).unwrap_or_default()
    }

    /// Tells what is wrong, with the octets that are left, which are none afterwards.
    fn tell(&mut self, code: &'static str, text: String, take: Take<'_>) -> Result<(), Failure> {
        let octets = if self.in_step {
            std::mem::take(&mut self.begun)
        } else {
            Vec::new()
        };
        self.found(&octets, Some(fault(code, text)), take)
    }

    fn found(&self, octets: &[u8], fault: Option<Fault>, take: Take<'_>) -> Result<(), Failure> {
        take(Found {
            origin: &self.origin,
            octets,
            fault,
        })
    }
}

/// Whether octets look like a header: a length that can be, a known command, a status that can be.
pub(in crate::cli) fn is_header(octets: &[u8]) -> bool {
    Header::decode(octets).is_some_and(|header| {
        (HEADER..=LONGEST).contains(&(header.length as usize))
            && header.command.name().is_some()
            && header.status.0 <= 0xFFFF
    })
}

fn fault(code: &'static str, text: String) -> Fault {
    Fault {
        code: code.into(),
        offset: None,
        text,
    }
}
