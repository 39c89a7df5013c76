//! Octets on their way to the socket, and which requests they belong to.

use std::collections::VecDeque;

use super::channel::{Request, Response};
use super::client::Token;
use smpp_protocol::frame::{self, Header, push_empty, set_sequence};
use smpp_protocol::{Command, Status};

/// Room for so many octets is kept when everything is written.
const SPARE: usize = 262_144;

/// One buffer of PDUs to be written, with the places where requests begin.
///
/// A request leaves its mark here until its first octet is taken by the kernel, and is in the
/// window from then on: so the two together split exactly into never sent and in doubt.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    octets: Vec<u8>,
    /// How many of `octets` the kernel has taken.
    written: usize,
    /// Requests of which no octet was taken, in order.
    marks: VecDeque<Mark>,
    /// Octets of those requests.
    unsent: usize,
}

/// A request of which no octet was taken.
#[derive(Debug)]
struct Mark {
    start: usize,
    unsent: Unsent,
    /// Octets of the PDU.
    length: usize,
}

/// A request that has its sequence number but was not sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsent {
    pub sequence: u32,
    pub command: Command,
    pub token: Token,
    pub timeout: std::time::Duration,
}

impl Outbox {
    /// What is to be written next.
    pub fn unwritten(&self) -> &[u8] {
        self.octets.get(self.written..).unwrap_or_default()
    }

