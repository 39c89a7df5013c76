//! Where one PDU ends and the next begins (SMPP 3.4 §3.2).
//!
//! Only an impossible command_length makes a stream unreadable; whatever else is odd about a PDU,
//! the next one can still be found.

use super::{Command, DecodeError, Problem, Status};

/// Octets in the header of every PDU.
pub const HEADER: usize = 16;

/// The highest sequence_number; 1 follows it (SMPP 3.4 §5.1.4).
pub const MAX_SEQUENCE: u32 = 0x7FFF_FFFF;

/// The header of every PDU (SMPP 3.4 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Octets of the whole PDU, this header included.
    pub length: u32,
    /// What the PDU is.
    pub command: Command,
    /// How a request fared; 0 in requests.
    pub status: Status,
    /// Ties a response to its request: 1 to [`MAX_SEQUENCE`], though a peer may send any.
    pub sequence: u32,
}

/// One PDU, its body not yet looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// What follows the header, up to command_length.
    pub body: &'a [u8],
}

/// A command_length no PDU can have: the stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "command_length {length} is outside 16 to {max}{}",
    match other_protocol(&length.to_be_bytes()) {
        Some(protocol) => format!(": whoever answers speaks {protocol}, and not SMPP"),
        None => ": the stream is out of step, reconnect".into(),
    }
)]
pub struct ImpossibleLength {
    /// The length that was read.
    pub length: u32,
    /// The longest that is accepted here.
    pub max: usize,
}

/// Which other protocol octets look like that should be a PDU, by the first four of them: a port
/// or a TLS setting that is wrong shows in an absurd command_length.
///
/// ```
/// use smpp_protocol::frame::other_protocol;
///
/// assert_eq!(other_protocol(b"HTTP/1.1 400 Bad Request"), Some("HTTP"));
/// assert_eq!(other_protocol(b"\0\0\0\x10"), None);
/// ```
pub fn other_protocol(octets: &[u8]) -> Option<&'static str> {
    Some(match octets.first_chunk::<4>()? {
        b"HTTP" | b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"PRI " => "HTTP",
        [0x14..=0x17, 3, 0..=4, _] => "TLS",
        b"AMQP" => "AMQP",
        b"SSH-" => "SSH",
        b"220 " | b"220-" | b"EHLO" | b"HELO" => "SMTP or FTP",
        b"RTSP" => "RTSP",
        b"SIP/" | b"INVI" | b"REGI" => "SIP",
        [3, 0, _, _] => "TPKT, as RDP does",
        [2, b'0'..=b'9', b'0'..=b'9', b'/' | b':' | b'0'..=b'9'] => "UCP or CIMD",
        _ => return None,
    })
}

/// The first PDU of a stream, `None` while it is incomplete.
///
/// `header.length` octets belong to it; continue after them. The length is judged as soon as its
/// four octets are there, so that nobody waits for 4 GB.
pub fn split(octets: &[u8], max: usize) -> Result<Option<Frame<'_>>, ImpossibleLength> {
    let Some((length, _)) = octets.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    if (length as usize) < HEADER || length as usize > max {
        return Err(ImpossibleLength { length, max });
    }
    Ok(octets.get(..length as usize).and_then(Frame::of))
}

impl<'a> Frame<'a> {
    /// Reads a whole PDU; octets beyond its command_length are not looked at.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, DecodeError> {
        let truncated = |wanted| DecodeError {
            field: "command_length",
            position: 0,
            problem: Problem::Truncated {
                wanted,
                left: pdu.len(),
            },
        };
        let header = Header::decode(pdu).ok_or(truncated(HEADER))?;
        if (header.length as usize) < HEADER {
            let problem = Problem::Undefined(header.length);
            return Err(DecodeError {
                field: "command_length",
                position: 0,
                problem,
            });
        }
        pdu.get(..header.length as usize)
            .and_then(Frame::of)
            .ok_or(truncated(header.length as usize))
    }

    /// A frame of octets that are known to be exactly one.
    fn of(whole: &'a [u8]) -> Option<Self> {
        Some(Frame {
            header: Header::decode(whole)?,
            body: whole.get(HEADER..)?,
        })
    }
}

