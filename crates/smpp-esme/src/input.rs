//! Octets read from the socket, cut into PDUs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use smpp_protocol::frame::{self, Header, ImpossibleLength};

/// One buffer that holds at least one whole PDU of the longest length allowed.
#[derive(Debug, Default)]
pub(super) struct Input {
    octets: Vec<u8>,
    start: usize,
    end: usize,
    max_frame: usize,
}

/// Read at once, in octets.
pub(super) const BATCH: usize = 65_536;

impl Input {
    /// A buffer for PDUs of up to `max_frame` octets.
    pub fn new(max_frame: usize) -> Self {
        let max_frame = max_frame.max(frame::HEADER);
        Input {
            octets: vec![0; BATCH.max(max_frame)],
            start: 0,
            end: 0,
            max_frame,
        }
    }

    /// Reads what is there: the count of octets, 0 at the end of the stream.
    pub fn poll_read(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            // What is left is less than one PDU, as a rule nothing.
            self.octets.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut room = ReadBuf::new(&mut self.octets[self.end..]);
        match Pin::new(io).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) => {
                let count = room.filled().len();
                self.end += count;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The next whole PDU, its header included; `None` while it is incomplete.
    pub fn next(&mut self) -> Result<Option<(Header, &[u8])>, ImpossibleLength> {
        let octets = &self.octets[self.start..self.end];
        let Some(frame) = frame::split(octets, self.max_frame)? else {
            return Ok(None);
        };
        let length = frame.header.length as usize;
        self.start += length;
        Ok(Some((frame.header, &octets[..length])))
    }

    /// Puts octets back in front of all that was read since.
    pub fn put_back(&mut self, octets: &[u8]) {
        if !octets.is_empty() {
            self.octets.splice(..self.start, octets.iter().copied());
            self.end = self.end - self.start + octets.len();
            self.start = 0;
            self.octets
                .resize(self.octets.len().max(BATCH.max(self.max_frame)), 0);
        }
    }

    /// What was read and not yet looked at.
    pub fn rest(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    /// Whether the beginning of a PDU is there without its end.
    pub fn is_partial(&self) -> bool {
        self.start < self.end
    }
}