    /// Whether a request waits of which nothing was written.
    pub fn has_unsent(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Octets of the requests of which nothing was written.
    pub fn unsent_octets(&self) -> usize {
        self.unsent
    }

    /// Adds a request under a sequence number.
    pub fn push_request(&mut self, sequence: u32, request: &Request) {
        let start = self.octets.len();
        self.octets.extend_from_slice(&request.pdu);
        set_sequence(&mut self.octets[start..], sequence);
        self.unsent += request.pdu.len();
        let unsent = Unsent {
            sequence,
            command: Header::decode(&request.pdu).map_or(Command(0), |header| header.command),
            token: request.token,
            timeout: request.timeout,
        };
        self.marks.push_back(Mark {
            start,
            unsent,
            length: request.pdu.len(),
        });
    }

    /// Adds a PDU without body: its octets.
    pub fn push_empty(&mut self, command: Command, status: Status, sequence: u32) -> &[u8] {
        let start = self.octets.len();
        push_empty(command, status, sequence, &mut self.octets);
        self.octets.get(start..).unwrap_or_default()
    }

    /// Adds a deliver_sm_resp or data_sm_resp: its message_id is empty, but the NUL is there. Its
    /// octets.
    pub fn push_response(&mut self, response: Response) -> &[u8] {
        let start = self.octets.len();
        let Response {
            command,
            status,
            sequence,
        } = response;
        let length = frame::HEADER as u32 + 1;
        Header {
            length,
            command,
            status,
            sequence,
        }
        .encode(&mut self.octets);
        self.octets.push(0);
        self.octets.get(start..).unwrap_or_default()
    }

    /// The kernel took `count` octets: calls `sent` for each request that thereby was sent,
    /// be it by its first octet alone, with its octets.
    pub fn advance(&mut self, count: usize, mut sent: impl FnMut(Unsent, &[u8])) {
        self.written += count;
        while self
            .marks
            .front()
            .is_some_and(|mark| mark.start < self.written)
        {
            if let Some(mark) = self.marks.pop_front() {
                self.unsent -= mark.length;
                let pdu = self.octets.get(mark.start..mark.start + mark.length);
                sent(mark.unsent, pdu.unwrap_or_default());
            }
        }
        if self.written >= self.octets.len() {
            self.octets.clear();
            self.octets.shrink_to(SPARE);
            self.written = 0;
        } else if self.written >= self.octets.len() / 2 {
            self.octets.drain(..self.written);
            for mark in &mut self.marks {
                mark.start -= self.written;
            }
            self.written = 0;
        }
    }

    /// Takes back those of the requests that `which` names of which nothing was written; all else
    /// stays, also the rest of a PDU that was begun.
    pub fn withdraw(&mut self, which: impl Fn(Token) -> bool) -> Vec<Token> {
        let mut withdrawn = Vec::new();
        let mut kept = Vec::with_capacity(self.octets.len());
        let mut position = 0;
        let (octets, unsent) = (&self.octets, &mut self.unsent);
        self.marks.retain_mut(|mark| {
            kept.extend_from_slice(octets.get(position..mark.start).unwrap_or_default());
            position = mark.start;
            let goes = which(mark.unsent.token);
            if goes {
                position += mark.length;
                *unsent -= mark.length;
                withdrawn.push(mark.unsent.token);
            } else {
                mark.start = kept.len();
            }
            !goes
        });
        kept.extend_from_slice(octets.get(position..).unwrap_or_default());
        self.octets = kept;
        withdrawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::time::Duration;

    const NONE: [Token; 0] = [];

    fn request(token: Token, length: usize) -> Request {
        let mut pdu = vec![0xAA; length.max(frame::HEADER)];
        pdu[..4].copy_from_slice(&(length.max(frame::HEADER) as u32).to_be_bytes());
        Request {
            token,
            pdu: Bytes::from(pdu),
            timeout: Duration::ZERO,
        }
    }

    fn advance(outbox: &mut Outbox, count: usize) -> Vec<Token> {
        let mut tokens = Vec::new();
        outbox.advance(count, |unsent, pdu| {
            assert_eq!(Header::decode(pdu).unwrap().sequence, unsent.sequence);
            tokens.push(unsent.token);
        });
        tokens
    }

    #[test]
    fn one_octet_is_enough_to_be_sent() {
        let mut outbox = Outbox::default();
        outbox.push_request(1, &request(100, 20));
        outbox.push_request(2, &request(101, 20));
        assert_eq!(advance(&mut outbox, 1), [100]);
        assert!(advance(&mut outbox, 19).is_empty());
        assert_eq!(advance(&mut outbox, 1), [101]);
        assert_eq!(outbox.unwritten().len(), 19);
        assert!(outbox.withdraw(|_| true).is_empty());
        assert_eq!(outbox.unwritten().len(), 19, "what was begun is finished");
    }

    #[test]
    fn withdrawing_leaves_answers_and_the_rest_of_what_was_begun() {
        let mut outbox = Outbox::default();
        outbox.push_request(1, &request(100, 20));
        outbox.push_empty(Command::ENQUIRE_LINK_RESP, Status::ROK, 7);
        outbox.push_request(2, &request(101, 30));
        outbox.push_request(3, &request(102, 30));
        let command = Command::DELIVER_SM_RESP;
        outbox.push_response(Response {
            command,
            status: Status::ROK,
            sequence: 8,
        });
        advance(&mut outbox, 4);
        assert_eq!(outbox.withdraw(|_| true), [101, 102]);
        assert!(!outbox.has_unsent() && outbox.unsent_octets() == 0);
        let left = outbox.unwritten();
        assert_eq!(left.len(), 16 + 16 + 17);
        let header = |at: usize| Header::decode(&left[at..]).unwrap();
        assert_eq!(header(16).command, Command::ENQUIRE_LINK_RESP);
        assert_eq!(
            (header(32).command, header(32).length),
            (Command::DELIVER_SM_RESP, 17)
        );
    }

    #[test]
    fn some_are_withdrawn_and_the_others_go_out_whole() {
        let mut outbox = Outbox::default();
        for (sequence, token) in [(1, 100), (2, 101), (3, 102), (4, 103)] {
            outbox.push_request(sequence, &request(token, 20 + sequence as usize));
        }
        advance(&mut outbox, 5);
        assert_eq!(outbox.withdraw(|t| t % 2 == 0), [102], "100 was begun");
        assert_eq!(outbox.unsent_octets(), 22 + 24);
        assert_eq!(advance(&mut outbox, 16), NONE);
        let header = Header::decode(outbox.unwritten()).unwrap();
        assert_eq!((header.length, header.sequence), (22, 2));
        assert_eq!(advance(&mut outbox, 22), [101]);
        let header = Header::decode(outbox.unwritten()).unwrap();
        assert_eq!((header.length, header.sequence), (24, 4));
        assert_eq!(advance(&mut outbox, 24), [103]);
        assert!(outbox.unwritten().is_empty());
    }

    proptest! {
        /// However the kernel cuts the stream, it sees the PDUs whole and in order, and a
        /// request counts as sent with its first octet.
        #[test]
        fn any_cutting_writes_the_same_stream(
            lengths in prop::collection::vec(16usize..60, 1..30),
            cuts in prop::collection::vec(1usize..100, 1..60),
        ) {
            let mut outbox = Outbox::default();
            let (mut stream, mut sent, mut starts, mut total) = (Vec::new(), Vec::new(), vec![], 0);
            let mut waiting = lengths.iter().enumerate();
            for cut in cuts {
                for (n, length) in waiting.by_ref().take(2) {
                    outbox.push_request(n as u32 + 1, &request(n as Token, *length));
                    starts.push(total);
                    total += length;
                }
                let count = cut.min(outbox.unwritten().len());
                stream.extend_from_slice(&outbox.unwritten()[..count]);
                sent.extend(advance(&mut outbox, count));
                let begun = starts.iter().filter(|start| **start < stream.len()).count();
                prop_assert_eq!(sent.len(), begun);
                prop_assert_eq!(outbox.unsent_octets(), lengths[begun..starts.len()].iter().sum::<usize>());
            }
            stream.extend_from_slice(outbox.unwritten());
            prop_assert_eq!(stream.len(), total);
            for (n, start) in starts.iter().enumerate() {
                prop_assert_eq!(Header::decode(&stream[*start..]).unwrap().sequence, n as u32 + 1);
            }
        }
    }
}