impl Header {
    /// Reads the header at the beginning of `octets`; `None` when there are fewer than 16.
    pub fn decode(octets: &[u8]) -> Option<Header> {
        let header = octets.first_chunk::<HEADER>()?;
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        Some(Header {
            length: word(0),
            command: Command(word(4)),
            status: Status(word(8)),
            sequence: word(12),
        })
    }

    /// Appends the header as it is.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut header = [0; HEADER];
        header[0..4].copy_from_slice(&self.length.to_be_bytes());
        header[4..8].copy_from_slice(&self.command.0.to_be_bytes());
        header[8..12].copy_from_slice(&self.status.0.to_be_bytes());
        header[12..16].copy_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&header);
    }
}

/// Appends a PDU without body: enquire_link, unbind, their responses, generic_nack, and the
/// response to any request that failed.
pub fn push_empty(command: Command, status: Status, sequence: u32, out: &mut Vec<u8>) {
    Header {
        length: HEADER as u32,
        command,
        status,
        sequence,
    }
    .encode(out);
}

/// Numbers an encoded PDU. Does nothing to what is too short to be one.
pub fn set_sequence(pdu: &mut [u8], sequence: u32) {
    if let Some(field) = pdu.get_mut(12..HEADER) {
        field.copy_from_slice(&sequence.to_be_bytes());
    }
}

/// The sequence_number after `sequence`: 1 follows [`MAX_SEQUENCE`].
pub const fn next_sequence(sequence: u32) -> u32 {
    if sequence >= MAX_SEQUENCE {
        1
    } else {
        sequence + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1024;

    fn link(sequence: u32) -> Vec<u8> {
        let mut pdu = Vec::new();
        push_empty(Command::ENQUIRE_LINK, Status::ROK, sequence, &mut pdu);
        pdu
    }

    #[test]
    fn frames_come_one_after_another_and_wait_for_their_end() {
        let stream = [link(1), link(2)].concat();
        for short in 0..16 {
            assert_eq!(split(&stream[..short], MAX), Ok(None));
        }
        let first = split(&stream, MAX).unwrap().unwrap();
        assert_eq!((first.header.sequence, first.body), (1, &b""[..]));
        let rest = &stream[first.header.length as usize..];
        assert_eq!(split(rest, MAX).unwrap().unwrap().header.sequence, 2);
    }

    #[test]
    fn an_impossible_length_is_seen_before_the_rest_arrives() {
        let too_short = split(&[0, 0, 0, 15], MAX).unwrap_err();
        assert_eq!(
            too_short,
            ImpossibleLength {
                length: 15,
                max: MAX
            }
        );
        assert!(split(b"GET / HTTP/1.1", MAX).is_err());
        assert_eq!(split(&[0, 0, 4, 0], MAX), Ok(None), "1,024 is allowed");
    }

    #[test]
    fn a_whole_pdu_is_never_read_beyond_its_length() {
        let mut pdu = link(9);
        pdu.extend_from_slice(b"next");
        assert_eq!(Frame::decode(&pdu).unwrap().body, b"");
        pdu[3] = 17 + 4;
        let error = Frame::decode(&pdu).unwrap_err();
        assert_eq!(
            error.to_string(),
            "command_length at octet 0: 21 octets wanted, 20 left in the PDU"
        );
    }

    #[test]
    fn sequence_numbers_wrap_and_are_set_in_place() {
        assert_eq!(next_sequence(1), 2);
        assert_eq!(next_sequence(MAX_SEQUENCE), 1);
        let mut pdu = link(0);
        set_sequence(&mut pdu, MAX_SEQUENCE);
        assert_eq!(Header::decode(&pdu).unwrap().sequence, MAX_SEQUENCE);
        set_sequence(&mut pdu[..15], 5);
        assert_eq!(Header::decode(&pdu).unwrap().sequence, MAX_SEQUENCE);
    }
}
